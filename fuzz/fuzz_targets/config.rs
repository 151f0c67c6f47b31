//! A configuration that is accepted is within its bounds, and a problem lies in the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|text: &str| fuzzing::config(text));
