//! What keeps a file from being taken for a store, or for a whole one, when it is none.

use crate::files::{LOOKED_AT, again_as_nobody, close, filled, open, refusal, store, stored};
use crate::world::Folder;
use fanwire::limits::STORE_RESERVE_BYTES;
use fanwire::side::store::{OpenError, Sqlite, Storage, sqlite};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// What whoever only looks says of a file: checking, copying, compacting, apps.
fn looks(folder: &Folder, path: &Path) -> [OpenError; 4] {
    let copy = folder.file("copy-of-none.db");
    let said = [
        sqlite::check(path).expect_err("check"),
        sqlite::backup(path, &copy).expect_err("backup"),
        sqlite::compact(path).expect_err("compact"),
        Sqlite::open_beside(path).expect_err("apps"),
    ];
    assert!(!copy.exists());
    said
}

#[test]
fn who_only_looks_makes_no_store_of_an_empty_file() {
    let folder = Folder::new();
    let path = folder.file("empty.db");
    // What SQLite has made of it so far when a first start is cut off early, or a little later.
    let a_page = {
        let connection = rusqlite::Connection::open(&path).expect("there is room");
        let wal = connection.pragma_update(None, "journal_mode", "WAL");
        wal.expect("there is room");
        drop(connection);
        fs::read(&path).expect("it is there")
    };
    assert!(!a_page.is_empty());
    for bytes in [Vec::new(), a_page] {
        fs::write(&path, &bytes).expect("there is room");
        for error in looks(&folder, &path) {
            assert!(matches!(error, OpenError::Empty(_)), "{error}");
            assert!(error.is_of_the_file());
            assert!(error.to_string().contains("is empty"), "{error}");
        }
        assert!(fs::read(&path).expect("it is there") == bytes);
        // A command that may make a store may do so here, and so may a server.
        drop(Sqlite::open_or_make_beside(&path).expect("it is made"));
        assert_eq!(sqlite::check(&path).expect("it is a store"), [""; 0]);
        fs::write(&path, &bytes).expect("there is room");
        drop(open(&path).expect("it is made"));
        fs::remove_file(folder.file("empty.db.reserve")).expect("a server was here");
    }
}

#[test]
fn what_is_left_of_a_backup_goes_with_the_next_one() {
    let folder = Folder::new();
    let path = filled(&folder, 3, "x");
    let (copy, part) = (
        folder.file("copy.db"),
        folder.file("copy.db.part-of-backup"),
    );
    let kept = folder.file("kept");
    fs::write(&kept, "kept").expect("there is room");
    let is_left = || part.symlink_metadata().is_ok();
    let is_a_copy = || {
        sqlite::backup(&path, &copy).expect("it can be written");
        assert!(!is_left());
        assert!(!folder.file("copy.db.part-of-backup-journal").exists());
        assert_eq!(stored(&mut open(&copy).expect("it opens")).len(), 3);
        fs::remove_file(&copy).expect("it is there");
    };
    for bytes in [0, 10, STORE_RESERVE_BYTES] {
        fs::write(&part, vec![0x5a; bytes]).expect("there is room");
        let journal = folder.file("copy.db.part-of-backup-journal");
        fs::write(journal, vec![0x5a; bytes]).expect("there is room");
        is_a_copy();
    }
    // Whoever put a link there gets nothing written to where it leads.
    std::os::unix::fs::symlink(&kept, &part).expect("there is room");
    is_a_copy();
    assert_eq!(fs::read(&kept).expect("it is there"), b"kept");
    // While one is written, another one to the same name leaves it alone.
    fs::write(&part, "under way").expect("there is room");
    let lock = folder.file("copy.db.part-of-backup.lock");
    let other = fs::File::create(&lock).expect("there is room");
    other.try_lock().expect("nobody has it");
    let error = sqlite::backup(&path, &copy).expect_err("another one is under way");
    assert!(error.to_string().contains("another backup"), "{error}");
    assert!(is_left() && lock.exists() && !copy.exists());
    drop(other);
    is_a_copy();
    assert!(!lock.exists());
    // One that fails leaves nothing.
    let mut damaged = fs::read(&path).expect("it is there");
    let end = damaged.len();
    damaged[end - 8192..].fill(0xa5);
    fs::write(&path, damaged).expect("there is room");
    assert!(sqlite::backup(&path, &copy).is_err());
    assert!(!is_left() && !lock.exists() && !copy.exists());
}

