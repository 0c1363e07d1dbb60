//! The arguments of `fanwire sign`.

use super::{Command, Given, Topic, Word, next, surplus, text, unknown_command, value};
use lexopt::Parser;
use std::path::PathBuf;

/// What is to be signed.
#[derive(Debug)]
pub(crate) enum Sign {
    Channelstream(SignChannelstream),
    Channel(SignChannel),
    Request(SignRequest),
    Pushi(SignPushi),
}

/// What `fanwire sign channelstream` was given.
#[derive(Debug, Default)]
pub(crate) struct SignChannelstream {
    pub(crate) given: Given,
    /// Else the configuration's.
    pub(crate) secret: Option<String>,
    pub(crate) value: Option<String>,
    /// Seconds since 1970; else now.
    pub(crate) at: Option<u64>,
}

/// Whose signature it is to be.
#[derive(Debug, Default)]
pub(crate) struct Signer {
    pub(crate) given: Given,
    /// The id of one of the configuration's apps; else the one that can be meant.
    pub(crate) app: Option<String>,
    /// Key and secret, which need no configuration.
    pub(crate) keys: Option<(String, String)>,
}

/// What `fanwire sign channel` was given.
#[derive(Debug, Default)]
pub(crate) struct SignChannel {
    pub(crate) signer: Signer,
    pub(crate) socket_id: String,
    pub(crate) channel: String,
    pub(crate) data: Option<String>,
}

/// What `fanwire sign request` was given.
#[derive(Debug, Default)]
pub(crate) struct SignRequest {
    pub(crate) signer: Signer,
    /// In capitals.
    pub(crate) method: String,
    /// Begins with a slash and has no query.
    pub(crate) path: String,
    /// Parameters by name, not escaped.
    pub(crate) query: Vec<(String, String)>,
    /// A file; `-` is standard input.
    pub(crate) body: Option<PathBuf>,
    /// Seconds since 1970; else now.
    pub(crate) at: Option<u64>,
}

/// What `fanwire sign pushi` was given.
#[derive(Debug, Default)]
pub(crate) struct SignPushi {
    pub(crate) signer: Signer,
    /// The id of a socket, or the address that a record names.
    pub(crate) who: String,
    pub(crate) channel: String,
}

const KINDS: [&str; 4] = ["channelstream", "channel", "request", "pushi"];

/// Reads what follows `sign`.
pub(super) fn sign(parser: &mut Parser) -> Result<Command, String> {
    match next(parser, &[])? {
        Some(Word::Value(what)) => match what.as_str() {
            "channelstream" => channelstream(parser),
            "channel" => channel(parser),
            "request" => request(parser),
            "pushi" => pushi(parser),
            unknown => Err(unknown_command("sign ", unknown, &KINDS)),
        },
        Some(Word::Help) => Ok(Command::Help(Topic::Sign)),
        Some(Word::Option(_)) | None => Err(format!("sign: expected one of {}", KINDS.join(", "))),
    }
}

fn channelstream(parser: &mut Parser) -> Result<Command, String> {
    let known = ["config", "ini", "set", "secret", "value", "at"];
    let mut sign = SignChannelstream::default();
    while let Some(word) = next(parser, &known)? {
        match word {
            Word::Help => return Ok(Command::Help(Topic::Sign)),
            Word::Value(word) => return Err(surplus(&word)),
            Word::Option(name) => match name.as_str() {
                "secret" => sign.secret = Some(text(value(parser)?)?),
                "value" => sign.value = Some(text(value(parser)?)?),
                "at" => sign.at = Some(seconds(parser)?),
                _ => sign.given.take(&name, parser)?,
            },
        }
    }
    Ok(Command::Sign(Sign::Channelstream(sign)))
}

/// Options that say whose signature it is, as they are met.
#[derive(Default)]
struct Whose {
    signer: Signer,
    key: Option<String>,
    secret: Option<String>,
}

impl Whose {
    /// Takes the value of an option about it.
    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<(), String> {
        match name {
            "app" => self.signer.app = Some(text(value(parser)?)?),
            "key" => self.key = Some(text(value(parser)?)?),
            "secret" => self.secret = Some(text(value(parser)?)?),
            _ => self.signer.given.take(name, parser)?,
        }
        Ok(())
    }

