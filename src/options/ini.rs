//! Settings files as Python's `configparser` reads them, which is what Channelstream's are.
//!
//! The dialect differs from other INI files where it matters most, in secrets: a `;` or `#` inside
//! a value belongs to it, and a value goes on in the lines that are indented deeper. The rules here
//! are those of `ConfigParser()` with default arguments in strict mode, but for one: a `%` that
//! begins nothing stands for itself, where Python refuses the value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Larger files are no settings.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// References within references, as in Python.
const REFERENCE_DEPTH_MAX: usize = 10;
/// References followed for one value; a few lines could otherwise ask for billions.
const REFERENCES_MAX: usize = 1000;
/// Length of a value whose references were replaced.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// The section whose keys appear in all others.
const DEFAULT_SECTION: &str = "DEFAULT";

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IniError {
    /// Counted from one; 0 if it concerns no line.
    pub line: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

impl IniError {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for IniError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// A file that was read.
#[derive(Debug, Default)]
pub struct Ini {
    sections: BTreeMap<String, Section>,
}

#[derive(Debug, Default)]
struct Section {
    line: usize,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    line: usize,
    /// As written, the lines joined; references and `%%` still in it.
    raw: String,
}

/// White space as Python's `str` sees it: Unicode's, and four control characters.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// The lines of a text, ended by LF, CR LF or CR.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        rest = tail
            .strip_prefix("\r\n")
            .or_else(|| tail.strip_prefix(['\r', '\n']))
            .unwrap_or(tail);
        Some(line)
    })
}

/// The name in `[name]`: everything up to the last bracket, and what stands behind is ignored.
fn section_name(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let name = inner.get(..inner.rfind(']')?)?;
    (!name.is_empty()).then_some(name)
}

/// Name and value of `name = value` or `name: value`, whichever sign comes first.
fn option(text: &str) -> Option<(String, &str)> {
    let (name, value) = text.split_once(['=', ':'])?;
    let name = strip(name).to_lowercase();
    (!name.is_empty()).then(|| (name, strip(value)))
}

impl Ini {
    /// Reads a file. All lines that cannot be read are reported, not only the first.
    pub fn read(text: &str) -> Result<Self, Vec<IniError>> {
        if text.len() > TEXT_BYTES_MAX {
            let message = format!("longer than {TEXT_BYTES_MAX} bytes");
            return Err(vec![IniError::new(0, message)]);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::default();
        for (place, line) in lines(text).enumerate() {
            reader.line(place + 1, line);
        }
        reader.finish()
    }

    /// Whether there is a section of this name; names are case-sensitive.
    pub fn has_section(&self, name: &str) -> bool {
        self.sections.contains_key(name) && name != DEFAULT_SECTION
    }

    /// The line of a section's header, counted from one.
    pub fn section_line(&self, name: &str) -> Option<usize> {
        self.sections.get(name).map(|section| section.line)
    }

    /// The keys of a section in lower case with their lines, those that `[DEFAULT]` lends it
    /// included.
    pub fn keys(&self, section: &str) -> Vec<(&str, usize)> {
        let own = self.sections.get(section);
        let lent = self.sections.get(DEFAULT_SECTION);
        let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, entry) in [lent, own].into_iter().flatten().flat_map(|s| &s.entries) {
            keys.insert(name, entry.line);
        }
        keys.into_iter().collect()
    }

    /// The value of a key, with `%%` and `%(name)s` replaced; nothing if it is not there.
    pub fn value(&self, section: &str, key: &str) -> Option<Result<String, IniError>> {
        let entry = self.entry(section, key)?;
        let mut expansion = Expansion {
            ini: self,
            section,
            line: entry.line,
            followed: 0,
        };
        let mut out = String::new();
        let done = expansion.expand(&entry.raw, 1, &mut out);
        Some(done.map(|()| out))
    }

    fn entry(&self, section: &str, key: &str) -> Option<&Entry> {
        let of = |name: &str| self.sections.get(name).and_then(|s| s.entries.get(key));
        of(section).or_else(|| of(DEFAULT_SECTION))
    }
}

/// Replaces what `%` begins in one value.
struct Expansion<'a> {
    ini: &'a Ini,
    section: &'a str,
    line: usize,
    followed: usize,
}

