//! `fanwire store` and `fanwire app`: looking after the database file, and the apps in it.

use super::args::{AppAdd, AppTask, Store, Which};
use super::sign::now;
use super::{
    EXIT_NOT_STARTED, EXIT_STORE, EXIT_USAGE, answer, complain, complain_all, exit_of_store, load,
    random,
};
use fanwire::options::{Protocol, Severity};
use fanwire::side::store::{OpenError, Sqlite, Storage as _, sqlite};
use fanwire::store::{Answer, AppFields, AppRecord, BY_PUSHER, BY_PUSHI, NewApp, Trouble, Write};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Digits of an id for Pusher, whose SDKs do not all take letters.
const PUSHER_ID_DIGITS: u32 = 12;
/// Bytes of what names or proves an app, written as twice as many hex digits.
const CREDENTIAL_BYTES: usize = 32;

/// Why a command came to nothing, and the exit code of that.
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: EXIT_USAGE,
            message: message.into(),
        }
    }

    pub(super) fn system(message: impl Into<String>) -> Self {
        Self {
            code: EXIT_NOT_STARTED,
            message: message.into(),
        }
    }

    fn trouble(path: &Path, trouble: Trouble) -> Self {
        Self::system(format!("{}: {trouble}", path.display()))
    }

    pub(super) fn told(&self) -> ExitCode {
        complain(&self.message);
        ExitCode::from(self.code)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self {
            code: exit_of_store(&error),
            message: error.to_string(),
        }
    }
}

/// The file that is meant.
pub(super) fn file_of(which: &Which) -> Result<PathBuf, Failure> {
    if let Some(path) = &which.path {
        return Ok(path.clone());
    }
    let loaded = load(&which.given, false).map_err(Failure::usage)?;
    if loaded.has_errors() {
        complain_all(&loaded, Severity::Error);
        return Err(Failure::usage("the configuration is bad"));
    }
    let path = loaded.config.store.path;
    path.ok_or_else(|| {
        Failure::usage("store.path is empty, so that there is no file; name one with --path FILE")
    })
}

/// What to say where the file was not there before: a server that began without one does not look
/// whether it has come.
pub(super) fn file_made(path: &Path) -> String {
    format!(
        "made {}; restart a server that did without it",
        path.display()
    )
}

fn done(result: Result<ExitCode, Failure>) -> ExitCode {
    result.unwrap_or_else(|failure| failure.told())
}

/// `fanwire store`.
pub(super) fn store(task: &Store) -> ExitCode {
    done(match task {
        Store::Check(which) => check(which),
        Store::Backup(which, to) => backup(which, to),
        Store::Compact(which) => compact(which),
    })
}

fn check(which: &Which) -> Result<ExitCode, Failure> {
    let path = file_of(which)?;
    let faults = sqlite::check(&path)?;
    for fault in &faults {
        complain(&format!("{}: {fault}", path.display()));
    }
    if faults.is_empty() {
        return Ok(answer(&format!("{} is sound\n", path.display())));
    }
    Err(Failure {
        code: EXIT_STORE,
        message: format!("{} is damaged; restore a backup", path.display()),
    })
}

fn backup(which: &Which, to: &Path) -> Result<ExitCode, Failure> {
    let path = file_of(which)?;
    sqlite::backup(&path, to)?;
    Ok(answer(&format!(
        "copied {} to {}\n",
        path.display(),
        to.display()
    )))
}

fn compact(which: &Which) -> Result<ExitCode, Failure> {
    let path = file_of(which)?;
    let bytes = || std::fs::metadata(&path).map(|about| about.len());
    // Opening it as a server does would make one.
    let before =
        bytes().map_err(|error| Failure::system(format!("{}: {error}", path.display())))?;
    sqlite::compact(&path)?;
    let now = bytes().unwrap_or(before);
    let text = format!("{}: {before} bytes before, {now} now\n", path.display());
    Ok(answer(&text))
}

/// `fanwire app`.
pub(super) fn app(task: &AppTask) -> ExitCode {
    done(match task {
        AppTask::Add(which, add) => add_app(which, add),
        AppTask::List(which) => list(which),
        AppTask::Rotate(which, ident) => rotate(which, ident),
    })
}

