//! What is described is there, and what is there is described.

mod bodies;

use super::super::speaker::is_routed;
use super::super::words::{self, BodyFault};
use super::schemas::{Field, Scalar, Shape, Structure, aliases, answers, bodies};
use super::table::{Group, Operation, operations};
use super::write::{document, verb};
use crate::dialect::pusher::bodies as pusher;
use crate::dialect::pusher::config::App;
use crate::dialect::pushi::{bodies as pushi, form};
use crate::hub::AppId;
use crate::limits::{
    CS_CHANNEL_CHARS_MAX, CS_KEYS_PER_MAPPING_MAX, CS_MESSAGES_PER_REQUEST_MAX,
    CS_NAMES_PER_LIST_MAX, CS_USER_CHARS_MAX, PUSHER_BATCH_EVENTS_MAX, PUSHER_CHANNEL_CHARS,
    PUSHER_CHANNELS_PER_EVENT_MAX, PUSHER_EVENT_BYTES_MAX, PUSHER_EVENT_CHARS_MAX,
    PUSHER_USER_CHARS_MAX, PUSHI_CHANNELS_PER_EVENT_MAX, PUSHI_USER_BYTES_MAX,
};
use crate::store::RecordKind;
use crate::transport::http::{Headers, Method, Request};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const METHODS: [Method; 6] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
];

/// What the engine answers before any dialect is asked; `tests/it/openapi.rs` asks it.
const OF_THE_ENGINE: [&str; 3] = ["/health/live", "/health/ready", "/metrics"];

/// Pages for people, which a description of an interface for programs leaves out.
const PAGES: [&str; 5] = [
    "/admin",
    "/admin/debug",
    "/admin/sign_in",
    "/admin/sign_out",
    "/api-explorer",
];

fn described(path: &str, method: Method) -> Option<&'static Operation> {
    let mut here = operations().filter(|operation| operation.path == path);
    let exact = here.clone().find(|operation| operation.method == method);
    // HEAD is GET without the body, and not described apart.
    let is_meant = |operation: &&Operation| {
        operation.any_method || (method == Method::Head && operation.method == Method::Get)
    };
    exact.or_else(|| here.find(is_meant))
}

#[test]
fn what_is_described_is_routed() {
    let is_others = |group| matches!(group, Group::Pusher | Group::Pushi);
    for operation in operations().filter(|operation| !is_others(operation.group)) {
        if OF_THE_ENGINE.contains(&operation.path) {
            assert!(!is_routed(operation.method, operation.path));
            continue;
        }
        let methods = match operation.any_method {
            true => METHODS.to_vec(),
            false => vec![operation.method],
        };
        for method in methods {
            assert!(
                is_routed(method, operation.path),
                "{method:?} {}",
                operation.path
            );
        }
    }
}

/// The paths that the router names, read from its source: every text that begins with a slash.
fn routed_paths() -> BTreeSet<&'static str> {
    let source = include_str!("../speaker.rs");
    let (_, router) = source
        .split_once("fn of(method: Method")
        .expect("the router");
    let (router, _) = router.split_once("\n    }\n").expect("its end");
    let texts = router.split('"').skip(1).step_by(2);
    texts.filter(|text| text.starts_with('/')).collect()
}

#[test]
fn what_is_routed_is_described() {
    let paths = routed_paths();
    assert!(paths.len() > 10, "{paths:?}");
    for path in paths {
        for method in METHODS {
            if !is_routed(method, path) || PAGES.contains(&path) {
                continue;
            }
            assert!(described(path, method).is_some(), "{method:?} {path}");
        }
    }
}

