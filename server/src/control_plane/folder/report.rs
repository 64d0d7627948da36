//! The report as a file: whole at any moment, and never among the documents.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tenantry_api::document::files::paths;

use super::FolderError;

/// Whether a report to `file` leaves the documents at `path` alone.
pub(super) fn check_place(file: &Path, path: &Path) -> Result<(), FolderError> {
    let failed = |path: &Path, cause| FolderError::Read {
        path: path.to_owned(),
        cause,
    };
    let documents = path.canonicalize().map_err(|cause| failed(path, cause))?;
    let folder = parent(file);
    let is_inside = folder
        .canonicalize()
        .map_err(|cause| failed(folder, cause))?
        == documents;
    let sources = paths(path).map_err(|cause| failed(path, cause))?;
    let taken: BTreeSet<_> = sources.iter().flat_map(|path| names(path)).collect();
    let written = [file.to_owned(), beside(file)];
    let mut written = written.iter().flat_map(|path| names(path));
    if is_inside || written.any(|name| taken.contains(&name)) {
        return Err(FolderError::ReportInside(file.to_owned()));
    }
    Ok(())
}

/// Swaps the file, so that nobody reads half a report. Whatever became of the
/// folder at `path` since the start, none of its documents is written to.
pub(super) fn write(file: &Path, path: &Path, report: &impl Serialize) -> io::Result<()> {
    if let Err(error @ FolderError::ReportInside(_)) = check_place(file, path) {
        return Err(io::Error::other(error));
    }
    let new = beside(file);
    // What a process left there that was killed; a link is not followed.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = File::create_new(&new)?;
    out.write_all(&serde_json::to_vec_pretty(report)?)?;
    fs::rename(new, file)
}

/// The names of what stands at `path`: its own, and that of what it links to.
fn names(path: &Path) -> impl Iterator<Item = PathBuf> {
    let own = parent(path)
        .canonicalize()
        .ok()
        .zip(path.file_name())
        .map(|(folder, name)| folder.join(name));
    own.into_iter().chain(path.canonicalize().ok())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn beside(file: &Path) -> PathBuf {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    new.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_stands_beside_the_documents_and_not_among_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("acme")).unwrap();
        fs::write(at("acme/one.yaml"), "").unwrap();
        std::os::unix::fs::symlink("acme", at("link")).unwrap();
        let is_inside = |file: &str, path: &str| {
            let checked = check_place(&at(file), &at(path));
            matches!(checked, Err(FolderError::ReportInside(_)))
        };
        assert!(check_place(&at("report.json"), &at("acme")).is_ok());
        assert!(check_place(&at("acme/report.json"), &at("acme/one.yaml")).is_ok());
        assert!(is_inside("acme/report.json", "acme"));
        assert!(is_inside("link/report", "acme"));
        assert!(is_inside("acme/../acme/report", "link"));
        assert!(is_inside("acme/one.yaml", "acme/one.yaml"));
        fs::write(at("one.new"), "").unwrap();
        assert!(is_inside("one", "one.new"));
        // Where a document's name is a link, or the report's.
        std::os::unix::fs::symlink("../one.json", at("acme/two.json")).unwrap();
        fs::write(at("one.json"), "").unwrap();
        assert!(is_inside("one.json", "acme"));
        std::os::unix::fs::symlink("acme/one.yaml", at("other.new")).unwrap();
        assert!(is_inside("other", "acme"));
        std::os::unix::fs::symlink("acme/one.yaml", at("three")).unwrap();
        assert!(is_inside("three", "three"));
        assert!(is_inside("three", "acme"));
        let missing = check_place(&at("missing/report"), &at("acme"));
        assert!(matches!(missing, Err(FolderError::Read { .. })));
    }

    #[test]
    fn a_report_is_written_beside_a_link_and_never_through_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("acme")).unwrap();
        fs::write(at("other"), "kept").unwrap();
        let (file, path) = (at("report.json"), at("acme"));
        let report = serde_json::json!({});
        std::os::unix::fs::symlink("other", at("report.json.new")).unwrap();
        write(&file, &path, &report).unwrap();
        assert_eq!(fs::read_to_string(at("other")).unwrap(), "kept");
        // A document that came there after the start.
        std::os::unix::fs::symlink("../report.json", at("acme/a.yaml")).unwrap();
        assert!(write(&file, &path, &report).is_err());
        // A folder that is out of sight is to be reported.
        fs::remove_dir_all(&path).unwrap();
        write(&file, &path, &report).unwrap();
    }
}
