//! Who may change something at this moment, and what nothing holds up.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tenantry_core::access::Access;
use tenantry_core::freeze::{Freeze, FreezeScope};
use tenantry_core::key::KeyRecord;
use tenantry_core::tenant::{Limits, RateLimit};
use tenantry_fakes::meta::{Answers, Applies, Order};

use super::{
    AD_SET, OTHER_AD_SET, QUIET, budgets, call, looked_at, new_key, open, set, spender, world,
    world_with,
};
use crate::control::{LiveAnswer, raw};
use crate::world::{Ledger, World, record, until};

async fn pause(world: &World) -> Value {
    call(world, "meta_pause", json!({"ad_set_id": AD_SET})).await
}

fn freeze(access: Access) -> Freeze {
    Freeze {
        name: "stop".into(),
        scope: FreezeScope::All,
        access,
        note: None,
        flaw: None,
    }
}

#[tokio::test]
async fn access_and_freezes_stop_changes_and_frozen_lets_stops_through() {
    for (access, frozen, budget, stop) in [
        (Access::ReadWrite, None, "done", "done"),
        (Access::Frozen, None, "AccessDenied", "done"),
        (Access::ReadOnly, None, "AccessDenied", "AccessDenied"),
        (Access::ReadWrite, Some(Access::Frozen), "Frozen", "done"),
        (
            Access::ReadWrite,
            Some(Access::ReadOnly),
            "Frozen",
            "Frozen",
        ),
    ] {
        let world = World::start_with(|setup| {
            open(setup);
            setup.tenant.access = access;
            setup.freezes = frozen.map(freeze).into_iter().collect();
        })
        .await;
        let heard = |told: &Value| {
            let reason = told["reason"].as_str();
            reason.or(told["status"].as_str()).unwrap().to_owned()
        };
        assert_eq!(
            heard(&set(&world, "31.00", &new_key()).await),
            budget,
            "{access:?}"
        );
        assert_eq!(heard(&pause(&world).await), stop, "{access:?} {frozen:?}");
        world.end().await;
    }
}

#[tokio::test]
async fn what_was_taken_back_a_moment_ago_stops_a_change_before_anybody_heard_of_it() {
    let world = world().await;
    let revoked = KeyRecord {
        disabled: true,
        ..spender("demo")
    };
    world.control.keep_keys(vec![revoked]);
    let told = set(&world, "40.00", &new_key()).await;
    assert_eq!(told["reason"], "KeyRevoked", "{told}");
    assert_eq!(pause(&world).await["reason"], "KeyRevoked");
    world.control.keep_keys(vec![spender("demo")]);
    world.control.keep_freezes(vec![freeze(Access::Frozen)]);
    let told = set(&world, "40.00", &new_key()).await;
    assert_eq!(told["reason"], "Frozen", "{told}");
    world.control.keep_freezes(vec![]);
    let mut tenant = world.tenant.clone();
    tenant.limits.concurrency += 1;
    world.control.keep_contract(raw(&tenant, 2));
    let told = set(&world, "40.00", &new_key()).await;
    assert_eq!(told["reason"], "ContractPending", "{told}");
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn a_silent_control_plane_stops_changes_and_no_stop() {
    let world = world().await;
    for answer in [LiveAnswer::Failing, LiveAnswer::Silent] {
        world.control.answer_live(answer);
        let told = set(&world, "40.00", &new_key()).await;
        assert_eq!(told["reason"], "ControlPlaneStale", "{told}");
    }
    assert_eq!(budgets(&world), []);
    assert_eq!(pause(&world).await["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn a_key_needs_the_scope_of_the_tool() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.keys = vec![record("demo")];
    })
    .await;
    assert_eq!(
        set(&world, "40.00", &new_key()).await["reason"],
        "ScopeMissing"
    );
    assert_eq!(pause(&world).await["reason"], "ScopeMissing");
    world.end().await;
}

#[tokio::test]
async fn without_a_ledger_nothing_is_changed_but_what_stops() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.ledger = Ledger::None;
    })
    .await;
    let told = set(&world, "40.00", &new_key()).await;
    assert_eq!(told["reason"], "LedgerUnavailable", "{told}");
    assert_eq!(
        told["remedy"],
        "start the server with --ledger-dir, in which it keeps what was changed"
    );
    assert_eq!(pause(&world).await["status"], "done");
    assert_eq!(world.fake.effects().len(), 1);
    let reads = call(&world, "meta_list_ad_accounts", json!({})).await;
    assert_eq!(reads["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn a_key_that_ended_meanwhile_changes_nothing() {
    let world = world().await;
    let ended = KeyRecord {
        expires_at: Some(Timestamp::UNIX_EPOCH),
        ..spender("demo")
    };
    world.control.keep_keys(vec![ended]);
    let told = set(&world, "40.00", &new_key()).await;
    assert_eq!(told["reason"], "KeyExpired", "{told}");
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn a_stop_that_nobody_looks_after_is_not_called_settling() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.ledger = Ledger::None;
    })
    .await;
    world
        .fake
        .order(Order::next_write(Applies::Never, Answers::Break));
    let told = pause(&world).await;
    assert_eq!(told["status"], "needs_human", "{told}");
    assert_eq!(
        told["remedy"],
        "read the object, and switch it off again if it still runs"
    );
    assert_eq!(pause(&world).await["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn old_knowledge_stops_changes_and_no_stop() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.stale_after = Duration::ZERO;
    })
    .await;
    let told = set(&world, "40.00", &new_key()).await;
    assert_eq!(told["reason"], "ControlPlaneStale", "{told}");
    assert_eq!(pause(&world).await["status"], "done");
    world.end().await;
}

