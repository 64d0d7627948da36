//! The sixth room, which every call passes however it ends: its line in the
//! audit stream, and its figures in the metrics.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use tenantry_connectors::connector::Tool;
use tenantry_core::access::ToolClass;
use tenantry_core::answer::Status;
use tenantry_core::audit::{Actor, Arguments, AuditEvent, Object, Stage, blank_event};
use tenantry_core::key::KeyRecord;
use tenantry_core::name::{AccountId, ConnectorName};
use tenantry_core::reason::Reason;
use tenantry_core::trace::TraceContext;
use tenantry_ledger::change::ChangeId;
use tokio::time::Instant;

use super::{Ended, Stopped};
use crate::audit::AuditSlot;
use crate::metrics::Metrics;

/// Characters that are kept of the name of a tool or a method that nobody knows.
const LONGEST_NAME: usize = 64;

/// The line of one call while it is being made. Dropped unfinished, by a panic
/// or because nobody took the call up, it is put on record as that.
pub struct Entry {
    slot: Option<AuditSlot>,
    event: AuditEvent,
    /// Known tools alone become a label.
    is_known: bool,
    arrived: Instant,
    vendor_requests: Arc<AtomicU32>,
    sent: Arc<OnceLock<ChangeId>>,
    metrics: Arc<Metrics>,
}

impl Entry {
    /// The line of a call that an authenticated caller makes.
    pub fn begin(
        slot: AuditSlot,
        call_id: String,
        key: &KeyRecord,
        method: &str,
        arrived: Instant,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.in_flight.inc();
        let event = AuditEvent {
            actor: Some(Actor::of(key)),
            method: Some(method.chars().take(LONGEST_NAME).collect()),
            ..blank_event(call_id)
        };
        let vendor_requests = Arc::new(AtomicU32::new(0));
        Self {
            slot: Some(slot),
            event,
            is_known: false,
            arrived,
            vendor_requests,
            sent: Arc::default(),
            metrics,
        }
    }

    /// That of a change which nobody calls for any more: the ledger has its
    /// lines, and there is none in the audit stream of the process.
    pub fn without_line(call_id: String, metrics: Arc<Metrics>) -> Self {
        Self {
            slot: None,
            event: blank_event(call_id),
            is_known: false,
            arrived: Instant::now(),
            vendor_requests: Arc::default(),
            sent: Arc::default(),
            metrics,
        }
    }

    /// That of a change of a batch, which has no line: its requests are the
    /// call's, and of its object the call's line says what the batch failed on.
    #[must_use]
    pub fn of_item(&self) -> Self {
        let mut item = Self::without_line(self.call_id().to_owned(), Arc::clone(&self.metrics));
        item.event.trace = self.event.trace;
        item.event.actor.clone_from(&self.event.actor);
        item.event.method.clone_from(&self.event.method);
        item.event.tool.clone_from(&self.event.tool);
        item.event.class = self.event.class;
        item.vendor_requests = Arc::clone(&self.vendor_requests);
        item
    }

    /// It is about the same object as that change of its batch.
    pub fn as_item(&mut self, item: &Self) {
        self.event.object.clone_from(&item.event.object);
        self.event.account.clone_from(&item.event.account);
        self.event.connector.clone_from(&item.event.connector);
    }

    /// Puts the object of a change of a batch on record beside the call, as what
    /// the change ended on. It is no call of its own, and counts as none.
    pub fn put_beside(mut self, slot: AuditSlot, stopped: &Stopped) {
        let event = std::mem::replace(&mut self.event, blank_event(String::new()));
        slot.put(AuditEvent {
            outcome: stopped.status,
            reason: Some(stopped.refusal.reason),
            stage: stopped.stage,
            ..event
        });
    }

    /// It calls a tool of that name, whether there is one or not.
    pub fn tool(&mut self, name: &str) {
        self.event.tool = Some(name.chars().take(LONGEST_NAME).collect());
    }

    /// It belongs to that trace.
    pub fn traced(&mut self, trace: Option<TraceContext>) {
        self.event.trace = trace;
    }

    /// The trace that it belongs to.
    pub fn trace(&self) -> Option<TraceContext> {
        self.event.trace
    }

    /// The trace that it belongs to, for the log.
    pub fn trace_id(&self) -> Option<String> {
        self.event.trace.map(|trace| trace.trace_id.to_string())
    }

    /// The same as in the answer.
    pub fn call_id(&self) -> &str {
        &self.event.call_id
    }

    /// The tool exists.
    pub fn found(&mut self, tool: &Tool, connector: &ConnectorName) {
        self.is_known = true;
        self.event.class = Some(tool.class);
        self.event.connector = Some(connector.to_string());
    }

    /// The tool is the server's own.
    pub fn found_own(&mut self, class: ToolClass) {
        self.is_known = true;
        self.event.class = Some(class);
    }

    /// These are its arguments.
    pub fn arguments(&mut self, arguments: Arguments) {
        self.event.arguments = Some(arguments);
    }

    /// It makes this change.
    pub fn change(&mut self, change: &ChangeId) {
        self.event.change = Some(change.to_string());
    }

    /// That change leaves now: whatever stops the call from here on, it may
    /// have been made.
    pub fn sends(&self, change: &ChangeId) {
        // A call sends one change, and that once.
        let _ = self.sent.set(change.clone());
    }

    /// Where the change of the call stands, once it may have left.
    pub fn sent(&self) -> Arc<OnceLock<ChangeId>> {
        Arc::clone(&self.sent)
    }

    /// The account is the organisation's.
    pub fn account(&mut self, account: &AccountId) {
        self.event.account = Some(account.to_string());
    }

    /// It names this object, which stands so.
    pub fn object(&mut self, object: Object) {
        self.event.object = Some(object);
    }

    /// Where its requests to the vendor are counted.
    pub fn vendor_requests(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.vendor_requests)
    }

    /// How many there were.
    pub fn asked_so_far(&self) -> u32 {
        self.vendor_requests.load(Ordering::Relaxed)
    }

    /// What is known of the call by now.
    pub fn known(&self) -> &AuditEvent {
        &self.event
    }

    /// The call has ended so.
    pub fn finish(mut self, ended: &Ended) {
        let (outcome, reason, stage) = match ended {
            Ok(done) => (done.status(), None, Stage::Respond),
            Err(stopped) => (stopped.status, Some(stopped.refusal.reason), stopped.stage),
        };
        self.write(outcome, reason, stage);
    }

    fn write(&mut self, outcome: Status, reason: Option<Reason>, stage: Stage) {
        let Some(slot) = self.slot.take() else { return };
        let duration = self.arrived.elapsed();
        let vendor_requests = self.vendor_requests.load(Ordering::Relaxed);
        let tool = self.event.tool.as_deref().filter(|_| self.is_known);
        self.metrics.call_ended(tool, outcome, reason, duration);
        if let Some(connector) = self.event.connector.as_deref() {
            self.metrics.vendor_asked(connector, vendor_requests);
        }
        self.metrics.in_flight.dec();
        let event = std::mem::replace(&mut self.event, blank_event(String::new()));
        slot.put(AuditEvent {
            outcome,
            reason,
            stage,
            vendor_requests,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            ..event
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let status = match self.sent.get() {
                Some(_) => Status::Settling,
                None => Status::Failed,
            };
            self.write(status, Some(Reason::InternalFault), Stage::Respond);
        } else {
            self.write(Status::Failed, Some(Reason::ClientGone), Stage::Receive);
        }
    }
}
