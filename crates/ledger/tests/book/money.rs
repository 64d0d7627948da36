//! Money: what is reserved together never exceeds what may be spent, on any
//! number of replicas, and all of it can be used.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tenantry_core::name::{AccountId, ConnectorName, Currency};
use tenantry_core::policy::Policy;
use tenantry_core::policy::decide::{Decision, Ruling};
use tenantry_core::policy::facts::{ExposureSnapshot, ExposureTerms, Facts, Standing};
use tenantry_ledger::change::Lease;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger};
use tenantry_ledger::reserve::{Asked, Moment, Reservation};
use tokio::sync::Barrier;

use crate::house::{DAY, House, at};
use crate::wish::{self, Wish, allow, applied, day_cap, decide, new, reserved, sent, units};

on_both_engines!(
    demand_beyond_a_plain_cap_is_admitted_exactly_up_to_it,
    demand_beyond_a_policy_s_window_is_admitted_exactly_up_to_it,
    what_was_freed_can_be_used_again_and_no_more,
    a_window_ends_at_its_very_edge,
    what_is_open_or_waits_counts_whatever_its_age,
    a_clock_set_back_opens_no_window,
    what_was_read_before_is_known_as_it_is_now,
    a_look_from_a_later_clock_lets_go_of_nothing,
    an_application_counts_from_its_latest_moment,
    a_fall_gives_nothing_back,
    the_lowest_live_value_of_a_day_is_known,
    the_latest_exposure_is_read,
);

const CAP: i64 = 1_000_000_000;

/// Calls whose disk write fails together are undone together, and what each has
/// seen of the others counts no more.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_disk_write_undid_counts_for_nobody() {
    // Of a file nothing can be made to fail at that moment and work again.
    const FAIL: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN RAISE EXCEPTION 'no'; END$$; \
         CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON roots DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION refuse()";
    let house = House::postgres();
    let ledger = Arc::new(house.open().await);
    let key = |number: usize| format!("lost-{number}");
    let mut leases = Vec::new();
    for number in 0..8 {
        leases.push(new(&ledger, &key(number), at(1)).await);
    }
    let before = ledger.head().await.unwrap();
    house.run(FAIL).await;
    let tasks: Vec<_> = (0..)
        .zip(&leases)
        .map(|(number, lease)| {
            let (ledger, lease) = (Arc::clone(&ledger), lease.clone());
            let wish = Wish::raise(&key(number), CAP / 8);
            tokio::spawn(async move {
                let policies = [day_cap("1000")];
                decide(&ledger, &lease, &wish, &policies, at(1)).await
            })
        })
        .collect();
    for task in tasks {
        let failed = task.await.unwrap();
        assert!(matches!(failed, Err(LedgerError::Refused(_))), "{failed:?}");
    }
    assert_eq!(ledger.head().await.unwrap(), before);
    house.run("DROP TRIGGER fail ON roots").await;
    let policies = [day_cap("1000")];
    for (number, lease) in (0..).zip(&leases) {
        let wish = Wish::raise(&key(number), CAP / 8);
        let decided = decide(&ledger, lease, &wish, &policies, at(1)).await;
        assert!(
            matches!(decided, Ok(Reservation::Reserved { .. })),
            "{number}: {decided:?}"
        );
    }
    let more = new(&ledger, "more", at(1)).await;
    let denied = decide(&ledger, &more, &Wish::raise("more", 1), &policies, at(1)).await;
    assert!(
        matches!(denied, Ok(Reservation::Denied { .. })),
        "{denied:?}"
    );
}

