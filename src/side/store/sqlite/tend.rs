//! What an operator has done to a database: checking, copying, making it small.

use super::files::{Part, beside};
use super::{Sqlite, open};
use crate::limits::STORE_EVENT_OVERHEAD_BYTES;
use crate::side::store::{Durability, OpenError, Storage};
use rusqlite::{Connection, Error, ErrorCode, Result};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Things wrong that are listed.
const FAULTS_LISTED_MAX: usize = 100;

/// What must not be found, and what it is called. `?1` is what an event is charged beyond its texts.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "events in no channel",
        "SELECT count(*) FROM event LEFT JOIN channel
         ON channel.id = event.channel AND channel.app = event.app WHERE channel.id IS NULL",
    ),
    (
        "events that wait for somebody and are gone",
        "SELECT count(*) FROM waiting LEFT JOIN event ON event.id = waiting.event
         WHERE event.id IS NULL",
    ),
    (
        "events that wait for nobody who is known",
        "SELECT count(*) FROM waiting LEFT JOIN user ON user.id = waiting.user
         WHERE user.id IS NULL",
    ),
    (
        "apps whose events are miscounted",
        "SELECT count(*) FROM
         (SELECT app AS of, count(*) AS there,
                 sum(octet_length(name) + octet_length(data) + octet_length(extra) + ?1) AS taken
          FROM event GROUP BY app)
         LEFT JOIN tally ON what = 0 AND app = of
         WHERE there IS NOT count OR taken IS NOT bytes",
    ),
    (
        "apps whose records are miscounted",
        "SELECT count(*) FROM
         (SELECT app, kind AS what, count(*) AS there FROM record GROUP BY app, kind)
         LEFT JOIN tally USING (app, what) WHERE there IS NOT count",
    ),
    (
        "apps that are counted and have nothing",
        "SELECT count(*) FROM tally WHERE count <> 0 AND
         NOT EXISTS (SELECT 1 FROM event WHERE what = 0 AND event.app = tally.app) AND
         NOT EXISTS (SELECT 1 FROM record WHERE kind = what AND record.app = tally.app)",
    ),
    (
        "records with ids that were never given",
        "SELECT count(*) FROM record JOIN counter ON what = kind WHERE id > last",
    ),
    (
        "messages of channels that are not remembered",
        "SELECT count(*) FROM kept_message LEFT JOIN kept_channel
         ON kept_channel.id = kept_message.channel WHERE kept_channel.id IS NULL",
    ),
    (
        "channels whose messages are miscounted",
        "SELECT count(*) FROM kept_channel WHERE count IS NOT
         (SELECT count(*) FROM kept_message WHERE channel = kept_channel.id)",
    ),
];

/// Everything that is wrong with a database; nothing if it is in order.
pub(super) fn faults(connection: &Connection) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    unfit(connection, &mut faults)?;
    if !faults.is_empty() {
        // What does not fit together as a file is not looked into.
        return Ok(faults);
    }
    for (what, sql) in CONTRADICTIONS {
        let sql = sql.replace("?1", &STORE_EVENT_OVERHEAD_BYTES.to_string());
        let count: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if count > 0 {
            faults.push(format!("{count} {what}"));
        }
    }
    Ok(faults)
}

/// A store that is only looked at.
struct Looked {
    connection: Connection,
    /// None: whoever writes to it is known to SQLite.
    as_it_lies: Option<AsItLies>,
}

/// A file that nobody is expected to write to, and what says so.
struct AsItLies {
    path: PathBuf,
    about: fs::Metadata,
}

impl Looked {
    /// Also where it cannot be written, if all of it is in the one file.
    fn at(path: &Path) -> std::result::Result<Self, OpenError> {
        // SQLite would make files beside one that it can only read.
        let is_closed = fs::metadata(path).is_ok_and(|about| is_closed(&about));
        if is_closed && !has_log(path) {
            return Self::as_it_lies(path);
        }
        match Sqlite::open_beside(path) {
            Err(OpenError::ReadOnly(path)) if !has_log(&path) => Self::as_it_lies(&path),
            opened => Ok(Self {
                connection: opened?.connection,
                as_it_lies: None,
            }),
        }
    }

