//! Apps: read from files, variables and arguments, and written so that they read the same.

use super::*;
use crate::options::{Protocol, WebhookEvent};

const WHOLE: &str = r#"
[channelstream]
app = "1002"
[pusher]
path_prefix = "/ws"
[[app]]
protocols = ["pusher"]
id = "1001"
key = "demo-key"
secret = "demo-secret"
enabled = false
client_events = false
client_events_per_second = 20
user_authentication = false
watchlist = false
watchlist_max = 50
subscription_count = true
activity_timeout = "30s"
origins = ["https://example.com"]
tls_only = true
authorized_only = true
connections = 500
message_bytes = "128KiB"
event_bytes = "20KiB"
channels_per_connection = 100
channel_chars = 200
channels_per_event = 10
batch_events = 20
presence_members = 1000
presence_info_bytes = "2KiB"
cache_time = "1h"
webhooks = [ { url = "https://example.com/hook", events = ["channel_occupied", "channel_vacated"] } ]
[[app]]
protocols = ["pusher", "channelstream"]
id = "1002"
key = "other-key"
secret_file = "good"
[[app.webhooks]]
url = "http://127.0.0.1:8080/"
[deliveries]
allow_private_networks = true
timeout = "2s"
attempts = 3
"#;

#[test]
fn whole_apps() {
    let loaded = toml(WHOLE);
    let config = clean(loaded.clone());
    let [one, two] = config.apps.as_slice() else {
        panic!("two apps: {:?}", config.apps);
    };
    let expected = App {
        protocols: vec![Protocol::Pusher],
        id: "1001".to_owned(),
        key: "demo-key".to_owned(),
        secret: "demo-secret".into(),
        enabled: false,
        tls_only: true,
        authorized_only: true,
        origins: vec!["https://example.com".to_owned()],
        client_events: false,
        client_events_per_second: 20,
        user_authentication: false,
        watchlist: false,
        watchlist_max: 50,
        subscription_count: true,
        activity_timeout_s: 30,
        cache_time_ms: 3_600_000,
        connections: 500,
        message_bytes: 128 << 10,
        event_bytes: 20 << 10,
        channels_per_connection: 100,
        channel_chars: 200,
        channels_per_event: 10,
        batch_events: 20,
        presence_members: 1000,
        presence_info_bytes: 2048,
        webhooks: one.webhooks.clone(),
    };
    assert_eq!(*one, expected);
    assert_eq!(one.webhooks[0].url, "https://example.com/hook");
    let events = [WebhookEvent::ChannelOccupied, WebhookEvent::ChannelVacated];
    assert_eq!(one.webhooks[0].events, events);
    assert_eq!(two.secret.expose(), "from a file");
    assert_eq!(two.webhooks[0].events, WebhookEvent::ALL);
    assert!(two.allows(Protocol::Channelstream) && !two.allows(Protocol::Pushi));
    assert_eq!(config.app("1002"), Some(two));
    assert_eq!(config.app("9"), None);
    assert_eq!(config.channelstream.app, "1002");
    assert_eq!(config.pusher.path_prefix, "/ws");
    let deliveries = &config.deliveries;
    assert_eq!((deliveries.timeout_ms, deliveries.attempts), (2000, 3));
    assert!(deliveries.allow_private_networks);
    // What an app does not say comes from where it begins.
    let at = |line| Source::File("fanwire.toml".to_owned(), line);
    assert_eq!(source(&loaded, "app.0.activity_timeout"), at(18));
    assert_eq!(source(&loaded, "app.1.secret"), at(37));
    assert_eq!(source(&loaded, "app.1.enabled"), at(33));
}

#[test]
fn a_dump_of_apps_masks_secrets_and_reads_the_same() {
    let loaded = toml(WHOLE);
    let dumped = dump(&loaded.config, &loaded.sources);
    for secret in ["demo-secret", "from a file"] {
        assert!(!dumped.contains(secret), "{dumped}");
    }
    assert!(dumped.contains("[[app]]") && dumped.contains("# fanwire.toml:6\n"));
    let again = toml(&dumped);
    assert_eq!(again.config.apps[1].secret.expose(), "***");
    let masked = |mut config: Config| {
        for app in &mut config.apps {
            app.secret = "***".into();
        }
        config.channelstream.secret = "***".into();
        config.channelstream.admin_secret = "***".into();
        config
    };
    assert_eq!(masked(clean(again)), masked(clean(loaded)));
}

