//! Who reads everything: what they are told of calls, changes, limits and of what
//! would become of a call.

use anyhow::ensure;
use serde_json::json;
use tenantry_tests::evidence::show;
use tenantry_tests::kubectl::wait_for;
use tenantry_tests::tool;

use super::{Court, Person};

/// What was called and changed is told to who reads everything, by a port-forward
/// of their own right, and not to who may only decide.
pub fn is_shown(court: &Court<'_>, approver: &Person<'_>) {
    let carol = court.person("carol", false).unwrap();
    let user = format!("--user={}", carol.user);
    let role = "--clusterrole=tenantry-auditor";
    let bind = ["create", "rolebinding", "auditor", role, &user];
    let place = ["-n", court.name()];
    court.kubectl.run(&[&bind[..], &place].concat()).unwrap();
    let changes = wait_for("the auditor to be let look", || {
        let (is_let, told) = carol.tool(&["activity"])?;
        let is_early = told.contains("you may not look") || told.contains("cannot list");
        ensure!(is_let || is_early, "{told}");
        Ok(is_let.then_some(told))
    });
    let changes = changes.unwrap();
    show(&format!("$ kubectl mcp activity\n{changes}"));
    assert!(
        changes.contains("to 55.00 EUR") && changes.contains("to 175.00 EUR"),
        "{changes}"
    );
    let (is_let, calls) = carol
        .tool(&["activity", "--calls", "--outcome", "refused"])
        .unwrap();
    show(&format!(
        "$ kubectl mcp activity --calls --outcome refused\n{calls}"
    ));
    assert!(
        is_let && calls.contains("refused (PolicyDenied)"),
        "{calls}"
    );
    let (is_let, limits) = carol.tool(&["activity", "--limits"]).unwrap();
    assert!(
        is_let && limits.contains("budget.perChange.maxIncreasePercent"),
        "{limits}"
    );
    // Without its policy nothing of that would have been let through.
    let plan = tool::run(
        Some(&carol.kubeconfig),
        court.name(),
        &["plan", "--without", "ads-budget"],
    );
    let plan = plan.unwrap();
    show(&format!(
        "$ kubectl mcp plan --without ads-budget\n{}",
        plan.told
    ));
    assert_eq!(plan.code, Some(1), "{plan:?}");
    assert!(
        plan.told.contains("2 would have been decided otherwise"),
        "{plan:?}"
    );
    explains(court, &carol);
    let (is_let, told) = approver.tool(&["activity"]).unwrap();
    assert!(
        !is_let && told.contains("you may not look into the pod `server-0`"),
        "{told}"
    );
}

/// What would become of a call of the agent is told before anybody makes it, and
/// nothing comes of that.
fn explains(court: &Court<'_>, auditor: &Person<'_>) {
    let object = json!({"campaign_id": court.campaign(6)});
    for (tool, amount, code, told) in [
        ("meta_set_budget", "176.00", 0, "permitted"),
        ("meta_set_budget", "175.00", 0, "unchanged"),
        (
            "meta_set_budget",
            "190.00",
            1,
            "needs approval: 1 of marketing",
        ),
        ("meta_set_budget", "9999.00", 1, "denied by ads-budget/"),
        ("meta_pause", "", 1, "refused at authorize (ScopeMissing)"),
    ] {
        let mut arguments = object.clone();
        if !amount.is_empty() {
            arguments["daily_budget"] = json!({"amount": amount, "currency": "EUR"});
        }
        let arguments = arguments.to_string();
        let words = ["explain", tool, "--key", "demo", "--arguments", &arguments];
        let ended = tool::run(Some(&auditor.kubeconfig), court.name(), &words).unwrap();
        show(&format!(
            "$ kubectl mcp {}\n{}",
            words.join(" "),
            ended.told
        ));
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.told.starts_with(told), "{ended:?}");
    }
    for cents in ["17600", "19000", "999900"] {
        assert_eq!(court.made(&object, cents).unwrap(), 0);
    }
}
