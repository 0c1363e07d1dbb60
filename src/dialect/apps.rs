//! The apps of the store, and the numbers by which the hub knows them.
//!
//! Apps of the settings have numbers of their own, counted up from one; those of the store are
//! counted down from the other end, so that neither has to ask the other.

use crate::hub::AppId;
use crate::store::{AppRecord, AppRow};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The lowest number that an app of the store may have.
const LOWEST: u16 = u16::MAX / 2 + 1;

/// An app of the store, and its number in the hub.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownApp {
    /// Its number in the hub.
    pub app: AppId,
    /// What is stored of it.
    pub record: AppRecord,
}

/// All of them. The engine owns it and lends it with [`Ctx`](super::Ctx).
#[derive(Debug, Default)]
pub struct Apps {
    known: BTreeMap<AppId, Rc<KnownApp>>,
    by_row: BTreeMap<AppRow, AppId>,
    /// Apps of the settings by the ids that they have there.
    of_settings: BTreeMap<Box<str>, AppId>,
    /// How many numbers are taken.
    taken: u16,
    /// Those that dialects have not been told of.
    changed: Vec<AppId>,
}

impl Apps {
    /// These apps of the settings need rows. Those that have none yet are returned.
    pub(crate) fn expect<'a>(
        &mut self,
        apps: impl Iterator<Item = (AppId, &'a str)>,
    ) -> Vec<Box<str>> {
        for (app, ident) in apps {
            self.of_settings.insert(Box::from(ident), app);
        }
        let rowless = self.of_settings.iter();
        let rowless = rowless.filter(|(_, app)| !self.known.contains_key(app));
        rowless.map(|(ident, _)| ident.clone()).collect()
    }

    /// The app of the settings that has this id there.
    pub fn of_settings(&self, ident: &str) -> Option<&Rc<KnownApp>> {
        self.known.get(self.of_settings.get(ident)?)
    }

    /// Takes in what is stored of an app. None is returned if there is no number for it.
    pub fn learn(&mut self, mut record: AppRecord) -> Option<AppId> {
        // One of the store that is in the settings by now is the one of the settings.
        let of_settings = self.of_settings.get(&record.ident).copied();
        record.is_of_settings |= of_settings.is_some();
        let known = of_settings.or_else(|| self.by_row.get(&record.row).copied());
        let app = match known {
            Some(app) => app,
            None if record.is_of_settings => return None,
            None => {
                let app = u16::MAX - self.taken;
                if app < LOWEST {
                    return None;
                }
                self.taken += 1;
                AppId(app)
            }
        };
        let is_same = self
            .known
            .get(&app)
            .is_some_and(|known| known.record == record);
        if !is_same {
            self.by_row.insert(record.row, app);
            self.known.insert(app, Rc::new(KnownApp { app, record }));
            self.changed.push(app);
        }
        Some(app)
    }

    /// What is known of an app.
    pub fn get(&self, app: AppId) -> Option<&Rc<KnownApp>> {
        self.known.get(&app)
    }

    /// The number under which things of an app are stored.
    pub fn row(&self, app: AppId) -> Option<AppRow> {
        Some(self.known.get(&app)?.record.row)
    }

    /// The app of a row.
    pub fn of_row(&self, row: AppRow) -> Option<AppId> {
        self.by_row.get(&row).copied()
    }

    /// Whether there is no number for one more.
    pub fn is_full(&self) -> bool {
        u16::MAX - self.taken < LOWEST
    }

    /// How many there are beside those of the settings.
    pub fn len(&self) -> usize {
        usize::from(self.taken)
    }

    /// Whether there is none but those of the settings.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<KnownApp>> {
        self.known.values()
    }

    /// Whether there are any that dialects have to be told of.
    pub(crate) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Those that dialects have to be told of.
    pub(crate) fn take_changed(&mut self) -> Vec<Rc<KnownApp>> {
        let changed = std::mem::take(&mut self.changed);
        let known = changed.iter().filter_map(|app| self.known.get(app));
        known.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::AppFields;

    fn record(row: u32, ident: &str, is_of_settings: bool) -> AppRecord {
        AppRecord {
            row: AppRow(row),
            ident: ident.into(),
            key: "key".into(),
            secret: "secret".into(),
            protocols: 1,
            is_of_settings,
            fields: AppFields::default(),
            created_s: 1,
            modified_s: 1,
            sessions_from_s: 0,
        }
    }

    #[test]
    fn apps_of_the_store_are_numbered_down_and_those_of_the_settings_keep_theirs() {
        let mut apps = Apps::default();
        let settings = [(AppId(1), "one"), (AppId(2), "two")];
        assert_eq!(apps.expect(settings.into_iter()).len(), 2);
        assert_eq!(apps.learn(record(7, "one", true)), Some(AppId(1)));
        assert_eq!(apps.learn(record(8, "x", false)), Some(AppId(u16::MAX)));
        assert_eq!(apps.learn(record(9, "y", false)), Some(AppId(u16::MAX - 1)));
        // The same again, and one that the settings do not name any more.
        assert_eq!(apps.learn(record(8, "x", false)), Some(AppId(u16::MAX)));
        assert_eq!(apps.learn(record(10, "gone", true)), None);
        assert_eq!(apps.len(), 2);
        assert_eq!(apps.row(AppId(1)), Some(AppRow(7)));
        assert_eq!(apps.of_row(AppRow(9)), Some(AppId(u16::MAX - 1)));
        assert_eq!(apps.row(AppId(2)), None);
        let rowless = apps.expect(settings.into_iter());
        assert_eq!(rowless, [Box::from("two")]);
    }

    #[test]
    fn an_app_of_the_store_that_is_in_the_settings_is_that_of_the_settings() {
        let mut apps = Apps::default();
        let _ = apps.expect([(AppId(1), "one")].into_iter());
        assert_eq!(apps.learn(record(3, "one", false)), Some(AppId(1)));
        assert!(
            apps.get(AppId(1))
                .is_some_and(|app| app.record.is_of_settings)
        );
        assert!(apps.is_empty());
    }

    #[test]
    fn dialects_are_told_of_what_changed_and_of_nothing_else() {
        let mut apps = Apps::default();
        apps.learn(record(1, "one", false));
        apps.learn(record(2, "two", false));
        let told = apps.take_changed();
        let rows: Vec<u32> = told.iter().map(|known| known.record.row.0).collect();
        assert_eq!(rows, [1, 2]);
        apps.learn(record(1, "one", false));
        assert!(!apps.has_changed(), "it is the same");
        let mut other = record(2, "two", false);
        other.secret = "another".into();
        apps.learn(other);
        let told = apps.take_changed();
        assert_eq!(told.len(), 1);
        assert_eq!(&*told[0].record.secret, "another");
    }

    #[test]
    fn numbers_for_apps_of_the_store_run_out_before_they_meet_the_others() {
        let mut apps = Apps::default();
        let many = u32::from(u16::MAX - LOWEST) + 1;
        for row in 0..many {
            assert!(!apps.is_full());
            let known = apps.learn(record(row, &row.to_string(), false));
            assert!(known.is_some_and(|app| app.0 >= LOWEST));
        }
        assert!(apps.is_full());
        assert_eq!(apps.learn(record(many, "one more", false)), None);
        assert_eq!(apps.learn(record(0, "0", false)), Some(AppId(u16::MAX)));
    }
}
