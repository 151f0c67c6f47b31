//! Where a list goes on in the registry behind, as a client carries it: sealed, since it names what the client may not
//! see.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// No name of a repository begins with it.
const MARK: char = '.';

/// A cursor's length tells that of the name in it no more exactly than this.
const PADDING: usize = 256;

/// The key of this process: another gate, or one that was started anew, does not read its cursors.
pub(super) struct Sealer(RandomizedNonceKey);

impl Default for Sealer {
    fn default() -> Self {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).expect("the system's randomness does not fail once it is seeded");
        Self(RandomizedNonceKey::new(&AES_256_GCM, &key).expect("the key has the algorithm's length"))
    }
}

impl Sealer {
    /// A cursor that leads to `target`, in pages of this many.
    pub(super) fn seal(&self, target: &str, page: usize) -> String {
        let mut text = target.as_bytes().to_vec();
        text.resize(text.len().next_multiple_of(PADDING), 0);
        let nonce = self.0.seal_in_place_append_tag(Aad::from(page.to_le_bytes()), &mut text);
        let nonce = nonce.expect("a target is far shorter than what one nonce is good for");
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode([&nonce.as_ref()[..], &text].concat()))
    }

    /// Where a cursor leads to, if it is one of this process and of pages of this many.
    pub(super) fn open(&self, cursor: &str, page: usize) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(cursor.strip_prefix(MARK)?).ok()?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let aad = Aad::from(page.to_le_bytes());
        let target = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut text).ok()?;
        Some(std::str::from_utf8(target).ok()?.trim_end_matches('\0').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_for_who_made_it_and_tells_nothing() {
        let (sealer, target) = (Sealer::default(), "/v2/_catalog?last=secret%2Fmerger&n=100");
        let cursor = sealer.seal(target, 100);
        assert_eq!(sealer.open(&cursor, 100).as_deref(), Some(target));
        assert_ne!(sealer.seal(target, 100), cursor);
        assert_eq!(sealer.seal("/v2/_catalog?last=a", 100).len(), cursor.len());
        assert_eq!(sealer.open(&cursor, 99), None);
        assert_eq!(Sealer::default().open(&cursor, 100), None);
        for at in 0..cursor.len() {
            let mut bent = cursor.clone();
            bent.replace_range(at..=at, if &cursor[at..=at] == "A" { "B" } else { "A" });
            assert_eq!(sealer.open(&bent, 100), None, "{at}");
        }
        for other in ["", ".", "secret/merger", ".AAAA", ".=", "é"] {
            assert_eq!(sealer.open(other, 100), None, "{other:?}");
        }
    }
}
