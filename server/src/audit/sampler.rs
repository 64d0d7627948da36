//! How many lines strangers, or a key beyond its rates, may cause: a bounded
//! number a second.

use std::time::{Duration, Instant};

/// Enough to see who knocks, too little to fill a disk: about 10 KiB a second.
const MOST_A_SECOND: u32 = 10;

/// Admits lines and counts what it did not admit.
pub(super) struct Sampler {
    second: Instant,
    admitted: u32,
    suppressed: u64,
}

impl Sampler {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            second: now,
            admitted: 0,
            suppressed: 0,
        }
    }

    /// Whether a line may be written now, and how many were left out before it.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.admitted = 0;
        }
        if self.admitted == MOST_A_SECOND {
            return None;
        }
        self.admitted += 1;
        Some(std::mem::take(&mut self.suppressed))
    }

    /// Counts `events` that were left out, for the next line to say.
    pub(super) fn give_back(&mut self, events: u64) {
        self.suppressed += events;
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> u64 {
        self.suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_second_says_how_many_were_left_out() {
        let start = Instant::now();
        let mut sampler = Sampler::new(start);
        let admitted = (0..25).filter(|_| {
            let admitted = sampler.admit(start).is_some();
            if !admitted {
                sampler.give_back(1);
            }
            admitted
        });
        assert_eq!(admitted.count(), 10);
        let later = start + Duration::from_secs(1);
        assert_eq!(sampler.admit(later), Some(15));
        assert_eq!(sampler.admit(later), Some(0));
    }
}
