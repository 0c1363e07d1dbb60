//! What the specification marks as a bug of the original and what takes time to show, and callers
//! who try to end a line where none ends.

use crate::world::{World, status};
use fanwire::handler::ConnId;
use fanwire::limits::{CS_EXPIRE_MS, CS_POLL_WAKE_MS, WHEEL_SLOT_MS};
use serde_json::{Value, json};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl World {
    /// Asks and reads the answer whole.
    fn ask(&mut self, conn: ConnId, request: &str) -> String {
        self.send(conn, request);
        self.rest();
        self.take_text(conn)
    }

    /// A signed call, and its answer's body.
    #[track_caller]
    fn told(&mut self, conn: ConnId, path: &str, body: &Value) -> Value {
        let request = self.signed(path, &body.to_string());
        let answer = self.ask(conn, &request);
        assert_eq!(status(&answer), "200", "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect(&answer);
        serde_json::from_str(body).expect("JSON")
    }

    /// So much time goes by, in steps of a slot of the wheel, and the loop does what is due.
    fn live(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(WHEEL_SLOT_MS) {
            self.pass(WHEEL_SLOT_MS);
            self.turn(0);
            self.rest();
        }
    }
}

/// Every line of an answer's head has a name that we write.
#[track_caller]
fn is_sound(answer: &str) {
    const OURS: [&str; 21] = [
        "content-type",
        "content-length",
        "connection",
        "date",
        "cache-control",
        "location",
        "set-cookie",
        "retry-after",
        "vary",
        "etag",
        "x-content-type-options",
        "x-frame-options",
        "content-security-policy",
        "referrer-policy",
        "x-accel-buffering",
        "xdomainrequestallowed",
        "access-control-allow-origin",
        "access-control-allow-methods",
        "access-control-max-age",
        "access-control-allow-headers",
        "content-encoding",
    ];
    let (head, _) = answer.split_once("\r\n\r\n").expect(answer);
    for line in head.split("\r\n").skip(1) {
        let (name, value) = line.split_once(": ").expect(head);
        assert!(OURS.contains(&&*name.to_lowercase()), "{line:?}");
        assert!(!value.contains(['\r', '\n', '\0']), "{line:?}");
        assert!(!value.contains("injected"), "{line:?}");
    }
}

#[test]
fn no_field_of_a_caller_ends_a_line_of_an_answer() {
    let mut world = World::new();
    let mut count = 0;
    let encoded = "x%0d%0aInjected:%20injected%0d%0a%0d%0a%3Cscript%3E";
    for path in [
        "/listen?conn_id=@",
        "/listen?conn_id=00000000-0000-0000-0000-000000000001&callback=@",
        "/disconnect?conn_id=@",
        "/info?secret=@",
        "/admin/sign_in?next=@",
        "/admin/sign_out?csrf=@",
        "/static/@",
        "/admin/@",
        "/api-explorer/@",
        "/@",
    ] {
        let conn = world.open();
        let path = path.replace('@', encoded);
        let answer = world.ask(conn, &format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        is_sound(&answer);
        assert!(
            !answer.contains("<script>") && !answer.contains("injected"),
            "{answer}"
        );
        count += 1;
    }
    // A bare CR or LF in a header is refused with the request, or it is no part of what is said.
    for name in [
        "Host",
        "Origin",
        "Accept",
        "Cookie",
        "X-Script-Name",
        "X-Scheme",
        "X-Url-Scheme",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "Last-Event-ID",
        "If-None-Match",
        "X-Channelstream-Secret",
    ] {
        for value in [
            "x\rInjected: injected",
            "/x\nX-Y: injected",
            "/x\0injected",
            "/injected%0d%0aX-Y:%20injected",
            "\u{e9}\u{2028}injected",
        ] {
            for path in ["/admin", "/listen", "/static/channelstream/index.js"] {
                let conn = world.open();
                let host = if name == "Host" { "" } else { "Host: h\r\n" };
                let request = format!("GET {path} HTTP/1.1\r\n{host}{name}: {value}\r\n\r\n");
                let answer = world.ask(conn, &request);
                let is_prefix = name == "X-Script-Name" && value.starts_with("/injected%");
                if is_prefix {
                    // A path like any other, as long as it stays encoded.
                    assert!(!answer.contains("X-Y: "), "{answer}");
                } else {
                    is_sound(&answer);
                }
                count += 1;
            }
        }
    }
    assert_eq!(count, 10 + 12 * 5 * 3);
}

#[test]
fn names_of_control_characters_stay_in_their_strings() {
    let mut world = World::new();
    let backend = world.open();
    let name = "a\r\ndata: [1]\r\n\r\nid: 7\u{0}\u{1b}[2J\u{7f}\u{85}\u{2028}\"\\</script>";
    let answer = world.told(
        backend,
        "/connect",
        &json!({"username": name, "channels": [name],
                "user_state": {name: name}, "state_public_keys": [name],
                "channel_configs": {name: {"notify_presence": true, "notify_state": true}}}),
    );
    assert_eq!(
        (&answer["username"], &answer["channels"][0]),
        (&json!(name), &json!(name))
    );
    let id = answer["conn_id"].as_str().expect("an id").to_owned();
    let stream = world.open();
    let request = format!(
        "GET /listen?conn_id={id} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n"
    );
    is_sound(&world.ask(stream, &request));
    let message = json!([{"user": name, "channel": name, "message": {name: name}}]);
    world.told(backend, "/message", &message);
    let state = json!({"user": name, "user_state": {name: 1}});
    world.told(backend, "/user_state", &state);
    world.told(
        backend,
        "/connect",
        &json!({"username": "b", "channels": [name]}),
    );
    let text = world.take_text(stream);
    assert!(!text.contains(['\0', '\r', '\u{1b}']), "{text:?}");
    let mut kinds = Vec::new();
    for block in text.split_terminator("\n\n") {
        let (id, data) = block.split_once('\n').expect(block);
        let id = id.strip_prefix("id: ").expect(id);
        assert!(id.parse::<u64>().is_ok(), "{id}");
        let data = data.strip_prefix("data: ").expect(data);
        assert!(!data.contains('\n'), "{data:?}");
        let list: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(list[0]["channel"], json!(name));
        kinds.push(list[0]["type"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(kinds, ["message", "user_state_change", "presence"]);
    let info = world.told(backend, "/info", &json!({"info": {"channels": [name]}}));
    assert_eq!(info["channels"][name]["users"], json!([name, "b"]));
    let report = world.told(backend, "/admin/admin.json", &json!({}));
    assert_eq!(report["users"][0]["state"][name], 1);
}

/// Names of 0, 256 and 257 characters, and history beyond every limit.
#[test]
fn names_and_sizes_at_their_limits() {
    let mut world = World::new();
    let backend = world.open();
    for (field, longest) in [("username", 512), ("channels", 256)] {
        for (length, expected) in [
            (0, "422"),
            (256, "200"),
            (257, ""),
            (longest, "200"),
            (longest + 1, "422"),
        ] {
            let name = "\u{1f9a6}".repeat(length);
            let body = match field {
                "username" => json!({"username": name}),
                _ => json!({"username": "u", "channels": [name]}),
            };
            let request = world.signed("/connect", &body.to_string());
            let answer = world.ask(backend, &request);
            let expected = match expected {
                "" if longest >= 257 => "200",
                "" => "422",
                other => other,
            };
            assert_eq!(status(&answer), expected, "{field} of {length}");
        }
    }
    // A size that no memory holds: what is kept is bounded by bytes.
    let huge = json!({"c": {"store_history": true, "history_size": u64::MAX}});
    world.told(backend, "/channel_config", &huge);
    let digits = format!(
        r#"{{"d":{{"store_history":true,"history_size":{}}}}}"#,
        "9".repeat(400)
    );
    let request = world.signed("/channel_config", &digits);
    assert_eq!(status(&world.ask(backend, &request)), "200");
    let text = "x".repeat(40_000);
    let many: Vec<Value> = (0..100)
        .map(|n| json!({"user": "u", "channel": "c", "message": {"n": n, "text": text}}))
        .collect();
    for _ in 0..3 {
        world.told(backend, "/message", &json!(many));
    }
    let info = world.told(backend, "/info", &json!({"info": {"channels": ["c"]}}));
    let kept = info["channels"]["c"]["history"].as_array().expect("a list");
    assert!((1..300).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.last().expect("the newest")["message"]["n"], 99);
}

/// Who may send something is told from its length that ten megabytes are too much.
#[test]
fn ten_megabytes_are_refused_before_they_come() {
    let mut world = World::new();
    for (method, path) in [
        ("POST", "/connect"),
        ("POST", "/subscribe"),
        ("POST", "/unsubscribe"),
        ("POST", "/message"),
        ("PATCH", "/message"),
        ("DELETE", "/message"),
        ("POST", "/user_state"),
        ("POST", "/channel_config"),
        ("POST", "/info"),
        ("POST", "/disconnect"),
        ("GET", "/listen"),
        ("POST", "/admin/sign_in"),
        ("POST", "/admin/admin.json"),
        ("POST", "/admin/api/connections/close"),
        ("POST", "/api-explorer/signature"),
    ] {
        let head = world.signed_as(method, path, "");
        let head = head.replace("Content-Length: 0", "Content-Length: 10000000");
        let conn = world.open();
        let answer = world.ask(conn, &head);
        assert_eq!(status(&answer), "413", "{method} {path}: {answer}");
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
    }
}

/// Q3: the original fails where no id is given.
#[test]
fn a_poll_without_a_good_id_is_told_so() {
    let mut world = World::new();
    let unknown = "conn_id=00000000-dead-4bee-8000-000000000000";
    for (query, expected) in [
        ("", "422"),
        ("?", "422"),
        ("?conn_id", "422"),
        ("?conn_id=", "422"),
        ("?conn_id=abc", "422"),
        (&format!("?{unknown}&conn_id="), "422"),
        (&format!("?{unknown}"), "401"),
        (&format!("?{unknown}&callback=f"), "401"),
    ] {
        for more in ["", "Accept: text/event-stream\r\n"] {
            for method in ["GET", "HEAD"] {
                let conn = world.open();
                let head = format!("{method} /listen{query} HTTP/1.1\r\nHost: h\r\n{more}\r\n");
                let answer = world.ask(conn, &head);
                assert_eq!(status(&answer), expected, "{method} {query}: {answer}");
                let is_list = answer.ends_with(r#"["Wrong UUID format"]"#);
                assert_eq!(is_list, expected == "422" && method == "GET", "{answer}");
            }
        }
    }
}

/// Q33: as the original, which backends may count on.
#[test]
fn history_shows_private_messages_to_who_asks_the_server() {
    let mut world = World::new();
    let backend = world.open();
    let settings = json!({"c": {"store_history": true}});
    let body = json!({"username": "ann", "channels": ["c"], "channel_configs": settings});
    world.told(backend, "/connect", &body);
    let private = json!({"user": "u", "channel": "c", "pm_users": ["bob"], "message": {}});
    let partial = json!({"user": "u", "channel": "c", "exclude_users": ["ann"], "message": {}});
    let passing = json!({"user": "u", "channel": "c", "no_history": true, "message": {}});
    world.told(backend, "/message", &json!([private, partial, passing]));
    let info = world.told(backend, "/info", &json!({"info": {}}));
    let history = info["channels"]["c"]["history"].as_array().expect("a list");
    assert_eq!(history.len(), 2, "{info}");
    assert_eq!(history[0]["pm_users"], json!(["bob"]));
    assert_eq!(history[1]["exclude_users"], json!(["ann"]));
}

/// Q21: the original forgets after a day who only polls.
#[test]
fn who_polls_for_days_is_remembered() {
    let mut world = World::new();
    let backend = world.open();
    let body = json!({"username": "ann", "channels": ["c"], "user_state": {"a": 1}});
    let answer = world.told(backend, "/connect", &body);
    let id = answer["conn_id"].as_str().expect("an id").to_owned();
    let conn = world.open();
    let poll = format!("GET /listen?conn_id={id} HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut lived = 0;
    while lived < DAY_MS + DAY_MS / 8 {
        world.send(conn, &poll);
        world.rest();
        // One long step each: nothing else is due meanwhile.
        for ms in [CS_POLL_WAKE_MS + WHEEL_SLOT_MS, CS_EXPIRE_MS / 2] {
            world.pass(ms);
            world.turn(0);
            world.rest();
            lived += ms;
        }
        assert_eq!(status(&world.take_text(conn)), "200", "after {lived} ms");
    }
    // The backend's connection was idle for a day.
    let backend = world.open();
    let info = world.told(backend, "/info", &json!({"info": {}}));
    assert_eq!(info["channels"]["c"]["users"], json!(["ann"]));
    assert_eq!(info["users"], json!([{"user": "ann", "state": {"a": 1}}]));
}

/// Q38: the original passes over every second of them.
#[test]
fn all_connections_of_a_user_expire_together() {
    let mut world = World::new();
    let backend = world.open();
    let settings = json!({"c": {"notify_presence": true}});
    for _ in 0..5 {
        let body = json!({"username": "ann", "channels": ["c"], "channel_configs": settings});
        world.told(backend, "/connect", &body);
    }
    let socket = world.subscriber(backend, "bob", "c", true);
    world.live(CS_EXPIRE_MS - 1_000);
    world.take(socket);
    world.live(2_000);
    let heard = String::from_utf8_lossy(&world.take(socket)).into_owned();
    assert_eq!(heard.matches("\"parted\"").count(), 1, "{heard}");
    let info = world.told(backend, "/info", &json!({"info": {}}));
    assert_eq!(info["channels"]["c"]["users"], json!(["bob"]));
    assert_eq!(info["channels"]["c"]["total_connections"], 1);
}

/// Q25 and Q35.
#[test]
fn fields_and_words_that_mean_nothing_mean_nothing() {
    let mut world = World::new();
    let backend = world.open();
    world.told(
        backend,
        "/connect",
        &json!({"username": "ann", "channels": ["c"]}),
    );
    let plain = world.told(backend, "/info", &json!({"info": {}}));
    for with in [true, false] {
        let body = json!({"info": {"include_connections": with}});
        assert_eq!(world.told(backend, "/info", &body), plain);
    }
    for (method, path, expected) in [
        ("POST", "/connect?api-explorer", "403"),
        ("GET", "/info?x=/api-explorer", "403"),
        ("GET", "/openapi.json?api-explorer", "403"),
        ("GET", "/my/api-explorer", "404"),
        ("GET", "/api-explorer?x=1", "302"),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        let conn = world.open();
        assert_eq!(status(&world.ask(conn, &request)), expected, "{path}");
    }
}
