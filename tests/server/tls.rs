//! The whole server over TLS, and certificates that change.

use crate::client::{Peer, Socket, conn_id, connect, get, publish, timed};
use crate::process::{Folder, SECRET, Server, fanwire};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A folder with settings and a certificate.
struct Setup {
    folder: Folder,
    config: String,
}

impl Setup {
    fn new(more: &str) -> (Self, Arc<ClientConfig>) {
        let folder = Folder::new();
        let listen = r#"listen = ["tls:127.0.0.1:0", "127.0.0.1:0"]"#;
        let config = folder.file(
            "fanwire.toml",
            &format!(
                "{listen}\n[channelstream]\nsecret = {SECRET:?}\n\
                 [tls]\ncert = {:?}\nkey = {:?}\n{more}",
                folder.path("cert.pem"),
                folder.path("key.pem"),
            ),
        );
        let setup = Self { folder, config };
        let trust = setup.renew();
        (setup, trust)
    }

    /// Puts a fresh certificate in place. A client that trusts only it.
    fn renew(&self) -> Arc<ClientConfig> {
        fresh_certificate(&self.folder, "")
    }

    fn start(&self) -> Server {
        Server::start(fanwire(&["run", "--config", &self.config]), 2)
    }
}

/// Puts a fresh certificate and its key into two files of the folder, whose names begin so. A client
/// that trusts only it.
fn fresh_certificate(folder: &Folder, prefix: &str) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    folder.file(&format!("{prefix}cert.pem"), &made.cert.pem());
    folder.file(
        &format!("{prefix}key.pem"),
        &made.signing_key.serialize_pem(),
    );
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(client)
}

fn connect_tls(address: SocketAddr, trust: &Arc<ClientConfig>) -> Tls {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::clone(trust), name).expect("a session");
    StreamOwned::new(session, connect(address))
}

