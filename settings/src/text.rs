//! Values that are written as a text.

/// Makes a type with `FromStr` and `Display` a value of settings that is written as a text. `$what` says to a person
/// what it is, as in "a size".
#[macro_export]
macro_rules! written_as_text {
    ($type:ty, $what:expr) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text: String = serde::Deserialize::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        $crate::shown_as_text!($type, "string", $what);
    };
}

/// The part of [`written_as_text`] without the reading. `$types` are those of JSON that it is read from.
#[macro_export]
macro_rules! shown_as_text {
    ($type:ty, $types:tt, $what:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": $types, "title": $what })
            }
        }
    };
}
