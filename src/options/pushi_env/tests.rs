//! Pushi's variables as data.

use super::*;
use crate::options::{Inputs, Loaded, load};
use log::LevelFilter;

fn make(env: &[(&str, &str)], sets: &[&str], listen: &[&str]) -> Loaded {
    let owned = |texts: &[&str]| -> Vec<String> { texts.iter().map(|t| (*t).to_owned()).collect() };
    let pairs = env.iter();
    let env: Vec<(String, String)> = pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    load(&Inputs {
        file: None,
        env: &env,
        sets: &owned(sets),
        listen: &owned(listen),
        dev: false,
        pushi_env: true,
        read: &|_| Err("no files here".to_owned()),
    })
}

fn of(env: &[(&str, &str)]) -> Loaded {
    make(env, &[], &[])
}

fn said(loaded: &Loaded, severity: Severity) -> Vec<String> {
    loaded.of(severity).map(ToString::to_string).collect()
}

#[track_caller]
fn listen(loaded: &Loaded) -> Vec<String> {
    assert_eq!(said(loaded, Severity::Error), Vec::<String>::new());
    loaded
        .config
        .listen
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn without_any_variable_there_are_pushis_two_addresses_and_pushi() {
    let loaded = of(&[("PATH", "/bin"), ("CHANNELSTREAM_PORT", "x")]);
    assert_eq!(listen(&loaded), ["127.0.0.1:8080", "127.0.0.1:9090"]);
    assert_eq!(said(&loaded, Severity::Warning), Vec::<String>::new());
    let config = &loaded.config;
    assert!(config.pushi.enabled && config.pusher.enabled);
    assert!(!config.channelstream.enabled && !config.pushi.open_registration);
    assert_eq!(loaded.sources.of("listen"), Source::PushiEnv);
    assert_eq!(loaded.sources.of("channelstream.enabled"), Source::PushiEnv);
    let notes = said(&loaded, Severity::Note);
    let told = notes
        .iter()
        .any(|note| note.contains("pushi.open_registration: false"));
    assert!(told, "{notes:?}");
}

#[test]
fn addresses_are_put_together_and_those_of_the_framework_win() {
    let both = [
        ("APP_HOST", "0.0.0.0"),
        ("APP_PORT", " 80 "),
        ("SERVER_HOST", "::1"),
        ("SERVER_PORT", "81"),
    ];
    let loaded = of(&both);
    assert_eq!(listen(&loaded), ["0.0.0.0:80", "[::1]:81"]);
    assert_eq!(
        loaded.sources.of("listen"),
        Source::Env("APP_HOST".to_owned())
    );
    let framework = [
        ("HOST", "localhost"),
        ("PORT", "82"),
        ("IPV6", "1"),
        ("BACKLOG", "9"),
    ];
    let loaded = of(&[&both[..], &framework].concat());
    assert_eq!(listen(&loaded), ["127.0.0.1:82", "[::1]:81"]);
}

#[test]
fn one_certificate_serves_who_names_it_and_two_serve_one_address_each() {
    let paths = |loaded: &Loaded| -> Vec<Option<String>> {
        let config = &loaded.config;
        let of = config.listen.iter().map(|at| match at {
            crate::options::ListenAddr::Tls(address) => {
                let certificate = config.certificate(*address).expect("it was checked");
                let (cert, key) = (certificate.cert.display(), certificate.key.display());
                Some(format!("{cert} {key}"))
            }
            _ => None,
        });
        of.collect()
    };
    let rest = [
        ("APP_SSL", "1"),
        ("APP_SSL_KEY", "a.key"),
        ("APP_SSL_CER", "a.cer"),
    ];
    let socket = |name: &'static str| {
        [
            ("SERVER_SSL", "2"),
            (
                "SERVER_SSL_KEY",
                if name == "a" { "a.key" } else { "b.key" },
            ),
            (
                "SERVER_SSL_CER",
                if name == "a" { "a.cer" } else { "b.cer" },
            ),
        ]
    };
    let (a, b) = (
        Some("a.cer a.key".to_owned()),
        Some("b.cer b.key".to_owned()),
    );
    let loaded = of(&rest);
    assert_eq!(listen(&loaded), ["tls:127.0.0.1:8080", "127.0.0.1:9090"]);
    assert_eq!(paths(&loaded), [a.clone(), None]);
    let loaded = of(&socket("b"));
    assert_eq!(listen(&loaded), ["127.0.0.1:8080", "tls:127.0.0.1:9090"]);
    assert_eq!(paths(&loaded), [None, b.clone()]);
    let loaded = of(&[rest, socket("a")].concat());
    assert_eq!(paths(&loaded), [a.clone(), a.clone()]);
    assert!(loaded.config.tls.listeners.is_empty());
    let loaded = of(&[rest, socket("b")].concat());
    assert_eq!(
        listen(&loaded),
        ["tls:127.0.0.1:8080", "tls:127.0.0.1:9090"]
    );
    assert_eq!(paths(&loaded), [a, b]);
    assert_eq!(said(&loaded, Severity::Warning), Vec::<String>::new());
    assert_eq!(
        loaded.sources.of("tls.listeners"),
        Source::Env("APP_SSL_CER".to_owned())
    );
    // The framework's names, and paths that nobody asked for.
    let framework = [
        ("SSL", "true"),
        ("KEY_FILE", "c.key"),
        ("CER_FILE", "c.cer"),
    ];
    let loaded = of(&[&framework[..], &rest].concat());
    assert_eq!(paths(&loaded), [Some("c.cer c.key".to_owned()), None]);
    let off = [
        ("SSL", "0"),
        ("SERVER_SSL", "0"),
        ("SERVER_SSL_KEY", "b.key"),
    ];
    assert_eq!(paths(&of(&[&off[..], &rest].concat())), [None, None]);
}

