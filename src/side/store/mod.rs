//! The store: what is to outlive a connection, or the process.
//!
//! [`Storage`] is what an engine does: [`Sqlite`] keeps everything in one file, [`Memory`] nothing
//! beyond the process. [`thread`] puts one of them behind a queue: it takes the jobs of
//! [`crate::store`] in order and answers in the same words. [`open`] finds out, before anybody is
//! listened to, whether there is anything to put there.

pub mod import;
mod memory;
#[cfg(feature = "store")]
pub mod sqlite;
mod storage;
pub mod thread;

pub use memory::Memory;
#[cfg(feature = "store")]
pub use sqlite::Sqlite;
pub use storage::{Committed, Reading, Retention, Retired, Storage, Swept, events_of};
pub use thread::{Link, Running};

use crate::store::{Loaded, Trouble};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much is known to be on disk when a write is said to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// All of it.
    #[default]
    Synced,
    /// All but the last second of it, should the power fail. A crash of the process loses nothing.
    Relaxed,
}

/// The time, as the store is told it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds that only grow, from wherever.
    pub mono_us: u64,
    /// Microseconds since 1970-01-01 UTC. May jump either way.
    pub unix_us: u64,
}

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// How a store is to be.
#[derive(Clone)]
pub struct Options {
    /// The file; none: in memory only.
    pub path: Option<PathBuf>,
    /// How much is on disk when a write is done.
    pub durability: Durability,
    /// How long an event stays, in microseconds; none: for ever.
    pub age_max_us: Option<u64>,
    /// How many bytes of events an app may have, its oldest go first; none: as many as it likes.
    pub bytes_max: Option<u64>,
    /// For how long its thread looks for more to do before it sleeps, in milliseconds; 0: it sleeps
    /// at once.
    pub busy_poll_ms: u64,
    /// What time it is.
    pub clock: Clock,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("path", &self.path)
            .field("durability", &self.durability)
            .field("age_max_us", &self.age_max_us)
            .field("bytes_max", &self.bytes_max)
            .field("busy_poll_ms", &self.busy_poll_ms)
            .finish_non_exhaustive()
    }
}

/// Why there is no store.
#[derive(Debug)]
pub enum OpenError {
    /// Another server has it.
    Locked(PathBuf),
    /// Another import into it is under way.
    Importing(PathBuf),
    /// The file is no database, or another program's.
    Foreign(PathBuf),
    /// The file was written by a later version of this program.
    FromTheFuture {
        /// The file.
        path: PathBuf,
        /// How it is laid out.
        version: i64,
        /// The latest layout that is known here.
        known: i64,
    },
    /// The file is damaged, and how.
    Damaged(PathBuf, String),
    /// There is nothing in the file, and whoever asked does not make a store of it.
    Empty(PathBuf),
    /// The file is not there or empty, and its log, which is the other path, is not.
    Missing(PathBuf, PathBuf),
    /// The file may not be written.
    ReadOnly(PathBuf),
    /// The file was only to be looked at, and changed meanwhile.
    Changed(PathBuf),
    /// The system, or the database, refuses.
    System(PathBuf, io::Error),
    /// This program was built without a database.
    NotBuilt(PathBuf),
}

