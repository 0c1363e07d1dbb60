//! The one table of codes: what each means, and what a client does when it comes.
//!
//! A code ends a connection ([`Close`]) or is only ever told on one that goes on ([`FrameOnly`]).
//! They are different types because the mistake would be a bad one: a client that is closed with a
//! code of the second kind never comes back.

use crate::dialect::json::push_text;

/// What a client does after a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// It stays away for good.
    Never,
    /// It comes back at once, over TLS. A client that was on TLS already stays away.
    Tls,
    /// It comes back after a second or more.
    Later,
    /// It comes back at once.
    AtOnce,
    /// The code is for an error that is told and ends nothing. As a close code it would mean
    /// [`Reconnect::Never`].
    FrameOnly,
}

impl Reconnect {
    /// What the common client does when a connection is *closed* with a number.
    pub fn after_close(number: u16) -> Self {
        match number {
            4000 => Self::Tls,
            // Codes of WebSocket itself; for a few of these it waits longer.
            0..4000 | 4100..4200 => Self::Later,
            4001..4100 => Self::Never,
            4200..4300 => Self::AtOnce,
            4300.. => Self::Never,
        }
    }
}

/// Codes that end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The app demands TLS.
    TlsOnly,
    /// No app has this key.
    UnknownApp,
    /// The app is switched off.
    AppDisabled,
    /// The app has as many connections as it may.
    AppFull,
    /// The path is none of ours.
    UnknownPath,
    /// The version of the protocol is no number.
    UnreadableVersion,
    /// The version of the protocol is another one.
    UnsupportedVersion,
    /// The version of the protocol is missing.
    NoVersion,
    /// The origin is refused, nothing was proved in time, signing in failed, or the user was sent
    /// away.
    Unauthorized,
    /// The server has as many connections as it may.
    ServerFull,
    /// A planned stop.
    Restart,
    /// A ping was not answered.
    NoPong,
}

impl Close {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::TlsOnly,
        Self::UnknownApp,
        Self::AppDisabled,
        Self::AppFull,
        Self::UnknownPath,
        Self::UnreadableVersion,
        Self::UnsupportedVersion,
        Self::NoVersion,
        Self::Unauthorized,
        Self::ServerFull,
        Self::Restart,
        Self::NoPong,
    ];

    /// The close code on the wire.
    pub const fn number(self) -> u16 {
        self.row().0
    }

    /// What a client does when it comes.
    pub const fn reconnect(self) -> Reconnect {
        self.row().1
    }

    /// What is said to humans; short enough for a close frame.
    pub const fn message(self) -> &'static str {
        self.row().2
    }

    const fn row(self) -> (u16, Reconnect, &'static str) {
        use Reconnect::{AtOnce, Later, Never, Tls};
        match self {
            Self::TlsOnly => (4000, Tls, "this app takes connections over TLS only"),
            Self::UnknownApp => (4001, Never, "no app has this key"),
            Self::AppDisabled => (4003, Never, "this app is disabled"),
            Self::AppFull => (4004, Never, "this app has too many connections"),
            Self::UnknownPath => (4005, Never, "there is nothing at this path"),
            Self::UnreadableVersion => (4006, Never, "the protocol version must be a number"),
            Self::UnsupportedVersion => (4007, Never, "this protocol version is not supported"),
            Self::NoVersion => (4008, Never, "the protocol version is missing"),
            Self::Unauthorized => (4009, Never, "this connection is not authorized"),
            Self::ServerFull => (4100, Later, "the server has too many connections"),
            Self::Restart => (4200, AtOnce, "come back at once"),
            Self::NoPong => (4201, AtOnce, "a ping was not answered in time"),
        }
    }
}

/// Codes that are told in a frame of an error, on a connection that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameOnly {
    /// A client event came too fast, or was too large.
    ClientEventRejected,
    /// More users were to be watched than may be.
    WatchlistTooLong,
}

impl FrameOnly {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ClientEventRejected, Self::WatchlistTooLong];

    /// The code in the frame.
    pub const fn number(self) -> u16 {
        match self {
            Self::ClientEventRejected => 4301,
            Self::WatchlistTooLong => 4302,
        }
    }

    /// What is said to humans, unless there is more to say.
    pub const fn message(self) -> &'static str {
        match self {
            Self::ClientEventRejected => "the client event was rejected",
            Self::WatchlistTooLong => "the watchlist is too long, only its beginning is watched",
        }
    }
}

/// Any code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// One that ends the connection.
    Close(Close),
    /// One that does not.
    FrameOnly(FrameOnly),
}

