use std::pin::pin;
use std::task::Waker;

use super::*;
use crate::config::Config;
use crate::listener::exchange::InHand;
use crate::refusal::own_fields;
use lockgate_settings::ByteSize;
use std::future::Future;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt, DuplexStream};

/// More than any of these tests writes at once.
const PIPE: usize = 256 * 1024;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: r\r\n\r\n";

fn limits() -> Limits {
    Config::default().limits
}

fn pair() -> (Connection<DuplexStream>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(PIPE);
    (connection(ours, limits()), theirs)
}

fn connection(stream: DuplexStream, limits: Limits) -> Connection<DuplexStream> {
    let client = std::net::SocketAddr::from(([192, 0, 2, 1], 1)).into();
    Connection::new(stream, client, Arc::new(limits), own_fields(None))
}

/// A connection whose request the service has, with `room` for what neither side has read.
async fn in_request(
    limits: Limits,
    body: RemainingBody,
    room: usize,
) -> (Connection<DuplexStream>, DuplexStream, InHand) {
    let (ours, mut client) = tokio::io::duplex(room.max(GET.len()));
    let mut connection = connection(ours, limits);
    client.write_all(GET).await.expect("sent");
    read_header(&mut connection).await;
    let in_hand = connection.exchange().begin(&announcing(&body));
    (connection, client, in_hand)
}

/// A header that announces such a body.
fn announcing(body: &RemainingBody) -> http::HeaderMap {
    use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
    let field = match body {
        RemainingBody::Length(length) => (CONTENT_LENGTH, (*length).into()),
        _ => (TRANSFER_ENCODING, http::HeaderValue::from_static("chunked")),
    };
    [field].into_iter().collect()
}

/// What hyper does with a header.
async fn read_header(connection: &mut Connection<DuplexStream>) -> Vec<u8> {
    assert!(connection.next_request().await && connection.header().await);
    let mut header = Vec::with_capacity(PIPE);
    assert!(connection.read_buf(&mut header).await.expect("read") > 0);
    header
}

/// What hyper does with the last words of an answer.
async fn say(connection: &mut Connection<DuplexStream>, words: &[u8]) -> io::Result<()> {
    connection.write_all(words).await?;
    AsyncWriteExt::flush(connection).await
}

/// Whether there is nothing yet.
fn waits(future: impl Future) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// All that the client is told until the connection ends.
async fn told(mut client: DuplexStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).await.expect("text");
    text
}

/// Sends `bytes` and tells what is answered to what can be no request.
async fn refusal(bytes: &[u8]) -> String {
    let (mut connection, mut client) = pair();
    client.write_all(bytes).await.expect("it fits the pipe");
    let client = tokio::spawn(told(client));
    assert!(connection.next_request().await && !connection.header().await);
    drop(connection);
    client.await.expect("no panic")
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_nothing_is_let_go_without_a_word_after_the_idle_timeout() {
    let (mut connection, client) = pair();
    let start = Instant::now();
    assert!(!connection.next_request().await);
    assert_eq!(start.elapsed().as_secs(), limits().idle_timeout.duration().as_secs());
    drop(connection);
    assert_eq!(told(client).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_header_that_trickles_in_gets_408_when_its_time_is_over() {
    let (mut connection, mut client) = pair();
    let start = Instant::now();
    let trickle = tokio::spawn(async move {
        while client.write_all(b"G").await.is_ok() && start.elapsed() < limits().header_timeout.duration() * 2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        told(client).await
    });
    assert!(connection.next_request().await && !connection.header().await);
    drop(connection);
    let answer = trickle.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("did not arrive within 15s"), "{answer}");
}

#[tokio::test]
async fn a_header_comes_in_one_piece_however_it_was_sent_and_nothing_behind_it() {
    let (mut connection, mut client) = pair();
    let header = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; 8 * 1024], b"\r\n\r\n"].concat();
    let sent = [&header[..], GET].concat();
    let trickle = tokio::spawn(async move {
        for byte in sent {
            client.write_all(&[byte]).await.expect("sent");
            tokio::task::yield_now().await;
        }
        client
    });
    assert!(read_header(&mut connection).await == header, "the header is not what was sent");
    let _in_hand = connection.exchange().begin(&http::HeaderMap::new());
    let _client = trickle.await.expect("no panic");
    let mut probe = [0];
    let probe = tokio::time::timeout(Duration::from_millis(10), connection.read(&mut probe)).await;
    assert!(probe.is_err(), "the next request has to wait");
    assert_eq!(read_header(&mut connection).await, GET);
    assert_eq!(connection.ahead.capacity(), 0, "what is handed over is not kept");
}

