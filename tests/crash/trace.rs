//! What a process did to its files and said to its peers, as `strace` has written it down.
//!
//! A call that another thread interrupted stands in two lines; it is put together again. A write
//! counts from its beginning, as it may be on the disk from then on; a sync from its end.

use crate::process::{PATIENCE, Server, until};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything by which a file can come to be otherwise, and what is said over sockets. A call that is
/// here and that nobody has thought of is a failure; see [`Deed::of`].
const CALLS: &str = "open,openat,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,\
    sync,syncfs,sync_file_range,truncate,ftruncate,fallocate,unlink,unlinkat,rename,renameat,\
    renameat2,link,linkat,symlink,copy_file_range,sendfile,splice,msync,mmap,\
    recvfrom,recvmsg,sendto,sendmsg";

/// A command that runs another one and writes down what that does; none if that is not possible here.
pub(crate) fn traced(command: &Command, trace: &Path) -> Option<Command> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    let strace = folders.find_map(|folder| Some(folder.join("strace")).filter(|p| p.exists()))?;
    let by = |seen: &mut Command| {
        // -D: the tracer is a process aside, so that signals and the exit code are those of the server.
        seen.env_clear()
            .args(["-D", "-f", "--seccomp-bpf", "-y", "-xx", "-s", "99999999"])
            .arg("-o")
            .arg(trace)
            .arg("-e");
    };
    let mut probe = Command::new(&strace);
    by(&mut probe);
    let probed = probe.args(["trace=write", "/bin/true"]).output().ok()?;
    if !probed.status.success() {
        return None;
    }
    let mut traced = Command::new(strace);
    by(&mut traced);
    traced
        .arg(format!("trace={CALLS}"))
        .arg(command.get_program())
        .args(command.get_args());
    Some(traced)
}

/// Waits until all that a server did is written down; it has ended, or is about to.
#[track_caller]
pub(crate) fn is_written(trace: &Path, id: u32) {
    // Short numbers are filled up with spaces.
    let id = id.to_string();
    let is_last = |line: &str| {
        let rest = line.strip_prefix(&id);
        rest.is_some_and(|rest| rest.trim_start().starts_with("+++"))
    };
    until("the trace is at its end", || {
        let Ok(mut file) = File::open(trace) else {
            return false;
        };
        let bytes = file.metadata().map_or(0, |file| file.len());
        let tail = file.seek(SeekFrom::Start(bytes.saturating_sub(4096)));
        let mut text = Vec::new();
        let read = tail.and_then(|_| file.read_to_end(&mut text));
        read.is_ok() && String::from_utf8_lossy(&text).lines().any(is_last)
    });
}

/// Ends a server by a signal, and waits for its trace.
#[track_caller]
pub(crate) fn end(mut server: Server, signal: &str, trace: &Path) {
    let id = server.id();
    server.signal(signal);
    until("it ends", || !server.lives());
    is_written(trace, id);
}

/// One thing that was done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A file was opened; if it was not there, it is now.
    Opened(PathBuf),
    Wrote {
        path: PathBuf,
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        path: PathBuf,
        to: usize,
    },
    Removed(PathBuf),
    /// A sync began; what was done before it is what it is about.
    Syncs(u64, PathBuf),
    /// And ended well.
    Synced(u64, PathBuf),
    /// Bytes came from a peer, and went to one.
    Heard(String, Vec<u8>),
    Said(String, Vec<u8>),
}

/// A call as it was written down.
#[derive(Debug)]
struct Call {
    began: u64,
    ended: u64,
    name: String,
    args: String,
    /// None: it never came back, for the process ended.
    result: Option<i64>,
}

/// Reads the deeds to files whose names begin with `files`, and to peers, in order.
pub(crate) fn read(trace: &Path, files: &Path) -> Vec<Deed> {
    let mut deeds = BTreeMap::new();
    for call in calls(trace) {
        if call.result.is_some_and(|result| result < 0) {
            continue;
        }
        Deed::of(&call, files, &mut |at, deed| {
            deeds.insert(at, deed);
        });
    }
    deeds.into_values().collect()
}

