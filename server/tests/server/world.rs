//! Starts a server with everything around it, and at the end looks through all
//! that it said for secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tenantry_api::mcp_server::LedgerReport;
use tenantry_connectors::corridor::CorridorLimits;
use tenantry_connectors::transport::Transport;
use tenantry_core::access::Access;
use tenantry_core::audit::read::AuditLine;
use tenantry_core::audit::verify::{Known, verify};
use tenantry_core::freeze::Freeze;
use tenantry_core::key::{ApiKey, KeyRecord, Scope};
use tenantry_core::name::{AccountId, ConnectorName, Currency, KeyId, Organization};
use tenantry_core::tenant::{
    AccountConfig, CONTRACT_VERSION, ConnectorConfig, LedgerTerms, Limits, RateLimit, TenantConfig,
    ToolRules,
};
use tenantry_fakes::meta::{FakeMeta, Faults, SANDBOX_TOKEN};
use tenantry_ledger::place::{Place, SqlitePlace};
use tenantry_server::catalog::Catalog;
use tenantry_server::clock::Clock;
use tenantry_server::credentials::Credentials;
use tenantry_server::exposure;
use tenantry_server::metrics::Metrics;
use tenantry_server::notify::{self, Notifier, address::Addresses};
use tenantry_server::report::Pod;
use tenantry_server::run::{self, OpenPorts, Parts, RunError, Settings};
use tenantry_server::settler::Pace;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

use crate::client::Client;
use crate::control::{InMemory, raw};

/// How long anything may take before a test gives it up for lost.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Without the patience of production.
const AT_ONCE: exposure::Pace = exposure::Pace {
    every: Duration::from_millis(20),
    again: Duration::from_millis(5),
};

/// With the patience of a test for receivers, and none between attempts.
pub const TOLD_AT_ONCE: notify::pace::Pace = notify::pace::Pace {
    timeout: PATIENCE,
    attempts: 3,
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(4),
    denied_every: Duration::from_hours(1),
    look: Duration::from_millis(20),
    goodbye: Duration::from_millis(500),
};

/// Text that many may write to.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What a test is about; everything else is as usual.
pub struct Setup {
    pub tenant: TenantConfig,
    pub keys: Vec<KeyRecord>,
    pub freezes: Vec<Freeze>,
    pub token: Option<&'static str>,
    /// Off, so that the fake's log holds what calls asked for and no more.
    pub inspect_tokens: Option<Duration>,
    pub stale_after: Duration,
    pub drain: Duration,
    /// Where the ledger is, if not in a folder of this world's own.
    pub ledger: Ledger,
    /// What former replicas have reported of it.
    pub ledgers: BTreeMap<String, LedgerReport>,
    pub settle_every: Duration,
    /// How often live budgets are read, where a policy asks for it.
    pub exposure: exposure::Pace,
    /// What is the matter with the vendor from the start.
    pub faults: Faults,
    /// What stands between the server and its vendor, if not just the network.
    pub transport: Option<Arc<dyn Transport>>,
    pub audit_out: Option<Box<dyn Write + Send>>,
    pub has_contract: bool,
    /// How destinations of notifications are told.
    pub notify: notify::pace::Pace,
    /// Their Secrets: name, `url` and `secret`.
    pub destinations: Vec<(&'static str, String, String)>,
    /// Whether there is anywhere to ask people.
    pub asks_people: bool,
    pub clock: Clock,
}

/// Where a world has its ledger.
#[derive(Clone, Debug)]
pub enum Ledger {
    /// In a folder of its own.
    Own,
    /// In that folder, which outlives the world.
    At(PathBuf),
    /// In a folder of its own, on a disk without space for another change.
    Full,
    /// Nowhere.
    None,
}

/// A running server and its surroundings.
pub struct World {
    pub fake: FakeMeta,
    pub control: Arc<InMemory>,
    pub audit: Captured,
    pub said: Captured,
    pub mcp: SocketAddr,
    pub admin: SocketAddr,
    pub activity: SocketAddr,
    pub tenant: TenantConfig,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), RunError>>,
    pub clock: Arc<Clock>,
    credentials: TempDir,
    destinations: TempDir,
    _ledger: TempDir,
}

