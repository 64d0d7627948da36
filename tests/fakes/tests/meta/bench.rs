//! A fake Meta, and somebody who talks to it.

use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tenantry_fakes::meta::{EffectKind, FakeMeta, SANDBOX_TOKEN};
use tokio::task::JoinHandle;

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
        answer(self.request(Method::GET, path)).await
    }

    /// A form, as Meta takes it.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        answer(self.request(Method::POST, path).form(form)).await
    }

    /// The codes of a refusal.
    pub async fn refused(&self, path: &str, form: &[(&str, &str)]) -> (i64, Option<i64>) {
        let (_, body) = self.post(path, form).await;
        codes(&body)
    }

    /// A request with the sandbox's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_of(SANDBOX_TOKEN, method, path)
    }

    pub fn request_of(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/v26.0/{path}", self.fake.url());
        self.client.request(method, url).bearer_auth(token)
    }

    /// A call of the control interface.
    pub async fn control(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/_oracle/{path}", self.fake.url());
        answer(self.client.request(method, url).json(body)).await
    }

    /// Sends a form in the background and waits for no answer.
    pub fn send(&self, path: &str, form: &[(&str, &str)]) -> JoinHandle<Option<u16>> {
        let request = self.request(Method::POST, path).form(form);
        tokio::spawn(async move {
            let response = request.send().await.ok()?;
            Some(response.status().as_u16())
        })
    }

    /// What was changed: kind, object, before and after.
    pub fn effects(&self) -> Vec<(EffectKind, String, Value, Value)> {
        let all = self.fake.effects().into_iter();
        all.map(|one| (one.kind, one.object, one.before, one.after))
            .collect()
    }

    /// A field of an object as it really is.
    pub fn field(&self, id: &str, field: &str) -> Value {
        self.fake.object(id).unwrap()[field].clone()
    }
}

/// Waits until something is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::task::yield_now().await;
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
    answer(client.request(method, url).bearer_auth(SANDBOX_TOKEN)).await
}

pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
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
