//! Insights: at once for what is small, by a report that runs and is asked
//! after for what is not.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::faults::Faults;
use super::fields::INSIGHT;
use super::graph::visible;
use super::paging::{Part, View, another};
use super::wire::GraphError;
use super::world::{World, object, text};

const LEVELS: &[&str] = &["account", "campaign", "adset", "ad"];

/// Breakdowns that Meta gives, alone or together.
const BREAKDOWNS: &[&[&str]] = &[
    &["age"],
    &["gender"],
    &["age", "gender"],
    &["country"],
    &["region"],
    &["publisher_platform"],
    &["publisher_platform", "platform_position"],
    &["publisher_platform", "impression_device"],
    &["device_platform"],
    &["impression_device"],
];

/// A report that was asked for.
pub(super) struct Report {
    pub id: String,
    pub account: String,
    /// Questions after it that are still answered with "running".
    pub polls_left: u32,
    pub fails: bool,
    rows: Vec<Map<String, Value>>,
}

impl Report {
    pub fn row(&self) -> Map<String, Value> {
        let (status, percent) = match (self.polls_left, self.fails) {
            (0, false) => ("Job Completed", 100),
            (0, true) => ("Job Failed", 40),
            // Meta says 100 % for a while before the job is completed.
            (1, _) => ("Job Running", 100),
            _ => ("Job Running", 30),
        };
        object(json!({
            "id": self.id, "account_id": self.account, "async_status": status,
            "async_percent_completion": percent,
        }))
    }
}

/// What is asked of insights.
struct Question {
    level: String,
    days: (String, String),
    breakdowns: Vec<String>,
}

/// The rows of an account, an object or a report.
pub(super) fn tell(view: &View<'_>, asked: &Asked, id: &str) -> Result<Value, GraphError> {
    let part = Part::of(asked);
    if let Some(report) = view.world.report(id, view.seen) {
        if report.polls_left > 0 || report.fails {
            let message = "Error accessing adreport job.";
            return Err(GraphError::new(2601, Some(1_815_107), message));
        }
        return view.page(&part, &report.rows, &INSIGHT);
    }
    if view.faults.insights_too_large {
        let message = "Please reduce the amount of data you're asking for, then retry your request";
        return Err(GraphError::new(1, Some(99), message).with_status(500));
    }
    let rows = rows(view.world, view.faults, asked, id, view.seen)?;
    view.page(&part, &rows, &INSIGHT)
}

/// Starts a report.
pub(super) fn start(
    world: &mut World,
    faults: &Faults,
    asked: &Asked,
    id: &str,
    seen: &BTreeSet<String>,
) -> Result<Value, GraphError> {
    let rows = rows(world, faults, asked, id, seen)?;
    let account = match world.object(id, seen) {
        Some(object) => text(&object.row, "account_id").to_owned(),
        None => id.trim_start_matches("act_").to_owned(),
    };
    let id = world.add_report(|id| Report {
        id,
        account,
        polls_left: faults.report_polls,
        fails: faults.report_fails,
        rows,
    });
    Ok(json!({"report_run_id": id}))
}

fn rows(
    world: &World,
    faults: &Faults,
    asked: &Asked,
    id: &str,
    seen: &BTreeSet<String>,
) -> Result<Vec<Map<String, Value>>, GraphError> {
    if id.starts_with("act_") {
        visible(id, seen)?;
    } else if world.object(id, seen).is_none() {
        return Err(GraphError::no_such_object(id));
    }
    let question = question(asked)?;
    let mut rows = delivery(world, id, &question);
    if faults.foreign_row {
        rows.extend(delivery(world, &another(id, seen), &question));
    }
    Ok(rows)
}

