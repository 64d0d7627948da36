//! Disks that fill up, and places where no book may be.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;
use tenantry_ledger::change::Progress;
use tenantry_ledger::claim::Claimed;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::place::{LEAST_FREE_BYTES, Place, PostgresPlace, SqlitePlace, Tls};
use tenantry_ledger::reserve::Reservation;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::house::{House, at};
use crate::wish::{self, Wish, decide, new, policy, reserved, sent};

/// A filesystem in memory of that size; root alone may make one.
struct Small {
    directory: TempDir,
}

impl Small {
    fn of(mebibytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(directory.path())
            .output();
        let is_mounted = mounted.is_ok_and(|mounted| mounted.status.success());
        if !is_mounted {
            assert!(
                !rustix::process::geteuid().is_root(),
                "root cannot mount a tmpfs"
            );
            return None;
        }
        Some(Self { directory })
    }

    fn place(&self) -> SqlitePlace {
        SqlitePlace {
            path: self.directory.path().join("ledger.db"),
            least_free_bytes: LEAST_FREE_BYTES,
        }
    }

    /// Leaves that much of it, or nothing.
    fn fill(&self, mebibytes: usize) {
        let filler = self.directory.path().join("filler");
        // The last write ends at whatever is left.
        let _ = std::fs::write(filler, vec![0_u8; mebibytes * 1024 * 1024]);
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let mut mount = Command::new("mount");
        mount.args(["-o", &options]).arg(self.directory.path());
        assert!(mount.status().unwrap().success());
    }

