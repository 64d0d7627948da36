//! From a vendor's rows to a spend root: every value is read exactly one way,
//! and what does not fit together refuses the whole. Pure.

pub(crate) mod account;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tenantry_core::name::{Currency, ObjectId};
use tenantry_core::spend_root::{Budget, Node, SpendRoot, Switch};
use tenantry_core::text;

use crate::answer;
use crate::plan::MoneyUnit;
use crate::plan::spend_root::{BudgetPlan, LevelPlan};

/// How vendors write moments: ISO 8601 with an offset, `2026-10-01T00:00:00+0200`.
pub(crate) const MOMENT: &str = "%Y-%m-%dT%H:%M:%S%z";

/// Meta's longest names have 400 characters.
pub(crate) const LONGEST_NAME: usize = 500;

/// A spend root, and what else its vendor said of the objects in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What holds and switches budgets.
    pub root: SpendRoot,
    /// The names that people gave, fit to be shown.
    pub names: BTreeMap<ObjectId, String>,
    /// The bids or their caps, in millionths of the major unit.
    pub bids_micros: BTreeMap<ObjectId, i64>,
    /// How objects are switched, in the vendor's words.
    pub words: BTreeMap<ObjectId, String>,
}

impl Snapshot {
    /// One object, as it was read.
    pub(crate) fn seen(&self, id: &ObjectId) -> Option<Seen<'_>> {
        let node = self.root.node(id)?;
        Some(Seen {
            budget: node.budget,
            switch: node.switch,
            word: self.words.get(id)?,
            bid_micros: self.bids_micros.get(id).copied(),
            ends_at: node.ends_at,
            name: self.names.get(id)?,
        })
    }

    /// An object, and before it what stands above it, the root first.
    pub(crate) fn path(&self, id: &ObjectId) -> Vec<ObjectId> {
        let above = self.root.path(id).unwrap_or_default();
        above.iter().map(|node| node.id.clone()).collect()
    }

    /// Everything that somebody configures. Names are not in it, nor what time
    /// alone changes, nor the order of lists.
    pub(crate) fn configured(&self) -> Value {
        json!([
            self.root.currency,
            self.bids_micros,
            configured(&self.root.top)
        ])
    }
}

/// What an object says of itself, of all that a change could set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'s> {
    pub budget: Option<Budget>,
    pub switch: Switch,
    /// The vendor's word for the switch.
    pub word: &'s str,
    pub bid_micros: Option<i64>,
    pub ends_at: Option<Timestamp>,
    pub name: &'s str,
}

/// A budget without what is spent of it.
pub(crate) fn unspent(budget: Budget) -> Budget {
    match budget {
        Budget::Daily { .. } => budget,
        Budget::Lifetime { amount_micros, .. } => Budget::Lifetime {
            amount_micros,
            spent_micros: 0,
        },
    }
}

fn configured(node: &Node) -> Value {
    // Named one by one: a field that is new must be thought of here.
    let own = Node {
        id: node.id.clone(),
        kind: node.kind.clone(),
        switch: node.switch,
        starts_at: node.starts_at,
        ends_at: node.ends_at,
        budget: node.budget.map(unspent),
        has_budget_schedule: node.has_budget_schedule,
        children: None,
    };
    let below = node.children.as_ref().map(|children| {
        let by_id: BTreeMap<&ObjectId, &Node> =
            children.iter().map(|child| (&child.id, child)).collect();
        by_id.into_values().map(configured).collect::<Vec<_>>()
    });
    json!([own, below])
}

/// How amounts are written.
#[derive(Clone, Copy)]
pub(crate) struct Amounts<'a> {
    pub unit: MoneyUnit,
    pub currency: &'a Currency,
}

/// One object as a row describes it, without what stands below it.
#[derive(Debug)]
pub(crate) struct Row {
    pub node: Node,
    /// What stands right above it; the root has nothing.
    pub parent: Option<ObjectId>,
    pub name: String,
    pub bid_micros: Option<i64>,
    /// The vendor's word for the switch.
    pub word: String,
}

impl Row {
    pub fn seen(&self) -> Seen<'_> {
        Seen {
            budget: self.node.budget,
            switch: self.node.switch,
            word: &self.word,
            bid_micros: self.bid_micros,
            ends_at: self.node.ends_at,
            name: &self.name,
        }
    }
}

