//! Values of a file that know where they are written, and those that TOML has a form of its own for.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

/// A value with the line in which it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// Counted from 1; 0 where the value is not of a file.
    pub line: usize,
    /// The value.
    pub value: T,
}

/// A date, or a date and a time, as it is written: as TOML's own or as a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateText(pub String);

/// The names by which the reader knows what is wanted.
pub(crate) const PLACED: &str = "lockgate_settings::Placed";
pub(crate) const DATE_TEXT: &str = "lockgate_settings::DateText";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(PLACED, PlacedVisitor(PhantomData))
    }
}

struct PlacedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PlacedVisitor<T> {
    type Value = Placed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a file")
    }

    /// The line, and the value.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Placed<T>, A::Error> {
        match (seq.next_element()?, seq.next_element()?) {
            (Some(line), Some(value)) => Ok(Placed { line, value }),
            _ => Err(serde::de::Error::invalid_length(0, &self)),
        }
    }
}

impl<'de> Deserialize<'de> for DateText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(DATE_TEXT, DateVisitor)
    }
}

struct DateVisitor;

impl Visitor<'_> for DateVisitor {
    type Value = DateText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date, as in 2027-03-01")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DateText, E> {
        Ok(DateText(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde::Deserialize;

    use super::*;
    use crate::parse;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        #[serde(default)]
        item: Vec<Placed<Item>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        name: String,
        until: Option<DateText>,
    }

    fn problems(text: &str) -> Vec<String> {
        parse::<Shape>(text, Path::new("f")).expect_err(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_table_knows_the_line_of_its_header() {
        let text = "# items\n[[item]]\nname = 'a'\n\n  [[item]]\n  name = 'b'\n";
        let shape = parse::<Shape>(text, Path::new("f")).unwrap();
        let places: Vec<_> = shape.item.iter().map(|item| (item.line, item.value.name.as_str())).collect();
        assert_eq!(places, [(2, "a"), (5, "b")]);
    }

    #[test]
    fn a_date_is_as_it_is_written() {
        for (written, text) in [
            ("2027-03-01", "2027-03-01"),
            ("2027-03-01T12:00:00Z", "2027-03-01T12:00:00Z"),
            ("'2027-03-01'", "2027-03-01"),
        ] {
            let shape = parse::<Shape>(&format!("[[item]]\nname = 'a'\nuntil = {written}"), Path::new("f")).unwrap();
            assert_eq!(shape.item[0].value.until, Some(DateText(text.to_owned())));
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "[[item]]\nname = 2027-03-01\n[[item]]\nnme = 'b'\n[[item]]\nname = 'c'\nuntil = 1\n[[itm]]\n";
        assert_eq!(
            problems(text),
            [
                "f:2:8: item[0].name: expected a text in quotes, found a date or time",
                "f:3:1: item[1]: name is missing and has no default",
                "f:4:1: item[1].nme: no such key; did you mean name?",
                "f:7:9: item[2].until: expected a date, as in 2027-03-01, found 1",
                "f:8:3: itm: no such section; did you mean [item]?",
            ]
        );
    }
}
