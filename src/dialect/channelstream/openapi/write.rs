//! From the tables to the document.

use super::schemas::{self, Field, Scalar, Shape, Structure};
use super::table::{Access, Answer, Group, Operation, Parameter, operations};
use super::{pusher, pushi};
use crate::limits::{
    CS_CALLBACK_CHARS_MAX, CS_CHANNEL_CHARS_MAX, CS_KEYS_PER_MAPPING_MAX, CS_USER_CHARS_MAX,
    PUSHER_CHANNEL_CHARS, PUSHER_EVENT_BYTES_MAX, PUSHER_EVENT_CHARS_MAX, PUSHER_TIMESTAMP_S,
    PUSHER_USER_CHARS_MAX, PUSHI_APP_FIELD_BYTES_MAX, PUSHI_USER_BYTES_MAX,
};
use crate::transport::http::Method;
use serde_json::{Map, Value, json};

const ABOUT: &str = "The HTTP interfaces of fanwire: Channelstream's, Pusher's, Pushi's and \
    the server's own. For Channelstream, web applications sign their requests with the shared secret; \
    browsers listen at `/ws` (a WebSocket, whose text frames are lists of `Frame`) or at \
    `/listen`. Bodies are JSON whatever their content type says; fields that are not described are \
    ignored. Pusher's and Pushi's paths are described whether or not they are served: there is \
    nothing at them unless these protocols are.";

/// All of it. `prefix` is empty or a path without a slash at its end.
pub(super) fn document(prefix: &str) -> Value {
    let tags: Vec<Value> = Group::ALL
        .iter()
        .map(|group| json!({"name": group.name(), "description": group.about()}))
        .collect();
    let root = if prefix.is_empty() { "/" } else { prefix };
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "fanwire",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": root}],
        "tags": tags,
        "paths": paths(),
        "components": {
            "schemas": schemas(),
            "responses": responses(),
            "securitySchemes": security_schemes(),
        },
    })
}

fn paths() -> Value {
    let mut paths = Map::new();
    for operation in operations() {
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| path_item(operation));
        if let Value::Object(path) = path {
            path.insert(
                verb(operation.method).to_owned(),
                operation_object(operation),
            );
        }
    }
    Value::Object(paths)
}

fn path_item(operation: &Operation) -> Value {
    match operation.group {
        Group::Server | Group::Client | Group::Admin => json!({}),
        // Asked for by those who run the server, behind no prefix.
        Group::Fanwire | Group::Pushi => json!({"servers": [{"url": "/"}]}),
        // A prefix of their own is in the settings, and what a proxy says does not count.
        Group::Pusher => json!({"servers": [{
            "url": "/",
            "description": "With `pusher.path_prefix` behind it, where that is set.",
        }]}),
    }
}

/// The name of a method in the document.
pub(super) fn verb(method: Method) -> &'static str {
    match method {
        Method::Get => "get",
        Method::Head => "head",
        Method::Post => "post",
        Method::Put => "put",
        Method::Patch => "patch",
        Method::Delete => "delete",
        Method::Options => "options",
    }
}

