//! `down` and `status` of the local Kubernetes.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use tenantry_cluster::cluster::{self, Status};
use tenantry_cluster::site;
use tenantry_cluster::tools::Tool;

use crate::tools;
use crate::up::published_kubeconfig;

pub fn down() -> Result<ExitCode> {
    cluster::down()?;
    // It is not there if the cluster was brought up from another source tree.
    let _ = fs::remove_file(published_kubeconfig());
    let left = cluster::leftovers()?;
    for line in &left {
        eprintln!("left: {line}");
    }
    Ok(if left.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Starts the log agent in the cluster that runs; the file that it writes.
pub fn start_log_agent() -> Result<PathBuf> {
    let toolbox = tools::with(&[Tool::Otelcol])?;
    Ok(cluster::start_log_agent(&toolbox)?)
}

pub fn status() -> ExitCode {
    match cluster::status() {
        Status::Running => println!("running; KUBECONFIG={}", site::kubeconfig().display()),
        Status::Broken => println!("broken: `cargo xtask up` starts anew, `down` clears away"),
        Status::Absent => println!("not there"),
    }
    ExitCode::SUCCESS
}
