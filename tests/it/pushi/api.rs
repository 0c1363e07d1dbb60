//! Requests of applications, beyond what was recorded: what the original meant to do and does not, and
//! what this server does otherwise.

use super::replay::encoded;
use super::stage::{DISABLED, MAIN, OTHER, Stage, keys};
use super::values::AppKeys;
use crate::http::{self, Answer};
use crate::session::Received;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(crate) fn a_ping_reaches_whoever_is_in_global(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(OTHER));
    for socket in [&sock, &other] {
        stage.join(socket, "global");
    }
    let (status, told) = stage.rest(MAIN, "GET", "/apps/ping", &[], None);
    assert_eq!((status, told), (200, json!({"result": "success"})));
    stage.hears_event(&sock, "global", "ping", "ping");
    assert_eq!(stage.latest_data(&sock, "global"), Vec::<String>::new());
    stage.nothing_else();
}

pub(crate) fn sockets_are_listed_with_their_channels(stage: &mut Stage) {
    let (one, two, other) = (stage.open(MAIN), stage.open(MAIN), stage.open(OTHER));
    for channel in ["b", "a"] {
        stage.join(&one, channel);
    }
    stage.join(&other, "a");
    let (status, told) = stage.rest(MAIN, "GET", "/sockets", &[], None);
    assert_eq!(status, 200);
    let listed = told["sockets"].as_array().expect("a list");
    assert_eq!(listed.len(), 2, "{told}");
    for expected in [
        json!({"socket_id": one.id, "channel": ["b", "a"]}),
        json!({"socket_id": two.id, "channel": []}),
    ] {
        assert!(listed.contains(&expected), "{expected} in {told}");
    }
    for method in ["GET", "POST"] {
        let of = |id: &str| format!("/sockets/{id}");
        let (status, told) = stage.rest(MAIN, method, &of(&one.id), &[], None);
        assert_eq!((status, told), (200, json!({"channels": ["b", "a"]})));
        // One of another app is none.
        let (status, told) = stage.rest(MAIN, method, &of(&other.id), &[], None);
        assert_eq!((status, told), (200, json!({"channels": []})));
    }
}

pub(crate) fn nobody_makes_apps_where_that_is_closed(stage: &mut Stage) {
    let (status, told) = stage.call("POST", "/apps", Some(&json!({"name": "new"})));
    assert_eq!((status, &told["result"]), (403, &json!("error")));
    let sid = stage.is_known(MAIN);
    let (status, _) = stage.call("POST", &format!("/apps?sid={sid}&name=new"), None);
    assert_eq!(status, 403, "a session is no permission");
}

pub(crate) fn an_app_of_the_settings_is_called_what_they_say(stage: &mut Stage) {
    let path = format!("/apps/{}", keys(MAIN).ident);
    for wrong in [json!({"name": "other"}), json!({"enabled": false})] {
        let (status, told) = stage.rest(MAIN, "PUT", &path, &[], Some(&wrong));
        assert_eq!(status, 400, "{told}");
    }
    let changed = json!({"description": "ours", "key": "k", "secret": "s", "ident": "i"});
    let (status, told) = stage.rest(MAIN, "PUT", &path, &[], Some(&changed));
    assert_eq!((status, &told["description"]), (200, &json!("ours")));
    assert_eq!(
        told["key"],
        keys(MAIN).key,
        "the answer is what is shown from now on"
    );
    let (status, told) = stage.rest(MAIN, "GET", &path, &[], None);
    let shown = |name: &str| told[name].as_str().unwrap_or("none").to_owned();
    assert_eq!(status, 200);
    assert_eq!(shown("description"), "ours");
    assert_eq!(shown("key"), keys(MAIN).key);
    assert_eq!(shown("secret"), keys(MAIN).secret);
    // Whoever sends back what it was shown changes nothing, and may change something else with it.
    let mut same = told.clone();
    same["description"] = json!("still ours");
    let (status, told) = stage.rest(MAIN, "PUT", &path, &[], Some(&same));
    assert_eq!(status, 200, "{told}");
    same["modified"] = told["modified"].clone();
    assert_eq!(told, same);
    for (name, other) in [("name", json!("other")), ("enabled", json!(false))] {
        let mut changed = same.clone();
        changed[name] = other;
        let (status, told) = stage.rest(MAIN, "PUT", &path, &[], Some(&changed));
        assert_eq!(status, 400, "{name}: {told}");
    }
    // What they have switched off is shown so, and is not switched on here either.
    let path = format!("/apps/{}", keys(DISABLED).ident);
    let (status, told) = stage.rest(DISABLED, "GET", &path, &[], None);
    assert_eq!((status, &told["enabled"]), (200, &json!(false)), "{told}");
    let (status, told) = stage.rest(DISABLED, "PUT", &path, &[], Some(&told));
    assert_eq!((status, &told["enabled"]), (200, &json!(false)), "{told}");
    let on = json!({"enabled": true});
    let (status, told) = stage.rest(DISABLED, "PUT", &path, &[], Some(&on));
    assert_eq!(status, 400, "{told}");
}

