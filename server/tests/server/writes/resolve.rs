//! Changes of which only people can find out what became of them (WRITES §6).

use jiff::SignedDuration;
use serde_json::{Value, json};
use tenantry_api::mcp_approval::{
    ApprovalDecision, ApprovalQuestion, ApprovalState, ApprovalVerdict,
};
use tenantry_fakes::meta::{Answers, Applies, Order};
use tenantry_server::control_plane::Question;

use super::{
    AD_SET, QUIET, budget, budgets, call, looked_at, meddle, new_key, obey, open, policy, set,
    settled, spender,
};
use crate::world::{World, until};

const BOB: &str = "bob@acme.example";
const EVE: &str = "eve@acme.example";
/// Who made the key that asks.
const ROOT: &str = "root@acme.example";
/// Who asks, with the keys of this world.
const ALICE: &str = "alice@acme.example";

/// With room for one raise to 40.00 in a day.
async fn world() -> World {
    World::start_with(|setup| {
        open(setup);
        setup.tenant.guard_proven = true;
        setup.keys[0].issued_by = Some(ROOT.into());
        setup.tenant.policies = vec![policy(json!({"budget": {"perWindow": [
            {"windowMs": 86_400_000, "scope": "Account", "maxDailyIncrease": "15"},
        ]}}))];
    })
    .await
}

/// A change of which nobody can tell: its key, and the question about it.
async fn undecided(world: &World) -> (String, Question) {
    let order = Order::next_write(Applies::Never, Answers::Break);
    world.fake.order(order);
    let key = new_key();
    let told = set(world, "40.00", &key).await;
    assert_eq!(told["status"], "settling", "{told}");
    meddle(world, AD_SET, 3_300).await;
    looked_at(world).await;
    world.clock.advance(QUIET);
    let arguments = budget(AD_SET, "40.00", &key);
    let told = settled(world, "meta_set_budget", arguments).await;
    assert_eq!(told["status"], "needs_human", "{told}");
    let question = asks(world, ApprovalState::Pending).await;
    assert_eq!(question.spec.request.change_id, told["change_id"]);
    (key, question)
}

async fn asks(world: &World, state: ApprovalState) -> Question {
    let fits = |question: &Question| {
        question.spec.request.asks == ApprovalQuestion::Outcome
            && question.status.state == Some(state)
    };
    world.control.question(fits).await
}

/// What the key is answered with once people have found it out.
async fn found(world: &World, key: &str, state: ApprovalState) -> Value {
    asks(world, state).await;
    set(world, "40.00", key).await
}

/// The line of what people found.
async fn resolved(world: &World) -> Value {
    let find = || {
        let text = world.audit.text();
        let mut lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.find(|line: &Value| line["unmapped"]["event"] == "resolved")
    };
    until("the line", || find().is_some()).await;
    find().unwrap()
}

#[tokio::test]
async fn what_people_found_is_what_the_key_is_answered_with() {
    for (verdict, state, status, reason, room) in [
        (
            ApprovalVerdict::Applied,
            ApprovalState::Applied,
            "done",
            Value::Null,
            false,
        ),
        (
            ApprovalVerdict::NotApplied,
            ApprovalState::Failed,
            "failed",
            json!("ChangeNotMade"),
            true,
        ),
    ] {
        let world = world().await;
        let (key, question) = undecided(&world).await;
        // While nobody knows, its money is set aside and its campaign is its own.
        let other = set(&world, "34.00", &new_key()).await;
        assert_eq!(other["reason"], "ChangeInProgress", "{other}");
        let posts = |world: &World| {
            world
                .fake
                .requests()
                .iter()
                .filter(|one| one.method == "POST")
                .count()
        };
        let sent = posts(&world);
        world.control.decide(&question.name, BOB, verdict);
        let told = found(&world, &key, state).await;
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&json!(status), &reason),
            "{told}"
        );
        assert_eq!(
            (&told["replayed"], posts(&world)),
            (&json!(true), sent),
            "{told}"
        );
        let line = resolved(&world).await;
        assert_eq!(
            line["api"]["response"]["data"]["resolved_by"],
            json!([BOB]),
            "{line}"
        );
        // 15 are left if it was not made, 5.50 if it was.
        let next = set(&world, "41.00", &new_key()).await;
        let status = if room { "done" } else { "refused" };
        assert_eq!(next["status"], status, "{next}");
        world.end().await;
    }
}

