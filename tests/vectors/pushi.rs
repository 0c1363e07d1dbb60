//! Signatures of Pushi's protocol.

use fanwire::dialect::pushi::auth::Keys;
use fanwire::dialect::pushi::names::Kind;
use serde_json::Value;

fn file() -> Value {
    let file = include_str!("../data/pushi/signatures.json");
    serde_json::from_str(file).expect("the vectors are JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn check(name: &str) {
    let file = file();
    let cases = super::named(&file["signatures"]);
    let (_, case) = cases
        .iter()
        .find(|(known, _)| known == name)
        .expect("a case");
    let [key, secret] = ["key", "secret"].map(|name| text(&file["app"][name]));
    let [first, channel, encoding, digest] =
        ["first", "channel", "encoding", "digest"].map(|name| text(&case[name]));
    let keys = Keys::new(key, secret);
    let auth = format!("{key}:{digest}");

    assert!(Kind::of(channel).is_signed());
    assert!(keys.allows(&auth, first, channel));
    // What is made here is UTF-8.
    assert_eq!(keys.sign(first, channel) == auth, encoding == "utf-8");

    let last = if digest.ends_with('0') { "1" } else { "0" };
    let spoilt = format!("{}{last}", &auth[..auth.len() - 1]);
    assert!(!keys.allows(&spoilt, first, channel));
    assert!(!keys.allows(&auth.to_uppercase(), first, channel));
    assert!(!keys.allows(digest, first, channel));
    assert!(!keys.allows(&auth, &format!("{first}x"), channel));
    assert!(!keys.allows(&auth, first, &format!("{channel}x")));
    assert!(!Keys::new(key, key).allows(&auth, first, channel));
    assert!(!Keys::new(secret, secret).allows(&auth, first, channel));
}

macro_rules! vectors {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        #[test]
        fn every_case_is_named() {
            let cases = super::named(&file()["signatures"]);
            let known: Vec<&str> = cases.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(vec![$(stringify!($name)),*], known);
        }
    };
}

vectors! {
    a_private_channel
    a_presence_channel
    a_peer_channel
    a_personal_channel
    the_address_of_a_hook
    the_token_of_a_device
    beyond_ascii_in_latin_1
    beyond_ascii_in_utf_8
}
