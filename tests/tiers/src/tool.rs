//! The hand tool as people have it: the program that is built for them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// Names the program, in the environment of the tests.
pub const VARIABLE: &str = "TENANTRY_TOOL";

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it said, on stdout and then on stderr.
    pub told: String,
}

/// Runs it in a namespace, with the kubeconfig of the environment or another.
pub fn run(kubeconfig: Option<&Path>, namespace: &str, arguments: &[&str]) -> Result<Ended> {
    let program = std::env::var_os(VARIABLE)
        .with_context(|| format!("{VARIABLE} names no program; run `cargo xtask test cluster`"))?;
    let mut command = Command::new(program);
    command.args(arguments).args(["-n", namespace]);
    // By no proxy of this machine.
    command.env_remove("HTTPS_PROXY").env_remove("https_proxy");
    if let Some(kubeconfig) = kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    let output = command.output().context("run the hand tool")?;
    let told = [output.stdout, output.stderr].concat();
    Ok(Ended {
        code: output.status.code(),
        told: String::from_utf8(told)?,
    })
}
