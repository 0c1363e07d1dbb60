//! What one delivery costs: a message to N subscribers through the hub and the outbox, and its way
//! out again as far as the socket.
//!
//! Beside it stand two simpler ways. One encodes once and copies the bytes into a buffer of each
//! peer, as most small servers do. The other is a hub as one would write it first: maps from names
//! to sets of ids, and from ids to queues.

mod support;

use fanwire::frame::{Frame, FrameWriter, Opcode};
use fanwire::handler::{Conn, ConnId};
use fanwire::hub::{
    AppId, Effects, Event, Format, HangUp, Hub, HubConfig, Id, NewMessage, Settings, Stamp,
    SubscriberId,
};
use fanwire::outbox::Outbox;
use fanwire::table::Table;
use fanwire::time::{Millis, Now};
use support::{Bench, Dice, median, timed};

const BODY: &str = r#"{"text":"all things considered, a short text","n":12345}"#;
const NOW: Now = Now {
    mono: Millis(1_000),
    unix_micros: 1_600_000_000_000_000,
};

/// Encodes as the dialect does and queues.
struct Io {
    out: Outbox,
    writer: FrameWriter,
    ids: u128,
}

impl Effects for Io {
    fn encode(&mut self, _: Format, event: &Event<'_>, _: bool, _: u64) -> Option<Frame> {
        let Event::Message(message) = event else {
            unreachable!("nobody is told of presence here");
        };
        let payload = self.writer.begin();
        payload.extend_from_slice(br#"[{"message":"#);
        payload.extend_from_slice(message.body.unwrap_or("null").as_bytes());
        payload.extend_from_slice(b"}]");
        Some(self.writer.finish(Opcode::Text))
    }

    fn id(&mut self) -> Id {
        self.ids += 1;
        Id(self.ids)
    }

    #[inline]
    fn send(&mut self, to: ConnId, frame: &Frame) {
        self.out.push(to, frame);
    }

    fn send_kept(&mut self, to: ConnId, frame: &Frame) {
        self.out.push_kept(to, frame);
    }

    fn hang_up(&mut self, _: ConnId, _: Format, _: HangUp) {}
}

/// How the listeners' connections lie in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Near,
    Scattered,
}

fn whole_hub(bench: Bench, count: usize, order: Order, per_turn: usize, body: &str) {
    let mut io = Io {
        out: Outbox::default(),
        writer: FrameWriter::new(),
        ids: 0,
    };
    let mut hub = Hub::new(HubConfig::default(), 1);
    let mut conns: Table<Conn, ()> = Table::new();
    let mut outlets: Vec<ConnId> = (0..count).map(|_| conns.insert(())).collect();
    outlets.iter().for_each(|&conn| io.out.open(conn));
    if order == Order::Scattered {
        Dice(7).shuffle(&mut outlets);
    }
    let room = hub.ensure_channel(AppId::FIRST, "room", Settings::default(), NOW, &mut io);
    for (number, &outlet) in outlets.iter().enumerate() {
        let (user, _) = hub.ensure_user(AppId::FIRST, &format!("user-{number}"), &mut io);
        let id = io.id();
        let who = hub
            .connect(user, id, Format(0), Millis(100_000))
            .expect("a fresh id");
        hub.subscribe(who, room, NOW, &mut io)
            .expect("there is room");
        hub.attach(who, outlet, &mut io);
    }
    let message = NewMessage {
        id: Id(1),
        at: Stamp::from_unix_micros(NOW.unix_micros),
        user: "bench".into(),
        channel: Some("room".into()),
        only: Vec::new(),
        except: Vec::new(),
        no_history: false,
        event: None,
        body: Some(body),
        extra: None,
        stored: false,
        except_subscriber: SubscriberId::NONE,
    };
    let rounds = (bench.size(400_000, 4_000_000) / (count * per_turn)).max(7);
    let (mut queue, mut drain) = (Vec::new(), Vec::new());
    for round in 0..rounds + 2 {
        let (queued, delivered) = timed(|| {
            (0..per_turn)
                .map(|_| hub.publish(AppId::FIRST, &message, NOW, &mut io))
                .sum::<u64>()
        });
        assert_eq!(delivered, (count * per_turn) as u64, "all are reached");
        let queued_bytes = io.out.queued_bytes();
        let (drained, (frames, bytes)) = timed(|| drain_all(&mut io.out));
        assert_eq!(frames, count * per_turn, "every delivery leaves");
        assert_eq!(bytes, queued_bytes, "every byte leaves");
        assert_eq!(io.out.queued_bytes(), 0);
        // The first rounds warm up.
        if round >= 2 {
            queue.push(queued.as_nanos() as f64 / (count * per_turn) as f64);
            drain.push(drained.as_nanos() as f64 / (count * per_turn) as f64);
        }
    }
    let order = if order == Order::Near {
        "near"
    } else {
        "scattered"
    };
    let case = format!(
        "{count} subscribers, {} bytes, {order}, {per_turn} per turn",
        body.len()
    );
    bench.report(&format!("{case}: queue"), median(queue), "ns/delivery");
    bench.report(&format!("{case}: drain"), median(drain), "ns/delivery");
}

