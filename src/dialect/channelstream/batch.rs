//! The messages of one `POST /message`, published in order: at once where they are few, over several
//! turns where they are many or are heard by many.
//!
//! A message is always given to its whole audience in one turn. Between two messages others may
//! have theirs.

use super::calls::{new_message, push_accepted};
use super::encode::push_comma;
use super::speaker::APP;
use super::words::MessageBody;
use crate::dialect::{Ctx, Job};
use crate::hub::Effects;
use crate::limits::WORK_PER_MESSAGE;
use crate::transport::http::Response;
use std::borrow::Cow;

/// Messages on their way, and the answer's text as far as it is written.
pub(super) struct Batch<'b> {
    left: std::vec::IntoIter<MessageBody<'b>>,
    text: Vec<u8>,
}

impl<'b> Batch<'b> {
    /// Nothing of it is published yet.
    pub(super) fn new(messages: Vec<MessageBody<'b>>) -> Self {
        Self {
            left: messages.into_iter(),
            text: vec![b'['],
        }
    }

    /// Publishes one message, and more until the turn has done enough. The text of the answer, if
    /// that was all.
    pub(super) fn publish(&mut self, ctx: &mut Ctx<'_>) -> Option<Vec<u8>> {
        while let Some(message) = self.left.next() {
            ctx.io.spend(WORK_PER_MESSAGE);
            // One that goes to nobody is dropped without a word.
            if message.channel.is_some() || !message.pm_users.is_empty() {
                let written = self.text.len() - 1;
                push_comma(&mut self.text, written);
                let message = new_message(&message, ctx);
                push_accepted(&mut self.text, &message);
                ctx.hub.publish(APP, &message, ctx.now, &mut ctx.io);
            }
            if ctx.io.has_done_enough() && !self.left.as_slice().is_empty() {
                return None;
            }
        }
        self.text.push(b']');
        Some(std::mem::take(&mut self.text))
    }

    /// The rest, with texts of its own to outlive the request; `answer` is what the caller is told
    /// at the end, but for its body.
    pub(super) fn into_job(self, answer: Response) -> Box<dyn Job> {
        let left: Vec<_> = self.left.map(MessageBody::into_owned).collect();
        let batch = Batch {
            left: left.into_iter(),
            text: self.text,
        };
        Box::new(BatchJob { batch, answer })
    }
}

/// The rest of a batch that goes on in later turns.
struct BatchJob {
    batch: Batch<'static>,
    answer: Response,
}

impl Job for BatchJob {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        let text = self.batch.publish(ctx)?;
        let mut answer = std::mem::take(&mut self.answer);
        answer.body = text;
        Some(answer)
    }

    fn bytes(&self) -> usize {
        let left = self.batch.left.as_slice();
        let texts: usize = left.iter().map(MessageBody::bytes).sum();
        // Each is repeated in the answer.
        self.batch.text.capacity() + 2 * texts
    }
}

impl MessageBody<'_> {
    fn into_owned(self) -> MessageBody<'static> {
        fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        MessageBody {
            user: owned(self.user),
            channel: self.channel.map(owned),
            pm_users: self.pm_users.into_iter().map(owned).collect(),
            exclude_users: self.exclude_users.into_iter().map(owned).collect(),
            no_history: self.no_history,
            uuid: self.uuid,
            timestamp: self.timestamp,
            message: self.message.map(owned),
        }
    }

    /// What it takes in memory, roughly.
    fn bytes(&self) -> usize {
        let names = self.pm_users.iter().chain(&self.exclude_users);
        size_of::<Self>()
            + self.user.len()
            + self.channel.as_ref().map_or(0, |channel| channel.len())
            + self.message.as_ref().map_or(0, |message| message.len())
            + names
                .map(|name| size_of_val(name) + name.len())
                .sum::<usize>()
    }
}
