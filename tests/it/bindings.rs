//! Placeholders and matchers: what a transcript's requests become, and whether an answer is one
//! that the transcript allows.

use crate::json::Json;
use crate::signature;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Why something does not match; says where, what was wanted and what came.
pub(crate) type Mismatch = String;

/// A piece of a text that may hold placeholders.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Literal(&'a str),
    Origin,
    Repeat(&'a str, usize),
    /// The options.
    Signature(&'a str),
    /// The whole placeholder.
    Cookies(&'a str),
    /// `conn_id`, `uuid` or `datetime`, named or not: the whole placeholder.
    Bound(&'a str),
}

/// Values that placeholders stand for during one run of a scenario.
#[derive(Debug, Clone)]
pub(crate) struct Bindings {
    /// From the placeholder as written, for example `<conn_id:1>`.
    bound: BTreeMap<String, String>,
    origin: String,
    secret: String,
    /// Where fresh UUIDs come from.
    chance: u64,
}

impl Bindings {
    /// Nothing bound yet. `run` is the run's random text; other runs get other UUIDs.
    pub(crate) fn new(origin: String, secret: String, run: &str) -> Self {
        let seed = run.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            bound: BTreeMap::new(),
            origin,
            secret,
            chance: seed | 1,
        }
    }

    /// The value of `placeholder`, if it has one.
    pub(crate) fn value(&self, placeholder: &str) -> Option<&str> {
        self.bound.get(placeholder).map(String::as_str)
    }

    /// Gives `placeholder` a value, in place of any other.
    pub(crate) fn bind(&mut self, placeholder: String, value: String) {
        self.bound.insert(placeholder, value);
    }

    /// A random UUID, version 4.
    fn fresh_uuid(&mut self) -> String {
        let mut draw = || {
            self.chance ^= self.chance << 13;
            self.chance ^= self.chance >> 7;
            self.chance ^= self.chance << 17;
            self.chance
        };
        let (high, low) = (draw(), draw());
        let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
        let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// A text of a request, ready to be sent at the second `unix_seconds`.
    pub(crate) fn resolve(&mut self, text: &str, unix_seconds: u64) -> Result<String, Mismatch> {
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Origin => out.push_str(&self.origin),
                Piece::Repeat(what, count) => out.push_str(&what.repeat(count)),
                Piece::Signature(options) => {
                    let signed = signature::from_options(&self.secret, options, unix_seconds);
                    out.push_str(&signed);
                }
                Piece::Cookies(name) => out.push_str(self.value(name).unwrap_or_default()),
                Piece::Bound(name) => {
                    if self.value(name).is_none() {
                        if name.starts_with("<datetime") || !name.contains(':') {
                            return Err(format!("{name} is used before it has a value"));
                        }
                        let uuid = self.fresh_uuid();
                        self.bind(name.to_owned(), uuid);
                    }
                    out.push_str(self.value(name).unwrap_or_default());
                }
            }
        }
        Ok(out)
    }

    /// A JSON value of a request, ready to be sent.
    pub(crate) fn resolve_json(&mut self, json: &Json, now: u64) -> Result<Json, Mismatch> {
        Ok(match json {
            Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
            Json::Text(text) => Json::Text(self.resolve(text, now)?),
            Json::List(items) => {
                let items = items.iter().map(|item| self.resolve_json(item, now));
                Json::List(items.collect::<Result<_, _>>()?)
            }
            Json::Object(members) => {
                let members = members.iter().map(|(key, value)| {
                    Ok::<_, Mismatch>((self.resolve(key, now)?, self.resolve_json(value, now)?))
                });
                Json::Object(members.collect::<Result<_, _>>()?)
            }
        })
    }

    /// An expected text. Placeholders without a value stay as they are.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Origin => out.push_str(&self.origin),
                Piece::Repeat(what, count) => out.push_str(&what.repeat(count)),
                // No answer repeats a signature; show it as it stands.
                Piece::Signature(options) => drop(write!(out, "<signature{options}>")),
                Piece::Cookies(name) | Piece::Bound(name) => {
                    out.push_str(self.value(name).unwrap_or(name));
                }
            }
        }
        out
    }

    /// Whether `got` is what `want` allows; binds placeholders. `at` says where we are.
    pub(crate) fn matches(&mut self, want: &Json, got: &Json, at: &str) -> Result<(), Mismatch> {
        let differs = || Err(format!("{at}: want {}, got {}", short(want), short(got)));
        match (want, got) {
            (Json::Text(want_text), _) => match whole_placeholder(want_text) {
                Some((kind, named)) => self.match_placeholder(want_text, kind, named, got, at),
                None if got.text() == Some(&self.fill(want_text)) => Ok(()),
                None => differs(),
            },
            (Json::Object(members), _) => self.match_object(members, got, at),
            (Json::List(want_items), Json::List(items)) if want_items.len() == items.len() => {
                for (index, (want, got)) in want_items.iter().zip(items).enumerate() {
                    self.matches(want, got, &format!("{at}[{index}]"))?;
                }
                Ok(())
            }
            (Json::Number(want), Json::Number(got)) if Json::same_number(want, got) => Ok(()),
            (Json::Bool(want), Json::Bool(got)) if want == got => Ok(()),
            (Json::Null, Json::Null) => Ok(()),
            (Json::Number(_) | Json::Bool(_) | Json::Null | Json::List(_), _) => differs(),
        }
    }

    fn match_object(
        &mut self,
        want: &[(String, Json)],
        got: &Json,
        at: &str,
    ) -> Result<(), Mismatch> {
        if let [(matcher, inner)] = want {
            match (matcher.as_str(), inner) {
                ("$unordered", Json::List(items)) => {
                    if got.items().map(<[Json]>::len) != Some(items.len()) {
                        return Err(format!(
                            "{at}: want in any order {}, got {}",
                            short(inner),
                            short(got)
                        ));
                    }
                    return self.match_contains(items, got, at);
                }
                ("$contains", Json::List(items)) => return self.match_contains(items, got, at),
                ("$superset", Json::Object(members)) => {
                    let Json::Object(_) = got else {
                        return Err(format!("{at}: want an object, got {}", short(got)));
                    };
                    return self.match_members(members, got, at);
                }
                ("$min", Json::Number(least)) => return match_min(least, got, at),
                _ => assert!(!matcher.starts_with('$'), "no such matcher: {matcher}"),
            }
        }
        let Some(members) = got.members() else {
            return Err(format!("{at}: want an object, got {}", short(got)));
        };
        let wanted: Vec<String> = want.iter().map(|(key, _)| self.fill(key)).collect();
        let known = |key: &String| wanted.contains(key);
        if let Some((extra, _)) = members.iter().find(|(key, _)| !known(key)) {
            return Err(format!("{at}: unexpected key {extra:?} in {}", short(got)));
        }
        self.match_members(want, got, at)
    }

    /// Whether `got` has all of `want`'s members.
    fn match_members(
        &mut self,
        want: &[(String, Json)],
        got: &Json,
        at: &str,
    ) -> Result<(), Mismatch> {
        for (key, want) in want {
            let key = self.fill(key);
            let Some(value) = got.get(&key) else {
                return Err(format!("{at}: key {key:?} is missing in {}", short(got)));
            };
            self.matches(want, value, &format!("{at}.{key}"))?;
        }
        Ok(())
    }

    /// Each of `want` takes the first entry that matches and is not taken.
    fn match_contains(&mut self, want: &[Json], got: &Json, at: &str) -> Result<(), Mismatch> {
        let Some(items) = got.items() else {
            return Err(format!("{at}: want a list, got {}", short(got)));
        };
        let mut left: Vec<&Json> = items.iter().collect();
        for want in want {
            let found = left.iter().position(|candidate| {
                // A candidate that turns out wrong must not leave bindings behind.
                let mut trial = self.clone();
                let fits = trial.matches(want, candidate, at).is_ok();
                if fits {
                    *self = trial;
                }
                fits
            });
            let Some(index) = found else {
                let (want, got) = (short(want), short(got));
                return Err(format!("{at}: nothing matches {want} in {got}"));
            };
            left.remove(index);
        }
        Ok(())
    }

    fn match_placeholder(
        &mut self,
        whole: &str,
        kind: &str,
        named: bool,
        got: &Json,
        at: &str,
    ) -> Result<(), Mismatch> {
        let wrong = || Err(format!("{at}: want {whole}, got {}", short(got)));
        if kind == "any" {
            return Ok(());
        }
        if kind == "int" {
            return match got {
                Json::Number(number) if !number.contains(['.', 'e', 'E']) => Ok(()),
                _ => wrong(),
            };
        }
        let Some(text) = got.text() else {
            return wrong();
        };
        let fits = match kind {
            "conn_id" | "uuid" => is_uuid(text),
            "datetime" => is_datetime(text),
            "uptime" => is_uptime(text),
            "string" => true,
            _ => panic!("no such placeholder: {whole}"),
        };
        if !fits {
            return wrong();
        }
        if named {
            match self.value(whole) {
                Some(before) if before != text => {
                    return Err(format!("{at}: {whole} was {before:?}, now it is {text:?}"));
                }
                Some(_) => {}
                None => self.bind(whole.to_owned(), text.to_owned()),
            }
        }
        Ok(())
    }
}

