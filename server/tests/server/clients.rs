//! The official SDK clients, which check each answer against the schema that
//! the tool list shows: they must take every way a call can end.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tenantry_api::mcp_approval::{ApprovalState, ApprovalVerdict};
use tenantry_core::access::Access;
use tenantry_core::key::{KeyRecord, Scope};
use tenantry_core::tenant::{RateLimit, TenantConfig};
use tenantry_fakes::meta::{Answers, Applies, Fault, Faults, Order};
use tenantry_server::control_plane::Question;

use crate::control::raw;
use crate::world::{PATIENCE, World, key, record};
use crate::writes::{
    AD_SET, OTHER_AD_SET, QUIET, budget, looked_at, meddle, new_key, open, policy,
};

const TOOL: &str = "meta_list_ad_accounts";

/// Which client: its program, the variable that names what runs it, and how.
const CLIENTS: [(&str, &str, &str, &str); 4] = [
    ("TypeScript v1", "TENANTRY_NODE", "call.mjs", "legacy"),
    ("TypeScript v2", "TENANTRY_NODE", "call.mjs", "modern"),
    (
        "Python, with a handshake",
        "TENANTRY_PYTHON",
        "call.py",
        "legacy",
    ),
    ("Python, without", "TENANTRY_PYTHON", "call.py", "modern"),
];

