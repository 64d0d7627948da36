//! What can be spent a day from everything of a root that is live.

use super::*;
use crate::effect::active_daily;
use crate::spend_root::sketch;

fn active(text: &str) -> Result<i64, Impossible> {
    active_daily(&sketch::root(text, NOW), NOW)
}

#[test]
fn what_is_live_counts_and_nothing_else() {
    for (root, expected) in [
        ("c:200[a[ad] b[ad2]]", 200),
        ("c[a:20[ad] b:30[ad2]]", 50),
        ("c[a:20[ad] b~:30[ad2]]", 20),
        ("c[a:20[ad] b!:30[ad2]]", 20),
        ("c~[a:20[ad] b:30[ad2]]", 0),
        ("c[a:20[ad~] b:30[]]", 0),
        ("c:200[a[ad~]]", 0),
        ("c@-1:200[a[ad]]", 0),
        ("c[a@-1:20[ad] b:30[ad2]]", 30),
        // Nobody is asked again when it begins.
        ("c<3:200[a[ad]]", 200),
        ("c[]", 0),
    ] {
        assert_eq!(active(root), Ok(micros(expected)), "{root}");
    }
}

#[test]
fn a_lifetime_budget_counts_what_is_left_for_each_day_that_is_left() {
    for (root, expected) in [
        ("c:3000/2000@10[a[ad]]", 100),
        ("c:3000/2000<5@10[a[ad]]", 200),
        ("c:3000/2000[a@10[ad]]", 100),
        // All of it may go in one day.
        ("c:3000/2000[a[ad]]", 3_000),
        ("c:3000/2000@1[a[ad]]", 1_000),
        ("c:3000/3000@10[a[ad]]", 0),
        ("c:3000/2000@10[a[ad~]]", 0),
    ] {
        assert_eq!(active(root), Ok(micros(expected)), "{root}");
    }
}

#[test]
fn nothing_is_told_of_what_rises_by_itself() {
    for (root, whose) in [("c*:200[a[ad]]", "c"), ("c[a*:20[ad] b:30[ad2]]", "a")] {
        assert_eq!(
            active(root),
            Err(Impossible::Scheduled(id(whose))),
            "{root}"
        );
    }
    assert_eq!(active("c*~:200[a[ad]]"), Ok(0));
}

#[test]
fn a_sum_beyond_every_number_is_none() {
    let most = "9223372036854";
    let root = format!("c[a:{most}[ad] b:{most}[ad2]]");
    assert_eq!(active(&root), Err(Impossible::Range));
}
