//! What a decision is made on, read from the book at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tenantry_core::effect::Primitive;
use tenantry_core::name::{Currency, KeyId, ObjectId};
use tenantry_core::policy::facts::{
    Charge, ExposureSnapshot, ExposureTerms, Facts, Proposal, Standing, Subject,
};

use crate::change::ChangeId;
use crate::error::LedgerError;
use crate::page::Page;
use crate::sql::args;
use crate::tally::{self, Charges};

/// The day that limits mean.
pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What others' decisions need of a change, apart from where it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Charged {
    subject: Subject,
    primitive: Primitive,
    currency: Option<Currency>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
    budgets: BTreeSet<ObjectId>,
    daily_micros: i64,
    lifetime_micros: i64,
    exposure_micros: i64,
    financial_micros: i64,
    created: u32,
    records: u32,
}

/// What was read, before anything is left out of it.
pub(crate) struct Reading {
    own: ChangeId,
    since: Timestamp,
    charges: Arc<Charges>,
    /// What nobody knows of the time before the book was accepted.
    accepted: Option<Arc<Charge>>,
    lowest_micros: BTreeMap<ObjectId, i64>,
    exposure: Option<ExposureSnapshot>,
    exposure_terms: ExposureTerms,
}

impl Charged {
    pub(crate) fn of(proposal: &Proposal) -> Self {
        // Where it stands is kept beside it.
        let charge = Charge::of(proposal, Standing::Open);
        Self {
            subject: charge.subject,
            primitive: charge.primitive,
            currency: charge.currency,
            batch: charge.batch,
            budgets: charge.budgets,
            daily_micros: charge.daily_micros,
            lifetime_micros: charge.lifetime_micros,
            exposure_micros: charge.exposure_micros,
            financial_micros: charge.financial_micros,
            created: charge.created,
            records: charge.records,
        }
    }

    pub(crate) fn standing(self, standing: Standing) -> Charge {
        Charge {
            subject: self.subject,
            standing,
            primitive: self.primitive,
            currency: self.currency,
            batch: self.batch,
            budgets: self.budgets,
            daily_micros: self.daily_micros,
            lifetime_micros: self.lifetime_micros,
            exposure_micros: self.exposure_micros,
            financial_micros: self.financial_micros,
            created: self.created,
            records: self.records,
        }
    }
}

impl Reading {
    /// The facts, as they are for a change of `proposal` without the changes in
    /// `left_out`.
    pub(crate) fn facts(&self, proposal: &Proposal, left_out: &BTreeSet<ChangeId>) -> Facts {
        let counted = self.counted();
        let counted: Vec<_> = counted
            .filter(|(change, _)| !left_out.contains(change))
            .collect();
        let charges: Vec<Arc<Charge>> = counted
            .iter()
            .map(|(_, charge)| *charge)
            .chain(&self.accepted)
            .cloned()
            .collect();
        let waiting = counted.iter();
        let waiting = waiting.filter(|(_, charge)| charge.standing == Standing::Pending);
        // The items of a batch are one question.
        let questions: BTreeMap<&str, &KeyId> = waiting
            .map(|(change, charge)| {
                let question = charge.batch.as_deref().unwrap_or(change.as_str());
                (question, &charge.subject.key)
            })
            .collect();
        let of_key = questions.values();
        let of_key = of_key.filter(|key| ***key == proposal.subject.key);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Facts {
            pending_of_key: count(of_key.count()),
            pending_of_tenant: count(questions.len()),
            lowest_micros: self.lowest_micros.clone(),
            exposure: self.exposure.clone(),
            exposure_terms: self.exposure_terms.clone(),
            charges,
            twin: None,
        }
    }

    /// Whether a question about that object waits, or is being carried out.
    pub(crate) fn waits_about(&self, asked: &Subject) -> bool {
        self.counted().any(|(_, charge)| {
            let subject = &charge.subject;
            charge.standing == Standing::Pending
                && subject.path.last() == asked.path.last()
                && subject.account == asked.account
                && subject.connector == asked.connector
        })
    }

    fn counted(&self) -> impl Iterator<Item = (&ChangeId, &Arc<Charge>)> {
        let all = self.charges.iter();
        all.filter(|(change, charge)| **change != self.own && tally::is_after(charge, self.since))
    }
}

