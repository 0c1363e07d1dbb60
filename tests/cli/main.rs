//! The command line as a user meets it: the built binary, its exit codes, and what it says.
#![cfg(feature = "server")]

#[path = "it/command.rs"]
mod command;

use command::{Folder, fanwire, fanwire_with, fine, refused};
use std::fs;
use std::process::Command;

#[test]
fn a_newcomer_gets_three_commands_and_the_way_to_help() {
    let said = fanwire(&[]);
    fine(
        &said,
        &[
            "fanwire dev",
            "fanwire init",
            "fanwire run",
            "fanwire --help",
        ],
    );
    assert_eq!(said.err, "");
}

#[test]
fn help_is_everywhere() {
    for (args, piece) in [
        (&["--help"][..], "Usage: fanwire COMMAND"),
        (&["-h"], "Usage: fanwire COMMAND"),
        (&["run", "--help"], "Usage: fanwire run"),
        (&["run", "-i", "nowhere.ini", "-h"], "Usage: fanwire run"),
        (&["dev", "-h"], "Usage: fanwire dev"),
        (&["config", "-h"], "Usage: fanwire config"),
        (&["config", "check", "--help"], "Usage: fanwire config"),
        (&["config", "explain", "--help"], "Usage: fanwire config"),
        (&["sign", "--help"], "Usage: fanwire sign"),
        (&["sign", "channelstream", "-h"], "Usage: fanwire sign"),
        (&["sign", "channel", "-h"], "--socket-id ID"),
        (&["sign", "request", "-h"], "--query NAME=VALUE"),
        (&["store", "check", "-h"], "Usage: fanwire store"),
        (&["app", "--help"], "Usage: fanwire app"),
        (&["import", "pushi", "-h"], "import pushi FILE..."),
        (&["sign", "pushi", "-h"], "--for WHO"),
        (&["version", "-h"], "Usage: fanwire COMMAND"),
    ] {
        fine(&fanwire(args), &[piece]);
    }
}

