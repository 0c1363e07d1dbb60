//! Jobs that are done together, and what is told of them.

use super::reader::Asked;
use crate::limits::STORE_COMMIT_ROWS_MAX;
use crate::side::store::storage::events_of;
use crate::store::{Answer, Job, News, Place, Question, Task, Ticket, Trouble, Write};
use std::collections::VecDeque;

/// A commit under way: writes in order, and the questions between and behind them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    writes: Vec<(Place, Option<Ticket>, Write)>,
    /// Those before the first write, which need not wait.
    leading: Vec<(Ticket, Question)>,
    /// With the number of events that the writes before it bring.
    questions: Vec<(Ticket, Question, u64)>,
    events: u64,
}

impl Batch {
    /// Takes what is done together next off the queue.
    pub(super) fn fill(&mut self, queue: &mut VecDeque<Job>) {
        let mut rows = 0;
        while let Some(job) = queue.pop_front_if(|job| {
            rows += rows_of(&job.what);
            rows <= STORE_COMMIT_ROWS_MAX || self.writes.is_empty()
        }) {
            match (job.what, job.ticket) {
                (Task::Write(write), ticket) => {
                    self.events += events_of(&write);
                    self.writes.push((job.place, ticket, write));
                }
                (Task::Ask(question), Some(ticket)) if self.writes.is_empty() => {
                    self.leading.push((ticket, question));
                }
                (Task::Ask(question), Some(ticket)) => {
                    self.questions.push((ticket, question, self.events));
                }
                // Nobody waits for the answer.
                (Task::Ask(_), None) => {}
            }
        }
    }

    pub(super) fn writes(&self) -> Vec<&Write> {
        self.writes.iter().map(|(_, _, write)| write).collect()
    }

    pub(super) fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Events that all of it brings.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// What is told once all of it is kept.
    pub(super) fn done(&mut self, answers: Vec<Answer>) -> Vec<News> {
        let mut news = Vec::new();
        let mut last = None;
        for ((place, ticket, _), answer) in self.writes.drain(..).zip(answers) {
            last = Some(place);
            news.extend(ticket.map(|ticket| News::Answer { ticket, answer }));
        }
        news.extend(last.map(|upto| News::Done { upto }));
        news
    }

    /// What is told if none of it is.
    pub(super) fn failed(&mut self, why: Trouble) -> Vec<News> {
        let mut news = Vec::new();
        let mut ends: Option<(Place, Place)> = None;
        for (place, ticket, _) in self.writes.drain(..) {
            ends = Some((ends.map_or(place, |(from, _)| from), place));
            let answer = Answer::Trouble(why);
            news.extend(ticket.map(|ticket| News::Answer { ticket, answer }));
        }
        news.extend(ends.map(|(from, upto)| News::Failed { from, upto, why }));
        news
    }

    /// The questions before the first write, which see events up to `upto`.
    pub(super) fn leading(&mut self, upto: u64) -> Vec<Asked> {
        let questions = self.leading.drain(..);
        questions
            .map(|(ticket, question)| Asked {
                ticket,
                question,
                upto,
            })
            .collect()
    }

    /// The other questions, which see events up to `first` and as many more as the writes before each of
    /// them brought. The batch is empty then, if its writes were told of.
    pub(super) fn questions(&mut self, first: u64, is_kept: bool) -> Vec<Asked> {
        self.events = 0;
        let questions = self.questions.drain(..);
        questions
            .map(|(ticket, question, brought)| Asked {
                ticket,
                question,
                upto: if is_kept { first + brought } else { first },
            })
            .collect()
    }
}

/// What counts towards the size of a commit.
fn rows_of(task: &Task) -> usize {
    match task {
        Task::Write(Write::Publish(publish)) => publish.channels.len().max(1),
        Task::Write(Write::Keep { changes, .. }) => changes.len().max(1),
        Task::Write(_) => 1,
        Task::Ask(_) => 0,
    }
}
