//! One client's end of a connection: a WebSocket that is open, and requests over a connection that is
//! kept.

use crate::http::{self, Answer};
use crate::session::{Link, Received, Sut};
use crate::websocket::{self, Event, Reader, Writer};

/// How long an answer is waited for: an unoptimized build on a busy machine, whose disk has others to
/// serve, keeps a hundred thousand events in less.
const ANSWER_WAIT_MS: u64 = 60_000;
/// What the client makes of its handshake's key does not matter.
pub(crate) const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

/// What came on a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message, or a control frame as it is.
    Event(Event),
    /// The server sends no more.
    Ended,
    /// Nothing within the time.
    Nothing,
}

/// A WebSocket.
pub(crate) struct Client {
    pub(crate) link: Link,
    reader: Reader,
    writer: Writer,
    /// No more is said, and what comes is not looked at.
    pub(crate) over: bool,
}

impl Client {
    /// The handshake for `path`, with `behind` in the same write. `headers` are sent in the place of
    /// the usual ones of their names. Gives its answer, and the socket if there is one.
    pub(crate) fn open(
        sut: &mut dyn Sut,
        path: &str,
        headers: &[(&str, &str)],
        behind: &[(u8, &[u8])],
    ) -> Result<(Answer, Option<Self>), String> {
        let usual = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", NONCE),
            ("Sec-WebSocket-Version", "13"),
        ];
        let is_given = |name: &str| headers.iter().any(|(given, _)| *given == name);
        // An empty one is left out.
        let usual = usual.iter().filter(|(name, _)| !is_given(name));
        let all = usual.chain(headers).filter(|(_, value)| !value.is_empty());
        let headers: Vec<_> = all
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut bytes = http::request("GET", path, "h", &headers, None);
        let mut writer = Writer::default();
        for (opcode, payload) in behind {
            bytes.extend(writer.frame(*opcode, payload));
        }
        let link = sut.dial();
        sut.send(link, &bytes);
        let (answer, rest) = answer(sut, link, Vec::new(), false)?;
        if answer.status != 101 {
            sut.close(link);
            return Ok((answer, None));
        }
        if answer.header("sec-websocket-accept") != Some(&websocket::accept_of(NONCE)) {
            return Err("Sec-WebSocket-Accept is wrong".to_owned());
        }
        let mut reader = Reader::default();
        reader.feed(&rest);
        let client = Self {
            link,
            reader,
            writer,
            over: false,
        };
        Ok((answer, Some(client)))
    }

    /// What comes next, within so many milliseconds.
    pub(crate) fn hear(&mut self, sut: &mut dyn Sut, within_ms: u64) -> Result<Heard, String> {
        let until = sut.now_ms() + within_ms;
        loop {
            if let Some(event) = self.reader.next()? {
                return Ok(Heard::Event(event));
            }
            match sut.receive(self.link, until) {
                Received::Bytes { bytes, .. } => self.reader.feed(&bytes),
                Received::Ended { .. } if self.reader.is_between_messages() => {
                    return Ok(Heard::Ended);
                }
                Received::Ended { .. } => return Err("TCP ended inside a frame".to_owned()),
                Received::Nothing => return Ok(Heard::Nothing),
            }
        }
    }

    /// Sends one whole frame.
    pub(crate) fn say(&mut self, sut: &mut dyn Sut, opcode: u8, payload: &[u8]) {
        let frame = self.writer.frame(opcode, payload);
        sut.send(self.link, &frame);
    }

    /// Sends one frame of a message in several; the first of them has the message's opcode, others 0.
    pub(crate) fn say_part(&mut self, sut: &mut dyn Sut, opcode: u8, is_last: bool, part: &[u8]) {
        let mut frame = self.writer.frame(opcode, part);
        if !is_last {
            frame[0] &= 0x7f;
        }
        sut.send(self.link, &frame);
    }

    /// Sends a frame that is not masked, as no client may.
    pub(crate) fn say_bare(&self, sut: &mut dyn Sut, opcode: u8, payload: &[u8]) {
        assert!(payload.len() < 126);
        let mut frame = vec![0x80 | opcode, payload.len() as u8];
        frame.extend_from_slice(payload);
        sut.send(self.link, &frame);
    }

    /// Ends it in order: a Close, theirs back, and TCP.
    pub(crate) fn close(&mut self, sut: &mut dyn Sut, code: u16) -> Result<(), String> {
        let close = self.writer.close(code, "");
        sut.send(self.link, &close);
        self.over = true;
        match self.hear(sut, ANSWER_WAIT_MS)? {
            Heard::Event(Event::Close(got, _)) if got == code => self.ends(sut),
            other => Err(format!("want our Close back, heard {other:?}")),
        }
    }

    /// After a Close: nothing more comes, and TCP ends.
    pub(crate) fn ends(&mut self, sut: &mut dyn Sut) -> Result<(), String> {
        self.over = true;
        match self.hear(sut, ANSWER_WAIT_MS)? {
            Heard::Ended => {
                sut.close(self.link);
                Ok(())
            }
            other => Err(format!("after the Close: {other:?}")),
        }
    }
}

/// Requests one after the other, over one connection for as long as the server keeps it.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    link: Option<Link>,
}

impl Caller {
    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, sut: &mut dyn Sut, request: &[u8]) -> Result<Answer, String> {
        let link = *self.link.get_or_insert_with(|| sut.dial());
        sut.send(link, request);
        let (answer, rest) = answer(sut, link, Vec::new(), request.starts_with(b"HEAD"))?;
        if !rest.is_empty() {
            return Err(format!("more than the answer: {:?}", http::lossy(&rest)));
        }
        let is_last = answer.header("connection");
        if is_last.is_some_and(|word| word.eq_ignore_ascii_case("close")) {
            self.close(sut);
        }
        Ok(answer)
    }

    /// The next request goes over another connection.
    pub(crate) fn close(&mut self, sut: &mut dyn Sut) {
        if let Some(link) = self.link.take() {
            sut.close(link);
        }
    }
}

/// Reads one answer, of which `bytes` are here. Gives what came behind it, too.
fn answer(
    sut: &mut dyn Sut,
    link: Link,
    mut bytes: Vec<u8>,
    head_only: bool,
) -> Result<(Answer, Vec<u8>), String> {
    let until = sut.now_ms() + ANSWER_WAIT_MS;
    loop {
        let ended = match sut.receive(link, until) {
            Received::Bytes { bytes: more, .. } => {
                bytes.extend(more);
                false
            }
            Received::Ended { .. } => true,
            Received::Nothing => return Err(format!("no answer, only {:?}", http::lossy(&bytes))),
        };
        if let Some((answer, used)) = http::answer(&bytes, head_only, ended)? {
            return Ok((answer, bytes.split_off(used)));
        }
    }
}
