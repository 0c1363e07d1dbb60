//! Clearing away what is too old, or too much.

use super::write::{EVENTS, Tally, last_event, within};
use super::{Sqlite, int, uint};
use crate::limits::{STORE_EVENT_OVERHEAD_BYTES, STORE_RETENTION_APPS_PER_STEP};
use crate::side::store::storage::{Retention, Retired, Swept};
use crate::store::AppRow;
use rusqlite::{Connection, Result, params};
use std::collections::BTreeSet;

pub(super) fn step(store: &mut Sqlite, keep: &Retention, rows: usize) -> Result<Retired> {
    let from = store.last_retired;
    let done = within(&store.connection, |connection| {
        let last_event = last_event(connection)?;
        let mut step = Step::new(connection, keep, rows, from);
        step.run(from)?;
        step.end(last_event)?;
        Ok((step.retired, step.last_app))
    });
    let (retired, last_app) = done?;
    store.last_retired = last_app;
    if retired.events > 0 {
        store.names.forget();
    }
    Ok(retired)
}

/// See [`Storage::sweep`](crate::side::store::Storage::sweep).
pub(super) fn sweep(
    store: &mut Sqlite,
    from_micros: u64,
    after: u64,
    rows: usize,
) -> Result<Swept> {
    // Nearly always nothing is too old, and then nobody is kept from writing. No text is read: when
    // an event is from stands before them.
    let mut look = store
        .connection
        .prepare_cached("SELECT id, micros FROM event WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut seen = look.query([int(after), rows as i64])?;
    let (mut count, mut last, mut is_any_old) = (0, 0, false);
    while let Some(row) = seen.next()? {
        count += 1;
        last = row.get(0)?;
        is_any_old |= row.get::<_, i64>(1)? < int(from_micros);
    }
    drop(seen);
    drop(look);
    let mut swept = Swept {
        events: 0,
        upto: (count > 0 && count == rows).then_some(uint(last)),
    };
    if !is_any_old {
        return Ok(swept);
    }
    let keep = Retention::default();
    swept.events = within(&store.connection, |connection| {
        let last_event = last_event(connection)?;
        let mut step = Step::new(connection, &keep, rows, 0);
        step.clear(int(from_micros), int(after), last)?;
        step.end(last_event)?;
        Ok(step.retired.events)
    })?;
    store.names.forget();
    Ok(swept)
}

struct Step<'a> {
    connection: &'a Connection,
    keep: &'a Retention,
    /// How many events may still go.
    rows: usize,
    last_app: i64,
    /// Those that lost events, and may have none left.
    channels: BTreeSet<i64>,
    users: BTreeSet<i64>,
    tally: Tally,
    retired: Retired,
}

impl<'a> Step<'a> {
    fn new(connection: &'a Connection, keep: &'a Retention, rows: usize, last_app: i64) -> Self {
        Self {
            connection,
            keep,
            rows,
            last_app,
            channels: BTreeSet::new(),
            users: BTreeSet::new(),
            tally: Tally::default(),
            retired: Retired::default(),
        }
    }

    /// What follows from events being gone.
    fn end(&self, last_event: u64) -> Result<()> {
        if self.retired.events == 0 {
            return Ok(());
        }
        self.drop_names()?;
        self.tally.write(self.connection)?;
        // Once the last event is gone, only this tells its id.
        let sql = "UPDATE counter SET last = ?1 WHERE what = 0";
        let mut count = self.connection.prepare_cached(sql)?;
        count.execute([int(last_event)]).map(drop)
    }

    /// Clears away what is too old of those behind `after`, up to `last`, of whichever app.
    fn clear(&mut self, from_micros: i64, after: i64, last: i64) -> Result<()> {
        let mut old = self.connection.prepare_cached(
            "SELECT id, app, channel,
                    octet_length(name) + octet_length(data) + octet_length(extra) + ?4
             FROM event WHERE id > ?1 AND id <= ?2 AND micros < ?3",
        )?;
        let charge = STORE_EVENT_OVERHEAD_BYTES as i64;
        let mut rows = old.query([after, last, from_micros, charge])?;
        let mut gone = Vec::new();
        while let Some(row) = rows.next()? {
            let app = AppRow(u32::try_from(row.get::<_, i64>(1)?).unwrap_or(u32::MAX));
            self.channels.insert(row.get(2)?);
            self.tally.add(app, EVENTS, -1, -row.get::<_, i64>(3)?);
            gone.push(row.get(0)?);
        }
        drop(rows);
        for id in &gone {
            self.remove(*id)?;
        }
        self.retired.events += gone.len() as u64;
        Ok(())
    }

