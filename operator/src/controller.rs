//! What wakes the operator up, and how it stops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::channel::mpsc;
use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tenantry_api::label;
use tenantry_api::mcp_server::McpServer;
use tokio::net::TcpListener;

use crate::admin::{self, Admin};
use crate::context::Context;
use crate::metrics::Metrics;
use crate::retry::Retries;
use crate::settings::Settings;
use crate::tenant::{self, Tenant, TenantError, chain};

/// Changes that come together are answered together.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Reconciles at the same time: enough to wait for the API server in parallel,
/// few enough to leave it to others.
const CONCURRENCY: u16 = 16;

/// What keeps the operator from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The Service `default/kubernetes` could not be read.
    #[error("reading the Service `default/kubernetes`")]
    ApiService(#[source] kube::Error),
    /// The admin port does not serve.
    #[error("serving the admin port")]
    Admin(#[source] std::io::Error),
}

/// Runs the operator until `stop` completes, then ends what is begun.
pub async fn run(
    client: Client,
    settings: Settings,
    admin_port: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), StartError> {
    if let Some(sandbox) = &settings.sandbox {
        let urls = format!("{:?}", sandbox.base_urls);
        tracing::warn!(
            urls,
            "THIS IS A SANDBOX: every tenant talks to fakes instead of vendors"
        );
    }
    let stop = stop.shared();
    let (slices, moved) = watch_api_server(&client);
    let ctx = Arc::new(context(client.clone(), settings, slices).await?);
    let controller = controller(&client).reconcile_all_on(moved);
    let admin = Admin {
        ctx: Arc::clone(&ctx),
        tenants: controller.store(),
    };
    let port = axum::serve(admin_port, admin::router(admin)).with_graceful_shutdown(stop.clone());
    let port = tokio::spawn(port.into_future());
    // Without the API server's addresses no policy can be drawn; every tenant
    // would fail once for nothing.
    let known = ctx.api_server_slices.wait_until_ready();
    futures::future::select(Box::pin(known), stop.clone()).await;
    controller
        .graceful_shutdown_on(stop)
        .run(timed, retry, ctx)
        .for_each(|_| std::future::ready(()))
        .await;
    match port.await {
        Ok(ended) => ended.map_err(StartError::Admin),
        Err(error) => Err(StartError::Admin(std::io::Error::other(error))),
    }
}

async fn context(
    client: Client,
    settings: Settings,
    slices: Store<EndpointSlice>,
) -> Result<Context, StartError> {
    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let api_service = services
        .get("kubernetes")
        .await
        .map_err(StartError::ApiService)?;
    let reporter = Reporter {
        controller: label::OPERATOR.into(),
        instance: None,
    };
    Ok(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        settings,
        api_service,
        api_server_slices: slices,
        metrics: Metrics::new(),
        retries: Retries::default(),
    })
}

/// Wakes up on tenants, and on the metadata of every child that carries our
/// label; never on Secrets.
fn controller(client: &Client) -> Controller<Tenant> {
    let ours =
        || watcher::Config::default().labels(&format!("{}={}", label::MANAGED_BY, label::OPERATOR));
    let controller = Controller::new(
        Api::<Tenant>::all(client.clone()),
        watcher::Config::default(),
    )
    .with_config(
        Config::default()
            .debounce(DEBOUNCE)
            .concurrency(CONCURRENCY),
    )
    .owns(Api::<ServiceAccount>::all(client.clone()), ours())
    .owns(Api::<RoleBinding>::all(client.clone()), ours())
    .owns(Api::<McpServer>::all(client.clone()), ours())
    .owns(Api::<Service>::all(client.clone()), ours())
    .owns(Api::<StatefulSet>::all(client.clone()), ours());
    // One of the policies has no owner; a namespace has few tenants to ask.
    let tenants = controller.store();
    let policies: Api<PartialObjectMeta<NetworkPolicy>> = Api::all(client.clone());
    controller.watches(policies, ours(), move |policy| {
        neighbours(&tenants, policy.namespace().as_deref())
    })
}

fn neighbours(tenants: &Store<Tenant>, namespace: Option<&str>) -> Vec<ObjectRef<Tenant>> {
    let here = tenants.state_filter(|tenant| tenant.namespace().as_deref() == namespace);
    here.iter()
        .map(|tenant| ObjectRef::from_obj(tenant.as_ref()))
        .collect()
}

/// Follows the addresses of the API server. The stream says when they changed;
/// one word waiting is enough.
fn watch_api_server(client: &Client) -> (Store<EndpointSlice>, mpsc::Receiver<()>) {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let named = watcher::Config::default().fields("metadata.name=kubernetes");
    let (store, writer) = reflector::store();
    let (mut tell, told) = mpsc::channel(1);
    let following = watcher(slices, named)
        .default_backoff()
        .reflect(writer)
        .touched_objects();
    tokio::spawn(following.for_each(move |touched| {
        match touched {
            // Full means that it will be told anyway.
            Ok(_) => drop(tell.try_send(())),
            Err(error) => tracing::warn!(
                error = chain(&error),
                "the API server's endpoints cannot be watched"
            ),
        }
        std::future::ready(())
    }));
    (store, told)
}

async fn timed(tenant: Arc<Tenant>, ctx: Arc<Context>) -> Result<Action, TenantError> {
    let began = Instant::now();
    let uid = tenant.uid().unwrap_or_default();
    let ended = Box::pin(tenant::reconcile(tenant, Arc::clone(&ctx))).await;
    ctx.metrics.reconciled(ended.is_ok(), began.elapsed());
    if ended.is_ok() {
        ctx.retries.forget(&uid);
    }
    ended
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
