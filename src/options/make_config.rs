//! What `channelstream_utils make_config` writes: an INI file from the environment or from JSON
//! (section 2 of the specification).

use super::channelstream::{DEFAULT_CHECKER, ENV_PREFIX, KEYS, is_true, list};
use super::nearest::nearest;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The keys of the file, in order, each with what stands above it and its default.
const WRITTEN: [(&str, &str, &str); 10] = [
    ("admin_user", "Login of the admin pages.", "admin"),
    (
        "admin_secret",
        "Password of the admin pages.",
        "admin_secret",
    ),
    (
        "cookie_secret",
        "Key of the login cookie; empty: a random one at each start.",
        "",
    ),
    (
        "secret",
        "What web applications sign their requests with.",
        "secret",
    ),
    ("port", "Where to listen.", "8000"),
    (
        "allow_posting_from",
        "Who may send signed requests, one address per line; 0.0.0.0 is anyone.",
        "127.0.0.1",
    ),
    (
        "log_level",
        "DEBUG, INFO, WARNING, ERROR or CRITICAL.",
        "INFO",
    ),
    (
        "enforce_https",
        "Whether to refuse requests that are not https.",
        "false",
    ),
    (
        "http_scheme",
        "http or https, to force the scheme of links.",
        "",
    ),
    (
        "signature_checker",
        "The one signature scheme there is.",
        DEFAULT_CHECKER,
    ),
];

/// A file, and what to tell whoever asked for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MadeConfig {
    /// The text of the file.
    pub ini: String,
    /// What was passed over.
    pub warnings: Vec<String>,
}

/// From `CHANNELSTREAM_*` variables. `cookie_secret` is used if they give none.
///
/// # Errors
/// A value that cannot stand in such a file.
pub fn from_environment(
    env: &[(String, String)],
    cookie_secret: &str,
) -> Result<MadeConfig, String> {
    let mut values = BTreeMap::new();
    for (name, value) in env {
        let Some(key) = name.strip_prefix(ENV_PREFIX).map(str::to_lowercase) else {
            continue;
        };
        // Kubernetes names a variable like this after a service.
        let is_link = key == "port" && value.contains("://");
        if let Some((key, ..)) = WRITTEN.iter().find(|(known, ..)| *known == key)
            && !is_link
        {
            values.insert(*key, value.clone());
        }
    }
    let cookie = values.entry("cookie_secret").or_default();
    if cookie.is_empty() {
        cookie_secret.clone_into(cookie);
    }
    Ok(MadeConfig {
        ini: write(&values)?,
        warnings: Vec::new(),
    })
}

/// From a JSON object with the same keys. What is empty, zero, false or null counts as left out;
/// lists may be lists or texts with commas.
///
/// # Errors
/// Text that is no JSON object, or a value that cannot stand in such a file.
pub fn from_json(json: &str) -> Result<MadeConfig, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).map_err(|why| format!("expected a JSON object: {why}"))?;
    let mut values = BTreeMap::new();
    let mut warnings = Vec::new();
    for (key, value) in &object {
        let Some((known, ..)) = WRITTEN.iter().find(|(known, ..)| known == key) else {
            warnings.push(passed_over(key));
            continue;
        };
        if let Some(text) = text(value).map_err(|what| format!("{key}: found {what}"))? {
            values.insert(*known, text);
        }
    }
    Ok(MadeConfig {
        ini: write(&values)?,
        warnings,
    })
}

fn passed_over(key: &str) -> String {
    if KEYS.contains(&key) {
        return format!("{key}: not a key of this file; left out");
    }
    let known = WRITTEN.iter().map(|(known, ..)| *known);
    let near = nearest(key, known).map_or(String::new(), |near| format!("; did you mean {near}?"));
    format!("{key:?}: unknown key, left out{near}")
}

/// A value as text; nothing for what Python takes for false.
fn text(value: &serde_json::Value) -> Result<Option<String>, &'static str> {
    use serde_json::Value;
    let text = match value {
        Value::Null | Value::Bool(false) => return Ok(None),
        Value::Bool(true) => "true".to_owned(),
        Value::Number(number) if number.as_f64() == Some(0.0) => return Ok(None),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(entries) => {
            let entries = entries.iter().map(|entry| match entry {
                Value::String(text) => Ok(text.as_str()),
                _ => Err("a list of other things than texts"),
            });
            entries.collect::<Result<Vec<_>, _>>()?.join("\n")
        }
        Value::Object(_) => return Err("an object; expected a text, a number or a list"),
    };
    Ok((!text.is_empty()).then_some(text))
}

fn write(values: &BTreeMap<&str, String>) -> Result<String, String> {
    let mut out = "[channelstream]\n".to_owned();
    for (key, about, default) in WRITTEN {
        let given = values.get(key).map_or(default, String::as_str);
        // Writing to a string does not fail.
        let _ = write!(out, "\n# {about}\n{key} =");
        match key {
            "allow_posting_from" => {
                for entry in list(given) {
                    // A comment where a line begins with it, other than behind `key =`.
                    if entry.starts_with(['#', ';']) {
                        return Err(format!("{key}: {entry:?} would be read as a comment"));
                    }
                    let _ = write!(out, "\n    {}", one_line(key, &entry)?);
                }
            }
            "enforce_https" => {
                let _ = write!(out, " {}", is_true(given));
            }
            "http_scheme" if !matches!(given, "http" | "https") => {}
            "log_level" | "port" => {
                let _ = write!(out, " {}", one_line(key, given.trim())?);
            }
            _ => {
                let _ = write!(out, " {}", one_line(key, given)?);
            }
        }
        out.push('\n');
    }
    Ok(out.replace(" \n", "\n").replace("= \n", "=\n"))
}

