//! Whether an admin hears what was expected, and what is learned from it.

use super::super::answers::same;
use super::super::{Oracle, PLACEHOLDER};
use super::{Learned, Told};
use crate::peer::Head;
use fanwire::limits::{PAGE_ROWS_MAX, SESSION_S};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where whoever has not signed in is sent.
const FORM: &str = "http://sim.example/admin/sign_in";
const HOME: &str = "http://sim.example/admin";

impl Oracle {
    /// Whether an admin hears what was expected. A session whose cookie was learned, and that
    /// cookie; a session and its token.
    pub fn check_told_admin(
        &mut self,
        told: &Told,
        status: u16,
        head: &Head,
        body: &[u8],
    ) -> Learned {
        let location = head.location.as_deref();
        let json = || -> Value { serde_json::from_slice(body).expect("an answer is JSON") };
        match told {
            Told::SignedIn(_) | Told::SignedOut => {}
            Told::Form { .. } | Told::Session(_) | Told::Report(_) | Told::Connections(_) => {
                assert_eq!(head.cookie, None, "nobody else is given a cookie");
            }
        }
        match told {
            Told::SignedIn(place) => {
                assert_eq!((status, location), (302, Some(HOME)), "signed in");
                let cookie = head.cookie.clone().expect("who signs in gets a cookie");
                let (value, age) = cookie.split_once("; ").expect("how long it lasts");
                assert_eq!(
                    age,
                    format!("Max-Age={SESSION_S}; Path=/; HttpOnly; SameSite=Lax")
                );
                let session = &mut self.desk.sessions[*place];
                let starts = format!("auth_tkt={}.", session.expires_s);
                assert!(value.starts_with(&starts), "{value} lasts as long");
                session.cookie = Some(value.to_owned());
                let known = self.desk.sessions.iter().filter_map(|s| s.cookie.as_ref());
                let distinct: BTreeSet<&String> = known.clone().collect();
                assert_eq!(distinct.len(), known.count(), "no cookie is given twice");
                Learned::Cookie(*place, value.to_owned())
            }
            Told::SignedOut => {
                assert_eq!((status, location), (302, Some(FORM)), "signed out");
                let gone = "auth_tkt=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax";
                assert_eq!(head.cookie.as_deref(), Some(gone));
                Learned::Nothing
            }
            Told::Form {
                status: expected,
                words,
                retry_s,
            } => {
                assert_eq!(status, *expected, "expected {told:?}");
                let retry = head.retry.as_ref().map(|s| s.parse().expect("seconds"));
                assert_eq!(retry, *retry_s, "how long to wait");
                let page = String::from_utf8_lossy(body);
                assert!(page.contains(words), "the form says {words}: {page}");
                Learned::Nothing
            }
            Told::Session(place) => {
                let mut got = json();
                let token = got["csrf"].take();
                let token = token.as_str().expect("a token").to_owned();
                let session = &mut self.desk.sessions[*place];
                let expected = json!({
                    "by": "cookie", "expires_unix_s": session.expires_s, "csrf": null,
                });
                assert_eq!((status, got), (200, expected), "a session says");
                let known = session.token.get_or_insert(token.clone());
                assert_eq!(*known, token, "a session has one token");
                Learned::Token(*place, token)
            }
            Told::Report(expected) => {
                assert_eq!(status, 200, "the report");
                let (mut expected, mut got) = (expected.clone(), json());
                sort_users(&mut expected);
                sort_users(&mut got);
                self.check_ids(&mut expected, &mut got);
                assert!(
                    same(&expected, &got, &mut self.bound),
                    "a report says {got}, expected {expected}"
                );
                Learned::Nothing
            }
            Told::Connections(expected) => {
                assert_eq!(status, 200, "connections");
                let got = json();
                let rows = got["rows"].as_array().expect("a list");
                assert_eq!(rows.len(), expected.len().min(PAGE_ROWS_MAX), "all of them");
                let mut seen = BTreeSet::new();
                for row in rows {
                    let id = row["id"].as_str().expect("a number as text");
                    assert!(seen.insert(id), "each is listed once");
                    let expected = expected.get(id);
                    let expected = expected.unwrap_or_else(|| panic!("nobody is {row}"));
                    self.check_row(expected, row);
                }
                Learned::Nothing
            }
        }
    }

    /// Takes the ids of the users' connections out of both, whose order is nobody's business. Of
    /// those that the server drew some may not have been heard of yet.
    fn check_ids(&self, expected: &mut Value, got: &mut Value) {
        let users = |report: &'_ mut Value| -> Vec<Value> {
            let users = report["users"].as_array_mut().expect("a list of users");
            users
                .iter_mut()
                .map(|user| user["connections"].take())
                .collect()
        };
        let (expected, got) = (users(expected), users(got));
        assert_eq!(expected.len(), got.len(), "{got:?}, expected {expected:?}");
        for (expected, got) in expected.iter().zip(&got) {
            let ids = |list: &Value| list.as_array().cloned().unwrap_or_default();
            let (theirs, got) = (ids(expected), ids(got));
            assert_eq!(theirs.len(), got.len(), "connections of {expected}");
            for id in &theirs {
                let id = id.as_str().expect("an id");
                let known = self.bound.get(id).map(String::as_str);
                let known = known.or((!id.starts_with(PLACEHOLDER)).then_some(id));
                assert!(
                    known.is_none_or(|known| got.iter().any(|id| id == known)),
                    "{id} is a connection of {expected}, not only {got:?}"
                );
            }
        }
    }

    fn check_row(&mut self, expected: &Value, row: &Value) {
        let transport = row["transport"].as_str().expect("a word");
        let fits = match expected["transport"].as_str().expect("a word") {
            "" => matches!(transport, "http" | "closing"),
            word => word == transport,
        };
        assert!(fits, "{row} is no {expected}");
        assert_eq!(row["asking"] == true, expected["asking"] == true, "{row}");
        for key in ["user", "conn_id", "channels"] {
            assert!(
                same(&expected[key], &row[key], &mut self.bound),
                "{row} is not {expected}"
            );
        }
    }
}

/// Users come in no order that is promised.
fn sort_users(report: &mut Value) {
    let users = report["users"].as_array_mut().expect("a list of users");
    users.sort_by_key(|user| user["user"].as_str().map(str::to_owned));
}
