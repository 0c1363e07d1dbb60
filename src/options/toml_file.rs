//! Values out of TOML: a file with its lines, and single values from elsewhere.

use super::app::APPS_MAX;
use super::channelstream::Entry;
use super::check::Severity;
use super::nearest::nearest;
use super::opt::{Problem, Source, find, sections, sections_shown};
use super::table::OPTIONS;
use super::table::apps::SECTION;
use super::value::Value;
use toml::de::{DeTable, DeValue};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Its values, in order of their lines.
    pub(super) entries: Vec<Entry>,
    /// Where each `[[app]]` begins.
    pub(super) apps: Vec<Source>,
}

/// Reads a file. Problems are put in order of their lines.
pub(super) fn read(name: &str, text: &str, problems: &mut Vec<Problem>) -> Contents {
    let breaks = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
    let file = File { name, breaks };
    let document = match DeTable::parse(text) {
        Ok(document) => document.into_inner(),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            problems.push(file.error(at, "", error.message().to_owned()));
            return Contents::default();
        }
    };
    let mut apps = Vec::new();
    let mut entries = Vec::new();
    for (key, item) in &document {
        let at = key.span().start;
        let name = key.get_ref().as_ref();
        let is_section = OPTIONS
            .iter()
            .any(|opt| opt.section == name && !name.is_empty());
        match item.get_ref() {
            item if name == SECTION => {
                file.apps(at, item, &mut entries, &mut apps, problems);
            }
            DeValue::Table(table) if is_section => {
                for (key, item) in table {
                    let (at, key) = (key.span().start, key.get_ref());
                    entries.push(file.entry(at, format!("{name}.{key}"), item.get_ref()));
                }
            }
            DeValue::Table(_) if find(name).is_none() => {
                problems.push(file.error(at, &format!("[{name}]"), unknown_section(name)));
            }
            value if is_section => {
                let found = value.type_str();
                let message = format!("expected a section [{name}]; found {found}");
                problems.push(file.error(at, name, message));
            }
            value => entries.push(file.entry(at, name.to_owned(), value)),
        }
    }
    entries.sort_by_key(|entry| match &entry.source {
        Source::File(_, line) => *line,
        _ => 0,
    });
    Contents { entries, apps }
}

struct File<'a> {
    name: &'a str,
    /// Where its lines end.
    breaks: Vec<usize>,
}

impl File<'_> {
    fn source(&self, at: usize) -> Source {
        let line = 1 + self.breaks.partition_point(|end| *end < at);
        Source::File(self.name.to_owned(), line)
    }

    fn error(&self, at: usize, key: &str, message: String) -> Problem {
        let (severity, source) = (Severity::Error, self.source(at));
        Problem {
            severity,
            source,
            key: key.to_owned(),
            message,
        }
    }

    /// The apps: `[[app]]`, or a list of tables.
    fn apps(
        &self,
        at: usize,
        item: &DeValue<'_>,
        entries: &mut Vec<Entry>,
        apps: &mut Vec<Source>,
        problems: &mut Vec<Problem>,
    ) {
        let expected = |at, item: &DeValue<'_>| {
            let found = convert(item);
            let message = format!("expected tables [[app]]; found {}", found.kind());
            self.error(at, SECTION, message)
        };
        let DeValue::Array(items) = item else {
            problems.push(expected(at, item));
            return;
        };
        for item in items {
            let at = item.span().start;
            let DeValue::Table(table) = item.get_ref() else {
                problems.push(expected(at, item.get_ref()));
                continue;
            };
            if apps.len() >= APPS_MAX {
                let message = format!("too many; expected at most {APPS_MAX} apps");
                problems.push(self.error(at, SECTION, message));
                return;
            }
            for (key, item) in table {
                let (at, key) = (key.span().start, key.get_ref());
                let key = format!("{SECTION}.{}.{key}", apps.len());
                entries.push(self.entry(at, key, item.get_ref()));
            }
            apps.push(self.source(at));
        }
    }

    fn entry(&self, at: usize, key: String, value: &DeValue<'_>) -> Entry {
        let source = self.source(at);
        Entry {
            key,
            value: convert(value),
            raw: None,
            source,
        }
    }
}

fn unknown_section(name: &str) -> String {
    match nearest(name, sections()) {
        Some(SECTION) => "unknown section; did you mean [[app]]?".to_owned(),
        Some(near) => format!("unknown section; did you mean [{near}]?"),
        None => format!("unknown section; expected one of {}", sections_shown()),
    }
}

/// Whether a text is TOML that has only a section `[channelstream]`, with a key that only the
/// original's INI files have.
pub(super) fn looks_like_ini(document: &DeTable<'_>) -> bool {
    let mut sections = document.iter();
    let (Some((key, item)), None) = (sections.next(), sections.next()) else {
        return false;
    };
    let DeValue::Table(table) = item.get_ref() else {
        return false;
    };
    let ini_only = super::channelstream::INI_ONLY_KEYS;
    key.get_ref().as_ref() == super::channelstream::SECTION
        && table
            .keys()
            .any(|key| ini_only.contains(&key.get_ref().as_ref()))
}

/// A value from the environment or the command line: TOML where it is, else text.
pub(super) fn loose(raw: &str) -> Value {
    match DeValue::parse(raw) {
        Ok(value) => convert(value.get_ref()),
        Err(_) => Value::Text(raw.to_owned()),
    }
}

fn convert(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(is) => Value::Bool(*is),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("a number out of range"),
        },
        DeValue::Array(values) => Value::List(
            values
                .iter()
                .map(|value| convert(value.get_ref()))
                .collect(),
        ),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(table) => Value::Table(
            table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), convert(value.get_ref())))
                .collect(),
        ),
    }
}
