//! The proving ground's harness: what the tiers share.
//!
//! A tier is one test binary under `tests/`: contract needs nothing,
//! apiserver a control plane, cluster a node with Tenantry installed. The last
//! two run only when asked for by feature, and never skip in silence.

pub mod audit;
pub mod canary;
pub mod delivery;
pub mod evidence;
pub mod forward;
pub mod grants;
pub mod kubectl;
pub mod mcp;
pub mod namespace;
pub mod port;
pub mod probe;
#[cfg(feature = "cluster")]
pub mod raw;
pub mod secrets;
pub mod tool;
pub mod vendor;
