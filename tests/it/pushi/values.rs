//! Placeholders and matchers of Pushi's transcripts, and signatures as its applications make them.
//!
//! The signatures are a second implementation on purpose: the server's own code does not vouch for
//! itself.

use crate::bindings::{Mismatch, fits, is_uuid, short};
use crate::client::NONCE;
use crate::json::Json;
use crate::websocket::accept_of;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;

/// An app as its record says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AppKeys {
    pub(crate) name: String,
    pub(crate) ident: String,
    pub(crate) key: String,
    pub(crate) secret: String,
}

impl AppKeys {
    /// `key:digest` of `first:channel`.
    pub(crate) fn sign(&self, first: &str, channel: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any length");
        mac.update(format!("{first}:{channel}").as_bytes());
        let digest = HEXLOWER.encode(&mac.finalize().into_bytes());
        format!("{}:{digest}", self.key)
    }
}

/// What placeholders stand for during one run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    pub(crate) apps: BTreeMap<String, AppKeys>,
    /// Which app a client belongs to.
    pub(crate) clients: BTreeMap<String, String>,
    /// By the placeholder as written, without brackets.
    bound: BTreeMap<String, String>,
}

/// How much of an object has to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objects {
    /// Everything, unless the object says otherwise.
    Closed,
    Open,
}

impl Values {
    /// Gives a placeholder a value.
    pub(crate) fn bind(&mut self, inner: &str, value: &str) {
        self.bound.insert(inner.to_owned(), value.to_owned());
    }

    /// What stands for the placeholder with this inside, if it has a value.
    fn value(&self, inner: &str) -> Option<String> {
        let (kind, rest) = inner.split_once(':').unwrap_or((inner, ""));
        match kind {
            "app" => {
                let (app, field) = rest.split_once('.')?;
                let app = self.apps.get(app)?;
                match field {
                    "name" => Some(app.name.clone()),
                    "ident" => Some(app.ident.clone()),
                    "key" => Some(app.key.clone()),
                    "secret" => Some(app.secret.clone()),
                    _ => None,
                }
            }
            "auth" => {
                let (client, channel) = rest.split_once(':')?;
                let app = self.apps.get(self.clients.get(client)?)?;
                let id = self.bound.get(&format!("socket_id:{client}"))?;
                Some(app.sign(id, channel))
            }
            "sign" => {
                let (app, rest) = rest.split_once(':')?;
                let (first, channel) = rest.split_once('|')?;
                Some(self.apps.get(app)?.sign(first, channel))
            }
            "accept" if rest.is_empty() => Some(accept_of(NONCE)),
            _ => self.bound.get(inner).cloned(),
        }
    }

    /// A text with values for all placeholders that have one, the inner ones first.
    pub(crate) fn fill(&self, text: &str) -> String {
        // What has been read so far, and for each bracket that is open what stands inside.
        let mut read = vec![String::new()];
        for character in text.chars() {
            match (character, &mut read[..]) {
                ('<', _) => read.push(String::new()),
                ('>', [.., outer, inner]) => {
                    match self.value(inner) {
                        Some(value) => outer.push_str(&value),
                        None => outer.push_str(&format!("<{inner}>")),
                    }
                    read.pop();
                }
                (_, [.., last]) => last.push(character),
                (_, []) => {}
            }
        }
        read.join("<")
    }

    /// The same for JSON.
    pub(crate) fn fill_json(&self, json: &Json) -> Json {
        match json {
            Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
            Json::Text(text) => Json::Text(self.fill(text)),
            Json::List(items) => Json::List(items.iter().map(|one| self.fill_json(one)).collect()),
            Json::Object(members) => {
                let filled = members.iter();
                let filled = filled.map(|(key, value)| (self.fill(key), self.fill_json(value)));
                Json::Object(filled.collect())
            }
        }
    }

