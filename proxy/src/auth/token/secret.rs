//! The text of a machine token: `lkg_<id>_<secret><check>`.
//!
//! All of it but the underscores is base62, so that no shell, URL or YAML minds it. The id, eight characters, is no
//! secret: it names the token in lists, in logs and to those who revoke it. The secret is 27 random characters, which
//! are 160 bits. The last six are the CRC-32 of everything before them: with the prefix they tell a token from a
//! password before anything is looked up, here as in a scanner for secrets.

use std::fmt;
use std::str::{self, FromStr};

use aws_lc_rs::{constant_time, digest};
use lockgate_oci::{Algorithm, Digest, DigestError};
use zeroize::Zeroizing;

use super::keys::hexadecimal;

const PREFIX: &str = "lkg_";
const ID_LEN: usize = 8;
const SECRET_LEN: usize = 27;
const CHECK_LEN: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What names a machine token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId([u8; ID_LEN]);

/// A text is no [`TokenId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token's id is {ID_LEN} letters and digits: the part between the underscores of lkg_ID_...")]
pub struct TokenIdError;

/// A machine token as it was shown, of which only its hash is kept. That it has the form and a right check says
/// that it was meant as a token, and nothing else. `Debug` shows the id only.
#[derive(Clone, PartialEq, Eq)]
pub struct MachineSecret {
    id: TokenId,
    hash: TokenHash,
}

/// The SHA-256 of a machine token's text, which is what is kept of it. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; digest::SHA256_OUTPUT_LEN]);

impl MachineSecret {
    /// How long the text is.
    pub const TEXT_LEN: usize = PREFIX.len() + ID_LEN + 1 + SECRET_LEN + CHECK_LEN;

    /// A new one, and its text, which is nowhere else.
    pub fn generate() -> (Self, Zeroizing<String>) {
        let (id, secret) = (random::<ID_LEN>(), random::<SECRET_LEN>());
        let text = [PREFIX.as_bytes(), &*id, b"_", &*secret].concat();
        let text = Zeroizing::new([text.as_slice(), &check(&text)].concat());
        let text = Zeroizing::new(str::from_utf8(&text).expect("it is ASCII").to_owned());
        (Self { id: TokenId(*id), hash: TokenHash::of(&text) }, text)
    }

    /// Reads a password that is a machine token by its form. `None`: it is another password.
    pub fn parse(password: &str) -> Option<Self> {
        if password.len() != Self::TEXT_LEN || !password.starts_with(PREFIX) {
            return None;
        }
        let (checked, claimed) = password.as_bytes().split_at(Self::TEXT_LEN - CHECK_LEN);
        let (id, secret) = checked[PREFIX.len()..].split_at(ID_LEN);
        let secret = secret.strip_prefix(b"_")?;
        if check(checked) != claimed || !secret.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let id = str::from_utf8(id).ok()?.parse().ok()?;
        Some(Self { id, hash: TokenHash::of(password) })
    }

    /// The id that it claims.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        self.hash
    }

    /// Whether a kept hash is its own, in constant time.
    pub(super) fn is_kept_as(&self, kept: &TokenHash) -> bool {
        constant_time::verify_slices_are_equal(&self.hash.0, &kept.0).is_ok()
    }
}

impl fmt::Debug for MachineSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MachineSecret").field(&self.id.as_str()).finish()
    }
}

