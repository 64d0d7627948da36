//! What callers, people and the record hear of a batch and of each of its changes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_api::mcp_approval::{ApprovalQuestion, ApprovalState, ApprovalVerdict};
use tenantry_fakes::meta::{Answers, Applies, Fault, Order};
use tenantry_server::control_plane::Question;

use super::super::{
    AD_SET, QUIET, call, eur, looked_at, meddle, new_key, open, policy, strangers, world,
};
use super::{APPS, BOB, SPRING, ad_set, batch, campaign, set_all, statuses, three};
use crate::world::{PATIENCE, Setup, World, until};

/// Of somebody else, which the same token sees.
const STRANGER: &str = "12002001001";

/// More than 3 EUR a day takes somebody of finance.
fn ask_finance(setup: &mut Setup) {
    open(setup);
    setup.tenant.guard_proven = true;
    setup.tenant.policies = vec![policy(json!({"approvals": [{
        "name": "large", "approverClass": "finance", "approvers": 2,
        "expiresAfterMs": 3_600_000, "when": {"dailyIncreaseOver": "3"},
    }]}))];
}

async fn question(world: &World, asks: ApprovalQuestion, state: ApprovalState) -> Question {
    let fits = |question: &Question| {
        question.spec.request.asks == asks && question.status.state == Some(state)
    };
    world.control.question(fits).await
}

async fn agree(world: &World) -> Question {
    let asked = question(world, ApprovalQuestion::Change, ApprovalState::Pending).await;
    for name in [BOB, "carol@acme.example"] {
        let control = &world.control;
        control.decide(&asked.name, name, ApprovalVerdict::Approve);
    }
    asked
}

/// A batch to which people agreed, and one item of which they must find out.
async fn undecided(world: &World) -> Question {
    let lost = Order {
        path: Some(APPS.into()),
        ..Order::next_write(Applies::Never, Answers::Break)
    };
    world.fake.order(lost);
    let told = set_all(world, three(&new_key())).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    let asked = agree(world).await;
    let item = told["items"][1]["change_id"].clone();
    let stands = async || {
        let told = call(world, "get_change", json!({"change_id": item})).await;
        told["status"].as_str().unwrap().to_owned()
    };
    let waits = async {
        while stands().await != "settling" {
            tokio::task::yield_now().await;
        }
        meddle(world, APPS, 13_000).await;
        looked_at(world).await;
        world.clock.advance(QUIET);
        while stands().await != "needs_human" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.unwrap();
    asked
}

/// WRITES §6: `needs_human` is resolved like an approval, by the same right.
#[tokio::test]
async fn what_became_of_an_item_is_found_out_by_those_who_had_to_agree() {
    let world = World::start_with(ask_finance).await;
    undecided(&world).await;
    let asked = question(&world, ApprovalQuestion::Outcome, ApprovalState::Pending).await;
    let request = &asked.spec.request;
    assert_eq!(
        (&request.approver_classes[..], request.approvers),
        (&["finance".to_owned()][..], 2)
    );
    world.end().await;
}

/// WRITES §8: the key's state is its worst item; so is what people see.
#[tokio::test]
async fn people_see_that_a_batch_needs_people() {
    let world = World::start_with(ask_finance).await;
    let asked = undecided(&world).await;
    question(&world, ApprovalQuestion::Outcome, ApprovalState::Pending).await;
    let needs = Some(ApprovalState::NeedsHuman);
    let fits = |question: &Question| question.name == asked.name && question.status.state == needs;
    world.control.question(fits).await;
    world.end().await;
}

/// WRITES §7: the request shows redacted arguments; §10: so do the lines.
#[tokio::test]
async fn what_is_redacted_in_a_call_of_its_own_is_redacted_in_a_batch() {
    let world = World::start_with(|setup| {
        ask_finance(setup);
        setup.tenant.redact = BTreeSet::from(["daily_budget".to_owned()]);
    })
    .await;
    let one =
        json!({"ad_set_id": AD_SET, "daily_budget": eur("40.00"), "idempotency_key": new_key()});
    call(&world, "meta_set_budget", one).await;
    let of = async |id: &str| {
        let fits = |question: &Question| question.spec.request.account == id;
        world.control.question(fits).await.spec.request.arguments
    };
    let arguments = of("act_1001").await;
    assert!(!arguments.contains("40.00"), "{arguments}");
    let told = set_all(&world, three(&new_key())).await;
    let id = told["change_id"].clone();
    let fits = |question: &Question| id == question.spec.request.change_id;
    let arguments = world.control.question(fits).await.spec.request.arguments;
    assert!(!arguments.contains("122.50"), "{arguments}");
    world.end().await;
}

/// WRITES §2: access is authorized again before a replay.
#[tokio::test]
async fn a_key_for_other_accounts_hears_nothing_of_an_item_that_was_so_already() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.keys.extend(strangers());
    })
    .await;
    let changes = [campaign(SPRING, "50.00"), ad_set(AD_SET, "31.00")];
    let told = set_all(&world, batch(&changes, &new_key())).await;
    assert_eq!(statuses(&told), ["unchanged", "done"], "{told}");
    for place in [1, 0] {
        let asked = json!({"change_id": told["items"][place]["change_id"]});
        let told = world.client("narrow").call("get_change", asked).await;
        let told = &told["structuredContent"];
        assert_eq!(told["reason"], "AccountRefused", "changes[{place}]: {told}");
    }
    world.end().await;
}

