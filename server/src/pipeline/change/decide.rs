//! The decision, inside the ledger's transaction: on facts that are still so
//! when the money is set aside.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tenantry_core::digest::Digest;
use tenantry_core::name::ObjectId;
use tenantry_core::policy::decide::{Agreed, Permitted as Permission, Ruling, decide};
use tenantry_core::policy::facts::{Proposal, Subject};
use tenantry_core::policy::{Policy, longest_window};
use tenantry_core::tenant::TenantConfig;
use tenantry_ledger::change::{ChangeId, Intent, Progress};
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::outbox::OffSending;
use tenantry_ledger::reserve::{Asked, Deferred, Foreseen, Likeness, Moment, Reservation};

use super::prepare::Ready;
use super::{Desk, Errand, claim, tell, told};
use crate::in_force::InForce;
use crate::pipeline::Ended;
use crate::pipeline::record::Entry;
use crate::pipeline::wish::Wish;

/// The field of a change's record that names what it was decided under.
pub(super) const POLICY_DIGEST: &str = "policy_digest";

/// What became of the question.
pub(super) enum Decided {
    /// The change may be made, soon.
    Permitted(Granted),
    /// It is not made, not yet at least.
    Ended(Box<Ended>),
    /// The ledger failed, and the change is one that nothing keeps back.
    Unrecorded,
}

/// A permission, and what the lines of its change carry.
pub(super) struct Granted {
    pub permission: Permission,
    pub record: Map<String, Value>,
}

/// A question, with all that the ledger needs to keep.
pub(super) struct Question {
    pub(super) proposal: Proposal,
    roots: BTreeSet<ObjectId>,
    intent: Intent,
    likeness: Likeness,
    pub(super) record: Map<String, Value>,
    arguments: Map<String, Value>,
    pinned: Digest,
}

impl Question {
    pub(super) fn of(desk: Desk<'_>, ready: &Ready<'_>, wish: &Wish, entry: &Entry) -> Self {
        let prepared = &ready.prepared;
        let found = &ready.checked().found;
        let subject = Subject {
            connector: found.connector.name().clone(),
            account: prepared.place.account().id().clone(),
            tool: found.tool.name.clone(),
            class: found.tool.class,
            key: desk.caller.key.id.clone(),
            path: prepared.path.clone(),
        };
        Self {
            proposal: Proposal {
                subject,
                effect: prepared.effect.clone(),
                undoes: wish.undoes.clone(),
                batch: wish.batch.clone(),
            },
            roots: prepared.root().into_iter().collect(),
            intent: told::intent(prepared),
            likeness: if prepared.creates() {
                Likeness::Made(prepared.likeness())
            } else {
                Likeness::Target(prepared.likeness())
            },
            record: told::record(desk, ready, wish, entry),
            arguments: ready.checked().arguments.clone(),
            pinned: prepared.pinned(),
        }
    }

    /// What is put down of a change that leaves without being decided, and what
    /// its lines carry.
    pub(super) fn undecided(self, desk: Desk<'_>) -> (OffSending, Map<String, Value>) {
        let sending = OffSending {
            principal: claim::principal(&desk.caller.key),
            tool: self.proposal.subject.tool.clone(),
            proposal: self.proposal,
            roots: self.roots,
            intent: self.intent,
            at: desk.now(),
        };
        (sending, self.record)
    }

