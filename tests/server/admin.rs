//! The admin as browsers, scripts and attackers meet it: signing in, the cookie, what may be done
//! with it, and lists that stay short.

use crate::client::{
    Peer, Socket, conn_id, connect, get, header, metric, publish, signed, subscriber, timed,
};
use crate::http::{self, Answer, lossy};
use crate::process::Server;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const COOKIE_SECRET: &str = "channelstream.cookie_secret=\"of the cookies\"";

/// The bytes of a request that signs in.
fn sign_in(user: &str, password: &str, headers: &[(String, String)]) -> Vec<u8> {
    let mut all = vec![header("Content-Type", "application/x-www-form-urlencoded")];
    all.extend_from_slice(headers);
    let body = format!("username={user}&password={password}");
    let body = Some(body.as_bytes());
    http::request("POST", "/admin/sign_in", "push.example", &all, body)
}

/// A good cookie, as `name=value`.
#[track_caller]
fn cookie(address: SocketAddr) -> String {
    let answer = Peer::new(address).ask(&sign_in("admin", "admin_secret", &[]));
    assert_eq!(answer.status, 302, "{}", lossy(&answer.body));
    let set = answer.header("set-cookie").expect("a cookie");
    set.split(';').next().expect("its first part").to_owned()
}

/// Asks with headers and without a body.
#[track_caller]
fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(n, v)| header(n, v)).collect();
    let body = (method == "POST").then_some(&b""[..]);
    Peer::new(address).ask(&http::request(method, path, "push.example", &headers, body))
}

/// The body as text; [`lossy`] shows only the beginning.
fn whole(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[track_caller]
fn json(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", lossy(&answer.body));
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// What the cookie opens.
#[track_caller]
fn opens(address: SocketAddr, cookie: &str) -> bool {
    let answer = ask(address, "GET", "/admin/admin.json", &[("Cookie", cookie)]);
    assert!(matches!(answer.status, 200 | 302), "{}", answer.status);
    let api = ask(address, "GET", "/admin/api/overview", &[("Cookie", cookie)]);
    let api_status = if answer.status == 200 { 200 } else { 401 };
    assert_eq!(api.status, api_status, "both ask for the same");
    answer.status == 200
}

#[test]
fn the_cookie_is_kept_from_scripts_and_other_sites() {
    let server = Server::run(&[]);
    let mut peer = Peer::new(server.address());
    let answer = peer.ask(&sign_in("+admin+", "+admin_secret+", &[]));
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), Some("http://push.example/admin"));
    let set = answer.header("set-cookie").expect("a cookie").to_owned();
    let parts: Vec<&str> = set.split("; ").skip(1).collect();
    assert_eq!(
        parts,
        ["Max-Age=2592000", "Path=/", "HttpOnly", "SameSite=Lax"]
    );

    let https = [header("X-Scheme", "https"), header("X-Script-Name", "/pre")];
    let answer = peer.ask(&sign_in("admin", "admin_secret", &https));
    let location = answer.header("location");
    assert_eq!(location, Some("https://push.example/pre/admin"));
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{set}");

    // What it opens, and what not.
    let cookie = cookie(server.address());
    let page = ask(server.address(), "GET", "/admin", &[("Cookie", &cookie)]);
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.body.len() < 150_000);
    let metrics = ask(server.address(), "GET", "/metrics", &[("Cookie", &cookie)]);
    assert_eq!(metrics.status, 200);
    assert!(metric(&whole(&metrics), "fanwire_connections_peak") >= Some(1.0));
    assert_eq!(ask(server.address(), "GET", "/metrics", &[]).status, 401);
    let info = ask(server.address(), "POST", "/info", &[("Cookie", &cookie)]);
    assert_eq!(info.status, 403, "not the server API");
}

