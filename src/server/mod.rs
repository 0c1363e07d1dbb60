//! Wiring: reactor, engine and side threads; start, stop, and what a host program holds.
//!
//! Three doors: [`Builder::spawn`] runs the server beside a program; [`Builder::build`] gives a
//! [`Server`] to whoever owns the thread or the loop; and [`crate::engine::Engine`] alone is for
//! whoever owns the sockets. The builder is `Send`; the server is not, and is made on the thread
//! that runs it.

mod app_ids;
mod settings;
mod storing;

pub use app_ids::{AppIds, TooManyApps};
pub use settings::{
    cert_id, channelstream_config, dialects, engine_config, pusher_config, pushi_config,
    stored_apps, why_restart,
};

pub use storing::OpenedStore;

use crate::dialect::Dialect;
use crate::dialect::channelstream::{self, Channelstream};
use crate::engine::{Engine, EngineConfig, Mail, ProcessStats, Publication, Stats};
use crate::limits::DRAIN_MS;
use crate::random::Random;
#[cfg(feature = "tls")]
use crate::reactor::CertId;
use crate::reactor::{Bound, Clock, Listen, MailError, Mailbox, Reactor, ReactorOptions};
use crate::time::Millis;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What makes a dialect. It is called on the loop's thread, as a dialect need not be `Send`.
pub type MakeDialect = Box<dyn Fn() -> Box<dyn Dialect> + Send>;

/// What a server is made of. All but the addresses has a default.
#[derive(Default)]
pub struct Builder {
    listen: Vec<Listen>,
    reactor: ReactorOptions,
    engine: EngineConfig,
    dialects: Vec<MakeDialect>,
    drain_ms: Option<u64>,
    samples_process: bool,
    store: Option<OpenedStore>,
    #[cfg(feature = "tls")]
    certificates: Vec<(CertId, std::sync::Arc<rustls::ServerConfig>)>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Builder({:?}, {} dialects)",
            self.listen,
            self.dialects.len()
        )
    }
}

impl Builder {
    /// A server that listens nowhere and speaks nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens here, too. Call it once per address.
    #[must_use]
    pub fn listen(mut self, at: Listen) -> Self {
        self.listen.push(at);
        self
    }

    /// Speaks Channelstream with these settings.
    #[must_use]
    pub fn channelstream(self, config: channelstream::Config) -> Self {
        self.dialect(Box::new(move || {
            Box::new(Channelstream::new(config.clone()))
        }))
    }

    /// Speaks a protocol of the host's own. The one added last gets the requests that are
    /// nobody's.
    #[must_use]
    pub fn dialect(mut self, make: MakeDialect) -> Self {
        self.dialects.push(make);
        self
    }

    /// Bounds and intervals of everything above the sockets.
    #[must_use]
    pub fn engine(mut self, config: EngineConfig) -> Self {
        self.engine = config;
        self
    }

    /// Bounds of the sockets and queues.
    #[must_use]
    pub fn reactor(mut self, options: ReactorOptions) -> Self {
        self.reactor = options;
        self
    }

    /// How long a stop may take, in milliseconds; else [`DRAIN_MS`].
    #[must_use]
    pub fn drain_ms(mut self, ms: u64) -> Self {
        self.drain_ms = Some(ms);
        self
    }

    /// Keeps what is to be stored in this store. Without one, what asks to be stored is refused.
    #[must_use]
    pub fn store(mut self, store: OpenedStore) -> Self {
        self.store = Some(store);
        self
    }

    /// Samples memory, processor time and descriptors of the process for the metrics, on a thread
    /// of its own. For programs that are nothing but a server.
    #[must_use]
    pub fn sample_process(mut self) -> Self {
        self.samples_process = true;
        self
    }

