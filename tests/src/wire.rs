//! A TLS connection on which a test writes the bytes itself. The TLS is `openssl s_client`'s.

use crate::door::Door;
use crate::message::Response;
use crate::process::{Capture, Process, Signal};
use crate::programs::tool;
use crate::secrets::note_authorizations;
use crate::waiting::PATIENCE;
use std::io::{self, Write};
use std::process::ChildStdin;
use std::time::Duration;

/// An open connection.
#[derive(Debug)]
pub struct Wire {
    client: Process,
    stdin: ChildStdin,
    /// How much of what came in was handed out.
    read: usize,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A response that is whole by its own framing.
    Whole(Response),
    /// The connection ended before that; what came until then.
    Broken(Vec<u8>),
}

impl Wire {
    /// Connects, verifying the certificate.
    pub fn open(door: &Door) -> Self {
        Self::open_with(door, &[])
    }

    /// Connects with more options of `openssl s_client`.
    ///
    /// # Panics
    /// When openssl is missing.
    pub fn open_with(door: &Door, options: &[&str]) -> Self {
        let mut openssl = tool("openssl");
        openssl.args(["s_client", "-quiet", "-nocommands", "-verify_quiet", "-verify_return_error"]);
        openssl.arg("-CAfile").arg(&door.ca).arg("-connect").arg(door.address.to_string()).args(options);
        let mut client = Process::start(&mut openssl);
        let stdin = client.take_stdin();
        Self { client, stdin, read: 0 }
    }

    /// Sends bytes. A peer that is gone is no error here: the answer, or its absence, tells.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.try_send(bytes);
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        note_authorizations(bytes.as_ref());
        self.stdin.write_all(bytes.as_ref())?;
        self.stdin.flush()
    }

    /// The client stays, and reads and writes nothing.
    pub fn pause(&self) {
        self.client.signal(Signal::Stop);
    }

    /// The client goes on after a pause.
    pub fn resume(&self) {
        self.client.signal(Signal::Continue);
    }

    /// Awaits the next response.
    ///
    /// # Panics
    /// When none has come whole after [`PATIENCE`], or the connection ended without it.
    pub fn response(&mut self) -> Response {
        self.next_response(false)
    }

    /// Awaits the next response, which answers a HEAD and has no body.
    ///
    /// # Panics
    /// As [`Wire::response`].
    pub fn response_to_head(&mut self) -> Response {
        self.next_response(true)
    }

    /// Awaits what becomes of a request: a whole final response, or the end of the connection. Interim responses are
    /// passed over.
    ///
    /// # Panics
    /// When there is neither after [`PATIENCE`].
    pub fn outcome(&mut self, to_head: bool) -> Ending {
        loop {
            let read = self.read;
            let (outcome, length) = self.incoming().await_bytes(PATIENCE, "an answer or the end", |bytes, ended| {
                match Response::parse(&bytes[read..], to_head, ended) {
                    Some((response, length)) => Some((Ending::Whole(response), length)),
                    None => ended.then(|| (Ending::Broken(bytes[read..].to_vec()), bytes.len() - read)),
                }
            });
            self.read += length;
            match outcome {
                Ending::Whole(interim) if matches!(interim.head.status(), 100 | 102..=199) => {}
                outcome => return outcome,
            }
        }
    }

    /// Awaits the first word about a request whose body waits for leave (`Expect: 100-continue`), and says whether it is
    /// that leave. Any other word is kept for [`Wire::outcome`].
    ///
    /// # Panics
    /// When there is none after [`PATIENCE`].
    pub fn is_given_leave(&mut self) -> bool {
        loop {
            let read = self.read;
            let word = self.incoming().await_bytes(PATIENCE, "leave to send, or an answer", |bytes, ended| {
                // Interim responses have no body, and of a final one the header is enough.
                match Response::parse(&bytes[read..], true, ended) {
                    Some((response, length)) => Some(Some((response.head.status(), length))),
                    None => ended.then_some(None),
                }
            });
            match word {
                Some((status @ (100 | 102..=199), length)) => {
                    self.read += length;
                    if status == 100 {
                        return true;
                    }
                }
                Some(_) | None => return false,
            }
        }
    }

    /// Awaits that the server closes, and returns what came before and was not yet handed out.
    ///
    /// # Panics
    /// When it is still open after `bound`.
    pub fn closed_within(&mut self, bound: Duration) -> Vec<u8> {
        let read = self.read;
        self.incoming().await_bytes(bound, "the server to close", |bytes, ended| ended.then(|| bytes[read..].to_vec()))
    }

    /// Awaits that what came in, and was not yet handed out, ends with `text`.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub fn await_text(&mut self, text: &str) {
        let read = self.read;
        let what = format!("{text:?}");
        self.incoming().await_bytes(PATIENCE, &what, |bytes, _| bytes[read..].ends_with(text.as_bytes()).then_some(()));
    }

    /// Awaits that anything has come which was not yet handed out, or the end.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub fn await_any(&mut self) {
        let read = self.read;
        self.incoming().await_bytes(PATIENCE, "any answer", |bytes, ended| (ended || bytes.len() > read).then_some(()));
    }

    pub(crate) fn incoming(&self) -> &Capture {
        self.client.stdout()
    }

    fn next_response(&mut self, to_head: bool) -> Response {
        let read = self.read;
        let (response, length) = self.incoming().await_bytes(PATIENCE, "a whole response", |bytes, ended| {
            let response = Response::parse(&bytes[read..], to_head, ended);
            assert!(response.is_some() || !ended, "the connection ended without a response");
            response
        });
        self.read += length;
        response
    }
}