#[test]
fn versions() {
    let number = format!("{}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(fanwire(&["-v"]).out, number);
    assert_eq!(fanwire(&["--version"]).out, number);
    let said = fanwire(&["version"]);
    fine(&said, &["fanwire 0.", "\ncommit ", "\nfeatures server"]);
}

#[test]
fn mistakes_on_the_command_line_are_exit_code_2() {
    refused(
        &fanwire(&["rnu"]),
        &["unknown command rnu; did you mean run?"],
    );
    refused(
        &fanwire(&["publish", "x"]),
        &["unknown command publish; expected one of"],
    );
    refused(
        &fanwire(&["run", "--lisetn", "x"]),
        &["did you mean --listen?"],
    );
    refused(&fanwire(&["run", "--set"]), &["missing argument"]);
    refused(
        &fanwire(&["run", "--set", "limits.bdy_bytes=1"]),
        &["did you mean limits.body_bytes?"],
    );
    refused(
        &fanwire(&["run", "--listen", "here"]),
        &["--listen: listen: \"here\""],
    );
    refused(&fanwire(&["dev", "--listen", "0.0.0.0:1"]), &["loopback"]);
    refused(
        &fanwire(&["config", "explain", "limits.bdy_bytes"]),
        &["limits.body_bytes"],
    );
}

#[test]
fn a_bad_file_stops_the_start_and_says_where() {
    let folder = Folder::new("bad");
    let file = folder.file(
        "a.toml",
        "log = \"info\"\n[limits]\nmesage_bytes = 5\nhead = 1\n",
    );
    let expected = [
        format!("error: {file}:3: limits.mesage_bytes: unknown key; did you mean limits.message"),
        format!("error: {file}:4: limits.head: unknown key"),
    ];
    let expected = [expected[0].as_str(), expected[1].as_str()];
    for args in [
        &["run", "--config", &file][..],
        &["run", "-i", &file],
        &["config", "check", "--config", &file],
        &["config", "dump", "--config", &file],
        &["config", "explain", "log", "--config", &file],
        &["sign", "channelstream", "--config", &file],
    ] {
        refused(&fanwire(args), &expected);
    }
    let gone = folder.0.join("gone.toml");
    let gone = gone.to_str().expect("UTF-8");
    refused(
        &fanwire(&["run", "--config", gone]),
        &[gone, "No such file"],
    );
}

#[test]
fn check_says_what_is_open_and_what_is_default() {
    let said = fanwire(&["config", "check"]);
    fine(
        &said,
        &[
            "allow_cors: empty: pages of every origin",
            "configuration is good",
        ],
    );
    assert!(
        said.err
            .contains("warning: channelstream.secret: the default"),
        "{}",
        said.err
    );
    let said = fanwire(&["config", "check", "--set", "listen=tls:127.0.0.1:0"]);
    refused(&said, &["error: ", "tls.cert: missing"]);
    assert!(said.out.contains("configuration is bad"), "{}", said.out);
}

#[test]
fn dump_shows_values_and_sources_and_masks_secrets() {
    let folder = Folder::new("dump");
    let secret = folder.file("secret", "hunter2\n");
    let file = folder.file(
        "a.toml",
        &format!("[channelstream]\nsecret_file = {secret:?}\n"),
    );
    let env = [
        ("FANWIRE_LIMITS__MESSAGE_BYTES", "2097152"),
        ("FANWIRE_ADMIN__PASSWORD", "hunter2"),
    ];
    let args = [
        "config",
        "dump",
        "--config",
        &file,
        "--set",
        "timeouts.head=1m",
    ];
    let said = fanwire_with(&env, &args);
    fine(&said, &[]);
    let line = |key: &str| {
        let found = said.out.lines().find(|line| line.starts_with(key));
        found
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        line("message_bytes"),
        "message_bytes = \"2MiB\" # FANWIRE_LIMITS__MESSAGE_BYTES"
    );
    assert_eq!(line("head "), "head = \"1m\" # --set");
    assert_eq!(line("secret"), format!("secret = \"***\" # {file}:2"));
    assert_eq!(
        line("password"),
        "password = \"***\" # FANWIRE_ADMIN__PASSWORD"
    );
    assert_eq!(line("log"), "log = \"info\" # default");
    assert!(!said.out.contains("hunter2") && !said.err.contains("hunter2"));
}

#[test]
fn explain_shows_value_source_and_default() {
    let args = [
        "config",
        "explain",
        "limits.body_bytes",
        "--set",
        "limits.body_bytes=1MiB",
    ];
    let said = fanwire(&args);
    fine(
        &said,
        &[
            "\"1MiB\"",
            "--set",
            "\"8MiB\"",
            "FANWIRE_LIMITS__BODY_BYTES",
        ],
    );
    fine(
        &fanwire(&["config", "explain", "--all"]),
        &["listen\n", "admin.metrics_token\n"],
    );
}

#[test]
fn a_channelstream_file_and_the_variables_are_taken_by_the_originals_rules() {
    let folder = Folder::new("ini");
    let file = folder.file(
        "cs.ini",
        "[channelstream]\nsecret = a%%b;c # not\nport = 8001\n",
    );
    let signed = "x.X14QAA.";
    let sign = [
        "sign",
        "channelstream",
        "--value",
        "x",
        "--at",
        "1600000000",
    ];
    let with = |secret: &str| fanwire(&[&sign[..], &["--secret", secret]].concat()).out;
    let expected = with("a%b;c # not");
    assert!(expected.starts_with(signed), "{expected}");
    let env = [("CHANNELSTREAM_SECRET", "from the environment")];
    let said = fanwire_with(&env, &[&sign[..], &["-i", &file]].concat());
    fine(&said, &[&expected]);
    let said = fanwire_with(&env, &sign);
    fine(&said, &[&with("from the environment")]);
    let said = fanwire_with(&[("CHANNELSTREAM_INI", &file)], &["config", "dump"]);
    fine(&said, &["listen = [\"0.0.0.0:8001\"]"]);
    let env = [("CHANNELSTREAM_SIGNATURE_CHECKER", "my.Signer")];
    refused(
        &fanwire_with(&env, &["run"]),
        &["signature_checker", "DefaultSigner"],
    );
}

#[test]
fn pushis_variables_are_settings_where_they_are_asked_for() {
    let env = [
        ("APP_HOST", "0.0.0.0"),
        ("SERVER_PORT", "81"),
        ("MONGO_URL", "mongodb://localhost"),
        ("SMTP_URL", "smtp://me:hunter2@mail"),
        ("FANWIRE_LOG", "warn"),
    ];
    let said = fanwire_with(&env, &["config", "dump", "--pushi-env"]);
    fine(
        &said,
        &[
            "listen = [\"0.0.0.0:8080\", \"127.0.0.1:81\"]",
            "# APP_HOST\n",
            "# FANWIRE_LOG\n",
            "# --pushi-env\n",
        ],
    );
    assert!(!said.out.contains("hunter2"), "{}", said.out);
    let said = fanwire_with(&env, &["config", "check", "--pushi-env"]);
    fine(
        &said,
        &["note: --pushi-env: pushi.open_registration: false"],
    );
    let told = "warning: MONGO_URL: not used";
    assert!(said.err.contains(told), "{}", said.err);
    let said = fanwire_with(&env, &["config", "dump"]);
    fine(&said, &["listen = [\"127.0.0.1:8000\"]"]);

    for (name, value, piece) in [
        ("APP_PORT", "http", "APP_PORT: \"http\": expected a port"),
        (
            "SERVER_SSL",
            "1",
            "SERVER_SSL: TLS is on without SERVER_SSL_CER",
        ),
        ("SERVER_PORT", "8080", "127.0.0.1:8080 is taken twice"),
    ] {
        refused(
            &fanwire_with(&[(name, value)], &["run", "--pushi-env"]),
            &[piece],
        );
    }
    refused(
        &fanwire(&["run", "--pushi-env", "--config", "a.toml"]),
        &["one of the two"],
    );
}

#[test]
fn signs_as_the_original_does() {
    let args = [
        "sign",
        "channelstream",
        "--secret",
        "secret",
        "--at",
        "1600000000",
    ];
    assert_eq!(
        fanwire(&args).out,
        "channelstream.X14QAA.QLT3kgcJYg14C3PAy4wtyg5uGgI\n"
    );
    // Without a time it is signed now: three parts, and the time is later than that of this test.
    let now = fanwire(&["sign", "channelstream"]).out;
    assert_eq!(now.trim_end().split('.').count(), 3, "{now}");
    refused(
        &fanwire(&["sign", "channelstream", "--at", "soon"]),
        &["seconds since 1970"],
    );
}

/// Two apps, the first with the key and the secret of Pusher's documentation.
const APPS: &str = r#"
[pusher]
path_prefix = "/ws"
[[app]]
id = "3"
key = "278d425bdf160c739803"
secret = "7ad3773142a6692b25b8"
[[app]]
id = "4"
key = "other"
secret = "hunter2"
[[app]]
protocols = ["channelstream"]
id = "5"
key = "third"
secret = "hunter3"
"#;

/// Arguments that stand for the first of [`APPS`].
const KEYS: [&str; 4] = [
    "--key",
    "278d425bdf160c739803",
    "--secret",
    "7ad3773142a6692b25b8",
];

#[test]
fn signs_channels_as_applications_of_pusher_do() {
    let folder = Folder::new("sign-channel");
    let config = folder.file("fanwire.toml", APPS);
    let whose: [&[&str]; 3] = [
        &KEYS,
        &["--config", &config, "--app", "3"],
        &[
            "--app",
            "0",
            "--set",
            "app.0.id=0",
            "--set",
            "app.0.key=278d425bdf160c739803",
            "--set",
            "app.0.secret=7ad3773142a6692b25b8",
        ],
    ];
    let member = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
    for whose in whose {
        let sign = |more: &[&str]| {
            let said = fanwire(
                &[
                    &["sign", "channel", "--socket-id", "1234.1234"],
                    whose,
                    more,
                ]
                .concat(),
            );
            assert_eq!(said.code, Some(0), "{}", said.err);
            said.out
        };
        assert_eq!(
            sign(&["--channel", "private-foobar"]),
            "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4\n"
        );
        assert_eq!(
            sign(&["--channel", "presence-foobar", "--channel-data", member]),
            "278d425bdf160c739803:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80\n"
        );
    }
    let sign = |more: &[&str]| fanwire(&[&["sign", "channel"][..], more].concat());
    let private = ["--socket-id", "1.2", "--channel", "private-a"];
    for (more, piece) in [
        (
            &[
                "--socket-id",
                "12",
                "--channel",
                "private-a",
                "--key",
                "k",
                "--secret",
                "s",
            ][..],
            "1234.5678",
        ),
        (
            &[
                "--socket-id",
                "1.2",
                "--channel",
                "a b",
                "--key",
                "k",
                "--secret",
                "s",
            ],
            "at most 200 letters",
        ),
        (
            &[
                "--socket-id",
                "1.2",
                "--channel",
                "presence-a",
                "--channel-data",
                "{}",
                "--key",
                "k",
                "--secret",
                "s",
            ],
            "user_id",
        ),
        (&private, "no app for Pusher"),
        (
            &[&private[..], &["--config", &config]].concat(),
            "--app 3 or 4",
        ),
        (
            &[&private[..], &["--config", &config, "--app", "5"]].concat(),
            "there are 3, 4",
        ),
    ] {
        refused(&sign(more), &[piece]);
    }
}

#[test]
fn signs_channels_as_applications_of_pushi_do() {
    let (key, secret) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4));
    let folder = Folder::new("sign-pushi");
    let apps = format!(
        "[[app]]\nid = \"a\"\nkey = \"{key}\"\nsecret = \"{secret}\"\nprotocols = [\"pushi\"]\n\
         [[app]]\nid = \"b\"\nkey = \"other\"\nsecret = \"0123456789abcdef\"\n"
    );
    let config = folder.file("fanwire.toml", &apps);
    let whose: [&[&str]; 3] = [
        &["--key", &key, "--secret", &secret],
        &["--config", &config],
        &["--config", &config, "--app", "a"],
    ];
    let socket = "19174e6b-8ad0-4230-bd18-135812f6fa12";
    let cases = [
        (
            socket,
            "peer-chat:ann&bob",
            "39cd9bc8a65449531285eb2c8db02831f383b458045216e5beaf7c5b632dd46c",
        ),
        (
            "https://hooks.example.com/in",
            "private-room",
            "cf0c8a75317aaa6d8470c8cd02491ebddbcc990681ebef708ba69d2d31b8e406",
        ),
    ];
    let sign = |more: &[&str]| fanwire(&[&["sign", "pushi"][..], more].concat());
    for whose in whose {
        for (who, channel, digest) in cases {
            let said = sign(&[whose, &["--for", who, "--channel", channel]].concat());
            assert_eq!(said.out, format!("{key}:{digest}\n"), "{}", said.err);
        }
    }
    let who = ["--for", socket, "--channel"];
    for (more, piece) in [
        (
            &["--config", &config, "--app", "b"][..],
            "no app \"b\" for Pushi; there are a",
        ),
        (&[], "no app for Pushi"),
        (whose[0], "begins with private-"),
    ] {
        let channel = if piece.contains("private-") {
            "room"
        } else {
            "private-room"
        };
        refused(&sign(&[&who[..], &[channel], more].concat()), &[piece]);
    }
}

