//! The HTTP API: what is asked for, who may ask, and how the answers look (section 5).
//!
//! `route` knows which routes there are and who may ask for them; `apps` logs in and out and looks
//! after apps; `events` publishes and lists; `records` keeps who is to be told what; `messaging` is for
//! messages to targets that are in no record; `about` tells of sockets and of the server itself.

mod about;
mod apps;
mod events;
mod messaging;
mod records;
mod route;

use super::errors::{Fault, dress, preflight};
use super::form::Fields;
use super::notes;
use super::session::{Sid, find_sid};
use super::speaker::{Pushi, Served};
use crate::dialect::{Ctx, Job, Reply};
use crate::limits::PUSHI_FIELDS_BODY_BYTES_MAX;
use crate::store::{Answer, AppRow, RecordKind, Ticket, Trouble};
use crate::transport::http::{Method, Request, Response};
use route::{Needs, Route};
use std::rc::Rc;

/// What a route comes to.
type Routed = Result<Reply, Fault>;

/// Whoever has logged in: the app that everything is confined to.
pub(super) struct Caller {
    pub(super) served: Rc<Served>,
    pub(super) row: AppRow,
}

/// The answer to a request that is refused.
pub(super) fn failed(fault: &Fault, ctx: &mut Ctx<'_>) -> Response {
    fault.response(ctx.io.random())
}

