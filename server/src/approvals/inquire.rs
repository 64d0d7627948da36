//! Asks people what became of the changes of which nobody else can tell, and
//! settles them by what they say (WRITES §6). Nothing is ever sent again.

use futures::StreamExt as _;
use serde::Deserialize as _;
use serde_json::{Map, json};
use tenantry_api::mcp_approval::{ApprovalState, ApprovalVerdict};
use tenantry_connectors::change::view::View;
use tenantry_core::answer::{ChangeAnswer, Envelope, Status};
use tenantry_core::approval::{self, Asker, Decision, Finding};
use tenantry_core::audit::Stage;
use tenantry_core::cause::chain;
use tenantry_core::policy::decide::{Terms, Verdict};
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::approval::Shown;
use tenantry_ledger::change::Recorded;
use tenantry_ledger::claim::{Claimed, Replay};
use tenantry_ledger::inquiry::Inquiry;
use tenantry_ledger::settle::Outcome;

use super::{Clerk, QUESTIONS_AT_ONCE, RoundError, end, form, said, settled, within, word};
use crate::control_plane::{AskError, Question};
use crate::crash::{self, Step};
use crate::pipeline::change::told::{named, of_view, stored, value};
use crate::pipeline::{Done, Stopped};

/// What people are told where the answer of the change is not kept any more.
const NOBODY_KNOWS: &str = "nobody can tell what became of the change";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// Nothing yet.
    Nothing,
    /// The question counts no more: people are asked anew.
    Void,
    /// These people found that.
    Found(Finding, Vec<String>),
}

