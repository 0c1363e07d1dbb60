//! The built binary as a process of its own, behind real sockets.

#![allow(
    clippy::disallowed_methods,
    reason = "a thread reads what the process says, and real time is what this test is about"
)]

use crate::replay::{Run, replay};
use crate::session::{Cut, Setup};
use crate::tcp::Tcp;
use crate::transcript::Scenario;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A server that is ended with the test.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    /// Of its own, to be removed.
    folder: Option<PathBuf>,
}

impl Process {
    /// Starts a server on a port that the system chooses, and waits until it listens.
    fn start(setup: &Setup) -> Self {
        let assignments = setup.assignments();
        let args = assignments.iter().flat_map(|one| ["--set", one]);
        Self::start_with(args, None)
    }

    /// With a file of settings, whose text this is, in a folder of its own. What the server makes
    /// is made there.
    pub(crate) fn of_file(name: &str, text: &str) -> Self {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanwire-it-{name}-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder can be made");
        let path = folder.join("fanwire.toml");
        std::fs::write(&path, text).expect("a file can be written");
        let args = ["--config".to_owned(), path.display().to_string()];
        Self::start_with(args.iter().map(|arg| &**arg), Some(folder))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn start_with<'a>(args: impl Iterator<Item = &'a str>, folder: Option<PathBuf>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
        command.args(["run", "--listen", "127.0.0.1:0"]).args(args);
        if let Some(folder) = &folder {
            command.current_dir(folder);
        }
        // Nothing from outside may change what is tested.
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("FANWIRE_") || name_text.starts_with("CHANNELSTREAM_") {
                command.env_remove(&name);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .expect("the binary is built before its tests");
        let stderr = child.stderr.take().expect("it was asked for");
        let (sender, lines) = mpsc::channel();
        // Reads to the end, so that the server never waits for whoever reads its log.
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        // The process must be ended also if it never says that it listens.
        let mut process = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            folder,
        };
        let mut said = Vec::new();
        loop {
            match lines.recv_timeout(Duration::from_secs(20)) {
                Ok(line) => {
                    if let Some(address) = address_in(&line) {
                        process.address = address;
                        return process;
                    }
                    said.push(line);
                }
                Err(_) => panic!("the server does not listen; it said {said:#?}"),
            }
        }
    }
}

/// The address in a line that says `listening on ADDRESS`, whatever stands around it.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let of_address = |byte: char| byte.is_ascii_hexdigit() || ".:[]".contains(byte);
    let end = rest.find(|byte| !of_address(byte)).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Replays a scenario against a fresh server.
pub(crate) fn run(text: &str, cut: Cut) {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let number = RUNS.fetch_add(1, Ordering::Relaxed) ^ u64::from(std::process::id()) << 16;
    let name: String = (0..8)
        .map(|place| char::from(b'a' + (number >> (place * 4) & 15) as u8))
        .collect();
    let scenario = Scenario::parse(text, &name).expect("the file is a scenario");
    let setup = Setup::named(&scenario.server);
    let process = Process::start(&setup);
    let mut tcp = Tcp::new(process.address, setup.secret, cut);
    let run = Run {
        text: &name,
        resets: cut == Cut::Bytewise,
    };
    if let Err(why) = replay(&scenario, run, &mut tcp) {
        panic!("{cut:?}: {why}");
    }
}

#[test]
fn the_address_is_found_in_text_and_in_json() {
    let address = Some(SocketAddr::from(([127, 0, 0, 1], 8000)));
    assert_eq!(address_in("listening on 127.0.0.1:8000"), address);
    assert_eq!(
        address_in(r#"{"m":"listening on 127.0.0.1:8000","t":1}"#),
        address
    );
    assert_eq!(address_in("listening on nothing"), None);
}
