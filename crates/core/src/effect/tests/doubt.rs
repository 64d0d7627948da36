//! What an effect must not overlook, and what must never stand in the way of
//! switching something off.

use super::*;
use crate::spend_root::sketch;

fn of(text: &str, change: &Change) -> Result<Effect, Impossible> {
    Effect::of(Some(&sketch::root(text, NOW)), &eur(), change, NOW)
}

fn percents(text: &str, change: &Change) -> Vec<i64> {
    let effect = of(text, change).unwrap();
    effect.steps.iter().map(|step| step.percent()).collect()
}

#[test]
fn what_does_not_run_says_nothing_about_when_a_budget_ends() {
    // `b` is off, and would end last; the money goes with `a`.
    let sooner = end_at("a", Some(days(2)));
    assert_eq!(percents("c:1000/0[a@10[x] b@30~[y]]", &sooner), [400]);
    assert_eq!(percents("c:1000/0[a@10[x] b@30![y]]", &sooner), [400]);
    assert_eq!(percents("c:1000/0[a@10[x] b@30[y]]", &sooner), [0_i64; 0]);
    // Its own end does not matter when everything below ends before.
    assert_eq!(percents("c:1000/0@30[a@10[x]]", &sooner), [400]);
    // Where nothing runs, everything that may run again counts.
    assert_eq!(percents("c:1000/0[a@10~[x]]", &sooner), [400]);
}

#[test]
fn a_later_beginning_below_leaves_less_time() {
    let later = Change::SetSchedule {
        object: id("a"),
        starts_at: Some(Some(days(8))),
        ends_at: None,
    };
    assert_eq!(percents("c:1000/0[a@10[x]]", &later), [400]);
    assert_eq!(percents("c:1000/0[a@10[x] b@10[y]]", &later), [0_i64; 0]);
    let effect = of("c:1000/0[a<9@10[x]]~", &activate("c")).unwrap();
    assert_eq!(effect.exposure_micros, micros(1_000));
}

#[test]
fn a_view_that_begins_at_nothing_has_no_percentage() {
    let raise = set_budget("c", lifetime(1_400, 0));
    let spent = of("c:1000/1000@10[a]", &raise).unwrap();
    assert!(spent.is_percent_undefined);
    assert!(!of("c:1000/999@10[a]", &raise).unwrap().is_percent_undefined);
    // An end where there was none: nobody knows by how much that is faster.
    let ends = end_at("c", Some(days(1)));
    assert!(of("c:1000/0[a]", &ends).unwrap().is_percent_undefined);
    assert!(!of("c:100[a]", &ends).unwrap().is_percent_undefined);
    assert!(!of("c:1000/0~[a]", &ends).unwrap().is_percent_undefined);
    // What another object of the root lacks is no matter of this change.
    let sooner = end_at("a", Some(days(5)));
    let other = of("c[a:50@9[x] b:1000/0[y]]", &sooner).unwrap();
    assert!(!other.is_percent_undefined);
}

#[test]
fn only_the_vendor_says_what_is_spent() {
    let budget = of("c@10[a]", &set_budget("c", lifetime(1_000, 900))).unwrap();
    assert_eq!(budget.exposure_micros, micros(100));
    let create = Change::Create {
        under: Some(id("c")),
        node: Box::new(ad_set("new").with(lifetime(1_000, 900)).until(days(10))),
    };
    let refused = of("c[a:1[x]]", &create).unwrap_err();
    assert_eq!(refused.to_string(), "what is new has spent nothing");
}

#[test]
fn two_objects_of_one_id_are_refused_and_never_counted_as_one() {
    let twins = node("new").over([ad_set("x").with(daily(5)), ad_set("x").with(daily(5))]);
    let below = Change::Create {
        under: Some(id("c")),
        node: Box::new(twins.clone()),
    };
    let alone = Change::Create {
        under: None,
        node: Box::new(twins),
    };
    let twice = Err(Impossible::Exists(id("x")));
    assert_eq!(of("c[a:1[y]]", &below), twice);
    assert_eq!(Effect::of(None, &eur(), &alone, NOW), twice);
    assert_eq!(of("c[x:1 x:2]", &activate("c")), twice);
}

#[test]
fn a_schedule_neither_hides_a_budget_schedule_nor_ends_before_it_begins() {
    let on = end_at("c", Some(days(3)));
    let scheduled = Err(Impossible::Scheduled(id("c")));
    assert_eq!(of("c:1@-1*[a]", &on), scheduled);
    let backwards = of("c:1<5[a]", &on).unwrap_err();
    assert_eq!(backwards.to_string(), "it would end before it begins");
}

#[test]
fn an_object_created_without_an_end_is_said_whoever_holds_the_budget() {
    let create = |node: Node| Change::Create {
        under: Some(id("c")),
        node: Box::new(node),
    };
    let endless = |text: &str, node| of(text, &create(node)).unwrap().becomes_endless;
    assert!(endless("c:100[a]", ad_set("new")));
    assert!(!endless("c:100@9[a]", ad_set("new")));
    assert!(!endless("c:100[a]", ad_set("new").until(days(3))));
    assert!(!endless("c[a:5]", node("shell").over([])));
}

#[test]
fn nothing_makes_switching_off_impossible() {
    let off = Change::Deactivate { object: id("c") };
    let most = i64::MAX / 1_000_000;
    let usd = Currency::parse("USD").unwrap();
    for text in [
        &format!("c[a:{most}[x] b:{most}[y]]"),
        "c:1*[a]",
        "c[x:1 x:2]",
        "c:9/0@1<2[a]",
    ] {
        let root = sketch::root(text, NOW);
        for currency in [eur(), usd.clone()] {
            let effect = Effect::of(Some(&root), &currency, &off, NOW);
            assert!(effect.is_ok_and(|effect| effect.only_stops()), "{text}");
        }
    }
    // A pause leaves less time to what goes on; nobody is asked about that.
    let shorter = Change::Deactivate { object: id("b") };
    let effect = of("c:100/0[a@2[x] b@30[y]]", &shorter).unwrap();
    assert!(effect.only_stops());
}

#[test]
fn a_new_object_concerns_what_is_above_it_and_shares_its_budget() {
    let create = Change::Create {
        under: Some(id("c")),
        node: Box::new(ad_set("new")),
    };
    let touched = |text| -> Vec<String> {
        let touched = of(text, &create).unwrap().touched;
        touched.iter().map(ToString::to_string).collect()
    };
    assert_eq!(touched("c[a:5[x]]"), ["c"]);
    assert_eq!(touched("c:5[a[x]]"), ["a", "c", "x"]);
}

#[test]
fn a_step_is_read_back_only_as_one() {
    let read = |text| serde_json::from_str::<Step>(text).is_ok();
    assert!(read(r#"{"before":1,"after":0}"#));
    for text in [
        r#"{"before":0,"after":1}"#,
        r#"{"before":-1,"after":1}"#,
        r#"{"before":2,"after":2}"#,
    ] {
        assert!(!read(text), "{text}");
    }
}

#[test]
fn what_spends_nothing_makes_no_budget_last_longer() {
    let ended = |day| {
        let idle = node("b").until(days(100)).over([node("b-ad").off()]);
        let top = node("c").with(lifetime(3_000, 0));
        top.over([ad_set("a").until(days(day)), idle])
    };
    // 3,000 more in two days, and not in a hundred.
    let more = effect(ended(2), &set_budget("c", lifetime(6_000, 0))).unwrap();
    assert_eq!(more.exposure_micros, micros(1_500));
}
