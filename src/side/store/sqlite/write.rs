//! Commits, and what they are made of.

use super::{Names, Sqlite, apps, int, kept, uint};
use crate::limits::{
    STORE_EVENT_OVERHEAD_BYTES, STORE_NAME_CACHED_BYTES_MAX, STORE_NAMES_CACHED_MAX,
    STORE_RECORDS_LISTED_MAX,
};
use crate::side::store::storage::{Committed, Room, Serving, record_bytes};
use crate::store::{Answer, AppRow, NewRecord, Publish, Record, RecordKind, Write};
use rusqlite::{Connection, OptionalExtension, Result, params};
use std::collections::{BTreeMap, BTreeSet};

/// Who subscribes to a channel.
const LISTENERS: &str = "SELECT target FROM record INDEXED BY record_by_channel
     WHERE kind = 1 AND app = ?1 AND channel = ?2 ORDER BY id";

/// What events are called in `counter` and `tally`.
pub(super) const EVENTS: i64 = 0;

/// What records of a kind are called in `record`, `counter` and `tally`.
pub(super) fn number_of(kind: RecordKind) -> i64 {
    match kind {
        RecordKind::Subscription => 1,
        RecordKind::Web => 2,
        RecordKind::Apn => 3,
        RecordKind::WebPush => 4,
        RecordKind::Smtp => 5,
    }
}

/// Does all of it within one transaction, or nothing.
pub(super) fn within<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    run(connection, "BEGIN IMMEDIATE")?;
    let done = work(connection).and_then(|done| {
        run(connection, "COMMIT")?;
        Ok(done)
    });
    // Some errors have ended it already.
    if done.is_err() && !connection.is_autocommit() {
        run(connection, "ROLLBACK")?;
    }
    done
}

fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// The id of the last event there was: of the last that is there, or of one that was cleared away.
pub(super) fn last_event(connection: &Connection) -> Result<u64> {
    let mut statement = connection.prepare_cached(
        "SELECT max((SELECT coalesce(max(id), 0) FROM event),
                    (SELECT last FROM counter WHERE what = 0))",
    )?;
    statement.query_row([], |row| row.get(0)).map(uint)
}

pub(super) fn commit(store: &mut Sqlite, writes: &[&Write]) -> Result<Committed> {
    let (names, serving) = (&mut store.names, &mut store.serving);
    within(&store.connection, |connection| {
        let mut commit = Commit {
            connection,
            names,
            serving,
            last_event: last_event(connection)?,
            tally: Tally::default(),
        };
        let answers = writes.iter().map(|write| commit.keep(write));
        let answers = answers.collect::<Result<Vec<_>>>()?;
        commit.tally.write(connection)?;
        Ok(Committed {
            answers,
            last_event: commit.last_event,
        })
    })
}

/// Changes of what is counted, gathered over a commit.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By app and what is counted: how many more, and bytes.
    changes: BTreeMap<(AppRow, i64), (i64, i64)>,
}

impl Tally {
    pub(super) fn add(&mut self, app: AppRow, what: i64, count: i64, bytes: i64) {
        let change = self.changes.entry((app, what)).or_default();
        change.0 += count;
        change.1 += bytes;
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO tally (app, what, count, bytes) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
             SET count = count + excluded.count, bytes = bytes + excluded.bytes",
        )?;
        for ((app, what), (count, bytes)) in &self.changes {
            statement.execute(params![app.0, what, count, bytes])?;
        }
        Ok(())
    }
}

/// A commit under way.
struct Commit<'a> {
    connection: &'a Connection,
    names: &'a mut Names,
    serving: &'a mut Serving<i64>,
    last_event: u64,
    tally: Tally,
}