/// A client that runs in a process of its own.
struct Sdk {
    name: &'static str,
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Sdk {
    async fn start(world: &World, client: usize) -> Self {
        Self::start_with(world, client, &[]).await
    }

    async fn start_with(world: &World, client: usize, more: &[&str]) -> Self {
        let (name, runner, program, era) = CLIENTS[client];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients");
        let runner: OsString =
            std::env::var_os(runner).expect("`cargo xtask test clients` sets it");
        let mut command = Command::new(runner);
        command
            .arg(folder.join(program))
            .args(["--era", era, "--url"]);
        command.arg(format!("http://{}/mcp", world.mcp));
        if program == "call.mjs" {
            command.arg("--interactive");
        }
        command.args(more);
        command.env("TENANTRY_API_KEY", key("demo").reveal());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let sdk = Self {
            name,
            process,
            answers,
        };
        let (sdk, greeting) = sdk.next().await;
        assert!(
            greeting["tools"].to_string().contains(TOOL),
            "{name}: {greeting}"
        );
        sdk
    }

    /// One call; what the client made of the answer.
    async fn call(self, tool: &str, arguments: Value) -> (Self, Value) {
        self.say(json!({"tool": tool, "arguments": arguments}))
            .await
    }

    async fn say(mut self, said: Value) -> (Self, Value) {
        let line = format!("{said}\n");
        let input = self.process.stdin.as_mut().unwrap();
        input.write_all(line.as_bytes()).unwrap();
        input.flush().unwrap();
        self.next().await
    }

    async fn next(mut self) -> (Self, Value) {
        let read = move || {
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            (
                self,
                serde_json::from_str(&line).unwrap_or(Value::String(line)),
            )
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    /// A call that ends so, and that the client takes.
    async fn ends(self, tool: &str, arguments: Value, status: &str, reason: Option<&str>) -> Self {
        let (sdk, answer) = self.call(tool, arguments).await;
        let envelope = &answer["structuredContent"];
        let found = (envelope["status"].as_str(), envelope["reason"].as_str());
        assert_eq!(found, (Some(status), reason), "{}: {answer}", sdk.name);
        let is_error = matches!(status, "refused" | "failed" | "needs_human");
        assert_eq!(answer["isError"], is_error);
        sdk
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The world under another contract.
async fn change(world: &World, generation: i64, change: impl FnOnce(&mut TenantConfig)) {
    let mut tenant = world.tenant.clone();
    change(&mut tenant);
    let knowledge = world.control.knowledge().await;
    knowledge.tell_contract(Some(raw(&tenant, generation)));
    let obeyed = |report: &tenantry_api::mcp_server::ReplicaReport| {
        report.observed_generation == Some(generation)
    };
    world.control.reported(obeyed).await;
}

async fn refusals(world: &World, sdk: Sdk) -> Sdk {
    let sdk = sdk
        .ends(
            TOOL,
            json!({"surprise": 1}),
            "refused",
            Some("ArgumentsInvalid"),
        )
        .await;
    let campaigns = "meta_list_campaigns";
    let foreign = json!({"account": "act_2001"});
    let sdk = sdk
        .ends(campaigns, foreign, "refused", Some("AccountRefused"))
        .await;
    let (sdk, unknown) = sdk.call("no_such_tool", json!({})).await;
    assert!(
        unknown["error"].to_string().contains("there is no tool"),
        "{unknown}"
    );
    let knowledge = world.control.knowledge().await;
    let scopes = vec![Scope::parse("meta:spend").unwrap()];
    knowledge.tell_key(KeyRecord {
        scopes,
        ..record("demo")
    });
    let sdk = sdk
        .ends(TOOL, json!({}), "refused", Some("ScopeMissing"))
        .await;
    knowledge.tell_key(record("demo"));
    change(world, 2, |tenant| tenant.access = Access::Disabled).await;
    let sdk = sdk
        .ends(TOOL, json!({}), "refused", Some("AccessDenied"))
        .await;
    let one = RateLimit {
        per_minute: 1,
        burst: 1,
    };
    change(world, 3, |tenant| tenant.limits.per_key = one).await;
    let sdk = sdk.ends(TOOL, json!({}), "done", None).await;
    let sdk = sdk
        .ends(TOOL, json!({}), "refused", Some("RateLimited"))
        .await;
    change(world, 4, |tenant| tenant.limits.concurrency = 1).await;
    world.fake.forget_requests();
    world.fake.set_faults(Faults {
        hold: true,
        ..Faults::default()
    });
    let client = world.client("demo");
    let held = tokio::spawn(async move { client.call(TOOL, json!({})).await });
    world.fake.arrived(1).await;
    let sdk = sdk
        .ends(TOOL, json!({}), "refused", Some("ServerBusy"))
        .await;
    world.fake.set_faults(Faults::default());
    held.await.unwrap();
    change(world, 5, |_| {}).await;
    sdk
}

async fn failures(world: &World, mut sdk: Sdk) -> Sdk {
    for (fault, reason) in [
        (Fault::TokenExpired, "ReconnectRequired"),
        (Fault::BadParameter, "VendorRejected"),
        (Fault::NoSuchObject, "NotFound"),
        (Fault::Unavailable, "VendorUnavailable"),
        (Fault::NotJson, "VendorAnswerInvalid"),
        // The last one: the account is held back from then on.
        (Fault::UseCaseThrottled, "VendorThrottled"),
    ] {
        world.fake.set_faults(Faults {
            fail: Some(fault),
            ..Faults::default()
        });
        let campaigns = json!({"account": "act_1001"});
        sdk = sdk
            .ends("meta_list_campaigns", campaigns, "failed", Some(reason))
            .await;
    }
    world.fake.set_faults(Faults::default());
    sdk
}

#[tokio::test]
async fn the_official_clients_take_every_answer() {
    for client in 0..CLIENTS.len() {
        let world = World::start().await;
        let sdk = Sdk::start(&world, client).await;
        let sdk = sdk.ends(TOOL, json!({}), "done", None).await;
        let campaigns = json!({"account": "act_1001", "limit": 2});
        let sdk = sdk
            .ends("meta_list_campaigns", campaigns, "done", None)
            .await;
        let sdk = refusals(&world, sdk).await;
        drop(failures(&world, sdk).await);
        world.end().await;
    }
}

/// Every end that a change can have.
async fn ends_of_a_change(world: &World, sdk: Sdk) -> Sdk {
    let tool = "meta_set_budget";
    let asked = |amount: &str| budget(AD_SET, amount, &new_key());
    let first = asked("31.00");
    let sdk = sdk.ends(tool, first.clone(), "done", None).await;
    // The first answer, once more.
    let sdk = sdk.ends(tool, first, "done", None).await;
    let sdk = sdk.ends(tool, asked("31.00"), "unchanged", None).await;
    let mut dry = asked("32.00");
    dry["dry_run"] = json!(true);
    let sdk = sdk.ends(tool, dry, "done", None).await;
    let sdk = sdk
        .ends(tool, asked("60.00"), "refused", Some("PolicyDenied"))
        .await;
    let waits = budget(OTHER_AD_SET, "39.00", &new_key());
    let sdk = sdk
        .ends(tool, waits, "pending_approval", Some("ApprovalRequired"))
        .await;
    let lost = Order::next_write(Applies::Never, Answers::Break);
    world.fake.order(lost.clone());
    let sdk = sdk
        .ends(tool, asked("32.00"), "settling", Some("OutcomeUnknown"))
        .await;
    let sdk = sdk
        .ends(
            tool,
            asked("33.00"),
            "in_progress",
            Some("ChangeInProgress"),
        )
        .await;
    looked_at(world).await;
    world.clock.advance(QUIET);
    let (sdk, again) = settled(sdk, tool, asked("34.00")).await;
    assert_eq!(again["structuredContent"]["status"], "done", "{again}");
    world.fake.order(lost);
    let undecided = asked("35.00");
    let sdk = sdk
        .ends(tool, undecided.clone(), "settling", Some("OutcomeUnknown"))
        .await;
    meddle(world, AD_SET, 3_900).await;
    looked_at(world).await;
    world.clock.advance(QUIET);
    let (sdk, people) = settled(sdk, tool, undecided).await;
    assert_eq!(
        people["structuredContent"]["status"], "needs_human",
        "{people}"
    );
    sdk
}

/// Repeats a call until nothing is on its way any more.
async fn settled(mut sdk: Sdk, tool: &str, asked: Value) -> (Sdk, Value) {
    let began = std::time::Instant::now();
    loop {
        let (same, answer) = sdk.call(tool, asked.clone()).await;
        sdk = same;
        let status = answer["structuredContent"]["status"].as_str();
        if !matches!(status, Some("settling" | "in_progress")) {
            return (sdk, answer);
        }
        assert!(began.elapsed() < PATIENCE, "{answer}");
    }
}

#[tokio::test]
async fn the_official_clients_take_every_end_of_a_change() {
    for client in 0..CLIENTS.len() {
        let world = World::start_with(|setup| {
            open(setup);
            setup.tenant.policies = vec![policy(json!({
                "budget": {"perObject": {"maxDaily": "50"}},
                "approvals": [{
                    "name": "large", "approverClass": "finance", "approvers": 1, "expiresAfterMs": 3_600_000,
                    "when": {"dailyIncreaseOver": "15"},
                }],
            }))];
        })
        .await;
        let sdk = Sdk::start(&world, client).await;
        drop(ends_of_a_change(&world, sdk).await);
        world.end().await;
    }
}

#[tokio::test]
async fn the_official_clients_take_the_answers_of_a_server_in_trouble() {
    for client in 0..CLIENTS.len() {
        let world = World::start_with(|setup| setup.stale_after = Duration::ZERO).await;
        let sdk = Sdk::start(&world, client).await;
        drop(
            sdk.ends(TOOL, json!({}), "refused", Some("ControlPlaneStale"))
                .await,
        );
        world.end().await;
        let world = World::start_with(|setup| setup.token = None).await;
        let sdk = Sdk::start(&world, client).await;
        drop(
            sdk.ends(TOOL, json!({}), "failed", Some("SecretMissing"))
                .await,
        );
        world.end().await;
    }
}

/// The official package for tasks checks each of them against its schemas.
#[tokio::test]
async fn the_official_client_follows_tasks_to_their_end() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.tenant.guard_proven = true;
        setup.tenant.policies = vec![policy(json!({"approvals": [{
            "name": "large", "approverClass": "finance", "approvers": 1, "expiresAfterMs": 3_600_000,
            "when": {"dailyIncreaseOver": "5"},
        }]}))];
    })
    .await;
    let modern = 1;
    let sdk = Sdk::start_with(&world, modern, &["--tasks"]).await;
    let asked = |amount: &str| budget(AD_SET, amount, &new_key());
    let (sdk, made) = sdk.call("meta_set_budget", asked("31.00")).await;
    assert_eq!(made["kind"], "immediate", "{made}");
    let deciding = async {
        let waits = |question: &Question| question.status.state == Some(ApprovalState::Pending);
        let question = world.control.question(waits).await;
        let by = "bob@acme.example";
        world
            .control
            .decide(&question.name, by, ApprovalVerdict::Approve);
    };
    let following = sdk.call("meta_set_budget", asked("40.00"));
    let ((sdk, told), ()) = tokio::join!(following, deciding);
    assert_eq!(
        (&told["kind"], &told["status"]),
        (&json!("task"), &json!("completed")),
        "{told}"
    );
    assert_eq!(told["structuredContent"]["status"], "done", "{told}");
    let wanted = json!({"tool": "meta_set_budget", "arguments": asked("50.00"), "cancel": true});
    let (sdk, told) = sdk.say(wanted).await;
    assert_eq!(
        (&told["kind"], &told["status"]),
        (&json!("task"), &json!("cancelled")),
        "{told}"
    );
    drop(sdk);
    world.end().await;
}
