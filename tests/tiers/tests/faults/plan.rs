//! A plan: a workload, and one thing that goes wrong in it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::fault::{Fault, WriteId};
use crate::observer::{Change, Key};
use crate::oracle;
use crate::plane::Plane;
use crate::stage::{Stage, Step};

/// What people do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Workload {
    /// Declare a tenant.
    Create,
    /// Change its accounts, limits and access, then where it runs.
    Change,
    /// Stop it and start it.
    Scale,
    /// Delete it.
    Delete,
    /// Declare two tenants at once.
    Pair,
}

impl Workload {
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Change,
        Self::Scale,
        Self::Delete,
        Self::Pair,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Scale => "scale",
            Self::Delete => "delete",
            Self::Pair => "pair",
        }
    }

    pub fn places(self) -> usize {
        if self == Self::Pair { 2 } else { 1 }
    }

    /// Whether the tenant is there before.
    pub fn begins_ready(self) -> bool {
        !matches!(self, Self::Create | Self::Pair)
    }

    pub fn steps(self) -> Vec<Step> {
        let replicas = |count: i32| Step::Patch(json!({"spec": {"server": {"replicas": count}}}));
        match self {
            Self::Create | Self::Pair => vec![Step::Declare],
            Self::Change => vec![
                Step::Patch(json!({"spec": {
                    "access": "Frozen",
                    "limits": {"concurrency": 7},
                    "connectors": [{
                        "name": "meta",
                        "credentials": {"secretName": "meta-credentials"},
                        "accounts": [{"id": "act_3003", "currency": "USD", "timeZone": "Europe/Paris"}],
                    }],
                }})),
                Step::Patch(json!({"spec": {"server": {
                    "nodeSelector": {"zone": "a"},
                    "tolerations": [{"key": "only", "operator": "Exists"}],
                    "resources": {"requests": {"cpu": "50m"}},
                }}})),
            ],
            Self::Scale => vec![replicas(0), replicas(1)],
            Self::Delete => vec![Step::Delete],
        }
    }
}

/// What a workload comes to when nothing goes wrong.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The objects of each namespace, without what differs each time.
    pub end: Vec<BTreeMap<Key, Value>>,
    /// How often each object was created and deleted.
    pub counts: Vec<BTreeMap<Key, [usize; 2]>>,
    /// The writes that changed something.
    pub writes: Vec<WriteId>,
    /// The kinds of objects that changed.
    pub kinds: Vec<String>,
}

/// A plan.
#[derive(Debug, Clone)]
pub struct Plan {
    pub workload: Workload,
    pub fault: Fault,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.workload.name(), self.fault)
    }
}

impl Plan {
    /// Runs it and judges how it ended.
    pub async fn run(&self, plane: &Arc<Plane>) -> Result<()> {
        let reference = reference(plane, self.workload).await?;
        let _lane = plane.lanes.acquire().await?;
        let stage = Stage::open(plane, self.workload, Some(&self.fault)).await?;
        let judged = async {
            stage.perform(self.workload, Some(&self.fault)).await?;
            oracle::judge(&stage, &reference).await
        };
        let ended = tokio::select! {
            judged = judged => judged,
            ended = stage.survive() => ended,
        };
        ended.with_context(|| stage.evidence())
    }
}

/// What the workload comes to when nothing goes wrong, learned once.
pub async fn reference(plane: &Arc<Plane>, workload: Workload) -> Result<Arc<Reference>> {
    let cell = {
        let mut all = plane
            .references
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(workload).or_default())
    };
    let learned = cell.get_or_try_init(async || learn(plane, workload).await.map(Arc::new));
    learned.await.cloned()
}

/// Learns from two runs: what differs between them is no reference.
async fn learn(plane: &Arc<Plane>, workload: Workload) -> Result<Reference> {
    let _lane = plane.lanes.acquire().await?;
    let mut first = learn_once(plane, workload).await?;
    let second = learn_once(plane, workload).await?;
    let name = workload.name();
    for (one, other) in first.end.iter().zip(&second.end) {
        let difference = oracle::difference(one, other);
        ensure!(
            difference.is_none(),
            "{name} ends in two ways: {difference:?}"
        );
    }
    let counts = (&first.counts, &second.counts);
    ensure!(
        counts.0 == counts.1,
        "{name} counts in two ways: {counts:?}"
    );
    let all = first.writes.len().max(second.writes.len());
    first.writes.retain(|write| second.writes.contains(write));
    first.kinds.retain(|kind| second.kinds.contains(kind));
    eprintln!(
        "{name}: {} of {all} writes come each time",
        first.writes.len()
    );
    Ok(first)
}

async fn learn_once(plane: &Arc<Plane>, workload: Workload) -> Result<Reference> {
    let stage = Stage::open(plane, workload, None).await?;
    let learned = async {
        stage.perform(workload, None).await?;
        oracle::safe(&stage).await?;
        Ok(stage.reference())
    };
    let ended = tokio::select! {
        learned = learned => learned,
        ended = stage.survive() => Err(ended.err().context("it did not survive")?),
    };
    ended.with_context(|| format!("learning {}: {}", workload.name(), stage.evidence()))
}

/// How often each object came and went.
pub fn counts(story: &[crate::observer::Seen]) -> BTreeMap<Key, [usize; 2]> {
    let mut counts: BTreeMap<Key, [usize; 2]> = BTreeMap::new();
    for seen in story.iter().filter(|seen| seen.plural != "events") {
        let count = counts
            .entry((seen.plural.clone(), seen.name.clone()))
            .or_default();
        match seen.what {
            Change::Added => count[0] += 1,
            Change::Deleted => count[1] += 1,
            Change::Modified => {}
        }
    }
    counts
}
