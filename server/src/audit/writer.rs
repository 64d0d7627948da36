//! The thread that writes the audit stream. A write may block for as long as
//! it likes here; nothing else does.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tenantry_core::audit::AuditEvent;
use tenantry_core::audit::chain::{Chain, Identity, Kind, MOST_UNSIGNED};
use tokio::sync::{mpsc, oneshot};

use super::recent::Recent;
use crate::metrics::Metrics;

/// How long to wait before a failed write is tried again. The line is kept, so
/// the queue fills up and calls are refused until the stream is back.
const RETRY: Duration = Duration::from_millis(500);

/// How long a line stays unsigned at most, when stdout takes lines.
const SIGN_AFTER: Duration = Duration::from_secs(1);

/// Lines that are written at once, if so many are waiting: a call to the
/// system costs as much as ten lines.
const BATCH: usize = 64;

/// How long the first line waits for others: to be woken for each costs a busy
/// core a twentieth of its time, and nobody waits for a line to be out.
const GATHER: Duration = Duration::from_millis(2);

/// What stands in the queue.
pub(super) enum Queued {
    Line(Box<Line>),
    /// Lines of the ledger's chain, as they leave it.
    Brought(Box<Brought>),
    /// Nothing comes after this.
    Close,
}

/// One line, but for its place in the chain.
pub(super) struct Line {
    pub identity: Arc<Identity>,
    pub time: Timestamp,
    pub event: AuditEvent,
}

/// Whole lines that have their place in a chain of their own.
pub(super) struct Brought {
    pub text: String,
    pub lines: u64,
    /// Told once they are out.
    pub is_out: oneshot::Sender<()>,
}

/// The writing end of the stream; close it to have every line out.
pub struct AuditWriter {
    queue: mpsc::Sender<Queued>,
    closing: Arc<AtomicBool>,
    /// Whether every line is out.
    done: oneshot::Receiver<bool>,
}

/// What the thread is made of.
pub(super) struct PenParts {
    pub out: Box<dyn Write + Send>,
    pub chain: Chain,
    pub recent: Arc<Recent>,
    pub metrics: Arc<Metrics>,
}

impl AuditWriter {
    pub(super) fn start(
        parts: PenParts,
        lines: mpsc::Receiver<Queued>,
        queue: mpsc::Sender<Queued>,
    ) -> Result<Self, std::io::Error> {
        let closing = Arc::new(AtomicBool::new(false));
        let (finished, done) = oneshot::channel();
        let pen = Pen {
            parts,
            identity: None,
            unsigned_since: None,
            closing: Arc::clone(&closing),
            has_lost: false,
        };
        std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || {
                let is_whole = pen.write_all(lines);
                // The other end is gone only when nobody waits for the end.
                let _ = finished.send(is_whole);
            })?;
        Ok(Self {
            queue,
            closing,
            done,
        })
    }

    /// Writes what is queued and ends; answers whether all of it was written
    /// within `limit`.
    pub async fn close(self, limit: Duration) -> bool {
        self.closing.store(true, Ordering::Relaxed);
        let end = async {
            // A closed queue means that the thread has ended already.
            let _ = self.queue.send(Queued::Close).await;
            self.done.await.unwrap_or(false)
        };
        tokio::time::timeout(limit, end).await.unwrap_or(false)
    }
}

/// Everything that the thread owns.
struct Pen {
    parts: PenParts,
    /// Of the last line.
    identity: Option<Arc<Identity>>,
    unsigned_since: Option<Instant>,
    closing: Arc<AtomicBool>,
    /// Something is missing from the stream, perhaps the half of a line:
    /// nothing is written behind it.
    has_lost: bool,
}