/// Reads one object of a level.
pub(crate) fn read(
    level: &LevelPlan,
    amounts: Amounts<'_>,
    id: &ObjectId,
    parent: Option<ObjectId>,
    row: &Value,
) -> Result<Row, String> {
    let odd = |field: &str| {
        format!(
            "field `{field}` of {} `{id}` has an unexpected value",
            level.kind
        )
    };
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    let word = text(&level.switch_field).ok_or_else(|| odd(&level.switch_field))?;
    // A word that nobody explained could mean that money is spent.
    let switch = level
        .switches
        .get(word)
        .ok_or_else(|| odd(&level.switch_field))?;
    let moment = |field: &Option<String>| match field {
        Some(field) => moment(row.get(field)).map_err(|Odd| odd(field)),
        None => Ok(None),
    };
    let bid = |field: &String| amount(amounts, row.get(field)).map_err(|Odd| odd(field));
    let budget = level.budget.as_ref();
    let scheduled = budget.and_then(|budget| budget.scheduled.as_deref());
    let name = text(&level.name_field).unwrap_or_default();
    Ok(Row {
        node: Node {
            kind: level.kind.clone(),
            switch: *switch,
            starts_at: moment(&level.starts_field)?,
            ends_at: moment(&level.ends_field)?,
            budget: match budget {
                Some(plan) => self::budget(plan, amounts, row).map_err(|field| odd(&field))?,
                None => None,
            },
            has_budget_schedule: match scheduled {
                Some(field) => flag(row.get(field)).map_err(|Odd| odd(field))?,
                None => false,
            },
            ..Node::bare(id.clone(), "")
        },
        parent,
        name: text::presentable(name, LONGEST_NAME),
        bid_micros: level.bid_field.as_ref().map(bid).transpose()?.flatten(),
        word: word.to_owned(),
    })
}

/// The objects of all levels, put together; `below` goes from the level right
/// below the root to the lowest one, whose objects spend by themselves.
pub(crate) fn assemble(
    currency: Currency,
    top: Row,
    below: Vec<Vec<Row>>,
) -> Result<Snapshot, String> {
    let mut names = BTreeMap::new();
    let mut bids_micros = BTreeMap::new();
    let mut words = BTreeMap::new();
    let mut note = |row: &Row| {
        let id = &row.node.id;
        words.insert(id.clone(), row.word.clone());
        bids_micros.extend(row.bid_micros.map(|bid| (id.clone(), bid)));
        match names.insert(id.clone(), row.name.clone()) {
            Some(_) => Err(format!("`{id}` stands twice")),
            None => Ok(()),
        }
    };
    let mut children: Option<BTreeMap<ObjectId, Vec<Node>>> = None;
    for level in below.into_iter().rev() {
        let mut families: BTreeMap<ObjectId, Vec<Node>> = BTreeMap::new();
        for mut row in level {
            note(&row)?;
            row.node.children = take(&mut children, &row.node.id);
            let parent = row.parent.ok_or("an object has nothing above it")?;
            families.entry(parent).or_default().push(row.node);
        }
        refuse_orphans(children.as_ref())?;
        children = Some(families);
    }
    note(&top)?;
    let mut root = top.node;
    root.children = take(&mut children, &root.id);
    refuse_orphans(children.as_ref())?;
    Ok(Snapshot {
        root: SpendRoot {
            currency,
            top: root,
        },
        names,
        bids_micros,
        words,
    })
}

/// One object below its root, where nothing else could be read.
pub(crate) fn alone(
    currency: Currency,
    root: ObjectId,
    kind: &str,
    row: Row,
) -> Result<Snapshot, String> {
    if row.node.id == root {
        return assemble(currency, row, Vec::new());
    }
    let top = Row {
        node: Node::bare(root.clone(), kind),
        parent: None,
        name: String::new(),
        bid_micros: None,
        word: String::new(),
    };
    let parent = Some(root);
    assemble(currency, top, vec![vec![Row { parent, ..row }]])
}

