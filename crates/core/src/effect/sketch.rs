//! Changes as words, for tests.

use jiff::Timestamp;

use super::{BidChange, Change};
use crate::money;
use crate::name::ObjectId;
use crate::spend_root::{Switch, sketch};

/// `set c 150`, `set c 4000/0`, `end c 2`, `end c never`, `start c 3`,
/// `activate c`, `deactivate c`, `delete c`, `create c new:40[ad]` below `c`,
/// `create - new:40[ad]` as a root, `copy a 3 on`, `bid c 1.00 none`.
pub(crate) fn change(text: &str, now: Timestamp) -> Change {
    let all: Vec<&str> = text.splitn(3, ' ').collect();
    let (verb, object) = (all[0], all[1]);
    let rest = all.get(2).copied().unwrap_or_default();
    let pair = || rest.split_once(' ').unwrap();
    let when = || (rest != "never").then(|| now + sketch::days(rest));
    let amount = |text: &str| (text != "none").then(|| money::micros(text).unwrap());
    let id = |text: &str| ObjectId::parse(text).unwrap();
    match verb {
        "set" => Change::SetBudget {
            object: id(object),
            budget: sketch::budget(rest),
        },
        "end" | "start" => Change::SetSchedule {
            object: id(object),
            starts_at: (verb == "start").then(when),
            ends_at: (verb == "end").then(when),
        },
        "activate" => Change::Activate { object: id(object) },
        "deactivate" => Change::Deactivate { object: id(object) },
        "delete" => Change::Delete { object: id(object) },
        "create" => Change::Create {
            under: (object != "-").then(|| id(object)),
            node: Box::new(sketch::root(rest, now).top),
        },
        "copy" => Change::Copy {
            object: id(object),
            times: pair().0.parse().unwrap(),
            switch: if pair().1 == "on" {
                Switch::On
            } else {
                Switch::Off
            },
        },
        "bid" => Change::SetBid {
            object: id(object),
            bid: BidChange {
                before_micros: amount(pair().0),
                after_micros: amount(pair().1),
            },
        },
        _ => panic!("nobody can `{text}`"),
    }
}
