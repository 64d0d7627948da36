//! One organisation: how it is, what protects it, what stops it, a new one.

use serde_json::{Value, json};
use tenantry_tests::kubectl::wait_for;

use super::{Ended, appoint, done, ended, program, refused, run, settle, until_let};
use crate::court::{BYSTANDER, Court, FINANCE};

#[test]
fn the_brake_is_pulled_by_whom_it_is_given_to() {
    let court = Court::new("court-tool-freeze");
    let approver = "brake@approvals.example";
    appoint(&court, approver, "tenantry-approver");
    let account = |account| ["freeze", "--connector", "meta", "--account", account];
    let nowhere = until_let(&court, approver, &account("act_1"));
    let told = "there is no McpTenant in the namespace `court-tool-freeze`: name the organisation's with -n";
    assert_eq!(nowhere, refused(told));
    settle(&court);
    let mistyped = run(&court, approver, &account("act_l"));
    let told = "the organisation in `court-tool-freeze` has no account `act_l` at meta, so this would stop nothing";
    assert_eq!(mistyped, refused(told));
    let frozen = run(&court, approver, &account("act_1"));
    let told = "meta-act-1: the account act_1 at meta of `court-tool-freeze` is frozen now\n";
    assert_eq!(
        (frozen.code, frozen.out.as_str()),
        (Some(0), told),
        "{frozen:?}"
    );
    let again = run(&court, approver, &account("act_1"));
    let told = "meta-act-1: the account act_1 at meta of `court-tool-freeze` is stopped already\n";
    assert_eq!(again, done(told));
    // A weaker one is in nobody's way.
    let more = [&account("act_1")[..], &["--access", "disabled"]].concat();
    let stricter = run(&court, approver, &more);
    let told =
        "meta-act-1-disabled: the account act_1 at meta of `court-tool-freeze` is disabled now\n";
    assert_eq!(
        (stricter.code, stricter.out.as_str()),
        (Some(0), told),
        "{stricter:?}"
    );
    let named = [
        &account("act_1")[..],
        &["--access", "disabled", "--name", "meta-act-1"],
    ]
    .concat();
    let weaker = run(&court, approver, &named);
    let told = "NOTHING WAS STOPPED: there is another freeze `meta-act-1` already, of something else or weaker; name this one with --name";
    assert_eq!(weaker, refused(told));
    // Who may pull it may not let it go.
    let kept = run(&court, approver, &["thaw", "meta-act-1"]);
    assert!(
        kept.code == Some(1) && kept.note.contains("is forbidden"),
        "{kept:?}"
    );
    let admin = "thaw@approvals.example";
    appoint(&court, admin, "tenantry-org-admin");
    let thawed = until_let(&court, admin, &["thaw", "meta-act-1"]);
    let told =
        "meta-act-1: the freeze of the account act_1 at meta of `court-tool-freeze` is lifted\n";
    assert_eq!((thawed.code, thawed.out.as_str()), (Some(0), told));
    assert_eq!(thawed.note, "still in force: meta-act-1-disabled\n");
    let gone = run(&court, admin, &["thaw", "meta-act-1"]);
    assert_eq!(gone.code, Some(1), "{gone:?}");
}

/// A key that nobody could read is good for nobody.
#[test]
fn an_organisation_says_how_it_is_as_far_as_one_may_read() {
    let court = Court::new("court-tool-status");
    settle(&court);
    let nothing = run(&court, BYSTANDER, &["status"]);
    let told = "error: you may not read the McpTenants of `court-tool-status`\n";
    assert_eq!((nothing.code, nothing.note.as_str()), (Some(2), told));
    // Rights may be a moment behind, and so may be what the API server stores.
    let until = |told: &str| {
        wait_for(told, || {
            let ended = run(&court, FINANCE, &["status"]);
            Ok((ended.code != Some(2) && ended.out.contains(told)).then_some(ended))
        })
        .unwrap()
    };
    appoint(&court, FINANCE, "tenantry-viewer");
    let narrow = until("Organisation");
    // Whether an operator has looked at it yet is none of this test's business.
    assert_eq!(
        (narrow.code, narrow.note.as_str()),
        (Some(1), ""),
        "{narrow:?}"
    );
    for line in [
        "Organisation  court-tool-status, no server says which access is in force\n",
        "Servers       you may not read them\n",
        "Waiting       nothing\n",
        "Activity      not known: you may not look into the pod `server-0`",
    ] {
        assert!(narrow.out.contains(line), "{narrow:?}");
    }
    court.ask("one", &["finance"]);
    appoint(&court, FINANCE, "tenantry-auditor");
    let whole = until("Waiting       one Pending: campaign 120, ").out;
    assert!(!whole.contains("you may not read"), "{whole}");
    let json = run(&court, FINANCE, &["status", "-o", "json"]).out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["approvals"][0]["metadata"]["name"], "one");
    assert!(json["replicas"].is_array(), "{json}");
}

#[test]
fn what_keeps_organisations_apart_is_looked_at_as_far_as_one_may() {
    let court = Court::new("court-tool-check");
    let line = |ended: &Ended, check: &str| {
        let lines = ended.out.lines().filter(|line| line.starts_with(check));
        let words: Vec<String> = lines
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect();
        words.join(" ")
    };
    let little = wait_for("the API server to answer", || {
        let ended = run(&court, BYSTANDER, &["check"]);
        Ok((ended.out.contains("admission policies")).then_some(ended))
    })
    .unwrap();
    assert_eq!(little.code, Some(2), "{little:?}");
    let told = "definitions unknown you may not list customresourcedefinitions";
    assert_eq!(line(&little, "definitions"), told);
    let told = "organisation unknown you may not list mcptenants in `court-tool-check`";
    assert_eq!(line(&little, "organisation"), told);

    let mut command = program();
    command.args([
        "check",
        "-n",
        &court.name,
        "--operator-namespace",
        &court.name,
    ]);
    let whole = ended(command.env("KUBECONFIG", court.plane.kubeconfig()));
    assert_eq!(
        (whole.code, whole.note.as_str()),
        (Some(1), ""),
        "{whole:?}"
    );
    assert_eq!(line(&whole, "definitions"), "definitions ok 6 are served");
    let policies = line(&whole, "admission policies");
    assert!(
        policies.ends_with("15 are there, whole, and bound to deny"),
        "{policies}"
    );
    let operator = line(&whole, "operator");
    assert!(
        operator.starts_with("operator FAILED there is none in `court-tool-check`"),
        "{operator}"
    );
}

