//! Channelstream's own settings, from its INI file or its `CHANNELSTREAM_*` variables, translated
//! into options by the original's rules (docs/protocols/channelstream.md).

use super::check::Severity;
use super::config::DEFAULT_PORT;
use super::ini::Ini;
use super::nearest::nearest;
use super::opt::{Problem, Source};
use super::value::{Value, digits_only};
use crate::peers::PeerList;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The section of the file.
pub(super) const SECTION: &str = "channelstream";
/// What the names of its variables begin with.
pub(super) const ENV_PREFIX: &str = "CHANNELSTREAM_";
/// The variable that names the file.
pub(super) const ENV_INI: &str = "CHANNELSTREAM_INI";
/// The one signature scheme there is.
pub(super) const DEFAULT_CHECKER: &str = "channelstream.utils.DefaultSigner";

/// Every key the original reads.
pub(super) const KEYS: [&str; 14] = [
    "host",
    "port",
    "secret",
    "admin_user",
    "admin_secret",
    "cookie_secret",
    "allow_posting_from",
    "allow_cors",
    "validate_requests",
    "enforce_https",
    "http_scheme",
    "signature_checker",
    "log_level",
    "debug",
];

/// Keys of old files that do nothing in the original either.
const IDLE_KEYS: [&str; 4] = [
    "demo",
    "gc_conns_after",
    "gc_channels_after",
    "wake_connections_after",
];

/// Keys that [`KEYS`] has and a TOML file of ours has not: they tell the kinds of file apart.
pub(super) const INI_ONLY_KEYS: [&str; 5] =
    ["host", "port", "log_level", "signature_checker", "debug"];

/// A value for an option, and where it came from.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    /// The text behind `value`, where quotes are optional.
    pub(super) raw: Option<String>,
    pub(super) source: Source,
}

/// One setting as it was found: the key in lower case, the text, and where it stood.
type Setting = (String, String, Source);

/// The settings of a file, translated.
pub(super) fn from_ini(name: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let at = |line: usize| Source::File(name.to_owned(), line.max(1));
    let error = |line: usize, key: &str, message: String| Problem {
        severity: Severity::Error,
        source: at(line),
        key: key.to_owned(),
        message,
    };
    let ini = match Ini::read(text) {
        Ok(ini) => ini,
        Err(errors) => {
            problems.extend(errors.into_iter().map(|e| error(e.line, "", e.message)));
            return Vec::new();
        }
    };
    let Some(line) = ini.section_line(SECTION) else {
        problems.push(error(
            1,
            "",
            format!("expected a section [{SECTION}]; there is none"),
        ));
        return Vec::new();
    };
    let mut settings = Vec::new();
    for (key, line) in ini.keys(SECTION) {
        // As in the original only what is used is looked at, so that no other value can fail.
        if !KEYS.contains(&key) {
            settings.push((key.to_owned(), String::new(), at(line)));
            continue;
        }
        match ini.value(SECTION, key) {
            Some(Ok(value)) => settings.push((key.to_owned(), value, at(line))),
            Some(Err(e)) => problems.push(error(e.line, key, e.message)),
            None => {}
        }
    }
    translate(&settings, at(line), problems)
}

/// The settings of the environment, translated; nothing if none of them is there.
pub(super) fn from_env(env: &[(String, String)], problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut settings: Vec<Setting> = Vec::new();
    for (name, value) in env {
        let Some(key) = name.strip_prefix(ENV_PREFIX).map(str::to_lowercase) else {
            continue;
        };
        // Kubernetes gives every container variables named after its services; one called
        // "channelstream" must not be taken for settings.
        let is_service = key.starts_with("service_") || key.starts_with("port_");
        let is_link = key == "port" && value.contains("://");
        if name == ENV_INI || is_service || is_link {
            continue;
        }
        settings.push((key, value.clone(), Source::Env(name.clone())));
    }
    let known = settings
        .iter()
        .find(|(key, _, _)| KEYS.contains(&key.as_str()));
    let listen = known.map_or(Source::Default, |(_, _, source)| source.clone());
    let is_used = known.is_some();
    let mut entries = translate(&settings, listen, problems);
    if !is_used {
        entries.clear();
    }
    entries
}

/// Translates settings; `listen` is where the address is said to come from if nobody gave it.
fn translate(settings: &[Setting], listen: Source, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut translation = Translation {
        entries: Vec::new(),
        problems,
        host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port: DEFAULT_PORT,
        listen,
    };
    for (key, text, source) in settings {
        translation.setting(key, text, source);
    }
    translation.finish()
}

