//! The fanwire binary: reads arguments and settings, then runs the server.
//!
//! What the commands do is in [`cli`]; the server itself is the library. It runs on a thread of
//! its own, and the main thread waits for signals: reading a certificate or a file again may take
//! its time there without anybody's messages waiting.

mod cli;

use cli::notify::Notifier;
use fanwire::dialect::channelstream::Channelstream;
use fanwire::engine::{DevApp, DevPage};
use fanwire::options::{App, Config, Protocol};
#[cfg(feature = "tls")]
use fanwire::options::{Certificate, ListenAddr};
use fanwire::reactor::{self, Bound, Clock};
use fanwire::server::{self, AppIds, Builder, Handle, OpenedStore, Running, Stopped};
use fanwire::side::store::OpenError;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fmt;
use std::io;
use std::process::ExitCode;
use std::thread;

/// The page that `fanwire dev` serves at `/`.
const PLAYGROUND: &str = concat!(
    include_str!("cli/playground/head.html"),
    include_str!("cli/playground/body.html"),
    "<script>\n\"use strict\";\n(() => {\n",
    include_str!("cli/playground/common.js"),
    include_str!("cli/playground/channelstream.js"),
    include_str!("cli/playground/pusher.js"),
    include_str!("cli/playground/pushi.js"),
    include_str!("cli/playground/start.js"),
    "})();\n</script>\n</body>\n</html>\n",
);

fn main() -> ExitCode {
    cli::main(start)
}

/// Runs the server in the foreground until it is told to stop. `reload` makes the settings again,
/// from the same arguments; a failure names what is wrong, one message per line.
fn start(mut config: Config, dev: bool, reload: &cli::Reload<'_>) -> ExitCode {
    log_panics();
    if dev {
        // So that a line copied from the terminal works tomorrow, too.
        config.channelstream.validate_requests = false;
    }
    let ids = AppIds::of(&config);
    match try_start(&config, &ids, dev) {
        Ok((running, signals)) => {
            let settings = Settings {
                config: &config,
                ids,
                dev,
                again: reload,
            };
            watch(running, signals, settings)
        }
        Err(error) => {
            log::error!("could not start: {error}");
            ExitCode::from(match error {
                NotStarted::Store(error) => cli::exit_of_store(&error),
                NotStarted::System(_) => cli::EXIT_NOT_STARTED,
            })
        }
    }
}

/// Why the server did not start.
#[derive(Debug)]
enum NotStarted {
    Store(OpenError),
    System(io::Error),
}

impl From<io::Error> for NotStarted {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

/// A panic that is caught costs one peer. What it said, and where, goes to the log like everything
/// else: the loop must not wait for whoever reads standard error.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let words = panic.payload_as_str().unwrap_or("no words");
        match panic.location() {
            Some(place) => log::error!("panic at {place}: {words}"),
            None => log::error!("panic: {words}"),
        }
    }));
}

fn try_start(config: &Config, ids: &AppIds, dev: bool) -> Result<(Running, Signals), NotStarted> {
    // Before anything listens, so that an early signal is not one that kills.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    match reactor::raise_open_files_limit() {
        Ok(limit) => log::info!("at most {limit} open files, connections included"),
        Err(error) => log::warn!("the open-files limit stays as it is: {error}"),
    }
    let page = dev.then(|| dev_page(config, ids));
    let store = OpenedStore::open(config, ids).map_err(NotStarted::Store)?;
    let builder = Builder::from_config(config, ids, page)
        .sample_process()
        .store(store);
    #[cfg(feature = "tls")]
    let builder = certificates(config, &config.listen)?
        .into_iter()
        .fold(builder, |builder, (of, tls)| builder.tls(of, tls));
    let running = builder.spawn()?;
    for bound in running.bound() {
        log::info!("listening on {bound}");
    }
    if dev && let Some(address) = running.bound().iter().find_map(Bound::address) {
        cli::dev::greet(
            &format!("http://{address}"),
            config,
            &dev_page(config, ids).signature,
            app_for(config, Protocol::Pusher),
            app_for(config, Protocol::Pushi),
        );
    }
    Ok((running, signals))
}

