//! The decision over a change (WRITES §5). Pure, and cheap enough to be made
//! inside a transaction.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Proposal, Undoes};
use super::limits::{Beside, Look, look};
use super::{Mode, Policy};

/// How long a permission is good (WRITES §1): what waited longer is decided
/// again.
pub const GOOD_FOR: SignedDuration = SignedDuration::from_secs(10);

/// Who is asked where no entry of a policy says so: a budget without a before,
/// a bid without a cap, an exposure that nobody has read lately.
pub const DEFAULT_CLASS: &str = "default";

/// How long they have, then.
pub const DEFAULT_EXPIRES_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// How long a change can be taken back (WRITES §8).
pub const UNDO_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What became of a change, with every reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What may happen.
    pub decision: Decision,
    /// Every rule that spoke against it or asked.
    pub fired: Vec<Fired>,
    /// What the policies in Shadow would have said.
    pub shadow: Vec<Fired>,
}

/// What may happen with a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may be made, soon.
    Permitted(Permitted),
    /// People must agree first.
    NeedsApproval(Terms),
    /// It may not be made.
    Denied,
}

/// A change that may be made. Nothing but [`decide`] makes one; whoever has
/// one can only ask how long it is good:
///
/// ```
/// use tenantry_core::policy::decide::Permitted;
/// fn is_good(permitted: Permitted, good_until: jiff::Timestamp) -> bool {
///     permitted.is_good(good_until)
/// }
/// ```
///
/// It cannot be made elsewhere, with the very same names:
///
/// ```compile_fail,E0451
/// use tenantry_core::policy::decide::Permitted;
/// fn forged(good_until: jiff::Timestamp) -> Permitted {
///     Permitted { good_until }
/// }
/// ```
///
/// Nor can one be read from somewhere, as the terms of an approval can:
///
/// ```
/// use tenantry_core::policy::decide::Terms;
/// fn read<T: serde::de::DeserializeOwned>() {}
/// let read_terms = read::<Terms>;
/// ```
///
/// ```compile_fail,E0277
/// use tenantry_core::policy::decide::Permitted;
/// fn read<T: serde::de::DeserializeOwned>() {}
/// let read_permission = read::<Permitted>;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted {
    good_until: Timestamp,
}

impl Permitted {
    /// Whether it may still be acted on at `now`.
    pub fn is_good(&self, now: Timestamp) -> bool {
        now < self.good_until
    }
}

/// Who must agree, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Terms {
    /// Each of these classes must agree.
    pub approver_classes: BTreeSet<String>,
    /// How many people must agree.
    pub approvers: u32,
    /// How long they have.
    pub expires_after_ms: i64,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleName {
    /// The policy.
    pub policy: String,
    /// The field or the entry of it, such as `budget.perObject.maxDaily`.
    pub rule: String,
}

/// A rule that fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Fired {
    /// Which.
    pub name: RuleName,
    /// Which of several limits of that name: a window, or an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What it says.
    pub verdict: Verdict,
    /// Why, in a sentence for the caller.
    pub message: String,
    /// How much is used or left: for a caller who may know that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<String>,
    /// When the same change would not meet it any more, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<i64>,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// No.
    Deny,
    /// People must agree.
    Ask(Terms),
}

/// What people were shown and have agreed to: the rules that asked, by
/// [`Fired::key`], each with the terms on which it did.
pub type Agreed = BTreeMap<(RuleName, Option<String>), Terms>;

impl Fired {
    /// What it is known by: of several limits of one name, each is its own.
    pub fn key(&self) -> (RuleName, Option<String>) {
        (self.name.clone(), self.of.clone())
    }
}

/// Decides over `proposal` at `now`. Rules in `agreed` do not ask again; they
/// still may deny. Where any other rule asks by now, or one of them on other
/// terms, all that ask do so anew: people see the whole of it.
pub fn decide(
    proposal: &Proposal,
    policies: &[Policy],
    facts: &Facts,
    agreed: &Agreed,
    now: Timestamp,
) -> Ruling {
    let question = Question {
        proposal,
        beside: &[],
        policies,
        facts,
        now,
    };
    let mut ruling = question.rule(agreed);
    question.mind_the_queue(&mut ruling);
    ruling
}

/// A change, and what else is decided with it.
#[derive(Clone, Copy)]
pub(super) struct Question<'q> {
    pub proposal: &'q Proposal,
    /// The other changes of its batch.
    pub beside: &'q [&'q Proposal],
    pub policies: &'q [Policy],
    pub facts: &'q Facts,
    pub now: Timestamp,
}

impl<'q> Question<'q> {
    /// What the policies say of it, but for how much may wait.
    pub(super) fn rule(&self, agreed: &Agreed) -> Ruling {
        let measured = measured(self.proposal);
        let own = Question {
            proposal: measured.as_ref(),
            ..*self
        };
        let mut fired = Vec::new();
        let mut is_granted = own.proposal.effect.only_stops();
        for one in own.looks(Mode::Enforce) {
            is_granted |= one.policy.covers.covers(&own.proposal.subject);
            fired.extend(look(&one));
        }
        let shadow = own.looks(Mode::Shadow);
        let shadow = shadow.flat_map(|one| look(&one)).collect();
        if !is_granted {
            fired.push(ungranted());
        }
        let undoes = own.proposal.undoes.as_ref();
        fired.extend(own.facts.twin.as_deref().map(doubled));
        fired.extend(undoes.and_then(|it| too_old(it, own.now)));
        let is_agreed = |one: &Fired| match &one.verdict {
            Verdict::Deny => true,
            Verdict::Ask(terms) => agreed.get(&one.key()) == Some(terms),
        };
        if fired.iter().all(is_agreed) {
            fired.retain(|one| one.verdict == Verdict::Deny);
        }
        Ruling {
            decision: merge(&fired, own.now),
            fired,
            shadow,
        }
    }

