//! `fanwire import pushi`: takes the lines of exports into the store.
//!
//! The files are read twice. The first time each line is checked, and its place noted; then they are
//! taken in the order in which they depend on one another, and within a collection by their numbers,
//! whatever the order of files and lines. So only the places are in memory, and not the documents.

use super::args::ImportPushi;
use super::sign::now;
use super::store::{Failure, file_made, file_of};
use super::{EXIT_NOT_STARTED, answer, complain};
use fanwire::limits::{IMPORT_BATCH_BYTES, IMPORT_BATCH_DOCUMENTS, IMPORT_LINE_BYTES_MAX};
use fanwire::side::store::import::{Collection, Document, Outcome, What, read};
use fanwire::side::store::sqlite::Importer;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lines of one file that are complained about one by one.
const TOLD_MAX: u64 = 20;

/// Where a document stands. The order is that in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    collection: Collection,
    /// The document's number within it.
    id: u64,
    file: u32,
    /// From one.
    line: u32,
    /// Bytes of the file before it.
    offset: u64,
}

/// What came of a collection.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    added: u64,
    there: u64,
    refused: u64,
}

/// Complaints about the lines of files, as many as somebody reads.
#[derive(Default)]
struct Complaints {
    files: BTreeMap<u32, u64>,
}

impl Complaints {
    fn tell(&mut self, files: &[PathBuf], file: u32, line: u32, message: &str) {
        let told = self.files.entry(file).or_default();
        *told += 1;
        if *told <= TOLD_MAX {
            let name = name(files, file);
            complain(&format!("{}:{line}: {message}", name.display()));
        }
    }

    /// Ends with how many were not told.
    fn end(&self, files: &[PathBuf]) {
        for (file, told) in &self.files {
            if let Some(more) = told.checked_sub(TOLD_MAX).filter(|more| *more > 0) {
                let name = name(files, *file);
                complain(&format!("{}: and {more} more lines", name.display()));
            }
        }
    }

    fn count(&self) -> u64 {
        self.files.values().sum()
    }
}

fn name(files: &[PathBuf], number: u32) -> &Path {
    files
        .get(number as usize)
        .map_or(Path::new(""), PathBuf::as_path)
}

/// Does it.
pub(super) fn import(given: &ImportPushi) -> ExitCode {
    match try_import(given) {
        Ok(code) => code,
        Err(failure) => failure.told(),
    }
}

fn try_import(given: &ImportPushi) -> Result<ExitCode, Failure> {
    let files = &given.files;
    let path = file_of(&given.which)?;
    let unread =
        |file: &Path, error: &io::Error| Failure::system(format!("{}: {error}", file.display()));
    let mut readers = Vec::with_capacity(files.len());
    for file in files {
        let opened = File::open(file).map_err(|error| unread(file, &error))?;
        readers.push(Lines::new(opened));
    }

    let mut complaints = Complaints::default();
    let mut places = Vec::new();
    for ((number, file), lines) in (0..).zip(files).zip(&mut readers) {
        let listed = list(number, file, lines, |line, message| {
            complaints.tell(files, number, line, message);
        });
        places.append(&mut listed.map_err(|error| unread(file, &error))?);
    }
    places.sort_unstable();

    let is_new = !path.exists();
    let mut importer = Importer::open(&path)?;
    let mut tallies: BTreeMap<Collection, Tally> = BTreeMap::new();
    let mut batch = Batch::default();
    for place in places {
        // Opened above, one for each.
        let Some(lines) = readers.get_mut(place.file as usize) else {
            continue;
        };
        let file = name(files, place.file);
        let line = lines
            .at(place.offset)
            .map_err(|error| unread(file, &error))?;
        let document = line
            .text()
            .and_then(|text| read(text, Some(place.collection)));
        match document {
            Ok((_, document)) => batch.add(place, document, line.bytes.len()),
            // It was good a moment ago.
            Err(message) => complaints.tell(files, place.file, place.line, &message),
        }
        if batch.is_full() {
            batch.put(&mut importer, files, &mut tallies, &mut complaints)?;
        }
    }
    batch.put(&mut importer, files, &mut tallies, &mut complaints)?;
    importer.close()?;

    complaints.end(files);
    let mut text = summary(&path, &tallies, complaints.count());
    if is_new {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", file_made(&path));
    }
    let code = answer(&text);
    Ok(match complaints.count() {
        0 => code,
        _ => ExitCode::from(EXIT_NOT_STARTED),
    })
}

fn summary(path: &Path, tallies: &BTreeMap<Collection, Tally>, left_out: u64) -> String {
    let mut text = String::new();
    for (collection, tally) in tallies {
        // Writing to a string does not fail, here and below.
        let _ = write!(
            text,
            "{:<13} {:>9} added {:>9} there already",
            collection.as_str(),
            tally.added,
            tally.there
        );
        if tally.refused > 0 {
            let _ = write!(text, " {:>9} left out", tally.refused);
        }
        text.push('\n');
    }
    let path = path.display();
    let _ = match left_out {
        0 => writeln!(text, "all of it is in {path}"),
        1 => writeln!(text, "1 line is not in {path}, and named above"),
        _ => writeln!(text, "{left_out} lines are not in {path}, and named above"),
    };
    text
}

