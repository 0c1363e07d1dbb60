//! What each endpoint does: words in, hub calls, words out (sections 7 and 8 of the
//! specification).

use super::batch::Batch;
use super::encode::{push_details, push_id, push_state, push_texts};
use super::errors::{self, BodyFault, Errors, Faults, Place};
use super::info::{InfoJob, Listing, find, push_info};
use super::pages;
use super::speaker::{APP, Channelstream, FORMAT};
use super::stamps::push_text;
use super::words::{self, ConnectBody, Info, MessageBody, SubscribeBody, Text};
use crate::dialect::{Ctx, Reply};
use crate::hub::{ChannelId, Effects, Id, NewMessage, Settings, Stamp, SubscriberId};
use crate::limits::{STATE_BYTES_MAX, STATE_KEYS_MAX};
use crate::transport::http::{Request, Response};
use std::borrow::Cow;
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
        // Whatever is published is published to the end.
        if messages.len() > 1 && !ctx.takes_jobs {
            return Ok(Reply::Now(pages::busy()));
        }
        let mut batch = Batch::new(messages);
        Ok(match batch.publish(ctx) {
            Some(text) => Reply::Now(Response::json(200, text)),
            None => {
                let answer = self.dressed(request, Response::json(200, ""));
                Reply::Later(batch.into_job(answer))
            }
        })
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
    let public: usize = body.state_public_keys.iter().map(|key| key.len()).sum();
    let mut faults = Faults::default();
    if body.state_public_keys.len() > STATE_KEYS_MAX || public > STATE_BYTES_MAX {
        faults.push(
            || Place::Field("state_public_keys"),
            Errors::one(errors::STATE_SIZE),
        );
    }
    let fresh = match known {
        // Nobody reads it then.
        Some(_) => &[][..],
        None => &body.fresh_user_state[..],
    };
    if !fresh.is_empty() || !body.user_state.is_empty() {
        let changes = fresh.iter().chain(&body.user_state);
        let changes = changes.map(|(key, value)| (&**key, *value));
        if !ctx.hub.state_fits(known, changes) {
            let field = match body.user_state.is_empty() {
                true => "fresh_user_state",
                false => "user_state",
            };
            faults.push(|| Place::Field(field), Errors::one(errors::STATE_SIZE));
        }
    }
    Ok(faults.finish()?)
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

pub(super) fn new_message<'b>(body: &'b MessageBody<'_>, ctx: &mut Ctx<'_>) -> NewMessage<'b> {
    fn names<'b>(list: &'b [Text<'_>]) -> Vec<Cow<'b, str>> {
        list.iter().map(|name| Cow::Borrowed(&**name)).collect()
    }
    NewMessage {
        id: body.uuid.map_or_else(|| ctx.io.id(), Id),
        at: body
            .timestamp
            .map_or_else(|| Stamp::from_unix_micros(ctx.now.unix_micros), Stamp::from),
        user: (&*body.user).into(),
        channel: body.channel.as_deref().map(Cow::Borrowed),
        only: names(&body.pm_users),
        except: names(&body.exclude_users),
        no_history: body.no_history,
        body: body.message.as_deref(),
    }
}

/// A message as the answer repeats it.
pub(super) fn push_accepted(out: &mut Vec<u8>, message: &NewMessage<'_>) {
    let only = message.only.iter().map(|name| &**name);
    let except = message.except.iter().map(|name| &**name);
    push_details(out, &message.view(), only, except, message.no_history);
    out.extend_from_slice(b",\"edited\":null}");
}

#[cfg(test)]
mod tests {
    use super::super::speaker::Config;
    use super::*;
    use crate::dialect::{Dialect, Io, Meter};
    use crate::frame::FrameWriter;
    use crate::handler::{ConnId, Origin};
    use crate::hub::{Hub, HubConfig};
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
                desk: &mut crate::dialect::Desk::new(&mut Random::seeded(1)),
                takes_jobs: true,
                asked_unix_s: 0,
            };
            let answer = match call(&self.speaker, &request, &mut ctx) {
                Ok(response) => response.body.to_vec(),
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
}