/// The patterns that Pusher's router takes, read from its source: texts in quotes stand for
/// themselves, names for anything.
fn routed_by_pusher() -> BTreeSet<(&'static str, String)> {
    let source = include_str!("../../pusher/api.rs");
    let (_, router) = source.split_once("match parts[..] {").expect("the router");
    let (router, _) = router.split_once("\n        }\n").expect("its end");
    let mut routed = BTreeSet::from([("post", "/users/{}/terminate_connections".to_owned())]);
    for arm in router.lines().map(str::trim) {
        let Some((pattern, rest)) = arm
            .strip_prefix('[')
            .and_then(|arm| arm.split_once("] if "))
        else {
            continue;
        };
        let (condition, _) = rest.split_once(" =>").expect("an arm");
        let verb = condition.strip_prefix("is_").expect("a method alone");
        let pieces = pattern
            .split(", ")
            .map(|piece| match piece.strip_prefix('"') {
                Some(text) => text.trim_end_matches('"'),
                None => "{}",
            });
        let pieces: Vec<&str> = pieces.collect();
        let path = format!("/apps/{{}}/{}", pieces.join("/"));
        assert!(routed.insert((verb, path)), "{arm}");
    }
    routed
}

/// A path with the names in its braces left out.
fn nameless(path: &str) -> String {
    let mut pieces = path.split('{');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |path, piece| {
        let (_, rest) = piece.split_once('}').expect("a name");
        format!("{path}{{}}{rest}")
    })
}

/// In both directions. That the endpoints answer `tests/it/openapi.rs` shows.
#[test]
fn what_pusher_routes_is_what_is_described_of_it() {
    let described = operations().filter(|operation| operation.group == Group::Pusher);
    let described = described.map(|one| (verb(one.method), nameless(one.path)));
    let described: BTreeSet<_> = described.collect();
    assert_eq!(described, routed_by_pusher());
    assert_eq!(described.len(), 8);
}

/// What stands first in the paths that Pushi's router takes, read from its source.
fn routed_by_pushi() -> BTreeSet<String> {
    let source = include_str!("../../pushi/rest/route.rs");
    let (_, router) = source.split_once("fn of(request").expect("the router");
    let (router, rest) = router.split_once("fn of_app(").expect("its end");
    let arms = router.lines().map(str::trim);
    let arms = arms.filter_map(|arm| arm.strip_prefix('(')?.split_once("=>"));
    let mut first = BTreeSet::new();
    for (pattern, _) in arms.filter(|(pattern, _)| pattern.starts_with('"')) {
        let (names, _) = pattern.split_once(", ").expect("a pair");
        let names = names.split('|').map(|name| name.trim().trim_matches('"'));
        first.extend(names.map(str::to_owned));
    }
    // Those of records stand in a list of their own.
    let (_, kinds) = rest.split_once("fn record_kind(").expect("the list");
    let kinds = kinds.lines().filter_map(|line| {
        let (name, _) = line
            .trim()
            .strip_prefix('"')?
            .split_once("\" => RecordKind::")?;
        Some(name.to_owned())
    });
    first.extend(kinds);
    first
}

/// In both directions, as far as the first part of the path goes; that every route of the
/// description answers `tests/it/openapi.rs` shows.
#[test]
fn what_pushi_routes_is_what_is_described_of_it() {
    let described = operations().filter(|operation| operation.group == Group::Pushi);
    let described = described.map(|one| {
        let first = one.path.split('/').nth(1);
        first.expect("a path").to_owned()
    });
    let described: BTreeSet<String> = described.collect();
    let mut routed = routed_by_pushi();
    // Where Channelstream is served these are its own.
    for own in ["", "info"] {
        assert!(routed.remove(own), "{own}");
    }
    assert_eq!(described, routed);
    assert_eq!(described.len(), 13);
}

/// A session in any of its places, and for some routes the key of an app instead.
#[test]
fn pushi_wants_a_session_somewhere() {
    let document = document("");
    for operation in operations().filter(|operation| operation.group == Group::Pushi) {
        let object = &document["paths"][operation.path][verb(operation.method)];
        let ways = object["security"].as_array().expect("a list");
        let is_open = matches!(
            operation.path,
            "/login" | "/logout" | "/health" | "/health/detailed"
        ) || (operation.path, operation.method) == ("/apps", Method::Post);
        let is_for_browsers = operation.path == "/vapid_key"
            || (operation.path.starts_with("/web_pushes") && operation.method != Method::Get);
        let count = match (is_open, is_for_browsers) {
            (true, _) => 0,
            (false, true) => 4,
            (false, false) => 3,
        };
        assert_eq!(ways.len(), count, "{}", operation.path);
        for status in ["200", "400", "403", "404", "413", "503"] {
            assert!(
                object["responses"][status].is_object(),
                "{}",
                operation.path
            );
        }
    }
}

