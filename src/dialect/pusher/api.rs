//! The HTTP API for applications (section 11): who may ask, what is asked for, and the answers that
//! fit into one step. `trigger` publishes, `listing` tells of channels.

use super::auth::{AuthFault, auth_key};
use super::bodies::{self, Fault, Wants};
use super::listing::{self, Listing};
use super::names::is_channel;
use super::speaker::{FORMAT, Pusher, Served, Whose};
use super::trigger::Trigger;
use crate::dialect::json::push_text;
use crate::dialect::{Ctx, Reply};
use crate::hub::{HangUp, SubscriberId};
use crate::store::Trouble;
use crate::transport::http::query::decode_path;
use crate::transport::http::{Method, Request, Response};
use std::borrow::Cow;

/// An answer that says what was wrong.
pub(super) fn error(status: u16, message: &str) -> Response {
    let mut body = Vec::with_capacity(64 + message.len());
    body.extend_from_slice(b"{\"error\":");
    push_text(&mut body, message);
    body.extend_from_slice(format!(",\"code\":{status}}}").as_bytes());
    Response::json(status, body)
}

/// There is nothing at this path.
pub(super) fn nothing() -> Response {
    error(404, "there is nothing at this path")
}

/// The body is larger than any that is taken.
pub(super) fn too_large() -> Response {
    error(413, "the body is too large")
}

/// Too much waits already.
pub(super) fn busy() -> Response {
    error(503, "too much is being done already, try again").with("Retry-After", "1")
}

/// What is published stays in a history, and cannot.
pub(super) fn not_kept(why: Trouble) -> Response {
    error(503, why.message()).with("Retry-After", "1")
}

fn wrong_method(allowed: &'static str) -> Response {
    error(405, "this path does not take this method").with("Allow", allowed)
}

impl From<Fault> for Response {
    fn from(fault: Fault) -> Self {
        error(fault.status, &fault.message)
    }
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        // The same as GET, but for the body of its answer.
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        Method::Options => "OPTIONS",
    }
}

impl Pusher {
    /// Whether the body of a request is wanted at all, by its head: its app must be known, and name
    /// its own key.
    pub(super) fn admit_api(&self, head: &Request<'_>, _ctx: &Ctx<'_>) -> Result<(), Response> {
        match self.whose(head) {
            Whose::Api { app, .. } => self.app_by_path(app, head).map(|_| ()),
            Whose::Terminate { .. } => self.app_by_its_key(head).map(|_| ()),
            Whose::Socket(_) => Ok(()),
            Whose::Nothing | Whose::Other => Err(nothing()),
        }
    }

    /// The app that a path names; the request must name its key.
    fn app_by_path(&self, app: &str, request: &Request<'_>) -> Result<&Served, Response> {
        let unknown = || error(404, "no app has this id");
        let id = decode_path(app).map_err(|_| unknown())?;
        let served = self.by_id(&id).ok_or_else(unknown)?;
        let key = auth_key(request.query.unwrap_or(""));
        if key.as_deref() != Some(&*served.app.key) {
            return Err(error(401, &AuthFault::Key.message()));
        }
        Ok(served)
    }

    fn app_by_its_key(&self, request: &Request<'_>) -> Result<&Served, Response> {
        let key = auth_key(request.query.unwrap_or(""));
        key.and_then(|key| self.by_key(&key))
            .ok_or_else(|| error(401, &AuthFault::Key.message()))
    }

    /// Checks all that a request proves.
    fn check(&self, served: &Served, request: &Request<'_>, ctx: &Ctx<'_>) -> Result<(), Response> {
        if !served.app.enabled {
            return Err(error(403, "this app is disabled"));
        }
        let (method, query) = (method_name(request.method), request.query.unwrap_or(""));
        let path = self.path(request);
        let (body, unix_s) = (request.body, ctx.asked_unix_s);
        served
            .keys
            .check_request(method, path, query, body, unix_s)
            .map_err(|fault| error(401, &fault.message()))
    }

