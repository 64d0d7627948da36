//! What the protocol promises, in every order of everything that can happen:
//! two replicas, two crashes, a change taken from a living owner, and a vendor
//! that loses, delays within its quiet period, refuses and doubles.

use std::collections::HashMap;

use stateright::Model;
use tenantry_model::property::{FULL_USE, SOME_APPLIED, SOME_HUMAN, SOME_SILENT, SOME_TAKEN_OVER};
use tenantry_model::scenario::{CALM, Scenario};
use tenantry_model::search::whole;
use tenantry_model::state::World;

/// Looks at all of a scenario: nothing is broken, and what is said to come
/// about does.
fn assert_holds(name: &str, scenario: Scenario, possible: &[&str]) {
    let found = whole(name, scenario);
    assert!(found.broken.is_empty(), "{name}: {:#?}", found.broken);
    for what in possible {
        assert!(!found.impossible.contains(what), "{name}: never {what}");
    }
}

const USUAL: [&str; 3] = [SOME_APPLIED, SOME_SILENT, SOME_TAKEN_OVER];

#[test]
fn a_key_that_is_called_twice_has_one_effect() {
    assert_holds("one key", Scenario::one_key(), &USUAL);
}

#[test]
fn two_changes_under_a_cap_for_one_use_it_up_and_never_pass_it() {
    let possible = [SOME_APPLIED, SOME_SILENT, SOME_TAKEN_OVER, FULL_USE];
    assert_holds("one cap", Scenario::one_cap(), &possible);
}

#[test]
fn a_decrease_never_makes_an_increase_larger_than_it_was_decided() {
    assert_holds("one root", Scenario::one_root(), &USUAL);
}

#[test]
fn two_changes_of_a_root_are_never_closer_than_the_pause() {
    assert_holds("one cooldown", Scenario::one_cooldown(), &USUAL);
}

#[test]
fn a_day_never_has_more_changes_than_its_count() {
    assert_holds("one day", Scenario::one_day(), &USUAL);
}

#[test]
fn nothing_leaves_long_after_a_freeze_and_foreign_hands_are_shown_to_people() {
    let possible = [SOME_APPLIED, SOME_SILENT, SOME_HUMAN];
    assert_holds("one freeze", Scenario::one_freeze(), &possible);
}

/// The law that everything settles is asked where nothing follows. That is
/// enough only if no way goes round for ever.
#[test]
fn no_way_leads_back_to_where_it_was() {
    for (name, scenario) in Scenario::all() {
        let scenario = scenario.with_mishaps(CALM);
        assert!(is_acyclic(&scenario), "{name} goes round");
    }
}

/// Walks every way to its end, and remembers what it is in the middle of.
fn is_acyclic(scenario: &Scenario) -> bool {
    let begin = World::of(scenario);
    let mut places = HashMap::from([(begin.clone(), 0)]);
    let mut ended = vec![false];
    let mut way = vec![(0, scenario.next_states(&begin))];
    while let Some((place, following)) = way.last_mut() {
        let Some(world) = following.pop() else {
            ended[*place] = true;
            way.pop();
            continue;
        };
        match places.get(&world) {
            Some(known) if !ended[*known] => return false,
            Some(_) => {}
            None => {
                let next = scenario.next_states(&world);
                places.insert(world, ended.len());
                way.push((ended.len(), next));
                ended.push(false);
            }
        }
    }
    true
}
