//! `cargo xtask dist`: the hand tool as people get it, an archive for the
//! platform that it is built on, and the manifest by which Krew installs it.
//! Nothing is uploaded.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tenantry_cluster::tools::hex;

use crate::{images, workspace};

/// The plugin of kubectl, which Krew calls by what stands behind `kubectl-`.
const PLUGIN: &str = "kubectl-mcp";

/// All of the manifest but its platforms.
const MANIFEST: &str = include_str!("../../cli/krew/mcp.yaml");

/// Where it goes, in the folder of what cargo builds.
const FOLDER: &str = "dist";

/// A platform that the tool is built for.
struct Platform {
    /// As Krew names them.
    os: &'static str,
    arch: &'static str,
    /// As the compiler does.
    triple: &'static str,
    /// A program that runs wherever its kernel does.
    flags: &'static str,
}

const PLATFORMS: [Platform; 4] = [
    Platform {
        os: "linux",
        arch: "amd64",
        triple: "x86_64-unknown-linux-gnu",
        flags: images::STATIC,
    },
    Platform {
        os: "linux",
        arch: "arm64",
        triple: "aarch64-unknown-linux-gnu",
        flags: images::STATIC,
    },
    Platform {
        os: "darwin",
        arch: "amd64",
        triple: "x86_64-apple-darwin",
        flags: "",
    },
    Platform {
        os: "darwin",
        arch: "arm64",
        triple: "aarch64-apple-darwin",
        flags: "",
    },
];

/// Builds the archive of this machine's platform, and writes the manifest for all
/// archives of this version in the folder: those of other machines are put there
/// before. `from` is where they will be found.
pub fn run(from: &str) -> Result<ExitCode> {
    ensure!(
        from.starts_with("https://"),
        "archives are had from an address that begins with https://"
    );
    let folder = workspace::target_dir().join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let platform = PLATFORMS.iter().find(|platform| platform.is_here());
    let platform = platform.context("the hand tool is not built for this platform")?;
    let program = compile(platform)?;
    let archive = folder.join(platform.archive());
    let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
    let packed = packed(&[
        (PLUGIN, 0o755, read(&program)?),
        ("LICENSE", 0o644, read(&workspace::root().join("LICENSE"))?),
    ])?;
    fs::write(&archive, packed).with_context(|| format!("writing {}", archive.display()))?;
    let mut entries = Vec::new();
    for platform in &PLATFORMS {
        let name = platform.archive();
        if let Ok(bytes) = fs::read(folder.join(&name)) {
            println!("{}", folder.join(&name).display());
            entries.push(platform.entry(from, &bytes));
        }
    }
    let manifest = folder.join("mcp.yaml");
    let text = serde_saphyr::to_string(&manifest_of(entries)?).context("writing YAML")?;
    fs::write(&manifest, text).with_context(|| format!("writing {}", manifest.display()))?;
    println!("{}", manifest.display());
    Ok(ExitCode::SUCCESS)
}

