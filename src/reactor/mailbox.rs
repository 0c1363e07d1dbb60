//! Letters from other threads: a bounded channel and one wake per batch.
//!
//! The channel allocates as letters come, so that a large bound costs nothing while it is unused;
//! the bound is a counter beside it.

use crate::limits::MAILBOX_LETTERS_MAX;
use mio::Waker;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Why a letter was not taken; it comes back with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailError<M> {
    /// [`MAILBOX_LETTERS_MAX`] letters wait already. Try again later, or drop it.
    Full(M),
    /// The loop has gone and nobody will read it.
    Closed(M),
}

impl<M> fmt::Display for MailError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the loop's mailbox is full",
            Self::Closed(_) => "the loop has gone",
        })
    }
}

impl<M: fmt::Debug> std::error::Error for MailError<M> {}

/// What both ends of a mailbox look at.
struct Shared {
    waker: Waker,
    /// Whether the loop has been woken and has not looked yet.
    woken: AtomicBool,
    letters: AtomicUsize,
}

/// Where other threads put letters for the loop. Cheap to clone.
pub struct Mailbox<M> {
    sender: Sender<M>,
    shared: Arc<Shared>,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({} letters)", self.letters())
    }
}

impl<M> Mailbox<M> {
    /// Hands `mail` to the loop and wakes it, unless it is awake already. Never blocks.
    ///
    /// # Errors
    /// Gives the letter back when the mailbox is full or the loop has gone.
    pub fn send(&self, mail: M) -> Result<(), MailError<M>> {
        let shared = &*self.shared;
        // The count is taken before the letter is in the channel, so it never runs below the truth.
        if shared.letters.fetch_add(1, Ordering::AcqRel) >= MAILBOX_LETTERS_MAX {
            shared.letters.fetch_sub(1, Ordering::AcqRel);
            return Err(MailError::Full(mail));
        }
        if let Err(refused) = self.sender.send(mail) {
            shared.letters.fetch_sub(1, Ordering::AcqRel);
            return Err(MailError::Closed(refused.0));
        }
        self.wake();
        Ok(())
    }

    /// Ends the loop's wait, as a letter does.
    pub fn wake(&self) {
        if !self.shared.woken.swap(true, Ordering::AcqRel)
            && let Err(error) = self.shared.waker.wake()
        {
            log::error!("the loop could not be woken: {error}");
        }
    }

    /// Letters that wait.
    pub fn letters(&self) -> usize {
        self.shared.letters.load(Ordering::Acquire)
    }
}

/// The loop's end.
pub(super) struct Inbox<M> {
    receiver: Receiver<M>,
    mailbox: Mailbox<M>,
}

impl<M> Inbox<M> {
    pub(super) fn new(waker: Waker) -> Self {
        let (sender, receiver) = channel();
        let shared = Arc::new(Shared {
            waker,
            woken: AtomicBool::new(false),
            letters: AtomicUsize::new(0),
        });
        Self {
            receiver,
            mailbox: Mailbox { sender, shared },
        }
    }

    pub(super) fn mailbox(&self) -> Mailbox<M> {
        self.mailbox.clone()
    }

    /// Whether somebody called since this was last asked. Ask before reading: a letter that comes
    /// after the answer wakes the loop again.
    pub(super) fn take_call(&self) -> bool {
        // A plain load first: most turns have no mail, and a swap takes the cache line from the
        // senders.
        self.mailbox.shared.woken.load(Ordering::Acquire)
            && self.mailbox.shared.woken.swap(false, Ordering::AcqRel)
    }

    /// The next letter, if one is there.
    pub(super) fn next(&self) -> Option<M> {
        let mail = self.receiver.try_recv().ok()?;
        self.mailbox.shared.letters.fetch_sub(1, Ordering::AcqRel);
        Some(mail)
    }
}
