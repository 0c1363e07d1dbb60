//! The table of what Python's `configparser` makes of a file. The expectations were recorded from
//! Python 3.11; the cases marked lenient are those where this reader takes more.

use super::*;

/// What becomes of a file: an error in a line, or the keys of `[channelstream]` with their values;
/// a value that cannot be had is `None`.
type Outcome<'a> = Result<&'a [(&'a str, Option<&'a str>)], usize>;

fn check(text: &str, expected: Outcome<'_>) {
    match (Ini::read(text), expected) {
        (Err(errors), Err(line)) => assert_eq!(errors[0].line, line, "{text:?}: {errors:?}"),
        (Ok(ini), Ok(expected)) => {
            let keys = ini.keys("channelstream");
            let found: Vec<(&str, Option<String>)> = keys
                .into_iter()
                .map(|(key, _)| (key, ini.value("channelstream", key).and_then(Result::ok)))
                .collect();
            let found: Vec<_> = found.iter().map(|(k, v)| (*k, v.as_deref())).collect();
            assert_eq!(found, expected, "{text:?}");
        }
        (found, expected) => panic!("{text:?}: {found:?}, not {expected:?}"),
    }
}

#[test]
fn as_python_reads_it() {
    let cases: &[(&str, Outcome<'_>)] = &[
        // Keys, signs, white space.
        ("a = 1\n", Ok(&[("a", Some("1"))])),
        ("a=1", Ok(&[("a", Some("1"))])),
        ("a: 1", Ok(&[("a", Some("1"))])),
        ("a : b = c", Ok(&[("a", Some("b = c"))])),
        ("a = b : c", Ok(&[("a", Some("b : c"))])),
        ("Secret = X", Ok(&[("secret", Some("X"))])),
        ("two words = 1", Ok(&[("two words", Some("1"))])),
        ("a =", Ok(&[("a", Some(""))])),
        ("a =   \t ", Ok(&[("a", Some(""))])),
        ("a = \"1\"", Ok(&[("a", Some("\"1\""))])),
        ("\u{a0}a\u{a0}=\u{a0}1\u{1c}", Ok(&[("a", Some("1"))])),
        (
            "a = 1\r\nb = 2\rc = 3",
            Ok(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]),
        ),
        // Comments stand at the start of a line and nowhere else.
        ("# a = 1\n; b = 2\n  # c = 3", Ok(&[])),
        ("a = b;c # not", Ok(&[("a", Some("b;c # not"))])),
        ("a = #b", Ok(&[("a", Some("#b"))])),
        // A value goes on where lines are indented deeper.
        ("a = 1,\n  2", Ok(&[("a", Some("1,\n2"))])),
        ("a =\n  1\n  2", Ok(&[("a", Some("\n1\n2"))])),
        ("a = 1\n\n  2", Ok(&[("a", Some("1\n\n2"))])),
        ("a = 1\n\n", Ok(&[("a", Some("1"))])),
        ("a = 1\n# between\n  2", Ok(&[("a", Some("1\n2"))])),
        ("a = 1\n  # within\n  2", Ok(&[("a", Some("1\n2"))])),
        ("a = 1\n  b = 2", Ok(&[("a", Some("1\nb = 2"))])),
        ("a = 1\n  [b]", Ok(&[("a", Some("1\n[b]"))])),
        (
            "  a = 1\n  b = 2",
            Ok(&[("a", Some("1")), ("b", Some("2"))]),
        ),
        (
            "  a = 1\n b = 2\n  c = 3",
            Ok(&[("a", Some("1")), ("b", Some("2\nc = 3"))]),
        ),
        ("\ta = 1\n  b", Ok(&[("a", Some("1\nb"))])),
        // The sign of percent.
        ("a = 100%%", Ok(&[("a", Some("100%"))])),
        ("a = %%(b)s", Ok(&[("a", Some("%(b)s"))])),
        (
            "a = %(B)s!\nb = x",
            Ok(&[("a", Some("x!")), ("b", Some("x"))]),
        ),
        (
            "a = %(b)s\nb = %(c)s\nc = %%",
            Ok(&[("a", Some("%")), ("b", Some("%")), ("c", Some("%"))]),
        ),
        ("a = %(b)s", Ok(&[("a", None)])),
        ("a = %(a)s", Ok(&[("a", None)])),
        // Lenient: Python refuses these four.
        ("a = 5%", Ok(&[("a", Some("5%"))])),
        ("a = 5% x", Ok(&[("a", Some("5% x"))])),
        ("a = %(b", Ok(&[("a", Some("%(b"))])),
        ("a = %()s", Ok(&[("a", Some("%()s"))])),
        // Other sections; the defaults are lent to all.
        ("a = 1\n[other]\na = 2\nb = 3", Ok(&[("a", Some("1"))])),
        (
            "a = 1\n[DEFAULT]\na = 2\nb = 3",
            Ok(&[("a", Some("1")), ("b", Some("3"))]),
        ),
        (
            "[DEFAULT]\na = 2\n[DEFAULT]\nb = 3",
            Ok(&[("a", Some("2")), ("b", Some("3"))]),
        ),
        (
            "a = %(x)s\n[DEFAULT]\nx = y",
            Ok(&[("a", Some("y")), ("x", Some("y"))]),
        ),
        ("[Channelstream]\na = 1", Ok(&[])),
        // What is refused, and in which line; the section's header is line 1.
        ("a = 1\na = 2", Err(3)),
        ("a = 1\nA: 2", Err(3)),
        ("[DEFAULT]\na = 1\na = 2", Err(4)),
        ("[channelstream]", Err(2)),
        ("[other]\n[other]", Err(3)),
        ("word", Err(2)),
        ("= 1", Err(2)),
        ("[]", Err(2)),
        ("a = 1\nb", Err(3)),
        ("[open", Err(2)),
    ];
    for (text, expected) in cases {
        check(&format!("[channelstream]\n{text}"), *expected);
    }
}

