//! What is asked of the server: requests, and what they are about.

use super::{Admin, ApiCall, Listening, RestCall, pushi};
use serde_json::{Value, json};

/// The settings of a channel that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub notify_presence: bool,
    pub with_members: bool,
    pub notify_state: bool,
    pub store_history: bool,
    pub history_size: usize,
    pub store_frames: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            notify_presence: false,
            with_members: false,
            notify_state: false,
            store_history: false,
            history_size: 10,
            store_frames: true,
        }
    }
}

impl Settings {
    pub fn to_json(self) -> Value {
        json!({
            "notify_presence": self.notify_presence,
            "store_history": self.store_history,
            "broadcast_presence_with_user_lists": self.with_members,
            "notify_state": self.notify_state,
            "store_frames": self.store_frames,
            "history_size": self.history_size,
        })
    }
}

/// What a caller wants to know of channels.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    pub history: bool,
    pub users: bool,
    pub public_state: bool,
}

/// A message to be published.
#[derive(Debug, Clone)]
pub struct Message {
    /// As the client chose it, if it did.
    pub id: Option<String>,
    pub user: String,
    pub channel: Option<String>,
    pub only: Vec<String>,
    pub except: Vec<String>,
    pub no_history: bool,
    pub body: Option<Value>,
    /// The name and the text of an event of the other protocol, which has these instead of a body.
    pub named: Option<(String, String)>,
    /// The socket that it came from, or that is left out.
    pub not_to: Option<u32>,
    /// What Pushi tells beside that, if it is an event of Pushi's.
    pub pushed: Option<pushi::Pushed>,
}

/// A message is to be edited or taken back.
#[derive(Debug, Clone)]
pub struct Amendment {
    pub id: String,
    pub channel: Option<String>,
    pub only: Vec<String>,
    pub except: Vec<String>,
    pub no_history: bool,
    pub edit: Option<Edit>,
}

/// What an edit replaces.
#[derive(Debug, Clone)]
pub struct Edit {
    pub user: Option<String>,
    pub body: Option<Value>,
    pub at: Option<String>,
    pub edited: Option<String>,
}

/// A request of the server API or of a client.
#[derive(Debug, Clone)]
pub enum Call {
    Connect {
        user: String,
        id: Option<String>,
        channels: Vec<String>,
        configs: Vec<(String, Settings)>,
        fresh_state: Vec<(String, Value)>,
        state: Vec<(String, Value)>,
        public_keys: Vec<String>,
        info: Info,
    },
    Subscribe {
        id: String,
        channels: Vec<String>,
        configs: Vec<(String, Settings)>,
        info: Info,
    },
    Unsubscribe {
        id: String,
        channels: Vec<String>,
        info: Info,
    },
    Publish(Vec<Message>),
    Amend(Vec<Amendment>),
    UserState {
        user: String,
        state: Vec<(String, Value)>,
        public_keys: Option<Vec<String>>,
    },
    Configure(Vec<(String, Settings)>),
    Info {
        channels: Option<Vec<String>>,
        info: Info,
    },
    Disconnect {
        id: String,
    },
    Listen {
        id: String,
        how: Listening,
    },
    Admin(Admin),
    /// A request of an application that speaks Pusher.
    Api(ApiCall),
    /// A request of one that speaks Pushi.
    Rest(RestCall),
    /// Something that changes nothing and is answered with this status.
    Odd {
        status: u16,
        is_signed: bool,
    },
}

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    No,
    Wrongly,
    /// At this second of the client's clock.
    At(u64),
}