#[test]
fn what_is_wrong_stops_the_start_and_names_the_variable() {
    for (env, expected) in [
        (("APP_PORT", "http"), "APP_PORT: \"http\": expected a port"),
        (("APP_PORT", ""), "APP_PORT: \"\": expected a port"),
        (
            ("SERVER_PORT", "80.5"),
            "SERVER_PORT: \"80.5\": expected a port",
        ),
        (
            ("SERVER_PORT", "65536"),
            "SERVER_PORT: \"65536\": expected a port",
        ),
        (
            ("SERVER_PORT", "-1"),
            "SERVER_PORT: \"-1\": expected a port",
        ),
        (("PORT", "x"), "PORT: \"x\": expected a port"),
        (
            ("APP_SSL", "yes"),
            "APP_SSL: \"yes\": expected a whole number",
        ),
        (
            ("SERVER_SSL", ""),
            "SERVER_SSL: \"\": expected a whole number",
        ),
        (("SSL", "yes"), "SSL: \"yes\": expected a whole number"),
        (
            ("APP_HOST", "push.example.com"),
            "APP_HOST: \"push.example.com\": expected an address",
        ),
        (
            ("SERVER_SSL", "1"),
            "SERVER_SSL: TLS is on without SERVER_SSL_CER and SERVER_SSL_KEY; fanwire has no built-in \
             certificate",
        ),
        (
            ("APP_SSL", "1"),
            "APP_SSL: TLS is on without APP_SSL_CER and APP_SSL_KEY; fanwire",
        ),
        (("LEVEL", "LOUD"), "LEVEL: \"LOUD\": expected DEBUG"),
        (
            ("WEB_PUSH_TTL", "1d"),
            "WEB_PUSH_TTL: \"1d\": expected a whole number of seconds",
        ),
        (
            ("WEB_PUSH_TTL", "99999999999"),
            "WEB_PUSH_TTL: deliveries.web_push_ttl: expected",
        ),
    ] {
        let errors = said(&of(&[env]), Severity::Error);
        assert_eq!(errors.len(), 1, "{env:?}: {errors:?}");
        assert!(errors[0].starts_with(expected), "{env:?}: {errors:?}");
    }
    let half = of(&[
        ("APP_SSL", "1"),
        ("APP_SSL_CER", "a.cer"),
        ("APP_SSL_KEY", ""),
    ]);
    let errors = said(&half, Severity::Error);
    assert_eq!(
        errors,
        ["APP_SSL: TLS is on without APP_SSL_KEY; fanwire has no built-in certificate"]
    );
    let loaded = of(&[("SMTP_HOST", "mail"), ("SMTP_PORT", "x")]);
    assert_eq!(said(&loaded, Severity::Error).len(), 1);
}

