//! What a line of the chain of changes has to tell, to people who were not there.
//! The lines that leave by the outbox are read as everybody else reads them, so
//! whoever brings one out is who tells of it. Pure.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tenantry_core::notification::Occasion;
use tenantry_core::policy::decide::{Fired, Verdict};
use tenantry_ledger::change::ChangeId;
use tenantry_ledger::line::Event;

use crate::pipeline::set_budgets;
use crate::summary;

/// What happened to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The same for the same line, whoever brings it out how often: the ledger
    /// and the line's place in it.
    pub id: String,
    /// The ledger, and the line's place.
    pub place: (String, u64),
    /// Of which kind it is.
    pub occasion: Occasion,
    /// What happened.
    pub what: What,
    /// To which change.
    pub change: Option<ChangeId>,
    /// When.
    pub at: Timestamp,
    /// In which organisation.
    pub organization: String,
    /// With which tool.
    pub tool: String,
    /// At which vendor.
    pub connector: Option<String>,
    /// In which account.
    pub account: Option<String>,
    /// Who asked.
    pub requester: Option<String>,
    /// With which agent.
    pub agent: Option<String>,
    /// What the change does, in a line.
    pub summary: String,
    /// The rules that asked or denied, with what they say.
    pub rules: Vec<String>,
    /// Why it is so, where there is something to say.
    pub why: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// People are asked.
    Asked,
    /// They agreed.
    Agreed {
        /// Who did.
        by: Vec<String>,
    },
    /// The question has ended, by that word of the ledger's.
    Ended(String),
    /// That became of it, by that word of the ledger's.
    Outcome(String),
    /// People found out that that became of it.
    Found(String),
    /// A policy denied it.
    Denied,
}

/// A line, as far as something is told of it.
#[derive(Deserialize)]
struct Line {
    metadata: Metadata,
    time: i64,
    actor: Actor,
    api: Api,
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    policy: Part,
    unmapped: Own,
}

#[derive(Deserialize)]
struct Metadata {
    sequence: u64,
    correlation_uid: Option<ChangeId>,
}

#[derive(Deserialize)]
struct Actor {
    user: Option<User>,
    app_name: Option<String>,
}

#[derive(Deserialize)]
struct User {
    name: String,
}

#[derive(Deserialize)]
struct Api {
    operation: String,
    service: Option<User>,
    #[serde(default)]
    response: Part,
}

/// Something of which the data counts.
#[derive(Default, Deserialize)]
struct Part {
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "type")]
    kind: String,
    uid: String,
    namespace: Option<String>,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct Own {
    ledger: String,
    organization: String,
    event: Event,
    #[serde(default)]
    batch: Option<ChangeId>,
    #[serde(default)]
    detail: Value,
}

impl Told {
    /// What `line` has to tell; most lines have nothing.
    pub fn of(line: &str) -> Option<Self> {
        let line: Line = serde_json::from_str(line).ok()?;
        let (what, said) = line.what()?;
        let place = (line.unmapped.ledger.clone(), line.metadata.sequence);
        Some(Self {
            id: format!("msg_{}_{}", place.0, place.1),
            place,
            occasion: what.occasion(),
            change: line.metadata.correlation_uid.clone(),
            at: Timestamp::from_millisecond(line.time).ok()?,
            organization: line.unmapped.organization.clone(),
            connector: line.api.service.as_ref().map(|vendor| vendor.name.clone()),
            account: line.account(),
            requester: line.actor.user.as_ref().map(|user| user.name.clone()),
            agent: line.actor.app_name.clone(),
            summary: line.summary(),
            rules: line.rules(&what),
            why: said.get("why").and_then(Value::as_str).map(str::to_owned),
            tool: line.api.operation,
            what,
        })
    }
}

