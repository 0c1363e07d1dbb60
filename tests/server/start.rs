//! Starting: addresses, health, metrics, and what does not start.

use crate::client::{Peer, get, header, metric, publish, subscriber};
use crate::http;
use crate::process::{Folder, PATIENCE, SECRET, Server, as_text, fanwire, until};
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

#[test]
fn listens_everywhere_it_was_told_to() {
    let folder = Folder::new();
    let unix = folder.path("socket");
    let config = folder.file(
        "fanwire.toml",
        &format!(
            "listen = [\"127.0.0.1:0\", \"unix:{}\", \"127.0.0.1:0\"]",
            unix.display()
        ),
    );
    let mut server = Server::launch(fanwire(&["run", "--config", &config]));
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let line = server.says("listening on 127.0.0.1:");
        let (_, rest) = line.split_once("listening on ").expect("it was looked for");
        let end = rest.find('"').expect("the end of a JSON string");
        addresses.push(rest[..end].parse().expect("an address and nothing else"));
        if addresses.len() == 1 {
            server.says(&format!("listening on unix:{}\"", as_text(&unix)));
        }
    }
    for address in addresses {
        is_healthy(&mut Peer::new(address));
    }
    let stream = UnixStream::connect(&unix).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    is_healthy(&mut Peer::over(stream));

    server.signal("TERM");
    assert_eq!(server.exits(), 0);
    assert!(!unix.exists(), "the socket's file goes with it");
}

#[track_caller]
fn is_healthy(peer: &mut Peer<impl std::io::Read + std::io::Write>) {
    for (path, body) in [
        ("/health/live", r#"{"status":"ok"}"#),
        ("/health/ready", r#"{"status":"ok","ready":true}"#),
    ] {
        let answer = peer.ask(&get(path));
        assert_eq!(answer.status, 200);
        assert_eq!(http::lossy(&answer.body), body);
    }
    let post = http::request("POST", "/health/live", "localhost", &[], None);
    let answer = peer.ask(&post);
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn a_port_that_is_taken_is_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("bound").to_string();
    let mut server = Server::launch(fanwire(&["run", "--listen", &address]));
    assert!(server.says("could not start").contains(&address));
    assert_eq!(server.exits(), 1);
}

#[test]
fn an_address_that_is_not_ours_and_a_certificate_that_is_not_there_are_exit_code_1() {
    for args in [
        // Reserved for documentation (RFC 5737).
        &["run", "--listen", "192.0.2.1:0"][..],
        &[
            "run",
            "--set",
            "tls.cert=/nowhere",
            "--set",
            "tls.key=/nowhere",
        ],
    ] {
        let mut server = Server::launch(fanwire(args));
        server.says("could not start");
        assert_eq!(server.exits(), 1, "{args:?}");
    }
}

#[test]
fn metrics_need_a_credential_and_can_be_parsed() {
    let server = Server::run(&["admin.password=opens", "admin.metrics_token=scraper"]);
    let mut reader = subscriber(server.address(), "reader", "news");
    let mut app = Peer::new(server.address());
    assert_eq!(app.ask(&publish("news", "one")).status, 200);
    assert_eq!(reader.message(), "one");

    let ask = |authorization: Option<&str>| {
        let headers: Vec<_> = authorization
            .map(|value| header("Authorization", value))
            .into_iter()
            .collect();
        let request = http::request("GET", "/metrics", "localhost", &headers, None);
        Peer::new(server.address()).ask(&request)
    };
    for wrong in [
        None,
        Some("Basic YWRtaW46d3Jvbmc="), // admin:wrong
        Some("Basic b3RoZXI6b3BlbnM="), // other:opens
        Some("Basic !"),
        Some("Basic"),
        Some("Bearer opens"),
        Some("Bearer "),
        Some("Digest scraper"),
    ] {
        let answer = ask(wrong);
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert!(answer.header("www-authenticate").is_some());
        assert!(!http::lossy(&answer.body).contains("fanwire_"));
    }
    let answer = ask(Some("Bearer scraper"));
    assert_eq!(answer.status, 200);
    // What the system says of the process is asked for beside the loop, and comes a moment later.
    until("the process is sampled", || {
        let page = String::from_utf8(ask(Some("Bearer scraper")).body).expect("text");
        metric(&page, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 0.0)
    });
    let answer = ask(Some("Basic YWRtaW46b3BlbnM=")); // admin:opens
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").expect("a type");
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let page = String::from_utf8(answer.body).expect("text");
    check_exposition(&page);
    for (name, least) in [
        ("fanwire_connections", 2.0),
        ("fanwire_websockets", 1.0),
        ("fanwire_connections_opened_total", 3.0),
        ("fanwire_handshakes_rejected_total{reason=\"http\"}", 0.0),
        ("fanwire_subscriptions", 1.0),
        ("fanwire_channels", 1.0),
        ("fanwire_messages_published_total", 1.0),
        ("fanwire_messages_delivered_total", 1.0),
        (
            "fanwire_messages_dropped_total{reason=\"connection_ended\"}",
            0.0,
        ),
        ("fanwire_outbound_queue_bytes", 0.0),
        ("fanwire_slow_consumers_total", 0.0),
        ("fanwire_loop_turn_seconds_count", 0.0),
        ("fanwire_memory_bytes{kind=\"history\"}", 0.0),
        ("fanwire_panics_total", 0.0),
        ("process_resident_memory_bytes", 1.0),
        ("process_open_fds", 1.0),
        ("process_max_fds", 1.0),
        ("process_start_time_seconds", 1.0),
    ] {
        let value = metric(&page, name);
        assert!(
            value.is_some_and(|value| value >= least),
            "{name} is {value:?}"
        );
    }
    let build = format!(
        "fanwire_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(metric(&page, &build), Some(1.0));
    assert!(page.contains("# TYPE fanwire_connections_closed_total counter\n"));
    // Nothing in it names a channel, a user or a secret.
    for word in ["news", "reader", SECRET, "opens", "scraper"] {
        assert!(!page.contains(word), "{word}");
    }
}

/// The grammar of Prometheus' text format, as far as it is used.
#[track_caller]
fn check_exposition(page: &str) {
    assert!(page.ends_with('\n'));
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
    };
    let mut family = String::new();
    let mut families = Vec::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a help has a text");
            assert!(is_name(name) && !text.is_empty(), "{line}");
            assert!(!families.contains(&name), "{name} is there twice");
            families.push(name);
            family = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, family, "a type stands behind its help");
            assert!(matches!(kind, "gauge" | "counter" | "histogram"), "{line}");
            let process = name == "process_cpu_seconds_total";
            assert_eq!(
                kind == "counter",
                name.ends_with("_total") || process,
                "{line}"
            );
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
            let (name, labels) = match series.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').expect("closed")),
                None => (series, ""),
            };
            assert!(is_name(name), "{line}");
            let of_family = name.strip_prefix(&family[..]).expect("it is of its family");
            assert!(
                matches!(of_family, "" | "_bucket" | "_sum" | "_count"),
                "{line}"
            );
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once('=').expect("a label");
                assert!(is_name(name), "{line}");
                assert!(value.len() >= 2 && value.starts_with('"') && value.ends_with('"'));
            }
        }
    }
}