#[test]
fn signs_requests_as_applications_of_pusher_do() {
    let folder = Folder::new("sign-request");
    let config = folder.file("fanwire.toml", APPS);
    let body = folder.file(
        "body",
        r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#,
    );
    let at = ["--at", "1353088179"];
    let posted = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
                  &body_md5=ec365a775a4cd0599faeb73354201b6f\
                  &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";
    let events = ["sign", "request", "POST", "/apps/3/events", "--body", &body];
    let said = fanwire(&[&events[..], &at, &KEYS].concat());
    assert_eq!(
        said.out,
        format!("/apps/3/events?{posted}\n"),
        "{}",
        said.err
    );
    // The path says whose it is, and what stands in front of it is not signed.
    for path in ["/apps/3/events", "/ws/apps/3/events"] {
        let events = ["sign", "request", "post", path, "--body", &body];
        let said = fanwire(&[&events[..], &at, &["--config", &config]].concat());
        assert_eq!(said.out, format!("{path}?{posted}\n"), "{}", said.err);
    }
    let mut channels = vec!["sign", "request", "GET", "/apps/3/channels"];
    channels.extend(["--query", "info=user_count,subscription_count"]);
    channels.extend(["--query", "filter_by_prefix=presence-"]);
    let said = fanwire(&[&channels[..], &at, &KEYS].concat());
    let signature = "ff97d40ab3fbbd15394386a29c12998c33635305357b2e2abd18dc67efe3f87d\n";
    assert!(said.out.ends_with(signature), "{}{}", said.out, said.err);

    // Out of a pipe it is the same.
    let piped = Command::new(env!("CARGO_BIN_EXE_fanwire"))
        .env_clear()
        .args(
            [
                &["sign", "request", "POST", "/apps/3/events", "--body", "-"][..],
                &at,
                &KEYS,
            ]
            .concat(),
        )
        .stdin(fs::File::open(&body).expect("a file"))
        .output()
        .expect("the binary runs");
    let out = String::from_utf8(piped.stdout).expect("UTF-8");
    assert_eq!(out, format!("/apps/3/events?{posted}\n"));

    let config = ["--config", &config];
    for (args, piece) in [
        (
            &["GET", "/apps/9/channels"][..],
            "no app \"9\" for Pusher; there are 3, 4",
        ),
        (
            &["GET", "/apps/4/channels", "--app", "3"],
            "a path of app \"4\"",
        ),
        (&["GET", "/elsewhere"], "--app 3 or 4"),
        (&["GET", "/apps/3/channels?info=a"], "--query"),
        (&["GET", "apps/3/channels"], "an escaped path"),
        (&["GET", "/apps/3/channels/a b"], "an escaped path"),
        (&["G T", "/apps/3/channels"], "a method"),
        (
            &["GET", "/apps/3/channels", "--query", "Auth_Key=x"],
            "other than those",
        ),
        (
            &[
                "GET",
                "/apps/3/channels",
                "--query",
                "a=1",
                "--query",
                "A=2",
            ],
            "given twice",
        ),
        (
            &["POST", "/apps/3/events", "--body", "/no/such/file"],
            "No such file",
        ),
    ] {
        refused(
            &fanwire(&[&["sign", "request"], args, &config].concat()),
            &[piece],
        );
    }
}

