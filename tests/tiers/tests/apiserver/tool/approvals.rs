//! What waits for people, and what they say of it.

use serde_json::{Value, json};

use super::{done, refused, run, until_let};
use crate::court::{BOTH, BYSTANDER, Court, FINANCE, OWNER};

#[test]
fn what_waits_is_listed_and_shown_whole() {
    let court = Court::new("court-tool-list");
    let nothing = until_let(&court, FINANCE, &["approvals"]);
    let told = "there is nothing that waits for people in the namespace `court-tool-list`\n";
    assert_eq!((nothing.code, nothing.note.as_str()), (Some(0), told));
    let mut asked = court.asked("one", &["finance"]);
    let request = &mut asked["spec"]["request"];
    request["settings"] = json!([
        {"name": "daily_budget", "before": "100.00 EUR", "after": "9000.00 EUR"},
        {"name": "name", "before": "A"},
    ]);
    request["delta"] = json!({"currency": "EUR", "daily": "8900.00"});
    court.create(&asked);
    let listed = run(&court, FINANCE, &["approvals", "--output", "wide"]);
    assert_eq!(
        listed,
        done(concat!(
            "NAMESPACE        NAME  CHANGE                                                ACCOUNT  REQUESTER                NEEDS    STATE    EXPIRES\n",
            "court-tool-list  one   campaign 120, daily_budget 100.00 EUR to 9000.00 EUR  act_1    owner@approvals.example  finance  Pending  2036-06-01T00:00:00Z\n",
        ))
    );
    let shown = run(&court, FINANCE, &["show", "one"]).out;
    // How far away a moment is depends on the day.
    let lines: Vec<_> = shown
        .lines()
        .filter(|line| !line.starts_with("Asked  "))
        .collect();
    assert_eq!(
        lines,
        [
            "Approval       one",
            "State          Pending",
            "Change         campaign 120, daily_budget 100.00 EUR to 9000.00 EUR",
            "Tool           meta_set_budget of meta, account act_1",
            r#"Settings       daily_budget: "100.00 EUR" to "9000.00 EUR""#,
            r#"               name: "A" to nothing"#,
            "More to spend  8900.00 EUR a day",
            "Asked by       owner@approvals.example, agent planner, key demo made by issuer@approvals.example",
            "Because        over 5000.00 EUR (ads-budget/approvals[large])",
            "Needs          finance",
            "Arguments      {}",
            "Change id      0123456789abcdef0123456789abcdef",
            "Policies       sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "",
            "to decide: tenantry approve one -n court-tool-list, or tenantry deny one -n court-tool-list --comment WHY",
        ]
    );
    let json = run(&court, FINANCE, &["approvals", "-o", "json"]).out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["spec"]["request"]["delta"]["daily"], "8900.00");
    let yaml = run(&court, FINANCE, &["show", "one", "-o", "yaml"]).out;
    assert!(yaml.contains("kind: McpApproval\n"), "{yaml}");
    let missing = "there is no approval `two` in the namespace `court-tool-list`; `tenantry approvals -n court-tool-list` lists those that wait";
    assert_eq!(run(&court, FINANCE, &["show", "two"]), refused(missing));
}

#[test]
fn each_change_of_a_batch_is_shown() {
    let court = Court::new("court-tool-batch");
    let mut asked = court.asked("one", &["finance"]);
    let request = &mut asked["spec"]["request"];
    let first = "campaign 120, daily_budget 100.00 EUR to 101.00 EUR";
    let second = "ad set 7, daily_budget 10.00 EUR to 9000.00 EUR";
    request["tool"] = json!("set_budgets");
    request["summary"] = json!(format!("2 changes: {first}; {second}"));
    request["items"] = json!([
        {"changeId": "1".repeat(32), "summary": first},
        {"changeId": "2".repeat(32), "summary": second},
    ]);
    court.create(&asked);
    let shown = until_let(&court, FINANCE, &["show", "one"]).out;
    let lines: Vec<_> = shown.lines().collect();
    let told = |name: &str| {
        let at = lines.iter().position(|line| line.starts_with(name));
        let told = &lines[at.unwrap_or_else(|| panic!("no {name} in {shown}"))..];
        [told[0].trim_start_matches(name).trim(), told[1].trim()]
    };
    assert_eq!(told("Changes "), [first, second]);
    assert_eq!(told("Of each "), ["1".repeat(32), "2".repeat(32)]);
    court.create(&court.asked("alone", &["finance"]));
    let shown = run(&court, FINANCE, &["show", "alone"]).out;
    assert!(!shown.contains("Changes  "), "{shown}");
}