fn add_app(which: &Which, add: &AppAdd) -> Result<ExitCode, Failure> {
    let by_pusher = add.protocols.contains(&Protocol::Pusher);
    let by_pushi = add.protocols.contains(&Protocol::Pushi);
    let ident = match &add.id {
        Some(id) => checked_id(id, by_pusher)?,
        None if by_pusher => random_digits()?,
        None => credential()?,
    };
    if add.name.trim().is_empty() {
        return Err(Failure::usage("app add: the name is empty"));
    }
    let path = file_of(which)?;
    let is_new = !path.exists();
    let mut store = Sqlite::open_or_make_beside(&path)?;
    let new = NewApp {
        name: add.name.as_str().into(),
        ident: ident.into(),
        key: credential()?.into(),
        secret: credential()?.into(),
        protocols: if by_pushi { BY_PUSHI } else { 0 } | if by_pusher { BY_PUSHER } else { 0 },
        more: AppFields::default(),
        unix_s: now(),
    };
    let write = Write::CreateApp(Box::new(new));
    let done = store.commit(&[&write]);
    let done = done.map_err(|trouble| Failure::trouble(&path, trouble))?;
    let Some(Answer::App(made)) = done.answers.into_iter().next() else {
        let taken = format!(
            "{}: this name, or this id, is another app's",
            path.display()
        );
        return Err(Failure::system(taken));
    };
    let mut text = String::new();
    if is_new {
        // Writing to a string does not fail, here and below.
        let _ = writeln!(text, "{}\n", file_made(&path));
    }
    let _ = write!(
        text,
        "name       {}\nprotocols  {}\nid         {}\nkey        {}\nsecret     {}\n",
        one_line(name_of(&made)),
        protocols(&made),
        made.ident,
        made.key,
        made.secret
    );
    Ok(answer(&text))
}

fn list(which: &Which) -> Result<ExitCode, Failure> {
    let path = file_of(which)?;
    let apps = Sqlite::open_beside(&path)?.apps();
    let apps = apps.map_err(|trouble| Failure::trouble(&path, trouble))?;
    // Those of the settings are there to number what is stored of them.
    let apps = apps.iter().filter(|app| !app.is_of_settings);
    let rows: Vec<[&str; 5]> = apps
        .map(|app| {
            let state = if app.is_enabled() { "on" } else { "off" };
            [&*app.ident, &*app.key, state, protocols(app), name_of(app)]
        })
        .collect();
    if rows.is_empty() {
        return Ok(answer(&format!(
            "there are no apps in {}\n",
            path.display()
        )));
    }
    let titles = ["ID", "KEY", "STATE", "PROTOCOLS", "NAME"];
    let width = |column: usize| {
        let cells = rows.iter().chain([&titles]).map(|row| row[column].len());
        cells.max().unwrap_or(0)
    };
    let (id, key, state, spoken) = (width(0), width(1), width(2), width(3));
    let mut text = String::new();
    for row in [&titles].into_iter().chain(&rows) {
        let _ = writeln!(
            text,
            "{:id$}  {:key$}  {:state$}  {:spoken$}  {}",
            row[0],
            row[1],
            row[2],
            row[3],
            one_line(row[4])
        );
    }
    Ok(answer(&text))
}

fn rotate(which: &Which, ident: &str) -> Result<ExitCode, Failure> {
    let path = file_of(which)?;
    let secret = credential()?;
    let rotated = Sqlite::open_beside(&path)?.replace_secret(ident, &secret, now());
    match rotated.map_err(|trouble| Failure::trouble(&path, trouble))? {
        true => Ok(answer(&format!("secret     {secret}\n"))),
        false => Err(Failure::system(format!(
            "{}: no app in the store has the id {ident:?}; see fanwire app list",
            path.display()
        ))),
    }
}

fn name_of(app: &AppRecord) -> &str {
    app.fields.name.value().map_or("", |name| &**name)
}

fn protocols(app: &AppRecord) -> &'static str {
    match (
        app.protocols & BY_PUSHI != 0,
        app.protocols & BY_PUSHER != 0,
    ) {
        (true, true) => "pushi,pusher",
        (true, false) => "pushi",
        (false, true) => "pusher",
        (false, false) => "none",
    }
}

/// A name with a line break in it must not look like another app.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(plain).collect()
}

fn checked_id(id: &str, by_pusher: bool) -> Result<String, Failure> {
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b':' | b'%');
    if id.is_empty() || !id.bytes().all(is_plain) {
        let message = "expected letters and digits, none of / ? # : % and no spaces";
        return Err(Failure::usage(format!("--id: {id:?}: {message}")));
    }
    if by_pusher && !id.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = "is not digits only, which Pusher's SDK for Python insists on";
        complain(&format!("warning: --id: {id:?} {message}"));
    }
    Ok(id.to_owned())
}

fn credential() -> Result<String, Failure> {
    Ok(data_encoding::HEXLOWER.encode(&random::<CREDENTIAL_BYTES>().map_err(Failure::system)?))
}

/// A number that has all its digits.
fn random_digits() -> Result<String, Failure> {
    let least = 10_u64.pow(PUSHER_ID_DIGITS - 1);
    let number = least + u64::from_ne_bytes(random().map_err(Failure::system)?) % (9 * least);
    Ok(number.to_string())
}
