//! Admins: they sign in and out, look at reports, throw others out; and others who try to.

use super::{DAY_MS, World};
use crate::oracle::{Admin, Asked, Call, Learned, Signed, Whom};
use fanwire::handler::ConnId;
use fanwire::limits::{SESSION_S, SIGN_IN_FAILURES_MAX};
use serde_json::json;

/// Who may sign in.
pub(super) const RIGHT: (&str, &str) = ("admin", "let me in, please");

/// A session that a client was given.
#[derive(Debug)]
pub struct Login {
    session: usize,
    /// The name of the cookie and its value.
    cookie: String,
    token: Option<String>,
}

/// What a deed of an admin needs besides what it is about.
struct Form<'f> {
    method: &'f str,
    target: &'f str,
    body: &'f str,
    token: Option<&'f str>,
}

impl World {
    /// An admin does something, or somebody who would like to be one.
    pub(super) fn admin_deed(&mut self) {
        match self.chance.below(24) {
            0..=2 => {
                let from = self.forwarded();
                self.ask_sign_in(true, from);
            }
            3 => {
                let from = self.forwarded();
                self.ask_sign_in(false, from);
            }
            4 if self.chance.one_in(3) => self.try_passwords(),
            5 | 6 => self.ask_sign_out(),
            7..=11 => self.ask_report(),
            12 | 13 => {
                let form = Form {
                    method: "GET",
                    target: "/admin/api/session",
                    body: "",
                    token: None,
                };
                self.ask_admin(&form, Asked::Session);
            }
            14 | 15 => {
                let form = Form {
                    method: "GET",
                    target: "/admin/api/connections?limit=200",
                    body: "",
                    token: None,
                };
                self.ask_admin(&form, Asked::Connections);
            }
            16..=18 => self.ask_close(),
            19 if self.chance.one_in(4) => {
                // Logins expire, or are good again where a clock was wrong.
                let step = SESSION_S * 1_000_000 + self.chance.within(0, DAY_MS * 1_000);
                match self.chance.one_in(2) {
                    true => self.wall_offset_micros += step,
                    false => self.wall_offset_micros -= step,
                }
            }
            _ => {}
        }
    }

    /// Where a proxy says that a request comes from.
    fn forwarded(&mut self) -> Option<String> {
        match self.chance.below(5) {
            0 => Some("203.0.113.7".to_owned()),
            1 => Some(format!("2001:db8:0:1::{:x}", self.chance.below(100) + 1)),
            2 => Some("2001:db8:0:2::1".to_owned()),
            _ => None,
        }
    }

    /// The sessions that a request shows cookies of, and its header, if it has any.
    fn cookies(&mut self) -> (Vec<usize>, Option<String>) {
        let count = self.logins.len();
        if count == 0 || self.chance.one_in(10) {
            let cookie = "auth_tkt=nonsense; other=1".to_owned();
            return (Vec::new(), self.chance.one_in(2).then_some(cookie));
        }
        let from = count.saturating_sub(3);
        let one = from + self.chance.below(count - from);
        let (session, cookie) = (self.logins[one].session, self.logins[one].cookie.clone());
        match self.chance.below(9) {
            0 => (Vec::new(), None),
            1 => {
                // One character is another.
                let name = "auth_tkt=".len();
                let at = name + self.chance.below(cookie.len() - name);
                let mut forged = cookie.into_bytes();
                forged[at] = if forged[at] == b'7' { b'8' } else { b'7' };
                let forged = String::from_utf8(forged).expect("ASCII");
                (Vec::new(), Some(forged))
            }
            2 => {
                // It would last longer.
                let forged = cookie.replacen('=', "=9", 1);
                (Vec::new(), Some(forged))
            }
            3 => {
                let first = self.chance.below(count);
                let (first, other) = (self.logins[first].session, &self.logins[first].cookie);
                let both = format!("{other}; theme=dark; {cookie}");
                (vec![first, session], Some(both))
            }
            _ => (vec![session], Some(cookie)),
        }
    }

    fn ask_admin(&mut self, form: &Form<'_>, what: Asked) {
        let (cookies, cookie) = self.cookies();
        let cookie = (cookies, cookie);
        self.ask_admin_with(form, what, cookie, None);
    }

