//! Logging in and out, and apps (sections 5.2 and 5.4).

use super::records::stored;
use super::{Caller, Routed, answer, ask, not_answered, success};
use crate::dialect::Ctx;
use crate::dialect::channelstream::access::Seen;
use crate::dialect::channelstream::client;
use crate::dialect::pushi::bodies::{app_fields, credentials, new_app};
use crate::dialect::pushi::encode::records::{push_app, push_apps};
use crate::dialect::pushi::errors::{DUPLICATE, Fault, NOT_SET, Name};
use crate::dialect::pushi::form::Fields;
use crate::dialect::pushi::session::{Sid, cookie, find_sid};
use crate::dialect::pushi::speaker::{Pushi, Served};
use crate::dialect::pushi::{notes, vapid};
use crate::limits::STORE_JOB_OVERHEAD_BYTES;
use crate::store::{Answer, AppRecord, BY_PUSHI, Field, NewApp, Trouble, Write};
use crate::transport::http::{Request, Response};
use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq;

const TOO_MANY_APPS: &str = "this server has as many apps as it can have";
const OF_SETTINGS: &str = "this app stands in the settings of the server, and so does what it is called, and whether it is switched on";

impl Pushi {
    /// `GET /login`: the three credentials in the query, a session in the answer; also for an app that
    /// is switched off, whose owner may want to switch it on again.
    pub(super) fn login(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Routed {
        let given = credentials(request.query.unwrap_or(""))?;
        let same = |one: &str, other: &str| bool::from(one.as_bytes().ct_eq(other.as_bytes()));
        let served = self.by_ident(&given.ident);
        // The same work whether there is such an app or not.
        let (right_key, right_secret) =
            served.map_or(("", ""), |served| (&*served.key, &*served.secret));
        let is_right = same(&given.key, right_key) & same(&given.secret, right_secret);
        let served = served.filter(|_| is_right && !right_secret.is_empty());
        let served = served.ok_or_else(Fault::wrong_credentials)?;
        let row = ctx.apps.row(served.app);
        let row = row.ok_or_else(|| Fault::trouble(Trouble::Absent))?;
        let random = ctx.io.random();
        let sid = served.sessions.issue(row, ctx.asked_unix_s, random);
        let has_origins = !self.config.origins.is_empty();
        let cookie = cookie(Some(&sid), self.is_https(request, ctx), has_origins);
        let body = format!("{{\"token\":\"{sid}\"}}");
        Ok(Response::json(200, body).with("Set-Cookie", cookie).into())
    }

    /// Whether the caller came by TLS, by the socket or by what a trusted proxy says.
    fn is_https(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> bool {
        let peer = ctx.from.peer.map(|peer| peer.ip());
        let is_trusted = self.config.trusted_proxies.lists(peer);
        Seen::new(request, ctx.from.tls, None, is_trusted).is_https
    }

    /// `GET /logout`: the session is over. Without one there is nothing to do.
    pub(super) fn logout(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Routed {
        let is_https = self.is_https(request, ctx);
        let forget = cookie(None, is_https, !self.config.origins.is_empty());
        let done = success().with("Set-Cookie", forget);
        let sid = find_sid(request).and_then(|sid| Sid::parse(&sid));
        // One that is over already is ended again: what was said to be over may not have been kept.
        let Some(sid) = sid.filter(|sid| self.issuer(sid, ctx).is_some()) else {
            return Ok(done.into());
        };
        ctx.io
            .can_store(2, 2 * STORE_JOB_OVERHEAD_BYTES)
            .map_err(Fault::trouble)?;
        // The answer waits until it is kept: a session that was ended does not come back.
        let now_s = ctx.now.unix_seconds();
        for write in notes::of(ctx.notes).ended.end(&sid, now_s) {
            ctx.io.store(write);
        }
        Ok(done.into())
    }

    /// `POST /apps`: a new app, where anybody may make one.
    pub(super) fn create_app(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Routed {
        if !self.config.open_registration {
            return Err(Fault::registration_closed());
        }
        // What cannot be read says nothing, and a name least of all.
        let fields = Fields::of(request);
        let fields = fields.map_err(|_| Fault::invalid(vec![("name", NOT_SET)]))?;
        let (name, more) = new_app(&fields)?;
        if is_shown_of_settings(&name, ctx) {
            return Err(Fault::invalid(vec![("name", DUPLICATE)]));
        }
        if ctx.apps.is_full() {
            return Err(Fault::bad(TOO_MANY_APPS));
        }
        let peer = ctx.from.peer.map(|peer| peer.ip());
        let address = client(request, peer, &self.config.trusted_proxies);
        let registrations = &mut notes::of(ctx.notes).registrations;
        let per_minute = self.config.registrations_per_minute;
        if let Err(ms) = registrations.take(address, per_minute, ctx.now.mono) {
            return Err(Fault::too_many_apps(ms.div_ceil(1000)));
        }
        let mut secret = || {
            let (one, other) = (ctx.io.random(), ctx.io.random());
            let digits = HEXLOWER.encode(&one) + &HEXLOWER.encode(&other);
            Box::<str>::from(digits)
        };
        let write = Write::CreateApp(Box::new(NewApp {
            name,
            ident: secret(),
            key: secret(),
            secret: secret(),
            protocols: BY_PUSHI,
            more,
            unix_s: ctx.now.unix_seconds(),
        }));
        let ticket = stored(write, ctx)?;
        Ok(ask(ticket, told_of_app))
    }
}

/// `GET /vapid_key`: the public half of what Web Push is signed with.
pub(super) fn vapid_key(caller: &Caller, ctx: &Ctx<'_>) -> Routed {
    let record = ctx.apps.get(caller.served.app).map(|known| &known.record);
    let key = record.and_then(|record| record.fields.vapid_key.value());
    let key = key.filter(|key| !key.is_empty());
    let none = "VAPID credentials not configured for this app";
    let key = key.ok_or_else(|| Fault::new(404, Name::OperationalError, none))?;
    let public = vapid::public_key(key)
        .map_err(|why| Fault::bad(format!("Failed to derive VAPID public key: {why}")))?;
    let body = format!("{{\"vapid_public_key\":\"{public}\"}}");
    Ok(Response::json(200, body).into())
}

/// The answer to what was done to an app, which everybody learns of.
fn told_of_app(told: Answer, ctx: &mut Ctx<'_>) -> Result<Response, Fault> {
    match told {
        Answer::App(record) => {
            let response = answer(|out| push_app(out, &record));
            ctx.apps
                .learn(*record)
                .ok_or_else(|| Fault::bad(TOO_MANY_APPS))?;
            Ok(response)
        }
        Answer::Duplicate => Err(Fault::invalid(vec![("name", DUPLICATE)])),
        Answer::Nothing => Err(Fault::no_app()),
        other => Err(not_answered(&other)),
    }
}

/// `GET /apps`: the app whose session it is, and no other.
pub(super) fn list(caller: &Caller, ctx: &Ctx<'_>) -> Routed {
    let record = shown(&caller.served, ctx).ok_or_else(Fault::no_app)?;
    Ok(answer(|out| push_apps(out, [&record])).into())
}

/// The record of an app. One of the settings shows what stands there.
fn shown(served: &Served, ctx: &Ctx<'_>) -> Option<AppRecord> {
    let mut record = ctx.apps.get(served.app)?.record.clone();
    if record.is_of_settings {
        record.key = served.key.clone();
        record.secret = served.secret.clone();
        record.fields.enabled = Field::Is(served.enabled);
        if record.fields.name.value().is_none() {
            record.fields.name = Field::Is(served.ident.clone());
        }
    }
    Some(record)
}

/// Whether an app of the settings is shown with this name: one that the store has no name of, so that
/// the store does not see that it is taken.
fn is_shown_of_settings(name: &str, ctx: &Ctx<'_>) -> bool {
    let known = ctx.apps.of_settings(name);
    known.is_some_and(|known| known.record.fields.name.value().is_none())
}

/// `GET /apps/{ident}`
pub(super) fn show(caller: &Caller, ctx: &Ctx<'_>) -> Routed {
    let record = shown(&caller.served, ctx).ok_or_else(Fault::no_app)?;
    Ok(answer(|out| push_app(out, &record)).into())
}

/// `PUT /apps/{ident}`: other fields for an app; those that are not given stay.
pub(super) fn update(caller: &Caller, fields: &Fields<'_>, ctx: &mut Ctx<'_>) -> Routed {
    let mut fields = app_fields(fields)?;
    if caller.served.record.is_none() {
        // Whoever sends back what it was shown changes nothing.
        let now = shown(&caller.served, ctx).ok_or_else(Fault::no_app)?.fields;
        if fields.name == now.name {
            fields.name = Field::Absent;
        }
        if fields.enabled == now.enabled {
            fields.enabled = Field::Absent;
        }
        if fields.name != Field::Absent || fields.enabled != Field::Absent {
            return Err(Fault::bad(OF_SETTINGS));
        }
    } else if let Some(name) = fields.name.value()
        && shown(&caller.served, ctx).is_none_or(|now| now.fields.name != fields.name)
        && is_shown_of_settings(name, ctx)
    {
        return Err(Fault::invalid(vec![("name", DUPLICATE)]));
    }
    let write = Write::UpdateApp {
        app: caller.row,
        fields: Box::new(fields),
        unix_s: ctx.now.unix_seconds(),
    };
    let ticket = stored(write, ctx)?;
    let served = caller.served.clone();
    Ok(ask(ticket, move |told, ctx| {
        match told {
            // Its credentials are not stored.
            Answer::App(record) if served.record.is_none() => {
                ctx.apps.learn(*record);
                let record = shown(&served, ctx).ok_or_else(Fault::no_app)?;
                Ok(answer(|out| push_app(out, &record)))
            }
            told => told_of_app(told, ctx),
        }
    }))
}
