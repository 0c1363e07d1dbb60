//! Signatures: of sockets that subscribe or sign in, of requests to the HTTP API, and of webhooks.
//!
//! ```text
//! digest  = hex(HMAC-SHA-256(secret, text))
//! socket  : text = socket id ":" channel [":" channel data]       auth = key ":" digest
//! user    : text = socket id "::user::" user data                 auth = key ":" digest
//! request : text = method "\n" path "\n" parameters               auth_signature = digest
//! webhook : text = body                                           X-Pusher-Signature = digest
//! ```
//!
//! Texts are signed as they came, never as they would be written anew.

use super::names::Kind;
use crate::limits::PUSHER_TIMESTAMP_S;
use crate::transport::http::query::{decode_path, pairs};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;
use std::borrow::Cow;
use std::fmt;
use subtle::ConstantTimeEq;

const KEY: &str = "auth_key";
const TIMESTAMP: &str = "auth_timestamp";
const VERSION: &str = "auth_version";
const SIGNATURE: &str = "auth_signature";
const BODY_MD5: &str = "body_md5";

/// Makes and checks signatures with the credentials of one app.
///
/// It holds the keyed state of the HMAC. Cloning that for each signature saves the hashing of the
/// secret.
#[derive(Clone)]
pub struct Keys {
    key: Box<str>,
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for Keys {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.key)
    }
}

impl Keys {
    /// For this public key, which holds no colon, and this secret of any length.
    pub fn new(key: &str, secret: &str) -> Self {
        let keyed = Hmac::new_from_slice(secret.as_bytes());
        Self {
            key: key.into(),
            keyed: keyed.expect("HMAC takes keys of any length"),
        }
    }

    /// The digest of these pieces, put together.
    fn digest(&self, pieces: &[&[u8]]) -> String {
        let mut state = self.keyed.clone();
        pieces.iter().for_each(|piece| state.update(piece));
        HEXLOWER.encode(&state.finalize().into_bytes())
    }

    /// Whether `auth` is our key and the digest of these pieces. Neither tells by the time it takes
    /// how much of it was right.
    fn allows(&self, auth: &str, pieces: &[&[u8]]) -> bool {
        let Some((key, digest)) = auth.split_once(':') else {
            return false;
        };
        let is_key = key.as_bytes().ct_eq(self.key.as_bytes());
        let is_digest = digest.as_bytes().ct_eq(self.digest(pieces).as_bytes());
        (is_key & is_digest).into()
    }

    /// What lets a socket into a channel: `key:digest`. The data of a member belongs to presence
    /// channels and is left out elsewhere; on these it is missing for who has signed in.
    pub fn channel_auth(&self, socket_id: &str, channel: &str, data: Option<&str>) -> String {
        let digest = match signed_data(channel, data) {
            Some(data) => self.digest(&channel_pieces(socket_id, channel, data)),
            None => self.digest(&plain_pieces(socket_id, channel)),
        };
        format!("{}:{digest}", self.key)
    }

    /// Whether `auth` lets this socket into this channel, with this data of a member. See
    /// [`Keys::channel_auth`].
    pub fn allows_channel(
        &self,
        auth: &str,
        socket_id: &str,
        channel: &str,
        data: Option<&str>,
    ) -> bool {
        match signed_data(channel, data) {
            Some(data) => self.allows(auth, &channel_pieces(socket_id, channel, data)),
            None => self.allows(auth, &plain_pieces(socket_id, channel)),
        }
    }

    /// What lets a socket sign in as the user of this data: `key:digest`.
    pub fn signin_auth(&self, socket_id: &str, user_data: &str) -> String {
        let digest = self.digest(&signin_pieces(socket_id, user_data));
        format!("{}:{digest}", self.key)
    }

    /// Whether `auth` lets this socket sign in as the user of this data.
    pub fn allows_signin(&self, auth: &str, socket_id: &str, user_data: &str) -> bool {
        self.allows(auth, &signin_pieces(socket_id, user_data))
    }

    /// What goes into `X-Pusher-Signature` beside this body of a webhook.
    pub fn webhook_signature(&self, body: &[u8]) -> String {
        self.digest(&[body])
    }

