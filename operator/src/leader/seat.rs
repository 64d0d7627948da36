//! What a candidate does about the Lease that it sees. Pure: the two clocks are
//! passed in, one for waiting and one for what people read.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tenantry_api::label;

/// A Lease can say how long to wait for its holder, but not for ever.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// One who wants the seat.
pub struct Candidate {
    identity: String,
    duration: Duration,
    sighting: Option<Sighting>,
}

/// A Lease as it was seen, and since when it has not changed.
struct Sighting {
    version: Option<String>,
    since: Instant,
}

/// What to do now.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// The seat is another's.
    Wait {
        /// Whose.
        holder: String,
    },
    /// There is none yet: make it, with us on it.
    Create(Lease),
    /// It is ours, or free: write this over what was seen.
    Replace(Lease),
}

impl Candidate {
    /// A candidate that has seen nothing.
    pub fn new(identity: String, duration: Duration) -> Self {
        Self {
            identity,
            duration,
            sighting: None,
        }
    }

    /// What to do about `found`.
    pub fn step(&mut self, found: Option<Lease>, now: Instant, wall: Timestamp) -> Step {
        let Some(mut lease) = found else {
            let metadata = ObjectMeta {
                name: Some(label::OPERATOR.into()),
                ..ObjectMeta::default()
            };
            let spec = Some(self.taken(LeaseSpec::default(), wall));
            return Step::Create(Lease { metadata, spec });
        };
        let unchanged_for = self.look(lease.metadata.resource_version.as_ref(), now);
        let spec = lease.spec.take().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder == self.identity {
            lease.spec = Some(LeaseSpec {
                renew_time: Some(MicroTime(wall)),
                ..spec
            });
        } else if holder.is_empty() || unchanged_for >= patience(&spec, self.duration) {
            lease.spec = Some(self.taken(spec, wall));
        } else {
            return Step::Wait { holder };
        }
        Step::Replace(lease)
    }

    /// The Lease without us on it, if we are.
    pub fn leave(&self, found: Option<Lease>, wall: Timestamp) -> Option<Lease> {
        let mut lease = found?;
        let spec = lease.spec.take()?;
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            return None;
        }
        lease.spec = Some(LeaseSpec {
            holder_identity: None,
            renew_time: Some(MicroTime(wall)),
            ..spec
        });
        Some(lease)
    }

    /// For how long the Lease has not changed, as far as we saw.
    fn look(&mut self, version: Option<&String>, now: Instant) -> Duration {
        match &self.sighting {
            Some(seen) if seen.version.as_ref() == version => now.duration_since(seen.since),
            _ => {
                self.sighting = Some(Sighting {
                    version: version.cloned(),
                    since: now,
                });
                Duration::ZERO
            }
        }
    }

    fn taken(&self, before: LeaseSpec, wall: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            acquire_time: Some(MicroTime(wall)),
            renew_time: Some(MicroTime(wall)),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            lease_transitions: Some(before.lease_transitions.unwrap_or(0).saturating_add(1)),
            ..before
        }
    }
}

