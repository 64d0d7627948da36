//! The forms: the custom resources of `tenantry.dev/v1alpha1` as users write
//! them, their CEL rules and conditions, and the one bridge from form to
//! meaning.
//!
//! No client is linked here; what needs one lives in operator, server or CLI.

pub mod compile;
pub mod condition;
pub mod crd;
pub mod document;
#[cfg(feature = "cel")]
pub mod judge;
pub mod label;
pub mod mcp_api_key;
pub mod mcp_approval;
pub mod mcp_freeze;
pub mod mcp_server;
pub mod mcp_tenant;
pub mod safety_policy;
pub mod selector;
