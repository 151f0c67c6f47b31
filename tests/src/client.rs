//! A client that writes its requests itself and keeps its connection: for a test that makes hundreds of requests, where
//! starting curl for each would take longer than they do.

use crate::door::Door;
use crate::message::{Response, copy_body, read_head};
use crate::tls::{self, TlsStream, trusting};
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer is waited for. A registry that promises more than it sends is found out by it.
const ANSWER: Duration = Duration::from_secs(10);

/// A client of one server, or of several that are one to it.
#[derive(Debug)]
pub struct Client {
    /// The one that was asked last stands first.
    servers: VecDeque<(Server, Option<Connection>)>,
}

#[derive(Debug)]
enum Server {
    Plain(SocketAddr),
    Tls { address: SocketAddr, authorization: String, tls: Arc<ClientConfig> },
}

#[derive(Debug)]
enum Connection {
    Plain(BufReader<TcpStream>),
    Tls(Box<BufReader<TlsStream>>),
}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub enum RequestBody<'a> {
    /// There is none, and no header speaks of one.
    Absent,
    /// With a `Content-Length`.
    Sized(&'a [u8]),
    /// In chunks, as somebody sends it who does not know its length.
    Chunked(&'a [u8]),
}

impl Client {
    /// A client of a server that speaks plain HTTP.
    pub fn plain(address: SocketAddr) -> Self {
        Self { servers: [(Server::Plain(address), None)].into() }
    }

    /// A client with the door's user, over TLS.
    ///
    /// # Panics
    /// When the authority's file is none.
    pub fn at(door: &Door) -> Self {
        Self::in_turn_at(std::slice::from_ref(door))
    }

    /// The same, which sends each request to the next of these, as a balancer would.
    ///
    /// # Panics
    /// When an authority's file is none.
    pub fn in_turn_at(doors: &[Door]) -> Self {
        let server = |door: &Door| {
            let (address, authorization) = (door.address, door.authorization());
            Server::Tls { address, authorization, tls: trusting(door) }
        };
        Self { servers: doors.iter().map(|door| (server(door), None)).collect() }
    }

    /// Sends a request, over the connection of the last one if that is still open, and awaits its answer. `headers` are
    /// lines `Name: value`.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn send(&mut self, method: &str, target: &str, headers: &[String], body: RequestBody<'_>) -> Response {
        let response = self.try_send(method, target, headers, body);
        response.unwrap_or_else(|error| panic!("{method} {target} has no whole answer: {error}"))
    }

    /// The same, of a server that may go away.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn try_send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[String],
        body: RequestBody<'_>,
    ) -> io::Result<Response> {
        self.servers.rotate_left(1);
        let (server, kept) = self.servers.front_mut().expect("there is a server");
        let request = server.request(method, target, headers, body);
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => server.connect()?,
        };
        let response = connection.exchange(&request, method == "HEAD")?;
        if !response.head.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close")) {
            *kept = Some(connection);
        }
        Ok(response)
    }
}

impl Server {
    fn request(&self, method: &str, target: &str, headers: &[String], body: RequestBody<'_>) -> Vec<u8> {
        let (host, authorization) = match self {
            Self::Plain(address) => (address, ""),
            Self::Tls { address, authorization, .. } => (address, authorization.as_str()),
        };
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{authorization}{headers}");
        match body {
            RequestBody::Absent => format!("{head}\r\n").into_bytes(),
            RequestBody::Sized(bytes) => {
                [format!("{head}Content-Length: {}\r\n\r\n", bytes.len()).as_bytes(), bytes].concat()
            }
            RequestBody::Chunked(bytes) => {
                let mut request = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
                for chunk in bytes.chunks(1000) {
                    request.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
                }
                request.extend(b"0\r\n\r\n");
                request
            }
        }
    }

    fn connect(&self) -> io::Result<Connection> {
        Ok(match self {
            Self::Plain(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(ANSWER))?;
                stream.set_nodelay(true)?;
                Connection::Plain(BufReader::new(stream))
            }
            Self::Tls { address, tls, .. } => {
                let stream = tls::connect(Arc::clone(tls), *address, ANSWER)?;
                Connection::Tls(Box::new(BufReader::new(stream)))
            }
        })
    }
}

impl Connection {
    fn exchange(&mut self, request: &[u8], is_head: bool) -> io::Result<Response> {
        // Who answers early may not read to the end; the answer tells.
        match self {
            Self::Plain(reader) => {
                let _ = reader.get_mut().write_all(request);
                read_response(reader, is_head)
            }
            Self::Tls(reader) => {
                let stream = reader.get_mut();
                let _ = stream.write_all(request).and_then(|()| stream.flush());
                read_response(reader, is_head)
            }
        }
    }
}

fn read_response(reader: &mut impl BufRead, is_head: bool) -> io::Result<Response> {
    let head = read_head(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut body = Vec::new();
    if !is_head && !matches!(head.status(), 204 | 304) {
        copy_body(reader, head.framing(), &mut body)?;
    }
    Ok(Response { head, body })
}