impl TokenHash {
    fn of(text: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        Self(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a file keeps it.
    pub(super) fn written(&self) -> Digest {
        Digest::from_bytes(Algorithm::Sha256, &self.0).expect("SHA-256 has 32 bytes")
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

impl FromStr for TokenHash {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digest: Digest = text.parse()?;
        let bytes = hexadecimal(digest.hex()).and_then(|bytes| bytes.as_slice().try_into().ok());
        bytes.map(Self).ok_or(DigestError::Hex(Algorithm::Sha256))
    }
}

impl TokenId {
    /// How many characters it has.
    pub const LEN: usize = ID_LEN;

    /// The id as it is written.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("it is ASCII")
    }
}

impl FromStr for TokenId {
    type Err = TokenIdError;

    fn from_str(text: &str) -> Result<Self, TokenIdError> {
        let id: [u8; ID_LEN] = text.as_bytes().try_into().map_err(|_| TokenIdError)?;
        if id.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(id)) } else { Err(TokenIdError) }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Characters of base62, each as likely as the others.
fn random<const LEN: usize>() -> Zeroizing<[u8; LEN]> {
    /// The most that is a multiple of 62: bytes from there on would make the first characters likelier.
    const BOUND: u8 = 248;
    let mut characters = Zeroizing::new([0; LEN]);
    for character in characters.iter_mut() {
        let mut byte = [u8::MAX];
        while byte[0] >= BOUND {
            aws_lc_rs::rand::fill(&mut byte).expect("the system's randomness does not fail once it is seeded");
        }
        *character = BASE62[usize::from(byte[0] % 62)];
    }
    characters
}

/// The CRC-32 in base62, with zeros before it.
fn check(checked: &[u8]) -> [u8; CHECK_LEN] {
    let mut rest = crc32fast::hash(checked) as usize;
    let mut check = [0; CHECK_LEN];
    for character in check.iter_mut().rev() {
        *character = BASE62[rest % 62];
        rest /= 62;
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Its form is a promise to scanners and to tokens that are out: a test that needs another constant breaks them.
    const KNOWN: &str = "lkg_0000abcd_0123456789ABCDEFGHIJKLMNOPQ";

    fn known() -> String {
        let check = check(KNOWN.as_bytes());
        format!("{KNOWN}{}", str::from_utf8(&check).unwrap())
    }

    #[test]
    fn a_new_token_is_recognised_with_its_id_and_its_hash() {
        let (secret, text) = MachineSecret::generate();
        assert_eq!(MachineSecret::parse(&text), Some(secret.clone()));
        assert!(text.starts_with(&format!("lkg_{}_", secret.id())), "{}", secret.id());
        let written = secret.hash().written();
        assert_eq!(
            written,
            Digest::from_bytes(Algorithm::Sha256, digest::digest(&digest::SHA256, text.as_bytes()).as_ref()).unwrap()
        );
        assert_eq!(written.as_str().parse(), Ok(secret.hash()));
        let longer = format!("sha512:{}", "0".repeat(128));
        assert_eq!(longer.parse::<TokenHash>(), Err(DigestError::Hex(Algorithm::Sha256)));
        let (other, _) = MachineSecret::generate();
        assert_ne!(secret, other);
        assert!(!other.is_kept_as(&secret.hash()) && secret.is_kept_as(&secret.hash()));
    }

    #[test]
    fn the_check_is_the_crc_32_that_everybody_computes() {
        // That of "123456789" is 0xcbf43926, as of zlib, PNG and GitHub's tokens.
        let expected: usize = check(b"123456789").iter().fold(0, |value, character| {
            value * 62 + BASE62.iter().position(|known| known == character).expect("a character of base62")
        });
        assert_eq!(expected, 0xcbf4_3926);
        assert_eq!(MachineSecret::parse(&known()).unwrap().id().as_str(), "0000abcd");
        assert_eq!(known().len(), 46);
    }

    #[test]
    fn what_is_nearly_a_token_is_a_password() {
        let text = known();
        for other in [
            "",
            "correct-horse",
            KNOWN,
            &format!("{text}0"),
            &format!(" {text}"),
            &text.replace("lkg", "LKG"),
            &text.replace("abcd_", "abcd-"),
            &text.replace("0000abcd", "0000abc_"),
            &text.replace("0000abcd", "0000ab\u{e9}"),
        ] {
            assert_eq!(MachineSecret::parse(other), None, "{other}");
        }
    }

    #[test]
    fn an_id_is_eight_letters_and_digits() {
        for bad in ["", "0000abc", "0000abcde", "0000abc_", "0000ab\u{e9}", "../../.."] {
            assert_eq!(bad.parse::<TokenId>(), Err(TokenIdError), "{bad}");
        }
        assert_eq!("0000Abcd".parse::<TokenId>().unwrap().to_string(), "0000Abcd");
    }

    #[test]
    fn the_secret_is_not_in_the_debug_output() {
        let (secret, text) = MachineSecret::generate();
        assert_eq!(format!("{secret:?}"), format!("MachineSecret({:?})", secret.id().as_str()));
        assert!(text.contains(secret.id().as_str()));
        assert_eq!(format!("{:?}", secret.hash()), "TokenHash(..)");
    }

    proptest! {
        #[test]
        fn one_wrong_character_makes_it_a_password(at in 0..46_usize, put in "[0-9A-Za-z_ -]") {
            let mut text = known();
            text.replace_range(at..=at, &put);
            prop_assert_eq!(MachineSecret::parse(&text).is_some(), text == known());
        }

        #[test]
        fn no_password_makes_it_panic(password in "(lkg_)?\\PC{0,46}") {
            let _ = MachineSecret::parse(&password);
        }
    }
}