/// The key with that id; its secret is made from the id.
pub fn key(id: &str) -> ApiKey {
    let mut secret = [0x5e; 32];
    for (byte, letter) in secret.iter_mut().zip(id.bytes()) {
        *byte = letter;
    }
    ApiKey::new(KeyId::parse(id).unwrap(), secret)
}

/// What the cluster keeps of that key: it may read.
pub fn record(id: &str) -> KeyRecord {
    KeyRecord {
        id: KeyId::parse(id).unwrap(),
        owner: "alice@acme.example".into(),
        agent: Some("reporter".into()),
        issued_by: None,
        digest: key(id).digest(),
        scopes: vec![Scope::parse("meta:read").unwrap()],
        accounts: None,
        not_before: None,
        expires_at: None,
        disabled: false,
    }
}

pub fn account(id: &str, currency: &str) -> AccountConfig {
    AccountConfig {
        id: AccountId::parse(id).unwrap(),
        currency: Currency::parse(currency).unwrap(),
        time_zone: "Europe/Berlin".into(),
        access: Access::ReadOnly,
    }
}

pub fn tenant(vendor: String) -> TenantConfig {
    let rate = RateLimit {
        per_minute: 6_000,
        burst: 1_000,
    };
    TenantConfig {
        version: CONTRACT_VERSION.into(),
        organization: Organization::parse("acme").unwrap(),
        tenant_uid: "tenant-uid".into(),
        access: Access::ReadOnly,
        connectors: vec![ConnectorConfig {
            name: ConnectorName::parse("meta").unwrap(),
            accounts: vec![account("act_1001", "EUR"), account("act_1002", "TWD")],
            sandbox_base_url: Some(vendor),
        }],
        tools: ToolRules::default(),
        policies: vec![],
        missing_policies: BTreeSet::new(),
        limits: Limits {
            per_key: rate,
            per_key_concurrency: 64,
            per_tenant: rate,
            concurrency: 64,
        },
        redact: BTreeSet::new(),
        retain_days: None,
        proxy: None,
        notifications: vec![],
        guard_proven: false,
        canary: None,
        ledger: LedgerTerms::default(),
        allowed_hosts: vec!["server.acme.svc".into()],
        allowed_origins: vec!["https://app.acme.example".into()],
    }
}

impl Setup {
    fn usual(fake: &FakeMeta) -> Self {
        Self {
            tenant: tenant(fake.url()),
            keys: vec![record("demo")],
            freezes: vec![],
            token: Some(SANDBOX_TOKEN),
            inspect_tokens: None,
            stale_after: Duration::from_hours(1),
            drain: PATIENCE,
            ledger: Ledger::Own,
            ledgers: BTreeMap::new(),
            settle_every: Duration::from_millis(20),
            exposure: AT_ONCE,
            faults: Faults::default(),
            transport: None,
            audit_out: None,
            has_contract: true,
            notify: TOLD_AT_ONCE,
            destinations: vec![],
            asks_people: true,
            clock: Clock::default(),
        }
    }
}

impl Setup {
    /// The folders of the Secrets, as the kubelet makes them.
    fn mounted(&self) -> (TempDir, TempDir) {
        let (credentials, destinations) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        if let Some(token) = self.token {
            mount(credentials.path(), token);
        }
        for (name, url, secret) in &self.destinations {
            mount_destination(destinations.path(), name, url, secret);
        }
        (credentials, destinations)
    }
}

