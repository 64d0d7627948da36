//! What the control plane last said: the contract, the keys, the freezes, and
//! when it last said anything at all. Told by a control plane, asked by everyone else.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tenantry_api::mcp_server::LedgerReport;
use tenantry_core::freeze::{Freeze, Freezes};
use tenantry_core::key::KeyRecord;
use tenantry_core::name::KeyId;
use tokio::sync::watch;

use crate::control_plane::Question;

/// Every key, by its public id.
pub type Keys = HashMap<KeyId, Arc<KeyRecord>>;

/// Every question that people see, by its name.
pub type Questions = BTreeMap<String, Arc<Question>>;

/// A contract as it arrived, unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawContract {
    /// The UID of the object that it came in; another one starts anew.
    pub uid: String,
    /// Its `metadata.generation`.
    pub generation: Option<i64>,
    /// Its text.
    pub contract: Value,
}

/// The things that a control plane tells about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The contract.
    Contract,
    /// The keys.
    Keys,
    /// The freezes.
    Freezes,
}

impl Topic {
    const ALL: [Self; 3] = [Self::Contract, Self::Keys, Self::Freezes];
}

/// The present state of knowledge. Cheap to ask on every call.
pub struct Knowledge {
    contract: watch::Sender<Option<Arc<RawContract>>>,
    keys: watch::Sender<Option<Arc<Keys>>>,
    freezes: watch::Sender<Option<Arc<Freezes>>>,
    flaw: watch::Sender<Option<String>>,
    ledgers: watch::Sender<BTreeMap<String, LedgerReport>>,
    questions: watch::Sender<Option<Arc<Questions>>>,
    began: Instant,
    contract_heard_ms: AtomicU64,
    keys_heard_ms: AtomicU64,
    freezes_heard_ms: AtomicU64,
}

impl Default for Knowledge {
    fn default() -> Self {
        Self::new()
    }
}

