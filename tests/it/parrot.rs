//! A server that knows the right answers: it reads them from the step that is being replayed.
//!
//! By it the replayer is tested: every transcript must pass against the parrot, and must fail, at
//! the right step, when the parrot changes one thing.

use crate::bindings::{Bindings, whole_placeholder};
use crate::json::Json;
use crate::session::{Link, Received, Sut};
use crate::transcript::{Act, Expect, Frames, Step, Took};
use crate::websocket;
use fanwire::frame::{FrameWriter, Opcode};
use std::collections::{BTreeMap, VecDeque};

/// What the parrot says wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Nothing.
    None,
    /// Of all things it makes up (statuses, headers, codes, leaves of JSON) the one with this
    /// number.
    Thing(usize),
}

/// See the module.
pub(crate) struct Parrot {
    lie: Lie,
    /// Things made up so far.
    things: usize,
    /// The number of the step that has the lie.
    pub(crate) lied_at: Option<usize>,
    steps: usize,
    now_ms: u64,
    links: Vec<ParrotLink>,
    sockets: BTreeMap<String, Link>,
    started: BTreeMap<String, Link>,
    /// What the next request gets.
    plan: Plan,
    bindings: Option<Bindings>,
}

#[derive(Default)]
struct ParrotLink {
    heard: Vec<u8>,
    /// When, and what; an empty piece is the end.
    says: VecDeque<(u64, Vec<u8>)>,
}

enum Plan {
    Nothing,
    Answer { bytes: Vec<u8>, delay_ms: u64 },
    Remember { id: String },
    Handshake { ws: String, expect: Expect },
}

impl Parrot {
    pub(crate) fn new(lie: Lie) -> Self {
        Self {
            lie,
            things: 0,
            lied_at: None,
            steps: 0,
            now_ms: 1_000,
            links: Vec::new(),
            sockets: BTreeMap::new(),
            started: BTreeMap::new(),
            plan: Plan::Nothing,
            bindings: None,
        }
    }

    /// How many things there were to lie about.
    pub(crate) fn things(&self) -> usize {
        self.things
    }

    /// Counts one thing made up; says whether it is the one to be wrong.
    fn lies(&mut self) -> bool {
        self.things += 1;
        let lies = self.lie == Lie::Thing(self.things - 1);
        if lies {
            self.lied_at = Some(self.steps);
        }
        lies
    }

    fn text(&self, want: &str) -> String {
        let bindings = self.bindings.as_ref().expect("prompted before it speaks");
        if let Some((kind, _)) = whole_placeholder(want) {
            if let Some(known) = bindings.value(want) {
                return known.to_owned();
            }
            // Named placeholders must come out the same each time.
            let number: usize = want.bytes().map(usize::from).sum();
            return match kind {
                "uuid" | "conn_id" => format!("{number:08x}-0000-4000-8000-0123456789ab"),
                "datetime" => format!("2026-11-21T22:36:43.{number:06}"),
                "uptime" => "3 days, 10:20:30".to_owned(),
                _ => "words".to_owned(),
            };
        }
        bindings.fill(want)
    }

    /// A value that matches `want`, or, where the lie falls on it, one that does not.
    fn invent(&mut self, want: &Json) -> Json {
        match want {
            Json::Text(text) => {
                let is_free = whole_placeholder(text).is_some_and(|(kind, _)| kind == "any");
                if is_free {
                    return Json::Null;
                }
                let lies = self.lies();
                match (whole_placeholder(text), lies) {
                    (Some(("int", _)), false) => Json::Number("7".to_owned()),
                    (_, true) => Json::List(vec![Json::Text("lie".to_owned())]),
                    (_, false) => Json::Text(self.text(text)),
                }
            }
            Json::Number(number) if self.lies() => Json::Number(format!("1{number}")),
            Json::Bool(value) if self.lies() => Json::Bool(!value),
            Json::Null if self.lies() => Json::Bool(false),
            Json::Number(_) | Json::Bool(_) | Json::Null => want.clone(),
            Json::List(items) => {
                let mut items: Vec<Json> = items.iter().map(|item| self.invent(item)).collect();
                if self.lies() {
                    items.push(Json::Null);
                }
                Json::List(items)
            }
            Json::Object(members) => self.invent_object(members),
        }
    }

