//! The table shown to people: the dump, the explanation of one key, and the document.

use super::app::App;
use super::config::Config;
use super::opt::{Known, Opt, Source, Sources};
use super::table::OPTIONS;
use super::table::apps::{APP_OPTIONS, SECTION};
use std::fmt::Write as _;

/// The effective configuration as TOML, secrets masked, each value with its source.
pub fn dump(config: &Config, sources: &Sources) -> String {
    let mut out = String::new();
    let mut section = "";
    for (place, opt) in OPTIONS.iter().enumerate() {
        if opt.section != section {
            section = opt.section;
            // Writing to a string does not fail, here and below.
            let _ = writeln!(out, "\n[{section}]");
        }
        write_value(&mut out, opt, config, sources.options.get(place));
    }
    for (number, app) in config.apps.iter().enumerate() {
        let of = sources.apps.get(number);
        let table = of.map_or(&Source::Default, |of| &of.table);
        let title = format!("[[{SECTION}]]");
        let _ = writeln!(out, "\n{title:<44} # {}", one_line(&table.to_string()));
        for (place, opt) in APP_OPTIONS.iter().enumerate() {
            write_value(&mut out, opt, app, of.and_then(|of| of.options.get(place)));
        }
    }
    out
}

fn write_value<R: Clone>(out: &mut String, opt: &Opt<R>, record: &R, source: Option<&Source>) {
    let line = format!("{} = {}", opt.name, opt.show(record));
    let source = one_line(&source.unwrap_or(&Source::Default).to_string());
    let _ = writeln!(out, "{line:<44} # {source}");
}

/// Value, source and default of one option, and what it is.
pub fn explain(known: Known, config: &Config, sources: &Sources) -> String {
    match known {
        Known::Server(opt) => {
            let source = sources.of(&opt.key());
            let lines = [
                format!("  value:       {}", opt.show(config)),
                format!("  source:      {}", one_line(&source.to_string())),
            ];
            explained(opt, &opt.default_shown(), &lines)
        }
        Known::App(opt) => {
            let place = APP_OPTIONS.iter().position(|other| other.name == opt.name);
            let line = |(number, app): (usize, &App)| {
                let source = sources.apps.get(number).zip(place);
                let source = source.and_then(|(app, place)| app.options.get(place));
                let source = one_line(&source.unwrap_or(&Source::Default).to_string());
                let name = format!("{SECTION}.{number}:");
                format!("  {name:<12} {} # {source}", opt.show(app))
            };
            let mut lines: Vec<String> = config.apps.iter().enumerate().map(line).collect();
            if lines.is_empty() {
                lines.push("  value:       there are no apps".to_owned());
            }
            explained(opt, &opt.show(&App::default()), &lines)
        }
    }
}

fn explained<R: Clone>(opt: &Opt<R>, default: &str, values: &[String]) -> String {
    let mut out = format!("{}\n  {}.\n", opt.key(), opt.short);
    if !opt.long.is_empty() {
        let _ = writeln!(out, "  {}", opt.long);
    }
    for line in values {
        let _ = writeln!(out, "{line}");
    }
    let _ = writeln!(out, "  default:     {default}");
    let _ = writeln!(out, "  takes:       {}", opt.expected());
    let _ = writeln!(out, "  environment: {}", opt.env_name());
    if opt.is_secret() {
        let _ = writeln!(
            out,
            "  from a file: {0}_file, {1}_FILE",
            opt.key(),
            opt.env_name()
        );
    }
    out
}

/// Every option explained.
pub fn explain_all(config: &Config, sources: &Sources) -> String {
    let of_server = OPTIONS.iter().map(Known::Server);
    let all = of_server.chain(APP_OPTIONS.iter().map(Known::App));
    let all: Vec<String> = all.map(|opt| explain(opt, config, sources)).collect();
    all.join("\n")
}

impl Opt {
    /// The default as TOML. A well-known secret is no secret.
    pub(super) fn default_shown(&self) -> String {
        let default = Config::default();
        match self.key().as_str() {
            "channelstream.secret" => super::value::quoted(default.channelstream.secret.expose()),
            "channelstream.admin_secret" => {
                super::value::quoted(default.channelstream.admin_secret.expose())
            }
            _ => self.show(&default),
        }
    }
}

/// A name with a line break in it must not look like a setting.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

const INTRODUCTION: &str = "\
# Options

Produced from the tables in `src/options/`. Do not edit; run
`fanwire config explain --all --markdown > docs/options.md`.

Later sources win: defaults, the file (`--config`), the environment, `--set key=value`.
A key `section.name` is `name` below `[section]` in the file and `FANWIRE_SECTION__NAME` in the
environment. There and with `--set` a value is read as TOML where it parses, otherwise as text, so
that `8MiB` and `none` need no quotes; a list may be written with commas. An unknown key or a bad
value stops the start with exit code 2.

Sizes are bytes: `65536` or `\"64KiB\"` (B, KiB, MiB, GiB). Durations have a unit: `\"500ms\"`,
`\"30s\"`, `\"2m\"` (ms, s, m, h, d). Where `\"none\"` is a value it takes the limit away, which is
warned about.
Every secret also exists with `_file` at the end of its name: the path of a file that holds it.