impl OpenError {
    /// Whether something is wrong with the file itself, so that trying again helps as little as other
    /// settings do.
    pub fn is_of_the_file(&self) -> bool {
        matches!(
            self,
            Self::Foreign(_)
                | Self::FromTheFuture { .. }
                | Self::Damaged(..)
                | Self::Empty(_)
                | Self::Missing(..)
                | Self::ReadOnly(_)
        )
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Locked(path)
            | Self::Importing(path)
            | Self::Foreign(path)
            | Self::FromTheFuture { path, .. }
            | Self::Damaged(path, _)
            | Self::Empty(path)
            | Self::Missing(path, _)
            | Self::ReadOnly(path)
            | Self::Changed(path)
            | Self::System(path, _)
            | Self::NotBuilt(path) => path,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            Self::Locked(_) => write!(
                f,
                "{path} is in use by another fanwire; stop that one, or give this one a store.path \
                 of its own"
            ),
            Self::Importing(_) => write!(
                f,
                "another import into {path} is under way; nothing of this one is stored, begin it \
                 again when that one is done"
            ),
            Self::Foreign(_) => write!(
                f,
                "{path} is not a database of fanwire; it is left as it is, name another file in \
                 store.path"
            ),
            Self::FromTheFuture { version, known, .. } => write!(
                f,
                "{path} was written by a later fanwire (its layout is {version}, this one knows up \
                 to {known}); run that version, or restore a backup from before it"
            ),
            Self::Damaged(_, why) => write!(
                f,
                "{path} is damaged: {why}; see \"fanwire store check\", and restore a backup"
            ),
            Self::Empty(_) => write!(
                f,
                "{path} is empty: it is no store, or one that was cut off; it is left as it is, \
                 restore a backup or name another file"
            ),
            Self::Missing(_, log) => write!(
                f,
                "{path} is missing or empty, but its log {log} is there, with what was stored last; \
                 put both back together or restore a backup, or remove the log as well to begin anew",
                log = log.display()
            ),
            Self::ReadOnly(_) => write!(
                f,
                "{path} may not be written; it and its folder must be writable by this user"
            ),
            Self::Changed(_) => write!(
                f,
                "{path} changed while it was looked at; look again when nobody writes to it"
            ),
            Self::System(_, error) => write!(f, "{path} cannot be opened: {error}"),
            Self::NotBuilt(_) => write!(
                f,
                "{path} cannot be opened: this fanwire was built without the feature \"store\"; \
                 store.path = \"\" keeps everything in memory"
            ),
        }
    }
}

impl std::error::Error for OpenError {}

/// An open store that nobody works for yet.
pub struct Store {
    storage: Box<dyn Storage>,
    options: Options,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Opens a store, and says what is in it. Blocks: this comes before anybody is listened to.
///
/// # Errors
/// What is wrong with the file, and what to do about it.
pub fn open(options: Options) -> Result<(Store, Loaded), OpenError> {
    let storage: Box<dyn Storage> = match &options.path {
        None => Box::new(Memory::new()),
        #[cfg(feature = "store")]
        Some(path) => Box::new(Sqlite::open(path, options.durability)?),
        #[cfg(not(feature = "store"))]
        Some(path) => return Err(OpenError::NotBuilt(path.clone())),
    };
    let path = options.path.clone().unwrap_or_default();
    let mut store = Store::with(storage, options);
    let loaded = store
        .load()
        .map_err(|trouble| OpenError::System(path, io::Error::other(trouble.message())))?;
    Ok((store, loaded))
}

impl Store {
    /// One with an engine that is open already.
    pub fn with(storage: Box<dyn Storage>, options: Options) -> Self {
        Self { storage, options }
    }

    /// What there is.
    ///
    /// # Errors
    /// It cannot read.
    pub fn load(&mut self) -> Result<Loaded, Trouble> {
        let unix_s = (self.options.clock)().unix_us / 1_000_000;
        Ok(Loaded {
            apps: self.storage.apps()?,
            ended: self.storage.ended_sessions(unix_s)?,
            // Asked for where it is wanted: it may be much.
            remembered: Vec::new(),
        })
    }

    /// The engine, for what else is asked before the start: adopting apps, what is remembered.
    pub fn storage(&mut self) -> &mut dyn Storage {
        &mut *self.storage
    }

    /// Puts it on a thread of its own. `tell` is called there, and on the thread that reads, with
    /// what is to be told the loop; it must not block. It gives false once nobody listens any more.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        self,
        tell: impl Fn(Vec<crate::store::News>) -> bool + Send + Sync + 'static,
    ) -> io::Result<Running> {
        thread::start(self.storage, self.options, Arc::new(tell))
    }
}
