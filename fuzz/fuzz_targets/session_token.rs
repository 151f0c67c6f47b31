//! Nothing that strangers send is a session token.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|input: &str| fuzzing::session_token(input));