    /// Looks at some apps, from behind the last one that lost anything, once around at most.
    fn run(&mut self, from: i64) -> Result<()> {
        let most = STORE_RETENTION_APPS_PER_STEP;
        let mut apps = self.apps("app > ?1", from, most)?;
        let left = most - apps.len();
        apps.extend(self.apps("app <= ?1", from, left)?);
        for (app, bytes) in &apps {
            let before = self.retired.events;
            let is_over = self.retire_of(*app, *bytes)?;
            if self.retired.events > before {
                // What is left of it comes after all others.
                self.last_app = *app;
            }
            if !is_over {
                self.retired.is_behind = true;
                return Ok(());
            }
        }
        if apps.len() == most {
            // There may be more apps than one step looks at.
            self.last_app = apps.last().map_or(from, |(app, _)| *app);
            self.retired.is_behind = self.retired.events > 0;
        }
        Ok(())
    }

    /// Apps with events, and the bytes of these.
    fn apps(&self, which: &str, from: i64, most: usize) -> Result<Vec<(i64, i64)>> {
        let mut list = self.connection.prepare_cached(&format!(
            "SELECT app, bytes FROM tally WHERE what = 0 AND {which} AND count > 0
             ORDER BY app LIMIT ?2"
        ))?;
        let apps = list.query_map([from, most as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
        apps.collect()
    }

    /// Whether nothing is left to be cleared away of this app.
    fn retire_of(&mut self, app: i64, mut bytes: i64) -> Result<bool> {
        let mut oldest = self.connection.prepare_cached(
            "SELECT id, channel, micros,
                    octet_length(name) + octet_length(data) + octet_length(extra) + ?2
             FROM event INDEXED BY event_by_app WHERE app = ?1 ORDER BY id LIMIT ?3",
        )?;
        // One more than may go tells whether there is more to do.
        let most = self.rows as i64 + 1;
        let mut rows = oldest.query(params![app, STORE_EVENT_OVERHEAD_BYTES as i64, most])?;
        let mut gone = Vec::new();
        let mut is_over = true;
        let bytes_before = bytes;
        while let Some(row) = rows.next()? {
            let (id, channel): (i64, i64) = (row.get(0)?, row.get(1)?);
            let micros: i64 = row.get(2)?;
            let is_old = self.keep.from_micros.is_some_and(|from| micros < int(from));
            let is_much = self.keep.bytes_max.is_some_and(|most| bytes > int(most));
            if !is_old && !is_much {
                break;
            }
            if gone.len() == self.rows {
                is_over = false;
                break;
            }
            bytes -= row.get::<_, i64>(3)?;
            gone.push(id);
            self.channels.insert(channel);
        }
        drop(rows);
        for id in &gone {
            self.remove(*id)?;
        }
        let count = gone.len();
        if count > 0 {
            let app = AppRow(u32::try_from(app).unwrap_or(u32::MAX));
            self.tally
                .add(app, EVENTS, -(count as i64), bytes - bytes_before);
        }
        self.rows -= count;
        self.retired.events += count as u64;
        Ok(is_over)
    }

    fn remove(&mut self, event: i64) -> Result<()> {
        let mut waiting = self
            .connection
            .prepare_cached("DELETE FROM waiting WHERE event = ?1 RETURNING user")?;
        let mut users = waiting.query([event])?;
        while let Some(row) = users.next()? {
            self.users.insert(row.get(0)?);
        }
        let mut remove = self
            .connection
            .prepare_cached("DELETE FROM event WHERE id = ?1")?;
        remove.execute([event]).map(drop)
    }

    /// The numbers of names that nothing is stored under any more.
    fn drop_names(&self) -> Result<()> {
        let mut channel = self.connection.prepare_cached(
            "DELETE FROM channel WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM event WHERE channel = ?1)",
        )?;
        for number in &self.channels {
            channel.execute([number])?;
        }
        let mut user = self.connection.prepare_cached(
            "DELETE FROM user WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM waiting WHERE user = ?1)",
        )?;
        for number in &self.users {
            user.execute([number])?;
        }
        Ok(())
    }
}
