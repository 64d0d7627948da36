//! The time by which changes are decided, settled and kept. It is the
//! machine's; tests set it ahead instead of waiting for days, or have it stand
//! still where a millisecond decides.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// A clock.
#[derive(Debug, Default)]
pub struct Clock {
    ahead_ms: AtomicI64,
    still: Option<Timestamp>,
}

impl Clock {
    /// One that moves only when it is set ahead.
    pub fn still(at: Timestamp) -> Self {
        Self {
            still: Some(at),
            ..Self::default()
        }
    }

    /// The moment of now.
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed));
        self.still.unwrap_or_else(Timestamp::now) + ahead
    }

    /// Sets it ahead by so much more.
    pub fn advance(&self, by: SignedDuration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.fetch_add(by, Ordering::Relaxed);
    }
}
