//! A control plane with Tenantry installed, shared by the tests that run at
//! the same time and gone with the last of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{reflector, watcher};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tenantry_cluster::control_plane::{ControlPlane, ControlPlaneError};
use tenantry_cluster::progress::Progress;
use tenantry_cluster::tools::{Tool, Toolbox};
use tenantry_operator::client;
use tenantry_operator::controller::{self, Heard, Parts};
use tenantry_operator::guard::Guard;
use tenantry_operator::leader::Fence;
use tenantry_operator::metrics::Metrics;
use tenantry_operator::policies::Policies;
use tenantry_operator::settings::Settings;
use tenantry_operator::tenant::reconcile;
use tenantry_operator::tenant::seen::Tenant;
use tenantry_operator::waiting::Waiting;
use tenantry_operator::watch::Optionals;
use tenantry_tests::kubectl::{Kubectl, PATIENCE, condition, wait_for};
use tenantry_tests::namespace::example_as;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::EXAMPLE;

/// The operator's identity, by the chart's defaults.
pub const OPERATOR: &str = "system:serviceaccount:tenantry-system:tenantry-operator";

static SHARED: Mutex<Weak<Plane>> = Mutex::new(Weak::new());

/// A control plane with both charts installed and the operator running.
pub struct Plane {
    // Before `cluster`: the operator ends first.
    operator: Option<Operator>,
    cluster: ControlPlane,
    toolbox: Toolbox,
}

/// The operator in this process.
struct Operator {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
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

    /// One of a test's own, whose platform offers its tenants something.
    pub fn offering() -> Self {
        let values = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/values.yaml");
        Self::set_up(ControlPlane::start, &["--values", values])
            .and_then(Self::run)
            .unwrap()
    }

    /// One of a test's own, with the controllers of Kubernetes.
    pub fn with_controllers() -> Self {
        Self::set_up(ControlPlane::start_with_controllers, &[])
            .and_then(Self::run)
            .unwrap()
    }

    fn start() -> Result<Self> {
        Self::without_operator().and_then(Self::run)
    }

    fn run(mut plane: Self) -> Result<Self> {
        let settings = Settings::read(&plane.settings()?)?;
        let kubeconfig = plane.kubeconfig_for(OPERATOR)?;
        plane.operator = Some(Operator::start(kubeconfig, settings));
        Ok(plane)
    }

    /// One of a test's own, with both charts and nobody who acts on them.
    pub fn without_operator() -> Result<Self> {
        Self::set_up(ControlPlane::start, &[])
    }

    fn set_up(
        start: fn() -> Result<ControlPlane, ControlPlaneError>,
        options: &[&str],
    ) -> Result<Self> {
        let toolbox = Toolbox::open()?;
        toolbox.ensure(&[Tool::Helm, Tool::Kubectl], &Progress::notes_only())?;
        let plane = Self {
            operator: None,
            cluster: start()?,
            toolbox,
        };
        plane.install("tenantry-api", &[])?;
        plane.install("tenantry", options)?;
        Ok(plane)
    }

    /// The settings file that the chart gives the operator.
    pub fn settings(&self) -> Result<String> {
        let words = ["configmap", "tenantry-operator", "-n", "tenantry-system"];
        let map = self.kubectl().get(&words)?;
        let text = map["data"]["config.yaml"].as_str();
        Ok(text.context("no config.yaml")?.to_owned())
    }

    fn install(&self, chart: &str, options: &[&str]) -> Result<()> {
        let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts");
        let mut helm = Command::new(self.toolbox.path(Tool::Helm));
        helm.env("KUBECONFIG", self.cluster.kubeconfig());
        helm.args(["upgrade", "--install", chart])
            .arg(charts.join(chart));
        helm.args(["--namespace", "tenantry-system", "--create-namespace"]);
        helm.args(options);
        let output = helm.output().context("run helm")?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "helm {chart}: {told}");
        Ok(())
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::with_kubeconfig(&self.toolbox.path(Tool::Kubectl), &self.kubeconfig())
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.cluster.kubeconfig()
    }

    /// kubectl as somebody else.
    pub fn kubectl_as(&self, user: &str) -> Kubectl {
        let kubeconfig = self.kubeconfig_for(user).unwrap();
        Kubectl::with_kubeconfig(&self.toolbox.path(Tool::Kubectl), &kubeconfig)
    }

    /// The administrator, in this process; within a runtime.
    pub async fn client(&self) -> Client {
        // Another plane of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    /// The kubeconfig of a user.
    pub fn kubeconfig_for(&self, user: &str) -> Result<PathBuf> {
        let groups: &[&str] = if user.starts_with("system:serviceaccount:") {
            &["system:serviceaccounts"]
        } else {
            &[]
        };
        Ok(self.cluster.kubeconfig_for(user, groups)?)
    }

    /// One reconcile of `tenant` as it is given, by an actor of its own that
    /// writes as it likes.
    pub fn reconcile_once(&self, tenant: &Value) -> Result<()> {
        let kubeconfig = self.kubeconfig_for(OPERATOR)?;
        let settings = Settings::read(&self.settings()?)?;
        let tenant: Tenant = serde_json::from_value(tenant.clone())?;
        run_async(async {
            let fence = Fence::default();
            fence.open_until(Instant::now() + PATIENCE);
            let config = config(kubeconfig).await?;
            let client = client::connect(config, Some(fence), client::ANSWER_WITHIN)?;
            let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
            let named = ListParams::default().fields("metadata.name=kubernetes");
            let (known, mut writer) = reflector::store();
            for slice in slices.list(&named).await? {
                writer.apply_watcher_event(&watcher::Event::Apply(slice));
            }
            let tenants = reflector::store().0;
            let (policies, mut writers) = Policies::new();
            let listed = [watcher::Event::Init, watcher::Event::InitDone];
            for event in &listed {
                writers.policies.apply_watcher_event(event);
            }
            writers.is_known.send_replace(true);
            let (optionals, _) = Optionals::follow(&client, &tenants);
            optionals.known().await;
            let heard = Heard {
                slices: known,
                optionals,
                tenants,
                policies,
                waiting: Waiting::new().0,
                guard: Arc::new(Guard::default()),
                metrics: Arc::new(Metrics::new()),
            };
            let ctx = controller::context(client, settings, heard).await?;
            Box::pin(reconcile(Arc::new(tenant), Arc::new(ctx))).await?;
            Ok(())
        })
    }

    /// Onboards an organisation, as far as that goes without pods.
    pub fn onboard(&self, name: &str) -> Organisation {
        self.kubectl().apply(&example_as(EXAMPLE, name)).unwrap();
        Organisation::of(self, name)
    }
}

