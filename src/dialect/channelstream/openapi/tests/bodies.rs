//! Bodies are read as they are described.

use super::*;

const ID: &str = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

/// Values of a shape that are taken, and values that are not; those at the limits among them.
fn samples(shape: Shape) -> (Vec<Value>, Vec<Value>) {
    match shape {
        Shape::Any => (vec![json!(1), json!({})], vec![]),
        Shape::Text => (vec![json!("")], vec![json!(1)]),
        Shape::True => (vec![json!(true)], vec![json!({})]),
        Shape::Whole => (vec![json!(0)], vec![json!(-1)]),
        Shape::Object => (
            vec![json!({"a": [1]})],
            vec![json!(1), json!([]), json!("a")],
        ),
        Shape::OrNull(other) => {
            let (mut good, mut bad) = samples(*other);
            good.push(Value::Null);
            bad.retain(|bad| !bad.is_null());
            (good, bad)
        }
        Shape::Either(one, _) => (samples(*one).0, vec![]),
        Shape::List(of) => (vec![json!([]), json!([samples(*of).0[0]])], vec![json!({})]),
        Shape::Names(of, least, _) => {
            let (good, bad) = samples(Shape::Ref(of));
            let mut refused = vec![json!({}), json!("a")];
            refused.extend(bad.into_iter().map(|bad| json!([bad])));
            let mut taken: Vec<Value> = good.into_iter().map(|good| json!([good])).collect();
            let none = if least == 0 { &mut taken } else { &mut refused };
            none.push(json!([]));
            (taken, refused)
        }
        Shape::Entries(of, _) => {
            let (good, _) = samples(Shape::Ref(of));
            (vec![json!([]), json!(good)], vec![json!({}), json!([1])])
        }
        Shape::Mapping(of) => {
            let (good, bad) = samples(*of);
            let mut refused = vec![json!([])];
            refused.extend(bad.into_iter().map(|bad| json!({"a": bad})));
            let mut taken = vec![json!({})];
            taken.extend(good.into_iter().map(|good| json!({"a": good})));
            (taken, refused)
        }
        Shape::Map(_) => (vec![json!({})], vec![json!([])]),
        Shape::Ref(name) => {
            if let Some(scalar) = Scalar::ALL.into_iter().find(|scalar| scalar.name() == name) {
                return scalar_samples(scalar);
            }
            let structure = bodies().find(|structure| structure.name == name);
            let structure = structure.unwrap_or_else(|| panic!("{name} is no body"));
            (vec![least(structure)], vec![json!([]), json!(1)])
        }
    }
}

