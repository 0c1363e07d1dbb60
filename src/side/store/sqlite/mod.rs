//! The engine that keeps: one SQLite file.
//!
//! # How it is written
//!
//! The file is in WAL mode: a commit appends the pages it changed to the log beside the database,
//! and now and then SQLite copies them over. One connection writes; another, on another thread,
//! only reads and is never in its way.
//!
//! With [`Durability::Synced`] the log is synced by every commit (`synchronous = FULL`) before any
//! reader sees it. With [`Durability::Relaxed`] a commit only writes (`synchronous = NORMAL`), and
//! [`Sqlite::sync`](super::Storage::sync) syncs the log. That is all it takes: SQLite reads a log up
//! to the last commit whose checksums hold, and itself syncs the log before it copies from it.
//!
//! # When it fails
//!
//! A commit that failed may lie in the log, whole or in part: where a crash followed at once, it
//! could come back from there. So recovering first opens a new connection, while the old ones still
//! know how far the log was good, and then has all of the log copied over and cut to nothing. What
//! failed is gone for good with that, and nothing depends on a sync that was said to have failed.

mod apps;
mod files;
mod import;
mod kept;
mod open;
mod read;
mod retire;
mod rotate;
mod schema;
mod tend;
mod write;

pub use import::Importer;
pub use tend::{backup, check, compact};

use super::storage::{Committed, Reading, Retention, Retired, Serving, Storage, Swept};
use super::{Durability, OpenError};
use crate::store::{Answer, AppRecord, AppRow, EndedSession, Question, Remembered, Trouble, Write};
use files::{Lock, Reserve};
use rusqlite::{Connection, ErrorCode};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The engine.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    durability: Durability,
    connection: Connection,
    names: Names,
    /// By the numbers of users.
    serving: Serving<i64>,
    /// As SQLite counts what others commit.
    seen_version: i64,
    /// The app that clearing away looked at last.
    last_retired: i64,
    /// Room for when the disk is full, if this is the server.
    reserve: Option<Reserve>,
    /// Tests make the disk smaller.
    pages_max: Option<u32>,
    /// Dropped last, as it says that nobody else may be here.
    _lock: Option<Lock>,
}

/// The numbers of names that were met before.
#[derive(Debug, Default)]
struct Names {
    channels: BTreeMap<(AppRow, Box<str>), i64>,
    users: BTreeMap<(AppRow, Box<str>), i64>,
}

impl Names {
    /// What was looked up may be otherwise now.
    fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Sqlite {
    /// Opens a database as the one server of it, and makes it if it is not there. It is checked:
    /// whole, if that takes no more than a moment, else at the edges of all it has.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, OpenError> {
        open::as_server(path, durability, true)
    }

    /// Opens a database that is there, beside a server that may be running.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open_beside(path: &Path) -> Result<Self, OpenError> {
        open::as_visitor(path, false)
    }

    /// The same, but makes it if it is not there, as the command does that adds an app.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open_or_make_beside(path: &Path) -> Result<Self, OpenError> {
        open::as_visitor(path, true)
    }

    /// For tests: the database may have so many pages from now on, as if the disk had no more room.
    /// None: as many as there is room for.
    ///
    /// # Errors
    /// It cannot read.
    pub fn bound_pages(&mut self, most: Option<u32>) -> Result<(), Trouble> {
        self.pages_max = most;
        // Zero would only ask; so many are more than there can be.
        let most = most.unwrap_or(u32::MAX - 1);
        let set =
            self.connection
                .query_row(&format!("PRAGMA max_page_count = {most}"), [], |row| {
                    row.get::<_, i64>(0)
                });
        set.map(drop).map_err(|error| trouble("bound", &error))
    }

    /// Says what went wrong, and makes room if it was for lack of it.
    fn failed(&mut self, what: &str, error: &rusqlite::Error) -> Trouble {
        self.names.forget();
        let trouble = trouble(what, error);
        if trouble == Trouble::DiskFull
            && let Some(reserve) = &self.reserve
        {
            reserve.give_up();
        }
        trouble
    }
}