#[test]
fn bad_apps_name_file_line_and_key() {
    let good = "id = \"1\"\nkey = \"k\"\nsecret = \"s\"\n";
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "activity_timeout = \"0s\"",
            "fanwire.toml:5: app.0.activity_timeout: expected a duration",
            &["from 1s to 10m", "found \"0s\""],
        ),
        (
            "activity_timeout = \"601s\"",
            "fanwire.toml:5: app.0.activity_timeout: ",
            &[],
        ),
        (
            "activity_timeout = 120",
            "fanwire.toml:5: app.0.activity_timeout: ",
            &["\"30s\"", "found 120"],
        ),
        (
            "activity_timeout = \"1500ms\"",
            "fanwire.toml:5: app.0.activity_timeout: ",
            &["whole seconds"],
        ),
        (
            "channel_chars = 201",
            "fanwire.toml:5: app.0.channel_chars: ",
            &["from 1 to 200"],
        ),
        (
            "protocols = [\"pushr\"]",
            "fanwire.toml:5: app.0.protocols: unknown protocol \"pushr\"",
            &["did you mean \"push"],
        ),
        (
            "protocols = \"pusher\"",
            "fanwire.toml:5: app.0.protocols: expected a list",
            &["\"channelstream\""],
        ),
        (
            "client_event = true",
            "fanwire.toml:5: app.0.client_event: unknown key",
            &["did you mean app.0.client_events?"],
        ),
        (
            "message_size = 1",
            "fanwire.toml:5: app.0.message_size: unknown key",
            &["app.0.message_bytes"],
        ),
        (
            "persist = true",
            "fanwire.toml:5: app.0.persist: unknown key",
            &["[[app]] has protocols, id, key"],
        ),
        (
            "webhooks = [{ url = \"ftp://x\" }]",
            "fanwire.toml:5: app.0.webhooks: url: ",
            &["https://"],
        ),
        (
            "webhooks = [{ url = \"http://x\", event = [] }]",
            "fanwire.toml:5: app.0.webhooks: unknown key",
            &["did you mean \"events\"?"],
        ),
        (
            "webhooks = \"http://x\"",
            "fanwire.toml:5: app.0.webhooks: expected a list of tables",
            &[],
        ),
        (
            "secret_file = \"good\"",
            "fanwire.toml:5: app.0.secret: given twice",
            &["app.0.secret_file"],
        ),
        (
            "[[app]]\nkey = \"l\"\nsecret = \"t\"",
            "fanwire.toml:5: app.1.id: missing or empty",
            &[],
        ),
        (
            "[[app]]\nid = \"1\"\nkey = \"l\"\nsecret = \"t\"",
            "fanwire.toml:6: app.1.id: ",
            &["id of app.0"],
        ),
        (
            "[[app]]\nid = \"2\"\nkey = \"k\"\nsecret = \"t\"",
            "fanwire.toml:7: app.1.key: ",
            &["key of app.0"],
        ),
        (
            "[channelstream]\napp = \"1\"",
            "fanwire.toml:6: channelstream.app: ",
            &["do not have \"channelstream\""],
        ),
        (
            "[channelstream]\napp = \"7\"",
            "fanwire.toml:6: channelstream.app: no [[app]] has the id \"7\"",
            &["there are \"1\""],
        ),
    ];
    for (more, start, pieces) in cases {
        one_error(&toml(&format!("[[app]]\n{good}{more}\n")), start, pieces);
    }
    for (text, start, pieces) in [
        (
            "[app]\nid = \"1\"",
            "fanwire.toml:1: app: expected tables [[app]]",
            &["a table"][..],
        ),
        (
            "app = [1]",
            "fanwire.toml:1: app: expected tables [[app]]",
            &["a number"],
        ),
        (
            "[[app]]\nid = \"1\"\nkey = 5\nsecret = \"s\"",
            "fanwire.toml:3: app.0.key: expected a text",
            &["found 5"],
        ),
        (
            "[[app]]\nid = \"1\"\nkey = \"k\"\nsecret_file = \"empty\"",
            "fanwire.toml:4: app.0.secret_file: empty: expected a secret",
            &[],
        ),
        (
            "[[app]]\nid = \"1\"\nkey = \"k\"\nsecret = \"\"",
            "fanwire.toml:4: app.0.secret: missing or empty",
            &[],
        ),
        (
            "client_events = true",
            "fanwire.toml:1: client_events: unknown key",
            &["did you mean client_events of an [[app]]?"],
        ),
        (
            "[apps]\nid = 1",
            "fanwire.toml:1: [apps]: unknown section",
            &["did you mean [[app]]?"],
        ),
    ] {
        one_error(&toml(text), start, pieces);
    }
    let errors = said(&toml("[[app]]"), Severity::Error);
    assert_eq!(errors.len(), 3, "id, key and secret: {errors:?}");
    assert!(errors[0].starts_with("fanwire.toml:1: app.0.id:"));
}