fn scalar_samples(scalar: Scalar) -> (Vec<Value>, Vec<Value>) {
    let long = |chars: usize| json!("é".repeat(chars));
    let texts = |max: usize| {
        (
            vec![json!("a"), long(max - 1), long(max)],
            vec![json!(""), long(max + 1), json!(1), Value::Null],
        )
    };
    match scalar {
        Scalar::UserName => texts(CS_USER_CHARS_MAX),
        Scalar::ChannelName => texts(CS_CHANNEL_CHARS_MAX),
        Scalar::Boolean => {
            let document = document("");
            let spelled = &document["components"]["schemas"]["Boolean"]["anyOf"][1]["enum"];
            let mut good = spelled.as_array().expect("a list").clone();
            good.extend([json!(true), json!(false)]);
            (good, vec![json!("yes"), json!(2), json!([]), Value::Null])
        }
        Scalar::Count => (
            vec![
                json!(0),
                json!(7),
                json!(1.9),
                json!(-0.5),
                json!(true),
                json!(" +5 "),
            ],
            vec![json!(-1), json!("1.5"), json!([]), Value::Null],
        ),
        Scalar::Uuid => (
            vec![json!(ID), json!(ID.replace('-', ""))],
            vec![json!("a"), json!(1), Value::Null],
        ),
        Scalar::DateTime => (
            vec![
                json!("2026-11-21T22:36:43.649648"),
                json!("2026-1-2 3:04"),
                json!("2026-01-02T03:04:05Z"),
                json!("2026-01-02T03:04:05+01:30"),
            ],
            vec![
                json!("2026-11-21"),
                json!("2026-13-01T00:00"),
                json!(5),
                Value::Null,
            ],
        ),
        Scalar::StateValue => (
            vec![json!("a"), json!(1.5), json!(true), Value::Null],
            vec![json!([]), json!({})],
        ),
        Scalar::Callback => (vec![json!("a.b")], vec![json!("a(")]),
        Scalar::PusherChannelName => panic!("no body has one of these alone"),
        Scalar::PusherTarget => {
            let user = |chars: usize| json!(format!("#server-to-user-{}", "x".repeat(chars)));
            let name = |chars: usize| json!("x".repeat(chars));
            let mut good = vec![json!("presence-a_1=@,.;"), name(PUSHER_CHANNEL_CHARS)];
            good.push(user(PUSHER_USER_CHARS_MAX));
            let mut bad = vec![
                json!(""),
                json!("a b"),
                json!("#a"),
                json!("é"),
                json!("a\n"),
            ];
            bad.extend([
                name(PUSHER_CHANNEL_CHARS + 1),
                user(PUSHER_USER_CHARS_MAX + 1),
            ]);
            bad.extend([user(0), json!(1), Value::Null]);
            (good, bad)
        }
        Scalar::PusherEventName => {
            let (mut good, mut bad) = texts(PUSHER_EVENT_CHARS_MAX);
            good.extend([json!("pusher"), json!("a pusher:b"), json!("client-a")]);
            bad.extend([json!("pusher:a"), json!("pusher_internal:")]);
            (good, bad)
        }
        Scalar::PusherEventData => {
            let text = |bytes: usize| json!("x".repeat(bytes));
            let mut good = vec![json!(""), json!({"a": [1]}), json!(1.5), Value::Null];
            good.push(text(PUSHER_EVENT_BYTES_MAX));
            (good, vec![text(PUSHER_EVENT_BYTES_MAX + 1)])
        }
        Scalar::PushiName => (
            vec![json!("a"), json!("/ &:\""), long(PUSHI_USER_BYTES_MAX / 4)],
            vec![json!(""), json!([]), json!({}), Value::Null],
        ),
        Scalar::PushiText => (vec![json!(""), json!("a")], vec![json!([]), json!({})]),
        Scalar::PushiEventData => (
            vec![
                json!("a"),
                json!(-1),
                json!(true),
                json!([0]),
                json!({"a": null}),
            ],
            vec![
                json!(""),
                json!(0),
                json!(false),
                json!([]),
                json!({}),
                Value::Null,
            ],
        ),
        Scalar::PusherSocketId => (
            vec![json!("1.2"), json!("00.99999999999999999999")],
            vec![
                json!("1"),
                json!("1.2.3"),
                json!("a.1"),
                json!(""),
                json!(1.2),
            ],
        ),
    }
}

/// A body of this structure with what it has to have.
fn least(structure: &Structure) -> Value {
    let needed = structure.fields.iter().filter(|field| field.is_required);
    let needed = needed.map(|field| (field.name.to_owned(), samples(field.shape).0[0].clone()));
    Value::Object(needed.collect())
}

