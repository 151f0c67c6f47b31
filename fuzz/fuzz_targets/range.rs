//! A range that is served lies in the blob. The blob's size is the first eight bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_backend::fuzzing;

fuzz_target!(|input: (u64, &str)| {
    let (size, header) = input;
    fuzzing::range(header, size);
    fuzzing::content_range(header);
});
