//! Everything that can be asked for with GET, cut in two at each of its places and byte by byte:
//! the answer is the same as to the whole request. The transcripts do so for what the original
//! has; here is what it has not, and what they ask for only as strangers.

use crate::http::{self, Answer};
use crate::memory::Memory;
use crate::session::{Cut, Received, Sut};
use crate::signature;
use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::engine::{Engine, EngineConfig};
use fanwire::random::Random;

const SECRET: &str = "of these tests";
const ID: &str = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

/// What is asked for, and the status of the answer to whom nobody knows and to an admin.
const GETS: &[(&str, u16, u16)] = &[
    ("/health/live", 200, 200),
    ("/health/ready", 200, 200),
    ("/metrics", 401, 200),
    ("/info", 403, 403),
    (
        "/disconnect?conn_id=f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        200,
        200,
    ),
    (
        "/listen?conn_id=00000000-0000-4000-8000-000000000000",
        401,
        401,
    ),
    ("/openapi.json", 403, 200),
    ("/api-explorer", 302, 200),
    ("/static/channelstream/channelstream.js", 200, 200),
    ("/static/channelstream/index.js", 200, 200),
    ("/admin", 302, 200),
    ("/admin/sign_in", 200, 200),
    ("/admin/sign_out", 302, 302),
    ("/admin/debug", 302, 200),
    ("/admin/admin.json", 302, 200),
    ("/admin/page.js", 200, 200),
    ("/admin/page.css", 200, 200),
    ("/admin/api/session", 401, 200),
    ("/admin/api/overview", 401, 200),
    ("/admin/api/channels", 401, 200),
    ("/admin/api/channels?search=a&limit=1", 401, 200),
    ("/admin/api/channel?name=a", 401, 200),
    ("/admin/api/channel?name=a&after=0", 401, 200),
    ("/admin/api/channel?name=nobody%27s", 401, 404),
    ("/admin/api/users", 401, 200),
    ("/admin/api/connections", 401, 200),
    ("/admin/api/connections/close", 404, 404),
];

/// An engine with somebody in it, and an admin's cookie.
struct Stage {
    memory: Memory<Engine>,
    cookie: String,
}

impl Stage {
    fn new(cut: Cut) -> Self {
        let config = Config {
            secret: SECRET.to_owned(),
            admin_secret: "let me in".to_owned(),
            ..Config::default()
        };
        let dialect: Box<dyn Dialect> = Box::new(Channelstream::new(config));
        let engine = Engine::new(EngineConfig::default(), vec![dialect], Random::seeded(1));
        let mut memory = Memory::new(engine, SECRET, Cut::Whole);
        let signed = signature::sign(SECRET, "channelstream", memory.unix_seconds());
        let signed = [("X-Channelstream-Secret".to_owned(), signed)];
        let connect = format!(
            r#"{{"username":"ann","conn_id":"{ID}","channels":["a","b"],
               "channel_configs":{{"a":{{"store_history":true}}}},"user_state":{{"k":"v"}}}}"#
        );
        let message = r#"[{"user":"ann","channel":"a","message":{"text":"tü"}}]"#;
        for (path, body) in [("/connect", &*connect), ("/message", message)] {
            let answer = ask(&mut memory, "POST", path, &signed, Some(body));
            assert_eq!(answer.status, 200, "{}", http::lossy(&answer.body));
        }
        let body = Some("username=admin&password=let+me+in");
        let answer = ask(&mut memory, "POST", "/admin/sign_in", &[], body);
        let cookie = answer.header("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("its value").to_owned();
        memory.cut(cut);
        Self { memory, cookie }
    }

    fn get(&mut self, path: &str, as_admin: bool) -> Answer {
        let cookie = [("Cookie".to_owned(), self.cookie.clone())];
        let headers = if as_admin { &cookie[..] } else { &[] };
        ask(&mut self.memory, "GET", path, headers, None)
    }
}

fn ask(
    memory: &mut Memory<Engine>,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Option<&str>,
) -> Answer {
    let request = http::request(
        method,
        path,
        "push.example",
        headers,
        body.map(str::as_bytes),
    );
    let link = memory.dial();
    memory.send(link, &request);
    let (mut bytes, until) = (Vec::new(), memory.now_ms() + 1_000);
    loop {
        match memory.receive(link, until) {
            Received::Bytes { bytes: more, .. } => bytes.extend(more),
            Received::Ended { .. } | Received::Nothing => {
                panic!("no answer to {path}: {}", http::lossy(&bytes))
            }
        }
        if let Some((answer, length)) = http::answer(&bytes, false, false).expect("in order") {
            assert_eq!(length, bytes.len(), "one answer, and nothing behind it");
            memory.close(link);
            return answer;
        }
    }
}

/// An answer without its times: pieces come later than the whole.
fn timeless(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut text = String::from_utf8(answer.body.clone()).expect("all of it is text");
    for name in ["\"now_ms\":", "\"age_ms\":", "\"heard_ms_ago\":"] {
        let parts = text.split(name).enumerate();
        let parts = parts.map(|(at, part)| match at {
            0 => part,
            _ => part.trim_start_matches(|char: char| char.is_ascii_digit()),
        });
        text = parts.collect::<Vec<_>>().join(name);
    }
    let headers = answer.headers.iter();
    let headers = headers.filter(|(name, _)| {
        // Its length has the digits of those times in it.
        !name.eq_ignore_ascii_case("content-length") || text.len() == answer.body.len()
    });
    (answer.status, headers.cloned().collect(), text)
}

fn check(path: &str, as_admin: bool, status: u16) {
    let whole = Stage::new(Cut::Whole).get(path, as_admin);
    assert_eq!(whole.status, status, "{path}: {}", http::lossy(&whole.body));
    let expected = timeless(&whole);
    let length = http::request("GET", path, "push.example", &[], None).len();
    // The cookie, of which each place is like the other, is cut at every seventh.
    let cuts = (1..length).map(Cut::At);
    let in_cookie = (length..length + 160).step_by(7).map(Cut::At);
    for cut in cuts.chain(in_cookie).chain([Cut::Bytewise]) {
        let answer = Stage::new(cut).get(path, as_admin);
        assert_eq!(timeless(&answer), expected, "{path} {cut:?}");
    }
}

#[test]
fn whoever_is_nobody_gets_the_same_in_every_split() {
    for &(path, status, _) in GETS {
        check(path, false, status);
    }
}

#[test]
fn an_admin_gets_the_same_in_every_split() {
    for &(path, _, status) in GETS {
        check(path, true, status);
    }
}

#[test]
fn what_the_admin_gets_says_something() {
    let mut stage = Stage::new(Cut::Bytewise);
    for (path, words) in [
        ("/admin/admin.json", "\"total_unique_messages\":1"),
        ("/admin/api/channels", "\"name\":\"b\""),
        ("/admin/api/channel?name=a", "tü"),
        ("/admin/api/users", ID),
        ("/admin/api/connections", "\"asking\":true"),
        ("/admin/api/overview", "\"published\":1"),
        ("/metrics", "fanwire_"),
    ] {
        let answer = stage.get(path, true);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains(words), "{path} says {words}: {text}");
    }
}
