//! The parsers that strangers reach, and what must hold for whatever they accept: for the targets in
//! `fuzz/`. Each panics where something does not hold.

mod reading;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lockgate_oci::{RepositoryName, Tag};
use lockgate_settings::Configuration as _;
use regex::Regex;
use tokio::io::AsyncWriteExt as _;

use crate::access::{Access, Asker, Groups, Question};
use crate::auth::{
    Credentials, MachineTokens, Policy, Scope, SessionToken, TokenKeys, UserName, Users, add_token, remove_token,
    remove_user, replace_user,
};
use crate::client::Client;
use crate::config::{Config, Listen};
use crate::gate::{TrustedProxies, check_framing, is_for_the_registry};
use crate::import_nginx;
use crate::listener::{RemainingBody, header_scan, proxy_protocol};
use crate::rights::{Pattern, Right, TagPattern, Wish};

/// A hash of `{SHA}`, which is cheap, of no password that matters.
const SOME_HASH: &str = "{SHA}NstYn3QVe0WBGmkMWLQ0CV9I6fo=";

/// What the gate admits is framed in one way by an independent reading too: the same target, one host,
/// and the same body, byte for byte, as hyper reads for the upstream.
pub fn request(input: &[u8]) {
    if !header_scan::passes(input) {
        return;
    }
    // A header that reads on and on is the listener's business; here all of it is there at once.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let Some((request, body)) = runtime.block_on(as_hyper_reads(input)) else { return };
    if check_framing(&request).is_err() || is_for_the_registry(&request).is_err() {
        return;
    }
    let reading = reading::Request::read(input).unwrap_or_else(|why| panic!("admitted, though {why}"));
    let target = request.uri().path_and_query().expect("it was admitted").as_str();
    assert_eq!(reading.target, target.as_bytes(), "another target would be forwarded");
    assert_eq!(reading.host, request.headers().get("host").map(|host| host.as_bytes()));
    match (reading.body(), body) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "the body has two readings"),
        // hyper reads more than the grammar has: the listener, which reads along, lets none of it pass.
        (Err(why), Ok(_)) => {
            let mut body = RemainingBody::of(request.headers());
            assert!(body.take(reading.rest).is_err(), "a body was read, though {why}");
        }
        // What hyper refuses is not forwarded to its end.
        (_, Err(())) => {}
    }
}

type Read = (Request<()>, Result<Vec<u8>, ()>);

async fn as_hyper_reads(input: &[u8]) -> Option<Read> {
    let (mut client, stream) = tokio::io::duplex(input.len().max(1));
    client.write_all(input).await.expect("it has room for it");
    // Nobody reads what hyper answers.
    drop(client);
    let read = Arc::new(Mutex::new(None));
    let service = service_fn(|request: Request<Incoming>| {
        let read = read.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes().to_vec()).map_err(drop);
            read.lock().expect("nobody panics").get_or_insert((Request::from_parts(parts, ()), body));
            // The next request is none of ours.
            Err::<Response<String>, _>(std::io::Error::other("enough"))
        }
    });
    let connection = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(stream), service);
    // What hyper makes of the rest is its own business.
    let _ = connection.await;
    read.lock().expect("nobody panics").take()
}

/// Credentials that are accepted are spelt in one way: written anew they are the same bytes.
pub fn credentials(value: &[u8]) {
    let Ok(credentials) = Credentials::parse(value) else { return };
    let written = STANDARD.encode(credentials.in_clear());
    let (scheme, token) = value.split_at(value.len() - written.len());
    assert_eq!(token, written.as_bytes());
    assert!(scheme.trim_ascii_end().eq_ignore_ascii_case(b"basic") && scheme.ends_with(b" "), "{scheme:?}");
}

/// Who can log in stands at the beginning of a line, and an edit changes one user and nobody else.
pub fn htpasswd(file: &[u8]) {
    let policy = Policy::default();
    let Ok(users) = Users::parse(file, &policy) else { return };
    let names = users.names();
    assert_eq!(names.len(), users.count() + users.without_password().len());
    for name in &names {
        let entry = format!("{name}:");
        let is_entry = |line: &[u8]| line.trim_ascii_start().starts_with(entry.as_bytes());
        let body = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        assert!(body.split(|byte| *byte == b'\n').any(is_entry), "{name} comes from nowhere");
    }
    let stranger: UserName = "lockgate-stranger".parse().expect("a user name");
    for name in names.iter().take(3).chain([&stranger]) {
        let with = Users::parse(&replace_user(file, name, SOME_HASH), &policy).expect("an edited file holds");
        let others = |users: &Users| users.names().into_iter().filter(|other| other != name).collect::<Vec<_>>();
        assert!(with.names().contains(name), "{name} was added");
        assert_eq!(others(&with), others(&users));
        let Some(without) = remove_user(file, name) else { continue };
        // Where only refused entries are left, the file as a whole is refused.
        if let Ok(without) = Users::parse(&without, &policy) {
            assert!(!without.names().contains(name), "{name} was removed");
            assert_eq!(others(&without), others(&users));
        }
    }
}

