//! Group commit: turns that wait for one another reach the disk in one write.
//!
//! Each turn is a transaction of its own to whoever has it: it sees all turns
//! before it, and one that is dropped or fails leaves nothing. But the engine's
//! transaction is committed only when nobody who asked before is waiting, and
//! then for all turns that were closed in it. Whoever closed one hears of it
//! when it is on the disk, and not before; if that fails, all of them do. The
//! book's first page is read and written once for all of them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, oneshot};

use crate::error::LedgerError;
use crate::page::Book;
use crate::place::QUEUE;
use crate::sql::{Engine, Fault, Tx, args};

/// Where each turn after the first begins. Names are nested: going back goes to
/// the latest, and leaves it there. That of a turn that was closed is let go of,
/// so that thousands in one transaction do not pile up.
const BEGIN: &str = "SAVEPOINT turn";
const BEGIN_NEXT: &str = "RELEASE SAVEPOINT turn; SAVEPOINT turn";
const UNDO: &str = "ROLLBACK TO SAVEPOINT turn";

type Shared = Option<Open>;
type Committed = Result<(), Fault>;

/// What all turns of a process go through, in the order in which they asked.
#[derive(Debug, Clone)]
pub(crate) struct GroupCommit {
    engine: Engine,
    line: Arc<Mutex<Shared>>,
}

/// A transaction with closed turns in it.
#[derive(Debug)]
struct Open {
    tx: Tx,
    /// The first page, as the last of them left it.
    book: Book,
    /// Who wait for it to be on the disk.
    waiting: Vec<oneshot::Sender<Committed>>,
    /// Whether another turn has begun to write and was not closed.
    is_torn: bool,
    /// Whether the latest savepoint is known to be there.
    is_marked: bool,
}

/// One turn. Dropped, it is undone.
pub(crate) struct Turn {
    /// The first page, as it found it.
    pub(crate) book: Book,
    held: Held,
    commit: GroupCommit,
}

/// A first turn that is dropped is undone at once, whether another one comes or
/// not: on PostgreSQL it holds the book that other replicas wait for.
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
        }
    }

    /// Waits for those who asked before.
    pub(crate) async fn turn(&self) -> Result<Turn, LedgerError> {
        let queue = tokio::time::timeout(QUEUE, Arc::clone(&self.line).lock_owned());
        let queued = queue.await;
        let mut shared = queued.map_err(|_| LedgerError::Busy(sqlx::Error::PoolTimedOut.into()))?;
        self.begin(&mut shared).await;
        let commit = self.clone();
        match OwnedMutexGuard::try_map(shared, Option::as_mut) {
            Ok(mut open) => {
                open.is_torn = true;
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

    /// Marks where the next turn begins, if one was closed before it.
    async fn begin(&self, shared: &mut Shared) {
        let Some(open) = shared else { return };
        // What was undone ends where the next one begins.
        let begun = if open.is_torn {
            open.undo().await
        } else {
            open.mark().await
        };
        if let Err(error) = begun {
            lose(shared, error);
        }
    }

    /// Brings what was closed to the disk.
    async fn commit(&self) {
        let mut shared = self.line.lock().await;
        if let Some(open) = shared.as_mut().filter(|open| open.is_torn)
            && let Err(error) = open.undo().await
        {
            lose(&mut shared, error);
        }
        // Cut off after this, nobody is told that it went well.
        if let Some(Open {
            mut tx,
            book,
            waiting,
            ..
        }) = shared.take()
        {
            // Of a transaction that has ended in an error this fails, too, where
            // PostgreSQL would call a COMMIT well done.
            let kept = book.keep(&mut tx).await;
            let committed = match kept {
                Ok(()) => tx.commit().await,
                Err(error) => Err(error),
            };
            tell(waiting, &committed);
        }
    }
}

impl Open {
    /// Marks where a turn begins. Cut off, it is not known whether the mark of the
    /// turn before is still there, and one more stands in it.
    async fn mark(&mut self) -> Result<(), Fault> {
        let begin = if self.is_marked { BEGIN_NEXT } else { BEGIN };
        self.is_marked = false;
        self.tx.execute_script(begin).await?;
        self.is_marked = true;
        Ok(())
    }

    /// Undoes what a turn has left that was not closed. Cut off, it is done
    /// again. On PostgreSQL the first answer may be that to a statement which
    /// nobody waits for any more.
    ///
    /// Where there is nothing to go back to, SQLite has ended the transaction by
    /// itself: why, it told that turn alone, and it is told to all.
    async fn undo(&mut self) -> Result<(), Fault> {
        self.tx.forget_later();
        let why = self.tx.fault();
        if self.tx.execute(UNDO, args![]).await.is_err() {
            let undone = self.tx.execute(UNDO, args![]).await;
            undone.map_err(|error| why.unwrap_or(error))?;
        }
        self.tx.forget_fault();
        self.is_torn = false;
        Ok(())
    }
}

/// The transaction came to nothing, and all that was closed in it.
fn lose(shared: &mut Shared, error: Fault) {
    if let Some(open) = shared.take() {
        tell(open.waiting, &Err(error));
    }
}

fn tell(waiting: Vec<oneshot::Sender<Committed>>, committed: &Committed) {
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

    /// Makes it durable, and leaves the first page so. All statements of the turn
    /// went well: one that did not may have undone those before it.
    pub(crate) async fn close(mut self, book: Book) -> Result<(), LedgerError> {
        self.catch_up().await?;
        let Self { held, commit, .. } = self;
        let (sender, committed) = oneshot::channel();
        match held {
            // Those who wait by now have their turns before it.
            Held::First(tx, mut shared) => {
                *shared = Some(Open {
                    tx,
                    book,
                    waiting: vec![sender],
                    is_torn: false,
                    is_marked: false,
                });
                drop(shared);
                tokio::spawn(async move { commit.commit().await });
            }
            Held::Next(mut open) => {
                open.book = book;
                open.waiting.push(sender);
                open.is_torn = false;
            }
        }
        match committed.await {
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
