//! A real API server, and a namespace of it for each organisation: where people
//! see what waits for them.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;
use tenantry_api::mcp_approval::{ApprovalState, McpApproval};
use tenantry_cluster::control_plane::ControlPlane;

use crate::documents::{TOKEN, key};
use crate::program::PATIENCE;

const DEFINITIONS: [&str; 4] = [
    include_str!("../../../crds/mcpservers.yaml"),
    include_str!("../../../crds/mcpapikeys.yaml"),
    include_str!("../../../crds/mcpfreezes.yaml"),
    include_str!("../../../crds/mcpapprovals.yaml"),
];

/// What a server may do, as it is installed.
const ROLES: &str = include_str!("../../../charts/tenantry-api/templates/roles.yaml");

/// Who asks.
const OWNER: &str = "demo@acme.example";

/// An API server that knows our kinds.
pub struct Town {
    plane: ControlPlane,
    client: Client,
}

/// Where one organisation lives.
pub struct Namespace {
    /// Who its server is.
    pub kubeconfig: PathBuf,
    name: String,
    approvals: Api<McpApproval>,
    credentials: TempDir,
}

impl Town {
    /// Builds one.
    pub async fn build() -> Result<Self> {
        let plane = ControlPlane::start()?;
        for text in DEFINITIONS.iter().chain(&[ROLES]) {
            apply(&plane, text)?;
        }
        let mut wait = plane.kubectl();
        wait.args(["wait", "--for=condition=Established", "crd", "--all"]);
        ensure!(wait.status()?.success(), "our kinds are not known");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(plane.kubeconfig())?;
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        config.read_timeout = Some(PATIENCE / 4);
        let client = Client::try_from(config)?;
        Ok(Self { plane, client })
    }

    /// A namespace with a contract under which whatever is changed asks people.
    pub fn settle(&self, name: &str, vendor: &str) -> Result<Namespace> {
        let account = format!("system:serviceaccount:{name}:tenantry-server");
        let documents = [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "tenantry-server", "namespace": name},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                    "name": "tenantry-server",
                },
                "subjects": [{"kind": "ServiceAccount", "name": "tenantry-server", "namespace": name}],
            }),
            ours("McpServer", "server", name, &contract(name, vendor)),
            ours(
                "McpApiKey",
                "demo",
                name,
                &json!({
                    "owner": OWNER, "digest": key().digest().to_string(),
                    "scopes": ["meta:read", "meta:write", "meta:spend"],
                }),
            ),
        ];
        let documents: Vec<_> = documents.iter().map(Value::to_string).collect();
        apply(&self.plane, &documents.join("\n---\n"))?;
        let credentials = TempDir::new()?;
        let meta = credentials.path().join("meta");
        std::fs::create_dir(&meta)?;
        std::fs::write(meta.join("access_token"), TOKEN)?;
        let groups = ["system:serviceaccounts"];
        Ok(Namespace {
            kubeconfig: self.plane.kubeconfig_for(&account, &groups)?,
            name: name.into(),
            approvals: Api::namespaced(self.client.clone(), name),
            credentials,
        })
    }
}

impl Namespace {
    /// The flags of a process that lives here.
    pub fn home(&self) -> Vec<OsString> {
        let flags = [
            "--namespace",
            &self.name,
            "--pod-name=server-0",
            "--pod-uid=u",
            "--credentials-dir",
        ];
        let flags = flags.map(OsString::from).into_iter();
        flags.chain([self.credentials.path().into()]).collect()
    }

    /// The one approval that there is, if there is one.
    pub async fn approval(&self) -> Result<Option<McpApproval>> {
        let mut all = self.approvals.list(&ListParams::default()).await?.items;
        ensure!(all.len() <= 1, "people are asked twice: {all:?}");
        Ok(all.pop())
    }

    /// Where it stands.
    pub async fn state(&self) -> Result<Option<ApprovalState>> {
        let approval = self.approval().await?;
        Ok(approval.and_then(|approval| approval.status?.state))
    }

    /// Somebody says yes or no.
    pub async fn decide(&self, by: &str, verdict: &str) -> Result<()> {
        let mut decisions = json!(self.present().await?.spec.decisions);
        let decision = json!({"by": by, "verdict": verdict, "comment": "as I said"});
        decisions.as_array_mut().context("no list")?.push(decision);
        self.patch(&json!({"spec": {"decisions": decisions}})).await
    }

    /// Who asks takes it back.
    pub async fn withdraw(&self) -> Result<()> {
        self.patch(&json!({"spec": {"withdrawn": true}})).await
    }

    /// Somebody deletes the approval.
    pub async fn delete(&self) -> Result<()> {
        let name = self.present().await?.metadata.name;
        let params = DeleteParams::default();
        self.approvals
            .delete(&name.unwrap_or_default(), &params)
            .await?;
        Ok(())
    }

    async fn present(&self) -> Result<McpApproval> {
        self.approval().await?.context("nobody is asked")
    }

    async fn patch(&self, patch: &Value) -> Result<()> {
        let name = self.present().await?.metadata.name;
        let params = PatchParams::default();
        let patch = Patch::Merge(patch);
        self.approvals
            .patch(&name.unwrap_or_default(), &params, &patch)
            .await?;
        Ok(())
    }
}

fn ours(kind: &str, name: &str, namespace: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

fn contract(organization: &str, vendor: &str) -> Value {
    let often = json!({"perMinute": 60_000, "burst": 10_000});
    json!({
        "version": "v1", "organization": organization, "tenantUid": "u", "access": "ReadWrite",
        "connectors": [{
            "name": "meta", "sandboxBaseUrl": vendor,
            "accounts": [{
                "id": "act_1001", "currency": "EUR", "timeZone": "Europe/Berlin", "access": "ReadWrite",
            }],
        }],
        "policies": [{
            "name": "ads", "mode": "Enforce", "currency": "EUR",
            "approvals": [{
                "name": "all", "approverClass": "finance", "approvers": 1,
                "expiresAfterMs": 3_600_000, "when": {"classes": ["write", "spend"]},
            }],
        }],
        "guardProven": true,
        "limits": {
            "perKey": often, "perKeyConcurrency": 16, "perTenant": often, "concurrency": 64,
        },
        "allowedHosts": [], "allowedOrigins": [],
    })
}

fn apply(plane: &ControlPlane, text: &str) -> Result<()> {
    let mut kubectl = plane.kubectl();
    kubectl.args(["apply", "--server-side", "-f", "-"]);
    let kubectl = kubectl.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut kubectl = kubectl.spawn()?;
    let stdin = kubectl.stdin.take();
    stdin.context("no stdin")?.write_all(text.as_bytes())?;
    ensure!(kubectl.wait()?.success(), "it was not applied: {text}");
    Ok(())
}
