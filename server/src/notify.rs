//! Notifications: what happens is told to those who were not there, by a signed
//! webhook with a body that Slack takes. Nothing waits for it and nothing fails by
//! it: what cannot be told is counted, logged and left.
//!
//! Lines of the chain of changes come from the outbox, which hands them on without
//! waiting (`Notifier::offer`); what they tell is put together here, and each
//! destination has a queue and a courier of its own. All of it is in memory: a
//! process that dies takes with it what it had not told.

pub mod address;
pub mod delivery;
pub mod destination;
pub mod event;
pub mod message;
pub mod notice;
pub mod pace;
pub mod queue;
mod reconnect;
pub mod signature;
pub mod words;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tenantry_api::mcp_server::DestinationReport;
use tenantry_core::cause::chain;
use tenantry_core::name::DestinationName;
use tenantry_core::notification::{self, Occasion};
use tenantry_ledger::approval::Approval;
use tenantry_ledger::outbox::Outgoing;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::counter::{Counter, Standing};
use crate::metrics::{Fate, Metrics};
use address::Addresses;
use delivery::Courier;
use destination::{Destination, Dropped};
use event::Told;
use message::Notice;
use pace::Pace;

/// Events that wait to be put together, which takes a look into the ledger: some
/// turns of the outbox.
const INBOX: usize = 512;

/// For that look.
const ASKED: Duration = Duration::from_secs(1);

/// After a failure of our own.
const AGAIN: Duration = Duration::from_secs(5);

/// What is chosen from outside.
#[derive(Clone)]
pub struct Settings {
    /// Where the Secrets of destinations are.
    pub addresses: Addresses,
    /// The namespace of the organisation, if it is in a cluster.
    pub namespace: Option<String>,
    /// The bounds of delivery.
    pub pace: Pace,
}

/// Who tells.
pub struct Notifier {
    settings: Settings,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    destinations: Mutex<BTreeMap<DestinationName, Arc<Destination>>>,
    courier: Mutex<Option<Arc<Courier>>>,
    inbox: Mutex<Inbox>,
    /// Left a word when something came into the inbox.
    came: Notify,
}

/// What happened and is not put together yet, the oldest first.
#[derive(Default)]
struct Inbox {
    waiting: VecDeque<Told>,
    /// The place of the last line that was looked at. A line may leave twice; it
    /// is told of once.
    last: Option<(String, u64)>,
}

/// What a contract says of notifications.
#[derive(Default, PartialEq, Eq)]
struct Terms {
    destinations: Vec<notification::Destination>,
    proxy: Option<String>,
}

