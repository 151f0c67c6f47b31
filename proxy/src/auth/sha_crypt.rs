//! SHA-crypt: the fields of `$5$` and `$6$`, and the encoding of a digest.
//!
//! The rounds are computed by the crate. Its own reading of a whole hash is not used: it knows fewer characters of a
//! salt than crypt(5) allows.

use sha_crypt::Params;

use super::crypt_base64;

/// The least rounds that there are. Programs that are asked for less write this.
pub(super) const MIN_ROUNDS: u32 = Params::ROUNDS_MIN;

/// Bytes of the longest salt.
const MAX_SALT: usize = 16;

/// Characters of an encoded digest.
const SHA256_LEN: usize = 43;
const SHA512_LEN: usize = 86;

/// `[rounds=N$]salt$digest`, which stands behind `$5$` or `$6$`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) rounds: u32,
    salt: &'a str,
    digest: &'a str,
}

/// Which of the two hash functions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Variant {
    Sha256,
    Sha512,
}

impl<'a> Fields<'a> {
    /// Reads them. A salt is `[^$:\n]{1,16}`, as crypt(5) has it.
    pub(super) fn parse(fields: &'a str, variant: Variant) -> Option<Self> {
        let (rounds, fields) = match fields.strip_prefix("rounds=") {
            Some(rest) => {
                let (rounds, fields) = rest.split_once('$')?;
                (rounds.parse().ok()?, fields)
            }
            None => (Params::RECOMMENDED_ROUNDS, fields),
        };
        let (salt, digest) = fields.split_once('$')?;
        let len = match variant {
            Variant::Sha256 => SHA256_LEN,
            Variant::Sha512 => SHA512_LEN,
        };
        let salt_fits = (1..=MAX_SALT).contains(&salt.len()) && !salt.contains([':', '\n']);
        (salt_fits && crypt_base64::is_encoded(digest, len)).then_some(Self { rounds, salt, digest })
    }

    /// The digest that is stored.
    pub(super) fn stored_digest(&self) -> &[u8] {
        self.digest.as_bytes()
    }

    /// The digest of `password` under this salt and these rounds, encoded as it is stored.
    pub(super) fn digest_of(&self, password: &[u8], variant: Variant) -> Vec<u8> {
        let params = Params::new(self.rounds).expect("the rounds were compared with the bounds when they were read");
        match variant {
            Variant::Sha256 => encode_sha256(&sha_crypt::sha256_crypt(password, self.salt.as_bytes(), params)),
            Variant::Sha512 => encode_sha512(&sha_crypt::sha512_crypt(password, self.salt.as_bytes(), params)),
        }
    }
}

/// Ten groups of three, each a turn of the one before it, and the last two bytes.
fn encode_sha256(digest: &[u8; 32]) -> Vec<u8> {
    let mut text = Vec::with_capacity(SHA256_LEN);
    let [mut high, mut middle, mut low] = [0, 10, 20];
    for _ in 0..10 {
        crypt_base64::push(&mut text, [digest[high], digest[middle], digest[low]], 4);
        [high, middle, low] = [low + 1, high + 1, middle + 1];
    }
    crypt_base64::push(&mut text, [0, digest[31], digest[30]], 3);
    text
}

/// Twenty-one groups of three, and the last byte.
fn encode_sha512(digest: &[u8; 64]) -> Vec<u8> {
    let mut text = Vec::with_capacity(SHA512_LEN);
    let [mut high, mut middle, mut low] = [0, 21, 42];
    for _ in 0..21 {
        crypt_base64::push(&mut text, [digest[high], digest[middle], digest[low]], 4);
        [high, middle, low] = [middle + 1, low + 1, high + 1];
    }
    crypt_base64::push(&mut text, [0, 0, digest[63]], 2);
    text
}
