//! What a row of the tables is, and how it reads a value into a record and shows it again. The
//! record is [`Config`], or an [`App`] of it.

use super::app::{App, Protocol, Webhook};
use super::check::Severity;
use super::config::{
    Config, Durability, ListenAddr, Scheme, Secret, TlsListener, UNLIMITED, UNLIMITED_U32,
    UNLIMITED_U64,
};
use super::nearest::nearest;
use super::table::OPTIONS;
use super::table::apps::{APP_OPTIONS, SECTION};
use super::value::{
    Unit, Value, digits_only, listen_addr, quoted, show_tls_listener, tls_listener,
};
use crate::peers::PeerList;
use log::LevelFilter;
use std::fmt;
use std::path::PathBuf;

/// One option: a row of the table about `R`.
#[derive(Debug)]
pub struct Opt<R: 'static = Config> {
    /// The section, empty for the top of the file, `app` for an `[[app]]`.
    pub section: &'static str,
    /// The key within the section.
    pub name: &'static str,
    /// What it is, as one sentence without a full stop.
    pub short: &'static str,
    /// What else to know; may be empty.
    pub long: &'static str,
    pub(super) field: Field<R>,
}

/// Where an option lives in its record, which also says what it takes. One accessor serves reading
/// and writing; it is only called at the start.
#[derive(Debug)]
pub(super) enum Field<R: 'static> {
    Switch(fn(&mut R) -> &mut bool),
    Text(fn(&mut R) -> &mut String),
    Secret(fn(&mut R) -> &mut Secret),
    Path(fn(&mut R) -> &mut Option<PathBuf>),
    Level(fn(&mut R) -> &mut LevelFilter),
    Scheme(fn(&mut R) -> &mut Option<Scheme>),
    Listen(fn(&mut R) -> &mut Vec<ListenAddr>),
    Peers(fn(&mut R) -> &mut PeerList),
    Texts(fn(&mut R) -> &mut Vec<String>),
    Protocols(fn(&mut R) -> &mut Vec<Protocol>),
    Webhooks(fn(&mut R) -> &mut Vec<Webhook>),
    Durability(fn(&mut R) -> &mut Durability),
    TlsListeners(fn(&mut R) -> &mut Vec<TlsListener>),
    Number {
        at: Slot<R>,
        unit: Unit,
        least: u64,
        most: u64,
        /// Whether `"none"` is a value.
        none: bool,
    },
}

/// Where a number lives.
#[derive(Debug)]
pub(super) enum Slot<R: 'static> {
    Usize(fn(&mut R) -> &mut usize),
    U32(fn(&mut R) -> &mut u32),
    U64(fn(&mut R) -> &mut u64),
}

// By hand, as a derived one would ask that records can be copied.
impl<R> Clone for Slot<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Slot<R> {}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// `fanwire dev` sets it.
    Dev,
    /// `--pushi-env` on the command line sets it.
    PushiEnv,
    /// A file, by the name it was given, and the line counted from one.
    File(String, usize),
    /// An environment variable.
    Env(String),
    /// `--set` on the command line.
    Set,
    /// `--listen` on the command line.
    Listen,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Dev => f.write_str("fanwire dev"),
            Self::PushiEnv => f.write_str("--pushi-env"),
            Self::File(name, line) => write!(f, "{name}:{line}"),
            Self::Env(name) => f.write_str(name),
            Self::Set => f.write_str("--set"),
            Self::Listen => f.write_str("--listen"),
        }
    }
}

/// Where each value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// For each option, in the order of [`OPTIONS`].
    pub options: Vec<Source>,
    /// For each app, in the order of the apps.
    pub apps: Vec<AppSources>,
}

/// Where the values of one app came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSources {
    /// Where it begins.
    pub table: Source,
    /// For each option, in the order of [`APP_OPTIONS`].
    pub options: Vec<Source>,
}

impl Default for Sources {
    /// Everything is a default, and there are no apps.
    fn default() -> Self {
        Self {
            options: vec![Source::Default; OPTIONS.len()],
            apps: Vec::new(),
        }
    }
}

impl AppSources {
    /// An app that begins there and says nothing yet.
    pub(super) fn new(table: Source) -> Self {
        Self {
            table,
            options: vec![Source::Default; APP_OPTIONS.len()],
        }
    }
}