/// Where the good documents of a file are; `bad` hears of the others.
fn list(
    number: u32,
    file: &Path,
    lines: &mut Lines,
    mut bad: impl FnMut(u32, &str),
) -> io::Result<Vec<Place>> {
    let file_name = file.file_name().unwrap_or_default().to_string_lossy();
    let from = Collection::of_file_name(&file_name);
    let mut places = Vec::new();
    let unix_s = now();
    for line_number in 1.. {
        let offset = lines.position;
        let line = lines.next()?;
        if line.bytes.is_empty() {
            break;
        }
        if line.bytes.trim_ascii().is_empty() {
            continue;
        }
        let document = line.text().and_then(|text| read(text, from));
        match document.and_then(|(of, document)| document.has_been(unix_s).map(|()| (of, document)))
        {
            Ok((collection, document)) => places.push(Place {
                collection,
                id: document.id,
                file: number,
                line: line_number,
                offset,
            }),
            Err(message) => bad(line_number, &message),
        }
    }
    Ok(places)
}

/// The lines of a file.
struct Lines {
    reader: BufReader<File>,
    /// Bytes before the next line.
    position: u64,
    buffer: Vec<u8>,
}

/// One of them, as far as it is read.
struct Line<'a> {
    bytes: &'a [u8],
    is_whole: bool,
}

impl Line<'_> {
    fn text(&self) -> Result<&str, String> {
        if !self.is_whole {
            return Err(format!("longer than {IMPORT_LINE_BYTES_MAX} bytes"));
        }
        let text = std::str::from_utf8(self.bytes).map_err(|_| "expected UTF-8")?;
        // Some tools put a mark at the beginning of a file.
        Ok(text.trim_start_matches('\u{feff}').trim())
    }
}

impl Lines {
    fn new(file: File) -> Self {
        Self {
            reader: BufReader::with_capacity(1 << 17, file),
            position: 0,
            buffer: Vec::new(),
        }
    }

    /// The line that begins so many bytes after the beginning.
    fn at(&mut self, offset: u64) -> io::Result<Line<'_>> {
        if offset != self.position {
            self.reader.seek(SeekFrom::Start(offset))?;
            self.position = offset;
        }
        self.next()
    }

    /// The next line, with its break; empty at the end. What is too long is passed over.
    fn next(&mut self) -> io::Result<Line<'_>> {
        self.buffer.clear();
        let most = IMPORT_LINE_BYTES_MAX as u64;
        let reader = &mut self.reader;
        reader.take(most).read_until(b'\n', &mut self.buffer)?;
        self.position += self.buffer.len() as u64;
        let mut is_whole = true;
        if self.buffer.len() as u64 == most && !self.buffer.ends_with(b"\n") {
            is_whole = false;
            self.position += self.reader.skip_until(b'\n')? as u64;
        }
        Ok(Line {
            bytes: &self.buffer,
            is_whole,
        })
    }
}

/// Documents that go into the store together.
#[derive(Default)]
struct Batch {
    places: Vec<Place>,
    documents: Vec<Document>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, place: Place, document: Document, bytes: usize) {
        self.places.push(place);
        self.documents.push(document);
        self.bytes += bytes;
    }

    fn is_full(&self) -> bool {
        self.documents.len() >= IMPORT_BATCH_DOCUMENTS || self.bytes >= IMPORT_BATCH_BYTES
    }

    fn put(
        &mut self,
        importer: &mut Importer,
        files: &[PathBuf],
        tallies: &mut BTreeMap<Collection, Tally>,
        complaints: &mut Complaints,
    ) -> Result<(), Failure> {
        let outcomes = importer.put(&self.documents)?;
        for ((place, document), outcome) in self.places.iter().zip(&self.documents).zip(outcomes) {
            let tally = tallies.entry(place.collection).or_default();
            match outcome {
                Outcome::Added => {
                    tally.added += 1;
                    if let Some(warning) = odd_key(document) {
                        let file = name(files, place.file).display();
                        complain(&format!("{file}:{}: warning: {warning}", place.line));
                    }
                }
                Outcome::There => tally.there += 1,
                Outcome::Refused(why) => {
                    tally.refused += 1;
                    complaints.tell(files, place.file, place.line, &why);
                }
            }
        }
        *self = Self::default();
        Ok(())
    }
}

/// What to say about a key that no address of Pushi can name.
fn odd_key(document: &Document) -> Option<String> {
    let What::App(app) = &document.what else {
        return None;
    };
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_usual = app.key.len() == 64 && app.key.bytes().all(is_digit);
    (!is_usual).then(|| {
        format!(
            "key: {:?} has not 64 hex digits; no client can name it",
            app.key
        )
    })
}
