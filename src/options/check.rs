//! What settings mean together: contradictions, dangers, and open doors.

mod apps;

use super::app::Protocol;
use super::config::{Config, DEFAULT_ADMIN_SECRET, DEFAULT_SECRET, ListenAddr, UNLIMITED_U64};
use super::opt::{Problem, Source};
use super::table::OPTIONS;
use crate::limits::READ_PAUSE_QUEUE_BYTES;

/// What the message about a value begins with that has no default and was not given.
pub(super) const MISSING: &str = "missing or empty";

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Good to know; only `config check` says it.
    Note,
    /// Probably not meant; logged at start.
    Warning,
    /// The server does not start.
    Error,
}

impl Severity {
    /// The word in front of the message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The problems of a configuration whose values are fine each by itself. Sources are filled in by
/// who knows them. With `dev` the well-known secrets and open doors of development are expected,
/// but only this machine may come through them.
pub fn check(config: &Config, dev: bool) -> Vec<Problem> {
    let mut report = Report(Vec::new());
    listeners(config, dev, &mut report);
    limits(config, &mut report);
    timeouts(config, &mut report);
    admin(config, &mut report);
    apps::apps(config, dev, &mut report);
    store(config, &mut report);
    pushi(config, dev, &mut report);
    if config.channelstream.enabled {
        if !dev {
            secrets(config, &mut report);
        }
        doors(config, &mut report);
    } else if !serves_pusher(config) && !config.pushi.enabled {
        report.warning("channelstream.enabled", "false: no protocol is served");
    }
    report.0
}

fn serves_pusher(config: &Config) -> bool {
    let is_open = config.apps.iter().any(|app| app.allows(Protocol::Pusher));
    config.pusher.enabled && is_open
}

struct Report(Vec<Problem>);

impl Report {
    fn add(&mut self, severity: Severity, key: &str, message: impl Into<String>) {
        let (key, message) = (key.to_owned(), message.into());
        self.0.push(Problem {
            severity,
            source: Source::Default,
            key,
            message,
        });
    }

    fn error(&mut self, key: &str, message: impl Into<String>) {
        self.add(Severity::Error, key, message);
    }

    fn warning(&mut self, key: &str, message: impl Into<String>) {
        self.add(Severity::Warning, key, message);
    }