impl Expansion<'_> {
    fn expand(&mut self, raw: &str, depth: usize, out: &mut String) -> Result<(), IniError> {
        if depth > REFERENCE_DEPTH_MAX {
            let message = format!("references go deeper than {REFERENCE_DEPTH_MAX}");
            return Err(IniError::new(self.line, message));
        }
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('%') {
            self.push(before, out)?;
            rest = after;
            if let Some(after) = rest.strip_prefix('%') {
                self.push("%", out)?;
                rest = after;
            } else if let Some((name, after)) = reference(rest) {
                self.follow(name, depth, out)?;
                rest = after;
            } else {
                self.push("%", out)?;
            }
        }
        self.push(rest, out)
    }

    fn follow(&mut self, name: &str, depth: usize, out: &mut String) -> Result<(), IniError> {
        self.followed += 1;
        if self.followed > REFERENCES_MAX {
            return Err(IniError::new(
                self.line,
                format!("more than {REFERENCES_MAX} references"),
            ));
        }
        let ini = self.ini;
        match ini.entry(self.section, &name.to_lowercase()) {
            Some(entry) => self.expand(&entry.raw, depth + 1, out),
            None => {
                // The name stays unsaid: it may be a piece of a secret.
                let message = "a %(name)s in the value names no key; a % itself is written %%";
                Err(IniError::new(self.line, message))
            }
        }
    }

    fn push(&self, piece: &str, out: &mut String) -> Result<(), IniError> {
        if out.len() + piece.len() > VALUE_BYTES_MAX {
            let message = format!("a value longer than {VALUE_BYTES_MAX} bytes");
            return Err(IniError::new(self.line, message));
        }
        out.push_str(piece);
        Ok(())
    }
}

/// The name of `(name)s` at the start of a text, and what follows.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('(')?.split_once(')')?;
    let after = after.strip_prefix('s')?;
    (!name.is_empty()).then_some((name, after))
}

/// The state between lines.
#[derive(Default)]
struct Reader {
    ini: Ini,
    errors: Vec<IniError>,
    /// Section and key pairs seen: a key may be written once.
    seen: BTreeSet<(String, String)>,
    section: Option<String>,
    /// The key whose value may go on.
    key: Option<String>,
    /// Columns before the key or header that came last.
    indent: usize,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) {
        let text = strip(line);
        if text.starts_with(['#', ';']) {
            return;
        }
        if text.is_empty() {
            // A blank line belongs to the value around it; at the end of one it is cut off.
            self.go_on("");
            return;
        }
        let indent = line.chars().take_while(|&c| is_space(c)).count();
        if indent > self.indent && self.go_on(text) {
            return;
        }
        self.indent = indent;
        if let Some(name) = section_name(text) {
            self.header(number, name);
        } else if let Some(section) = self.section.clone() {
            self.entry(number, section, text);
        } else {
            let message = "expected a section such as [channelstream] before anything else";
            self.errors.push(IniError::new(number, message));
        }
    }

    /// Adds a line to the value before it; says whether there was one.
    fn go_on(&mut self, text: &str) -> bool {
        let (Some(section), Some(key)) = (&self.section, &self.key) else {
            return false;
        };
        let section = self.ini.sections.get_mut(section);
        let entry = section.and_then(|section| section.entries.get_mut(key));
        if let Some(entry) = entry {
            entry.raw.push('\n');
            entry.raw.push_str(text);
        }
        true
    }

    fn header(&mut self, number: usize, name: &str) {
        self.key = None;
        self.section = Some(name.to_owned());
        if let Some(before) = self.ini.sections.get(name) {
            // The defaults alone may come in pieces.
            if name != DEFAULT_SECTION {
                let message = format!("section [{name}] is there already, in line {}", before.line);
                self.errors.push(IniError::new(number, message));
            }
            return;
        }
        let section = Section {
            line: number,
            ..Section::default()
        };
        self.ini.sections.insert(name.to_owned(), section);
    }

    fn entry(&mut self, number: usize, section: String, text: &str) {
        let Some((key, value)) = option(text) else {
            // Python lets the value before it go on after such a line; the file is refused anyway.
            let message = "expected `key = value`, `key: value`, [section] or a comment";
            self.errors.push(IniError::new(number, message));
            return;
        };
        if !self.seen.insert((section.clone(), key.clone())) {
            let message = format!("key {key:?} is there already");
            self.errors.push(IniError::new(number, message));
        }
        if let Some(section) = self.ini.sections.get_mut(&section) {
            let entry = Entry {
                line: number,
                raw: value.to_owned(),
            };
            section.entries.insert(key.clone(), entry);
        }
        self.key = Some(key);
    }

    fn finish(mut self) -> Result<Ini, Vec<IniError>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        for section in self.ini.sections.values_mut() {
            for entry in section.entries.values_mut() {
                let length = entry.raw.trim_end_matches(is_space).len();
                entry.raw.truncate(length);
            }
        }
        Ok(self.ini)
    }
}

/// Reads anything as a settings file, for fuzzing: no panic, and never more than the bounds above.
#[doc(hidden)]
pub fn fuzz_ini(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(ini) = Ini::read(&text) else {
        return;
    };
    // A file of a megabyte may hold many keys; the server asks for a dozen.
    for (key, line) in ini.keys("channelstream").into_iter().take(16) {
        assert!(line > 0, "every key has a line");
        if let Some(Ok(value)) = ini.value("channelstream", key) {
            assert!(value.len() <= VALUE_BYTES_MAX, "values are bounded");
        }
    }
}

#[cfg(test)]
mod tests;