fn match_min(least: &str, got: &Json, at: &str) -> Result<(), Mismatch> {
    let least_value: f64 = least.parse().expect("read as a JSON number");
    match got {
        Json::Number(number) if number.parse::<f64>().is_ok_and(|n| n >= least_value) => Ok(()),
        _ => Err(format!(
            "{at}: want a number from {least}, got {}",
            short(got)
        )),
    }
}

/// The start of a value's text, for messages.
pub(crate) fn short(json: &Json) -> String {
    let mut text = json.to_string();
    if text.len() > 600 {
        text.truncate(text.floor_char_boundary(600));
        text.push_str("...");
    }
    text
}

/// Cuts a text at its placeholders. What only looks like one is literal.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let (mut literal, mut from) = (0, 0);
    while let Some(open) = text[from..].find('<').map(|at| from + at) {
        let Some(close) = text[open..].find('>').map(|at| open + at) else {
            break;
        };
        match placeholder(&text[open..=close]) {
            Some(piece) => {
                if literal < open {
                    found.push(Piece::Literal(&text[literal..open]));
                }
                found.push(piece);
                literal = close + 1;
                from = literal;
            }
            None => from = open + 1,
        }
    }
    if literal < text.len() {
        found.push(Piece::Literal(&text[literal..]));
    }
    found
}

