//! What a row of the table is, and how it reads a value into [`Config`] and shows it again.

use super::check::Severity;
use super::config::{Config, ListenAddr, Scheme, Secret, UNLIMITED, UNLIMITED_U32};
use super::nearest::nearest;
use super::table::OPTIONS;
use super::value::{Unit, Value, listen_addr, quoted};
use crate::peers::PeerList;
use log::LevelFilter;
use std::fmt;
use std::path::PathBuf;

/// One option: a row of the table.
#[derive(Debug)]
pub struct Opt {
    /// The section, empty for the top of the file.
    pub section: &'static str,
    /// The key within the section.
    pub name: &'static str,
    /// What it is, as one sentence without a full stop.
    pub short: &'static str,
    /// What else to know; may be empty.
    pub long: &'static str,
    pub(super) field: Field,
}

/// Where an option lives in [`Config`], which also says what it takes. One accessor serves reading
/// and writing; it is only called at the start.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Switch(fn(&mut Config) -> &mut bool),
    Text(fn(&mut Config) -> &mut String),
    Secret(fn(&mut Config) -> &mut Secret),
    Path(fn(&mut Config) -> &mut Option<PathBuf>),
    Level(fn(&mut Config) -> &mut LevelFilter),
    Scheme(fn(&mut Config) -> &mut Option<Scheme>),
    Listen(fn(&mut Config) -> &mut Vec<ListenAddr>),
    Peers(fn(&mut Config) -> &mut PeerList),
    Texts(fn(&mut Config) -> &mut Vec<String>),
    Number {
        at: Slot,
        unit: Unit,
        least: u64,
        most: u64,
        /// Whether `"none"` is a value.
        none: bool,
    },
}

/// Where a number lives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot {
    Usize(fn(&mut Config) -> &mut usize),
    U32(fn(&mut Config) -> &mut u32),
    U64(fn(&mut Config) -> &mut u64),
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// `fanwire dev` sets it.
    Dev,
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
            Self::File(name, line) => write!(f, "{name}:{line}"),
            Self::Env(name) => f.write_str(name),
            Self::Set => f.write_str("--set"),
            Self::Listen => f.write_str("--listen"),
        }
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

