//! Opening: whose the file is, how it is laid out, whether it is whole; and once more after a failure.

use super::files::{Lock, Reserve, beside, forbids, private, sync_folder_of};
use super::schema::{self, Kind};
use super::{Names, Sqlite, trouble};
use crate::limits::{STORE_BUSY_MS, STORE_CHECK_BYTES_MAX, STORE_RESERVE_BYTES};
use crate::side::store::storage::Serving;
use crate::side::store::{Durability, OpenError};
use crate::store::Trouble;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Statements that a connection keeps ready.
const STATEMENTS_KEPT: usize = 64;
/// Memory for pages, in KiB.
const CACHE_KIB: i64 = 8192;
/// Pages in the log after which SQLite copies them over.
const LOG_PAGES: i64 = 2000;
/// To what the log is cut when it was copied after a burst, in bytes.
const LOG_BYTES: i64 = 16 << 20;
/// What is written to see whether there is room, in bytes.
const PROBE_BYTES: i64 = 64 << 10;
/// What every SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The smallest page there is.
const PAGE_BYTES_MIN: u64 = 512;
/// Events at either end that are looked at where a file is too large to look at all of it.
const EDGE_ROWS: i64 = 100;

/// Who may not make one leaves an empty file as it is.
pub(super) fn as_server(
    path: &Path,
    durability: Durability,
    may_make: bool,
) -> Result<Sqlite, OpenError> {
    let path = absolute(path)?;
    no_folder(&path)?;
    let lock = Lock::take(&path).map_err(|error| error.told(&path, OpenError::Locked))?;
    spared(&path, may_make)?;
    let reserve = Reserve::of(&path);
    let open_whole = || {
        let store = open(path.clone(), durability, may_make, true)?;
        whole(&store).map(|()| store)
    };
    let mut store = match open_whole() {
        Err(OpenError::System(_, error)) if reserve.is_there() => {
            // Even to be read a database needs a little room beside it.
            log::warn!("the store gives up its reserve, as it cannot be opened: {error}");
            reserve.give_up();
            open_whole()?
        }
        opened => opened?,
    };
    if let Err(error) = reserve.take() {
        log::warn!("no room for the reserve of {STORE_RESERVE_BYTES} bytes: {error}");
    }
    store.reserve = Some(reserve);
    store._lock = Some(lock);
    Ok(store)
}

/// Where no server runs, a visitor does what the server would do first; but only who `may_make` a
/// store makes one of an empty file.
pub(super) fn as_visitor(path: &Path, may_make: bool) -> Result<Sqlite, OpenError> {
    let path = absolute(path)?;
    no_folder(&path)?;
    spared(&path, may_make)?;
    let is_there = std::fs::exists(&path);
    if !may_make && !is_there.map_err(|error| OpenError::System(path.clone(), error))? {
        let error = io::Error::from(io::ErrorKind::NotFound);
        return Err(OpenError::System(path, error));
    }
    // Held for as long as it takes to make the file or to bring it up to date.
    let lock = Lock::take(&path).ok();
    let store = open(path, Durability::Synced, may_make, lock.is_some())?;
    if lock.is_some() {
        long_enough(&store)?;
    }
    Ok(store)
}

/// An absolute path is never taken for the address or the special name that SQLite knows.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, OpenError> {
    std::path::absolute(path).map_err(|error| OpenError::System(path.to_owned(), error))
}

/// Said before anything comes to lie beside it.
fn no_folder(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        let error = io::Error::from(io::ErrorKind::IsADirectory);
        return Err(OpenError::System(path.to_owned(), error));
    }
    Ok(())
}

