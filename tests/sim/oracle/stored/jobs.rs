//! Whether a job is the one that was to be handed over.

use super::super::{Oracle, answers};
use super::{Ask, Own};
use fanwire::store::{Job, Question, Task, Write};
use serde_json::{Value, json};

impl Oracle {
    pub(super) fn compare_job(&mut self, app: usize, own: &mut Own, job: &Job) {
        let row = self.pushi.apps.get(app).map_or(0, |app| app.row);
        let fits = match (&mut *own, &job.what) {
            (Own::Publish(own), Task::Write(Write::Publish(publish))) => {
                let text: Value = serde_json::from_str(&format!("{{{}}}", publish.extra))
                    .expect("members of an object");
                let mut are_same = own.channels.len() == publish.channels.len();
                for ((name, placeholder), (got, mid)) in own.channels.iter().zip(&publish.channels)
                {
                    assert!(self.stored.mids.insert(*mid), "no id comes twice");
                    are_same &= *name == **got && self.binds(placeholder, *mid);
                }
                let owner = match (&own.owner, publish.owner) {
                    (Some(own), Some(got)) => self.binds(own, got),
                    (own, got) => own.is_none() && got.is_none(),
                };
                are_same
                    && owner
                    && publish.app.0 == row
                    && publish.is_last
                    && publish.micros == own.micros
                    && *publish.name == *own.name
                    && *publish.data == *own.data
                    && text == Value::Object(own.extra.clone())
                    && job.ticket.is_none()
            }
            (
                Own::Put {
                    kind,
                    target,
                    channel,
                    replaces,
                    unix_s: at,
                },
                Task::Write(Write::PutRecord {
                    app,
                    record,
                    replaces_oldest,
                    unix_s,
                }),
            ) => {
                app.0 == row
                    && record.kind == *kind
                    && *record.target == **target
                    && *record.channel == **channel
                    && replaces == replaces_oldest
                    && at == unix_s
            }
            (
                Own::Delete {
                    kind,
                    target,
                    channel,
                },
                Task::Write(Write::DeleteRecords {
                    app,
                    kind: of,
                    target: from,
                    channel: on,
                }),
            ) => {
                app.0 == row
                    && kind == of
                    && **target == **from
                    && channel.as_deref() == on.as_deref()
            }
            (Own::EndSession(_), Task::Write(Write::EndSession { app, .. })) => {
                app.0 == row && job.ticket.is_none()
            }
            (
                Own::NewApp {
                    name,
                    unix_s: at,
                    credentials,
                },
                Task::Write(Write::CreateApp(new)),
            ) => {
                *credentials = [&new.ident, &new.key, &new.secret].map(|text| text.to_string());
                let is_hex = |text: &String| text.len() == 64;
                credentials.iter().all(is_hex) && **name == *new.name && *at == new.unix_s
            }
            (Own::Update { unix_s: at, .. }, Task::Write(Write::UpdateApp { app, unix_s, .. })) => {
                app.0 == row && at == unix_s
            }
            (Own::Ask(ask), Task::Ask(question)) => ask.is(row, question),
            _ => false,
        };
        assert!(fits, "the store is asked for {:?}, not {own:?}", job.what);
    }

    /// Whether an id is what a placeholder stands for, from now on if not before.
    fn binds(&mut self, placeholder: &str, id: u128) -> bool {
        let mut text = Vec::new();
        fanwire::dialect::pushi::names::push_uuid(&mut text, id);
        let text = String::from_utf8(text).expect("digits and hyphens");
        answers::same(&json!(placeholder), &json!(text), &mut self.bound)
    }
}

impl Ask {
    pub(super) fn is(&self, row: u32, question: &Question) -> bool {
        match (self, question) {
            (
                Self::Latest {
                    channel,
                    skip,
                    count,
                },
                Question::Latest {
                    app,
                    channel: of,
                    skip: over,
                    count: most,
                },
            ) => {
                app.0 == row
                    && channel.as_deref() == of.as_deref()
                    && *skip as u64 == *over
                    && (*count as u64 == *most || *count == 0)
            }
            (
                Self::Personal { user, skip, count },
                Question::Personal {
                    app,
                    user: of,
                    skip: over,
                    count: most,
                },
            ) => {
                app.0 == row
                    && **user == **of
                    && *skip as u64 == *over
                    && (*count as u64 == *most || *count == 0)
            }
            (
                Self::Records {
                    kind,
                    target,
                    channel,
                },
                Question::Records {
                    app,
                    kind: of,
                    target: from,
                    channel: on,
                },
            ) => {
                app.0 == row
                    && kind == of
                    && target.as_deref() == from.as_deref()
                    && channel.as_deref() == on.as_deref()
            }
            (Self::Counts, Question::Counts) => true,
            _ => false,
        }
    }
}
