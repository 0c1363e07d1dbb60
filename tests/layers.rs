//! Who may import whom, what only one place may do, and how often the code gives up.
//!
//! The sources are read as text: comments and strings are dropped, the rest becomes tokens, and
//! the tokens become paths. That is enough to see `use crate::hub::{..}`, `super::super::hub` and a
//! path in the middle of an expression alike, and needs no parser of the whole language. A broken
//! rule is printed with the rule, the file and the line, so that nobody has to remember it.

#![allow(clippy::print_stdout, reason = "the figure is worth reading in CI")]

use std::fmt;
use std::fs;
use std::path::Path;

/// Modules everything leans on. They import one another and nothing else of the crate.
const LEAVES: &[&str] = &[
    "limits",
    "table",
    "frame",
    "time",
    "outbox",
    "handler",
    "random",
    "peers",
    "loop_stats",
    "room",
    "store",
];

/// What a module may import beside itself and the leaves.
enum May {
    Import(&'static [&'static str]),
    ImportAnything,
}

/// The direction of dependencies, one row per module of the crate.
fn row(module: &str) -> Option<May> {
    Some(match module {
        leaf if LEAVES.contains(&leaf) => May::Import(&[]),
        // Three siblings, none of which knows another; and the options, which nobody below reads.
        "reactor" | "transport" | "hub" | "options" => May::Import(&[]),
        "dialect" => May::Import(&["transport", "hub"]),
        // Threads of their own: they know what is said to them, and nobody who says it.
        "side" => May::Import(&[]),
        "engine" => May::Import(&["dialect", "transport", "hub"]),
        "server" | "lib" | "main" | "cli" => May::ImportAnything,
        _ => return None,
    })
}

/// Something that only a few places may name.
struct Ban {
    rule: &'static str,
    /// Files and folders, from `src` on, where it is allowed.
    allowed: &'static [&'static str],
    /// Whether the tokens at this place of this path do what is banned.
    is_meant: fn(&[&str], Next) -> bool,
}

/// What stands right behind a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Bang,
    Other,
}

/// Whether this lets other threads have the core, which starts none.
fn yields(path: &[&str]) -> bool {
    path.last() == Some(&"yield_now")
}

const BANS: &[Ban] = &[
    Ban {
        rule: "mio is used only under reactor/",
        allowed: &["reactor/"],
        is_meant: |path, _| path[0] == "mio",
    },
    Ban {
        rule: "sockets are used only under reactor/ and side/, and to tell systemd",
        allowed: &["reactor/", "side/", "cli/notify.rs"],
        is_meant: |path, _| {
            let sockets = [
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "UnixStream",
                "UnixListener",
                "UnixDatagram",
                "ToSocketAddrs",
                "socket2",
            ];
            // The module as a whole would hide which of its names are meant.
            let is_whole = path.ends_with(&["net"]) || path.ends_with(&["net", "*"]);
            path.iter().any(|name| sockets.contains(name)) || (is_whole && path[0] == "std")
        },
    },
    Ban {
        rule: "threads start only under server/, cli/ and side/, and in main.rs",
        allowed: &["server/", "main.rs", "cli/", "side/"],
        is_meant: |path, _| {
            (path.starts_with(&["std", "thread"]) || path[0] == "thread") && !yields(path)
        },
    },
    Ban {
        rule: "only who waits for others, in reactor/ and side/, lets them have the core",
        allowed: &["reactor/", "side/"],
        is_meant: |path, _| yields(path),
    },
    Ban {
        rule: "only reactor/clock.rs and the command line ask what time it is",
        allowed: &["reactor/clock.rs", "cli/"],
        is_meant: |path, _| path.iter().any(|n| *n == "Instant" || *n == "SystemTime"),
    },
    Ban {
        rule: "no unsafe",
        allowed: &[],
        is_meant: |path, _| path[0] == "unsafe",
    },
    Ban {
        rule: "only main.rs and cli print",
        allowed: &["main.rs", "cli.rs", "cli/"],
        is_meant: |path, next| {
            let printing = ["print", "println", "eprint", "eprintln", "dbg"];
            next == Next::Bang && path.last().is_some_and(|name| printing.contains(name))
        },
    },
];

/// `unwrap`, `expect`, `panic!` and `unreachable!` per thousand lines outside tests, at most.
const GIVING_UP_PER_1000_MAX: usize = 2;

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    rule: String,
    file: String,
    line: usize,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}", self.file, self.line, self.rule)
    }
}

