//! Apps and their sessions.

use crate::world::{ODD_NAMES, World, new_app};
use fanwire::store::{Answer, AppFields, AppRow, EndedSession, Field, NewApp, Write};

fn update(app: AppRow, fields: AppFields, unix_s: u64) -> Write {
    Write::UpdateApp {
        app,
        fields: Box::new(fields),
        unix_s,
    }
}

pub(crate) fn are_made_and_changed(world: &mut World) {
    let app = world.app("one");
    assert_eq!(app, AppRow(1), "ids count up from one");
    let made = world.apps().remove(0);
    assert_eq!((&*made.ident, &*made.key), ("ident of one", "key of one"));
    assert_eq!((&*made.secret, made.protocols), ("secret of one", 1));
    assert_eq!((made.created_s, made.modified_s), (1_000, 1_000));
    assert!(!made.is_of_settings);
    let fields = &made.fields;
    assert_eq!(fields.name, Field::Is("one".into()));
    assert_eq!(fields.enabled, Field::Is(true));
    assert_eq!(fields.meta, Field::Is("{}".into()));
    assert_eq!(fields.apn_sandbox, Field::Is(false));
    assert_eq!(fields.description, Field::Absent);

    // One by one, so that none is taken for another.
    let text = |n: usize| Field::Is(Box::from(ODD_NAMES[n]));
    let changes = [
        AppFields {
            name: text(1),
            ..AppFields::default()
        },
        AppFields {
            enabled: Field::Is(false),
            ..AppFields::default()
        },
        AppFields {
            description: text(2),
            ..AppFields::default()
        },
        AppFields {
            meta: text(3),
            ..AppFields::default()
        },
        AppFields {
            apn_sandbox: Field::Is(true),
            ..AppFields::default()
        },
        AppFields {
            apn_key: text(4),
            ..AppFields::default()
        },
        AppFields {
            apn_cer: text(5),
            ..AppFields::default()
        },
        AppFields {
            vapid_key: text(6),
            ..AppFields::default()
        },
        AppFields {
            vapid_email: text(7),
            ..AppFields::default()
        },
        AppFields {
            smtp_url: text(8),
            ..AppFields::default()
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let answer = world.write(update(app, change, 2_000 + at as u64));
        assert!(matches!(answer, Answer::App(_)), "{answer:?}");
    }
    let expected = AppFields {
        name: text(1),
        enabled: Field::Is(false),
        description: text(2),
        meta: text(3),
        apn_sandbox: Field::Is(true),
        apn_key: text(4),
        apn_cer: text(5),
        vapid_key: text(6),
        vapid_email: text(7),
        smtp_url: text(8),
    };
    world.reopen();
    let changed = world.apps().remove(0);
    assert_eq!(changed.fields, expected);
    assert_eq!((changed.created_s, changed.modified_s), (1_000, 2_009));

    let null = AppFields {
        vapid_key: Field::Null,
        ..AppFields::default()
    };
    let answer = world.write(update(app, null, 3_000));
    let changed = world.apps().remove(0);
    assert_eq!(
        changed.fields.vapid_key,
        Field::Absent,
        "null and not set are one"
    );
    assert_eq!(changed.fields.vapid_email, text(7), "others stay");
    assert_eq!(answer, Answer::App(Box::new(changed)));
    let none = world.write(update(AppRow(77), AppFields::default(), 1));
    assert_eq!(none, Answer::Nothing);
}

pub(crate) fn are_made_with_what_is_said_of_them(world: &mut World) {
    let more = AppFields {
        enabled: Field::Is(false),
        description: Field::Is("d".into()),
        vapid_key: Field::Is("k".into()),
        smtp_url: Field::Null,
        ..AppFields::default()
    };
    let new = NewApp {
        more: more.clone(),
        ..new_app("said")
    };
    let Answer::App(made) = world.write(Write::CreateApp(Box::new(new))) else {
        panic!("it is new");
    };
    let fields = &made.fields;
    assert!(!made.is_enabled());
    assert_eq!(fields.description, more.description);
    assert_eq!(fields.vapid_key, more.vapid_key);
    assert_eq!(fields.smtp_url, Field::Absent);
    // What was not said is as with every new app.
    assert_eq!(fields.name, Field::Is("said".into()));
    assert_eq!(fields.meta, Field::Is("{}".into()));
    assert_eq!(fields.apn_sandbox, Field::Is(false));
    assert_eq!((made.created_s, made.modified_s), (1_000, 1_000));
}

pub(crate) fn have_names_of_their_own(world: &mut World) {
    let create = |new: NewApp| Write::CreateApp(Box::new(new));
    for name in ODD_NAMES {
        world.app(name);
    }
    for name in ODD_NAMES {
        let again = NewApp {
            ident: "new".into(),
            key: "new".into(),
            ..new_app(name)
        };
        assert_eq!(world.write(create(again)), Answer::Duplicate);
    }
    for taken in [
        NewApp {
            ident: "ident of 🦀".into(),
            ..new_app("new")
        },
        NewApp {
            key: "key of 🦀".into(),
            ..new_app("new")
        },
    ] {
        assert_eq!(world.write(create(taken)), Answer::Duplicate);
    }
    // A name that is taken keeps nothing else from being done.
    let answers = world.commit(&[
        create(new_app("fresh")),
        create(new_app("fresh")),
        create(new_app("fresher")),
    ]);
    assert!(matches!(answers[0], Answer::App(_)));
    assert_eq!(answers[1], Answer::Duplicate);
    assert!(matches!(answers[2], Answer::App(_)));
    let rows: Vec<u32> = world.apps().iter().map(|app| app.row.0).collect();
    let expected: Vec<u32> = (1..=ODD_NAMES.len() as u32 + 2).collect();
    assert_eq!(rows, expected, "what was refused takes no id");

    let name = |name: &str| AppFields {
        name: Field::Is(name.into()),
        ..AppFields::default()
    };
    let taken = world.write(update(AppRow(1), name("fresh"), 5));
    assert_eq!(taken, Answer::Duplicate);
    let same = world.write(update(AppRow(1), name(ODD_NAMES[0]), 5));
    assert!(matches!(same, Answer::App(_)), "its own name is no other's");
    assert_eq!(world.counts().apps, expected.len() as u64);
}

pub(crate) fn of_the_settings_are_adopted(world: &mut World) {
    let stored = world.app("stored");
    let adopt = |world: &mut World, idents: &[&str]| {
        world.store().adopt(idents, 7_000).expect("it can write")
    };
    let rows = adopt(world, &["a", "b", "ident of stored"]);
    assert_eq!(rows, [AppRow(2), AppRow(3), stored]);
    world.reopen();
    assert_eq!(
        adopt(world, &["c", "b", "a"]),
        [AppRow(4), AppRow(3), AppRow(2)]
    );
    let apps = world.apps();
    assert_eq!(apps.len(), 4);
    assert!(!apps[0].is_of_settings);
    let adopted = &apps[1];
    assert!(adopted.is_of_settings);
    assert_eq!((&*adopted.key, &*adopted.secret), ("", ""));
    assert_eq!(adopted.fields, AppFields::default());
    assert_eq!(
        world.counts().apps,
        1,
        "those of the settings are not stored here"
    );

    // What stands in no settings is stored here.
    let fields = AppFields {
        vapid_email: Field::Is("push@example.com".into()),
        ..AppFields::default()
    };
    let changed = world.write(update(AppRow(2), fields.clone(), 9_000));
    let Answer::App(changed) = changed else {
        panic!("{changed:?}");
    };
    assert!(changed.is_of_settings);
    assert_eq!((&changed.fields, changed.modified_s), (&fields, 9_000));
    world.reopen();
    assert_eq!(world.apps()[1], *changed);
    let named = AppFields {
        name: Field::Is(world.apps()[0].fields.name.value().expect("a name").clone()),
        ..AppFields::default()
    };
    let twin = world.write(update(AppRow(2), named, 9_001));
    assert_eq!(twin, Answer::Duplicate);
    let taken = NewApp {
        ident: "a".into(),
        ..new_app("new")
    };
    let taken = world.write(Write::CreateApp(Box::new(taken)));
    assert_eq!(taken, Answer::Duplicate);
    world.publish(AppRow(3), &["room"], "of b");
    assert_eq!(world.texts(AppRow(3), "room"), ["of b"]);
    assert_eq!(world.app("next"), AppRow(5));
    // While everything runs, after the settings were read again, it is a write like others.
    let adopt = |ident: &str| Write::AdoptApp {
        ident: ident.into(),
        unix_s: 8_000,
    };
    let answers = world.commit(&[adopt("late"), adopt("b"), adopt("ident of stored")]);
    let rows = answers.iter().map(|answer| match answer {
        Answer::App(app) => (app.row, app.is_of_settings),
        other => panic!("{other:?}"),
    });
    let expected = [(AppRow(6), true), (AppRow(3), true), (stored, false)];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
    assert_eq!(world.apps()[5].created_s, 8_000);
}

pub(crate) fn sessions_end(world: &mut World) {
    let (one, two) = (world.app("one"), world.app("two"));
    let end = |app, byte, until_unix_s| Write::EndSession {
        app,
        session: [byte; 32],
        until_unix_s,
    };
    world.commit(&[
        end(two, 1, 300),
        end(one, 9, 100),
        end(one, 2, 200),
        end(one, 2, 200),
    ]);
    let ended = |app, byte, until_unix_s| EndedSession {
        app,
        session: [byte; 32],
        until_unix_s,
    };
    let list = |world: &mut World, now| world.store().ended_sessions(now).expect("it can write");
    let all = [ended(one, 2, 200), ended(one, 9, 100), ended(two, 1, 300)];
    assert_eq!(list(world, 99), all);
    world.reopen();
    assert_eq!(
        list(world, 100),
        [all[0], all[2]],
        "what is past is dropped"
    );
    assert_eq!(list(world, 0), [all[0], all[2]], "for good");

    let before = |app, unix_s| Write::EndSessionsBefore {
        app,
        unix_s,
        until_unix_s: unix_s - 300,
    };
    world.commit(&[end(one, 3, 199), end(two, 3, 199)]);
    let answers = world.commit(&[before(one, 500), before(one, 400), before(AppRow(9), 301)]);
    assert_eq!(answers, [Answer::Done, Answer::Done, Answer::Nothing]);
    world.reopen();
    let from: Vec<u64> = world.apps().iter().map(|app| app.sessions_from_s).collect();
    assert_eq!(from, [500, 0], "what is over stays over");
    let left = [all[0], all[2], ended(two, 3, 199)];
    assert_eq!(
        list(world, 0),
        left,
        "what holds for all is not kept for each"
    );
}
