//! No client of a trusted proxy chooses who it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::forwarded_for(input));