/// WRITES §2: replay returns the stored body; what is not free is not said to be.
#[tokio::test]
async fn a_repeated_batch_says_of_one_that_was_not_made_what_was_said_of_it() {
    let world = world().await;
    let held_up = Order {
        path: Some(APPS.into()),
        ..Order::next_write(Applies::Never, Answers::Fault(Fault::TokenExpired))
    };
    world.fake.order(held_up);
    let key = new_key();
    let told = set_all(&world, three(&key)).await;
    assert_eq!(statuses(&told), ["done", "failed", "done"], "{told}");
    let again = set_all(&world, three(&key)).await;
    let message = again["items"][1]["message"].as_str().unwrap();
    assert!(
        !message.contains("idempotency_key is free"),
        "first: {told}\n\nthen: {again}"
    );
    assert_eq!(statuses(&again), statuses(&told), "{again}");
    world.end().await;
}

/// What moves is the sum of what was made, at once as well as later.
#[tokio::test]
async fn the_sum_of_a_batch_is_of_what_was_made() {
    let world = world().await;
    let rejected = Order {
        path: Some(APPS.into()),
        ..Order::next_write(Applies::Never, Answers::Fault(Fault::BadParameter))
    };
    world.fake.order(rejected);
    let told = set_all(&world, three(&new_key())).await;
    assert_eq!(statuses(&told), ["done", "failed", "done"], "{told}");
    assert_eq!(told["delta"], json!({"daily": eur("1.50")}), "{told}");
    world.end().await;
}

/// WRITES §8: the key's state is its worst item; so is what people see.
#[tokio::test]
async fn people_do_not_see_a_batch_as_made_of_which_the_vendor_refused_one() {
    let world = World::start_with(ask_finance).await;
    let rejected = Order {
        path: Some(APPS.into()),
        ..Order::next_write(Applies::Never, Answers::Fault(Fault::BadParameter))
    };
    world.fake.order(rejected);
    let key = new_key();
    set_all(&world, three(&key)).await;
    let asked = agree(&world).await;
    let ended = |question: &Question| {
        let state = question.status.state;
        question.name == asked.name
            && !matches!(
                state,
                None | Some(ApprovalState::Pending | ApprovalState::Executing)
            )
    };
    let ended = world.control.question(ended).await;
    let told = set_all(&world, three(&key)).await;
    assert_eq!(told["status"], "failed", "{told}");
    assert_ne!(
        ended.status.state,
        Some(ApprovalState::Applied),
        "{:?}",
        ended.status.message
    );
    world.end().await;
}

