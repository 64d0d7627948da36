//! The ledger as the server holds it: opened once it is known whose it is, and
//! its lines brought out. Who may change what is decided elsewhere.

pub mod hand;
pub mod journal;
pub mod keeper;
pub mod outbox;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tenantry_api::mcp_server::{LedgerReport, LedgerState};
use tenantry_api::mcp_tenant::ledger::LedgerStatus;
use tenantry_core::cause::chain;
use tenantry_core::ledger_mark::{LedgerId, LedgerMark};
use tenantry_core::policy::longest_window;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_core::tenant::TenantConfig;
use tenantry_ledger::change::ChangeId;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::{Ledger, MOST_WAITING, Opening};
use tenantry_ledger::outbox::OffBook;
use tenantry_ledger::place::Place;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use hand::Hands;
use journal::{Contents, Journal};
use keeper::duty::Failed;

/// Between attempts to open it; growing, because a disk that is not there yet
/// comes when it comes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// For the journal to take a record: a disk that hangs must not hold up what
/// is to be switched off.
const JOURNAL_LIMIT: Duration = Duration::from_secs(2);

/// The organisation's ledger, open or not.
pub struct Book {
    place: Option<Place>,
    standing: watch::Sender<Standing>,
    /// For how long every contract so far would have keys kept.
    kept: Mutex<SignedDuration>,
    journal: Option<Arc<Journal>>,
    /// What of the journal is in the ledger, and perhaps still in it.
    recovered: Mutex<Contents>,
    /// The changes that calls of this process are working on.
    pub hands: Hands,
    /// What is done for it and has failed.
    pub failed: Failed,
    /// Told after every transaction that may have added a line.
    pub written: Notify,
    /// Told when there is a change that somebody must look after.
    pub unsettled: Notify,
    /// Told when there is something that people must see.
    pub asked: Notify,
}

/// How the ledger stands.
#[derive(Clone)]
enum Standing {
    /// Nobody has tried to open it yet.
    Untried,
    Open(Arc<Ledger>),
    /// And why.
    Shut(Arc<str>),
}

impl Book {
    /// A book that is kept there, and not opened yet, with its journal in that
    /// file. Without a place no change is made.
    pub fn new(place: Option<Place>, journal: Option<&Path>) -> Self {
        let standing = match place {
            Some(_) => Standing::Untried,
            None => Standing::Shut("this server has no ledger".into()),
        };
        Self {
            journal: journal.and_then(opened),
            recovered: Mutex::default(),
            place,
            standing: watch::Sender::new(standing),
            kept: Mutex::default(),
            hands: Hands::default(),
            failed: Failed::default(),
            written: Notify::new(),
            unsettled: Notify::new(),
            asked: Notify::new(),
        }
    }

    /// The open ledger, or what a caller hears of a shut one.
    pub fn ledger(&self) -> Result<Arc<Ledger>, Refusal> {
        match self.standing() {
            Standing::Open(ledger) => Ok(ledger),
            Standing::Shut(why) => Err(no_ledger(self.place.is_some(), &why)),
            Standing::Untried => Err(no_ledger(true, "it is about to be opened")),
        }
    }

