//! kubectl: what a user types is what a test does.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// How long a test waits for anything in the cluster. Seen: seconds; the rest
/// is room for busy machines.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Between two looks at something that changes.
const GLANCE: Duration = Duration::from_millis(250);

/// kubectl, set up for one cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: OsString,
    options: Vec<String>,
    kubeconfig: Option<PathBuf>,
}

impl Kubectl {
    /// The cluster under test, as whoever started the tests says it in the
    /// environment: `TENANTRY_KUBECTL`, or what is on the PATH, with
    /// `KUBECONFIG`.
    pub fn from_environment() -> Self {
        let program = std::env::var_os("TENANTRY_KUBECTL");
        Self {
            program: program.unwrap_or_else(|| "kubectl".into()),
            options: vec![],
            kubeconfig: None,
        }
    }

    /// The cluster of a kubeconfig file.
    pub fn with_kubeconfig(program: &Path, kubeconfig: &Path) -> Self {
        Self {
            program: program.into(),
            options: vec![],
            kubeconfig: Some(kubeconfig.into()),
        }
    }

    /// The cluster of a context in the user's own kubeconfig.
    pub fn with_context(program: &Path, context: &str) -> Self {
        let options = vec!["--context".into(), context.into()];
        Self {
            program: program.into(),
            options,
            kubeconfig: None,
        }
    }

    /// The program with what chooses the cluster, and nothing else.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.options);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command
    }

    /// Runs kubectl; its output, whatever it says.
    pub fn output(&self, arguments: &[&str]) -> Result<Output> {
        self.command()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("run kubectl {}", arguments.join(" ")))
    }

    /// Runs kubectl, which has to succeed; what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments)?;
        ensure!(
            output.status.success(),
            "kubectl {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs `kubectl get` for one object or list.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run(&[&["get", "-o", "json"], arguments].concat())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Applies manifests; what kubectl printed.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        let output = self.output_of(&["apply", "-f", "-"], manifests)?;
        ensure!(
            output.status.success(),
            "kubectl apply failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What the API server says to the creation of `document`, without keeping
    /// it; nothing if it would.
    pub fn refusal(&self, document: &Value) -> Result<String> {
        self.refusal_of(&["create", "--dry-run=server", "-f", "-"], document)
    }

    /// The same for a server-side apply, which needs no right to read.
    pub fn apply_refusal(&self, document: &Value) -> Result<String> {
        let apply = ["apply", "--server-side", "--force-conflicts"];
        self.refusal_of(
            &[&apply[..], &["--dry-run=server", "-f", "-"]].concat(),
            document,
        )
    }

    /// Writes the status in `document` by server-side apply, which needs no
    /// right to read; what the API server says against it.
    pub fn apply_status(&self, document: &Value) -> Result<String> {
        let apply = ["apply", "--server-side", "--force-conflicts"];
        let status = ["--subresource=status", "--validate=false", "-f", "-"];
        self.refusal_of(&[&apply[..], &status].concat(), document)
    }

    fn refusal_of(&self, arguments: &[&str], document: &Value) -> Result<String> {
        let output = self.output_of(arguments, &document.to_string())?;
        let told = String::from_utf8(output.stderr)?;
        ensure!(
            output.status.success() || !told.is_empty(),
            "kubectl failed and says nothing"
        );
        Ok(if output.status.success() {
            String::new()
        } else {
            told
        })
    }

    /// Runs kubectl with that on its standard input; its output, whatever it
    /// says.
    fn output_of(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("run kubectl {}", arguments.join(" ")))?;
        let mut stdin = child.stdin.take().context("kubectl has no stdin")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        Ok(child.wait_with_output()?)
    }

    /// Waits until the tenant of a namespace reports Ready for its present
    /// generation.
    pub fn wait_for_ready(&self, namespace: &str) -> Result<Value> {
        wait_for(&format!("the tenant of `{namespace}` to be Ready"), || {
            let tenants = self.get(&["mcptenants", "-n", namespace])?;
            let tenant = &tenants["items"][0];
            let ready = condition(tenant, "Ready");
            let current = ready["observedGeneration"] == tenant["metadata"]["generation"];
            Ok((ready["status"] == "True" && current).then(|| tenant.clone()))
        })
    }
}

/// Looks until `condition` answers something, or patience ends.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let looked = condition();
        match looked {
            Ok(Some(found)) => return Ok(found),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("waiting for {what}")));
            }
            Ok(None) if Instant::now() > deadline => {
                bail!("{what} did not come within {PATIENCE:?}")
            }
            _ => std::thread::sleep(GLANCE),
        }
    }
}

/// The condition of that type, or null.
pub fn condition(object: &Value, type_: &str) -> Value {
    object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == type_)
        .cloned()
        .unwrap_or_default()
}
