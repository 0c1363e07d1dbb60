//! `fanwire init`, `fanwire import` and `fanwire make-config`: commands that write settings.
//!
//! What they write holds secrets, so files are made for their owner's eyes only, and a file that
//! is there already stays as it is unless one says otherwise.

use super::args::{Import, Init, MakeConfig};
use super::{
    EXIT_NOT_STARTED, EXIT_USAGE, answer, complain, complain_all, environment, random, read,
};
use fanwire::dialect::channelstream::stamps::{push_uuid, uuid_v4};
use fanwire::options::{self, FileKind, FreshSecrets, Inputs, Severity, make_config};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The names of the files that `init` writes.
const SETTINGS: &str = "fanwire.toml";
const UNIT: &str = "fanwire.service";

/// For the owner alone.
const SECRET_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;

/// Bytes of a fresh secret: 160 bits, 32 letters and digits.
const SECRET_BYTES: usize = 20;

/// Bytes of a fresh key, written as the 64 hex digits that Pushi wants.
const KEY_BYTES: usize = 32;

/// `fanwire init`: settings with secrets of their own, and a unit for systemd.
pub(super) fn init(given: &Init) -> ExitCode {
    match try_init(given) {
        Ok(text) => answer(&text),
        Err(failure) => failure.told(),
    }
}

fn try_init(given: &Init) -> Result<String, Failure> {
    let dir = given.dir.as_deref().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(|why| Failure::system(dir, &why))?;
    let dir = fs::canonicalize(dir).map_err(|why| Failure::system(dir, &why))?;
    let program =
        std::env::current_exe().map_err(|why| Failure::system(Path::new("fanwire"), &why))?;
    let (settings, unit) = (dir.join(SETTINGS), dir.join(UNIT));
    if !given.force {
        // Both are looked at before either is written.
        for path in [&settings, &unit] {
            refuse_existing(path)?;
        }
    }
    let secrets = FreshSecrets {
        secret: fresh_secret()?,
        cookie_secret: fresh_secret()?,
        admin_password: fresh_secret()?,
        metrics_token: fresh_secret()?,
        app_key: data_encoding::HEXLOWER.encode(&random::<KEY_BYTES>().map_err(Failure::System)?),
        app_secret: fresh_secret()?,
    };
    let unit_text = unit_text(&program, &settings)
        .ok_or_else(|| Failure::Usage(format!("{}: a unit needs paths in UTF-8", dir.display())))?;
    write(
        &settings,
        &options::fresh_toml(secrets),
        SECRET_MODE,
        given.force,
    )?;
    write(&unit, &unit_text, PUBLIC_MODE, given.force)?;
    let (program, settings, unit) = (in_shell(&program), in_shell(&settings), in_shell(&unit));
    Ok(format!(
        "made {settings}\nmade {unit}\n\n\
         Run it here:\n  {program} run --config {settings}\n\n\
         Or as a service:\n  \
         sudo useradd --system --no-create-home --shell /usr/sbin/nologin fanwire\n  \
         sudo chown fanwire: {settings}\n  \
         sudo systemctl enable --now {unit}\n\n\
         What is stored lies in fanwire.db where the server is started; the service has it in\n\
         /var/lib/fanwire. Make an app for Pushi's clients there:\n  \
         {program} app add NAME --config {settings}\n"
    ))
}

/// A unit that starts `program` with `settings`. Nothing if the paths are not text.
fn unit_text(program: &Path, settings: &Path) -> Option<String> {
    // The name of the program is the one word in which variables are not looked for.
    let (program, settings) = (in_unit(program)?, in_unit(settings)?.replace('$', "$$"));
    Some(format!(
        "\
# A unit of systemd for fanwire, made by `fanwire init`.

[Unit]
Description=fanwire, a realtime server
Wants=network-online.target
After=network-online.target

[Service]
# The server says itself when it listens and when it stops, and its loop feeds the watchdog.
Type=notify
WatchdogSec=30
ExecStart={program} run --config {settings}
# Settings and certificates anew.
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
# The store's file lies here, unless the settings name another place.
StateDirectory=fanwire
WorkingDirectory=/var/lib/fanwire
# Longer than timeouts.drain.
TimeoutStopSec=20
LimitNOFILE=1048576

User=fanwire
Group=fanwire
UMask=0077
# For listen = [\"unix:/run/fanwire/fanwire.sock\"].
RuntimeDirectory=fanwire

# Listening below port 1024 needs CAP_NET_BIND_SERVICE in both of these.
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"
    ))
}

/// A path as one word of a command line in a unit (systemd.service(5), systemd.syntax(7)).
fn in_unit(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    if path.contains(char::is_control) {
        return None;
    }
    let mut out = String::from("\"");
    for c in path.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '%' => out.extend([c, c]),
            c => out.push(c),
        }
    }
    out.push('"');
    Some(out)
}

