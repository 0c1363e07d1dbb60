//! The apps.

use super::Memory;
use crate::side::store::storage::merge;
use crate::store::{Answer, AppFields, AppRecord, AppRow, Field, NewApp};

impl Memory {
    fn next_app(&self) -> AppRow {
        // Apps are never removed.
        AppRow(self.apps.last_key_value().map_or(0, |(row, _)| row.0) + 1)
    }

    /// Whether another app than `but` has this name.
    fn is_named(&self, name: &str, but: Option<AppRow>) -> bool {
        let mut others = self.apps.values().filter(|app| Some(app.row) != but);
        others.any(|app| app.fields.name.value().is_some_and(|n| &**n == name))
    }

    pub(super) fn create_app(&mut self, new: &NewApp) -> Answer {
        let mut apps = self.apps.values();
        let is_known =
            apps.any(|app| app.ident == new.ident || (app.key == new.key && !app.key.is_empty()));
        if is_known || self.is_named(&new.name, None) {
            return Answer::Duplicate;
        }
        let row = self.next_app();
        let app = AppRecord {
            row,
            ident: new.ident.clone(),
            key: new.key.clone(),
            secret: new.secret.clone(),
            protocols: new.protocols,
            is_of_settings: false,
            fields: AppFields {
                name: Field::Is(new.name.clone()),
                enabled: Field::Is(true),
                meta: Field::Is("{}".into()),
                apn_sandbox: Field::Is(false),
                ..AppFields::default()
            },
            created_s: new.unix_s,
            modified_s: new.unix_s,
            sessions_from_s: 0,
        };
        self.apps.insert(row, app);
        self.update_app(row, &new.more, new.unix_s)
    }

    pub(super) fn update_app(&mut self, row: AppRow, fields: &AppFields, unix_s: u64) -> Answer {
        let name = fields.name.value();
        let is_taken = name.is_some_and(|name| self.is_named(name, Some(row)));
        match self.apps.get_mut(&row) {
            Some(app) if !is_taken => {
                merge(&mut app.fields, fields);
                app.modified_s = unix_s;
                Answer::App(Box::new(app.clone()))
            }
            Some(_) => Answer::Duplicate,
            None => Answer::Nothing,
        }
    }

    pub(super) fn adopt_app(&mut self, ident: &str, unix_s: u64) -> AppRow {
        let mut apps = self.apps.values();
        if let Some(app) = apps.find(|app| &*app.ident == ident) {
            return app.row;
        }
        let row = self.next_app();
        let app = AppRecord {
            row,
            ident: ident.into(),
            key: "".into(),
            secret: "".into(),
            protocols: 0,
            is_of_settings: true,
            fields: AppFields::default(),
            created_s: unix_s,
            modified_s: unix_s,
            sessions_from_s: 0,
        };
        self.apps.insert(row, app);
        row
    }
}
