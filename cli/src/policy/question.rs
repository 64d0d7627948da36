//! What is to be decided in a case: the change in the law's own terms, and what
//! is known beside it.

use jiff::Timestamp;
use tenantry_api::compile::policy::proof::{self, CaseError};
use tenantry_api::safety_policy::test_case::{self, BeforeAfter};
use tenantry_core::access::ToolClass;
use tenantry_core::effect::{BidChange, Change, Effect, Impossible, Primitive};
use tenantry_core::money::MoneyError;
use tenantry_core::name::{AccountId, Currency, KeyId, NameError, ObjectId, ToolName};
use tenantry_core::policy::facts::{Facts, Proposal, Subject};
use tenantry_core::spend_root::{Budget, SpendRoot};

use super::case::{self, Case, Deed};
use super::object::micros;
use super::usage::connector_of;

/// What stands for whatever a case leaves out.
const UNNAMED: &str = "case";

/// Records that one case may change; more than any limit counts to.
const MOST_RECORDS: u32 = 10_000;

/// What is to be decided.
pub struct Question {
    pub proposal: Proposal,
    pub facts: Facts,
    pub now: Timestamp,
}

/// Why a case cannot be decided.
#[derive(Debug, thiserror::Error)]
pub enum CaseFlaw {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Money(#[from] MoneyError),
    #[error(transparent)]
    Impossible(#[from] Impossible),
    #[error(transparent)]
    Case(#[from] CaseError),
    #[error(
        "change has more than one of daily, lifetime, financial, do, create, copy, schedule, bid, state and records; leave one"
    )]
    Several,
    #[error(
        "`before` is missing: it says what the vendor has now, such as {{id: '1001', status: paused, daily: '100', children: [{{id: '2001'}}]}}"
    )]
    NoBefore,
    #[error("`before` says already what there was; leave change.{0}.before out")]
    BeforeTwice(&'static str),
    #[error("change.currency is missing: the policies have several currencies, or none")]
    NoCurrency,
    #[error("class: a tool of class read changes nothing, and no policy is asked about it")]
    Read,
    #[error("`{0}` has a daily and a lifetime budget; leave one")]
    TwoBudgets(String),
    #[error("`{0}` is not a duration such as 24h")]
    Duration(String),
    #[error("an earlier change has one of `ago` and `standing`")]
    Standing,
    #[error("an entry stands for {0} changes at most")]
    TooOften(u32),
    #[error("a case changes {0} records at most")]
    TooManyRecords(u32),
}

/// The case as a question, where amounts are in `currency` unless it says
/// otherwise, and the time is `now` unless it says another.
pub fn question(
    case: &Case,
    currency: Option<&Currency>,
    now: Timestamp,
) -> Result<Question, CaseFlaw> {
    let now = case.time.unwrap_or(now);
    if case.change.class == Some(ToolClass::Read) {
        return Err(CaseFlaw::Read);
    }
    if case.change.kinds() > 1 {
        return Err(CaseFlaw::Several);
    }
    let mut proposal = if case.is_plain() {
        proof::proposal(currency, &case.change.plain(), now)?
    } else {
        proposal(case, currency, now)?
    };
    if let Some(class) = case.change.class {
        proposal.subject.class = class;
    }
    if let Some(key) = &case.change.key {
        proposal.subject.key = KeyId::parse(key)?;
    }
    let facts = case.usage.facts(&proposal.subject, &proposal.effect, now)?;
    Ok(Question {
        proposal,
        facts,
        now,
    })
}

impl Case {
    /// Whether a policy could carry it along: nothing but amounts changes.
    fn is_plain(&self) -> bool {
        let change = &self.change;
        let amounts = [&change.daily, &change.lifetime, &change.financial];
        let has_amount = amounts.into_iter().any(Option::is_some);
        self.before.is_none() && (has_amount || change.kinds() == 0)
    }
}

impl case::Change {
    /// How many kinds of change it is at once.
    fn kinds(&self) -> usize {
        let kinds = [
            self.daily.is_some(),
            self.lifetime.is_some(),
            self.financial.is_some(),
            self.r#do.is_some(),
            self.create.is_some(),
            self.copy.is_some(),
            self.schedule.is_some(),
            self.bid.is_some(),
            self.state.is_some(),
            self.records.is_some(),
        ];
        kinds.into_iter().filter(|is_there| *is_there).count()
    }

    /// As a policy carries it along.
    fn plain(&self) -> test_case::Change {
        test_case::Change {
            tool: self.tool.clone(),
            account: self.account.clone(),
            object: self.object.clone(),
            currency: self.currency.clone(),
            daily: self.daily.clone(),
            lifetime: self.lifetime.clone(),
            financial: self.financial.clone(),
        }
    }

