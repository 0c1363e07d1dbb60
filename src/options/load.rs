//! From texts to a [`Config`]: the layers in their order, each value with its source.

use super::app::{APPS_MAX, App, DEV_ID};
use super::channelstream::{self, Entry};
use super::check::{MISSING, Severity, check};
use super::config::Config;
use super::ini::Ini;
use super::opt::{
    AppSources, Known, Opt, Problem, Source, Sources, app_key, find, find_app, find_app_file_of,
    find_file_of, unknown,
};
use super::pushi_env;
use super::table::OPTIONS;
use super::table::apps::APP_OPTIONS;
use super::toml_file;
use super::value::Value;
use std::collections::BTreeSet;
use std::path::Path;
use toml::de::DeTable;

/// What the names of our variables begin with.
const ENV_PREFIX: &str = "FANWIRE_";

/// Reads a whole file as text, or says why it cannot.
pub type ReadFile<'a> = dyn Fn(&Path) -> Result<String, String> + 'a;

/// Everything settings are made from.
pub struct Inputs<'a> {
    /// The file: its name for messages (its ending counts) and its text.
    pub file: Option<(&'a str, &'a str)>,
    /// The environment; what begins with neither `FANWIRE_` nor `CHANNELSTREAM_` is not looked at,
    /// unless it is one of Pushi's variables and these are wanted.
    pub env: &'a [(String, String)],
    /// The arguments of `--set`: `section.key=value`.
    pub sets: &'a [String],
    /// The arguments of `--listen`; if there are any they are the whole list.
    pub listen: &'a [String],
    /// Whether this is `fanwire dev`: well-known secrets are expected, Channelstream's variables
    /// are not looked at, and only loopback is listened on.
    pub dev: bool,
    /// Whether Pushi's variables are looked at, instead of a file and of Channelstream's.
    pub pushi_env: bool,
    /// Reads the file that holds a secret.
    pub read: &'a ReadFile<'a>,
}

/// What came of them.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings. Only to be used if there is no error among the problems.
    pub config: Config,
    /// Where each value came from.
    pub sources: Sources,
    /// Errors, warnings and notes, in the order they were met.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// The problems of this severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Problem> {
        self.problems
            .iter()
            .filter(move |problem| problem.severity == severity)
    }

    /// Whether the server must not start.
    pub fn has_errors(&self) -> bool {
        self.of(Severity::Error).next().is_some()
    }
}

/// The kind of a settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Ours.
    Toml,
    /// Channelstream's.
    Ini,
}

/// Which kind a file is, by its ending where that says it, else by its content.
pub fn file_kind(name: &str, text: &str) -> FileKind {
    let ending = Path::new(name)
        .extension()
        .and_then(|ending| ending.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("toml") => return FileKind::Toml,
        Some("ini") => return FileKind::Ini,
        _ => {}
    }
    let is_ini = || Ini::read(text).is_ok_and(|ini| ini.has_section(channelstream::SECTION));
    let maybe = match DeTable::parse(text) {
        Ok(document) => toml_file::looks_like_ini(document.get_ref()),
        Err(_) => true,
    };
    if maybe && is_ini() {
        FileKind::Ini
    } else {
        FileKind::Toml
    }
}

/// The settings file that the environment names, for who was given no other.
pub fn ini_named(env: &[(String, String)]) -> Option<&str> {
    let named = env.iter().find(|(name, _)| name == channelstream::ENV_INI);
    named
        .map(|(_, path)| path.as_str())
        .filter(|path| !path.is_empty())
}

/// Makes settings: defaults, then the file, then the environment, then the command line.
///
/// Channelstream's INI file stands alone, as in the original: the environment is not looked at.
/// Its variables are looked at only where there is no file.
pub fn load(inputs: &Inputs<'_>) -> Loaded {
    let mut loading = Loading {
        config: Config::default(),
        sources: Sources::default(),
        problems: Vec::new(),
        read: inputs.read,
    };
    let mut env = inputs.env.to_vec();
    env.sort();
    if inputs.dev {
        loading.dev();
    }
    let kind = inputs.file.map(|(name, text)| file_kind(name, text));
    let mut problems = Vec::new();
    let below = match (inputs.file, kind) {
        (Some((name, text)), Some(FileKind::Ini)) => {
            channelstream::from_ini(name, text, &mut problems)
        }
        (Some((name, text)), _) => {
            let contents = toml_file::read(name, text, &mut problems);
            for source in contents.apps {
                loading.add_app(source);
            }
            contents.entries
        }
        (None, _) if inputs.pushi_env => pushi_env::from_env(&env, &mut problems),
        (None, _) if inputs.dev => Vec::new(),
        (None, _) => channelstream::from_env(&env, &mut problems),
    };
    loading.problems.append(&mut problems);
    loading.apply(below);
    if kind == Some(FileKind::Ini) {
        loading.env_not_looked_at(&env);
    } else {
        let entries = from_env(&env, &mut loading.problems);
        loading.apply(entries);
    }
    let entries = from_arguments(inputs, &mut loading.problems);
    loading.apply(entries);
    loading.finish(inputs.dev)
}