#[test]
fn levels_and_what_concerns_deliveries() {
    for (text, level) in [
        ("DEBUG", LevelFilter::Debug),
        ("info", LevelFilter::Info),
        ("WARNING", LevelFilter::Warn),
        ("CRITICAL", LevelFilter::Error),
        ("", LevelFilter::Info),
    ] {
        assert_eq!(of(&[("LEVEL", text)]).config.log, level, "{text}");
    }
    let deliveries = |env: &[(&str, &str)]| of(env).config.deliveries;
    assert!(deliveries(&[]).enabled && deliveries(&[("PUSHI_HANDLERS", "True")]).enabled);
    for off in ["0", "no", "TRUE", ""] {
        assert!(!deliveries(&[("PUSHI_HANDLERS", off)]).enabled, "{off}");
    }
    assert_eq!(deliveries(&[("WEB_PUSH_TTL", "0")]).web_push_ttl_s, 0);
    assert_eq!(deliveries(&[("WEB_PUSH_TTL", "60")]).web_push_ttl_s, 60);
    let url = |env: &[(&str, &str)]| deliveries(env).smtp_url.expose().to_owned();
    assert_eq!(url(&[]), "");
    assert_eq!(url(&[("SMTP_USER", "u"), ("SMTP_PORT", "26")]), "");
    assert_eq!(url(&[("SMTP_HOST", "mail")]), "smtp://mail:25");
    let all = [
        ("SMTP_HOST", "::1"),
        ("SMTP_PORT", "587"),
        ("SMTP_USER", "me@example.com"),
        ("SMTP_PASSWORD", "p:a/s s"),
        ("SMTP_STARTTLS", "1"),
        ("SMTP_SENDER", "a+b@example.com"),
    ];
    assert_eq!(
        url(&all),
        "smtps://me%40example.com:p%3Aa%2Fs%20s@[::1]:587?sender=a%2Bb%40example.com"
    );
    // An address wins over all of them.
    assert_eq!(
        url(&[&all[..], &[("SMTP_URL", "smtp://m")]].concat()),
        "smtp://m"
    );
}

#[test]
fn who_relies_on_a_database_or_redirects_is_told() {
    let loaded = of(&[
        ("MONGO_URL", "mongodb://db"),
        ("MONGO_DB", "pushi"),
        ("FORCE_SSL", "1"),
        ("FORCE_HOST", ""),
        ("SESSION", "file"),
        ("APP_SERVER", "netius"),
    ]);
    let warnings = said(&loaded, Severity::Warning);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("MONGO_URL: not used"),
        "{warnings:?}"
    );
    assert!(warnings[0].contains("fanwire import pushi"), "{warnings:?}");
    assert!(
        warnings[1].starts_with("FORCE_SSL: ignored"),
        "{warnings:?}"
    );
}

#[test]
fn our_own_settings_come_on_top() {
    let env = [
        ("APP_PORT", "80"),
        ("LEVEL", "DEBUG"),
        ("FANWIRE_LOG", "warn"),
        ("FANWIRE_CHANNELSTREAM__ENABLED", "true"),
    ];
    let sets = ["pushi.open_registration=true", "channelstream.secret=x"];
    let loaded = make(&env, &sets, &["127.0.0.1:1"]);
    assert_eq!(listen(&loaded), ["127.0.0.1:1"]);
    assert_eq!(loaded.config.log, LevelFilter::Warn);
    assert!(loaded.config.channelstream.enabled && loaded.config.pushi.open_registration);
}

#[test]
fn variables_are_told_apart() {
    for name in ["APP_HOST", "MONGO_DB", "FORCE_SSL", "SMTP_PASSWORD", "HOST"] {
        assert!(is_pushi_variable(name), "{name}");
    }
    for name in ["PATH", "APP_SERVER", "HOSTNAME", "FANWIRE_LOG", "SECRET"] {
        assert!(!is_pushi_variable(name), "{name}");
    }
}
