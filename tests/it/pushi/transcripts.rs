//! The tests: every recorded transcript that needs nobody to deliver to.

use super::replay::replay;
use super::scenario::Scenario;
use crate::kept::Manner;
use crate::session::{Cut, Sut, cuts};
use fanwire::dialect::pushi::config::Config;
use std::path::PathBuf;

/// Recorded ones that are played as they stand in `tests/data/pushi/better`: the README of the original
/// promises routes that it does not have and we do, and what is nobody's path is Channelstream's.
const ADAPTED: &[&str] = &["rest_not_found"];

/// Those that ask for the key of Web Push, which a build without the feature `push` answers with a
/// refusal.
const OF_WEB_PUSH: &[&str] = &["rest_vapid_key", "rest_web_pushes_app_key"];

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/pushi")
        .join(name)
}

fn scenario(name: &str) -> Scenario {
    let is_adapted = ADAPTED.contains(&name);
    let folder = folder(if is_adapted { "better" } else { "transcripts" });
    let path = folder.join(format!("{}.json", name.replace('_', "-")));
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    Scenario::parse(&text).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// What must be better than in the original, by the numbers of the steps.
fn check_better(name: &str, better: &[String]) {
    let listed = BETTER.iter().find(|(known, _)| *known == name);
    let listed = listed.map_or(&[][..], |(_, steps)| steps);
    assert_eq!(better, listed, "what {name} does better");
}

/// Plays a transcript in every split, and with a late store.
fn in_memory(name: &str) {
    let scenario = scenario(name);
    let once = |manner: Manner, cut: Cut| {
        let config = Config {
            open_registration: true,
            owns_info: true,
            ..Config::default()
        };
        let mut memory = super::memory(config, manner, cut);
        let has_part = cfg!(feature = "push") || !OF_WEB_PUSH.contains(&name);
        match replay(&scenario, "the run", &mut memory) {
            Ok(better) if has_part => check_better(name, &better),
            Ok(_) => panic!("{name} gets a key of Web Push in a build without it"),
            Err(why) if !has_part => {
                let refusal = "want status 200, got 400";
                let is_refused = why.contains(refusal) && why.contains("built without Web Push");
                assert!(is_refused, "{manner:?} {cut:?}: {why}");
            }
            Err(why) => panic!("{manner:?} {cut:?}: {why}"),
        }
        memory.wait_ms(60_000);
        memory.handler().engine().hub().check();
        let longest = memory.longest_write();
        memory.finish();
        longest
    };
    let longest = once(Manner::AtOnce, Cut::Whole);
    once(Manner::Late, Cut::Whole);
    for cut in cuts(longest) {
        once(Manner::AtOnce, Cut::At(cut));
    }
    once(Manner::AtOnce, Cut::Bytewise);
    once(Manner::Late, Cut::Bytewise);
}

/// Plays a transcript to the binary behind real sockets, with its store in a file.
#[cfg(feature = "server")]
fn for_real(name: &str, cut: Cut) {
    let text = "[pushi]\nopen_registration = true\n[channelstream]\nsecret = \"of nobody\"\n";
    let process = crate::server::Process::of_file("pushi", text);
    let mut tcp = crate::tcp::Tcp::new(process.address(), "", cut);
    match replay(&scenario(name), "the run", &mut tcp) {
        Ok(better) => check_better(name, &better),
        Err(why) => panic!("{cut:?}: {why}"),
    }
}

macro_rules! transcripts {
    ($($name:ident,)*) => {
        const NAMES: &[&str] = &[$(stringify!($name),)*];

        mod memory {
            $(#[test] fn $name() { super::in_memory(stringify!($name)); })*
        }

        #[cfg(feature = "server")]
        mod real {
use crate::session::Cut;
            $(#[test] fn $name() { super::for_real(stringify!($name), Cut::Whole); })*
        }

        #[cfg(feature = "server")]
        mod real_bytewise {
use crate::session::Cut;
            $(#[test] fn $name() { super::for_real(stringify!($name), Cut::Bytewise); })*
        }
    };
}

transcripts! {
    rest_apns,
    rest_app_create,
    rest_app_create_form,
    rest_apps,
    rest_auth_required,
    rest_events,
    rest_events_channels,
    rest_events_errors,
    rest_events_list,
    rest_health,
    rest_login,
    rest_login_errors,
    rest_messaging_errors,
    rest_not_found,
    rest_smtps,
    rest_sockets,
    rest_subscriptions,
    rest_vapid_key,
    rest_web_pushes,
    rest_web_pushes_app_key,
    rest_webs,
    ws_app_isolation_basic,
    ws_channel_data_ignored,
    ws_client_extra_keys,
    ws_connect,
    ws_data_encoding,
    ws_echo,
    ws_latest,
    ws_latest_empty,
    ws_latest_members,
    ws_peer,
    ws_peer_direct,
    ws_peer_leave,
    ws_personal,
    ws_personal_empty,
    ws_personal_private_alias,
    ws_presence,
    ws_presence_anonymous,
    ws_presence_disconnect,
    ws_presence_resubscribe,
    ws_private,
    ws_private_no_auth,
    ws_public_publish,
    ws_publish_not_stored,
    ws_publish_not_subscribed,
    ws_several_channels,
    ws_subscribe_twice,
    ws_unsubscribe,
}

/// Where the transcripts allow something better than the original did, this server does it: which
/// step, and what it came to. Nothing falls back to what is worse.
const BETTER: &[(&str, &[&str])] = &[
    ("rest_apns", &["4: 403"]),
    ("rest_apps", &["4: 200"]),
    (
        "rest_events_errors",
        &[
            "1: 400", "2: 400", "3: 400", "4: 400", "5: 400", "6: 400", "7: 400",
        ],
    ),
    (
        "rest_login_errors",
        &["1: 403", "2: 403", "3: 400", "4: 400"],
    ),
    (
        "rest_messaging_errors",
        &[
            "1: 400", "2: 400", "3: 400", "4: 400", "5: 400", "6: 400", "7: 400", "8: 400",
            "9: 400", "10: 400", "11: 400", "12: 400",
        ],
    ),
    ("rest_vapid_key", &["1: 404"]),
    ("rest_web_pushes", &["4: 400"]),
    ("rest_web_pushes_app_key", &["3: 403"]),
    ("rest_webs", &["7: 400", "8: 403", "14: 200"]),
    ("ws_peer_direct", &["8: error"]),
    ("ws_peer_leave", &["13: error"]),
    ("ws_private_no_auth", &["4: error"]),
    ("ws_publish_not_subscribed", &["8: error"]),
];

#[test]
fn the_list_has_every_file_once() {
    let files = std::fs::read_dir(folder("transcripts")).expect("the folder");
    let files = files.map(|file| file.expect("a file").file_name());
    let mut names: Vec<String> = files
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".json")?.replace('-', "_")))
        .collect();
    names.sort();
    assert_eq!(names, NAMES);
    let listed = BETTER.iter().map(|(name, _)| name);
    let listed = listed.chain(ADAPTED).chain(OF_WEB_PUSH);
    for name in listed {
        assert!(NAMES.contains(name), "{name}");
    }
}