#[test]
fn apps_out_of_the_environment_alone() {
    let names: Vec<(String, String)> = (0..12)
        .flat_map(|number| {
            let name = move |key: &str| format!("FANWIRE_APP__{number}__{key}");
            [
                (name("ID"), format!("{}", 100 + number)),
                (name("KEY"), format!("k{number}")),
                (name("SECRET_FILE"), "good".to_owned()),
            ]
        })
        .collect();
    let names: Vec<(&str, &str)> = names
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let loaded = env(&names);
    let config = clean(loaded.clone());
    let ids: Vec<&str> = config.apps.iter().map(|app| app.id.as_str()).collect();
    assert_eq!(ids.len(), 12);
    assert_eq!((ids[2], ids[10]), ("102", "110"), "counted, not spelled");
    assert_eq!(config.apps[11].secret.expose(), "from a file");
    assert_eq!(
        source(&loaded, "app.10.key"),
        Source::Env("FANWIRE_APP__10__KEY".to_owned())
    );
}

#[test]
fn variables_and_arguments_change_apps_of_the_file() {
    let file = "[[app]]\nid = \"1\"\nkey = \"k\"\nsecret = \"s\"\n";
    let loaded = make(Given {
        file: Some(("f.toml", file)),
        env: &[
            ("FANWIRE_APP__0__SECRET", "of the environment"),
            ("FANWIRE_APP__0__PROTOCOLS", "pusher,channelstream"),
            ("FANWIRE_CHANNELSTREAM__APP", "1"),
        ],
        sets: &[
            "app.1.key=l",
            "app.1.id=2",
            "app.1.secret=5",
            "app.0.presence_members=none",
            "app.0.webhooks=[{url='http://a'}]",
            "app.0.message_bytes=1MiB",
        ],
        ..Given::default()
    });
    assert_eq!(said(&loaded, Severity::Warning).len(), 4, "{loaded:?}");
    let config = clean(loaded.clone());
    assert_eq!(config.apps[0].secret.expose(), "of the environment");
    assert_eq!(config.apps[0].protocols.len(), 2);
    assert_eq!(config.apps[0].presence_members, UNLIMITED);
    assert_eq!(config.apps[0].message_bytes, 1 << 20);
    assert_eq!(config.apps[0].webhooks.len(), 1);
    // A text that looks like a number is one no longer where a text is expected.
    assert_eq!(config.apps[1].id, "2");
    assert_eq!(config.apps[1].secret.expose(), "5");
    assert_eq!(source(&loaded, "app.1.enabled"), Source::Set);
}

#[test]
fn mistakes_in_variables_and_arguments() {
    for (name, pieces) in [
        (
            "FANWIRE_APP__0__SECRTE",
            &["did you mean app.0.secret?"][..],
        ),
        ("FANWIRE_APP__SECRET", &["did you mean app.0.secret?"]),
        ("FANWIRE_APP_0_SECRET", &["FANWIRE_APP__0__SECRET"]),
        ("FANWIRE_APP__1__ID", &["there is no app 0 before it"]),
        ("FANWIRE_APP__9999__ID", &["too many"]),
        ("FANWIRE_APP__99999999999999999999__ID", &["unknown key"]),
        ("FANWIRE_APP__+1__ID", &["unknown key"]),
    ] {
        one_error(&env(&[(name, "1")]), &format!("{name}: app"), pieces);
    }
    let set = |sets: &[&str]| {
        make(Given {
            sets,
            ..Given::default()
        })
    };
    for (argument, pieces) in [
        ("app.secret=s", &["counted from 0", "app.0.secret"][..]),
        ("app.x.secret=s", &["unknown key"]),
        ("app=s", &["unknown key"]),
        ("app.=s", &["unknown key"]),
        ("app.0=s", &["unknown key"]),
    ] {
        one_error(&set(&[argument]), "--set: app", pieces);
    }
}

#[test]
fn the_number_of_apps_is_bounded() {
    let apps = |count: usize| {
        let one = |n| format!("[[app]]\nid = \"{n}\"\nkey = \"k{n}\"\nsecret = \"s\"\n");
        (0..count).map(one).collect::<String>()
    };
    assert_eq!(clean(toml(&apps(APPS_MAX))).apps.len(), APPS_MAX);
    let loaded = toml(&apps(APPS_MAX + 1));
    one_error(&loaded, "fanwire.toml:16385: app: too many", &["4096"]);
    let file = apps(APPS_MAX);
    let loaded = make(Given {
        file: Some(("f.toml", &file)),
        sets: &["app.4096.id=x"],
        ..Given::default()
    });
    one_error(&loaded, "--set: app.4096.id: too many", &[]);
}

#[test]
fn an_ini_file_takes_apps_from_the_command_line() {
    let loaded = make(Given {
        file: Some(("cs.ini", "[channelstream]\nsecret = x\n")),
        sets: &[
            "app.0.id=1",
            "app.0.key=k",
            "app.0.secret=s",
            "app.0.protocols=channelstream",
            "channelstream.app=1",
        ],
        ..Given::default()
    });
    let config = clean(loaded);
    assert_eq!(config.apps[0].protocols, [Protocol::Channelstream]);
}
