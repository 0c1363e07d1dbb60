//! What each endpoint does: words in, hub calls, words out (sections 7 and 8 of the
//! specification).

use super::batch::{Batch, Entry};
use super::encode::{push_id, push_state, push_texts};
use super::errors::{BodyFault, Errors};
use super::info::{InfoJob, Listing, find, push_info};
use super::pages;
use super::speaker::{APP, Channelstream, FORMAT};
use super::stamps::push_text;
use super::states;
use super::words::{self, ConnectBody, Info, SubscribeBody, Text};
use crate::dialect::{Ctx, Reply};
use crate::hub::{ChannelId, Effects, Id, Settings, SubscriberId};
use crate::transport::http::{Request, Response};
use std::collections::{BTreeMap, BTreeSet};

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

/// Settings by channel name, for the channels that a call creates.
type Configs<'b> = BTreeMap<&'b str, Settings>;

fn configs<'b>(list: &'b [(Text<'_>, words::Settings)]) -> Configs<'b> {
    list.iter()
        .map(|(name, settings)| (&**name, (*settings).into()))
        .collect()
}

impl Channelstream {
    /// `POST /connect`.
    pub(super) fn connect(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        let body = words::parse_connect(request.body)?;
        let mut names: Vec<&str> = body.channels.iter().map(|name| &**name).collect();
        names.sort_unstable();
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        // A connection that this user has already is gone on with, and keeps its channels.
        let known = body
            .conn_id
            .and_then(|id| ctx.hub.find_subscriber(APP, Id(id)))
            .filter(|&who| {
                let user = ctx.hub.subscriber(who).map(|known| known.user());
                user.is_some() && user == ctx.hub.find_user(APP, &body.username)
            });
        self.check_count(ctx, known, &distinct)?;
        check_state(ctx, &body)?;

        let (user, is_new) = ctx.hub.ensure_user(APP, &body.username, &mut ctx.io);
        if is_new {
            for (key, value) in &body.fresh_user_state {
                ctx.hub.set_state(user, key, value);
            }
        }
        ctx.hub
            .set_public_keys(user, body.state_public_keys.iter().map(|key| &**key));
        for (key, value) in &body.user_state {
            ctx.hub.set_state(user, key, value);
        }

        let id = body.conn_id.map_or_else(|| ctx.io.id(), Id);
        let Some(who) = self.subscriber_for(user, id, ctx) else {
            ctx.hub.settle_user(user, ctx.now);
            return Err(taken());
        };
        self.join_all(
            who,
            distinct.iter().copied(),
            &configs(&body.channel_configs),
            ctx,
        );

        let mut out = Vec::with_capacity(512);
        out.push(b'{');
        push_id(&mut out, "conn_id", id);
        out.extend_from_slice(b",\"username\":");
        push_text(&mut out, &body.username);
        if let Some(user) = ctx.hub.user(user) {
            out.extend_from_slice(b",\"state\":");
            push_state(&mut out, user.state());
            out.extend_from_slice(b",\"public_state\":");
            push_state(&mut out, user.public_state());
        }
        out.extend_from_slice(b",\"channels\":");
        push_texts(&mut out, names.iter().copied());
        out.extend_from_slice(b",\"channels_info\":");
        let channels = find(ctx.hub, APP, distinct.into_iter());
        push_info(&mut out, ctx.hub, &channels, &body.info);
        out.push(b'}');
        Ok(Response::json(200, out))
    }

    /// The subscriber of this id: the one there is, if it is the same user's, else a new one.
    fn subscriber_for(
        &self,
        user: crate::hub::UserId,
        id: Id,
        ctx: &mut Ctx<'_>,
    ) -> Option<SubscriberId> {
        let expires = ctx.now.mono + self.config.expire_ms;
        if let Some(known) = ctx.hub.find_subscriber(APP, id) {
            let subscriber = ctx.hub.subscriber(known)?;
            if subscriber.user() == user {
                if subscriber.outlet().is_none() {
                    ctx.hub.expire_at(known, expires);
                }
                return Some(known);
            }
            ctx.hub.depart(known, ctx.now, &mut ctx.io);
        }
        ctx.hub.connect(user, id, FORMAT, expires)
    }

    /// Refuses a call that would take a connection beyond its number of channels, before any of
    /// it is done.
    fn check_count(
        &self,
        ctx: &Ctx<'_>,
        who: Option<SubscriberId>,
        distinct: &BTreeSet<&str>,
    ) -> Result<(), BodyFault> {
        let limit = ctx.hub.config().channels_per_subscriber;
        let has = who
            .and_then(|who| ctx.hub.subscriber(who))
            .map_or(0, |s| s.channel_count());
        if has + distinct.len() <= limit {
            return Ok(());
        }
        // Those it is in already do not count twice. More names than the limit are too many
        // whatever they are, and are not even looked at.
        if distinct.len() <= limit {
            let has = who.map(|who| ctx.hub.channels_of(who)).unwrap_or_default();
            let place = |name: &str| has.binary_search_by(|(known, _)| (**known).cmp(name));
            let new = distinct.iter().filter(|name| place(name).is_err());
            if has.len() + new.count() <= limit {
                return Ok(());
            }
        }
        Err(Errors::field("channels", "Too many channels for one connection.").into())
    }

    /// Joins channels in the order given, each made with its settings if it is not there. Says
    /// which of them are new for this subscriber.
    fn join_all<'n>(
        &self,
        who: SubscriberId,
        names: impl Iterator<Item = &'n str>,
        configs: &Configs<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Vec<&'n str> {
        let mut joined = Vec::new();
        for name in names {
            let settings = configs.get(name).copied().unwrap_or_default();
            let channel = ctx
                .hub
                .ensure_channel(APP, name, settings, ctx.now, &mut ctx.io);
            match ctx.hub.subscribe(who, channel, ctx.now, &mut ctx.io) {
                Ok(true) => joined.push(name),
                Ok(false) => {}
                // Counted before; a channel made in vain must not stay.
                Err(_) => ctx.hub.release_channel(channel, ctx.now),
            }
        }
        joined
    }

    /// `POST /subscribe`.
    pub(super) fn subscribe(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        let (body, who) = known_connection(request, ctx)?;
        let distinct: BTreeSet<&str> = body.channels.iter().map(|name| &**name).collect();
        self.check_count(ctx, Some(who), &distinct)?;
        let names = once(&body.channels).into_iter();
        let mut joined = self.join_all(who, names, &configs(&body.channel_configs), ctx);
        joined.sort_unstable();
        Ok(channels_answer(
            ctx,
            who,
            &body.info,
            "subscribed_to",
            &joined,
        ))
    }

    /// `POST /unsubscribe`.
    pub(super) fn unsubscribe(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        let (body, who) = known_connection(request, ctx)?;
        let mut left = Vec::new();
        for name in once(&body.channels) {
            if let Some(channel) = ctx.hub.find_channel(APP, name)
                && ctx.hub.unsubscribe(who, channel, ctx.now, &mut ctx.io)
            {
                left.push(name);
            }
        }
        left.sort_unstable();
        Ok(channels_answer(
            ctx,
            who,
            &body.info,
            "unsubscribed_from",
            &left,
        ))
    }

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
            let channel = hub.ensure_channel(APP, &name, settings, ctx.now, &mut ctx.io);
            hub.configure(channel, settings, ctx.now);
            channels.push(channel);
        }
        let info = Info {
            include_history: false,
            include_users: false,
            ..Info::default()
        };
        let mut out = Vec::with_capacity(512);
        push_info(&mut out, ctx.hub, &channels, &info);
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
            Some(names) => find(ctx.hub, APP, names.iter().map(|name| &**name)),
            None => ctx.hub.channels(APP).map(|(id, _)| id).collect(),
        };
        let mut text = Vec::with_capacity(512);
        let mut listing = Listing::begin(&mut text, ctx.hub, channels, &info);
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

