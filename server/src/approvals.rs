//! Brings what waits before people, and carries out what they agree to
//! (WRITES §7). The ledger says what waits, and ends it once; the objects are
//! how people see it, and are made to say the same.

mod carry;
pub mod end;
pub mod form;
mod inquire;
mod tell;
pub mod word;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Map, Value};
use tenantry_api::mcp_approval::{ApprovalRequest, ApprovalState};
use tenantry_core::cause::chain;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::KeyId;
use tenantry_ledger::approval::{Approval, End, Shown};
use tenantry_ledger::change::Recorded;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;

use crate::control_plane::{Approvals, AskError, LiveError, Question};
use crate::counter::Counter;
use crate::crash::{self, Step};
use crate::knowledge::Questions;
use crate::pipeline::live;
use carry::Tries;
use word::Word;

/// Between two rounds without a word from anybody, and with many.
const AGAIN: Duration = Duration::from_secs(5);
const AT_ONCE: Duration = Duration::from_millis(100);

/// For one request to the control plane.
const LIMIT: Duration = Duration::from_secs(5);

/// Questions that are looked after at the same time. An API server hardly feels
/// eight requests, and twenty questions, as many as an organisation may have if
/// its policies do not say otherwise, are gone through in three times the limit
/// where it answers none.
const QUESTIONS_AT_ONCE: usize = 8;

/// Why a question was not looked after; it is tried again.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the control plane did not answer: {0}")]
    Plane(String),
    #[error("{0}")]
    Refused(String),
    #[error("there are as many approvals as there may be; one that has ended was taken away")]
    Full,
}

/// Somebody who looks after the questions of one ledger.
struct Clerk<'k> {
    counter: &'k Arc<Counter>,
    ledger: &'k Arc<Ledger>,
    plane: &'k dyn Approvals,
    questions: Arc<Questions>,
    /// Each change is looked after once at a time, so no two look at one entry.
    tries: &'k Mutex<Tries>,
}

