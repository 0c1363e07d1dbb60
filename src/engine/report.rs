//! What an admin asks of the engine: how things stand, which connections there are, and that one
//! of them ends. Who asks was checked by the dialect.

use super::{Engine, Phase};
use crate::dialect::Report;
use crate::dialect::channelstream::stamps::{push_text, push_uuid};
use crate::handler::{ConnId, Turn};
use crate::hub::HangUp;
use crate::limits::{PAGE_PLACES_MAX, PAGE_ROWS_MAX};
use crate::loop_stats::TURN_EDGES_US;
use crate::outbox::Ending;
use crate::transport::http::Response;
use std::fmt::Write;

/// A list of numbers as JSON.
fn numbers(list: &[u64]) -> String {
    let texts: Vec<String> = list.iter().map(u64::to_string).collect();
    format!("[{}]", texts.join(","))
}

impl Engine {
    /// Answers `report`, which the peer on `asking` wants.
    pub(super) fn report(
        &mut self,
        report: &Report,
        asking: ConnId,
        turn: &mut Turn<'_>,
    ) -> Response {
        let answer = match report {
            Report::Overview => Response::json(200, self.overview(turn)),
            Report::Connections { from, rows, search } => Response::json(
                200,
                self.connections_page((*from, *rows), search, asking, turn),
            ),
            Report::Close(conn) => self.close_one(*conn, asking, turn),
        };
        answer.with("Cache-Control", "no-store")
    }

    fn overview(&self, turn: &Turn<'_>) -> String {
        let metrics = &self.world.metrics;
        let (stats, totals) = (self.stats(turn), self.world.hub.totals());
        let (process, turns) = (&metrics.process, &metrics.loop_stats);
        let out = turn.out.totals();
        let version = env!("CARGO_PKG_VERSION");
        let mut text = format!(
            "{{\"version\":\"{version}\",\"draining\":{}",
            self.is_draining()
        );
        for (name, number) in [
            ("now_ms", turn.now.unix_micros / 1000),
            ("uptime_s", turn.now.mono.0 / 1000),
            ("connections", stats.connections),
            ("connections_peak", metrics.connections_peak),
            ("connections_opened", metrics.connections_opened),
            ("websockets", self.sockets_open),
            ("subscribers", stats.subscribers),
            ("subscriptions", totals.subscriptions),
            ("users", stats.users),
            ("channels", stats.channels),
            ("published", stats.published),
            ("delivered", stats.delivered),
            ("requests", metrics.requests),
            ("queued_bytes", stats.queued_bytes),
            ("slow_consumers", out.slow_consumers),
            ("panics", metrics.panics + turns.panics),
            ("jobs", self.jobs() as u64),
            ("bytes_read", turns.bytes_read),
            ("bytes_written", turns.bytes_written),
            ("resident_bytes", process.resident_bytes),
            ("cpu_ms", process.cpu_ms),
            ("open_fds", process.open_fds),
            ("max_fds", process.max_fds),
            ("turns", turns.turns),
            ("turns_busy_us", turns.busy_us),
            ("turn_longest_us", turns.turn_longest_us),
        ] {
            let _ = write!(text, ",\"{name}\":{number}");
        }
        let _ = write!(
            text,
            ",\"turn_edges_us\":{},\"turn_lengths\":{}}}",
            numbers(&TURN_EDGES_US),
            numbers(&turns.turn_lengths)
        );
        text
    }

