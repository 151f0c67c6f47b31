//! Only who stands in the file comes in, and an edit changes one user.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::htpasswd(input));