fn calls(trace: &Path) -> Vec<Call> {
    let file = File::open(trace).expect("the trace is there");
    let mut calls = Vec::new();
    let mut cut: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for (number, line) in (0..).zip(BufReader::new(file).lines()) {
        let line = line.expect("text");
        let (thread, rest) = line.split_once(' ').expect("a thread before each line");
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if let Some(begin) = rest.strip_suffix(" <unfinished ...>") {
            cut.insert(thread.to_owned(), (number, begin.to_owned()));
            continue;
        }
        let (began, whole) = match rest.strip_prefix("<... ") {
            Some(end) => {
                let (_, end) = end.split_once(" resumed>").expect("the rest of a call");
                let (began, begin) = cut.remove(thread).expect("the begin of that");
                (began, begin + end)
            }
            None => (number, rest.to_owned()),
        };
        calls.push(call(began, number, &whole));
    }
    let never_back = cut.into_values();
    calls.extend(never_back.map(|(began, begin)| call(began, u64::MAX, &(begin + ") = ?"))));
    calls
}

fn call(began: u64, ended: u64, text: &str) -> Call {
    let (name, rest) = text.split_once('(').expect("a call");
    // Strings are all of escapes, so that nothing in them looks like the end.
    let (args, result) = rest.rsplit_once(" = ").unwrap_or((rest, "?"));
    let args = args.trim_end().trim_end_matches(')');
    let result = result.split(['<', ' ']).next().unwrap_or_default();
    Call {
        began,
        ended,
        name: name.to_owned(),
        args: args.to_owned(),
        result: match result.strip_prefix("0x") {
            Some(_) => Some(0),
            None => result.parse().ok(),
        },
    }
}

impl Deed {
    /// What a call comes to, and when. Two deeds in one place there are none, for a call has a line of
    /// its own where it begins and where it ends.
    fn of(call: &Call, files: &Path, out: &mut impl FnMut(u64, Self)) {
        let args: Vec<&str> = call.args.split(", ").collect();
        let first = args.first().copied().unwrap_or_default();
        let folder = files.parent().expect("files are in a folder");
        let of_files = |path: &Path| path == folder || is_one(path, files);
        let of_first = descriptor(first).unwrap_or_default();
        match &*call.name {
            "recvfrom" | "sendto" | "write" | "writev" if of_first.starts_with("socket:") => {
                let (peer, bytes) = (text(&unescaped(first)), strings(&call.args));
                match &*call.name {
                    "recvfrom" => out(call.ended, Self::Heard(peer, bytes)),
                    _ => out(call.began, Self::Said(peer, bytes)),
                }
            }
            "openat" => {
                let path = PathBuf::from(text(&strings(args[1])));
                if of_files(&path) && args[2].contains("O_CREAT") {
                    assert!(!args[2].contains("O_TRUNC"), "{call:?}");
                    out(call.ended, Self::Opened(path));
                }
            }
            "unlink" => {
                let path = PathBuf::from(text(&strings(first)));
                if of_files(&path) {
                    out(call.began, Self::Removed(path));
                }
            }
            name => {
                // Those that have a descriptor have it first, but for mmap.
                let at = if name == "mmap" { 4 } else { 0 };
                let path = descriptor(args.get(at).copied().unwrap_or_default());
                let names = strings(&call.args);
                let is_named = text(&names).starts_with(&*files.to_string_lossy());
                let path = path.map(PathBuf::from);
                let Some(path) = path.filter(|path| of_files(path)) else {
                    let is_by_name = !matches!(name, "write" | "writev" | "sendto" | "recvfrom");
                    assert!(!(is_by_name && is_named), "{name} is not thought of");
                    return;
                };
                let number = |at: usize| args[at].parse::<usize>().expect("a number");
                match name {
                    "pwrite64" => out(
                        call.began,
                        Self::Wrote {
                            bytes: {
                                let bytes = strings(args[1]);
                                assert_eq!(bytes.len(), number(2), "all of it was written down");
                                bytes
                            },
                            at: number(3),
                            path,
                        },
                    ),
                    "ftruncate" => {
                        // Lengths are hexadecimal now and then.
                        let to = args[1];
                        let to = match to.strip_prefix("0x") {
                            Some(hex) => usize::from_str_radix(hex, 16).expect("a number"),
                            None => number(1),
                        };
                        out(call.began, Self::Cut { path, to });
                    }
                    "fsync" | "fdatasync" => {
                        if call.result.is_some() {
                            out(call.ended, Self::Synced(call.began, path.clone()));
                        }
                        if call.began != call.ended {
                            out(call.began, Self::Syncs(call.began, path));
                        }
                    }
                    _ => panic!("{name} is not thought of"),
                }
            }
        }
    }
}

