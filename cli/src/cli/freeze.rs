//! What stops an organisation, and lifts that.

use clap::{Args, ValueEnum};
use tenantry_api::mcp_freeze::FrozenAccess;

/// Stop an organisation, a connector or an account of it
///
/// It holds as soon as the server has heard of it, and for as long as the McpFreeze is
/// there. Exits with 0 if it is stopped as far already, and with 1 if nothing was
/// stopped.
#[derive(Debug, Args)]
#[command(after_help = FREEZE)]
pub struct Freeze {
    /// Why; clients that are refused read it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// What is still allowed
    #[arg(long, value_enum, default_value_t)]
    pub access: Access,

    /// This connector alone
    #[arg(long, value_name = "CONNECTOR")]
    pub connector: Option<String>,

    /// This account of it alone
    #[arg(long, value_name = "ID", requires = "connector")]
    pub account: Option<String>,

    /// The name of the McpFreeze [default: what it covers]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

const FREEZE: &str = "\
Examples:
  tenantry freeze -n acme --reason 'the agent runs wild'
  tenantry freeze -n acme --connector meta --account act_1001 --access disabled";

/// What a freeze still allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Access {
    /// Reads, and switching off
    #[default]
    Frozen,
    /// Reads
    ReadOnly,
    /// Nothing
    Disabled,
}

impl Access {
    /// For a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::ReadOnly => "read-only",
            Self::Disabled => "disabled",
        }
    }
}

impl From<Access> for FrozenAccess {
    fn from(access: Access) -> Self {
        match access {
            Access::Frozen => Self::Frozen,
            Access::ReadOnly => Self::ReadOnly,
            Access::Disabled => Self::Disabled,
        }
    }
}

/// Lift a freeze
///
/// Deletes the McpFreeze of that name, and says what is still in force. Exits with 1 if
/// there is none.
#[derive(Debug, Args)]
#[command(after_help = THAW)]
pub struct Thaw {
    /// The name of the McpFreeze
    #[arg(value_name = "NAME")]
    pub name: String,
}

const THAW: &str = "\
Examples:
  tenantry thaw everything -n acme";
