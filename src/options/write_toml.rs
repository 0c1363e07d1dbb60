//! Settings files that we write: a fresh one, and one made from Channelstream's settings.
//!
//! Comments come from the table of options, so a file explains each key with the words of
//! `config explain`. Unlike the dump these files hold secrets.

use super::config::{Config, Secret};
use super::load::Loaded;
use super::opt::{Opt, Source};
use super::table::OPTIONS;
use super::value::quoted;
use std::fmt::Write as _;

/// What is random in a fresh file.
#[derive(Debug, Clone, Default)]
pub struct FreshSecrets {
    /// The secret of the web application.
    pub secret: String,
    /// The key of the login cookie.
    pub cookie_secret: String,
    /// The password of admin pages and metrics.
    pub admin_password: String,
    /// The token for scrapers of metrics.
    pub metrics_token: String,
    /// The key of the app in the example.
    pub app_key: String,
    /// Its secret.
    pub app_secret: String,
}

/// A settings file with secrets of its own and all else as it is by default, for `fanwire init`.
pub fn fresh_toml(secrets: FreshSecrets) -> String {
    let example = example_app(&secrets);
    let mut config = Config::default();
    config.channelstream.secret = Secret::from(secrets.secret);
    config.channelstream.cookie_secret = Secret::from(secrets.cookie_secret);
    config.admin.password = Secret::from(secrets.admin_password);
    config.admin.metrics_token = Secret::from(secrets.metrics_token);
    let set = [
        "listen",
        "trusted_proxies",
        "log",
        "store.path",
        "store.durability",
        "channelstream.secret",
        "channelstream.cookie_secret",
        "channelstream.allow_posting_from",
        "channelstream.allow_cors",
        "admin.user",
        "admin.password",
        "admin.metrics_token",
    ];
    let mut out = "# Settings of fanwire, made by `fanwire init`. It holds secrets: keep it to \
                   yourself.\n#\n# What stands behind a # is the default. Check changes with \
                   `fanwire config check --config FILE`,\n# and put them to use with SIGHUP; \
                   addresses and limits on connections need a restart.\n"
        .to_owned();
    write_options(&mut out, &config, |opt| {
        let is_set = set.contains(&opt.key().as_str());
        is_set.then(String::new)
    });
    out.push_str(&example);
    out
}

/// An app to begin with. It is all comment: whoever wants Pusher or Pushi takes the # away.
fn example_app(secrets: &FreshSecrets) -> String {
    let (key, secret) = (quoted(&secrets.app_key), quoted(&secrets.app_secret));
    format!(
        "
# An app for Pusher's clients and server SDKs: take the # in front of each line away. There may be
# several. With \"pushi\" among its protocols it is for Pushi's clients, too, who may all publish.
# All that can be said of one: `fanwire config explain --all`, from app.protocols on. Apps can also be
# made while the server runs: `fanwire app add`.
#[[app]]
#protocols = [\"pusher\"]
#id = \"1001\"
#key = {key}
#secret = {secret}
#client_events = true
#origins = [\"https://example.com\"]
"
    )
}

/// The same settings as `loaded`, with where each came from, for `fanwire import`. `name` is what
/// they were read from.
pub fn imported_toml(loaded: &Loaded, name: &str) -> String {
    let mut out = format!(
        "# Settings of fanwire, made by `fanwire import channelstream` from {}.\n\
         # It holds secrets: keep it to yourself.\n#\n# What stands behind a # is the default.\n",
        one_line(name)
    );
    write_options(&mut out, &loaded.config, |opt| {
        match loaded.sources.of(&opt.key()) {
            Source::Default => None,
            source => Some(format!("from {}", one_line(&source.to_string()))),
        }
    });
    out
}

/// Writes every option: as a setting where `is_set` gives a note (which may be empty), as a
/// comment otherwise.
fn write_options(out: &mut String, config: &Config, is_set: impl Fn(&Opt) -> Option<String>) {
    let mut section = "";
    for opt in OPTIONS {
        if opt.section != section {
            section = opt.section;
            // Writing to a string does not fail, here and below.
            let _ = writeln!(out, "\n[{section}]");
        }
        let _ = writeln!(out, "\n# {}.", opt.short);
        for line in wrapped(opt.long) {
            let _ = writeln!(out, "# {line}");
        }
        let _ = match is_set(opt) {
            Some(note) if note.is_empty() => writeln!(out, "{} = {}", opt.name, value(opt, config)),
            Some(note) => writeln!(out, "# ({note})\n{} = {}", opt.name, value(opt, config)),
            None => writeln!(out, "# {} = {}", opt.name, opt.default_shown()),
        };
    }
}

