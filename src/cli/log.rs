//! Where log lines go: standard error, as text on a terminal and as JSON lines otherwise.
//!
//! The loop must never wait for whoever reads the log. It hands each line to a thread through a
//! bounded queue; when the reader is slow and the queue full, the line is dropped and counted, and
//! the count is the next thing the reader sees.

use log::{LevelFilter, Log, Metadata, Record};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lines that wait for the thread.
const LINES_MAX: usize = 1024;
/// A longer message is cut.
const MESSAGE_BYTES_MAX: usize = 4096;
/// How long the end of the process waits for the last lines to be read.
const FLUSH_MS: u64 = 500;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Text,
    Json,
}

enum Letter {
    Line(String),
    /// Everything before it has been written when the answer comes.
    Flush(Sender<()>),
}

struct Logger {
    style: Style,
    letters: SyncSender<Letter>,
    dropped: Arc<AtomicU64>,
}

/// Starts logging at this level; to be called once. Later changes of the level go through
/// [`log::set_max_level`].
pub(super) fn start(level: LevelFilter) {
    let style = if io::stderr().is_terminal() {
        Style::Text
    } else {
        Style::Json
    };
    let (logger, work) = logger(style, io::stderr());
    let thread = std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(work);
    // Without its thread there is nobody to write; the server can serve all the same.
    if thread.is_ok() && log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level);
    }
}

/// A logger, and what its thread does until the logger is gone.
fn logger(style: Style, mut out: impl Write + Send + 'static) -> (Logger, impl FnOnce() + Send) {
    let (letters, received) = sync_channel(LINES_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let logger = Logger {
        style,
        letters,
        dropped: Arc::clone(&dropped),
    };
    (logger, move || {
        write_all(style, &received, &dropped, &mut out)
    })
}

fn write_all(style: Style, letters: &Receiver<Letter>, dropped: &AtomicU64, out: &mut impl Write) {
    for letter in letters {
        // A log that nobody can read is no reason to stop, so failures are passed over.
        match letter {
            Letter::Line(line) => {
                let _ = out.write_all(line.as_bytes());
            }
            Letter::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!("{lost} log lines were dropped: the log is not read fast enough");
            let _ = out.write_all(line(style, unix_ms(), "warn", "fanwire", &text).as_bytes());
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            log::Level::Error => "error",
            log::Level::Warn => "warn",
            log::Level::Info => "info",
            log::Level::Debug => "debug",
            log::Level::Trace => "trace",
        };
        let message = record.args().to_string();
        let line = line(self.style, unix_ms(), level, record.target(), &message);
        match self.letters.try_send(Letter::Line(line)) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits until what was logged is written, but not for a reader that does not read. Only for
    /// the end of the process.
    fn flush(&self) {
        let (done, written) = channel();
        let letters = self.letters.clone();
        // The queue may be full, and sending to it then blocks: let somebody else wait.
        let send = move || letters.send(Letter::Flush(done));
        if std::thread::Builder::new().spawn(send).is_ok() {
            let _ = written.recv_timeout(Duration::from_millis(FLUSH_MS));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "lines are stamped when they are logged"
)]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn line(style: Style, unix_ms: u64, level: &str, target: &str, message: &str) -> String {
    let time = timestamp(unix_ms);
    let (message, cut) = shorten(message);
    let cut = if cut { "..." } else { "" };
    let mut out = String::with_capacity(message.len() + 96);
    // Writing to a string does not fail.
    let _ = match style {
        Style::Text => {
            let _ = write!(out, "{time} {level:<5} {}: ", Escaped(target));
            writeln!(out, "{}{cut}", Escaped(message))
        }
        Style::Json => {
            let _ = write!(
                out,
                "{{\"time\":\"{time}\",\"level\":\"{level}\",\"target\":\""
            );
            let _ = write!(out, "{}\",\"message\":\"", Json(target));
            writeln!(out, "{}{cut}\"}}", Json(message))
        }
    };
    out
}

/// The start of a message that is too long, and whether it was.
fn shorten(message: &str) -> (&str, bool) {
    let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    (message.get(..end).unwrap_or(message), end < message.len())
}

/// Whether a terminal, or a reader of lines, could take a character for more than itself: control
/// characters, line and paragraph separators, and those that turn the direction of writing.
fn is_unruly(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text on one line; a backslash stays as it is, since nobody reads it back.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            c if is_unruly(c) => write!(f, "{}", c.escape_default()),
            c => f.write_char(c),
        })
    }
}