#[test]
fn a_log_without_its_database_is_not_thrown_away() {
    let folder = Folder::new();
    let path = folder.file("fanwire.db");
    let mut server = open(&path).expect("it is made");
    store(&mut server, 1, "x");
    let (whole, log) = (folder.file("whole"), folder.file("fanwire.db-wal"));
    let image = Folder::new();
    fs::copy(&path, &whole).expect("there is room");
    fs::copy(&log, image.file("fanwire.db-wal")).expect("there is room");
    drop(server);
    let path = image.file("fanwire.db");
    let log = image.file("fanwire.db-wal");
    let logged = fs::read(&log).expect("it is there");
    assert!(!logged.is_empty());
    for is_empty in [false, true] {
        if is_empty {
            fs::write(&path, "").expect("there is room");
        }
        let made = Sqlite::open_or_make_beside(&path).expect_err("it may make one");
        for error in looks(&image, &path)
            .into_iter()
            .chain([refusal(&path), made])
        {
            assert!(matches!(error, OpenError::Missing(..)), "{error}");
            assert!(error.is_of_the_file());
            let said = error.to_string();
            for piece in [&*path.to_string_lossy(), &*log.to_string_lossy(), "backup"] {
                assert!(said.contains(piece), "{piece} in {said}");
            }
        }
        assert!(fs::read(&log).expect("it is there") == logged, "it stays");
    }
    // With its database it is all there again.
    fs::copy(&whole, &path).expect("there is room");
    assert_eq!(stored(&mut open(&path).expect("it opens")), ["x"]);
    // Only what holds nothing is left: whoever has removed the database begins anew.
    fs::remove_file(&path).expect("it is there");
    let _ = fs::remove_file(&log);
    assert!(image.file("fanwire.db.reserve").exists());
    assert_eq!(stored(&mut open(&path).expect("it is made")), [""; 0]);
}

#[test]
fn what_does_not_fit_together_is_listed() {
    let folder = Folder::new();
    let path = filled(&folder, 200, &"x".repeat(300));
    let whole = fs::read(&path).expect("it is there");
    // Of the pages that are looked at when a file is opened, all but the first.
    let mut listed = 0;
    for page in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0xaa);
        fs::write(&path, &damaged).expect("there is room");
        let faults = sqlite::check(&path).expect("it lists what is wrong");
        let names_a_page = |fault: &String| fault.contains(&format!("page {}", page + 1));
        listed += u32::from(faults.iter().any(names_a_page));
        for fault in faults {
            assert!(!fault.contains("store check"), "{fault}");
        }
    }
    assert!(listed > 0, "SQLite says where");
}

#[test]
fn what_is_laid_out_otherwise_is_damaged() {
    let folder = Folder::new();
    let path = filled(&folder, 3, "x");
    let whole = fs::read(&path).expect("it is there");
    for (change, words) in [
        ("DROP TABLE event", "table event"),
        ("DROP TABLE probe", "table probe"),
        ("DROP INDEX event_by_channel", "index event_by_channel"),
        ("PRAGMA user_version = 0", "user_version is 0"),
        ("PRAGMA user_version = -1", "user_version is -1"),
    ] {
        fs::write(&path, &whole).expect("there is room");
        let connection = rusqlite::Connection::open(&path).expect("it is there");
        connection.execute_batch(change).expect("it can write");
        drop(connection);
        let copy = folder.file("copy.db");
        let faults = sqlite::check(&path).expect("it says what is wrong");
        assert!(
            faults.iter().any(|fault| fault.contains(words)),
            "{change}: {faults:?}"
        );
        for error in [
            refusal(&path),
            sqlite::backup(&path, &copy).expect_err(change),
            sqlite::compact(&path).expect_err(change),
            Sqlite::open_beside(&path).expect_err(change),
            Sqlite::open_or_make_beside(&path).expect_err(change),
        ] {
            assert!(error.is_of_the_file(), "{change}: {error}");
            assert!(error.to_string().contains(words), "{change}: {error}");
        }
        assert!(!copy.exists());
    }
}

