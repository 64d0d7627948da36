//! The operator as a process of its own, which a test can stop and kill.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tenantry_tests::kubectl::wait_for;
use tenantry_tests::port::own_port;

use crate::plane::{OPERATOR, Plane};

/// An operator with the rights that its chart gives it; killed when dropped.
pub struct OperatorProcess {
    name: String,
    child: Child,
    admin: String,
    log: PathBuf,
}

impl OperatorProcess {
    /// Starts one called `name`; its files lie in `folder`.
    pub fn start(plane: &Plane, folder: &Path, name: &str) -> Result<Self> {
        let config = folder.join("config.yaml");
        std::fs::write(&config, plane.settings()?)?;
        let log = folder.join(format!("{name}.log"));
        let admin = free_address()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry-operator-under-test"));
        command
            .args(["--admin", &admin, "--canary", "127.0.0.1:0"])
            .args(["--identity", name, "--config"])
            .arg(config)
            .env("KUBECONFIG", plane.kubeconfig_for(OPERATOR)?)
            .env("RUST_LOG", "info")
            .stderr(File::create(&log)?);
        let child = command.spawn().context("start the operator")?;
        Ok(Self {
            name: name.into(),
            child,
            admin,
            log,
        })
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let what = format!("the operator `{}` to end", self.name);
        wait_for(&what, || Ok(self.child.try_wait()?)).unwrap()
    }

    /// Waits until the admin port says it is ready; the words in which it does.
    pub fn wait_until_ready(&self) -> String {
        let what = format!("the operator `{}` to be ready", self.name);
        wait_for(&what, || {
            let (status, words) = self.ask("readyz")?;
            Ok((status == 200).then_some(words))
        })
        .unwrap()
    }

    /// What of it is in memory, in KiB.
    #[allow(dead_code, reason = "only the benchmark asks")]
    #[cfg_attr(
        not(feature = "bench"),
        expect(dead_code, reason = "only the benchmark asks")
    )]
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap().trim_end_matches("kB").trim().parse().unwrap()
    }

    /// Its metrics.
    pub fn metrics(&self) -> String {
        self.ask("metrics").unwrap().1
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn ask(&self, path: &str) -> Result<(u16, String)> {
        let url = format!("http://{}/{path}", self.admin);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            // No TLS here, but the client wants to know how it would be done.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let answer = reqwest::get(url).await?;
            Ok((answer.status().as_u16(), answer.text().await?))
        })
    }
}

impl Drop for OperatorProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the log of `{}`\n{}", self.name, self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> Result<String> {
    Ok(format!("127.0.0.1:{}", own_port()?))
}
