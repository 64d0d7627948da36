//! Which amounts move, what is refused, and what is concerned.

use super::*;
use crate::effect::sketch::change;
use crate::spend_root::sketch;

/// What happens, the spend root, the change; rise and fall of daily and of
/// lifetime budgets.
const MOVES: &str = "
a live daily budget rises                     | c:200[a[x] b[y]]         | set c 250           | 50 0 0 0
a live daily budget falls                     | c:200[a[x] b[y]]         | set c 150           | 0 50 0 0
a paused campaign's budget charges nothing    | c:200~[a[x] b[y]]        | set c 900           | 0 0 0 0
a paused ad set's budget charges nothing      | c[a:50[x] d:30~[z]]      | set d 900           | 0 0 0 0
one ad set's budget alone                     | c[a:50[x] b:70[y]]       | set a 60            | 10 0 0 0
a campaign's one budget counts once           | c:200~[a[x] b[y] d~[z]]  | activate c          | 200 0 0 0
paused ad sets do not count                   | c~[a:50[x] b:70[y] d:30~[z]] | activate c      | 120 0 0 0
an ad set of a live campaign                  | c[a:50[x] d:30~[z]]      | activate d          | 30 0 0 0
an ad set of a paused campaign                | c~[a:50[x] d:30~[z]]     | activate d          | 0 0 0 0
an ad set under a live campaign budget        | c:200[a[x] d~[z]]        | activate d          | 0 0 0 0
the only ad of a live ad set                  | c[a:50[x~]]              | activate x          | 50 0 0 0
a second ad of a live ad set                  | c[a:50[x~ y]]            | activate x          | 0 0 0 0
an ad set without ads spends nothing          | c~[a:50[]]               | activate c          | 0 0 0 0
an ended ad set does not count                | c~[a:50@-1[x]]           | activate c          | 0 0 0 0
a shared budget in use already                | b:80[x y~]               | activate y          | 0 0 0 0
a shared budget without a user                | b:80[x~ y~]              | activate y          | 80 0 0 0
what is live already                          | c:200[a[x]]              | activate c          | 0 0 0 0
a pause                                       | c:200[a[x] b[y]]         | deactivate c        | 0 200 0 0
a pause of one of two                         | c[a:50[x] b:70[y]]       | deactivate a        | 0 50 0 0
a deletion                                    | c[a:50[x] b:70[y]]       | delete b            | 0 70 0 0
a lifetime budget rises                       | c:3000/2000@10[a[x]]     | set c 4000/0        | 0 0 1000 0
a lifetime budget becomes live as a whole     | c:3000/2000@10~[a[x]]    | activate c          | 0 0 3000 0
an end that moves on makes it live again      | c[a:50@-1[x]]            | end a 3             | 50 0 0 0
an end that moves on makes all live again     | c@-1[a:50[x] b:70[y] d:30~[z]] | end c 3       | 120 0 0 0
an end that comes sooner charges nothing      | c[a:100/0@10[x]]         | end a 2             | 0 0 0 0
created below a live parent it is live        | c[a:50[x]]               | create c n:40[y]    | 40 0 0 0
created paused it is not                      | c[a:50[x]]               | create c n:40~[y]   | 0 0 0 0
the first ad of a live ad set makes it live   | c[a:50[]]                | create a y          | 50 0 0 0
a root of its own is live at once             | c                        | create - n:40[y]    | 40 0 0 0
copies count each                             | c[a:50[x]]               | copy a 3 on         | 150 0 0 0
copies of a root are roots                    | c:200[a[x]]              | copy c 2 on         | 400 0 0 0
paused copies count nothing                   | c:200[a[x]]              | copy c 2 off        | 0 0 0 0
a bid is no budget                            | c:200[a[x]]              | bid c 1 9           | 0 0 0 0
";

#[test]
fn each_primitive_moves_what_becomes_live_and_nothing_else() {
    for [what, top, words, expected] in rows(MOVES) {
        let change = change(words, NOW);
        let root = sketch::root(top, NOW);
        let before = (!words.starts_with("create -")).then_some(&root);
        let effect = Effect::of(before, &eur(), &change, NOW);
        let effect = effect.unwrap_or_else(|error| panic!("{what}: {error}"));
        let expected: Vec<i64> = expected.split(' ').map(|it| it.parse().unwrap()).collect();
        assert_eq!(moves(&effect).to_vec(), expected, "{what}");
    }
}

/// The spend root, the change, and why not.
const REFUSALS: &str = "
c:200[a[x]]           | set a 10         | `a` has no budget of its own; its budget is that of `c`
c[a:50[x]]            | set c 10         | `c` has no budget of its own; its budget is that of `a`
c:200[a[x]]           | set c 10/0       | `c` has a daily budget, and that cannot be changed into a lifetime one
c:10/0@1[a[x]]        | set c 10         | `c` has a lifetime budget, and that cannot be changed into a daily one
c:200*[a[x]]          | set c 10         | `c` has a budget schedule, which changes its budget by itself
c*[a:5[x]]            | set a 10         | `c` has a budget schedule, which changes its budget by itself
c~[a:5*[x]]           | activate c       | `a` has a budget schedule, which changes its budget by itself
c:200*[a[x]]          | create a y       | `c` has a budget schedule, which changes its budget by itself
c:200*[a[x]]          | copy a 1 on      | `c` has a budget schedule, which changes its budget by itself
c[a[x]]               | create c n:5*[y] | `n` has a budget schedule, which changes its budget by itself
c:200[a[x]]           | activate e       | `e` is not part of what was read from the vendor
c:200[a[x]]           | set e 1          | `e` is not part of what was read from the vendor
c:200[a[x]]           | set c -1         | a budget is not below zero
c[a[x]]               | create c n:-1[y] | a budget is not below zero
c:200[a[x]]           | bid c 1 -1       | a bid is not below zero
c:200[a[x]]           | create c n:1[y]  | `n` has no budget of its own; its budget is that of `c`
c:200[a[x]]           | create c a       | `a` exists already
c:200[a[x]]           | copy a 0 off     | 1 to 100 copies can be made
c:200[a[x]]           | copy a 101 off   | 1 to 100 copies can be made
c!:200[a[x]]          | activate c       | `c` is archived or deleted
c!:200[a[x]]          | activate a       | `c` is archived or deleted
c!:200[a[x]]          | set c 1          | `c` is archived or deleted
c[a!:1[x] b[y]]       | copy a 1 on      | `a` is archived or deleted
";

#[test]
fn what_does_not_fit_is_refused_and_never_converted() {
    for [top, words, expected] in rows(REFUSALS) {
        let change = change(words, NOW);
        let root = sketch::root(top, NOW);
        let error = Effect::of(Some(&root), &eur(), &change, NOW).unwrap_err();
        assert_eq!(error.to_string(), expected, "{top} {words}");
    }
}

fn rows<const CELLS: usize>(table: &str) -> impl Iterator<Item = [&str; CELLS]> {
    table.trim().lines().map(|line| {
        let cells: Vec<_> = line.split(" | ").map(str::trim).collect();
        cells.try_into().unwrap()
    })
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