/// A scope is the same after it was written, and holds what it says.
pub fn scope(parameter: &str) {
    let Ok(scope) = Scope::parse([parameter]) else { return };
    let written = scope.to_string();
    assert_eq!(Scope::parse([written.as_str()]).expect("it is no longer than it was"), scope);
    assert!(scope.repositories().count() <= Scope::MOST);
    for (name, rights) in scope.repositories() {
        assert!(rights.pull, "who may do anything may pull");
        assert!(parameter.contains(name.as_str()), "{name} comes from nowhere");
    }
}

/// Of what strangers send nothing is a token, and what it claims, signed, is one: the same, written in one way.
pub fn session_token(text: &str) {
    let keys = TokenKeys::parse(&[b'0'; 64]).expect("a key in hexadecimal");
    let Some(claims) = SessionToken::read(text) else { return };
    let (subject, expires) = (claims.subject().clone(), claims.expires());
    assert!(claims.verify(&keys, "fuzz", b"credential").is_none(), "a signature was guessed");
    let token = SessionToken::issue(&keys, "fuzz", &subject, &Scope::default(), expires, b"credential");
    let session = SessionToken::read(&token).and_then(|claims| claims.verify(&keys, "fuzz", b"credential"));
    let session = session.expect("it was issued");
    assert_eq!((session.subject, session.expires, session.scope.is_empty()), (subject, expires, true));
}

/// A file of tokens says of each what it says when it is written anew, and a token that is removed is gone alone.
pub fn machine_tokens(file: &[u8]) {
    let Ok(tokens) = MachineTokens::parse(file) else { return };
    let tokens = tokens.sorted().into_iter().cloned().collect::<Vec<_>>();
    for token in tokens.iter().take(3) {
        let again = MachineTokens::parse(&add_token(b"", token)).expect("a line that was written is read");
        assert_eq!(again.by_id(token.id.as_str()), Some(token));
        let without = remove_token(file, token.id).expect("it is there");
        // A comment that is first now may look like UTF-16.
        let Ok(without) = MachineTokens::parse(&without) else { continue };
        assert!(without.by_id(token.id.as_str()).is_none());
        assert_eq!(without.count(), tokens.len() - 1);
    }
}

/// A header of the PROXY protocol is read in one way, however little of it comes at a time, and no byte behind it is taken.
pub fn proxy_header(bytes: &[u8]) {
    let all = proxy_protocol::parse(bytes);
    for come in 0..bytes.len().min(300) {
        match proxy_protocol::parse(&bytes[..come]) {
            Ok(None) => {}
            Ok(read) => {
                assert!(read.is_some_and(|(length, _)| length <= come));
                assert_eq!(all, Ok(read));
            }
            Err(_) => assert!(all.is_err()),
        }
    }
}

/// Whatever a client writes into `X-Forwarded-For`, the address that a trusted proxy saw counts; and where it writes what the
/// proxy would, the one that counts stands there.
pub fn forwarded_for(value: &[u8]) {
    let Ok(claimed) = HeaderValue::from_bytes(value) else { return };
    let trusted_proxies = vec!["10.0.0.0/24".parse().expect("a range")];
    let proxies = TrustedProxies::new(Listen { trusted_proxies, ..Listen::default() });
    let peer = || Client::from(SocketAddr::from(([10, 0, 0, 1], 9)));
    let mut headers = HeaderMap::new();
    headers.append("x-forwarded-for", claimed);
    let chosen = proxies.client(&headers, peer()).ip();
    if chosen != peer().ip() {
        let is_it = |text: &str| text.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == chosen);
        let text = String::from_utf8_lossy(value);
        let mut hops = text.split(',').map(str::trim);
        let stands_there = hops.any(|hop| {
            let bare = hop.trim_matches(['[', ']']);
            is_it(bare) || hop.parse::<SocketAddr>().is_ok_and(|hop| hop.ip().to_canonical() == chosen)
        });
        assert!(stands_there, "{chosen} comes from nowhere");
    }
    headers.append("x-forwarded-for", HeaderValue::from_static("192.0.2.1, 10.0.0.2"));
    assert_eq!(proxies.client(&headers, peer()).as_str(), "192.0.2.1");
}