    fn invent_object(&mut self, members: &[(String, Json)]) -> Json {
        let extra = || Json::Text("more".to_owned());
        if let [(matcher, inner)] = members {
            match (matcher.as_str(), inner) {
                ("$unordered", inner) => {
                    let Json::List(mut items) = self.invent(inner) else {
                        panic!("$unordered takes a list");
                    };
                    items.reverse();
                    return Json::List(items);
                }
                ("$contains", Json::List(items)) => {
                    let invented = items.iter().map(|item| self.invent(item));
                    let mut items: Vec<Json> = invented.collect();
                    items.insert(0, extra());
                    return Json::List(items);
                }
                ("$superset", Json::Object(members)) => {
                    let mut members = self.invent_members(members);
                    members.push(("more".to_owned(), extra()));
                    return Json::Object(members);
                }
                ("$min", least) => {
                    let least = least.count().expect("a count");
                    let number = if self.lies() {
                        "-1".to_owned()
                    } else {
                        (least + 1).to_string()
                    };
                    return Json::Number(number);
                }
                _ => {}
            }
        }
        let mut members = self.invent_members(members);
        if self.lies() {
            members.push(("lie".to_owned(), extra()));
        }
        Json::Object(members)
    }

    fn invent_members(&mut self, members: &[(String, Json)]) -> Vec<(String, Json)> {
        let mut invented = Vec::new();
        for (key, value) in members {
            let value = self.invent(value);
            // Leaving a member out is a lie like any other.
            if !self.lies() {
                invented.push((self.text(key), value));
            }
        }
        invented
    }

