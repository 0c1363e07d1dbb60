//! Replays a scenario: does what the client did, and compares what comes back.

use crate::bindings::{Bindings, Mismatch, short};
use crate::http::{self, Answer};
use crate::json::Json;
use crate::session::{Link, Received, Sut};
use crate::transcript::{Act, Body, Expect, Frames, Payload, Request, Scenario, Step, Took};
use crate::websocket::{self, Event, Reader, Writer};
use data_encoding::BASE64;
use std::collections::{BTreeMap, VecDeque};

/// How long an answer is waited for.
const ANSWER_WAIT_MS: u64 = 12_000;
/// How long a server may take to end TCP after Close frames have gone both ways.
const TCP_END_MS: u64 = 6_000;

/// How a scenario is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    /// The text that stands in for `<run>`.
    pub(crate) text: &'a str,
    /// Whether `ws_abort` resets the connection, rather than end it in order without a Close.
    pub(crate) resets: bool,
}

/// Replays `scenario`. An error names the step and says what was wrong with it.
pub(crate) fn replay(scenario: &Scenario, run: Run<'_>, sut: &mut dyn Sut) -> Result<(), String> {
    let bindings = Bindings::new(sut.origin(), sut.secret(), run.text);
    let mut replay = Replay {
        sut,
        bindings,
        sockets: BTreeMap::new(),
        pending: BTreeMap::new(),
        resets: run.resets,
    };
    let mut verdict = Ok(());
    for (index, step) in scenario.steps.iter().enumerate() {
        let done = replay.step(step);
        if let Err(why) = done {
            verdict = Err(format!("step {}: {why}\n  {}", index + 1, step.source));
            break;
        }
    }
    replay.drop_all();
    verdict
}

struct Replay<'a> {
    sut: &'a mut dyn Sut,
    bindings: Bindings,
    sockets: BTreeMap<String, Socket>,
    pending: BTreeMap<String, Pending>,
    resets: bool,
}

/// A request under way.
struct Pending {
    link: Link,
    head_only: bool,
    started_ms: u64,
    bytes: Vec<u8>,
}

/// An open WebSocket.
struct Socket {
    link: Link,
    reader: Reader,
    writer: Writer,
    heard: VecDeque<Heard>,
    /// A Close of ours is on its way.
    close_sent: bool,
    /// `Closed` was heard: nothing follows.
    over: bool,
}

/// What a socket has to tell.
#[derive(Debug)]
enum Heard {
    Text(String),
    Pong(Vec<u8>),
    /// 1006: TCP ended without a Close.
    Closed(u16),
}

