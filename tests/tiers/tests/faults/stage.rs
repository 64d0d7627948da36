//! Where a plan is played: its namespaces, its operators, the people who
//! declare things, and the parts of the cluster that do not run here (the
//! kubelet, the server, the garbage collector).

mod cluster;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::observer::{PATIENCE, version};
use crate::oracle;
use crate::plan::{Reference, Workload, counts};
use crate::plane::{Actor, Plane};
use crate::proxy::{Write, ids};

pub use cluster::is_ready;

const EXAMPLE: &str = include_str!("../../../../examples/acme.yaml");
/// A token that may stand nowhere but in its Secret.
pub const CANARY: &str = "canary-d1f0a7c3-of-meta";
/// Wakes up the operator without meaning anything.
pub const WAKE: &str = "tenantry-tests/wake";
/// Who declares.
const USER: &str = "user";
/// How long a stale operator acts on what it sees.
const STALE_FOR: Duration = Duration::from_millis(1500);
/// After so many wakes the operator should have nothing left to write.
const WAKES: usize = 12;

/// What people do to the tenant of each namespace.
#[derive(Debug, Clone)]
pub enum Step {
    Declare,
    Patch(Value),
    Delete,
}

pub struct Stage {
    pub plane: Arc<Plane>,
    pub namespaces: Vec<String>,
    pub actors: Vec<Actor>,
}

impl Stage {
    /// Namespaces with all but a tenant, and the operators.
    pub async fn open(
        plane: &Arc<Plane>,
        workload: Workload,
        fault: Option<&Fault>,
    ) -> Result<Self> {
        let namespaces: Vec<_> = (0..workload.places())
            .map(|_| plane.new_namespace())
            .collect();
        let mut stage = Self {
            plane: Arc::clone(plane),
            namespaces,
            actors: vec![],
        };
        for namespace in &stage.namespaces {
            stage.furnish(namespace).await?;
        }
        let seats: &[usize] = match fault {
            Some(Fault::Two) => &[0, 1],
            Some(Fault::Stolen) => &[0, 0],
            _ => &[0],
        };
        for seat in seats {
            let number = stage.actors.len();
            let actor = Actor::start(plane, &stage.namespaces, number, *seat).await?;
            actor.proxy.wait_for_leader().await?;
            stage.actors.push(actor);
        }
        Ok(stage)
    }

    async fn furnish(&self, namespace: &str) -> Result<()> {
        for object in documents(namespace, &self.namespaces)? {
            if object["kind"] == "Namespace" {
                let path = format!("/api/v1/namespaces/{namespace}");
                self.plane.admin.apply(&path, &object, USER).await?;
            } else if object["kind"] != "McpTenant" {
                self.declare(&object).await?;
            }
        }
        Ok(())
    }

    async fn declare(&self, object: &Value) -> Result<Value> {
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let kind = self.plane.kind(object)?;
        let path = kind.path(text("namespace"), text("name"));
        self.plane.admin.apply(&path, object, USER).await
    }

    /// Whoever leads sleeps through a step and its own replacement, and goes on
    /// as if nothing had been.
    async fn step_asleep(&self, step: &Step) -> Result<()> {
        let [sleeper, next] = &self.actors[..] else {
            bail!("two operators are needed");
        };
        sleeper.signal(Signal::STOP)?;
        self.step(step).await?;
        next.proxy.time_runs_out().await?;
        next.proxy.wait_for_leader().await?;
        sleeper.signal(Signal::CONT)
    }

    /// Those who will have led in the end.
    fn leaders(&self) -> &[Actor] {
        let shares_a_seat = self.actors.len() == 2 && self.actors[1].seat == 0;
        &self.actors[usize::from(shares_a_seat)..]
    }

    /// The workload, from before it to where nothing is left to write.
    pub async fn perform(&self, workload: Workload, fault: Option<&Fault>) -> Result<()> {
        if workload.begins_ready() {
            self.step(&Step::Declare).await?;
            self.play().await?;
            self.settle().await?;
        }
        let write = match fault {
            Some(Fault::Write(fault, write)) => Some((*fault, write.clone())),
            _ => None,
        };
        for actor in &self.actors {
            actor.proxy.arm(write.clone());
        }
        if let Some(Fault::Watch(fault, plural)) = fault {
            self.actors[0].proxy.arm_watch(*fault, plural);
        }
        if fault == Some(&Fault::Expired) {
            self.actors[0].proxy.expire_watches();
        }
        for (number, step) in workload.steps().iter().enumerate() {
            match fault {
                Some(Fault::Stolen) if number == 0 => self.step_asleep(step).await?,
                Some(Fault::Away) if number == 0 => self.step_away(step).await?,
                Some(Fault::Stale(plural)) if number == 0 => {
                    self.step_past(step, plural.clone()).await?;
                }
                _ => self.step(step).await?,
            }
            match step {
                Step::Delete => self.collect_garbage().await?,
                _ => self.play().await?,
            }
        }
        self.settle().await?;
        if let Some(Fault::Write(..) | Fault::Watch(..)) = fault {
            ensure!(self.actors[0].proxy.fired(), "the plan was not reached");
        }
        Ok(())
    }

