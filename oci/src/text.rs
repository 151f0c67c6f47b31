//! What is written as a text wherever it is written, and is read only when it is right.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Digest, RepositoryName, Tag};

macro_rules! written_as_text {
    ($($kind:ty),+) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(de::Error::custom)
            }
        }
    )+};
}

written_as_text!(Digest, RepositoryName, Tag);