/// A value that reads as it was: a single `%` is doubled, and what would be read as something else
/// is refused.
fn one_line(key: &str, value: &str) -> Result<String, String> {
    let is_space = |c: char| c.is_whitespace() || c.is_control();
    if value.contains(|c: char| c.is_control()) {
        return Err(format!(
            "{key}: a settings file cannot hold control characters"
        ));
    }
    if value.starts_with(is_space) || value.ends_with(is_space) {
        return Err(format!(
            "{key}: a settings file drops white space around values"
        ));
    }
    Ok(value.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::super::ini::Ini;
    use super::*;

    fn value(ini: &str, key: &str) -> String {
        let ini = Ini::read(ini).expect("it can be read");
        ini.value("channelstream", key).expect(key).expect(key)
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn defaults_and_order_are_those_of_the_original() {
        let made = from_environment(&[], "fresh").expect("good");
        let keys: Vec<&str> = made
            .ini
            .lines()
            .filter(|line| !line.starts_with(['#', ' ', '[']))
            .filter_map(|line| Some(line.split_once(" =")?.0))
            .collect();
        let expected: Vec<&str> = WRITTEN.iter().map(|(key, ..)| *key).collect();
        assert_eq!(keys, expected);
        for (key, _, default) in WRITTEN {
            let default = if key == "cookie_secret" {
                "fresh"
            } else {
                default
            };
            assert_eq!(value(&made.ini, key).trim(), default, "{key}");
        }
    }

    #[test]
    fn the_environment_is_turned_into_a_file() {
        let env = env(&[
            ("CHANNELSTREAM_SECRET", "100%; # é"),
            ("CHANNELSTREAM_COOKIE_SECRET", "mine"),
            ("CHANNELSTREAM_ALLOW_POSTING_FROM", "127.0.0.1, 10.0.0.1"),
            ("CHANNELSTREAM_ENFORCE_HTTPS", "Yes"),
            ("CHANNELSTREAM_HTTP_SCHEME", "gopher"),
            ("CHANNELSTREAM_PORT", "tcp://10.0.0.1:80"),
            ("CHANNELSTREAM_HOST", "127.0.0.1"),
        ]);
        let ini = from_environment(&env, "fresh").expect("good").ini;
        assert_eq!(value(&ini, "secret"), "100%; # é");
        assert_eq!(value(&ini, "cookie_secret"), "mine");
        assert_eq!(value(&ini, "allow_posting_from"), "\n127.0.0.1\n10.0.0.1");
        assert_eq!(value(&ini, "enforce_https"), "true");
        assert_eq!(value(&ini, "http_scheme"), "");
        assert_eq!(value(&ini, "port"), "8000");
        assert!(!ini.contains("host"));
    }

    #[test]
    fn json_is_turned_into_a_file_and_the_environment_left_alone() {
        let made = from_json(
            r#"{"secret": "s", "port": 9001, "enforce_https": true, "admin_user": "",
                "allow_posting_from": ["127.0.0.1", "10.0.0.1"], "log_level": null,
                "host": "x", "prot": 1}"#,
        );
        let made = made.expect("good");
        assert_eq!(value(&made.ini, "secret"), "s");
        assert_eq!(value(&made.ini, "port"), "9001");
        assert_eq!(value(&made.ini, "enforce_https"), "true");
        assert_eq!(value(&made.ini, "admin_user"), "admin");
        assert_eq!(value(&made.ini, "log_level"), "INFO");
        assert_eq!(value(&made.ini, "cookie_secret"), "", "as in the original");
        assert_eq!(
            value(&made.ini, "allow_posting_from"),
            "\n127.0.0.1\n10.0.0.1"
        );
        let text = r#"{"allow_posting_from": "127.0.0.1, 10.0.0.1"}"#;
        let text = from_json(text).expect("good").ini;
        assert_eq!(value(&text, "allow_posting_from"), "\n127.0.0.1\n10.0.0.1");
        assert_eq!(made.warnings.len(), 2);
        assert!(
            made.warnings[1].contains("did you mean port?"),
            "{:?}",
            made.warnings
        );
    }

    #[test]
    fn what_would_be_read_as_something_else_is_refused() {
        for json in [
            "",
            "[]",
            "{",
            r#"{"secret": {}}"#,
            r#"{"secret": "a\nport = 1"}"#,
            r#"{"secret": " a"}"#,
            r#"{"allow_posting_from": [1]}"#,
            r##"{"allow_posting_from": ["#127.0.0.1"]}"##,
            r#"{"allow_posting_from": "127.0.0.1, ;10.0.0.1"}"#,
        ] {
            assert!(from_json(json).is_err(), "{json}");
        }
    }
}
