//! The real server in a process of its own, that may die at a step, and all
//! that it says.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// How long anything of one case may take. Machines are busy.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Between two looks at something that takes its time.
pub const LOOK: Duration = Duration::from_millis(20);

/// Longer than the quiet time of the connector and than a claim lasts.
const AHEAD_S: u32 = 100;

/// What a call came to.
#[derive(Debug)]
pub enum Heard {
    /// The envelope.
    Answer(Box<Value>),
    /// The process died before it answered.
    Nothing,
}

/// What a process is started with.
#[derive(Clone, Copy)]
pub struct Start<'s> {
    /// Where it lives.
    pub home: &'s [OsString],
    /// Who it is in a cluster, if it lives in one.
    pub kubeconfig: Option<&'s Path>,
    /// The flag that says where the ledger is, and its value.
    pub ledger: (&'s str, &'s Path),
    /// After which step it dies.
    pub dies_after: Option<&'s str>,
    /// At which step it waits for whom, if somebody listens there.
    pub gate: Option<&'s str>,
    /// How many processes there were before: each has a clock that is further
    /// ahead.
    pub number: u32,
    /// How long the vendor is waited for.
    pub vendor_within_ms: u32,
}

/// A running server.
pub struct Program {
    child: Child,
    said: Said,
    readers: Vec<JoinHandle<()>>,
    url: String,
    http: reqwest::Client,
}

/// What a process says; it outlives the process.
#[derive(Clone, Default)]
pub struct Said {
    /// Its audit lines.
    pub audit: Text,
    /// Its log.
    pub log: Text,
}

/// What comes out of a pipe, as it comes.
#[derive(Clone, Default)]
pub struct Text(Arc<Mutex<Vec<u8>>>);

/// The flags of a process that lives with a folder of documents and a fake vendor.
pub fn in_folder(dir: &Path, vendor: &str) -> [OsString; 3] {
    let vendor = format!("--sandbox-base-url=meta={vendor}");
    ["--dir".into(), dir.into(), vendor.into()]
}

/// Looks until there is something to see. Whoever runs a case bounds it.
pub async fn until<T>(mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Program {
    /// Starts one.
    pub fn start(start: Start<'_>) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry-server"));
        command.args(start.home);
        command.arg(start.ledger.0).arg(start.ledger.1);
        for port in ["--mcp-listen", "--admin-listen", "--activity-listen"] {
            command.args([port, "127.0.0.1:0"]);
        }
        let ahead = start.number * AHEAD_S;
        command
            .env("TENANTRY_CRASH_CLOCK_AHEAD_S", ahead.to_string())
            .env("TENANTRY_CRASH_SETTLE_EVERY_MS", "100")
            .env(
                "TENANTRY_CRASH_VENDOR_WITHIN_MS",
                start.vendor_within_ms.to_string(),
            );
        if let Some(step) = start.dies_after {
            command.env("TENANTRY_CRASH_AT", step);
        }
        if let Some(gate) = start.gate {
            command.env("TENANTRY_CRASH_GATE", gate);
        }
        if let Some(kubeconfig) = start.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        let command = command.stdin(Stdio::null());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting the server")?;
        let said = Said::default();
        let readers = vec![
            said.audit.follow(child.stdout.take().context("no stdout")?),
            said.log.follow(child.stderr.take().context("no stderr")?),
        ];
        Ok(Self {
            child,
            said,
            readers,
            url: String::new(),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(PATIENCE / 2)
                .build()?,
        })
    }

    /// What it says, now and later.
    pub fn said(&self) -> Said {
        self.said.clone()
    }

    /// Returns when it serves, or has died of what it found to settle.
    pub async fn serves(&mut self) -> Result<()> {
        self.url = self.serving().await?;
        Ok(())
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn serving(&mut self) -> Result<String> {
        let address = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let address = line["address"].as_str().map(ToOwned::to_owned);
            address.filter(|_| line["message"] == "serving")
        };
        until(|| {
            if let Some(address) = self.said.log.text().lines().find_map(address) {
                return Ok(Some(format!("http://{address}/mcp")));
            }
            Ok(self.is_dead()?.then(String::new))
        })
        .await
    }

    /// One call of a tool.
    pub async fn call(&mut self, key: &str, tool: &str, arguments: &Value) -> Result<Heard> {
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        });
        let request = self.http.post(self.url()).bearer_auth(key);
        let request = request.header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream");
        let answered = async { request.body(call.to_string()).send().await?.text().await };
        let text = match answered.await {
            Ok(text) => text,
            Err(error) => {
                let died = tokio::time::timeout(PATIENCE / 4, self.killed());
                let died = died.await.context("the process lives");
                died.and_then(|died| died)
                    .with_context(|| format!("a call failed: {error:?}"))?;
                return Ok(Heard::Nothing);
            }
        };
        let answer: Value =
            serde_json::from_str(&text).with_context(|| format!("the answer is `{text}`"))?;
        let envelope = answer["result"]["structuredContent"].clone();
        ensure!(envelope.is_object(), "the answer is {answer}");
        Ok(Heard::Answer(Box::new(envelope)))
    }

    /// Whether it has died of SIGKILL, and of nothing else.
    pub fn is_dead(&mut self) -> Result<bool> {
        match self.has_ended()? {
            None => Ok(false),
            Some(status) if status.signal() == Some(9) => Ok(true),
            Some(status) => bail!("it ended with {status}"),
        }
    }

    /// Returns when it has died of SIGKILL.
    pub async fn killed(&mut self) -> Result<()> {
        until(|| Ok(self.is_dead()?.then_some(()))).await
    }

    /// Kills it.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().context("killing the server")?;
        self.killed().await
    }

    /// Ends it in order.
    pub async fn end(&mut self) -> Result<()> {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status()?;
        ensure!(asked.success(), "it could not be asked to end");
        let status = until(|| self.has_ended()).await?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        let ended = self.child.try_wait().context("waiting for the server")?;
        if ended.is_some() {
            // Nobody writes any more: the rest is there in a moment.
            for reader in self.readers.drain(..) {
                reader.join().unwrap();
            }
        }
        Ok(ended)
    }
}

impl Drop for Program {
    /// Of a case that fails, too.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Text {
    /// Keeps what comes out of a pipe.
    fn follow(&self, mut pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let kept = self.clone();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut part) {
                kept.0.lock().unwrap().extend_from_slice(&part[..count]);
            }
        })
    }

    /// All that came.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}
