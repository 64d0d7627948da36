//! `cargo xtask test`: everything that continuous integration checks, tier by
//! tier, the cheap ones first.

use std::ffi::OsStr;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use tenantry_cluster::progress::Progress;
use tenantry_cluster::tools::{Tool, Toolbox, cache_dir};
use tenantry_tests::namespace::print_evidence;

use crate::{clients, cluster, crds, install, up, workspace};

/// The release of cargo-deny that the checks were written for.
const CARGO_DENY: &str = "0.20.2";

/// A part of the tests, by what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// Format, lints, generated files, dependencies, charts.
    Lint,
    /// Unit and contract tests, servers in process.
    Unit,
    /// A kube-apiserver with etcd.
    Apiserver,
    /// A node with pods and enforced network policies; needs root.
    Cluster,
}

impl Tier {
    const ALL: [Self; 4] = [Self::Lint, Self::Unit, Self::Apiserver, Self::Cluster];

    fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::Apiserver => "apiserver",
            Self::Cluster => "cluster",
        }
    }

    fn run(self) -> Result<()> {
        match self {
            Self::Lint => lint(),
            Self::Unit => unit(),
            Self::Apiserver => apiserver(),
            Self::Cluster => cluster(),
        }
    }
}

/// Runs the tiers asked for, or all; stops at the first that fails.
pub fn run(asked: &[Tier]) -> Result<ExitCode> {
    let tiers = if asked.is_empty() { &Tier::ALL } else { asked };
    for tier in tiers {
        let started = Instant::now();
        println!("\n=== {} ===", tier.name());
        tier.run()
            .with_context(|| format!("the tier `{}` failed", tier.name()))?;
        println!(
            "=== {} passed in {:.0} s ===",
            tier.name(),
            started.elapsed().as_secs_f32()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn lint() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ])?;
    crds::run(true)?;
    deny()?;
    charts()
}

fn unit() -> Result<()> {
    cargo(&["test", "--workspace"])
}

fn apiserver() -> Result<()> {
    for [package, feature, test] in [
        ["tenantry-cluster", "cluster", "control_plane"],
        ["tenantry-server", "apiserver", "kubernetes"],
        ["tenantry-tests", "apiserver", "apiserver"],
    ] {
        cargo(&["test", "-p", package, "--features", feature, "--test", test])?;
    }
    Ok(())
}

/// The local cluster comes up and leaves nothing behind; then everything is
/// brought up in it as `cargo xtask up` does, proved, and taken down.
fn cluster() -> Result<()> {
    cargo(&[
        "test",
        "-p",
        "tenantry-cluster",
        "--features",
        "lifecycle",
        "--test",
        "lifecycle",
    ])?;
    let (target, installed) = up::up_for_tests()?;
    cargo(&[
        "test",
        "-p",
        "tenantry-cluster",
        "--features",
        "cluster",
        "--test",
        "cluster",
    ])?;
    let node = clients::install()?;
    let tested = cargo_with(
        &[
            "test",
            "-p",
            "tenantry-tests",
            "--features",
            "cluster",
            "--test",
            "cluster",
        ],
        &[
            ("KUBECONFIG", up::published_kubeconfig().as_os_str()),
            ("TENANTRY_KUBECTL", target.kubectl_program().as_os_str()),
            ("TENANTRY_FAKES_IMAGE", OsStr::new(&installed.fakes_image)),
            ("TENANTRY_NODE", node.as_os_str()),
        ],
    );
    if tested.is_err() {
        print_evidence(&target.kubectl(), install::NAMESPACE);
    }
    drop(target);
    let left = cluster::down()?;
    tested?;
    ensure!(left == ExitCode::SUCCESS, "`down` left something behind");
    Ok(())
}

fn deny() -> Result<()> {
    let home = cache_dir()?.join(format!("cargo-deny-{CARGO_DENY}"));
    let program = home.join("bin/cargo-deny");
    if !program.exists() {
        println!("building cargo-deny {CARGO_DENY} (once, about 3 minutes)");
        let mut install = workspace::cargo();
        install.args([
            "install",
            "cargo-deny",
            "--locked",
            "--quiet",
            "--version",
            CARGO_DENY,
            "--root",
        ]);
        run_to_end(
            install
                .arg(&home)
                .env("CARGO_TARGET_DIR", home.join("target")),
        )?;
        std::fs::remove_dir_all(home.join("target")).ok();
    }
    // Advisories need a database from the network; the rest needs none.
    let arguments = [
        "--offline",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ];
    run_to_end(
        Command::new(program)
            .args(arguments)
            .current_dir(workspace::root()),
    )
}

fn charts() -> Result<()> {
    let toolbox = Toolbox::open()?;
    toolbox.ensure(&[Tool::Helm], &Progress::notes_only())?;
    for chart in ["charts/tenantry-api", "charts/tenantry"] {
        let chart = workspace::root().join(chart);
        run_to_end(
            Command::new(toolbox.path(Tool::Helm))
                .args(["lint", "--strict"])
                .arg(chart),
        )?;
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(arguments, &[])
}

fn cargo_with(arguments: &[&str], environment: &[(&str, &OsStr)]) -> Result<()> {
    let mut cargo = workspace::cargo();
    cargo
        .args(arguments)
        .env("CARGO_TARGET_DIR", workspace::target_dir());
    run_to_end(cargo.envs(environment.iter().copied()))
}

fn run_to_end(command: &mut Command) -> Result<()> {
    let said = format!("{command:?}");
    let status = command.status().with_context(|| format!("run {said}"))?;
    ensure!(status.success(), "{said} failed");
    Ok(())
}
