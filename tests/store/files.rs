//! What only a file can be held to: whose it is, whether it is whole, who else has it.

use crate::world::{Folder, World, latest, new_app, publish, texts};
use fanwire::limits::STORE_RESERVE_BYTES;
use fanwire::side::store::{Durability, OpenError, Reading, Sqlite, Storage, sqlite};
use fanwire::store::{Answer, AppRow, RecordKind, Write};
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

const APP: AppRow = AppRow(1);

pub(crate) fn open(path: &Path) -> Result<Sqlite, OpenError> {
    Sqlite::open(path, Durability::Synced)
}

pub(crate) fn refusal(path: &Path) -> OpenError {
    match open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

pub(crate) fn store(file: &mut Sqlite, number: u64, data: &str) {
    let write = Write::Publish(Box::new(publish(APP, number, &["room"], data)));
    file.commit(&[&write]).expect("it can write");
}

pub(crate) fn stored(file: &mut Sqlite) -> Vec<String> {
    match file.answer(&latest(APP, Some("room"), 0, 0), u64::MAX) {
        Ok(Answer::Events(events)) => texts(&events),
        other => panic!("{other:?}"),
    }
}

/// A file with so many events, closed in order.
pub(crate) fn filled(folder: &Folder, count: u64, data: &str) -> PathBuf {
    let path = folder.file("fanwire.db");
    let mut file = open(&path).expect("it opens");
    let writes: Vec<Write> = (0..count)
        .map(|n| Write::Publish(Box::new(publish(APP, n, &["room"], data))))
        .collect();
    let writes: Vec<&Write> = writes.iter().collect();
    file.commit(&writes).expect("it can write");
    file.close().expect("it can write");
    path
}

#[test]
fn a_new_file_is_ours_and_private_to_one_server() {
    let folder = Folder::new();
    let path = folder.file("fanwire.db");
    let file = open(&path).expect("it is made");
    let reserve = fs::metadata(folder.file("fanwire.db.reserve")).expect("it is there");
    assert_eq!(reserve.len(), STORE_RESERVE_BYTES as u64);
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
    assert!(!error.is_of_the_file());
    assert!(error.to_string().contains("in use by another fanwire"));
    drop(file);
    let connection = Connection::open(&path).expect("it is there");
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    assert_eq!(number("PRAGMA application_id"), Ok(0x6661_6e77));
    assert_eq!(number("PRAGMA user_version"), Ok(1));
    drop(connection);
    drop(open(&path).expect("nobody has it any more"));
}

#[test]
fn odd_names_are_names_of_files() {
    let folder = Folder::new();
    for name in ["file:x?mode=memory", ":memory:", "a b'c\"d%20", "🦀"] {
        let path = folder.file(name);
        drop(open(&path).expect("it is made"));
        assert!(path.exists(), "{name}");
    }
    let error = refusal(&folder.file("nowhere/fanwire.db"));
    assert!(matches!(error, OpenError::System(..)), "{error}");
    let error = refusal(&folder.file(""));
    assert!(matches!(error, OpenError::System(..)), "{error}");
}

#[test]
fn what_is_not_ours_is_left_as_it_is() {
    let folder = Folder::new();
    let path = folder.file("notes");
    for text in ["x", "Dear diary,\n", &"no database\n".repeat(1000)] {
        fs::write(&path, text).expect("there is room");
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Foreign(_)), "{error}");
        assert!(error.is_of_the_file());
        assert!(error.to_string().contains("store.path"), "says what to do");
        assert_eq!(fs::read(&path).expect("it is there"), text.as_bytes());
    }
    let path = folder.file("other.db");
    let other = Connection::open(&path).expect("there is room");
    other
        .execute_batch("CREATE TABLE bookmark (url)")
        .expect("there is room");
    drop(other);
    let before = fs::read(&path).expect("it is there");
    assert!(matches!(refusal(&path), OpenError::Foreign(_)));
    assert!(matches!(
        Sqlite::open_beside(&path),
        Err(OpenError::Foreign(_))
    ));
    assert_eq!(fs::read(&path).expect("it is there"), before);
    // An empty file is taken, as a first start may have been cut off.
    let path = folder.file("empty");
    fs::write(&path, "").expect("there is room");
    drop(open(&path).expect("it is made"));
}