#[test]
fn dev_is_open_on_loopback_and_run_has_none_of_it() {
    let dev = Server::start(fanwire(&["dev", "--listen", "127.0.0.1:0"]), 1);
    let run = Server::run(&[]);
    for (path, of_run) in [
        ("/metrics", 401),
        ("/", 404),
        ("/dev/state", 404),
        ("/dev/panic", 404),
    ] {
        assert_eq!(
            Peer::new(run.address()).ask(&get(path)).status,
            of_run,
            "{path}"
        );
    }
    for path in ["/metrics", "/", "/dev/state"] {
        assert_eq!(
            Peer::new(dev.address()).ask(&get(path)).status,
            200,
            "{path}"
        );
    }
}

#[test]
fn a_panic_costs_one_peer() {
    let mut server = Server::start(fanwire(&["dev", "--listen", "127.0.0.1:0"]), 1);
    let address = server.address();
    // What `dev` prints is good here: everybody knows its secret.
    let state = Peer::new(address).ask(&get("/dev/state"));
    let state: serde_json::Value = serde_json::from_slice(&state.body).expect("JSON");
    let signature = state["signature"].as_str().expect("a signature");
    let headers = [header("x-channelstream-secret", signature)];
    let post = |path: &str, body: &str| {
        http::request("POST", path, "localhost", &headers, Some(body.as_bytes()))
    };
    let connect = post("/connect", r#"{"username":"reader","channels":["news"]}"#);
    let answer = Peer::new(address).ask(&connect);
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    let id = answer["conn_id"].as_str().expect("an id");
    let mut reader = crate::client::Socket::open(crate::client::connect(address), id);
    let mut idle = Peer::new(address);
    assert_eq!(idle.ask(&get("/health/live")).status, 200);

    let mut victim = Peer::new(address);
    // The second request is not answered: its connection is the price of the first.
    let twice = [get("/dev/panic"), get("/health/live")].concat();
    let answer = victim.ask(&twice);
    crate::client::assert_refused(&answer, 500, "internal");
    victim.ends();
    let line = server.says("asked for");
    assert!(
        line.contains("own.rs:"),
        "it is logged with its place: {line}"
    );

    let message = r#"[{"user":"app","channel":"news","message":{"text":"still here"}}]"#;
    assert_eq!(idle.ask(&post("/message", message)).status, 200);
    assert_eq!(reader.message(), "still here");
    assert!(server.lives());
    let page = Peer::new(address).ask(&get("/metrics"));
    let page = String::from_utf8(page.body).expect("text");
    assert_eq!(metric(&page, "fanwire_panics_total"), Some(1.0));
    assert_eq!(
        metric(&page, "fanwire_http_answers_total{code=\"500\"}"),
        Some(1.0)
    );
}

#[test]
fn what_dev_stores_lies_in_a_folder_that_goes_with_it() {
    let folder = Folder::new();
    let folders = || fs::read_dir(folder.path("")).expect("a folder").count();
    let dev = || {
        let mut command = fanwire(&["dev", "--listen", "127.0.0.1:0"]);
        command.env("TMPDIR", folder.path(""));
        Server::start(command, 1)
    };
    let mut server = dev();
    assert_eq!(folders(), 1);
    server.signal("HUP");
    server.says("\"reloaded\"");
    assert_eq!(folders(), 1);
    server.signal("TERM");
    assert_eq!((server.exits(), folders()), (0, 0));

    // Nor does it stay when somebody does not wait.
    let mut server = dev();
    let mut stays = Peer::new(server.address());
    assert_eq!(stays.ask(&get("/health/live")).status, 200);
    stays.send(b"GET /health/live HTTP/1.1\r\n");
    server.signal("TERM");
    server.says("stopping");
    server.signal("TERM");
    assert_eq!((server.exits(), folders()), (3, 0));
}
