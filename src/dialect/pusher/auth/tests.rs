//! Tests beside the vectors, which are in `tests/vectors/`.

use super::*;
use proptest::prelude::*;

const AT: u64 = 1_600_000_000;
const PATH: &str = "/apps/3/events";

fn keys() -> Keys {
    Keys::new("key", "secret")
}

/// A query with this signed text's signature behind these parameters.
fn query_for(params: &str, signed: &str) -> String {
    format!(
        "{params}&auth_signature={}",
        keys().digest(&[signed.as_bytes()])
    )
}

/// What every request has.
const AUTH: &str = "auth_key=key&auth_timestamp=1600000000&auth_version=1.0";

#[track_caller]
fn takes(path: &str, query: &str) {
    assert_eq!(keys().check_request("GET", path, query, b"", AT), Ok(()));
}

#[track_caller]
fn refuses(query: &str, body: &[u8], fault: &AuthFault) {
    let found = keys().check_request("POST", PATH, query, body, AT);
    assert_eq!(found.as_ref(), Err(fault), "{query}");
}

#[test]
fn what_is_signed_is_taken() {
    let keys = keys();
    for (method, path, params, body) in [
        ("GET", "/apps/3/channels", &[][..], &b""[..]),
        ("POST", "/apps/3/events", &[], b"{}"),
        ("POST", "/apps/3/events", &[], b"\xff\0"),
        (
            "GET",
            "/a",
            &[("info", "user_count,cache"), ("filter_by_prefix", "a b")],
            b"",
        ),
        (
            "GET",
            "/a",
            &[("Ab", "ž + &=%"), ("aa", ""), ("", "x")],
            b"",
        ),
        ("GET", "/a%20b/%C3%A9", &[("x[]", "2"), ("x[]", "1")], b""),
        ("GET", "/a%zz", &[("x[0]", "2"), ("x[1]", "1")], b""),
    ] {
        let query = keys.sign_request(method, path, params, body, AT);
        assert!(query.is_ascii() && !query.contains(' '));
        assert_eq!(
            keys.check_request(method, path, &query, body, AT),
            Ok(()),
            "{query}"
        );
        let fault = keys.check_request(method, "/b", &query, body, AT);
        assert!(
            matches!(fault, Err(AuthFault::Signature { .. })),
            "{fault:?}"
        );
    }
}

#[test]
fn the_window_is_ten_minutes_either_way() {
    let keys = keys();
    let query = keys.sign_request("GET", PATH, &[], b"", AT);
    for now in [AT - 600, AT, AT + 600] {
        assert_eq!(keys.check_request("GET", PATH, &query, b"", now), Ok(()));
    }
    for now in [0, AT - 601, AT + 601, u64::MAX] {
        let fault = AuthFault::Timestamp {
            signed_unix_s: AT,
            unix_s: now,
        };
        assert_eq!(
            keys.check_request("GET", PATH, &query, b"", now),
            Err(fault)
        );
    }
    for (wrong, fault) in [
        ("", AuthFault::NoTimestamp),
        ("x", AuthFault::NoTimestamp),
        ("-1600000000", AuthFault::NoTimestamp),
        ("%2B1600000000", AuthFault::NoTimestamp),
        ("1600000000.5", AuthFault::NoTimestamp),
        ("99999999999999999999", AuthFault::NoTimestamp),
        (
            "1600000000000",
            AuthFault::Timestamp {
                signed_unix_s: 1_600_000_000_000,
                unix_s: AT,
            },
        ),
    ] {
        let query = format!("auth_key=key&auth_version=1.0&auth_timestamp={wrong}");
        refuses(&query, b"", &fault);
    }
}

