//! The product's images: static binaries, each in an image `FROM scratch` by
//! the very Dockerfile that users build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};
use tenantry_cluster::image::build_image;
use tenantry_cluster::tools::hex;

use crate::workspace;

/// The platform of the images. Naming it keeps build scripts and macros apart
/// from what is linked statically.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// `crt-static` makes glibc part of the binary; in a static binary getrandom
/// cannot look the system call up at run time, so it is told to use it.
pub const STATIC: &str =
    "-C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\"";

/// An image that was built.
pub struct Image {
    /// `localhost/<name>:<tag>`; the tag changes with the content.
    pub reference: String,
    /// The docker-archive.
    pub archive: PathBuf,
}

/// The product's images.
pub struct Images {
    /// The operator's.
    pub operator: Image,
    /// The server's.
    pub server: Image,
    /// The fake vendors' and the network probe's.
    pub fakes: Image,
    /// The hand tool, which people run where they are.
    pub tool: PathBuf,
}

/// Compiles the binaries and builds the images.
pub fn build() -> Result<Images> {
    let binaries = compile()?;
    let image = |name: &str, room: &str, files: &[&str]| package(&binaries, name, room, files);
    Ok(Images {
        operator: image("tenantry-operator", "operator", &["tenantry-operator"])?,
        server: image("tenantry-server", "server", &["tenantry-server"])?,
        fakes: image("tenantry-fakes", "tests/fakes", &["fake-meta", "probe"])?,
        tool: binaries.join("tenantry"),
    })
}

/// Compiles the static binaries; the folder that holds them.
fn compile() -> Result<PathBuf> {
    let target = workspace::target_dir();
    let status = workspace::cargo()
        .args(["build", "--bins", "--profile", "ci"])
        .args([
            "-p",
            "tenantry-operator",
            "-p",
            "tenantry-server",
            "-p",
            "tenantry-fakes",
            "-p",
            "tenantry-cli",
        ])
        .args(["--target", TRIPLE, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", STATIC)
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "the static binaries do not compile");
    Ok(target.join(TRIPLE).join("ci"))
}

/// Builds one image from a folder that holds just what its Dockerfile copies,
/// where the Dockerfile expects it.
fn package(binaries: &Path, name: &str, room: &str, files: &[&str]) -> Result<Image> {
    let dockerfile = workspace::root().join(room).join("Dockerfile");
    let folder = workspace::target_dir().join("images").join(name);
    let expected = folder.join("target").join(TRIPLE).join("ci");
    fs::create_dir_all(&expected).with_context(|| format!("create {}", expected.display()))?;
    let mut digest = Sha256::new();
    digest.update(fs::read(&dockerfile).with_context(|| format!("read {}", dockerfile.display()))?);
    for file in files {
        let binary = binaries.join(file);
        digest.update(fs::read(&binary).with_context(|| format!("read {}", binary.display()))?);
        fs::copy(&binary, expected.join(file))
            .with_context(|| format!("copy {}", binary.display()))?;
    }
    let reference = format!("localhost/{name}:{:.12}", hex(&digest.finalize()));
    let archive = build_image(&dockerfile, &folder, &reference)?;
    forget_older(&archive, name)?;
    Ok(Image { reference, archive })
}

/// Removes the archives of earlier contents.
fn forget_older(archive: &Path, name: &str) -> Result<()> {
    let folder = archive.parent().context("an archive has no folder")?;
    let prefix = format!("localhost_{name}_");
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        let is_older = path
            .file_name()
            .is_some_and(|file| file.to_string_lossy().starts_with(&prefix));
        if is_older && path != archive {
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Whether this machine can build for [`TRIPLE`] as it is.
pub fn can_build() -> Result<()> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("run rustc")?;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    ensure!(
        host == Some(TRIPLE),
        "the images are built for {TRIPLE}; this machine is {}",
        host.unwrap_or("unknown")
    );
    Ok(())
}