#[test]
fn somebody_decides_once_and_in_their_own_name() {
    let court = Court::new("court-tool-decide");
    court.ask("one", &["finance"]);
    let summary = "campaign 120, daily_budget 100.00 EUR to 9000.00 EUR";
    let policy = "mcpapprovals.tenantry.dev \"one\" is forbidden: ValidatingAdmissionPolicy 'tenantry-approvals' with binding 'tenantry-approvals' denied request: ";
    let bystander = until_let(&court, BYSTANDER, &["approve", "one"]);
    let told = format!(
        "{policy}`{BYSTANDER}` may not decide for finance: that needs the verb approve on mcpapprovals/decision with each such name; spec.decisions[].classes says for which of them a decision is"
    );
    assert_eq!(bystander, refused(&told));
    let owner = run(&court, OWNER, &["approve", "one"]);
    let told = format!(
        "{policy}`{OWNER}` asks for this change: who asks may withdraw it (spec.withdrawn: true) and decides nothing"
    );
    assert_eq!(owner, refused(&told));
    let said = until_let(
        &court,
        FINANCE,
        &["approve", "one", "--comment", "as planned"],
    );
    assert_eq!(
        said,
        done(&format!("one: `{FINANCE}` says yes to: {summary}\n"))
    );
    let again = run(&court, FINANCE, &["approve", "one"]);
    assert_eq!(
        again,
        done(&format!(
            "one: `{FINANCE}` had said yes before to: {summary}; it is Pending\n"
        ))
    );
    let decision = json!([{"by": FINANCE, "verdict": "Approve", "comment": "as planned"}]);
    assert_eq!(court.decisions("one"), decision);
    let other = run(&court, FINANCE, &["deny", "one"]);
    let told = format!(
        "`{FINANCE}` has said yes, and a decision stays as it was made; somebody else can decide for the rest"
    );
    assert_eq!(other, refused(&told));
    // Nobody carries it out here, so it is not known what becomes of it.
    let waited = run(&court, FINANCE, &["approve", "one", "--wait=1"]);
    assert_eq!(waited.code, Some(2), "{waited:?}");
    assert!(waited.out.contains("had said yes"), "{waited:?}");
    let told = "error: it is Pending after 1 s; `tenantry show one -n court-tool-decide` says what becomes of it\n";
    assert_eq!(waited.note, told);
}

