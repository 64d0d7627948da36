//! Calls that carry secrets where none belong, and what they are answered.

use anyhow::Result;
use reqwest::RequestBuilder;
use serde_json::json;
use tenantry_tests::canary::Canary;
use tenantry_tests::raw::RawCall;
use tenantry_tests::secrets::RunSecrets;

/// Places of a request where people put secrets by mistake.
const PLACES: [&str; 7] = [
    "query string",
    "path",
    "cookie",
    "strange header",
    "basic authorization",
    "argument",
    "body that is no JSON",
];

/// What stands in those places.
pub fn misplaced(secrets: &RunSecrets) -> Vec<Canary> {
    let at = |place: &&str| Canary::new(&format!("in {place}"), secrets.misplaced(place));
    PLACES.iter().map(at).collect()
}

/// Makes the calls; all that came back, heads and bodies.
pub fn make(url: &str, account: &str, secrets: &RunSecrets) -> Result<Vec<u8>> {
    let key = secrets.key()?.reveal();
    let body = |arguments| RawCall::tool(url, &key, "meta_list_campaigns", &arguments).body;
    let good = body(json!({"account": account}));
    let client = RawCall::client()?;
    let post = |url: &str, body: &[u8]| {
        client
            .post(url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .body(body.to_vec())
    };
    let with_key = |url: &str, body: &[u8]| post(url, body).bearer_auth(&key);
    let [query, path, cookie, header, basic, argument, text] =
        PLACES.map(|place| secrets.misplaced(place));
    let wrong = secrets.wrong_key()?.reveal();
    let calls = vec![
        with_key(url, &good),
        // What the vendor refuses, and what is not the organisation's.
        with_key(url, &body(json!({"account": "act_2001"}))),
        // Keys: unknown, cut short, twice, and of the wrong scheme.
        post(url, &good).bearer_auth(&wrong),
        post(url, &good).bearer_auth(&key[..key.len() - 1]),
        with_key(url, &good).bearer_auth(&wrong),
        post(url, &good).basic_auth("demo", Some(&basic)),
        post(url, &good).header("authorization", format!("Token {key}")),
        // Secrets in other places.
        with_key(&format!("{url}?access_token={query}"), &good),
        with_key(&format!("{url}/{path}"), &good),
        with_key(url, &good).header("cookie", format!("session={cookie}")),
        with_key(url, &good).header("x-api-key", &header),
        with_key(url, &body(json!({"account": argument}))),
        with_key(
            url,
            &body(json!({"account": account, "access_token": argument})),
        ),
        with_key(url, text.as_bytes()),
        with_key(url, format!("{{\"jsonrpc\": \"{text}").as_bytes()),
    ];
    run(calls)
}

/// What stands at an address.
pub fn get(url: &str) -> Result<Vec<u8>> {
    run(vec![RawCall::client()?.get(url)])
}

fn run(calls: Vec<RequestBuilder>) -> Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut said = Vec::new();
        for call in calls {
            let answer = call.send().await?;
            said.extend(format!("{:?} {:?}\n", answer.status(), answer.headers()).into_bytes());
            said.extend(answer.bytes().await?);
        }
        Ok(said)
    })
}
