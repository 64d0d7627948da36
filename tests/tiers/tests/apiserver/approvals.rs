//! Who makes an approval, who decides, and in whose name: on the real API
//! server, with a user for everybody who might try.

use serde_json::{Value, json};
use tenantry_tests::kubectl::wait_for;

use crate::court::{ADS, BOTH, BYSTANDER, Court, FINANCE, ISSUER, OWNER, approve, deciding};
use crate::plane::OPERATOR;

/// The operator is held by two policies, and the API server tells of either.
fn is_refused_the_operator(heard: &str, by_approvals: &str) {
    let by_names = "the operator builds no McpApproval named `one`, only forged";
    assert!(
        heard.contains(by_names) || heard.contains(by_approvals),
        "{heard}"
    );
}

#[test]
fn only_the_server_of_the_organisation_makes_an_approval() {
    let court = Court::new("court-making");
    court.ask("made", &["finance"]);
    let elsewhere = "system:serviceaccount:elsewhere:tenantry-server";
    court.give(
        "elsewhere",
        elsewhere,
        &json!({
            "apiGroups": ["tenantry.dev"], "resources": ["mcpapprovals"], "verbs": ["*"],
        }),
    );
    let forged = court.asked("forged", &["finance"]);
    for user in [OWNER, ISSUER, FINANCE, BYSTANDER, OPERATOR, elsewhere] {
        let told = court.as_user(user).refusal(&forged).unwrap();
        assert!(
            told.contains("an approval is created by the server of the organisation alone, ServiceAccount `tenantry-server` of the namespace `court-making`"),
            "{user}: {told}"
        );
    }
    // Nor does the server decide on what it asks.
    let server = court.as_user(&court.server());
    let mut decided = court.asked("decided", &["finance"]);
    decided["spec"]["decisions"] = json!([approve(FINANCE)]);
    let told = server.refusal(&decided).unwrap();
    assert!(told.contains("a new approval has no decisions"), "{told}");
    let mut withdrawn = court.asked("withdrawn", &["finance"]);
    withdrawn["spec"]["withdrawn"] = json!(true);
    let told = server.refusal(&withdrawn).unwrap();
    assert!(told.contains("a new approval has no decisions"), "{told}");
}

#[test]
fn only_the_server_says_where_an_approval_stands() {
    let court = Court::new("court-state");
    court.ask("one", &["finance"]);
    let state = |user: &str, state: &str| {
        let patch = json!([{"op": "add", "path": "/status", "value": {"state": state}}]);
        court.patch_below(user, "one", &patch, &["--subresource=status"])
    };
    for user in [OWNER, FINANCE, BYSTANDER, OPERATOR] {
        let told = state(user, "Applied");
        assert!(
            told.contains("where an approval stands is written by the server of the organisation"),
            "{user}: {told}"
        );
    }
    assert_eq!(state(&court.server(), "Expired"), "");
    for (user, patch) in [
        (
            FINANCE,
            json!([{"op": "add", "path": "/spec/decisions/-", "value": approve(FINANCE)}]),
        ),
        (
            OWNER,
            json!([{"op": "replace", "path": "/spec/withdrawn", "value": true}]),
        ),
    ] {
        let told = court.patch(user, "one", &patch);
        assert!(
            told.contains("there is nothing to decide any more: it is Expired"),
            "{user}: {told}"
        );
    }
}

#[test]
fn what_is_on_its_way_is_denied_or_withdrawn_and_not_agreed_to() {
    let court = Court::new("court-executing");
    let stands = |name: &str, state: &str| {
        let patch = json!([{"op": "add", "path": "/status", "value": {"state": state}}]);
        let told = court.patch_below(&court.server(), name, &patch, &["--subresource=status"]);
        assert_eq!(told, "");
    };
    let withdraw = |name: &str| {
        let patch = json!([{"op": "add", "path": "/spec/withdrawn", "value": true}]);
        court.patch(OWNER, name, &patch)
    };
    let deny = json!({"by": BOTH, "verdict": "Deny"});
    for name in ["denied", "withdrawn", "made"] {
        court.ask(name, &["finance"]);
        court.is_let_decide(FINANCE, name, &approve(FINANCE));
        stands(name, "Executing");
        court.is_refused(
            BOTH,
            name,
            "enough have agreed, and it is on its way: a Deny alone, or withdrawing it, is still heard",
        );
    }
    // Others than those who could before do not say no either.
    let told = court.decide(ADS, "denied", &json!({"by": ADS, "verdict": "Deny"}));
    assert!(told.contains("may not decide for finance"), "{told}");
    court.is_let_decide(BOTH, "denied", &deny);
    assert_eq!(court.decisions("denied"), json!([approve(FINANCE), deny]));
    assert_eq!(withdraw("withdrawn"), "");
    for state in ["Applied", "NeedsHuman"] {
        stands("made", state);
        let over = format!("there is nothing to decide any more: it is {state}");
        for told in [court.decide(BOTH, "made", &deny), withdraw("made")] {
            assert!(told.contains(&over), "{told}");
        }
    }
}

