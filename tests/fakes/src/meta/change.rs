//! What a write asks for, read from its parameters: types and words are checked
//! here, whether it may be is not.

use serde_json::Value;

use super::asked::Asked;
use super::clock;
use super::wire::GraphError;
use super::world::Kind;

/// What every call may carry and what changes nothing.
const BESIDE: &[&str] = &[
    "appsecret_proof",
    "date_format",
    "debug",
    "execution_options",
    "format",
    "locale",
    "method",
    "pretty",
    "suppress_http_code",
];

const CAMPAIGN: &[&str] = &[
    "bid_strategy",
    "daily_budget",
    "lifetime_budget",
    "name",
    "start_time",
    "status",
    "stop_time",
];

const AD_SET: &[&str] = &[
    "bid_amount",
    "bid_strategy",
    "daily_budget",
    "end_time",
    "lifetime_budget",
    "name",
    "start_time",
    "status",
];

const AD: &[&str] = &["name", "status"];

const STRATEGIES: &[&str] = &[
    "LOWEST_COST_WITHOUT_CAP",
    "LOWEST_COST_WITH_BID_CAP",
    "COST_CAP",
    "LOWEST_COST_WITH_MIN_ROAS",
];

const STATUSES: &[&str] = &["ACTIVE", "PAUSED", "DELETED", "ARCHIVED"];

/// What is to be different.
#[derive(Default)]
pub(super) struct Change {
    pub name: Option<String>,
    pub status: Option<String>,
    pub daily_budget: Option<u64>,
    pub lifetime_budget: Option<u64>,
    pub bid_amount: Option<u64>,
    pub bid_strategy: Option<String>,
    pub start: Option<i64>,
    pub end: Option<End>,
}

/// When something is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Never,
    At(i64),
}

impl Change {
    /// Reads a change of something that exists.
    pub fn read(asked: &Asked, kind: Kind) -> Result<Self, GraphError> {
        Self::read_beside(asked, kind, &[])
    }

    /// Reads a change that has these parameters beside its own.
    pub fn read_beside(asked: &Asked, kind: Kind, more: &[&str]) -> Result<Self, GraphError> {
        let own = match kind {
            Kind::Campaign => CAMPAIGN,
            Kind::AdSet => AD_SET,
            Kind::Ad => AD,
        };
        only(asked, &[own, more])?;
        let end = match kind {
            Kind::Campaign => time(asked, "stop_time")?,
            Kind::AdSet | Kind::Ad => time(asked, "end_time")?,
        };
        Ok(Self {
            name: name(asked)?,
            status: word(asked, "status", STATUSES)?,
            daily_budget: amount(asked, "daily_budget")?,
            lifetime_budget: amount(asked, "lifetime_budget")?,
            bid_amount: amount(asked, "bid_amount")?,
            bid_strategy: word(asked, "bid_strategy", STRATEGIES)?,
            start: time(asked, "start_time")?,
            // Meta: an `end_time` of 0 takes the end away.
            end: end.map(|end| if end == 0 { End::Never } else { End::At(end) }),
        })
    }

    /// Only a new status.
    pub fn to_status(status: &str) -> Self {
        Self {
            status: Some(status.to_owned()),
            ..Self::default()
        }
    }

    pub fn has_budget(&self) -> bool {
        self.daily_budget.is_some() || self.lifetime_budget.is_some()
    }

    pub fn has_bid(&self) -> bool {
        self.bid_amount.is_some() || self.bid_strategy.is_some()
    }

    pub fn has_schedule(&self) -> bool {
        self.start.is_some() || self.end.is_some()
    }

    /// Neither budgets nor bids nor times.
    pub fn keeps_money(&self) -> bool {
        !self.has_budget() && !self.has_bid() && !self.has_schedule()
    }
}

/// Refuses parameters that nobody knows.
pub(super) fn only(asked: &Asked, known: &[&[&str]]) -> Result<(), GraphError> {
    let mut names = asked.parameters.iter().map(|(name, _)| name.as_str());
    let is_known = |name: &str| known.iter().any(|some| some.contains(&name));
    match names.find(|name| !BESIDE.contains(name) && !is_known(name)) {
        None => Ok(()),
        Some(odd) => {
            let message = format!("The parameter {odd} is not supported");
            Err(GraphError::parameter(&message).blaming(&[odd]))
        }
    }
}

/// Whether the call is only to be tried.
pub(super) fn is_dry(asked: &Asked) -> Result<bool, GraphError> {
    let Some(text) = asked.parameter("execution_options") else {
        return Ok(false);
    };
    let wrong = |_| GraphError::parameter("Param execution_options must be an array");
    let options: Vec<String> = serde_json::from_str(text).map_err(wrong)?;
    let known = ["validate_only", "include_recommendations"];
    if options.iter().all(|one| known.contains(&one.as_str())) {
        return Ok(options.iter().any(|one| one == "validate_only"));
    }
    let message =
        "Param execution_options[0] must be one of {VALIDATE_ONLY, INCLUDE_RECOMMENDATIONS}";
    Err(GraphError::parameter(message))
}

/// A parameter that must be there.
pub(super) fn required<'a>(asked: &'a Asked, name: &str) -> Result<&'a str, GraphError> {
    let value = asked.parameter(name).filter(|value| !value.is_empty());
    let missing =
        || GraphError::parameter(&format!("The parameter {name} is required")).blaming(&[name]);
    value.ok_or_else(missing)
}

/// A parameter that is JSON in the form.
pub(super) fn nested(asked: &Asked, name: &str) -> Result<Value, GraphError> {
    let wrong = |_| GraphError::parameter(&format!("Param {name} must be valid JSON"));
    serde_json::from_str(required(asked, name)?).map_err(wrong)
}

/// One of some words.
pub(super) fn word(
    asked: &Asked,
    name: &str,
    words: &[&str],
) -> Result<Option<String>, GraphError> {
    match asked.parameter(name) {
        None => Ok(None),
        Some(value) if words.contains(&value) => Ok(Some(value.to_owned())),
        Some(_) => {
            let message = format!("Param {name} must be one of {{{}}}", words.join(", "));
            Err(GraphError::parameter(&message).blaming(&[name]))
        }
    }
}

/// An amount in Meta's own minor units, which are whole: "5000" and never "50.00".
pub(super) fn amount(asked: &Asked, name: &str) -> Result<Option<u64>, GraphError> {
    let wrong = |_| {
        let message = format!("Param {name} must be an integer");
        GraphError::parameter(&message).blaming(&[name])
    };
    asked
        .parameter(name)
        .map(str::parse)
        .transpose()
        .map_err(wrong)
}

/// A time, or 0 for none.
pub(super) fn time(asked: &Asked, name: &str) -> Result<Option<i64>, GraphError> {
    let wrong = || {
        let message = format!("Param {name} must be a valid time");
        GraphError::parameter(&message).blaming(&[name])
    };
    let text = asked.parameter(name);
    text.map(|text| clock::read(text).ok_or_else(wrong))
        .transpose()
}

fn name(asked: &Asked) -> Result<Option<String>, GraphError> {
    match asked.parameter("name") {
        Some("") => Err(GraphError::parameter("The parameter name is required").blaming(&["name"])),
        name => Ok(name.map(str::to_owned)),
    }
}
