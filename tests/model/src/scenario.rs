//! What is looked at: who asks for what, how much may go wrong, what the
//! limits are, and how the vendor behaves.

use crate::rule::Rule;

/// Moments of the ledger's clock. A few are enough: what counts is which of two
/// things comes first.
pub type Moment = u8;

/// How long a request that left is on its way at most, to a punctual vendor.
pub const TRAVEL: Moment = 1;
/// Silence is believed this long after `sending`: later than anything lands
/// that left by its deadline, which is the moment of `sending` itself.
pub const QUIET: Moment = 2;
/// Equal readings that make silence an answer.
pub const READS: u8 = 2;
/// How long a permission is good.
pub const PERMISSION: Moment = 2;
/// After this a claim of which nothing came is anybody's.
pub const CLAIM_LASTS: Moment = 1;

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    /// Sets the value of the root, absolutely.
    Set(u8),
    /// Makes something new below the root, of that much money; it can be found
    /// again by the change's name.
    Make(u8),
}

/// What a client asks for, always with the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The spend root.
    pub root: u8,
    /// What shall be done.
    pub deed: Deed,
    /// How often the client calls.
    pub calls: u8,
}

/// What a policy allows. The window is of all roots, the others of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Increases within a window.
    pub cap: u8,
    /// Its length.
    pub window: Moment,
    /// Time between two changes of a root.
    pub cooldown: Moment,
    /// Changes of a root within a day.
    pub per_day: u8,
    /// The length of a day.
    pub day: Moment,
}

/// How often each thing may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mishaps {
    /// A replica ends and forgets everything.
    pub crashes: u8,
    /// A change is taken from an owner that still lives.
    pub suspicions: u8,
    /// The vendor carries a request out once more.
    pub duplicates: u8,
    /// A reading does not show what was done a while ago.
    pub stale_readings: u8,
    /// Somebody sets a root by hand, to something nobody asked for.
    pub meddlings: u8,
    /// Writes are frozen, from one moment on.
    pub freezes: u8,
}

/// How long after `sending` a request can be carried out: the stall of the one
/// who sends and the delay on the way, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delay {
    /// It leaves by its deadline and lands within [`TRAVEL`].
    WithinQuiet,
    /// It may leave late, and land that long after the quiet period.
    Beyond(Moment),
    /// It may leave late, and land at any time.
    Unbounded,
}

/// What becomes of a change that silence settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Silence {
    /// It is not applied, and its money and its root are free.
    Frees,
    /// It is not applied, but its money counts as if it had been, dated at the
    /// end of that time after the quiet period. Its root is free.
    KeepsMoney(Moment),
    /// The same, and its root is its own until then.
    KeepsMoneyAndRoot(Moment),
    /// People are asked; its money and its root stay its own.
    Asks,
}

/// Everything that one search is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// What is asked for; the place in the list is the key.
    pub asks: Vec<Ask>,
    /// The values of the roots before.
    pub roots: Vec<u8>,
    /// What the policy allows.
    pub limits: Limits,
    /// What may go wrong.
    pub mishaps: Mishaps,
    /// The last moment at which anybody calls.
    pub until: Moment,
    /// How the vendor behaves.
    pub delay: Delay,
    /// What silence means.
    pub silence: Silence,
    /// Whether a root stays its change's own until the quiet period is over,
    /// when the change was applied too.
    pub rests: bool,
    /// The rule that is taken away.
    pub without: Option<Rule>,
}

/// No limit at all.
pub const UNLIMITED: Limits = Limits {
    cap: u8::MAX,
    window: 1,
    cooldown: 0,
    per_day: u8::MAX,
    day: 1,
};

/// Two crashes and a change taken from the living, by two replicas.
pub const CRASHES: Mishaps = Mishaps {
    crashes: 2,
    suspicions: 1,
    duplicates: 0,
    stale_readings: 0,
    meddlings: 0,
    freezes: 0,
};

/// Nothing but what the vendor and the way there do.
pub const CALM: Mishaps = Mishaps {
    crashes: 0,
    suspicions: 0,
    ..CRASHES
};