/// Only who `is_alone` may change the layout of the file, and only who `may_make` it as well makes it.
fn open(
    path: PathBuf,
    durability: Durability,
    may_make: bool,
    is_alone: bool,
) -> Result<Sqlite, OpenError> {
    let wrong = |error| open_error(&path, &error);
    if may_make && is_alone && std::fs::exists(&path).is_ok_and(|is_there| !is_there) {
        // SQLite itself would let everybody read it. What is wrong here it will say.
        let _ = private().create(true).truncate(false).open(&path);
    }
    let mut connection = connect(&path, may_make && is_alone).map_err(wrong)?;
    let kind = known(&connection, &path)?;
    match kind {
        Kind::Empty if !may_make => return Err(OpenError::Empty(path)),
        Kind::Empty | Kind::Ours(_) if kind != Kind::Ours(schema::version()) && !is_alone => {
            // The server that holds it is an older one, or has not come that far.
            return Err(OpenError::Locked(path));
        }
        _ => {}
    }
    if connection.is_readonly("main").map_err(wrong)? {
        return Err(OpenError::ReadOnly(path));
    }
    settle(&connection, durability).map_err(wrong)?;
    if kind != Kind::Ours(schema::version()) {
        schema::migrate(&mut connection).map_err(wrong)?;
    }
    complete(&connection, &path)?;
    if kind == Kind::Empty {
        let synced = sync_folder_of(&path);
        synced.map_err(|error| OpenError::System(path.clone(), error))?;
    }
    let seen_version = data_version(&connection).map_err(wrong)?;
    Ok(Sqlite {
        path,
        durability,
        connection,
        names: Names::default(),
        serving: Serving::default(),
        seen_version,
        last_retired: 0,
        reserve: None,
        pages_max: None,
        _lock: None,
    })
}

/// Whose a file is, if it is nobody's or ours and no later one.
fn known(connection: &Connection, path: &Path) -> Result<Kind, OpenError> {
    let kind = schema::kind(connection).map_err(|error| open_error(path, &error))?;
    let path = path.to_owned();
    match kind {
        Kind::Foreign => Err(OpenError::Foreign(path)),
        Kind::Ours(version) if version > schema::version() => {
            let known = schema::version();
            Err(OpenError::FromTheFuture {
                path,
                version,
                known,
            })
        }
        Kind::Ours(version) if version < 1 => {
            let why = format!("its user_version is {version}, which fanwire never writes");
            Err(OpenError::Damaged(path, why))
        }
        Kind::Empty | Kind::Ours(_) => Ok(kind),
    }
}

/// Whether all tables and indexes are there.
fn complete(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let missing = schema::missing(connection).map_err(|error| open_error(path, &error))?;
    missing.map_or(Ok(()), |what| {
        let why = format!("its {what} is missing");
        Err(OpenError::Damaged(path.to_owned(), why))
    })
}

/// A connection to a file that nobody writes to: SQLite takes no locks, and makes no files beside it.
/// The path is absolute.
pub(super) fn connect_as_it_lies(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
            _ => uri += &format!("%{byte:02x}"),
        }
    }
    uri += "?immutable=1";
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags)?;
    ready(&connection)?;
    Ok(connection)
}

/// The same to a store, which is one.
pub(super) fn as_it_lies(path: &Path) -> Result<Connection, OpenError> {
    spared(path, false)?;
    let connection = connect_as_it_lies(path).map_err(|error| open_error(path, &error))?;
    match known(&connection, path)? {
        Kind::Empty => return Err(OpenError::Empty(path.to_owned())),
        // To be read it would have to be brought up to date.
        Kind::Ours(version) if version != schema::version() => {
            return Err(OpenError::ReadOnly(path.to_owned()));
        }
        _ => complete(&connection, path)?,
    }
    ends_where_it_says(&connection, path)?;
    Ok(connection)
}

