//! The command line as a user meets it: the built binary, its exit codes, and what it says.
#![cfg(feature = "server")]

#[path = "../it/command.rs"]
mod command;
mod signs;
mod writes;

use command::{Folder, fanwire, fanwire_with, fine, refused};
use std::process::Command;

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
