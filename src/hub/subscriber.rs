//! Subscribers: identities that hold subscriptions, with a connection or without one.

use super::few::Few;
use super::{AppId, ChannelId, Format, Id, MembershipId, UserId};
use crate::handler::ConnId;
use crate::time::Timer;

/// Tag of [`SubscriberId`](super::SubscriberId).
#[derive(Debug)]
pub enum SubscriberTag {}

/// One side of the relation between a subscriber and a channel; the other is the channel's
/// listener at `place`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscription {
    pub(crate) channel: ChannelId,
    pub(crate) membership: MembershipId,
    /// Where this subscriber stands in the channel's list of `format`.
    pub(crate) place: u32,
    /// Where it stands in the order of joining among those of its subscriber.
    pub(crate) order: u16,
    /// What the subscriber is told in here; nearly always what it is told in everywhere.
    pub(crate) format: Format,
}

const _: () = assert!(
    size_of::<Subscription>() == 24,
    "there may be thousands for each subscriber"
);

/// An identity that holds subscriptions. *Attached* while it has an outlet, *away* otherwise.
#[derive(Debug)]
pub struct Subscriber {
    pub(crate) id: Id,
    pub(crate) user: UserId,
    /// Where it stands in its user's list.
    pub(crate) place_in_user: u32,
    pub(crate) outlet: ConnId,
    /// Everything up to this place in the hub's order has been handed to it (or lies before it).
    pub(crate) seen: u64,
    /// The hub's order stood here when it came into being.
    pub(crate) born: u64,
    pub(crate) timer: Timer,
    /// Sorted by channel, so that one of thousands is found in a few steps.
    pub(crate) subscriptions: Few<Subscription>,
    pub(crate) app: AppId,
    pub(crate) format: Format,
    /// [`Subscription::order`] of the next one.
    pub(crate) next_order: u16,
    /// It has gone, and only stands in channels that it has not left yet.
    pub(crate) is_leaving: bool,
}

impl Subscriber {
    /// The id by which its owner names it.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Whose it is.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// The app it belongs to.
    pub fn app(&self) -> AppId {
        self.app
    }

    /// The connection it is reachable through right now; [`ConnId::NONE`] while away.
    pub fn outlet(&self) -> ConnId {
        self.outlet
    }

    /// The place in the hub's order up to which everything has been handed to it.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The format it is told in, or was last.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The channels it is in, in no particular order.
    pub fn channels(&self) -> impl Iterator<Item = ChannelId> {
        self.subscriptions
            .as_slice()
            .iter()
            .map(|subscription| subscription.channel)
    }

    /// How many channels it is in.
    pub fn channel_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// The place in the order of joining for one more subscription. When the numbers are used up
    /// those that are there are numbered anew.
    pub(crate) fn take_order(&mut self) -> u16 {
        let count = self.subscriptions.len();
        if count == 0 {
            self.next_order = 0;
        }
        // With so many there is nothing to be gained: the last of them share the last number.
        if self.next_order == u16::MAX && count < usize::from(u16::MAX) {
            let list = self.subscriptions.as_mut_slice();
            let mut in_order: Vec<&mut Subscription> = list.iter_mut().collect();
            in_order.sort_unstable_by_key(|subscription| subscription.order);
            for (order, subscription) in (0..).zip(in_order) {
                subscription.order = order;
            }
            self.next_order = count as u16; // compared above
        }
        let order = self.next_order;
        self.next_order = order.saturating_add(1);
        order
    }

    /// Where the subscription to `channel` stands; if there is none, where it would.
    pub(crate) fn find(&self, channel: ChannelId) -> Result<usize, usize> {
        self.subscriptions
            .as_slice()
            .binary_search_by_key(&channel, |s| s.channel)
    }

    /// The subscription to `channel`.
    pub(crate) fn subscription(&self, channel: ChannelId) -> Option<&Subscription> {
        self.subscriptions.as_slice().get(self.find(channel).ok()?)
    }
}
