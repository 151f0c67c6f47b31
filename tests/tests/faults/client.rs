//! The client's side: every kind of request, what may come of it, and what must work afterwards.

use lockgate_e2e::{Door, Ending, Fault, Gate, Head, Pattern, Response, Upstream, Wire, honest_body, upstream_with};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) const ALICE: &str = "Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==";

/// Larger than what the gate holds on its way.
const LARGE: u32 = 1 << 20;

/// What no client may ever see: an upstream says it without being asked.
pub(crate) const STOLEN: &str = "STOLEN";

/// How long a connection may stay open after `Connection: close`, on a machine that is busy with other tests.
const CLOSES_WITHIN: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    GetSmall,
    GetLarge,
    Head,
    PutWithLength,
    PatchInChunks,
    PutExpecting,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::GetSmall, Self::GetLarge, Self::Head, Self::PutWithLength, Self::PatchInChunks, Self::PutExpecting];

    pub(crate) fn is_head(self) -> bool {
        self == Self::Head
    }

    pub(crate) fn has_body(self) -> bool {
        matches!(self, Self::PutWithLength | Self::PatchInChunks | Self::PutExpecting)
    }

    fn method(self) -> &'static str {
        match self {
            Self::GetSmall | Self::GetLarge => "GET",
            Self::Head => "HEAD",
            Self::PutWithLength | Self::PutExpecting => "PUT",
            Self::PatchInChunks => "PATCH",
        }
    }

    fn send(self, wire: &mut Wire, target: &str) {
        let head = format!("{} {target} HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n", self.method());
        let body = Pattern::new(1, LARGE.into()).bytes();
        match self {
            Self::GetSmall | Self::GetLarge | Self::Head => wire.send(format!("{head}\r\n")),
            Self::PutWithLength => {
                let head = format!("{head}Content-Length: {LARGE}\r\n\r\n");
                wire.send([head.as_bytes(), &body].concat());
            }
            Self::PatchInChunks => {
                let mut request = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
                for piece in body.chunks(100_000) {
                    request.extend([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
                }
                request.extend(b"0\r\n\r\n");
                wire.send(request);
            }
            Self::PutExpecting => {
                wire.send(format!("{head}Content-Length: {LARGE}\r\nExpect: 100-continue\r\n\r\n"));
                if wire.is_given_leave() {
                    wire.send(body);
                }
            }
        }
    }
}

/// What a client may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    /// A refusal of the gate's, whole, with this status.
    Refusal(u16),
    /// The upstream's answer, whole, with this status.
    Passed(u16),
    /// The honest answer to this very request.
    Honest,
    /// An answer that began with 200, and visibly does not come to its end.
    Cut,
}

/// A fault, and what it may give to each kind of request.
pub(crate) struct Case {
    fault: Fault,
    gives: Box<dyn Fn(Kind) -> Vec<Gives> + Sync>,
}

impl Case {
    pub(crate) fn new(fault: Fault, gives: impl Fn(Kind) -> Vec<Gives> + Sync + 'static) -> Self {
        Self { fault, gives: Box::new(gives) }
    }

    /// The same for every request.
    pub(crate) fn always(fault: Fault, gives: Gives) -> Self {
        Self::new(fault, move |_| vec![gives])
    }

    /// One for requests whose answer has a body, and one for HEAD.
    pub(crate) fn but_for_head(fault: Fault, gives: Gives, head: Gives) -> Self {
        Self::new(fault, move |kind| vec![if kind.is_head() { head } else { gives }])
    }
}