    /// The certificate of the [`Listen::Tls`] addresses that name it; see
    /// [`crate::reactor::tls_config`].
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, of: CertId, config: std::sync::Arc<rustls::ServerConfig>) -> Self {
        self.certificates.push((of, config));
        self
    }

    /// Binds all addresses. The server listens from now on and answers once it is given turns.
    ///
    /// # Errors
    /// When an address is taken or not ours, or the system gives no descriptors. The text names
    /// the address.
    pub fn build(self) -> io::Result<Server> {
        let random = Random::new(|bytes| {
            // Without random numbers ids could be guessed; there is nothing sensible left to do.
            getrandom::fill(bytes).expect("the operating system gives random bytes");
        });
        let dialects = self.dialects.iter().map(|make| make()).collect();
        let engine = Engine::new(self.engine, dialects, random);
        let mut reactor = Reactor::new(engine, self.reactor)?;
        #[cfg(feature = "tls")]
        for (of, config) in self.certificates {
            reactor.set_tls(of, config);
        }
        log::info!("room for {} connections", reactor.connections_max());
        let mut bound = Vec::with_capacity(self.listen.len());
        for at in &self.listen {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{at}: {error}"));
            bound.push(reactor.listen(at).map_err(named)?);
        }
        let store = match self.store {
            None => None,
            Some(store) => {
                let (loaded, link, at_work) = store.start(reactor.mailbox())?;
                reactor.with(|engine, turn| engine.open_store(&loaded, Some(link), turn));
                Some(at_work)
            }
        };
        let (sender, control) = channel();
        let handle = Handle {
            mailbox: reactor.mailbox(),
            control: sender,
        };
        let sampler = if self.samples_process {
            Some(Sampler::start(handle.mailbox.clone())?)
        } else {
            None
        };
        Ok(Server {
            reactor,
            bound,
            handle,
            control,
            drain_ms: self.drain_ms.unwrap_or(DRAIN_MS),
            deadline: None,
            noted_at: Millis(0),
            noted_turns: 0,
            _sampler: sampler,
            _store: store,
        })
    }

    /// Builds the server and runs it on a thread of its own.
    ///
    /// # Errors
    /// Those of [`Builder::build`], or when the system gives no thread.
    pub fn spawn(self) -> io::Result<Running> {
        let (report, built) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("fanwire".to_owned())
            .spawn(move || {
                let mut server = match self.build() {
                    Ok(server) => server,
                    Err(error) => {
                        let _ = report.send(Err(error));
                        return Ok(Stopped::Clean);
                    }
                };
                let _ = report.send(Ok((server.handle(), server.bound.clone())));
                server.run()
            })?;
        let gone = |_| io::Error::other("the server's thread ended before it listened");
        let (handle, bound) = built.recv().map_err(gone)??;
        Ok(Running {
            handle,
            bound,
            thread,
        })
    }
}

/// How a server came to stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Everybody was told and has gone.
    Clean,
    /// The time for it ran out, and who was left was cut off.
    TimedOut,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Running,
    /// There is nothing more to do.
    Stopped(Stopped),
}

/// What a running server is told from outside.
enum Control {
    Stop,
    Reload(Box<dyn FnOnce(&mut Server) + Send>),
}

/// The server: a reactor with an engine on it. Made and used on one thread.
pub struct Server {
    reactor: Reactor<Engine>,
    bound: Vec<Bound>,
    handle: Handle,
    control: Receiver<Control>,
    drain_ms: u64,
    /// When a stop that is under way ends whatever is left.
    deadline: Option<Millis>,
    /// When the engine was last told what the loop has counted, and memory given back.
    noted_at: Millis,
    /// How many turns there had been then.
    noted_turns: u64,
    _sampler: Option<Sampler>,
    /// Last, as whoever is dropped before may still hand something over.
    _store: Option<storing::AtWork>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({:?})", self.bound)
    }
}

/// How old the loop's numbers in the metrics may be, and how long memory is kept for whoever comes
/// next.
const NOTE_EVERY_MS: u64 = 1_000;

impl Server {
    /// Where it listens, in the order of [`Builder::listen`]; ports are the real ones.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// What other threads may hold.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until it was told to stop and everybody has gone.
    ///
    /// # Errors
    /// When waiting for sockets fails, which means that the process is beyond help.
    pub fn run(&mut self) -> io::Result<Stopped> {
        loop {
            if let Flow::Stopped(how) = self.turn(None)? {
                return Ok(how);
            }
        }
    }