#[test]
fn what_is_written_of_an_organisation_is_applied_by_who_onboards() {
    const ONBOARDER: &str = "onboarder@approvals.example";
    let plane = crate::plane::Plane::shared();
    let arguments = [
        "onboard",
        "tool-onboarded",
        "--account",
        "meta:act_90210:EUR:Europe/Berlin",
        "--access",
        "read-write",
        "--approvers",
        "marketing",
    ];
    let written = ended(program().args(arguments));
    assert_eq!(
        (written.code, written.note.as_str()),
        (Some(0), ""),
        "{written:?}"
    );
    let user = format!("--user={ONBOARDER}");
    let role = "--clusterrole=tenantry-onboarder";
    let binding = [
        "create",
        "clusterrolebinding",
        "tool-onboarder",
        role,
        &user,
    ];
    plane.kubectl().run(&binding).unwrap();
    let onboarder = plane.kubectl_as(ONBOARDER);
    // Rights that were just given may be a moment behind.
    let told = wait_for("the organisation to be applied", || {
        onboarder.apply(&written.out).map(Some)
    })
    .unwrap();
    for object in [
        "mcptenant.tenantry.dev/tool-onboarded",
        "rolebinding.rbac.authorization.k8s.io/approvers",
    ] {
        assert!(told.contains(object), "{told}");
    }
    let deleted = ["delete", "namespace", "tool-onboarded", "--wait=false"];
    plane.kubectl().run(&deleted).unwrap();
}

#[test]
fn a_report_has_what_one_may_read_and_no_secret() {
    let court = Court::new("court-tool-report");
    settle(&court);
    let admin = court.plane.kubectl();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "meta", "namespace": court.name},
        "stringData": {"access_token": "a-token-that-nobody-sees"},
    });
    admin.apply(&secret.to_string()).unwrap();
    court.ask("one", &["finance"]);
    let mut command = program();
    command.args(["report", "-n", &court.name]);
    let whole = ended(command.env("KUBECONFIG", court.plane.kubeconfig()));
    assert_eq!(
        (whole.code, whole.note.as_str()),
        (Some(0), ""),
        "{whole:?}"
    );
    for told in [
        "kind: McpTenant\n",
        "kind: McpApproval\n",
        "arguments: REDACTED\n",
        "check:\n",
    ] {
        assert!(whole.out.contains(told), "no `{told}` in {}", whole.out);
    }
    for kept in [
        "a-token-that-nobody-sees",
        "kind: Secret\n",
        "managedFields",
    ] {
        assert!(!whole.out.contains(kept), "`{kept}`");
    }
    let little = wait_for("the API server to answer", || {
        let ended = run(&court, BYSTANDER, &["report"]);
        Ok((ended.code == Some(0)).then_some(ended))
    })
    .unwrap();
    assert!(little.out.contains("kind: McpApproval\n"), "{}", little.out);
    assert!(little.out.contains("what: mcptenants\n"), "{}", little.out);
}

#[test]
fn who_may_not_look_into_the_pod_hears_what_it_takes() {
    const AUDITOR: &str = "auditor@approvals.example";
    let court = Court::new("court-tool-activity");
    let told = "you may not look into the pod `server-0` of `court-tool-activity`: that needs the verbs get and create on pods/portforward with that name, as the ClusterRole tenantry-auditor has them";
    assert_eq!(run(&court, BYSTANDER, &["activity"]), refused(told));
    appoint(&court, AUDITOR, "tenantry-auditor");
    let missing = "there is no pod `server-0` in the namespace `court-tool-activity`";
    let found = wait_for("the rights to be there", || {
        let found = run(&court, AUDITOR, &["activity", "--limits"]);
        Ok((!found.note.contains("may not")).then_some(found))
    });
    assert_eq!(found.unwrap(), refused(missing));
    // What would become of a call cannot be told, which is no word on the call.
    let question = ["explain", "meta_pause", "--key", "demo"];
    for (user, told) in [(BYSTANDER, told), (AUDITOR, missing)] {
        let untold = Ended {
            code: Some(2),
            ..refused(told)
        };
        assert_eq!(run(&court, user, &question), untold);
    }
    // Another pod is nobody's to look into.
    let other = run(&court, AUDITOR, &["activity", "--pod", "operator-0"]);
    assert!(
        other
            .note
            .contains("you may not look into the pod `operator-0`"),
        "{other:?}"
    );
    for mistaken in [
        &["activity", "--calls", "--limits"][..],
        &["activity", "--outcome", "done"],
        &["activity", "--limit", "0"],
        &["activity", "--calls", "--object", "1"],
        &["explain", "meta_pause"],
        &["explain", "meta_pause", "--key", "not a key"],
        &["explain", "meta_pause", "--key", "demo", "--arguments", "{"],
        &["explain", "get_change", "--key", "demo"],
    ] {
        assert_eq!(run(&court, AUDITOR, mistaken).code, Some(2), "{mistaken:?}");
    }
}
