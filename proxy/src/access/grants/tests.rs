//! The grants beside a reference model that was written apart, and what a person reads of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use lockgate_oci::{RepositoryName, Tag};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::access::{Access, Asker, Groups, Holder, Question};
use crate::auth::UserName;
use crate::rights::{Right, Wish};

fn access(text: &str, groups: &str) -> Access {
    let groups = if groups.is_empty() { Groups::default() } else { Groups::parse(groups.as_bytes()).unwrap() };
    Access::parse(text, Path::new("access.toml"), groups).unwrap_or_else(|problems| panic!("{problems}"))
}

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn moment(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).unwrap()
}

fn now() -> SystemTime {
    moment("2026-12-01T12:00:00Z")
}

/// Whether somebody at 10.1.2.3 may do something, and by which grant.
fn given(access: &Access, who: Option<&str>, wish: Wish<'_>, repository: &str) -> Option<usize> {
    let who = who.map(user);
    let asker = Asker { user: who.as_ref(), address: "10.1.2.3".parse().unwrap(), now: now() };
    access.grants.permits(&asker, wish, &name(repository)).map(|grant| grant.number)
}

const SITE: &str = r#"
[[grant]]
repositories = "public/**"
to = "anyone"
allow = "pull"

[[grant]]
repositories = ["team/**", "shared"]
to = ["group:team", "user:ci"]
allow = "create"

[[grant]]
repositories = "team/**"
to = "group:team"
allow = ["push", "delete"]
tags = ["latest", "dev-*"]

[[grant]]
repositories = "home/${user}/**"
to = "authenticated"
allow = "all"
from = ["10.0.0.0/8", "::1"]

[[grant]]
repositories = "**"
to = "user:admin"
allow = "all"
until = 2026-12-01
"#;

const TEAMS: &str = "team: alice \"carol x\"\n";

#[test]
fn grants_add_up_and_what_none_gives_is_refused() {
    let site = access(SITE, TEAMS);
    let (latest, v1): (Tag, Tag) = ("latest".parse().unwrap(), "v1".parse().unwrap());
    for (who, wish, repository, grant) in [
        (None, Wish::Pull, "public/a", Some(1)),
        (None, Wish::Pull, "public", None),
        (None, Wish::Pull, "team/app", None),
        (Some("bob"), Wish::Pull, "public/a/b", Some(1)),
        (Some("bob"), Wish::Create, "public/a", None),
        (Some("ci"), Wish::Pull, "team/app", Some(2)),
        (Some("ci"), Wish::CreateTag(&v1), "shared", Some(2)),
        (Some("ci"), Wish::MoveTag(&latest), "team/app", None),
        (Some("alice"), Wish::MoveTag(&latest), "team/app", Some(3)),
        (Some("carol x"), Wish::DeleteTag(&latest), "team/app", Some(3)),
        (Some("alice"), Wish::MoveTag(&v1), "team/app", None),
        (Some("alice"), Wish::CreateTag(&v1), "team/app", Some(2)),
        (Some("alice"), Wish::Delete, "team/app", None),
        (Some("alice"), Wish::MoveTag(&latest), "shared", None),
        (Some("alice"), Wish::Delete, "home/alice/x", Some(4)),
        (Some("alice"), Wish::Pull, "home/bob/x", None),
        (None, Wish::Pull, "home/alice/x", None),
        (Some("admin"), Wish::Delete, "a/b/c/d/e/f", Some(5)),
    ] {
        assert_eq!(given(&site, who, wish, repository), grant, "{who:?} {wish:?} {repository}");
    }
}

#[test]
fn a_grant_ends_and_is_for_its_addresses() {
    let site = access(SITE, TEAMS);
    let permits = |who: &str, address: &str, at: &str, repository: &str| {
        let who = user(who);
        let asker = Asker { user: Some(&who), address: address.parse().unwrap(), now: moment(at) };
        site.grants.permits(&asker, Wish::Pull, &name(repository)).is_some()
    };
    assert!(permits("admin", "::1", "2026-12-01T23:59:59Z", "x"));
    assert!(!permits("admin", "::1", "2026-12-02T00:00:00Z", "x"));
    for (address, is_given) in [("10.9.9.9", true), ("::ffff:10.9.9.9", true), ("::1", true), ("11.0.0.1", false)] {
        assert_eq!(permits("alice", address, "2026-12-01T00:00:00Z", "home/alice/x"), is_given, "{address}");
    }
}

