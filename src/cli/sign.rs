//! `fanwire sign`: what a web application sends along, for scripts.

use super::args::{Sign, SignChannel, SignChannelstream, SignPushi, SignRequest, Signer};
use super::{answer, read_all, read_bytes, usage, with_config};
use fanwire::dialect::channelstream::sign::Signer as ChannelstreamSigner;
use fanwire::dialect::pusher::auth::Keys;
use fanwire::dialect::pusher::names::{Kind, is_channel, is_socket_id};
use fanwire::dialect::pusher::words;
use fanwire::dialect::pushi;
use fanwire::limits::PUSHER_CHANNEL_CHARS_MAX;
use fanwire::options::{App, Config, Protocol};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// The value that Channelstream's own clients sign.
const DEFAULT_VALUE: &str = "channelstream";

/// Prints a signature.
pub(super) fn sign(sign: &Sign) -> ExitCode {
    match sign {
        Sign::Channelstream(sign) => channelstream(sign),
        Sign::Channel(sign) => with_app(&sign.signer, Protocol::Pusher, None, |found| {
            channel(sign, &found)
        }),
        Sign::Request(sign) => match can_be_signed(sign) {
            Ok(()) => with_app(&sign.signer, Protocol::Pusher, Some(&sign.path), |found| {
                request(sign, &found)
            }),
            Err(message) => usage(&message),
        },
        Sign::Pushi(sign) => with_app(&sign.signer, Protocol::Pushi, None, |found| {
            pushi(sign, &found)
        }),
    }
}

fn channelstream(sign: &SignChannelstream) -> ExitCode {
    let print = |secret: &str| {
        let value = sign.value.as_deref().unwrap_or(DEFAULT_VALUE);
        let at = sign.at.unwrap_or_else(now);
        answer(&(ChannelstreamSigner::new(secret.as_bytes()).sign(value, at) + "\n"))
    };
    match &sign.secret {
        Some(secret) => print(secret),
        None => with_config(&sign.given, |loaded| {
            print(loaded.config.channelstream.secret.expose())
        }),
    }
}

/// Whose signature it becomes.
struct Found {
    key: String,
    secret: String,
    /// The app's id, if a configuration says it.
    id: Option<String>,
    /// What stands in front of the paths and is not signed.
    path_prefix: String,
}

/// Finds the app that signs, which the path of a request may name, and prints what comes of it.
fn with_app(
    signer: &Signer,
    protocol: Protocol,
    path: Option<&str>,
    then: impl FnOnce(Found) -> Result<String, String>,
) -> ExitCode {
    let print = |found: Result<Found, String>| match found.and_then(then) {
        Ok(line) => answer(&(line + "\n")),
        Err(message) => usage(&message),
    };
    if let Some((key, secret)) = &signer.keys {
        return print(Ok(Found {
            key: key.clone(),
            secret: secret.clone(),
            id: None,
            path_prefix: String::new(),
        }));
    }
    with_config(&signer.given, |loaded| {
        let config = &loaded.config;
        let prefix = &config.pusher.path_prefix;
        let named = path.and_then(|path| id_in(without(prefix, path)));
        let app = choose(config, protocol, signer.app.as_deref(), named);
        print(app.map(|app| Found {
            key: app.key.clone(),
            secret: app.secret.expose().to_owned(),
            id: Some(app.id.clone()),
            path_prefix: prefix.clone(),
        }))
    })
}

/// The app with this id; without one the app that the path names, or the only one.
fn choose<'c>(
    config: &'c Config,
    protocol: Protocol,
    id: Option<&str>,
    named: Option<&str>,
) -> Result<&'c App, String> {
    let title = match protocol {
        Protocol::Pusher => "Pusher",
        Protocol::Pushi => "Pushi",
        Protocol::Channelstream => "Channelstream",
    };
    let open = || {
        let apps = config.apps.iter();
        apps.filter(|app| app.allows(protocol))
    };
    let ids: Vec<&str> = open().map(|app| app.id.as_str()).collect();
    if let Some(id) = id.or(named) {
        let found = open().find(|app| app.id == id);
        return found.ok_or_else(|| match ids.as_slice() {
            [] => format!("no app {id:?}: the configuration has no app for {title}"),
            ids => format!("no app {id:?} for {title}; there are {}", ids.join(", ")),
        });
    }
    let mut apps = open();
    match (apps.next(), apps.next()) {
        (Some(app), None) => Ok(app),
        (None, _) => Err(format!(
            "the configuration has no app for {title}; expected --config, or --key and --secret"
        )),
        (Some(_), Some(_)) => Err(format!("which app? expected --app {}", ids.join(" or "))),
    }
}

