//! One request and its answer, and the repetition of reads. The token is put
//! on here, in one header, and nowhere else.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use backon::BackoffBuilder;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use reqwest::{Method, Request};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tenantry_core::name::AccountId;
use tenantry_core::text;
use tokio::time::Instant;
use url::Url;

use super::limits::{CorridorLimits, pause_before_retry};
use super::quotas::Quotas;
use crate::call_error::{CallError, VendorText};
use crate::plan::{ApiPlan, Applied};
use crate::quota::{self, QuotaObservation};
use crate::token::{TokenError, TokenSource};
use crate::transport::{Received, Transport};
use crate::verdict::{self, Reply};

/// Of what a header says about the version.
const LONGEST_VERSION: usize = 32;
const LONGEST_WARNING: usize = 300;

/// Of what a vendor calls a request; Meta's names have some twenty characters.
const LONGEST_REQUEST_ID: usize = 64;

/// How a form is written.
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// The client of one corridor.
pub(super) struct Exchange {
    base_url: Url,
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn TokenSource>,
    limits: CorridorLimits,
    quotas: Quotas,
    /// What the vendor said when it last refused the token; none since it took it.
    refused: Mutex<Option<VendorText>>,
}

/// What one call has used and seen so far.
#[derive(Default)]
pub(super) struct Tally {
    pub requests: u32,
    pub version_served: Option<String>,
    pub version_warning: Option<String>,
    /// What the vendor calls the last request that it answered.
    pub request_ids: Vec<String>,
    pub quota: Vec<QuotaObservation>,
    /// The account that the call is about.
    pub account: Option<AccountId>,
    pub urgency: Urgency,
}

/// Whether a request can wait until there is room in a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Urgency {
    /// It can.
    #[default]
    Usual,
    /// It is made to switch something off: the vendor may refuse it, we do not.
    Stop,
}

/// Why a request has no good answer, and whether it took effect.
#[derive(Debug)]
pub(super) struct Failure {
    pub error: CallError,
    pub applied: Applied,
}

impl Failure {
    /// Of a request that never left.
    pub fn unsent(error: CallError) -> Self {
        Self {
            error,
            applied: Applied::No,
        }
    }

