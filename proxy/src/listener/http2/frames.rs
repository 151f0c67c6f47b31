//! HTTP/2 frames as they go by (RFC 9113, 4.1): their heads are read from the bytes of one direction,
//! however these are cut up, and nothing is kept but the frame that is going by.

/// Bytes of a frame's head.
const HEAD: usize = 9;

/// Bytes of the preface with which a client opens (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// The types that something depends on (RFC 9113, 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Reset,
    Settings,
    WindowUpdate,
    Continuation,
    /// PRIORITY, PUSH_PROMISE, PING, GOAWAY, and what no RFC knows.
    Other,
}

/// A frame that has gone by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    flags: u8,
    /// 0 for the connection.
    pub(super) stream: u32,
    /// Bytes of its payload, padding included.
    pub(super) length: u32,
    /// The first four bytes of its payload; zeroes stand for what is missing.
    word: u32,
}

impl Frame {
    /// DATA or HEADERS: the sender's last of this stream.
    pub(super) fn ends_stream(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// HEADERS or CONTINUATION: the last of a field block.
    pub(super) fn ends_headers(&self) -> bool {
        self.flags & 0x4 != 0
    }

    /// SETTINGS: the answer to those of the other side.
    pub(super) fn is_acknowledgement(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// WINDOW_UPDATE: how many bytes more may be sent.
    pub(super) fn increment(&self) -> u32 {
        self.word & 0x7fff_ffff
    }

    /// RST_STREAM: why.
    pub(super) fn error_code(&self) -> u32 {
        self.word
    }
}

/// What goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// A part of a DATA frame's payload.
    Content { stream: u32, bytes: u32 },
    /// The end of a frame.
    Frame(Frame),
}

/// Reads the frames of one direction.
#[derive(Debug)]
pub(super) struct FrameReader {
    preface_left: usize,
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    head_read: usize,
    word: [u8; 4],
    payload_read: u32,
}

impl FrameReader {
    /// What a client sends: first the preface.
    pub(super) fn of_client() -> Self {
        Self { preface_left: PREFACE, ..Self::of_server() }
    }

    /// What a server sends.
    pub(super) fn of_server() -> Self {
        Self { preface_left: 0, head: [0; HEAD], head_read: 0, word: [0; 4], payload_read: 0 }
    }

    /// Whether a frame has begun that is no DATA, or whose type has not come yet.
    pub(super) fn is_within_control_frame(&self) -> bool {
        self.head_read > 0 && !(self.head_read == HEAD && self.kind() == Kind::Data)
    }

    /// Reads on, and tells `see` what goes by.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut see: impl FnMut(Seen)) {
        bytes = &bytes[take(&mut self.preface_left, bytes.len())..];
        while !bytes.is_empty() {
            let rest = if self.head_read < HEAD { self.read_head(bytes) } else { self.read_payload(bytes, &mut see) };
            if self.head_read == HEAD && self.payload_read == self.length() {
                see(Seen::Frame(self.frame()));
                *self = Self::of_server();
            }
            bytes = rest;
        }
    }

    fn read_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (now, rest) = bytes.split_at(bytes.len().min(HEAD - self.head_read));
        self.head[self.head_read..self.head_read + now.len()].copy_from_slice(now);
        self.head_read += now.len();
        rest
    }

    fn read_payload<'a>(&mut self, bytes: &'a [u8], see: &mut impl FnMut(Seen)) -> &'a [u8] {
        let left = self.length() - self.payload_read;
        let now = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(left);
        let (payload, rest) = bytes.split_at(now as usize);
        for (missing, byte) in self.word.iter_mut().skip(self.payload_read as usize).zip(payload) {
            *missing = *byte;
        }
        self.payload_read += now;
        if self.kind() == Kind::Data {
            see(Seen::Content { stream: self.stream(), bytes: now });
        }
        rest
    }

    fn frame(&self) -> Frame {
        let word = u32::from_be_bytes(self.word);
        Frame { kind: self.kind(), flags: self.head[4], stream: self.stream(), length: self.length(), word }
    }

    fn length(&self) -> u32 {
        u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]])
    }

    fn kind(&self) -> Kind {
        match self.head[3] {
            0 => Kind::Data,
            1 => Kind::Headers,
            3 => Kind::Reset,
            4 => Kind::Settings,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            _ => Kind::Other,
        }
    }

    fn stream(&self) -> u32 {
        u32::from_be_bytes([self.head[5], self.head[6], self.head[7], self.head[8]]) & 0x7fff_ffff
    }
}

