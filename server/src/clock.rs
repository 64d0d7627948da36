//! The time by which changes are decided, settled and kept. It is the
//! machine's; tests set it ahead instead of waiting for days, or have it stand
//! still where a millisecond decides.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A clock.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    ahead_ms: AtomicI64,
    wrong_ms: AtomicI64,
    still: Option<Timestamp>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            ahead_ms: AtomicI64::new(0),
            wrong_ms: AtomicI64::new(0),
            still: None,
        }
    }
}

impl Clock {
    /// One that moves only when it is set ahead.
    pub fn still(at: Timestamp) -> Self {
        Self {
            still: Some(at),
            ..Self::default()
        }
    }

    /// The moment of now. The machine may be wrong about it, and set it right.
    pub fn now(&self) -> Timestamp {
        let now = self.still.unwrap_or_else(Timestamp::now);
        now + milliseconds(&self.ahead_ms) + milliseconds(&self.wrong_ms)
    }

    /// How long the clock has run: what has passed between two looks at this
    /// has passed, whatever the machine takes for the moment of now.
    pub fn running(&self) -> SignedDuration {
        let ran = SignedDuration::try_from(self.began.elapsed());
        ran.unwrap_or(SignedDuration::MAX)
            .saturating_add(milliseconds(&self.ahead_ms))
    }

    /// Lets so much more time pass.
    pub fn advance(&self, by: SignedDuration) {
        add(&self.ahead_ms, by);
    }

    /// Sets the moment of now by so much, and lets no time pass.
    pub fn set_by(&self, by: SignedDuration) {
        add(&self.wrong_ms, by);
    }
}

fn milliseconds(count: &AtomicI64) -> SignedDuration {
    SignedDuration::from_millis(count.load(Ordering::Relaxed))
}

fn add(count: &AtomicI64, by: SignedDuration) {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    count.fetch_add(by, Ordering::Relaxed);
}