impl Replay<'_> {
    fn step(&mut self, step: &Step) -> Result<(), Mismatch> {
        // Pings and Closes are answered at every step, whichever socket it is about.
        for socket in self.sockets.values_mut() {
            while socket.hear(self.sut, 0)? {}
        }
        match &step.act {
            Act::Ask {
                request,
                expect,
                took,
            } => {
                let (answer, took_ms) = self.ask(request, step)?;
                check_took(*took, took_ms)?;
                self.check(expect, &answer)
            }
            Act::Start { id, request } => {
                let pending = self.start(request, step)?;
                self.pending.insert(id.clone(), pending);
                Ok(())
            }
            Act::Finish { id, expect, took } => {
                let pending = self
                    .pending
                    .remove(id)
                    .ok_or("no such request was started")?;
                self.sut.prompt(step, &self.bindings);
                let (answer, took_ms) = self.finish(pending)?;
                check_took(*took, took_ms)?;
                self.check(expect, &answer)
            }
            Act::Open {
                ws,
                request,
                expect,
            } => self.open(ws, request, expect, step),
            Act::Frame {
                ws,
                want,
                within_ms,
            } => {
                self.sut.prompt(step, &self.bindings);
                let frame = self.frame(ws, *within_ms)?;
                self.bindings.matches(want, &frame, "frame")
            }
            Act::Frames {
                ws,
                frames,
                within_ms,
            } => {
                self.sut.prompt(step, &self.bindings);
                self.frames(ws, frames, *within_ms)
            }
            Act::Quiet { ws, ms } => {
                self.sut.prompt(step, &self.bindings);
                let until = self.sut.now_ms() + ms;
                match self.next(ws, until, true)? {
                    None => Ok(()),
                    Some(heard) => Err(format!("want silence, heard {heard:?}")),
                }
            }
            Act::Heartbeat { ws, within_ms } => {
                self.sut.prompt(step, &self.bindings);
                let until = self.sut.now_ms() + within_ms;
                match self.next(ws, until, false)? {
                    Some(Heard::Text(text)) if is_heartbeat(&text) => Ok(()),
                    heard => Err(format!("want a heartbeat, heard {heard:?}")),
                }
            }
            Act::Send {
                ws,
                opcode,
                payload,
            } => {
                let payload = match payload {
                    Payload::Text(text) => self
                        .bindings
                        .resolve(text, self.sut.unix_seconds())?
                        .into_bytes(),
                    Payload::Bytes(bytes) => bytes.clone(),
                };
                let socket = find(&mut self.sockets, ws)?;
                let frame = socket.writer.frame(*opcode, &payload);
                self.sut.send(socket.link, &frame);
                Ok(())
            }
            Act::Pong {
                ws,
                payload,
                within_ms,
            } => {
                self.sut.prompt(step, &self.bindings);
                let until = self.sut.now_ms() + within_ms;
                match self.next(ws, until, true)? {
                    Some(Heard::Pong(got)) if got == payload.as_bytes() => Ok(()),
                    heard => Err(format!("want a pong, heard {heard:?}")),
                }
            }
            Act::Close { ws, code, reason } => {
                let socket = find(&mut self.sockets, ws)?;
                let frame = socket.writer.close(*code, reason);
                self.sut.send(socket.link, &frame);
                socket.close_sent = true;
                Ok(())
            }
            Act::Abort { ws } => {
                let socket = find(&mut self.sockets, ws)?;
                socket.over = true;
                match self.resets {
                    true => self.sut.abort(socket.link),
                    false => self.sut.close(socket.link),
                }
                Ok(())
            }
            Act::Closed {
                ws,
                codes,
                within_ms,
            } => {
                self.sut.prompt(step, &self.bindings);
                let until = self.sut.now_ms() + within_ms;
                match self.next(ws, until, true)? {
                    Some(Heard::Closed(code)) if codes.contains(&code) => self.tcp_ends(ws),
                    heard => Err(format!("want a close with {codes:?}, heard {heard:?}")),
                }
            }
            Act::Sleep { ms } => {
                self.sut.wait_ms(*ms);
                Ok(())
            }
        }
    }

    // ---- requests --------------------------------------------------------------------------

    fn ask(&mut self, request: &Request, step: &Step) -> Result<(Answer, u64), Mismatch> {
        let pending = self.start(request, step)?;
        self.finish(pending)
    }

    fn start(&mut self, request: &Request, step: &Step) -> Result<Pending, Mismatch> {
        let now = self.sut.unix_seconds();
        let path = self.bindings.resolve(&request.path, now)?;
        let mut headers = Vec::new();
        for (name, value) in &request.headers {
            if let Some(value) = value {
                headers.push((name.clone(), self.bindings.resolve(value, now)?));
            }
        }
        let body = match &request.body {
            Body::None => None,
            Body::Json(json) => Some(self.bindings.resolve_json(json, now)?.to_string()),
            Body::Raw(text) => Some(self.bindings.resolve(text, now)?),
        };
        let host = self.host();
        let body = body.as_deref().map(str::as_bytes);
        let bytes = http::request(&request.method, &path, &host, &headers, body);
        self.sut.prompt(step, &self.bindings);
        let link = self.sut.dial();
        let started_ms = self.sut.now_ms();
        self.sut.send(link, &bytes);
        let head_only = request.method == "HEAD";
        Ok(Pending {
            link,
            head_only,
            started_ms,
            bytes: Vec::new(),
        })
    }

    fn host(&self) -> String {
        self.sut.origin().trim_start_matches("http://").to_owned()
    }

    /// Waits for the answer; also says how many milliseconds it took.
    fn finish(&mut self, mut pending: Pending) -> Result<(Answer, u64), Mismatch> {
        let until = self.sut.now_ms() + ANSWER_WAIT_MS;
        loop {
            let (at_ms, ended) = match self.sut.receive(pending.link, until) {
                Received::Bytes { at_ms, bytes } => {
                    pending.bytes.extend_from_slice(&bytes);
                    (at_ms, false)
                }
                Received::Ended { at_ms } => (at_ms, true),
                Received::Nothing => {
                    let got = http::lossy(&pending.bytes);
                    return Err(format!("no answer after {ANSWER_WAIT_MS} ms, only {got:?}"));
                }
            };
            let whole = http::answer(&pending.bytes, pending.head_only, ended)?;
            let Some((answer, used)) = whole else {
                continue;
            };
            if used < pending.bytes.len() {
                let more = http::lossy(&pending.bytes[used..]);
                return Err(format!("more than the answer: {more:?}"));
            }
            self.sut.close(pending.link);
            return Ok((answer, at_ms.saturating_sub(pending.started_ms)));
        }
    }

    fn check(&mut self, want: &Expect, answer: &Answer) -> Result<(), Mismatch> {
        let body = || http::lossy(&answer.body);
        if let Some(status) = want.status {
            if answer.status != status && want.accept_status.contains(&answer.status) {
                return Ok(());
            }
            if answer.status != status {
                return Err(format!(
                    "want status {status}, got {} {:?}",
                    answer.status,
                    body()
                ));
            }
        }
        if let Some(jar) = &want.save_cookies {
            self.save_cookies(jar, answer)?;
        }
        for (name, value) in &want.headers {
            self.check_header(name, value.as_deref(), answer.header(name))?;
        }
        let text = String::from_utf8(answer.body.clone());
        let text = text.map_err(|_| format!("a body that is not UTF-8: {:?}", body()));
        if let Some(want) = &want.body {
            let got = Json::parse(text.as_deref()?);
            let got = got.map_err(|why| format!("a body that is not JSON: {why}: {:?}", body()))?;
            self.bindings.matches(want, &got, "body")?;
        }
        for piece in &want.text_contains {
            let piece = self.bindings.fill(piece);
            if !text.as_deref()?.contains(&piece) {
                return Err(format!("{piece:?} is not in {:?}", body()));
            }
        }
        if let Some((callback, want)) = &want.jsonp {
            let call = text.as_deref()?.trim_end_matches(['\n', ';']);
            let argument = call.strip_prefix(&format!("{callback}("));
            let argument = argument.and_then(|rest| rest.strip_suffix(')'));
            let argument = argument.ok_or_else(|| format!("no call of {callback}: {call:?}"))?;
            self.bindings
                .matches(want, &Json::parse(argument)?, "jsonp")?;
        }
        Ok(())
    }

    fn check_header(
        &mut self,
        name: &str,
        want: Option<&str>,
        got: Option<&str>,
    ) -> Result<(), Mismatch> {
        let (want, got) = match (want, got) {
            (None, None) => return Ok(()),
            (None, Some(got)) => return Err(format!("header {name}: want none, got {got:?}")),
            (Some(_), None) => return Err(format!("header {name} is missing")),
            (Some(want), Some(got)) => (want, got),
        };
        if want == "<any>" {
            return Ok(());
        }
        if let Some(prefix) = want
            .strip_prefix("<prefix:")
            .and_then(|w| w.strip_suffix('>'))
        {
            let prefix = self.bindings.fill(prefix);
            return match got.starts_with(&prefix) {
                true => Ok(()),
                false => Err(format!(
                    "header {name}: want it to start with {prefix:?}: {got:?}"
                )),
            };
        }
        let (want, got) = (Json::Text(want.to_owned()), Json::Text(got.to_owned()));
        self.bindings
            .matches(&want, &got, &format!("header {name}"))
    }

    fn save_cookies(&mut self, jar: &str, answer: &Answer) -> Result<(), Mismatch> {
        let mut cookies: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &answer.headers {
            if name.eq_ignore_ascii_case("set-cookie") {
                let pair = value.split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                if !cookies.iter().any(|(known, _)| *known == name.trim()) {
                    cookies.push((name.trim(), value));
                }
            }
        }
        if cookies.is_empty() {
            return Err("no cookie was set".to_owned());
        }
        let pairs: Vec<String> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        self.bindings
            .bind(format!("<cookies:{jar}>"), pairs.join("; "));
        Ok(())
    }

    // ---- sockets ---------------------------------------------------------------------------

    fn open(
        &mut self,
        ws: &str,
        request: &Request,
        expect: &Expect,
        step: &Step,
    ) -> Result<(), Mismatch> {
        // Sixteen bytes that differ from socket to socket.
        let nonce = format!("{:>16}", format!("{ws} {}", self.sockets.len()));
        let key = BASE64.encode(&nonce.as_bytes()[nonce.len() - 16..]);
        let usual = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", &key),
            ("Sec-WebSocket-Version", "13"),
        ];
        let mut headers = request.headers.clone();
        for (name, value) in usual {
            if !headers
                .iter()
                .any(|(given, _)| given.eq_ignore_ascii_case(name))
            {
                headers.push((name.to_owned(), Some(value.to_owned())));
            }
        }
        let request = Request {
            method: request.method.clone(),
            path: request.path.clone(),
            headers,
            body: Body::None,
        };
        let mut pending = self.start(&request, step)?;
        let until = self.sut.now_ms() + ANSWER_WAIT_MS;
        let (answer, used) = loop {
            let ended = match self.sut.receive(pending.link, until) {
                Received::Bytes { bytes, .. } => {
                    pending.bytes.extend_from_slice(&bytes);
                    false
                }
                Received::Ended { .. } => true,
                Received::Nothing => return Err("no answer to the handshake".to_owned()),
            };
            if let Some(whole) = http::answer(&pending.bytes, false, ended)? {
                break whole;
            }
        };
        if answer.status == 101 {
            let want = websocket::accept_of(&key);
            if answer.header("sec-websocket-accept") != Some(&want) {
                return Err("Sec-WebSocket-Accept is wrong".to_owned());
            }
            let mut reader = Reader::default();
            reader.feed(&pending.bytes[used..]);
            let socket = Socket {
                link: pending.link,
                reader,
                writer: Writer::default(),
                heard: VecDeque::new(),
                close_sent: false,
                over: false,
            };
            self.sockets.insert(ws.to_owned(), socket);
        } else {
            self.sut.close(pending.link);
        }
        self.check(expect, &answer)
    }

    /// The next thing that `ws` hears until then, heartbeats left out if so wished.
    fn next(
        &mut self,
        ws: &str,
        until_ms: u64,
        skip_heartbeats: bool,
    ) -> Result<Option<Heard>, Mismatch> {
        let socket = find(&mut self.sockets, ws)?;
        loop {
            match socket.heard.pop_front() {
                Some(Heard::Text(text)) if skip_heartbeats && is_heartbeat(&text) => {}
                Some(heard) => return Ok(Some(heard)),
                None if socket.over => return Err("the socket has closed before".to_owned()),
                None if !socket.hear(self.sut, until_ms)? => return Ok(None),
                None => {}
            }
        }
    }

    fn frame(&mut self, ws: &str, within_ms: u64) -> Result<Json, Mismatch> {
        let until = self.sut.now_ms() + within_ms;
        match self.next(ws, until, true)? {
            Some(Heard::Text(text)) => {
                Json::parse(&text).map_err(|why| format!("a frame that is not JSON: {why}: {text}"))
            }
            heard => Err(format!("want a frame, heard {heard:?}")),
        }
    }

    fn frames(&mut self, ws: &str, want: &Frames, within_ms: u64) -> Result<(), Mismatch> {
        let mut got = Vec::new();
        while got.len() < want.count {
            let frame = self.frame(ws, within_ms);
            got.push(frame.map_err(|why| format!("frame {}: {why}", got.len() + 1))?);
        }
        let ends = [(&want.first, got.first()), (&want.last, got.last())];
        for (want, got) in ends {
            if let (Some(want), Some(got)) = (want, got) {
                self.bindings.matches(want, got, "first or last frame")?;
            }
        }
        for (index, frame) in got.iter().enumerate() {
            if let Some(each) = &want.each {
                self.bindings
                    .matches(each, frame, &format!("frame {}", index + 1))?;
            }
            if let Some((path, from)) = &want.sequence {
                let number = dig(frame, path).and_then(Json::count);
                if number != Some(from + index as u64) {
                    return Err(format!(
                        "frame {} is out of order: {}",
                        index + 1,
                        short(frame)
                    ));
                }
            }
        }
        Ok(())
    }

    /// After Close frames have gone both ways it is for the server to end TCP (RFC 6455 section
    /// 7.1.1).
    fn tcp_ends(&mut self, ws: &str) -> Result<(), Mismatch> {
        let link = find(&mut self.sockets, ws)?.link;
        let until = self.sut.now_ms() + TCP_END_MS;
        match self.sut.receive(link, until) {
            Received::Ended { .. } => {
                self.sut.close(link);
                Ok(())
            }
            Received::Bytes { bytes, .. } => Err(format!("after the Close: {bytes:x?}")),
            Received::Nothing => Err("after the Close, TCP was left open".to_owned()),
        }
    }

    /// Leaves nothing behind.
    fn drop_all(&mut self) {
        for socket in self.sockets.values() {
            self.sut.close(socket.link);
        }
        for pending in self.pending.values() {
            self.sut.close(pending.link);
        }
    }
}

