//! Opening the book, and saying which one it is.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};
use tenantry_core::audit::chain::Head;
use tenantry_core::digest::Digest;
use tenantry_core::ledger_mark::{LedgerId, LedgerMark, Told};
use tenantry_core::name::Organization;

use crate::change::json;
use crate::error::LedgerError;
use crate::group_commit::GroupCommit;
use crate::identity::{Found, Identity, Recognition};
use crate::line::Event;
use crate::page::{Book, Page};
use crate::place::Place;
use crate::place::sqlite::Space;
use crate::schema;
use crate::sql::{Engine, Fault, Tx, args};
use crate::tally::Tally;

/// Keys and settled changes are kept at least this long (WRITES §2).
pub const LEAST_RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Audit lines that may wait to leave. A stream that stands still refuses
/// changes before the disk is full of what nobody has seen.
pub const MOST_WAITING: u64 = 10_000;

/// Characters of a tenant's UID that are in a line; a UID has 36.
const LONGEST_TENANT_UID: usize = 128;

/// What a book is opened with.
#[derive(Debug)]
pub struct Opening<'o> {
    /// Where it is.
    pub place: &'o Place,
    /// Whose it is.
    pub organization: &'o Organization,
    /// The UID of the tenant's object, for the lines that are written from now on.
    pub tenant_uid: &'o str,
    /// What was last reported of it, if that was kept.
    pub expected: Option<&'o LedgerMark>,
    /// Its name, if it is made now.
    pub id_if_new: LedgerId,
    /// How long keys and settled changes are kept: as long as the longest
    /// window that a policy has, and [`LEAST_RETENTION`] at least.
    pub retention: SignedDuration,
    /// Audit lines that may wait to leave: [`MOST_WAITING`].
    pub most_waiting: u64,
}

/// An open book. Each call is one transaction.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) engine: Engine,
    group_commit: GroupCommit,
    pub(crate) identity: Identity,
    pub(crate) tenant_uid: String,
    retention_ms: AtomicI64,
    pub(crate) most_waiting: u64,
    space: Option<Space>,
    expected: Option<LedgerMark>,
    seen: Mutex<Seen>,
    /// Taken by whoever reads it; a transaction that is dropped leaves none.
    tally: Mutex<Tally>,
    /// The book's clock as this process last saw it, in microseconds.
    clock_us: AtomicI64,
}

/// What this process has last seen of the book.
#[derive(Debug)]
struct Seen {
    recognition: Recognition,
    /// The last line of the chain.
    head: Head,
    /// What it was accepted in the place of.
    accepted_over: Option<LedgerMark>,
}

impl Ledger {
    /// Opens the book, making it where there is none. An unexpected one opens
    /// too, so that it can be looked at and accepted, but no change begins.
    pub async fn open(opening: Opening<'_>, now: Timestamp) -> Result<Self, LedgerError> {
        let Opening {
            place,
            organization,
            tenant_uid,
            expected,
            id_if_new,
            retention,
            most_waiting,
        } = opening;
        let (engine, space) = place.connect(organization).await?;
        schema::bring_up(&engine).await?;
        let mut tx = engine.begin().await?;
        begin_book(&mut tx, &id_if_new, organization, now).await?;
        let mut book = Book::lock(&mut tx).await?;
        if book.organization != *organization {
            let found = book.organization.to_string();
            return Err(LedgerError::OtherOrganization { found });
        }
        let recognition = recognize(&mut tx, &book, expected).await?;
        book.epoch += 1;
        book.clock = book.clock.max(now);
        book.keep(&mut tx).await?;
        tx.commit().await?;
        Ok(Self {
            group_commit: GroupCommit::of(engine.clone()),
            engine,
            identity: Identity {
                id: book.id,
                organization: book.organization,
                epoch: book.epoch,
            },
            // As in the lines of the process, which have room for no more.
            tenant_uid: tenant_uid.chars().take(LONGEST_TENANT_UID).collect(),
            retention_ms: AtomicI64::new(millis(retention.max(LEAST_RETENTION))),
            most_waiting,
            space,
            expected: expected.cloned(),
            seen: Mutex::new(Seen {
                recognition,
                head: book.head,
                accepted_over: book.accepted_over,
            }),
            tally: Mutex::default(),
            clock_us: AtomicI64::new(book.clock.as_microsecond()),
        })
    }

    /// From now on keys and settled changes are kept for that long, if they are
    /// not kept for longer already: a policy has a longer window.
    pub fn keep_for(&self, retention: SignedDuration) {
        self.retention_ms
            .fetch_max(millis(retention), Ordering::SeqCst);
    }

    /// How long they are kept.
    pub fn retention(&self) -> SignedDuration {
        SignedDuration::from_millis(self.retention_ms.load(Ordering::SeqCst))
    }

    /// By how much the book's clock is ahead of the caller's. The book's own
    /// never goes back, so until the other has come as far it stands still:
    /// windows, cooldowns and questions last longer.
    pub fn clock_ahead(&self, now: Timestamp) -> SignedDuration {
        let clock_us = self.clock_us.load(Ordering::Relaxed);
        let ahead_us = clock_us.saturating_sub(now.as_microsecond());
        SignedDuration::from_micros(ahead_us.max(0))
    }

    /// Closes the book: what is in its log goes into the file.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// Which book it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether this process is the only one that has it: whoever had something
    /// in hand before is gone.
    pub fn is_alone(&self) -> bool {
        matches!(self.engine, Engine::Sqlite(_))
    }

