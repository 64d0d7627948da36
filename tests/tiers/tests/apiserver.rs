//! The apiserver tier: the charts on a real API server, the operator in this
//! process with the rights that its chart gives it, and no pods: what a server
//! would report, a test reports.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

#[path = "apiserver/admission.rs"]
mod admission;
#[path = "apiserver/approvals.rs"]
mod approvals;
#[path = "apiserver/children.rs"]
mod children;
#[path = "apiserver/court.rs"]
mod court;
#[path = "apiserver/doors.rs"]
mod doors;
#[path = "apiserver/drift.rs"]
mod drift;
#[path = "apiserver/fields.rs"]
mod fields;
#[path = "apiserver/guard.rs"]
mod guard;
#[path = "apiserver/keys.rs"]
mod keys;
#[path = "apiserver/leader.rs"]
mod leader;
#[path = "apiserver/matrix.rs"]
mod matrix;
#[path = "apiserver/operator_process.rs"]
mod operator_process;
#[path = "apiserver/plane.rs"]
mod plane;
#[path = "apiserver/pods.rs"]
mod pods;
#[path = "apiserver/policies.rs"]
mod policies;
#[path = "apiserver/proof.rs"]
mod proof;
#[path = "apiserver/reconcile.rs"]
mod reconcile;
#[path = "apiserver/rights.rs"]
mod rights;
#[path = "fields/table.rs"]
mod table;
#[path = "apiserver/tool.rs"]
mod tool;
#[path = "apiserver/unique.rs"]
mod unique;
#[path = "apiserver/wall.rs"]
mod wall;

/// The example that the README shows; tests onboard it under other names.
const EXAMPLE: &str = include_str!("../../../examples/acme.yaml");