#[tokio::test]
async fn people_are_shown_all_that_there_is_to_see() {
    let world = world().await;
    let (_, question) = undecided(&world).await;
    let mut shown = serde_json::to_value(&question.spec.request).unwrap();
    let message = shown["rules"][0]["message"].as_str().unwrap();
    let (message, sent) = message.split_once("; it was sent at ").unwrap();
    assert!(sent.parse::<jiff::Timestamp>().is_ok(), "{sent}");
    shown["rules"][0]["message"] = json!(message);
    for field in ["changeId", "askedAt", "expiresAt", "policyDigest"] {
        shown[field] = json!("…");
    }
    insta::assert_json_snapshot!(shown);
    world.end().await;
}

#[tokio::test]
async fn neither_who_asked_nor_one_of_two_who_contradict_decides() {
    let world = world().await;
    let (key, question) = undecided(&world).await;
    let control = &world.control;
    control.decide(&question.name, ALICE, ApprovalVerdict::Applied);
    // The key of that name is another one by now; whose hand made the first stays.
    let knowledge = control.knowledge().await;
    knowledge.tell_key(spender("demo"));
    control.delete(&question.name);
    let anew = |one: &Question| {
        one.name != question.name && one.status.state == Some(ApprovalState::Pending)
    };
    let question = control.question(anew).await;
    let requester = &question.spec.request.requested_by;
    assert_eq!(requester.issued_by.as_deref(), Some(ROOT));
    control.decide(&question.name, ROOT, ApprovalVerdict::Applied);
    control.decide(&question.name, ALICE, ApprovalVerdict::Applied);
    // Both at once: neither counts, and a third one settles it.
    control.change(&question.name, |question| {
        let words = [
            (BOB, ApprovalVerdict::Applied),
            (EVE, ApprovalVerdict::NotApplied),
        ];
        let decisions = words.map(|(by, verdict)| ApprovalDecision {
            by: by.into(),
            verdict,
            classes: None,
            comment: None,
        });
        question.spec.decisions.extend(decisions);
    });
    let told = set(&world, "40.00", &key).await;
    assert_eq!(told["status"], "needs_human", "{told}");
    control.decide(
        &question.name,
        "dan@acme.example",
        ApprovalVerdict::NotApplied,
    );
    let told = found(&world, &key, ApprovalState::Failed).await;
    assert_eq!(told["reason"], "ChangeNotMade", "{told}");
    world.end().await;
}

#[tokio::test]
async fn a_question_that_is_gone_changed_or_old_is_asked_anew() {
    let world = world().await;
    let (_, first) = undecided(&world).await;
    let control = &world.control;
    let another = async |old: &Question| {
        let fits = |question: &Question| {
            question.name != old.name
                && question.spec.request.asks == ApprovalQuestion::Outcome
                && question.status.state == Some(ApprovalState::Pending)
        };
        control.question(fits).await
    };
    control.delete(&first.name);
    let second = another(&first).await;
    control.change(&second.name, |question| {
        question.spec.request.summary = "nothing".into();
        question.spec.decisions.push(ApprovalDecision {
            by: BOB.into(),
            verdict: ApprovalVerdict::NotApplied,
            classes: None,
            comment: None,
        });
    });
    let third = another(&second).await;
    world.clock.advance(SignedDuration::from_hours(30 * 24));
    let fourth = another(&third).await;
    control.decide(&fourth.name, BOB, ApprovalVerdict::Applied);
    let done = asks(&world, ApprovalState::Applied).await;
    assert_eq!(done.name, fourth.name);
    assert_eq!(
        budgets(&world).len(),
        1,
        "somebody else's, and never again ours"
    );
    world.end().await;
}

#[tokio::test]
async fn what_is_said_while_nobody_vouches_for_it_counts_for_nothing() {
    let world = world().await;
    let (key, question) = undecided(&world).await;
    let mut tenant = world.tenant.clone();
    tenant.guard_proven = false;
    obey(&world, &tenant, 2).await;
    let control = &world.control;
    control.decide(&question.name, EVE, ApprovalVerdict::NotApplied);
    let other = |other: &Question| {
        other.name != question.name && other.status.state == Some(ApprovalState::Pending)
    };
    let anew = control.question(other).await;
    tenant.guard_proven = true;
    obey(&world, &tenant, 3).await;
    let told = set(&world, "40.00", &key).await;
    assert_eq!(told["status"], "needs_human", "{told}");
    control.decide(&anew.name, BOB, ApprovalVerdict::Applied);
    assert_eq!(
        found(&world, &key, ApprovalState::Applied).await["status"],
        "done"
    );
    let arguments = json!({"change_id": question.spec.request.change_id});
    let told = call(&world, "get_change", arguments).await;
    assert_eq!(told["status"], "done", "{told}");
    world.end().await;
}
