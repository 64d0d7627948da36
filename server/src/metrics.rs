//! What the server counts, for Prometheus. Labels are words of ours, never a
//! caller's text, so that nobody can make series without number.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tenantry_core::answer::Status;
use tenantry_core::notification::Occasion;
use tenantry_core::policy::decide::{Ruling, Verdict};
use tenantry_core::reason::Reason;

use crate::book::keeper::duty::Duty;
use crate::in_force::Grant;

/// From a refusal in memory to the longest call (25 s).
const SECONDS: [f64; 11] = [
    0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 25.0,
];

/// One label.
type Label = (&'static str, String);

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The destination took it.
    Sent,
    /// The destination did not take it, however often it was sent.
    Failed,
    /// It was not sent: something newer took its place, the destination is gone,
    /// or the process ended.
    Dropped,
}

/// Every metric of the server.
pub struct Metrics {
    registry: Registry,
    calls: Family<[Label; 3], Counter>,
    durations: Family<[Label; 1], Histogram>,
    refused: Family<[Label; 1], Counter>,
    rules: Family<[Label; 4], Counter>,
    duties_failed: Family<[Label; 1], Counter>,
    notifications_sent: Family<[Label; 2], Counter>,
    notifications_failed: Family<[Label; 2], Counter>,
    notifications_dropped: Family<[Label; 2], Counter>,
    vendor_requests: Family<[Label; 1], Counter>,
    vendor_quota: Family<[Label; 2], Gauge>,
    vendor_version: Family<[Label; 1], Gauge>,
    vendor_token_ends: Family<[Label; 1], Gauge>,
    /// Calls in progress.
    pub in_flight: Gauge,
    /// Connections that are open.
    pub connections: Gauge,
    /// Audit lines written.
    pub audit_lines: Counter,
    /// Audit events that were only counted.
    pub audit_suppressed: Counter,
    /// API keys known.
    pub keys: Gauge,
    /// Freezes in force.
    pub freezes: Gauge,
    /// Whether the present contract cannot be obeyed, and an earlier one is.
    pub contract_refused: Gauge,
    /// Seconds since the last word from the API server.
    pub control_plane_age: Gauge<f64, AtomicU64>,
    /// By how many seconds the ledger's clock is ahead of the machine's.
    pub ledger_clock_ahead: Gauge<f64, AtomicU64>,
    /// How many changes wait for people.
    pub pending_approvals: Gauge,
    /// When all live budgets were last read, in seconds since 1970; 0 is never.
    pub exposure_read: Gauge,
    /// Whether this replica takes calls.
    pub serving: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tenantry_server"),
            calls: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            refused: Family::default(),
            rules: Family::default(),
            duties_failed: Family::default(),
            notifications_sent: Family::default(),
            notifications_failed: Family::default(),
            notifications_dropped: Family::default(),
            vendor_requests: Family::default(),
            vendor_quota: Family::default(),
            vendor_version: Family::default(),
            vendor_token_ends: Family::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            audit_lines: Counter::default(),
            audit_suppressed: Counter::default(),
            keys: Gauge::default(),
            freezes: Gauge::default(),
            contract_refused: Gauge::default(),
            control_plane_age: Gauge::default(),
            ledger_clock_ahead: Gauge::default(),
            pending_approvals: Gauge::default(),
            exposure_read: Gauge::default(),
            serving: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    /// A call ended. `tool` must be the name of a tool that exists.
    pub fn call_ended(
        &self,
        tool: Option<&str>,
        outcome: Status,
        reason: Option<Reason>,
        duration: Duration,
    ) {
        let tool = tool.unwrap_or("none");
        let reason = reason.map_or("none", Reason::as_str);
        let labels = [
            ("tool", tool.to_owned()),
            ("outcome", outcome.as_str().to_owned()),
            ("reason", reason.to_owned()),
        ];
        self.calls.get_or_create(&labels).inc();
        let tool = [("tool", tool.to_owned())];
        self.durations
            .get_or_create(&tool)
            .observe(duration.as_secs_f64());
    }

    /// Rules spoke about a change. Their names are those of policies, of which
    /// there are few.
    pub fn ruled(&self, ruling: &Ruling) {
        let enforced = ruling.fired.iter().map(|fired| ("Enforce", fired));
        let shadow = ruling.shadow.iter().map(|fired| ("Shadow", fired));
        for (mode, fired) in enforced.chain(shadow) {
            let verdict = match fired.verdict {
                Verdict::Deny => "deny",
                Verdict::Ask(_) => "ask",
            };
            let labels = [
                ("policy", fired.name.policy.clone()),
                ("rule", fired.name.rule.clone()),
                ("mode", mode.to_owned()),
                ("verdict", verdict.to_owned()),
            ];
            self.rules.get_or_create(&labels).inc();
        }
    }

    /// Something that is done for the ledger failed, and begins anew.
    pub fn duty_failed(&self, duty: Duty) {
        let labels = [("duty", duty.as_str().to_owned())];
        self.duties_failed.get_or_create(&labels).inc();
    }

    /// That became of a notification. Destinations are named by the contract, of
    /// which there are few.
    pub fn notified(&self, fate: Fate, destination: &str, occasion: Occasion) {
        let family = match fate {
            Fate::Sent => &self.notifications_sent,
            Fate::Failed => &self.notifications_failed,
            Fate::Dropped => &self.notifications_dropped,
        };
        let labels = [
            ("destination", destination.to_owned()),
            ("occasion", occasion.as_str().to_owned()),
        ];
        family.get_or_create(&labels).inc();
    }

