//! The rows of Pusher's HTTP API: endpoints, bodies and answers.
//!
//! Limits are those of an app that sets none of its own.

use super::schemas::{Alias, Field, Shape, Structure, may, needs};
use super::table::{Access, Answer, Group, JSON, Operation, PLAIN, Parameter, json};
use crate::limits::{PUSHER_BATCH_EVENTS_MAX, PUSHER_CHANNELS_PER_EVENT_MAX};
use crate::transport::http::Method;

/// What the endpoints have in common.
const API: Operation = Operation {
    group: Group::Pusher,
    access: Access::Pusher,
    ..PLAIN
};

/// More waits than may wait.
const BUSY: Answer = Answer {
    status: 503,
    about: "Too much waits to be done; nothing of this request was. Try again in a moment.",
    content: &[(JSON, ERROR)],
};

/// What pieces of paths in braces are.
pub(super) const IN_PATHS: &[Parameter] = &[
    Parameter {
        name: "app_id",
        shape: Shape::Text,
        is_required: true,
        about: "The app's `id` in the settings.",
    },
    Parameter {
        name: "channel_name",
        shape: Shape::Ref("PusherChannelName"),
        is_required: true,
        about: "The channel, known or not.",
    },
    Parameter {
        name: "user_id",
        shape: Shape::Text,
        is_required: true,
        about: "The user, known or not.",
    },
];

const INFO: Parameter = Parameter {
    name: "info",
    shape: Shape::Text,
    is_required: false,
    about: "What to tell, with commas between: `subscription_count`, `user_count` (presence \
            channels), `cache` (cache channels, one at a time).",
};

/// Every endpoint of applications that publish to Pusher's clients.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/apps/{app_id}/events",
        method: Method::Post,
        id: "pusher_trigger",
        summary: "Publish an event",
        about: "To one channel or several, each once. If anything is wrong, nobody is told.",
        body: Some((Shape::Ref("PusherEvent"), true)),
        answers: &[json!("Published.", Shape::Ref("PusherEventAnswer")), BUSY],
        ..API
    },
    Operation {
        path: "/apps/{app_id}/batch_events",
        method: Method::Post,
        id: "pusher_trigger_batch",
        summary: "Publish events",
        about: "In their order. If one is wrong, none is published.",
        body: Some((Shape::Ref("PusherBatch"), true)),
        answers: &[json!("Published.", Shape::Ref("PusherBatchAnswer")), BUSY],
        ..API
    },
    Operation {
        path: "/apps/{app_id}/channels",
        id: "pusher_channels",
        summary: "Tell of the channels with somebody in them",
        about: "`user_count` needs a prefix that begins with `presence-`.",
        parameters: &[
            Parameter {
                name: "filter_by_prefix",
                shape: Shape::Text,
                is_required: false,
                about: "Only channels whose names begin so.",
            },
            INFO,
        ],
        answers: &[
            json!("The channels.", Shape::Ref("PusherChannelsAnswer")),
            BUSY,
        ],
        ..API
    },
    Operation {
        path: "/apps/{app_id}/channels/{channel_name}",
        id: "pusher_channel",
        summary: "Tell of a channel",
        about: "What a channel of this kind does not have is not to be asked for.",
        parameters: &[INFO],
        answers: &[json!(
            "The channel, with somebody in it or not.",
            Shape::Ref("PusherChannelAnswer")
        )],
        ..API
    },
    Operation {
        path: "/apps/{app_id}/channels/{channel_name}/users",
        id: "pusher_channel_users",
        summary: "Tell who is in a presence channel",
        answers: &[json!("The users.", Shape::Ref("PusherUsersAnswer"))],
        ..API
    },
    Operation {
        path: "/apps/{app_id}/connections",
        id: "pusher_connections",
        summary: "Tell how many sockets an app has",
        answers: &[json!("How many.", Shape::Ref("PusherConnectionsAnswer"))],
        ..API
    },
    Operation {
        path: "/apps/{app_id}/users/{user_id}/terminate_connections",
        method: Method::Post,
        id: "pusher_terminate",
        summary: "Close the sockets of a user",
        about: "Of those that signed in as this user. A body is checked against `body_md5`, and \
                else not looked at.",
        answers: TERMINATED,
        ..API
    },
    Operation {
        path: "/users/{user_id}/terminate_connections",
        method: Method::Post,
        id: "pusher_terminate_by_key",
        summary: "Close the sockets of a user, of the app with this key",
        about: "The same, as one SDK asks for it. There is nothing here without `auth_signature`.",
        answers: TERMINATED,
        ..API
    },
];

const TERMINATED: &[Answer] = &[json!("Closed, if there were any.", Shape::Object)];

const ERROR: Shape = Shape::Ref("PusherError");

