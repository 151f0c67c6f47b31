//! A configuration of nginx's is the same when it is written anew, and what is made of it is valid.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|text: &str| fuzzing::nginx(text));
