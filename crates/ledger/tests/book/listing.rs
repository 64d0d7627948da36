//! The changes of the book, for whoever looks at what is going on.

use tenantry_ledger::change::{ChangeId, Progress};
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::list::{Cursor, Wanted};

use crate::house::{House, at};
use crate::wish::{self, Wish, new, reserved, sent};

on_both_engines!(
    changes_are_listed_by_what_they_are_the_last_first,
    pages_hold_each_change_once,
);

async fn ids(ledger: &Ledger, wanted: &Wanted<'_>, most: u32) -> Vec<ChangeId> {
    let found = ledger.changes(wanted, most).await.unwrap();
    found.into_iter().map(|one| one.lease.change).collect()
}

async fn changes_are_listed_by_what_they_are_the_last_first(house: House) {
    let ledger = house.open().await;
    let made = sent(&ledger, "made", &Wish::raise("1", 1), at(0)).await;
    ledger
        .settle(&made, &wish::done(at(1)), at(1))
        .await
        .unwrap();
    let open = reserved(&ledger, "open", &Wish::raise("2", 1), at(2)).await;
    // Of what nothing was decided over, there is nothing to tell.
    new(&ledger, "claimed", at(3)).await;
    let (made, open) = (made.change, open.change);
    let all = Wanted::default();
    assert_eq!(ids(&ledger, &all, 9).await, [open.clone(), made.clone()]);
    for (wanted, expected) in [
        (
            Wanted {
                progress: Some(Progress::Applied),
                ..all
            },
            vec![made.clone()],
        ),
        (
            Wanted {
                object: Some("2"),
                ..all
            },
            vec![open.clone()],
        ),
        (
            Wanted {
                tool: Some("meta_set_budget"),
                account: Some("act_1"),
                ..all
            },
            vec![open, made],
        ),
        (
            Wanted {
                account: Some("act_2"),
                ..all
            },
            vec![],
        ),
    ] {
        assert_eq!(ids(&ledger, &wanted, 9).await, expected, "{wanted:?}");
    }
}

async fn pages_hold_each_change_once(house: House) {
    let ledger = house.open().await;
    let mut all = Vec::new();
    for number in 0..7 {
        let (key, object) = (format!("key-{number}"), format!("{number}"));
        // Several have come to where they stand at the same moment.
        let now = at(number / 3);
        let lease = reserved(&ledger, &key, &Wish::raise(&object, 1), now).await;
        all.push(lease.change);
    }
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let wanted = Wanted {
            after: after.as_ref(),
            ..Wanted::default()
        };
        let page = ledger.changes(&wanted, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        let text = Cursor::behind(last).to_string();
        after = Some(Cursor::parse(&text).unwrap());
        found.extend(page.into_iter().map(|one| one.lease.change));
    }
    found.sort();
    all.sort();
    assert_eq!(found, all);
    for text in ["", "1", "1.", "x.0", ".0123456789abcdef0123456789abcdef"] {
        assert!(Cursor::parse(text).is_err(), "{text}");
    }
}
