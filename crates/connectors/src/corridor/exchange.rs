//! One request and its answer, and the repetition of reads. The token is put
//! on here, in one header, and nowhere else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::BackoffBuilder;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, redirect, retry};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::limits::{CorridorLimits, pause_before_retry};
use crate::call_error::CallError;
use crate::plan::ApiPlan;
use crate::quota::{self, QuotaObservation};
use crate::token::{TokenError, TokenSource};
use crate::verdict::{self, Reply};

/// Scopes in quota headers are the vendor's to choose; more are not kept.
const MOST_QUOTAS: usize = 256;

type QuotaKey = (String, Option<String>);

/// The client of one corridor.
pub(super) struct Exchange {
    base_url: Url,
    client: Client,
    tokens: Arc<dyn TokenSource>,
    limits: CorridorLimits,
    quota: Mutex<BTreeMap<QuotaKey, QuotaObservation>>,
}

/// What one call has used and seen so far.
#[derive(Default)]
pub(super) struct Tally {
    pub requests: u32,
    pub version_served: Option<String>,
    pub quota: Vec<QuotaObservation>,
}

/// What goes out.
#[derive(Clone, Copy)]
enum Sent<'s> {
    Get(&'s Url),
    Form(&'s Url, &'s str),
}

impl Exchange {
    pub fn new(
        base_url: Url,
        tokens: Arc<dyn TokenSource>,
        limits: CorridorLimits,
    ) -> Result<Self, reqwest::Error> {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        let roots: Result<Vec<Certificate>, _> =
            roots.map(|root| Certificate::from_der(root)).collect();
        let client = Client::builder()
            .tls_certs_only(roots?)
            .https_only(base_url.scheme() == "https")
            .redirect(redirect::Policy::none())
            .referer(false)
            // The environment must not be able to lead vendor traffic elsewhere.
            .no_proxy()
            // Repetition is decided here, where a read is known to be one.
            .retry(retry::never())
            .connect_timeout(Duration::from_millis(limits.connect_ms))
            .timeout(Duration::from_millis(limits.request_ms))
            .user_agent(concat!("tenantry/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            base_url,
            client,
            tokens,
            limits,
            quota: Mutex::default(),
        })
    }

    /// The address of a path at the vendor.
    pub fn url<'s>(&self, segments: impl Iterator<Item = &'s str>) -> Url {
        let mut url = self.base_url.clone();
        // INVARIANT: base URLs have a host, and such URLs have path segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(segments);
        }
        url
    }

    pub fn limits(&self) -> CorridorLimits {
        self.limits
    }

    pub fn quota(&self) -> Vec<QuotaObservation> {
        self.quota
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Asks until there is a good answer, an error that will stay, or no time or attempt left.
    pub async fn ask(
        &self,
        api: &ApiPlan,
        url: &Url,
        deadline: Instant,
        tally: &mut Tally,
    ) -> Result<Value, CallError> {
        let mut pauses = self.limits.pauses().build();
        loop {
            let error = match self.once(api, Sent::Get(url), tally).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            let time_left = deadline.saturating_duration_since(Instant::now());
            let Some(pause) = pause_before_retry(&error, pauses.next(), time_left) else {
                return Err(error);
            };
            tracing::debug!(
                path = url.path(),
                pause_ms = pause.as_millis(),
                "trying again: {error}"
            );
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks for something to be begun; never twice.
    pub async fn begin(
        &self,
        api: &ApiPlan,
        url: &Url,
        form: &str,
        tally: &mut Tally,
    ) -> Result<Value, CallError> {
        self.once(api, Sent::Form(url, form), tally).await
    }

    async fn once(
        &self,
        api: &ApiPlan,
        sent: Sent<'_>,
        tally: &mut Tally,
    ) -> Result<Value, CallError> {
        let token = self.tokens.token().map_err(CallError::Token)?;
        let bearer = bearer(&token)?;
        tally.requests += 1;
        let request = match sent {
            Sent::Get(url) => self.client.get(url.clone()),
            Sent::Form(url, form) => {
                let request = self.client.post(url.clone()).body(form.to_owned());
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            }
        };
        let request = request.header(AUTHORIZATION, bearer);
        let response = request.send().await.map_err(transport_error)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = self.body(response).await?;
        self.observe(api, &headers, tally);
        let wait_ms = quota::wait_ms(&tally.quota);
        let token = token.expose_secret();
        verdict::judge(
            api,
            &Reply {
                status,
                body: &body,
                wait_ms,
                token,
            },
        )
    }

    async fn body(&self, mut response: reqwest::Response) -> Result<Vec<u8>, CallError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
            if body.len() + chunk.len() > self.limits.body_bytes {
                let problem = format!("the body is longer than {} bytes", self.limits.body_bytes);
                return Err(CallError::Malformed { problem });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn observe(&self, api: &ApiPlan, headers: &HeaderMap, tally: &mut Tally) {
        let served = api
            .version_header
            .as_ref()
            .and_then(|name| headers.get(name)?.to_str().ok());
        // Once an answer came from another version, a later good one does not hide it.
        if tally
            .version_served
            .as_deref()
            .is_none_or(|before| before == api.version)
        {
            tally.version_served = served.map(str::to_owned).or(tally.version_served.take());
        }
        tally.quota = quota::observe(&api.quota, headers);
        let mut latest = self.quota.lock().unwrap_or_else(PoisonError::into_inner);
        for seen in &tally.quota {
            let key = (seen.bucket.clone(), seen.scope.clone());
            if latest.len() < MOST_QUOTAS || latest.contains_key(&key) {
                latest.insert(key, seen.clone());
            }
        }
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue, CallError> {
    let unusable = |problem: &str| {
        CallError::Token(TokenError::Unreadable {
            place: "the token source".into(),
            problem: problem.into(),
        })
    };
    let token = token.expose_secret();
    if token.is_empty() {
        return Err(unusable("it is empty"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable(
            "it holds blanks, line ends or other characters no token has",
        ));
    }
    let header = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut header = header.map_err(|_| unusable("it does not fit a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// The error without the URL, which would put arguments into logs.
fn transport_error(error: reqwest::Error) -> CallError {
    if error.is_timeout() {
        return CallError::TimedOut {
            waited_for: "the vendor's answer to one request",
        };
    }
    let error = error.without_url();
    let mut cause = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        cause = format!("{cause}: {deeper}");
        source = deeper.source();
    }
    CallError::Unavailable { cause }
}
