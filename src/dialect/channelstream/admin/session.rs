//! The login cookie: who signed in, until when, and nothing that the server has to remember.
//!
//! ```text
//! key    = HMAC-SHA-256(cookie_secret, "fanwire admin session" 0 user 0 password)
//! signed = expires "." base64url(id) "." base64url(user)
//! cookie = signed "." base64url(HMAC-SHA-256(key, "cookie" 0 signed))
//! csrf   = base64url(HMAC-SHA-256(key, "csrf" 0 id))
//! ```
//!
//! With the password in the key, a new password ends all sessions. `expires` is in seconds since
//! 1970-01-01 UTC, `id` sixteen random bytes by which a session that signed out is known.

use crate::dialect::Desk;
use crate::limits::SESSION_S;
use crate::transport::http::Request;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Name of the cookie, as the original has it.
pub(super) const COOKIE: &str = "auth_tkt";
/// A longer one is none of ours; the user's name is in it.
const COOKIE_CHARS_MAX: usize = 2048;
/// A browser may hold several of this name, from other paths and domains.
const COOKIES_TRIED_MAX: usize = 8;

/// Who has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) id: [u8; 16],
    pub(super) expires_unix_s: u64,
}

/// What makes and checks sessions of one admin.
pub(super) struct Sessions<'a> {
    user: &'a str,
    keyed: Hmac<Sha256>,
}

impl<'a> Sessions<'a> {
    /// The sessions of this admin. Without a secret they are signed with the key of this start.
    pub(super) fn new(user: &'a str, password: &str, secret: &str, desk: &Desk) -> Self {
        let secret = match secret {
            "" => &desk.key()[..],
            secret => secret.as_bytes(),
        };
        let mut key = keyed(secret);
        for part in ["fanwire admin session", user, password] {
            key.update(part.as_bytes());
            key.update(&[0]);
        }
        Self {
            user,
            keyed: keyed(&key.finalize().into_bytes()),
        }
    }

    /// A session that begins now, and its cookie.
    pub(super) fn begin(&self, id: [u8; 16], now_unix_s: u64) -> String {
        let expires = now_unix_s.saturating_add(SESSION_S);
        let mut text = format!("{expires}.");
        BASE64URL_NOPAD.encode_append(&id, &mut text);
        text.push('.');
        BASE64URL_NOPAD.encode_append(self.user.as_bytes(), &mut text);
        let mac = self.mac("cookie", text.as_bytes()).finalize().into_bytes();
        text.push('.');
        BASE64URL_NOPAD.encode_append(&mac, &mut text);
        text
    }

