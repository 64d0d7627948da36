//! What the operator counts. Names and labels are few and fixed: no label ever
//! holds an organisation's name.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// From a reconcile that changes nothing to one that waits for retries.
const BUCKETS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What is counted.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    seconds: Histogram,
    tenants: Family<TenantLabels, Gauge>,
    policies: Family<PolicyLabels, Gauge>,
    leader: Gauge,
    guard_proven: Gauge,
}

/// What is not counted but looked at when somebody asks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Tenants that are ready.
    pub ready: usize,
    /// The others.
    pub not_ready: usize,
    /// Policies that are in force as written.
    pub accepted: usize,
    /// The others.
    pub not_accepted: usize,
    /// Whether this operator acts.
    pub leads: bool,
    /// Whether the admission policies are proven to be in force.
    pub guard_proven: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabels {
    ready: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabels {
    accepted: &'static str,
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tenantry_operator");
        let reconciles = Family::<ReconcileLabels, Counter>::default();
        let seconds = Histogram::new(BUCKETS);
        let tenants = Family::<TenantLabels, Gauge>::default();
        let policies = Family::<PolicyLabels, Gauge>::default();
        let leader = Gauge::default();
        let guard_proven = Gauge::default();
        registry.register(
            "reconciles",
            "Reconciles by how they ended",
            reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile",
            "How long reconciles took",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register("tenants", "Tenants by readiness", tenants.clone());
        registry.register("policies", "Policies by acceptance", policies.clone());
        registry.register("leader", "1 while this operator acts", leader.clone());
        registry.register(
            "guard_proven",
            "1 while the admission policies are proven to be in force",
            guard_proven.clone(),
        );
        Self {
            registry,
            reconciles,
            seconds,
            tenants,
            policies,
            leader,
            guard_proven,
        }
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, succeeded: bool, took: Duration) {
        let outcome = if succeeded { "success" } else { "error" };
        self.reconciles
            .get_or_create(&ReconcileLabels { outcome })
            .inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// The exposition, with what is so now.
    pub fn text(&self, now: Now) -> String {
        self.leader.set(now.leads.into());
        self.guard_proven.set(now.guard_proven.into());
        for (label, count) in [("true", now.ready), ("false", now.not_ready)] {
            let gauge = self.tenants.get_or_create(&TenantLabels { ready: label });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        for (accepted, count) in [("true", now.accepted), ("false", now.not_accepted)] {
            let gauge = self.policies.get_or_create(&PolicyLabels { accepted });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_in_the_exposition() {
        let metrics = Metrics::new();
        metrics.reconciled(true, Duration::from_millis(20));
        metrics.reconciled(false, Duration::from_millis(20));
        let text = metrics.text(Now {
            ready: 3,
            not_ready: 1,
            accepted: 2,
            not_accepted: 1,
            leads: true,
            guard_proven: true,
        });
        for line in [
            "tenantry_operator_reconciles_total{outcome=\"success\"} 1",
            "tenantry_operator_reconciles_total{outcome=\"error\"} 1",
            "tenantry_operator_reconcile_seconds_count 2",
            "tenantry_operator_tenants{ready=\"true\"} 3",
            "tenantry_operator_tenants{ready=\"false\"} 1",
            "tenantry_operator_policies{accepted=\"true\"} 2",
            "tenantry_operator_policies{accepted=\"false\"} 1",
            "tenantry_operator_leader 1",
            "tenantry_operator_guard_proven 1",
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "{line} not in:\n{text}"
            );
        }
    }
}