#[test]
fn what_comes_from_the_future_is_left_as_it_is() {
    let folder = Folder::new();
    let path = filled(&folder, 3, "x");
    let change = |version: i64| {
        let connection = Connection::open(&path).expect("it is there");
        connection
            .pragma_update(None, "user_version", version)
            .expect("there is room");
    };
    for version in [2, 1000] {
        change(version);
        match refusal(&path) {
            OpenError::FromTheFuture {
                version: found,
                known,
                ..
            } => {
                assert_eq!((found, known), (version, 1));
            }
            other => panic!("{other}"),
        }
        let error = refusal(&path);
        assert!(error.is_of_the_file());
        assert!(error.to_string().contains("later fanwire"));
    }
    change(1);
    assert_eq!(stored(&mut open(&path).expect("it is as it was")).len(), 3);
}

/// Runs this test once more as a user who may not write what is closed: nothing is closed to root. The
/// other run knows by the folder in its environment that it is the one.
pub(crate) fn again_as_nobody(folder: &Folder, test: &str, closed: &Path) {
    const NOBODY: u32 = 65_534;
    let exe = std::env::current_exe().expect("a test is a program");
    let program = folder.file("test");
    fs::copy(exe, &program).expect("there is room");
    close(&folder.file(""), 0o777);
    let probe = closed.join("probe");
    let is_open = if closed.is_dir() {
        fs::write(&probe, "").is_ok()
    } else {
        fs::OpenOptions::new().append(true).open(closed).is_ok()
    };
    let _ = fs::remove_file(probe);
    let mut other = Command::new(&program);
    other
        .args(["--exact", test])
        .env(LOOKED_AT, folder.file(""));
    if is_open {
        other.uid(NOBODY).gid(NOBODY);
    }
    let output = other.output().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// The folder, for the other run of a test.
pub(crate) const LOOKED_AT: &str = "FANWIRE_TEST_READ_ONLY_FOLDER";

/// Says who may do what with a file or folder.
pub(crate) fn close(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn what_may_not_be_written_is_refused() {
    if let Some(folder) = std::env::var_os(LOOKED_AT) {
        let error = refusal(&Path::new(&folder).join("fanwire.db"));
        assert!(matches!(error, OpenError::ReadOnly(_)), "{error}");
        assert!(error.to_string().contains("writable"));
        return;
    }
    let folder = Folder::new();
    let path = filled(&folder, 3, "x");
    close(&path, 0o444);
    close(&folder.file("fanwire.db.lock"), 0o666);
    again_as_nobody(&folder, "files::what_may_not_be_written_is_refused", &path);
}

#[test]
fn a_file_that_was_cut_off_is_damaged() {
    let folder = Folder::new();
    let path = filled(&folder, 200, &"x".repeat(300));
    let whole = fs::read(&path).expect("it is there");
    let pages = whole.len() / 4096;
    assert!(pages > 20);
    let ends = (0..pages).flat_map(|page| [page * 4096, page * 4096 + 1, page * 4096 + 2048]);
    for end in ends.chain([10, 99, 100, 512, whole.len() - 1]) {
        fs::write(&path, &whole[..end]).expect("there is room");
        let error = refusal(&path);
        assert!(error.is_of_the_file(), "{end} of {}: {error}", whole.len());
        let there = fs::read(&path).expect("it is there");
        assert_eq!(there, whole[..end], "it is left as it is");
    }
    let error = refusal(&path);
    assert!(
        error.to_string().contains("store check"),
        "says what to do: {error}"
    );
    fs::write(&path, &whole).expect("there is room");
    assert_eq!(stored(&mut open(&path).expect("it is whole")).len(), 200);
}

#[test]
fn a_page_that_was_overwritten_is_damage() {
    let folder = Folder::new();
    let path = filled(&folder, 200, &"x".repeat(300));
    let whole = fs::read(&path).expect("it is there");
    for page in 0..whole.len() / 4096 {
        for filling in [0x00, 0xaa, 0xff] {
            let mut damaged = whole.clone();
            damaged[page * 4096..(page + 1) * 4096].fill(filling);
            fs::write(&path, &damaged).expect("there is room");
            let error = refusal(&path);
            assert!(error.is_of_the_file(), "page {page}, {filling:#x}: {error}");
            match sqlite::check(&path) {
                Ok(faults) => assert!(!faults.is_empty(), "page {page}, {filling:#x}"),
                Err(error) => assert!(error.is_of_the_file(), "{error}"),
            }
        }
    }
}

#[test]
fn single_bits_never_make_it_panic() {
    let folder = Folder::new();
    let path = filled(&folder, 60, &"x".repeat(300));
    let whole = fs::read(&path).expect("it is there");
    let mut refused = 0;
    for at in (0..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).expect("there is room");
        match open(&path) {
            Err(_) => refused += 1,
            // What SQLite cannot tell from data is answered, or not.
            Ok(mut file) => {
                let _ = file.answer(&latest(APP, Some("room"), 0, 0), u64::MAX);
                let write = Write::Publish(Box::new(publish(APP, 1, &["room"], "y")));
                let _ = file.commit(&[&write]);
                let _ = file.check();
            }
        }
    }
    assert!(refused > 0);
}

/// What is in the files at this moment, as a crash would leave it.
fn crash_image(folder: &Folder, into: &Folder) {
    for name in ["fanwire.db", "fanwire.db-wal"] {
        match fs::copy(folder.file(name), into.file(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => drop(other.expect("there is room")),
        }
    }
}

#[test]
fn every_commit_is_there_after_a_crash() {
    let folder = Folder::new();
    let mut file = open(&folder.file("fanwire.db")).expect("it is made");
    for number in 0..30 {
        store(&mut file, number, &number.to_string());
        let image = Folder::new();
        crash_image(&folder, &image);
        let mut again = open(&image.file("fanwire.db")).expect("it opens");
        assert_eq!(stored(&mut again).len() as u64, number + 1);
        assert_eq!(again.last_event(), Ok(number + 1));
    }
}

#[test]
fn a_torn_log_is_cut_at_a_commit() {
    let folder = Folder::new();
    let mut file = open(&folder.file("fanwire.db")).expect("it is made");
    let count = 12;
    for number in 0..count {
        store(&mut file, number, &number.to_string());
    }
    let image = Folder::new();
    crash_image(&folder, &image);
    drop(file);
    let log = fs::read(image.file("fanwire.db-wal")).expect("it is in the log");
    let database = fs::read(image.file("fanwire.db")).expect("it is there");
    let mut seen = std::collections::BTreeSet::new();
    let mut expect_some = |log: &[u8], what: &str| {
        fs::write(image.file("fanwire.db-wal"), log).expect("there is room");
        fs::write(image.file("fanwire.db"), &database).expect("there is room");
        let _ = fs::remove_file(image.file("fanwire.db-shm"));
        let mut again = open(&image.file("fanwire.db")).expect("a torn log is no damage");
        let there = stored(&mut again);
        let expected: Vec<String> = (0..there.len()).rev().map(|n| n.to_string()).collect();
        assert_eq!(there, expected, "{what}: the first ones, without a gap");
        assert_eq!(again.check(), Ok(Vec::new()), "{what}");
        seen.insert(there.len());
    };
    for end in (0..=log.len()).step_by(1_500).chain([log.len()]) {
        expect_some(&log[..end], &format!("cut at {end}"));
    }
    for at in (0..log.len()).step_by(8_000) {
        let mut torn = log.clone();
        torn[at] ^= 0x10;
        expect_some(&torn, &format!("byte {at}"));
        // Sectors may reach the disk in any order.
        let mut torn = log.clone();
        let end = (at + 4096).min(log.len());
        torn[at..end].fill(0);
        expect_some(&torn, &format!("hole at {at}"));
    }
    assert!(
        seen.len() as u64 > count / 2,
        "it was cut at many commits: {seen:?}"
    );
}

#[test]
fn apps_are_made_beside_a_server_and_without_one() {
    let folder = Folder::new();
    let path = folder.file("fanwire.db");
    let missing = Sqlite::open_beside(&path);
    assert!(matches!(missing, Err(OpenError::System(..))));
    assert!(!path.exists(), "who only looks makes nothing");
    let create = |name: &str| Write::CreateApp(Box::new(new_app(name)));
    let mut tool = Sqlite::open_or_make_beside(&path).expect("it is made");
    tool.commit(&[&create("first")]).expect("it can write");
    // It keeps no server out.
    let mut server = open(&path).expect("it opens");
    tool.commit(&[&create("second")]).expect("it can write");
    assert_eq!(server.was_changed_by_others(), Ok(true));
    assert_eq!(server.was_changed_by_others(), Ok(false));
    server.commit(&[&create("third")]).expect("it can write");
    assert_eq!(server.was_changed_by_others(), Ok(false));
    let rows = tool.apps().expect("it can be read");
    let rows: Vec<u32> = rows.iter().map(|app| app.row.0).collect();
    assert_eq!(rows, [1, 2, 3]);
    drop(tool);
    assert!(Sqlite::open_or_make_beside(&path).is_ok());
}

#[test]
fn another_writer_is_waited_for() {
    let folder = Folder::new();
    let path = folder.file("fanwire.db");
    let mut file = open(&path).expect("it is made");
    let other = Connection::open(&path).expect("it is there");
    other
        .execute_batch("BEGIN IMMEDIATE")
        .expect("it can write");
    let (begun, begins) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            begun.send(()).expect("it is waited for");
            store(&mut file, 1, "x");
            stored(&mut file)
        });
        begins.recv().expect("it begins");
        other.execute_batch("COMMIT").expect("it can write");
        assert_eq!(writing.join().expect("it is written"), ["x"]);
    });
}