impl Commit<'_> {
    fn keep(&mut self, write: &Write) -> Result<Answer> {
        match write {
            Write::Publish(publish) => self.publish(publish)?,
            Write::CreateApp(new) => return apps::create(self.connection, new),
            Write::AdoptApp { ident, unix_s } => {
                let row = apps::adopt(self.connection, ident, *unix_s)?;
                let app = apps::find(self.connection, row)?;
                return Ok(app.map_or(Answer::Nothing, |app| Answer::App(Box::new(app))));
            }
            Write::UpdateApp {
                app,
                fields,
                unix_s,
            } => return apps::update(self.connection, *app, fields, *unix_s),
            Write::PutRecord {
                app,
                record,
                replaces_oldest,
                unix_s,
            } => {
                let there = self.put_record(*app, record, *replaces_oldest, *unix_s)?;
                return Ok(Answer::Record(Box::new(there)));
            }
            Write::DeleteRecords {
                app,
                kind,
                target,
                channel,
            } => {
                let removed = self.delete_records(*app, *kind, target, channel.as_deref())?;
                return Ok(Answer::Records(removed));
            }
            Write::EndSession {
                app,
                session,
                until_unix_s,
            } => apps::end_session(self.connection, *app, session, *until_unix_s)?,
            Write::EndSessionsBefore {
                app,
                unix_s,
                until_unix_s,
            } => {
                if !apps::end_sessions_before(self.connection, *app, *unix_s, *until_unix_s)? {
                    return Ok(Answer::Nothing);
                }
            }
            Write::Keep { app, changes } => {
                for change in changes {
                    kept::change(self.connection, *app, change)?;
                }
            }
        }
        Ok(Answer::Done)
    }

    fn publish(&mut self, publish: &Publish) -> Result<()> {
        let mut served = self.serving.begin(publish);
        let texts = publish.name.len() + publish.data.len() + publish.extra.len();
        let bytes = (texts + STORE_EVENT_OVERHEAD_BYTES) as i64;
        let connection = self.connection;
        let mut insert = connection.prepare_cached(
            "INSERT INTO event (id, app, channel, micros, mid, owner, name, extra, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        let owner = publish.owner.map(u128::to_be_bytes);
        for (channel, mid) in &publish.channels {
            self.last_event += 1;
            let id = int(self.last_event);
            let number = self.channel(publish.app, channel)?;
            insert.execute(params![
                id,
                publish.app.0,
                number,
                int(publish.micros),
                mid.to_be_bytes(),
                owner,
                publish.name,
                publish.extra,
                publish.data,
            ])?;
            self.leave(publish.app, channel, id, &mut served)?;
        }
        let count = publish.channels.len() as i64;
        if count > 0 {
            self.tally.add(publish.app, EVENTS, count, count * bytes);
        }
        self.serving.end(publish, served);
        Ok(())
    }

    /// Has an event wait for those who subscribe to its channel and have not been served.
    fn leave(
        &mut self,
        app: AppRow,
        channel: &str,
        event: i64,
        served: &mut BTreeSet<i64>,
    ) -> Result<()> {
        let connection = self.connection;
        let mut listeners = connection.prepare_cached(LISTENERS)?;
        let mut rows = listeners.query(params![app.0, channel])?;
        while let Some(row) = rows.next()? {
            let user = self.user(app, row.get_ref(0)?.as_str()?)?;
            if served.insert(user) {
                let sql = "INSERT INTO waiting (user, event) VALUES (?1, ?2)";
                connection.prepare_cached(sql)?.execute([user, event])?;
            }
        }
        Ok(())
    }

    fn channel(&mut self, app: AppRow, name: &str) -> Result<i64> {
        let find = "SELECT id FROM channel WHERE app = ?1 AND name = ?2";
        let make = "INSERT INTO channel (app, name) VALUES (?1, ?2)";
        let known = &mut self.names.channels;
        named(self.connection, known, app, name, find, make)
    }

    fn user(&mut self, app: AppRow, name: &str) -> Result<i64> {
        let find = "SELECT id FROM user WHERE app = ?1 AND name = ?2";
        let make = "INSERT INTO user (app, name) VALUES (?1, ?2)";
        named(
            self.connection,
            &mut self.names.users,
            app,
            name,
            find,
            make,
        )
    }

    fn put_record(
        &mut self,
        app: AppRow,
        new: &NewRecord,
        replaces_oldest: bool,
        unix_s: u64,
    ) -> Result<Record> {
        let connection = self.connection;
        let kind = number_of(new.kind);
        if replaces_oldest {
            let sql = "DELETE FROM record WHERE kind = ?1 AND id =
                       (SELECT min(id) FROM record INDEXED BY record_by_target
                        WHERE kind = ?1 AND app = ?2 AND target = ?3)";
            let mut remove = connection.prepare_cached(sql)?;
            let removed = remove.execute(params![kind, app.0, new.target])?;
            if removed > 0 {
                self.tally.add(app, kind, -1, 0);
            }
        }
        let wanted = asking(true, true);
        let sql = format!("SELECT {RECORD_COLUMNS} FROM record {wanted} ORDER BY id");
        let mut find = connection.prepare_cached(&sql)?;
        let there = find.query_row(params![kind, app.0, new.target, new.channel], |row| {
            record(row, new.kind)
        });
        if let Some(there) = there.optional()? {
            return Ok(there);
        }
        let mut count = connection
            .prepare_cached("UPDATE counter SET last = last + 1 WHERE what = ?1 RETURNING last")?;
        let id: i64 = count.query_row([kind], |row| row.get(0))?;
        let keys = new.keys.as_ref();
        let mut insert = connection
            .prepare_cached("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)")?;
        insert.execute(params![
            kind,
            id,
            app.0,
            new.target,
            new.channel,
            keys.map(|(key, _)| key),
            keys.map(|(_, secret)| secret),
            int(unix_s),
        ])?;
        self.tally.add(app, kind, 1, 0);
        Ok(Record {
            id: uint(id),
            record: new.clone(),
            created_s: unix_s,
            modified_s: unix_s,
        })
    }

    /// All are removed; as many are told of as an answer holds.
    fn delete_records(
        &mut self,
        app: AppRow,
        kind: RecordKind,
        target: &str,
        channel: Option<&str>,
    ) -> Result<Vec<Record>> {
        let number = number_of(kind);
        let wanted = asking(true, channel.is_some());
        let sql = format!("SELECT {RECORD_COLUMNS} FROM record {wanted} ORDER BY id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![number, app.0, target, channel])?;
        let mut removed = Vec::new();
        let mut room = Room::new(0, STORE_RECORDS_LISTED_MAX as u64);
        while let Some(row) = rows.next()? {
            let record = record(row, kind)?;
            if !room.takes(record_bytes(&record)) {
                break;
            }
            removed.push(record);
        }
        let sql = format!("DELETE FROM record {wanted}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let count = statement.execute(params![number, app.0, target, channel])?;
        self.tally.add(app, number, -(count as i64), 0);
        Ok(removed)
    }
}

pub(super) const RECORD_COLUMNS: &str = "id, target, channel, p256dh, auth, created_s, modified_s";

/// Which records are meant: of kind ?1 and app ?2, with target ?3 and for channel ?4 where these are
/// given. Each way of asking names its index, as SQLite would take the primary key.
pub(super) fn asking(by_target: bool, by_channel: bool) -> &'static str {
    match (by_target, by_channel) {
        (false, false) => {
            "INDEXED BY record_by_app WHERE kind = ?1 AND app = ?2 AND ?3 IS NULL AND ?4 IS NULL"
        }
        (true, false) => {
            "INDEXED BY record_by_target
             WHERE kind = ?1 AND app = ?2 AND target = ?3 AND ?4 IS NULL"
        }
        (false, true) => {
            "INDEXED BY record_by_channel
             WHERE kind = ?1 AND app = ?2 AND ?3 IS NULL AND channel = ?4"
        }
        (true, true) => {
            "INDEXED BY record_by_target
             WHERE kind = ?1 AND app = ?2 AND target = ?3 AND channel = ?4"
        }
    }
}

/// A row of [`RECORD_COLUMNS`].
pub(super) fn record(row: &rusqlite::Row<'_>, kind: RecordKind) -> Result<Record> {
    let keys: (Option<Box<str>>, Option<Box<str>>) = (row.get(3)?, row.get(4)?);
    Ok(Record {
        id: uint(row.get(0)?),
        record: NewRecord {
            kind,
            target: row.get(1)?,
            channel: row.get(2)?,
            keys: keys.0.zip(keys.1),
        },
        created_s: uint(row.get(5)?),
        modified_s: uint(row.get(6)?),
    })
}

/// The number of a name, which is made if it is new.
pub(super) fn named(
    connection: &Connection,
    known: &mut BTreeMap<(AppRow, Box<str>), i64>,
    app: AppRow,
    name: &str,
    find: &str,
    make: &str,
) -> Result<i64> {
    let key = (app, Box::from(name));
    if let Some(number) = known.get(&key) {
        return Ok(*number);
    }
    let mut statement = connection.prepare_cached(find)?;
    let found = statement.query_row(params![app.0, name], |row| row.get(0));
    let number = match found.optional()? {
        Some(number) => number,
        None => {
            let mut statement = connection.prepare_cached(make)?;
            statement.execute(params![app.0, name])?;
            connection.last_insert_rowid()
        }
    };
    if name.len() <= STORE_NAME_CACHED_BYTES_MAX {
        if known.len() >= STORE_NAMES_CACHED_MAX {
            known.clear();
        }
        known.insert(key, number);
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::store::{Durability, Storage};
    use rusqlite::StatementStatus::RePrepare;

    /// SQLite does so with some statements whenever a value is bound, unless it is told not to.
    #[test]
    fn what_every_event_asks_is_not_prepared_anew() {
        let folder = super::super::Scratch::new("write");
        let path = folder.0.join("fanwire.db");
        let mut store = Sqlite::open(&path, Durability::Relaxed).expect("a fresh file");
        let app = store.adopt(&["app"], 1).expect("there is room")[0];
        for number in 0..50 {
            let write = Write::Publish(Box::new(Publish {
                app,
                number,
                is_last: true,
                owner: None,
                micros: number,
                name: "message".into(),
                data: "x".into(),
                extra: "".into(),
                channels: vec![(format!("room-{}", number % 3).into(), u128::from(number))],
            }));
            store.commit(&[&write]).expect("there is room");
        }
        let listeners = store.connection.prepare_cached(LISTENERS).expect("known");
        assert_eq!(listeners.get_status(RePrepare), 0);
        assert!(listeners.get_status(rusqlite::StatementStatus::Run) > 0);
    }
}
