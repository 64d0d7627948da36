//! People at their terminals: the hand tool on the real API server, each with
//! their own rights.

#[path = "tool/approvals.rs"]
mod approvals;
#[path = "tool/keys.rs"]
mod keys;
#[path = "tool/organization.rs"]
mod organization;
#[path = "tool/proxy.rs"]
mod proxy;

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tenantry_tests::kubectl::wait_for;

use crate::court::{Court, FINANCE};

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
