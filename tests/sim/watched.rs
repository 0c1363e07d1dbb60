//! The dialect of the simulation: Channelstream, watched, slowed where an admin asks for it, and
//! spoiled where a test wants to see that noticed.

use super::Sabotage;
use fanwire::dialect::channelstream::Channelstream;
use fanwire::dialect::pusher::Pusher;
use fanwire::dialect::pushi::Pushi;
use fanwire::dialect::{
    Ctx, Desk, Dialect, Framing, Heartbeat, Job, KnownApp, Liveness, Reply, Report, SocketEnd,
    Stream,
};
use fanwire::handler::ConnId;
use fanwire::hub::{
    AppId, AppRules, Effects, Event, Format, HangUp, Hub, Remember, Subscriber, SubscriberId,
};
use fanwire::limits::{WORK_PER_CALL, WORK_PER_TURN};
use fanwire::random::Random;
use fanwire::store::{Change, Loaded, Trouble};
use fanwire::transport::http::{Header, Headers, Request, Response};
use std::any::Any;
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

/// Channelstream, watched: in which order sockets go, and a wire to stumble over.
pub struct Watched {
    pub inner: Channelstream,
    pub gone: Rc<Cell<Vec<ConnId>>>,
    pub answered: Rc<Cell<Vec<ConnId>>>,
    pub requests_left: Cell<u32>,
    pub texts_left: Cell<u32>,
    pub sabotage: Sabotage,
    /// The socket that was opened last.
    pub bystander: Cell<Option<ConnId>>,
}

/// The report of an admin that takes so many more turns than it needs: each does one step, as if
/// that were all that a turn may do.
struct Slowed {
    inner: Box<dyn Job>,
    left: u32,
}

impl Job for Slowed {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        if self.left > 0 {
            self.left -= 1;
            ctx.io.spend(WORK_PER_TURN);
        }
        self.inner.go_on(ctx)
    }
    fn bytes(&self) -> usize {
        self.inner.bytes()
    }
}

/// Where clients come from, as the server counts addresses.
const ADDRESSES: [&str; 5] = [
    "127.0.0.1",
    "192.0.2.1",
    "203.0.113.7",
    "2001:db8:0:1::1",
    "2001:db8:0:2::1",
];

impl Watched {
    /// A server that is wrong about admins, if that is what is planted.
    fn spoil(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Option<Reply> {
        let is = |sabotage, path| self.sabotage == sabotage && request.path == path;
        if is(Sabotage::ForgetSignOut, "/admin/admin.json") {
            *ctx.desk = Desk::new(&mut Random::seeded(1));
        }
        if is(Sabotage::ForgetFailures, "/admin/sign_in") {
            for address in ADDRESSES {
                ctx.desk.succeeded(address.parse().ok());
            }
        }
        if is(Sabotage::AdmitForged, "/admin/admin.json") && request.headers.get("Cookie").is_some()
        {
            let signed = self.inner.sign("forged", ctx.now.unix_seconds());
            let header = Header {
                name: "X-Channelstream-Secret",
                value: signed.as_bytes(),
            };
            let headers = [header];
            let request = Request {
                headers: Headers(&headers),
                ..*request
            };
            return Some(self.inner.request(&request, ctx));
        }
        None
    }
}

fn count_down(left: &Cell<u32>) {
    left.set(left.get() - 1);
    assert!(left.get() > 0, "the planted panic");
}

impl Dialect for Watched {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn app(&self) -> AppId {
        self.inner.app()
    }
    fn admit(&self, head: &Request<'_>, ctx: &mut Ctx<'_>) -> Result<usize, Response> {
        if self.sabotage == Sabotage::AdmitAnyone {
            return Ok(usize::MAX);
        }
        self.inner.admit(head, ctx)
    }
    fn request(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        count_down(&self.requests_left);
        if let Some(reply) = self.spoil(request, ctx) {
            return reply;
        }
        let slow = request.query.and_then(|query| query.strip_prefix("slow="));
        let slow = slow.map_or(0, |slow| slow.parse::<u32>().expect("a number"));
        if slow > 0 {
            ctx.io.spend(WORK_PER_CALL);
        }
        match self.inner.request(request, ctx) {
            Reply::Later(inner) if slow > 0 => {
                let left = slow - 1;
                Reply::Later(Box::new(Slowed { inner, left }))
            }
            Reply::After { response, .. } if self.sabotage == Sabotage::AnswerAtOnce => {
                Reply::Now(response)
            }
            Reply::Report(Report::Close(conn)) if self.sabotage == Sabotage::CloseAnother => {
                let conn = self.bystander.get().unwrap_or(conn);
                Reply::Report(Report::Close(conn))
            }
            reply => reply,
        }
    }
    fn upgraded(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        self.bystander.set(Some(ctx.conn));
        self.inner.upgraded(who, ctx);
    }
    fn join(&self, payloads: &mut dyn Iterator<Item = &[u8]>, out: &mut Vec<u8>) {
        self.inner.join(payloads, out);
    }
    fn streaming(&self, stream: &Stream, ctx: &mut Ctx<'_>) {
        self.inner.streaming(stream, ctx);
    }
    fn stream_heartbeat(&self) -> &'static str {
        self.inner.stream_heartbeat()
    }
    fn framing(&self, format: Format) -> Framing {
        self.inner.framing(format)
    }
    fn unparked(&self, who: SubscriberId, seen: Option<u64>, ctx: &mut Ctx<'_>) {
        let mut answered = self.answered.take();
        answered.push(ctx.conn);
        self.answered.set(answered);
        self.inner.unparked(who, seen, ctx);
    }
    fn text(&self, text: &str, from: SubscriberId, ctx: &mut Ctx<'_>) {
        count_down(&self.texts_left);
        self.inner.text(text, from, ctx);
    }
    fn encode(
        &self,
        format: Format,
        event: &Event<'_>,
        catch_up: bool,
        told: u64,
        out: &mut Vec<u8>,
    ) {
        self.inner.encode(format, event, catch_up, told, out);
    }
    fn gone(&self, who: SubscriberId, end: SocketEnd, ctx: &mut Ctx<'_>) {
        let mut gone = self.gone.take();
        gone.push(ctx.conn);
        self.gone.set(gone);
        self.inner.gone(who, end, ctx);
    }
    fn hang_up(&self, why: HangUp) -> (u16, &'static str) {
        self.inner.hang_up(why)
    }
    fn heartbeat(&self) -> Option<Heartbeat> {
        self.inner.heartbeat()
    }
    fn dress(&self, request: &Request<'_>, response: &mut Response) {
        self.inner.dress(request, response);
    }
    fn remembers(&self) -> Option<AppId> {
        self.inner.remembers()
    }
    fn write_down(&self, what: Remember<'_>) -> Change {
        self.inner.write_down(what)
    }
    fn restore(&self, loaded: &Loaded, ctx: &mut Ctx<'_>) {
        self.inner.restore(loaded, ctx);
    }
}

