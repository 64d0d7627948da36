//! A fake Meta, and somebody who talks to it.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tenantry_fakes::meta::{FakeMeta, SANDBOX_TOKEN};

/// A fake with one client.
pub struct Bench {
    pub fake: FakeMeta,
    client: Client,
}

impl Bench {
    pub async fn start() -> Self {
        let (fake, client) = start().await;
        Self { fake, client }
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}/v26.0/{path}", self.fake.url());
        ask(&self.client, Method::GET, url).await
    }
}

pub async fn start() -> (FakeMeta, Client) {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .build()
        .unwrap();
    (FakeMeta::start().await.unwrap(), client)
}

pub async fn ask(client: &Client, method: Method, url: String) -> (u16, Value) {
    answer(client.request(method, url)).await
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.bearer_auth(SANDBOX_TOKEN).send().await.unwrap();
    (
        response.status().as_u16(),
        response.json().await.unwrap_or_default(),
    )
}

/// The code and the subcode of an error.
pub fn codes(body: &Value) -> (i64, Option<i64>) {
    let error = &body["error"];
    (
        error["code"].as_i64().unwrap_or_default(),
        error["error_subcode"].as_i64(),
    )
}
