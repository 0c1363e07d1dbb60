//! Rows as they are: what they take, how they show it, and that there is order among them.

use super::super::opt::{Known, find, keys};
use super::super::value::Value;
use super::apps::APP_OPTIONS;
use super::*;

/// Reads what `show` wrote, without a TOML parser: a default is a text, a list of texts, a
/// number or a switch.
fn parse(text: &str) -> Value {
    let unquote = |text: &str| text.trim_matches('"').to_owned();
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        let entries = inner.split(", ").filter(|entry| !entry.is_empty());
        Value::List(entries.map(|entry| Value::Text(unquote(entry))).collect())
    } else if let Ok(number) = text.parse() {
        Value::Integer(number)
    } else if let Ok(is) = text.parse() {
        Value::Bool(is)
    } else {
        Value::Text(unquote(text))
    }
}

fn defaults_are_accepted<R: Clone + Default + PartialEq + std::fmt::Debug>(opts: &[Opt<R>]) {
    let default = R::default();
    for opt in opts.iter().filter(|opt| !opt.is_secret()) {
        let shown = opt.show(&default);
        let mut record = R::default();
        let set = opt.set(&mut record, &parse(&shown), None);
        assert_eq!(set, Ok(()), "{} = {shown}", opt.key());
        assert_eq!(record, default, "{} = {shown}", opt.key());
    }
}

#[test]
fn every_default_is_a_value_its_row_accepts() {
    defaults_are_accepted(OPTIONS);
    defaults_are_accepted(APP_OPTIONS);
}

fn bounds_are_kept<R: Clone + Default>(opts: &[Opt<R>]) {
    for opt in opts {
        let Field::Number {
            at: _,
            unit,
            least,
            most,
            none,
        } = opt.field
        else {
            continue;
        };
        let mut record = R::default();
        let mut set = |text: &str| {
            let result = opt.set(&mut record, &Value::Text(text.to_owned()), Some(text));
            result.map(|()| opt.show(&record).trim_matches('"').to_owned())
        };
        let (low, high) = (unit.write(least), unit.write(most));
        assert_eq!(set(&low), Ok(low), "{}", opt.key());
        assert_eq!(set(&high), Ok(high), "{}", opt.key());
        assert!(set(&unit.write(most + 1)).is_err(), "{}", opt.key());
        if least > 0 {
            assert!(set(&unit.write(least - 1)).is_err(), "{}", opt.key());
        }
        assert_eq!(set("none").is_ok(), none, "{}", opt.key());
        assert!(set("").is_err() && set("-1").is_err(), "{}", opt.key());
        assert!(opt.set(&mut record, &Value::Integer(-1), None).is_err());
        assert!(
            opt.set(&mut record, &Value::Integer(i64::MAX), None)
                .is_err()
        );
        assert_eq!(opt.is_unlimited(&record), none, "{}", opt.key());
    }
}

#[test]
fn bounds_are_kept_and_fit_their_types() {
    bounds_are_kept(OPTIONS);
    bounds_are_kept(APP_OPTIONS);
}

#[test]
fn keys_are_unique_found_and_grouped() {
    let keys = keys();
    for (place, key) in keys.iter().enumerate() {
        assert!(!keys[..place].contains(key), "{key} is there twice");
    }
    for opt in OPTIONS {
        assert_eq!(find(&opt.key()).map(Opt::key), Some(opt.key()));
        assert_eq!(
            Known::find(&opt.key()).map(|known| known.key()),
            Some(opt.key())
        );
        assert!(
            !opt.short.ends_with('.') && !opt.short.is_empty(),
            "{}",
            opt.key()
        );
    }
    for opt in APP_OPTIONS {
        assert!(!keys.contains(&opt.key()), "{}", opt.key());
        assert!(find(&opt.key()).is_none(), "{}", opt.key());
        let known = Known::find(&opt.key()).map(|known| known.key());
        assert_eq!(known, Some(opt.key()));
        assert!(!opt.short.ends_with('.') && opt.section == "app");
    }
    let mut sections: Vec<&str> = OPTIONS.iter().map(|opt| opt.section).collect();
    sections.dedup();
    for (place, section) in sections.iter().enumerate() {
        assert!(
            !sections[..place].contains(section),
            "[{section}] is torn apart"
        );
    }
}
