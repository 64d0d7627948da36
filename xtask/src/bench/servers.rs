//! The servers that are compared, each a program on a core of its own.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tenantry_cluster::command::succeeds;
use tenantry_cluster::tools::cache_dir;

use crate::{clients, workspace};

/// The release of FastMCP that is measured.
const FASTMCP: &str = "4.1.6";
/// Interpreted servers take seconds to start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// The core of whichever server has the load; the load has another.
pub const SERVER_CORE: &str = "0";

/// A server that runs, idle until it gets the load.
pub struct Server {
    /// In the table.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// The tool that is called.
    pub tool: &'static str,
    /// The API key, where it wants one.
    pub key: Option<String>,
    /// Lines on its stdout so far.
    pub lines: Arc<AtomicU64>,
    child: Child,
}

impl Server {
    /// Starts ours, the bare rmcp, the TypeScript SDK and FastMCP.
    pub fn all(binaries: &Path) -> Result<Vec<Self>> {
        let node = clients::install()?;
        let python = fastmcp()?;
        let scripts = workspace::root().join("tests/bench/servers");
        let ours = |address: SocketAddr| {
            let mut command = on_core(&binaries.join("bench-server"));
            command.args(["--listen", &address.to_string()]);
            command
        };
        let bare = |address: SocketAddr| {
            let mut command = on_core(&binaries.join("bench-echo"));
            command.args(["--listen", &address.to_string()]);
            command
        };
        let typescript = |address: SocketAddr| {
            let mut command = on_core(&node);
            command
                .arg(scripts.join("echo.mjs"))
                .arg(address.port().to_string());
            command.arg(workspace::root().join("tests/clients"));
            command
        };
        let python = |address: SocketAddr| {
            let mut command = on_core(Path::new("python3"));
            command
                .arg(scripts.join("echo.py"))
                .arg(address.port().to_string());
            command.env("PYTHONPATH", &python);
            command
        };
        Ok(vec![
            Self::start(
                "Tenantry, whole pipeline",
                "meta_list_campaigns",
                true,
                ours,
            )?,
            Self::start("rmcp, bare echo", "echo", false, bare)?,
            Self::start("TypeScript SDK, echo", "echo", false, typescript)?,
            Self::start("FastMCP, echo", "echo", false, python)?,
        ])
    }

    fn start(
        name: &'static str,
        tool: &'static str,
        has_key: bool,
        command: impl FnOnce(SocketAddr) -> Command,
    ) -> Result<Self> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let mut command = command(address);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        if has_key {
            command.stderr(Stdio::piped());
        }
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let key = match child.stderr.take() {
            None => None,
            Some(stderr) => Some(first_line(stderr)?),
        };
        let lines = Arc::new(AtomicU64::new(0));
        let stdout = child.stdout.take().context("no stdout")?;
        let counted = Arc::clone(&lines);
        std::thread::spawn(move || count_lines(stdout, &counted));
        let mut server = Self {
            name,
            address,
            tool,
            key,
            lines,
            child,
        };
        server.wait_until_open()?;
        Ok(server)
    }

    fn wait_until_open(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended before it listened: {status}", self.name);
            }
            ensure!(Instant::now() < deadline, "{} does not listen", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Resident memory in KiB: all of it, and the part that is no file.
    pub fn memory_kib(&self) -> Result<(u64, u64)> {
        memory_kib(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory of a process in KiB: all of it, and the part that is no file.
pub fn memory_kib(pid: u32) -> Result<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok())
            .with_context(|| format!("no {name} in /proc/{pid}/status"))
    };
    Ok((field("VmRSS:")?, field("RssAnon:")?))
}

fn on_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", SERVER_CORE]).arg(program);
    command
}

fn first_line(stderr: impl std::io::Read + Send + 'static) -> Result<String> {
    let mut reader = BufReader::new(stderr);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    // The rest is for people.
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::stderr()));
    Ok(line.trim().to_owned())
}

fn count_lines(stdout: impl std::io::Read, lines: &AtomicU64) {
    for line in BufReader::new(stdout).split(b'\n') {
        if line.is_err() {
            return;
        }
        lines.fetch_add(1, Ordering::Relaxed);
    }
}

/// FastMCP in a folder of its own; the folder.
fn fastmcp() -> Result<PathBuf> {
    let home = cache_dir()?.join(format!("fastmcp-{FASTMCP}"));
    let done = home.join("complete");
    if !done.exists() {
        println!("installing FastMCP {FASTMCP} (once)");
        ensure!(
            succeeds(
                Command::new("python3")
                    .args(["-m", "pip", "install", "--quiet", "--target"])
                    .arg(&home)
                    .arg(format!("fastmcp=={FASTMCP}"))
            ),
            "FastMCP needs python3 with pip (Debian: apt-get install python3-pip)"
        );
        std::fs::write(&done, "")?;
    }
    Ok(home)
}
