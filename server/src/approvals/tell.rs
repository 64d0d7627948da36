//! Says of every question where it stands, as the ledger has it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tenantry_api::mcp_approval::{ApprovalQuestion, ApprovalState, McpApprovalStatus};
use tenantry_ledger::change::ChangeId;

use super::{Clerk, QUESTIONS_AT_ONCE, RoundError, end, form, said, within};
use crate::control_plane::Question;

/// For how long a question that has ended is still there to be seen, and how
/// many of them: a looping agent fills no store.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
const MOST_KEPT: usize = 200;

impl Clerk<'_> {
    /// Says of every question where it stands, and takes away those that were
    /// there for long enough; one that fails keeps no other waiting.
    pub(super) async fn tell_all(&self) {
        let open = self.questions.values();
        let open = open.filter(|question| !question.status.state.is_some_and(end::is_final));
        let tell = async |question: &Arc<Question>| {
            let told = self.tell_of(question).await;
            said(told, "what people see of a question");
        };
        let open = futures::stream::iter(open);
        open.for_each_concurrent(QUESTIONS_AT_ONCE, tell).await;
        let clear = async |question| {
            let cleared = within(self.plane.clear(question)).await;
            said(cleared, "a question that has ended");
        };
        let over = futures::stream::iter(self.over());
        over.for_each_concurrent(QUESTIONS_AT_ONCE, clear).await;
    }

    /// The questions that were there for long enough, or are too many.
    fn over(&self) -> Vec<&Question> {
        let now = self.counter.clock.now();
        let ended = self.ended();
        let too_many = ended.len().saturating_sub(MOST_KEPT);
        let is_old = |question| {
            let since = since(question);
            since.is_none_or(|since| now.duration_since(since) >= KEPT_FOR)
        };
        let over = ended.into_iter().enumerate();
        let over = over.filter(|(index, question)| *index < too_many || is_old(question));
        over.map(|(_, question)| question).collect()
    }

    /// Takes away the question that has ended before all others; answers whether
    /// there was one.
    pub(super) async fn make_room(&self) -> Result<bool, RoundError> {
        let Some(oldest) = self.ended().into_iter().next() else {
            return Ok(false);
        };
        within(self.plane.clear(oldest)).await?;
        Ok(true)
    }

    /// The questions that have ended, the oldest first.
    fn ended(&self) -> Vec<&Question> {
        let ended = self.questions.values().map(AsRef::as_ref);
        let ended =
            ended.filter(|question: &&Question| question.status.state.is_some_and(end::is_final));
        let by_age: BTreeMap<_, _> = ended
            .map(|question| ((since(question), &question.name), question))
            .collect();
        by_age.into_values().collect()
    }

    async fn tell_of(&self, question: &Question) -> Result<(), RoundError> {
        let (state, message) = self.standing(question).await?;
        if question.status.state == Some(state) {
            return Ok(());
        }
        self.tell(question, state, &message).await
    }

    /// Where a question stands, by the ledger.
    async fn standing(
        &self,
        question: &Question,
    ) -> Result<(ApprovalState, Cow<'static, str>), RoundError> {
        let gone = (
            ApprovalState::Stale,
            "the change is not kept any more".into(),
        );
        let Ok(change) = ChangeId::parse(&question.spec.request.change_id) else {
            return Ok(gone);
        };
        if question.spec.request.asks == ApprovalQuestion::Outcome {
            let found = self.ledger.find(&change).await?;
            let inquiry = self.ledger.inquiry(&change).await?;
            return Ok(match found.zip(inquiry) {
                None => gone,
                Some((_, inquiry)) if form::name(&change, inquiry.asked_at) != question.name => {
                    (ApprovalState::Superseded, "people were asked anew".into())
                }
                Some((found, _)) => said_so(end::found(found.progress)),
            });
        }
        let (found, approval) = (
            self.ledger.find(&change).await?,
            self.ledger.approval(&change).await?,
        );
        let (Some(found), Some(approval)) = (found, approval) else {
            return Ok(gone);
        };
        if form::name(&change, approval.asked_at) != question.name {
            let anew = "it was asked anew, because other rules ask by now";
            return Ok((ApprovalState::Superseded, anew.into()));
        }
        let items = self.ledger.items(&change).await?;
        let changing = items.iter().filter(|item| item.proposal.is_some());
        let changing: Vec<_> = changing.map(|item| item.progress).collect();
        Ok(match approval.ended {
            None if found.is_batch() => end::of_batch(found.progress, &changing),
            ended => said_so(end::standing(found.progress, ended)),
        })
    }

    pub(super) async fn tell(
        &self,
        question: &Question,
        state: ApprovalState,
        message: &str,
    ) -> Result<(), RoundError> {
        let status = McpApprovalStatus {
            state: Some(state),
            message: Some(message.into()),
            changed_at: Some(Time(self.counter.clock.now())),
        };
        within(self.plane.tell(question, &status)).await
    }
}

fn said_so((state, message): (ApprovalState, &'static str)) -> (ApprovalState, Cow<'static, str>) {
    (state, message.into())
}

/// Since when a question has stood where it stands.
fn since(question: &Question) -> Option<jiff::Timestamp> {
    let changed_at = question.status.changed_at.as_ref().map(|time| time.0);
    changed_at.or(question.created_at)
}
