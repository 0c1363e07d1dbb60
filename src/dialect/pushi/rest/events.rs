//! Events: publishing to channels, and what was stored (section 5.5).

use super::{Caller, Routed, answer, ask, not_answered};
use crate::dialect::Ctx;
use crate::dialect::pushi::bodies::{self, CHANNEL_DEFAULT};
use crate::dialect::pushi::encode::records::push_events;
use crate::dialect::pushi::errors::Fault;
use crate::dialect::pushi::form::Fields;
use crate::dialect::pushi::publish::{Event, Publication};
use crate::limits::PUSHI_STORED_BYTES_MAX;
use crate::store::{Answer, Question};

/// How many events are listed if nothing is said.
const LISTED: u64 = 10;

/// `POST /events`
pub(super) fn publish(caller: &Caller, fields: &Fields<'_>, ctx: &mut Ctx<'_>) -> Routed {
    let event = bodies::event(fields)?;
    let texts = event.name.len() + event.data.len() + event.extra.len();
    let copies = event.channels.len().saturating_mul(texts);
    if event.persist && copies > PUSHI_STORED_BYTES_MAX {
        return Err(Fault::too_large(format!(
            "an event is stored for each of its channels, and has at most {PUSHI_STORED_BYTES_MAX} \
             bytes for all of them; publish it with persist: false, or to fewer"
        )));
    }
    let channels = event.channels.into_iter();
    let channels = channels.map(|name| name.into_owned()).collect();
    let event = Event {
        name: event.name.into_owned(),
        data: event.data.into_owned(),
        extra: event.extra,
        persist: event.persist,
    };
    let publication = Publication::new(&caller.served, event, channels, ctx);
    Ok(publication.map_err(Fault::trouble)?.begin(ctx))
}

/// `GET /events`
pub(super) fn list(caller: &Caller, fields: &Fields<'_>, ctx: &mut Ctx<'_>) -> Routed {
    let count = fields.number("count", LISTED)?;
    let ticket = ctx.io.ask(Question::Latest {
        app: caller.row,
        channel: None,
        skip: 0,
        count,
    });
    let ident = caller.served.ident.clone();
    Ok(ask(ticket, move |told, _| match told {
        Answer::Events(events) => Ok(answer(|out| push_events(out, &events, &ident))),
        other => Err(not_answered(&other)),
    }))
}

/// `GET /apps/ping`: an event that is told and not stored.
pub(super) fn ping(caller: &Caller, ctx: &mut Ctx<'_>) -> Routed {
    let event = Event {
        name: "ping".to_owned(),
        data: "ping".to_owned(),
        extra: String::new(),
        persist: false,
    };
    let channels = vec![CHANNEL_DEFAULT.to_owned()];
    let publication = Publication::new(&caller.served, event, channels, ctx);
    Ok(publication.map_err(Fault::trouble)?.begin(ctx))
}
