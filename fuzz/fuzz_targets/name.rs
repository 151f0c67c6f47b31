//! What parses as a repository's name is written as it was read, and as a path leads nowhere else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_oci::RepositoryName;

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<RepositoryName>() {
        assert_eq!(name.as_str(), text);
        assert!(text.len() <= RepositoryName::MAX_LEN);
        assert!(text.split('/').all(|part| !part.is_empty() && !part.starts_with(['.', '_', '-'])));
    }
});
