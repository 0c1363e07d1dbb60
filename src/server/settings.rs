//! From checked settings to a server: which option goes where.

use super::{AppIds, Builder, MakeDialect};
use crate::dialect::Pace;
use crate::dialect::channelstream::access::Scheme;
use crate::dialect::channelstream::{self, Channelstream};
use crate::dialect::pusher::{self, Pusher};
use crate::dialect::pushi::config::Mail;
use crate::dialect::pushi::{self, Pushi};
use crate::engine::{AdminAccess, DevPage, EngineConfig};
use crate::hub::{AppId, HubConfig};
use crate::limits::CS_POLL_FRAMES_MAX;
use crate::options::{self, Config, ListenAddr, Protocol};
use crate::reactor::{CertId, Listen, ReactorOptions};
use crate::transport::http::HttpLimits;
use crate::transport::websocket::WsLimits;

impl Builder {
    /// A server with these settings. Certificates are read by the caller and given with
    /// `Builder::tls` (feature `tls`), each under its [`cert_id`]; `ids` are kept for reloads; `dev` is what `fanwire dev`
    /// adds.
    pub fn from_config(config: &Config, ids: &AppIds, dev: Option<DevPage>) -> Self {
        let mut builder = Self::new()
            .engine(engine_config(config, ids, dev))
            .reactor(reactor_options(config))
            .drain_ms(config.timeouts.drain_ms);
        for (place, at) in config.listen.iter().enumerate() {
            builder = builder.listen(match at {
                ListenAddr::Tcp(address) => Listen::Tcp(*address),
                ListenAddr::Tls(address) => Listen::Tls(*address, cert_id(place)),
                ListenAddr::Unix(path) => Listen::Unix(path.clone()),
            });
        }
        for make in dialects(config, ids) {
            builder = builder.dialect(make);
        }
        builder
    }
}

/// Which certificate the address at this place of `listen` shows: each has a number of its own, so
/// that after a reload two that had the same one may have different ones.
pub fn cert_id(place: usize) -> CertId {
    // A process cannot listen at more addresses than that.
    CertId(u16::try_from(place).unwrap_or(u16::MAX))
}

/// What makes the dialects that these settings switch on. `ids` have learned the settings' apps.
pub fn dialects(config: &Config, ids: &AppIds) -> Vec<MakeDialect> {
    let mut dialects: Vec<MakeDialect> = Vec::new();
    if config.pusher.enabled {
        let settings = pusher_config(config, ids);
        dialects.push(Box::new(move || Box::new(Pusher::new(settings.clone()))));
    }
    if config.pushi.enabled {
        let settings = pushi_config(config, ids);
        dialects.push(Box::new(move || Box::new(Pushi::new(settings.clone()))));
    }
    // What is nobody's is its own.
    if config.channelstream.enabled {
        let settings = channelstream_config(config, ids);
        dialects.push(Box::new(move || {
            Box::new(Channelstream::new(settings.clone()))
        }));
    }
    dialects
}

/// Channelstream's part of the settings.
pub fn channelstream_config(config: &Config, ids: &AppIds) -> channelstream::Config {
    let settings = &config.channelstream;
    let login = config.admin_login();
    channelstream::Config {
        app: ids.of_channelstream(config),
        secret: settings.secret.expose().to_owned(),
        allow_posting_from: settings.allow_posting_from.clone(),
        allow_cors: settings.allow_cors.clone(),
        validate_requests: settings.validate_requests,
        enforce_https: settings.enforce_https,
        http_scheme: settings.http_scheme.map(|scheme| match scheme {
            options::Scheme::Http => Scheme::Http,
            options::Scheme::Https => Scheme::Https,
        }),
        trusted_proxies: config.trusted_proxies.clone(),
        admin_user: login.map_or_else(String::new, |(user, _)| user.to_owned()),
        admin_secret: login.map_or_else(String::new, |(_, secret)| secret.expose().to_owned()),
        cookie_secret: settings.cookie_secret.expose().to_owned(),
        heartbeat_ms: config.timeouts.channelstream_heartbeat_ms,
        expire_ms: config.timeouts.channelstream_expire_ms,
        return_ms: config.timeouts.channelstream_return_ms,
        poll: Pace {
            wake_ms: config.timeouts.channelstream_poll_ms,
            gather_ms: config.timeouts.channelstream_poll_gather_ms,
            longest_ms: config.timeouts.channelstream_poll_longest_ms,
            frames: CS_POLL_FRAMES_MAX,
        },
        stream_grace_ms: config.timeouts.channelstream_stream_grace_ms,
        persist: settings.persist,
    }
}

