//! A small mutation fuzzer on stable Rust: every decoder's fuzz entry, driven by seeded mutations
//! of hand-written inputs, in seconds. The same entries are `cargo fuzz` targets under `fuzz/`.
//!
//! ```text
//! cargo test --test fuzz -- --nocapture                      # prints executions per target
//! FANWIRE_FUZZ_EXECUTIONS=5000000 cargo test --release --test fuzz
//! FANWIRE_FUZZ_SEED=7 cargo test --test fuzz http            # one run again
//! FANWIRE_FUZZ_INPUT=474554 cargo test --test fuzz http      # one input again
//! ```
//!
//! It knows nothing of coverage. What makes up for it is that the seeds reach far into each
//! grammar, that each target has a list of its words, and that mutants are mutated again.

#![allow(clippy::print_stdout, reason = "the count of executions is the result")]

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Executions per target when nothing is said: a few seconds without optimization.
const EXECUTIONS: u64 = 20_000;
/// The seed when nothing is said.
const SEED: u64 = 0x5eed;
/// Mutants that are mutated again, beside the seeds.
const MUTANTS_KEPT: usize = 64;
/// Longer inputs are cut: small ones find the same faults sooner.
const INPUT_BYTES_MAX: usize = 4096;

/// A small generator, xorshift and multiplied: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// Zero up to, not including, `end`; zero for zero.
    fn below(&mut self, end: usize) -> usize {
        (self.throw() % (end.max(1) as u64)) as usize
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// What is fuzzed, with what.
struct Target {
    name: &'static str,
    run: fn(&[u8]),
    seeds: Vec<Vec<u8>>,
    /// Words of its grammar, to be put in anywhere.
    words: &'static [&'static [u8]],
}

/// Bytes and numbers at which decoders change their mind.
const NUMBERS: &[&[u8]] = &[
    &[0],
    &[0x7d],
    &[0x7e],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0xff, 0xff],
    &[0x7f, 0xff],
    &[0, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    b"0",
    b"-1",
    b"+5",
    b"127",
    b"65535",
    b"65536",
    b"4294967296",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551616",
    b"1e999",
    &[0xc0, 0x80],
    &[0xed, 0xa0, 0x80],
    &[0xf4, 0x90, 0x80, 0x80],
];

/// One mutation of `input`; `other` is another input to take a piece from.
fn mutate(input: &mut Vec<u8>, other: &[u8], words: &[&[u8]], dice: &mut Dice) {
    let at = dice.below(input.len() + 1);
    let rest = input.len() - at;
    match dice.below(10) {
        0 if rest > 0 => input[at] ^= 1 << dice.below(8),
        1 if rest > 0 => input[at] = dice.throw() as u8,
        2 => input.insert(at, dice.throw() as u8),
        3 if rest > 0 => {
            let count = 1 + dice.below(rest.min(8));
            input.drain(at..at + count);
        }
        4 => {
            let from = dice.below(other.len() + 1);
            let count = dice.below(other.len() - from + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..from + count]);
        }
        5 => {
            let count = dice.below(rest.min(64) + 1);
            let piece = input[at..at + count].to_vec();
            for _ in 0..1 + dice.below(16) {
                input.splice(at..at, piece.iter().copied());
            }
        }
        6 | 7 => {
            let list = if dice.below(2) == 0 { NUMBERS } else { words };
            if let Some(word) = list.get(dice.below(list.len())) {
                let over = if dice.below(2) == 0 { word.len() } else { 0 };
                let end = (at + over).min(input.len());
                input.splice(at..end, word.iter().copied());
            }
        }
        8 => input.truncate(at),
        _ if rest > 1 => {
            let with = at + dice.below(rest);
            input.swap(at, with);
        }
        _ => {}
    }
    input.truncate(INPUT_BYTES_MAX);
}

/// An input that made a target panic.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    input: Vec<u8>,
    executions: u64,
}