#[test]
fn heads_of_files() {
    check("a = 1\n[channelstream]\n", Err(1));
    check("\n# x\n\n[channelstream]\na = 1", Ok(&[("a", Some("1"))]));
    check("[channelstream] # x ]\na = 1", Ok(&[]));
    check("[channelstream] tail\na = 1", Ok(&[("a", Some("1"))]));
    check("  [channelstream]\n  a = 1", Ok(&[("a", Some("1"))]));
    check("[ channelstream ]\na = 1", Ok(&[]));
    check("", Ok(&[]));
    check("  # nothing", Ok(&[]));
    // Lenient: Python takes the mark at the start for a word.
    check("\u{feff}[channelstream]\na = 1", Ok(&[("a", Some("1"))]));
}

#[test]
fn lines_are_counted() {
    let ini =
        Ini::read("# x\n\n[channelstream]\r\na = 1\n  2\nb = 3\n[DEFAULT]\nc = 4").expect("fine");
    assert_eq!(ini.section_line("channelstream"), Some(3));
    assert_eq!(ini.keys("channelstream"), [("a", 4), ("b", 6), ("c", 8)]);
    assert!(ini.has_section("channelstream") && !ini.has_section("DEFAULT"));
}

#[test]
fn all_bad_lines_are_reported() {
    let errors = Ini::read("[channelstream]\nx\na = 1\na = 2\ny").expect_err("bad");
    let lines: Vec<usize> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [2, 4, 5]);
}

#[test]
fn references_are_bounded_in_depth_number_and_length() {
    let file = |body: &str| Ini::read(&format!("[channelstream]\n{body}")).expect("a file");
    // Nine steps are followed and ten are not, as in Python.
    let chain = |steps: usize| {
        let mut body = String::new();
        for step in 0..steps {
            body += &format!("k{step} = %(k{})s\n", step + 1);
        }
        file(&format!("{body}k{steps} = %%end"))
    };
    assert_eq!(
        chain(9).value("channelstream", "k0"),
        Some(Ok("%end".to_owned()))
    );
    assert!(
        chain(10)
            .value("channelstream", "k0")
            .expect("there")
            .is_err()
    );
    // Ten to the ninth references, to nothing: time would grow, not length.
    let mut body = String::new();
    for step in 0..9 {
        body += &format!("k{step} = {}\n", format!("%(k{})s", step + 1).repeat(10));
    }
    let ini = file(&format!("{body}k9 ="));
    assert!(ini.value("channelstream", "k0").expect("there").is_err());
    // And length.
    let long = "x".repeat(40_000);
    let ini = file(&format!("a = {long}\nb = %(a)s\nc = %(a)s%(a)s"));
    assert!(ini.value("channelstream", "b").expect("there").is_ok());
    assert!(ini.value("channelstream", "c").expect("there").is_err());
    assert!(Ini::read(&"#\n".repeat(TEXT_BYTES_MAX)).is_err());
}

#[test]
fn anything_at_all_is_read_without_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let pieces = [
        "[",
        "]",
        "channelstream",
        "\n",
        " ",
        "=",
        ":",
        "%",
        "(",
        ")s",
        "a",
        "%(a)s",
        "#",
    ];
    for _ in 0..5_000 {
        let mut text = String::from("[channelstream]\n");
        for _ in 0..30 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text += pieces[(state % pieces.len() as u64) as usize];
        }
        fuzz_ini(text.as_bytes());
        fuzz_ini(&text.as_bytes()[1..]);
    }
    fuzz_ini(&[0xff, 0xfe, b'[', 0, b']']);
}