impl World {
    /// The usual world, with one key `demo`.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A world that differs from the usual one as `change` says.
    pub async fn start_with(change: impl FnOnce(&mut Setup)) -> Self {
        logs();
        let fake = FakeMeta::start().await.unwrap();
        let mut setup = Setup::usual(&fake);
        change(&mut setup);
        let (credentials, destinations) = setup.mounted();
        fake.set_faults(setup.faults);
        let audit = Captured::default();
        let ledger = TempDir::new().unwrap();
        let (dir, least_free_bytes) = match setup.ledger {
            Ledger::Own => (Some(ledger.path().to_owned()), 0),
            Ledger::At(dir) => (Some(dir), 0),
            Ledger::Full => (Some(ledger.path().to_owned()), u64::MAX),
            Ledger::None => (None, 0),
        };
        let contract = setup.has_contract.then(|| raw(&setup.tenant, 1));
        let control = InMemory::new(contract, setup.keys, setup.freezes);
        let control = control.with_ledgers(setup.ledgers);
        let control = Arc::new(control.asking_people(setup.asks_people));
        let (open_ports, mut opened) = watch::channel(OpenPorts::default());
        let clock = Arc::new(setup.clock);
        let parts = Parts {
            control_plane: Arc::clone(&control) as _,
            catalog: catalog(),
            audit_out: setup.audit_out.unwrap_or_else(|| Box::new(audit.clone())),
            open_ports,
            clock: Arc::clone(&clock),
            transport: setup.transport,
        };
        let settings = Settings {
            ledger: dir.as_ref().map(|dir| sqlite(dir, least_free_bytes)),
            journal: dir.map(|dir| dir.join("ledger.journal")),
            settle: at(setup.settle_every),
            exposure: setup.exposure,
            inspect_tokens: setup.inspect_tokens,
            stale_after: setup.stale_after,
            drain: setup.drain,
            notify: told(destinations.path(), setup.notify),
            ..settings(credentials.path())
        };
        let stop = CancellationToken::new();
        let ended = tokio::spawn(run::run(parts, settings, stop.clone()));
        let open = opened.wait_for(|ports| {
            ports.mcp.is_some() || (!setup.has_contract && ports.admin.is_some())
        });
        let open = *tokio::time::timeout(PATIENCE, open)
            .await
            .expect("the ports did not open")
            .unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        Self {
            fake,
            control,
            audit,
            said: Captured::default(),
            mcp: open.mcp.unwrap_or(nowhere),
            admin: open.admin.unwrap(),
            activity: open.activity.unwrap(),
            tenant: setup.tenant,
            stop,
            ended,
            clock,
            credentials,
            destinations,
            _ledger: ledger,
        }
    }

    /// A client with that key.
    pub fn client(&self, id: &str) -> Client {
        Client::new(self.mcp, Some(key(id).reveal()), self.said.clone())
    }

    /// The events in the present audit lines.
    pub fn lines(&self) -> Vec<Value> {
        events(&self.audit.text())
    }

    /// Waits for the audit line number `count`, and answers it.
    pub async fn line(&self, count: usize) -> Value {
        until("an audit line", || {
            written(&self.audit.text()).nth(count - 1).is_some()
        })
        .await;
        facts(written(&self.audit.text()).nth(count - 1).unwrap())
    }

    /// What the admin port answers: status and body.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("http://{}{path}", self.admin))
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Changes the mounted token.
    pub fn mount(&self, token: &str) {
        mount(self.credentials.path(), token);
    }

    /// Changes the Secret of a destination.
    pub fn mount_destination(&self, name: &str, url: &str, secret: &str) {
        mount_destination(self.destinations.path(), name, url, secret);
    }

    /// Asks the server to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// How the server ends of itself.
    pub async fn ended(self) -> Result<(), RunError> {
        let ended = tokio::time::timeout(2 * PATIENCE, self.ended).await;
        ended.expect("it did not stop").unwrap()
    }

    /// Stops the server and looks through everything that was said.
    pub async fn end(self) -> Vec<Value> {
        self.stop.cancel();
        tokio::time::timeout(2 * PATIENCE, self.ended)
            .await
            .expect("it did not stop")
            .unwrap()
            .unwrap();
        let text = self.audit.text();
        if !text.is_empty() {
            let key = self
                .control
                .reports()
                .last()
                .unwrap()
                .audit_public_key
                .clone();
            let known = Known {
                public_key: Some(key.unwrap().parse().unwrap()),
                head: None,
            };
            let proof = verify(text.lines().map(str::as_bytes), known).unwrap();
            assert!(proof.is_complete, "{proof}");
            for line in text.lines() {
                ocsf::valid(line.as_bytes());
            }
        }
        let lines = events(&text);
        for line in &lines {
            assert_eq!(line["organization"], "acme");
            assert_eq!(line["tenant_uid"], "tenant-uid");
            assert_eq!(line["boot_id"], "boot");
        }
        let everything = [self.audit.text(), self.said.text(), logs().text()];
        for text in everything {
            assert!(!text.contains("EAATenantry"), "a token was told: {text}");
            for id in ["demo", "other", "narrow", "writer", "late", "early", "gone"] {
                let secret = key(id).reveal();
                let secret = &secret[secret.len() - 72..];
                assert!(
                    !text.contains(secret),
                    "the secret of key `{id}` was told: {text}"
                );
            }
        }
        lines
    }
}

