//! What a change comes to, whatever the vendor does and says: each way to
//! apply it with each way to answer.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::mem::discriminant;

use futures::future::join_all;
use serde_json::{Value, json};
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::change::Made;
use tenantry_connectors::change::doubt::Standing;
use tenantry_connectors::change::view::Settings;
use tenantry_fakes::meta::Answers::{Break, Hang, Success};
use tenantry_fakes::meta::Applies::{AtOnce, Never, WhenReleased};
use tenantry_fakes::meta::{Answers, Applies, Fault, Order};

use crate::bench::{Bench, at};
use crate::changes::prepare;

const AD_SET: &str = "120010010042";
/// Long enough for a request to arrive, on any machine.
const PATIENCE_MS: u64 = 5_000;

/// One change of each kind.
fn every_tool() -> [(&'static str, Value); 4] {
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
    ]
}

/// Makes a change and holds what is said of it against what came about: the
/// effects at that moment, and how the object stands then.
async fn outcome(
    (tool, asked): (&str, Value),
    (applies, answers): (Applies, Answers),
    expected: (&Made, usize, Standing),
) {
    let context = format!("{tool}, {applies:?}, {answers:?}");
    let bench = Bench::start().await;
    let change = prepare(&bench, tool, asked).await.unwrap();
    bench.fake.order(Order::next_write(applies, answers));
    let made = bench.corridor.make(&change, at(PATIENCE_MS)).await;
    let (wanted, effects, standing) = expected;
    assert_eq!(
        discriminant(&made),
        discriminant(wanted),
        "{context}: {made:?}"
    );
    assert_eq!(bench.fake.effects().len(), effects, "{context}");
    let doubt = change.doubt();
    let look = || bench.corridor.look(&doubt, at(20_000));
    assert_eq!(look().await.unwrap().standing, standing, "{context}");
    // What comes about late is found then, and it is one.
    if bench.fake.release() > 0 {
        let late = look().await.unwrap().standing;
        assert_eq!(late, Standing::Reached, "{context}");
        assert_eq!(bench.fake.effects().len(), 1, "{context}");
    }
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
        ((Never, refused), (not_applied(), 0, Standing::AsBefore)),
    ];
    for (vendor, (made, effects, standing)) in &rows {
        for tool in every_tool() {
            outcome(tool, *vendor, (made, *effects, *standing)).await;
        }
    }
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
        async move { outcome(budget, (applies, Hang), (&unknown(), effects, standing)).await }
    });
    join_all(all).await;
}