#[test]
fn faults_are_told_in_order() {
    let known = format!("{AUTH}&auth_signature=x");
    let signature = |params: &str| AuthFault::Signature {
        text: format!("POST\n{PATH}\n{params}"),
    };
    refuses("", b"", &AuthFault::Key);
    refuses("auth_key=", b"", &AuthFault::Key);
    refuses("auth_key=other&auth_version=2", b"x", &AuthFault::Key);
    refuses("auth_key=KEY", b"", &AuthFault::Key);
    refuses("auth_key=key", b"x", &AuthFault::Version);
    refuses("auth_key=key&auth_version=1", b"x", &AuthFault::Version);
    refuses(
        "auth_key=key&auth_version=1.0",
        b"x",
        &AuthFault::NoTimestamp,
    );
    refuses(&known, b"x", &AuthFault::NoBodyDigest);
    refuses(&format!("{known}&body_md5="), b"x", &AuthFault::BodyDigest);
    refuses(&known, b"", &signature(AUTH));
    refuses(AUTH, b"", &signature(AUTH));
    let twice = format!("{AUTH}&info=a&info=b");
    refuses(&twice, b"", &signature(&twice));
}

#[test]
fn the_digest_of_the_body_is_looked_at_even_without_one() {
    let keys = keys();
    let of_nothing = "d41d8cd98f00b204e9800998ecf8427e";
    let query = keys.sign_request("GET", PATH, &[(BODY_MD5, of_nothing)], b"", AT);
    assert_eq!(keys.check_request("GET", PATH, &query, b"", AT), Ok(()));
    for wrong in [&of_nothing.to_uppercase(), "", "0"] {
        let query = keys.sign_request("GET", PATH, &[(BODY_MD5, wrong)], b"", AT);
        let found = keys.check_request("GET", PATH, &query, b"", AT);
        assert_eq!(found, Err(AuthFault::BodyDigest));
    }
    let query = keys.sign_request("POST", PATH, &[], b"{}", AT);
    for body in [&b"{} "[..], b"", b"{"] {
        let found = keys.check_request("POST", PATH, &query, body, AT);
        assert_eq!(found, Err(AuthFault::BodyDigest));
    }
}

#[test]
fn parameters_that_stand_there_twice_are_refused() {
    let repeated = |name: &str| AuthFault::Repeated {
        name: name.to_owned(),
    };
    for name in [KEY, TIMESTAMP, VERSION, SIGNATURE, BODY_MD5] {
        let good = keys().sign_request("POST", PATH, &[], b"x", AT);
        let value = param(&good, name).expect("it is there");
        for again in [
            name.to_owned(),
            name.to_uppercase(),
            name.replace('_', "%5F"),
        ] {
            // Before and behind, with the same value and another one.
            refuses(&format!("{good}&{again}={value}"), b"x", &repeated(name));
            refuses(&format!("{again}=y&{good}"), b"x", &repeated(name));
        }
    }
    for (params, name) in [
        ("info=a&info=b", "info"),
        ("Info=a&info=b", "info"),
        ("INFO=a&info=a", "info"),
        ("x[0]=a&x[0]=b", "x[0]"),
    ] {
        let lower = params.to_lowercase();
        let query = query_for(
            &format!("{AUTH}&{params}"),
            &format!("POST\n{PATH}\n{AUTH}&{lower}"),
        );
        refuses(&query, b"", &repeated(name));
    }
}

