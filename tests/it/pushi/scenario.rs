//! A transcript as it stands in its file. The format is described in
//! `tests/data/pushi/transcripts/README.md`; reading it is strict, so that nothing is passed over in
//! silence.

use crate::json::Json;
use crate::transcript::{Keys, code, list, number, string};

/// One file.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) apps: Vec<String>,
    pub(crate) logins: Vec<String>,
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
    /// Something with one of the clients.
    Client(String, OfClient),
    Ask {
        request: Box<Request>,
        expect: Box<Expect>,
        /// What the app in the answer is called from now on.
        create_app: Option<String>,
        retry_ms: u64,
    },
    /// The original stores in the background and is waited for.
    Wait,
}

/// What a step does with a client.
#[derive(Debug)]
pub(crate) enum OfClient {
    Connect {
        app: String,
        path: String,
    },
    Handshake {
        status: u16,
        headers: Vec<(String, Json)>,
    },
    Send(Json),
    Recv(Json),
    Silence {
        ms: u64,
    },
    /// The connection is dropped, or something better.
    Closed,
    Close {
        code: u16,
    },
}

/// A request, placeholders not filled in.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Body {
    None,
    Json(Json),
    Form(Vec<(String, String)>),
    /// As it is, though it is said to be JSON.
    Text(String),
}

/// What an answer must be like. What is absent is not compared.
#[derive(Debug)]
pub(crate) struct Expect {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Json)>,
    pub(crate) json: Option<Json>,
    pub(crate) text: Option<Json>,
    pub(crate) or_better: Option<Better>,
}

/// What is as good or better.
#[derive(Debug)]
pub(crate) struct Better {
    pub(crate) statuses: Vec<u16>,
    /// None: an error in the protocol's own words, if the status is one.
    pub(crate) json: Option<Json>,
}

impl Scenario {
    /// Reads a file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let json = Json::parse(text)?;
        let mut keys = Keys::of(&json)?;
        keys.skip(&["name", "title", "notes", "recorded", "verified"]);
        keys.skip(&["since", "until"]);
        let mut setup = Keys::of(keys.need("setup")?)?;
        let scenario = Self {
            apps: strings(setup.need("apps")?)?,
            logins: strings(setup.need("login")?)?,
            steps: list(keys.need("steps")?)?
                .iter()
                .map(Step::read)
                .collect::<Result<_, _>>()?,
        };
        setup.done()?;
        keys.done()?;
        Ok(scenario)
    }
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
        if let Some(ms) = keys.take("wait_ms") {
            return number(ms).map(|_| Self::Wait);
        }
        if let Some(client) = keys.take("client") {
            return Ok(Self::Client(string(client)?, OfClient::read(keys)?));
        }
        Ok(Self::Ask {
            request: Box::new(Request::read(keys.need("request")?)?),
            expect: Box::new(Expect::read(keys.need("response")?)?),
            create_app: keys.take("create_app").map(string).transpose()?,
            retry_ms: keys.take("retry_ms").map_or(Ok(0), number)?,
        })
    }
}

impl OfClient {
    fn read(keys: &mut Keys<'_>) -> Result<Self, String> {
        if let Some(json) = keys.take("connect") {
            let mut of = Keys::of(json)?;
            let connect = Self::Connect {
                app: string(of.need("app")?)?,
                path: string(of.need("path")?)?,
            };
            of.done()?;
            return Ok(connect);
        }
        if let Some(json) = keys.take("handshake") {
            let mut of = Keys::of(json)?;
            let handshake = Self::Handshake {
                status: code(of.need("status")?)?,
                headers: members(of.take("headers"))?,
            };
            of.done()?;
            return Ok(handshake);
        }
        if let Some(json) = keys.take("send") {
            return Ok(Self::Send(json.clone()));
        }
        if let Some(json) = keys.take("recv") {
            return Ok(Self::Recv(json.clone()));
        }
        if let Some(ms) = keys.take("silence_ms") {
            return Ok(Self::Silence { ms: number(ms)? });
        }
        if let Some(json) = keys.take("close") {
            return Ok(Self::Close { code: code(json)? });
        }
        let is_closed = keys.need("closed")? == &Json::Bool(true);
        let better = keys.need("or_better")?.text() == Some("error_event");
        match is_closed && better {
            true => Ok(Self::Closed),
            false => Err("another end than the format has".to_owned()),
        }
    }
}