fn error(source: Source, key: &str, message: impl Into<String>) -> Problem {
    Problem {
        severity: Severity::Error,
        source,
        key: key.to_owned(),
        message: message.into(),
    }
}

fn loose_entry(key: String, raw: &str, source: Source) -> Entry {
    let value = toml_file::loose(raw);
    Entry {
        key,
        value,
        raw: Some(raw.to_owned()),
        source,
    }
}

/// Variables that begin like settings and are none: what tests and builds read, and what
/// Kubernetes gives every container beside a service called "fanwire".
fn is_no_setting(rest: &str) -> bool {
    matches!(rest, "BIN" | "SEED" | "COMMIT" | "PORT")
        || rest.starts_with("SERVICE_")
        || rest.starts_with("PORT_")
}

/// Our variables, without those that are no settings.
fn settings_in(env: &[(String, String)]) -> impl Iterator<Item = (&str, &str, &str)> {
    env.iter().filter_map(|(name, value)| {
        let rest = name
            .strip_prefix(ENV_PREFIX)
            .filter(|rest| !is_no_setting(rest))?;
        Some((name.as_str(), rest, value.as_str()))
    })
}

fn from_env(env: &[(String, String)], problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, rest, value) in settings_in(env) {
        let source = Source::Env(name.to_owned());
        let mut key = rest.to_lowercase().replacen("__", ".", 1);
        if key.starts_with("app.") {
            key = key.replacen("__", ".", 1);
        }
        match Known::find(&key) {
            Some(_) => entries.push(loose_entry(key, value, source)),
            None => problems.push(error(source, &key, unknown_variable(&key))),
        }
    }
    by_app(&mut entries);
    entries
}

/// Puts apps in the order of their numbers, as each makes room for the next; what is said twice
/// stays in its order.
fn by_app(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| app_key(&entry.key).map(|(number, _)| number));
}

/// As [`unknown`]; the usual mistake here is one underscore for two.
fn unknown_variable(key: &str) -> String {
    let same = |opt: &&Opt| opt.key().replace('.', "_") == key;
    if key.starts_with("app_") {
        return "unknown key; options of apps are named like FANWIRE_APP__0__SECRET".to_owned();
    }
    match OPTIONS.iter().find(same) {
        Some(opt) => format!("unknown key; did you mean {}?", opt.env_name()),
        None => unknown(key),
    }
}

fn from_arguments(inputs: &Inputs<'_>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for set in inputs.sets {
        match set.split_once('=') {
            Some((key, value)) => {
                entries.push(loose_entry(key.trim().to_owned(), value, Source::Set));
            }
            None => {
                let message = "expected section.key=value; there is no equals sign";
                problems.push(error(Source::Set, set, message));
            }
        }
    }
    by_app(&mut entries);
    if !inputs.listen.is_empty() {
        let list = inputs.listen.iter().cloned().map(Value::Text).collect();
        let (key, source) = ("listen".to_owned(), Source::Listen);
        entries.push(Entry {
            key,
            value: Value::List(list),
            raw: None,
            source,
        });
    }
    entries
}

struct Loading<'a> {
    config: Config,
    sources: Sources,
    problems: Vec<Problem>,
    read: &'a ReadFile<'a>,
}

