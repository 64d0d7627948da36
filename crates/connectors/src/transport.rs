//! What carries a request to a vendor and its answer back: the network, or
//! whatever stands in for it where a benchmark measures everything else.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::HeaderMap;
use reqwest::{Certificate, Client, Proxy, Request, Response, redirect, retry};

use crate::call_error::CallError;
use crate::corridor::CorridorLimits;

/// An answer as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Vec<u8>,
}

/// Carries requests.
pub trait Transport: Send + Sync {
    /// The answer to one request; it is never sent twice.
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Received, CallError>>;
}

/// The network: TLS with the authorities of the web, bounded in time and bytes,
/// and nothing that the vendor or the environment says leads elsewhere.
pub struct Network {
    client: Client,
    body_bytes: usize,
}

/// A client of the web that does what it is told and no more: it trusts the
/// web's own authorities, follows no redirect, repeats nothing, and is led
/// nowhere by the environment. `request` bounds one request, from the connection
/// to the end of the answer.
pub fn client(
    is_https_only: bool,
    proxy: Option<&str>,
    connect: Duration,
    request: Duration,
) -> Result<Client, reqwest::Error> {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let roots: Result<Vec<Certificate>, _> =
        roots.map(|root| Certificate::from_der(root)).collect();
    let client = Client::builder()
        .tls_certs_only(roots?)
        .https_only(is_https_only)
        .redirect(redirect::Policy::none())
        .referer(false)
        // The environment must not be able to lead vendor traffic elsewhere.
        .no_proxy()
        // Repetition is decided where a read is known to be one.
        .retry(retry::never())
        .connect_timeout(connect)
        .timeout(request)
        .user_agent(concat!("tenantry/", env!("CARGO_PKG_VERSION")));
    let client = match proxy {
        Some(proxy) => client.proxy(Proxy::all(proxy)?),
        None => client,
    };
    client.build()
}

/// The error and all that led to it, without the URL, in which there may be
/// arguments, or a secret.
pub fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        cause = format!("{cause}: {deeper}");
        source = deeper.source();
    }
    cause
}

impl Network {
    /// The network for one vendor; `proxy` is the HTTP proxy on the way.
    pub fn new(
        is_https_only: bool,
        proxy: Option<&str>,
        limits: CorridorLimits,
    ) -> Result<Self, reqwest::Error> {
        let connect = Duration::from_millis(limits.connect_ms);
        let request = Duration::from_millis(limits.request_ms);
        Ok(Self {
            client: client(is_https_only, proxy, connect, request)?,
            body_bytes: limits.body_bytes,
        })
    }

    async fn receive(&self, request: Request) -> Result<Received, CallError> {
        let mut response = self.client.execute(request).await.map_err(unanswered)?;
        Ok(Received {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: self.body(&mut response).await?,
        })
    }

    async fn body(&self, response: &mut Response) -> Result<Vec<u8>, CallError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > self.body_bytes {
                let problem = format!("the body is longer than {} bytes", self.body_bytes);
                return Err(CallError::Malformed { problem });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Transport for Network {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Received, CallError>> {
        self.receive(request).boxed()
    }
}

/// Of a request that has no answer.
fn unanswered(error: reqwest::Error) -> CallError {
    // INVARIANT: this is an error of opening a connection (name, port, proxy,
    // TLS): the request is given to one only afterwards, and what fails from
    // then on has another kind. No earlier request can have left: redirects and
    // repetitions are off, and what hyper sends anew had not left its queue.
    if error.is_connect() {
        return CallError::Unreached {
            cause: cause(error),
        };
    }
    failed(error)
}

fn failed(error: reqwest::Error) -> CallError {
    if error.is_timeout() {
        return CallError::TimedOut {
            waited_for: "the vendor's answer to one request",
        };
    }
    CallError::Unavailable {
        cause: cause(error),
    }
}