#[test]
fn apps_are_checked_dumped_and_explained() {
    let folder = Folder::new("apps");
    let config = folder.file("fanwire.toml", APPS);
    let said = fanwire(&["config", "check", "--config", &config]);
    fine(&said, &["the configuration is good: 0 errors"]);
    assert!(
        said.err
            .contains("app.2.protocols: \"channelstream\" does nothing"),
        "{}",
        said.err
    );

    let said = fanwire(&["config", "dump", "--config", &config]);
    fine(&said, &["[[app]]", "id = \"4\"", "path_prefix = \"/ws\""]);
    for secret in ["7ad3773142a6692b25b8", "hunter2", "hunter3"] {
        assert!(!said.out.contains(secret), "{}", said.out);
    }
    // What was dumped is settings again, the same ones but for the secrets.
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines();
        let bare = lines.map(|line| line.split(" # ").next().unwrap_or_default().trim_end());
        bare.map(str::to_owned).collect()
    };
    let again = folder.file("again.toml", &said.out);
    let dumped = fanwire(&["config", "dump", "--config", &again]);
    assert_eq!(values(&dumped.out), values(&said.out), "{}", dumped.err);

    let env = [("FANWIRE_APP__1__KEY", "from-outside")];
    let args = ["config", "explain", "app.key", "--config", &config];
    fine(
        &fanwire_with(&env, &args),
        &[
            "app.key\n",
            &format!("app.0:       \"278d425bdf160c739803\" # {config}:6"),
            "app.1:       \"from-outside\" # FANWIRE_APP__1__KEY",
            "FANWIRE_APP__0__KEY",
        ],
    );
    fine(
        &fanwire(&["config", "explain", "--all"]),
        &["\napp.webhooks\n", "\nchannelstream.app\n"],
    );
    let twins = folder.file("twins.toml", &APPS.replace("\"4\"", "\"3\""));
    refused(
        &fanwire(&["run", "--config", &twins]),
        &[&format!(
            "{twins}:9: app.1.id: \"3\" is the id of app.0, too"
        )],
    );
}