impl Page<'_> {
    /// Reads everything that a decision over `proposal` can ask about, apart
    /// from the change `own` itself.
    pub(crate) async fn read_facts(
        &mut self,
        own: &ChangeId,
        proposal: &Proposal,
        lookback: SignedDuration,
        exposure_terms: Option<&ExposureTerms>,
    ) -> Result<Reading, LedgerError> {
        // Limits by the day hold whatever windows a policy has.
        let lookback = lookback.max(DAY);
        let ledger = self.ledger();
        let known = std::mem::take(&mut *ledger.tally());
        let tally = known.catch_up(&mut self.tx, &self.book, lookback).await?;
        let charges = tally.charges();
        *ledger.tally() = tally;
        let accepted_at = self.book.accepted_at;
        let accepted_at = accepted_at.filter(|at| self.now.duration_since(*at) < lookback);
        Ok(Reading {
            own: own.clone(),
            since: self.now - lookback,
            accepted: accepted_at.map(|at| Arc::new(full(proposal, at))),
            lowest_micros: self.lowest(proposal, &charges).await?,
            exposure: match exposure_terms {
                Some(_) => self.exposure().await?,
                None => None,
            },
            exposure_terms: exposure_terms.cloned().unwrap_or_default(),
            charges,
        })
    }

    async fn lowest(
        &mut self,
        proposal: &Proposal,
        charges: &Charges,
    ) -> Result<BTreeMap<ObjectId, i64>, LedgerError> {
        const READ: &str = "SELECT MIN(micros) AS lowest FROM lows \
             WHERE object = $1 AND account = $2 AND connector = $3 AND at > $4";
        let subject = &proposal.subject;
        let after = self.now - DAY;
        let mut lowest = BTreeMap::new();
        // Only what was applied leaves one, and has a charge.
        let is_applied = |object: &ObjectId| {
            let of_account = charges.values().filter(|charge| {
                charge.subject.account == subject.account
                    && charge.subject.connector == subject.connector
            });
            let mut of_object = of_account.filter(|charge| charge.budgets.contains(object));
            of_object.any(|charge| matches!(charge.standing, Standing::Applied(at) if at > after))
        };
        let budgets = proposal.effect.budgets.iter();
        for budget in budgets.filter(|budget| is_applied(&budget.object)) {
            let args = args![
                budget.object.as_str(),
                subject.account.as_str(),
                subject.connector.as_str(),
                after,
            ];
            let row = self.tx.row(READ, args).await?;
            let found = row.map(|row| row.maybe_int("lowest")).transpose()?;
            if let Some(micros) = found.flatten() {
                lowest.insert(budget.object.clone(), micros);
            }
        }
        Ok(lowest)
    }

    /// Writes down how low the live budgets of an applied change were.
    pub(crate) async fn keep_lows(
        &mut self,
        change: &ChangeId,
        proposal: &Proposal,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        const KEEP: &str = "INSERT INTO lows (change_id, connector, account, object, micros, at) \
             VALUES ($1, $2, $3, $4, $5, $6)";
        let subject = &proposal.subject;
        for (object, micros) in proposal.lows() {
            let args = args![
                change.as_str(),
                subject.connector.as_str(),
                subject.account.as_str(),
                object.as_str(),
                micros,
                at,
            ];
            self.tx.run_later(KEEP, args).await?;
        }
        Ok(())
    }
}

/// What fills every window that a decision over `proposal` can look at: nobody
/// knows what was spent before the book was accepted.
fn full(proposal: &Proposal, at: Timestamp) -> Charge {
    let mut subject = proposal.subject.clone();
    // It is no change of the object: cooldowns are not its matter.
    subject.path.extend(ObjectId::parse("accepted-ledger").ok());
    Charge {
        subject,
        primitive: Primitive::Records,
        daily_micros: i64::MAX,
        lifetime_micros: i64::MAX,
        exposure_micros: i64::MAX,
        financial_micros: i64::MAX,
        created: u32::MAX,
        records: u32::MAX,
        ..Charge::of(proposal, Standing::Applied(at))
    }
}
