//! Clients that listen over HTTP: polls one after the other, event streams that come back, and all
//! that may happen to them meanwhile.

use super::{Row, What, World};
use crate::mischief::ODD;
use crate::oracle::{Call, Listening, Signed};
use crate::peer;
use fanwire::handler::ConnId;

/// What a client that listens knows of it.
#[derive(Debug, Clone)]
pub struct Listener {
    id: String,
    /// Answers it waits for; a stream is waited for without end.
    waits: usize,
    pub is_stream: bool,
}

impl World {
    /// Somebody who listens does something.
    pub(super) fn listening_deed(&mut self) {
        match self.chance.below(24) {
            0..=5 => {
                let id = self.id();
                self.poll_anew(id);
            }
            6..=8 => {
                let id = self.id();
                self.open_stream(id);
            }
            9 | 10 => {
                // It hangs up, and perhaps somebody goes on for it.
                let Some((conn, listener)) = self.any_listener() else {
                    return;
                };
                let ends = self.chance.one_in(2);
                let row = self.conns.get_mut(conn).expect("listed a moment ago");
                if ends {
                    row.link.is_finished = true;
                } else {
                    row.link.is_reset = true;
                }
                row.is_done = true;
                row.listens = None;
                match self.chance.below(4) {
                    0 => {}
                    1 => self.poll_anew(listener.id),
                    2 => self.open_stream(listener.id),
                    _ => self.take_socket(listener.id, None),
                }
            }
            11 | 12 => {
                if let Some((_, listener)) = self.any_listener() {
                    self.poll_anew(listener.id);
                }
            }
            13 | 14 => {
                if let Some((_, listener)) = self.any_listener() {
                    self.open_stream(listener.id);
                }
            }
            15 => {
                if let Some((_, listener)) = self.any_listener() {
                    self.take_socket(listener.id, None);
                }
            }
            16 if self.chance.one_in(3) => {
                if let Some((_, Listener { id, .. })) = self.any_listener() {
                    let target = format!("/disconnect?conn_id={id}");
                    self.ask("GET", &target, "", Call::Disconnect { id });
                }
            }
            17 | 18 => self.send_behind(),
            19 => {
                let ms = self.chance.within(100, 2_500);
                let asleep = self.chance.one_in(4);
                self.pass(ms, asleep);
            }
            _ => {}
        }
    }

    fn any_listener(&mut self) -> Option<(ConnId, Listener)> {
        let able = |row: &Row| !row.is_done && !row.is_silent;
        let there: Vec<(ConnId, Listener)> = self
            .conns
            .iter()
            .filter(|(_, row)| able(row))
            .filter_map(|(conn, row)| Some((conn, row.listens.clone()?)))
            .collect();
        (!there.is_empty()).then(|| self.chance.pick(&there).clone())
    }

    /// A request for news, and whether it is the connection's last.
    fn poll(&mut self, id: &str) -> (Vec<u8>, What, bool) {
        let callback = self.chance.one_in(6).then(|| "jsonp.call_1".to_owned());
        let target = match &callback {
            Some(name) => format!("/listen?conn_id={id}&callback={name}"),
            None => format!("/listen?conn_id={id}"),
        };
        let asks_close = self.chance.one_in(15);
        let headers: &[(&str, &str)] = match asks_close {
            true => &[("Connection", "close")],
            false => &[],
        };
        let bytes = peer::request("GET", &target, headers, b"", &mut self.chance);
        let call = Call::Listen {
            id: id.to_owned(),
            how: Listening::Poll { callback },
        };
        let what = What::Request {
            call,
            signed: Signed::No,
            asks_close,
        };
        (bytes, what, asks_close)
    }

    /// A poll on a fresh connection.
    fn poll_anew(&mut self, id: String) {
        let mut row = self.row(false);
        let at = self.send_at();
        let (bytes, what, is_last) = self.poll(&id);
        row.send(bytes, what, at);
        row.is_done = is_last;
        row.listens = Some(Listener {
            id,
            waits: 1,
            is_stream: false,
        });
        self.knocking.push(row);
    }

    /// Another poll on a connection that is there.
    fn poll_on(&mut self, conn: ConnId, id: String, at: u64) {
        let (bytes, what, is_last) = self.poll(&id);
        let row = self.conns.get_mut(conn).expect("it is there");
        row.send(bytes, what, at);
        row.is_done |= is_last;
        let listens = row.listens.get_or_insert(Listener {
            id,
            waits: 0,
            is_stream: false,
        });
        listens.waits += 1;
    }

