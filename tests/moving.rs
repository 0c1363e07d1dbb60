//! Moving an installation: exports of Pushi's database go into the store with the built binary, and
//! are read back through the store. And what else the binary does to a database file.
//!
//! The files in `tests/data/pushi/export` have the shape of what Pushi stores, as `mongoexport`
//! writes it: numbers plain and wrapped, lines in another order than that of their numbers.
#![cfg(all(feature = "server", feature = "store"))]

#[path = "it/command.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod command;

use command::{Folder, fanwire, fanwire_with, fine, refused};
use fanwire::side::store::import::read;
use fanwire::side::store::sqlite::Importer;
use fanwire::side::store::{Durability, OpenError, Reading, Sqlite, Storage};
use fanwire::store::{
    Answer, AppFields, AppRecord, AppRow, BY_PUSHER, BY_PUSHI, Field, NewRecord, Question, Record,
    RecordKind, StoredEvent,
};
use std::fs;
use std::path::{Path, PathBuf};

/// The socket that published some of the events.
const SOCKET: u128 = 0x1917_4e6b_8ad0_4230_bd18_1358_12f6_fa12;

/// The files of the export, but not in the order in which they depend on one another.
fn exported() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pushi/export");
    let names = "smtp association webpush subscription apn pushievent web app";
    let path = |name| folder.join(format!("{name}.json"));
    let paths = names.split(' ').map(path);
    paths
        .map(|path| path.to_str().expect("UTF-8").to_owned())
        .collect()
}

fn import(store: &str, files: &[String]) -> command::Said {
    let mut args = vec!["import", "pushi", "--path", store];
    args.extend(files.iter().map(String::as_str));
    fanwire(&args)
}

/// A store under the hands of whoever reads it back.
struct Kept(Sqlite);

impl Kept {
    #[track_caller]
    fn open(path: &str) -> Self {
        let store = Sqlite::open(Path::new(path), Durability::Synced);
        Self(store.expect("a sound database"))
    }

    fn apps(&mut self) -> Vec<AppRecord> {
        self.0.apps().expect("readable")
    }

    fn row(&mut self, name: &str) -> AppRow {
        let is_it = |app: &&AppRecord| app.fields.name.value().is_some_and(|of| &**of == name);
        self.apps().iter().find(is_it).expect(name).row
    }

    fn ask(&mut self, question: &Question) -> Answer {
        self.0.answer(question, u64::MAX >> 1).expect("readable")
    }

    fn latest(&mut self, app: AppRow, channel: Option<&str>) -> Vec<StoredEvent> {
        let question = Question::Latest {
            app,
            channel: channel.map(Into::into),
            skip: 0,
            count: 10,
        };
        match self.ask(&question) {
            Answer::Events(events) => events,
            other => panic!("{other:?}"),
        }
    }

    fn personal(&mut self, app: AppRow, user: &str) -> (Vec<Box<str>>, Vec<StoredEvent>) {
        let question = Question::Personal {
            app,
            user: user.into(),
            skip: 0,
            count: 10,
        };
        match self.ask(&question) {
            Answer::Personal { aliases, events } => (aliases, events),
            other => panic!("{other:?}"),
        }
    }

    fn records(&mut self, app: AppRow, kind: RecordKind) -> Vec<Record> {
        let question = Question::Records {
            app,
            kind,
            target: None,
            channel: None,
        };
        match self.ask(&question) {
            Answer::Records(records) => records,
            other => panic!("{other:?}"),
        }
    }

    /// All there is, to be compared.
    fn all(&mut self) -> String {
        let apps = self.apps();
        let mut all = format!("{apps:#?}");
        for app in apps {
            all += &format!("{:#?}", self.latest(app.row, None));
            for user in ["u1", "u2", "u/3 & co"] {
                all += &format!("{:#?}", self.personal(app.row, user));
            }
            for kind in RecordKind::ALL {
                all += &format!("{:#?}", self.records(app.row, kind));
            }
        }
        all
    }
}

fn mids(events: &[StoredEvent]) -> Vec<String> {
    let first = |event: &StoredEvent| format!("{:032x}", event.mid)[..8].to_owned();
    events.iter().map(first).collect()
}

