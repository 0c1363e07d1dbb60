//! Letting sockets in (section 2.1 and 2.2 of the protocol as this project writes it down).
//!
//! A key that no app has, and an origin that is not allowed, are told by the status of the handshake:
//! nothing is opened that has to be closed again.

use super::encode;
use super::errors::Fault;
use super::speaker::{FORMAT, Pushi, Served};
use crate::dialect::pusher::allows_origin;
use crate::dialect::{Ctx, Reply};
use crate::hub::{Effects, Id, SubscriberId};
use crate::transport::http::{Request, upgrade};

/// Fresh ids that are tried before the system's random numbers are given up on.
const IDS_TRIED: usize = 4;

impl Pushi {
    /// A `GET` whose path ends with a key and that wants to be a WebSocket.
    pub(super) fn open(&self, key: &str, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        match self.admit_socket(key, request) {
            Ok(served) => {
                let accept = match upgrade::websocket(request) {
                    Ok(accept) => accept,
                    Err(refusal) => return refusal.response().into(),
                };
                match connect(served, ctx) {
                    Some(who) => Reply::Upgrade(accept, who),
                    None => self.refuse(&Fault::too_busy(), request, ctx).into(),
                }
            }
            Err(fault) => self.refuse(&fault, request, ctx).into(),
        }
    }

    fn admit_socket(&self, key: &str, request: &Request<'_>) -> Result<&Served, Fault> {
        let served = self.by_key(key).ok_or_else(Fault::no_app)?;
        if !served.enabled {
            return Err(Fault::disabled());
        }
        match request.headers.get("Origin") {
            Some(origin) if !allows_origin(&served.origins, origin) => {
                Err(Fault::forbidden_origin())
            }
            // Only browsers send one, and only they are bound by the list.
            Some(_) | None => Ok(served),
        }
    }

    /// The socket is open: its very first frame.
    pub(super) fn welcome(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        let conn = ctx.conn;
        if !ctx.hub.attach(who, conn, &mut ctx.io) {
            return;
        }
        let id = ctx.hub.subscriber(who).map_or(Id(0), |known| known.id());
        ctx.io.text(conn, |out| encode::push_established(out, id.0));
    }
}

/// A fresh subscriber, nobody's.
fn connect(served: &Served, ctx: &mut Ctx<'_>) -> Option<SubscriberId> {
    (0..IDS_TRIED).find_map(|_| {
        let id = ctx.io.id();
        // It is attached within this very call.
        let expires = ctx.now.mono + 1;
        ctx.hub.connect_nobody(served.app, id, FORMAT, expires)
    })
}