/// A path without what stands in front of it.
fn without<'p>(prefix: &str, path: &'p str) -> &'p str {
    let rest = path.strip_prefix(prefix);
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// The id in `/apps/{id}/...`.
fn id_in(path: &str) -> Option<&str> {
    path.strip_prefix("/apps/")?.split('/').next()
}

fn channel(sign: &SignChannel, found: &Found) -> Result<String, String> {
    let (socket_id, channel) = (&sign.socket_id, &sign.channel);
    if !is_socket_id(socket_id) {
        let expected = "expected what connection_established says, such as 1234.5678";
        return Err(format!("--socket-id {socket_id:?}: {expected}"));
    }
    if !is_channel(channel, PUSHER_CHANNEL_CHARS_MAX) {
        return Err(format!(
            "--channel {channel:?}: expected at most {PUSHER_CHANNEL_CHARS_MAX} letters, digits \
             and _ - = @ , . ;"
        ));
    }
    let data = sign.data.as_deref();
    if let Some(data) = data
        && Kind::of(channel).has_members()
    {
        words::member(data, usize::MAX).map_err(|why| format!("--channel-data: {why}"))?;
    }
    Ok(Keys::new(&found.key, &found.secret).channel_auth(socket_id, channel, data))
}

fn pushi(sign: &SignPushi, found: &Found) -> Result<String, String> {
    let channel = &sign.channel;
    if !pushi::names::is_channel_length(channel) {
        return Err("--channel: expected a shorter name".to_owned());
    }
    if !pushi::names::Kind::of(channel).is_signed() {
        return Err(format!(
            "--channel {channel:?}: expected a name that begins with private-, presence-, personal- \
             or peer-; others need no signature"
        ));
    }
    Ok(pushi::auth::Keys::new(&found.key, &found.secret).sign(&sign.who, channel))
}

/// Parameters that a signature is made of.
const MADE_HERE: [&str; 5] = [
    "auth_key",
    "auth_timestamp",
    "auth_version",
    "auth_signature",
    "body_md5",
];

/// Whether a request can be signed at all, whosever it is.
fn can_be_signed(sign: &SignRequest) -> Result<(), String> {
    let path = sign.path.as_str();
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    if !path.starts_with('/') || !path.bytes().all(is_plain) {
        return Err(format!(
            "{path:?}: expected an escaped path such as /apps/1/channels; parameters go into \
             --query"
        ));
    }
    if !sign.method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let method = &sign.method;
        return Err(format!("{method:?}: expected a method such as GET or POST"));
    }
    for (place, (name, _)) in sign.query.iter().enumerate() {
        let is_it = |known: &str| known.eq_ignore_ascii_case(name);
        if name.is_empty() || MADE_HERE.into_iter().any(is_it) {
            let expected = "expected a name other than those of the signature";
            return Err(format!("--query {name:?}: {expected}"));
        }
        let before = sign.query.get(..place).unwrap_or_default();
        if before.iter().any(|(known, _)| is_it(known)) {
            return Err(format!("--query {name:?}: given twice"));
        }
    }
    Ok(())
}

fn request(sign: &SignRequest, found: &Found) -> Result<String, String> {
    let path = sign.path.as_str();
    let signed = without(&found.path_prefix, path);
    if let (Some(id), Some(named)) = (&found.id, id_in(signed))
        && id != named
    {
        return Err(format!(
            "{path}: a path of app {named:?}, which app {id:?} may not sign for"
        ));
    }
    let body = match &sign.body {
        Some(file) => body(file).map_err(|why| format!("{}: {why}", file.display()))?,
        None => Vec::new(),
    };
    let pairs = sign.query.iter();
    let params: Vec<(&str, &str)> = pairs.map(|(name, value)| (&**name, &**value)).collect();
    let at = sign.at.unwrap_or_else(now);
    let keys = Keys::new(&found.key, &found.secret);
    let query = keys.sign_request(&sign.method, signed, &params, &body, at);
    Ok(format!("{path}?{query}"))
}

/// A body out of a file; `-` is standard input.
fn body(file: &Path) -> Result<Vec<u8>, String> {
    if file == Path::new("-") {
        return read_all(io::stdin().lock());
    }
    read_bytes(file)
}

/// Seconds since 1970-01-01 UTC; a clock before that is as good as none.
#[expect(
    clippy::disallowed_methods,
    reason = "a command line tool has no loop to stamp the time"
)]
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