/// Whether a file is one that matters. What is shared in memory is made anew by whoever comes first;
/// the lock and the reserve hold nothing.
fn is_one(path: &Path, files: &Path) -> bool {
    let name = path.to_string_lossy();
    let Some(rest) = name.strip_prefix(&*files.to_string_lossy()) else {
        return false;
    };
    !matches!(rest, "-shm" | ".lock" | ".reserve")
}

/// The file that a descriptor stands for.
fn descriptor(arg: &str) -> Option<String> {
    let (_, path) = arg.split_once('<')?;
    let path = path.strip_suffix('>')?;
    Some(text(&unescaped(path)))
}

/// The bytes of all strings in a piece.
fn strings(piece: &str) -> Vec<u8> {
    assert!(!piece.contains("\"..."), "cut short");
    let quoted = piece.split('"').skip(1).step_by(2);
    quoted.flat_map(unescaped).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("no digit"),
    };
    let text = text.as_bytes();
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, text.get(at + 1..at + 4)) {
            (b'\\', Some(&[b'x', high, low])) => {
                bytes.push(digit(high) << 4 | digit(low));
                at += 4;
            }
            _ => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_trace_is_read() {
    let folder = crate::process::Folder::new();
    let trace = folder.file(
        "trace",
        r#"11 openat(AT_FDCWD<\x2f>, "\x2f\x61\x2f\x64", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3<\x2f\x61\x2f\x64>
11 openat(AT_FDCWD<\x2f>, "\x2f\x61\x2f\x64", O_RDWR) = -1 ENOENT (No such file or directory)
11 mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, 4<\x2f\x61\x2f\x64\x2d\x73\x68\x6d>, 0) = 0x7f00
11 pwrite64(3<\x2f\x61\x2f\x64>, "\x28\x22\x29", 3, 32 <unfinished ...>
12 recvfrom(9<\x73\x6f\x63\x6b\x65\x74\x3a\x5b\x35\x5d>,  <unfinished ...>
11 <... pwrite64 resumed>) = 3
12 <... recvfrom resumed>"\x68\x69", 65536, 0, NULL, NULL) = 2
11 fdatasync(3<\x2f\x61\x2f\x64> <unfinished ...>
12 sendto(9<socket:[5]>, "\x6f\x6b", 2, MSG_NOSIGNAL, NULL, 0) = 2
11 <... fdatasync resumed>)               = 0
11 ftruncate(3<\x2f\x61\x2f\x64>, 0x10) = 0
11 fsync(5<\x2f\x61>) = 0
11 pwrite64(3<\x2f\x61\x2f\x64>, "\x00", 1, 0 <unfinished ...>
12 +++ killed by SIGKILL +++
11 +++ killed by SIGKILL +++
"#,
    );
    let (file, dir) = (PathBuf::from("/a/d"), PathBuf::from("/a"));
    let wrote = |bytes: &[u8], at| Deed::Wrote {
        path: file.clone(),
        at,
        bytes: bytes.to_vec(),
    };
    let peer = || "9<socket:[5]>".to_owned();
    assert_eq!(
        read(Path::new(&trace), &file),
        [
            Deed::Opened(file.clone()),
            wrote(b"(\")", 32),
            Deed::Heard(peer(), b"hi".to_vec()),
            Deed::Syncs(7, file.clone()),
            Deed::Said(peer(), b"ok".to_vec()),
            Deed::Synced(7, file.clone()),
            Deed::Cut {
                path: file.clone(),
                to: 16
            },
            Deed::Synced(11, dir),
            wrote(b"\0", 0),
        ]
    );
    assert!(PATIENCE.as_secs() > 0 && fs::exists(&trace).expect("it was written"));
}
