//! The way of a change, from its key to what became of it (WRITES §1):
//! claim → own and prepare → decide and reserve → look again → send → settle.
//!
//! What is written here is order alone. Each step either goes on or ends the
//! change in the ledger, so that whatever stops a call leaves nothing open.

pub mod agreed;
pub mod batch;
pub mod claim;
pub mod decide;
pub mod emergency;
pub mod explain;
pub mod make;
pub mod prepare;
pub mod rehearse;
pub mod told;

use jiff::Timestamp;
use tenantry_connectors::change::Prepared;
use tenantry_core::audit::Stage;
use tenantry_core::authorize::{Request, authorize as core_authorize};
use tenantry_core::cause::chain;
use tenantry_core::name::AccountId;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::change::Lease;
use tenantry_ledger::claim::Claimed;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::settle::Outcome;
use tokio::time::Instant;

use super::authorize::{self, Permitted, permit_account};
use super::record::Entry;
use super::wish::Wish;
use super::{Authenticated, Ended, Stopped, live};
use crate::book;
use crate::counter::Counter;
use crate::crash::{self, Step};
use agreed::Agreement;
use decide::{Decided, Granted};
use prepare::Ready;

/// Who changes something, where, and until when.
#[derive(Clone, Copy)]
pub struct Desk<'c> {
    /// The server's parts.
    pub counter: &'c Counter,
    /// Who asks.
    pub caller: &'c Authenticated,
    /// When the caller must hear something.
    pub deadline: Instant,
}

/// A change that is claimed, and the book that it stands in.
#[derive(Clone, Copy)]
struct Errand<'c> {
    desk: Desk<'c>,
    ledger: &'c Ledger,
    lease: &'c Lease,
    /// What people have agreed to, where they were asked.
    agreement: Option<&'c Agreement>,
}

/// How often a change is decided: what was true when it was may not be so any
/// more when it is to be sent, and then once again (WRITES §1).
const DECISIONS: u32 = 2;

/// Carries a change out, or says why not.
pub async fn carry(
    desk: Desk<'_>,
    permitted: Permitted<'_>,
    wish: &Wish,
    entry: &mut Entry,
) -> Ended {
    let is_stop = permitted.checked.found.tool.only_stops();
    let ledger = match desk.counter.book.ledger() {
        Ok(ledger) => ledger,
        Err(_) if is_stop && !wish.is_dry_run => {
            return emergency::stop(desk, permitted, wish, entry).await;
        }
        Err(refusal) => return Err(Stopped::refused(Stage::Claim, refusal)),
    };
    if wish.is_dry_run {
        return rehearse::rehearse(desk, &ledger, permitted, wish, entry).await;
    }
    let claimed = match claim::claim(desk, &ledger, &permitted.checked.found.tool.name, wish).await
    {
        Ok(claimed) => claimed,
        Err(error) if is_stop => {
            tell(
                &error,
                "a stop could not be claimed, and is made all the same",
            );
            return emergency::stop(desk, permitted, wish, entry).await;
        }
        Err(error) => return Err(Stopped::refused(Stage::Claim, book::refusal(&error))),
    };
    let lease = match claimed {
        Claimed::New(lease) => lease,
        met => {
            may_hear(desk, &ledger, &permitted, &met).await?;
            let policies = &desk.caller.in_force.tenant.policies;
            return told::met(&ledger, policies, met).await;
        }
    };
    let _hand = desk.counter.book.hands.take(&lease.change);
    crash::at(Step::Claimed);
    entry.change(&lease.change);
    let errand = Errand {
        desk,
        ledger: &ledger,
        lease: &lease,
        agreement: None,
    };
    let ended = Box::pin(errand.run(permitted, wish, entry)).await;
    desk.counter.book.written.notify_one();
    ended
}

/// Whether the caller may still use the account of the change that its key
/// opens: another key of the same owner may be good for fewer (WRITES §1).
async fn may_hear(
    desk: Desk<'_>,
    ledger: &Ledger,
    permitted: &Permitted<'_>,
    met: &Claimed,
) -> Result<(), Stopped> {
    let Some(change) = met.change() else {
        return Ok(());
    };
    let refused = |refusal| Stopped::refused(Stage::Claim, refusal);
    let proposal = told::proposal(ledger, change).await;
    let proposal = proposal.map_err(|error| refused(book::refusal(&error)))?;
    // Before it is decided a change tells nothing of its object.
    let Some(proposal) = proposal else {
        return Ok(());
    };
    permit_account(desk.caller, permitted, &proposal.subject.account).map_err(refused)
}

