use super::*;
use crate::transport::http::{Header, Headers, Method};

/// Reads a request with this query, content type and body, and hands its fields on.
fn with<T>(
    query: &str,
    content_type: Option<&str>,
    body: &str,
    then: impl FnOnce(Result<Fields<'_>, Fault>) -> T,
) -> T {
    let headers: Vec<Header<'_>> = content_type
        .iter()
        .map(|value| Header {
            name: "content-TYPE",
            value: value.as_bytes(),
        })
        .collect();
    then(Fields::of(&Request {
        method: Method::Post,
        path: "/",
        query: (!query.is_empty()).then_some(query),
        is_1_1: true,
        headers: Headers(&headers),
        body: body.as_bytes(),
    }))
}

/// The fields of a request that is in order.
fn read<T>(
    query: &str,
    content_type: Option<&str>,
    body: &str,
    then: impl FnOnce(&Fields<'_>) -> T,
) -> T {
    with(query, content_type, body, |fields| {
        then(&fields.expect(body))
    })
}

const JSON: Option<&str> = Some("application/json");
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

fn text(fields: &Fields<'_>, name: &str) -> Field<String> {
    match fields.text(name).expect("a text") {
        Field::Absent => Field::Absent,
        Field::Null => Field::Null,
        Field::Is(text) => Field::Is(text.into_owned()),
    }
}

fn is(text: &str) -> Field<String> {
    Field::Is(text.to_owned())
}

#[test]
fn the_content_type_says_what_a_body_is() {
    let json = r#"{"a":"json"}"#;
    for content_type in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json;",
        "",
    ] {
        read("", Some(content_type), json, |fields| {
            assert_eq!(text(fields, "a"), is("json"), "{content_type}");
        });
    }
    read("", None, json, |fields| {
        assert_eq!(text(fields, "a"), is("json"))
    });
    for content_type in [
        "text/plain",
        "application/jsonx",
        "application/xml; x=application/json",
    ] {
        read("", Some(content_type), json, |fields| {
            assert_eq!(text(fields, "a"), Field::Absent, "{content_type}");
        });
        read("", Some(content_type), "{", |fields| {
            assert!(fields.json().is_empty())
        });
    }
    read("", FORM, "a=x+y&b=%C3%A9", |fields| {
        assert_eq!(text(fields, "a"), is("x y"));
        assert_eq!(text(fields, "b"), is("é"));
    });
    let parts = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx y\r\n--b--\r\n";
    read(
        "",
        Some("multipart/form-data; boundary=b"),
        parts,
        |fields| {
            assert_eq!(text(fields, "a"), is("x y"));
        },
    );
    for content_type in [None, JSON, FORM, Some("multipart/form-data")] {
        for empty in ["", "\r\n"] {
            read("q=1", content_type, empty, |fields| {
                assert_eq!(text(fields, "q"), is("1"));
            });
        }
    }
}

#[test]
fn bodies_that_are_not_what_they_say_are_refused() {
    for (content_type, body, status) in [
        (JSON, "not json", 400),
        (JSON, "{\"a\":1", 400),
        (JSON, "{\"a\":\"\\ud800\"}", 400),
        (JSON, "[1]", 400),
        (JSON, "null", 400),
        (JSON, "\"a\"", 400),
        (None, "not json", 400),
        (Some("multipart/form-data"), "--b--", 400),
        (Some("multipart/form-data; boundary=b"), "--c--", 400),
    ] {
        let fault = with("", content_type, body, |fields| fields.expect_err(body));
        assert_eq!(fault.status, status, "{body}");
    }
    let request = Request {
        method: Method::Post,
        path: "/",
        query: None,
        is_1_1: true,
        headers: Headers(&[Header {
            name: "Content-Type",
            value: b"application/x-www-form-urlencoded",
        }]),
        body: b"a=\xff",
    };
    assert_eq!(Fields::of(&request).map_err(|fault| fault.status), Err(400));
}

#[test]
fn fields_are_bounded() {
    let object = |count: usize| {
        let members: Vec<String> = (0..count).map(|at| format!("\"{at}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    let status = |content_type, body: &str| {
        with("", content_type, body, |fields| {
            fields.map(|_| ()).map_err(|fault| fault.status)
        })
    };
    assert_eq!(status(JSON, &object(PUSHI_FIELDS_MAX)), Ok(()));
    assert_eq!(status(JSON, &object(PUSHI_FIELDS_MAX + 1)), Err(413));
    assert_eq!(status(FORM, &"a=b&".repeat(PUSHI_FIELDS_MAX)), Ok(()));
    assert_eq!(status(FORM, &"a=b&".repeat(PUSHI_FIELDS_MAX + 1)), Err(413));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
    assert_eq!(status(JSON, &deep), Err(400));
}

#[test]
fn later_places_win_and_later_fields_too() {
    read("a=query", FORM, "a=form&b=form&b=again", |fields| {
        assert_eq!(text(fields, "a"), is("query"));
        assert_eq!(text(fields, "b"), is("again"));
        assert_eq!(text(fields, "c"), Field::Absent);
    });
    read(
        "a=first&a=last",
        JSON,
        r#"{"a":"json","b":"x","b":"y"}"#,
        |fields| {
            assert_eq!(text(fields, "a"), is("last"));
            assert_eq!(text(fields, "b"), is("y"));
            assert_eq!(fields.json().len(), 3);
        },
    );
    with("a=query", JSON, r#"{"a":"json"}"#, |fields| {
        let fields = fields.expect("fields").json_only();
        assert_eq!(text(&fields, "a"), is("json"));
        assert_eq!(fields.control("a"), None);
    });
}

#[test]
fn texts_are_made_of_numbers_and_booleans() {
    let json = r#"{"t":"x\ny","n":5,"f":2.50,"y":true,"no":false,"z":null,"e":"","l":[],"o":{}}"#;
    read("", JSON, json, |fields| {
        for (name, expected) in [
            ("t", is("x\ny")),
            ("n", is("5")),
            ("f", is("2.50")),
            ("y", is("True")),
            ("no", is("False")),
            ("z", Field::Null),
            ("e", is("")),
            ("missing", Field::Absent),
        ] {
            assert_eq!(text(fields, name), expected, "{name}");
        }
        for name in ["l", "o"] {
            let fault = fields.text(name).expect_err(name);
            let message = format!("Field '{name}' not compatible with type 'str'");
            assert_eq!((fault.status, &*fault.message), (400, &*message));
        }
    });
}

#[test]
fn booleans_of_records() {
    let json = r#"{"y":true,"n":false,"one":1,"zero":0,"t":"False","u":"yes","z":null,"l":[]}"#;
    read("q=False&r=True&s=", JSON, json, |fields| {
        for (name, expected) in [
            ("y", Field::Is(true)),
            ("n", Field::Is(false)),
            ("one", Field::Is(true)),
            ("zero", Field::Is(false)),
            ("t", Field::Is(false)),
            ("u", Field::Is(true)),
            ("z", Field::Null),
            ("q", Field::Is(false)),
            ("r", Field::Is(true)),
            ("s", Field::Is(false)),
            ("missing", Field::Absent),
        ] {
            assert_eq!(fields.boolean(name), Ok(expected), "{name}");
        }
        assert_eq!(fields.boolean("l").map_err(|fault| fault.status), Err(400));
    });
}

#[test]
fn objects_of_records() {
    let json = r#"{"o":{ "a" : [1, " "] },"t":"{ }","z":null,"l":[],"n":5,"x":"{","y":"[]"}"#;
    read("q={\"b\":1}&r=x", JSON, json, |fields| {
        for (name, expected) in [
            ("o", is(r#"{"a":[1," "]}"#)),
            ("t", is("{}")),
            ("z", Field::Null),
            ("q", is("{\"b\":1}")),
            ("missing", Field::Absent),
        ] {
            assert_eq!(fields.object(name), Ok(expected), "{name}");
        }
        for name in ["l", "n", "x", "y", "r"] {
            let fault = fields.object(name).expect_err(name);
            assert!(fault.message.ends_with("type 'dict'"), "{name}");
        }
    });
}

#[test]
fn control_fields_are_never_in_json() {
    let json = r#"{"force":true,"count":5,"auth":"x"}"#;
    read("", JSON, json, |fields| {
        assert!(!fields.flag("force") && fields.control("auth").is_none());
        assert_eq!(fields.number("count", 10), Ok(10));
    });
    read(
        "auth=query&f=",
        FORM,
        "auth=form&force=1&count=7",
        |fields| {
            assert_eq!(fields.control("auth"), Some("query"));
            assert!(fields.flag("force"));
            assert_eq!(fields.number("count", 10), Ok(7));
            assert_eq!((fields.control("f"), fields.filter("f")), (Some(""), None));
            assert_eq!(fields.filter("auth"), Some("query"));
        },
    );
    for (query, expected) in [
        ("force=", false),
        ("force=0", false),
        ("force=false", false),
        ("force=False", false),
        ("force", false),
        ("", false),
        ("force=1", true),
        ("force=True", true),
        ("force=FALSE", true),
        ("force=no", true),
        ("force=00", true),
        ("force=1&force=0", false),
    ] {
        read(query, None, "", |fields| {
            assert_eq!(fields.flag("force"), expected, "{query}")
        });
    }
}

#[test]
fn numbers_in_the_query() {
    let number = |text: &str| {
        read(&format!("count={text}"), None, "", |fields| {
            fields.number("count", 10)
        })
    };
    let nines = "9".repeat(40);
    for (text, expected) in [
        ("0", 0),
        ("7", 7),
        ("007", 7),
        ("+7+", 7),
        ("1000000000", 1_000_000_000),
        (&nines, u64::MAX),
    ] {
        assert_eq!(number(text), Ok(expected), "{text}");
    }
    for text in ["abc", "", "1.5", "%2B5", "1e3", "--1", "0x10", "٣"] {
        let fault = number(text).expect_err(text);
        assert_eq!(
            fault.message,
            "Field 'count' not compatible with type 'int'"
        );
    }
    let fault = number("-1").expect_err("negative");
    assert_eq!(fault.message, "Field 'count' must not be negative");
}

#[test]
fn sids_are_found_in_forms_alone() {
    let sid = |content_type: &str, body: &str| {
        let request = Request {
            method: Method::Post,
            path: "/",
            query: None,
            is_1_1: true,
            headers: Headers(&[Header {
                name: "Content-Type",
                value: content_type.as_bytes(),
            }]),
            body: body.as_bytes(),
        };
        sid_in_form(&request).map(Cow::into_owned)
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(sid(form, "a=b&sid=1&sid=2").as_deref(), Some("2"));
    assert_eq!(sid(form, "a=b"), None);
    assert_eq!(sid(form, ""), None);
    assert_eq!(sid("application/json", r#"{"sid":"1"}"#), None);
    let parts = "--b\r\nContent-Disposition: form-data; name=sid\r\n\r\nabc\r\n--b--";
    let in_parts = "multipart/form-data; boundary=b";
    assert_eq!(sid(in_parts, parts).as_deref(), Some("abc"));
    assert_eq!(sid(in_parts, "broken"), None);
    assert_eq!(sid("multipart/form-data", parts), None);
}