/// Somebody else's key, and his own, are over every limit that a call has.
#[tokio::test]
async fn no_rate_and_no_crowd_keeps_anything_running() {
    let world = World::start_with(|setup| {
        open(setup);
        let few = RateLimit {
            per_minute: 1,
            burst: 2,
        };
        setup.drain = Duration::from_millis(50);
        setup.tenant.limits = Limits {
            per_key: few,
            per_key_concurrency: 1,
            per_tenant: few,
            concurrency: 1,
        };
    })
    .await;
    let order = Order::next_write(Applies::Never, Answers::Hang);
    world.fake.order(Order {
        method: Some("GET".into()),
        path: Some("adaccounts".into()),
        ..order
    });
    let list = async || call(&world, "meta_list_ad_accounts", json!({})).await;
    let client = world.client("demo");
    let hanging =
        tokio::spawn(async move { client.call("meta_list_ad_accounts", json!({})).await });
    world.fake.arrived(1).await;
    assert_eq!(list().await["reason"], "ServerBusy");
    assert_eq!(list().await["reason"], "RateLimited");
    assert_eq!(pause(&world).await["status"], "done");
    hanging.abort();
    world.end().await;
}

#[tokio::test]
async fn the_one_limit_of_a_policy_holds_for_stops() {
    let world = world_with(json!({"deactivate": {"maxPerHour": 1}})).await;
    assert_eq!(pause(&world).await["status"], "done");
    let other = json!({"ad_set_id": OTHER_AD_SET});
    let told = call(&world, "meta_pause", other.clone()).await;
    assert_eq!(told["reason"], "PolicyDenied", "{told}");
    assert_eq!(told["rules"][0]["rule"], "deactivate.maxPerHour");
    world.clock.advance(SignedDuration::from_mins(61));
    assert_eq!(call(&world, "meta_pause", other).await["status"], "done");
    world.end().await;
    let world = world_with(json!({"deactivate": {"askAbove": "25"}})).await;
    let told = pause(&world).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    assert_eq!(told["rules"][0]["rule"], "deactivate.askAbove");
    let other = json!({"ad_set_id": OTHER_AD_SET});
    assert_eq!(call(&world, "meta_pause", other).await["status"], "done");
    world.end().await;
}

/// What the audit says of changes, once it has told how an emergency ended.
async fn told_of_an_emergency(world: &World) -> Vec<Value> {
    let end = r#""detail":{"outcome":"applied"}"#;
    // A line may be half written.
    let whole = || {
        let mut text = world.audit.text();
        text.truncate(text.rfind('\n').unwrap_or(0));
        text
    };
    until("the journal's lines", || whole().contains(end)).await;
    let text = whole();
    let lines = text.lines().map(serde_json::from_str);
    let lines = lines.map(Result::<Value, _>::unwrap);
    let is_change = |line: &Value| line["metadata"]["event_code"] == "change";
    lines.filter(is_change).collect()
}

/// A world whose ledger does not take that a change leaves.
async fn deaf(dir: &Path) -> World {
    let kept = || {
        World::start_with(|setup| {
            open(setup);
            setup.ledger = Ledger::At(dir.to_owned());
        })
    };
    kept().await.end().await;
    let options = SqliteConnectOptions::new().filename(dir.join("ledger.db"));
    let mut ledger = options.connect().await.unwrap();
    let deaf = "CREATE TRIGGER deaf BEFORE UPDATE ON changes WHEN NEW.progress = 'sending' \
         BEGIN SELECT RAISE(ABORT, 'deaf'); END";
    sqlx::raw_sql(deaf).execute(&mut ledger).await.unwrap();
    ledger.close().await.unwrap();
    kept().await
}

#[tokio::test]
async fn a_stop_that_the_ledger_did_not_see_is_looked_after_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let world = deaf(dir.path()).await;
    for (applies, outcome) in [
        (Applies::Never, "not_applied"),
        (Applies::AtOnce, "applied"),
    ] {
        world.fake.order(Order::next_write(applies, Answers::Break));
        let told = pause(&world).await;
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&json!("settling"), &json!("OutcomeUnknown"))
        );
        let id = told["change_id"].as_str().unwrap();
        let is_end = |line: &str| {
            line.contains(id) && line.contains(r#""event":"outcome""#) && line.contains(outcome)
        };
        if outcome == "not_applied" {
            looked_at(&world).await;
            world.clock.advance(QUIET);
        }
        until("its end", || world.audit.text().lines().any(is_end)).await;
    }
    assert_eq!(world.fake.effects().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_stop_that_the_ledger_did_not_see_leave_is_not_called_unsent() {
    let dir = tempfile::tempdir().unwrap();
    let world = deaf(dir.path()).await;
    assert_eq!(
        set(&world, "40.00", &new_key()).await["reason"],
        "LedgerUnavailable"
    );
    let told = pause(&world).await;
    assert_eq!(told["status"], "done", "{told}");
    let lines = told_of_an_emergency(&world).await;
    let own = lines
        .iter()
        .filter(|line| line["metadata"]["correlation_uid"] == told["change_id"]);
    // Between the two the settler may have found it made.
    let own = own.map(|line| &line["unmapped"]);
    let own = own.filter(|facts| facts["event"] == "emergency");
    let details: Vec<&Value> = own.map(|facts| &facts["detail"]).collect();
    assert_eq!(
        details,
        [
            &json!({"outcome": "about to be sent"}),
            &json!({"outcome": "applied"})
        ]
    );
    world.end().await;
}
