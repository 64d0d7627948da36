//! `up`: a Kubernetes, Tenantry in it, and a first organisation with a first
//! call.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tenantry_cluster::cluster;
use tenantry_cluster::progress::Progress;

use crate::install::{self, Installed};
use crate::target::Target;
use crate::{clients, images, tour};

/// Brings everything up, in a local cluster or in the one of `context`.
pub fn up(context: Option<&str>, registry: Option<&str>) -> Result<ExitCode> {
    images::can_build()?;
    let target = match context {
        None => local()?,
        Some(context) => Target::existing(context, registry)?,
    };
    let progress = Progress::new(install::STEPS + 1 + tour::STEPS);
    let installed = install::install(&target, &progress)?;
    publish_plugin(&installed.tool)?;
    let node = clients::install()?;
    progress.step("MCP clients installed");
    let tour = tour::take(&target.kubectl(), &node, &progress)?;
    tour::tell(&tour, &target)?;
    Ok(ExitCode::SUCCESS)
}

/// The local cluster with Tenantry in it, and nothing else; for tests.
pub fn up_for_tests() -> Result<(Target, Installed)> {
    images::can_build()?;
    let target = local()?;
    let installed = install::install(&target, &Progress::new(install::STEPS))?;
    Ok((target, installed))
}

/// Where the local cluster's kubeconfig lies in this source tree while the
/// cluster runs.
pub fn published_kubeconfig() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tenantry/kubeconfig")
}

/// Where the hand tool lies under its name as a plugin of kubectl.
pub fn published_plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tenantry/bin")
}

/// A file of its own: somebody may run the one that is there.
fn publish_plugin(tool: &Path) -> Result<()> {
    let folder = published_plugins();
    let plugin = folder.join("kubectl-mcp");
    let fresh = folder.join(".kubectl-mcp");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::copy(tool, &fresh))
        .and_then(|_| fs::rename(&fresh, &plugin))
        .with_context(|| format!("cannot write {}", plugin.display()))
}

/// Not by its path: a build in between may have put another file there.
const THIS_PROGRAM: &str = "/proc/self/exe";

fn local() -> Result<Target> {
    let kubeconfig = publish(&cluster::up(Path::new(THIS_PROGRAM))?)?;
    Target::local(&kubeconfig)
}

fn publish(kubeconfig: &Path) -> Result<PathBuf> {
    let published = published_kubeconfig();
    let folder = published.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::copy(kubeconfig, &published))
        .and_then(|_| published.canonicalize())
        .with_context(|| format!("cannot write {}", published.display()))
}