/// Runs all seeds, then mutants, until `executions` are made or one panics.
fn fuzz(target: &Target, seed: u64, executions: u64) -> Result<u64, Failure> {
    let mut dice = Dice::new(seed);
    let mut pool = target.seeds.clone();
    let mut made = 0;
    let mut execute = |input: &[u8]| {
        made += 1;
        match catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
            Ok(()) => Ok(made),
            Err(_) => Err(Failure {
                input: input.to_vec(),
                executions: made,
            }),
        }
    };
    for input in &target.seeds {
        execute(input)?;
    }
    loop {
        let mut input = dice.pick(&pool).clone();
        // Mostly few mutations: what is far from any seed is refused at its first byte.
        for _ in 0..1 + dice.below(6) * dice.below(2) {
            let other = dice.pick(&pool).clone();
            mutate(&mut input, &other, target.words, &mut dice);
        }
        let made = execute(&input)?;
        if made >= executions {
            return Ok(made);
        }
        if dice.below(8) == 0 {
            let kept = target.seeds.len();
            if pool.len() < kept + MUTANTS_KEPT {
                pool.push(input);
            } else {
                pool[kept + dice.below(MUTANTS_KEPT)] = input;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |place| u8::from_str_radix(&text[place..place + 2], 16).expect("hex digits");
    (0..text.len() / 2).map(|byte| digit(2 * byte)).collect()
}

/// A number from the environment, decimal or with `0x`.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some(parsed.unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}

fn check(target: &Target) {
    if let Ok(input) = env::var("FANWIRE_FUZZ_INPUT") {
        (target.run)(&unhex(&input));
        println!("fuzz {}: one execution, as asked for", target.name);
        return;
    }
    let seed = number("FANWIRE_FUZZ_SEED").unwrap_or(SEED);
    let executions = number("FANWIRE_FUZZ_EXECUTIONS").unwrap_or(EXECUTIONS);
    let watch = Watch::start();
    match fuzz(target, seed, executions) {
        Ok(made) => {
            let (name, took) = (target.name, watch.elapsed());
            println!("fuzz {name}: {made} executions, seed {seed:#x}, {took:.1?}");
        }
        Err(failure) => panic!(
            "fuzz {0}: panicked at execution {1} of seed {seed:#x} with {2} bytes\n  input: {3}\n  \
             this input again: FANWIRE_FUZZ_INPUT={3} cargo test --test fuzz {0}\n  \
             this run again:   FANWIRE_FUZZ_SEED={seed:#x} FANWIRE_FUZZ_EXECUTIONS={4} \
             cargo test --test fuzz {0}",
            target.name,
            failure.executions,
            failure.input.len(),
            hex(&failure.input),
            executions,
        ),
    }
}

/// How long a target took, to be printed and nothing else.
struct Watch(std::time::Instant);

impl Watch {
    #[allow(
        clippy::disallowed_methods,
        reason = "a test that says how long it took"
    )]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

fn with_prefix(prefix: &[u8], streams: &[&[u8]]) -> Vec<Vec<u8>> {
    let join = |stream: &&[u8]| [prefix, stream].concat();
    streams.iter().map(join).collect()
}

// ---- targets ---------------------------------------------------------------------------------

#[test]
fn http() {
    let streams: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /ws?conn_id=1 HTTP/1.1\r\nHost: a:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x80abcd",
        b"POST /message HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n[1]GET / HTTP/1.0\r\n\r\n",
        b"POST /a%20b/../c HTTP/1.1\r\nhost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n\
          3;x=y\r\nabc\r\n0\r\nTrailer: 1\r\n\r\nHEAD * HTTP/1.1\r\nHost: b\r\n\r\n",
        b"PUT http://a.example/x?y#z HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\n\
          Content-Length: 10\r\n\r\n0123456789",
        b"\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept: */*\r\n\r\n",
        b"POST /abc HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        b"POST /2345678 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /2345678 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    let mut seeds = with_prefix(&[0, 7, 9, 0], streams);
    seeds.extend(with_prefix(&[0x31, 3, 2, 0], streams));
    // The same for a caller that turns some requests away at their head and limits others.
    seeds.extend(with_prefix(&[0, 7, 9, 1], streams));
    seeds.extend(with_prefix(&[0x31, 3, 2, 1], streams));
    check(&Target {
        name: "http",
        run: fanwire::transport::http::fuzz::fuzz,
        seeds,
        words: &[
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b": ",
            b"Content-Length: ",
            b"Transfer-Encoding: chunked\r\n",
            b"chunked",
            b"Host: a\r\n",
            b"Expect: 100-continue\r\n",
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"GET / ",
            b"POST ",
            b"0\r\n\r\n",
            b"ffffffffffffffff\r\n",
            b"%00",
            b"%2e%2e/",
            b"?a=b&c=d",
            b"Connection: keep-alive\r\n",
            b"\t",
        ],
    });
}

/// A client's frame with the mask `abcd`.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        long => {
            bytes.push(0xfe);
            bytes.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(b"abcd");
    let masked = payload.iter().zip(b"abcd".iter().cycle());
    bytes.extend(masked.map(|(byte, key)| byte ^ key));
    bytes
}