#[test]
fn new_files_are_for_nobody_elses_eyes() {
    let folder = Folder::new();
    let mode = |name: &str| {
        let about = fs::metadata(folder.file(name)).expect(name);
        about.permissions().mode() & 0o777
    };
    let path = folder.file("fanwire.db");
    let mut server = open(&path).expect("it is made");
    store(&mut server, 1, "x");
    sqlite::backup(&path, &folder.file("copy.db")).expect("there is room");
    drop(sqlite::Importer::open(&path).expect("it opens"));
    for end in ["", "-wal", "-shm", ".reserve", ".lock", ".import-lock"] {
        assert_eq!(mode(&format!("fanwire.db{end}")), 0o600, "{end}");
    }
    assert_eq!(mode("copy.db"), 0o600);
    drop(Sqlite::open_or_make_beside(&folder.file("app.db")).expect("it is made"));
    assert_eq!(mode("app.db"), 0o600);
    // The target of a link that leads nowhere yet.
    let link = folder.file("link.db");
    std::os::unix::fs::symlink(folder.file("target.db"), &link).expect("there is room");
    drop(open(&link).expect("it is made"));
    assert_eq!(mode("target.db"), 0o600);
    // What is there already stays as it is.
    server.close().expect("it can write");
    drop(server);
    for name in ["fanwire.db", "fanwire.db.reserve", "fanwire.db.lock"] {
        close(&folder.file(name), 0o640);
    }
    let mut server = open(&path).expect("it opens");
    store(&mut server, 2, "y");
    for end in ["", "-wal", ".reserve", ".lock"] {
        assert_eq!(mode(&format!("fanwire.db{end}")), 0o640, "{end}");
    }
}