/// What stands below an object; at the lowest level there is no below.
fn take(children: &mut Option<BTreeMap<ObjectId, Vec<Node>>>, id: &ObjectId) -> Option<Vec<Node>> {
    let families = children.as_mut()?;
    Some(families.remove(id).unwrap_or_default())
}

/// What appeared between two questions is not left out.
fn refuse_orphans(children: Option<&BTreeMap<ObjectId, Vec<Node>>>) -> Result<(), String> {
    match children.and_then(BTreeMap::first_key_value) {
        Some((parent, _)) => Err(format!(
            "something stands below `{parent}`, which was not listed"
        )),
        None => Ok(()),
    }
}

/// The budget, or the field that cannot be read.
fn budget(plan: &BudgetPlan, amounts: Amounts<'_>, row: &Value) -> Result<Option<Budget>, String> {
    let read = |field: &String| amount(amounts, row.get(field)).map_err(|Odd| field.clone());
    match (read(&plan.daily)?, read(&plan.lifetime)?) {
        (None, None) => Ok(None),
        (Some(amount_micros), None) => Ok(Some(Budget::Daily { amount_micros })),
        (None, Some(amount_micros)) => {
            // Zero is a word of the vendor's; silence would count as nothing
            // that can still be spent.
            if row.get(&plan.remaining).is_none_or(Value::is_null) {
                return Err(plan.remaining.clone());
            }
            let left = read(&plan.remaining)?.unwrap_or(0);
            let spent_micros = amount_micros.checked_sub(left).filter(|spent| *spent >= 0);
            Ok(Some(Budget::Lifetime {
                amount_micros,
                spent_micros: spent_micros.ok_or_else(|| plan.remaining.clone())?,
            }))
        }
        (Some(_), Some(_)) => Err(plan.lifetime.clone()),
    }
}

/// A value that is not in its documented form.
struct Odd;

/// An amount; an absent one and zero are none.
fn amount(amounts: Amounts<'_>, value: Option<&Value>) -> Result<Option<i64>, Odd> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let money = answer::money(amounts.unit, value, amounts.currency.clone()).ok_or(Odd)?;
    match money.amount_micros() {
        below if below < 0 => Err(Odd),
        0 => Ok(None),
        micros => Ok(Some(micros)),
    }
}

fn moment(value: Option<&Value>) -> Result<Option<Timestamp>, Odd> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let text = value.as_str().ok_or(Odd)?;
    let moment = Timestamp::strptime(MOMENT, text).map_err(|_| Odd)?;
    // Meta keeps "never" as 0, and shows it as the beginning of its time.
    Ok((moment > Timestamp::UNIX_EPOCH).then_some(moment))
}