/// Pusher's part of the settings: the apps that it may use. An app that `ids` have not learned has
/// no world to live in and is left out.
pub fn pusher_config(config: &Config, ids: &AppIds) -> pusher::config::Config {
    let apps = config.apps.iter();
    let open = apps.filter(|app| app.allows(Protocol::Pusher));
    pusher::config::Config {
        path_prefix: config.pusher.path_prefix.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        apps: open
            .filter_map(|app| {
                let mut made = pusher_app(app, ids.get(&app.id)?);
                made.is_shared = config.channelstream.enabled && config.channelstream.app == app.id;
                if config.pushi.enabled && app.allows(Protocol::Pushi) {
                    made.closed = &pushi::names::OF_USERS;
                }
                Some(made)
            })
            .collect(),
    }
}

/// Pushi's part of the settings: the apps of the file that it may use. Those of the store it learns
/// of when that is opened.
pub fn pushi_config(config: &Config, ids: &AppIds) -> pushi::config::Config {
    let settings = &config.pushi;
    let apps = config.apps.iter();
    let open = apps.filter(|app| app.allows(Protocol::Pushi));
    pushi::config::Config {
        apps: open
            .filter_map(|app| {
                Some(pushi::config::App {
                    app: ids.get(&app.id)?,
                    ident: app.id.clone(),
                    key: app.key.clone(),
                    secret: app.secret.expose().to_owned(),
                    enabled: app.enabled,
                    is_shared: config.channelstream.enabled && config.channelstream.app == app.id,
                    is_pushers: config.pusher.enabled && app.allows(Protocol::Pusher),
                    origins: app.origins.clone(),
                })
            })
            .collect(),
        open_registration: settings.open_registration,
        registrations_per_minute: settings.registrations_per_minute,
        app_key_routes: settings.app_key_routes,
        origins: settings.origins.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        is_beside_pusher: config.pusher.enabled,
        owns_info: !config.channelstream.enabled,
        mail: Mail::of(config.deliveries.smtp_url.expose()),
    }
}

/// The apps of the settings that something is stored of, with the ids that they have in the store.
pub fn stored_apps(config: &Config, ids: &AppIds) -> Vec<(AppId, String)> {
    let channelstream = &config.channelstream;
    let persists = channelstream.enabled && channelstream.persist;
    let apps = config.apps.iter().filter(|app| {
        let is_pushis = config.pushi.enabled && app.allows(Protocol::Pushi);
        is_pushis || (persists && channelstream.app == app.id)
    });
    let stored = apps.filter_map(|app| Some((ids.get(&app.id)?, app.id.clone())));
    let mut stored: Vec<(AppId, String)> = stored.collect();
    if persists && channelstream.app.is_empty() {
        stored.push((AppId::FIRST, CHANNELSTREAM_IDENT.to_owned()));
    }
    stored
}

/// What Channelstream's own app is called in the store. No app of the settings has such an id.
const CHANNELSTREAM_IDENT: &str = "@channelstream";

fn pusher_app(app: &options::App, number: AppId) -> pusher::config::App {
    pusher::config::App {
        app: number,
        id: app.id.clone(),
        key: app.key.clone(),
        secret: app.secret.expose().to_owned(),
        is_shared: false,
        closed: &[],
        enabled: app.enabled,
        tls_only: app.tls_only,
        authorized_only: app.authorized_only,
        client_events: app.client_events,
        client_events_per_s: app.client_events_per_second,
        signin: app.user_authentication,
        watchlist: app.watchlist,
        watchlist_max: app.watchlist_max,
        subscription_count: app.subscription_count,
        activity_s: app.activity_timeout_s,
        origins: app.origins.clone(),
        connections_max: app.connections,
        message_bytes: app.message_bytes,
        event_bytes: app.event_bytes,
        channels_per_connection: app.channels_per_connection,
        channel_chars: app.channel_chars,
        channels_per_event: app.channels_per_event,
        batch_events: app.batch_events,
        members_max: app.presence_members,
        member_info_bytes: app.presence_info_bytes,
        cache_ms: app.cache_time_ms,
    }
}

