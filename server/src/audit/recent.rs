//! The last lines of the stream, kept in memory for whoever looks at what is
//! going on. A bounded window; the record itself is on stdout.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// About five hundred calls; the server idles in 12 MiB.
const MOST_BYTES: usize = 512 * 1024;

/// The last lines.
#[derive(Default)]
pub struct Recent(Mutex<Window>);

#[derive(Default)]
struct Window {
    /// Number and text, ends of lines included.
    lines: VecDeque<(u64, Box<[u8]>)>,
    bytes: usize,
}

impl Recent {
    /// Keeps one line, and lets the oldest go.
    pub(super) fn keep(&self, line: &[u8], sequence: u64) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.bytes += line.len();
        window.lines.push_back((sequence, line.into()));
        while window.bytes > MOST_BYTES {
            let Some((_, oldest)) = window.lines.pop_front() else {
                return;
            };
            window.bytes -= oldest.len();
        }
    }

    /// The lines after that number, as they were written.
    pub fn after(&self, sequence: u64) -> Vec<u8> {
        let window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = window
            .lines
            .partition_point(|(number, _)| *number <= sequence);
        let wanted = window.lines.iter().skip(from);
        wanted.flat_map(|(_, line)| line.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_holds_the_last_lines_and_no_more() {
        let recent = Recent::default();
        let line = [b'x'; 1_023]
            .into_iter()
            .chain([b'\n'])
            .collect::<Vec<u8>>();
        for sequence in 1..=1_000 {
            recent.keep(&line, sequence);
        }
        assert_eq!(recent.after(0).len(), MOST_BYTES);
        assert_eq!(recent.after(998).len(), 2 * 1_024);
        assert_eq!(recent.after(1_000), b"");
    }
}
