//! Every key as it can be written, and every mistake as it is told.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use lockgate_settings::{ByteSize, Period, Problems};

use super::{
    Auth, ClientRule, Config, Destination, ENV_PREFIX, Limits, Listen, Log, LogFormat, LogLevel, Origin, Shutdown,
    SizeWithin, Storage, Tls, Upstream, Within,
};
use crate::auth;
use crate::tls::{KeyPairFiles, TlsVersions};

const FILE: &str = include_str!("../../../conf/lockgate.toml");

fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, Problems> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    lockgate_settings::parse(text, Path::new("conf/lockgate.toml"), ENV_PREFIX, env)
}

/// The words for the one mistake in `text`.
fn problem(text: &str) -> String {
    let problems = parse(text, &[]).expect_err(text);
    assert_eq!(problems.len(), 1, "{problems}");
    problems.to_string()
}

#[test]
fn the_file_that_is_shipped_says_the_defaults() {
    assert_eq!(parse(FILE, &[]), Ok(Config::default()));
    assert_eq!(parse("", &[]), Ok(Config::default()));
}

/// The keys of the shipped file, as `section` and `key`, each with the comment above it. What is written to be
/// uncommented has no space after its `#`.
fn shipped_keys() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let (mut section, mut above, mut keys) = ("", Vec::new(), Vec::new());
    for line in FILE.lines() {
        let written = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
        if let Some(name) = written.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            section = name;
            above.clear();
        } else if let Some((key, _)) = written.split_once(" = ").filter(|_| !written.starts_with('#')) {
            keys.push((section, key, std::mem::take(&mut above)));
        } else if let Some(text) = line.strip_prefix("# ") {
            above.push(text);
        } else {
            above.clear();
        }
    }
    keys
}

fn variable(section: &str, key: &str) -> String {
    format!("LOCKGATE_{section}_{key}").to_uppercase()
}

#[test]
fn every_key_of_the_shipped_file_stands_below_its_variable() {
    for (section, key, above) in shipped_keys() {
        let (variable, last) = (variable(section, key), *above.last().unwrap());
        assert!(last == variable || last.starts_with(&format!("{variable},")), "{section}.{key} is below {last:?}");
    }
}

#[test]
fn every_key_of_the_shipped_file_is_explained_as_its_field_is() {
    let sources = [
        ("listen", include_str!("listen.rs")),
        ("tls", include_str!("tls.rs")),
        ("auth", include_str!("auth.rs")),
        ("upstream", include_str!("upstream.rs")),
        ("clients", include_str!("clients.rs")),
        ("limits", include_str!("limits.rs")),
        ("log", include_str!("../../../settings/src/log.rs")),
        ("shutdown", include_str!("shutdown.rs")),
    ];
    let words = |text: &str| text.replace('`', "").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for (section, key, mut above) in shipped_keys() {
        // The struct of [storage] is the backend's.
        let Some((_, source)) = sources.iter().find(|(name, _)| *name == section) else { continue };
        above.pop();
        let (before, _) = source.split_once(&format!("    pub {key}: ")).unwrap_or_else(|| panic!("{section}.{key}"));
        let is_above = |line: &&str| line.starts_with("    ///") || line.starts_with("    #[");
        let lines = before.lines().rev().take_while(is_above).filter_map(|line| line.strip_prefix("    /// "));
        let mut comment: Vec<_> = lines.collect();
        comment.reverse();
        assert_eq!(words(&comment.join(" ")), words(&above.join(" ")), "{section}.{key}");
    }
}

#[test]
fn every_key_there_is_stands_in_the_shipped_file() {
    let keys = shipped_keys();
    let sections: BTreeSet<&str> = keys.iter().map(|(section, ..)| *section).collect();
    assert_eq!(names_known_in(&problem("qqqq = 1")), sections);
    for section in sections {
        let shipped = keys.iter().filter(|(of, ..)| *of == section).map(|(_, key, _)| *key).collect();
        assert_eq!(names_known_in(&problem(&format!("[{section}]\nqqqq = 1"))), shipped, "{section}");
    }
}

/// The names in `no such key; there are a, b and c`.
fn names_known_in(problem: &str) -> BTreeSet<&str> {
    let (_, names) = problem.split_once("; there are ").unwrap_or_else(|| panic!("{problem}"));
    names.split([',', ' ', '[', ']']).filter(|name| !name.is_empty() && *name != "and").collect()
}

