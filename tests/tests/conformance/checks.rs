//! A row of a table, and what is made of it.

use crate::known_failures::KNOWN_FAILURES;
use crate::targets::Target;
use crate::visit::Visit;
use lockgate_e2e::Upstream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A claim about a registry.
pub(crate) struct Check {
    /// The section of the specification.
    pub(crate) section: &'static str,
    /// MUST, SHOULD, MAY or ALSO.
    pub(crate) level: &'static str,
    /// The claim, in words.
    pub(crate) claim: &'static str,
    /// Panics where it does not hold.
    pub(crate) ask: fn(&Visit),
}

/// Makes the table of a module, and a test for each of its rows and each target. With `of ours;` before them, the rows
/// are not asked of docker-registry.
macro_rules! checks {
    (of ours; $($section:literal { $($level:ident $claim:ident,)* })*) => {
        pub(crate) const CHECKS: &[crate::checks::Check] = &[$($(crate::checks::Check {
            section: $section,
            level: stringify!($level),
            claim: stringify!($claim),
            ask: $claim,
        },)*)*];

        mod backend {
            $($(
                #[test]
                fn $claim() {
                    crate::checks::holds(crate::targets::Target::Backend, super::CHECKS, stringify!($claim));
                }
            )*)*
        }

        mod proxied {
            $($(
                #[test]
                fn $claim() {
                    crate::checks::holds(crate::targets::Target::Proxied, super::CHECKS, stringify!($claim));
                }
            )*)*
        }

        mod bucket {
            $($(
                #[test]
                fn $claim() {
                    crate::checks::holds(crate::targets::Target::Bucket, super::CHECKS, stringify!($claim));
                }
            )*)*
        }

        mod within {
            $($(
                #[test]
                fn $claim() {
                    crate::checks::holds(crate::targets::Target::Within, super::CHECKS, stringify!($claim));
                }
            )*)*
        }
    };
    ($($section:literal { $($level:ident $claim:ident,)* })*) => {
        checks! { of ours; $($section { $($level $claim,)* })* }

        mod docker_registry {
            $($(
                #[test]
                fn $claim() {
                    crate::checks::holds_or_fails_as_known(super::CHECKS, stringify!($claim));
                }
            )*)*
        }
    };
}

/// The tables of all modules.
const TABLES: &[&[Check]] = &[
    crate::general::CHECKS,
    crate::pull::CHECKS,
    crate::upload::CHECKS,
    crate::manifests::CHECKS,
    crate::tags::CHECKS,
    crate::catalog::CHECKS,
    crate::referrers::CHECKS,
    crate::delete::CHECKS,
    crate::concurrent::CHECKS,
];

/// Asks a target for what a row claims.
pub(crate) fn holds(target: Target, table: &[Check], claim: &str) {
    let check = table.iter().find(|check| check.claim == claim).expect("the row made the test");
    eprintln!("{} ({}): {}", check.level, check.section, check.claim);
    (check.ask)(&Visit::to(target, check.claim));
}

/// Asks docker-registry, which fails where it is known to.
pub(crate) fn holds_or_fails_as_known(table: &[Check], claim: &str) {
    let outcome = catch_unwind(|| holds(Target::DockerRegistry, table, claim));
    match (outcome, KNOWN_FAILURES.contains(&claim)) {
        (Ok(()), false) => {}
        (Ok(()), true) => panic!("docker-registry does it: take {claim} off the known failures"),
        (Err(_), true) => eprintln!("as known, docker-registry does not do it"),
        (Err(panic), false) => resume_unwind(panic),
    }
}

fn every_check() -> impl Iterator<Item = &'static Check> {
    TABLES.iter().copied().flatten()
}

#[test]
fn every_known_failure_is_a_check_s_and_listed_once() {
    for (i, claim) in KNOWN_FAILURES.iter().enumerate() {
        assert!(every_check().any(|check| check.claim == *claim), "there is no check {claim}");
        assert!(!KNOWN_FAILURES[..i].contains(claim), "{claim} is listed twice");
    }
}

#[test]
fn every_check_has_a_level_and_a_name_of_its_own() {
    let mut seen = Vec::new();
    for check in every_check() {
        assert!(["MUST", "SHOULD", "MAY", "ALSO"].contains(&check.level), "{}", check.claim);
        // It is the repository's name as well.
        assert!(!seen.contains(&check.claim), "two checks are called {}", check.claim);
        seen.push(check.claim);
    }
}

#[test]
fn no_check_holds_for_a_server_that_always_answers_the_same() {
    let answers = ["200 OK", "202 Accepted", "400 Bad Request", "404 Not Found", "405 Method Not Allowed"];
    let servers = answers.map(|status| Upstream::answering(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")));
    for check in every_check() {
        let fails = |server: &Upstream| {
            catch_unwind(AssertUnwindSafe(|| (check.ask)(&Visit::to_stranger(server.address(), check.claim)))).is_err()
        };
        let held = answers.iter().zip(&servers).find(|(_, server)| !fails(server));
        assert!(held.is_none(), "{} holds for a server that answers {:?}", check.claim, held.map(|(answer, _)| answer));
    }
}