/// What SQLite would write over, or throw away: it takes a file with less than a page for an empty
/// one, and begins a new log where the database is empty or missing.
///
/// A log that is left without its database holds what was acknowledged last, so nothing is made anew
/// beside one. A reserve holds nothing: whoever has removed the database and left the reserve, which an
/// orderly stop leaves, too, begins anew as they may have meant to. But nobody means to empty a file.
fn spared(path: &Path, may_make: bool) -> Result<(), OpenError> {
    let file = match std::fs::metadata(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // Opening it will say what is wrong.
        Err(_) => return Ok(()),
    };
    let log = beside(path, "-wal");
    let is_nothing = file
        .as_ref()
        .is_none_or(|file| file.is_file() && file.len() == 0);
    if is_nothing && std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(OpenError::Missing(path.to_owned(), log));
    }
    let Some(file) = file else {
        if may_make && Reserve::of(path).is_there() {
            log::warn!("{} was there once, and is made anew", path.display());
        }
        return Ok(());
    };
    if file.is_file() && file.len() == 0 && Reserve::of(path).is_there() {
        // There was more in it. Without the reserve it may be a first start that was cut off.
        let why = "it is empty".to_owned();
        return Err(OpenError::Damaged(path.to_owned(), why));
    }
    if file.is_file() && file.len() == 0 && !may_make {
        return Err(OpenError::Empty(path.to_owned()));
    }
    if !file.is_file() || file.len() == 0 || file.len() >= PAGE_BYTES_MIN {
        return Ok(());
    }
    let refused = |error| OpenError::System(path.to_owned(), error);
    let bytes = std::fs::read(path).map_err(refused)?;
    let is_ours = bytes.iter().zip(MAGIC).all(|(byte, magic)| byte == magic);
    Err(if is_ours {
        let why = format!("only its first {} bytes are there", bytes.len());
        OpenError::Damaged(path.to_owned(), why)
    } else {
        OpenError::Foreign(path.to_owned())
    })
}

/// A connection on which nothing has been done yet.
fn connect(path: &Path, may_make: bool) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, may_make);
    let connection = Connection::open_with_flags(path, flags)?;
    ready(&connection)?;
    Ok(connection)
}

/// What every connection needs.
fn ready(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_millis(STORE_BUSY_MS))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Else SQLite prepares some statements anew with every value that is bound, to look whether it
    // would go about it otherwise. It would not: it keeps no statistics here.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// A connection that only reads, for another thread.
pub(super) fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    ready(&connection)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

/// How it is written to.
fn settle(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Synced => "FULL",
        Durability::Relaxed => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)
}

/// Copies the log over, in one of SQLite's ways. Readers that are in the way are no error: what they
/// hold back is copied another time.
pub(super) fn checkpoint(connection: &Connection, way: &str) -> rusqlite::Result<()> {
    let sql = format!("PRAGMA wal_checkpoint({way})");
    connection.query_row(&sql, [], |_| Ok(()))
}

/// Counts what other connections commit.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