pub(crate) fn a_path_may_write_an_app_escaped(stage: &mut Stage) {
    let ident = keys(MAIN).ident;
    let escaped: String = ident.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (status, told) = stage.rest(MAIN, "GET", &format!("/apps/{escaped}"), &[], None);
    assert_eq!((status, &told["ident"]), (200, &json!(ident)));
    let path = format!("/apps/{escaped}/subscribe");
    let body = json!({"user_id": "u", "event": "news"});
    let (status, told) = stage.rest(MAIN, "POST", &path, &[], Some(&body));
    assert_eq!(status, 200, "{told}");
    for wrong in ["%FF", &escaped.replace('%', "%25")] {
        let (status, told) = stage.rest(MAIN, "GET", &format!("/apps/{wrong}"), &[], None);
        assert_eq!(status, 404, "{wrong}: {told}");
    }
}

pub(crate) fn the_key_of_an_app_is_no_permission_to_look(stage: &mut Stage) {
    let key = keys(MAIN).key;
    let browser = |event: &str| {
        json!({"endpoint": "https://push.example.com/x", "p256dh": "p", "auth": "a",
               "event": event})
    };
    let at = |path: &str| format!("{path}?app_key={key}");
    let (status, told) = stage.call("POST", &at("/web_pushes"), Some(&browser("news")));
    assert_eq!(status, 200, "{told}");
    let private = browser("private-news");
    let (status, _) = stage.call("POST", &at("/web_pushes"), Some(&private));
    assert_eq!(status, 403, "what is signed needs a signature");
    for path in ["/web_pushes", "/webs", "/events", "/subscriptions"] {
        let (status, told) = stage.call("GET", &at(path), None);
        assert_eq!(status, 403, "{path}: {told}");
    }
    let (status, told) = stage.rest(MAIN, "GET", "/web_pushes", &[], None);
    let listed = told["subscriptions"].as_array().map(Vec::len);
    assert_eq!((status, listed), (200, Some(1)));
}

pub(crate) fn direct_messages_are_not_pretended(stage: &mut Stage) {
    let not_yet = "this server does not send direct messages yet";
    let hook = json!({"url": "https://hooks.example.com/", "data": {"a": 1}});
    let (status, told) = stage.rest(MAIN, "POST", "/messaging/webhook", &[], Some(&hook));
    assert_eq!((status, &told["message"]), (501, &json!(not_yet)));
    let several = json!({"adapters": ["web", "apn"], "data": 1,
                         "webhook_urls": ["https://hooks.example.com/"], "apn_tokens": "aa"});
    let (status, told) = stage.rest(MAIN, "POST", "/messaging/send", &[], Some(&several));
    let failed = |why: &str| json!({"success": false, "error": why});
    let expected = json!({"webhook": failed(not_yet), "apn": failed("No APN key defined")});
    assert_eq!((status, told), (200, expected));
    let (status, _) = stage.call("POST", "/messaging/send", Some(&several));
    assert_eq!(status, 403);
}

pub(crate) fn the_server_tells_of_itself(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    let (status, told) = stage.call("GET", "/health", None);
    assert_eq!((status, &told["service"]), (200, &json!("pushi")));
    let (status, told) = stage.call("GET", "/health/detailed", None);
    let checks = &told["checks"];
    assert_eq!((status, &told["status"]), (200, &json!("ok")));
    assert_eq!(checks["websocket"]["connections"], 1);
    assert_eq!(checks["database"]["status"], "ok");
    stage.leave(&sock);
}

