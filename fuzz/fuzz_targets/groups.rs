//! Who is in a group stands in the file, and groups that are written anew are the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::groups(input));
