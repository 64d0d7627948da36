//! A control plane in memory: it tells what a test wants it to tell, and keeps
//! the reports.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::future::BoxFuture;
use tenantry_api::mcp_server::{LedgerReport, ReplicaReport};
use tenantry_core::freeze::Freeze;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::KeyId;
use tenantry_core::tenant::TenantConfig;
use tenantry_server::control_plane::{ControlPlane, Live, LiveError, ReportError};
use tenantry_server::knowledge::{Knowledge, RawContract, Topic};
use tokio::sync::{Notify, watch};

/// What stands in the namespace, and what the server makes of it.
pub struct InMemory {
    told: Mutex<Told>,
    live: Mutex<LiveAnswer>,
    knowledge: watch::Sender<Option<Arc<Knowledge>>>,
    reports: watch::Sender<Vec<ReplicaReport>>,
    /// Told, following it fails.
    fails: Notify,
}

/// What stands there.
#[derive(Clone)]
struct Told {
    contract: Option<RawContract>,
    keys: Vec<KeyRecord>,
    freezes: Vec<Freeze>,
    ledgers: BTreeMap<String, LedgerReport>,
}

/// What the control plane says when it is asked live.
#[derive(Clone, Default)]
pub enum LiveAnswer {
    /// This.
    Found(Box<Live>),
    /// What was told, in order.
    #[default]
    Told,
    /// It fails.
    Failing,
    /// It never answers.
    Silent,
}

/// The contract as the operator would write it.
pub fn raw(tenant: &TenantConfig, generation: i64) -> RawContract {
    RawContract {
        uid: "mcpserver-uid".into(),
        generation: Some(generation),
        contract: serde_json::to_value(tenant).unwrap(),
    }
}

impl InMemory {
    pub fn new(contract: Option<RawContract>, keys: Vec<KeyRecord>, freezes: Vec<Freeze>) -> Self {
        Self {
            told: Mutex::new(Told {
                contract,
                keys,
                freezes,
                ledgers: BTreeMap::new(),
            }),
            live: Mutex::default(),
            knowledge: watch::Sender::new(None),
            fails: Notify::new(),
            reports: watch::Sender::new(Vec::new()),
        }
    }

    /// The same, where former replicas have reported of the ledger.
    pub fn with_ledgers(self, ledgers: BTreeMap<String, LedgerReport>) -> Self {
        self.told.lock().unwrap().ledgers = ledgers;
        self
    }

    /// Following it fails now.
    pub fn fail(&self) {
        self.fails.notify_one();
    }

    /// From now on a live read is answered so.
    pub fn answer_live(&self, answer: LiveAnswer) {
        *self.live.lock().unwrap() = answer;
    }

    /// From now on these keys stand there; who watches has not heard of it yet.
    pub fn keep_keys(&self, keys: Vec<KeyRecord>) {
        self.told.lock().unwrap().keys = keys;
    }

    /// The same of freezes.
    pub fn keep_freezes(&self, freezes: Vec<Freeze>) {
        self.told.lock().unwrap().freezes = freezes;
    }

    /// The same of the contract.
    pub fn keep_contract(&self, contract: RawContract) {
        self.told.lock().unwrap().contract = Some(contract);
    }

    fn live(&self, key: &KeyId) -> Live {
        let told = self.told.lock().unwrap().clone();
        Live {
            contract: told.contract,
            key: told.keys.into_iter().find(|known| known.id == *key),
            freezes: told.freezes.into_iter().collect(),
        }
    }

    /// What the server knows, once it asked.
    pub async fn knowledge(&self) -> Arc<Knowledge> {
        let mut knowledge = self.knowledge.subscribe();
        let known = knowledge.wait_for(Option::is_some).await.unwrap();
        known.clone().unwrap()
    }

    /// The first report that fits.
    pub async fn reported(&self, fits: impl Fn(&ReplicaReport) -> bool) -> ReplicaReport {
        let mut reports = self.reports.subscribe();
        let wanted = |reports: &Vec<ReplicaReport>| reports.iter().any(&fits);
        let reports = tokio::time::timeout(crate::world::PATIENCE, reports.wait_for(wanted));
        let reports = reports.await.expect("no such report").unwrap();
        reports.iter().find(|report| fits(report)).unwrap().clone()
    }

    pub fn reports(&self) -> Vec<ReplicaReport> {
        self.reports.borrow().clone()
    }
}

impl ControlPlane for InMemory {
    fn follow(&self, knowledge: Arc<Knowledge>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let told = self.told.lock().unwrap().clone();
            knowledge.tell_ledgers(told.ledgers);
            knowledge.tell_contract(told.contract);
            knowledge.tell_keys(told.keys);
            knowledge.tell_freezes(told.freezes);
            for topic in [Topic::Contract, Topic::Keys, Topic::Freezes] {
                knowledge.heard(topic, Instant::now());
            }
            self.knowledge.send_replace(Some(knowledge));
            self.fails.notified().await;
            panic!("nobody can follow this");
        })
    }

    fn read_live<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<Live, LiveError>> {
        let answer = self.live.lock().unwrap().clone();
        Box::pin(async move {
            match answer {
                LiveAnswer::Found(live) => Ok(*live),
                LiveAnswer::Told => Ok(self.live(key)),
                LiveAnswer::Failing => Err(LiveError {
                    what: "the key",
                    cause: "the API server is away".into(),
                }),
                LiveAnswer::Silent => std::future::pending().await,
            }
        })
    }

    fn report<'a>(&'a self, report: &'a ReplicaReport) -> BoxFuture<'a, Result<(), ReportError>> {
        Box::pin(async move {
            self.reports
                .send_modify(|reports| reports.push(report.clone()));
            Ok(())
        })
    }
}