#[test]
fn websocket() {
    let long = "x".repeat(200);
    let streams = [
        frame(0x81, b"hello"),
        frame(0x81, "zażółć \u{1f600}".as_bytes()),
        frame(0x81, long.as_bytes()),
        frame(0x82, &[0, 255, 128]),
        [
            frame(0x01, b"a"),
            frame(0x00, b"b"),
            frame(0x89, b"ping"),
            frame(0x80, b"c"),
        ]
        .concat(),
        [frame(0x8a, b""), frame(0x89, &[b'p'; 125])].concat(),
        [frame(0x81, b"[]"), frame(0x88, b"\x03\xe8bye")].concat(),
        frame(0x88, b""),
        vec![0x81, 0x05, b'a', b'b', b'c', b'd', b'e'],
        vec![0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4],
    ];
    let streams: Vec<&[u8]> = streams.iter().map(Vec::as_slice).collect();
    let mut seeds = with_prefix(&[255, 255, 3], &streams);
    seeds.extend(with_prefix(&[1, 2, 9], &streams));
    check(&Target {
        name: "websocket",
        run: fanwire::transport::websocket::fuzz::fuzz,
        seeds,
        words: &[
            b"\x81\x80abcd",
            b"\x01\x81abcd\x00",
            b"\x00\x80abcd",
            b"\x80\x80abcd",
            b"\x88\x82abcd",
            b"\x89\x80abcd",
            b"\x81\xfe\x00\x7eabcd",
            b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00abcd",
            b"\xc1",
            b"\x83",
        ],
    });
}

const JSON_WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"null",
    b"true",
    b"\\u0000",
    b"\\ud800",
    b"\"channel\":",
    b"\"channels\":",
    b"\"username\":",
    b"\"user\":",
    b"\"conn_id\":",
    b"\"message\":{}",
    b"\"pm_users\":[\"a\"]",
    b"\"exclude_users\":",
    b"\"timestamp\":",
    b"\"2020-02-30T25:61:61.1234567+99:99\"",
    b"\"channel_configs\":{\"a\":{\"history_size\":1}}",
    b"\"00000000-0000-4000-8000-000000000000\"",
    b"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
];

#[test]
fn json() {
    let seeds: &[&[u8]] = &[
        br#"{"username":"a","conn_id":"00000000-0000-4000-8000-000000000001","channels":["a","b"],
           "fresh_user_state":{"k":1},"user_state":{"k":null},"state_public_keys":["k"],
           "channel_configs":{"a":{"notify_presence":true,"store_history":true,"history_size":20}},
           "info":{"include_history":true,"exclude_channels":["b"]}}"#,
        br#"{"conn_id":"00000000000040008000000000000002","channels":["a"],"channel_configs":{}}"#,
        br#"{"info":{"channels":["a"],"include_users":false,"return_public_state":true}}"#,
        br#"[{"type":"message","user":"a","channel":"c","message":{"text":"\u00e9"},"no_history":true},
           {"uuid":"00000000-0000-4000-8000-000000000003","user":"b","pm_users":["x","y"],
           "exclude_users":["z"],"timestamp":"2020-01-02T03:04:05.678901+02:00","message":{}}]"#,
        br#"[{"uuid":"00000000-0000-4000-8000-000000000003","channel":"c","edited":"2020-01-02T03:04:05",
           "message":{"a":[1,2.5e3,"x"]}}]"#,
        br#"[{"uuid":"00000000-0000-4000-8000-000000000003","channel":"c"}]"#,
        br#"[{"uuid":"00000000-0000-4000-8000-000000000003","channel":null,"pm_users":["x","x"],
           "exclude_users":["y"],"no_history":"T","user":"b","timestamp":"2020-01-02 03:04Z"}]"#,
        br#"{"user":"b","user_state":{"k":null,"l":1.0,"m":-0},"state_public_keys":null}"#,
        br#"{"":null,"c":{"history_size":"5","notify_state":1,"store_history":"true"}}"#,
        br#"{"user":"a","user_state":{"bar":1,"xyz":"\"\\"},"state_public_keys":["bar"]}"#,
        br#"{"c":{"notify_presence":true,"broadcast_presence_with_user_lists":true,"store_frames":false}}"#,
        b"[]",
        b"\"\"",
    ];
    check(&Target {
        name: "json",
        run: fanwire::dialect::channelstream::fuzz::fuzz_json,
        seeds: seeds.iter().map(|seed| seed.to_vec()).collect(),
        words: JSON_WORDS,
    });
}