/// Beside a file that may not be written nothing is written either.
#[test]
fn a_closed_file_is_looked_at_without_a_trace() {
    if let Some(folder) = std::env::var_os(LOOKED_AT) {
        let folder = Path::new(&folder).join("open");
        let file = |name: &str| folder.join(name);
        let listed = || {
            let list = fs::read_dir(&folder).expect("it is there");
            let names = list.map(|entry| entry.expect("it is there").file_name());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        let before = listed();
        for _ in 0..2 {
            let faults = sqlite::check(&file("whole.db")).expect("it can be read");
            assert_eq!(faults, [""; 0]);
            let faults = sqlite::check(&file("damaged.db")).expect("it can be read");
            assert!(!faults.is_empty());
            let faults = sqlite::check(&file("stump.db")).expect("it can be read");
            assert!(faults[0].contains("only its first 20 bytes"), "{faults:?}");
            assert_eq!(listed(), before);
        }
        let copy = file("copy.db");
        for name in ["damaged.db", "stump.db"] {
            let error = sqlite::backup(&file(name), &copy).expect_err("it is damaged");
            assert!(matches!(error, OpenError::Damaged(..)), "{error}");
        }
        sqlite::backup(&file("whole.db"), &copy).expect("it can be read");
        assert_eq!(stored(&mut open(&copy).expect("it opens")).len(), 3);
        for end in ["", ".reserve", ".lock"] {
            fs::remove_file(file(&format!("copy.db{end}"))).expect("it is there");
        }
        assert_eq!(listed(), before);
        return;
    }
    let folder = Folder::new();
    let inner = folder.file("open");
    fs::create_dir(&inner).expect("there is room");
    close(&inner, 0o777);
    let whole = fs::read(filled(&folder, 3, "x")).expect("it is there");
    let mut damaged = whole.clone();
    let end = damaged.len();
    damaged[end - 8192..].fill(0xa5);
    for (name, bytes) in [
        ("whole.db", &whole[..]),
        ("damaged.db", &damaged),
        ("stump.db", &whole[..20]),
    ] {
        let path = inner.join(name);
        fs::write(&path, bytes).expect("there is room");
    }
    let test = "guard::a_closed_file_is_looked_at_without_a_trace";
    // What only its owner may write is closed to another one, and only root can become another one.
    let is_root = fs::metadata(&inner).is_ok_and(|about| about.uid() == 0);
    for mode in [0o444, 0o644].into_iter().take(1 + usize::from(is_root)) {
        for name in ["whole.db", "damaged.db", "stump.db"] {
            close(&inner.join(name), mode);
        }
        again_as_nobody(&folder, test, &inner.join("whole.db"));
    }
}

#[test]
fn a_folder_is_no_store_and_nothing_comes_to_lie_beside_it() {
    let folder = Folder::new();
    let path = folder.file("fanwire.db");
    fs::create_dir(&path).expect("there is room");
    let refusals = [
        refusal(&path),
        sqlite::check(&path).expect_err("it is a folder"),
        sqlite::compact(&path).expect_err("it is a folder"),
        sqlite::backup(&path, &folder.file("copy.db")).expect_err("it is a folder"),
        Sqlite::open_or_make_beside(&path).expect_err("it is a folder"),
    ];
    for error in refusals {
        assert!(error.to_string().contains("is a directory"), "{error}");
    }
    let list = fs::read_dir(folder.file("")).expect("it is there");
    let names: Vec<_> = list
        .map(|entry| entry.expect("it is there").file_name())
        .collect();
    assert_eq!(names, ["fanwire.db"]);
}

/// What may not be written is looked at all the same, if all of it is in the one file.
#[test]
fn where_nothing_may_be_written_it_is_only_looked_at() {
    let is_read_only = |error: &OpenError| {
        assert!(matches!(error, OpenError::ReadOnly(_)), "{error}");
        assert!(error.is_of_the_file());
    };
    if let Some(folder) = std::env::var_os(LOOKED_AT) {
        let folder = Path::new(&folder);
        let path = folder.join("shut/fan %wire?.db");
        let outside = folder.join("copy.db");
        let mut refusals = vec![
            refusal(&path),
            sqlite::compact(&path).expect_err("it writes"),
            Sqlite::open_beside(&path).expect_err("it writes"),
            Sqlite::open_or_make_beside(&path).expect_err("it writes"),
            refusal(&folder.join("shut/new.db")),
        ];
        if folder.join("shut/fan %wire?.db-wal").exists() {
            refusals.push(sqlite::check(&path).expect_err("it may be of a server"));
            refusals.push(sqlite::backup(&path, &outside).expect_err("so may it"));
            assert!(!outside.exists());
        } else {
            assert_eq!(sqlite::check(&path).expect("it can be read"), [""; 0]);
            sqlite::backup(&path, &outside).expect("it can be read");
            assert_eq!(stored(&mut open(&outside).expect("it opens")).len(), 3);
            assert!(sqlite::backup(&path, &folder.join("shut/copy.db")).is_err());
        }
        refusals.iter().for_each(is_read_only);
        return;
    }
    let folder = Folder::new();
    let shut = folder.file("shut");
    fs::create_dir(&shut).expect("there is room");
    let path = shut.join("fan %wire?.db");
    fs::rename(filled(&folder, 3, "x"), &path).expect("it is ours");
    let test = "guard::where_nothing_may_be_written_it_is_only_looked_at";
    // On read-only media the mode may well let somebody write.
    for (mode, has_log) in [(0o444, false), (0o644, false), (0o444, true)] {
        if has_log {
            fs::write(shut.join("fan %wire?.db-wal"), "").expect("there is room");
        }
        close(&path, mode);
        close(&shut, 0o555);
        again_as_nobody(&folder, test, &shut);
        close(&shut, 0o777);
        for name in ["copy.db", "copy.db.reserve", "copy.db.lock"] {
            let _ = fs::remove_file(folder.file(name));
        }
    }
}
