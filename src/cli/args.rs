//! Arguments to a [`Command`]. Nothing is looked up or read here.

mod sign;
// Without a store the arguments are understood, so that it can be said that there is none.
#[cfg_attr(not(feature = "store"), allow(dead_code))]
mod store;

pub(crate) use sign::{Sign, SignChannel, SignChannelstream, SignPushi, SignRequest, Signer};
#[cfg(feature = "store")]
pub(crate) use store::{AppAdd, Which};
pub(crate) use store::{AppTask, ImportPushi, Store};

use super::help::Topic;
use fanwire::options::{Known, nearest};
use lexopt::{Arg, Parser};
use std::ffi::OsString;
use std::path::PathBuf;

/// What the user wants.
#[derive(Debug)]
#[cfg_attr(not(feature = "store"), allow(dead_code))]
pub(crate) enum Command {
    Welcome,
    Help(Topic),
    Version,
    VersionNumber,
    Run(Given),
    Dev(Given),
    Init(Init),
    Import(Import),
    ImportPushi(ImportPushi),
    MakeConfig(MakeConfig),
    Check(Given),
    Dump(Given),
    Explain(Given, Known),
    ExplainAll(Given),
    /// The table of options as Markdown.
    Document,
    Sign(Sign),
    Store(Store),
    App(AppTask),
}

/// What `fanwire init` was given.
#[derive(Debug, Default)]
pub(crate) struct Init {
    /// Else the working directory.
    pub(crate) dir: Option<PathBuf>,
    /// Files that are there may be replaced.
    pub(crate) force: bool,
}

/// What `fanwire import channelstream` was given.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) file: PathBuf,
    /// Else standard output.
    pub(crate) output: Option<PathBuf>,
    /// A file that is there may be replaced.
    pub(crate) force: bool,
}

/// What `fanwire make-config` was given.
#[derive(Debug, Default)]
pub(crate) struct MakeConfig {
    /// Else the environment.
    pub(crate) json: Option<String>,
    /// Else standard output.
    pub(crate) output: Option<PathBuf>,
}

/// Where settings come from, as far as the command line says it.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) config: Option<PathBuf>,
    pub(crate) listen: Vec<String>,
    pub(crate) sets: Vec<String>,
    /// Pushi's variables instead of a file.
    pub(crate) pushi_env: bool,
}

const COMMANDS: [&str; 10] = [
    "run",
    "dev",
    "init",
    "import",
    "make-config",
    "config",
    "sign",
    "store",
    "app",
    "version",
];
const IMPORTS: [&str; 2] = ["channelstream", "pushi"];
const CONFIG_COMMANDS: [&str; 3] = ["check", "dump", "explain"];
/// Options of commands that read settings.
const SETTINGS: [&str; 5] = ["config", "ini", "listen", "set", "pushi-env"];

const FILE_AND_PUSHI_ENV: &str =
    "--pushi-env takes the place of a configuration file; expected one of the two";

/// Reads the arguments that follow the program's name.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = Parser::from_args(args);
    match next(&mut parser, &["help", "version"])? {
        None => Ok(Command::Welcome),
        Some(Word::Help) => Ok(Command::Help(Topic::All)),
        Some(Word::Option(name)) if name == "version" => Ok(Command::VersionNumber),
        Some(Word::Option(name)) => Err(format!("unknown option {name}; see fanwire --help")),
        Some(Word::Value(command)) => match command.as_str() {
            "run" => settings(&mut parser, &SETTINGS, Topic::Run, Command::Run),
            "dev" => settings(&mut parser, &["listen"], Topic::Dev, Command::Dev),
            "init" => init(&mut parser),
            "import" => import(&mut parser),
            "make-config" => make_config(&mut parser),
            "config" => config(&mut parser),
            "sign" => sign::sign(&mut parser),
            "store" => store::store(&mut parser),
            "app" => store::app(&mut parser),
            "version" => settings(&mut parser, &[], Topic::All, |_| Command::Version),
            unknown => Err(unknown_command("", unknown, &COMMANDS)),
        },
    }
}

/// One argument.
enum Word {
    Help,
    /// An option by its long name.
    Option(String),
    Value(String),
}

