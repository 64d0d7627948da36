//! `cargo xtask test`: everything that continuous integration checks, tier by
//! tier, the cheap ones first.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde_json::Value;
use tenantry_cluster::control_plane::AUDIT_DIR;
use tenantry_cluster::tools::{Tool, cache_dir};
use tenantry_cluster::{packages, site};
use tenantry_tests::namespace::print_evidence;
use tenantry_tests::secrets::RunSecrets;
use tenantry_tests::{delivery, secrets, tool};

use crate::install::{self, Installed};
use crate::target::Target;
use crate::{clients, cluster, crds, grants, images, tools, up, workspace};

/// The release of cargo-deny that the checks were written for.
const CARGO_DENY: &str = "0.20.2";

/// What guards tests that need more than this machine, and what lets the real
/// server die at chosen steps, which no image has.
const FEATURES: [&str; 7] = [
    "tenantry-cluster/cluster",
    "tenantry-cluster/lifecycle",
    "tenantry-server/apiserver",
    "tenantry-server/clients",
    "tenantry-server/crash-points",
    "tenantry-tests/apiserver",
    "tenantry-tests/cluster",
];

/// What guards the benchmark, which is no test.
const BENCH: &str = "bench";

/// The tests of a server in process, and those of them that call it with the SDK
/// clients.
const SERVER: &str = "server";
const CLIENTS: &str = "clients::";

/// A part of the tests, by what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// Format, lints, generated files, dependencies, charts.
    Lint,
    /// Unit and contract tests, servers in process.
    Unit,
    /// The official SDK clients against a server in process.
    Clients,
    /// A kube-apiserver with etcd.
    Apiserver,
    /// A node with pods and enforced network policies; needs root.
    Cluster,
}

impl Tier {
    const ALL: [Self; 5] = [
        Self::Lint,
        Self::Unit,
        Self::Clients,
        Self::Apiserver,
        Self::Cluster,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::Clients => "clients",
            Self::Apiserver => "apiserver",
            Self::Cluster => "cluster",
        }
    }

    fn run(self) -> Result<()> {
        match self {
            Self::Lint => lint(),
            Self::Unit => unit(),
            Self::Clients => sdk_clients(),
            Self::Apiserver => apiserver(),
            Self::Cluster => cluster(),
        }
    }
}

/// Runs the tiers asked for, or all; stops at the first that fails.
pub fn run(asked: &[Tier]) -> Result<ExitCode> {
    let tiers = if asked.is_empty() { &Tier::ALL } else { asked };
    // Said now rather than after half an hour.
    if tiers.contains(&Tier::Cluster) {
        ensure!(
            rustix::process::geteuid().is_root(),
            "the tier `cluster` needs root; `cargo xtask test lint unit clients apiserver` does not"
        );
        packages::ensure()?;
    }
    if tiers.contains(&Tier::Unit) || tiers.contains(&Tier::Apiserver) {
        packages::ensure_database()?;
    }
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
    let tests = tests_by_themselves()?;
    let others = tests.iter().filter(|name| *name != SERVER);
    let others: Vec<&str> = others.flat_map(|name| ["--test", name]).collect();
    cargo_test(&[&["--lib", "--bins"], &others[..]].concat(), &[])?;
    cargo_test(&["--test", SERVER, "--", "--skip", CLIENTS], &[])?;
    cargo_test(&["--doc"], &[])
}

/// The names of the tests that need nothing but this machine: those that none of
/// these features guards.
fn tests_by_themselves() -> Result<BTreeSet<String>> {
    let mut metadata = workspace::cargo();
    metadata.args(["metadata", "--no-deps", "--format-version=1"]);
    let output = metadata.output().context("run cargo metadata")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo metadata: {told}");
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let mut names = BTreeSet::new();
    let mut guarded = BTreeSet::new();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    for target in packages.flat_map(|package| package["targets"].as_array().into_iter().flatten()) {
        let (Some(name), true) = (target["name"].as_str(), target["kind"][0] == "test") else {
            continue;
        };
        let mut required = target["required-features"].as_array().into_iter().flatten();
        let is_guarded = required.any(|feature| is_guard(feature.as_str().unwrap_or_default()));
        let set = if is_guarded { &mut guarded } else { &mut names };
        set.insert(name.to_owned());
    }
    let both: Vec<_> = names.intersection(&guarded).collect();
    ensure!(
        names.contains(SERVER) && both.is_empty(),
        "tests of the same name: {both:?}"
    );
    Ok(names)
}

