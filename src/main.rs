//! The fanwire binary: reads arguments and settings, then runs the server.
//!
//! What the commands do is in [`cli`]; the server itself is the library.

mod cli;

use fanwire::options::Config;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(start)
}

/// Runs the server in the foreground until it is told to stop. `reload` makes the settings again,
/// from the same arguments; a failure names what is wrong, one message per line.
fn start(config: Config, dev: bool, reload: &cli::Reload<'_>) -> ExitCode {
    let _ = (config, dev, reload);
    log::error!("not wired yet");
    ExitCode::from(cli::EXIT_NOT_STARTED)
}
