//! The audit stream: one line a call, written by one thread, in order and
//! without gaps (WRITES §10).
//!
//! A call takes its place in the queue before anything is done for it, so a
//! line can always be written when the call ends, and a stalled stdout refuses
//! calls instead of blocking them. What a line says is `tenantry_core::audit`.

mod recent;
mod sampler;
mod writer;

use std::collections::HashMap;
use std::io::Write;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tenantry_core::audit::AuditEvent;
use tenantry_core::audit::chain::{Chain, Identity, PublicKey};
use tenantry_core::name::KeyId;
use tokio::sync::{mpsc, oneshot};

use crate::metrics::Metrics;
use recent::Recent;
use sampler::Sampler;
pub use writer::AuditWriter;
use writer::{Brought, Line, PenParts, Queued};

/// Lines that are queued or promised to a call in progress. A line is mostly
/// about 1 KiB and never over 15, so this is about a MiB in bad times.
const MOST_QUEUED: usize = 1_024;

/// How long a call waits for its place. Stdout that is a pipe empties in
/// microseconds; a quarter of a second without a place means that it stalls.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// The audit stream cannot take another line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit stream is stalled")]
pub struct AuditStalled;

/// The entrance to the audit stream.
pub struct Audit {
    queue: mpsc::Sender<Queued>,
    boot_id: String,
    public_key: PublicKey,
    recent: Arc<Recent>,
    identity: Mutex<Option<Arc<Identity>>>,
    samplers: Mutex<Samplers>,
    metrics: Arc<Metrics>,
}

/// What is sampled: strangers all together, and each key by itself. Keys here
/// were found good, so they are as few as there are.
struct Samplers {
    strangers: Sampler,
    keys: HashMap<KeyId, Sampler>,
}

impl Samplers {
    fn of(&mut self, key: Option<&KeyId>) -> &mut Sampler {
        match key {
            None => &mut self.strangers,
            Some(key) => self
                .keys
                .entry(key.clone())
                .or_insert_with(|| Sampler::new(Instant::now())),
        }
    }
}

/// The way of one line into the queue.
pub struct AuditSlot {
    way: Way,
    /// Where the call came from.
    source: Option<IpAddr>,
    audit: Arc<Audit>,
}

enum Way {
    /// A place is kept for it.
    Kept(mpsc::OwnedPermit<Queued>),
    /// It is one of many that this key causes.
    Sampled(KeyId),
}

