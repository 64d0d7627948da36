//! What a loaded connector file offers: its name, its address and its tools.
//! How a tool's request is built stays inside this crate.

use serde::Serialize;
use serde_json::{Map, Value};
use tenantry_core::access::ToolClass;
use tenantry_core::name::{ConnectorName, Currency, ToolName};
use url::Url;

use crate::call_error::CallError;
use crate::change::doubt::Doubt;
use crate::load;
use crate::load_error::LoadError;
use crate::pattern::Pattern;
use crate::plan::change::ChangePlan;
use crate::plan::{ApiPlan, ToolPlan};

/// A connector file that holds nothing doubtful.
#[derive(Debug)]
pub struct Connector {
    pub(crate) name: ConnectorName,
    pub(crate) api: ApiPlan,
    pub(crate) tools: Vec<Tool>,
}

/// One tool of a connector.
#[derive(Debug)]
pub struct Tool {
    /// Its name, which begins with the connector's.
    pub name: ToolName,
    /// A name for people.
    pub title: String,
    /// What it does, written for an agent that chooses among tools.
    pub description: String,
    /// What it may change.
    pub class: ToolClass,
    /// What MCP clients are told about it.
    pub annotations: Annotations,
    /// The schema of its arguments (JSON Schema 2020-12, strict).
    pub input_schema: Map<String, Value>,
    /// The schema of the data it answers, without the envelope; empty for a
    /// change, of which the envelope says everything.
    pub output_schema: Map<String, Value>,
    /// What it may be asked about: exactly one of these is to be given. Empty if
    /// it spans all accounts.
    pub subjects: Vec<Subject>,
    pub(crate) plan: ToolPlan,
}

/// An argument by which a call says what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub argument: String,
    /// What it names: `account`, or a kind of object in the file's word.
    pub kind: String,
    pub(crate) is_account: bool,
    pub(crate) pattern: Pattern,
}

/// What a call is about, in the caller's words. Nothing is proven by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// All accounts.
    Nothing,
    /// An account.
    Account(String),
    /// An object of some account.
    Object(ClaimedObject),
}

/// An object that a caller names: spelt as ids are spelt, and no more is known.
/// Only arguments make one, and it opens nothing: see [`crate::corridor::owned`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedObject {
    kind: String,
    id: String,
}

/// The hints of MCP, all of them explicit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the four hints of MCP")]
pub struct Annotations {
    /// It changes nothing.
    pub read_only: bool,
    /// What it changes may be lost.
    pub destructive: bool,
    /// A repetition changes nothing more.
    pub idempotent: bool,
    /// It talks to the world outside.
    pub open_world: bool,
}

impl Connector {
    /// Reads a connector file; anything doubtful refuses it as a whole.
    pub fn load(file_name: &str, text: &str) -> Result<Self, LoadError> {
        load::connector(file_name, text)
    }

    /// The name that its tools begin with.
    pub fn name(&self) -> &ConnectorName {
        &self.name
    }

    /// The vendor's address.
    pub fn base_url(&self) -> &Url {
        &self.api.base_url
    }

    /// How much of a daily budget the vendor may spend on one day, in percent,
    /// if the file says.
    pub fn overspend_percent(&self) -> Option<u32> {
        Some(self.api.exposure.as_ref()?.overspend_percent)
    }

    /// Its tools, in the order of the file.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter()
    }

    /// How an object gets back what it had before a change: the tool that sets
    /// it, and its arguments without a key. Nothing of what was made, of what
    /// had nothing before, or where no tool sets it.
    pub fn inverse(
        &self,
        change: &Doubt,
        currency: &Currency,
    ) -> Option<(&Tool, Map<String, Value>)> {
        let (before, id) = (change.before.as_ref()?, change.id.as_ref()?);
        self.tools.iter().find_map(|tool| {
            let ToolPlan::Change(plan) = &tool.plan else {
                return None;
            };
            let mut subjects = tool.subjects.iter();
            let subject = subjects.find(|subject| subject.kind == change.kind)?;
            let mut arguments = before.arguments(plan, currency)?;
            arguments.insert(subject.argument.clone(), id.as_str().into());
            Some((tool, arguments))
        })
    }

    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name.as_str() == name)
    }
}

impl Tool {
    /// Whether it makes changes, instead of reading.
    pub fn makes_changes(&self) -> bool {
        matches!(self.plan, ToolPlan::Change(_))
    }

    /// Whether it switches something off and does nothing else.
    pub fn only_stops(&self) -> bool {
        matches!(self.plan, ToolPlan::Change(ChangePlan::Deactivate))
    }

    /// Whether it sets the budget of an object.
    pub fn sets_budgets(&self) -> bool {
        matches!(self.plan, ToolPlan::Change(ChangePlan::SetBudget { .. }))
    }

    /// The argument that asks for a report that was begun before.
    pub(crate) fn report_argument(&self) -> &str {
        let ToolPlan::Read(plan) = &self.plan else {
            return "";
        };
        let report = plan.report.as_ref();
        let mut subjects = self.subjects.iter();
        report
            .and_then(|report| subjects.find(|subject| subject.kind == report.kind))
            .map_or("", |subject| &subject.argument)
    }

    /// What these arguments are about: exactly one of the tool's subjects, in
    /// its exact spelling.
    pub fn named(&self, args: &Map<String, Value>) -> Result<Named, CallError> {
        let mut given = self
            .subjects
            .iter()
            .filter_map(|subject| Some((subject, args.get(&subject.argument)?)));
        let (subject, value) = match (given.next(), given.next()) {
            (None, None) if self.subjects.is_empty() => return Ok(Named::Nothing),
            (Some(only), None) => only,
            _ => {
                let names = self.subjects.iter().map(|one| one.argument.clone());
                return Err(CallError::SubjectUnclear {
                    arguments: names.collect(),
                });
            }
        };
        let spelt = value.as_str().filter(|id| subject.pattern.admits(id));
        let Some(id) = spelt.map(str::to_owned) else {
            return Err(CallError::SubjectSpelling {
                argument: subject.argument.clone(),
            });
        };
        if subject.is_account {
            return Ok(Named::Account(id));
        }
        let kind = subject.kind.clone();
        Ok(Named::Object(ClaimedObject { kind, id }))
    }
}

impl ClaimedObject {
    /// An object that stands within an argument.
    pub(crate) fn within(kind: &str, id: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            id: id.to_owned(),
        }
    }

    /// What kind of object it is said to be, in the connector file's word.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}
