//! What the engine counts, and how it is shown.
//!
//! Plain integers: one thread counts and the same thread shows them. The text is that of
//! Prometheus (exposition format 0.0.4); the names are a contract with whoever runs the server.
//! Labels are bounded: never a channel or a user.

use super::Engine;
use crate::handler::{CloseReason, Turn};
use crate::loop_stats::{LoopStats, TURN_EDGES_US};
use crate::store::{COMMIT_EDGES_US, StoreStats, Trouble};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// What the operating system says of the process. Sampled on another thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessStats {
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Processor time in milliseconds, user and system.
    pub cpu_ms: u64,
    /// Open descriptors.
    pub open_fds: u64,
    /// Most descriptors there may be.
    pub max_fds: u64,
    /// When the process started, in seconds since 1970-01-01 UTC.
    pub start_unix_s: u64,
}

/// What the engine counts.
#[derive(Debug, Clone, Default)]
#[allow(
    missing_docs,
    reason = "each is explained by its help text in `Engine::metrics_text`"
)]
pub struct Metrics {
    pub connections_opened: u64,
    pub connections_peak: u64,
    pub requests: u64,
    pub upgrades: u64,
    pub refused: u64,
    pub turned_away: u64,
    pub panics: u64,
    pub messages_received: u64,
    pub messages_over_rate: u64,
    pub changes_not_stored: u64,
    pub store: StoreStats,
    closed_slow: u64,
    closed_panic: u64,
    ended: BTreeMap<&'static str, u64>,
    close_codes: BTreeMap<u16, u64>,
    statuses: BTreeMap<u16, u64>,
    pub(super) process: ProcessStats,
    pub(super) loop_stats: LoopStats,
}

/// Close codes that are counted one by one; the rest is counted together, or a peer could make as
/// many as it likes.
const CLOSE_CODES: [u16; 16] = [
    1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4000,
];

impl Metrics {
    pub(super) fn count_closed(&mut self, why: CloseReason) {
        let word = match why {
            CloseReason::Peer => "peer",
            CloseReason::Asked => "asked",
            CloseReason::SlowConsumer => "slow_consumer",
            CloseReason::Tls => "tls",
            CloseReason::Panic => "panic",
            CloseReason::Stopped => "stopped",
        };
        self.closed_slow += u64::from(why == CloseReason::SlowConsumer);
        self.closed_panic += u64::from(why == CloseReason::Panic);
        *self.ended.entry(word).or_default() += 1;
    }

    pub(super) fn count_close_code(&mut self, code: u16) {
        let code = if CLOSE_CODES.contains(&code) { code } else { 0 };
        *self.close_codes.entry(code).or_default() += 1;
    }

    pub(super) fn count_status(&mut self, status: u16) {
        *self.statuses.entry(status).or_default() += 1;
    }

    /// Answers given with this status.
    pub fn answers(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Slow consumers that were closed.
    pub fn slow_consumers(&self) -> u64 {
        self.closed_slow
    }
}

/// A page of metrics being written.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn row(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// The rows of a histogram of times: upper edges and a sum in microseconds, and how many fell
    /// below each edge and above the one before it, one more than there are edges.
    fn histogram(&mut self, name: &str, edges_us: &[u64], counts: &[u64], sum_us: u64) {
        let mut below = 0;
        let edges = edges_us.iter().map(|us| (*us as f64 / 1e6).to_string());
        for (count, edge) in counts.iter().zip(edges.chain(["+Inf".to_owned()])) {
            below += count;
            let label = format!("{{le=\"{edge}\"}}");
            self.row(&format!("{name}_bucket"), &label, below);
        }
        self.row(&format!("{name}_sum"), "", sum_us as f64 / 1e6);
        self.row(&format!("{name}_count"), "", below);
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.row(name, "", value);
    }
}

impl Engine {
    /// Takes over what the loop has counted, to be shown from now on.
    pub fn note_loop(&mut self, stats: LoopStats) {
        self.world.metrics.loop_stats = stats;
    }