#[test]
fn who_has_the_class_decides_and_nobody_else() {
    let court = Court::new("court-deciding");
    court.ask("one", &["finance"]);
    for (user, told) in [
        (
            OWNER,
            "asks for this change: who asks may withdraw it (spec.withdrawn: true) and decides nothing",
        ),
        (
            ISSUER,
            "made the key that asks, and decides nothing that it asks for",
        ),
        (
            ADS,
            "may not decide for finance: that needs the verb approve on mcpapprovals/decision with each such name",
        ),
        (BYSTANDER, "may not decide for finance"),
        (court.server().as_str(), "may not decide for finance"),
    ] {
        for verdict in ["Approve", "Deny"] {
            let heard = court.decide(user, "one", &json!({"by": user, "verdict": verdict}));
            assert!(heard.contains(told), "{user} {verdict}: {heard}");
        }
        let heard = court.decide(user, "one", &approve(FINANCE));
        assert!(
            heard.contains(&format!("decide in your own name: write `by: {user}`")),
            "{user}: {heard}"
        );
    }
    let heard = court.decide(OPERATOR, "one", &approve(OPERATOR));
    is_refused_the_operator(&heard, "may not decide for finance");
    assert_eq!(court.decisions("one"), json!([]));
    court.is_let_decide(FINANCE, "one", &approve(FINANCE));
    assert_eq!(court.decisions("one"), json!([approve(FINANCE)]));
}

#[test]
fn a_decision_names_the_classes_that_it_is_for() {
    let court = Court::new("court-classes");
    court.ask("one", &["ads", "finance"]);
    let told = court.decide(FINANCE, "one", &approve(FINANCE));
    assert!(told.contains("may not decide for ads, finance"), "{told}");
    let of =
        |by: &str, classes: &[&str]| json!({"by": by, "verdict": "Approve", "classes": classes});
    let told = court.decide(BOTH, "one", &of(BOTH, &["legal"]));
    assert!(
        told.contains("classes of a decision are among request.approverClasses"),
        "{told}"
    );
    court.is_let_decide(FINANCE, "one", &of(FINANCE, &["finance"]));
    court.is_let_decide(BOTH, "one", &approve(BOTH));
    assert_eq!(court.decisions("one").as_array().unwrap().len(), 2);
}

#[test]
fn decisions_stay_and_a_denial_is_final() {
    let court = Court::new("court-final");
    court.ask("one", &["finance"]);
    court.is_let_decide(FINANCE, "one", &approve(FINANCE));
    let change = |user: &str, op: &str, path: &str, value: Value| {
        court.patch(
            user,
            "one",
            &json!([{"op": op, "path": path, "value": value}]),
        )
    };
    for user in [FINANCE, BOTH, OWNER, BYSTANDER] {
        for (op, path, value, told) in [
            (
                "replace",
                "/spec/decisions/0/verdict",
                json!("Deny"),
                "a decision stays as it was made",
            ),
            (
                "remove",
                "/spec/decisions/0",
                json!(null),
                "a decision stays as it was made",
            ),
            (
                "replace",
                "/spec/request/approvers",
                json!(2),
                "the request is immutable",
            ),
            (
                "replace",
                "/spec/request/arguments",
                json!("{\"a\":1}"),
                "the request is immutable",
            ),
        ] {
            let heard = change(user, op, path, value);
            assert!(heard.contains(told), "{user} {op} {path}: {heard}");
        }
    }
    let two = json!([
        {"op": "add", "path": "/spec/decisions/-", "value": approve(BOTH)},
        {"op": "add", "path": "/spec/decisions/-", "value": approve(ADS)},
    ]);
    let told = court.patch(BOTH, "one", &two);
    assert!(told.contains("decisions are added one at a time"), "{told}");
    let deny = json!({"by": BOTH, "verdict": "Deny", "comment": "Not this month."});
    court.is_let_decide(BOTH, "one", &deny);
    court.give("late", ADS, &deciding("approve", &["finance"]));
    let told = court.decide(ADS, "one", &approve(ADS));
    assert!(
        told.contains("the change is denied, and that is final"),
        "{told}"
    );
}