    fn answer(&mut self, want: &Expect, key: Option<&str>) -> Vec<u8> {
        let mut status = want.status.unwrap_or(200);
        if want.status.is_some() && self.lies() {
            status = 299;
        }
        let mut text = format!("HTTP/1.1 {status} Said\r\n");
        for (name, value) in &want.headers {
            match value {
                None if self.lies() => text.push_str(&format!("{name}: lie\r\n")),
                None => {}
                Some(_) if self.lies() => {}
                Some(value) => {
                    let prefix = value
                        .strip_prefix("<prefix:")
                        .and_then(|v| v.strip_suffix('>'));
                    let value = match prefix {
                        Some(prefix) => format!("{}...", self.text(prefix)),
                        None => self.text(value),
                    };
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
            }
        }
        if want.save_cookies.is_some() && !self.lies() {
            text.push_str(
                "Set-Cookie: one=1; Path=/\r\nset-cookie: one=2\r\nSet-Cookie: b=c=d\r\n",
            );
        }
        if let Some(key) = key {
            let lie = if self.lies() { "A" } else { "" };
            let accept = websocket::accept_of(key);
            text.push_str(&format!("Sec-WebSocket-Accept: {lie}{accept}\r\n\r\n"));
            return text.into_bytes();
        }
        let mut body = match &want.body {
            Some(body) => self.invent(body).to_string(),
            None => String::new(),
        };
        for piece in &want.text_contains {
            if !self.lies() {
                body.push_str(&format!("({})", self.text(piece)));
            }
        }
        if let Some((callback, argument)) = &want.jsonp {
            let lie = if self.lies() { "lie" } else { "" };
            body = format!("{lie}{callback}({});\n", self.invent(argument));
        }
        let length = body.len();
        if text.contains("Transfer-Encoding: chunked") {
            text.push_str(&format!("\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"));
        } else {
            text.push_str(&format!("Content-Length: {length}\r\n\r\n{body}"));
        }
        text.into_bytes()
    }

    fn says(&mut self, link: Link, at_ms: u64, bytes: Vec<u8>) {
        self.links[link.0].says.push_back((at_ms, bytes));
    }

    fn frame(&mut self, ws: &str, opcode: Opcode, payload: &[u8]) {
        let link = self.sockets[ws];
        let frame = FrameWriter::new().websocket(opcode, payload).to_vec();
        self.says(link, self.now_ms + 10, frame);
    }

    fn frames(&mut self, ws: &str, frames: &Frames) {
        for index in 0..frames.count {
            let ends = [(&frames.first, 0), (&frames.last, frames.count - 1)];
            let end = ends
                .into_iter()
                .find_map(|(want, at)| want.as_ref().filter(|_| at == index));
            let want = end.or(frames.each.as_ref()).cloned().unwrap_or(Json::Null);
            let lied_before = self.lied_at;
            let mut frame = self.invent(&want);
            // Numbering the frame must not mend a lie.
            let numbered = frames
                .sequence
                .as_ref()
                .filter(|_| self.lied_at == lied_before);
            if let Some((path, from)) = numbered {
                let lie = if self.lies() { 1 } else { 0 };
                put(&mut frame, path, from + index as u64 + lie);
            }
            self.frame(ws, Opcode::Text, frame.to_string().as_bytes());
        }
    }

    fn socket_step(&mut self, act: &Act) {
        match act {
            Act::Frame { ws, want, .. } => {
                self.frame(ws, Opcode::Text, b"[]");
                let frame = self.invent(want);
                self.frame(ws, Opcode::Text, frame.to_string().as_bytes());
            }
            Act::Frames { ws, frames, .. } => self.frames(ws, frames),
            Act::Quiet { ws, .. } => {
                if self.lies() {
                    self.frame(ws, Opcode::Text, b"[1]");
                }
            }
            Act::Heartbeat { ws, .. } => {
                let frame: &[u8] = if self.lies() { b"[[]]" } else { b" [ ] " };
                self.frame(ws, Opcode::Text, frame);
            }
            Act::Pong { ws, payload, .. } => {
                self.frame(ws, Opcode::Text, b"[]");
                let lie = if self.lies() { "lie" } else { "" };
                self.frame(ws, Opcode::Pong, format!("{payload}{lie}").as_bytes());
            }
            Act::Closed { ws, codes, .. } => {
                let code = if self.lies() {
                    4999
                } else {
                    codes[codes.len() - 1]
                };
                if code != 1006 {
                    self.frame(ws, Opcode::Close, &code.to_be_bytes());
                }
                self.says(self.sockets[ws], self.now_ms + 20, Vec::new());
            }
            Act::Ask { .. }
            | Act::Start { .. }
            | Act::Finish { .. }
            | Act::Open { .. }
            | Act::Send { .. }
            | Act::Close { .. }
            | Act::Abort { .. }
            | Act::Sleep { .. } => unreachable!("prompted for what is expected only"),
        }
    }

    /// A time within the limits, or not.
    fn delay_ms(&mut self, took: Took) -> u64 {
        let delay_ms = took.min_ms.unwrap_or(5);
        match took.max_ms {
            Some(max_ms) if self.lies() => max_ms + 1,
            Some(_) | None => delay_ms,
        }
    }
}

/// Sets the number at `path`.
fn put(json: &mut Json, path: &[Json], number: u64) {
    let [part, rest @ ..] = path else {
        *json = Json::Number(number.to_string());
        return;
    };
    let inner = match (json, part) {
        (Json::List(items), index) => items
            .get_mut(index.count().expect("an index") as usize)
            .expect("inside the list"),
        (Json::Object(members), Json::Text(key)) => {
            let at = members
                .iter()
                .position(|(known, _)| known == key)
                .unwrap_or(members.len());
            if at == members.len() {
                members.push((key.clone(), Json::Null));
            }
            &mut members[at].1
        }
        (other, part) => {
            // A frame made up from `<any>` has nothing at the path yet.
            *other = match part {
                Json::Text(key) => Json::Object(vec![(key.clone(), Json::Null)]),
                _ => Json::List(vec![Json::Null]),
            };
            return put(other, path, number);
        }
    };
    put(inner, rest, number);
}

impl Sut for Parrot {
    fn dial(&mut self) -> Link {
        self.links.push(ParrotLink::default());
        Link(self.links.len() - 1)
    }

    fn send(&mut self, link: Link, bytes: &[u8]) {
        self.links[link.0].heard.extend_from_slice(bytes);
        let now_ms = self.now_ms;
        match std::mem::replace(&mut self.plan, Plan::Nothing) {
            Plan::Nothing => {}
            Plan::Answer { bytes, delay_ms } => self.says(link, now_ms + delay_ms, bytes),
            Plan::Remember { id } => {
                self.started.insert(id, link);
            }
            Plan::Handshake { ws, expect } => {
                let heard = String::from_utf8_lossy(&self.links[link.0].heard).into_owned();
                let mut lines = heard.lines();
                let key = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
                let mut answer = self.answer(&expect, key);
                // Frames often come with the answer; this one is to be answered in turn.
                answer.extend_from_slice(&FrameWriter::new().websocket(Opcode::Ping, b"?"));
                self.says(link, now_ms + 1, answer);
                self.sockets.insert(ws, link);
            }
        }
    }

