//! What the apps mean, each by itself, together, and to the protocols that share them.

use super::{MISSING, Report, no_origin};
use crate::limits::PUSHI_KEY_DIGITS;
use crate::options::app::{App, DEV_SECRET, Protocol};
use crate::options::config::Config;
use crate::options::table::apps::APP_OPTIONS;

/// Checks everything about apps.
pub(super) fn apps(config: &Config, dev: bool, report: &mut Report) {
    path_prefix(&config.pusher.path_prefix, report);
    let default = App::default();
    for (number, app) in config.apps.iter().enumerate() {
        let mut one = One { number, report };
        one.credentials(app, dev);
        one.limits(app, &default);
        one.origins(app);
        one.protocols(app, config);
        let before = config.apps.get(..number).unwrap_or_default();
        one.twins(app, before);
    }
    bridge(config, report);
    if config.apps.iter().any(|app| !app.webhooks.is_empty()) {
        // Once, however many there are.
        let number = config.apps.iter().position(|app| !app.webhooks.is_empty());
        let key = format!("app.{}.webhooks", number.unwrap_or_default());
        report.warning(&key, "accepted and checked, but webhooks are not sent yet");
    }
}

fn path_prefix(prefix: &str, report: &mut Report) {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%');
    let is_path = prefix.starts_with('/')
        && !prefix.ends_with('/')
        && !prefix.contains("//")
        && prefix.bytes().all(is_plain);
    if !prefix.is_empty() && !is_path {
        let message = format!(
            "expected a path such as \"/ws\", with a slash at the start and none at the end; \
             found {prefix:?}"
        );
        report.error("pusher.path_prefix", message);
    }
}

/// Whose channels Channelstream shares.
fn bridge(config: &Config, report: &mut Report) {
    const KEY: &str = "channelstream.app";
    let id = &config.channelstream.app;
    if id.is_empty() {
        return;
    }
    let Some(app) = config.app(id) else {
        let ids: Vec<String> = config
            .apps
            .iter()
            .map(|app| format!("{:?}", app.id))
            .collect();
        let there = match ids.as_slice() {
            [] => "there are no apps".to_owned(),
            ids => format!("there are {}", ids.join(", ")),
        };
        report.error(KEY, format!("no [[app]] has the id {id:?}; {there}"));
        return;
    };
    if !app.allows(Protocol::Channelstream) {
        let message = format!("the protocols of app {id:?} do not have \"channelstream\"");
        report.error(KEY, message);
    }
    if !app.enabled {
        let message = format!(
            "app {id:?} is not enabled, which closes it to Pusher only; see channelstream.enabled"
        );
        report.warning(KEY, message);
    }
}

/// One app under examination.
struct One<'r> {
    number: usize,
    report: &'r mut Report,
}

