//! A corridor, and a fake Meta at its other end.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value};
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::connector::{ClaimedObject, Connector, Named, Tool};
use tenantry_connectors::corridor::owned::{Owned, OwnedObject};
use tenantry_connectors::corridor::{Answer, Corridor, CorridorError, CorridorLimits, Way};
use tenantry_connectors::token::{StaticToken, TokenSource};
use tenantry_core::access::Access;
use tenantry_core::name::{AccountId, Currency};
use tenantry_core::tenant::AccountConfig;
use tenantry_fakes::meta::{FakeMeta, Faults};
use tokio::time::Instant;
use tracing::subscriber::DefaultGuard;
use url::Url;

pub const META: &str = include_str!("../../../../connectors/meta.yaml");
const OURS: &[(&str, &str)] = &[("act_1001", "EUR"), ("act_1002", "TWD")];

/// Production's shape, without its patience.
pub const FAST: CorridorLimits = CorridorLimits {
    shortest_pause_ms: 1,
    longest_pause_ms: 2,
    report_pause_ms: 1,
    ..CorridorLimits::PRODUCTION
};

/// One organisation's corridor and the vendor.
pub struct Bench {
    pub fake: FakeMeta,
    pub corridor: Corridor,
    connector: Arc<Connector>,
    token: String,
}

impl Bench {
    pub async fn start() -> Self {
        Self::with(OURS, tenantry_fakes::meta::SANDBOX_TOKEN, FAST).await
    }

    pub async fn with(accounts: &[(&str, &str)], token: &str, limits: CorridorLimits) -> Self {
        Self::of(META, accounts, token, limits).await
    }

    /// The same by another connector file.
    pub async fn of(
        file: &str,
        accounts: &[(&str, &str)],
        token: &str,
        limits: CorridorLimits,
    ) -> Self {
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fake = FakeMeta::start().await.unwrap();
        let connector = Arc::new(Connector::load("meta.yaml", file).unwrap());
        let source = Arc::new(StaticToken::new(token.into()));
        let corridor = Corridor::new(
            Arc::clone(&connector),
            configured(accounts),
            way_to(fake.url().parse().unwrap()),
            source,
            limits,
        );
        Self {
            corridor: corridor.unwrap(),
            fake,
            connector,
            token: token.to_owned(),
        }
    }

    pub fn tool(&self, name: &str) -> &Tool {
        self.connector.tool(name).unwrap()
    }

    /// Calls a tool, with the account that the arguments name.
    pub async fn call(&self, tool: &str, asked: Value) -> Result<Answer, CallError> {
        self.call_at(&self.corridor, tool, asked, at(20_000)).await
    }

    pub async fn call_at(
        &self,
        corridor: &Corridor,
        tool: &str,
        asked: Value,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let (tool, args) = (self.tool(tool), args(asked));
        let subject = match tool.named(&args)? {
            Named::Nothing => None,
            Named::Account(id) => Some(Owned::Account(corridor.own(&id).unwrap())),
            Named::Object(claimed) => {
                let owned = corridor.own_object(&claimed, deadline).await.unwrap();
                Some(Owned::Object(owned))
            }
        };
        corridor.read(tool, &args, subject, deadline).await
    }

    /// The object that the arguments of a call name.
    pub fn claimed(&self, tool: &str, asked: Value) -> ClaimedObject {
        match self.tool(tool).named(&args(asked)).unwrap() {
            Named::Object(claimed) => claimed,
            other => panic!("{other:?} is no object"),
        }
    }

    /// The proof that the object that they name is ours.
    pub async fn own(&self, tool: &str, asked: Value) -> OwnedObject {
        let claimed = self.claimed(tool, asked);
        let owned = self.corridor.own_for(self.tool(tool), &claimed, at(10_000));
        owned.await.unwrap()
    }

    /// The same of an account or an object, whatever they name.
    pub async fn place(&self, tool: &str, asked: Value) -> Owned {
        match self.tool(tool).named(&args(asked.clone())).unwrap() {
            Named::Account(account) => Owned::Account(self.corridor.own(&account).unwrap()),
            _ => Owned::Object(self.own(tool, asked).await),
        }
    }

