//! What people decide, and what becomes of it: once, and only of what they were
//! shown.

use jiff::SignedDuration;
use serde_json::{Value, json};
use tenantry_api::mcp_approval::{ApprovalDecision, ApprovalState, ApprovalVerdict};
use tenantry_api::mcp_server::ReplicaReport;
use tenantry_core::key::KeyRecord;
use tenantry_fakes::meta::{Fault, Faults};
use tenantry_server::control_plane::Question;

use super::record::lines;
use super::{
    AD_SET, OTHER_AD_SET, budget, budgets, call, eur, meddle, new_key, obey, open, policy, set,
    spender,
};
use crate::world::{PATIENCE, World, until};

const BOB: &str = "bob@acme.example";
const EVE: &str = "eve@acme.example";

const PENDING: ApprovalState = ApprovalState::Pending;

/// What is asked about: more than 5 EUR a day more.
fn asks(approvers: u32) -> Value {
    json!({"approvals": [{
        "name": "large", "approverClass": "finance", "approvers": approvers,
        "expiresAfterMs": 3_600_000, "when": {"dailyIncreaseOver": "5"},
    }]})
}

async fn world_with(fields: Value) -> World {
    World::start_with(|setup| {
        open(setup);
        setup.tenant.guard_proven = true;
        setup.tenant.policies = vec![policy(fields)];
    })
    .await
}

/// A change that waits, and how people see it.
async fn asked(world: &World, key: &str) -> Question {
    asked_for(world, "40.00", key).await
}

async fn asked_for(world: &World, amount: &str, key: &str) -> Question {
    let told = set(world, amount, key).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    let id = told["change_id"].clone();
    let fits = |question: &Question| id == question.spec.request.change_id && is(question, PENDING);
    world.control.question(fits).await
}

fn approve(world: &World, question: &Question) {
    let control = &world.control;
    control.decide(&question.name, BOB, ApprovalVerdict::Approve);
}

/// What a key is answered with when its change neither waits nor is on its way.
async fn waited_for(world: &World, arguments: Value) -> Value {
    let ended = async {
        loop {
            let told = call(world, "meta_set_budget", arguments.clone()).await;
            if told["status"] != "pending_approval" && told["status"] != "in_progress" {
                return told;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap()
}

/// What the key is answered with when nobody could be asked.
async fn unavailable(world: &World, key: &str) {
    let told = waited_for(world, budget(AD_SET, "40.00", key)).await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("refused"), &json!("ApprovalUnavailable")),
        "{told}"
    );
}

fn is(question: &Question, state: ApprovalState) -> bool {
    question.status.state == Some(state)
}

async fn stands(world: &World, name: &str, state: ApprovalState) -> Question {
    let fits = |question: &Question| question.name == name && is(question, state);
    world.control.question(fits).await
}

/// What the key is answered with now, and that the money of its change is free
/// or spent: nothing waits any more.
async fn answered(world: &World, key: &str) -> Value {
    let told = set(world, "40.00", key).await;
    assert_eq!(told["replayed"], true, "{told}");
    told
}

#[tokio::test]
async fn what_people_are_shown_is_all_that_the_change_does() {
    let world = world_with(asks(1)).await;
    let question = asked(&world, &new_key()).await;
    let mut shown = serde_json::to_value(&question.spec.request).unwrap();
    for (field, value) in shown.as_object_mut().unwrap() {
        // What is new every time.
        if ["changeId", "askedAt", "expiresAt", "policyDigest"].contains(&field.as_str()) {
            *value = json!("…");
        }
    }
    insta::assert_json_snapshot!(shown);
    world.end().await;
}

#[tokio::test]
async fn what_is_agreed_to_is_made_once_and_its_key_says_so() {
    let world = world_with(asks(1)).await;
    let key = new_key();
    let question = asked(&world, &key).await;
    assert_eq!(budgets(&world), []);
    let says = |waiting| move |report: &ReplicaReport| report.pending_approvals == Some(waiting);
    world.control.reported(says(1)).await;
    approve(&world, &question);
    stands(&world, &question.name, ApprovalState::Applied).await;
    world.control.reported(says(0)).await;
    let told = answered(&world, &key).await;
    assert_eq!(
        (&told["status"], &told["after"]["daily_budget"]["amount"]),
        (&json!("done"), &json!("40.00"))
    );
    assert_eq!(budgets(&world).len(), 1);
    let lines = lines(&world, 4).await;
    let lines = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<_> = lines.map(|line| line["unmapped"].clone()).collect();
    world.end().await;
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert_eq!(
        (of("asked"), of("execution"), of("intent"), of("outcome")),
        (1, 1, 1, 1)
    );
    let agreed = lines.iter().find(|line| line["event"] == "execution");
    assert_eq!(agreed.unwrap()["detail"]["approved_by"], json!([BOB]));
}

#[tokio::test]
async fn a_rule_that_needs_two_waits_for_the_second() {
    let world = world_with(asks(2)).await;
    let key = new_key();
    let question = asked(&world, &key).await;
    approve(&world, &question);
    // Who asks is not another one.
    world.control.decide(
        &question.name,
        "alice@acme.example",
        ApprovalVerdict::Approve,
    );
    let waits = set(&world, "40.00", &key).await;
    assert_eq!(waits["status"], "pending_approval", "{waits}");
    world
        .control
        .decide(&question.name, EVE, ApprovalVerdict::Approve);
    stands(&world, &question.name, ApprovalState::Applied).await;
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn who_says_no_takes_back_or_deletes_ends_it() {
    let world = world_with(asks(1)).await;
    for (reason, state) in [
        ("ApprovalDenied", Some(ApprovalState::Denied)),
        ("ApprovalWithdrawn", Some(ApprovalState::Withdrawn)),
        ("ApprovalDenied", None),
    ] {
        let key = new_key();
        let question = asked(&world, &key).await;
        let name = question.name.as_str();
        match state {
            Some(ApprovalState::Denied) => world.control.decide(name, BOB, ApprovalVerdict::Deny),
            Some(_) => world
                .control
                .change(name, |question| question.spec.withdrawn = true),
            None => world.control.delete(name),
        }
        if let Some(state) = state {
            stands(&world, name, state).await;
        }
        let told = waited_for(&world, budget(AD_SET, "40.00", &key)).await;
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&json!("refused"), &json!(reason)),
            "{told}"
        );
    }
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn what_is_no_longer_so_is_not_made() {
    let world = world_with(asks(1)).await;
    let key = new_key();
    let question = asked(&world, &key).await;
    meddle(&world, AD_SET, 3_100).await;
    approve(&world, &question);
    stands(&world, &question.name, ApprovalState::Stale).await;
    let told = answered(&world, &key).await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("refused"), &json!("ChangeStale")),
        "{told}"
    );
    assert_eq!(budgets(&world).len(), 1, "that of somebody else");
    world.end().await;
}

