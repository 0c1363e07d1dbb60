//! The description of the interface, asked for and believed: everything that it names is there,
//! and answers with what it says.

use crate::http::{self, Answer};
use crate::memory::Memory;
use crate::session::{Cut, Link, Received, Sut};
use crate::signature;
use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::dialect::pusher::Pusher;
use fanwire::dialect::pusher::auth::Keys;
use fanwire::dialect::pusher::config::{App, Config as PusherConfig};
use fanwire::engine::{Engine, EngineConfig};
use fanwire::hub::AppId;
use fanwire::random::Random;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SECRET: &str = "of these tests";
/// An app of Pusher's, and what is signed with.
const KEY: &str = "key";
const APP_SECRET: &str = "of the app";

/// A client that keeps one connection, and dials anew when it was ended.
struct Client {
    memory: Memory<Engine>,
    link: Link,
    bytes: Vec<u8>,
}

impl Client {
    fn new() -> Self {
        let config = Config {
            secret: SECRET.to_owned(),
            ..Config::default()
        };
        let pusher = PusherConfig {
            apps: vec![App::new(AppId(1), "1", KEY, APP_SECRET)],
            ..PusherConfig::default()
        };
        let dialects: Vec<Box<dyn Dialect>> = vec![
            Box::new(Pusher::new(pusher)),
            Box::new(Channelstream::new(config)),
        ];
        let engine = Engine::new(EngineConfig::default(), dialects, Random::seeded(1));
        let mut memory = Memory::new(engine, SECRET, Cut::Whole);
        let link = memory.dial();
        Self {
            memory,
            link,
            bytes: Vec::new(),
        }
    }

    fn signature(&self) -> (String, String) {
        let at = self.memory.unix_seconds();
        let signed = signature::sign(SECRET, "channelstream", at);
        ("X-Channelstream-Secret".to_owned(), signed)
    }

    /// The query that an application of Pusher's signs.
    fn query(&self, method: &str, path: &str, params: &[(&str, &str)], body: &str) -> String {
        let at = self.memory.unix_seconds();
        Keys::new(KEY, APP_SECRET).sign_request(method, path, params, body.as_bytes(), at)
    }

    /// The answer to a request that asks for JSON; `None` if it takes longer than a moment.
    fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Option<&str>,
    ) -> Option<Answer> {
        let accept = ("Accept".to_owned(), "application/json".to_owned());
        let headers = [headers, &[accept]].concat();
        let body = body.map(str::as_bytes);
        let request = http::request(method, path, "localhost", &headers, body);
        self.memory.send(self.link, &request);
        let until = self.memory.now_ms();
        loop {
            let read = http::answer(&self.bytes, method == "HEAD", false).expect("in order");
            if let Some((answer, length)) = read {
                self.bytes.drain(..length);
                return Some(answer);
            }
            match self.memory.receive(self.link, until) {
                Received::Bytes { bytes, .. } => self.bytes.extend(bytes),
                Received::Ended { .. } => panic!("{method} {path}: ended without an answer"),
                Received::Nothing => {
                    self.link = self.memory.dial();
                    self.bytes.clear();
                    return None;
                }
            }
        }
    }

    fn document(&mut self) -> Value {
        let signed = [self.signature()];
        let answer = self.ask("GET", "/openapi.json", &signed, None);
        let answer = answer.expect("at once");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        serde_json::from_slice(&answer.body).expect("JSON")
    }
}

#[test]
fn the_document_is_for_those_who_sign() {
    let mut client = Client::new();
    let answer = client
        .ask("GET", "/openapi.json", &[], None)
        .expect("at once");
    assert_eq!(answer.status, 403);
    let forged = [("X-Channelstream-Secret".to_owned(), "a.b.c".to_owned())];
    let answer = client.ask("GET", "/openapi.json", &forged, None);
    assert_eq!(answer.expect("at once").status, 401);
    assert_eq!(client.document()["openapi"], "3.1.1");
}

/// Whether the description of an endpoint names this status and this type of content.
fn names(document: &Value, operation: &Value, answer: &Answer) -> bool {
    let Some(mut described) = operation["responses"].get(answer.status.to_string()) else {
        return false;
    };
    if let Some(reference) = described["$ref"].as_str() {
        described = document
            .pointer(reference.trim_start_matches('#'))
            .expect("it leads somewhere");
    }
    let content = answer.header("content-type").unwrap_or_default();
    let content = content.split(';').next().unwrap_or_default();
    content.is_empty() || described["content"].get(content).is_some()
}

