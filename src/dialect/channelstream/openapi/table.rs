//! The table of endpoints.

use super::schemas::Shape;
use super::{pusher, pushi};
use crate::transport::http::Method;

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Anyone.
    Open,
    /// Who knows the shared secret.
    Signed,
    /// Who knows the shared secret, or is signed in to the admin page.
    Admin,
    /// Who has the admin's password or the token for metrics.
    Metrics,
    /// Who knows the secret of an app of Pusher's.
    Pusher,
    /// Who has a session of Pushi's.
    Session,
    /// The same, or who knows the key of an app.
    AppKey,
}

/// Whose endpoints they are; a heading in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Server,
    Client,
    Admin,
    Pusher,
    Pushi,
    Fanwire,
}

impl Group {
    pub(super) const ALL: [Self; 6] = [
        Self::Server,
        Self::Client,
        Self::Admin,
        Self::Pusher,
        Self::Pushi,
        Self::Fanwire,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Admin => "admin",
            Self::Pusher => "pusher",
            Self::Pushi => "pushi",
            Self::Fanwire => "fanwire",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Server => "For the web application, which signs each request.",
            Self::Client => "For browsers, which know the id of their connection.",
            Self::Admin => "For operators: signed in by cookie, or signed as a web application.",
            Self::Pusher => {
                "Pusher's HTTP API, where an app of Pusher's is configured. Applications sign each \
                 request, as `fanwire sign request` does; limits are those of an app that sets \
                 none of its own."
            }
            Self::Pushi => {
                "Pushi's HTTP API, where Pushi is served. Applications log in once and bring the \
                 session along; errors are all of one shape."
            }
            Self::Fanwire => "The server's own: health and metrics.",
        }
    }
}

/// One query parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
    pub(super) about: &'static str,
}

/// One way in which an endpoint of its own answers, beside those that all have.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) about: &'static str,
    /// Content types, each with what is in it.
    pub(super) content: &'static [(&'static str, Shape)],
}

/// One endpoint.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) path: &'static str,
    pub(super) method: Method,
    /// Unique name, for generated clients.
    pub(super) id: &'static str,
    pub(super) group: Group,
    pub(super) access: Access,
    pub(super) summary: &'static str,
    pub(super) about: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// What the body is, and whether there has to be one.
    pub(super) body: Option<(Shape, bool)>,
    /// 422 is among the answers.
    pub(super) can_be_invalid: bool,
    pub(super) answers: &'static [Answer],
    /// Methods that the document does not list do the same as this one.
    pub(super) any_method: bool,
}

/// What most endpoints have in common.
pub(super) const PLAIN: Operation = Operation {
    path: "",
    method: Method::Get,
    id: "",
    group: Group::Server,
    access: Access::Signed,
    summary: "",
    about: "",
    parameters: &[],
    body: None,
    can_be_invalid: false,
    answers: &[],
    any_method: false,
};

pub(super) const JSON: &str = "application/json";

/// 200 with JSON of this shape.
macro_rules! json {
    ($about:literal, $shape:expr) => {
        Answer {
            status: 200,
            about: $about,
            content: &[(JSON, $shape)],
        }
    };
}

pub(super) use json;

/// More waits than may wait.
const BUSY: Answer = Answer {
    status: 503,
    about: "Too much waits to be done; nothing of this request was. Try again in a moment.",
    content: &[(JSON, Shape::Ref("Refusal"))],
};

const CONN_ID: Parameter = Parameter {
    name: "conn_id",
    shape: Shape::Ref("Uuid"),
    is_required: true,
    about: "The id that the web application got from /connect.",
};

/// Who is not signed in is sent to where that is done.
const TO_SIGN_IN: Answer = Answer {
    status: 302,
    about: "Neither signed in nor signed: on to the page where one signs in.",
    content: &[
        (JSON, Shape::Ref("Page")),
        ("text/html", Shape::Text),
        ("text/plain", Shape::Text),
    ],
};

const REPORT: [Answer; 2] = [json!("The report.", Shape::Ref("AdminReport")), TO_SIGN_IN];

const DISCONNECTED: [Answer; 1] = [json!(
    "Whether there was a connection with this id.",
    Shape::True
)];

