//! The proof that the walls around this pod stand: it tries what its network
//! policy forbids. The operator keeps a port open to everybody, the canary; the
//! policy of a server does not let it go there. What comes through proves that
//! nobody enforces the policy; what does not, although the canary's name could
//! just be looked up over the same network, proves that somebody does.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tenantry_api::mcp_server::{Isolation, IsolationReport};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::counter::Counter;

/// For an answer that will not come. A connection within a cluster takes
/// milliseconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const LOOKUP_WITHIN: Duration = Duration::from_secs(5);
/// Behind a name there is one Service, with an address or two.
const MOST_ADDRESSES: usize = 4;

/// Denials in a row before they count: at one moment the canary itself may be
/// away.
const ENOUGH_DENIALS: u32 = 2;
/// Failed lookups in a row before what was known is forgotten.
const ENOUGH_DOUBTS: u32 = 3;

/// Between attempts, until there is an answer, and when there is one.
const SOON: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_mins(5);

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Attempt {
    /// Somebody answered.
    CameThrough,
    /// Nobody did, or somebody on the way refused.
    Denied,
    /// It says nothing about the walls.
    Doubtful(String),
}

/// What all attempts so far amount to.
#[derive(Debug, Default)]
struct Judge {
    denials: u32,
    doubts: u32,
    report: Option<IsolationReport>,
}

/// Tries for as long as it is polled, and says at the counter what it found;
/// `changed` is told of every new finding.
pub async fn keep_proven(counter: &Counter, changed: impl Fn()) {
    let mut judge = Judge::default();
    let mut known: Option<String> = None;
    loop {
        counter.in_force().await;
        let standing = counter.standing();
        let canary = standing.in_force.and_then(|now| now.tenant.canary.clone());
        if canary != known {
            judge = Judge::default();
            known.clone_from(&canary);
        }
        let pause = match canary {
            // Nothing to try, and nothing to say.
            None => LATER,
            Some(canary) => {
                let attempt = attempt(&canary).await;
                judge.hear(&canary, attempt)
            }
        };
        let is_new = counter.isolation.send_if_modified(|told| {
            let is_new = *told != judge.report;
            told.clone_from(&judge.report);
            is_new
        });
        if is_new {
            changed();
        }
        // Another contract may name another canary.
        let mut contract = counter.knowledge.contract();
        contract.mark_unchanged();
        let _ = timeout(pause, contract.changed()).await;
    }
}

impl Judge {
    /// Takes in `attempt`; how long to wait before the next.
    fn hear(&mut self, canary: &str, attempt: Attempt) -> Duration {
        match attempt {
            Attempt::CameThrough => {
                *self = Self::default();
                let message = format!(
                    "a connection to `{canary}` came through, which the network policy forbids"
                );
                self.say(Isolation::Open, message);
                // Whoever mends it wants to see that it is mended.
                SOON
            }
            Attempt::Denied => {
                self.doubts = 0;
                self.denials = self.denials.saturating_add(1);
                if self.denials < ENOUGH_DENIALS {
                    return SOON;
                }
                let message = format!(
                    "`{canary}` is there and cannot be reached, as the network policy says"
                );
                self.say(Isolation::Proven, message);
                LATER
            }
            Attempt::Doubtful(why) => {
                self.denials = 0;
                self.doubts = self.doubts.saturating_add(1);
                if self.doubts >= ENOUGH_DOUBTS || self.report.is_none() {
                    self.report = Some(unknown(&why));
                }
                SOON
            }
        }
    }

    fn say(&mut self, state: Isolation, message: String) {
        self.report = Some(IsolationReport { state, message });
    }
}

fn unknown(why: &str) -> IsolationReport {
    IsolationReport {
        state: Isolation::Unknown,
        message: why.to_owned(),
    }
}

async fn attempt(canary: &str) -> Attempt {
    let addresses: Vec<_> = match timeout(LOOKUP_WITHIN, lookup_host(canary)).await {
        Ok(Ok(addresses)) => addresses.take(MOST_ADDRESSES).collect(),
        Ok(Err(error)) => return Attempt::Doubtful(format!("looking up `{canary}`: {error}")),
        Err(_) => return Attempt::Doubtful(format!("looking up `{canary}` took too long")),
    };
    let mut worst = Attempt::Doubtful(format!("`{canary}` has no address"));
    for address in addresses {
        match knock(address).await {
            Attempt::CameThrough => return Attempt::CameThrough,
            Attempt::Denied => worst = Attempt::Denied,
            doubtful @ Attempt::Doubtful(_) if worst != Attempt::Denied => worst = doubtful,
            Attempt::Doubtful(_) => {}
        }
    }
    worst
}

async fn knock(address: SocketAddr) -> Attempt {
    match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Attempt::CameThrough,
        // The canary refuses nobody, so somebody on the way did: some network
        // plugins answer for what they deny.
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Attempt::Denied,
        Ok(Err(error)) => Attempt::Doubtful(format!("connecting to {address}: {error}")),
        Err(_) => Attempt::Denied,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn state(judge: &Judge) -> Option<Isolation> {
        judge.report.as_ref().map(|report| report.state)
    }

    fn doubtful() -> Attempt {
        Attempt::Doubtful("no such name".into())
    }

    #[test]
    fn walls_are_proven_by_more_than_one_denial() {
        let mut judge = Judge::default();
        assert_eq!(judge.hear("canary:1", Attempt::Denied), SOON);
        assert_eq!(state(&judge), None);
        assert_eq!(judge.hear("canary:1", Attempt::Denied), LATER);
        assert_eq!(state(&judge), Some(Isolation::Proven));
    }

    #[test]
    fn one_packet_that_comes_through_is_enough() {
        let mut judge = Judge::default();
        for attempt in [Attempt::Denied, Attempt::Denied, Attempt::CameThrough] {
            judge.hear("canary:1", attempt);
        }
        assert_eq!(state(&judge), Some(Isolation::Open));
        judge.hear("canary:1", Attempt::Denied);
        assert_eq!(state(&judge), Some(Isolation::Open), "once proves nothing");
        judge.hear("canary:1", Attempt::Denied);
        assert_eq!(state(&judge), Some(Isolation::Proven));
    }

    #[test]
    fn what_cannot_be_tried_proves_nothing() {
        let mut judge = Judge::default();
        judge.hear("canary:1", doubtful());
        let report = judge.report.clone().unwrap();
        assert_eq!(report.state, Isolation::Unknown);
        assert_eq!(report.message, "no such name");
        judge.hear("canary:1", Attempt::Denied);
        judge.hear("canary:1", doubtful());
        judge.hear("canary:1", Attempt::Denied);
        assert_eq!(state(&judge), Some(Isolation::Unknown));
        judge.hear("canary:1", Attempt::Denied);
        assert_eq!(state(&judge), Some(Isolation::Proven));
        // A hiccup of the DNS takes nothing back, its absence does.
        judge.hear("canary:1", doubtful());
        judge.hear("canary:1", doubtful());
        assert_eq!(state(&judge), Some(Isolation::Proven));
        judge.hear("canary:1", doubtful());
        assert_eq!(state(&judge), Some(Isolation::Unknown));
    }

    #[tokio::test]
    async fn a_real_port_tells_open_from_refused_from_nowhere() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(attempt(&address).await, Attempt::CameThrough);
        drop(listener);
        assert_eq!(attempt(&address).await, Attempt::Denied);
        let nowhere = attempt("canary.invalid:9091").await;
        assert!(matches!(nowhere, Attempt::Doubtful(_)), "{nowhere:?}");
    }
}
