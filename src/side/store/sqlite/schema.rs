//! What stands in the file, and how older files become like new ones.
//!
//! The file says whose it is by its `application_id`, and how it is laid out by its `user_version`:
//! as many of the [`MIGRATIONS`] have been applied. A migration that has been released is never
//! changed; what is to be otherwise is a further one.

use rusqlite::Connection;
use std::collections::BTreeSet;

/// Says that a file is ours: "fanw".
pub(super) const APPLICATION_ID: i64 = 0x6661_6e77;

/// In order; the first one makes an empty file ours.
const MIGRATIONS: &[&str] = &[VERSION_1];

/// Numbers stand for names, so that an event is little more than its texts. Ids of 16 bytes are
/// blobs, the highest byte first.
const VERSION_1: &str = "
-- is_of_settings: the app itself stands in the settings.
CREATE TABLE app (
    id INTEGER PRIMARY KEY,
    ident TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    secret TEXT NOT NULL,
    protocols INTEGER NOT NULL,
    is_of_settings INTEGER NOT NULL,
    name TEXT UNIQUE,
    enabled INTEGER,
    description TEXT,
    meta TEXT,
    apn_sandbox INTEGER,
    apn_key TEXT,
    apn_cer TEXT,
    vapid_key TEXT,
    vapid_email TEXT,
    smtp_url TEXT,
    created_s INTEGER NOT NULL,
    modified_s INTEGER NOT NULL,
    sessions_from_s INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX app_by_key ON app (key) WHERE key <> '';

-- The last number given; of events (what = 0) only what the table itself no longer tells.
CREATE TABLE counter (what INTEGER PRIMARY KEY, last INTEGER NOT NULL);
INSERT INTO counter VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0);

-- How many there are of an app: events (what = 0) and their bytes, records (what = 1 to 5).
CREATE TABLE tally (
    what INTEGER NOT NULL,
    app INTEGER NOT NULL,
    count INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (what, app)
) WITHOUT ROWID;

CREATE TABLE channel (
    id INTEGER PRIMARY KEY,
    app INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (app, name)
);

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    app INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    micros INTEGER NOT NULL,
    mid BLOB NOT NULL,
    owner BLOB,
    name TEXT NOT NULL,
    extra TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX event_by_app ON event (app);
CREATE INDEX event_by_channel ON event (channel);

-- Users for whom events wait.
CREATE TABLE user (
    id INTEGER PRIMARY KEY,
    app INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (app, name)
);

CREATE TABLE waiting (
    user INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (user, event)
) WITHOUT ROWID;
CREATE INDEX waiting_by_event ON waiting (event);

-- kind: 1 subscription, 2 web, 3 apn, 4 web push, 5 smtp, as in counter and tally.
CREATE TABLE record (
    kind INTEGER NOT NULL,
    id INTEGER NOT NULL,
    app INTEGER NOT NULL,
    target TEXT NOT NULL,
    channel TEXT NOT NULL,
    p256dh TEXT,
    auth TEXT,
    created_s INTEGER NOT NULL,
    modified_s INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX record_by_app ON record (kind, app, id);
CREATE INDEX record_by_target ON record (kind, app, target, channel, id);
CREATE INDEX record_by_channel ON record (kind, app, channel, id, target);

CREATE TABLE ended_session (
    app INTEGER NOT NULL,
    session BLOB NOT NULL,
    until_s INTEGER NOT NULL,
    PRIMARY KEY (app, session)
) WITHOUT ROWID;

-- What channels and users are remembered by. count: messages of the channel.
CREATE TABLE kept_channel (
    id INTEGER PRIMARY KEY,
    app INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 0,
    UNIQUE (app, name)
);
CREATE TABLE kept_message (
    id INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL,
    mid BLOB NOT NULL,
    value TEXT NOT NULL
);
CREATE INDEX kept_message_by_channel ON kept_message (channel, id, mid);
CREATE TABLE kept_user (
    app INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (app, name)
) WITHOUT ROWID;

-- Written to when it is to be known whether writing works.
CREATE TABLE probe (id INTEGER PRIMARY KEY, filling BLOB NOT NULL);
";

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nobody's: there is nothing in it.
    Empty,
    /// Ours, of this version.
    Ours(i64),
    /// Another program's.
    Foreign,
}

/// The version that this program writes.
pub(super) fn version() -> i64 {
    MIGRATIONS.len() as i64
}

/// Looks whose a file is. Changes nothing.
pub(super) fn kind(connection: &Connection) -> rusqlite::Result<Kind> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let things = number("SELECT count(*) FROM sqlite_schema")?;
    Ok(match (application, version, things) {
        (APPLICATION_ID, ..) => Kind::Ours(version),
        (0, 0, 0) => Kind::Empty,
        _ => Kind::Foreign,
    })
}

/// The first table or index that should be there and is not: "table event".
pub(super) fn missing(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let listed = |connection: &Connection| {
        let mut list = connection.prepare("SELECT type || ' ' || name FROM sqlite_schema")?;
        let names = list.query_map([], |row| row.get::<_, String>(0))?;
        names.collect::<rusqlite::Result<BTreeSet<String>>>()
    };
    let mut whole = Connection::open_in_memory()?;
    migrate(&mut whole)?;
    let (wanted, there) = (listed(&whole)?, listed(connection)?);
    // Tables come behind their indexes, and say more.
    Ok(wanted.difference(&there).last().cloned())
}

/// Applies what a file lacks, all of it or nothing.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let immediate = rusqlite::TransactionBehavior::Immediate;
    let change = connection.transaction_with_behavior(immediate)?;
    // Another program may have been faster.
    let from = match kind(&change)? {
        Kind::Ours(version) => usize::try_from(version).unwrap_or(0),
        Kind::Empty | Kind::Foreign => 0,
    };
    for migration in MIGRATIONS.iter().skip(from) {
        change.execute_batch(migration)?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", version())?;
    change.commit()
}