#[test]
fn sign() {
    let seeds: &[&[u8]] = &[
        b"channelstream.X14QAA.QLT3kgcJYg14C3PAy4wtyg5uGgI",
        b"/message.X14QAA.AAAAAAAAAAAAAAAAAAAAAAAAAAA",
        b"00000000-0000-4000-8000-000000000001",
        b"{00000000000040008000000000000001}",
        b"2020-01-02T03:04:05.678901+02:00",
        b"1600000000.5",
        b"conn_id=1&secret=a%20b+c&secret=%ff",
        b"127.0.0.1,::1,unix,0.0.0.0",
        b"https://a.example,http://b.example:8080",
        b"jQuery.callbacks[1].x_y",
        "zażółć\u{0}\"\\\n".as_bytes(),
    ];
    check(&Target {
        name: "sign",
        run: fanwire::dialect::channelstream::fuzz::fuzz_sign,
        seeds: seeds.iter().map(|seed| seed.to_vec()).collect(),
        words: &[
            b".",
            b"..",
            b"=",
            b"%",
            b"%ff",
            b"&secret=",
            b"-",
            b"+00:00",
            b"Z",
            b"T24:00:00",
            b"0001-01-01",
            b"9999-12-31",
            b"2000-02-29",
            b"urn:uuid:",
            b",unix,",
            b"::ffff:1.2.3.4",
            b"X14QAA",
        ],
    });
}

#[test]
fn ini() {
    let seeds: &[&[u8]] = &[
        b"[channelstream]\nport = 8000\nsecret = a%%b\n",
        b"[DEFAULT]\nhere = /etc\n\n[channelstream]\ndebug: true\nallow_cors = https://a\n\thttps://b\n",
        b"# a comment\r\n[channelstream]\r\nallow_posting_from =\r\n  127.0.0.1\r\n  ::1\r\n; more\r\n",
        b"[channelstream]\nsecret = %(here)s/x\nhere = %(x)s\nx = %(here)s\n",
        "\u{feff}[channelstream]\nname = zażółć\nempty\n= x\n[unclosed\n".as_bytes(),
    ];
    check(&Target {
        name: "ini",
        run: fanwire::options::fuzz_ini,
        seeds: seeds.iter().map(|seed| seed.to_vec()).collect(),
        words: &[
            b"[channelstream]\n",
            b"[DEFAULT]\n",
            b"\n",
            b"\r",
            b"\n ",
            b"%(",
            b")s",
            b"%(here)s",
            b"here = %(here)s%(here)s\n",
            b"%%",
            b"=",
            b":",
            b";",
            b" #",
            b"\xe2\x80\xa8",
            b"]",
        ],
    });
}

#[test]
fn pusher_words() {
    let seeds: &[&[u8]] = &[
        br#"{"event":"pusher:ping","data":""}"#,
        br#"{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"key:00",
           "channel_data":"{\"user_id\":10,\"user_info\":{\"name\":\"A\"}}"}}"#,
        br#"{"event":"pusher:unsubscribe","data":"{\"channel\":\"a\"}"}"#,
        br#"{"event":"pusher:signin","data":{"auth":"key:00","user_data":"{\"id\":\"1\"}"}}"#,
        br#"{"event":"client-x","channel":"private-a","data":{ "a" : [1e999, "\u00e9"] },"user_id":1}"#,
        br#"{"event":"pusher:x"}"#,
        br#"{"user_id":-1.5e3,"user_info":{"a": 1}}"#,
        br#"{"id":"a@b","user_info":null,"watchlist":["a",2,"a",null]}"#,
        b"[]",
    ];
    check(&Target {
        name: "pusher_words",
        run: fanwire::dialect::pusher::fuzz::fuzz_words,
        seeds: seeds.iter().map(|seed| seed.to_vec()).collect(),
        words: PUSHER_WORDS,
    });
}

#[test]
fn pusher_bodies() {
    let seeds: &[&[u8]] = &[
        br#"{"name":"a","channels":["a","private-b"],"data":"{}","socket_id":"1.2","info":"user_count"}"#,
        br#"{"name":"a","channel":"private-encrypted-a","data":{"a" : 1}}"#,
        br#"{"batch":[{"name":"a","channel":"a","data":""},{"name":"b","channel":"b","data":"x",
           "socket_id":null,"info":"subscription_count,cache"}]}"#,
        "{\"name\":\"za\u{17c}\",\"channels\":[\"#server-to-user-a\"],\"data\":\"\\u00e9\"}".as_bytes(),
        b"{}",
    ];
    check(&Target {
        name: "pusher_bodies",
        run: fanwire::dialect::pusher::fuzz::fuzz_bodies,
        seeds: seeds.iter().map(|seed| seed.to_vec()).collect(),
        words: PUSHER_WORDS,
    });
}