/// Waits for the store, and words what it says.
pub(super) fn ask(
    ticket: Ticket,
    then: impl FnOnce(Answer, &mut Ctx<'_>) -> Result<Response, Fault> + 'static,
) -> Reply {
    Reply::Ask(
        ticket,
        Box::new(move |answer, ctx| match then(answer, ctx) {
            Ok(response) => response.into(),
            Err(fault) => failed(&fault, ctx).into(),
        }),
    )
}

/// What is said when the store does not answer what it was asked.
pub(super) fn not_answered(answer: &Answer) -> Fault {
    match answer {
        Answer::Trouble(trouble) => Fault::trouble(*trouble),
        _ => Fault::trouble(Trouble::Failing),
    }
}

/// There was nothing to be said but that it is done.
pub(super) fn success() -> Response {
    Response::json(200, r#"{"result":"success"}"#)
}

/// Too much is being done already, and nothing of this was begun.
pub(super) fn busy(ctx: &mut Ctx<'_>) -> Response {
    failed(&Fault::too_busy(), ctx)
}

/// An answer with what `push` appends.
pub(super) fn answer(push: impl FnOnce(&mut Vec<u8>)) -> Response {
    let mut out = Vec::with_capacity(256);
    push(&mut out);
    Response::json(200, out)
}

impl Pushi {
    /// Says no, and why.
    pub(super) fn refuse(
        &self,
        fault: &Fault,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Response {
        let mut response = failed(fault, ctx);
        self.dress_for(request.headers.get("Origin"), &mut response);
        response
    }

    fn dress_for(&self, origin: Option<&str>, response: &mut Response) {
        dress(response, origin, &self.config.origins);
    }

    /// How large a body may be, by the head of its request. Whoever asks for what is not there is turned
    /// away here, and whoever has to have a session and names none that is good.
    pub(super) fn admit_rest(
        &self,
        head: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<usize, Response> {
        if head.method == Method::Options {
            return Ok(PUSHI_FIELDS_BODY_BYTES_MAX);
        }
        let Some(route) = Route::of(head) else {
            let fault = Fault::no_route(head.method, head.path);
            return Err(self.refuse(&fault, head, ctx));
        };
        // A form may bring the session in its body.
        let is_form = head
            .headers
            .get("Content-Type")
            .is_some_and(|kind| kind.to_ascii_lowercase().contains("form"));
        let fault = match route.needs() {
            Needs::Session if !is_form => self.session(head, ctx).err(),
            Needs::SessionOfAny if !is_form => self.session_of_any(head, ctx).err(),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(self.refuse(&fault, head, ctx));
        }
        Ok(match route {
            // Only JSON is read there, so a form is no more than its session.
            Route::Publish | Route::Message(_) if !is_form => usize::MAX,
            _ => PUSHI_FIELDS_BODY_BYTES_MAX,
        })
    }

    /// A request of the API.
    pub(super) fn rest(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        let reply = match request.method {
            Method::Options => Reply::Now(preflight()),
            _ => match self.route(request, ctx) {
                Ok(reply) => reply,
                Err(fault) => failed(&fault, ctx).into(),
            },
        };
        let origin = request.headers.get("Origin").map(str::to_owned);
        self.dressed(reply, origin)
    }

    /// An answer with the headers that every answer has, whenever it comes.
    fn dressed(&self, reply: Reply, origin: Option<String>) -> Reply {
        let config = self.config.clone();
        let dress = move |response: &mut Response| {
            dress(response, origin.as_deref(), &config.origins);
        };
        dressed(reply, Rc::new(dress))
    }

    fn route(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Routed {
        let route = Route::of(request);
        let route = route.ok_or_else(|| Fault::no_route(request.method, request.path))?;
        let (caller, fields) = match route.needs() {
            Needs::Nothing => return self.open_route(&route, request, ctx),
            Needs::Session => {
                let caller = self.session(request, ctx)?;
                (caller, Fields::of(request)?)
            }
            Needs::SessionOfAny => {
                let caller = self.session_of_any(request, ctx)?;
                (caller, Fields::of(request)?)
            }
            Needs::SessionOrKey => {
                let fields = Fields::of(request)?;
                (self.session_or_app_key(request, &fields, ctx)?, fields)
            }
        };
        self.route_of(&caller, route, &fields, request, ctx)
    }

    /// What everybody may ask for.
    fn open_route(&self, route: &Route<'_>, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Routed {
        match route {
            Route::Login => self.login(request, ctx),
            Route::Logout => self.logout(request, ctx),
            Route::CreateApp => self.create_app(request, ctx),
            Route::Info => Ok(about::info(ctx).into()),
            Route::Health => Ok(about::health().into()),
            Route::HealthInDetail => about::health_in_detail(ctx),
            _ => Err(Fault::no_route(request.method, request.path)),
        }
    }

    /// What is for an app.
    fn route_of(
        &self,
        caller: &Caller,
        route: Route<'_>,
        fields: &Fields<'_>,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Routed {
        if let Route::App(ident)
        | Route::ChangeApp(ident)
        | Route::Subscribe(ident)
        | Route::Unsubscribe(ident) = &route
            && **ident != *caller.served.ident
        {
            return Err(Fault::no_app());
        }
        match route {
            Route::Apps => apps::list(caller, ctx),
            Route::App(_) => apps::show(caller, ctx),
            Route::ChangeApp(_) => apps::update(caller, fields, ctx),
            Route::Subscribe(_) => records::create(caller, RecordKind::Subscription, fields, ctx),
            Route::Unsubscribe(_) => records::unsubscribe(caller, fields, ctx),
            Route::Ping => events::ping(caller, ctx),
            Route::VapidKey => apps::vapid_key(caller, ctx),
            Route::Events => events::list(caller, fields, ctx),
            Route::Publish => events::publish(caller, fields, ctx),
            Route::Message(what) => {
                let fields = fields.clone();
                messaging::route(caller, &what, fields, request, self.config.mail, ctx)
            }
            Route::Sockets => about::sockets(caller),
            Route::Socket(id) => about::socket(caller, &id, ctx),
            Route::Records(kind) => records::list(caller, kind, fields, ctx),
            // With a browser the `auth` of the query is a signature, and that of the body a key.
            Route::CreateRecord(kind) => records::create(caller, kind, fields, ctx),
            Route::DeleteRecords {
                kind,
                target,
                channel,
            } => {
                let channel = match kind {
                    RecordKind::WebPush => fields.filter("event"),
                    _ => channel.as_deref(),
                };
                records::delete(caller, kind, &target, channel, fields, ctx)
            }
            Route::Login
            | Route::Logout
            | Route::CreateApp
            | Route::Info
            | Route::Health
            | Route::HealthInDetail => Err(Fault::no_route(request.method, request.path)),
        }
    }

    /// Whoever the session of a request belongs to. An app that is switched off is told so.
    pub(super) fn session(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> Result<Caller, Fault> {
        let caller = self.session_of_any(request, ctx)?;
        match caller.served.enabled {
            true => Ok(caller),
            false => Err(Fault::disabled()),
        }
    }

    /// The same, also of an app that is switched off.
    fn session_of_any(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> Result<Caller, Fault> {
        let sid = find_sid(request);
        let sid = sid.and_then(|sid| Sid::parse(&sid));
        let sid = sid.ok_or_else(Fault::not_authenticated)?;
        let caller = self.caller(&sid, ctx);
        caller.ok_or_else(Fault::not_authenticated)
    }

    /// The app that a session was made for, if it was made here and is not over by itself.
    pub(super) fn issuer(&self, sid: &Sid, ctx: &Ctx<'_>) -> Option<&Rc<Served>> {
        let served = self.by_app(ctx.apps.of_row(sid.app())?)?;
        let is_ours = served.sessions.check(sid, ctx.asked_unix_s);
        is_ours.then_some(served)
    }

    pub(super) fn caller(&self, sid: &Sid, ctx: &Ctx<'_>) -> Option<Caller> {
        let row = sid.app();
        let served = self.issuer(sid, ctx)?;
        let from_s = ctx.apps.get(served.app)?.record.sessions_from_s;
        let is_good = sid.issued_s() >= from_s && !notes::of_ref(ctx.notes).ended.is_over(sid);
        is_good.then(|| Caller {
            served: served.clone(),
            row,
        })
    }
}

/// Puts on an answer what every answer has, whenever it comes.
fn dressed(reply: Reply, dress: Rc<dyn Fn(&mut Response)>) -> Reply {
    match reply {
        Reply::Now(mut response) => {
            dress(&mut response);
            Reply::Now(response)
        }
        Reply::Ask(ticket, then) => Reply::Ask(
            ticket,
            Box::new(move |answer, ctx| dressed(then(answer, ctx), dress)),
        ),
        Reply::Later(job) => Reply::Later(Box::new(Dressed { job, dress })),
        other @ (Reply::Park(_)
        | Reply::Stream(_)
        | Reply::After { .. }
        | Reply::Report(_)
        | Reply::Upgrade(..)
        | Reply::UpgradeAndClose(..)) => other,
    }
}

/// A job whose answer is dressed.
struct Dressed {
    job: Box<dyn Job>,
    dress: Rc<dyn Fn(&mut Response)>,
}

impl Job for Dressed {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        let mut response = self.job.go_on(ctx)?;
        (self.dress)(&mut response);
        Some(response)
    }

    fn bytes(&self) -> usize {
        self.job.bytes()
    }
}
