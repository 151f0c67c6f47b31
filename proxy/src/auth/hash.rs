//! Stored password hashes: the second field of an htpasswd line.
//!
//! | written as | scheme | made by |
//! |---|---|---|
//! | `$2a$` `$2b$` `$2y$` | bcrypt | `lockgate htpasswd`, `htpasswd -B` |
//! | `$apr1$` | MD5-crypt, Apache's variant | `htpasswd`, `openssl passwd -apr1` |
//! | `$5$` `$6$` | SHA-256-crypt, SHA-512-crypt | `htpasswd -2`, `-5`, `openssl passwd -5`, `-6` |
//! | `{SHA}` | SHA-1 without salt | `htpasswd -s` |
//!
//! Everything else is refused with a reason when it is read: plain text because it is none of a
//! server's business, DES-crypt because it looks at eight characters only, MD5-crypt (`$1$`) because
//! Apache's tool never writes it, and hashes so costly that a few requests would hold the server.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::sha_crypt::{self, Variant};
use super::{apr1, crypt_base64};

/// Bytes of the longest password that bcrypt sees whole.
pub const BCRYPT_MAX_PASSWORD: usize = 72;

const BCRYPT_MIN_COST: u32 = 4;

/// How much work a stored hash may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The highest cost of bcrypt, the base-2 logarithm of its rounds. 14 takes about a second.
    pub max_bcrypt_cost: u32,
    /// The most rounds of SHA-crypt. 1,000,000 take about half a second.
    pub max_sha_crypt_rounds: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_bcrypt_cost: 14, max_sha_crypt_rounds: 1_000_000 }
    }
}

/// The algorithm and cost of a hash. Two hashes of equal schemes take equal time; the order is roughly by work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `{SHA}`.
    Sha1,
    /// `$apr1$`.
    Apr1,
    /// `$5$`.
    Sha256Crypt {
        /// Rounds.
        rounds: u32,
    },
    /// `$6$`.
    Sha512Crypt {
        /// Rounds.
        rounds: u32,
    },
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt {
        /// The base-2 logarithm of the rounds.
        cost: u32,
    },
}

/// A hash that a password can be checked against. `Debug` shows its scheme only.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash {
    scheme: Scheme,
    /// As it stands in the file, well-formed.
    text: Box<str>,
}

/// Why an entry of the file is refused. Never quotes it: it may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Nothing follows the colon.
    #[error("there is no password hash")]
    Empty,
    /// It is no hash at all.
    #[error("the password is in plain text, or in a form that is not known")]
    PlainText,
    /// DES-crypt, classic or extended.
    #[error("DES-crypt hashes are not accepted: they ignore all but the first 8 characters of a password")]
    Des,
    /// `$1$`.
    #[error("MD5-crypt hashes ($1$) are not accepted")]
    Md5Crypt,
    /// Some other scheme that a marker at the start announces.
    #[error("the hash scheme is not supported: bcrypt, SHA-crypt ($5$, $6$), apr1 and {{SHA}} are")]
    Unsupported,
    /// The scheme is known, and the rest is not what it writes.
    #[error("the {0} hash is damaged")]
    Malformed(&'static str),
    /// bcrypt above the ceiling of the [`Policy`], or below what exists.
    #[error("bcrypt cost {cost} is outside of {} to {limit}", BCRYPT_MIN_COST)]
    BcryptCost {
        /// The hash's own cost.
        cost: u32,
        /// [`Policy::max_bcrypt_cost`].
        limit: u32,
    },
    /// SHA-crypt above the ceiling of the [`Policy`], or below what exists.
    #[error("{rounds} rounds of SHA-crypt are outside of {} to {limit}", sha_crypt::MIN_ROUNDS)]
    ShaCryptRounds {
        /// The hash's own number.
        rounds: u32,
        /// [`Policy::max_sha_crypt_rounds`].
        limit: u32,
    },
}

impl StoredHash {
    /// Reads the field of an htpasswd line.
    ///
    /// # Errors
    /// Any [`HashError`].
    pub fn parse(text: &str, policy: &Policy) -> Result<Self, HashError> {
        let scheme = scheme_of(text)?;
        policy.check(scheme)?;
        Ok(Self { scheme, text: text.into() })
    }

    /// Its algorithm and cost.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether it is the hash of `password`. Takes milliseconds to a second: never call it on an async thread.
    pub fn matches(&self, password: &str) -> bool {
        match self.scheme {
            Scheme::Bcrypt { .. } => self.matches_bcrypt(password),
            Scheme::Sha256Crypt { .. } => self.matches_sha_crypt(password, Variant::Sha256),
            Scheme::Sha512Crypt { .. } => self.matches_sha_crypt(password, Variant::Sha512),
            Scheme::Apr1 => self.matches_apr1(password),
            Scheme::Sha1 => self.matches_sha1(password),
        }
    }

