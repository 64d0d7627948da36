//! Stands between one operator and the API server: knows every request, and
//! lets one of them go wrong. The operator sees only the namespaces of its
//! plan, so that many plans share an API server.

mod state;
mod stream;
mod tally;
mod target;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use reqwest::RequestBuilder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::fault::{WatchFault, WriteFault, WriteId};
use crate::observer::{PATIENCE, version};
use state::State;
use target::Target;

pub use tally::{Write, ids};

/// The connection ends in the middle.
#[derive(Debug, thiserror::Error)]
#[error("the connection breaks, as planned")]
pub struct Breaks;

type Body = UnsyncBoxBody<Bytes, Breaks>;

/// An operator that got an answer and sends nothing more within this time has
/// read it; the next request ends the wait.
const READ_WITHIN: Duration = Duration::from_millis(40);
/// As long as a load balancer keeps a connection that leads nowhere.
const HANG: Duration = Duration::from_secs(30);

/// What all watches are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Go,
    /// The regular end.
    End,
    /// 410: start over.
    Gone,
}

/// The way of one operator to the API server.
pub struct Proxy {
    shared: Arc<Shared>,
    /// What the operator connects to.
    pub url: String,
    task: JoinHandle<()>,
}

struct Shared {
    /// With the operator's own rights.
    upstream: Api,
    /// To look at objects, and to be somebody else.
    admin: Api,
    namespaces: Vec<String>,
    seat: usize,
    state: Mutex<State>,
    killed: Notify,
    orders: watch::Sender<Order>,
    stale: watch::Sender<Option<Stale>>,
}

/// How many watches there are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watches {
    /// Since the beginning.
    pub opened: usize,
    /// Now.
    pub open: usize,
}

/// The cluster as it was.
#[derive(Debug, Clone)]
struct Stale {
    version: u64,
    plural: Option<String>,
}