/// How long the holder of `spec` may be silent: what it says itself, because
/// it may be of another release.
fn patience(spec: &LeaseSpec, ours: Duration) -> Duration {
    let said = spec
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    said.map_or(ours, Duration::from_secs)
        .clamp(Duration::from_secs(1), LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIFTEEN: Duration = Duration::from_secs(15);

    fn wall(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn candidate(name: &str) -> Candidate {
        Candidate::new(name.into(), FIFTEEN)
    }

    /// The Lease as the API server would keep it.
    fn kept(step: Step, version: &str) -> Lease {
        let (Step::Create(mut lease) | Step::Replace(mut lease)) = step else {
            panic!("nothing was written: {step:?}");
        };
        lease.metadata.resource_version = Some(version.into());
        lease
    }

    fn holder(lease: &Lease) -> Option<&str> {
        lease.spec.as_ref()?.holder_identity.as_deref()
    }

    fn waits(step: &Step) -> bool {
        matches!(step, Step::Wait { .. })
    }

    #[test]
    fn the_first_one_takes_the_seat_and_renews_it() {
        let now = Instant::now();
        let mut first = candidate("a");
        let lease = kept(first.step(None, now, wall(1)), "1");
        assert_eq!(holder(&lease), Some("a"));
        let spec = lease.spec.clone().unwrap();
        assert_eq!(spec.lease_duration_seconds, Some(15));
        let renewed = kept(first.step(Some(lease), now, wall(2)), "2");
        let expected = LeaseSpec {
            renew_time: Some(MicroTime(wall(2))),
            ..spec
        };
        assert_eq!(renewed.spec, Some(expected));
    }

    #[test]
    fn a_holder_that_renews_is_left_alone_whatever_its_clock_says() {
        let began = Instant::now();
        let (mut first, mut second) = (candidate("a"), candidate("b"));
        let mut lease = kept(first.step(None, began, wall(-1_000_000)), "0");
        for round in 1..20_u32 {
            let now = began + round * Duration::from_secs(14);
            assert!(waits(&second.step(Some(lease.clone()), now, wall(1))));
            lease = kept(
                first.step(Some(lease), now, wall(-1_000_000)),
                &round.to_string(),
            );
        }
    }

    #[test]
    fn a_silent_holder_is_replaced_after_its_own_time() {
        let began = Instant::now();
        let (mut first, mut second) = (candidate("a"), candidate("b"));
        let lease = kept(first.step(None, began, wall(1)), "1");
        // It counts from when it looked, not from what the Lease says.
        let looked = began + Duration::from_hours(1);
        assert!(waits(&second.step(Some(lease.clone()), looked, wall(1))));
        let almost = looked + Duration::from_millis(14_999);
        assert!(waits(&second.step(Some(lease.clone()), almost, wall(1))));
        let taken = second.step(Some(lease), looked + FIFTEEN, wall(16));
        let taken = kept(taken, "2");
        assert_eq!(holder(&taken), Some("b"));
        assert_eq!(taken.spec.as_ref().unwrap().lease_transitions, Some(2));
        // The write bears the version that was seen, so a renewal in between
        // makes it fail.
        assert!(waits(&first.step(Some(taken), looked + FIFTEEN, wall(1))));
    }

    #[test]
    fn what_is_written_names_the_version_that_was_seen() {
        let now = Instant::now();
        let mut first = candidate("a");
        let lease = kept(first.step(None, now, wall(1)), "7");
        let Step::Replace(renewed) = first.step(Some(lease), now, wall(2)) else {
            panic!("the holder renews");
        };
        assert_eq!(renewed.metadata.resource_version.as_deref(), Some("7"));
    }

    #[test]
    fn a_seat_that_was_left_is_free_at_once() {
        let now = Instant::now();
        let (mut first, mut second) = (candidate("a"), candidate("b"));
        let lease = kept(first.step(None, now, wall(1)), "1");
        assert!(second.leave(Some(lease.clone()), wall(2)).is_none());
        let mut left = first.leave(Some(lease), wall(2)).unwrap();
        left.metadata.resource_version = Some("2".into());
        let taken = kept(second.step(Some(left), now, wall(2)), "3");
        assert_eq!(holder(&taken), Some("b"));
    }

    #[test]
    fn a_lease_that_says_nonsense_keeps_nobody_out() {
        let began = Instant::now();
        for seconds in [None, Some(0), Some(-5), Some(i32::MAX)] {
            let mut second = candidate("b");
            let spec = LeaseSpec {
                holder_identity: Some("a".into()),
                lease_duration_seconds: seconds,
                ..LeaseSpec::default()
            };
            let lease = Lease {
                metadata: ObjectMeta::default(),
                spec: Some(spec),
            };
            assert!(waits(&second.step(Some(lease.clone()), began, wall(1))));
            let step = second.step(Some(lease), began + LONGEST_WAIT, wall(1));
            assert!(matches!(step, Step::Replace(_)), "{seconds:?}");
        }
    }
}
