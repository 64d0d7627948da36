//! What people have said of a change that waits for them (WRITES §7), or of one
//! of which nobody else can tell what became of it (WRITES §6). Pure: who
//! may speak is the API server's to say; what is asked again here is only what
//! no set-up of a cluster may loosen.

use std::collections::BTreeSet;

use crate::policy::decide::Terms;

/// One person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whose: a Kubernetes user name.
    pub by: String,
    /// What.
    pub word: Word,
    /// For which classes of approvers; `None`, for all that are asked.
    pub classes: Option<BTreeSet<String>>,
    /// Why.
    pub comment: Option<String>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The change may be made.
    Approve,
    /// It may not.
    Deny,
}

/// Who asked, and by whose key.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The user that answers for the key.
    pub owner: &'a str,
    /// Who made the key, where it says so.
    pub issued_by: Option<&'a str>,
}

/// What the words of all come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tally {
    /// Not enough yet.
    Waiting {
        /// How many more must agree, at least.
        approvers: u32,
        /// Of which classes nobody has.
        classes: BTreeSet<String>,
    },
    /// All that was asked for: by these.
    Agreed {
        /// Whose words counted.
        by: BTreeSet<String>,
    },
    /// One said no, and that is final.
    Denied {
        /// Who.
        by: String,
        /// Why.
        comment: Option<String>,
    },
}

impl Tally {
    /// Counts what was said on those terms. Words of who asked, or of who made
    /// the key, count for nothing: neither for the change nor against it.
    pub fn of(terms: &Terms, asker: Asker<'_>, decisions: &[Decision]) -> Self {
        let counted = decisions.iter().filter(|one| is_other(one, asker));
        let counted: Vec<_> = counted.collect();
        if let Some(no) = counted.iter().find(|one| one.word == Word::Deny) {
            return Self::Denied {
                by: no.by.clone(),
                comment: no.comment.clone(),
            };
        }
        let classes = &terms.approver_classes;
        let missing = classes
            .iter()
            .filter(|class| !counted.iter().any(|one| one.speaks_for(class)));
        let missing: BTreeSet<String> = missing.cloned().collect();
        // Who speaks for no class that is asked says nothing.
        let speaking = counted
            .iter()
            .filter(|one| classes.iter().any(|class| one.speaks_for(class)));
        let by: BTreeSet<String> = speaking.map(|one| one.by.clone()).collect();
        let count = u32::try_from(by.len()).unwrap_or(u32::MAX);
        let lacking = terms.approvers.max(1).saturating_sub(count);
        if lacking == 0 && missing.is_empty() && !by.is_empty() {
            return Self::Agreed { by };
        }
        Self::Waiting {
            approvers: lacking.max(u32::from(!missing.is_empty())),
            classes: missing,
        }
    }
}

/// What became of a change of which nobody could tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The vendor made it.
    Applied,
    /// It did not.
    NotApplied,
}

/// What people have found, each list as if its people had approved: the one that
/// enough say on each of those terms, and more people than say the other.
pub fn found(
    terms: &[Terms],
    asker: Asker<'_>,
    applied: &[Decision],
    not_applied: &[Decision],
) -> Option<(Finding, BTreeSet<String>)> {
    let counted = |said: &[Decision]| -> BTreeSet<String> {
        let speaks = |one: &&Decision| {
            let classes = terms.iter().flat_map(|terms| &terms.approver_classes);
            is_other(one, asker) && { classes }.any(|class| one.speaks_for(class))
        };
        said.iter()
            .filter(speaks)
            .map(|one| one.by.clone())
            .collect()
    };
    let is_enough = |said: &[Decision]| {
        let agrees = |terms| matches!(Tally::of(terms, asker, said), Tally::Agreed { .. });
        !terms.is_empty() && terms.iter().all(agrees)
    };
    let (made, not_made) = (counted(applied), counted(not_applied));
    if made.len() > not_made.len() && is_enough(applied) {
        Some((Finding::Applied, made))
    } else if not_made.len() > made.len() && is_enough(not_applied) {
        Some((Finding::NotApplied, not_made))
    } else {
        None
    }
}

/// Whether it is the word of somebody else than who asks, or who made the key.
fn is_other(decision: &Decision, asker: Asker<'_>) -> bool {
    decision.by != asker.owner && Some(decision.by.as_str()) != asker.issued_by
}

impl Decision {
    fn speaks_for(&self, class: &str) -> bool {
        let spoken_for = self.classes.as_ref();
        spoken_for.is_none_or(|classes| classes.contains(class))
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    const ASKER: Asker<'_> = Asker {
        owner: "ann",
        issued_by: Some("root"),
    };

    fn terms(classes: &[&str], approvers: u32) -> Terms {
        Terms {
            approver_classes: set(classes),
            approvers,
            expires_after_ms: 1,
        }
    }

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn yes(by: &str, classes: Option<&[&str]>) -> Decision {
        Decision {
            by: by.into(),
            word: Word::Approve,
            classes: classes.map(set),
            comment: None,
        }
    }

    fn no(by: &str) -> Decision {
        Decision {
            word: Word::Deny,
            comment: Some("not now".into()),
            ..yes(by, None)
        }
    }

