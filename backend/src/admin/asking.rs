//! Asking a program that runs, from another process: for a container's health check.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use lockgate_settings::{Endpoint, reachable};

/// How long each of connecting and answering may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for a path where a program listens for plain HTTP.
///
/// # Errors
/// It is answered with something else than 200, or not at all.
pub fn ask(endpoint: &Endpoint, path: &str) -> io::Result<()> {
    let answer = match endpoint {
        Endpoint::Tcp(address) => {
            let connected = TcpStream::connect_timeout(&reachable(*address), PATIENCE);
            connected.and_then(|stream| stream.set_read_timeout(Some(PATIENCE)).and_then(|()| get(stream, path)))
        }
        Endpoint::Unix(socket) => {
            let connected = UnixStream::connect(socket);
            connected.and_then(|stream| stream.set_read_timeout(Some(PATIENCE)).and_then(|()| get(stream, path)))
        }
    };
    let answer = answer.map_err(|error| io::Error::new(error.kind(), format!("no answer at {endpoint}: {error}")))?;
    if answer.starts_with(b"HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(io::Error::other(format!("{endpoint} answers something else than 200 to GET {path}")))
    }
}

fn get(mut stream: impl Read + Write, path: &str) -> io::Result<Vec<u8>> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(1024).read_to_end(&mut answer)?;
    Ok(answer)
}
