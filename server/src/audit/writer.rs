//! The thread that writes the audit stream. A write may block for as long as
//! it likes here; nothing else does.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tenantry_core::audit::{AUDIT_VERSION, AuditEvent, AuditRecord};
use tokio::sync::{mpsc, oneshot};

use super::Identity;
use crate::metrics::Metrics;

/// How long to wait before a failed write is tried again. The line is kept, so
/// the queue fills up and calls are refused until the stream is back.
const RETRY: Duration = Duration::from_millis(500);

/// What stands in the queue.
pub(super) enum Queued {
    Line(Box<Line>),
    /// Nothing comes after this.
    Close,
}

/// One line, but for its number.
pub(super) struct Line {
    pub identity: Arc<Identity>,
    pub time: Timestamp,
    pub event: AuditEvent,
}

/// The writing end of the stream; close it to have every line out.
pub struct AuditWriter {
    queue: mpsc::Sender<Queued>,
    closing: Arc<AtomicBool>,
    done: oneshot::Receiver<()>,
}

impl AuditWriter {
    pub(super) fn start(
        out: Box<dyn Write + Send>,
        boot_id: String,
        lines: mpsc::Receiver<Queued>,
        queue: mpsc::Sender<Queued>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, std::io::Error> {
        let closing = Arc::new(AtomicBool::new(false));
        let (finished, done) = oneshot::channel();
        let pen = Pen {
            out,
            boot_id,
            sequence: 0,
            closing: Arc::clone(&closing),
            metrics: Arc::clone(metrics),
        };
        std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || {
                pen.write_all(lines);
                // The other end is gone only when nobody waits for the end.
                let _ = finished.send(());
            })?;
        Ok(Self {
            queue,
            closing,
            done,
        })
    }

    /// Writes what is queued and ends; answers whether that was possible
    /// within `limit`.
    pub async fn close(self, limit: Duration) -> bool {
        self.closing.store(true, Ordering::Relaxed);
        let end = async {
            // A closed queue means that the thread has ended already.
            let _ = self.queue.send(Queued::Close).await;
            self.done.await.is_ok()
        };
        tokio::time::timeout(limit, end).await.unwrap_or(false)
    }
}

/// Everything that the thread owns.
struct Pen {
    out: Box<dyn Write + Send>,
    boot_id: String,
    sequence: u64,
    closing: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

impl Pen {
    fn write_all(mut self, mut lines: mpsc::Receiver<Queued>) {
        while let Some(Queued::Line(line)) = lines.blocking_recv() {
            self.sequence += 1;
            let text = self.text(*line);
            if self.write(&text) {
                self.metrics.audit_lines.inc();
            }
        }
        if let Err(error) = self.out.flush() {
            tracing::error!(%error, "the audit stream could not be flushed");
        }
    }

    fn text(&self, line: Line) -> Vec<u8> {
        let record = AuditRecord {
            audit: AUDIT_VERSION,
            boot_id: self.boot_id.clone(),
            sequence: self.sequence,
            time: line.time,
            organization: line.identity.organization.clone(),
            tenant_uid: line.identity.tenant_uid.clone(),
            event: line.event,
        };
        // INVARIANT: a struct of strings and numbers always has a JSON form.
        let mut text = serde_json::to_vec(&record).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Writes all of `text`, however often it takes; gives up only at the end
    /// of the process.
    fn write(&mut self, text: &[u8]) -> bool {
        let mut rest = text;
        while !rest.is_empty() {
            let written = match self.out.write(rest) {
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

    fn fail(&self, error: &std::io::Error) -> bool {
        tracing::error!(%error, sequence = self.sequence, "an audit line is lost at the end of the process");
        false
    }
}