    fn waiting(approvers: u32, classes: &[&str]) -> Tally {
        Tally::Waiting {
            approvers,
            classes: set(classes),
        }
    }

    fn agreed(by: &[&str]) -> Tally {
        Tally::Agreed { by: set(by) }
    }

    #[test]
    fn so_many_and_somebody_of_each_class_must_agree() {
        for (classes, approvers, said, tally) in [
            (&["a"][..], 1, vec![], waiting(1, &["a"])),
            (&["a"], 1, vec![yes("bob", None)], agreed(&["bob"])),
            (&["a"], 2, vec![yes("bob", None)], waiting(1, &[])),
            (
                &["a"],
                2,
                vec![yes("bob", None), yes("eve", None)],
                agreed(&["bob", "eve"]),
            ),
            // The same person twice is one.
            (
                &["a"],
                2,
                vec![yes("bob", None), yes("bob", None)],
                waiting(1, &[]),
            ),
            (
                &["a", "b"],
                1,
                vec![yes("bob", Some(&["a"]))],
                waiting(1, &["b"]),
            ),
            (&["a", "b"], 1, vec![yes("bob", None)], agreed(&["bob"])),
            (
                &["a", "b"],
                1,
                vec![yes("bob", Some(&["a"])), yes("eve", Some(&["b"]))],
                agreed(&["bob", "eve"]),
            ),
            (
                &["a", "b"],
                3,
                vec![yes("bob", Some(&["a"])), yes("eve", Some(&["b"]))],
                waiting(1, &[]),
            ),
            // Another class than those that are asked.
            (
                &["a"],
                1,
                vec![yes("bob", Some(&["c"]))],
                waiting(1, &["a"]),
            ),
            // Terms that ask for nobody still ask for somebody.
            (&["a"], 0, vec![], waiting(1, &["a"])),
            (&[], 0, vec![yes("bob", None)], waiting(1, &[])),
        ] {
            let told = Tally::of(&terms(classes, approvers), ASKER, &said);
            assert_eq!(told, tally, "{classes:?} {approvers} {said:?}");
        }
    }

    #[test]
    fn what_enough_have_found_and_more_than_the_contrary_is_so() {
        let made = Some((Finding::Applied, set(&["bob"])));
        let not_made = Some((Finding::NotApplied, set(&["bob"])));
        let (bob, eve, dan) = (yes("bob", None), yes("eve", None), yes("dan", None));
        for (approvers, applied, not_applied, expected) in [
            (1, vec![], vec![], None),
            (1, vec![bob.clone()], vec![], made.clone()),
            (1, vec![], vec![bob.clone()], not_made),
            (1, vec![bob.clone()], vec![eve.clone()], None),
            (2, vec![bob.clone()], vec![], None),
            (2, vec![bob.clone()], vec![eve.clone(), dan.clone()], {
                Some((Finding::NotApplied, set(&["dan", "eve"])))
            }),
            (2, vec![bob.clone(), bob.clone()], vec![], None),
            // Who asked, and who made the key, find nothing.
            (1, vec![yes("ann", None), yes("root", None)], vec![], None),
            (1, vec![yes("bob", Some(&["other"]))], vec![], None),
        ] {
            let terms = [terms(&["a"], approvers)];
            let told = found(&terms, ASKER, &applied, &not_applied);
            assert_eq!(told, expected, "{approvers} {applied:?} {not_applied:?}");
        }
        // The contrary counts, whether enough say it or not.
        let both = [terms(&["a", "b"], 1)];
        let some = ["eve", "dan"].map(|by| yes(by, Some(&["a"])));
        assert_eq!(found(&both, ASKER, slice::from_ref(&bob), &some), None);
        assert_eq!(found(&both, ASKER, &[bob], &some[..0]), made);
        // Each rule asks for its own.
        let each = [terms(&["a"], 2), terms(&["b"], 1)];
        let (of_a, of_b) = (yes("bob", Some(&["a"])), yes("eve", Some(&["b"])));
        assert_eq!(
            found(&each, ASKER, &[of_a.clone(), of_b.clone()], &[]),
            None
        );
        let all = [of_a, of_b, yes("dan", Some(&["a"]))];
        let by = set(&["bob", "dan", "eve"]);
        assert_eq!(found(&each, ASKER, &all, &[]), Some((Finding::Applied, by)));
        assert_eq!(found(&[], ASKER, &all, &[]), None);
    }

    #[test]
    fn one_denial_is_final() {
        let said = [yes("bob", None), no("eve"), yes("dan", None)];
        let told = Tally::of(&terms(&["a"], 1), ASKER, &said);
        assert_eq!(
            told,
            Tally::Denied {
                by: "eve".into(),
                comment: Some("not now".into())
            }
        );
    }

    #[test]
    fn who_asks_and_who_made_the_key_say_nothing() {
        let terms = terms(&["a"], 1);
        let said = [yes("ann", None), yes("root", None), no("ann"), no("root")];
        assert_eq!(Tally::of(&terms, ASKER, &said), waiting(1, &["a"]));
        let asker = Asker {
            issued_by: None,
            ..ASKER
        };
        assert_eq!(
            Tally::of(&terms, asker, &[yes("root", None)]),
            agreed(&["root"])
        );
    }
}
