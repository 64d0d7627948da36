//! A pinned module: what it builds, and the digest that names its build. Nothing is run here.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{ToolsError, file_error};

/// Enough of SHA-256 to name a folder that nobody attacks.
const DIGEST_BYTES: usize = 8;

/// `build.json`: what Go is asked for beside `go.mod`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    pub(super) ldflags: String,
    pub(super) tags: String,
    binaries: Vec<Binary>,
    /// Folders of a dependency that the binaries read when they run.
    pub(super) folders: Vec<Folder>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Binary {
    name: String,
    package: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Folder {
    pub(super) module: String,
    pub(super) path: String,
}

impl Recipe {
    pub(super) fn read(module: &Path) -> Result<Self, ToolsError> {
        let path = module.join("build.json");
        let text = fs::read(&path).map_err(file_error("read", &path))?;
        serde_json::from_slice(&text).map_err(|source| ToolsError::Recipe { path, source })
    }

    pub(super) fn package_of(&self, binary: &str) -> Option<&str> {
        let found = self.binaries.iter().find(|entry| entry.name == binary)?;
        Some(&found.package)
    }
}

/// The digest of a folder's files (names and contents, sorted by name), as hexadecimal.
pub fn digest(folder: &Path) -> Result<String, ToolsError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(file_error("list", folder))? {
        names.push(entry.map_err(file_error("list", folder))?.file_name());
    }
    names.sort_unstable();
    let mut hash = Sha256::new();
    for name in names {
        let path = folder.join(&name);
        let contents = fs::read(&path).map_err(file_error("read", &path))?;
        hash.update(format!("{}\0{}\0", name.to_string_lossy(), contents.len()));
        hash.update(contents);
    }
    Ok(hex(&hash.finalize()[..DIGEST_BYTES]))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn digest_is_of_names_and_contents() {
        let digest_of = |files: &[(&str, &str)]| digest(folder(files).path()).unwrap();
        let pin = digest_of(&[("go.mod", "module m\n"), ("go.sum", "")]);
        assert_eq!(pin, digest_of(&[("go.sum", ""), ("go.mod", "module m\n")]));
        assert_ne!(pin, digest_of(&[("go.mod", "module n\n"), ("go.sum", "")]));
        assert_ne!(pin, digest_of(&[("go.mod", "module m\n"), ("go.sun", "")]));
        // The same bytes, cut differently between two files.
        assert_ne!(
            digest_of(&[("a", "1"), ("b", "2")]),
            digest_of(&[("a", "1b"), ("b", "")])
        );
    }

    #[test]
    fn digest_does_not_drift() {
        // A change of the function would build everything anew on every machine.
        assert_eq!(
            digest(folder(&[("go.mod", "module m\n")]).path()).unwrap(),
            "1d70da2b6e7b5292"
        );
    }

    #[test]
    fn unknown_field_in_a_recipe_is_refused() {
        let dir = folder(&[(
            "build.json",
            r#"{"ldflags": "", "tags": "", "binaries": [], "folders": [], "x": 1}"#,
        )]);
        assert!(matches!(
            Recipe::read(dir.path()),
            Err(ToolsError::Recipe { .. })
        ));
    }
}