/// Pusher, watched: in which order sockets go.
pub struct WatchedPusher {
    pub inner: Pusher,
    /// Who takes what that refuses for its signature.
    pub forger: Option<Pusher>,
    pub gone: Rc<Cell<Vec<ConnId>>>,
    pub sabotage: Sabotage,
}

impl Dialect for WatchedPusher {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn formats(&self) -> Range<u8> {
        self.inner.formats()
    }
    fn claims(&self, request: &Request<'_>) -> bool {
        self.inner.claims(request)
    }
    fn rules(&self) -> Vec<(AppId, AppRules)> {
        self.inner.rules()
    }
    fn serves(&self, who: &Subscriber) -> bool {
        self.inner.serves(who)
    }
    fn admit(&self, head: &Request<'_>, ctx: &mut Ctx<'_>) -> Result<usize, Response> {
        self.inner.admit(head, ctx)
    }
    fn request(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        match (self.inner.request(request, ctx), &self.forger) {
            (Reply::Now(refused), Some(forger)) if refused.status == 401 => {
                forger.request(request, ctx)
            }
            (reply, _) => reply,
        }
    }
    fn upgraded(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        self.inner.upgraded(who, ctx);
    }
    fn text(&self, text: &str, from: SubscriberId, ctx: &mut Ctx<'_>) {
        self.inner.text(text, from, ctx);
        if self.sabotage == Sabotage::EchoClientEvent && text.contains("client-typing") {
            let conn = ctx.conn;
            ctx.io
                .text(conn, |out| out.extend_from_slice(text.as_bytes()));
        }
    }
    fn binary(&self, bytes: &[u8], from: SubscriberId, ctx: &mut Ctx<'_>) {
        self.inner.binary(bytes, from, ctx);
    }
    fn over_rate(&self, from: SubscriberId, ctx: &mut Ctx<'_>) {
        self.inner.over_rate(from, ctx);
    }
    fn liveness(&self, who: SubscriberId, hub: &Hub) -> Option<Liveness> {
        self.inner.liveness(who, hub)
    }
    fn message_bytes(&self, who: SubscriberId, hub: &Hub) -> Option<usize> {
        self.inner.message_bytes(who, hub)
    }
    fn last_words(&self, code: u16, reason: &str, out: &mut Vec<u8>) {
        self.inner.last_words(code, reason, out);
    }
    fn encode(
        &self,
        format: Format,
        event: &Event<'_>,
        catch_up: bool,
        told: u64,
        out: &mut Vec<u8>,
    ) {
        self.inner.encode(format, event, catch_up, told, out);
    }
    fn gone(&self, who: SubscriberId, end: SocketEnd, ctx: &mut Ctx<'_>) {
        // Whom the hub let go of has gone before its socket does.
        if ctx.hub.subscriber(who).is_some() {
            let mut gone = self.gone.take();
            gone.push(ctx.conn);
            self.gone.set(gone);
        }
        self.inner.gone(who, end, ctx);
    }
    fn hang_up(&self, why: HangUp) -> (u16, &'static str) {
        self.inner.hang_up(why)
    }
    fn going_away(&self) -> (u16, &'static str) {
        self.inner.going_away()
    }
    fn slow_consumer(&self) -> (u16, &'static str) {
        self.inner.slow_consumer()
    }
}

