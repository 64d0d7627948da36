//! What holds for every policy, however they come together: the changes and
//! policies are those of the tables, in any combination.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

use super::cases;
use super::moment::NOW;
use super::read::{self, Question};
use crate::policy::batch::{Together, decide_all, together};
use crate::policy::decide::{Agreed, Decision, Fired, Ruling, decide};
use crate::policy::facts::{Charge, Standing};
use crate::policy::{Mode, Policy};

static QUESTIONS: LazyLock<Vec<Question>> = LazyLock::new(|| {
    let questions = cases().map(|(_, case)| read::question(&case).unwrap());
    questions.collect()
});

static POLICIES: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    let all = QUESTIONS.iter().flat_map(|question| &question.policies);
    all.cloned().collect()
});

/// One that grants everything and limits nothing.
fn wide() -> Policy {
    Policy::named("wide")
}

fn ruled(question: &Question, policies: &[Policy]) -> Ruling {
    let Question {
        proposal, facts, ..
    } = question;
    decide(proposal, policies, facts, &question.agreed(), NOW)
}

/// Whether `then` lets through no more than `before`.
fn is_as_strict(before: &Decision, then: &Decision) -> bool {
    match (before, then) {
        (_, Decision::Denied) | (Decision::Permitted(_), _) => true,
        (Decision::NeedsApproval(before), Decision::NeedsApproval(then)) => {
            then.approver_classes.is_superset(&before.approver_classes)
                && then.approvers >= before.approvers
                && then.expires_after_ms <= before.expires_after_ms
        }
        (Decision::NeedsApproval(_) | Decision::Denied, _) => false,
    }
}

fn sorted(mut fired: Vec<Fired>) -> Vec<String> {
    let mut all: Vec<_> = fired.drain(..).map(|one| format!("{one:?}")).collect();
    all.sort();
    all
}

fn some_policies() -> impl Strategy<Value = Vec<Policy>> {
    let some = prop::collection::vec(any::<Index>(), 0..4);
    some.prop_map(|all| {
        all.iter()
            .map(|index| index.get(&POLICIES).clone())
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Where one grants already, another one only tightens.
    #[test]
    fn another_policy_never_lets_more_through(
        question in any::<Index>(), some in some_policies(), more in any::<Index>(),
    ) {
        let question = question.get(&QUESTIONS);
        let mut policies = some;
        policies.push(wide());
        let before = ruled(question, &policies);
        let more = more.get(&POLICIES).clone();
        let is_shadow = more.mode == Mode::Shadow;
        policies.push(more);
        let then = ruled(question, &policies);
        prop_assert!(
            is_as_strict(&before.decision, &then.decision),
            "{:?} became {:?} by {:?}", before, then, policies.last()
        );
        if is_shadow {
            prop_assert_eq!(before.decision, then.decision);
        }
    }

    /// The order in which policies are read is nobody's choice.
    #[test]
    fn the_order_of_policies_does_not_matter(
        question in any::<Index>(),
        (some, shuffled) in some_policies().prop_flat_map(|some| (Just(some.clone()), Just(some).prop_shuffle())),
    ) {
        let question = question.get(&QUESTIONS);
        let (one, other) = (ruled(question, &some), ruled(question, &shuffled));
        prop_assert_eq!(one.decision, other.decision);
        prop_assert_eq!(sorted(one.fired), sorted(other.fired));
        prop_assert_eq!(sorted(one.shadow), sorted(other.shadow));
    }

    /// Whatever the policies are, the stop button meets only its own limit.
    #[test]
    fn only_its_own_limit_meets_a_stop(question in any::<Index>(), some in some_policies()) {
        let question = question.get(&QUESTIONS);
        let ruling = ruled(question, &some);
        if question.proposal.effect.only_stops() {
            let is_own = |fired: &Fired| fired.name.rule.starts_with("deactivate.");
            prop_assert!(ruling.fired.iter().all(is_own), "{ruling:?}");
        }
    }
    /// What may be made together may be made one after the other as well.
    #[test]
    fn a_batch_lets_no_more_through_than_its_changes_alone(
        one in any::<Index>(), other in any::<Index>(), some in some_policies(),
    ) {
        let (one, other) = (one.get(&QUESTIONS), other.get(&QUESTIONS));
        let batch = [one, other].map(|question| question.proposal.clone());
        let facts = [one, other].map(|question| question.facts.clone());
        let nothing = Agreed::new();
        let rulings = decide_all(&batch, facts.to_vec(), &some, &nothing, NOW);
        let [first, mut second] = facts;
        second.charges.push(Charge::of(&batch[0], Standing::Open).into());
        let batch_decision = match together(&rulings) {
            Together::Denied => Decision::Denied,
            Together::NeedsApproval(terms) => Decision::NeedsApproval(terms),
            Together::Permitted => rulings[0].decision.clone(),
        };
        for (proposal, facts) in batch.iter().zip([first, second]) {
            let alone = decide(proposal, &some, &facts, &nothing, NOW);
            prop_assert!(
                is_as_strict(&alone.decision, &batch_decision),
                "{alone:?} became {rulings:?}"
            );
        }
    }
}
