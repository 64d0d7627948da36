//! The decision over changes that are made together: in their order, and all of
//! them or none (WRITES §8). Pure.

use std::sync::Arc;

use jiff::Timestamp;

use super::Policy;
use super::decide::{Agreed, Decision, Question, Ruling, Terms};
use super::facts::{Charge, Facts, Proposal, Standing};

/// What may happen with all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Together {
    /// They may be made, each by its own permission.
    Permitted,
    /// People must agree first, to all of them at once.
    NeedsApproval(Terms),
    /// None of them may be made.
    Denied,
}

/// Decides over the changes of a batch, each with the facts of its own: the
/// increases of those before it are counted as if they had been let through, and
/// what limits one change limits their sum. A rule is known by the object that
/// it speaks of (`Fired::of`): who agreed to one change has said nothing of
/// another.
pub fn decide_all(
    batch: &[Proposal],
    facts: Vec<Facts>,
    policies: &[Policy],
    agreed: &Agreed,
    now: Timestamp,
) -> Vec<Ruling> {
    let facts = in_order(batch, facts);
    let others: Vec<Vec<&Proposal>> = (0..batch.len())
        .map(|own| except(batch, own).collect())
        .collect();
    let questions = batch.iter().zip(&facts).zip(&others);
    let questions: Vec<_> = questions
        .map(|((proposal, facts), beside)| Question {
            proposal,
            beside,
            policies,
            facts,
            now,
        })
        .collect();
    let rule = |agreed: &Agreed| -> Vec<Ruling> {
        let rulings = questions.iter();
        rulings
            .map(|question| question.rule(&of_one(agreed, question.proposal)))
            .collect()
    };
    let mut rulings = rule(agreed);
    if let Together::NeedsApproval(_) = together(&rulings) {
        // People see the whole of it, also of the changes that they have seen.
        rulings = rule(&Agreed::new());
        for (question, ruling) in questions.iter().zip(&mut rulings) {
            question.join_the_queue(ruling);
        }
    }
    for (ruling, proposal) in rulings.iter_mut().zip(batch) {
        for fired in ruling.fired.iter_mut().chain(&mut ruling.shadow) {
            fired.of = Some(of_object(proposal, fired.of.as_deref()));
        }
    }
    rulings
}

/// What may happen with all of them: any deny denies all, any that asks asks for
/// all.
pub fn together(rulings: &[Ruling]) -> Together {
    let is_denied = |ruling: &Ruling| ruling.decision == Decision::Denied;
    if rulings.iter().any(is_denied) {
        return Together::Denied;
    }
    let asking = rulings.iter().filter_map(|ruling| match &ruling.decision {
        Decision::NeedsApproval(terms) => Some(terms),
        Decision::Permitted(_) | Decision::Denied => None,
    });
    let mut asking = asking.peekable();
    match asking.peek() {
        Some(_) => Together::NeedsApproval(Terms::of_all(asking)),
        None => Together::Permitted,
    }
}

/// The facts of each change, with those before it counted as let through.
fn in_order(batch: &[Proposal], facts: Vec<Facts>) -> Vec<Facts> {
    let mut before: Vec<Arc<Charge>> = Vec::new();
    let mut counted = Vec::new();
    for (proposal, mut facts) in batch.iter().zip(facts) {
        facts.charges.extend(before.iter().cloned());
        before.push(Arc::new(Charge::of(proposal, Standing::Open)));
        counted.push(facts);
    }
    counted
}

fn except(batch: &[Proposal], own: usize) -> impl Iterator<Item = &Proposal> {
    let placed = batch.iter().enumerate();
    placed
        .filter(move |(place, _)| *place != own)
        .map(|(_, other)| other)
}

/// What people have agreed to of one change.
fn of_one(agreed: &Agreed, proposal: &Proposal) -> Agreed {
    let own = agreed.iter().filter_map(|((name, of), terms)| {
        let rest = of.as_deref()?.strip_prefix(object(proposal))?;
        let of = match rest.strip_prefix(' ') {
            Some(of) => Some(of.to_owned()),
            None if rest.is_empty() => None,
            // Another object, whose id begins with this one.
            None => return None,
        };
        Some(((name.clone(), of), terms.clone()))
    });
    own.collect()
}

/// What a rule is known by in a batch; ids have no spaces.
fn of_object(proposal: &Proposal, of: Option<&str>) -> String {
    let object = object(proposal);
    of.map_or_else(|| object.to_owned(), |of| format!("{object} {of}"))
}

fn object(proposal: &Proposal) -> &str {
    let object = proposal.subject.path.last();
    object.map_or("", |object| object.as_str())
}
