//! The keys that tokens are signed with: a file, the same for all gates that take each other's tokens.
//!
//! A line is a key of 32 bytes, in base64 or hexadecimal; blank lines and lines that start with `#` are none. **The
//! first key signs, all of them verify**, so that a key is changed without ending a token: the new one is added at the
//! end, put first once every gate has it, and the old one's line is removed when its last token has ended.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use lockgate_settings::{UTF16, is_utf16, read_bounded};
use zeroize::Zeroizing;

use crate::files::{Audience, Exposure};

/// Bytes of a key: as many as SHA-256 has.
const KEY_LEN: usize = 32;

/// The keys of a file, of which there is at least one. `Debug` shows how many.
pub struct TokenKeys {
    /// The first one signs.
    keys: Vec<hmac::Key>,
    exposure: Option<Exposure>,
}

/// What a key makes of a message.
pub(crate) type Mac = [u8; 32];

/// Why a file gives no keys.
#[derive(Debug, thiserror::Error)]
#[error("{}: {defect}", path.display())]
pub struct TokenKeysError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub defect: KeyFileDefect,
}

/// Why a file of keys is unusable. Never quotes a line: it may be a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileDefect {
    /// It is not there, or may not be read.
    #[error("the file cannot be read: {error}{}", cure(.0), error = .0)]
    Read(io::Error),
    /// It was written on Windows.
    #[error("{UTF16}")]
    Utf16,
    /// A line is neither a key nor a comment.
    #[error("line {line} is no key: a key is 32 bytes in base64 or hexadecimal, as `lockgate token-key FILE` makes it")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// There is no key in it.
    #[error("there is no key in it; remove the file and make it again with `lockgate token-key FILE`")]
    Empty,
    /// Each request with a wrong token costs as much as there are keys.
    #[error("there are more than {} keys; remove the lines of those whose last token has ended", TokenKeys::MOST)]
    TooMany,
    /// The first key is the last one, too.
    #[error("there is one key only, which is the first; add another with --add")]
    Alone,
}

impl TokenKeys {
    /// How many keys a file may have.
    pub const MOST: usize = 16;