#[test]
fn who_asks_withdraws_and_nobody_in_their_place() {
    let court = Court::new("court-withdrawing");
    court.ask("one", &["finance"]);
    let withdraw = |user: &str, is: bool| {
        let patch = json!([{"op": "replace", "path": "/spec/withdrawn", "value": is}]);
        court.patch(user, "one", &patch)
    };
    is_refused_the_operator(
        &withdraw(OPERATOR, true),
        "a request is withdrawn by who asks",
    );
    for user in [FINANCE, ISSUER, BYSTANDER] {
        let told = withdraw(user, true);
        assert!(
            told.contains("a request is withdrawn by who asks, `owner@approvals.example`; to stop it, decide Deny"),
            "{user}: {told}"
        );
    }
    assert_eq!(withdraw(OWNER, true), "");
    let told = withdraw(OWNER, false);
    assert!(told.contains("what is withdrawn stays so"), "{told}");
    let told = court.decide(FINANCE, "one", &approve(FINANCE));
    assert!(
        told.contains("the request is withdrawn: there is nothing to decide"),
        "{told}"
    );
}

#[test]
fn who_may_have_made_the_key_does_not_decide() {
    let court = Court::new("court-unsaid");
    let mut unsaid = court.asked("unsaid", &["finance"]);
    let requester = unsaid["spec"]["request"]["requestedBy"].as_object_mut();
    requester.unwrap().remove("issuedBy");
    court.create(&unsaid);
    let issues = |owner: &str| json!({"apiGroups": ["tenantry.dev"], "resources": ["mcpapikeys"], "verbs": ["issuefor"], "resourceNames": [owner]});
    court.give("issues-for-owner", BOTH, &issues(OWNER));
    court.give(
        "issues-for-others",
        FINANCE,
        &issues("somebody@else.example"),
    );
    // Until the right is there, it would be let through: so in a dry run.
    wait_for("who may issue for the owner to be refused", || {
        let patch = json!([{"op": "add", "path": "/spec/decisions/-", "value": approve(BOTH)}]);
        let told = court.patch_below(BOTH, "unsaid", &patch, &["--dry-run=server"]);
        Ok(told
            .contains(
                "the key that asks does not say who made it, and `both@approvals.example` may have",
            )
            .then_some(()))
    })
    .unwrap();
    court.is_let_decide(FINANCE, "unsaid", &approve(FINANCE));
}

#[test]
fn a_program_decides_only_for_classes_that_say_so() {
    let court = Court::new("court-programs");
    court.ask("one", &["finance"]);
    let bot = "system:serviceaccount:court-programs:bot";
    let everything =
        json!({"apiGroups": ["tenantry.dev"], "resources": ["mcpapprovals"], "verbs": ["*"]});
    court.give("bot-changes", bot, &everything);
    court.give("bot-approves", bot, &deciding("approve", &["finance"]));
    let no_class = "a ServiceAccount decides for no class of which it has not the verb automate on mcpapprovals/decision";
    court.is_refused(bot, "one", no_class);
    court.give("bot-automates", bot, &deciding("automate", &["finance"]));
    wait_for("the program to be let decide", || {
        let told = court.decide(bot, "one", &approve(bot));
        Ok(told.is_empty().then_some(()))
    })
    .unwrap();
}

