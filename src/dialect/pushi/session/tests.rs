use super::*;
use crate::transport::http::{Header, Headers, Method};

const NOW: u64 = 1_795_300_420;
const APP: AppRow = AppRow(7);

/// The `number`th of the sessions that begin at this time.
fn session(app: AppRow, unix_s: u64, number: u32) -> Sid {
    let mut random = [0xff; 16];
    random[..4].copy_from_slice(&number.to_be_bytes());
    SessionKey::new("secret").issue(app, unix_s, random)
}

/// The same without a proof, which takes time to make and which sessions that ended need no more.
fn unproved(app: AppRow, unix_s: u64, number: u32) -> Sid {
    let mut bytes = first_of(app, unix_s);
    bytes[10..14].copy_from_slice(&number.to_be_bytes());
    Sid(bytes)
}

#[test]
fn a_sid_says_whose_it_is_and_since_when() {
    let sid = Sid(issue(APP, "secret", NOW, [9; 16]));
    let text = sid.to_string();
    assert!(text.starts_with("00000007"));
    assert_eq!(&text[8..20], format!("{NOW:012x}"));
    assert_eq!(&text[20..32], "090909090909");
    assert_eq!(text.len(), 64);
    let parsed = Sid::parse(&text).expect("our own");
    assert_eq!(parsed, sid);
    assert_eq!((parsed.app(), parsed.issued_s()), (APP, NOW));
    assert_eq!(Sid::from_bytes(parsed.bytes()), sid);
    let shown = format!("{sid:?}");
    assert!(!shown.contains(&text[32..]), "{shown}");
    let late = Sid(issue(AppRow(u32::MAX), "s", u64::MAX, [0; 16]));
    assert_eq!(
        (late.app(), late.issued_s()),
        (AppRow(u32::MAX), ISSUED_S_MAX)
    );
}

#[test]
fn a_sid_is_good_for_31_days() {
    let sid = session(APP, NOW, 0);
    let key = SessionKey::new("secret");
    assert_eq!(PUSHI_SESSION_S, 2_678_400);
    for (unix_s, expected) in [
        (NOW, true),
        (NOW + PUSHI_SESSION_S - 1, true),
        (NOW + PUSHI_SESSION_S, false),
        (u64::MAX, false),
        // A clock that was set back.
        (NOW - PUSHI_SESSION_AHEAD_S, true),
        (NOW - PUSHI_SESSION_AHEAD_S - 1, false),
        (0, false),
    ] {
        assert_eq!(key.check(&sid, unix_s), expected, "{unix_s}");
        assert_eq!(sid.check("secret", unix_s), expected);
    }
}

#[test]
fn forged_sids_and_those_of_other_secrets_are_refused() {
    let sid = session(APP, NOW, 0);
    for secret in ["", "Secret", "secret2", "other"] {
        assert!(!sid.check(secret, NOW), "{secret}");
    }
    for at in 0..32 {
        for bit in 0..8 {
            let mut bytes = sid.bytes();
            bytes[at] ^= 1 << bit;
            assert!(!Sid::from_bytes(bytes).check("secret", NOW), "{at} {bit}");
        }
    }
    // A signature of a channel with the same secret proves nothing here.
    let mut state = keyed(b"secret");
    state.update(&sid.bytes()[..SIGNED_BYTES]);
    let mut bytes = sid.bytes();
    bytes[SIGNED_BYTES..].copy_from_slice(&state.finalize().into_bytes()[..16]);
    assert!(!Sid::from_bytes(bytes).check("secret", NOW));
}

#[test]
fn sids_have_one_form() {
    let text = session(APP, NOW, 0xabcd).to_string();
    assert!(Sid::parse(&text).is_some());
    for wrong in [
        "",
        "0",
        &text[1..],
        &format!("{text}0"),
        &format!(" {}", &text[1..]),
        &text.to_uppercase(),
        &text.replacen('0', "g", 1),
        &"é".repeat(32),
        &"\0".repeat(64),
    ] {
        assert_eq!(Sid::parse(wrong), None, "{wrong}");
    }
}