    /// Reads a file.
    ///
    /// # Errors
    /// [`TokenKeysError`]: at start there is nothing to sign with; on a reload the keys stay as they are.
    pub fn load(path: &Path) -> Result<Self, TokenKeysError> {
        let file = read_bounded(path).map(Zeroizing::new).map_err(KeyFileDefect::Read);
        let keys = file.and_then(|file| Self::parse(&file));
        let keys = keys.map_err(|defect| TokenKeysError { path: path.to_owned(), defect })?;
        Ok(Self { exposure: Exposure::of(path, Audience::Group), ..keys })
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// Any [`KeyFileDefect`] but [`KeyFileDefect::Read`] and [`KeyFileDefect::Alone`].
    pub fn parse(file: &[u8]) -> Result<Self, KeyFileDefect> {
        if is_utf16(file) {
            return Err(KeyFileDefect::Utf16);
        }
        let mut keys = Vec::new();
        for (line, text) in (1..).zip(file.split(|byte| *byte == b'\n')) {
            if holds_a_key(text) {
                let key = key_of(text).ok_or(KeyFileDefect::Line { line })?;
                keys.push(hmac::Key::new(hmac::HMAC_SHA256, &*key));
            }
        }
        match keys.len() {
            0 => Err(KeyFileDefect::Empty),
            1..=Self::MOST => Ok(Self { keys, exposure: None }),
            _ => Err(KeyFileDefect::TooMany),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// That others on this machine may read the file, and so make tokens.
    pub fn exposure(&self) -> Option<&Exposure> {
        self.exposure.as_ref()
    }

    /// The first key's MAC of these parts, for one purpose.
    pub(crate) fn sign(&self, purpose: &str, parts: &[&[u8]]) -> Mac {
        mac(&self.keys[0], purpose, parts)
    }

    /// Whether one of the keys made this MAC of these parts, for this purpose.
    pub(crate) fn verify(&self, purpose: &str, parts: &[&[u8]], claimed: &[u8]) -> bool {
        let made = |key| constant_time::verify_slices_are_equal(&mac(key, purpose, parts), claimed).is_ok();
        self.keys.iter().any(made)
    }
}

/// Each part with its length before it, so that no two sets of parts read the same.
fn mac(key: &hmac::Key, purpose: &str, parts: &[&[u8]]) -> Mac {
    let parts = || [purpose.as_bytes()].into_iter().chain(parts.iter().copied());
    let mut message = Vec::with_capacity(parts().map(|part| size_of::<u64>() + part.len()).sum());
    for part in parts() {
        message.extend_from_slice(&(part.len() as u64).to_le_bytes());
        message.extend_from_slice(part);
    }
    hmac::sign(key, &message).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKeys({})", self.keys.len())
    }
}

/// The content of a new file.
pub(crate) fn new_key_file() -> Vec<u8> {
    let head = b"# Signs the tokens of this registry: the first key signs, all verify. Keep it secret.\n";
    with_new_key(head)
}

/// The file with a new key at its end, which verifies and does not sign yet.
///
/// # Errors
/// The file, as it is or as it would be, holds no keys.
pub(crate) fn add_key(file: &[u8]) -> Result<Vec<u8>, KeyFileDefect> {
    TokenKeys::parse(file)?;
    let added = with_new_key(file);
    TokenKeys::parse(&added)?;
    Ok(added)
}

/// The file with its last key first. Everything else stays where it is.
///
/// # Errors
/// The file holds no keys, or one only.
pub(crate) fn promote_last_key(file: &[u8]) -> Result<Vec<u8>, KeyFileDefect> {
    if TokenKeys::parse(file)?.count() == 1 {
        return Err(KeyFileDefect::Alone);
    }
    let mut lines: Vec<_> = file.split(|byte| *byte == b'\n').collect();
    let first = lines.iter().position(|line| holds_a_key(line)).expect("it was parsed");
    let last = lines.iter().rposition(|line| holds_a_key(line)).expect("it was parsed");
    let promoted = lines.remove(last);
    lines.insert(first, promoted);
    Ok(lines.join(&b'\n'))
}

fn with_new_key(file: &[u8]) -> Vec<u8> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    aws_lc_rs::rand::fill(key.as_mut_slice()).expect("the system's randomness does not fail once it is seeded");
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(key.as_slice()));
    let separator: &[u8] = if file.is_empty() || file.ends_with(b"\n") { b"" } else { b"\n" };
    [file, separator, text.as_bytes(), b"\n"].concat()
}

fn holds_a_key(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    !line.is_empty() && !line.starts_with(b"#")
}

/// A key in hexadecimal, or in either alphabet of base64 with or without padding: as `openssl rand` writes it too.
fn key_of(line: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let text = str::from_utf8(line.trim_ascii()).ok()?;
    let bytes = match text.len() {
        64 => hexadecimal(text)?,
        _ => base64_of(text, &URL_SAFE).or_else(|| base64_of(text, &STANDARD))?,
    };
    <[u8; KEY_LEN]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new)
}

/// The bytes of an even number of digits.
pub(super) fn hexadecimal(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    text.as_bytes().chunks_exact(2).map(pair).collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

fn base64_of(text: &str, alphabet: &Alphabet) -> Option<Zeroizing<Vec<u8>>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, lenient).decode(text).ok().map(Zeroizing::new)
}

