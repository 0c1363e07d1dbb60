//! Settings as data: texts in, values, sources and messages out.

use super::*;
use crate::options::{Durability, ListenAddr, Scheme, UNLIMITED, dump};
use log::LevelFilter;

/// What one test gives.
#[derive(Default, Clone, Copy)]
struct Given<'a> {
    file: Option<(&'a str, &'a str)>,
    env: &'a [(&'a str, &'a str)],
    sets: &'a [&'a str],
    listen: &'a [&'a str],
    dev: bool,
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn make(given: Given<'_>) -> Loaded {
    let env: Vec<(String, String)> = given
        .env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let read = |path: &Path| match path.to_str() {
        Some("good") => Ok("from a file\n".to_owned()),
        Some("empty") => Ok("\n".to_owned()),
        _ => Err("no such file".to_owned()),
    };
    load(&Inputs {
        file: given.file,
        env: &env,
        sets: &owned(given.sets),
        listen: &owned(given.listen),
        dev: given.dev,
        pushi_env: false,
        read: &read,
    })
}

fn toml(text: &str) -> Loaded {
    make(Given {
        file: Some(("fanwire.toml", text)),
        ..Given::default()
    })
}

fn ini(text: &str) -> Loaded {
    make(Given {
        file: Some(("cs.ini", text)),
        ..Given::default()
    })
}

fn env(env: &[(&str, &str)]) -> Loaded {
    make(Given {
        env,
        ..Given::default()
    })
}

/// The problems of one severity, as they are printed.
fn said(loaded: &Loaded, severity: Severity) -> Vec<String> {
    loaded.of(severity).map(ToString::to_string).collect()
}

fn source(loaded: &Loaded, key: &str) -> Source {
    loaded.sources.of(key)
}

#[track_caller]
fn clean(loaded: Loaded) -> Config {
    assert_eq!(said(&loaded, Severity::Error), Vec::<String>::new());
    loaded.config
}

#[track_caller]
fn one_error(loaded: &Loaded, start: &str, pieces: &[&str]) {
    let errors = said(loaded, Severity::Error);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].starts_with(start),
        "{errors:?} begins with {start:?}"
    );
    for piece in pieces {
        assert!(errors[0].contains(piece), "{errors:?} has {piece:?}");
    }
}

#[test]
fn nothing_at_all_is_the_default() {
    assert_eq!(clean(make(Given::default())), Config::default());
    assert_eq!(clean(toml("")), Config::default());
}

#[test]
fn a_whole_file() {
    let config = clean(toml(
        r#"
listen = ["[::1]:9000", "unix:/run/fanwire.sock"]
trusted_proxies = ["10.0.0.1", "unix"]
log = "debug"
[channelstream]
secret = "a%b;c # not"
allow_posting_from = ["0.0.0.0"]
allow_cors = ["example.com"]
validate_requests = false
enforce_https = true
http_scheme = "https"
[limits]
message_bytes = "2MiB"
body_bytes = 0x400000
connections = 1_000
history_bytes = "none"
[timeouts]
head = "500ms"
user_forget = "2d"
[admin]
user = "root"
password = "pw"
"#,
    ));
    assert_eq!(
        config.listen[1],
        ListenAddr::Unix("/run/fanwire.sock".into())
    );
    assert!(config.trusted_proxies.lists(None) && !config.trusted_proxies.is_anyone());
    assert_eq!(config.log, LevelFilter::Debug);
    assert_eq!(config.channelstream.secret.expose(), "a%b;c # not");
    assert!(config.channelstream.allow_posting_from.is_anyone());
    assert_eq!(config.channelstream.allow_cors, ["example.com"]);
    assert!(!config.channelstream.validate_requests && config.channelstream.enforce_https);
    assert_eq!(config.channelstream.http_scheme, Some(Scheme::Https));
    assert_eq!(config.limits.message_bytes, 2 << 20);
    assert_eq!(config.limits.body_bytes, 4 << 20);
    assert_eq!(config.limits.connections, 1000);
    assert_eq!(config.limits.history_bytes, UNLIMITED);
    assert_eq!(config.timeouts.head_ms, 500);
    assert_eq!(config.timeouts.user_forget_ms, 172_800_000);
    assert_eq!(config.admin_login().map(|(user, _)| user), Some("root"));
}

