//! Grants that are accepted give something only to whom they name, and a problem lies in the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|text: &str| fuzzing::grants(text));
