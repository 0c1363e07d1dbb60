//! Pushi's own settings, from the variables it reads, translated into options for
//! `fanwire run --pushi-env` (docs/moving-from-pushi.md).
//!
//! Pushi listens twice, for REST and for WebSocket, with or without TLS. Here each of the two
//! addresses serves everything, so that clients find what they look for at either.

use super::channelstream::{Entry, host};
use super::check::Severity;
use super::opt::{Problem, Source};
use super::value::{Value, digits_only};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::fmt::Write as _;

/// Variables that say something to us.
const READ: &[&str] = &[
    "APP_HOST",
    "APP_PORT",
    "APP_SSL",
    "APP_SSL_KEY",
    "APP_SSL_CER",
    "SERVER_HOST",
    "SERVER_PORT",
    "SERVER_SSL",
    "SERVER_SSL_KEY",
    "SERVER_SSL_CER",
    "HOST",
    "PORT",
    "SSL",
    "KEY_FILE",
    "CER_FILE",
    "LEVEL",
    "PUSHI_HANDLERS",
    "WEB_PUSH_TTL",
    "SMTP_URL",
    "SMTP_HOST",
    "SMTP_PORT",
    "SMTP_USER",
    "SMTP_PASSWORD",
    "SMTP_STARTTLS",
    "SMTP_SENDER",
];
/// Variables that name Pushi's database.
const DATABASE: &[&str] = &["MONGO_URL", "MONGOLAB_URI", "MONGOHQ_URL", "MONGO_DB"];
/// Variables that do something there, and nothing here.
const IDLE: &[&str] = &["FORCE_SSL", "FORCE_HOST"];

/// Whether `--pushi-env` looks at a variable of this name.
pub fn is_pushi_variable(name: &str) -> bool {
    [READ, DATABASE, IDLE].concat().contains(&name)
}

/// The names of what describes one of Pushi's two listeners. Where there are two, the first wins:
/// those of the framework that Pushi is made with.
struct Names {
    host: &'static [&'static str],
    port: &'static [&'static str],
    ssl: &'static [&'static str],
    key: &'static [&'static str],
    cert: &'static [&'static str],
    default_port: u16,
}

const REST: Names = Names {
    host: &["HOST", "APP_HOST"],
    port: &["PORT", "APP_PORT"],
    ssl: &["SSL", "APP_SSL"],
    key: &["KEY_FILE", "APP_SSL_KEY"],
    cert: &["CER_FILE", "APP_SSL_CER"],
    default_port: 8080,
};
const WEBSOCKET: Names = Names {
    host: &["SERVER_HOST"],
    port: &["SERVER_PORT"],
    ssl: &["SERVER_SSL"],
    key: &["SERVER_SSL_KEY"],
    cert: &["SERVER_SSL_CER"],
    default_port: 9090,
};

/// The settings of the environment, translated.
pub(super) fn from_env(env: &[(String, String)], problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut translation = Translation {
        env,
        entries: Vec::new(),
        problems,
    };
    // Nobody asked for it, and its secrets are those that everybody knows.
    translation.push(
        "channelstream.enabled",
        Value::Bool(false),
        Source::PushiEnv,
    );
    translation.problem(
        Severity::Note,
        Source::PushiEnv,
        "pushi.open_registration",
        "false, where Pushi lets anybody make apps; --set pushi.open_registration=true brings it \
         back",
    );
    translation.listeners();
    translation.level();
    translation.deliveries();
    translation.unused();
    translation.entries
}

struct Translation<'a> {
    env: &'a [(String, String)],
    entries: Vec<Entry>,
    problems: &'a mut Vec<Problem>,
}

/// One of the two listeners.
struct Listener<'a> {
    address: SocketAddr,
    /// Paths of certificate chain and key, if it speaks TLS.
    tls: Option<(&'a str, &'a str)>,
}

impl<'a> Translation<'a> {
    /// The first of these variables that is set, with its name.
    fn get(&self, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
        names.iter().find_map(|name| {
            let (_, value) = self.env.iter().find(|(known, _)| known == name)?;
            Some((*name, value.as_str()))
        })
    }

