//! Turns that wait for one another, one that is dropped among them, one that
//! fails, one that ends the transaction, and a commit that fails.

use std::future::Future;

use jiff::Timestamp;
use tempfile::TempDir;
use tenantry_core::ledger_mark::LedgerId;
use tenantry_core::name::Organization;
use tokio::task::JoinHandle;

use super::*;
use crate::ledger::begin_book;
use crate::place::sqlite::connect;
use crate::place::{LEAST_FREE_BYTES, SqlitePlace};
use crate::schema::bring_up;

/// A table that a transaction can only leave if the parent of each of its rows
/// is there: `0` has none.
const TABLE: &str = "CREATE TABLE words (word TEXT NOT NULL, parent BIGINT REFERENCES parents (id) \
     DEFERRABLE INITIALLY DEFERRED); CREATE TABLE parents (id BIGINT PRIMARY KEY)";

struct Bench {
    commit: GroupCommit,
    _directory: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = SqlitePlace {
            path: directory.path().join("group.db"),
            least_free_bytes: LEAST_FREE_BYTES,
        };
        let engine = connect(&place).await.unwrap();
        bring_up(&engine).await.unwrap();
        let mut tx = engine.begin().await.unwrap();
        tx.script(TABLE).await.unwrap();
        let organization = Organization::parse("acme").unwrap();
        let id = LedgerId::of_random([1; 16]);
        begin_book(&mut tx, &id, &organization, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        Self {
            commit: GroupCommit::of(engine),
            _directory: directory,
        }
    }

    /// A first turn that was begun before `steps` asked for theirs, in their
    /// order; what they come to.
    async fn before(&self, steps: &[Step]) -> (Turn, Vec<JoinHandle<Outcome>>) {
        let first = self.commit.turn().await.unwrap();
        let mut tasks = Vec::new();
        for step in steps {
            tasks.push(tokio::spawn(step.play(self.commit.clone())));
            // On this runtime it runs until it waits, and it waits for `first`.
            tokio::task::yield_now().await;
        }
        (first, tasks)
    }

    /// What is on the disk; each of them was counted.
    async fn words(&self) -> Vec<String> {
        let mut tx = self.commit.engine.look().await.unwrap();
        let counted = Book::read(&mut tx).await.unwrap().emitted;
        let rows = tx.rows("SELECT word FROM words ORDER BY word", args![]);
        let rows = rows.await.unwrap();
        assert_eq!(rows.len() as u64, counted);
        rows.iter().map(|row| row.text("word").unwrap()).collect()
    }
}

/// What one does with its turn.
#[derive(Clone, Copy)]
enum Step {
    /// Writes and closes.
    Keep,
    /// Writes, and is dropped.
    Forget,
    /// Leaves something to be written at its close, and is dropped.
    ForgetLater,
    /// Writes, and meets an error.
    Fail,
    /// The same, when it closes.
    FailLater,
    /// Ends the whole transaction, and nobody hears why.
    End,
    /// Finds the disk full, which ends it as well.
    Fill,
    /// Finds that its own beginning is the only one.
    Alone,
    /// Finds that one ended it before, and is the first of another.
    KeepAnew,
}

type Outcome = Result<(), LedgerError>;

impl Step {
    async fn play(self, commit: GroupCommit) -> Outcome {
        let mut turn = commit.turn().await?;
        let is_first = matches!(self, Self::KeepAnew);
        assert_eq!(turn.is_first(), is_first, "one was closed and waits");
        match self {
            Self::Keep | Self::KeepAnew => {
                write(&mut turn, "kept").await;
                close(turn).await
            }
            Self::Forget => {
                write(&mut turn, "dropped").await;
                Ok(())
            }
            Self::ForgetLater => {
                write_later(&mut turn, "dropped").await;
                Ok(())
            }
            Self::FailLater => {
                write_later(&mut turn, "failed").await;
                let nowhere = "INSERT INTO nowhere VALUES (1)";
                turn.run_later(nowhere, args![]).await?;
                close(turn).await
            }
            Self::Fail => {
                write(&mut turn, "failed").await;
                turn.run("INSERT INTO nowhere VALUES (1)", args![]).await?;
                close(turn).await
            }
            Self::Fill => {
                let most = "PRAGMA max_page_count = 1";
                turn.execute(most, args![]).await?;
                let much = "INSERT INTO words (word, parent) VALUES (hex(zeroblob(100000)), NULL)";
                turn.run(much, args![]).await?;
                close(turn).await
            }
            Self::Alone => {
                let release = "RELEASE SAVEPOINT turn";
                turn.execute(release, args![]).await?;
                let more = turn.execute(release, args![]).await;
                assert!(more.is_err(), "there is another");
                turn.execute(BEGIN, args![]).await?;
                write(&mut turn, "alone").await;
                close(turn).await
            }
            Self::End => {
                turn.execute("ROLLBACK", args![]).await?;
                Err(LedgerError::damaged("the disk is full"))
            }
        }
    }
}

