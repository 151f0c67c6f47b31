//! The list of a repository's tags.

use crate::answer::Answer;
use crate::images::Manifest;
use crate::visit::Visit;

checks! {
    "Listing Tags" {
        MUST a_list_of_tags_is_json_with_the_repository_s_name,
        MUST tags_are_in_lexical_order,
        MUST an_unknown_repository_has_no_list_but_404,
        MUST a_repository_without_tags_has_an_empty_list,
        MUST n_is_how_many_come_at_most,
        MUST a_page_that_is_short_has_a_link_or_all_that_is_left,
        MUST who_follows_the_links_sees_every_tag_once,
        MUST the_last_page_has_no_link,
        MUST an_n_of_0_is_an_empty_list_without_link,
        MUST last_is_not_listed_itself,
        MUST last_works_without_n,
        MUST last_need_not_be_a_tag_that_is_there,
        MUST after_the_last_tag_there_is_an_empty_list,
        ALSO an_n_beyond_every_number_is_all_there_is,
        ALSO an_n_that_is_no_count_is_400,
        ALSO a_list_is_the_same_whatever_was_pushed_last,
    }
}

/// Tags in an order that none sorts them in.
fn tag(visit: &Visit, tags: &[&str]) {
    let image = Manifest::of(&visit.image("layer"));
    for tag in tags {
        visit.put_manifest(tag, &image).expect(201);
    }
}

fn list(visit: &Visit, query: &str) -> Answer {
    visit.get(format!("tags/list{query}")).expect(200)
}

#[track_caller]
fn lists(visit: &Visit, query: &str, tags: &[&str]) -> Answer {
    let answer = list(visit, query);
    assert_eq!(answer.texts("tags"), tags, "{query}");
    answer
}

fn a_list_of_tags_is_json_with_the_repository_s_name(visit: &Visit) {
    tag(visit, &["v1"]);
    let answer = lists(visit, "", &["v1"]);
    assert!(answer.header("content-type").starts_with("application/json"));
    assert_eq!(answer.json()["name"], visit.repository);
}

fn tags_are_in_lexical_order(visit: &Visit) {
    tag(visit, &["b", "_", "1.10", "a", "B", "a.b", "1.9", "a-b", "A", "ab"]);
    lists(visit, "", &["1.10", "1.9", "A", "B", "_", "a", "a-b", "a.b", "ab", "b"]);
}

fn an_unknown_repository_has_no_list_but_404(visit: &Visit) {
    visit.get("tags/list").refused(404, "NAME_UNKNOWN");
}

fn a_repository_without_tags_has_an_empty_list(visit: &Visit) {
    let image = Manifest::of(&visit.image("layer"));
    visit.put_manifest(&image.digest, &image).expect(201);
    lists(visit, "", &[]);
}

fn n_is_how_many_come_at_most(visit: &Visit) {
    tag(visit, &["c", "a", "b"]);
    lists(visit, "?n=1", &["a"]);
    lists(visit, "?n=2", &["a", "b"]);
    lists(visit, "?n=3", &["a", "b", "c"]);
    lists(visit, "?n=4", &["a", "b", "c"]);
}

fn a_page_that_is_short_has_a_link_or_all_that_is_left(visit: &Visit) {
    tag(visit, &["c", "a", "b"]);
    let next = lists(visit, "?n=2", &["a", "b"]).next().expect("there is more");
    assert_eq!(visit.get(next).expect(200).texts("tags"), ["c"]);
}

fn who_follows_the_links_sees_every_tag_once(visit: &Visit) {
    let all = ["a", "a-1", "a.1", "b", "c", "d_"];
    tag(visit, &all);
    for n in 1..=7 {
        let (mut seen, mut path) = (Vec::new(), Some(format!("tags/list?n={n}")));
        while let Some(page) = path {
            let answer = visit.get(page).expect(200);
            assert!(answer.texts("tags").len() <= n);
            seen.extend(answer.texts("tags"));
            path = answer.next();
            assert!(seen.len() <= all.len(), "n={n}: {seen:?}");
        }
        assert_eq!(seen, all, "n={n}");
    }
}

fn the_last_page_has_no_link(visit: &Visit) {
    tag(visit, &["c", "a", "b"]);
    for query in ["", "?n=3", "?n=4", "?n=2&last=a", "?last=b"] {
        list(visit, query).without("link");
    }
}

fn an_n_of_0_is_an_empty_list_without_link(visit: &Visit) {
    tag(visit, &["a", "b"]);
    lists(visit, "?n=0", &[]).without("link");
    lists(visit, "?n=0&last=a", &[]).without("link");
}

fn last_is_not_listed_itself(visit: &Visit) {
    tag(visit, &["c", "a", "b", "d"]);
    lists(visit, "?last=a&n=2", &["b", "c"]);
    lists(visit, "?n=1&last=b", &["c"]);
}

fn last_works_without_n(visit: &Visit) {
    tag(visit, &["c", "a", "b", "d"]);
    lists(visit, "?last=b", &["c", "d"]);
}

fn last_need_not_be_a_tag_that_is_there(visit: &Visit) {
    tag(visit, &["c", "a", "b"]);
    lists(visit, "?last=aa", &["b", "c"]);
    lists(visit, "?last=0", &["a", "b", "c"]);
    lists(visit, "?last=bb&n=5", &["c"]);
}

fn after_the_last_tag_there_is_an_empty_list(visit: &Visit) {
    tag(visit, &["a", "b"]);
    lists(visit, "?last=b", &[]).without("link");
    lists(visit, "?last=z&n=3", &[]).without("link");
}

fn an_n_beyond_every_number_is_all_there_is(visit: &Visit) {
    tag(visit, &["a", "b"]);
    for n in ["1000000000", "9223372036854775807", "18446744073709551616", "99999999999999999999999999"] {
        let answer = list(visit, &format!("?n={n}")).without("link");
        assert_eq!(answer.texts("tags").len(), 2, "n={n}");
    }
}

fn an_n_that_is_no_count_is_400(visit: &Visit) {
    tag(visit, &["a"]);
    for n in ["-1", "-9223372036854775808", "x", "", "1.5", "1e3"] {
        visit.get(format!("tags/list?n={n}")).refused(400, "PAGINATION_NUMBER_INVALID");
    }
}

fn a_list_is_the_same_whatever_was_pushed_last(visit: &Visit) {
    tag(visit, &["a", "b", "c"]);
    visit.push_image("a", "another layer");
    visit.push_image("b", "another layer");
    lists(visit, "", &["a", "b", "c"]);
    lists(visit, "?n=2", &["a", "b"]);
}
