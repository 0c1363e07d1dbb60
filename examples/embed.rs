//! A host program that runs the server on a thread of its own and publishes into it.
//!
//! ```text
//! cargo run --example embed -- 127.0.0.1:8000
//! ```
//!
//! Every line typed into this program reaches everybody in the channel `lobby`. The end of input
//! stops the server in order.

use fanwire::dialect::channelstream;
use fanwire::reactor::Listen;
use fanwire::server::{Builder, Stopped};
use std::error::Error;
use std::io::{self, BufRead};

#[allow(clippy::print_stdout, reason = "a program for a terminal")]
fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let server = Builder::new()
        .listen(Listen::Tcp(address.parse()?))
        .channelstream(channelstream::Config::default())
        .spawn()?;
    for bound in server.bound() {
        println!("listening on {bound}");
    }

    // The handle is cheap to clone and goes wherever the program has something to tell.
    let handle = server.handle();
    for line in io::stdin().lock().lines() {
        let message = serde_json::json!({ "text": line? }).to_string();
        handle.publish("embed", "lobby", &message)?;
        let stats = handle.stats()?;
        println!(
            "published {}, delivered {}",
            stats.published, stats.delivered
        );
    }

    handle.stop()?;
    match server.wait()? {
        Stopped::Clean => println!("everybody has gone"),
        Stopped::TimedOut => println!("cut off who was left"),
    }
    Ok(())
}