impl Audit {
    /// Starts the stream into `out`.
    pub fn start(
        out: Box<dyn Write + Send>,
        boot_id: String,
        metrics: Arc<Metrics>,
    ) -> Result<(Arc<Self>, AuditWriter), std::io::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        let chain = Chain::new(boot_id.clone(), &seed)
            .ok_or_else(|| std::io::Error::other("no key can be made of the random seed"))?;
        let public_key = chain.public_key();
        let recent = Arc::new(Recent::default());
        let parts = PenParts {
            out,
            chain,
            recent: Arc::clone(&recent),
            metrics: Arc::clone(&metrics),
        };
        let (queue, lines) = mpsc::channel(MOST_QUEUED);
        let writer = AuditWriter::start(parts, lines, queue.clone())?;
        let audit = Self {
            queue,
            boot_id,
            public_key,
            recent,
            identity: Mutex::new(None),
            samplers: Mutex::new(Samplers {
                strangers: Sampler::new(Instant::now()),
                keys: HashMap::new(),
            }),
            metrics,
        };
        Ok((Arc::new(audit), writer))
    }

    /// Identifies this process: new at every start.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// What the signatures of this process are checked with.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The last lines.
    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Says whose server this is; lines before that are only counted.
    pub fn identify(&self, identity: Identity) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(identity));
    }

    /// A place for the line of a call that is about to begin.
    pub async fn reserve(self: &Arc<Self>) -> Result<AuditSlot, AuditStalled> {
        let place = tokio::time::timeout(LONGEST_WAIT, self.queue.clone().reserve_owned()).await;
        match place {
            Ok(Ok(place)) => Ok(AuditSlot {
                way: Way::Kept(place),
                source: None,
                audit: Arc::clone(self),
            }),
            Ok(Err(_)) | Err(_) => Err(AuditStalled),
        }
    }

    /// A way for one of many lines that `key` causes beyond its rates.
    pub fn sampled(self: &Arc<Self>, key: &KeyId) -> AuditSlot {
        AuditSlot {
            way: Way::Sampled(key.clone()),
            source: None,
            audit: Arc::clone(self),
        }
    }

    /// A line about a stranger, of whom there may be any number: a bounded
    /// number a second is written, the rest is counted on the next one.
    pub fn sample(&self, event: AuditEvent) {
        self.sample_of(None, event);
    }

    fn sample_of(&self, key: Option<&KeyId>, event: AuditEvent) {
        let admitted = self.samplers().of(key).admit(Instant::now());
        let place =
            admitted.and_then(|suppressed| Some((suppressed, self.queue.try_reserve().ok()?)));
        match place {
            Some((suppressed, place)) => self.put(
                AuditEvent {
                    suppressed,
                    ..event
                },
                |line| place.send(line),
            ),
            None => self.suppress(key, admitted),
        }
    }

    /// Counts an event that gets no line of its own.
    pub fn count_only(&self) {
        self.suppress(None, None);
    }

    /// Brings out lines of the ledger, each with its end of line; answers once
    /// they are out, or that they will not be.
    pub async fn bring_out(&self, text: String, lines: usize) -> bool {
        let (is_out, out) = oneshot::channel();
        let brought = Brought {
            text,
            lines: lines.try_into().unwrap_or(u64::MAX),
            is_out,
        };
        let queued = self.queue.send(Queued::Brought(Box::new(brought))).await;
        queued.is_ok() && out.await.is_ok()
    }

    /// How much of the queue is taken, for readiness: full means stalled.
    pub fn is_stalled(&self) -> bool {
        self.queue.capacity() == 0 || self.queue.is_closed()
    }

    fn samplers(&self) -> MutexGuard<'_, Samplers> {
        self.samplers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn suppress(&self, key: Option<&KeyId>, taken: Option<u64>) {
        self.samplers().of(key).give_back(taken.unwrap_or(0) + 1);
        self.metrics.audit_suppressed.inc();
    }

    fn put(&self, event: AuditEvent, send: impl FnOnce(Queued)) {
        let identity = self
            .identity
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match identity {
            Some(identity) => {
                send(Queued::Line(Box::new(Line {
                    identity,
                    time: Timestamp::now(),
                    event,
                })));
            }
            // Nobody to account to: the listener opens after the first
            // contract, so this is a tenant whose contract never came.
            None => self.suppress(None, None),
        }
    }
}

impl AuditSlot {
    /// For a call that comes from there.
    #[must_use]
    pub fn of(self, source: Option<IpAddr>) -> Self {
        Self { source, ..self }
    }

    /// Puts the line into its place, which cannot fail, or counts it.
    pub fn put(self, mut event: AuditEvent) {
        event.source = self.source;
        match self.way {
            Way::Kept(place) => self.audit.put(event, |line| {
                place.send(line);
            }),
            Way::Sampled(key) => self.audit.sample_of(Some(&key), event),
        }
    }
}

#[cfg(test)]
mod tests {
    use tenantry_core::audit::read::AuditLine;
    use tenantry_core::audit::verify::{Known, verify};
    use tenantry_core::audit::{Stage, blank_event};
    use tenantry_core::name::Organization;
    use tenantry_core::reason::Reason;

    use super::*;

    /// A stdout whose reader has stopped, until told otherwise.
    struct Stalled {
        open: std::sync::mpsc::Receiver<()>,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // An error means that the test has let go of the other end: open.
            let _ = self.open.recv();
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn event(call_id: &str) -> AuditEvent {
        AuditEvent {
            reason: Some(Reason::KeyUnknown),
            stage: Stage::Authenticate,
            ..blank_event(call_id.into())
        }
    }

    /// The stream, its writer, what holds stdout shut, and what stdout got.
    type Started = (
        Arc<Audit>,
        AuditWriter,
        std::sync::mpsc::Sender<()>,
        Arc<Mutex<Vec<u8>>>,
    );

    fn started() -> Started {
        let (gate, open) = std::sync::mpsc::channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let out = Stalled {
            open,
            text: Arc::clone(&text),
        };
        let metrics = Arc::new(Metrics::new());
        let (audit, writer) = Audit::start(Box::new(out), "boot".into(), metrics).unwrap();
        audit.identify(identity());
        (audit, writer, gate, text)
    }

    fn identity() -> Identity {
        Identity {
            organization: Organization::parse("acme").unwrap(),
            tenant_uid: "uid".into(),
        }
    }