    /// What it does to a spend root; `None` if it is of records.
    fn to_root(&self, object: &ObjectId, has_root: bool) -> Result<Option<Change>, CaseFlaw> {
        let object = object.clone();
        let after = |step: &BeforeAfter, field| match step.before {
            Some(_) => Err(CaseFlaw::BeforeTwice(field)),
            None => Ok(micros(&step.after)?),
        };
        let change = if let Some(step) = &self.daily {
            let amount_micros = after(step, "daily")?;
            let budget = Budget::Daily { amount_micros };
            Change::SetBudget { object, budget }
        } else if let Some(step) = &self.lifetime {
            let budget = Budget::Lifetime {
                amount_micros: after(step, "lifetime")?,
                spent_micros: 0,
            };
            Change::SetBudget { object, budget }
        } else if let Some(deed) = self.r#do {
            match deed {
                Deed::Activate => Change::Activate { object },
                Deed::Deactivate => Change::Deactivate { object },
                Deed::Delete => Change::Delete { object },
            }
        } else if let Some(node) = &self.create {
            Change::Create {
                under: has_root.then_some(object),
                node: Box::new(node.node()?),
            }
        } else if let Some(copies) = &self.copy {
            Change::Copy {
                object,
                times: copies.times,
                switch: copies.status.into(),
            }
        } else if let Some(schedule) = &self.schedule {
            Change::SetSchedule {
                object,
                starts_at: schedule.starts_at.as_ref().map(|moment| moment.0),
                ends_at: schedule.ends_at.as_ref().map(|moment| moment.0),
            }
        } else if let Some(bid) = &self.bid {
            let cap = |text: &Option<String>| text.as_deref().map(micros).transpose();
            let bid = BidChange {
                before_micros: cap(&bid.before)?,
                after_micros: cap(&bid.after)?,
            };
            Change::SetBid { object, bid }
        } else {
            return Ok(None);
        };
        Ok(Some(change))
    }
}

/// A change of more than amounts.
fn proposal(
    case: &Case,
    currency: Option<&Currency>,
    now: Timestamp,
) -> Result<Proposal, CaseFlaw> {
    let change = &case.change;
    let root = case.before.as_ref().map(|top| {
        let currency = own_currency(change, currency)?;
        let top = top.node()?;
        Ok::<_, CaseFlaw>(SpendRoot { currency, top })
    });
    let root = root.transpose()?;
    let top = root.as_ref().map(|root| root.top.id.clone());
    let object = match &change.object {
        Some(id) => ObjectId::parse(id)?,
        None => top.map_or_else(|| ObjectId::parse(UNNAMED), Ok)?,
    };
    let (effect, path) = match change.to_root(&object, root.is_some())? {
        Some(to_root) => {
            if root.is_none() && to_root.primitive() != Primitive::Create {
                return Err(CaseFlaw::NoBefore);
            }
            let currency = own_currency(change, currency)?;
            let effect = Effect::of(root.as_ref(), &currency, &to_root, now)?;
            (effect, path(root.as_ref(), to_root.object()))
        }
        None => (of_records(change, &object, currency)?, vec![object]),
    };
    let subject = Subject {
        connector: connector_of(&change.tool)?,
        account: AccountId::parse(change.account.as_deref().unwrap_or(UNNAMED))?,
        tool: ToolName::parse(&change.tool)?,
        class: usual_class(effect.primitive),
        key: KeyId::parse(UNNAMED)?,
        path,
    };
    Ok(Proposal {
        subject,
        effect,
        undoes: None,
        batch: None,
    })
}

fn own_currency(change: &case::Change, currency: Option<&Currency>) -> Result<Currency, CaseFlaw> {
    match (&change.currency, currency) {
        (Some(code), _) => Ok(Currency::parse(code)?),
        (None, Some(currency)) => Ok(currency.clone()),
        (None, None) => Err(CaseFlaw::NoCurrency),
    }
}

/// The object, and before it all that stands above it.
fn path(root: Option<&SpendRoot>, object: Option<&ObjectId>) -> Vec<ObjectId> {
    let path = root.zip(object).and_then(|(root, id)| root.path(id));
    let nodes = path.into_iter().flatten();
    nodes.map(|node| node.id.clone()).collect()
}

fn of_records(
    change: &case::Change,
    object: &ObjectId,
    currency: Option<&Currency>,
) -> Result<Effect, CaseFlaw> {
    if let Some(step) = &change.financial {
        let before = step.before.as_deref().map(micros).transpose()?;
        let currency = own_currency(change, currency)?;
        let after = micros(&step.after)?;
        return Ok(Effect::financial(object.clone(), currency, before, after)?);
    }
    if let Some(state) = &change.state {
        return Ok(Effect::financial_state(object.clone(), state));
    }
    let count = change.records.unwrap_or(1);
    if count > MOST_RECORDS {
        return Err(CaseFlaw::TooManyRecords(MOST_RECORDS));
    }
    let others = (1..count).map(|number| ObjectId::parse(&format!("record-{number}")));
    let first = std::iter::once(Ok(object.clone())).take(count as usize);
    let all: Result<Vec<_>, _> = first.chain(others).collect();
    Ok(Effect::records(all?))
}

/// What a tool is that makes such changes.
fn usual_class(primitive: Primitive) -> ToolClass {
    match primitive {
        Primitive::FinancialAmount | Primitive::FinancialState => ToolClass::Financial,
        Primitive::Records => ToolClass::Write,
        Primitive::Delete => ToolClass::Destructive,
        _ => ToolClass::Spend,
    }
}
