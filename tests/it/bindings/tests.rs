//! Matchers and placeholders with right and wrong examples.

use super::*;

fn bindings() -> Bindings {
    Bindings::new("http://h:1".to_owned(), "secret".to_owned(), "abcdefgh")
}

fn json(text: &str) -> Json {
    Json::parse(text).expect(text)
}

/// Each case on its own: what is wanted, what matches, what does not.
fn check(want: &str, right: &[&str], wrong: &[&str]) {
    for got in right {
        let verdict = bindings().matches(&json(want), &json(got), "$");
        assert_eq!(verdict, Ok(()), "{want} should match {got}");
    }
    for got in wrong {
        let verdict = bindings().matches(&json(want), &json(got), "$");
        assert!(verdict.is_err(), "{want} should not match {got}");
    }
}

#[test]
fn plain_values_compare_by_type_and_value() {
    check("1", &["1", "1.0", "10e-1"], &["2", "true", "\"1\"", "null"]);
    check("true", &["true"], &["1", "false", "\"true\"", "null"]);
    check("false", &["false"], &["0", "null", "[]"]);
    check("null", &["null"], &["0", "false", "\"\"", "{}"]);
    check("\"a\"", &["\"a\"", "\"\\u0061\""], &["\"A\"", "[\"a\"]"]);
    check("[1, 2]", &["[1, 2]"], &["[2, 1]", "[1]", "[1, 2, 3]", "{}"]);
    check("[]", &["[ ]"], &["{}", "null", "[[]]"]);
    check(
        "123456789012345678901",
        &["123456789012345678901"],
        &["123456789012345678902", "1.2345678901234567e20"],
    );
}

