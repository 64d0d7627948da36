//! People at their terminals: the hand tool on the real API server, each with
//! their own rights.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tenantry_core::key::ApiKey;
use tenantry_tests::kubectl::wait_for;

use crate::court::{BOTH, BYSTANDER, Court, FINANCE, OWNER};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

/// How it ended: the exit code, what is for programs, and what is for people.
#[derive(Debug, PartialEq)]
struct Ended {
    code: Option<i32>,
    out: String,
    note: String,
}

fn program() -> Command {
    directly(Command::new(PROGRAM))
}

/// By no proxy of this machine.
fn directly(mut command: Command) -> Command {
    command.env_remove("HTTPS_PROXY").env_remove("https_proxy");
    command
}

/// What `user` hears who runs it in the court's namespace.
fn run(court: &Court, user: &str, arguments: &[&str]) -> Ended {
    let mut command = program();
    command.args(arguments).args(["-n", &court.name]);
    ended(command.env("KUBECONFIG", kubeconfig(court, user)))
}

fn kubeconfig(court: &Court, user: &str) -> PathBuf {
    court.plane.kubeconfig_for(user).unwrap()
}

fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code(),
        out: text(output.stdout),
        note: text(output.stderr),
    }
}

fn done(out: &str) -> Ended {
    Ended {
        code: Some(0),
        out: out.into(),
        note: String::new(),
    }
}

fn refused(told: &str) -> Ended {
    Ended {
        code: Some(1),
        out: String::new(),
        note: format!("error: {told}\n"),
    }
}

/// Somebody with a role of the chart.
fn appoint(court: &Court, user: &str, role: &str) {
    let binding = format!("{role}-{}", user.replace(['@', ':'], "."));
    let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
    let words = [
        "create",
        "rolebinding",
        &binding,
        &role,
        &user,
        "-n",
        &court.name,
    ];
    court.plane.kubectl().run(&words).unwrap();
}

/// An organisation in the court's namespace.
fn settle(court: &Court) {
    let account = json!({"id": "act_1", "currency": "EUR", "timeZone": "Europe/Berlin"});
    let tenant = json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpTenant",
        "metadata": {"name": court.name, "namespace": court.name},
        "spec": {
            "organization": court.name,
            "connectors": [{
                "name": "meta", "credentials": {"secretName": "meta"}, "accounts": [account],
            }],
        },
    });
    court.plane.kubectl().apply(&tenant.to_string()).unwrap();
}

/// The same once the rights that were just given are there, and the API server
/// keeps what it serves.
fn until_let(court: &Court, user: &str, arguments: &[&str]) -> Ended {
    wait_for("the rights to be there", || {
        let told = run(court, user, arguments);
        let is_early = ["cannot", "initializing"]
            .iter()
            .any(|early| told.note.contains(early));
        Ok((!is_early).then_some(told))
    })
    .unwrap()
}

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
fn keys_are_made_shown_once_replaced_and_revoked() {
    let court = Court::new("court-tool-keys");
    let admin = "keys@approvals.example";
    appoint(&court, admin, "tenantry-org-admin");
    let none = until_let(&court, admin, &["key", "list"]);
    let told = "there are no keys in the namespace `court-tool-keys`\n";
    assert_eq!((none.code, none.note.as_str()), (Some(0), told));
    let words = [
        "key",
        "create",
        "demo",
        "--scope",
        "meta:read",
        "--agent",
        "planner",
    ];
    let nowhere = run(&court, admin, &words);
    let told =
        "there is no McpTenant in the namespace `court-tool-keys`: name the organisation's with -n";
    assert_eq!(nowhere, refused(told));
    settle(&court);
    let made = run(&court, admin, &words);
    assert_eq!(made.code, Some(0), "{made:?}");
    let first = ApiKey::parse(made.out.trim_end()).unwrap();
    let key = |name: &str| {
        let object = format!("mcpapikey/{name}");
        let words = ["-n", &court.name, &object];
        court.plane.kubectl().get(&words).unwrap()["spec"].clone()
    };
    assert_eq!(
        key("demo"),
        json!({
            "owner": admin, "issuedBy": admin, "agent": "planner", "scopes": ["meta:read"],
            "digest": first.digest().to_string(), "disabled": false,
        })
    );
    let again = run(&court, admin, &words);
    assert_eq!(
        again,
        refused("there is a key `demo` already; choose another name (of a rotation, --new-name)")
    );
    let rotated = run(&court, admin, &["key", "rotate", "demo", "--revoke"]);
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    let second = ApiKey::parse(rotated.out.trim_end()).unwrap();
    assert_eq!(key("demo-2")["digest"], second.digest().to_string());
    assert_eq!(key("demo-2")["agent"], "planner");
    assert_eq!(key("demo")["disabled"], true);
    let gone = run(&court, admin, &["key", "rotate", "demo"]);
    let told = "`demo` is revoked: make another key with `tenantry key create -n court-tool-keys`";
    assert_eq!(gone, refused(told));
    let revoked = run(&court, admin, &["key", "revoke", "demo-2"]);
    assert_eq!(
        revoked,
        done("demo-2: revoked; servers refuse it within seconds\n")
    );
    let listed = format!(
        "NAME    OWNER                   AGENT    SCOPES     ACCOUNTS  STATE\n\
         demo    {admin}  planner  meta:read  all       revoked\n\
         demo-2  {admin}  planner  meta:read  all       revoked\n"
    );
    assert_eq!(run(&court, admin, &["key", "list"]), done(&listed));
    let missing = run(&court, admin, &["key", "revoke", "none"]);
    let told = "there is no key `none` in the namespace `court-tool-keys`; `tenantry key list -n court-tool-keys` lists them";
    assert_eq!(missing, refused(told));
}

