//! Freezes: what a person stopped by hand, before contract and policy
//! (WRITES §5). They only tighten. Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::access::Access;
use crate::name::{AccountId, ConnectorName};

/// What a freeze covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FreezeScope {
    /// The whole organisation.
    All,
    /// Everything at one vendor.
    Connector(ConnectorName),
    /// One account at a vendor.
    Account(ConnectorName, AccountId),
}

/// One freeze. It holds for as long as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// The name of its `McpFreeze`.
    pub name: String,
    /// What it covers.
    pub scope: FreezeScope,
    /// What it still allows there.
    pub access: Access,
    /// Why, in the words of whoever froze; clients read it.
    pub note: Option<String>,
    /// Why the document cannot be read, if it cannot.
    pub flaw: Option<String>,
}

/// Every freeze of an organisation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freezes(BTreeMap<String, Freeze>);

impl FreezeScope {
    /// Whether it covers `account` at `connector`; without an account, whether
    /// it covers the connector as a whole.
    pub fn covers(&self, connector: &ConnectorName, account: Option<&AccountId>) -> bool {
        match self {
            Self::All => true,
            Self::Connector(mine) => mine == connector,
            Self::Account(mine, id) => mine == connector && account == Some(id),
        }
    }
}

impl fmt::Display for FreezeScope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => out.write_str("everything"),
            Self::Connector(connector) => connector.fmt(out),
            Self::Account(connector, account) => write!(out, "{connector}/{account}"),
        }
    }
}

impl Freeze {
    /// A freeze whose document cannot be read. In doubt it covers everything,
    /// and a word of access that nobody knows may have meant the strictest.
    pub fn unreadable(name: &str, access: Option<&str>, flaw: String) -> Self {
        let access = match access {
            None | Some("Frozen") => Access::Frozen,
            Some("ReadOnly") => Access::ReadOnly,
            Some(_) => Access::Disabled,
        };
        Self {
            name: name.to_owned(),
            scope: FreezeScope::All,
            access,
            note: None,
            flaw: Some(flaw),
        }
    }
}

impl Freezes {
    /// A freeze is new or changed.
    pub fn put(&mut self, freeze: Freeze) {
        self.0.insert(freeze.name.clone(), freeze);
    }

    /// A freeze is gone.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Freeze> {
        self.0.values()
    }

    /// The strictest freeze on `account` at `connector`, or on the connector
    /// as a whole. Of equals the first by name, so that each call hears of the
    /// same one.
    pub fn on(&self, connector: &ConnectorName, account: Option<&AccountId>) -> Option<&Freeze> {
        strictest(
            self.iter()
                .filter(|freeze| freeze.scope.covers(connector, account)),
        )
    }

    /// The access of the organisation that declared `declared`, as far as it
    /// is frozen as a whole.
    pub fn access_of_all(&self, declared: Access) -> Access {
        let all = self
            .iter()
            .filter(|freeze| freeze.scope == FreezeScope::All);
        strictest(all).map_or(declared, |freeze| declared.strictest(freeze.access))
    }
}

impl FromIterator<Freeze> for Freezes {
    fn from_iter<I: IntoIterator<Item = Freeze>>(freezes: I) -> Self {
        let mut all = Self::default();
        freezes.into_iter().for_each(|freeze| all.put(freeze));
        all
    }
}

