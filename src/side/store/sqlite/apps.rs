//! Apps and their sessions.

use super::{int, uint};
use crate::side::store::storage::merge;
use crate::store::{Answer, AppFields, AppRecord, AppRow, EndedSession, Field, NewApp};
use rusqlite::types::FromSql;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Result, Row, params};

const APP: &str = "SELECT id, ident, key, secret, protocols, is_of_settings, name, enabled,
    description, meta, apn_sandbox, apn_key, apn_cer, vapid_key, vapid_email, smtp_url,
    created_s, modified_s, sessions_from_s FROM app";

/// A row of [`APP`].
fn app(row: &Row<'_>) -> Result<AppRecord> {
    fn field<T: FromSql>(row: &Row<'_>, at: usize) -> Result<Field<T>> {
        let value: Option<T> = row.get(at)?;
        Ok(value.map_or(Field::Absent, Field::Is))
    }
    Ok(AppRecord {
        row: AppRow(row.get(0)?),
        ident: row.get(1)?,
        key: row.get(2)?,
        secret: row.get(3)?,
        protocols: row.get(4)?,
        is_of_settings: row.get(5)?,
        fields: AppFields {
            name: field(row, 6)?,
            enabled: field(row, 7)?,
            description: field(row, 8)?,
            meta: field(row, 9)?,
            apn_sandbox: field(row, 10)?,
            apn_key: field(row, 11)?,
            apn_cer: field(row, 12)?,
            vapid_key: field(row, 13)?,
            vapid_email: field(row, 14)?,
            smtp_url: field(row, 15)?,
        },
        created_s: uint(row.get(16)?),
        modified_s: uint(row.get(17)?),
        sessions_from_s: uint(row.get(18)?),
    })
}

pub(super) fn all(connection: &Connection) -> Result<Vec<AppRecord>> {
    let mut statement = connection.prepare_cached(&format!("{APP} ORDER BY id"))?;
    let apps = statement.query_map([], app)?;
    apps.collect()
}

pub(super) fn find(connection: &Connection, row: AppRow) -> Result<Option<AppRecord>> {
    let mut statement = connection.prepare_cached(&format!("{APP} WHERE id = ?1"))?;
    statement.query_row([row.0], app).optional()
}

/// None: something of it is taken.
fn unless_taken<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn create(connection: &Connection, new: &NewApp) -> Result<Answer> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO app (ident, key, secret, protocols, is_of_settings, name, enabled, meta,
                          apn_sandbox, created_s, modified_s)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, 1, '{}', 0, ?6, ?6)",
    )?;
    let unix_s = int(new.unix_s);
    let values = params![
        new.ident,
        new.key,
        new.secret,
        new.protocols,
        new.name,
        unix_s
    ];
    if unless_taken(statement.execute(values))?.is_none() {
        return Ok(Answer::Duplicate);
    }
    // An id that does not fit has no app that could be found.
    let row = u32::try_from(connection.last_insert_rowid()).unwrap_or(u32::MAX);
    if new.more != AppFields::default() {
        return update(connection, AppRow(row), &new.more, new.unix_s);
    }
    let made = find(connection, AppRow(row))?;
    Ok(made.map_or(Answer::Nothing, |app| Answer::App(Box::new(app))))
}

pub(super) fn update(
    connection: &Connection,
    row: AppRow,
    given: &AppFields,
    unix_s: u64,
) -> Result<Answer> {
    let Some(mut app) = find(connection, row)? else {
        return Ok(Answer::Nothing);
    };
    merge(&mut app.fields, given);
    app.modified_s = unix_s;
    let fields = &app.fields;
    let mut statement = connection.prepare_cached(
        "UPDATE app SET name = ?2, enabled = ?3, description = ?4, meta = ?5, apn_sandbox = ?6,
             apn_key = ?7, apn_cer = ?8, vapid_key = ?9, vapid_email = ?10, smtp_url = ?11,
             modified_s = ?12 WHERE id = ?1",
    )?;
    let updated = statement.execute(params![
        row.0,
        fields.name.value(),
        fields.enabled.value(),
        fields.description.value(),
        fields.meta.value(),
        fields.apn_sandbox.value(),
        fields.apn_key.value(),
        fields.apn_cer.value(),
        fields.vapid_key.value(),
        fields.vapid_email.value(),
        fields.smtp_url.value(),
        int(unix_s),
    ]);
    Ok(match unless_taken(updated)? {
        Some(_) => Answer::App(Box::new(app)),
        None => Answer::Duplicate,
    })
}

pub(super) fn adopt(connection: &Connection, ident: &str, unix_s: u64) -> Result<AppRow> {
    let mut find = connection.prepare_cached("SELECT id FROM app WHERE ident = ?1")?;
    if let Some(row) = find.query_row([ident], |row| row.get(0)).optional()? {
        return Ok(AppRow(row));
    }
    let mut make = connection.prepare_cached(
        "INSERT INTO app (ident, key, secret, protocols, is_of_settings, created_s, modified_s)
         VALUES (?1, '', '', 0, 1, ?2, ?2) RETURNING id",
    )?;
    let row = make.query_row(params![ident, int(unix_s)], |row| row.get(0))?;
    Ok(AppRow(row))
}

pub(super) fn end_session(
    connection: &Connection,
    app: AppRow,
    session: &[u8; 32],
    until_unix_s: u64,
) -> Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO ended_session VALUES (?1, ?2, ?3)")?;
    statement
        .execute(params![app.0, session, int(until_unix_s)])
        .map(drop)
}

/// Whether there is such an app.
pub(super) fn end_sessions_before(
    connection: &Connection,
    app: AppRow,
    unix_s: u64,
    until_unix_s: u64,
) -> Result<bool> {
    // What holds for all of them need not be said of each.
    connection
        .prepare_cached("DELETE FROM ended_session WHERE app = ?1 AND until_s < ?2")?
        .execute(params![app.0, int(until_unix_s)])?;
    let mut statement = connection.prepare_cached(
        "UPDATE app SET sessions_from_s = max(sessions_from_s, ?2) WHERE id = ?1",
    )?;
    Ok(statement.execute(params![app.0, int(unix_s)])? > 0)
}

pub(super) fn ended_sessions(connection: &Connection, unix_s: u64) -> Result<Vec<EndedSession>> {
    connection
        .prepare_cached("DELETE FROM ended_session WHERE until_s <= ?1")?
        .execute([int(unix_s)])?;
    let mut statement = connection
        .prepare_cached("SELECT app, session, until_s FROM ended_session ORDER BY app, session")?;
    let sessions = statement.query_map([], |row| {
        Ok(EndedSession {
            app: AppRow(row.get(0)?),
            session: row.get(1)?,
            until_unix_s: uint(row.get(2)?),
        })
    })?;
    sessions.collect()
}