impl Opt {
    /// The whole key: `section.name`.
    pub fn key(&self) -> String {
        if self.section.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.section, self.name)
        }
    }

    /// The name of its environment variable.
    pub fn env_name(&self) -> String {
        let section = if self.section.is_empty() { "" } else { "__" };
        format!("FANWIRE_{}{section}{}", self.section, self.name).to_uppercase()
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

    /// Puts a value into `config`. `raw` is the text of a value that came from the environment or
    /// the command line, where quotes are optional.
    pub(super) fn set(
        &self,
        config: &mut Config,
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
                Value::Bool(is) => *at(config) = *is,
                _ => return Err(mismatch()),
            },
            Field::Text(at) => text().ok_or_else(mismatch)?.clone_into(at(config)),
            Field::Secret(at) => *at(config) = Secret::from(text().ok_or_else(mismatch)?),
            Field::Path(at) => {
                let path = text().ok_or_else(mismatch)?;
                *at(config) = (!path.is_empty()).then(|| path.into());
            }
            Field::Level(at) => {
                let name = text().ok_or_else(mismatch)?.to_ascii_lowercase();
                let level = LEVELS.iter().find(|(known, _)| *known == name);
                *at(config) = level.ok_or_else(mismatch)?.1;
            }
            Field::Scheme(at) => {
                *at(config) = match text() {
                    Some("") => None,
                    Some("http") => Some(Scheme::Http),
                    Some("https") => Some(Scheme::Https),
                    _ => return Err(mismatch()),
                }
            }
            Field::Listen(at) => {
                let entries = entries(value, raw).ok_or_else(mismatch)?;
                let read = entries.iter().map(|entry| listen_addr(entry));
                *at(config) = read.collect::<Result<_, _>>()?;
            }
            Field::Peers(at) => {
                let mut list = PeerList::default();
                for entry in entries(value, raw).ok_or_else(mismatch)? {
                    list.add_text(&entry)?;
                }
                *at(config) = list;
            }
            Field::Texts(at) => *at(config) = entries(value, raw).ok_or_else(mismatch)?,
            Field::Number {
                at,
                unit,
                least,
                most,
                none,
            } => {
                let number = match (value, text()) {
                    (Value::Text(word), _) if word == "none" && none => None,
                    (Value::Integer(number), _) if unit != Unit::Ms => {
                        Some(u64::try_from(*number).map_err(|_| mismatch())?)
                    }
                    (_, Some(text)) => Some(unit.read(text).ok_or_else(mismatch)?),
                    (_, None) => return Err(mismatch()),
                };
                if number.is_some_and(|number| number < least || number > most) {
                    return Err(mismatch());
                }
                at.store(config, number);
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
            Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Other(_) => {
                value.kind().to_owned()
            }
        };
        format!("expected {}; found {found}", self.expected())
    }

    /// The value in `config` as TOML; a secret that is not empty as `"***"`.
    pub fn show(&self, config: &Config) -> String {
        let config = &mut config.clone();
        match self.field {
            Field::Switch(at) => at(config).to_string(),
            Field::Text(at) => quoted(at(config)),
            Field::Secret(at) if at(config).is_empty() => quoted(""),
            Field::Secret(_) => quoted("***"),
            Field::Path(at) => {
                let path = at(config).take().unwrap_or_default();
                quoted(&path.to_string_lossy())
            }
            Field::Level(at) => {
                let level = *at(config);
                let name = LEVELS.iter().find(|(_, known)| *known == level);
                quoted(name.map_or("", |(name, _)| name))
            }
            Field::Scheme(at) => quoted(at(config).map_or("", Scheme::as_str)),
            Field::Listen(at) => list(at(config).iter().map(ToString::to_string)),
            Field::Peers(at) => at(config).to_toml(),
            Field::Texts(at) => list(at(config).iter().cloned()),
            Field::Number { at, unit, .. } => match at.load(config) {
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
    pub(super) fn secret(&self, config: &Config) -> Option<Secret> {
        match self.field {
            Field::Secret(at) => Some(at(&mut config.clone()).clone()),
            Field::Switch(_)
            | Field::Text(_)
            | Field::Path(_)
            | Field::Level(_)
            | Field::Scheme(_)
            | Field::Listen(_)
            | Field::Peers(_)
            | Field::Texts(_)
            | Field::Number { .. } => None,
        }
    }

    /// Whether the operator took the limit away.
    pub(super) fn is_unlimited(&self, config: &Config) -> bool {
        match self.field {
            Field::Number { at, none, .. } => none && at.load(&mut config.clone()).is_none(),
            Field::Switch(_)
            | Field::Text(_)
            | Field::Secret(_)
            | Field::Path(_)
            | Field::Level(_)
            | Field::Scheme(_)
            | Field::Listen(_)
            | Field::Peers(_)
            | Field::Texts(_) => false,
        }
    }
}

impl Slot {
    fn store(self, config: &mut Config, number: Option<u64>) {
        // The table's upper bounds fit the types; a test goes through all rows.
        match self {
            Self::Usize(at) => *at(config) = number.map_or(UNLIMITED, |n| n as usize),
            Self::U32(at) => *at(config) = number.map_or(UNLIMITED_U32, |n| n as u32),
            Self::U64(at) => *at(config) = number.unwrap_or(u64::MAX >> 1),
        }
    }

    fn load(self, config: &mut Config) -> Option<u64> {
        match self {
            Self::Usize(at) => Some(*at(config))
                .filter(|n| *n != UNLIMITED)
                .map(|n| n as u64),
            Self::U32(at) => Some(*at(config))
                .filter(|n| *n != UNLIMITED_U32)
                .map(u64::from),
            Self::U64(at) => Some(*at(config)).filter(|n| *n != u64::MAX >> 1),
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
                Value::Bool(_) | Value::Integer(_) | Value::List(_) | Value::Other(_) => None,
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

/// The option with this key.
pub fn find(key: &str) -> Option<&'static Opt> {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    OPTIONS
        .iter()
        .find(|opt| opt.section == section && opt.name == name)
}

/// The secret that the file named by this key holds: `admin.password` for `admin.password_file`.
pub(super) fn find_file_of(key: &str) -> Option<&'static Opt> {
    find(key.strip_suffix("_file")?).filter(|opt| opt.is_secret())
}

/// Every key, those of files that hold secrets included.
pub(super) fn keys() -> Vec<String> {
    let files = OPTIONS.iter().filter(|opt| opt.is_secret());
    let files = files.map(|opt| format!("{}_file", opt.key()));
    OPTIONS.iter().map(Opt::key).chain(files).collect()
}

/// What to say about a key that does not exist: the nearest that does, or those around it.
pub fn unknown(key: &str) -> String {
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
    if here.is_empty()
        && let Some(near) = nearest(key, keys.iter().map(String::as_str))
    {
        return format!("unknown key; did you mean {near}?");
    }
    if section.is_empty() || here.is_empty() {
        let mut sections: Vec<&str> = OPTIONS.iter().map(|opt| opt.section).collect();
        sections.dedup();
        sections.retain(|section| !section.is_empty());
        let sections = sections.join("], [");
        format!("unknown key; expected listen, trusted_proxies, log or a section of [{sections}]")
    } else {
        format!("unknown key; [{section}] has {}", here.join(", "))
    }
}