#[cfg(unix)]
#[test]
fn values_that_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let bad = std::ffi::OsStr::from_bytes(b"\xff");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
    command
        .env_clear()
        .env("FANWIRE_LOG", bad)
        .args(["config", "check"]);
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
    let output = command
        .env_clear()
        .arg(bad)
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
}

// ---- commands that write settings ----------------------------------------------------------

#[cfg(unix)]
fn mode(path: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = fs::metadata(path).expect("it is there").permissions();
    permissions.mode() & 0o777
}

fn value_of<'t>(toml: &'t str, key: &str) -> &'t str {
    let line = toml
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    line.unwrap_or_else(|| panic!("{key} in {toml}"))
}

#[test]
fn init_makes_settings_that_are_good_and_a_unit() {
    let folder = Folder::new("init");
    let dir = folder.0.join("new folder");
    let dir = dir.to_str().expect("UTF-8");
    let said = fanwire(&["init", dir]);
    fine(&said, &["made ", "fanwire.toml", "systemctl enable"]);
    let (settings, unit) = (
        format!("{dir}/fanwire.toml"),
        format!("{dir}/fanwire.service"),
    );
    assert_eq!((mode(&settings), mode(&unit)), (0o600, 0o644));
    fine(
        &fanwire(&["config", "check", "--config", &settings]),
        &["0 errors, 0 warnings"],
    );

    let text = fs::read_to_string(&settings).expect("it is there");
    let mut secrets = vec![];
    for key in ["secret", "cookie_secret", "password", "metrics_token"] {
        let secret = value_of(&text, key).to_owned();
        assert_eq!(secret.len(), 34, "{key} = {secret}");
        assert!(!secrets.contains(&secret));
        secrets.push(secret);
    }
    assert_eq!(value_of(&text, "path"), "\"fanwire.db\"");
    // The example of an app is one for Pushi, too, once its protocols say so.
    let example = text.split("#[[app]]").nth(1).expect("an example");
    let key = value_of(example, "#key").trim_matches('"');
    assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let unit_text = fs::read_to_string(&unit).expect("it is there");
    let start = format!(" run --config \"{settings}\"\n");
    for piece in [
        "Type=notify\n",
        "ExecReload=",
        "NoNewPrivileges=yes\n",
        "StateDirectory=fanwire\nWorkingDirectory=/var/lib/fanwire\n",
        &start,
    ] {
        assert!(unit_text.contains(piece), "{piece} in {unit_text}");
    }

    // A second time nothing is touched, unless one insists.
    refused(
        &fanwire(&["init", dir]),
        &["fanwire.toml is there already", "--force"],
    );
    fs::remove_file(&settings).expect("removed");
    refused(
        &fanwire(&["init", dir]),
        &["fanwire.service is there already"],
    );
    assert!(fs::metadata(&settings).is_err(), "neither is written");
    fine(&fanwire(&["init", dir, "--force"]), &["made "]);
    let again = fs::read_to_string(&settings).expect("it is there");
    assert_ne!(value_of(&again, "secret"), secrets[0]);
    assert_eq!(mode(&settings), 0o600);
    let files = fs::read_dir(dir).expect("a folder").count();
    assert_eq!(files, 2, "nothing else lies about");
}