#[test]
fn everything_described_is_there_and_answers_as_described() {
    let mut client = Client::new();
    let document = client.document();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().expect("an object") {
        for (verb, operation) in item.as_object().expect("an object") {
            // Those of Pusher have signatures of another kind.
            if verb == "servers" || operation["tags"] == json!(["pusher"]) {
                continue;
            }
            count += 1;
            let method = verb.to_uppercase();
            let signed = [client.signature()];
            let forged = [("X-Channelstream-Secret".to_owned(), "a.b.c".to_owned())];
            let id = "?conn_id=f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
            for target in [
                path.clone(),
                format!("{path}?conn_id=7"),
                format!("{path}{id}"),
            ] {
                for headers in [&[][..], &signed, &forged] {
                    for body in [None, Some(""), Some("{}"), Some("[{}]"), Some("{")] {
                        let Some(answer) = client.ask(&method, &target, headers, body) else {
                            continue;
                        };
                        assert_ne!(answer.status, 404, "{method} {target}");
                        assert!(
                            names(&document, operation, &answer),
                            "{method} {target} {body:?}: {} {}",
                            answer.status,
                            http::lossy(&answer.body)
                        );
                    }
                }
            }
        }
    }
    assert!(count > 15, "{count}");
}

#[test]
fn everything_described_of_pusher_is_there_and_answers_as_described() {
    let mut client = Client::new();
    let document = client.document();
    let event =
        r#"{"name":"a","data":"b","channels":["presence-a","cache-b"],"info":"user_count"}"#;
    let batch = r#"{"batch":[{"name":"a","data":"b","channel":"a","info":"subscription_count"}]}"#;
    let large = json!({"name": "a", "data": "x".repeat(10_241), "channel": "a"}).to_string();
    let bodies = ["", event, batch, &large, "{}", "[{}]", "{"];
    let mut seen = BTreeSet::new();
    let mut good = BTreeSet::new();
    for (template, item) in document["paths"].as_object().expect("an object") {
        let verbs = item.as_object().expect("an object").iter();
        for (verb, operation) in verbs.filter(|(verb, _)| *verb != "servers") {
            if operation["tags"] != json!(["pusher"]) {
                continue;
            }
            let id = operation["operationId"].as_str().expect("a name");
            for (app, channel) in [("1", "presence-a"), ("1", "%23"), ("2", "presence-a")] {
                let path = template
                    .replace("{app_id}", app)
                    .replace("{channel_name}", channel)
                    .replace("{user_id}", "u");
                let infos: [&[(&str, &str)]; 3] =
                    [&[], &[("info", "user_count")], &[("info", "cache")]];
                for (method, info, body) in ["GET", "HEAD", "POST", "PUT"]
                    .into_iter()
                    .flat_map(|method| infos.map(|info| (method, info)))
                    .flat_map(|(method, info)| bodies.map(|body| (method, info, body)))
                {
                    let signed = client.query(method, &path, info, body);
                    for query in [&signed, &signed.replace("auth_key=", "auth_key=x"), "a=1"] {
                        let target = format!("{path}?{query}");
                        let body = (!body.is_empty()).then_some(body);
                        let answer = client.ask(method, &target, &[], body).expect("at once");
                        let status = answer.status;
                        assert!(
                            names(&document, operation, &answer),
                            "{method} {target} {body:?}: {status} {}",
                            http::lossy(&answer.body)
                        );
                        if method == verb.to_uppercase() {
                            assert_ne!(status, 405, "{method} {target}");
                        }
                        seen.insert(status);
                        if status == 200 {
                            good.insert(id.to_owned());
                        }
                    }
                }
            }
        }
    }
    assert_eq!(good.len(), 8, "{good:?}");
    assert_eq!(seen, BTreeSet::from([200, 400, 401, 404, 405, 413]));
}

#[test]
fn a_proxy_in_front_is_where_callers_find_it() {
    let mut client = Client::new();
    let prefix = ("X-Script-Name".to_owned(), "/push".to_owned());
    let headers = [client.signature(), prefix];
    let answer = client.ask("GET", "/push/openapi.json", &headers, None);
    let answer = answer.expect("at once");
    assert_eq!(answer.status, 200);
    let document: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(document["servers"], json!([{"url": "/push"}]));
}
