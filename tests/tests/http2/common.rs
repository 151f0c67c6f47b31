use lockgate_e2e::{Gate, GateBuilder, Http2, Outcome, Upstream, frame, ok};

pub(crate) const ALICE: &str = "Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==";
pub(crate) const MANIFEST: &str = "/v2/a/manifests/x";
pub(crate) const UPLOAD: &str = "/v2/a/blobs/uploads/u";

/// A gate with HTTP/2 before this upstream, yet to be started.
pub(crate) fn before(upstream: &Upstream) -> GateBuilder {
    Gate::before(upstream.url()).set("listen.http2", true)
}

/// An upstream that takes everything, and a gate with HTTP/2 before it.
pub(crate) fn open_gate() -> (Upstream, Gate) {
    let upstream = Upstream::answering(ok("{}"));
    let gate = before(&upstream).start();
    (upstream, gate)
}

/// The fields of a request with one of them replaced, or one more where none has its name.
pub(crate) fn fields_with<'a>(method: &'a str, name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "https"),
        (":path", if method == "GET" { MANIFEST } else { UPLOAD }),
        (":authority", "registry.test"),
        ("authorization", ALICE),
    ];
    match fields.iter_mut().find(|field| field.0 == name) {
        Some(field) => field.1 = value,
        None => fields.push((name, value)),
    }
    fields
}

/// A clean request on a new connection is answered.
#[track_caller]
pub(crate) fn assert_serves(gate: &Gate) {
    let mut client = Http2::open(gate.door());
    client.request(1, "GET", MANIFEST, ALICE, true);
    assert_eq!(client.outcome(1), Outcome::Answer { status: 200, body: b"{}".to_vec() });
}

/// Whether the stream was refused: reset, the connection with it, or by 400.
pub(crate) fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Reset(_) | Outcome::Closed | Outcome::Answer { status: 400, .. })
}

/// The error code of a GOAWAY to a client that floods (RFC 9113, 7).
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// A PING that asks for an answer.
pub(crate) fn ping() -> Vec<u8> {
    lockgate_e2e::frame_bytes(frame::PING, 0, 0, &[0; 8])
}