/// A statement that the database refuses ends its own call, and none of those
/// that reach the disk with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_fails_undoes_its_own_call_alone() {
    const FAIL: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN IF NEW.root LIKE '%odd%' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END$$; \
         CREATE TRIGGER fail BEFORE INSERT ON roots FOR EACH ROW EXECUTE FUNCTION refuse()";
    let house = House::postgres();
    let ledger = Arc::new(house.open().await);
    house.run(FAIL).await;
    let tasks = (0..24).map(|number| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            let key = format!("{}-{number}", if number % 3 == 0 { "odd" } else { "even" });
            let lease = new(&ledger, &key, at(1)).await;
            // Room for all of them, so that whoever comes last is decided alike.
            let policies = [day_cap("24")];
            let wish = Wish::raise(&key, units(1));
            (key, decide(&ledger, &lease, &wish, &policies, at(1)).await)
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        let (key, decided) = task.await.unwrap();
        if key.starts_with("odd") {
            assert!(
                matches!(decided, Err(LedgerError::Refused(_))),
                "{key}: {decided:?}"
            );
        } else {
            assert!(
                matches!(decided, Ok(Reservation::Reserved { .. })),
                "{key}: {decided:?}"
            );
        }
    }
    assert_eq!(sum(&look(&ledger, at(2)).await), units(16));
    assert_eq!(ledger.head().await.unwrap().sequence, 16);
}

