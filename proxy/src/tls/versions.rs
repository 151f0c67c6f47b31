//! Which versions of TLS are spoken.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The versions of TLS that a client may use: written as an array of `"1.2"` and `"1.3"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersions {
    /// TLS 1.2 (RFC 5246) and nothing newer: for a middlebox that breaks 1.3.
    Only12,
    /// TLS 1.3 (RFC 8446) and nothing older.
    Only13,
    /// Both, and 1.3 with every client that knows it.
    #[default]
    Both,
}

#[derive(Deserialize, Serialize, JsonSchema, PartialEq)]
#[schemars(inline)]
enum Version {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

impl<'de> Deserialize<'de> for TlsVersions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = Vec::<Version>::deserialize(deserializer)?;
        match (named.contains(&Version::Tls12), named.contains(&Version::Tls13)) {
            (true, true) => Ok(Self::Both),
            (true, false) => Ok(Self::Only12),
            (false, true) => Ok(Self::Only13),
            (false, false) => Err(D::Error::custom("nobody could connect; write [\"1.2\", \"1.3\"], or one of them")),
        }
    }
}

impl Serialize for TlsVersions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Only12 => [Version::Tls12].as_slice(),
            Self::Only13 => &[Version::Tls13],
            Self::Both => &[Version::Tls12, Version::Tls13],
        }
        .serialize(serializer)
    }
}

impl JsonSchema for TlsVersions {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TlsVersions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Version>::json_schema(generator)
    }
}
