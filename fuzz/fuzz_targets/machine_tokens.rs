//! A file of tokens is read as it is written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::machine_tokens(input));
