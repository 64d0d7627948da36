//! The way of changes that are made together (WRITES §8): as that of one, but
//! decided in one transaction, all or none. What is sent, is sent and settled each
//! by itself.

pub mod answer;
pub mod explain;
pub mod member;
mod rehearse;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use tenantry_connectors::change::Prepared;
use tenantry_core::audit::change_record::{ChangeRecord, Deed};
use tenantry_core::audit::{Actor, Arguments, Stage};
use tenantry_core::name::ToolName;
use tenantry_core::policy::batch::decide_all;
use tenantry_core::policy::decide::{Agreed, Permitted as Permission};
use tenantry_core::policy::facts::{Facts, Proposal};
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::batch::{Batch, BatchReservation, Item, What};
use tenantry_ledger::change::Lease;
use tenantry_ledger::claim::Claimed;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::reserve::Deferred;
use tenantry_ledger::settle::Outcome;

use super::agreed::{Agreement, Work};
use super::decide::Question;
use super::prepare::{self, UNFORESEEN};
use super::{DECISIONS, Desk, Errand, claim, make, may_hear, stale, told};
use crate::book;
use crate::crash::{self, Step};
use crate::in_force::InForce;
use crate::pipeline::authorize::Permitted;
use crate::pipeline::check::Checked;
use crate::pipeline::record::Entry;
use crate::pipeline::set_budgets::several;
use crate::pipeline::wish::Wish;
use crate::pipeline::{Ended, Stopped};
use member::{
    Member, Named, all_prepared, apart, at, in_order, names, permit_all, pinned, prepare_all,
};

/// Changes that are made together at most. Each takes about thirteen requests to
/// the vendor, ten of them side by side, and all must be through before the caller
/// has to hear something: a vendor may take half a second for each.
pub const MOST_ITEMS: usize = 20;

/// The argument that holds those of each change.
pub const CHANGES: &str = "changes";

/// What is asked for together.
pub struct Several<'c> {
    /// The tool that was called.
    pub tool: ToolName,
    /// The changes, in the order given; one at least.
    pub items: Vec<Checked<'c>>,
    /// The arguments, all of them.
    pub arguments: Map<String, Value>,
}

impl Several<'_> {
    /// The arguments as they are put on record.
    pub fn said(&self, redact: &BTreeSet<String>) -> Arguments {
        said(&self.arguments, redact)
    }
}

fn said(arguments: &Map<String, Value>, redact: &BTreeSet<String>) -> Arguments {
    Arguments::checked_each(arguments, CHANGES, redact)
}

/// A batch that is claimed.
struct Way<'c> {
    errand: Errand<'c>,
    tool: ToolName,
    arguments: Map<String, Value>,
    wish: &'c Wish,
}

/// What may be made, and what its lines carry.
struct Granted {
    permissions: Vec<Permission>,
    leases: Vec<Lease>,
    records: Vec<Map<String, Value>>,
}

/// What became of the question.
enum Decided {
    Permitted(Granted),
    Ended(Box<Ended>),
}

/// Carries the changes out, or says why not.
pub async fn carry(desk: Desk<'_>, several: Several<'_>, wish: &Wish, entry: &mut Entry) -> Ended {
    let claims = |refusal| Stopped::refused(Stage::Claim, refusal);
    let limiter = &desk.caller.in_force.limiter;
    // The door has charged for one.
    for _ in 1..several.items.len() {
        let charged = limiter.charge_call(&desk.caller.key.id);
        charged.map_err(|refusal| Stopped::refused(Stage::Authorize, refusal))?;
    }
    let place = limiter.place(&desk.caller.key.id);
    let _place = place.map_err(|refusal| Stopped::refused(Stage::Authorize, refusal))?;
    let permitted = permit_all(desk, several.items, entry)?;
    let ledger = desk.counter.book.ledger().map_err(claims)?;
    if wish.is_dry_run {
        return rehearse::rehearse(desk, &ledger, permitted, wish, entry).await;
    }
    let claimed = claim::claim(desk, &ledger, &several.tool, wish).await;
    let lease = match claimed.map_err(|error| claims(book::refusal(&error)))? {
        Claimed::New(lease) => lease,
        met => {
            // INVARIANT: a batch has a change.
            if let Some(first) = permitted.first() {
                may_hear(desk, &ledger, first, &met).await?;
            }
            let policies = &desk.caller.in_force.tenant.policies;
            return told::met(&ledger, policies, met).await;
        }
    };
    let names = names(permitted.len())?;
    let hands = &desk.counter.book.hands;
    let mine = names.iter().map(|(name, _)| name);
    let mine = std::iter::once(&lease.change).chain(mine);
    let _hands: Vec<_> = mine.map(|change| hands.take(change)).collect();
    crash::at(Step::Claimed);
    entry.change(&lease.change);
    let way = Way {
        errand: Errand {
            desk,
            ledger: &ledger,
            lease: &lease,
            agreement: None,
        },
        tool: several.tool,
        arguments: several.arguments,
        wish,
    };
    let ended = Box::pin(way.run(permitted, names, entry)).await;
    desk.counter.book.written.notify_one();
    ended
}

