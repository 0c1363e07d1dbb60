//! Telling systemd how the server is (sd_notify(3)): ready, stopping, alive.
//!
//! A datagram to the socket that `NOTIFY_SOCKET` names; nothing where there is none. Sending never
//! blocks, so the loop itself can feed the watchdog. Socket activation is not done yet.
use std::env;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The socket of the service manager, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says. A socket that cannot be made is as good as none.
    pub(crate) fn from_env() -> Self {
        let text = |name| env::var(name).ok();
        let for_us = text("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = text("WATCHDOG_USEC").filter(|_| for_us);
        Self::to(text("NOTIFY_SOCKET").as_deref(), watchdog.as_deref())
    }

    fn to(socket: Option<&str>, watchdog_us: Option<&str>) -> Self {
        let socket = socket.filter(|path| !path.is_empty());
        let to = socket.and_then(|path| open(path).ok());
        let us = watchdog_us
            .and_then(|us| us.parse().ok())
            .filter(|us| *us > 0);
        let watchdog = to.as_ref().and(us).map(Duration::from_micros);
        Self { to, watchdog }
    }

    /// How often [`alive`](Self::alive) is to be said: twice as often as the manager asks for, so
    /// that one late turn of the loop does no harm. Nothing where nobody watches.
    pub(crate) fn alive_every(&self) -> Option<Duration> {
        self.watchdog.map(|timeout| timeout / 2)
    }

    /// The server listens.
    pub(crate) fn ready(&self) {
        self.send("READY=1\n");
    }

    /// The server has begun to stop.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// The loop turns.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1\n");
    }

    /// A manager that does not read must not stop the loop, and there is nobody to tell.
    fn send(&self, message: &str) {
        if let Some((socket, address)) = &self.to {
            let _ = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}

fn open(path: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.strip_prefix('@') {
        Some(name) => abstract_address(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &str) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_name: &str) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// A manager on an abstract socket, which leaves no file behind.
    fn manager(name: &str) -> (UnixDatagram, String) {
        let name = format!("fanwire-notify-{name}-{}", std::process::id());
        let address = abstract_address(&name).expect("an address");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        socket.set_nonblocking(true).expect("it can be set");
        (socket, format!("@{name}"))
    }

    #[test]
    fn says_what_it_is_told_to() {
        let (socket, path) = manager("says");
        let notifier = Notifier::to(Some(&path), Some("3000000"));
        assert_eq!(notifier.alive_every(), Some(Duration::from_millis(1500)));
        notifier.ready();
        notifier.alive();
        notifier.stopping();
        let mut buffer = [0; 64];
        for expected in ["READY=1\n", "WATCHDOG=1\n", "STOPPING=1\n"] {
            let length = socket
                .recv(&mut buffer)
                .expect("a datagram is there at once");
            assert_eq!(&buffer[..length], expected.as_bytes());
        }
    }

    #[test]
    fn is_silent_without_a_manager() {
        for (socket, watchdog) in [
            (None, None),
            (None, Some("1000")),
            (Some(""), Some("1000")),
            (Some("/nowhere/at/all"), Some("x")),
            (Some("/nowhere/at/all"), Some("0")),
        ] {
            let notifier = Notifier::to(socket, watchdog);
            notifier.ready();
            notifier.stopping();
            assert_eq!(notifier.alive_every(), None, "{socket:?} {watchdog:?}");
        }
    }

    #[test]
    fn a_manager_that_does_not_read_stops_nobody() {
        let (_socket, path) = manager("full");
        let notifier = Notifier::to(Some(&path), None);
        for _ in 0..10_000 {
            notifier.alive();
        }
    }
}