impl Sources {
    /// Where the value of this key came from; a value that an app leaves out, from where the app
    /// begins.
    pub fn of(&self, key: &str) -> Source {
        let found = match app_key(key) {
            Some((number, name)) => self.apps.get(number).map(|app| {
                let place = APP_OPTIONS.iter().position(|opt| opt.name == name);
                match place.and_then(|place| app.options.get(place)) {
                    None | Some(Source::Default) => &app.table,
                    Some(source) => source,
                }
            }),
            None => {
                let place = OPTIONS.iter().position(|opt| opt.key() == key);
                place.and_then(|place| self.options.get(place))
            }
        };
        found.cloned().unwrap_or(Source::Default)
    }
}

/// Something the operator should know about the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where the value came from.
    pub source: Source,
    /// The key, if it concerns one.
    pub key: String,
    /// What is wrong, what was expected, what may have been meant.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source != Source::Default {
            write!(f, "{}: ", self.source)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Levels by name. The last names are those of Python, which Channelstream's files use.
const LEVELS: [(&str, LevelFilter); 8] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
    ("warning", LevelFilter::Warn),
    ("critical", LevelFilter::Error),
];

impl<R: Clone> Opt<R> {
    /// The whole key: `section.name`, also of an app's, whose number is left out.
    pub fn key(&self) -> String {
        if self.section.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.section, self.name)
        }
    }

    /// The name of its environment variable; for an app's option that of the first app.
    pub fn env_name(&self) -> String {
        let between = match self.section {
            "" => "",
            SECTION => "__0__",
            _ => "__",
        };
        format!("FANWIRE_{}{between}{}", self.section, self.name).to_uppercase()
    }

    /// Whether its value is shown as `***`, and can be given as a file with `_file`.
    pub fn is_secret(&self) -> bool {
        matches!(self.field, Field::Secret(_))
    }

    /// What values it takes.
    pub fn expected(&self) -> String {
        match self.field {
            Field::Switch(_) => "true or false".to_owned(),
            Field::Text(_) | Field::Secret(_) => "a text".to_owned(),
            Field::Path(_) => "a path".to_owned(),
            Field::Level(_) => {
                "a level: \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"".to_owned()
            }
            Field::Scheme(_) => "\"http\", \"https\" or \"\"".to_owned(),
            Field::Listen(_) => "a list of addresses such as [\"127.0.0.1:8000\"]".to_owned(),
            Field::Peers(_) => "a list of peer addresses such as [\"127.0.0.1\"]".to_owned(),
            Field::Texts(_) => "a list of texts".to_owned(),
            Field::Protocols(_) => {
                let names = Protocol::ALL.map(|protocol| quoted(protocol.as_str()));
                format!("a list of {}", names.join(", "))
            }
            Field::Webhooks(_) => "a list of tables such as \
                 [{ url = \"https://example.com/hook\", events = [\"channel_occupied\"] }]"
                .to_owned(),
            Field::Durability(_) => {
                let names = Durability::ALL.map(|durability| quoted(durability.as_str()));
                names.join(" or ")
            }
            Field::TlsListeners(_) => "a list of tables such as \
                 [{ listen = \"0.0.0.0:8443\", cert = \"other.pem\", key = \"other.key\" }]"
                .to_owned(),
            Field::Number {
                unit,
                least,
                most,
                none,
                ..
            } => {
                let (least, most) = (unit.write(least), unit.write(most));
                let none = if none { ", or \"none\"" } else { "" };
                format!("{} from {least} to {most}{none}", unit.example())
            }
        }
    }

    /// Puts a value into `record`. `raw` is the text of a value that came from the environment or
    /// the command line, where quotes are optional.
    pub(super) fn set(
        &self,
        record: &mut R,
        value: &Value,
        raw: Option<&str>,
    ) -> Result<(), String> {
        let text = || match (value, raw) {
            (Value::Text(text), _) => Some(text.as_str()),
            (_, Some(raw)) => Some(raw),
            (_, None) => None,
        };
        let mismatch = || self.mismatch(value);
        match self.field {
            Field::Switch(at) => match value {
                Value::Bool(is) => *at(record) = *is,
                _ => return Err(mismatch()),
            },
            Field::Text(at) => text().ok_or_else(mismatch)?.clone_into(at(record)),
            Field::Secret(at) => *at(record) = Secret::from(text().ok_or_else(mismatch)?),
            Field::Path(at) => {
                let path = text().ok_or_else(mismatch)?;
                *at(record) = (!path.is_empty()).then(|| path.into());
            }
            Field::Level(at) => {
                let name = text().ok_or_else(mismatch)?.to_ascii_lowercase();
                let level = LEVELS.iter().find(|(known, _)| *known == name);
                *at(record) = level.ok_or_else(mismatch)?.1;
            }
            Field::Scheme(at) => {
                *at(record) = match text() {
                    Some("") => None,
                    Some("http") => Some(Scheme::Http),
                    Some("https") => Some(Scheme::Https),
                    _ => return Err(mismatch()),
                }
            }
            Field::Listen(at) => {
                let entries = entries(value, raw).ok_or_else(mismatch)?;
                let read = entries.iter().map(|entry| listen_addr(entry));
                *at(record) = read.collect::<Result<_, _>>()?;
            }
            Field::Peers(at) => {
                let mut list = PeerList::default();
                for entry in entries(value, raw).ok_or_else(mismatch)? {
                    list.add_text(&entry)?;
                }
                *at(record) = list;
            }
            Field::Texts(at) => *at(record) = entries(value, raw).ok_or_else(mismatch)?,
            Field::Protocols(at) => {
                let mut protocols = Vec::new();
                for word in entries(value, raw).ok_or_else(mismatch)? {
                    let protocol = Protocol::read(&word)?;
                    if !protocols.contains(&protocol) {
                        protocols.push(protocol);
                    }
                }
                *at(record) = protocols;
            }
            Field::Webhooks(at) => {
                let Value::List(values) = value else {
                    return Err(mismatch());
                };
                let read = values.iter().map(Webhook::read);
                *at(record) = read.collect::<Result<_, _>>()?;
            }
            Field::Durability(at) => {
                let word = text().ok_or_else(mismatch)?;
                let mut known = Durability::ALL.into_iter();
                *at(record) = known.find(|of| of.as_str() == word).ok_or_else(mismatch)?;
            }
            Field::TlsListeners(at) => {
                let Value::List(values) = value else {
                    return Err(mismatch());
                };
                let read = values.iter().map(tls_listener);
                *at(record) = read.collect::<Result<_, _>>()?;
            }
            Field::Number {
                at,
                unit,
                least,
                most,
                none,
            } => {
                let number = match (value, text()) {
                    (Value::Text(word), _) if word == "none" && none => None,
                    (Value::Integer(number), _) if !unit.is_time() => {
                        Some(u64::try_from(*number).map_err(|_| mismatch())?)
                    }
                    (_, Some(text)) => Some(unit.read(text).ok_or_else(mismatch)?),
                    (_, None) => return Err(mismatch()),
                };
                if number.is_some_and(|number| number < least || number > most) {
                    return Err(mismatch());
                }
                at.store(record, number);
            }
        }
        Ok(())
    }

    /// Says what was expected and, unless it is a secret, what was found.
    fn mismatch(&self, value: &Value) -> String {
        let found = match value {
            _ if self.is_secret() => value.kind().to_owned(),
            Value::Text(text) if text.chars().count() <= 60 => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Bool(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Other(_) => value.kind().to_owned(),
        };
        format!("expected {}; found {found}", self.expected())
    }

    /// The value in `record` as TOML; a secret that is not empty as `"***"`.
    pub fn show(&self, record: &R) -> String {
        let record = &mut record.clone();
        match self.field {
            Field::Switch(at) => at(record).to_string(),
            Field::Text(at) => quoted(at(record)),
            Field::Secret(at) if at(record).is_empty() => quoted(""),
            Field::Secret(_) => quoted("***"),
            Field::Path(at) => {
                let path = at(record).take().unwrap_or_default();
                quoted(&path.to_string_lossy())
            }
            Field::Level(at) => {
                let level = *at(record);
                let name = LEVELS.iter().find(|(_, known)| *known == level);
                quoted(name.map_or("", |(name, _)| name))
            }
            Field::Scheme(at) => quoted(at(record).map_or("", Scheme::as_str)),
            Field::Listen(at) => list(at(record).iter().map(ToString::to_string)),
            Field::Peers(at) => at(record).to_toml(),
            Field::Texts(at) => list(at(record).iter().cloned()),
            Field::Protocols(at) => {
                let names = at(record).iter().map(|protocol| protocol.as_str());
                list(names.map(str::to_owned))
            }
            Field::Webhooks(at) => {
                let hooks: Vec<String> = at(record).iter().map(Webhook::show).collect();
                format!("[{}]", hooks.join(", "))
            }
            Field::Durability(at) => quoted(at(record).as_str()),
            Field::TlsListeners(at) => {
                let shown: Vec<String> = at(record).iter().map(show_tls_listener).collect();
                format!("[{}]", shown.join(", "))
            }
            Field::Number { at, unit, .. } => match at.load(record) {
                None => quoted("none"),
                Some(number) => {
                    let text = unit.write(number);
                    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
                    if plain { text } else { quoted(&text) }
                }
            },
        }
    }

    /// The value of an option that is a secret.
    pub(super) fn secret(&self, record: &R) -> Option<Secret> {
        match self.field {
            Field::Secret(at) => Some(at(&mut record.clone()).clone()),
            Field::Switch(_)
            | Field::Text(_)
            | Field::Path(_)
            | Field::Level(_)
            | Field::Scheme(_)
            | Field::Listen(_)
            | Field::Peers(_)
            | Field::Texts(_)
            | Field::Protocols(_)
            | Field::Webhooks(_)
            | Field::Durability(_)
            | Field::TlsListeners(_)
            | Field::Number { .. } => None,
        }
    }

    /// Whether the operator took the limit away.
    pub(super) fn is_unlimited(&self, record: &R) -> bool {
        match self.field {
            Field::Number { at, none, .. } => none && at.load(&mut record.clone()).is_none(),
            Field::Switch(_)
            | Field::Text(_)
            | Field::Secret(_)
            | Field::Path(_)
            | Field::Level(_)
            | Field::Scheme(_)
            | Field::Listen(_)
            | Field::Peers(_)
            | Field::Texts(_)
            | Field::Protocols(_)
            | Field::Webhooks(_)
            | Field::Durability(_)
            | Field::TlsListeners(_) => false,
        }
    }
}