#[test]
fn bad_files_name_file_line_key_and_expectation() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "\n[limits]\nmesage_bytes = 1",
            "fanwire.toml:3: limits.mesage_bytes: unknown key",
            &["did you mean limits.message_bytes?"],
        ),
        (
            "lisetn = []",
            "fanwire.toml:1: lisetn: ",
            &["did you mean listen?"],
        ),
        (
            "message_bytes = 1",
            "fanwire.toml:1: message_bytes: ",
            &["did you mean limits.message_bytes?"],
        ),
        (
            "[redis]\npath = \"x\"\nmax_age = 1",
            "fanwire.toml:1: [redis]: unknown section",
            &["[channelstream]", "[limits]"],
        ),
        (
            "[store]\npath = \"x\"\nmax_age = 1",
            "fanwire.toml:3: store.max_age: expected a duration in whole seconds",
            &["36500d", "or \"none\"", "found 1"],
        ),
        (
            "[store]\ndurability = \"fast\"",
            "fanwire.toml:2: store.durability: expected \"synced\" or \"relaxed\"; found \"fast\"",
            &[],
        ),
        (
            "[store]\nmax_bytes = \"1KiB\"",
            "fanwire.toml:2: store.max_bytes: expected a size",
            &["from 1MiB"],
        ),
        (
            "[tls]\nlisteners = [\"[::1]:1\"]",
            "fanwire.toml:2: tls.listeners: expected tables such as",
            &["found a text"],
        ),
        (
            "[[tls.listeners]]\nlisten = \"[::1]:1\"\ncert = \"a\"",
            "fanwire.toml:1: tls.listeners: key: missing",
            &[],
        ),
        (
            "[channelstreams]\nsecret = \"x\"",
            "fanwire.toml:1: [channelstreams]",
            &["did you mean [channelstream]?"],
        ),
        (
            "[[ap]]\nid = \"1\"",
            "fanwire.toml:1: ap: unknown key",
            &["did you mean [[app]]?"],
        ),
        (
            "[channelstream]\ndurable = true",
            "fanwire.toml:2: channelstream.durable: unknown key",
            &["allow_cors"],
        ),
        (
            "limits = 5",
            "fanwire.toml:1: limits: expected a section [limits]",
            &["found integer"],
        ),
        (
            "[listen]\na = 1",
            "fanwire.toml:1: listen: expected a list",
            &["a table"],
        ),
        (
            "listen = [\"x\"]",
            "fanwire.toml:1: listen: \"x\" is no address",
            &["127.0.0.1:8000"],
        ),
        (
            "listen = \"127.0.0.1:1\"",
            "fanwire.toml:1: listen: expected a list",
            &["found \"127.0.0.1:1\""],
        ),
        (
            "trusted_proxies = [\"10.0.0.0/8\"]",
            "fanwire.toml:1: trusted_proxies:",
            &["networks"],
        ),
        (
            "log = \"loud\"",
            "fanwire.toml:1: log: expected a level",
            &["\"loud\""],
        ),
        (
            "log = 5",
            "fanwire.toml:1: log: expected a level",
            &["found 5"],
        ),
        (
            "[limits]\nbody_bytes = \"8MB\"",
            "fanwire.toml:2: limits.body_bytes: expected a size",
            &["KiB", "\"none\"", "\"8MB\""],
        ),
        (
            "[limits]\nhead_bytes = 0",
            "fanwire.toml:2: limits.head_bytes: expected a size",
            &["256", "64KiB"],
        ),
        (
            "[limits]\nhead_bytes = \"none\"",
            "fanwire.toml:2: limits.head_bytes",
            &[],
        ),
        (
            "[limits]\nbody_bytes = -1",
            "fanwire.toml:2: limits.body_bytes",
            &["found -1"],
        ),
        (
            "[limits]\nbody_bytes = 1.5",
            "fanwire.toml:2: limits.body_bytes",
            &["a fraction"],
        ),
        (
            "[timeouts]\nhead = 10",
            "fanwire.toml:2: timeouts.head: expected a duration",
            &["30s"],
        ),
        (
            "[channelstream]\nsecret = 12345",
            "fanwire.toml:2: channelstream.secret: expected a text",
            &["a number"],
        ),
        (
            "[channelstream]\nenabled = \"true\"",
            "fanwire.toml:2: channelstream.enabled: expected true or false",
            &[],
        ),
        (
            "[channelstream]\nhttp_scheme = \"ftp\"",
            "fanwire.toml:2: channelstream.http_scheme",
            &["https"],
        ),
        ("[channelstream\n", "fanwire.toml:1: ", &[]),
        ("a = 1\nlisten = [\n", "fanwire.toml:", &[]),
        (
            "log = \"info\"\nlog = \"warn\"",
            "fanwire.toml:2: ",
            &["duplicate"],
        ),
        (
            "[admin]\npassword_file = \"bad\"",
            "fanwire.toml:2: admin.password_file: bad: no such file",
            &[],
        ),
        (
            "[admin]\npassword_file = \"empty\"",
            "fanwire.toml:2: admin.password_file: empty: expected a secret",
            &[],
        ),
        (
            "[admin]\npassword_file = \"good\"\npassword = \"x\"",
            "fanwire.toml:2: admin.password: given twice",
            &[],
        ),
        (
            "[admin]\nuser_file = \"good\"",
            "fanwire.toml:2: admin.user_file: unknown key",
            &[],
        ),
    ];
    for (text, start, pieces) in cases {
        one_error(&toml(text), start, pieces);
    }
}

