//! The tables of decisions once more, through the whole server against the fake
//! vendor: every case whose change there is a tool for, with the same policies,
//! the same past and the same clock. What the caller hears must be what its line
//! in `core` says, and the vendor's log must agree.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is tests, helpers as well"
)]

mod asked;
#[expect(dead_code, reason = "the server's own tests call in more ways")]
#[path = "../server/client.rs"]
mod client;
#[expect(dead_code, reason = "the server's own tests say more to it")]
#[path = "../server/control.rs"]
mod control;
mod line;
#[path = "../../../crates/core/src/policy/tests/moment.rs"]
mod moment;
mod past;
mod tree;
#[expect(dead_code, reason = "the server's own tests look at more of it")]
#[path = "../server/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::io::Write as _;

use asked::Asked;
use futures::StreamExt as _;
use jiff::Timestamp;
use line::Case;
use serde_json::Value;
use tempfile::TempDir;
use tenantry_core::access::Access;
use tenantry_core::key::{KeyRecord, Scope};
use tenantry_fakes::meta::{Fault, Faults, SANDBOX_TOKEN};
use tenantry_server::clock::Clock;
use world::{Ledger, Setup, World, account, record};

/// Servers at the same time.
const AT_ONCE: usize = 8;

/// Of the account that everything is in.
const ACCOUNT: &str = "act_1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_that_has_a_tool_is_answered_as_its_line_says() {
    let (mut cases, mut left_out) = (Vec::new(), BTreeMap::new());
    for (page, case) in line::cases() {
        match asked::of(&case) {
            Ok(asked) => cases.push((page, case, asked)),
            Err(why) => *left_out.entry(why).or_insert(0_usize) += 1,
        }
    }
    let (count, fewer) = (cases.len(), left_out.values().sum::<usize>());
    let all = cases.iter();
    let running = all.map(|(page, case, asked)| async move {
        let wrong = run(case, asked).await.err();
        wrong.map(|wrong| format!("{page}: {}\n  {wrong}", case.name))
    });
    let ended = futures::stream::iter(running).buffer_unordered(AT_ONCE);
    let ended: Vec<Option<String>> = ended.collect().await;
    let wrong: Vec<String> = ended.into_iter().flatten().collect();
    say(&format!(
        "boundaries: {count} of {} cases through the server; without: {left_out:?}",
        count + fewer
    ));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(count >= 150, "{count} cases");
}

async fn run(case: &Case, asked: &Asked) -> Result<(), String> {
    let ledger = TempDir::new().unwrap();
    past::write(ledger.path(), case).await?;
    let policies = case.policies()?;
    let world = World::start_with(|setup| {
        open(setup);
        setup.ledger = Ledger::At(ledger.path().to_owned());
        setup.tenant.connectors[0].accounts = vec![account(ACCOUNT, case.currency())];
        setup.tenant.connectors[0].accounts[0].access = Access::ReadWrite;
        setup.tenant.policies = policies;
    })
    .await;
    world.fake.open(ACCOUNT, case.currency());
    world.fake.grant(SANDBOX_TOKEN, &[ACCOUNT]);
    asked.tree.plant(&world.fake);
    let client = world.client(asked.key);
    let told = client.call(asked.tool, asked.arguments.clone()).await;
    let told = &told["structuredContent"];
    world.stop();
    let (found, expected) = (written(told), in_short(&case.expect));
    if found != expected {
        return Err(format!("{expected} expected, not {found}: {told}"));
    }
    let (effects, wanted) = (world.fake.effects().len(), told["status"] == "done");
    if effects != usize::from(wanted) {
        return Err(format!("the vendor made {effects} changes: {told}"));
    }
    Ok(())
}

fn open(setup: &mut Setup) {
    setup.tenant.access = Access::ReadWrite;
    setup.clock = Clock::still(moment::NOW);
    // Of what waits already nothing is kept but its money.
    setup.asks_people = false;
    // What is live is so by its line, and is not read anew.
    setup.faults = Faults {
        fail: Some(Fault::Unavailable),
        fail_path: Some("/campaigns".into()),
        ..Faults::default()
    };
    setup.keys = ["bot", "boss"].map(spender).into();
}

fn spender(id: &str) -> KeyRecord {
    let scopes = ["meta:read", "meta:write", "meta:spend"];
    KeyRecord {
        scopes: scopes.map(|scope| Scope::parse(scope).unwrap()).into(),
        ..record(id)
    }
}

/// An answer as the tables write decisions, without whom people are asked.
fn written(told: &Value) -> String {
    let rules = told["rules"].as_array().into_iter().flatten().map(rule);
    let rules = rules.collect::<Vec<_>>().join(" ");
    match (told["status"].as_str(), told["reason"].as_str()) {
        (Some("done" | "unchanged"), _) => "permitted".into(),
        (Some("refused"), Some("PolicyDenied")) => format!("denied {rules}"),
        (Some("pending_approval"), _) => {
            let until = told["expires_at"].as_str().unwrap_or_default();
            let until: Timestamp = until.parse().unwrap();
            let hours = until.duration_since(moment::NOW).as_hours();
            format!("asks {hours}h {rules}")
        }
        other => format!("{other:?}"),
    }
}

fn rule(rule: &Value) -> String {
    let of = |field: &str| rule[field].as_str().unwrap_or_default();
    let mark = if of("verdict") == "ask" { "?" } else { "" };
    match of("policy") {
        "p" => format!("{}{mark}", of("rule")),
        policy => format!("{policy}:{}{mark}", of("rule")),
    }
}

/// What a caller hears of a line: nothing of Shadow, and not how many of whom
/// must agree.
fn in_short(expect: &str) -> String {
    let heard = expect.split(" | ").next().unwrap_or_default();
    match heard.strip_prefix("asks ") {
        Some(terms) => {
            let terms = terms.splitn(3, ' ').nth(2).unwrap_or_default();
            format!("asks {terms}")
        }
        None => heard.into(),
    }
}

/// Past the capture of tests: the count is part of what this test is for.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