/// The inside of a JSON string (RFC 8259 section 7), in which unruly characters are escaped, too.
struct Json<'a>(&'a str);

impl std::fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' | '\\' => write!(f, "\\{c}"),
            // All unruly characters are below U+10000: one unit of UTF-16.
            c if is_unruly(c) => write!(f, "\\u{:04x}", u32::from(c)),
            c => f.write_char(c),
        })
    }
}

/// `2026-11-22T01:02:03.004Z`. The date is reckoned in years that begin in March, so that the day
/// that leap years add is the last one of a year.
fn timestamp(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, cut into cycles of 400 years, which all have the same days.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    // Leap days before this one: each 1,460 days one, but for each 36,524, but for the last.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on, months have 31, 30, 31, 30, 31 days, and again: 153 days in five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = cycle * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn dates() {
        for (unix_s, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_600_000_000, "2020-09-13T12:26:40.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (1_735_689_600, "2025-01-01T00:00:00.007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
            (13_574_563_200, "2400-02-29T00:00:00.007Z"),
        ] {
            assert_eq!(timestamp(unix_s * 1000 + 7), expected);
        }
        // Every day of a cycle follows the one before it.
        let date = |day: u64| timestamp(day * 86_400_000)[..10].to_owned();
        for day in 0..146_097 {
            assert!(date(day) < date(day + 1), "day {day}");
        }
    }

    #[test]
    fn lines_cannot_be_forged() {
        let message = "a\"\\\n{\"level\":\"x\"}\u{1b}[31m\u{7f}\u{202e}é";
        let text = line(Style::Text, 0, "info", "t", message);
        assert_eq!(
            text,
            "1970-01-01T00:00:00.000Z info  t: \
             a\"\\\\n{\"level\":\"x\"}\\u{1b}[31m\\u{7f}\\u{202e}é\n"
        );
        let json = line(Style::Json, 0, "info", "t", message);
        assert_eq!(json.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read["message"], message);
        assert_eq!(read["level"], "info");
        assert_eq!(read["time"], "1970-01-01T00:00:00.000Z");
        assert!(json.bytes().all(|byte| byte >= b' ' || byte == b'\n'));
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let exact = "x".repeat(MESSAGE_BYTES_MAX);
        assert!(!line(Style::Text, 0, "info", "t", &exact).contains("..."));
        let long = "é".repeat(MESSAGE_BYTES_MAX);
        let cut = line(Style::Text, 0, "info", "t", &long);
        assert!(cut.ends_with("é...\n") && cut.len() < MESSAGE_BYTES_MAX + 100);
    }

    /// A reader that takes nothing until it is let go.
    struct Stuck(Receiver<()>, Sender<String>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The sender goes away when the reader is let go for good.
            let _ = self.0.recv();
            let _ = self.1.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_blocks_nobody_and_losses_are_counted() {
        log::set_max_level(LevelFilter::Info);
        let (go, gate) = sync_channel(0);
        let (lines, read) = channel();
        let (logger, work) = logger(Style::Text, Stuck(gate, lines));
        let thread = std::thread::Builder::new().spawn(work).expect("a thread");
        let record = |text: std::fmt::Arguments<'_>| {
            logger.log(&Record::builder().level(log::Level::Info).args(text).build());
        };
        // One line may be with the thread, LINES_MAX wait; the rest finds no room.
        let all = LINES_MAX + 1 + 50;
        for number in 0..all {
            record(format_args!("line {number}"));
        }
        drop(go);
        logger.flush();
        drop(logger);
        thread.join().expect("the thread ends with the logger");
        let lines: Vec<String> = read.iter().collect();
        let (told, lines): (Vec<_>, Vec<_>) = lines
            .into_iter()
            .partition(|line| line.contains("log lines were dropped"));
        let lost: usize = told
            .iter()
            .filter_map(|line| line.split(' ').find_map(|word| word.parse::<usize>().ok()))
            .sum();
        assert!(lost >= 50, "{told:?}");
        assert_eq!(lines.len() + lost, all, "every line is written or counted");
        assert!(lines[0].ends_with("line 0\n"));
    }
}
