//! What a proxy knows of its operator, and which write goes wrong.

use std::collections::HashMap;

use bytes::Bytes;
use rustix::process::Pid;

use super::Watches;
use super::tally::{Tally, Write};
use crate::fault::{Subject, WatchFault, WriteFault, WriteId};

#[derive(Default)]
pub struct State {
    pub tally: Tally,
    pub fault: Option<(WriteFault, WriteId)>,
    pub watch_fault: Option<(WatchFault, String)>,
    pub fired: bool,
    pub watches: HashMap<String, Watches>,
    pub victim: Option<Pid>,
    /// Connections of an earlier life lead nowhere.
    pub life: u64,
    /// It has been answered, and does not live on.
    pub dying: bool,
    /// Writes until the second death.
    pub writes_left: Option<usize>,
}

impl State {
    /// What is planned for a write before it is sent.
    pub fn before(&mut self, subject: &Subject, body: &Bytes) -> Option<WriteFault> {
        if let Some(left) = self.writes_left.take() {
            if left == 0 {
                return Some(WriteFault::KillBefore);
            }
            self.writes_left = Some(left - 1);
        }
        let (fault, write) = self.fault.as_ref()?;
        let is_early = !matches!(
            fault,
            WriteFault::KillCommitted
                | WriteFault::KillAnswered
                | WriteFault::KillTwice(_)
                | WriteFault::Late
                | WriteFault::Cut
        );
        let is_it = write.subject == *subject
            && self.tally.changes(subject) + 1 == write.nth
            && self.tally.is_news(subject, body);
        (is_early && is_it).then(|| self.fire()).flatten()
    }

    /// What is planned for a write that was answered.
    pub fn after(&mut self, write: Write) -> Option<WriteFault> {
        let subject = write.subject.clone();
        let changed = write.changed;
        self.tally.note(write);
        let (_, planned) = self.fault.as_ref()?;
        let is_it =
            changed && planned.subject == subject && self.tally.changes(&subject) == planned.nth;
        is_it.then(|| self.fire()).flatten()
    }

    fn fire(&mut self) -> Option<WriteFault> {
        let (fault, _) = self.fault.take()?;
        self.fired = true;
        if let WriteFault::KillTwice(after) = fault {
            self.writes_left = Some(after);
        }
        Some(fault)
    }
}
