//! Files and variables of Channelstream.

use super::*;

#[test]
fn a_channelstream_file_as_its_tool_writes_it() {
    let loaded = ini("\
[channelstream]
debug = 0
admin_user = boss
admin_secret = 50%%;x # not
; a comment
cookie_secret =
secret = a:b=c
PORT = 8001
allow_posting_from = 127.0.0.1,
    10.0.0.2
    unix
log_level = WARNING
enforce_https = Yes
http_scheme = gopher
signature_checker = channelstream.utils.DefaultSigner
validate_requests = whatever
gc_conns_after = 30
alow_cors = x
[other]
secret = z
");
    assert_eq!(
        source(&loaded, "listen"),
        Source::File("cs.ini".to_owned(), 8)
    );
    assert_eq!(
        said(&loaded, Severity::Warning),
        [
            "cs.ini:18: alow_cors: unknown key, ignored; did you mean allow_cors?",
            "cs.ini:17: gc_conns_after: ignored: it has no effect in Channelstream",
            "cs.ini:16: channelstream.validate_requests: false: a signed string that was overheard \
             is good for ever",
        ]
    );
    let config = clean(loaded);
    assert_eq!(config.listen[0].to_string(), "0.0.0.0:8001");
    assert_eq!(config.log, LevelFilter::Warn);
    let channelstream = config.channelstream;
    assert_eq!(channelstream.admin_user, "boss");
    assert_eq!(channelstream.admin_secret.expose(), "50%;x # not");
    assert_eq!(channelstream.secret.expose(), "a:b=c");
    assert!(channelstream.enforce_https && !channelstream.validate_requests);
    assert_eq!(channelstream.http_scheme, None);
    let posting = channelstream.allow_posting_from;
    assert!(posting.lists("10.0.0.2".parse().ok()) && posting.lists(None));
}

#[test]
fn a_channelstream_file_keeps_the_originals_defaults_and_not_the_environment() {
    let loaded = make(Given {
        file: Some(("cs.ini", "[channelstream]\n")),
        env: &[("CHANNELSTREAM_SECRET", "x"), ("FANWIRE_LOG", "trace")],
        sets: &["limits.head_count=9"],
        ..Given::default()
    });
    let warnings = said(&loaded, Severity::Warning);
    assert!(
        warnings[0].starts_with("FANWIRE_LOG: ignored"),
        "{warnings:?}"
    );
    assert!(
        warnings
            .iter()
            .any(|w| w.contains("0.0.0.0:8000 can be reached")),
        "{warnings:?}"
    );
    let listen = vec![ListenAddr::Tcp(([0, 0, 0, 0], 8000).into())];
    let mut expected = Config {
        listen,
        ..Config::default()
    };
    expected.limits.head_count = 9;
    assert_eq!(clean(loaded), expected);
}

#[test]
fn bad_channelstream_files() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("", "cs.ini:1: expected a section [channelstream]", &[]),
        (
            "[other]\na = 1",
            "cs.ini:1: expected a section [channelstream]",
            &[],
        ),
        ("port = 1", "cs.ini:1: ", &["section"]),
        ("[channelstream]\nport =", "cs.ini:2: port:", &["65535"]),
        ("[channelstream]\nport = +80", "cs.ini:2: port:", &["65535"]),
        (
            "[channelstream]\nport = 65536",
            "cs.ini:2: port:",
            &["65535"],
        ),
        (
            "[channelstream]\nhost = example.com",
            "cs.ini:2: host:",
            &["not a name"],
        ),
        (
            "[channelstream]\nlog_level = LOUD",
            "cs.ini:2: log_level:",
            &["CRITICAL"],
        ),
        (
            "[channelstream]\nsignature_checker = my.Signer",
            "cs.ini:2: signature_checker:",
            &["DefaultSigner"],
        ),
        (
            "[channelstream]\nsecret = %(x)s",
            "cs.ini:2: secret:",
            &["names no key"],
        ),
        (
            "[channelstream]\na = 1\nA = 2",
            "cs.ini:3: ",
            &["there already"],
        ),
    ];
    for (text, start, pieces) in cases {
        one_error(&ini(text), start, pieces);
    }
    // What nobody reads cannot fail, as in the original.
    clean(ini("[channelstream]\nmine = %(x)s"));
}

#[test]
fn channelstreams_words_for_true_and_its_addresses() {
    for (text, expected) in [
        ("t", true),
        ("TRUE", true),
        ("y", true),
        ("Yes", true),
        ("on", true),
        ("1", true),
        (" true ", true),
        ("", false),
        ("2", false),
        ("enabled", false),
        ("false", false),
    ] {
        let config = clean(env(&[("CHANNELSTREAM_ENFORCE_HTTPS", text)]));
        assert_eq!(config.channelstream.enforce_https, expected, "{text:?}");
    }
    for (host, port, expected) in [
        ("", "8000", "0.0.0.0:8000"),
        ("localhost", "80", "127.0.0.1:80"),
        ("::1", "80", "[::1]:80"),
        ("[::]", " 80 ", "[::]:80"),
    ] {
        let config = clean(env(&[
            ("CHANNELSTREAM_HOST", host),
            ("CHANNELSTREAM_PORT", port),
        ]));
        assert_eq!(config.listen[0].to_string(), expected);
    }
    let loaded = env(&[("CHANNELSTREAM_ALLOW_POSTING_FROM", "10.0.0.0/8, 10.0.0.1")]);
    assert!(said(&loaded, Severity::Warning)[0].contains("10.0.0.0/8"));
    assert!(
        clean(loaded)
            .channelstream
            .allow_posting_from
            .lists("10.0.0.1".parse().ok())
    );
}

#[test]
fn channelstreams_variables_count_only_where_there_is_no_file() {
    let variables = &[
        ("CHANNELSTREAM_SECRET", "x"),
        ("FANWIRE_LIMITS__HEAD_COUNT", "9"),
    ];
    let config = clean(env(variables));
    assert_eq!(config.channelstream.secret.expose(), "x");
    assert_eq!(config.limits.head_count, 9);
    assert_eq!(
        config.listen[0].to_string(),
        "0.0.0.0:8000",
        "the original's default"
    );
    for given in [
        Given {
            file: Some(("f.toml", "")),
            env: variables,
            ..Given::default()
        },
        Given {
            dev: true,
            env: variables,
            ..Given::default()
        },
    ] {
        let config = clean(make(given));
        assert_eq!(config.channelstream.secret.expose(), "secret");
        assert_eq!(config.limits.head_count, 9);
        assert_eq!(config.listen[0].to_string(), "127.0.0.1:8000");
    }
    let bad = env(&[("CHANNELSTREAM_SIGNATURE_CHECKER", "my.Signer")]);
    one_error(
        &bad,
        "CHANNELSTREAM_SIGNATURE_CHECKER: signature_checker:",
        &[],
    );
}