fn operation_object(operation: &Operation) -> Value {
    let mut object = json!({
        "operationId": operation.id,
        "tags": [operation.group.name()],
        "summary": operation.summary,
        "security": security(operation),
        "responses": answers(operation),
    });
    if !operation.about.is_empty() {
        object["description"] = operation.about.into();
    }
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        object["parameters"] = parameters.into();
    }
    if operation.any_method {
        object["x-any-method"] = true.into();
    }
    if let Some((shape, is_required)) = operation.body {
        object["requestBody"] = json!({
            "required": is_required,
            "content": {"application/json": {"schema": schema(shape)}},
        });
    }
    object
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let object = |parameter: &Parameter, place: &str| {
        json!({
            "name": parameter.name,
            "in": place,
            "required": parameter.is_required,
            "description": parameter.about,
            "schema": schema(parameter.shape),
        })
    };
    let is_in_path = |known: &&Parameter| operation.path.contains(&format!("{{{}}}", known.name));
    let in_path = pusher::IN_PATHS.iter().chain(pushi::IN_PATHS);
    let in_path = in_path.filter(is_in_path);
    let mut parameters: Vec<Value> = in_path.map(|known| object(known, "path")).collect();
    let in_query = operation.parameters.iter();
    parameters.extend(in_query.map(|parameter| object(parameter, "query")));
    // Where there has to be a body, its digest is a part of the security.
    if operation.access == Access::Pusher && operation.body.is_none() {
        parameters.push(json!({
            "name": "body_md5",
            "in": "query",
            "required": false,
            "description": BODY_MD5,
            "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        }));
    }
    parameters
}

const BODY_MD5: &str = "The MD5 of the body in lower-case hex; must be there if there is a body.";

fn security(operation: &Operation) -> Value {
    match operation.access {
        Access::Open => json!([]),
        Access::Signed => json!([{"APIKeyHeader": []}]),
        Access::Admin => json!([{"AdminCookie": []}, {"APIKeyHeader": []}]),
        Access::Metrics => json!([{"AdminPassword": []}, {"MetricsToken": []}]),
        // Any of them.
        Access::Session => json!([
            {"PushiSession": []}, {"PushiSid": []}, {"PushiCookie": []},
        ]),
        Access::AppKey => json!([
            {"PushiSession": []}, {"PushiSid": []}, {"PushiCookie": []}, {"PushiAppKey": []},
        ]),
        // All of them together.
        Access::Pusher => {
            let mut all = json!({
                "PusherKey": [],
                "PusherTimestamp": [],
                "PusherVersion": [],
                "PusherSignature": [],
            });
            if operation.body.is_some() {
                all["PusherBodyDigest"] = json!([]);
            }
            json!([all])
        }
    }
}

fn security_schemes() -> Value {
    let in_query = |name: &str, about: &str| {
        let place = "query";
        json!({"type": "apiKey", "in": place, "name": name, "description": about})
    };
    let seconds =
        format!("Seconds since 1970, at most {PUSHER_TIMESTAMP_S} away from the server's time.");
    json!({
        "APIKeyHeader": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Channelstream-Secret",
            "description": "A string signed with the shared secret; good for a minute.",
        },
        "AdminCookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "auth_tkt",
            "description": "Set by /admin/sign_in.",
        },
        "AdminPassword": {"type": "http", "scheme": "basic"},
        "MetricsToken": {"type": "http", "scheme": "bearer"},
        "PusherKey": in_query("auth_key", "The app's key."),
        "PusherTimestamp": in_query("auth_timestamp", &seconds),
        "PusherVersion": in_query("auth_version", "`1.0`."),
        "PusherSignature": in_query("auth_signature", SIGNATURE),
        "PusherBodyDigest": in_query("body_md5", BODY_MD5),
        "PushiSession": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Session-Id",
            "description": "A session of Pushi's, from /login.",
        },
        "PushiSid": in_query("sid", "The same."),
        "PushiCookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "sid",
            "description": "The same; set by /login.",
        },
        "PushiAppKey": in_query("app_key", "The key of an app, where `pushi.app_key_routes` is on."),
    })
}

const SIGNATURE: &str = "HMAC-SHA256 in lower-case hex, made with the app's secret, of three \
    lines: the method; the path without a prefix; all other parameters of the query, decoded, \
    their names in lower case, as `name=value` with `&` between, sorted by name.";

