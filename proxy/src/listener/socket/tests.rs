use super::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};

/// Polls a read that has nothing to read yet.
fn nothing_yet(stream: &mut ReadAhead) -> bool {
    let mut byte = [0; 1];
    let mut cx = Context::from_waker(std::task::Waker::noop());
    Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
}

#[tokio::test]
async fn bytes_arrive_whole_in_small_reads_and_a_waiting_connection_owns_no_buffer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
    let (socket, _) = listener.accept().await.expect("accepted");
    let mut stream = ReadAhead::new(socket);
    assert!(nothing_yet(&mut stream));
    assert_eq!(stream.ahead.capacity(), 0);

    let sent: Vec<u8> = (0..3 * READ_AHEAD.end()).map(|at| (at % 251) as u8).collect();
    let sending = tokio::spawn({
        let (mut client, sent) = (client, sent.clone());
        async move {
            client.write_all(&sent).await.expect("sent");
            client
        }
    });
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let mut piece = [0; 4093];
        let n = stream.read(&mut piece).await.expect("read");
        received.extend_from_slice(&piece[..n]);
    }
    assert!(received == sent, "the bytes are not those that were sent");

    let client = sending.await.expect("no panic");
    assert!(nothing_yet(&mut stream));
    assert_eq!(stream.ahead.capacity(), 0);
    drop(client);
    assert_eq!(stream.read(&mut [0; 1]).await.expect("an end"), 0);
}

#[tokio::test]
async fn who_has_taken_much_may_have_more_unsent() {
    let (mut stream, mut client) = connected().await;
    let unsent = |stream: &mut ReadAhead| {
        SockRef::from(&*stream.socket.watched().expect("a socket")).tcp_notsent_lowat().expect("Linux knows it")
    };
    assert_eq!(unsent(&mut stream), UNSENT);
    stream.write_all(&[b'a'; 1024]).await.expect("written");
    assert_eq!(unsent(&mut stream), UNSENT);
    let taking = tokio::spawn(async move { client.read_exact(&mut vec![0; MUCH + 1024]).await });
    stream.write_all(&vec![b'a'; MUCH]).await.expect("written");
    assert_eq!(unsent(&mut stream), UNSENT_OF_MUCH);
    taking.await.expect("no panic").expect("taken");
}

/// A connection that has shaken hands.
async fn connected() -> (ReadAhead, TcpStream) {
    let (stream, client) = greeted().await;
    stream.handshake_over().tell();
    (stream, client)
}

/// One that has not.
async fn greeted() -> (ReadAhead, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
    client.set_nodelay(true).expect("it is TCP");
    let (socket, _) = listener.accept().await.expect("accepted");
    (ReadAhead::new(socket), client)
}

/// Sends `drops` of one byte, each when the one before was read, and tells how long each read took.
async fn trickle(stream: &mut ReadAhead, client: &mut TcpStream, drops: u32) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..drops {
        client.write_all(b"a").await.expect("sent");
        let start = Instant::now();
        assert_eq!(stream.read(&mut [0; 64]).await.expect("read"), 1);
        took.push(start.elapsed());
    }
    took
}

fn is_left_alone(stream: &ReadAhead) -> bool {
    matches!(stream.socket, QuietSocket::LeftAlone(_))
}