// ---- reading ---------------------------------------------------------------------------------

/// A word, `::`, or one character, and the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
    /// Inside an item that is compiled for tests only.
    in_test: bool,
    /// Inside how many `mod name { }` of this file.
    modules_deep: usize,
}

/// The tokens of a source without comments, strings, characters and lifetimes.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let start = i;
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            while i < chars.len() {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 {
                    break;
                }
            }
        } else if let Some(end) = string_end(&chars, i) {
            i = end;
        } else if c == '\'' {
            if at(i + 1) == '\\' {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            } else if at(i + 2) == '\'' {
                i += 3;
            } else {
                // A lifetime: its name would look like a path.
                i += 1;
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
            }
        } else if c.is_alphanumeric() || c == '_' {
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            push(&mut found, &chars[start..i], line);
        } else if c == ':' && at(i + 1) == ':' {
            i += 2;
            push(&mut found, &chars[start..i], line);
        } else {
            i += 1;
            if !c.is_whitespace() {
                push(&mut found, &chars[start..i], line);
            }
        }
        line += chars[start..i.min(chars.len())]
            .iter()
            .filter(|&&c| c == '\n')
            .count();
    }
    mark(&mut found);
    found
}

fn push(found: &mut Vec<Token>, text: &[char], line: usize) {
    found.push(Token {
        text: text.iter().collect(),
        line,
        in_test: false,
        modules_deep: 0,
    });
}

/// Where the string literal that begins at `i` ends, if one does.
fn string_end(chars: &[char], i: usize) -> Option<usize> {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_inside_word = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
    let mut j = i;
    if !is_inside_word && matches!(at(j), 'b' | 'c') {
        j += 1;
    }
    let is_raw = !is_inside_word && at(j) == 'r' && matches!(at(j + 1), '"' | '#');
    j += usize::from(is_raw);
    let mut hashes = 0;
    while is_raw && at(j) == '#' {
        (hashes, j) = (hashes + 1, j + 1);
    }
    if at(j) != '"' {
        return None;
    }
    j += 1;
    while j < chars.len() {
        match at(j) {
            '\\' if !is_raw => j += 2,
            '"' if (1..=hashes).all(|n| at(j + n) == '#') => return Some(j + 1 + hashes),
            _ => j += 1,
        }
    }
    Some(j)
}

fn texts(tokens: &[Token], from: usize, count: usize) -> Vec<&str> {
    let some = tokens.iter().skip(from).take(count);
    some.map(|token| token.text.as_str()).collect()
}

/// Where the item that begins at `from` ends: behind its `;` or its closing brace.
fn item_end(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Marks what is compiled for tests only, and how deep each token lies in modules of the file.
fn mark(tokens: &mut [Token]) {
    for at in 0..tokens.len() {
        let is_test = texts(tokens, at, 7) == ["#", "[", "cfg", "(", "test", ")", "]"];
        if is_test {
            let end = item_end(tokens, at + 7);
            tokens[at..end].iter_mut().for_each(|t| t.in_test = true);
        }
        let opens = texts(tokens, at, 3);
        if opens.len() == 3 && opens[0] == "mod" && opens[2] == "{" {
            let end = item_end(tokens, at);
            tokens[at..end].iter_mut().for_each(|t| t.modules_deep += 1);
        }
    }
}

/// A path such as `crate::hub::Hub`; a group of names gives one path for each.
#[derive(Debug)]
struct Found<'t> {
    path: Vec<&'t str>,
    next: Next,
    token: &'t Token,
}

