//! The control plane in Kubernetes, before a real API server: what is written
//! there is known here within moments, and the report arrives.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "all of this is tests, helpers as well"
)]

mod approvals;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tenantry_api::mcp_server::ReplicaReport;
use tenantry_cluster::command::run;
use tenantry_cluster::control_plane::ControlPlane as ApiServer;
use tenantry_core::access::Access;
use tenantry_core::key::ApiKey;
use tenantry_core::name::KeyId;
use tenantry_core::tenant::TenantConfig;
use tenantry_server::control_plane::kubernetes::Kubernetes;
use tenantry_server::control_plane::{ControlPlane, Live};
use tenantry_server::knowledge::Knowledge;

const CRDS: [&str; 4] = [
    include_str!("../../../crds/mcpservers.yaml"),
    include_str!("../../../crds/mcpapikeys.yaml"),
    include_str!("../../../crds/mcpfreezes.yaml"),
    include_str!("../../../crds/mcpapprovals.yaml"),
];

/// What the server may do, as it is installed.
const ROLES: &str = include_str!("../../../charts/tenantry-api/templates/roles.yaml");

/// And where.
const BINDING: &str = r#"{
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
    "metadata": {"name": "tenantry-server", "namespace": "default"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tenantry-server"},
    "subjects": [{"kind": "ServiceAccount", "name": "tenantry-server", "namespace": "default"}]
}"#;

/// The server, as the API server knows it.
const SERVER: &str = "system:serviceaccount:default:tenantry-server";

const PATIENCE: Duration = Duration::from_secs(20);

fn apply(server: &ApiServer, text: &str) {
    let mut kubectl = server.kubectl();
    kubectl.args(["apply", "--server-side", "-f", "-"]);
    let mut kubectl = kubectl.stdin(Stdio::piped()).spawn().unwrap();
    kubectl
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(kubectl.wait().unwrap().success());
}

/// An API server that knows our kinds.
fn api_server() -> ApiServer {
    let server = ApiServer::start().unwrap();
    for text in CRDS.iter().chain(&[ROLES, BINDING]) {
        apply(&server, text);
    }
    run(server.kubectl().args([
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=20s",
    ]))
    .unwrap();
    server
}

fn contract(access: &str) -> String {
    json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpServer",
        "metadata": {"name": "server", "namespace": "default"},
        "spec": {
            "version": "v1", "organization": "acme", "tenantUid": "u", "access": access,
            "connectors": [{"name": "meta", "accounts": [
                {"id": "act_1001", "currency": "EUR", "timeZone": "Europe/Berlin", "access": "ReadOnly"},
            ]}],
            "limits": {
                "perKey": {"perMinute": 60, "burst": 10}, "perKeyConcurrency": 16, "perTenant": {"perMinute": 60, "burst": 10},
                "concurrency": 4,
            },
            "allowedHosts": [], "allowedOrigins": [],
        },
    })
    .to_string()
}

fn key_form(disabled: bool) -> String {
    let digest = ApiKey::new(KeyId::parse("demo").unwrap(), [7; 32]).digest();
    json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpApiKey",
        "metadata": {"name": "demo", "namespace": "default"},
        "spec": {
            "owner": "alice", "digest": digest.to_string(), "scopes": ["meta:read"], "disabled": disabled,
        },
    })
    .to_string()
}

fn freeze_form(access: &str) -> String {
    json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpFreeze",
        "metadata": {"name": "stop", "namespace": "default"},
        "spec": {"access": access, "reason": "token leaked"},
    })
    .to_string()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let patience = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, patience).await.expect(what);
}

fn report(serving: bool) -> ReplicaReport {
    serde_json::from_value(json!({
        "pod": "server-0", "podUid": "u", "serving": serving, "release": "0", "contractVersions": ["v1"],
        "ledger": {"state": "Open", "mark": {
            "id": "0123", "epoch": 1, "auditSequence": 7, "auditHead": format!("sha256:{:064}", 0),
        }},
    }))
    .unwrap()
}

/// A kubeconfig with the server's identity and rights.
fn as_the_server(server: &ApiServer) -> PathBuf {
    let groups = ["system:serviceaccounts"];
    server.kubeconfig_for(SERVER, &groups).unwrap()
}

async fn connect(server: &ApiServer) -> Kubernetes {
    // The other test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(as_the_server(server)).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options);
    let client = Client::try_from(config.await.unwrap()).unwrap();
    Kubernetes::with_client(&client, "default", "server-0")
}

