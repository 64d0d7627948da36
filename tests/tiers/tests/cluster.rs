//! The cluster tier: Tenantry as users install it, on a real node, with real
//! pods and real packets. `cargo xtask test cluster` brings all of it up.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails there"
)]

#[path = "cluster/healing.rs"]
mod healing;
#[path = "cluster/isolation.rs"]
mod isolation;
#[path = "cluster/onboarding.rs"]
mod onboarding;
#[path = "cluster/raw.rs"]
mod raw;
#[path = "cluster/refusals.rs"]
mod refusals;

/// The example that the README shows; tests onboard it under other names.
const EXAMPLE: &str = include_str!("../../../examples/acme.yaml");

/// The sandbox key of the example, as the file itself tells it.
fn example_key() -> &'static str {
    EXAMPLE
        .split_whitespace()
        .find(|word| word.starts_with("tnt_demo_"))
        .expect("the example shows its sandbox key")
}
