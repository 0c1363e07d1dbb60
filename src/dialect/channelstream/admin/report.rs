//! `/admin/admin.json`: everything at once, as the original tells it, over as many turns as it
//! takes (section 14 of the specification).

use super::super::encode::{push_comma, push_id, push_number, push_state};
use super::super::info::Listing;
use super::super::stamps::{push_text, push_uuid};
use super::super::words::Info;
use crate::dialect::{Ctx, Job};
use crate::hub::{ChannelId, Effects, Hub, User};
use crate::limits::BODY_BYTES_PER_WORK;
use crate::transport::http::Response;

/// The version whose interface this is.
const VERSION: &str = "0.7.1";
/// Places in the table of users that are looked at between two looks at the meter.
const PLACES_PER_STEP: usize = 64;
/// So many bytes of the report cost one unit: finding and sorting what they tell costs as much as
/// writing them.
const REPORT_BYTES_PER_WORK: u64 = BODY_BYTES_PER_WORK / 2;

/// The report while it is written.
pub(super) struct ReportJob {
    listing: Listing,
    channels_are_done: bool,
    /// The place in the table of users where it goes on.
    next_user: usize,
    /// Users with a connection so far.
    users: usize,
    text: Vec<u8>,
    /// All of the answer but its body.
    answer: Response,
}

impl ReportJob {
    /// Begins it. `answer` is dressed and lacks only the body.
    pub(super) fn begin(ctx: &Ctx<'_>, answer: Response) -> Self {
        let hub = &*ctx.hub;
        let mut text = Vec::with_capacity(1024);
        let channels: Vec<ChannelId> = hub.channels(ctx.app).map(|(id, _)| id).collect();
        let listing = Listing::begin(&mut text, ctx, channels, &Info::default());
        Self {
            listing,
            channels_are_done: false,
            next_user: 0,
            users: 0,
            text,
            answer,
        }
    }

    fn push_users(&mut self, ctx: &mut Ctx<'_>) -> bool {
        while self.next_user < ctx.hub.user_places() {
            let end = self.next_user + PLACES_PER_STEP;
            let start = self.text.len();
            for (_, user) in ctx.hub.users_within(ctx.app, self.next_user..end) {
                if user.subscribers().is_empty() {
                    continue;
                }
                push_comma(&mut self.text, self.users);
                self.users += 1;
                push_user(&mut self.text, ctx.hub, user);
            }
            self.next_user = end;
            let bytes = self.text.len() - start;
            ctx.io.spend(1 + bytes as u64 / REPORT_BYTES_PER_WORK);
            if ctx.io.has_done_enough() {
                return false;
            }
        }
        true
    }

    fn push_totals(&mut self, ctx: &Ctx<'_>) {
        let (channels, subscribers, users) = ctx.hub.counts();
        let totals = ctx.hub.totals();
        let out = &mut self.text;
        for (name, number) in [
            ("remembered_user_count", users as u64),
            ("unique_user_count", self.users as u64),
            ("total_connections", subscribers as u64),
            ("total_channels", channels as u64),
            ("total_messages", totals.delivered),
            ("total_unique_messages", totals.published),
        ] {
            out.push(b',');
            push_text(out, name);
            out.push(b':');
            push_number(out, number);
        }
        out.extend_from_slice(b",\"uptime\":");
        push_text(out, &uptime(ctx.now.mono.0 / 1000));
        out.extend_from_slice(b",\"version\":");
        push_text(out, VERSION);
        out.push(b'}');
    }
}

impl Job for ReportJob {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        if !self.channels_are_done {
            let io = &mut ctx.io;
            let is_enough = |bytes: usize| {
                io.spend(1 + bytes as u64 / REPORT_BYTES_PER_WORK);
                io.has_done_enough()
            };
            if !self
                .listing
                .push_channels(&mut self.text, ctx.hub, is_enough)
            {
                return None;
            }
            self.channels_are_done = true;
            self.text.extend_from_slice(b"},\"users\":[");
        }
        if !self.push_users(ctx) {
            return None;
        }
        self.text.push(b']');
        self.push_totals(ctx);
        let mut answer = std::mem::take(&mut self.answer);
        answer.body = std::mem::take(&mut self.text);
        Some(answer)
    }

    fn bytes(&self) -> usize {
        self.text.capacity() + self.listing.bytes()
    }
}

/// Appends a user with the ids of its connections.
fn push_user(out: &mut Vec<u8>, hub: &Hub, user: &User) {
    out.extend_from_slice(b"{\"user\":");
    push_text(out, user.name());
    out.push(b',');
    push_id(out, "uuid", user.id());
    out.extend_from_slice(b",\"state\":");
    push_state(out, user.public_state());
    out.extend_from_slice(b",\"connections\":[");
    let ids = user.subscribers().iter();
    let ids = ids.filter_map(|&who| hub.subscriber(who).map(|who| who.id()));
    for (at, id) in ids.enumerate() {
        push_comma(out, at);
        out.push(b'"');
        push_uuid(out, id.0);
        out.push(b'"');
    }
    out.extend_from_slice(b"]}");
}

/// A time as Python writes it: `1:02:03`, `1 day, 0:00:07`, `3 days, 10:20:30`.
pub(super) fn uptime(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let time = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => time,
        1 => format!("1 day, {time}"),
        days => format!("{days} days, {time}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_look_as_in_the_specification() {
        for (seconds, text) in [
            (0, "0:00:00"),
            (3723, "1:02:03"),
            (86_399, "23:59:59"),
            (86_407, "1 day, 0:00:07"),
            (3 * 86_400 + 37_230, "3 days, 10:20:30"),
        ] {
            assert_eq!(uptime(seconds), text);
        }
    }
}