#[tokio::test]
async fn what_is_written_is_known_within_moments_and_the_report_arrives() {
    let server = api_server();
    let control_plane = Arc::new(connect(&server).await);
    let knowledge = Arc::new(Knowledge::new());
    let began = Instant::now();
    let following = tokio::spawn({
        let (control_plane, knowledge) = (Arc::clone(&control_plane), Arc::clone(&knowledge));
        async move { control_plane.follow(knowledge).await }
    });
    until("the first word", || knowledge.key_count() == Some(0)).await;
    assert!(knowledge.contract().borrow().is_none());

    apply(&server, &contract("ReadOnly"));
    let access = |wanted: &str| {
        let contract = knowledge.contract();
        let contract = contract.borrow();
        contract
            .as_ref()
            .is_some_and(|raw| raw.contract["access"] == wanted && raw.contract["version"] == "v1")
    };
    until("the contract", || access("ReadOnly")).await;
    apply(&server, &contract("Disabled"));
    until("the changed contract", || access("Disabled")).await;

    let demo = KeyId::parse("demo").unwrap();
    let disabled = || knowledge.key(&demo).map(|key| key.disabled);
    apply(&server, &key_form(false));
    until("the key", || disabled() == Some(false)).await;
    apply(&server, &key_form(true));
    until("the revoked key", || disabled() == Some(true)).await;
    run(server.kubectl().args(["delete", "mcpapikey", "demo"])).unwrap();
    until("the deleted key", || knowledge.key(&demo).is_none()).await;

    let frozen = || {
        let freezes = knowledge.freezes_now().unwrap();
        freezes.access_of_all(Access::ReadWrite)
    };
    assert_eq!(frozen(), Access::ReadWrite);
    apply(&server, &freeze_form("Frozen"));
    until("the freeze", || frozen() == Access::Frozen).await;
    apply(&server, &freeze_form("Disabled"));
    until("the stricter freeze", || frozen() == Access::Disabled).await;
    run(server.kubectl().args(["delete", "mcpfreeze", "stop"])).unwrap();
    until("the lifted freeze", || frozen() == Access::ReadWrite).await;

    for serving in [false, true] {
        control_plane.report(&report(serving)).await.unwrap();
        let text = run(server.kubectl().args([
            "get",
            "mcpserver",
            "server",
            "-o",
            "json",
            "--show-managed-fields",
        ]))
        .unwrap();
        let object: Value = serde_json::from_str(&text).unwrap();
        let replicas =
            serde_json::from_value::<Vec<ReplicaReport>>(object["status"]["replicas"].clone());
        assert_eq!(replicas.unwrap(), [report(serving)]);
        let managers = object["metadata"]["managedFields"].to_string();
        assert!(managers.contains("tenantry-server/server-0"), "{managers}");
    }
    until("what was reported of the ledger", || {
        knowledge.ledgers().get("server-0") == report(true).ledger.as_ref()
    })
    .await;
    assert!(knowledge.age(Instant::now()) < began.elapsed());
    run(server.kubectl().args(["delete", "mcpserver", "server"])).unwrap();
    until("the contract taken away", || {
        knowledge.contract().borrow().is_none()
    })
    .await;
    following.abort();
}

/// What stands there is read past every watch: nothing follows here.
#[tokio::test]
async fn a_live_read_sees_what_was_just_written_and_fails_when_nobody_answers() {
    let server = api_server();
    let control_plane = connect(&server).await;
    let demo = KeyId::parse("demo").unwrap();
    let read = async || control_plane.read_live(&demo).await.unwrap();
    assert_eq!(read().await, Live::default());
    apply(&server, &contract("ReadOnly"));
    apply(&server, &key_form(false));
    let live = read().await;
    assert!(!live.key.unwrap().disabled);
    let contract_read = live.contract.unwrap();
    assert_eq!(contract_read.contract["version"], "v1");
    TenantConfig::read(&contract_read.contract).unwrap();
    for round in 0..5 {
        apply(&server, &freeze_form("Frozen"));
        assert_eq!(read().await.freezes.iter().count(), 1, "round {round}");
        run(server.kubectl().args(["delete", "mcpfreeze", "stop"])).unwrap();
        assert_eq!(read().await.freezes.iter().count(), 0, "round {round}");
    }
    apply(&server, &key_form(true));
    assert!(read().await.key.unwrap().disabled);
    run(server.kubectl().args(["delete", "mcpapikey", "demo"])).unwrap();
    assert_eq!(read().await.key, None);
    drop(server);
    assert!(control_plane.read_live(&demo).await.is_err());
}

/// The program itself: it serves when it has what it needs, says so in the
/// status, and leaves in order when it is told to.
#[tokio::test]
async fn the_program_serves_reports_and_leaves_in_order() {
    let server = api_server();
    apply(&server, &contract("ReadOnly"));
    apply(&server, &key_form(false));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (mcp, admin) = (free_port(), free_port());
    let mut program = start(&server, &mcp, &admin);
    let status = || {
        let jsonpath = "-o=jsonpath={.status.replicas[0].serving}";
        run(server
            .kubectl()
            .args(["get", "mcpserver", "server", jsonpath]))
        .unwrap()
    };
    until("the program serves", || status() == "true").await;
    let ready = reqwest::get(format!("http://{admin}/readyz"))
        .await
        .unwrap();
    assert_eq!(ready.status(), 200);
    let key = ApiKey::new(KeyId::parse("demo").unwrap(), [7; 32]).reveal();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"meta_list_ad_accounts"}}"#;
    let answer = reqwest::Client::new()
        .post(format!("http://{mcp}/mcp"))
        .bearer_auth(key)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(call);
    let answer: Value =
        serde_json::from_str(&answer.send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(
        answer["result"]["structuredContent"]["reason"],
        "SecretMissing"
    );
    println!("{}", memory(program.id()));

    let mut kill = Command::new("kill");
    run(kill.args(["-TERM", &program.id().to_string()])).unwrap();
    let mut audit = String::new();
    program
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut audit)
        .unwrap();
    assert!(program.wait().unwrap().success());
    assert_eq!(status(), "false");
    // Beside the call stand the beginning of the chain and its signatures.
    let lines = audit
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let calls: Vec<_> = lines
        .filter(|line| line["metadata"]["event_code"] == "event")
        .collect();
    assert_eq!(calls.len(), 1, "{audit}");
    assert_eq!(calls[0]["status_code"], "SecretMissing");
}

/// The program itself, as in a pod.
fn start(server: &ApiServer, mcp: &str, admin: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tenantry-server"))
        .env("KUBECONFIG", as_the_server(server))
        .args([
            "--namespace",
            "default",
            "--pod-name",
            "server-0",
            "--pod-uid",
            "u",
        ])
        .args([
            "--mcp-listen",
            mcp,
            "--admin-listen",
            admin,
            "--credentials-dir",
            "/nowhere",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// What the kernel says of a process's memory.
fn memory(process: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    status
        .lines()
        .filter(|line| line.starts_with("Rss") || line.starts_with("VmRSS"))
        .collect()
}
