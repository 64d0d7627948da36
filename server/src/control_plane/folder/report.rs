//! The report as a file: whole at any moment, and never among the documents.

use std::io;
use std::path::{Path, PathBuf};

use tenantry_api::mcp_server::ReplicaReport;

use super::FolderError;

/// Whether a report to `file` leaves the documents at `path` alone.
pub(super) fn check_place(file: &Path, path: &Path) -> Result<(), FolderError> {
    let real = |path: &Path| {
        path.canonicalize().map_err(|cause| FolderError::Read {
            path: path.to_owned(),
            cause,
        })
    };
    let documents = real(path)?;
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => real(parent)?,
        _ => real(Path::new("."))?,
    };
    // The documents may be one file, which has a name of its own.
    let written = [file, &beside(file)].map(|file| match file.file_name() {
        Some(name) => folder.join(name),
        None => folder.clone(),
    });
    if folder == documents || written.contains(&documents) {
        return Err(FolderError::ReportInside(file.to_owned()));
    }
    Ok(())
}

/// Swaps the file, so that nobody reads half a report.
pub(super) async fn write(file: &Path, report: &ReplicaReport) -> io::Result<()> {
    let new = beside(file);
    tokio::fs::write(&new, serde_json::to_vec_pretty(report)?).await?;
    tokio::fs::rename(new, file).await
}

fn beside(file: &Path) -> PathBuf {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    new.into()
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let missing = check_place(&at("missing/report"), &at("acme"));
        assert!(matches!(missing, Err(FolderError::Read { .. })));
    }
}