impl Socket {
    /// Takes in what comes next, until then at most; false if nothing does. Pings and Closes are
    /// answered here.
    fn hear(&mut self, sut: &mut dyn Sut, until_ms: u64) -> Result<bool, Mismatch> {
        if self.over {
            return Ok(false);
        }
        // What came with the handshake is already in the reader.
        let mut ended = false;
        let mut event = self.reader.next()?;
        if event.is_none() {
            match sut.receive(self.link, until_ms) {
                Received::Bytes { bytes, .. } => self.reader.feed(&bytes),
                Received::Ended { .. } => ended = true,
                Received::Nothing => return Ok(false),
            }
            event = self.reader.next()?;
        }
        match event {
            Some(Event::Text(text)) => self.heard.push_back(Heard::Text(text)),
            Some(Event::Pong(payload)) => self.heard.push_back(Heard::Pong(payload)),
            Some(Event::Ping(payload)) => {
                let pong = self.writer.frame(websocket::PONG, &payload);
                sut.send(self.link, &pong);
            }
            Some(Event::Close(code, payload)) => {
                if !self.close_sent {
                    let echo = self.writer.frame(websocket::CLOSE, &payload);
                    sut.send(self.link, &echo);
                }
                if !self.reader.is_between_messages() {
                    return Err("bytes behind the Close".to_owned());
                }
                self.over = true;
                self.heard.push_back(Heard::Closed(code));
            }
            Some(Event::Binary(bytes)) => return Err(format!("a binary frame: {bytes:x?}")),
            None if ended => {
                if !self.reader.is_between_messages() {
                    return Err("TCP ended inside a frame".to_owned());
                }
                self.over = true;
                self.heard.push_back(Heard::Closed(1006));
            }
            None => {}
        }
        Ok(true)
    }
}

fn find<'a>(
    sockets: &'a mut BTreeMap<String, Socket>,
    ws: &str,
) -> Result<&'a mut Socket, Mismatch> {
    sockets
        .get_mut(ws)
        .ok_or_else(|| format!("no socket {ws:?} is open"))
}

fn is_heartbeat(text: &str) -> bool {
    Json::parse(text).is_ok_and(|json| json.items().is_some_and(<[Json]>::is_empty))
}

/// What is at `path`: keys and indexes.
pub(crate) fn dig<'a>(json: &'a Json, path: &[Json]) -> Option<&'a Json> {
    path.iter().try_fold(json, |json, part| match part {
        Json::Text(key) => json.get(key),
        index => json.items()?.get(usize::try_from(index.count()?).ok()?),
    })
}

fn check_took(limits: Took, took_ms: u64) -> Result<(), Mismatch> {
    if limits.min_ms.is_some_and(|min_ms| took_ms < min_ms) {
        return Err(format!("answered after {took_ms} ms, too early"));
    }
    if limits.max_ms.is_some_and(|max_ms| took_ms > max_ms) {
        return Err(format!("answered after {took_ms} ms, too late"));
    }
    Ok(())
}