#[test]
fn init_says_where_it_may_not_write() {
    let folder = Folder::new("init-file");
    let file = folder.file("file", "");
    let said = fanwire(&["init", &file]);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.err.contains(&file), "{}", said.err);
}

#[test]
fn import_means_the_same_as_the_file_it_read() {
    let folder = Folder::new("import");
    let ini = folder.file(
        "old.ini",
        "[channelstream]\nport = 9001\nsecret = a%%b\nadmin_secret = other\ndemo = true\n\
         allow_posting_from = 127.0.0.1,\n    10.0.0.1\nenforce_htps = true\n",
    );
    let toml = folder.0.join("new.toml");
    let toml = toml.to_str().expect("UTF-8");
    let said = fanwire(&["import", "channelstream", &ini, "-o", toml]);
    fine(&said, &["made ", "config check"]);
    for piece in [
        "demo: ignored",
        "enforce_htps: unknown key",
        "did you mean enforce_https?",
    ] {
        assert!(said.err.contains(piece), "{piece} in {}", said.err);
    }
    assert_eq!(mode(toml), 0o600);
    // Values, without where they came from.
    let dump = |config: &str| {
        let said = fanwire(&["config", "dump", "--config", config]);
        fine(&said, &[]);
        let lines = said
            .out
            .lines()
            .map(|line| line.split(" #").next().unwrap_or_default());
        lines
            .map(|line| format!("{}\n", line.trim_end()))
            .collect::<String>()
    };
    assert_eq!(dump(toml), dump(&ini));
    let text = fs::read_to_string(toml).expect("it is there");
    assert_eq!(value_of(&text, "secret"), "\"a%b\"");
    assert!(text.contains(&format!("from {ini}:")), "{text}");

    refused(
        &fanwire(&["import", "channelstream", &ini, "-o", toml]),
        &["is there already"],
    );
    let said = fanwire(&["import", "channelstream", &ini, "-o", toml, "--force"]);
    fine(&said, &["made "]);
    let said = fanwire(&["import", "channelstream", &ini]);
    fine(&said, &["secret = \"a%b\"\n"]);
}