/// The connection that a body or query names, which must be known.
fn known_connection<'r>(
    request: &'r Request<'_>,
    ctx: &Ctx<'_>,
) -> Result<(SubscribeBody<'r>, SubscriberId), BodyFault> {
    let fallback = request
        .query
        .and_then(|query| crate::transport::http::query::last(query, "conn_id"));
    let is_known = |id: u128| ctx.hub.find_subscriber(APP, Id(id)).is_some();
    let body = words::parse_subscribe(request.body, fallback.as_deref(), is_known)?;
    match ctx.hub.find_subscriber(APP, Id(body.conn_id)) {
        Some(who) => Ok((body, who)),
        None => Err(Errors::field("conn_id", "Unknown connection").into()),
    }
}

/// Refuses a call that would make a user's state larger than what is kept, before any of it is
/// done.
fn check_state(ctx: &Ctx<'_>, body: &ConnectBody<'_>) -> Result<(), BodyFault> {
    let known = ctx.hub.find_user(APP, &body.username);
    let fresh = match known {
        // Nobody reads it then.
        Some(_) => &[][..],
        None => &body.fresh_user_state[..],
    };
    states::check_bounds(
        ctx.hub,
        known,
        fresh,
        &body.user_state,
        &body.state_public_keys,
    )
}