#[test]
fn who_may_pull_anything_and_who_may_do_all_is_known_without_a_repository() {
    let site = access(SITE, TEAMS);
    let asker = |who: Option<&UserName>, address: &str| -> (bool, [Option<usize>; 2]) {
        let asker = Asker { user: who, address: address.parse().unwrap(), now: now() };
        let everywhere = |right| site.grants.permits_everywhere(&asker, right).map(|grant| grant.number);
        (site.grants.pulls_anything(&asker), [everywhere(Right::Pull), everywhere(Right::Delete)])
    };
    assert_eq!(asker(None, "10.0.0.1"), (true, [None, None]));
    assert_eq!(asker(Some(&user("admin")), "10.0.0.1"), (true, [Some(5), Some(5)]));
    let home = access(&SITE.replace("anyone", "user:eve"), TEAMS);
    for (who, address, pulls) in [
        (None, "10.0.0.1", false),
        (Some("bob"), "10.0.0.1", true),
        (Some("bob"), "11.0.0.1", false),
        (Some("Bob@example.com"), "10.0.0.1", false),
    ] {
        let who = who.map(user);
        let asker = Asker { user: who.as_ref(), address: address.parse().unwrap(), now: now() };
        assert_eq!(home.grants.pulls_anything(&asker), pulls, "{who:?} {address}");
    }
    let tagged = access("[[grant]]\nrepositories='**'\nto='user:a'\nallow='all'\ntags='x'", "");
    let (a, address) = (user("a"), "::1".parse().unwrap());
    let everywhere =
        |right| tagged.grants.permits_everywhere(&Asker { user: Some(&a), address, now: now() }, right).is_some();
    assert!(everywhere(Right::Pull) && !everywhere(Right::Push) && !everywhere(Right::Delete));
}

#[test]
fn a_group_that_is_a_whole_company_costs_a_request_nothing() {
    let members: String = (0..10_000).map(|user| format!(" user-{user}")).collect();
    let grants: String = (0..1000)
        .map(|team| format!("[[grant]]\nrepositories='team-{team}/**'\nto='group:all'\nallow='pull'\n"))
        .collect();
    let site = access(&grants, &format!("all:{members}"));
    let started = Instant::now();
    for _ in 0..1000 {
        assert_eq!(given(&site, Some("user-77"), Wish::Pull, "team-999/a/b"), Some(1000));
    }
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
}

#[test]
fn lists_that_are_too_long_together_are_refused() {
    let many = |what: &str| (0..1001).map(|n| format!("'{what}{n}',")).collect::<String>();
    let text = format!("[[grant]]\nrepositories=[{}]\nto=[{}]\nallow='pull'", many("r"), many("user:u"));
    let problems = Access::parse(&text, Path::new("f"), Groups::default()).unwrap_err().to_string();
    assert!(
        problems.starts_with("f: the lists of repositories") && problems.ends_with("grant to groups"),
        "{problems}"
    );
}

#[test]
fn a_person_is_told_why() {
    let site = access(SITE, TEAMS);
    let told = |who: &str, right, place: &str, tag: Option<&str>, address: Option<&str>| -> Vec<String> {
        let (who, repository, tag) = (user(who), name(place), tag.map(|tag| tag.parse::<Tag>().unwrap()));
        let address = address.map(|address| address.parse().unwrap());
        let asked =
            Question { user: Some(&who), right, repository: &repository, tag: tag.as_ref(), address, now: now() };
        let answer = site.grants.answer(asked);
        answer.gives().map(|grant| format!("yes by {grant}")).into_iter().chain(answer.reasons()).collect()
    };
    assert_eq!(
        told("alice", Right::Push, "team/app", None, None),
        ["grant 2 (line 7) gives pull, create only", "grant 3 (line 12) gives it for the tags latest, dev-*"]
    );
    assert_eq!(
        told("alice", Right::Push, "team/app", Some("v1"), None),
        ["grant 2 (line 7) gives pull, create only", "grant 3 (line 12) is for the tags latest, dev-* only"]
    );
    assert_eq!(
        told("alice", Right::Push, "team/app", Some("dev-1"), None),
        ["yes by grant 3 (line 12)", "grant 2 (line 7) gives pull, create only"]
    );
    assert_eq!(
        told("alice", Right::Delete, "home/alice/x", None, None),
        ["grant 4 (line 18) gives it to clients in 10.0.0.0/8, ::1"]
    );
    assert_eq!(
        told("alice", Right::Delete, "home/alice/x", None, Some("11.0.0.1")),
        ["grant 4 (line 18) is for clients in 10.0.0.0/8, ::1 only"]
    );
    assert_eq!(told("bob", Right::Pull, "team/app", None, None), Vec::<String>::new());
}