/// The placeholder that `whole` is, brackets included.
fn placeholder(whole: &str) -> Option<Piece<'_>> {
    let inner = whole.strip_prefix('<')?.strip_suffix('>')?;
    if inner == "origin" {
        return Some(Piece::Origin);
    }
    if let Some(options) = inner.strip_prefix("signature") {
        return Some(Piece::Signature(options));
    }
    let (kind, name) = inner.split_once(':').unwrap_or((inner, ""));
    match kind {
        "repeat" => {
            let (what, count) = name.rsplit_once(':')?;
            Some(Piece::Repeat(what, count.parse().ok()?))
        }
        "cookies" => Some(Piece::Cookies(whole)),
        "conn_id" | "uuid" | "datetime" => Some(Piece::Bound(whole)),
        _ => None,
    }
}

/// The kind of a placeholder that is a whole expected value, and whether it has a name.
pub(crate) fn whole_placeholder(text: &str) -> Option<(&str, bool)> {
    let inner = text.strip_prefix('<')?.strip_suffix('>')?;
    let (kind, name) = inner.split_once(':').unwrap_or((inner, ""));
    let simple = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let known = matches!(
        kind,
        "conn_id" | "uuid" | "datetime" | "uptime" | "int" | "string" | "any"
    );
    (known && simple).then_some((kind, !name.is_empty()))
}

/// Whether `text` has the form of `pattern`, where `9` is any digit and `h` a lower-case hex digit.
pub(crate) fn fits(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(byte, form)| {
            (form == b'9' && byte.is_ascii_digit())
                || (form == b'h' && matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                || (form != b'9' && form != b'h' && byte == form)
        })
}

pub(crate) fn is_uuid(text: &str) -> bool {
    fits(text, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh")
}

fn is_datetime(text: &str) -> bool {
    let Some((stamp, rest)) = text.split_at_checked("9999-99-99T99:99:99".len()) else {
        return false;
    };
    let zone = match rest.split_at_checked(".999999".len()) {
        Some((fraction, zone)) if fits(fraction, ".999999") => zone,
        _ => rest,
    };
    fits(stamp, "9999-99-99T99:99:99")
        && (matches!(zone, "" | "Z") || fits(zone, "+99:99") || fits(zone, "-99:99"))
}

fn is_uptime(text: &str) -> bool {
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let clock = match text.split_once(", ") {
        Some((days, clock)) => match days.strip_suffix(" days").or(days.strip_suffix(" day")) {
            Some(count) if numeric(count) => clock,
            _ => return false,
        },
        None => text,
    };
    clock
        .split_at_checked(clock.len().saturating_sub(":99:99".len()))
        .is_some_and(|(hours, rest)| numeric(hours) && fits(rest, ":99:99"))
}

#[cfg(test)]
mod tests;