/// Pushi, watched: in which order sockets go.
pub struct WatchedPushi {
    pub inner: Pushi,
    pub gone: Rc<Cell<Vec<ConnId>>>,
    pub sabotage: Sabotage,
}

impl Dialect for WatchedPushi {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn formats(&self) -> Range<u8> {
        self.inner.formats()
    }
    fn claims(&self, request: &Request<'_>) -> bool {
        self.inner.claims(request)
    }
    fn rules(&self) -> Vec<(AppId, AppRules)> {
        self.inner.rules()
    }
    fn serves(&self, who: &Subscriber) -> bool {
        self.inner.serves(who)
    }
    fn admit(&self, head: &Request<'_>, ctx: &mut Ctx<'_>) -> Result<usize, Response> {
        self.inner.admit(head, ctx)
    }
    fn request(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        self.inner.request(request, ctx)
    }
    fn upgraded(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        self.inner.upgraded(who, ctx);
    }
    fn text(&self, text: &str, from: SubscriberId, ctx: &mut Ctx<'_>) {
        if self.sabotage == Sabotage::TellRefused && ctx.io.store_trouble().is_some() {
            // Told, though nothing can be stored.
            let text = text.replace("\"persist\":\"yes\"", "\"persist\":false");
            return self.inner.text(&text, from, ctx);
        }
        self.inner.text(text, from, ctx);
    }
    fn binary(&self, bytes: &[u8], from: SubscriberId, ctx: &mut Ctx<'_>) {
        self.inner.binary(bytes, from, ctx);
    }
    fn over_rate(&self, from: SubscriberId, ctx: &mut Ctx<'_>) {
        self.inner.over_rate(from, ctx);
    }
    fn liveness(&self, who: SubscriberId, hub: &Hub) -> Option<Liveness> {
        self.inner.liveness(who, hub)
    }
    fn message_bytes(&self, who: SubscriberId, hub: &Hub) -> Option<usize> {
        self.inner.message_bytes(who, hub)
    }
    fn last_words(&self, code: u16, reason: &str, out: &mut Vec<u8>) {
        self.inner.last_words(code, reason, out);
    }
    fn encode(
        &self,
        format: Format,
        event: &Event<'_>,
        catch_up: bool,
        told: u64,
        out: &mut Vec<u8>,
    ) {
        self.inner.encode(format, event, catch_up, told, out);
    }
    fn gone(&self, who: SubscriberId, end: SocketEnd, ctx: &mut Ctx<'_>) {
        // Whom the hub let go of has gone before its socket does.
        if ctx.hub.subscriber(who).is_some() {
            let mut gone = self.gone.take();
            gone.push(ctx.conn);
            self.gone.set(gone);
        }
        self.inner.gone(who, end, ctx);
    }
    fn hang_up(&self, why: HangUp) -> (u16, &'static str) {
        self.inner.hang_up(why)
    }
    fn going_away(&self) -> (u16, &'static str) {
        self.inner.going_away()
    }
    fn slow_consumer(&self) -> (u16, &'static str) {
        self.inner.slow_consumer()
    }
    fn new_notes(&self) -> Box<dyn Any> {
        self.inner.new_notes()
    }
    fn is_at_rest(&self, notes: &dyn Any) -> bool {
        self.inner.is_at_rest(notes)
    }
    fn learn_app(&mut self, known: &Rc<KnownApp>) {
        self.inner.learn_app(known);
    }
    fn restore(&self, loaded: &Loaded, ctx: &mut Ctx<'_>) {
        self.inner.restore(loaded, ctx);
    }
    fn not_stored(&self, why: Trouble, random: [u8; 16]) -> Response {
        self.inner.not_stored(why, random)
    }
    fn not_kept(&self, from: SubscriberId, why: Trouble, ctx: &mut Ctx<'_>) {
        self.inner.not_kept(from, why, ctx);
    }
}
