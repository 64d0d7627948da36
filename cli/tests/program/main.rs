//! The built program: what it prints, what it refuses, how it ends.

#![expect(clippy::unwrap_used, reason = "all of this is tests, helpers as well")]

mod api;
mod audit;
mod colour;
mod completion;
mod deceptive;
mod lint;
mod newer;
mod onboard;
mod place;
mod policy;
mod program;
mod proxy;
mod render;
