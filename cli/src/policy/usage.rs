//! What was changed before, as cases write it: the sums of windows, counts and
//! the last change of an object are all read off the same list, as they are in
//! the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tenantry_api::compile::policy::duration;
use tenantry_core::access::ToolClass;
use tenantry_core::effect::{Effect, Primitive};
use tenantry_core::name::{AccountId, ConnectorName, Currency, KeyId, ObjectId, ToolName};
use tenantry_core::policy::facts::{
    Charge, ExposureSnapshot, ExposureTerms, Facts, Standing, Subject,
};

use super::object::micros;
use super::question::CaseFlaw;

/// What an earlier change is of that names no object: not the one of the case.
const ANOTHER: &str = "another";

/// Changes that one entry may stand for; more than any limit counts to.
const MOST_TIMES: u32 = 10_000;

/// What was changed before.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Usage {
    pub changes: Vec<Earlier>,
    /// What waits for people already, of the same key and of all.
    pub pending_of_key: u32,
    pub pending_of_tenant: u32,
    /// The id of a change that has made the same in the last 24 hours.
    pub twin: Option<String>,
    /// The lowest live budget that an object had in the last 24 hours.
    pub lowest: BTreeMap<String, String>,
    /// The last reading of all live budgets.
    pub exposure: Option<Exposure>,
}

/// An earlier change. What is left out is as in the change of the case, except
/// for the object: without one it is another one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Earlier {
    /// How long ago it was applied, such as 3h.
    pub ago: Option<String>,
    /// Or how it stands: open, or pending.
    pub standing: Option<Unsettled>,
    /// How many such changes there were; left out, one.
    pub times: Option<u32>,
    pub tool: Option<String>,
    pub class: Option<ToolClass>,
    pub account: Option<String>,
    pub object: Option<String>,
    pub key: Option<String>,
    pub currency: Option<String>,
    /// What it did, such as set_budget.
    pub primitive: Option<Primitive>,
    /// By how much live daily budgets rose.
    pub daily: Option<String>,
    pub lifetime: Option<String>,
    pub financial: Option<String>,
    /// By how much more can be spent a day; left out, as much as `daily`.
    pub exposure: Option<String>,
    /// Objects that appeared, and records that changed.
    #[serde(default)]
    pub created: u32,
    #[serde(default)]
    pub records: u32,
}

/// What has no time yet.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Unsettled {
    Open,
    Pending,
}

/// A reading of all live budgets of the connector.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Exposure {
    pub ago: String,
    /// What may be spent a day, by currency.
    pub active_daily: BTreeMap<String, String>,
    /// How far the vendor may overspend in a day, in percent of a budget.
    pub overspend_percent: Option<u32>,
}

impl Usage {
    /// What is known then at `now` by whoever decides on a change of `subject`.
    pub fn facts(
        &self,
        subject: &Subject,
        effect: &Effect,
        now: Timestamp,
    ) -> Result<Facts, CaseFlaw> {
        let mut charges = Vec::new();
        for earlier in &self.changes {
            let charge = Arc::new(earlier.charge(subject, effect.currency.as_ref(), now)?);
            let times = earlier.times.unwrap_or(1);
            if times > MOST_TIMES {
                return Err(CaseFlaw::TooOften(MOST_TIMES));
            }
            charges.extend(std::iter::repeat_n(charge, times as usize));
        }
        let lowest = self.lowest.iter();
        let lowest = lowest.map(|(id, amount)| Ok((ObjectId::parse(id)?, micros(amount)?)));
        let exposure = self.exposure.as_ref();
        let overspend = exposure.and_then(|exposure| exposure.overspend_percent);
        Ok(Facts {
            charges,
            lowest_micros: lowest.collect::<Result<_, CaseFlaw>>()?,
            exposure: exposure
                .map(|exposure| exposure.snapshot(&subject.connector, now))
                .transpose()?,
            exposure_terms: ExposureTerms {
                overspend_percent: overspend
                    .map(|percent| (subject.connector.clone(), percent))
                    .into_iter()
                    .collect(),
                ..ExposureTerms::default()
            },
            twin: self.twin.clone(),
            pending_of_key: self.pending_of_key,
            pending_of_tenant: self.pending_of_tenant,
        })
    }
}