    fn ask_admin_with(
        &mut self,
        form: &Form<'_>,
        what: Asked,
        (cookies, cookie): (Vec<usize>, Option<String>),
        forwarded: Option<String>,
    ) {
        let is_foreign = self.chance.one_in(8);
        let mut headers: Vec<(&str, &str)> = Vec::new();
        match (is_foreign, self.chance.one_in(2)) {
            (true, true) => headers.push(("Sec-Fetch-Site", "cross-site")),
            (true, false) => headers.push(("Origin", "https://evil.example")),
            (false, true) => headers.push(("Sec-Fetch-Site", "same-origin")),
            (false, false) if self.chance.one_in(2) => {
                headers.push(("Origin", "http://sim.example"));
            }
            (false, false) => {}
        }
        let via = forwarded
            .as_ref()
            .map(|address| format!("198.51.100.1, {address}, 127.0.0.1"));
        if let Some(via) = &via {
            headers.push(("X-Forwarded-For", via));
        }
        if let Some(cookie) = &cookie {
            headers.push(("Cookie", cookie));
        }
        if let Some(token) = form.token {
            headers.push(("X-CSRF-Token", token));
        }
        if matches!(what, Asked::SignIn { .. }) && !self.chance.one_in(5) {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        let signed = match self.chance.below(16) {
            0 => Signed::Wrongly,
            1 => Signed::At(self.now.unix_seconds()),
            _ => Signed::No,
        };
        let call = Call::Admin(Admin {
            cookies,
            is_foreign,
            forwarded,
            what,
        });
        let request = (form.method, form.target, &headers[..], form.body);
        self.ask_as(request, call, signed, false);
    }

    fn ask_sign_in(&mut self, is_right: bool, forwarded: Option<String>) {
        let (user, password) = match (is_right, self.chance.below(4)) {
            (true, 0) => (" admin", "let me in, please "),
            (true, _) => RIGHT,
            (false, 0) => ("root", RIGHT.1),
            (false, 1) => (RIGHT.0, ""),
            (false, _) => (RIGHT.0, "let me in, pleasE"),
        };
        let spaced = |text: &str| text.replace(' ', "+").replace(',', "%2C");
        let body = format!("username={}&password={}", spaced(user), spaced(password));
        let form = Form {
            method: "POST",
            target: "/admin/sign_in",
            body: &body,
            token: None,
        };
        // A browser that comes back shows its old cookie.
        let cookie = match self.chance.one_in(4) {
            true => self.cookies(),
            false => (Vec::new(), None),
        };
        self.ask_admin_with(&form, Asked::SignIn { is_right }, cookie, forwarded);
    }

    /// Somebody tries out passwords, and then has the right one.
    fn try_passwords(&mut self) {
        let from = self.forwarded();
        let most = u64::from(SIGN_IN_FAILURES_MAX);
        for _ in 0..self.chance.within(most - 3, most + 4) {
            self.ask_sign_in(false, from.clone());
        }
        self.ask_sign_in(true, from);
    }

    /// The token of a session: mostly that of the one whose cookie is shown.
    fn token(&mut self, cookies: &[usize]) -> (Option<usize>, Option<String>) {
        if self.chance.one_in(5) {
            return (None, self.chance.one_in(2).then(|| "nonsense".to_owned()));
        }
        let known = |login: &&Login| login.token.is_some();
        let theirs = self.logins.iter().filter(known);
        let theirs = theirs
            .clone()
            .find(|login| cookies.contains(&login.session));
        let any = self.logins.iter().rfind(known);
        let login = theirs.or(any);
        login.map_or((None, None), |login| {
            (Some(login.session), login.token.clone())
        })
    }

    fn ask_sign_out(&mut self) {
        let cookie = self.cookies();
        let (session, token) = self.token(&cookie.0);
        let (body, session) = match token {
            Some(token) if self.chance.one_in(2) => (format!("csrf={token}"), session),
            Some(_) | None => (String::new(), None),
        };
        let is_read = body.is_empty() && self.chance.one_in(2);
        let form = Form {
            method: if is_read { "GET" } else { "POST" },
            target: "/admin/sign_out",
            body: &body,
            token: None,
        };
        let what = Asked::SignOut { token: session };
        self.ask_admin_with(&form, what, cookie, None);
    }

    fn ask_report(&mut self) {
        let slow = match self.chance.below(2) {
            0 => 0,
            _ => self.chance.within(1, 9) as u32,
        };
        let target = match slow {
            0 => "/admin/admin.json".to_owned(),
            _ => format!("/admin/admin.json?slow={slow}"),
        };
        let (method, body) = match self.chance.below(3) {
            0 => ("POST", "{\"beside\": \"the matter\"}"),
            1 => ("POST", ""),
            _ => ("GET", ""),
        };
        let form = Form {
            method,
            target: &target,
            body,
            token: None,
        };
        self.ask_admin(&form, Asked::Report { slow });
    }

    /// Somebody is thrown out: one that is there, or was.
    fn ask_close(&mut self) {
        let there: Vec<ConnId> = self.conns.iter().map(|(conn, _)| conn).collect();
        if !there.is_empty() {
            let conn = *self.chance.pick(&there);
            self.seen.push(conn);
        }
        let (whom, body) = match self.chance.below(8) {
            0..=4 if !self.seen.is_empty() => {
                let from = match self.chance.one_in(4) {
                    true => 0,
                    false => self.seen.len() - 1,
                };
                let conn = *self.chance.pick(&self.seen[from..]);
                (
                    Whom::Socket(conn),
                    json!({ "id": conn.to_bits().to_string() }),
                )
            }
            7 if self.chance.one_in(2) => (Whom::Nobody, json!({"id": 7})),
            _ => {
                let id = self.id();
                (Whom::Connection(id.clone()), json!({ "conn_id": id }))
            }
        };
        let cookie = self.cookies();
        let (session, token) = self.token(&cookie.0);
        let form = Form {
            method: "POST",
            target: "/admin/api/connections/close",
            body: &body.to_string(),
            token: token.as_deref(),
        };
        let what = Asked::Close {
            token: session,
            whom,
        };
        self.ask_admin_with(&form, what, cookie, None);
    }

    /// What an admin's client keeps of an answer.
    pub fn learn_login(&mut self, learned: Learned) {
        match learned {
            Learned::Nothing => {}
            Learned::Cookie(session, cookie) => self.logins.push(Login {
                session,
                cookie,
                token: None,
            }),
            Learned::Token(session, token) => {
                let login = self.logins.iter_mut().find(|l| l.session == session);
                if let Some(login) = login {
                    login.token = Some(token);
                }
            }
        }
    }

    /// What only the server knows: the order of its channels, and how far it looks for users.
    pub fn look_at_hub(&mut self) {
        let hub = self.engine.hub();
        let app = fanwire::dialect::channelstream::APP;
        let names = hub.channels(app).map(|(_, channel)| channel.name());
        let names = names.map(str::to_owned).collect();
        self.oracle.look(names, hub.user_places() > 0);
    }
}
