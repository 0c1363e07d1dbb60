//! What channels and users are remembered by.

use crate::store::{AppRow, Change, Remembered};
use rusqlite::{Connection, OptionalExtension, Result, params};

pub(super) fn change(connection: &Connection, app: AppRow, change: &Change) -> Result<()> {
    match change {
        Change::Channel { name, value } => {
            let mut put = connection.prepare_cached(
                "INSERT INTO kept_channel (app, name, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET value = excluded.value",
            )?;
            put.execute(params![app.0, name, value])?;
        }
        Change::NoChannel { name } => {
            let mut remove = connection.prepare_cached(
                "DELETE FROM kept_channel WHERE app = ?1 AND name = ?2 RETURNING id",
            )?;
            let removed = remove.query_row(params![app.0, name], |row| row.get::<_, i64>(0));
            if let Some(number) = removed.optional()? {
                let sql = "DELETE FROM kept_message WHERE channel = ?1";
                connection.prepare_cached(sql)?.execute([number])?;
            }
        }
        Change::Message {
            channel,
            id,
            value,
            most,
        } => message(connection, app, channel, *id, value, *most)?,
        Change::Edited { channel, id, value } => {
            let mut edit = connection.prepare_cached(
                "UPDATE kept_message SET value = ?4 WHERE mid = ?3 AND channel =
                 (SELECT id FROM kept_channel WHERE app = ?1 AND name = ?2)",
            )?;
            edit.execute(params![app.0, channel, id.to_be_bytes(), value])?;
        }
        Change::NoMessage { channel, id } => {
            let mut remove = connection.prepare_cached(
                "DELETE FROM kept_message WHERE mid = ?3 AND channel =
                 (SELECT id FROM kept_channel WHERE app = ?1 AND name = ?2)",
            )?;
            let removed = remove.execute(params![app.0, channel, id.to_be_bytes()])?;
            let mut count = connection.prepare_cached(
                "UPDATE kept_channel SET count = count - ?3 WHERE app = ?1 AND name = ?2",
            )?;
            count.execute(params![app.0, channel, removed as i64])?;
        }
        Change::User { name, value } => {
            let mut put = connection
                .prepare_cached("INSERT OR REPLACE INTO kept_user VALUES (?1, ?2, ?3)")?;
            put.execute(params![app.0, name, value])?;
        }
        Change::NoUser { name } => {
            let mut remove =
                connection.prepare_cached("DELETE FROM kept_user WHERE app = ?1 AND name = ?2")?;
            remove.execute(params![app.0, name])?;
        }
    }
    Ok(())
}

/// One more message of a channel; those beyond the newest `most` go.
fn message(
    connection: &Connection,
    app: AppRow,
    channel: &str,
    id: u128,
    value: &str,
    most: u32,
) -> Result<()> {
    let mut count = connection.prepare_cached(
        "INSERT INTO kept_channel (app, name, value, count) VALUES (?1, ?2, '', 1)
         ON CONFLICT DO UPDATE SET count = count + 1 RETURNING id, count",
    )?;
    let counted = count.query_row(params![app.0, channel], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    let (number, count) = counted?;
    let mut insert = connection
        .prepare_cached("INSERT INTO kept_message (channel, mid, value) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![number, id.to_be_bytes(), value])?;
    let spare = count - i64::from(most);
    if spare > 0 {
        let mut remove = connection.prepare_cached(
            "DELETE FROM kept_message WHERE id IN
             (SELECT id FROM kept_message WHERE channel = ?1 ORDER BY id LIMIT ?2)",
        )?;
        remove.execute([number, spare])?;
        let mut count = connection
            .prepare_cached("UPDATE kept_channel SET count = count - ?2 WHERE id = ?1")?;
        count.execute([number, spare])?;
    }
    Ok(())
}

pub(super) fn remembered(connection: &Connection, app: AppRow) -> Result<Remembered> {
    let mut remembered = Remembered::default();
    let mut messages = connection
        .prepare_cached("SELECT mid, value FROM kept_message WHERE channel = ?1 ORDER BY id")?;
    let mut channels = connection
        .prepare_cached("SELECT id, name, value FROM kept_channel WHERE app = ?1 ORDER BY name")?;
    let mut rows = channels.query([app.0])?;
    while let Some(row) = rows.next()? {
        let of_channel = messages.query_map([row.get::<_, i64>(0)?], |row| {
            Ok((u128::from_be_bytes(row.get(0)?), row.get(1)?))
        })?;
        let of_channel = of_channel.collect::<Result<_>>()?;
        let channel = (row.get(1)?, row.get(2)?, of_channel);
        remembered.channels.push(channel);
    }
    let mut users = connection
        .prepare_cached("SELECT name, value FROM kept_user WHERE app = ?1 ORDER BY name")?;
    let users = users.query_map([app.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    remembered.users = users.collect::<Result<_>>()?;
    Ok(remembered)
}