pub(crate) fn one_logout_ends_one_session(stage: &mut Stage) {
    let AppKeys {
        ident, key, secret, ..
    } = keys(MAIN);
    let secret = encoded(&secret);
    let login = format!("/login?app_id={ident}&app_key={key}&app_secret={secret}");
    let sid = |stage: &mut Stage| -> String {
        let (status, told) = stage.call("GET", &login, None);
        assert_eq!(status, 200, "{told}");
        told["token"].as_str().expect("a text").to_owned()
    };
    let (one, two) = (sid(stage), sid(stage));
    assert_ne!(one, two);
    let is_good = |stage: &mut Stage, sid: &str| {
        let (status, _) = stage.call("GET", &format!("/apps?sid={sid}"), None);
        status
    };
    let (status, told) = stage.call("GET", &format!("/logout?sid={one}"), None);
    assert_eq!((status, told), (200, json!({"result": "success"})));
    assert_eq!((is_good(stage, &one), is_good(stage, &two)), (403, 200));
    // Once more, and of nobody, is nothing.
    for sid in [&*one, "none", ""] {
        let (status, told) = stage.call("POST", &format!("/logout?sid={sid}"), None);
        assert_eq!((status, told), (200, json!({"result": "success"})));
    }
    assert_eq!(is_good(stage, &two), 200);
    let other_end = if two.ends_with('0') { "1" } else { "0" };
    let forged = format!("{}{other_end}", &two[..63]);
    assert_eq!(is_good(stage, &forged), 403);
}

pub(crate) fn every_error_has_an_id_of_its_own(stage: &mut Stage) {
    let mut uids = BTreeSet::new();
    let mut note = |answer: Answer, status: u16| {
        assert_eq!(answer.status, status);
        let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let uid = told["uid"].as_str().expect("a text").to_owned();
        assert_eq!(answer.header("X-Error-Id"), Some(&*uid));
        assert!(crate::bindings::is_uuid(&uid), "{told}");
        assert!(!uid.starts_with("00000000-0000-"), "{told}");
        assert!(uids.insert(uid), "{told}: told before");
    };
    for _ in 0..2 {
        // By its head alone: the body is never sent.
        let link = stage.sut().dial();
        let json = ("Content-Type".to_owned(), "application/json".to_owned());
        let request = http::request("POST", "/events", "h", &[json], Some(b"{\"data\":1}"));
        let head = request.len() - b"{\"data\":1}".len();
        stage.sut().send(link, &request[..head]);
        let until = stage.sut().now_ms() + 5_000;
        let mut bytes = Vec::new();
        let answer = loop {
            if let Some((answer, _)) = http::answer(&bytes, false, false).expect("in order") {
                break answer;
            }
            match stage.sut().receive(link, until) {
                Received::Bytes { bytes: more, .. } => bytes.extend(more),
                other => panic!("{other:?}"),
            }
        };
        note(answer, 403);
        stage.sut().close(link);
        note(stage.call_for_all("GET", "/events", None), 403);
        note(stage.call_for_all("GET", "/login", None), 400);
    }
}

pub(crate) fn what_is_not_there_is_not_there_for_anybody(stage: &mut Stage) {
    let nowhere = [
        ("GET", "/login/x"),
        ("PUT", "/login"),
        ("GET", "/events/nothing"),
        ("DELETE", "/events"),
        ("POST", "/webs/a/b"),
        ("DELETE", "/subscriptions/u"),
        ("GET", "/sockets/a/b"),
        ("GET", "/sockets/"),
        ("GET", "/messaging/send"),
        ("POST", "/messaging/nothing"),
        ("DELETE", "/apps/x"),
        ("PUT", "/apps/x/subscribe"),
        ("PATCH", "/apps"),
    ];
    for (method, path) in nowhere {
        let body = (method == "POST").then(|| json!({"data": 1}));
        for is_in in [false, true] {
            let (status, told) = match is_in {
                true => stage.rest(MAIN, method, path, &[], body.as_ref()),
                false => stage.call(method, path, body.as_ref()),
            };
            let message = format!("Request {method} '{path}' not handled");
            let want = (404, &json!("NotFoundError"), &json!(message));
            assert_eq!((status, &told["name"], &told["message"]), want, "{told}");
        }
    }
    // What is there is for whoever has logged in.
    let (status, _) = stage.call("GET", "/apps/x", None);
    assert_eq!(status, 403);
}

