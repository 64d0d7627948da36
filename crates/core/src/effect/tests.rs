use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::spend_root::Node;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn days(count: i64) -> Timestamp {
    NOW + SignedDuration::from_hours(24 * count)
}

fn id(text: &str) -> ObjectId {
    ObjectId::parse(text).unwrap()
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

/// Millionths of that many euros.
fn micros(major: i64) -> i64 {
    major * 1_000_000
}

fn daily(major: i64) -> Budget {
    Budget::Daily {
        amount_micros: micros(major),
    }
}

fn lifetime(major: i64, spent: i64) -> Budget {
    Budget::Lifetime {
        amount_micros: micros(major),
        spent_micros: micros(spent),
    }
}

/// An object that is on, with nothing below it yet.
fn node(name: &str) -> Node {
    Node {
        id: id(name),
        kind: "object".into(),
        switch: Switch::On,
        starts_at: None,
        ends_at: None,
        budget: None,
        has_budget_schedule: false,
        children: None,
    }
}

impl Node {
    fn off(mut self) -> Self {
        self.switch = Switch::Off;
        self
    }

    fn with(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    fn until(mut self, end: Timestamp) -> Self {
        self.ends_at = Some(end);
        self
    }

    fn over(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children = Some(children.into_iter().collect());
        self
    }

    fn scheduled(mut self) -> Self {
        self.has_budget_schedule = true;
        self
    }
}

/// An ad set with one ad that is on.
fn ad_set(name: &str) -> Node {
    node(name).over([node(&format!("{name}-ad"))])
}

fn root(top: Node) -> SpendRoot {
    SpendRoot {
        currency: eur(),
        top,
    }
}

fn effect(top: Node, change: &Change) -> Result<Effect, Impossible> {
    Effect::of(Some(&root(top)), &eur(), change, NOW)
}

fn set_budget(object: &str, budget: Budget) -> Change {
    Change::SetBudget {
        object: id(object),
        budget,
    }
}

fn activate(object: &str) -> Change {
    Change::Activate { object: id(object) }
}

fn end_at(object: &str, end: Option<Timestamp>) -> Change {
    Change::SetSchedule {
        object: id(object),
        starts_at: None,
        ends_at: Some(end),
    }
}

/// Rise and fall of daily and of lifetime budgets, in whole euros.
fn moves(effect: &Effect) -> [i64; 4] {
    let Effect {
        daily, lifetime, ..
    } = effect;
    [
        daily.increase_micros,
        daily.decrease_micros,
        lifetime.increase_micros,
        lifetime.decrease_micros,
    ]
    .map(|amount| amount / 1_000_000)
}

/// Campaign budget, ad sets and ads: Meta's CBO.
fn cbo() -> Node {
    node("c")
        .with(daily(200))
        .over([ad_set("a"), ad_set("b"), ad_set("d").off()])
}

/// Budgets on the ad sets: Meta's ABO.
fn abo() -> Node {
    node("c").over([
        ad_set("a").with(daily(50)),
        ad_set("b").with(daily(70)),
        ad_set("d").with(daily(30)).off(),
    ])
}

#[test]
fn each_primitive_moves_what_becomes_live_and_nothing_else() {
    let shared = |one: Node, other: Node| node("budget").with(daily(80)).over([one, other]);
    let cases: Vec<(&str, Node, Change, [i64; 4])> = vec![
        (
            "a live daily budget rises",
            cbo(),
            set_budget("c", daily(250)),
            [50, 0, 0, 0],
        ),
        (
            "a live daily budget falls",
            cbo(),
            set_budget("c", daily(150)),
            [0, 50, 0, 0],
        ),
        (
            "a paused campaign's budget charges nothing",
            cbo().off(),
            set_budget("c", daily(900)),
            [0; 4],
        ),
        (
            "a paused ad set's budget charges nothing",
            abo(),
            set_budget("d", daily(900)),
            [0; 4],
        ),
        (
            "one ad set's budget alone",
            abo(),
            set_budget("a", daily(60)),
            [10, 0, 0, 0],
        ),
        (
            "a campaign's one budget counts once",
            cbo().off(),
            activate("c"),
            [200, 0, 0, 0],
        ),
        (
            "paused ad sets do not count",
            abo().off(),
            activate("c"),
            [120, 0, 0, 0],
        ),
        (
            "an ad set of a live campaign",
            abo(),
            activate("d"),
            [30, 0, 0, 0],
        ),
        (
            "an ad set of a paused campaign",
            abo().off(),
            activate("d"),
            [0; 4],
        ),
        (
            "an ad set under a live campaign budget",
            cbo(),
            activate("d"),
            [0; 4],
        ),
        (
            "the only ad of a live ad set counts its ad set",
            node("c").over([node("a").with(daily(50)).over([node("ad").off()])]),
            activate("ad"),
            [50, 0, 0, 0],
        ),
        (
            "a second ad of a live ad set counts nothing",
            node("c").over([node("a")
                .with(daily(50))
                .over([node("ad").off(), node("ad2")])]),
            activate("ad"),
            [0; 4],
        ),
        (
            "an ad set without ads spends nothing",
            node("c").off().over([node("a").with(daily(50)).over([])]),
            activate("c"),
            [0; 4],
        ),
        (
            "an ended ad set does not count",
            node("c")
                .off()
                .over([ad_set("a").with(daily(50)).until(days(-1))]),
            activate("c"),
            [0; 4],
        ),
        (
            "a shared budget in use already",
            shared(node("x"), node("y").off()),
            activate("y"),
            [0; 4],
        ),
        (
            "a shared budget without a user",
            shared(node("x").off(), node("y").off()),
            activate("y"),
            [80, 0, 0, 0],
        ),
        ("what is live already", cbo(), activate("c"), [0; 4]),
        (
            "a pause",
            cbo(),
            Change::Deactivate { object: id("c") },
            [0, 200, 0, 0],
        ),
        (
            "a pause of one of two",
            abo(),
            Change::Deactivate { object: id("a") },
            [0, 50, 0, 0],
        ),
        (
            "a deletion",
            abo(),
            Change::Delete { object: id("b") },
            [0, 70, 0, 0],
        ),
        (
            "a lifetime budget rises",
            node("c")
                .with(lifetime(3_000, 2_000))
                .until(days(10))
                .over([ad_set("a")]),
            set_budget("c", lifetime(4_000, 0)),
            [0, 0, 1_000, 0],
        ),
        (
            "a lifetime budget becomes live as a whole",
            node("c")
                .off()
                .with(lifetime(3_000, 2_000))
                .until(days(10))
                .over([ad_set("a")]),
            activate("c"),
            [0, 0, 3_000, 0],
        ),
        (
            "an end that moves on makes it live again",
            node("c").over([ad_set("a").with(daily(50)).until(days(-1))]),
            end_at("a", Some(days(3))),
            [50, 0, 0, 0],
        ),
        (
            "an end that comes sooner charges nothing",
            node("c").over([ad_set("a").with(lifetime(100, 0)).until(days(10))]),
            end_at("a", Some(days(2))),
            [0; 4],
        ),
        (
            "created below a live parent it is live",
            abo(),
            Change::Create {
                under: Some(id("c")),
                node: Box::new(ad_set("new").with(daily(40))),
            },
            [40, 0, 0, 0],
        ),
        (
            "created paused it is not",
            abo(),
            Change::Create {
                under: Some(id("c")),
                node: Box::new(ad_set("new").with(daily(40)).off()),
            },
            [0; 4],
        ),
        (
            "the first ad of a live ad set makes it live",
            node("c").over([node("a").with(daily(50)).over([])]),
            Change::Create {
                under: Some(id("a")),
                node: Box::new(node("ad")),
            },
            [50, 0, 0, 0],
        ),
        (
            "copies count each",
            abo(),
            Change::Copy {
                object: id("a"),
                times: 3,
                switch: Switch::On,
            },
            [150, 0, 0, 0],
        ),
        (
            "copies of a root are roots",
            cbo(),
            Change::Copy {
                object: id("c"),
                times: 2,
                switch: Switch::On,
            },
            [400, 0, 0, 0],
        ),
        (
            "paused copies count nothing",
            cbo(),
            Change::Copy {
                object: id("c"),
                times: 2,
                switch: Switch::Off,
            },
            [0; 4],
        ),
    ];
    for (what, top, change, expected) in cases {
        let effect = effect(top, &change).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(moves(&effect), expected, "{what}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_never_converted() {
    let cases: Vec<(Node, Change, &str)> = vec![
        (
            cbo(),
            set_budget("a", daily(10)),
            "`a` has no budget of its own; its budget is that of `c`",
        ),
        (
            abo(),
            set_budget("c", daily(10)),
            "`c` has no budget of its own; its budget is that of `a`",
        ),
        (
            cbo(),
            set_budget("c", lifetime(10, 0)),
            "`c` has a daily budget, and that cannot be changed into a lifetime one",
        ),
        (
            node("c")
                .with(lifetime(10, 0))
                .until(days(1))
                .over([ad_set("a")]),
            set_budget("c", daily(10)),
            "`c` has a lifetime budget, and that cannot be changed into a daily one",
        ),
        (
            cbo().scheduled(),
            set_budget("c", daily(10)),
            "`c` has a budget schedule, which changes its budget by itself",
        ),
        (
            node("c").scheduled().over([ad_set("a").with(daily(5))]),
            set_budget("a", daily(10)),
            "`c` has a budget schedule, which changes its budget by itself",
        ),
        (
            node("c")
                .off()
                .over([ad_set("a").with(daily(5)).scheduled()]),
            activate("c"),
            "`a` has a budget schedule, which changes its budget by itself",
        ),
        (
            cbo(),
            activate("elsewhere"),
            "`elsewhere` is not part of what was read from the vendor",
        ),
        (
            cbo(),
            set_budget("elsewhere", daily(1)),
            "`elsewhere` is not part of what was read from the vendor",
        ),
        (
            cbo(),
            set_budget("c", daily(-1)),
            "a budget is not below zero",
        ),
        (
            cbo(),
            Change::Create {
                under: Some(id("c")),
                node: Box::new(ad_set("new").with(daily(1))),
            },
            "`new` has no budget of its own; its budget is that of `c`",
        ),
        (
            cbo(),
            Change::Create {
                under: Some(id("c")),
                node: Box::new(node("a")),
            },
            "`a` exists already",
        ),
        (
            cbo(),
            Change::Copy {
                object: id("a"),
                times: 0,
                switch: Switch::Off,
            },
            "1 to 100 copies can be made",
        ),
        (
            cbo(),
            Change::Copy {
                object: id("a"),
                times: 101,
                switch: Switch::Off,
            },
            "1 to 100 copies can be made",
        ),
    ];
    for (top, change, expected) in cases {
        let error = effect(top, &change).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let mut gone = cbo();
    gone.switch = Switch::Gone;
    for change in [activate("c"), activate("a"), set_budget("c", daily(1))] {
        assert_eq!(
            effect(gone.clone(), &change),
            Err(Impossible::Gone(id("c")))
        );
    }
}

#[test]
fn an_amount_in_another_currency_is_no_amount() {
    let usd = Currency::parse("USD").unwrap();
    let error = Effect::of(Some(&root(cbo())), &usd, &activate("c"), NOW).unwrap_err();
    assert!(matches!(error, Impossible::Meaningless(_)), "{error}");
}

#[test]
fn sums_beyond_every_amount_are_refused() {
    let most = Budget::Daily {
        amount_micros: i64::MAX,
    };
    let top = node("c")
        .off()
        .over([ad_set("a").with(most), ad_set("b").with(most)]);
    assert_eq!(effect(top, &activate("c")), Err(Impossible::Range));
}

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

#[test]
fn everything_that_shares_the_budget_is_touched() {
    let touched = |top, change: &Change| {
        let touched = effect(top, change).unwrap().touched;
        touched
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(touched(cbo(), &activate("d")), "a a-ad b b-ad c d d-ad");
    assert_eq!(touched(abo(), &activate("d")), "c d d-ad");
    assert_eq!(touched(abo(), &activate("c")), "a a-ad b b-ad c d d-ad");
}

fn tree() -> impl Strategy<Value = Node> {
    let ad = any::<bool>();
    let set = (
        any::<bool>(),
        0..1_000_i64,
        proptest::collection::vec(ad, 0..3),
        -3..5_i64,
    );
    (
        any::<bool>(),
        any::<bool>(),
        proptest::collection::vec(set, 0..4),
    )
        .prop_map(|(is_on, is_cbo, sets)| {
            let sets = sets
                .into_iter()
                .enumerate()
                .map(|(at, (on, amount, ads, end))| {
                    let ads = ads.into_iter().enumerate().map(|(ad, on)| {
                        let ad = node(&format!("s{at}-{ad}"));
                        if on { ad } else { ad.off() }
                    });
                    let mut set = node(&format!("s{at}")).until(days(end)).over(ads);
                    if !is_cbo {
                        set = set.with(daily(amount));
                    }
                    if on { set } else { set.off() }
                });
            let mut top = node("c").over(sets.collect::<Vec<_>>());
            if is_cbo {
                top = top.with(daily(500));
            }
            if is_on { top } else { top.off() }
        })
}

proptest! {
    /// Whatever order things are switched on in, together they charge what is
    /// live at the end: no order makes money free.
    #[test]
    fn no_order_of_switching_on_makes_money_free(top in tree(), order in any::<u64>()) {
        let mut ids: Vec<_> = top.family().map(|node| node.id.clone()).collect();
        ids.sort_by_key(|id| {
            let text = format!("{order}{id}");
            crate::digest::Digest::of(text.as_bytes()).to_string()
        });
        let live = |root: &SpendRoot| -> i64 {
            let budgets = root.budgets(NOW);
            budgets.values().filter(|placed| placed.is_live).map(|placed| placed.budget.amount_micros()).sum()
        };
        let mut root = root(top);
        let before = live(&root);
        let mut charged = 0;
        for object in ids {
            let change = Change::Activate { object };
            charged += Effect::of(Some(&root), &eur(), &change, NOW).unwrap().daily.increase_micros;
            root = apply::apply(Some(&root), &eur(), &change).unwrap();
        }
        prop_assert_eq!(charged, live(&root) - before);
    }

    /// Rise and fall are the difference of what is live, whatever the change.
    #[test]
    fn a_pause_and_its_inverse_cancel(top in tree(), pick in any::<prop::sample::Index>()) {
        let ids: Vec<_> = top.family().map(|node| node.id.clone()).collect();
        let object = pick.get(&ids).clone();
        let mut top = top;
        let mut start = root(top.clone());
        start.node_mut(&object).unwrap().switch = Switch::On;
        top = start.top;
        let off = Change::Deactivate { object: object.clone() };
        let down = effect(top.clone(), &off).unwrap();
        let paused = apply::apply(Some(&root(top)), &eur(), &off).unwrap();
        let up = effect(paused.top, &Change::Activate { object }).unwrap();
        prop_assert_eq!(down.daily.decrease_micros, up.daily.increase_micros);
        prop_assert_eq!(down.daily.increase_micros, 0);
    }

    /// A limit in percent is met exactly: at it nothing rises over it, one
    /// millionth beyond it does.
    #[test]
    fn a_percentage_is_exact(before in 1..1_000_000_i64, percent in 0..1_000_u32) {
        let before = i128::from(before) * 100;
        let limit = before + before / 100 * i128::from(percent);
        let at = Step::between(before, limit);
        prop_assert!(at.is_none_or(|step| !step.rises_over(percent)));
        prop_assert!(Step::between(before, limit + 1).unwrap().rises_over(percent));
    }
}
