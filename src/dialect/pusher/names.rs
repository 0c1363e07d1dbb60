//! Names: what a channel's name says about it, which ids users and sockets have, and which names of
//! events are free.

use crate::limits::{PUSHER_EVENT_CHARS_MAX, PUSHER_USER_CHARS_MAX};

/// What a channel of one user begins with; the rest is the user's id.
pub const SERVER_TO_USER: &str = "#server-to-user-";
/// What the name of an event begins with that one client sends to others.
pub const CLIENT_EVENT: &str = "client-";

/// Who may be in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever the application signed for.
    Private,
    /// The same, and what is sent cannot be read by the server.
    Encrypted,
    /// Whoever the application signed for, and everybody sees who is there.
    Presence,
}

/// What a channel's name says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Who may be in it.
    pub access: Access,
    /// Whether its last event is kept for those who come later. This is a property beside the
    /// access, and never changes what that demands.
    pub is_cached: bool,
}

impl Kind {
    /// The kind of the channel of this name. Prefixes count at its beginning only.
    pub fn of(name: &str) -> Self {
        let (access, rest) = if let Some(rest) = name.strip_prefix("private-encrypted-") {
            (Access::Encrypted, rest)
        } else if let Some(rest) = name.strip_prefix("private-") {
            (Access::Private, rest)
        } else if let Some(rest) = name.strip_prefix("presence-") {
            (Access::Presence, rest)
        } else {
            (Access::Public, name)
        };
        Self {
            access,
            is_cached: rest.starts_with("cache-"),
        }
    }

    /// Whether the application must have signed for whoever subscribes.
    pub fn needs_auth(self) -> bool {
        match self.access {
            Access::Public => false,
            Access::Private | Access::Encrypted | Access::Presence => true,
        }
    }

    /// Whether those who are in it are told of each other.
    pub fn has_members(self) -> bool {
        match self.access {
            Access::Presence => true,
            Access::Public | Access::Private | Access::Encrypted => false,
        }
    }

    /// Whether those who are in it may send events to each other.
    pub fn takes_client_events(self) -> bool {
        match self.access {
            Access::Private | Access::Presence => true,
            Access::Public | Access::Encrypted => false,
        }
    }
}

/// Whether every character is one that names of channels may have.
fn is_plain(name: &str) -> bool {
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte);
    name.bytes().all(is_one)
}

/// Whether this may be the name of a channel of up to `chars_max` characters. The channels of
/// single users are not among them; those are for [`server_to_user`].
pub fn is_channel(name: &str, chars_max: usize) -> bool {
    // The characters are ASCII, so that there are as many as bytes.
    (1..=chars_max).contains(&name.len()) && is_plain(name)
}

/// The user's id in the name of a channel of one user.
pub fn server_to_user(name: &str) -> Option<&str> {
    name.strip_prefix(SERVER_TO_USER)
        .filter(|id| is_user_id(id))
}

/// Whether this may be the id that somebody signs in with. Ids of members of presence channels are
/// freer.
pub fn is_user_id(id: &str) -> bool {
    (1..=PUSHER_USER_CHARS_MAX).contains(&id.len()) && is_plain(id)
}

/// Whether an event's name has a length that is taken.
pub fn is_event_length(name: &str) -> bool {
    // Characters are counted only where bytes do not settle it.
    !name.is_empty()
        && (name.len() <= PUSHER_EVENT_CHARS_MAX || name.chars().count() <= PUSHER_EVENT_CHARS_MAX)
}

/// Whether this is a name that the server speaks with itself, so that nobody else may send it.
pub fn is_reserved_event(name: &str) -> bool {
    name.starts_with("pusher:") || name.starts_with("pusher_internal:")
}

/// Checks the name of an event that an application publishes.
///
/// # Errors
/// Names that the server speaks with itself, empty and long ones; the text is for humans.
pub fn is_event_for_api(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("the name of an event must not be empty");
    }
    if !is_event_length(name) {
        return Err("the name of an event has at most 200 characters");
    }
    if is_reserved_event(name) {
        return Err("names of events that begin with pusher: or pusher_internal: are reserved");
    }
    Ok(())
}

