//! The temporary folder of one control plane. It is locked while its owner lives, so that the
//! next control plane can tell a folder in use from one whose owner was killed, and removes the latter.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

const PREFIX: &str = "tenantry-control-plane-";
const LOCK: &str = "lock";

pub(super) struct Folder {
    dir: TempDir,
    /// Held as long as the folder is in use.
    _lock: File,
}

impl Folder {
    pub(super) fn create() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent)?;
        Self::create_in(&parent)
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Locked before it has its name: no moment at which the folder looks abandoned.
        let unnamed = dir.path().join("lock.new");
        let lock = File::create(&unnamed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(unnamed, dir.path().join(LOCK))?;
        Ok(Self { dir, _lock: lock })
    }
}

/// Removes the folders of owners that are gone; a folder without a lock file is being made.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        let is_ours = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if is_ours && is_abandoned(&path) {
            // Another process may be sweeping too: what is gone is gone.
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

fn is_abandoned(folder: &Path) -> bool {
    File::open(folder.join(LOCK))
        .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_spares_what_is_in_use() {
        let parent = tempfile::tempdir().unwrap();
        let used = Folder::create_in(parent.path()).unwrap();
        let abandoned = parent.path().join(format!("{PREFIX}old"));
        fs::create_dir(&abandoned).unwrap();
        File::create(abandoned.join(LOCK)).unwrap();
        let unrelated = parent.path().join("unrelated");
        fs::create_dir(&unrelated).unwrap();
        sweep(parent.path()).unwrap();
        assert!(used.path().exists() && unrelated.exists() && !abandoned.exists());
    }
}
