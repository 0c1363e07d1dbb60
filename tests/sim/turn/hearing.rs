//! What clients hear: each thing is compared with what the oracle expects, and reacted to.

use crate::Sabotage;
use crate::oracle::{Cookie, Expect, Phase, Say};
use crate::peer::{self, Item};
use crate::world::{What, World};
use fanwire::handler::ConnId;
use fanwire::limits::{CS_STREAM_RETRY_MS, DRAIN_HEAD_MS, DRAIN_MS};
use fanwire::outbox::Ending;

/// What a slow consumer of Pusher's is told.
const SLOW: &str = "too much was sent that was not read";
/// With what the server asks sockets of Pusher's whether they are there.
const PUSHER_PING: &str = r#"{"event":"pusher:ping""#;

impl World {
    pub(super) fn listen(&mut self, conn: ConnId) {
        loop {
            let row = self.conns.get_mut(conn).expect("only burial removes it");
            let Some(item) = row.inbox.next() else {
                return;
            };
            if let Some(held_back) = row.held_back.take() {
                self.hear(conn, item);
                self.hear(conn, held_back);
                continue;
            }
            if let Item::Text(text) = &item {
                let says = |sabotage, word: &str| self.sabotage == sabotage && text.contains(word);
                if says(Sabotage::MissCount, "internal:subscription_count")
                    || says(Sabotage::ForgetMember, "internal:member_removed")
                {
                    continue;
                }
                if says(Sabotage::TellMemberTwice, "internal:member_added") {
                    self.hear(conn, item.clone());
                    self.hear(conn, item);
                    continue;
                }
            }
            if let Item::Text(text) = &item
                && self.sabotage == Sabotage::HoldSuccess
                && text.contains("internal:subscription_succeeded")
            {
                row.held_back = Some(item);
                continue;
            }
            let is_frame = matches!(&item, Item::Text(text) if text != "[]");
            self.frames += u64::from(is_frame);
            if is_frame && self.frames == 20 {
                match self.sabotage {
                    Sabotage::DropFrame => continue,
                    Sabotage::RepeatFrame => self.hear(conn, item.clone()),
                    Sabotage::SwapFrames => {
                        row.held_back = Some(item);
                        continue;
                    }
                    Sabotage::FlipCatchUp => {
                        let Item::Text(text) = item else {
                            unreachable!("a frame is a text");
                        };
                        let text = text.replace("\"catchup\":false", "\"catchup\":true!");
                        let text = text.replace("\"catchup\":true}", "\"catchup\":false}");
                        self.hear(conn, Item::Text(text.replace("true!", "true")));
                        continue;
                    }
                    _ => {}
                }
            }
            self.hear(conn, item);
        }
    }

