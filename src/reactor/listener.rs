//! Listening sockets: TCP (plain or TLS) and Unix.
//!
//! `TCP_NODELAY` is set once on the listener; on Linux every accepted socket inherits it, which
//! saves a system call per connection.

use super::socket::Socket;
use crate::limits::LISTEN_BACKLOG;
use mio::event::Source as _;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, Type};
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 lets the system choose. An IPv6 address takes IPv6 only, so that
    /// `0.0.0.0` and `[::]` can stand beside each other.
    Tcp(SocketAddr),
    /// A Unix socket. A file left behind by a dead process is replaced.
    Unix(PathBuf),
    /// A TCP address with TLS on it; needs the feature `tls`, and that certificate.
    Tls(SocketAddr, CertId),
}

/// Which certificate a TLS address shows. Who gives the certificates gives the numbers, too;
/// addresses may have one together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CertId(pub u16);

/// As the settings write it: `127.0.0.1:8000`, `tls:[::]:8443`, `unix:/run/fanwire.sock`.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Tls(address, _) => write!(f, "tls:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What was bound in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// The TCP address, with its real port.
    Tcp(SocketAddr),
    /// The Unix socket's path.
    Unix(PathBuf),
}

impl Bound {
    /// The TCP address; none for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

/// The address, or `unix:` and the path.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Held for its drop.
        _file: SocketFile,
    },
}

/// One listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    source: Kind,
    /// The certificate that it shows, if it speaks TLS.
    pub(super) tls: Option<CertId>,
    /// Whether more may wait to be accepted.
    pub(super) ready: bool,
}

impl Listener {
    /// Binds, listens and registers for readiness.
    pub(super) fn bind(
        at: &Listen,
        registry: &Registry,
        token: Token,
    ) -> io::Result<(Self, Bound)> {
        let (mut source, bound, tls) = match at {
            Listen::Tcp(address) | Listen::Tls(address, _) => {
                let listener = bind_tcp(*address)?;
                let bound = Bound::Tcp(listener.local_addr()?);
                let tls = match at {
                    Listen::Tls(_, certificate) => Some(*certificate),
                    Listen::Tcp(_) | Listen::Unix(_) => None,
                };
                (Kind::Tcp(listener), bound, tls)
            }
            Listen::Unix(path) => {
                let (listener, file) = bind_unix(path)?;
                (
                    Kind::Unix {
                        listener,
                        _file: file,
                    },
                    Bound::Unix(path.clone()),
                    None,
                )
            }
        };
        match &mut source {
            Kind::Tcp(listener) => listener.register(registry, token, Interest::READABLE)?,
            Kind::Unix { listener, .. } => {
                listener.register(registry, token, Interest::READABLE)?
            }
        }
        let listener = Self {
            source,
            tls,
            ready: false,
        };
        Ok((listener, bound))
    }

    /// The next socket that waits. Non-blocking and closed on exec.
    pub(super) fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match &self.source {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Socket::Tcp(stream), Some(peer)))
            }
            Kind::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), None))
            }
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    remove_stale(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path)?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok((UnixListener::from_std(socket.into()), file))
}

/// Removes a socket file that nobody listens on any more. Anything else in its place is an error.
fn remove_stale(path: &Path) -> io::Result<()> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !about.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file in the socket's place, and it is no socket",
        ));
    }
    // Without blocking: a listener whose backlog is full refuses for now, but it lives.
    let probe = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::AddrInUse.into())
        }
        Err(error) => Err(error),
    }
}

/// The file of a Unix socket that we bound; goes away with it, unless somebody else has put his
/// own there meanwhile.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let about = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: about.dev(),
            inode: about.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let still_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|about| about.dev() == self.device && about.ino() == self.inode);
        if still_ours && let Err(error) = fs::remove_file(&self.path) {
            log::warn!("socket file {} stays: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::Poll;
    use std::net::TcpStream;

    #[test]
    fn accepted_sockets_inherit_no_delay() {
        let poll = Poll::new().expect("a poll");
        let at = Listen::Tcp(([127, 0, 0, 1], 0).into());
        let (listener, bound) = Listener::bind(&at, poll.registry(), Token(0)).expect("bound");
        let address = bound.address().expect("TCP");
        // Connecting over loopback is over when the socket stands in the backlog.
        let client = TcpStream::connect(address).expect("connected");
        let (socket, peer) = listener.accept().expect("accepted");
        assert_eq!(peer, client.local_addr().ok());
        let Socket::Tcp(stream) = socket else {
            panic!("a TCP socket was accepted");
        };
        assert!(stream.nodelay().expect("an option"));
        assert_eq!(
            listener.accept().err().map(|error| error.kind()),
            Some(io::ErrorKind::WouldBlock)
        );
    }

    #[test]
    fn a_socket_file_is_replaced_only_if_nobody_listens_and_removed_only_if_it_is_ours() {
        let folder = std::env::temp_dir().join(format!("fanwire-listener-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("socket");
        let poll = Poll::new().expect("a poll");
        let at = Listen::Unix(path.clone());
        let bind = || Listener::bind(&at, poll.registry(), Token(0)).map(|(listener, _)| listener);

        fs::write(&path, b"precious").expect("a file");
        assert_eq!(
            bind().err().map(|e| e.kind()),
            Some(io::ErrorKind::AlreadyExists)
        );
        fs::remove_file(&path).expect("removed");

        let first = bind().expect("bound");
        assert_eq!(
            bind().err().map(|e| e.kind()),
            Some(io::ErrorKind::AddrInUse)
        );
        drop(first);
        assert!(!path.exists());

        // A process that died leaves its file behind.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        assert!(path.exists());
        let second = bind().expect("the file was stale");

        // Somebody else's file in its place stays.
        fs::remove_file(&path).expect("removed");
        fs::write(&path, b"precious").expect("a file");
        drop(second);
        assert!(path.exists());
        fs::remove_dir_all(&folder).expect("removed");
    }
}