    /// The query of a request to the HTTP API, signed: what stands behind the `?`.
    ///
    /// `params` are the request's own parameters, not escaped. `body_md5` is made from the body
    /// unless that is empty; nothing else of what is made here may be among them. `path` goes
    /// without a prefix that the server was given.
    pub fn sign_request(
        &self,
        method: &str,
        path: &str,
        params: &[(&str, &str)],
        body: &[u8],
        unix_s: u64,
    ) -> String {
        let timestamp = unix_s.to_string();
        let body_md5 = body_digest(body);
        let mut all = params.to_vec();
        all.extend([(KEY, &*self.key), (TIMESTAMP, &timestamp), (VERSION, "1.0")]);
        if !body.is_empty() {
            all.push((BODY_MD5, &body_md5));
        }
        all.sort_by_key(|&(name, _)| name);
        let mut query = String::new();
        for (name, value) in &all {
            push_escaped(&mut query, name);
            query.push('=');
            push_escaped(&mut query, value);
            query.push('&');
        }
        let all = all
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase().into(), value.into()));
        let text = signed_text(method, path, &sorted(all.collect()));
        query.push_str(SIGNATURE);
        query.push('=');
        query.push_str(&self.digest(&[text.as_bytes()]));
        query
    }

    /// Checks who made a request to the HTTP API of this app, and that it is not an old one.
    ///
    /// `path` is that of the request line, still escaped, without a prefix that the server was
    /// given; `query` is what stands behind the `?`. Names of parameters mean the same in capitals.
    ///
    /// # Errors
    /// What was wrong, in the order of the protocol: the key, the version, the time, the body, the
    /// signature, parameters that stand there twice.
    pub fn check_request(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: &[u8],
        unix_s: u64,
    ) -> Result<(), AuthFault> {
        let params: Params<'_> = pairs(query)
            .map(|(name, value)| (lower(name), value))
            .collect();
        // With two of these nobody could say which one was meant.
        let own = [KEY, VERSION, TIMESTAMP, BODY_MD5, SIGNATURE];
        if let Some(name) = own
            .into_iter()
            .find(|own| named(&params, own).nth(1).is_some())
        {
            return Err(AuthFault::Repeated {
                name: name.to_owned(),
            });
        }
        let only = |name: &str| named(&params, name).next().unwrap_or("");
        if !bool::from(only(KEY).as_bytes().ct_eq(self.key.as_bytes())) {
            return Err(AuthFault::Key);
        }
        if only(VERSION) != "1.0" {
            return Err(AuthFault::Version);
        }
        let signed_unix_s = whole_number(only(TIMESTAMP)).ok_or(AuthFault::NoTimestamp)?;
        if signed_unix_s.abs_diff(unix_s) > PUSHER_TIMESTAMP_S {
            return Err(AuthFault::Timestamp {
                signed_unix_s,
                unix_s,
            });
        }
        match named(&params, BODY_MD5).next() {
            None if body.is_empty() => {}
            None => return Err(AuthFault::NoBodyDigest),
            // Anyone can work this out, so that time tells nothing.
            Some(digest) if digest == body_digest(body) => {}
            Some(_) => return Err(AuthFault::BodyDigest),
        }
        self.check_signature(method, path, &params)?;
        match repeated(&params) {
            Some(name) => Err(AuthFault::Repeated { name }),
            None => Ok(()),
        }
    }

    /// Checks the signature of a request in each of the forms that callers sign.
    fn check_signature(
        &self,
        method: &str,
        path: &str,
        params: &Params<'_>,
    ) -> Result<(), AuthFault> {
        let signature = named(params, SIGNATURE).next().unwrap_or("");
        let signed = params.iter().filter(|(name, _)| name != SIGNATURE);
        let plain = sorted(signed.cloned().collect());
        let joined = joined_lists(&plain);
        let decoded = decode_path(path).ok().filter(|decoded| decoded != path);
        let first = signed_text(method, path, &plain);
        let is_it = |text: &str| {
            let digest = self.digest(&[text.as_bytes()]);
            bool::from(signature.as_bytes().ct_eq(digest.as_bytes()))
        };
        let forms = [Some(&plain), joined.as_ref()];
        let matches = is_it(&first)
            || [Some(path), decoded.as_deref()]
                .into_iter()
                .flatten()
                .flat_map(|path| forms.into_iter().flatten().map(move |form| (path, form)))
                .skip(1)
                .any(|(path, form)| is_it(&signed_text(method, path, form)));
        if matches {
            Ok(())
        } else {
            Err(AuthFault::Signature { text: first })
        }
    }
}

/// The data that is part of what is signed for a channel.
fn signed_data<'a>(channel: &str, data: Option<&'a str>) -> Option<&'a str> {
    data.filter(|_| Kind::of(channel).has_members())
}

fn plain_pieces<'a>(socket_id: &'a str, channel: &'a str) -> [&'a [u8]; 3] {
    [socket_id.as_bytes(), b":", channel.as_bytes()]
}

fn channel_pieces<'a>(socket_id: &'a str, channel: &'a str, data: &'a str) -> [&'a [u8]; 5] {
    let [socket_id, colon, channel] = plain_pieces(socket_id, channel);
    [socket_id, colon, channel, colon, data.as_bytes()]
}

fn signin_pieces<'a>(socket_id: &'a str, user_data: &'a str) -> [&'a [u8]; 3] {
    [socket_id.as_bytes(), b"::user::", user_data.as_bytes()]
}

/// Parameters with their names in lower case.
type Params<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The values of all parameters of a name.
fn named<'p>(params: &'p Params<'_>, name: &str) -> impl Iterator<Item = &'p str> {
    params
        .iter()
        .filter(move |(known, _)| known == name)
        .map(|(_, value)| &**value)
}

fn lower(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        name
    }
}