/// The next argument. Options that are not among `known` are refused, with the nearest.
fn next(parser: &mut Parser, known: &[&str]) -> Result<Option<Word>, String> {
    let word = match parser.next().map_err(|error| error.to_string())? {
        None => return Ok(None),
        Some(Arg::Short('h')) => return Ok(Some(Word::Help)),
        Some(Arg::Long("help")) => return Ok(Some(Word::Help)),
        Some(Arg::Short('i')) if known.contains(&"ini") => Word::Option("ini".to_owned()),
        Some(Arg::Short('j')) if known.contains(&"json") => Word::Option("json".to_owned()),
        Some(Arg::Short('o')) if known.contains(&"output") => Word::Option("output".to_owned()),
        Some(Arg::Short('v')) if known.contains(&"version") => Word::Option("version".to_owned()),
        Some(Arg::Long(name)) if known.contains(&name) => Word::Option(name.to_owned()),
        Some(Arg::Value(value)) => Word::Value(text(value)?),
        Some(Arg::Short(letter)) => return Err(format!("unknown option -{letter}; see --help")),
        Some(Arg::Long(name)) => {
            let near = nearest(name, known.iter().copied());
            let near = near.map_or("see --help".to_owned(), |near| {
                format!("did you mean --{near}?")
            });
            return Err(format!("unknown option --{name}; {near}"));
        }
    };
    Ok(Some(word))
}

fn text(value: OsString) -> Result<String, String> {
    value
        .into_string()
        .map_err(|value| format!("{value:?}: expected UTF-8"))
}

fn value(parser: &mut Parser) -> Result<OsString, String> {
    parser.value().map_err(|error| error.to_string())
}

fn unknown_command(before: &str, unknown: &str, known: &[&str]) -> String {
    match nearest(unknown, known.iter().copied()) {
        Some(near) => format!("unknown command {before}{unknown}; did you mean {before}{near}?"),
        None => format!(
            "unknown command {before}{unknown}; expected one of {}",
            known.join(", ")
        ),
    }
}

fn surplus(word: &str) -> String {
    format!("unexpected argument {word:?}; see --help")
}

impl Given {
    /// Takes the value of one of [`SETTINGS`].
    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<(), String> {
        match name {
            "listen" => self.listen.push(text(value(parser)?)?),
            "set" => self.sets.push(text(value(parser)?)?),
            "pushi-env" if self.config.is_some() => return Err(FILE_AND_PUSHI_ENV.to_owned()),
            "pushi-env" => self.pushi_env = true,
            _ if self.pushi_env => return Err(FILE_AND_PUSHI_ENV.to_owned()),
            _ if self.config.is_some() => {
                return Err(format!("--{name}: a configuration file is given already"));
            }
            _ => self.config = Some(value(parser)?.into()),
        }
        Ok(())
    }
}

/// A command that has only options about settings.
fn settings(
    parser: &mut Parser,
    known: &[&str],
    topic: Topic,
    command: impl FnOnce(Given) -> Command,
) -> Result<Command, String> {
    let mut given = Given::default();
    while let Some(word) = next(parser, known)? {
        match word {
            Word::Help => return Ok(Command::Help(topic)),
            Word::Option(name) => given.take(&name, parser)?,
            Word::Value(word) => return Err(surplus(&word)),
        }
    }
    Ok(command(given))
}

fn init(parser: &mut Parser) -> Result<Command, String> {
    let mut init = Init::default();
    while let Some(word) = next(parser, &["force"])? {
        match word {
            Word::Help => return Ok(Command::Help(Topic::Init)),
            Word::Option(_) => init.force = true,
            Word::Value(word) if init.dir.is_some() => return Err(surplus(&word)),
            Word::Value(word) => init.dir = Some(word.into()),
        }
    }
    Ok(Command::Init(init))
}

fn import(parser: &mut Parser) -> Result<Command, String> {
    match next(parser, &[])? {
        Some(Word::Value(what)) if what == "channelstream" => {}
        Some(Word::Value(what)) if what == "pushi" => return store::import_pushi(parser),
        Some(Word::Value(what)) => return Err(unknown_command("import ", &what, &IMPORTS)),
        Some(Word::Help) => return Ok(Command::Help(Topic::Import)),
        Some(Word::Option(_)) | None => {
            return Err(format!("import: expected one of {}", IMPORTS.join(", ")));
        }
    }
    let (mut file, mut output, mut force) = (None, None, false);
    while let Some(word) = next(parser, &["output", "force"])? {
        match word {
            Word::Help => return Ok(Command::Help(Topic::Import)),
            Word::Option(name) if name == "force" => force = true,
            Word::Option(_) => output = Some(value(parser)?.into()),
            Word::Value(word) if file.is_some() => return Err(surplus(&word)),
            Word::Value(word) => file = Some(word.into()),
        }
    }
    let file = file.ok_or("import channelstream: expected an INI file")?;
    Ok(Command::Import(Import {
        file,
        output,
        force,
    }))
}

