//! Pushi's protocol: the recorded transcripts, and stories of our own.
//!
//! Everything is played over memory with every write cut at its places and byte by byte, with nothing
//! left behind; once more with a store that answers late; and once to the binary behind real sockets,
//! with its store in a file. Stories that look into the engine, or in which the store fails, are told
//! in memory only.

mod api;
mod apps;
mod channels;
mod errors;
mod frames;
mod limits;
mod opening;
mod peer;
mod personal;
mod presence;
mod publishing;
mod reload;
mod replay;
mod scenario;
mod stage;
mod storing;
mod transcripts;
pub(crate) mod values;

use crate::kept::{Kept, Manner};
use crate::memory::Memory;
use crate::session::{Cut, cuts};
use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::{self, Channelstream};
use fanwire::dialect::pushi::Pushi;
use fanwire::dialect::pushi::config::Config;
use fanwire::engine::{Engine, EngineConfig};
use fanwire::hub::AppId;
use fanwire::random::Random;
use stage::Stage;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Pushi, and Channelstream in an app of its own.
fn dialects(config: Config) -> Vec<Box<dyn Dialect>> {
    let own = channelstream::Config::default();
    vec![
        Box::new(Pushi::new(config)),
        Box::new(Channelstream::new(own)),
    ]
}

/// The apps of the settings, with their ids.
fn stored_apps(config: &Config) -> Vec<(AppId, String)> {
    let apps = config.apps.iter();
    apps.map(|app| (app.app, app.ident.clone())).collect()
}

/// An engine in memory, with a store behind it. Writes are cut as `cut` says.
fn memory(config: Config, manner: Manner, cut: Cut) -> Memory<Kept> {
    let apps = stored_apps(&config);
    let idents: Vec<&str> = apps.iter().map(|(_, ident)| &**ident).collect();
    let engine_config = EngineConfig {
        stored_apps: apps.clone(),
        facts_kept: 1_000,
        ..EngineConfig::default()
    };
    let engine = Engine::new(engine_config, dialects(config), Random::seeded(1));
    let kept = Kept::new(engine, &idents, manner);
    let mut memory = Memory::new(kept, "", cut);
    memory.with(Kept::open);
    memory
}

/// Tells a story in every split, and with a late store.
fn in_memory(story: fn(&mut Stage)) {
    in_memory_on(Stage::new, story);
}

/// The same where everybody may make apps.
fn in_memory_open(story: fn(&mut Stage)) {
    in_memory_on(Stage::open_to_all, story);
}

fn in_memory_on(stage: fn(Manner, Cut) -> Stage, story: fn(&mut Stage)) {
    let once = |manner: Manner, cut: Cut| {
        // Where it goes wrong it has said how; this says when.
        let told = catch_unwind(AssertUnwindSafe(|| {
            let mut stage = stage(manner, cut);
            story(&mut stage);
            stage.finish()
        }));
        told.unwrap_or_else(|_| panic!("in {manner:?}, {cut:?}"))
    };
    let longest = once(Manner::AtOnce, Cut::Whole);
    once(Manner::Late, Cut::Whole);
    for cut in cuts(longest) {
        once(Manner::AtOnce, Cut::At(cut));
    }
    once(Manner::AtOnce, Cut::Bytewise);
    once(Manner::Late, Cut::Bytewise);
}

/// Tells a story whose bytes are too many to be cut everywhere.
fn in_memory_whole(story: fn(&mut Stage)) {
    for manner in [Manner::AtOnce, Manner::Late] {
        let mut stage = Stage::new(manner, Cut::Whole);
        story(&mut stage);
        stage.finish();
    }
}

#[cfg(feature = "server")]
fn for_real(story: fn(&mut Stage)) {
    let mut stage = Stage::real();
    story(&mut stage);
    stage.finish();
}

#[cfg(feature = "server")]
fn for_real_open(story: fn(&mut Stage)) {
    let mut stage = Stage::real_open_to_all();
    story(&mut stage);
    stage.finish();
}

macro_rules! told {
    ($kind:ident, $tell:ident: $($module:ident { $($name:ident,)* })*) => {
        mod $kind {
            $(mod $module { $(
                #[test] fn $name() { super::super::$tell(super::super::$module::$name); }
            )* })*
        }
    };
}

macro_rules! stories {
    ($($stories:tt)*) => {
        told! { memory, in_memory: $($stories)* }
        #[cfg(feature = "server")]
        told! { real, for_real: $($stories)* }
    };
}

macro_rules! open_stories {
    ($($stories:tt)*) => {
        told! { memory_open, in_memory_open: $($stories)* }
        #[cfg(feature = "server")]
        told! { real_open, for_real_open: $($stories)* }
    };
}

macro_rules! memory_only {
    ($($stories:tt)*) => { told! { memory_only, in_memory: $($stories)* } };
}

macro_rules! memory_long {
    ($($stories:tt)*) => { told! { memory_long, in_memory_whole: $($stories)* } };
}

macro_rules! long_stories {
    ($($stories:tt)*) => {
        told! { long, in_memory_whole: $($stories)* }
        #[cfg(feature = "server")]
        told! { long_real, for_real: $($stories)* }
    };
}

