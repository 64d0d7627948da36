//! A change as people see it who decide: everything that it does, in one object.
//! Pure. A vendor's words are fit to be shown since they were read.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize as _;
use serde_json::json;
use tenantry_api::mcp_approval::{
    ApprovalDelta, ApprovalItem, ApprovalObject, ApprovalQuestion, ApprovalRequest, ApprovalRule,
    ApprovalSetting, Requester,
};
use tenantry_connectors::change::doubt::Doubt;
use tenantry_connectors::change::view::{Moved, View};
use tenantry_core::audit::Arguments;
use tenantry_core::audit::change_record::ChangeRecord;
use tenantry_core::digest::Digest;
use tenantry_core::money::Money;
use tenantry_core::name::Currency;
use tenantry_core::policy::decide::Terms;
use tenantry_core::policy::facts::Proposal;
use tenantry_core::text;
use tenantry_ledger::approval::Approval;
use tenantry_ledger::change::{ChangeId, Recorded};
use tenantry_ledger::inquiry::Inquiry;

use crate::summary::{self, LONGEST_LINE, words};

/// Characters of a rule's sentence, and of a name.
const LONGEST_SENTENCE: usize = 1024;
const LONGEST_NAME: usize = 253;

/// Bytes of the arguments that people are shown. Who is not shown everything
/// does not decide.
const MOST_ARGUMENTS: usize = 8192;

/// Classes of approvers of one question: as many as the definition takes.
const MOST_CLASSES: usize = 8;

/// For how long people are asked what became of a change, before they are asked
/// anew: nobody waits for it in a way that ends by itself.
pub const ASKED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Digits of a question's name.
const DIGITS: usize = 12;

/// What is wrong with a question that nobody can be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The ledger does not have all of it.
    #[error("the ledger has no {0} of the change")]
    Missing(&'static str),
    /// It does not fit into what people are shown.
    #[error("the arguments have {0} bytes, more than people are shown")]
    TooLong(usize),
    /// It takes more kinds of people than one question can ask.
    #[error("{0} classes of approvers must agree, and one approval asks {MOST_CLASSES} at most")]
    TooManyClasses(usize),
}

/// The name of a question: of a change that is asked about anew it is another
/// one. Whoever crashed between writing and putting it down finds it again.
pub fn name(change: &ChangeId, asked_at: Timestamp) -> String {
    let text = format!("{change} {}", asked_at.as_microsecond());
    let digest = Digest::of(text.as_bytes()).to_string();
    let digits = digest.rsplit(':').next().unwrap_or_default();
    digits.chars().take(DIGITS).collect()
}

/// What stands for all that people are shown.
pub fn digest(request: &ApprovalRequest) -> Digest {
    // INVARIANT: a struct of texts has a JSON form.
    Digest::of(&serde_json::to_vec(request).unwrap_or_default())
}

/// Who is asked what, about a change.
struct Asking<'a> {
    asks: ApprovalQuestion,
    terms: &'a Terms,
    rules: Vec<ApprovalRule>,
    policy_digest: Option<Digest>,
    asked_at: Timestamp,
    expires_at: Timestamp,
}

/// What people are shown of a change that waits; `items` are its changes, where it
/// is a batch.
pub fn request(
    change: &Recorded,
    items: &[Recorded],
    approval: &Approval,
) -> Result<ApprovalRequest, FormError> {
    let classes = approval.terms.approver_classes.len();
    if classes > MOST_CLASSES {
        return Err(FormError::TooManyClasses(classes));
    }
    let asking = Asking {
        asks: ApprovalQuestion::Change,
        terms: &approval.terms,
        rules: rules(approval),
        policy_digest: Some(approval.policy_digest),
        asked_at: approval.asked_at,
        expires_at: approval.expires_at,
    };
    let request = if change.is_batch() {
        about_batch(change, items, asking)
    } else {
        about(change, asking)
    }?;
    match request.arguments.len() {
        0..=MOST_ARGUMENTS => Ok(request),
        length => Err(FormError::TooLong(length)),
    }
}