/// Deciding in a terminal, with nothing but kubectl.
#[test]
fn an_approver_sees_what_waits_and_decides_by_kubectl_alone() {
    let court = Court::new("court-terminal");
    let user = "approver@terminal.example";
    let binding = [
        "create",
        "rolebinding",
        "approver",
        "--clusterrole=tenantry-approver",
    ];
    let who = format!("--user={user}");
    let admin = court.plane.kubectl();
    admin
        .run(&[&binding[..], &[&who, "-n", &court.name]].concat())
        .unwrap();
    court.ask("one", &["finance"]);
    let approver = court.as_user(user);
    let list = wait_for("the approver to see what waits", || {
        let output = approver.output(&["get", "mcpa", "-n", &court.name])?;
        Ok(output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap()))
    })
    .unwrap();
    let lines: Vec<_> = list
        .lines()
        .map(|line| {
            line.split("  ")
                .filter(|word| !word.is_empty())
                .map(str::trim)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(
        lines[0],
        [
            "NAME",
            "TOOL",
            "ACCOUNT",
            "CHANGE",
            "REQUESTER",
            "STATE",
            "EXPIRES"
        ]
    );
    assert_eq!(
        lines[1][..5],
        [
            "one",
            "meta_set_budget",
            "act_1",
            "campaign 120, daily_budget 100.00 EUR to 9000.00 EUR",
            OWNER
        ]
    );
    court.is_let_decide(user, "one", &approve(user));
    let selected = approver.run(&["get", "mcpa", "-n", &court.name, "-o", "name", "--field-selector=spec.request.account=act_1,spec.request.requestedBy.owner=owner@approvals.example"]);
    assert_eq!(selected.unwrap().trim(), "mcpapproval.tenantry.dev/one");
}

/// To the rules of a definition a field that is null is one that is not there.
#[test]
fn nothing_is_changed_by_way_of_null() {
    let court = Court::new("court-null");
    let mut unsaid = court.asked("one", &["finance"]);
    let requester = unsaid["spec"]["request"]["requestedBy"].as_object_mut();
    requester.unwrap().remove("issuedBy");
    unsaid["spec"]["request"]["delta"] = json!({"currency": "EUR", "daily": "8900.00"});
    unsaid["spec"]["request"]["settings"] =
        json!([{"name": "daily_budget", "after": "9000.00 EUR"}]);
    court.create(&unsaid);
    let decide =
        |user: &str| json!({"op": "add", "path": "/spec/decisions/-", "value": approve(user)});
    let request = |path: &str| format!("/spec/request/{path}");
    for patch in [
        json!([
            {"op": "remove", "path": request("requestedBy/agent")},
            {"op": "add", "path": request("requestedBy/issuedBy"), "value": null},
            decide(FINANCE),
        ]),
        json!([
            {"op": "remove", "path": request("delta/daily")},
            {"op": "add", "path": request("delta/lifetime"), "value": null},
        ]),
        json!([
            {"op": "remove", "path": request("settings/0/after")},
            {"op": "add", "path": request("settings/0/before"), "value": null},
        ]),
        json!([
            {"op": "remove", "path": request("delta")},
            {"op": "add", "path": request("object"), "value": null},
        ]),
        json!([{"op": "replace", "path": request("askedAt"), "value": "2026-06-01T00:00:00+00:00"}]),
    ] {
        let told = court.patch(FINANCE, "one", &patch);
        assert!(
            told.contains("the request is immutable") || told.contains("must be of type"),
            "{patch}: {told}"
        );
    }
    let own = json!({"by": FINANCE, "verdict": "Approve", "classes": ["finance"]});
    court.is_let_decide(FINANCE, "one", &own);
    let widened = json!([
        {"op": "remove", "path": "/spec/decisions/0/classes"},
        {"op": "add", "path": "/spec/decisions/0/comment", "value": null},
    ]);
    let told = court.patch(FINANCE, "one", &widened);
    assert!(
        told.contains("a decision stays as it was made") || told.contains("must be of type"),
        "{told}"
    );
}

#[test]
fn somebody_decides_for_as_many_classes_as_can_be_asked_for() {
    let court = Court::new("court-many");
    let classes = ["a", "b", "c", "d", "e", "f", "g", "finance"];
    court.ask("one", &classes);
    court.give("all-but-one", ADS, &deciding("approve", &classes[..7]));
    court.give("all", BOTH, &deciding("approve", &classes));
    let not_all = "may not decide for a, b, c, d, e, f, g, finance";
    court.is_refused(ADS, "one", not_all);
    court.is_let_decide(BOTH, "one", &approve(BOTH));
}

#[test]
fn a_program_that_may_do_everything_decides_nothing() {
    let court = Court::new("court-wildcard");
    court.ask("one", &["finance"]);
    let bot = "system:serviceaccount:court-wildcard:bot";
    let everything = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
    court.give("everything-there-is", bot, &everything);
    court.give("everything-there-is", &court.server(), &everything);
    for (user, told) in [
        (
            bot,
            "a ServiceAccount decides for classes that were given to it by their names",
        ),
        (
            court.server().as_str(),
            "a ServiceAccount decides for classes",
        ),
    ] {
        court.is_refused(user, "one", told);
    }
}

#[test]
fn nobody_makes_an_approval_go_or_stay_by_the_way() {
    let court = Court::new("court-metadata");
    court.ask("one", &["finance"]);
    for (path, value) in [
        ("/metadata/finalizers", json!(["somebody.example/keep"])),
        (
            "/metadata/ownerReferences",
            json!([{"apiVersion": "v1", "kind": "Secret", "name": "gone", "uid": "00000000-0000-0000-0000-000000000000"}]),
        ),
    ] {
        let patch = json!([{"op": "add", "path": path, "value": value}]);
        let told = court.patch(FINANCE, "one", &patch);
        assert!(
            told.contains("nobody adds owners and finalizers to an approval"),
            "{path}: {told}"
        );
    }
    // Labels are anybody's.
    let label = json!([{"op": "add", "path": "/metadata/labels", "value": {"team": "ads"}}]);
    assert_eq!(court.patch(FINANCE, "one", &label), "");
}
