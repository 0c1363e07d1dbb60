//! What the endpoints for messages and channels do: words in, hub calls, words out (sections 7 and 8
//! of the specification).

use super::batch::{Batch, Entry};
use super::errors::BodyFault;
use super::info::{InfoJob, Listing, find, push_info};
use super::pages;
use super::speaker::Channelstream;
use super::words::{self, Info};
use crate::dialect::{Ctx, Reply, not_stored};
use crate::hub::{ChannelId, Settings};
use crate::transport::http::{Request, Response};

impl From<words::Settings> for Settings {
    fn from(words: words::Settings) -> Self {
        Self {
            notify_presence: words.notify_presence,
            presence_with_members: words.broadcast_presence_with_user_lists,
            notify_state: words.notify_state,
            store_history: words.store_history,
            history_messages: words.history_size,
            store_recent: words.store_frames,
        }
    }
}

impl Channelstream {
    /// `POST /message`.
    pub(super) fn message(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Reply, BodyFault> {
        let messages = words::parse_messages(request.body)?;
        Ok(self.batch(messages, request, ctx))
    }

    /// `PATCH /message`.
    pub(super) fn edit(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Reply, BodyFault> {
        let edits = words::parse_edits(request.body)?;
        Ok(self.batch(edits, request, ctx))
    }

    /// `DELETE /message`.
    pub(super) fn delete(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Reply, BodyFault> {
        let deletes = words::parse_deletes(request.body)?;
        Ok(self.batch(deletes, request, ctx))
    }

    /// Acts on all entries of a list, in this turn as far as it goes.
    fn batch<E: Entry>(&self, entries: Vec<E>, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        // Whatever is begun is done to the end.
        if entries.len() > 1 && !ctx.takes_jobs {
            return Reply::Now(pages::busy());
        }
        let messages = entries.iter();
        let messages = messages.filter_map(|entry| Some((entry.channel()?, entry.bytes())));
        let (jobs, bytes) = ctx.history_room(ctx.app, messages);
        if jobs > 0
            && let Err(why) = ctx.io.can_store(jobs, bytes)
        {
            return Reply::Now(not_stored(why));
        }
        let mut batch = Batch::new(entries);
        match batch.go_on(ctx) {
            Some(text) => Reply::Now(Response::json(200, text)),
            None => {
                let answer = self.dressed(request, Response::json(200, ""));
                Reply::Later(batch.into_job(answer))
            }
        }
    }

    /// `POST /channel_config`.
    pub(super) fn channel_config(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        let configs = words::parse_channel_config(request.body)?;
        let mut channels = Vec::with_capacity(configs.len());
        for (name, settings) in configs {
            let settings = settings.into();
            let hub = &mut *ctx.hub;
            let channel = hub.ensure_channel(ctx.app, &name, settings, ctx.now, &mut ctx.io);
            hub.configure(channel, settings, ctx.now, &mut ctx.io);
            channels.push(channel);
        }
        let info = Info {
            include_history: false,
            include_users: false,
            ..Info::default()
        };
        let mut out = Vec::with_capacity(512);
        push_info(&mut out, ctx, &channels, &info);
        Ok(Response::json(200, out))
    }

    /// `/info`, with any method.
    pub(super) fn info(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Reply, BodyFault> {
        let info = match request.body {
            [] => Info::default(),
            body => words::parse_info(body)?,
        };
        let channels: Vec<ChannelId> = match &info.channels {
            Some(names) => find(ctx.hub, ctx.app, names.iter().map(|name| &**name)),
            None => ctx.hub.channels(ctx.app).map(|(id, _)| id).collect(),
        };
        let mut text = Vec::with_capacity(512);
        let mut listing = Listing::begin(&mut text, ctx, channels, &info);
        if InfoJob::write(&mut listing, &mut text, ctx) {
            return Ok(Reply::Now(Response::json(200, text)));
        }
        if !ctx.takes_jobs {
            return Ok(Reply::Now(pages::busy()));
        }
        Ok(Reply::Later(Box::new(InfoJob {
            listing,
            text,
            answer: self.dressed(request, Response::json(200, "")),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::super::errors;
    use super::super::speaker::{APP, Config};
    use super::*;
    use crate::dialect::{Dialect, Io, Meter};
    use crate::frame::FrameWriter;
    use crate::handler::{ConnId, Origin};
    use crate::hub::{AppRules, Hub, HubConfig};
    use crate::limits::{STATE_BYTES_MAX, STATE_KEYS_MAX};
    use crate::outbox::Outbox;
    use crate::random::Random;
    use crate::time::{Millis, Now};
    use crate::transport::http::{Headers, Method};

    /// A hub and all that a call borrows.
    struct World {
        hub: Hub,
        out: Outbox,
        dialects: Vec<Box<dyn Dialect>>,
        random: Random,
        writer: FrameWriter,
        speaker: Channelstream,
        takes_jobs: bool,
        desk: crate::dialect::Desk,
    }

    type Call = fn(&Channelstream, &Request<'_>, &mut Ctx<'_>) -> Result<Reply, BodyFault>;

    impl World {
        fn new(config: HubConfig) -> Self {
            Self {
                hub: Hub::new(config, 1),
                out: Outbox::default(),
                dialects: vec![Box::new(Channelstream::new(Config::default()))],
                random: Random::seeded(1),
                writer: FrameWriter::new(),
                speaker: Channelstream::new(Config::default()),
                takes_jobs: true,
                desk: crate::dialect::Desk::new(&mut Random::seeded(1)),
            }
        }

        /// The body of the answer, or the complaint.
        fn call(&mut self, call: Call, body: &str) -> String {
            let request = Request {
                method: Method::Post,
                path: "/",
                query: None,
                is_1_1: true,
                headers: Headers(&[]),
                body: body.as_bytes(),
            };
            let mut ctx = Ctx {
                hub: &mut self.hub,
                io: Io {
                    out: &mut self.out,
                    dialects: &self.dialects,
                    random: &mut self.random,
                    writer: &mut self.writer,
                    hang_ups: &mut std::collections::VecDeque::new(),
                    facts: &mut crate::dialect::Facts::default(),
                    meter: &mut Meter::default(),
                    store: &mut crate::store::Port::default(),
                    remembered: &mut Vec::new(),
                },
                conn: ConnId::NONE,
                from: Origin {
                    peer: None,
                    tls: false,
                },
                app: APP,
                now: Now {
                    mono: Millis(0),
                    unix_micros: 0,
                },
                apps: &mut crate::dialect::Apps::default(),
                notes: &mut (),
                waits_for: None,
                takes_jobs: self.takes_jobs,
                talk: crate::transport::rate::Bucket::new(),
                desk: &mut self.desk,
                asked_unix_s: 0,
            };
            ctx.io.begin(if self.takes_jobs { 1 << 30 } else { 0 });
            let answer = match call(&self.speaker, &request, &mut ctx) {
                Ok(Reply::Now(response)) => response.body.to_vec(),
                Ok(later) => panic!("{later:?}"),
                Err(BodyFault::Invalid(errors)) => errors.to_json(),
                Err(BodyFault::NotJson) => b"no JSON".to_vec(),
            };
            self.hub.check();
            String::from_utf8(answer).expect("UTF-8")
        }
    }

    const ID: &str = "11111111111111111111111111111111";

    fn channels(from: usize, count: usize) -> String {
        let names: Vec<String> = (from..from + count).map(|n| format!("\"c{n}\"")).collect();
        names.join(",")
    }

    #[test]
    fn a_connection_that_is_gone_on_with_counts_the_channels_it_has() {
        let config = HubConfig {
            channels_per_subscriber: 10,
            ..HubConfig::default()
        };
        let mut world = World::new(config);
        let connect = |channels: String| {
            format!(r#"{{"username":"ann","conn_id":"{ID}","channels":[{channels}]}}"#)
        };
        let too_many = r#"{"channels":["Too many channels for one connection."]}"#;
        world.call(Channelstream::connect, &connect(channels(0, 8)));
        let again = world.call(Channelstream::connect, &connect(channels(0, 10)));
        assert!(
            again.contains("\"c9\""),
            "eight are not counted twice: {again}"
        );
        let more = world.call(Channelstream::connect, &connect(channels(5, 6)));
        assert_eq!(more, too_many);
        assert!(
            world.hub.find_channel(APP, "c10").is_none(),
            "nothing was done"
        );
        let many = world.call(Channelstream::connect, &connect(channels(0, 100_000 / 2)));
        assert_eq!(many, too_many);
    }

    #[test]
    fn repeated_names_are_joined_and_left_once() {
        let mut world = World::new(HubConfig::default());
        let connect = format!(r#"{{"username":"ann","conn_id":"{ID}"}}"#);
        world.call(Channelstream::connect, &connect);
        let body = format!(r#"{{"conn_id":"{ID}","channels":["b","a","b","a"]}}"#);
        let joined = world.call(Channelstream::subscribe, &body);
        assert!(joined.contains(r#""subscribed_to":["a","b"]"#), "{joined}");
        let left = world.call(Channelstream::unsubscribe, &body);
        assert!(left.contains(r#""unsubscribed_from":["a","b"]"#), "{left}");
    }

    #[test]
    fn the_state_of_a_user_is_bounded_and_refused_before_anything_is_done() {
        let mut world = World::new(HubConfig::default());
        let connect = |from: usize, count: usize| {
            let state: Vec<String> = (from..from + count)
                .map(|n| format!("\"{n}\":{n}"))
                .collect();
            format!(
                r#"{{"username":"ann","conn_id":"{ID}","user_state":{{{}}}}}"#,
                state.join(",")
            )
        };
        let refused = format!(r#"{{"user_state":["{}"]}}"#, errors::STATE_SIZE);
        let full = world.call(Channelstream::connect, &connect(0, STATE_KEYS_MAX));
        assert!(full.contains("\"4095\":4095"), "fits exactly");
        let more = world.call(Channelstream::connect, &connect(STATE_KEYS_MAX, 1));
        assert_eq!(more, refused);
        let same = world.call(Channelstream::connect, &connect(7, 100));
        assert!(
            !same.contains(errors::STATE_SIZE),
            "known keys take no room"
        );

        let value = "x".repeat(STATE_BYTES_MAX);
        let large = format!(r#"{{"username":"bob","user_state":{{"k":"{value}"}}}}"#);
        assert_eq!(world.call(Channelstream::connect, &large), refused);
        assert!(
            world.hub.find_user(APP, "bob").is_none(),
            "nothing was done"
        );
    }

    #[test]
    fn a_state_that_is_set_later_is_bounded_the_same_way() {
        let mut world = World::new(HubConfig::default());
        world.call(Channelstream::connect, r#"{"username":"ann"}"#);
        let state = |from: usize, count: usize| {
            let state: Vec<String> = (from..from + count)
                .map(|n| format!("\"{n}\":{n}"))
                .collect();
            let state = state.join(",");
            format!(r#"{{"user":"ann","user_state":{{{state}}},"state_public_keys":["4096"]}}"#)
        };
        let full = world.call(Channelstream::user_state, &state(0, STATE_KEYS_MAX));
        assert!(full.contains("\"4095\":4095"), "fits exactly");
        let refused = format!(r#"{{"user_state":["{}"]}}"#, errors::STATE_SIZE);
        assert_eq!(
            world.call(Channelstream::user_state, &state(STATE_KEYS_MAX, 1)),
            refused
        );
        let same = world.call(Channelstream::user_state, &state(7, 100));
        assert!(same.contains(r#""changed_state":[]"#), "{same}");

        let refused = format!(r#"{{"state_public_keys":["{}"]}}"#, errors::STATE_SIZE);
        let names: Vec<String> = (0..=STATE_KEYS_MAX).map(|n| format!("\"{n}\"")).collect();
        let keys = |count: usize| {
            let names = names[..count].join(",");
            format!(r#"{{"user":"ann","state_public_keys":[{names}]}}"#)
        };
        assert_eq!(
            world.call(Channelstream::user_state, &keys(STATE_KEYS_MAX + 1)),
            refused
        );
        let kept = world.call(Channelstream::user_state, r#"{"user":"ann"}"#);
        assert!(
            kept.ends_with(r#""public_keys":["4096"]}"#),
            "nothing was done"
        );
        world.call(Channelstream::user_state, &keys(STATE_KEYS_MAX));
        let kept = world.call(Channelstream::user_state, r#"{"user":"ann"}"#);
        assert!(kept.contains(r#""4095","41""#), "fits exactly");
    }

    #[test]
    fn what_may_take_several_turns_is_refused_whole_while_too_much_waits() {
        let mut world = World::new(HubConfig::default());
        let connect = format!(
            r#"{{"username":"ann","conn_id":"{ID}","channels":["a","b"],
               "state_public_keys":["k"],"channel_configs":{{"a":{{"notify_state":true}},
               "b":{{"notify_state":true,"store_history":true}}}}}}"#
        );
        world.call(Channelstream::connect, &connect);
        let one_channel =
            r#"{"username":"bob","channels":["a"],"state_public_keys":["k"]}"#.to_owned();
        world.call(Channelstream::connect, &one_channel);
        world.takes_jobs = false;
        let busy = r#"{"error":"busy""#;
        let entry = format!(r#"{{"uuid":"{ID}","channel":"b"}}"#);
        let mut before = world.hub.kept_bytes();
        for call in [Channelstream::edit as Call, Channelstream::delete] {
            let several = world.call(call, &format!("[{entry},{entry}]"));
            assert!(several.starts_with(busy), "{several}");
            assert_eq!(world.hub.kept_bytes(), before, "nothing was done");
            let one = world.call(call, &format!("[{entry}]"));
            assert!(one.starts_with("[{\"pm_users\""), "{one}");
            assert!(world.hub.kept_bytes() > before, "it is kept for catch-up");
            before = world.hub.kept_bytes();
            let none = world.call(call, "[]");
            assert_eq!(none, "[]");
        }
        let two = r#"["x","y"]"#;
        for (call, start) in [
            (
                Channelstream::connect as Call,
                r#""username":"cid""#.to_owned(),
            ),
            (Channelstream::subscribe, format!(r#""conn_id":"{ID}""#)),
            (Channelstream::unsubscribe, format!(r#""conn_id":"{ID}""#)),
        ] {
            let several = world.call(call, &format!(r#"{{{start},"channels":{two}}}"#));
            assert!(several.starts_with(busy), "{several}");
            assert_eq!(world.hub.counts().0, 2, "nothing was done");
        }
        let one = r#"{"username":"cid","channels":["a"]}"#;
        let done = world.call(Channelstream::connect, one);
        assert!(done.ends_with("]}}"), "{done}");
        let state = |user: &str| format!(r#"{{"user":"{user}","user_state":{{"k":1}}}}"#);
        assert!(
            world
                .call(Channelstream::user_state, &state("ann"))
                .starts_with(busy)
        );
        let user = world.hub.find_user(APP, "ann").expect("it is known");
        let known = world.hub.user(user).expect("it is known");
        assert_eq!(known.state_value("k"), None, "nothing was done");
        let done = world.call(Channelstream::user_state, &state("bob"));
        assert!(done.contains(r#"{"key":"k","value":1}"#), "{done}");
        world.takes_jobs = true;
        let done = world.call(Channelstream::user_state, &state("ann"));
        assert!(done.contains(r#"{"key":"k","value":1}"#), "{done}");
    }

    #[test]
    fn what_is_said_of_users_is_reported_where_it_is_to_survive() {
        let mut world = World::new(HubConfig::default());
        let rules = AppRules {
            remembers: true,
            ..AppRules::default()
        };
        world.hub.set_rules(APP, rules);
        let reported = |world: &World, name: &str| {
            let user = world.hub.find_user(APP, name).expect("it is known");
            let user = world.hub.user(user).expect("it is known");
            assert!(!user.is_changed, "nothing of {name} waits to be reported");
            user.is_remembered
        };
        for name in ["ann", "bob"] {
            let connect = format!(r#"{{"username":"{name}","state_public_keys":["k"]}}"#);
            world.call(Channelstream::connect, &connect);
            assert!(!reported(&world, name), "it has no state");
        }
        let again = r#"{"username":"ann","user_state":{"k":1}}"#;
        world.call(Channelstream::connect, again);
        let state = r#"{"user":"bob","user_state":{"k":1}}"#;
        let told = world.call(Channelstream::user_state, state);
        assert!(told.contains("changed_state"), "{told}");
        assert!(reported(&world, "ann") && reported(&world, "bob"));
    }
}