/// A value other than the default for each key, as it is written in the environment.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("LOCKGATE_LISTEN_HTTPS", "[::1]:443"),
    ("LOCKGATE_LISTEN_HANDOVER", "/run/lockgate/handover.sock"),
    ("LOCKGATE_LISTEN_HTTP2", "true"),
    ("LOCKGATE_LISTEN_THREADS", "1000"),
    ("LOCKGATE_TLS_CERTIFICATE", "/a.crt"),
    ("LOCKGATE_TLS_KEY", "/a.key"),
    ("LOCKGATE_TLS_ADDITIONAL", "[{ certificate = '/b.crt', key = '/b.key' }]"),
    ("LOCKGATE_TLS_VERSIONS", "['1.3']"),
    ("LOCKGATE_TLS_HSTS", "0s"),
    ("LOCKGATE_AUTH_HTPASSWD", "/users"),
    ("LOCKGATE_AUTH_REALM", "123"),
    ("LOCKGATE_AUTH_MAX_BCRYPT_COST", "31"),
    ("LOCKGATE_AUTH_HASH_THREADS", "1001"),
    ("LOCKGATE_AUTH_HASH_QUEUE", "1002"),
    ("LOCKGATE_AUTH_FAILURES", "1003"),
    ("LOCKGATE_AUTH_FAILURE_INTERVAL", "1004s"),
    ("LOCKGATE_AUTH_ADDRESS_FAILURES", "1005"),
    ("LOCKGATE_AUTH_ADDRESS_FAILURE_INTERVAL", "1006s"),
    ("LOCKGATE_AUTH_FAILURE_MEMORY", "1024"),
    ("LOCKGATE_UPSTREAM_URL", "unix:/s"),
    ("LOCKGATE_UPSTREAM_CONNECT_TIMEOUT", "101s"),
    ("LOCKGATE_UPSTREAM_READ_TIMEOUT", "102s"),
    ("LOCKGATE_UPSTREAM_WRITE_TIMEOUT", "103s"),
    ("LOCKGATE_UPSTREAM_IDLE_TIMEOUT", "104s"),
    ("LOCKGATE_UPSTREAM_KEEPALIVE_CONNECTIONS", "105"),
    ("LOCKGATE_UPSTREAM_READ_AHEAD", "107B"),
    ("LOCKGATE_UPSTREAM_RESOLVE_INTERVAL", "106s"),
    ("LOCKGATE_UPSTREAM_FORWARD_AUTHORIZATION", "true"),
    ("LOCKGATE_CLIENTS_REFUSE", ""),
    ("LOCKGATE_CLIENTS_EXCEPT", ""),
    ("LOCKGATE_LIMITS_HANDSHAKE_TIMEOUT", "201s"),
    ("LOCKGATE_LIMITS_HEADER_TIMEOUT", "202s"),
    ("LOCKGATE_LIMITS_HEADER_SIZE", "2048"),
    ("LOCKGATE_LIMITS_IDLE_TIMEOUT", "203s"),
    ("LOCKGATE_LIMITS_BODY_TIMEOUT", "204s"),
    ("LOCKGATE_LIMITS_SEND_TIMEOUT", "205s"),
    ("LOCKGATE_LIMITS_DRAIN_TIMEOUT", "206s"),
    ("LOCKGATE_LIMITS_HEADER_COUNT", "207"),
    ("LOCKGATE_LIMITS_MIN_BODY_RATE", "2080B"),
    ("LOCKGATE_LIMITS_CONNECTIONS", "209"),
    ("LOCKGATE_LIMITS_CONNECTIONS_PER_ADDRESS", "210"),
    ("LOCKGATE_LIMITS_STREAMS", "211"),
    ("LOCKGATE_LIMITS_CONTROL_FRAMES", "212"),
    ("LOCKGATE_LOG_FORMAT", "json"),
    ("LOCKGATE_LOG_LEVEL", "trace"),
    ("LOCKGATE_SHUTDOWN_GRACE", "301s"),
    ("LOCKGATE_SHUTDOWN_IDLE_TIMEOUT", "302s"),
];

/// The same for the keys in the place of those of `[upstream]`.
const OTHER_STORAGE: &[(&str, &str)] = &[
    ("LOCKGATE_STORAGE_DATA", "/srv/registry"),
    ("LOCKGATE_STORAGE_DELETE", "false"),
    ("LOCKGATE_STORAGE_MANIFEST_SIZE", "1MiB"),
    ("LOCKGATE_STORAGE_SPARSE", "true"),
    ("LOCKGATE_STORAGE_UPLOAD_AGE", "401s"),
];

fn other_storage() -> Destination {
    Destination::Storage(Storage {
        data: "/srv/registry".into(),
        delete: false,
        manifest_size: ByteSize::from_mib(1),
        sparse: true,
        upload_age: Period::from_secs(401),
    })
}

