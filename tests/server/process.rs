//! The server as a process: started, listened to, signalled, and never left behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that is not about time. Far more than it needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The secret of the servers that these tests start.
pub(crate) const SECRET: &str = "of these tests";

/// The binary under test.
fn binary() -> PathBuf {
    match std::env::var_os("FANWIRE_BIN") {
        Some(path) => path.into(),
        None => env!("CARGO_BIN_EXE_fanwire").into(),
    }
}

/// A command that runs the binary, out of reach of whoever runs the tests.
pub(crate) fn fanwire(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().args(args).stdin(Stdio::null());
    command
}

/// The same, with no more than so many descriptors.
pub(crate) fn fanwire_within(descriptors: u32, args: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .env_clear()
        .args(["-c", r#"ulimit -n "$1"; shift; exec "$@""#, "sh"])
        .arg(descriptors.to_string())
        .arg(binary())
        .args(args)
        .stdin(Stdio::null());
    command
}

/// A running server. Ended with the test, come what may.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    /// What was said so far, shown when a test fails.
    said: Vec<String>,
    /// Up to where [`Server::says`] has looked.
    looked_at: usize,
    /// Where it listens; TCP only.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Server {
    /// `fanwire run` on a port of the system's choice with `--set` for each of `settings`.
    pub(crate) fn run(settings: &[&str]) -> Self {
        let secret = format!("channelstream.secret={SECRET:?}");
        let mut args = vec!["run", "--listen", "127.0.0.1:0", "--set", &secret];
        for setting in settings {
            args.extend(["--set", setting]);
        }
        Self::start(fanwire(&args), 1)
    }

    /// Starts it and waits until it listens on so many addresses.
    #[track_caller]
    pub(crate) fn start(command: Command, listeners: usize) -> Self {
        let mut server = Self::launch(command);
        for _ in 0..listeners {
            let line = server.says("listening on ");
            server.addresses.extend(bound_in(&line));
        }
        server
    }

    /// Starts it and does not wait.
    pub(crate) fn launch(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let stderr = child.stderr.take().expect("it was asked for");
        let (sender, lines) = mpsc::channel();
        // Reads to the end, so that the server never waits for whoever reads its log.
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            lines,
            said: Vec::new(),
            looked_at: 0,
            addresses: Vec::new(),
        }
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens first.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Waits for the next line with `piece` in it, behind the last one that was waited for.
    #[track_caller]
    pub(crate) fn says(&mut self, piece: &str) -> String {
        let limit = Instant::now() + PATIENCE;
        loop {
            while let Some(line) = self.said.get(self.looked_at) {
                self.looked_at += 1;
                if line.contains(piece) {
                    return line.clone();
                }
            }
            let left = limit.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(why) => panic!("it never said {piece:?} ({why})"),
            }
        }
    }

    /// All that was said and waited for.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("/bin/sh")
            .args(["-c", r#"kill -s "$1" "$2""#, "sh", name, &id])
            .status()
            .expect("a shell runs");
        assert!(status.success(), "SIG{name} was sent");
    }

    /// Waits until it ends by itself. Its exit code.
    #[track_caller]
    pub(crate) fn exits(&mut self) -> i32 {
        let limit = Instant::now() + PATIENCE;
        // Its end closes its standard error, and with it the channel.
        loop {
            let left = limit.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
        let status = self.child.wait().expect("it has ended");
        status.code().expect("no signal ended it")
    }

    /// Whether it has not ended.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// Processor time so far, in ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(path).expect("Linux");
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
        ticks(11) + ticks(12)
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|n| n.parse().ok()).expect("a number")
    }
}

impl Drop for Server {
    #[allow(clippy::print_stderr, reason = "what a failed test shows")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            // The end of its standard error follows at once.
            while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
                self.said.push(line);
            }
            eprintln!("the server said:\n{}", self.said.join("\n"));
        }
    }
}

/// The address that a server says it listens on; none if it is not one of TCP.
fn bound_in(line: &str) -> Option<SocketAddr> {
    let (_, bound) = line.split_once("listening on ")?;
    let end = bound.find('"').unwrap_or(bound.len());
    bound[..end].parse().ok()
}

/// Waits until a server that was launched listens on so many addresses, or ends. Whether it listens.
#[track_caller]
pub(crate) fn listens_or_ends(server: &mut Server, listeners: usize) -> bool {
    let limit = Instant::now() + PATIENCE;
    while server.addresses.len() < listeners {
        let left = limit.saturating_duration_since(Instant::now());
        let line = match server.lines.recv_timeout(left) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => panic!("it neither listens nor ends"),
        };
        server.addresses.extend(bound_in(&line));
        server.said.push(line);
    }
    true
}

/// Tries until it is true.
#[track_caller]
pub(crate) fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < limit, "it never came true: {what}");
        // Nobody tells us; between two looks others may work.
        thread::sleep(Duration::from_millis(5));
    }
}

/// A folder of one test's own, gone when the test is.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short, as the path of a Unix socket may not have more than 107 bytes.
        let name = format!("fanwire-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    /// The path of `name` in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        as_text(&path)
    }
}

/// A path as an argument.
pub(crate) fn as_text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for what is temporary.
        let _ = fs::remove_dir_all(&self.0);
    }
}