#[test]
fn lists_are_taken_in_both_forms() {
    // As they stand, in the given order.
    for params in ["x[]=b&x[]=a", "x%5B%5D=b&x[]=a"] {
        let signed = format!("GET\n/a\n{AUTH}&x[]=b&x[]=a");
        takes("/a", &query_for(&format!("{params}&{AUTH}"), &signed));
        let other_order = format!("GET\n/a\n{AUTH}&x[]=a&x[]=b");
        let query = query_for(&format!("{params}&{AUTH}"), &other_order);
        assert!(keys().check_request("GET", "/a", &query, b"", AT).is_err());
    }
    // Joined with commas, under their name.
    let signed = format!("GET\n/a\n{AUTH}&info=b,a&z=1");
    for params in [
        "info[]=b&info[]=a&z=1",
        "info%5B0%5D=b&info%5B1%5D=a&z=1",
        "z=1&info[1]=a&info[0]=b",
    ] {
        takes("/a", &query_for(&format!("{AUTH}&{params}"), &signed));
    }
    // In the order of numbers, not of texts.
    let params: Vec<String> = (0..12).map(|at| format!("i[{at}]={at}")).collect();
    let values: Vec<String> = (0..12).map(|at| at.to_string()).collect();
    let signed = format!("GET\n/a\n{AUTH}&i={}", values.join(","));
    takes(
        "/a",
        &query_for(&format!("{AUTH}&{}", params.join("&")), &signed),
    );
    // What only looks like a list stays as it is.
    for param in ["x[a]=1", "[]=1", "[0]=1", "x]=1", "x[=1", "x[0]y=1"] {
        let first = if param.starts_with('[') {
            format!("{param}&{AUTH}")
        } else {
            format!("{AUTH}&{param}")
        };
        takes(
            "/a",
            &query_for(&format!("{AUTH}&{param}"), &format!("GET\n/a\n{first}")),
        );
    }
    // A plain parameter and a list of the same name are two.
    let query = query_for(
        &format!("{AUTH}&x=1&x[0]=2"),
        &format!("GET\n/a\n{AUTH}&x=1,2"),
    );
    assert!(keys().check_request("GET", "/a", &query, b"", AT).is_err());
}

#[test]
fn paths_are_taken_as_they_stand_or_decoded() {
    let path = "/apps/3/users/a%40b%20%C3%A9/terminate_connections";
    for signed in [path, "/apps/3/users/a@b é/terminate_connections"] {
        takes(path, &query_for(AUTH, &format!("GET\n{signed}\n{AUTH}")));
    }
    // With a list that is joined, too.
    let signed = format!("GET\n/a b\n{AUTH}&x=1,2");
    takes(
        "/a%20b",
        &query_for(&format!("{AUTH}&x[]=1&x[]=2"), &signed),
    );
    for path in ["/a%00", "/a%ff", "/a%"] {
        takes(path, &query_for(AUTH, &format!("GET\n{path}\n{AUTH}")));
    }
    let query = query_for(AUTH, &format!("GET\n/a%2Fb\n{AUTH}"));
    assert!(
        keys()
            .check_request("GET", "/a/b", &query, b"", AT)
            .is_err()
    );
}

#[test]
fn values_are_signed_decoded() {
    let signed = format!("GET\n/a\n{AUTH}&info=a,b c");
    for params in [
        "info=a,b%20c",
        "info=a%2Cb+c",
        "INFO=a%2cb%20c",
        "&&info=a,b+c&",
    ] {
        takes("/a", &query_for(&format!("{AUTH}&{params}"), &signed));
    }
}

#[test]
fn another_key_or_secret_is_refused() {
    let query = keys().sign_request("GET", PATH, &[], b"", AT);
    let check = |keys: Keys| keys.check_request("GET", PATH, &query, b"", AT);
    assert_eq!(check(Keys::new("other", "secret")), Err(AuthFault::Key));
    assert_eq!(check(Keys::new("ke", "secret")), Err(AuthFault::Key));
    assert!(matches!(
        check(Keys::new("key", "")),
        Err(AuthFault::Signature { .. })
    ));
}

#[test]
fn keys_of_sockets_end_at_the_first_colon() {
    let keys = keys();
    let auth = keys.channel_auth("1.2", "private-a", None);
    assert!(keys.allows_channel(&auth, "1.2", "private-a", None));
    for wrong in [
        "",
        ":",
        "key",
        "key:",
        &format!("{auth}:"),
        &format!("{auth} "),
        &format!(":{auth}"),
        &format!("key:{auth}"),
        &auth.replace("key", "ke"),
        &auth.replace("key", "key2"),
        &auth[..auth.len() - 1],
    ] {
        assert!(
            !keys.allows_channel(wrong, "1.2", "private-a", None),
            "{wrong}"
        );
        assert!(!keys.allows_signin(wrong, "1.2", "{}"), "{wrong}");
    }
}

