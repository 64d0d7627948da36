//! Brings the messages of a destination there, one after the other: signed anew
//! at each attempt, by the Secret of that moment. Nothing of an answer is read but
//! its status and when to come again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::Client;
use tenantry_connectors::transport::{cause, client};

use super::address::{Address, AddressError, is_loopback};
use super::destination::{Destination, Went};
use super::message::Notice;
use super::pace::{Pace, retry_after};
use super::queue::Next;
use crate::clock::Clock;
use crate::metrics::{Fate, Metrics};

/// Who brings messages.
pub struct Courier {
    /// To wherever; https alone.
    web: Client,
    /// To what is on this machine, past every proxy.
    here: Client,
    pace: Pace,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
}

/// What became of one attempt.
enum Attempt {
    /// It was taken.
    Taken,
    /// There is nobody any more.
    Gone,
    /// It was not taken, and why; and when the receiver wants it again.
    Failed(String, Option<Duration>),
}

/// Why a message is brought no further.
enum Given {
    /// It was taken.
    Taken,
    /// It was sent as often as it is.
    Up(String),
    /// Nobody is there.
    Gone,
}

impl Courier {
    /// One that goes by that proxy.
    pub fn new(
        proxy: Option<&str>,
        pace: Pace,
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            web: client(true, proxy, pace.timeout, pace.timeout)?,
            here: client(false, None, pace.timeout, pace.timeout)?,
            pace,
            clock,
            metrics,
        })
    }

    /// Brings what is put down for a destination, for as long as it is polled.
    pub async fn keep_told(&self, destination: &Destination) {
        loop {
            match destination.next(Instant::now(), self.pace.denied_every) {
                Next::Tell(notice) => {
                    let given = self.bring(destination, &notice).await;
                    self.put_down(destination, &notice, given);
                }
                Next::At(moment) => {
                    let moment = tokio::time::Instant::from_std(moment);
                    // Whichever comes first, it is time to look.
                    let _ = tokio::time::timeout_at(moment, destination.put_down()).await;
                }
                Next::Nothing => destination.put_down().await,
            }
        }
    }

    /// Tries each message that is left once; answers when there is none.
    pub async fn tell_rest(&self, destination: &Destination) {
        let end = Instant::now() + self.pace.denied_every;
        while let Next::Tell(notice) = destination.next(end, self.pace.denied_every) {
            let given = match self.attempt(destination, &notice).await {
                Attempt::Taken => Given::Taken,
                Attempt::Gone => Given::Gone,
                Attempt::Failed(why, _) => Given::Up(why),
            };
            self.put_down(destination, &notice, given);
        }
    }

    async fn bring(&self, destination: &Destination, notice: &Notice) -> Given {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (why, asked) = match self.attempt(destination, notice).await {
                Attempt::Taken => return Given::Taken,
                Attempt::Gone => return Given::Gone,
                Attempt::Failed(why, _) if attempts >= self.pace.attempts => return Given::Up(why),
                Attempt::Failed(why, asked) => (why, asked),
            };
            // Without randomness everybody waits for the longest.
            let random = getrandom::u32().unwrap_or(u32::MAX);
            let pause = self.pace.pause(attempts, random, asked);
            tracing::debug!(
                destination = %destination.name,
                id = notice.id,
                attempts,
                why,
                pause_ms = pause.as_millis(),
                "a notification was not taken; it is sent once more"
            );
            tokio::time::sleep(pause).await;
        }
    }

    fn put_down(&self, destination: &Destination, notice: &Notice, given: Given) {
        let fate = match &given {
            Given::Taken => Fate::Sent,
            Given::Up(_) => Fate::Failed,
            Given::Gone => Fate::Dropped,
        };
        let name = destination.name.as_str();
        self.metrics.notified(fate, name, notice.occasion);
        if let Given::Up(why) = given {
            tracing::warn!(
                destination = name,
                occasion = notice.occasion.as_str(),
                id = notice.id,
                why,
                "a notification was not taken, and is given up"
            );
        }
        destination.done();
    }

    async fn attempt(&self, destination: &Destination, notice: &Notice) -> Attempt {
        let address = match destination.address(Instant::now()) {
            Ok(address) => address,
            Err(error) => return without(&error),
        };
        if destination.is_gone(&address) {
            return Attempt::Gone;
        }
        let attempt = self.send(&address, notice).await;
        let went = match &attempt {
            Attempt::Taken => Went::Well,
            Attempt::Gone => {
                tracing::warn!(
                    destination = %destination.name,
                    "a destination of notifications answers 410 Gone; it is told nothing until its Secret changes"
                );
                Went::Gone
            }
            Attempt::Failed(why, _) => Went::Badly(why.clone()),
        };
        destination.went(address.digest, went);
        attempt
    }

    async fn send(&self, address: &Address, notice: &Notice) -> Attempt {
        let body = notice.body();
        let now = self.clock.now();
        let timestamp = now.as_second();
        let signature = address.key.sign(&notice.id, timestamp, body.as_bytes());
        let client = if is_loopback(&address.url) {
            &self.here
        } else {
            &self.web
        };
        let request = client
            .post(address.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &notice.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Attempt::Failed(unanswered(address, error), None),
        };
        // Its body may say anything, at any length, the URL as well: it is left.
        match answer.status() {
            status if status.is_success() => Attempt::Taken,
            StatusCode::GONE => Attempt::Gone,
            status => {
                let asked = answer.headers().get(RETRY_AFTER);
                let asked = asked.and_then(|asked| retry_after(asked.to_str().ok()?, now));
                Attempt::Failed(
                    format!("it answered with status {}", status.as_u16()),
                    asked,
                )
            }
        }
    }
}

/// A Secret may be on its way, as a receiver may be.
fn without(error: &AddressError) -> Attempt {
    Attempt::Failed(error.to_string(), None)
}

/// Why there is no answer, without where it was looked for: the name of a host
/// may be as secret as a path.
fn unanswered(address: &Address, error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".into();
    }
    let host = address.url.host_str().unwrap_or_default();
    let told = cause(error);
    if host.is_empty() {
        return told;
    }
    told.replace(host, "…")
}