    /// How it stands to the one that was expected.
    pub fn recognition(&self) -> Recognition {
        self.seen().recognition
    }

    /// What was expected of it.
    pub fn expected(&self) -> Option<&LedgerMark> {
        self.expected.as_ref()
    }

    /// What there is to report of it, and to expect at the next opening.
    pub fn told(&self) -> Told {
        let Seen {
            head,
            accepted_over,
            ..
        } = &*self.seen();
        Told {
            mark: LedgerMark {
                id: self.identity.id.clone(),
                epoch: self.identity.epoch,
                sequence: head.sequence,
                digest: head.digest,
            },
            instead_of: accepted_over.clone(),
        }
    }

    /// The last line of its chain.
    pub async fn head(&self) -> Result<Head, LedgerError> {
        let mut tx = self.engine.look().await?;
        Ok(Book::read(&mut tx).await?.head)
    }

    /// People accept this book in the place of the expected one: changes may
    /// begin, with every window full for its length from now on, and no key of
    /// before opens anything. `record` says who did, for the audit.
    pub async fn accept(
        &self,
        record: &Map<String, serde_json::Value>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut page = self.turn(now).await?;
        page.book.accepted_at = Some(page.now);
        page.book.accepted_over = self.expected.clone();
        let expire = "UPDATE claims SET is_expired = 1, answer = NULL";
        page.tx.run(expire, args![]).await?;
        let detail = json!({
            "expected": self.expected,
            "was": self.recognition().to_string(),
        });
        page.append(Event::LedgerAccepted, None, detail, record)
            .await?;
        page.close().await
    }

    /// Refuses a change that would begin in the wrong book or on a full disk.
    pub(crate) fn admit(&self) -> Result<(), LedgerError> {
        let recognition = self.recognition();
        if !recognition.is_trusted() {
            return Err(LedgerError::Mismatch(recognition));
        }
        self.space.as_ref().map_or(Ok(()), Space::check)
    }

    /// Takes the book for one transaction, at one moment of its own clock.
    pub(crate) async fn turn(&self, now: Timestamp) -> Result<Page<'_>, LedgerError> {
        let turn = self.group_commit.turn().await?;
        let book = &turn.book;
        let seen = self.seen().head.sequence;
        if book.id != self.identity.id || book.head.sequence < seen {
            let found = book.head.sequence;
            return Err(LedgerError::WentBack { seen, found });
        }
        if let (Engine::Sqlite(_), true) = (&self.engine, book.epoch != self.identity.epoch) {
            return Err(LedgerError::TakenAway);
        }
        // What another replica wrote and was seen must stay, and it may have been
        // told of an acceptance. What this one wrote may not be on the disk yet.
        if turn.is_first() {
            self.has_seen(book);
        }
        let clock = book.clock.max(now);
        self.clock_us
            .fetch_max(clock.as_microsecond(), Ordering::Relaxed);
        Ok(Page::new(self, turn, now))
    }

    fn learn_acceptance(&self, book: &Book) {
        if book.accepted_over.is_none() {
            return;
        }
        let mut seen = self.seen();
        if book.accepted_over == self.expected {
            seen.recognition = Recognition::Accepted;
        }
        seen.accepted_over.clone_from(&book.accepted_over);
    }

    /// Remembers what was committed.
    pub(crate) fn has_seen(&self, book: &Book) {
        self.learn_acceptance(book);
        let mut seen = self.seen();
        if book.head.sequence > seen.head.sequence {
            seen.head = book.head;
        }
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Writes the first page of a new book; an old one stays as it is.
pub(crate) async fn begin_book(
    tx: &mut Tx,
    id: &LedgerId,
    organization: &Organization,
    now: Timestamp,
) -> Result<(), LedgerError> {
    const BEGIN: &str = "INSERT INTO book (one, id, organization, epoch, clock, sequence, digest, \
         emitted, erased) VALUES (1, $1, $2, 0, $3, 0, $4, 0, 0) ON CONFLICT (one) DO NOTHING";
    let digest = Head::before_all().digest.to_string();
    let args = args![id.as_str(), organization.as_str(), now, digest];
    tx.run(BEGIN, args).await?;
    Ok(())
}

async fn recognize(
    tx: &mut Tx,
    book: &Book,
    expected: Option<&LedgerMark>,
) -> Result<Recognition, LedgerError> {
    let sequence = expected.map_or(0, |expected| expected.sequence);
    let there = "SELECT digest FROM events WHERE sequence = $1";
    let row = tx.row(there, args![sequence]).await?;
    let digest_there = row
        .map(|row| row.read("digest", |text| Digest::parse(text).ok()))
        .transpose()?;
    let found = Found {
        id: &book.id,
        epoch: book.epoch,
        head: book.head,
        digest_there,
        accepted_over: book.accepted_over.as_ref(),
    };
    Ok(Recognition::of(&found, expected))
}

impl Book {
    /// Writes down what may have changed.
    pub(crate) async fn keep(&self, tx: &mut Tx) -> Result<(), Fault> {
        const KEEP: &str = "UPDATE book SET epoch = $1, clock = $2, sequence = $3, digest = $4, \
             emitted = $5, erased = $6, accepted_at = $7, accepted_over = $8 WHERE one = 1";
        let over = self.accepted_over.as_ref().map(json);
        let args = args![
            self.epoch,
            self.clock,
            self.head.sequence,
            self.head.digest.to_string(),
            self.emitted,
            self.erased,
            self.accepted_at,
            over.as_deref(),
        ];
        tx.execute(KEEP, args).await.map(drop)
    }
}
