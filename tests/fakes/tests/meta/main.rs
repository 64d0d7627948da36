//! The fake Meta through real HTTP.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod basics;
mod bench;
mod trees;
