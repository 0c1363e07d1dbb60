//! The arguments of `fanwire store`, `fanwire app` and `fanwire import pushi`: what works on the
//! database file.

use super::{Command, Given, Topic, Word, next, surplus, text, unknown_command, value};
use fanwire::options::Protocol;
use lexopt::Parser;
use std::path::PathBuf;

/// Which database file is meant.
#[derive(Debug, Default)]
pub(crate) struct Which {
    /// The settings that name it.
    pub(crate) given: Given,
    /// The file itself, which needs no settings.
    pub(crate) path: Option<PathBuf>,
}

/// What is to be done with the file.
#[derive(Debug)]
pub(crate) enum Store {
    Check(Which),
    /// The second is where the copy goes.
    Backup(Which, PathBuf),
    Compact(Which),
}

/// What is to be done about apps.
#[derive(Debug)]
pub(crate) enum AppTask {
    Add(Which, AppAdd),
    List(Which),
    /// The app whose secret is to be replaced.
    Rotate(Which, String),
}

/// What `fanwire app add` was given.
#[derive(Debug)]
pub(crate) struct AppAdd {
    pub(crate) name: String,
    /// Else one of random hex digits.
    pub(crate) id: Option<String>,
    /// Never empty, and never Channelstream.
    pub(crate) protocols: Vec<Protocol>,
}

/// What `fanwire import pushi` was given.
#[derive(Debug)]
pub(crate) struct ImportPushi {
    pub(crate) which: Which,
    /// At least one.
    pub(crate) files: Vec<PathBuf>,
}

const STORE_COMMANDS: [&str; 3] = ["check", "backup", "compact"];
const APP_COMMANDS: [&str; 3] = ["add", "list", "rotate"];
/// Options that say which file is meant.
const WHICH: [&str; 4] = ["config", "ini", "set", "path"];

impl Which {
    /// Takes the value of one of [`WHICH`].
    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<(), String> {
        match name {
            "path" => self.path = Some(value(parser)?.into()),
            _ => self.given.take(name, parser)?,
        }
        if self.path.is_some() && (self.given.config.is_some() || !self.given.sets.is_empty()) {
            return Err("--path names the file; expected no settings beside it".to_owned());
        }
        Ok(())
    }
}

/// Reads what follows a command: options about the file, and words. None if help was asked for.
fn words(
    parser: &mut Parser,
    more: &[&str],
    mut take: impl FnMut(&str, &mut Parser) -> Result<(), String>,
) -> Result<Option<(Which, Vec<String>)>, String> {
    let known = [&WHICH[..], more].concat();
    let (mut which, mut words) = (Which::default(), Vec::new());
    while let Some(word) = next(parser, &known)? {
        match word {
            Word::Help => return Ok(None),
            Word::Option(name) if more.contains(&name.as_str()) => take(&name, parser)?,
            Word::Option(name) => which.take(&name, parser)?,
            Word::Value(word) => words.push(word),
        }
    }
    Ok(Some((which, words)))
}

/// The one word there may be.
fn only(words: Vec<String>, missing: &str) -> Result<String, String> {
    let mut words = words.into_iter();
    let first = words.next().ok_or(missing)?;
    none(words)?;
    Ok(first)
}

fn none(words: impl IntoIterator<Item = String>) -> Result<(), String> {
    match words.into_iter().next() {
        Some(word) => Err(surplus(&word)),
        None => Ok(()),
    }
}

/// Reads what follows `store`.
pub(super) fn store(parser: &mut Parser) -> Result<Command, String> {
    let what = match next(parser, &[])? {
        Some(Word::Value(what)) => what,
        Some(Word::Help) => return Ok(Command::Help(Topic::Store)),
        Some(Word::Option(_)) | None => {
            let known = STORE_COMMANDS.join(", ");
            return Err(format!("store: expected one of {known}"));
        }
    };
    if !STORE_COMMANDS.contains(&what.as_str()) {
        return Err(unknown_command("store ", &what, &STORE_COMMANDS));
    }
    let Some((which, words)) = words(parser, &[], |_, _| Ok(()))? else {
        return Ok(Command::Help(Topic::Store));
    };
    Ok(Command::Store(match what.as_str() {
        "backup" => {
            let to = only(words, "store backup: expected the file to write")?;
            Store::Backup(which, to.into())
        }
        other => {
            none(words)?;
            if other == "check" {
                Store::Check(which)
            } else {
                Store::Compact(which)
            }
        }
    }))
}

/// Reads what follows `app`.
pub(super) fn app(parser: &mut Parser) -> Result<Command, String> {
    let what = match next(parser, &[])? {
        Some(Word::Value(what)) => what,
        Some(Word::Help) => return Ok(Command::Help(Topic::App)),
        Some(Word::Option(_)) | None => {
            let known = APP_COMMANDS.join(", ");
            return Err(format!("app: expected one of {known}"));
        }
    };
    let task = match what.as_str() {
        "add" => add(parser)?,
        "list" => words(parser, &[], |_, _| Ok(()))?
            .map(|(which, words)| none(words).map(|()| AppTask::List(which)))
            .transpose()?,
        "rotate" => words(parser, &[], |_, _| Ok(()))?
            .map(|(which, words)| {
                let id = only(words, "app rotate: expected the id of an app")?;
                Ok::<_, String>(AppTask::Rotate(which, id))
            })
            .transpose()?,
        unknown => return Err(unknown_command("app ", unknown, &APP_COMMANDS)),
    };
    Ok(task.map_or(Command::Help(Topic::App), Command::App))
}

