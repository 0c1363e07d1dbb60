//! What the admin page shows of channels and users, as JSON: `/admin/api/...`.
//!
//! Every answer costs a bounded amount of work: a page looks at so many places of a table, and
//! ends after so many rows or bytes. `next` is where to go on, or null.

use super::super::encode::{
    push_bool, push_comma, push_event, push_id, push_number, push_state, push_texts,
};
use super::super::info::{push_kept, push_settings};
use super::super::stamps::{push_stamp, push_text, push_uuid};
use crate::dialect::{Ctx, Report};
use crate::hub::{AppId, Channel, ChannelId, Hub, User};
use crate::limits::{PAGE_BYTES_MAX, PAGE_PLACES_MAX, PAGE_ROWS_MAX};
use crate::table::Key;
use crate::transport::http::{Request, Response, query};

/// Ids of connections that a user's row names; the row counts the rest.
const IDS_LISTED_MAX: usize = 20;
/// Search texts are cut to this; names are no longer.
const SEARCH_CHARS_MAX: usize = 512;

/// What a page of a list is asked for by: `search`, `from` and `limit` in the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    from: usize,
    rows: usize,
    /// In lower case.
    search: String,
}

impl Asked {
    /// From the query. What is no number counts as not given.
    pub(super) fn of(request: &Request<'_>) -> Self {
        let number = |name| value(request, name).and_then(|text| text.parse::<usize>().ok());
        let search = value(request, "search").unwrap_or_default();
        let search: String = search.trim().chars().take(SEARCH_CHARS_MAX).collect();
        Self {
            from: number("from").unwrap_or(0),
            rows: number("limit").unwrap_or(50).clamp(1, PAGE_ROWS_MAX),
            // As names are: some letters depend on where in the word they stand.
            search: search.to_lowercase(),
        }
    }

    /// The same question about connections, for the engine.
    pub(super) fn connections(self) -> Report {
        Report::Connections {
            from: self.from,
            rows: self.rows,
            search: self.search,
        }
    }

    fn finds(&self, name: &str) -> bool {
        self.search.is_empty() || name.to_lowercase().contains(&self.search)
    }
}

fn value(request: &Request<'_>, name: &str) -> Option<String> {
    let value = query::last(request.query?, name)?;
    Some(value.into_owned())
}

/// A list while it is written: `{"rows": [...], "next": ...}`.
struct Page {
    text: Vec<u8>,
    rows: usize,
    rows_max: usize,
}

impl Page {
    fn new(rows_max: usize) -> Self {
        Self {
            text: b"{\"rows\":[".to_vec(),
            rows: 0,
            rows_max,
        }
    }

    fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.text.len() >= PAGE_BYTES_MAX
    }

    /// Appends a row.
    fn push(&mut self, row: impl FnOnce(&mut Vec<u8>)) {
        push_comma(&mut self.text, self.rows);
        self.rows += 1;
        row(&mut self.text);
    }

    /// The answer. `next` is the first place that was not looked at, of so many.
    fn end(mut self, next: usize, places: usize) -> Response {
        self.text.extend_from_slice(b"],\"next\":");
        match next < places {
            true => push_number(&mut self.text, next as u64),
            false => self.text.extend_from_slice(b"null"),
        }
        self.text.push(b'}');
        Response::json(200, self.text)
    }
}