const PUSHER_WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\\"",
    b"null",
    b"1e400",
    b"\\ud800",
    b"\"event\":\"client-\"",
    b"\"event\":\"pusher:subscribe\"",
    b"\"data\":",
    b"\"channel\":",
    b"\"channels\":",
    b"\"#server-to-user-",
    b"\"private-encrypted-cache-",
    b"\"user_id\":",
    b"\"user_info\":",
    b"\"watchlist\":[",
    b"\"socket_id\":\"01.2\"",
    b"\"info\":",
    b"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
];

#[test]
fn pusher_requests() {
    let keys = fanwire::dialect::pusher::auth::Keys::new("key", "secret");
    let signed = |path: &str, params: &[(&str, &str)]| {
        let query = keys.sign_request("GET", path, params, b"", 1_600_000_000);
        format!("{path}?{query}").into_bytes()
    };
    let auth = "key:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";
    let seeds = vec![
        signed("/apps/1/channels", &[("info", "user_count")]),
        signed("/apps/1/channels/a%40b", &[("a[]", "1"), ("a[]", "2")]),
        signed(
            "/apps/1/channels",
            &[("A[0]", "x"), ("A[10]", "y"), ("b", "+ %")],
        ),
        auth.into(),
        b"4294967295.4294967295".to_vec(),
        b"#server-to-user-a".to_vec(),
        b"private-encrypted-cache-x".to_vec(),
        b"presence-cache-x".to_vec(),
    ];
    check(&Target {
        name: "pusher_requests",
        run: fanwire::dialect::pusher::fuzz::fuzz_requests,
        seeds,
        words: &[
            b"&",
            b"=",
            b"?",
            b"%",
            b"%00",
            b"%2C",
            b"+",
            b"[]",
            b"[1]",
            b"[0",
            b"auth_key=key",
            b"&auth_version=1.0",
            b"&auth_timestamp=1600000000",
            b"&auth_signature=",
            b"&AUTH_KEY=",
            b"&body_md5=d41d8cd98f00b204e9800998ecf8427e",
            b"&info=cache",
        ],
    });
}

#[test]
fn pushi_words() {
    let seeds: &[&[u8]] = &[
        br#"{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"key:00",
           "channel_data":{"user_id":"u1","name":"One","peer":true}},"echo":false,"persist":true}"#,
        br#"{"event":"pusher_subscribe","data":{"channel":"personal-u1","auth":"key:00",
           "channel_data":"{\"user_id\":10, \"a\":[1e999]}"}}"#,
        br#"{"event":"pusher:unsubscribe","data":{"channel":"peer-a:b&c"}}"#,
        br#"{"event":"pusher:latest","data":{"channel":"a","skip":0,"count":10}}"#,
        br#"{"event":"message","data":{ "a" : [1e999, "\u00e9"] },"channel":"a","echo":"yes","persist":0}"#,
        br#"{"event":"pusher:x","channel":"a"}"#,
        b"[]",
    ];
    check(&Target {
        name: "pushi_words",
        run: fanwire::dialect::pushi::fuzz::fuzz_words,
        seeds: seeds.iter().map(|seed| seed.to_vec()).collect(),
        words: PUSHI_WORDS,
    });
}

const PUSHI_WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\\"",
    b"null",
    b"1e400",
    b"-0.0",
    b"\\ud800",
    b"\"event\":\"pusher_latest\"",
    b"\"data\":",
    b"\"channel\":",
    b"\"channel\":[\"a\",\"peer-a:b&c\"]",
    b"\"channel_data\":",
    b"\"user_id\":",
    b"\"count\":1000000000",
    b"\"skip\":-1",
    b"\"persist\":false",
    b"\"mid\":1",
    b"\"d\\u0061ta\":",
    b"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
];