/// In the order in which they are signed; those of one name stay as they were.
fn sorted(mut params: Params<'_>) -> Params<'_> {
    params.sort_by(|(one, _), (other, _)| one.cmp(other));
    params
}

/// What stands before the brackets of one entry of a list: `a[]`, `a[0]`, `a[1]` and so on.
fn list_name(name: &str) -> Option<&str> {
    let (list, index) = name.strip_suffix(']')?.rsplit_once('[')?;
    let is_index = index.bytes().all(|byte| byte.is_ascii_digit());
    (is_index && !list.is_empty()).then_some(list)
}

/// The parameters as one SDK signs them: the entries of a list become one value with commas in it.
/// `None` if there are no lists.
fn joined_lists<'a>(plain: &Params<'a>) -> Option<Params<'a>> {
    plain.iter().find_map(|(name, _)| list_name(name))?;
    // By number, as `a[10]` would be sorted before `a[2]`.
    let place = |name: &str| {
        let list = list_name(name)?;
        let index = name.get(list.len() + 1..name.len() - 1)?;
        Some(index.parse::<u64>().unwrap_or(0))
    };
    let mut entries: Vec<(String, Option<u64>, &str)> = plain
        .iter()
        .map(|(name, value)| {
            let list = list_name(name).unwrap_or(name);
            (list.to_owned(), place(name), &**value)
        })
        .collect();
    entries.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    let mut joined: Params<'a> = Vec::with_capacity(entries.len());
    let mut is_list = false;
    for (name, place, value) in entries {
        match joined.last_mut() {
            Some((known, values)) if is_list && place.is_some() && **known == name => {
                let values = values.to_mut();
                values.push(',');
                values.push_str(value);
            }
            Some(_) | None => joined.push((name.into(), value.to_owned().into())),
        }
        is_list = place.is_some();
    }
    Some(joined)
}

/// A name that stands there twice. Only `a[]` may.
fn repeated(params: &Params<'_>) -> Option<String> {
    let mut names: Vec<&str> = params
        .iter()
        .map(|(name, _)| &**name)
        .filter(|name| !name.ends_with("[]"))
        .collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    });
    twice.map(str::to_owned)
}

fn signed_text(method: &str, path: &str, params: &Params<'_>) -> String {
    let mut text = format!("{method}\n{path}\n");
    for (at, (name, value)) in params.iter().enumerate() {
        if at > 0 {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}

/// Appends a text with everything escaped that has a meaning in a query (RFC 3986 section 2.3).
fn push_escaped(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.push('%');
            out.push(digit(byte >> 4).into());
            out.push(digit(byte & 0xf).into());
        }
    }
}

fn body_digest(body: &[u8]) -> String {
    HEXLOWER.encode(&Md5::digest(body))
}

/// A number of nothing but digits.
fn whole_number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The value of a parameter, whose name means the same in capitals. Of several the first; but a
/// request that was checked has only one.
pub fn param<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    pairs(query)
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The key that a request to the HTTP API names, before its app is known. [`Keys::check_request`]
/// looks at it again.
pub fn auth_key(query: &str) -> Option<Cow<'_, str>> {
    param(query, KEY)
}

/// Why a request to the HTTP API is refused. All are the same answer to the caller: 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthFault {
    /// The key is missing, or that of another app.
    Key,
    /// The version of the scheme is missing or another one.
    Version,
    /// The time of signing is missing or no number.
    NoTimestamp,
    /// The time of signing is too far from ours.
    Timestamp {
        /// Seconds since 1970-01-01 UTC, as the request says.
        signed_unix_s: u64,
        /// Our time in the same.
        unix_s: u64,
    },
    /// There is a body, but not its digest.
    NoBodyDigest,
    /// The digest is that of another body.
    BodyDigest,
    /// The signature is missing, or that of another text or secret.
    Signature {
        /// The text that should have been signed.
        text: String,
    },
    /// A parameter stands there twice.
    Repeated {
        /// Its name in lower case.
        name: String,
    },
}

impl AuthFault {
    /// What is said to the caller.
    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Self::Key => "auth_key is not a key of this app".into(),
            Self::Version => "auth_version must be 1.0".into(),
            Self::NoTimestamp => "auth_timestamp must be the time in seconds".into(),
            Self::Timestamp {
                signed_unix_s,
                unix_s,
            } => format!(
                "auth_timestamp is {signed_unix_s}, more than {PUSHER_TIMESTAMP_S} s away from \
                 the server's time, which is {unix_s}"
            )
            .into(),
            Self::NoBodyDigest => "body_md5 is missing".into(),
            Self::BodyDigest => "body_md5 is not the MD5 of the body".into(),
            Self::Signature { text } => format!(
                "auth_signature must be the HMAC-SHA256 in lower-case hex, made with the app's \
                 secret, of {text:?}"
            )
            .into(),
            Self::Repeated { name } => {
                format!("the parameter {name:?} stands in the query twice").into()
            }
        }
    }
}

#[cfg(test)]
mod tests;