#[test]
fn an_installation_moves_whole_and_only_once() {
    let folder = Folder::new("moves");
    let path = folder.0.join("moved.db");
    let path = path.to_str().expect("UTF-8");
    let said = import(path, &exported());
    fine(
        &said,
        &[
            "app                   2 added         0 there already\n",
            "pushievent            6 added         0 there already\n",
            "association           4 added         0 there already\n",
            "subscription          5 added         0 there already\n",
            "web                   2 added",
            "apn                   1 added",
            "webpush               1 added",
            "smtp                  1 added",
            "all of it is in",
        ],
    );
    assert_eq!(said.err, "");

    let mut kept = Kept::open(path);
    let apps = kept.apps();
    let (shop, chat) = (kept.row("shop"), kept.row("chat"));
    assert_eq!((shop, chat), (AppRow(1), AppRow(2)));
    let hash = |of: &str| apps[0].ident.starts_with(of);
    assert!(hash("edf0ec15d623") && apps[0].key.starts_with("e81e2ca1a1cc"));
    assert!(apps[0].secret.starts_with("01c2a5ea2489"));
    assert_eq!(
        (apps[0].created_s, apps[0].modified_s),
        (1_695_300_421, 1_695_300_431)
    );
    assert_eq!(
        (apps[0].protocols, apps[0].is_of_settings),
        (BY_PUSHI, false)
    );
    let vapid = "-----BEGIN EC PRIVATE KEY-----\nnot a real one\n-----END EC PRIVATE KEY-----\n";
    let fields = AppFields {
        name: Field::Is("shop".into()),
        enabled: Field::Is(true),
        description: Field::Is("The shop".into()),
        meta: Field::Is("{\"plan\":3}".into()),
        apn_sandbox: Field::Is(false),
        vapid_key: Field::Is(vapid.into()),
        vapid_email: Field::Is("push@example.com".into()),
        ..AppFields::default()
    };
    assert_eq!(apps[0].fields, fields);
    assert_eq!(apps[1].fields.apn_sandbox, Field::Is(true));

    // Newest first by their numbers, though the file has them in another order.
    let news = kept.latest(shop, Some("news"));
    assert_eq!(mids(&news), ["6b0d549b", "d23f0824", "6513270e"]);
    let expected = StoredEvent {
        id: 5,
        mid: 0x6b0d_549b_6f03_475a_9600_a35a_0999_50d8,
        channel: "news".into(),
        owner: None,
        micros: 1_695_300_672_000_000,
        name: "price".into(),
        data: "{\"eur\": 5}".into(),
        extra: "\"extra\":{\"list\":[1,9007199254740993]},\"subject\":\"New\"".into(),
    };
    assert_eq!(news[0], expected);
    assert_eq!(
        (news[1].micros, news[1].owner),
        (1_695_300_668_631_075, Some(SOCKET))
    );
    assert_eq!(&*news[2].extra, "\"persist\":true");
    let peer = kept.latest(shop, Some("peer-chat:ann&bob"));
    assert_eq!(
        (&*peer[0].data, peer[0].micros),
        ("private é世 \"quoted\"", 1_695_300_671_000_001)
    );
    assert_eq!(&*kept.latest(shop, Some("offers"))[0].data, "");
    assert_eq!(mids(&kept.latest(chat, None)), ["9531985d"]);
    assert_eq!(kept.latest(shop, Some("room")), []);

    // Aliases in the order of the records, and what waits.
    let (aliases, events) = kept.personal(shop, "u1");
    assert_eq!(aliases, ["offers".into(), "news".into()]);
    assert_eq!(mids(&events), ["8d116ece", "6b0d549b", "d23f0824"]);
    let (aliases, events) = kept.personal(shop, "u2");
    assert_eq!(
        (aliases, mids(&events)),
        (vec!["news".into()], vec!["d23f0824".to_owned()])
    );
    assert_eq!(kept.personal(chat, "u1").1, []);
    assert_eq!(
        kept.personal(shop, "u/3 & co").0,
        ["peer-chat:ann&bob".into()]
    );

    let browser = kept.records(shop, RecordKind::WebPush);
    let record = NewRecord {
        kind: RecordKind::WebPush,
        target: "https://push.example.com/send/abc".into(),
        channel: "news".into(),
        keys: Some(("BOr0".into(), "c2VjcmV0".into())),
    };
    let expected = Record {
        id: 1,
        record,
        created_s: 1_695_300_530,
        modified_s: 1_695_300_530,
    };
    assert_eq!(browser, [expected]);
    let targets = |records: Vec<Record>| -> Vec<(u64, Box<str>, Box<str>)> {
        let of = records.into_iter();
        of.map(|of| (of.id, of.record.target, of.record.channel))
            .collect()
    };
    let hook: Box<str> = "https://hooks.example.com/in?x=1".into();
    assert_eq!(
        targets(kept.records(shop, RecordKind::Web)),
        [(1, hook.clone(), "news".into()), (2, hook, "offers".into())]
    );
    assert_eq!(
        targets(kept.records(shop, RecordKind::Apn)),
        [(1, "aabbcc".into(), "personal-u1".into())]
    );
    assert_eq!(
        targets(kept.records(chat, RecordKind::Smtp)),
        [(1, "ann@example.com".into(), "room".into())]
    );
    assert_eq!(kept.0.check().expect("readable"), Vec::<String>::new());
    let before = kept.all();
    drop(kept);

    // Once more, in the order of their names: nothing is there twice.
    let mut files = exported();
    files.sort();
    let said = import(path, &files);
    fine(
        &said,
        &["pushievent            0 added         6 there already"],
    );
    let added = said
        .out
        .lines()
        .filter(|line| line.contains(" added") && !line.contains(" 0 added"));
    assert_eq!(added.count(), 0, "{}", said.out);
    let mut kept = Kept::open(path);
    assert_eq!(kept.all(), before);
    assert_eq!(kept.0.check().expect("readable"), Vec::<String>::new());
}