impl Pen {
    /// Answers whether everything was written.
    fn write_all(mut self, mut lines: mpsc::Receiver<Queued>) -> bool {
        let wake = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut came = Vec::with_capacity(BATCH);
        let mut is_open = true;
        while is_open {
            is_open = wait(&wake, &mut lines, &mut came, self.sign_at());
            gather(&mut lines, &mut came);
            let mut text = Vec::new();
            let mut events = 0;
            let mut brought = Vec::new();
            for queued in came.drain(..) {
                match queued {
                    Queued::Line(line) => {
                        self.add(*line, &mut text);
                        events += 1;
                    }
                    Queued::Brought(lines) => {
                        text.extend_from_slice(lines.text.as_bytes());
                        let sequence = self.parts.chain.sequence();
                        self.parts.recent.keep(lines.text.as_bytes(), sequence);
                        let last = lines.text.lines().last();
                        self.parts
                            .chain
                            .brought(last.unwrap_or_default().as_bytes());
                        if self.parts.chain.has_begun() {
                            self.unsigned_since.get_or_insert_with(Instant::now);
                        }
                        events += lines.lines;
                        brought.push(lines.is_out);
                    }
                    Queued::Close => is_open = false,
                }
            }
            if !is_open {
                self.sign(Kind::End, &mut text);
            } else if self.sign_at().is_some_and(|due| due <= Instant::now()) {
                self.sign(Kind::Checkpoint, &mut text);
            }
            if self.write(&text) {
                self.parts.metrics.audit_lines.inc_by(events);
                // Who waits no more has been cut off, and brings them again.
                for is_out in brought {
                    let _ = is_out.send(());
                }
            }
        }
        if let Err(error) = self.parts.out.flush() {
            tracing::error!(%error, "the audit stream could not be flushed");
            self.has_lost = true;
        }
        !self.has_lost
    }

    fn sign_at(&self) -> Option<Instant> {
        self.unsigned_since.map(|since| since + SIGN_AFTER)
    }

    fn add(&mut self, line: Line, text: &mut Vec<u8>) {
        let Line {
            identity,
            time,
            event,
        } = line;
        let chain = &mut self.parts.chain;
        if !chain.has_begun() {
            let start = chain.start(&identity, env!("CARGO_PKG_VERSION"), time);
            self.parts.recent.keep(&start, 1);
            text.extend_from_slice(&start);
        }
        let written = chain.event(&identity, &event, time);
        self.parts.recent.keep(&written, chain.sequence());
        text.extend_from_slice(&written);
        let is_due = chain.unsigned() >= MOST_UNSIGNED;
        self.unsigned_since.get_or_insert_with(Instant::now);
        self.identity = Some(identity);
        if is_due {
            self.sign(Kind::Checkpoint, text);
        }
    }

    fn sign(&mut self, kind: Kind, text: &mut Vec<u8>) {
        // Without a line there is nothing to vouch for.
        let Some(identity) = self.identity.as_deref() else {
            return;
        };
        let suppressed = self.parts.metrics.audit_suppressed.get();
        let chain = &mut self.parts.chain;
        let signed = chain.checkpoint(kind, identity, suppressed, Timestamp::now());
        self.parts.recent.keep(&signed, chain.sequence());
        text.extend_from_slice(&signed);
        self.unsigned_since = None;
    }

    /// Writes all of `text`, however often it takes; gives up only at the end
    /// of the process.
    fn write(&mut self, text: &[u8]) -> bool {
        if self.has_lost {
            return false;
        }
        let mut rest = text;
        while !rest.is_empty() {
            let written = match self.parts.out.write(rest) {
                Ok(0) => Err(std::io::ErrorKind::WriteZero.into()),
                written => written,
            };
            match written {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if self.closing.load(Ordering::Relaxed) {
                        return self.fail(&error);
                    }
                    tracing::error!(%error, "the audit stream cannot be written; calls are refused until it can");
                    std::thread::sleep(RETRY);
                }
            }
        }
        true
    }

    fn fail(&mut self, error: &std::io::Error) -> bool {
        self.has_lost = true;
        let sequence = self.parts.chain.sequence();
        tracing::error!(%error, sequence, "audit lines are lost at the end of the process");
        false
    }
}

/// Waits for lines, or until `until`; answers whether more can come.
fn wait(
    wake: &Waker,
    lines: &mut mpsc::Receiver<Queued>,
    came: &mut Vec<Queued>,
    until: Option<Instant>,
) -> bool {
    let mut ctx = Context::from_waker(wake);
    loop {
        if let Poll::Ready(count) = lines.poll_recv_many(&mut ctx, came, BATCH) {
            return count > 0;
        }
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            None => std::thread::park(),
            Some(Duration::ZERO) => return true,
            Some(left) => std::thread::park_timeout(left),
        }
    }
}

/// Adds what else comes in a moment, if anything came at all.
fn gather(lines: &mut mpsc::Receiver<Queued>, came: &mut Vec<Queued>) {
    if came.is_empty() || came.len() >= BATCH {
        return;
    }
    std::thread::sleep(GATHER);
    let left = BATCH - came.len();
    came.extend(std::iter::from_fn(|| lines.try_recv().ok()).take(left));
}

/// Wakes a thread, which knows no runtime and outlives it.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
