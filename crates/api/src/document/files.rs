//! The files of a folder of documents, read whole. What is no file of documents
//! is told, and never passed over in silence.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// An organisation's documents are a few KiB.
const LARGEST_FILE: u64 = 1 << 20;
const MOST_FILES: usize = 256;

/// What files of documents are named, as for kubectl; in small or capital letters.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name, for whoever has to mend it.
    pub file: String,
    /// What stands in it, or why that cannot be known.
    pub text: Result<String, String>,
}

/// The files at `path`, by name: itself, or what is in it. Fails when `path`
/// itself cannot be read; what is wrong with one file in it hides no other.
pub fn sources(path: &Path) -> io::Result<Vec<Source>> {
    let Some(paths) = within(path)? else {
        let text = text(path)?;
        return Ok(vec![Source::new(path, Ok(text))]);
    };
    let too_many = (paths.len() > MOST_FILES).then(|| {
        let found = paths.len();
        let told =
            format!("{found} files are here, and {MOST_FILES} are read; put documents together");
        Source::new(path, Err(told))
    });
    let read = paths.iter().take(MOST_FILES).map(|path| source(path));
    Ok(read.chain(too_many).collect())
}

/// Where the documents at `path` stand: there, or in the files within.
pub fn paths(path: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(within(path)?.unwrap_or_else(|| vec![path.to_owned()]))
}

/// What is in a folder, by name; `None` of a file.
fn within(path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(None);
    }
    let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| !is_aside(path));
    paths.sort();
    Ok(Some(paths))
}

impl Source {
    fn new(path: &Path, text: Result<String, String>) -> Self {
        Self {
            file: path.display().to_string(),
            text,
        }
    }
}

fn source(path: &Path) -> Source {
    let text = if path.is_dir() {
        Err("folders in it are not read; move the documents up, or the folder away".into())
    } else if is_document(path) {
        text(path).map_err(|error| format!("it cannot be read: {error}"))
    } else {
        Err("it is no file of documents, which are named *.yaml, *.yml or *.json; rename it, or move it away".into())
    };
    Source::new(path, text)
}

/// The text of a file of documents. A pipe or a device would keep the reader.
fn text(path: &Path) -> io::Result<String> {
    let refused = |told: &str| io::Error::new(io::ErrorKind::InvalidInput, told);
    if !fs::metadata(path)?.is_file() {
        return Err(refused("it is no file"));
    }
    let mut text = String::new();
    File::open(path)?
        .take(LARGEST_FILE + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(refused("it is larger than 1 MiB"));
    }
    Ok(text)
}

fn is_document(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// What is plainly not meant: hidden files, the notes of people (`*.md`), and
/// what editors leave beside a file (`*~`, `#*#`).
fn is_aside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_note = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("md"));
    name.starts_with('.')
        || is_note
        || name.ends_with('~')
        || (name.starts_with('#') && name.ends_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of a folder that holds these, by name, and what is read of them.
    fn read(names: &[&str]) -> Vec<(String, Result<String, String>)> {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            match name.strip_suffix('/') {
                Some(name) => fs::create_dir(dir.path().join(name)).unwrap(),
                None => fs::write(dir.path().join(name), "text").unwrap(),
            }
        }
        let sources = sources(dir.path()).unwrap();
        let name = |file: &str| file.rsplit('/').next().unwrap_or_default().to_owned();
        sources
            .into_iter()
            .map(|source| (name(&source.file), source.text))
            .collect()
    }

    #[test]
    fn every_spelling_of_a_files_kind_is_read() {
        let names = ["a.yaml", "b.YAML", "c.Yml", "d.json", "e.JSON"];
        let expected = names.map(|name| (name.to_owned(), Ok("text".to_owned())));
        assert_eq!(read(&names), expected);
    }

    #[test]
    fn what_may_have_been_meant_is_refused_by_name() {
        for (name, told) in [
            ("freeze", "no file of documents"),
            ("freeze.yaml.txt", "no file of documents"),
            ("freeze.yaml.bak", "no file of documents"),
            ("more/", "folders in it are not read"),
            ("more.yaml/", "folders in it are not read"),
        ] {
            let read = read(&[name]);
            let (file, text) = &read[0];
            assert_eq!(file, name.trim_end_matches('/'));
            let error = text.as_ref().unwrap_err();
            assert!(error.contains(told), "{name}: {error}");
        }
    }

    #[test]
    fn what_was_plainly_not_meant_is_left_alone() {
        let names = [
            ".git/",
            ".acme.yaml.swp",
            "README.md",
            "NOTES.MD",
            "acme.yaml~",
            "#acme.yaml#",
        ];
        assert_eq!(read(&names), []);
    }

    #[test]
    fn one_file_that_cannot_be_read_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
        write("a.yaml", b"\xff\xfe");
        write("b.yaml", &vec![b'#'; (1 << 20) + 1]);
        std::os::unix::fs::symlink("nowhere", dir.path().join("c.yaml")).unwrap();
        write("d.yaml", b"text");
        let sources = sources(dir.path()).unwrap();
        for (source, told) in sources
            .iter()
            .zip(["UTF-8", "larger than 1 MiB", "No such file"])
        {
            let error = source.text.as_ref().unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        assert_eq!(sources[3].text.as_deref(), Ok("text"));
    }

    #[test]
    fn too_many_files_are_told_and_the_first_of_them_are_read() {
        let names: Vec<_> = (0..300).map(|number| format!("{number:03}.yaml")).collect();
        let read = read(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(read.len(), MOST_FILES + 1);
        let told = read[MOST_FILES].1.as_ref().unwrap_err();
        assert!(
            told.starts_with("300 files are here, and 256 are read"),
            "{told}"
        );
    }

    #[test]
    fn one_file_may_have_any_name_and_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("organisation");
        assert!(sources(&path).is_err());
        fs::write(&path, "text").unwrap();
        assert_eq!(sources(&path).unwrap()[0].text.as_deref(), Ok("text"));
    }
}