/// Takes up to `available` from what is left, and says how much.
fn take(left: &mut usize, available: usize) -> usize {
    let taken = available.min(*left);
    *left -= taken;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame_bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// The frames that go by, and how much content in all.
    fn seen<'a>(reader: &mut FrameReader, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, u32) {
        let (mut frames, mut content) = (Vec::new(), 0);
        for piece in pieces {
            reader.read(piece, |seen| match seen {
                Seen::Frame(frame) => frames.push(frame),
                Seen::Content { bytes, .. } => content += bytes,
            });
        }
        (frames, content)
    }

    #[test]
    fn a_frame_is_read_with_its_first_word() {
        let mut bytes = vec![0; PREFACE];
        bytes.extend(frame_bytes(4, 0, 0, &[]));
        bytes.extend(frame_bytes(8, 0, 0x8000_0003, &[0x80, 0, 1, 0]));
        bytes.extend(frame_bytes(3, 0, 5, &[0, 0, 0, 8]));
        let (frames, _) = seen(&mut FrameReader::of_client(), std::iter::once(&bytes[..]));
        let kinds: Vec<_> = frames.iter().map(|frame| (frame.kind, frame.stream)).collect();
        assert_eq!(kinds, [(Kind::Settings, 0), (Kind::WindowUpdate, 3), (Kind::Reset, 5)]);
        assert_eq!((frames[1].increment(), frames[2].error_code()), (256, 8));
    }

    #[test]
    fn only_within_a_control_frame_is_one_awaited() {
        let mut reader = FrameReader::of_server();
        let ping = frame_bytes(6, 0, 0, &[0; 8]);
        let data = frame_bytes(0, 0, 1, &[0; 8]);
        assert!(!reader.is_within_control_frame());
        reader.read(&ping[..12], |_| {});
        assert!(reader.is_within_control_frame());
        reader.read(&ping[12..], |_| {});
        assert!(!reader.is_within_control_frame());
        reader.read(&data[..3], |_| {});
        assert!(reader.is_within_control_frame(), "its type is not known yet");
        reader.read(&data[3..12], |_| {});
        assert!(!reader.is_within_control_frame());
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_same_frames_go_by(
            frames in prop::collection::vec((0..12u8, any::<u8>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in prop::collection::vec(1..64usize, 1..20),
        ) {
            let mut bytes = vec![b'P'; PREFACE];
            for (kind, flags, stream, payload) in &frames {
                bytes.extend(frame_bytes(*kind, *flags, *stream, payload));
            }
            let whole = seen(&mut FrameReader::of_client(), std::iter::once(&bytes[..]));
            prop_assert_eq!(whole.0.len(), frames.len());
            let mut rest = &bytes[..];
            let mut cuts = cuts.iter().cycle();
            let pieces = std::iter::from_fn(|| {
                let (piece, more) = rest.split_at(rest.len().min(*cuts.next()?));
                rest = more;
                (!piece.is_empty()).then_some(piece)
            });
            let cut = seen(&mut FrameReader::of_client(), pieces);
            prop_assert_eq!(&cut, &whole);
            let data = frames.iter().filter(|(kind, ..)| *kind == 0).map(|(.., payload)| payload.len());
            prop_assert_eq!(cut.1 as usize, data.sum::<usize>());
        }
    }
}