impl Notifier {
    /// One that tells nobody yet.
    pub fn new(settings: Settings, clock: Arc<Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            settings,
            clock,
            metrics,
            destinations: Mutex::default(),
            courier: Mutex::default(),
            inbox: Mutex::default(),
            came: Notify::new(),
        }
    }

    /// Takes lines that have left. It never waits and never fails: what there is
    /// no room for is counted.
    pub fn offer(&self, lines: &[Outgoing]) {
        let destinations = self.destinations();
        if destinations.is_empty() {
            return;
        }
        for told in lines.iter().filter_map(|line| Told::of(&line.line)) {
            let is_wanted = destinations.iter().any(|one| one.wants(told.occasion));
            let dropped = lock(&self.inbox).put(told, is_wanted);
            if let Some(told) = dropped {
                let deaf = destinations.iter().filter(|one| one.wants(told.occasion));
                deaf.for_each(|one| self.crowded_out(one, told.occasion));
            }
        }
        self.came.notify_one();
    }

    /// The state of each destination.
    pub fn reports(&self) -> Vec<DestinationReport> {
        let now = Instant::now();
        let destinations = self.destinations();
        destinations.iter().map(|one| one.report(now)).collect()
    }

    /// The namespace of the organisation, if it is in a cluster.
    pub fn namespace(&self) -> Option<&str> {
        self.settings.namespace.as_deref()
    }

    /// Puts a message before all destinations that hear of such.
    pub fn spread(&self, notice: Notice) {
        let (now, every) = (Instant::now(), self.settings.pace.denied_every);
        let notice = Arc::new(notice);
        for destination in self.destinations() {
            if !destination.wants(notice.occasion) {
                continue;
            }
            let Some(Dropped { notice, is_first }) =
                destination.put(Arc::clone(&notice), now, every)
            else {
                continue;
            };
            self.metrics
                .notified(Fate::Dropped, destination.name.as_str(), notice.occasion);
            if is_first {
                tracing::warn!(
                    destination = %destination.name,
                    most = queue::LONGEST,
                    "notifications wait for a destination that does not take them; the oldest are dropped"
                );
            }
        }
    }

    /// Puts together all that has come in by now.
    pub async fn compose(&self, counter: &Counter) {
        loop {
            let Some(told) = lock(&self.inbox).waiting.front().cloned() else {
                return;
            };
            let approval = question(counter, &told).await;
            self.spread(notice::of_change(
                &told,
                approval.as_ref(),
                self.namespace(),
            ));
            lock(&self.inbox).done(&told);
        }
    }

    /// Tries what is left once, for as long as there is; nobody else does by now.
    pub async fn say_goodbye(&self) {
        let destinations = self.destinations();
        let courier = lock(&self.courier).clone();
        if let Some(courier) = courier {
            let told = destinations.iter().map(|one| courier.tell_rest(one));
            let told = futures::future::join_all(told);
            // What is left then is counted below.
            let _ = tokio::time::timeout(self.settings.pace.goodbye, told).await;
        }
        for destination in destinations {
            self.give_up(&destination, "the process ends");
        }
    }

    /// Hears for these from now on. A destination that stays keeps what waits
    /// for it.
    pub fn follow(&self, named: &[notification::Destination]) {
        let mut destinations = lock(&self.destinations);
        let mut before = std::mem::take(&mut *destinations);
        for form in named {
            let name = &form.name;
            let destination = before.remove(name).unwrap_or_else(|| {
                let source = self.settings.addresses.source(name);
                Arc::new(Destination::new(name.clone(), source))
            });
            destination.hear_of(&form.occasions);
            destinations.insert(name.clone(), destination);
        }
        drop(destinations);
        for gone in before.into_values() {
            self.give_up(&gone, "the contract does not name it any more");
        }
    }

    fn give_up(&self, destination: &Destination, why: &str) {
        let rest = destination.rest(Instant::now());
        if rest.is_empty() {
            return;
        }
        tracing::warn!(
            destination = %destination.name,
            count = rest.len(),
            why,
            "notifications are dropped that were not told yet"
        );
        for notice in rest {
            self.metrics
                .notified(Fate::Dropped, destination.name.as_str(), notice.occasion);
        }
    }

    fn crowded_out(&self, destination: &Destination, occasion: Occasion) {
        let name = destination.name.as_str();
        self.metrics.notified(Fate::Dropped, name, occasion);
        tracing::warn!(
            destination = name,
            occasion = occasion.as_str(),
            most = INBOX,
            "more happens than can be put together; the oldest is not told"
        );
    }

    fn destinations(&self) -> Vec<Arc<Destination>> {
        lock(&self.destinations).values().cloned().collect()
    }

    fn courier(&self, proxy: Option<&str>) -> Result<Arc<Courier>, reqwest::Error> {
        let clock = Arc::clone(&self.clock);
        let metrics = Arc::clone(&self.metrics);
        let courier = Courier::new(proxy, self.settings.pace, clock, metrics)?;
        let courier = Arc::new(courier);
        *lock(&self.courier) = Some(Arc::clone(&courier));
        Ok(courier)
    }
}

impl Inbox {
    /// Takes what is wanted and was not there before; what makes way is the
    /// answer.
    fn put(&mut self, told: Told, is_wanted: bool) -> Option<Told> {
        let (ledger, sequence) = &told.place;
        let last = self.last.as_ref();
        if last.is_some_and(|(last, seen)| last == ledger && seen >= sequence) {
            return None;
        }
        self.last = Some(told.place.clone());
        if !is_wanted {
            return None;
        }
        let is_full = self.waiting.len() >= INBOX;
        let dropped = is_full.then(|| self.waiting.pop_front()).flatten();
        self.waiting.push_back(told);
        dropped
    }