impl Knowledge {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self {
            contract: watch::Sender::new(None),
            keys: watch::Sender::new(None),
            freezes: watch::Sender::new(None),
            flaw: watch::Sender::new(None),
            ledgers: watch::Sender::default(),
            questions: watch::Sender::new(None),
            began: Instant::now(),
            contract_heard_ms: AtomicU64::new(0),
            keys_heard_ms: AtomicU64::new(0),
            freezes_heard_ms: AtomicU64::new(0),
        }
    }

    /// The contract is now this one; `None` if there is none.
    pub fn tell_contract(&self, contract: Option<RawContract>) {
        let contract = contract.map(Arc::new);
        self.contract.send_if_modified(|present| {
            let changed = *present != contract;
            *present = contract;
            changed
        });
    }

    /// What pods have reported of the ledger, the former ones too.
    pub fn tell_ledgers(&self, reports: BTreeMap<String, LedgerReport>) {
        self.ledgers.send_replace(reports);
    }

    /// What pods have reported of the ledger, by their names.
    pub fn ledgers(&self) -> BTreeMap<String, LedgerReport> {
        self.ledgers.borrow().clone()
    }

    /// The keys are exactly these.
    pub fn tell_keys(&self, keys: impl IntoIterator<Item = KeyRecord>) {
        let keys = keys
            .into_iter()
            .map(|key| (key.id.clone(), Arc::new(key)))
            .collect();
        self.keys.send_replace(Some(Arc::new(keys)));
    }

    /// One key is new or changed.
    pub fn tell_key(&self, key: KeyRecord) {
        self.change_keys(|keys| {
            keys.insert(key.id.clone(), Arc::new(key));
        });
    }

    /// One key is gone.
    pub fn forget_key(&self, id: &KeyId) {
        self.change_keys(|keys| {
            keys.remove(id);
        });
    }

    /// The freezes are exactly these.
    pub fn tell_freezes(&self, freezes: impl IntoIterator<Item = Freeze>) {
        let freezes = Arc::new(freezes.into_iter().collect::<Freezes>());
        self.freezes.send_if_modified(|present| {
            let changed = present.as_ref() != Some(&freezes);
            *present = Some(freezes);
            changed
        });
    }

    /// One freeze is new or changed.
    pub fn tell_freeze(&self, freeze: Freeze) {
        self.change_freezes(|freezes| freezes.put(freeze));
    }

    /// One freeze is gone.
    pub fn forget_freeze(&self, name: &str) {
        self.change_freezes(|freezes| freezes.remove(name));
    }

    /// The questions that people see are exactly these.
    pub fn tell_questions(&self, questions: impl IntoIterator<Item = Question>) {
        let questions = questions.into_iter();
        let questions = questions.map(|one| (one.name.clone(), Arc::new(one)));
        self.questions
            .send_replace(Some(Arc::new(questions.collect())));
    }

    /// One is new or changed.
    pub fn tell_question(&self, question: Question) {
        self.change_questions(|questions| {
            questions.insert(question.name.clone(), Arc::new(question));
        });
    }

    /// One is gone.
    pub fn forget_question(&self, name: &str) {
        self.change_questions(|questions| {
            questions.remove(name);
        });
    }

    /// The questions that people see, and every change of them; `None` before
    /// the first word about them.
    pub fn questions(&self) -> watch::Receiver<Option<Arc<Questions>>> {
        self.questions.subscribe()
    }

    fn change_questions(&self, change: impl FnOnce(&mut Questions)) {
        self.questions.send_modify(|present| {
            let questions = present.get_or_insert_default();
            change(Arc::make_mut(questions));
        });
    }

    /// What stands there now cannot be read; what was told before still holds.
    pub fn tell_flaw(&self, flaw: Option<String>) {
        self.flaw.send_replace(flaw);
    }

    /// Why what stands there now cannot be read.
    pub fn flaw(&self) -> Option<String> {
        self.flaw.borrow().clone()
    }

    /// There was word about `topic`, be it that nothing changed.
    pub fn heard(&self, topic: Topic, now: Instant) {
        let since_began = now.saturating_duration_since(self.began).as_millis();
        let since_began = u64::try_from(since_began).unwrap_or(u64::MAX);
        self.heard_ms(topic)
            .fetch_max(since_began, Ordering::Relaxed);
    }

    /// How long ago the topic was last heard of about which is known least.
    pub fn age(&self, now: Instant) -> Duration {
        let heard = Topic::ALL.map(|topic| self.heard_ms(topic).load(Ordering::Relaxed));
        let heard = heard.into_iter().min().unwrap_or_default();
        let heard = self.began + Duration::from_millis(heard);
        now.saturating_duration_since(heard)
    }

    /// The key of that id.
    pub fn key(&self, id: &KeyId) -> Option<Arc<KeyRecord>> {
        self.keys.borrow().as_ref()?.get(id).cloned()
    }

    /// How many keys are known; `None` before the first word about them.
    pub fn key_count(&self) -> Option<usize> {
        self.keys.borrow().as_ref().map(|keys| keys.len())
    }

    /// The contract, and every change of it.
    pub fn contract(&self) -> watch::Receiver<Option<Arc<RawContract>>> {
        self.contract.subscribe()
    }

    /// The freezes that hold, and every change of them; `None` before the first
    /// word about them, when nobody may rely on there being none.
    pub fn freezes(&self) -> watch::Receiver<Option<Arc<Freezes>>> {
        self.freezes.subscribe()
    }

    /// The freezes that hold now.
    pub fn freezes_now(&self) -> Option<Arc<Freezes>> {
        self.freezes.borrow().clone()
    }

    /// Returns when keys and freezes are known.
    pub async fn keys_and_freezes_known(&self) {
        // The senders live as long as `self`, so there is nothing to fail.
        let _ = self.keys.subscribe().wait_for(Option::is_some).await;
        let _ = self.freezes.subscribe().wait_for(Option::is_some).await;
    }

    fn change_keys(&self, change: impl FnOnce(&mut Keys)) {
        self.keys.send_modify(|keys| {
            let mut changed = keys.as_deref().cloned().unwrap_or_default();
            change(&mut changed);
            *keys = Some(Arc::new(changed));
        });
    }

    fn change_freezes(&self, change: impl FnOnce(&mut Freezes)) {
        self.freezes.send_modify(|freezes| {
            let mut changed = freezes.as_deref().cloned().unwrap_or_default();
            change(&mut changed);
            *freezes = Some(Arc::new(changed));
        });
    }

    fn heard_ms(&self, topic: Topic) -> &AtomicU64 {
        match topic {
            Topic::Contract => &self.contract_heard_ms,
            Topic::Keys => &self.keys_heard_ms,
            Topic::Freezes => &self.freezes_heard_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knowledge_is_as_old_as_its_oldest_part() {
        let knowledge = Knowledge::new();
        let later = knowledge.began + Duration::from_secs(100);
        assert_eq!(knowledge.age(later), Duration::from_secs(100));
        knowledge.heard(Topic::Keys, later);
        assert_eq!(knowledge.age(later), Duration::from_secs(100));
        knowledge.heard(Topic::Contract, later);
        assert_eq!(knowledge.age(later), Duration::from_secs(100));
        knowledge.heard(Topic::Freezes, later);
        assert_eq!(knowledge.age(later), Duration::ZERO);
    }

    #[test]
    fn the_same_contract_twice_is_no_change() {
        let knowledge = Knowledge::new();
        let raw = RawContract {
            uid: "1".into(),
            generation: Some(1),
            contract: Value::Null,
        };
        let mut contract = knowledge.contract();
        contract.mark_unchanged();
        knowledge.tell_contract(Some(raw.clone()));
        assert!(contract.has_changed().unwrap());
        contract.mark_unchanged();
        knowledge.tell_contract(Some(raw));
        assert!(!contract.has_changed().unwrap());
    }
}
