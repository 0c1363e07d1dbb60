//! The table shown to people: the dump, the explanation of one key, and the document.

use super::config::Config;
use super::opt::{Opt, Source};
use super::table::OPTIONS;
use std::fmt::Write as _;

/// The effective configuration as TOML, secrets masked, each value with its source. `sources`
/// stand in the order of [`OPTIONS`].
pub fn dump(config: &Config, sources: &[Source]) -> String {
    let mut out = String::new();
    let mut section = "";
    for (place, opt) in OPTIONS.iter().enumerate() {
        if opt.section != section {
            section = opt.section;
            // Writing to a string does not fail, here and below.
            let _ = writeln!(out, "\n[{section}]");
        }
        let line = format!("{} = {}", opt.name, opt.show(config));
        let source = sources.get(place).unwrap_or(&Source::Default);
        let _ = writeln!(out, "{line:<44} # {}", one_line(&source.to_string()));
    }
    out
}

/// Value, source and default of one option, and what it is.
pub fn explain(opt: &Opt, config: &Config, sources: &[Source]) -> String {
    let place = OPTIONS.iter().position(|other| other.key() == opt.key());
    let source = place
        .and_then(|place| sources.get(place))
        .unwrap_or(&Source::Default);
    let mut out = format!("{}\n  {}.\n", opt.key(), opt.short);
    if !opt.long.is_empty() {
        let _ = writeln!(out, "  {}", opt.long);
    }
    let _ = writeln!(out, "  value:       {}", opt.show(config));
    let _ = writeln!(out, "  source:      {}", one_line(&source.to_string()));
    let _ = writeln!(out, "  default:     {}", opt.default_shown());
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

Produced from the table in `src/options/table.rs`. Do not edit; run
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
            let _ = write!(
                out,
                "\n## {title}\n\n| Key | Default | Meaning |\n|---|---|---|\n"
            );
        }
        let file = if opt.is_secret() { " (or `_file`)" } else { "" };
        let default = opt.default_shown();
        let long = if opt.long.is_empty() {
            String::new()
        } else {
            format!(" {}", opt.long)
        };
        let text = format!("{}.{long} Takes {}.", opt.short, opt.expected()).replace('|', "\\|");
        let _ = writeln!(out, "| `{}`{file} | `{default}` | {text} |", opt.name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Secret;

    #[test]
    fn a_dump_shows_sources_and_no_secret() {
        let mut config = Config::default();
        config.channelstream.secret = Secret::from("hunter2");
        let mut sources = vec![Source::Default; OPTIONS.len()];
        sources[0] = Source::File("a\nsecret = 1".to_owned(), 3);
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
        let text = explain(opt, &Config::default(), &[]);
        for piece in [
            "FANWIRE_ADMIN__PASSWORD_FILE",
            "admin.password_file",
            "source:      default",
        ] {
            assert!(text.contains(piece), "{piece} in {text}");
        }
    }

    #[test]
    fn the_document_has_every_option() {
        let document = document();
        for opt in OPTIONS {
            assert!(
                document.contains(&format!("| `{}`", opt.name)),
                "{}",
                opt.key()
            );
        }
    }
}
