//! A control plane with Tenantry's charts, shared by the tests that run at the
//! same time, and the operator's program with its rights.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tenantry_cluster::control_plane::ControlPlane;
use tenantry_cluster::progress::Progress;
use tenantry_cluster::tools::{Tool, Toolbox};
use tenantry_tests::port::own_port;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, Semaphore};

use crate::api::{Api, Kind, kinds};
use crate::observer::Observer;
use crate::plan::{Reference, Workload};
use crate::proxy::Proxy;

/// The operator's identity, by the chart's defaults.
const OPERATOR: &str = "system:serviceaccount:tenantry-system:tenantry-operator";

/// What an operator says that ends because it lost its seat.
const LOST: &str = "leads no more";

/// Plans at the same time: most of a plan is waiting.
const LANES: usize = 6;

static SHARED: Mutex<Weak<Plane>> = Mutex::new(Weak::new());

/// A control plane with both charts installed, and what was learned on it.
pub struct Plane {
    runtime: Option<Runtime>,
    pub admin: Api,
    pub operator: Api,
    pub kinds: Vec<Kind>,
    pub observer: Observer,
    pub lanes: Semaphore,
    pub references: Mutex<HashMap<Workload, Arc<OnceCell<Arc<Reference>>>>>,
    pods: Mutex<HashSet<String>>,
    namespaces: AtomicUsize,
    folder: TempDir,
    // Last: what talks to it ends before.
    _cluster: ControlPlane,
}

impl Plane {
    /// The one that other tests use too, or a new one.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plane) = shared.upgrade() {
            return plane;
        }
        let plane = Arc::new(Self::start().unwrap());
        *shared = Arc::downgrade(&plane);
        plane
    }

    fn start() -> Result<Self> {
        // Another plane of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let toolbox = Toolbox::open()?;
        toolbox.ensure(&[Tool::Helm], &Progress::notes_only())?;
        let cluster = ControlPlane::start()?;
        for chart in ["tenantry-api", "tenantry"] {
            install(&toolbox.path(Tool::Helm), &cluster.kubeconfig(), chart)?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let folder = tempfile::tempdir()?;
        let admin = Api::new(&cluster.kubeconfig())?;
        let groups = ["system:serviceaccounts"];
        let operator = Api::new(&cluster.kubeconfig_for(OPERATOR, &groups)?)?;
        let (kinds, observer) = runtime.block_on(async {
            let map = "/api/v1/namespaces/tenantry-system/configmaps/tenantry-operator";
            let map = admin.get(map).await?;
            let settings = map["data"]["config.yaml"].as_str().context("no settings")?;
            std::fs::write(folder.path().join("config.yaml"), settings)?;
            let kinds = kinds(&admin).await?;
            let observer = Observer::start(&admin, &kinds).await?;
            anyhow::Ok((kinds, observer))
        })?;
        Ok(Self {
            runtime: Some(runtime),
            admin,
            operator,
            kinds,
            observer,
            lanes: Semaphore::new(LANES),
            references: Mutex::default(),
            pods: Mutex::default(),
            namespaces: AtomicUsize::new(0),
            folder,
            _cluster: cluster,
        })
    }

    /// Runs a test here.
    pub fn run<T>(&self, test: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(test)
    }

    /// A name that no other plan has, and that stands out in any text.
    pub fn new_namespace(&self) -> String {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        format!("plan-{number:05}")
    }

    /// Whether nobody has judged such a pod yet.
    pub fn is_new_pod(&self, text: String) -> bool {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.insert(text)
    }

    /// The kind that manifests name.
    pub fn kind(&self, object: &Value) -> Result<&Kind> {
        let mut kinds = self.kinds.iter();
        kinds
            .find(|kind| object["kind"] == kind.name && object["apiVersion"] == kind.api_version)
            .with_context(|| format!("no kind {} {}", object["apiVersion"], object["kind"]))
    }

    /// The kind that paths name.
    pub fn plural(&self, plural: &str) -> Result<&Kind> {
        let mut kinds = self.kinds.iter();
        kinds
            .find(|kind| kind.plural == plural)
            .with_context(|| format!("no kind {plural}"))
    }
}

