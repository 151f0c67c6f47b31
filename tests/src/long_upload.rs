//! An upload that is in flight for as long as a test wants.

use crate::api::Api;
use crate::content::{Pattern, sha256};
use crate::door::Door;
use crate::message::Response;
use crate::strict::{StrictClient, StrictConnection};
use std::io::Read as _;

/// Bytes that are sent at a time.
const PIECE: usize = 1 << 20;

/// A blob in one PATCH, of which every piece is sent when the test says.
#[derive(Debug)]
pub struct LongUpload {
    door: Door,
    repository: String,
    connection: StrictConnection,
    location: String,
    /// What is yet to be sent; there is no end of it.
    content: Pattern,
    sent: Vec<u8>,
}

impl LongUpload {
    /// Opens the upload of a blob that is another for every `seed`, and sends the header of the PATCH.
    ///
    /// # Panics
    /// When it is not taken.
    pub fn begin(door: &Door, repository: &str, seed: u64) -> Self {
        let location = Api::at(door).start_upload(repository);
        let mut connection = StrictClient::at(door).connect().expect("connected");
        let path = location
            .strip_prefix("https://")
            .map_or(location.as_str(), |rest| &rest[rest.find('/').expect("a URL has a path")..]);
        let authorization = door.authorization();
        let head = format!("PATCH {path} HTTP/1.1\r\nHost: r\r\n{authorization}Transfer-Encoding: chunked\r\n\r\n");
        connection.send(head).expect("taken");
        Self {
            door: door.clone(),
            repository: repository.to_owned(),
            connection,
            location,
            content: Pattern::new(seed, u64::MAX),
            sent: Vec::new(),
        }
    }

    /// Sends a piece.
    ///
    /// # Panics
    /// When the connection is cut.
    pub fn go_on(&mut self) {
        let mut piece = vec![0; PIECE];
        self.content.read_exact(&mut piece).expect("a pattern can always be read");
        self.connection.send(format!("{PIECE:x}\r\n")).expect("the upload goes on");
        self.connection.send(&piece).expect("the upload goes on");
        self.connection.send("\r\n").expect("the upload goes on");
        self.sent.extend(piece);
    }

    /// Ends it, sees to it that the blob is there, byte for byte, and returns the answer to the PATCH.
    ///
    /// # Panics
    /// When something of it is lost.
    pub fn end(mut self) -> Response {
        self.connection.send("0\r\n\r\n").expect("the upload goes on");
        let answer = self.connection.response().expect("an answer to the upload");
        assert_eq!(answer.head.status(), 202, "{answer:?}");
        let digest = sha256(self.sent.as_slice());
        let location = answer.head.all("location").first().map_or(self.location, |&location| location.to_owned());
        let api = Api::at(&self.door);
        api.end_of_upload(&location, &digest).body("").run().expect(201);
        let blob = api.blob(&self.repository, &digest).expect(200);
        assert!(blob.body == self.sent, "the blob is another than what was sent");
        answer
    }
}