/// Looks after the questions of `ledger` for as long as it is polled.
pub async fn keep(counter: &Arc<Counter>, ledger: &Arc<Ledger>) {
    let Some(plane) = counter.control_plane.approvals() else {
        // Here nobody can see a question, and so nobody agrees to it.
        return std::future::pending().await;
    };
    counter.knowledge.keys_and_freezes_known().await;
    let mut seen = counter.knowledge.questions();
    let tries = Mutex::default();
    loop {
        let questions = seen.borrow_and_update().clone();
        // Of a ledger that is not the expected one nothing is believed.
        let questions = questions.filter(|_| ledger.recognition().is_trusted());
        if let Some(questions) = questions {
            let clerk = Clerk {
                counter,
                ledger,
                plane,
                questions,
                tries: &tries,
            };
            Box::pin(clerk.round()).await;
        }
        tokio::select! {
            // The sender lives as long as `counter`, so there is nothing to fail.
            _ = seen.changed() => {}
            () = counter.book.asked.notified() => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
        // What comes meanwhile is looked after together.
        tokio::time::sleep(AT_ONCE).await;
    }
}

impl Clerk<'_> {
    /// Looks after each question once; one that fails, or is not answered, keeps
    /// no other waiting.
    async fn round(&self) {
        match self.ledger.waiting().await {
            Ok(waiting) => {
                self.count(waiting.len());
                let attend = async |approval: Approval| {
                    said(self.attend(&approval).await, "a question");
                };
                let waiting = futures::stream::iter(waiting);
                waiting.for_each_concurrent(QUESTIONS_AT_ONCE, attend).await;
            }
            Err(error) => said(Err(error.into()), "what waits for people"),
        }
        said(self.resume().await, "what people agreed to");
        said(self.inquire_all().await, "what needs people");
        self.tell_all().await;
    }

    /// Puts down how many there are, for the report and the metrics.
    fn count(&self, waiting: usize) {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        self.counter.metrics.pending_approvals.set(waiting.into());
        self.counter.pending_approvals.send_replace(Some(waiting));
    }

    async fn attend(&self, approval: &Approval) -> Result<(), RoundError> {
        let Some(change) = self.ledger.find(&approval.change).await? else {
            return Ok(());
        };
        let Some(shown) = &approval.shown else {
            return self.show(&change, approval).await;
        };
        let name = form::name(&approval.change, approval.asked_at);
        // What was not heard of yet may be there, and what was may be gone.
        let known = self.questions.get(&name);
        if known.is_some_and(|known| self.heard(approval, shown, Some(known)) == Word::Waiting) {
            return Ok(());
        }
        let present = within(self.plane.look(&name)).await?;
        match (self.heard(approval, shown, present.as_ref()), present) {
            (Word::Ended(end, why), _) => self.end(approval, end, &why).await,
            (Word::Agreed(by), Some(question)) => {
                self.execute(&change, approval, shown, &by, &question).await
            }
            (Word::Agreed(_) | Word::Waiting, _) => Ok(()),
        }
    }

    /// What people say of a question, as it stands there or does not.
    fn heard(&self, approval: &Approval, shown: &Shown, question: Option<&Question>) -> Word {
        let Some(question) = question else {
            return Word::Ended(End::Denied, word::DELETED.into());
        };
        if !self.is_vouched_for() && !question.spec.decisions.is_empty() {
            // Anybody may have written them, and nobody can tell later.
            return Word::Ended(End::Denied, word::UNGUARDED.into());
        }
        word::heard(approval, shown, question)
    }

    /// Whether the API server lets nobody decide who may not.
    fn is_vouched_for(&self) -> bool {
        let in_force = self.counter.standing().in_force;
        in_force.is_some_and(|in_force| in_force.tenant.guard_proven)
    }

    /// Puts a question before people, in time.
    async fn ask(&self, name: &str, request: &ApprovalRequest) -> Result<Question, AskError> {
        let asked = tokio::time::timeout(LIMIT, self.plane.ask(name, request)).await;
        asked.unwrap_or_else(|_| Err(AskError::Failed(LATE.into())))
    }

    /// Puts a change before people.
    async fn show(&self, change: &Recorded, approval: &Approval) -> Result<(), RoundError> {
        let items = self.ledger.items(&change.lease.change).await?;
        let mut decided = std::iter::once(change).chain(&items);
        let proposal = decided.find_map(|one| one.proposal.as_ref());
        let key = match proposal {
            Some(proposal) => self.key(&proposal.subject.key).await?,
            None => None,
        };
        // Whose key is gone is refused when it is carried out, and asks nobody.
        if key.is_none() {
            let why = "the key that asks is gone";
            return self.end(approval, End::Refused, why).await;
        }
        let request = match form::request(change, &items, approval) {
            Ok(request) => request,
            Err(error) => return self.end(approval, End::Unavailable, &chain(&error)).await,
        };
        let name = form::name(&approval.change, approval.asked_at);
        let question = match self.ask(&name, &request).await {
            Ok(question) => question,
            Err(AskError::Full(_)) if self.make_room().await? => return Err(RoundError::Full),
            Err(error @ (AskError::Refused(_) | AskError::Full(_))) => {
                return self.end(approval, End::Unavailable, &chain(&error)).await;
            }
            Err(error @ AskError::Failed(_)) => return Err(RoundError::Plane(chain(&error))),
        };
        let digest = form::digest(&question.spec.request);
        if digest != form::digest(&request) {
            let why = "something else stands in the place of the question";
            return self.end(approval, End::Unavailable, why).await;
        }
        let shown = Shown {
            uid: question.uid.clone(),
            digest,
        };
        crash::at(Step::Shown);
        let now = self.counter.clock.now();
        let shown = self.ledger.show(approval, &shown, now).await;
        let Some(()) = settled(shown)? else {
            // It does not wait any more, or is asked about anew.
            return Ok(());
        };
        self.tell(&question, ApprovalState::Pending, "people must agree")
            .await
    }

    async fn key(&self, id: &KeyId) -> Result<Option<Arc<KeyRecord>>, RoundError> {
        let key = live::key(self.counter, id).await;
        key.map_err(|refusal| RoundError::Refused(refusal.message))
    }

    async fn end(&self, approval: &Approval, end: End, why: &str) -> Result<(), RoundError> {
        let now = self.counter.clock.now();
        let answer = end::answer(&approval.change, end, why);
        let said = Map::from_iter([("why".to_owned(), Value::from(why))]);
        let ended = self
            .ledger
            .end_question(approval, end, Some(&answer), &said, now);
        settled(ended.await)?;
        crash::at(Step::Ended);
        self.counter.book.written.notify_one();
        Ok(())
    }
}

const LATE: &str = "it took too long";

/// Says what did not work; the next round tries it again.
fn said(done: Result<(), RoundError>, what: &'static str) {
    if let Err(error) = done {
        let error = chain(&error);
        tracing::warn!(error, what, "it could not be looked after; trying again");
    }
}

/// What the control plane answers, in time.
async fn within<T>(asked: impl Future<Output = Result<T, LiveError>>) -> Result<T, RoundError> {
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(RoundError::Plane(chain(&error))),
        Err(_) => Err(RoundError::Plane(LATE.into())),
    }
}

/// What came of a step; nothing where somebody else was faster.
fn settled<T>(step: Result<T, LedgerError>) -> Result<Option<T>, RoundError> {
    match step {
        Ok(done) => Ok(Some(done)),
        Err(LedgerError::OutOfOrder { .. } | LedgerError::Fenced { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
