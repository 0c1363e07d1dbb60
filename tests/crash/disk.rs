//! Files as a disk holds them: what was synced, and what may have reached it since.
//!
//! Nothing is taken for granted that a system does not promise. Of what was written since the last sync
//! of a file any part may be there, in any order, down to single bytes of the last write; a file that is
//! new may have no name, and one that was removed still have its own, until its folder is synced.

use crate::setup::Chance;
use crate::trace::Deed;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a disk writes as a whole, or not at all.
const SECTOR: usize = 512;

/// How a disk is found after the power has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All that was not synced is lost.
    All,
    /// None of it is, as when only the process dies.
    Nothing,
    /// What came last is, the last write in part.
    Tail,
    /// Some writes are, whichever.
    Writes,
    /// Some sectors are, whichever.
    Sectors,
    /// The same, and where a file has grown there is what lay on the disk before.
    Garbage,
}

impl Loss {
    pub(crate) const ANY: [Self; 6] = [
        Self::All,
        Self::Nothing,
        Self::Tail,
        Self::Writes,
        Self::Sectors,
        Self::Garbage,
    ];
}

/// A change to a file.
#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut(usize),
}

/// A file, whatever its name.
#[derive(Debug, Default)]
struct File {
    synced: Vec<u8>,
    /// Since then, in order.
    changes: Vec<Change>,
    /// Syncs under way, and how many of the changes they are about.
    syncs: BTreeMap<u64, usize>,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    /// Names as the folder on the disk has them, and what was done to that since.
    synced: BTreeMap<PathBuf, usize>,
    names: Vec<(PathBuf, Option<usize>)>,
    name_syncs: BTreeMap<u64, usize>,
}

impl Disk {
    /// Names as the system shows them.
    fn now(&self) -> BTreeMap<PathBuf, usize> {
        named(&self.synced, self.names.iter())
    }

    fn file(&mut self, path: &Path) -> &mut File {
        let file = self.now().get(path).copied();
        &mut self.files[file.expect("it was opened")]
    }

    /// Something is done to the files in this folder.
    pub(crate) fn take(&mut self, deed: &Deed, folder: &Path) {
        match deed {
            Deed::Opened(path) => {
                if !self.now().contains_key(path) {
                    self.names.push((path.clone(), Some(self.files.len())));
                    self.files.push(File::default());
                }
            }
            Deed::Removed(path) => self.names.push((path.clone(), None)),
            Deed::Wrote { path, at, bytes } => {
                let (at, bytes) = (*at, bytes.clone());
                self.file(path).changes.push(Change::Write { at, bytes });
            }
            Deed::Cut { path, to } => self.file(path).changes.push(Change::Cut(*to)),
            Deed::Syncs(number, path) if path == folder => {
                self.name_syncs.insert(*number, self.names.len());
            }
            Deed::Synced(number, path) if path == folder => {
                let count = self.name_syncs.remove(number).unwrap_or(self.names.len());
                let done: Vec<_> = self.names.drain(..count).collect();
                self.synced = named(&self.synced, done.iter());
            }
            Deed::Syncs(number, path) => {
                let file = self.file(path);
                file.syncs.insert(*number, file.changes.len());
            }
            Deed::Synced(number, path) => {
                let file = self.file(path);
                let count = file.syncs.remove(number).unwrap_or(file.changes.len());
                let done: Vec<Change> = file.changes.drain(..count).collect();
                done.iter()
                    .for_each(|change| apply(&mut file.synced, change));
                // A sync that began later is about fewer of those that are left.
                file.syncs
                    .values_mut()
                    .for_each(|left| *left = left.saturating_sub(count));
            }
            Deed::Heard(..) | Deed::Said(..) => {}
        }
    }

    /// The same process is there no more, and another one comes: nothing has reached the disk by that.
    pub(crate) fn is_left(&mut self) {
        self.name_syncs.clear();
        self.files.iter_mut().for_each(|file| file.syncs.clear());
    }

    /// What a file holds as the system shows it; none if it is not there.
    pub(crate) fn shows(&self, path: &Path) -> Option<Vec<u8>> {
        let file = &self.files[*self.now().get(path)?];
        Some(left_of(file, Loss::Nothing, &mut Chance::new(0)))
    }

    /// Takes back the last change of a file, which never came back from the system.
    pub(crate) fn take_back(&mut self, path: &Path) {
        self.file(path).changes.pop();
    }

    /// The power fails: what there is goes into another folder. Whether anything was lost.
    pub(crate) fn fail(&self, loss: Loss, chance: &mut Chance, into: &Path) -> bool {
        let names = self.names.iter();
        let names: Vec<_> = match loss {
            Loss::All => Vec::new(),
            Loss::Nothing => names.collect(),
            Loss::Tail => names
                .take(chance.below(2) as usize * self.names.len())
                .collect(),
            _ => names.filter(|_| chance.one_in(2)).collect(),
        };
        let mut is_less = names.len() < self.names.len();
        for (path, file) in named(&self.synced, names.into_iter()) {
            let file = &self.files[file];
            let left = left_of(file, loss, chance);
            is_less |= left != left_of(file, Loss::Nothing, chance);
            let name = path.file_name().expect("a file has a name");
            fs::write(into.join(name), left).expect("there is room");
        }
        is_less
    }
}