impl<R> Slot<R> {
    fn store(self, record: &mut R, number: Option<u64>) {
        // The table's upper bounds fit the types; a test goes through all rows.
        match self {
            Self::Usize(at) => *at(record) = number.map_or(UNLIMITED, |n| n as usize),
            Self::U32(at) => *at(record) = number.map_or(UNLIMITED_U32, |n| n as u32),
            Self::U64(at) => *at(record) = number.unwrap_or(UNLIMITED_U64),
        }
    }

    fn load(self, record: &mut R) -> Option<u64> {
        match self {
            Self::Usize(at) => Some(*at(record))
                .filter(|n| *n != UNLIMITED)
                .map(|n| n as u64),
            Self::U32(at) => Some(*at(record))
                .filter(|n| *n != UNLIMITED_U32)
                .map(u64::from),
            Self::U64(at) => Some(*at(record)).filter(|n| *n != UNLIMITED_U64),
        }
    }
}

/// The texts of a list. In the environment and on the command line a list can also be written
/// with commas alone.
fn entries(value: &Value, raw: Option<&str>) -> Option<Vec<String>> {
    match (value, raw) {
        (Value::List(values), _) => values
            .iter()
            .map(|value| match value {
                Value::Text(text) => Some(text.clone()),
                Value::Bool(_)
                | Value::Integer(_)
                | Value::List(_)
                | Value::Table(_)
                | Value::Other(_) => None,
            })
            .collect(),
        (Value::Text(text), Some(_)) => Some(split(text)),
        (_, Some(raw)) => Some(split(raw)),
        (_, None) => None,
    }
}