    /// One turn of the loop: waits at most `wait` (none: until something happens), serves whoever
    /// is ready, and returns. A host with a loop of its own watches this server's descriptor
    /// ([`AsRawFd`]) for readability and calls `turn(Some(Duration::ZERO))`; between two calls it
    /// waits no longer than [`Server::next_wait`] says.
    ///
    /// # Errors
    /// When waiting for sockets fails.
    pub fn turn(&mut self, wait: Option<Duration>) -> io::Result<Flow> {
        // While a stop is under way its deadline bounds the wait.
        let left = self
            .deadline
            .map(|at| at.since(self.reactor.clock().mono()));
        let bounds = [left.map(Duration::from_millis), self.note_wait(), wait];
        self.reactor.turn(bounds.into_iter().flatten().min())?;
        while let Ok(control) = self.control.try_recv() {
            match control {
                Control::Stop => self.stop(),
                Control::Reload(reload) => reload(self),
            }
        }
        let now = self.reactor.now().mono;
        if now.since(self.noted_at) >= NOTE_EVERY_MS {
            self.noted_at = now;
            let stats = self.reactor.stats();
            self.reactor.handler_mut().note_loop(stats);
            self.reactor.trim();
            self.reactor.handler_mut().trim();
            self.noted_turns = stats.turns;
        }
        Ok(match self.deadline {
            None => Flow::Running,
            // Whoever asked for a batch may have gone; what was asked for is done all the same.
            Some(_) if self.reactor.connections() == 0 && self.engine().jobs() == 0 => {
                Flow::Stopped(Stopped::Clean)
            }
            Some(deadline) if now >= deadline => {
                self.reactor.close_all();
                Flow::Stopped(Stopped::TimedOut)
            }
            Some(_) => Flow::Running,
        })
    }

    /// How long a host may leave the server without a turn if its descriptor stays silent.
    pub fn next_wait(&self) -> Option<Duration> {
        let waits = [self.reactor.next_wait(), self.note_wait()];
        waits.into_iter().flatten().min()
    }

    /// How long until the books are done and memory is given back for what happened since that
    /// was last done. None if nothing did: who is idle sleeps.
    fn note_wait(&self) -> Option<Duration> {
        (self.reactor.stats().turns != self.noted_turns).then(|| {
            let since = self.reactor.clock().mono().since(self.noted_at);
            Duration::from_millis(NOTE_EVERY_MS.saturating_sub(since))
        })
    }

    /// Begins to stop: no new connections, goodbyes to those that are there. Go on calling
    /// [`Server::turn`] until it says that it is over.
    pub fn stop(&mut self) {
        if self.deadline.is_some() {
            return;
        }
        self.reactor.stop_listening();
        let drain_ms = self.drain_ms;
        self.reactor
            .with(|engine, turn| engine.drain(drain_ms, turn));
        self.deadline = Some(self.reactor.now().mono + self.drain_ms);
    }

    /// Replaces bounds and dialects; connections stay. Addresses do not change.
    pub fn reload(&mut self, engine: EngineConfig, dialects: &[MakeDialect]) {
        let dialects = dialects.iter().map(|make| make()).collect();
        self.reactor.handler_mut().reload(engine, dialects);
    }

    /// A certificate for TLS connections from now on; those that are there keep theirs.
    #[cfg(feature = "tls")]
    pub fn set_tls(&mut self, of: CertId, config: std::sync::Arc<rustls::ServerConfig>) {
        self.reactor.set_tls(of, config);
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine {
        self.reactor.handler()
    }

    /// Publishes a message from the loop's own thread. Returns how many connections it was queued
    /// for; the frames leave with the next turn.
    ///
    /// # Errors
    /// When `message` is not JSON.
    pub fn publish(&mut self, user: &str, channel: &str, message: &str) -> Result<u64, NotJson> {
        let publication = publication(user, channel, message)?;
        Ok(self
            .reactor
            .with(|engine, turn| engine.publish(&publication, turn)))
    }
}

impl AsRawFd for Server {
    fn as_raw_fd(&self) -> RawFd {
        self.reactor.as_raw_fd()
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reactor.as_fd()
    }
}

/// The text is not JSON, so that no client could read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson;

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is not JSON")
    }
}

impl std::error::Error for NotJson {}

/// Checks a message of the host program before it can reach a client.
fn publication(user: &str, channel: &str, message: &str) -> Result<Publication, NotJson> {
    serde_json::from_str::<&serde_json::value::RawValue>(message).map_err(|_| NotJson)?;
    Ok(Publication {
        user: user.to_owned(),
        channel: channel.to_owned(),
        message: message.to_owned(),
    })
}

/// Why a call through a [`Handle`] came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandleError {
    /// The text is not JSON.
    NotJson,
    /// Too much waits already; try again later, or let it go.
    Full,
    /// The server has stopped.
    Stopped,
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "the message is not JSON",
            Self::Full => "the server's mailbox is full",
            Self::Stopped => "the server has stopped",
        })
    }
}

impl std::error::Error for HandleError {}

impl<M> From<MailError<M>> for HandleError {
    fn from(error: MailError<M>) -> Self {
        match error {
            MailError::Full(_) => Self::Full,
            MailError::Closed(_) => Self::Stopped,
        }
    }
}

/// What another thread holds of a server. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    mailbox: Mailbox<Mail>,
    control: Sender<Control>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

