//! Who is told of what happens: each thing once and signed, however the receiver
//! answers, and no call notices any of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenantry_api::mcp_approval::ApprovalVerdict;
use tenantry_api::mcp_server::{DestinationReport, ReplicaReport};
use tenantry_core::notification::{Destination, Occasion};
use tenantry_fakes::meta::{EXPIRED_TOKEN, Fault, Faults};
use tenantry_server::control_plane::Question;
use tenantry_server::notify::pace::Pace;
use tenantry_server::notify::queue;

use super::{AD_SET, budgets, call, new_key, obey, open, policy, set};
use crate::receiver::{Answer, HUSH, OTHER_SECRET, Received, Receiver, SECRET};
use crate::world::{Setup, TOLD_AT_ONCE, World, logs, until};

const ADS: &str = "ads-team";

fn destination(name: &str, occasions: &[Occasion]) -> Destination {
    Destination {
        name: name.to_owned().try_into().unwrap(),
        occasions: occasions.iter().copied().collect(),
    }
}

/// A world that tells `receiver` of everything.
async fn telling(receiver: &Receiver, change: impl FnOnce(&mut Setup)) -> World {
    World::start_with(|setup| {
        open(setup);
        setup.tenant.notifications = vec![destination(ADS, &Occasion::ALL)];
        setup.destinations = vec![receiver.as_destination(ADS)];
        change(setup);
    })
    .await
}

/// Ends the world, and looks whether anybody told where a receiver is.
async fn end(world: World) {
    let text = serde_json::to_string(&world.control.reports()).unwrap();
    let (_, metrics) = world.admin("/metrics").await;
    world.end().await;
    let secrets = [SECRET, OTHER_SECRET].map(|secret| &secret["whsec_".len()..]);
    for text in [text, metrics, logs().text()] {
        for secret in secrets.iter().chain(&[HUSH]) {
            assert!(!text.contains(*secret), "`{secret}` was told: {text}");
        }
    }
}

/// Waits for a line of the metrics of notifications.
async fn counted(world: &World, line: &str) {
    let line = format!("tenantry_server_notifications_{line}");
    let patience = async {
        while !world.admin("/metrics").await.1.contains(&line) {
            tokio::task::yield_now().await;
        }
    };
    let counted = tokio::time::timeout(crate::world::PATIENCE, patience).await;
    counted.unwrap_or_else(|_| panic!("waited in vain for {line}"));
}

