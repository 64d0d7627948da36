//! What people have said of a question, as it was heard. Pure.

use std::collections::BTreeSet;

use tenantry_api::mcp_approval::{ApprovalDecision, ApprovalVerdict};
use tenantry_core::approval::{Asker, Decision, Tally};
use tenantry_core::policy::decide::Verdict;
use tenantry_core::{approval, text};
use tenantry_ledger::approval::{Approval, End, Shown};

use super::{end, form};
use crate::control_plane::Question;

/// Why a question ends that is not there any more.
pub const DELETED: &str = "somebody deleted the approval";

/// Why a question ends that was decided while anybody might have.
pub const UNGUARDED: &str =
    "it was decided while nobody vouched for who decides (see the tenant's condition Guarded)";

/// Characters that are repeated of what somebody wrote.
const LONGEST_COMMENT: usize = 1024;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Nothing yet.
    Waiting,
    /// The change is carried out; these agreed.
    Agreed(Vec<String>),
    /// The change is not made, and why.
    Ended(End, String),
}

/// What `question` says of what was shown.
pub fn heard(approval: &Approval, shown: &Shown, question: &Question) -> Word {
    let request = &question.spec.request;
    if question.is_going || question.uid != shown.uid {
        return Word::Ended(End::Denied, DELETED.into());
    }
    if form::digest(request) != shown.digest {
        let why = "the approval does not show any more what was asked";
        return Word::Ended(End::Denied, why.into());
    }
    if let Some(state) = question.status.state.filter(|state| end::is_final(*state)) {
        let why = format!("the approval says that it has ended: {state:?}");
        return Word::Ended(End::Denied, why);
    }
    let asker = Asker {
        owner: &request.requested_by.owner,
        issued_by: request.requested_by.issued_by.as_deref(),
    };
    let decisions: Vec<_> = question.spec.decisions.iter().map(decision).collect();
    // Each rule asks for its own: one more rule lets nobody do with fewer.
    let asking = approval
        .fired
        .iter()
        .filter_map(|fired| match &fired.verdict {
            Verdict::Ask(terms) => Some(terms),
            Verdict::Deny => None,
        });
    let tallies: Vec<_> = asking
        .map(|terms| Tally::of(terms, asker, &decisions))
        .collect();
    let denied = tallies.iter().find_map(|tally| match tally {
        Tally::Denied { by, comment } => Some((by, comment)),
        Tally::Waiting { .. } | Tally::Agreed { .. } => None,
    });
    if let Some((by, comment)) = denied {
        let comment = comment.as_ref().map_or_else(String::new, |comment| {
            format!(": {}", text::presentable(comment, LONGEST_COMMENT))
        });
        return Word::Ended(End::Denied, format!("`{by}` said no{comment}"));
    }
    if question.spec.withdrawn {
        let why = format!("`{}` took it back", asker.owner);
        return Word::Ended(End::Withdrawn, why);
    }
    let agreed = tallies.iter().map(|tally| match tally {
        Tally::Agreed { by } => Some(by),
        Tally::Waiting { .. } | Tally::Denied { .. } => None,
    });
    let agreed: Option<Vec<_>> = agreed.collect();
    match agreed.filter(|agreed| !agreed.is_empty()) {
        Some(agreed) => {
            let by: BTreeSet<_> = agreed.into_iter().flatten().cloned().collect();
            Word::Agreed(by.into_iter().collect())
        }
        None => Word::Waiting,
    }
}

fn decision(decision: &ApprovalDecision) -> Decision {
    Decision {
        word: match decision.verdict {
            ApprovalVerdict::Approve => approval::Word::Approve,
            // The definition takes no such word of a change that waits.
            ApprovalVerdict::Deny | ApprovalVerdict::Applied | ApprovalVerdict::NotApplied => {
                approval::Word::Deny
            }
        },
        ..agreeing(decision)
    }
}

/// What somebody says, whatever it is, as an agreement to it.
pub fn agreeing(decision: &ApprovalDecision) -> Decision {
    let classes = decision.classes.as_ref();
    Decision {
        by: decision.by.clone(),
        word: approval::Word::Approve,
        classes: classes.map(|classes| classes.iter().cloned().collect::<BTreeSet<_>>()),
        comment: decision.comment.clone(),
    }
}
