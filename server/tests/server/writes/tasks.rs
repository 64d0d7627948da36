//! Changes that are answered later, as tasks of MCP.

use serde_json::{Value, json};
use tempfile::TempDir;
use tenantry_api::mcp_approval::{ApprovalState, ApprovalVerdict};
use tenantry_fakes::meta::{Answers, Applies, Order};

use super::{AD_SET, QUIET, budget, budgets, call, looked_at, new_key, open, policy, strangers};
use crate::client::{Client, ERAS, check_result};
use crate::world::{Ledger, PATIENCE, Setup, World};

const BOB: &str = "bob@acme.example";

fn asks(setup: &mut Setup) {
    open(setup);
    setup.tenant.guard_proven = true;
    setup.tenant.policies = vec![policy(json!({"approvals": [{
        "name": "large", "approverClass": "finance", "approvers": 1,
        "expiresAfterMs": 3_600_000, "when": {"dailyIncreaseOver": "5"},
    }]}))];
    setup.keys.extend(strangers());
}

async fn world() -> World {
    World::start_with(asks).await
}

fn client(world: &World, key: &str) -> Client {
    world.client(key).with_tasks()
}

/// What a call of a client that knows tasks is answered with.
async fn begin(world: &World, amount: &str, key: &str) -> Value {
    let arguments = budget(AD_SET, amount, key);
    let client = client(world, "demo");
    let reply = client.try_call("meta_set_budget", arguments).await;
    reply.body["result"].clone()
}

fn id(task: &Value) -> &str {
    task["taskId"].as_str().unwrap()
}

async fn get(world: &World, key: &str, task: &str) -> Value {
    let reply = client(world, key).task("tasks/get", task).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["result"].clone()
}

/// Follows a task until it has ended, as a client does.
async fn ended(world: &World, task: &str) -> Value {
    let followed = async {
        loop {
            let task = get(world, "demo", task).await;
            if task["status"] != "working" {
                return task;
            }
        }
    };
    tokio::time::timeout(PATIENCE, followed).await.unwrap()
}

async fn decide(world: &World, task: &str, verdict: ApprovalVerdict) {
    let fits = |state| {
        let task = task.to_owned();
        move |question: &tenantry_server::control_plane::Question| {
            question.spec.request.change_id == task && question.status.state == Some(state)
        }
    };
    let question = world.control.question(fits(ApprovalState::Pending)).await;
    world.control.decide(&question.name, BOB, verdict);
}