#[test]
fn everybody_who_may_do_something_is_listed_with_the_grant() {
    let site = access(SITE, TEAMS);
    let users: BTreeSet<_> = ["admin", "alice", "bob", "ci"].map(user).into_iter().collect();
    let listed = |repository: &str| -> Vec<String> {
        let holders = site.grants.holders(&name(repository), &users, now());
        let line = |holder: &Holder<'_>| format!("{} {} [{}]", holder.who, holder.grant.number, holder.bounds());
        holders.iter().map(line).collect()
    };
    assert_eq!(listed("public/a"), ["anyone 1 []", "admin 5 [until 2026-12-01]"]);
    assert_eq!(
        listed("team/app"),
        ["admin 5 [until 2026-12-01]", "alice 2 []", "alice 3 [tags latest, dev-*]", "ci 2 []"]
    );
    assert_eq!(listed("home/bob/x"), ["admin 5 [until 2026-12-01]", "bob 4 [from 10.0.0.0/8, ::1]"]);
}

#[test]
fn expectations_hold_or_are_told() {
    let expect = |text: &str| {
        let site = access(&format!("{SITE}\n[[expect]]\n{text}"), TEAMS);
        site.expectations[0].disappointments(&site.grants, now())
    };
    for holds in [
        "user='alice'\nmay='pull'\nmay_not='delete'\nrepository='team/app:v1'",
        "user='alice'\nmay=['push', 'delete']\nrepository='team/app:latest'",
        "user='anyone'\nmay='pull'\nmay_not=['create', 'push']\nrepository='public/x'",
        "user='authenticated'\nmay='pull'\nmay_not='push'\nrepository='public/x'",
        "user='bob'\nmay_not='all'\nrepository='team/app'",
        "user='bob'\nmay='all'\nrepository='home/bob/x'\naddress='10.0.0.1'",
        "user='bob'\nmay_not='all'\nrepository='home/bob/x'\naddress='11.0.0.1'",
    ] {
        assert_eq!(expect(holds), Vec::<String>::new(), "{holds}");
    }
    for (text, told) in [
        ("user='bob'\nmay='pull'\nrepository='team/app'", "bob may not pull team/app, and is expected to"),
        (
            "user='alice'\nmay_not='delete'\nrepository='team/app'",
            "alice may delete team/app by grant 3 (line 12), and is expected not to",
        ),
        ("user='alice'\nmay='push'\nrepository='team/app'", "alice may not push team/app, and is expected to"),
        (
            "user='bob'\nmay_not='pull'\nrepository='home/bob/x'",
            "bob may pull home/bob/x by grant 4 (line 18), and is expected not to",
        ),
        ("user='anyone'\nmay='push'\nrepository='a:v1'", "anyone may not push a:v1, and is expected to"),
    ] {
        assert_eq!(expect(text), [told], "{text}");
    }
}

