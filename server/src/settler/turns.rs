//! In which order unsettled changes are looked after. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tenantry_core::name::{AccountId, ConnectorName};
use tenantry_ledger::change::{ChangeId, Progress, Recorded};

/// Whose changes take turns with others': one account, dead or slow, may have
/// as many open ones as it likes.
type Side = Option<(ConnectorName, AccountId)>;

/// As much of an unsettled change as says whose turn it is: of many, the rest is
/// read when it is theirs.
pub struct Open {
    /// The change.
    pub id: ChangeId,
    /// How far it had come.
    pub progress: Progress,
    /// Since when.
    pub since: Timestamp,
    /// Whose it was.
    pub holder: u64,
    /// Nobody's, before it is decided what it changes.
    side: Side,
}

impl Open {
    /// That of a change.
    pub fn of(change: &Recorded) -> Self {
        let subject = change.proposal.as_ref().map(|proposal| &proposal.subject);
        Self {
            id: change.lease.change.clone(),
            progress: change.progress,
            since: change.since,
            holder: change.holder,
            side: subject.map(|subject| (subject.connector.clone(), subject.account.clone())),
        }
    }

    /// Whether the change stands where it was seen.
    pub fn is_still(&self, now: &Recorded) -> bool {
        (self.progress, self.since) == (now.progress, now.since)
    }
}

/// One change of each account after the other, and of each account those first
/// that had the fewest turns.
pub fn in_turns(unsettled: Vec<Open>, turns: impl Fn(&ChangeId) -> u64) -> Vec<Open> {
    let mut sides: BTreeMap<Side, Vec<Open>> = BTreeMap::new();
    for change in unsettled {
        sides.entry(change.side.clone()).or_default().push(change);
    }
    let placed = sides.into_values().flat_map(|mut side| {
        // Those before keep their order: the oldest first.
        side.sort_by_key(|change| turns(&change.id));
        side.into_iter().enumerate()
    });
    let mut placed: Vec<(usize, Open)> = placed.collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, change)| change).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use tenantry_core::name::ToolName;
    use tenantry_ledger::change::{Lease, Membership, Principal};

    use super::*;

    fn change(number: u8, account: &str) -> Open {
        let proposal = json!({
            "subject": {
                "connector": "meta", "account": account, "tool": "meta_pause",
                "class": "write", "key": "demo", "path": ["1"],
            },
            "effect": {"primitive": "deactivate"},
        });
        Open::of(&Recorded {
            lease: Lease {
                change: ChangeId::of_random([number; 16]),
                epoch: 1,
            },
            holder: 1,
            progress: Progress::Unknown,
            since: Timestamp::UNIX_EPOCH,
            principal: Principal {
                owner: "ann".into(),
                agent: None,
            },
            tool: ToolName::parse("meta_pause").unwrap(),
            proposal: Some(serde_json::from_value(proposal).unwrap()),
            intent: None,
            record: Map::new(),
            reserved_at: None,
            sent_at: None,
            applied_at: None,
            after: None,
            membership: Membership::Alone,
        })
    }

    fn numbers(order: &[Open]) -> Vec<u8> {
        let id = |change: &Open| change.id.as_str()[..2].to_owned();
        let number = |change| u8::from_str_radix(&id(change), 16).unwrap();
        order.iter().map(number).collect()
    }

    #[test]
    fn accounts_take_turns_and_whoever_waited_longest_comes_first() {
        let all = || {
            let dead = (1..=4).map(|number| change(number, "act_1"));
            let live = (5..=6).map(|number| change(number, "act_2"));
            dead.chain(live).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&in_turns(all(), |_| 0)), [1, 5, 2, 6, 3, 4]);
        let first_two = [1, 2].map(|number| change(number, "act_1").id);
        let turns = |change: &ChangeId| u64::from(first_two.contains(change));
        assert_eq!(numbers(&in_turns(all(), turns)), [3, 5, 4, 6, 1, 2]);
    }
}
