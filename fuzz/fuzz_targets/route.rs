//! An end-point's path is below `/v2/`, and its repository stands in it byte for byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_oci::Route;

fuzz_target!(|path: &str| {
    if let Ok(route) = Route::parse(path) {
        assert!(Route::is_api_path(path));
        if let Some(name) = route.repository() {
            let rest = path.strip_prefix("/v2/").and_then(|rest| rest.strip_prefix(name.as_str()));
            assert!(rest.is_some_and(|rest| rest.starts_with('/')), "{route:?}");
        }
    }
});