/// The reactor's flush without the sockets: looks at every piece's bytes and lets go of them.
fn drain_all(out: &mut Outbox) -> (usize, usize) {
    let (mut frames, mut bytes) = (0, 0);
    let dirty = out.take_dirty();
    for &conn in &dirty {
        let Some(queue) = out.visit(conn) else {
            continue;
        };
        let (pieces, _) = out.pieces(conn);
        frames += pieces
            .map(|piece| usize::from(piece[0] == 0x81))
            .sum::<usize>();
        bytes += queue.bytes;
        out.advance(conn, queue.bytes);
    }
    out.recycle(dirty);
    (frames, bytes)
}

/// Encodes once and copies into a buffer of each peer; a list of those who have something.
fn naive_copy(bench: Bench, count: usize, body: &str) {
    let mut writer = FrameWriter::new();
    let mut peers: Vec<Vec<u8>> = vec![Vec::new(); count];
    let mut dirty: Vec<usize> = Vec::new();
    let rounds = (bench.size(400_000, 4_000_000) / count).max(7);
    let (mut queue, mut drain) = (Vec::new(), Vec::new());
    for round in 0..rounds + 2 {
        let (queued, length) = timed(|| {
            let frame = writer.websocket(
                Opcode::Text,
                format!(r#"[{{"message":{body}}}]"#).as_bytes(),
            );
            for (place, peer) in peers.iter_mut().enumerate() {
                if peer.is_empty() {
                    dirty.push(place);
                }
                peer.extend_from_slice(&frame);
            }
            frame.len()
        });
        let (drained, bytes) = timed(|| {
            let mut bytes = 0;
            for place in dirty.drain(..) {
                assert_eq!(peers[place][0], 0x81);
                bytes += peers[place].len();
                peers[place].clear();
            }
            bytes
        });
        assert_eq!(bytes, length * count);
        if round >= 2 {
            queue.push(queued.as_nanos() as f64 / count as f64);
            drain.push(drained.as_nanos() as f64 / count as f64);
        }
    }
    let case = format!(
        "{count} subscribers, {} bytes, copied into each",
        body.len()
    );
    bench.report(&format!("{case}: queue"), median(queue), "ns/delivery");
    bench.report(&format!("{case}: drain"), median(drain), "ns/delivery");
}

/// A hub as one would write it first.
#[allow(clippy::disallowed_types, reason = "it is what the comparison is with")]
fn naive_maps(bench: Bench, count: usize) {
    use std::collections::{HashMap, HashSet};
    let mut channels: HashMap<String, HashSet<u64>> = HashMap::new();
    let mut queues: HashMap<u64, Vec<Frame>> = HashMap::new();
    for id in 0..count as u64 {
        channels.entry("room".to_owned()).or_default().insert(id);
        queues.insert(id, Vec::new());
    }
    let mut writer = FrameWriter::new();
    let rounds = (bench.size(400_000, 2_000_000) / count).max(7);
    let (mut queue, mut drain) = (Vec::new(), Vec::new());
    for round in 0..rounds + 2 {
        let (queued, delivered) = timed(|| {
            let frame = writer.websocket(
                Opcode::Text,
                format!(r#"[{{"message":{BODY}}}]"#).as_bytes(),
            );
            let mut delivered = 0;
            for id in &channels["room"] {
                if let Some(queue) = queues.get_mut(id) {
                    queue.push(frame.clone());
                    delivered += 1;
                }
            }
            delivered
        });
        let (drained, frames) = timed(|| {
            let queues = queues.values_mut();
            queues.map(|queue| queue.drain(..).count()).sum::<usize>()
        });
        assert_eq!((delivered, frames), (count, count));
        if round >= 2 {
            queue.push(queued.as_nanos() as f64 / count as f64);
            drain.push(drained.as_nanos() as f64 / count as f64);
        }
    }
    let case = format!("{count} subscribers, {} bytes, maps and sets", BODY.len());
    bench.report(&format!("{case}: queue"), median(queue), "ns/delivery");
    bench.report(&format!("{case}: drain"), median(drain), "ns/delivery");
}

fn main() {
    let bench = Bench::from_args("fanout");
    for count in [1_000, 10_000, 100_000] {
        whole_hub(bench, count, Order::Near, 1, BODY);
        naive_copy(bench, count, BODY);
        naive_maps(bench, count);
    }
    whole_hub(bench, 10_000, Order::Near, 4, BODY);
    whole_hub(bench, 100_000, Order::Scattered, 1, BODY);
    // A copy's price is its length.
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(1_000));
    whole_hub(bench, 10_000, Order::Near, 1, &long);
    naive_copy(bench, 10_000, &long);
}
