//! The store's own thread: takes jobs in order, commits, and tells what came of it.
//!
//! It commits what is there as soon as the last commit is done, so a lone write waits for nobody and
//! many share one sync. Questions go to a thread that only reads, once the writes ahead of them are
//! committed. What was said to be done is on disk before it is said.
//!
//! While the store cannot write, writes are refused at once and reading goes on; every now and then
//! it is tried whether writing works again. A panic is such a failure too.

mod batch;
mod reader;
mod sweep;
mod writer;

use super::storage::Storage;
use super::{Moment, Options};
use crate::store::{Job, News};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

/// How the loop is told. False: nobody listens any more.
pub(super) type Tell = Arc<dyn Fn(Vec<News>) -> bool + Send + Sync>;

/// What the thread is sent. Who sends bounds it: [`Port`](crate::store::Port) counts what is under way.
enum Letter {
    Jobs(Vec<Job>),
    /// No more will come.
    Close,
}

/// The way in. Cheap to clone; never blocks.
#[derive(Clone)]
pub struct Link {
    inbox: Sender<Letter>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// Hands over jobs, which must be in the order of their places. Whether somebody is there to do
    /// them.
    pub fn send(&self, jobs: Vec<Job>) -> bool {
        self.inbox.send(Letter::Jobs(jobs)).is_ok()
    }
}

/// A store at work.
#[derive(Debug)]
pub struct Running {
    link: Link,
    thread: JoinHandle<bool>,
}

impl Running {
    /// A way in.
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// Waits until all that was handed over is done, and ends. Whether everything that was said to be
    /// done is on disk, and the file in order.
    pub fn close(self) -> bool {
        // If nobody takes the letter, the thread is at its end already.
        let _ = self.link.inbox.send(Letter::Close);
        self.thread.join().unwrap_or(false)
    }
}

/// Starts the threads.
pub(super) fn start(
    mut storage: Box<dyn Storage>,
    options: Options,
    tell: Tell,
) -> io::Result<Running> {
    let other = |trouble: crate::store::Trouble| io::Error::other(trouble.message());
    let reader = storage.reader().map_err(other)?;
    let reader = reader
        .map(|reading| reader::start(reading, Arc::clone(&tell)))
        .transpose()?;
    let writer = writer::Writer::new(storage, options, tell, reader).map_err(other)?;
    let (inbox, letters) = channel();
    let thread = Builder::new()
        .name("store".to_owned())
        .spawn(move || writer.run(&letters))?;
    Ok(Running {
        link: Link { inbox },
        thread,
    })
}

impl Moment {
    /// How many microseconds have gone by since `earlier`.
    fn since_us(self, earlier: Self) -> u64 {
        self.mono_us.saturating_sub(earlier.mono_us)
    }
}