#[test]
fn a_decision_may_be_for_some_classes_and_who_asks_takes_it_back() {
    let court = Court::new("court-tool-classes");
    court.ask("one", &["ads", "finance"]);
    let words = ["deny", "one", "--class", "ads", "--comment", "not now"];
    let said = until_let(&court, BOTH, &words);
    assert_eq!(said.code, Some(0), "{said:?}");
    let decision =
        json!([{"by": BOTH, "verdict": "Deny", "classes": ["ads"], "comment": "not now"}]);
    assert_eq!(court.decisions("one"), decision);
    court.ask("two", &["finance"]);
    let stranger = run(&court, BYSTANDER, &["withdraw", "two"]);
    assert!(
        stranger.note.contains("a request is withdrawn by who asks") && stranger.code == Some(1),
        "{stranger:?}"
    );
    // No server is there to say that it has heard of it.
    let taken = run(&court, OWNER, &["withdraw", "two"]);
    assert_eq!(taken.code, Some(2), "{taken:?}");
    assert!(
        taken.out.starts_with("two: withdrawn: campaign"),
        "{taken:?}"
    );
    // Who speaks for one class has said nothing for the other.
    court.ask("three", &["ads", "finance"]);
    let said = run(&court, BOTH, &["approve", "three", "--class", "ads"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let rest = run(&court, BOTH, &["approve", "three"]);
    let told = format!(
        "`{BOTH}` has said yes for ads, and a decision stays as it was made; somebody else can decide for the rest"
    );
    assert_eq!(rest, refused(&told));
    let mut late = court.asked("late", &["finance"]);
    late["spec"]["request"]["expiresAt"] = json!("2026-06-02T00:00:00Z");
    court.create(&late);
    let told = "its time was over at 2026-06-02T00:00:00Z: let the agent ask anew";
    assert_eq!(run(&court, FINANCE, &["approve", "late"]), refused(told));
}

#[test]
fn what_became_of_a_change_is_said_by_who_might_have_agreed_to_it() {
    let court = Court::new("court-tool-resolve");
    let mut asked = court.asked("one", &["finance"]);
    let request = &mut asked["spec"]["request"];
    request["asks"] = json!("Outcome");
    request["summary"] = json!("outcome of campaign 120");
    court.create(&asked);
    let words = |finding: &'static str| ["resolve", "one", finding, "--comment", "I looked"];
    let bystander = until_let(&court, BYSTANDER, &words("--applied"));
    let told = "`bystander@approvals.example` may not decide for finance";
    assert!(bystander.note.contains(told), "{bystander:?}");
    let owner = run(&court, OWNER, &words("--not-applied"));
    assert!(owner.note.contains("asks for this change"), "{owner:?}");
    let place = "-n court-tool-resolve";
    for word in ["approve", "deny"] {
        let told = format!(
            "one asks what became of a change that was sent: look at the vendor, then tenantry resolve one {place} --applied, or tenantry resolve one {place} --not-applied"
        );
        assert_eq!(run(&court, FINANCE, &[word, "one"]), refused(&told));
    }
    // Nor by kubectl.
    let add = json!([{"op": "add", "path": "/spec/decisions/-", "value": {"by": FINANCE, "verdict": "Approve"}}]);
    let told = court.patch(FINANCE, "one", &add);
    assert!(told.contains("say Applied or NotApplied"), "{told}");
    let shown = run(&court, FINANCE, &["show", "one"]).out;
    let hint = format!(
        "look at the object at the vendor, then: tenantry resolve one {place} --applied, or tenantry resolve one {place} --not-applied\n"
    );
    assert!(shown.ends_with(&hint), "{shown}");
    let said = run(&court, FINANCE, &words("--not-applied"));
    let told = "one: `finance@approvals.example` says not applied to: outcome of campaign 120\n";
    assert_eq!(said, done(told));
    let other = run(&court, FINANCE, &words("--applied"));
    let told = "`finance@approvals.example` has said not applied, and a decision stays as it was made; somebody else can decide for the rest";
    assert_eq!(other, refused(told));
    for finding in [
        &["resolve", "one"][..],
        &["resolve", "one", "--applied", "--not-applied"],
    ] {
        assert_eq!(run(&court, FINANCE, finding).code, Some(2));
    }
    // A change that waits has not become anything.
    court.ask("two", &["finance"]);
    let told = format!(
        "two asks whether a change may be made: tenantry approve two {place}, or tenantry deny two {place}"
    );
    let waits = run(&court, FINANCE, &["resolve", "two", "--applied"]);
    assert_eq!(waits, refused(&told));
    let add = json!([{"op": "add", "path": "/spec/decisions/-", "value": {"by": FINANCE, "verdict": "Applied"}}]);
    let told = court.patch(FINANCE, "two", &add);
    assert!(told.contains("say Approve or Deny to a change"), "{told}");
}
