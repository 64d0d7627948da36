//! A fake Meta Graph API: in-process for tests, or as the program `fake-meta`.
//! Two logs are the oracle: what reached the vendor, and what it changed.

mod apply;
mod asked;
mod batch;
mod change;
mod clock;
mod connection;
mod creates;
mod effects;
mod expansion;
mod faults;
mod fields;
mod filtering;
mod front;
mod graph;
mod insights;
mod oracle;
mod orders;
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

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use effects::{Effect, EffectKind};
pub use faults::{Fault, Faults, Tier};
pub use oracle::{Logged, TokenPlace};
pub use orders::{Answers, Applies, Order};
pub use world::{EXPIRED_TOKEN, Kind, READ_ONLY_TOKEN, REVOKED_TOKEN, SANDBOX_TOKEN};

use crate::meta::asked::Asked;
use crate::meta::clock::Clock;
use crate::meta::connection::{Breakable, Breaker};
use crate::meta::oracle::{Oracle, Trace};
use crate::meta::orders::Orders;
use crate::meta::usage::Usage;
use crate::meta::world::World;

/// A node that every token sees and that belongs to no ad account.
pub const PAGE_ID: &str = "105000000000001";

/// A fake Meta on a loopback port; it ends when this is dropped.
pub struct FakeMeta {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// The routes, each request with what resets its connection.
type Served = IntoMakeServiceWithConnectInfo<Router, Breaker>;

/// Everything that the handlers share.
struct Shared {
    inner: Mutex<Inner>,
    /// Wakes held requests when the faults change.
    changed: watch::Sender<u64>,
}

struct Inner {
    world: World,
    faults: Faults,
    orders: Orders,
    /// What is to come about when the test says so.
    late: Vec<(Asked, Trace)>,
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
            let served = axum::serve(Breakable(listener), router).await;
            if let Err(error) = served {
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

    /// Opens an account of a currency; a token that is to see it is granted it
    /// afterwards.
    pub fn open(&self, account: &str, currency: &str) {
        let mut inner = self.shared.lock();
        inner.world.open_in(world::bare(account), currency);
    }

    /// Adds a campaign that runs to an account; answers the ids of its ad sets,
    /// each of which has a daily budget.
    pub fn add_campaign(&self, account: &str) -> Vec<String> {
        let mut inner = self.shared.lock();
        inner.world.add_campaign(world::bare(account))
    }

    /// Adds an object with these fields, as Meta would keep them: its own id, the
    /// ids of what is above it, its status and whatever the test is about. What
    /// Meta's own look at it came to, such as `DISAPPROVED`, stands in `review`.
    pub fn put(&self, kind: Kind, fields: Value) {
        self.shared.lock().world.put(kind, world::object(fields));
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

    /// Orders what is to happen to single requests.
    pub fn order(&self, order: Order) {
        self.shared.lock().orders.add(order);
    }

    /// The orders that have struck nobody yet.
    pub fn open_orders(&self) -> Vec<Order> {
        self.shared.lock().orders.open()
    }

    /// What was ordered to come about late does now; says how much that was.
    pub fn release(&self) -> usize {
        self.shared.lock().release()
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
    axum::serve(Breakable(listener), router(Arc::new(shared)))
        .with_graceful_shutdown(stop)
        .await
}

fn router(shared: Arc<Shared>) -> Served {
    Router::new()
        .route(
            "/_oracle/requests",
            get(oracle::read).delete(oracle::forget),
        )
        .route(
            "/_oracle/faults",
            get(oracle::faults).put(oracle::set_faults),
        )
        .route("/_oracle/accounts", post(oracle::open))
        .route("/_oracle/tokens", post(oracle::grant))
        .route("/_oracle/readers", post(oracle::grant_reading))
        .route("/_oracle/effects", get(oracle::effects))
        .route("/_oracle/clock", get(oracle::time).post(oracle::advance))
        .route("/_oracle/healthz", get(|| async { "ok" }))
        .route(
            "/_oracle/orders",
            get(oracle::orders)
                .post(oracle::order)
                .delete(oracle::forget_orders),
        )
        .route("/_oracle/release", post(oracle::release))
        .fallback(front::answer)
        .with_state(shared)
        .into_make_service_with_connect_info()
}

impl Shared {
    fn new(clock: Clock) -> Self {
        let inner = Inner {
            world: World::sandbox(clock),
            faults: Faults::default(),
            orders: Orders::default(),
            late: Vec::new(),
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