    /// A browser opens an event stream, for the first time or again.
    fn open_stream(&mut self, id: String) {
        let mut row = self.row(false);
        let at = self.send_at();
        let known = self.last_ids.get(&id).cloned().unwrap_or_default();
        let last = match self.chance.below(10) {
            0 | 1 => None,
            2 => Some(0),
            3 => Some(u64::MAX),
            4 if !known.is_empty() => Some(*self.chance.pick(&known)),
            _ => known.last().copied(),
        };
        let said = match last {
            Some(last) => last.to_string(),
            None => "nonsense".to_owned(),
        };
        let mut headers = vec![("Accept", "text/event-stream")];
        if last.is_some() || self.chance.one_in(4) {
            headers.push(("Last-Event-ID", &*said));
        }
        let target = format!("/listen?conn_id={id}");
        let bytes = peer::request("GET", &target, &headers, b"", &mut self.chance);
        let what = What::Request {
            call: Call::Listen {
                id: id.clone(),
                how: Listening::Stream { last },
            },
            signed: Signed::No,
            asks_close: false,
        };
        row.send(bytes, what, at);
        if self.chance.one_in(10) {
            // Nothing but news from here on.
            self.append_odd(&mut row, at);
        }
        row.listens = Some(Listener {
            id,
            waits: usize::MAX,
            is_stream: true,
        });
        self.knocking.push(row);
    }

    /// A socket for a connection that is listened for, on one of its own or on this one.
    fn take_socket(&mut self, id: String, conn: Option<ConnId>) {
        let at = self.send_at();
        let bytes = peer::handshake(&format!("/ws?conn_id={id}"), &mut self.chance);
        match conn.and_then(|conn| self.conns.get_mut(conn)) {
            Some(row) => {
                row.is_socket = true;
                row.listens = None;
                row.send(bytes, What::Handshake(Some(id)), at);
            }
            None => {
                let mut row = self.row(true);
                row.send(bytes, What::Handshake(Some(id)), at);
                self.knocking.push(row);
            }
        }
    }

    fn append_odd(&mut self, row: &mut Row, at: u64) {
        let odd = ODD.iter().find(|odd| odd.target == "/health/live");
        let odd = odd.expect("one of them");
        let bytes = peer::request(odd.method, odd.target, &[], b"", &mut self.chance);
        let what = What::Request {
            call: Call::Odd {
                status: odd.status,
                is_signed: odd.is_signed,
            },
            signed: Signed::No,
            asks_close: false,
        };
        row.send(bytes, what, at);
    }

    /// Something is sent behind a poll, and has to wait for its answer.
    fn send_behind(&mut self) {
        let Some((conn, listener)) = self.any_listener() else {
            return;
        };
        if listener.is_stream {
            return;
        }
        let at = self.send_at();
        match self.chance.below(4) {
            0 => self.poll_on(conn, listener.id, at),
            1 => self.take_socket(listener.id, Some(conn)),
            2 => {
                let target = format!("/disconnect?conn_id={}", listener.id);
                let bytes = peer::request("GET", &target, &[], b"", &mut self.chance);
                let what = What::Request {
                    call: Call::Disconnect { id: listener.id },
                    signed: Signed::No,
                    asks_close: false,
                };
                let row = self.conns.get_mut(conn).expect("listed a moment ago");
                row.send(bytes, what, at);
            }
            _ => {
                let bytes = peer::request("GET", "/health/live", &[], b"", &mut self.chance);
                let what = What::Request {
                    call: Call::Odd {
                        status: 200,
                        is_signed: false,
                    },
                    signed: Signed::No,
                    asks_close: false,
                };
                let row = self.conns.get_mut(conn).expect("listed a moment ago");
                row.send(bytes, what, at);
            }
        }
    }

    /// A poll was answered; mostly the next one follows.
    pub fn heard_news(&mut self, conn: ConnId, news: &[(usize, bool)]) {
        self.summary.polls += u64::from(!news.is_empty());
        self.summary.polls_empty += u64::from(news.is_empty());
        self.summary.polled += news.len() as u64;
        let late = news.iter().filter(|(_, catch_up)| *catch_up);
        self.summary.polled_late += late.count() as u64;
        let at = self.reply_at_ms.max(self.now.mono.0) + self.chance.within(0, self.delay_ms);
        let row = self.conns.get_mut(conn).expect("it has just heard");
        let Some(listens) = &mut row.listens else {
            return;
        };
        listens.waits = listens.waits.saturating_sub(1);
        if listens.waits > 0 {
            return;
        }
        let id = listens.id.clone();
        row.listens = None;
        if row.is_done || row.is_silent {
            return;
        }
        match self.chance.below(10) {
            0 => {}
            1 => self.take_socket(id, Some(conn)),
            2 => self.open_stream(id),
            3 => self.poll_anew(id),
            _ => self.poll_on(conn, id, at),
        }
    }

    /// Whom it listens for is not known.
    pub fn heard_unknown(&mut self, conn: ConnId) {
        let row = self.conns.get_mut(conn).expect("it has just heard");
        row.listens = None;
    }

    /// The server has begun anew, and counts anew.
    pub fn forget_last_ids(&mut self) {
        self.last_ids.clear();
    }

    /// A stream told an id, with which its client may come back.
    pub fn heard_id(&mut self, conn: ConnId, id: u64) {
        let row = self.conns.get(conn).expect("it has just heard");
        if let Some(listens) = &row.listens {
            let known = self.last_ids.entry(listens.id.clone()).or_default();
            known.push(id);
            known.drain(..known.len().saturating_sub(8));
        }
    }
}