    /// bcrypt repeats a NUL-terminated password to 72 bytes, so that it takes "a" and "a\0a" for the
    /// same, and knows nothing of what comes after. Both are refused, after as much work as any other.
    fn matches_bcrypt(&self, password: &str) -> bool {
        let seen_whole = password.len() <= BCRYPT_MAX_PASSWORD && !password.contains('\0');
        let matched = bcrypt::verify(password, &self.text).unwrap_or(false);
        matched && seen_whole
    }

    fn matches_sha_crypt(&self, password: &str, variant: Variant) -> bool {
        let fields = self.text.get(3..).and_then(|fields| sha_crypt::Fields::parse(fields, variant));
        let fields = fields.expect("the text was read so when it was parsed");
        equal(&fields.digest_of(password.as_bytes(), variant), fields.stored_digest())
    }

    fn matches_apr1(&self, password: &str) -> bool {
        let fields = self.text.strip_prefix("$apr1$").and_then(|rest| rest.split_once('$'));
        let (salt, expected) = fields.expect("the text was split so when it was parsed");
        let digest = apr1::encoded_digest(password.as_bytes(), salt.as_bytes());
        equal(&digest, expected.as_bytes())
    }

    fn matches_sha1(&self, password: &str) -> bool {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let expected = self.text.strip_prefix("{SHA}").expect("the text started so when it was parsed");
        equal(STANDARD.encode(digest).as_bytes(), expected.as_bytes())
    }

    /// The text of the field, for the memory of verified passwords.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoredHash").field(&self.scheme).finish()
    }
}

impl Policy {
    fn check(&self, scheme: Scheme) -> Result<(), HashError> {
        match scheme {
            Scheme::Bcrypt { cost } if !(BCRYPT_MIN_COST..=self.max_bcrypt_cost).contains(&cost) => {
                Err(HashError::BcryptCost { cost, limit: self.max_bcrypt_cost })
            }
            Scheme::Sha256Crypt { rounds } | Scheme::Sha512Crypt { rounds }
                if !(sha_crypt::MIN_ROUNDS..=self.max_sha_crypt_rounds).contains(&rounds) =>
            {
                Err(HashError::ShaCryptRounds { rounds, limit: self.max_sha_crypt_rounds })
            }
            _ => Ok(()),
        }
    }
}

fn equal(computed: &[u8], expected: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(computed, expected).is_ok()
}

fn scheme_of(text: &str) -> Result<Scheme, HashError> {
    if text.is_empty() {
        return Err(HashError::Empty);
    }
    if let Some(digest) = text.strip_prefix("{SHA}") {
        return sha1(digest);
    }
    if let Some((id, fields)) = text.strip_prefix('$').and_then(|rest| rest.split_once('$')) {
        return match id {
            "2a" | "2b" | "2y" => bcrypt(text),
            "apr1" => apr1(fields),
            "5" => sha_crypt(fields, Variant::Sha256).map(|rounds| Scheme::Sha256Crypt { rounds }),
            "6" => sha_crypt(fields, Variant::Sha512).map(|rounds| Scheme::Sha512Crypt { rounds }),
            "1" => Err(HashError::Md5Crypt),
            _ => Err(HashError::Unsupported),
        };
    }
    if text.starts_with('{') && text.contains('}') {
        return Err(HashError::Unsupported);
    }
    if is_des(text) { Err(HashError::Des) } else { Err(HashError::PlainText) }
}

fn sha1(digest: &str) -> Result<Scheme, HashError> {
    match STANDARD.decode(digest) {
        Ok(bytes) if bytes.len() == digest::SHA1_OUTPUT_LEN => Ok(Scheme::Sha1),
        _ => Err(HashError::Malformed("{SHA}")),
    }
}

fn bcrypt(text: &str) -> Result<Scheme, HashError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| HashError::Malformed("bcrypt"))?;
    Ok(Scheme::Bcrypt { cost: parts.get_cost() })
}

fn apr1(fields: &str) -> Result<Scheme, HashError> {
    let (salt, digest) = fields.split_once('$').ok_or(HashError::Malformed("apr1"))?;
    let salt_fits = (1..=apr1::MAX_SALT).contains(&salt.len());
    if salt_fits && crypt_base64::is_encoded(digest, apr1::ENCODED_LEN) {
        Ok(Scheme::Apr1)
    } else {
        Err(HashError::Malformed("apr1"))
    }
}

