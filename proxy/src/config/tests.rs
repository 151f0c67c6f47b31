//! Every key as it can be written, and every mistake as it is told.

use std::path::Path;
use std::time::Duration;

use expect_test::expect_file;
use lockgate_settings::{Configuration as _, LogFormat, Problems, Reference};

use super::{Config, Storage};
use crate::auth;
use crate::tls::KeyPairFiles;

const FILE: &str = include_str!("../../../conf/lockgate.toml");

fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, Problems> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(text, Path::new("conf/lockgate.toml"), env)
}

/// The words for the one mistake in `text`.
fn problem(text: &str) -> String {
    let problems = parse(text, &[]).expect_err(text);
    assert_eq!(problems.len(), 1, "{problems}");
    problems.to_string()
}

#[test]
fn the_example_the_schema_and_the_reference_are_made_of_the_fields() {
    let reference = Reference::of::<Config>();
    let introduction = "The proxy's configuration: every key there is, with its default. A key that is left out has the \
        value written here, so a file of your own needs only what differs.\n\n\
        \u{a0} lockgate serve --config conf/lockgate.toml    runs the proxy\n\
        \u{a0} lockgate check --config conf/lockgate.toml    tells everything that is wrong, in the files named too\n\n\
        The environment overrides the file, by the variable above each key, as in LOCKGATE_UPSTREAM_URL=http://registry:5000. \
        Durations have a unit: \"250ms\", \"30s\", \"15m\", \"1h 30m\". Sizes have one too: \"32KiB\", \"4MiB\". Paths are \
        relative to the directory in which the program is started, unless they begin with /.\n\n\
        make conf writes this file: a key is a field in proxy/src/config.";
    expect_file!["../../../conf/lockgate.toml"].assert_eq(&reference.example(introduction, "./lockgate.schema.json"));
    expect_file!["../../../conf/lockgate.schema.json"].assert_eq(&reference.schema());
    let backend = Reference::of::<lockgate_backend::config::Config>();
    let page = format!(
        "# Every key of the configuration\n\n{PAGE}\n{}\n{}",
        reference.markdown("The gate: `conf/lockgate.toml`"),
        backend.markdown("The registry alone: `conf/backend.toml`")
    );
    expect_file!["../../../docs/configuration.md"].assert_eq(&page);
}

const PAGE: &str = "\
A key that is left out has its default. Each can be overridden by the environment, by the variable beside it. Durations
have a unit: `\"250ms\"`, `\"30s\"`, `\"15m\"`, `\"1h 30m\"`. Sizes have one too: `\"32KiB\"`, `\"4MiB\"`. Paths are relative to
the directory in which the program is started, unless they begin with `/`.

`lockgate check --config FILE` tells everything that is wrong at once. An editor that knows JSON Schema completes and
checks the files by `conf/lockgate.schema.json` and `conf/backend.schema.json`, which the first line of each names.

This page is made by `make conf` from the fields of the program.
";

#[test]
fn the_file_that_is_shipped_says_the_defaults() {
    assert_eq!(parse(FILE, &[]), Ok(Config::default()));
    assert_eq!(parse("", &[]), Ok(Config::default()));
}

#[test]
fn each_key_of_the_shipped_file_can_be_written_in_the_environment() {
    let mut variable = None;
    let mut keys = 0;
    for line in FILE.lines() {
        if let Some(comment) = line.strip_prefix("# LOCKGATE_") {
            variable = comment.split(':').next();
        } else if let Some((_, default)) = line.split_once(" = ").filter(|_| !line.starts_with("# ")) {
            // What there may be several of has none.
            let Some(variable) = variable.take() else { continue };
            let value = default.trim_matches(['"', '\'']);
            let config = parse("", &[(&format!("LOCKGATE_{variable}"), value)]);
            let storage = variable.starts_with("STORAGE_").then(Storage::default);
            assert_eq!(config, Ok(Config { storage, ..Config::default() }), "{variable}");
            keys += 1;
        }
    }
    assert!(keys > 50, "{keys}");
}

#[test]
fn pairs_threads_and_budgets_are_made_of_the_keys() {
    let text = "
        listen.threads = 1000
        [tls]
        certificate = '/a.crt'
        key = '/a.key'
        additional = [{ certificate = '/b.crt', key = '/b.key' }]
        [auth]
        hash_threads = 1001
        hash_queue = 1002
        failures = 1003
        failure_interval = '1004s'
        address_failures = 1005
        address_failure_interval = '1006s'
        failure_memory = 1024";
    let config = parse(text, &[]).expect("nothing is wrong");
    let pair =
        |stem: &str| KeyPairFiles { certificate: format!("/{stem}.crt").into(), key: format!("/{stem}.key").into() };
    assert_eq!(config.tls.pairs(), [pair("a"), pair("b")]);
    assert_eq!(config.listen.threads().get(), 1000);
    let failure_limit = |failures: u32, seconds| auth::FailureLimit {
        failures: failures.try_into().unwrap(),
        interval: Duration::from_secs(seconds),
    };
    let limits = auth::VerifierLimits {
        threads: 1001.try_into().unwrap(),
        queue: 1002,
        per_user: failure_limit(1003, 1004),
        per_address: failure_limit(1005, 1006),
        memory: 1024,
    };
    assert_eq!(config.auth.limits(), limits);
    assert_eq!(Config::default().listen.threads().get(), std::thread::available_parallelism().unwrap().get());
}

