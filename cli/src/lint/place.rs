//! Where the fields of a document stand.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A value with the lines of all that is in it.
pub enum Tree {
    /// A text.
    Text(String),
    /// Any other value without parts.
    Bare,
    /// Items, each with its line.
    List(Vec<Spanned<Tree>>),
    /// Fields, each with the line of its name.
    Fields(Vec<(Spanned<String>, Tree)>),
}

impl Tree {
    /// The line of the field at `path`, such as `spec.connectors[0].name`, or
    /// `spec.connectors[meta].name`; where there is none, the line of the last
    /// of it that there is.
    pub fn line(&self, path: &str) -> Option<u64> {
        let mut line = None;
        let mut here = self;
        for part in parts(path) {
            let found = match here {
                Self::Fields(fields) => fields
                    .iter()
                    .find(|(name, _)| name.value == part)
                    .map(|(name, tree)| (name.referenced.line(), tree)),
                Self::List(items) => {
                    item(items, part).map(|item| (item.referenced.line(), &item.value))
                }
                _ => None,
            };
            let Some((next, tree)) = found else {
                break;
            };
            line = Some(next);
            here = tree;
        }
        line
    }

    /// Whether it is an item that goes by that word.
    fn is_called(&self, word: &str) -> bool {
        match self {
            Self::Text(text) => text == word,
            Self::Fields(fields) => fields.iter().any(|(name, tree)| {
                let tells_apart = ["name", "id", "currency"].contains(&name.value.as_str());
                tells_apart && matches!(tree, Self::Text(text) if text == word)
            }),
            _ => false,
        }
    }
}

/// By its number, or by what tells it from the others.
fn item<'t>(items: &'t [Spanned<Tree>], part: &str) -> Option<&'t Spanned<Tree>> {
    let called = items.iter().find(|item| item.value.is_called(part));
    called.or_else(|| items.get(part.parse::<usize>().ok()?))
}

/// The names and items of a path, one after the other.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    let parts = path.split(['.', '[', ']']);
    parts.filter(|part| !part.is_empty())
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Tree::Fields(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Bare)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Bare)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Bare)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Bare)
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Bare)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Bare)
    }
}
