//! Reading a manifest as registries in Go do, which put it where it is: a field's name may be in any case, of two alike
//! the last counts, null is an empty text, and what is no text in UTF-8 is U+FFFD.
//!
//! Go refuses a manifest of which a field has a wrong type. Here such a field counts as missing.

use std::collections::BTreeMap;
use std::fmt;

use lockgate_oci::Digest;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use super::{Descriptor, ManifestError, Raw};

/// The fields that a registry reads.
///
/// # Errors
/// It is no JSON, or no object.
pub(super) fn read(content: &[u8]) -> Result<Raw, ManifestError> {
    let content = String::from_utf8_lossy(content);
    let fields = Fields::of(&content)?;
    let annotations: Option<BTreeMap<Text, Option<Text>>> = fields.get("annotations");
    Ok(Raw {
        schema_version: fields.get("schemaVersion"),
        media_type: fields.text("mediaType"),
        artifact_type: fields.text("artifactType"),
        config: fields.descriptor("config"),
        layers: fields.descriptors("layers"),
        manifests: fields.descriptors("manifests"),
        blobs: fields.descriptors("blobs"),
        subject: fields.descriptor("subject"),
        annotations: annotations.map(|texts| {
            texts.into_iter().map(|(name, text)| (name.0, text.map(|text| text.0).unwrap_or_default())).collect()
        }),
    })
}

/// A text, whatever its escapes and bytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Half of a surrogate pair is no text, and serde_json gives it as bytes only.
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
        Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
    }
}

/// A name, without its case.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(String);

/// The letters beyond ASCII that Go takes for one of it: U+017F for an s, U+212A for a k.
const LIKE_ASCII: [(char, &str); 2] = [('\u{17f}', "s"), ('\u{212a}', "k")];

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        let ascii = LIKE_ASCII.iter().fold(text, |text, (letter, ascii)| text.replace(*letter, ascii));
        Ok(Self(ascii.to_ascii_lowercase()))
    }
}

/// The fields of an object, unread.
struct Fields<'a>(BTreeMap<Name, &'a RawValue>);

impl<'a> Fields<'a> {
    fn of(json: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json).map(Self)
    }

    fn get<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        let value = self.0.get(&Name(name.to_ascii_lowercase()))?;
        serde_json::from_str::<Option<T>>(value.get()).ok().flatten()
    }

    /// An empty text is a missing one: Go writes both for the same value.
    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|Text(text)| text).filter(|text| !text.is_empty())
    }

    fn descriptor(&self, name: &str) -> Option<Descriptor> {
        descriptor(self.get(name)?)
    }

    fn descriptors(&self, name: &str) -> Option<Vec<Descriptor>> {
        let values: Vec<&RawValue> = self.get(name)?;
        Some(values.into_iter().filter_map(descriptor).collect())
    }
}

