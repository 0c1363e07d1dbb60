//! A scenario as it stands in its file: steps, requests, expectations.
//!
//! The format is described in `tests/data/channelstream/transcripts/README.md`. Reading is strict:
//! a key that the format does not have stops the test, so that nothing is passed over in silence.

use crate::json::Json;

/// One file.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// Which settings the server needs.
    pub(crate) server: String,
    /// Whether a replay must match. Oddities of the original are kept as evidence only.
    pub(crate) contract: bool,
    /// Numbers in section 16 of the specification, for example `Q8`.
    pub(crate) quirks: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

/// One step, with the text it was read from for messages.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) source: String,
    pub(crate) act: Act,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Act {
    Ask {
        request: Request,
        expect: Expect,
        took: Took,
    },
    Start {
        id: String,
        request: Request,
    },
    Finish {
        id: String,
        expect: Expect,
        took: Took,
    },
    Open {
        ws: String,
        request: Request,
        expect: Expect,
    },
    Frame {
        ws: String,
        want: Json,
        within_ms: u64,
    },
    Frames {
        ws: String,
        frames: Frames,
        within_ms: u64,
    },
    Quiet {
        ws: String,
        ms: u64,
    },
    Heartbeat {
        ws: String,
        within_ms: u64,
    },
    /// A message or a ping from the client: opcode and payload.
    Send {
        ws: String,
        opcode: u8,
        payload: Payload,
    },
    Pong {
        ws: String,
        payload: String,
        within_ms: u64,
    },
    Close {
        ws: String,
        code: u16,
        reason: String,
    },
    Abort {
        ws: String,
    },
    Closed {
        ws: String,
        codes: Vec<u16>,
        within_ms: u64,
    },
    Sleep {
        ms: u64,
    },
}

/// What a client's frame carries.
#[derive(Debug)]
pub(crate) enum Payload {
    /// May hold placeholders.
    Text(String),
    Bytes(Vec<u8>),
}

/// Limits on the time an answer takes.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) min_ms: Option<u64>,
    pub(crate) max_ms: Option<u64>,
}

/// Several frames in a row.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) count: usize,
    pub(crate) first: Option<Json>,
    pub(crate) last: Option<Json>,
    pub(crate) each: Option<Json>,
    /// The path to a number, and the number in the first frame; it counts up from there.
    pub(crate) sequence: Option<(Vec<Json>, u64)>,
}

/// A request, placeholders not filled in.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// None: not to be sent, though it usually is.
    pub(crate) headers: Vec<(String, Option<String>)>,
    pub(crate) body: Body,
}

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Body {
    None,
    Json(Json),
    Raw(String),
}

/// What an answer must be like. What is absent is not compared.
#[derive(Debug, Default, Clone)]
pub(crate) struct Expect {
    pub(crate) status: Option<u16>,
    /// Further codes that are fine; with one of them nothing else is compared.
    pub(crate) accept_status: Vec<u16>,
    /// None: must be absent.
    pub(crate) headers: Vec<(String, Option<String>)>,
    pub(crate) body: Option<Json>,
    pub(crate) text_contains: Vec<String>,
    /// Name of the function and its argument.
    pub(crate) jsonp: Option<(String, Json)>,
    pub(crate) save_cookies: Option<String>,
}

/// How long a frame is waited for if the step does not say.
const FRAME_WAIT_MS: u64 = 3_000;
/// The same for a heartbeat.
const HEARTBEAT_WAIT_MS: u64 = 8_000;

impl Scenario {
    /// Reads a file. `run` stands in for `<run>` everywhere.
    pub(crate) fn parse(text: &str, run: &str) -> Result<Self, String> {
        let json = Json::parse(&text.replace("<run>", run))?;
        let mut keys = Keys::of(&json)?;
        keys.skip(&["name", "title", "slow"]);
        let steps = list(keys.need("steps")?)?;
        let scenario = Self {
            server: keys
                .take("server")
                .map_or(Ok("default".to_owned()), string)?,
            contract: keys.take("contract") != Some(&Json::Bool(false)),
            quirks: match keys.take("quirks") {
                Some(quirks) => list(quirks)?.iter().map(string).collect::<Result<_, _>>()?,
                None => Vec::new(),
            },
            steps: steps.iter().map(Step::read).collect::<Result<_, _>>()?,
        };
        keys.done()?;
        Ok(scenario)
    }
}