/// The value of an option as TOML, a secret as it is.
fn value(opt: &Opt, config: &Config) -> String {
    match opt.secret(config) {
        Some(secret) => quoted(secret.expose()),
        None => opt.show(config),
    }
}

/// A text in lines that fit a comment.
fn wrapped(text: &str) -> Vec<String> {
    const CHARS_MAX: usize = 96;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= CHARS_MAX => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A name with a line break in it must not look like a setting.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::load::{Inputs, load};
    use super::super::{Severity, Source};
    use super::*;

    fn read(name: &str, text: &str) -> Loaded {
        load(&Inputs {
            file: Some((name, text)),
            env: &[],
            sets: &[],
            listen: &[],
            dev: false,
            pushi_env: false,
            read: &|_| Err("no files here".to_owned()),
        })
    }

    #[test]
    fn a_fresh_file_says_what_it_was_given_and_nothing_to_warn_of() {
        let text = fresh_toml(FreshSecrets {
            secret: "one".to_owned(),
            cookie_secret: "two".to_owned(),
            admin_password: "three".to_owned(),
            metrics_token: "four".to_owned(),
            app_key: "five".to_owned(),
            app_secret: "six".to_owned(),
        });
        let loaded = read("fanwire.toml", &text);
        let told: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
        let is_bad = |problem: &&super::super::Problem| problem.severity != Severity::Note;
        assert!(!loaded.problems.iter().any(|p| is_bad(&p)), "{told:?}");
        let (cs, admin) = (&loaded.config.channelstream, &loaded.config.admin);
        assert_eq!(
            (cs.secret.expose(), cs.cookie_secret.expose()),
            ("one", "two")
        );
        assert_eq!(
            (admin.password.expose(), admin.metrics_token.expose()),
            ("three", "four")
        );
        for opt in OPTIONS {
            let line = format!("{} = ", opt.name);
            assert!(text.contains(&line), "{}", opt.key());
        }
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
    }

    #[test]
    fn the_example_of_an_app_is_good_once_it_is_no_comment() {
        let text = fresh_toml(FreshSecrets {
            secret: "one".to_owned(),
            admin_password: "three".to_owned(),
            app_key: "five".to_owned(),
            app_secret: "six".to_owned(),
            ..FreshSecrets::default()
        });
        let (before, example) = text.split_once("#[[app]]").expect("an example");
        let loaded = read("f.toml", &text);
        assert!(loaded.config.apps.is_empty(), "it is a comment");
        let open = format!("{before}[[app]]{}", example.replace("\n#", "\n"));
        let loaded = read("f.toml", &open);
        let told: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
        let is_bad = |problem: &super::super::Problem| problem.severity != Severity::Note;
        assert!(!loaded.problems.iter().any(is_bad), "{told:?}");
        let app = loaded.config.app("1001").expect("the app");
        assert_eq!((app.key.as_str(), app.secret.expose()), ("five", "six"));
    }

    #[test]
    fn what_is_commented_out_is_the_default() {
        let text = fresh_toml(FreshSecrets::default());
        let settings = text.lines().map(|line| {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let name = bare.split(" = ").next().unwrap_or_default();
            let is_option = OPTIONS.iter().any(|opt| opt.name == name);
            if is_option { bare } else { line }
        });
        let all: String = settings.flat_map(|line| [line, "\n"]).collect();
        let mut config = read("all.toml", &all).config;
        // What the file does set.
        config.channelstream.secret = Config::default().channelstream.secret;
        assert_eq!(config, Config::default());
    }

    #[test]
    fn an_imported_file_means_what_the_original_meant() {
        let ini = "[channelstream]\nsecret = a%%b \"c\" \\ é\nport = 9001\nhost = 127.0.0.1\n\
                   allow_posting_from = 127.0.0.1,\n  10.0.0.1\nallow_cors = example.com\n\
                   validate_requests = no\nenforce_https = on\nhttp_scheme = https\n\
                   log_level = WARNING\nadmin_user = root\nadmin_secret = # no comment\n\
                   cookie_secret = k\ndebug = true\n";
        let before = read("old.ini", ini);
        assert!(!before.has_errors());
        let text = imported_toml(&before, "old\n.ini");
        let after = read("new.toml", &text);
        assert!(!after.has_errors(), "{:?}\n{text}", after.problems);
        assert_eq!(after.config, before.config, "{text}");
        for piece in [
            "old?.ini",
            "# (from old.ini:3)\nlisten = ",
            "secret = \"a%b \\\"c\\\"",
        ] {
            assert!(text.contains(piece), "{piece} in {text}");
        }
        // What nobody set stays a comment.
        assert!(after.sources.options.contains(&Source::Default));
        assert!(text.contains("\n# message_bytes = "));
    }
}
