//! A scope is the same after it was written, and gives nothing that was not asked for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|input: &str| fuzzing::scope(input));
