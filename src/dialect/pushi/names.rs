//! Names: what a channel's name says about it, who may use which peer channel, and ids as they are
//! written.
//!
//! Nearly every text is a name here, the empty one too. Ids of users go into the names of peer
//! channels as they are, so that such a name may be read in several ways. Whoever knows the channel
//! that a pair met in asks with it; where an application publishes to a name, all pairs hear that it fits.

use crate::dialect::channelstream::fields;
pub use crate::dialect::channelstream::stamps::push_uuid;
pub use crate::dialect::pusher::names::is_reserved_event;
use crate::limits::{
    PUSHI_CHANNEL_BYTES_MAX, PUSHI_EVENT_BYTES_MAX, PUSHI_PEER_CHANNEL_BYTES_MAX,
    PUSHI_USER_BYTES_MAX,
};

/// What the name of a presence channel begins with; the rest is the base of its peer channels.
pub const PRESENCE: &str = "presence-";
/// What the name of a user's own channel begins with; the rest is the user's id.
pub const PERSONAL: &str = "personal-";
/// What the name of a channel of two users begins with.
pub const PEER: &str = "peer-";

/// What the names of channels begin with that are for one user or two. They need a signature here,
/// and protocols that share an app with this one keep them closed.
pub const OF_USERS: [&str; 2] = [PERSONAL, PEER];

/// What a channel's name says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everybody may subscribe.
    Public,
    /// Whoever the application signed for.
    Private,
    /// The same, and those who say who they are see each other.
    Presence,
    /// Stands for all channels that a user has a stored subscription for.
    Personal,
    /// Two members of a presence channel.
    Peer,
}

impl Kind {
    /// The kind of the channel of this name. Prefixes count at its beginning only.
    pub fn of(name: &str) -> Self {
        if name.starts_with("private-") {
            Self::Private
        } else if name.starts_with(PRESENCE) {
            Self::Presence
        } else if name.starts_with(PERSONAL) {
            Self::Personal
        } else if name.starts_with(PEER) {
            Self::Peer
        } else {
            Self::Public
        }
    }

    /// Whether the application must have signed for whoever subscribes.
    pub fn is_signed(self) -> bool {
        match self {
            Self::Public => false,
            Self::Private | Self::Presence | Self::Personal | Self::Peer => true,
        }
    }
}

/// The user whose own channel this is.
pub fn personal_user(name: &str) -> Option<&str> {
    name.strip_prefix(PERSONAL)
}

/// The base of the peer channels that the members of this presence channel have.
pub fn presence_base(name: &str) -> Option<&str> {
    name.strip_prefix(PRESENCE)
}

/// The name of the channel of two members of `presence-{base}`, the same for both orders.
pub fn pair_name(base: &str, one_user: &str, other_user: &str) -> String {
    // Bytes of UTF-8 are in the order of code points.
    let (first, second) = if one_user <= other_user {
        (one_user, other_user)
    } else {
        (other_user, one_user)
    };
    [PEER, base, ":", first, "&", second].concat()
}

/// What stands behind `peer-{base}:`, if the name begins so.
pub fn pair_tail<'n>(name: &'n str, base: &str) -> Option<&'n str> {
    let rest = name.strip_prefix(PEER)?.strip_prefix(base)?;
    rest.strip_prefix(':')
}

/// The other one of a pair, if `user` is one of the two in this tail.
///
/// Ids may hold `&` themselves. If the tail can be read in two ways, the one counts in which
/// [`pair_name`] would have written it.
pub fn other_of_pair<'t>(tail: &'t str, user: &str) -> Option<&'t str> {
    let behind = tail
        .strip_prefix(user)
        .and_then(|rest| rest.strip_prefix('&'));
    let before = tail
        .strip_suffix(user)
        .and_then(|rest| rest.strip_suffix('&'));
    match (behind, before) {
        (Some(second), Some(first)) if user > second && first <= user => Some(first),
        (Some(other), _) | (None, Some(other)) => Some(other),
        (None, None) => None,
    }
}

/// Whether a member of `presence-{base}` with this id may ask for the latest events of the channel
/// `name`, and leave it, without subscribing: whether it is one of two in that name.
pub fn eligible(name: &str, base: &str, user: &str) -> bool {
    pair_tail(name, base).is_some_and(|tail| other_of_pair(tail, user).is_some())
}

/// Whether a channel's name has a length that is taken.
pub fn is_channel_length(name: &str) -> bool {
    let most = match Kind::of(name) {
        Kind::Peer => PUSHI_PEER_CHANNEL_BYTES_MAX,
        Kind::Public | Kind::Private | Kind::Presence | Kind::Personal => PUSHI_CHANNEL_BYTES_MAX,
    };
    name.len() <= most
}

/// Whether the name of an event has a length that is taken. Clients must give one; the empty name
/// is for who publishes over HTTP.
pub fn is_event_length(name: &str) -> bool {
    name.len() <= PUSHI_EVENT_BYTES_MAX
}

