//! `up`: the local Kubernetes, and Tenantry in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tenantry_cluster::cluster;

pub fn up() -> Result<ExitCode> {
    let this_program = std::env::current_exe().context("cannot find this program")?;
    let kubeconfig = publish(&cluster::up(&this_program)?)?;
    install(&kubeconfig)?;
    println!("export KUBECONFIG={}", kubeconfig.display());
    Ok(ExitCode::SUCCESS)
}

/// Where the cluster's kubeconfig lies in this source tree while the cluster runs.
pub fn published_kubeconfig() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tenantry/kubeconfig")
}

/// Installs Tenantry and the example into the cluster of `kubeconfig`.
#[expect(
    clippy::unnecessary_wraps,
    reason = "what is to be installed here can fail"
)]
fn install(_kubeconfig: &Path) -> Result<()> {
    Ok(())
}

fn publish(kubeconfig: &Path) -> Result<PathBuf> {
    let published = published_kubeconfig();
    let folder = published.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::copy(kubeconfig, &published))
        .and_then(|_| published.canonicalize())
        .with_context(|| format!("cannot write {}", published.display()))
}
