//! Channelstream and Pusher in one app, and apart: every row of `docs/bridge.md`, which names these
//! tests. Those in which Pushi is there, too, are in `three`.

mod rules;
mod shared;
mod stage;
mod three;
mod told;

#[test]
fn the_document_names_every_test() {
    let document = include_str!("../../docs/bridge.md");
    let tests = [
        include_str!("bridge/told.rs"),
        include_str!("bridge/shared.rs"),
        include_str!("bridge/rules.rs"),
        include_str!("bridge/three.rs"),
        include_str!("bridge/three/presence.rs"),
    ];
    for tests in tests {
        let names = tests.split("#[test]\nfn ").skip(1);
        let names: Vec<_> = names.filter_map(|rest| rest.split('(').next()).collect();
        assert!(!names.is_empty(), "it has tests");
        for name in names {
            assert!(document.contains(&format!("`{name}`")), "{name}");
        }
    }
}
