//! What Pushi is configured to be.

use crate::hub::AppId;
use crate::limits::PUSHI_REGISTRATIONS_PER_MINUTE;
use crate::peers::PeerList;

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
    /// Whether `/` and `/info` are this protocol's, as nobody else has something to say there.
    pub owns_info: bool,
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
            owns_info: false,
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