/// Runs every case with every kind of request, so many at a time, before gates with these settings.
///
/// # Panics
/// With everything that did not hold.
#[track_caller]
pub(crate) fn hold(cases: Vec<Case>, at_a_time: usize, settings: &[(&str, &str)]) {
    let (faults, gives): (Vec<_>, Vec<_>) = cases.into_iter().map(|case| (case.fault, case.gives)).unzip();
    let names: Vec<String> = faults.iter().map(|fault| fault.name.clone()).collect();
    let upstream = upstream_with(faults);
    let gate = gate_before(&upstream, settings);
    let trials: Vec<(usize, Kind)> = (0..gives.len()).flat_map(|n| Kind::ALL.map(|kind| (n, kind))).collect();
    let (next, broken) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_a_time.min(trials.len()) {
            scope.spawn(|| {
                while let Some(&(number, kind)) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let claim = || trial(gate.door(), number, kind, &gives[number](kind));
                    if let Err(why) = without_panic(claim) {
                        broken
                            .lock()
                            .expect("nobody panics while holding it")
                            .push(format!("{}, {kind:?}: {why}", names[number]));
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().expect("nobody panicked while holding it");
    assert!(broken.is_empty(), "{} of {} trials:\n{}", broken.len(), trials.len(), broken.join("\n"));
}

pub(crate) fn gate_before(upstream: &Upstream, settings: &[(&str, &str)]) -> Gate {
    // Far less than a test's patience, far more than any of these exchanges needs.
    let builder = Gate::before(upstream.url()).set("upstream.read_timeout", "15s").set("upstream.write_timeout", "15s");
    let builder = builder.set("limits.body_timeout", "8s").set("limits.drain_timeout", "5s");
    settings.iter().fold(builder, |builder, (key, value)| builder.set(key, value)).start()
}

fn without_panic(claim: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(claim)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
    })
}

/// One request that meets the fault; then an honest one on the same connection, if that is kept, and one on a new
/// connection.
fn trial(door: &Door, number: usize, kind: Kind, gives: &[Gives]) -> Result<(), String> {
    let target = match kind {
        Kind::GetLarge => format!("/v2/fault/blobs/sha256:{number:064}?size={LARGE}"),
        Kind::PatchInChunks => format!("/v2/fault/blobs/uploads/{number}?size=64"),
        _ => format!("/v2/fault/manifests/{number}?size=64"),
    };
    let mut wire = Wire::open(door);
    kind.send(&mut wire, &target);
    let outcome = wire.outcome(kind.is_head());
    if !gives.iter().any(|gives| is_given(*gives, &outcome, kind, &target)) {
        return Err(format!("{gives:?} was expected, and not {}", shown(&outcome)));
    }
    let says_close = |head: &Head| head.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"));
    match &outcome {
        Ending::Broken(_) => {}
        Ending::Whole(response) if says_close(&response.head) => {
            let surplus = wire.closed_within(CLOSES_WITHIN);
            if !surplus.is_empty() {
                return Err(format!("after the last answer: {}", String::from_utf8_lossy(&surplus)));
            }
        }
        Ending::Whole(_) => {
            honest(&mut wire, number, "same").map_err(|why| format!("{why}, after {}", shown(&outcome)))?
        }
    }
    honest(&mut Wire::open(door), number, "new")
}

/// The next request gets its own answer.
pub(crate) fn honest(wire: &mut Wire, number: usize, connection: &str) -> Result<(), String> {
    let target = format!("/v2/honest/manifests/{connection}-{number}");
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n\r\n"));
    let outcome = wire.outcome(false);
    if is_given(Gives::Honest, &outcome, Kind::GetSmall, &target) {
        return Ok(());
    }
    Err(format!("the next request on the {connection} connection got {}", shown(&outcome)))
}

fn is_given(gives: Gives, outcome: &Ending, kind: Kind, target: &str) -> bool {
    match (gives, outcome) {
        (Gives::Cut, Ending::Broken(bytes)) => bytes.starts_with(b"HTTP/1.1 200 ") && !is_stolen(bytes),
        (Gives::Refusal(status), Ending::Whole(response)) => {
            response.head.status() == status && is_oci_error(response, kind.is_head())
        }
        (Gives::Passed(status), Ending::Whole(response)) => {
            response.head.status() == status && is_well_formed(response, kind.is_head()) && !is_stolen(&response.body)
        }
        (Gives::Honest, Ending::Whole(response)) => {
            let body = if kind.is_head() { Vec::new() } else { honest_body(kind.method(), target) };
            response.head.status() == 200 && response.body == body && is_well_formed(response, kind.is_head())
        }
        _ => false,
    }
}

fn is_oci_error(response: &Response, is_head: bool) -> bool {
    let head = &response.head;
    let is_json = head.all("content-type") == ["application/json; charset=utf-8"];
    let says_why = || {
        let body: Option<serde_json::Value> = serde_json::from_slice(&response.body).ok();
        body.is_some_and(|body| body["errors"][0]["code"].is_string() && body["errors"][0]["message"].is_string())
    };
    is_json && is_well_formed(response, is_head) && (is_head || says_why())
}

/// One framing, which HEAD needs not be told (RFC 9110, 9.3.2), one version of the API, and no line that could be read
/// in two ways.
fn is_well_formed(response: &Response, is_head: bool) -> bool {
    let head = &response.head;
    let framings = head.all("content-length").len() + head.all("transfer-encoding").len();
    let chunked = head.all("transfer-encoding").iter().all(|coding| *coding == "chunked");
    let text = String::from_utf8_lossy(&head.raw);
    let lines = text.trim_end_matches("\r\n").split("\r\n").skip(1);
    let plain = |line: &str| {
        line.split_once(':').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
            && !line.contains(['\r', '\n', '\0'])
    };
    let may_have_none = is_head || matches!(head.status(), 204 | 304);
    (framings == 1 || framings == 0 && may_have_none)
        && chunked
        && lines.clone().all(plain)
        && head.all("docker-distribution-api-version") == ["registry/2.0"]
}

fn is_stolen(bytes: &[u8]) -> bool {
    bytes.windows(STOLEN.len()).any(|window| window == STOLEN.as_bytes())
}

fn shown(outcome: &Ending) -> String {
    let beginning = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    match outcome {
        Ending::Broken(bytes) => format!("a broken answer of {} bytes: {:?}", bytes.len(), beginning(bytes)),
        Ending::Whole(response) => {
            format!(
                "{:?} with {} bytes {:?}",
                beginning(&response.head.raw),
                response.body.len(),
                beginning(&response.body)
            )
        }
    }
}
