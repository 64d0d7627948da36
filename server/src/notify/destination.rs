//! One destination: what it hears of, what waits for it, and how it last went.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tenantry_api::mcp_server::DestinationReport;
use tenantry_core::digest::Digest;
use tenantry_core::name::DestinationName;
use tenantry_core::notification::Occasion;
use tenantry_core::reason::Reason;
use tokio::sync::Notify;

use super::address::{Address, AddressError, AddressSource};
use super::message::Notice;
use super::queue::{Next, Queue};

/// A destination.
pub struct Destination {
    /// What it is called.
    pub name: DestinationName,
    source: AddressSource,
    state: Mutex<State>,
    /// Left a word when there may be something to tell.
    put: Notify,
}

#[derive(Default)]
struct State {
    occasions: BTreeSet<Occasion>,
    queue: Queue,
    /// How it went with the address of that digest.
    last: Option<(Digest, Went)>,
    /// Whether messages make way for others; that is logged once.
    is_overflowing: bool,
}

/// How the last message went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Went {
    /// It was taken.
    Well,
    /// It was not, however often it was sent.
    Badly(String),
    /// There is nobody any more (410).
    Gone,
}

/// A message that made way for a newer one.
pub struct Dropped {
    /// Which.
    pub notice: Arc<Notice>,
    /// Whether it is the first since there was room.
    pub is_first: bool,
}

impl Destination {
    /// One of which nothing is known yet.
    pub fn new(name: DestinationName, source: AddressSource) -> Self {
        Self {
            name,
            source,
            state: Mutex::default(),
            put: Notify::new(),
        }
    }

    /// Hears of these from now on.
    pub fn hear_of(&self, occasions: &BTreeSet<Occasion>) {
        self.state().occasions.clone_from(occasions);
    }

    /// Whether it hears of that.
    pub fn wants(&self, occasion: Occasion) -> bool {
        self.state().occasions.contains(&occasion)
    }

    /// Puts a message behind the others; where there is no room, the oldest
    /// makes way.
    pub fn put(
        &self,
        notice: Arc<Notice>,
        now: Instant,
        denied_every: Duration,
    ) -> Option<Dropped> {
        let mut state = self.state();
        let dropped = state.queue.put(notice, now, denied_every);
        let dropped = dropped.map(|notice| Dropped {
            notice,
            is_first: !std::mem::replace(&mut state.is_overflowing, true),
        });
        drop(state);
        self.put.notify_one();
        dropped
    }

    /// What there is to tell now.
    pub fn next(&self, now: Instant, denied_every: Duration) -> Next {
        self.state().queue.next(now, denied_every)
    }

    /// Waits for a word that there may be something to tell.
    pub async fn put_down(&self) {
        self.put.notified().await;
    }

    /// What is in hand is told, or given up.
    pub fn done(&self) {
        let mut state = self.state();
        state.queue.done();
        state.is_overflowing = false;
    }

    /// Takes out all that is left.
    pub fn rest(&self, now: Instant) -> Vec<Arc<Notice>> {
        self.state().queue.rest(now)
    }

    /// Where it is now.
    pub fn address(&self, now: Instant) -> Result<Address, AddressError> {
        self.source.read_at(now)
    }

    /// Whether nobody is there any more, at that address.
    pub fn is_gone(&self, address: &Address) -> bool {
        self.state().last == Some((address.digest, Went::Gone))
    }

    /// Puts down how it went at an address.
    pub fn went(&self, address: Digest, went: Went) {
        self.state().last = Some((address, went));
    }

    /// What there is to say of it. How it went counts as long as the Secret is
    /// the same.
    pub fn report(&self, now: Instant) -> DestinationReport {
        let address = self.address(now);
        let last = self.state().last.clone();
        let told = match (address, last) {
            (Err(error), _) => Some((error.reason(), error.to_string())),
            (Ok(address), Some((digest, went))) if digest == address.digest => {
                trouble(&self.name, &went)
            }
            (Ok(_), _) => None,
        };
        let ready = told.is_none();
        let (reason, message) = told
            .map(|(reason, message)| (reason.to_string(), message))
            .unzip();
        DestinationReport {
            name: self.name.to_string(),
            ready,
            reason,
            message,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn trouble(name: &DestinationName, went: &Went) -> Option<(Reason, String)> {
    match went {
        Went::Well => None,
        Went::Badly(why) => {
            let remedy = "see that the url in its Secret is right, and that the network lets the server go there";
            Some((
                Reason::DeliveryFailed,
                format!("the last message was not taken: {why}; {remedy}"),
            ))
        }
        Went::Gone => Some((
            Reason::DestinationGone,
            format!(
                "it answered 410 Gone and is told nothing any more; put another url into the Secret of the notification `{name}`, or take it out of the McpTenant"
            ),
        )),
    }
}