    pub async fn campaigns(&self) -> Result<Answer, CallError> {
        self.call(
            "meta_list_campaigns",
            serde_json::json!({"account": "act_1001"}),
        )
        .await
    }

    pub async fn campaigns_by(&self, corridor: &Corridor) -> Result<Answer, CallError> {
        let asked = serde_json::json!({"account": "act_1001"});
        self.call_at(corridor, "meta_list_campaigns", asked, at(20_000))
            .await
    }

    /// A corridor of its own, which knows nothing but the currency.
    pub async fn confirmed_corridor(&self) -> Corridor {
        self.fake.set_faults(Faults::default());
        let corridor = self.corridor_with(FAST);
        self.campaigns_by(&corridor).await.unwrap();
        self.fake.forget_requests();
        corridor
    }

    /// Gets the confirmation of an account's currency out of the way.
    pub async fn confirm(&self, account: &str) {
        let asked = serde_json::json!({"account": account});
        self.call("meta_list_campaigns", asked).await.unwrap();
        self.fake.forget_requests();
    }

    pub fn corridor_with(&self, limits: CorridorLimits) -> Corridor {
        self.corridor_to(&self.fake.url(), limits)
    }

    pub fn corridor_to(&self, address: &str, limits: CorridorLimits) -> Corridor {
        let source = Arc::new(StaticToken::new(self.token.as_str().into()));
        self.make(OURS, way_to(address.parse().unwrap()), source, limits)
            .unwrap()
    }

    pub fn corridor_from(&self, tokens: Arc<dyn TokenSource>) -> Corridor {
        let way = way_to(self.fake.url().parse().unwrap());
        self.make(OURS, way, tokens, FAST).unwrap()
    }

    pub fn try_corridor(
        &self,
        accounts: &[(&str, &str)],
        address: &str,
    ) -> Result<Corridor, CorridorError> {
        let source = Arc::new(StaticToken::new(self.token.as_str().into()));
        self.make(accounts, way_to(address.parse().unwrap()), source, FAST)
    }

    /// The corridor to an address that only the proxy at the fake's reaches.
    pub fn corridor_by_proxy(&self, address: &str) -> Corridor {
        self.corridor_by(&self.fake.url(), address)
    }

    pub fn corridor_by(&self, proxy: &str, address: &str) -> Corridor {
        let way = Way {
            proxy: Some(proxy.to_owned()),
            ..way_to(address.parse().unwrap())
        };
        let source = Arc::new(StaticToken::new(self.token.as_str().into()));
        self.make(OURS, way, source, FAST).unwrap()
    }

    fn make(
        &self,
        accounts: &[(&str, &str)],
        way: Way,
        tokens: Arc<dyn TokenSource>,
        limits: CorridorLimits,
    ) -> Result<Corridor, CorridorError> {
        let connector = Arc::clone(&self.connector);
        Corridor::new(connector, configured(accounts), way, tokens, limits)
    }
}

/// Arguments as the server hands them over.
pub fn args(asked: Value) -> Map<String, Value> {
    serde_json::from_value(asked).unwrap()
}

/// A deadline so many milliseconds from now.
pub fn at(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

fn configured(accounts: &[(&str, &str)]) -> Vec<AccountConfig> {
    let account = |&(id, currency): &(&str, &str)| AccountConfig {
        id: AccountId::parse(id).unwrap(),
        currency: Currency::parse(currency).unwrap(),
        time_zone: "Europe/Berlin".into(),
        access: Access::ReadOnly,
    };
    accounts.iter().map(account).collect()
}

/// What was logged.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Captures everything that this thread logs, down to the finest level.
pub fn capture_log() -> (Log, DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

/// The way to an address, over the network.
fn way_to(address: Url) -> Way {
    Way {
        base_url: Some(address),
        ..Way::default()
    }
}
