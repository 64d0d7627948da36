//! What a change comes to, whatever the vendor does and says: each way to
//! apply it with each way to answer.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::mem::discriminant;

use futures::future::join_all;
use serde_json::{Value, json};
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::change::Made;
use tenantry_connectors::change::doubt::{Doubt, Sighting, Standing};
use tenantry_connectors::change::view::Settings;
use tenantry_fakes::meta::Answers::{Break, Hang, Success};
use tenantry_fakes::meta::Applies::{AtOnce, Never, WhenReleased};
use tenantry_fakes::meta::{Answers, Fault, Order};

use crate::bench::{Bench, FAST, at};
use crate::changes::prepare;
use crate::creates;

const AD_SET: &str = "120010010042";
/// Long enough for a request to arrive, on any machine.
const PATIENCE_MS: u64 = 5_000;

/// One change of each kind.
fn every_tool() -> [(&'static str, Value); 7] {
    let eur = |amount: &str| json!({"amount": amount, "currency": "EUR"});
    [
        (
            "meta_set_budget",
            json!({"ad_set_id": AD_SET, "daily_budget": eur("40")}),
        ),
        ("meta_pause", json!({"ad_set_id": AD_SET})),
        (
            "meta_set_bid",
            json!({"ad_set_id": AD_SET, "bid": eur("3")}),
        ),
        (
            "meta_rename",
            json!({"ad_set_id": AD_SET, "name": "Autumn"}),
        ),
        creates::campaign(),
        creates::ad_set(),
        creates::ad(),
    ]
}

/// What is found, but for the id of something new, which nobody knew before.
fn unnamed(found: Settings) -> Settings {
    Settings { id: None, ..found }
}

/// Looks after a change as a process does that knows only what was kept of it.
async fn looked_after(bench: &Bench, kept: &str) -> Sighting {
    let doubt: Doubt = serde_json::from_str(kept).unwrap();
    let corridor = bench.corridor_with(FAST);
    corridor.look(&doubt, at(20_000)).await.unwrap()
}

/// Makes a change and holds what is said of it against what came about: the
/// effects at that moment, and how the object stands then.
async fn outcome(
    (tool, asked): (&str, Value),
    order: Order,
    (wanted, effects, standing): (&Made, usize, Standing),
) {
    let context = format!("{tool}, {order:?}");
    let bench = Bench::start().await;
    let change = prepare(&bench, tool, asked).await.unwrap();
    let (kept, view) = (
        serde_json::to_string(&change.doubt()).unwrap(),
        change.view(),
    );
    bench.fake.order(order);
    let made = bench.corridor.make(&change, at(PATIENCE_MS)).await.made;
    let kind = discriminant(&made);
    assert_eq!(kind, discriminant(wanted), "{context}: {made:?}");
    if let Made::Applied(found) = made {
        assert_eq!(unnamed(found), view.after, "{context}");
    }
    assert_eq!(bench.fake.effects().len(), effects, "{context}");
    let found = match standing {
        Standing::Reached => &view.after,
        _ => &view.before,
    };
    let seen = looked_after(&bench, &kept).await;
    let seen = (seen.standing, &unnamed(seen.found));
    assert_eq!(seen, (standing, found), "{context}");
    // What comes about late is found then, and it is one.
    bench.fake.advance(30);
    if bench.fake.release() > 0 {
        let seen = looked_after(&bench, &kept).await;
        assert_eq!(seen.standing, Standing::Reached, "{context}");
        assert_eq!(unnamed(seen.found), view.after, "{context}");
    }
    assert!(bench.fake.effects().len() <= 1, "{context}");
}

fn applied() -> Made {
    Made::Applied(Settings::default())
}

fn unknown() -> Made {
    let cause = String::new();
    Made::Unknown(CallError::Unavailable { cause })
}

fn not_applied() -> Made {
    let cause = String::new();
    Made::NotApplied(CallError::Unavailable { cause })
}

#[tokio::test]
async fn what_is_said_of_a_change_is_never_more_than_is_known() {
    let failed = Answers::Fault(Fault::InternalError);
    let away = Answers::Fault(Fault::Unavailable);
    let refused = Answers::Fault(Fault::BadParameter);
    let rows = [
        ((AtOnce, Success), (applied(), 1, Standing::Reached)),
        ((AtOnce, Break), (unknown(), 1, Standing::Reached)),
        ((AtOnce, failed), (unknown(), 1, Standing::Reached)),
        ((WhenReleased, Success), (unknown(), 0, Standing::AsBefore)),
        ((WhenReleased, Break), (unknown(), 0, Standing::AsBefore)),
        ((WhenReleased, failed), (unknown(), 0, Standing::AsBefore)),
        // A success that changes nothing is none.
        ((Never, Success), (unknown(), 0, Standing::AsBefore)),
        ((Never, Break), (unknown(), 0, Standing::AsBefore)),
        ((Never, failed), (unknown(), 0, Standing::AsBefore)),
        ((AtOnce, away), (unknown(), 1, Standing::Reached)),
        ((Never, away), (unknown(), 0, Standing::AsBefore)),
        ((Never, refused), (not_applied(), 0, Standing::AsBefore)),
    ];
    for ((applies, answers), (made, effects, standing)) in &rows {
        for tool in every_tool() {
            let order = Order::next_write(*applies, *answers);
            outcome(tool, order, (made, *effects, *standing)).await;
        }
    }
}

#[tokio::test]
async fn an_error_with_status_200_is_an_error() {
    let rows = [
        // The vendor's own failure, which may have come too late.
        (AtOnce, 2, (unknown(), 1, Standing::Reached)),
        (WhenReleased, 2, (unknown(), 0, Standing::AsBefore)),
        (Never, 2, (unknown(), 0, Standing::AsBefore)),
        // A word that nobody explained.
        (AtOnce, 99_999, (unknown(), 1, Standing::Reached)),
        (Never, 99_999, (unknown(), 0, Standing::AsBefore)),
        // A token that is not taken changes nothing.
        (Never, 190, (not_applied(), 0, Standing::AsBefore)),
    ];
    let [budget, ..] = every_tool();
    for (applies, code, (made, effects, standing)) in &rows {
        let order = Order {
            code: (*code, None),
            as_success: true,
            ..Order::next_write(*applies, Answers::Fault(Fault::Code))
        };
        outcome(budget.clone(), order, (made, *effects, *standing)).await;
    }
}

#[tokio::test]
async fn a_process_that_ends_while_it_waits_leaves_a_doubt_that_another_settles() {
    let bench = Bench::start().await;
    let [(tool, asked), ..] = every_tool();
    let change = prepare(&bench, tool, asked).await.unwrap();
    let kept = serde_json::to_string(&change.doubt()).unwrap();
    bench.fake.order(Order::next_write(AtOnce, Hang));
    let came_about = async {
        while bench.fake.effects().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        made = bench.corridor.make(&change, at(20_000)) => panic!("nobody answered: {made:?}"),
        () = came_about => {}
    }
    let seen = looked_after(&bench, &kept).await;
    assert_eq!(seen.standing, Standing::Reached);
    assert_eq!(bench.fake.effects().len(), 1);
}

#[tokio::test]
async fn a_vendor_that_never_answers_may_have_made_the_change() {
    let rows = [
        (AtOnce, 1, Standing::Reached),
        (WhenReleased, 0, Standing::AsBefore),
        (Never, 0, Standing::AsBefore),
    ];
    let [budget, ..] = every_tool();
    let all = rows.map(|(applies, effects, standing)| {
        let budget = budget.clone();
        let order = Order::next_write(applies, Hang);
        async move { outcome(budget, order, (&unknown(), effects, standing)).await }
    });
    join_all(all).await;
}
