//! The changes of a batch on their way: each permitted, proven and prepared, of one
//! account, and each on a spend root of its own.

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tenantry_connectors::change::Prepared;
use tenantry_core::audit::Stage;
use tenantry_core::digest::Digest;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::change::ChangeId;

use crate::book;
use crate::pipeline::Stopped;
use crate::pipeline::authorize::{Permitted, permit_unplaced};
use crate::pipeline::change::decide::{POLICY_DIGEST, Question};
use crate::pipeline::change::prepare::{self, Ready};
use crate::pipeline::change::{Desk, told};
use crate::pipeline::check::Checked;
use crate::pipeline::record::Entry;
use crate::pipeline::wish::Wish;

/// Changes of a batch that a vendor is asked about, or sent, at the same time.
const AT_ONCE: usize = 10;

/// The name of a change, and what its lines carry, where people were asked.
pub(super) type Named = (ChangeId, Option<Map<String, Value>>);

/// A change of a batch on its way.
pub(super) struct Member<'c> {
    pub change: ChangeId,
    pub ready: Ready<'c>,
    pub wish: Wish,
    pub entry: Entry,
    /// What its lines carry, where people were asked about it.
    record: Option<Map<String, Value>>,
}

/// Names for so many new changes, about which nobody was asked.
pub(super) fn names(count: usize) -> Result<Vec<Named>, Stopped> {
    let names = (0..count).map(|_| Ok((book::new_change()?, None)));
    let names: Result<_, Refusal> = names.collect();
    names.map_err(|refusal| Stopped::refused(Stage::Claim, refusal))
}

/// What a change of a batch ended in, with its place.
pub fn at(place: usize, stopped: Stopped) -> Stopped {
    let message = format!("changes[{place}]: {}", stopped.refusal.message);
    let refusal = Refusal {
        message,
        ..stopped.refusal
    };
    Stopped { refusal, ..stopped }
}

/// Whether each may be made; the batch has one place for all of it.
pub(super) fn permit_all<'c>(
    desk: Desk<'c>,
    items: Vec<Checked<'c>>,
    entry: &mut Entry,
) -> Result<Vec<Permitted<'c>>, Stopped> {
    let mut permitted = Vec::new();
    for (place, checked) in items.into_iter().enumerate() {
        let mut own = entry.of_item();
        own.found(checked.found.tool, checked.found.connector.name());
        entry.as_item(&own);
        let item = permit_unplaced(desk.counter, desk.caller, checked, &mut own);
        permitted.push(item.map_err(|stopped| at(place, stopped))?);
    }
    Ok(permitted)
}

/// Proves the objects and prepares the changes: of one account, each on a spend
/// root of its own.
pub(super) async fn prepare_all<'c>(
    desk: Desk<'_>,
    permitted: Vec<Permitted<'c>>,
    names: Vec<Named>,
    batch: Option<&ChangeId>,
    entry: &mut Entry,
) -> Result<Vec<Member<'c>>, Stopped> {
    let work = permitted.into_iter().zip(names);
    let work = work.map(|(permitted, (change, record))| -> BoxFuture<'_, _> {
        let mut own = entry.of_item();
        let work = async move {
            let wish = Wish::of_item(batch.map(ToString::to_string));
            let ready = prepare::prepare(desk, permitted, &wish, &mut own).await;
            let entry = own;
            match ready {
                Ok(ready) => Ok(Member {
                    change,
                    ready,
                    wish,
                    entry,
                    record,
                }),
                Err(stopped) => Err((stopped, entry)),
            }
        };
        work.boxed()
    });
    let prepared = in_order(work.collect()).await;
    let (mut members, mut failed) = (Vec::new(), Vec::new());
    for (place, member) in prepared.into_iter().enumerate() {
        match member {
            Ok(member) => members.push(member),
            Err((stopped, own)) => failed.push((at(place, stopped), own)),
        }
    }
    let mut failed = failed.into_iter();
    if let Some((stopped, own)) = failed.next() {
        // What it failed on is on record, and what else was asked about in vain.
        entry.as_item(&own);
        for (stopped, own) in failed {
            if let Ok(slot) = desk.counter.audit.reserve().await {
                own.put_beside(slot, &stopped);
            }
        }
        return Err(stopped);
    }
    apart(&members)?;
    if let Some(first) = members.first() {
        entry.account(first.ready.account());
    }
    Ok(members)
}

/// Refuses changes of several accounts, and two of one spend root.
pub(super) fn apart(members: &[Member<'_>]) -> Result<(), Stopped> {
    let refused = |place, message: String| {
        let refusal = Refusal::new(Reason::ArgumentsInvalid, message);
        Err(at(place, Stopped::refused(Stage::Prepare, refusal)))
    };
    for (place, member) in members.iter().enumerate() {
        let mut before = members.iter().take(place);
        let own = &member.ready.prepared;
        if before.any(|other| other.ready.account() != member.ready.account()) {
            let message = "the object is of another account than those before it; make a batch for each account";
            return refused(place, message.to_owned());
        }
        let mut before = members.iter().take(place);
        let root = own.root();
        if let Some(other) = before.position(|other| other.ready.prepared.root() == root) {
            let message = format!(
                "its budget depends on that of changes[{other}], and one batch changes it once"
            );
            return refused(place, message);
        }
    }
    Ok(())
}

impl Member<'_> {
    pub fn prepared(&self) -> &Prepared {
        &self.ready.prepared
    }

    /// Whether there is something to change.
    pub fn changes(&self) -> bool {
        !self.prepared().is_reached
    }

    pub fn question(&self, desk: Desk<'_>, key: Option<Digest>) -> Question {
        let mut question = Question::of(desk, &self.ready, &self.wish, &self.entry);
        if let Some(record) = &self.record {
            let digest = &desk.caller.in_force.policy_digest;
            question.record.clone_from(record);
            let digest = told::value(digest);
            question.record.insert(POLICY_DIGEST.into(), digest);
        } else if let Some(key) = key {
            let digest = told::value(&key);
            question.record.insert("idempotency_digest".into(), digest);
        }
        question
    }
}

/// What comes of each, a few at the same time.
pub(super) async fn in_order<T>(work: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let work = futures::stream::iter(work).buffered(AT_ONCE);
    work.collect().await
}

/// What stands for all that they were decided on.
pub(super) fn pinned(members: &[Member<'_>]) -> Digest {
    let all = members.iter().map(|member| member.prepared().pinned());
    let all: Vec<_> = all.collect();
    Digest::of(json!(all).to_string().as_bytes())
}

/// What each would do.
pub(super) fn all_prepared<'m>(members: &'m [Member<'_>]) -> Vec<&'m Prepared> {
    members.iter().map(Member::prepared).collect()
}
