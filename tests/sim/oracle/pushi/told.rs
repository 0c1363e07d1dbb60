//! What sockets of Pushi's are told.

use super::super::pusher::{TEXT, bare};
use super::super::{Expect, Kind, Oracle, Said, public};
use super::seconds;
use fanwire::handler::ConnId;
use serde_json::{Map, Value, json};

macro_rules! counts {
    ($($name:ident: $words:literal),* $(,)?) => {
        /// What happened by Pushi.
        #[derive(Debug, Clone, Copy, Default)]
        pub struct Counts {
            $(pub $name: u64,)*
        }

        impl Counts {
            /// Each by its name.
            pub fn all(&mut self) -> Vec<(&'static str, &mut u64)> {
                vec![$(($words, &mut self.$name)),*]
            }
        }
    };
}

counts! {
    sockets: "sockets of Pushi's",
    no_app: "sockets with a key that nobody has",
    joined: "channels that were joined by Pushi",
    again: "channels that were joined again",
    denied: "subscriptions that were denied",
    forged: "forged signatures of Pushi's",
    too_many: "sockets in too many channels",
    nonsense: "sockets that made no sense",
    gripes: "complaints to sockets",
    events: "events of sockets",
    no_room: "events that the store had no room for",
    latest: "looks at the latest events",
    personal: "personal channels",
    waiting: "events that waited for a user",
    waited: "sockets that waited for the store",
    pairs: "pairs",
    paired: "events between two",
    unpaired: "pairs that one of them left",
    published: "events of Pushi's applications",
    to_many: "events for several channels",
    logins: "logins",
    wrong: "logins with wrong credentials",
    logouts: "logouts",
    no_session: "requests without a session",
    reserved: "events refused for a name of the server's own",
    ended: "requests with a session that was ended",
    records: "records that were made",
    deleted: "records that were deleted",
    listed: "lists",
    made: "apps that were made",
    changed: "apps that were changed",
    refused: "requests that the store had no room for",
    not_kept: "requests that could not be kept",
    unsaid: "events of sockets that could not be kept",
    kept_back: "answers that waited for the store",
    commits: "commits",
    failures: "failed commits",
    crashes: "crashes",
    cuts: "power cuts",
    restarts: "restarts in order",
    survived: "events that survived",
    remembered: "channels that survived",
}

impl Counts {
    pub fn add(&mut self, mut other: Self) {
        for ((_, count), (_, more)) in self.all().into_iter().zip(other.all()) {
            *count += *more;
        }
    }
}

impl Oracle {
    /// How a member looks.
    fn member(user: &str, said: Option<&Said>, state: &Value) -> Value {
        match said {
            Some(said) if said.is_pushi => said.words.clone(),
            Some(said) => json!({"user_id": bare(user), "user_info": said.words}),
            None if state.as_object().is_some_and(|state| !state.is_empty()) => {
                json!({"user_id": bare(user), "user_info": state})
            }
            None => json!({"user_id": bare(user)}),
        }
    }

    fn members(&mut self, full: &str) -> Value {
        let channel = self.channels.iter().find(|c| c.name == full);
        let members = channel.map_or(Vec::new(), |channel| channel.members.clone());
        if !bare(full).starts_with("presence-") {
            return json!({});
        }
        let each = members.iter().map(|there| {
            let state = public(self.user(&there.user));
            let member = Self::member(&there.user, there.said.as_ref(), &state);
            (bare(&there.user).to_owned(), member)
        });
        let each: Map<String, Value> = each.collect();
        Value::Object(each)
    }

    /// One of the three answers that describe a channel.
    pub(super) fn describe(
        &mut self,
        conn: ConnId,
        answer: &str,
        full: &str,
        alias: &[String],
        events: Vec<Value>,
    ) {
        let members = self.members(full);
        let name = bare(full);
        let data = json!({"name": name, "members": members, "alias": alias, "events": events});
        let words = json!({
            "event": format!("pusher_internal:{answer}"), "channel": name, "data": { TEXT: data },
        });
        self.expect(conn, Expect::Said(words));
    }

    /// An event in Pushi's words.
    fn in_pushi(&self, event: usize) -> Value {
        match &self.events[event].kind {
            Kind::Message(message) if message.named.is_some() => {
                let (name, data) = message.named.as_ref().expect("seen a moment ago");
                let channel = message.channel.as_deref().expect("not told otherwise");
                let mut words = json!({"event": name, "channel": bare(channel)});
                if !data.is_empty() {
                    words["data"] = json!(data);
                }
                if let Some(pushed) = &message.pushed {
                    for (key, value) in &pushed.extra {
                        words[key] = value.clone();
                    }
                    if let Some(micros) = pushed.stored {
                        words["mid"] = json!(self.events[event].id);
                        words["timestamp"] = seconds(micros);
                    }
                }
                words
            }
            Kind::Presence {
                joined,
                channel,
                user,
                state,
                info,
                ..
            } => {
                let event = match joined {
                    true => "pusher:member_added",
                    false => "pusher:member_removed",
                };
                let member = Self::member(user, info.as_ref(), state);
                json!({"event": event, "channel": bare(channel), "member": { TEXT: member }})
            }
            // The other protocol's words, in the same wrapping as Pusher's.
            Kind::Message(_) | Kind::Amendment(_) | Kind::State { .. } => self.in_pusher(event),
        }
    }

    /// Whether a text is this event in Pushi's words.
    pub fn check_pushi(&mut self, event: usize, text: &str) {
        let expected = self.in_pushi(event);
        self.check_said(&expected, text);
    }
}
