//! What is drawn at random, under names that are the same each time.

use std::collections::HashMap;

/// How long a UUID is in text, and half of the digest of a tag that is being deleted.
const UUID: usize = 36;
const NONCE: usize = 32;

/// UUIDs by who used them first, and as which of his.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    known: HashMap<Vec<u8>, String>,
    drawn: HashMap<usize, usize>,
}

impl Names {
    /// A text of a node's, whose new UUIDs are named.
    pub(super) fn of(&mut self, node: usize, text: &[u8]) -> Vec<u8> {
        for found in drawn_at_random(text) {
            if !self.known.contains_key(&text[found.clone()]) {
                let number = self.drawn.entry(node).or_default();
                *number += 1;
                self.known.insert(text[found].to_vec(), format!("<{node}.{number}>"));
            }
        }
        self.known(text)
    }

    /// A text whose UUIDs have names by now, or are those that they are.
    pub(super) fn known(&self, text: &[u8]) -> Vec<u8> {
        let (mut named, mut end) = (Vec::with_capacity(text.len()), 0);
        for found in drawn_at_random(text) {
            named.extend_from_slice(&text[end..found.start]);
            let known = self.known.get(&text[found.clone()]);
            named.extend_from_slice(known.map_or(&text[found.clone()], String::as_bytes));
            end = found.end;
        }
        named.extend_from_slice(&text[end..]);
        named
    }

    /// Takes UUIDs for given that are in what was there before.
    pub(super) fn give(&mut self, text: &[u8]) {
        for found in drawn_at_random(text) {
            let name = String::from_utf8_lossy(&text[found.clone()]).into_owned();
            self.known.insert(text[found].to_vec(), name);
        }
    }
}

/// Where in a text there are UUIDs, or nonces behind a row of zeros.
fn drawn_at_random(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let rest = &text[at..];
        let is_uuid = rest.len() >= UUID
            && [8, 13, 18, 23].iter().all(|dash| rest[*dash] == b'-')
            && rest[..UUID].iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
        let is_nonce = rest.len() >= 2 * NONCE
            && rest[0] == b'0'
            && rest[..NONCE].iter().all(|byte| *byte == b'0')
            && rest[NONCE..2 * NONCE].iter().all(u8::is_ascii_hexdigit);
        match (is_uuid, is_nonce) {
            (true, _) => found.push(at..at + UUID),
            (_, true) => found.push(at + NONCE..at + 2 * NONCE),
            _ => {
                at += 1;
                continue;
            }
        }
        at = found.last().expect("one was found").end;
    }
    found
}
