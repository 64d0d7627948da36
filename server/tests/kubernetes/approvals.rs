//! Questions before a real API server: asked once, heard when somebody says
//! something, told and taken away by that very object.

use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use tenantry_api::mcp_approval::{
    ApprovalRequest, ApprovalState, ApprovalVerdict, McpApprovalStatus,
};
use tenantry_cluster::command::run;
use tenantry_cluster::control_plane::ControlPlane as ApiServer;
use tenantry_server::control_plane::kubernetes::Kubernetes;
use tenantry_server::control_plane::{Approvals, AskError, ControlPlane, Question};
use tenantry_server::knowledge::Knowledge;

use crate::{api_server, apply, connect, contract, until};

const NAME: &str = "0123456789ab";

fn request() -> ApprovalRequest {
    serde_json::from_value(json!({
        "changeId": "0123456789abcdef0123456789abcdef",
        "tool": "meta_set_budget", "connector": "meta", "account": "act_1",
        "summary": "campaign 120, daily_budget 100.00 EUR to 9000.00 EUR",
        "settings": [], "arguments": "{}",
        "rules": [{"policy": "ads", "rule": "approvals[large]", "message": "over 5000.00 EUR"}],
        "policyDigest": format!("sha256:{}", "0".repeat(64)),
        "approverClasses": ["finance"], "approvers": 1,
        "requestedBy": {"owner": "ann@acme.example", "key": "demo"},
        "askedAt": "2026-06-01T00:00:00Z", "expiresAt": "2036-06-01T00:00:00Z",
    }))
    .unwrap()
}

fn plane(control_plane: &Kubernetes) -> &dyn Approvals {
    control_plane.approvals().unwrap()
}

fn kubectl(server: &ApiServer, arguments: &[&str]) -> String {
    run(server.kubectl().args(arguments)).unwrap()
}

fn object(server: &ApiServer) -> Value {
    let text = kubectl(server, &["get", "mcpapproval", NAME, "-o", "json"]);
    serde_json::from_str(&text).unwrap()
}

/// Somebody says yes.
fn decide(server: &ApiServer, by: &str) {
    let decision = json!({"by": by, "verdict": "Approve"});
    let patch = json!([{"op": "add", "path": "/spec/decisions", "value": [decision]}]);
    let patch = patch.to_string();
    kubectl(
        server,
        &["patch", "mcpapproval", NAME, "--type=json", "-p", &patch],
    );
}

fn pending() -> McpApprovalStatus {
    McpApprovalStatus {
        state: Some(ApprovalState::Pending),
        message: Some("people must agree".into()),
        changed_at: None,
    }
}

#[tokio::test]
async fn what_people_say_of_a_question_is_heard_and_it_is_asked_once() {
    let server = api_server();
    apply(&server, &contract("ReadWrite"));
    let control_plane = Arc::new(connect(&server).await);
    let knowledge = Arc::new(Knowledge::new());
    let following = tokio::spawn({
        let (control_plane, knowledge) = (Arc::clone(&control_plane), Arc::clone(&knowledge));
        async move { control_plane.follow(knowledge).await }
    });
    let plane = plane(&control_plane);
    assert_eq!(plane.look(NAME).await.unwrap(), None);
    let asked = plane.ask(NAME, &request()).await.unwrap();
    assert_eq!(asked.spec.request, request());
    let again = plane.ask(NAME, &request()).await.unwrap();
    assert_eq!(again.uid, asked.uid);
    let owner = object(&server)["metadata"]["ownerReferences"][0].clone();
    let uid = kubectl(
        &server,
        &["get", "mcpserver", "server", "-o=jsonpath={.metadata.uid}"],
    );
    assert_eq!(
        (&owner["kind"], &owner["uid"]),
        (&json!("McpServer"), &json!(uid))
    );

    plane.tell(&asked, &pending()).await.unwrap();
    assert_eq!(object(&server)["status"]["state"], "Pending");
    decide(&server, "bob@acme.example");
    let known = || knowledge.questions().borrow().clone().unwrap_or_default();
    let has_heard = || {
        let known = known();
        let question = known.get(NAME);
        question.is_some_and(|question| !question.spec.decisions.is_empty())
    };
    until("the decision", has_heard).await;
    let now = plane.look(NAME).await.unwrap().unwrap();
    let decision = &now.spec.decisions[0];
    assert_eq!(
        (decision.by.as_str(), decision.verdict),
        ("bob@acme.example", ApprovalVerdict::Approve)
    );
    assert_eq!(now.status.state, Some(ApprovalState::Pending));

    kubectl(&server, &["delete", "mcpapproval", NAME]);
    until("the deletion", || known().is_empty()).await;
    assert_eq!(plane.look(NAME).await.unwrap(), None);
    following.abort();
}

