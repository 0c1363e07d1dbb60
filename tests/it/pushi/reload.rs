//! Settings that are read again, apps that change, and the end.

use super::stage::{MAIN, OTHER, Stage, config, keys};
use fanwire::dialect::pushi::config::Config;
use fanwire::engine::EngineConfig;
use serde_json::json;

fn reload(stage: &mut Stage, config: Config) {
    stage.memory().with(|kept, _| {
        let engine_config = EngineConfig {
            facts_kept: 1_000,
            stored_apps: super::stored_apps(&config),
            ..EngineConfig::default()
        };
        let dialects = super::dialects(config);
        kept.engine_mut().reload(engine_config, dialects);
    });
    // In the turn after it.
    stage.sut().wait_ms(1);
}

fn is_let_go(stage: &mut Stage, changed: Config, then: u16) {
    let (one, member, other) = (stage.open(MAIN), stage.open(MAIN), stage.open(OTHER));
    for sock in [&one, &other] {
        stage.join(sock, "room");
    }
    stage.join_as(&member, "presence-room", &json!({"user_id": "u"}));
    // What has not changed changes nothing.
    reload(stage, config());
    stage.nothing_else();
    stage.is_well(&one);
    reload(stage, changed);
    for sock in [&one, &member] {
        stage.hears_close(sock, 1008);
    }
    stage.is_well(&other);
    let path = format!("/{}", keys(MAIN).key);
    assert_eq!(stage.no_socket(&path, &[]).status, then);
    reload(stage, config());
    let again = stage.open(MAIN);
    stage.is_well(&again);
    // It is the app that it was, with what is stored of it.
    stage.keep(&again, "room", "d");
    stage.hears_error(&again, "room", 403);
    stage.join(&again, "room");
    stage.keep(&again, "room", "d");
    assert_eq!(stage.latest_data(&again, "room"), ["d"]);
    stage.nothing_else();
}

pub(crate) fn a_disabled_app_lets_go(stage: &mut Stage) {
    let mut changed = config();
    changed.apps[0].enabled = false;
    is_let_go(stage, changed, 403);
}

pub(crate) fn a_removed_app_lets_go(stage: &mut Stage) {
    let mut changed = config();
    changed.apps.remove(0);
    is_let_go(stage, changed, 404);
}

pub(crate) fn apps_of_the_store_stay(stage: &mut Stage) {
    let mut open = config();
    open.open_registration = true;
    reload(stage, open);
    let body = json!({"name": "made"});
    let (status, made) = stage.call("POST", "/apps", Some(&body));
    assert_eq!(status, 200, "{made}");
    let key = made["key"].as_str().expect("a text").to_owned();
    let sock = stage.open_at(MAIN, &format!("/{key}"), &[]);
    stage.join(&sock, "room");
    reload(stage, config());
    stage.nothing_else();
    stage.keep(&sock, "room", "d");
    assert_eq!(stage.latest_data(&sock, "room"), ["d"]);
    let late = stage.open_at(MAIN, &format!("/{key}"), &[]);
    stage.join(&late, "room");
    // The door has closed meanwhile.
    let (status, _) = stage.call("POST", "/apps", Some(&json!({"name": "another"})));
    assert_eq!(status, 403);
}

pub(crate) fn a_stop_closes_everybody(stage: &mut Stage) {
    let socks = [(); 3].map(|()| stage.open(MAIN));
    stage.join(&socks[0], "room");
    stage
        .memory()
        .with(|kept, turn| kept.engine_mut().drain(10_000, turn));
    for sock in &socks {
        stage.hears_close(sock, 1012);
    }
}