/// The first app that Pusher or Pushi is served for.
fn app_for(config: &Config, protocol: Protocol) -> Option<&App> {
    let is_on = match protocol {
        Protocol::Pusher => config.pusher.enabled,
        Protocol::Pushi => config.pushi.enabled,
        // It names its app, and needs none.
        Protocol::Channelstream => false,
    };
    let mut apps = config.apps.iter();
    apps.find(|app| is_on && app.allows(protocol))
}

/// The same for the page, if its credentials are those that everybody has: others are somebody's
/// secrets, and the page is for whoever asks.
fn app_of_page(config: &Config, protocol: Protocol, path_prefix: &str) -> Option<DevApp> {
    let known = App::dev();
    let is_known = |app: &&App| app.key == known.key && app.secret == known.secret;
    let app = app_for(config, protocol).filter(is_known)?;
    Some(DevApp {
        id: app.id.clone(),
        key: app.key.clone(),
        secret: app.secret.expose().to_owned(),
        path_prefix: path_prefix.to_owned(),
    })
}

/// What `fanwire dev` serves beside the protocols.
fn dev_page(config: &Config, ids: &AppIds) -> DevPage {
    let signer = Channelstream::new(server::channelstream_config(config, ids));
    let signature = signer.sign("channelstream", Clock::new().now().unix_seconds());
    DevPage {
        html: PLAYGROUND,
        signature,
        pusher: app_of_page(config, Protocol::Pusher, &config.pusher.path_prefix),
        pushi: app_of_page(config, Protocol::Pushi, ""),
    }
}

/// A certificate that was read, and which address of the start shows it.
#[cfg(feature = "tls")]
type Shown = (reactor::CertId, std::sync::Arc<rustls::ServerConfig>);

/// The certificates of the `tls:` addresses in `listen`, as these settings have them. Each is read
/// once, however many addresses show it.
#[cfg(feature = "tls")]
fn certificates(config: &Config, listen: &[ListenAddr]) -> io::Result<Vec<Shown>> {
    // One that no address shows is read, too: a file that is missing is a mistake.
    let mut read: Vec<(Certificate, std::sync::Arc<rustls::ServerConfig>)> = Vec::new();
    for certificate in config.tls.certificates() {
        if !read.iter().any(|(known, _)| *known == certificate) {
            let tls = read_certificate(&certificate)?;
            read.push((certificate, tls));
        }
    }
    let shown = listen.iter().enumerate().filter_map(|(place, at)| {
        let ListenAddr::Tls(address) = at else {
            return None;
        };
        // Checked settings have one for each of their addresses. After a reload an address may be
        // listened on that is not among them any more: it goes on showing what it did.
        let certificate = config.certificate(*address)?;
        let (_, tls) = read.iter().find(|(known, _)| *known == certificate)?;
        Some((server::cert_id(place), std::sync::Arc::clone(tls)))
    });
    Ok(shown.collect())
}