#[tokio::test(start_paused = true)]
async fn who_sends_byte_by_byte_is_left_alone_and_never_waits_longer_than_the_bound() {
    let (mut stream, mut client) = connected().await;
    let took = trickle(&mut stream, &mut client, FREE_SMALL_READS + 50).await;
    let (free, spaced) = took.split_at(FREE_SMALL_READS as usize + 1);
    assert!(free.iter().all(Duration::is_zero), "{free:?}");
    // A timer is due within the millisecond after its time.
    let bound = *GATHERING.end() + Duration::from_millis(1);
    assert!(spaced.iter().all(|time| (*GATHERING.start()..=bound).contains(time)), "{spaced:?}");
    assert!(spaced.is_sorted_by_key(Duration::as_millis), "{spaced:?}");
    assert!(spaced[5..].iter().all(|time| time >= GATHERING.end()), "{spaced:?}");
    assert!(is_left_alone(&stream));
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_brings_enough_is_not_followed_by_a_longer_one() {
    let (mut stream, mut client) = connected().await;
    trickle(&mut stream, &mut client, FREE_SMALL_READS + 1).await;
    for _ in 0..5 {
        client.write_all(&[b'a'; FEW]).await.expect("sent");
        await_arrival(&stream, FEW);
        let start = Instant::now();
        stream.read_exact(&mut [0; FEW]).await.expect("read");
        assert!(start.elapsed() <= *GATHERING.start() + Duration::from_millis(1), "{:?}", start.elapsed());
        assert!(is_left_alone(&stream));
    }
}

/// Returns when so many bytes wait to be read, which the system may hand over late.
fn await_arrival(stream: &ReadAhead, bytes: usize) {
    let QuietSocket::LeftAlone(socket) = &stream.socket else { panic!("it is watched") };
    while socket.peek(&mut vec![0; bytes]).is_ok_and(|n| n < bytes) {
        std::thread::yield_now();
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_meanwhile_is_read_in_one_piece_and_the_end_is_heard() {
    let (mut stream, mut client) = connected().await;
    trickle(&mut stream, &mut client, FREE_SMALL_READS + 1).await;
    for _ in 0..100 {
        client.write_all(b"a").await.expect("sent");
    }
    await_arrival(&stream, 100);
    assert_eq!(stream.read(&mut [0; 200]).await.expect("read"), 100);
    drop(client);
    assert_eq!(stream.read(&mut [0; 64]).await.expect("an end"), 0);
}

#[tokio::test(start_paused = true)]
async fn who_pauses_for_longer_is_heard_as_soon_as_it_goes_on() {
    let (mut stream, mut client) = connected().await;
    trickle(&mut stream, &mut client, FREE_SMALL_READS + 1).await;
    let resumed = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.write_all(b"a").await.expect("sent");
        Instant::now()
    };
    let (sent, read) = tokio::join!(resumed, async {
        let n = stream.read(&mut [0; 64]).await.expect("read");
        (n, Instant::now())
    });
    assert_eq!(read, (1, sent));
}

#[tokio::test(start_paused = true)]
async fn who_begins_to_send_much_is_not_held_up_any_more() {
    let (mut stream, mut client) = connected().await;
    trickle(&mut stream, &mut client, FREE_SMALL_READS + 10).await;
    client.write_all(&[b'a'; GULP + 1]).await.expect("sent");
    await_arrival(&stream, GULP + 1);
    stream.read_exact(&mut [0; GULP]).await.expect("read");
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0; 64]).await.expect("read"), 1);
    let took = trickle(&mut stream, &mut client, FREE_SMALL_READS - 1).await;
    assert!(start.elapsed().is_zero() && !is_left_alone(&stream), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_out_at_once_and_what_follows_it_is_read_at_once() {
    let (mut stream, mut client) = connected().await;
    trickle(&mut stream, &mut client, FREE_SMALL_READS + 10).await;
    assert!(is_left_alone(&stream));
    let start = Instant::now();
    stream.write_all(b"answer").await.expect("sent");
    let mut answer = [0; 6];
    client.read_exact(&mut answer).await.expect("read");
    assert_eq!((&answer, start.elapsed()), (b"answer", Duration::ZERO));
    // A timer is due within the millisecond after its time.
    let took = trickle(&mut stream, &mut client, FREE_SMALL_READS + 1).await;
    assert!(took[0] <= Duration::from_millis(1) && took[1..].iter().all(Duration::is_zero), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_wakes_a_task_that_waits_for_the_client() {
    let (mut stream, mut client) = connected().await;
    trickle(&mut stream, &mut client, FREE_SMALL_READS + 10).await;
    let (mut reading, mut writing) = tokio::io::split(stream);
    client.write_all(b"a").await.expect("sent");
    let start = Instant::now();
    let mut byte = [0; 1];
    let (read, written) = tokio::join!(reading.read_exact(&mut byte), writing.write_all(b"answer"));
    assert!(read.is_ok() && written.is_ok());
    assert!(start.elapsed() <= Duration::from_millis(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn who_has_to_take_its_answer_is_watched_however_it_sends() {
    let (mut stream, mut client) = connected().await;
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut written = 0;
    while let Poll::Ready(n) = Pin::new(&mut stream).poll_write(&mut cx, &[b'b'; 65536]) {
        written += n.expect("written");
    }
    trickle(&mut stream, &mut client, FREE_SMALL_READS + 2).await;
    assert!(stream.gathering.is_some() && !is_left_alone(&stream));
    let rest = b"the rest";
    let (sent, taken) = tokio::join!(stream.write_all(rest), async {
        let mut taken = vec![0; written + rest.len()];
        client.read_exact(&mut taken).await.map(|_| taken)
    });
    sent.expect("written");
    assert!(taken.expect("read").ends_with(rest));
}

#[tokio::test]
async fn small_requests_that_are_answered_are_never_spaced() {
    let (mut stream, mut client) = connected().await;
    for _ in 0..10 * FREE_SMALL_READS {
        trickle(&mut stream, &mut client, 1).await;
        assert!(stream.gathering.is_none());
        stream.write_all(b"b").await.expect("sent");
    }
}

#[tokio::test]
async fn who_takes_nothing_pins_little_of_the_kernels_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = TcpSocket::new_v4().expect("a socket");
    client.set_recv_buffer_size(4096).expect("set");
    let _client = client.connect(listener.local_addr().expect("an address")).await.expect("connected");
    let (socket, _) = listener.accept().await.expect("accepted");
    let mut stream = ReadAhead::new(socket);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut written = 0;
    while let Poll::Ready(n) = Pin::new(&mut stream).poll_write(&mut cx, &[b'a'; 16 * 1024]) {
        written += n.expect("written");
    }
    assert!(written <= 4 * UNSENT as usize, "{written}");
}

/// What has come to the client by now.
fn heard(client: &TcpStream) -> Vec<u8> {
    let mut heard = [0; 64];
    let n = client.try_read(&mut heard).unwrap_or_default();
    heard[..n].to_vec()
}

#[tokio::test]
async fn what_ends_a_handshake_goes_out_with_the_first_answer() {
    let (mut stream, mut client) = greeted().await;
    stream.write_all(b"hello").await.expect("kept");
    assert!(nothing_yet(&mut stream));
    client.readable().await.expect("a connection");
    assert_eq!(heard(&client), b"hello");

    client.write_all(b"finished").await.expect("sent");
    let mut buf = [0; 64];
    let n = stream.read(&mut buf).await.expect("read");
    assert_eq!(buf[..n], *b"finished");
    stream.write_all(b"tickets").await.expect("kept");
    client.write_all(b"request").await.expect("sent");
    let n = stream.read(&mut buf).await.expect("read");
    assert_eq!(buf[..n], *b"request");
    assert_eq!(heard(&client), b"");

    stream.handshake_over().tell();
    stream.write_all(b", answer").await.expect("written");
    client.readable().await.expect("a connection");
    assert_eq!(heard(&client), b"tickets, answer");
    stream.write_all(b"more").await.expect("written");
    client.readable().await.expect("a connection");
    assert_eq!(heard(&client), b"more");
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_hears_the_end_of_the_handshake() {
    let (mut stream, mut client) = greeted().await;
    for words in [b"hello", b"ticket"] as [&[u8]; 2] {
        stream.write_all(words).await.expect("kept");
        let server = tokio::spawn(async move {
            assert_eq!(stream.read(&mut [0; 64]).await.expect("read"), 1);
            stream
        });
        let mut told = vec![0; words.len()];
        client.read_exact(&mut told).await.expect("told");
        assert_eq!(told, words);
        client.write_all(b".").await.expect("sent");
        stream = server.await.expect("no panic");
    }
}

#[tokio::test]
async fn the_last_words_are_heard_where_a_handshake_fails_and_where_the_connection_is_closed() {
    for fails in [true, false] {
        let (mut stream, mut client) = greeted().await;
        stream.write_all(b"alert").await.expect("kept");
        if !fails {
            AsyncWriteExt::shutdown(&mut stream).await.expect("closed");
        }
        drop(stream);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.expect("an end");
        assert_eq!(told, b"alert", "fails: {fails}");
    }
}
