//! `METHOD path?query`: an action is about the repository of its path; and a query without its mount is read as
//! before, but for the mount.

#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use lockgate_oci::{Action, Query, Route, without_mount};

fuzz_target!(|input: &str| {
    let Some((method, target)) = input.split_once(' ') else { return };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Ok(action) = Action::parse(&method, path, query) else { return };
    let route = Route::parse(path).expect("an action's path is an end-point");
    assert_eq!(action.repository(), route.repository());
    let query = query.unwrap_or_default();
    let rest = without_mount(query);
    let (before, after) = (Query::parse(query).expect("it was read"), Query::parse(&rest).expect("it reads on"));
    for name in ["mount", "from"] {
        assert_eq!(after.get(name), None);
    }
    for name in ["digest", "digest-algorithm", "tag", "n", "last", "artifactType", "_state"] {
        assert!(before.all(name).eq(after.all(name)), "{name}");
    }
    if let Action::Mount { .. } = action {
        let upload = Action::parse(&method, path, Some(&rest));
        assert!(!matches!(upload, Ok(Action::Mount { .. })), "{upload:?}");
    }
});
