//! The hidden commands: this program as the inside of the local Kubernetes' node.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use tenantry_cluster::node;

pub fn init() -> Result<ExitCode> {
    match node::init()? {}
}

pub fn run(control_plane: &str) -> Result<ExitCode> {
    match node::run(control_plane)? {}
}

pub fn agent(line: &[OsString]) -> Result<ExitCode> {
    match node::agent(line)? {}
}
