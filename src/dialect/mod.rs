//! A protocol's vocabulary: how its requests and texts map to hub calls and back.
//!
//! A dialect is stateless: what a peer has done lives in the hub and the transport. It is called
//! once per incoming message and once per format of a published one, never once per recipient, so
//! the dynamic call costs nothing that can be measured. A host program may bring its own.

mod apps;
mod asking;
pub mod channelstream;
mod desk;
mod facts;
mod job;
pub mod json;
mod park;
pub mod pusher;
pub mod pushi;

pub use apps::{Apps, KnownApp};
pub use asking::{AnswerThen, SocketThen};
pub use desk::Desk;
pub(crate) use facts::Facts;
pub use facts::KeptFact;
pub use job::{Job, Meter};
pub use park::{Pace, Park, Stream};

use crate::frame::{Frame, FrameWriter, Opcode};
use crate::handler::{CloseReason, ConnId, Origin};
use crate::hub::{
    AppId, AppRules, Effects, Event, Fact, Format, HangUp, Hub, Id, Remember, Subscriber,
    SubscriberId,
};
use crate::limits::{STORE_COMMIT_ROWS_MAX, STORE_JOB_OVERHEAD_BYTES};
use crate::outbox::Outbox;
use crate::random::Random;
use crate::store::{Answer, Change, Loaded, Place, Port, Question, Ticket, Trouble, Write};
use crate::time::Now;
use crate::transport::http::upgrade::Accept;
use crate::transport::http::{Request, Response};
use crate::transport::rate::Bucket;
use std::any::Any;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

/// The ways a request can end.
pub enum Reply {
    /// With an answer.
    Now(Response),
    /// With an answer that takes more than this turn.
    Later(Box<dyn Job>),
    /// With what the store says to a question or a write, worded by the function.
    Ask(Ticket, AnswerThen),
    /// With news, once there are some: the connection waits for them as the subscriber's outlet.
    Park(Box<Park>),
    /// With news from here on, for as long as the connection lasts.
    Stream(Box<Stream>),
    /// With an answer that is given after a while. Nothing else is taken from the connection
    /// meanwhile, and nobody else waits.
    After {
        /// How long it is held back.
        ms: u64,
        /// What is said then.
        response: Response,
    },
    /// With what only the engine knows. Who asks has been checked.
    Report(Report),
    /// The connection becomes a WebSocket and the outlet of this subscriber.
    Upgrade(Accept, SubscriberId),
    /// The connection becomes a WebSocket, only to be told with a Close why it may not stay.
    UpgradeAndClose(Accept, u16, &'static str),
}

/// What only the engine knows, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// How things stand: numbers of connections, messages, the loop and the process.
    Overview,
    /// One page of the connections there are.
    Connections {
        /// The place in the table where the page begins.
        from: usize,
        /// Rows, at most [`PAGE_ROWS_MAX`](crate::limits::PAGE_ROWS_MAX).
        rows: usize,
        /// Only those in whose row this stands; in lower case, empty for all.
        search: String,
    },
    /// Ends this connection and says whether it was there.
    Close(ConnId),
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Now(response)
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Now(response) => write!(f, "Now({})", response.status),
            Self::Later(job) => write!(f, "Later({} bytes)", job.bytes()),
            Self::Ask(ticket, _) => write!(f, "Ask({ticket:?})"),
            Self::Park(park) => write!(f, "Park({:?})", park.who),
            Self::Stream(stream) => write!(f, "Stream({:?})", stream.who),
            Self::After { ms, response } => write!(f, "After({ms} ms, {})", response.status),
            Self::Report(report) => write!(f, "Report({report:?})"),
            Self::Upgrade(_, who) => write!(f, "Upgrade({who:?})"),
            Self::UpgradeAndClose(_, code, why) => write!(f, "UpgradeAndClose({code}, {why})"),
        }
    }
}

/// What stands around an event on its way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The header of a WebSocket text.
    WebSocket,
    /// Nothing but what the dialect writes: an event stream.
    None,
}