/// The sid of a request with this query, these headers and this form.
fn found(query: &str, headers: &[(&str, &str)], form: &str) -> Option<String> {
    let mut all: Vec<Header<'_>> = headers
        .iter()
        .map(|&(name, value)| Header {
            name,
            value: value.as_bytes(),
        })
        .collect();
    if !form.is_empty() {
        all.push(Header {
            name: "Content-Type",
            value: b"application/x-www-form-urlencoded",
        });
    }
    let request = Request {
        method: Method::Post,
        path: "/apps",
        query: Some(query),
        is_1_1: true,
        headers: Headers(&all),
        body: form.as_bytes(),
    };
    find_sid(&request).map(Cow::into_owned)
}

#[test]
fn sids_are_looked_for_in_order() {
    let header = ("x-session-id", "header");
    let cookie = ("cookie", "sid=cookie;lang=en;path=/");
    let query = "session_id=second&_sid=third&sid=first";
    for (query, headers, form, expected) in [
        (query, &[header, cookie][..], "sid=form", Some("header")),
        (query, &[cookie], "sid=form", Some("first")),
        (
            "_sid=third&session_id=second",
            &[cookie],
            "sid=form",
            Some("second"),
        ),
        ("_sid=third", &[cookie], "sid=form", Some("third")),
        ("", &[cookie], "sid=form", Some("form")),
        ("", &[cookie], "session_id=form", Some("cookie")),
        ("", &[cookie], "", Some("cookie")),
        ("", &[], "", None),
        // What is empty is none.
        (
            "sid=&session_id=second",
            &[("X-Session-Id", ""), cookie],
            "",
            Some("second"),
        ),
        ("sid=", &[cookie], "sid=", Some("cookie")),
        ("sid=a%20b", &[], "", Some("a b")),
    ] {
        assert_eq!(
            found(query, headers, form).as_deref(),
            expected,
            "{query} {form}"
        );
    }
}

#[test]
fn cookies_are_read_as_they_come() {
    let ours = session(APP, NOW, 1).to_string();
    let cookies = |value: &str| found("", &[("Cookie", value)], "");
    for (value, expected) in [
        ("sid=a", Some("a")),
        ("lang=en; sid=a", Some("a")),
        (" sid = \"a\" ;x", Some("a")),
        (
            "sid=a;lang=en;path=/;expires=Thu, 01 Jan 2026 00:00:00 GMT;",
            Some("a"),
        ),
        ("xsid=a; sidx=b; SID=c", None),
        ("sid", None),
        ("sid=", None),
        ("sid=; sid=b", Some("b")),
        ("sid=a; sid=b", Some("a")),
        (";;=;", None),
        ("", None),
    ] {
        assert_eq!(cookies(value).as_deref(), expected, "{value}");
    }
    assert_eq!(cookies(&format!("sid=a; sid={ours}")), Some(ours.clone()));
    let two = [("Cookie", "sid=a"), ("Cookie", &*format!("sid={ours}"))];
    assert_eq!(found("", &two, ""), Some(ours));
}

#[test]
fn cookies_are_not_for_scripts() {
    let sid = session(APP, NOW, 1);
    let expected = format!("sid={sid}; Path=/; Max-Age=2678400; HttpOnly; SameSite=Lax");
    assert_eq!(cookie(Some(&sid), false, false), expected);
    assert_eq!(cookie(Some(&sid), false, true), expected);
    assert_eq!(
        cookie(Some(&sid), true, false),
        format!("{expected}; Secure")
    );
    let elsewhere = "; HttpOnly; SameSite=None; Secure; Partitioned";
    assert!(cookie(Some(&sid), true, true).ends_with(elsewhere));
    assert!(cookie(None, true, true).ends_with(elsewhere));
    let taken = cookie(None, true, false);
    assert_eq!(
        taken,
        "sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"
    );
    assert_eq!(
        found("", &[("Cookie", &*expected)], ""),
        Some(sid.to_string())
    );
}

fn end_session(sid: &Sid) -> Write {
    Write::EndSession {
        app: sid.app(),
        session: sid.bytes(),
        until_unix_s: sid.issued_s() + PUSHI_SESSION_S,
    }
}

fn before(unix_s: u64) -> Write {
    Write::EndSessionsBefore {
        app: APP,
        unix_s,
        until_unix_s: unix_s + PUSHI_SESSION_S,
    }
}