    fn done(self) -> Result<Signer, String> {
        let mut signer = self.signer;
        signer.keys = match (self.key, self.secret) {
            (Some(key), Some(secret)) => Some((key, secret)),
            (None, None) => None,
            (Some(_), None) => return Err("--key: expected --secret beside it".to_owned()),
            (None, Some(_)) => return Err("--secret: expected --key beside it".to_owned()),
        };
        if signer.keys.is_some() && signer.app.is_some() {
            return Err("expected either --app, or --key and --secret".to_owned());
        }
        Ok(signer)
    }
}

fn channel(parser: &mut Parser) -> Result<Command, String> {
    let known = [
        "config",
        "ini",
        "set",
        "app",
        "key",
        "secret",
        "socket-id",
        "channel",
        "channel-data",
    ];
    let mut whose = Whose::default();
    let (mut socket_id, mut channel, mut data) = (None, None, None);
    while let Some(word) = next(parser, &known)? {
        match word {
            Word::Help => return Ok(Command::Help(Topic::Sign)),
            Word::Value(word) => return Err(surplus(&word)),
            Word::Option(name) => match name.as_str() {
                "socket-id" => socket_id = Some(text(value(parser)?)?),
                "channel" => channel = Some(text(value(parser)?)?),
                "channel-data" => data = Some(text(value(parser)?)?),
                _ => whose.take(&name, parser)?,
            },
        }
    }
    Ok(Command::Sign(Sign::Channel(SignChannel {
        signer: whose.done()?,
        socket_id: socket_id.ok_or("sign channel: expected --socket-id, such as 1234.5678")?,
        channel: channel.ok_or("sign channel: expected --channel, such as private-chat")?,
        data,
    })))
}

fn request(parser: &mut Parser) -> Result<Command, String> {
    let known = [
        "config", "ini", "set", "app", "key", "secret", "query", "body", "at",
    ];
    let mut whose = Whose::default();
    let mut sign = SignRequest::default();
    let mut words = Vec::new();
    while let Some(word) = next(parser, &known)? {
        match word {
            Word::Help => return Ok(Command::Help(Topic::Sign)),
            Word::Value(word) if words.len() == 2 => return Err(surplus(&word)),
            Word::Value(word) => words.push(word),
            Word::Option(name) => match name.as_str() {
                "query" => {
                    let pair = text(value(parser)?)?;
                    let Some((name, value)) = pair.split_once('=') else {
                        return Err(format!("--query {pair:?}: expected NAME=VALUE"));
                    };
                    sign.query.push((name.to_owned(), value.to_owned()));
                }
                "body" => sign.body = Some(value(parser)?.into()),
                "at" => sign.at = Some(seconds(parser)?),
                _ => whose.take(&name, parser)?,
            },
        }
    }
    let Ok([method, path]) = <[String; 2]>::try_from(words) else {
        return Err("sign request: expected METHOD PATH, such as GET /apps/1/channels".to_owned());
    };
    sign.signer = whose.done()?;
    sign.method = method.to_ascii_uppercase();
    sign.path = path;
    Ok(Command::Sign(Sign::Request(sign)))
}

fn pushi(parser: &mut Parser) -> Result<Command, String> {
    let known = [
        "config", "ini", "set", "app", "key", "secret", "for", "channel",
    ];
    let mut whose = Whose::default();
    let (mut who, mut channel) = (None, None);
    while let Some(word) = next(parser, &known)? {
        match word {
            Word::Help => return Ok(Command::Help(Topic::Sign)),
            Word::Value(word) => return Err(surplus(&word)),
            Word::Option(name) => match name.as_str() {
                "for" => who = Some(text(value(parser)?)?),
                "channel" => channel = Some(text(value(parser)?)?),
                _ => whose.take(&name, parser)?,
            },
        }
    }
    Ok(Command::Sign(Sign::Pushi(SignPushi {
        signer: whose.done()?,
        who: who
            .ok_or("sign pushi: expected --for, the id of a socket or the address of a hook")?,
        channel: channel.ok_or("sign pushi: expected --channel, such as private-chat")?,
    })))
}