impl Line {
    /// What happened, and where the line has more to say of it.
    fn what(&self) -> Option<(What, &Value)> {
        let decision = &self.policy.data;
        let outcome = &self.api.response.data;
        let detail = &self.unmapped.detail;
        let word = |of: &Value, name: &str| Some(of.get(name)?.as_str()?.to_owned());
        Some(match self.unmapped.event {
            // The batch says it of all its changes.
            Event::Asked | Event::Refused | Event::ApprovalEnded
                if self.unmapped.batch.is_some() =>
            {
                return None;
            }
            Event::Asked => (What::Asked, decision),
            // What is only in the way of another change is no policy's word.
            Event::Refused if word(decision, "decision")? == "denied" => (What::Denied, decision),
            Event::Execution => (What::Agreed { by: names(detail) }, detail),
            Event::ApprovalEnded => (What::Ended(word(detail, "end")?), detail),
            Event::Outcome => (What::Outcome(word(outcome, "outcome")?), outcome),
            Event::Resolved => (What::Found(word(outcome, "outcome")?), outcome),
            Event::Emergency => {
                let outcome = word(detail, "outcome")?;
                // That it is about to be sent is not what became of it.
                let is_known = ["applied", "not_applied", "unknown"].contains(&outcome.as_str());
                is_known.then_some((What::Outcome(outcome), detail))?
            }
            Event::Refused
            | Event::Intent
            | Event::SteppedBack
            | Event::TakenOver
            | Event::LedgerAccepted => return None,
        })
    }

    fn account(&self) -> Option<String> {
        let account = self.resources.iter().find(|one| one.namespace.is_none());
        account.map(|account| account.uid.clone())
    }

    /// What the change does. What is about to be made stands with its account
    /// and has no kind there; the tool says it, such as `meta_create_ad_set`.
    fn summary(&self) -> String {
        let object = self.resources.iter().find(|one| one.namespace.is_some());
        let made = self.api.operation.split_once("_create_");
        let of = match (object, made) {
            (Some(object), _) => format!("{} {}", object.kind.replace('_', " "), object.uid),
            (None, Some((_, kind))) => format!("new {}", kind.replace('_', " ")),
            (None, None) if self.api.operation == set_budgets::TOOL => "several budgets".to_owned(),
            (None, None) => "a change".to_owned(),
        };
        let data = object.or_else(|| self.resources.first());
        // What was too long for the line is not there.
        let settings = |name: &str| {
            let settings = data.and_then(|data| data.data.get(name));
            settings.filter(|settings| settings.get("too_long").is_none())
        };
        let nothing = Value::Null;
        let [before, after] = ["before", "after"].map(|name| settings(name).unwrap_or(&nothing));
        summary::recorded(&of, before, after)
    }

    /// The rules that asked, or those that denied.
    fn rules(&self, what: &What) -> Vec<String> {
        let is_meant = |fired: &Fired| match what {
            What::Denied => fired.verdict == Verdict::Deny,
            _ => fired.verdict != Verdict::Deny,
        };
        let rules = self.policy.data.get("rules").and_then(Value::as_array);
        let rules = rules.into_iter().flatten();
        let fired = rules.filter_map(|rule| Fired::deserialize(rule).ok());
        fired.filter(is_meant).map(|fired| rule(&fired)).collect()
    }
}

impl What {
    fn occasion(&self) -> Occasion {
        match self {
            Self::Asked => Occasion::Pending,
            Self::Agreed { .. } | Self::Ended(_) => Occasion::Decided,
            Self::Outcome(_) | Self::Found(_) => Occasion::Executed,
            Self::Denied => Occasion::Denied,
        }
    }

    /// It in a few words.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Asked => "a change waits for people",
            Self::Agreed { .. } => "people agreed to a change",
            Self::Ended(end) => match end.as_str() {
                "denied" => "somebody said no to a change",
                "expired" => "nobody agreed to a change in time",
                "withdrawn" => "who asked took a change back",
                "superseded" => "a newer request took the place of a change",
                "unavailable" => "people could not be asked about a change",
                "stale" => "what people agreed to is no longer so",
                "refused" => "a limit denies by now what people were asked",
                _ => "a change waits for people no more",
            },
            Self::Outcome(outcome) => match outcome.as_str() {
                "applied" => "a change was made",
                "not_applied" => "a change was not made",
                "needs_human" => "people must find out what became of a change",
                _ => "nobody knows yet whether a change was made",
            },
            Self::Found(outcome) => match outcome.as_str() {
                "applied" => "people found that a change was made",
                "not_applied" => "people found that a change was not made",
                _ => "people looked for what became of a change",
            },
            Self::Denied => "a policy denied a change",
        }
    }
}

/// A rule with what it says.
pub fn rule(fired: &Fired) -> String {
    let name = &fired.name;
    format!("{}/{}: {}", name.policy, name.rule, fired.message)
}

fn names(detail: &Value) -> Vec<String> {
    let by = detail.get("approved_by").and_then(Value::as_array);
    let by = by.into_iter().flatten().filter_map(Value::as_str);
    by.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