/// The answers of an endpoint: its own, and those that go with what it is.
fn answers(operation: &Operation) -> Value {
    let mut answers = Map::new();
    let refer = |name: &str| json!({"$ref": format!("#/components/responses/{name}")});
    answers.insert("default".to_owned(), refer("Refused"));
    let common: &[(&str, &str)] = match operation.access {
        Access::Open if operation.group == Group::Fanwire => &[],
        _ if operation.group == Group::Pushi => &[
            ("400", "PushiUnusable"),
            ("403", "PushiNotAllowed"),
            ("404", "PushiNothing"),
            ("413", "PushiTooLarge"),
            ("503", "PushiNotStored"),
        ],
        Access::Session | Access::AppKey => &[],
        Access::Metrics => &[],
        Access::Pusher => &[
            ("400", "PusherUnusable"),
            ("401", "PusherNotSigned"),
            ("403", "PusherDisabled"),
            ("404", "PusherNothing"),
            ("405", "PusherWrongMethod"),
            ("413", "PusherTooLarge"),
        ],
        Access::Open | Access::Admin => &[
            ("401", "BadSignature"),
            ("406", "NotHttps"),
            ("413", "TooLarge"),
        ],
        Access::Signed => &[
            ("401", "BadSignature"),
            ("403", "NotSigned"),
            ("406", "NotHttps"),
            ("413", "TooLarge"),
        ],
    };
    // Without login it has no page to show.
    let is_document = operation.path == "/openapi.json";
    let is_of_others = matches!(operation.group, Group::Pusher | Group::Pushi);
    let is_read_by_channelstream = operation.body.is_some() && !is_of_others;
    let and = [
        (is_read_by_channelstream, "400", "NotJson"),
        (operation.can_be_invalid, "422", "Invalid"),
        (is_document, "403", "NotSigned"),
    ];
    for (status, name) in common {
        answers.insert((*status).to_owned(), refer(name));
    }
    for (_, status, name) in and.into_iter().filter(|(is_there, ..)| *is_there) {
        answers.insert(status.to_owned(), refer(name));
    }
    for answer in operation.answers {
        answers.insert(answer.status.to_string(), answer_object(answer));
    }
    Value::Object(answers)
}

fn answer_object(answer: &Answer) -> Value {
    let mut object = json!({"description": answer.about});
    if !answer.content.is_empty() {
        let content = answer.content.iter();
        let content = content.map(|&(kind, shape)| (kind.to_owned(), media(shape)));
        object["content"] = Value::Object(content.collect());
    }
    object
}

fn media(shape: Shape) -> Value {
    json!({"schema": schema(shape)})
}

/// Answers that many endpoints have.
fn responses() -> Value {
    // In the form that the caller accepts.
    let page = |about: &str| {
        json!({
            "description": about,
            "content": {
                "application/json": media(Shape::Ref("Page")),
                "text/html": media(Shape::Text),
                "text/plain": media(Shape::Text),
            },
        })
    };
    let shaped = |about: &str, shape: Shape| {
        let content = json!({"application/json": media(shape)});
        json!({"description": about, "content": content})
    };
    let of = |about: &str, name: &'static str| shaped(about, Shape::Ref(name));
    const ERROR: Shape = Shape::Ref("PusherError");
    const FORGED: Shape = Shape::Either(&ERROR, &Shape::Ref("BadSignature"));
    const REFUSED: Shape = Shape::Either(&ERROR, &Shape::Ref("Refusal"));
    const OF_PUSHI: Shape = Shape::Ref("PushiError");
    const NOT_OF_PUSHI: Shape = Shape::Either(&OF_PUSHI, &Shape::Ref("Refusal"));
    let mut no_route = page("There is no such thing, or Pushi is not served.");
    no_route["content"]["application/json"] = media(Shape::Either(&OF_PUSHI, &Shape::Ref("Page")));
    let mut nothing = page("No app has this id, or Pusher is not served.");
    nothing["content"]["application/json"] = media(Shape::Either(&ERROR, &Shape::Ref("Page")));
    json!({
        "NotJson": page("The body is not JSON."),
        "BadSignature": of("The signature is wrong, on whatever path.", "BadSignature"),
        "NotSigned": page("Not signed, or from an address that may not sign."),
        "NotHttps": page("The server wants https."),
        "TooLarge": of("The body is larger than it may be here.", "Refusal"),
        "Invalid": of("Fields are wrong; all faults at once.", "Faults"),
        "PusherUnusable": shaped("The body, a name or what is asked for is not taken.", REFUSED),
        "PusherNotSigned": shaped("The key, the time or the signature is wrong.", FORGED),
        "PusherDisabled": shaped("The app is disabled.", ERROR),
        "PusherNothing": nothing,
        "PusherWrongMethod": shaped("The path takes other methods; `Allow` names them.", ERROR),
        "PusherTooLarge": shaped("The data of an event, or the whole body, is too large.", REFUSED),
        "PushiUnusable": shaped("The body, a field or the path is not taken.", NOT_OF_PUSHI),
        "PushiNotAllowed": shaped("No session, or not with it; clients log in and try again.", OF_PUSHI),
        "PushiNothing": no_route,
        "PushiTooLarge": shaped("The body is larger than it may be here.", NOT_OF_PUSHI),
        "PushiNotStored": shaped("It could not be stored or looked up; try again.", OF_PUSHI),
        "Refused": of("Malformed, too large, too slow, or too much.", "Refusal"),
    })
}

