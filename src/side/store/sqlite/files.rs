//! The files beside the database: the lock that says that a server runs here, the reserve, and a
//! copy of it that is not whole yet.

use crate::limits::STORE_RESERVE_BYTES;
use crate::side::store::OpenError;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The path with more at its end.
pub(super) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(more);
    PathBuf::from(name)
}

/// Whether the system does not want anything written there.
pub(super) fn forbids(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

/// How a new file is made: for nobody else's eyes, as secrets are in it. One that is there keeps its
/// mode. SQLite gives the log the mode of the database.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Says what only one process at a time is doing with a database, for as long as it does, however it
/// ends. The file itself stays: whoever removed it could remove the lock of the next one.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum NotLocked {
    /// Another one has it.
    Held,
    /// The system refuses.
    Refused(io::Error),
}

impl NotLocked {
    /// What is to be said of it; `held` where another one has it.
    pub(super) fn told(self, path: &Path, held: impl FnOnce(PathBuf) -> OpenError) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Held => held(path),
            Self::Refused(error) if forbids(&error) => OpenError::ReadOnly(path),
            Self::Refused(error) => OpenError::System(path, error),
        }
    }
}

impl Lock {
    /// The one server takes it, or is told why not, at once.
    pub(super) fn take(path: &Path) -> Result<Self, NotLocked> {
        Self::of(&beside(path, ".lock"))
    }

    /// The same for the one import.
    pub(super) fn take_to_import(path: &Path) -> Result<Self, NotLocked> {
        Self::of(&beside(path, ".import-lock"))
    }

    fn of(path: &Path) -> Result<Self, NotLocked> {
        let mut options = private();
        options.create(true).truncate(false);
        let file = options.open(path).map_err(NotLocked::Refused)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(NotLocked::Held),
            Err(TryLockError::Error(error)) => Err(NotLocked::Refused(error)),
        }
    }

    /// Whether the file at `path` is the one that is locked.
    fn is_at(&self, path: &Path) -> bool {
        let ours = self.file.metadata().map(|about| (about.dev(), about.ino()));
        place_of(path).is_ok_and(|there| ours.is_ok_and(|ours| ours == there))
    }
}

/// Room on the disk that nobody else can take. When the disk is full it is given up, and what is
/// cleared away then has somewhere to be written.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    pub(super) fn of(path: &Path) -> Self {
        Self {
            path: beside(path, ".reserve"),
        }
    }

    /// Whether there is one, whole or not.
    pub(super) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Makes it, or makes it whole, unless it is.
    pub(super) fn take(&self) -> io::Result<()> {
        let bytes = STORE_RESERVE_BYTES as u64;
        if fs::metadata(&self.path).is_ok_and(|file| file.len() == bytes) {
            return Ok(());
        }
        let mut options = private();
        options.create(true).truncate(true);
        let made = options.open(&self.path).and_then(|mut file| {
            // Really written: a hole would take no room.
            file.write_all(&vec![0; STORE_RESERVE_BYTES])?;
            file.sync_all()
        });
        if made.is_err() {
            self.give_up();
        }
        made
    }

    /// Gives its room back.
    pub(super) fn give_up(&self) {
        if let Err(error) = remove(&self.path) {
            log::warn!("{} stays: {error}", self.path.display());
        }
    }
}

/// A copy of a database that is not whole yet, and so has another name than it will have. What is left
/// of one that was cut off goes when the next one to the same name begins.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    /// Not on the copy itself: over a network it would be in the way of SQLite's own locks.
    lock: (PathBuf, Lock),
}

impl Part {
    /// Makes an empty file beside its name-to-be.
    pub(super) fn of(target: &Path) -> io::Result<Self> {
        let path = beside(target, ".part-of-backup");
        let at = beside(target, ".part-of-backup.lock");
        let is_another = || io::Error::other("another backup to it is under way");
        if fs::symlink_metadata(&at).is_ok_and(|about| about.is_symlink()) {
            // Nothing is made where it leads.
            remove(&at)?;
        }
        let lock = Lock::of(&at).map_err(|error| match error {
            NotLocked::Held => is_another(),
            NotLocked::Refused(error) => error,
        })?;
        // It may be the one that another backup has just removed.
        if !lock.is_at(&at) {
            return Err(is_another());
        }
        let part = Self {
            path,
            lock: (at, lock),
        };
        // Removed and made anew, not written over: what has this name may be a link to anywhere.
        remove(&beside(&part.path, "-journal"))?;
        remove(&part.path)?;
        private().create_new(true).open(&part.path)?;
        Ok(part)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It is whole, and gets its name, unless that was given to another file meanwhile.
    pub(super) fn end(self, target: &Path) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        match fs::hard_link(&self.path, target) {
            Ok(()) => {}
            // Over a network the answer may be that of a second try, after the first one did it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if place_of(target)? != place_of(&self.path)? {
                    return Err(error);
                }
            }
            // Not every file system knows two names of one file.
            Err(_) if fs::symlink_metadata(target).is_ok() => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Err(_) => fs::rename(&self.path, target)?,
        }
        drop(self);
        sync_folder_of(target)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // The lock last, and while it is held, so that it is no other's.
        for path in [&beside(&self.path, "-journal"), &self.path, &self.lock.0] {
            if let Err(error) = remove(path) {
                log::warn!("{} stays: {error}", path.display());
            }
        }
    }
}

/// Which file it is, whatever its name.
fn place_of(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|about| (about.dev(), about.ino()))
}

/// Removes a file, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Brings what a folder lists to the disk: a new file is lost with its name.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
