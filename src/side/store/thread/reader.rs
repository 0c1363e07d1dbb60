//! The thread that reads.

use super::Tell;
use crate::limits::STORE_ANSWERS_TOLD_MAX;
use crate::side::store::storage::Reading;
use crate::store::{Answer, News, Question, Ticket, Trouble};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

/// A question on its way.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) ticket: Ticket,
    pub(super) question: Question,
    /// The last event that it sees.
    pub(super) upto: u64,
}

/// The other end of it.
#[derive(Debug)]
pub(super) struct Reader {
    questions: Sender<Asked>,
    thread: JoinHandle<()>,
}

impl Reader {
    /// Hands a question over. If nobody is there to answer, it comes back.
    pub(super) fn ask(&self, asked: Asked) -> Result<(), Asked> {
        self.questions.send(asked).map_err(|lost| lost.0)
    }

    /// Waits for the last answer.
    pub(super) fn close(self) {
        drop(self.questions);
        if self.thread.join().is_err() {
            log::error!("the store's reader ended in a panic");
        }
    }
}

pub(super) fn start(mut reading: Box<dyn Reading>, tell: Tell) -> io::Result<Reader> {
    let (questions, asked) = channel();
    let thread = Builder::new()
        .name("store-reader".to_owned())
        .spawn(move || work(&mut *reading, &asked, &tell))?;
    Ok(Reader { questions, thread })
}

fn work(reading: &mut dyn Reading, asked: &Receiver<Asked>, tell: &Tell) {
    while let Ok(first) = asked.recv() {
        let more = std::iter::from_fn(|| asked.try_recv().ok());
        let some = std::iter::once(first).chain(more);
        let news = some
            .take(STORE_ANSWERS_TOLD_MAX)
            .map(|asked| answer(reading, &asked));
        // Once nobody listens, there is an end of questions as well.
        tell(news.collect());
    }
}

/// Answers one question, come what may.
pub(super) fn answer(reading: &mut dyn Reading, asked: &Asked) -> News {
    let answered = catch_unwind(AssertUnwindSafe(|| {
        reading.answer(&asked.question, asked.upto)
    }));
    let answer = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(trouble)) => Answer::Trouble(trouble),
        Err(_) => {
            log::error!("the store panicked over {:?}", asked.question);
            Answer::Trouble(Trouble::Failing)
        }
    };
    News::Answer {
        ticket: asked.ticket,
        answer,
    }
}