    fn connections_page(
        &self,
        (from, rows): (usize, usize),
        search: &str,
        asking: ConnId,
        turn: &Turn<'_>,
    ) -> String {
        let end = from.saturating_add(PAGE_PLACES_MAX);
        let (mut text, mut count) = (b"{\"rows\":[".to_vec(), 0);
        let (mut next, mut row, mut words) = (end, Vec::new(), String::new());
        for (conn, _) in self.inbound.within(from..end) {
            if count >= rows.min(PAGE_ROWS_MAX) {
                next = conn.index();
                break;
            }
            row.clear();
            words.clear();
            self.push_connection((&mut row, &mut words), conn, asking, turn);
            if search.is_empty() || words.to_lowercase().contains(search) {
                if count > 0 {
                    text.push(b',');
                }
                text.extend_from_slice(&row);
                count += 1;
            }
        }
        let next = match next < self.inbound.places() {
            true => next.to_string(),
            false => "null".to_owned(),
        };
        text.extend_from_slice(format!("],\"next\":{next}}}").as_bytes());
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Appends a row, and to `words` what it is found by, one in each line.
    fn push_connection(
        &self,
        (out, words): (&mut Vec<u8>, &mut String),
        conn: ConnId,
        asking: ConnId,
        turn: &Turn<'_>,
    ) {
        let Some(inbound) = self.inbound.get(conn) else {
            return;
        };
        let now = turn.now.mono;
        let (transport, heard, address) = match &inbound.phase {
            Phase::Http(http) => {
                let address = http.from().peer.map(|peer| peer.ip().to_string());
                ("http", Some(http.since()), address)
            }
            Phase::Open(open) => ("websocket", Some(open.heard()), None),
            Phase::Parked(parked) => {
                let address = parked.http.from().peer.map(|peer| peer.ip().to_string());
                ("poll", Some(parked.http.since()), address)
            }
            Phase::Streaming(_) => ("stream", None, None),
            // What asks right now stands here as well: it is taken out while it is answered.
            Phase::Done if conn == asking => ("http", None, None),
            Phase::Closing(_) | Phase::Done => ("closing", None, None),
        };
        let text = format!(
            "{{\"id\":\"{}\",\"transport\":\"{transport}\",\"age_ms\":{},\"queue_bytes\":{},\
             \"heard_ms_ago\":{}",
            conn.to_bits(),
            now.since(inbound.opened),
            turn.out.queued(conn),
            heard.map_or(0, |heard| now.since(heard)),
        );
        out.extend_from_slice(text.as_bytes());
        // Writing to a string does not fail, here and below.
        let _ = writeln!(words, "{}\n{transport}", conn.to_bits());
        if conn == asking {
            out.extend_from_slice(b",\"asking\":true");
        }
        if let Some(address) = address {
            out.extend_from_slice(b",\"address\":");
            push_text(out, &address);
            let _ = writeln!(words, "{address}");
        }
        let hub = &self.world.hub;
        let who = match &inbound.phase {
            Phase::Open(open) => Some(open.who()),
            Phase::Parked(parked) => Some(parked.who()),
            Phase::Streaming(streaming) => Some(streaming.who()),
            Phase::Http(_) | Phase::Closing(_) | Phase::Done => None,
        };
        if let Some(who) = who.and_then(|who| hub.subscriber(who)) {
            out.extend_from_slice(b",\"user\":");
            let name = hub.user(who.user()).map_or("", |user| user.name());
            push_text(out, name);
            out.extend_from_slice(b",\"conn_id\":\"");
            let start = out.len();
            push_uuid(out, who.id().0);
            let id = String::from_utf8_lossy(out.get(start..).unwrap_or_default());
            let _ = writeln!(words, "{name}\n{id}");
            let channels = who.channel_count();
            out.extend_from_slice(format!("\",\"channels\":{channels}").as_bytes());
        }
        out.push(b'}');
    }

    /// Ends a connection: whoever listens on it leaves its channels and is told so, others just
    /// end. Who asks gets the answer first.
    fn close_one(&mut self, conn: ConnId, asking: ConnId, turn: &mut Turn<'_>) -> Response {
        let closed = r#"{"closed":true}"#;
        if conn == asking {
            return Response {
                close: true,
                ..Response::json(200, closed)
            };
        }
        let Some(inbound) = self.inbound.get_mut(conn) else {
            let words = r#"{"error":"not_found","message":"there is no such connection"}"#;
            return Response::json(404, words);
        };
        let who = match &inbound.phase {
            Phase::Open(open) => Some(open.who()),
            Phase::Parked(parked) => Some(parked.who()),
            Phase::Streaming(streaming) => Some(streaming.who()),
            Phase::Http(_) | Phase::Closing(_) | Phase::Done => None,
        };
        match who {
            Some(who) => {
                let now = turn.now;
                // Its end follows with the other hang-ups of this turn.
                let is_told = self
                    .world
                    .hub_with(turn, |hub, io| hub.remove(who, HangUp::Removed, now, io));
                if !is_told {
                    turn.out.end(conn, Ending::Abort);
                }
            }
            None => {
                inbound.phase = Phase::Done;
                turn.out.end(conn, Ending::Abort);
            }
        }
        Response::json(200, closed)
    }
}