/// A text that is sent on every open socket of a dialect at a steady pace.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    /// What is sent.
    pub text: &'static str,
    /// How often.
    pub every_ms: u64,
}

/// What silence on a socket means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liveness {
    /// After silence of this length the peer is asked.
    pub ask_after_ms: u64,
    /// What it is asked with; none: a WebSocket ping.
    pub ask: Option<&'static str>,
    /// How long it has to say anything.
    pub wait_ms: u64,
    /// The code and the reason of the Close after that.
    pub close: (u16, &'static str),
    /// Whether a peer stays that has never sent a Pong: that it does not answer a ping, then, says
    /// nothing. It is asked all the same, as the kernel ends a connection on which nothing gets
    /// through.
    pub may_be_mute: bool,
}

/// What became of the frames that were queued for a socket when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketEnd {
    /// They have left, or leave as far as the peer takes them: nothing was kept from it.
    Whole,
    /// We threw them away, as its peer did not read or as we failed. Whoever went on from here
    /// would miss them without knowing.
    Cut,
}

impl SocketEnd {
    /// What the end of a connection means for what was queued on it.
    pub fn of(why: CloseReason) -> Self {
        match why {
            CloseReason::SlowConsumer | CloseReason::Panic => Self::Cut,
            CloseReason::Peer | CloseReason::Asked | CloseReason::Tls | CloseReason::Stopped => {
                Self::Whole
            }
        }
    }
}

/// A protocol's vocabulary.
pub trait Dialect {
    /// For logs and metrics; one lower-case word.
    fn name(&self) -> &'static str;

    /// The formats that are its own; no two dialects of a server share one.
    fn formats(&self) -> Range<u8> {
        0..8
    }

    /// Whether a request is its own by the request line and by whether it asks for a WebSocket. What
    /// nobody claims is the last dialect's.
    fn claims(&self, _request: &Request<'_>) -> bool {
        false
    }

    /// The app that it lives in, if requests do not say which one is meant.
    fn app(&self) -> AppId {
        AppId::FIRST
    }

    /// The apps that it serves, and what holds for their channels.
    fn rules(&self) -> Vec<(AppId, AppRules)> {
        Vec::new()
    }

    /// Whether it still serves this subscriber, after settings were read again.
    fn serves(&self, _who: &Subscriber) -> bool {
        true
    }

    /// Judges a request by its head (the body is empty here): the most bytes that its body may
    /// have, or the answer that turns it away, after which the connection ends. The limits of the
    /// transport hold as well.
    ///
    /// This is asked only about bodies that come later than their head. A request that is whole at
    /// once goes straight to [`Dialect::request`], which has to check all of it.
    ///
    /// # Errors
    /// The answer to a request whose body nobody wants.
    fn admit(&self, _head: &Request<'_>, _ctx: &mut Ctx<'_>) -> Result<usize, Response> {
        Ok(usize::MAX)
    }