impl Code {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::Close(close) => close.number(),
            Self::FrameOnly(told) => told.number(),
        }
    }

    /// What a client does when it comes.
    pub const fn reconnect(self) -> Reconnect {
        match self {
            Self::Close(close) => close.reconnect(),
            Self::FrameOnly(_) => Reconnect::FrameOnly,
        }
    }

    /// What is said to humans.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Close(close) => close.message(),
            Self::FrameOnly(told) => told.message(),
        }
    }
}

impl From<Close> for Code {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

impl From<FrameOnly> for Code {
    fn from(told: FrameOnly) -> Self {
        Self::FrameOnly(told)
    }
}

/// Appends the frame of an error. Its data is an object and it names no channel: some clients
/// overlook it otherwise.
///
/// Without a code it is about one request that failed. A number from 4000 to 4099 makes some
/// clients disconnect, so it must only stand before a close with the same one.
pub fn push_error(out: &mut Vec<u8>, code: Option<u16>, message: &str) {
    out.extend_from_slice(br#"{"event":"pusher:error","data":{"code":"#);
    match code {
        Some(code) => out.extend_from_slice(code.to_string().as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","message":"#);
    push_text(out, message);
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Payload of a control frame (RFC 6455 section 5.5) without the code.
    const REASON_BYTES_MAX: usize = 123;

    #[test]
    fn numbers_are_those_of_the_protocol() {
        let numbers = Close::ALL.map(Close::number);
        assert_eq!(
            numbers,
            [
                4000, 4001, 4003, 4004, 4005, 4006, 4007, 4008, 4009, 4100, 4200, 4201
            ]
        );
        assert_eq!(FrameOnly::ALL.map(FrameOnly::number), [4301, 4302]);
    }

    #[test]
    fn each_code_means_what_clients_make_of_its_number() {
        for close in Close::ALL {
            let number = close.number();
            assert_eq!(
                close.reconnect(),
                Reconnect::after_close(number),
                "{number}"
            );
            assert_ne!(close.reconnect(), Reconnect::FrameOnly);
            assert_eq!(Code::from(close).reconnect(), close.reconnect());
            assert_eq!(Code::from(close).number(), number);
        }
    }

    #[test]
    fn ranges_are_those_of_the_protocol() {
        for (range, expected) in [
            (1000..=1015, Reconnect::Later),
            (4000..=4000, Reconnect::Tls),
            (4001..=4099, Reconnect::Never),
            (4100..=4199, Reconnect::Later),
            (4200..=4299, Reconnect::AtOnce),
            (4300..=4999, Reconnect::Never),
        ] {
            for number in range {
                assert_eq!(Reconnect::after_close(number), expected, "{number}");
            }
        }
    }

    #[test]
    fn what_is_only_told_would_be_fatal_as_a_close() {
        for told in FrameOnly::ALL {
            let number = told.number();
            assert!(Close::ALL.iter().all(|close| close.number() != number));
            assert_eq!(Reconnect::after_close(number), Reconnect::Never);
            assert_eq!(Code::from(told).reconnect(), Reconnect::FrameOnly);
            assert_eq!(Code::from(told).number(), number);
        }
    }

    #[test]
    fn only_those_come_back_who_may() {
        let back = |close: &Close| match close.reconnect() {
            Reconnect::Tls | Reconnect::Later | Reconnect::AtOnce => true,
            Reconnect::Never | Reconnect::FrameOnly => false,
        };
        let who: Vec<Close> = Close::ALL.into_iter().filter(back).collect();
        let expected = [
            Close::TlsOnly,
            Close::ServerFull,
            Close::Restart,
            Close::NoPong,
        ];
        assert_eq!(who, expected);
    }

    #[test]
    fn messages_fit_and_are_never_empty() {
        let closes = Close::ALL.map(Code::from);
        let told = FrameOnly::ALL.map(Code::from);
        for code in closes.into_iter().chain(told) {
            let length = code.message().len();
            assert!((1..=REASON_BYTES_MAX).contains(&length), "{code:?}");
        }
    }

    #[test]
    fn errors_are_objects_without_a_channel() {
        let error = |code, message| {
            let mut out = Vec::new();
            push_error(&mut out, code, message);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(
            error(Some(Close::UnknownApp.number()), "no \"app\""),
            r#"{"event":"pusher:error","data":{"code":4001,"message":"no \"app\""}}"#
        );
        assert_eq!(
            error(None, "é\n"),
            r#"{"event":"pusher:error","data":{"code":null,"message":"é\n"}}"#
        );
    }
}