#[test]
fn every_name_in_a_path_is_a_parameter() {
    let document = document("");
    for operation in operations() {
        let object = &document["paths"][operation.path][verb(operation.method)];
        let parameters = object["parameters"].as_array().into_iter().flatten();
        let described: BTreeSet<&str> = parameters
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().expect("a name"))
            .collect();
        let named = operation.path.split('{').skip(1);
        let named = named.map(|piece| piece.split('}').next().expect("a name"));
        assert_eq!(described, named.collect(), "{}", operation.path);
    }
}

/// The whole signature, not one part or another; and the digest of a body that has to be there.
#[test]
fn pusher_wants_all_of_its_signature() {
    let document = document("");
    let schemes = &document["components"]["securitySchemes"];
    for operation in operations().filter(|operation| operation.group == Group::Pusher) {
        let object = &document["paths"][operation.path][verb(operation.method)];
        let [needs] = object["security"].as_array().expect("a list").as_slice() else {
            panic!("{}: one way", operation.path);
        };
        let needs = needs.as_object().expect("an object").keys();
        let mut names: Vec<&str> = needs
            .inspect(|scheme| assert_eq!(schemes[scheme]["in"], "query"))
            .map(|scheme| schemes[scheme]["name"].as_str().expect("a name"))
            .collect();
        names.sort_unstable();
        let always = [
            "auth_key",
            "auth_signature",
            "auth_timestamp",
            "auth_version",
        ];
        let digest = operation.body.map(|_| "body_md5");
        let wanted: Vec<&str> = always.into_iter().chain(digest).collect();
        assert_eq!(names, wanted, "{}", operation.path);
        let parameters = object["parameters"].as_array().expect("a list");
        let is_digest = |parameter: &Value| parameter["name"] == "body_md5";
        assert_eq!(parameters.iter().any(is_digest), digest.is_none());
        let statuses = object["responses"].as_object().expect("answers");
        for status in ["200", "400", "401", "403", "404", "405", "413"] {
            assert!(statuses.contains_key(status), "{} {status}", operation.path);
        }
    }
}

#[test]
fn pages_are_routed_and_not_described() {
    for page in PAGES {
        assert!(is_routed(Method::Get, page), "{page}");
        assert!(described(page, Method::Get).is_none(), "{page}");
    }
}

#[test]
fn endpoints_come_once_and_have_names_of_their_own() {
    let mut places = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for operation in operations() {
        assert!(places.insert((operation.path, verb(operation.method))));
        assert!(ids.insert(operation.id), "{}", operation.id);
        let name = operation.id.bytes();
        assert!(
            name.into_iter()
                .all(|b| b.is_ascii_lowercase() || b == b'_')
        );
        assert!(!operation.summary.is_empty() && !operation.answers.is_empty());
    }
}

// ---- the document --------------------------------------------------------------------------

