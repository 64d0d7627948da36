//! Fields and pages, as every list and object of the Graph API has them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::expansion::{self, Wanted};
use super::faults::Faults;
use super::fields::{Edge, Node};
use super::spoken;
use super::wire::GraphError;
use super::world::{Kind, World, bare, text};

const LARGEST_PAGE: usize = 500;
const DEFAULT_PAGE: usize = 25;

/// What a request sees of the world.
pub(super) struct View<'v> {
    pub world: &'v World,
    pub faults: &'v Faults,
    pub seen: &'v BTreeSet<String>,
    /// The host's path to any node: the version.
    version: String,
    token: &'v str,
}

/// A list, and which part of it is asked for.
pub(super) struct Part<'p> {
    /// Where the list is found by itself.
    path: String,
    fields: &'p str,
    limit: Option<&'p str>,
    after: Option<&'p str>,
    /// A next page of an edge repeats what was wanted of it.
    is_nested: bool,
}

impl<'v> View<'v> {
    pub fn new(
        world: &'v World,
        faults: &'v Faults,
        asked: &'v Asked,
        seen: &'v BTreeSet<String>,
    ) -> Self {
        Self {
            world,
            faults,
            seen,
            version: asked.version(),
            token: asked.token.as_deref().unwrap_or_default(),
        }
    }

    /// The fields of a row that a request wants; without any, the one that Meta
    /// always gives.
    pub fn select(
        &self,
        row: &Map<String, Value>,
        fields: &str,
        node: &Node,
    ) -> Result<Map<String, Value>, GraphError> {
        expansion::check(fields, node)?;
        self.selected(row, fields, node)
    }

    /// One page: cursors always, `next` only if there is more, and the next URL
    /// carries the token, as the real one does.
    pub fn page(
        &self,
        part: &Part<'_>,
        rows: &[Map<String, Value>],
        node: &Node,
    ) -> Result<Value, GraphError> {
        expansion::check(part.fields, node)?;
        let spoken = spoken::rows(rows, &self.faults.texts, node);
        let rows = spoken.as_deref().unwrap_or(rows);
        let limit = part.limit.map_or(Ok(DEFAULT_PAGE), str::parse).ok();
        let limit = limit
            .filter(|limit| (1..=LARGEST_PAGE).contains(limit))
            .ok_or_else(|| GraphError::parameter("Param limit must be a valid number"))?;
        let (start, was_empty) = part.after.map_or(Ok((0, false)), cursor)?;
        let empty = self.faults.empty_page && start > 0 && !was_empty;
        let end = if empty {
            start
        } else {
            (start + limit + usize::from(self.faults.too_many_rows)).min(rows.len())
        };
        let rows_here = rows.get(start.min(end)..end).unwrap_or_default().iter();
        let data: Result<Vec<Value>, GraphError> = rows_here
            .map(|row| self.selected(row, part.fields, node).map(Value::Object))
            .collect();
        let end = if self.faults.endless_pages {
            start
        } else {
            end
        };
        let after = format!("QVFI{end}{}ZD", if empty { "E" } else { "" });
        let mut paging = json!({"cursors": {"before": format!("QVFI{start}ZD"), "after": after}});
        if end < rows.len()
            && let Some(fields) = paging.as_object_mut()
        {
            fields.insert("next".into(), json!(part.next(self.token, &after)));
        }
        Ok(json!({"data": data?, "paging": paging}))
    }

    /// What of a kind is below a node; a fault adds one of another account.
    pub fn below(
        &self,
        parent: &str,
        kind: Kind,
        states: Option<&str>,
    ) -> Result<Vec<Map<String, Value>>, GraphError> {
        let wrong = |_| GraphError::parameter("Param effective_status must be an array");
        let states: Option<Vec<String>> = states
            .map(serde_json::from_str)
            .transpose()
            .map_err(wrong)?;
        let mut rows = self.world.below(parent, kind, states.as_deref());
        if self.faults.foreign_row {
            let others = self.world.below(&another(parent, self.seen), kind, None);
            let second = 1.min(rows.len());
            rows.splice(second..second, others.into_iter().take(1));
        }
        Ok(rows)
    }

    fn selected(
        &self,
        row: &Map<String, Value>,
        fields: &str,
        node: &Node,
    ) -> Result<Map<String, Value>, GraphError> {
        let wanted = expansion::read(fields)?;
        let is_wanted = |name: &str| {
            node.always.contains(&name) || wanted.iter().any(|wanted| wanted.name == name)
        };
        let kept = row.iter().filter(|(name, _)| is_wanted(name));
        let mut kept: Map<_, _> = kept
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for wanted in &wanted {
            if let Some(edge) = node.edge(wanted.name)
                && let Some(behind) = self.behind(row, wanted, edge)?
            {
                kept.insert(wanted.name.to_owned(), behind);
            }
        }
        Ok(kept)
    }

    /// What is behind an edge. Meta leaves an edge out that nothing is behind.
    fn behind(
        &self,
        row: &Map<String, Value>,
        wanted: &Wanted<'_>,
        edge: Edge,
    ) -> Result<Option<Value>, GraphError> {
        let id = text(row, "id");
        let rows = match edge {
            Edge::Below(kind) => self.below(id, kind, wanted.modifier("effective_status"))?,
            Edge::Periods => self.world.periods_of(id),
            Edge::Above(field, kind) => {
                let above = self.world.object(text(row, field), self.seen);
                let above =
                    above.map(|object| self.selected(&object.row, wanted.inner, kind.node()));
                return Ok(above.transpose()?.map(Value::Object));
            }
        };
        if rows.is_empty() {
            return Ok(None);
        }
        let part = Part {
            path: format!("/{}/{id}/{}", self.version, wanted.name),
            fields: wanted.inner,
            limit: wanted.modifier("limit"),
            after: wanted.modifier("after"),
            is_nested: true,
        };
        self.page(&part, &rows, edge.node()).map(Some)
    }
}

impl<'p> Part<'p> {
    /// The part of its own list that a request asks for.
    pub fn of(asked: &'p Asked) -> Self {
        Self {
            path: asked.path().to_owned(),
            fields: asked.parameter("fields").unwrap_or_default(),
            limit: asked.parameter("limit"),
            after: asked.parameter("after"),
            is_nested: false,
        }
    }

    fn next(&self, token: &str, after: &str) -> String {
        let mut next = format!(
            "https://graph.facebook.com{}?access_token={token}",
            self.path
        );
        if self.is_nested {
            let mut more = url::form_urlencoded::Serializer::new(String::new());
            more.append_pair("fields", self.fields);
            if let Some(limit) = self.limit {
                more.append_pair("limit", limit);
            }
            next = format!("{next}&{}", more.finish());
        }
        format!("{next}&after={after}")
    }
}

/// An account that the same token sees and that has nothing to do with `id`.
pub(super) fn another(id: &str, seen: &BTreeSet<String>) -> String {
    seen.iter()
        .rfind(|other| !id.contains(bare(other)))
        .cloned()
        .unwrap_or_default()
}

fn cursor(text: &str) -> Result<(usize, bool), GraphError> {
    let wrong = || GraphError::parameter("Invalid cursors values");
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
