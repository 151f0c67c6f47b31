//! Clients that ask without pause while something happens to the gate.

use crate::door::Door;
use crate::message::Response;
use crate::strict::{StrictClient, StrictConnection};
use crate::waiting::{PATIENCE, eventually};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Clients that ask again and again until they are told to stop.
#[derive(Debug)]
pub struct Load {
    clients: Vec<Asker>,
    over: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Asker {
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<String>>,
}

impl Load {
    /// Three with a connection for each request, and three that keep theirs until they are told that it ends.
    pub fn on(door: &Door) -> Self {
        Self::of(door, "/v2/", &[false, false, false, true, true, true])
    }

    /// One for each of `clients`, which says whether it keeps its connection, with a GET of `path`.
    pub fn of(door: &Door, path: &str, clients: &[bool]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let request = format!("GET {path} HTTP/1.1\r\nHost: r\r\n{}\r\n", door.authorization());
        let clients = clients.iter().map(|&keeps| {
            let answered = Arc::new(AtomicUsize::new(0));
            let (count, over) = (Arc::clone(&answered), Arc::clone(&over));
            let (client, request) = (StrictClient::at(door), request.clone());
            let thread = std::thread::spawn(move || {
                let mut kept = None;
                let mut failures = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    match ask(&client, &request, &mut kept, keeps) {
                        Ok(response) if response.head.status() == 200 => {}
                        Ok(response) => failures.push(response.head.start_line),
                        Err(error) => failures.push(format!("keeps its connection: {keeps}; {error}")),
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                }
                failures
            });
            Asker { answered, thread }
        });
        Self { clients: clients.collect(), over }
    }

    /// Awaits that every client has asked and been answered anew, twice: what was under way before counts once.
    ///
    /// # Panics
    /// When one is not.
    pub fn await_answers(&self) {
        let before: Vec<usize> = self.clients.iter().map(|client| client.answered.load(Ordering::SeqCst)).collect();
        for (client, before) in self.clients.iter().zip(before) {
            eventually(PATIENCE, "answers to every client", || {
                (client.answered.load(Ordering::SeqCst) >= before + 2).then_some(())
            });
        }
    }

    /// Stops them.
    ///
    /// # Panics
    /// When a request failed: refused, cut, or answered with another status than 200.
    pub fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        let answered: usize = self.clients.iter().map(|client| client.answered.load(Ordering::SeqCst)).sum();
        let failures: Vec<String> =
            self.clients.into_iter().flat_map(|client| client.thread.join().expect("no panic")).collect();
        assert!(failures.is_empty(), "{} of {answered} requests failed: {failures:#?}", failures.len());
        println!("{answered} requests, none failed");
    }
}

fn ask(client: &StrictClient, request: &str, kept: &mut Option<StrictConnection>, keeps: bool) -> io::Result<Response> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => client.connect()?,
    };
    let response = connection.exchange(request)?;
    if keeps && !response.is_last() {
        *kept = Some(connection);
    }
    Ok(response)
}