fn sent(occasion: &str, count: u32) -> String {
    format!(r#"sent_total{{destination="{ADS}",occasion="{occasion}"}} {count}"#)
}

/// The state of the destination, once it is that.
async fn reported(world: &World, reason: Option<&str>) -> DestinationReport {
    let is = |report: &ReplicaReport| {
        let told = report.notifications.first();
        told.is_some_and(|told| told.reason.as_deref() == reason && told.ready == reason.is_none())
    };
    let last = || world.control.reports().last().is_some_and(is);
    until("the state of a destination", last).await;
    world.control.reports().last().unwrap().notifications[0].clone()
}

fn titles(received: &[Received]) -> Vec<&str> {
    received
        .iter()
        .map(|one| one.text().lines().next().unwrap())
        .collect()
}

fn ids(received: &[Received]) -> BTreeSet<&str> {
    received.iter().map(|one| one.id.as_str()).collect()
}

/// Renames the ad set; the vendor sets no limit to that.
async fn rename(world: &World, name: &str) -> Value {
    let arguments = json!({"ad_set_id": AD_SET, "name": name, "idempotency_key": new_key()});
    call(world, "meta_rename", arguments).await
}

fn asks() -> Value {
    json!({"approvals": [{
        "name": "large", "approverClass": "finance", "approvers": 1,
        "expiresAfterMs": 3_600_000, "when": {"dailyIncreaseOver": "5"},
    }]})
}

#[tokio::test]
async fn a_change_is_told_of_from_the_question_to_what_became_of_it() {
    let receiver = Receiver::start(&[]).await;
    let world = telling(&receiver, |setup| {
        setup.tenant.guard_proven = true;
        setup.tenant.policies = vec![policy(asks())];
    })
    .await;
    let told = set(&world, "40.00", &new_key()).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    let id = told["change_id"].as_str().unwrap().to_owned();
    let question = world
        .control
        .question(|one| one.spec.request.change_id == id);
    let question = question.await;
    let asked = receiver.count(1).await.remove(0);
    for line in [
        "acme: a change waits for people",
        &question.spec.request.summary,
        "Organisation: acme",
        "Account: meta act_1001",
        "Tool: meta_set_budget",
        "Asked by: alice@acme.example",
        "Agent: reporter",
        &format!("Change: {id}"),
        &format!(
            "To be decided before: {}",
            question.spec.request.expires_at.0
        ),
        &format!("kubectl mcp show {} -n acme", question.name),
        &format!("kubectl mcp approve {} -n acme", question.name),
    ] {
        assert!(
            asked.text().lines().any(|told| told == line),
            "{line} is not in {}",
            asked.text()
        );
    }
    let rule = question.spec.request.rules[0].message.replace('`', "'");
    assert!(
        asked.text().contains(&rule),
        "{rule} is not in {}",
        asked.text()
    );
    world
        .control
        .decide(&question.name, "bob@acme.example", ApprovalVerdict::Approve);
    let all = receiver.count(3).await;
    assert_eq!(
        titles(&all),
        [
            "acme: a change waits for people",
            "acme: people agreed to a change",
            "acme: a change was made",
        ]
    );
    assert!(all[1].text().contains("Agreed: bob@acme.example"));
    assert_eq!(ids(&all).len(), 3);
    for occasion in ["Pending", "Decided", "Executed"] {
        counted(&world, &sent(occasion, 1)).await;
    }
    end(world).await;
}

#[tokio::test]
async fn a_batch_is_one_question_and_as_many_outcomes() {
    let receiver = Receiver::start(&[]).await;
    let world = telling(&receiver, |setup| {
        setup.tenant.guard_proven = true;
        setup.tenant.policies = vec![policy(asks())];
    })
    .await;
    let changes = json!([
        {"campaign_id": "12001001001", "daily_budget": {"amount": "53.00", "currency": "EUR"}},
        {"ad_set_id": AD_SET, "daily_budget": {"amount": "33.00", "currency": "EUR"}},
    ]);
    let arguments =
        json!({"tool": "meta_set_budget", "changes": changes, "idempotency_key": new_key()});
    let told = call(&world, "set_budgets", arguments).await;
    assert_eq!(told["status"], "pending_approval", "{told}");
    let id = told["change_id"].as_str().unwrap();
    let question = |one: &Question| one.spec.request.change_id == id;
    let question = world.control.question(question).await;
    let approve = ApprovalVerdict::Approve;
    world
        .control
        .decide(&question.name, "bob@acme.example", approve);
    let all = receiver.count(4).await;
    assert_eq!(
        titles(&all),
        [
            "acme: a change waits for people",
            "acme: people agreed to a change",
            "acme: a change was made",
            "acme: a change was made",
        ]
    );
    let asked = all[0].text();
    for line in [
        "several budgets",
        "Tool: set_budgets",
        &format!("kubectl mcp approve {} -n acme", question.name),
    ] {
        assert!(
            asked.lines().any(|told| told == line),
            "{line} is not in {asked}"
        );
    }
    end(world).await;
}

#[tokio::test]
async fn a_no_is_told_with_its_reason_and_a_destination_hears_only_what_it_wants() {
    let receiver = Receiver::start(&[]).await;
    let world = telling(&receiver, |setup| {
        setup.tenant.guard_proven = true;
        setup.tenant.policies = vec![policy(asks())];
        setup.tenant.notifications = vec![destination(ADS, &[Occasion::Decided])];
    })
    .await;
    set(&world, "31.00", &new_key()).await;
    let told = set(&world, "40.00", &new_key()).await;
    let id = told["change_id"].as_str().unwrap().to_owned();
    let question = world
        .control
        .question(|one| one.spec.request.change_id == id);
    let name = question.await.name;
    world
        .control
        .decide(&name, "bob@acme.example", ApprovalVerdict::Deny);
    let all = receiver.count(1).await;
    assert_eq!(titles(&all), ["acme: somebody said no to a change"]);
    // Whoever says no writes what they like.
    assert!(
        all[0]
            .text()
            .contains("Why: 'bob@acme.example' said no: as I said"),
        "{}",
        all[0].text()
    );
    counted(&world, &sent("Decided", 1)).await;
    let (_, metrics) = world.admin("/metrics").await;
    assert!(!metrics.contains(r#"occasion="Pending""#), "{metrics}");
    end(world).await;
}

#[tokio::test]
async fn an_agent_that_is_denied_in_a_loop_fills_no_channel() {
    const TIMES: u64 = 25;
    let every = Duration::from_secs(1);
    let receiver = Receiver::start(&[]).await;
    let world = telling(&receiver, |setup| {
        setup.tenant.policies = vec![policy(
            json!({"budget": {"perChange": {"maxDailyIncrease": "5"}}}),
        )];
        setup.notify = Pace {
            denied_every: every,
            ..TOLD_AT_ONCE
        };
    })
    .await;
    let began = Instant::now();
    for _ in 0..TIMES {
        let told = set(&world, "90.00", &new_key()).await;
        assert_eq!(told["reason"], "PolicyDenied", "{told}");
    }
    let more = |received: &[Received]| -> u64 {
        let more = received.iter().filter_map(|one| {
            let told = one.text().split_once("\nand ")?.1;
            told.split(' ').next()?.parse::<u64>().ok()
        });
        more.sum()
    };
    let all_of_them = |received: &[Received]| more(received) + received.len() as u64 == TIMES;
    let all = receiver.until("all denials", all_of_them).await;
    assert_eq!(more(&all[..1]), 0, "the first is told at once");
    assert!(
        all[0].text().contains("ads/budget.perChange"),
        "{}",
        all[0].text()
    );
    let most = began.elapsed().as_secs() / every.as_secs() + 3;
    assert!(all.len() as u64 <= most, "{} messages", all.len());
    end(world).await;
}

#[tokio::test]
async fn a_vendor_that_refuses_its_token_is_told_of_once() {
    let receiver = Receiver::start(&[]).await;
    let world = telling(&receiver, |_| ()).await;
    world.fake.set_faults(Faults {
        fail: Some(Fault::TokenExpired),
        ..Faults::default()
    });
    for _ in 0..3 {
        call(&world, "meta_list_ad_accounts", json!({})).await;
    }
    let told = receiver.count(1).await.remove(0);
    let text = told.text();
    assert!(
        text.starts_with("acme: meta has to be connected again\nthe vendor refuses the token"),
        "{text}"
    );
    assert!(text.ends_with("kubectl mcp status -n acme"), "{text}");
    assert!(!text.contains(EXPIRED_TOKEN), "{text}");
    counted(&world, &sent("ReconnectNeeded", 1)).await;
    // It is looked at again and again, and another message comes after it.
    world.fake.set_faults(Faults::default());
    set(&world, "31.00", &new_key()).await;
    let all = receiver.count(2).await;
    assert_eq!(titles(&all)[1], "acme: a change was made");
    end(world).await;
}

#[tokio::test]
async fn a_receiver_in_trouble_gets_the_same_message_again() {
    let receiver = Receiver::start(&[Answer::Status(500), Answer::Endless]).await;
    let world = telling(&receiver, |_| ()).await;
    set(&world, "31.00", &new_key()).await;
    let all = receiver.count(2).await;
    assert_eq!(ids(&all).len(), 1, "it is the same event");
    assert_eq!(all[0].body, all[1].body);
    assert!(all[0].timestamp <= all[1].timestamp);
    // Of an answer without end nothing is read but that it is one.
    counted(&world, &sent("Executed", 1)).await;
    reported(&world, None).await;
    end(world).await;
}

#[tokio::test]
async fn a_message_that_is_never_taken_is_given_up_and_said() {
    let wrong = [
        Answer::Status(404),
        Answer::Status(400),
        Answer::Status(503),
    ];
    let receiver = Receiver::start(&wrong).await;
    let world = telling(&receiver, |_| ()).await;
    set(&world, "31.00", &new_key()).await;
    counted(
        &world,
        &format!(r#"failed_total{{destination="{ADS}",occasion="Executed"}} 1"#),
    )
    .await;
    let report = reported(&world, Some("DeliveryFailed")).await;
    assert_eq!(
        report.message.unwrap(),
        "the last message was not taken: it answered with status 503; see that the url in its Secret is right, and that the network lets the server go there"
    );
    // The next one is taken, and all is well.
    set(&world, "32.00", &new_key()).await;
    let all = receiver.count(4).await;
    assert_eq!(ids(&all).len(), 2);
    reported(&world, None).await;
    end(world).await;
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let receiver = Receiver::start(&[Answer::Later(429, 1)]).await;
    let world = telling(&receiver, |setup| {
        setup.notify.longest_pause = Duration::from_secs(20);
    })
    .await;
    set(&world, "31.00", &new_key()).await;
    let all = receiver.count(2).await;
    let waited = all[1].at.duration_since(all[0].at);
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    end(world).await;
}

#[tokio::test]
async fn nobody_is_led_elsewhere() {
    let elsewhere = Receiver::start(&[]).await;
    let led = Answer::Redirect(elsewhere.url.clone());
    let receiver = Receiver::start(&[led.clone(), led.clone(), led]).await;
    let world = telling(&receiver, |_| ()).await;
    set(&world, "31.00", &new_key()).await;
    let report = reported(&world, Some("DeliveryFailed")).await;
    assert!(report.message.unwrap().contains("status 307"));
    assert!(elsewhere.received().is_empty());
    end(world).await;
}

#[tokio::test]
async fn who_is_gone_is_told_nothing_until_the_secret_changes() {
    let receiver = Receiver::start(&[Answer::Status(410)]).await;
    let other = Receiver::start(&[]).await;
    let world = telling(&receiver, |_| ()).await;
    set(&world, "31.00", &new_key()).await;
    let report = reported(&world, Some("DestinationGone")).await;
    assert!(report.message.unwrap().contains("410 Gone"));
    set(&world, "32.00", &new_key()).await;
    counted(
        &world,
        &format!(r#"dropped_total{{destination="{ADS}",occasion="Executed"}} 2"#),
    )
    .await;
    assert_eq!(receiver.received().len(), 1);
    world.mount_destination(ADS, &other.url, SECRET);
    reported(&world, None).await;
    set(&world, "33.00", &new_key()).await;
    other.count(1).await;
    assert_eq!(receiver.received().len(), 1);
    end(world).await;
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_call_and_no_end() {
    let receiver = Receiver::start(&[Answer::Never, Answer::Never]).await;
    let world = telling(&receiver, |setup| {
        setup.notify.timeout = Duration::from_hours(1);
    })
    .await;
    for amount in ["31.00", "32.00"] {
        let told = set(&world, amount, &new_key()).await;
        assert_eq!(told["status"], "done", "{told}");
    }
    receiver.count(1).await;
    assert_eq!(budgets(&world).len(), 2);
    // Nor is what leaves by the outbox held up.
    until("the lines of both changes", || {
        world.audit.text().matches(r#""event":"outcome""#).count() == 2
    })
    .await;
    end(world).await;
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_not_waited_for_forever() {
    let receiver = Receiver::start(&[Answer::Never]).await;
    let world = telling(&receiver, |setup| {
        setup.notify.timeout = Duration::from_millis(100);
    })
    .await;
    set(&world, "31.00", &new_key()).await;
    let all = receiver.count(2).await;
    assert_eq!(ids(&all).len(), 1);
    end(world).await;
}

#[tokio::test]
async fn where_nobody_listens_the_oldest_makes_way_and_calls_go_on() {
    let receiver = Receiver::start(&[Answer::Never]).await;
    let world = telling(&receiver, |setup| {
        // The vendor's quota is not what this is about.
        setup.faults.most_score = Some(1_000_000);
        setup.faults.most_app_calls = Some(1_000_000);
        setup.notify.timeout = Duration::from_hours(1);
    })
    .await;
    set(&world, "31.00", &new_key()).await;
    receiver.count(1).await;
    // One is in hand, and so many wait.
    for number in 0..queue::LONGEST + 3 {
        let told = rename(&world, &format!("name {number}")).await;
        assert_eq!(told["status"], "done", "{told}");
    }
    counted(
        &world,
        &format!(r#"dropped_total{{destination="{ADS}",occasion="Executed"}} 3"#),
    )
    .await;
    end(world).await;
}

#[tokio::test]
async fn a_rotated_secret_is_taken_up_and_so_is_one_that_comes_late() {
    let receiver = Receiver::start(&[]).await;
    let world = telling(&receiver, |setup| setup.destinations.clear()).await;
    let report = reported(&world, Some("SecretMissing")).await;
    assert!(
        report
            .message
            .unwrap()
            .ends_with("with the keys `url` and `secret`")
    );
    world.mount_destination(ADS, &receiver.url.replace("http:", "ftp:"), SECRET);
    let report = reported(&world, Some("SecretInvalid")).await;
    assert_eq!(
        report.message.unwrap(),
        format!(
            "`url` in the Secret of the notification `{ADS}` cannot be used: it is not https; it is an https URL, such as a chat makes for an incoming webhook"
        )
    );
    world.mount_destination(ADS, &receiver.url, "hush");
    let is_told = |report: &ReplicaReport| {
        let told = report.notifications[0].message.as_deref();
        told.is_some_and(|told| told.contains("does not begin with `whsec_`"))
    };
    world.control.reported(is_told).await;
    world.mount_destination(ADS, &receiver.url, SECRET);
    reported(&world, None).await;
    set(&world, "31.00", &new_key()).await;
    let all = receiver.count(1).await;
    assert_eq!(all[0].secret, Some(SECRET));
    world.mount_destination(ADS, &receiver.url, OTHER_SECRET);
    // What is mounted is looked at once a second.
    while receiver.received().last().unwrap().secret != Some(OTHER_SECRET) {
        let count = receiver.received().len();
        let told = rename(&world, &format!("Name {count}")).await;
        assert_eq!(told["status"], "done", "{told}");
        receiver.count(count + 1).await;
    }
    end(world).await;
}

#[tokio::test]
async fn a_destination_comes_and_goes_with_the_contract() {
    let (first, second) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    let world = telling(&first, |setup| {
        setup.destinations.push(second.as_destination("second"));
    })
    .await;
    set(&world, "31.00", &new_key()).await;
    first.count(1).await;
    let mut tenant = world.tenant.clone();
    tenant.notifications = vec![destination("second", &[Occasion::Executed])];
    obey(&world, &tenant, 2).await;
    let follows =
        |report: &ReplicaReport| report.notifications.iter().all(|one| one.name == "second");
    until("the other destination", || {
        world.control.reports().last().is_some_and(follows)
    })
    .await;
    set(&world, "32.00", &new_key()).await;
    second.count(1).await;
    assert_eq!(first.received().len(), 1);
    end(world).await;
}

#[tokio::test]
async fn what_waits_when_the_server_ends_is_tried_once_more() {
    let receiver = Receiver::start(&[Answer::Status(500)]).await;
    let world = telling(&receiver, |setup| {
        let pause = Duration::from_hours(1);
        setup.notify.first_pause = pause;
        setup.notify.longest_pause = pause;
        setup.notify.goodbye = crate::world::PATIENCE;
    })
    .await;
    set(&world, "31.00", &new_key()).await;
    receiver.count(1).await;
    set(&world, "32.00", &new_key()).await;
    end(world).await;
    let all = receiver.count(3).await;
    assert_eq!(all[0].id, all[1].id);
    assert_eq!(ids(&all).len(), 2);
}

#[tokio::test]
async fn whoever_names_an_object_says_nothing_in_a_chat() {
    let receiver = Receiver::start(&[]).await;
    let world = telling(&receiver, |_| ()).await;
    let name = "<!channel> *PAY* <https://evil.example|here> @all";
    let told = rename(&world, name).await;
    assert_eq!(told["status"], "done", "{told}");
    let all = receiver.count(1).await;
    let text = all[0].text();
    assert!(
        text.contains("&lt;!channel&gt; ∗PAY∗ &lt;https∶//evil.example|here&gt; ＠all"),
        "{text}"
    );
    let body = all[0].body.to_string();
    assert!(
        !body.contains(['<', '>', '*']) && !body.contains("://"),
        "{body}"
    );
    end(world).await;
}
