//! What bodies and answers look like: the field tables of the specification.

use super::{pusher, pushi};
use crate::limits::{CS_MESSAGES_PER_REQUEST_MAX, CS_NAMES_PER_LIST_MAX, HISTORY_MESSAGES_DEFAULT};

/// A kind of value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Whatever.
    Any,
    /// Any string.
    Text,
    /// `true` or `false` and nothing that only means it; as answers have it.
    True,
    /// A whole number of at least zero, as answers have it.
    Whole,
    /// This one of [`SCALARS`] or [`STRUCTURES`].
    Ref(&'static str),
    /// This, or null.
    OrNull(&'static Self),
    /// Either of two.
    Either(&'static Self, &'static Self),
    /// A list without bounds, as answers have it.
    List(&'static Self),
    /// A list of names: at least and at most so many.
    Names(&'static str, usize, usize),
    /// A list of the entries of a request: at most so many.
    Entries(&'static str, usize),
    /// A mapping from free keys, bounded.
    Mapping(&'static Self),
    /// A mapping without bounds, as answers have it.
    Map(&'static Self),
    /// An object of any content.
    Object,
}

/// One field of a structure.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// It has to be there; in an answer: it is always there.
    pub(super) is_required: bool,
    /// What counts if it is left out, as JSON; empty for what cannot be said so.
    pub(super) default: &'static str,
    pub(super) about: &'static str,
}

/// An object with fields of its own.
#[derive(Debug)]
pub(super) struct Structure {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) fields: &'static [Field],
}

/// A name for another shape.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) shape: Shape,
}

/// A value of a kind of its own; `write` says how each is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    UserName,
    ChannelName,
    Boolean,
    Count,
    Uuid,
    DateTime,
    StateValue,
    Callback,
    PusherChannelName,
    PusherTarget,
    PusherEventName,
    PusherEventData,
    PusherSocketId,
    PushiName,
    PushiText,
    PushiEventData,
}

impl Scalar {
    pub(super) const ALL: [Self; 16] = [
        Self::UserName,
        Self::ChannelName,
        Self::Boolean,
        Self::Count,
        Self::Uuid,
        Self::DateTime,
        Self::StateValue,
        Self::Callback,
        Self::PusherChannelName,
        Self::PusherTarget,
        Self::PusherEventName,
        Self::PusherEventData,
        Self::PusherSocketId,
        Self::PushiName,
        Self::PushiText,
        Self::PushiEventData,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::UserName => "UserName",
            Self::ChannelName => "ChannelName",
            Self::Boolean => "Boolean",
            Self::Count => "Count",
            Self::Uuid => "Uuid",
            Self::DateTime => "DateTime",
            Self::StateValue => "StateValue",
            Self::Callback => "Callback",
            Self::PusherChannelName => "PusherChannelName",
            Self::PusherTarget => "PusherTarget",
            Self::PusherEventName => "PusherEventName",
            Self::PusherEventData => "PusherEventData",
            Self::PusherSocketId => "PusherSocketId",
            Self::PushiName => "PushiName",
            Self::PushiText => "PushiText",
            Self::PushiEventData => "PushiEventData",
        }
    }
}

const USER: Shape = Shape::Ref("UserName");
const CHANNEL: Shape = Shape::Ref("ChannelName");
const BOOLEAN: Shape = Shape::Ref("Boolean");
const UUID: Shape = Shape::Ref("Uuid");
const DATE_TIME: Shape = Shape::Ref("DateTime");
const USERS: Shape = Shape::Names("UserName", 0, CS_NAMES_PER_LIST_MAX);
const CHANNELS: Shape = Shape::Names("ChannelName", 0, CS_NAMES_PER_LIST_MAX);
const STATE: Shape = Shape::Mapping(&Shape::Ref("StateValue"));
const CONFIGS: Shape = Shape::Mapping(&Shape::Ref("ChannelSettings"));
const INFO: Shape = Shape::Ref("InfoResolution");
/// What answers hold.
const TEXTS: Shape = Shape::List(&Shape::Text);
const TEXT_OR_NULL: Shape = Shape::OrNull(&Shape::Text);
const STATE_OUT: Shape = Shape::Map(&Shape::Any);

/// A field that has to be there.
pub(super) const fn needs(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field {
        name,
        shape,
        is_required: true,
        default: "",
        about,
    }
}

/// A field that may be left out.
pub(super) const fn may(
    name: &'static str,
    shape: Shape,
    default: &'static str,
    about: &'static str,
) -> Field {
    Field {
        name,
        shape,
        is_required: false,
        default,
        about,
    }
}

const _: () = assert!(
    HISTORY_MESSAGES_DEFAULT == 10,
    "the default of history_size says so"
);

/// All names for shapes that are no structures.
pub(super) fn aliases() -> impl Iterator<Item = &'static Alias> {
    ALIASES.iter().chain(pusher::ALIASES)
}