/// The members of an object while they are being read: each once, and none left over.
pub(crate) struct Keys<'a>(Vec<(&'a str, &'a Json)>);

impl<'a> Keys<'a> {
    pub(crate) fn of(json: &'a Json) -> Result<Self, String> {
        let members = json
            .members()
            .ok_or_else(|| format!("not an object: {json}"))?;
        Ok(Self(
            members
                .iter()
                .map(|(key, value)| (key.as_str(), value))
                .collect(),
        ))
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<&'a Json> {
        let at = self.0.iter().position(|(known, _)| *known == key)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(crate) fn need(&mut self, key: &str) -> Result<&'a Json, String> {
        self.take(key).ok_or_else(|| format!("no {key:?}"))
    }

    pub(crate) fn skip(&mut self, keys: &[&str]) {
        self.0.retain(|(key, _)| !keys.contains(key));
    }

    pub(crate) fn done(self) -> Result<(), String> {
        match self.0.first() {
            Some((key, _)) => Err(format!("the format has no {key:?} here")),
            None => Ok(()),
        }
    }
}

pub(crate) fn string(json: &Json) -> Result<String, String> {
    json.text()
        .map(str::to_owned)
        .ok_or_else(|| format!("not a text: {json}"))
}

pub(crate) fn number(json: &Json) -> Result<u64, String> {
    json.count().ok_or_else(|| format!("not a count: {json}"))
}

pub(crate) fn code(json: &Json) -> Result<u16, String> {
    u16::try_from(number(json)?).map_err(|err| err.to_string())
}

pub(crate) fn list(json: &Json) -> Result<&[Json], String> {
    json.items().ok_or_else(|| format!("not a list: {json}"))
}

fn headers(json: Option<&Json>) -> Result<Vec<(String, Option<String>)>, String> {
    let Some(json) = json else {
        return Ok(Vec::new());
    };
    let members = json
        .members()
        .ok_or_else(|| format!("not an object: {json}"))?;
    let header = |(name, value): &(String, Json)| match value {
        Json::Null => Ok((name.clone(), None)),
        value => Ok((name.clone(), Some(string(value)?))),
    };
    members.iter().map(header).collect()
}

impl Step {
    fn read(json: &Json) -> Result<Self, String> {
        let read = || -> Result<Act, String> {
            let mut keys = Keys::of(json)?;
            keys.skip(&["note"]);
            let act = Act::read(&mut keys)?;
            keys.done()?;
            Ok(act)
        };
        let act = read().map_err(|why| format!("{why}: {json}"))?;
        let source = json.to_string();
        Ok(Self { source, act })
    }
}

impl Act {
    fn read(keys: &mut Keys<'_>) -> Result<Self, String> {
        if let Some(ms) = keys.take("sleep_ms") {
            return Ok(Self::Sleep { ms: number(ms)? });
        }
        if let Some(ws) = keys.take("ws_open") {
            let mut request = Request::read(keys.need("request")?)?;
            if request.method.is_empty() {
                "GET".clone_into(&mut request.method);
            }
            let expect = match keys.take("response") {
                Some(expect) => Expect::read(expect)?,
                None => Expect {
                    status: Some(101),
                    ..Expect::default()
                },
            };
            return Ok(Self::Open {
                ws: string(ws)?,
                request,
                expect,
            });
        }
        if let Some(ws) = keys.take("ws") {
            return Self::read_socket(string(ws)?, keys);
        }
        if let Some(id) = keys.take("finish") {
            let expect = Expect::read(keys.need("response")?)?;
            return Ok(Self::Finish {
                id: string(id)?,
                expect,
                took: Took::read(keys)?,
            });
        }
        let request = Request::read(keys.need("request")?)?;
        if request.method.is_empty() {
            return Err("no method".to_owned());
        }
        if let Some(id) = keys.take("start") {
            return Ok(Self::Start {
                id: string(id)?,
                request,
            });
        }
        let expect = Expect::read(keys.need("response")?)?;
        Ok(Self::Ask {
            request,
            expect,
            took: Took::read(keys)?,
        })
    }

