//! Digests by the million.

use lockgate_oci::{Algorithm, Digest};

/// A digest in as little memory as it takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Compact {
    Sha256([u8; 32]),
    Sha512(Box<[u8; 64]>),
}

fn raw<const N: usize>(hex: &str) -> [u8; N] {
    let digit = |at: usize| match hex.as_bytes()[at] {
        digit @ b'0'..=b'9' => digit - b'0',
        letter => letter - b'a' + 10,
    };
    std::array::from_fn(|at| digit(2 * at) << 4 | digit(2 * at + 1))
}

impl From<&Digest> for Compact {
    fn from(digest: &Digest) -> Self {
        match digest.algorithm() {
            Algorithm::Sha256 => Self::Sha256(raw(digest.hex())),
            Algorithm::Sha512 => Self::Sha512(Box::new(raw(digest.hex()))),
        }
    }
}

impl Compact {
    pub(super) fn digest(&self) -> Digest {
        let digest = match self {
            Self::Sha256(bytes) => Digest::from_bytes(Algorithm::Sha256, bytes),
            Self::Sha512(bytes) => Digest::from_bytes(Algorithm::Sha512, &bytes[..]),
        };
        digest.expect("it was made of one")
    }
}

/// Every digest that stands in a manifest, wherever it does. What a client keeps in a field of its own is none of a
/// registry's business, and may be needed: what nothing but an annotation names is kept, too.
pub(super) fn named_in(manifest: &[u8]) -> Vec<Compact> {
    let mut named = written_in(manifest);
    // In JSON a letter may be written as an escape.
    if manifest.contains(&b'\\')
        && let Ok(value) = serde_json::from_slice::<serde_json::Value>(manifest)
    {
        let mut values = vec![&value];
        while let Some(value) = values.pop() {
            match value {
                serde_json::Value::String(text) => named.extend(written_in(text.as_bytes())),
                serde_json::Value::Array(items) => values.extend(items),
                serde_json::Value::Object(fields) => {
                    values.extend(fields.values());
                    named.extend(fields.keys().flat_map(|name| written_in(name.as_bytes())));
                }
                _ => {}
            }
        }
    }
    named.sort_unstable();
    named.dedup();
    named
}

/// What a manifest is about, its subject; and every other digest that stands in it.
pub(super) fn subject_apart(manifest: &[u8]) -> (Option<Compact>, Vec<Compact>) {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_slice(manifest) else {
        return (None, named_in(manifest));
    };
    let Some(subject) = fields.remove("subject") else { return (None, named_in(manifest)) };
    let digest = subject["digest"].as_str().and_then(|text| text.parse::<Digest>().ok());
    let rest = serde_json::to_vec(&fields).expect("what was read as JSON is written as such");
    (digest.as_ref().map(Compact::from), named_in(&rest))
}

fn written_in(bytes: &[u8]) -> Vec<Compact> {
    let digest_at = |colon: usize| {
        let algorithm = [Algorithm::Sha256, Algorithm::Sha512]
            .into_iter()
            .find(|algorithm| bytes[..colon].ends_with(algorithm.as_str().as_bytes()))?;
        let name = colon - algorithm.as_str().len();
        let text = std::str::from_utf8(bytes.get(name..=colon + algorithm.hex_len())?).ok()?;
        Some(Compact::from(&text.parse::<Digest>().ok()?))
    };
    let colons = bytes.iter().enumerate().filter(|(_, byte)| **byte == b':');
    colons.filter_map(|(colon, _)| digest_at(colon)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hasher::digest_of;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_compact_digest_is_still_that_digest(content in any::<Vec<u8>>()) {
            for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
                let digest = digest_of(algorithm, &content);
                prop_assert_eq!(Compact::from(&digest).digest(), digest);
            }
        }

        #[test]
        fn whatever_a_manifest_is_it_is_read(manifest in any::<Vec<u8>>()) {
            named_in(&manifest);
        }

        #[test]
        fn no_text_around_a_digest_hides_it(before in "[^s]{0,9}", after in "[^\\\\]{0,9}") {
            let digest = digest_of(Algorithm::Sha512, b"x");
            prop_assert_eq!(named_in(format!("{before}{digest}{after}").as_bytes()), [Compact::from(&digest)]);
        }
    }

    #[test]
    fn a_subject_is_apart_from_what_is_named_otherwise() {
        let [image, layer] = ["image", "layer"].map(|content| digest_of(Algorithm::Sha256, content.as_bytes()));
        let layers = format!(r#""layers":[{{"digest":"{layer}"}}]"#);
        let [image, layer] = [&image, &layer].map(|digest| (digest, Compact::from(digest)));
        let about = format!(r#""subject":{{"digest":"{}"}}"#, image.0);
        for (manifest, subject, named) in [
            (format!("{{{layers},{about}}}"), Some(&image.1), vec![&layer.1]),
            (format!("{{{layers}}}"), None, vec![&layer.1]),
            (format!("{{{layers},\"subject\":3}}"), None, vec![&layer.1]),
            (format!("[{{{layers}}}"), None, vec![&layer.1]),
            (format!(r#"{{"manifests":[{{"digest":"{}"}}],{about}}}"#, image.0), Some(&image.1), vec![&image.1]),
        ] {
            assert_eq!(subject_apart(manifest.as_bytes()), (subject.cloned(), named.into_iter().cloned().collect()));
        }
    }

    #[test]
    fn digests_are_found_wherever_they_stand_and_however_they_are_written() {
        let [a, b, c] = ["a", "b", "c"].map(|content| digest_of(Algorithm::Sha256, content.as_bytes()));
        let escaped = c.as_str().replace("sha256:", "\\u0073ha256\\u003a");
        let manifest = format!(
            r#"{{"config":{{"digest":"{a}"}},"annotations":{{"base":"of {b}, {b}"}},"layers":[{{"digest":"{escaped}"}}]}}"#
        );
        let mut expected = [&a, &b, &c].map(Compact::from);
        expected.sort_unstable();
        assert_eq!(named_in(manifest.as_bytes()), expected);
        for nothing in ["", "sha256:", "sha256:ab", ":::", &a.as_str()[..70]] {
            assert_eq!(named_in(nothing.as_bytes()), [], "{nothing}");
        }
    }
}
