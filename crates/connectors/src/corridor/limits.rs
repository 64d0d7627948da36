//! How long, how often and how much: the bounds of one corridor, and the
//! decision whether to ask again.

use std::time::Duration;

use backon::ExponentialBuilder;
use tokio::time::Instant;

use crate::call_error::CallError;

/// The bounds of a corridor. Each can be tightened; none is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorridorLimits {
    /// To a connection.
    pub connect_ms: u64,
    /// From the start of one request to the end of its answer.
    pub request_ms: u64,
    /// Of one answer's body.
    pub body_bytes: usize,
    /// Requests for one page, the first one included.
    pub attempts: u32,
    /// The shortest pause between two of them, before jitter.
    pub shortest_pause_ms: u64,
    /// The longest pause between two of them, before jitter.
    pub longest_pause_ms: u64,
    /// Between two questions after a report.
    pub report_pause_ms: u64,
}

impl CorridorLimits {
    /// The bounds for real vendors.
    pub const PRODUCTION: Self = Self {
        connect_ms: 3_000,
        // Meta's slow insights take seconds; a client hears within 25 (WRITES §1).
        request_ms: 15_000,
        // 500 insight rows of the widest kind are under 1 MiB; 4 leave room.
        body_bytes: 4 << 20,
        attempts: 3,
        shortest_pause_ms: 200,
        longest_pause_ms: 5_000,
        // Reports take seconds to minutes; each question counts at the vendor.
        report_pause_ms: 2_000,
    };

    /// The pauses between the attempts for one page, growing and with jitter.
    pub(super) fn pauses(&self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(self.shortest_pause_ms))
            .with_max_delay(Duration::from_millis(self.longest_pause_ms))
            .with_max_times(usize::try_from(self.attempts.saturating_sub(1)).unwrap_or(0))
            .with_jitter()
    }
}

/// What comes in time. What would begin too late is not begun: polled once, it
/// could send its first request.
pub(super) async fn within<T>(
    deadline: Instant,
    waited_for: &'static str,
    work: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let late = CallError::TimedOut { waited_for };
    if Instant::now() >= deadline {
        return Err(late);
    }
    tokio::time::timeout_at(deadline, work)
        .await
        .map_err(|_| late)?
}

/// How long to pause before a read is tried again; `None` if it is not: the
/// error will stay, the attempts are used up, or the pause would outlast the call.
pub(super) fn pause_before_retry(
    error: &CallError,
    pause: Option<Duration>,
    time_left: Duration,
) -> Option<Duration> {
    let asked = match error {
        CallError::Throttled { retry_after_ms, .. } => {
            Duration::from_millis(retry_after_ms.unwrap_or(0))
        }
        CallError::Unreached { .. }
        | CallError::Unavailable { .. }
        | CallError::TimedOut { .. } => Duration::ZERO,
        _ => return None,
    };
    pause
        .map(|pause| pause.max(asked))
        .filter(|pause| *pause < time_left)
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder;

    use super::*;
    use crate::call_error::VendorText;

    const SECOND: Duration = Duration::from_secs(1);

    fn throttled(retry_after_ms: Option<u64>) -> CallError {
        CallError::Throttled {
            vendor: VendorText::default(),
            retry_after_ms,
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let unavailable = CallError::Unavailable {
            cause: "reset".into(),
        };
        assert_eq!(
            pause_before_retry(&unavailable, Some(SECOND), 10 * SECOND),
            Some(SECOND)
        );
        let rejected = CallError::Rejected {
            vendor: VendorText::default(),
        };
        assert_eq!(
            pause_before_retry(&rejected, Some(SECOND), 10 * SECOND),
            None
        );
    }

    #[test]
    fn the_vendors_wait_counts_when_it_is_longer() {
        assert_eq!(
            pause_before_retry(&throttled(Some(4_000)), Some(SECOND), 10 * SECOND),
            Some(4 * SECOND)
        );
        assert_eq!(
            pause_before_retry(&throttled(Some(4)), Some(SECOND), 10 * SECOND),
            Some(SECOND)
        );
    }

    #[test]
    fn no_pause_outlasts_the_call_or_the_attempts() {
        assert_eq!(
            pause_before_retry(&throttled(Some(60_000)), Some(SECOND), 10 * SECOND),
            None
        );
        assert_eq!(
            pause_before_retry(&throttled(None), None, 10 * SECOND),
            None
        );
    }

    #[test]
    fn pauses_are_one_fewer_than_attempts_and_bounded() {
        let pauses: Vec<Duration> = CorridorLimits::PRODUCTION.pauses().build().collect();
        assert_eq!(pauses.len(), 2);
        assert!(pauses.iter().all(|pause| *pause <= 10 * SECOND));
        let once = CorridorLimits {
            attempts: 1,
            ..CorridorLimits::PRODUCTION
        };
        assert_eq!(once.pauses().build().count(), 0);
    }
}