#[path = "../../../crates/core/testdata/ocsf/check.rs"]
mod ocsf;

/// The facts of the events in the lines that are whole.
fn events(text: &str) -> Vec<Value> {
    written(text).map(facts).collect()
}

/// The lines of events that are whole. A caller's words come after the kind.
fn written(text: &str) -> impl Iterator<Item = &str> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .filter(|line| line.contains(r#""event_code":"event""#))
}

fn facts(line: &str) -> Value {
    let line = serde_json::from_str(line).unwrap();
    AuditLine::of(&line).unwrap().facts()
}

/// Waits until `holds`.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, patience)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// Every log line of this process, at the finest level there is for ours.
pub fn logs() -> &'static Captured {
    static LOGS: OnceLock<Captured> = OnceLock::new();
    LOGS.get_or_init(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .unwrap();
        let logs = Captured::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
        subscriber.json().with_writer(logs.clone()).init();
        logs
    })
}

/// The image's connectors, read once for all servers of these tests.
fn catalog() -> Arc<Catalog> {
    static CATALOG: LazyLock<Arc<Catalog>> =
        LazyLock::new(|| Arc::new(Catalog::load(None).unwrap()));
    Arc::clone(&CATALOG)
}

/// A ledger in that folder, which leaves so much free.
pub fn sqlite(dir: &Path, least_free_bytes: u64) -> Place {
    Place::Sqlite(SqlitePlace {
        path: dir.join("ledger.db"),
        least_free_bytes,
    })
}

fn at(every: Duration) -> Pace {
    Pace {
        every,
        credit: Duration::ZERO,
    }
}

fn settings(credentials: &Path) -> Settings {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        mcp_listen: any,
        admin_listen: any,
        activity_listen: any,
        credentials: Credentials::Dir(credentials.to_owned()),
        corridor_limits: CorridorLimits {
            attempts: 2,
            shortest_pause_ms: 1,
            longest_pause_ms: 2,
            ..CorridorLimits::PRODUCTION
        },
        ledger: None,
        journal: None,
        settle: at(Duration::from_secs(1)),
        exposure: AT_ONCE,
        notify: told(Path::new("/nowhere"), TOLD_AT_ONCE),
        inspect_tokens: None,
        stale_after: Duration::from_hours(1),
        drain: PATIENCE,
        pod: Pod {
            name: "server-0".into(),
            uid: "pod-uid".into(),
        },
        boot_id: "boot".into(),
    }
}

fn told(dir: &Path, pace: notify::pace::Pace) -> notify::Settings {
    notify::Settings {
        addresses: Addresses::Dir(dir.to_owned()),
        namespace: Some("acme".into()),
        pace,
    }
}

/// Who tells nobody, for a server that is put together by hand.
pub fn told_nobody(metrics: &Arc<Metrics>) -> Notifier {
    let settings = told(Path::new("/nowhere"), TOLD_AT_ONCE);
    Notifier::new(settings, Arc::default(), Arc::clone(metrics))
}

fn mount_destination(dir: &Path, name: &str, url: &str, secret: &str) {
    let folder = dir.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (key, value) in [("url", url), ("secret", secret)] {
        let new = folder.join(format!("{key}.new"));
        std::fs::write(&new, value).unwrap();
        std::fs::rename(new, folder.join(key)).unwrap();
    }
}

fn mount(dir: &Path, token: &str) {
    let folder = dir.join("meta");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("access_token.new"), token).unwrap();
    std::fs::rename(folder.join("access_token.new"), folder.join("access_token")).unwrap();
}
