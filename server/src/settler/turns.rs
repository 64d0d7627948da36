//! In which order unsettled changes are looked after. Pure.

use std::collections::BTreeMap;

use tenantry_core::name::{AccountId, ConnectorName};
use tenantry_ledger::change::{ChangeId, Recorded};

/// Whose changes take turns with others': one account, dead or slow, may have
/// as many open ones as it likes.
type Side = Option<(ConnectorName, AccountId)>;

/// One change of each account after the other, and of each account those first
/// that had the fewest turns.
pub fn in_turns(unsettled: Vec<Recorded>, turns: impl Fn(&ChangeId) -> u64) -> Vec<Recorded> {
    let mut sides: BTreeMap<Side, Vec<Recorded>> = BTreeMap::new();
    for change in unsettled {
        sides.entry(side(&change)).or_default().push(change);
    }
    let placed = sides.into_values().flat_map(|mut side| {
        // Those before keep their order: the oldest first.
        side.sort_by_key(|change| turns(&change.lease.change));
        side.into_iter().enumerate()
    });
    let mut placed: Vec<(usize, Recorded)> = placed.collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, change)| change).collect()
}

/// Nobody's, before it is decided what it changes.
fn side(change: &Recorded) -> Side {
    let subject = &change.proposal.as_ref()?.subject;
    Some((subject.connector.clone(), subject.account.clone()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Map, json};
    use tenantry_core::name::ToolName;
    use tenantry_ledger::change::{Lease, Membership, Principal, Progress};

    use super::*;

    fn change(number: u8, account: &str) -> Recorded {
        let proposal = json!({
            "subject": {
                "connector": "meta", "account": account, "tool": "meta_pause",
                "class": "write", "key": "demo", "path": ["1"],
            },
            "effect": {"primitive": "deactivate"},
        });
        Recorded {
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
        }
    }

    fn numbers(order: &[Recorded]) -> Vec<u8> {
        let id = |change: &Recorded| change.lease.change.as_str()[..2].to_owned();
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
        let first_two = [1, 2].map(|number| change(number, "act_1").lease.change);
        let turns = |change: &ChangeId| u64::from(first_two.contains(change));
        assert_eq!(numbers(&in_turns(all(), turns)), [3, 5, 4, 6, 1, 2]);
    }
}
