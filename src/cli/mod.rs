//! The command line: from arguments to one of the commands, and the commands that need no server.
//!
//! Answers go to standard output, complaints to standard error. Exit codes are a contract with
//! scripts and unit files.

mod args;
pub(crate) mod dev;
mod help;
#[cfg(feature = "store")]
mod import_pushi;
mod init;
mod log;
pub(crate) mod notify;
mod sign;
#[cfg(feature = "store")]
pub(crate) mod store;

use args::{Command, Given};
use fanwire::options::{self, Config, Inputs, Loaded, Severity, Source};
use fanwire::side::store::OpenError;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// The server could not start: port, permission.
pub(crate) const EXIT_NOT_STARTED: u8 = 1;
/// The arguments or the configuration are wrong.
pub(crate) const EXIT_USAGE: u8 = 2;
/// Stopped, but something was still open when the time for it ran out.
pub(crate) const EXIT_DRAIN: u8 = 3;
/// The store's file is damaged, may not be written, or is none that this version can use.
pub(crate) const EXIT_STORE: u8 = 4;

/// Settings files and secrets are small; nothing larger is read into memory.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Makes the settings again.
pub(crate) type Reload<'a> = dyn Fn() -> Result<Config, String> + 'a;
/// Runs the server: settings, whether it is `fanwire dev`, and how to make the settings again.
pub(crate) type Start = fn(Config, bool, &Reload<'_>) -> ExitCode;

/// Does what the arguments say.
pub(crate) fn main(start: Start) -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(command) => run(command, start),
        Err(message) => usage(&message),
    }
}

fn run(command: Command, start: Start) -> ExitCode {
    match command {
        Command::Welcome => answer(help::WELCOME),
        Command::Help(topic) => answer(topic.text()),
        Command::VersionNumber => answer(concat!(env!("CARGO_PKG_VERSION"), "\n")),
        Command::Version => answer(&version()),
        Command::Run(given) => serve(&given, false, start),
        Command::Dev(given) => serve(&given, true, start),
        Command::Init(given) => init::init(&given),
        Command::Import(given) => init::import(&given),
        #[cfg(feature = "store")]
        Command::ImportPushi(given) => import_pushi::import(&given),
        Command::MakeConfig(given) => init::make(&given),
        Command::Check(given) => check(&given),
        Command::Dump(given) => with_config(&given, |loaded| {
            answer(&options::dump(&loaded.config, &loaded.sources))
        }),
        Command::Document => answer(&options::document()),
        Command::ExplainAll(given) => with_config(&given, |loaded| {
            answer(&options::explain_all(&loaded.config, &loaded.sources))
        }),
        Command::Explain(given, opt) => with_config(&given, |loaded| {
            answer(&options::explain(opt, &loaded.config, &loaded.sources))
        }),
        Command::Sign(sign) => sign::sign(&sign),
        #[cfg(feature = "store")]
        Command::Store(task) => store::store(&task),
        #[cfg(feature = "store")]
        Command::App(task) => store::app(&task),
        #[cfg(not(feature = "store"))]
        Command::ImportPushi(_) | Command::Store(_) | Command::App(_) => {
            usage("this build has no feature \"store\", so that there is no database file")
        }
    }
}

/// Writes an answer. A reader that has seen enough (`| head`) is no failure.
fn answer(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EXIT_NOT_STARTED),
    }
}

/// Ends the process without waiting for anybody, as safe as being killed.
pub(crate) fn exit_now(code: u8) -> ! {
    dev::remove_folder();
    ::log::logger().flush();
    std::process::exit(i32::from(code))
}

/// The exit code of a process that could not open its store.
pub(crate) fn exit_of_store(error: &OpenError) -> u8 {
    if error.is_of_the_file() {
        EXIT_STORE
    } else {
        EXIT_NOT_STARTED
    }
}

/// Bytes that nobody can guess, or why there are none.
fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(why) => Err(format!("no randomness: {why}")),
    }
}

/// Writes a complaint; if nobody can read it there is nothing more to do.
fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "fanwire: {text}");
}

fn usage(message: &str) -> ExitCode {
    complain(message);
    ExitCode::from(EXIT_USAGE)
}

fn version() -> String {
    let features = [
        (cfg!(feature = "server"), "server"),
        (cfg!(feature = "tls"), "tls"),
        (cfg!(feature = "store"), "store"),
    ];
    let features = features
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| name);
    format!(
        "fanwire {}\ncommit {}\nfeatures {}\n",
        env!("CARGO_PKG_VERSION"),
        option_env!("FANWIRE_COMMIT").unwrap_or("unknown"),
        features.collect::<Vec<_>>().join(" "),
    )
}

