//! The corridor against a fake Meta.

mod answers;
mod bench;
mod changes;
mod creates;
mod departures;
mod doubts;
mod exposure;
mod failures;
mod objects;
mod outcomes;
mod pauses;
mod reports;
mod safety;
mod spend_root;
mod tokens;
