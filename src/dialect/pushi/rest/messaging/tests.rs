use super::*;
use crate::transport::http::{Headers, Method};
use serde_json::{Value, json};

/// Reads a body and hands what it says on.
fn said<T>(body: &Value, then: impl FnOnce(Said<'_, '_>) -> T) -> T {
    let body = body.to_string();
    let request = Request {
        method: Method::Post,
        path: "/messaging/send",
        query: Some("tokens=aa&message=m"),
        is_1_1: true,
        headers: Headers(&[]),
        body: body.as_bytes(),
    };
    let fields = Fields::of(&request).expect("a body").json_only();
    then(Said(&fields))
}

/// An app with everything that can be sent with.
fn equipped() -> AppFields {
    AppFields {
        apn_key: Field::Is("key".into()),
        apn_cer: Field::Is("certificate".into()),
        vapid_key: Field::Is("key".into()),
        smtp_url: Field::Is("smtp://mail?sender=a@example.com".into()),
        ..AppFields::default()
    }
}

const NOT_YET: &str = "this server does not send direct messages yet";

/// The status and the message; settings that are missing are no fault.
fn told(refusal: &Refusal) -> (u16, String) {
    let status = match refusal {
        Refusal::Fault(fault) => fault.status,
        Refusal::NoSettings(_) => 200,
    };
    (status, refusal.message().to_owned())
}

/// Asks as if nothing was set, and as if everything was.
fn asked(
    cases: &[(Value, u16, &str)],
    app: &AppFields,
    ask: impl Fn(Said<'_, '_>, &AppFields) -> Refusal,
) {
    for (body, status, message) in cases {
        let refusal = said(body, |said| ask(said, app));
        assert_eq!(told(&refusal), (*status, (*message).to_owned()), "{body}");
    }
}

#[test]
fn apple_devices_are_checked_in_order() {
    let bare = [
        (json!({}), 400, "No device tokens specified"),
        (json!({"tokens": []}), 400, "No device tokens specified"),
        (json!({"tokens": "aa"}), 400, "No message specified"),
        (
            json!({"tokens": ["aa"], "message": ""}),
            400,
            "No message specified",
        ),
        (
            json!({"tokens": {"a": 1}, "message": "m"}),
            400,
            "Field 'tokens' not compatible with type 'list'",
        ),
        (
            json!({"tokens": ["aa", 5], "message": "m"}),
            400,
            "Field 'tokens' not compatible with type 'list'",
        ),
        (
            json!({"tokens": "aa", "message": {"aps": 1}}),
            400,
            "No APN key defined",
        ),
        (
            json!({"tokens": "aa", "message": "m", "key_data": "k"}),
            400,
            "No APN certificate defined",
        ),
        (
            json!({"tokens": "aa", "message": "m", "key_data": "k", "cer_data": "c"}),
            501,
            NOT_YET,
        ),
    ];
    asked(&bare, &AppFields::default(), |said, app| {
        said.to_devices(app)
    });
    let full = [(json!({"tokens": "aa", "message": "m"}), 501, NOT_YET)];
    asked(&full, &equipped(), |said, app| said.to_devices(app));
}

#[test]
fn the_app_and_not_the_request_lacks_what_apple_asks_for() {
    let body = json!({"tokens": "aa", "message": "m"});
    let refusal = said(&body, |said| said.to_devices(&AppFields::default()));
    let fault = match refusal {
        Refusal::Fault(fault) => fault,
        Refusal::NoSettings(why) => panic!("{why}"),
    };
    assert_eq!(fault.name, Name::RuntimeError);
}

#[test]
fn mail_needs_somebody_to_send_it() {
    let mail = json!({"to": "a@example.com", "subject": "s", "body": "b"});
    let with = |field: &str, value: &str| {
        let mut mail = mail.clone();
        mail[field] = value.into();
        mail
    };
    let bare = [
        (json!({}), 400, "No recipient specified"),
        (json!({"to": ["a"]}), 400, "No subject specified"),
        (json!({"to": "a", "subject": 5}), 400, "No body specified"),
        (
            json!({"to": "a", "subject": ["s"], "body": "b"}),
            400,
            "Field 'subject' not compatible with type 'str'",
        ),
        (mail.clone(), 200, "SMTP host not configured"),
        (with("smtp_host", "mail"), 200, "SMTP sender not configured"),
    ];
    let none = AppFields::default();
    asked(&bare, &none, |said, app| {
        said.to_addresses(app, Mail::default())
    });
    asked(&[(mail.clone(), 501, NOT_YET)], &equipped(), |said, app| {
        said.to_addresses(app, Mail::default())
    });
    // The mail server of the settings is for apps that have none.
    let settings = Mail {
        has_host: true,
        has_sender: true,
    };
    asked(&[(mail.clone(), 501, NOT_YET)], &none, |said, app| {
        said.to_addresses(app, settings)
    });
    let silent = AppFields {
        smtp_url: Field::Is("smtp://mail".into()),
        ..AppFields::default()
    };
    let no_sender = [
        (mail.clone(), 200, "SMTP sender not configured"),
        (with("smtp_sender", "a@example.com"), 501, NOT_YET),
    ];
    asked(&no_sender, &silent, |said, app| {
        said.to_addresses(app, settings)
    });
}

