//! A small disk of one test's own: in memory, and seen only by the processes that are brought there.

use crate::process::{Folder, as_text};
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Ways into a place where one may mount, and what it takes to follow.
const WAYS: [(&str, &[&str]); 2] = [("-m", &[]), ("-rm", &["--user", "--preserve-credentials"])];

/// The disk. It goes with the last process that sees it.
pub(crate) struct Volume {
    /// Holds it while nobody else does.
    holder: Child,
    follow: &'static [&'static str],
    /// Where it lies for those who see it.
    at: Folder,
}

impl Volume {
    /// A disk with room for so many bytes; none if this machine does not allow it.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        WAYS.into_iter().find_map(|(way, follow)| {
            let at = Folder::new();
            let script =
                r#"mount -t tmpfs -o "size=$1,mode=755" tmpfs "$2" && echo there && read end"#;
            let mut holder = Command::new("unshare")
                .args([way, "/bin/sh", "-c", script, "sh", &bytes.to_string()])
                .arg(at.path(""))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .ok()?;
            let mut said = String::new();
            let out = holder.stdout.take().expect("it was asked for");
            let _ = BufReader::new(out).read_line(&mut said);
            // Dropped in any case, so that it is not left behind.
            let volume = Self { holder, follow, at };
            (said == "there\n").then_some(volume)
        })
    }

    /// The path of `name` on it, for those who see it.
    pub(crate) fn inside(&self, name: &str) -> String {
        as_text(&self.at.path(name))
    }

    /// The same for everybody else.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        let root = format!("/proc/{}/root{}", self.holder.id(), self.inside(name));
        PathBuf::from(root)
    }

    /// The same command, run where the disk is seen.
    pub(crate) fn within(&self, command: &Command) -> Command {
        let mut follow = Command::new("nsenter");
        follow
            .env_clear()
            .args(["--target", &self.holder.id().to_string(), "--mount"])
            .args(self.follow)
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null());
        follow
    }

    /// Has a command done there that must go well.
    #[track_caller]
    pub(crate) fn do_there(&self, command: &[&str]) {
        let mut asked = Command::new(command[0]);
        let status = self.within(asked.args(&command[1..])).status();
        assert!(status.expect("it runs").success(), "{command:?}");
    }

    /// Another program takes all the room there is.
    #[track_caller]
    pub(crate) fn fill(&self) {
        let path = self.outside("filling");
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("a file");
        for piece in [&[0; 4096][..], &[0]] {
            loop {
                match file.write_all(piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// The other program gives it back, and the disk becomes larger besides: where a log has taken all
    /// there was, it needs as much again to be copied over.
    #[track_caller]
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.outside("filling")).expect("it is there");
        self.do_there(&["mount", "-o", "remount,size=64m", &self.inside("")]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
