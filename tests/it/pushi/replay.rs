//! Plays a transcript: does what its clients did, and compares what comes back.

use super::scenario::{Act, Better, Body, Expect, OfClient, Request, Scenario, Step};
use super::values::{AppKeys, Objects, Values};
use crate::bindings::Mismatch;
use crate::client::{Caller, Client, Heard};
use crate::http::{self, Answer};
use crate::json::Json;
use crate::session::Sut;
use crate::websocket::{self, Event};
use std::collections::BTreeMap;

/// How long a frame is waited for.
const FRAME_WAIT_MS: u64 = 3_000;
/// How long a close may come after the error that explains it.
const CLOSE_WAIT_MS: u64 = 300;
/// Between two tries of a request that is repeated.
const RETRY_PAUSE_MS: u64 = 20;

/// Plays `scenario`; `run` makes the names of its apps unique. Gives the steps at which the server did
/// better than the original, and how: `3: 400`, `4: error`. An error names the step and says what was
/// wrong.
pub(crate) fn replay(
    scenario: &Scenario,
    run: &str,
    sut: &mut dyn Sut,
) -> Result<Vec<String>, String> {
    let mut replay = Replay {
        sut,
        values: Values::default(),
        clients: BTreeMap::new(),
        handshakes: BTreeMap::new(),
        caller: Caller::default(),
        better: Vec::new(),
    };
    replay
        .set_up(scenario, run)
        .map_err(|why| format!("setup: {why}"))?;
    for (index, step) in scenario.steps.iter().enumerate() {
        let done = replay.step(index + 1, step);
        done.map_err(|why| format!("step {}: {why}\n  {}", index + 1, step.source))?;
    }
    replay.finish()
}

struct Replay<'a> {
    sut: &'a mut dyn Sut,
    values: Values,
    clients: BTreeMap<String, Client>,
    handshakes: BTreeMap<String, Answer>,
    caller: Caller,
    better: Vec<String>,
}

