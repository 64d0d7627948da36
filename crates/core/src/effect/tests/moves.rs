//! Which amounts move, what is refused, and what is concerned.

use super::*;

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
