//! Sessions of applications, which the server does not remember: a sid says whose it is and since
//! when, and proves that it was made here.
//!
//! ```text
//! sid = hex(row[4] issued[6] random[6] mac[16])
//! key = HMAC-SHA-256(app secret, "fanwire pushi session")
//! mac = the first half of HMAC-SHA-256(key, row issued random)
//! ```
//!
//! Numbers are big-endian; `issued` is in seconds since 1970-01-01 UTC. So sids of one app are in
//! the order of their age, and another secret ends them all. Clients log in often and hardly ever
//! log out, and none of these sessions costs anything. Those that logged out before their time are
//! remembered, in [`EndedSessions`].

use super::form::sid_in_form;
use crate::limits::{PUSHI_ENDED_SESSIONS_MAX, PUSHI_SESSION_AHEAD_S, PUSHI_SESSION_S};
use crate::store::{AppRow, Write};
use crate::transport::http::Request;
use crate::transport::http::query::last;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Bytes that are proved.
const SIGNED_BYTES: usize = 16;
/// The largest time that fits.
const ISSUED_S_MAX: u64 = (1 << 48) - 1;

/// The id of a session, as somebody gave it: nothing of it is proved yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sid([u8; 32]);

impl fmt::Debug for Sid {
    /// Without what gives access.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({:?} since {})", self.app(), self.issued_s())
    }
}

impl fmt::Display for Sid {
    /// 64 lower-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl Sid {
    /// Reads what [`Sid`] displays; `None` for every other form.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 {
            return None;
        }
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The sid with these bytes, as they were stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be stored.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Of which app.
    pub fn app(&self) -> AppRow {
        let [a, b, c, d, ..] = self.0;
        AppRow(u32::from_be_bytes([a, b, c, d]))
    }

    /// When it began, in seconds since 1970-01-01 UTC.
    pub fn issued_s(&self) -> u64 {
        let [_, _, _, _, a, b, c, d, e, f, ..] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// When it is over by itself, in seconds since 1970-01-01 UTC.
    pub fn until_s(&self) -> u64 {
        self.issued_s() + PUSHI_SESSION_S
    }

    /// Whether it was made with this secret, and is not over by itself. See [`SessionKey::check`].
    pub fn check(&self, secret: &str, unix_s: u64) -> bool {
        SessionKey::new(secret).check(self, unix_s)
    }
}

/// A session of this app that begins now. See [`SessionKey::issue`].
pub fn issue(app: AppRow, secret: &str, unix_s: u64, random: [u8; 16]) -> [u8; 32] {
    SessionKey::new(secret).issue(app, unix_s, random).0
}

/// Makes and checks sids of one app.
///
/// It holds the keyed state of the HMAC, which saves three quarters of the hashing.
#[derive(Clone)]
pub struct SessionKey(Hmac<Sha256>);

impl fmt::Debug for SessionKey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey")
    }
}

impl SessionKey {
    /// For an app with this secret.
    pub fn new(secret: &str) -> Self {
        let mut key = keyed(secret.as_bytes());
        // Nothing else that is signed with the secret can be taken for one of these: those texts
        // have a colon.
        key.update(b"fanwire pushi session");
        Self(keyed(&key.finalize().into_bytes()))
    }

    /// A session of this app that begins now. Six of the random bytes tell it from others of the
    /// same second.
    pub fn issue(&self, app: AppRow, unix_s: u64, random: [u8; 16]) -> Sid {
        let mut sid = [0; 32];
        let issued = unix_s.min(ISSUED_S_MAX).to_be_bytes();
        let pieces = [
            &app.0.to_be_bytes()[..],
            issued.get(2..).unwrap_or(&[]),
            random.get(..6).unwrap_or(&[]),
        ];
        let bytes = pieces.into_iter().flatten();
        sid.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let (signed, proof) = sid.split_at_mut(SIGNED_BYTES);
        let mac = self.mac(signed).finalize().into_bytes();
        proof.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        Sid(sid)
    }

    /// Whether this key made it, and it is not over by itself: it lasts for [`PUSHI_SESSION_S`]. The
    /// time it takes tells nothing of the right proof.
    pub fn check(&self, sid: &Sid, unix_s: u64) -> bool {
        let (signed, proof) = sid.0.split_at(SIGNED_BYTES);
        let is_ours = self.mac(signed).verify_truncated_left(proof).is_ok();
        let has_begun = sid.issued_s() <= unix_s.saturating_add(PUSHI_SESSION_AHEAD_S);
        is_ours && has_begun && unix_s < sid.until_s()
    }

    fn mac(&self, signed: &[u8]) -> Hmac<Sha256> {
        let mut state = self.0.clone();
        state.update(signed);
        state
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// The sid that a request names: in the header `X-Session-Id`, in the query, in a form, in a cookie.
/// The first place that has one counts, whatever it is worth.
pub fn find_sid<'a>(request: &Request<'a>) -> Option<Cow<'a, str>> {
    let is_one = |sid: &Cow<'a, str>| !sid.is_empty();
    let in_header = || request.headers.get("X-Session-Id").map(Cow::Borrowed);
    let query = request.query.unwrap_or("");
    let in_query = || {
        let names = ["sid", "session_id", "_sid"];
        names
            .into_iter()
            .find_map(|name| last(query, name).filter(is_one))
    };
    in_header()
        .filter(is_one)
        .or_else(in_query)
        .or_else(|| sid_in_form(request).filter(is_one))
        .or_else(|| sid_in_cookie(request).map(Cow::Borrowed))
}