A Channelstream INI file is taken as it is, by Channelstream's rules; the environment is not looked
at then. Without any file `CHANNELSTREAM_*` variables are taken, and `CHANNELSTREAM_INI` names a
file. Either way the default address is Channelstream's, `0.0.0.0:8000`.
With `--pushi-env` the variables of Pushi are taken instead of a file
([moving-from-pushi.md](moving-from-pushi.md)); ours come on top of them.
";

const APPS: &str = "
## `[[app]]`

One table per app; the key in front of it, such as `app.secret`, is the same for all of them. In the
environment and with `--set` apps are counted from 0 in the order of the file:
`FANWIRE_APP__0__SECRET`, `--set app.0.secret=...`. The number after the last one makes an app
more, so that the environment alone will do.

```toml
[[app]]
id = \"1001\"
key = \"demo-key\"
secret_file = \"/run/secrets/demo\"
origins = [\"https://example.com\"]
webhooks = [{ url = \"https://example.com/hook\", events = [\"channel_occupied\"] }]
```

";

/// The document of all options, in Markdown.
pub fn document() -> String {
    let mut out = INTRODUCTION.to_owned();
    let mut section = None;
    for opt in OPTIONS {
        if section != Some(opt.section) {
            section = Some(opt.section);
            let title = match opt.section {
                "" => "Top of the file".to_owned(),
                section => format!("`[{section}]`"),
            };
            let _ = write!(out, "\n## {title}\n\n{HEAD}");
        }
        write_row(&mut out, opt, &opt.default_shown());
    }
    out.push_str(APPS);
    out.push_str(HEAD);
    for opt in APP_OPTIONS {
        let has_none = matches!(opt.name, "id" | "key" | "secret");
        let default = if has_none {
            String::new()
        } else {
            opt.show(&App::default())
        };
        write_row(&mut out, opt, &default);
    }
    out
}

const HEAD: &str = "| Key | Default | Meaning |\n|---|---|---|\n";

fn write_row<R: Clone>(out: &mut String, opt: &Opt<R>, default: &str) {
    let file = if opt.is_secret() { " (or `_file`)" } else { "" };
    let long = if opt.long.is_empty() {
        String::new()
    } else {
        format!(" {}", opt.long)
    };
    let default = if default.is_empty() {
        "must be given".to_owned()
    } else {
        format!("`{default}`")
    };
    let text = format!("{}.{long} Takes {}.", opt.short, opt.expected()).replace('|', "\\|");
    let _ = writeln!(out, "| `{}`{file} | {default} | {text} |", opt.name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Secret;

    #[test]
    fn a_dump_shows_sources_and_no_secret() {
        let mut config = Config::default();
        config.channelstream.secret = Secret::from("hunter2");
        let mut sources = Sources::default();
        sources.options[0] = Source::File("a\nsecret = 1".to_owned(), 3);
        let dump = dump(&config, &sources);
        assert!(!dump.contains("hunter2") && dump.contains("secret = \"***\""));
        assert!(dump.contains("# a?secret = 1:3\n"), "{dump}");
        assert!(dump.contains("\n[limits]\n") && dump.contains("message_bytes = \"1MiB\""));
        assert!(
            dump.contains("cookie_secret = \"\""),
            "what is empty is shown as such"
        );
    }

    #[test]
    fn an_explanation_has_it_all() {
        let opt = super::super::find("admin.password").expect("an option");
        let text = explain(Known::Server(opt), &Config::default(), &Sources::default());
        for piece in [
            "FANWIRE_ADMIN__PASSWORD_FILE",
            "admin.password_file",
            "source:      default",
        ] {
            assert!(text.contains(piece), "{piece} in {text}");
        }
    }

    #[test]
    fn an_option_of_apps_is_explained_for_each_of_them() {
        let opt = Known::find("app.secret").expect("an option");
        let mut config = Config::default();
        let sources = Sources::default();
        let text = explain(opt, &config, &sources);
        for piece in ["no apps", "FANWIRE_APP__0__SECRET", "app.secret_file"] {
            assert!(text.contains(piece), "{piece} in {text}");
        }
        config.apps = vec![App::dev(), App::default()];
        let text = explain(opt, &config, &sources);
        for piece in ["app.0:       \"***\" # default", "app.1:       \"\" #"] {
            assert!(text.contains(piece), "{piece} in {text}");
        }
        let all = explain_all(&config, &sources);
        for opt in APP_OPTIONS {
            assert!(all.contains(&format!("\n{}\n", opt.key())), "{}", opt.name);
        }
    }

    #[test]
    fn the_document_has_every_option() {
        let document = document();
        for opt in APP_OPTIONS {
            let row = format!("\n| `{}`", opt.name);
            assert!(document.contains(&row), "{}", opt.name);
        }
        for opt in OPTIONS {
            assert!(
                document.contains(&format!("| `{}`", opt.name)),
                "{}",
                opt.key()
            );
        }
    }
}