    fn read_socket(ws: String, keys: &mut Keys<'_>) -> Result<Self, String> {
        let within = keys.take("within_ms").map(number).transpose()?;
        let within_ms = within.unwrap_or(FRAME_WAIT_MS);
        let &[(key, value)] = &keys.0[..] else {
            return Err("not one thing to do on a socket".to_owned());
        };
        keys.0.clear();
        let waits = matches!(
            key,
            "ws_frame" | "ws_frames" | "ws_heartbeat" | "ws_pong" | "ws_closed"
        );
        if within.is_some() && !waits {
            return Err("a time limit on what does not wait".to_owned());
        }
        let send = |opcode, payload| Self::Send {
            ws: ws.clone(),
            opcode,
            payload,
        };
        Ok(match key {
            "ws_frame" => Self::Frame {
                ws,
                want: value.clone(),
                within_ms,
            },
            "ws_frames" => Self::Frames {
                ws,
                frames: Frames::read(value)?,
                within_ms,
            },
            "ws_quiet_ms" => Self::Quiet {
                ws,
                ms: number(value)?,
            },
            "ws_heartbeat" => {
                let within_ms = within.unwrap_or(HEARTBEAT_WAIT_MS);
                Self::Heartbeat { ws, within_ms }
            }
            "ws_send" => send(crate::websocket::TEXT, Payload::Text(string(value)?)),
            "ws_send_binary_hex" => {
                let bytes = data_encoding::HEXLOWER.decode(string(value)?.as_bytes());
                let bytes = bytes.map_err(|err| err.to_string())?;
                send(crate::websocket::BINARY, Payload::Bytes(bytes))
            }
            "ws_ping" => send(crate::websocket::PING, Payload::Text(string(value)?)),
            "ws_pong" => Self::Pong {
                ws,
                payload: string(value)?,
                within_ms,
            },
            "ws_close" => {
                let mut close = Keys::of(value)?;
                let act = Self::Close {
                    ws,
                    code: close.take("code").map_or(Ok(1000), code)?,
                    reason: close.take("reason").map_or(Ok(String::new()), string)?,
                };
                close.done()?;
                act
            }
            "ws_abort" => Self::Abort { ws },
            "ws_closed" => {
                let mut closed = Keys::of(value)?;
                let codes = match closed.take("codes") {
                    Some(codes) => list(codes)?.iter().map(code).collect::<Result<_, _>>()?,
                    None => vec![code(closed.need("code")?)?],
                };
                closed.done()?;
                Self::Closed {
                    ws,
                    codes,
                    within_ms,
                }
            }
            _ => return Err(format!("the format has no {key:?} on a socket")),
        })
    }
}

impl Took {
    fn read(keys: &mut Keys<'_>) -> Result<Self, String> {
        Ok(Self {
            min_ms: keys.take("min_ms").map(number).transpose()?,
            max_ms: keys.take("max_ms").map(number).transpose()?,
        })
    }
}

impl Frames {
    fn read(json: &Json) -> Result<Self, String> {
        let mut keys = Keys::of(json)?;
        let sequence = match keys.take("sequence") {
            Some(sequence) => {
                let mut keys = Keys::of(sequence)?;
                let path = list(keys.need("path")?)?.to_vec();
                let from = number(keys.need("from")?)?;
                keys.done()?;
                Some((path, from))
            }
            None => None,
        };
        let frames = Self {
            count: number(keys.need("count")?)? as usize,
            first: keys.take("first").cloned(),
            last: keys.take("last").cloned(),
            each: keys.take("each").cloned(),
            sequence,
        };
        keys.done()?;
        Ok(frames)
    }
}