stories! {
    opening {
        the_key_is_the_last_part_of_the_path,
        keys_that_no_app_has_open_nothing,
        a_disabled_app_opens_nothing,
        pages_of_other_origins_open_nothing,
        what_is_no_handshake_is_told_so,
        what_comes_with_the_handshake_is_heard_after_it,
    }
    frames {
        binary_frames_are_taken_as_text,
        fragments_are_put_together,
        pings_are_answered_and_pongs_are_not,
        closes_are_answered,
        an_empty_text_is_nothing,
        a_frame_without_a_mask_ends_it,
    }
    errors {
        what_cannot_be_understood_ends_it,
        a_bad_request_ends_nothing,
        signatures_are_for_one_socket_one_channel_and_one_app,
        who_is_not_in_a_channel_has_no_say_in_it,
        members_say_who_they_are_or_nothing,
        the_servers_own_events_are_not_for_clients,
        numbers_of_events_are_whole_and_not_negative,
    }
    channels {
        any_text_is_a_name,
        names_beyond_ascii_are_signed_in_both_ways,
        an_underscore_is_as_good_as_a_colon,
        flags_are_true_as_in_python,
        data_is_always_text,
        twice_is_once,
        apps_know_nothing_of_each_other,
    }
    presence {
        a_user_is_there_as_long_as_one_socket_is,
        nobody_in_particular_hears_events_only,
        ids_are_compared_as_texts_and_shown_as_sent,
        others_hear_of_a_member_before_what_it_says,
        members_stand_in_the_order_of_joining,
        asking_again_is_leaving_and_coming,
    }
    peer {
        two_members_have_a_channel,
        who_comes_later_decides,
        numbers_are_users_too,
        names_that_can_be_read_in_several_ways,
        pairs_of_one_name_do_not_hear_each_other,
        a_name_of_a_pair_may_fit_where_nobody_is,
        a_pair_may_have_a_long_name,
        who_leaves_is_off_its_pairs,
        a_pair_may_be_left_by_name,
        a_pair_that_was_left_stays_so_when_another_channel_is,
        a_member_may_ask_for_the_latest_of_its_pairs,
        a_signature_opens_it_by_name,
        what_was_left_stays_left_wherever_else_one_leaves,
    }
    personal {
        a_users_channels_come_with_what_waits,
        the_latest_of_a_personal_channel_is_what_waits,
        leaving_takes_along_what_it_brought_and_no_more,
        two_may_bring_the_same,
        a_circle_comes_to_an_end,
        applications_reach_a_user_by_it,
        a_personal_channel_may_bring_another,
        what_is_refused_is_not_listed,
        channels_are_left_in_the_order_of_joining,
        what_it_brings_is_joined_as_said,
        a_subscription_that_goes_leaves_sockets_where_they_are,
        users_have_odd_ids,
        an_event_waits_once_for_each_user,
    }
    publishing {
        a_socket_hears_a_publish_once,
        every_channel_keeps_its_own,
        nobody_speaks_as_the_server,
        what_is_not_to_be_stored_is_not,
        what_was_delivered_is_there_for_whoever_asks,
        words_are_acted_on_in_their_order,
    }
    api {
        a_ping_reaches_whoever_is_in_global,
        sockets_are_listed_with_their_channels,
        nobody_makes_apps_where_that_is_closed,
        an_app_of_the_settings_is_called_what_they_say,
        a_path_may_write_an_app_escaped,
        the_key_of_an_app_is_no_permission_to_look,
        direct_messages_are_not_pretended,
        the_server_tells_of_itself,
        one_logout_ends_one_session,
        every_error_has_an_id_of_its_own,
        what_is_not_there_is_not_there_for_anybody,
        a_head_changes_nothing,
        a_route_may_be_written_escaped,
        what_no_path_can_name_is_not_made,
        answers_say_that_the_connection_stays,
    }
    limits {
        names_have_their_lengths,
        members_say_so_much,
        the_longest_pair_has_a_channel,
    }
}

open_stories! {
    apps {
        who_switches_its_app_off_may_switch_it_on_again,
        a_name_is_one_apps_wherever_that_stands,
        who_makes_too_many_apps_is_told_until_when,
        an_app_is_made_with_what_is_said_of_it,
    }
}

memory_only! {
    frames {
        nobody_has_to_say_anything,
    }
    storing {
        a_full_queue_refuses,
        who_was_delivered_and_not_kept_is_told_to_the_sender,
        an_application_is_answered_when_it_is_kept,
        who_waits_keeps_nobody_waiting,
        who_goes_while_it_waits_leaves_nothing,
        a_logout_that_was_not_kept_may_be_asked_for_again,
        who_asks_what_cannot_be_read_is_told_so,
    }
    reload {
        a_disabled_app_lets_go,
        a_removed_app_lets_go,
        apps_of_the_store_stay,
        a_stop_closes_everybody,
    }
}

long_stories! {
    publishing {
        a_hundred_thousand_channels,
        an_event_is_not_stored_without_end,
        a_mebibyte,
    }
    limits {
        a_newcomer_is_among_the_members_it_is_told_of,
        a_socket_is_in_so_many_channels,
        so_many_events_are_listed,
    }
}

memory_long! {
    personal {
        so_much_may_be_brought,
    }
    limits {
        a_socket_says_so_much_in_a_second,
    }
}
