//! Questions, and the connection that another thread asks them through.

use super::write::{RECORD_COLUMNS, asking, number_of, record};
use super::{int, open, trouble, uint};
use crate::limits::{STORE_ALIASES_MAX, STORE_EVENTS_LISTED_MAX, STORE_RECORDS_LISTED_MAX};
use crate::side::store::storage::{Reading, Room, aliases, event_bytes, record_bytes};
use crate::store::{Answer, AppRow, Counts, Question, Record, RecordKind, StoredEvent, Trouble};
use rusqlite::{Connection, Params, Result, params};
use std::path::{Path, PathBuf};

/// Asks on a thread of its own.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    /// None after it failed; the next question opens it anew.
    connection: Option<Connection>,
}

impl Reader {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            connection: None,
        }
    }

    pub(super) fn open(&mut self) -> Result<&Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::connect_to_read(&self.path)?,
        };
        Ok(self.connection.insert(connection))
    }
}

impl Reading for Reader {
    fn answer(&mut self, question: &Question, upto: u64) -> std::result::Result<Answer, Trouble> {
        let connection = self.open();
        let answered = connection.and_then(|connection| answer(connection, question, upto));
        answered.map_err(|error| {
            self.connection = None;
            trouble("read", &error)
        })
    }
}

pub(super) fn answer(connection: &Connection, question: &Question, upto: u64) -> Result<Answer> {
    Ok(match question {
        Question::Latest {
            app,
            channel: Some(channel),
            skip,
            count,
        } => {
            let sql = "SELECT id, mid, owner, micros, name, data, extra, ?5 FROM event
                       WHERE channel = (SELECT id FROM channel WHERE app = ?1 AND name = ?5)
                       AND id <= ?2 ORDER BY id DESC LIMIT ?3 OFFSET ?4";
            let mut room = Room::new(*count, STORE_EVENTS_LISTED_MAX);
            let left = int(room.left());
            let asked = params![app.0, int(upto), left, int(*skip), channel];
            Answer::Events(events(connection, sql, asked, &mut room)?)
        }
        Question::Latest {
            app,
            channel: None,
            skip,
            count,
        } => {
            let sql = "SELECT id, mid, owner, micros, name, data, extra,
                       (SELECT name FROM channel WHERE channel.id = event.channel)
                       FROM event INDEXED BY event_by_app
                       WHERE app = ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3 OFFSET ?4";
            let mut room = Room::new(*count, STORE_EVENTS_LISTED_MAX);
            let asked = params![app.0, int(upto), int(room.left()), int(*skip)];
            Answer::Events(events(connection, sql, asked, &mut room)?)
        }
        Question::Personal {
            app,
            user,
            skip,
            count,
        } => {
            let aliases = aliases(user, |user| channels_of(connection, *app, user))?;
            let sql = "SELECT event.id, mid, owner, micros, name, data, extra,
                       (SELECT name FROM channel WHERE channel.id = event.channel)
                       FROM waiting CROSS JOIN event ON event.id = waiting.event
                       WHERE user = (SELECT id FROM user WHERE app = ?1 AND name = ?5)
                       AND event <= ?2 ORDER BY event DESC LIMIT ?3 OFFSET ?4";
            let mut room = Room::new(*count, STORE_EVENTS_LISTED_MAX);
            let left = int(room.left());
            let asked = params![app.0, int(upto), left, int(*skip), user];
            let events = events(connection, sql, asked, &mut room)?;
            Answer::Personal { aliases, events }
        }
        Question::Records {
            app,
            kind,
            target,
            channel,
        } => {
            let (target, channel) = (target.as_deref(), channel.as_deref());
            Answer::Records(records(connection, *app, *kind, target, channel)?)
        }
        Question::Counts => Answer::Counts(Box::new(counts(connection)?)),
    })
}

/// The channels of a user's own subscriptions, oldest first.
fn channels_of(connection: &Connection, app: AppRow, user: &str) -> Result<Vec<Box<str>>> {
    let mut statement = connection.prepare_cached(
        "SELECT channel FROM record INDEXED BY record_by_target
         WHERE kind = 1 AND app = ?1 AND target = ?2 ORDER BY id LIMIT ?3",
    )?;
    let asked = params![app.0, user, STORE_ALIASES_MAX as i64];
    let rows = statement.query_map(asked, |row| row.get(0))?;
    rows.collect()
}

fn events(
    connection: &Connection,
    sql: &str,
    asked: impl Params,
    room: &mut Room,
) -> Result<Vec<StoredEvent>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(asked)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let event = StoredEvent {
            id: uint(row.get(0)?),
            mid: u128::from_be_bytes(row.get(1)?),
            owner: row.get::<_, Option<[u8; 16]>>(2)?.map(u128::from_be_bytes),
            micros: uint(row.get(3)?),
            name: row.get(4)?,
            data: row.get(5)?,
            extra: row.get(6)?,
            channel: row.get(7)?,
        };
        if !room.takes(event_bytes(&event)) {
            break;
        }
        found.push(event);
    }
    Ok(found)
}

fn records(
    connection: &Connection,
    app: AppRow,
    kind: RecordKind,
    target: Option<&str>,
    channel: Option<&str>,
) -> Result<Vec<Record>> {
    let wanted = asking(target.is_some(), channel.is_some());
    let sql = format!("SELECT {RECORD_COLUMNS} FROM record {wanted} ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![number_of(kind), app.0, target, channel])?;
    let mut room = Room::new(0, STORE_RECORDS_LISTED_MAX as u64);
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let record = record(row, kind)?;
        if !room.takes(record_bytes(&record)) {
            break;
        }
        found.push(record);
    }
    Ok(found)
}

fn counts(connection: &Connection) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM app WHERE NOT is_of_settings")?;
    counts.apps = uint(statement.query_row([], |row| row.get(0))?);
    let mut statement = connection
        .prepare_cached("SELECT what, sum(count), sum(count > 0) FROM tally GROUP BY what")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let what: i64 = row.get(0)?;
        let (all, apps) = (uint(row.get(1)?), uint(row.get(2)?));
        let kind = RecordKind::ALL.iter().position(|k| number_of(*k) == what);
        match kind {
            Some(kind) => (counts.records[kind], counts.apps_with[kind]) = (all, apps),
            None => counts.events = all,
        }
    }
    Ok(counts)
}
