//! The lighter level, for real: it serves, it tells users apart, it goes without a trace.

use std::process::Command;
use std::thread;

use tenantry_cluster::command::{run, succeeds};
use tenantry_cluster::control_plane::ControlPlane;

#[test]
fn api_server_serves_and_leaves_nothing() {
    let plane = ControlPlane::start().unwrap();
    let folder = plane.kubeconfig().parent().unwrap().to_owned();
    run(plane
        .kubectl()
        .args(["create", "configmap", "note", "--from-literal=a=b"]))
    .unwrap();
    let read = run(plane
        .kubectl()
        .args(["get", "configmap", "note", "-o", "jsonpath={.data.a}"]))
    .unwrap();
    assert_eq!(read, "b");
    drop(plane);
    assert!(!folder.exists());
    assert!(!succeeds(Command::new("pgrep").arg("-f").arg(&folder)));
}

#[test]
fn other_users_have_no_rights() {
    let plane = ControlPlane::start().unwrap();
    let ann = plane.kubeconfig_for("ann@example.com", &["team"]).unwrap();
    let mut can_i = plane.kubectl();
    can_i
        .env("KUBECONFIG", ann)
        .args(["auth", "can-i", "list", "secrets"]);
    assert!(!succeeds(&mut can_i));
    assert!(succeeds(
        plane.kubectl().args(["auth", "can-i", "list", "secrets"])
    ));
}

#[test]
fn a_user_whom_many_ask_for_at_once_is_let_in_each_time() {
    let plane = ControlPlane::start().unwrap();
    let whoami = || {
        for _ in 0..20 {
            let ann = plane.kubeconfig_for("ann@example.com", &[]).unwrap();
            let mut whoami = plane.kubectl();
            whoami.env("KUBECONFIG", ann).args([
                "auth",
                "whoami",
                "-o",
                "jsonpath={.status.userInfo.username}",
            ]);
            assert_eq!(run(&mut whoami).unwrap(), "ann@example.com");
        }
    };
    thread::scope(|scope| {
        let askers: Vec<_> = (0..4).map(|_| scope.spawn(whoami)).collect();
        for asker in askers {
            asker.join().unwrap();
        }
    });
}

#[test]
fn controllers_finish_namespaces() {
    let plane = ControlPlane::start_with_controllers().unwrap();
    run(plane.kubectl().args(["create", "namespace", "short-lived"])).unwrap();
    run(plane
        .kubectl()
        .args(["delete", "namespace", "short-lived", "--timeout=60s"]))
    .unwrap();
}