struct Translation<'a> {
    entries: Vec<Entry>,
    problems: &'a mut Vec<Problem>,
    host: IpAddr,
    port: u16,
    listen: Source,
}

impl Translation<'_> {
    fn setting(&mut self, key: &str, text: &str, source: &Source) {
        let mut report = |severity, message: String| {
            let (key, source) = (key.to_owned(), source.clone());
            self.problems.push(Problem {
                severity,
                source,
                key,
                message,
            });
        };
        let value = match key {
            "host" => {
                match host(text) {
                    Some(host) => self.host = host,
                    None => report(
                        Severity::Error,
                        format!("{text:?}: expected an address such as 0.0.0.0, not a name"),
                    ),
                }
                self.listen = source.clone();
                return;
            }
            "port" => {
                match digits_only(text.trim()).and_then(|port| u16::try_from(port).ok()) {
                    Some(port) => self.port = port,
                    None => report(
                        Severity::Error,
                        format!("{text:?}: expected a port from 0 to 65535"),
                    ),
                }
                self.listen = source.clone();
                return;
            }
            "secret" | "admin_user" | "admin_secret" | "cookie_secret" => {
                Value::Text(text.to_owned())
            }
            "allow_posting_from" => {
                let (good, bad): (Vec<_>, Vec<_>) = list(text)
                    .into_iter()
                    .partition(|entry| PeerList::default().add_text(entry).is_ok());
                if !bad.is_empty() {
                    let bad = bad.join(", ");
                    let message = format!(
                        "{bad:?}: no address; ignored, since addresses are compared as they \
                         are and this one never comes"
                    );
                    report(Severity::Warning, message);
                }
                Value::List(good.into_iter().map(Value::Text).collect())
            }
            "allow_cors" => Value::List(list(text).into_iter().map(Value::Text).collect()),
            "validate_requests" | "enforce_https" => Value::Bool(is_true(text)),
            "http_scheme" => match text {
                "http" | "https" => Value::Text(text.to_owned()),
                _ => Value::Text(String::new()),
            },
            "log_level" => return self.log_level(text, source),
            "signature_checker" => {
                if text != DEFAULT_CHECKER {
                    let message = format!(
                        "{text:?} is a Python class, which fanwire cannot use; expected \
                         {DEFAULT_CHECKER} or nothing"
                    );
                    report(Severity::Error, message);
                }
                return;
            }
            "debug" => {
                report(
                    Severity::Note,
                    "has no effect, as in Channelstream".to_owned(),
                );
                return;
            }
            idle if IDLE_KEYS.contains(&idle) => {
                report(
                    Severity::Warning,
                    "ignored: it has no effect in Channelstream".to_owned(),
                );
                return;
            }
            unknown => {
                let near = nearest(unknown, KEYS);
                let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
                report(Severity::Warning, format!("unknown key, ignored{near}"));
                return;
            }
        };
        self.push(&format!("{SECTION}.{key}"), value, source.clone());
    }

    fn log_level(&mut self, text: &str, source: &Source) {
        let level = match text.trim().to_ascii_uppercase().as_str() {
            "DEBUG" => "debug",
            "INFO" | "" => "info",
            "WARNING" => "warn",
            "ERROR" | "CRITICAL" => "error",
            _ => {
                let message = format!("{text:?}: expected DEBUG, INFO, WARNING, ERROR or CRITICAL");
                let (key, source) = ("log_level".to_owned(), source.clone());
                let severity = Severity::Error;
                self.problems.push(Problem {
                    severity,
                    source,
                    key,
                    message,
                });
                return;
            }
        };
        self.push("log", Value::Text(level.to_owned()), source.clone());
    }

    fn push(&mut self, key: &str, value: Value, source: Source) {
        self.entries.push(Entry {
            key: key.to_owned(),
            value,
            raw: None,
            source,
        });
    }

    fn finish(mut self) -> Vec<Entry> {
        let address = SocketAddr::new(self.host, self.port).to_string();
        let listen = self.listen.clone();
        self.push("listen", Value::List(vec![Value::Text(address)]), listen);
        self.entries
    }
}

/// Everything but these words is false, also nothing.
pub(super) fn is_true(text: &str) -> bool {
    let word = text.trim().to_lowercase();
    ["t", "true", "y", "yes", "on", "1"].contains(&word.as_str())
}

/// The entries of a list. The original writes one per line and reads commas; both are taken.
pub(super) fn list(text: &str) -> Vec<String> {
    let entries = text
        .split([',', '\n'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries.map(str::to_owned).collect()
}

/// An address without a port; a name only if it is that of this machine. Nothing is every address.
pub(super) fn host(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    match text {
        "" => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => bare.unwrap_or(text).parse().ok(),
    }
}
