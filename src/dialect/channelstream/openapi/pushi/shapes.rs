//! What bodies and answers of Pushi look like.

use super::super::schemas::{Field, Shape, Structure, may, needs};
use crate::limits::PUSHI_CHANNELS_PER_EVENT_MAX;

const NAME: Shape = Shape::Ref("PushiName");
const TEXT_OR_NULL: Shape = Shape::OrNull(&Shape::Ref("PushiText"));
const YES_OR_NO: Shape = Shape::OrNull(&Shape::True);
const CHANNEL: Field = needs("event", NAME, "The channel.");

/// Bodies of requests. Fields that are not listed are ignored, but for those of an event.
pub(in super::super) const BODIES: &[Structure] = &[
    Structure {
        name: "PushiEventBody",
        about: "An event. Fields that are not listed are delivered with it.",
        fields: &[
            needs(
                "data",
                Shape::Ref("PushiEventData"),
                "What it carries; what is no text becomes JSON.",
            ),
            may(
                "event",
                Shape::OrNull(&Shape::Text),
                "\"message\"",
                "Its name.",
            ),
            may(
                "channel",
                Shape::Either(
                    &Shape::Text,
                    &Shape::Names("PushiName", 1, PUSHI_CHANNELS_PER_EVENT_MAX),
                ),
                "\"global\"",
                "Where to: a channel, or a list of them.",
            ),
            may(
                "persist",
                Shape::Any,
                "true",
                "Whether it is stored, by what Python takes for true. `mid` and `timestamp` must not \
                 be there then.",
            ),
        ],
    },
    Structure {
        name: "PushiAppBody",
        about: "A new app.",
        fields: &[
            needs("name", NAME, "Its name, unique in the server."),
            may("enabled", YES_OR_NO, "", "Whether it serves anybody."),
            may("description", TEXT_OR_NULL, "", "For people."),
            may("meta", Shape::OrNull(&Shape::Object), "", "For programs."),
            may(
                "apn_sandbox",
                YES_OR_NO,
                "",
                "Whether Apple's sandbox is meant.",
            ),
            may("apn_key", TEXT_OR_NULL, "", "Apple's key, PEM."),
            may("apn_cer", TEXT_OR_NULL, "", "Apple's certificate, PEM."),
            may(
                "vapid_key",
                TEXT_OR_NULL,
                "",
                "The private key of Web Push: PEM, or the number in base64url.",
            ),
            may("vapid_email", TEXT_OR_NULL, "", "Whom push services ask."),
            may("smtp_url", TEXT_OR_NULL, "", "The mail server."),
        ],
    },
    Structure {
        name: "PushiAppFieldsBody",
        about: "What is to be changed of an app.",
        fields: &[
            may("name", NAME, "", "Its name, unique in the server."),
            may("enabled", YES_OR_NO, "", "Whether it serves anybody."),
            may("description", TEXT_OR_NULL, "", "For people."),
            may("meta", Shape::OrNull(&Shape::Object), "", "For programs."),
            may(
                "apn_sandbox",
                YES_OR_NO,
                "",
                "Whether Apple's sandbox is meant.",
            ),
            may("apn_key", TEXT_OR_NULL, "", "Apple's key, PEM."),
            may("apn_cer", TEXT_OR_NULL, "", "Apple's certificate, PEM."),
            may(
                "vapid_key",
                TEXT_OR_NULL,
                "",
                "The private key of Web Push: PEM, or the number in base64url.",
            ),
            may("vapid_email", TEXT_OR_NULL, "", "Whom push services ask."),
            may("smtp_url", TEXT_OR_NULL, "", "The mail server."),
        ],
    },
    Structure {
        name: "PushiSubscriptionBody",
        about: "A user and a channel.",
        fields: &[needs("user_id", NAME, "The user, known or not."), CHANNEL],
    },
    Structure {
        name: "PushiWebBody",
        about: "A web hook of a channel.",
        fields: &[needs("url", NAME, "Its address."), CHANNEL],
    },
    Structure {
        name: "PushiApnBody",
        about: "An Apple device that is told of a channel.",
        fields: &[needs("token", NAME, "Its token."), CHANNEL],
    },
    Structure {
        name: "PushiSmtpBody",
        about: "A mail address that is told of a channel.",
        fields: &[needs("email", NAME, "The address."), CHANNEL],
    },
    Structure {
        name: "PushiWebPushBody",
        about: "A browser that is told of a channel.",
        fields: &[
            needs("endpoint", NAME, "Its address."),
            needs("p256dh", NAME, "Its public key, base64url."),
            needs("auth", NAME, "Its secret, base64url."),
            CHANNEL,
        ],
    },
];