/// All bodies of requests. Fields that are not listed are ignored.
pub(super) fn bodies() -> impl Iterator<Item = &'static Structure> + Clone {
    BODIES.iter().chain(pusher::BODIES).chain(pushi::BODIES)
}

/// All that answers hold. More fields may come with later versions.
pub(super) fn answers() -> impl Iterator<Item = &'static Structure> {
    let others = pusher::ANSWERS.iter().chain(pushi::answers());
    ANSWERS.iter().chain(others)
}

const ALIASES: &[Alias] = &[
    Alias {
        name: "MessagesBody",
        about: "Messages, in the order in which they are sent.",
        shape: Shape::Entries("MessageBody", CS_MESSAGES_PER_REQUEST_MAX),
    },
    Alias {
        name: "MessagesEditBody",
        about: "Changes, in the order in which they are made.",
        shape: Shape::Entries("MessageEditBody", CS_MESSAGES_PER_REQUEST_MAX),
    },
    Alias {
        name: "MessagesDeleteBody",
        about: "Which messages go.",
        shape: Shape::Entries("MessageDeleteBody", CS_MESSAGES_PER_REQUEST_MAX),
    },
    Alias {
        name: "ChannelConfigBody",
        about: "Settings by name of channel; null for the defaults.",
        shape: Shape::Mapping(&Shape::OrNull(&Shape::Ref("ChannelSettings"))),
    },
    Alias {
        name: "Faults",
        about: "What is wrong, from names of fields, keys and indexes to lists of complaints.",
        shape: Shape::Map(&Shape::Any),
    },
];

const NEW_CHANNELS: &str = "Settings of channels that this call makes.";
const PM_USERS: &str = "Only these users; empty for all.";
const EXCLUDED: &str = "Not these users.";

