//! A spend root of the tables, as a campaign with ad sets and ads at the fake.

use std::iter::Peekable;
use std::str::Chars;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tenantry_fakes::meta::{FakeMeta, Kind};

use crate::line::{id, micros};
use crate::moment::NOW;

/// Micros of a cent: what Meta has none of is no amount there.
pub const CENT: i64 = 10_000;

/// How Meta writes times.
const WRITTEN: &str = "%Y-%m-%dT%H:%M:%S%z";

/// A budget.
#[derive(Clone, Copy)]
pub struct Budget {
    /// For a whole life, or for a day.
    pub is_lifetime: bool,
    /// How much.
    pub micros: i64,
    spent_micros: i64,
}

/// An object and what is below it.
#[derive(Default)]
pub struct Node {
    /// By what the tables call it.
    pub name: String,
    /// What stands on it.
    pub budget: Option<Budget>,
    /// What it bids.
    pub bid_micros: Option<i64>,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    status: Option<&'static str>,
    is_scheduled: bool,
    children: Vec<Self>,
}

impl Budget {
    /// `100` a day, `3000/2000` for life and spent.
    pub fn read(text: &str) -> Self {
        match text.split_once('/') {
            None => Self {
                is_lifetime: false,
                micros: micros(text),
                spent_micros: 0,
            },
            Some((amount, spent)) => Self {
                is_lifetime: true,
                micros: micros(amount),
                spent_micros: micros(spent),
            },
        }
    }
}

impl Node {
    /// Reads a sketch; every ad set gets an ad that runs, where none is drawn.
    pub fn read(text: &str) -> Self {
        let mut top = node(&mut text.chars().peekable());
        if top.children.is_empty() {
            top.children.push(Self::named(&format!("{}s", top.name)));
        }
        for ad_set in &mut top.children {
            if ad_set.children.is_empty() {
                let ad = Self::named(&format!("{}a", ad_set.name));
                ad_set.children.push(ad);
            }
        }
        top
    }

    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// An object of the tree, and what it is at Meta.
    pub fn find(&self, name: &str) -> Option<(&Self, Kind)> {
        self.all().find(|(node, _)| node.name == name)
    }

    /// The first ad set, and its name.
    pub fn first_ad_set(&mut self) -> Option<(&str, &mut Option<i64>)> {
        let ad_set = self.children.first_mut()?;
        Some((&ad_set.name, &mut ad_set.bid_micros))
    }

    /// What Meta cannot hold of it.
    pub fn flaw(&self) -> Option<&'static str> {
        let is_whole = |(node, _): (&Self, Kind)| {
            let amounts = node.budget.map(|it| [it.micros, it.spent_micros]);
            let mut amounts = amounts.into_iter().flatten().chain(node.bid_micros);
            amounts.all(|micros| micros % CENT == 0)
        };
        let is_on_ad = |(node, kind): (&Self, Kind)| kind == Kind::Ad && node.budget.is_some();
        if !self.all().all(is_whole) {
            return Some("parts of a cent");
        }
        self.all().any(is_on_ad).then_some("a budget of an ad")
    }

    fn all(&self) -> impl Iterator<Item = (&Self, Kind)> {
        let ad_sets = self.children.iter();
        let below = ad_sets.flat_map(|ad_set| {
            let ads = ad_set.children.iter().map(|ad| (ad, Kind::Ad));
            std::iter::once((ad_set, Kind::AdSet)).chain(ads)
        });
        std::iter::once((self, Kind::Campaign)).chain(below)
    }

    /// Puts it into the account `1`.
    pub fn plant(&self, fake: &FakeMeta) {
        fake.put(Kind::Campaign, self.row(Kind::Campaign, &json!({})));
        let campaign = id(&self.name);
        for ad_set in &self.children {
            let above = json!({"campaign_id": campaign});
            fake.put(Kind::AdSet, ad_set.row(Kind::AdSet, &above));
            for ad in &ad_set.children {
                let above = json!({"campaign_id": campaign, "adset_id": id(&ad_set.name)});
                fake.put(Kind::Ad, ad.row(Kind::Ad, &above));
            }
        }
    }

    fn row(&self, kind: Kind, above: &Value) -> Value {
        let mut row = above.as_object().cloned().unwrap_or_default();
        let mut set = |field: &str, value: Value| row.insert(field.into(), value);
        set("id", json!(id(&self.name)));
        set("account_id", json!("1"));
        set("name", json!(self.name));
        set("status", json!(self.status.unwrap_or("ACTIVE")));
        set("is_budget_schedule_enabled", json!(self.is_scheduled));
        let times = [
            ("start_time", self.starts_at),
            (kind_of_end(kind), self.ends_at),
        ];
        for (field, at) in times {
            if let Some(at) = at {
                set(field, json!(at.strftime(WRITTEN).to_string()));
            }
        }
        self.set_budget(&mut row);
        if let Some(bid) = self.bid_micros {
            row.insert("bid_amount".into(), json!(bid / CENT));
            let strategy = json!("LOWEST_COST_WITH_BID_CAP");
            row.insert("bid_strategy".into(), strategy);
        }
        Value::Object(row)
    }

    fn set_budget(&self, row: &mut Map<String, Value>) {
        let Some(budget) = self.budget else {
            return;
        };
        let cents = |micros: i64| json!((micros / CENT).to_string());
        let field = if budget.is_lifetime {
            "lifetime_budget"
        } else {
            "daily_budget"
        };
        row.insert(field.into(), cents(budget.micros));
        let left = budget.micros - budget.spent_micros;
        row.insert("budget_remaining".into(), cents(left));
        let strategy = json!("LOWEST_COST_WITHOUT_CAP");
        row.insert("bid_strategy".into(), strategy);
    }
}

fn kind_of_end(kind: Kind) -> &'static str {
    match kind {
        Kind::Campaign => "stop_time",
        Kind::AdSet | Kind::Ad => "end_time",
    }
}

fn node(rest: &mut Peekable<Chars<'_>>) -> Node {
    let mut node = Node::named(&word(rest, |sign| sign.is_ascii_alphanumeric()));
    while let Some(sign) = rest.next_if(|sign| ":<@~!*[".contains(*sign)) {
        match sign {
            ':' => node.budget = Some(Budget::read(&word(rest, is_of_number))),
            '<' => node.starts_at = Some(NOW + days(&word(rest, is_of_number))),
            '@' => node.ends_at = Some(NOW + days(&word(rest, is_of_number))),
            '~' => node.status = Some("PAUSED"),
            '!' => node.status = Some("DELETED"),
            '*' => node.is_scheduled = true,
            _ => node.children = children(rest),
        }
    }
    node
}

fn children(rest: &mut Peekable<Chars<'_>>) -> Vec<Node> {
    let mut children = Vec::new();
    while rest.next_if_eq(&']').is_none() {
        if rest.next_if_eq(&' ').is_none() {
            children.push(node(rest));
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

fn days(text: &str) -> SignedDuration {
    SignedDuration::from_micros(micros(text) * 24 * 3600)
}