    /// A request was refused before it became a call.
    pub fn request_refused(&self, reason: Reason) {
        let labels = [("reason", reason.as_str().to_owned())];
        self.refused.get_or_create(&labels).inc();
    }

    /// A call made `requests` to a vendor.
    pub fn vendor_asked(&self, connector: &str, requests: u32) {
        let labels = [("connector", connector.to_owned())];
        self.vendor_requests
            .get_or_create(&labels)
            .inc_by(requests.into());
    }

    /// What is known of a vendor now: how much of each quota is used, at the
    /// fullest; whether another version answers, or warns; when the token ends.
    pub fn vendor_seen(&self, connector: &str, grant: &Grant<'_>) {
        let label = |connector: &str| ("connector", connector.to_owned());
        let mut fullest: BTreeMap<String, u32> = BTreeMap::new();
        for quota in grant.corridor.quota() {
            let used = fullest.entry(quota.bucket).or_default();
            *used = quota.used_percent.max(*used);
        }
        for (bucket, used) in fullest {
            let labels = [label(connector), ("bucket", bucket)];
            self.vendor_quota.get_or_create(&labels).set(used.into());
        }
        let is_odd = !grant.corridor.alarm().is_empty();
        let labels = [label(connector)];
        self.vendor_version
            .get_or_create(&labels)
            .set(is_odd.into());
        match grant.known.facts().and_then(|facts| facts.expires_at) {
            Some(end) => {
                self.vendor_token_ends.get_or_create(&labels).set(end);
            }
            None => {
                self.vendor_token_ends.remove(&labels);
            }
        }
    }

    /// All of it in the text form of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn register_calls(&mut self) {
        let registry = &mut self.registry;
        registry.register("calls", "Tool calls that ended", self.calls.clone());
        registry.register(
            "call_duration_seconds",
            "How long tool calls took",
            self.durations.clone(),
        );
        registry.register(
            "requests_refused",
            "Requests refused before they became a call",
            self.refused.clone(),
        );
        registry.register(
            "rules_fired",
            "Policy rules that refused a change or asked people, and what Shadow would have",
            self.rules.clone(),
        );
        registry.register(
            "ledger_duties_failed",
            "Failures of what is done for the ledger: each began anew after a pause",
            self.duties_failed.clone(),
        );
        registry.register(
            "ledger_clock_ahead_seconds",
            "By how much the ledger's clock, which never goes back, is ahead of the machine's",
            self.ledger_clock_ahead.clone(),
        );
        registry.register(
            "pending_approvals",
            "Changes that wait for people, as the ledger has it; every replica says the same",
            self.pending_approvals.clone(),
        );
        registry.register(
            "exposure_read_timestamp_seconds",
            "When all live budgets were last read, where policies limit them together",
            self.exposure_read.clone(),
        );
    }

    fn register_notifications(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "notifications_sent",
            "Notifications that a destination took",
            self.notifications_sent.clone(),
        );
        registry.register(
            "notifications_failed",
            "Notifications that a destination did not take, however often they were sent",
            self.notifications_failed.clone(),
        );
        registry.register(
            "notifications_dropped",
            "Notifications that were not sent: newer ones took their place, or nobody was there",
            self.notifications_dropped.clone(),
        );
    }

    fn register(&mut self) {
        self.register_calls();
        self.register_notifications();
        let registry = &mut self.registry;
        registry.register(
            "vendor_requests",
            "Requests made to a vendor",
            self.vendor_requests.clone(),
        );
        registry.register(
            "vendor_quota_used_percent",
            "How much of a vendor's quota is used, by its own word",
            self.vendor_quota.clone(),
        );
        registry.register(
            "vendor_version_alarm",
            "Whether the vendor serves another version, or warns that ours ends",
            self.vendor_version.clone(),
        );
        registry.register(
            "vendor_token_end_timestamp_seconds",
            "When the vendor's token ends",
            self.vendor_token_ends.clone(),
        );
        registry.register(
            "calls_in_flight",
            "Tool calls in progress",
            self.in_flight.clone(),
        );
        registry.register(
            "connections",
            "Client connections that are open",
            self.connections.clone(),
        );
        registry.register(
            "audit_lines",
            "Audit lines written",
            self.audit_lines.clone(),
        );
        registry.register(
            "audit_suppressed",
            "Audit events counted but not written",
            self.audit_suppressed.clone(),
        );
        registry.register("keys", "API keys known", self.keys.clone());
        registry.register("freezes", "Freezes in force", self.freezes.clone());
        registry.register(
            "contract_refused",
            "Whether the present contract cannot be obeyed",
            self.contract_refused.clone(),
        );
        registry.register(
            "control_plane_age_seconds",
            "Time since the last word from the API server",
            self.control_plane_age.clone(),
        );
        registry.register(
            "serving",
            "Whether this replica takes calls",
            self.serving.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_by_tool_outcome_and_reason() {
        let metrics = Metrics::new();
        metrics.call_ended(
            Some("meta_list"),
            Status::Refused,
            Some(Reason::RateLimited),
            Duration::from_millis(1),
        );
        metrics.vendor_asked("meta", 2);
        metrics.notified(Fate::Sent, "ads", Occasion::Pending);
        let text = metrics.text();
        let told =
            r#"tenantry_server_notifications_sent_total{destination="ads",occasion="Pending"} 1"#;
        assert!(text.contains(told), "{text}");
        let call = r#"tenantry_server_calls_total{tool="meta_list",outcome="refused",reason="RateLimited"} 1"#;
        assert!(text.contains(call), "{text}");
        assert!(
            text.contains(r#"tenantry_server_vendor_requests_total{connector="meta"} 2"#),
            "{text}"
        );
    }
}