    fn receive(&mut self, link: Link, until_ms: u64) -> Received {
        let says = &mut self.links[link.0].says;
        match says.front() {
            Some(&(at_ms, ref bytes)) if at_ms <= until_ms.max(self.now_ms) => {
                self.now_ms = self.now_ms.max(at_ms);
                if bytes.is_empty() {
                    return Received::Ended { at_ms };
                }
                let bytes = bytes.clone();
                says.pop_front();
                Received::Bytes { at_ms, bytes }
            }
            Some(_) | None => {
                self.now_ms = self.now_ms.max(until_ms);
                Received::Nothing
            }
        }
    }

    fn half_close(&mut self, _link: Link) {}

    fn close(&mut self, _link: Link) {}

    fn abort(&mut self, _link: Link) {}

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn unix_seconds(&self) -> u64 {
        1_795_359_723
    }

    fn wait_ms(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    fn origin(&self) -> String {
        "http://parrot:1".to_owned()
    }

    fn secret(&self) -> String {
        "parrot".to_owned()
    }

    fn prompt(&mut self, step: &Step, bindings: &Bindings) {
        self.steps += 1;
        self.bindings = Some(bindings.clone());
        match &step.act {
            Act::Ask { expect, took, .. } => {
                let delay_ms = self.delay_ms(*took);
                let bytes = self.answer(expect, None);
                self.plan = Plan::Answer { bytes, delay_ms };
            }
            Act::Start { id, .. } => self.plan = Plan::Remember { id: id.clone() },
            Act::Finish { id, expect, took } => {
                let delay_ms = self.delay_ms(*took);
                let bytes = self.answer(expect, None);
                let link = self.started[id];
                self.says(link, self.now_ms + delay_ms, bytes);
            }
            Act::Open { ws, expect, .. } if expect.status == Some(101) => {
                let mut expect = expect.clone();
                // Made from the key.
                expect
                    .headers
                    .retain(|(name, _)| name != "Sec-WebSocket-Accept");
                self.plan = Plan::Handshake {
                    ws: ws.clone(),
                    expect,
                };
            }
            Act::Open { expect, .. } => {
                let bytes = self.answer(expect, None);
                self.plan = Plan::Answer { bytes, delay_ms: 1 };
            }
            act => self.socket_step(act),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channelstream::all_files;
    use crate::replay::{Run, replay};
    use crate::transcript::Scenario;

    /// Steps that call the parrot, counted the way it counts.
    fn speak(scenario: &Scenario, lie: Lie) -> (Result<(), String>, Parrot) {
        let mut parrot = Parrot::new(lie);
        let run = Run {
            text: "abcdefgh",
            resets: false,
        };
        let verdict = replay(scenario, run, &mut parrot);
        (verdict, parrot)
    }

    #[test]
    fn every_transcript_passes_if_the_server_says_the_right_things() {
        for (name, text) in all_files() {
            let scenario = Scenario::parse(&text, "abcdefgh").expect(&name);
            let (verdict, parrot) = speak(&scenario, Lie::None);
            assert_eq!(verdict, Ok(()), "{name}");
            assert!(parrot.steps > 0 && parrot.things() > 0, "{name}");
        }
    }

    /// The heart of it: whatever a server gets wrong, the replayer sees, at that very step.
    #[test]
    fn no_lie_goes_unnoticed() {
        let mut lies = 0;
        for (name, text) in all_files() {
            let scenario = Scenario::parse(&text, "abcdefgh").expect(&name);
            let (_, parrot) = speak(&scenario, Lie::None);
            // The long ones repeat themselves: sixty lies spread over each will do.
            let stride = parrot.things().div_ceil(60);
            for thing in (0..parrot.things()).step_by(stride) {
                let (verdict, parrot) = speak(&scenario, Lie::Thing(thing));
                assert!(verdict.is_err(), "{name}: lie {thing} went unnoticed");
                assert_eq!(
                    parrot.lied_at,
                    Some(parrot.steps),
                    "{name}: lie {thing} late"
                );
                lies += 1;
            }
        }
        assert!(lies > 3_000, "only {lies} lies were told");
    }
}