fn split(text: &str) -> Vec<String> {
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries.map(str::to_owned).collect()
}

fn list(entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<String> = entries.map(|entry| quoted(&entry)).collect();
    format!("[{}]", entries.join(", "))
}

/// The option with this key, unless it is an app's.
pub fn find(key: &str) -> Option<&'static Opt> {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    OPTIONS
        .iter()
        .find(|opt| opt.section == section && opt.name == name)
}

/// An option of one table or the other.
#[derive(Debug, Clone, Copy)]
pub enum Known {
    /// Of the server.
    Server(&'static Opt),
    /// Of each app.
    App(&'static Opt<App>),
}

impl Known {
    /// The option with this key: `limits.body_bytes`, or for an app's `app.secret` and with a
    /// number `app.0.secret`. A secret is also found by the name of its file.
    pub fn find(key: &str) -> Option<Self> {
        let (name, is_app) = match app_key(key) {
            Some((_, name)) => (name, true),
            None => match key.strip_prefix(SECTION).and_then(|k| k.strip_prefix('.')) {
                Some(name) => (name, true),
                None => (key, false),
            },
        };
        if is_app {
            let opt = find_app(name).or_else(|| find_app_file_of(name))?;
            Some(Self::App(opt))
        } else {
            Some(Self::Server(find(name).or_else(|| find_file_of(name))?))
        }
    }

    /// The whole key.
    pub fn key(self) -> String {
        match self {
            Self::Server(opt) => opt.key(),
            Self::App(opt) => opt.key(),
        }
    }
}

/// The number of the app and the name of its option in a key such as `app.0.secret`.
pub(super) fn app_key(key: &str) -> Option<(usize, &str)> {
    let rest = key.strip_prefix(SECTION)?.strip_prefix('.')?;
    let (number, name) = rest.split_once('.')?;
    let number = usize::try_from(digits_only(number)?).ok()?;
    Some((number, name))
}

/// An app's option by its name.
pub(super) fn find_app(name: &str) -> Option<&'static Opt<App>> {
    APP_OPTIONS.iter().find(|opt| opt.name == name)
}

/// The app's secret that the file named by this option holds.
pub(super) fn find_app_file_of(name: &str) -> Option<&'static Opt<App>> {
    find_app(name.strip_suffix("_file")?).filter(|opt| opt.is_secret())
}

