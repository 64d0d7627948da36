//! Everything that answering a call needs, in one place: the counter that
//! clients stand before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tenantry_api::mcp_server::IsolationReport;
use tenantry_core::audit::chain::Identity;
use tenantry_core::digest::Digest;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use crate::book::Book;
use crate::clock::Clock;
use crate::control_plane::ControlPlane;
use crate::in_force::{InForce, TakeUpError, Workshop};
use crate::knowledge::Knowledge;
use crate::mcp::offers;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use tenantry_core::cause::chain;

/// The server's parts, as calls use them.
pub struct Counter {
    /// What the control plane said.
    pub knowledge: Arc<Knowledge>,
    /// The control plane itself, for what must not rely on what it said.
    pub control_plane: Arc<dyn ControlPlane>,
    /// What contracts are built from.
    pub workshop: Workshop,
    /// The audit stream.
    pub audit: Arc<Audit>,
    /// The ledger.
    pub book: Book,
    /// The time of changes.
    pub clock: Arc<Clock>,
    /// Who tells others of what happens.
    pub notifier: Notifier,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// After this time without word from the control plane, calls are refused.
    pub stale_after: Duration,
    /// What identifies the tools, as clients see them.
    pub tools_digest: Digest,
    /// The calls in progress.
    pub calls: TaskTracker,
    /// Ends the calls that are still in progress when draining is over.
    pub cut: CancellationToken,
    /// What came of trying the walls; nothing before the first answer.
    pub isolation: watch::Sender<Option<IsolationReport>>,
    /// How many changes wait for people; nothing before that was looked at.
    pub pending_approvals: watch::Sender<Option<u32>>,
    standing: watch::Sender<Standing>,
    stopping: AtomicBool,
    last_call: AtomicU64,
}

/// How the server stands to the contract.
#[derive(Clone, Default)]
pub struct Standing {
    /// The contract that is obeyed; none before the first one, and none after
    /// it was taken away.
    pub in_force: Option<Arc<InForce>>,
    /// Why a newer contract is not obeyed.
    pub refused: Option<Arc<TakeUpError>>,
}

/// The parts that are chosen from outside.
pub struct CounterParts {
    /// What the control plane said.
    pub knowledge: Arc<Knowledge>,
    /// The control plane itself.
    pub control_plane: Arc<dyn ControlPlane>,
    /// What contracts are built from.
    pub workshop: Workshop,
    /// The audit stream.
    pub audit: Arc<Audit>,
    /// The ledger.
    pub book: Book,
    /// The time of changes.
    pub clock: Arc<Clock>,
    /// Who tells others of what happens.
    pub notifier: Notifier,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// After this time without word from the control plane, calls are refused.
    pub stale_after: Duration,
}

impl Counter {
    /// A counter before its first contract.
    pub fn new(parts: CounterParts) -> Self {
        let CounterParts {
            knowledge,
            control_plane,
            workshop,
            audit,
            book,
            clock,
            notifier,
            metrics,
            stale_after,
        } = parts;
        let tools_digest = offers::digest(&workshop.catalog);
        tracing::info!(%tools_digest, "the tools are loaded");
        Self {
            tools_digest,
            knowledge,
            control_plane,
            workshop,
            audit,
            book,
            clock,
            notifier,
            metrics,
            stale_after,
            calls: TaskTracker::new(),
            cut: CancellationToken::new(),
            isolation: watch::Sender::default(),
            pending_approvals: watch::Sender::default(),
            standing: watch::Sender::default(),
            stopping: AtomicBool::new(false),
            last_call: AtomicU64::new(0),
        }
    }

    /// How the server stands to the contract now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// The same, and every change of it.
    pub fn standings(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Returns when there is a contract in force, with that contract.
    pub async fn in_force(&self) -> Arc<InForce> {
        let mut standing = self.standing.subscribe();
        loop {
            if let Some(in_force) = standing.borrow_and_update().in_force.clone() {
                return in_force;
            }
            // The sender lives as long as `self`, so there is nothing to fail.
            let _ = standing.changed().await;
        }
    }

    /// Obeys every contract as it comes, for as long as it is polled.
    pub async fn obey(&self, changed: impl Fn()) {
        let mut contract = self.knowledge.contract();
        loop {
            let raw = contract.borrow_and_update().clone();
            let before = self.standing();
            let standing = match raw {
                None => Standing::default(),
                Some(raw) => match self.workshop.take_up(raw, before.in_force.as_deref()) {
                    Ok(in_force) => self.enter(in_force),
                    Err(error) => refuse(before, error),
                },
            };
            self.standing.send_replace(standing);
            changed();
            if contract.changed().await.is_err() {
                return;
            }
        }
    }

    fn enter(&self, in_force: InForce) -> Standing {
        let tenant = &in_force.tenant;
        self.audit.identify(Identity::of(tenant));
        self.book.keep_for(tenant);
        // Before the first line leaves under it.
        self.notifier.follow(&tenant.notifications);
        tracing::info!(
            organization = %tenant.organization,
            access = tenant.access.as_str(),
            generation = in_force.source.generation,
            digest = %tenant.digest(),
            "the contract is in force"
        );
        Standing {
            in_force: Some(Arc::new(in_force)),
            refused: None,
        }
    }

    /// Whether nothing was heard from the control plane for too long.
    pub fn is_stale(&self, now: Instant) -> bool {
        self.knowledge.age(now) >= self.stale_after
    }

    /// No call is taken any more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the server is shutting down.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// An id for one request: the process and a number.
    pub fn next_call_id(&self) -> String {
        let number = self.last_call.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}-{number}", self.audit.boot_id())
    }
}

/// A contract that cannot be obeyed changes nothing for reads: what was in
/// force stays so, and the server says that it is not ready (DESIGN §2).
fn refuse(before: Standing, error: TakeUpError) -> Standing {
    tracing::error!(
        error = chain(&error),
        "the contract cannot be obeyed; the last one that could stays in force"
    );
    Standing {
        refused: Some(Arc::new(error)),
        ..before
    }
}
