//! From page to page: how far a read has come, and what the next request asks.

use serde_json::{Map, Value};

use crate::call_error::CallError;
use crate::plan::{PagingPlan, QueryValue};

/// Where a paged read stands.
pub(super) struct Progress {
    pub rows: Vec<Value>,
    pages: u32,
    wanted: u64,
    after: Option<String>,
}

impl Progress {
    pub fn begin(plan: &PagingPlan, args: &Map<String, Value>) -> Self {
        let limit = args.get(&plan.limit_argument).and_then(Value::as_u64);
        let after = args.get(&plan.after_argument).and_then(Value::as_str);
        Self {
            rows: Vec::new(),
            pages: 0,
            wanted: limit.unwrap_or(plan.default_limit),
            after: after.map(str::to_owned),
        }
    }

    /// How many rows are still wanted; pages are asked for in this size, so
    /// that a cursor never stands in the middle of one.
    pub fn missing(&self) -> u64 {
        self.wanted
            .saturating_sub(u64::try_from(self.rows.len()).unwrap_or(u64::MAX))
    }

    /// Goes to the next page; answers whether the reading is over. An empty
    /// page is not the end: only the absence of a next one is.
    pub fn turn(&mut self, plan: &PagingPlan, body: &Value) -> Result<bool, CallError> {
        let malformed = |problem: &str| CallError::Malformed {
            problem: problem.into(),
        };
        self.pages += 1;
        if plan.next.find(body).is_none_or(Value::is_null) {
            self.after = None;
            return Ok(true);
        }
        let cursor = plan.cursor.find(body).and_then(Value::as_str);
        let cursor = cursor.ok_or_else(|| malformed("a next page without a cursor"))?;
        if !plan.cursor_pattern.admits(cursor) {
            return Err(malformed("a cursor that could not be given back"));
        }
        if self.after.as_deref() == Some(cursor) {
            return Err(malformed("a next page that is the same page"));
        }
        self.after = Some(cursor.to_owned());
        Ok(self.missing() == 0 || self.pages >= plan.most_pages)
    }

    pub fn into_data(self, name: &str) -> Value {
        // Moved, where `json!` would copy every row.
        let mut data = Map::from_iter([(name.to_owned(), Value::Array(self.rows))]);
        if let Some(after) = self.after {
            data.insert("next_cursor".to_owned(), Value::from(after));
        }
        data.into()
    }
}

/// What a query parameter is sent with; nothing if its argument is absent.
pub(super) fn query_text(
    value: &QueryValue,
    args: &Map<String, Value>,
    pages: Option<(&PagingPlan, &Progress)>,
) -> Option<String> {
    let (name, default, encode) = match value {
        QueryValue::Text(text) => return Some(text.clone()),
        QueryValue::Argument {
            name,
            default,
            encode,
        } => (name, default, encode),
    };
    match pages {
        Some((plan, progress)) if *name == plan.limit_argument => {
            return Some(progress.missing().to_string());
        }
        Some((plan, progress)) if *name == plan.after_argument => return progress.after.clone(),
        _ => {}
    }
    args.get(name)
        .or(default.as_ref())
        .map(|value| encode.text(value))
}
