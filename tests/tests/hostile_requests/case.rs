//! One row of a table: bytes that a client sends, and what must become of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_e2e::{Division, Door, Gate, PATIENCE, Received, Records, Scheme, Upstream, htpasswd_line, ok};

/// A row: its name, its bytes, and its outcome.
///
/// The bytes are written with `\r \n \t \\ \xNN`, and with these words:
/// `{H}` a Host, `{A}` alice's Authorization, `{C}` a request that must never be forwarded, `{lenC}` its length,
/// `{repeat N text}`, `{base64 text}`; at the end `{fin}` for a client that closes its sending side.
///
/// The outcome is the status of each answer, then `open` or `closed`: `401 open`. `|` separates outcomes that are both
/// right: what follows an answer that closes, as the sentinel does, may reset the connection before it is read.
pub(crate) type Case = (&'static str, &'static str, &'static str);

const HOST: &str = r"Host: registry.test\r\n";
const ALICE: &str = r"Authorization: Basic {base64 alice:correct-horse}\r\n";
/// Its target tells it from all others.
const CANARY: &str = r"GET /v2/canary/manifests/x HTTP/1.1\r\nHost: registry.test\r\n\r\n";
/// Asked after a row on the same connection: whether that is open, and where its next request begins.
const SENTINEL: &str = r"GET /v2/sentinel/tags/list HTTP/1.1\r\n{H}{A}\r\n";
/// The sentinel's answer.
const SENTINEL_ANSWER: &str = "the sentinel passed";

/// All that alice may, where there are grants.
const SENTINEL_ONLY: &str = r#"
[[grant]]
repositories = "sentinel"
to = "user:alice"
allow = "pull"
"#;

/// Longer rows are not sent byte by byte.
const LONG: usize = 4096;

/// Sends every row of a table, divided among records in every way, and compares what became of it.
pub(crate) fn run(table: &[Case]) {
    let (upstream, gate) = set_up();
    let mut wrong = Vec::new();
    for (name, text, outcome) in table {
        let bytes = expand(text);
        for division in [Division::Once, Division::AtEachLine, Division::Bytes] {
            if division != Division::Once && bytes.len() > LONG {
                continue;
            }
            let before = upstream.received().len();
            let seen = play(gate.door(), &bytes, text.ends_with("{fin}"), division);
            if !outcome.split(" | ").any(|outcome| outcome == seen) {
                wrong.push(format!("{name} ({division:?}): {seen}, not {outcome}"));
            }
            let forwarded = &upstream.received()[before..];
            wrong.extend(flaws(forwarded).map(|flaw| format!("{name} ({division:?}): {flaw}: {forwarded:#?}")));
        }
        if play(gate.door(), &[], false, Division::Once) != "open" {
            wrong.push(format!("{name}: afterwards a clean request does not pass"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sends every row to a gate where alice may do nothing but pull the sentinel, as it stands and with her
/// credentials where it has none: of all of them the registry hears nothing but that somebody is there, and is asked for its list by the gate itself.
pub(crate) fn run_with_rights_elsewhere<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) {
    let upstream = upstream();
    let gate = Gate::before(upstream.url()).htpasswd(users()).access(SENTINEL_ONLY).start();
    let mut wrong = Vec::new();
    for (name, text) in rows {
        let shows_nothing = !text.contains("Authorization") && !text.contains("{A}");
        let with_credentials = shows_nothing.then(|| text.replace("{H}", "{H}{A}"));
        for text in with_credentials.iter().map(String::as_str).chain([text]) {
            let before = upstream.received().len();
            play(gate.door(), &expand(text), text.ends_with("{fin}"), Division::Once);
            let is_harmless = |target: &str| {
                let path = target.split_once('?').map_or(target, |(path, _)| path);
                ["/v2", "/v2/", "/v2/_catalog", "/v2/sentinel/tags/list"].contains(&path)
            };
            let forwarded = &upstream.received()[before..];
            wrong.extend(
                forwarded.iter().filter(|request| !is_harmless(request.head.target())).map(|request| {
                    format!("{name}: {} {} was forwarded", request.head.method(), request.head.target())
                }),
            );
            wrong.extend(flaws(forwarded).map(|flaw| format!("{name}: {flaw}: {forwarded:#?}")));
        }
        if play(gate.door(), &[], false, Division::Once) != "open" {
            wrong.push(format!("{name}: afterwards a clean request does not pass"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn set_up() -> (Upstream, Gate) {
    let upstream = upstream();
    let gate = Gate::before(upstream.url()).htpasswd(users()).start();
    (upstream, gate)
}

fn upstream() -> Upstream {
    Upstream::scripted(|connection| {
        while let Some(head) = connection.request()? {
            connection.body(&head, &mut std::io::sink())?;
            let body = if head.target().contains("sentinel") { SENTINEL_ANSWER } else { "{}" };
            connection.send(&if head.method() == "HEAD" { ok("") } else { ok(body) })?;
        }
        Ok(())
    })
}

/// The users that the rows name, those among them who must not get in.
fn users() -> String {
    let users = [("alice", "correct-horse"), ("colon", "a:b"), ("jürg", "été"), ("long72", &"a".repeat(80))];
    let mut lines: Vec<String> =
        users.iter().map(|(user, password)| htpasswd_line(Scheme::Bcrypt, user, password)).collect();
    let too_costly = htpasswd_line(Scheme::Bcrypt, "cost31", "x").replace("$04$", "$31$");
    let comment = format!("#{}", htpasswd_line(Scheme::Bcrypt, "carol", "carol"));
    lines.extend([too_costly, comment, "nohash:".to_owned(), "plain:text".to_owned()]);
    lines.join("\n")
}

/// Sends the bytes, and the sentinel behind them where the connection is open.
fn play(door: &Door, bytes: &[u8], ends: bool, division: Division) -> String {
    let mut connection = Records::open(door, PATIENCE);
    connection.send(bytes, division);
    if ends {
        connection.shut_down();
    } else {
        connection.send(&expand(SENTINEL), Division::Once);
    }
    let mut received = Vec::new();
    let passed = |received: &[u8]| received.ends_with(SENTINEL_ANSWER.as_bytes());
    let open = connection.read_until(&mut received, passed);
    // A client of HTTP/1.0 is answered in its own version.
    let text = String::from_utf8_lossy(&received).replace("HTTP/1.0 ", "HTTP/1.1 ");
    let mut outcome: Vec<&str> =
        text.match_indices("HTTP/1.1 ").map(|(at, _)| text.get(at + 9..at + 12).unwrap_or("cut")).collect();
    if open {
        // The sentinel's own.
        outcome.pop();
    }
    outcome.retain(|status| *status != "100");
    outcome.push(if open { "open" } else { "closed" });
    outcome.join(" ")
}

/// What no upstream may ever see, whatever the client sent.
fn flaws(forwarded: &[Received]) -> impl Iterator<Item = &'static str> {
    let any = |flaw: fn(&Received) -> bool| forwarded.iter().any(flaw);
    [
        ("the canary was forwarded", any(|request| request.head.target().contains("canary"))),
        ("a target is no path", any(|request| !request.head.target().starts_with('/'))),
        ("there is not exactly one Host", any(|request| request.head.all("host").len() != 1)),
        (
            "there are two lengths",
            any(|request| request.head.all("content-length").len() + request.head.all("transfer-encoding").len() > 1),
        ),
        (
            "a header of the connection went on",
            any(|request| {
                let hop_by_hop = ["keep-alive", "te", "trailer", "upgrade", "proxy-authorization", "proxy-connection"];
                hop_by_hop.iter().chain(&["proxy", "http2-settings"]).any(|name| !request.head.all(name).is_empty())
            }),
        ),
        (
            "a stranger's claim went on",
            any(|request| {
                let claims = ["x-remote-user", "remote-user", "forwarded", "x-forwarded-host", "x-original-url"];
                claims.iter().any(|name| !request.head.all(name).is_empty())
                    || request.head.all("x-forwarded-proto") != ["https"]
                    || request.head.all("x-real-ip") != ["127.0.0.1"]
            }),
        ),
        ("a name has an underscore", any(|request| request.head.headers.iter().any(|(name, _)| name.contains('_')))),
        (
            "a line does not end in CRLF, or a byte is NUL",
            any(|request| {
                let raw = &request.head.raw;
                raw.contains(&0) || raw.iter().enumerate().any(|(at, byte)| *byte == b'\n' && raw[at - 1] != b'\r')
            }),
        ),
        ("the credentials went on", any(|request| !request.head.all("authorization").is_empty())),
    ]
    .into_iter()
    .filter_map(|(flaw, is_there)| is_there.then_some(flaw))
}

/// The bytes of a row.
fn expand(text: &str) -> Vec<u8> {
    let length_of_canary = unescape(CANARY).len().to_string();
    let text = text.replace("{lenC}", &length_of_canary).replace("{C}", CANARY);
    let text = text.replace("{A}", ALICE).replace("{H}", HOST).replace("{fin}", "");
    let text = replace_words(&text, "{repeat ", |word| {
        let (count, what) = word.split_once(' ').expect("{repeat N text}");
        what.repeat(count.parse().expect("a number"))
    });
    unescape(&replace_words(&text, "{base64 ", |word| STANDARD.encode(unescape(word))))
}

/// Replaces each `{word argument}`; an argument holds no braces.
fn replace_words(text: &str, word: &str, by: impl Fn(&str) -> String) -> String {
    let mut parts = text.split(word);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (argument, rest) = part.split_once('}').expect("a word has an end");
        replaced += &by(argument);
        replaced += rest;
    }
    replaced
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let byte = match c {
            '\\' => match rest.next().expect("an escape has a second character") {
                'r' => b'\r',
                'n' => b'\n',
                't' => b'\t',
                '\\' => b'\\',
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    u8::from_str_radix(&digits, 16).expect("two hexadecimal digits")
                }
                other => panic!("no escape: \\{other}"),
            },
            c => u8::try_from(c).expect("Latin-1"),
        };
        bytes.push(byte);
    }
    bytes
}