#[test]
fn who_logged_out_stays_out() {
    let mut ended = EndedSessions::default();
    let sid = session(APP, NOW, 1);
    assert!(!ended.is_over(&sid));
    assert_eq!(ended.end(&sid, NOW), [end_session(&sid)]);
    assert!(ended.is_over(&sid));
    assert_eq!(ended.end(&sid, NOW), [end_session(&sid)], "it may be lost");
    for other in [session(APP, NOW, 2), session(AppRow(8), NOW, 1)] {
        assert!(!ended.is_over(&other));
    }
    let mut next_start = EndedSessions::default();
    next_start.restore(&sid);
    assert!(next_start.is_over(&sid));
}

#[test]
fn sessions_of_an_app_end_by_their_age() {
    let mut ended = EndedSessions::default();
    let (old, new) = (session(APP, NOW, 1), session(APP, NOW + 1, 2));
    ended.end(&old, NOW);
    ended.end(&new, NOW);
    ended.end_before(APP, NOW + 1);
    let others = [session(APP, NOW, 3), session(APP, NOW + 1, 4)];
    assert_eq!(others.map(|sid| ended.is_over(&sid)), [true, false]);
    assert!(ended.is_over(&old) && ended.is_over(&new));
    assert_eq!(
        ended.apps[&APP].sids.len(),
        1,
        "what is too old anyway is not kept"
    );
    // Never back to an earlier time, and not for others.
    ended.end_before(APP, NOW);
    assert!(ended.is_over(&others[0]));
    assert!(!ended.is_over(&session(AppRow(8), NOW, 1)));
    ended.restore(&others[0]);
    assert_eq!(ended.apps[&APP].sids.len(), 1);
    assert_eq!(ended.end(&others[0], NOW), [before(NOW + 1)]);
    assert_eq!(ended.apps[&APP].sids.len(), 1);
}

#[test]
fn expired_sessions_are_forgotten() {
    let mut ended = EndedSessions::default();
    for at in 0..10 {
        ended.end(&session(APP, NOW + at, 0), NOW + at);
    }
    let last = session(APP, NOW + 20, 0);
    ended.end(&last, NOW + 5 + PUSHI_SESSION_S);
    // Those of the seconds 6 to 9, and the last one.
    assert_eq!(ended.apps[&APP].sids.len(), 5);
}

#[test]
fn with_too_many_the_older_half_is_over_and_nothing_comes_back() {
    let mut ended = EndedSessions::default();
    let most = PUSHI_ENDED_SESSIONS_MAX as u64;
    let sid = |at: u64| unproved(APP, NOW + at / 4, at as u32);
    for at in 0..most {
        assert_eq!(ended.end(&sid(at), NOW).len(), 1);
    }
    let unharmed = unproved(AppRow(8), NOW, 1);
    let writes = ended.end(&sid(most), NOW);
    let from = NOW + most / 8 + 1;
    assert_eq!(writes, [before(from), end_session(&sid(most))]);
    assert!((0..=most).all(|at| ended.is_over(&sid(at))));
    assert!(ended.apps[&APP].sids.len() <= PUSHI_ENDED_SESSIONS_MAX / 2 + 1);
    // Others of that age are over, too; younger ones are not.
    assert!(ended.is_over(&unproved(APP, from - 1, u32::MAX)));
    assert!(!ended.is_over(&unproved(APP, from, u32::MAX)));
    assert!(!ended.is_over(&unharmed));

    // The same after a restart, whatever the store kept of those before.
    let mut next_start = EndedSessions::default();
    next_start.end_before(APP, from);
    (0..=most).for_each(|at| next_start.restore(&sid(at)));
    assert!((0..=most).all(|at| next_start.is_over(&sid(at))));
    assert_eq!(next_start.apps[&APP].sids, ended.apps[&APP].sids);
}

#[test]
fn sessions_of_one_second_all_go_at_once() {
    let mut ended = EndedSessions::default();
    for number in 0..PUSHI_ENDED_SESSIONS_MAX as u32 {
        ended.restore(&unproved(APP, NOW, number));
    }
    // It is covered by what holds for all, and needs no place of its own.
    let one_more = unproved(APP, NOW, u32::MAX);
    assert_eq!(ended.end(&one_more, NOW), [before(NOW + 1)]);
    assert!(ended.is_over(&one_more) && ended.apps[&APP].sids.is_empty());
}
