//! Spend roots as one line of text, for tests:
//! `c:200[a[ad] b@10~[ad2]]` is a campaign with 200 a day, an ad set with an
//! ad, and one that ends in ten days and is off.
//!
//! After an id, in any order: `:100` a daily budget, `:3000/2000` a lifetime
//! budget of which 2,000 are spent, `<2` begins in two days, `@10` ends in ten,
//! `~` is off, `!` is gone, `*` has a budget schedule, `[…]` stands above.

use std::iter::Peekable;
use std::str::Chars;

use jiff::{SignedDuration, Timestamp};

use super::{Budget, Node, SpendRoot, Switch};
use crate::money;
use crate::name::{Currency, ObjectId};

/// Reads a spend root in euros.
pub(crate) fn root(text: &str, now: Timestamp) -> SpendRoot {
    let mut rest = text.chars().peekable();
    let top = node(&mut rest, now);
    assert_eq!(rest.next(), None, "{text}");
    SpendRoot {
        currency: Currency::parse("EUR").unwrap(),
        top,
    }
}

fn node(rest: &mut Peekable<Chars<'_>>, now: Timestamp) -> Node {
    let id = word(rest, |sign| sign.is_ascii_alphanumeric() || sign == '_');
    let mut node = Node::bare(ObjectId::parse(&id).unwrap(), "object");
    while let Some(sign) = rest.next_if(|sign| ":<@~!*[".contains(*sign)) {
        match sign {
            ':' => node.budget = Some(budget(&word(rest, is_of_number))),
            '<' => node.starts_at = Some(now + days(&word(rest, is_of_number))),
            '@' => node.ends_at = Some(now + days(&word(rest, is_of_number))),
            '~' => node.switch = Switch::Off,
            '!' => node.switch = Switch::Gone,
            '*' => node.has_budget_schedule = true,
            _ => node.children = Some(children(rest, now)),
        }
    }
    node
}

fn children(rest: &mut Peekable<Chars<'_>>, now: Timestamp) -> Vec<Node> {
    let mut children = Vec::new();
    while rest.next_if_eq(&']').is_none() {
        if rest.next_if_eq(&' ').is_none() {
            children.push(node(rest, now));
        }
    }
    children
}

fn word(rest: &mut Peekable<Chars<'_>>, belongs: fn(char) -> bool) -> String {
    let mut word = String::new();
    while let Some(sign) = rest.next_if(|sign| belongs(*sign)) {
        word.push(sign);
    }
    word
}

fn is_of_number(sign: char) -> bool {
    sign.is_ascii_digit() || "./-".contains(sign)
}

/// `100` a day, `3000/2000` for life and spent.
pub(crate) fn budget(text: &str) -> Budget {
    match text.split_once('/') {
        None => Budget::Daily {
            amount_micros: money::micros(text).unwrap(),
        },
        Some((amount, spent)) => Budget::Lifetime {
            amount_micros: money::micros(amount).unwrap(),
            spent_micros: money::micros(spent).unwrap(),
        },
    }
}

/// That many days, in a decimal.
pub(crate) fn days(text: &str) -> SignedDuration {
    SignedDuration::from_micros(money::micros(text).unwrap() * 24 * 3600)
}