/// Walks a table from where the page begins: rows of those that are found, until the page is full
/// or enough was looked at.
fn list<'h, T, V: 'h>(
    asked: &Asked,
    places: usize,
    entries: impl Iterator<Item = (Key<T>, &'h V)>,
    name: impl Fn(&V) -> &str,
    row: impl Fn(&mut Vec<u8>, &V),
) -> Response {
    let mut page = Page::new(asked.rows);
    let mut next = asked.from.saturating_add(PAGE_PLACES_MAX);
    for (key, entry) in entries {
        if page.is_full() {
            next = key.index();
            break;
        }
        if asked.finds(name(entry)) {
            page.push(|out| row(out, entry));
        }
    }
    page.end(next, places)
}

/// `/admin/api/channels`: a page of channels.
pub(super) fn channels(asked: &Asked, hub: &Hub, app: AppId) -> Response {
    let end = asked.from.saturating_add(PAGE_PLACES_MAX);
    let entries = hub.channels_within(app, asked.from..end);
    list(
        asked,
        hub.channel_places(),
        entries,
        Channel::name,
        |out, channel| {
            push_channel(out, channel);
            out.push(b'}');
        },
    )
}

/// Appends what is known of a channel at a glance; the caller ends the object.
fn push_channel(out: &mut Vec<u8>, channel: &Channel) {
    out.extend_from_slice(b"{\"name\":");
    push_text(out, channel.name());
    out.push(b',');
    push_id(out, "uuid", channel.id());
    for (name, number) in [
        ("connections", channel.subscriber_count()),
        ("users", channel.member_count()),
        ("history", channel.history_len()),
        ("kept_bytes", channel.kept_bytes()),
    ] {
        out.push(b',');
        push_text(out, name);
        out.push(b':');
        push_number(out, number as u64);
    }
    out.extend_from_slice(b",\"last_active\":\"");
    push_stamp(out, channel.last_active_micros());
    out.extend_from_slice(b"\",\"settings\":");
    push_settings(out, channel.settings());
}

/// `/admin/api/channel?name=...&after=...`: one channel with members and history; or, if `after`
/// is given, only what was told in it after that place in the hub's order.
pub(super) fn channel(request: &Request<'_>, ctx: &Ctx<'_>) -> Option<Response> {
    let hub = &*ctx.hub;
    let name = value(request, "name")?;
    let id = hub.find_channel(ctx.app, &name)?;
    let channel = hub.channel(id)?;
    let after = value(request, "after").map(|after| after.parse().unwrap_or(0));
    let mut out = Vec::with_capacity(1024);
    push_channel(&mut out, channel);
    if after.is_none() {
        push_members(&mut out, hub, id);
        push_history(&mut out, channel);
    }
    push_tail(&mut out, channel, after.unwrap_or(0));
    out.push(b'}');
    Some(Response::json(200, out))
}

fn push_members(out: &mut Vec<u8>, hub: &Hub, id: ChannelId) {
    let members = hub.members(id);
    let names = members.iter().filter_map(|&user| hub.user(user));
    out.extend_from_slice(b",\"members\":");
    push_texts(out, names.take(PAGE_ROWS_MAX).map(User::name));
}

/// The newest that fit, oldest first; and whether that is all.
fn push_newest<E>(
    out: &mut Vec<u8>,
    name: &str,
    newest_first: impl Iterator<Item = E>,
    push: impl Fn(&mut Vec<u8>, &E),
) {
    let mut rows: Vec<Vec<u8>> = Vec::new();
    let (mut bytes, mut is_cut) = (0, false);
    for entry in newest_first {
        if rows.len() >= PAGE_ROWS_MAX || bytes >= PAGE_BYTES_MAX {
            is_cut = true;
            break;
        }
        let mut row = Vec::new();
        push(&mut row, &entry);
        bytes += row.len();
        rows.push(row);
    }
    out.push(b',');
    push_text(out, name);
    out.extend_from_slice(b":[");
    for (at, row) in rows.iter().rev().enumerate() {
        push_comma(out, at);
        out.extend_from_slice(row);
    }
    out.extend_from_slice(b"],");
    push_text(out, &format!("{name}_cut"));
    out.push(b':');
    push_bool(out, is_cut);
}

fn push_history(out: &mut Vec<u8>, channel: &Channel) {
    push_newest(out, "history", channel.history().rev(), |out, kept| {
        push_kept(out, kept);
    });
}

/// What was told after `after`, each with its place; `sequence` is where to go on. Edits and
/// deletes are events as well.
fn push_tail(out: &mut Vec<u8>, channel: &Channel, after: u64) {
    let newest = channel.recent_after(after).next_back();
    out.extend_from_slice(b",\"sequence\":");
    push_number(out, newest.map_or(after, |(sequence, _)| sequence));
    let events = channel.recent_after(after).rev();
    push_newest(out, "tail", events, |out, (sequence, event)| {
        out.extend_from_slice(b"{\"sequence\":");
        push_number(out, *sequence);
        out.extend_from_slice(b",\"frame\":");
        push_event(out, event, true);
        out.push(b'}');
    });
}

/// `/admin/api/users`: a page of users, connected or remembered.
pub(super) fn users(asked: &Asked, hub: &Hub, app: AppId) -> Response {
    let end = asked.from.saturating_add(PAGE_PLACES_MAX);
    let entries = hub.users_within(app, asked.from..end);
    list(
        asked,
        hub.user_places(),
        entries,
        User::name,
        |out, user| {
            push_user(out, hub, user);
        },
    )
}

fn push_user(out: &mut Vec<u8>, hub: &Hub, user: &User) {
    out.extend_from_slice(b"{\"user\":");
    push_text(out, user.name());
    out.push(b',');
    push_id(out, "uuid", user.id());
    out.extend_from_slice(b",\"state\":");
    push_state(out, user.state());
    out.extend_from_slice(b",\"public_state\":");
    push_state(out, user.public_state());
    out.extend_from_slice(b",\"connection_count\":");
    push_number(out, user.subscribers().len() as u64);
    out.extend_from_slice(b",\"connections\":[");
    let ids = user.subscribers().iter().take(IDS_LISTED_MAX);
    let subscribers = ids.filter_map(|&who| hub.subscriber(who));
    for (at, subscriber) in subscribers.enumerate() {
        push_comma(out, at);
        out.extend_from_slice(b"{\"conn_id\":\"");
        push_uuid(out, subscriber.id().0);
        out.extend_from_slice(b"\",\"attached\":");
        push_bool(out, !subscriber.outlet().is_none());
        out.extend_from_slice(b",\"channels\":");
        push_number(out, subscriber.channel_count() as u64);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// What a body of `/admin/api/connections/close` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// A socket, by the number in the list of connections.
    Socket(u64),
    /// A connection of Channelstream's, by its id.
    Connection(u128),
}

impl Named {
    /// From `{"id": "..."}` or `{"conn_id": "..."}`.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        let text = |name: &str| body.get(name).and_then(serde_json::Value::as_str);
        match (text("id"), text("conn_id")) {
            (Some(id), None) => id.parse().ok().map(Self::Socket),
            (None, Some(id)) => super::super::fields::parse_uuid(id).map(Self::Connection),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }
}

/// The answer to a close of one of Channelstream's connections.
pub(super) fn close(id: u128, ctx: &mut Ctx<'_>) -> Response {
    let known = ctx.hub.find_subscriber(ctx.app, crate::hub::Id(id));
    let is_gone = known.is_some_and(|who| ctx.hub.depart(who, ctx.now, &mut ctx.io));
    match is_gone {
        true => Response::json(200, r#"{"closed":true}"#),
        false => Response::json(
            404,
            r#"{"error":"not_found","message":"there is no such connection"}"#,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::http::{Headers, Method};

    fn asked(query: Option<&str>) -> Asked {
        Asked::of(&Request {
            method: Method::Get,
            path: "/admin/api/channels",
            query,
            is_1_1: true,
            headers: Headers(&[]),
            body: b"",
        })
    }

    #[test]
    fn a_page_is_never_larger_than_the_limit() {
        for (query, from, rows, search) in [
            (None, 0, 50, ""),
            (Some("limit=200&from=7"), 7, 200, ""),
            (Some("limit=201"), 0, PAGE_ROWS_MAX, ""),
            (Some("limit=99999999999999999999&from=-1"), 0, 50, ""),
            (Some("limit=0"), 0, 1, ""),
            (Some("search=+L%C3%96+"), 0, 50, "lö"),
        ] {
            let asked = asked(query);
            assert_eq!(
                (asked.from, asked.rows, &*asked.search),
                (from, rows, search)
            );
        }
        let greek = "search=%CE%9F%CE%94%CE%9F%CE%A3";
        assert!(asked(Some(greek)).finds("\u{39f}\u{394}\u{39f}\u{3a3}"));
        let long = format!("search={}", "x".repeat(10_000));
        assert_eq!(asked(Some(&long)).search.len(), SEARCH_CHARS_MAX);
        let far = asked(Some("from=18446744073709551615"));
        let hub = Hub::new(crate::hub::HubConfig::default(), 1);
        let page = channels(&far, &hub, AppId::FIRST);
        assert_eq!(page.body, br#"{"rows":[],"next":null}"#);
        assert_eq!(users(&far, &hub, AppId::FIRST).body, page.body);
    }

    #[test]
    fn a_close_names_one_thing() {
        let id = r#"{"conn_id": "00000000-0000-0000-0000-000000000007"}"#;
        assert_eq!(Named::of(id.as_bytes()), Some(Named::Connection(7)));
        assert_eq!(Named::of(br#"{"id": "7"}"#), Some(Named::Socket(7)));
        for wrong in ["", "null", "[]", "{}", r#"{"id": 7}"#, r#"{"id": "-1"}"#] {
            assert_eq!(Named::of(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(
            Named::of(br#"{"id":"7","conn_id":"00000000-0000-0000-0000-000000000007"}"#),
            None
        );
    }
}