fn strictest<'f>(freezes: impl Iterator<Item = &'f Freeze>) -> Option<&'f Freeze> {
    freezes.reduce(|first, next| {
        if next.access > first.access {
            next
        } else {
            first
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> ConnectorName {
        ConnectorName::parse("meta").unwrap()
    }

    fn google() -> ConnectorName {
        ConnectorName::parse("google").unwrap()
    }

    fn id(text: &str) -> AccountId {
        AccountId::parse(text).unwrap()
    }

    fn freeze(name: &str, scope: FreezeScope, access: Access) -> Freeze {
        Freeze {
            name: name.into(),
            scope,
            access,
            note: None,
            flaw: None,
        }
    }

    #[test]
    fn a_freeze_covers_its_scope_and_nothing_else() {
        let all = FreezeScope::All;
        let connector = FreezeScope::Connector(meta());
        let account = FreezeScope::Account(meta(), id("act_1"));
        for (scope, connector, asked, covers) in [
            (&all, meta(), None, true),
            (&all, google(), Some("act_9"), true),
            (&connector, meta(), None, true),
            (&connector, meta(), Some("act_1"), true),
            (&connector, google(), None, false),
            (&connector, google(), Some("act_1"), false),
            (&account, meta(), Some("act_1"), true),
            (&account, meta(), Some("act_2"), false),
            (&account, meta(), None, false),
            (&account, google(), Some("act_1"), false),
        ] {
            let asked = asked.map(id);
            assert_eq!(
                scope.covers(&connector, asked.as_ref()),
                covers,
                "{scope} on {connector} {asked:?}"
            );
        }
    }

    #[test]
    fn of_several_freezes_the_strictest_holds_whatever_their_order() {
        let account = FreezeScope::Account(meta(), id("act_1"));
        let three = [
            freeze("a", FreezeScope::All, Access::Frozen),
            freeze("b", FreezeScope::Connector(meta()), Access::ReadOnly),
            freeze("c", account, Access::Disabled),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let freezes: Freezes = order.iter().map(|one| three[*one].clone()).collect();
            let on = |connector, account: Option<&str>| {
                let account = account.map(id);
                freezes
                    .on(&connector, account.as_ref())
                    .unwrap()
                    .name
                    .clone()
            };
            assert_eq!(on(google(), None), "a");
            assert_eq!(on(meta(), None), "b");
            assert_eq!(on(meta(), Some("act_2")), "b");
            assert_eq!(on(meta(), Some("act_1")), "c");
        }
        assert_eq!(Freezes::default().on(&meta(), None), None);
    }

    #[test]
    fn a_freeze_never_widens() {
        let words = [
            Access::ReadWrite,
            Access::Frozen,
            Access::ReadOnly,
            Access::Disabled,
        ];
        for declared in words {
            for frozen in &words[1..] {
                let freezes = Freezes::from_iter([freeze("a", FreezeScope::All, *frozen)]);
                let access = freezes.access_of_all(declared);
                assert!(access >= declared && access >= *frozen, "{access:?}");
            }
            assert_eq!(Freezes::default().access_of_all(declared), declared);
        }
    }

    #[test]
    fn a_freeze_of_a_part_leaves_the_organisations_own_access() {
        let part = freeze("a", FreezeScope::Connector(meta()), Access::Disabled);
        let freezes = Freezes::from_iter([part]);
        assert_eq!(freezes.access_of_all(Access::ReadWrite), Access::ReadWrite);
    }

    #[test]
    fn a_freeze_that_cannot_be_read_freezes_everything_in_doubt_harder() {
        for (word, access) in [
            (None, Access::Frozen),
            (Some("Frozen"), Access::Frozen),
            (Some("ReadOnly"), Access::ReadOnly),
            (Some("Disabled"), Access::Disabled),
            (Some("ReadWrite"), Access::Disabled),
            (Some("Sealed"), Access::Disabled),
        ] {
            let freeze = Freeze::unreadable("a", word, "why".into());
            assert_eq!((freeze.access, freeze.scope), (access, FreezeScope::All));
        }
    }

    #[test]
    fn a_freeze_that_is_gone_holds_no_more() {
        let mut freezes = Freezes::from_iter([freeze("a", FreezeScope::All, Access::Disabled)]);
        freezes.put(freeze("a", FreezeScope::All, Access::Frozen));
        assert_eq!(freezes.on(&meta(), None).unwrap().access, Access::Frozen);
        freezes.remove("b");
        assert_eq!(freezes.iter().count(), 1);
        freezes.remove("a");
        assert_eq!(freezes, Freezes::default());
    }
}
