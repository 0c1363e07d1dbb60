//! What the store says reaches the server, and what a crash leaves of the reactor's part.

use crate::Sabotage;
use crate::world::World;
use fanwire::engine::Mail;
use fanwire::handler::{Handler, Turn};
use fanwire::outbox::Outbox;
use fanwire::store::News;

impl World {
    /// The server hears of the store, in one letter or several.
    pub fn hear_store(&mut self, news: Vec<News>) {
        let mut rest = news;
        while !rest.is_empty() {
            let count = match self.chance.one_in(2) {
                true => rest.len(),
                false => 1,
            };
            let letter: Vec<News> = rest.drain(..count).collect();
            if self.traced {
                self.note(format!("the store says {letter:?}"));
            }
            let said = letter.iter().map(|news| match news {
                News::Failed { upto, .. } if self.sabotage == Sabotage::HideFailure => {
                    News::Done { upto: *upto }
                }
                news => news.clone(),
            });
            let said = said.collect();
            let mut turn = Turn {
                out: &mut self.out,
                now: self.now,
            };
            self.engine.mail(Mail::Store(said), &mut turn);
            self.take_jobs();
            for news in &letter {
                self.oracle.hear_news(news, self.now);
            }
            self.oracle.end_call();
        }
    }

    /// The process is no more: every connection is lost, and all that was queued.
    pub fn lose_everybody(&mut self) {
        let conns: Vec<_> = self.conns.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            self.conns.remove(conn);
            self.summary.closed += 1;
        }
        self.ledger.clear();
        self.forget_last_ids();
        self.resume.clear();
        self.behind.clear();
        self.dead.clear();
        self.out = Outbox::new(self.queue_bytes_max);
        self.sent = 0;
        self.before = (self.summary.opened, self.summary.slow);
    }
}