/// A configuration that is accepted is within the bounds that its documentation states, and a comment
/// changes nothing; a problem has its place in the text.
pub fn config(text: &str) {
    let file = Path::new("fuzz.toml");
    match Config::parse(text, file, []) {
        Ok(config) => {
            assert!((1 << 10..=1 << 20).contains(&config.limits.header_size.get()));
            assert!((4..=31).contains(&config.auth.max_bcrypt_cost.get()));
            assert!(!config.tls.pairs().is_empty());
            assert!(config.listen.threads.get() <= 1024);
            assert_eq!(Config::parse(&format!("{text}\n# a comment\n"), file, []).expect("still accepted"), config);
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            let lines = text.split('\n').count();
            for line in problems.iter().filter_map(|problem| problem.line()) {
                assert!((1..=lines).contains(&line), "line {line} of {lines}");
            }
        }
    }
}

/// A pattern of repositories, or of tags, matches what a regular expression made of it matches. The text is a pattern, a
/// name, and a user's name where there is one.
pub fn pattern(text: &str) {
    let mut words = text.splitn(3, ' ');
    let (Some(pattern), Some(name), user) = (words.next(), words.next(), words.next()) else { return };
    let of_segment = |segment: &str, user: &str| {
        let segment = regex::escape(segment).replace(r"\*", "[^/]*");
        segment.replace(&regex::escape("${user}"), &regex::escape(user))
    };
    let is_match =
        |expression: &str| Regex::new(&format!("^(?:{expression})$")).expect("made of escaped text").is_match(name);
    if let (Ok(parsed), Ok(repository)) = (pattern.parse::<Pattern>(), name.parse::<RepositoryName>()) {
        assert_eq!(parsed.to_string(), pattern);
        let of_user = user.filter(|user| !user.contains('/') && user.parse::<RepositoryName>().is_ok());
        let segment = |segment| match segment {
            "**" => "[^/]+(?:/[^/]+)*".to_owned(),
            segment => of_segment(segment, of_user.unwrap_or_default()),
        };
        let expression = pattern.split('/').map(segment).collect::<Vec<_>>().join("/");
        let expected = (of_user.is_some() || !pattern.contains("${user}")) && is_match(&expression);
        assert_eq!(parsed.matches(&repository, user), expected, "{expression}");
    }
    if let (Ok(parsed), Ok(tag)) = (pattern.parse::<TagPattern>(), name.parse::<Tag>()) {
        assert_eq!(parsed.matches(&tag), is_match(&of_segment(pattern, "")), "{pattern}");
    }
}

/// A request is decided as a person is told; nobody gets more by being nobody; and a problem has its place in the text.
pub fn grants(text: &str) {
    let file = Path::new("access.toml");
    let groups = || Groups::parse(b"team: alice").expect("a file of groups");
    let access = match Access::parse(text, file, groups()) {
        Ok(access) => access,
        Err(problems) => {
            assert!(!problems.is_empty());
            let lines = text.split('\n').count();
            assert!(problems.iter().filter_map(|problem| problem.line()).all(|line| (1..=lines).contains(&line)));
            return;
        }
    };
    let written = access.grants.as_slice().iter().flat_map(|grant| &grant.repositories).map(Pattern::to_string);
    let names = written.map(|pattern| pattern.replace("${user}", "alice").replace('*', "a"));
    let names = names.chain(["team/app".to_owned()]).filter_map(|name| name.parse::<RepositoryName>().ok()).take(8);
    let tag: Tag = "latest".parse().expect("a tag");
    let (alice, now) = ("alice".parse::<UserName>().expect("a user name"), SystemTime::now());
    let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    for repository in names {
        let wishes =
            [(Wish::Pull, Right::Pull), (Wish::CreateTag(&tag), Right::Create), (Wish::MoveTag(&tag), Right::Push)];
        for (wish, right) in wishes.into_iter().chain([(Wish::DeleteTag(&tag), Right::Delete)]) {
            let [by_alice, by_nobody] = [Some(&alice), None].map(|user| {
                let given = access.grants.permits(&Asker { user, address, now }, wish, &repository);
                let asked =
                    Question { user, right, repository: &repository, tag: Some(&tag), address: Some(address), now };
                assert_eq!(given.is_some(), access.grants.answer(asked).gives().is_some());
                given.is_some()
            });
            assert!(by_alice || !by_nobody, "{repository}");
        }
    }
    access.warnings(now);
    access.limits_of_patterns();
    for expectation in &access.expectations {
        expectation.disappointments(&access.grants, now);
    }
}

/// Groups that are written anew, each name in quotes, are the same.
pub fn groups(file: &[u8]) {
    let Ok(groups) = Groups::parse(file) else { return };
    let mut written = "# groups\n".to_owned();
    for (group, users) in groups.iter() {
        let _ = write!(written, "{group}:");
        for user in users {
            let _ = write!(written, " \"{}\"", user.as_str().replace('\\', r"\\").replace('"', "\\\""));
        }
        written.push('\n');
    }
    let again = Groups::parse(written.as_bytes()).expect("it is written well");
    assert!(groups.iter().eq(again.iter()), "{written}");
}

