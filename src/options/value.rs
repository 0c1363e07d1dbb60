//! Values as they are written: sizes, durations, counts, addresses; and how they are written back.

use super::config::{Certificate, ListenAddr, TlsListener};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::fmt::Write as _;

/// A value before the table says what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Integer(i64),
    Text(String),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
    /// Something no option takes; the text names it.
    Other(&'static str),
}

impl Value {
    /// What it is, for "found ...".
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things: digits only.
    Count,
    /// Bytes: digits, or digits with a unit.
    Bytes,
    /// Milliseconds: digits with a unit.
    Ms,
    /// Whole seconds: digits with a unit.
    S,
}

const BYTE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// The units of time that are whole seconds, in seconds.
const LONG_UNITS: [(&str, u64); 4] = [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60), ("s", 1)];

impl Unit {
    /// Whether it is a time, which needs a unit: a number without one would be a guess.
    pub(super) fn is_time(self) -> bool {
        match self {
            Self::Ms | Self::S => true,
            Self::Count | Self::Bytes => false,
        }
    }

    fn names(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Count => &[],
            Self::Bytes => &BYTE_UNITS,
            Self::Ms => &TIME_UNITS,
            Self::S => &LONG_UNITS,
        }
    }

    /// The number that a text says, or nothing: digits, and at once or after one space the unit.
    /// Counts and bytes need none.
    pub(super) fn read(self, text: &str) -> Option<u64> {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let number = digits_only(digits)?;
        let unit = unit
            .strip_prefix(' ')
            .filter(|rest| !rest.is_empty())
            .unwrap_or(unit);
        if unit.is_empty() {
            return (!self.is_time()).then_some(number);
        }
        let (_, factor) = self.names().iter().find(|(name, _)| *name == unit)?;
        number.checked_mul(*factor)
    }

    /// The number with the largest unit in which it is whole.
    pub(super) fn write(self, number: u64) -> String {
        let whole = |(_, factor): &&(&str, u64)| number != 0 && number.is_multiple_of(*factor);
        match (self, self.names().iter().find(whole)) {
            // Bytes that are no whole KiB need no unit.
            (Self::Bytes, Some(("B", _))) | (Self::Count | Self::Bytes, None) => number.to_string(),
            (Self::Ms | Self::S, None) => "0s".to_owned(),
            (_, Some((name, factor))) => format!("{}{name}", number / factor),
        }
    }

    /// An example for "expected ...".
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Count => "a whole number",
            Self::Bytes => "a size such as 65536 or \"64KiB\" (units B, KiB, MiB, GiB)",
            Self::Ms => "a duration such as \"30s\" (units ms, s, m, h, d)",
            Self::S => "a duration in whole seconds such as \"30s\" (units s, m, h, d)",
        }
    }
}

/// A number of digits alone: no sign, no spaces, no separators.
pub(super) fn digits_only(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.bytes().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// An address to listen on: `127.0.0.1:8000`, `[::1]:8000`, `unix:/path`, `tls:0.0.0.0:8443`.
pub(super) fn listen_addr(text: &str) -> Result<ListenAddr, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() || path.contains('\0') {
            return Err(format!("{text:?} names no path after unix:"));
        }
        // What sun_path of a Unix socket address holds, without its final zero.
        if path.len() > 107 {
            return Err(format!(
                "{text:?} is longer than the 107 bytes of a socket's path"
            ));
        }
        return Ok(ListenAddr::Unix(path.into()));
    }
    let (is_tls, address) = match text.strip_prefix("tls:") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    match socket_addr(address) {
        Some(address) if is_tls => Ok(ListenAddr::Tls(address)),
        Some(address) => Ok(ListenAddr::Tcp(address)),
        None => Err(format!(
            "{text:?} is no address to listen on; expected an address with a port such as \
             \"127.0.0.1:8000\", \"[::1]:8000\" or \"tls:0.0.0.0:8443\", or \"unix:/path\""
        )),
    }
}

