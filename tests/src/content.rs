//! Content of any size, made and checked on the fly.

use crate::programs::tool;
use std::io::{self, Read, Write};
use std::process::Stdio;
use std::sync::Arc;

/// The pattern repeats after this many bytes: a prime, so that no buffer's size divides it and a buffer lost, doubled
/// or exchanged on the way is seen.
const PERIOD: usize = 1_048_573;

/// A stream of pseudo-random bytes, never held in memory.
#[derive(Debug, Clone)]
pub struct Pattern {
    block: Arc<[u8]>,
    at: u64,
    end: u64,
}

impl Pattern {
    /// `length` bytes, others for every `seed`.
    pub fn new(seed: u64, length: u64) -> Self {
        Self { block: block(seed), at: 0, end: length }
    }

    /// All of it in memory, for a small one.
    ///
    /// # Panics
    /// When it is too long for memory.
    pub fn bytes(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).expect("a pattern can always be read");
        bytes
    }

    /// Its digest, `sha256:<hex>`.
    pub fn digest(&self) -> String {
        sha256(self.clone())
    }
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.block[offset(self.at)..];
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let n = buffer.len().min(rest.len()).min(left);
        buffer[..n].copy_from_slice(&rest[..n]);
        self.at += n as u64;
        Ok(n)
    }
}

/// Takes what should be a [`Pattern`], and fails at the first byte that is not.
#[derive(Debug)]
pub struct PatternCheck {
    block: Arc<[u8]>,
    at: u64,
}

impl PatternCheck {
    /// Expects the pattern of this seed.
    pub fn new(seed: u64) -> Self {
        Self { block: block(seed), at: 0 }
    }

    /// How many bytes were right so far.
    pub fn length(&self) -> u64 {
        self.at
    }
}

impl Write for PatternCheck {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let expected = &self.block[offset(self.at)..];
        let n = buffer.len().min(expected.len());
        if buffer[..n] != expected[..n] {
            return Err(io::Error::other(format!("the content differs after byte {}", self.at)));
        }
        self.at += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn offset(at: u64) -> usize {
    usize::try_from(at % PERIOD as u64).expect("the period is small")
}

/// xorshift64*, one byte a step: plenty of disorder for a test.
fn block(seed: u64) -> Arc<[u8]> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes()[0]
    };
    std::iter::repeat_with(step).take(PERIOD).collect()
}

/// The digest of a content, `sha256:<hex>`, by the tool of the coreutils.
///
/// # Panics
/// When the content cannot be read.
pub fn sha256(content: impl Read) -> String {
    digest("sha256", content)
}

/// The same, `sha512:<hex>`.
///
/// # Panics
/// When the content cannot be read.
pub fn sha512(content: impl Read) -> String {
    digest("sha512", content)
}

fn digest(algorithm: &str, mut content: impl Read) -> String {
    let mut command = tool(&format!("{algorithm}sum"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the tool starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    io::copy(&mut content, &mut stdin).expect("the content can be read");
    drop(stdin);
    let output = child.wait_with_output().expect("the tool ends");
    let text = String::from_utf8(output.stdout).expect("a digest is ASCII");
    format!("{algorithm}:{}", text.split(' ').next().expect("the digest stands first"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_what_its_check_expects_and_no_other() {
        let bytes = Pattern::new(1, 3_000_000).bytes();
        let mut check = PatternCheck::new(1);
        check.write_all(&bytes).unwrap();
        assert_eq!(check.length(), 3_000_000);
        assert!(PatternCheck::new(2).write_all(&bytes).is_err());
        let mut doubled = PatternCheck::new(1);
        assert!(doubled.write_all(&[&bytes[..65536], &bytes[..65536]].concat()).is_err());
    }

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        let known = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(&b""[..]), known);
    }
}