/// What people are shown of a change that was sent, and of which only they can
/// find out what became of it; `why`, what the server has seen of it. Whatever
/// the arguments were: what counts is what the vendor shows.
pub fn inquiry(
    change: &Recorded,
    inquiry: &Inquiry,
    why: &str,
) -> Result<ApprovalRequest, FormError> {
    let sent = change.sent_at;
    let sent = sent.map_or_else(String::new, |at| format!("; it was sent at {at}"));
    let rule = ApprovalRule {
        policy: "none".into(),
        rule: "outcome".into(),
        message: cut(&format!("{why}{sent}"), LONGEST_SENTENCE),
    };
    let request = about(
        change,
        Asking {
            asks: ApprovalQuestion::Outcome,
            terms: &Terms::of_all(&inquiry.terms),
            rules: vec![rule],
            policy_digest: None,
            asked_at: inquiry.asked_at,
            expires_at: inquiry.asked_at + ASKED_FOR,
        },
    )?;
    let length = request.arguments.len();
    let is_long = length > MOST_ARGUMENTS;
    Ok(ApprovalRequest {
        summary: cut(&format!("outcome of {}", request.summary), LONGEST_LINE),
        arguments: if is_long {
            json!({ "too_long": length }).to_string()
        } else {
            request.arguments
        },
        ..request
    })
}

/// All that a change does, for the people who are asked.
fn about(change: &Recorded, asking: Asking<'_>) -> Result<ApprovalRequest, FormError> {
    let proposal = change.proposal.as_ref();
    let proposal = proposal.ok_or(FormError::Missing("proposal"))?;
    let (item, view) = item(change)?;
    let request = envelope(change, proposal, asking)?;
    Ok(ApprovalRequest {
        summary: item.summary,
        object: item.object,
        settings: item.settings,
        delta: delta(&view.delta, &view.currency),
        ..request
    })
}

/// The same of a batch: all of its changes, and what they do together.
fn about_batch(
    change: &Recorded,
    items: &[Recorded],
    asking: Asking<'_>,
) -> Result<ApprovalRequest, FormError> {
    // What is so already is not asked about.
    let changing = || items.iter().filter(|item| item.proposal.is_some());
    let proposal = changing().find_map(|item| item.proposal.as_ref());
    let proposal = proposal.ok_or(FormError::Missing("proposal"))?;
    let items = changing().map(item).collect::<Result<Vec<_>, _>>()?;
    let currency = items.first().map(|(_, view)| view.currency.clone());
    let currency = currency.ok_or(FormError::Missing("view"))?;
    let sum = Moved::sum(items.iter().map(|(_, view)| &view.delta), &currency);
    let lines: Vec<_> = items
        .iter()
        .map(|(item, _)| item.summary.as_str())
        .collect();
    let summary = summary::of_batch(&lines);
    let request = envelope(change, proposal, asking)?;
    Ok(ApprovalRequest {
        tool: change.tool.to_string(),
        summary,
        delta: delta(&sum, &currency),
        items: items.into_iter().map(|(item, _)| item).collect(),
        ..request
    })
}

/// What one change does to its object.
fn item(change: &Recorded) -> Result<(ApprovalItem, View), FormError> {
    let missing = FormError::Missing;
    let intent = change.intent.as_ref().ok_or(missing("intent"))?;
    let view = View::deserialize(&intent.before).map_err(|_| missing("view"))?;
    let record = ChangeRecord::of_map(&change.record).ok_or(missing("record"))?;
    let doubt = Doubt::deserialize(&intent.target).map_err(|_| missing("target"))?;
    let (before, after) = (words(&view.before), words(&view.after));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let settings = names.iter().map(|name| ApprovalSetting {
        name: (*name).clone(),
        before: before.get(*name).map(|text| cut(text, LONGEST_LINE)),
        after: after.get(*name).map(|text| cut(text, LONGEST_LINE)),
    });
    let item = ApprovalItem {
        change_id: change.lease.change.to_string(),
        summary: summary::line(record.object.as_ref(), &doubt, &view),
        object: record.object.map(|object| ApprovalObject {
            kind: object.kind,
            id: object.id,
            name: None,
        }),
        settings: settings.collect(),
        delta: delta(&view.delta, &view.currency),
    };
    Ok((item, view))
}

