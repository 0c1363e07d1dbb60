//! What applications ask for.

use super::apps::{self, DISABLED, OTHER, PLAIN};
use super::stage::{Stage, check_error, keys};
use crate::http;
use crate::session::{Cut, Received};
use serde_json::{Value, json};

const DATA_BYTES: usize = 10 * 1024;

pub(super) fn trigger_reaches_all_channels(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    for name in ["one", "private-two", "presence-three"] {
        match name.starts_with("presence-") {
            false => stage.join(&a, name),
            true => stage.join_as(
                &a,
                name,
                r#"{"user_id":1}"#,
                r#"{"ids":["1"],"hash":{"1":null},"count":1}"#,
            ),
        }
    }
    stage.join(&b, "one");
    let all = r#""channels":["one","private-two","presence-three","none"]"#;
    // Names of events are free.
    for event in [
        "e",
        "App\\Events\\X",
        "with spaces.and dots",
        "client-e",
        "é",
    ] {
        let data = r#"{"text":"\"quoted\" \u00e9 é \\ /"}"#;
        let body = format!(
            r#"{{"name":{},"data":{},{all}}}"#,
            json!(event),
            json!(data)
        );
        stage.trigger(PLAIN, &body, "{}");
        for name in ["one", "private-two", "presence-three"] {
            stage.hears_event(&a, event, name, data);
        }
        stage.hears_event(&b, event, "one", data);
    }
    // Data that is no text is made one.
    let body = r#"{"name":"e","data":{ "a": [1, 2.50] },"channel":"one"}"#;
    stage.trigger(PLAIN, body, "{}");
    stage.hears_event(&a, "e", "one", r#"{"a":[1,2.50]}"#);
    stage.hears_event(&b, "e", "one", r#"{"a":[1,2.50]}"#);
    // One is left out; one of nobody leaves out nobody.
    for (id, hears) in [
        (a.id.clone(), false),
        ("1.1".to_owned(), true),
        ("00012.34".to_owned(), true),
    ] {
        let body = json!({"name": "e", "data": "x", "channels": ["one"], "socket_id": id});
        stage.trigger(PLAIN, &body.to_string(), "{}");
        if hears {
            stage.hears_event(&a, "e", "one", "x");
        }
        stage.hears_event(&b, "e", "one", "x");
    }
    // A name that stands there twice.
    stage.trigger(
        PLAIN,
        r#"{"name":"e","data":"x","channels":["one","none","one"]}"#,
        "{}",
    );
    stage.hears_event(&a, "e", "one", "x");
    stage.hears_event(&b, "e", "one", "x");
    stage.nothing_else();
    // Another's socket is nobody here.
    let other = stage.open(OTHER);
    stage.join(&other, "one");
    let body = json!({"name": "e", "data": "x", "channel": "one", "socket_id": a.id});
    stage.trigger(OTHER, &body.to_string(), "{}");
    stage.hears_event(&other, "e", "one", "x");
    stage.nothing_else();
}

pub(super) fn info_in_every_place(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    for sock in [&a, &b] {
        let one = r#"{"ids":["1"],"hash":{"1":null},"count":1}"#;
        stage.join_as(sock, "presence-a", r#"{"user_id":1}"#, one);
    }
    stage.join(&a, "b");
    let body = |info: &str| {
        let channels = [
            "presence-a",
            "b",
            "none",
            "presence-none",
            "#server-to-user-u",
        ];
        json!({"name": "e", "data": "x", "channels": channels, "info": info}).to_string()
    };
    let hear = |stage: &mut Stage| {
        stage.hears_event(&a, "e", "presence-a", "x");
        stage.hears_event(&a, "e", "b", "x");
        stage.hears_event(&b, "e", "presence-a", "x");
    };
    for (info, want) in [
        (
            "user_count",
            r##"{"channels":{"presence-a":{"user_count":1},"b":{},"none":{},"presence-none":{"user_count":0},"#server-to-user-u":{}}}"##,
        ),
        (
            "subscription_count",
            r##"{"channels":{"presence-a":{"subscription_count":2},"b":{"subscription_count":1},"none":{"subscription_count":0},"presence-none":{"subscription_count":0},"#server-to-user-u":{"subscription_count":0}}}"##,
        ),
        (
            "subscription_count,nothing, user_count",
            r##"{"channels":{"presence-a":{"user_count":1,"subscription_count":2},"b":{"subscription_count":1},"none":{"subscription_count":0},"presence-none":{"user_count":0,"subscription_count":0},"#server-to-user-u":{"subscription_count":0}}}"##,
        ),
        ("", "{}"),
        ("nothing", "{}"),
    ] {
        stage.trigger(PLAIN, &body(info), want);
        hear(stage);
    }
    stage.nothing_else();
    let both = [("info", "user_count,subscription_count")];
    let got = stage.get(PLAIN, "/channels/presence-a", &both);
    assert_eq!(
        got.1,
        r#"{"occupied":true,"user_count":1,"subscription_count":2}"#
    );
    let with_prefix = [("filter_by_prefix", "presence-"), both[0]];
    let got = stage.get(PLAIN, "/channels", &with_prefix);
    let want = r#"{"channels":{"presence-a":{"user_count":1,"subscription_count":2}}}"#;
    assert_eq!(got, (200, want.to_owned()));
    // A list in the query, as some write it.
    let list = [("info[]", "user_count"), ("info[]", "subscription_count")];
    let got = stage.get(PLAIN, "/channels/presence-a", &list);
    assert_eq!(
        got.1,
        r#"{"occupied":true,"user_count":1,"subscription_count":2}"#
    );
}

pub(super) fn a_batch_answers_with_a_list(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    stage.join(&sock, "a");
    stage.join(&sock, "private-b");
    let post = |stage: &mut Stage, events: &Value| {
        let body = json!({"batch": events}).to_string();
        stage.call(PLAIN, "POST", "/batch_events", &[], &body)
    };
    let event =
        |n: usize, channel: &str| json!({"name": "e", "data": n.to_string(), "channel": channel});
    assert_eq!(post(stage, &json!([])), (200, "{}".to_owned()));
    let ten: Vec<Value> = (0..10)
        .map(|n| event(n, ["a", "private-b"][n % 2]))
        .collect();
    assert_eq!(post(stage, &json!(ten)), (200, "{}".to_owned()));
    for n in 0..10 {
        stage.hears_event(&sock, "e", ["a", "private-b"][n % 2], &n.to_string());
    }
    let mut three = [event(1, "a"), event(2, "none"), event(3, "private-b")];
    three[1]["info"] = json!("subscription_count,user_count");
    three[2]["info"] = json!("subscription_count");
    three[2]["socket_id"] = json!(sock.id);
    let want = r#"{"batch":[{},{"subscription_count":0},{"subscription_count":1}]}"#;
    assert_eq!(post(stage, &json!(three)), (200, want.to_owned()));
    stage.hears_event(&sock, "e", "a", "1");
    // One bad event refuses all of them, wherever it stands.
    let bad_ones = [
        json!(7),
        json!({"name": "e", "data": "x"}),
        json!({"name": "e", "channel": "a"}),
        json!({"data": "x", "channel": "a"}),
        json!({"name": "e", "data": "x", "channel": "a b"}),
        json!({"name": "pusher:e", "data": "x", "channel": "a"}),
        json!({"name": "e", "data": "x", "channel": "a", "socket_id": "x"}),
    ];
    for bad in bad_ones {
        for at in 0..3 {
            let mut events = vec![event(1, "a"), event(2, "a")];
            events.insert(at, bad.clone());
            let body = json!({"batch": events}).to_string();
            stage.refused(PLAIN, "/batch_events", &body, 400);
        }
    }
    let large = json!({"name": "e", "data": "x".repeat(DATA_BYTES + 1), "channel": "a"});
    let body = json!({"batch": [event(1, "a"), large]}).to_string();
    stage.refused(PLAIN, "/batch_events", &body, 413);
    let eleven: Vec<Value> = (0..11).map(|n| event(n, "a")).collect();
    stage.refused(
        PLAIN,
        "/batch_events",
        &json!({"batch": eleven}).to_string(),
        400,
    );
    for body in ["", "[]", "{}", r#"{"batch":{}}"#, r#"{"batch":null}"#, "{"] {
        stage.refused(PLAIN, "/batch_events", body, 400);
    }
    stage.nothing_else();
}

pub(super) fn what_is_no_event(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    stage.join(&sock, "a");
    let with = |field: &str, value: Value| {
        let mut body = json!({"name": "e", "data": "x", "channels": ["a"]});
        body[field] = value;
        body.to_string()
    };
    for body in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        "nonsense".to_owned(),
        r#"{"name":"e","channel":"a"}"#.to_owned(),
        r#"{"data":"x","channel":"a"}"#.to_owned(),
        r#"{"name":"e","data":"x"}"#.to_owned(),
        with("name", json!("")),
        with("name", json!(7)),
        with("name", json!("x".repeat(201))),
        with("channels", json!([])),
        with("channels", json!("a")),
        with("channels", json!(["a", 7])),
        with("channels", json!(["a", "b c"])),
        with("channels", json!(["a", ""])),
        with("channels", json!({"a": "a"})),
        with("channels", json!(["a", "#other"])),
        with("channels", json!(["a", "private-encrypted-b"])),
        with("info", json!(["user_count"])),
        with("socket_id", json!("")),
        with("socket_id", json!("1")),
        with("socket_id", json!("1.")),
        with("socket_id", json!(".1")),
        with("socket_id", json!("1.2.3")),
        with("socket_id", json!("1.2\n")),
        with("socket_id", json!("a.b")),
        with("socket_id", json!("-1.2")),
        with("socket_id", json!("1,2")),
        with("socket_id", json!(1.2)),
    ] {
        stage.refused(PLAIN, "/events", &body, 400);
    }
    stage.nothing_else();
    stage.trigger(PLAIN, &with("name", json!("ü".repeat(200))), "{}");
    stage.hears_event(&sock, &"ü".repeat(200), "a", "x");
    stage.trigger(
        PLAIN,
        &with("channels", json!(["private-encrypted-b"])),
        "{}",
    );
    stage.trigger(PLAIN, &with("socket_id", json!(null)), "{}");
    stage.hears_event(&sock, "e", "a", "x");
    stage.nothing_else();
}

pub(super) fn limits_of_events(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    stage.join(&sock, "c0");
    let names = |count: usize| -> Vec<String> { (0..count).map(|n| format!("c{n}")).collect() };
    let to = |count: usize| json!({"name": "e", "data": "x", "channels": names(count)}).to_string();
    stage.trigger(PLAIN, &to(100), "{}");
    stage.hears_event(&sock, "e", "c0", "x");
    stage.refused(PLAIN, "/events", &to(101), 400);
    // Bytes of UTF-8 count, not letters, nor how they are escaped.
    for (letter, count) in [("x", DATA_BYTES), ("\"", DATA_BYTES), ("é", DATA_BYTES / 2)] {
        let fits = letter.repeat(count);
        let body = |data: &str| json!({"name": "e", "data": data, "channel": "c0"}).to_string();
        stage.trigger(PLAIN, &body(&fits), "{}");
        stage.hears_event(&sock, "e", "c0", &fits);
        stage.refused(PLAIN, "/events", &body(&(fits + "x")), 413);
    }
    // The whole body, one byte over.
    let body = json!({"name": "e", "data": "x", "channel": "c0"}).to_string();
    let padded = format!("{body}{}", " ".repeat(256 * 1024 - body.len()));
    stage.trigger(PLAIN, &padded, "{}");
    stage.hears_event(&sock, "e", "c0", "x");
    let answer = {
        let (path, body) = ("/apps/1001/events", padded + " ");
        let now = stage.sut().unix_seconds();
        let query = keys(PLAIN).sign_request("POST", path, &[], body.as_bytes(), now);
        stage.send("POST", &format!("{path}?{query}"), &body)
    };
    assert_eq!(answer.status, 413);
    stage.nothing_else();
}

pub(super) fn listing_channels(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    assert_eq!(
        stage.get(PLAIN, "/channels", &[]),
        (200, r#"{"channels":{}}"#.to_owned())
    );
    stage.join(&a, "news");
    stage.join(&b, "news");
    stage.join(&a, "private-x");
    let one = r#"{"ids":["1"],"hash":{"1":null},"count":1}"#;
    stage.join_as(&a, "presence-x", r#"{"user_id":1}"#, one);
    let listed = |stage: &mut Stage, params: &[(&str, &str)]| {
        let (status, body) = stage.get(PLAIN, "/channels", params);
        assert_eq!(status, 200, "{body}");
        let value: Value = serde_json::from_str(&body).expect("JSON");
        value["channels"].clone()
    };
    let all = json!({"news": {}, "private-x": {}, "presence-x": {}});
    assert_eq!(listed(stage, &[]), all);
    assert_eq!(listed(stage, &[("filter_by_prefix", "")]), all);
    assert_eq!(
        listed(stage, &[("filter_by_prefix", "pr")]),
        json!({"private-x": {}, "presence-x": {}})
    );
    assert_eq!(listed(stage, &[("filter_by_prefix", "none")]), json!({}));
    let counts = json!({"news": {"subscription_count": 2}, "private-x": {"subscription_count": 1}, "presence-x": {"subscription_count": 1}});
    assert_eq!(listed(stage, &[("info", "subscription_count")]), counts);
    let users = [("filter_by_prefix", "presence-"), ("info", "user_count")];
    assert_eq!(
        listed(stage, &users),
        json!({"presence-x": {"user_count": 1}})
    );
    for prefix in ["", "private-", "presence"] {
        let params = [("filter_by_prefix", prefix), ("info", "user_count")];
        let (status, body) = stage.get(PLAIN, "/channels", &params);
        assert_eq!(status, 400);
        check_error(&body, 400);
    }
    stage.part(&a, "private-x");
    stage.leave(&b);
    stage.nothing_else();
    assert_eq!(listed(stage, &[]), json!({"news": {}, "presence-x": {}}));
}

pub(super) fn one_channel(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    stage.join(&sock, "private-cache-x");
    stage.hears_event(&sock, "pusher:cache_miss", "private-cache-x", "{}");
    let mut ask = |name: &str, info: &str| {
        let params = [("info", info)];
        stage.get(
            PLAIN,
            &format!("/channels/{name}"),
            if info.is_empty() { &[] } else { &params },
        )
    };
    for (name, info, want) in [
        ("none", "", r#"{"occupied":false}"#),
        (
            "none",
            "subscription_count",
            r#"{"occupied":false,"subscription_count":0}"#,
        ),
        (
            "presence-none",
            "user_count",
            r#"{"occupied":false,"user_count":0}"#,
        ),
        ("private-cache-x", "", r#"{"occupied":true}"#),
        (
            "private%2Dcache-x",
            "subscription_count",
            r#"{"occupied":true,"subscription_count":1}"#,
        ),
        (
            "private-cache-x",
            "cache",
            r#"{"occupied":true,"cache":null}"#,
        ),
        ("a@b;c,d=e.f", "nothing", r#"{"occupied":false}"#),
    ] {
        assert_eq!(ask(name, info), (200, want.to_owned()), "{name} {info}");
    }
    for (name, info) in [
        ("private-cache-x", "user_count"),
        ("none", "user_count,subscription_count"),
        ("presence-x", "cache"),
        ("not%20a%20name", ""),
        ("a:b", ""),
        ("%23server-to-user-u", ""),
        ("%ff", ""),
    ] {
        let (status, body) = ask(name, info);
        assert_eq!(status, 400, "{name} {info}");
        check_error(&body, 400);
    }
}

pub(super) fn users_of_a_channel(stage: &mut Stage) {
    let path = "/channels/presence-x/users";
    assert_eq!(
        stage.get(PLAIN, path, &[]),
        (200, r#"{"users":[]}"#.to_owned())
    );
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    let data = r#"{"user_id":"a \"b\""}"#;
    let one = r#"{"ids":["a \"b\""],"hash":{"a \"b\"":null},"count":1}"#;
    stage.join_as(&a, "presence-x", data, one);
    stage.join_as(&b, "presence-x", data, one);
    let want = r#"{"users":[{"id":"a \"b\""}]}"#;
    assert_eq!(stage.get(PLAIN, path, &[]), (200, want.to_owned()));
    for name in ["x", "private-x", "cache-x"] {
        let (status, body) = stage.get(PLAIN, &format!("/channels/{name}/users"), &[]);
        assert_eq!(status, 400);
        check_error(&body, 400);
    }
}

pub(super) fn methods(stage: &mut Stage) {
    for (path, allowed) in [
        ("/events", "POST"),
        ("/batch_events", "POST"),
        ("/channels", "GET, HEAD"),
        ("/channels/a", "GET, HEAD"),
        ("/channels/presence-a/users", "GET, HEAD"),
        ("/users/u/terminate_connections", "POST"),
        ("/connections", "GET, HEAD"),
    ] {
        let target = format!("/apps/{PLAIN}{path}");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let now = stage.sut().unix_seconds();
            let query = keys(PLAIN).sign_request(method, &target, &[], b"", now);
            let answer = stage.send(method, &format!("{target}?{query}"), "");
            let is_allowed = allowed.split(", ").any(|one| one == method);
            let status = match (is_allowed, method) {
                // It has no body.
                (true, "POST") if path.ends_with("events") => 400,
                (true, _) => 200,
                (false, _) => 405,
            };
            assert_eq!(answer.status, status, "{method} {path}");
            let allow = answer.header("allow");
            assert_eq!(allow, (status == 405).then_some(allowed), "{method} {path}");
        }
        let answer = stage.send("OPTIONS", &target, "");
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }
    let sock = stage.open(PLAIN);
    let connections = stage.get(PLAIN, "/connections", &[]);
    assert_eq!(connections, (200, r#"{"connections":1}"#.to_owned()));
    stage.leave(&sock);
}

pub(super) fn who_may_ask(stage: &mut Stage) {
    let now = stage.sut().unix_seconds();
    let body = r#"{"name":"e","data":"x","channel":"a"}"#;
    let sign =
        |app: &str, path: &str| keys(app).sign_request("POST", path, &[], body.as_bytes(), now);
    let path = "/apps/1001/events";
    let good = sign(PLAIN, path);
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        good.replace(from, to)
    };
    let unknown = "/apps/9999/events";
    let disabled = format!("/apps/{DISABLED}/events");
    for (target, query, status) in [
        (path, good.clone(), 200),
        (unknown, sign(PLAIN, unknown), 404),
        ("/apps/%ff/events", good.clone(), 404),
        (path, String::new(), 401),
        (path, changed("key-1001", "nobody"), 401),
        // The key of one app is nothing to another, signed by either.
        (path, sign(OTHER, path), 401),
        (path, changed("key-1001", "key-1002"), 401),
        (&disabled, sign(DISABLED, &disabled), 403),
        (&disabled, sign(DISABLED, path), 403),
        (&disabled, sign(PLAIN, &disabled), 401),
        (path, changed("auth_version=1.0", "auth_version=1.1"), 401),
        (path, changed("auth_version=1.0&", ""), 401),
        (path, changed("body_md5=", "body_md5=0"), 401),
        (path, changed("body_md5=", "body_nothing="), 401),
        (path, changed("auth_signature=", "auth_signature=0"), 401),
        (path, sign(PLAIN, "/apps/1001/batch_events"), 401),
        (path, format!("{good}&more=1"), 401),
        // Names may be written in capitals.
        (path, changed("auth_key", "AUTH_KEY"), 200),
    ] {
        let answer = stage.send("POST", &format!("{target}?{query}"), body);
        let text = http::lossy(&answer.body);
        assert_eq!(answer.status, status, "{target} {query}: {text}");
        if status != 200 {
            check_error(&text, status);
        }
    }
    // The text that should have been signed is told.
    let answer = stage.send("POST", &format!("{path}?{good}&more=1"), body);
    assert!(http::lossy(&answer.body).contains("POST"), "{answer:?}");
    // Escaped or not, and in another order.
    let params = [
        ("filter_by_prefix", "presence-"),
        ("info", "user_count,subscription_count"),
    ];
    let query = keys(PLAIN).sign_request("GET", "/apps/1001/channels", &params, b"", now);
    for query in [query.clone(), query.replace("%2C", ",")] {
        let mut parts: Vec<&str> = query.split('&').collect();
        parts.reverse();
        for query in [query.clone(), parts.join("&")] {
            let answer = stage.send("GET", &format!("/apps/1001/channels?{query}"), "");
            assert_eq!(answer.status, 200, "{query}");
        }
    }
}

pub(super) fn an_md5_of_nothing(stage: &mut Stage) {
    let empty = "d41d8cd98f00b204e9800998ecf8427e";
    let got = stage.get(PLAIN, "/channels", &[("body_md5", empty)]);
    assert_eq!(got, (200, r#"{"channels":{}}"#.to_owned()));
    let got = stage.get(
        PLAIN,
        "/channels",
        &[("body_md5", "99914b932bd37a50b983c5e7c90ae93b")],
    );
    assert_eq!(got.0, 401);
    check_error(&got.1, 401);
}

pub(super) fn python_forgets_the_prefix(stage: &mut Stage) {
    let (sock, other) = (stage.open(PLAIN), stage.open(OTHER));
    for sock in [&sock, &other] {
        stage.sign_in(sock, r#"{"id":"anna@example.com"}"#);
        stage.hears_signed_in(sock, r#"{"id":"anna@example.com"}"#);
    }
    let now = stage.sut().unix_seconds();
    let path = "/users/anna@example.com/terminate_connections";
    let sign = |method: &str, app: &str| keys(app).sign_request(method, path, &[], b"{}", now);
    let good = sign("POST", PLAIN);
    for (method, query, status) in [
        (
            "POST",
            good.replace("auth_signature=", "auth_signature=0"),
            401,
        ),
        ("POST", good.replace("key-1001", "nobody"), 401),
        ("POST", good.replace("key-1001", "key-1002"), 401),
        ("POST", sign("POST", DISABLED), 403),
        ("PUT", sign("PUT", PLAIN), 405),
        ("POST", good.clone(), 200),
    ] {
        let answer = stage.send(method, &format!("{path}?{query}"), "{}");
        assert_eq!(answer.status, status, "{method} {query}");
    }
    stage.hears_close(&sock, 4009);
    // A path that is escaped may be signed as it is, or as it was.
    let escaped = "/apps/1002/users/anna%40example.com/terminate_connections";
    let plain = "/apps/1002/users/anna@example.com/terminate_connections";
    let query = keys(OTHER).sign_request("POST", plain, &[], b"", now);
    let answer = stage.send("POST", &format!("{escaped}?{query}"), "");
    assert_eq!(answer.status, 200);
    stage.hears_close(&other, 4009);
}

pub(super) fn apps_know_nothing_of_each_other(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(OTHER));
    let one = r#"{"ids":["1"],"hash":{"1":null},"count":1}"#;
    for sock in [&a, &b] {
        stage.join(sock, "news");
        stage.join(sock, "private-a");
        stage.join_as(sock, "presence-a", r#"{"user_id":1}"#, one);
    }
    let event = |channel: &str| json!({"name": "e", "data": "x", "channel": channel}).to_string();
    stage.trigger(PLAIN, &event("news"), "{}");
    stage.hears_event(&a, "e", "news", "x");
    stage.trigger(OTHER, &event("cache-a"), "{}");
    stage.join(&a, "cache-a");
    stage.hears_event(&a, "pusher:cache_miss", "cache-a", "{}");
    stage.say(
        &a,
        r#"{"event":"client-e","channel":"private-a","data":"x"}"#,
    );
    stage.say(
        &a,
        r#"{"event":"client-e","channel":"presence-a","data":"x"}"#,
    );
    stage.leave(&a);
    stage.nothing_else();
    assert_eq!(stage.get(PLAIN, "/channels", &[]).1, r#"{"channels":{}}"#);
    let got = stage.get(OTHER, "/channels/presence-a", &[("info", "user_count")]);
    assert_eq!(got.1, r#"{"occupied":true,"user_count":1}"#);
}

pub(super) fn nothing_there(stage: &mut Stage) {
    for path in [
        "/events/more",
        "/channels/a/b",
        "/channels/a/users/b",
        "/users/u",
        "/users",
    ] {
        let (status, body) = stage.get(PLAIN, path, &[]);
        assert_eq!(status, 404, "{path}");
        check_error(&body, 404);
    }
    for path in ["/pusher/app/k/1/x/xhr_streaming", "/app/key-1001"] {
        assert_eq!(stage.send("GET", path, "").status, 404, "{path}");
    }
}

/// Some servers live below a path, which is no part of what is signed.
pub(super) fn a_prefix_is_not_signed(stage: &mut Stage) {
    let mut config = apps::config();
    config.path_prefix = "/ws".to_owned();
    *stage = Stage::with(Cut::Whole, config);
    let path = format!("/ws/app/{}?protocol=7", apps::key(PLAIN));
    let sock = stage.dial(&path, &[]);
    let sock = stage.welcomed(sock, PLAIN);
    stage.join(&sock, "news");
    let now = stage.sut().unix_seconds();
    let body = r#"{"name":"e","data":"x","channel":"news"}"#;
    let path = "/apps/1001/events";
    let query = keys(PLAIN).sign_request("POST", path, &[], body.as_bytes(), now);
    for prefix in ["/ws", ""] {
        let answer = stage.send("POST", &format!("{prefix}{path}?{query}"), body);
        assert_eq!(answer.status, 200, "{prefix:?}");
        stage.hears_event(&sock, "e", "news", "x");
    }
    let answer = stage.send("POST", &format!("/wsx{path}?{query}"), body);
    assert_ne!(answer.status, 200);
}

pub(super) fn a_timestamp_counts_when_the_head_came(stage: &mut Stage) {
    let body = r#"{"name":"e","data":"x","channel":"a"}"#;
    let path = "/apps/1001/events";
    let now = stage.sut().unix_seconds();
    let query = keys(PLAIN).sign_request("POST", path, &[], body.as_bytes(), now - 599);
    let request = http::request(
        "POST",
        &format!("{path}?{query}"),
        "h",
        &[],
        Some(body.as_bytes()),
    );
    let (head, rest) = request.split_at(request.len() - 1);
    let link = stage.sut().dial();
    stage.sut().send(link, head);
    stage.sut().wait_ms(3_000);
    stage.sut().send(link, rest);
    let until = stage.sut().now_ms() + 1_000;
    match stage.sut().receive(link, until) {
        Received::Bytes { bytes, .. } => assert!(bytes.starts_with(b"HTTP/1.1 200"), "{bytes:?}"),
        other => panic!("{other:?}"),
    }
    stage.sut().close(link);
}