#[test]
fn what_is_hardly_meant_is_told() {
    let reviewed = |text: &str, groups: &str| -> Vec<String> {
        let users: BTreeSet<_> = ["alice", "Bob", "e@x"].map(user).into_iter().collect();
        access(text, groups).review(&users, now()).iter().map(ToString::to_string).collect()
    };
    let grant = |rest: &str| format!("[[grant]]\nrepositories='**'\nto='user:alice'\nallow='push'\n[[grant]]\n{rest}");
    assert_eq!(reviewed("# nothing", ""), ["there is no grant, so everything is refused"]);
    assert_eq!(reviewed(&grant("repositories='a'\nto='user:alice'\nallow='pull'"), ""), Vec::<String>::new());
    for (rest, groups, told) in [
        (
            "repositories='a'\nto='anyone'\nallow='push'",
            "",
            "grant 2 (line 5) GIVES ANYONE, WITHOUT A PASSWORD, PULL, CREATE, PUSH: whoever reaches the registry may \
             write to it; \"authenticated\" is who has a password",
        ),
        (
            "repositories='a'\nto='user:alice'\nallow='pull'\nuntil=2026-11-30",
            "",
            "grant 2 (line 5) gives nothing: it has ended, until 2026-11-30",
        ),
        (
            "repositories='a'\nto=['user:carol', 'group:ops', 'group:none']\nallow='pull'",
            "none: \n",
            "grant 2 (line 5) gives nothing: there is no user carol, there is no group ops, nobody is in group none",
        ),
        (
            "repositories='a'\nto=['user:alice', 'user:carol']\nallow='pull'",
            "",
            "grant 2 (line 5): there is no user carol",
        ),
        (
            "repositories='a'\nto='group:team'\nallow='pull'",
            "team: alice carol dave\n",
            "group team: no user carol and dave",
        ),
        (
            "repositories='a'\nto='user:alice'\nallow='pull'\ntags='latest'",
            "",
            "grant 2 (line 5): its tags limit nothing, since it gives pull only",
        ),
        (
            "repositories='a'\nto='user:alice'\nallow=['create', 'delete']",
            "",
            "grant 2 (line 5): who may delete and create may move tags as with push: delete one, and create it anew",
        ),
        (
            "repositories='home/${user}/**'\nto='authenticated'\nallow='pull'",
            "",
            "grant 2 (line 5): home/${user}/** is no repository for Bob and e@x: a name with capitals, an @ or blanks \
             can be no part of a repository's name",
        ),
    ] {
        assert_eq!(reviewed(&grant(rest), groups), [told], "{rest}");
    }
    let read_only = "[[grant]]\nrepositories='**'\nto='authenticated'\nallow='pull'";
    assert_eq!(reviewed(read_only, ""), ["no grant lets anybody push"]);
}

#[test]
fn what_a_pattern_does_not_hold_is_told_once() {
    let grant = |repositories: &str| format!("[[grant]]\nrepositories=[{repositories}]\nto='anyone'\nallow='pull'\n");
    let text = grant("'team/**', 'public/*', 'team/app', '**'") + &grant("'team/**', '**/app', 'home/${user}/**', 'a'");
    assert_eq!(
        access(&text, "").limits_of_patterns(),
        [
            "team/** does not hold team",
            "public/* does not hold public/a/b",
            "**/app does not hold app",
            "home/${user}/** does not hold home/${user}",
            "a does not hold a/b",
        ]
    );
}