    /// The client compares what it hears with what the oracle expects, and reacts.
    fn hear(&mut self, conn: ConnId, item: Item) {
        let now_ms = self.now.mono.0;
        let ending = self.out.ending(conn);
        let row = self.conns.get_mut(conn).expect("only burial removes it");
        match &item {
            Item::Text(text) if text == "[]" => {
                self.summary.heartbeats += 1;
                if self.sabotage != Sabotage::SkipBeat {
                    self.oracle.line(conn).beat_ms = now_ms;
                }
                return;
            }
            Item::Text(text) if text.contains(SLOW) && ending == Some(Ending::Slow) => {
                // Followed by its Close.
                self.oracle.line(conn).expect.clear();
                return;
            }
            Item::Text(text) if row.talker.is_some() && text.starts_with(PUSHER_PING) => {
                self.oracle.sockets.asked += 1;
                if !row.is_silent && !row.is_done {
                    let pong = r#"{"event":"pusher:pong","data":{}}"#;
                    let pong = peer::masked(0x81, pong.as_bytes(), &mut self.chance);
                    row.send(pong, What::Say(Say::Pong), self.reply_at_ms.max(now_ms));
                }
                return;
            }
            Item::Ping(payload) => {
                self.summary.pings += 1;
                if !row.is_silent && !row.is_done {
                    let pong = peer::masked(0x8a, payload, &mut self.chance);
                    row.send(pong, What::Pong, self.reply_at_ms.max(now_ms));
                }
                return;
            }
            Item::Close(1013 | 4100, reason) if ["slow consumer", SLOW].contains(&&**reason) => {
                assert_eq!(
                    ending,
                    Some(Ending::Slow),
                    "only slow consumers are told so"
                );
                self.oracle.line(conn).expect.clear();
                return;
            }
            Item::Answer { status: 408, .. } => {
                let began = row.began_ms.expect("only who has begun is told to be slow");
                let began = if row.digested == 0 {
                    row.opened_ms
                } else {
                    began
                };
                assert!(now_ms - began >= 10_000, "it was not slow");
                let line = self.oracle.line(conn);
                assert!(line.expect.is_empty(), "answers come in order");
                line.phase = Phase::Done;
                self.summary.timeouts += 1;
                return;
            }
            Item::Answer { status: 503, .. } if !self.oracle.expects_503(conn) => {
                assert!(self.oracle.is_draining, "nothing else is a reason");
                assert!(row.began_ms.is_some(), "it has begun");
                let waited_ms = now_ms - self.drained_ms;
                assert!(waited_ms >= DRAIN_HEAD_MS, "it was given time");
                let is_body = row.admitted_s.is_some();
                assert!(!is_body || waited_ms >= DRAIN_MS / 2, "it was given more");
                let line = self.oracle.line(conn);
                assert!(line.expect.is_empty(), "answers come in order");
                line.phase = Phase::Done;
                self.summary.stopped += 1;
                return;
            }
            Item::Close(..) => {
                if !row.is_silent && !row.is_done && !self.chance.one_in(4) {
                    row.is_done = true;
                    let close = peer::close(1000, &mut self.chance);
                    row.send(close, What::Close(1000), self.reply_at_ms.max(now_ms));
                }
            }
            Item::Answer { close, .. } => row.is_done |= *close,
            Item::Block(block) if block.data.is_none() && block.id.is_none() => {
                assert!(block.is_comment && block.retry.is_none(), "a heartbeat");
                self.summary.beats += 1;
                if self.sabotage != Sabotage::SkipBeat {
                    self.oracle.line(conn).beat_ms = now_ms;
                }
                return;
            }
            Item::Text(_) | Item::Pong(_) | Item::Upgraded | Item::StreamHead | Item::Block(_) => {}
        }
        if self.traced {
            self.note(format!("{conn:?} hears {}", short(&item)));
        }
        let expected = self.oracle.line(conn).expect.pop_front();
        let expected = match (expected, &item) {
            (Some(Expect::AnswerOrNot { close, .. }), Item::Answer { status: 503, .. }) => {
                let (status, body) = (503, None);
                Some(Expect::Answer {
                    status,
                    close,
                    body,
                })
            }
            (
                Some(Expect::AnswerOrNot {
                    status,
                    close,
                    body,
                }),
                _,
            ) => Some(Expect::Answer {
                status,
                close,
                body,
            }),
            (expected, _) => expected,
        };
        let Some(expected) = expected else {
            panic!("{conn:?} hears {}, nothing was expected", short(&item));
        };
        self.compare(conn, &expected, &item);
        let line = self.oracle.line(conn);
        line.unsure = line.unsure.saturating_sub(1);
    }

