//! What the protocol relies on. Each rule can be taken away, to see that
//! something breaks without it.

/// A rule of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A key is claimed once (`Ledger::claim`).
    UniqueKey,
    /// One open change per spend root (`Page::obstacle`).
    OneOpenChange,
    /// What was decided on is reserved in the same transaction
    /// (`Ledger::decide_and_reserve`).
    ReservedWhenDecided,
    /// Money that is reserved or on its way counts (`Page::charges`).
    OpenCounts,
    /// Money of which nobody knows counts, and so do its cooldown and its place
    /// in a count (`Page::charges`).
    UnknownCounts,
    /// What was read before the lock is read again behind it, always.
    RecheckedBeforeSent,
    /// `sending` is durable before the request leaves (`Ledger::sending`).
    SendingFirst,
    /// A permission opens nothing after its time (`Permitted::is_good`).
    PermissionExpires,
    /// A request leaves by its deadline or never (`Corridor::send`).
    LeavesByDeadline,
    /// What may have left is never sent again.
    NeverResent,
    /// Whoever was taken over from writes no more (`Recorded::held`).
    FencedByEpoch,
    /// Silence is believed after the quiet period (`Settling::quiet_ms`).
    QuietPeriod,
    /// Silence is believed after equal readings (`Settling::reads`).
    EqualReadings,
    /// A charge is dated at the latest moment it can have been applied
    /// (`Page::post`).
    LatestPosting,
    /// The key of a change that silence settled stays used: its answer is
    /// stored (`Outcome::NotApplied` with an answer).
    SilenceKeepsTheKey,
}