const ID: Field = needs("id", Shape::Whole, "Counted up over all apps.");
const DATABASE_ID: Field = needs("_id", Shape::Text, "The same, as the original has it.");
const INSTANCE: Field = needs("instance", Shape::Text, "The app's id.");
const CREATED: Field = needs("created", Shape::Whole, "When, in seconds since 1970.");
const MODIFIED: Field = needs("modified", Shape::Whole, "When it was last changed.");
const ENABLED: Field = needs("enabled", YES_OR_NO, "Whether it counts.");
const DESCRIPTION: Field = needs("description", Shape::OrNull(&Shape::Text), "For people.");
const META: Field = needs("meta", Shape::OrNull(&Shape::Object), "For programs.");
const RECORD_CHANNEL: Field = needs("event", Shape::Text, "The channel.");

/// A record with this target, and a list of such.
macro_rules! record {
    ($name:literal, $list:literal, $about:literal, $($field:expr),+) => {
        [
            Structure {
                name: $name,
                about: $about,
                fields: &[
                    $($field,)+
                    RECORD_CHANNEL,
                    ENABLED,
                    DESCRIPTION,
                    META,
                    ID,
                    CREATED,
                    MODIFIED,
                    INSTANCE,
                    DATABASE_ID,
                ],
            },
            Structure {
                name: $list,
                about: "Records, oldest first.",
                fields: &[needs(
                    "subscriptions",
                    Shape::List(&Shape::Ref($name)),
                    "The records.",
                )],
            },
        ]
    };
}

static SUBSCRIPTION: [Structure; 2] = record!(
    "PushiSubscription",
    "PushiSubscriptions",
    "A user who is told of a channel.",
    needs("user_id", Shape::Text, "The user.")
);
static WEB: [Structure; 2] = record!(
    "PushiWeb",
    "PushiWebs",
    "A web hook.",
    needs("url", Shape::Text, "Its address.")
);
static APN: [Structure; 2] = record!(
    "PushiApn",
    "PushiApns",
    "An Apple device.",
    needs("token", Shape::Text, "Its token.")
);
static SMTP: [Structure; 2] = record!(
    "PushiSmtp",
    "PushiSmtps",
    "A mail address.",
    needs("email", Shape::Text, "The address.")
);
static WEB_PUSH: [Structure; 2] = record!(
    "PushiWebPush",
    "PushiWebPushes",
    "A browser.",
    needs("endpoint", Shape::Text, "Its address."),
    needs("p256dh", Shape::Text, "Its public key."),
    needs("auth", Shape::Text, "Its secret.")
);

/// What answers hold. More fields may come with later versions.
pub(in super::super) fn answers() -> impl Iterator<Item = &'static Structure> {
    let records = SUBSCRIPTION.iter().chain(&WEB).chain(&APN);
    let records = records.chain(&SMTP).chain(&WEB_PUSH);
    ANSWERS.iter().chain(records)
}

const TEXTS: Shape = Shape::List(&Shape::Text);