#[test]
fn import_refuses_what_it_cannot_honour() {
    let folder = Folder::new("import-bad");
    let out = folder.0.join("out.toml");
    let out = out.to_str().expect("UTF-8");
    for (name, text, pieces) in [
        ("no.ini", "[other]\na = 1\n", &["[channelstream]"][..]),
        (
            "class.ini",
            "[channelstream]\nsignature_checker = my.Signer\nport = x\n",
            &["signature_checker", "expected a port", "class.ini:3"],
        ),
        ("ours.toml", "log = \"info\"\n", &["expected an INI file"]),
    ] {
        let file = folder.file(name, text);
        refused(
            &fanwire(&["import", "channelstream", &file, "-o", out]),
            pieces,
        );
        assert!(fs::metadata(out).is_err(), "{name}: nothing is written");
    }
    refused(
        &fanwire(&["import", "channelstream", "/no/such.ini"]),
        &["/no/such.ini"],
    );
}

#[test]
fn make_config_writes_what_the_server_reads() {
    let folder = Folder::new("make");
    let env = [
        ("CHANNELSTREAM_SECRET", "100%"),
        ("CHANNELSTREAM_ALLOW_POSTING_FROM", "127.0.0.1,10.0.0.1"),
        ("CHANNELSTREAM_PORT", "9001"),
    ];
    let said = fanwire_with(&env, &["make-config"]);
    fine(
        &said,
        &["[channelstream]\n", "secret = 100%%\n", "    10.0.0.1\n"],
    );
    let cookie = value_of(&said.out, "cookie_secret");
    assert_eq!(
        (cookie.len(), cookie.matches('-').count()),
        (36, 4),
        "{cookie}"
    );

    let ini = folder.0.join("made.ini");
    let ini = ini.to_str().expect("UTF-8");
    fine(&fanwire_with(&env, &["make-config", "-o", ini]), &[]);
    assert_eq!(mode(ini), 0o600);
    let said = fanwire(&["config", "dump", "-i", ini]);
    fine(
        &said,
        &[
            "listen = [\"0.0.0.0:9001\"]",
            "allow_posting_from = [\"127.0.0.1\", \"10.0.0.1\"]",
        ],
    );
    // It is replaced, as the original replaces it; the environment is not looked at beside JSON.
    let json = r#"{"admin_user": "root", "port": 9002, "extra": 1}"#;
    let said = fanwire_with(&env, &["make-config", "-j", json, "-o", ini]);
    fine(&said, &[]);
    assert!(said.err.contains("\"extra\": unknown key"), "{}", said.err);
    let text = fs::read_to_string(ini).expect("it is there");
    for piece in [
        "admin_user = root\n",
        "port = 9002\n",
        "cookie_secret =\n",
        "secret = secret\n",
    ] {
        assert!(text.contains(piece), "{piece} in {text}");
    }
    for bad in ["[]", "{\"secret\": {}}", "nonsense"] {
        refused(&fanwire(&["make-config", "-j", bad]), &["make-config"]);
    }
}