#[test]
fn objects_have_exactly_the_keys() {
    check(
        r#"{"a": 1, "b": [true]}"#,
        &[r#"{"b": [true], "a": 1}"#],
        &[
            r#"{"a": 1}"#,
            r#"{"a": 1, "b": [true], "c": null}"#,
            r#"{"a": 1, "b": [1]}"#,
            "[]",
        ],
    );
    check("{}", &["{}"], &[r#"{"a": 1}"#, "[]", "null"]);
}

#[test]
fn unordered_is_a_list_in_any_order() {
    check(
        r#"{"$unordered": [1, {"a": "<any>"}, 1]}"#,
        &[r#"[{"a": null}, 1, 1]"#, r#"[1, 1, {"a": 5}]"#],
        &[
            r#"[{"a": null}, 1]"#,
            r#"[{"a": 1}, 1, 2]"#,
            r#"[{"a": 1}, 1, 1, 1]"#,
            r#"{"a": 1}"#,
            r#"[{"a": 1}, {"a": 1}, 1]"#,
        ],
    );
}

#[test]
fn contains_wants_each_entry_once_and_allows_more() {
    check(
        r#"{"$contains": ["x", "x"]}"#,
        &[r#"["x", 1, "x"]"#, r#"["x", "x"]"#],
        &[r#"["x"]"#, r#"["x", "y"]"#, "\"xx\"", "{}"],
    );
    check(r#"{"$contains": []}"#, &["[]", "[1]"], &["{}", "null"]);
}

#[test]
fn superset_allows_more_keys_and_min_more() {
    check(
        r#"{"$superset": {"a": {"$min": 2}}}"#,
        &[r#"{"a": 2}"#, r#"{"a": 7.5, "b": 1}"#],
        &[
            r#"{"b": 2}"#,
            r#"{"a": 1}"#,
            r#"{"a": true}"#,
            r#"{"a": "3"}"#,
            "[]",
        ],
    );
    check(
        r#"{"$superset": {}}"#,
        &["{}", r#"{"a": 1}"#],
        &["[]", "\"\""],
    );
}

#[test]
fn placeholders_match_their_form_only() {
    let uuid = "\"0a1b2c3d-0000-4000-8000-0123456789ab\"";
    for want in ["\"<uuid>\"", "\"<conn_id>\"", "\"<uuid:1>\""] {
        check(
            want,
            &[uuid],
            &[
                "\"0A1b2c3d-0000-4000-8000-0123456789ab\"",
                "\"0a1b2c3d000040008000-0123456789ab\"",
                "\"<uuid>\"",
                "\"\"",
                "1",
            ],
        );
    }
    check(
        "\"<datetime>\"",
        &[
            "\"2026-11-21T22:36:43.649648\"",
            "\"2026-11-21T22:36:43\"",
            "\"2026-11-21T22:36:43Z\"",
            "\"2026-11-21T22:36:43.649648-05:30\"",
        ],
        &[
            "\"2026-11-21T22:36:43.649\"",
            "\"2026-11-21 22:36:43\"",
            "\"2026-11-21T22:36\"",
            "\"2026-11-21T22:36:43+0100\"",
            "\"2026-11-21T22:36:43.649648z\"",
            "5",
        ],
    );
    check(
        "\"<uptime>\"",
        &["\"0:01:02\"", "\"1 day, 0:00:07\"", "\"13 days, 10:20:30\""],
        &["\"01:02\"", "\"days, 0:01:02\"", "\"0:1:2\"", "\"\"", "62"],
    );
    check("\"<int>\"", &["5", "-5"], &["5.0", "true", "\"5\"", "1e3"]);
    check("\"<string>\"", &["\"\"", "\"x\""], &["5", "null", "[]"]);
    check("\"<any>\"", &["5", "null", "{}"], &[]);
    check("\"a<any>\"", &["\"a<any>\""], &["\"ab\""]);
}

#[test]
fn the_first_match_binds_and_later_ones_must_be_equal() {
    let one = "\"11111111-1111-4111-8111-111111111111\"";
    let two = "\"22222222-2222-4222-8222-222222222222\"";
    let mut state = bindings();
    state
        .matches(&json("\"<uuid:1>\""), &json(one), "$")
        .expect("the first binds");
    state
        .matches(&json("\"<uuid:1>\""), &json(one), "$")
        .expect("the same again");
    assert!(
        state
            .matches(&json("\"<uuid:1>\""), &json(two), "$")
            .is_err()
    );
    state
        .matches(&json("\"<uuid:2>\""), &json(two), "$")
        .expect("another name");
    state
        .matches(&json("\"<uuid>\""), &json(two), "$")
        .expect("without a name");
    let inside = json("{\"<uuid:1>\": \"/<uuid:2>/\"}");
    let filled =
        r#"{"11111111-1111-4111-8111-111111111111": "/22222222-2222-4222-8222-222222222222/"}"#;
    state
        .matches(&inside, &json(filled), "$")
        .expect("inside strings and keys");
}

#[test]
fn a_candidate_that_fails_leaves_no_bindings() {
    let want = json(r#"{"$unordered": [{"id": "<uuid:1>", "n": 1}, {"id": "<uuid:2>", "n": 2}]}"#);
    let got = json(
        r#"[{"id": "22222222-2222-4222-8222-222222222222", "n": 2},
            {"id": "11111111-1111-4111-8111-111111111111", "n": 1}]"#,
    );
    let mut state = bindings();
    state.matches(&want, &got, "$").expect("in the other order");
    assert_eq!(
        state.value("<uuid:1>"),
        Some("11111111-1111-4111-8111-111111111111")
    );
}

#[test]
fn requests_are_filled_in() {
    let mut state = bindings();
    let mut resolve = |text: &str| state.resolve(text, 1_600_000_000);
    assert_eq!(resolve("a<repeat:é:3>b").as_deref(), Ok("aéééb"));
    assert_eq!(resolve("<origin>/x").as_deref(), Ok("http://h:1/x"));
    assert_eq!(
        resolve("<signature>").as_deref(),
        Ok("channelstream.X14QAA.QLT3kgcJYg14C3PAy4wtyg5uGgI")
    );
    assert_eq!(resolve("x<cookies:none>y").as_deref(), Ok("xy"));
    assert_eq!(
        resolve("1 < 2 <b> <repeat:x:y> <").as_deref(),
        Ok("1 < 2 <b> <repeat:x:y> <")
    );
    let id = resolve("<conn_id:7>").expect("made up when it is first used");
    assert!(is_uuid(&id));
    assert_eq!(
        resolve("/ws?conn_id=<conn_id:7>"),
        Ok(format!("/ws?conn_id={id}"))
    );
    assert_ne!(resolve("<conn_id:8>"), Ok(id));
    assert!(resolve("<datetime:1>").is_err() && resolve("<uuid>").is_err());
    let body = state.resolve_json(&json(r#"[{"<repeat:k:2>": "<origin>", "n": 1.50}]"#), 0);
    assert_eq!(body, Ok(json(r#"[{"kk": "http://h:1", "n": 1.50}]"#)));
}