#[cfg(feature = "tls")]
fn read_certificate(certificate: &Certificate) -> io::Result<std::sync::Arc<rustls::ServerConfig>> {
    let read = |path: &std::path::Path| {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        std::fs::read(path).map_err(named)
    };
    let Certificate { cert, key } = certificate;
    reactor::tls_config(&read(cert)?, &read(key)?).map_err(|error| {
        let message = format!("{}, {}: {error}", cert.display(), key.display());
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

/// What is kept for the next reload.
struct Settings<'a> {
    /// Those of the start.
    config: &'a Config,
    /// Every app there has been.
    ids: AppIds,
    dev: bool,
    again: &'a cli::Reload<'a>,
}

/// Waits for signals and for the server's end.
fn watch(running: Running, mut signals: Signals, mut settings: Settings<'_>) -> ExitCode {
    let notifier = Notifier::from_env();
    let handle = running.handle();
    notifier.ready();
    let waiting = signals.handle();
    thread::scope(|scope| {
        let server = scope.spawn(move || {
            let how = running.wait();
            waiting.close();
            how
        });
        if let Some(every) = notifier.alive_every() {
            let (handle, notifier) = (handle.clone(), &notifier);
            scope.spawn(move || {
                // The loop itself must answer, or systemd is not told that all is well.
                while handle.stats().is_ok() {
                    notifier.alive();
                    thread::park_timeout(every);
                }
            });
        }
        let mut stopping = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => reload_server(&handle, &mut settings),
                _ if stopping => {
                    log::warn!("second signal: exiting now");
                    cli::exit_now(cli::EXIT_DRAIN);
                }
                _ => {
                    stopping = true;
                    log::info!("stopping: no new connections, saying goodbye");
                    notifier.stopping();
                    if handle.stop().is_err() {
                        break;
                    }
                }
            }
        }
        match server.join() {
            Ok(Ok(Stopped::Clean)) => {
                log::info!("stopped");
                ExitCode::SUCCESS
            }
            Ok(Ok(Stopped::TimedOut)) => {
                log::warn!("the time for stopping ran out; who was left was cut off");
                ExitCode::from(cli::EXIT_DRAIN)
            }
            Ok(Err(error)) => {
                log::error!("the loop failed: {error}");
                ExitCode::from(cli::EXIT_NOT_STARTED)
            }
            Err(_) => ExitCode::from(cli::EXIT_NOT_STARTED),
        }
    })
}

/// Whether something differs that is fixed when the loop is made.
fn needs_restart(new: &Config, old: &Config) -> bool {
    let fixed = |config: &Config| {
        let (limits, timeouts) = (&config.limits, &config.timeouts);
        (
            limits.connections,
            limits.connections_per_address,
            limits.out_queue_bytes,
            timeouts.write_stall_ms,
            timeouts.tls_handshake_ms,
            timeouts.drain_ms,
            config.busy_poll_ms,
        )
    };
    new.listen != old.listen
        || new.store != old.store
        || new.channelstream.persist != old.channelstream.persist
        || fixed(new) != fixed(old)
}

/// SIGHUP: settings and certificates anew, all or nothing. Addresses, queue limits, the number of
/// connections, busy polling and the store need a restart.
fn reload_server(handle: &Handle, settings: &mut Settings<'_>) {
    let (old, dev) = (settings.config, settings.dev);
    let refused = |why: &str| log::error!("not reloaded, the old settings stay: {why}");
    let mut config = match (settings.again)() {
        Ok(config) => config,
        Err(message) => return refused(&message),
    };
    if let Some(why) = server::why_restart(&config, old) {
        return refused(&why);
    }
    if dev {
        config.channelstream.validate_requests = false;
    }
    #[cfg(feature = "tls")]
    let certificates = match certificates(&config, &old.listen) {
        Ok(certificates) => certificates,
        Err(error) => {
            log::error!("not reloaded, the old certificates stay: {error}");
            return;
        }
    };
    // Last of all, as nothing takes numbers back.
    if let Err(why) = settings.ids.learn(&config) {
        return refused(&why.to_string());
    }
    let ids = &settings.ids;
    if needs_restart(&config, old) {
        log::warn!(
            "changed addresses, queue and connection limits, busy polling and store settings count \
             from the next start on"
        );
    }
    log::set_max_level(config.log);
    let page = dev.then(|| dev_page(&config, ids));
    let engine = server::engine_config(&config, ids, page);
    let dialects = server::dialects(&config, ids);
    let changed = handle.change(move |server| {
        server.reload(engine, &dialects);
        #[cfg(feature = "tls")]
        for (of, tls) in certificates {
            server.set_tls(of, tls);
        }
        log::info!("reloaded");
    });
    if changed.is_err() {
        log::warn!("not reloaded: the server has stopped");
    }
}