async fn write(turn: &mut Turn, word: &str) {
    let sql = "INSERT INTO words (word, parent) VALUES ($1, NULL)";
    turn.run(sql, args![word]).await.unwrap();
}

async fn write_later(turn: &mut Turn, word: &str) {
    let sql = "INSERT INTO words (word, parent) VALUES ($1, NULL)";
    turn.run_later(sql, args![word]).await.unwrap();
}

/// Leaves the first page with one more of what is on it.
async fn close(turn: Turn) -> Outcome {
    let mut book = turn.book.clone();
    book.emitted += 1;
    turn.close(book).await
}

async fn told(tasks: Vec<JoinHandle<Outcome>>) -> Vec<Outcome> {
    let mut told = Vec::new();
    for task in tasks {
        told.push(task.await.unwrap());
    }
    told
}

#[tokio::test]
async fn those_who_wait_are_on_the_disk_together_and_one_that_is_dropped_leaves_nothing() {
    let bench = Bench::new().await;
    let steps = [
        Step::Keep,
        Step::Forget,
        Step::Fail,
        Step::Keep,
        Step::ForgetLater,
        Step::FailLater,
        Step::Keep,
        Step::ForgetLater,
    ];
    let (mut first, tasks) = bench.before(&steps).await;
    write(&mut first, "first").await;
    close(first).await.unwrap();
    let told = told(tasks).await;
    let went_well: Vec<_> = told.iter().map(Result::is_ok).collect();
    assert_eq!(
        went_well,
        [true, true, false, true, true, false, true, true]
    );
    assert_eq!(bench.words().await, ["first", "kept", "kept", "kept"]);
    let turn = bench.commit.turn().await.unwrap();
    assert!(turn.is_first(), "nothing waits any more");
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_all_whom_it_concerns_and_to_nobody_else() {
    let bench = Bench::new().await;
    let (mut first, tasks) = bench.before(&[Step::Keep, Step::Keep]).await;
    let orphan = "INSERT INTO words (word, parent) VALUES ('orphan', 0)";
    first.run(orphan, args![]).await.unwrap();
    let mut told_all = vec![close(first).await];
    told_all.extend(told(tasks).await);
    for failed in told_all {
        assert!(matches!(failed, Err(LedgerError::Refused(_))), "{failed:?}");
    }
    assert!(bench.words().await.is_empty());
    let mut turn = bench.commit.turn().await.unwrap();
    write(&mut turn, "kept").await;
    close(turn).await.unwrap();
    assert_eq!(bench.words().await, ["kept"]);
}

#[tokio::test]
async fn one_that_ends_the_transaction_by_itself_takes_the_group_with_it() {
    let bench = Bench::new().await;
    let steps = [Step::Keep, Step::End, Step::KeepAnew];
    let (mut first, tasks) = bench.before(&steps).await;
    write(&mut first, "first").await;
    assert!(close(first).await.is_err(), "it is not on the disk");
    let told = told(tasks).await;
    let went_well: Vec<_> = told.iter().map(Result::is_ok).collect();
    assert_eq!(went_well, [false, false, true]);
    assert_eq!(bench.words().await, ["kept"]);
}

#[tokio::test]
async fn what_ended_the_transaction_is_told_to_all_whom_it_concerns() {
    let bench = Bench::new().await;
    let steps = [
        Step::Keep,
        Step::Fail,
        Step::Keep,
        Step::Fill,
        Step::KeepAnew,
    ];
    let (mut first, tasks) = bench.before(&steps).await;
    write(&mut first, "first").await;
    let mut told_all = vec![close(first).await];
    told_all.extend(told(tasks).await);
    assert!(told_all.pop().unwrap().is_ok());
    // One that failed by itself has ended nothing.
    let failed = told_all.remove(2);
    assert!(matches!(failed, Err(LedgerError::Refused(_))), "{failed:?}");
    for told in told_all {
        assert!(matches!(told, Err(LedgerError::Full(_))), "{told:?}");
    }
    assert_eq!(bench.words().await, ["kept"]);
}

#[tokio::test]
async fn however_many_were_closed_the_next_begins_in_none_of_them() {
    let bench = Bench::new().await;
    let mut steps = vec![Step::Keep; 20];
    steps.extend([Step::Forget, Step::Keep, Step::Alone]);
    let (mut first, tasks) = bench.before(&steps).await;
    write(&mut first, "first").await;
    close(first).await.unwrap();
    for told in told(tasks).await {
        told.unwrap();
    }
    assert_eq!(bench.words().await.len(), 23);
}

#[tokio::test]
async fn whoever_closed_and_went_away_is_on_the_disk_all_the_same() {
    let bench = Bench::new().await;
    let mut turn = bench.commit.turn().await.unwrap();
    write(&mut turn, "kept").await;
    let mut closing = Box::pin(close(turn));
    let begun = std::future::poll_fn(|context| {
        std::task::Poll::Ready(closing.as_mut().poll(context).is_pending())
    });
    assert!(begun.await, "it waits for the disk");
    drop(closing);
    bench.commit.commit().await;
    assert_eq!(bench.words().await, ["kept"]);
}
