//! Images without a registry and without Docker: a Dockerfile `FROM scratch` becomes a
//! docker-archive, and the archive goes into the node's container runtime.

mod archive;
mod dockerfile;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{CommandError, run};
use crate::site;
use crate::tools::{ToolsError, cache_dir};
pub use dockerfile::DockerfileError;

/// An image that could not be made or brought to the node.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The Dockerfile asks for more than is done here, or is wrong.
    #[error("cannot build from {}", path.display())]
    Dockerfile {
        /// Which Dockerfile.
        path: PathBuf,
        /// Which line, and why.
        #[source]
        source: DockerfileError,
    },
    /// A file to copy, or the archive, could not be read or written.
    #[error("cannot {deed} {}", path.display())]
    File {
        /// What was being done.
        deed: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is no archive of `build_image`.
    #[error("{} is not a docker-archive with one tagged image", path.display())]
    NotAnArchive {
        /// Which file.
        path: PathBuf,
    },
    /// There is no folder to keep archives in.
    #[error("nowhere to keep images")]
    Cache(#[from] ToolsError),
    /// The container runtime said no.
    #[error("cannot import image `{tag}` into the local cluster")]
    Import {
        /// Which image.
        tag: String,
        /// What `ctr` said.
        #[source]
        source: CommandError,
    },
}

/// Builds the image `tag` from a Dockerfile and returns its archive, in the cache.
/// The same input gives the same archive, byte for byte.
pub fn build_image(dockerfile: &Path, context: &Path, tag: &str) -> Result<PathBuf, ImageError> {
    let text = fs::read_to_string(dockerfile).map_err(file_error("read", dockerfile))?;
    let recipe = dockerfile::parse(&text).map_err(|source| ImageError::Dockerfile {
        path: dockerfile.to_owned(),
        source,
    })?;
    let images = cache_dir()?.join("images");
    fs::create_dir_all(&images).map_err(file_error("create", &images))?;
    let finished = images.join(format!("{}.tar", file_name_of(tag)));
    let unfinished = images.join(format!(".{}.{}", file_name_of(tag), std::process::id()));
    archive::write(&recipe, context, tag, &unfinished)?;
    fs::rename(&unfinished, &finished).map_err(file_error("put in place", &finished))?;
    Ok(finished)
}

/// Brings an archive into the running cluster, unless the node has that very image.
/// Returns whether it had to be brought.
pub fn import_image(archive: &Path) -> Result<bool, ImageError> {
    let identity = archive::identity(archive)?;
    let mark = site::path("images").join(file_name_of(&identity.tag));
    if fs::read_to_string(&mark).is_ok_and(|imported| imported == identity.config) {
        return Ok(false);
    }
    let mut import = Command::new("ctr");
    import.arg("--address").arg(site::containerd_socket());
    import
        .args(["--namespace", site::IMAGE_NAMESPACE, "images", "import"])
        .arg(archive);
    run(&mut import).map_err(|source| ImageError::Import {
        tag: identity.tag.clone(),
        source,
    })?;
    fs::create_dir_all(site::path("images")).map_err(file_error("create", &mark))?;
    fs::write(&mark, identity.config).map_err(file_error("write", &mark))?;
    Ok(true)
}

fn file_name_of(tag: &str) -> String {
    tag.replace(
        |c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-',
        "_",
    )
}

fn file_error(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImageError {
    let path = path.to_owned();
    move |source| ImageError::File { deed, path, source }
}

fn create(path: &Path) -> Result<File, ImageError> {
    File::create(path).map_err(file_error("create", path))
}
