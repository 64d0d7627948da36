//! What is done for the ledger for as long as the process lives. A duty that
//! fails begins anew after a pause, and the server says so meanwhile.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// Before a duty begins anew; growing, because what fails at once will most
/// likely fail again, and never so long that changes wait for minutes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// One duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Opening the ledger.
    Open,
    /// Bringing its lines into the audit stream.
    BringOut,
    /// Settling what no call is working on.
    Settle,
    /// Taking out what has been kept long enough.
    Sweep,
    /// Reading all live budgets, where policies limit them together.
    ReadExposure,
    /// Bringing questions before people, and carrying out what they agree to.
    Ask,
    /// Accepting a ledger that was not expected, once people say so.
    Accept,
}

/// The duties that have failed and not begun anew yet.
#[derive(Default)]
pub struct Failed(Mutex<BTreeSet<Duty>>);

impl Duty {
    /// The word in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::BringOut => "bring_out",
            Self::Settle => "settle",
            Self::Sweep => "sweep",
            Self::ReadExposure => "read_exposure",
            Self::Ask => "ask",
            Self::Accept => "accept",
        }
    }
}

impl Failed {
    /// Which they are.
    pub fn duties(&self) -> Vec<Duty> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Duty>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries a duty out, from the beginning again whenever it panics.
pub async fn supervised<F: Future>(
    (failed, metrics): (&Failed, &Metrics),
    duty: Duty,
    begin: impl Fn() -> F,
) -> F::Output {
    let mut last = Duration::ZERO;
    loop {
        let since = Instant::now();
        // What a duty shares is behind locks that outlive a panic; the rest of
        // it is made anew.
        let ended = AssertUnwindSafe(async { begin().await });
        if let Ok(ended) = ended.catch_unwind().await {
            return ended;
        }
        let pause = pause_after(last, since.elapsed());
        failed.lock().insert(duty);
        metrics.duty_failed(duty);
        tracing::error!(
            duty = duty.as_str(),
            pause_ms = pause.as_millis(),
            "what is done for the ledger failed; it begins anew"
        );
        tokio::time::sleep(pause).await;
        last = pause;
        failed.lock().remove(&duty);
    }
}

/// The pause after a failure, by the one before and how long it went well since.
fn pause_after(last: Duration, well: Duration) -> Duration {
    if well > LONGEST_PAUSE {
        return SHORTEST_PAUSE;
    }
    (last * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn pauses_grow_while_it_fails_and_are_short_again_after_it_went_well() {
        let at_once = Duration::ZERO;
        let mut pauses = vec![at_once];
        for _ in 0..9 {
            pauses.push(pause_after(*pauses.last().unwrap(), at_once));
        }
        let told: Vec<u128> = pauses.iter().skip(1).map(Duration::as_millis).collect();
        assert_eq!(
            told,
            [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000]
        );
        let well = LONGEST_PAUSE + Duration::from_secs(1);
        assert_eq!(pause_after(LONGEST_PAUSE, well), SHORTEST_PAUSE);
    }

    #[tokio::test]
    async fn a_duty_that_fails_begins_anew_and_the_server_says_so() {
        let (failed, metrics) = (Failed::default(), Metrics::new());
        let tries = Cell::new(0_u32);
        let begin = || {
            tries.set(tries.get() + 1);
            assert!(failed.duties().is_empty(), "it is under way");
            let is_second = tries.get() == 2;
            async move { assert!(is_second, "it fails") }
        };
        let mut work = Box::pin(supervised((&failed, &metrics), Duty::Settle, begin));
        assert!(work.as_mut().now_or_never().is_none());
        assert_eq!(failed.duties(), [Duty::Settle]);
        work.await;
        assert_eq!((failed.duties(), tries.get()), (vec![], 2));
        let counted = r#"tenantry_server_ledger_duties_failed_total{duty="settle"} 1"#;
        assert!(metrics.text().contains(counted), "{}", metrics.text());
    }
}
