//! How long a message may take, and when one that did not get through is sent
//! once more. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// The bounds of delivery.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For one attempt, from the connection to the answer.
    pub timeout: Duration,
    /// Attempts at one message.
    pub attempts: u32,
    /// Before the second attempt; four times as long before each further one.
    pub first_pause: Duration,
    /// The longest pause, also where a receiver asks for more.
    pub longest_pause: Duration,
    /// Between two messages of what policies denied.
    pub denied_every: Duration,
    /// Between looks at what no line tells: credentials, and new contracts.
    pub look: Duration,
    /// For what is still waiting when the process ends.
    pub goodbye: Duration,
}

impl Pace {
    /// Standard Webhooks asks for 15 to 30 s of patience, for an exponential
    /// backoff with jitter, and for days of it. Messages wait in memory, and one
    /// that comes a day late asks for what is long decided: six attempts in up
    /// to eight minutes outlast a receiver that is being replaced.
    pub const PRODUCTION: Self = Self {
        timeout: Duration::from_secs(15),
        attempts: 6,
        first_pause: Duration::from_secs(2),
        longest_pause: Duration::from_mins(5),
        denied_every: Duration::from_mins(1),
        look: Duration::from_secs(2),
        // Beside the last audit lines, which have as long.
        goodbye: Duration::from_secs(3),
    };

    /// The pause after so many failed attempts. Half of it is `random`, so that
    /// servers that failed together do not come back together; `asked` is what
    /// the receiver asked for.
    pub fn pause(&self, attempts: u32, random: u32, asked: Option<Duration>) -> Duration {
        let grown = 4_u32.saturating_pow(attempts.saturating_sub(1));
        let pause = self.first_pause.saturating_mul(grown);
        let half = pause.min(self.longest_pause) / 2;
        let jitter = half.mul_f64(f64::from(random) / f64::from(u32::MAX));
        let asked = asked.unwrap_or_default();
        (half + jitter).max(asked).min(self.longest_pause)
    }
}

/// What a receiver asks for by `Retry-After`: seconds, or a moment.
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-06-01T12:00:00Z";

    #[test]
    fn pauses_grow_within_their_bounds_and_differ_by_chance() {
        let pace = Pace::PRODUCTION;
        let told = |random| {
            let pauses = (1..=6).map(|attempts| pace.pause(attempts, random, None).as_secs());
            pauses.collect::<Vec<_>>()
        };
        assert_eq!(told(0), [1, 4, 16, 64, 150, 150]);
        assert_eq!(told(u32::MAX), [2, 8, 32, 128, 300, 300]);
        assert_eq!(pace.pause(u32::MAX, 0, None), Duration::from_secs(150));
        let all = (1..pace.attempts).map(|attempts| pace.pause(attempts, u32::MAX, None));
        assert_eq!(all.sum::<Duration>(), Duration::from_secs(470));
    }

    #[test]
    fn what_a_receiver_asks_for_is_waited_for_within_the_bound() {
        let pace = Pace::PRODUCTION;
        let asked = |seconds| pace.pause(1, u32::MAX, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(0), Duration::from_secs(2));
        assert_eq!(asked(30), Duration::from_secs(30));
        assert_eq!(asked(86_400), Duration::from_mins(5));
    }

    #[test]
    fn retry_after_is_seconds_or_a_moment_and_else_nothing() {
        let now = NOW.parse().unwrap();
        for (text, seconds) in [
            ("30", Some(30)),
            (" 0 ", Some(0)),
            ("Mon, 01 Jun 2026 12:01:00 GMT", Some(60)),
            ("Mon, 01 Jun 2026 11:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(
                retry_after(text, now),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }
}
