//! Taking over what Pushi has stored: [`Document`]s, put beside what is there.

use super::files::Lock;
use super::write::{EVENTS, Tally, last_event, named, number_of, within};
use super::{Names, Sqlite, int, open, uint};
use crate::limits::STORE_EVENT_OVERHEAD_BYTES;
use crate::side::store::OpenError;
use crate::side::store::import::{Document, ImportedApp, ImportedEvent, Outcome, What};
use crate::store::{AppRow, BY_PUSHI, NewRecord};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Result, params};
use std::path::Path;

/// Numbers beyond this are not taken over: what is counted up from them must have room.
const ID_MAX: u64 = 1 << 53;
/// The same for apps, which are counted in 32 bits.
const APP_ID_MAX: u64 = 1 << 31;

/// Puts documents into a database, beside a server or without one.
///
/// What is there already stays as it is and is not put there twice: an app is known by its ident, an
/// event by its id, a record by all it says. To know events by their ids, all ids are in memory, at
/// some fifty bytes each; so there is no more than one of these at a time, lest each of two puts there
/// what the other one does.
#[derive(Debug)]
pub struct Importer {
    store: Sqlite,
    /// Every event there is, by its id; looked up once somebody asks.
    events: Option<HashMap<u128, (i64, u32)>>,
    /// Dropped last: until then another one has to wait.
    _lock: Lock,
}

impl Importer {
    /// Opens the database, and makes it if it is not there.
    ///
    /// # Errors
    /// What is wrong with it, or that another import is under way.
    pub fn open(path: &Path) -> std::result::Result<Self, OpenError> {
        let path = &open::absolute(path)?;
        let lock = Lock::take_to_import(path);
        let lock = lock.map_err(|error| error.told(path, OpenError::Importing))?;
        Ok(Self {
            store: Sqlite::open_or_make_beside(path)?,
            events: None,
            _lock: lock,
        })
    }

    /// Puts documents there, all of them or none if it fails, and says what came of each. They come
    /// in the order of their collections, and within one in that of their numbers: events get
    /// numbers of their own in the order in which they come, behind those that are there.
    ///
    /// # Errors
    /// It cannot write. What was put there before stays, and all may be tried again.
    pub fn put(&mut self, documents: &[Document]) -> std::result::Result<Vec<Outcome>, OpenError> {
        let needs_events = |what: &What| matches!(what, What::Event(_) | What::Waiting { .. });
        let store = &mut self.store;
        // A server may have removed names since.
        store.names.forget();
        let names = &mut store.names;
        let events = &mut self.events;
        let put = within(&store.connection, |connection| {
            if events.is_none() && documents.iter().any(|of| needs_events(&of.what)) {
                *events = Some(known_events(connection)?);
            }
            let mut nobody = HashMap::new();
            let mut batch = Batch {
                connection,
                names,
                events: events.as_mut().unwrap_or(&mut nobody),
                last_event: last_event(connection)?,
                tally: Tally::default(),
            };
            let outcomes = documents.iter().map(|document| batch.put(document));
            let outcomes = outcomes.collect::<Result<Vec<_>>>()?;
            batch.tally.write(connection)?;
            Ok(outcomes)
        });
        put.map_err(|error| {
            // What it holds may not have been kept.
            self.events = None;
            open::open_error(&self.store.path, &error)
        })
    }

    /// Copies the log over, so that the file is whole by itself where no server runs.
    ///
    /// # Errors
    /// It cannot write. What was put there is there all the same.
    pub fn close(self) -> std::result::Result<(), OpenError> {
        let copied = open::checkpoint(&self.store.connection, "PASSIVE");
        copied.map_err(|error| open::open_error(&self.store.path, &error))
    }
}

fn known_events(connection: &Connection) -> Result<HashMap<u128, (i64, u32)>> {
    let mut statement = connection.prepare("SELECT mid, id, app FROM event")?;
    let mut rows = statement.query([])?;
    let mut known = HashMap::new();
    while let Some(row) = rows.next()? {
        let mid: [u8; 16] = row.get(0)?;
        known.insert(u128::from_be_bytes(mid), (row.get(1)?, row.get(2)?));
    }
    Ok(known)
}

/// A transaction under way.
struct Batch<'a> {
    connection: &'a Connection,
    names: &'a mut Names,
    events: &'a mut HashMap<u128, (i64, u32)>,
    last_event: u64,
    tally: Tally,
}