/// Reads a body with the parser of its structure; what was wrong, for humans.
fn read(name: &str, body: &Value) -> Result<(), String> {
    let app = App::new(AppId(1), "1", "key", "secret");
    let text = body.to_string();
    let read = match name {
        "PusherEventToChannels" => pusher::event(text.as_bytes(), &app).map(drop),
        "PusherEventToChannel" => {
            let alone = pusher::event(text.as_bytes(), &app).map(drop);
            let batch = json!({"batch": [body]}).to_string();
            let batched = pusher::batch(batch.as_bytes(), &app).map(drop);
            assert_eq!(alone.is_ok(), batched.is_ok(), "{text:.80}");
            batched
        }
        "PusherBatch" => pusher::batch(text.as_bytes(), &app).map(drop),
        _ if name.starts_with("Pushi") => return read_pushi(name, &text),
        _ => return read_channelstream(name, body).map_err(|fault| format!("{fault:?}")),
    };
    read.map_err(|fault| fault.message.into_owned())
}

fn read_pushi(name: &str, text: &str) -> Result<(), String> {
    let request = Request {
        method: Method::Post,
        path: "/",
        query: None,
        is_1_1: true,
        headers: Headers(&[]),
        body: text.as_bytes(),
    };
    let record = |kind, fields| pushi::record(kind, fields).map(drop);
    let read = form::Fields::of(&request).and_then(|fields| match name {
        "PushiEventBody" => pushi::event(&fields).map(drop),
        "PushiAppBody" => pushi::new_app(&fields).map(drop),
        "PushiAppFieldsBody" => pushi::app_fields(&fields).map(drop),
        "PushiSubscriptionBody" => record(RecordKind::Subscription, fields),
        "PushiWebBody" => record(RecordKind::Web, fields),
        "PushiApnBody" => record(RecordKind::Apn, fields),
        "PushiSmtpBody" => record(RecordKind::Smtp, fields),
        "PushiWebPushBody" => record(RecordKind::WebPush, fields),
        other => panic!("who reads {other}?"),
    });
    read.map_err(|fault| format!("{} {:?}", fault.message, fault.errors))
}

fn read_channelstream(name: &str, body: &Value) -> Result<(), BodyFault> {
    let entry = || json!([body]).to_string();
    let text = body.to_string();
    match name {
        "ConnectBody" => words::parse_connect(text.as_bytes()).map(drop),
        "SubscribeBody" | "UnsubscribeBody" => {
            words::parse_subscribe(text.as_bytes(), None, |_| true).map(drop)
        }
        "UserStateBody" => words::parse_user_state(text.as_bytes(), |_| true).map(drop),
        "MessageBody" => words::parse_messages(entry().as_bytes()).map(drop),
        "MessageEditBody" => words::parse_edits(entry().as_bytes()).map(drop),
        "MessageDeleteBody" => words::parse_deletes(entry().as_bytes()).map(drop),
        "DisconnectBody" => words::parse_disconnect(text.as_bytes()).map(drop),
        "ChannelInfoBody" => words::parse_info(text.as_bytes()).map(drop),
        "InfoResolution" => read_channelstream("ChannelInfoBody", &json!({"info": body})),
        "ChannelSettings" => {
            words::parse_channel_config(json!({"c": body}).to_string().as_bytes()).map(drop)
        }
        other => panic!("who reads {other}?"),
    }
}

fn with(structure: &Structure, field: &Field, value: Value) -> Value {
    let mut body = least(structure);
    body[field.name] = value;
    body
}

#[test]
fn bodies_are_read_as_they_are_described() {
    for structure in bodies() {
        let name = structure.name;
        assert_eq!(read(name, &least(structure)), Ok(()), "{name}");
        for field in structure.fields {
            let (good, bad) = samples(field.shape);
            for value in good {
                let body = with(structure, field, value);
                assert_eq!(read(name, &body), Ok(()), "{name}.{}", field.name);
            }
            for value in bad {
                let body = with(structure, field, value.clone());
                assert!(
                    read(name, &body).is_err(),
                    "{name}.{}: {value:.80}",
                    field.name
                );
            }
            let mut body = with(structure, field, Value::Null);
            body.as_object_mut().expect("an object").remove(field.name);
            let may_miss = read(name, &body).is_ok();
            assert_eq!(may_miss, !field.is_required, "{name}.{}", field.name);
            if let Ok(default) = serde_json::from_str::<Value>(field.default) {
                let body = with(structure, field, default);
                assert_eq!(read(name, &body), Ok(()), "{name}.{}", field.name);
            }
        }
        // Fields that nobody knows are ignored.
        let mut more = least(structure);
        more["not_a_field"] = json!([{}]);
        assert_eq!(read(name, &more), Ok(()), "{name}");
    }
}