/// Every endpoint.
pub(super) fn operations() -> impl Iterator<Item = &'static Operation> + Clone {
    let others = pusher::OPERATIONS.iter().chain(pushi::operations());
    OPERATIONS.iter().chain(others)
}

/// Channelstream's, and the server's own.
const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/connect",
        method: Method::Post,
        id: "connect",
        summary: "Connect a user",
        about: "Makes the user if there is none of this name, makes a connection, and joins its \
                channels. The id in the answer is what the browser listens with.",
        body: Some((Shape::Ref("ConnectBody"), true)),
        can_be_invalid: true,
        answers: &[json!("Connected.", Shape::Ref("ConnectAnswer"))],
        ..PLAIN
    },
    Operation {
        path: "/subscribe",
        method: Method::Post,
        id: "subscribe",
        summary: "Join channels",
        about: "Channels that do not exist are made.",
        parameters: &[Parameter {
            is_required: false,
            about: "Counts if the body names none.",
            ..CONN_ID
        }],
        body: Some((Shape::Ref("SubscribeBody"), true)),
        can_be_invalid: true,
        answers: &[json!("Joined.", Shape::Ref("SubscribeAnswer"))],
        ..PLAIN
    },
    Operation {
        path: "/unsubscribe",
        method: Method::Post,
        id: "unsubscribe",
        summary: "Leave channels",
        about: "Channels that the connection is not in are passed over.",
        parameters: &[Parameter {
            is_required: false,
            about: "Counts if the body names none.",
            ..CONN_ID
        }],
        body: Some((Shape::Ref("UnsubscribeBody"), true)),
        can_be_invalid: true,
        answers: &[json!("Left.", Shape::Ref("UnsubscribeAnswer"))],
        ..PLAIN
    },
    Operation {
        path: "/user_state",
        method: Method::Post,
        id: "set_user_state",
        summary: "Change a user's state",
        about: "Merges values into the state, and replaces the list of public keys if there is one.",
        body: Some((Shape::Ref("UserStateBody"), true)),
        can_be_invalid: true,
        answers: &[json!("Changed.", Shape::Ref("UserStateAnswer"))],
        ..PLAIN
    },
    Operation {
        path: "/message",
        method: Method::Post,
        id: "send_messages",
        summary: "Send messages",
        about: "To a channel, to some users in a channel, or to users wherever they are. A message \
                with neither channel nor users is dropped. If one message is wrong, none is sent.",
        body: Some((Shape::Ref("MessagesBody"), true)),
        can_be_invalid: true,
        answers: &[
            json!(
                "Those that have a target.",
                Shape::List(&Shape::Ref("SentMessage"))
            ),
            BUSY,
        ],
        ..PLAIN
    },
    Operation {
        path: "/message",
        method: Method::Patch,
        id: "edit_messages",
        summary: "Edit messages",
        about: "Changes what is kept of each message, and tells those who may have seen it.",
        body: Some((Shape::Ref("MessagesEditBody"), true)),
        can_be_invalid: true,
        answers: &[
            json!(
                "As they were read.",
                Shape::List(&Shape::Ref("EditedMessage"))
            ),
            BUSY,
        ],
        ..PLAIN
    },
    Operation {
        path: "/message",
        method: Method::Delete,
        id: "delete_messages",
        summary: "Delete messages",
        about: "Forgets what is kept of each message, and tells those who may have seen it.",
        body: Some((Shape::Ref("MessagesDeleteBody"), true)),
        can_be_invalid: true,
        answers: &[
            json!(
                "As they were read.",
                Shape::List(&Shape::Ref("DeletedMessage"))
            ),
            BUSY,
        ],
        ..PLAIN
    },
    Operation {
        path: "/channel_config",
        method: Method::Post,
        id: "configure_channels",
        summary: "Set the settings of channels",
        about: "All settings of each channel are replaced; channels that do not exist are made.",
        body: Some((Shape::Ref("ChannelConfigBody"), true)),
        can_be_invalid: true,
        answers: &[json!(
            "The channels, without users and history.",
            Shape::Ref("ChannelsInfo")
        )],
        ..PLAIN
    },
    Operation {
        path: "/info",
        method: Method::Post,
        id: "channel_info",
        summary: "Tell about channels",
        about: "Without a body: about all of them. Any method will do.",
        body: Some((Shape::Ref("ChannelInfoBody"), false)),
        can_be_invalid: true,
        answers: &[json!("The channels.", Shape::Ref("ChannelsInfo")), BUSY],
        any_method: true,
        ..PLAIN
    },
    Operation {
        path: "/listen",
        id: "listen",
        group: Group::Client,
        access: Access::Open,
        summary: "Wait for frames",
        about: "A long poll: answers as soon as there are frames, with an empty list after some \
                seconds without. Asked for `text/event-stream`, it goes on as server-sent events.",
        parameters: &[
            CONN_ID,
            Parameter {
                name: "callback",
                shape: Shape::Ref("Callback"),
                is_required: false,
                about: "Answer with a script that calls this function.",
            },
        ],
        answers: &[
            Answer {
                status: 200,
                about: "What has come; empty if nothing has.",
                content: &[
                    (JSON, Shape::List(&Shape::Ref("Frame"))),
                    ("application/javascript", Shape::Text),
                    ("text/event-stream", Shape::Text),
                ],
            },
            Answer {
                status: 401,
                about: "No connection has this id, or the signature is wrong.",
                content: &[
                    (
                        JSON,
                        Shape::Either(&Shape::Ref("Page"), &Shape::Ref("BadSignature")),
                    ),
                    ("text/html", Shape::Text),
                    ("text/plain", Shape::Text),
                ],
            },
            Answer {
                status: 422,
                about: "The id is missing or no UUID, or the callback is no name.",
                content: &[(
                    JSON,
                    Shape::Either(&Shape::List(&Shape::Text), &Shape::Ref("Faults")),
                )],
            },
        ],
        ..PLAIN
    },
    Operation {
        path: "/disconnect",
        id: "disconnect",
        group: Group::Client,
        access: Access::Open,
        summary: "Remove a connection",
        about: "At once. Any method but POST does the same.",
        parameters: &[CONN_ID],
        can_be_invalid: true,
        answers: &DISCONNECTED,
        any_method: true,
        ..PLAIN
    },
    Operation {
        path: "/disconnect",
        method: Method::Post,
        id: "disconnect_by_body",
        group: Group::Client,
        access: Access::Open,
        summary: "Remove a connection",
        about: "At once.",
        body: Some((Shape::Ref("DisconnectBody"), true)),
        can_be_invalid: true,
        answers: &DISCONNECTED,
        ..PLAIN
    },
    Operation {
        path: "/admin/admin.json",
        id: "admin_report",
        group: Group::Admin,
        access: Access::Admin,
        summary: "Tell about everything",
        answers: &REPORT,
        ..PLAIN
    },
    Operation {
        path: "/admin/admin.json",
        method: Method::Post,
        id: "admin_report_by_post",
        group: Group::Admin,
        access: Access::Admin,
        summary: "Tell about everything",
        about: "A body is not looked at.",
        answers: &REPORT,
        ..PLAIN
    },
    Operation {
        path: "/openapi.json",
        id: "openapi",
        group: Group::Admin,
        access: Access::Admin,
        summary: "This document",
        about: "Any method will do.",
        answers: &[json!("An OpenAPI 3.1 document.", Shape::Any)],
        any_method: true,
        ..PLAIN
    },
    Operation {
        path: "/health/live",
        id: "live",
        group: Group::Fanwire,
        access: Access::Open,
        summary: "Whether the loop turns",
        answers: &[json!("It does.", Shape::Ref("Health"))],
        ..PLAIN
    },
    Operation {
        path: "/health/ready",
        id: "ready",
        group: Group::Fanwire,
        access: Access::Open,
        summary: "Whether to send callers here",
        answers: &[
            json!("Yes.", Shape::Ref("Health")),
            Answer {
                status: 503,
                about: "Not now, and why.",
                content: &[(JSON, Shape::Ref("Health"))],
            },
        ],
        ..PLAIN
    },
    Operation {
        path: "/metrics",
        id: "metrics",
        group: Group::Fanwire,
        access: Access::Metrics,
        summary: "Metrics, as Prometheus reads them",
        answers: &[
            Answer {
                status: 200,
                about: "The metrics.",
                content: &[("text/plain", Shape::Text)],
            },
            Answer {
                status: 401,
                about: "Neither password nor token.",
                content: &[(JSON, Shape::Ref("Refusal"))],
            },
        ],
        ..PLAIN
    },
];
