//! Files cut into documents. What is none is told, and never passed over.

use std::borrow::Cow;

use super::Document;
use super::files::Source;
use super::flaw::{Flaw, MOST_TOLD};

/// An organisation has some dozens. All of them are judged again at every
/// change, and so many are judged within moments.
const MOST_DOCUMENTS: usize = 2048;

/// What was found in the files.
#[derive(Default)]
pub struct Found {
    /// The documents.
    pub documents: Vec<Document>,
    /// What is wrong with the files, or hides a document.
    pub flaws: Vec<Flaw>,
    /// Something may stand there that could not be read.
    pub hides: bool,
}

/// A file's documents, before they are read.
struct Parts<'t> {
    file: &'t str,
    parts: Vec<(u64, &'t str)>,
}

/// The documents of all files.
pub fn documents(sources: &[Source]) -> Found {
    let mut found = Found::default();
    let texts: Vec<_> = sources
        .iter()
        .filter_map(|source| found.text(source))
        .collect();
    let mut files: Vec<_> = texts
        .iter()
        .map(|(file, text)| found.parts(file, text))
        .collect();
    let count = files.iter().map(|file| file.parts.len()).sum::<usize>();
    if count > MOST_DOCUMENTS {
        found.hide(Flaw::of_all(format!(
            "{count} documents are here, and {MOST_DOCUMENTS} are read, those of small files first; serve each organisation from a folder of its own"
        )));
        // One file that ran over keeps no freeze beside it from taking hold.
        files.sort_by_key(|file| file.parts.len());
    }
    let parts = files.iter().flat_map(|Parts { file, parts }| {
        let of_file = |(line, text): &(u64, &str)| Document::read(file, *line, text);
        parts.iter().map(of_file)
    });
    for read in parts.take(MOST_DOCUMENTS) {
        match read {
            Ok(document) => found.documents.push(document),
            Err(flaw) => found.hide(flaw),
        }
    }
    found
}

impl Found {
    /// What may hide a document is wrong.
    fn hide(&mut self, flaw: Flaw) {
        self.hides = true;
        self.flaws.push(flaw);
    }

    /// The text of a file, in lines that end as this program's lines do.
    fn text<'s>(&mut self, source: &'s Source) -> Option<(&'s str, Cow<'s, str>)> {
        let Source { file, text } = source;
        let text = match text {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(reason) => {
                self.hide(Flaw::of_file(file, reason));
                return None;
            }
        };
        if !text.contains('\r') {
            return Some((file, Cow::Borrowed(text)));
        }
        let text = text.replace("\r\n", "\n");
        if let Some((before, _)) = text.split_once('\r') {
            // YAML ends a line there, editors show none: what they show as a
            // comment may be a freeze.
            let line = before.matches('\n').count() as u64 + 1;
            self.flaws.push(Flaw::of_line(
                file,
                line,
                "a carriage return stands alone; end every line with a line feed",
            ));
        }
        Some((file, Cow::Owned(text.replace('\r', "\n"))))
    }

    fn parts<'t>(&mut self, file: &'t str, text: &'t str) -> Parts<'t> {
        let stray = text
            .lines()
            .zip(1..)
            .filter(|(line, _)| has_stray_text(line))
            .take(MOST_TOLD);
        for (_, number) in stray {
            self.hide(Flaw::of_line(
                file,
                number,
                "behind `---` stands a comment at most; the document begins in the next line",
            ));
        }
        let parts = parts(text);
        if parts.is_empty() {
            let reason = "it is empty; take the file away to take its documents away";
            self.flaws.push(Flaw::of_file(file, reason));
        }
        Parts { file, parts }
    }
}

/// The documents in a text, each with the line where it begins.
fn parts(text: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let (mut line, mut begin, mut at) = (1, 0, 0);
    for (whole, number) in text.split_inclusive('\n').zip(1..) {
        if behind_separator(whole.trim_end_matches('\n')).is_some() {
            parts.push((line, text.get(begin..at).unwrap_or_default()));
            (line, begin) = (number + 1, at + whole.len());
        }
        at += whole.len();
    }
    parts.push((line, text.get(begin..).unwrap_or_default()));
    parts.retain(|(_, text)| says_something(text));
    parts
}

fn says_something(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    lines.any(|line| !line.is_empty() && !line.starts_with('#'))
}

/// What stands behind the `---` that parts documents; `None` in other lines.
fn behind_separator(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("---")?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| rest.trim())
}

fn has_stray_text(line: &str) -> bool {
    behind_separator(line).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('#'))
}
