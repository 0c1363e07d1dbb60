//! Signatures of Pusher's protocol, and an event that the server must not look into.

use fanwire::dialect::pusher::auth::{AuthFault, Keys};
use fanwire::dialect::pusher::bodies;
use fanwire::dialect::pusher::config::App;
use fanwire::dialect::pusher::names::{Access, Kind, is_channel, is_socket_id};
use fanwire::dialect::pusher::words;
use fanwire::hub::AppId;
use serde_json::Value;

fn file() -> Value {
    let file = include_str!("../data/pusher/vectors.json");
    serde_json::from_str(file).expect("the vectors are JSON")
}

/// The case of this name in this list, and the app's keys.
fn case(list: &str, name: &str) -> (Value, Keys) {
    let file = file();
    let (_, case) = super::named(&file[list])
        .into_iter()
        .find(|(known, _)| known == name)
        .expect("a case of this name");
    let keys = Keys::new(text(&file["app"]["key"]), text(&file["app"]["secret"]));
    (case, keys)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// Changes the last hex digit.
fn spoilt(digest: &str) -> String {
    let (rest, last) = digest.split_at(digest.len() - 1);
    format!("{rest}{}", if last == "0" { '1' } else { '0' })
}

fn channel_auth(name: &str) {
    let (case, keys) = case("channel_auth", name);
    let [socket_id, channel, auth] = ["socket_id", "channel", "auth"].map(|key| text(&case[key]));
    let data = case["channel_data"].as_str();
    assert!(is_socket_id(socket_id) && is_channel(channel, 164));
    assert!(Kind::of(channel).needs_auth());
    assert_eq!(keys.channel_auth(socket_id, channel, data), auth);
    assert!(keys.allows_channel(auth, socket_id, channel, data));
    assert!(!keys.allows_channel(&spoilt(auth), socket_id, channel, data));
    assert!(!keys.allows_channel(auth, "1.1", channel, data));
    assert!(!keys.allows_channel(&auth.to_uppercase(), socket_id, channel, data));
    let other = format!("{channel}x");
    assert!(!keys.allows_channel(auth, socket_id, &other, data));
    let has_members = Kind::of(channel).has_members();
    // Data of a member is no part of what is signed for other channels.
    assert_eq!(
        keys.allows_channel(auth, socket_id, channel, Some("{}")),
        !has_members
    );
    if let Some(data) = data {
        assert!(has_members);
        assert!(!keys.allows_channel(auth, socket_id, channel, None));
        assert!(words::member(data, 1024).is_ok());
    }
}

fn user_auth(name: &str) {
    let (case, keys) = case("user_auth", name);
    let [socket_id, data, auth] = ["socket_id", "user_data", "auth"].map(|key| text(&case[key]));
    assert_eq!(keys.signin_auth(socket_id, data), auth);
    assert!(keys.allows_signin(auth, socket_id, data));
    assert!(!keys.allows_signin(&spoilt(auth), socket_id, data));
    assert!(!keys.allows_signin(auth, "1.1", data));
    assert!(!keys.allows_signin(auth, socket_id, &format!("{data} ")));
    let parsed: Value = serde_json::from_str(data).expect("JSON");
    let user = words::user(data, 100).expect("a user");
    assert_eq!(user.id, text(&parsed["id"]));
    assert_eq!(user.info.is_some(), parsed["user_info"].is_object());
    let watched = parsed["watchlist"].as_array().map_or(0, Vec::len);
    assert_eq!(user.watchlist.len(), watched);
}

fn http_api(name: &str) {
    let (case, keys) = case("http_api", name);
    let [method, path, target] = ["method", "path", "request_target"].map(|key| text(&case[key]));
    let body = text(&case["body"]).as_bytes();
    let (target_path, query) = target.split_once('?').expect("a query");
    assert_eq!(target_path, path);
    let at = 1_353_088_179;
    assert_eq!(keys.check_request(method, path, query, body, at), Ok(()));

    // What was signed is told to whoever gets it wrong.
    let signed = text(&case["string_to_sign"]).to_owned();
    let wrong = keys.check_request(method, path, &spoilt(query), body, at);
    assert_eq!(wrong, Err(AuthFault::Signature { text: signed }));
    // Another method, path, body or parameter, or another app.
    let check =
        |method, path, query: &str, body: &[u8]| keys.check_request(method, path, query, body, at);
    assert!(check("PUT", path, query, body).is_err());
    let longer = format!("{path}/");
    assert!(check(method, &longer, query, body).is_err());
    assert!(check(method, path, query, &[body, b" "].concat()).is_err());
    assert!(check(method, path, &format!("{query}&info=x"), body).is_err());
    for other in [
        Keys::new("other", "7ad3773142a6692b25b8"),
        Keys::new(text(&file()["app"]["key"]), "x"),
    ] {
        assert!(other.check_request(method, path, query, body, at).is_err());
    }

    // Signing the same makes the same.
    let own = ["auth_key", "auth_timestamp", "auth_version"];
    let decoded = case["query_decoded"].as_object().expect("an object");
    let params: Vec<(&str, &str)> = decoded
        .iter()
        .map(|(name, value)| (&**name, text(value)))
        .filter(|(name, _)| !own.contains(name) && (*name != "body_md5" || body.is_empty()))
        .collect();
    assert_eq!(keys.sign_request(method, path, &params, body, at), query);
    assert!(query.ends_with(text(&case["auth_signature"])));
}

fn webhooks(name: &str) {
    let (case, keys) = case("webhooks", name);
    let signature = text(&case["headers"]["X-Pusher-Signature"]);
    assert_eq!(
        keys.webhook_signature(text(&case["body"]).as_bytes()),
        signature
    );
}

fn channel_auth_must_fail(name: &str) {
    let (case, keys) = case("channel_auth_must_fail", name);
    let [socket_id, channel, auth] = ["socket_id", "channel", "auth"].map(|key| text(&case[key]));
    assert_eq!(case["valid"], false);
    assert!(!keys.allows_channel(auth, socket_id, channel, None));
    // What comes along does not help.
    assert!(!keys.allows_channel(auth, socket_id, channel, Some("")));
}

macro_rules! vectors {
    ($($list:ident { $($name:ident)* })*) => {
        $(
            mod $list {
                $(
                    #[test]
                    fn $name() {
                        super::$list(stringify!($name));
                    }
                )*

                #[test]
                fn every_case_is_named() {
                    let named = vec![$(stringify!($name)),*];
                    let cases = super::super::named(&super::file()[stringify!($list)]);
                    let known: Vec<&str> = cases.iter().map(|(name, _)| name.as_str()).collect();
                    assert_eq!(named, known);
                }
            }
        )*

        #[test]
        fn every_list_is_named() {
            let mut named = vec![$(stringify!($list)),*];
            named.sort_unstable();
            let file = file();
            let lists = file.as_object().expect("an object").iter();
            let mut known: Vec<&str> =
                lists.filter(|(_, value)| value.is_array()).map(|(name, _)| &**name).collect();
            known.sort_unstable();
            assert_eq!(named, known);
        }
    };
}

vectors! {
    channel_auth {
        private_channel
        presence_channel_numeric_user_id
        presence_channel_numeric_user_id_second_name
        presence_channel_blanks_and_non_ascii_text_in_channel_data
        presence_channel_without_channel_data_signed_in_user
        private_encrypted_channel
        private_cache_channel
    }
    user_auth {
        minimal_user
        user_with_info_and_watchlist_blanks_and_non_ascii_text
    }
    http_api {
        post_events
        get_channels_with_parameters
        get_users_body_md5_of_the_empty_body_present
        post_batch_events_non_ascii_body
        post_terminate_connections
        query_key_with_a_capital_letter
        python_sdk_terminate_connections_path
    }
    webhooks {
        channel_occupied
        client_event_on_a_presence_channel_data_is_a_string
    }
    channel_auth_must_fail {
        other_key_before_the_colon
        no_key
        empty_key
        cut_digest
        digest_of_another_channel
        digest_of_another_socket
        digest_with_an_empty_channel_data_part
        wrong_secret
    }
}

#[test]
fn encrypted_event() {
    let file = file();
    let event = &file["encrypted_event"];
    let channel = text(&event["channel"]);
    assert_eq!(Kind::of(channel).access, Access::Encrypted);
    let body = serde_json::json!({"name": "e", "channels": [channel], "data": event["data"]});
    let body = body.to_string();
    let app = App::new(AppId(1), "3", "key", "secret");
    let read = bodies::event(body.as_bytes(), &app).expect("an event");
    assert_eq!(read.data, text(&event["data"]));
    assert_eq!(read.channels, [channel]);
}