impl Errand<'_> {
    async fn run(&self, permitted: Permitted<'_>, wish: &Wish, entry: &mut Entry) -> Ended {
        let ready = prepare::prepare(self.desk, permitted, wish, entry).await;
        let mut ready = match ready {
            Ok(ready) => ready,
            Err(stopped) => return self.release(stopped).await,
        };
        crash::at(Step::Prepared);
        let pinned = ready.prepared.pinned();
        if self
            .agreement
            .is_some_and(|agreement| agreement.pinned != pinned)
        {
            return Err(stale());
        }
        for left in (0..DECISIONS).rev() {
            if ready.prepared.is_reached {
                let change = told::of(&ready.prepared, None);
                return self.give_back(Ok(told::unchanged(change))).await;
            }
            let granted = match self.decide(&ready, wish, entry).await {
                Decided::Permitted(granted) => granted,
                Decided::Ended(ended) => return *ended,
                Decided::Unrecorded => {
                    return emergency::stop_prepared(self.desk, &ready, wish, entry).await;
                }
            };
            crash::at(Step::Reserved);
            if ready.is_stop() {
                return self.send(&ready, granted, wish, entry).await;
            }
            match self.look_again(&ready, entry).await {
                Ok(None) => return self.send(&ready, granted, wish, entry).await,
                // What people agreed to is not decided anew.
                Ok(Some(now)) if left > 0 && self.agreement.is_none() => {
                    if let Err(stopped) = prepare::as_meant(wish, &now) {
                        return self.void(stopped).await;
                    }
                    let why = "what the change was decided on has changed";
                    if let Err(error) = self
                        .ledger
                        .step_back(self.lease, why, self.desk.now())
                        .await
                    {
                        return Err(self.unrecorded(&error));
                    }
                    crash::at(Step::SteppedBack);
                    ready.prepared = now;
                }
                Ok(Some(_)) => return self.void(stale()).await,
                Err(stopped) => return self.void(stopped).await,
            }
        }
        self.void(stale()).await
    }

    /// Prepares once more right before sending, and asks again who may do what:
    /// answers what there is now, if the change would be another one by it.
    async fn look_again(
        &self,
        ready: &Ready<'_>,
        entry: &mut Entry,
    ) -> Result<Option<Prepared>, Stopped> {
        let now = prepare::again(self.desk, ready, entry).await?;
        self.desk.confirm(ready).await?;
        crash::at(Step::LookedAgain);
        Ok((!ready.prepared.is_still(&now)).then_some(now))
    }

    async fn send(
        &self,
        ready: &Ready<'_>,
        Granted { permission, record }: Granted,
        wish: &Wish,
        entry: &mut Entry,
    ) -> Ended {
        match self
            .ledger
            .sending(self.lease, &permission, self.desk.now())
            .await
        {
            Ok(()) => {}
            Err(error) if ready.is_stop() && self.agreement.is_none() => {
                tell(
                    &error,
                    "a stop could not be put down, and is made all the same",
                );
                // What stands as reserved would be called unsent by whoever
                // looks after it, so the stop is one of its own.
                let _ = self.void(stale()).await;
                return emergency::stop_prepared(self.desk, ready, wish, entry).await;
            }
            Err(LedgerError::Stale { .. }) => return self.void(self.too_late()).await,
            // Whether it was put down is not known. It was not sent: whoever
            // looks after it finds the object as it was.
            Err(error) => return Err(self.unrecorded(&error)),
        }
        crash::at(Step::Sending);
        // The disk may have taken its time.
        if !ready.is_stop() && !permission.is_good(self.desk.now()) {
            let stopped = stale();
            let outcome = Outcome::NotApplied {
                why: "its permission ended before it was sent".into(),
                answer: self.kept(entry.call_id(), &stopped),
            };
            return self.free(&outcome, stopped).await;
        }
        make::make(self, ready, record, entry).await
    }

    /// What the permission was good for is over, which says nothing of the object:
    /// what people agreed to may be tried again.
    fn too_late(&self) -> Stopped {
        if self.agreement.is_none() {
            return stale();
        }
        let message = "it took longer than a permission is good for";
        let refusal = Refusal::new(Reason::DeadlineExceeded, message);
        Stopped::refused(Stage::Decide, refusal)
    }

    /// What the key of a change is answered with that was not made: people said
    /// what they had to say, and its key does not ask them once more.
    fn kept(&self, call_id: &str, stopped: &Stopped) -> Option<String> {
        self.agreement?;
        Some(told::kept(call_id, &self.lease.change, stopped.clone()))
    }

    /// Ends a change of which nothing was reserved; its key is free again. What
    /// people agreed to is ended by who carries it out.
    async fn release(&self, stopped: Stopped) -> Ended {
        self.give_back(Err(stopped)).await
    }

    async fn give_back(&self, ended: Ended) -> Ended {
        if self.agreement.is_some() {
            return ended;
        }
        if let Err(error) = self.ledger.release(self.lease, self.desk.now()).await {
            // The claim is nobody's after a minute.
            tell(&error, "a key could not be given back");
        }
        ended
    }

    /// Frees the money of a change that was not sent, and its key. What people
    /// agreed to is ended by who carries it out, or carried out once more.
    async fn void(&self, stopped: Stopped) -> Ended {
        if self.agreement.is_some() {
            let why = &stopped.refusal.message;
            let back = self.ledger.step_back(self.lease, why, self.desk.now());
            return Err(match back.await {
                Ok(()) => stopped,
                Err(error) => self.unrecorded(&error),
            });
        }
        let outcome = Outcome::NeverSent {
            why: stopped.refusal.message.clone(),
        };
        self.free(&outcome, stopped).await
    }

    async fn free(&self, outcome: &Outcome, stopped: Stopped) -> Ended {
        let now = self.desk.now();
        if let Err(error) = self.ledger.settle(self.lease, outcome, now).await {
            tell(&error, "a reservation could not be freed; it will be");
            self.desk.counter.book.unsettled.notify_one();
        }
        Err(stopped)
    }

    /// The change may stand in the book or not, and was not sent: somebody will
    /// look after it.
    fn unrecorded(&self, error: &LedgerError) -> Stopped {
        tell(error, "the ledger did not take a step of a change");
        self.desk.counter.book.unsettled.notify_one();
        Stopped::refused(Stage::Decide, book::refusal(error))
    }
}

