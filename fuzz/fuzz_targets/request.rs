//! What the gate admits has one framing, one host and one path, whoever reads it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::request(input));