fn other_config() -> Config {
    let seconds = Period::from_secs;
    Config {
        listen: Listen {
            https: "[::1]:443".parse().unwrap(),
            handover: Some("/run/lockgate/handover.sock".into()),
            http2: true,
            threads: Within::of(1000),
        },
        tls: Tls {
            certificate: "/a.crt".into(),
            key: "/a.key".into(),
            additional: vec![KeyPairFiles { certificate: "/b.crt".into(), key: "/b.key".into() }],
            versions: TlsVersions::Only13,
            hsts: "0s".parse().unwrap(),
        },
        auth: Auth {
            htpasswd: "/users".into(),
            realm: "123".parse().unwrap(),
            max_bcrypt_cost: Within::of(31),
            hash_threads: Within::of(1001),
            hash_queue: Within::of(1002),
            failures: Within::of(1003),
            failure_interval: seconds(1004),
            address_failures: Within::of(1005),
            address_failure_interval: seconds(1006),
            failure_memory: Within::of(1024),
        },
        destination: Destination::Upstream(Upstream {
            url: Origin::Unix("/s".into()),
            connect_timeout: seconds(101),
            read_timeout: seconds(102),
            write_timeout: seconds(103),
            idle_timeout: seconds(104),
            keepalive_connections: Within::of(105),
            read_ahead: ByteSize::from_bytes(107),
            resolve_interval: seconds(106),
            forward_authorization: true,
        }),
        clients: ClientRule { refuse: None, except: None },
        limits: Limits {
            handshake_timeout: seconds(201),
            header_timeout: seconds(202),
            header_size: SizeWithin::of(2048),
            header_count: Within::of(207),
            idle_timeout: seconds(203),
            body_timeout: seconds(204),
            send_timeout: seconds(205),
            drain_timeout: seconds(206),
            min_body_rate: ByteSize::from_bytes(2080),
            connections: Within::of(209),
            connections_per_address: Within::of(210),
            streams: Within::of(211),
            control_frames: Within::of(212),
        },
        log: Log { format: LogFormat::Json, level: LogLevel::Trace },
        shutdown: Shutdown { grace: seconds(301), idle_timeout: seconds(302) },
    }
}

#[test]
fn pairs_threads_and_budgets_are_made_of_the_keys() {
    let config = other_config();
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
fn every_key_can_be_overridden_by_the_environment() {
    let all = OTHER_VALUES.iter().chain(OTHER_STORAGE);
    let overridden: BTreeSet<String> = all.map(|(name, _)| (*name).to_owned()).collect();
    let variables = shipped_keys().iter().map(|(section, key, _)| variable(section, key)).collect();
    assert_eq!(overridden, variables);
    assert_eq!(parse(FILE, OTHER_VALUES), Ok(other_config()));
    assert_eq!(parse("", OTHER_STORAGE).map(|config| config.destination), Ok(other_storage()));
}

#[test]
fn every_key_can_be_written_in_the_file() {
    let line = |(name, value): &(&str, &str)| {
        let (section, key) = name["LOCKGATE_".len()..].split_once('_').unwrap();
        let bare = *name != "LOCKGATE_AUTH_REALM" && (value.parse::<u64>().is_ok() || value.parse::<bool>().is_ok());
        let is_array = value.starts_with("[{") || value.starts_with("['");
        let value = if bare || is_array { (*value).to_owned() } else { format!("{value:?}") };
        format!("{}.{} = {value}\n", section.to_lowercase(), key.to_lowercase())
    };
    let text: String = OTHER_VALUES.iter().map(line).collect();
    assert_eq!(parse(&text, &[]), Ok(other_config()), "{text}");
    let text: String = OTHER_STORAGE.iter().map(line).collect();
    assert_eq!(parse(&text, &[]).map(|config| config.destination), Ok(other_storage()), "{text}");
}

#[test]
fn the_example_of_a_registry_within_says_the_defaults() {
    let (before, upstream) = FILE.split_once("[upstream]\n").unwrap();
    let (_, storage) = upstream.split_once("\n#[storage]\n").unwrap();
    let (storage, after) = storage.split_once("\n\n[clients]\n").unwrap();
    let text =
        format!("{before}[storage]\n{}\n[clients]\n{after}", storage.replace("\n#", "\n").replace("\n ", "\n# "));
    let written = Config { destination: Destination::Storage(Storage::default()), ..Config::default() };
    assert_eq!(parse(&text, &[]), Ok(written), "{text}");
}

#[test]
fn there_is_one_destination_and_a_second_one_is_told_where_it_stands() {
    const SAID: &str = "there are both [upstream] and [storage]: keep [upstream] for a registry behind the gate, or \
                        [storage] for the one within";
    for (text, env, place) in [
        ("[storage]\ndata = '/d'\n[upstream]\nurl = 'unix:/s'", None, "conf/lockgate.toml:3:1: upstream"),
        ("[upstream]\nurl = 'unix:/s'\n[storage]\ndata = '/d'", None, "conf/lockgate.toml:1:1: upstream"),
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
        ("[tls]\ncertificate = ''", "2:15: tls.certificate: the path of a file is missing"),
        ("[tls]\nkey = '~/k'", "2:7: tls.key: ~ is not expanded here; write the whole path"),
        ("[tls]\nversions = ['1.3', '1.1']", "2:20: tls.versions[1]: expected one of \"1.2\" and \"1.3\""),
        ("[tls]\nversions = []", "2:12: tls.versions: nobody could connect; write [\"1.2\", \"1.3\"]"),
        ("[tls]\nhsts = '20ms'", "2:8: tls.hsts: browsers count in seconds"),
        ("tls.additional = [{ key = 'k' }]", "1:19: tls.additional[0]: certificate is missing"),
        ("[auth]\nrealm = 'a\"b'", "2:9: auth.realm: a realm is made of printable ASCII characters"),
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
