//! The probe tells open from refused from silent.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::net::TcpListener;
use std::process::Command;

fn probe(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_probe"))
        .args(arguments)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn a_listener_is_open_and_a_closed_port_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    assert_eq!(probe(&["tcp", &target]), (Some(0), "open\n".into()));
    drop(listener);
    assert_eq!(probe(&["tcp", &target]), (Some(1), "refused\n".into()));
}

#[test]
fn a_listener_that_says_nothing_is_a_timeout_for_http() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    assert_eq!(
        probe(&["http", &target, "--timeout-ms", "50"]),
        (Some(2), "timeout\n".into())
    );
}

#[test]
fn a_scan_tells_its_targets_apart() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = open.local_addr().unwrap().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    let (code, printed) = probe(&["scan", "--control", &open, &open, &closed]);
    assert_eq!(code, Some(0));
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [format!("open {open}"), format!("refused {closed}")]);
}

#[test]
fn a_scan_whose_control_is_shut_proves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    let scan = ["scan", "--control", &closed, "--timeout-ms", "10", &closed];
    let (code, printed) = probe(&scan);
    assert_eq!((code, printed), (Some(1), format!("refused {closed}\n")));
}

#[tokio::test]
async fn an_http_answer_shows_its_status_line() {
    let fake = tenantry_fakes::meta::FakeMeta::start().await.unwrap();
    let target = fake.url().replace("http://", "");
    let asked = tokio::task::spawn_blocking(move || {
        probe(&["http", &target, "--path", "/_oracle/healthz"])
    });
    assert_eq!(
        asked.await.unwrap(),
        (Some(0), "open\nHTTP/1.1 200 OK\n".into())
    );
}
