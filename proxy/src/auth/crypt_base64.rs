//! The base64 of crypt(3): an alphabet of its own, and six bits a character, the lowest first.

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether `text` is `len` characters of it.
pub(super) fn is_encoded(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// Appends so many characters of a group of up to three bytes.
pub(super) fn push(text: &mut Vec<u8>, [high, middle, low]: [u8; 3], characters: usize) {
    let mut bits = u32::from_be_bytes([0, high, middle, low]);
    for _ in 0..characters {
        text.push(ALPHABET[(bits & 0x3f) as usize]);
        bits >>= 6;
    }
}