fn add(parser: &mut Parser) -> Result<Option<AppTask>, String> {
    let (mut id, mut protocols) = (None, vec![Protocol::Pushi]);
    let take = |name: &str, parser: &mut Parser| {
        let given = text(value(parser)?)?;
        if name == "id" {
            id = Some(given);
        } else {
            protocols = read_protocols(&given)?;
        }
        Ok(())
    };
    let Some((which, words)) = words(parser, &["id", "protocols"], take)? else {
        return Ok(None);
    };
    let name = only(words, "app add: expected a name for the app")?;
    let add = AppAdd {
        name,
        id,
        protocols,
    };
    Ok(Some(AppTask::Add(which, add)))
}

fn read_protocols(list: &str) -> Result<Vec<Protocol>, String> {
    let mut protocols = Vec::new();
    for word in list.split(',').map(str::trim) {
        let protocol = match word {
            "pushi" => Protocol::Pushi,
            "pusher" => Protocol::Pusher,
            unknown => {
                return Err(format!(
                    "--protocols: unknown protocol {unknown:?}; expected pushi, pusher or both with a \
                     comma"
                ));
            }
        };
        if !protocols.contains(&protocol) {
            protocols.push(protocol);
        }
    }
    Ok(protocols)
}

/// Reads what follows `import pushi`.
pub(super) fn import_pushi(parser: &mut Parser) -> Result<Command, String> {
    let Some((which, files)) = words(parser, &[], |_, _| Ok(()))? else {
        return Ok(Command::Help(Topic::Import));
    };
    if files.is_empty() {
        return Err("import pushi: expected files that mongoexport has written".to_owned());
    }
    let files = files.into_iter().map(PathBuf::from).collect();
    Ok(Command::ImportPushi(ImportPushi { which, files }))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use std::ffi::OsString;

    fn read(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn files_apps_and_exports() {
        let which = |config: &str, path: &str| {
            format!(
                "Which {{ given: Given {{ config: {config}, listen: [], sets: [], pushi_env: false }}, \
                 path: {path} }}"
            )
        };
        let none = which("None", "None");
        let path = which("None", "Some(\"a.db\")");
        let config = which("Some(\"a.toml\")", "None");
        for (line, expected) in [
            ("store check", format!("Store(Check({none}))")),
            ("store check --path a.db", format!("Store(Check({path}))")),
            (
                "store compact --config a.toml",
                format!("Store(Compact({config}))"),
            ),
            (
                "store backup copy.db --path a.db",
                format!("Store(Backup({path}, \"copy.db\"))"),
            ),
            ("app list -i a.toml", format!("App(List({config}))")),
            ("app rotate 1001", format!("App(Rotate({none}, \"1001\"))")),
            (
                "app add shop",
                format!(
                    "App(Add({none}, AppAdd {{ name: \"shop\", id: None, protocols: [Pushi] }}))"
                ),
            ),
            (
                "app add shop --id 7 --protocols pusher,pushi,pusher",
                format!(
                    "App(Add({none}, AppAdd {{ name: \"shop\", id: Some(\"7\"), protocols: [Pusher, \
                     Pushi] }}))"
                ),
            ),
            (
                "import pushi a.json --path a.db b.json",
                format!(
                    "ImportPushi(ImportPushi {{ which: {path}, files: [\"a.json\", \"b.json\"] }})"
                ),
            ),
            ("store -h", "Help(Store)".to_owned()),
            ("store check --help", "Help(Store)".to_owned()),
            ("app -h", "Help(App)".to_owned()),
            ("app add x -h", "Help(App)".to_owned()),
            ("app list -h", "Help(App)".to_owned()),
            ("import pushi -h", "Help(Import)".to_owned()),
        ] {
            let command = read(line).map(|command| format!("{command:?}"));
            assert_eq!(command, Ok(expected), "{line}");
        }
    }

    #[test]
    fn mistakes() {
        for (line, piece) in [
            ("store", "expected one of check, backup, compact"),
            ("store chek", "did you mean store check?"),
            ("store check a.db", "unexpected argument \"a.db\""),
            ("store backup", "expected the file to write"),
            ("store backup a b", "unexpected argument \"b\""),
            ("store check --pth a", "did you mean --path?"),
            ("store check --path a --config b", "no settings beside it"),
            (
                "store check --set store.path=a --path b",
                "no settings beside it",
            ),
            ("store check --listen a", "unknown option --listen"),
            ("app", "expected one of add, list, rotate"),
            ("app lst", "did you mean app list?"),
            ("app add", "expected a name"),
            ("app add a b", "unexpected argument \"b\""),
            (
                "app add a --protocols channelstream",
                "expected pushi, pusher",
            ),
            ("app add a --protocols", "missing argument"),
            ("app list x", "unexpected argument \"x\""),
            ("app rotate", "expected the id of an app"),
            ("app list --id 4", "unknown option --id"),
            (
                "import pushi",
                "expected files that mongoexport has written",
            ),
            ("import pushy a", "did you mean import pushi?"),
        ] {
            let message = read(line).expect_err(line);
            assert!(message.contains(piece), "{line}: {message}");
        }
    }
}
