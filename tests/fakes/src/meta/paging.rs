//! Fields and pages, as every list and object of the Graph API has them.

use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::faults::Faults;
use super::fields::Node;
use super::spoken;
use super::wire::GraphError;

const LARGEST_PAGE: usize = 500;
const DEFAULT_PAGE: usize = 25;

/// The fields asked for; without any, the one that Meta always gives.
pub(super) fn select(
    row: &Map<String, Value>,
    asked: &Asked,
    node: &Node,
) -> Result<Map<String, Value>, GraphError> {
    let mut fields: Vec<&str> = asked
        .parameter("fields")
        .unwrap_or_default()
        .split(',')
        .collect();
    fields.retain(|field| !field.is_empty());
    if let Some(unknown) = fields.iter().find(|field| !node.fields.contains(field)) {
        let message = format!(
            "(#100) Tried accessing nonexisting field ({unknown}) on node type ({})",
            node.name
        );
        return Err(GraphError::new(100, None, &message));
    }
    fields.extend(node.always);
    let kept = row
        .iter()
        .filter(|(name, _)| fields.contains(&name.as_str()));
    Ok(kept
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect())
}

/// One page: cursors always, `next` only if there is more, and the next URL
/// carries the token, as the real one does.
pub(super) fn page(
    faults: &Faults,
    asked: &Asked,
    rows: &[Map<String, Value>],
    node: &Node,
) -> Result<Value, GraphError> {
    let spoken = spoken::rows(rows, &faults.texts, node);
    let rows = spoken.as_deref().unwrap_or(rows);
    let limit = asked
        .parameter("limit")
        .map_or(Ok(DEFAULT_PAGE), str::parse);
    let limit = limit
        .ok()
        .filter(|limit| (1..=LARGEST_PAGE).contains(limit));
    let limit = limit
        .ok_or_else(|| GraphError::new(100, None, "(#100) Param limit must be a valid number"))?;
    let (start, was_empty) = asked.parameter("after").map_or(Ok((0, false)), cursor)?;
    let empty = faults.empty_page && start > 0 && !was_empty;
    let end = if empty {
        start
    } else {
        (start + limit + usize::from(faults.too_many_rows)).min(rows.len())
    };
    let data: Result<Vec<Value>, GraphError> = rows
        .get(start.min(end)..end)
        .unwrap_or_default()
        .iter()
        .map(|row| select(row, asked, node).map(Value::Object))
        .collect();
    let end = if faults.endless_pages { start } else { end };
    let after = if empty {
        format!("QVFI{end}EZD")
    } else {
        format!("QVFI{end}ZD")
    };
    let mut paging = json!({"cursors": {"before": format!("QVFI{start}ZD"), "after": after}});
    if end < rows.len()
        && let Some(fields) = paging.as_object_mut()
    {
        let token = asked.token.as_deref().unwrap_or_default();
        let next = format!(
            "https://graph.facebook.com{}?access_token={token}&after={after}",
            asked.path()
        );
        fields.insert("next".into(), json!(next));
    }
    Ok(json!({"data": data?, "paging": paging}))
}

fn cursor(text: &str) -> Result<(usize, bool), GraphError> {
    let wrong = || GraphError::new(100, None, "(#100) Invalid cursors values");
    let inner = text
        .strip_prefix("QVFI")
        .and_then(|rest| rest.strip_suffix("ZD"))
        .ok_or_else(wrong)?;
    let (number, was_empty) = inner
        .strip_suffix('E')
        .map_or((inner, false), |number| (number, true));
    number
        .parse()
        .map(|start| (start, was_empty))
        .map_err(|_| wrong())
}
