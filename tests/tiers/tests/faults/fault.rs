//! What can go wrong, and where: a plan names both, and runs the same again.

use std::fmt;

/// A write as the reference run knows it: what, to which object, and which of
/// those that changed it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriteId {
    pub subject: Subject,
    pub nth: usize,
}

/// What is written to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    pub verb: String,
    /// With the subresource: `mcptenants/status`.
    pub resource: String,
    /// Which namespace of the workload.
    pub place: usize,
    /// Empty for what is created under a new name each time.
    pub name: String,
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject {
            verb,
            resource,
            place,
            name,
        } = &self.subject;
        write!(f, "{verb}:{resource}:{place}:{name}#{}", self.nth)
    }
}

/// What becomes of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteFault {
    /// The operator dies before it is sent.
    KillBefore,
    /// It is committed, and the operator dies without an answer.
    KillCommitted,
    /// It is answered, and the operator dies.
    KillAnswered,
    /// The same as `KillCommitted`; and the one that takes over dies before
    /// this many writes.
    KillTwice(usize),
    /// Somebody else was faster, and disagrees.
    Rival,
    /// 429, come back in a second.
    TooMany,
    /// 500.
    Broken,
    /// 503.
    Unavailable,
    /// It is committed, and answered with 504.
    Late,
    /// It is committed, and the connection breaks.
    Cut,
    /// Nothing comes for half a minute, then the connection breaks.
    Hang,
}

impl WriteFault {
    pub const KILLS: [Self; 3] = [Self::KillBefore, Self::KillCommitted, Self::KillAnswered];
    pub const ANSWERS: [Self; 6] = [
        Self::Rival,
        Self::TooMany,
        Self::Broken,
        Self::Unavailable,
        Self::Late,
        Self::Cut,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Self::KillBefore => "K1",
            Self::KillCommitted => "K2",
            Self::KillAnswered => "K3",
            Self::KillTwice(_) => "KK",
            Self::Rival => "R1",
            Self::TooMany => "R2",
            Self::Broken => "R3",
            Self::Unavailable => "R4",
            Self::Late => "R5",
            Self::Cut => "R6",
            Self::Hang => "R7",
        }
    }
}

/// What becomes of one kind's watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WatchFault {
    /// Events come late, and of each object only the last.
    Unobserved,
    /// Every event comes twice.
    Twice,
    /// Before each event comes the one before it once more.
    Replay,
    /// The first event is a 410.
    Gone,
    /// The connection breaks in the middle of the first event.
    Torn,
    /// The first event and all after it do not come, until the connection
    /// breaks.
    Silent,
}

impl WatchFault {
    pub const ALL: [Self; 6] = [
        Self::Unobserved,
        Self::Twice,
        Self::Replay,
        Self::Gone,
        Self::Torn,
        Self::Silent,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Self::Unobserved => "W1",
            Self::Twice => "W2",
            Self::Replay => "W3",
            Self::Gone => "W4",
            Self::Torn => "W5",
            Self::Silent => "W6",
        }
    }
}

/// One thing that goes wrong in a workload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fault {
    Write(WriteFault, WriteId),
    /// The kind, as paths name it.
    Watch(WatchFault, String),
    /// All watches are told to start over, at once.
    Expired,
    /// The operator is away while people act, and then sees the cluster as it
    /// was before: all kinds, or this one.
    Stale(Option<String>),
    /// The operator is away while people act.
    Away,
    /// Two operators act all the time, and neither knows of the other.
    Two,
    /// The operator that leads is stopped until another leads, and goes on.
    Stolen,
}

impl Fault {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Write(fault, _) => fault.code(),
            Self::Watch(fault, _) => fault.code(),
            Self::Expired => "W7",
            Self::Stale(_) => "S1",
            Self::Away => "K0",
            Self::Two => "L2",
            Self::Stolen => "L1",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code();
        match self {
            Self::Write(WriteFault::KillTwice(after), write) => {
                write!(f, "{code}/{write}+{after}")
            }
            Self::Write(_, write) => write!(f, "{code}/{write}"),
            Self::Watch(_, plural) | Self::Stale(Some(plural)) => write!(f, "{code}/{plural}"),
            Self::Expired | Self::Stale(None) | Self::Away | Self::Two | Self::Stolen => {
                write!(f, "{code}")
            }
        }
    }
}