#[test]
fn everything_works_over_tls() {
    let (setup, trust) = Setup::new("");
    let mut server = setup.start();
    let (secure, plain) = (server.addresses[0], server.addresses[1]);
    let mut app = Peer::over(connect_tls(secure, &trust));
    let id = conn_id(&mut app, "reader", &["news"]);
    assert_eq!(app.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut reader = Socket::open(connect_tls(secure, &trust), &id);
    let plain_id = conn_id(&mut Peer::new(plain), "other", &["news"]);
    let mut other = Socket::open(connect(plain), &plain_id);

    // Far more than a record, and more than a socket takes at once.
    let large = "0123456789abcdef".repeat(30_000);
    for text in ["one", &large, "three"] {
        assert_eq!(app.ask(&publish("news", text)).status, 200);
        assert!(reader.message() == text);
        assert!(other.message() == text);
    }
    // Asking plainly where TLS is spoken gets the end, in some form, and disturbs nobody.
    let mut lost = Peer::new(secure);
    lost.send(&get("/health/live"));
    let _ = lost.stream.read_to_end(&mut Vec::new());
    assert_eq!(app.ask(&get("/health/ready")).status, 200);

    server.signal("TERM");
    assert_eq!(reader.is_closed(), 1012);
    assert_eq!(other.is_closed(), 1012);
    app.ends();
    drop((app, reader, other));
    assert_eq!(server.exits(), 0);
}

#[test]
fn a_refusal_can_be_read_over_tls_by_who_goes_on_sending() {
    let (setup, trust) = Setup::new("");
    let server = setup.start();
    for request in [
        &b"rubbish\r\n\r\n"[..],
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ] {
        let mut peer = Peer::over(connect_tls(server.address(), &trust));
        peer.send(request);
        peer.send(&vec![b'x'; 100_000]);
        let answer = peer.answer();
        assert_eq!(answer.header("connection"), Some("close"));
        peer.ends();
    }
}

#[test]
fn who_stalls_in_the_handshake_disturbs_nobody() {
    let (setup, trust) = Setup::new("[timeouts]\ntls_handshake = \"500ms\"\n");
    let server = setup.start();
    let address = server.address();
    let mut hello = Vec::new();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(Arc::clone(&trust), name).expect("a session");
    session.write_tls(&mut hello).expect("buffered");
    let mut stalled: Vec<TcpStream> = (0..64).map(|_| connect(address)).collect();
    for (number, peer) in stalled.iter_mut().enumerate() {
        // From nothing at all to all but the last byte.
        let part = hello.len() * number / 64;
        peer.write_all(&hello[..part]).expect("sent");
    }
    for _ in 0..5 {
        let mut peer = Peer::over(connect_tls(address, &trust));
        let (answer, took) = timed(|| peer.ask(&get("/health/live")));
        assert_eq!(answer.status, 200);
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    let mut survivor = Peer::over(connect_tls(address, &trust));
    assert_eq!(survivor.ask(&get("/health/live")).status, 200);
    for mut peer in stalled {
        // An alert may come before the end.
        let _ = peer.read_to_end(&mut Vec::new());
    }
    assert_eq!(survivor.ask(&get("/health/live")).status, 200);
}

#[test]
fn a_stalled_handshake_does_not_hold_up_a_stop() {
    let (setup, trust) = Setup::new("[timeouts]\ntls_handshake = \"1h\"\n");
    let mut server = setup.start();
    let mut stalled = connect(server.address());
    stalled.write_all(&[22, 3, 1]).expect("sent");
    // Accepted in the order they came, so this answer says that the first is in as well.
    let mut peer = Peer::over(connect_tls(server.address(), &trust));
    assert_eq!(peer.ask(&get("/health/live")).status, 200);
    server.signal("TERM");
    let _ = stalled.read_to_end(&mut Vec::new());
    peer.ends();
    drop(peer);
    let (code, took) = timed(|| server.exits());
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_new_certificate_serves_who_comes_and_who_is_there_stays() {
    let (setup, old) = Setup::new("");
    let mut server = setup.start();
    let address = server.address();
    let mut app = Peer::over(connect_tls(address, &old));
    let id = conn_id(&mut app, "reader", &["news"]);
    let mut reader = Socket::open(connect_tls(address, &old), &id);

    // A pair that does not belong together changes nothing, and it is said.
    let kept = fs::read(setup.folder.path("key.pem")).expect("there");
    let new = setup.renew();
    let new_key = fs::read(setup.folder.path("key.pem")).expect("there");
    fs::write(setup.folder.path("key.pem"), kept).expect("written");
    server.signal("HUP");
    server.says("not reloaded, the old certificates stay");
    let mut peer = Peer::over(connect_tls(address, &old));
    assert_eq!(peer.ask(&get("/health/live")).status, 200);

    fs::write(setup.folder.path("key.pem"), new_key).expect("written");
    server.signal("HUP");
    server.says("\"reloaded\"");
    let mut peer = Peer::over(connect_tls(address, &new));
    assert_eq!(peer.ask(&get("/health/live")).status, 200);
    let mut refused = connect_tls(address, &old);
    assert!(refused.write_all(&get("/health/live")).is_err());

    assert_eq!(app.ask(&publish("news", "still here")).status, 200);
    assert_eq!(reader.message(), "still here");
}

/// The status of a request to an address by somebody who trusts only this; none if that is not what
/// the address shows.
fn status(address: SocketAddr, trust: &Arc<ClientConfig>) -> Option<u16> {
    let mut stream = connect_tls(address, trust);
    stream.write_all(&get("/health/live")).ok()?;
    Some(Peer::over(stream).answer().status)
}

#[test]
fn two_addresses_show_a_certificate_each_and_get_new_ones_each() {
    let folder = Folder::new();
    let [all, own] = ["", "own-"].map(|prefix| fresh_certificate(&folder, prefix));
    let path = |name: &str| format!("{:?}", folder.path(name));
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let toml = |own: &str| {
        format!(
            "listen = [\"tls:127.0.0.1:0\", \"tls:127.0.0.2:0\", \"127.0.0.1:0\"]\n\
             [tls]\ncert = {cert}\nkey = {key}\n{own}\n\
             [channelstream]\nsecret = {SECRET:?}\n"
        )
    };
    let entry = format!(
        "listeners = [{{ listen = \"tls:127.0.0.2:0\", cert = {}, key = {} }}]",
        path("own-cert.pem"),
        path("own-key.pem")
    );
    let config = folder.file("fanwire.toml", &toml(&entry));
    let mut server = Server::start(fanwire(&["run", "--config", &config]), 3);
    let (one, other) = (server.addresses[0], server.addresses[1]);
    let shows = |one_shows: &Arc<ClientConfig>, other_shows: &Arc<ClientConfig>| {
        assert_eq!(status(one, one_shows), Some(200));
        assert_eq!(status(other, other_shows), Some(200));
    };
    shows(&all, &own);
    assert_eq!((status(one, &own), status(other, &all)), (None, None));
    let mut plain = Peer::new(server.addresses[2]);
    assert_eq!(plain.ask(&get("/health/live")).status, 200);

    // One of them is renewed, then it is not its own any more.
    let new = fresh_certificate(&folder, "own-");
    server.signal("HUP");
    server.says("\"reloaded\"");
    shows(&all, &new);
    assert_eq!(status(other, &own), None);
    fs::write(&config, toml("")).expect("written");
    server.signal("HUP");
    server.says("\"reloaded\"");
    shows(&all, &all);
    assert_eq!(status(other, &new), None);

    // A file that is gone changes neither.
    fs::write(&config, toml(&entry)).expect("written");
    fs::remove_file(folder.path("own-key.pem")).expect("removed");
    server.signal("HUP");
    let line = server.says("not reloaded, the old certificates stay");
    assert!(line.contains("own-key.pem"), "{line}");
    shows(&all, &all);
}

#[test]
fn pushis_variables_give_two_addresses_with_a_certificate_each() {
    let folder = Folder::new();
    let [rest, socket] = ["rest-", "socket-"].map(|prefix| fresh_certificate(&folder, prefix));
    let mut command = fanwire(&["run", "--pushi-env", "--set", "channelstream.enabled=true"]);
    command.envs([
        ("APP_HOST", "127.0.0.1"),
        ("APP_PORT", "0"),
        ("APP_SSL", "1"),
        ("SERVER_HOST", "127.0.0.2"),
        ("SERVER_PORT", "0"),
        ("SERVER_SSL", "1"),
        ("FANWIRE_CHANNELSTREAM__SECRET", SECRET),
    ]);
    for (name, file) in [
        ("APP_SSL_CER", "rest-cert.pem"),
        ("APP_SSL_KEY", "rest-key.pem"),
        ("SERVER_SSL_CER", "socket-cert.pem"),
        ("SERVER_SSL_KEY", "socket-key.pem"),
    ] {
        command.env(name, folder.path(file));
    }
    let mut server = Server::start(command, 2);
    let (one, other) = (server.addresses[0], server.addresses[1]);
    assert_eq!(status(one, &rest), Some(200));
    assert_eq!(status(other, &socket), Some(200));
    assert_eq!((status(one, &socket), status(other, &rest)), (None, None));
    // Both serve everything, and to each other.
    let mut app = Peer::over(connect_tls(one, &rest));
    let id = conn_id(&mut app, "reader", &["news"]);
    let mut reader = Socket::open(connect_tls(other, &socket), &id);
    assert_eq!(app.ask(&publish("news", "hello")).status, 200);
    assert_eq!(reader.message(), "hello");

    let new = fresh_certificate(&folder, "socket-");
    server.signal("HUP");
    server.says("\"reloaded\"");
    assert_eq!(
        (status(one, &rest), status(other, &new)),
        (Some(200), Some(200))
    );
}
