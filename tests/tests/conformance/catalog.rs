//! Docker's list of repositories: no part of the specification, and asked for by crane, oras and others.

use crate::answer::Answer;
use crate::visit::Visit;

checks! {
    "Docker Registry HTTP API V2: Listing Repositories" {
        ALSO a_catalog_is_json_with_the_repositories,
        ALSO repositories_are_in_lexical_order,
        ALSO a_page_of_repositories_has_n_at_most_and_a_link,
        ALSO who_follows_the_links_sees_every_repository_once,
        ALSO last_repository_is_not_listed_itself,
        ALSO last_need_not_be_a_repository_that_is_there,
        ALSO a_page_of_0_repositories_is_empty_and_has_no_link,
        ALSO a_huge_n_costs_nothing,
        ALSO an_n_that_is_no_count_of_repositories_is_400,
        ALSO after_the_last_repository_there_is_an_empty_list,
        ALSO a_session_alone_makes_no_repository,
    }
}

/// Makes repositories below the check's.
fn make(visit: &Visit, parts: &[&str]) -> Vec<String> {
    let names: Vec<String> = parts.iter().map(|part| visit.below(part)).collect();
    for name in &names {
        visit.push_to(name, "content");
    }
    names
}

/// A page of what sorts after the check's own name: other checks' repositories come before or after those below it.
fn page(visit: &Visit, query: &str) -> Answer {
    visit.get(format!("/v2/_catalog?last={}/{query}", visit.repository)).expect(200)
}

/// All below the check's own name, by the links.
fn all_below(visit: &Visit, n: usize) -> Vec<String> {
    let (mut seen, mut next) = (Vec::new(), Some(format!("/v2/_catalog?n={n}&last={}/", visit.repository)));
    while let Some(path) = next {
        let answer = visit.get(path).expect(200);
        let names = answer.texts("repositories");
        assert!(names.len() <= n, "{names:?}");
        let ours = names.iter().filter(|name| name.starts_with(&format!("{}/", visit.repository)));
        seen.extend(ours.cloned());
        let beyond = names.last().is_some_and(|last| *last > format!("{}0", visit.repository));
        next = answer.next().filter(|_| !beyond);
    }
    seen
}

fn a_catalog_is_json_with_the_repositories(visit: &Visit) {
    let names = make(visit, &["a"]);
    let answer = page(visit, "");
    assert!(answer.header("content-type").starts_with("application/json"));
    assert!(answer.texts("repositories").contains(&names[0]), "{answer:?}");
}

fn repositories_are_in_lexical_order(visit: &Visit) {
    make(visit, &["b", "a/c", "a", "a-b", "a.b", "ab"]);
    let sorted = ["a", "a-b", "a.b", "a/c", "ab", "b"].map(|part| visit.below(part));
    assert_eq!(page(visit, "&n=6").texts("repositories"), sorted);
}

fn a_page_of_repositories_has_n_at_most_and_a_link(visit: &Visit) {
    let names = make(visit, &["a", "b", "c"]);
    let answer = page(visit, "&n=2");
    assert_eq!(answer.texts("repositories"), names[..2]);
    let next = answer.next().expect("there is more");
    assert_eq!(visit.get(next).expect(200).texts("repositories")[0], names[2]);
}

fn who_follows_the_links_sees_every_repository_once(visit: &Visit) {
    let names = make(visit, &["a", "a-b", "a/b", "a/b/c", "ab", "b/x/y"]);
    for n in [1, 2, 3, 5, 100] {
        assert_eq!(all_below(visit, n), names, "n={n}");
    }
}

fn last_repository_is_not_listed_itself(visit: &Visit) {
    let names = make(visit, &["a", "b", "c"]);
    assert_eq!(page(visit, "a&n=2").texts("repositories"), names[1..]);
    // Escaped, as a client does it that builds the query by a library.
    let last = names[0].replace('/', "%2F");
    assert_eq!(visit.get(format!("/v2/_catalog?n=1&last={last}")).expect(200).texts("repositories"), names[1..2]);
}

fn last_need_not_be_a_repository_that_is_there(visit: &Visit) {
    let names = make(visit, &["a", "c"]);
    assert_eq!(page(visit, "b&n=1").texts("repositories"), names[1..]);
}

fn a_page_of_0_repositories_is_empty_and_has_no_link(visit: &Visit) {
    make(visit, &["a"]);
    assert!(page(visit, "&n=0").without("link").texts("repositories").is_empty());
}

fn a_huge_n_costs_nothing(visit: &Visit) {
    let names = make(visit, &["a"]);
    for n in ["1000000000000", "9223372036854775807", "99999999999999999999999999"] {
        assert!(page(visit, &format!("&n={n}")).texts("repositories").contains(&names[0]), "n={n}");
    }
}

fn an_n_that_is_no_count_of_repositories_is_400(visit: &Visit) {
    for n in ["-1", "-9223372036854775808", "x", ""] {
        visit.get(format!("/v2/_catalog?n={n}")).refused(400, "PAGINATION_NUMBER_INVALID");
    }
}

fn after_the_last_repository_there_is_an_empty_list(visit: &Visit) {
    make(visit, &["a"]);
    let answer = visit.get("/v2/_catalog?last=zzzz&n=3").expect(200).without("link");
    assert!(answer.texts("repositories").is_empty());
}

fn a_session_alone_makes_no_repository(visit: &Visit) {
    let names = make(visit, &["b"]);
    visit.post(format!("/v2/{}/blobs/uploads/", visit.below("a"))).expect(202);
    assert_eq!(page(visit, "&n=1").texts("repositories"), names);
}