/// Names for shapes that are no structures.
pub(super) const ALIASES: &[Alias] = &[Alias {
    name: "PusherEvent",
    about: "An event for several channels, or for one.",
    shape: Shape::Either(
        &Shape::Ref("PusherEventToChannels"),
        &Shape::Ref("PusherEventToChannel"),
    ),
}];

const NAME: Field = needs(
    "name",
    Shape::Ref("PusherEventName"),
    "What kind of event it is.",
);
const DATA: Field = needs(
    "data",
    Shape::Ref("PusherEventData"),
    "What it carries; whatever is no text becomes compact JSON.",
);
const SOCKET_ID: Field = may(
    "socket_id",
    Shape::OrNull(&Shape::Ref("PusherSocketId")),
    "null",
    "The socket that is not told, known or not.",
);
const WANTED: Field = may(
    "info",
    Shape::OrNull(&Shape::Text),
    "null",
    "What to tell of the channels, with commas between: `user_count`, `subscription_count`, \
     `cache`. What a channel does not have is left out.",
);

/// Bodies of requests. Fields that are not listed are ignored.
pub(super) const BODIES: &[Structure] = &[
    Structure {
        name: "PusherEventToChannels",
        about: "An event for several channels.",
        fields: &[
            NAME,
            DATA,
            SOCKET_ID,
            WANTED,
            needs(
                "channels",
                Shape::Names("PusherTarget", 1, PUSHER_CHANNELS_PER_EVENT_MAX),
                "Where to. An event for an encrypted channel goes to that one only.",
            ),
            may("channel", Shape::Any, "", "Not looked at."),
        ],
    },
    Structure {
        name: "PusherEventToChannel",
        about: "An event for one channel.",
        fields: &[
            NAME,
            DATA,
            SOCKET_ID,
            WANTED,
            needs("channel", Shape::Ref("PusherTarget"), "Where to."),
        ],
    },
    Structure {
        name: "PusherBatch",
        about: "Events, in the order in which they are published.",
        fields: &[needs(
            "batch",
            Shape::Entries("PusherEventToChannel", PUSHER_BATCH_EVENTS_MAX),
            "The events.",
        )],
    },
];

const USER_COUNT: Field = may(
    "user_count",
    Shape::Whole,
    "",
    "Users present, if asked for.",
);
const SUBSCRIPTION_COUNT: Field = may(
    "subscription_count",
    Shape::Whole,
    "",
    "Sockets in it, if asked for.",
);
const CACHE: Field = may(
    "cache",
    Shape::OrNull(&Shape::Ref("PusherCached")),
    "",
    "The last event, if asked for; null if there is none.",
);

/// What answers hold. More fields may come with later versions.
pub(super) const ANSWERS: &[Structure] = &[
    Structure {
        name: "PusherEventAnswer",
        about: "What was asked for of the channels.",
        fields: &[may(
            "channels",
            Shape::Map(&Shape::Ref("PusherAttributes")),
            "",
            "By name; only if anything was asked for.",
        )],
    },
    Structure {
        name: "PusherBatchAnswer",
        about: "What was asked for of the channels.",
        fields: &[may(
            "batch",
            Shape::List(&Shape::Ref("PusherAttributes")),
            "",
            "One for each event, in their order; only if any asked for anything.",
        )],
    },
    Structure {
        name: "PusherAttributes",
        about: "What was asked for of a channel, as far as it has it.",
        fields: &[USER_COUNT, SUBSCRIPTION_COUNT, CACHE],
    },
    Structure {
        name: "PusherCached",
        about: "The event that a cache channel keeps.",
        fields: &[
            needs("data", Shape::Text, "What it carries."),
            needs("ttl", Shape::Whole, "For how many seconds it is kept."),
        ],
    },
    Structure {
        name: "PusherChannelsAnswer",
        about: "Channels with somebody in them.",
        fields: &[needs(
            "channels",
            Shape::Map(&Shape::Ref("PusherAttributes")),
            "By name.",
        )],
    },
    Structure {
        name: "PusherChannelAnswer",
        about: "A channel.",
        fields: &[
            needs("occupied", Shape::True, "Whether somebody is in it."),
            USER_COUNT,
            SUBSCRIPTION_COUNT,
            CACHE,
        ],
    },
    Structure {
        name: "PusherUsersAnswer",
        about: "Who is there.",
        fields: &[needs(
            "users",
            Shape::List(&Shape::Ref("PusherUser")),
            "Each once, in no fixed order.",
        )],
    },
    Structure {
        name: "PusherUser",
        about: "A user in a presence channel.",
        fields: &[needs("id", Shape::Text, "The id.")],
    },
    Structure {
        name: "PusherConnectionsAnswer",
        about: "Sockets of an app.",
        fields: &[needs("connections", Shape::Whole, "How many.")],
    },
    Structure {
        name: "PusherError",
        about: "Why not.",
        fields: &[
            needs("error", Shape::Text, "A sentence."),
            needs("code", Shape::Whole, "The status again."),
        ],
    },
];
