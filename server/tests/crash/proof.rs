//! What has to hold when all processes have ended, whatever became of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::Value;
use tenantry_core::audit::chain::Head;
use tenantry_core::audit::verify::{Known, verify};
use tenantry_core::ledger_mark::LedgerId;
use tenantry_ledger::change::{ChangeId, Progress};
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger, MOST_WAITING, Opening};
use tenantry_ledger::line;

use crate::house::House;
use crate::matrix::End;

/// The lines of each process prove each other; the last process has ended in
/// order.
pub fn every_process_is_whole(streams: &[&str]) -> Result<()> {
    for (number, stream) in streams.iter().enumerate() {
        if whole(stream).all(is_of_change) {
            // It died before a line of its own.
            continue;
        }
        let bytes = whole(stream).map(str::as_bytes);
        let proof = verify(bytes, Known::default());
        let proof = proof.with_context(|| format!("the lines of process {number}"))?;
        let is_last = number + 1 == streams.len();
        ensure!(proof.has_ended == is_last, "process {number}: {proof}");
    }
    Ok(())
}

/// Nothing is open in the ledger, the change ended as its client was told, and
/// every line has left: more than once perhaps, and none is missing.
pub async fn ledger_is_settled(
    house: &House,
    streams: &[&str],
    answer: &Value,
    end: End,
) -> Result<()> {
    let ledger = open(house).await?;
    let unsettled = ledger.unsettled().await?;
    ensure!(unsettled.is_empty(), "unsettled: {unsettled:?}");
    let waiting = ledger.waiting().await?;
    ensure!(waiting.is_empty(), "waiting: {waiting:?}");
    let ends = ends(answer, end)?;
    let people = ledger.needing_people().await?.len();
    let needing = ends.iter().filter(|(_, end)| *end == End::NeedsHuman);
    let expected = needing.count();
    ensure!(people == expected, "{people} changes need people");
    for (id, end) in ends {
        let change = ledger.find(&id).await?;
        // Of a batch, the one that changes something.
        let items = ledger.items(&id).await?;
        let item = items.into_iter().find(|item| item.proposal.is_some());
        let change = item.or(change);
        let progress = change.context("the change is not kept")?.progress;
        let wanted = match end {
            End::Made => Progress::Applied,
            End::NotMade => Progress::NotApplied,
            End::NeedsHuman => Progress::NeedsHuman,
        };
        ensure!(progress == wanted, "the ledger says {progress}");
    }
    let left = left(streams)?;
    let lines = left.values().copied();
    let proven = line::verify(lines, &ledger.identity().id, Head::before_all())?;
    let head = ledger.head().await?;
    ensure!(
        proven == head,
        "lines are missing after {}",
        proven.sequence
    );
    ledger.close().await;
    Ok(())
}

/// How each change ended of which the client was told; `end`, where it was told of
/// one.
fn ends(answer: &Value, end: End) -> Result<Vec<(ChangeId, End)>> {
    let id = |answer: &Value| -> Result<ChangeId> {
        let id = answer["change_id"].as_str().context("no change id")?;
        Ok(ChangeId::parse(id)?)
    };
    let Some(items) = answer["items"].as_array() else {
        return Ok(vec![(id(answer)?, end)]);
    };
    let ends = items.iter().map(|item| Ok((id(item)?, end_of(item)?)));
    ends.collect()
}

/// How a change ended, by what its client was told.
pub fn end_of(answer: &Value) -> Result<End> {
    match answer["status"].as_str() {
        Some("done") => Ok(End::Made),
        Some("failed" | "refused" | "unchanged") => Ok(End::NotMade),
        Some("needs_human") => Ok(End::NeedsHuman),
        other => bail!("{other:?} is no end of a change"),
    }
}

async fn open(house: &House) -> Result<Ledger> {
    let opening = Opening {
        place: &house.place,
        organization: &house.organization,
        tenant_uid: "tenant-uid",
        expected: None,
        id_if_new: LedgerId::of_random([0; 16]),
        retention: LEAST_RETENTION,
        most_waiting: MOST_WAITING,
    };
    let ledger = Ledger::open(opening, Timestamp::now()).await;
    ledger.context("opening the ledger")
}

/// The ledger's lines by their numbers. One that left twice is the same.
fn left<'s>(streams: &[&'s str]) -> Result<BTreeMap<u64, &'s str>> {
    let mut left = BTreeMap::new();
    let all = streams.iter().flat_map(|stream| whole(stream));
    for line in all.filter(|line| is_of_change(line)) {
        let read: Value = serde_json::from_str(line)?;
        let sequence = read["metadata"]["sequence"].as_u64();
        let sequence = sequence.context("no number")?;
        if *left.entry(sequence).or_insert(line) != line {
            bail!("two lines are number {sequence}");
        }
    }
    Ok(left)
}

/// A process that was killed may have written half of its last line.
fn whole(stream: &str) -> impl Iterator<Item = &str> {
    let end = stream.rfind('\n').map_or(0, |end| end + 1);
    stream.get(..end).unwrap_or_default().lines()
}

fn is_of_change(line: &str) -> bool {
    line.contains(r#""event_code":"change""#)
}
