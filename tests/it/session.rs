//! The system under test as a client sees it: connections, bytes, time.
//!
//! One replayer drives three kinds of it: a handler in memory with a clock of its own
//! ([`crate::memory`]), a server behind real sockets ([`crate::tcp`]), and a parrot that knows the
//! right answers ([`crate::parrot`]), by which the replayer itself is tested.

use crate::bindings::Bindings;
use crate::transcript::Step;

/// One connection that the client opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link(pub(crate) usize);

/// What came on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    /// Bytes, and when they arrived.
    Bytes { at_ms: u64, bytes: Vec<u8> },
    /// The server sends no more. Said again each time.
    Ended { at_ms: u64 },
    /// Nothing until the time given.
    Nothing,
}

/// How the bytes of one write are cut on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Not at all.
    Whole,
    /// In two, at this offset modulo the length.
    At(usize),
    /// Byte by byte; above 4 KiB in pieces of seven bytes, to stay fast.
    Bytewise,
}

impl Cut {
    /// The pieces of `bytes`; none is empty.
    pub(crate) fn pieces(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let (head, tail, size) = match self {
            Self::Whole => (bytes, &[][..], usize::MAX),
            Self::At(offset) => {
                let (head, tail) = bytes.split_at(offset % bytes.len().max(1));
                (head, tail, usize::MAX)
            }
            Self::Bytewise if bytes.len() > 4096 => (bytes, &[][..], 7),
            Self::Bytewise => (bytes, &[][..], 1),
        };
        head.chunks(size).chain(tail.chunks(size))
    }
}

/// Cuts that are tried of one story unless all are asked for. A newcomer waits for all of them to be
/// over.
const CUTS_TRIED: usize = 150;
/// More places than this are thinned out even so: the writes that long are all alike.
const CUTS_MAX: usize = 4096;

/// The places at which writes of at most `longest` bytes are cut, one after the other: so many that
/// a short text is cut everywhere. `FANWIRE_CUTS=all` asks for every place of longer ones, too.
pub(crate) fn cuts(longest: usize) -> impl Iterator<Item = usize> {
    let all = std::env::var_os("FANWIRE_CUTS").is_some_and(|value| value == "all");
    let count = longest.min(if all { CUTS_MAX } else { CUTS_TRIED });
    (1..count).map(move |cut| cut * longest / count)
}

/// A server and the way to it.
pub(crate) trait Sut {
    /// Opens a connection.
    fn dial(&mut self) -> Link;

    /// Sends bytes. A server that has ended the connection gets nothing, without an error.
    fn send(&mut self, link: Link, bytes: &[u8]);

    /// What came next on `link`. Waits until `until_ms` at most; a time gone by means: what is
    /// there already.
    fn receive(&mut self, link: Link, until_ms: u64) -> Received;

    /// Ends the client's sending side.
    fn half_close(&mut self, link: Link);

    /// Ends the connection in order. Does nothing if it is over.
    fn close(&mut self, link: Link);

    /// Ends the connection with a reset. Does nothing if it is over.
    fn abort(&mut self, link: Link);

    /// Milliseconds since some start.
    fn now_ms(&self) -> u64;

    /// Seconds since 1970-01-01 UTC, for signatures.
    fn unix_seconds(&self) -> u64;

    /// Lets time go by.
    fn wait_ms(&mut self, ms: u64);

    /// Scheme, host and port.
    fn origin(&self) -> String;

    /// The shared secret of the server API.
    fn secret(&self) -> String;

    /// The replayer is about to do `step`. Of use to the parrot only.
    fn prompt(&mut self, _step: &Step, _bindings: &Bindings) {}
}

/// Settings of a server, by the names that transcripts use for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) secret: &'static str,
    pub(crate) admin_user: &'static str,
    pub(crate) admin_secret: &'static str,
    pub(crate) allow_posting_from: &'static [&'static str],
    pub(crate) allow_cors: &'static [&'static str],
    pub(crate) validate_requests: bool,
    pub(crate) enforce_https: bool,
    /// Empty: not forced.
    pub(crate) http_scheme: &'static str,
}

impl Setup {
    /// The setup called `name` in the transcripts' description.
    pub(crate) fn named(name: &str) -> Self {
        let default = Self {
            secret: "of the replayer",
            admin_user: "admin",
            admin_secret: "admin_secret",
            allow_posting_from: &["127.0.0.1"],
            allow_cors: &[],
            validate_requests: true,
            enforce_https: false,
            http_scheme: "",
        };
        match name {
            "default" => default,
            "enforce_https" => Self {
                enforce_https: true,
                ..default
            },
            "http_scheme" => Self {
                http_scheme: "https",
                ..default
            },
            "allow_cors" => Self {
                allow_cors: &["example.com", "http://ok.test"],
                ..default
            },
            "validate_requests_off" => Self {
                validate_requests: false,
                ..default
            },
            "ip_blocked" => Self {
                allow_posting_from: &["10.9.9.9"],
                ..default
            },
            _ => panic!("no such setup: {name}"),
        }
    }

    /// The settings as `section.key=value` with TOML values, as `--set` takes them.
    pub(crate) fn assignments(&self) -> Vec<String> {
        vec![
            format!("channelstream.secret={:?}", self.secret),
            format!("channelstream.admin_user={:?}", self.admin_user),
            format!("channelstream.admin_secret={:?}", self.admin_secret),
            format!(
                "channelstream.allow_posting_from={:?}",
                self.allow_posting_from
            ),
            format!("channelstream.allow_cors={:?}", self.allow_cors),
            format!("channelstream.validate_requests={}", self.validate_requests),
            format!("channelstream.enforce_https={}", self.enforce_https),
            format!("channelstream.http_scheme={:?}", self.http_scheme),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lose_nothing_and_make_no_empty_piece() {
        let bytes: Vec<u8> = (0..200).collect();
        for length in [0, 1, 2, 200] {
            let whole = &bytes[..length];
            for cut in [
                Cut::Whole,
                Cut::At(0),
                Cut::At(1),
                Cut::At(777),
                Cut::Bytewise,
            ] {
                let pieces: Vec<&[u8]> = cut.pieces(whole).collect();
                assert_eq!(pieces.concat(), whole, "{cut:?}");
                assert!(pieces.iter().all(|piece| !piece.is_empty()), "{cut:?}");
            }
        }
        let count = |cut: Cut, length| cut.pieces(&vec![0; length]).count();
        assert_eq!(count(Cut::Whole, 200), 1);
        assert_eq!(count(Cut::At(0), 200), 1);
        assert_eq!(count(Cut::At(199), 200), 2);
        assert_eq!(count(Cut::Bytewise, 4096), 4096);
        assert_eq!(count(Cut::Bytewise, 7000), 1000);
    }

    #[test]
    fn settings_are_written_as_toml() {
        let setup = Setup::named("allow_cors").assignments();
        let has = |text: &str| setup.iter().any(|assignment| assignment == text);
        assert!(has(r#"channelstream.secret="of the replayer""#));
        assert!(has(
            r#"channelstream.allow_cors=["example.com", "http://ok.test"]"#
        ));
        assert!(has("channelstream.validate_requests=true"));
        assert!(has("channelstream.allow_posting_from=[\"127.0.0.1\"]"));
    }
}