fn schemas() -> Value {
    let mut all = Map::new();
    for scalar in Scalar::ALL {
        all.insert(scalar.name().to_owned(), scalar_schema(scalar));
    }
    for alias in schemas::aliases() {
        let mut schema = schema(alias.shape);
        schema["description"] = alias.about.into();
        all.insert(alias.name.to_owned(), schema);
    }
    for structure in schemas::bodies().chain(schemas::answers()) {
        all.insert(structure.name.to_owned(), structure_schema(structure));
    }
    Value::Object(all)
}

fn structure_schema(structure: &Structure) -> Value {
    let fields = structure.fields.iter();
    let properties = fields
        .clone()
        .map(|field| (field.name.to_owned(), field_schema(field)));
    let properties: Map<String, Value> = properties.collect();
    let required: Vec<&str> = fields
        .filter(|field| field.is_required)
        .map(|field| field.name)
        .collect();
    json!({
        "type": "object",
        "description": structure.about,
        "properties": properties,
        "required": required,
    })
}

fn field_schema(field: &Field) -> Value {
    let mut schema = schema(field.shape);
    schema["description"] = field.about.into();
    if let Ok(default) = serde_json::from_str(field.default) {
        schema["default"] = default;
    }
    schema
}

fn schema(shape: Shape) -> Value {
    let refer = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    match shape {
        Shape::Any => json!({}),
        Shape::Text => json!({"type": "string"}),
        Shape::True => json!({"type": "boolean"}),
        Shape::Whole => json!({"type": "integer", "minimum": 0}),
        Shape::Ref(name) => refer(name),
        Shape::OrNull(other) => json!({"anyOf": [schema(*other), {"type": "null"}]}),
        Shape::Either(one, other) => json!({"anyOf": [schema(*one), schema(*other)]}),
        Shape::List(of) => json!({"type": "array", "items": schema(*of)}),
        Shape::Names(of, least, most) => json!({
            "type": "array",
            "items": refer(of),
            "minItems": least,
            "maxItems": most,
        }),
        Shape::Entries(of, most) => json!({
            "type": "array",
            "items": refer(of),
            "maxItems": most,
        }),
        Shape::Mapping(of) => json!({
            "type": "object",
            "additionalProperties": schema(*of),
            "maxProperties": CS_KEYS_PER_MAPPING_MAX,
        }),
        Shape::Map(of) => json!({"type": "object", "additionalProperties": schema(*of)}),
        Shape::Object => json!({"type": "object"}),
    }
}