    /// Denies what would ask people when too much waits for them already. A full
    /// queue does not keep anything running.
    pub(super) fn mind_the_queue(&self, ruling: &mut Ruling) {
        if matches!(ruling.decision, Decision::NeedsApproval(_)) {
            self.join_the_queue(ruling);
        }
    }

    /// The same for what would wait with others, whether it asks itself or not.
    pub(super) fn join_the_queue(&self, ruling: &mut Ruling) {
        if self.proposal.effect.only_stops() {
            return;
        }
        let enforced = self.looks(Mode::Enforce);
        let crowd: Vec<_> = enforced
            .flat_map(|one| super::limits::pending(&one))
            .collect();
        if !crowd.is_empty() {
            ruling.fired.extend(crowd);
            ruling.decision = Decision::Denied;
        }
    }

    /// The policies of that mode that bind the change, each with what it adds to
    /// it of the batch: what the policy does not bind, it does not count.
    fn looks(&self, mode: Mode) -> impl Iterator<Item = Look<'q>> + use<'q> {
        let Self {
            proposal,
            beside,
            policies,
            facts,
            now,
        } = *self;
        let binding = policies.iter();
        let binding = binding.filter(move |it| it.mode == mode && it.covers.binds(proposal));
        binding.map(move |policy| Look {
            policy,
            proposal,
            beside: Beside::of(beside.iter().filter(|other| policy.covers.binds(other))),
            facts,
            now,
        })
    }
}

/// Any deny denies, else the union of what asks, else it is permitted.
fn merge(fired: &[Fired], now: Timestamp) -> Decision {
    let mut terms: Option<Terms> = None;
    for one in fired {
        match (&one.verdict, &mut terms) {
            (Verdict::Deny, _) => return Decision::Denied,
            (Verdict::Ask(asked), None) => terms = Some(asked.clone()),
            (Verdict::Ask(asked), Some(terms)) => terms.join(asked),
        }
    }
    match terms {
        Some(terms) => Decision::NeedsApproval(terms),
        None => Decision::Permitted(Permitted {
            good_until: now + GOOD_FOR,
        }),
    }
}

impl Terms {
    /// Of one class, where a policy does not say more.
    pub fn of_default() -> Self {
        Self {
            approver_classes: BTreeSet::from([DEFAULT_CLASS.to_owned()]),
            approvers: 1,
            expires_after_ms: DEFAULT_EXPIRES_AFTER_MS,
        }
    }

    /// What all of these ask for together; of nobody, what is asked where no
    /// policy says more.
    pub fn of_all<'t>(all: impl IntoIterator<Item = &'t Self>) -> Self {
        let mut all = all.into_iter();
        let Some(first) = all.next() else {
            return Self::of_default();
        };
        let mut terms = first.clone();
        all.for_each(|one| terms.join(one));
        terms
    }

    fn join(&mut self, other: &Self) {
        self.approver_classes
            .extend(other.approver_classes.iter().cloned());
        self.approvers = self.approvers.max(other.approvers);
        self.expires_after_ms = self.expires_after_ms.min(other.expires_after_ms);
    }
}

/// A change as its percentages are measured: what takes another one back is at
/// none of what there was before that (WRITES §8).
fn measured(proposal: &Proposal) -> Cow<'_, Proposal> {
    if proposal.undoes.is_none() {
        return Cow::Borrowed(proposal);
    }
    let mut own = proposal.clone();
    own.effect.steps.clear();
    own.effect.is_percent_undefined = false;
    Cow::Owned(own)
}

fn ungranted() -> Fired {
    let message = "no enforcing policy covers this change";
    of_no_policy("match", Verdict::Deny, message)
}

/// What was so long ago is not taken back without a look at what else happened.
fn too_old(undoes: &Undoes, now: Timestamp) -> Option<Fired> {
    let is_old = now.duration_since(undoes.sent_at) > UNDO_WITHIN;
    let days = UNDO_WITHIN.as_hours() / 24;
    let message = format!(
        "change {} was made more than {days} days ago",
        undoes.change
    );
    is_old.then(|| of_no_policy("undo.within", Verdict::Deny, message))
}

fn of_no_policy(rule: &str, verdict: Verdict, message: impl Into<String>) -> Fired {
    Fired {
        name: RuleName {
            policy: "none".into(),
            rule: rule.into(),
        },
        of: None,
        verdict,
        message: message.into(),
        headroom: None,
        retry_after_ms: None,
    }
}

/// The same once more is as likely a repetition as it is meant (WRITES §2).
fn doubled(twin: &str) -> Fired {
    let message = format!("change {twin} of the last 24 hours makes the same");
    of_no_policy("create.twin", Verdict::Ask(Terms::of_default()), message)
}
