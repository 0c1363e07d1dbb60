//! A list of peer addresses that something is granted to.

use core::net::IpAddr;
use std::fmt::Write as _;

/// Peers by address. A peer on a Unix socket has no address and is listed as `unix`; `0.0.0.0`
/// lists everyone, as in Channelstream. There are no networks, each address stands for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerList {
    anyone: bool,
    unix: bool,
    /// In canonical form: an IPv4 address seen through an IPv6 socket is an IPv4 address.
    addresses: Vec<IpAddr>,
}

impl PeerList {
    /// A list of these addresses.
    pub fn of(addresses: &[IpAddr]) -> Self {
        let mut list = Self::default();
        addresses.iter().for_each(|&address| list.add(address));
        list
    }

    /// Adds what one entry of a list says: an address, `0.0.0.0` or `unix`.
    pub fn add_text(&mut self, text: &str) -> Result<(), String> {
        if text == "unix" {
            self.unix = true;
            return Ok(());
        }
        match text.parse::<IpAddr>() {
            Ok(address) => {
                self.add(address);
                Ok(())
            }
            Err(_) => Err(format!(
                "{text:?} is no address; expected one such as \"127.0.0.1\" or \"::1\", \
                 \"unix\" for peers on a Unix socket, or \"0.0.0.0\" for anyone; \
                 networks and names are not known"
            )),
        }
    }

    fn add(&mut self, address: IpAddr) {
        let address = address.to_canonical();
        if address == IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED) {
            self.anyone = true;
        } else if !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
    }

    /// Whether the peer with this address is listed; a peer on a Unix socket has `None`.
    pub fn lists(&self, peer: Option<IpAddr>) -> bool {
        self.anyone
            || match peer {
                Some(address) => self.addresses.contains(&address.to_canonical()),
                None => self.unix,
            }
    }

    /// Whether everyone is listed.
    pub fn is_anyone(&self) -> bool {
        self.anyone
    }

    /// Whether nobody is listed.
    pub fn is_empty(&self) -> bool {
        !self.anyone && !self.unix && self.addresses.is_empty()
    }

    /// As a TOML list.
    pub fn to_toml(&self) -> String {
        let mut out = String::from("[");
        let words = [(self.anyone, "0.0.0.0"), (self.unix, "unix")];
        let words = words.into_iter().filter(|(is, _)| *is);
        let all = words
            .map(|(_, word)| word.to_owned())
            .chain(self.addresses.iter().map(ToString::to_string));
        for (place, entry) in all.enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(out, "{comma}\"{entry}\"");
        }
        out.push(']');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> PeerList {
        let mut list = PeerList::default();
        for entry in entries {
            list.add_text(entry).expect("an entry");
        }
        list
    }

    #[test]
    fn who_is_listed() {
        let cases: [(&[&str], Option<&str>, bool); 13] = [
            (&[], Some("127.0.0.1"), false),
            (&[], None, false),
            (&["127.0.0.1"], Some("127.0.0.1"), true),
            (&["127.0.0.1"], Some("127.0.0.2"), false),
            (&["127.0.0.1"], Some("::ffff:127.0.0.1"), true),
            (&["::ffff:10.0.0.1"], Some("10.0.0.1"), true),
            (&["127.0.0.1"], None, false),
            (&["unix"], None, true),
            (&["unix"], Some("127.0.0.1"), false),
            (&["0.0.0.0"], Some("2001:db8::1"), true),
            (&["0.0.0.0"], None, true),
            (&["2001:DB8:0::1"], Some("2001:db8::1"), true),
            (&["::"], Some("2001:db8::1"), false),
        ];
        for (entries, peer, expected) in cases {
            let peer = peer.map(|text| text.parse().expect("an address"));
            assert_eq!(list(entries).lists(peer), expected, "{entries:?} {peer:?}");
        }
    }

    #[test]
    fn networks_names_and_nothing_are_refused() {
        for entry in ["10.0.0.0/8", "localhost", "", " 127.0.0.1", "Unix", "1.2.3"] {
            assert!(PeerList::default().add_text(entry).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn is_written_as_it_is_read() {
        let written = list(&["10.0.0.1", "unix", "::1", "10.0.0.1"]).to_toml();
        assert_eq!(written, r#"["unix", "10.0.0.1", "::1"]"#);
        assert_eq!(list(&[]).to_toml(), "[]");
    }
}
