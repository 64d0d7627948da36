//! The pinned programs: building them, and running kubectl and Helm of the very versions
//! that the local Kubernetes is tested with.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use tenantry_cluster::cluster;
use tenantry_cluster::progress::Progress;
use tenantry_cluster::site;
use tenantry_cluster::tools::{Tool, Toolbox};

use crate::up::published_plugins;

pub fn build() -> Result<ExitCode> {
    let toolbox = with(&Tool::ALL)?;
    for tool in Tool::ALL {
        println!("{}", toolbox.path(tool).display());
    }
    Ok(ExitCode::SUCCESS)
}

pub fn kubectl(args: &[OsString]) -> Result<ExitCode> {
    ensure!(
        site::kubeconfig().exists(),
        "the local Kubernetes is not up: `cargo xtask up`"
    );
    let toolbox = with(&[Tool::Kubectl])?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(published_plugins()).chain(std::env::split_paths(&path));
    let mut kubectl = cluster::kubectl(&toolbox);
    kubectl.env("PATH", std::env::join_paths(folders)?);
    become_program(&mut kubectl, args)
}

pub fn helm(args: &[OsString]) -> Result<ExitCode> {
    let toolbox = with(&[Tool::Helm])?;
    become_program(&mut cluster::helm(&toolbox), args)
}

/// The toolbox with these programs in it, built if need be.
pub fn with(tools: &[Tool]) -> Result<Toolbox> {
    let toolbox = Toolbox::open()?;
    toolbox.ensure(tools, &Progress::notes_only())?;
    Ok(toolbox)
}

fn become_program(command: &mut Command, args: &[OsString]) -> Result<ExitCode> {
    let error = command.args(args).exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().display()))
}
