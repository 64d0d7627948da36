//! The embassies: connector files become typed request plans, and one corridor
//! carries them to the vendor and back.
//!
//! Nothing here knows Kubernetes, MCP, keys or policies; the caller has already
//! authorized the call and checked its arguments against the tool's schema.

#![deny(clippy::indexing_slicing, clippy::expect_used)]

pub mod call_error;
pub mod change;
pub mod connector;
pub mod corridor;
pub mod load_error;
pub mod quota;
pub mod snapshot;
pub mod token;
pub mod transport;

mod answer;
mod form;
mod load;
mod pattern;
mod plan;
mod pointer;
mod verdict;
