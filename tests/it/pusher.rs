//! Pusher's protocol, told in stories: what sockets and an application say, and what comes back.
//!
//! Each story is told over memory with every write cut at each of its places and byte by byte,
//! with nothing left behind, and once to the binary behind real sockets. Those that look into the
//! engine or let half an hour go by are told over memory only.

mod api;
mod apps;
mod bad;
mod cache;
mod channels;
mod client_events;
mod counts;
mod facts;
mod limits;
mod opening;
mod presence;
mod quiet;
mod reload;
mod stage;
mod users;

use crate::session::{Cut, cuts};
use stage::Stage;

/// Tells a story in every split.
fn in_memory(story: fn(&mut Stage)) {
    let once = |cut: Cut| {
        let mut stage = Stage::new(cut);
        story(&mut stage);
        stage.finish()
    };
    let longest = once(Cut::Whole);
    for cut in cuts(longest) {
        once(Cut::At(cut));
    }
    once(Cut::Bytewise);
}

#[cfg(feature = "server")]
fn for_real(story: fn(&mut Stage)) {
    let mut stage = Stage::real(Cut::Whole);
    story(&mut stage);
    stage.finish();
}

macro_rules! stories {
    ($($module:ident { $($name:ident,)* })*) => {
        mod memory {
            $(mod $module { $(
                #[test] fn $name() { super::super::in_memory(super::super::$module::$name); }
            )* })*
        }
        #[cfg(feature = "server")]
        mod real {
            $(mod $module { $(
                #[test] fn $name() { super::super::for_real(super::super::$module::$name); }
            )* })*
        }
    };
}

macro_rules! memory_only {
    ($($module:ident { $($name:ident,)* })*) => {
        mod memory_only {
            $(mod $module { $(
                #[test] fn $name() { super::super::in_memory(super::super::$module::$name); }
            )* })*
        }
    };
}

stories! {
    opening {
        versions_from_4_to_7_are_spoken,
        refusals_have_their_codes,
        origins_are_looked_at,
        an_app_has_a_quota,
    }
    quiet {
        pings_are_answered,
        websocket_pings_and_fragments,
        messages_that_say_nothing_end_nothing,
        too_long_a_message_ends_it,
    }
    channels {
        public_private_and_encrypted,
        data_may_be_a_text,
        twice_is_once,
        unsubscribe_really_unsubscribes,
        refused_and_still_connected,
        names_have_their_characters,
    }
    presence {
        members_come_and_go,
        numbers_become_texts,
        one_socket_as_two_users,
        the_oldest_socket_says_who_it_is,
        without_data_by_signing_in,
        unusable_data_is_refused,
        a_channel_is_full,
    }
    cache {
        misses_and_hits,
        only_the_beginning_of_a_name_counts,
        who_is_left_out_does_not_matter,
        what_is_not_cached,
        authentication_is_not_weakened,
        an_empty_channel_remembers,
    }
    client_events {
        others_hear_them_and_the_sender_does_not,
        data_of_all_kinds_becomes_text,
        nothing_is_forged,
        where_they_are_not_taken,
        too_many_and_too_large,
    }
    users {
        signing_in,
        a_wrong_signature_ends_it,
        nobody_is_two,
        server_to_user_reaches_only_the_user,
        terminate_ends_who_signed_in,
        watching,
        too_long_a_watchlist,
        all_of_it_can_be_off,
    }
    counts {
        few_hear_of_every_change,
    }
    api {
        trigger_reaches_all_channels,
        info_in_every_place,
        a_batch_answers_with_a_list,
        what_is_no_event,
        limits_of_events,
        listing_channels,
        one_channel,
        users_of_a_channel,
        methods,
        who_may_ask,
        an_md5_of_nothing,
        python_forgets_the_prefix,
        apps_know_nothing_of_each_other,
        nothing_there,
    }
    bad {
        auth_of_another_socket_or_app,
        parameters_twice,
        clocks_that_are_off,
        json_that_is_deep_or_broken,
        names_of_events_of_the_server,
    }
    limits {
        small_limits_are_kept,
    }
}

memory_only! {
    quiet {
        silence_is_asked_about_and_then_ended,
        any_word_is_life,
        tls_only_by_a_trusted_proxy,
    }
    cache {
        half_an_hour_later,
    }
    client_events {
        the_rate_comes_back,
    }
    counts {
        a_crowd_hears_every_five_seconds,
    }
    users {
        authorized_within_half_a_minute,
    }
    api {
        a_prefix_is_not_signed,
        a_timestamp_counts_when_the_head_came,
    }
    facts {
        each_transition_once,
        counts_are_announced_as_they_are_told,
        a_miss_is_announced_once,
        whoever_vanishes_is_removed,
    }
    reload {
        a_disabled_app_lets_go,
        a_removed_app_lets_go,
        a_stop_says_to_come_back_later,
    }
}