    fn as_it_lies(path: &Path) -> std::result::Result<Self, OpenError> {
        let file = AsItLies::at(open::absolute(path)?)?;
        let opened = open::as_it_lies(&file.path);
        file.stayed()?;
        Ok(Self {
            connection: opened?,
            as_it_lies: Some(file),
        })
    }

    /// Whether it stayed as it was while it was looked at. If it did not, what was found does not count.
    fn stayed(&self) -> std::result::Result<(), OpenError> {
        self.as_it_lies.as_ref().map_or(Ok(()), AsItLies::stayed)
    }
}

impl AsItLies {
    fn at(path: PathBuf) -> std::result::Result<Self, OpenError> {
        match fs::metadata(&path) {
            Ok(about) => Ok(Self { path, about }),
            Err(error) => Err(OpenError::System(path, error)),
        }
    }

    /// A server, which may be one that can write there, makes a log first, and copies that to the file
    /// before it removes it.
    fn stayed(&self) -> std::result::Result<(), OpenError> {
        let known = |about: &fs::Metadata| {
            let modified = (about.mtime(), about.mtime_nsec());
            let changed = (about.ctime(), about.ctime_nsec());
            (about.dev(), about.ino(), about.len(), modified, changed)
        };
        let is_same = |now: fs::Metadata| known(&now) == known(&self.about);
        if !has_log(&self.path) && fs::metadata(&self.path).is_ok_and(is_same) {
            Ok(())
        } else {
            Err(OpenError::Changed(self.path.clone()))
        }
    }
}

/// Whether this process may not write to a file, as its mode and its owner tell. It is not tried, as
/// closing it again would take the locks from a store that this process has open there.
fn is_closed(about: &fs::Metadata) -> bool {
    const BY_OWNER: u32 = 0o200;
    const BY_OTHERS: u32 = 0o022;
    // Where the system does not show whose this process is, only what is closed to everybody counts.
    match fs::metadata("/proc/self").map(|ours| ours.uid()) {
        Err(_) | Ok(0) => about.permissions().readonly(),
        Ok(user) if user == about.uid() => about.mode() & BY_OWNER == 0,
        Ok(_) => about.mode() & BY_OTHERS == 0,
    }
}

fn has_log(path: &Path) -> bool {
    // SQLite goes where links lead, and the log lies there.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    fs::symlink_metadata(beside(&path, "-wal")).is_ok()
}

/// What does not fit together as a file, in SQLite's words. It lists what it finds before it fails.
fn unfit(connection: &Connection, faults: &mut Vec<String>) -> Result<()> {
    let sql = format!("PRAGMA integrity_check({FAULTS_LISTED_MAX})");
    let mut statement = connection.prepare(&sql)?;
    let mut said = statement.query([])?;
    while let Some(row) = said.next()? {
        // One row may be many lines.
        let text: String = row.get(0)?;
        let lines = text.lines().filter(|line| !matches!(*line, "" | "ok"));
        faults.extend(lines.map(str::to_owned));
    }
    faults.truncate(FAULTS_LISTED_MAX);
    Ok(())
}

/// Why a damaged file could not be opened, or read to its end, and what else SQLite finds in it.
fn damage(path: &Path, why: String) -> Vec<String> {
    let mut faults = Vec::new();
    // As it lies, if all of it is there, so that nothing comes to lie beside it.
    let file = match open::absolute(path) {
        Ok(path) if !has_log(&path) => open::connect_as_it_lies(&path),
        _ => open::connect_to_read(path),
    };
    let listed = file.and_then(|file| unfit(&file, &mut faults));
    let is_damage = |error: &Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt);
    let ended = listed.err().filter(is_damage);
    let ended = ended.map(|error| error.to_string());
    let is_new = |why: &String| !faults.contains(why);
    let ended = ended.filter(|ended| *ended != why).filter(is_new);
    let why = Some(why).filter(is_new);
    why.into_iter().chain(faults.clone()).chain(ended).collect()
}