impl Request {
    fn read(json: &Json) -> Result<Self, String> {
        let mut keys = Keys::of(json)?;
        let body = match (keys.take("body"), keys.take("raw_body")) {
            (Some(json), None) => Body::Json(json.clone()),
            (None, Some(raw)) => Body::Raw(string(raw)?),
            (None, None) => Body::None,
            (Some(_), Some(_)) => return Err("two bodies".to_owned()),
        };
        let request = Self {
            method: keys.take("method").map_or(Ok(String::new()), string)?,
            path: string(keys.need("path")?)?,
            headers: headers(keys.take("headers"))?,
            body,
        };
        keys.done()?;
        Ok(request)
    }
}

impl Expect {
    fn read(json: &Json) -> Result<Self, String> {
        let mut keys = Keys::of(json)?;
        keys.skip(&["observed_text"]);
        let codes = keys.take("accept_status").map_or(Ok(&[][..]), list)?;
        let texts = keys.take("text_contains").map_or(Ok(&[][..]), list)?;
        let jsonp = match keys.take("jsonp") {
            Some(jsonp) => {
                let mut keys = Keys::of(jsonp)?;
                let callback = string(keys.need("callback")?)?;
                let body = keys.need("body")?.clone();
                keys.done()?;
                Some((callback, body))
            }
            None => None,
        };
        let expect = Self {
            status: keys.take("status").map(code).transpose()?,
            accept_status: codes.iter().map(code).collect::<Result<_, _>>()?,
            headers: headers(keys.take("headers"))?,
            body: keys.take("body").cloned(),
            text_contains: texts.iter().map(string).collect::<Result<_, _>>()?,
            jsonp,
            save_cookies: keys.take("save_cookies").map(string).transpose()?,
        };
        keys.done()?;
        Ok(expect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(steps: &str) -> Result<Scenario, String> {
        Scenario::parse(
            &format!(r#"{{"name": "x", "steps": [{steps}]}}"#),
            "runrunru",
        )
    }

    #[test]
    fn run_is_replaced_everywhere_and_defaults_are_those_of_the_format() {
        let scenario = parse(r#"{"ws_frame": {"a-<run>": "<run>"}, "ws": "w-<run>"}"#);
        let scenario = scenario.expect("good");
        assert_eq!(
            (scenario.server.as_str(), scenario.contract),
            ("default", true)
        );
        let Act::Frame {
            ws,
            want,
            within_ms,
        } = &scenario.steps[0].act
        else {
            panic!("another step: {:?}", scenario.steps[0]);
        };
        assert_eq!((ws.as_str(), *within_ms), ("w-runrunru", 3000));
        assert_eq!(want.to_string(), r#"{"a-runrunru": "runrunru"}"#);
    }

    #[test]
    fn nothing_unknown_is_passed_over() {
        for steps in [
            r#"{"jump": 1}"#,
            r#"{"sleep_ms": "1"}"#,
            r#"{"sleep_ms": 1, "ws": "a"}"#,
            r#"{"ws_frame": 1}"#,
            r#"{"ws_frame": 1, "ws_quiet_ms": 1, "ws": "a"}"#,
            r#"{"ws_quiet_ms": 1, "within_ms": 1, "ws": "a"}"#,
            r#"{"ws_closed": {}, "ws": "a"}"#,
            r#"{"request": {"path": "/"}, "response": {}}"#,
            r#"{"request": {"method": "GET", "path": "/", "cookies": 1}, "response": {}}"#,
            r#"{"request": {"method": "GET", "path": "/"}, "response": {"text": "x"}}"#,
            r#"{"request": {"method": "GET", "path": "/"}}"#,
            r#"{"request": {"method": "GET", "path": "/", "body": 1, "raw_body": ""}, "response": {}}"#,
        ] {
            assert!(parse(steps).is_err(), "{steps}");
        }
    }
}
