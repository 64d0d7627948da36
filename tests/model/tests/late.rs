//! On record: what breaks when a request is carried out after the quiet period,
//! because its sender was paused or the vendor was slow, or when the vendor
//! carries it out twice; and what it would take. Some of these assert what
//! nobody wants.

use std::collections::BTreeSet;

use tenantry_model::property::{AGREEMENT, CAP, COOLDOWN, ONE_EFFECT};
use tenantry_model::scenario::{CALM, Delay, Mishaps, Moment, Scenario, Silence};
use tenantry_model::search::whole;

/// How long after the quiet period the late vendor carries things out.
const LATE: Moment = 1;

/// Long enough for kept money to be free again, and for one more change.
const LONG: Moment = 5;

const TWICE: Mishaps = Mishaps {
    duplicates: 1,
    ..CALM
};

fn late(scenario: Scenario) -> Scenario {
    let scenario = scenario.with_mishaps(CALM).until(LONG);
    scenario.with_delay(Delay::Beyond(LATE))
}

/// The laws that do not hold there.
fn broken(scenario: Scenario) -> BTreeSet<&'static str> {
    let found = whole("late", scenario);
    println!("{:#?}", found.broken);
    found.broken.into_keys().collect()
}

/// The law of writes as it stands. Money that silence freed is spent once more,
/// and then the request lands.
#[test]
fn as_it_stands_a_late_request_passes_the_cap() {
    let as_it_stands = late(Scenario::one_cap());
    assert_eq!(broken(as_it_stands), BTreeSet::from([CAP, AGREEMENT]));
    let as_it_stands = late(Scenario::one_root());
    assert_eq!(broken(as_it_stands), BTreeSet::from([CAP, AGREEMENT]));
}

#[test]
fn as_it_stands_a_late_request_undercuts_the_pause() {
    let as_it_stands = late(Scenario::one_cooldown());
    let broken = broken(as_it_stands);
    assert!(broken.contains(COOLDOWN) && broken.contains(AGREEMENT));
}

/// However late: a key has one request, and everything settles.
#[test]
fn as_it_stands_a_key_has_one_effect_however_late() {
    for scenario in [
        Scenario::one_key(),
        Scenario::one_cap(),
        Scenario::one_root(),
    ] {
        let unbounded = late(scenario).with_delay(Delay::Unbounded);
        let broken = broken(unbounded);
        assert!(broken.is_subset(&BTreeSet::from([CAP, AGREEMENT])));
    }
}

/// A charge is dated at the latest moment it can have been applied; for silence
/// that is when nothing can land any more. With that, the same rule as for what
/// was applied keeps the cap. The ledger still calls not applied what was.
#[test]
fn money_kept_until_nothing_can_land_keeps_the_cap_of_many_roots() {
    let kept = late(Scenario::one_cap()).with_silence(Silence::KeepsMoney(LATE));
    assert_eq!(broken(kept), BTreeSet::from([AGREEMENT]));
}

#[test]
fn money_kept_for_a_window_from_the_quiet_period_on_is_free_too_early() {
    let kept = late(Scenario::one_cap()).with_silence(Silence::KeepsMoney(0));
    assert!(broken(kept).contains(CAP));
}

/// A late decrease has no charge, and makes the next increase larger.
#[test]
fn money_kept_without_its_root_does_not_keep_the_cap_of_one_root() {
    let kept = late(Scenario::one_root()).with_silence(Silence::KeepsMoney(LATE));
    assert!(broken(kept).contains(CAP));
}

#[test]
fn money_and_root_kept_until_nothing_can_land_keep_every_limit() {
    for scenario in [
        Scenario::one_key(),
        Scenario::one_cap(),
        Scenario::one_root(),
        Scenario::one_cooldown(),
        Scenario::one_day(),
    ] {
        let kept = late(scenario).with_silence(Silence::KeepsMoneyAndRoot(LATE));
        assert_eq!(broken(kept), BTreeSet::from([AGREEMENT]));
    }
}

#[test]
fn nothing_that_is_kept_for_a_time_is_enough_for_a_vendor_without_one() {
    let kept = late(Scenario::one_cap()).with_silence(Silence::KeepsMoneyAndRoot(LATE));
    assert!(broken(kept.with_delay(Delay::Unbounded)).contains(CAP));
}

/// As long as nobody says anything, money and root stay their own.
#[test]
fn silence_that_people_are_asked_about_keeps_every_law_however_late() {
    for (_, scenario) in Scenario::all() {
        let asked = scenario.with_mishaps(CALM).with_delay(Delay::Unbounded);
        let asked = asked.with_silence(Silence::Asks);
        assert_eq!(broken(asked), BTreeSet::new());
    }
}

/// Even a punctual vendor, if it carries a request out twice: the second time
/// comes after another change of the root, which an answer had set free.
#[test]
fn as_it_stands_a_request_carried_out_twice_has_two_effects_without_a_pause() {
    let as_it_stands = Scenario::one_root().with_mishaps(TWICE);
    let broken = broken(as_it_stands);
    assert!(broken.contains(ONE_EFFECT) && broken.contains(CAP));
}

#[test]
fn a_root_that_rests_for_the_quiet_period_bears_requests_carried_out_twice() {
    let resting = Scenario::one_root().with_mishaps(TWICE).resting();
    assert_eq!(broken(resting), BTreeSet::new());
}

/// The pause of a policy does the same, as long as it is no shorter.
#[test]
fn a_pause_of_the_quiet_period_bears_requests_carried_out_twice() {
    let paused = Scenario::one_cooldown().with_mishaps(TWICE);
    assert_eq!(broken(paused), BTreeSet::new());
}

/// What was applied is settled, and still the second time comes: then only a
/// root or a pause that outlasts the vendor helps.
#[test]
fn a_request_carried_out_twice_and_late_has_two_effects_whatever_silence_means() {
    let twice = late(Scenario::one_cooldown()).with_mishaps(TWICE);
    let asked = twice.with_silence(Silence::Asks);
    assert_eq!(broken(asked), BTreeSet::from([COOLDOWN, ONE_EFFECT]));
}