    /// The session that a cookie stands for: signed by us, not expired, not signed out.
    pub(super) fn read(&self, cookie: &str, now_unix_s: u64, desk: &Desk) -> Option<Session> {
        if cookie.len() > COOKIE_CHARS_MAX {
            return None;
        }
        let (signed, mac) = cookie.rsplit_once('.')?;
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).ok()?;
        // Compares in constant time.
        let state = self.mac("cookie", signed.as_bytes());
        state.verify_slice(&mac).ok()?;
        let mut parts = signed.split('.');
        let (expires, id, user) = (parts.next()?, parts.next()?, parts.next()?);
        let session = Session {
            expires_unix_s: expires.parse().ok()?,
            id: BASE64URL_NOPAD
                .decode(id.as_bytes())
                .ok()?
                .try_into()
                .ok()?,
        };
        let is_ours = BASE64URL_NOPAD.decode(user.as_bytes()).ok()? == self.user.as_bytes();
        let is_over = session.expires_unix_s <= now_unix_s || desk.is_signed_out(&session.id);
        (is_ours && !is_over).then_some(session)
    }

    /// The session of a request, by its cookies.
    pub(super) fn of(&self, request: &Request<'_>, now: u64, desk: &Desk) -> Option<Session> {
        cookies(request)
            .take(COOKIES_TRIED_MAX)
            .find_map(|cookie| self.read(cookie, now, desk))
    }

    /// What a page of this session has to show to act in its name.
    pub(super) fn csrf(&self, session: &Session) -> String {
        let mac = self.mac("csrf", &session.id).finalize().into_bytes();
        BASE64URL_NOPAD.encode(&mac)
    }

    /// Whether a page has shown that.
    pub(super) fn is_csrf(&self, session: &Session, given: &str) -> bool {
        let given = BASE64URL_NOPAD.decode(given.as_bytes());
        let state = self.mac("csrf", &session.id);
        given.is_ok_and(|given| state.verify_slice(&given).is_ok())
    }

    fn mac(&self, purpose: &str, text: &[u8]) -> Hmac<Sha256> {
        let mut state = self.keyed.clone();
        state.update(purpose.as_bytes());
        state.update(&[0]);
        state.update(text);
        state
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Whether two secrets are the same, in a time that tells neither where they differ nor how long
/// the right one is.
pub(super) fn is_same(one: &str, other: &str, desk: &Desk) -> bool {
    let digest = |text: &str| {
        let mut state = keyed(desk.key());
        state.update(text.as_bytes());
        state
    };
    let other = digest(other).finalize().into_bytes();
    digest(one).verify_slice(&other).is_ok()
}

/// The values of all cookies of our name (RFC 6265 section 5.4), without quotes around them.
fn cookies<'a>(request: &'a Request<'a>) -> impl Iterator<Item = &'a str> {
    request
        .headers
        .all("Cookie")
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == COOKIE).then(|| value.trim_matches('"'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const NOW: u64 = 1_795_359_723;

    fn desk() -> Desk {
        Desk::new(&mut Random::seeded(1))
    }

    #[test]
    fn a_cookie_is_good_until_it_expires_or_signs_out() {
        let mut desk = desk();
        let sessions = Sessions::new("admin", "pw", "secret", &desk);
        let cookie = sessions.begin([7; 16], NOW);
        let session = sessions.read(&cookie, NOW, &desk).expect("good");
        assert_eq!(session.id, [7; 16]);
        assert!(sessions.read(&cookie, NOW + SESSION_S - 1, &desk).is_some());
        assert!(sessions.read(&cookie, NOW + SESSION_S, &desk).is_none());
        let token = sessions.csrf(&session);
        assert!(sessions.is_csrf(&session, &token));
        let other = Session {
            id: [8; 16],
            ..session
        };
        assert!(!sessions.is_csrf(&other, &token), "bound to its session");
        for wrong in [
            "",
            "A",
            "!",
            &token[1..],
            cookie.rsplit('.').next().unwrap_or_default(),
        ] {
            assert!(!sessions.is_csrf(&session, wrong), "{wrong}");
        }
        desk.sign_out(session.id);
        assert!(sessions.read(&cookie, NOW, &desk).is_none());
    }

    #[test]
    fn forged_cookies_and_those_of_other_secrets_are_refused() {
        let desk = desk();
        let sessions = Sessions::new("admin", "pw", "secret", &desk);
        let cookie = sessions.begin([7; 16], NOW);
        for (user, password, secret) in [
            ("admin", "pw", "other"),
            ("admin", "pw", ""),
            ("admin", "new", "secret"),
            ("root", "pw", "secret"),
        ] {
            let others = Sessions::new(user, password, secret, &desk);
            assert!(others.read(&cookie, NOW, &desk).is_none());
            let theirs = others.begin([7; 16], NOW);
            assert!(others.read(&theirs, NOW, &desk).is_some());
            assert!(sessions.read(&theirs, NOW, &desk).is_none());
        }
        let next_start = Desk::new(&mut Random::seeded(2));
        let random = Sessions::new("admin", "pw", "", &desk).begin([7; 16], NOW);
        let after = Sessions::new("admin", "pw", "", &next_start);
        assert!(after.read(&random, NOW, &next_start).is_none());

        // Any one character changed, and whatever else is no cookie of ours.
        for at in 0..cookie.len() {
            let mut forged = cookie.clone().into_bytes();
            forged[at] = if forged[at] == b'B' { b'C' } else { b'B' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert!(sessions.read(&forged, NOW, &desk).is_none(), "{forged}");
        }
        let endless = "9".repeat(5000);
        for wrong in ["", ".", "...", "....", "garbage", "é.é.é.é", &endless] {
            assert!(sessions.read(wrong, NOW, &desk).is_none());
        }
        let later = cookie.replacen(&(NOW + SESSION_S).to_string(), &u64::MAX.to_string(), 1);
        assert!(sessions.read(&later, NOW, &desk).is_none());
    }

    #[test]
    fn secrets_are_compared_whole() {
        let desk = desk();
        assert!(is_same("pw", "pw", &desk) && is_same("", "", &desk));
        for other in ["", "p", "pw ", "PW", "pwpw"] {
            assert!(!is_same("pw", other, &desk), "{other}");
        }
    }
}