    pub(super) fn metrics_text(&self, turn: &Turn<'_>) -> String {
        let metrics = &self.world.metrics;
        let (channels, subscribers, users) = self.world.hub.counts();
        let totals = self.world.hub.totals();
        let out = turn.out.totals();
        let mut page = Page(String::with_capacity(8 * 1024));
        let (gauge, counter) = ("gauge", "counter");
        let version = env!("CARGO_PKG_VERSION");
        page.head("fanwire_build_info", gauge, "The version that runs.");
        page.row(
            "fanwire_build_info",
            &format!("{{version=\"{version}\"}}"),
            1,
        );
        page.one(
            "fanwire_connections",
            gauge,
            "Open sockets.",
            self.inbound.len(),
        );
        page.one(
            "fanwire_websockets",
            gauge,
            "Open WebSockets.",
            self.sockets_open,
        );
        page.one("fanwire_polls", gauge, "Waiting polls.", self.polls_open);
        page.one(
            "fanwire_streams",
            gauge,
            "Open event streams.",
            self.streams_open,
        );
        page.one(
            "fanwire_jobs",
            gauge,
            "Requests that are answered over several turns.",
            self.jobs(),
        );
        let (announced, dropped) = self.world.facts.counts();
        page.one(
            "fanwire_facts_total",
            counter,
            "Things that webhooks could be told of.",
            announced,
        );
        page.one(
            "fanwire_facts_dropped_total",
            counter,
            "Of these, what found no room where it was to wait.",
            dropped,
        );
        page.one(
            "fanwire_connections_peak",
            gauge,
            "The most sockets that were open at a time.",
            metrics.connections_peak,
        );
        page.one(
            "fanwire_connections_opened_total",
            counter,
            "Sockets opened.",
            metrics.connections_opened,
        );
        page.head(
            "fanwire_connections_closed_total",
            counter,
            "WebSockets ended, by close code.",
        );
        for (code, count) in &metrics.close_codes {
            let code = if *code == 0 {
                "other".to_owned()
            } else {
                code.to_string()
            };
            page.row(
                "fanwire_connections_closed_total",
                &format!("{{code=\"{code}\"}}"),
                count,
            );
        }
        page.head(
            "fanwire_connections_ended_total",
            counter,
            "Sockets ended, by who ended them.",
        );
        for (reason, count) in &metrics.ended {
            let label = format!("{{reason=\"{reason}\"}}");
            page.row("fanwire_connections_ended_total", &label, count);
        }
        page.head(
            "fanwire_handshakes_rejected_total",
            counter,
            "Connections refused before they were any use.",
        );
        let rejected = [
            ("http", metrics.refused),
            ("tls", metrics.loop_stats.tls_failures),
            ("descriptors", metrics.loop_stats.accept_pauses),
            ("address", metrics.loop_stats.refused_per_address),
        ];
        for (reason, count) in rejected {
            let label = format!("{{reason=\"{reason}\"}}");
            page.row("fanwire_handshakes_rejected_total", &label, count);
        }
        page.one(
            "fanwire_http_turned_away_total",
            counter,
            "Requests answered at their head, so that their body was not taken.",
            metrics.turned_away,
        );
        page.head(
            "fanwire_http_answers_total",
            counter,
            "HTTP answers, by status.",
        );
        for (status, count) in &metrics.statuses {
            let label = format!("{{code=\"{status}\"}}");
            page.row("fanwire_http_answers_total", &label, count);
        }
        page.one(
            "fanwire_subscriptions",
            gauge,
            "Subscriptions.",
            totals.subscriptions,
        );
        page.one("fanwire_channels", gauge, "Channels.", channels);
        page.one(
            "fanwire_subscribers",
            gauge,
            "Subscribers, with a socket or not.",
            subscribers,
        );
        page.one("fanwire_users", gauge, "Users anything is known of.", users);
        page.one(
            "fanwire_messages_published_total",
            counter,
            "Messages published, also to nobody.",
            totals.published,
        );
        page.one(
            "fanwire_messages_delivered_total",
            counter,
            "Messages queued for a connection.",
            totals.delivered,
        );
        page.head(
            "fanwire_messages_dropped_total",
            counter,
            "Frames that were queued and never left, and messages from clients over their rate.",
        );
        page.row(
            "fanwire_messages_dropped_total",
            "{reason=\"connection_ended\"}",
            out.frames_dropped,
        );
        page.row(
            "fanwire_messages_dropped_total",
            "{reason=\"over_rate\"}",
            metrics.messages_over_rate,
        );
        page.one(
            "fanwire_messages_received_total",
            counter,
            "Messages from WebSocket clients.",
            metrics.messages_received,
        );
        page.one(
            "fanwire_outbound_queue_bytes",
            gauge,
            "Bytes waiting in all out-queues.",
            turn.out.queued_bytes(),
        );
        page.one(
            "fanwire_slow_consumers_total",
            counter,
            "Peers ended because they did not read.",
            out.slow_consumers,
        );
        self.loop_metrics(&mut page);
        self.store_metrics(&mut page);
        page.0
    }

