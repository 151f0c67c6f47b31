//! What parses as a reference is written as it was read, and as a file's name is one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_oci::Reference;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string(), text);
        assert!(!text.contains('/') && !text.starts_with('.'));
        assert_eq!(matches!(reference, Reference::Digest(_)), text.contains(':'));
    }
});
