//! What `up` shows while it works: numbered lines with the time since the start,
//! and unnumbered notes for what takes long. No decision lives here.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Lines on standard error, `[ 3/12] kube-apiserver ready      4.2 s`.
#[derive(Debug)]
pub struct Progress {
    total: Option<usize>,
    done: Cell<usize>,
    started: Instant,
}

impl Progress {
    /// Announces `total` steps; the clock starts now.
    pub fn new(total: usize) -> Self {
        Self {
            total: Some(total),
            done: Cell::new(0),
            started: Instant::now(),
        }
    }

    /// Shows notes only, for work that has no steps of its own.
    pub fn notes_only() -> Self {
        Self {
            total: None,
            done: Cell::new(0),
            started: Instant::now(),
        }
    }

    /// Reports a finished step.
    pub fn step(&self, label: &str) {
        let Some(total) = self.total else { return };
        self.done.set(self.done.get() + 1);
        eprintln!(
            "{}",
            step_line(self.done.get(), total, label, self.started.elapsed())
        );
    }

    /// Reports something under way that has no number.
    pub fn note(&self, text: &str) {
        eprintln!("        {text}");
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

fn step_line(done: usize, total: usize, label: &str, elapsed: Duration) -> String {
    format!(
        "[{done:>2}/{total}] {label:<44} {:>6.1} s",
        elapsed.as_secs_f32()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_lines_line_up() {
        let elapsed = Duration::from_millis(4_230);
        let short = step_line(3, 12, "kube-apiserver ready", elapsed);
        let long = step_line(10, 12, "node ready", Duration::from_secs(1_983));
        assert_eq!(
            short,
            "[ 3/12] kube-apiserver ready                            4.2 s"
        );
        assert_eq!(short.len(), long.len());
        // However long both are, they stand apart.
        let label = "tool called by a client of MCP up to 2025-11-25";
        let apart = step_line(8, 9, label, Duration::from_secs(1_983));
        assert!(apart.ends_with("2025-11-25 1983.0 s"), "{apart}");
    }
}
