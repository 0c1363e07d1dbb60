//! What we do better than the original, where section 16 of the specification advises it.
//!
//! One scenario each, in the transcripts' own format, in `tests/data/channelstream/better`; they
//! run over memory and over TCP as the recorded ones do. Q17, Q18, Q37 and Q40 are tested with the
//! polls in `tests/turns`, Q3, Q21, Q25, Q33, Q35 and Q38 in `hostile` there; Q22 in `tests/server`,
//! Q34 with the options; Q36, which takes days, in the hub. Those that begin with `r` are recorded ones
//! of which a step is adapted.

use crate::channelstream::{folder, names_in};
use crate::transcript::Scenario;

macro_rules! scenarios {
    ($($name:ident,)*) => {
        const NAMES: &[&str] = &[$(stringify!($name),)*];

        mod memory {
            use super::file;
            $(#[test] fn $name() { crate::engine::run(&file(stringify!($name))); })*
        }

        #[cfg(feature = "server")]
        mod real {
            use super::file;
            use crate::session::Cut;
            $(#[test] fn $name() {
                crate::server::run(&file(stringify!($name)), Cut::Whole);
            })*
        }

        #[cfg(feature = "server")]
        mod real_bytewise {
            use super::file;
            use crate::session::Cut;
            $(#[test] fn $name() {
                crate::server::run(&file(stringify!($name)), Cut::Bytewise);
            })*
        }
    };
}

scenarios! {
    q01_bodies_that_are_not_json,
    q04_socket_without_conn_id,
    q05_what_is_no_handshake,
    q06_https_by_header,
    q07_origins_are_compared_whole,
    q08_no_parted_without_joined,
    q09_no_history_of_size_zero,
    q10_conn_id_in_use,
    q11_late_socket,
    q12_only_newer_frames,
    q13_lists_of_edits_with_non_objects,
    q13_lists_with_non_objects,
    q14_private_changes_are_silent,
    q15_true_is_not_one,
    q16_cors_on_errors,
    q19_connections_without_channels,
    q28_second_socket,
    q29_disconnect_at_once,
    q31_private_edit_once,
    q31_private_message_once,
    q32_excluded_from_private_messages,
    q39_channel_names_are_bounded,
    r086_admin_sign_in,
    r088_admin_signed,
}

/// The text of a scenario.
pub(crate) fn file(name: &str) -> String {
    let path = folder("better").join(format!("{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

#[test]
fn the_list_has_every_file_once_and_every_number_is_there() {
    assert_eq!(names_in("better"), NAMES);
    let mut numbers = Vec::new();
    for name in NAMES {
        let scenario = Scenario::parse(&file(name), "abcdefgh").expect(name);
        numbers.extend(scenario.quirks);
    }
    assert_eq!(
        numbers,
        [
            "Q1", "Q4", "Q5", "Q6", "Q7", "Q8", "Q9", "Q10", "Q11", "Q12", "Q13", "Q13", "Q14",
            "Q23", "Q15", "Q16", "Q19", "Q28", "Q29", "Q31", "Q32", "Q31", "Q32", "Q39"
        ]
    );
}