/// WRITES §1: an object outside the allow-list is a line in the audit.
#[tokio::test]
async fn every_foreign_object_of_a_batch_is_on_record() {
    let world = world().await;
    // One that does not exist comes first.
    let changes = [
        campaign("99999999999", "51.00"),
        campaign(STRANGER, "51.00"),
    ];
    let told = set_all(&world, batch(&changes, &new_key())).await;
    assert_eq!(told["reason"], "NotFound", "{told}");
    let asked = world.fake.requests();
    assert!(
        asked.iter().any(|one| one.path.contains(STRANGER)),
        "the vendor was asked about it"
    );
    let is_on_record = |lines: &str| {
        let mut lines = lines.lines();
        lines.any(|line| line.contains("\"foreign\"") && line.contains(STRANGER))
    };
    until("a line", || world.audit.text().contains("set_budgets")).await;
    let first = is_on_record(&world.audit.text());
    // Where it comes first, it is.
    let changes = [
        campaign(STRANGER, "51.00"),
        campaign("99999999999", "51.00"),
    ];
    set_all(&world, batch(&changes, &new_key())).await;
    until("a line", || is_on_record(&world.audit.text())).await;
    assert!(first, "nothing says that it is somebody else's");
    world.end().await;
}

/// What waits of a batch is said to wait as a change that stands alone is.
#[tokio::test]
async fn an_item_that_waits_says_until_when() {
    let world = World::start_with(ask_finance).await;
    let told = set_all(&world, three(&new_key())).await;
    let item = &told["items"][1]["change_id"];
    let found = call(&world, "get_change", json!({"change_id": item})).await;
    assert_eq!(found["expires_at"], told["expires_at"], "{found}");
    world.end().await;
}

/// An item cannot be taken back by itself, and nothing is broken by that.
#[tokio::test]
async fn taking_back_an_item_that_waits_is_no_fault_of_the_ledger() {
    let world = World::start_with(ask_finance).await;
    let told = set_all(&world, three(&new_key())).await;
    let item = told["items"][1]["change_id"].as_str().unwrap().to_owned();
    let client = world.client("demo").with_tasks();
    let reply = client.task("tasks/cancel", &item).await;
    let line = until_line(&world, "tasks/cancel").await;
    assert!(
        !line.contains("Ledger") && !line.contains("InternalFault"),
        "{reply:?}\n{line}"
    );
    world.end().await;
}

async fn until_line(world: &World, of: &str) -> String {
    let find = || {
        let text = world.audit.text();
        text.lines()
            .find(|line| line.contains(of))
            .map(str::to_owned)
    };
    until("the line", || find().is_some()).await;
    find().unwrap()
}

/// The activity view finds a batch by its account, and each item by its batch.
#[tokio::test]
async fn every_item_of_a_batch_is_listed_as_one_of_it() {
    let world = world().await;
    let changes = [campaign(SPRING, "50.00"), ad_set(AD_SET, "31.00")];
    let told = set_all(&world, batch(&changes, &new_key())).await;
    for item in told["items"].as_array().unwrap() {
        let id = item["change_id"].as_str().unwrap();
        let url = format!("http://{}/v1/changes/{id}", world.activity);
        let found: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        assert_eq!(found["batch"], told["change_id"], "{found}");
    }
    world.end().await;
}

/// What is wrong with arguments is said without them: a value may be a megabyte, or
/// a secret in the wrong place.
#[tokio::test]
async fn what_is_wrong_with_a_batch_is_said_without_its_values() {
    let world = world().await;
    let secret = format!("EAAB-secret\u{1b}[2J{}", "x".repeat(20_000));
    let bare =
        json!({"tool": "meta_set_budget", "changes": [secret], "idempotency_key": new_key()});
    let named = json!({
        "tool": "meta_set_budget", "changes": [campaign(SPRING, "51.00")],
        "idempotency_key": new_key(), (secret.as_str()): 1,
    });
    let inside = json!({"campaign_id": SPRING, "daily_budget": eur("51.00"), (secret.as_str()): 1});
    for arguments in [batch(&[inside], &new_key()), bare, named] {
        let told = set_all(&world, arguments).await;
        assert_eq!(told["reason"], "ArgumentsInvalid");
        let message = told["message"].as_str().unwrap();
        let start: String = message.chars().take(200).collect();
        assert!(message.len() < 1024, "{} bytes: {start:?}", message.len());
        assert!(!message.contains('\u{1b}'), "{start:?}");
    }
    world.end().await;
}