    /// Whether `got` is what `want` allows; binds placeholders. `at` says where we are.
    pub(crate) fn matches(
        &mut self,
        want: &Json,
        got: &Json,
        objects: Objects,
        at: &str,
    ) -> Result<(), Mismatch> {
        let differs = || Err(format!("{at}: want {}, got {}", short(want), short(got)));
        match (want, got) {
            (Json::Text(text), _) => self.match_text(text, got, at),
            (Json::Object(members), _) => match &members[..] {
                [(key, inner)] if key == "$json" => {
                    let text = got.text();
                    let text = text.ok_or_else(|| format!("{at}: no text: {}", short(got)))?;
                    let read = Json::parse(text).map_err(|why| format!("{at}: {why}: {text}"))?;
                    self.matches(inner, &read, objects, &format!("{at}(json)"))
                }
                _ => self.match_object(members, got, objects, at),
            },
            (Json::List(want), Json::List(items)) if want.len() == items.len() => {
                for (index, (want, got)) in want.iter().zip(items).enumerate() {
                    self.matches(want, got, objects, &format!("{at}[{index}]"))?;
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
        objects: Objects,
        at: &str,
    ) -> Result<(), Mismatch> {
        let Some(members) = got.members() else {
            return Err(format!("{at}: want an object, got {}", short(got)));
        };
        let (mut is_open, mut known) = (objects == Objects::Open, Vec::new());
        let mut optional: &[(String, Json)] = &[];
        for (key, value) in want {
            match key.as_str() {
                "$extra" => is_open |= value == &Json::Bool(true),
                "$optional" => optional = value.members().ok_or("$optional without members")?,
                _ => {
                    assert!(!key.starts_with('$'), "no such matcher: {key}");
                    known.push((self.fill(key), value, true));
                }
            }
        }
        known.extend(
            optional
                .iter()
                .map(|(key, value)| (self.fill(key), value, false)),
        );
        let is_known = |key: &String| known.iter().any(|(known, ..)| known == key);
        if let Some((extra, _)) = members.iter().find(|(key, _)| !is_open && !is_known(key)) {
            return Err(format!("{at}: unexpected key {extra:?} in {}", short(got)));
        }
        for (key, want, is_needed) in known {
            match got.get(&key) {
                Some(value) => self.matches(want, value, objects, &format!("{at}.{key}"))?,
                None if is_needed => {
                    return Err(format!("{at}: key {key:?} is missing in {}", short(got)));
                }
                None => {}
            }
        }
        Ok(())
    }

    fn match_text(&mut self, want: &str, got: &Json, at: &str) -> Result<(), Mismatch> {
        let differs = || Err(format!("{at}: want {want:?}, got {}", short(got)));
        let filled = self.fill(want);
        let whole = filled
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix('>'));
        let Some((inner, kind)) = whole.and_then(|inner| Some((inner, kind_of(inner)?))) else {
            // A number that was bound before, or a text with open ends.
            let matches = match got {
                Json::Number(digits) => Json::same_number(&filled, digits),
                Json::Text(text) => fits_text(&filled, text),
                Json::Null | Json::Bool(_) | Json::List(_) | Json::Object(_) => false,
            };
            // What was a number must stay one.
            let was_number = want.starts_with("<timestamp:");
            return match matches && was_number == matches!(got, Json::Number(_)) {
                true => Ok(()),
                false => differs(),
            };
        };
        if !kind.allows(got) {
            return differs();
        }
        if inner.contains(':')
            && let Json::Text(value) | Json::Number(value) = got
        {
            self.bind(inner, value);
        }
        Ok(())
    }
}

/// What a placeholder without a value may stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Text,
    /// A short id of the database.
    Short,
    Uuid,
    Sid,
    /// A whole number.
    Whole,
    Number,
}

fn kind_of(inner: &str) -> Option<Kind> {
    let (kind, name) = inner.split_once(':').unwrap_or((inner, ""));
    Some(match (kind, name.is_empty()) {
        ("any", true) => Kind::Any,
        ("string", true) => Kind::Text,
        ("oid", true) => Kind::Short,
        ("uuid", true) | ("socket_id" | "mid", false) => Kind::Uuid,
        ("sid", false) => Kind::Sid,
        ("unix" | "int", true) => Kind::Whole,
        ("number", true) | ("timestamp", false) => Kind::Number,
        _ => return None,
    })
}

impl Kind {
    fn allows(self, got: &Json) -> bool {
        match (self, got) {
            (Self::Any, _) | (Self::Text, Json::Text(_)) | (Self::Number, Json::Number(_)) => true,
            (Self::Short, Json::Text(text)) => fits(text, &"h".repeat(24)),
            (Self::Uuid, Json::Text(text)) => is_uuid(text),
            (Self::Sid, Json::Text(text)) => fits(text, &"h".repeat(64)),
            (Self::Whole, Json::Number(_)) => got.count().is_some(),
            _ => false,
        }
    }
}

/// Whether a text is what is wanted, where `<string>` stands for anything.
fn fits_text(want: &str, got: &str) -> bool {
    let mut parts = want.split("<string>");
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = got.strip_prefix(first) else {
        return false;
    };
    let mut is_open = false;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        is_open = part.is_empty();
    }
    is_open || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        let mut values = Values::default();
        let app = AppKeys {
            name: "one".to_owned(),
            ident: "i1".to_owned(),
            key: "0123456789abcdef".repeat(4),
            secret: "fedcba9876543210".repeat(4),
        };
        values.apps.insert("main".to_owned(), app);
        values.clients.insert("a".to_owned(), "main".to_owned());
        values
    }

    fn check(values: &mut Values, want: &str, got: &str) -> bool {
        let (want, got) = (
            Json::parse(want).expect("JSON"),
            Json::parse(got).expect("JSON"),
        );
        values.matches(&want, &got, Objects::Closed, "").is_ok()
    }

    #[test]
    fn placeholders_are_filled_from_within() {
        let mut values = values();
        values.bind("socket_id:a", "19174e6b-8ad0-4230-bd18-135812f6fa12");
        let digest = "bd7c10810091418f11c5a1a3fc2fcdaea4d46fc46904599923121e314b500d11";
        let signed = format!("{}:{digest}", "0123456789abcdef".repeat(4));
        assert_eq!(values.fill("<auth:a:private-room>"), signed);
        assert_eq!(
            values.fill("<sign:main:<socket_id:a>|private-room>"),
            signed
        );
        assert_eq!(values.fill("/x/<app:main.ident>?"), "/x/i1?");
        for plain in [
            "apps/<app_id>/x",
            "a < b",
            "<<x>",
            "a > b",
            "<auth:b:x>",
            "<mid:1>",
        ] {
            assert_eq!(values.fill(plain), plain);
        }
    }

    #[test]
    fn objects_are_closed_but_for_what_they_say() {
        let mut values = values();
        let mut check = |want: &str, got: &str| check(&mut values, want, got);
        assert!(check(r#"{"a": 1}"#, r#"{"a": 1.0}"#));
        assert!(!check(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#));
        assert!(!check(r#"{"a": 1}"#, "{}"));
        assert!(check(r#"{"a": 1, "$extra": true}"#, r#"{"b": 2, "a": 1}"#));
        assert!(!check(r#"{"a": 1, "$extra": true}"#, r#"{"b": 2}"#));
        let optional = r#"{"$optional": {"b": 2}}"#;
        assert!(check(optional, "{}") && check(optional, r#"{"b": 2}"#));
        assert!(!check(optional, r#"{"b": 3}"#));
        assert!(check(r#"{"$json": {"a": [1]}}"#, r#""{\"a\": [1]}""#));
        for got in [r#"{"a": [1]}"#, r#""{\"a\": [1, 2]}""#, r#""{""#, "1"] {
            assert!(!check(r#"{"$json": {"a": [1]}}"#, got), "{got}");
        }
        assert!(!check("[1, 2]", "[2, 1]") && !check("[1]", "[1, 1]"));
    }

    #[test]
    fn what_is_bound_stays() {
        let mut values = values();
        let (one, other) = (
            r#""19174e6b-8ad0-4230-bd18-135812f6fa12""#,
            r#""29174e6b-8ad0-4230-bd18-135812f6fa12""#,
        );
        assert!(!check(&mut values, r#""<mid:1>""#, r#""x""#));
        assert!(check(&mut values, r#""<mid:1>""#, one));
        assert!(check(&mut values, r#""<mid:1>""#, one));
        assert!(!check(&mut values, r#""<mid:1>""#, other));
        assert!(check(&mut values, r#""<mid:2>""#, other));
        assert!(check(&mut values, r#""<timestamp:1>""#, "1.5"));
        assert!(check(&mut values, r#""<timestamp:1>""#, "1.50"));
        assert!(!check(&mut values, r#""<timestamp:1>""#, r#""1.5""#));
        assert!(!check(&mut values, r#""<timestamp:1>""#, "1.6"));
    }

    #[test]
    fn kinds_are_told_apart() {
        let mut values = values();
        let mut check = |want: &str, got: &str| check(&mut values, want, got);
        for (want, good, bad) in [
            ("<int>", "7", "7.5"),
            ("<unix>", "7", "\"7\""),
            ("<number>", "7.5", "\"7\""),
            ("<string>", "\"\"", "7"),
            ("<any>", "null", ""),
            ("<oid>", "\"0123456789abcdef01234567\"", "\"0123\""),
            ("sid=<string>;", "\"sid=x;\"", "\"sid=x\""),
            ("sid=<string>", "\"sid=x;y\"", "\"id=x\""),
            ("<app:main.name>", "\"one\"", "\"two\""),
        ] {
            let want = format!("{want:?}");
            assert!(check(&want, good), "{want} {good}");
            assert!(bad.is_empty() || !check(&want, bad), "{want} {bad}");
        }
    }
}