#[test]
fn a_backup_is_a_database_of_its_own() {
    let folder = Folder::new();
    let path = folder.file("fanwire.db");
    let mut server = open(&path).expect("it is made");
    store(&mut server, 1, "before");
    let copy = folder.file("backup.db");
    sqlite::backup(&path, &copy).expect("a server is no hindrance");
    store(&mut server, 2, "after");
    let mut copied = open(&copy).expect("it opens");
    assert_eq!(stored(&mut copied), ["before"]);
    assert_eq!(copied.check(), Ok(Vec::new()));
    let before = fs::read(&copy).expect("it is there");
    let error = sqlite::backup(&path, &copy).expect_err("nothing is written over");
    assert!(matches!(error, OpenError::System(..)), "{error}");
    assert_eq!(fs::read(&copy).expect("it is there"), before);
    let nowhere = folder.file("nowhere/backup.db");
    assert!(sqlite::backup(&path, &nowhere).is_err());
    assert!(sqlite::backup(&nowhere, &folder.file("new.db")).is_err());
    assert!(!folder.file("new.db").exists());
}

#[test]
fn compacting_gives_room_back() {
    let folder = Folder::new();
    let path = filled(&folder, 1000, &"x".repeat(1000));
    let mut file = open(&path).expect("it opens");
    let keep = fanwire::side::store::Retention {
        from_micros: Some(990),
        bytes_max: None,
    };
    file.retire(&keep, 10_000).expect("it can write");
    file.close().expect("it can write");
    let error = sqlite::compact(&path).expect_err("a server has it");
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
    drop(file);
    let bytes = || fs::metadata(&path).expect("it is there").len();
    let before = bytes();
    sqlite::compact(&path).expect("nobody has it");
    assert!(bytes() < before / 10, "{} of {before}", bytes());
    let mut file = open(&path).expect("it opens");
    assert_eq!(stored(&mut file).len(), 10);
    store(&mut file, 1, "next");
    assert_eq!(file.last_event(), Ok(1001), "ids go on where they were");
}