    /// A request below `/apps/{id}/`.
    pub(super) fn api(
        &self,
        app: &str,
        rest: &str,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Reply {
        if request.method == Method::Options {
            return options();
        }
        let served = match self.app_by_path(app, request) {
            Ok(served) => served,
            Err(refused) => return refused.into(),
        };
        if let Err(refused) = self.check(served, request, ctx) {
            return refused.into();
        }
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        let is_get = matches!(request.method, Method::Get | Method::Head);
        let is_post = request.method == Method::Post;
        match parts[..] {
            ["events"] if is_post => match bodies::event(request.body, &served.app) {
                Ok(event) => Trigger::one(event, served).begin(ctx),
                Err(fault) => Response::from(fault).into(),
            },
            ["batch_events"] if is_post => match bodies::batch(request.body, &served.app) {
                Ok(events) => Trigger::many(events, served).begin(ctx),
                Err(fault) => Response::from(fault).into(),
            },
            ["channels"] if is_get => match Listing::of(request.query.unwrap_or(""), served) {
                Ok(listing) => listing.begin(ctx),
                Err(fault) => Response::from(fault).into(),
            },
            ["channels", name] if is_get => channel(served, name, request, ctx).into(),
            ["channels", name, "users"] if is_get => users(served, name, ctx).into(),
            ["users", user, "terminate_connections"] if is_post => {
                terminate(served, user, ctx).into()
            }
            ["connections"] if is_get => {
                let count = ctx.hub.subscriber_count(served.app.app);
                Response::json(200, format!("{{\"connections\":{count}}}")).into()
            }
            ["events" | "batch_events"] | ["users", _, "terminate_connections"] => {
                wrong_method("POST").into()
            }
            ["channels" | "connections"] | ["channels", _] | ["channels", _, "users"] => {
                wrong_method("GET, HEAD").into()
            }
            _ => nothing().into(),
        }
    }

    /// `POST /users/{id}/terminate_connections`, as one SDK has it: the key tells the app.
    pub(super) fn terminate_by_key(
        &self,
        user: &str,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Reply {
        if request.method == Method::Options {
            return options();
        }
        let served = match self.app_by_its_key(request) {
            Ok(served) => served,
            Err(refused) => return refused.into(),
        };
        if let Err(refused) = self.check(served, request, ctx) {
            return refused.into();
        }
        if request.method != Method::Post {
            return wrong_method("POST").into();
        }
        terminate(served, user, ctx).into()
    }
}

fn options() -> Reply {
    Response {
        status: 204,
        ..Response::default()
    }
    .with("Allow", "GET, HEAD, POST, OPTIONS")
    .into()
}

/// The name in a path, which must be one of a channel.
fn channel_name<'r>(served: &Served, name: &'r str) -> Result<Cow<'r, str>, Response> {
    decode_path(name)
        .ok()
        .filter(|name| is_channel(name, served.app.channel_chars))
        .ok_or_else(|| error(400, "this is not the name of a channel"))
}

/// `GET /apps/{id}/channels/{name}`
fn channel(served: &Served, name: &str, request: &Request<'_>, ctx: &Ctx<'_>) -> Response {
    let name = match channel_name(served, name) {
        Ok(name) => name,
        Err(refused) => return refused,
    };
    let wants = Wants::in_query(request.query.unwrap_or(""));
    if let Err(message) = listing::check_wants(&name, wants) {
        return error(400, message);
    }
    let known = ctx.hub.find_channel(served.app.app, &name);
    let is_occupied = known
        .and_then(|channel| ctx.hub.channel(channel))
        .is_some_and(|channel| channel.subscriber_count() > 0);
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(match is_occupied {
        true => b"{\"occupied\":true",
        false => b"{\"occupied\":false",
    });
    listing::push_attributes(
        &mut out,
        served.app.app,
        &name,
        wants,
        true,
        ctx.hub,
        ctx.now,
    );
    out.push(b'}');
    Response::json(200, out)
}

/// `GET /apps/{id}/channels/{name}/users`
fn users(served: &Served, name: &str, ctx: &Ctx<'_>) -> Response {
    let name = match channel_name(served, name) {
        Ok(name) => name,
        Err(refused) => return refused,
    };
    if !super::names::Kind::of(&name).has_members() {
        return error(400, "only presence channels have users");
    }
    let members = ctx.hub.find_channel(served.app.app, &name);
    let members = members.map(|channel| ctx.hub.members(channel));
    let mut out = b"{\"users\":[".to_vec();
    let users = members.iter().flatten();
    for (at, user) in users.filter_map(|&user| ctx.hub.user(user)).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"id\":");
        push_text(&mut out, user.name());
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    Response::json(200, out)
}

/// `POST /apps/{id}/users/{user}/terminate_connections`: every socket that signed in as this user is
/// closed. One that is the user in a presence channel only stays.
fn terminate(served: &Served, user: &str, ctx: &mut Ctx<'_>) -> Response {
    let Ok(user) = decode_path(user) else {
        return error(400, "this is not the id of a user");
    };
    let known = ctx.hub.find_user(served.app.app, &user);
    let sockets: Vec<SubscriberId> = known
        .and_then(|user| ctx.hub.user(user))
        .map_or(&[][..], |user| user.subscribers())
        .iter()
        .copied()
        .filter(|&who| {
            let subscriber = ctx.hub.subscriber(who);
            subscriber.is_some_and(|known| known.format() == FORMAT)
        })
        .collect();
    for who in sockets {
        ctx.hub
            .remove(who, HangUp::Terminated, ctx.now, &mut ctx.io);
    }
    Response::json(200, "{}")
}
