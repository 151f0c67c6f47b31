//! The serde [`Deserializer`] over the tree.

use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use crate::failure::Failure;
use crate::placed::{DATE_TEXT, PLACED};
use crate::tree::{Content, Entry, Node, Step};

/// A node, read as what a shape asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a Node);

impl Reader<'_> {
    /// Reads the text of an environment variable as TOML, where anything but a text is wanted.
    fn typed<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.0.content {
            Content::Variable(text) => match Node::typed(text, &self.0.at) {
                Some(node) => Reader(&node).deserialize_any(visitor),
                None => self.deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        }
    }
}

macro_rules! typed {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            self.typed(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.0.content {
            Content::Variable(text) | Content::String(text) => visitor.visit_str(text),
            Content::Integer(number) => visitor.visit_i64(*number),
            Content::Float(number) => visitor.visit_f64(*number),
            Content::Boolean(value) => visitor.visit_bool(*value),
            Content::Date(_) => Err(serde::de::Error::invalid_type(Unexpected::Other("a date or time"), &visitor)),
            Content::Unsupported(what) => Err(serde::de::Error::invalid_type(Unexpected::Other(what), &visitor)),
            Content::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Content::Table(entries) => visitor.visit_map(Entries { rest: entries.iter(), current: None }),
        }
        .map_err(|failure| failure.at(&self.0.at))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        match (name, &self.0.content) {
            (DATE_TEXT, Content::Date(text)) => visitor.visit_str(text),
            (DATE_TEXT, _) => self.deserialize_any(visitor),
            (PLACED, _) => visitor.visit_seq(LineAndValue { line: Some(self.0.at.line()), node: self.0 }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let text = String::deserialize(self)?;
        visitor.visit_enum(text.into_deserializer()).map_err(|failure: Failure| failure.at(&self.0.at))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Failure> {
        self.typed(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.typed(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.typed(visitor)
    }

    typed! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_seq deserialize_map
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct ignored_any identifier
    }
}

/// What [`crate::Placed`] is made of.
struct LineAndValue<'a> {
    line: Option<usize>,
    node: &'a Node,
}

impl<'de> SeqAccess<'de> for LineAndValue<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        match self.line.take() {
            Some(line) => seed.deserialize(line.into_deserializer()).map(Some),
            None => seed.deserialize(Reader(self.node)).map(Some),
        }
    }
}

struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, Node>>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        let Some((index, node)) = self.0.find(|(_, node)| !node.passed_over) else { return Ok(None) };
        seed.deserialize(Reader(node)).map(Some).map_err(|failure| failure.at(&node.at).within(Step::Index(index)))
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, Entry>,
    current: Option<&'a Entry>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        self.current = self.rest.find(|entry| !entry.node.passed_over);
        let Some(entry) = self.current else { return Ok(None) };
        seed.deserialize(entry.name.as_str().into_deserializer())
            .map(Some)
            .map_err(|failure: Failure| failure.at(&entry.at).within(Step::Name(entry.name.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let entry = self.current.take().expect("serde asks for a value after its key");
        // What `deserialize_with` refuses has no place yet: the value was read before it was judged.
        seed.deserialize(Reader(&entry.node))
            .map_err(|failure| failure.at(&entry.node.at).within(Step::Name(entry.name.clone())))
    }
}
