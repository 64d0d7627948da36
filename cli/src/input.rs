//! The files that a command is given.

use std::path::PathBuf;

use tenantry_api::document::files::{Source, sources};

use crate::answer::Unusable;

/// The files at all of `paths`, each of them a file or a folder.
pub fn all_sources(paths: &[PathBuf]) -> Result<Vec<Source>, Unusable> {
    let mut all = Vec::new();
    for path in paths {
        let read = sources(path)
            .map_err(|error| Unusable::because(format!("reading `{}`: {error}", path.display())))?;
        all.extend(read);
    }
    Ok(all)
}
