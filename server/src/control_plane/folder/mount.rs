//! The Secrets among the documents, put where the server looks for credentials:
//! in a folder of its own that nobody else may enter, gone with the process.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::TempDir;
use tenantry_core::name::ConnectorName;

/// A folder of Secrets, one folder a connector.
pub struct Mount {
    dir: TempDir,
}

impl Mount {
    /// An empty one, in memory where the system offers a place for that.
    pub fn new() -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder
            .prefix("tenantry-credentials-")
            .permissions(Permissions::from_mode(0o700));
        let dir = match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(place) if Path::new(&place).is_dir() => builder.tempdir_in(place)?,
            _ => builder.tempdir()?,
        };
        Ok(Self { dir })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Holds exactly these from now on. Each file is swapped whole, so that
    /// nobody reads half a token.
    pub fn hold(
        &self,
        secrets: &BTreeMap<ConnectorName, BTreeMap<String, Vec<u8>>>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(self.path())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !secrets.keys().any(|connector| connector.as_str() == name) {
                fs::remove_dir_all(&path)?;
            }
        }
        for (connector, files) in secrets {
            let folder = self.path().join(connector.as_str());
            fs::create_dir_all(&folder)?;
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if !files.contains_key(name.as_ref()) {
                    fs::remove_file(&path)?;
                }
            }
            for (name, content) in files.iter().filter(|(name, _)| is_file_name(name)) {
                swap(&folder, name, content)?;
            }
        }
        Ok(())
    }
}

/// The rule of Kubernetes for the keys of a Secret; above all, no way out.
fn is_file_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(fits) && name != "." && !name.starts_with("..")
}

fn swap(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    if fs::read(&path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    // No key of a Secret begins so.
    let new = folder.join("..new");
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(content)?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Secrets<'s> = &'s [(&'s str, &'s [(&'s str, &'s str)])];

    fn secrets(all: Secrets<'_>) -> BTreeMap<ConnectorName, BTreeMap<String, Vec<u8>>> {
        let files = |files: &[(&str, &str)]| {
            let pairs = files.iter();
            pairs
                .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
                .collect()
        };
        all.iter()
            .map(|(name, pairs)| (ConnectorName::parse(name).unwrap(), files(pairs)))
            .collect()
    }

    #[test]
    fn it_holds_what_it_was_given_last_and_ends_with_its_owner() {
        let mount = Mount::new().unwrap();
        let path = mount.path().to_owned();
        let read = |name: &str| fs::read_to_string(path.join(name)).ok();
        mount
            .hold(&secrets(&[
                ("meta", &[("access_token", "a"), ("app", "b")]),
                ("google", &[("x", "y")]),
            ]))
            .unwrap();
        assert_eq!(read("meta/access_token").as_deref(), Some("a"));
        assert_eq!(read("google/x").as_deref(), Some("y"));
        mount
            .hold(&secrets(&[(
                "meta",
                &[("access_token", "c"), ("../../out", "d")],
            )]))
            .unwrap();
        assert_eq!(read("meta/access_token").as_deref(), Some("c"));
        assert_eq!((read("meta/app"), read("google/x")), (None, None));
        assert_eq!(fs::read_dir(path.join("meta")).unwrap().count(), 1);
        drop(mount);
        assert!(!path.exists());
    }
}