/// The sid in the cookies of a request. Of several of the name, which a browser may hold from other
/// servers, the first that could be one of ours.
fn sid_in_cookie<'a>(request: &Request<'a>) -> Option<&'a str> {
    let mut first = None;
    for header in request.headers.0 {
        if !header.name.eq_ignore_ascii_case("cookie") {
            continue;
        }
        let Ok(cookies) = std::str::from_utf8(header.value) else {
            continue;
        };
        for cookie in cookies.split([';', ',']) {
            let Some((name, value)) = cookie.split_once('=') else {
                continue;
            };
            let value = value.trim().trim_matches('"');
            if name.trim() != "sid" || value.is_empty() {
                continue;
            }
            if Sid::parse(value).is_some() {
                return Some(value);
            }
            first = first.or(Some(value));
        }
    }
    first
}

/// The value of `Set-Cookie` that gives a browser this session; without one, that takes it away.
///
/// Pages of other sites bring it along only if that is said, and browsers want TLS for it. Those that
/// let nobody be followed from site to site do so only if each site may have a cookie of its own.
pub fn cookie(sid: Option<&Sid>, is_tls: bool, is_for_other_sites: bool) -> String {
    let mut text = match sid {
        Some(sid) => format!("sid={sid}; Path=/; Max-Age={PUSHI_SESSION_S}; HttpOnly"),
        None => "sid=; Path=/; Max-Age=0; HttpOnly".to_owned(),
    };
    text.push_str(match (is_tls, is_for_other_sites) {
        (true, true) => "; SameSite=None; Secure; Partitioned",
        (true, false) => "; SameSite=Lax; Secure",
        (false, _) => "; SameSite=Lax",
    });
    text
}

/// Sessions that logged out before their time, of all apps.
///
/// Each app has at most [`PUSHI_ENDED_SESSIONS_MAX`] of them. With one more, all its sessions that
/// began before a certain time are over, so that none comes back that has ended. Clients that still
/// had one of these log in anew.
#[derive(Debug, Default)]
pub struct EndedSessions {
    apps: BTreeMap<AppRow, Ended>,
}

#[derive(Debug, Default)]
struct Ended {
    /// Sessions that began before this time are over, in seconds since 1970-01-01 UTC.
    from_s: u64,
    /// Others that are over, oldest first.
    sids: BTreeSet<[u8; 32]>,
}

impl EndedSessions {
    /// All sessions of an app that began before this time are over, in seconds since 1970-01-01
    /// UTC. An earlier time than is known changes nothing.
    pub fn end_before(&mut self, app: AppRow, unix_s: u64) {
        if unix_s > 0 {
            self.apps.entry(app).or_default().end_before(app, unix_s);
        }
    }

    /// This session is over, as the store remembers. [`EndedSessions::end_before`] goes first.
    pub fn restore(&mut self, sid: &Sid) {
        let ended = self.apps.entry(sid.app()).or_default();
        if !ended.is_over(sid) {
            ended.sids.insert(sid.0);
        }
    }

    /// Whether this session has ended before its time.
    pub fn is_over(&self, sid: &Sid) -> bool {
        let ended = self.apps.get(&sid.app());
        ended.is_some_and(|ended| ended.is_over(sid))
    }

    /// Ends a session that was checked, and says what is to be stored. Of one that is over already
    /// that is said again: it may not have been kept before.
    pub fn end(&mut self, sid: &Sid, unix_s: u64) -> Vec<Write> {
        let app = sid.app();
        let ended = self.apps.entry(app).or_default();
        ended.drop_expired(unix_s);
        let mut writes = Vec::new();
        if !ended.is_over(sid)
            && ended.sids.len() >= PUSHI_ENDED_SESSIONS_MAX
            && let Some(middle) = ended.sids.iter().nth(ended.sids.len() / 2)
        {
            let from_s = Sid(*middle).issued_s() + 1;
            ended.end_before(app, from_s);
            writes.push(ended.before(app));
        }
        if sid.issued_s() >= ended.from_s {
            ended.sids.insert(sid.0);
            writes.push(Write::EndSession {
                app,
                session: sid.0,
                until_unix_s: sid.until_s(),
            });
        } else if writes.is_empty() {
            writes.push(ended.before(app));
        }
        writes
    }
}

impl Ended {
    fn is_over(&self, sid: &Sid) -> bool {
        sid.issued_s() < self.from_s || self.sids.contains(&sid.0)
    }

    /// What is to be stored of those that are over for their age.
    fn before(&self, app: AppRow) -> Write {
        Write::EndSessionsBefore {
            app,
            unix_s: self.from_s,
            until_unix_s: self.from_s + PUSHI_SESSION_S,
        }
    }

    fn end_before(&mut self, app: AppRow, unix_s: u64) {
        if unix_s > self.from_s {
            self.from_s = unix_s;
            self.sids = self.sids.split_off(&first_of(app, unix_s));
        }
    }

    /// Forgets those that are over by themselves.
    fn drop_expired(&mut self, unix_s: u64) {
        while let Some(oldest) = self.sids.first()
            && Sid(*oldest).until_s() <= unix_s
        {
            self.sids.pop_first();
        }
    }
}

/// What no sid of this app that began at this time, or later, comes before.
fn first_of(app: AppRow, issued_s: u64) -> [u8; 32] {
    let mut first = [0; 32];
    let issued = issued_s.min(ISSUED_S_MAX).to_be_bytes();
    let bytes = app
        .0
        .to_be_bytes()
        .into_iter()
        .chain(issued.into_iter().skip(2));
    first
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = from);
    first
}

#[cfg(test)]
mod tests;