impl Operator {
    fn start(kubeconfig: PathBuf, settings: Settings) -> Self {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            run_async(async {
                let config = config(kubeconfig).await?;
                let stop = async {
                    let _ = stopped.await;
                };
                let parts = Parts {
                    config,
                    settings,
                    identity: "in-process".into(),
                    admin_port: TcpListener::bind(("127.0.0.1", 0)).await?,
                    canary_port: TcpListener::bind(("127.0.0.1", 0)).await?,
                };
                controller::run(parts, stop).await?;
                Ok(())
            })
        });
        Self { stop, thread }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let Some(Operator { stop, thread }) = self.operator.take() else {
            return;
        };
        let _ = stop.send(());
        let ended = thread.join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn run_async<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    // Another plane of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

async fn config(kubeconfig: PathBuf) -> Result<Config> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?)
}

/// An organisation of a test's own.
pub struct Organisation {
    /// kubectl as the administrator.
    pub kubectl: Kubectl,
    /// kubectl with the identity and the rights of the organisation's server.
    pub server: Kubectl,
    /// The namespace, which is also the organisation's and the tenant's name.
    pub name: String,
}

impl Organisation {
    /// The one of that name, which a test has onboarded by itself.
    pub fn of(plane: &Plane, name: &str) -> Self {
        let server = format!("system:serviceaccount:{name}:tenantry-server");
        Self {
            kubectl: plane.kubectl(),
            server: plane.kubectl_as(&server),
            name: name.into(),
        }
    }

    /// An object of the organisation.
    pub fn get(&self, object: &str) -> Result<Value> {
        self.kubectl.get(&["-n", &self.name, object])
    }

    /// Waits for an object of the organisation.
    pub fn wait_for_object(&self, object: &str) -> Value {
        wait_for(object, || Ok(Some(self.get(object)?))).unwrap()
    }

    /// Waits until the tenant's Ready condition gives that reason; the tenant.
    pub fn wait_for_reason(&self, reason: &str) -> Value {
        self.wait_for_reason_of(&self.name, reason)
    }

    /// The same for any tenant of the namespace.
    pub fn wait_for_reason_of(&self, tenant: &str, reason: &str) -> Value {
        wait_for(&format!("`{tenant}` to say {reason}"), || {
            let tenant = self.get(&format!("mcptenant/{tenant}"))?;
            let ready = condition(&tenant, "Ready");
            let current = ready["observedGeneration"] == tenant["metadata"]["generation"];
            ensure!(ready["reason"] == reason && current, "it says {ready}");
            Ok(Some(tenant))
        })
        .unwrap()
    }

    /// Says what Kubernetes and a healthy server would say of the present
    /// StatefulSet and contract; `report` changes the server's words.
    pub fn pretend_to_serve(&self, report: &Value) {
        let contract = self.wait_for_object("mcpserver/server");
        let config = tenantry_core::tenant::TenantConfig::read(&contract["spec"]).unwrap();
        let mut replica = json!({
            "pod": "server-0",
            "podUid": "1",
            "contractDigest": config.digest(),
            "contractVersions": ["v1"],
            "access": config.access,
            "serving": true,
            "connectors": [{"name": "meta", "ready": true}],
            "release": "0.1.0",
        });
        for (field, value) in report.as_object().into_iter().flatten() {
            replica[field] = value.clone();
        }
        let report = report_of(&self.name, &json!({"replicas": [replica]}));
        assert_eq!(self.server.apply_status(&report).unwrap(), "");
        let set = self.wait_for_object("statefulset/server");
        let generation = &set["metadata"]["generation"];
        let rolled_out = json!({"status": {
            "observedGeneration": generation, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
        }});
        patch_status(&self.kubectl, &self.name, "statefulset/server", &rolled_out).unwrap();
    }
}

/// The McpServer of a namespace, as far as a server writes it.
pub fn report_of(namespace: &str, status: &Value) -> Value {
    json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpServer",
        "metadata": {"name": "server", "namespace": namespace},
        "status": status,
    })
}

fn patch_status(kubectl: &Kubectl, namespace: &str, object: &str, patch: &Value) -> Result<String> {
    let patch = patch.to_string();
    kubectl.run(&[
        "patch",
        "-n",
        namespace,
        object,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ])
}
