//! Percentages: of what, and when there is none.

use super::*;

/// The percents of every view.
fn percents(effect: &Effect) -> Vec<i64> {
    effect.steps.iter().map(|step| step.percent()).collect()
}

#[test]
fn a_percentage_is_of_what_was_configured_and_of_what_is_left_a_day() {
    let half_spent = || {
        node("c")
            .with(lifetime(3_000, 2_000))
            .until(days(10))
            .over([ad_set("a")])
    };
    let cases = [
        (cbo(), set_budget("c", daily(300)), vec![50]),
        (cbo(), set_budget("c", daily(100)), vec![-50]),
        (cbo().off(), set_budget("c", daily(300)), vec![50]),
        // 1,000 left for ten days become 2,000: 100 a day become 200.
        (
            half_spent(),
            set_budget("c", lifetime(4_000, 0)),
            vec![34, 100],
        ),
        // The same money in two days instead of ten.
        (half_spent(), end_at("c", Some(days(2))), vec![400]),
        (half_spent(), end_at("c", Some(days(20))), vec![-50]),
        (cbo(), activate("d"), vec![]),
        (cbo().off(), activate("c"), vec![]),
    ];
    for (top, change, expected) in cases {
        assert_eq!(
            percents(&effect(top, &change).unwrap()),
            expected,
            "{change:?}"
        );
    }
}

#[test]
fn an_end_of_the_objects_above_counts_too() {
    let top = node("c")
        .until(days(4))
        .over([ad_set("a").with(lifetime(100, 0)).until(days(10))]);
    let sooner = effect(top.clone(), &end_at("c", Some(days(2)))).unwrap();
    assert_eq!(percents(&sooner), [100]);
    let not_the_first = effect(top, &end_at("a", Some(days(20)))).unwrap();
    assert_eq!(percents(&not_the_first), [0_i64; 0]);
}

#[test]
fn from_nothing_there_is_no_percentage() {
    let none = node("c").over([ad_set("a")]);
    let first = effect(none, &set_budget("a", daily(5))).unwrap();
    assert!(first.is_percent_undefined);
    let zero = node("c").with(daily(0)).over([ad_set("a")]);
    assert!(
        effect(zero, &set_budget("c", daily(5)))
            .unwrap()
            .is_percent_undefined
    );
    assert!(
        !effect(cbo(), &set_budget("c", daily(5)))
            .unwrap()
            .is_percent_undefined
    );
    assert!(
        !effect(cbo().off(), &activate("c"))
            .unwrap()
            .is_percent_undefined
    );
    let create = Change::Create {
        under: None,
        node: Box::new(cbo().off()),
    };
    let created = Effect::of(None, &eur(), &create, NOW).unwrap();
    assert!(created.is_percent_undefined);
    assert_eq!((moves(&created), created.created), ([0; 4], 7));
}

#[test]
fn an_end_taken_away_is_said() {
    let top = node("c").over([ad_set("a").with(daily(50)).until(days(3))]);
    let endless = effect(top.clone(), &end_at("a", None)).unwrap();
    assert!(endless.becomes_endless && endless.is_percent_undefined);
    let later = effect(top, &end_at("a", Some(days(5)))).unwrap();
    assert!(!later.becomes_endless && !later.is_percent_undefined);
}