impl Earlier {
    fn charge(
        &self,
        like: &Subject,
        currency: Option<&Currency>,
        now: Timestamp,
    ) -> Result<Charge, CaseFlaw> {
        let amount = |text: &Option<String>| text.as_deref().map_or(Ok(0), micros);
        let object = ObjectId::parse(self.object.as_deref().unwrap_or(ANOTHER))?;
        let primitive = self.primitive.unwrap_or_else(|| self.usual_primitive());
        let currency = match &self.currency {
            Some(code) => Some(Currency::parse(code)?),
            None => currency.cloned(),
        };
        let (daily, lifetime) = (amount(&self.daily)?, amount(&self.lifetime)?);
        let holds_budget = daily != 0 || lifetime != 0;
        Ok(Charge {
            batch: None,
            subject: self.subject(like, object.clone())?,
            standing: self.standing(now)?,
            primitive,
            currency,
            budgets: holds_budget
                .then_some(object)
                .into_iter()
                .collect::<BTreeSet<_>>(),
            daily_micros: daily,
            lifetime_micros: lifetime,
            exposure_micros: self.exposure.as_deref().map_or(Ok(daily), micros)?,
            financial_micros: amount(&self.financial)?,
            created: self.created,
            records: self.records,
        })
    }

    fn subject(&self, like: &Subject, object: ObjectId) -> Result<Subject, CaseFlaw> {
        let mut subject = Subject {
            path: vec![object],
            ..like.clone()
        };
        if let Some(tool) = &self.tool {
            subject.tool = ToolName::parse(tool)?;
            subject.connector = connector_of(tool)?;
        }
        if let Some(account) = &self.account {
            subject.account = AccountId::parse(account)?;
        }
        if let Some(key) = &self.key {
            subject.key = KeyId::parse(key)?;
        }
        subject.class = self.class.unwrap_or(subject.class);
        Ok(subject)
    }

    fn standing(&self, now: Timestamp) -> Result<Standing, CaseFlaw> {
        match (&self.ago, self.standing) {
            (Some(ago), None) => Ok(Standing::Applied(before(now, ago)?)),
            (None, Some(Unsettled::Open)) => Ok(Standing::Open),
            (None, Some(Unsettled::Pending)) => Ok(Standing::Pending),
            _ => Err(CaseFlaw::Standing),
        }
    }

    fn usual_primitive(&self) -> Primitive {
        if self.created > 0 {
            Primitive::Create
        } else if self.records > 0 {
            Primitive::Records
        } else if self.financial.is_some() {
            Primitive::FinancialAmount
        } else {
            Primitive::SetBudget
        }
    }
}

impl Exposure {
    fn snapshot(
        &self,
        connector: &ConnectorName,
        now: Timestamp,
    ) -> Result<ExposureSnapshot, CaseFlaw> {
        let active = self.active_daily.iter().map(|(code, amount)| {
            let place = (connector.clone(), Currency::parse(code)?);
            Ok((place, micros(amount)?))
        });
        Ok(ExposureSnapshot {
            as_of: before(now, &self.ago)?,
            accounts: BTreeSet::new(),
            active_daily_micros: active.collect::<Result<_, CaseFlaw>>()?,
        })
    }
}

/// The connector that a tool is of, by its name.
pub fn connector_of(tool: &str) -> Result<ConnectorName, CaseFlaw> {
    let (connector, _) = tool.split_once('_').unwrap_or((tool, ""));
    Ok(ConnectorName::parse(connector)?)
}

fn before(now: Timestamp, ago: &str) -> Result<Timestamp, CaseFlaw> {
    let length_ms = duration::millis(ago).ok_or_else(|| CaseFlaw::Duration(ago.to_owned()))?;
    now.checked_sub(SignedDuration::from_millis(length_ms))
        .map_err(|_| CaseFlaw::Duration(ago.to_owned()))
}