/// One of each kind, since the longest take their time.
#[test]
fn lists_and_mappings_are_as_long_as_described() {
    let connect = |field: &str, value: Value| {
        let mut body = json!({"username": "u"});
        body[field] = value;
        read("ConnectBody", &body)
    };
    let names = |count: usize| json!(vec!["a"; count]);
    let values = |count: usize| -> Value {
        let keys = (0..count).map(|key| (key.to_string(), json!(1)));
        Value::Object(keys.collect())
    };
    let messages = |count: usize| {
        let body = json!(vec![json!({"user": "u"}); count]).to_string();
        words::parse_messages(body.as_bytes()).is_ok()
    };
    for (more, is_taken) in [(0, true), (1, false)] {
        let list = connect("channels", names(CS_NAMES_PER_LIST_MAX + more));
        let mapping = connect("user_state", values(CS_KEYS_PER_MAPPING_MAX + more));
        assert_eq!((list.is_ok(), mapping.is_ok()), (is_taken, is_taken));
        assert_eq!(messages(CS_MESSAGES_PER_REQUEST_MAX + more), is_taken);
        let channels = vec!["a"; PUSHER_CHANNELS_PER_EVENT_MAX + more];
        let event = json!({"name": "a", "data": "", "channels": channels});
        assert_eq!(read("PusherEventToChannels", &event).is_ok(), is_taken);
        let event = json!({"name": "a", "data": "", "channel": "a"});
        let batch = json!({"batch": vec![event; PUSHER_BATCH_EVENTS_MAX + more]});
        assert_eq!(read("PusherBatch", &batch).is_ok(), is_taken);
        let channels = vec!["a"; PUSHI_CHANNELS_PER_EVENT_MAX + more];
        let event = json!({"data": "d", "channel": channels});
        assert_eq!(read("PushiEventBody", &event).is_ok(), is_taken);
    }
}

#[test]
fn what_is_read_is_described() {
    let source = include_str!("../../words.rs");
    let tables = source.split("const NAMES: [&str;").skip(1);
    let tables = tables.map(|rest| {
        let (_, list) = rest.split_once("= [").expect("a list");
        let (list, _) = list.split_once("];").expect("its end");
        list.split('"').skip(1).step_by(2).collect::<BTreeSet<_>>()
    });
    // Pusher's stand where they are used.
    let source = include_str!("../../../pusher/bodies.rs");
    let lists = source.split("[\"").skip(1).map(|rest| {
        let (list, _) = rest.split_once(']').expect("its end");
        list.split('"').step_by(2).collect::<BTreeSet<_>>()
    });
    let lists: Vec<_> = lists.collect();
    assert_eq!(lists.len(), 3, "{lists:?}");
    let mut count = 0;
    for read in tables.chain(lists) {
        count += 1;
        let is_described = bodies().any(|structure| {
            let fields = structure.fields.iter().map(|field| field.name);
            fields.collect::<BTreeSet<_>>() == read
        });
        assert!(is_described, "{read:?}");
    }
    assert!(count >= 10, "the tables are found");
}

#[test]
fn every_name_is_given_once() {
    let scalars = Scalar::ALL.iter().map(|scalar| scalar.name());
    let aliases = aliases().map(|alias| alias.name);
    let structures = bodies().chain(answers()).map(|structure| structure.name);
    let mut names = BTreeSet::new();
    for name in scalars.chain(aliases).chain(structures) {
        assert!(names.insert(name), "{name}");
    }
}