    /// The policies that bind the change.
    pub(super) fn bound<'p>(&self, policies: &'p [Policy]) -> impl Iterator<Item = &'p Policy> {
        policies
            .iter()
            .filter(|policy| policy.covers.binds(&self.proposal))
    }

    pub(super) fn asked<'q>(&'q self, in_force: &'q InForce) -> Asked<'q> {
        Asked {
            proposal: &self.proposal,
            roots: &self.roots,
            intent: &self.intent,
            likeness: Some(self.likeness),
            lookback: longest_window(&in_force.tenant.policies),
            exposure_terms: in_force.limited_exposure(),
            record: &self.record,
            deferred: Deferred {
                arguments: &self.arguments,
                pinned: self.pinned,
                policy_digest: in_force.policy_digest,
            },
        }
    }

    fn ruling(&self, tenant: &TenantConfig, agreed: &Agreed, moment: &Moment<'_>) -> Ruling {
        decide(
            &self.proposal,
            &tenant.policies,
            moment.facts,
            agreed,
            moment.now,
        )
    }

    /// What would be decided now.
    pub(super) async fn foresee(
        &self,
        ledger: &Ledger,
        change: &ChangeId,
        desk: Desk<'_>,
    ) -> Result<Foreseen, LedgerError> {
        let in_force = &desk.caller.in_force;
        let nothing = Agreed::new();
        let rule = |moment: &Moment<'_>| self.ruling(&in_force.tenant, &nothing, moment);
        let asked = self.asked(in_force);
        ledger.foresee(change, &asked, desk.now(), rule).await
    }
}

impl Errand<'_> {
    /// Decides and reserves, after key, contract and freezes were read live.
    pub(super) async fn decide(
        &self,
        ready: &Ready<'_>,
        wish: &Wish,
        entry: &mut Entry,
    ) -> Decided {
        if let Err(stopped) = self.desk.confirm(ready).await {
            return ended(self.release(stopped).await);
        }
        let in_force = &self.desk.caller.in_force;
        let mut question = Question::of(self.desk, ready, wish, entry);
        let nothing = Agreed::new();
        let agreed = self
            .agreement
            .map_or(&nothing, |agreement| &agreement.terms);
        if let Some(agreement) = self.agreement {
            let mut record = agreement.record.clone();
            record.insert(POLICY_DIGEST.into(), told::value(&in_force.policy_digest));
            question.record = record;
        }
        let rule = |moment: &Moment<'_>| question.ruling(&in_force.tenant, agreed, moment);
        let asked = question.asked(in_force);
        let now = self.desk.now();
        let reserved = self
            .ledger
            .decide_and_reserve(self.lease, &asked, now, rule);
        match reserved.await {
            Ok(Reservation::Reserved { ruling, permitted }) => {
                self.desk.counter.metrics.ruled(&ruling);
                Decided::Permitted(Granted {
                    permission: permitted,
                    record: question.record,
                })
            }
            Ok(reservation) => ended(self.told(ready, reservation)),
            Err(error) if ready.is_stop() && self.agreement.is_none() => {
                tell(
                    &error,
                    "a stop could not be reserved, and is made all the same",
                );
                Decided::Unrecorded
            }
            // What was refused outright has left the claim as it was, and its key
            // is given back; if it was reserved all the same, this fails.
            Err(error) => ended(self.release(self.unrecorded(&error)).await),
        }
    }

    /// What the caller hears of a change that is not made now.
    fn told(&self, ready: &Ready<'_>, reservation: Reservation) -> Ended {
        let own = || told::of(&ready.prepared, Some(&self.lease.change));
        let metrics = &self.desk.counter.metrics;
        let policies = &self.desk.caller.in_force.tenant.policies;
        Err(match reservation {
            Reservation::Pending {
                ruling, expires_at, ..
            } => {
                metrics.ruled(&ruling);
                // People must see it, and somebody look when its time has passed.
                self.desk.counter.book.asked.notify_one();
                self.desk.counter.book.unsettled.notify_one();
                told::pending(told::ruled(own(), &ruling, policies, Some(expires_at)))
            }
            Reservation::Denied { ruling } => {
                metrics.ruled(&ruling);
                let change = told::ruled(told::of(&ready.prepared, None), &ruling, policies, None);
                told::denied(change, &ruling)
            }
            Reservation::RootBusy { change } | Reservation::Duplicate { change } => {
                told::in_the_way(&change)
            }
            Reservation::AlreadyThere { progress } => {
                told::on_its_way(&self.lease.change, progress)
            }
            // INVARIANT: what is reserved is sent.
            Reservation::Reserved { .. } => {
                told::on_its_way(&self.lease.change, Progress::Reserved)
            }
        })
    }
}

fn ended(ended: Ended) -> Decided {
    Decided::Ended(Box::new(ended))
}
