//! What one app's channels and users are remembered by.

use crate::store::{Change, Remembered};
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    channels: BTreeMap<Box<str>, Channel>,
    users: BTreeMap<Box<str>, Box<str>>,
}

#[derive(Debug, Clone, Default)]
struct Channel {
    value: Box<str>,
    /// Oldest first.
    messages: VecDeque<(u128, Box<str>)>,
}

impl Kept {
    pub(super) fn change(&mut self, change: &Change) {
        match change {
            Change::Channel { name, value } => {
                self.channels.entry(name.clone()).or_default().value = value.clone();
            }
            Change::NoChannel { name } => {
                self.channels.remove(name);
            }
            Change::Message {
                channel,
                id,
                value,
                most,
            } => {
                let channel = self.channels.entry(channel.clone()).or_default();
                channel.messages.push_back((*id, value.clone()));
                let spare = channel.messages.len().saturating_sub(*most as usize);
                channel.messages.drain(..spare);
            }
            Change::Edited { channel, id, value } => {
                let channel = self.channels.get_mut(channel);
                let messages = channel.into_iter().flat_map(|c| &mut c.messages);
                for (_, text) in messages.filter(|(of, _)| of == id) {
                    text.clone_from(value);
                }
            }
            Change::NoMessage { channel, id } => {
                if let Some(channel) = self.channels.get_mut(channel) {
                    channel.messages.retain(|(of, _)| of != id);
                }
            }
            Change::User { name, value } => {
                self.users.insert(name.clone(), value.clone());
            }
            Change::NoUser { name } => {
                self.users.remove(name);
            }
        }
    }

    pub(super) fn remembered(&self) -> Remembered {
        let channels = self.channels.iter().map(|(name, channel)| {
            let messages = channel.messages.iter().cloned().collect();
            (name.clone(), channel.value.clone(), messages)
        });
        let users = self.users.iter();
        Remembered {
            channels: channels.collect(),
            users: users.map(|(n, value)| (n.clone(), value.clone())).collect(),
        }
    }
}