fn socket_addr(text: &str) -> Option<SocketAddr> {
    // The standard parser takes exactly an address and a port; one name is known without asking
    // anybody.
    match text.strip_prefix("localhost:") {
        Some(port) => {
            let port = digits_only(port).and_then(|port| u16::try_from(port).ok())?;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        }
        None => text.parse().ok(),
    }
}

/// Reads `{ listen = "0.0.0.0:8443", cert = "...", key = "..." }`; the address with or without
/// `tls:`.
pub(super) fn tls_listener(value: &Value) -> Result<TlsListener, String> {
    const FIELDS: [&str; 3] = ["listen", "cert", "key"];
    let Value::Table(fields) = value else {
        return Err(format!(
            "expected tables such as {{ listen = \"0.0.0.0:8443\", cert = \"...\", key = \"...\" }}; \
             found {}",
            value.kind()
        ));
    };
    let mut texts = [None; 3];
    for (name, value) in fields {
        let Some(place) = FIELDS.iter().position(|known| known == name) else {
            let known = FIELDS.join(", ");
            return Err(format!("unknown key {name:?}; expected {known}"));
        };
        match value {
            Value::Text(text) if !text.is_empty() => texts[place] = Some(text.as_str()),
            Value::Text(_) => return Err(format!("{name}: empty")),
            other => return Err(format!("{name}: expected a text; found {}", other.kind())),
        }
    }
    let text = |place: usize| texts[place].ok_or_else(|| format!("{}: missing", FIELDS[place]));
    let at = text(0)?;
    let (ListenAddr::Tls(listen) | ListenAddr::Tcp(listen)) = listen_addr(at)? else {
        return Err(format!("listen: {at:?} is no TCP address"));
    };
    Ok(TlsListener {
        listen,
        certificate: Certificate {
            cert: text(1)?.into(),
            key: text(2)?.into(),
        },
    })
}

/// As it is written in a file.
pub(super) fn show_tls_listener(of: &TlsListener) -> String {
    let path = |path: &std::path::Path| quoted(&path.to_string_lossy());
    let (cert, key) = (path(&of.certificate.cert), path(&of.certificate.key));
    let listen = quoted(&of.listen.to_string());
    format!("{{ listen = {listen}, cert = {cert}, key = {key} }}")
}

