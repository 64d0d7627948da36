//! A fake Meta Graph API: in-process for tests, or as the program `fake-meta`.
//! Two logs are the oracle: what reached the vendor, and what it changed.

mod apply;
mod asked;
mod change;
mod clock;
mod creates;
mod effects;
mod expansion;
mod faults;
mod fields;
mod graph;
mod insights;
mod oracle;
mod pace;
mod paging;
mod rules;
mod sandbox;
mod schedules;
mod spoken;
mod status;
mod tokens;
mod usage;
mod wire;
mod world;
mod writes;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, Method, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use effects::{Effect, EffectKind};
pub use faults::{Fault, Faults};
pub use oracle::{Logged, TokenPlace};
pub use world::{EXPIRED_TOKEN, READ_ONLY_TOKEN, REVOKED_TOKEN, SANDBOX_TOKEN};

use crate::meta::asked::Asked;
use crate::meta::clock::Clock;
use crate::meta::oracle::Oracle;
use crate::meta::usage::Usage;
use crate::meta::wire::Told;
use crate::meta::world::World;

/// A node that every token sees and that belongs to no ad account.
pub const PAGE_ID: &str = "105000000000001";

/// A fake Meta on a loopback port; it ends when this is dropped.
pub struct FakeMeta {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// Everything that the handlers share.
struct Shared {
    inner: Mutex<Inner>,
    /// Wakes held requests when the faults change.
    changed: watch::Sender<u64>,
}

struct Inner {
    world: World,
    faults: Faults,
    oracle: Oracle,
    usage: Usage,
}

impl FakeMeta {
    /// Starts one on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(Clock::still()));
        let router = router(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the fake ended");
            }
        });
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Its address: `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets a token see these accounts.
    pub fn grant(&self, token: &str, accounts: &[&str]) {
        let accounts = accounts.iter().map(ToString::to_string).collect();
        self.shared.lock().world.grant(token.into(), accounts);
    }

    /// Lets a token see these accounts and change nothing.
    pub fn grant_reading(&self, token: &str, accounts: &[&str]) {
        let accounts = accounts.iter().map(ToString::to_string).collect();
        let mut inner = self.shared.lock();
        inner.world.grant_reading(token.into(), accounts);
    }

    /// What was really changed, oldest first; nothing is ever forgotten.
    pub fn effects(&self) -> Vec<Effect> {
        self.shared.lock().world.effects.all()
    }

    /// A campaign, an ad set or an ad as it is, whatever answers say.
    pub fn object(&self, id: &str) -> Option<Value> {
        self.shared.lock().world.row(id).cloned().map(Value::Object)
    }

    /// Moves the clock forwards; it stands still otherwise.
    pub fn advance(&self, seconds: u32) {
        self.shared.lock().world.clock.advance(seconds);
    }

    /// What has reached it, oldest first.
    pub fn requests(&self) -> Vec<Logged> {
        self.shared.lock().oracle.entries()
    }

    /// Forgets the request log and the usage counters.
    pub fn forget_requests(&self) {
        self.shared.forget_requests();
    }

    /// Switches faults; a held request looks at them again.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.set_faults(faults);
    }

    /// Completes every report that runs.
    pub fn hurry_reports(&self) {
        self.shared.lock().world.hurry_reports();
    }

    /// Waits until at least `count` requests have arrived.
    pub async fn arrived(&self, count: usize) {
        let mut changes = self.shared.changed.subscribe();
        while self.shared.lock().oracle.arrived() < count {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Drop for FakeMeta {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves on a listener until `stop` completes. `tokens` adds tokens, each
/// with the accounts that it sees.
pub async fn serve(
    listener: TcpListener,
    tokens: Vec<(String, BTreeSet<String>)>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let shared = Shared::new(Clock::running());
    for (token, accounts) in tokens {
        shared.lock().world.grant(token, accounts);
    }
    axum::serve(listener, router(Arc::new(shared)))
        .with_graceful_shutdown(stop)
        .await
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(
            "/_oracle/requests",
            get(oracle::read).delete(oracle::forget),
        )
        .route(
            "/_oracle/faults",
            get(oracle::faults).put(oracle::set_faults),
        )
        .route("/_oracle/tokens", post(oracle::grant))
        .route("/_oracle/readers", post(oracle::grant_reading))
        .route("/_oracle/effects", get(oracle::effects))
        .route("/_oracle/clock", get(oracle::time).post(oracle::advance))
        .route("/_oracle/healthz", get(|| async { "ok" }))
        .fallback(answer)
        .with_state(shared)
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked::read(&method, &uri, &headers, &body);
    let ((number, trace), latency_ms) = {
        let mut inner = shared.lock();
        (inner.oracle.arrive(&asked), inner.faults.latency_ms)
    };
    shared.wake();
    if latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
    }
    shared.while_held().await;
    let mut guard = shared.lock();
    let inner = &mut *guard;
    let fault = inner.faults.strike(&asked);
    let used = inner.usage.count(asked.account().as_deref(), &inner.faults);
    let told = match (fault, used.exhausted) {
        (Some(fault), _) => fault.tell(inner.faults.code),
        (None, true) => Told::throttled(),
        (None, false) => {
            let told = graph::tell(&mut inner.world, &inner.faults, &asked, &trace.request);
            inner.world.poll(asked.segments().get(1).unwrap_or(&""));
            told
        }
    };
    let told = told.saying(inner.faults.message.as_ref());
    let told = if inner.faults.errors_as_success {
        told.into_success()
    } else {
        told
    };
    inner.oracle.answered(number, told.status());
    let served = inner
        .faults
        .served_version
        .clone()
        .unwrap_or_else(|| asked.version());
    let mut response = told.into_response(&served, &used, fault, &trace);
    if let Some(warning) = &inner.faults.version_warning
        && let Ok(warning) = warning.parse()
    {
        response
            .headers_mut()
            .insert("x-ad-api-version-warning", warning);
    }
    response
}

impl Shared {
    fn new(clock: Clock) -> Self {
        let inner = Inner {
            world: World::sandbox(clock),
            faults: Faults::default(),
            oracle: Oracle::default(),
            usage: Usage::default(),
        };
        Self {
            inner: Mutex::new(inner),
            changed: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
        self.wake();
    }

    fn forget_requests(&self) {
        let mut inner = self.lock();
        inner.oracle.forget();
        inner.usage = Usage::default();
    }

    async fn while_held(&self) {
        let mut changes = self.changed.subscribe();
        while self.lock().faults.hold {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// A body that breaks the connection instead of coming.
fn broken_body() -> Body {
    let broken = io::Error::from(io::ErrorKind::ConnectionReset);
    Body::from_stream(futures::stream::iter([Err::<Bytes, _>(broken)]))
}
