//! `filtering`: a JSON array of conditions, all of which hold for the rows of a
//! list. Of Meta's fields and operators, those on texts that stand in a row.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::wire::GraphError;
use super::world::text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    field: String,
    operator: Operator,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Operator {
    Equal,
    /// Meta looks for words without minding their case.
    Contain,
}

/// Keeps the rows that are asked for.
pub(super) fn keep(
    rows: &mut Vec<Map<String, Value>>,
    filtering: Option<&str>,
) -> Result<(), GraphError> {
    let Some(filtering) = filtering else {
        return Ok(());
    };
    let wrong = |_| GraphError::parameter("Param filtering must be an array of filters");
    let filters: Vec<Filter> = serde_json::from_str(filtering).map_err(wrong)?;
    if let Some(odd) = filters.iter().find(|filter| filter.field != "name") {
        let message = format!("Filtering field {} is invalid", odd.field);
        return Err(GraphError::parameter(&message).blaming(&["filtering"]));
    }
    rows.retain(|row| filters.iter().all(|filter| filter.holds(row)));
    Ok(())
}

impl Filter {
    fn holds(&self, row: &Map<String, Value>) -> bool {
        let own = text(row, &self.field);
        match self.operator {
            Operator::Equal => own == self.value,
            Operator::Contain => own.to_lowercase().contains(&self.value.to_lowercase()),
        }
    }
}