const ANSWERS: &[Structure] = &[
    Structure {
        name: "PushiSuccess",
        about: "It is done.",
        fields: &[needs("result", Shape::Text, "`success`.")],
    },
    Structure {
        name: "PushiToken",
        about: "A session.",
        fields: &[needs("token", Shape::Text, "What requests bring as `sid`.")],
    },
    Structure {
        name: "PushiApps",
        about: "The app of the session.",
        fields: &[needs("apps", Shape::List(&Shape::Ref("PushiApp")), "One.")],
    },
    Structure {
        name: "PushiApp",
        about: "An app.",
        fields: &[
            needs("name", Shape::OrNull(&Shape::Text), "Its name."),
            ENABLED,
            DESCRIPTION,
            META,
            needs(
                "apn_sandbox",
                YES_OR_NO,
                "Whether Apple's sandbox is meant.",
            ),
            needs("apn_key", Shape::OrNull(&Shape::Text), "Apple's key."),
            needs(
                "apn_cer",
                Shape::OrNull(&Shape::Text),
                "Apple's certificate.",
            ),
            needs(
                "vapid_key",
                Shape::OrNull(&Shape::Text),
                "The key of Web Push.",
            ),
            needs(
                "vapid_email",
                Shape::OrNull(&Shape::Text),
                "Whom push services ask.",
            ),
            needs("smtp_url", Shape::OrNull(&Shape::Text), "The mail server."),
            needs("ident", Shape::Text, "Its id."),
            needs("key", Shape::Text, "What clients name it by."),
            needs("secret", Shape::Text, "What it signs with."),
            ID,
            CREATED,
            MODIFIED,
            INSTANCE,
            DATABASE_ID,
        ],
    },
    Structure {
        name: "PushiEvents",
        about: "Stored events, newest first.",
        fields: &[needs(
            "events",
            Shape::List(&Shape::Ref("PushiEvent")),
            "The events.",
        )],
    },
    Structure {
        name: "PushiEvent",
        about: "A stored event.",
        fields: &[
            needs("mid", Shape::Text, "Its id, a UUID."),
            needs("channel", Shape::Text, "Where it went."),
            needs(
                "owner_id",
                Shape::OrNull(&Shape::Text),
                "The socket that published it.",
            ),
            needs("timestamp", Shape::Any, "When, in seconds with a fraction."),
            needs("data", Shape::Object, "What was delivered."),
            ENABLED,
            DESCRIPTION,
            META,
            ID,
            CREATED,
            MODIFIED,
            INSTANCE,
            DATABASE_ID,
        ],
    },
    Structure {
        name: "PushiVapidKey",
        about: "The public key of Web Push.",
        fields: &[needs(
            "vapid_public_key",
            Shape::Text,
            "The uncompressed point, base64url.",
        )],
    },
    Structure {
        name: "PushiSockets",
        about: "The sockets of an app.",
        fields: &[needs(
            "sockets",
            Shape::List(&Shape::Ref("PushiSocket")),
            "In no fixed order.",
        )],
    },
    Structure {
        name: "PushiSocket",
        about: "A socket.",
        fields: &[
            needs("socket_id", Shape::Text, "Its id, a UUID."),
            needs("channel", TEXTS, "Its channels in the order of joining."),
        ],
    },
    Structure {
        name: "PushiChannels",
        about: "The channels of a socket.",
        fields: &[needs("channels", TEXTS, "In the order of joining.")],
    },
    Structure {
        name: "PushiHealth",
        about: "What is served.",
        fields: &[
            needs("status", Shape::Text, "`ok`."),
            needs("service", Shape::Text, "`pushi`."),
            needs("version", Shape::Text, "The version whose protocol it is."),
        ],
    },
    Structure {
        name: "PushiHealthInDetail",
        about: "How store and sockets fare.",
        fields: &[
            needs("status", Shape::Text, "`ok` or `degraded`."),
            needs("service", Shape::Text, "`pushi`."),
            needs("version", Shape::Text, "The version whose protocol it is."),
            needs("timestamp", Shape::Any, "When, in seconds with a fraction."),
            needs(
                "checks",
                Shape::Map(&Shape::Object),
                "By what was looked at.",
            ),
        ],
    },
    Structure {
        name: "PushiError",
        about: "Why not.",
        fields: &[
            needs("result", Shape::Text, "`error`."),
            needs("name", Shape::Text, "The original's name for its kind."),
            needs("message", Shape::Text, "A sentence."),
            needs("code", Shape::Whole, "The status again."),
            needs(
                "uid",
                Shape::Text,
                "An id of its own, also in `X-Error-Id`.",
            ),
            needs("session", Shape::OrNull(&Shape::Text), "Nothing."),
            may(
                "errors",
                Shape::Map(&TEXTS),
                "",
                "What is wrong with which field.",
            ),
        ],
    },
];