/// Carries out what people have agreed to.
pub(super) async fn carry_out(
    desk: Desk<'_>,
    ledger: &Ledger,
    work: &Work,
    agreement: &Agreement,
) -> Ended {
    let refused = |stage, refusal| Stopped::refused(stage, refusal);
    let Desk {
        counter, caller, ..
    } = desk;
    let mut entry = Entry::without_line(caller.call_id.clone(), Arc::clone(&counter.metrics));
    let arguments = work.approval.arguments.clone();
    let tool = work.change.tool.clone();
    let catalog = &counter.workshop.catalog;
    let several = several(catalog, &caller.in_force, tool, arguments, &entry)?;
    let place = caller.in_force.limiter.place(&caller.key.id);
    let _place = place.map_err(|refusal| refused(Stage::Authorize, refusal))?;
    let permitted = permit_all(desk, several.items, &mut entry)?;
    let items = ledger.items(&work.lease.change).await;
    let items = items.map_err(|error| refused(Stage::Claim, book::refusal(&error)))?;
    if items.len() != permitted.len() {
        return Err(stale());
    }
    let names = items.into_iter();
    let names: Vec<_> = names
        .map(|item| (item.lease.change, Some(item.record)))
        .collect();
    let hands = &counter.book.hands;
    let _hands: Vec<_> = names.iter().map(|(name, _)| hands.take(name)).collect();
    let wish = Wish::of_item(None);
    let way = Way {
        errand: Errand {
            desk,
            ledger,
            lease: &work.lease,
            agreement: Some(agreement),
        },
        tool: several.tool,
        arguments: several.arguments,
        wish: &wish,
    };
    Box::pin(way.run(permitted, names, &mut entry)).await
}

