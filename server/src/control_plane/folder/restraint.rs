//! What keeps callers from something while the documents are wrong somewhere:
//! it grows until they are right again, and never shrinks.

use tenantry_core::access::Access;
use tenantry_core::freeze::{Freeze, FreezeScope, Freezes};
use tenantry_core::key::KeyRecord;

use super::documents::Refused;
use super::narrow::narrow;

/// What keeps callers from something.
#[derive(Default)]
pub(super) struct Restraint {
    pub(super) freezes: Freezes,
    pub(super) keys: Vec<KeyRecord>,
}

impl Restraint {
    /// Lets what stops somebody take hold, beside all that did before.
    pub(super) fn tighten(&mut self, refused: &Refused) {
        let of_access = refused.access.and_then(of_access);
        for freeze in refused.freezes.iter().chain(&of_access) {
            let is_alike =
                |known: &Freeze| known.scope == freeze.scope && known.access == freeze.access;
            if !self.freezes.iter().any(is_alike) {
                put_beside(&mut self.freezes, freeze.clone());
            }
        }
        for key in &mut self.keys {
            narrow(key, refused);
        }
    }

    /// The freezes, and one more: what cannot be read may have been a freeze, so
    /// nothing may change.
    pub(super) fn freezes_in_doubt(&self) -> Freezes {
        let flaw = "the documents cannot be read".to_owned();
        let mut freezes = self.freezes.clone();
        put_beside(&mut freezes, Freeze::unreadable("(documents)", None, flaw));
        freezes
    }
}

/// Puts a freeze beside the others, under another name if its own is taken:
/// the one that is there already may be stricter, or cover something else.
pub(super) fn put_beside(freezes: &mut Freezes, freeze: Freeze) {
    let is_taken = |name: &str| freezes.iter().any(|known| known.name == name);
    let numbered = (freezes.iter().count()..).map(|number| format!("{} ({number})", freeze.name));
    let mut names = std::iter::once(freeze.name.clone()).chain(numbered);
    if let Some(name) = names.find(|name| !is_taken(name)) {
        freezes.put(Freeze { name, ..freeze });
    }
}

/// As the operator does with a tenant that it holds: a stricter access takes hold.
fn of_access(access: Access) -> Option<Freeze> {
    (access > Access::ReadWrite).then(|| Freeze {
        name: "(access)".into(),
        scope: FreezeScope::All,
        access,
        note: Some("the McpTenant's access says so; the documents are wrong elsewhere".into()),
        flaw: None,
    })
}

#[cfg(test)]
mod tests {
    use tenantry_api::compile::OperatorView;

    use super::*;
    use crate::control_plane::folder::documents::declared;

    fn freeze(name: &str, access: &str) -> Freeze {
        let spec = serde_json::json!({"access": access});
        tenantry_api::mcp_freeze::read(name, &spec)
    }

    fn refused(freezes: impl IntoIterator<Item = Freeze>) -> Refused {
        let declared = declared(&[], &OperatorView::default());
        Refused {
            freezes: freezes.into_iter().collect(),
            ..declared.err().unwrap()
        }
    }

    /// What holds after the folder was refused with each of these in turn.
    fn after(declared: &[Freeze], then: &[Freeze]) -> Access {
        let mut last = Restraint {
            freezes: declared.iter().cloned().collect(),
            keys: vec![],
        };
        let mut told = Freezes::default();
        for freeze in then {
            last.tighten(&refused([freeze.clone()]));
            told = last.freezes_in_doubt();
        }
        told.access_of_all(Access::ReadWrite)
    }

    #[test]
    fn no_edit_of_a_flawed_folder_loosens_a_freeze() {
        let (disabled, read_only) = (freeze("stop", "Disabled"), freeze("stop", "ReadOnly"));
        let pair = |first: &Freeze, second: &Freeze| [first.clone(), second.clone()];
        for edits in [pair(&disabled, &read_only), pair(&read_only, &disabled)] {
            assert_eq!(after(&[], &edits), Access::Disabled);
            assert_eq!(after(&edits[..1], &edits[1..]), Access::Disabled);
        }
        let named_alike = freeze("documents", "Disabled");
        assert_eq!(after(&[], &[named_alike]), Access::Disabled);
    }

    #[test]
    fn the_same_edit_again_adds_nothing() {
        let mut last = Restraint::default();
        for _ in 0..3 {
            last.tighten(&refused([freeze("stop", "Disabled")]));
        }
        assert_eq!(last.freezes.iter().count(), 1);
    }
}