#[test]
fn hooks_need_an_address_and_data() {
    let cases = [
        (json!({}), 400, "No webhook URL specified"),
        (json!({"url": "u"}), 400, "No data specified"),
        (
            json!({"urls": ["u"], "data": null}),
            400,
            "No data specified",
        ),
        (
            json!({"urls": "u", "data": {}, "headers": ["a"]}),
            400,
            "Field 'headers' not compatible with type 'dict'",
        ),
        (
            json!({"urls": "u", "data": {}, "method": 5}),
            400,
            "Field 'method' not compatible with type 'str'",
        ),
        (json!({"url": "u", "data": ""}), 501, NOT_YET),
        (
            json!({"urls": [], "url": "u", "data": [1], "method": "PUT", "headers": {"a": "b"}}),
            501,
            NOT_YET,
        ),
    ];
    asked(&cases, &AppFields::default(), |said, _| said.to_hooks());
}

#[test]
fn browsers_are_named_one_by_one_or_in_a_list() {
    let one = json!({"endpoint": "e", "p256dh": "p", "auth": "a"});
    let cases = [
        (json!({}), 400, "No endpoint specified"),
        (json!({"endpoint": "e"}), 400, "No p256dh key specified"),
        (
            json!({"endpoint": "e", "p256dh": "p"}),
            400,
            "No auth secret specified",
        ),
        (one.clone(), 400, "No message specified"),
        (json!({"subscriptions": [one]}), 400, "No message specified"),
        (
            json!({"subscriptions": ["e"], "message": "m"}),
            400,
            "Field 'subscriptions' not compatible with type 'list'",
        ),
        (
            json!({"subscriptions": [one], "message": "m"}),
            200,
            "VAPID private key not configured",
        ),
        (
            json!({"subscriptions": [one], "message": "m", "vapid_private_key": "k"}),
            501,
            NOT_YET,
        ),
    ];
    asked(&cases, &AppFields::default(), |said, app| {
        said.to_browsers(app)
    });
    let full = [(
        json!({"endpoint": "e", "p256dh": "p", "auth": "a", "message": "m"}),
        501,
        NOT_YET,
    )];
    asked(&full, &equipped(), |said, app| said.to_browsers(app));
}

/// Sends by several adapters; the status, and the body.
fn sent(body: &Value, app: &AppFields) -> (u16, Value) {
    let routed = said(body, |said| send(said, app, Mail::default()));
    let response = match routed {
        Ok(crate::dialect::Reply::Now(response)) => response,
        Ok(_) => panic!("an answer at once"),
        Err(fault) => fault.response([0; 16]),
    };
    let body = serde_json::from_slice(&response.body).expect("JSON");
    (response.status, body)
}

#[test]
fn every_adapter_answers_for_itself() {
    let body = json!({
        "adapters": ["SMTP", "apn", "pigeon", "web", "webhook", "webpush", "pigeon"],
        "email_to": "a@example.com", "apn_tokens": ["aa"], "webhook_urls": "u",
        "web_push_subscriptions": [{}],
    });
    let failed = |why: &str| json!({"success": false, "error": why});
    let answer = json!({
        "email": failed("No body specified"),
        "apn": failed("No message specified"),
        "pigeon": failed("Unknown adapter: pigeon"),
        "webhook": failed(NOT_YET),
        "web_push": failed("No message specified"),
    });
    assert_eq!(sent(&body, &AppFields::default()), (200, answer));
    let mut with_data = body;
    with_data["data"] = json!({"a": 1});
    let answer = json!({
        "email": failed(NOT_YET),
        "apn": failed(NOT_YET),
        "pigeon": failed("Unknown adapter: pigeon"),
        "webhook": failed(NOT_YET),
        "web_push": failed(NOT_YET),
    });
    assert_eq!(sent(&with_data, &equipped()), (200, answer));
}

#[test]
fn adapters_without_targets_are_left_out() {
    let body = json!({"adapters": ["apn", "email", "web", "web_push"], "apn_tokens": []});
    let done = json!({"result": "success"});
    assert_eq!(sent(&body, &AppFields::default()), (200, done));
}

#[test]
fn too_many_adapters_are_refused() {
    let refused = |adapters: Value| {
        let (status, body) = sent(&json!({"adapters": adapters}), &AppFields::default());
        let message = body["message"].as_str().expect("a text").to_owned();
        (status, message)
    };
    for nothing in [json!(null), json!(""), json!([]), json!(0)] {
        let expected = (400, "No adapters specified".to_owned());
        assert_eq!(refused(nothing), expected);
    }
    let not_list = "Field 'adapters' not compatible with type 'list'";
    assert_eq!(refused(json!([["apn"]])), (400, not_list.to_owned()));
    let most = PUSHI_ADAPTERS_MAX;
    let names = |count: usize| json!((0..count).map(|at| format!("a{at}")).collect::<Vec<_>>());
    let (status, body) = sent(&json!({"adapters": names(most)}), &AppFields::default());
    assert_eq!(
        (status, body.as_object().map(|all| all.len())),
        (200, Some(most))
    );
    let message = format!("a message goes out by at most {most} adapters");
    assert_eq!(refused(names(most + 1)), (413, message.clone()));
    assert_eq!(refused(names(100_000 / 8)), (413, message));
    let (status, _) = refused(json!("a".repeat(PUSHI_ADAPTER_BYTES_MAX + 1)));
    assert_eq!(status, 400);
}
