//! `PATTERN NAME USER`: a pattern of repositories is matched as by trying every way, and so is one of tags.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|text: &str| fuzzing::pattern(text));