/// What to do about a file that cannot be read.
fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; make it with `lockgate token-key FILE`",
        io::ErrorKind::PermissionDenied => "; let the user that Lockgate runs as read it",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    const OTHER: &str = "_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-8";

    fn keys(file: &str) -> TokenKeys {
        TokenKeys::parse(file.as_bytes()).unwrap()
    }

    fn mac_of(file: &str) -> Mac {
        keys(file).sign("test", &[b"message"])
    }

    fn verifies(file: &str, mac: &Mac) -> bool {
        keys(file).verify("test", &[b"message"], mac)
    }

    #[test]
    fn a_key_is_32_bytes_in_hexadecimal_or_either_base64() {
        let expected = mac_of(BASE64);
        for same in [HEX, &format!("{BASE64}="), &format!("# a comment\r\n\r\n  {HEX} \r\n")] {
            assert_eq!(mac_of(same), expected, "{same}");
        }
        assert_eq!(mac_of(OTHER), mac_of(&OTHER.replace('_', "/").replace('-', "+")));
        assert_ne!(mac_of(OTHER), expected);
    }

    #[test]
    fn a_line_that_is_no_key_is_named_and_not_quoted() {
        for bad in ["correct-horse", &HEX[..62], &format!("{HEX}00"), &BASE64[..42], &HEX.replace('a', "x"), "\u{e9}"] {
            let error = TokenKeys::parse(format!("# keys\n{BASE64}\n{bad}\n").as_bytes()).unwrap_err();
            assert!(matches!(error, KeyFileDefect::Line { line: 3 }), "{bad}: {error}");
            assert!(!format!("{error} {error:?}").contains(bad), "{error}");
        }
        for empty in ["", "\n# nothing\n"] {
            assert!(matches!(TokenKeys::parse(empty.as_bytes()), Err(KeyFileDefect::Empty)), "{empty:?}");
        }
        let many = format!("{BASE64}\n").repeat(TokenKeys::MOST + 1);
        assert!(matches!(TokenKeys::parse(many.as_bytes()), Err(KeyFileDefect::TooMany)));
    }

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let both = format!("{BASE64}\n{OTHER}\n");
        assert_eq!(mac_of(&both), mac_of(BASE64));
        assert!(verifies(&both, &mac_of(OTHER)));
        assert!(!verifies(BASE64, &mac_of(OTHER)));
    }

    #[test]
    fn a_mac_is_of_one_purpose_and_of_parts_that_end_where_they_end() {
        let keys = keys(BASE64);
        let mac = keys.sign("test", &[b"ab", b"c"]);
        assert!(keys.verify("test", &[b"ab", b"c"], &mac));
        assert!(!keys.verify("toast", &[b"ab", b"c"], &mac));
        assert!(!keys.verify("test", &[b"a", b"bc"], &mac));
        assert!(!keys.verify("test", &[b"ab", b"c"], &mac[..31]));
    }

    #[test]
    fn a_key_is_changed_without_a_moment_in_which_what_one_gate_signs_another_does_not_read() {
        let old = String::from_utf8(new_key_file()).unwrap();
        let added = String::from_utf8(add_key(old.as_bytes()).unwrap()).unwrap();
        assert_eq!(mac_of(&added), mac_of(&old), "a key that was added does not sign");
        let promoted = String::from_utf8(promote_last_key(added.as_bytes()).unwrap()).unwrap();
        assert_ne!(mac_of(&promoted), mac_of(&old));
        for (file, mac) in [(&added, mac_of(&promoted)), (&promoted, mac_of(&added))] {
            assert!(verifies(file, &mac));
        }
        let sorted = |file: &str| {
            let mut lines: Vec<_> = file.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&promoted), sorted(&added), "nothing is lost");
    }

    #[test]
    fn comments_stay_where_they_are_when_a_key_is_promoted() {
        let file = format!("# head\n{BASE64}\n# of May\n{OTHER}");
        let promoted = promote_last_key(file.as_bytes()).unwrap();
        assert_eq!(str::from_utf8(&promoted).unwrap(), format!("# head\n{OTHER}\n{BASE64}\n# of May"));
        assert!(matches!(promote_last_key(BASE64.as_bytes()), Err(KeyFileDefect::Alone)));
    }

    #[test]
    fn a_key_is_not_in_the_debug_output() {
        assert_eq!(format!("{:?}", keys(&format!("{BASE64}\n{OTHER}"))), "TokenKeys(2)");
    }

    #[test]
    fn a_file_that_others_may_read_has_a_warning_and_one_that_is_not_there_a_cure() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token.key");
        let error = TokenKeys::load(&file).unwrap_err().to_string();
        assert!(
            error.contains("token.key: the file cannot be read") && error.contains("lockgate token-key"),
            "{error}"
        );
        std::fs::write(&file, BASE64).unwrap();
        for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(TokenKeys::load(&file).unwrap().exposure().is_some(), warned, "{mode:o}");
        }
    }
}
