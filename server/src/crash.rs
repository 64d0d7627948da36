//! The steps of a change between which the process may die. With the feature
//! `crash-points`, which no production build has, the environment chooses one
//! at which it does, or waits, and hurries what a test would have to wait for.
//! Without the feature there is nothing here.

#[cfg(feature = "crash-points")]
pub use chosen::{at, clock, hurried};
#[cfg(not(feature = "crash-points"))]
pub use nothing::{at, clock, hurried};

/// A step that has just been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The key is claimed.
    Claimed,
    /// It is known what the change would do.
    Prepared,
    /// It is decided, and its money reserved.
    Reserved,
    /// Nothing has changed since.
    LookedAgain,
    /// Something has, and the reservation is given up, to be decided once more.
    SteppedBack,
    /// It is put down that the request leaves.
    Sending,
    /// The vendor has answered, or not in time.
    Answered,
    /// It is put down what became of the change.
    Settled,
    /// The call has its line; its answer is about to leave.
    Recorded,
    /// The settler has taken the change over.
    TakenOver,
    /// It is put down that nobody knows what became of it.
    Doubted,
    /// The settler has read the object.
    Looked,
    /// The settler has put down how the change ended.
    FoundOut,
    /// People see what they are asked; the ledger does not know of it yet.
    Shown,
    /// People have agreed, and it is put down that the change is carried out.
    Agreed,
    /// It is put down that a question has ended; its object does not say so yet.
    Ended,
}

impl Step {
    /// The word by which the environment chooses it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Prepared => "prepared",
            Self::Reserved => "reserved",
            Self::LookedAgain => "looked-again",
            Self::SteppedBack => "stepped-back",
            Self::Sending => "sending",
            Self::Answered => "answered",
            Self::Settled => "settled",
            Self::Recorded => "recorded",
            Self::TakenOver => "taken-over",
            Self::Doubted => "doubted",
            Self::Looked => "looked",
            Self::FoundOut => "found-out",
            Self::Shown => "shown",
            Self::Agreed => "agreed",
            Self::Ended => "ended",
        }
    }
}

/// What there is in production.
#[cfg(not(feature = "crash-points"))]
mod nothing {
    use std::sync::Arc;

    use super::Step;
    use crate::clock::Clock;
    use crate::run::Settings;

    /// Goes on.
    #[inline]
    pub fn at(_: Step) {}

    /// The machine's time.
    pub fn clock() -> Arc<Clock> {
        Arc::default()
    }

    /// The settings as they are.
    pub fn hurried(settings: Settings) -> Settings {
        settings
    }
}

/// What the environment of a test chooses.
#[cfg(feature = "crash-points")]
mod chosen {
    use std::io::Read as _;
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::SignedDuration;
    use rustix::process::{Signal, getpid, kill_process};
    use tenantry_connectors::corridor::CorridorLimits;

    use super::Step;
    use crate::clock::Clock;
    use crate::run::Settings;
    use crate::settler::Pace;

    /// Ends the process, as `kill -9` would, if this is the step. Before that, if
    /// it is the step of a gate (`step@address`), waits until whoever listens
    /// there has closed the connection.
    pub fn at(step: Step) {
        let gate = std::env::var("TENANTRY_CRASH_GATE").unwrap_or_default();
        if let Some((chosen, address)) = gate.split_once('@')
            && chosen == step.as_str()
            && let Ok(mut gate) = TcpStream::connect(address)
        {
            // Closed or broken, it is open.
            let _ = gate.read(&mut [0]);
        }
        if std::env::var("TENANTRY_CRASH_AT").is_ok_and(|chosen| chosen == step.as_str()) {
            // What could fail here would be seen: the process would go on.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }

    /// A clock that is ahead.
    pub fn clock() -> Arc<Clock> {
        let clock = Clock::default();
        clock.advance(SignedDuration::from_secs(ahead().into()));
        Arc::new(clock)
    }

    /// By how many seconds the process is later than the first one.
    fn ahead() -> u32 {
        number("TENANTRY_CRASH_CLOCK_AHEAD_S").unwrap_or(0)
    }

    /// The same settings for whoever does not wait for seconds.
    pub fn hurried(settings: Settings) -> Settings {
        tracing::warn!("this build dies where its environment says so: it is for tests alone");
        let every = number("TENANTRY_CRASH_SETTLE_EVERY_MS");
        let within = number("TENANTRY_CRASH_VENDOR_WITHIN_MS");
        let limits = settings.corridor_limits;
        Settings {
            settle: Pace {
                every: every.map_or(settings.settle.every, |every| {
                    Duration::from_millis(every.into())
                }),
                credit: Duration::from_secs(ahead().into()),
            },
            corridor_limits: CorridorLimits {
                request_ms: within.map_or(limits.request_ms, u64::from),
                ..limits
            },
            ..settings
        }
    }

    fn number(name: &str) -> Option<u32> {
        std::env::var(name).ok()?.parse().ok()
    }
}