fn sdk_clients() -> Result<()> {
    let environment = [
        ("TENANTRY_NODE", clients::install()?.into_os_string()),
        (
            "TENANTRY_PYTHON",
            clients::install_python()?.into_os_string(),
        ),
    ];
    cargo_test(&["--test", SERVER, "--", CLIENTS], &environment)
}

/// What operator and server do there is written down by the API servers, and
/// held against the rights that they have.
fn apiserver() -> Result<()> {
    test_binary("control_plane", &[])?;
    let logs = workspace::target_dir().join("api-audit");
    if logs.exists() {
        fs::remove_dir_all(&logs).context("remove the audit logs of an earlier run")?;
    }
    fs::create_dir_all(&logs).context("create a folder for audit logs")?;
    let audited = [(AUDIT_DIR, logs.clone().into_os_string())];
    test_binary("kubernetes", &audited)?;
    test_binary("crash", &audited)?;
    test_binary("race", &[])?;
    test_binary("apiserver", &audited)?;
    test_binary("faults", &audited)?;
    grants::check(&logs)
}

/// The local cluster comes up and leaves nothing behind; then everything is
/// brought up in it as `cargo xtask up` does, proved, and taken down.
fn cluster() -> Result<()> {
    // What takes long on a new machine is done first, where it shows progress
    // and no test waits for it.
    tools::with(&Tool::ALL)?;
    images::build()?;
    test_binary("lifecycle", &[])?;
    let tested = up::up_for_tests().and_then(|(target, installed)| prove(&target, &installed));
    let left = cluster::down()?;
    tested?;
    ensure!(left == ExitCode::SUCCESS, "`down` left something behind");
    Ok(())
}

/// The tests of a cluster with Tenantry in it; what they leave to look at when
/// one fails.
fn prove(target: &Target, installed: &Installed) -> Result<()> {
    test_binary("node", &[])?;
    let node = clients::install()?;
    let delivered_logs = cluster::start_log_agent()?;
    let run_secrets = site::path("run-secrets");
    RunSecrets::generate()?.save(&run_secrets)?;
    let environment = [
        ("KUBECONFIG", up::published_kubeconfig().into_os_string()),
        ("TENANTRY_KUBECTL", target.kubectl_program().into()),
        ("TENANTRY_FAKES_IMAGE", installed.fakes_image.clone().into()),
        ("TENANTRY_NODE", node.into_os_string()),
        (tool::VARIABLE, installed.tool.clone().into_os_string()),
        (delivery::VARIABLE, delivered_logs.into_os_string()),
        (secrets::VARIABLE, run_secrets.into_os_string()),
    ];
    let run = |test| test_binary(test, &environment);
    // In this order: the second takes the operator away, the last one searches
    // what all of them left.
    let tested = ["cluster", "outage", "canaries"]
        .into_iter()
        .try_for_each(run);
    if tested.is_err() {
        print_evidence(&target.kubectl(), install::NAMESPACE);
    }
    tested
}

fn is_guard(feature: &str) -> bool {
    let guards = FEATURES.iter().filter_map(|guard| guard.split('/').nth(1));
    feature == BENCH || { guards }.any(|guard| guard == feature)
}

/// Runs one test binary.
fn test_binary(test: &str, environment: &[(&str, OsString)]) -> Result<()> {
    cargo_test(&["--test", test], environment)
}

/// `cargo test` of the whole workspace with all that guards tests: for one
/// package alone, or with other features, everything would be built once more.
fn cargo_test(arguments: &[&str], environment: &[(&str, OsString)]) -> Result<()> {
    let features = FEATURES.join(",");
    let all = ["test", "--workspace", "--features", &features];
    cargo_with(&[&all, arguments].concat(), environment)
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
        fs::remove_dir_all(home.join("target")).ok();
    }
    // The check reads the crates of every platform; a build fetches its own only.
    cargo(&["fetch", "--locked"])?;
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
    let toolbox = tools::with(&[Tool::Helm])?;
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

fn cargo_with(arguments: &[&str], environment: &[(&str, OsString)]) -> Result<()> {
    let mut cargo = workspace::cargo();
    cargo
        .args(arguments)
        .env("CARGO_TARGET_DIR", workspace::target_dir());
    run_to_end(cargo.envs(environment.iter().map(|(name, value)| (name, value))))
}

fn run_to_end(command: &mut Command) -> Result<()> {
    let said = format!("{command:?}");
    let status = command.status().with_context(|| format!("run {said}"))?;
    ensure!(status.success(), "{said} failed");
    Ok(())
}
