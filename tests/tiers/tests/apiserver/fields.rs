//! Every field of the custom resources on the real API server: what it accepts,
//! and the words in which it refuses.

use kube::Client;
use serde_json::{Value, json};

use crate::plane::Plane;
use crate::table::{Case, cases};

const APPROVAL: &str = "McpApproval";
const SERVER: &str = "system:serviceaccount:default:tenantry-server";

/// Kept by nobody, and as strict as kubectl has it.
const DRY: &str = "dryRun=All&fieldValidation=Strict";

#[test]
fn the_api_server_accepts_and_refuses_what_the_table_says() {
    let plane = Plane::shared();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let wrong = runtime.block_on(async {
        let client = plane.client().await;
        let is_approval = |case: &Case| case.kind == APPROVAL && case.says.is_none();
        let mut asked = cases().into_iter().find(is_approval).unwrap().document;
        unsaid(&mut asked);
        let created = post(&client, APPROVAL, &asked, SERVER, "fieldManager=server").await;
        assert_eq!(created, None);
        let mut wrong = vec![];
        for case in cases() {
            let told = if case.kind == APPROVAL {
                approval_refusal(&client, case.clone()).await
            } else {
                refusal(&client, &case).await
            };
            let is_right = match (&case.says, &told) {
                (None, None) => true,
                (Some(says), Some(told)) => told.contains(says),
                _ => false,
            };
            if !is_right {
                wrong.push(format!("{}: {told:?}, not {:?}", case.name(), case.says));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let (accepted, refused): (Vec<_>, Vec<_>) =
        cases().into_iter().partition(|case| case.says.is_none());
    println!(
        "{} documents accepted and {} refused, as the table says",
        accepted.len(),
        refused.len()
    );
}

/// What the API server says to the document.
async fn refusal(client: &Client, case: &Case) -> Option<String> {
    // A key is created by whoever it says issued it, or by another policy's
    // word not at all; an administrator may be anybody.
    let issuer = case.document["spec"]["issuedBy"].as_str();
    let issuer = issuer.filter(|name| !name.is_empty()).unwrap_or("admin");
    post(client, &case.kind, &case.document, issuer, DRY).await
}

/// What an approval is refused for: its server creates it, and then people say
/// something of it.
async fn approval_refusal(client: &Client, mut case: Case) -> Option<String> {
    let mut said = case.document["spec"].clone();
    let field = case.field.split('/').next().unwrap();
    if field == "request" {
        unsaid(&mut case.document);
        case.document["metadata"]["name"] = json!("another");
        return post(client, APPROVAL, &case.document, SERVER, DRY).await;
    }
    said.as_object_mut()
        .unwrap()
        .retain(|name, _| name == field);
    let by = match field {
        "withdrawn" => &case.document["spec"]["request"]["requestedBy"]["owner"],
        _ => &said["decisions"][0]["by"],
    };
    let by = by
        .as_str()
        .filter(|name| !name.is_empty())
        .unwrap_or("admin");
    let name = case.document["metadata"]["name"].as_str().unwrap();
    let uri = format!("{}/{name}?{DRY}", uri(APPROVAL));
    let request = http::Request::patch(uri).header("content-type", "application/merge-patch+json");
    send(client, request, by, &json!({ "spec": said })).await
}

/// Without what people say of it.
fn unsaid(approval: &mut Value) {
    let spec = approval["spec"].as_object_mut().unwrap();
    spec.retain(|name, _| name == "request");
}

fn uri(kind: &str) -> String {
    let plural = match kind {
        "SafetyPolicy" => "safetypolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    format!("/apis/tenantry.dev/v1alpha1/namespaces/default/{plural}")
}

async fn post(
    client: &Client,
    kind: &str,
    document: &Value,
    user: &str,
    query: &str,
) -> Option<String> {
    let request = http::Request::post(format!("{}?{query}", uri(kind)));
    let request = request.header("content-type", "application/json");
    send(client, request, user, document).await
}

async fn send(
    client: &Client,
    request: http::request::Builder,
    user: &str,
    body: &Value,
) -> Option<String> {
    let request = request
        .header("impersonate-user", user)
        .header("impersonate-group", "system:masters")
        .body(body.to_string().into_bytes())
        .unwrap();
    match client.request::<Value>(request).await {
        Ok(_) => None,
        // Anything else reads as no refusal that the table knows.
        Err(kube::Error::Api(status)) => Some(status.message.clone()),
        Err(error) => Some(format!("no answer: {error}")),
    }
}