#[test]
fn contradictions_are_found() {
    let folder = Folder::new();
    let path = folder.file("fanwire.db");
    let fill = || {
        let _ = fs::remove_file(&path);
        let mut world = World::at_file(open(&path).expect("it is made"));
        let app = world.app("one");
        world.subscribe(app, "ann", "room");
        world.put(app, RecordKind::Web, "url", "room", false);
        world.publish(app, &["room"], "x");
        let message = fanwire::store::Change::Message {
            channel: "kept".into(),
            id: 1,
            value: "1".into(),
            most: 3,
        };
        let changes = vec![message];
        world.write(Write::Keep { app, changes });
    };
    fill();
    let in_order = sqlite::check(&path).expect("it can be read");
    assert_eq!(in_order, [""; 0]);
    for (damage, found) in [
        ("DELETE FROM event", "gone"),
        ("DELETE FROM channel", "in no channel"),
        ("UPDATE channel SET app = 9", "in no channel"),
        ("DELETE FROM user", "nobody"),
        (
            "UPDATE tally SET count = 7 WHERE what = 0",
            "events are miscounted",
        ),
        (
            "UPDATE tally SET count = 7 WHERE what = 2",
            "records are miscounted",
        ),
        ("DELETE FROM tally", "miscounted"),
        ("INSERT INTO tally VALUES (0, 9, 1, 1)", "have nothing"),
        ("UPDATE counter SET last = 0", "never given"),
        ("DELETE FROM kept_channel", "not remembered"),
        (
            "UPDATE kept_channel SET count = 2",
            "messages are miscounted",
        ),
    ] {
        fill();
        let connection = Connection::open(&path).expect("it is there");
        connection.execute_batch(damage).expect("it can write");
        drop(connection);
        let faults = sqlite::check(&path).expect("it can be read");
        assert!(
            faults.iter().any(|fault| fault.contains(found)),
            "{damage}: {faults:?}"
        );
    }
}