impl Handle {
    /// Publishes `message`, which must be JSON, to a channel in the name of `user`. Returns as soon
    /// as it lies in the loop's mailbox. Messages from one thread keep their order.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub fn publish(&self, user: &str, channel: &str, message: &str) -> Result<(), HandleError> {
        let publication = publication(user, channel, message).map_err(|_| HandleError::NotJson)?;
        Ok(self.mailbox.send(Mail::Publish(publication))?)
    }

    /// How things stand. Waits for the loop's answer, so never call it on the loop's own thread.
    ///
    /// # Errors
    /// [`HandleError::Full`] or [`HandleError::Stopped`].
    pub fn stats(&self) -> Result<Stats, HandleError> {
        let (answer, stats): (SyncSender<Stats>, _) = sync_channel(1);
        self.mailbox.send(Mail::Stats(answer))?;
        stats.recv().map_err(|_| HandleError::Stopped)
    }

    /// Asks the server to stop in order. Returns at once.
    ///
    /// # Errors
    /// [`HandleError::Stopped`] if it has already.
    pub fn stop(&self) -> Result<(), HandleError> {
        self.tell(Control::Stop)
    }

    /// Runs `change` on the loop's thread between two turns, for example to reload settings.
    ///
    /// # Errors
    /// [`HandleError::Stopped`] if the server has stopped.
    pub fn change(
        &self,
        change: impl FnOnce(&mut Server) + Send + 'static,
    ) -> Result<(), HandleError> {
        self.tell(Control::Reload(Box::new(change)))
    }

    fn tell(&self, control: Control) -> Result<(), HandleError> {
        self.control
            .send(control)
            .map_err(|_| HandleError::Stopped)?;
        self.mailbox.wake();
        Ok(())
    }
}

/// A server on a thread of its own.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    bound: Vec<Bound>,
    thread: JoinHandle<io::Result<Stopped>>,
}

impl Running {
    /// What other threads may hold.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where it listens.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// Waits until the server has stopped; ask it to with [`Handle::stop`].
    ///
    /// # Errors
    /// When the loop failed or panicked.
    pub fn wait(self) -> io::Result<Stopped> {
        self.thread
            .join()
            .map_err(|_| io::Error::other("the server's thread panicked"))?
    }
}

/// The thread that asks the operating system about this process, so that the loop need not.
struct Sampler {
    /// Dropped to end the thread.
    _stop: Sender<()>,
}

const SAMPLE_EVERY: Duration = Duration::from_secs(5);

impl Sampler {
    fn start(mailbox: Mailbox<Mail>) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let start_unix_s = Clock::new().now().unix_seconds();
        std::thread::Builder::new()
            .name("fanwire-process".to_owned())
            .spawn(move || {
                loop {
                    let mut stats = sample_process();
                    stats.start_unix_s = start_unix_s;
                    let sent = mailbox.send(Mail::Process(stats));
                    if matches!(sent, Err(MailError::Closed(_))) {
                        return;
                    }
                    match stopped.recv_timeout(SAMPLE_EVERY) {
                        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                        Ok(()) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                    }
                }
            })?;
        Ok(Self { _stop: stop })
    }
}

/// What `/proc` says of this process; zeros where there is no such thing.
fn sample_process() -> ProcessStats {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15, counted behind the name in parentheses, in ticks of 10 ms.
    let ticks = stat.rsplit_once(')').map_or(0, |(_, fields)| {
        let field = |n: usize| fields.split_whitespace().nth(n)?.parse::<u64>().ok();
        field(11).unwrap_or(0) + field(12).unwrap_or(0)
    });
    let open_fds = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let max_fds = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(0, |(soft, _)| soft);
    ProcessStats {
        resident_bytes: kib.unwrap_or(0) * 1024,
        cpu_ms: ticks * 10,
        open_fds,
        max_fds,
        start_unix_s: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_idle_does_the_books_once_and_sleeps() {
        let mut server = Builder::new().build().expect("it needs no address");
        let at_once = Some(Duration::ZERO);
        assert!(matches!(server.turn(at_once), Ok(Flow::Running)));
        // Something may have happened in that turn, so there is one more within a second.
        let mut turns = 0;
        while let Some(wait) = server.next_wait() {
            assert!(wait <= Duration::from_millis(NOTE_EVERY_MS), "{wait:?}");
            assert!(matches!(server.turn(None), Ok(Flow::Running)));
            turns += 1;
        }
        // A timer may end a little early.
        assert!((1..=3).contains(&turns), "{turns} turns");
    }
}
