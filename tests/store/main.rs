//! What an engine of the store is held to: one suite, run over each of them.
//!
//! A further engine joins by one line in [`suite`]. What only a file can be held to is in `files`,
//! and what the thread before an engine promises in `thread`.

mod aging;
mod apps;
#[cfg(target_os = "linux")]
mod busy;
mod compare;
mod delegate;
mod events;
#[cfg(feature = "store")]
mod files;
#[cfg(feature = "store")]
mod guard;
mod kept;
mod personal;
mod records;
mod retention;
mod thread;
mod world;
mod wrap;

/// Runs each of these functions with an empty world of each engine.
macro_rules! suite {
    ($($case:path as $name:ident,)*) => {
        mod memory {
            $(#[test] fn $name() { crate::world::World::in_memory().run($case); })*
        }
        #[cfg(feature = "store")]
        mod sqlite {
            $(#[test] fn $name() { crate::world::World::in_a_file().run($case); })*
        }
    };
}

suite! {
    crate::apps::are_made_and_changed as apps_are_made_and_changed,
    crate::apps::are_made_with_what_is_said_of_them as apps_are_made_with_what_is_said_of_them,
    crate::apps::have_names_of_their_own as apps_have_names_of_their_own,
    crate::apps::of_the_settings_are_adopted as apps_of_the_settings_are_adopted,
    crate::apps::sessions_end as sessions_end,
    crate::events::count_up_over_all_apps as events_count_up_over_all_apps,
    crate::events::are_listed_newest_first as events_are_listed_newest_first,
    crate::events::answers_are_bounded as answers_with_events_are_bounded,
    crate::events::keep_every_bit as events_keep_every_bit,
    crate::events::stop_where_the_question_was_asked as answers_stop_where_the_question_was_asked,
    crate::personal::one_event_waits_for_each_user as one_event_waits_for_each_user,
    crate::personal::parts_of_a_publish_serve_once as parts_of_a_publish_serve_once,
    crate::personal::aliases_follow_personal_channels as aliases_follow_personal_channels,
    crate::personal::only_what_comes_after_waits as only_what_comes_after_waits,
    crate::records::are_made_once as records_are_made_once,
    crate::records::replace_the_oldest as records_replace_the_oldest,
    crate::records::are_listed_and_deleted as records_are_listed_and_deleted,
    crate::records::answers_are_bounded as answers_with_records_are_bounded,
    crate::records::ids_are_never_used_again as ids_of_records_are_never_used_again,
    crate::kept::history_keeps_the_newest as history_keeps_the_newest,
    crate::kept::messages_are_edited_and_taken_back as messages_are_edited_and_taken_back,
    crate::kept::channels_and_users_come_and_go as channels_and_users_come_and_go,
    crate::retention::by_age as retention_by_age,
    crate::retention::by_bytes as retention_by_bytes,
    crate::retention::in_steps_and_in_turn as retention_in_steps_and_in_turn,
    crate::retention::wherever_it_stands as retention_wherever_it_stands,
    crate::retention::of_everything_uses_no_id_again as retention_of_everything_uses_no_id_again,
}