#[tokio::test(start_paused = true)]
async fn a_header_over_its_budget_gets_431_and_what_follows_is_read_away() {
    let answer =
        refusal(&[b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; 3 * limits().header_size.get()]].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("limits.header_size"), "{answer}");
    let fields = "X: y\r\n".repeat(limits().header_count.get() + 1);
    let answer = refusal(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("limits.header_count"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn what_can_be_no_request_gets_400_before_its_end() {
    let answer = refusal(b"GET /v2/\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains(r#"{"errors":[{"code":"UNSUPPORTED""#), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_head_has_no_content() {
    let answer = refusal(b"HEAD /v2/\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\n"), "{answer}");

    let (mut connection, mut client) = pair();
    client.write_all(b"HEAD /<> HTTP/1.1\r\nHost: r\r\n\r\nGET").await.expect("sent");
    read_header(&mut connection).await;
    connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("taken");
    let client = tokio::spawn(told(client));
    AsyncWriteExt::shutdown(&mut connection).await.expect("closed");
    drop(connection);
    let answer = client.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_header_without_an_end_for_hyper_gets_400() {
    let (mut connection, mut client) = pair();
    client.write_all(GET).await.expect("sent");
    read_header(&mut connection).await;
    assert!(connection.read(&mut [0; 64]).await.is_err());
    let client = tokio::spawn(told(client));
    AsyncWriteExt::shutdown(&mut connection).await.expect("closed");
    drop(connection);
    assert!(client.await.expect("no panic").starts_with("HTTP/1.1 400 "));
}

#[tokio::test(start_paused = true)]
async fn an_error_page_of_hyper_is_replaced_by_oci_json() {
    let (mut connection, mut client) = pair();
    client.write_all(b"CONNECT r:1 HTTP/1.1\r\n\r\n").await.expect("sent");
    read_header(&mut connection).await;
    connection.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nfrom: hyper\r\n").await.expect("taken");
    connection.write_all(b"\r\n").await.expect("taken");
    AsyncWriteExt::flush(&mut connection).await.expect("flushed");
    let client = tokio::spawn(told(client));
    AsyncWriteExt::shutdown(&mut connection).await.expect("closed");
    drop(connection);
    let answer = client.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
    assert!(!answer.contains("hyper") && answer.contains(r#"{"errors":[{"code":"UNSUPPORTED""#), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up() {
    let limits = Limits { min_body_rate: ByteSize::from_bytes(0), ..limits() };
    let (mut connection, _client, _in_hand) = in_request(limits.clone(), RemainingBody::Length(0), 16).await;
    let start = Instant::now();
    let written = say(&mut connection, &[b'a'; 64]).await;
    assert_eq!(written.expect_err("nobody reads").kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), limits.send_timeout.duration().as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_byte_now_and_then_is_given_up() {
    let (mut connection, mut client, _in_hand) = in_request(limits(), RemainingBody::Length(0), 16).await;
    let start = Instant::now();
    let sipping = tokio::spawn(async move {
        while client.read(&mut [0]).await.is_ok_and(|read| read > 0) {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    });
    let written = say(&mut connection, &[b'a'; 4096]).await;
    assert_eq!(written.expect_err("too slow").kind(), io::ErrorKind::TimedOut);
    assert!(start.elapsed() <= limits().send_timeout.duration());
    drop(connection);
    sipping.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_in_is_given_up_and_a_steady_one_is_not() {
    for (piece, pause, survives) in [(1, 10, false), (64 * 1024, 1, true)] {
        let (mut connection, mut client, _in_hand) =
            in_request(limits(), RemainingBody::Length(100 * piece), PIPE).await;
        let sending = tokio::spawn(async move {
            while client.write_all(&vec![b'a'; piece as usize]).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
        });
        let start = Instant::now();
        let body = connection.read_to_end_of(100 * piece as usize).await;
        assert_eq!(body.is_ok(), survives, "{piece} bytes each {pause} s: {body:?}");
        assert!(survives || start.elapsed() <= limits().body_timeout.duration(), "{:?}", start.elapsed());
        drop(connection);
        sending.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_which_nothing_comes_is_given_up_as_one_that_stalled() {
    let (mut connection, _client, _in_hand) = in_request(limits(), RemainingBody::Length(5), PIPE).await;
    let start = Instant::now();
    let error = connection.read_to_end_of(5).await.expect_err("nobody sends");
    assert!(error.to_string().contains("stopped arriving"), "{error}");
    assert_eq!(start.elapsed().as_secs(), limits().body_timeout.duration().as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_take_the_last_word_is_left_after_the_drain_timeout() {
    let (ours, _client) = tokio::io::duplex(16);
    let mut connection = connection(ours, limits());
    connection.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.expect("taken");
    let start = Instant::now();
    AsyncWriteExt::shutdown(&mut connection).await.expect("closed");
    assert_eq!(start.elapsed().as_secs(), limits().drain_timeout.duration().as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_body_is_handed_over_to_its_last_byte_and_the_next_request_is_kept() {
    let headers = http::HeaderMap::from_iter([(http::header::TRANSFER_ENCODING, "chunked".parse().expect("a value"))]);
    let (mut connection, mut client, _in_hand) = in_request(limits(), RemainingBody::of(&headers), PIPE).await;
    let body = b"5\r\nhello\r\n0\r\n\r\n";
    client.write_all(&[&body[..], GET].concat()).await.expect("sent");
    let mut read = vec![0; 4096];
    assert_eq!(connection.read(&mut read).await.expect("read"), body.len());
    say(&mut connection, b"an answer").await.expect("written");
    assert_eq!(read_header(&mut connection).await, GET);
    drop(connection);
    assert_eq!(told(client).await, "an answer");
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_with_the_flush_behind_its_answer_and_the_next_one_waits_until_then() {
    let (mut connection, mut client, in_hand) = in_request(limits(), RemainingBody::Length(0), PIPE).await;
    client.write_all(GET).await.expect("sent");
    say(&mut connection, b"first words").await.expect("written");
    assert!(waits(connection.read(&mut [0])));
    drop(in_hand);
    say(&mut connection, b", last words").await.expect("written");
    let mut header = Vec::with_capacity(PIPE);
    connection.read_buf(&mut header).await.expect("read");
    assert!(header == GET && !connection.exchange().is_left());
    drop(connection);
    assert_eq!(told(client).await, "first words, last words");
}

/// A connection whose first request was answered just now.
async fn answered() -> (Connection<DuplexStream>, DuplexStream) {
    let (mut connection, client, in_hand) = in_request(limits(), RemainingBody::Length(0), PIPE).await;
    drop(in_hand);
    say(&mut connection, b"an answer").await.expect("written");
    (connection, client)
}

#[tokio::test(start_paused = true)]
async fn hyper_is_left_when_no_other_request_follows_soon() {
    let (mut connection, mut client) = answered().await;
    assert!(waits(connection.read(&mut [0])) && !connection.exchange().is_left());
    tokio::time::sleep(LINGER).await;
    assert!(waits(connection.read(&mut [0])) && connection.exchange().is_left());
    client.write_all(GET).await.expect("sent");
    assert_eq!(read_header(&mut connection).await, GET);
}

#[tokio::test(start_paused = true)]
async fn hyper_is_left_for_what_is_no_whole_header_or_none_at_all() {
    for bytes in [&GET[..9], b"GET / HTTP/1.1\n\n", b""] {
        let (mut connection, mut client) = answered().await;
        client.write_all(bytes).await.expect("sent");
        drop(client);
        assert!(waits(connection.read(&mut [0])) && connection.exchange().is_left(), "{bytes:?}");
    }
}

/// A stream that tells an error once, as TLS does.
struct Failing {
    io: DuplexStream,
    fails: bool,
}

impl AsyncRead for Failing {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.fails) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Failing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_just_behind_an_answer_is_heard() {
    let (io, mut client) = tokio::io::duplex(PIPE);
    let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 1)).into();
    let mut connection = Connection::new(Failing { io, fails: false }, peer, Arc::new(limits()), own_fields(None));
    client.write_all(GET).await.expect("sent");
    assert!(connection.next_request().await && connection.header().await);
    connection.read_buf(&mut Vec::with_capacity(PIPE)).await.expect("read");
    drop(connection.exchange().begin(&http::HeaderMap::new()));
    connection.write_all(b"an answer").await.expect("written");
    AsyncWriteExt::flush(&mut connection).await.expect("flushed");
    connection.io.fails = true;
    let read = tokio::time::timeout(Duration::from_secs(1), connection.read(&mut [0])).await;
    assert!(read.expect("an end").is_err());
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_malformed_body_is_read_away_before_the_close() {
    let body = RemainingBody::Chunked(chunks::Chunks::begin());
    let (mut connection, mut client, in_hand) = in_request(limits(), body, 64).await;
    drop(in_hand);
    let sending = tokio::spawn(async move {
        client.write_all(&[b'x'; 4096]).await.expect("somebody reads");
        client.shutdown().await
    });
    AsyncWriteExt::shutdown(&mut connection).await.expect("closed");
    let sent = tokio::time::timeout(Duration::from_secs(1), sending).await;
    sent.expect("all was read").expect("no panic").expect("an end");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_in_large_pieces_however_small_the_ones_are_that_came() {
    let (mut connection, mut client, _in_hand) = in_request(limits(), RemainingBody::Length(64 * 1024), PIPE).await;
    for _ in 0..64 {
        client.write_all(&[b'a'; 1024]).await.expect("sent");
    }
    assert_eq!(connection.read(&mut vec![0; PIPE]).await.expect("read"), 64 * 1024);
}

#[tokio::test]
async fn nothing_is_lost_or_out_of_order_however_little_the_client_takes_at_once() {
    let (mut connection, client, _in_hand) = in_request(limits(), RemainingBody::Length(0), 64).await;
    let hearing = tokio::spawn(told(client));
    let pieces: Vec<_> = (0..200_usize).map(|n| vec![b'a' + (n % 26) as u8; n * n % 5003]).collect();
    for (n, piece) in pieces.iter().enumerate() {
        connection.write_all(piece).await.expect("taken");
        if n % 7 == 0 {
            AsyncWriteExt::flush(&mut connection).await.expect("flushed");
        }
    }
    AsyncWriteExt::shutdown(&mut connection).await.expect("closed");
    drop(connection);
    assert!(hearing.await.expect("no panic").as_bytes() == pieces.concat(), "not what was written");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_its_answer_is_noticed() {
    let (mut connection, client, _in_hand) = in_request(limits(), RemainingBody::Length(0), PIPE).await;
    drop(client);
    assert_eq!(connection.read(&mut [0]).await.expect("an end"), 0);
}

impl Connection<DuplexStream> {
    async fn read_to_end_of(&mut self, length: usize) -> io::Result<usize> {
        let mut body = vec![0; length];
        self.read_exact(&mut body).await
    }
}
