//! What Pushi is configured to be.

use crate::hub::AppId;
use crate::limits::PUSHI_REGISTRATIONS_PER_MINUTE;
use crate::peers::PeerList;
use crate::transport::http::query::last;

/// Settings of the protocol.
#[derive(Debug, Clone)]
pub struct Config {
    /// The apps of the settings that this protocol may use; more are in the store.
    pub apps: Vec<App>,
    /// Whether anybody may make an app (`POST /apps`), as the original allows.
    pub open_registration: bool,
    /// Apps that one address may make in a minute, and at once.
    pub registrations_per_minute: u32,
    /// Whether the routes for browsers of version 0.4 are there, which ask for an app's key and no
    /// session.
    pub app_key_routes: bool,
    /// Origins whose pages may use the API with cookies; pages of others may use it without.
    pub origins: Vec<String>,
    /// Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: PeerList,
    /// Whether Pusher is served, too, and says what channels are by their names in the apps of both.
    pub is_beside_pusher: bool,
    /// Whether `/` and `/info` are this protocol's, as nobody else has something to say there.
    pub owns_info: bool,
    /// The mail server of apps that name none.
    pub mail: Mail,
}

/// What is known of a mail server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mail {
    /// Whether it can be found.
    pub has_host: bool,
    /// Whether it is known whom mail comes from.
    pub has_sender: bool,
}

impl Mail {
    /// What a URL says: `smtp://[user:password@]host[:port][?sender=address]`, or with `smtps` or
    /// `smtp+tls`. Of any other it is nothing.
    pub fn of(url: &str) -> Self {
        let (scheme, rest) = url.trim().split_once("://").unwrap_or(("", ""));
        if !matches!(scheme, "smtp" | "smtps" | "smtp+tls") {
            return Self::default();
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = place.split('/').next().unwrap_or("");
        let host = authority.rsplit('@').next().unwrap_or("");
        let sender = last(query, "sender");
        Self {
            has_host: !host.is_empty() && !host.starts_with(':'),
            has_sender: sender.is_some_and(|sender| !sender.is_empty()),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            apps: Vec::new(),
            open_registration: false,
            registrations_per_minute: PUSHI_REGISTRATIONS_PER_MINUTE,
            app_key_routes: true,
            origins: Vec::new(),
            trusted_proxies: PeerList::default(),
            is_beside_pusher: false,
            owns_info: false,
            mail: Mail::default(),
        }
    }
}

/// One app of the settings.
#[derive(Clone)]
pub struct App {
    /// Its number in the hub.
    pub app: AppId,
    /// Its id in the settings, which is what logins and paths call it.
    pub ident: String,
    /// As clients name it: 64 hex digits.
    pub key: String,
    /// What signatures are made with.
    pub secret: String,
    /// A disabled app refuses everybody.
    pub enabled: bool,
    /// Whether Channelstream uses its channels, too: what is published is then kept for those that
    /// catch up.
    pub is_shared: bool,
    /// Whether Pusher serves it as well, and says what its channels are by their names.
    pub is_pushers: bool,
    /// Origins whose pages may connect; everyone if empty.
    pub origins: Vec<String>,
}

impl App {
    /// An app with these credentials, and everything else as it is by default.
    pub fn new(app: AppId, ident: &str, key: &str, secret: &str) -> Self {
        Self {
            app,
            ident: ident.to_owned(),
            key: key.to_owned(),
            secret: secret.to_owned(),
            enabled: true,
            is_shared: false,
            is_pushers: false,
            origins: Vec::new(),
        }
    }
}

impl std::fmt::Debug for App {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({} {:?})", self.ident, self.app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_known_by_its_url() {
        for (url, has_host, has_sender) in [
            ("", false, false),
            ("mail", false, false),
            ("http://mail", false, false),
            ("smtp://", false, false),
            ("smtp://:25", false, false),
            ("smtp://u:p@:25", false, false),
            ("smtp://mail", true, false),
            ("smtps://u:p%40@mail:587", true, false),
            ("smtp+tls://[::1]:587/?x=1&sender=", true, false),
            ("smtp://?sender=a@example.com", false, true),
            ("smtps://mail?sender=a%40example.com", true, true),
        ] {
            let known = Mail {
                has_host,
                has_sender,
            };
            assert_eq!(Mail::of(url), known, "{url}");
        }
    }
}