/// The secret that the file named by this key holds: `admin.password` for `admin.password_file`.
pub(super) fn find_file_of(key: &str) -> Option<&'static Opt> {
    find(key.strip_suffix("_file")?).filter(|opt| opt.is_secret())
}

/// Every key of the server, those of files that hold secrets included.
pub(super) fn keys() -> Vec<String> {
    with_files(OPTIONS, Opt::key)
}

fn with_files<R: Clone>(opts: &[Opt<R>], name: impl Fn(&Opt<R>) -> String) -> Vec<String> {
    let files = opts.iter().filter(|opt| opt.is_secret());
    let files = files.map(|opt| format!("{}_file", name(opt)));
    opts.iter().map(&name).chain(files).collect()
}

/// The sections there are, `app` last.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&str> = OPTIONS.iter().map(|opt| opt.section).collect();
    sections.dedup();
    sections.retain(|section| !section.is_empty());
    sections.push(SECTION);
    sections
}

/// The sections there are, as they are written.
pub(super) fn sections_shown() -> String {
    let mut shown: Vec<String> = sections().iter().map(|name| format!("[{name}]")).collect();
    if let Some(last) = shown.last_mut() {
        *last = format!("[{last}]");
    }
    shown.join(", ")
}

/// What to say about a key that does not exist: the nearest that does, or those around it.
pub fn unknown(key: &str) -> String {
    if key == SECTION || key.starts_with("app.") {
        return unknown_of_app(key);
    }
    let keys = keys();
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    // Within a section names are compared alone, or the section would make all of them similar.
    let here: Vec<&str> = keys
        .iter()
        .map(|known| known.split_once('.').unwrap_or(("", known)))
        .filter(|(of, _)| *of == section)
        .map(|(_, name)| name)
        .collect();
    if let Some(near) = nearest(name, here.iter().copied()) {
        let dot = if section.is_empty() { "" } else { "." };
        return format!("unknown key; did you mean {section}{dot}{near}?");
    }
    // The right name in the wrong section.
    if let Some(opt) = OPTIONS.iter().find(|opt| opt.name == name) {
        return format!("unknown key; did you mean {}?", opt.key());
    }
    if let Some(opt) = find_app(name) {
        return format!("unknown key; did you mean {} of an [[app]]?", opt.name);
    }
    if here.is_empty()
        && let Some(near) = nearest(key, keys.iter().map(String::as_str))
    {
        return format!("unknown key; did you mean {near}?");
    }
    if nearest(key, sections()) == Some(SECTION) {
        return "unknown key; did you mean [[app]]?".to_owned();
    }
    if section.is_empty() || here.is_empty() {
        let sections = sections_shown();
        format!("unknown key; expected listen, trusted_proxies, log or a section of {sections}")
    } else {
        format!("unknown key; [{section}] has {}", here.join(", "))
    }
}

/// The same for a key that begins like an app's.
fn unknown_of_app(key: &str) -> String {
    let (number, name) = match app_key(key) {
        Some((number, name)) => (format!("{number}."), name),
        None => (String::new(), key.strip_prefix("app.").unwrap_or_default()),
    };
    if number.is_empty() && (find_app(name).is_some() || find_app_file_of(name).is_some()) {
        return format!("unknown key; apps are counted from 0: did you mean app.0.{name}?");
    }
    let names = with_files(APP_OPTIONS, |opt| opt.name.to_owned());
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("unknown key; did you mean app.{number}{near}?"),
        None => format!("unknown key; [[app]] has {}", names.join(", ")),
    }
}