fn is_word(token: &Token) -> bool {
    token.text == "*"
        || token
            .text
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn paths(tokens: &[Token]) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_word(&tokens[at]) && tokens[at].text != "*" {
            at = follow(tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Follows one path from `at`, whose beginning is `before`. Returns where it goes on.
fn follow<'t>(
    tokens: &'t [Token],
    mut at: usize,
    before: &[&'t str],
    found: &mut Vec<Found<'t>>,
) -> usize {
    let mut path = before.to_vec();
    let first = at;
    while let Some(token) = tokens.get(at) {
        if !is_word(token) {
            break;
        }
        path.push(&token.text);
        at += 1;
        if tokens.get(at).is_none_or(|next| next.text != "::") {
            break;
        }
        at += 1;
        if tokens.get(at).is_some_and(|next| next.text == "{") {
            at += 1;
            while tokens.get(at).is_some_and(|next| next.text != "}") {
                at = match is_word(&tokens[at]) {
                    true => follow(tokens, at, &path, found),
                    false => at + 1,
                };
            }
            return at + 1;
        }
    }
    let next = match tokens.get(at) {
        Some(token) if token.text == "!" => Next::Bang,
        _ => Next::Other,
    };
    found.push(Found {
        path,
        next,
        token: &tokens[first],
    });
    at
}

// ---- judging ---------------------------------------------------------------------------------

/// The module of the crate that a file belongs to, and how many modules deep the file lies.
fn place(file: &str) -> (&str, usize) {
    let stem = file.trim_end_matches(".rs");
    let stem = stem.trim_end_matches("/mod");
    let module = stem.split('/').next().unwrap_or(stem);
    match module {
        "lib" | "main" => (module, 0),
        _ => (module, stem.split('/').count()),
    }
}

/// The module of the crate that a path reaches, if it does.
fn reached<'p>(path: &[&'p str], depth: usize) -> Option<&'p str> {
    if path[0] == "crate" {
        return path.get(1).copied();
    }
    let skip = usize::from(path[0] == "self");
    let ups = path[skip..].iter().take_while(|n| **n == "super").count();
    let is_root = ups > 0 && ups == depth;
    is_root.then(|| path.get(skip + ups).copied()).flatten()
}

/// All rules that `source`, the text of `file` (from `src` on), breaks.
fn violations(file: &str, source: &str) -> Vec<Violation> {
    let tokens = tokens(source);
    let (module, depth) = place(file);
    let mut broken = Vec::new();
    let mut report = |rule: String, line| {
        let file = file.to_owned();
        broken.push(Violation { rule, file, line });
    };
    let Some(may) = row(module) else {
        report(format!("{module} has no row in the table of layers"), 1);
        return broken;
    };
    for found in paths(&tokens) {
        if let (May::Import(more), Some(target)) =
            (&may, reached(&found.path, depth + found.token.modules_deep))
        {
            let is_module = row(target).is_some();
            let is_allowed = target == module || LEAVES.contains(&target) || more.contains(&target);
            // Macros and names of the root are no modules; there are none, so neither is allowed.
            if !is_allowed {
                let what = if is_module { "" } else { " (no module)" };
                let more = if more.is_empty() {
                    "leaves only".to_owned()
                } else {
                    format!("{} and leaves", more.join(", "))
                };
                report(
                    format!("{module} may import {more}, not {target}{what}"),
                    found.token.line,
                );
            }
        }
        for ban in BANS {
            let is_allowed = ban.allowed.iter().any(|place| match place.ends_with('/') {
                true => file.starts_with(place),
                false => file == *place,
            });
            if !is_allowed && (ban.is_meant)(&found.path, found.next) {
                report(ban.rule.to_owned(), found.token.line);
            }
        }
    }
    broken
}

/// How often `source` gives up outside tests, and how many lines it has outside tests.
fn giving_up(source: &str) -> (Vec<usize>, usize) {
    let tokens = tokens(source);
    let mut lines = Vec::new();
    let mut test_lines = std::collections::BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.in_test {
            // With what lies between two tokens of a test: blank lines and comments.
            let before = at.checked_sub(1).map(|i| &tokens[i]);
            let start = before.filter(|before| before.in_test);
            test_lines.extend(start.map_or(token.line, |before| before.line)..=token.line);
            continue;
        }
        let before = at.checked_sub(1).map(|i| tokens[i].text.as_str());
        let after = tokens.get(at + 1).map(|token| token.text.as_str());
        let gives_up = match token.text.as_str() {
            "unwrap" | "expect" => before == Some(".") && after == Some("("),
            "panic" | "unreachable" | "todo" | "unimplemented" => after == Some("!"),
            _ => false,
        };
        if gives_up {
            lines.push(token.line);
        }
    }
    (lines, source.lines().count() - test_lines.len())
}

/// The files that `source` declares as modules for tests only.
fn test_modules(file: &str, source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let folder = match file.strip_suffix("mod.rs") {
        Some(folder) => folder.to_owned(),
        None if file == "lib.rs" || file == "main.rs" => String::new(),
        None => format!("{}/", file.trim_end_matches(".rs")),
    };
    let mut files = Vec::new();
    for at in 0..tokens.len() {
        let declares = texts(&tokens, at, 3);
        if tokens[at].in_test && declares.len() == 3 && declares[0] == "mod" && declares[2] == ";" {
            files.push(format!("{folder}{}.rs", declares[1]));
            files.push(format!("{folder}{}/", declares[1]));
        }
    }
    files
}