/// Brings the log to the disk. No lock of SQLite's lies on the log, so it may be opened beside it.
pub(super) fn sync_log(path: &Path) -> io::Result<()> {
    match File::open(beside(path, "-wal")) {
        Ok(log) => log.sync_data(),
        // It was copied over and removed, which syncs.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether all of a file is there, and fits together.
fn whole(store: &Sqlite) -> Result<(), OpenError> {
    let connection = &store.connection;
    let wrong = |error| open_error(&store.path, &error);
    if long_enough(store)? > STORE_CHECK_BYTES_MAX {
        return edges(connection).map_err(wrong);
    }
    let said = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match said.map_err(wrong)?.as_str() {
        "ok" => Ok(()),
        why => Err(OpenError::Damaged(store.path.clone(), why.to_owned())),
    }
}

/// Whether a file ends where it says, which SQLite itself does not look at; how many bytes that is.
/// Only where no server runs: else much of it may still be in the log.
fn long_enough(store: &Sqlite) -> Result<u64, OpenError> {
    let connection = &store.connection;
    let wrong = |error| open_error(&store.path, &error);
    // What a crash left in the log belongs into the file before that is looked at.
    let is_copied = match checkpoint(connection, "TRUNCATE") {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            // It can be read as it is, and those who want nothing stored need not wait for room.
            log::warn!("no room to copy the log of the store: {error}");
            false
        }
        copied => copied.map(|()| true).map_err(wrong)?,
    };
    if is_copied {
        ends_where_it_says(connection, &store.path)
    } else {
        says_it_has(connection).map_err(wrong)
    }
}

fn ends_where_it_says(connection: &Connection, path: &Path) -> Result<u64, OpenError> {
    let bytes = says_it_has(connection).map_err(|error| open_error(path, &error))?;
    let file = std::fs::metadata(path);
    let file = file.map_err(|error| OpenError::System(path.to_owned(), error))?;
    if file.len() < bytes {
        let why = format!("{} of {bytes} bytes are there", file.len());
        return Err(OpenError::Damaged(path.to_owned(), why));
    }
    Ok(bytes)
}

fn says_it_has(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let bytes = number("PRAGMA page_count")? * number("PRAGMA page_size")?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Every table and index: what is read of it, and in which order.
const TREES: &[(&str, &str, &str)] = &[
    ("*", "app", "id"),
    ("ident", "app", "ident"),
    ("name", "app", "name"),
    ("*", "counter", "what"),
    ("*", "tally", "what, app"),
    ("*", "channel", "id"),
    ("app, name", "channel", "app, name"),
    ("*", "event", "id"),
    ("app", "event INDEXED BY event_by_app", "app"),
    ("channel", "event INDEXED BY event_by_channel", "channel"),
    ("*", "user", "id"),
    ("app, name", "user", "app, name"),
    ("*", "waiting", "user, event"),
    ("event", "waiting INDEXED BY waiting_by_event", "event"),
    ("*", "record", "kind, id"),
    ("id", "record INDEXED BY record_by_app", "kind, app, id"),
    (
        "id",
        "record INDEXED BY record_by_target",
        "kind, app, target",
    ),
    (
        "id",
        "record INDEXED BY record_by_channel",
        "kind, app, channel",
    ),
    ("*", "ended_session", "app, session"),
    ("*", "kept_channel", "id"),
    ("app, name", "kept_channel", "app, name"),
    ("*", "kept_message", "id"),
    (
        "mid",
        "kept_message INDEXED BY kept_message_by_channel",
        "channel, id, mid",
    ),
    ("*", "kept_user", "app, name"),
];

/// Looks at the first and the last of everything.
fn edges(connection: &Connection) -> rusqlite::Result<()> {
    for (columns, tree, order) in TREES {
        let last = order.replace(',', " DESC,");
        for order in [(*order).to_owned(), format!("{last} DESC")] {
            let sql = format!("SELECT {columns} FROM {tree} ORDER BY {order} LIMIT {EDGE_ROWS}");
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                // Reading the last column takes the whole row, as far as it goes.
                row.get_ref(row.as_ref().column_count() - 1)?;
            }
        }
    }
    Ok(())
}

/// Begins anew with a new connection; see the beginning of the module.
pub(super) fn recover(store: &mut Sqlite) -> Result<(), Trouble> {
    let fresh = connect(&store.path, false).and_then(|connection| {
        settle(&connection, store.durability)?;
        Ok(connection)
    });
    let fresh = fresh.map_err(|error| store.failed("open anew", &error))?;
    // The old one ends its transaction, if it is still in one, and goes.
    store.connection = fresh;
    store.names.forget();
    if store.pages_max.is_some() {
        store.bound_pages(store.pages_max)?;
    }
    let cut = checkpoint(&store.connection, "TRUNCATE");
    cut.map_err(|error| store.failed("copy its log", &error))?;
    probe(&store.connection).map_err(|error| store.failed("write", &error))?;
    has_room(store)
}

/// Writes something and takes it away again.
fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM probe", [])?;
    let filling = "INSERT INTO probe (filling) VALUES (randomblob(?1))";
    connection.execute(filling, [PROBE_BYTES])?;
    connection.execute("DELETE FROM probe", []).map(drop)
}

/// Whether there is room for more than a moment: for the reserve, or for as much within the file.
fn has_room(store: &Sqlite) -> Result<(), Trouble> {
    let Some(reserve) = &store.reserve else {
        return Ok(());
    };
    let Err(error) = reserve.take() else {
        return Ok(());
    };
    let number = |sql| {
        let number = store
            .connection
            .query_row(sql, [], |row| row.get::<_, i64>(0));
        number.map_err(|error| trouble("read", &error))
    };
    let free = number("PRAGMA freelist_count")? * number("PRAGMA page_size")?;
    if free >= STORE_RESERVE_BYTES as i64 {
        return Ok(());
    }
    log::warn!("there is still no room for the store: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Err(Trouble::DiskFull),
        _ => Err(Trouble::Failing),
    }
}