#[test]
fn pushi_forms() {
    let json = b"sid=1&force=1&count=-5\napplication/json; charset=utf-8\n";
    let bodies: &[&[u8]] = &[
        br#"{"data":{"k": [1, 2]},"channel":["a","b"],"event":"e","persist":true,"x":{"y":1}}"#,
        br#"{"data":"x","persist":false,"mid":"m","timestamp":1}"#,
        br#"{"url":"http://a/b","event":"private-a","user_id":5,"token":"t","email":"e@f"}"#,
        br#"{"endpoint":"https://a/b","p256dh":"BPk","auth":"c2Vj","event":"a"}"#,
        br#"{"name":"app","enabled":"False","meta":{"a" : 1},"apn_sandbox":1,"vapid_key":null}"#,
    ];
    let mut seeds = with_prefix(json, bodies);
    seeds.extend(with_prefix(b"\n\n", bodies));
    seeds.push(
        b"app_id=i&app_key=k&app_secret=s\napplication/x-www-form-urlencoded\n\
          name=a+b&sid=1&meta=%7B%7D&event=%ff"
            .to_vec(),
    );
    seeds.push(
        b"http://a/b%2Fc/d\nmultipart/form-data; boundary=\"b\"; sid=1\n--b\r\n\
          Content-Disposition: form-data; name=\"sid\"\r\n\r\n1\r\n--b \r\n\
          content-disposition: form-data; filename=x; name=y\r\n\r\n--b\r\n--b--\r\n"
            .to_vec(),
    );
    check(&Target {
        name: "pushi_forms",
        run: fanwire::dialect::pushi::fuzz::fuzz_forms,
        seeds,
        words: &[
            b"\n",
            b"\r\n",
            b"\r\n\r\n",
            b"\r\n--b\r\n",
            b"\r\n--b--",
            b"--b",
            b"Content-Disposition: form-data; name=\"event\"",
            b"; filename*=",
            b"; boundary=b",
            b"multipart/form-data",
            b"application/json",
            b"application/x-www-form-urlencoded",
            b"sid=",
            b"; sid=\"1\"",
            b"&event=",
            b"&url=",
            b"count=99999999999999999999",
            b"%",
            b"%00",
            b"%ff",
            b"+",
            b"\"channel\":[\"a\",\"\"]",
            b"\"\\u0064ata\":1",
            b"\"mid\":",
            b"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
        ],
    });
}

#[test]
fn pushi_names() {
    let seeds: &[&[u8]] = &[
        b"19174e6b-8ad0-4230-bd18-135812f6fa12",
        b"00000007006b021c4400090909090909000102030405060708090a0b0c0d0e0f",
        b"personal-u1",
        b"peer-chat:ann&bob\nann\nbob",
        b"chat\nann\nbob",
        b"a:b\na&b\nb&a",
        "\nd\u{e9}cor\n\u{20ac}".as_bytes(),
        b"key:bd7c10810091418f11c5a1a3fc2fcdaea4d46fc46904599923121e314b500d11",
    ];
    check(&Target {
        name: "pushi_names",
        run: fanwire::dialect::pushi::fuzz::fuzz_names,
        seeds: seeds.iter().map(|seed| seed.to_vec()).collect(),
        words: &[
            b"\n",
            b"&",
            b":",
            b"peer-",
            b"presence-",
            b"private-",
            b"personal-",
            b"-",
            b"a&b",
            b"\na&b&a\n",
            b"A",
            b"00000000",
            b"\xc3\xa9",
        ],
    });
}

// ---- the runner itself -----------------------------------------------------------------------

/// Panics on what is two mutations away from the seed: a byte flipped, another one gone.
fn planted(data: &[u8]) {
    assert!(
        !(data.len() == 7 && data.starts_with(b"abb")),
        "the planted fault"
    );
}

#[test]
fn a_planted_panic_is_found_and_replayed() {
    let target = Target {
        name: "planted",
        run: planted,
        seeds: vec![b"abcdefgh".to_vec()],
        words: &[b"word"],
    };
    // One flip among dozens and one deletion among dozens, in any order.
    let enough = 50 * EXECUTIONS;
    let failure = fuzz(&target, SEED, enough).expect_err("it is found");
    println!("found after {} executions", failure.executions);
    assert_eq!(&failure.input[..3], b"abb");
    assert!(catch_unwind(|| planted(&unhex(&hex(&failure.input)))).is_err());
    // The same seed takes the same way, another one another.
    assert_eq!(fuzz(&target, SEED, enough).as_ref(), Err(&failure));
    assert_ne!(fuzz(&target, 7, enough).as_ref(), Err(&failure));
    let harmless = Target {
        run: |_| {},
        ..target
    };
    assert_eq!(fuzz(&harmless, SEED, 1000), Ok(1000));
}