#[test]
fn auth_is_for_one_socket_channel_and_purpose() {
    let keys = keys();
    let data = r#"{"user_id":"1"}"#;
    let auth = keys.channel_auth("1.2", "presence-a", Some(data));
    let allows = |socket_id, channel, data| keys.allows_channel(&auth, socket_id, channel, data);
    assert!(allows("1.2", "presence-a", Some(data)));
    assert!(!allows("1.3", "presence-a", Some(data)));
    assert!(!allows("1.2", "presence-b", Some(data)));
    assert!(!allows("1.2", "presence-cache-a", Some(data)));
    assert!(!allows("1.2", "presence-a", None));
    assert!(!allows("1.2", "presence-a", Some("")));
    assert!(!allows("1.2", "presence-a", Some(r#"{"user_id": "1"}"#)));
    // Where members have no data it is not signed, even if it comes along.
    let auth = keys.channel_auth("1.2", "private-cache-a", Some(data));
    assert_eq!(auth, keys.channel_auth("1.2", "private-cache-a", None));
    assert!(keys.allows_channel(&auth, "1.2", "private-cache-a", Some("anything")));
    // Signing in is another text.
    let auth = keys.signin_auth("1.2", "{}");
    assert!(keys.allows_signin(&auth, "1.2", "{}"));
    assert!(!keys.allows_channel(&auth, "1.2", "user", Some("{}")));
    assert!(!keys.allows_signin(&auth, "1.22", "{}"));
}

#[test]
fn the_key_is_found_before_the_app_is() {
    assert_eq!(auth_key("a=b&auth_key=k%2B1&c"), Some("k+1".into()));
    assert_eq!(auth_key("AUTH_KEY=k"), Some("k".into()));
    assert_eq!(auth_key("auth_key"), Some("".into()));
    assert_eq!(auth_key("xauth_key=k"), None);
    assert_eq!(auth_key(""), None);
    assert_eq!(
        param("Filter_By_Prefix=a%20b", "filter_by_prefix"),
        Some("a b".into())
    );
}

#[test]
fn messages_say_what_was_signed_and_keep_the_secret() {
    let faults = [
        AuthFault::Key,
        AuthFault::Version,
        AuthFault::NoTimestamp,
        AuthFault::Timestamp {
            signed_unix_s: 5,
            unix_s: AT,
        },
        AuthFault::NoBodyDigest,
        AuthFault::BodyDigest,
        AuthFault::Signature {
            text: "GET\n/a\nx=y".to_owned(),
        },
        AuthFault::Repeated {
            name: "info".to_owned(),
        },
    ];
    let messages = faults.map(|fault| fault.message());
    assert!(messages[3].contains("is 5") && messages[3].contains("1600000000"));
    assert!(messages[6].contains(r"GET\n/a\nx=y"), "{}", messages[6]);
    assert!(messages[7].contains("info"));
    assert_eq!(format!("{:?}", keys()), "Keys(key)");
}

proptest! {
    #[test]
    fn any_request_is_taken_as_signed(
        method in "GET|POST",
        path in "(/[a-z%@;é ]{0,6}){1,4}",
        names in prop::collection::btree_set("[a-m]{1,5}(\\[\\])?|[A-M]{6}", 0..4),
        value in ".{0,12}",
        body in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let keys = keys();
        let params: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*value)).collect();
        let query = keys.sign_request(&method, &path, &params, &body, AT);
        prop_assert_eq!(keys.check_request(&method, &path, &query, &body, AT), Ok(()));
    }

    #[test]
    fn any_target_is_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        crate::dialect::pusher::fuzz::fuzz_requests(&bytes);
    }

    #[test]
    fn any_query_is_taken_or_refused(
        query in "((auth_key=key|auth_timestamp=1600000000|auth_version=1.0|auth_signature=a|\
                  [a-bA-B]{0,2}(\\[[0-9]?\\]?)?=[%+,0-9a-f]{0,4})&?){0,8}"
    ) {
        crate::dialect::pusher::fuzz::fuzz_requests(format!("/a?{query}").as_bytes());
    }
}