/// For Git: nothing is created, and the key is not in the file.
#[test]
fn a_key_for_git_is_a_file_without_the_key() {
    let court = Court::new("court-tool-git");
    let admin = "git@approvals.example";
    appoint(&court, admin, "tenantry-org-admin");
    until_let(&court, admin, &["key", "list"]);
    let words = [
        "key",
        "create",
        "git",
        "--scope",
        "*:read",
        "--expires",
        "90d",
        "--yaml",
    ];
    let printed = run(&court, admin, &words);
    let (_, secret) = printed.note.trim_end().rsplit_once(' ').unwrap();
    let third = ApiKey::parse(secret).unwrap();
    assert!(!printed.out.contains(secret) && !printed.out.contains("issuedBy"));
    let form: Value = serde_saphyr::from_str(&printed.out).unwrap();
    assert_eq!(form["spec"]["digest"], third.digest().to_string());
    assert_eq!(form["metadata"]["namespace"], court.name);
    assert!(key_is_new(&court, "git"));
    court.plane.kubectl().apply(&printed.out).unwrap();
    let nobody = run(&court, BYSTANDER, &["key", "list"]);
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.note.contains("is forbidden"), "{nobody:?}");
}

fn key_is_new(court: &Court, name: &str) -> bool {
    let object = format!("mcpapikey/{name}");
    court
        .plane
        .kubectl()
        .get(&["-n", &court.name, &object])
        .is_err()
}

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
fn a_key_that_cannot_be_printed_is_revoked() {
    let court = Court::new("court-tool-full");
    let admin = "full@approvals.example";
    appoint(&court, admin, "tenantry-org-admin");
    settle(&court);
    until_let(&court, admin, &["key", "list"]);
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = program();
    command.args([
        "key",
        "create",
        "lost",
        "--scope",
        "meta:read",
        "-n",
        &court.name,
    ]);
    command
        .env("KUBECONFIG", kubeconfig(&court, admin))
        .stdout(full);
    let lost = ended(&mut command);
    assert_eq!(lost.code, Some(1), "{lost:?}");
    assert!(lost.note.ends_with("so `lost` was revoked\n"), "{lost:?}");
    let words = ["-n", &court.name, "mcpapikey/lost"];
    let key = court.plane.kubectl().get(&words).unwrap();
    assert_eq!(key["spec"]["disabled"], true);
}

#[test]
fn it_is_a_plugin_of_kubectl_and_says_when_there_is_no_cluster() {
    let court = Court::new("court-tool-plugin");
    court.ask("one", &["finance"]);
    let folder = tempfile::tempdir().unwrap();
    symlink(PROGRAM, folder.path().join("kubectl-mcp")).unwrap();
    let listed = wait_for("the rights to be there", || {
        let mut kubectl = directly(court.as_user(FINANCE).command());
        kubectl.args(["mcp", "approvals", "-n", &court.name]);
        let listed = ended(kubectl.env("PATH", folder.path()));
        Ok((listed.code == Some(0)).then_some(listed))
    });
    assert!(listed.unwrap().out.contains("one   campaign 120"));
    let nowhere = |words: &[&str]| {
        let mut command = program();
        ended(
            command
                .args(["approvals"])
                .args(words)
                .env("HOME", folder.path())
                .env_remove("KUBECONFIG"),
        )
    };
    let missing = nowhere(&["--kubeconfig", "/nowhere"]);
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.note.starts_with("error: the kubeconfig: "),
        "{missing:?}"
    );
    let config = kubeconfig(&court, FINANCE);
    let config = config.to_str().unwrap();
    let mut proxied = program();
    proxied.args(["approvals", "--kubeconfig", config]);
    let proxied = ended(proxied.env("HTTPS_PROXY", "http://me:secret@127.0.0.1:1"));
    assert_eq!(proxied.code, Some(2));
    assert!(
        proxied.note.contains("by a proxy") && !proxied.note.contains("secret"),
        "{proxied:?}"
    );
    let unknown = nowhere(&["--kubeconfig", config, "--context", "nobody"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.note.contains("nobody"), "{unknown:?}");
    let text = std::fs::read_to_string(config).unwrap();
    let mut nobody: Value = serde_json::from_str(&text).unwrap();
    nobody["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    let dead = folder.path().join("dead");
    std::fs::write(&dead, nobody.to_string()).unwrap();
    let dead = nowhere(&["--kubeconfig", dead.to_str().unwrap()]);
    assert_eq!(dead.code, Some(2));
    assert!(dead.note.starts_with("error: the cluster: "), "{dead:?}");
}

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
