//! The loop's end of the queue.

use super::{Job, News, Place, Question, Task, Ticket, Trouble, Write};
use crate::limits::{STORE_QUEUE_BYTES_MAX, STORE_QUEUE_JOBS_MAX};
use std::collections::VecDeque;

/// The loop's end of the queue: what waits to be handed over, and what is under way.
///
/// It is bounded by jobs and bytes, counted from the moment a job is put in until the store has
/// said that it is done.
#[derive(Debug)]
pub struct Port {
    outgoing: Vec<Job>,
    last_place: Place,
    /// The last write that nobody has a ticket for.
    last_write: Place,
    last_ticket: Ticket,
    /// Writes that are not done yet, oldest first, with their bytes.
    writes: VecDeque<(Place, usize)>,
    write_bytes: usize,
    /// Tickets that are not answered yet, writes included.
    questions: usize,
    trouble: Option<Trouble>,
    jobs_max: usize,
    bytes_max: usize,
}

impl Default for Port {
    /// Without a store behind it.
    fn default() -> Self {
        Self {
            outgoing: Vec::new(),
            last_place: Place(0),
            last_write: Place(0),
            last_ticket: Ticket(0),
            writes: VecDeque::new(),
            write_bytes: 0,
            questions: 0,
            trouble: Some(Trouble::Absent),
            jobs_max: STORE_QUEUE_JOBS_MAX,
            bytes_max: STORE_QUEUE_BYTES_MAX,
        }
    }
}

impl Port {
    /// There is a store from now on, and it is well.
    pub fn open(&mut self) {
        self.trouble = None;
    }

    /// Other bounds than those of [`crate::limits`], for tests.
    pub fn bound(&mut self, jobs: usize, bytes: usize) {
        (self.jobs_max, self.bytes_max) = (jobs, bytes);
    }

