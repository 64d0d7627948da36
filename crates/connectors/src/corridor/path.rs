//! What stands in a path: words of the connector file, and one slot that takes
//! a proof. An id that nobody has proven fits the question of ownership alone.

use super::owned::{Owned, OwnedAccount};
use crate::connector::ClaimedObject;
use crate::plan::Segment;

/// What fills a plan's slot.
#[derive(Clone, Copy)]
pub(super) enum Slot<'s> {
    /// The plan has none.
    None,
    /// An account, to ask who it is.
    Account(&'s OwnedAccount),
    /// What the tool asks about.
    Owned(&'s Owned),
    /// An object, to ask whose it is.
    Claimed(&'s ClaimedObject),
}

impl<'s> Slot<'s> {
    fn text(self) -> Option<&'s str> {
        match self {
            Self::None => None,
            Self::Account(account) => Some(account.id().as_str()),
            Self::Owned(owned) => Some(owned.segment()),
            Self::Claimed(claimed) => Some(claimed.id()),
        }
    }
}

/// The segments of a path.
pub(super) fn fill<'p>(
    path: &'p [Segment],
    version: &'p str,
    slot: Slot<'p>,
) -> impl Iterator<Item = &'p str> {
    path.iter().filter_map(move |segment| match segment {
        Segment::Literal(text) => Some(text.as_str()),
        Segment::Version => Some(version),
        // INVARIANT: the loader admits this segment only in plans that have a
        // subject, and `check` admits those only with a proof of it.
        Segment::Slot => slot.text(),
    })
}
