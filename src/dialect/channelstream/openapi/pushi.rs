//! The rows of Pushi's HTTP API: the routes. What is sent and answered is in `shapes`.
//!
//! Bodies are described as JSON. Most may come as a form or in the query as well, and numbers are taken
//! for texts.

mod shapes;

use super::schemas::Shape;
use super::table::{Access, Answer, Group, JSON, Operation, PLAIN, Parameter, json};
use crate::transport::http::Method;

pub(super) use shapes::{BODIES, answers};

/// What the routes have in common.
const API: Operation = Operation {
    group: Group::Pushi,
    access: Access::Session,
    ..PLAIN
};
/// The same for whoever comes.
const OPEN: Operation = Operation {
    access: Access::Open,
    ..API
};
/// The same with a session, or with the key of an app.
const BROWSER: Operation = Operation {
    access: Access::AppKey,
    ..API
};

/// Nothing but that it is done.
const SUCCESS: Shape = Shape::Ref("PushiSuccess");

const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        shape: Shape::Text,
        is_required: true,
        about,
    }
}

const fn filter(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        is_required: false,
        ..text(name, about)
    }
}

/// What pieces of paths in braces are, beside Pusher's.
pub(super) const IN_PATHS: &[Parameter] = &[
    text("socket_id", "The id of a socket, known or not."),
    text(
        "url",
        "The address of a web hook; slashes may stand as they are.",
    ),
    text("token", "The token of an Apple device."),
    text("email", "The mail address."),
    text(
        "endpoint",
        "The address of a browser; slashes may stand as they are.",
    ),
    text("channel", "The channel."),
];

const CREDENTIALS: &[Parameter] = &[
    text("app_id", "The app's id."),
    text("app_key", "Its key."),
    text("app_secret", "Its secret."),
];

const EVENT: Parameter = filter("event", "Only for this channel; empty for all.");
const FORCE: Parameter = filter(
    "force",
    "404 if there is none, unless this is empty, `0` or `false`.",
);
const AUTH: Parameter = filter(
    "auth",
    "`key:digest` for private, presence, personal and peer channels, as `fanwire sign pushi` makes it \
     for the target and the channel.",
);
const UNSUBSCRIBE: Parameter = filter(
    "unsubscribe",
    "Before that, the oldest record with this target goes, whatever its channel.",
);
const REGISTERING: &[Parameter] = &[AUTH, UNSUBSCRIBE];

const LOGGED_IN: &[Answer] = &[json!("A session.", Shape::Ref("PushiToken"))];
const DONE: &[Answer] = &[json!("Done.", SUCCESS)];
const APP: &[Answer] = &[json!("The app.", Shape::Ref("PushiApp"))];
const SOCKET: &[Answer] = &[json!(
    "Its channels in the order of joining; none if it is not there.",
    Shape::Ref("PushiChannels")
)];
const SUBSCRIBED: &[Answer] = &[json!(
    "The subscription, made now or before.",
    Shape::Ref("PushiSubscription")
)];
const UNSUBSCRIBED: &[Answer] = &[json!(
    "The one that was removed, if there was one.",
    Shape::Either(&Shape::Ref("PushiSubscription"), &SUCCESS)
)];

/// What direct messages are answered with.
const SENT: &[Answer] = &[
    json!(
        "What was sent, or which settings are missing.",
        Shape::Object
    ),
    Answer {
        status: 501,
        about: "Nothing is missing but that this server does not send them yet.",
        content: &[(JSON, Shape::Ref("PushiError"))],
    },
];

/// The four routes of a kind of records that are alike.
macro_rules! records {
    ($first:literal, $target:literal, $record:literal, $list:literal, $body:literal,
     $listed:literal, $made:literal, $removed:literal, $removed_one:literal) => {
        [
            Operation {
                path: concat!("/", $first),
                id: $listed,
                summary: concat!("List the records of ", $first),
                about: "Oldest first.",
                parameters: &[
                    filter($target, "Only with this target; empty for all."),
                    EVENT,
                ],
                answers: &[json!("The records.", Shape::Ref($list))],
                ..API
            },
            Operation {
                path: concat!("/", $first),
                method: Method::Post,
                id: $made,
                summary: concat!("Make a record of ", $first),
                about: "If the same one is there it stays as it is. Nothing is sent to it yet.",
                parameters: REGISTERING,
                body: Some((Shape::Ref($body), true)),
                answers: &[json!(
                    "The record, made now or before.",
                    Shape::Ref($record)
                )],
                ..API
            },
            Operation {
                path: concat!("/", $first, "/{", $target, "}"),
                method: Method::Delete,
                id: $removed,
                summary: concat!("Remove a target from ", $first),
                answers: &[json!("Those that were removed.", Shape::Ref($list))],
                ..API
            },
            Operation {
                path: concat!("/", $first, "/{", $target, "}/{channel}"),
                method: Method::Delete,
                id: $removed_one,
                summary: concat!("Remove one record of ", $first),
                parameters: &[FORCE],
                answers: &[json!(
                    "The one that was removed, if there was one.",
                    Shape::Either(&Shape::Ref($record), &SUCCESS)
                )],
                ..API
            },
        ]
    };
}

