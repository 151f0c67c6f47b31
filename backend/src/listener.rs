//! Where connections come from: TCP, or a Unix socket.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use lockgate_settings::Endpoint;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Bytes that the kernel holds for a client that takes no more, beside what is under way to it. Without it
/// each pull that stands still pins megabytes of the kernel's memory. The proxy has a limit of its own, for
/// clients of its own.
const UNSENT: u32 = 128 * 1024;

/// An open listening socket. One on a Unix path removes its file when it is dropped.
#[derive(Debug)]
pub struct Listener(Socket);

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix {
        /// Where this program made it. It goes before the listener: whoever found nobody listening would put a file of his own
        /// in its place, and lose that.
        _file: Option<SocketFile>,
        listener: UnixListener,
    },
}

/// A connection of either kind.
pub(crate) enum Stream {
    Tcp(TokioIo<TcpStream>),
    Unix(TokioIo<UnixStream>),
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already, or not: nobody is left to tell.
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens at an address. Port 0 is any free port: see [`Listener::local_endpoint`].
    ///
    /// A Unix socket can be used by its owner and its group. One that a killed process left behind is
    /// replaced, one that is in use is not.
    ///
    /// # Errors
    /// The system's, with the address before it.
    pub async fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        let bound = match endpoint {
            Endpoint::Tcp(address) => TcpListener::bind(address).await.map(Self::from),
            Endpoint::Unix(path) => bind_unix(path),
        };
        bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {endpoint}: {error}")))
    }

    /// Where it listens; the port is the one that the system chose.
    ///
    /// # Errors
    /// The system's. A Unix socket that has no path has no endpoint either.
    pub fn local_endpoint(&self) -> io::Result<Endpoint> {
        match &self.0 {
            Socket::Tcp(listener) => listener.local_addr().map(Endpoint::Tcp),
            Socket::Unix { listener, .. } => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().ok_or(io::ErrorKind::AddrNotAvailable)?;
                Ok(Endpoint::Unix(path.to_owned()))
            }
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match &self.0 {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // An answer is a head and a body: the second must not wait for the first's ACK. Refusal costs
                // only speed.
                let _ = stream.set_nodelay(true);
                // And here only memory.
                let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
                Ok(Stream::Tcp(TokioIo::new(stream)))
            }
            Socket::Unix { listener, .. } => Ok(Stream::Unix(TokioIo::new(listener.accept().await?.0))),
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(Socket::Tcp(listener))
    }
}

impl From<UnixListener> for Listener {
    /// The socket's file stays when the listener is dropped: who made it removes it.
    fn from(listener: UnixListener) -> Self {
        Self(Socket::Unix { listener, _file: None })
    }
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && is_deserted(path) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(Listener(Socket::Unix { listener, _file: Some(file) }))
}

fn is_deserted(path: &Path) -> bool {
    let connected = std::os::unix::net::UnixStream::connect(path);
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpSocket;

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the standard library leaves the file behind");

        let endpoint = Endpoint::Unix(path.clone());
        let listener = Listener::bind(&endpoint).await.unwrap();
        assert_eq!(listener.local_endpoint().unwrap(), endpoint);
        let error = Listener::bind(&endpoint).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot listen on unix:/"), "{error}");

        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "data").unwrap();
        Listener::bind(&Endpoint::Unix(path.clone())).await.unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }

    #[tokio::test]
    async fn who_takes_nothing_pins_little_of_the_kernels_memory() {
        let listener = Listener::from(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let Endpoint::Tcp(address) = listener.local_endpoint().unwrap() else { panic!("it is TCP") };
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(4096).unwrap();
        let _client = client.connect(address).await.unwrap();
        let Stream::Tcp(stream) = listener.accept().await.unwrap() else { panic!("it is TCP") };
        let stream = stream.into_inner();
        stream.writable().await.unwrap();
        let mut written = 0;
        while let Ok(n) = stream.try_write(&[b'a'; 16 * 1024]) {
            written += n;
        }
        assert!(written <= 4 * UNSENT as usize, "{written}");
    }
}
