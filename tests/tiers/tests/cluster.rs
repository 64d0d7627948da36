//! The cluster tier: Tenantry as users install it, on a real node, with real
//! pods and real packets. `cargo xtask test cluster` brings all of it up.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails there"
)]

use std::sync::LazyLock;

use tenantry_tests::secrets::RunSecrets;

#[path = "cluster/changes.rs"]
mod changes;
#[path = "cluster/delivery.rs"]
mod delivery;
#[path = "cluster/healing.rs"]
mod healing;
#[path = "cluster/isolation.rs"]
mod isolation;
#[path = "cluster/ledger.rs"]
mod ledger;
#[path = "cluster/onboarding.rs"]
mod onboarding;
#[path = "cluster/people.rs"]
mod people;
#[path = "cluster/refusals.rs"]
mod refusals;

/// The secrets that this run's organisations have in place of the published
/// ones.
static SECRETS: LazyLock<RunSecrets> =
    LazyLock::new(|| RunSecrets::from_environment().expect("secrets of this run"));

/// The example that the README shows, with the secrets of this run; tests
/// onboard it under other names.
static EXAMPLE: LazyLock<String> = LazyLock::new(|| {
    let published = include_str!("../../../examples/acme.yaml");
    SECRETS
        .replace_in(published)
        .expect("an example with secrets")
});

/// The key of every organisation that is onboarded from the example.
fn example_key() -> &'static str {
    static KEY: LazyLock<String> =
        LazyLock::new(|| SECRETS.key().expect("a well-formed key").reveal());
    &KEY
}

/// The example for tests that make thousands of calls.
fn unlimited() -> String {
    let most = "{perMinute: 60000, burst: 10000}";
    let limits = format!("  limits: {{perKey: {most}, perTenant: {most}}}\n");
    let place = "spec:\n  organization: acme\n";
    assert!(EXAMPLE.contains(place), "the example has no `{place}`");
    EXAMPLE.replace(place, &format!("{place}{limits}"))
}