impl One<'_> {
    fn key(&self, name: &str) -> String {
        format!("app.{}.{name}", self.number)
    }

    fn error(&mut self, name: &str, message: impl Into<String>) {
        let key = self.key(name);
        self.report.error(&key, message);
    }

    fn warning(&mut self, name: &str, message: impl Into<String>) {
        let key = self.key(name);
        self.report.warning(&key, message);
    }

    fn credentials(&mut self, app: &App, dev: bool) {
        if app.id.is_empty() {
            self.error("id", format!("{MISSING}; expected digits such as \"1001\""));
        } else if !is_name(&app.id) {
            let message = format!(
                "expected letters and digits, none of / ? # : % and no spaces; found {:?}",
                app.id
            );
            self.error("id", message);
        } else if app.allows(Protocol::Pusher) && !app.id.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!(
                "{:?} is not digits only, which Pusher's SDK for Python insists on",
                app.id
            );
            self.warning("id", message);
        }
        if app.key.is_empty() {
            self.error(
                "key",
                format!("{MISSING}; expected what browsers call the app"),
            );
        } else if !is_name(&app.key) {
            let message = format!(
                "expected visible ASCII without / ? # : and %, as it stands in addresses and in \
                 front of signatures; found {:?}",
                app.key
            );
            self.error("key", message);
        } else if app.allows(Protocol::Pushi) && !is_pushi_key(&app.key) {
            let message = format!(
                "expected {PUSHI_KEY_DIGITS} hex digits (0-9, a-f), by which addresses of Pushi are \
                 told from others; found {:?}",
                app.key
            );
            self.error("key", message);
        }
        match app.secret.expose() {
            "" => self.error(
                "secret",
                format!("{MISSING}; anybody could sign without one"),
            ),
            DEV_SECRET if !dev => {
                let message = "that of fanwire dev, which everybody knows; choose your own";
                self.warning("secret", message);
            }
            _ => {}
        }
    }

    fn limits(&mut self, app: &App, default: &App) {
        for opt in APP_OPTIONS {
            if opt.is_unlimited(app) && !opt.is_unlimited(default) {
                self.warning(opt.name, "none: one peer can use up the server");
            }
        }
        if app.event_bytes > app.message_bytes {
            let message = "larger than message_bytes: sockets cannot send such an event";
            self.warning("event_bytes", message);
        }
    }

    fn origins(&mut self, app: &App) {
        for origin in &app.origins {
            if let Some(message) = no_origin(origin) {
                self.error("origins", message);
            }
        }
    }

    fn protocols(&mut self, app: &App, config: &Config) {
        const KEY: &str = "protocols";
        if app.protocols.is_empty() {
            self.warning(KEY, "empty: nobody can use the app");
        }
        if app.allows(Protocol::Pushi) && !config.pushi.enabled {
            self.warning(KEY, "\"pushi\" does nothing, as pushi.enabled is false");
        }
        if app.allows(Protocol::Channelstream) && config.channelstream.app != app.id {
            let message = "\"channelstream\" does nothing unless channelstream.app names the app";
            self.warning(KEY, message);
        }
        if app.allows(Protocol::Pusher) && !config.pusher.enabled {
            self.warning(KEY, "\"pusher\" does nothing, as pusher.enabled is false");
        }
    }

    /// What must be its own and is an earlier app's, too.
    fn twins(&mut self, app: &App, before: &[App]) {
        let twin = |mine: &str, of: fn(&App) -> &str| {
            let found = before.iter().position(|other| of(other) == mine);
            found.filter(|_| !mine.is_empty())
        };
        let (id, key) = (twin(&app.id, |a| &a.id), twin(&app.key, |a| &a.key));
        if let Some(other) = id {
            let message = format!("{:?} is the id of app.{other}, too", app.id);
            self.error("id", message);
        }
        if let Some(other) = key {
            let message = format!("{:?} is the key of app.{other}, too", app.key);
            self.error("key", message);
        }
    }
}

/// Whether addresses of Pushi can end in this key.
fn is_pushi_key(key: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    key.len() == PUSHI_KEY_DIGITS && key.bytes().all(is_digit)
}

