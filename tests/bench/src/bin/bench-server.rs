//! Our own server as it is in production, keys, schemas, limits and audit on,
//! with two stand-ins: a control plane that says one thing once, and a vendor
//! that answers in the process and costs nothing, so that what is measured is
//! the pipeline. Audit lines go to stdout.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;
use tempfile::TempDir;
use tenantry_api::mcp_server::ReplicaReport;
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::corridor::CorridorLimits;
use tenantry_connectors::transport::{Received, Transport};
use tenantry_core::digest::Digest;
use tenantry_core::key::{ApiKey, KeyRecord, Scope};
use tenantry_core::name::KeyId;
use tenantry_server::catalog::Catalog;
use tenantry_server::control_plane::{ControlPlane, Live, LiveError, ReportError};
use tenantry_server::credentials::Credentials;
use tenantry_server::exposure;
use tenantry_server::knowledge::{Knowledge, RawContract, Topic};
use tenantry_server::notify::{self, address::Addresses};
use tenantry_server::report::Pod;
use tenantry_server::run::{self, Parts, Settings};
use tenantry_server::settler::Pace;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Our server with stand-ins for control plane and vendor.
#[derive(Parser)]
struct Arguments {
    /// Where MCP is spoken.
    #[arg(long)]
    listen: SocketAddr,
}

/// The key of the benchmark; it opens nothing else.
fn key() -> anyhow::Result<ApiKey> {
    Ok(ApiKey::new(KeyId::parse("bench")?, [7; 32]))
}

/// Says what there is, and no more.
struct Once(KeyRecord);

impl ControlPlane for Once {
    fn follow(&self, knowledge: Arc<Knowledge>) -> BoxFuture<'_, ()> {
        async move {
            knowledge.tell_contract(Some(RawContract {
                uid: "bench".into(),
                generation: Some(1),
                contract: contract(),
            }));
            knowledge.tell_keys([self.0.clone()]);
            knowledge.tell_freezes([]);
            let now = Instant::now();
            for topic in [Topic::Contract, Topic::Keys, Topic::Freezes] {
                knowledge.heard(topic, now);
            }
            std::future::pending::<()>().await;
        }
        .boxed()
    }

    fn read_live<'a>(&'a self, _: &'a KeyId) -> BoxFuture<'a, Result<Live, LiveError>> {
        let cause = "the benchmark changes nothing".into();
        std::future::ready(Err(LiveError {
            what: "anything",
            cause,
        }))
        .boxed()
    }

    fn report<'a>(&'a self, _: &'a ReplicaReport) -> BoxFuture<'a, Result<(), ReportError>> {
        std::future::ready(Ok(())).boxed()
    }
}

/// The limits stand, and nobody meets them.
fn contract() -> serde_json::Value {
    let rate = json!({"perMinute": 1_000_000_000, "burst": 1_000_000_000});
    json!({
        "version": "v1",
        "organization": "acme",
        "tenantUid": "bench",
        "access": "ReadOnly",
        "connectors": [{
            "name": "meta",
            "accounts": [{"id": "act_1001", "currency": "EUR", "timeZone": "Europe/Berlin", "access": "ReadOnly"}],
            "sandboxBaseUrl": "http://vendor.invalid",
        }],
        "limits": {"perKey": rate, "perKeyConcurrency": 1024, "perTenant": rate, "concurrency": 1024},
        "allowedHosts": ["127.0.0.1"],
        "allowedOrigins": [],
    })
}

/// Answers with one campaign, or with the account.
struct AtOnce;

impl Transport for AtOnce {
    fn carry(&self, request: reqwest::Request) -> BoxFuture<'_, Result<Received, CallError>> {
        let body: &[u8] = if request.url().path().ends_with("/campaigns") {
            CAMPAIGNS
        } else {
            ACCOUNT
        };
        let received = Received {
            status: 200,
            headers: http::HeaderMap::new(),
            body: body.to_vec(),
        };
        std::future::ready(Ok(received)).boxed()
    }
}

const CAMPAIGNS: &[u8] = br#"{"data":[{"id":"120","account_id":"1001","name":"Spring","status":"ACTIVE","effective_status":"ACTIVE","objective":"OUTCOME_SALES","daily_budget":"5000"}]}"#;
const ACCOUNT: &[u8] = br#"{"id":"act_1001","account_id":"1001","name":"Acme","currency":"EUR","timezone_name":"Europe/Berlin","account_status":1}"#;

/// As in the server's own program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let Arguments { listen } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(serve(listen))
}

async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let key = key()?;
    eprintln!("{}", key.reveal());
    let credentials = TempDir::new()?;
    fs::create_dir(credentials.path().join("meta"))?;
    fs::write(credentials.path().join("meta/access_token"), "token")?;
    let record = KeyRecord {
        id: key.id().clone(),
        owner: "bench".into(),
        agent: None,
        issued_by: None,
        digest: Digest::of(&[7; 32]),
        scopes: vec![Scope::parse("meta:read")?],
        accounts: None,
        not_before: None,
        expires_at: None,
        disabled: false,
    };
    let stdout = std::io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .context("opening stdout")?;
    let parts = Parts {
        clock: Arc::default(),
        control_plane: Arc::new(Once(record)),
        catalog: Arc::new(Catalog::load(None)?),
        audit_out: Box::new(fs::File::from(stdout)),
        open_ports: watch::Sender::default(),
        transport: Some(Arc::new(AtOnce)),
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings {
        ledger: None,
        journal: None,
        settle: Pace {
            every: Duration::from_secs(10),
            credit: Duration::ZERO,
        },
        exposure: exposure::Pace::PRODUCTION,
        notify: notify::Settings {
            addresses: Addresses::Dir("/nowhere".into()),
            namespace: None,
            pace: notify::pace::Pace::PRODUCTION,
        },
        mcp_listen: listen,
        admin_listen: any,
        activity_listen: any,
        inspect_tokens: None,
        credentials: Credentials::Dir(credentials.path().to_owned()),
        corridor_limits: CorridorLimits::PRODUCTION,
        stale_after: Duration::from_hours(24),
        drain: Duration::from_secs(1),
        pod: Pod {
            name: "server-0".into(),
            uid: "bench".into(),
        },
        boot_id: "bench".into(),
    };
    run::run(parts, settings, CancellationToken::new()).await?;
    Ok(())
}