/// One that names no digest that can be one describes nothing.
fn descriptor(value: &RawValue) -> Option<Descriptor> {
    let fields = Fields::of(value.get()).ok()?;
    let digest: Digest = fields.text("digest")?.parse().ok()?;
    let urls: Option<Vec<Text>> = fields.get("urls");
    let urls = urls.map(|urls| urls.into_iter().map(|Text(url)| url).collect());
    Some(Descriptor { media_type: fields.text("mediaType"), digest, size: fields.get("size"), urls })
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, OCI_IMAGE, OCI_INDEX};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn image(more: &str) -> String {
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_IMAGE}","config":{{"digest":"{A}"}},"layers":[]{more}}}"#)
    }

    fn annotations(content: impl AsRef<[u8]>) -> serde_json::Value {
        let stored = Manifest::stored(content.as_ref()).unwrap();
        assert_eq!(stored.media_type(), OCI_IMAGE);
        json!(read(content.as_ref()).unwrap().annotations)
    }

    #[test]
    fn annotations_are_those_that_go_reads() {
        assert_eq!(annotations(image(r#","annotations":{"a":null,"b":""}"#)), json!({ "a": "", "b": "" }));
        assert_eq!(annotations(image(r#","annotations":{"a":"x"},"annotations":{"b":"y"}"#)), json!({ "b": "y" }));
        assert_eq!(annotations(image(r#","annotations":{"a":"x","a":"y"}"#)), json!({ "a": "y" }));
        let half = annotations(image(r#","annotations":{"\udc00":"\ud800x"}"#));
        assert!(half.to_string().contains("\u{fffd}x"), "{half}");
        let bytes = [image(r#","annotations":{"a":""#).trim_end_matches('}').as_bytes(), b"\xff\"}}"].concat();
        assert_eq!(annotations(bytes), json!({ "a": "\u{fffd}" }));
        for other in ["1", r#""x""#, r#"{"n":1}"#, "[]"] {
            assert_eq!(annotations(image(&format!(r#","annotations":{other}"#))), json!(null), "{other}");
        }
    }

    #[test]
    fn a_manifest_of_no_type_is_an_index_if_it_has_manifests_and_an_image_otherwise() {
        for (content, media_type) in [
            (r#"{"schemaVersion":2,"manifests":null}"#, OCI_IMAGE),
            (r#"{"schemaVersion":2,"manifests":[]}"#, OCI_INDEX),
            ("{\"schemaVersion\":2,\"manifest\u{17f}\":[]}", OCI_INDEX),
            (r#"{"schemaVersion":2,"config":{},"manifests":[{}]}"#, OCI_INDEX),
            (r#"{"schemaVersion":2,"mediaType":"","layers":[]}"#, OCI_IMAGE),
            (r#"{"schemaVersion":2,"mediaType":null}"#, OCI_IMAGE),
            (r#"{"schemaVersion":2,"mediaType":"x/y","MediaType":"application/z"}"#, "application/z"),
            (r#"{}"#, OCI_IMAGE),
        ] {
            assert_eq!(Manifest::stored(content.as_bytes()).unwrap().media_type(), media_type, "{content}");
        }
        for content in ["", "[]", "null", "1", "{", "{} x", "hello"] {
            assert!(Manifest::stored(content.as_bytes()).is_err(), "{content}");
        }
    }

    #[test]
    fn what_hinders_no_go_program_hinders_no_reading() {
        let deep = format!(r#","x":{}{}"#, "[".repeat(5000), "]".repeat(5000));
        let layers = format!(r#","layers":[{{"digest":"{A}","digest":"{A}"}},{{}},null,{{"digest":"md5:0"}}]"#);
        for more in [&deep, &layers, r#","x":1e999"#, r#","subject":{"digest":"x"}"#] {
            assert_eq!(Manifest::stored(image(more).as_bytes()).unwrap().media_type(), OCI_IMAGE, "{more}");
        }
        assert_eq!(read(image(&layers).as_bytes()).unwrap().layers.unwrap().len(), 1);
    }

    #[test]
    fn what_is_pushed_is_read_in_one_way_only() {
        let pushed = |more: &str| Manifest::pushed(image(more).as_bytes(), Some(OCI_IMAGE)).map(drop);
        assert_eq!(pushed(r#","annotations":{"a":null},"x":1e999"#), Ok(()));
        for more in [
            r#","MediaType":"application/x""#,
            r#","Manifests":[]"#,
            r#","layerS":null"#,
            r#","manifest\u017f":[]"#,
            ",\"manifest\u{17f}\":[]",
            r#","\u017fubject":null,"blob\u017f":[]"#,
        ] {
            assert_eq!(pushed(more), Err(ManifestError::Ambiguous), "{more}");
        }
        for more in [r#","layers":[]"#, r#","annotations":{"a":"\ud800"}"#, r#","annotations":{"a":1}"#] {
            assert!(matches!(pushed(more), Err(ManifestError::Json(_))), "{more}");
        }
    }

    proptest! {
        #[test]
        fn no_content_makes_the_reader_panic(content in r#"\{("[a-zA-Z]{0,3}|"mediaType|"config|\\u[d0][89c]00|[":,{}0-9nul\[\]]){0,12}\}?"#) {
            let _ = read(content.as_bytes());
        }
    }
}