impl Way<'_> {
    async fn run(
        &self,
        permitted: Vec<Permitted<'_>>,
        names: Vec<Named>,
        entry: &mut Entry,
    ) -> Ended {
        let Errand {
            desk,
            ledger,
            lease,
            agreement,
        } = self.errand;
        let batch = Some(&lease.change);
        let prepared = prepare_all(desk, permitted, names, batch, entry).await;
        let prepared = prepared.and_then(|members| self.as_foreseen(&members).map(|()| members));
        let mut members = match prepared {
            Ok(members) => members,
            Err(stopped) => return self.errand.release(stopped).await,
        };
        crash::at(Step::Prepared);
        if agreement.is_some_and(|agreement| agreement.pinned != pinned(&members)) {
            return Err(stale());
        }
        for left in (0..DECISIONS).rev() {
            if !members.iter().any(Member::changes) {
                return self.errand.give_back(answer::unchanged(&members)).await;
            }
            let granted = match self.decide(&members, entry).await {
                Decided::Permitted(granted) => granted,
                Decided::Ended(ended) => return *ended,
            };
            crash::at(Step::Reserved);
            match self.look_again(&mut members).await {
                Ok(None) => return self.send(members, granted, entry).await,
                // What people agreed to is not decided anew.
                Ok(Some(now)) if left > 0 && agreement.is_none() => {
                    let why = "what the changes were decided on has changed";
                    if let Err(error) = ledger.step_back(lease, why, desk.now()).await {
                        return Err(self.errand.unrecorded(&error));
                    }
                    crash::at(Step::SteppedBack);
                    for (member, now) in members.iter_mut().zip(now) {
                        member.ready.prepared = now;
                    }
                    let seen = self.as_foreseen(&members).and_then(|()| apart(&members));
                    if let Err(stopped) = seen {
                        return self.errand.release(stopped).await;
                    }
                }
                Ok(Some(_)) => return self.errand.void(stale()).await,
                Err(stopped) => return self.errand.void(stopped).await,
            }
        }
        self.errand.release(stale()).await
    }

    /// Refuses changes under the key of a dry run that found something else.
    fn as_foreseen(&self, members: &[Member<'_>]) -> Result<(), Stopped> {
        let key = self.wish.key.as_ref();
        let is_foreseen = |key| told::is_foreseen(key, self.wish, &all_prepared(members));
        if self.errand.agreement.is_some() || key.is_none_or(is_foreseen) {
            return Ok(());
        }
        let refusal = Refusal::new(Reason::ChangeStale, UNFORESEEN);
        Err(Stopped::refused(Stage::Prepare, refusal))
    }

    /// Decides and reserves, after key, contract and freezes were read live.
    async fn decide(&self, members: &[Member<'_>], entry: &Entry) -> Decided {
        let desk = self.errand.desk;
        let ended = |ended| Decided::Ended(Box::new(ended));
        // INVARIANT: a batch has a change. All have one tool and one account.
        if let Some(first) = members.first()
            && let Err(stopped) = desk.confirm(&first.ready).await
        {
            return ended(self.errand.release(stopped).await);
        }
        let in_force = &desk.caller.in_force;
        let key = claim::digest(self.wish);
        let questions: Vec<_> = members
            .iter()
            .map(|member| member.question(desk, key))
            .collect();
        let so_already = answer::so_already(members, entry.call_id());
        let items = placed(members, &questions, &so_already, in_force);
        let record = self.record(members, entry);
        let batch = Batch {
            items: &items,
            record: &record,
            deferred: Deferred {
                arguments: &self.arguments,
                pinned: pinned(members),
                policy_digest: in_force.policy_digest,
            },
        };
        let asked = members.iter().zip(&questions);
        let asked = asked.filter(|(member, _)| member.changes());
        let asked: Vec<_> = asked.map(|(_, question)| question).collect();
        let proposals: Vec<Proposal> = asked.iter().map(|one| one.proposal.clone()).collect();
        let nothing = Agreed::new();
        let agreed = self.errand.agreement.map_or(&nothing, |it| &it.terms);
        let policies = &in_force.tenant.policies;
        let rule = |facts: Vec<Facts>, now| decide_all(&proposals, facts, policies, agreed, now);
        let (ledger, lease) = (self.errand.ledger, self.errand.lease);
        let reserved = ledger.decide_and_reserve_all(lease, &batch, desk.now(), rule);
        match reserved.await {
            Ok(BatchReservation::Reserved {
                rulings,
                permitted,
                leases,
            }) => {
                let metrics = &desk.counter.metrics;
                for ruling in &rulings {
                    metrics.ruled(ruling);
                }
                Decided::Permitted(Granted {
                    permissions: permitted,
                    leases,
                    records: asked.into_iter().map(|one| one.record.clone()).collect(),
                })
            }
            Ok(reservation) => ended(self.told(members, reservation)),
            // What was refused outright has left the claim as it was, and its key
            // is given back; if it was reserved all the same, this fails.
            Err(error) => {
                let stopped = self.errand.unrecorded(&error);
                ended(self.errand.release(stopped).await)
            }
        }
    }

    /// What the caller hears of changes that are not made now.
    fn told(&self, members: &[Member<'_>], reservation: BatchReservation) -> Ended {
        let desk = self.errand.desk;
        let own = &self.errand.lease.change;
        let policies = &desk.caller.in_force.tenant.policies;
        let ruled = |rulings: &[_]| {
            for ruling in rulings {
                desk.counter.metrics.ruled(ruling);
            }
        };
        Err(match reservation {
            BatchReservation::Pending {
                rulings,
                expires_at,
            } => {
                ruled(&rulings);
                // People must see it, and somebody look when its time has passed.
                desk.counter.book.asked.notify_one();
                desk.counter.book.unsettled.notify_one();
                answer::pending(own, members, &rulings, policies, expires_at)
            }
            BatchReservation::Denied { rulings } => {
                ruled(&rulings);
                answer::denied(members, &rulings, policies)
            }
            BatchReservation::InTheWay { place, change } => {
                let mut changing = members.iter().enumerate();
                let place = changing
                    .by_ref()
                    .filter(|(_, member)| member.changes())
                    .nth(place);
                let place = place.map_or(0, |(place, _)| place);
                at(place, told::in_the_way(&change))
            }
            BatchReservation::AlreadyThere { progress } => told::on_its_way(own, progress),
            // INVARIANT: what is reserved is sent.
            BatchReservation::Reserved { .. } => stale(),
        })
    }

    /// Prepares all once more right before sending, and asks again who may do
    /// what: answers what there is now, if one would be another one by it.
    async fn look_again(
        &self,
        members: &mut [Member<'_>],
    ) -> Result<Option<Vec<Prepared>>, Stopped> {
        let desk = self.errand.desk;
        let work = members.iter_mut().map(|member| -> BoxFuture<'_, _> {
            let Member { ready, entry, .. } = member;
            prepare::again(desk, ready, entry).boxed()
        });
        let looked = in_order(work.collect()).await;
        let mut now = Vec::new();
        for (place, prepared) in looked.into_iter().enumerate() {
            now.push(prepared.map_err(|stopped| at(place, stopped))?);
        }
        if let Some(first) = members.first() {
            desk.confirm(&first.ready).await?;
        }
        crash::at(Step::LookedAgain);
        let mut seen = members.iter().zip(&now);
        let is_still = seen.all(|(member, now)| member.prepared().is_still(now));
        Ok((!is_still).then_some(now))
    }

    async fn send(&self, mut members: Vec<Member<'_>>, granted: Granted, entry: &Entry) -> Ended {
        let Errand {
            desk,
            ledger,
            lease,
            ..
        } = self.errand;
        let permissions = &granted.permissions;
        match ledger.sending_all(lease, permissions, desk.now()).await {
            Ok(()) => {}
            Err(LedgerError::Stale { .. }) => {
                return self.errand.void(too_slow()).await;
            }
            // Whether it was put down is not known. Nothing was sent: whoever looks
            // after them finds the objects as they were.
            Err(error) => return Err(self.errand.unrecorded(&error)),
        }
        crash::at(Step::Sending);
        entry.sends(&lease.change);
        let granted = granted.leases.iter().zip(permissions).zip(granted.records);
        let mut granted = granted.into_iter();
        let work = members.iter_mut().map(|member| -> BoxFuture<'_, Ended> {
            if !member.changes() {
                let own = told::of(member.prepared(), Some(&member.change));
                return std::future::ready(Ok(told::unchanged(own))).boxed();
            }
            let Some(((lease, permission), record)) = granted.next() else {
                // INVARIANT: what may be made has a lease.
                return std::future::ready(Err(stale())).boxed();
            };
            let errand = Errand {
                lease,
                ..self.errand
            };
            let work = async move {
                // The disk may have taken its time, and those before it theirs.
                let kept_back = if permission.is_good(desk.now()) {
                    desk.is_known_to_stand(&member.ready)
                } else {
                    Err(too_slow())
                };
                if let Err(stopped) = kept_back {
                    return errand.unsent(member, stopped).await;
                }
                let Member { ready, entry, .. } = member;
                make::make(&errand, ready, record, entry).await
            };
            work.boxed()
        });
        let ended = in_order(work.collect()).await;
        let items = members.iter().zip(ended);
        let items = items.map(|(member, ended)| answer::item(Some(member), ended));
        answer::together(Some(&lease.change), items.collect())
    }

    /// What the lines of the batch itself carry.
    fn record(&self, members: &[Member<'_>], entry: &Entry) -> Map<String, Value> {
        if let Some(agreement) = self.errand.agreement {
            return agreement.record.clone();
        }
        let desk = self.errand.desk;
        let key = &desk.caller.key;
        let Some(first) = members.first().map(|member| &member.ready) else {
            return Map::new();
        };
        let found = &first.checked().found;
        let record = ChangeRecord {
            call_id: entry.call_id().to_owned(),
            trace: entry.trace(),
            source: desk.caller.source,
            actor: Actor::of(key),
            issued_by: key.issued_by.clone(),
            tool: self.tool.clone(),
            class: found.tool.class,
            deed: Deed::Update,
            connector: found.connector.name().clone(),
            account: first.account().clone(),
            object: None,
            arguments: said(&self.arguments, &desk.caller.in_force.tenant.redact),
            undoes: None,
            batch: None,
            before: None,
            after: None,
            policy_digest: Some(desk.caller.in_force.policy_digest),
            idempotency_digest: claim::digest(self.wish),
            vendor_request_ids: Vec::new(),
        };
        record.to_map()
    }
}

/// Each as the ledger decides over it.
fn placed<'a>(
    members: &'a [Member<'_>],
    questions: &'a [Question],
    so_already: &'a [Option<String>],
    in_force: &'a InForce,
) -> Vec<Item<'a>> {
    let placed = members.iter().zip(questions).zip(so_already);
    let items = placed.map(|((member, question), so_already)| Item {
        change: &member.change,
        tool: &member.ready.checked().found.tool.name,
        what: match so_already {
            Some(answer) => What::Unchanged {
                answer,
                record: &question.record,
            },
            None => What::Change(question.asked(in_force)),
        },
    });
    items.collect()
}

impl Errand<'_> {
    /// Ends a change that was put down as leaving and did not leave.
    async fn unsent(&self, member: &Member<'_>, stopped: Stopped) -> Ended {
        let change = told::of(member.prepared(), Some(&self.lease.change));
        let stopped = stopped.of_change(change);
        let why = format!("it was not sent: {}", stopped.refusal.message);
        let call_id = member.entry.call_id();
        let answer = told::kept(call_id, &self.lease.change, stopped.clone());
        let outcome = match self.agreement {
            Some(_) => Outcome::NotApplied {
                why,
                answer: Some(answer),
            },
            None => Outcome::HeldUp { why, answer },
        };
        self.free(&outcome, stopped).await
    }
}

/// What a permission is good for is over: it says nothing of the objects.
fn too_slow() -> Stopped {
    let message = "the vendor took longer than a permission is good for; nothing of this was sent";
    let refusal = Refusal::new(Reason::DeadlineExceeded, message);
    let refusal = refusal.with_remedy("ask for fewer changes at once, or later");
    Stopped::refused(Stage::Decide, refusal)
}
