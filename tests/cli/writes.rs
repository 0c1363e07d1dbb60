//! Commands that write settings: `init`, `import channelstream` and `make_config`.

use super::command::{Folder, fanwire, fanwire_with, fine, refused};
use std::fs;

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