/// Names in the order given, each once: a repeated one does nothing the second time.
fn once<'n>(names: &'n [Text<'_>]) -> Vec<&'n str> {
    let mut seen = BTreeSet::new();
    let names = names.iter().map(|name| &**name);
    names.filter(|name| seen.insert(*name)).collect()
}

/// An id that cannot be used; only if the system's random numbers repeat.
fn taken() -> BodyFault {
    Errors::field("conn_id", "The connection is in use.").into()
}

fn channels_answer(
    ctx: &Ctx<'_>,
    who: SubscriberId,
    info: &Info<'_>,
    changed_word: &str,
    changed: &[&str],
) -> Response {
    let has = ctx.hub.channels_of(who);
    let channels: Vec<ChannelId> = has.iter().map(|&(_, id)| id).collect();
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"channels\":");
    push_texts(&mut out, has.iter().map(|(name, _)| &**name));
    out.extend_from_slice(b",\"channels_info\":");
    push_info(&mut out, ctx.hub, &channels, info);
    out.push(b',');
    push_text(&mut out, changed_word);
    out.push(b':');
    push_texts(&mut out, changed.iter().copied());
    out.push(b'}');
    Response::json(200, out)
}

#[cfg(test)]
mod tests {
    use super::super::errors;
    use super::super::speaker::Config;
    use super::*;
    use crate::dialect::{Dialect, Io, Meter};
    use crate::frame::FrameWriter;
    use crate::handler::{ConnId, Origin};
    use crate::hub::{Hub, HubConfig};
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

    type Call = fn(&Channelstream, &Request<'_>, &mut Ctx<'_>) -> Result<Response, BodyFault>;

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
                    meter: &mut Meter::default(),
                },
                conn: ConnId::NONE,
                from: Origin {
                    peer: None,
                    tls: false,
                },
                now: Now {
                    mono: Millis(0),
                    unix_micros: 0,
                },
                takes_jobs: self.takes_jobs,
                desk: &mut self.desk,
                asked_unix_s: 0,
            };
            ctx.io.begin(if self.takes_jobs { 1 << 30 } else { 0 });
            let answer = match call(&self.speaker, &request, &mut ctx) {
                Ok(response) => response.body.to_vec(),
                Err(BodyFault::Invalid(errors)) => errors.to_json(),
                Err(BodyFault::NotJson) => b"no JSON".to_vec(),
            };
            self.hub.check();
            String::from_utf8(answer).expect("UTF-8")
        }
    }

    fn at_once(reply: Result<Reply, BodyFault>) -> Result<Response, BodyFault> {
        match reply? {
            Reply::Now(response) => Ok(response),
            later => panic!("{later:?}"),
        }
    }

    fn user_state(
        speaker: &Channelstream,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        at_once(speaker.user_state(request, ctx))
    }

    fn edit(
        speaker: &Channelstream,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        at_once(speaker.edit(request, ctx))
    }

    fn delete(
        speaker: &Channelstream,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        at_once(speaker.delete(request, ctx))
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
        let full = world.call(user_state, &state(0, STATE_KEYS_MAX));
        assert!(full.contains("\"4095\":4095"), "fits exactly");
        let refused = format!(r#"{{"user_state":["{}"]}}"#, errors::STATE_SIZE);
        assert_eq!(world.call(user_state, &state(STATE_KEYS_MAX, 1)), refused);
        let same = world.call(user_state, &state(7, 100));
        assert!(same.contains(r#""changed_state":[]"#), "{same}");

        let refused = format!(r#"{{"state_public_keys":["{}"]}}"#, errors::STATE_SIZE);
        let names: Vec<String> = (0..=STATE_KEYS_MAX).map(|n| format!("\"{n}\"")).collect();
        let keys = |count: usize| {
            let names = names[..count].join(",");
            format!(r#"{{"user":"ann","state_public_keys":[{names}]}}"#)
        };
        assert_eq!(world.call(user_state, &keys(STATE_KEYS_MAX + 1)), refused);
        let kept = world.call(user_state, r#"{"user":"ann"}"#);
        assert!(
            kept.ends_with(r#""public_keys":["4096"]}"#),
            "nothing was done"
        );
        world.call(user_state, &keys(STATE_KEYS_MAX));
        let kept = world.call(user_state, r#"{"user":"ann"}"#);
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
        for call in [edit as Call, delete] {
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
        let state = |user: &str| format!(r#"{{"user":"{user}","user_state":{{"k":1}}}}"#);
        assert!(world.call(user_state, &state("ann")).starts_with(busy));
        let user = world.hub.find_user(APP, "ann").expect("it is known");
        let known = world.hub.user(user).expect("it is known");
        assert_eq!(known.state_value("k"), None, "nothing was done");
        let done = world.call(user_state, &state("bob"));
        assert!(done.contains(r#"{"key":"k","value":1}"#), "{done}");
        world.takes_jobs = true;
        let done = world.call(user_state, &state("ann"));
        assert!(done.contains(r#"{"key":"k","value":1}"#), "{done}");
    }
}