impl Desk<'_> {
    fn now(&self) -> Timestamp {
        self.counter.clock.now()
    }

    /// Whether what is known of key, contract and freezes permits it: for what had
    /// to wait for others after it was confirmed.
    fn is_known_to_stand(&self, ready: &Ready<'_>) -> Result<(), Stopped> {
        let refused = |refusal| Stopped::refused(Stage::Authorize, refusal);
        let Self {
            counter, caller, ..
        } = self;
        let known = counter.knowledge.key(&caller.key.id);
        let key = known.as_ref().unwrap_or(&caller.key);
        if let Err(reason) = key.standing(self.now()) {
            let refusal = Refusal::new(reason, "the key is not good any more");
            return Err(refused(refusal));
        }
        let standing = counter.standing();
        let in_force = standing.in_force.as_ref().unwrap_or(&caller.in_force);
        let freezes = counter.knowledge.freezes_now();
        let freezes = freezes.ok_or_else(|| refused(authorize::stale()))?;
        let request = ready.request(ready.account());
        let stands = core_authorize(&in_force.tenant, &freezes, key, &request);
        stands.map(|_| ()).map_err(refused)
    }

    /// Whether key, contract and freezes still permit it, by what stands in the
    /// control plane at this moment. What only stops is not kept from it by a
    /// control plane that does not answer.
    async fn confirm(&self, ready: &Ready<'_>) -> Result<(), Stopped> {
        let account = ready.account();
        let request = ready.request(account);
        match live::confirm(self.counter, self.caller, &request).await {
            Err(refusal) if ready.is_stop() && refusal.reason == Reason::ControlPlaneStale => {
                Ok(())
            }
            Err(refusal) => Err(Stopped::refused(Stage::Authorize, refusal)),
            Ok(_) => Ok(()),
        }
    }
}

impl Ready<'_> {
    fn account(&self) -> &AccountId {
        self.prepared.place.account().id()
    }

    fn request<'r>(&'r self, account: &'r AccountId) -> Request<'r> {
        let found = &self.checked().found;
        Request {
            tool: &found.tool.name,
            connector: found.connector.name(),
            class: found.tool.class,
            stops: found.tool.only_stops(),
            account: Some(account.as_str()),
        }
    }
}

fn stale() -> Stopped {
    let message = "what the change was decided on has changed, so it was not made";
    Stopped::refused(Stage::Decide, Refusal::new(Reason::ChangeStale, message))
}

fn tell(error: &LedgerError, what: &'static str) {
    tracing::error!(error = chain(error), what, "the ledger failed");
}