/// A text as a TOML string on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        let cases = [
            (Unit::Bytes, "0", Some(0)),
            (Unit::Bytes, "65536", Some(65_536)),
            (Unit::Bytes, "64KiB", Some(65_536)),
            (Unit::Bytes, "64 KiB", Some(65_536)),
            (Unit::Bytes, "1MiB", Some(1 << 20)),
            (Unit::Bytes, "2GiB", Some(2 << 30)),
            (Unit::Bytes, "10B", Some(10)),
            (Unit::Bytes, "64  KiB", None),
            (Unit::Bytes, "64 ", None),
            (Unit::Bytes, "64kib", None),
            (Unit::Bytes, "64KB", None),
            (Unit::Bytes, "+64", None),
            (Unit::Bytes, "-1", None),
            (Unit::Bytes, "1_000", None),
            (Unit::Bytes, "1.5MiB", None),
            (Unit::Bytes, "", None),
            (Unit::Bytes, "KiB", None),
            (Unit::Bytes, "18446744073709551615", Some(u64::MAX)),
            (Unit::Bytes, "18446744073709551616", None),
            (Unit::Bytes, "17179869184GiB", None),
            (Unit::Bytes, "٣", None),
            (Unit::Count, "12", Some(12)),
            (Unit::Count, "12B", None),
            (Unit::Ms, "500ms", Some(500)),
            (Unit::Ms, "30s", Some(30_000)),
            (Unit::Ms, "2m", Some(120_000)),
            (Unit::Ms, "1h", Some(3_600_000)),
            (Unit::Ms, "1d", Some(86_400_000)),
            (Unit::Ms, "0s", Some(0)),
            (Unit::Ms, "30", None),
            (Unit::Ms, "30S", None),
            (Unit::S, "120s", Some(120)),
            (Unit::S, "2m", Some(120)),
            (Unit::S, "120", None),
            (Unit::S, "1500ms", None),
        ];
        for (unit, text, expected) in cases {
            assert_eq!(unit.read(text), expected, "{unit:?} {text:?}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for (unit, number, text) in [
            (Unit::Bytes, 0, "0"),
            (Unit::Bytes, 1000, "1000"),
            (Unit::Bytes, 1024, "1KiB"),
            (Unit::Bytes, 1536, "1536"),
            (Unit::Bytes, 4 << 20, "4MiB"),
            (Unit::Count, 86_400_000, "86400000"),
            (Unit::Ms, 0, "0s"),
            (Unit::Ms, 250, "250ms"),
            (Unit::Ms, 75_000, "75s"),
            (Unit::Ms, 86_400_000, "1d"),
            (Unit::S, 0, "0s"),
            (Unit::S, 90, "90s"),
            (Unit::S, 120, "2m"),
        ] {
            assert_eq!(unit.write(number), text);
            assert_eq!(unit.read(text), Some(number), "{text}");
        }
    }

    #[test]
    fn addresses_to_listen_on() {
        for (text, expected) in [
            ("127.0.0.1:8000", Some("127.0.0.1:8000")),
            ("[::1]:0", Some("[::1]:0")),
            ("localhost:80", Some("127.0.0.1:80")),
            ("tls:0.0.0.0:8443", Some("tls:0.0.0.0:8443")),
            ("unix:/run/fanwire.sock", Some("unix:/run/fanwire.sock")),
            ("tls:localhost:1", Some("tls:127.0.0.1:1")),
            ("unix:", None),
            ("tls:unix:/x", None),
            ("127.0.0.1", None),
            (":8000", None),
            ("8000", None),
            ("::1:8000", None),
            ("127.0.0.1:+80", None),
            ("localhost:+80", None),
            ("127.0.0.1:65536", None),
            ("localhost:65536", None),
            ("example.com:80", None),
            ("http://127.0.0.1:80", None),
            ("", None),
        ] {
            let read = listen_addr(text).ok().map(|address| address.to_string());
            assert_eq!(read.as_deref(), expected, "{text:?}");
        }
        assert!(listen_addr(&format!("unix:{}", "x".repeat(107))).is_ok());
        assert!(listen_addr(&format!("unix:{}", "x".repeat(108))).is_err());
    }

    #[test]
    fn certificates_of_single_addresses() {
        let text = |text: &str| Value::Text(text.to_owned());
        let table = |fields: &[(&str, Value)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()));
            tls_listener(&Value::Table(fields.collect()))
        };
        let (cert, key) = (("cert", text("a \"b\".pem")), ("key", text("a.key")));
        let whole = |listen: &str| table(&[("listen", text(listen)), cert.clone(), key.clone()]);
        for listen in ["tls:[::1]:8443", "[::1]:8443"] {
            let read = whole(listen).map(|of| show_tls_listener(&of));
            let shown = "{ listen = \"[::1]:8443\", cert = \"a \\\"b\\\".pem\", key = \"a.key\" }";
            assert_eq!(read.as_deref(), Ok(shown));
        }
        let bad = [
            (whole("unix:/a"), "no TCP address"),
            (whole("8443"), "no address to listen on"),
            (table(&[cert.clone(), key.clone()]), "listen: missing"),
            (
                table(&[("listen", text("[::1]:1")), cert.clone()]),
                "key: missing",
            ),
            (table(&[("key", text(""))]), "key: empty"),
            (
                table(&[("cert", Value::Integer(1))]),
                "cert: expected a text; found a number",
            ),
            (table(&[("crt", text("a"))]), "unknown key \"crt\""),
            (tls_listener(&text("a")), "expected tables"),
        ];
        for (read, piece) in bad {
            let message = read.expect_err(piece);
            assert!(message.contains(piece), "{message}");
        }
    }

    #[test]
    fn quotes_stay_on_one_line() {
        assert_eq!(
            quoted("a\"b\\c\nd\u{1}\u{7f}é"),
            "\"a\\\"b\\\\c\\nd\\u0001\\u007Fé\""
        );
    }
}