const BODIES: &[Structure] = &[
    Structure {
        name: "ConnectBody",
        about: "Who connects, and to which channels.",
        fields: &[
            needs("username", USER, "The user, known or new."),
            may(
                "conn_id",
                UUID,
                "",
                "The id to have; a random one if left out.",
            ),
            may("channels", CHANNELS, "[]", "The channels to join."),
            may(
                "fresh_user_state",
                STATE,
                "{}",
                "The state of a user who is new.",
            ),
            may(
                "user_state",
                STATE,
                "{}",
                "Merged into the state of any user.",
            ),
            may(
                "state_public_keys",
                CHANNELS,
                "[]",
                "Which keys of the state others may see; replaces what there is.",
            ),
            may("channel_configs", CONFIGS, "{}", NEW_CHANNELS),
            may("info", INFO, "{}", "What to tell about the channels."),
        ],
    },
    Structure {
        name: "SubscribeBody",
        about: "Who joins what.",
        fields: SUBSCRIBE,
    },
    Structure {
        name: "UnsubscribeBody",
        about: "Who leaves what.",
        fields: SUBSCRIBE,
    },
    Structure {
        name: "UserStateBody",
        about: "A change of a user's state.",
        fields: &[
            needs("user", USER, "A known user."),
            may(
                "user_state",
                STATE,
                "{}",
                "Merged into the state, key by key.",
            ),
            may(
                "state_public_keys",
                Shape::OrNull(&CHANNELS),
                "null",
                "Which keys others may see; null keeps what they are.",
            ),
        ],
    },
    Structure {
        name: "MessageBody",
        about: "One message.",
        fields: &[
            needs("user", USER, "The sender; need not be known."),
            may("channel", Shape::OrNull(&CHANNEL), "null", "Where to."),
            may("pm_users", USERS, "[]", PM_USERS),
            may("exclude_users", USERS, "[]", EXCLUDED),
            may(
                "no_history",
                BOOLEAN,
                "false",
                "Not to be kept in the history.",
            ),
            may("uuid", UUID, "", "A random one if left out."),
            may("timestamp", DATE_TIME, "", "Now if left out."),
            may(
                "message",
                Shape::Object,
                "",
                "The payload; comes through as it is.",
            ),
        ],
    },
    Structure {
        name: "MessageEditBody",
        about: "A change of one message; what is not given stays.",
        fields: &[
            needs("uuid", UUID, "Which message."),
            may(
                "channel",
                Shape::OrNull(&CHANNEL),
                "null",
                "Where it was sent to.",
            ),
            may("pm_users", USERS, "[]", PM_USERS),
            may("exclude_users", USERS, "[]", EXCLUDED),
            may("no_history", BOOLEAN, "false", "Has no effect."),
            may("user", USER, "", "The new sender."),
            may("message", Shape::Object, "", "The new payload, as a whole."),
            may("timestamp", DATE_TIME, "", "The new time."),
            may(
                "edited",
                DATE_TIME,
                "",
                "When it was changed; now if left out.",
            ),
        ],
    },
    Structure {
        name: "MessageDeleteBody",
        about: "One message that goes.",
        fields: &[
            needs("uuid", UUID, "Which message."),
            may(
                "channel",
                Shape::OrNull(&CHANNEL),
                "null",
                "Where it was sent to.",
            ),
            may("pm_users", USERS, "[]", PM_USERS),
            may("exclude_users", USERS, "[]", EXCLUDED),
            may("no_history", BOOLEAN, "false", "Has no effect."),
        ],
    },
    Structure {
        name: "DisconnectBody",
        about: "Which connection goes.",
        fields: &[needs("conn_id", UUID, "Known or not.")],
    },
    Structure {
        name: "ChannelInfoBody",
        about: "What to tell.",
        fields: &[needs("info", INFO, "Which channels, and how much of them.")],
    },
    Structure {
        name: "InfoResolution",
        about: "How much to tell about which channels.",
        fields: &[
            may("include_history", BOOLEAN, "true", "Kept messages."),
            may("include_users", BOOLEAN, "true", "Lists of users."),
            may("channels", CHANNELS, "", "Only these; read by /info alone."),
            may("exclude_channels", CHANNELS, "", "Not these."),
            may("include_connections", BOOLEAN, "false", "Has no effect."),
            may(
                "return_public_state",
                BOOLEAN,
                "false",
                "Of the state of users only what others may see.",
            ),
        ],
    },
    Structure {
        name: "ChannelSettings",
        about: "Settings of a channel; those left out have their defaults.",
        fields: &[
            may(
                "notify_presence",
                BOOLEAN,
                "false",
                "Tell who joins and parts.",
            ),
            may(
                "broadcast_presence_with_user_lists",
                BOOLEAN,
                "false",
                "Presence tells all members, with their public state.",
            ),
            may("notify_state", BOOLEAN, "false", "Tell changes of state."),
            may(
                "store_history",
                BOOLEAN,
                "false",
                "Keep messages for channel information.",
            ),
            may(
                "history_size",
                Shape::Ref("Count"),
                "10",
                "How many of them.",
            ),
            may(
                "store_frames",
                BOOLEAN,
                "true",
                "Keep frames for those who come back.",
            ),
        ],
    },
];

const SUBSCRIBE: &[Field] = &[
    needs(
        "conn_id",
        UUID,
        "A known connection; else the query parameter counts.",
    ),
    needs(
        "channels",
        Shape::Names("ChannelName", 1, CS_NAMES_PER_LIST_MAX),
        "At least one.",
    ),
    may("channel_configs", CONFIGS, "{}", NEW_CHANNELS),
    may("info", INFO, "{}", "What to tell about the channels."),
];