    async fn step(&self, step: &Step) -> Result<()> {
        for namespace in &self.namespaces {
            let path = self.tenant_path(namespace)?;
            let written = match step {
                Step::Declare => {
                    let all = documents(namespace, &self.namespaces)?;
                    let tenant = all.iter().find(|object| object["kind"] == "McpTenant");
                    Some(self.declare(tenant.context("no tenant")?).await?)
                }
                Step::Patch(patch) => Some(self.plane.admin.merge(&path, patch, USER).await?),
                Step::Delete => {
                    let tenant = self.plane.admin.get(&path).await?;
                    let uid = &tenant["metadata"]["uid"];
                    self.plane.admin.delete(&path, uid).await?;
                    None
                }
            };
            self.see(namespace, "mcptenants", namespace, written.as_ref())
                .await?;
        }
        Ok(())
    }

    /// Waits until the observer has seen what was written, or the end of it.
    pub async fn see(
        &self,
        namespace: &str,
        plural: &str,
        name: &str,
        written: Option<&Value>,
    ) -> Result<()> {
        let seen = || {
            let object = self.plane.observer.object(namespace, plural, name);
            let is_seen = match (&object, written) {
                (Some(object), Some(written)) => version(object) >= version(written),
                (object, written) => object.is_some() == written.is_some(),
            };
            is_seen.then_some(())
        };
        self.plane.observer.wait("the observer", seen).await
    }

    /// The step while nobody looks.
    async fn step_away(&self, step: &Step) -> Result<()> {
        self.actors[0].leave()?;
        self.step(step).await?;
        self.actors[0].live()
    }

    /// The same; and whoever comes back sees for a while what was before.
    async fn step_past(&self, step: &Step, plural: Option<String>) -> Result<()> {
        let actor = &self.actors[0];
        actor.leave()?;
        let path = format!(
            "/api/v1/namespaces/{}/configmaps?limit=1",
            self.namespaces[0]
        );
        let before = version(&self.plane.admin.get(&path).await?);
        self.step(step).await?;
        actor.proxy.go_stale(before, plural);
        actor.live()?;
        // Not a wait for anything: as long as the fault lasts.
        tokio::time::sleep(STALE_FOR).await;
        actor.proxy.refresh();
        Ok(())
    }

    pub fn tenant_path(&self, namespace: &str) -> Result<String> {
        let kind = self.plane.plural("mcptenants")?;
        Ok(kind.path(namespace, namespace))
    }

    /// Wakes the operators up until they have nothing to write, twice.
    pub async fn settle(&self) -> Result<()> {
        let mut quiet = 0;
        for number in 0..WAKES {
            let before = self.changes().len();
            let is_whole = self.wake(number).await?;
            let mut swept = 0;
            for namespace in &self.namespaces {
                swept += self.sweep(namespace).await?;
            }
            if swept == 0 {
                self.see_walls_fall().await?;
            }
            let is_quiet = is_whole && self.changes().len() == before && swept == 0;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet == 2 {
                return self.catch_up().await;
            }
        }
        let last = self.changes().pop();
        bail!("writes do not end: the last one is {last:?}")
    }

    /// Where no tenant is and nothing of it, the wall goes too; only later, and
    /// without a wake, because pods are looked for twice.
    async fn see_walls_fall(&self) -> Result<()> {
        for namespace in &self.namespaces {
            let path = self.tenant_path(namespace)?;
            if self.plane.admin.find(&path).await?.is_none() {
                self.see(namespace, "networkpolicies", "tenantry-default-deny", None)
                    .await?;
            }
        }
        Ok(())
    }