pub(crate) fn a_head_changes_nothing(stage: &mut Stage) {
    let sid = stage.is_known(MAIN);
    let sock = stage.open(MAIN);
    stage.join(&sock, "global");
    stage.subscribe_user(MAIN, "u", "there");
    let ident = keys(MAIN).ident;
    let AppKeys { key, secret, .. } = keys(MAIN);
    let secret = encoded(&secret);
    let head = |stage: &mut Stage, path: &str| {
        let glue = if path.contains('?') { '&' } else { '?' };
        stage.call_for_all("HEAD", &format!("{path}{glue}sid={sid}"), None)
    };
    for path in [
        "/apps/ping",
        "/logout",
        &format!("/login?app_id={ident}&app_key={key}&app_secret={secret}"),
        &format!("/apps/{ident}/subscribe?user_id=u&event=made"),
        &format!("/apps/{ident}/unsubscribe?user_id=u&event=there"),
        "/webs/x/y",
    ] {
        assert_eq!(head(stage, path).status, 404, "{path}");
    }
    for path in [
        "/apps",
        "/events",
        "/subscriptions",
        "/webs",
        "/sockets",
        "/health",
        &format!("/apps/{ident}"),
    ] {
        assert_eq!(head(stage, path).status, 200, "{path}");
    }
    let (_, told) = stage.rest(MAIN, "GET", "/subscriptions", &[], None);
    let listed = told["subscriptions"].as_array().expect("a list");
    assert_eq!((listed.len(), &listed[0]["event"]), (1, &json!("there")));
    stage.nothing_else();
}

pub(crate) fn a_route_may_be_written_escaped(stage: &mut Stage) {
    let body = json!({"data": "d", "persist": false});
    let (status, told) = stage.rest(MAIN, "POST", "/%65vents", &[], Some(&body));
    assert_eq!((status, told), (200, json!({"result": "success"})));
    let AppKeys {
        ident, key, secret, ..
    } = keys(MAIN);
    let secret = encoded(&secret);
    let login = format!("/%6cogin?app_id={ident}&app_key={key}&app_secret={secret}");
    assert_eq!(stage.call("GET", &login, None).0, 200);
    let subscribe = format!("/apps/{ident}/%73ubscribe");
    let user = json!({"user_id": "u", "event": "news"});
    for (method, path, body) in [
        ("GET", "/apps/pin%67", None),
        ("GET", "/health/%64etailed", None),
        ("POST", &*subscribe, Some(&user)),
        ("DELETE", "/%73ubscriptions/u/news", None),
    ] {
        let (status, told) = stage.rest(MAIN, method, path, &[], body);
        assert_eq!(status, 200, "{path}: {told}");
    }
    // Once, and what is escaped separates nothing.
    for path in ["/%2565vents", "/events%2F", "/apps%2Fping"] {
        let answer = stage.call_for_all("GET", path, None);
        assert_eq!(answer.status, 404, "{path}");
    }
}

pub(crate) fn what_no_path_can_name_is_not_made(stage: &mut Stage) {
    let nul = "value has a NUL character in it";
    for (path, field) in [
        ("/subscriptions", "user_id"),
        ("/webs", "url"),
        ("/apns", "token"),
        ("/smtps", "email"),
        ("/web_pushes", "endpoint"),
    ] {
        let record = |target: &str, channel: &str| {
            let mut record = json!({"p256dh": "p", "auth": "a", "event": channel});
            record[field] = json!(target);
            record
        };
        for (record, errors) in [
            (record("a\0b", "news"), json!({field: [nul]})),
            (record("a", "\0"), json!({"event": [nul]})),
            (
                record("\0", ""),
                json!({field: [nul], "event": ["value is empty"]}),
            ),
        ] {
            let (status, told) = stage.rest(MAIN, "POST", path, &[], Some(&record));
            assert_eq!((status, &told["errors"]), (400, &errors), "{path}: {told}");
        }
        let (_, told) = stage.rest(MAIN, "GET", path, &[], None);
        assert_eq!(told["subscriptions"], json!([]), "{path}");
    }
}

pub(crate) fn answers_say_that_the_connection_stays(stage: &mut Stage) {
    for (method, path, status) in [
        ("GET", "/health", 200),
        ("OPTIONS", "/events", 200),
        ("GET", "/events", 403),
        ("GET", "/health/detailed", 200),
        ("HEAD", "/login", 404),
    ] {
        let answer = stage.call_for_all(method, path, None);
        let said = answer.header("Connection");
        assert_eq!((answer.status, said), (status, Some("keep-alive")));
        let kept = answer.header("Content-Type");
        let want = (method != "OPTIONS").then_some("application/json");
        assert_eq!(kept, want, "{path}");
    }
    // Where it ends that is said, and other protocols say nothing.
    let close = [("Connection".to_owned(), "close".to_owned())];
    let request = http::request("GET", "/health", "h", &close, None);
    let answer = crate::client::Caller::default().ask(stage.sut(), &request);
    assert_eq!(
        answer.expect("an answer").header("Connection"),
        Some("close")
    );
    let answer = stage.call_for_all("GET", "/nothing", None);
    assert_eq!((answer.status, answer.header("Connection")), (404, None));
}
