//! Processes that die, and what the next one finds.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tenantry_core::audit::chain::Head;
use tenantry_core::name::Organization;
use tenantry_ledger::change::{ChangeId, Lease, Progress};
use tenantry_ledger::claim::Claimed;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::line::verify;
use tenantry_ledger::place::{LEAST_FREE_BYTES, Place, SqlitePlace};

use crate::audit;
use crate::house::{House, at};
use crate::wish::{self, Wish, asks, decide, new, policy, reserved, sent, try_claim};

on_both_engines!(
    whoever_dies_between_two_steps_is_followed_by_another,
    a_call_that_is_cut_off_happened_whole_or_not_at_all,
    nothing_that_was_confirmed_is_lost_to_kill_9,
);

/// That all lines are there, and prove each other up to the head.
pub async fn is_whole(ledger: &Ledger) {
    let lines = audit::lines(ledger).await;
    let texts = lines.iter().map(String::as_str);
    let proven = verify(texts, &ledger.identity().id, Head::before_all()).unwrap();
    assert_eq!(proven, ledger.head().await.unwrap());
}

async fn whoever_dies_between_two_steps_is_followed_by_another(house: House) {
    let ledger = house.open().await;
    let claimed = new(&ledger, "claimed", at(0)).await;
    let kept = reserved(&ledger, "reserved", &Wish::raise("1", 1), at(1)).await;
    let sending = sent(&ledger, "sent", &Wish::raise("2", 1), at(2)).await;
    let unknown = sent(&ledger, "unknown", &Wish::raise("3", 1), at(3)).await;
    ledger
        .settle(&unknown, &wish::unknown(), at(3))
        .await
        .unwrap();
    let pending = new(&ledger, "pending", at(4)).await;
    decide(&ledger, &pending, &Wish::raise("4", 1), &[asks()], at(4))
        .await
        .unwrap();
    wish::applied(&ledger, "applied", &Wish::raise("5", 1), at(5)).await;
    let dead = ledger.identity().epoch;

    let ledger = house.reopen(ledger).await;
    let found = ledger.unsettled().await.unwrap();
    let seen: Vec<_> = found
        .iter()
        .map(|change| (&change.lease, change.progress))
        .collect();
    assert_eq!(
        seen,
        [
            (&claimed, Progress::Claimed),
            (&kept, Progress::Reserved),
            (&sending, Progress::Sending),
            (&unknown, Progress::Unknown),
        ]
    );
    assert!(
        found
            .iter()
            .all(|change| change.holder == dead && dead < ledger.identity().epoch)
    );
    // What it takes to go on.
    let wanted = Wish::raise("2", 1);
    assert_eq!(found[2].proposal.as_ref(), Some(&wanted.proposal));
    assert_eq!(found[2].intent.as_ref(), Some(&wanted.intent));
    assert_eq!(found[2].principal, wish::principal());
    for change in &found {
        let lease = ledger.take_over(change, at(9)).await.unwrap();
        match change.progress {
            Progress::Claimed => ledger.release(&lease, at(9)).await.unwrap(),
            Progress::Reserved => ledger
                .settle(&lease, &wish::never_sent(), at(9))
                .await
                .unwrap(),
            _ => ledger
                .settle(&lease, &wish::done(at(9)), at(9))
                .await
                .unwrap(),
        }
    }
    assert_eq!(ledger.unsettled().await.unwrap(), []);
    assert_eq!(ledger.waiting().await.unwrap().len(), 1);
    is_whole(&ledger).await;
}

/// Steps of one change, one after the other, until something does not answer.
async fn go(ledger: &Ledger, key: &str) -> Result<(), LedgerError> {
    let Claimed::New(lease) = try_claim(ledger, key, "{}", at(0)).await? else {
        return Ok(());
    };
    let policies = [policy(&json!({}))];
    decide(ledger, &lease, &Wish::raise(key, 1), &policies, at(0)).await?;
    ledger
        .sending(&lease, &wish::permission(at(0)), at(0))
        .await?;
    ledger.settle(&lease, &wish::done(at(0)), at(0)).await
}

async fn a_call_that_is_cut_off_happened_whole_or_not_at_all(house: House) {
    let ledger = house.open().await;
    let started = std::time::Instant::now();
    go(&ledger, "measured").await.unwrap();
    let whole = started.elapsed();
    let rounds = 40;
    for round in 0..rounds {
        let key = format!("k{round}");
        // Cut off at another place each time.
        let _ = tokio::time::timeout(whole * round / rounds, go(&ledger, &key)).await;
    }
    // One call to see that the book still answers after the last cut.
    new(&ledger, "after", at(1)).await;
    is_whole(&ledger).await;
    let ledger = house.reopen(ledger).await;
    is_whole(&ledger).await;
    for change in ledger.unsettled().await.unwrap() {
        let is_decided = change.progress != Progress::Claimed;
        assert_eq!(change.proposal.is_some(), is_decided);
        assert_eq!(change.reserved_at.is_some(), is_decided);
        assert_eq!(
            change.sent_at.is_some(),
            change.progress == Progress::Sending
        );
        if is_decided {
            ledger
                .settle(&change.lease, &wish::held_up(), at(2))
                .await
                .unwrap();
        }
    }
    // No root is left behind.
    for round in 0..rounds {
        reserved(
            &ledger,
            &format!("again {round}"),
            &Wish::raise(&format!("k{round}"), 2),
            at(200),
        )
        .await;
    }
}