/// The value of `--at`.
fn seconds(parser: &mut Parser) -> Result<u64, String> {
    let at = text(value(parser)?)?;
    let is_number = at.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = is_number.then(|| at.parse().ok()).flatten();
    let expected = "expected seconds since 1970 such as 1600000000";
    seconds.ok_or_else(|| format!("--at {at:?}: {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn read(line: &str) -> Result<Command, String> {
        let words = line.split_whitespace().map(OsString::from);
        super::super::parse([OsString::from("sign")].into_iter().chain(words))
    }

    fn signs(line: &str) -> Sign {
        match read(line) {
            Ok(Command::Sign(sign)) => sign,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_is_signed_and_by_whom() {
        let Sign::Channelstream(sign) =
            signs("channelstream --secret s --value /x --at 16 -i f --set a=b")
        else {
            panic!("Channelstream's");
        };
        assert_eq!(
            (sign.secret.as_deref(), sign.value.as_deref()),
            (Some("s"), Some("/x"))
        );
        assert_eq!((sign.at, sign.given.sets.len()), (Some(16), 1));

        let line = "channel --app 7 --socket-id 1.2 --channel presence-a --channel-data {} -i f";
        let Sign::Channel(sign) = signs(line) else {
            panic!("a channel");
        };
        assert_eq!(sign.signer.app.as_deref(), Some("7"));
        assert!(sign.signer.keys.is_none() && sign.signer.given.config.is_some());
        assert_eq!((&*sign.socket_id, &*sign.channel), ("1.2", "presence-a"));
        assert_eq!(sign.data.as_deref(), Some("{}"));

        let line = "request --key k --secret s post /apps/1/events --query a=b=c --query d= \
                    --body - --at 5";
        let Sign::Request(sign) = signs(line) else {
            panic!("a request");
        };
        assert_eq!(sign.signer.keys, Some(("k".to_owned(), "s".to_owned())));
        assert_eq!((&*sign.method, &*sign.path), ("POST", "/apps/1/events"));
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(sign.query, [pair("a", "b=c"), pair("d", "")]);
        assert_eq!((sign.body, sign.at), (Some("-".into()), Some(5)));

        let line = "pushi --key k --secret s --for http://h/ --channel personal-u";
        let Sign::Pushi(sign) = signs(line) else {
            panic!("Pushi's");
        };
        assert_eq!(sign.signer.keys, Some(("k".to_owned(), "s".to_owned())));
        assert_eq!((&*sign.who, &*sign.channel), ("http://h/", "personal-u"));
    }

    #[test]
    fn help_and_mistakes() {
        for line in [
            "-h",
            "channelstream --at 5 -h",
            "channel -h",
            "request a -h",
            "pushi --for a -h",
        ] {
            assert!(
                matches!(read(line), Ok(Command::Help(Topic::Sign))),
                "{line}"
            );
        }
        let channel = "channel --socket-id 1.2 --channel private-a";
        for (line, piece) in [
            ("", "expected one of channelstream, channel, request, pushi"),
            ("--at 5", "unknown option --at"),
            ("chanel", "did you mean sign channel?"),
            ("channelstream --at +5", "expected seconds"),
            (
                "channelstream --at 99999999999999999999",
                "expected seconds",
            ),
            ("channelstream x", "unexpected argument"),
            ("channel", "expected --socket-id"),
            ("channel --socket-id 1.2", "expected --channel"),
            ("channel --socketid 1.2", "did you mean --socket-id?"),
            (&format!("{channel} --key k"), "expected --secret beside it"),
            (&format!("{channel} --secret s"), "expected --key beside it"),
            (
                &format!("{channel} --key k --secret s --app 1"),
                "either --app",
            ),
            (&format!("{channel} x"), "unexpected argument"),
            ("pushi", "expected --for"),
            ("pushi --for 1", "expected --channel"),
            ("pushi --for 1 --channel a x", "unexpected argument"),
            ("request GET", "expected METHOD PATH"),
            ("request GET /a /b", "unexpected argument \"/b\""),
            ("request GET /a --query a", "expected NAME=VALUE"),
            ("request GET /a --at soon", "expected seconds"),
            ("request GET /a --body", "missing argument"),
        ] {
            let message = read(line).expect_err(line);
            assert!(message.contains(piece), "{line}: {message}");
        }
    }
}