fn question(asked: &Asked) -> Result<Question, GraphError> {
    let wrong = |message: &str| GraphError::new(100, None, message);
    let level = asked.parameter("level").unwrap_or("account");
    if !LEVELS.contains(&level) {
        return Err(wrong(
            "(#100) Param level must be one of account, ad, adset, campaign",
        ));
    }
    let breakdowns: Vec<String> = match asked.parameter("breakdowns") {
        None => Vec::new(),
        Some(text) => serde_json::from_str(text)
            .map_err(|_| wrong("(#100) Param breakdowns must be an array"))?,
    };
    let known = |combination: &&&[&str]| {
        combination.len() == breakdowns.len()
            && breakdowns
                .iter()
                .all(|one| combination.contains(&one.as_str()))
    };
    if !breakdowns.is_empty() && !BREAKDOWNS.iter().any(|one| known(&one)) {
        let message = format!(
            "(#100) Current combination of data breakdown columns ({}) is invalid",
            breakdowns.join(", ")
        );
        return Err(wrong(&message));
    }
    Ok(Question {
        level: level.to_owned(),
        days: days(asked)?,
        breakdowns,
    })
}

fn days(asked: &Asked) -> Result<(String, String), GraphError> {
    let Some(text) = asked.parameter("time_range") else {
        return Ok(("2026-10-24".into(), "2026-11-22".into()));
    };
    let range: Value = serde_json::from_str(text).unwrap_or_default();
    let day = |name: &str| range.get(name).and_then(Value::as_str);
    match (day("since"), day("until")) {
        (Some(since), Some(until)) if since <= until => Ok((since.to_owned(), until.to_owned())),
        _ => Err(GraphError::new(
            100,
            None,
            "(#100) Must be a valid time range: since <= until",
        )),
    }
}

/// One row for each thing of the level that had any delivery, and for each
/// value of the breakdowns.
fn delivery(world: &World, id: &str, question: &Question) -> Vec<Map<String, Value>> {
    let mut campaigns = world.delivering(id);
    if question.level == "account" {
        campaigns.truncate(1);
    }
    let currency = world.currency_of(&campaigns);
    let each = campaigns
        .iter()
        .map(|campaign| insight(campaign, &currency, question));
    each.flat_map(|row| broken_down(row, &question.breakdowns))
        .collect()
}

fn broken_down(row: Map<String, Value>, breakdowns: &[String]) -> Vec<Map<String, Value>> {
    let mut rows = vec![row];
    for name in breakdowns {
        let values: &[&str] = match name.as_str() {
            "age" => &["18-24", "25-34"],
            "gender" => &["female", "male", "unknown"],
            "country" => &["DE", "TW"],
            _ => &["facebook", "instagram"],
        };
        rows = rows
            .iter()
            .flat_map(|row| {
                values.iter().map(|value| {
                    let mut row = row.clone();
                    row.insert(name.clone(), json!(value));
                    row
                })
            })
            .collect();
    }
    rows
}

fn insight(
    campaign: &Map<String, Value>,
    currency: &str,
    question: &Question,
) -> Map<String, Value> {
    let (id, name) = (text(campaign, "id"), text(campaign, "name"));
    let (since, until) = &question.days;
    let mut row = object(json!({
        "account_id": text(campaign, "account_id"),
        "account_currency": currency,
        "date_start": since,
        "date_stop": until,
        "spend": text(campaign, "spend"),
        "impressions": "18233",
        "clicks": "412",
        "reach": "15001",
        "frequency": "1.215452",
        "ctr": "2.259639",
        "cpc": "5.097087",
        "cpm": "115.17578",
        "actions": [
            {"action_type": "link_click", "value": "377"},
            {"action_type": "purchase", "value": "12"},
        ],
    }));
    let levels = [
        ("campaign", "", ""),
        ("adset", "1", " / everyone"),
        ("ad", "11", " / everyone / film"),
    ];
    for (part, more_id, more_name) in levels {
        if question.level == "account" {
            break;
        }
        row.insert(format!("{part}_id"), json!(format!("{id}{more_id}")));
        row.insert(format!("{part}_name"), json!(format!("{name}{more_name}")));
        if question.level == part {
            break;
        }
    }
    row
}
