//! A scripted fake upstream: it records each request's bytes and answers, stalls or hangs up as the test says.

use crate::message::{Framing, Head, copy_body, read_head};
use crate::waiting::PATIENCE;
use socket2::SockRef;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much of a body is kept in the record.
const KEPT_BODY: usize = 1 << 20;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its head.
    pub head: Head,
    /// Its body, decoded; of a long one the first MiB.
    pub body: Vec<u8>,
    /// Whether its body came to its end.
    pub complete: bool,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

/// A running fake.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    changed: Condvar,
    /// A second handle on each open connection, by its number, to cut it with.
    streams: Mutex<BTreeMap<usize, TcpStream>>,
    stopping: AtomicBool,
}

impl Shared {
    fn received(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<usize, TcpStream>> {
        self.streams.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A plain answer with status 200.
pub fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

impl Upstream {
    /// Runs `script` for every connection, on a free port.
    pub fn scripted(script: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::scripted_at(SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    /// The same at a given address.
    ///
    /// # Panics
    /// When the address is taken.
    pub fn scripted_at(
        address: SocketAddr,
        script: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|e| panic!("{address}: {e}"));
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let acceptor = std::thread::spawn({
            let (shared, script) = (Arc::clone(&shared), Arc::new(script));
            move || accept(&listener, &shared, &script)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Takes every request with its body and answers it with these bytes.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::answering_at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    /// The same at a given address.
    pub fn answering_at(address: SocketAddr, answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::scripted_at(address, move |connection| {
            while let Some(head) = connection.request()? {
                connection.body(&head, &mut io::sink())?;
                connection.send(&answer)?;
            }
            Ok(())
        })
    }

    /// Takes the head of one request a connection, nothing of its body for so long, and then answers with these
    /// bytes.
    pub fn answering_slowly(delay: Duration, answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::scripted(move |connection| {
            let Some(head) = connection.request()? else { return Ok(()) };
            std::thread::sleep(delay);
            connection.body(&head, &mut io::sink())?;
            connection.send(&answer)
        })
    }

    /// Takes requests and never answers.
    pub fn silent() -> Self {
        Self::scripted(|connection| {
            while let Some(head) = connection.request()? {
                connection.body(&head, &mut io::sink())?;
            }
            Ok(())
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `upstream.url` must say.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received().clone()
    }

    /// Awaits the first request whose record `wanted` takes.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub fn await_received(&self, what: &str, wanted: impl Fn(&Received) -> bool) -> Received {
        let start = Instant::now();
        let mut received = self.shared.received();
        loop {
            if let Some(found) = received.iter().find(|request| wanted(request)) {
                return found.clone();
            }
            let left = PATIENCE.checked_sub(start.elapsed());
            let left = left.unwrap_or_else(|| panic!("the upstream waited in vain for {what}: {received:#?}"));
            received = self.shared.changed.wait_timeout(received, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    /// How many connections are open, as far as the scripts know.
    pub fn open_connections(&self) -> usize {
        self.shared.streams().len()
    }

    /// The only request that has arrived.
    ///
    /// # Panics
    /// When there are none or several.
    #[track_caller]
    pub fn only(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "exactly one request should have arrived: {received:#?}");
        received.remove(0)
    }
}

impl Drop for Upstream {
    /// Stops listening and cuts every connection.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in self.shared.streams().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Under the lock, so that nobody begins to stall between the flag and the call.
        let _received = self.shared.received();
        self.shared.changed.notify_all();
    }
}

fn accept<S>(listener: &TcpListener, shared: &Arc<Shared>, script: &Arc<S>)
where
    S: Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
{
    for (number, stream) in listener.incoming().enumerate() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(mut connection) = Connection::over(stream, number, Arc::clone(shared)) else { continue };
        let script = Arc::clone(script);
        // A script that fails has a peer that went away; the test sees that in what it asserts.
        std::thread::spawn(move || {
            let _ = script(&mut connection);
            connection.close();
        });
    }
}

/// One connection, in the script's hands.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<TcpStream>,
    stream: TcpStream,
    number: usize,
    shared: Arc<Shared>,
    resetting: bool,
}

impl Connection {
    fn over(stream: TcpStream, number: usize, shared: Arc<Shared>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        shared.streams().insert(number, stream.try_clone()?);
        let reader = BufReader::with_capacity(256 * 1024, stream.try_clone()?);
        Ok(Self { reader, stream, number, shared, resetting: false })
    }

    /// Reads and records the next request's head; `None` when the peer has closed.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn request(&mut self) -> io::Result<Option<Head>> {
        let head = read_head(&mut self.reader)?;
        if let Some(head) = &head {
            let complete = matches!(head.framing(), Framing::Undeclared | Framing::Length(0));
            let record = Received { head: head.clone(), body: Vec::new(), complete, connection: self.number };
            self.shared.received().push(record);
            self.shared.changed.notify_all();
        }
        Ok(head)
    }

    /// Reads and records the body that belongs to `head`, copies it to `sink`, and returns its length. A client that
    /// waits for leave to send it (`Expect: 100-continue`) is given it.
    ///
    /// # Errors
    /// When the connection breaks, or the sink.
    pub fn body(&mut self, head: &Head, sink: &mut dyn Write) -> io::Result<u64> {
        self.give_leave(head)?;
        self.body_without_leave(head, sink)
    }

    /// Reads and records the body that belongs to `head`, and throws it away; gives no leave to send it.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn body_unasked(&mut self, head: &Head) -> io::Result<()> {
        self.body_without_leave(head, &mut io::sink()).map(drop)
    }

    /// Gives leave to send the body, and reads its first piece only, unrecorded.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn first_piece(&mut self, head: &Head) -> io::Result<()> {
        self.give_leave(head)?;
        let length = self.reader.fill_buf()?.len();
        self.reader.consume(length);
        if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn give_leave(&mut self, head: &Head) -> io::Result<()> {
        if head.all("expect").iter().any(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(())
    }

    fn body_without_leave(&mut self, head: &Head, sink: &mut dyn Write) -> io::Result<u64> {
        let mut record = Record { shared: &self.shared, connection: self.number, sink };
        let length = copy_body(&mut self.reader, head.framing(), &mut record)?;
        record.update(|request| request.complete = true);
        Ok(length)
    }

    /// Where the upstream listens.
    ///
    /// # Panics
    /// When the connection is broken.
    pub fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("it is connected")
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends `content` to its end.
    ///
    /// # Errors
    /// When the connection breaks, or the content.
    pub fn send_all_of(&mut self, content: &mut dyn Read) -> io::Result<u64> {
        io::copy(content, &mut self.stream)
    }

    /// Awaits that the peer closes, within `bound`.
    ///
    /// # Errors
    /// When it does not.
    pub fn await_close(&mut self, bound: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(bound))?;
        io::copy(&mut self.reader, &mut io::sink()).map(drop)
    }

    /// The end of this connection will be a reset, whatever was read of it.
    ///
    /// # Errors
    /// When the connection is broken already.
    pub fn reset(&mut self) -> io::Result<()> {
        self.resetting = true;
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    /// Stays, and neither reads nor writes, until the upstream is dropped.
    pub fn stall(&mut self) {
        let mut received = self.shared.received();
        while !self.shared.stopping.load(Ordering::SeqCst) {
            received = self.shared.changed.wait(received).unwrap_or_else(|e| e.into_inner());
        }
    }

    fn close(self) {
        self.shared.streams().remove(&self.number);
        if !self.resetting {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

/// Keeps the start of a body in the connection's last record while it goes by.
struct Record<'a> {
    shared: &'a Shared,
    connection: usize,
    sink: &'a mut dyn Write,
}

impl Record<'_> {
    fn update(&self, change: impl FnOnce(&mut Received)) {
        let mut received = self.shared.received();
        if let Some(record) = received.iter_mut().rev().find(|request| request.connection == self.connection) {
            change(record);
        }
        self.shared.changed.notify_all();
    }
}

impl Write for Record<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.sink.write_all(buffer)?;
        self.update(|request| {
            let free = KEPT_BODY - request.body.len();
            request.body.extend_from_slice(&buffer[..buffer.len().min(free)]);
        });
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
