//! Every recorded transcript of Channelstream, as a test of its own name.
//!
//! Each is replayed three times: `memory::` with every write cut at each of its places, `real::`
//! against the binary, `real_bytewise::` the same byte by byte. A test keeps the list below and the
//! folder equal.

use crate::transcript::Scenario;
use std::path::PathBuf;

macro_rules! transcripts {
    ($($name:ident,)*) => {
        /// Names of all transcripts that are part of the contract.
        const CONTRACT: &[&str] = &[$(stringify!($name),)*];

        mod memory {
            use super::*;
            $(#[test] fn $name() { crate::engine::run(&file(stringify!($name))); })*
        }

        #[cfg(feature = "server")]
        mod real {
            use super::*;
            use crate::session::Cut::Whole;
            $(#[test] fn $name() { crate::server::run(&file(stringify!($name)), Whole); })*
        }

        #[cfg(feature = "server")]
        mod real_bytewise {
            use super::*;
            use crate::session::Cut::Bytewise;
            $(#[test] fn $name() { crate::server::run(&file(stringify!($name)), Bytewise); })*
        }
    };
}

transcripts! {
    t001_connect_minimal,
    t002_connect_defaults,
    t003_connect_full,
    t004_connect_existing_user,
    t005_connect_channel_names,
    t006_connect_conn_id_forms,
    t007_connect_two_users,
    t008_connect_info_options,
    t009_connect_config_only_at_creation,
    t010_connect_errors,
    t011_connect_unknown_fields,
    t012_connect_length_limits,
    t013_auth_missing_secret,
    t014_auth_bad_signature,
    t015_auth_expired,
    t016_auth_accepted_forms,
    t017_auth_bad_signature_public_paths,
    t018_bad_json,
    t019_not_found,
    t020_error_body_negotiation,
    t021_subscribe,
    t022_subscribe_conn_id_in_query,
    t023_subscribe_errors,
    t024_unsubscribe,
    t025_unsubscribe_errors,
    t026_user_state,
    t027_user_state_errors,
    t028_user_state_frames,
    t029_message_to_channel,
    t030_message_many,
    t031_message_same_user_two_connections,
    t032_message_exclude_users,
    t033_message_pm_in_channel,
    t034_message_pm_global,
    t035_message_dropped,
    t036_message_fields,
    t037_message_timestamp_formats,
    t038_message_errors,
    t039_message_history,
    t040_edit_in_channel,
    t041_edit_unknown,
    t042_edit_private,
    t043_edit_audience,
    t044_edit_errors,
    t045_delete_in_channel,
    t046_delete_private,
    t047_delete_errors,
    t048_channel_config,
    t049_channel_config_coercion,
    t050_channel_config_errors,
    t051_channel_config_live,
    t052_info,
    t053_info_all,
    t054_info_errors,
    t055_presence_with_user_lists,
    t056_presence_without_user_lists,
    t057_presence_abrupt_close,
    t058_presence_second_connection,
    t059_presence_off_by_default,
    t060_catchup_on_open,
    t061_catchup_filters,
    t062_catchup_edit_delete,
    t063_catchup_store_frames_off,
    t064_catchup_limits,
    t065_longpoll_message,
    t066_longpoll_coalesce,
    t067_longpoll_idle,
    t068_longpoll_catchup,
    t069_longpoll_jsonp,
    t070_longpoll_errors,
    t071_ws_unknown_connection,
    t072_ws_bad_conn_id,
    t073_ws_handshake_errors,
    t074_ws_handshake,
    t075_ws_client_traffic,
    t076_ws_heartbeat,
    t077_ws_close_echo,
    t078_disconnect,
    t079_disconnect_post,
    t080_disconnect_errors,
    t081_gc_unattended,
    t082_cors_default,
    t083_proxy_prefix,
    t084_proxy_scheme,
    t085_admin_redirects,
    t086_admin_sign_in,
    t087_admin_json,
    t088_admin_signed,
    t089_static_client,
    t090_enforce_https,
    t092_http_scheme,
    t093_allow_cors,
    t094_validate_requests_off,
    t095_ip_not_allowed,
}

/// Oddities of the original, recorded as evidence. What we do instead is in [`crate::better`].
const QUIRKS: &[&str] = &[
    "t091_enforce_https_header",
    "t096_quirk_spurious_parted",
    "t097_quirk_history_size_zero",
    "t098_quirk_same_conn_id",
    "t099_quirk_late_socket",
    "t100_quirk_reconnect_replays_all",
    "t101_quirk_list_with_non_objects",
    "t102_quirk_private_change_announced",
    "t103_quirk_true_equals_one",
    "t104_quirk_no_cors_on_errors",
    "t105_quirk_jsonp_content_type",
    "t106_quirk_disconnect_revived",
    "t107_quirk_second_socket",
    "t108_quirk_longpoll_starved",
    "t109_quirk_duplicate_pm",
    "t110_quirk_no_channel_no_cleanup",
    "t111_quirk_poll_of_removed_connection",
];

/// A folder below `tests/data/channelstream`.
pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/channelstream")
        .join(name)
}

/// The names of the JSON files in a folder, without ending, sorted.
pub(crate) fn names_in(name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder(name)).expect("the folder is in the repository");
    let file_names = entries.map(|entry| entry.expect("it can be read").file_name());
    let mut names: Vec<String> = file_names
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    names.sort();
    names
}

/// The text of the transcript that the test `name` replays.
fn file(name: &str) -> String {
    let path = folder("transcripts").join(format!("{}.json", name.trim_start_matches('t')));
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// All scenarios and their texts, our own included.
pub(crate) fn all_files() -> Vec<(String, String)> {
    let recorded = names_in("transcripts").into_iter();
    let recorded = recorded.map(|name| (name.clone(), file(&name)));
    let better = names_in("better").into_iter();
    let better = better.map(|name| (name.clone(), crate::better::file(&name)));
    recorded.chain(better).collect()
}

#[test]
fn the_list_has_every_file_once() {
    let mut listed: Vec<&str> = CONTRACT
        .iter()
        .copied()
        .chain(QUIRKS.iter().copied())
        .collect();
    listed.sort_unstable();
    let files: Vec<String> = names_in("transcripts")
        .iter()
        .map(|name| format!("t{name}"))
        .collect();
    assert_eq!(listed, files);
}

#[test]
fn the_lists_say_what_the_files_hold() {
    for name in CONTRACT {
        let scenario = Scenario::parse(&file(name), "abcdefgh").expect(name);
        assert!(scenario.contract, "{name} is no part of the contract");
    }
    for name in QUIRKS {
        let scenario = Scenario::parse(&file(name), "abcdefgh").expect(name);
        assert!(!scenario.contract && !scenario.quirks.is_empty(), "{name}");
    }
}