/// Whether the id of a user has a length that is taken.
pub fn is_user_length(id: &str) -> bool {
    id.len() <= PUSHI_USER_BYTES_MAX
}

/// An id of a socket or an event as it is written: lower case with hyphens, 36 characters.
pub fn uuid(id: u128) -> String {
    let mut text = Vec::with_capacity(36);
    push_uuid(&mut text, id);
    // Only digits and hyphens were written.
    String::from_utf8(text).unwrap_or_default()
}

/// The id that [`uuid`] wrote; `None` for every other form, as ids are compared as texts.
pub fn parse_uuid(text: &str) -> Option<u128> {
    if text.len() != 36 {
        return None;
    }
    fields::parse_uuid(text).filter(|&id| uuid(id) == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prefixes_say_the_kind() {
        for (name, kind) in [
            ("room", Kind::Public),
            ("", Kind::Public),
            ("private", Kind::Public),
            ("Private-x", Kind::Public),
            (" private-x", Kind::Public),
            ("my-private-x", Kind::Public),
            ("peer", Kind::Public),
            ("global", Kind::Public),
            ("private-", Kind::Private),
            ("private-presence-x", Kind::Private),
            ("presence-room", Kind::Presence),
            ("presence-", Kind::Presence),
            ("personal-u1", Kind::Personal),
            ("personal-", Kind::Personal),
            ("peer-chat:a&b", Kind::Peer),
            ("peer-", Kind::Peer),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
            assert_eq!(kind.is_signed(), kind != Kind::Public);
        }
    }

    #[test]
    fn what_stands_behind_a_prefix() {
        assert_eq!(personal_user("personal-u1"), Some("u1"));
        assert_eq!(personal_user("personal-a:b&c/d"), Some("a:b&c/d"));
        assert_eq!(personal_user("personal-"), Some(""));
        assert_eq!(personal_user("person-u1"), None);
        assert_eq!(personal_user("xpersonal-u1"), None);
        assert_eq!(presence_base("presence-a:b"), Some("a:b"));
        assert_eq!(presence_base("presence"), None);
    }

    #[test]
    fn pairs_are_named_in_the_order_of_code_points() {
        assert_eq!(pair_name("chat", "ann", "bob"), "peer-chat:ann&bob");
        assert_eq!(pair_name("chat", "bob", "ann"), "peer-chat:ann&bob");
        assert_eq!(pair_name("chat", "ada", "Bea"), "peer-chat:Bea&ada");
        assert_eq!(pair_name("chat", "10", "9"), "peer-chat:10&9");
        assert_eq!(
            pair_name("a", "\u{ff5e}", "\u{1f600}"),
            "peer-a:\u{ff5e}&\u{1f600}",
            "code points, not the units of UTF-16"
        );
        assert_eq!(pair_name("", "", "x"), "peer-:&x");
        assert_eq!(pair_name("a:b", "c&d", "e/f"), "peer-a:b:c&d&e/f");
    }

    #[test]
    fn tails_stand_behind_their_base() {
        assert_eq!(pair_tail("peer-chat:ann&bob", "chat"), Some("ann&bob"));
        assert_eq!(pair_tail("peer-a:b:c&d", "a:b"), Some("c&d"));
        assert_eq!(pair_tail("peer-a:b:c&d", "a"), Some("b:c&d"));
        assert_eq!(pair_tail("peer-:a&b", ""), Some("a&b"));
        for (name, base) in [
            ("peer-chat:a&b", "cha"),
            ("peer-chat:a&b", "chats"),
            ("peer-chat", "chat"),
            ("chat:a&b", "chat"),
            ("presence-chat:a&b", "chat"),
            ("", ""),
        ] {
            assert_eq!(pair_tail(name, base), None, "{name} {base}");
        }
    }

    #[test]
    fn the_other_one_of_a_pair_is_found() {
        for (tail, user, other) in [
            ("ann&bob", "ann", Some("bob")),
            ("ann&bob", "bob", Some("ann")),
            ("ann&bob", "carl", None),
            ("ann&bob", "an", None),
            ("ann&bob", "ob", None),
            ("ann&bob", "", None),
            ("ann&bob", "ann&bob", None),
            ("ann", "ann", None),
            ("", "", None),
            ("&", "", Some("")),
            ("&x", "", Some("x")),
            ("ann&", "ann", Some("")),
            ("a&a", "a", Some("a")),
            // In the wrong order nothing is ever written, but who is in it is plain.
            ("bob&ann", "ann", Some("bob")),
            // Ids with the character that joins them.
            ("a&b&c", "a&b", Some("c")),
            ("a&b&c", "b&c", Some("a")),
            ("a&b&c", "a", Some("b&c")),
            ("a&b&c", "b", None),
            // Both ends fit: `a&b&a` is the pair of `a` and `b&a`, never that of `a&b` and `a`.
            ("a&b&a", "a", Some("b&a")),
            // And `B&b` comes before `b`.
            ("b&B&b", "b", Some("B&b")),
            ("B&b", "b", Some("B")),
        ] {
            assert_eq!(other_of_pair(tail, user), other, "{tail} {user}");
        }
        // `B` before `b`, so the pair of `b` and `b&B` could only be `b&b&B`; that of `b` and `B&b`
        // is `B&b&b`.
        let name = pair_name("x", "b", "B&b");
        let tail = pair_tail(&name, "x").expect("a tail");
        assert_eq!((tail, other_of_pair(tail, "b")), ("B&b&b", Some("B&b")));
    }

    #[test]
    fn members_are_eligible_for_their_pairs() {
        assert!(eligible("peer-chat:ann&carl", "chat", "ann"));
        assert!(eligible("peer-chat:ann&carl", "chat", "carl"));
        assert!(eligible("peer-a:b:x&y", "a:b", "y"));
        assert!(eligible("peer-chat:a&b&c", "chat", "a&b"));
        for (name, base, user) in [
            ("peer-chat:ann&carl", "chat", "bob"),
            ("peer-chat:ann&carl", "other", "ann"),
            ("peer-chat", "chat", "ann"),
            ("peer-chat:ann", "chat", "ann"),
            ("peer-chat:a&b&c", "chat", "b"),
            ("private-chat:ann&carl", "chat", "ann"),
        ] {
            assert!(!eligible(name, base, user), "{name} {base} {user}");
        }
    }

    #[test]
    fn lengths_are_bounded_in_bytes() {
        assert!(is_channel_length("") && is_channel_length(&"é".repeat(512)));
        assert!(!is_channel_length(&"x".repeat(1025)));
        assert!(is_user_length(&"x".repeat(512)) && !is_user_length(&"é".repeat(257)));
        assert!(is_event_length("") && !is_event_length(&"x".repeat(1025)));
        // The longest pair there can be is no longer than a name may be.
        let base = "b".repeat(PUSHI_CHANNEL_BYTES_MAX - PRESENCE.len());
        let (one, other) = ("1".repeat(512), "2".repeat(512));
        assert!(is_channel_length(&format!("{PRESENCE}{base}")));
        assert!(is_channel_length(&pair_name(&base, &one, &other)));
        assert!(!is_channel_length(&format!("{PEER}{}", "x".repeat(2048))));
    }

    #[test]
    fn the_servers_own_events_are_known() {
        for name in [
            "pusher:",
            "pusher:ping",
            "pusher:member_added",
            "pusher_internal:latest",
        ] {
            assert!(is_reserved_event(name), "{name}");
        }
        for name in [
            "",
            "pusher",
            "pushers:x",
            "Pusher:x",
            " pusher:x",
            "message",
        ] {
            assert!(!is_reserved_event(name), "{name}");
        }
    }

    #[test]
    fn ids_have_one_form() {
        let id = 0x1917_4e6b_8ad0_4230_bd18_1358_12f6_fa12;
        let text = "19174e6b-8ad0-4230-bd18-135812f6fa12";
        assert_eq!(uuid(id), text);
        assert_eq!(parse_uuid(text), Some(id));
        assert_eq!(parse_uuid(&uuid(0)), Some(0));
        assert_eq!(parse_uuid(&uuid(u128::MAX)), Some(u128::MAX));
        for other in [
            "",
            "19174E6B-8ad0-4230-bd18-135812f6fa12",
            "19174e6b8ad04230bd18135812f6fa12",
            "{19174e6b-8ad0-4230-bd18-135812f6fa1}",
            "19174e6b-8ad0-4230-bd18-135812f6fa1",
            "19174e6b-8ad0-4230-bd18-135812f6fa123",
            "19174e6b8-ad0-4230-bd18-135812f6fa12",
            "g9174e6b-8ad0-4230-bd18-135812f6fa12",
            "unknown",
        ] {
            assert_eq!(parse_uuid(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn both_of_a_pair_are_found_in_its_name(
            base in "[ab:&é]{0,4}", one in "[aAb&:]{0,4}", other in "[aAb&:]{0,4}",
        ) {
            let name = pair_name(&base, &one, &other);
            prop_assert_eq!(&name, &pair_name(&base, &other, &one));
            prop_assert_eq!(Kind::of(&name), Kind::Peer);
            let tail = pair_tail(&name, &base).expect("its own base");
            for user in [&one, &other] {
                let found = other_of_pair(tail, user).expect("one of the two");
                // There may be two others that make the same name; never another name.
                prop_assert_eq!(&pair_name(&base, user, found), &name);
                prop_assert!(eligible(&name, &base, user));
            }
        }

        #[test]
        fn ids_are_read_back(id in any::<u128>()) {
            prop_assert_eq!(parse_uuid(&uuid(id)), Some(id));
        }
    }
}