    /// Of a request that got no answer: it may have left, and so it may have
    /// arrived, unless there was nothing to leave by.
    fn unanswered(error: CallError) -> Self {
        let applied = match error {
            CallError::Unreached { .. } => Applied::No,
            _ => Applied::Unknown,
        };
        Self { error, applied }
    }
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
        transport: Arc<dyn Transport>,
        tokens: Arc<dyn TokenSource>,
        limits: CorridorLimits,
    ) -> Self {
        Self {
            base_url,
            transport,
            tokens,
            limits,
            quotas: Quotas::default(),
            refused: Mutex::default(),
        }
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
        self.quotas.all()
    }

    /// Why the vendor does not take the token, if it does not.
    pub fn refused(&self) -> Option<VendorText> {
        let refused = self.refused.lock();
        refused.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks about the token itself. It goes in the body, where no log of
    /// addresses finds it.
    pub async fn inspect(
        &self,
        api: &ApiPlan,
        url: &Url,
        parameter: &str,
    ) -> Result<Value, CallError> {
        let token = self.tokens.token().map_err(CallError::Token)?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("method", "get")
            .append_pair(parameter, token.expose_secret())
            .finish();
        let sent = Sent::Form(url, &form);
        let answer = self.once(api, sent, &mut Tally::default()).await;
        answer.map_err(|failure| failure.error)
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
                Err(failure) => failure.error,
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

    /// Asks for something to be begun or changed; never twice.
    pub async fn change(
        &self,
        api: &ApiPlan,
        url: &Url,
        form: &str,
        tally: &mut Tally,
    ) -> Result<Value, Failure> {
        self.once(api, Sent::Form(url, form), tally).await
    }

    async fn once(
        &self,
        api: &ApiPlan,
        sent: Sent<'_>,
        tally: &mut Tally,
    ) -> Result<Value, Failure> {
        let (token, request) = self.request(api, sent, tally).map_err(Failure::unsent)?;
        tally.requests += 1;
        let carried = self.transport.carry(request).await;
        let Received {
            status,
            headers,
            body,
        } = carried.map_err(Failure::unanswered)?;
        self.observe(api, &headers, tally);
        let judged = verdict::judge(
            api,
            &Reply {
                status,
                body: &body,
                wait_ms: quota::wait_ms(&tally.quota),
                token: token.expose_secret(),
            },
        );
        self.notice(&judged);
        judged.map_err(|(error, applied)| Failure { error, applied })
    }

    /// The request with the token in its header.
    fn request(
        &self,
        api: &ApiPlan,
        sent: Sent<'_>,
        tally: &Tally,
    ) -> Result<(SecretString, Request), CallError> {
        self.hold_back(tally)?;
        let token = self.tokens.token().map_err(CallError::Token)?;
        let bearer = bearer(&token)?;
        let proof = self.proof(api, &token)?;
        let mut request = match sent {
            Sent::Get(url) => {
                let mut url = url.clone();
                if let Some((parameter, proof)) = &proof {
                    url.query_pairs_mut().append_pair(parameter, proof);
                }
                Request::new(Method::GET, url)
            }
            Sent::Form(url, form) => {
                let mut form = form.to_owned();
                if let Some((parameter, proof)) = &proof {
                    form = format!("{form}&{parameter}={proof}");
                }
                let mut request = Request::new(Method::POST, url.clone());
                *request.body_mut() = Some(form.into());
                request.headers_mut().insert(CONTENT_TYPE, FORM);
                request
            }
        };
        request.headers_mut().insert(AUTHORIZATION, bearer);
        Ok((token, request))
    }

    /// Whether the vendor takes the token, as far as an answer tells.
    fn notice(&self, judged: &Result<Value, (CallError, Applied)>) {
        let refusal = match judged {
            Ok(_) => None,
            Err((CallError::Unauthorized { vendor }, _)) => Some(vendor.clone()),
            Err(_) => return,
        };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }

    fn hold_back(&self, tally: &Tally) -> Result<(), CallError> {
        if tally.urgency == Urgency::Stop {
            return Ok(());
        }
        match self.quotas.held(tally.account.as_ref(), Instant::now()) {
            None => Ok(()),
            Some(held) => Err(CallError::HeldBack {
                bucket: held.bucket,
                used_percent: held.used_percent,
                retry_after_ms: u64::try_from(held.wait.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    /// The parameter that proves the app's secret, where there is one.
    fn proof<'a>(
        &self,
        api: &'a ApiPlan,
        token: &SecretString,
    ) -> Result<Option<(&'a str, String)>, CallError> {
        let Some(parameter) = &api.auth.proof_parameter else {
            return Ok(None);
        };
        let secret = self.tokens.app_secret().map_err(CallError::Token)?;
        Ok(secret.map(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
            let tag = hmac::sign(&key, token.expose_secret().as_bytes());
            let mut proof = String::new();
            for byte in tag.as_ref() {
                // Writing into a String does not fail.
                let _ = write!(proof, "{byte:02x}");
            }
            (parameter.as_str(), proof)
        }))
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
            tally.version_served = served
                .map(|served| text::presentable(served, LONGEST_VERSION))
                .or(tally.version_served.take());
        }
        let warning = api.warning_header.as_ref();
        let warning = warning.and_then(|name| headers.get(name)?.to_str().ok());
        tally.version_warning = warning
            .map(|warning| text::presentable(warning, LONGEST_WARNING))
            .or(tally.version_warning.take());
        let named = api.request_id_headers.iter();
        let named = named.filter_map(|name| headers.get(name)?.to_str().ok());
        tally.request_ids = named
            .map(|id| text::presentable(id, LONGEST_REQUEST_ID))
            .collect();
        tally.quota = quota::observe(&api.quota, headers);
        self.quotas
            .learn(tally.account.as_ref(), &tally.quota, Instant::now());
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
