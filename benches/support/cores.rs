//! On which cores a bench runs. Linux only.

use std::fs;
use std::process::{Command, Stdio};

/// The cores that the calling thread may run on, as Linux lists them: `0-3,6`.
pub(crate) fn allowed() -> String {
    let status = fs::read_to_string("/proc/thread-self/status").expect("Linux");
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.expect("every thread has some").trim().to_owned()
}

/// The first and the last of them, or the only one.
pub(crate) fn ends(allowed: &str) -> Vec<String> {
    let mut numbers = allowed.split([',', '-']);
    let first = numbers.next().expect("a list has a first one");
    std::iter::once(first)
        .chain(numbers.next_back())
        .map(str::to_owned)
        .collect()
}

/// The calling thread, and all that it starts from now on, run on these cores only. Asks `taskset`,
/// as there is no way to it from here without a line of unsafe.
pub(crate) fn keep_to(cores: &str) {
    let task = fs::read_link("/proc/thread-self").expect("Linux");
    let task = task.file_name().expect("it ends with a number");
    let done = Command::new("taskset")
        .args(["--cpu-list", "--pid", cores])
        .arg(task)
        .stdout(Stdio::null())
        .status();
    assert!(
        done.is_ok_and(|status| status.success()) && allowed() == cores,
        "taskset, of util-linux, keeps a thread to cores {cores}"
    );
}