impl Proxy {
    /// Listens for an operator of `namespaces`.
    pub async fn start(
        upstream: Api,
        admin: Api,
        namespaces: &[String],
        seat: usize,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            upstream,
            admin,
            namespaces: namespaces.to_vec(),
            seat,
            state: Mutex::default(),
            killed: Notify::new(),
            orders: watch::Sender::new(Order::Go),
            stale: watch::Sender::new(None),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, url, task })
    }

    /// From now on writes count, and this write goes wrong.
    pub fn arm(&self, fault: Option<(WriteFault, WriteId)>) {
        let mut state = self.shared.state();
        state.tally.begin();
        state.fault = fault;
    }

    /// From now on this kind's watch goes wrong.
    pub fn arm_watch(&self, fault: WatchFault, plural: &str) {
        self.shared.state().watch_fault = Some((fault, plural.to_owned()));
    }

    /// From now on lists are as they were at `version`, and watches say
    /// nothing, until `refresh`.
    pub fn go_stale(&self, version: u64, plural: Option<String>) {
        self.shared
            .stale
            .send_replace(Some(Stale { version, plural }));
    }

    /// Watches go on from where the stale lists ended.
    pub fn refresh(&self) {
        self.shared.stale.send_replace(None);
    }

    /// Ends all watches as the API server does every few minutes.
    pub fn end_watches(&self) {
        self.shared.orders.send_replace(Order::End);
    }

    /// Tells all watches to start over.
    pub fn expire_watches(&self) {
        self.shared.orders.send_replace(Order::Gone);
    }

    /// Whether what was armed has happened.
    pub fn fired(&self) -> bool {
        self.shared.state().fired
    }

    /// The operator is this process from now on.
    pub fn serve(&self, victim: Pid) {
        self.shared.state().victim = Some(victim);
    }

    /// There is no operator from now on.
    pub fn forget(&self) {
        let mut state = self.shared.state();
        state.life += 1;
        state.dying = false;
        state.victim = None;
    }

    /// The watches of all kinds.
    pub fn watches(&self) -> Watches {
        let state = self.shared.state();
        let all = state.watches.values();
        all.fold(Watches::default(), |sum, one| Watches {
            opened: sum.opened + one.opened,
            open: sum.open + one.open,
        })
    }

    /// The kinds that are watched, as paths name them.
    pub fn watched(&self) -> Vec<String> {
        self.shared.state().watches.keys().cloned().collect()
    }

    /// The Lease of whoever died or sleeps has run out.
    pub async fn time_runs_out(&self) -> Result<()> {
        let path = self.shared.lease_path();
        if let Some(lease) = self.shared.admin.find(&path).await? {
            let uid = &lease["metadata"]["uid"];
            self.shared.admin.delete(&path, uid).await?;
        }
        Ok(())
    }

    /// Waits until somebody has the seat.
    pub async fn wait_for_leader(&self) -> Result<()> {
        let path = self.shared.lease_path();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.shared.admin.find(&path).await?.is_none() {
            ensure!(tokio::time::Instant::now() < deadline, "nobody leads");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Waits for the next death.
    pub async fn killed(&self) {
        self.shared.killed.notified().await;
    }

    /// What was written.
    pub fn writes(&self) -> Vec<Write> {
        self.shared.state().tally.writes.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let life = shared.state().life;
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { shared.answer(request, life).await }
            });
            // It breaks when the plan says so.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(&self) {
        let mut state = self.state();
        state.life += 1;
        state.dying = false;
        if let Some(victim) = state.victim.take() {
            // It may have ended by itself; whoever waits for it will tell.
            let _ = kill_process(victim, Signal::KILL);
            self.killed.notify_one();
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        life: u64,
    ) -> Result<Response<Body>, Breaks> {
        let is_dying = self.state().dying;
        if is_dying {
            self.kill();
        }
        if self.state().life != life {
            return Err(Breaks);
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Breaks)?.to_bytes();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let target = Target::parse(parts.uri.path());
        let call = Call {
            method: parts.method,
            target,
            query,
            headers: parts.headers,
            body,
        };
        if call.target.resource == "leases" {
            return self.lease(call).await;
        }
        let answered = match call.method {
            Method::GET if call.query.contains("watch=") => Arc::clone(&self).watch(call).await,
            Method::GET => self.read(call).await,
            _ => Arc::clone(&self).write(call).await,
        };
        // What was under way when it died is not answered.
        if self.state().life == life {
            answered
        } else {
            Err(Breaks)
        }
    }

    fn lease_path(&self) -> String {
        let namespace = &self.namespaces[0];
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
        format!("{path}/seat-{}", self.seat)
    }

    /// Who leads is decided for each plan by itself, and outside of what it
    /// counts.
    async fn lease(&self, mut call: Call) -> Result<Response<Body>, Breaks> {
        let seat = format!("seat-{}", self.seat);
        call.target.namespace = Some(self.namespaces[0].clone());
        call.target.name = call.target.name.map(|_| seat.clone());
        if let Ok(mut lease) = serde_json::from_slice::<Value>(&call.body) {
            lease["metadata"]["namespace"] = json!(self.namespaces[0]);
            lease["metadata"]["name"] = json!(seat);
            call.body = Bytes::from(lease.to_string());
        }
        // The role of the chart speaks of the operator's own namespace.
        let (status, text) = self.forward_as(&self.admin, &call).await?;
        Ok(respond(status, text))
    }

    async fn read(&self, mut call: Call) -> Result<Response<Body>, Breaks> {
        let stale = self.stale_for(&call.target);
        if let Some(stale) = stale {
            call.set_query("resourceVersion", &stale.version.to_string());
            call.set_query("resourceVersionMatch", "Exact");
        }
        let is_everywhere = self.narrow(&mut call.target);
        let (status, text) = self.forward(&call).await?;
        if !is_everywhere || !status.is_success() {
            return Ok(respond(status, text));
        }
        let mut list: Value = serde_json::from_slice(&text).map_err(|_| Breaks)?;
        if let Some(items) = list["items"].as_array_mut() {
            items.retain(|item| self.is_ours(item));
        }
        Ok(respond(status, list.to_string()))
    }

    /// Makes a list of everything one of the plan's namespace.
    fn narrow(&self, target: &mut Target) -> bool {
        let is_everywhere = target.is_everywhere();
        if is_everywhere && let [only] = &self.namespaces[..] {
            target.namespace = Some(only.clone());
        }
        is_everywhere
    }

    fn is_ours(&self, object: &Value) -> bool {
        let namespace = object["metadata"]["namespace"].as_str();
        namespace.is_none_or(|namespace| self.namespaces.iter().any(|ours| ours == namespace))
    }

    fn stale_for(&self, target: &Target) -> Option<Stale> {
        let stale = self.stale.borrow().clone()?;
        let is_meant = stale
            .plural
            .as_ref()
            .is_none_or(|plural| *plural == target.resource);
        (target.is_everywhere() && is_meant).then_some(stale)
    }

    async fn write(self: Arc<Self>, call: Call) -> Result<Response<Body>, Breaks> {
        let is_dry = call.query.contains("dryRun=");
        let subject = call.target.subject(&call.method, &self.namespaces);
        // What is only tried changes nothing.
        let Some(subject) = subject.filter(|_| !is_dry) else {
            let (status, text) = self.forward(&call).await?;
            return Ok(respond(status, text));
        };
        let planned = self.state().before(&subject, &call.body);
        match planned {
            Some(WriteFault::KillBefore) => {
                self.kill();
                return Err(Breaks);
            }
            Some(WriteFault::Rival) => self.rival(&call).await.map_err(|_| Breaks)?,
            Some(WriteFault::TooMany) => return Ok(refuse(StatusCode::TOO_MANY_REQUESTS)),
            Some(WriteFault::Broken) => return Ok(refuse(StatusCode::INTERNAL_SERVER_ERROR)),
            Some(WriteFault::Unavailable) => return Ok(refuse(StatusCode::SERVICE_UNAVAILABLE)),
            Some(WriteFault::Hang) => {
                tokio::time::sleep(HANG).await;
                return Err(Breaks);
            }
            _ => {}
        }
        let before = self.version_before(&call).await;
        let (status, text) = self.forward(&call).await?;
        let object: Value = serde_json::from_slice(&text).unwrap_or_default();
        let write = Write {
            subject,
            status: status.as_u16(),
            version: version(&object),
            changed: status.is_success() && before != Some(version(&object)),
            body: call.body.clone(),
        };
        let planned = self.state().after(write);
        match planned {
            Some(WriteFault::KillCommitted | WriteFault::KillTwice(_)) => {
                self.kill();
                Err(Breaks)
            }
            Some(WriteFault::KillAnswered) => {
                self.state().dying = true;
                let shared = Arc::clone(&self);
                tokio::spawn(async move {
                    tokio::time::sleep(READ_WITHIN).await;
                    if shared.state().dying {
                        shared.kill();
                    }
                });
                Ok(respond(status, text))
            }
            Some(WriteFault::Late) => Ok(refuse(StatusCode::GATEWAY_TIMEOUT)),
            Some(WriteFault::Cut) => Err(Breaks),
            _ => Ok(respond(status, text)),
        }
    }

    /// The version that a write would change.
    async fn version_before(&self, call: &Call) -> Option<u64> {
        call.target.name.as_ref()?;
        let object = Target {
            subresource: None,
            ..call.target.clone()
        };
        let found = self.admin.find(&object.path()).await.ok()??;
        Some(version(&found))
    }

    /// Writes the same as `call`, but for one word, and in another name.
    async fn rival(&self, call: &Call) -> Result<()> {
        let mut object: Value = serde_json::from_slice(&call.body)?;
        if let Some(reason) = object.pointer_mut("/status/conditions/0/reason") {
            *reason = "Rival".into();
        } else {
            object["metadata"]["labels"]["tenantry.dev/component"] = "rival".into();
        }
        self.admin
            .apply(&call.target.path(), &object, "rival")
            .await
            .context("the rival")?;
        Ok(())
    }

    fn request(api: &Api, call: &Call) -> RequestBuilder {
        let path = call.target.path();
        let url = format!("{}{path}?{}", api.server, call.query);
        let mut request = api.http.request(call.method.clone(), url);
        for name in ["accept", "content-type"] {
            if let Some(value) = call.headers.get(name) {
                request = request.header(name, value);
            }
        }
        request.body(call.body.clone())
    }

    async fn forward(&self, call: &Call) -> Result<(StatusCode, Bytes), Breaks> {
        self.forward_as(&self.upstream, call).await
    }

    async fn forward_as(&self, api: &Api, call: &Call) -> Result<(StatusCode, Bytes), Breaks> {
        let answer = Self::request(api, call).send().await.map_err(|_| Breaks)?;
        let status = answer.status();
        Ok((status, answer.bytes().await.map_err(|_| Breaks)?))
    }
}

/// A request of the operator.
struct Call {
    method: Method,
    target: Target,
    query: String,
    headers: hyper::HeaderMap,
    body: Bytes,
}

impl Call {
    fn set_query(&mut self, name: &str, value: &str) {
        let others = self.query.split('&').filter(|pair| {
            let key = pair.split('=').next();
            key.is_some_and(|key| key != name && !key.is_empty())
        });
        let mut pairs: Vec<_> = others.map(str::to_owned).collect();
        pairs.push(format!("{name}={value}"));
        self.query = pairs.join("&");
    }
}

fn respond(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(text.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    with_body(status, body)
}

fn with_body(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}

/// As the API server refuses.
fn refuse(status: StatusCode) -> Response<Body> {
    let words = status.canonical_reason().unwrap_or_default();
    let text = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "as planned",
        "reason": words.replace(' ', ""), "code": status.as_u16(), "details": {"retryAfterSeconds": 1},
    });
    let mut response = respond(status, text.to_string());
    let soon = hyper::header::HeaderValue::from_static("1");
    response.headers_mut().insert("retry-after", soon);
    response
}