    /// Wakes everybody up and waits for the end of what they do then; false if
    /// somebody died of it.
    async fn wake(&self, number: usize) -> Result<bool> {
        let mut before = vec![];
        for actor in self.leaders() {
            before.push((actor.reconciles().await, actor.proxy.watches()));
        }
        let mut woken = 0;
        for namespace in &self.namespaces {
            let path = self.tenant_path(namespace)?;
            if self.plane.admin.find(&path).await?.is_some() {
                let note = json!({"metadata": {"annotations": {WAKE: number.to_string()}}});
                self.plane.admin.merge(&path, &note, "wake").await?;
                woken += 1;
            }
        }
        let mut is_whole = true;
        for (actor, (reconciles, watches)) in self.leaders().iter().zip(before) {
            if woken == 0 {
                // Nobody is there to be reconciled, so all is looked at again.
                actor.proxy.expire_watches();
            }
            let deadline = tokio::time::Instant::now() + PATIENCE;
            loop {
                let now = actor.reconciles().await;
                is_whole &= now >= reconciles;
                let is_awake = if woken == 0 {
                    actor.proxy.watches().opened >= watches.opened + watches.open
                } else {
                    now >= reconciles + woken
                };
                if is_awake || !is_whole {
                    break;
                }
                ensure!(
                    tokio::time::Instant::now() < deadline,
                    "the operator does not wake up"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(is_whole)
    }

    /// Ends all watches `times` times, then has everything read anew; waits for
    /// a whole reconcile after that.
    pub async fn disturb(&self, times: usize) -> Result<()> {
        let [actor] = &self.actors[..] else {
            bail!("one operator is meant");
        };
        for _ in 0..times {
            let before = actor.proxy.watches();
            actor.proxy.end_watches();
            let again = || {
                let now = actor.proxy.watches();
                (now.opened >= before.opened + before.open && now.open == before.open).then_some(())
            };
            self.plane.observer.wait("new watches", again).await?;
        }
        let before = actor.reconciles().await;
        actor.proxy.expire_watches();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while actor.reconciles().await == before {
            ensure!(
                tokio::time::Instant::now() < deadline,
                "nothing is read anew"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until the observer has seen all that the operators wrote.
    async fn catch_up(&self) -> Result<()> {
        let last = self.changes().iter().map(|write| write.version).max();
        let observer = &self.plane.observer;
        let seen = || {
            let mut stories = self.namespaces.iter().flat_map(|name| observer.story(name));
            let reached = stories.any(|seen| Some(seen.version) >= last);
            (reached || last.is_none()).then_some(())
        };
        observer.wait("the observer", seen).await
    }

    /// Every write, whether it changed something or not.
    pub fn writes(&self) -> Vec<Write> {
        let writes = self.actors.iter().flat_map(|actor| actor.proxy.writes());
        writes.collect()
    }

    /// The writes that changed something.
    pub fn changes(&self) -> Vec<Write> {
        let mut writes = self.writes();
        writes.retain(|write| write.changed);
        writes
    }

    /// Starts operators again that a plan kills.
    pub async fn survive(&self) -> Result<()> {
        try_join_all(self.actors.iter().map(Actor::survive)).await?;
        Ok(())
    }

    /// What this run came to.
    pub fn reference(&self) -> Reference {
        let observer = &self.plane.observer;
        let tales = self.namespaces.iter();
        let stories: Vec<_> = tales.map(|name| observer.story(name)).collect();
        let mut kinds: Vec<_> = stories
            .iter()
            .flatten()
            .map(|seen| seen.plural.clone())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let watched = self.actors[0].proxy.watched();
        kinds.retain(|kind| watched.contains(kind));
        let end: Vec<BTreeMap<_, _>> = (0..self.namespaces.len())
            .map(|place| oracle::end(self, place))
            .collect();
        let named = |place: usize, counts: BTreeMap<_, _>| {
            let name = |name: String| name.replace(&self.namespaces[place], "the-namespace");
            counts
                .into_iter()
                .map(|((plural, object), count)| ((plural, name(object)), count))
                .collect()
        };
        let counted = stories.iter().enumerate();
        Reference {
            end,
            counts: counted
                .map(|(place, story)| named(place, counts(story)))
                .collect(),
            writes: ids(&self.actors[0].proxy.writes()),
            kinds,
        }
    }

    /// What somebody would look at who wonders why the plan failed.
    pub fn evidence(&self) -> String {
        let mut words = vec![];
        for actor in &self.actors {
            let log = actor.log();
            let lines: Vec<_> = log.lines().collect();
            let last = lines.len().saturating_sub(12);
            words.push("the operator's last words:".to_owned());
            words.extend(lines[last..].iter().map(ToString::to_string));
            words.push("its last writes:".to_owned());
            let writes = actor.proxy.writes();
            let last = writes.len().saturating_sub(25);
            words.extend(writes[last..].iter().map(|write| {
                let changed = if write.changed { "changed" } else { "" };
                let subject = &write.subject;
                format!(
                    "  {} {} {} {} {changed}",
                    write.status, subject.verb, subject.resource, subject.name
                )
            }));
        }
        words.join("\n")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            self.plane.observer.forget(namespace);
        }
    }
}

/// The example in `namespace`, one of `namespaces`.
fn documents(namespace: &str, namespaces: &[String]) -> Result<Vec<Value>> {
    // An account has one tenant among those that an operator sees, and is the
    // same in each run of a plan.
    let place = namespaces.iter().position(|ours| ours == namespace);
    let accounts = format!("act_{}00", place.unwrap_or_default() + 1);
    let text = EXAMPLE
        .replace("acme", namespace)
        .replace("act_100", &accounts)
        .replace("sandbox-meta-token", CANARY);
    Ok(serde_saphyr::from_multiple(&text)?)
}
