//! Settings that are read again.

use super::apps::{self, OTHER, PLAIN};
use super::stage::{Stage, dialects};
use fanwire::dialect::pusher::config::Config;
use fanwire::engine::EngineConfig;

fn reload(stage: &mut Stage, config: Config) {
    let engine_config = EngineConfig {
        facts_kept: 1_000,
        ..EngineConfig::default()
    };
    stage
        .memory()
        .with(|engine, _| engine.reload(engine_config, dialects(config)));
    // In the turn after it.
    stage.sut().wait_ms(1);
}

fn is_let_go(stage: &mut Stage, config: Config, then: (u16, u16)) {
    let [a, b, signed] = [(); 3].map(|()| stage.open(PLAIN));
    let other = stage.open(OTHER);
    stage.join(&other, "news");
    stage.join(&a, "news");
    let one = r#"{"ids":["1"],"hash":{"1":null},"count":1}"#;
    stage.join_as(&b, "presence-a", r#"{"user_id":1}"#, one);
    stage.sign_in(&signed, r#"{"id":"u"}"#);
    stage.hears_signed_in(&signed, r#"{"id":"u"}"#);
    stage.facts();
    reload(stage, apps::config());
    stage.nothing_else();
    reload(stage, config);
    for sock in [&a, &b, &signed] {
        stage.hears_close(sock, 4003);
    }
    stage.nothing_else();
    let mut facts = stage.facts();
    facts.sort();
    assert_eq!(
        facts,
        [
            "removed 1 from presence-a",
            "vacated news",
            "vacated presence-a"
        ]
    );
    let path = format!("/app/{}?protocol=7", apps::key(PLAIN));
    let late = stage.dial(&path, &[]);
    stage.hears_close(&late, then.0);
    assert_eq!(stage.get(PLAIN, "/channels", &[]).0, then.1);
    // And back again.
    reload(stage, apps::config());
    stage.open(PLAIN);
    assert_eq!(stage.get(PLAIN, "/channels", &[]).1, r#"{"channels":{}}"#);
    stage.nothing_else();
}

pub(super) fn a_disabled_app_lets_go(stage: &mut Stage) {
    let mut config = apps::config();
    config.apps[0].enabled = false;
    is_let_go(stage, config, (4003, 403));
}

pub(super) fn a_removed_app_lets_go(stage: &mut Stage) {
    let mut config = apps::config();
    config.apps.remove(0);
    is_let_go(stage, config, (4001, 404));
}

/// Nobody accepts yet when this is said, so whoever hears it waits a moment.
pub(super) fn a_stop_says_to_come_back_later(stage: &mut Stage) {
    let socks = [(); 3].map(|()| stage.open(PLAIN));
    stage.join(&socks[0], "news");
    stage
        .memory()
        .with(|engine, turn| engine.drain(10_000, turn));
    for sock in &socks {
        stage.hears_close(sock, 4100);
    }
}
