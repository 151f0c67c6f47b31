//! A manifest that is accepted is served later, with the type that it came with. The type is what stands
//! before the first line's end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_backend::fuzzing;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (content_type, content) = input.split_at(end);
    let content_type = std::str::from_utf8(content_type).ok().filter(|text| !text.is_empty());
    fuzzing::manifest(content, content_type);
});
