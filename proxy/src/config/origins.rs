//! The registries behind the gate that hold the same content: one, or several.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::Origin;

/// At least one [`Origin`], each of them once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

/// Why origins cannot stand in one list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginsError {
    /// An empty list.
    #[error("no registry is named; write one, as in \"http://registry:5000\", or a list of them")]
    None,
    /// The same one again.
    #[error("{0} stands here twice; it would only be asked twice as often as the others")]
    Twice(Origin),
    /// Sockets beside addresses.
    #[error(
        "sockets and addresses are mixed; a list is all \"unix:/path\", of this machine, or all \"http://host:port\""
    )]
    Mixed,
}

impl Origins {
    /// As many as there are, in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Origin> {
        self.0.iter()
    }
}

impl From<Origin> for Origins {
    fn from(origin: Origin) -> Self {
        Self(vec![origin])
    }
}

impl TryFrom<Vec<Origin>> for Origins {
    type Error = OriginsError;

    fn try_from(origins: Vec<Origin>) -> Result<Self, OriginsError> {
        let is_socket = |origin: &Origin| matches!(origin, Origin::Unix(_));
        let Some(first) = origins.first() else { return Err(OriginsError::None) };
        if origins.iter().any(|origin| is_socket(origin) != is_socket(first)) {
            return Err(OriginsError::Mixed);
        }
        match origins.iter().enumerate().find(|(at, origin)| origins[..*at].contains(origin)) {
            Some((_, twice)) => Err(OriginsError::Twice(twice.clone())),
            None => Ok(Self(origins)),
        }
    }
}

impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Origins;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"http://host:port\", \"unix:/path\" or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Origins, E> {
                text.parse::<Origin>().map(Origins::from).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Origins, A::Error> {
                let mut origins = Vec::new();
                while let Some(origin) = list.next_element()? {
                    origins.push(origin);
                }
                Origins::try_from(origins).map_err(A::Error::custom)
            }
        }

        // A variable of the environment is read as a list where it is one, and as a text otherwise.
        deserializer.deserialize_seq(OneOrSeveral)
    }
}

impl Serialize for Origins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl JsonSchema for Origins {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Origins".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array"],
            "items": { "type": "string" },
            "minItems": 1,
            "uniqueItems": true,
            "title": "\"http://host:port\" or \"unix:/path\", or a list of them",
        })
    }
}
