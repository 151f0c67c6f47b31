//! The examples of docs/rights.md hold what they say.

use lockgate_e2e::{Gate, fresh_dir};
use std::fs;
use std::path::Path;

/// Each example of grants, under its heading.
fn examples() -> Vec<(String, String)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rights.md")).expect("a page");
    let (mut heading, mut found) = (String::new(), Vec::new());
    for part in page.split("```").collect::<Vec<_>>().chunks(2) {
        heading = part[0]
            .lines()
            .rfind(|line| line.starts_with('#'))
            .map_or(heading, |line| line.trim_matches(['#', ' ']).to_owned());
        if let Some(code) = part.get(1).and_then(|code| code.strip_prefix("toml\n"))
            && code.contains("[[grant]]")
        {
            found.push((heading.clone(), code.to_owned()));
        }
    }
    found
}

#[test]
fn every_example_is_accepted_and_its_expectations_are_met() {
    let examples = examples();
    assert_eq!(examples.len(), 6, "one at the beginning and five more");
    for (heading, grants) in examples {
        let data = fresh_dir();
        let users = [("alice", "a"), ("bob", "b"), ("admin", "c"), ("ci", "d"), ("me", "e"), ("mirror", "f")];
        let gate = Gate::over(data.path()).users(&users).access(&grants).groups("team: alice bob\n");
        let check = gate.check();
        assert_eq!(check.status.code(), Some(0), "{heading}: {}", check.stderr);
        assert!(grants.contains("[[expect]]"), "{heading}");
        // An expectation that does not hold is told: the look does look.
        let turned = grants.replacen("may_not = ", "may = ", 1);
        if turned != grants {
            let check = Gate::over(data.path()).users(&users).access(&turned).groups("team: alice bob\n").check();
            assert_eq!(check.status.code(), Some(64), "{heading}: {}", check.stderr);
        }
    }
}
