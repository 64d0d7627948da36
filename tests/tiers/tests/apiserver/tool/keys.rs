//! The keys of AI clients.

use serde_json::{Value, json};
use tenantry_core::key::ApiKey;

use super::{appoint, done, ended, kubeconfig, program, refused, run, settle, until_let};
use crate::court::{BYSTANDER, Court};

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
