//! `up` and `down`, for real: they end what was begun, and leave nothing. For root; takes away a
//! cluster that is up.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tenantry_cluster::cluster::{self, Status};
use tenantry_cluster::command::{as_from_a_shell, run};
use tenantry_cluster::network::Place;
use tenantry_cluster::tools::Toolbox;
use tenantry_cluster::{site, wait};

fn xtask(command: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--package", "xtask", "--", command]);
    as_from_a_shell(&mut cargo);
    cargo
}

/// The program itself, beside this test's folder: Cargo in between would not pass a kill on.
fn built_xtask() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().with_file_name("xtask")
}

fn assert_nothing_is_left() {
    assert_eq!(cluster::leftovers().unwrap(), Vec::<String>::new());
    assert_eq!(cluster::status(), Status::Absent);
}

/// One test, as there is one cluster.
#[test]
fn down_leaves_nothing_wherever_up_stopped() {
    run(&mut xtask("down")).unwrap();
    assert_nothing_is_left();

    for stage in ["pki/ca.crt", "events", "images"] {
        let mut up = Command::new(built_xtask());
        let mut up = up.arg("up").stderr(Stdio::null()).spawn().unwrap();
        let reached = || site::path(stage).exists().then_some(());
        assert!(
            wait::until(Duration::from_mins(3), reached).is_some(),
            "{stage}"
        );
        up.kill().unwrap();
        up.wait().unwrap();
        assert_eq!(cluster::status(), Status::Broken, "{stage}");
        run(&mut xtask("down")).unwrap();
        assert_nothing_is_left();
    }

    run(&mut xtask("up")).unwrap();
    assert_eq!(cluster::status(), Status::Running);
    assert!(!Place::Node.processes().unwrap().is_empty());
    run(&mut xtask("up")).unwrap();
    // The log agent is nobody's child: it goes with the node as well.
    let toolbox = Toolbox::open().unwrap();
    let delivered = cluster::start_log_agent(&toolbox).unwrap();
    assert_eq!(cluster::start_log_agent(&toolbox).unwrap(), delivered);
    let is_agent = |left: &String| left.contains("otelcol");
    assert!(cluster::leftovers().unwrap().iter().any(is_agent));
    run(&mut xtask("down")).unwrap();
    assert_nothing_is_left();
}