const _: () = assert!(
    PUSHER_EVENT_CHARS_MAX == 200,
    "the text of is_event_for_api says so"
);

/// Whether this has the form of a socket's id: two runs of digits, joined by a dot. Every SDK for
/// servers checks that much.
pub fn is_socket_id(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.')
        .is_some_and(|(high, low)| is_number(high) && is_number(low))
}

/// Appends the id of a socket: the low 64 bits of `id` as two numbers, the high and the low half of
/// them. At most 21 characters.
pub fn push_socket_id(out: &mut Vec<u8>, id: u128) {
    out.extend_from_slice(socket_id(id).as_bytes());
}

/// The id of a socket as a text, see [`push_socket_id`].
pub fn socket_id(id: u128) -> String {
    // Both are halves of 64 bits.
    let (high, low) = ((id >> 32) as u32, id as u32);
    format!("{high}.{low}")
}

/// The 64 bits that [`socket_id`] wrote. `None` for whatever it does not write: leading zeros, and
/// numbers of more than 32 bits. If [`is_socket_id`] agrees with such a text, it is the id of a
/// socket elsewhere.
pub fn parse_socket_id(text: &str) -> Option<u128> {
    let (high, low) = text.split_once('.')?;
    Some(u128::from(half(high)?) << 32 | u128::from(half(low)?))
}