fn make_config(parser: &mut Parser) -> Result<Command, String> {
    let mut make = MakeConfig::default();
    while let Some(word) = next(parser, &["json", "output"])? {
        match word {
            Word::Help => return Ok(Command::Help(Topic::MakeConfig)),
            Word::Option(name) if name == "json" => make.json = Some(text(value(parser)?)?),
            Word::Option(_) => make.output = Some(value(parser)?.into()),
            Word::Value(word) => return Err(surplus(&word)),
        }
    }
    Ok(Command::MakeConfig(make))
}

fn config(parser: &mut Parser) -> Result<Command, String> {
    match next(parser, &[])? {
        Some(Word::Value(command)) => match command.as_str() {
            "check" => settings(parser, &SETTINGS, Topic::Config, Command::Check),
            "dump" => settings(parser, &SETTINGS, Topic::Config, Command::Dump),
            "explain" => explain(parser),
            unknown => Err(unknown_command("config ", unknown, &CONFIG_COMMANDS)),
        },
        Some(Word::Help) => Ok(Command::Help(Topic::Config)),
        Some(Word::Option(_)) | None => Err(format!(
            "config: expected one of {}",
            CONFIG_COMMANDS.join(", ")
        )),
    }
}

fn explain(parser: &mut Parser) -> Result<Command, String> {
    let known = [&SETTINGS[..], &["all", "markdown"]].concat();
    let mut given = Given::default();
    let (mut key, mut all, mut markdown) = (None, false, false);
    while let Some(word) = next(parser, &known)? {
        match word {
            Word::Help => return Ok(Command::Help(Topic::Config)),
            Word::Option(name) if name == "all" => all = true,
            Word::Option(name) if name == "markdown" => markdown = true,
            Word::Option(name) => given.take(&name, parser)?,
            Word::Value(word) if key.is_some() => return Err(surplus(&word)),
            Word::Value(word) => key = Some(word),
        }
    }
    match (key, all, markdown) {
        (None, true, true) => Ok(Command::Document),
        (None, true, false) => Ok(Command::ExplainAll(given)),
        (Some(key), false, false) => {
            let known = Known::find(&key);
            known
                .map(|known| Command::Explain(given, known))
                .ok_or_else(|| unknown_key(&key))
        }
        (None, false, true) => Err("config explain: --markdown goes with --all".to_owned()),
        (None, false, false) => {
            Err("config explain: expected a key such as limits.message_bytes, or --all".to_owned())
        }
        (Some(_), _, _) => {
            Err("config explain: expected either a key or --all [--markdown]".to_owned())
        }
    }
}

