//! What an operator has done to a database: checking, copying, making it small.

use super::files::{Part, beside};
use super::{Sqlite, open};
use crate::limits::STORE_EVENT_OVERHEAD_BYTES;
use crate::side::store::{Durability, OpenError, Storage};
use rusqlite::{Connection, Error, ErrorCode, Result};
use std::io;
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
    /// None: it can be written, and whoever writes is known to SQLite.
    lies_at: Option<PathBuf>,
}

impl Looked {
    /// Also on media that cannot be written, where all of it is in the one file.
    fn at(path: &Path) -> std::result::Result<Self, OpenError> {
        let (connection, lies_at) = match Sqlite::open_beside(path) {
            Err(OpenError::ReadOnly(path)) if !has_log(&path) => {
                (open::as_it_lies(&path)?, Some(path))
            }
            opened => (opened?.connection, None),
        };
        Ok(Self {
            connection,
            lies_at,
        })
    }

    /// Whether it stayed as it was while it was looked at. A server, which may be one that can write
    /// there, makes a log first.
    fn stayed(&self) -> std::result::Result<(), OpenError> {
        match &self.lies_at {
            Some(path) if has_log(path) => Err(OpenError::ReadOnly(path.clone())),
            _ => Ok(()),
        }
    }
}

fn has_log(path: &Path) -> bool {
    std::fs::symlink_metadata(beside(path, "-wal")).is_ok()
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
    let listed = open::connect_to_read(path).and_then(|file| unfit(&file, &mut faults));
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
    if std::fs::symlink_metadata(&target).is_ok() {
        return Err(refused(io::ErrorKind::AlreadyExists.into()));
    }
    // Whoever is cut off leaves nothing that could be taken for a copy.
    let part = Part::of(&target).map_err(refused)?;
    let Some(name) = part.path().to_str() else {
        let error = io::Error::other("this name is not text");
        return Err(refused(error));
    };
    let copied = store.connection.execute("VACUUM INTO ?1", [name]);
    copied.map_err(|error| open::open_error(path, &error))?;
    store.stayed()?;
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