#[test]
fn mistakes_in_the_file_are_all_told_with_their_places() {
    let told = |text: &str| -> Vec<String> {
        let problems = Access::parse(text, Path::new("access.toml"), Groups::default()).expect_err(text);
        problems.iter().map(|problem| problem.to_string().replace("access.toml:", "")).collect()
    };
    let text = r#"
[[grant]]
repository = "team/**"
to = ["alice", "user:bob"]
allow = "pul"

[[grant]]
repositories = ["a", "Team/**"]
to = []
allow = 1
tags = "-x"
from = "10.0.0.1/8"
until = "soon"

[[expect]]
user = "alice"
repository = "team/app"

[[expect]]
user = ""
may = "write"
repository = "a b"
address = "x"

[[grants]]
"#;
    assert_eq!(
        told(text),
        [
            "2:1: grant[0]: repositories is missing and has no default",
            "3:1: grant[0].repository: no such key; did you mean repositories?",
            "4:7: grant[0].to[0]: \"alice\" is nobody: write \"user:alice\", \"group:alice\", \"authenticated\" or \
             \"anyone\"",
            "5:9: grant[0].allow: \"pul\" is no action; did you mean \"pull\"?",
            "8:22: grant[1].repositories[1]: repository names are in lower case; write \"team/**\"",
            "9:6: grant[1].to: there is nothing in it",
            "10:9: grant[1].allow: expected a text in quotes, or several in brackets, found 1",
            "11:8: grant[1].tags: no tag can match it: the one wildcard is *, and a tag has 1 to 128 letters, digits, \
             underscores, dots and dashes, and starts with none of the last two",
            "12:8: grant[1].from: the address has bits behind the prefix: write 10.0.0.0/8 for the network, 10.0.0.1 \
             for the address",
            "13:9: grant[1].until: expected a day, as in 2027-03-01, which is over at its end, or a moment in UTC, as \
             in 2027-03-01T12:00:00Z",
            "20:8: expect[1].user: a user name must not be empty",
            "21:7: expect[1].may: \"write\" is no action; did you mean \"push\"?",
            "22:14: expect[1].repository: a repository name is made of lower-case letters, digits and single \
             separators (., _, __, -) between them, its parts joined by /",
            "23:11: expect[1].address: it is no address, as in \"192.0.2.7\" or \"2001:db8::1\"",
            "25:3: grants: no such section; did you mean [grant]?",
        ]
    );
    assert_eq!(
        told("[[expect]]\nuser = 'a'\nrepository = 'a'"),
        ["1:1: expect: say what they may or may not: may = \"pull\", may_not = \"delete\""]
    );
    assert_eq!(
        told("[grant]\nrepositories = 'a'\n"),
        ["1:1: grant: expected a line with two pairs of brackets, as in [[grant]], above each of them, found a table"]
    );
    assert_eq!(told(" \n"), [" the file is empty; who wants everybody refused writes a comment"]);
}

/// A grant as it is written.
#[derive(Debug, Clone)]
struct Written {
    repositories: Vec<&'static str>,
    to: Vec<&'static str>,
    allow: Vec<&'static str>,
    tags: Vec<&'static str>,
    from: Vec<&'static str>,
    until: Option<u32>,
}

impl Written {
    fn toml(&self) -> String {
        let Self { repositories, to, allow, tags, from, until } = self;
        let mut text = format!("[[grant]]\nrepositories = {repositories:?}\nto = {to:?}\nallow = {allow:?}\n");
        text += &if tags.is_empty() { String::new() } else { format!("tags = {tags:?}\n") };
        text += &if from.is_empty() { String::new() } else { format!("from = {from:?}\n") };
        text + &until.map_or_else(String::new, |day| format!("until = 2026-01-{day:02}\n"))
    }
}

/// The reference model: what a grant gives, read from its text by trying every way.
mod model {
    use super::Written;

    fn glob(pattern: &str, text: &str) -> bool {
        match pattern.chars().next() {
            None => text.is_empty(),
            Some('*') => (0..=text.len()).any(|taken| glob(&pattern[1..], &text[taken..])),
            Some(first) => text.strip_prefix(first).is_some_and(|text| glob(&pattern[1..], text)),
        }
    }

    fn path(pattern: &[&str], name: &[&str], user: &str) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (["**", rest @ ..], [_, ..]) => (1..=name.len()).any(|taken| path(rest, &name[taken..], user)),
            ([first, rest @ ..], [segment, name @ ..]) => {
                glob(&first.replace("${user}", user), segment) && path(rest, name, user)
            }
            _ => false,
        }
    }

    /// `who` is `None`, or one of the users `a` and `b`, or one whose name is no segment. Those of group `g` are a and b.
    pub(super) fn gives(
        grant: &Written,
        who: Option<&str>,
        octet: u8,
        day: u32,
        act: (&str, &str),
        name: &str,
    ) -> bool {
        let is_to = |to: &&str| match *to {
            "anyone" => true,
            "authenticated" => who.is_some(),
            "group:g" => matches!(who, Some("a" | "b")),
            _ => who.is_some_and(|who| *to == format!("user:{who}")),
        };
        let (action, tag) = act;
        let is_allowed = |allowed: &&str| match action {
            "pull" => true,
            "create" => ["create", "push", "all"].contains(allowed),
            _ => *allowed == action || *allowed == "all",
        };
        let is_named = |pattern: &&str| {
            let is_segment = who.is_some_and(|who| who.bytes().all(|byte| byte.is_ascii_lowercase()));
            let (pattern, name): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), name.split('/').collect());
            (is_segment || !pattern.iter().any(|part| part.contains('$'))) && path(&pattern, &name, who.unwrap_or(""))
        };
        let has_tag = match tag {
            "" => action != "delete" || grant.tags.is_empty(),
            tag => grant.tags.is_empty() || grant.tags.iter().any(|pattern| glob(pattern, tag)),
        };
        grant.to.iter().any(is_to)
            && grant.allow.iter().any(is_allowed)
            && grant.repositories.iter().any(is_named)
            && has_tag
            && (grant.from.is_empty() || grant.from.contains(&"10.0.0.0/8") && octet == 10)
            && grant.until.is_none_or(|until| day <= until)
    }
}

