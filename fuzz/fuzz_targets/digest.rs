//! What parses as a digest is written as it was read, and its hex is as long as its algorithm says; and it is one of
//! any algorithm, which stays within its path segment.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_oci::{AnyDigest, Digest};

fuzz_target!(|text: &str| {
    let any = text.parse::<AnyDigest>();
    if let Ok(any) = &any {
        assert_eq!(any.to_string(), text);
        assert!(!text.contains(['/', '%', '?', '#']) && !text.contains(".."));
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(any.expect("it is a digest").known().as_ref(), Ok(&digest));
        assert_eq!(digest.as_str(), text);
        assert_eq!(digest.hex().len(), digest.algorithm().hex_len());
        assert!(digest.hex().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    }
});
