//! Access: what may happen at all, before any policy is asked.

use serde::{Deserialize, Serialize};

/// What an organisation, or one of its accounts, allows (WRITES §5). Ordered
/// from the widest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Access {
    /// Reads, and writes that pass the safety policy.
    ReadWrite,
    /// Reads, and deactivation.
    Frozen,
    /// Reads.
    ReadOnly,
    /// Nothing: clients are refused.
    Disabled,
}

impl Access {
    /// The strictest of both.
    #[must_use]
    pub fn strictest(self, other: Self) -> Self {
        self.max(other)
    }

    /// Whether a tool of `class` may be called at all under this access.
    pub fn permits(self, class: ToolClass) -> bool {
        match self {
            Self::ReadWrite => true,
            Self::Frozen | Self::ReadOnly => class == ToolClass::Read,
            Self::Disabled => false,
        }
    }

    /// Whether something may be switched off under this access.
    pub fn permits_stops(self) -> bool {
        matches!(self, Self::ReadWrite | Self::Frozen)
    }

    /// The word as users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWrite => "ReadWrite",
            Self::Frozen => "Frozen",
            Self::ReadOnly => "ReadOnly",
            Self::Disabled => "Disabled",
        }
    }
}

/// What a tool can do at worst. It is data of the connector file, never
/// derived from an HTTP verb: at every vendor some reads are POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolClass {
    /// Changes nothing.
    Read,
    /// Changes something that spends no money.
    Write,
    /// Changes what may be spent on advertising.
    Spend,
    /// Changes financial records, such as a deal's amount.
    Financial,
    /// Cannot be undone.
    Destructive,
}

impl ToolClass {
    /// Every class, in order.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::Spend,
        Self::Financial,
        Self::Destructive,
    ];

    /// The word in connector files, scopes, metrics and the audit record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Spend => "spend",
            Self::Financial => "financial",
            Self::Destructive => "destructive",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_access_wins() {
        assert_eq!(Access::ReadWrite.strictest(Access::Frozen), Access::Frozen);
        assert_eq!(Access::ReadOnly.strictest(Access::Frozen), Access::ReadOnly);
        assert_eq!(
            Access::Disabled.strictest(Access::ReadWrite),
            Access::Disabled
        );
    }

    #[test]
    fn only_read_write_permits_more_than_reads() {
        for class in ToolClass::ALL {
            assert!(Access::ReadWrite.permits(class));
            assert!(!Access::Disabled.permits(class));
            let read = class == ToolClass::Read;
            assert_eq!(Access::ReadOnly.permits(class), read);
            assert_eq!(Access::Frozen.permits(class), read);
        }
        let all = [
            Access::ReadWrite,
            Access::Frozen,
            Access::ReadOnly,
            Access::Disabled,
        ];
        assert_eq!(all.map(Access::permits_stops), [true, true, false, false]);
    }
}
