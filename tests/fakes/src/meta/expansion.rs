//! The text of `fields=`: names, and edges with what is wanted of them, as in
//! `id,adsets.limit(10){id,ads{id}}`.

use super::fields::{Edge, Node};
use super::wire::GraphError;

/// A campaign with its ad sets, their ads and what these name is four deep;
/// without a limit a short text could ask for the same tree over and over.
const DEEPEST: usize = 6;

/// One name of the list.
pub(super) struct Wanted<'t> {
    pub name: &'t str,
    modifiers: Vec<(&'t str, &'t str)>,
    /// What is wanted of each thing behind an edge.
    pub inner: &'t str,
}

impl<'t> Wanted<'t> {
    /// What stands in `.name(…)`.
    pub fn modifier(&self, name: &str) -> Option<&'t str> {
        let mut modifiers = self.modifiers.iter();
        modifiers
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }
}

/// The names of a list, the same on all levels below.
pub(super) fn read(text: &str) -> Result<Vec<Wanted<'_>>, GraphError> {
    let mut all = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = end_of_first(rest);
        let (first, more) = rest.split_at(end);
        rest = more.strip_prefix(',').unwrap_or(more);
        if !first.is_empty() {
            all.push(one(first.trim())?);
        }
    }
    Ok(all)
}

/// Refuses what a kind of node does not have, on every level.
pub(super) fn check(text: &str, node: &Node) -> Result<(), GraphError> {
    check_level(text, node, 0)
}

fn check_level(text: &str, node: &Node, level: usize) -> Result<(), GraphError> {
    if level > DEEPEST {
        return Err(GraphError::parameter("fields are nested too deeply"));
    }
    for wanted in read(text)? {
        match node.edge(wanted.name) {
            Some(edge) => check_level(wanted.inner, edge.node(), level + 1)?,
            None if node.fields.contains(&wanted.name) => {}
            None => return Err(GraphError::no_such_field(wanted.name, node.name)),
        }
    }
    Ok(())
}

impl Node {
    /// What is behind a name that is no field.
    pub fn edge(&self, name: &str) -> Option<Edge> {
        let mut edges = self.edges.iter();
        edges.find(|(edge, _)| *edge == name).map(|(_, edge)| *edge)
    }
}

/// Where the first name with all that belongs to it ends.
fn end_of_first(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

fn one(text: &str) -> Result<Wanted<'_>, GraphError> {
    let (name, mut rest) = text.split_at(text.find(['.', '{', '(']).unwrap_or(text.len()));
    let mut modifiers = Vec::new();
    while let Some(after_dot) = rest.strip_prefix('.') {
        let (key, argument) = after_dot.split_once('(').ok_or_else(|| odd(text))?;
        let end = closing(argument, '(', ')').ok_or_else(|| odd(text))?;
        modifiers.push((key, &argument[..end]));
        rest = &argument[end + 1..];
    }
    let inner = match rest.strip_prefix('{') {
        None if rest.is_empty() => "",
        Some(inner) if closing(inner, '{', '}') == Some(inner.len() - 1) => {
            &inner[..inner.len() - 1]
        }
        _ => return Err(odd(text)),
    };
    Ok(Wanted {
        name,
        modifiers,
        inner,
    })
}

/// Where the bracket ends that is open at the start.
fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 1_usize;
    for (at, letter) in text.char_indices() {
        if letter == open {
            depth += 1;
        } else if letter == close {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

fn odd(text: &str) -> GraphError {
    let message = format!("Syntax error \"Expected end of string instead of \"{text}\".\"");
    GraphError::new(2500, None, &message)
}