#[tokio::test]
async fn what_waits_is_a_task_until_people_have_decided() {
    let world = world().await;
    let key = new_key();
    let task = begin(&world, "40.00", &key).await;
    assert_eq!(
        (&task["resultType"], &task["status"]),
        (&json!("task"), &json!("working")),
        "{task}"
    );
    let answer = &task["_meta"]["dev.tenantry/answer"];
    assert_eq!(answer["status"], "pending_approval", "{task}");
    assert_eq!(answer["change_id"], task["taskId"]);
    assert_eq!(task["statusMessage"], answer["message"]);
    assert!(task["ttlMs"].as_u64() > Some(0) && task["pollIntervalMs"].as_u64() > Some(0));
    // The same call is the same task, and for who knows no tasks as it was.
    let again = begin(&world, "40.00", &key).await;
    assert_eq!(again["taskId"], task["taskId"]);
    let plain = call(&world, "meta_set_budget", budget(AD_SET, "40.00", &key)).await;
    assert_eq!(plain["status"], "pending_approval", "{plain}");

    let told = get(&world, "other", id(&task)).await;
    for field in ["taskId", "status", "createdAt", "lastUpdatedAt", "ttlMs"] {
        assert_eq!(told[field], task[field], "{field}");
    }
    assert_eq!(told["resultType"], "complete");
    decide(&world, id(&task), ApprovalVerdict::Approve).await;
    let told = ended(&world, id(&task)).await;
    assert_eq!(told["status"], "completed", "{told}");
    check_result("meta_set_budget", &told["result"]);
    let envelope = &told["result"]["structuredContent"];
    assert_eq!(
        (&envelope["status"], &envelope["replayed"]),
        (&json!("done"), &json!(true))
    );
    assert_eq!(told["createdAt"], task["createdAt"]);
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_no_completes_the_task_with_an_error() {
    let world = world().await;
    let task = begin(&world, "40.00", &new_key()).await;
    decide(&world, id(&task), ApprovalVerdict::Deny).await;
    let told = ended(&world, id(&task)).await;
    assert_eq!(
        (&told["status"], &told["result"]["isError"]),
        (&json!("completed"), &json!(true))
    );
    let reason = &told["result"]["structuredContent"]["reason"];
    assert_eq!(reason, "ApprovalDenied", "{told}");
    assert_eq!(budgets(&world), []);
    world.end().await;
}

#[tokio::test]
async fn what_is_sent_and_not_known_is_a_task_as_well() {
    let world = world().await;
    let order = Order::next_write(Applies::Never, Answers::Hang);
    world.fake.order(order);
    let task = begin(&world, "31.00", &new_key()).await;
    assert_eq!(
        task["_meta"]["dev.tenantry/answer"]["status"], "settling",
        "{task}"
    );
    assert_eq!(get(&world, "demo", id(&task)).await["status"], "working");
    looked_at(&world).await;
    world.clock.advance(QUIET);
    let told = ended(&world, id(&task)).await;
    let envelope = &told["result"]["structuredContent"];
    assert_eq!(envelope["status"], "failed", "{told}");
    // What is answered at once is no task.
    let done = begin(&world, "32.00", &new_key()).await;
    assert_eq!(done["structuredContent"]["status"], "done", "{done}");
    world.end().await;
}

#[tokio::test]
async fn a_task_outlives_its_server() {
    let ledger = TempDir::new().unwrap();
    let at = |setup: &mut Setup| {
        asks(setup);
        setup.ledger = Ledger::At(ledger.path().to_owned());
    };
    let world = World::start_with(at).await;
    let task = begin(&world, "40.00", &new_key()).await;
    world.end().await;
    let world = World::start_with(at).await;
    let told = get(&world, "demo", id(&task)).await;
    assert_eq!(told["status"], "working", "{told}");
    assert_eq!(told["createdAt"], task["createdAt"]);
    world.end().await;
}

#[tokio::test]
async fn a_task_is_its_principals_alone() {
    let world = world().await;
    let task = begin(&world, "40.00", &new_key()).await;
    for method in ["tasks/get", "tasks/cancel"] {
        let unknown = client(&world, "demo").task(method, &"0".repeat(32)).await;
        let error = |reply: &crate::client::Reply| {
            let mut error = reply.body["error"].clone();
            error["data"]["call_id"].take();
            error
        };
        assert_eq!(unknown.body["error"]["code"], -32602, "{unknown:?}");
        assert_eq!(unknown.body["error"]["data"]["reason"], "NotFound");
        for key in ["mallory", "another"] {
            let reply = client(&world, key).task(method, id(&task)).await;
            assert_eq!(error(&reply), error(&unknown), "{key}");
        }
        let narrow = client(&world, "narrow").task(method, id(&task)).await;
        assert_eq!(narrow.body["error"]["data"]["reason"], "AccountRefused");
    }
    assert_eq!(get(&world, "demo", id(&task)).await["status"], "working");
    world.end().await;
}

#[tokio::test]
async fn who_asked_takes_a_waiting_change_back_and_nothing_else() {
    let world = world().await;
    let key = new_key();
    let task = begin(&world, "40.00", &key).await;
    let fits = |state| {
        let id = id(&task).to_owned();
        move |question: &tenantry_server::control_plane::Question| {
            question.spec.request.change_id == id && question.status.state == Some(state)
        }
    };
    world.control.question(fits(ApprovalState::Pending)).await;
    for _ in 0..2 {
        let reply = client(&world, "demo").task("tasks/cancel", id(&task)).await;
        assert_eq!(reply.body["result"]["resultType"], "complete", "{reply:?}");
    }
    let told = get(&world, "demo", id(&task)).await;
    assert_eq!(told["status"], "cancelled", "{told}");
    world.control.question(fits(ApprovalState::Withdrawn)).await;
    let told = call(&world, "meta_set_budget", budget(AD_SET, "40.00", &key)).await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("refused"), &json!("ApprovalWithdrawn"))
    );
    world
        .control
        .reported(|report| report.pending_approvals == Some(0))
        .await;

    // What was made stays made.
    let task = begin(&world, "40.00", &new_key()).await;
    decide(&world, id(&task), ApprovalVerdict::Approve).await;
    ended(&world, id(&task)).await;
    let reply = client(&world, "demo").task("tasks/cancel", id(&task)).await;
    assert_eq!(reply.body["result"]["resultType"], "complete", "{reply:?}");
    assert_eq!(ended(&world, id(&task)).await["status"], "completed");
    assert_eq!(budgets(&world).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn only_who_declares_tasks_is_told_of_them() {
    let world = world().await;
    let task = begin(&world, "40.00", &new_key()).await;
    for era in ERAS {
        let client = world.client("demo").with_era(era);
        let greeting = client.greet().await.body["result"]["capabilities"].clone();
        let extension = &greeting["extensions"]["io.modelcontextprotocol/tasks"];
        assert!(extension.is_object(), "{greeting}");
        let reply = client.task("tasks/get", id(&task)).await;
        assert_eq!(reply.body["error"]["code"], -32021, "{reply:?}");
    }
    let mut update = json!({"taskId": id(&task), "inputResponses": {}});
    let reply = client(&world, "demo")
        .ask("tasks/update", update.take())
        .await;
    assert_eq!(
        reply.body["error"]["data"]["reason"], "RequestInvalid",
        "{reply:?}"
    );
    get(&world, "demo", id(&task)).await;
    let lines = world.end().await;
    let methods: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["method"].as_str())
        .collect();
    assert_eq!(
        methods[1..],
        [
            "tasks/get",
            "tasks/get",
            "tasks/get",
            "tasks/update",
            "tasks/get"
        ]
    );
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["outcome"], &last["change"]),
        (&json!("pending_approval"), &task["taskId"])
    );
}