    /// The same of one that may as well be empty as not set.
    fn text(&self, names: &[&'static str]) -> Option<&'a str> {
        let filled = |name: &&'static str| self.get(&[*name]).filter(|(_, text)| !text.is_empty());
        names.iter().find_map(filled).map(|(_, text)| text)
    }

    fn push(&mut self, key: &str, value: Value, source: Source) {
        self.entries.push(Entry {
            key: key.to_owned(),
            value,
            raw: None,
            source,
        });
    }

    fn problem(&mut self, severity: Severity, source: Source, key: &str, message: &str) {
        self.problems.push(Problem {
            severity,
            source,
            key: key.to_owned(),
            message: message.to_owned(),
        });
    }

    fn error(&mut self, name: &str, message: &str) {
        self.problem(Severity::Error, Source::Env(name.to_owned()), "", message);
    }

    /// A number, or none and a complaint. Like Python it takes spaces around one.
    fn number(&mut self, name: &str, text: &str, most: u64, expected: &str) -> Option<u64> {
        let number = digits_only(text.trim()).filter(|number| *number <= most);
        if number.is_none() {
            self.error(name, &format!("{text:?}: expected {expected}"));
        }
        number
    }

    fn listeners(&mut self) {
        let (rest, websocket) = (self.listener(&REST), self.listener(&WEBSOCKET));
        let names = [REST, WEBSOCKET].map(|of| [of.host, of.port, of.ssl].concat());
        let source = match self.get(&names.concat()) {
            Some((name, _)) => Source::Env(name.to_owned()),
            None => Source::PushiEnv,
        };
        let listen = [&rest, &websocket].map(|of| {
            let tls = if of.tls.is_some() { "tls:" } else { "" };
            Value::Text(format!("{tls}{}", of.address))
        });
        self.push("listen", Value::List(listen.to_vec()), source);

        let path_source = |names: [&Names; 2], translation: &Self| {
            let names = names.map(|of| [of.cert, of.key].concat()).concat();
            let found = translation.get(&names);
            found.map_or(Source::PushiEnv, |(name, _)| Source::Env(name.to_owned()))
        };
        match (rest.tls, websocket.tls) {
            (Some(one), Some(other)) if one != other => {
                let own = [&rest, &websocket].map(|of| {
                    let (cert, key) = of.tls.unwrap_or_default();
                    let text =
                        |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
                    let listen = text("listen", &of.address.to_string());
                    Value::Table(vec![listen, text("cert", cert), text("key", key)])
                });
                let source = path_source([&REST, &WEBSOCKET], self);
                self.push("tls.listeners", Value::List(own.to_vec()), source);
            }
            (Some((cert, key)), _) | (None, Some((cert, key))) => {
                let names = if rest.tls.is_some() { REST } else { WEBSOCKET };
                let source = path_source([&names, &names], self);
                self.push("tls.cert", Value::Text(cert.to_owned()), source.clone());
                self.push("tls.key", Value::Text(key.to_owned()), source);
            }
            (None, None) => {}
        }
    }

    fn listener(&mut self, names: &Names) -> Listener<'a> {
        let mut address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), names.default_port);
        if let Some((name, text)) = self.get(names.host) {
            match host(text) {
                Some(host) => address.set_ip(host),
                None => self.error(
                    name,
                    &format!("{text:?}: expected an address such as 0.0.0.0, not a name"),
                ),
            }
        }
        if let Some((name, text)) = self.get(names.port) {
            let most = u64::from(u16::MAX);
            let port = self.number(name, text, most, "a port from 0 to 65535");
            // The bound is that of the type.
            address.set_port(port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0));
        }
        Listener {
            address,
            tls: self.certificate(names),
        }
    }

    /// Certificate and key of a listener that is to speak TLS. Pushi has a built-in certificate,
    /// whose key everybody has; we have none.
    fn certificate(&mut self, names: &Names) -> Option<(&'a str, &'a str)> {
        let (name, text) = self.get(names.ssl)?;
        let is_on = match text {
            "true" | "True" if name == "SSL" => true,
            "" | "false" | "False" if name == "SSL" => false,
            text => self.number(name, text, u64::MAX, "a whole number: 0 is off, 1 is on")? != 0,
        };
        if !is_on {
            return None;
        }
        let (cert, key) = (self.text(names.cert), self.text(names.key));
        if let (Some(cert), Some(key)) = (cert, key) {
            return Some((cert, key));
        }
        // Pushi's own name stands last.
        let missing = [(cert, names.cert), (key, names.key)];
        let missing = missing.into_iter().filter(|(path, _)| path.is_none());
        let missing: Vec<&str> = missing
            .filter_map(|(_, names)| names.last().copied())
            .collect();
        let message = format!(
            "TLS is on without {}; fanwire has no built-in certificate",
            missing.join(" and ")
        );
        self.error(name, &message);
        None
    }

    fn level(&mut self) {
        let Some((name, text)) = self.get(&["LEVEL"]) else {
            return;
        };
        let level = match text.trim().to_ascii_uppercase().as_str() {
            "NOTSET" => "trace",
            "DEBUG" => "debug",
            "INFO" | "" => "info",
            "WARN" | "WARNING" => "warn",
            "ERROR" | "CRITICAL" | "FATAL" => "error",
            _ => {
                let expected = "expected DEBUG, INFO, WARNING, ERROR or CRITICAL";
                return self.error(name, &format!("{text:?}: {expected}"));
            }
        };
        let source = Source::Env(name.to_owned());
        self.push("log", Value::Text(level.to_owned()), source);
    }

    fn deliveries(&mut self) {
        if let Some((name, text)) = self.get(&["PUSHI_HANDLERS"]) {
            let value = Value::Bool(is_true(text));
            self.push("deliveries.enabled", value, Source::Env(name.to_owned()));
        }
        if let Some((name, text)) = self.get(&["WEB_PUSH_TTL"])
            && let Some(ttl) = self.number(name, text, u64::MAX, "a whole number of seconds")
        {
            let value = Value::Text(format!("{ttl}s"));
            self.push(
                "deliveries.web_push_ttl",
                value,
                Source::Env(name.to_owned()),
            );
        }
        if let Some(url) = self.text(&["SMTP_URL"]) {
            let source = Source::Env("SMTP_URL".to_owned());
            self.push("deliveries.smtp_url", Value::Text(url.to_owned()), source);
        } else if let Some(host) = self.text(&["SMTP_HOST"])
            && let Some(url) = self.mail_server(host)
        {
            let source = Source::Env("SMTP_HOST".to_owned());
            self.push("deliveries.smtp_url", Value::Text(url), source);
        }
    }

    /// The address of a mail server, of what the variables say one by one.
    fn mail_server(&mut self, host: &str) -> Option<String> {
        let port = match self.get(&["SMTP_PORT"]) {
            Some((name, text)) => {
                self.number(name, text, u64::from(u16::MAX), "a port from 0 to 65535")?
            }
            None => 25,
        };
        let starttls = self.text(&["SMTP_STARTTLS"]).is_some_and(is_true);
        let mut url = if starttls { "smtps://" } else { "smtp://" }.to_owned();
        if let Some(user) = self.text(&["SMTP_USER"]) {
            escape(user, &mut url);
            url.push(':');
            escape(self.text(&["SMTP_PASSWORD"]).unwrap_or_default(), &mut url);
            url.push('@');
        }
        // Writing to a string does not fail.
        let _ = if host.contains(':') && !host.starts_with('[') {
            write!(url, "[{host}]:{port}")
        } else {
            write!(url, "{host}:{port}")
        };
        if let Some(sender) = self.text(&["SMTP_SENDER"]) {
            url.push_str("?sender=");
            escape(sender, &mut url);
        }
        Some(url)
    }

    /// What somebody may rely on, and does nothing.
    fn unused(&mut self) {
        if let Some((name, _)) = self.get(DATABASE) {
            let message = "not used: fanwire keeps its data itself, where store.path says; take over \
                           what is there with mongoexport and `fanwire import pushi`";
            let source = Source::Env(name.to_owned());
            self.problem(Severity::Warning, source, "", message);
        }
        for name in IDLE {
            if let Some((name, text)) = self.get(&[*name])
                && !matches!(text, "" | "0" | "false" | "False")
            {
                let message = "ignored: requests are not redirected; see tls: in listen";
                let source = Source::Env(name.to_owned());
                self.problem(Severity::Warning, source, "", message);
            }
        }
    }
}

/// What Pushi takes for true; all else is false.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "true" | "True")
}

/// Writes a text so that it can stand in any part of an address.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests;
