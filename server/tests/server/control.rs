//! A control plane in memory: it tells what a test wants it to tell, and keeps
//! the reports.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tenantry_api::mcp_approval::{
    ApprovalDecision, ApprovalRequest, ApprovalVerdict, McpApprovalSpec, McpApprovalStatus,
};
use tenantry_api::mcp_server::{LedgerReport, ReplicaReport};
use tenantry_core::freeze::Freeze;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::KeyId;
use tenantry_core::tenant::TenantConfig;
use tenantry_server::control_plane::{
    Approvals, AskError, ControlPlane, Live, LiveError, Question, ReportError,
};
use tenantry_server::knowledge::{Knowledge, Questions, RawContract, Topic};
use tokio::sync::{Notify, watch};

/// What stands in the namespace, and what the server makes of it.
pub struct InMemory {
    told: Mutex<Told>,
    live: Mutex<LiveAnswer>,
    knowledge: watch::Sender<Option<Arc<Knowledge>>>,
    reports: watch::Sender<Vec<ReplicaReport>>,
    questions: watch::Sender<Questions>,
    asks_people: bool,
    /// How many questions there may be.
    room: Mutex<usize>,
    /// Whether it is slow to take questions, and how many it has not taken yet.
    is_slow: watch::Sender<bool>,
    asking: AtomicUsize,
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

/// A question that is not answered yet, whether or not somebody waits for it.
struct Asking<'c>(&'c AtomicUsize);

impl<'c> Asking<'c> {
    fn of(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
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
            questions: watch::Sender::default(),
            asks_people: true,
            room: Mutex::new(usize::MAX),
            is_slow: watch::Sender::new(false),
            asking: AtomicUsize::new(0),
            reports: watch::Sender::new(Vec::new()),
        }
    }

    /// The same, where former replicas have reported of the ledger.
    pub fn with_ledgers(self, ledgers: BTreeMap<String, LedgerReport>) -> Self {
        self.told.lock().unwrap().ledgers = ledgers;
        self
    }

    /// The same, with or without anywhere to ask people.
    pub fn asking_people(self, asks_people: bool) -> Self {
        Self {
            asks_people,
            ..self
        }
    }

    /// From now on there may be so many questions.
    pub fn leave_room_for(&self, questions: usize) {
        *self.room.lock().unwrap() = questions;
    }

    /// From now on it does not answer who asks, or does again.
    pub fn be_slow(&self, is_slow: bool) {
        self.is_slow.send_replace(is_slow);
    }

    /// How many questions it was asked that it has not answered.
    pub fn asking(&self) -> usize {
        self.asking.load(Ordering::SeqCst)
    }

    /// The first question that fits.
    pub async fn question(&self, fits: impl Fn(&Question) -> bool) -> Question {
        let mut questions = self.questions.subscribe();
        let wanted = |questions: &Questions| questions.values().any(|one| fits(one));
        let found = tokio::time::timeout(crate::world::PATIENCE, questions.wait_for(wanted));
        let found = found.await.expect("no such question").unwrap();
        let found = found.values().find(|one| fits(one)).unwrap();
        (**found).clone()
    }

    /// How many questions there are.
    pub fn questions(&self) -> usize {
        self.questions.borrow().len()
    }

    /// Somebody says something of a question.
    pub fn decide(&self, name: &str, by: &str, verdict: ApprovalVerdict) {
        self.change(name, |question| {
            question.spec.decisions.push(ApprovalDecision {
                by: by.into(),
                verdict,
                classes: None,
                comment: Some("as I said".into()),
            });
        });
    }

    /// Somebody changes a question.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Question)) {
        let mut question = (*self.questions.borrow()[name]).clone();
        change(&mut question);
        self.put(question);
    }

    /// Somebody deletes a question; who watches hears of it, or not.
    pub fn delete(&self, name: &str) {
        self.questions.send_modify(|questions| {
            questions.remove(name);
        });
        if let Some(knowledge) = &*self.knowledge.borrow() {
            knowledge.forget_question(name);
        }
    }

    fn put(&self, question: Question) {
        self.questions.send_modify(|questions| {
            questions.insert(question.name.clone(), Arc::new(question.clone()));
        });
        if let Some(knowledge) = &*self.knowledge.borrow() {
            knowledge.tell_question(question);
        }
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
            let questions: Vec<_> = self.questions.borrow().values().cloned().collect();
            knowledge.tell_questions(questions.iter().map(|one| (**one).clone()));
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

    fn approvals(&self) -> Option<&dyn Approvals> {
        self.asks_people.then_some(self as _)
    }

    fn report<'a>(&'a self, report: &'a ReplicaReport) -> BoxFuture<'a, Result<(), ReportError>> {
        Box::pin(async move {
            self.reports
                .send_modify(|reports| reports.push(report.clone()));
            Ok(())
        })
    }
}

impl Approvals for InMemory {
    fn ask<'a>(
        &'a self,
        name: &'a str,
        request: &'a ApprovalRequest,
    ) -> BoxFuture<'a, Result<Question, AskError>> {
        Box::pin(async move {
            let asking = Asking::of(&self.asking);
            let mut is_slow = self.is_slow.subscribe();
            is_slow.wait_for(|is_slow| !is_slow).await.unwrap();
            drop(asking);
            let standing = self.questions.borrow().get(name).cloned();
            if let Some(standing) = standing {
                return Ok((*standing).clone());
            }
            if self.questions() >= *self.room.lock().unwrap() {
                return Err(AskError::Full("exceeded quota".into()));
            }
            let spec = McpApprovalSpec {
                request: request.clone(),
                decisions: vec![],
                withdrawn: false,
            };
            let question = Question {
                name: name.into(),
                uid: format!("uid of {name}"),
                spec,
                status: McpApprovalStatus::default(),
                created_at: Some(Timestamp::now()),
                is_going: false,
            };
            self.put(question.clone());
            Ok(question)
        })
    }

    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Question>, LiveError>> {
        let found = self.questions.borrow().get(name).cloned();
        Box::pin(async move { Ok(found.map(|found| (*found).clone())) })
    }

    fn tell<'a>(
        &'a self,
        question: &'a Question,
        status: &'a McpApprovalStatus,
    ) -> BoxFuture<'a, Result<(), LiveError>> {
        Box::pin(async move {
            let standing = self.questions.borrow().get(&question.name).cloned();
            if standing.is_some_and(|standing| standing.uid == question.uid) {
                self.change(&question.name, |question| question.status = status.clone());
            }
            Ok(())
        })
    }

    fn clear<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<(), LiveError>> {
        Box::pin(async move {
            self.delete(&question.name);
            Ok(())
        })
    }
}