    /// Keeps keys for as long as the policies of `tenant` add up, or as it says
    /// itself, in a ledger that is opened later as well.
    pub fn keep_for(&self, tenant: &TenantConfig) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let days = i64::from(tenant.retain_days.unwrap_or(0));
        let said = SignedDuration::from_hours(24 * days);
        *kept = longest_window(&tenant.policies).max(said).max(*kept);
        if let Standing::Open(ledger) = self.standing() {
            ledger.keep_for(*kept);
        }
    }

    /// Opens it for `tenant`, however often it takes, as the one that is
    /// `expected`; answers nothing if there is none to open.
    pub async fn open(
        &self,
        tenant: &TenantConfig,
        expected: Option<&LedgerMark>,
        clock: &Clock,
    ) -> Option<Arc<Ledger>> {
        let place = self.place.as_ref()?;
        let mut pause = SHORTEST_PAUSE;
        loop {
            match open(place, tenant, expected, clock.now()).await {
                Ok(ledger) => {
                    let ledger = Arc::new(ledger);
                    let identity = ledger.identity();
                    let recognition = ledger.recognition();
                    tracing::info!(id = %identity.id, epoch = identity.epoch, %recognition, "the ledger is open");
                    self.stand(Standing::Open(Arc::clone(&ledger)));
                    return Some(ledger);
                }
                Err(error) => {
                    let why = chain(&error);
                    tracing::error!(error = why, "the ledger cannot be opened; trying again");
                    self.stand(Standing::Shut(why.into()));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// What there is to report of it, after `before` was reported. A mark that
    /// was reported stays until there is a later one.
    pub fn report(&self, before: Option<&LedgerReport>) -> Option<LedgerReport> {
        self.place.as_ref()?;
        let untrusted = |state, message: Option<String>| LedgerReport {
            state,
            message,
            accept: None,
            mark: before.and_then(|before| before.mark.clone()),
            instead_of: before.and_then(|before| before.instead_of.clone()),
        };
        Some(match self.standing() {
            Standing::Untried => untrusted(LedgerState::Opening, None),
            Standing::Shut(why) => untrusted(LedgerState::Unavailable, Some(why.to_string())),
            Standing::Open(ledger) if ledger.recognition().is_trusted() => {
                let told = ledger.told();
                LedgerReport {
                    state: LedgerState::Open,
                    message: None,
                    accept: None,
                    mark: Some((&told.mark).into()),
                    instead_of: told.instead_of.as_ref().map(LedgerStatus::from),
                }
            }
            Standing::Open(ledger) => LedgerReport {
                accept: acceptance(&ledger),
                ..untrusted(LedgerState::Mismatch, Some(mismatch(&ledger)))
            },
        })
    }

    /// Puts down what is switched off while the ledger cannot take it; answers
    /// whether it is on the disk. Where it is not, the line of the call is what
    /// remains.
    pub async fn put_in_journal(&self, record: OffBook) -> bool {
        let Some(journal) = self.journal.clone() else {
            tracing::error!("a stop is made without a journal; its call has a line");
            return false;
        };
        let adding = off_runtime(move || journal.add(&record));
        let added = tokio::time::timeout(JOURNAL_LIMIT, adding).await;
        match added.unwrap_or_else(|late| Err(late.into())) {
            // Whoever settles changes empties it too.
            Ok(()) => {
                self.unsettled.notify_one();
                true
            }
            Err(error) => {
                tracing::error!(%error, "a stop is not in the journal; its call has a line");
                false
            }
        }
    }

    /// Puts on record in the ledger what stands in the journal.
    pub async fn empty_journal(&self, ledger: &Ledger, now: Timestamp) -> Result<(), LedgerError> {
        let Some(journal) = &self.journal else {
            return Ok(());
        };
        let reading = Arc::clone(journal);
        let read = off_runtime(move || reading.contents()).await;
        let read = read.map_err(|error| unreadable(&error))?;
        if read.is_empty() {
            *self.recovered() = read;
            return Ok(());
        }
        // What could not be cleared is in the ledger all the same.
        let fresh = read.records_after(&self.recovered());
        if !fresh.is_empty() {
            ledger.recover(&fresh, now).await?;
            *self.recovered() = read.clone();
            tracing::info!(count = fresh.len(), "the journal is in the ledger");
            self.written.notify_one();
        }
        let clearing = Arc::clone(journal);
        let cleared = off_runtime(move || clearing.clear(&read)).await;
        cleared.map_err(|error| unreadable(&error))
    }

    fn recovered(&self) -> MutexGuard<'_, Contents> {
        self.recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Shuts it; what is in its log goes into its file.
    pub async fn close(&self) {
        let standing = self.standing();
        self.stand(Standing::Shut("the server stops".into()));
        if let Standing::Open(ledger) = standing {
            ledger.close().await;
        }
    }

    /// Returns once somebody has tried to open it, whatever came of that.
    pub async fn tried(&self) {
        let mut standing = self.standing.subscribe();
        // The sender lives as long as `self`, so there is nothing to fail.
        let _ = standing
            .wait_for(|standing| !matches!(standing, Standing::Untried))
            .await;
    }

    fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    fn stand(&self, standing: Standing) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Standing::Open(ledger) = &standing {
            ledger.keep_for(*kept);
        }
        self.standing.send_replace(standing);
    }
}

/// A name for a new change.
pub fn new_change() -> Result<ChangeId, Refusal> {
    random().map(ChangeId::of_random)
}

/// Sixteen bytes that nobody can guess.
pub fn random() -> Result<[u8; 16], Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no randomness");
        Refusal::new(Reason::InternalFault, "the server could not draw a name")
    })?;
    Ok(bytes)
}

