//! Where things are in this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use tenantry_cluster::command::as_from_a_shell;
use tenantry_cluster::tools::cache_dir;

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where cargo builds. Continuous integration starts from a fresh clone each
/// time: what it builds is kept beside the cluster's tools, so that only what
/// changed is built again.
pub fn target_dir() -> PathBuf {
    if let Some(chosen) = std::env::var_os("CARGO_TARGET_DIR") {
        return chosen.into();
    }
    let kept = std::env::var_os("CI").and_then(|_| cache_dir().ok());
    kept.map_or_else(|| root().join("target"), |cache| cache.join("target"))
}

/// cargo, in the repository.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    as_from_a_shell(&mut cargo);
    cargo
}
