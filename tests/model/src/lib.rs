//! The write protocol as a model: claim, decide and reserve, send, settle, with
//! replicas that crash and stall and a vendor that loses, delays and doubles.
//! Nothing here links what it mirrors: what a step does is written down once
//! more, small enough that every order of steps can be looked at.
//!
//! One clock is everybody's, and each transaction of the ledger is one step. A
//! replica that ends is there again at once; another one that takes its changes
//! over may be wrong about its end. What is not here: approvals, batches, undo,
//! stops (which wait for nobody), and people who resolve what they were asked.

pub mod ledger;
pub mod property;
pub mod replica;
pub mod rule;
pub mod scenario;
pub mod search;
pub mod state;
pub mod vendor;
