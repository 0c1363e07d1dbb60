//! Pairs of members of a presence channel, who talk to each other alone.

use super::super::pusher::bare;
use super::super::{Oracle, Sabotage};
use super::must_sign;

/// A socket is on the channel of a pair: its own user and another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    key: u32,
    /// The presence channel.
    presence: String,
    other: String,
}

/// The name of the channel of two members.
fn name_of(presence: &str, one: &str, other: &str) -> String {
    let base = bare(presence).strip_prefix("presence-").unwrap_or("");
    let mut two = [bare(one), bare(other)];
    two.sort_unstable();
    format!("peer-{base}:{}&{}", two[0], two[1])
}

impl super::Pushi {
    pub(in super::super) fn forget_pairs(&mut self) {
        self.pairs.clear();
    }
}

impl Oracle {
    fn is_chat(&self, key: u32) -> bool {
        let sub = self.subs.iter().find(|sub| sub.key == key);
        let socket = sub.and_then(|sub| sub.socket.as_ref());
        socket.is_some_and(|socket| socket.talk.is_some())
    }

    /// A socket has become a member, and wants to be paired or not.
    pub(super) fn pair(&mut self, key: u32, presence: &str, user: &str, peer: bool) {
        if !peer {
            return;
        }
        let channel = self.channels.iter().find(|c| c.name == presence);
        let channel = channel.expect("it has just been joined");
        let new = |key, other: &str| Pair {
            key,
            presence: presence.to_owned(),
            other: other.to_owned(),
        };
        let others = channel.members.iter().filter(|there| there.user != user);
        let mut pairs: Vec<Pair> = others.map(|there| new(key, &there.user)).collect();
        let mine = channel.members.iter().find(|there| there.user == user);
        if mine.is_some_and(|mine| mine.count == 1) {
            let others = channel.guests.iter().filter(|guest| guest.user != user);
            let others = others.filter(|guest| self.is_chat(guest.key));
            pairs.extend(others.map(|guest| new(guest.key, user)));
        }
        self.pushi.counts.pairs += pairs.len() as u64;
        for pair in pairs {
            if !self.pushi.pairs.contains(&pair) {
                self.pushi.pairs.push(pair);
            }
        }
    }

    /// A subscriber leaves a channel, and with it this user, if it was its last one.
    pub(in super::super) fn leave_pairs(&mut self, key: u32, name: &str, last: Option<&String>) {
        let keeps = self.sabotage == Sabotage::KeepPair;
        self.pushi.pairs.retain(|pair| {
            let is_gone = last.is_some_and(|user| pair.other == *user) && !keeps;
            pair.presence != name || (pair.key != key && !is_gone)
        });
    }

    /// Who the user is that a socket is in a presence channel.
    fn self_in(&self, key: u32, presence: &str) -> Option<String> {
        let channel = self.channels.iter().find(|c| c.name == presence)?;
        let guest = channel.guests.iter().find(|guest| guest.key == key)?;
        Some(guest.user.clone())
    }

    /// Whether a socket is on the channel of a pair by this name.
    pub(super) fn is_paired(&self, key: u32, channel: &str) -> bool {
        self.pushi.pairs.iter().any(|pair| {
            let own = self.self_in(key, &pair.presence);
            pair.key == key
                && own.is_some_and(|own| name_of(&pair.presence, &own, &pair.other) == channel)
        })
    }

    /// A socket leaves the channel of a pair.
    pub(super) fn unpair(&mut self, key: u32, channel: &str) {
        let pairs = self.pushi.pairs.clone();
        let is_it = |pair: &&Pair| {
            let own = self.self_in(key, &pair.presence);
            pair.key == key
                && own.is_some_and(|own| name_of(&pair.presence, &own, &pair.other) == channel)
        };
        let gone: Vec<Pair> = pairs.iter().filter(is_it).cloned().collect();
        self.pushi.counts.unpaired += gone.len() as u64;
        self.pushi.pairs.retain(|pair| !gone.contains(pair));
    }

    /// The names of the pairs that a socket is on by being in a channel, in the order in which the
    /// others came.
    pub(super) fn pair_names(&self, key: u32, presence: &str) -> Vec<String> {
        let channel = self.channels.iter().find(|c| c.name == presence);
        let members = channel.map_or(&[][..], |channel| &channel.members);
        let own = self.self_in(key, presence);
        let names = members.iter().filter_map(|there| {
            let pair = Pair {
                key,
                presence: presence.to_owned(),
                other: there.user.clone(),
            };
            let is_on = self.pushi.pairs.contains(&pair);
            is_on.then(|| name_of(presence, own.as_deref().unwrap_or(""), &there.user))
        });
        names.collect()
    }

    /// Whether a socket may ask for what was said on a channel that it is not in: as one of the two
    /// that it names.
    pub(super) fn is_eligible(&self, key: u32, channel: &str) -> bool {
        let Some((base, tail)) = channel
            .strip_prefix("peer-")
            .and_then(|rest| rest.split_once(':'))
        else {
            return false;
        };
        debug_assert!(must_sign(channel), "it is of that kind");
        let sub = self.subs.iter().find(|sub| sub.key == key);
        let channels = sub.map_or(&[][..], |sub| &sub.channels);
        let presence = channels
            .iter()
            .find(|name| bare(name).strip_prefix("presence-") == Some(base));
        let own = presence.and_then(|presence| self.self_in(key, presence));
        let (Some(own), Some((one, other))) = (own, tail.split_once('&')) else {
            return false;
        };
        [one, other].contains(&bare(&own))
    }

    /// The pair hears of an event on its channel, but for who said it and who is there by name.
    pub(super) fn tell_pair(&mut self, event: usize, full: &str, not_to: Option<u32>) {
        let mark = &full[..full.len() - bare(full).len()];
        let mut once = self.once.take();
        let pairs = self.pushi.pairs.clone();
        for pair in pairs {
            let own = self.self_in(pair.key, &pair.presence);
            let is_it = pair.presence.starts_with(mark)
                && bare(&pair.presence).len() + mark.len() == pair.presence.len()
                && own.is_some_and(|own| name_of(&pair.presence, &own, &pair.other) == bare(full));
            let sub = self.subs.iter().find(|sub| sub.key == pair.key);
            let Some(sub) = sub.filter(|_| is_it && Some(pair.key) != not_to) else {
                continue;
            };
            let has_heard = sub.channels.iter().any(|name| name == full);
            if let Some(outlet) = sub.outlet
                && !has_heard
                && once.as_mut().is_none_or(|once| once.insert(pair.key))
                && let Some(line) = self.lines.get_mut(&outlet)
            {
                self.pushi.counts.paired += 1;
                line.tell(event, false);
            }
        }
        self.once = once;
    }
}
