//! The server nested in the host's own poll: one thread, one loop, and it is the host's.
//!
//! ```text
//! cargo run --example own_loop -- 127.0.0.1:8000 127.0.0.1:8001
//! ```
//!
//! The first address is the server's. The second is a UDP socket of the host: each datagram is
//! published to the channel `lobby`; the datagram `stop` ends the program.

use fanwire::dialect::channelstream;
use fanwire::reactor::Listen;
use fanwire::server::{Builder, Flow};
use mio::net::UdpSocket;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::error::Error;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::time::Duration;

const SERVER: Token = Token(0);
const HOST: Token = Token(1);

#[allow(clippy::print_stdout, reason = "a program for a terminal")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let host_address = args.next().unwrap_or_else(|| "127.0.0.1:8001".to_owned());

    let mut server = Builder::new()
        .listen(Listen::Tcp(address.parse()?))
        .channelstream(channelstream::Config::default())
        .build()?;
    let mut socket = UdpSocket::bind(host_address.parse()?)?;
    for bound in server.bound() {
        println!("listening on {bound}");
    }
    println!("datagrams to {}", socket.local_addr()?);

    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(16);
    // The server's own poll is a descriptor like any other.
    poll.registry().register(
        &mut SourceFd(&server.as_raw_fd()),
        SERVER,
        Interest::READABLE,
    )?;
    poll.registry()
        .register(&mut socket, HOST, Interest::READABLE)?;

    let mut datagram = [0; 1024];
    loop {
        match poll.poll(&mut events, server.next_wait()) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        if events.iter().any(|event| event.token() == HOST) {
            while let Ok((length, _)) = socket.recv_from(&mut datagram) {
                let text = String::from_utf8_lossy(&datagram[..length]);
                if text.trim() == "stop" {
                    server.stop();
                } else {
                    let message = serde_json::json!({ "text": text }).to_string();
                    server.publish("own_loop", "lobby", &message)?;
                }
            }
        }
        // Never waits: the host's poll has done that. Also called when only time has passed.
        if let Flow::Stopped(how) = server.turn(Some(Duration::ZERO))? {
            println!("stopped: {how:?}");
            return Ok(());
        }
    }
}