impl Batch<'_> {
    fn put(&mut self, document: &Document) -> Result<Outcome> {
        if let What::App(app) = &document.what {
            return self.app(document.id, &document.app, app);
        }
        let mut find = self
            .connection
            .prepare_cached("SELECT id FROM app WHERE ident = ?1")?;
        let app = find.query_row([&document.app], |row| row.get(0));
        let Some(app) = app.optional()?.map(AppRow) else {
            let why = format!("instance: there is no app {:?}", document.app);
            return Ok(Outcome::Refused(why));
        };
        match &document.what {
            What::App(_) => Ok(Outcome::There),
            What::Event(event) => self.event(document.id, app, event),
            What::Waiting { user, mid } => self.waiting(app, user, *mid),
            What::Record {
                record,
                created_s,
                modified_s,
            } => self.record(document.id, app, record, [*created_s, *modified_s]),
        }
    }

    fn app(&self, id: u64, ident: &str, app: &ImportedApp) -> Result<Outcome> {
        let connection = self.connection;
        let is_there = |column: &str, value: &str| {
            let sql = format!("SELECT 1 FROM app WHERE {column} = ?1");
            connection.prepare_cached(&sql)?.exists([value])
        };
        if is_there("ident", ident)? {
            return Ok(Outcome::There);
        }
        let fields = &app.fields;
        let name = fields.name.value().map_or("", |name| &**name);
        for (column, value) in [("name", name), ("key", &*app.key)] {
            if is_there(column, value)? {
                let why = format!("{column}: {value:?} is another app's");
                return Ok(Outcome::Refused(why));
            }
        }
        // Its number is its own if it can be; else the next one.
        let mut taken = connection.prepare_cached("SELECT 1 FROM app WHERE id = ?1")?;
        let is_free = (1..=APP_ID_MAX).contains(&id) && !taken.exists([int(id)])?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO app (id, ident, key, secret, protocols, is_of_settings, name, enabled,
                 description, meta, apn_sandbox, apn_key, apn_cer, vapid_key, vapid_email, smtp_url,
                 created_s, modified_s)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?;
        insert.execute(params![
            is_free.then_some(int(id)),
            ident,
            app.key,
            app.secret,
            BY_PUSHI,
            name,
            fields.enabled.value(),
            fields.description.value(),
            fields.meta.value(),
            fields.apn_sandbox.value(),
            fields.apn_key.value(),
            fields.apn_cer.value(),
            fields.vapid_key.value(),
            fields.vapid_email.value(),
            fields.smtp_url.value(),
            int(app.created_s),
            int(app.modified_s),
        ])?;
        Ok(Outcome::Added)
    }

    fn event(&mut self, id: u64, app: AppRow, event: &ImportedEvent) -> Result<Outcome> {
        if self.events.contains_key(&event.mid) {
            return Ok(Outcome::There);
        }
        // Its number is its own as long as that is behind all others.
        let next = self.last_event + 1;
        let number = if (next..=ID_MAX).contains(&id) {
            id
        } else {
            next
        };
        let find = "SELECT id FROM channel WHERE app = ?1 AND name = ?2";
        let make = "INSERT INTO channel (app, name) VALUES (?1, ?2)";
        let known = &mut self.names.channels;
        let channel = named(self.connection, known, app, &event.channel, find, make)?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO event (id, app, channel, micros, mid, owner, name, extra, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        insert.execute(params![
            int(number),
            app.0,
            channel,
            int(event.micros),
            event.mid.to_be_bytes(),
            event.owner.map(u128::to_be_bytes),
            event.name,
            event.extra,
            event.data,
        ])?;
        self.last_event = number;
        self.events.insert(event.mid, (int(number), app.0));
        let texts = event.name.len() + event.data.len() + event.extra.len();
        let bytes = (texts + STORE_EVENT_OVERHEAD_BYTES) as i64;
        self.tally.add(app, EVENTS, 1, bytes);
        Ok(Outcome::Added)
    }

    fn waiting(&mut self, app: AppRow, user: &str, mid: u128) -> Result<Outcome> {
        let of_this_app = |(event, of): &(i64, u32)| (*of == app.0).then_some(*event);
        let event = self.events.get(&mid).and_then(of_this_app);
        // A server may have removed it since.
        let mut there = self
            .connection
            .prepare_cached("SELECT 1 FROM event WHERE id = ?1")?;
        let event = match event {
            Some(event) if there.exists([event])? => event,
            _ => {
                let why = "mid: the app has no such event".to_owned();
                return Ok(Outcome::Refused(why));
            }
        };
        let find = "SELECT id FROM user WHERE app = ?1 AND name = ?2";
        let make = "INSERT INTO user (app, name) VALUES (?1, ?2)";
        let user = named(
            self.connection,
            &mut self.names.users,
            app,
            user,
            find,
            make,
        )?;
        let mut insert = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO waiting (user, event) VALUES (?1, ?2)")?;
        Ok(match insert.execute([user, event])? {
            0 => Outcome::There,
            _ => Outcome::Added,
        })
    }

    fn record(
        &mut self,
        id: u64,
        app: AppRow,
        record: &NewRecord,
        [created_s, modified_s]: [u64; 2],
    ) -> Result<Outcome> {
        let connection = self.connection;
        let kind = number_of(record.kind);
        let keys = record.keys.as_ref();
        let (p256dh, auth) = (keys.map(|(key, _)| key), keys.map(|(_, auth)| auth));
        let mut find = connection.prepare_cached(
            "SELECT 1 FROM record WHERE kind = ?1 AND app = ?2 AND target = ?3 AND channel = ?4
             AND p256dh IS ?5 AND auth IS ?6",
        )?;
        let (target, channel) = (&record.target, &record.channel);
        if find.exists(params![kind, app.0, target, channel, p256dh, auth])? {
            return Ok(Outcome::There);
        }
        let mut last = connection.prepare_cached("SELECT last FROM counter WHERE what = ?1")?;
        let next = uint(last.query_row([kind], |row| row.get(0))?) + 1;
        let number = if (next..=ID_MAX).contains(&id) {
            id
        } else {
            next
        };
        let mut count =
            connection.prepare_cached("UPDATE counter SET last = ?2 WHERE what = ?1")?;
        count.execute([kind, int(number)])?;
        let mut insert = connection
            .prepare_cached("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
        insert.execute(params![
            kind,
            int(number),
            app.0,
            target,
            channel,
            p256dh,
            auth,
            int(created_s),
            int(modified_s),
        ])?;
        self.tally.add(app, kind, 1, 0);
        Ok(Outcome::Added)
    }
}