#[test]
fn all_errors_are_reported_at_once_in_the_order_of_lines() {
    let loaded = toml("[limits]\nz = 1\na = 1\n[admin]\nuser = 5\n");
    let errors = said(&loaded, Severity::Error);
    let starts: Vec<_> = errors
        .iter()
        .map(|e| e.split(' ').next().unwrap_or(""))
        .collect();
    assert_eq!(
        starts,
        ["fanwire.toml:2:", "fanwire.toml:3:", "fanwire.toml:5:"]
    );
}

#[test]
fn later_sources_win_and_are_remembered() {
    let file = Some((
        "f.toml",
        "[limits]\nbody_bytes = 1000\nhead_count = 10\nhistory_messages = 5",
    ));
    let loaded = make(Given {
        file,
        env: &[
            ("FANWIRE_LIMITS__BODY_BYTES", "2000"),
            ("FANWIRE_LIMITS__HEAD_COUNT", "20"),
        ],
        sets: &["limits.body_bytes=4000", "limits.body_bytes=3000"],
        ..Given::default()
    });
    let of = |key| source(&loaded, key);
    assert_eq!(of("limits.body_bytes"), Source::Set);
    assert_eq!(
        of("limits.head_count"),
        Source::Env("FANWIRE_LIMITS__HEAD_COUNT".to_owned())
    );
    assert_eq!(
        of("limits.history_messages"),
        Source::File("f.toml".to_owned(), 4)
    );
    assert_eq!(of("limits.head_bytes"), Source::Default);
    let limits = clean(loaded).limits;
    assert_eq!(
        (
            limits.body_bytes,
            limits.head_count,
            limits.history_messages
        ),
        (3000, 20, 5)
    );
}

#[test]
fn values_without_quotes() {
    let config = clean(make(Given {
        env: &[
            ("FANWIRE_LISTEN", "127.0.0.1:1, unix:/x"),
            ("FANWIRE_TRUSTED_PROXIES", "[\"10.0.0.1\"]"),
            ("FANWIRE_LOG", "warn"),
            ("FANWIRE_CHANNELSTREAM__SECRET", "12345"),
            ("FANWIRE_CHANNELSTREAM__COOKIE_SECRET", "'quoted'"),
            ("FANWIRE_ADMIN__PASSWORD", "1e5"),
            ("FANWIRE_ADMIN__METRICS_TOKEN", "\"half"),
            ("FANWIRE_CHANNELSTREAM__ALLOW_CORS", ""),
        ],
        sets: &[
            "limits.message_bytes=8MiB",
            "limits.history_bytes=none",
            "timeouts.head=30s",
            "channelstream.validate_requests=false",
            "channelstream.admin_user=a=b\nlog = 1",
        ],
        ..Given::default()
    }));
    assert_eq!(config.listen.len(), 2);
    assert!(config.trusted_proxies.lists("10.0.0.1".parse().ok()));
    assert_eq!(config.log, LevelFilter::Warn);
    assert_eq!(config.channelstream.secret.expose(), "12345");
    assert_eq!(config.channelstream.cookie_secret.expose(), "quoted");
    assert_eq!(config.admin.password.expose(), "1e5");
    assert_eq!(config.admin.metrics_token.expose(), "\"half");
    assert!(config.channelstream.allow_cors.is_empty());
    assert_eq!(config.limits.message_bytes, 8 << 20);
    assert_eq!(config.limits.history_bytes, UNLIMITED);
    assert_eq!(config.timeouts.head_ms, 30_000);
    assert!(!config.channelstream.validate_requests);
    assert_eq!(config.channelstream.admin_user, "a=b\nlog = 1");
}