/// Compiles the hand tool for people.
fn compile(platform: &Platform) -> Result<PathBuf> {
    let target = workspace::target_dir();
    let status = workspace::cargo()
        .args(["build", "--release", "-p", "tenantry-cli", "--bins"])
        .args(["--target", platform.triple, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", platform.flags)
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "the hand tool does not compile");
    Ok(target.join(platform.triple).join("release/tenantry"))
}

/// The same bytes for the same files, whoever packs them and when.
fn packed(files: &[(&str, u32, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, mode, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(*mode);
        header.set_size(bytes.len() as u64);
        archive
            .append_data(&mut header, name, bytes.as_slice())
            .with_context(|| format!("packing {name}"))?;
    }
    let archive = archive.into_inner().context("packing")?;
    // gzip is wherever tar is, and a crate for it would be for this alone.
    let mut gzip = Command::new("gzip")
        .args(["-9", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("run gzip")?;
    let mut stdin = gzip.stdin.take().context("gzip takes nothing")?;
    let writing = std::thread::spawn(move || stdin.write_all(&archive));
    let output = gzip.wait_with_output().context("run gzip")?;
    let is_written = writing.join().is_ok_and(|written| written.is_ok());
    ensure!(output.status.success() && is_written, "gzip failed");
    Ok(output.stdout)
}

/// The manifest with these platforms.
fn manifest_of(platforms: Vec<Value>) -> Result<Value> {
    let mut manifest: Value = serde_saphyr::from_str(MANIFEST).context("cli/krew/mcp.yaml")?;
    manifest["spec"]["platforms"] = platforms.into();
    Ok(manifest)
}

impl Platform {
    fn is_here(&self) -> bool {
        let os = if self.os == "darwin" {
            "macos"
        } else {
            self.os
        };
        self.triple.starts_with(std::env::consts::ARCH) && std::env::consts::OS == os
    }

    fn archive(&self) -> String {
        let Self { os, arch, .. } = self;
        format!("{PLUGIN}-v{}-{os}-{arch}.tar.gz", env!("CARGO_PKG_VERSION"))
    }

    fn entry(&self, from: &str, archive: &[u8]) -> Value {
        json!({
            "selector": {"matchLabels": {"os": self.os, "arch": self.arch}},
            "uri": format!("{}/{}", from.trim_end_matches('/'), self.archive()),
            "sha256": hex(&Sha256::digest(archive)),
            "files": [{"from": PLUGIN, "to": "."}, {"from": "LICENSE", "to": "."}],
            "bin": PLUGIN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the maintainers of Krew's index ask for (its naming guide, and what
    /// they tell who submits a plugin).
    const LONGEST_SHORT_DESCRIPTION: usize = 50;
    const LONGEST_LINE: usize = 80;

    #[test]
    fn krew_takes_the_manifest_and_it_is_of_this_version() {
        let manifest = manifest_of(vec![]).unwrap();
        let word = |place: &str| manifest.pointer(place).and_then(Value::as_str).unwrap();
        assert_eq!(
            word("/apiVersion"),
            "krew.googlecontainertools.github.com/v1alpha2"
        );
        assert_eq!(word("/kind"), "Plugin");
        let name = word("/metadata/name");
        assert_eq!(format!("kubectl-{name}"), PLUGIN);
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()));
        assert_eq!(
            word("/spec/version"),
            concat!("v", env!("CARGO_PKG_VERSION"))
        );
        let short = word("/spec/shortDescription");
        let length = short.chars().count();
        assert!((1..=LONGEST_SHORT_DESCRIPTION).contains(&length), "{short}");
        assert!(!short.contains('\n') && !short.to_lowercase().contains("kubectl"));
        for text in ["/spec/description", "/spec/caveats"] {
            let mut lines = word(text).lines();
            assert!(lines.all(|line| line.chars().count() <= LONGEST_LINE));
        }
    }

    #[test]
    fn a_platform_is_found_where_its_archive_is() {
        assert_eq!(
            PLATFORMS.iter().filter(|one| one.is_here()).count(),
            1,
            "this machine"
        );
        let entries = PLATFORMS.iter();
        let entries = entries.map(|platform| platform.entry("https://host.example/v1/", b"x"));
        let manifest = manifest_of(entries.collect()).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            manifest["spec"]["platforms"][3],
            json!({
                "selector": {"matchLabels": {"os": "darwin", "arch": "arm64"}},
                "uri": format!("https://host.example/v1/kubectl-mcp-v{version}-darwin-arm64.tar.gz"),
                "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
                "files": [{"from": "kubectl-mcp", "to": "."}, {"from": "LICENSE", "to": "."}],
                "bin": "kubectl-mcp",
            })
        );
    }

    #[test]
    fn the_same_files_are_packed_to_the_same_bytes() {
        let files = [(PLUGIN, 0o755, vec![1; 4096]), ("LICENSE", 0o644, vec![])];
        let once = packed(&files).unwrap();
        assert_eq!(once, packed(&files).unwrap());
        assert_eq!(once[..2], [0x1f, 0x8b]);
    }
}
