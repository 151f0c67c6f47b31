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
    /// There is no colon.
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

    proptest! {
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
