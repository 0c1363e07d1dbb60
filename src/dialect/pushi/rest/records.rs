//! Who is to be told what: users of channels, and the web hooks, devices, browsers and addresses that
//! messages go out to (sections 5.6 to 5.10).

use super::{Caller, Routed, answer, ask, not_answered, success};
use crate::dialect::Ctx;
use crate::dialect::pushi::bodies;
use crate::dialect::pushi::encode::records::{push_record, push_records, target_field};
use crate::dialect::pushi::errors::Fault;
use crate::dialect::pushi::form::Fields;
use crate::dialect::pushi::names::Kind;
use crate::dialect::pushi::speaker::Pushi;
use crate::store::{Answer, Question, RecordKind, Ticket, Write};
use crate::transport::http::Request;

/// `POST` of a record. If there is the same one already it is that.
pub(super) fn create(
    caller: &Caller,
    kind: RecordKind,
    fields: &Fields<'_>,
    ctx: &mut Ctx<'_>,
) -> Routed {
    let record = bodies::record(kind, fields.clone())?;
    // Subscriptions of users are the application's word; whatever goes out of the server is signed.
    let mut replaces_oldest = false;
    if kind != RecordKind::Subscription {
        let auth = fields.control("auth").unwrap_or("");
        let keys = &caller.served.keys;
        if Kind::of(&record.channel).is_signed()
            && !keys.allows(auth, &record.target, &record.channel)
        {
            return Err(Fault::invalid_signature());
        }
        replaces_oldest = fields.flag("unsubscribe");
    }
    let write = Write::PutRecord {
        app: caller.row,
        record: Box::new(record),
        replaces_oldest,
        unix_s: ctx.now.unix_seconds(),
    };
    let ticket = stored(write, ctx)?;
    let ident = caller.served.ident.clone();
    Ok(ask(ticket, move |told, _| match told {
        Answer::Record(record) => Ok(answer(|out| push_record(out, &record, &ident))),
        other => Err(not_answered(&other)),
    }))
}

/// Hands over a write whose outcome is the answer.
pub(super) fn stored(write: Write, ctx: &mut Ctx<'_>) -> Result<Ticket, Fault> {
    let room = ctx.io.can_store(1, write.bytes());
    room.map_err(Fault::trouble)?;
    Ok(ctx.io.store_and_ask(write))
}

/// `GET` of the records of one kind.
pub(super) fn list(
    caller: &Caller,
    kind: RecordKind,
    fields: &Fields<'_>,
    ctx: &mut Ctx<'_>,
) -> Routed {
    let filter = |name| fields.filter(name).map(Box::from);
    let ticket = ctx.io.ask(Question::Records {
        app: caller.row,
        kind,
        target: filter(target_field(kind)),
        channel: filter("event"),
    });
    let ident = caller.served.ident.clone();
    Ok(ask(ticket, move |told, _| match told {
        Answer::Records(records) => Ok(answer(|out| push_records(out, &records, &ident))),
        other => Err(not_answered(&other)),
    }))
}

/// `DELETE` of one record, or of all with a target.
pub(super) fn delete(
    caller: &Caller,
    kind: RecordKind,
    target: &str,
    channel: Option<&str>,
    fields: &Fields<'_>,
    ctx: &mut Ctx<'_>,
) -> Routed {
    let is_one = channel.is_some();
    let is_forced = fields.flag("force");
    let write = Write::DeleteRecords {
        app: caller.row,
        kind,
        target: target.into(),
        channel: channel.map(Into::into),
    };
    let ticket = stored(write, ctx)?;
    let ident = caller.served.ident.clone();
    Ok(ask(ticket, move |told, _| match told {
        Answer::Records(records) if !is_one => {
            Ok(answer(|out| push_records(out, &records, &ident)))
        }
        Answer::Records(records) => match records.first() {
            Some(record) => Ok(answer(|out| push_record(out, record, &ident))),
            None if is_forced => Err(Fault::no_record(kind)),
            None => Ok(success()),
        },
        other => Err(not_answered(&other)),
    }))
}

/// `/apps/{ident}/unsubscribe`: a user and a channel by their fields.
pub(super) fn unsubscribe(caller: &Caller, fields: &Fields<'_>, ctx: &mut Ctx<'_>) -> Routed {
    let kind = RecordKind::Subscription;
    let (user, channel) = bodies::subscription(fields)?;
    delete(caller, kind, &user, Some(&channel), fields, ctx)
}

impl Pushi {
    /// Whoever the session belongs to, or else the app whose key is in the query.
    pub(super) fn session_or_app_key(
        &self,
        request: &Request<'_>,
        fields: &Fields<'_>,
        ctx: &Ctx<'_>,
    ) -> Result<Caller, Fault> {
        let fault = match self.session(request, ctx) {
            Ok(caller) => return Ok(caller),
            Err(fault) => fault,
        };
        let key = fields
            .control("app_key")
            .filter(|_| self.config.app_key_routes);
        let served = key.and_then(|key| self.by_key(key)).ok_or(fault)?;
        if !served.enabled {
            return Err(Fault::disabled());
        }
        let row = ctx.apps.row(served.app);
        Ok(Caller {
            served: served.clone(),
            row: row.ok_or_else(Fault::not_authenticated)?,
        })
    }
}