/// Every route.
pub(super) fn operations() -> impl Iterator<Item = &'static Operation> + Clone {
    let records = WEBS.iter().chain(&APNS).chain(&SMTPS);
    OPERATIONS.iter().chain(records)
}

static WEBS: [Operation; 4] = records!(
    "webs",
    "url",
    "PushiWeb",
    "PushiWebs",
    "PushiWebBody",
    "pushi_webs",
    "pushi_make_web",
    "pushi_remove_webs",
    "pushi_remove_web"
);
static APNS: [Operation; 4] = records!(
    "apns",
    "token",
    "PushiApn",
    "PushiApns",
    "PushiApnBody",
    "pushi_apns",
    "pushi_make_apn",
    "pushi_remove_apns",
    "pushi_remove_apn"
);
static SMTPS: [Operation; 4] = records!(
    "smtps",
    "email",
    "PushiSmtp",
    "PushiSmtps",
    "PushiSmtpBody",
    "pushi_smtps",
    "pushi_make_smtp",
    "pushi_remove_smtps",
    "pushi_remove_smtp"
);

const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/login",
        id: "pushi_login",
        summary: "Log in",
        about: "The session is in the answer and in a cookie; it lasts 31 days.",
        parameters: CREDENTIALS,
        answers: LOGGED_IN,
        ..OPEN
    },
    Operation {
        path: "/login",
        method: Method::Post,
        id: "pushi_login_by_post",
        summary: "Log in",
        about: "The same; a body is not looked at.",
        parameters: CREDENTIALS,
        answers: LOGGED_IN,
        ..OPEN
    },
    Operation {
        path: "/logout",
        id: "pushi_logout",
        summary: "End the session",
        about: "Done without one as well.",
        answers: DONE,
        ..OPEN
    },
    Operation {
        path: "/logout",
        method: Method::Post,
        id: "pushi_logout_by_post",
        summary: "End the session",
        answers: DONE,
        ..OPEN
    },
    Operation {
        path: "/apps",
        id: "pushi_apps",
        summary: "Show the app of the session, in a list",
        answers: &[json!("The app.", Shape::Ref("PushiApps"))],
        ..API
    },
    Operation {
        path: "/apps",
        method: Method::Post,
        id: "pushi_make_app",
        summary: "Make an app",
        about: "Where `pushi.open_registration` lets anybody; 429 after too many.",
        body: Some((Shape::Ref("PushiAppBody"), true)),
        answers: &[
            json!("The app with its credentials.", Shape::Ref("PushiApp")),
            Answer {
                status: 429,
                about: "Too many from this address; `Retry-After` says when.",
                content: &[(JSON, Shape::Ref("PushiError"))],
            },
        ],
        ..OPEN
    },
    Operation {
        path: "/apps/ping",
        id: "pushi_ping",
        summary: "Publish the event `ping` on the channel `global`, unstored",
        answers: DONE,
        ..API
    },
    Operation {
        path: "/apps/{app_id}",
        id: "pushi_app",
        summary: "Show the app of the session",
        answers: APP,
        ..API
    },
    Operation {
        path: "/apps/{app_id}",
        method: Method::Put,
        id: "pushi_change_app",
        summary: "Change the app of the session",
        about: "Fields that are left out stay. What the settings say of an app cannot be changed.",
        body: Some((Shape::Ref("PushiAppFieldsBody"), true)),
        answers: APP,
        ..API
    },
    Operation {
        path: "/apps/{app_id}/subscribe",
        method: Method::Post,
        id: "pushi_subscribe",
        summary: "Subscribe a user to a channel, as the earliest versions did",
        body: Some((Shape::Ref("PushiSubscriptionBody"), true)),
        answers: SUBSCRIBED,
        ..API
    },
    Operation {
        path: "/apps/{app_id}/unsubscribe",
        method: Method::Post,
        id: "pushi_unsubscribe",
        summary: "End a subscription, as the earliest versions did",
        body: Some((Shape::Ref("PushiSubscriptionBody"), true)),
        answers: UNSUBSCRIBED,
        ..API
    },
    Operation {
        path: "/events",
        id: "pushi_events",
        summary: "List stored events",
        about: "Of all channels, newest first.",
        parameters: &[Parameter {
            name: "count",
            shape: Shape::Whole,
            is_required: false,
            about: "How many, 10 if left out; at most 1000, also for 0.",
        }],
        answers: &[json!("The events.", Shape::Ref("PushiEvents"))],
        ..API
    },
    Operation {
        path: "/events",
        method: Method::Post,
        id: "pushi_publish",
        summary: "Publish an event",
        about: "Answered when it is stored, if it is to be.",
        body: Some((Shape::Ref("PushiEventBody"), true)),
        answers: DONE,
        ..API
    },
    Operation {
        path: "/subscriptions",
        id: "pushi_subscriptions",
        summary: "List subscriptions of users",
        about: "Oldest first.",
        parameters: &[
            filter("user_id", "Only of this user; empty for all."),
            EVENT,
        ],
        answers: &[json!(
            "The subscriptions.",
            Shape::Ref("PushiSubscriptions")
        )],
        ..API
    },
    Operation {
        path: "/subscriptions",
        method: Method::Post,
        id: "pushi_make_subscription",
        summary: "Subscribe a user to a channel",
        about: "What is stored for the channel from now on waits for the user.",
        body: Some((Shape::Ref("PushiSubscriptionBody"), true)),
        answers: SUBSCRIBED,
        ..API
    },
    Operation {
        path: "/subscriptions/{user_id}/{channel}",
        method: Method::Delete,
        id: "pushi_remove_subscription",
        summary: "End a subscription",
        parameters: &[FORCE],
        answers: UNSUBSCRIBED,
        ..API
    },
    Operation {
        path: "/web_pushes",
        id: "pushi_web_pushes",
        summary: "List browsers",
        about: "Oldest first.",
        parameters: &[
            filter("endpoint", "Only with this address; empty for all."),
            EVENT,
        ],
        answers: &[json!("The records.", Shape::Ref("PushiWebPushes"))],
        ..API
    },
    Operation {
        path: "/web_pushes",
        method: Method::Post,
        id: "pushi_make_web_push",
        summary: "Register a browser",
        about: "If the same one is there it stays as it is. Nothing is sent to it yet.",
        parameters: REGISTERING,
        body: Some((Shape::Ref("PushiWebPushBody"), true)),
        answers: &[json!(
            "The record, made now or before.",
            Shape::Ref("PushiWebPush")
        )],
        ..BROWSER
    },
    Operation {
        path: "/web_pushes/{endpoint}",
        method: Method::Delete,
        id: "pushi_remove_web_pushes",
        summary: "Remove a browser",
        about: "From all channels, or with `event` from one.",
        parameters: &[filter("event", "Only from this channel."), FORCE],
        answers: &[json!("What was removed.", Shape::Object)],
        ..BROWSER
    },
    Operation {
        path: "/vapid_key",
        id: "pushi_vapid_key",
        summary: "Show the public key of Web Push",
        about: "404 if the app has none.",
        answers: &[json!("The key.", Shape::Ref("PushiVapidKey"))],
        ..BROWSER
    },
    Operation {
        path: "/sockets",
        id: "pushi_sockets",
        summary: "List the sockets of the app",
        answers: &[json!(
            "The sockets and their channels.",
            Shape::Ref("PushiSockets")
        )],
        ..API
    },
    Operation {
        path: "/sockets/{socket_id}",
        id: "pushi_socket",
        summary: "List the channels of a socket",
        answers: SOCKET,
        ..API
    },
    Operation {
        path: "/sockets/{socket_id}",
        method: Method::Post,
        id: "pushi_socket_by_post",
        summary: "List the channels of a socket",
        about: "A body is not looked at.",
        answers: SOCKET,
        ..API
    },
    Operation {
        path: "/health",
        id: "pushi_health",
        summary: "Say that Pushi is served",
        answers: &[json!("It is.", Shape::Ref("PushiHealth"))],
        ..OPEN
    },
    Operation {
        path: "/health/detailed",
        id: "pushi_health_in_detail",
        summary: "Tell how store and sockets fare",
        about: "Always 200; `/health/ready` is for balancers.",
        answers: &[json!("How they fare.", Shape::Ref("PushiHealthInDetail"))],
        ..OPEN
    },
    Operation {
        path: "/messaging/send",
        method: Method::Post,
        id: "pushi_send",
        summary: "Send a direct message by several adapters",
        about: "What each came to; one that failed does not stop the others, and one without \
                targets is left out. None sends anything yet, and each says so.",
        body: Some((Shape::Object, true)),
        answers: &[json!("By adapter.", Shape::Object)],
        ..API
    },
    Operation {
        path: "/messaging/apn",
        method: Method::Post,
        id: "pushi_send_apn",
        summary: "Send a direct message to Apple devices",
        body: Some((Shape::Object, true)),
        answers: SENT,
        ..API
    },
    Operation {
        path: "/messaging/email",
        method: Method::Post,
        id: "pushi_send_email",
        summary: "Send a direct message by mail",
        body: Some((Shape::Object, true)),
        answers: SENT,
        ..API
    },
    Operation {
        path: "/messaging/webhook",
        method: Method::Post,
        id: "pushi_send_webhook",
        summary: "Send a direct message to web hooks",
        body: Some((Shape::Object, true)),
        answers: SENT,
        ..API
    },
    Operation {
        path: "/messaging/web_push",
        method: Method::Post,
        id: "pushi_send_web_push",
        summary: "Send a direct message to browsers",
        body: Some((Shape::Object, true)),
        answers: SENT,
        ..API
    },
];
