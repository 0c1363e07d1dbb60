//! Settings of the original, each seen to do what it is there for: once from its INI file, once
//! from its variables.

use crate::client::{Peer, header, signature};
use crate::http::{self, Answer};
use crate::process::{Folder, Server, fanwire};
use serde_json::Value;

/// How the settings come.
#[derive(Debug, Clone, Copy)]
enum Way {
    Ini,
    Env,
}

const WAYS: [Way; 2] = [Way::Ini, Way::Env];
const SECRET: &str = "s3cret; # 100%";

/// A server of the original's settings. The port is the system's choice.
struct Original {
    server: Server,
    _folder: Folder,
}

impl Original {
    fn start(way: Way, settings: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let fixed = [("host", "127.0.0.1"), ("port", "0"), ("secret", SECRET)];
        let all = fixed.iter().chain(settings);
        let command = match way {
            Way::Ini => {
                let mut ini = "[channelstream]\n".to_owned();
                for (key, value) in all {
                    ini += &format!("{key} = {}\n", value.replace('%', "%%"));
                }
                let file = folder.file("channelstream.ini", &ini);
                fanwire(&[&["run", "-i", &file], arguments].concat())
            }
            Way::Env => {
                let mut command = fanwire(&[&["run"], arguments].concat());
                for (key, value) in all {
                    command.env(format!("CHANNELSTREAM_{}", key.to_uppercase()), value);
                }
                command
            }
        };
        Self {
            server: Server::start(command, 1),
            _folder: folder,
        }
    }

    /// The answer to `/info`, signed so many seconds ago.
    fn info(&self, path: &str, age_s: u64, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![header("X-Channelstream-Secret", &signature(SECRET, age_s))];
        all.extend(headers.iter().map(|(name, value)| header(name, value)));
        self.ask("POST", path, &all)
    }

    fn ask(&self, method: &str, path: &str, headers: &[(String, String)]) -> Answer {
        let request = http::request(method, path, "localhost", headers, None);
        Peer::new(self.server.address()).ask(&request)
    }
}

#[test]
fn allow_posting_from() {
    for way in WAYS {
        for (list, status) in [
            ("127.0.0.1", 200),
            ("10.0.0.1, 127.0.0.1", 200),
            ("0.0.0.0", 200),
            ("10.0.0.1", 403),
            ("", 403),
        ] {
            let original = Original::start(way, &[("allow_posting_from", list)], &[]);
            assert_eq!(
                original.info("/info", 0, &[]).status,
                status,
                "{way:?} {list}"
            );
            // The header of a proxy changes nothing: the socket's address counts.
            for claimed in ["127.0.0.1", "10.0.0.1"] {
                let forwarded = [("X-Forwarded-For", claimed)];
                assert_eq!(original.info("/info", 0, &forwarded).status, status);
            }
        }
    }
}

#[test]
fn allow_cors() {
    for way in WAYS {
        let allowed = |list: &str, origin: &str| {
            let original = Original::start(way, &[("allow_cors", list)], &[]);
            let answer = original.info("/info", 0, &[("Origin", origin)]);
            let allowed = answer.header("access-control-allow-origin");
            allowed.map(str::to_owned)
        };
        let origin = "https://www.example.com";
        assert_eq!(allowed("", origin).as_deref(), Some("*"));
        assert_eq!(
            allowed("other.test, example.com", origin).as_deref(),
            Some(origin)
        );
        assert_eq!(allowed("example.com", "https://notexample.com"), None);
    }
}

#[test]
fn validate_requests() {
    for way in WAYS {
        for (text, status) in [("true", 401), ("Yes", 401), ("false", 200), ("", 200)] {
            let original = Original::start(way, &[("validate_requests", text)], &[]);
            assert_eq!(
                original.info("/info", 3600, &[]).status,
                status,
                "{way:?} {text}"
            );
            assert_eq!(original.info("/info", 0, &[]).status, 200);
        }
    }
}

#[test]
fn enforce_https_and_the_proxies_that_know() {
    let by = |name, value| [(name, value)];
    for way in WAYS {
        let on = [("enforce_https", "on")];
        let original = Original::start(way, &on, &[]);
        assert_eq!(original.info("/info", 0, &[]).status, 406);
        for (header, status) in [
            (by("X-Scheme", "https"), 200),
            (by("X-Url-Scheme", "https"), 200),
            (by("X-Forwarded-Proto", "https"), 200),
            (by("X-Forwarded-Proto", "http"), 406),
            (by("X-Scheme", "http"), 406),
        ] {
            let answer = original.info("/info", 0, &header);
            assert_eq!(answer.status, status, "{way:?} {header:?}");
        }
        assert_eq!(original.ask("GET", "/ws", &[]).status, 406);
        assert_eq!(original.ask("OPTIONS", "/info", &[]).status, 406);
        // What a stranger says about the scheme is not believed.
        let strange = ["--set", "trusted_proxies=10.0.0.1"];
        let original = Original::start(way, &on, &strange);
        assert_eq!(
            original.info("/info", 0, &by("X-Scheme", "https")).status,
            406
        );
        // The option that forces the scheme of links says nothing about the caller.
        let both = [("enforce_https", "1"), ("http_scheme", "https")];
        let original = Original::start(way, &both, &[]);
        assert_eq!(original.info("/info", 0, &[]).status, 406);
    }
}

#[test]
fn the_prefix_of_a_proxy_that_is_trusted() {
    let prefix = [("X-Script-Name", "/prefix")];
    for way in WAYS {
        let original = Original::start(way, &[], &[]);
        assert_eq!(original.info("/prefix/info", 0, &prefix).status, 200);
        assert_eq!(original.info("/info", 0, &prefix).status, 200);
        assert_eq!(original.info("/prefix/info", 0, &[]).status, 404);
        let answer = original.info("/prefix/openapi.json", 0, &prefix);
        let document: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(document["servers"][0]["url"], "/prefix");
        let script = "/prefix/static/channelstream/channelstream.js";
        let prefix_header = [header("X-Script-Name", "/prefix")];
        assert_eq!(original.ask("GET", script, &prefix_header).status, 200);

        let strange = ["--set", "trusted_proxies=10.0.0.1"];
        let original = Original::start(way, &[], &strange);
        assert_eq!(original.info("/prefix/info", 0, &prefix).status, 404);
        assert_eq!(original.info("/info", 0, &prefix).status, 200);
    }
}

#[test]
fn the_admins_name_and_password() {
    for way in WAYS {
        let login = [("admin_user", "root"), ("admin_secret", "pa:ss")];
        let original = Original::start(way, &login, &[]);
        let metrics = |login: &str| {
            let basic = data_encoding::BASE64.encode(login.as_bytes());
            let header = header("Authorization", &format!("Basic {basic}"));
            original.ask("GET", "/metrics", &[header]).status
        };
        assert_eq!(metrics("root:pa:ss"), 200, "{way:?}");
        assert_eq!(metrics("admin:admin_secret"), 401);
    }
}

#[test]
fn keys_that_do_nothing_do_nothing() {
    for way in WAYS {
        let idle = [
            ("debug", "true"),
            ("demo", "true"),
            ("gc_conns_after", "1"),
            ("signature_checker", "channelstream.utils.DefaultSigner"),
            ("cookie_secret", "k"),
            ("http_scheme", "gopher"),
            ("log_level", ""),
        ];
        let original = Original::start(way, &idle, &[]);
        assert_eq!(original.info("/info", 0, &[]).status, 200, "{way:?}");
    }
}