    fn store_metrics(&self, page: &mut Page) {
        let (gauge, counter) = ("gauge", "counter");
        let metrics = &self.world.metrics;
        let stats = &metrics.store;
        let name = "fanwire_store_commit_seconds";
        page.head(
            name,
            "histogram",
            "Length of a commit, syncing included where each commit is synced.",
        );
        let lengths = &stats.commit_lengths;
        page.histogram(name, &COMMIT_EDGES_US, lengths, stats.commit_us);
        let counters = [
            (
                "fanwire_store_commit_failures_total",
                "Commits that failed; nothing of them was kept.",
                stats.failures,
            ),
            (
                "fanwire_store_writes_total",
                "Writes that were kept.",
                stats.writes,
            ),
            (
                "fanwire_store_events_total",
                "Events that were kept, one for each channel.",
                stats.events,
            ),
            (
                "fanwire_store_questions_total",
                "Questions that were asked.",
                stats.questions,
            ),
            (
                "fanwire_store_events_retired_total",
                "Events that were cleared away, for their age or their bytes.",
                stats.retired,
            ),
            (
                "fanwire_store_changes_lost_total",
                "Changes to channels and users that could not be stored.",
                metrics.changes_not_stored,
            ),
        ];
        for (name, help, value) in counters {
            page.one(name, counter, help, value);
        }
        let (jobs, bytes) = self.world.store.waiting();
        let store = "{service=\"store\"}";
        let name = "fanwire_side_queue_length";
        page.head(name, gauge, "Jobs that were handed over and are not done.");
        page.row(name, store, jobs);
        let name = "fanwire_side_queue_bytes";
        page.head(name, gauge, "Bytes of the writes among them.");
        page.row(name, store, bytes);
        let is_up = match self.world.store.trouble() {
            None | Some(Trouble::Busy) => 1,
            Some(Trouble::DiskFull | Trouble::Failing | Trouble::Absent) => 0,
        };
        page.one(
            "fanwire_store_up",
            gauge,
            "Whether the store takes what is to be kept.",
            is_up,
        );
    }

    fn loop_metrics(&self, page: &mut Page) {
        let (gauge, counter) = ("gauge", "counter");
        let metrics = &self.world.metrics;
        let stats = &metrics.loop_stats;
        let name = "fanwire_loop_turn_seconds";
        page.head(
            name,
            "histogram",
            "Length of a turn of the loop, waiting not counted.",
        );
        page.histogram(name, &TURN_EDGES_US, &stats.turn_lengths, stats.busy_us);
        page.one(
            "fanwire_panics_total",
            counter,
            "Panics caught; each cost one peer.",
            metrics.panics + stats.panics,
        );
        page.one(
            "fanwire_bytes_read_total",
            counter,
            "Bytes read.",
            stats.bytes_read,
        );
        page.one(
            "fanwire_bytes_written_total",
            counter,
            "Bytes written.",
            stats.bytes_written,
        );
        page.one(
            "fanwire_mail_total",
            counter,
            "Letters from other threads.",
            stats.letters,
        );
        page.head("fanwire_memory_bytes", gauge, "Bytes held, by kind.");
        let kept = self.world.hub.kept_bytes();
        page.row("fanwire_memory_bytes", "{kind=\"history\"}", kept);
        let process = &metrics.process;
        page.one(
            "process_resident_memory_bytes",
            gauge,
            "Resident memory.",
            process.resident_bytes,
        );
        page.one(
            "process_cpu_seconds_total",
            counter,
            "Processor time, user and system.",
            process.cpu_ms as f64 / 1e3,
        );
        page.one(
            "process_open_fds",
            gauge,
            "Open descriptors.",
            process.open_fds,
        );
        page.one(
            "process_max_fds",
            gauge,
            "Most open descriptors.",
            process.max_fds,
        );
        page.one(
            "process_start_time_seconds",
            gauge,
            "Start, since 1970-01-01 UTC.",
            process.start_unix_s,
        );
    }
}
