//! The files beside the database: the lock that says that a server runs here, and the reserve.

use crate::limits::STORE_RESERVE_BYTES;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The path with more at its end.
pub(super) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(more);
    PathBuf::from(name)
}

/// Held by the one server of a database for as long as it runs, however it ends. The file itself
/// stays: whoever removed it could remove the lock of the next one.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum NotLocked {
    /// Another one has it.
    Held,
    /// The system refuses.
    Refused(io::Error),
}

impl Lock {
    /// Takes it, or says why not, at once.
    pub(super) fn take(path: &Path) -> Result<Self, NotLocked> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = options
            .open(beside(path, ".lock"))
            .map_err(NotLocked::Refused)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(NotLocked::Held),
            Err(TryLockError::Error(error)) => Err(NotLocked::Refused(error)),
        }
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
        if std::fs::metadata(&self.path).is_ok_and(|file| file.len() == bytes) {
            return Ok(());
        }
        let made = File::create(&self.path).and_then(|mut file| {
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
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("{} stays: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

/// Brings what a folder lists to the disk: a new file is lost with its name.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