/// Calls `see` with every object of a document.
fn each_object(value: &Value, see: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            see(object);
            object.values().for_each(|value| each_object(value, see));
        }
        Value::Array(list) => list.iter().for_each(|value| each_object(value, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_nothing_lies_about() {
    let document = document("");
    let mut used = BTreeSet::new();
    each_object(&document, &mut |object| {
        if let Some(Value::String(to)) = object.get("$ref") {
            let pointer = to.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{to}");
            used.insert(pointer.to_owned());
        }
    });
    for kind in ["schemas", "responses"] {
        let components = document["components"][kind].as_object().expect("an object");
        for name in components.keys() {
            let pointer = format!("/components/{kind}/{name}");
            assert!(used.contains(&pointer), "{pointer} is used nowhere");
        }
    }
}

#[test]
fn the_document_has_the_form_of_openapi() {
    let document = document("");
    assert_eq!(document["openapi"], "3.1.1");
    for (path, item) in document["paths"].as_object().expect("an object") {
        assert!(path.starts_with('/'));
        for (verb, operation) in item.as_object().expect("an object") {
            if verb == "servers" {
                continue;
            }
            let answers = operation["responses"].as_object().expect("answers");
            assert!(answers.contains_key("200"), "{verb} {path}");
            for (status, answer) in answers {
                let is_status = status == "default" || status.parse::<u16>().is_ok();
                assert!(is_status, "{verb} {path} {status}");
                let is_whole = answer["description"].is_string() || answer["$ref"].is_string();
                assert!(is_whole, "{verb} {path} {status}");
            }
            for need in operation["security"].as_array().expect("a list") {
                for scheme in need.as_object().expect("an object").keys() {
                    let schemes = &document["components"]["securitySchemes"];
                    assert!(schemes[scheme].is_object(), "{scheme}");
                }
            }
        }
    }
    let statuses = |path: &str, verb: &str| -> Vec<&str> {
        let answers = document["paths"][path][verb]["responses"].as_object();
        answers
            .expect("answers")
            .keys()
            .map(String::as_str)
            .collect()
    };
    let signed = ["200", "400", "401", "403", "406", "413", "422"];
    assert_eq!(
        statuses("/connect", "post"),
        [&signed[..], &["default"]].concat()
    );
    assert!(statuses("/message", "post").contains(&"503"));
    assert_eq!(statuses("/health/live", "get"), ["200", "default"]);
}

#[test]
fn names_that_callers_know_are_kept() {
    let document = document("");
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("an object");
    for name in [
        "ConnectBody",
        "SubscribeBody",
        "UnsubscribeBody",
        "UserStateBody",
        "MessagesBody",
        "MessageBody",
        "MessageEditBody",
        "MessagesDeleteBody",
        "DisconnectBody",
        "ChannelConfigBody",
        "ChannelInfoBody",
        "InfoResolution",
    ] {
        assert!(schemas.contains_key(name), "{name}");
    }
    let key = &document["components"]["securitySchemes"]["APIKeyHeader"];
    assert_eq!(key["name"], "X-Channelstream-Secret");
    assert_eq!(document["info"]["title"], "fanwire");
}

#[test]
fn a_prefix_is_where_the_endpoints_are() {
    assert_eq!(document("")["servers"][0]["url"], "/");
    let behind = document("/push");
    assert_eq!(behind["servers"][0]["url"], "/push");
    assert_eq!(behind["paths"]["/metrics"]["servers"][0]["url"], "/");
    for path in ["/apps/{app_id}/events", "/events", "/apps/{app_id}"] {
        assert_eq!(behind["paths"][path]["servers"][0]["url"], "/", "{path}");
    }
}

#[test]
fn limits_are_those_of_the_code() {
    let document = document("");
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["UserName"]["maxLength"], CS_USER_CHARS_MAX);
    assert_eq!(schemas["ChannelName"]["maxLength"], CS_CHANNEL_CHARS_MAX);
    assert_eq!(
        schemas["MessagesBody"]["maxItems"],
        CS_MESSAGES_PER_REQUEST_MAX
    );
    let connect = &schemas["ConnectBody"]["properties"];
    assert_eq!(connect["channels"]["maxItems"], CS_NAMES_PER_LIST_MAX);
    assert_eq!(
        connect["user_state"]["maxProperties"],
        CS_KEYS_PER_MAPPING_MAX
    );
    assert_eq!(connect["channels"]["default"], json!([]));
    let subscribe = &schemas["SubscribeBody"];
    assert_eq!(subscribe["properties"]["channels"]["minItems"], 1);
    assert_eq!(subscribe["required"], json!(["conn_id", "channels"]));
    let event = &schemas["PusherEventToChannels"]["properties"]["channels"];
    assert_eq!(event["maxItems"], PUSHER_CHANNELS_PER_EVENT_MAX);
    let batch = &schemas["PusherBatch"]["properties"]["batch"];
    assert_eq!(batch["maxItems"], PUSHER_BATCH_EVENTS_MAX);
    let length = |name: &str| &schemas[name]["maxLength"];
    assert_eq!(*length("PusherChannelName"), PUSHER_CHANNEL_CHARS);
    assert_eq!(*length("PusherEventName"), PUSHER_EVENT_CHARS_MAX);
    assert_eq!(*length("PusherEventData"), PUSHER_EVENT_BYTES_MAX);
}