/// A number of 32 bits in its only written form.
fn half(digits: &str) -> Option<u32> {
    let is_canonical = match digits.as_bytes() {
        [b'0'] => true,
        [first, ..] => (b'1'..=b'9').contains(first),
        [] => false,
    };
    // A sign is refused with the first character; overflow and the rest by the parser.
    digits.parse().ok().filter(|_| is_canonical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(name: &str, access: Access, is_cached: bool) {
        assert_eq!(Kind::of(name), Kind { access, is_cached }, "{name}");
    }

    #[test]
    fn prefixes_say_the_kind() {
        use Access::{Encrypted, Presence, Private, Public};
        check("prices", Public, false);
        check("cache-prices", Public, true);
        check("private-prices", Private, false);
        check("private-cache-prices", Private, true);
        check("private-encrypted-prices", Encrypted, false);
        check("private-encrypted-cache-prices", Encrypted, true);
        check("presence-room", Presence, false);
        check("presence-cache-room", Presence, true);
    }

    #[test]
    fn prefixes_count_at_the_beginning_only() {
        use Access::{Presence, Private, Public};
        check("my-cache-x", Public, false);
        check("my-private-x", Public, false);
        check("cache-private-x", Public, true);
        check("cache-presence-x", Public, true);
        check("private-my-cache-x", Private, false);
        check("private-cachex", Private, false);
        check("private-cache", Private, false);
        check("private-encrypted", Private, false);
        check("private-presence-x", Private, false);
        check("presence-private-x", Presence, false);
        check("presence-encrypted-x", Presence, false);
        check("private", Public, false);
        check("Private-x", Public, false);
        check(" private-x", Public, false);
        check("", Public, false);
        check("#server-to-user-private-x", Public, false);
    }

    #[test]
    fn the_cache_never_weakens_what_the_access_demands() {
        for prefix in ["", "private-", "private-encrypted-", "presence-"] {
            let plain = Kind::of(&format!("{prefix}x"));
            let cached = Kind::of(&format!("{prefix}cache-x"));
            assert!(cached.is_cached && !plain.is_cached);
            assert_eq!(plain.access, cached.access);
            assert_eq!(plain.needs_auth(), cached.needs_auth());
            assert_eq!(plain.has_members(), cached.has_members());
            assert_eq!(plain.takes_client_events(), cached.takes_client_events());
            assert_eq!(plain.needs_auth(), !prefix.is_empty());
            assert_eq!(plain.has_members(), prefix == "presence-");
            let takes = matches!(prefix, "private-" | "presence-");
            assert_eq!(plain.takes_client_events(), takes);
        }
    }

    #[test]
    fn names_of_channels_are_checked() {
        for good in [
            "a",
            "presence-room@7;a,b",
            "A-Z_a=z.0",
            "private-",
            "-",
            "client-x",
        ] {
            assert!(is_channel(good, 164), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a:b",
            "a/b",
            "#a",
            "#server-to-user-a",
            "é",
            "a\n",
            "a\0",
            "a+b",
            "a*",
            "日本",
        ] {
            assert!(!is_channel(bad, 164), "{bad}");
        }
        assert!(is_channel(&"x".repeat(164), 164));
        assert!(!is_channel(&"x".repeat(165), 164));
        assert!(is_channel(&"x".repeat(200), 200));
    }

    #[test]
    fn channels_of_users_hold_their_id() {
        assert_eq!(server_to_user("#server-to-user-anna"), Some("anna"));
        assert_eq!(server_to_user("#server-to-user-a@b;c"), Some("a@b;c"));
        let id = "x".repeat(128);
        assert_eq!(server_to_user(&format!("{SERVER_TO_USER}{id}")), Some(&*id));
        for other in [
            "#server-to-user-",
            "#server-to-user-a b",
            "#server-to-user-#a",
            "server-to-user-a",
            "#server-to-users-a",
            " #server-to-user-a",
            &format!("{SERVER_TO_USER}{id}x"),
        ] {
            assert_eq!(server_to_user(other), None, "{other}");
        }
    }

    #[test]
    fn names_of_events_are_checked() {
        for good in [
            "App\\Events\\X",
            "a.b c",
            "client-x",
            "pusher",
            "é",
            "Pusher:x",
        ] {
            assert_eq!(is_event_for_api(good), Ok(()), "{good}");
        }
        for bad in ["", "pusher:", "pusher:ping", "pusher_internal:x"] {
            assert!(is_event_for_api(bad).is_err(), "{bad}");
        }
        // Characters count, not bytes.
        assert!(is_event_for_api(&"é".repeat(200)).is_ok());
        assert!(is_event_for_api(&"é".repeat(201)).is_err());
        assert!(is_event_for_api(&"x".repeat(201)).is_err());
    }

    #[test]
    fn ids_of_sockets_are_two_numbers() {
        for good in ["1234.1234", "0.0", "007.1", "99999999999999999999.1"] {
            assert!(is_socket_id(good), "{good}");
        }
        for bad in [
            "", ".", "1", "1.", ".1", "1.2.3", "1,2", "a.1", "1.a", "-1.2", "+1.2", " 1.2", "1.2 ",
            "1.2\n", "1.2:x", "1.²", "１.2",
        ] {
            assert!(!is_socket_id(bad), "{bad}");
            assert_eq!(parse_socket_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_of_ours_are_told_from_others() {
        assert_eq!(socket_id(0), "0.0");
        assert_eq!(socket_id(u128::MAX), "4294967295.4294967295");
        assert_eq!(socket_id(1 << 64 | 7 << 32 | 9), "7.9");
        assert_eq!(parse_socket_id("7.9"), Some(7 << 32 | 9));
        assert_eq!(parse_socket_id("0.0"), Some(0));
        for foreign in [
            "4294967296.1",
            "1.4294967296",
            "01.1",
            "1.01",
            "00.0",
            "1.00",
        ] {
            assert!(is_socket_id(foreign));
            assert_eq!(parse_socket_id(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn ids_are_read_back(id in any::<u64>()) {
            let written = socket_id(id.into());
            prop_assert!(is_socket_id(&written) && written.len() <= 21);
            prop_assert_eq!(parse_socket_id(&written), Some(id.into()));
            let mut pushed = Vec::new();
            push_socket_id(&mut pushed, id.into());
            prop_assert_eq!(pushed, written.into_bytes());
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "[0-9+]{0,11}\\.?[0-9 ]{0,11}") {
            if let Some(id) = parse_socket_id(&text) {
                prop_assert_eq!(socket_id(id), text);
            }
        }
    }
}
