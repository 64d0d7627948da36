//! A port-forward to a pod, as a person without a gateway would use.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::kubectl::Kubectl;

/// A running `kubectl port-forward`; dropping it ends it.
pub struct Forward {
    child: Child,
    /// The port on 127.0.0.1.
    pub port: u16,
}

impl Forward {
    /// Forwards a free local port to `port` of a pod.
    pub fn to(kubectl: &Kubectl, namespace: &str, target: &str, port: u16) -> Result<Self> {
        let mut child = kubectl
            .command()
            .args(["port-forward", "-n", namespace, target])
            .args(["--address=127.0.0.1", &format!(":{port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("run kubectl port-forward")?;
        let stdout = child.stdout.take().context("kubectl has no stdout")?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line)?;
        // kubectl says a line for each connection, and ends when nobody reads
        // them; the thread ends with kubectl.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let mut forward = Self { child, port: 0 };
        // "Forwarding from 127.0.0.1:40913 -> 8080"
        let local = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("127.0.0.1:"));
        match local.map(str::parse) {
            Some(Ok(port)) => forward.port = port,
            _ => bail!(
                "kubectl port-forward to {target} in `{namespace}` said `{}`",
                line.trim()
            ),
        }
        Ok(forward)
    }

    /// The address of a path behind the forward.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
