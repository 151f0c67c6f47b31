//! Digests computed while the bytes pass.

use aws_lc_rs::digest::{self, Context, SHA256, SHA512};
use lockgate_oci::{Algorithm, Digest};

/// A digest in the making.
///
/// aws-lc's assembler is several times faster than portable Rust on processors without SHA
/// instructions, and hashing is most of what a push costs.
#[derive(Clone)]
pub(crate) struct Hasher {
    algorithm: Algorithm,
    context: Context,
}

fn implementation(algorithm: Algorithm) -> &'static digest::Algorithm {
    match algorithm {
        Algorithm::Sha256 => &SHA256,
        Algorithm::Sha512 => &SHA512,
    }
}

fn named(algorithm: Algorithm, value: &digest::Digest) -> Digest {
    Digest::from_bytes(algorithm, value.as_ref()).expect("an algorithm's output has its own length")
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, context: Context::new(implementation(algorithm)) }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        named(self.algorithm, &self.context.finish())
    }
}

/// The digest of bytes that are all at hand.
pub(crate) fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    named(algorithm, &digest::digest(implementation(algorithm), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_are_those_of_the_standard() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest_of(Algorithm::Sha256, b"").as_str(), empty);
        let abc = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                   2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert_eq!(digest_of(Algorithm::Sha512, b"abc").as_str(), abc);
    }

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(b"a");
        hasher.update(b"");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), digest_of(Algorithm::Sha256, b"abc"));
    }
}