impl Replay<'_> {
    fn set_up(&mut self, scenario: &Scenario, run: &str) -> Result<(), Mismatch> {
        for step in &scenario.steps {
            // An app that a step makes needs its name before.
            let Act::Ask {
                create_app: Some(app),
                ..
            } = &step.act
            else {
                continue;
            };
            let name = format!("{app} of {run}");
            let keys = AppKeys {
                name,
                ..AppKeys::default()
            };
            self.values.apps.insert(app.clone(), keys);
        }
        for app in &scenario.apps {
            let name = format!("{app} of {run}");
            let keys = AppKeys {
                name: name.clone(),
                ..AppKeys::default()
            };
            self.values.apps.insert(app.clone(), keys);
            let body = Json::Object(vec![("name".to_owned(), Json::Text(name))]);
            let answer = self.ask("POST", "/apps", Vec::new(), &Body::Json(body))?;
            if answer.status != 200 {
                return Err(format!("no app: {:?}", http::lossy(&answer.body)));
            }
            self.learn_app(app, &json_of(&answer)?)?;
        }
        for app in &scenario.logins {
            let query = self.values.fill(&format!(
                "app_id=<app:{app}.ident>&app_key=<app:{app}.key>&app_secret=<app:{app}.secret>"
            ));
            let answer = self.ask("GET", &format!("/login?{query}"), Vec::new(), &Body::None)?;
            let token = json_of(&answer)?;
            let token = token.get("token").and_then(Json::text).map(str::to_owned);
            let token = token.ok_or_else(|| format!("no token: {}", answer.status))?;
            self.values.bind(&format!("sid:{app}"), &token);
        }
        Ok(())
    }

    /// An app was made: what its record says, but for its name, which we gave.
    fn learn_app(&mut self, app: &str, record: &Json) -> Result<(), Mismatch> {
        let field = |key: &str| {
            let text = record.get(key).and_then(Json::text).map(str::to_owned);
            text.ok_or_else(|| format!("an app without {key}: {record}"))
        };
        let known = self.values.apps.entry(app.to_owned()).or_default();
        known.ident = field("ident")?;
        known.key = field("key")?;
        known.secret = field("secret")?;
        Ok(())
    }

    fn step(&mut self, number: usize, step: &Step) -> Result<(), Mismatch> {
        match &step.act {
            Act::Client(client, act) => self.client(number, client, act),
            Act::Ask {
                request,
                expect,
                create_app,
                retry_ms,
            } => {
                let until = self.sut.now_ms() + retry_ms;
                let (status, better) = loop {
                    let answer = self.request(request)?;
                    if let Some(app) = create_app {
                        self.learn_app(app, &json_of(&answer)?)?;
                    }
                    match self.check(expect, &answer) {
                        Ok(better) => break (answer.status, better),
                        Err(why) if self.sut.now_ms() >= until => return Err(why),
                        Err(_) => self.sut.wait_ms(RETRY_PAUSE_MS),
                    }
                };
                if better {
                    self.better.push(format!("{number}: {status}"));
                }
                Ok(())
            }
            // What was delivered is there for whoever asks.
            Act::Wait => Ok(()),
        }
    }

    // ---- sockets ---------------------------------------------------------------------------

    fn client(&mut self, number: usize, name: &str, act: &OfClient) -> Result<(), Mismatch> {
        match act {
            OfClient::Connect { app, path } => {
                let path = self.values.fill(path);
                let (answer, client) = Client::open(self.sut, &path, &[], &[])?;
                self.handshakes.insert(name.to_owned(), answer);
                self.values.clients.insert(name.to_owned(), app.clone());
                if let Some(client) = client {
                    self.clients.insert(name.to_owned(), client);
                }
                Ok(())
            }
            OfClient::Handshake { status, headers } => {
                let answer = self.handshakes.get(name).ok_or("no handshake")?.clone();
                if answer.status != *status {
                    return Err(format!("the handshake came to {}", answer.status));
                }
                self.check_headers(headers, &answer)
            }
            OfClient::Send(json) => {
                let text = self.values.fill_json(json).to_string();
                let client = find(&mut self.clients, name)?;
                client.say(self.sut, websocket::TEXT, text.as_bytes());
                Ok(())
            }
            OfClient::Recv(want) => match self.hear(name, FRAME_WAIT_MS)? {
                Heard::Event(Event::Text(text)) => {
                    let got = Json::parse(&text).map_err(|why| format!("{why}: {text}"))?;
                    self.values.matches(want, &got, Objects::Closed, "frame")
                }
                other => Err(format!("want a frame, heard {other:?}")),
            },
            OfClient::Silence { ms } => match self.hear(name, *ms)? {
                Heard::Nothing => Ok(()),
                other => Err(format!("want silence, heard {other:?}")),
            },
            OfClient::Closed => self.refused(number, name),
            OfClient::Close { code } => find(&mut self.clients, name)?.close(self.sut, *code),
        }
    }

    /// The next thing that a client hears. Pings are answered.
    fn hear(&mut self, name: &str, within_ms: u64) -> Result<Heard, Mismatch> {
        let client = find(&mut self.clients, name)?;
        loop {
            match client.hear(self.sut, within_ms)? {
                Heard::Event(Event::Ping(payload)) => {
                    client.say(self.sut, websocket::PONG, &payload);
                }
                heard => return Ok(heard),
            }
        }
    }

    /// The original drops the connection here.
    fn refused(&mut self, number: usize, name: &str) -> Result<(), Mismatch> {
        let text = match self.hear(name, FRAME_WAIT_MS)? {
            Heard::Ended => {
                find(&mut self.clients, name)?.over = true;
                return Ok(());
            }
            Heard::Event(Event::Text(text)) => text,
            other => return Err(format!("want an error or the end, heard {other:?}")),
        };
        let error = Json::parse(&text)?;
        let event = error.get("event").and_then(Json::text).unwrap_or("");
        let is_error = event
            .strip_prefix("pusher")
            .map(|rest| rest.strip_prefix("_internal").unwrap_or(rest))
            .is_some_and(|rest| rest.starts_with(':') && rest.contains("error"));
        let has_channel = error.get("channel").and_then(Json::text).is_some();
        if !is_error || !has_channel {
            return Err(format!("want an error of a channel, heard {text}"));
        }
        let outcome = match self.hear(name, CLOSE_WAIT_MS)? {
            Heard::Nothing => "error",
            Heard::Ended | Heard::Event(Event::Close(..)) => "error and close",
            other @ Heard::Event(_) => return Err(format!("after the error: {other:?}")),
        };
        self.better.push(format!("{number}: {outcome}"));
        let client = find(&mut self.clients, name)?;
        match outcome {
            "error" => client.close(self.sut, 1000),
            _ => {
                client.over = true;
                Ok(())
            }
        }
    }

    // ---- requests --------------------------------------------------------------------------

    fn request(&mut self, request: &Request) -> Result<Answer, Mismatch> {
        let mut path = self.values.fill(&request.path);
        let pairs = |values: &Values, pairs: &[(String, String)]| -> String {
            let pair = |(name, value): &(String, String)| {
                format!("{}={}", encoded(name), encoded(&values.fill(value)))
            };
            pairs.iter().map(pair).collect::<Vec<_>>().join("&")
        };
        if !request.query.is_empty() {
            path = format!("{path}?{}", pairs(&self.values, &request.query));
        }
        let headers = request.headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), self.values.fill(value)));
        let headers: Vec<_> = headers.collect();
        let body = match &request.body {
            Body::None => Body::None,
            Body::Json(json) => Body::Json(self.values.fill_json(json)),
            Body::Form(fields) => {
                // Told apart from a text by its type alone.
                let text = pairs(&self.values, fields);
                let mut headers = headers;
                let form = "application/x-www-form-urlencoded";
                headers.push(("Content-Type".to_owned(), form.to_owned()));
                return self.ask(&request.method, &path, headers, &Body::Text(text));
            }
            Body::Text(text) => Body::Text(self.values.fill(text)),
        };
        self.ask(&request.method, &path, headers, &body)
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        mut headers: Vec<(String, String)>,
        body: &Body,
    ) -> Result<Answer, Mismatch> {
        let body = match body {
            Body::None | Body::Form(_) => None,
            Body::Json(json) => Some(json.to_string()),
            Body::Text(text) => Some(text.clone()),
        };
        if body.is_some() && !headers.iter().any(|(name, _)| name == "Content-Type") {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        let body = body.as_deref().map(str::as_bytes);
        let bytes = http::request(method, path, "h", &headers, body);
        self.caller.ask(self.sut, &bytes)
    }

    /// Whether an answer is what is wanted, or better (true).
    fn check(&mut self, want: &Expect, answer: &Answer) -> Result<bool, Mismatch> {
        // What turns out wrong must not leave bindings behind.
        let before = self.values.clone();
        let plain = self.check_plain(want, answer);
        match (plain, &want.or_better) {
            (Ok(()), _) => Ok(false),
            (Err(why), Some(better)) if better.statuses.contains(&answer.status) => {
                self.values = before;
                let checked = self.check_better(better, answer);
                checked.map_err(|other| format!("{why}; nor is it better: {other}"))?;
                Ok(true)
            }
            (Err(why), _) => {
                self.values = before;
                Err(why)
            }
        }
    }

    fn check_plain(&mut self, want: &Expect, answer: &Answer) -> Result<(), Mismatch> {
        let body = http::lossy(&answer.body);
        if answer.status != want.status {
            let (want, got) = (want.status, answer.status);
            return Err(format!("want status {want}, got {got} {body:?}"));
        }
        if let Some(json) = &want.json {
            let got = json_of(answer)?;
            self.values.matches(json, &got, Objects::Open, "body")?;
        }
        if let Some(text) = &want.text {
            let got = Json::Text(String::from_utf8_lossy(&answer.body).into_owned());
            self.values.matches(text, &got, Objects::Open, "body")?;
        }
        // A header may repeat what the body has said first.
        self.check_headers(&want.headers, answer)
    }

    fn check_better(&mut self, want: &Better, answer: &Answer) -> Result<(), Mismatch> {
        let got = json_of(answer)?;
        if let Some(json) = &want.json {
            return self.values.matches(json, &got, Objects::Open, "body");
        }
        if answer.status < 400 {
            return Ok(());
        }
        let is_error = got.get("result").and_then(Json::text) == Some("error")
            && got.get("code").and_then(Json::count) == Some(u64::from(answer.status))
            && got.get("message").and_then(Json::text).is_some();
        match is_error {
            true => Ok(()),
            false => Err(format!("no error in the protocol's words: {got}")),
        }
    }

    fn check_headers(&mut self, want: &[(String, Json)], answer: &Answer) -> Result<(), Mismatch> {
        for (name, want) in want {
            let got = answer.header(name);
            let got = got.ok_or_else(|| format!("header {name} is missing"))?;
            let got = Json::Text(got.to_owned());
            let at = format!("header {name}");
            self.values.matches(want, &got, Objects::Open, &at)?;
        }
        Ok(())
    }

    /// Nobody has heard anything that was not looked at.
    fn finish(mut self) -> Result<Vec<String>, Mismatch> {
        let open = self.clients.iter().filter(|(_, client)| !client.over);
        let names: Vec<String> = open.map(|(name, _)| name.clone()).collect();
        for name in names {
            let client = find(&mut self.clients, &name)?;
            client.say(self.sut, websocket::PING, b"last");
            match self.hear(&name, FRAME_WAIT_MS)? {
                Heard::Event(Event::Pong(payload)) if payload == b"last" => {}
                other => return Err(format!("at the end {name} hears {other:?}")),
            }
        }
        for client in self.clients.values() {
            self.sut.close(client.link);
        }
        self.caller.close(self.sut);
        Ok(self.better)
    }
}

fn find<'a>(
    clients: &'a mut BTreeMap<String, Client>,
    name: &str,
) -> Result<&'a mut Client, Mismatch> {
    let client = clients.get_mut(name);
    client.ok_or_else(|| format!("no client {name:?} is open"))
}

fn json_of(answer: &Answer) -> Result<Json, Mismatch> {
    let text = String::from_utf8_lossy(&answer.body);
    Json::parse(&text).map_err(|why| format!("{} {why}: {text}", answer.status))
}

/// Percent-encoded, every byte that could mean something.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