/// What an error means for who asks. It is logged here, as nobody else sees its words.
fn trouble(what: &str, error: &rusqlite::Error) -> Trouble {
    log::error!("the store cannot {what}: {error}");
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Trouble::DiskFull,
        _ => Trouble::Failing,
    }
}

/// As SQLite counts: nothing that is counted here gets near the end of it.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// And back.
fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Reading for Sqlite {
    fn answer(&mut self, question: &Question, upto: u64) -> Result<Answer, Trouble> {
        read::answer(&self.connection, question, upto).map_err(|error| trouble("read", &error))
    }
}

impl Storage for Sqlite {
    fn commit(&mut self, writes: &[&Write]) -> Result<Committed, Trouble> {
        // Nearly always there is nothing to copy.
        let before = (!self.serving.is_empty()).then(|| self.serving.clone());
        let done = write::commit(self, writes);
        done.map_err(|error| {
            self.serving = before.unwrap_or_default();
            self.failed("write", &error)
        })
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        open::sync_log(&self.path).map_err(|error| {
            log::error!("the store cannot sync: {error}");
            Trouble::Failing
        })
    }

    fn last_event(&mut self) -> Result<u64, Trouble> {
        write::last_event(&self.connection).map_err(|error| trouble("read", &error))
    }

    fn reader(&mut self) -> Result<Option<Box<dyn Reading>>, Trouble> {
        let mut reader = read::Reader::new(&self.path);
        reader.open().map_err(|error| trouble("read", &error))?;
        Ok(Some(Box::new(reader)))
    }

    fn apps(&mut self) -> Result<Vec<AppRecord>, Trouble> {
        apps::all(&self.connection).map_err(|error| trouble("read its apps", &error))
    }

    fn adopt(&mut self, idents: &[&str], unix_s: u64) -> Result<Vec<AppRow>, Trouble> {
        let adopted = write::within(&self.connection, |connection| {
            let rows = idents.iter();
            rows.map(|ident| apps::adopt(connection, ident, unix_s))
                .collect()
        });
        adopted.map_err(|error| self.failed("adopt apps", &error))
    }

    fn remembered(&mut self, app: AppRow) -> Result<Remembered, Trouble> {
        kept::remembered(&self.connection, app).map_err(|error| trouble("read", &error))
    }

    fn ended_sessions(&mut self, unix_s: u64) -> Result<Vec<EndedSession>, Trouble> {
        let listed = write::within(&self.connection, |connection| {
            apps::ended_sessions(connection, unix_s)
        });
        listed.map_err(|error| self.failed("list sessions", &error))
    }

    fn retire(&mut self, keep: &Retention, rows: usize) -> Result<Retired, Trouble> {
        retire::step(self, keep, rows).map_err(|error| self.failed("clear away", &error))
    }

    fn sweep(&mut self, from_micros: u64, after: u64, rows: usize) -> Result<Swept, Trouble> {
        let swept = retire::sweep(self, from_micros, after, rows);
        swept.map_err(|error| self.failed("clear away", &error))
    }

    fn was_changed_by_others(&mut self) -> Result<bool, Trouble> {
        let version =
            open::data_version(&self.connection).map_err(|error| trouble("read", &error))?;
        let was_changed = std::mem::replace(&mut self.seen_version, version) != version;
        if was_changed {
            self.names.forget();
        }
        Ok(was_changed)
    }

    fn rest(&mut self) -> Result<(), Trouble> {
        let copied = open::checkpoint(&self.connection, "PASSIVE");
        copied.map_err(|error| self.failed("copy its log", &error))
    }

    fn recover(&mut self) -> Result<(), Trouble> {
        open::recover(self)
    }

    fn check(&mut self) -> Result<Vec<String>, Trouble> {
        tend::faults(&self.connection).map_err(|error| trouble("be checked", &error))
    }

    fn close(&mut self) -> Result<(), Trouble> {
        let cut = open::checkpoint(&self.connection, "TRUNCATE");
        cut.map_err(|error| self.failed("close", &error))
    }
}

/// A folder for a test, which goes with this value.
#[cfg(test)]
struct Scratch(PathBuf);

#[cfg(test)]
impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("fanwire-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }
}

#[cfg(test)]
impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