/// A configuration of nginx's is the same when its words are written anew in quotes, and what is made of it is valid.
pub fn nginx(text: &str) {
    let file = Path::new("nginx.conf");
    let Ok(directives) = import_nginx::parse(text, file) else { return };
    let written = import_nginx::written(&directives);
    let again = import_nginx::parse(&written, file).expect("it is written well");
    assert_eq!(import_nginx::written(&again), written);
    let Ok(imported) = import_nginx::import_tree(&import_nginx::Tree::of(directives), Path::new("")) else { return };
    Config::parse(&imported.config, Path::new("lockgate.toml"), []).expect("it is valid");
    if let Some(access) = imported.access {
        Access::parse(&access, Path::new("access.toml"), Groups::default()).expect("they are grants");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// Each seed as it is, and with one piece of it cut out, doubled or overwritten.
    fn for_each_seed(target: &str, hold: impl Fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let seeds: Vec<_> =
            fs::read_dir(&corpus).expect("a corpus").map(|entry| entry.expect("a seed").path()).collect();
        assert!(!seeds.is_empty());
        let mut runner = proptest::test_runner::TestRunner::default();
        for seed in seeds {
            let seed = fs::read(seed).expect("a seed");
            hold(&seed);
            let pieces = (0..=seed.len(), 0..=8_usize, proptest::collection::vec(any::<u8>(), 0..4));
            let mutated = runner.run(&pieces, |(at, cut, put)| {
                let rest = &seed[(at + cut).min(seed.len())..];
                hold(&[&seed[..at], &put, rest].concat());
                Ok(())
            });
            mutated.expect("it holds");
        }
    }

    #[test]
    fn what_the_gate_admits_is_read_in_one_way() {
        for_each_seed("request", request);
    }

    #[test]
    fn credentials_are_spelt_in_one_way() {
        for_each_seed("credentials", credentials);
    }

    #[test]
    fn an_edit_of_a_users_file_changes_one_user() {
        for_each_seed("htpasswd", htpasswd);
    }

    #[test]
    fn a_scope_is_the_same_after_it_was_written() {
        for_each_seed("scope", |text| scope(&String::from_utf8_lossy(text)));
    }

    #[test]
    fn nothing_that_strangers_send_is_a_session_token() {
        for_each_seed("session_token", |text| session_token(&String::from_utf8_lossy(text)));
    }

    #[test]
    fn a_file_of_tokens_is_read_as_it_is_written() {
        for_each_seed("machine_tokens", machine_tokens);
    }

    #[test]
    fn a_header_of_the_proxy_protocol_is_read_in_one_way() {
        for_each_seed("proxy_header", proxy_header);
    }

    #[test]
    fn no_client_of_a_trusted_proxy_chooses_who_it_is() {
        for_each_seed("forwarded_for", forwarded_for);
    }

    #[test]
    fn a_configuration_is_within_its_bounds_or_says_where_it_is_wrong() {
        for_each_seed("config", |text| config(&String::from_utf8_lossy(text)));
    }

    #[test]
    fn a_pattern_matches_as_a_regular_expression_does() {
        for_each_seed("pattern", |text| pattern(&String::from_utf8_lossy(text)));
    }

    #[test]
    fn a_request_is_decided_as_a_person_is_told() {
        for_each_seed("grants", |text| grants(&String::from_utf8_lossy(text)));
    }

    #[test]
    fn groups_that_are_written_anew_are_the_same() {
        for_each_seed("groups", groups);
    }

    #[test]
    fn a_configuration_of_nginx_s_becomes_a_valid_one() {
        for_each_seed("nginx", |text| nginx(&String::from_utf8_lossy(text)));
    }

    #[test]
    fn the_independent_reading_is_a_strict_one() {
        let host = "Host: r\r\n";
        let read = |text: &str| reading::Request::read(text.as_bytes()).map(|request| request.body().is_ok());
        assert_eq!(read(&format!("GET /v2/ HTTP/1.1\r\n{host}\r\n")), Ok(true));
        assert_eq!(read(&format!("PUT /v2/ HTTP/1.1\r\n{host}Content-Length: 3\r\n\r\nab")), Ok(false));
        assert_eq!(read(&format!("PUT /v2/ HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")), Ok(true));
        for bad in [
            format!("GET /v2/ HTTP/1.1\r\n{host}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
            format!("GET /v2/ HTTP/1.1\r\n{host}Content-Length: 3\r\nContent-Length: 3\r\n\r\n"),
            format!("GET /v2/ HTTP/1.1\r\n{host}X: a\nY: b\r\n\r\n"),
            format!("GET /v2/ HTTP/1.1\r\n{host}X : a\r\n\r\n"),
            format!("GET /v2/ HTTP/1.1\r\n{host}X: a\r\n b\r\n\r\n"),
        ] {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
    }
}