fn sha_crypt(fields: &str, variant: Variant) -> Result<u32, HashError> {
    let fields = sha_crypt::Fields::parse(fields, variant).ok_or(HashError::Malformed("SHA-crypt"))?;
    Ok(fields.rounds)
}

/// Thirteen characters, or the twenty of BSDi that start with an underscore.
fn is_des(text: &str) -> bool {
    crypt_base64::is_encoded(text, 13) || text.strip_prefix('_').is_some_and(|rest| crypt_base64::is_encoded(rest, 19))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWORD: &str = "correct-horse";

    fn stored(text: &str) -> StoredHash {
        StoredHash::parse(text, &Policy::default()).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn refusal(text: &str) -> HashError {
        StoredHash::parse(text, &Policy::default()).expect_err(text)
    }

    fn only_this_password_matches(password: &str, text: &str) {
        let hash = stored(text);
        assert!(hash.matches(password), "{text}");
        for wrong in ["", "Correct-horse", "correct-hors", "correct-horse ", "correct-horse\0", "correct-horse\0junk"] {
            assert!(!hash.matches(wrong), "{text} took {wrong:?}");
        }
    }

    /// `htpasswd -nbB -C 4`; `$2a$` and `$2b$` by crypt(3) of libxcrypt.
    #[test]
    fn bcrypt_in_its_three_spellings_is_verified() {
        only_this_password_matches(PASSWORD, "$2y$04$UMwEmLIncZ2ZMtJ7MV2Y2O0SUm0eGwKAhlV54TaBIn5mH.Oudc6Ou");
        only_this_password_matches(PASSWORD, "$2a$04$abcdefghijklmnopqrstuuPoaPXzWjiVz4HaNq2LJXksWbO79E.S6");
        only_this_password_matches(PASSWORD, "$2b$04$abcdefghijklmnopqrstuuPoaPXzWjiVz4HaNq2LJXksWbO79E.S6");
        only_this_password_matches("été", "$2y$04$sVlK541XLCDi/Enu72ven.nvLRAkEPrsQTBQPire2YWVnWapI2kQ.");
    }

    /// `htpasswd -nbm`, `openssl passwd -apr1`.
    #[test]
    fn apr1_is_verified() {
        only_this_password_matches(PASSWORD, "$apr1$8Tr6mJg2$IOypGP1rjT6bRuXo1Xdg8.");
        only_this_password_matches(PASSWORD, "$apr1$ab$aKdLygNvc/U..n1q0jDD/.");
        only_this_password_matches("été", "$apr1$qLMAll0g$KutbFUPEVIutX2dbQda4/.");
        only_this_password_matches(&"x".repeat(200), "$apr1$ad.v/Prg$VIsfpQySzrYyO1buV.0ns.");
    }

    /// `htpasswd -nb2`, `htpasswd -nb5 [-r 2000]`, `openssl passwd -5`, `-6`.
    #[test]
    fn sha_crypt_is_verified_with_and_without_rounds() {
        only_this_password_matches(PASSWORD, "$5$PNinYeLQZLn4/BF/$Wk3ZypqYaGuG/Nrlp/FkC4IRkS/n4Uod6g2w7igYWPC");
        only_this_password_matches(PASSWORD, "$5$saltsalt$CCKm5X4kzVCLWT/Hq5GucahpjziEZzqHdFDbxBDxFT8");
        let sha512 = [
            "$6$IPYCTrup3OfYMEtK$PmVApR6lF8PK1YvVWyV0I1HNdtcP7H/svIf7UimiFN.GulT8vISXuZWq6ADDm4MVMF1rBsZhZCxw2Es.KyQjR/",
            "$6$rounds=2000$E.AQYfO0KqegG5Md$PoJQe8spNlKcmwPpnVDHI9jodzrn/LsGtwG9.u80ceSqTd2M5ERQvVKX/nIEhlKc0TZbft9XUqR0Oh7099VUB0",
            "$6$rounds=1000$abcdefghijklmnop$Z53ORUb2isSj0Kbrvyu4o66sbe5uwR3MGUVSWzzuF6/DOmqLTEhQIVCvMavz5WXB7rD23ANKupprwFHccxUbz0",
        ];
        for text in sha512 {
            only_this_password_matches(PASSWORD, text);
        }
        only_this_password_matches(
            &"x".repeat(200),
            "$6$kLxXDDS8DKLcmqGD$n7Ak4An7bUGaSytaDbcwz4BIojc9gxtFytxwWJIOVaebKDsvy40tIEYF6.eGD3f3Wd3zzZTDWUro3i8WeM/6a1",
        );
    }

    /// `openssl passwd -5 -salt SALT` and `-6`; glibc's crypt(3) gives the same.
    #[test]
    fn sha_crypt_has_any_salt_of_crypt_5() {
        only_this_password_matches(PASSWORD, "$5$a b$IPFJqm373VG8jfeislPLz2XzzPgTcM4tEphiBBzwYJ4");
        only_this_password_matches(PASSWORD, "$5$_-!~@$q0pNqcSGg1sV7UGSSQ0Erhd/jTCnoijIvztEhS606w8");
        only_this_password_matches(
            PASSWORD,
            r#"$6$été{}"$S/s2aqAbp75670LwnV0yWaXLaRATFpWNOQB527BedV3X00VsA9CBhhWHt3G5j.eYR/jDlSq2Rb08Xe6xspnoO/"#,
        );
        only_this_password_matches(
            PASSWORD,
            "$6$x$h7pXcPqwTPmuZITNdZTSFRu5QP8KQ2vbpO71SOY5aBQyS1tt4KUV8sc3gjujwZxmrzJyQCMYA9ndkWtMPwFrs1",
        );
        only_this_password_matches(
            PASSWORD,
            "$6$0123456789abcde+$I2KP2hP05am.NYYOsafrdlEBv8S3s/nxRU3DQra/YZffWagLfAiA8OAMSZZfCrYMtcQm5qnTndFyEysI/k1HF1",
        );
    }

    /// `htpasswd -nbs`.
    #[test]
    fn unsalted_sha1_is_verified() {
        only_this_password_matches(PASSWORD, "{SHA}NstYn3QVe0WBGmkMWLQ0CV9I6fo=");
    }

    /// `htpasswd -nbB -C 4 long A`, where A is 80 times "a", and where it is 72 times.
    #[test]
    fn a_password_over_72_bytes_never_matches_bcrypt() {
        let of_80 = stored("$2y$04$o/Ppw6oIXfsPC0eADBxlTOh3bCrflazjofRrFR3.q8pfJil5AAQly");
        let of_72 = stored("$2y$04$i7DHx3Ypcn/ao7pBl0BzgOl1ZXHdzkVRyBh/NzgiV/l5ubJ.r.JBW");
        for hash in [of_80, of_72] {
            assert!(hash.matches(&"a".repeat(72)), "72 bytes are seen whole");
            for len in [71, 73, 80, 144, 1024] {
                assert!(!hash.matches(&"a".repeat(len)), "{len}");
            }
        }
    }

    /// `htpasswd -nbB -C 4 s a`: to bcrypt itself the first of these are the same password.
    #[test]
    fn a_password_with_nul_never_matches_bcrypt() {
        let hash = stored("$2y$04$x0Ydh3NivU2OgCW/XUTykuqTmRo07Gt3iQ6f2Wo77bAAMVcUZPgSO");
        assert!(hash.matches("a"));
        assert!(bcrypt::verify("a\0a", hash.as_str()).unwrap(), "the trap is there");
        for wrong in ["a\0a", "a\0a\0a", "a\0", "a\0b", "\0a"] {
            assert!(!hash.matches(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn plain_text_and_weak_or_unknown_schemes_are_refused_with_the_reason() {
        assert_eq!(refusal(""), HashError::Empty);
        for plain in ["plain", "correct-horse", "$money", "{curly", "*", "!", "été"] {
            assert_eq!(refusal(plain), HashError::PlainText, "{plain}");
        }
        assert_eq!(refusal("vNZvldonfPv4I"), HashError::Des);
        assert_eq!(refusal("_J9..rasmBYk8r9AiWNc"), HashError::Des);
        assert_eq!(refusal("$1$abcdefgh$0R51htEHYeaUpjuspI6w91"), HashError::Md5Crypt);
        let unsupported = [
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$ZC7utMNy6vIZwKgR4fFnBOrVlC6ejhMY0M9NVedn6Y9",
            "$2x$04$abcdefghijklmnopqrstuuPoaPXzWjiVz4HaNq2LJXksWbO79E.S6",
            "{SSHA}MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=",
            "{PLAIN}correct-horse",
        ];
        for text in unsupported {
            assert_eq!(refusal(text), HashError::Unsupported, "{text}");
        }
    }

    #[test]
    fn hashes_that_would_hold_the_server_are_refused() {
        let bcrypt = |cost| format!("$2y${cost:02}$UMwEmLIncZ2ZMtJ7MV2Y2O0SUm0eGwKAhlV54TaBIn5mH.Oudc6Ou");
        assert_eq!(refusal(&bcrypt(31)), HashError::BcryptCost { cost: 31, limit: 14 });
        assert_eq!(refusal(&bcrypt(15)), HashError::BcryptCost { cost: 15, limit: 14 });
        assert_eq!(refusal(&bcrypt(3)), HashError::BcryptCost { cost: 3, limit: 14 });
        assert_eq!(stored(&bcrypt(14)).scheme(), Scheme::Bcrypt { cost: 14 });
        let strict = Policy { max_bcrypt_cost: 10, ..Policy::default() };
        assert!(StoredHash::parse(&bcrypt(11), &strict).is_err());

        let sha = |rounds| format!("$5$rounds={rounds}$saltsalt$CCKm5X4kzVCLWT/Hq5GucahpjziEZzqHdFDbxBDxFT8");
        for rounds in [0, 10, 999, 1_000_001, 999_999_999] {
            assert_eq!(refusal(&sha(rounds)), HashError::ShaCryptRounds { rounds, limit: 1_000_000 });
        }
        assert_eq!(stored(&sha(1_000_000)).scheme(), Scheme::Sha256Crypt { rounds: 1_000_000 });
    }

    #[test]
    fn damaged_hashes_are_refused() {
        let damaged = [
            "$2y$04$UMwEmLIncZ2ZMtJ7MV2Y2O0SUm0eGwKAhlV54TaBIn5mH.Oudc6O",
            "$2y$xx$UMwEmLIncZ2ZMtJ7MV2Y2O0SUm0eGwKAhlV54TaBIn5mH.Oudc6Ou",
            "$2y$04$UMwEmLIncZ2ZMtJ7MV2Y2O0SUm0eGwKAhlV54TaBIn5mH.Oudc6é",
            "$apr1$8Tr6mJg2$",
            "$apr1$$IOypGP1rjT6bRuXo1Xdg8.",
            "$apr1$ninechars$IOypGP1rjT6bRuXo1Xdg8.",
            "$apr1$8Tr6mJg2",
            "$5$rounds=x$saltsalt$CCKm5X4kzVCLWT/Hq5GucahpjziEZzqHdFDbxBDxFT8",
            "$5$saltsalt$CCKm5X4kzVCLWT/Hq5GucahpjziEZzqHdFDbxBDxFT8x",
            "$5$$CCKm5X4kzVCLWT/Hq5GucahpjziEZzqHdFDbxBDxFT8",
            "$5$seventeen-letters$CCKm5X4kzVCLWT/Hq5GucahpjziEZzqHdFDbxBDxFT8",
            "$5$CCKm5X4kzVCLWT/Hq5GucahpjziEZzqHdFDbxBDxFT8",
            "$6$saltsalt$CCKm5X4kzVCLWT/Hq5GucahpjziEZzqHdFDbxBDxFT8",
            "{SHA}NstYn3QVe0WBGmkMWLQ0CV9I6fo",
            "{SHA}",
        ];
        for text in damaged {
            assert!(matches!(refusal(text), HashError::Malformed(_)), "{text}");
        }
    }

    #[test]
    fn neither_debug_nor_an_error_shows_what_is_stored() {
        let hash = stored("{SHA}NstYn3QVe0WBGmkMWLQ0CV9I6fo=");
        assert_eq!(format!("{hash:?}"), "StoredHash(Sha1)");
        assert!(!refusal("correct-horse").to_string().contains("horse"));
    }

    proptest! {
        #[test]
        fn no_field_makes_it_panic(text in "(\\$2y\\$|\\$5\\$(rounds=[0-9]{1,11}\\$)?|\\$6\\$|\\$apr1\\$|\\{SHA\\})?.{0,70}") {
            let _ = StoredHash::parse(&text, &Policy::default());
        }

        #[test]
        fn checking_a_password_against_a_parsed_hash_never_panics(
            text in "(\\$apr1\\$[^$]{1,8}\\$[./0-9A-Za-z]{22}|\\$5\\$[^$]{1,16}\\$[./0-9A-Za-z]{43}|\\$6\\$[^$]{1,16}\\$[./0-9A-Za-z]{86}|\\{SHA\\}[A-Za-z0-9+/]{27}=)",
            password in ".{0,100}",
        ) {
            if let Ok(hash) = StoredHash::parse(&text, &Policy::default()) {
                prop_assert!(!hash.matches(&password));
            }
        }
    }
}