impl Request {
    fn read(json: &Json) -> Result<Self, String> {
        let mut keys = Keys::of(json)?;
        let (json, form, text) = (keys.take("json"), keys.take("form"), keys.take("text"));
        let body = match (json, form, text) {
            (None, None, None) => Body::None,
            (Some(json), None, None) => Body::Json(json.clone()),
            (None, Some(form), None) => Body::Form(texts(Some(form))?),
            (None, None, Some(text)) => Body::Text(string(text)?),
            _ => return Err("two bodies".to_owned()),
        };
        let request = Self {
            method: string(keys.need("method")?)?,
            path: string(keys.need("path")?)?,
            query: texts(keys.take("query"))?,
            headers: texts(keys.take("headers"))?,
            body,
        };
        keys.done()?;
        Ok(request)
    }
}

impl Expect {
    fn read(json: &Json) -> Result<Self, String> {
        let mut keys = Keys::of(json)?;
        let expect = Self {
            status: code(keys.need("status")?)?,
            headers: members(keys.take("headers"))?,
            json: keys.take("json").cloned(),
            text: keys.take("text").cloned(),
            or_better: keys.take("or_better").map(Better::read).transpose()?,
        };
        keys.done()?;
        Ok(expect)
    }
}

impl Better {
    fn read(json: &Json) -> Result<Self, String> {
        let mut keys = Keys::of(json)?;
        let statuses = keys.need("status")?;
        let better = Self {
            statuses: match statuses.items() {
                Some(items) => items.iter().map(code).collect::<Result<_, _>>()?,
                None => vec![code(statuses)?],
            },
            json: keys.take("json").cloned(),
        };
        keys.done()?;
        Ok(better)
    }
}

fn strings(json: &Json) -> Result<Vec<String>, String> {
    list(json)?.iter().map(string).collect()
}

fn members(json: Option<&Json>) -> Result<Vec<(String, Json)>, String> {
    let Some(json) = json else {
        return Ok(Vec::new());
    };
    let members = json.members();
    let members = members.ok_or_else(|| format!("not an object: {json}"))?;
    Ok(members.to_vec())
}

/// Members that are texts, or numbers as they are written.
fn texts(json: Option<&Json>) -> Result<Vec<(String, String)>, String> {
    let text = |(name, value): (String, Json)| match value {
        Json::Number(digits) => Ok((name, digits)),
        value => Ok((name, string(&value)?)),
    };
    members(json)?.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(step: &str) -> Result<Scenario, String> {
        let setup = r#"{"apps": ["main"], "login": []}"#;
        Scenario::parse(&format!(
            r#"{{"name": "x", "setup": {setup}, "steps": [{step}]}}"#
        ))
    }

    #[test]
    fn nothing_unknown_is_passed_over() {
        let ask = |request: &str, response: &str| {
            format!(r#"{{"request": {request}, "response": {response}}}"#)
        };
        let get = r#"{"method": "GET", "path": "/", "query": {"n": 5}}"#;
        assert!(parse(&ask(get, r#"{"status": 200}"#)).is_ok());
        assert!(parse(r#"{"client": "a", "silence_ms": 3, "note": "n"}"#).is_ok());
        for step in [
            r#"{"jump": 1}"#,
            r#"{"client": "a"}"#,
            r#"{"client": "a", "jump": 1}"#,
            r#"{"client": "a", "silence_ms": 3, "close": 1000}"#,
            r#"{"client": "a", "closed": true}"#,
            r#"{"client": "a", "closed": false, "or_better": "error_event"}"#,
            r#"{"client": "a", "closed": true, "or_better": "silence"}"#,
            r#"{"client": "a", "connect": {"path": "/"}}"#,
            r#"{"wait_ms": "1"}"#,
            &ask(get, r#"{"json": {}}"#),
            &ask(get, r#"{"status": 200, "body": {}}"#),
            &ask(get, r#"{"status": 200, "or_better": {}}"#),
            &ask(r#"{"method": "GET"}"#, r#"{"status": 200}"#),
            &ask(
                r#"{"method": "GET", "path": "/", "json": {}, "text": ""}"#,
                r#"{"status": 200}"#,
            ),
        ] {
            assert!(parse(step).is_err(), "{step}");
        }
    }
}
