//! The store at the side of the loop: opened before anybody is listened to, worked on a thread of its
//! own, closed when the loop has ended.

use super::AppIds;
use super::settings::stored_apps;
use crate::engine::{Mail, StoreLink};
use crate::options::{self, Config, UNLIMITED_U64};
use crate::reactor::{Clock, MailError, Mailbox};
use crate::side::store::{self, Durability, Moment, OpenError, Options, Running, Store};
use crate::store::{Loaded, News};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long the store waits before it tries again to tell a loop whose mailbox is full.
const TELL_AGAIN: Duration = Duration::from_millis(1);

/// A store that was opened, and what it held.
#[derive(Debug)]
pub struct OpenedStore {
    store: Store,
    loaded: Loaded,
}

impl OpenedStore {
    /// Opens the store that these settings name. Apps of the settings get their numbers in it.
    ///
    /// It is kept in memory, and no file is made, where nobody could put anything into one: see
    /// [`Config::needs_store`].
    ///
    /// # Errors
    /// What is wrong with the file, and what to do about it.
    pub fn open(config: &Config, ids: &AppIds) -> Result<Self, OpenError> {
        let settings = &config.store;
        let clock = Clock::new();
        let is_bound = |most: u64| (most != UNLIMITED_U64).then_some(most);
        let options = Options {
            path: settings.path.clone().filter(|_| config.needs_store()),
            durability: match settings.durability {
                options::Durability::Synced => Durability::Synced,
                options::Durability::Relaxed => Durability::Relaxed,
            },
            age_max_us: is_bound(settings.max_age_s).map(|s| s.saturating_mul(1_000_000)),
            bytes_max: is_bound(settings.max_bytes),
            busy_poll_ms: config.busy_poll_ms,
            clock: Arc::new(move || Moment {
                mono_us: clock.micros(),
                unix_us: clock.now().unix_micros,
            }),
        };
        let path = options.path.clone().unwrap_or_default();
        let unix_s = clock.now().unix_seconds();
        let (mut store, mut loaded) = store::open(options)?;
        let failed = |trouble: crate::store::Trouble| {
            OpenError::System(path.clone(), io::Error::other(trouble.message()))
        };
        let apps = stored_apps(config, ids);
        let idents: Vec<&str> = apps.iter().map(|(_, ident)| ident.as_str()).collect();
        let storage = store.storage();
        let rows = storage.adopt(&idents, unix_s).map_err(failed)?;
        // Now with those that were adopted.
        loaded.apps = storage.apps().map_err(failed)?;
        if config.channelstream.enabled && config.channelstream.persist {
            for row in rows {
                let remembered = storage.remembered(row).map_err(failed)?;
                loaded.remembered.push((row, remembered));
            }
        }
        Ok(Self { store, loaded })
    }

    /// A store that a host program has opened itself, with an engine of its own perhaps, and what it
    /// held.
    pub fn of(store: Store, loaded: Loaded) -> Self {
        Self { store, loaded }
    }

    /// Starts its threads. What it held and the way in are for the engine.
    pub(super) fn start(self, mailbox: Mailbox<Mail>) -> io::Result<(Loaded, StoreLink, AtWork)> {
        let running = self.store.start(move |news| tell(&mailbox, news))?;
        let link = running.link();
        let link: StoreLink = Box::new(move |jobs| link.send(jobs));
        Ok((self.loaded, link, AtWork(Some(running))))
    }
}

/// Puts news into the loop's mailbox. What the store says is never lost, so a full mailbox is waited
/// for; the loop empties it in every turn.
fn tell(mailbox: &Mailbox<Mail>, news: Vec<News>) -> bool {
    let mut mail = Mail::Store(news);
    loop {
        mail = match mailbox.send(mail) {
            Ok(()) => return true,
            Err(MailError::Closed(_)) => return false,
            Err(MailError::Full(mail)) => mail,
        };
        std::thread::park_timeout(TELL_AGAIN);
    }
}

/// A store at work. All that it was handed is kept before this is gone.
#[derive(Debug)]
pub(super) struct AtWork(Option<Running>);

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Some(running) = self.0.take()
            && !running.close()
        {
            log::error!("the store could not be closed in order; what was acknowledged is kept");
        }
    }
}

impl Config {
    /// Whether anything of these settings can come to be stored, or is already. A server that has
    /// nothing to keep makes no file.
    pub fn needs_store(&self) -> bool {
        let pushi = &self.pushi;
        let has_pushi = self
            .apps
            .iter()
            .any(|app| app.allows(options::Protocol::Pushi));
        let is_there = self.store.path.as_ref().is_some_and(|path| path.exists());
        (pushi.enabled && (pushi.open_registration || has_pushi))
            || (self.channelstream.enabled && self.channelstream.persist)
            || is_there
    }
}