    /// Answers a request. Everything that is not another's belongs to the last dialect.
    fn request(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply;

    /// The 101 is queued: make the connection the subscriber's outlet. What is sent from here
    /// comes after it (first frame, catch-up).
    fn upgraded(&self, who: SubscriberId, ctx: &mut Ctx<'_>);

    /// Appends the body of the answer that ends a wait: what `frames` say, in order, whose payloads
    /// these are. They were made by [`Dialect::encode`].
    fn join(&self, _payloads: &mut dyn Iterator<Item = &[u8]>, _out: &mut Vec<u8>) {}

    /// The head of a stream is queued: make the connection the subscriber's outlet. What is sent
    /// from here on follows it.
    fn streaming(&self, stream: &Stream, ctx: &mut Ctx<'_>) {
        let _ = (stream, ctx);
    }

    /// What is sent on a stream as often as [`Dialect::heartbeat`] says.
    fn stream_heartbeat(&self) -> &'static str {
        ""
    }

    /// The wait of `who` on `ctx.conn` is over. If it was answered all has been handed on, else
    /// nothing beyond `seen`, a place in the hub's order.
    fn unparked(&self, who: SubscriberId, seen: Option<u64>, ctx: &mut Ctx<'_>) {
        let _ = (who, seen, ctx);
    }

    /// A text message came.
    fn text(&self, text: &str, from: SubscriberId, ctx: &mut Ctx<'_>);

    /// A binary message came.
    fn binary(&self, _bytes: &[u8], _from: SubscriberId, _ctx: &mut Ctx<'_>) {}

    /// A message came faster than the transport takes them, and was thrown away.
    fn over_rate(&self, _from: SubscriberId, _ctx: &mut Ctx<'_>) {}

    /// What silence on the socket of a subscriber means; none: what it means by the settings of the
    /// transport.
    fn liveness(&self, _who: SubscriberId, _hub: &Hub) -> Option<Liveness> {
        None
    }

    /// Bytes of one message of a subscriber, if it has a limit of its own.
    fn message_bytes(&self, _who: SubscriberId, _hub: &Hub) -> Option<usize> {
        None
    }

    /// Appends the text that goes before a Close with this code and reason; nothing for none.
    fn last_words(&self, _code: u16, _reason: &str, _out: &mut Vec<u8>) {}

    /// Appends `event` as the text of one frame, or as whatever [`Dialect::framing`] says; nothing if
    /// the format does not tell such events. `told` is its place in the hub's order.
    fn encode(
        &self,
        format: Format,
        event: &Event<'_>,
        catch_up: bool,
        told: u64,
        out: &mut Vec<u8>,
    );

    /// What stands around the events of a format.
    fn framing(&self, _format: Format) -> Framing {
        Framing::WebSocket
    }

    /// The connection of `who` has ended, or is about to: it must be its outlet no longer. After
    /// [`SocketEnd::Cut`] the subscriber must learn that it missed something.
    fn gone(&self, who: SubscriberId, end: SocketEnd, ctx: &mut Ctx<'_>);

    /// Close code and reason when the hub ends a connection.
    fn hang_up(&self, why: HangUp) -> (u16, &'static str);

    /// Close code and reason when the server stops and nobody takes over.
    fn going_away(&self) -> (u16, &'static str) {
        (1012, "server is restarting, come back in a moment")
    }

    /// Close code and reason for a peer that does not read.
    fn slow_consumer(&self) -> (u16, &'static str) {
        (1013, "slow consumer")
    }

    /// What is sent on every open socket, and how often.
    fn heartbeat(&self) -> Option<Heartbeat> {
        None
    }

    /// Whether the caller has signed in as an admin, for pages of the engine's own.
    fn is_admin(&self, _request: &Request<'_>, _ctx: &Ctx<'_>) -> bool {
        false
    }

    /// What it has to remember beyond what the hub does. It outlives settings that are read anew,
    /// and is lent with every call as [`Ctx::notes`].
    fn new_notes(&self) -> Box<dyn Any> {
        Box::new(())
    }

    /// Whether its notes hold nothing that somebody left behind who has gone.
    fn is_at_rest(&self, _notes: &dyn Any) -> bool {
        true
    }

    /// The app of which changes to channels and users are to be kept.
    fn remembers(&self) -> Option<AppId> {
        None
    }

    /// How such a change is written down, by whoever [remembers](Dialect::remembers) it.
    fn write_down(&self, what: Remember<'_>) -> Change {
        channelstream::persist::change(what)
    }

    /// An app of the store is there, or has other fields than before. Told of each at the start, after
    /// settings were read again, and whenever one changes.
    fn learn_app(&mut self, _app: &Rc<KnownApp>) {}

    /// The store was opened, before anybody connected: what it held.
    fn restore(&self, _loaded: &Loaded, _ctx: &mut Ctx<'_>) {}

    /// The answer to a request that did what it was to do, but for keeping it. The random bytes are for
    /// an id by which it can be told from others.
    fn not_stored(&self, why: Trouble, _random: [u8; 16]) -> Response {
        not_stored(why)
    }

    /// What a subscriber said on its socket was told to others and could not be kept.
    fn not_kept(&self, _from: SubscriberId, _why: Trouble, _ctx: &mut Ctx<'_>) {}

    /// Dresses an answer that the engine itself gives on one of this dialect's paths.
    fn dress(&self, _request: &Request<'_>, _response: &mut Response) {}
}

/// All a dialect may use while answering: the hub, the effects to pass to it, who is asking, and
/// the time.
pub struct Ctx<'a> {
    /// Channels, subscribers and users.
    pub hub: &'a mut Hub,
    /// What the hub's calls are given to speak through.
    pub io: Io<'a>,
    /// Who is asking.
    pub conn: ConnId,
    /// Where that connection came from.
    pub from: Origin,
    /// The app that the dialect lives in, where it lives in one.
    pub app: AppId,
    /// The time this turn started.
    pub now: Now,
    /// The apps of the store.
    pub apps: &'a mut Apps,
    /// What this dialect remembers, of the type that it made.
    pub notes: &'a mut dyn Any,
    /// What is waited for before anything else is heard from a socket; see [`Ctx::wait_for`].
    pub waits_for: Option<(Ticket, SocketThen)>,
    /// Who tried to sign in as an admin, and with what key sessions are signed.
    pub desk: &'a mut Desk,
    /// Whether a [`Reply::Later`] would be taken. If not, too much waits already, and a request
    /// that may need one is refused before anything of it is done.
    pub takes_jobs: bool,
    /// How fast the peer may say what reaches others; kept from one message to the next.
    pub talk: Bucket,
    /// When the head of the request had come, in seconds since 1970-01-01 UTC. The age of what it
    /// was signed with is counted up to then: however long a body takes that was admitted, it is
    /// not refused for that at its end. Elsewhere the same as `now`.
    pub asked_unix_s: u64,
}

/// The one production implementation of [`Effects`].
pub struct Io<'a> {
    pub(crate) out: &'a mut Outbox,
    pub(crate) dialects: &'a [Box<dyn Dialect>],
    pub(crate) random: &'a mut Random,
    pub(crate) writer: &'a mut FrameWriter,
    pub(crate) hang_ups: &'a mut VecDeque<(ConnId, Format, HangUp)>,
    pub(crate) facts: &'a mut Facts,
    pub(crate) meter: &'a mut Meter,
    pub(crate) store: &'a mut Port,
    pub(crate) remembered: &'a mut Vec<(AppId, Change)>,
}

impl std::fmt::Debug for Io<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Io({} dialects)", self.dialects.len())
    }
}

impl std::fmt::Debug for Ctx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ctx({:?}, {:?})", self.conn, self.now)
    }
}

impl Ctx<'_> {
    /// What the store must have room for so that these messages stay in the histories that survive a
    /// restart, of each its channel and its bytes: jobs, and bytes. To be asked for with
    /// [`Io::can_store`] before anybody is told, whichever protocol it is that publishes: what was told
    /// and is refused all the same is told twice when its sender tries again.
    pub fn history_room<'m>(
        &self,
        app: AppId,
        messages: impl Iterator<Item = (&'m str, usize)>,
    ) -> (usize, usize) {
        let kept = messages.filter(|(channel, _)| self.hub.keeps_messages(app, channel));
        let (count, bytes) = kept.fold((0, 0), |(count, sum), (channel, bytes)| {
            // Written as JSON, in which a text is longer.
            (
                count + 1,
                sum + STORE_JOB_OVERHEAD_BYTES + 2 * (channel.len() + bytes),
            )
        });
        match count {
            0 => (0, 0),
            count => (1 + count / STORE_COMMIT_ROWS_MAX, bytes),
        }
    }

    /// The socket that is being heard waits for an answer of the store: nothing else is taken from it
    /// until `then` was called. What it is sent meanwhile leaves.
    pub fn wait_for(&mut self, ticket: Ticket, then: impl FnOnce(Answer, &mut Ctx<'_>) + 'static) {
        self.waits_for = Some((ticket, Box::new(then)));
    }
}

/// Says why what was asked for was not kept.
pub(crate) fn not_stored(why: Trouble) -> Response {
    let body = format!(
        "{{\"error\":\"{}\",\"message\":\"{}\"}}",
        why.word(),
        why.message()
    );
    Response::json(503, body).with("Retry-After", "1")
}

impl Io<'_> {
    /// Bytes that nobody can guess.
    pub fn random(&mut self) -> [u8; 16] {
        self.random.id()
    }

    /// Whether the store would take writes of so many bytes together, as `jobs` jobs. To be asked
    /// before anything of a request is done.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn can_store(&self, jobs: usize, bytes: usize) -> Result<(), Trouble> {
        self.store.has_room(jobs, bytes)
    }

    /// Hands a write to the store. The answer to the request that is being handled waits until it is
    /// kept.
    pub fn store(&mut self, write: Write) -> Place {
        self.store.write(write)
    }

    /// Hands over a write whose outcome matters.
    pub fn store_and_ask(&mut self, write: Write) -> Ticket {
        self.store.write_and_tell(write)
    }

    /// Asks the store.
    pub fn ask(&mut self, question: Question) -> Ticket {
        self.store.ask(question)
    }

    /// How the store fares.
    pub fn store_trouble(&self) -> Option<Trouble> {
        self.store.trouble()
    }

    /// Queues a WebSocket text for one connection: what `write` appends.
    pub fn text(&mut self, conn: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.writer.begin());
        let frame = self.writer.finish(Opcode::Text);
        self.out.push(conn, &frame);
    }