#[test]
fn a_file_of_any_name_tells_by_its_documents() {
    let folder = Folder::new("shapes");
    let (one, all) = (folder.0.join("one.db"), folder.0.join("all.db"));
    let texts = exported()
        .into_iter()
        .map(|file| fs::read_to_string(file).expect("there"));
    // With what other tools put around lines.
    let text: String = texts.map(|text| text.replace('\n', "\r\n\r\n")).collect();
    let file = folder.file("everything", &format!("\u{feff}{}", text.trim_end()));
    let as_text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    fine(&import(&as_text(&all), &[file]), &["all of it"]);
    fine(&import(&as_text(&one), &exported()), &["all of it"]);
    assert_eq!(
        Kept::open(&as_text(&all)).all(),
        Kept::open(&as_text(&one)).all()
    );
}

#[test]
fn what_makes_no_sense_is_named_and_the_rest_goes_in() {
    let folder = Folder::new("odd");
    let path = folder.0.join("odd.db");
    let path = path.to_str().expect("UTF-8");
    let app = |name: &str, key: &str| {
        format!(r#"{{"ident":"id-{name}","key":"{key}","secret":"s","name":"{name}","id":1}}"#)
    };
    let key = "0123456789abcdef".repeat(4);
    let apps = format!(
        "{}\nnonsense\n{}\n{}\n{}\n",
        app("one", &key),
        app("two", &key),
        app("three", "short"),
        r#"{"ident":"x"}"#
    );
    let mid = "19174e6b-8ad0-4230-bd18-135812f6fa12";
    let record = |fields: &str| format!("{{{fields},\"instance\":\"id-one\",\"id\":5}}\n");
    let hook = record(r#""url":"http://h/","event":"news""#);
    let files = [
        folder.file("app.json", &apps),
        folder.file(
            "web.json",
            &format!("{hook}{hook}{}", hook.replace("id-one", "id-none")),
        ),
        folder.file(
            "association.json",
            &record(&format!("\"user_id\":\"u\",\"mid\":\"{mid}\"")),
        ),
        folder.file("list.json", "[{},{}]\n"),
        folder.file(
            "pushievent.json",
            &record("\"mid\":\"19174e6b8ad04230bd18135812f6fa13\",\"channel\":\"c\",\"data\":{},\"timestamp\":4e9"),
        ),
    ];
    let said = import(path, &files);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    for (file, line, piece) in [
        (0, 2, "no document in JSON"),
        (0, 3, "key: \"0123456789abcdef"),
        (0, 4, "warning: key: \"short\""),
        (0, 5, "key: missing"),
        (1, 3, "instance: there is no app \"id-none\""),
        (2, 1, "mid: the app has no such event"),
        (
            3,
            1,
            "a list; export one document a line, without --jsonArray",
        ),
        (
            4,
            1,
            "timestamp: 4000000000 is more than a day ahead of now",
        ),
    ] {
        let expected = format!("fanwire: {}:{line}: {piece}", files[file].as_str());
        assert!(said.err.contains(&expected), "{expected} in {}", said.err);
    }
    for piece in [
        "app                   2 added         0 there already         1 left out",
        "web                   1 added         1 there already         1 left out",
        "7 lines are not in",
    ] {
        assert!(said.out.contains(piece), "{piece} in {}", said.out);
    }
    let mut kept = Kept::open(path);
    // The number of the first was taken.
    assert_eq!((kept.row("one"), kept.row("three")), (AppRow(1), AppRow(2)));
    let hooks = kept.records(AppRow(1), RecordKind::Web);
    assert_eq!(hooks.len(), 1);
    assert_eq!(hooks[0].id, 5);
    drop(kept);

    // Many are counted.
    let many = folder.file("smtp.json", &"{}\n".repeat(50));
    let said = import(path, std::slice::from_ref(&many));
    assert_eq!(said.err.lines().count(), 21, "{}", said.err);
    assert!(
        said.err.contains(&format!("{many}: and 30 more lines")),
        "{}",
        said.err
    );
    // What cannot be read stops it.
    let said = import(path, &["/no/such/file".to_owned()]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("/no/such/file"), "{}", said.err);
    refused(
        &fanwire(&["import", "pushi", "--path", path]),
        &["expected files"],
    );
}

#[test]
fn a_line_that_is_cut_or_altered_anywhere_is_no_panic() {
    for file in exported() {
        let text = fs::read_to_string(file).expect("there");
        for line in text.lines() {
            assert!(read(line, None).is_ok(), "{line}");
            for (at, c) in line.char_indices() {
                assert!(read(&line[..at], None).is_err(), "{}", &line[..at]);
                // Some of these make another good line.
                for other in ["", "{", "\"", "9", "-", "null"] {
                    let end = at + c.len_utf8();
                    let _ = read(&format!("{}{other}{}", &line[..at], &line[end..]), None);
                }
            }
        }
    }
}

#[test]
fn more_than_one_commit_keeps_the_order_of_numbers() {
    let folder = Folder::new("many");
    let path = folder.0.join("many.db");
    let path = path.to_str().expect("UTF-8");
    let key = "0123456789abcdef".repeat(4);
    let app = format!(r#"{{"ident":"a","key":"{key}","secret":"s","name":"a","id":1}}"#);
    // Backwards, and every third has no number of its own that could be kept.
    let event = |number: u32| {
        format!(
            "{{\"id\":{number},\"mid\":\"{number:032x}\",\"channel\":\"c\",\"timestamp\":{number},\
             \"instance\":\"a\",\"data\":{{\"data\":\"{number}\"}}}}\n"
        )
    };
    let events: String = (1..=2_500).rev().map(event).collect();
    let files = [
        folder.file("app.json", &app),
        folder.file("pushievent.json", &events),
    ];
    let said = import(path, &files);
    fine(&said, &["pushievent         2500 added"]);
    let hint = format!("made {path}; restart a server that did without it\n");
    assert!(said.out.ends_with(&hint), "{}", said.out);
    // A second export with more of them comes behind what is there.
    let events: String = (2_400..=2_600).map(event).collect();
    let files = [folder.file("pushievent.json", &events)];
    let said = import(path, &files);
    fine(&said, &["100 added       101 there already"]);
    assert!(!said.out.contains("made "), "{}", said.out);
    let mut kept = Kept::open(path);
    let newest = kept.latest(AppRow(1), Some("c"));
    let data: Vec<&str> = newest.iter().map(|event| &*event.data).collect();
    assert_eq!(data[..3], ["2600", "2599", "2598"]);
    assert_eq!(newest[0].id, 2_600);
    assert_eq!(kept.0.check().expect("readable"), Vec::<String>::new());
}

#[test]
fn one_import_at_a_time() {
    let folder = Folder::new("two");
    let path = folder.0.join("two.db");
    let name = path.to_str().expect("UTF-8");
    let mut first = Importer::open(&path).expect("it is made");
    // It knows of no event yet, as one that has only begun.
    assert!(matches!(first.put(&[]).as_deref(), Ok([])));
    let said = import(name, &exported());
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    for piece in ["another import", name, "nothing of this one is stored"] {
        assert!(said.err.contains(piece), "{piece:?} in {:?}", said.err);
    }
    let mut kept = Kept::open(name);
    assert_eq!((kept.apps(), kept.0.last_event()), (Vec::new(), Ok(0)));
    let other = Importer::open(&path).expect_err("the first one is under way");
    assert!(matches!(other, OpenError::Importing(_)) && !other.is_of_the_file());
    first.close().expect("it can write");
    fine(&import(name, &exported()), &["all of it is in"]);
}

#[test]
fn apps_are_made_listed_and_given_other_secrets_beside_a_server() {
    let folder = Folder::new("apps");
    let config = folder.file(
        "fanwire.toml",
        &format!("[store]\npath = {:?}\n", folder.0.join("apps.db")),
    );
    let path = folder.0.join("apps.db");
    let path = path.to_str().expect("UTF-8");
    let with = |args: &[&str]| fanwire(&[args, &["--config", &config]].concat());
    let said = with(&["app", "list"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.err.contains(path), "{}", said.err);

    let said = with(&["app", "add", "shop"]);
    fine(
        &said,
        &[
            &format!("made {path}"),
            "name       shop\nprotocols  pushi\n",
        ],
    );
    let value = |name: &str, out: &str| {
        let line = out.lines().find_map(|line| line.strip_prefix(name));
        line.expect(name).trim().to_owned()
    };
    let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let credentials = ["id", "key", "secret"].map(|name| value(name, &said.out));
    assert!(
        credentials.iter().all(|text| is_hex(text)),
        "{credentials:?}"
    );
    assert_ne!(credentials[1], credentials[2]);

    // From here on a server has the file.
    let mut server = Kept::open(path);
    let found = &server.apps()[0];
    let stored = [&found.ident, &found.key, &found.secret].map(|text| text.to_string());
    assert_eq!(stored, credentials);
    assert!(!server.0.was_changed_by_others().expect("readable"));
    let said = with(&[
        "app",
        "add",
        "second app",
        "--protocols",
        "pushi,pusher",
        "--id",
        "7",
    ]);
    fine(&said, &["protocols  pushi,pusher\nid         7\n"]);
    assert!(!said.out.contains("made "), "{}", said.out);
    assert!(server.0.was_changed_by_others().expect("readable"));
    assert_eq!(server.apps()[1].protocols, BY_PUSHI | BY_PUSHER);
    let third = with(&["app", "add", "third", "--protocols", "pusher"]);
    let id = value("id", &third.out);
    assert!(
        id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()),
        "{id}"
    );

    let said = with(&["app", "list"]);
    fine(
        &said,
        &[
            "ID ",
            &credentials[0],
            &credentials[1],
            "pushi,pusher  second app\n",
        ],
    );
    assert_eq!(said.out.lines().count(), 4);
    assert!(!said.out.contains(&credentials[2]), "no secret is shown");
    assert_eq!(said.out.matches("  on     ").count(), 3, "{}", said.out);
    let off = AppFields {
        enabled: Field::Is(false),
        ..AppFields::default()
    };
    let off = fanwire::store::Write::UpdateApp {
        app: server.apps()[2].row,
        fields: Box::new(off),
        unix_s: 1,
    };
    server.0.commit(&[&off]).expect("room");
    let said = with(&["app", "list"]);
    fine(&said, &["  off    pusher        third\n"]);

    let said = with(&["app", "rotate", "7"]);
    fine(&said, &["secret "]);
    let secret = value("secret", &said.out);
    assert_eq!(&*server.apps()[1].secret, secret);
    assert!(server.0.was_changed_by_others().expect("readable"));
    drop(server);

    for (args, code, piece) in [
        (&["app", "add", "shop"][..], 1, "another app's"),
        (&["app", "add", "other", "--id", "7"], 1, "another app's"),
        (&["app", "add", "other", "--id", "a b"], 2, "--id: \"a b\""),
        (&["app", "add", " "], 2, "the name is empty"),
        (
            &["app", "rotate", "9"],
            1,
            "no app in the store has the id \"9\"",
        ),
    ] {
        let said = with(args);
        assert_eq!(said.code, Some(code), "{args:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(piece), "{args:?}: {}", said.err);
    }
    refused(
        &fanwire_with(&[("FANWIRE_STORE__PATH", "")], &["app", "list"]),
        &["store.path is empty"],
    );
    refused(
        &fanwire(&["app", "list", "--set", "store.pth=x"]),
        &["did you mean store.path?"],
    );
}

#[test]
fn a_file_is_checked_copied_and_made_small() {
    let folder = Folder::new("tend");
    let at = |name: &str| folder.0.join(name).to_str().expect("UTF-8").to_owned();
    let (path, copy) = (at("a.db"), at("copy.db"));
    fine(&import(&path, &exported()), &[]);
    let server = Kept::open(&path);
    fine(
        &fanwire(&["store", "check", "--path", &path]),
        &["is sound"],
    );
    fine(
        &fanwire(&["store", "backup", &copy, "--path", &path]),
        &["copied "],
    );
    let said = fanwire(&["store", "compact", "--path", &path]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(
        said.err.contains("in use by another fanwire"),
        "{}",
        said.err
    );
    drop(server);
    assert_eq!(Kept::open(&copy).all(), Kept::open(&path).all());
    fine(
        &fanwire(&["store", "compact", "--path", &path]),
        &["bytes before"],
    );
    let said = fanwire(&["store", "backup", &copy, "--path", &path]);
    assert_eq!(said.code, Some(1), "what is there is not written over");

    let foreign: PathBuf = folder.file("foreign.db", "no database at all").into();
    let (empty, none) = (folder.file("empty.db", ""), at("none.db"));
    for command in [
        &["store", "check"][..],
        &["store", "backup", &none],
        &["store", "compact"],
        &["app", "list"],
        &["app", "rotate", "1"],
    ] {
        let said = fanwire(&[command, &["--path", &empty]].concat());
        assert_eq!(said.code, Some(4), "{command:?}: {}{}", said.out, said.err);
        assert!(said.err.contains("is empty"), "{}", said.err);
        assert_eq!(fs::read(&empty).expect("it stays"), b"");
    }
    assert!(fs::metadata(&none).is_err());
    for (path, code, piece) in [
        (
            foreign.to_str().expect("UTF-8"),
            4,
            "is not a database of fanwire",
        ),
        (&at("nowhere.db"), 1, "nowhere.db"),
    ] {
        for command in ["check", "compact"] {
            let said = fanwire(&["store", command, "--path", path]);
            assert_eq!(said.code, Some(code), "{command} {path}: {}", said.err);
            assert!(said.err.contains(piece), "{}", said.err);
        }
    }
    assert!(fs::metadata(at("nowhere.db")).is_err(), "none is made");
    // Something in the middle of it is not what it was.
    let mut bytes = fs::read(&copy).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xa5);
    fs::write(&copy, bytes).expect("written");
    let said = fanwire(&["store", "check", "--path", &copy]);
    assert_eq!(said.code, Some(4), "{}{}", said.out, said.err);
    assert!(said.err.contains("restore a backup"), "{}", said.err);
}