/// What a message is in every answer that shows one.
macro_rules! message {
    ($($more:expr),* $(,)?) => {
        &[
            needs("uuid", Shape::Text, "Its id."),
            needs("channel", TEXT_OR_NULL, "Where it was sent to."),
            needs("pm_users", TEXTS, PM_USERS),
            needs("exclude_users", TEXTS, EXCLUDED),
            needs("no_history", Shape::True, "Not kept in the history."),
            $($more),*
        ]
    };
}

const CHANNELS_INFO: Field = needs("channels_info", Shape::Ref("ChannelsInfo"), "About them.");
const ALL_CHANNELS: Field = needs("channels", TEXTS, "All channels of the connection, sorted.");

const ANSWERS: &[Structure] = &[
    Structure {
        name: "ConnectAnswer",
        about: "A connection.",
        fields: &[
            needs(
                "conn_id",
                Shape::Text,
                "Its id; whoever knows it may listen.",
            ),
            needs("username", Shape::Text, "The user."),
            needs("state", STATE_OUT, "The user's state."),
            needs("public_state", STATE_OUT, "What others may see of it."),
            needs("channels", TEXTS, "The names given, sorted."),
            CHANNELS_INFO,
        ],
    },
    Structure {
        name: "SubscribeAnswer",
        about: "Where a connection is now.",
        fields: &[
            ALL_CHANNELS,
            CHANNELS_INFO,
            needs("subscribed_to", TEXTS, "Those that are new, sorted."),
        ],
    },
    Structure {
        name: "UnsubscribeAnswer",
        about: "Where a connection still is.",
        fields: &[
            ALL_CHANNELS,
            CHANNELS_INFO,
            needs("unsubscribed_from", TEXTS, "Those that were left, sorted."),
        ],
    },
    Structure {
        name: "UserStateAnswer",
        about: "A user's state after a change.",
        fields: &[
            needs("user_state", STATE_OUT, "All of it."),
            needs(
                "changed_state",
                Shape::List(&Shape::Ref("Change")),
                "What differs.",
            ),
            needs("public_keys", TEXTS, "Which keys others may see."),
        ],
    },
    Structure {
        name: "Change",
        about: "One value of a state.",
        fields: &[
            needs("key", Shape::Text, "Which."),
            needs("value", Shape::Any, "What it is now."),
        ],
    },
    Structure {
        name: "SentMessage",
        about: "A message that was sent.",
        fields: message![
            needs("timestamp", Shape::Text, "When."),
            needs("user", Shape::Text, "The sender."),
            needs("edited", TEXT_OR_NULL, "Not yet."),
            may(
                "message",
                Shape::Object,
                "",
                "The payload, if there is one."
            ),
        ],
    },
    Structure {
        name: "EditedMessage",
        about: "A change of a message, as it was read.",
        fields: message![
            needs("edited", Shape::Text, "When it was changed."),
            may("timestamp", Shape::Text, "", "If given."),
            may("user", Shape::Text, "", "If given."),
            may("message", Shape::Object, "", "If given."),
        ],
    },
    Structure {
        name: "DeletedMessage",
        about: "A message that went, as it was read.",
        fields: message![],
    },
    Structure {
        name: "HistoryMessage",
        about: "A message as a channel keeps it.",
        fields: message![
            needs("timestamp", Shape::Text, "When."),
            needs("user", Shape::Text, "The sender."),
            needs("edited", TEXT_OR_NULL, "When it was changed."),
            needs("catchup", Shape::True, "False."),
            needs("type", Shape::Text, "`message`."),
            may(
                "message",
                Shape::Object,
                "",
                "The payload, if there is one."
            ),
        ],
    },
    Structure {
        name: "ChannelsInfo",
        about: "Channels, and the users in them.",
        fields: &[
            needs("channels", Shape::Map(&Shape::Ref("Channel")), "By name."),
            needs(
                "users",
                Shape::List(&Shape::Ref("User")),
                "In no fixed order.",
            ),
        ],
    },
    Structure {
        name: "Channel",
        about: "A channel.",
        fields: &[
            needs("uuid", Shape::Text, "Its id."),
            needs("name", Shape::Text, "Its name."),
            needs("long_name", TEXT_OR_NULL, "Null."),
            needs("settings", Shape::Ref("ChannelSettings"), "All of them."),
            needs(
                "history",
                Shape::List(&Shape::Ref("HistoryMessage")),
                "Kept messages, oldest first.",
            ),
            needs("last_active", Shape::Text, "When something was last sent."),
            needs("total_connections", Shape::Whole, "Connections in it."),
            needs(
                "total_users",
                Shape::Whole,
                "Users in it; 0 if users are not asked for.",
            ),
            needs("users", TEXTS, "Their names, sorted."),
        ],
    },
    Structure {
        name: "User",
        about: "A user.",
        fields: &[
            needs("user", Shape::Text, "The name."),
            needs(
                "state",
                STATE_OUT,
                "The state, or what others may see of it.",
            ),
        ],
    },
    Structure {
        name: "Frame",
        about: "What a browser is told: a message, its change or end, presence, a change of state.",
        fields: &[
            needs("type", Shape::Text, "Which of them."),
            needs("uuid", Shape::Text, "Of the message, or its own."),
            needs("channel", TEXT_OR_NULL, "Where it was sent to."),
            may("user", Shape::Text, "", "The sender, or whom it is about."),
            may("timestamp", Shape::Text, "", "When."),
            may("message", Shape::Object, "", "The payload."),
            may("edited", TEXT_OR_NULL, "", "When it was changed."),
            may("catchup", Shape::True, "", "Sent before the listener came."),
            may(
                "state",
                Shape::OrNull(&STATE_OUT),
                "",
                "The public state of who joins.",
            ),
            may(
                "users",
                Shape::List(&Shape::Ref("User")),
                "",
                "All members.",
            ),
        ],
    },
    Structure {
        name: "AdminReport",
        about: "Everything at a glance.",
        fields: &[
            needs("remembered_user_count", Shape::Whole, "All known users."),
            needs(
                "unique_user_count",
                Shape::Whole,
                "Users with a connection.",
            ),
            needs("total_connections", Shape::Whole, "Connections."),
            needs("total_channels", Shape::Whole, "Channels."),
            needs(
                "total_messages",
                Shape::Whole,
                "Messages handed to connections.",
            ),
            needs("total_unique_messages", Shape::Whole, "Messages accepted."),
            needs("channels", Shape::Map(&Shape::Ref("Channel")), "By name."),
            needs(
                "users",
                Shape::List(&Shape::Ref("AdminUser")),
                "Those with a connection.",
            ),
            needs("uptime", Shape::Text, "`1:02:03`, or with days before it."),
            needs(
                "version",
                Shape::Text,
                "The version of Channelstream that is spoken.",
            ),
        ],
    },
    Structure {
        name: "AdminUser",
        about: "A user with a connection.",
        fields: &[
            needs("user", Shape::Text, "The name."),
            needs("uuid", Shape::Text, "The id."),
            needs("state", STATE_OUT, "What others may see of the state."),
            needs("connections", TEXTS, "Ids of connections."),
        ],
    },
    Structure {
        name: "BadSignature",
        about: "A signature was given, and it is wrong, too old, or of another secret.",
        fields: &[needs("request", Shape::Text, "`Bad Signature`.")],
    },
    Structure {
        name: "Page",
        about: "Why not.",
        fields: &[
            needs("message", Shape::Text, "A sentence."),
            needs("code", Shape::Text, "Status and its name."),
            needs("title", Shape::Text, "The name of the status."),
        ],
    },
    Structure {
        name: "Refusal",
        about: "Why the server did not look at the request.",
        fields: &[
            needs("error", Shape::Text, "A word for programs."),
            needs("message", Shape::Text, "A sentence for people."),
            may("limit", Shape::Whole, "", "The limit, if it is about one."),
        ],
    },
    Structure {
        name: "Health",
        about: "How the server is.",
        fields: &[
            needs("status", Shape::Text, "`live`, `ready` or `not_ready`."),
            may("reasons", TEXTS, "", "Why it is not ready."),
        ],
    },
];