/// Checks all of a database, beside a server or without one. Nothing in the list: it is in order.
///
/// # Errors
/// It cannot be opened.
pub fn check(path: &Path) -> std::result::Result<Vec<String>, OpenError> {
    let checked = Looked::at(path).and_then(|store| {
        let faults = faults(&store.connection);
        store.stayed()?;
        faults.map_err(|error| open::open_error(path, &error))
    });
    match checked {
        Err(OpenError::Damaged(_, why)) => Ok(damage(path, why)),
        checked => checked,
    }
}

/// Copies a database as it is at this moment to a new file, beside a server or without one.
///
/// # Errors
/// It cannot be opened; or the new file is there already, or cannot be written.
pub fn backup(path: &Path, to: &Path) -> std::result::Result<(), OpenError> {
    let store = Looked::at(path)?;
    let refused = |error| OpenError::System(to.to_owned(), error);
    let target = std::path::absolute(to).map_err(refused)?;
    if fs::symlink_metadata(&target).is_ok() {
        return Err(refused(io::ErrorKind::AlreadyExists.into()));
    }
    // Whoever is cut off leaves nothing that could be taken for a copy.
    let part = Part::of(&target).map_err(refused)?;
    let Some(name) = part.path().to_str() else {
        let error = io::Error::other("this name is not text");
        return Err(refused(error));
    };
    let copied = store.connection.execute("VACUUM INTO ?1", [name]);
    store.stayed()?;
    copied.map_err(|error| open::open_error(path, &error))?;
    part.end(&target).map_err(refused)
}

/// Gives the room back that a database no longer needs. No server may be running.
///
/// # Errors
/// It cannot be opened, or there is no room for a copy of it.
pub fn compact(path: &Path) -> std::result::Result<(), OpenError> {
    let mut store = open::as_server(path, Durability::Synced, false)?;
    let compacted = store.connection.execute_batch("VACUUM");
    compacted.map_err(|error| open::open_error(path, &error))?;
    let closed = store.close();
    closed
        .map_err(|trouble| OpenError::System(path.to_owned(), io::Error::other(trouble.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server may come and go while a file is looked at as it lies.
    #[test]
    fn what_changed_meanwhile_was_not_seen() {
        let scratch = super::super::Scratch::new("tend");
        let folder = &scratch.0;
        let path = folder.join("fanwire.db");
        fs::write(&path, "as it was").expect("there is room");
        let looked = || AsItLies::at(path.clone()).expect("it is there");
        let has_changed = |looked: &AsItLies| {
            let stayed = looked.stayed();
            assert!(matches!(stayed, Ok(()) | Err(OpenError::Changed(_))));
            stayed.is_err()
        };
        let before = looked();
        assert!(!has_changed(&before));
        let is_as_before = || looked().about.modified().ok() == before.about.modified().ok();
        // Times may be as coarse as the system's tick.
        while is_as_before() {
            fs::write(&path, "as it is").expect("there is room");
        }
        assert!(has_changed(&before));
        // One that took its place, the same in all that is told of it but that.
        let before = looked();
        let other = folder.join("other");
        fs::copy(&path, &other).expect("there is room");
        fs::rename(&other, &path).expect("there is room");
        assert!(has_changed(&before));
        // A server that is still there. Its log lies where the file does, not where a link to it does.
        let link = folder.join("link.db");
        std::os::unix::fs::symlink(&path, &link).expect("there is room");
        let (before, by_link) = (looked(), AsItLies::at(link).expect("it is there"));
        assert!(!has_changed(&before) && !has_changed(&by_link));
        fs::write(beside(&path, "-wal"), "").expect("there is room");
        assert!(has_changed(&before) && has_changed(&by_link));
    }
}