/// Vendors leave out what is not so.
fn flag(value: Option<&Value>) -> Result<bool, Odd> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or(Odd),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenantry_core::money::MinorUnit;

    use super::*;

    fn id(text: &str) -> ObjectId {
        ObjectId::parse(text).unwrap()
    }

    fn level() -> LevelPlan {
        let switches = [("ON", Switch::On), ("OFF", Switch::Off)];
        LevelPlan {
            kind: "ad_set".into(),
            name_field: "name".into(),
            switch_field: "status".into(),
            switches: switches
                .map(|(word, switch)| (word.to_owned(), switch))
                .into(),
            starts_field: None,
            on_word: "ON".into(),
            off_word: "OFF".into(),
            ends_field: Some("ends".into()),
            budget: Some(BudgetPlan {
                daily: "daily".into(),
                lifetime: "lifetime".into(),
                remaining: "left".into(),
                scheduled: Some("scheduled".into()),
            }),
            create: None,
            bid_field: Some("bid".into()),
        }
    }

    fn row(fields: &Value) -> Result<Row, String> {
        let mut row = json!({"status": "ON"});
        let all = row.as_object_mut().unwrap();
        all.extend(fields.as_object().unwrap().clone());
        let amounts = Amounts {
            unit: MoneyUnit::Minor(MinorUnit::Meta),
            currency: &Currency::parse("EUR").unwrap(),
        };
        read(&level(), amounts, &id("1"), None, &row)
    }

    #[test]
    fn a_lifetime_budget_has_spent_what_is_not_left() {
        let budget = |fields: Value| row(&fields).unwrap().node.budget;
        let lifetime = |spent_micros| {
            Some(Budget::Lifetime {
                amount_micros: 100_000_000,
                spent_micros,
            })
        };
        assert_eq!(
            budget(json!({"lifetime": "10000", "left": "2500"})),
            lifetime(75_000_000)
        );
        assert_eq!(
            budget(json!({"lifetime": "10000", "left": "0"})),
            lifetime(100_000_000)
        );
        assert_eq!(
            budget(json!({"lifetime": "10000", "daily": "0", "left": 10_000})),
            lifetime(0)
        );
        let daily = Some(Budget::Daily {
            amount_micros: 500_000,
        });
        assert_eq!(budget(json!({"daily": "50", "lifetime": "0"})), daily);
        assert_eq!(budget(json!({"daily": null, "left": "3"})), None);
    }

    #[test]
    fn a_value_that_is_not_as_documented_refuses_the_row() {
        let cases = [
            (json!({"status": "RUNNING"}), "status"),
            (json!({"status": null}), "status"),
            (json!({"daily": "50", "lifetime": "50"}), "lifetime"),
            (json!({"daily": "-50"}), "daily"),
            (json!({"daily": "0.5"}), "daily"),
            (json!({"daily": 0.5}), "daily"),
            (json!({"daily": "9223372036854775807"}), "daily"),
            (json!({"lifetime": "50", "left": "51"}), "left"),
            // Nothing left would count as nothing that can be spent.
            (json!({"lifetime": "50"}), "left"),
            (json!({"lifetime": "50", "left": null}), "left"),
            (json!({"ends": "tomorrow"}), "ends"),
            (json!({"ends": 0}), "ends"),
            (json!({"ends": "2026-10-01T00:00:00"}), "ends"),
            (json!({"scheduled": "no"}), "scheduled"),
            (json!({"bid": "a lot"}), "bid"),
        ];
        for (fields, odd) in cases {
            let problem = format!("field `{odd}` of ad_set `1` has an unexpected value");
            assert_eq!(row(&fields).unwrap_err(), problem, "{fields}");
        }
    }

    #[test]
    fn moments_names_and_bids_are_read() {
        let read = row(
            &json!({"ends": "2026-10-01T00:00:00+0200", "name": "a\nb", "bid": "250", "scheduled": true}),
        );
        let read = read.unwrap();
        assert_eq!(
            read.node.ends_at,
            Some("2026-09-30T22:00:00Z".parse().unwrap())
        );
        assert_eq!(
            (read.name.as_str(), read.bid_micros),
            (r"a\u{a}b", Some(2_500_000))
        );
        assert!(read.node.has_budget_schedule);
    }

    #[test]
    fn the_beginning_of_time_is_no_end() {
        for never in ["1970-01-01T00:00:00+0000", "1969-12-31T15:59:59-0800"] {
            let read = row(&json!({"ends": never})).unwrap();
            assert_eq!(read.node.ends_at, None, "{never}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let at = |own: &str, parent: Option<&str>| Row {
            node: Node::bare(id(own), ""),
            parent: parent.map(id),
            name: String::new(),
            bid_micros: None,
            word: String::new(),
        };
        let put = |below| assemble(Currency::parse("EUR").unwrap(), at("1", None), below);
        let whole = put(vec![
            vec![at("2", Some("1")), at("3", Some("1"))],
            vec![at("4", Some("3"))],
        ]);
        let children = |node: &Node| node.children.as_ref().map(Vec::len);
        let top = whole.unwrap().root.top;
        assert_eq!(children(&top), Some(2));
        let below: Vec<_> = top.children.iter().flatten().map(children).collect();
        // What has nothing below it spends nothing; the lowest spend by themselves.
        assert_eq!(below, [Some(0), Some(1)]);
        let orphans = [
            vec![vec![at("2", Some("1"))], vec![at("4", Some("3"))]],
            vec![vec![at("2", Some("9"))], vec![]],
            vec![vec![at("2", None)], vec![]],
            vec![vec![at("2", Some("1"))], vec![at("2", Some("2"))]],
            vec![vec![at("1", Some("1"))], vec![]],
        ];
        for below in orphans {
            put(below).unwrap_err();
        }
    }
}
