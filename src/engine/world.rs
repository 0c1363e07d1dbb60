//! Everything but the connections: hub, dialects, and what is remembered beside them. It is what a
//! dialect is lent while one connection is borrowed.

use super::{Metrics, jobs};
use crate::dialect::{Apps, Ctx, Desk, Dialect, Facts, Io, Meter};
use crate::frame::FrameWriter;
use crate::handler::{ConnId, Origin, Turn};
use crate::hub::{AppId, AppRules, Format, HangUp, Hub};
use crate::outbox::Outbox;
use crate::random::Random;
use crate::store::{Change, Port, Trouble};
use crate::transport::rate::Bucket;
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

/// See the module's comment.
pub(super) struct World {
    pub(super) hub: Hub,
    pub(super) dialects: Vec<Box<dyn Dialect>>,
    pub(super) random: Random,
    pub(super) writer: FrameWriter,
    pub(super) hang_ups: VecDeque<(ConnId, Format, HangUp)>,
    pub(super) meter: Meter,
    pub(super) facts: Facts,
    pub(super) jobs: jobs::Jobs,
    pub(super) desk: Desk,
    pub(super) metrics: Metrics,
    pub(super) store: Port,
    /// Changes that wait to become one write.
    pub(super) remembered: Vec<(AppId, Change)>,
    /// Why such changes could not be handed over, the last time that was so.
    pub(super) unstored: Option<Trouble>,
    pub(super) apps: Apps,
    /// Somebody may not be served any more, or an app may have no row yet.
    pub(super) looks_at_apps: bool,
    /// What each dialect remembers, in their order.
    pub(super) notes: Vec<Box<dyn Any>>,
}

/// What is lent of a [`World`].
pub(super) struct Parts<'a> {
    pub(super) hub: &'a mut Hub,
    pub(super) desk: &'a mut Desk,
    pub(super) apps: &'a mut Apps,
    pub(super) notes: &'a mut [Box<dyn Any>],
    pub(super) io: Io<'a>,
}

impl World {
    /// The hub, what its calls are given to speak through, and what else is lent.
    pub(super) fn parts<'a>(&'a mut self, out: &'a mut Outbox) -> Parts<'a> {
        let Self {
            hub,
            desk,
            dialects,
            random,
            writer,
            hang_ups,
            meter,
            facts,
            store,
            remembered,
            apps,
            notes,
            ..
        } = self;
        let io = Io {
            out,
            dialects,
            random,
            writer,
            hang_ups,
            facts,
            meter,
            store,
            remembered,
        };
        Parts {
            hub,
            desk,
            apps,
            notes,
            io,
        }
    }

    /// Calls into a dialect on behalf of `conn`.
    pub(super) fn with<R>(
        &mut self,
        dialect: usize,
        conn: ConnId,
        from: Origin,
        turn: &mut Turn<'_>,
        call: impl FnOnce(&dyn Dialect, &mut Ctx<'_>) -> R,
    ) -> Option<R> {
        let now = turn.now;
        let takes_jobs = self.jobs.has_room();
        let parts = self.parts(turn.out);
        let chosen = parts.io.dialects.get(dialect)?;
        let mut ctx = Ctx {
            hub: parts.hub,
            io: parts.io,
            conn,
            from,
            app: chosen.app(),
            now,
            apps: parts.apps,
            notes: &mut **parts.notes.get_mut(dialect)?,
            waits_for: None,
            desk: parts.desk,
            takes_jobs,
            talk: Bucket::new(),
            asked_unix_s: now.unix_seconds(),
        };
        let result = call(&**chosen, &mut ctx);
        self.keep_up();
        Some(result)
    }

    /// What the dialects say of their apps.
    pub(super) fn learn_rules(&mut self) {
        let rules = self.dialects.iter().flat_map(|dialect| dialect.rules());
        let mut rules: BTreeMap<AppId, AppRules> = rules.collect();
        // Whoever keeps an app need not be the one who says what its channels are.
        for app in self
            .dialects
            .iter()
            .filter_map(|dialect| dialect.remembers())
        {
            rules.entry(app).or_default().remembers = true;
        }
        for (app, rules) in rules {
            self.hub.set_rules(app, rules);
        }
    }

    /// What a call into a dialect or the hub has left behind: changes to be stored, apps to be told.
    #[inline]
    pub(super) fn keep_up(&mut self) {
        if !self.remembered.is_empty() {
            self.store_remembered();
        }
        if self.apps.has_changed() {
            self.tell_apps();
        }
    }

    /// Calls into the hub on nobody's behalf.
    pub(super) fn hub_with<R>(
        &mut self,
        turn: &mut Turn<'_>,
        call: impl FnOnce(&mut Hub, &mut Io<'_>) -> R,
    ) -> R {
        let mut parts = self.parts(turn.out);
        let result = call(parts.hub, &mut parts.io);
        self.keep_up();
        result
    }
}
