//! Content digests: `<algorithm>:<hex>` ([image-spec, descriptor.md, "Digests"]).
//!
//! [image-spec, descriptor.md, "Digests"]: https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests

use std::fmt;
use std::str::FromStr;

/// A registered digest algorithm, the two that registries must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// `sha256`, 64 hex digits.
    Sha256,
    /// `sha512`, 128 hex digits.
    Sha512,
}

impl Algorithm {
    /// The name as it stands before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hex digits stand after the colon.
    pub const fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(DigestError::Algorithm),
        }
    }
}

/// The digest of some content. Its hex digits are lower case and as many as the algorithm has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    /// `<algorithm>:<hex>`: kept whole, since that is how it is nearly always used.
    text: Box<str>,
}

/// Why a text is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// It is outside the grammar of all digests.
    #[error("a digest is written <algorithm>:<hex>, as in sha256:9f86d0...")]
    Form,
    /// The algorithm is neither `sha256` nor `sha512`.
    #[error("the digest's algorithm must be sha256 or sha512")]
    Algorithm,
    /// The digits are too many, too few, or not lower-case hexadecimal.
    #[error("a {0} digest has {len} lower-case hexadecimal digits", len = .0.hex_len())]
    Hex(Algorithm),
}

impl Digest {
    /// The digest whose raw bytes an algorithm computed.
    ///
    /// # Errors
    /// [`DigestError::Hex`] when `bytes` is not as long as the algorithm's output.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, DigestError> {
        use fmt::Write as _;
        let mut text = String::with_capacity(algorithm.as_str().len() + 1 + bytes.len() * 2);
        text.push_str(algorithm.as_str());
        text.push(':');
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.parse()
    }

    /// The algorithm that made it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hex digits, without the algorithm.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.as_str().len() + 1..]
    }

    /// `<algorithm>:<hex>`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Form)?;
        let algorithm: Algorithm = algorithm.parse()?;
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != algorithm.hex_len() || !hex.bytes().all(lower_hex) {
            return Err(DigestError::Hex(algorithm));
        }
        Ok(Self { algorithm, text: text.into() })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The name of an algorithm, whether or not anything here can compute it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyAlgorithm(Box<str>);

/// A digest as it may stand in a request, by whatever algorithm: registries know more than others do. One of
/// `sha256` or `sha512` is a [`Digest`] in every part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyDigest(Box<str>);

impl AnyAlgorithm {
    /// The algorithm, where it is one of the two that registries must know.
    ///
    /// # Errors
    /// [`DigestError::Algorithm`].
    pub fn known(&self) -> Result<Algorithm, DigestError> {
        self.0.parse()
    }
}

impl AnyDigest {
    /// The digest as it stands in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest, where its algorithm is one of the two that registries must know.
    ///
    /// # Errors
    /// [`DigestError::Algorithm`].
    pub fn known(&self) -> Result<Digest, DigestError> {
        self.0.parse()
    }
}

impl FromStr for AnyAlgorithm {
    type Err = DigestError;

    /// Reads `[a-z0-9]+([+._-][a-z0-9]+)*`.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let component =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let is_name = text.split(['+', '.', '_', '-']).all(component);
        if is_name { Ok(Self(text.into())) } else { Err(DigestError::Form) }
    }
}

impl FromStr for AnyDigest {
    type Err = DigestError;

    /// Reads `<algorithm>:[a-zA-Z0-9=_-]+`.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, encoded) = text.split_once(':').ok_or(DigestError::Form)?;
        let algorithm: AnyAlgorithm = algorithm.parse()?;
        if algorithm.known().is_ok() {
            text.parse::<Digest>()?;
        }
        let is_encoded = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-');
        if encoded.is_empty() || !encoded.bytes().all(is_encoded) {
            return Err(DigestError::Form);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for AnyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_digest_of_the_wrong_length_or_case_or_algorithm_is_refused() {
        let bad = [
            ("", DigestError::Form),
            ("sha256", DigestError::Form),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", DigestError::Algorithm),
            (&format!("sha256:{}", "A".repeat(64)), DigestError::Hex(Algorithm::Sha256)),
            (&format!("sha512:{}", "a".repeat(64)), DigestError::Hex(Algorithm::Sha512)),
            ("sha256:../../../../etc/passwd", DigestError::Hex(Algorithm::Sha256)),
        ];
        for (text, why) in bad {
            assert_eq!(text.parse::<Digest>(), Err(why), "{text}");
        }
    }

    #[test]
    fn a_digest_of_any_algorithm_has_the_grammar_of_all() {
        let known = format!("sha256:{}", "a".repeat(64));
        let unknown =
            ["md5:d41d8cd98f00b204e9800998ecf8427e", "blake3:AF", "sha256+b64u:LCa0a2j_xo-5m0U8=", "a_b.c-d:0"];
        for text in unknown {
            let digest: AnyDigest = text.parse().expect("it is in the grammar");
            assert_eq!((digest.to_string().as_str(), digest.known()), (text, Err(DigestError::Algorithm)));
        }
        assert_eq!(known.parse::<AnyDigest>().expect("a digest").known(), known.parse());
        for text in
            ["", "md5", "md5:", ":00", "MD5:00", "md5-:00", "-:0", "a++b:0", "md5:../x", "md5:0/0", "md5:0%30", "é:0"]
        {
            assert_eq!(text.parse::<AnyDigest>(), Err(DigestError::Form), "{text}");
        }
        for text in ["sha256:00", "sha512:../../x", &format!("sha256:{}", "A".repeat(64))] {
            assert!(matches!(text.parse::<AnyDigest>(), Err(DigestError::Hex(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_digest_is_one_of_any_algorithm_and_none_leaves_its_segment(text in "(sha256|sha512|md5|[a-z+.]{1,4}):[0-9a-f=./%]{0,4}([0-9a-f]{64})?") {
            let any = text.parse::<AnyDigest>();
            if text.parse::<Digest>().is_ok() {
                prop_assert!(any.is_ok());
            }
            if let Ok(any) = any {
                prop_assert!(!any.to_string().contains(['/', '%']) && any.to_string() == text);
            }
        }

        #[test]
        fn any_text_that_parses_is_printed_as_it_was(text in "(sha256|sha512|SHA256|x):[0-9a-fA-F]{62,130}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
                prop_assert_eq!(digest.hex().len(), digest.algorithm().hex_len());
            }
        }

        #[test]
        fn computed_bytes_make_a_digest_that_parses_again(bytes in proptest::collection::vec(any::<u8>(), 32)) {
            let digest = Digest::from_bytes(Algorithm::Sha256, &bytes).expect("32 bytes are a sha256");
            prop_assert_eq!(digest.as_str().parse::<Digest>().expect("it parses again"), digest);
        }
    }
}
