//! Whatever is done to one engine and to the other, they say the same.

#![cfg(feature = "store")]

use crate::world::{ODD_NAMES, World, new_app};
use fanwire::side::store::Retention;
use fanwire::store::{
    AppFields, AppRow, Change, Field, NewApp, NewRecord, Publish, Question, RecordKind, Write,
};

/// Few enough that things meet, some of them personal.
const NAMES: &[&str] = &["a", "b", "personal-a", "personal-b", "", "nul\0x", "🦀&'\""];

struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 20) % count
    }

    fn name(&mut self) -> Box<str> {
        NAMES[self.below(NAMES.len() as u64) as usize].into()
    }

    fn maybe(&mut self) -> Option<Box<str>> {
        (self.below(2) == 0).then(|| self.name())
    }

    fn kind(&mut self) -> RecordKind {
        // Subscriptions do the most.
        RecordKind::ALL[self.below(8).saturating_sub(3) as usize]
    }

    fn app(&mut self) -> AppRow {
        AppRow(1 + self.below(3) as u32)
    }

    fn publish(&mut self, number: u64) -> Write {
        let channels = (0..self.below(4)).map(|n| (self.name(), u128::from(number * 8 + n)));
        let channels = channels.collect();
        Write::Publish(Box::new(Publish {
            app: self.app(),
            number: number / 3,
            is_last: number % 3 == 2,
            owner: (self.below(2) == 0).then_some(u128::from(number)),
            // The clock jumps.
            micros: number + self.below(40),
            name: self.name(),
            data: "x".repeat(self.below(300) as usize).into(),
            extra: self.name(),
            channels,
        }))
    }

    fn change(&mut self) -> Change {
        let (name, id, value) = (self.name(), u128::from(self.below(20)), self.name());
        let channel = name.clone();
        match self.below(14) {
            0..2 => Change::Channel { name, value },
            2 => Change::NoChannel { name },
            3..9 => {
                let most = self.below(6) as u32;
                Change::Message {
                    channel,
                    id,
                    value,
                    most,
                }
            }
            9 => Change::Edited { channel, id, value },
            10 => Change::NoMessage { channel, id },
            11..13 => Change::User { name, value },
            _ => Change::NoUser { name },
        }
    }

    fn write(&mut self, number: u64) -> Write {
        let (app, unix_s) = (self.app(), number);
        match self.below(25) {
            0..10 => self.publish(number),
            10..15 => Write::PutRecord {
                app,
                record: Box::new(NewRecord {
                    kind: self.kind(),
                    target: self.name(),
                    channel: self.name(),
                    keys: (self.below(2) == 0).then(|| ("k".into(), "s".into())),
                }),
                replaces_oldest: self.below(4) == 0,
                unix_s,
            },
            15..17 => Write::DeleteRecords {
                app,
                kind: self.kind(),
                target: self.name(),
                channel: self.maybe(),
            },
            17..21 => Write::Keep {
                app,
                changes: (0..self.below(5)).map(|_| self.change()).collect(),
            },
            21 => {
                let name = ODD_NAMES[self.below(ODD_NAMES.len() as u64) as usize];
                let other = ODD_NAMES[self.below(ODD_NAMES.len() as u64) as usize];
                let more = match self.below(2) {
                    0 => AppFields::default(),
                    _ => AppFields {
                        enabled: Field::Is(self.below(2) == 0),
                        description: Field::Is(self.name()),
                        meta: Field::Null,
                        ..AppFields::default()
                    },
                };
                Write::CreateApp(Box::new(NewApp {
                    ident: other.into(),
                    more,
                    ..new_app(name)
                }))
            }
            22 => {
                let field = |dice: &mut Self| match dice.below(3) {
                    0 => Field::Absent,
                    1 => Field::Null,
                    _ => Field::Is(dice.name()),
                };
                let fields = AppFields {
                    name: field(self),
                    meta: field(self),
                    smtp_url: field(self),
                    ..AppFields::default()
                };
                let fields = Box::new(fields);
                Write::UpdateApp {
                    app,
                    fields,
                    unix_s,
                }
            }
            23 => Write::AdoptApp {
                ident: self.name(),
                unix_s,
            },
            _ => match self.below(2) {
                0 => Write::EndSessionsBefore {
                    app,
                    unix_s,
                    until_unix_s: unix_s + self.below(50),
                },
                _ => Write::EndSession {
                    app,
                    session: [self.below(9) as u8; 32],
                    until_unix_s: unix_s + self.below(50),
                },
            },
        }
    }

    fn question(&mut self) -> Question {
        let app = self.app();
        let (skip, count) = (self.below(4), self.below(8));
        match self.below(7) {
            0..2 => Question::Latest {
                app,
                channel: self.maybe(),
                skip,
                count,
            },
            2..4 => Question::Personal {
                app,
                user: self.name(),
                skip,
                count,
            },
            4..6 => Question::Records {
                app,
                kind: self.kind(),
                target: self.maybe(),
                channel: self.maybe(),
            },
            _ => Question::Counts,
        }
    }
}