/// Why a running server must not go from the `old` settings to the `new` ones, if there is a
/// reason: what stands in the way is named with its values.
pub fn why_restart(new: &Config, old: &Config) -> Option<String> {
    // Connections remember their protocol by its place among those that are served.
    for (name, new, old) in [
        (
            "channelstream",
            new.channelstream.enabled,
            old.channelstream.enabled,
        ),
        ("pusher", new.pusher.enabled, old.pusher.enabled),
        ("pushi", new.pushi.enabled, old.pushi.enabled),
    ] {
        if new != old {
            return Some(format!(
                "{name}.enabled: changing it from {old} to {new} needs a restart"
            ));
        }
    }
    let (new, old) = (&new.channelstream.app, &old.channelstream.app);
    // Its channels, users and connections are in the old world, and would not be found any more.
    (new != old)
        .then(|| format!("channelstream.app: changing it from {old:?} to {new:?} needs a restart"))
}

fn reactor_options(config: &Config) -> ReactorOptions {
    ReactorOptions {
        out_queue_bytes: config.limits.out_queue_bytes,
        connections_max: match config.limits.connections {
            0 => None,
            most => Some(most),
        },
        connections_per_address: config.limits.connections_per_address,
        write_stall_ms: config.timeouts.write_stall_ms,
        tls_handshake_ms: config.timeouts.tls_handshake_ms,
        busy_poll_ms: config.busy_poll_ms,
        ..ReactorOptions::default()
    }
}