/// A path as one word for a shell, as it is where nothing in it means anything to one.
fn in_shell(path: &Path) -> String {
    let path = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@%:,=".contains(c);
    if !path.is_empty() && path.chars().all(is_plain) {
        return path.into_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// `fanwire import channelstream`: the original's settings as ours.
pub(super) fn import(given: &Import) -> ExitCode {
    match try_import(given) {
        Ok(code) => code,
        Err(failure) => failure.told(),
    }
}

fn try_import(given: &Import) -> Result<ExitCode, Failure> {
    let name = given.file.display().to_string();
    let text = read(&given.file).map_err(|why| Failure::Usage(format!("{name}: {why}")))?;
    if options::file_kind(&name, &text) != FileKind::Ini {
        let what = "expected an INI file with a section [channelstream]";
        return Err(Failure::Usage(format!("{name}: {what}")));
    }
    let loaded = options::load(&Inputs {
        file: Some((&name, &text)),
        // As beside any INI file it is not looked at.
        env: &[],
        sets: &[],
        listen: &[],
        dev: false,
        pushi_env: false,
        read: &read,
    });
    complain_all(&loaded, Severity::Error);
    complain_all(&loaded, Severity::Warning);
    if loaded.has_errors() {
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let made = options::imported_toml(&loaded, &name);
    match &given.output {
        None => Ok(answer(&made)),
        Some(path) => {
            if !given.force {
                refuse_existing(path)?;
            }
            write(path, &made, SECRET_MODE, given.force)?;
            let path = in_shell(path);
            Ok(answer(&format!(
                "made {path}\n\nNext:\n  fanwire config check --config {path}\n"
            )))
        }
    }
}

/// `fanwire make-config`: what the original's tool of that name does.
pub(super) fn make(given: &MakeConfig) -> ExitCode {
    match try_make(given) {
        Ok(code) => code,
        Err(failure) => failure.told(),
    }
}

fn try_make(given: &MakeConfig) -> Result<ExitCode, Failure> {
    let made = match &given.json {
        Some(json) => make_config::from_json(json),
        None => {
            let env = environment(false).map_err(Failure::Usage)?;
            make_config::from_environment(&env, &fresh_uuid()?)
        }
    };
    let made = made.map_err(|why| Failure::Usage(format!("make-config: {why}")))?;
    for warning in &made.warnings {
        complain(&format!("warning: {warning}"));
    }
    match &given.output {
        None => Ok(answer(&made.ini)),
        Some(path) => {
            // As the original does: scripts run it again and again.
            write(path, &made.ini, SECRET_MODE, true)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Why a command wrote nothing.
enum Failure {
    /// What was asked for cannot be.
    Usage(String),
    /// The system would not let us.
    System(String),
}

impl Failure {
    fn system(path: &Path, why: &io::Error) -> Self {
        Self::System(format!("{}: {why}", path.display()))
    }

    fn told(self) -> ExitCode {
        let (message, code) = match self {
            Self::Usage(message) => (message, EXIT_USAGE),
            Self::System(message) => (message, EXIT_NOT_STARTED),
        };
        complain(&message);
        ExitCode::from(code)
    }
}

fn refuse_existing(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() {
        let message = "is there already; --force overwrites it";
        return Err(Failure::Usage(format!("{} {message}", path.display())));
    }
    Ok(())
}

/// Writes a file whole or not at all. What is no file, such as `/dev/stdout`, is written to.
fn write(path: &Path, text: &str, mode: u32, may_replace: bool) -> Result<(), Failure> {
    let failed = |why: io::Error| Failure::system(path, &why);
    let is_special = fs::metadata(path).is_ok_and(|there| !there.is_file());
    if is_special {
        let mut there = OpenOptions::new().write(true).open(path).map_err(failed)?;
        return there.write_all(text.as_bytes()).map_err(failed);
    }
    if !may_replace {
        // The system sees to it that nobody comes between the look and the writing.
        return write_new(path, text, mode).map_err(failed);
    }
    let beside = beside(path);
    let replaced = write_new(&beside, text, mode).and_then(|()| fs::rename(&beside, path));
    replaced.map_err(|why| {
        // Whatever is left of it is of no use; the failure itself is what matters.
        let _ = fs::remove_file(&beside);
        failed(why)
    })
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    // The umask takes bits away, which is not meant for the unit.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A name in the same folder, of this process alone.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn fresh_secret() -> Result<String, Failure> {
    let bytes = random::<SECRET_BYTES>().map_err(Failure::System)?;
    Ok(data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase())
}

/// A random UUID, as the original puts there.
fn fresh_uuid() -> Result<String, Failure> {
    let mut text = Vec::with_capacity(36);
    push_uuid(&mut text, uuid_v4(random::<16>().map_err(Failure::System)?));
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_one_word() {
        for (path, word) in [
            ("/usr/bin/fanwire", r#""/usr/bin/fanwire""#),
            ("/a b/c", r#""/a b/c""#),
            (r#"/a"b\c"#, r#""/a\"b\\c""#),
            ("/100%/é", r#""/100%%/é""#),
        ] {
            assert_eq!(in_unit(Path::new(path)).as_deref(), Some(word));
        }
        assert_eq!(in_unit(Path::new("/a\nUser=root")), None);
        let unit = unit_text(Path::new("/$A/fanwire"), Path::new("/$B/f.toml")).expect("text");
        let start = "\nExecStart=\"/$A/fanwire\" run --config \"/$$B/f.toml\"\n";
        assert!(unit.contains(start), "{unit}");
        for (path, word) in [
            ("/etc/fanwire.toml", "/etc/fanwire.toml"),
            ("/a b", "'/a b'"),
            ("/$(id)`;&|<>*?#!~", "'/$(id)`;&|<>*?#!~'"),
            ("/it's", r"'/it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(in_shell(Path::new(path)), word);
        }
    }
}