fn some<T: Clone + std::fmt::Debug + 'static>(of: &'static [T], most: usize) -> impl Strategy<Value = Vec<T>> {
    subsequence(of.to_vec(), 1..=most)
}

fn none_or<T: Clone + std::fmt::Debug + 'static>(of: &'static [T]) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![2 => Just(Vec::new()), 1 => some(of, 1)]
}

fn written() -> impl Strategy<Value = Written> {
    const REPOSITORIES: &[&str] = &[
        "**",
        "*",
        "a",
        "a/b",
        "a/**",
        "a/*",
        "b/**/a",
        "**/a",
        "a*/b",
        "${user}",
        "${user}/**",
        "a/${user}",
        "a/b/a/b/a",
        "a/b/a/b/**",
        "*/${user}*/**",
        "a/b/a/b/b/**",
    ];
    const TO: &[&str] = &["anyone", "authenticated", "user:a", "user:b", "user:A", "group:g", "group:none"];
    (
        some(REPOSITORIES, 3),
        some(TO, 2),
        some(&["pull", "create", "push", "delete", "all"], 2),
        none_or(&["v*", "latest", "*1"]),
        none_or(&["10.0.0.0/8", "2001:db8::/32"]),
        proptest::option::weighted(0.3, 1..3_u32),
    )
        .prop_map(|(repositories, to, allow, tags, from, until)| Written {
            repositories,
            to,
            allow,
            tags,
            from,
            until,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_given_is_what_the_reference_model_gives(
        grants in proptest::collection::vec(written(), 1..5),
        who in select(vec![None, Some("a"), Some("b"), Some("A"), Some("a/b")]),
        octet in select(vec![10_u8, 11]),
        day in 1..4_u32,
        (action, tag) in select(vec![
            ("pull", ""), ("create", ""), ("create", "v1"), ("push", "latest"), ("push", "v1"), ("delete", "v2"), ("delete", ""),
        ]),
        repository in "[ab](/[ab]){0,5}",
    ) {
        let text: String = grants.iter().map(Written::toml).collect();
        let access = access(&text, "g: a b\n");
        let (who_, repository_) = (who.map(user), name(&repository));
        let tag_ = tag.parse::<Tag>().ok();
        let wish = match (action, &tag_) {
            ("pull", _) => Wish::Pull,
            ("create", None) => Wish::Create,
            ("create", Some(tag)) => Wish::CreateTag(tag),
            ("push", Some(tag)) => Wish::MoveTag(tag),
            (_, Some(tag)) => Wish::DeleteTag(tag),
            (_, None) => Wish::Delete,
        };
        let address = format!("{octet}.0.0.1").parse().unwrap();
        let now = moment(&format!("2026-01-0{day}T12:00:00Z"));
        let gives = |grant: &Written| model::gives(grant, who, octet, day, (action, tag), &repository);
        let expected = grants.iter().any(gives);
        let given = access.grants.permits(&Asker { user: who_.as_ref(), address, now }, wish, &repository_);
        prop_assert_eq!(given.is_some(), expected, "{}", text);
        if let Some(given) = given {
            prop_assert!(gives(&grants[given.number - 1]), "{} {}", given, text);
        }
        // What a person is told is the same, where they leave nothing open.
        if tag_.is_some() || action != "create" {
            let right = wish.right();
            let asked = Question {
                user: who_.as_ref(), right, repository: &repository_, tag: tag_.as_ref(), address: Some(address), now,
            };
            prop_assert_eq!(access.grants.answer(asked).gives().is_some(), expected, "{}", text);
        }
    }
}