fn serve(given: &Given, dev: bool, start: Start) -> ExitCode {
    let mut loaded = match load(given, dev) {
        Ok(loaded) => loaded,
        Err(message) => return usage(&message),
    };
    if loaded.has_errors() {
        complain_all(&loaded, Severity::Error);
        return ExitCode::from(EXIT_USAGE);
    }
    if let Err(error) = with_folder(&mut loaded) {
        complain(&format!("could not start: a folder for the store: {error}"));
        return ExitCode::from(EXIT_NOT_STARTED);
    }
    log::start(loaded.config.log);
    if dev {
        ::log::warn!("fanwire dev is for development: everybody knows its keys");
    }
    for problem in loaded.of(Severity::Warning) {
        ::log::warn!("{problem}");
    }
    let reload = || {
        let mut loaded = load(given, dev)?;
        with_folder(&mut loaded).map_err(|error| error.to_string())?;
        let errors: Vec<String> = loaded
            .of(Severity::Error)
            .map(ToString::to_string)
            .collect();
        if errors.is_empty() {
            Ok(loaded.config)
        } else {
            Err(errors.join("\n"))
        }
    };
    let code = start(loaded.config, dev, &reload);
    dev::remove_folder();
    ::log::logger().flush();
    code
}

/// Under `fanwire dev` the store lies in a folder that goes with the server, unless somebody has said
/// where it should be.
fn with_folder(loaded: &mut Loaded) -> io::Result<()> {
    if cfg!(feature = "store") && loaded.sources.of("store.path") == Source::Dev {
        loaded.config.store.path = Some(dev::make_folder()?.join("fanwire.db"));
    }
    Ok(())
}

/// Hands good settings on; bad ones are complained about.
fn with_config(given: &Given, then: impl FnOnce(&Loaded) -> ExitCode) -> ExitCode {
    match load(given, false) {
        Ok(loaded) if loaded.has_errors() => {
            complain_all(&loaded, Severity::Error);
            ExitCode::from(EXIT_USAGE)
        }
        Ok(loaded) => then(&loaded),
        Err(message) => usage(&message),
    }
}

fn complain_all(loaded: &Loaded, severity: Severity) {
    for problem in loaded.of(severity) {
        complain(&format!("{}: {problem}", severity.as_str()));
    }
}

/// `config check`: everything there is to say, errors and warnings to standard error.
fn check(given: &Given) -> ExitCode {
    let loaded = match load(given, false) {
        Ok(loaded) => loaded,
        Err(message) => return usage(&message),
    };
    complain_all(&loaded, Severity::Error);
    complain_all(&loaded, Severity::Warning);
    let mut text = String::new();
    for note in loaded.of(Severity::Note) {
        text += &format!("note: {note}\n");
    }
    let count = |severity| loaded.of(severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let verdict = if errors == 0 { "good" } else { "bad" };
    text += &format!("the configuration is {verdict}: {errors} errors, {warnings} warnings\n");
    let code = answer(&text);
    if errors == 0 {
        code
    } else {
        ExitCode::from(EXIT_USAGE)
    }
}

/// Makes settings from what was given on the command line and the world around it.
fn load(given: &Given, dev: bool) -> Result<Loaded, String> {
    let env = environment(given.pushi_env)?;
    // As in the original, the variable counts where no file was given.
    let named = if dev || given.pushi_env {
        None
    } else {
        options::ini_named(&env).map(Path::new)
    };
    let file = match given.config.as_deref().or(named) {
        Some(path) => {
            let text = read(path).map_err(|why| format!("{}: {why}", path.display()))?;
            Some((path.display().to_string(), text))
        }
        None => None,
    };
    Ok(options::load(&Inputs {
        file: file
            .as_ref()
            .map(|(name, text)| (name.as_str(), text.as_str())),
        env: &env,
        sets: &given.sets,
        listen: &given.listen,
        dev,
        pushi_env: given.pushi_env,
        read: &read,
    }))
}

/// The variables that may be settings; those of Pushi only if they are wanted, as their names are
/// anybody's.
fn environment(pushi: bool) -> Result<Vec<(String, String)>, String> {
    let mut env = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let is_ours = name.starts_with("FANWIRE_") || name.starts_with("CHANNELSTREAM_");
        if is_ours || (pushi && options::is_pushi_variable(name)) {
            let value = value
                .into_string()
                .map_err(|_| format!("{name}: expected UTF-8"))?;
            env.push((name.to_owned(), value));
        }
    }
    Ok(env)
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = read_bytes(path)?;
    String::from_utf8(bytes).map_err(|_| "expected UTF-8".to_owned())
}

/// A small file whole.
fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    read_all(file)
}

/// All there is to read, unless it is no small file.
fn read_all(file: impl io::Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let limited = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    limited.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("longer than {FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}
