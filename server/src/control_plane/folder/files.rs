//! The files of a folder of documents, read whole.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::FolderError;

/// An organisation's documents are a few KiB.
const LARGEST_FILE: u64 = 1 << 20;
const MOST_FILES: usize = 256;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name, for whoever has to mend it.
    pub file: String,
    /// What stands in it.
    pub text: String,
}

/// The files at `path`, by name: itself, or the YAML and JSON files in it.
pub fn sources(path: &Path) -> Result<Vec<Source>, FolderError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| FolderError::Read { path, cause }
    };
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(failed(path))?;
        let entries = entries
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed(path))?;
        paths = entries.iter().map(std::fs::DirEntry::path).collect();
        paths.retain(|path| is_document(path));
        paths.sort();
    }
    if paths.len() > MOST_FILES {
        return Err(failed(path)(ErrorKind::FileTooLarge.into()));
    }
    let source = |path: &PathBuf| {
        Ok(Source {
            file: path.display().to_string(),
            text: text(path).map_err(failed(path))?,
        })
    };
    paths.iter().map(source).collect()
}

/// The text of a file of documents. A pipe or a device would keep the reader.
fn text(path: &Path) -> io::Result<String> {
    let kind = std::fs::metadata(path)?;
    if !kind.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    let mut text = String::new();
    File::open(path)?
        .take(LARGEST_FILE + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

fn is_document(path: &Path) -> bool {
    let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
    let kinds = ["yaml", "yml", "json"];
    path.extension()
        .is_some_and(|extension| kinds.iter().any(|kind| extension == *kind))
        && !path.file_name().is_some_and(hidden)
}