    /// Queues bytes of our own for one connection.
    pub fn say(&mut self, conn: ConnId, bytes: &[u8]) {
        self.writer.begin().extend_from_slice(bytes);
        let frame = self.writer.finish_raw();
        self.out.push(conn, &frame);
    }
}

/// The dialect whose format it is.
pub(crate) fn owner(dialects: &[Box<dyn Dialect>], format: Format) -> Option<&dyn Dialect> {
    let mut dialects = dialects.iter();
    let owner = dialects.find(|dialect| dialect.formats().contains(&format.0))?;
    Some(&**owner)
}

impl Effects for Io<'_> {
    fn encode(
        &mut self,
        format: Format,
        event: &Event<'_>,
        catch_up: bool,
        told: u64,
    ) -> Option<Frame> {
        let payload = self.writer.begin();
        let start = payload.len();
        let dialect = owner(self.dialects, format);
        let framing = dialect.map_or(Framing::WebSocket, |dialect| {
            dialect.encode(format, event, catch_up, told, payload);
            dialect.framing(format)
        });
        if payload.len() == start {
            return None;
        }
        Some(match framing {
            Framing::WebSocket => self.writer.finish(Opcode::Text),
            Framing::None => self.writer.finish_raw(),
        })
    }

    fn id(&mut self) -> Id {
        Id(channelstream::stamps::uuid_v4(self.random.id()))
    }

    #[inline]
    fn send(&mut self, to: ConnId, frame: &Frame) {
        self.out.push(to, frame);
    }

    fn send_kept(&mut self, to: ConnId, frame: &Frame) {
        self.out.push_kept(to, frame);
    }

    fn hang_up(&mut self, conn: ConnId, format: Format, why: HangUp) {
        self.hang_ups.push_back((conn, format, why));
    }

    fn announce(&mut self, app: AppId, fact: Fact<&str>) {
        self.facts.announce(app, fact);
    }

    fn remember(&mut self, app: AppId, what: Remember<'_>) {
        let mut dialects = self.dialects.iter();
        let keeper = dialects.find(|dialect| dialect.remembers() == Some(app));
        if let Some(keeper) = keeper {
            self.remembered.push((app, keeper.write_down(what)));
        }
    }

    fn has_done_enough(&self) -> bool {
        self.is_over()
    }

    fn spend(&mut self, units: u64) {
        self.count(units);
    }
}
