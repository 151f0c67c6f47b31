//! A header of the PROXY protocol is read in one way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::proxy_header(input));