fn unknown_key(key: &str) -> String {
    let unknown = fanwire::options::unknown(key);
    format!("config explain {key}: {unknown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands() {
        let cases: &[(&str, &str)] = &[
            ("", "Welcome"),
            ("-h", "Help(All)"),
            ("--help", "Help(All)"),
            ("-v", "VersionNumber"),
            ("--version", "VersionNumber"),
            ("version", "Version"),
            ("version --help", "Help(All)"),
            (
                "run",
                "Run(Given { config: None, listen: [], sets: [], pushi_env: false })",
            ),
            (
                "run -i a.ini --listen x --listen=y --set a=b",
                "Run(Given { config: Some(\"a.ini\"), listen: [\"x\", \"y\"], sets: [\"a=b\"], pushi_env: false })",
            ),
            (
                "run --ini a",
                "Run(Given { config: Some(\"a\"), listen: [], sets: [], pushi_env: false })",
            ),
            ("run --config a -h", "Help(Run)"),
            (
                "run --pushi-env --set a=b",
                "Run(Given { config: None, listen: [], sets: [\"a=b\"], pushi_env: true })",
            ),
            (
                "dev --listen x",
                "Dev(Given { config: None, listen: [\"x\"], sets: [], pushi_env: false })",
            ),
            ("dev --help", "Help(Dev)"),
            ("init", "Init(Init { dir: None, force: false })"),
            (
                "init /etc/fanwire --force",
                "Init(Init { dir: Some(\"/etc/fanwire\"), force: true })",
            ),
            (
                "import channelstream a.ini -o b.toml",
                "Import(Import { file: \"a.ini\", output: Some(\"b.toml\"), force: false })",
            ),
            (
                "make-config -j {} -o f",
                "MakeConfig(MakeConfig { json: Some(\"{}\"), output: Some(\"f\") })",
            ),
            (
                "make-config",
                "MakeConfig(MakeConfig { json: None, output: None })",
            ),
            ("init -h", "Help(Init)"),
            ("import -h", "Help(Import)"),
            ("import channelstream -h", "Help(Import)"),
            ("make-config --help", "Help(MakeConfig)"),
            ("config --help", "Help(Config)"),
            (
                "config check --config a",
                "Check(Given { config: Some(\"a\"), listen: [], sets: [], pushi_env: false })",
            ),
            (
                "config dump",
                "Dump(Given { config: None, listen: [], sets: [], pushi_env: false })",
            ),
            (
                "config explain --all",
                "ExplainAll(Given { config: None, listen: [], sets: [], pushi_env: false })",
            ),
            ("config explain --all --markdown", "Document"),
            ("sign -h", "Help(Sign)"),
            ("sign channelstream --at 5 -h", "Help(Sign)"),
        ];
        for (line, expected) in cases {
            let command = read(line).map(|command| format!("{command:?}"));
            assert_eq!(command.as_deref(), Ok(*expected), "{line}");
        }
        let Ok(Command::Explain(_, opt)) = read("config explain admin.password_file") else {
            panic!("an option is explained, also by the name of its file");
        };
        assert_eq!(opt.key(), "admin.password");
        for key in ["app.secret", "app.3.secret", "app.secret_file"] {
            let Ok(Command::Explain(_, opt)) = read(&format!("config explain {key}")) else {
                panic!("{key} is explained");
            };
            assert_eq!(opt.key(), "app.secret");
        }
    }

    #[test]
    fn mistakes() {
        let cases: &[(&str, &str)] = &[
            ("rnu", "unknown command rnu; did you mean run?"),
            (
                "webhooks",
                "expected one of run, dev, init, import, make-config, config, sign, store, app, version",
            ),
            ("run extra", "unexpected argument \"extra\""),
            (
                "run --lisetn x",
                "unknown option --lisetn; did you mean --listen?",
            ),
            ("run --zzz", "unknown option --zzz; see --help"),
            ("run -x", "unknown option -x"),
            ("run --listen", "missing argument"),
            ("run --config a -i b", "given already"),
            ("run --config a --pushi-env", "one of the two"),
            ("config dump --pushi-env -i a", "one of the two"),
            ("dev --pushi-env", "unknown option --pushi-env"),
            ("run --pushi-evn", "did you mean --pushi-env?"),
            ("-i a", "unknown option -i"),
            ("dev --set a=b", "unknown option --set"),
            ("dev -i a", "unknown option -i"),
            ("init a b", "unexpected argument \"b\""),
            ("init -o x", "unknown option -o"),
            ("import", "expected one of channelstream, pushi"),
            ("import soketi x", "unknown command import soketi"),
            ("import channelstream", "expected an INI file"),
            ("import channelstream a b", "unexpected argument \"b\""),
            ("make-config x", "unexpected argument \"x\""),
            ("make-config -j", "missing argument"),
            ("config", "expected one of check, dump, explain"),
            ("config chek", "did you mean config check?"),
            ("config explain", "expected a key"),
            (
                "config explain limits.mesage_bytes",
                "did you mean limits.message_bytes?",
            ),
            ("config explain app.kye", "did you mean app.key?"),
            ("config explain a b", "unexpected argument \"b\""),
            ("config explain log --all", "either a key or --all"),
            ("config explain --markdown", "goes with --all"),
        ];
        for (line, piece) in cases {
            let message = read(line).expect_err(line);
            assert!(message.contains(piece), "{line}: {message}");
        }
    }
}
