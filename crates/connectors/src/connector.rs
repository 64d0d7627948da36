//! What a loaded connector file offers: its name, its address and its tools.
//! How a tool's request is built stays inside this crate.

use serde::Serialize;
use serde_json::{Map, Value};
use tenantry_core::access::ToolClass;
use tenantry_core::name::{ConnectorName, ToolName};
use url::Url;

use crate::load;
use crate::load_error::LoadError;
use crate::plan::{ApiPlan, RequestPlan};

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
    /// The schema of the data it answers, without the envelope.
    pub output_schema: Map<String, Value>,
    /// The argument that names the account; `None` if it spans all accounts.
    pub account_argument: Option<String>,
    pub(crate) plan: RequestPlan,
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

    /// Its tools, in the order of the file.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter()
    }

    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name.as_str() == name)
    }
}
