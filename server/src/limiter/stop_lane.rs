//! Where what switches something off goes by, past the rates and the places of
//! other calls: it waits for its turn, so that however many there are the
//! server bears them, and none is refused (WRITES §5).

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tenantry_core::name::KeyId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::places::{Full, Place, Places};

/// Stops of one key that begin at once, and a second after that: more than
/// anybody switches off in earnest, and few enough lines for the record.
const BURST: NonZeroU32 = NonZeroU32::new(60).unwrap();
const A_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// Stops of one key that wait or are being made. At their pace the last one
/// begins in the first half of a call's time; of the server's connections it is
/// a quarter.
const MOST_OF_KEY: u32 = 128;

/// Stops that are made at the same time, beside all other calls.
const AT_ONCE: usize = 32;

/// The lane. It stays the same under every contract.
#[derive(Clone)]
pub struct StopLane {
    pace: Arc<DefaultKeyedRateLimiter<KeyId>>,
    queue: Arc<Places>,
    places: Arc<Semaphore>,
}

impl StopLane {
    /// An empty one.
    pub fn new() -> Self {
        let pace = Quota::per_second(A_SECOND).allow_burst(BURST);
        Self {
            pace: Arc::new(RateLimiter::keyed(pace)),
            queue: Arc::new(Places::new(u32::MAX, MOST_OF_KEY)),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Takes a stop of `key` in, when it is its turn. One more than the server
    /// could hold in connections is turned away.
    pub async fn enter(&self, key: &KeyId) -> Result<Place, Full> {
        let place = self.queue.take(key)?;
        self.pace.until_key_ready(key).await;
        Ok(place)
    }

    /// A place among the stops being made; whoever came first has the next one.
    pub async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it, so there is always one in the end.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

impl Default for StopLane {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn key(id: &str) -> KeyId {
        KeyId::parse(id).unwrap()
    }

    #[test]
    fn beyond_the_burst_of_a_key_its_stops_wait_and_those_of_others_do_not() {
        let lane = StopLane::new();
        let enter = |id: &str| lane.enter(&key(id)).now_or_never();
        let held: Vec<_> = (0..BURST.get()).map(|_| enter("greedy").unwrap()).collect();
        assert!(held.iter().all(Result::is_ok));
        assert!(enter("greedy").is_none(), "it waits");
        assert!(enter("modest").unwrap().is_ok());
    }

    #[test]
    fn more_than_connections_can_hold_is_turned_away_at_once() {
        let lane = StopLane::new();
        let places = (0..MOST_OF_KEY).map(|_| lane.queue.take(&key("greedy")));
        let held: Vec<_> = places.collect();
        assert!(held.iter().all(Result::is_ok));
        let enter = |id: &str| lane.enter(&key(id)).now_or_never();
        assert_eq!(enter("greedy").unwrap().err(), Some(Full::OfKey));
        assert!(enter("modest").unwrap().is_ok());
    }

    #[test]
    fn whoever_finds_no_place_waits_for_one() {
        let lane = StopLane::new();
        let mut held: Vec<_> = (0..AT_ONCE).map(|_| lane.place().now_or_never()).collect();
        assert!(held.iter().all(Option::is_some));
        let mut next = Box::pin(lane.place());
        assert!(next.as_mut().now_or_never().is_none());
        held.pop();
        assert!(next.now_or_never().flatten().is_some());
    }
}
