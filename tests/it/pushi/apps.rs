//! Apps that anybody made: what their owners may say of them.

use super::stage::{MAIN, OTHER, Stage, keys};
use serde_json::{Value, json};

/// An app that was made by a request, with a session of it.
struct Made {
    record: Value,
    sid: String,
}

impl Made {
    fn new(stage: &mut Stage, name: &str) -> Self {
        let (status, record) = stage.call("POST", "/apps", Some(&json!({ "name": name })));
        assert_eq!(status, 200, "{record}");
        let mut made = Self {
            record,
            sid: String::new(),
        };
        made.log_in(stage);
        made
    }

    fn word(&self, name: &str) -> &str {
        self.record[name].as_str().expect("a text")
    }

    fn path(&self) -> String {
        format!("/apps/{}", self.word("ident"))
    }

    fn log_in(&mut self, stage: &mut Stage) {
        let [ident, key, secret] = ["ident", "key", "secret"].map(|name| self.word(name));
        let path = format!("/login?app_id={ident}&app_key={key}&app_secret={secret}");
        let (status, told) = stage.call("GET", &path, None);
        assert_eq!(status, 200, "{told}");
        self.sid = told["token"].as_str().expect("a text").to_owned();
    }

    fn rest(
        &self,
        stage: &mut Stage,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let sid = &self.sid;
        stage.call(method, &format!("{path}?sid={sid}"), body)
    }
}

pub(crate) fn who_switches_its_app_off_may_switch_it_on_again(stage: &mut Stage) {
    let mut app = Made::new(stage, "comes and goes");
    let (path, socket) = (app.path(), format!("/{}", app.word("key")));
    let sock = stage.open_at(MAIN, &socket, &[]);
    stage.join(&sock, "room");
    let off = Some(json!({"enabled": false}));
    let (status, told) = app.rest(stage, "PUT", &path, off.as_ref());
    assert_eq!((status, &told["enabled"]), (200, &json!(false)), "{told}");

    // Its sockets are closed and refused, and it publishes nothing.
    stage.hears_close(&sock, 1008);
    assert_eq!(stage.no_socket(&socket, &[]).status, 403);
    let event = json!({"data": "d", "channel": "room"});
    let user = json!({"user_id": "u", "event": "news"});
    let subscribe = format!("{path}/subscribe");
    for (method, at, body) in [
        ("POST", "/events", Some(&event)),
        ("GET", "/events", None),
        ("GET", "/apps/ping", None),
        ("POST", "/subscriptions", Some(&user)),
        ("POST", &subscribe, Some(&user)),
        ("GET", "/webs", None),
        ("GET", "/web_pushes", None),
        ("GET", "/vapid_key", None),
        ("GET", "/sockets", None),
        ("POST", "/messaging/send", Some(&event)),
    ] {
        let (status, told) = app.rest(stage, method, at, body);
        assert_eq!((status, &told["code"]), (403, &json!(403)), "{method} {at}");
        let why = told["message"].as_str().unwrap_or("");
        assert!(why.contains("switched off"), "{method} {at}: {told}");
    }
    let by_key = format!("/vapid_key?app_key={}", app.word("key"));
    let (status, told) = stage.call("GET", &by_key, None);
    let why = told["message"].as_str().unwrap_or("");
    assert!(status == 403 && why.contains("switched off"), "{told}");

    // Its owner is let in, with the session that is there and with another one.
    let (status, told) = app.rest(stage, "GET", "/apps", None);
    assert_eq!(
        (status, &told["apps"][0]["enabled"]),
        (200, &json!(false)),
        "{told}"
    );
    let (status, _) = app.rest(stage, "GET", "/logout", None);
    assert_eq!(status, 200);
    assert_eq!(app.rest(stage, "GET", &path, None).0, 403);
    app.log_in(stage);
    let (status, told) = app.rest(stage, "GET", &path, None);
    assert_eq!((status, &told["enabled"]), (200, &json!(false)), "{told}");
    let on = Some(json!({"enabled": true}));
    let (status, told) = app.rest(stage, "PUT", &path, on.as_ref());
    assert_eq!((status, &told["enabled"]), (200, &json!(true)), "{told}");

    let sock = stage.open_at(MAIN, &socket, &[]);
    stage.join(&sock, "room");
    let (status, told) = app.rest(stage, "POST", "/events", Some(&event));
    assert_eq!((status, told), (200, json!({"result": "success"})));
    stage.hears_stored(&sock, "room", "message", "d");
    stage.nothing_else();
}