    /// Takes out what was put together, unless it made way meanwhile.
    fn done(&mut self, told: &Told) {
        if self
            .waiting
            .front()
            .is_some_and(|first| first.place == told.place)
        {
            self.waiting.pop_front();
        }
    }
}

impl Terms {
    fn of(standing: &Standing) -> Self {
        let in_force = standing.in_force.as_ref();
        let tenant = in_force.map(|in_force| &in_force.tenant);
        tenant.map_or_else(Self::default, |tenant| Self {
            destinations: tenant.notifications.clone(),
            proxy: tenant.proxy.clone(),
        })
    }
}

/// Tells, by every contract as it comes, for as long as it is polled. What fails
/// here begins anew, and nobody else notices.
pub async fn keep(counter: Arc<Counter>) {
    let mut standings = counter.standings();
    loop {
        let terms = Terms::of(&standings.borrow_and_update());
        counter.notifier.follow(&terms.destinations);
        let replaced = async {
            // The sender lives as long as `counter`, so there is nothing to fail.
            while standings.changed().await.is_ok() {
                if Terms::of(&standings.borrow_and_update()) != terms {
                    return;
                }
            }
        };
        tokio::select! {
            () = replaced => {}
            () = shift(&counter, &terms) => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// All that is done for the destinations of one contract; it ends when something
/// of it fails.
async fn shift(counter: &Arc<Counter>, terms: &Terms) {
    let notifier = &counter.notifier;
    let destinations = notifier.destinations();
    if destinations.is_empty() {
        return std::future::pending().await;
    }
    let courier = match notifier.courier(terms.proxy.as_deref()) {
        Ok(courier) => courier,
        Err(error) => {
            tracing::error!(
                error = chain(&error),
                "notifications cannot be sent; trying again"
            );
            return;
        }
    };
    let mut work = JoinSet::new();
    for destination in destinations {
        let courier = Arc::clone(&courier);
        work.spawn(async move { courier.keep_told(&destination).await });
    }
    let composing = Arc::clone(counter);
    work.spawn(async move {
        loop {
            composing.notifier.compose(&composing).await;
            composing.notifier.came.notified().await;
        }
    });
    let looking = Arc::clone(counter);
    work.spawn(async move { keep_looked(&looking).await });
    // None of it ends by itself.
    if let Some(Err(error)) = work.join_next().await {
        tracing::error!(
            error = chain(&error),
            "a part of the notifications has failed; they begin anew"
        );
    }
}

/// Looks at what no line tells: credentials, and whether destinations can be told.
async fn keep_looked(counter: &Counter) {
    let notifier = &counter.notifier;
    let mut known = reconnect::Known::default();
    let mut before = vec![];
    loop {
        reconnect::look(counter, &mut known);
        let reports = notifier.reports();
        for report in reports.iter().filter(|report| !before.contains(*report)) {
            log(report);
        }
        before = reports;
        tokio::time::sleep(notifier.settings.pace.look).await;
    }
}

fn log(report: &DestinationReport) {
    let DestinationReport {
        name,
        ready,
        reason,
        message,
    } = report;
    if *ready {
        tracing::info!(
            destination = name,
            "a destination of notifications can be told"
        );
    } else {
        tracing::warn!(
            destination = name,
            reason,
            message,
            "a destination of notifications cannot be told"
        );
    }
}

/// What people were asked of a change, where that is told.
async fn question(counter: &Counter, told: &Told) -> Option<Approval> {
    let is_asked = matches!(told.occasion, Occasion::Pending | Occasion::Decided);
    let change = told.change.as_ref().filter(|_| is_asked)?;
    let ledger = counter.book.ledger().ok()?;
    match tokio::time::timeout(ASKED, ledger.approval(change)).await {
        Ok(Ok(approval)) => approval,
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), "a question is told without its name");
            None
        }
        Err(_) => None,
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