impl Clerk<'_> {
    /// Looks after each change that needs people; one that fails keeps no other
    /// waiting.
    pub(super) async fn inquire_all(&self) -> Result<(), RoundError> {
        let inquire = async |change: Recorded| {
            said(self.inquire(&change).await, "a change that needs people");
        };
        let needing = futures::stream::iter(self.ledger.needing_people().await?);
        needing
            .for_each_concurrent(QUESTIONS_AT_ONCE, inquire)
            .await;
        Ok(())
    }

    async fn inquire(&self, change: &Recorded) -> Result<(), RoundError> {
        let id = &change.lease.change;
        let inquiry = match self.ledger.inquiry(id).await? {
            Some(inquiry) => inquiry,
            None => match self.ask_anew(change).await? {
                Some(inquiry) => inquiry,
                None => return Ok(()),
            },
        };
        let Some(shown) = &inquiry.shown else {
            return self.show_inquiry(change, &inquiry).await;
        };
        let name = form::name(id, inquiry.asked_at);
        let known = self.questions.get(&name);
        if known.is_some_and(|known| self.found(&inquiry, shown, Some(known)) == Said::Nothing) {
            return Ok(());
        }
        // What was not heard of yet may be there, and what was may be gone.
        let present = within(self.plane.look(&name)).await?;
        match self.found(&inquiry, shown, present.as_ref()) {
            Said::Nothing => Ok(()),
            Said::Void => {
                self.ask_anew(change).await?;
                self.counter.book.asked.notify_one();
                Ok(())
            }
            Said::Found(finding, by) => self.resolve(change, shown, finding, &by).await,
        }
    }

    /// Asks those who had to agree to the change, or somebody, where nobody had
    /// to. The next round shows it to them.
    async fn ask_anew(&self, change: &Recorded) -> Result<Option<Inquiry>, RoundError> {
        let id = &change.lease.change;
        let approval = self.ledger.approval(change.asked_as()).await?;
        let fired = approval.map(|approval| approval.fired).unwrap_or_default();
        let asking = fired.into_iter().filter_map(|fired| match fired.verdict {
            Verdict::Ask(terms) => Some(terms),
            Verdict::Deny => None,
        });
        let mut terms: Vec<_> = asking.collect();
        if terms.is_empty() {
            terms.push(Terms::of_default());
        }
        let now = self.counter.clock.now();
        settled(self.ledger.inquire(id, &terms, now).await)
    }

    async fn show_inquiry(&self, change: &Recorded, inquiry: &Inquiry) -> Result<(), RoundError> {
        let why = self.why(change).await?;
        let request = form::inquiry(change, inquiry, &why);
        let request = request.map_err(|error| RoundError::Refused(error.to_string()))?;
        let name = form::name(&inquiry.change, inquiry.asked_at);
        let question = match self.ask(&name, &request).await {
            Ok(question) => question,
            Err(AskError::Full(_)) if self.make_room().await? => return Err(RoundError::Full),
            Err(error) => return Err(RoundError::Plane(chain(&error))),
        };
        let shown = Shown {
            uid: question.uid.clone(),
            digest: form::digest(&question.spec.request),
        };
        if shown.digest != form::digest(&request) {
            // The definition is of another release, or somebody changes what is
            // written. Whoever has put that right takes it away.
            let told = "the approval is not as it was written: delete it once tenantry-api is of this release";
            return Err(RoundError::Refused(format!("`{name}`: {told}")));
        }
        crash::at(Step::Shown);
        let now = self.counter.clock.now();
        settled(self.ledger.show_inquiry(inquiry, &shown, now).await)?;
        self.tell(&question, ApprovalState::Pending, end::UNDECIDED)
            .await
    }

    /// What the server has seen of the change, as its caller was told.
    async fn why(&self, change: &Recorded) -> Result<String, RoundError> {
        let now = self.counter.clock.now();
        let met = self.ledger.opens(&change.lease.change, now).await?;
        let told = match met {
            Some(Claimed::Replay(Replay { answer, .. })) => {
                serde_json::from_str::<Envelope>(&answer).ok()
            }
            _ => None,
        };
        let message = told.and_then(|told| told.message);
        Ok(message.unwrap_or_else(|| NOBODY_KNOWS.into()))
    }

    /// What people say of it, as the question stands there or does not.
    fn found(&self, inquiry: &Inquiry, shown: &Shown, question: Option<&Question>) -> Said {
        let Some(question) = question else {
            return Said::Void;
        };
        let is_it = !question.is_going
            && question.uid == shown.uid
            && form::digest(&question.spec.request) == shown.digest;
        let is_open = question
            .status
            .state
            .is_none_or(|state| !end::is_final(state));
        // Anybody may have written what was decided while nobody vouched for it,
        // and nobody can tell later.
        let is_vouched_for = self.is_vouched_for() || question.spec.decisions.is_empty();
        let is_late = self.counter.clock.now() >= question.spec.request.expires_at.0;
        if !is_it || !is_open || !is_vouched_for || is_late {
            return Said::Void;
        }
        let requester = &question.spec.request.requested_by;
        let asker = Asker {
            owner: &requester.owner,
            issued_by: requester.issued_by.as_deref(),
        };
        let of = |verdict| -> Vec<Decision> {
            let decisions = question.spec.decisions.iter();
            decisions
                .filter(|one| one.verdict == verdict)
                .map(word::agreeing)
                .collect()
        };
        let applied = of(ApprovalVerdict::Applied);
        let not_applied = of(ApprovalVerdict::NotApplied);
        match approval::found(&inquiry.terms, asker, &applied, &not_applied) {
            Some((finding, by)) => Said::Found(finding, by.into_iter().collect()),
            None => Said::Nothing,
        }
    }

    async fn resolve(
        &self,
        change: &Recorded,
        shown: &Shown,
        finding: Finding,
        by: &[String],
    ) -> Result<(), RoundError> {
        let now = self.counter.clock.now();
        let outcome = outcome(change, finding, now);
        let said = Map::from_iter([("resolved_by".to_owned(), json!(by))]);
        let id = &change.lease.change;
        let resolved = self.ledger.resolve(id, shown, &outcome, &said, now);
        settled(resolved.await)?;
        crash::at(Step::Ended);
        self.counter.book.written.notify_one();
        Ok(())
    }
}

/// What the ledger keeps of what people found, and what its key is answered with.
fn outcome(change: &Recorded, finding: Finding, now: jiff::Timestamp) -> Outcome {
    let id = &change.lease.change;
    let intent = change.intent.as_ref();
    let view = intent.and_then(|intent| View::deserialize(&intent.before).ok());
    let told = view
        .as_ref()
        .map_or_else(|| named(id), |view| of_view(view, Some(id)));
    match finding {
        Finding::Applied => {
            let after = view.map(|view| value(&view.after)).unwrap_or_default();
            let told = ChangeAnswer {
                after: Some(after.clone()),
                ..told
            };
            Outcome::Applied {
                // It can have been applied until now.
                at: now,
                after,
                answer: stored("", &Ok(Done::Changed(Status::Done, Box::new(told)))),
            }
        }
        Finding::NotApplied => {
            let why = "people found that the vendor did not make the change";
            let refusal = Refusal::new(Reason::ChangeNotMade, why);
            let stopped = Stopped::failed(Stage::Send, refusal).of_change(told);
            Outcome::NotApplied {
                why: why.into(),
                answer: Some(stored("", &Err(stopped))),
            }
        }
    }
}