pub(crate) fn a_name_is_one_apps_wherever_that_stands(stage: &mut Stage) {
    let app = Made::new(stage, "one of a kind");
    let taken = [keys(MAIN).ident, keys(OTHER).ident];
    for name in taken.iter().map(|ident| &**ident).chain(["one of a kind"]) {
        let body = json!({ "name": name });
        let (status, told) = stage.call("POST", "/apps", Some(&body));
        let errors = json!({"name": ["value is duplicate"]});
        assert_eq!((status, &told["errors"]), (400, &errors), "{name}: {told}");
        if name != "one of a kind" {
            let (status, told) = app.rest(stage, "PUT", &app.path(), Some(&body));
            assert_eq!((status, &told["errors"]), (400, &errors), "{name}: {told}");
        }
    }
    // Its own is not another's.
    let (status, told) = app.rest(stage, "PUT", &app.path(), Some(&app.record));
    assert_eq!((status, &told["name"]), (200, &json!("one of a kind")));
    Made::new(stage, "another of a kind");
}

pub(crate) fn who_makes_too_many_apps_is_told_until_when(stage: &mut Stage) {
    let made = (0..1_000).find_map(|n| {
        let body = json!({"name": format!("app {n}")});
        let answer = stage.call_for_all("POST", "/apps", Some(&body));
        (answer.status != 200).then_some((n, answer))
    });
    let (made, answer) = made.expect("a bound");
    assert_eq!((made, answer.status), (60, 429));
    let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let after = answer.header("Retry-After").expect("a number");
    let why = told["message"].as_str().expect("a text");
    assert!(
        why.ends_with(&format!("try again in {after} s")),
        "{after}: {why}"
    );
}

pub(crate) fn an_app_is_made_with_what_is_said_of_it(stage: &mut Stage) {
    let said = json!({
        "name": "said", "description": "d", "meta": {"a": 1}, "apn_sandbox": true, "apn_key": "k",
        "apn_cer": "c", "vapid_key": "v", "vapid_email": "a@example.com", "smtp_url": "smtp://h",
    });
    let mut asked = said.clone();
    // The server's to say.
    for name in ["ident", "key", "secret", "id", "other"] {
        asked[name] = json!("x");
    }
    let (status, told) = stage.call("POST", "/apps", Some(&asked));
    assert_eq!(status, 200, "{told}");
    for (name, value) in said.as_object().expect("an object") {
        assert_eq!(told[name], *value, "{name}");
    }
    assert_eq!(
        (told["enabled"].clone(), told["ident"] == "x"),
        (json!(true), false)
    );
    assert!(told.get("other").is_none());
    // All that is wrong is told, and nothing is made.
    let (status, told) = stage.call("POST", "/apps", Some(&json!({"name": "x", "meta": [1]})));
    assert_eq!((status, &told["result"]), (400, &json!("error")), "{told}");
    // One that is made switched off lets its owner in.
    let off = json!({"name": "x", "enabled": false});
    let (status, told) = stage.call("POST", "/apps", Some(&off));
    assert_eq!((status, &told["enabled"]), (200, &json!(false)), "{told}");
    let socket = format!("/{}", told["key"].as_str().expect("a text"));
    assert_eq!(stage.no_socket(&socket, &[]).status, 403);
}