#[tokio::test]
async fn without_a_proven_guard_nobody_s_word_counts() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.tenant.policies = vec![policy(asks(1))];
    })
    .await;
    let key = new_key();
    let question = asked(&world, &key).await;
    approve(&world, &question);
    // Who wrote it cannot be told later either.
    stands(&world, &question.name, ApprovalState::Denied).await;
    let told = answered(&world, &key).await;
    assert_eq!(told["reason"], "ApprovalDenied", "{told}");
    // What nobody has decided waits.
    let waits = new_key();
    let question = asked_for(&world, "41.00", &waits).await;
    let mut tenant = world.tenant.clone();
    tenant.guard_proven = true;
    obey(&world, &tenant, 2).await;
    approve(&world, &question);
    stands(&world, &question.name, ApprovalState::Applied).await;
    assert_eq!(budgets(&world).len(), 1);
    let told = set(&world, "40.00", &key).await;
    assert_eq!(told["reason"], "ApprovalDenied", "{told}");
    world.end().await;
}

#[tokio::test]
async fn a_key_that_was_revoked_meanwhile_changes_nothing() {
    let world = world_with(asks(1)).await;
    let key = new_key();
    let question = asked(&world, &key).await;
    let revoked = KeyRecord {
        disabled: true,
        ..spender("demo")
    };
    world
        .control
        .keep_keys(vec![revoked.clone(), spender("other")]);
    world.control.knowledge().await.tell_key(revoked);
    approve(&world, &question);
    stands(&world, &question.name, ApprovalState::Refused).await;
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn its_own_money_is_not_held_against_it_and_others_is() {
    let mut fields = asks(1);
    let window = json!({"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": "12"});
    fields["budget"] = json!({"perWindow": [window]});
    let world = world_with(fields).await;
    let other = async |amount: &str| {
        let arguments = json!({
            "campaign_id": "12001001001", "daily_budget": eur(amount), "idempotency_key": new_key(),
        });
        call(&world, "meta_set_budget", arguments).await["status"].clone()
    };
    let key = new_key();
    // 5.50 of 12.00 wait; with 3.00 that are made meanwhile they fit once, not
    // twice.
    let question = asked_for(&world, "36.00", &key).await;
    assert_eq!(other("53.00").await, "done");
    approve(&world, &question);
    stands(&world, &question.name, ApprovalState::Applied).await;
    assert_eq!(other("56.51").await, "refused");
    assert_eq!(other("56.50").await, "done");
    assert_eq!(budgets(&world).len(), 3);
    world.end().await;
}

#[tokio::test]
async fn what_nobody_agreed_to_in_time_is_over() {
    let world = world_with(asks(2)).await;
    let key = new_key();
    let question = asked(&world, &key).await;
    approve(&world, &question);
    world.clock.advance(SignedDuration::from_hours(1));
    stands(&world, &question.name, ApprovalState::Expired).await;
    world
        .control
        .decide(&question.name, EVE, ApprovalVerdict::Approve);
    let told = answered(&world, &key).await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("refused"), &json!("ApprovalExpired")),
        "{told}"
    );
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn what_people_agreed_to_in_time_is_made_however_long_that_takes() {
    let world = world_with(asks(1)).await;
    let question = asked(&world, &new_key()).await;
    world.fake.set_faults(Faults {
        hold: true,
        ..Faults::default()
    });
    approve(&world, &question);
    stands(&world, &question.name, ApprovalState::Executing).await;
    world.clock.advance(SignedDuration::from_hours(2));
    world.fake.set_faults(Faults::default());
    stands(&world, &question.name, ApprovalState::Applied).await;
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn what_is_in_the_way_for_a_while_is_waited_for() {
    let world = world_with(asks(1)).await;
    let key = new_key();
    let question = asked(&world, &key).await;
    let dead = Faults {
        fail: Some(Fault::Unavailable),
        ..Faults::default()
    };
    let requests = || world.fake.requests().len();
    let before = requests();
    world.fake.set_faults(dead.clone());
    approve(&world, &question);
    stands(&world, &question.name, ApprovalState::Executing).await;
    until("some tries", || requests() > before + 3).await;
    world.fake.set_faults(Faults::default());
    stands(&world, &question.name, ApprovalState::Applied).await;
    assert_eq!(answered(&world, &key).await["status"], "done");

    // But for no longer than people had to agree.
    let key = new_key();
    let question = asked_for(&world, "46.00", &key).await;
    world.fake.set_faults(dead);
    approve(&world, &question);
    stands(&world, &question.name, ApprovalState::Executing).await;
    world.clock.advance(SignedDuration::from_hours(1));
    stands(&world, &question.name, ApprovalState::Expired).await;
    world.fake.set_faults(Faults::default());
    let told = set(&world, "46.00", &key).await;
    assert_eq!(told["reason"], "ApprovalExpired", "{told}");
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn who_says_no_before_it_is_sent_is_heard() {
    let world = world_with(asks(1)).await;
    for (word, state, reason) in [
        ("deny", Some(ApprovalState::Denied), "ApprovalDenied"),
        (
            "withdraw",
            Some(ApprovalState::Withdrawn),
            "ApprovalWithdrawn",
        ),
        ("delete", None, "ApprovalDenied"),
    ] {
        let key = new_key();
        let question = asked(&world, &key).await;
        let name = question.name.as_str();
        world.fake.set_faults(Faults {
            fail: Some(Fault::Unavailable),
            ..Faults::default()
        });
        approve(&world, &question);
        stands(&world, name, ApprovalState::Executing).await;
        let control = &world.control;
        match word {
            "deny" => control.decide(name, EVE, ApprovalVerdict::Deny),
            "withdraw" => control.change(name, |question| question.spec.withdrawn = true),
            _ => control.delete(name),
        }
        if let Some(state) = state {
            stands(&world, name, state).await;
        }
        let told = waited_for(&world, budget(AD_SET, "40.00", &key)).await;
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&json!("refused"), &json!(reason)),
            "{told}"
        );
        world.fake.set_faults(Faults::default());
    }
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn one_more_rule_lets_nobody_do_with_fewer() {
    let mut fields = asks(2);
    let mut team = fields["approvals"][0].clone();
    team["name"] = json!("team");
    team["approverClass"] = json!("team");
    team["approvers"] = json!(1);
    fields["approvals"].as_array_mut().unwrap().push(team);
    let world = world_with(fields).await;
    let key = new_key();
    let question = asked(&world, &key).await;
    let name = question.name.as_str();
    let says = |by: &str, class: &str| {
        world.control.change(name, |question| {
            question.spec.decisions.push(ApprovalDecision {
                by: by.into(),
                verdict: ApprovalVerdict::Approve,
                classes: Some(vec![class.into()]),
                comment: None,
            });
        });
    };
    // Two people and both classes, and one of finance only.
    says(BOB, "finance");
    says(EVE, "team");
    let told = set(&world, "40.00", &key).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    // Another one that is asked afterwards is shown afterwards.
    let other = budget(OTHER_AD_SET, "41.00", &new_key());
    let id = call(&world, "meta_set_budget", other).await["change_id"].clone();
    let is_other = |question: &Question| id == question.spec.request.change_id;
    world.control.question(is_other).await;
    stands(&world, name, PENDING).await;
    says("dan@acme.example", "finance");
    stands(&world, name, ApprovalState::Applied).await;
    let rules = &question.spec.request.rules;
    assert_eq!(rules[0].message, "2 people of `finance` must agree");
    world.end().await;
}

#[tokio::test]
async fn another_rule_that_asks_by_now_asks_anew() {
    let world = world_with(asks(1)).await;
    let key = new_key();
    let question = asked(&world, &key).await;
    let mut stricter = asks(1);
    stricter["approvals"][0]["name"] = json!("larger");
    stricter["approvals"][0]["approverClass"] = json!("board");
    let mut tenant = world.tenant.clone();
    tenant.policies.push(policy(stricter));
    tenant.policies[1].name = "board".into();
    obey(&world, &tenant, 2).await;
    approve(&world, &question);
    stands(&world, &question.name, ApprovalState::Superseded).await;
    let id = &question.spec.request.change_id;
    let fits = |other: &Question| {
        other.spec.request.change_id == *id && other.name != question.name && is(other, PENDING)
    };
    let other = world.control.question(fits).await;
    assert_eq!(other.spec.request.approver_classes, ["board", "finance"]);
    let told = set(&world, "40.00", &key).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    assert_eq!(budgets(&world), []);
    // Who said yes to less has not said yes to this.
    approve(&world, &other);
    stands(&world, &other.name, ApprovalState::Applied).await;
    assert_eq!(answered(&world, &key).await["status"], "done");
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_limit_that_denies_by_now_is_not_passed_by_an_agreement() {
    let world = world_with(asks(1)).await;
    let key = new_key();
    let question = asked(&world, &key).await;
    let mut stricter = asks(1);
    stricter["budget"] = json!({"perObject": {"maxDaily": "39"}});
    let mut tenant = world.tenant.clone();
    tenant.policies = vec![policy(stricter)];
    obey(&world, &tenant, 2).await;
    approve(&world, &question);
    stands(&world, &question.name, ApprovalState::Refused).await;
    let told = answered(&world, &key).await;
    assert_eq!(
        (&told["reason"], &told["rules"][0]["rule"]),
        (&json!("PolicyDenied"), &json!("budget.perObject.maxDaily")),
        "{told}"
    );
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn more_classes_than_people_are_shown_ask_nobody() {
    let rule = |number: usize| {
        json!({
            "name": format!("large-{number}"), "approverClass": format!("class-{number}"),
            "approvers": 1, "expiresAfterMs": 3_600_000, "when": {"dailyIncreaseOver": "5"},
        })
    };
    let rules: Vec<_> = (0..9).map(rule).collect();
    let world = world_with(json!({"approvals": rules})).await;
    let key = new_key();
    let told = set(&world, "40.00", &key).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    unavailable(&world, &key).await;
    assert_eq!(world.control.questions(), 0);
    world.end().await;
}

#[tokio::test]
async fn where_no_more_can_be_shown_what_has_ended_makes_room() {
    let world = world_with(asks(1)).await;
    world.control.leave_room_for(1);
    let question = asked(&world, &new_key()).await;
    // One waits, so there is no room.
    let other = budget(OTHER_AD_SET, "41.00", &new_key());
    let told = call(&world, "meta_set_budget", other.clone()).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    let told = waited_for(&world, other).await;
    assert_eq!(told["reason"], "ApprovalUnavailable", "{told}");
    // Its money is free: it may be asked for anew, once there is.
    world
        .control
        .decide(&question.name, BOB, ApprovalVerdict::Deny);
    stands(&world, &question.name, ApprovalState::Denied).await;
    let next = asked(&world, &new_key()).await;
    assert_ne!(next.name, question.name);
    assert_eq!(world.control.questions(), 1);
    world.end().await;
}

#[tokio::test]
async fn what_has_ended_is_to_be_seen_for_a_while_and_no_longer() {
    let world = world_with(asks(1)).await;
    let question = asked(&world, &new_key()).await;
    world
        .control
        .decide(&question.name, BOB, ApprovalVerdict::Deny);
    stands(&world, &question.name, ApprovalState::Denied).await;
    world.clock.advance(SignedDuration::from_hours(7 * 24 + 1));
    // A word from anybody.
    let other = budget(OTHER_AD_SET, "41.00", &new_key());
    let other = call(&world, "meta_set_budget", other).await;
    assert_eq!(other["status"], "pending_approval", "{other}");
    until("the ended one to go", || world.control.questions() == 1).await;
    world.end().await;
}