fn named<'a>(
    synced: &BTreeMap<PathBuf, usize>,
    changes: impl Iterator<Item = &'a (PathBuf, Option<usize>)>,
) -> BTreeMap<PathBuf, usize> {
    let mut names = synced.clone();
    for (path, file) in changes {
        match file {
            Some(file) => names.insert(path.clone(), *file),
            None => names.remove(path),
        };
    }
    names
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes: new } => {
            let end = at + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(new);
        }
        Change::Cut(to) => bytes.resize(*to, 0),
    }
}

/// What of a file is left.
fn left_of(file: &File, loss: Loss, chance: &mut Chance) -> Vec<u8> {
    let mut left = file.synced.clone();
    let changes = &file.changes;
    match loss {
        Loss::All => {}
        Loss::Nothing => changes.iter().for_each(|change| apply(&mut left, change)),
        Loss::Tail => {
            let count = chance.below(changes.len() as u64 + 1) as usize;
            changes[..count]
                .iter()
                .for_each(|change| apply(&mut left, change));
            if let Some(Change::Write { at, bytes }) = changes.get(count) {
                let torn = bytes[..chance.below(bytes.len() as u64) as usize].to_vec();
                apply(
                    &mut left,
                    &Change::Write {
                        at: *at,
                        bytes: torn,
                    },
                );
            }
        }
        Loss::Writes => {
            let some = changes.iter().filter(|_| chance.one_in(2));
            some.for_each(|change| apply(&mut left, change));
        }
        Loss::Sectors | Loss::Garbage => {
            for change in changes {
                match change {
                    Change::Cut(_) if chance.one_in(2) => apply(&mut left, change),
                    Change::Cut(_) => {}
                    Change::Write { at, bytes } => {
                        sectors(&mut left, *at, bytes, loss == Loss::Garbage, chance);
                    }
                }
            }
        }
    }
    left
}

/// A write of which only some sectors arrive.
fn sectors(left: &mut Vec<u8>, at: usize, bytes: &[u8], is_garbage: bool, chance: &mut Chance) {
    let mut from = at;
    while from < at + bytes.len() {
        let to = (from / SECTOR * SECTOR + SECTOR).min(at + bytes.len());
        let piece = match chance.below(2) {
            0 => Some(bytes[from - at..to - at].to_vec()),
            _ if is_garbage && from >= left.len() => {
                Some((from..to).map(|_| chance.below(256) as u8).collect())
            }
            _ => None,
        };
        if let Some(bytes) = piece {
            apply(left, &Change::Write { at: from, bytes });
        }
        from = to;
    }
}

#[test]
fn what_was_synced_is_there_and_the_rest_in_part() {
    let folder = Path::new("/a");
    let path = PathBuf::from("/a/d");
    let wrote = |at, bytes: &[u8]| Deed::Wrote {
        path: path.clone(),
        at,
        bytes: bytes.to_vec(),
    };
    let mut disk = Disk::default();
    let mut chance = Chance::new(1);
    disk.take(&Deed::Opened(path.clone()), folder);
    disk.take(&wrote(0, b"synced"), folder);
    disk.take(&Deed::Syncs(1, path.clone()), folder);
    disk.take(&wrote(6, b"!"), folder);
    disk.take(&Deed::Synced(1, path.clone()), folder);
    let into = crate::process::Folder::new();
    let found = |disk: &Disk, loss, chance: &mut Chance| {
        let to = into.path("d");
        let _ = fs::remove_file(&to);
        disk.fail(loss, chance, to.parent().expect("a folder"));
        fs::read(&to).ok()
    };
    assert_eq!(found(&disk, Loss::All, &mut chance), None, "it has no name");
    assert_eq!(
        found(&disk, Loss::Nothing, &mut chance),
        Some(b"synced!".to_vec())
    );
    disk.take(&Deed::Synced(2, folder.to_owned()), folder);
    assert_eq!(
        found(&disk, Loss::All, &mut chance),
        Some(b"synced".to_vec())
    );
    disk.take(&wrote(0, &[b'x'; 2 * SECTOR]), folder);
    let mut seen = std::collections::BTreeSet::new();
    for loss in Loss::ANY.into_iter().cycle().take(120) {
        let left = found(&disk, loss, &mut chance).expect("it has a name");
        assert!(left.len() <= 2 * SECTOR);
        seen.insert(left);
    }
    assert!(
        seen.len() > 20,
        "there is more than one way to lose something"
    );
    disk.take(
        &Deed::Cut {
            path: path.clone(),
            to: 3,
        },
        folder,
    );
    assert_eq!(disk.shows(&path), Some(b"xxx".to_vec()));
    disk.take(&Deed::Removed(path.clone()), folder);
    assert_eq!(disk.shows(&path), None);
    assert!(found(&disk, Loss::All, &mut chance).is_some());
}