/// Without it stops are made all the same.
fn opened(journal: &Path) -> Option<Arc<Journal>> {
    match Journal::open(journal) {
        Ok(journal) => Some(Arc::new(journal)),
        Err(error) => {
            tracing::error!(%error, path = %journal.display(), "the journal cannot be opened");
            None
        }
    }
}

/// The word by which people accept the ledger that was found.
pub fn acceptance(ledger: &Ledger) -> Option<String> {
    let expected = ledger.expected()?;
    Some(expected.acceptance_of(&ledger.identity().id))
}

/// What was found, and what was expected.
fn mismatch(ledger: &Ledger) -> String {
    let found = ledger.told().mark;
    let lines = |count: u64| match count {
        1 => "1 audit line".to_owned(),
        count => format!("{count} audit lines"),
    };
    let expected = ledger.expected().map_or_else(String::new, |expected| {
        format!(
            ", and `{}` with {} was expected",
            expected.id,
            lines(expected.sequence)
        )
    });
    format!(
        "the ledger is not the one that was expected ({}): `{}` with {} was found{expected}",
        ledger.recognition(),
        found.id,
        lines(found.sequence)
    )
}

/// What touches a disk that may be slow.
async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, std::io::Error> + Send + 'static,
) -> Result<T, std::io::Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(std::io::Error::other).flatten()
}

fn unreadable(error: &std::io::Error) -> LedgerError {
    LedgerError::Damaged(format!("the journal: {error}"))
}

async fn open(
    place: &Place,
    tenant: &TenantConfig,
    expected: Option<&LedgerMark>,
    now: Timestamp,
) -> Result<Ledger, LedgerError> {
    let id = random().map_err(|refusal| LedgerError::Damaged(refusal.message))?;
    let opening = Opening {
        place,
        organization: &tenant.organization,
        tenant_uid: &tenant.tenant_uid,
        expected,
        id_if_new: LedgerId::of_random(id),
        retention: longest_window(&tenant.policies),
        most_waiting: MOST_WAITING,
    };
    Ledger::open(opening, now).await
}

/// What the caller hears when the ledger could not do it. The cause is for the
/// log: it may name addresses and paths.
pub fn refusal(error: &LedgerError) -> Refusal {
    let (reason, message) = match error {
        LedgerError::Mismatch(recognition) => {
            let message = format!(
                "the ledger is not the one that was expected ({recognition}), so nothing is changed"
            );
            return Refusal::new(Reason::LedgerMismatch, message);
        }
        LedgerError::WentBack { .. } | LedgerError::OtherOrganization { .. } => (
            Reason::LedgerMismatch,
            "the ledger is not the one that was opened, so nothing is changed",
        ),
        LedgerError::LowSpace { .. } | LedgerError::Full(_) => (
            Reason::LedgerUnavailable,
            "the ledger has no space for another change, so it was not made",
        ),
        LedgerError::Backlog { .. } => (
            Reason::AuditUnavailable,
            "too many audit lines wait to be taken, so nothing is changed",
        ),
        LedgerError::Busy(_) => (
            Reason::LedgerUnavailable,
            "the ledger is busy, so the change was not made",
        ),
        _ => return unrecordable(),
    };
    Refusal::new(reason, message)
}

/// What the caller of a change hears that the ledger did not take.
pub fn unrecordable() -> Refusal {
    let message = "the ledger could not take the change, so it was not made";
    Refusal::new(Reason::LedgerUnavailable, message)
}

fn no_ledger(has_place: bool, why: &str) -> Refusal {
    let refusal = Refusal::new(
        Reason::LedgerUnavailable,
        "the organisation's ledger is not open, so nothing is changed",
    );
    if has_place {
        tracing::warn!(why, "a change was refused because the ledger is not open");
        return refusal;
    }
    refusal.with_remedy("start the server with --ledger-dir, in which it keeps what was changed")
}