/// All sources: path from `src` on, and text.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, name: &str, into: &mut Vec<(String, String)>) {
        let mut entries: Vec<_> = fs::read_dir(folder)
            .expect("the sources are beside the tests")
            .map(|entry| entry.expect("a folder can be read").path())
            .collect();
        entries.sort();
        for path in entries {
            let last = path.file_name().expect("an entry has a name");
            let name = format!("{name}{}", last.to_string_lossy());
            if path.is_dir() {
                walk(&path, &format!("{name}/"), into);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("a source is text");
                into.push((name, text));
            }
        }
    }
    let mut all = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    walk(&root, "", &mut all);
    all
}

#[test]
fn the_layers_hold() {
    let sources = sources();
    assert!(sources.len() > 50, "the sources were found");
    let broken: Vec<Violation> = sources
        .iter()
        .flat_map(|(file, source)| violations(file, source))
        .collect();
    let lines: Vec<String> = broken.iter().map(Violation::to_string).collect();
    assert!(broken.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn the_code_seldom_gives_up() {
    let sources = sources();
    let tests: Vec<String> = sources
        .iter()
        .flat_map(|(file, source)| test_modules(file, source))
        .collect();
    let is_test = |file: &str| {
        tests.iter().any(|test| match test.ends_with('/') {
            true => file.starts_with(test.as_str()),
            false => file == test,
        })
    };
    let (mut places, mut lines) = (Vec::new(), 0);
    for (file, source) in sources.iter().filter(|(file, _)| !is_test(file)) {
        let (found, count) = giving_up(source);
        places.extend(found.iter().map(|line| format!("src/{file}:{line}")));
        lines += count;
    }
    println!("{} places in {lines} lines outside tests", places.len());
    assert!(lines > 5_000, "the sources were found");
    assert!(
        places.len() * 1000 <= GIVING_UP_PER_1000_MAX * lines,
        "unwrap, expect, panic!, unreachable!: {} in {lines} lines outside tests, more than \
         {GIVING_UP_PER_1000_MAX} per 1,000\n{}\n",
        places.len(),
        places.join("\n")
    );
}

#[test]
fn every_leaf_is_there() {
    let sources = sources();
    for leaf in LEAVES {
        let is_there = sources.iter().any(|(file, _)| place(file).0 == *leaf);
        assert!(
            is_there,
            "the table of layers names {leaf}, which is no more"
        );
    }
}

#[test]
fn planted_violations_are_found() {
    // A file, its text, and the lines and rules that are found broken.
    type Case = (&'static str, &'static str, &'static [(usize, &'static str)]);
    let cases: &[Case] = &[
        ("table.rs", "use crate::limits::A;", &[]),
        (
            "table.rs",
            "//! crate::hub\nuse crate::hub::Hub;",
            &[(2, "table may import leaves only, not hub")],
        ),
        (
            "hub/mod.rs",
            "use crate::{frame::Frame, transport::http::{Request, Response}};",
            &[
                (1, "hub may import leaves only, not transport"),
                (1, "hub may import leaves only, not transport"),
            ],
        ),
        (
            "hub/publish.rs",
            "fn a() { super::super::reactor::run() }\nuse super::super::super::x;",
            &[(1, "hub may import leaves only, not reactor")],
        ),
        (
            "hub/publish.rs",
            "mod inner {\n    use super::super::super::engine::Engine;\n}",
            &[(2, "hub may import leaves only, not engine")],
        ),
        (
            "outbox.rs",
            "use super::engine;",
            &[(1, "outbox may import leaves only, not engine")],
        ),
        (
            "transport/http/head.rs",
            "let x = crate::hub::AppId(0);",
            &[(1, "transport may import leaves only, not hub")],
        ),
        (
            "dialect/x/y.rs",
            "use crate::hub::A; use crate::transport::B;\nuse crate::engine::C;",
            &[(
                2,
                "dialect may import transport, hub and leaves, not engine",
            )],
        ),
        (
            "engine/x.rs",
            "use crate::dialect::A;\nuse crate::reactor::B;\nuse crate::options::C;",
            &[
                (
                    2,
                    "engine may import dialect, transport, hub and leaves, not reactor",
                ),
                (
                    3,
                    "engine may import dialect, transport, hub and leaves, not options",
                ),
            ],
        ),
        (
            "server.rs",
            "use crate::{engine::A, reactor::B, options};",
            &[],
        ),
        (
            "util.rs",
            "",
            &[(1, "util has no row in the table of layers")],
        ),
        (
            "engine/x.rs",
            "use mio::Poll;\n// mio::Poll\nlet s = \"mio::Poll\"; let c = '\"'; let m = mio::Token(1);",
            &[
                (1, "mio is used only under reactor/"),
                (3, "mio is used only under reactor/"),
            ],
        ),
        (
            "reactor/mod.rs",
            "use mio::{Poll, Token}; use socket2::Socket;",
            &[],
        ),
        (
            "handler.rs",
            "use std::net::SocketAddr;\nuse std::net::{IpAddr, TcpStream};\nuse std::net;",
            &[
                (
                    2,
                    "sockets are used only under reactor/ and side/, and to tell systemd",
                ),
                (
                    3,
                    "sockets are used only under reactor/ and side/, and to tell systemd",
                ),
            ],
        ),
        (
            "server/mod.rs",
            "use std::thread; use std::os::unix::net::UnixStream;",
            &[(
                1,
                "sockets are used only under reactor/ and side/, and to tell systemd",
            )],
        ),
        (
            "hub/mod.rs",
            "/* /* std::thread */ */ use std::{fmt, thread};\nfn a<'thread>() { std::thread::yield_now() }",
            &[
                (
                    1,
                    "threads start only under server/, cli/ and side/, and in main.rs",
                ),
                (
                    2,
                    "only who waits for others, in reactor/ and side/, lets them have the core",
                ),
            ],
        ),
        (
            "reactor/mod.rs",
            "std::thread::yield_now();\nstd::thread::spawn(f);",
            &[(
                2,
                "threads start only under server/, cli/ and side/, and in main.rs",
            )],
        ),
        (
            "reactor/mod.rs",
            "let s = r#\"\nInstant::now() \"quoted\" \n\"#;\nlet t = std::time::Instant::now();",
            &[(
                4,
                "only reactor/clock.rs and the command line ask what time it is",
            )],
        ),
        (
            "engine/x.rs",
            "fn a(t: SystemTime) { t.elapsed(); }",
            &[(
                1,
                "only reactor/clock.rs and the command line ask what time it is",
            )],
        ),
        (
            "reactor/clock.rs",
            "use std::time::{Instant, SystemTime};",
            &[],
        ),
        (
            "reactor/x.rs",
            "#[cfg(test)]\nmod tests {\n    fn a() { unsafe { b() } }\n}",
            &[(3, "no unsafe")],
        ),
        (
            "server.rs",
            "// println!(1)\nfn a() { println!(\"eprintln!()\"); }\nfn b(print: u8) { std::eprint!(); }",
            &[
                (2, "only main.rs and cli print"),
                (3, "only main.rs and cli print"),
            ],
        ),
        ("main.rs", "use fanwire::server; println!();", &[]),
        ("cli/check.rs", "use crate::x; eprintln!();", &[]),
    ];
    for (file, source, expected) in cases {
        let found = violations(file, source);
        let found: Vec<(usize, &str)> = found.iter().map(|v| (v.line, v.rule.as_str())).collect();
        assert_eq!(&found, expected, "{file}: {source}");
    }
    let shown = violations("table.rs", "\nuse crate::hub::Hub;")[0].to_string();
    assert_eq!(
        shown,
        "src/table.rs:2: table may import leaves only, not hub"
    );
}

#[test]
fn giving_up_is_counted_outside_tests() {
    let source = "fn a() {\n    b().unwrap();\n    c.expect(\"d\");\n    panic!();\n}\n\
                  // e.unwrap()\nfn expect() { f.unwrap_or(1); \"panic!()\"; g.is_panic() }\n\n\
                  #[cfg(test)]\nmod tests {\n    fn h() {\n        i.unwrap();\n    }\n}\n";
    assert_eq!(giving_up(source), (vec![2, 3, 4], 8));
    let declared = "#[cfg(test)]\nmod oracle;\nmod real;\n#[cfg(test)]\nmod tests;\n";
    let files = ["a/oracle.rs", "a/oracle/", "a/tests.rs", "a/tests/"];
    assert_eq!(test_modules("a/mod.rs", declared), files);
    assert_eq!(test_modules("a.rs", declared), files);
}