    fn note(&mut self, key: &str, message: impl Into<String>) {
        self.add(Severity::Note, key, message);
    }
}

fn listeners(config: &Config, dev: bool, report: &mut Report) {
    if config.listen.is_empty() {
        report.error(
            "listen",
            "nothing to listen on; expected at least one address",
        );
    }
    for (place, address) in config.listen.iter().enumerate() {
        let again = match (address, config.listen.get(..place)) {
            // Each listener on port 0 gets a port of its own.
            (ListenAddr::Tcp(ip) | ListenAddr::Tls(ip), _) if ip.port() == 0 => false,
            (ListenAddr::Tcp(ip) | ListenAddr::Tls(ip), Some(before)) => {
                before.iter().any(|other| match other {
                    ListenAddr::Tcp(other) | ListenAddr::Tls(other) => ip == other,
                    ListenAddr::Unix(_) => false,
                })
            }
            (ListenAddr::Unix(_), Some(before)) => before.contains(address),
            (_, None) => false,
        };
        if again {
            report.error("listen", format!("{address} is taken twice"));
        }
        if dev && !address.is_local() {
            let why = "fanwire dev has well-known keys and listens on loopback only";
            report.error("listen", format!("{address}: {why}; use fanwire run"));
        }
    }
    certificates(config, report);
    if config.trusted_proxies.is_anyone() {
        let message = "0.0.0.0: everyone can claim any address and scheme";
        report.warning("trusted_proxies", message);
    }
}

/// Every `tls:` address has a certificate, and every certificate an address.
fn certificates(config: &Config, report: &mut Report) {
    let of_tls = config.listen.iter().filter_map(|address| match address {
        ListenAddr::Tls(address) => Some(*address),
        ListenAddr::Tcp(_) | ListenAddr::Unix(_) => None,
    });
    let of_tls: Vec<_> = of_tls.collect();
    let tls = &config.tls;
    let is_own = |address| tls.listeners.iter().any(|of| of.listen == address);
    let needs_shared = of_tls.iter().any(|address| !is_own(*address));
    match (tls.cert.is_some(), tls.key.is_some()) {
        (true, false) => report.error("tls.key", "missing; tls.cert is given"),
        (false, true) => report.error("tls.cert", "missing; tls.key is given"),
        (false, false) if needs_shared => {
            report.error(
                "tls.cert",
                "missing; a tls: listener needs tls.cert and tls.key",
            );
        }
        (true, true) if of_tls.is_empty() => {
            report.warning("tls.cert", "not used: no listener begins with tls:");
        }
        (true, true) if !needs_shared => {
            let message = "not used: every tls: listener has a certificate in tls.listeners";
            report.warning("tls.cert", message);
        }
        (false, false) | (true, true) => {}
    }
    for (place, of) in tls.listeners.iter().enumerate() {
        let address = of.listen;
        let before = tls.listeners.get(..place).unwrap_or_default();
        if before.iter().any(|other| other.listen == address) {
            report.error("tls.listeners", format!("{address} is named twice"));
        } else if !of_tls.contains(&address) {
            let message = format!("not used: tls:{address} is not listened on");
            report.warning("tls.listeners", message);
        }
    }
    if !of_tls.is_empty() && !cfg!(feature = "tls") {
        report.error(
            "listen",
            "a tls: listener, but this build has no feature \"tls\"",
        );
    }
}

fn store(config: &Config, report: &mut Report) {
    let store = &config.store;
    if store.path.is_none() {
        let message = "empty: what is stored is gone after a restart";
        report.note("store.path", message);
        if config.channelstream.persist {
            let message = "true does nothing, as store.path is empty";
            report.warning("channelstream.persist", message);
        }
    } else if store.max_age_s == UNLIMITED_U64 && store.max_bytes == UNLIMITED_U64 {
        let message = "none, and store.max_bytes, too: stored events stay for ever";
        report.note("store.max_age", message);
    }
}

fn pushi(config: &Config, dev: bool, report: &mut Report) {
    let pushi = &config.pushi;
    for origin in &pushi.origins {
        if let Some(message) = no_origin(origin) {
            report.error("pushi.origins", message);
        }
    }
    if pushi.enabled && pushi.open_registration && !dev {
        let message = "true: whoever reaches this server may make apps and use it with them";
        report.warning("pushi.open_registration", message);
    }
}

/// What is wrong with an origin, if anything is.
fn no_origin(origin: &str) -> Option<String> {
    let host = origin.split_once("://").map(|(_, host)| host);
    let is_origin = host.is_some_and(|host| {
        let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#');
        !host.is_empty() && host.bytes().all(is_plain)
    });
    (!is_origin).then(|| {
        format!(
            "{origin:?} is no origin; expected scheme and host without a path, such as \
             \"https://example.com\""
        )
    })
}

fn limits(config: &Config, report: &mut Report) {
    let limits = &config.limits;
    let default = Config::default();
    for opt in OPTIONS {
        if opt.is_unlimited(config) && !opt.is_unlimited(&default) {
            report.warning(&opt.key(), "none: one peer can use up the server");
        }
    }
    if limits.target_bytes > limits.head_bytes {
        let message = "larger than limits.head_bytes, of which it is a part";
        report.error("limits.target_bytes", message);
    }
    if limits.message_bytes > limits.body_bytes {
        let message =
            "larger than limits.body_bytes: such a message cannot be published by request";
        report.warning("limits.message_bytes", message);
    }
    if limits.message_bytes > limits.out_queue_bytes {
        let message = "larger than limits.out_queue_bytes: such a message reaches only peers that \
                       have nothing else waiting";
        report.warning("limits.message_bytes", message);
    }
    if limits.out_queue_bytes <= READ_PAUSE_QUEUE_BYTES {
        let message = "not above 256KiB, where reading from a peer with unread answers pauses: it \
                       is closed instead";
        report.warning("limits.out_queue_bytes", message);
    }
}

fn timeouts(config: &Config, report: &mut Report) {
    let timeouts = &config.timeouts;
    if timeouts.channelstream_heartbeat_ms >= timeouts.channelstream_expire_ms {
        let message = "not shorter than timeouts.channelstream_expire: living connections expire";
        report.error("timeouts.channelstream_heartbeat", message);
    }
}

fn admin(config: &Config, report: &mut Report) {
    let admin = &config.admin;
    if admin.password.is_empty() && admin.user != super::Admin::default().user {
        let message = "missing; admin.user is given, and an empty password opens nothing";
        report.error("admin.password", message);
    }
    if config.admin_login().is_none() {
        let message = "no password is given: nobody can log in to the admin pages";
        report.note("admin.password", message);
    }
}

fn secrets(config: &Config, report: &mut Report) {
    let channelstream = &config.channelstream;
    let open = config.listen.iter().find(|address| !address.is_local());
    let reach = match open {
        Some(address) => format!(", and {address} can be reached from elsewhere"),
        None => String::new(),
    };
    match channelstream.secret.expose() {
        DEFAULT_SECRET => {
            let message = format!("the default, which everybody knows{reach}; choose your own");
            report.warning("channelstream.secret", message);
        }
        "" => {
            let message = format!("empty: everybody can sign requests{reach}; choose one");
            report.warning("channelstream.secret", message);
        }
        _ => {}
    }
    let serves = config.admin.password.is_empty();
    if serves && channelstream.admin_secret.expose() == DEFAULT_ADMIN_SECRET {
        let message = format!("the default, which everybody knows{reach}; choose your own");
        report.warning("channelstream.admin_secret", message);
    }
}

fn doors(config: &Config, report: &mut Report) {
    let channelstream = &config.channelstream;
    if channelstream.allow_posting_from.is_anyone() {
        let message = "0.0.0.0: whoever knows the secret may publish, from anywhere";
        report.note("channelstream.allow_posting_from", message);
    }
    if channelstream.allow_posting_from.is_empty() {
        let message = "empty: every signed request is refused";
        report.warning("channelstream.allow_posting_from", message);
    }
    if channelstream.allow_cors.is_empty() {
        let message = "empty: pages of every origin may read answers";
        report.note("channelstream.allow_cors", message);
    } else {
        let message = "an entry matches a host and its subdomains, or with a scheme one origin; \
                       Channelstream looked for it anywhere in the origin";
        report.note("channelstream.allow_cors", message);
    }
    if !channelstream.validate_requests {
        let message = "false: a signed string that was overheard is good for ever";
        report.warning("channelstream.validate_requests", message);
    }
    if channelstream.cookie_secret.is_empty() {
        let message = "empty: a random one at each start, so that a restart ends logins";
        report.note("channelstream.cookie_secret", message);
    }
    let message = "proxy headers are believed from these peers only; Channelstream believes \
                   anyone";
    report.note("trusted_proxies", message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Certificate, PeerList, Secret, TlsListener, UNLIMITED, UNLIMITED_U32};

    /// A configuration that only has notes.
    fn quiet() -> Config {
        let mut config = Config::default();
        config.channelstream.secret = Secret::from("x");
        config.channelstream.admin_secret = Secret::from("y");
        config
    }

    fn own_certificates(texts: &[&str]) -> Vec<TlsListener> {
        let own = |text: &&str| TlsListener {
            listen: text.parse().expect("an address"),
            certificate: Certificate {
                cert: "own.pem".into(),
                key: "own.key".into(),
            },
        };
        texts.iter().map(own).collect()
    }

    fn addresses(texts: &[&str]) -> Vec<ListenAddr> {
        let read = |text: &&str| super::super::value::listen_addr(text).expect("an address");
        texts.iter().map(read).collect()
    }

    /// A change to [`quiet`], how bad it is, the key named, and a piece of the message.
    type Case = (fn(&mut Config), Severity, &'static str, &'static str);

    #[test]
    fn each_combination_is_reported_once() {
        use Severity::{Error, Note, Warning};
        let cases: &[Case] = &[
            (|c| c.listen.clear(), Error, "listen", "nothing to listen"),
            (
                |c| c.listen = addresses(&["[::]:1", "[::]:1"]),
                Error,
                "listen",
                "twice",
            ),
            (
                |c| c.listen = addresses(&["unix:/a", "unix:/a"]),
                Error,
                "listen",
                "twice",
            ),
            (
                |c| c.listen = addresses(&["tls:[::]:1"]),
                Error,
                "tls.cert",
                "needs tls.cert",
            ),
            (
                |c| c.tls.cert = Some("a".into()),
                Error,
                "tls.key",
                "missing",
            ),
            (
                |c| c.tls.key = Some("a".into()),
                Error,
                "tls.cert",
                "missing",
            ),
            (
                |c| (c.tls.cert, c.tls.key) = (Some("a".into()), Some("b".into())),
                Warning,
                "tls.cert",
                "not used",
            ),
            (
                |c| c.limits.target_bytes = 20_000,
                Error,
                "limits.target_bytes",
                "part",
            ),
            (
                |c| c.limits.body_bytes = 10_000,
                Warning,
                "limits.message_bytes",
                "body_bytes",
            ),
            (
                |c| c.limits.out_queue_bytes = 300_000,
                Warning,
                "limits.message_bytes",
                "waiting",
            ),
            (
                |c| (c.limits.out_queue_bytes, c.limits.message_bytes) = (262_144, 1000),
                Warning,
                "limits.out_queue_bytes",
                "pauses",
            ),
            (
                |c| c.limits.history_bytes = UNLIMITED,
                Warning,
                "limits.history_bytes",
                "none",
            ),
            (
                |c| c.limits.messages_per_second = UNLIMITED_U32,
                Warning,
                "limits.messages_per_second",
                "none",
            ),
            (
                |c| c.timeouts.channelstream_heartbeat_ms = 15_000,
                Error,
                "timeouts.channelstream_heartbeat",
                "expire",
            ),
            (
                |c| c.admin.user = "root".to_owned(),
                Error,
                "admin.password",
                "missing",
            ),
            (
                |c| c.channelstream.admin_secret = Secret::default(),
                Note,
                "admin.password",
                "nobody",
            ),
            (
                |c| c.channelstream.secret = "secret".into(),
                Warning,
                "channelstream.secret",
                "knows",
            ),
            (
                |c| c.channelstream.secret = "".into(),
                Warning,
                "channelstream.secret",
                "empty",
            ),
            (
                |c| c.channelstream.admin_secret = "admin_secret".into(),
                Warning,
                "channelstream.admin_secret",
                "knows",
            ),
            (
                |c| c.channelstream.allow_posting_from = PeerList::default(),
                Warning,
                "channelstream.allow_posting_from",
                "every signed request is refused",
            ),
            (
                |c| c.channelstream.validate_requests = false,
                Warning,
                "channelstream.validate_requests",
                "for ever",
            ),
            (
                |c| (c.channelstream.enabled, c.pushi.enabled) = (false, false),
                Warning,
                "channelstream.enabled",
                "no protocol",
            ),
            (
                |c| {
                    c.listen = addresses(&["tls:[::]:1", "tls:[::]:2"]);
                    c.tls.listeners = own_certificates(&["[::]:2"]);
                },
                Error,
                "tls.cert",
                "needs tls.cert",
            ),
            (
                |c| {
                    c.listen = addresses(&["tls:[::]:1"]);
                    c.tls.listeners = own_certificates(&["[::]:1"]);
                    (c.tls.cert, c.tls.key) = (Some("a".into()), Some("b".into()));
                },
                Warning,
                "tls.cert",
                "every tls: listener",
            ),
            (
                |c| {
                    c.listen = addresses(&["tls:[::]:1"]);
                    c.tls.listeners = own_certificates(&["[::]:1", "[::]:1"]);
                },
                Error,
                "tls.listeners",
                "twice",
            ),
            (
                |c| c.tls.listeners = own_certificates(&["[::]:1"]),
                Warning,
                "tls.listeners",
                "not listened on",
            ),
            (|c| c.store.path = None, Note, "store.path", "restart"),
            (|_| {}, Note, "store.max_age", "for ever"),
            (
                |c| (c.store.path, c.channelstream.persist) = (None, true),
                Warning,
                "channelstream.persist",
                "does nothing",
            ),
            (
                |c| c.pushi.open_registration = true,
                Warning,
                "pushi.open_registration",
                "may make apps",
            ),
            (
                |c| c.pushi.registrations_per_minute = UNLIMITED_U32,
                Warning,
                "pushi.registrations_per_minute",
                "none",
            ),
            (
                |c| c.pushi.origins = vec!["example.com".to_owned()],
                Error,
                "pushi.origins",
                "no origin",
            ),
        ];
        let notes = check(&quiet(), false);
        assert!(
            notes.iter().all(|problem| problem.severity == Note),
            "{notes:?}"
        );
        for (place, (change, severity, key, piece)) in cases.iter().enumerate() {
            let mut config = quiet();
            change(&mut config);
            let problems = check(&config, false);
            let matching = |problem: &&Problem| {
                problem.severity == *severity
                    && problem.key == *key
                    && problem.message.contains(piece)
            };
            let count = problems.iter().filter(matching).count();
            assert_eq!(count, 1, "case {place}: {key} in {problems:?}");
            if *severity != Note {
                let others = problems.iter().filter(|problem| !matching(problem));
                let worse: Vec<_> = others.filter(|p| p.severity == Error).collect();
                let wants_tls = config
                    .listen
                    .iter()
                    .any(|at| matches!(at, ListenAddr::Tls(_)));
                let no_tls = !cfg!(feature = "tls") && wants_tls;
                assert!(worse.is_empty() || no_tls, "case {place}: {worse:?}");
            }
        }
    }

    #[test]
    fn ports_that_the_kernel_chooses_may_repeat() {
        let mut config = quiet();
        config.listen = addresses(&["127.0.0.1:0", "127.0.0.1:0"]);
        assert!(
            check(&config, false)
                .iter()
                .all(|p| p.severity == Severity::Note)
        );
    }

    #[test]
    fn development_keeps_to_this_machine() {
        let mut config = Config::default();
        assert!(
            check(&config, true)
                .iter()
                .all(|p| p.severity == Severity::Note)
        );
        config.listen = addresses(&["0.0.0.0:8000"]);
        assert!(
            check(&config, true)
                .iter()
                .any(|p| p.severity == Severity::Error)
        );
    }

    #[test]
    fn a_default_secret_in_the_open_says_so() {
        let listen = addresses(&["0.0.0.0:8000"]);
        let config = Config {
            listen,
            ..Config::default()
        };
        let problems = check(&config, false);
        let secret = problems.iter().find(|p| p.key == "channelstream.secret");
        assert!(secret.is_some_and(|p| p.message.contains("0.0.0.0:8000")));
    }
}
