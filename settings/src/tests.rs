//! What a person is told about settings.

use std::char::ParseCharError;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Configuration, Period, Prefix, Problems};

#[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Shape {
    listen: Listen,
    tls: Tls,
    auth: Auth,
    limits: Limits,
    log: Log,
    storage: Option<Storage>,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Listen {
    https: String,
    http2: bool,
    threads: usize,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Tls {
    additional: Vec<Pair>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Auth {
    realm: String,
    initial: Initial,
}

#[derive(Debug, Default, PartialEq)]
struct Initial(char);

impl FromStr for Initial {
    type Err = ParseCharError;

    fn from_str(text: &str) -> Result<Self, ParseCharError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Initial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

crate::written_as_text!(Initial, "a letter");

#[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    header_size: Option<ByteSize>,
    header_timeout: Option<Period>,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Log {
    format: Format,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Storage {
    data: PathBuf,
    #[serde(default)]
    delete: bool,
}

impl Configuration for Shape {
    const PREFIX: Prefix = Prefix::new("LOCKGATE").except(&["LOCKGATE_BACKEND"]);
}

macro_rules! shape_with_prefix {
    ($name:ident, $prefix:literal) => {
        #[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(transparent)]
        struct $name(Shape);

        impl Configuration for $name {
            const PREFIX: Prefix = Prefix::new($prefix);
        }
    };
}

shape_with_prefix!(Backend, "LOCKGATE_BACKEND");
shape_with_prefix!(Untouched, "LOCKGATE_SETTINGS_TEST");
shape_with_prefix!(Cargo, "CARGO_PKG");

fn parse(text: &str, env: &[(&str, &str)]) -> Result<Shape, Problems> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Shape::parse(text, Path::new("a.toml"), env)
}

fn problems(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    parse(text, env).expect_err("there is a mistake").iter().map(ToString::to_string).collect()
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let text = r#"
[listen]
https = 5
htp2 = true
threads = -1

[limits]
header_size = "32X"   # é
  header_timeout = 15

[lmits]
header_size = 1

[log]
format = "xml"

[auth]
realm = 2020-01-01
initial = "ab"
"#;
    assert_eq!(
        problems(text, &[("LOCKGATE_LISTEN_HTTP2", "yes"), ("LOCKGATE_TLS_ADDITIONAL", "no array")]),
        [
            "a.toml:3:9: listen.https: expected a text in quotes, found 5",
            "a.toml:4:1: listen.htp2: no such key; did you mean http2?",
            "a.toml:5:11: listen.threads: expected a whole number, not negative, found -1",
            "a.toml:8:15: limits.header_size: \"32X\" is no size; write a whole number of bytes, KiB, MiB, GiB or TiB, \
             as in \"32KiB\" (kB, MB, GB and TB count in thousands)",
            "a.toml:9:20: limits.header_timeout: a duration needs a unit, as in \"900s\", \"15m\" or \"250ms\"",
            "a.toml:11:2: lmits: no such section; did you mean [limits]?",
            "a.toml:15:10: log.format: expected one of \"text\" and \"json\", found \"xml\"",
            "a.toml:18:9: auth.realm: expected a text in quotes, found a date or time",
            "a.toml:19:11: auth.initial: too many characters in string",
            "LOCKGATE_LISTEN_HTTP2: expected true or false, found a text",
            "LOCKGATE_TLS_ADDITIONAL: expected an array, [...], found a text",
        ]
    );
}

#[test]
fn a_name_like_no_other_is_told_the_names_there_are() {
    assert_eq!(
        problems("zzz = 1\n[listen]\nqqq = 1", &[]),
        [
            "a.toml:1:1: zzz: no such section; there are [listen], [tls], [auth], [limits], [log] and [storage]",
            "a.toml:3:1: listen.qqq: no such key; there are https, http2 and threads",
        ]
    );
}

#[test]
fn what_cannot_be_parsed_is_reported_once_beside_the_other_mistakes() {
    let text = "[listen]\nhttp2 = tru\nhttp2 = true\nthreads = \"two\"\n[auth\nrealm = 'x\n";
    let found = problems(text, &[]);
    let lines: Vec<_> = found.iter().filter_map(|line| line.strip_prefix("a.toml:")).collect();
    assert!(lines.iter().any(|line| line.starts_with("2:9: not TOML")), "{found:#?}");
    assert!(lines.iter().any(|line| line.starts_with("4:11: listen.threads: expected a whole number")), "{found:#?}");
    assert!(lines.iter().any(|line| line.starts_with("5:")), "{found:#?}");
    assert!(lines.iter().any(|line| line.starts_with("6:")), "{found:#?}");
    assert_eq!(found.iter().filter(|line| line.contains(":2:")).count(), 1, "{found:#?}");
}

#[test]
fn several_mistakes_within_an_array_are_all_found_and_nothing_that_follows_from_them() {
    let text = r#"
[tls]
additional = [
    { certificate = 1, key = 2 },
    "pair",
    { certificate = "a", key = "b", chain = "c" },
    { certificate = "a" },
]
[storage]
data = 7
delete = "yes"
"#;
    assert_eq!(
        problems(text, &[]),
        [
            "a.toml:4:21: tls.additional[0].certificate: expected a text in quotes, found 1",
            "a.toml:4:30: tls.additional[0].key: expected a text in quotes, found 2",
            "a.toml:5:5: tls.additional[1]: expected a table, found a text",
            "a.toml:6:37: tls.additional[2].chain: no such key; there are certificate and key",
            "a.toml:7:5: tls.additional[3]: key is missing and has no default",
            "a.toml:10:8: storage.data: expected a text in quotes, found 7",
            "a.toml:11:10: storage.delete: expected true or false, found a text",
        ]
    );
}

#[test]
fn the_environment_overrides_every_key_as_the_type_that_it_has() {
    let shape = parse(
        "[listen]\nhttps = 'file'\nhttp2 = 'overridden, so not wrong'\n[auth]\nrealm = 'file'",
        &[
            ("LOCKGATE_LISTEN_HTTPS", "0.0.0.0:443"),
            ("LOCKGATE_LISTEN_HTTP2", "true"),
            ("LOCKGATE_LISTEN_THREADS", "4"),
            ("LOCKGATE_AUTH_REALM", "123"),
            ("LOCKGATE_AUTH_INITIAL", "é"),
            ("LOCKGATE_LIMITS_HEADER_SIZE", "65536"),
            ("LOCKGATE_LIMITS_HEADER_TIMEOUT", "15s"),
            ("LOCKGATE_LOG_FORMAT", "json"),
            ("LOCKGATE_TLS_ADDITIONAL", r#"[{ certificate = "a", key = "b" }]"#),
            ("LOCKGATE_STORAGE_DATA", "/data"),
        ],
    );
    let expected = Shape {
        listen: Listen { https: "0.0.0.0:443".to_owned(), http2: true, threads: 4 },
        tls: Tls { additional: vec![Pair { certificate: "a".into(), key: "b".into() }] },
        auth: Auth { realm: "123".to_owned(), initial: Initial('é') },
        limits: Limits { header_size: Some(ByteSize::from_kib(64)), header_timeout: Some(Period::from_secs(15)) },
        log: Log { format: Format::Json },
        storage: Some(Storage { data: "/data".into(), delete: false }),
    };
    assert_eq!(shape, Ok(expected));
}

#[test]
fn a_text_of_the_environment_is_taken_as_it_stands() {
    for realm in ["", "true", "1.5", "\"quoted\"", "[a]", " spaced ", "2020-01-01", "a # b"] {
        let shape = parse("", &[("LOCKGATE_AUTH_REALM", realm)]).expect("a realm is any text");
        assert_eq!(shape.auth.realm, realm);
    }
}

#[test]
fn a_misspelt_variable_is_reported_with_the_right_spelling() {
    assert_eq!(
        problems(
            "",
            &[
                ("LOCKGATE_LISTEN", "x"),
                ("LOCKGATE_LISTEN_HTPS", "x"),
                ("LOCKGATE_LISTEN_QQQ", "x"),
                ("LOCKGATE_LISTN_HTTPS", "x"),
                ("LOCKGATE_QQQ_A", "x"),
                ("LOCKGATE_QQQ_B", "x"),
                ("LOCKGATE_TLS_ADDITIONAL", "[{ certificat = 'a' }]"),
            ]
        ),
        [
            "LOCKGATE_LISTEN: no such setting; a setting's variable is LOCKGATE_<SECTION>_<KEY>",
            "LOCKGATE_LISTEN_HTPS: no such setting; did you mean LOCKGATE_LISTEN_HTTPS?",
            "LOCKGATE_LISTEN_QQQ: no such setting; after LOCKGATE_LISTEN_ comes one of HTTPS, HTTP2 and THREADS",
            "LOCKGATE_LISTN_HTTPS: no such setting; did you mean LOCKGATE_LISTEN_HTTPS?",
            "LOCKGATE_QQQ_A: no such setting; after LOCKGATE_ comes one of LISTEN, TLS, AUTH, LIMITS, LOG and STORAGE",
            "LOCKGATE_QQQ_B: no such setting; after LOCKGATE_ comes one of LISTEN, TLS, AUTH, LIMITS, LOG and STORAGE",
            "LOCKGATE_TLS_ADDITIONAL: no such key; did you mean certificate?",
        ]
    );
}

#[test]
fn variables_that_nobody_wrote_for_this_program_are_passed_over() {
    let shape = parse(
        "",
        &[
            ("PATH", "/bin"),
            ("LOCKGATE", "x"),
            ("LOCKGATEKEEPER_X_Y", "x"),
            ("LOCKGATE_BACKEND_LISTEN_HTTP", "0.0.0.0:5000"),
            ("LOCKGATE_SERVICE_HOST", "10.0.0.1"),
            ("LOCKGATE_SERVICE_PORT_HTTPS", "443"),
            ("LOCKGATE_PORT", "tcp://10.0.0.1:443"),
            ("LOCKGATE_PORT_443_TCP_ADDR", "10.0.0.1"),
        ],
    );
    assert_eq!(shape, Ok(Shape::default()));
    assert_eq!(problems("", &[("LOCKGATE_PORT", "5043")]).len(), 1, "this one was written for it");
}

#[test]
fn the_backend_reads_its_own_variables_only() {
    let env = [("LOCKGATE_BACKEND_AUTH_REALM", "own"), ("LOCKGATE_AUTH_REALM", "of the proxy")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let Backend(shape) = Backend::parse("", Path::new("b.toml"), env).expect("nothing is wrong");
    assert_eq!(shape.auth.realm, "own");
}

#[test]
fn a_section_that_is_no_table_is_the_one_mistake() {
    assert_eq!(
        problems("listen = 5", &[("LOCKGATE_LISTEN_HTTPS", "x")]),
        ["a.toml:1:10: listen: expected a table, found 5"]
    );
}

#[test]
fn a_text_is_not_repeated_in_an_error_about_its_type() {
    let found = problems("[listen]\nhttp2 = 'secret'", &[("LOCKGATE_LISTEN_THREADS", "secret")]);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|line| !line.contains("secret")), "{found:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let missing = Path::new("no/such/file.toml");
    let problems = Untouched::load(missing).expect_err("it is not there");
    assert_eq!(problems.to_string(), "no/such/file.toml: there is no such file; name another with --config");
}

#[test]
fn settings_without_a_file_are_the_defaults_and_the_environment() {
    // cargo sets this one for every test: CARGO_PKG_NAME and its like are no keys of the shape.
    let problems = Cargo::from_environment(|_| true).expect_err("the prefix has other variables");
    assert!(problems.iter().all(|problem| problem.to_string().starts_with("CARGO_PKG_")), "{problems}");
    assert_eq!(Cargo::from_environment(|_| false), Ok(Cargo::default()));
    assert_eq!(Untouched::from_environment(|_| true), Ok(Untouched::default()));
}

#[test]
fn a_directory_is_no_file_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let problems = Untouched::load(dir.path()).expect_err("it is a directory");
    assert!(problems.to_string().contains("cannot be read: it is a directory; "), "{problems}");
}

#[test]
fn a_survey_has_defaults_in_the_place_of_mistakes() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[listen]\nhttp2 = 7\nthreads = 3\n").unwrap();
    let (shape, problems) = Untouched::survey(file.path());
    assert_eq!(problems.len(), 1);
    assert_eq!(shape.map(|Untouched(shape)| shape.listen), Some(Listen { threads: 3, ..Listen::default() }));
    assert_eq!(Untouched::load(file.path()), Err(problems));
}

#[test]
fn a_file_in_utf16_is_told_so() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&"[auth]\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let problems = Untouched::load(file.path()).expect_err("it is UTF-16");
    assert!(problems.to_string().ends_with("save it as UTF-8"), "{problems}");
}

#[test]
fn a_file_that_is_not_utf8_is_told_where() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[auth]\nrealm = '\xff'\n").unwrap();
    let problems = Untouched::load(file.path()).expect_err("it is Latin-1");
    assert_eq!(
        problems.to_string(),
        format!("{}:2:10: not UTF-8; save the file in that encoding", file.path().display())
    );
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_read() {
    assert_eq!(
        problems("\u{feff}[listen]\r\nhttp2 = 1\r\n", &[]),
        ["a.toml:2:9: listen.http2: expected true or false, found 1"]
    );
    assert_eq!(problems("\u{feff}listen = 1", &[]), ["a.toml:1:10: listen: expected a table, found 1"]);
}

proptest! {
    #[test]
    fn no_file_and_no_variable_makes_the_reader_panic_or_lose_a_mistake(
        text in "(\\[(listen|tls|x)\\]\n|(https|http2|additional|y) = ([0-9]{1,20}|'a'|true|\\[|\\{|\\{key=1\\}|\\[1,2\\])\n|\\PC{0,8}){0,8}",
        env: BTreeMap<String, String>,
        value: String,
    ) {
        let named = env.into_iter().map(|(name, value)| (format!("LOCKGATE_{name}"), value));
        let env = named.chain([("LOCKGATE_LISTEN_HTTP2".to_owned(), value.clone())]);
        let read: Result<Shape, Problems> = Shape::parse(&text, Path::new("a.toml"), env);
        match read {
            Ok(shape) => prop_assert_eq!(shape.listen.http2.to_string(), value.trim()),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn any_text_survives_the_environment(realm: String) {
        let shape = parse("", &[("LOCKGATE_AUTH_REALM", &realm)]);
        prop_assert_eq!(shape.map(|shape| shape.auth.realm), Ok(realm));
    }
}
