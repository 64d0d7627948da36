//! What wakes the operator up, and how it stops.

mod tenants;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::channel::mpsc;
use futures::future::Either;
use futures::{FutureExt as _, Stream, StreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{LimitRange, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{Controller, WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use tenantry_api::label;
use tenantry_api::mcp_server::McpServer;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::admin::{self, Standing};
use crate::allowance::Allowance;
use crate::canary;
use crate::client;
use crate::context::Context;
use crate::freshness::Written;
use crate::guard::{self, Guard};
use crate::leader::{self, Election, Fence, Lost};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::policies::{self, Policies};
use crate::retry::Retries;
use crate::settings::Settings;
use crate::telling::reporter;
use crate::tenant::seen::Tenant;
use crate::tenant::{self, TenantError, chain};
use crate::waiting::Waiting;
use crate::wall::{self, Leaving};
use crate::watch::{Optionals, WatchAgain, neighbours};
use tenants::Listeners;

/// Changes that come together are answered together.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Reconciles at the same time: enough to wait for the API server in parallel,
/// few enough to leave it to others.
const CONCURRENCY: u16 = 16;

/// A reconcile that takes longer is given up, and tried again from what is
/// there by then. Seen: a second; the rest is room for a slow API server.
const RECONCILE_WITHIN: Duration = Duration::from_mins(1);

/// What keeps the operator from running.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The client cannot be made.
    #[error("making the client of the API server")]
    Client(#[source] kube::Error),
    /// The Service `default/kubernetes` could not be read.
    #[error("reading the Service `default/kubernetes`")]
    ApiService(#[source] kube::Error),
    /// The admin port does not serve.
    #[error("serving the admin port")]
    Admin(#[source] std::io::Error),
    /// Another operator acts now; this one must not.
    #[error("this operator leads no more")]
    Lost(#[source] Lost),
    /// The election ended by itself.
    #[error("the election broke off")]
    Election(#[source] tokio::task::JoinError),
}

/// What the operator runs with.
pub struct Parts {
    /// Where the API server is, and who asks.
    pub config: kube::Config,
    /// The platform's choices.
    pub settings: Settings,
    /// Names this process, and no other, in the Lease.
    pub identity: String,
    /// Where health and metrics are served.
    pub admin_port: TcpListener,
    /// Where servers knock in vain.
    pub canary_port: TcpListener,
}

/// Runs the operator until `stop` completes: stands by, leads, ends what is
/// begun, leaves its seat. One that loses its seat ends at once.
pub async fn run(
    parts: Parts,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let Parts {
        config,
        settings,
        identity,
        admin_port,
        canary_port,
    } = parts;
    let stop = stop.shared();
    let fence = Fence::default();
    let standing = Arc::new(Standing::new(fence.clone()));
    let port = admin::router(Arc::clone(&standing));
    let port = axum::serve(admin_port, port).with_graceful_shutdown(stop.clone());
    let port = tokio::spawn(port.into_future());
    tokio::spawn(canary::serve(canary_port));
    let elector = client::connect(config.clone(), None, leader::ANSWER_WITHIN);
    let elector = elector.map_err(RunError::Client)?;
    let home = &settings.operator.namespace;
    let mut election = Election::new(elector, home, identity, fence.clone());
    let leads = tokio::select! {
        () = election.win(|| standing.saw_the_lease()) => true,
        () = stop.clone() => false,
    };
    if leads {
        let client = client::connect(config, Some(fence), client::ANSWER_WITHIN);
        let client = client.map_err(RunError::Client)?;
        let work = Box::pin(lead(client, settings, standing, stop));
        seated(election, work).await?;
    }
    match port.await {
        Ok(ended) => ended.map_err(RunError::Admin),
        Err(error) => Err(RunError::Admin(std::io::Error::other(error))),
    }
}

/// Does `work` for as long as the seat is ours, then leaves it.
async fn seated(
    election: Election,
    work: impl Future<Output = Result<(), RunError>>,
) -> Result<(), RunError> {
    tracing::info!("leading");
    let (enough, told) = oneshot::channel();
    let keeping = tokio::spawn(election.keep(told));
    let work = std::pin::pin!(work);
    match futures::future::select(keeping, work).await {
        // Whatever is in progress ends here; its writes are fenced already.
        Either::Left((Ok((_, lost)), _)) => Err(RunError::Lost(lost.unwrap_or(Lost::Silence))),
        Either::Left((Err(error), _)) => Err(RunError::Election(error)),
        Either::Right((ended, keeping)) => {
            drop(enough);
            let (election, _) = keeping.await.map_err(RunError::Election)?;
            election.resign().await;
            ended
        }
    }
}

/// Reconciles until `stop`, then ends what is begun.
async fn lead(
    client: Client,
    settings: Settings,
    standing: Arc<Standing>,
    stop: impl Future<Output = ()> + Clone + Send + Sync + Unpin + 'static,
) -> Result<(), RunError> {
    if let Some(sandbox) = &settings.sandbox {
        let urls = format!("{:?}", sandbox.base_urls);
        tracing::warn!(
            urls,
            "THIS IS A SANDBOX: every tenant talks to fakes instead of vendors"
        );
    }
    // One word waiting is enough: it wakes everybody.
    let (everybody, moved) = mpsc::channel(1);
    let slices = watch_api_server(&client, everybody.clone());
    let (waiting, woken) = Waiting::new();
    let (tenants, writer) = reflector::store();
    let (optionals, touched) = Optionals::follow(&client, &tenants);
    let (policies, writers) = Policies::new();
    let heard = Heard {
        slices,
        optionals,
        tenants: tenants.clone(),
        policies: policies.clone(),
        waiting,
        metrics: Arc::clone(&standing.metrics),
        guard: Arc::clone(&standing.guard),
    };
    let ctx = Arc::new(context(client.clone(), settings, heard).await?);
    tokio::spawn(watch_guard(Arc::clone(&ctx), everybody.clone()));
    let (leaving, left) = Leaving::new();
    let news = watch_policies(&ctx, writers, everybody.clone());
    let (is_known, known) = watch::channel(false);
    let listeners = Listeners {
        leaving,
        everybody,
        news,
        is_known,
    };
    let told = tenants::follow(&client, writer, Arc::clone(&ctx), listeners);
    let controller = controller(&client, told, tenants.clone())
        .reconcile_all_on(moved)
        .reconcile_on(touched)
        .reconcile_on(woken);
    standing.leads(admin::Heard {
        tenants: tenants.clone(),
        is_known: known,
        policies,
    });
    // Without the API server's addresses no policy can be drawn; every tenant
    // would fail once for nothing.
    let known = async {
        let _ = ctx.api_server_slices.wait_until_ready().await;
        ctx.optionals.known().await;
        ctx.policies.known().await;
    };
    futures::future::select(Box::pin(known), stop.clone()).await;
    let walls = wall::keep(client, tenants, left, stop.clone());
    let tenants = controller
        .graceful_shutdown_on(stop)
        .run(timed, retry, ctx)
        .for_each(|_| std::future::ready(()));
    futures::future::join(tenants, walls).await;
    Ok(())
}

/// What others keep up to date for the reconciles.
pub struct Heard {
    /// The API server's endpoints.
    pub slices: Store<EndpointSlice>,
    /// The children that a tenant may or may not have.
    pub optionals: Optionals,
    /// The tenants.
    pub tenants: Store<Tenant>,
    /// The policies.
    pub policies: Policies,
    /// Who waits for whom.
    pub waiting: Waiting,
    /// Whether the admission policies are in force.
    pub guard: Arc<Guard>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What a reconcile may touch.
pub async fn context(
    client: Client,
    settings: Settings,
    heard: Heard,
) -> Result<Context, RunError> {
    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let api_service = services
        .get("kubernetes")
        .await
        .map_err(RunError::ApiService)?;
    Ok(Context {
        recorder: Recorder::new(client.clone(), reporter()),
        client,
        settings,
        api_service,
        api_server_slices: heard.slices,
        optionals: heard.optionals,
        metrics: heard.metrics,
        retries: Retries::default(),
        memory: Memory::default(),
        drift_events: Allowance::default(),
        tenants: heard.tenants,
        policies: heard.policies,
        waiting: heard.waiting,
        guard: heard.guard,
        written: Written::default(),
    })
}

/// Wakes up on tenants, and on the metadata of every child that carries our
/// label; never on Secrets.
fn controller(
    client: &Client,
    told: impl Stream<Item = Result<Tenant, watcher::Error>> + Send + 'static,
    tenants: Store<Tenant>,
) -> Controller<Tenant> {
    let config = Config::default()
        .debounce(DEBOUNCE)
        .concurrency(CONCURRENCY);
    let controller = Controller::for_stream(told, tenants)
        .with_config(config)
        .trigger_backoff(WatchAgain::soon());
    let controller = children::<NetworkPolicy>(controller, client);
    let controller = children::<LimitRange>(controller, client);
    let controller = children::<ServiceAccount>(controller, client);
    let controller = children::<RoleBinding>(controller, client);
    let controller = children::<McpServer>(controller, client);
    let controller = children::<Service>(controller, client);
    children::<StatefulSet>(controller, client)
}

/// Wakes up on one kind of child, by its namespace: the reference to its owner
/// may be what was taken away, and one of the policies has none. A namespace has
/// few tenants to ask.
fn children<K>(controller: Controller<Tenant>, client: &Client) -> Controller<Tenant>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
{
    let ours = format!("{}={}", label::MANAGED_BY, label::OPERATOR);
    let tenants = controller.store();
    let api: Api<PartialObjectMeta<K>> = Api::all(client.clone());
    controller.watches(
        api,
        watcher::Config::default().labels(&ours),
        move |child| neighbours(&tenants, child.namespace().as_deref()),
    )
}

/// Tries the admission policies again and again. Every contract says how they
/// stand, so a change concerns everybody.
async fn watch_guard(ctx: Arc<Context>, mut everybody: mpsc::Sender<()>) {
    let changed = || drop(everybody.try_send(()));
    let homes = || {
        let tenants = ctx.tenants.state();
        tenants
            .iter()
            .filter_map(|tenant| tenant.namespace())
            .collect()
    };
    guard::keep_proven(&ctx.guard, &ctx.client, homes, changed).await;
}

/// Follows the policies, and tells them what became of them; by the sender of
/// what else is news to them.
fn watch_policies(
    ctx: &Arc<Context>,
    writers: policies::Writers,
    everybody: mpsc::Sender<()>,
) -> mpsc::Sender<()> {
    // One word waiting is enough: all of them are looked at.
    let (news, heard) = mpsc::channel(1);
    let listeners = policies::Listeners {
        everybody,
        news: news.clone(),
    };
    let client = ctx.client.clone();
    tokio::spawn(policies::follow(
        client,
        writers,
        Arc::clone(ctx),
        listeners,
    ));
    tokio::spawn(policies::report::keep_told(Arc::clone(ctx), heard));
    news
}

/// Follows the addresses of the API server; a change concerns everybody.
fn watch_api_server(client: &Client, mut everybody: mpsc::Sender<()>) -> Store<EndpointSlice> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let named = watcher::Config::default().fields("metadata.name=kubernetes");
    let (store, writer) = reflector::store();
    let following = watcher(slices, named)
        .backoff(WatchAgain::soon())
        .reflect(writer)
        .touched_objects();
    tokio::spawn(following.for_each(move |touched| {
        match touched {
            // Full means that it will be told anyway.
            Ok(_) => drop(everybody.try_send(())),
            Err(error) => tracing::warn!(
                error = chain(&error),
                "the API server's endpoints cannot be watched"
            ),
        }
        std::future::ready(())
    }));
    store
}

async fn timed(tenant: Arc<Tenant>, ctx: Arc<Context>) -> Result<Action, TenantError> {
    let began = Instant::now();
    let uid = tenant.uid().unwrap_or_default();
    let reconcile = Box::pin(tenant::reconcile(tenant, Arc::clone(&ctx)));
    let ended = within(RECONCILE_WITHIN, reconcile).await;
    ctx.metrics.reconciled(ended.is_ok(), began.elapsed());
    if ended.is_ok() {
        ctx.retries.forget(&uid);
    }
    ended
}

/// Whatever an API server does or leaves undone, a reconcile ends.
async fn within(
    limit: Duration,
    reconcile: impl Future<Output = Result<Action, TenantError>>,
) -> Result<Action, TenantError> {
    let ended = tokio::time::timeout(limit, reconcile).await;
    ended.unwrap_or(Err(TenantError::TooLong { limit }))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the controller hands over what it has"
)]
fn retry(tenant: Arc<Tenant>, error: &TenantError, ctx: Arc<Context>) -> Action {
    let wait = ctx.retries.failed(&tenant.uid().unwrap_or_default());
    let (namespace, name) = (tenant.namespace().unwrap_or_default(), tenant.name_any());
    tracing::warn!(
        namespace,
        name,
        error = chain(error),
        retry_after_ms = wait.as_millis(),
        "a reconcile failed"
    );
    Action::requeue(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reconcile_that_hangs_is_given_up() {
        let limit = Duration::from_millis(1);
        let ended = within(limit, std::future::pending()).await;
        assert!(matches!(ended, Err(TenantError::TooLong { .. })));
    }
}