#[test]
fn bad_arguments_and_variables() {
    let sets = |sets: &[&str]| {
        make(Given {
            sets,
            ..Given::default()
        })
    };
    one_error(
        &sets(&["limits.body_bytes"]),
        "--set: limits.body_bytes: expected section.key=value",
        &[],
    );
    one_error(
        &sets(&["limits.bdy_bytes=1"]),
        "--set: limits.bdy_bytes: unknown key",
        &["limits.body_bytes"],
    );
    one_error(
        &sets(&["limits.body_bytes=lots"]),
        "--set: limits.body_bytes: expected a size",
        &["\"lots\""],
    );
    one_error(
        &make(Given {
            listen: &["here"],
            ..Given::default()
        }),
        "--listen: listen: \"here\"",
        &[],
    );
    one_error(
        &env(&[("FANWIRE_LIMITS_BODY_BYTES", "1")]),
        "FANWIRE_LIMITS_BODY_BYTES: ",
        &["did you mean FANWIRE_LIMITS__BODY_BYTES?"],
    );
    one_error(
        &env(&[("FANWIRE_LISTNE", "x")]),
        "FANWIRE_LISTNE: listne: unknown key",
        &["listen"],
    );
    // Tests, builds and Kubernetes have variables of that beginning, too.
    let others = [
        ("FANWIRE_SEED", "1"),
        ("FANWIRE_BIN", "target/release/fanwire"),
        ("FANWIRE_COMMIT", "abc"),
        ("FANWIRE_PORT", "tcp://10.0.0.1:80"),
        ("FANWIRE_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("FANWIRE_SERVICE_HOST", "10.0.0.1"),
        ("CHANNELSTREAM_PORT", "tcp://10.0.0.1:8000"),
        ("CHANNELSTREAM_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    assert_eq!(clean(env(&others)), Config::default());
}

#[test]
fn listen_arguments_replace_the_list() {
    let loaded = make(Given {
        file: Some(("f.toml", "listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]")),
        env: &[("FANWIRE_LISTEN", "127.0.0.1:3")],
        sets: &["listen=127.0.0.1:4"],
        listen: &["127.0.0.1:5", "tls:127.0.0.1:6"],
        dev: false,
    });
    assert_eq!(source(&loaded, "listen"), Source::Listen);
    let listen: Vec<String> = loaded
        .config
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listen, ["127.0.0.1:5", "tls:127.0.0.1:6"]);
    assert!(said(&loaded, Severity::Error)[0].starts_with("tls.cert: missing"));
}

#[test]
fn a_secret_out_of_a_file_overrides_lower_layers_and_is_overridden() {
    let config = clean(make(Given {
        file: Some((
            "f.toml",
            "[channelstream]\nsecret = \"low\"\nadmin_secret_file = \"good\"",
        )),
        env: &[
            ("FANWIRE_CHANNELSTREAM__SECRET_FILE", "good"),
            ("FANWIRE_CHANNELSTREAM__ADMIN_SECRET", "high"),
        ],
        ..Given::default()
    }));
    assert_eq!(config.channelstream.secret.expose(), "from a file");
    assert_eq!(config.channelstream.admin_secret.expose(), "high");
}

#[test]
fn no_secret_is_in_any_message_or_dump() {
    let loaded = make(Given {
        file: Some((
            "f.toml",
            "[channelstream]\nsecret = [\"hunter2\"]\nadmin_secret = \"hunter2\"",
        )),
        env: &[
            ("FANWIRE_ADMIN__PASSWORD", "hunter2"),
            ("FANWIRE_ADMIN__PASSWORT", "hunter2"),
        ],
        ..Given::default()
    });
    let all = format!("{:?}{}", loaded, dump(&loaded.config, &loaded.sources));
    assert!(loaded.has_errors() && !all.contains("hunter2"), "{all}");
}

#[test]
fn development_is_quiet_and_local() {
    let loaded = make(Given {
        dev: true,
        ..Given::default()
    });
    assert_eq!(said(&loaded, Severity::Warning), Vec::<String>::new());
    assert_eq!(source(&loaded, "channelstream.secret"), Source::Dev);
    assert_eq!(source(&loaded, "channelstream.app"), Source::Dev);
    assert_eq!(source(&loaded, "store.path"), Source::Dev);
    assert_eq!(source(&loaded, "app.0.key"), Source::Dev);
    let mut config = clean(loaded);
    assert_eq!(config.apps, [App::dev()]);
    assert_eq!(std::mem::take(&mut config.channelstream.app), "1");
    assert!(std::mem::take(&mut config.pushi.open_registration));
    assert_eq!(config.store.path, None);
    config.store = Config::default().store;
    config.apps.clear();
    assert_eq!(config, Config::default());
    let open = make(Given {
        dev: true,
        listen: &["0.0.0.0:1"],
        ..Given::default()
    });
    one_error(&open, "--listen: listen: 0.0.0.0:1", &["loopback"]);
}

#[test]
fn the_store_pushi_and_certificates_of_single_listeners() {
    let toml = r#"
listen = ["tls:[::1]:1", "tls:[::1]:2"]
[tls]
cert = "a.pem"
key = "a.key"
listeners = [{ listen = "tls:[::1]:2", cert = "b.pem", key = "b.key" }]
[store]
path = ""
durability = "relaxed"
max_age = "30d"
max_bytes = "2GiB"
[pushi]
origins = ["https://example.com"]
registrations_per_minute = 5
"#;
    let config = clean(make(Given {
        file: Some(("f.toml", toml)),
        env: &[("FANWIRE_PUSHI__APP_KEY_ROUTES", "false")],
        sets: &["channelstream.enabled=false", "deliveries.web_push_ttl=2m"],
        ..Given::default()
    }));
    let [one, other] = ["[::1]:1", "[::1]:2"].map(|text| text.parse().expect("an address"));
    let shown = |address| {
        let certificate = config.certificate(address).expect("each has one");
        format!(
            "{} {}",
            certificate.cert.display(),
            certificate.key.display()
        )
    };
    assert_eq!([shown(one), shown(other)], ["a.pem a.key", "b.pem b.key"]);
    let store = &config.store;
    assert_eq!(store.path, None);
    assert_eq!(store.durability, Durability::Relaxed);
    assert_eq!((store.max_age_s, store.max_bytes), (30 * 86_400, 2 << 30));
    let pushi = &config.pushi;
    assert!(pushi.enabled && !pushi.app_key_routes && !pushi.open_registration);
    assert_eq!(pushi.origins, ["https://example.com"]);
    assert_eq!(pushi.registrations_per_minute, 5);
    assert_eq!(config.deliveries.web_push_ttl_s, 120);
}

#[test]
fn kinds_of_files() {
    let ini = "[channelstream]\nsecret = a b\n";
    let both = "[channelstream]\nport = 8000\n";
    for (name, text, kind) in [
        ("a.toml", ini, FileKind::Toml),
        ("a.toml", both, FileKind::Toml),
        ("a.ini", "", FileKind::Ini),
        ("a.INI", "x = 1", FileKind::Ini),
        ("a.conf", ini, FileKind::Ini),
        ("a", ini, FileKind::Ini),
        ("a.conf", both, FileKind::Ini),
        (
            "a.conf",
            "[channelstream]\nenabled = true\n",
            FileKind::Toml,
        ),
        (
            "a.conf",
            "[channelstream]\nport = 8000\n[limits]\n",
            FileKind::Toml,
        ),
        ("a.conf", "log = \"info\"\n", FileKind::Toml),
        ("a.conf", "", FileKind::Toml),
        ("a.conf", "[other]\na b = c d\n", FileKind::Toml),
    ] {
        assert_eq!(file_kind(name, text), kind, "{name} {text:?}");
    }
}

#[test]
fn the_variable_that_names_a_file() {
    let named = |value: &str| {
        let env = [("CHANNELSTREAM_INI".to_owned(), value.to_owned())];
        ini_named(&env).map(str::to_owned)
    };
    assert_eq!(named("/etc/cs.ini").as_deref(), Some("/etc/cs.ini"));
    assert_eq!(named(""), None);
    assert_eq!(ini_named(&[]), None);
}

mod apps;
mod channelstream;
