//! Who of several operators acts: the holder of a Lease beside the operator,
//! by client-go's rules. Clocks of different machines are never compared.
//!
//! A Lease does not fence: a process that was stopped wakes up believing that
//! it leads. So the holder writes only while its last renewal is young
//! ([`Fence`]), and every write is safe under two actors besides, because
//! server-side apply names its manager and the Lease its version.

mod seat;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tenantry_api::label;
use tokio::sync::oneshot;

use crate::tenant::chain;
use seat::{Candidate, Step};

/// A holder that says nothing for so long has lost its seat.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// It stops by itself before that: what it has sent needs time to arrive.
const SURE_FOR: Duration = Duration::from_secs(10);
/// Between two looks or renewals.
const PACE: Duration = Duration::from_secs(2);
/// For one request about the Lease: a renewal has a second try.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// Open while this operator may write.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    until: Arc<Mutex<Option<Instant>>>,
}

/// An operator among others.
pub struct Election {
    leases: Api<Lease>,
    candidate: Candidate,
    fence: Fence,
}

/// Why an operator leads no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Somebody else has the seat.
    #[error("`{holder}` leads now")]
    Taken {
        /// Who.
        holder: String,
    },
    /// The seat could not be renewed in time.
    #[error("the Lease could not be renewed for {} s", SURE_FOR.as_secs())]
    Silence,
}

/// What came of one try.
enum Try {
    Leads,
    Follows { holder: String },
    // Somebody was faster; who, the next look tells.
    Raced,
}

impl Fence {
    /// Whether writing is allowed at this moment.
    pub fn is_open(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Opens it until then.
    pub fn open_until(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Closes it.
    pub fn close(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Election {
    /// A candidate for the seat of `namespace`, by a name that no other process
    /// has. `client` must not be fenced.
    pub fn new(client: Client, namespace: &str, identity: String, fence: Fence) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            candidate: Candidate::new(identity, LEASE_DURATION),
            fence,
        }
    }

    /// Waits until this operator leads; `seen` is told of every look that
    /// succeeded.
    pub async fn win(&mut self, seen: impl Fn()) {
        let mut told = None;
        loop {
            match self.try_once().await {
                Ok(Try::Leads) => return,
                Ok(Try::Follows { holder }) => {
                    seen();
                    if told.as_ref() != Some(&holder) {
                        tracing::info!(holder, "standing by");
                        told = Some(holder);
                    }
                }
                Ok(Try::Raced) => seen(),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(error, "the Lease cannot be read or taken; trying again");
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Keeps the seat until it is lost or `enough` comes.
    pub async fn keep(mut self, mut enough: oneshot::Receiver<()>) -> (Self, Option<Lost>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                _ = &mut enough => return (self, None),
            }
            match self.try_once().await {
                Ok(Try::Leads | Try::Raced) => {}
                Ok(Try::Follows { holder }) => {
                    self.fence.close();
                    return (self, Some(Lost::Taken { holder }));
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(error, "the Lease could not be renewed; trying again");
                }
            }
            if !self.fence.is_open() {
                return (self, Some(Lost::Silence));
            }
        }
    }

    /// Leaves the seat, so that the next one need not wait.
    pub async fn resign(self) {
        self.fence.close();
        let left = match self.leases.get_opt(label::OPERATOR).await {
            Ok(found) => self.candidate.leave(found, Timestamp::now()),
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, "the Lease cannot be read, so it runs out by itself");
                return;
            }
        };
        let Some(left) = left else { return };
        let params = PostParams::default();
        if let Err(error) = self.leases.replace(label::OPERATOR, &params, &left).await {
            let error = chain(&error);
            tracing::warn!(error, "the Lease cannot be left, so it runs out by itself");
        }
    }

    async fn try_once(&mut self) -> Result<Try, kube::Error> {
        let found = self.leases.get_opt(label::OPERATOR).await?;
        // Before the renewal is sent: others count from when they see it.
        let sure_until = Instant::now() + SURE_FOR;
        let params = PostParams::default();
        let step = self.candidate.step(found, Instant::now(), Timestamp::now());
        let written = match step {
            Step::Wait { holder } => return Ok(Try::Follows { holder }),
            Step::Create(lease) => self.leases.create(&params, &lease).await,
            // With the version that was read: of two, one fails.
            Step::Replace(lease) => {
                let name = label::OPERATOR;
                self.leases.replace(name, &params, &lease).await
            }
        };
        match written {
            Ok(_) => {
                self.fence.open_until(sure_until);
                Ok(Try::Leads)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Try::Raced),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_closes_by_itself() {
        let fence = Fence::default();
        assert!(!fence.is_open());
        fence.open_until(Instant::now() + Duration::from_hours(1));
        assert!(fence.is_open());
        fence.open_until(Instant::now());
        assert!(!fence.is_open());
        fence.open_until(Instant::now() + Duration::from_hours(1));
        fence.close();
        assert!(!fence.is_open());
    }

    #[test]
    fn a_holder_stops_before_others_may_take_its_seat() {
        // What was sent at the last moment has this long to arrive.
        assert!(SURE_FOR + ANSWER_WITHIN < LEASE_DURATION);
        // A renewal may fail once, for as long as it can take.
        assert!(PACE + ANSWER_WITHIN + PACE < SURE_FOR);
        // A dead leader is replaced within 30 s.
        assert!(LEASE_DURATION + 2 * (PACE + ANSWER_WITHIN) < Duration::from_secs(30));
    }
}
