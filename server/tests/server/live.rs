//! Calls that change something are decided by what the control plane says at
//! that moment. No such tool loads yet, so the room is entered by itself.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tenantry_connectors::corridor::CorridorLimits;
use tenantry_core::access::{Access, ToolClass};
use tenantry_core::authorize::Request;
use tenantry_core::digest::Digest;
use tenantry_core::freeze::{Freeze, FreezeScope, Freezes};
use tenantry_core::key::{KeyRecord, Scope};
use tenantry_core::name::{ConnectorName, KeyId, ToolName};
use tenantry_core::reason::Reason;
use tenantry_core::tenant::TenantConfig;
use tenantry_server::audit::{Audit, AuditWriter};
use tenantry_server::book::Book;
use tenantry_server::catalog::Catalog;
use tenantry_server::control_plane::Live;
use tenantry_server::counter::{Counter, CounterParts};
use tenantry_server::credentials::Credentials;
use tenantry_server::in_force::Workshop;
use tenantry_server::knowledge::Knowledge;
use tenantry_server::metrics::Metrics;
use tenantry_server::pipeline::{Authenticated, live};
use tokio::time::Instant;

use crate::control::{InMemory, LiveAnswer, raw};
use crate::world::{record, tenant, told_nobody};

/// A caller who may spend, before a counter that obeys a contract.
struct Desk {
    control: Arc<InMemory>,
    counter: Counter,
    caller: Authenticated,
    tenant: TenantConfig,
    _writer: AuditWriter,
    _credentials: TempDir,
}

fn spender() -> KeyRecord {
    KeyRecord {
        scopes: vec![Scope::parse("meta:spend").unwrap()],
        ..record("demo")
    }
}

impl Desk {
    fn open() -> Self {
        let credentials = TempDir::new().unwrap();
        let mut tenant = tenant("http://127.0.0.1:1".into());
        tenant.access = Access::ReadWrite;
        tenant.connectors[0].accounts[0].access = Access::ReadWrite;
        let metrics = Arc::new(Metrics::new());
        let (audit, writer) = Audit::start(
            Box::new(std::io::sink()),
            "boot".into(),
            Arc::clone(&metrics),
        )
        .unwrap();
        let workshop = Workshop {
            catalog: Arc::new(Catalog::load(None).unwrap()),
            credentials: Credentials::Dir(credentials.path().to_owned()),
            corridor_limits: CorridorLimits::PRODUCTION,
            transport: None,
        };
        let in_force = workshop.take_up(Arc::new(raw(&tenant, 1)), None).unwrap();
        let control = Arc::new(InMemory::new(None, vec![], vec![]));
        let counter = Counter::new(CounterParts {
            knowledge: Arc::new(Knowledge::new()),
            control_plane: Arc::clone(&control) as _,
            workshop,
            audit,
            book: Book::new(None, None),
            clock: Arc::default(),
            notifier: told_nobody(&metrics),
            metrics,
            stale_after: Duration::from_mins(5),
        });
        let caller = Authenticated {
            key: Arc::new(spender()),
            in_force: Arc::new(in_force),
            arrived: Instant::now(),
            source: None,
            call_id: "boot-1".into(),
        };
        Self {
            control,
            counter,
            caller,
            tenant,
            _writer: writer,
            _credentials: credentials,
        }
    }

    /// What stands there when nothing has changed.
    fn unchanged(&self) -> Live {
        Live {
            contract: Some(raw(&self.tenant, 1)),
            key: Some(spender()),
            freezes: Freezes::default(),
        }
    }

    /// Whether a tool that spends may go on when the control plane says this.
    async fn confirm(&self, answer: LiveAnswer) -> Result<Freezes, Reason> {
        self.control.answer_live(answer);
        let (tool, connector) = (
            ToolName::parse("meta_set_budget").unwrap(),
            ConnectorName::parse("meta").unwrap(),
        );
        let request = Request {
            tool: &tool,
            connector: &connector,
            class: ToolClass::Spend,
            stops: false,
            account: Some("act_1001"),
        };
        let confirmed = live::confirm(&self.counter, &self.caller, &request).await;
        confirmed.map_err(|refusal| refusal.reason)
    }