    /// What stands in the way of a write, if anything does.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// Whether writes of so many bytes together would be taken, as `jobs` jobs.
    ///
    /// Ask before anything is told to anybody: what was told and cannot be stored is told twice when
    /// its sender tries again.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn has_room(&self, jobs: usize, bytes: usize) -> Result<(), Trouble> {
        if let Some(trouble) = self.trouble {
            return Err(trouble);
        }
        let jobs = self.writes.len() + jobs;
        // One write always fits an empty queue.
        let fits = self.writes.is_empty() || self.write_bytes + bytes <= self.bytes_max;
        if jobs > self.jobs_max || !fits {
            return Err(Trouble::Busy);
        }
        Ok(())
    }

    /// Puts a write in. Whether there is room is asked before, with [`Port::has_room`].
    pub fn write(&mut self, write: Write) -> Place {
        self.last_write = self.put_write(write, None);
        self.last_write
    }

    /// The same for one whose answer is waited for.
    pub fn write_and_tell(&mut self, write: Write) -> Ticket {
        let ticket = self.next_ticket();
        self.put_write(write, Some(ticket));
        ticket
    }

    /// Puts a question in. Questions are bounded by who asks: each asks one at a time.
    pub fn ask(&mut self, question: Question) -> Ticket {
        let ticket = self.next_ticket();
        self.put(Some(ticket), Task::Ask(question));
        ticket
    }

    fn put_write(&mut self, write: Write, ticket: Option<Ticket>) -> Place {
        let bytes = write.bytes();
        let place = self.put(ticket, Task::Write(write));
        self.writes.push_back((place, bytes));
        self.write_bytes += bytes;
        place
    }

    fn put(&mut self, ticket: Option<Ticket>, what: Task) -> Place {
        self.last_place.0 += 1;
        let place = self.last_place;
        self.outgoing.push(Job {
            place,
            ticket,
            what,
        });
        place
    }

    fn next_ticket(&mut self) -> Ticket {
        self.last_ticket.0 += 1;
        self.questions += 1;
        self.last_ticket
    }

    /// The place of the last job.
    pub fn last_place(&self) -> Place {
        self.last_place
    }

    /// The place of the last write that was put in without a ticket.
    pub fn last_write(&self) -> Place {
        self.last_write
    }

    /// Whether a write is not done yet.
    pub fn is_waiting_for(&self, place: Place) -> bool {
        self.writes.back().is_some_and(|&(last, _)| place <= last)
            && self
                .writes
                .front()
                .is_some_and(|&(first, _)| first <= place)
    }

    /// Hands over what waits for that, in order.
    pub fn take(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.outgoing)
    }

    /// Whether anything waits to be handed over.
    pub fn has_jobs(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Jobs that are not done, and the bytes of the writes among them.
    pub fn waiting(&self) -> (usize, usize) {
        let asked = self.questions.saturating_sub(self.writes.len());
        (self.writes.len() + asked, self.write_bytes)
    }

    /// Takes in what the store says of itself and of writes. Answers are for whoever asked; here
    /// they are only counted.
    pub fn hear(&mut self, news: &News) {
        match news {
            News::Done { upto } | News::Failed { upto, .. } => self.done(*upto),
            News::Answer { .. } => self.questions = self.questions.saturating_sub(1),
            News::State(trouble) => self.trouble = *trouble,
            News::Apps(_) | News::Stats(_) => {}
        }
    }

    fn done(&mut self, upto: Place) {
        while let Some(&(place, bytes)) = self.writes.front()
            && place <= upto
        {
            self.writes.pop_front();
            self.write_bytes -= bytes;
        }
        if self.writes.is_empty() {
            crate::room::release_queue(&mut self.writes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Answer, AppRow, Publish};

    fn publish(data: &str) -> Write {
        Write::Publish(Box::new(Publish {
            app: AppRow(1),
            number: 1,
            is_last: true,
            owner: None,
            micros: 1,
            name: "message".into(),
            data: data.into(),
            extra: "".into(),
            channels: vec![("room".into(), 7)],
        }))
    }

    #[test]
    fn jobs_are_numbered_in_order_and_counted_until_they_are_done() {
        let mut port = Port::default();
        assert_eq!(port.has_room(1, 1), Err(Trouble::Absent));
        port.open();
        assert_eq!(port.has_room(1, 1), Ok(()));
        let first = port.write(publish("a"));
        let ticket = port.ask(Question::Counts);
        let last = port.write(publish("b"));
        let jobs = port.take();
        let places: Vec<u64> = jobs.iter().map(|job| job.place.0).collect();
        assert_eq!(places, [1, 2, 3]);
        assert_eq!((first, last), (Place(1), Place(3)));
        assert_eq!(jobs[1].ticket, Some(ticket));
        assert!(!port.has_jobs());
        let bytes = publish("a").bytes();
        assert_eq!(port.write_bytes, 2 * bytes);
        port.hear(&News::Done { upto: Place(2) });
        assert_eq!(port.write_bytes, bytes);
        port.hear(&News::Failed {
            from: Place(3),
            upto: Place(3),
            why: Trouble::DiskFull,
        });
        port.hear(&News::Answer {
            ticket,
            answer: Answer::Done,
        });
        assert_eq!(port.waiting(), (0, 0));
    }

    #[test]
    fn what_waits_is_bounded_by_jobs_and_bytes() {
        let mut port = Port::default();
        port.open();
        let bytes = publish("a").bytes();
        port.bound(3, 2 * bytes);
        assert_eq!(port.has_room(1, 100 * bytes), Ok(()), "one always fits");
        port.write(publish("a"));
        assert_eq!(port.has_room(1, bytes), Ok(()));
        assert_eq!(port.has_room(1, bytes + 1), Err(Trouble::Busy));
        assert_eq!(port.has_room(3, 0), Err(Trouble::Busy));
        assert_eq!(port.has_room(2, 0), Ok(()));
        port.hear(&News::State(Some(Trouble::DiskFull)));
        assert_eq!(port.has_room(1, 1), Err(Trouble::DiskFull));
        port.hear(&News::State(None));
        assert_eq!(port.has_room(1, 1), Ok(()));
    }
}