/// So many wishes for the same amount at once, each on its own root; how many
/// were admitted.
async fn rush<D>(
    replicas: &[Arc<Ledger>],
    amount: i64,
    demand: usize,
    round: &str,
    decide: D,
) -> usize
where
    D: Fn(&Wish, &Moment<'_>) -> Ruling + Copy + Send + Sync + 'static,
{
    let barrier = Arc::new(Barrier::new(demand));
    let tasks: Vec<_> = (0..demand)
        .map(|number| {
            let ledger = Arc::clone(&replicas[number % replicas.len()]);
            let barrier = Arc::clone(&barrier);
            let key = format!("{round}-{number}");
            tokio::spawn(async move {
                barrier.wait().await;
                let lease = new(&ledger, &key, at(1)).await;
                let wish = Wish::raise(&key, amount);
                let asked = wish.asked();
                ledger
                    .decide_and_reserve(&lease, &asked, at(1), |moment| decide(&wish, moment))
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Reservation::Reserved { .. } => admitted += 1,
            Reservation::Denied { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    admitted
}

fn sum(facts: &Facts) -> i64 {
    facts.charges.iter().map(|charge| charge.daily_micros).sum()
}

/// What the book says at that moment.
async fn facts(ledger: &Ledger, now: Timestamp) -> Facts {
    facts_for(ledger, &Wish::raise("probe", 0), now).await
}

async fn facts_for(ledger: &Ledger, wish: &Wish, now: Timestamp) -> Facts {
    let lease = new(ledger, &format!("probe {now} {:?}", wish.lookback), now).await;
    let terms = ExposureTerms::default();
    let asked = Asked {
        exposure_terms: Some(&terms),
        ..wish.asked()
    };
    let seen = std::sync::Mutex::new(Facts::default());
    let reservation = ledger
        .decide_and_reserve(&lease, &asked, now, |moment| {
            *seen.lock().unwrap() = moment.facts.clone();
            let mut ruling = allow(wish)(moment);
            ruling.decision = Decision::Denied;
            ruling
        })
        .await
        .unwrap();
    assert!(matches!(reservation, Reservation::Denied { .. }));
    seen.into_inner().unwrap()
}

async fn demand_beyond_a_plain_cap_is_admitted_exactly_up_to_it(house: House) {
    let capped = |wish: &Wish, moment: &Moment<'_>| {
        let mut ruling = allow(wish)(moment);
        if sum(moment.facts) + wish.proposal.effect.daily.increase_micros > CAP {
            ruling.decision = Decision::Denied;
        }
        ruling
    };
    // Thirds leave a rest that nobody may have.
    let amount = CAP / 10 - 7;
    for factor in [1, 2, 5, 10] {
        let house = house.another();
        let replicas = house.replicas().await;
        let admitted = rush(&replicas, amount, 10 * factor, "plain", capped).await;
        assert_eq!(admitted, 10, "{factor} times the cap");
        assert!(sum(&facts(&replicas[0], at(2)).await) <= CAP);
    }
}

async fn demand_beyond_a_policy_s_window_is_admitted_exactly_up_to_it(house: House) {
    let replicas = house.replicas().await;
    let by_policy = |wish: &Wish, moment: &Moment<'_>| {
        let policies = [day_cap("1000.00")];
        wish::by(wish, &policies)(moment)
    };
    // 14 × 70 = 980; the next would be 1,050.
    assert_eq!(
        rush(&replicas, units(70), 140, "by-policy", by_policy).await,
        14
    );
    // What is left, to the last unit.
    assert_eq!(rush(&replicas, units(20), 20, "rest", by_policy).await, 1);
    assert_eq!(rush(&replicas, units(1), 20, "none", by_policy).await, 0);
    assert_eq!(sum(&facts(&replicas[0], at(2)).await), CAP);
}

async fn what_was_freed_can_be_used_again_and_no_more(house: House) {
    let ledger = house.open().await;
    let policies = [day_cap("1000.00")];
    let mut leases: Vec<Lease> = Vec::new();
    for number in 0..10 {
        let wish = Wish::raise(&format!("c{number}"), units(100));
        leases.push(sent(&ledger, &format!("k{number}"), &wish, at(1)).await);
    }
    let denied = async |key: &str| {
        let lease = new(&ledger, key, at(2)).await;
        let more = Wish::raise(key, units(100));
        let reservation = decide(&ledger, &lease, &more, &policies, at(2))
            .await
            .unwrap();
        matches!(reservation, Reservation::Denied { .. })
    };
    assert!(denied("full").await);
    // Applied and unknown money counts, refused money does not.
    ledger
        .settle(&leases[0], &wish::done(at(2)), at(2))
        .await
        .unwrap();
    ledger
        .settle(&leases[1], &wish::unknown(), at(2))
        .await
        .unwrap();
    assert!(denied("still-full").await);
    ledger
        .settle(&leases[2], &wish::rejected(), at(2))
        .await
        .unwrap();
    assert!(!denied("one-freed").await);
    assert!(denied("no-more").await);
}

async fn a_window_ends_at_its_very_edge(house: House) {
    let ledger = house.open().await;
    applied(&ledger, "key", &Wish::raise("1", units(10)), at(100)).await;
    let edge = at(100) + DAY;
    let just_before = edge - SignedDuration::from_micros(1);
    assert_eq!(sum(&facts(&ledger, just_before).await), units(10));
    assert_eq!(sum(&facts(&ledger, edge).await), 0);
    // A longer window still has it.
    let mut wish = Wish::raise("probe", 0);
    wish.lookback = DAY * 2;
    assert_eq!(sum(&facts_for(&ledger, &wish, edge).await), units(10));
}

async fn what_is_open_or_waits_counts_whatever_its_age(house: House) {
    let ledger = house.open().await;
    reserved(&ledger, "reserved", &Wish::raise("1", units(1)), at(0)).await;
    sent(&ledger, "sent", &Wish::raise("2", units(2)), at(0)).await;
    let unknown = sent(&ledger, "unknown", &Wish::raise("3", units(4)), at(0)).await;
    ledger
        .settle(&unknown, &wish::unknown(), at(0))
        .await
        .unwrap();
    let human = sent(&ledger, "human", &Wish::raise("4", units(8)), at(0)).await;
    let needs_human = tenantry_ledger::settle::Outcome::NeedsHuman {
        why: "nobody knows".into(),
        answer: "{}".into(),
    };
    ledger.settle(&human, &needs_human, at(0)).await.unwrap();
    let lease = new(&ledger, "asked", at(0)).await;
    let wish = Wish::raise("5", units(16));
    decide(&ledger, &lease, &wish, &[wish::asks()], at(0))
        .await
        .unwrap();
    let facts = facts(&ledger, at(0) + DAY * 400).await;
    assert_eq!(sum(&facts), units(31));
    assert_eq!((facts.pending_of_key, facts.pending_of_tenant), (1, 1));
    let open = facts
        .charges
        .iter()
        .filter(|charge| charge.standing == Standing::Open);
    assert_eq!(open.count(), 4);
}

async fn what_was_read_before_is_known_as_it_is_now(house: House) {
    let replicas = house.replicas().await;
    let (one, other) = (&replicas[0], replicas.last().unwrap());
    let lease = reserved(other, "key", &Wish::raise("1", units(8)), at(1)).await;
    sent(other, "kept", &Wish::raise("2", units(1)), at(1)).await;
    assert_eq!(sum(&look(one, at(1)).await), units(9));
    // Given up and forgotten between two looks: there is no row left to tell.
    other.step_back(&lease, "moved", at(2)).await.unwrap();
    other.release(&lease, at(2)).await.unwrap();
    assert_eq!(sum(&look(one, at(2)).await), units(1));
    // Refused, and taken out for its age.
    let lease = sent(other, "refused", &Wish::raise("3", units(4)), at(3)).await;
    assert_eq!(sum(&look(one, at(3)).await), units(5));
    other
        .settle(&lease, &wish::rejected(), at(4))
        .await
        .unwrap();
    let late = at(4) + LEAST_RETENTION;
    assert_eq!(other.sweep(late).await.unwrap().changes, 1);
    assert_eq!(sum(&look(one, late).await), units(1));
}

async fn a_look_from_a_later_clock_lets_go_of_nothing(house: House) {
    let ledger = house.open().await;
    applied(&ledger, "key", &Wish::raise("1", units(10)), at(100)).await;
    assert_eq!(sum(&look(&ledger, at(101) + DAY).await), 0);
    // It has written nothing, so it was never later.
    assert_eq!(sum(&look(&ledger, at(101)).await), units(10));
    // Nor does a longer window hide from a shorter one, or the other way about.
    let wish = Wish::raise("probe", 0);
    let longer = ledger.facts(&wish.proposal, DAY * 3, None, at(101) + DAY);
    assert_eq!(sum(&longer.await.unwrap().0), units(10));
    assert_eq!(sum(&look(&ledger, at(101) + DAY).await), 0);
}

/// What a decision would be made on; nothing is written down.
async fn look(ledger: &Ledger, now: Timestamp) -> Facts {
    let wish = Wish::raise("probe", 0);
    let terms = ExposureTerms::default();
    let facts = ledger.facts(&wish.proposal, wish.lookback, Some(&terms), now);
    facts.await.unwrap().0
}

async fn a_clock_set_back_opens_no_window(house: House) {
    let replicas = house.replicas().await;
    let policies = [day_cap("100.00")];
    let later = at(0) + DAY * 10;
    applied(&replicas[0], "late", &Wish::raise("1", units(100)), later).await;
    // Another replica's clock is behind by days, and so is this one's after a
    // restart.
    let behind = replicas.last().unwrap();
    let wish = Wish::raise("2", units(1));
    let lease = new(behind, "behind", at(0)).await;
    let reservation = decide(behind, &lease, &wish, &policies, at(0))
        .await
        .unwrap();
    assert!(
        matches!(reservation, Reservation::Denied { .. }),
        "{reservation:?}"
    );
    // Nor do days of such a clock let the window pass.
    let mut nows = Vec::new();
    for day in 1..9 {
        let lease = new(behind, &format!("day {day}"), at(0) + DAY * day).await;
        let wish = Wish::raise("2", units(1));
        let asked = wish.asked();
        let moments = std::sync::Mutex::new(Vec::new());
        let reservation = behind
            .decide_and_reserve(&lease, &asked, at(0) + DAY * day, |moment| {
                moments.lock().unwrap().push(moment.now);
                wish::by(&wish, &policies)(moment)
            })
            .await
            .unwrap();
        assert!(matches!(reservation, Reservation::Denied { .. }));
        nows.extend(moments.into_inner().unwrap());
    }
    assert_eq!(nows, vec![later; 8]);
}

async fn an_application_counts_from_its_latest_moment(house: House) {
    let ledger = house.open().await;
    // A vendor's clock may say anything: the request left at 10, and was
    // settled at 20.
    for (key, start, said, kept) in [("a", 0, 5, 10), ("b", 100, 115, 115), ("c", 200, 299, 220)] {
        let lease = sent(&ledger, key, &Wish::raise(key, 1), at(start + 10)).await;
        let now = at(start + 20);
        ledger
            .settle(&lease, &wish::done(at(said)), now)
            .await
            .unwrap();
        let found = ledger.find(&lease.change).await.unwrap().unwrap();
        assert_eq!(found.applied_at, Some(at(kept)), "{key}");
    }
}

async fn a_fall_gives_nothing_back(house: House) {
    let ledger = house.open().await;
    applied(&ledger, "up", &Wish::raise("1", units(10)), at(0)).await;
    applied(
        &ledger,
        "down",
        &Wish::set("1", units(110), units(1)),
        at(1),
    )
    .await;
    assert_eq!(sum(&facts(&ledger, at(2)).await), units(10));
}

async fn the_lowest_live_value_of_a_day_is_known(house: House) {
    let ledger = house.open().await;
    let steps = [(100, 40, 0), (40, 60, 10), (60, 90, 20)];
    for (before, after, second) in steps {
        let wish = Wish::set("1", units(before), units(after));
        applied(&ledger, &format!("k{second}"), &wish, at(second)).await;
    }
    let probe = Wish::set("1", units(90), units(95));
    let lowest = async |now| {
        let facts = facts_for(&ledger, &probe, now).await;
        facts.lowest_micros.values().copied().next()
    };
    assert_eq!(lowest(at(30)).await, Some(units(40)));
    // The fall to 40 was a day ago, and 40 was live until the step after it.
    assert_eq!(lowest(at(5) + DAY).await, Some(units(40)));
    assert_eq!(lowest(at(10) + DAY).await, Some(units(60)));
    assert_eq!(lowest(at(20) + DAY).await, None);
    let percent = json!({"budget": {"perObject": {"maxIncreasePercentPerDay": 50}}});
    let policies: [Policy; 1] = [wish::policy(&percent)];
    applied(
        &ledger,
        "again",
        &Wish::set("2", units(100), units(140)),
        at(20) + DAY,
    )
    .await;
    let lease = new(&ledger, "step", at(21) + DAY).await;
    let wish = Wish::set("2", units(140), units(160));
    let denied = decide(&ledger, &lease, &wish, &policies, at(21) + DAY)
        .await
        .unwrap();
    assert!(matches!(denied, Reservation::Denied { .. }), "{denied:?}");
}

async fn the_latest_exposure_is_read(house: House) {
    let ledger = house.open().await;
    assert_eq!(facts(&ledger, at(0)).await.exposure, None);
    let account = (
        ConnectorName::parse("meta").unwrap(),
        AccountId::parse("act_1").unwrap(),
    );
    let snapshot = |second, micros| {
        let key = (
            ConnectorName::parse("meta").unwrap(),
            Currency::parse("EUR").unwrap(),
        );
        ExposureSnapshot {
            as_of: at(second),
            accounts: [account.clone()].into(),
            active_daily_micros: BTreeMap::from([(key, micros)]),
        }
    };
    ledger
        .keep_exposure(&snapshot(10, 1), at(10))
        .await
        .unwrap();
    ledger.keep_exposure(&snapshot(5, 2), at(11)).await.unwrap();
    assert_eq!(facts(&ledger, at(12)).await.exposure, Some(snapshot(10, 1)));
    ledger
        .keep_exposure(&snapshot(20, 3), at(20))
        .await
        .unwrap();
    let ledger = house.reopen(ledger).await;
    assert_eq!(facts(&ledger, at(21)).await.exposure, Some(snapshot(20, 3)));
    // By a clock that was ahead for a while: the next one is not kept out by it.
    let ahead = ledger.keep_exposure(&snapshot(900, 4), at(900)).await;
    assert!(ahead.unwrap());
    assert!(
        ledger
            .keep_exposure(&snapshot(30, 5), at(30))
            .await
            .unwrap()
    );
    assert!(
        !ledger
            .keep_exposure(&snapshot(29, 6), at(31))
            .await
            .unwrap()
    );
    let known = facts(&ledger, at(31)).await.exposure;
    assert_eq!(known, Some(snapshot(30, 5)));
}