/// Whether a text can stand in a path as it is, and in front of a colon.
fn is_name(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b':' | b'%');
    text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::super::{Severity, check};
    use super::*;
    use crate::options::{Secret, UNLIMITED, UNLIMITED_U32, Webhook, WebhookEvent};

    /// Two apps that there is nothing to say about.
    fn quiet() -> Config {
        let app = |id: &str| App {
            id: id.to_owned(),
            key: format!("key-{id}"),
            secret: Secret::from("own"),
            ..App::default()
        };
        let mut config = Config {
            apps: vec![app("1"), app("2")],
            ..Config::default()
        };
        config.channelstream.secret = Secret::from("x");
        config.channelstream.admin_secret = Secret::from("y");
        config
    }

    /// A change to [`quiet`], how bad it is, the key named, and a piece of the message.
    type Case = (fn(&mut Config), Severity, &'static str, &'static str);

    const CASES: &[Case] = {
        use Severity::{Error, Warning};
        &[
            (|c| c.apps[0].id.clear(), Error, "app.0.id", MISSING),
            (|c| c.apps[1].key.clear(), Error, "app.1.key", MISSING),
            (
                |c| c.apps[0].secret = "".into(),
                Error,
                "app.0.secret",
                MISSING,
            ),
            (
                |c| c.apps[0].id = "a/b".into(),
                Error,
                "app.0.id",
                "found \"a/b\"",
            ),
            (
                |c| c.apps[0].id = "shop".into(),
                Warning,
                "app.0.id",
                "Python",
            ),
            (
                |c| c.apps[0].id = "-1".into(),
                Warning,
                "app.0.id",
                "Python",
            ),
            (
                |c| c.apps[0].key = "a/b".into(),
                Error,
                "app.0.key",
                "found",
            ),
            (
                |c| c.apps[0].key = "a?b".into(),
                Error,
                "app.0.key",
                "found",
            ),
            (
                |c| c.apps[0].key = "a#b".into(),
                Error,
                "app.0.key",
                "found",
            ),
            (
                |c| c.apps[0].key = "a:b".into(),
                Error,
                "app.0.key",
                "found",
            ),
            (
                |c| c.apps[0].key = "a b".into(),
                Error,
                "app.0.key",
                "found",
            ),
            (|c| c.apps[0].key = "é".into(), Error, "app.0.key", "found"),
            (
                |c| c.apps[1].id = "1".into(),
                Error,
                "app.1.id",
                "id of app.0",
            ),
            (
                |c| c.apps[1].key = "key-1".into(),
                Error,
                "app.1.key",
                "key of app.0",
            ),
            (
                |c| c.apps[1].secret = "dev-secret".into(),
                Warning,
                "app.1.secret",
                "everybody knows",
            ),
            (
                |c| c.apps[1].presence_members = UNLIMITED,
                Warning,
                "app.1.presence_members",
                "none",
            ),
            (
                |c| c.apps[1].client_events_per_second = UNLIMITED_U32,
                Warning,
                "app.1.client_events_per_second",
                "none",
            ),
            (
                |c| c.apps[1].message_bytes = 10_000,
                Warning,
                "app.1.event_bytes",
                "message_bytes",
            ),
            (
                |c| c.apps[1].origins = vec!["https://a".into(), "https://a/".into()],
                Error,
                "app.1.origins",
                "\"https://a/\"",
            ),
            (
                |c| c.apps[1].origins = vec!["example.com".into()],
                Error,
                "app.1.origins",
                "no origin",
            ),
            (
                |c| c.apps[1].protocols = vec![],
                Warning,
                "app.1.protocols",
                "nobody",
            ),
            (
                |c| c.apps[1].protocols.push(Protocol::Pushi),
                Error,
                "app.1.key",
                "64 hex digits (0-9, a-f), by which addresses of Pushi are told from others; \
                 found \"key-2\"",
            ),
            (
                |c| {
                    c.apps[1].protocols = vec![Protocol::Pushi];
                    c.apps[1].key = "0123456789ABCDEF".repeat(4);
                },
                Error,
                "app.1.key",
                "64 hex digits",
            ),
            (
                |c| {
                    c.pushi.enabled = false;
                    c.apps[1].protocols = vec![Protocol::Pushi];
                    c.apps[1].key = "0123456789abcdef".repeat(4);
                },
                Warning,
                "app.1.protocols",
                "pushi.enabled is false",
            ),
            (
                |c| c.apps[1].protocols.push(Protocol::Channelstream),
                Warning,
                "app.1.protocols",
                "names the app",
            ),
            (
                |c| c.pusher.enabled = false,
                Warning,
                "app.0.protocols",
                "pusher.enabled",
            ),
            (
                |c| c.pusher.path_prefix = "ws".into(),
                Error,
                "pusher.path_prefix",
                "\"ws\"",
            ),
            (
                |c| c.pusher.path_prefix = "/ws/".into(),
                Error,
                "pusher.path_prefix",
                "none at the end",
            ),
            (
                |c| c.pusher.path_prefix = "/".into(),
                Error,
                "pusher.path_prefix",
                "none at the end",
            ),
            (
                |c| c.pusher.path_prefix = "/a?b".into(),
                Error,
                "pusher.path_prefix",
                "a path",
            ),
            (
                |c| c.channelstream.app = "3".into(),
                Error,
                "channelstream.app",
                "there are \"1\", \"2\"",
            ),
            (
                |c| {
                    c.apps.clear();
                    c.channelstream.app = "3".into();
                },
                Error,
                "channelstream.app",
                "there are no apps",
            ),
            (
                |c| c.channelstream.app = "2".into(),
                Error,
                "channelstream.app",
                "do not have \"channelstream\"",
            ),
            (
                |c| {
                    c.channelstream.app = "2".into();
                    c.apps[1].protocols = vec![Protocol::Channelstream];
                    c.apps[1].enabled = false;
                },
                Warning,
                "channelstream.app",
                "not enabled",
            ),
            (
                |c| {
                    for app in &mut c.apps {
                        app.webhooks = vec![Webhook {
                            url: "http://a".to_owned(),
                            events: vec![WebhookEvent::CacheMiss],
                        }];
                    }
                },
                Warning,
                "app.0.webhooks",
                "not sent",
            ),
        ]
    };

    /// What `check` says, but for what is only good to know.
    fn told(config: &Config, dev: bool) -> Vec<(Severity, String, String)> {
        let all = check(config, dev).into_iter();
        let told = all.filter(|problem| problem.severity != Severity::Note);
        told.map(|p| (p.severity, p.key, p.message)).collect()
    }

    #[test]
    fn each_mistake_is_reported_once_and_nothing_else() {
        assert_eq!(told(&quiet(), false), []);
        for (place, (change, severity, key, piece)) in CASES.iter().enumerate() {
            let mut config = quiet();
            change(&mut config);
            let told = told(&config, false);
            let is_it = |(s, k, m): &&(Severity, String, String)| {
                s == severity && k == key && m.contains(piece)
            };
            assert_eq!(told.iter().filter(is_it).count(), 1, "{place}: {told:?}");
            // Switching Pusher off concerns both apps.
            let expected = if config.pusher.enabled { 1 } else { 2 };
            assert_eq!(told.len(), expected, "case {place}: {told:?}");
        }
    }

    #[test]
    fn an_app_of_pushi_alone_may_have_any_id() {
        let mut config = quiet();
        config.apps[1].protocols = vec![Protocol::Pushi];
        config.apps[1].id = "shop".to_owned();
        config.apps[1].key = "0123456789abcdef".repeat(4);
        assert_eq!(told(&config, false), []);
    }

    #[test]
    fn a_bridge_that_both_sides_want_is_fine() {
        let mut config = quiet();
        config.channelstream.app = "2".to_owned();
        config.apps[1].protocols = vec![Protocol::Pusher, Protocol::Channelstream];
        config.pusher.path_prefix = "/ws/v1".to_owned();
        config.apps[0].origins = vec!["https://example.com:8443".to_owned()];
        assert_eq!(told(&config, false), []);
    }

    #[test]
    fn two_apps_that_lack_something_are_no_twins() {
        let mut config = quiet();
        for app in &mut config.apps {
            app.id.clear();
        }
        let told = told(&config, false);
        assert!(told.iter().all(|(_, _, m)| m.contains(MISSING)), "{told:?}");
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn the_app_of_development_is_fine_in_development() {
        let mut config = quiet();
        config.apps = vec![App::dev()];
        config.channelstream.app = "1".to_owned();
        assert_eq!(told(&config, true), []);
        assert_eq!(
            told(&config, false).len(),
            1,
            "elsewhere its secret is none"
        );
    }
}