/// SQLite does not say why it cannot make its files beside the database, so it is tried.
fn is_in_a_closed_folder(path: &Path) -> bool {
    let probe = beside(path, ".probe");
    match private().create_new(true).open(&probe) {
        Ok(_) => {
            let _ = std::fs::remove_file(&probe);
            false
        }
        Err(error) => forbids(&error),
    }
}

pub(super) fn open_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    let why = error.to_string();
    /// A file that ends in the middle of a page.
    const SHORT_READ: i32 = 522;
    let extended = match error {
        rusqlite::Error::SqliteFailure(failure, _) => failure.extended_code,
        _ => 0,
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign(path),
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged(path, why),
        _ if extended == SHORT_READ => OpenError::Damaged(path, why),
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly(path),
        Some(ErrorCode::CannotOpen) if is_in_a_closed_folder(&path) => OpenError::ReadOnly(path),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked(path),
        _ => OpenError::System(path, io::Error::other(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// A database with a row in most tables, and its pages at the roots of everything.
    fn filled(path: &Path) -> Vec<(String, u64)> {
        let store = open(path.to_owned(), Durability::Relaxed, true, true).expect("it is made");
        let fill = "
            INSERT INTO app (ident, key, secret, protocols, is_of_settings, created_s, modified_s)
            VALUES ('a', '', '', 0, 1, 0, 0);
            INSERT INTO channel (app, name) VALUES (1, 'room');
            INSERT INTO event SELECT value, 1, 1, 0, zeroblob(16), NULL, 'message', '', 'data'
            FROM (WITH RECURSIVE count(value) AS
                  (SELECT 1 UNION ALL SELECT value + 1 FROM count LIMIT 500)
                  SELECT value FROM count);
            INSERT INTO user (app, name) VALUES (1, 'ann');
            INSERT INTO waiting SELECT 1, id FROM event;";
        store.connection.execute_batch(fill).expect("there is room");
        let list = "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0";
        let mut roots = store.connection.prepare(list).expect("there is a schema");
        let roots = roots.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)));
        let roots = roots.expect("there is a schema").collect::<Result<_, _>>();
        roots.expect("there is a schema")
    }

    #[test]
    fn damage_at_the_edge_of_anything_is_seen() {
        let folder = super::super::Scratch::new("edges");
        let path = folder.0.join("fanwire.db");
        let roots = filled(&path);
        assert_eq!(edges(&connect(&path, false).expect("it is there")), Ok(()));
        let whole = std::fs::read(&path).expect("it is there");
        let file = File::options()
            .write(true)
            .open(&path)
            .expect("it is there");
        for (name, page) in roots {
            let at = (page - 1) * 4096;
            file.write_all_at(&[0xaa; 4096], at).expect("there is room");
            let seen = edges(&connect(&path, false).expect("it is there"));
            // These two say nothing that is not said elsewhere.
            let is_spared = ["probe", "app_by_key"].contains(&name.as_str());
            assert_eq!(seen.is_err(), !is_spared, "{name}: {seen:?}");
            file.write_all_at(&whole, 0).expect("there is room");
        }
        // It is for files that are too large to be looked at whole, so it must not read all of one.
        let connection = connect(&path, false).expect("it is there");
        for (columns, tree, order) in TREES {
            let sql = format!("EXPLAIN QUERY PLAN SELECT {columns} FROM {tree} ORDER BY {order}");
            let mut plan = connection.prepare(&sql).expect("it is SQL");
            let plan = plan.query_map([], |row| row.get::<_, String>(3));
            let plan = plan.expect("it is SQL").collect::<Result<Vec<_>, _>>();
            let plan = plan.expect("it is SQL").join(", ");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