fn run(seed: u64, rounds: u64) {
    let mut dice = Dice(seed);
    let mut worlds = [World::in_memory(), World::in_a_file()];
    let mut number = 0;
    let both = |worlds: &mut [World; 2], what: &str, act: &dyn Fn(&mut World) -> String| {
        let [one, other] = worlds;
        let (one, other) = (act(one), act(other));
        assert_eq!(one, other, "seed {seed}: {what}");
    };
    for round in 0..rounds {
        let writes: Vec<Write> = (0..1 + dice.below(6))
            .map(|_| {
                number += 1;
                dice.write(number)
            })
            .collect();
        let what = format!("round {round}: {writes:?}");
        both(&mut worlds, &what, &|world| {
            format!("{:?}", world.commit(&writes))
        });
        both(&mut worlds, &what, &|world| {
            format!("{:?}", world.store().last_event())
        });
        for _ in 0..3 {
            let question = dice.question();
            let upto = if dice.below(2) == 0 {
                u64::MAX
            } else {
                dice.below(2 * number)
            };
            let what = format!("{what}, then {question:?} up to {upto}");
            both(&mut worlds, &what, &|world| {
                format!("{:?}", world.ask_upto(&question, upto))
            });
        }
        let app = dice.app();
        both(&mut worlds, &what, &|world| {
            format!("{:?}", world.store().remembered(app))
        });
        both(&mut worlds, &what, &|world| format!("{:?}", world.apps()));
        match dice.below(12) {
            0 => worlds[1].recover(),
            1 => {
                let keep = Retention {
                    from_micros: (dice.below(2) == 0).then_some(number / 2),
                    bytes_max: (dice.below(2) == 0).then(|| dice.below(20_000)),
                };
                let rows = dice.below(10) as usize;
                let what = format!("{what}, then {keep:?} of {rows}");
                both(&mut worlds, &what, &|world| {
                    format!("{:?}", world.store().retire(&keep, rows))
                });
                let (from, after) = (dice.below(number), dice.below(number));
                let what = format!("{what}, then from before {from} behind {after}");
                both(&mut worlds, &what, &|world| {
                    format!("{:?}", world.store().sweep(from, after, rows))
                });
            }
            2 => {
                let ident = dice.name();
                both(&mut worlds, &what, &|world| {
                    format!("{:?}", world.store().adopt(&[&ident], number))
                });
                both(&mut worlds, &what, &|world| {
                    format!("{:?}", world.store().ended_sessions(number))
                });
            }
            _ => {}
        }
    }
    for world in worlds {
        world.run(|_| ());
    }
}

#[test]
fn both_engines_say_the_same() {
    for seed in 1..=30 {
        run(seed * 0x9e37_79b9, 60);
    }
}