/// The engine's part of the settings.
pub fn engine_config(config: &Config, ids: &AppIds, dev: Option<DevPage>) -> EngineConfig {
    let (limits, timeouts) = (&config.limits, &config.timeouts);
    let (user, password) = config
        .admin_login()
        .map_or((String::new(), String::new()), |(user, password)| {
            (user.to_owned(), password.expose().to_owned())
        });
    EngineConfig {
        http: HttpLimits {
            head_bytes: limits.head_bytes,
            head_count: limits.head_count,
            target_bytes: limits.target_bytes,
            body_bytes: limits.body_bytes,
        },
        websocket: WsLimits {
            message_bytes: limits.message_bytes,
            message_fragments: limits.message_fragments,
        },
        hub: HubConfig {
            channels_per_subscriber: limits.channels_per_subscriber,
            history_messages: limits.history_messages,
            history_bytes: limits.history_bytes,
            members_listed: limits.members_per_channel,
            user_forget_ms: timeouts.user_forget_ms,
            ..HubConfig::default()
        },
        head_ms: timeouts.head_ms,
        idle_ms: timeouts.idle_ms,
        body_stall_ms: timeouts.body_stall_ms,
        ws_close_ms: timeouts.websocket_close_ms,
        ws_ping_after_ms: timeouts.websocket_ping_ms,
        ws_pong_ms: timeouts.websocket_pong_ms,
        pings_per_s: limits.control_frames_per_second,
        messages_per_s: limits.messages_per_second,
        facts_kept: 0,
        stored_apps: stored_apps(config, ids),
        admin: AdminAccess {
            user,
            password,
            metrics_token: config.admin.metrics_token.expose().to_owned(),
            open_on_loopback: dev.is_some(),
        },
        dev,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{App, Secret};

    fn app(id: &str, protocols: &[Protocol]) -> App {
        App {
            protocols: protocols.to_vec(),
            id: id.to_owned(),
            key: format!("key-{id}"),
            secret: Secret::from("s"),
            ..App::default()
        }
    }

    fn config() -> Config {
        Config {
            apps: vec![
                app("1", &[Protocol::Channelstream]),
                app("2", &[Protocol::Pusher]),
                app("3", &[Protocol::Pushi]),
                app("4", &[Protocol::Pusher, Protocol::Channelstream]),
            ],
            ..Config::default()
        }
    }

    #[test]
    fn pusher_gets_the_apps_that_it_may_use() {
        let mut config = config();
        config.pusher.path_prefix = "/ws".to_owned();
        let ids = AppIds::of(&config);
        let pusher = pusher_config(&config, &ids);
        let apps: Vec<(u16, &str)> = pusher
            .apps
            .iter()
            .map(|app| (app.app.0, app.id.as_str()))
            .collect();
        assert_eq!(apps, [(2, "2"), (4, "4")]);
        assert_eq!(pusher.path_prefix, "/ws");
        assert_eq!(pusher_config(&config, &AppIds::default()).apps.len(), 0);
    }

    #[test]
    fn what_is_for_single_users_of_pushi_is_closed_where_pusher_is_beside_it() {
        let mut config = config();
        config
            .apps
            .push(app("5", &[Protocol::Pusher, Protocol::Pushi]));
        let closed = |config: &Config| {
            let pusher = pusher_config(config, &AppIds::of(config));
            let apps = pusher.apps.iter();
            apps.map(|app| app.closed.to_vec()).collect::<Vec<_>>()
        };
        let none: Vec<&str> = Vec::new();
        let closed_to_it = vec!["personal-", "peer-"];
        assert_eq!(closed(&config), [none.clone(), none.clone(), closed_to_it]);
        config.pushi.enabled = false;
        assert_eq!(closed(&config), [none.clone(), none.clone(), none]);
    }

    #[test]
    fn an_app_that_says_nothing_is_as_the_dialect_has_it_by_default() {
        let shown = |app: &pusher::config::App| {
            // `Debug` tells less than this, for the secret's sake.
            let switches = [
                app.enabled,
                app.tls_only,
                app.authorized_only,
                app.client_events,
                app.signin,
                app.watchlist,
                app.subscription_count,
            ];
            let numbers = [
                app.client_events_per_s as usize,
                app.watchlist_max,
                app.activity_s as usize,
                // What is not limited is half of the range here, and all of it there.
                app.connections_max.min(options::UNLIMITED),
                app.message_bytes,
                app.event_bytes,
                app.channels_per_connection.min(options::UNLIMITED),
                app.channel_chars,
                app.channels_per_event,
                app.batch_events,
                app.members_max,
                app.member_info_bytes,
                app.cache_ms as usize,
            ];
            (switches, numbers, app.origins.clone())
        };
        let config = config();
        let pusher = pusher_config(&config, &AppIds::of(&config));
        let ours = &pusher.apps[0];
        let theirs = pusher::config::App::new(AppId(2), "2", "key-2", "s");
        assert_eq!(shown(ours), shown(&theirs));
        assert_eq!(
            (ours.app, &ours.id, &ours.key, &ours.secret),
            (theirs.app, &theirs.id, &theirs.key, &theirs.secret)
        );
    }

    #[test]
    fn every_setting_of_an_app_arrives() {
        let mut config = config();
        config.apps = vec![App {
            enabled: false,
            tls_only: true,
            authorized_only: true,
            origins: vec!["https://a".to_owned()],
            client_events: false,
            client_events_per_second: 101,
            user_authentication: false,
            watchlist: false,
            watchlist_max: 102,
            subscription_count: true,
            activity_timeout_s: 103,
            cache_time_ms: 104,
            connections: 105,
            message_bytes: 106,
            event_bytes: 107,
            channels_per_connection: 108,
            channel_chars: 109,
            channels_per_event: 110,
            batch_events: 111,
            presence_members: 112,
            presence_info_bytes: 113,
            ..app("1", &[Protocol::Pusher])
        }];
        let pusher = pusher_config(&config, &AppIds::of(&config));
        let app = &pusher.apps[0];
        assert!(!app.enabled && app.tls_only && app.authorized_only);
        assert!(!app.client_events && !app.signin && !app.watchlist);
        assert!(app.subscription_count && app.origins == ["https://a"]);
        assert_eq!((app.client_events_per_s, app.activity_s), (101, 103));
        assert_eq!((app.watchlist_max, app.cache_ms), (102, 104));
        assert_eq!((app.connections_max, app.message_bytes), (105, 106));
        assert_eq!((app.event_bytes, app.channels_per_connection), (107, 108));
        assert_eq!((app.channel_chars, app.channels_per_event), (109, 110));
        assert_eq!((app.batch_events, app.members_max), (111, 112));
        assert_eq!(app.member_info_bytes, 113);
    }

    #[test]
    fn channelstream_lives_where_the_settings_say() {
        let mut config = config();
        let ids = AppIds::of(&config);
        assert_eq!(channelstream_config(&config, &ids).app, AppId::FIRST);
        config.channelstream.app = "4".to_owned();
        assert_eq!(channelstream_config(&config, &ids).app, AppId(4));
    }

    #[test]
    fn channelstream_does_not_move_while_it_runs() {
        let (old, mut new) = (config(), config());
        new.apps.pop();
        assert_eq!(why_restart(&new, &old), None);
        new.channelstream.app = "1".to_owned();
        for (new, old) in [(&new, &old), (&old, &new)] {
            let why = why_restart(new, old).expect("a reason");
            assert!(why.contains("channelstream.app") && why.contains("\"1\""));
        }
        assert_eq!(why_restart(&new, &new), None);
    }
}