#[test]
fn forged_expired_and_foreign_cookies_open_nothing() {
    let server = Server::run(&[COOKIE_SECRET]);
    let address = server.address();
    let good = cookie(address);
    assert!(opens(address, &good));
    assert!(opens(address, &format!("a=b; auth_tkt=old; {good}; c")));
    for wrong in [
        "",
        "auth_tkt",
        "auth_tkt=",
        "auth_tkt=garbage",
        &good[..good.len() - 1],
        &format!("{good}A"),
        &good.replace("auth_tkt", "Auth_tkt"),
        &good.replacen("=1", "=9", 1),
    ] {
        assert!(!opens(address, wrong), "{wrong}");
    }

    // As the server makes them, by the words of the source.
    let mac = |key: &[u8], parts: &[&[u8]]| {
        let mut state: Hmac<Sha256> = Hmac::new_from_slice(key).expect("any key");
        for part in parts {
            state.update(part);
        }
        state.finalize().into_bytes()
    };
    let made = |secret: &str, user: &str, password: &str, expires: u64| {
        let session = "fanwire admin session\0";
        let text = format!("{session}{user}\0{password}\0");
        let key = mac(secret.as_bytes(), &[text.as_bytes()]);
        let id = BASE64URL_NOPAD.encode(&[7; 16]);
        let user = BASE64URL_NOPAD.encode(user.as_bytes());
        let signed = format!("{expires}.{id}.{user}");
        let mac = mac(&key, &[b"cookie\0", signed.as_bytes()]);
        format!("auth_tkt={signed}.{}", BASE64URL_NOPAD.encode(&mac))
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.expect("it is later than 1970").as_secs();
    let secret = "of the cookies";
    assert!(opens(
        address,
        &made(secret, "admin", "admin_secret", now + 60)
    ));
    for wrong in [
        made(secret, "admin", "admin_secret", now - 1),
        made("of others", "admin", "admin_secret", now + 60),
        made("", "admin", "admin_secret", now + 60),
        made(secret, "admin", "an old password", now + 60),
        made(secret, "root", "admin_secret", now + 60),
    ] {
        assert!(!opens(address, &wrong), "{wrong}");
    }

    // Where no secret is set, each start has its own.
    let (one, other) = (Server::run(&[]), Server::run(&[]));
    let cookie = cookie(one.address());
    assert!(opens(one.address(), &cookie) && !opens(other.address(), &cookie));
    // Without a password nobody signs in.
    let closed = Server::run(&["channelstream.admin_secret=\"\""]);
    let answer = Peer::new(closed.address()).ask(&sign_in("admin", "", &[]));
    assert_eq!((answer.status, answer.header("set-cookie")), (200, None));
    assert!(!opens(closed.address(), &made("", "admin", "", now + 60)));
}

#[test]
fn a_wrong_password_waits_and_nobody_else_does() {
    let server = Server::run(&[]);
    let address = server.address();
    let mut wrong: Vec<Peer> = (0..3).map(|_| Peer::new(address)).collect();
    let mut other = Peer::new(address);
    let ((), took) = timed(|| {
        for (at, peer) in wrong.iter_mut().enumerate() {
            // What comes behind it is answered behind it.
            let password = format!("wrong{at}");
            let request = sign_in("admin", &password, &[]);
            peer.send(&[request, get("/health/live")].concat());
        }
        let ((), meanwhile) = timed(|| {
            for _ in 0..20 {
                assert_eq!(other.ask(&get("/health/live")).status, 200);
            }
            assert_eq!(other.ask(&publish("news", "one")).status, 200);
        });
        assert!(meanwhile < Duration::from_millis(450), "{meanwhile:?}");
        for peer in &mut wrong {
            let answer = peer.answer();
            assert_eq!((answer.status, answer.header("set-cookie")), (200, None));
            assert!(whole(&answer).contains("User name or password is wrong."));
            assert_eq!(peer.answer().status, 200);
        }
    });
    assert!(took >= Duration::from_millis(450), "{took:?}");
    assert!(took < Duration::from_millis(5_000), "{took:?}");

    // Who goes meanwhile is missed by nobody, and who has said all is answered all the same.
    let mut gone = Peer::new(address);
    gone.send(&sign_in("admin", "wrong", &[]));
    drop(gone);
    let mut half = Peer::new(address);
    half.send(&sign_in("nobody", "admin_secret", &[]));
    half.half_close();
    assert_eq!(half.answer().status, 200);
    half.ends();
    assert_eq!(other.ask(&get("/health/live")).status, 200);
}

#[test]
fn who_guesses_too_often_is_not_looked_at_for_a_while() {
    let server = Server::run(&[]);
    let address = server.address();
    let from = |who: &str| [header("X-Forwarded-For", who)];
    let mut peers: Vec<Peer> = (0..10).map(|_| Peer::new(address)).collect();
    for peer in &mut peers {
        peer.send(&sign_in("admin", "wrong", &from("203.0.113.9")));
    }
    for peer in &mut peers {
        assert_eq!(peer.answer().status, 200);
    }
    let mut peer = Peer::new(address);
    let right = sign_in("admin", "admin_secret", &from("203.0.113.9"));
    let (answer, took) = timed(|| peer.ask(&right));
    assert_eq!((answer.status, answer.header("set-cookie")), (429, None));
    assert!(took >= Duration::from_millis(450), "{took:?}");
    let wait = answer.header("retry-after").and_then(|s| s.parse().ok());
    assert!(wait.is_some_and(|wait: u32| (1..=60).contains(&wait)));
    // Others are not kept out by it, also behind the same proxy.
    let other = sign_in("admin", "admin_secret", &from("203.0.113.10"));
    assert_eq!(peer.ask(&other).status, 302);
}

#[test]
fn only_a_page_of_ours_acts_in_the_name_of_a_cookie() {
    let server = Server::run(&[]);
    let address = server.address();
    let mut socket = subscriber(address, "ann", "news");
    let id = conn_id(&mut Peer::new(address), "bob", &["news"]);
    let cookie = cookie(address);
    let me = ("Cookie", &cookie[..]);
    let session = json(&ask(address, "GET", "/admin/api/session", &[me]));
    let token = session["csrf"].as_str().expect("a token").to_owned();
    let list = json(&ask(
        address,
        "GET",
        "/admin/api/connections?search=ann",
        &[me],
    ));
    assert_eq!(list["rows"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["rows"][0]["transport"], "websocket");
    let row = list["rows"][0]["id"].as_str().expect("an id").to_owned();

    let close = |body: &str, headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers.iter().map(|(n, v)| header(n, v)).collect();
        let path = "/admin/api/connections/close";
        let body = Some(body.as_bytes());
        Peer::new(address).ask(&http::request("POST", path, "push.example", &headers, body))
    };
    let body = format!(r#"{{"id":"{row}"}}"#);
    let other = self::cookie(address);
    let others = json(&ask(
        address,
        "GET",
        "/admin/api/session",
        &[("Cookie", &other)],
    ));
    let others = others["csrf"].as_str().expect("a token");
    let csrf = ("X-CSRF-Token", &token[..]);
    let foreign = ("Sec-Fetch-Site", "cross-site");
    assert_eq!(close(&body, &[]).status, 401);
    for headers in [
        &[me][..],
        &[me, ("X-CSRF-Token", "")],
        &[me, ("X-CSRF-Token", others)],
        &[me, csrf, foreign],
        &[me, csrf, ("Origin", "http://evil.example")],
    ] {
        assert_eq!(close(&body, headers).status, 403, "{headers:?}");
    }
    // A link cannot do it at all.
    let path = "/admin/api/connections/close";
    assert_eq!(ask(address, "GET", path, &[me, csrf]).status, 404);
    for wrong in ["", "[]", r#"{"id":1}"#, r#"{"conn_id":"x"}"#] {
        assert_eq!(close(wrong, &[me, csrf]).status, 422, "{wrong}");
    }
    // Nothing of that closed anything; this does.
    assert_eq!(
        Peer::new(address)
            .ask(&publish("news", "still here"))
            .status,
        200
    );
    assert_eq!(socket.message(), "still here");
    assert_eq!(close(&body, &[me, csrf]).status, 200);
    assert_eq!(socket.is_closed(), 1000);
    assert_eq!(close(r#"{"id":"1"}"#, &[me, csrf]).status, 404);
    // By the id that applications know, and by a signature.
    let by_id = format!(r#"{{"conn_id":"{id}"}}"#);
    let mut peer = Peer::new(address);
    assert_eq!(peer.ask(&signed(path, &by_id)).status, 200);
    assert_eq!(peer.ask(&signed(path, &by_id)).status, 404);
    let report = json(&peer.ask(&signed("/admin/admin.json", "")));
    assert_eq!(report["total_connections"], 0, "{report}");
    assert_eq!(report["users"], serde_json::json!([]));

    // Signing out: not because another site says so; then the cookie is worth nothing any more.
    for method in ["GET", "POST"] {
        let answer = ask(address, method, "/admin/sign_out", &[me, foreign]);
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None));
    }
    assert!(opens(address, &cookie));
    let answer = ask(address, "POST", "/admin/sign_out", &[me]);
    assert_eq!(answer.status, 302);
    let set = answer.header("set-cookie").expect("it is taken back");
    assert!(set.starts_with("auth_tkt=; Max-Age=0;"), "{set}");
    assert!(!opens(address, &cookie) && opens(address, &other));
    // Nor does another site sign anybody in.
    let foreign = [header("Sec-Fetch-Site", "cross-site")];
    let answer = Peer::new(address).ask(&sign_in("admin", "admin_secret", &foreign));
    assert_eq!(answer.status, 403);
}

#[test]
fn no_header_of_a_caller_gets_into_a_link() {
    let server = Server::run(&[]);
    for host in ["evil.example/x", "a\"><b>", "user@evil.example", "a,b", "é"] {
        let request = http::request("GET", "/admin/sign_in", host, &[], None);
        let answer = Peer::new(server.address()).ask(&request);
        let page = lossy(&answer.body);
        assert!(
            matches!(answer.status, 200 | 400),
            "{host}: {}",
            answer.status
        );
        assert!(!page.contains(host), "{host}");
        let request = http::request("GET", "/admin", host, &[], None);
        let answer = Peer::new(server.address()).ask(&request);
        if answer.status == 302 {
            assert_eq!(answer.header("location"), Some("/admin/sign_in"));
        } else {
            assert_eq!(answer.status, 400, "{host}");
        }
    }
    for (name, value) in [
        ("X-Script-Name", "/\"><script>"),
        ("X-Script-Name", "//evil.example"),
        ("X-Scheme", "javascript"),
    ] {
        let answer = ask(server.address(), "GET", "/admin", &[(name, value)]);
        let location = answer.header("location");
        assert_eq!(location, Some("http://push.example/admin/sign_in"));
    }
}

#[test]
fn lists_come_in_pages_that_stay_short() {
    const CHANNELS: usize = 450;
    let server = Server::run(&[]);
    let address = server.address();
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("room {n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut peer = Peer::new(address);
    for (at, some) in all.chunks(100).enumerate() {
        conn_id(&mut peer, &format!("User {at}"), some);
    }
    let mut found = BTreeSet::new();
    let (mut from, mut pages) = (0, 0);
    loop {
        let path = format!("/admin/api/channels?limit=100000&from={from}");
        let page = json(&peer.ask(&signed_get(&path)));
        let rows = page["rows"].as_array().expect("rows");
        assert!(rows.len() <= 200, "{}", rows.len());
        for row in rows {
            let is_new = found.insert(row["name"].as_str().expect("a name").to_owned());
            assert!(is_new, "{row}");
        }
        pages += 1;
        let Some(next) = page["next"].as_u64() else {
            break;
        };
        assert!(next > from, "it goes on");
        from = next;
    }
    assert_eq!((found.len(), pages), (CHANNELS, 3));

    let page = json(&peer.ask(&signed_get("/admin/api/channels?search=ROOM+44")));
    assert_eq!(page["rows"].as_array().map(Vec::len), Some(11), "{page}");
    let page = json(&peer.ask(&signed_get("/admin/api/users?search=user&limit=2")));
    assert_eq!(page["rows"].as_array().map(Vec::len), Some(2));
    assert_eq!(page["rows"][0]["connection_count"], 1);
    assert!(page["next"].is_u64());
    let far = "/admin/api/connections?from=18446744073709551615&limit=18446744073709551615";
    let page = json(&peer.ask(&signed_get(far)));
    assert_eq!(page, serde_json::json!({"rows": [], "next": null}));
}

#[test]
fn connections_are_found_by_what_they_are_and_not_by_how_that_is_written() {
    let server = Server::run(&[]);
    let address = server.address();
    let mut peer = Peer::new(address);
    let name = r#"Z\u00d6e \"7\""#;
    let body = format!(r#"{{"username":"{name}","channels":["news"]}}"#);
    let answer = json(&peer.ask(&signed("/connect", &body)));
    let id = answer["conn_id"].as_str().expect("an id").to_owned();
    let _socket = Socket::open(connect(address), &id);
    let mut found = |search: &str| {
        let path = format!("/admin/api/connections?search={search}");
        let page = json(&peer.ask(&signed_get(&path)));
        let rows = page["rows"].as_array().expect("rows").clone();
        rows.iter().filter(|row| row["conn_id"] == *id).count()
    };
    for search in ["", "z%C3%B6E", "%227%22", &id[3..30], "websock"] {
        assert_eq!(found(search), 1, "{search}");
    }
    for search in ["conn_id", "age_ms", "user", "%22%3A%22", "news", "%5C%22"] {
        assert_eq!(found(search), 0, "{search}");
    }
}

/// A signed request without a body.
fn signed_get(path: &str) -> Vec<u8> {
    let signature = crate::client::signature(crate::process::SECRET, 0);
    let headers = [header("x-channelstream-secret", &signature)];
    http::request("GET", path, "localhost", &headers, None)
}

#[test]
fn a_channel_is_told_of_from_where_one_left_off() {
    let server = Server::run(&[]);
    let address = server.address();
    let mut peer = Peer::new(address);
    let id = conn_id(&mut peer, "ann", &["news"]);
    let mut socket = Socket::open(connect(address), &id);
    for text in ["one", "two"] {
        assert_eq!(peer.ask(&publish("news", text)).status, 200);
    }
    let whole = json(&peer.ask(&signed_get("/admin/api/channel?name=news")));
    assert_eq!(whole["members"], serde_json::json!(["ann"]));
    let texts = |page: &Value| {
        let tail = page["tail"].as_array().expect("a list").clone();
        let text = |entry: &Value| entry["frame"][0]["message"]["text"].clone();
        tail.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(texts(&whole), ["one", "two"]);
    let after = whole["sequence"].as_u64().expect("a place");
    let path = format!("/admin/api/channel?name=news&after={after}");
    let news = json(&peer.ask(&signed_get(&path)));
    assert_eq!(
        (texts(&news).len(), &news["sequence"]),
        (0, &whole["sequence"])
    );
    assert_eq!(peer.ask(&publish("news", "three")).status, 200);
    let news = json(&peer.ask(&signed_get(&path)));
    assert_eq!(texts(&news), ["three"]);
    assert!(news["members"].is_null(), "only what is new");
    assert_eq!(
        peer.ask(&signed_get("/admin/api/channel?name=olds")).status,
        404
    );
    assert_eq!(peer.ask(&signed_get("/admin/api/channel")).status, 404);

    let overview = json(&peer.ask(&signed_get("/admin/api/overview")));
    for (name, number) in [
        ("connections", 2),
        ("websockets", 1),
        ("published", 3),
        ("delivered", 3),
        ("channels", 1),
        ("users", 1),
    ] {
        assert_eq!(overview[name], number, "{name}");
    }
    assert!(overview["connections_peak"].as_u64() >= Some(2));
    assert_eq!(socket.message(), "one");
}
