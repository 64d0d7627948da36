//! Where something stands in a vendor's answer: a JSON pointer of plain names,
//! taken apart once, when the connector is loaded.

use std::fmt;

use serde_json::Value;

/// A pointer such as `/error/code`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer whose every part `is_name`.
    pub fn parse(text: &str, is_name: impl Fn(&str) -> bool) -> Option<Self> {
        let names: Vec<&str> = text.strip_prefix('/')?.split('/').collect();
        let is_good = names.iter().all(|name| is_name(name));
        is_good.then(|| Self(names.into_iter().map(str::to_owned).collect()))
    }

    /// Whether it is `wide`, or leads to something below it.
    pub fn is_within(&self, wide: &Self) -> bool {
        self.0.starts_with(&wide.0)
    }

    /// What stands there.
    pub fn find<'v>(&self, within: &'v Value) -> Option<&'v Value> {
        self.0
            .iter()
            .try_fold(within, |value, name| value.get(name))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|name| write!(out, "/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_finds_what_stands_there_and_nothing_else() {
        let pointer = Pointer::parse("/error/code", |_| true).unwrap();
        assert_eq!(
            pointer.find(&json!({"error": {"code": 7}})),
            Some(&json!(7))
        );
        for other in [json!({"error": 7}), json!([7]), json!(null)] {
            assert_eq!(pointer.find(&other), None);
        }
        assert_eq!(pointer.to_string(), "/error/code");
        assert_eq!(Pointer::parse("error", |_| true), None);
    }
}
