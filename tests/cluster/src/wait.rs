//! Waiting for a condition with a deadline; every wait of this crate goes through here.

use std::thread;
use std::time::{Duration, Instant};

/// Short beside what is waited for (hundreds of milliseconds at least), long beside a probe.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks `probe` until it answers, or until `limit` has passed.
pub fn until<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_ends_the_wait() {
        let mut asked = 0;
        let answer = until(Duration::from_secs(10), || {
            asked += 1;
            (asked == 2).then_some("yes")
        });
        assert_eq!((answer, asked), (Some("yes"), 2));
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        assert_eq!(until(Duration::ZERO, || None::<()>), None);
    }
}