/// Who asks whom, with which arguments; what it does is for the caller to say.
fn envelope(
    change: &Recorded,
    proposal: &Proposal,
    asking: Asking<'_>,
) -> Result<ApprovalRequest, FormError> {
    let missing = FormError::Missing;
    let record = ChangeRecord::of_map(&change.record).ok_or(missing("record"))?;
    let arguments = match (&record.arguments, asking.asks) {
        (Arguments::Checked(arguments), _) => serde_json::to_string(arguments),
        // What counts is what the vendor shows.
        (other, ApprovalQuestion::Outcome) => serde_json::to_string(other),
        (_, ApprovalQuestion::Change) => return Err(missing("arguments")),
    };
    let arguments = arguments.map_err(|_| missing("arguments"))?;
    let subject = &proposal.subject;
    let policy_digest = asking.policy_digest.or(record.policy_digest);
    let policy_digest = policy_digest.ok_or(missing("policies"))?;
    Ok(ApprovalRequest {
        asks: asking.asks,
        change_id: change.lease.change.to_string(),
        tool: subject.tool.to_string(),
        connector: subject.connector.to_string(),
        account: subject.account.to_string(),
        summary: String::new(),
        object: None,
        settings: Vec::new(),
        delta: None,
        items: Vec::new(),
        arguments,
        undoes: proposal.undoes.as_ref().map(|it| it.change.clone()),
        rules: asking.rules,
        policy_digest: policy_digest.to_string(),
        approver_classes: asking.terms.approver_classes.iter().cloned().collect(),
        approvers: asking.terms.approvers.max(1),
        requested_by: Requester {
            owner: change.principal.owner.clone(),
            agent: change.principal.agent.clone(),
            key: subject.key.to_string(),
            // Of the key that asked: another one may have its name by now.
            issued_by: record.issued_by,
        },
        asked_at: Time(asking.asked_at),
        expires_at: Time(asking.expires_at),
    })
}

fn rules(approval: &Approval) -> Vec<ApprovalRule> {
    let rules = approval.fired.iter().map(|fired| ApprovalRule {
        policy: cut(&fired.name.policy, LONGEST_NAME),
        rule: cut(&fired.name.rule, LONGEST_NAME),
        message: cut(&fired.message, LONGEST_SENTENCE),
    });
    // Two limits of one name, such as two windows, are one line of the list.
    let mut by_name = BTreeMap::<_, ApprovalRule>::new();
    for rule in rules {
        let name = (rule.policy.clone(), rule.rule.clone());
        match by_name.entry(name) {
            Entry::Vacant(place) => {
                place.insert(rule);
            }
            // The changes of a batch meet the same rule.
            Entry::Occupied(place) if place.get().message == rule.message => {}
            Entry::Occupied(mut place) => {
                let both = format!("{}; {}", place.get().message, rule.message);
                place.get_mut().message = cut(&both, LONGEST_SENTENCE);
            }
        }
    }
    by_name.into_values().collect()
}

fn delta(delta: &Moved, currency: &Currency) -> Option<ApprovalDelta> {
    (delta.daily.is_some() || delta.lifetime.is_some()).then(|| ApprovalDelta {
        daily: delta.daily.as_ref().map(Money::amount),
        lifetime: delta.lifetime.as_ref().map(Money::amount),
        currency: currency.to_string(),
    })
}

/// At most so many characters, all of which can be seen.
fn cut(text: &str, most: usize) -> String {
    text::presentable(text, most)
}
