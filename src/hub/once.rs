//! Messages for several channels that everybody gets once, and messages for a few subscribers.
//!
//! Who has been served is noted in a list of its own, and looked at for each delivery. That is kept
//! out of `publish`, where nothing is looked at.

use super::publish::Frames;
use super::{AppId, ChannelId, Effects, Event, Hub, NewMessage, SubscriberId};
use crate::time::Now;

/// Subscribers that stand in one piece of the list.
const PAGE: usize = 512;

/// Which subscribers have been given a message that goes to several channels.
///
/// It takes four bytes for each place in the table of subscribers, but only for stretches in which
/// one was served: a message for few of very many costs little. It may be kept from one turn to the
/// next. Whoever has gone meanwhile is not mistaken for the one that has come into its place.
#[derive(Debug, Default)]
pub struct Served {
    /// By the key's index: the generation of the one that was served there, 0 for none.
    pages: Vec<Option<Box<[u32; PAGE]>>>,
    count: usize,
}

impl Served {
    /// How many were served.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nobody was.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether `who` has been served.
    pub fn contains(&self, who: SubscriberId) -> bool {
        let page = self.pages.get(who.index() / PAGE).and_then(Option::as_ref);
        page.is_some_and(|page| page[who.index() % PAGE] == generation(who))
    }

    /// `who` has been served. False: it was already.
    pub fn insert(&mut self, who: SubscriberId) -> bool {
        if who.is_none() {
            return false;
        }
        let at = who.index() / PAGE;
        if self.pages.len() <= at {
            self.pages.resize_with(at + 1, || None);
        }
        let page = self.pages[at].get_or_insert_with(|| Box::new([0; PAGE])); // just made room
        let known = &mut page[who.index() % PAGE];
        if *known == generation(who) {
            return false;
        }
        self.count += 1;
        *known = generation(who);
        true
    }

    /// The bytes it takes on the heap.
    pub fn bytes(&self) -> usize {
        let pages = self.pages.iter().flatten().count();
        self.pages.capacity() * size_of::<Option<Box<[u32; PAGE]>>>()
            + pages * size_of::<[u32; PAGE]>()
    }
}

fn generation(who: SubscriberId) -> u32 {
    (who.to_bits() >> 32) as u32
}

impl Hub {
    /// Like [`Hub::publish`], for a message that goes to several channels, one call for each: whoever
    /// is in `served` does not get it again, and whoever gets it is from then on. Everything else is
    /// done in each of the channels.
    ///
    /// A message that is only for some users, or for all but some, is published as by
    /// [`Hub::publish`].
    pub fn publish_once(
        &mut self,
        app: AppId,
        message: &NewMessage<'_>,
        served: &mut Served,
        now: Now,
        fx: &mut impl Effects,
    ) -> u64 {
        let Some(name) = &message.channel else {
            return self.publish(app, message, now, fx);
        };
        if !message.only.is_empty() || !message.except.is_empty() {
            return self.publish(app, message, now, fx);
        }
        self.totals.published += 1;
        let Some(channel) = self.channel_for(app, name, message, now, fx) else {
            return 0;
        };
        self.keep(channel, message, now, fx);
        let delivered = self.tell_unserved(channel, message, served, fx);
        self.settle_channel(channel, now);
        self.totals.delivered += delivered;
        delivered
    }

    fn tell_unserved(
        &self,
        key: ChannelId,
        message: &NewMessage<'_>,
        served: &mut Served,
        fx: &mut impl Effects,
    ) -> u64 {
        let Some(channel) = self.channels.get(key) else {
            return 0;
        };
        let event = Event::Message(message.view());
        let mut delivered = 0;
        for audience in &channel.audiences {
            let mut frame = None;
            for listener in &audience.listeners {
                let who = listener.subscriber;
                let is_out = listener.outlet.is_none() || who == message.except_subscriber;
                if is_out || served.contains(who) {
                    continue;
                }
                if frame.is_none() {
                    frame = fx.encode(audience.format, &event, false, self.sequence);
                }
                let Some(frame) = &frame else {
                    break; // this format does not tell it
                };
                served.insert(who);
                fx.send(listener.outlet, frame);
                delivered += 1;
            }
        }
        delivered
    }

    /// Tells exactly these subscribers a message, each in the format that it is told in by itself,
    /// those that are away excepted. It is kept nowhere. Says how many connections it was handed to.
    pub fn tell_subscribers(
        &mut self,
        who: &[SubscriberId],
        message: &NewMessage<'_>,
        fx: &mut impl Effects,
    ) -> u64 {
        self.sequence += 1;
        self.totals.published += 1;
        let event = Event::Message(message.view());
        let mut frames = Frames::default();
        let mut delivered = 0;
        for known in who.iter().filter_map(|&who| self.subscriber(who)) {
            if !known.outlet.is_none()
                && let Some(frame) = frames.get(known.format, &event, self.sequence, fx)
            {
                fx.send(known.outlet, &frame);
                delivered += 1;
            }
        }
        self.totals.delivered += delivered;
        delivered
    }
}
