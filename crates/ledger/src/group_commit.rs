//! Group commit: turns that wait for one another reach the disk in one write.
//!
//! Each turn is a transaction of its own to whoever has it: it sees all turns
//! before it, and one that is dropped or fails leaves nothing. But the engine's
//! transaction is committed only when nobody who asked before is waiting, and
//! then for all turns that were closed in it. Whoever closed one hears of it
//! when it is on the disk, and not before; if that fails, all of them do. The
//! book's first page is read and written once for all of them.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Line, OwnedMappedMutexGuard, OwnedMutexGuard, oneshot};

use crate::error::LedgerError;
use crate::page::Book;
use crate::sql::{Engine, Tx, args};

/// How long a turn waits for those before it. A caller hears within 25 s, and a
/// turn takes milliseconds.
const QUEUE: Duration = Duration::from_secs(10);

/// Where each turn after the first begins. Names are nested: going back goes to
/// the latest.
const BEGIN: &str = "SAVEPOINT turn";
const UNDO: &str = "ROLLBACK TO SAVEPOINT turn";

/// The transaction with closed turns in it.
type Shared = Option<Open>;
type Committed = Result<(), Arc<sqlx::Error>>;
type Told = oneshot::Sender<Committed>;

/// What all turns of a process go through, in the order in which they asked.
#[derive(Debug, Clone)]
pub(crate) struct GroupCommit {
    engine: Engine,
    line: Arc<Line<Shared>>,
    closed: Arc<Mutex<Closed>>,
}

/// The turns that wait to be on the disk.
#[derive(Debug, Default)]
struct Closed {
    waiting: Vec<Told>,
    /// Whether a turn after them has begun to write and was not closed.
    is_torn: bool,
}

#[derive(Debug)]
struct Open {
    tx: Tx,
    /// The first page, as the last of them left it.
    book: Book,
}

/// One turn. Dropped, it is undone.
pub(crate) struct Turn {
    /// The first page, as it found it.
    pub(crate) book: Book,
    held: Held,
    commit: GroupCommit,
}

enum Held {
    /// The transaction is its own, until it is closed.
    First(Tx, OwnedMutexGuard<Shared>),
    /// Others were closed in it before.
    Next(OwnedMappedMutexGuard<Shared, Open>),
}

impl GroupCommit {
    pub(crate) fn of(engine: Engine) -> Self {
        Self {
            engine,
            line: Arc::default(),
            closed: Arc::default(),
        }
    }

    /// Waits for those who asked before.
    pub(crate) async fn turn(&self) -> Result<Turn, LedgerError> {
        let queue = tokio::time::timeout(QUEUE, Arc::clone(&self.line).lock_owned());
        let mut shared = queue.await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        self.put_right(&mut shared).await;
        self.begin(&mut shared).await;
        let commit = self.clone();
        match OwnedMutexGuard::try_map(shared, Option::as_mut) {
            Ok(open) => {
                self.closed().is_torn = true;
                Ok(Turn {
                    book: open.book.clone(),
                    held: Held::Next(open),
                    commit,
                })
            }
            Err(shared) => {
                let mut tx = self.engine.begin().await?;
                Ok(Turn {
                    book: Book::lock(&mut tx).await?,
                    held: Held::First(tx, shared),
                    commit,
                })
            }
        }
    }

    /// Waits until what was closed is on the disk.
    pub(crate) async fn flush(&self) {
        let mut shared = Arc::clone(&self.line).lock_owned().await;
        self.commit(&mut shared).await;
    }

    /// Marks where the next turn begins, if one was closed before it.
    async fn begin(&self, shared: &mut Shared) {
        let Some(open) = shared else { return };
        if let Err(error) = open.tx.execute(BEGIN, args![]).await {
            self.lose(shared, error);
        }
    }

    /// Undoes what a turn has left that was not closed. Cut off, it is done
    /// again.
    async fn put_right(&self, shared: &mut Shared) {
        let Some(open) = shared.as_mut().filter(|_| self.closed().is_torn) else {
            return;
        };
        match open.tx.execute(UNDO, args![]).await {
            Ok(_) => self.closed().is_torn = false,
            Err(error) => self.lose(shared, error),
        }
    }

    async fn commit(&self, shared: &mut Shared) {
        self.put_right(shared).await;
        let Some(Open { mut tx, book }) = shared.take() else {
            return;
        };
        // Cut off here, nobody is told that it went well.
        let waiting = std::mem::take(&mut *self.closed()).waiting;
        let committed = match book.keep(&mut tx).await {
            Ok(()) => tx.commit().await,
            Err(error) => Err(error),
        };
        tell(waiting, &committed.map_err(Arc::new));
    }

    /// The transaction came to nothing, and all that was closed in it.
    fn lose(&self, shared: &mut Shared, error: sqlx::Error) {
        *shared = None;
        let waiting = std::mem::take(&mut *self.closed()).waiting;
        tell(waiting, &Err(Arc::new(error)));
    }

    fn closed(&self) -> MutexGuard<'_, Closed> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(waiting: Vec<Told>, committed: &Committed) {
    for told in waiting {
        // Whoever does not listen any more finds it in the book.
        let _ = told.send(committed.clone());
    }
}

impl Turn {
    /// Whether what it sees is on the disk, all of it.
    pub(crate) fn is_first(&self) -> bool {
        matches!(self.held, Held::First(..))
    }

    /// Makes it durable, and leaves the first page so.
    pub(crate) async fn close(self, book: Book) -> Result<(), LedgerError> {
        let Self { held, commit, .. } = self;
        let (tell, told) = oneshot::channel();
        {
            let mut closed = commit.closed();
            closed.is_torn = false;
            closed.waiting.push(tell);
        }
        match held {
            // Those who wait by now have their turns before it.
            Held::First(tx, mut shared) => {
                *shared = Some(Open { tx, book });
                drop(shared);
                tokio::spawn(async move { commit.flush().await });
            }
            Held::Next(mut open) => open.book = book,
        }
        match told.await {
            Ok(committed) => Ok(committed?),
            Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
        }
    }
}

impl Deref for Turn {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        match &self.held {
            Held::First(tx, _) => tx,
            Held::Next(open) => &open.tx,
        }
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut Tx {
        match &mut self.held {
            Held::First(tx, _) => tx,
            Held::Next(open) => &mut open.tx,
        }
    }
}

#[cfg(test)]
mod tests;