#[tokio::test]
async fn another_object_of_that_name_is_neither_told_nor_taken_away() {
    let server = api_server();
    let control_plane = connect(&server).await;
    let plane = plane(&control_plane);
    let first = plane.ask(NAME, &request()).await.unwrap();
    kubectl(&server, &["delete", "mcpapproval", NAME]);
    // What is gone is told nothing, and is as it was to be.
    plane.tell(&first, &pending()).await.unwrap();
    plane.clear(&first).await.unwrap();
    let second = plane.ask(NAME, &request()).await.unwrap();
    assert!(plane.tell(&first, &pending()).await.is_err());
    assert!(plane.clear(&first).await.is_err());
    let standing = |question: Option<Question>| question.unwrap().status;
    assert_eq!(
        standing(plane.look(NAME).await.unwrap()),
        McpApprovalStatus::default()
    );
    plane.clear(&second).await.unwrap();
    assert_eq!(plane.look(NAME).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_refused_for_good_is_told_from_what_may_be_tried_again() {
    let server = api_server();
    let control_plane = connect(&server).await;
    let plane = plane(&control_plane);
    let endless = ApprovalRequest {
        summary: "x".repeat(10_000),
        ..request()
    };
    let refused = plane.ask(NAME, &endless).await;
    assert!(matches!(refused, Err(AskError::Refused(_))), "{refused:?}");
    leave_room_for_none(&server);
    let full = plane.ask(NAME, &request()).await;
    assert!(matches!(full, Err(AskError::Full(_))), "{full:?}");
    // Without the right it is nobody's fault who asks.
    kubectl(&server, &["delete", "rolebinding", "tenantry-server"]);
    let taken_away = async {
        loop {
            match plane.ask(NAME, &request()).await {
                Err(AskError::Failed(_)) => return,
                Err(AskError::Full(_)) => tokio::task::yield_now().await,
                Err(refused @ AskError::Refused(_)) => panic!("{refused:?}"),
                Ok(question) => panic!("{question:?}"),
            }
        }
    };
    tokio::time::timeout(crate::PATIENCE, taken_away)
        .await
        .unwrap();
    drop(server);
    let failed = plane.ask(NAME, &request()).await;
    assert!(matches!(failed, Err(AskError::Failed(_))), "{failed:?}");
    assert!(plane.look(NAME).await.is_err());
}

/// A quota that is used up, as its controller would have counted it.
fn leave_room_for_none(server: &ApiServer) {
    const COUNT: &str = "count/mcpapprovals.tenantry.dev";
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "approvals", "namespace": "default"},
        "spec": {"hard": {COUNT: "0"}},
    });
    apply(server, &quota.to_string());
    let status = json!({"status": {"hard": {COUNT: "0"}, "used": {COUNT: "0"}}}).to_string();
    let mut patch: Command = server.kubectl();
    patch.args(["patch", "resourcequota", "approvals"]);
    patch.args(["--subresource=status", "--type=merge", "-p", &status]);
    run(&mut patch).unwrap();
}
