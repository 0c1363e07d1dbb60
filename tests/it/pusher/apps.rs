//! The apps that the stories are told in, as settings in memory and as a file for the binary.

use fanwire::dialect::pusher::config::{App, Config};
use fanwire::hub::AppId;

/// The default settings.
pub(crate) const PLAIN: &str = "1001";
/// Another app of the same kind.
pub(crate) const OTHER: &str = "1002";
pub(crate) const DISABLED: &str = "1003";
pub(crate) const TLS_ONLY: &str = "1004";
/// Pages of one host only.
pub(crate) const ORIGINS: &str = "1005";
/// Two sockets at a time.
pub(crate) const QUOTA: &str = "1006";
/// Whoever proves nothing has to go.
pub(crate) const AUTHORIZED: &str = "1007";
/// Subscribers are told how many they are.
pub(crate) const COUNTS: &str = "1008";
/// Small limits on everything.
pub(crate) const SMALL: &str = "1009";
/// All that can be switched off is.
pub(crate) const BARE: &str = "1010";

/// All of them, in the order of their numbers.
pub(crate) const ALL: [&str; 10] = [
    PLAIN, OTHER, DISABLED, TLS_ONLY, ORIGINS, QUOTA, AUTHORIZED, COUNTS, SMALL, BARE,
];

/// The key of an app.
pub(crate) fn key(id: &str) -> String {
    format!("key-{id}")
}

/// The secret of an app.
pub(crate) fn secret(id: &str) -> String {
    format!("secret of {id}")
}

/// The settings of the protocol, for an engine in memory.
pub(crate) fn config() -> Config {
    Config {
        apps: ALL.into_iter().map(app).collect(),
        ..Config::default()
    }
}

fn app(id: &str) -> App {
    let place = ALL.iter().position(|known| *known == id);
    let number = AppId(1 + place.expect("one of them") as u16);
    let plain = App::new(number, id, &key(id), &secret(id));
    match id {
        DISABLED => App {
            enabled: false,
            ..plain
        },
        TLS_ONLY => App {
            tls_only: true,
            ..plain
        },
        ORIGINS => App {
            origins: vec!["https://example.com".to_owned()],
            ..plain
        },
        QUOTA => App {
            connections_max: 2,
            ..plain
        },
        AUTHORIZED => App {
            authorized_only: true,
            ..plain
        },
        COUNTS => App {
            subscription_count: true,
            ..plain
        },
        SMALL => App {
            client_events_per_s: 2,
            watchlist_max: 2,
            message_bytes: 1024,
            event_bytes: 32,
            channels_per_connection: 3,
            channel_chars: 24,
            channels_per_event: 3,
            batch_events: 2,
            members_max: 2,
            member_info_bytes: 16,
            ..plain
        },
        BARE => App {
            client_events: false,
            signin: false,
            watchlist: false,
            activity_s: 10,
            ..plain
        },
        _ => plain,
    }
}

/// The same as the text of a file.
#[cfg(feature = "server")]
pub(crate) fn file() -> String {
    let more = |id: &str| match id {
        DISABLED => "enabled = false",
        TLS_ONLY => "tls_only = true",
        ORIGINS => "origins = [\"https://example.com\"]",
        QUOTA => "connections = 2",
        AUTHORIZED => "authorized_only = true",
        COUNTS => "subscription_count = true",
        SMALL => {
            "client_events_per_second = 2\nwatchlist_max = 2\nmessage_bytes = 1024\n\
             event_bytes = 32\nchannels_per_connection = 3\nchannel_chars = 24\n\
             channels_per_event = 3\nbatch_events = 2\npresence_members = 2\n\
             presence_info_bytes = 16"
        }
        BARE => {
            "client_events = false\nuser_authentication = false\nwatchlist = false\n\
             activity_timeout = \"10s\""
        }
        _ => "",
    };
    let app = |id: &str| {
        let (key, secret) = (key(id), secret(id));
        format!(
            "[[app]]\nid = {id:?}\nkey = {key:?}\nsecret = {secret:?}\n{}\n",
            more(id)
        )
    };
    let apps: Vec<String> = ALL.into_iter().map(app).collect();
    format!("[channelstream]\nsecret = \"of nobody\"\n{}", apps.concat())
}