    fn empty(&self) {
        std::fs::remove_file(self.directory.path().join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.directory.path())
            .status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_little_space_no_change_begins_but_running_ones_end() {
    let house = House::sqlite();
    let ledger = house.open().await;
    let running = sent(&ledger, "running", &Wish::raise("1", 1), at(0)).await;
    ledger.close().await;
    let Place::Sqlite(mut place) = house.place.clone() else {
        panic!("a file was asked for");
    };
    // No disk has that much.
    place.least_free_bytes = u64::MAX;
    let mut full = House::new(Place::Sqlite(place), None);
    full.organization = house.organization.clone();
    let ledger = full.open().await;
    let lease = new(&ledger, "key", at(1)).await;
    let policies = [policy(&json!({}))];
    let wish = Wish::raise("2", 1);
    let refused = decide(&ledger, &lease, &wish, &policies, at(1)).await;
    assert!(
        matches!(refused, Err(LedgerError::LowSpace { .. })),
        "{refused:?}"
    );
    ledger
        .settle(&running, &wish::done(at(1)), at(1))
        .await
        .unwrap();
    reserved(&ledger, "stop", &Wish::stop("2"), at(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_disk_that_fills_up_changes_end_within_the_space_that_was_kept() {
    let Some(small) = Small::of(80) else { return };
    let house = House::new(Place::Sqlite(small.place()), None);
    let ledger = house.open().await;
    let mut running = Vec::new();
    for number in 0..20 {
        let key = format!("k{number}");
        running.push(sent(&ledger, &key, &Wish::raise(&key, 1), at(0)).await);
    }
    small.fill(20);
    let lease = new(&ledger, "late", at(1)).await;
    let policies = [policy(&json!({}))];
    let wish = Wish::raise("late", 1);
    let refused = decide(&ledger, &lease, &wish, &policies, at(1)).await;
    assert!(
        matches!(refused, Err(LedgerError::LowSpace { .. })),
        "{refused:?}"
    );
    for lease in &running {
        ledger
            .settle(lease, &wish::done(at(1)), at(1))
            .await
            .unwrap();
    }
    small.empty();
    decide(&ledger, &lease, &wish, &policies, at(2))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_a_call_fails_whole_and_the_book_goes_on_afterwards() {
    let Some(small) = Small::of(8) else { return };
    let mut place = small.place();
    place.least_free_bytes = 0;
    let house = House::new(Place::Sqlite(place), None);
    let ledger = house.open().await;
    let running = sent(&ledger, "running", &Wish::raise("1", 1), at(0)).await;
    small.fill(16);
    // The pages that the log has already are written first.
    let mut number = 0;
    let full = loop {
        match begin_large(&ledger, number).await {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, LedgerError::Full(_)), "{number}: {full:?}");
    small.empty();
    ledger
        .settle(&running, &wish::done(at(2)), at(2))
        .await
        .unwrap();
    let ledger = house.reopen(ledger).await;
    let found = ledger.find(&running.change).await.unwrap().unwrap();
    assert_eq!(found.progress, Progress::Applied);
    crate::crashes::is_whole(&ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_not_there_is_told() {
    let place = SqlitePlace {
        path: Path::new("/nonexistent/ledger.db").into(),
        least_free_bytes: LEAST_FREE_BYTES,
    };
    let missing = House::new(Place::Sqlite(place), None).try_open(None).await;
    assert!(
        matches!(missing, Err(LedgerError::Filesystem { .. })),
        "{missing:?}"
    );
    let place = PostgresPlace {
        host: "/nonexistent".into(),
        port: 5432,
        database: "postgres".into(),
        user: "postgres".into(),
        password: None,
        tls: Tls::Off,
        connections: 1,
    };
    let missing = House::new(Place::Postgres(place), None)
        .try_open(None)
        .await;
    assert!(
        matches!(missing, Err(LedgerError::Unreachable(_))),
        "{missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_that_may_not_be_written_is_told() {
    let Some(small) = Small::of(80) else { return };
    let house = House::new(Place::Sqlite(small.place()), None);
    house.open().await.close().await;
    small.remount("ro");
    let refused = house.try_open(None).await;
    assert!(
        matches!(refused, Err(LedgerError::ReadOnly(_))),
        "{refused:?}"
    );
    small.remount("rw");
    house.open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_needs_its_own_schema_and_reaches_no_other() {
    let house = House::postgres();
    let ledger = house.open().await;
    reserved(&ledger, "key", &Wish::raise("1", 1), at(0)).await;
    let Place::Postgres(mut place) = house.place.clone() else {
        panic!("a database was asked for");
    };
    let mut tenant = house.another();
    let role = tenant.schema();
    let make = format!("CREATE ROLE {role} LOGIN; CREATE SCHEMA {role} AUTHORIZATION {role}");
    house.run(&make).await;
    place.user.clone_from(&role);
    tenant.place = Place::Postgres(place);
    let own = tenant.open().await;
    reserved(&own, "key", &Wish::raise("1", 1), at(0)).await;
    let mut intruder = House::new(tenant.place.clone(), None);
    intruder.organization = house.organization.clone();
    let refused = intruder.try_open(None).await;
    assert!(
        matches!(refused, Err(LedgerError::Refused(_))),
        "{refused:?}"
    );
}

/// A change whose snapshot takes many pages.
async fn begin_large(ledger: &Ledger, number: u32) -> Result<(), LedgerError> {
    let object = format!("c{number}");
    let lease = match wish::try_claim(ledger, &object, "{}", at(1)).await? {
        Claimed::New(lease) => lease,
        other => panic!("{other:?}"),
    };
    let mut wish = Wish::raise(&object, 1);
    wish.intent.before = json!("x".repeat(50_000));
    let policies = [policy(&json!({}))];
    decide(ledger, &lease, &wish, &policies, at(1))
        .await
        .map(drop)
}

/// A way to the database of which every connection can fall silent: nothing
/// comes through any more, and nothing says so.
struct Wire {
    directory: TempDir,
    silent: watch::Sender<u32>,
}

impl Wire {
    /// In front of the socket in that directory.
    fn to(directory: &str) -> Self {
        let own = tempfile::tempdir().unwrap();
        let name = ".s.PGSQL.5432";
        let listener = UnixListener::bind(own.path().join(name)).unwrap();
        let database = Path::new(directory).join(name);
        let (silent, silenced) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut database = UnixStream::connect(&database).await.unwrap();
                let mut silenced = silenced.clone();
                silenced.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut database) => {}
                        _ = silenced.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self {
            directory: own,
            silent,
        }
    }

    /// Every connection that there is falls silent.
    fn cut(&self) {
        self.silent.send_modify(|count| *count += 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_ends_its_call_and_holds_nobody_up_for_good() {
    let mut house = House::postgres();
    let Place::Postgres(place) = &mut house.place else {
        panic!("a database was asked for");
    };
    let wire = Wire::to(&place.host);
    place.host = wire.directory.path().display().to_string();
    let ledger = house.open().await;
    let wish = Wish::raise("1", 1);
    let lease = wish::new(&ledger, "cut", at(1)).await;
    let asked = wish.asked();
    let cut = ledger.decide_and_reserve(&lease, &asked, at(1), |moment| {
        wire.cut();
        wish::allow(&wish)(moment)
    });
    let cut = cut.await;
    assert!(matches!(cut, Err(LedgerError::Unreachable(_))), "{cut:?}");
    // What waits in the pool is as silent, and goes when it is tried.
    let policies = [policy(&json!({}))];
    let decided = loop {
        match decide(&ledger, &lease, &wish, &policies, at(2)).await {
            Err(LedgerError::Unreachable(_) | LedgerError::Busy(_)) => {}
            other => break other,
        }
    };
    assert!(
        matches!(decided, Ok(Reservation::Reserved { .. })),
        "{decided:?}"
    );
}
