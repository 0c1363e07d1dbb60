//! The built binary, run to its end, and folders for what it reads and writes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder of one test's own, gone when the test is.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("cli-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("a path in UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the next `cargo clean`.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the binary came to.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the binary to its end, with this environment and no other.
pub(crate) fn fanwire_with(env: &[(&str, &str)], args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
    // Whoever runs the tests may have settings of their own.
    command
        .env_clear()
        .envs(env.iter().copied())
        .args(args)
        .stdin(Stdio::null());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said {
        code: status.code(),
        out: text(stdout),
        err: text(stderr),
    }
}

pub(crate) fn fanwire(args: &[&str]) -> Said {
    fanwire_with(&[], args)
}

#[track_caller]
pub(crate) fn refused(said: &Said, pieces: &[&str]) {
    assert_eq!(said.code, Some(2), "{}{}", said.out, said.err);
    for piece in pieces {
        assert!(said.err.contains(piece), "{piece:?} in {:?}", said.err);
    }
}

#[track_caller]
pub(crate) fn fine(said: &Said, pieces: &[&str]) {
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    for piece in pieces {
        assert!(said.out.contains(piece), "{piece:?} in {:?}", said.out);
    }
}
