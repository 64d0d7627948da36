//! Each rule of the protocol, taken away: something breaks, or the rule would
//! be there for nothing.

#![expect(clippy::panic, reason = "a test that cannot go on fails there")]

use tenantry_model::property::{AGREEMENT, CAP, COOLDOWN, COUNT, FREEZE, ONE_EFFECT};
use tenantry_model::rule::Rule;
use tenantry_model::scenario::{CALM, CRASHES, Delay, Mishaps, Scenario};
use tenantry_model::search::breach;

/// A change taken from an owner that lives, and nothing else.
const SUSPICION: Mishaps = Mishaps {
    suspicions: 1,
    ..CALM
};

/// Without the rule the law is broken, and with it, in the same place, not.
fn assert_caught(rule: Rule, scenario: Scenario, law: &'static str) {
    assert_eq!(breach(scenario.clone(), law), None, "{rule:?} is in force");
    let way = breach(scenario.without(rule), law);
    let way = way.unwrap_or_else(|| panic!("without {rule:?}, yet: {law}"));
    println!("without {rule:?}, in {} steps not: {law}", way.len());
}

fn one_cap() -> Scenario {
    Scenario::one_cap().with_mishaps(CALM)
}

#[test]
fn a_key_that_is_not_claimed_once_has_two_effects() {
    let scenario = Scenario::one_key().with_mishaps(CALM);
    assert_caught(Rule::UniqueKey, scenario, ONE_EFFECT);
}

#[test]
fn two_open_changes_of_a_root_pass_the_cap() {
    let scenario = Scenario::one_root().with_mishaps(CALM);
    assert_caught(Rule::OneOpenChange, scenario, CAP);
}

#[test]
fn what_is_not_read_again_behind_the_lock_passes_the_cap() {
    let scenario = Scenario::one_root().with_mishaps(CALM);
    assert_caught(Rule::RecheckedBeforeSent, scenario, CAP);
}

#[test]
fn what_is_decided_and_reserved_apart_passes_the_cap() {
    assert_caught(Rule::ReservedWhenDecided, one_cap(), CAP);
}

#[test]
fn reserved_money_that_does_not_count_passes_the_cap() {
    assert_caught(Rule::OpenCounts, one_cap(), CAP);
}

#[test]
fn unknown_money_that_does_not_count_passes_the_cap() {
    assert_caught(Rule::UnknownCounts, one_cap(), CAP);
}

#[test]
fn what_leaves_before_it_is_written_down_has_two_effects_and_passes_the_cap() {
    let scenario = Scenario::one_key().with_mishaps(CRASHES);
    assert_caught(Rule::SendingFirst, scenario, ONE_EFFECT);
    let scenario = Scenario::one_cap().with_mishaps(SUSPICION);
    assert_caught(Rule::SendingFirst, scenario, CAP);
}

#[test]
fn a_permission_without_an_end_outlives_a_freeze() {
    assert_caught(Rule::PermissionExpires, Scenario::one_freeze(), FREEZE);
}

#[test]
fn a_request_without_a_deadline_leaves_after_its_silence_was_believed() {
    let scenario = Scenario::one_key().with_mishaps(SUSPICION);
    assert_caught(Rule::LeavesByDeadline, scenario, AGREEMENT);
    let scenario = Scenario::one_cap().with_mishaps(SUSPICION);
    assert_caught(Rule::LeavesByDeadline, scenario, CAP);
}

#[test]
fn what_is_sent_again_has_two_effects() {
    let scenario = Scenario::one_key().with_mishaps(CALM);
    assert_caught(Rule::NeverResent, scenario, ONE_EFFECT);
}

#[test]
fn an_owner_that_still_writes_has_two_effects_and_passes_the_cap() {
    let scenario = Scenario::one_key().with_mishaps(SUSPICION);
    assert_caught(Rule::FencedByEpoch, scenario, ONE_EFFECT);
    let scenario = Scenario::one_cap().with_mishaps(SUSPICION);
    assert_caught(Rule::FencedByEpoch, scenario, CAP);
}

#[test]
fn silence_believed_at_once_passes_the_cap() {
    let scenario = Scenario::one_key().with_mishaps(CALM);
    assert_caught(Rule::QuietPeriod, scenario, AGREEMENT);
    assert_caught(Rule::QuietPeriod, one_cap(), CAP);
}

#[test]
fn a_single_reading_that_is_behind_passes_for_silence() {
    let stale_readings = 1;
    let mishaps = Mishaps {
        stale_readings,
        ..CALM
    };
    let scenario = Scenario::one_key().with_mishaps(mishaps);
    assert_caught(Rule::EqualReadings, scenario, AGREEMENT);
}

#[test]
fn a_charge_dated_too_early_passes_cap_pause_and_count() {
    assert_caught(Rule::LatestPosting, one_cap(), CAP);
    let scenario = Scenario::one_cooldown().with_mishaps(CALM);
    assert_caught(Rule::LatestPosting, scenario, COOLDOWN);
    let scenario = Scenario::one_day().with_mishaps(CALM);
    assert_caught(Rule::LatestPosting, scenario, COUNT);
}

/// Within the quiet period nothing depends on it: then silence is the truth.
#[test]
fn a_key_that_silence_frees_has_two_effects_at_a_late_vendor() {
    let scenario = Scenario::one_key().with_mishaps(CALM).until(2);
    let late = scenario.with_delay(Delay::Beyond(1));
    assert_caught(Rule::SilenceKeepsTheKey, late, ONE_EFFECT);
}