impl Loading<'_> {
    /// What `fanwire dev` relies on and says: its keys are those everybody knows.
    fn dev(&mut self) {
        self.config.apps = vec![App::dev()];
        self.config.channelstream.app = DEV_ID.to_owned();
        self.config.pushi.open_registration = true;
        // Whoever runs it says which folder, as that is made at the start and removed at the end.
        self.config.store.path = None;
        for key in [
            "listen",
            "store.path",
            "pushi.open_registration",
            "channelstream.secret",
            "channelstream.admin_secret",
            "channelstream.app",
        ] {
            if let Some(source) =
                place_in(OPTIONS, key).and_then(|place| self.sources.options.get_mut(place))
            {
                *source = Source::Dev;
            }
        }
        let mut app = AppSources::new(Source::Dev);
        for key in ["app.protocols", "app.id", "app.key", "app.secret"] {
            if let Some(source) =
                place_in(APP_OPTIONS, key).and_then(|place| app.options.get_mut(place))
            {
                *source = Source::Dev;
            }
        }
        self.sources.apps = vec![app];
    }

    /// One more app, of which nothing is known yet.
    fn add_app(&mut self, source: Source) {
        self.config.apps.push(App::default());
        self.sources.apps.push(AppSources::new(source));
    }

    /// Applies one layer.
    fn apply(&mut self, entries: Vec<Entry>) {
        let keys: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        for other in &entries {
            let twin = &other.key;
            if let Some(key) = twin.strip_suffix("_file").filter(|key| keys.contains(key)) {
                let message = format!("given twice, here and as {twin}");
                self.problems
                    .push(error(other.source.clone(), key, message));
            }
        }
        for entry in entries {
            if let Err(message) = self.put(&entry) {
                self.problems.push(error(entry.source, &entry.key, message));
            }
        }
    }

    /// Puts one value in its place.
    fn put(&mut self, entry: &Entry) -> Result<(), String> {
        if let Some((number, name)) = app_key(&entry.key) {
            return self.put_in_app(entry, number, name);
        }
        let (opt, is_file) = match (find(&entry.key), find_file_of(&entry.key)) {
            (Some(opt), _) => (opt, false),
            (None, Some(opt)) => (opt, true),
            (None, None) => return Err(unknown(&entry.key)),
        };
        let sources = &mut self.sources.options;
        put_into(
            opt,
            is_file,
            OPTIONS,
            &mut self.config,
            sources,
            entry,
            self.read,
        )
    }

    /// The same for an app's. The number after that of the last app makes one more.
    fn put_in_app(&mut self, entry: &Entry, number: usize, name: &str) -> Result<(), String> {
        let (opt, is_file) = match (find_app(name), find_app_file_of(name)) {
            (Some(opt), _) => (opt, false),
            (None, Some(opt)) => (opt, true),
            (None, None) => return Err(unknown(&entry.key)),
        };
        let there = self.config.apps.len();
        if number == there && there < APPS_MAX {
            self.add_app(entry.source.clone());
        }
        let (Some(app), Some(sources)) = (
            self.config.apps.get_mut(number),
            self.sources.apps.get_mut(number),
        ) else {
            return Err(if number < APPS_MAX {
                format!("there is no app {there} before it; apps are counted from 0")
            } else {
                format!("too many; expected at most {APPS_MAX} apps")
            });
        };
        let sources = &mut sources.options;
        put_into(opt, is_file, APP_OPTIONS, app, sources, entry, self.read)
    }

    /// Somebody who sets our variables beside an INI file should hear that they do nothing.
    fn env_not_looked_at(&mut self, env: &[(String, String)]) {
        for (name, _, _) in settings_in(env) {
            self.problems.push(Problem {
                severity: Severity::Warning,
                source: Source::Env(name.to_owned()),
                key: String::new(),
                message: "ignored: beside a Channelstream INI file the environment is not looked \
                          at, as in the original; use --set"
                    .to_owned(),
            });
        }
    }

    /// A build without a database keeps all in memory; who names a file wants more than that.
    fn needs_database(&mut self) {
        let source = self.sources.of("store.path");
        if !cfg!(feature = "store") && self.config.store.path.take().is_some() {
            let is_wanted = !matches!(source, Source::Default | Source::Dev);
            let severity = if is_wanted {
                Severity::Error
            } else {
                Severity::Note
            };
            self.problems.push(Problem {
                severity,
                source,
                key: "store.path".to_owned(),
                message: "this build has no feature \"store\", and keeps everything in memory"
                    .to_owned(),
            });
        }
    }

    fn finish(mut self, dev: bool) -> Loaded {
        self.needs_database();
        for mut problem in check(&self.config, dev) {
            problem.source = self.sources.of(&problem.key);
            // A value that could not be read is not missing.
            let is_told = |told: &Problem| {
                let key = told.key.strip_suffix("_file").unwrap_or(&told.key);
                told.severity == Severity::Error && key == problem.key
            };
            let is_missing = problem.message.starts_with(MISSING);
            if !(is_missing && self.problems.iter().any(is_told)) {
                self.problems.push(problem);
            }
        }
        Loaded {
            config: self.config,
            sources: self.sources,
            problems: self.problems,
        }
    }
}

/// Sets an option of a record, which may be named by the file that holds it, and notes where its
/// value came from.
fn put_into<R: Clone>(
    opt: &Opt<R>,
    is_file: bool,
    table: &[Opt<R>],
    record: &mut R,
    sources: &mut [Source],
    entry: &Entry,
    read: &ReadFile<'_>,
) -> Result<(), String> {
    if is_file {
        match secret_in_file(entry, read)? {
            Some(secret) => opt.set(record, &secret, None)?,
            None => return Ok(()),
        }
    } else {
        opt.set(record, &entry.value, entry.raw.as_deref())?;
    }
    let place = place_in(table, &opt.key());
    if let Some(source) = place.and_then(|place| sources.get_mut(place)) {
        *source = entry.source.clone();
    }
    Ok(())
}

/// The secret in the file that the entry names, if it names one. The newline that editors and
/// shells put at the end is not part of it.
fn secret_in_file(entry: &Entry, read: &ReadFile<'_>) -> Result<Option<Value>, String> {
    let path = match (&entry.value, &entry.raw) {
        (Value::Text(path), _) => path.as_str(),
        (_, Some(raw)) => raw.as_str(),
        (value, None) => return Err(format!("expected a path; found {}", value.kind())),
    };
    if path.is_empty() {
        return Ok(None);
    }
    let text = read(Path::new(path)).map_err(|why| format!("{path}: {why}"))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(format!("{path}: expected a secret; the file is empty"));
    }
    Ok(Some(Value::Text(secret.to_owned())))
}

fn place_in<R: Clone>(table: &[Opt<R>], key: &str) -> Option<usize> {
    table.iter().position(|opt| opt.key() == key)
}

#[cfg(test)]
mod tests;