    /// The events in a whole stream, which must be a proven one.
    fn events(text: &Mutex<Vec<u8>>, audit: &Audit) -> Vec<serde_json::Value> {
        let text = text.lock().unwrap();
        let lines = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let known = Known {
            public_key: Some(audit.public_key()),
            head: None,
        };
        let proof = verify(lines.clone(), known).unwrap();
        assert!(proof.is_complete, "{proof}");
        lines
            .map(|line| {
                let line = serde_json::from_slice(line).unwrap();
                AuditLine::of(&line).unwrap().facts()
            })
            .filter(|line| line["kind"] == "event")
            .collect()
    }

    #[tokio::test]
    async fn lines_are_chained_without_gaps_and_flushed_at_the_end() {
        let (audit, writer, gate, text) = started();
        drop(gate);
        for number in 0..100 {
            audit
                .reserve()
                .await
                .unwrap()
                .put(event(&number.to_string()));
        }
        assert!(writer.close(Duration::from_secs(10)).await);
        let lines = events(&text, &audit);
        let calls: Vec<&str> = lines
            .iter()
            .map(|line| line["call_id"].as_str().unwrap())
            .collect();
        let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(calls, expected);
        assert_eq!(lines[0]["boot_id"], "boot");
        assert_eq!(lines[0]["organization"], "acme");
    }

    #[tokio::test]
    async fn a_stalled_stream_refuses_instead_of_blocking() {
        let (audit, writer, gate, text) = started();
        let mut slots = Vec::new();
        while let Ok(slot) = audit.reserve().await {
            slots.push(slot);
        }
        assert_eq!(slots.len(), MOST_QUEUED);
        assert!(audit.is_stalled());
        drop(gate);
        for slot in slots {
            slot.put(event("late"));
        }
        assert!(writer.close(Duration::from_secs(10)).await);
        assert_eq!(events(&text, &audit).len(), MOST_QUEUED);
    }

    /// A stdout that takes nothing at the first try.
    struct Hesitant {
        has_refused: bool,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Hesitant {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if !std::mem::replace(&mut self.has_refused, true) {
                return Ok(0);
            }
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_line_that_stdout_did_not_take_is_written_again() {
        let text = Arc::new(Mutex::new(Vec::new()));
        let out = Hesitant {
            has_refused: false,
            text: Arc::clone(&text),
        };
        let metrics = Arc::new(Metrics::new());
        let (audit, writer) = Audit::start(Box::new(out), "boot".into(), metrics).unwrap();
        audit.identify(identity());
        audit.reserve().await.unwrap().put(event("first"));
        let written = async {
            while text.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), written)
            .await
            .unwrap();
        assert!(writer.close(Duration::from_secs(10)).await);
        assert_eq!(events(&text, &audit)[0]["call_id"], "first");
    }

    /// A stdout that takes a part of the first line, fails twice, and then takes all.
    struct Torn {
        tries: u32,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Torn {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.tries += 1;
            if matches!(self.tries, 2 | 3) {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            let taken = if self.tries == 1 { 10 } else { bytes.len() };
            let taken = bytes.get(..taken).unwrap();
            self.text.lock().unwrap().extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn lines_that_are_lost_at_the_end_are_told() {
        let text = Arc::new(Mutex::new(Vec::new()));
        let out = Torn {
            tries: 0,
            text: Arc::clone(&text),
        };
        let metrics = Arc::new(Metrics::new());
        let (audit, writer) = Audit::start(Box::new(out), "boot".into(), metrics).unwrap();
        audit.identify(identity());
        // More than one write takes.
        for _ in 0..200 {
            audit.reserve().await.unwrap().put(event("late"));
        }
        assert!(!writer.close(Duration::from_secs(10)).await);
        assert_eq!(text.lock().unwrap().len(), 10);
    }

    #[tokio::test]
    async fn what_strangers_cause_is_sampled_and_counted() {
        let (audit, writer, gate, text) = started();
        drop(gate);
        for _ in 0..1_000 {
            audit.sample(event("stranger"));
        }
        assert!(writer.close(Duration::from_secs(10)).await);
        let written = events(&text, &audit);
        let suppressed: u64 = written
            .iter()
            .filter_map(|line| line["suppressed"].as_u64())
            .sum();
        let waiting = audit.samplers().strangers.waiting();
        assert_eq!(written.len() as u64 + suppressed + waiting, 1_000);
        assert!(written.len() < 100, "{}", written.len());
    }
}
