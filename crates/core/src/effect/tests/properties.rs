//! What holds for every spend root.

use proptest::prelude::*;

use super::*;

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