/// As [`super::super::fields`] reads them, which takes more than it has to.
fn scalar_schema(scalar: Scalar) -> Value {
    match scalar {
        Scalar::UserName => json!({
            "type": "string",
            "minLength": 1,
            "maxLength": CS_USER_CHARS_MAX,
            "description": "The name of a user.",
        }),
        Scalar::ChannelName => json!({
            "type": "string",
            "minLength": 1,
            "maxLength": CS_CHANNEL_CHARS_MAX,
            "description": "The name of a channel, or a key of a state.",
        }),
        Scalar::Boolean => json!({
            "anyOf": [
                {"type": "boolean"},
                {"enum": [
                    1, 0, "t", "T", "true", "True", "TRUE", "1",
                    "f", "F", "false", "False", "FALSE", "0",
                ]},
            ],
            "description": "A boolean, or one of its other spellings.",
        }),
        Scalar::Count => json!({
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "number", "exclusiveMinimum": -1},
                {"type": "boolean"},
                {"type": "string", "pattern": r"^\s*\+?[0-9]+\s*$"},
            ],
            "description": "A whole number of at least zero; a fraction is cut off.",
        }),
        Scalar::Uuid => json!({
            "type": "string",
            "format": "uuid",
            "description": "An id of 32 hex digits; hyphens may be left out.",
        }),
        Scalar::DateTime => json!({
            "type": "string",
            "pattern": DATE_TIME,
            "description": "A date and a time of day; UTC if there is no offset.",
            "examples": ["2026-11-21T22:36:43.649648"],
        }),
        Scalar::StateValue => json!({
            "type": ["string", "number", "boolean", "null"],
            "description": "A value of a user's state.",
        }),
        Scalar::Callback => json!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_.$]+$",
            "maxLength": CS_CALLBACK_CHARS_MAX,
            "description": "The name of a function.",
        }),
        Scalar::PusherChannelName => json!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_=@,.;-]+$",
            "maxLength": PUSHER_CHANNEL_CHARS,
            "description": "The name of a channel; its beginning says what kind it is.",
        }),
        Scalar::PusherTarget => json!({
            "type": "string",
            "pattern": format!(
                "^([A-Za-z0-9_=@,.;-]{{1,{PUSHER_CHANNEL_CHARS}}}|\
                 #server-to-user-[A-Za-z0-9_=@,.;-]{{1,{PUSHER_USER_CHARS_MAX}}})$"
            ),
            "description": "The name of a channel, or `#server-to-user-` and the id of a user.",
        }),
        Scalar::PusherEventName => json!({
            "type": "string",
            "minLength": 1,
            "maxLength": PUSHER_EVENT_CHARS_MAX,
            "not": {"pattern": "^pusher(_internal)?:"},
            "description": "The name of an event, not one of the protocol's own.",
        }),
        Scalar::PusherEventData => json!({
            "maxLength": PUSHER_EVENT_BYTES_MAX,
            "description": format!("At most {PUSHER_EVENT_BYTES_MAX} bytes, as a text."),
        }),
        Scalar::PushiName => json!({
            "type": "string",
            "minLength": 1,
            // Whatever its characters are; of ASCII there may be four times as many.
            "maxLength": PUSHI_USER_BYTES_MAX / 4,
            "description": "A name, or an address.",
        }),
        Scalar::PushiText => json!({
            "type": "string",
            "maxLength": PUSHI_APP_FIELD_BYTES_MAX / 4,
            "description": "A text.",
        }),
        Scalar::PushiEventData => json!({
            "not": {"enum": ["", 0, false, null, [], {}]},
            "description": "Anything that is not empty.",
        }),
        Scalar::PusherSocketId => json!({
            "type": "string",
            "pattern": r"^[0-9]+\.[0-9]+$",
            "description": "The id of a socket.",
        }),
    }
}

/// Not every text of this form is a date: months differ in length.
const DATE_TIME: &str = concat!(
    "^[0-9]{4}-(0?[1-9]|1[0-2])-(0?[1-9]|[12][0-9]|3[01])",
    "[T ]([01]?[0-9]|2[0-3]):[0-5]?[0-9]",
    r"(:[0-5]?[0-9](\.[0-9]{1,12})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?$"
);