#[test]
fn there_is_one_destination_and_a_second_one_is_told_where_it_stands() {
    const SAID: &str = "there are both [upstream] and [storage]: keep [upstream] for a registry behind the gate, or \
                        [storage] for the one within";
    for (text, env, place) in [
        ("[storage]\ndata = '/d'\n[upstream]\nurl = 'unix:/s'", None, "conf/lockgate.toml:3:2: upstream"),
        ("[upstream]\nurl = 'unix:/s'\n[storage]\ndata = '/d'", None, "conf/lockgate.toml:3:2: storage"),
        ("[storage]", Some(("LOCKGATE_UPSTREAM_URL", "unix:/s")), "LOCKGATE_UPSTREAM_URL"),
        ("[upstream]", Some(("LOCKGATE_STORAGE_DATA", "/d")), "LOCKGATE_STORAGE_DATA"),
    ] {
        let problems = parse(text, env.as_slice()).expect_err(text);
        assert_eq!((problems.to_string(), problems.len()), (format!("{place}: {SAID}"), 1));
    }
}

#[test]
fn a_wrong_value_is_told_its_place_and_what_to_write() {
    for (text, said) in [
        (
            "[listen]\nhttps = 'localhost:5043'",
            "2:9: listen.https: \"localhost:5043\" is no address to listen on; write ",
        ),
        ("[listen]\nhttps = 'unix:/s'", "2:9: listen.https: TLS is served on an IP address and a port"),
        ("[listen]\nthreads = 5000", "2:11: listen.threads: a whole number from 0 to 1024 is wanted, not 5000"),
        ("[tls]\ncertificate = ''", "2:15: tls.certificate: a path is missing"),
        ("[tls]\nkey = '${HOME}/k'", "2:7: tls.key: ${...} is not replaced here; write the whole path"),
        ("[tls]\nkey = '~/k'", "2:7: tls.key: ~ is not expanded here; write the whole path"),
        ("[tls]\nversions = ['1.3', '1.1']", "2:20: tls.versions[1]: expected one of \"1.2\" and \"1.3\""),
        ("[tls]\nversions = []", "2:12: tls.versions: nobody could connect; write [\"1.2\", \"1.3\"]"),
        ("[tls]\nhsts = '20ms'", "2:8: tls.hsts: browsers count in seconds"),
        ("tls.additional = [{ key = 'k' }]", "1:19: tls.additional[0]: certificate is missing"),
        ("[auth]\ntoken_lifetime = '5s'", "2:18: auth.token_lifetime: a duration from 1m to 1d is wanted, not 5s"),
        ("[auth]\nrealm = 'a\"b'", "2:9: auth.realm: it is made of printable ASCII characters"),
        ("[auth]\nmax_bcrypt_cost = 3", "2:19: auth.max_bcrypt_cost: a whole number from 4 to 31 is wanted, not 3"),
        (
            "[upstream]\nurl = 'https://r'",
            "2:7: upstream.url: the upstream is spoken to in plain HTTP, on a private net",
        ),
        ("[upstream]\nread_timeout = 900", "2:16: upstream.read_timeout: a duration needs a unit, as in \"900s\""),
        ("[upstream]\nkeepalive_connections = 0", "2:25: upstream.keepalive_connections: a whole number from 1"),
        ("[clients]\nrefuse = '('", "2:10: clients.refuse: no regular expression: unclosed group"),
        ("[clients]\nrefuse = '5(?!x)'", "2:10: clients.refuse: no regular expression: look-around"),
        ("[limits]\nheader_size = 512", "2:15: limits.header_size: a size from 1KiB to 1MiB is wanted, not 512B"),
        ("[limits]\nheader_size = '2MiB'", "2:15: limits.header_size: a size from 1KiB to 1MiB is wanted, not 2MiB"),
        (
            "[log]\nlevel = 'loud'",
            "2:9: log.level: expected one of \"error\", \"warn\", \"info\", \"debug\" and \"trace\"",
        ),
        ("[shutdown]\ngrace = '0s'", "2:9: shutdown.grace: a duration is longer than zero"),
    ] {
        let said = format!("conf/lockgate.toml:{said}");
        assert!(problem(text).starts_with(&said), "{}\nis not {said}", problem(text));
    }
}

#[test]
fn a_rule_for_nginx_is_told_where_its_exception_goes() {
    let said = problem(r"clients.refuse = '^(docker\/1\.(3|4|5(?!\.[0-9]-dev))|Go ).*$'");
    assert!(said.ends_with("; what it would spare goes into clients.except"), "{said}");
}

#[test]
fn a_password_in_the_upstream_is_never_repeated() {
    let env = [("LOCKGATE_UPSTREAM_URL", "http://user:hunter2@registry:5000")];
    let said = parse("[upstream]\nurl = 'registry:hunter2@x'", &env).expect_err("no user belongs there").to_string();
    assert!(said.starts_with("LOCKGATE_UPSTREAM_URL: a user or password does not belong here"), "{said}");
    assert!(!said.contains("hunter2") && !problem("[upstream]\nurl = 'registry:hunter2@x'").contains("hunter2"));
}

#[test]
fn a_file_is_read_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lockgate.toml");
    let missing = Config::load(&file).expect_err("there is no file");
    assert_eq!(missing.to_string(), format!("{}: there is no such file; name another with --config", file.display()));

    std::fs::write(&file, "[listen]\nhttp2 = 1\n[log]\nformat = 'json'\n").unwrap();
    let problems = Config::load(&file).expect_err("1 is no truth value");
    let (survey, same) = Config::survey(&file);
    assert_eq!((problems.len(), &problems), (1, &same));
    assert_eq!(survey.map(|config| (config.listen.http2, config.log.format)), Some((false, LogFormat::Json)));
}

#[test]
fn the_users_file_is_judged_by_the_configured_cost() {
    let config = parse("auth.max_bcrypt_cost = 9", &[]).expect("9 is a cost");
    assert_eq!(config.auth.policy().max_bcrypt_cost, 9);
    assert_eq!(Config::default().auth.policy(), auth::Policy::default());
}