impl Scenario {
    /// One key, called for twice, of something that done twice would be there
    /// twice.
    pub fn one_key() -> Self {
        let ask = Ask {
            root: 0,
            deed: Deed::Make(1),
            calls: 2,
        };
        Self {
            asks: vec![ask],
            roots: vec![0],
            limits: UNLIMITED,
            mishaps: Mishaps {
                stale_readings: 1,
                ..CRASHES
            },
            until: 1,
            delay: Delay::WithinQuiet,
            silence: Silence::Frees,
            rests: false,
            without: None,
        }
    }

    /// Changes of two roots under a cap with room for one, to a vendor that
    /// doubles.
    pub fn one_cap() -> Self {
        let ask = |root| Ask {
            root,
            deed: Deed::Set(1),
            calls: 1,
        };
        Self {
            asks: vec![ask(0), ask(1)],
            roots: vec![0, 0],
            limits: Limits {
                cap: 1,
                window: 2,
                ..UNLIMITED
            },
            until: 2,
            mishaps: Mishaps {
                duplicates: 1,
                ..CRASHES
            },
            ..Self::one_key()
        }
    }

    /// A decrease and an increase of one root. The increase fits under the cap
    /// as long as the decrease did not come first.
    pub fn one_root() -> Self {
        let ask = |target| Ask {
            root: 0,
            deed: Deed::Set(target),
            calls: 1,
        };
        Self {
            asks: vec![ask(0), ask(2)],
            roots: vec![1],
            limits: Limits {
                cap: 1,
                window: 2,
                ..UNLIMITED
            },
            until: 1,
            mishaps: CRASHES,
            ..Self::one_key()
        }
    }

    /// Changes of one root with a pause between them, to a vendor that doubles.
    pub fn one_cooldown() -> Self {
        Self {
            limits: Limits {
                cooldown: 2,
                ..UNLIMITED
            },
            mishaps: Mishaps {
                duplicates: 1,
                ..CRASHES
            },
            until: 2,
            ..Self::one_root()
        }
    }

    /// Two changes of one root, of which a day has room for one.
    pub fn one_day() -> Self {
        let ask = |target| Ask {
            root: 0,
            deed: Deed::Set(target),
            calls: 1,
        };
        Self {
            asks: vec![ask(1), ask(2)],
            roots: vec![0],
            limits: Limits {
                per_day: 1,
                day: 2,
                ..UNLIMITED
            },
            until: 2,
            mishaps: CRASHES,
            ..Self::one_key()
        }
    }

    /// A change that is frozen at some moment, in a place where somebody sets
    /// things by hand.
    pub fn one_freeze() -> Self {
        let ask = Ask {
            root: 0,
            deed: Deed::Set(1),
            calls: 1,
        };
        Self {
            asks: vec![ask],
            mishaps: Mishaps {
                freezes: 1,
                meddlings: 1,
                ..CRASHES
            },
            until: 2,
            ..Self::one_key()
        }
    }

    /// All of them, with a name.
    pub fn all() -> [(&'static str, Self); 6] {
        [
            ("one key", Self::one_key()),
            ("one cap", Self::one_cap()),
            ("one root", Self::one_root()),
            ("one cooldown", Self::one_cooldown()),
            ("one day", Self::one_day()),
            ("one freeze", Self::one_freeze()),
        ]
    }

    /// The same without a rule.
    #[must_use]
    pub fn without(self, rule: Rule) -> Self {
        let without = Some(rule);
        Self { without, ..self }
    }

    /// The same where only that may go wrong.
    #[must_use]
    pub fn with_mishaps(self, mishaps: Mishaps) -> Self {
        Self { mishaps, ..self }
    }

    /// The same where clients call until then.
    #[must_use]
    pub fn until(self, until: Moment) -> Self {
        Self { until, ..self }
    }

    /// The same where roots rest.
    #[must_use]
    pub fn resting(self) -> Self {
        Self {
            rests: true,
            ..self
        }
    }

    /// The same with a vendor that takes that long.
    #[must_use]
    pub fn with_delay(self, delay: Delay) -> Self {
        Self { delay, ..self }
    }

    /// The same where silence means that.
    #[must_use]
    pub fn with_silence(self, silence: Silence) -> Self {
        Self { silence, ..self }
    }

    /// Whether a rule is in force.
    pub fn keeps(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}