    async fn after(&self, change: impl FnOnce(&mut Live)) -> Result<Freezes, Reason> {
        let mut live = self.unchanged();
        change(&mut live);
        self.confirm(LiveAnswer::Found(Box::new(live))).await
    }
}

fn key_of(live: &mut Live) -> &mut KeyRecord {
    live.key.as_mut().unwrap()
}

fn contract_of(live: &mut Live) -> &mut serde_json::Value {
    &mut live.contract.as_mut().unwrap().contract
}

#[tokio::test]
async fn what_has_not_changed_is_confirmed_with_the_freezes_of_now() {
    let desk = Desk::open();
    assert_eq!(desk.after(|_| {}).await, Ok(Freezes::default()));
    // A new generation of the same contract changes nothing.
    let touched = desk.after(|live| live.contract.as_mut().unwrap().generation = Some(2));
    assert_eq!(touched.await, Ok(Freezes::default()));
    let elsewhere = Freeze {
        name: "google".into(),
        scope: FreezeScope::Connector(ConnectorName::parse("google").unwrap()),
        access: Access::Disabled,
        note: None,
        flaw: None,
    };
    let freezes = Freezes::from_iter([elsewhere]);
    let expected = freezes.clone();
    assert_eq!(
        desk.after(|live| live.freezes = freezes).await,
        Ok(expected)
    );
}

#[tokio::test]
async fn a_key_that_is_revoked_replaced_or_narrowed_meanwhile_changes_nothing() {
    let desk = Desk::open();
    let revoked = desk.after(|live| key_of(live).disabled = true).await;
    assert_eq!(revoked, Err(Reason::KeyRevoked));
    let expired = desk.after(|live| key_of(live).expires_at = Some(jiff::Timestamp::UNIX_EPOCH));
    assert_eq!(expired.await, Err(Reason::KeyExpired));
    let gone = desk.after(|live| live.key = None).await;
    assert_eq!(gone, Err(Reason::KeyUnknown));
    let replaced = desk.after(|live| key_of(live).digest = Digest::of(b"other"));
    assert_eq!(replaced.await, Err(Reason::KeyUnknown));
    let given_on = desk
        .after(|live| key_of(live).owner = "mallory".into())
        .await;
    assert_eq!(given_on, Err(Reason::KeyUnknown));
    let to_another = desk.after(|live| key_of(live).agent = Some("other".into()));
    assert_eq!(to_another.await, Err(Reason::KeyUnknown));
    let narrowed = desk.after(|live| key_of(live).scopes.clear()).await;
    assert_eq!(narrowed, Err(Reason::ScopeMissing));
    let elsewhere = desk
        .after(|live| key_of(live).accounts = Some([].into()))
        .await;
    assert_eq!(elsewhere, Err(Reason::AccountRefused));
    assert_eq!(KeyId::parse("demo").unwrap(), desk.caller.key.id);
}

#[tokio::test]
async fn a_freeze_or_another_contract_meanwhile_changes_nothing() {
    let desk = Desk::open();
    let odd = Freezes::from_iter([Freeze::unreadable("odd", None, "why".into())]);
    assert_eq!(
        desk.after(|live| live.freezes = odd).await,
        Err(Reason::Frozen)
    );
    let newer = desk.after(|live| contract_of(live)["access"] = "ReadOnly".into());
    assert_eq!(newer.await, Err(Reason::ContractPending));
    let other = desk.after(|live| live.contract.as_mut().unwrap().uid = "new".into());
    assert_eq!(other.await, Err(Reason::ContractPending));
    let unreadable = desk.after(|live| contract_of(live)["surprise"] = true.into());
    assert_eq!(unreadable.await, Err(Reason::ContractUnreadable));
    assert_eq!(
        desk.after(|live| live.contract = None).await,
        Err(Reason::ContractPending)
    );
}

#[tokio::test]
async fn a_control_plane_that_fails_or_stays_silent_refuses() {
    let desk = Desk::open();
    for answer in [LiveAnswer::Failing, LiveAnswer::Silent] {
        assert_eq!(desk.confirm(answer).await, Err(Reason::ControlPlaneStale));
    }
}