    fn compare(&mut self, conn: ConnId, expected: &Expect, item: &Item) {
        let fits = match (expected, item) {
            (
                Expect::Admin { close, told },
                Item::Answer {
                    status,
                    close: closes,
                    body,
                    head,
                },
            ) => {
                self.summary.statuses.insert(*status);
                let learned = self.oracle.check_told_admin(told, *status, head, body);
                self.learn_login(learned);
                close == closes
            }
            (
                Expect::Answer {
                    status,
                    close,
                    body,
                },
                Item::Answer {
                    status: got,
                    close: closes,
                    body: bytes,
                    head,
                },
            ) => {
                let fits = status == got && close == closes;
                assert_eq!(head.cookie, None, "nobody else is given a cookie");
                let form = (*got == 302).then_some("http://sim.example/admin/sign_in");
                assert_eq!(head.location.as_deref(), form, "where to go");
                if fits && let Some(body) = body {
                    self.oracle.check_body(body, bytes);
                    self.learn(bytes);
                }
                self.summary.statuses.insert(*got);
                if *got == 401 && body.is_none() {
                    self.heard_unknown(conn);
                }
                fits
            }
            (
                Expect::Rest {
                    status,
                    close,
                    body,
                    cookie,
                },
                Item::Answer {
                    status: got,
                    close: closes,
                    body: bytes,
                    head,
                },
            ) => {
                let fits = status == got && close == closes;
                if fits {
                    let text = std::str::from_utf8(bytes).expect("JSON is UTF-8");
                    if let Some(body) = body {
                        self.oracle.check_said(body, text);
                    }
                    let told = head.cookie.as_deref();
                    let is_fine = match cookie {
                        Cookie::No => told.is_none(),
                        Cookie::Gone => told.is_some_and(|told| told.starts_with("sid=;")),
                        Cookie::Sid => told.is_some_and(|told| {
                            let end = told.find(';').unwrap_or(0);
                            let sid = told[..end].strip_prefix("sid=");
                            sid.is_some_and(|sid| text.contains(sid))
                        }),
                    };
                    assert!(is_fine, "{conn:?} is told {told:?}, expected {cookie:?}");
                }
                self.summary.statuses.insert(*got);
                fits
            }
            (Expect::Refusal, Item::Answer { status, close, .. }) => {
                self.summary.statuses.insert(*status);
                *close && (400..=505).contains(status) && *status != 500
            }
            (
                Expect::News {
                    news,
                    close,
                    callback,
                },
                Item::Answer {
                    status,
                    close: closes,
                    body,
                    head: _,
                },
            ) => {
                let fits = *status == 200 && close == closes;
                if fits {
                    self.oracle.check_news(news, callback.as_deref(), body);
                    self.heard_news(conn, news);
                }
                fits
            }
            (Expect::StreamHead, Item::StreamHead) => {
                self.summary.streams += 1;
                true
            }
            (Expect::Start(seen), Item::Block(block)) => {
                let id = block.id.expect("a stream says where it begins");
                self.oracle.check_start(*seen, id);
                self.heard_id(conn, id);
                block.retry == Some(CS_STREAM_RETRY_MS) && block.data.is_none()
            }
            (Expect::Told { event, catch_up }, Item::Block(block)) => {
                let id = block.id.expect("each event has an id");
                let data = block.data.as_deref().expect("an event says something");
                self.oracle.check_told(*event, *catch_up, id, data);
                self.heard_id(conn, id);
                self.summary.streamed += 1;
                self.summary.streamed_late += u64::from(*catch_up);
                true
            }
            (Expect::Upgraded, Item::Upgraded) => true,
            (Expect::Said(words), Item::Text(text)) => {
                self.oracle.check_said(words, text);
                match self.oracle.line(conn).is_pushi {
                    true => self.heard_chat(conn, text),
                    false => self.heard_said(conn, text),
                }
                true
            }
            (Expect::Frame { event, .. }, Item::Text(text))
                if self.oracle.line(conn).silence_ms.is_some() =>
            {
                match self.oracle.line(conn).is_pushi {
                    true => self.oracle.check_pushi(*event, text),
                    false => self.oracle.check_pusher(*event, text),
                }
                self.summary.frames += 1;
                true
            }
            (Expect::Frame { event, catch_up }, Item::Text(text)) => {
                self.oracle.check_frame(*event, *catch_up, text);
                self.summary.frame(text, *catch_up);
                self.alternates(conn, text);
                if self.sabotage == Sabotage::RepeatPresence {
                    self.alternates(conn, text);
                }
                true
            }
            (Expect::Pong(payload), Item::Pong(got)) => payload == got,
            (Expect::Close(code, reason), Item::Close(got, words)) => {
                code == got && reason == words
            }
            (Expect::CloseWith(code), Item::Close(got, words)) => code == got && !words.is_empty(),
            (Expect::BadFrame, Item::Close(code, _)) => [1002, 1007, 1009].contains(code),
            _ => false,
        };
        assert!(
            fits,
            "{conn:?} hears {}, expected {expected:?}",
            short(item)
        );
    }

    /// Whoever listens without a gap hears each user join and part in turns.
    fn alternates(&mut self, conn: ConnId, text: &str) {
        let frame: serde_json::Value = serde_json::from_str(text).expect("compared before");
        let frame = &frame[0];
        if frame["type"] != "presence" || frame["catchup"] == true {
            return;
        }
        self.summary.presence += 1;
        let word = |key: &str| frame[key].as_str().unwrap_or_default().to_owned();
        let joined = frame["message"]["action"] == "joined";
        let line = self.oracle.line(conn);
        if line.unsure > 0 {
            return;
        }
        let before = line
            .presence
            .insert((word("channel"), word("user")), joined);
        assert_ne!(
            before,
            Some(joined),
            "joined and parted come in turns: {text}"
        );
    }
}

fn short(item: &Item) -> String {
    match item {
        Item::Answer {
            status,
            close,
            body,
            head: _,
        } => {
            let body = String::from_utf8_lossy(body);
            format!("{status}{} {body}", if *close { " (last)" } else { "" })
        }
        other => format!("{other:?}"),
    }
}