/// Where a child finds the book.
const CHILD: &str = "TENANTRY_LEDGER_CHILD";

/// Takes changes through the book until it is killed, and says after each step
/// that it was confirmed. Does nothing unless it is a child.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_goes_on_until_it_is_killed() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let mut words = told.split(' ');
    let (kind, path) = (words.next().unwrap(), words.next().unwrap());
    let organization = Organization::parse(words.next().unwrap()).unwrap();
    let place = match kind {
        "sqlite" => Place::Sqlite(SqlitePlace {
            path: path.into(),
            least_free_bytes: LEAST_FREE_BYTES,
        }),
        _ => Place::Postgres(crate::postgres::in_directory(Path::new(path))),
    };
    let mut house = House::new(place, None);
    house.organization = organization;
    let ledger = house.open().await;
    println!("confirmed open");
    for number in 0.. {
        let key = format!("{}-{number}", std::process::id());
        let say = |lease: &Lease, step: &str| println!("confirmed {} {step}", lease.change);
        let lease = new(&ledger, &key, at(0)).await;
        say(&lease, "claimed");
        let policies = [policy(&json!({}))];
        decide(&ledger, &lease, &Wish::raise(&key, 1), &policies, at(0))
            .await
            .unwrap();
        say(&lease, "reserved");
        ledger
            .sending(&lease, &wish::permission(at(0)), at(0))
            .await
            .unwrap();
        say(&lease, "sending");
        ledger
            .settle(&lease, &wish::done(at(0)), at(0))
            .await
            .unwrap();
        say(&lease, "applied");
    }
}

struct Killed {
    child: Child,
    confirmed: Vec<String>,
}

/// Runs a child until it has confirmed that many steps, and kills it.
fn kill_after(house: &House, steps: usize) -> Killed {
    let (kind, path) = match &house.place {
        Place::Sqlite(place) => ("sqlite", place.path.display().to_string()),
        Place::Postgres(place) => ("postgres", place.host.clone()),
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crashes::a_child_goes_on_until_it_is_killed",
            "--nocapture",
        ])
        .env(CHILD, format!("{kind} {path} {}", house.organization))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut confirmed = Vec::new();
    for line in stdout.lines() {
        let line = line.unwrap();
        // The runner's own words may stand before it.
        if let Some((_, step)) = line.split_once("confirmed ") {
            confirmed.push(step.to_owned());
        }
        if confirmed.len() == steps {
            // SIGKILL; what it said meanwhile is read to the end.
            child.kill().unwrap();
        }
    }
    Killed { child, confirmed }
}

fn rank(progress: &str) -> usize {
    let order = ["claimed", "reserved", "sending", "applied"];
    order.iter().position(|known| *known == progress).unwrap()
}

async fn nothing_that_was_confirmed_is_lost_to_kill_9(house: House) {
    let mut all = Vec::new();
    for steps in [2, 7, 30, 61] {
        let mut killed = tokio::task::block_in_place(|| kill_after(&house, steps));
        let status = killed.child.wait().unwrap();
        assert!(
            !status.success() && killed.confirmed.len() >= steps,
            "{status}"
        );
        all.extend(killed.confirmed.split_off(1));
        let ledger = house.open().await;
        is_whole(&ledger).await;
        let unsettled = ledger.unsettled().await.unwrap();
        // One at a time is under way, and the last one of each child stays so.
        assert!(unsettled.len() <= 1, "{unsettled:?}");
        for step in &all {
            let (change, step) = step.split_once(' ').unwrap();
            let change = ChangeId::parse(change).unwrap();
            let found = ledger.find(&change).await.unwrap().unwrap();
            let has_come = rank(found.progress.as_str());
            assert!(has_come >= rank(step), "{change} is {has_come}, was {step}");
            let is_listed = unsettled.contains(&found);
            assert_eq!(is_listed, !found.progress.is_final(), "{found:?}");
        }
        for change in unsettled {
            let lease = ledger.take_over(&change, at(1)).await.unwrap();
            all.retain(|step| !step.starts_with(lease.change.as_str()));
            match change.progress {
                Progress::Claimed => ledger.release(&lease, at(1)).await.unwrap(),
                // The child may have been killed after it was sent.
                _ => ledger
                    .settle(&lease, &wish::held_up(), at(1))
                    .await
                    .unwrap(),
            }
        }
        ledger.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_process_holds_opens_for_no_other() {
    let house = House::sqlite();
    let Place::Sqlite(place) = &house.place else {
        panic!("a file was asked for");
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crashes::a_child_goes_on_until_it_is_killed",
            "--nocapture",
        ])
        .env(
            CHILD,
            format!("sqlite {} {}", place.path.display(), house.organization),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().is_ok_and(|line| line.contains("confirmed")))
        .unwrap()
        .unwrap();
    // It goes on writing while nobody reads what it says.
    let held = house.try_open(None).await;
    assert!(matches!(held, Err(LedgerError::Held(_))), "{held:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let ledger = house.open().await;
    // Nor does it open twice in one process.
    let held = house.try_open(None).await;
    assert!(matches!(held, Err(LedgerError::Held(_))), "{held:?}");
    is_whole(&ledger).await;
    tokio::time::timeout(Duration::from_secs(10), ledger.close())
        .await
        .unwrap();
    house.open().await;
}
