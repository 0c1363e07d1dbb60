//! The description of the interface, asked for and believed: everything that it names is there,
//! and answers with what it says.

use crate::http::{self, Answer};
use crate::kept::{Kept, Manner};
use crate::memory::Memory;
use crate::session::{Cut, Link, Received, Sut};
use crate::signature;
use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::dialect::pusher::Pusher;
use fanwire::dialect::pusher::auth::Keys;
use fanwire::dialect::pusher::config::{App, Config as PusherConfig};
use fanwire::dialect::pushi::Pushi;
use fanwire::dialect::pushi::config::{App as PushiApp, Config as PushiConfig};
use fanwire::engine::{Engine, EngineConfig};
use fanwire::hub::AppId;
use fanwire::random::Random;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SECRET: &str = "of these tests";
/// An app of Pusher's, and what is signed with.
const KEY: &str = "key";
const APP_SECRET: &str = "of the app";
/// One of Pushi's, whose key has 64 digits.
const SHOP: &str = "shop";
const SHOP_SECRET: &str = "of-the-shop";

fn shop_key() -> String {
    "c0ffee00".repeat(8)
}

/// A client that keeps one connection, and dials anew when it was ended.
struct Client {
    memory: Memory<Kept>,
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
        let shop = AppId(2);
        let pushi = PushiConfig {
            apps: vec![PushiApp::new(shop, SHOP, &shop_key(), SHOP_SECRET)],
            open_registration: true,
            ..PushiConfig::default()
        };
        let dialects: Vec<Box<dyn Dialect>> = vec![
            Box::new(Pusher::new(pusher)),
            Box::new(Pushi::new(pushi)),
            Box::new(Channelstream::new(config)),
        ];
        let config = EngineConfig {
            stored_apps: vec![(shop, SHOP.to_owned())],
            ..EngineConfig::default()
        };
        let engine = Engine::new(config, dialects, Random::seeded(1));
        let kept = Kept::new(engine, &[SHOP], Manner::AtOnce);
        let mut memory = Memory::new(kept, SECRET, Cut::Whole);
        memory.with(Kept::open);
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
            // Those of the others are proved in another way.
            let is_others = ["pusher", "pushi"].map(|tag| json!([tag]));
            if verb == "servers" || is_others.contains(&operation["tags"]) {
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
fn everything_described_of_pushi_is_there_and_answers_as_described() {
    let mut client = Client::new();
    let document = client.document();
    let credentials = format!(
        "app_id={SHOP}&app_key={}&app_secret={SHOP_SECRET}",
        shop_key()
    );
    let login = client.ask("GET", &format!("/login?{credentials}"), &[], None);
    let token: Value = serde_json::from_slice(&login.expect("at once").body).expect("JSON");
    let sid = token["token"].as_str().expect("a text").to_owned();
    let good_session = format!("{credentials}&sid={sid}");
    let app_key = format!("app_key={}", shop_key());
    // With what any of them needs, and with some of it missing.
    let all = json!({
        "data": "d", "event": "news", "user_id": "u", "url": "http://h/", "token": "t",
        "email": "e", "endpoint": "http://p/", "p256dh": "p", "auth": "a", "adapters": "pigeon",
        "tokens": ["aa"], "message": "m", "to": "a", "subject": "s", "body": "b",
    });
    let mut named = all.clone();
    named["name"] = json!("new");
    let (all, named) = (all.to_string(), named.to_string());
    let bodies = [
        None,
        Some(&*all),
        Some(&*named),
        Some("{}"),
        Some("{"),
        Some("[1]"),
    ];
    let queries = [&*good_session, "sid=none", &app_key, ""];
    let (mut seen, mut good, mut bad) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (template, item) in document["paths"].as_object().expect("an object") {
        let verbs = item.as_object().expect("an object").iter();
        for (verb, operation) in verbs.filter(|(verb, _)| *verb != "servers") {
            // Whoever logs out is tried at the end.
            if operation["tags"] != json!(["pushi"]) || template == "/logout" {
                continue;
            }
            let id = operation["operationId"].as_str().expect("a name");
            let path = template
                .replace("{app_id}", SHOP)
                .replace("{user_id}", "u")
                .replace("{socket_id}", "none")
                .replace("{channel}", "news");
            let path = ["url", "token", "email", "endpoint"]
                .iter()
                .fold(path, |path, name| path.replace(&format!("{{{name}}}"), "x"));
            for (query, body) in queries
                .into_iter()
                .flat_map(|query| bodies.map(|body| (query, body)))
            {
                let target = format!("{path}?{query}");
                let answer = client.ask(&verb.to_uppercase(), &target, &[], body);
                let answer = answer.expect("at once");
                let said = http::lossy(&answer.body);
                let what = format!("{verb} {target} {body:?}: {} {said}", answer.status);
                assert!(names(&document, operation, &answer), "{what}");
                assert!(!said.contains("not handled"), "{what}");
                seen.insert(answer.status);
                let of_status = if answer.status == 200 {
                    &mut good
                } else {
                    &mut bad
                };
                of_status.insert(id.to_owned());
            }
        }
    }
    // Nothing is sent yet, and the app has no key for Web Push.
    let never = bad.difference(&good).map(String::as_str);
    let never: Vec<&str> = never.collect();
    assert_eq!(
        never,
        ["pushi_send_apn", "pushi_send_webhook", "pushi_vapid_key"]
    );
    assert!(good.len() > 35, "{good:?}");
    assert_eq!(seen, BTreeSet::from([200, 400, 403, 404, 501]));
    for (verb, operation) in document["paths"]["/logout"].as_object().expect("both") {
        if verb == "servers" {
            continue;
        }
        for query in [&*good_session, "sid=none", ""] {
            let target = format!("/logout?{query}");
            let answer = client.ask(&verb.to_uppercase(), &target, &[], None);
            let answer = answer.expect("at once");
            assert_eq!(answer.status, 200);
            assert!(names(&document, operation, &answer));
        }
    }
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
