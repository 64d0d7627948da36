//! Every field of the custom resources on the real API server: what it accepts,
//! and the words in which it refuses.

use kube::Client;
use serde_json::Value;

use crate::plane::Plane;
use crate::table::{Case, cases};

#[test]
fn the_api_server_accepts_and_refuses_what_the_table_says() {
    let plane = Plane::shared();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let wrong = runtime.block_on(async {
        let client = plane.client().await;
        let mut wrong = vec![];
        for case in cases() {
            let told = refusal(&client, &case).await;
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

/// What the API server says to the document, without keeping it; as strict as
/// kubectl has it.
async fn refusal(client: &Client, case: &Case) -> Option<String> {
    let plural = match case.kind.as_str() {
        "SafetyPolicy" => "safetypolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let uri = format!(
        "/apis/tenantry.dev/v1alpha1/namespaces/default/{plural}?dryRun=All&fieldValidation=Strict"
    );
    // A key is created by whoever it says issued it, or by another policy's
    // word not at all; an administrator may be anybody.
    let issuer = case.document["spec"]["issuedBy"].as_str();
    let issuer = issuer.filter(|name| !name.is_empty()).unwrap_or("admin");
    let request = http::Request::post(uri)
        .header("content-type", "application/json")
        .header("impersonate-user", issuer)
        .header("impersonate-group", "system:masters")
        .body(case.document.to_string().into_bytes())
        .unwrap();
    match client.request::<Value>(request).await {
        Ok(_) => None,
        // Anything else reads as no refusal that the table knows.
        Err(kube::Error::Api(status)) => Some(status.message.clone()),
        Err(error) => Some(format!("no answer: {error}")),
    }
}