fn install(helm: &Path, kubeconfig: &Path, chart: &str) -> Result<()> {
    let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts");
    let mut helm = Command::new(helm);
    helm.env("KUBECONFIG", kubeconfig);
    helm.args(["upgrade", "--install", chart])
        .arg(charts.join(chart));
    helm.args(["--namespace", "tenantry-system", "--create-namespace"]);
    let output = helm.output().context("run helm")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {chart}: {told}");
    Ok(())
}

/// One operator: its program, started again when it dies, and its proxy.
pub struct Actor {
    pub proxy: Proxy,
    /// Those of one seat elect who leads.
    pub seat: usize,
    process: Mutex<Option<Child>>,
    kubeconfig: PathBuf,
    settings: PathBuf,
    log: PathBuf,
    port: u16,
}

impl Actor {
    /// Starts an operator of `namespaces`.
    pub async fn start(
        plane: &Plane,
        namespaces: &[String],
        number: usize,
        seat: usize,
    ) -> Result<Self> {
        let name = format!("{}-{number}", namespaces[0]);
        let proxy = Proxy::start(
            plane.operator.clone(),
            plane.admin.clone(),
            namespaces,
            seat,
        );
        let proxy = proxy.await?;
        let folder = plane.folder.path();
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": proxy.url}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
            "current-context": "proxy",
        });
        std::fs::write(&kubeconfig, config.to_string())?;
        let actor = Self {
            proxy,
            seat,
            process: Mutex::new(None),
            kubeconfig,
            settings: folder.join("config.yaml"),
            log: folder.join(format!("{name}.log")),
            port: own_port()?,
        };
        actor.live()?;
        Ok(actor)
    }

    /// Starts the program.
    pub fn live(&self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(env!("CARGO_BIN_EXE_tenantry-operator-under-test"))
            .arg("--config")
            .arg(&self.settings)
            .arg(format!("--admin=127.0.0.1:{}", self.port))
            .arg("--canary=127.0.0.1:0")
            .env("KUBECONFIG", &self.kubeconfig)
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.proxy.serve(Pid::from_child(&child));
        *self.process() = Some(child);
        Ok(())
    }

    /// Stops it, or lets it go on.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process();
        let child = process.as_ref().context("no operator runs")?;
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    /// Kills it, and leaves it dead.
    pub fn leave(&self) -> Result<()> {
        self.proxy.forget();
        let child = self.process().take();
        if let Some(mut child) = child {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts it again whenever a plan kills it, or when it has lost its seat;
    /// ends when it ends by itself.
    pub async fn survive(&self) -> Result<()> {
        loop {
            tokio::select! {
                () = self.proxy.killed() => {
                    self.leave()?;
                    self.proxy.time_runs_out().await?;
                    self.live()?;
                }
                () = tokio::time::sleep(Duration::from_millis(200)) => {
                    if let Some(status) = self.end()?
                        && status.signal() != Some(Signal::KILL.as_raw())
                    {
                        let log = self.log();
                        let words: Vec<_> = log.lines().rev().take(6).collect();
                        let is_lost = words.iter().any(|line| line.contains(LOST));
                        ensure!(is_lost, "it ended by itself, {status}: {words:?}");
                        self.leave()?;
                        self.live()?;
                    }
                }
            }
        }
    }

    fn end(&self) -> Result<Option<ExitStatus>> {
        let mut process = self.process();
        Ok(match &mut *process {
            Some(child) => child.try_wait()?,
            None => None,
        })
    }

    /// How many reconciles of this life succeeded.
    pub async fn reconciles(&self) -> u64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        let text = async { reqwest::get(url).await?.error_for_status()?.text().await };
        let text = text.await.unwrap_or_default();
        let counter = "tenantry_operator_reconciles_total{outcome=\"success\"} ";
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(counter));
        lines.next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// Everything it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.leave();
        let _ = std::fs::remove_file(&self.log);
    }
}
