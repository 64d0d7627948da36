//! Tenantry into a cluster, by the charts that users install.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tenantry_cluster::progress::Progress;

use crate::images::{self, Images};
use crate::target::Target;
use crate::workspace;

/// The namespace of the operator.
pub const NAMESPACE: &str = "tenantry-system";

/// How many steps [`install`] reports.
pub const STEPS: usize = 4;

/// What was installed.
pub struct Installed {
    /// The image that holds the fake vendors and the network probe.
    pub fakes_image: String,
    /// The hand tool's program.
    pub tool: PathBuf,
}

/// Builds the images, brings them to the cluster and installs both charts.
/// The operator runs as a sandbox: its vendors are the fake ones.
pub fn install(target: &Target, progress: &Progress) -> Result<Installed> {
    progress.note("compiling static binaries (minutes at the first time)");
    let Images {
        operator,
        server,
        fakes,
        tool,
    } = images::build()?;
    progress.step("images built");
    let operator = target.load(&operator)?;
    let server = target.load(&server)?;
    let fakes_image = target.load(&fakes)?;
    progress.step("images brought to the node");
    let (servers, _) = server.rsplit_once(':').context("an image has no tag")?;
    let allowed = format!("server.images[0]={servers}");
    chart(target, "tenantry-api", &[allowed])?;
    progress.step("chart tenantry-api installed");
    let mut values = vec![
        "sandbox.enabled=true".into(),
        "network.gateways[0].namespaceSelector.matchLabels.tenantry\\.dev/gateway=true".into(),
        "network.scrapers[0].namespaceSelector.matchLabels.tenantry\\.dev/scraper=true".into(),
    ];
    for (key, reference) in [
        ("image", &operator),
        ("server.image", &server),
        ("sandbox.image", &fakes_image),
    ] {
        let (repository, tag) = reference.rsplit_once(':').context("an image has no tag")?;
        values.push(format!("{key}.repository={repository}"));
        values.push(format!("{key}.tag={tag}"));
    }
    chart(target, "tenantry", &values)?;
    progress.step("chart tenantry installed, operator ready");
    Ok(Installed { fakes_image, tool })
}

/// Installs or upgrades one chart and waits until what it starts is ready.
fn chart(target: &Target, name: &str, values: &[String]) -> Result<()> {
    let mut helm = target.helm();
    helm.args(["upgrade", "--install", name])
        .arg(workspace::root().join("charts").join(name));
    helm.args([
        "--namespace",
        NAMESPACE,
        "--create-namespace",
        "--wait",
        "--timeout",
        "3m",
    ]);
    for value in values {
        helm.args([
            if value.ends_with("enabled=true") {
                "--set"
            } else {
                "--set-string"
            },
            value,
        ]);
    }
    quietly(&mut helm).with_context(|| format!("install the chart {name}"))
}

/// Runs a program whose output is of interest only when it fails.
fn quietly(command: &mut Command) -> Result<()> {
    let output = command.output().context("run helm")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
