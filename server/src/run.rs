//! The life of the process: open the admin port, learn contract and keys, open
//! the MCP port, serve, drain, leave. The only place that knows every part.

use std::io::Write;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::{Router, middleware};
use futures::FutureExt as _;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::service::TowerToHyperService;
use tenantry_api::label;
use tenantry_connectors::corridor::CorridorLimits;
use tenantry_connectors::transport::Transport;
use tenantry_ledger::place::Place;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::audit::{Audit, AuditWriter};
use crate::book::{Book, keeper, outbox};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::control_plane::ControlPlane;
use crate::counter::{Counter, CounterParts};
use crate::credentials::Credentials;
use crate::gate::loopback;
use crate::in_force::Workshop;
use crate::knowledge::Knowledge;
use crate::metrics::Metrics;
use crate::notify::{self, Notifier};
use crate::report::{self, Pod};
use crate::settler::Pace;
use crate::{activity, exposure, gate, isolation, listener, mcp, token_watch};

/// For the last report; the cluster may be what is in trouble.
const GOODBYE: Duration = Duration::from_secs(3);

/// For calls that were cut off to put down their line.
const CUT_OFF: Duration = Duration::from_secs(2);

/// For the ledger to be opened, before clients are served without it.
const OPENED_WITHIN: Duration = Duration::from_secs(3);

/// For lines that are still in the ledger.
const LAST_LINES: Duration = Duration::from_secs(1);

/// For the queued audit lines, and meanwhile for what others are still to be told
/// (`notify::pace::Pace::goodbye`). With draining (20 s), goodbye, the last lines
/// and this the process ends within the 30 s that Kubernetes gives.
const FLUSH: Duration = Duration::from_secs(3);

/// What is chosen from outside.
pub struct Settings {
    /// Where MCP is spoken.
    pub mcp_listen: SocketAddr,
    /// Where health and metrics are served.
    pub admin_listen: SocketAddr,
    /// Where the last audit lines are served; a loopback address.
    pub activity_listen: SocketAddr,
    /// Where the connectors' Secrets are.
    pub credentials: Credentials,
    /// Where the ledger is kept; without it no change is made.
    pub ledger: Option<Place>,
    /// The file that has what is switched off while the ledger cannot be
    /// written to.
    pub journal: Option<PathBuf>,
    /// How changes are settled of which nobody knows what became.
    pub settle: Pace,
    /// How often all live budgets are read, where policies limit them together.
    pub exposure: exposure::Pace,
    /// How others are told of what happens.
    pub notify: notify::Settings,
    /// The bounds of every corridor.
    pub corridor_limits: CorridorLimits,
    /// How often vendors are asked about their tokens; never if absent.
    pub inspect_tokens: Option<Duration>,
    /// After this time without word from the control plane, calls are refused.
    pub stale_after: Duration,
    /// For calls in progress to end, once the process was asked to.
    pub drain: Duration,
    /// Who reports.
    pub pod: Pod,
    /// Identifies the process in the audit stream.
    pub boot_id: String,
}

/// What the process is made of.
pub struct Parts {
    /// Where contract, keys and freezes come from.
    pub control_plane: Arc<dyn ControlPlane>,
    /// The tools there are.
    pub catalog: Arc<Catalog>,
    /// Where audit lines go.
    pub audit_out: Box<dyn Write + Send>,
    /// Told which ports are open.
    pub open_ports: watch::Sender<OpenPorts>,
    /// The time of changes.
    pub clock: Arc<Clock>,
    /// What carries requests to vendors instead of the network; only benchmarks
    /// and tests have one.
    pub transport: Option<Arc<dyn Transport>>,
}

/// The ports that are open; the MCP port opens when there is something to serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenPorts {
    /// Health and metrics.
    pub admin: Option<SocketAddr>,
    /// The last audit lines.
    pub activity: Option<SocketAddr>,
    /// MCP.
    pub mcp: Option<SocketAddr>,
}

/// Why the process cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port cannot be opened.
    #[error("opening the port {address}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// There is no thread for the audit stream.
    #[error("starting the audit stream")]
    Audit(#[source] std::io::Error),
    /// A part that all others rely on has failed, and the process stopped in
    /// order, to be started anew.
    #[error("a part of the server failed; see the line before that names it")]
    PartFailed,
    /// Not every audit line could be written.
    #[error("the audit stream did not take every line before the end")]
    AuditUnfinished,
}

/// The parts that live as long as the process.
struct Server {
    counter: Arc<Counter>,
    control_plane: Arc<dyn ControlPlane>,
    settings: Settings,
    is_listening: Arc<AtomicBool>,
    changed: Arc<Notify>,
    /// Cancelled when the process is told to stop, or a part of it has failed.
    stop: CancellationToken,
}

/// Serves until `stop`, then drains and leaves.
pub async fn run(
    parts: Parts,
    settings: Settings,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let Parts {
        control_plane,
        catalog,
        audit_out,
        open_ports,
        clock,
        transport,
    } = parts;
    let metrics = Arc::new(Metrics::new());
    let (audit, writer) = Audit::start(audit_out, settings.boot_id.clone(), Arc::clone(&metrics))
        .map_err(RunError::Audit)?;
    let workshop = Workshop {
        catalog,
        credentials: settings.credentials.clone(),
        corridor_limits: settings.corridor_limits,
        transport,
    };
    let knowledge = Arc::new(Knowledge::new());
    let stale_after = settings.stale_after;
    let book = Book::new(settings.ledger.clone(), settings.journal.as_deref());
    let notifier = Notifier::new(
        settings.notify.clone(),
        Arc::clone(&clock),
        Arc::clone(&metrics),
    );
    let counter = Counter::new(CounterParts {
        knowledge,
        control_plane: Arc::clone(&control_plane),
        workshop,
        audit,
        book,
        clock,
        notifier,
        metrics,
        stale_after,
    });
    let server = Server {
        counter: Arc::new(counter),
        control_plane,
        settings,
        is_listening: Arc::default(),
        changed: Arc::default(),
        stop: stop.child_token(),
    };
    let mut background = JoinSet::new();
    let ended = server.serve(&mut background, &open_ports).await;
    background.shutdown().await;
    let flushed = server.leave(writer).await;
    let has_failed = server.stop.is_cancelled() && !stop.is_cancelled();
    ended.and(if has_failed {
        Err(RunError::PartFailed)
    } else {
        flushed
    })
}

impl Server {
    async fn serve(
        &self,
        background: &mut JoinSet<()>,
        open_ports: &watch::Sender<OpenPorts>,
    ) -> Result<(), RunError> {
        let admin = bind(self.settings.admin_listen).await?;
        let activity = bind(self.settings.activity_listen).await?;
        open_ports.send_modify(|ports| {
            ports.admin = admin.local_addr().ok();
            ports.activity = activity.local_addr().ok();
        });
        let activities = activity::router(Arc::clone(&self.counter));
        self.begin(background, "admin", self.admin(admin));
        self.begin(background, "activity", aside(activity, activities));
        self.follow(background);
        let reporter = self.begin(background, "report", self.keep_reported());
        if self
            .stop
            .run_until_cancelled(self.ready_to_serve())
            .await
            .is_some()
        {
            let mcp = bind(self.settings.mcp_listen).await?;
            open_ports.send_modify(|ports| ports.mcp = mcp.local_addr().ok());
            self.listening(true);
            let address = mcp.local_addr().unwrap_or(self.settings.mcp_listen);
            tracing::info!(%address, path = label::MCP_PATH, "serving");
            self.answer(mcp, &reporter).await;
        }
        Ok(())
    }

    /// Has a part work for as long as the process lives. If it fails the process
    /// stops: a server that hears of nothing new, or tells nobody, is none, and
    /// the next one begins anew.
    fn begin(
        &self,
        background: &mut JoinSet<()>,
        part: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        let stop = self.stop.clone();
        background.spawn(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                tracing::error!(part, "a part of the server has failed; it stops");
                stop.cancel();
            }
        })
    }

    /// Answers requests until it is to stop, then until those in progress have
    /// ended.
    async fn answer(&self, mcp: TcpListener, reporter: &AbortHandle) {
        let closed = CancellationToken::new();
        let connections = self.counter.metrics.connections.clone();
        let drain = self.settings.drain;
        let serving = listener::serve(mcp, self.door(), connections, closed.clone(), drain);
        let stopping = async {
            self.stop.cancelled().await;
            tracing::info!("stopping: taking no more calls");
            self.counter.stop();
            self.is_listening.store(false, Ordering::Relaxed);
            closed.cancel();
            // Two writers of one report would race; the last word is ours.
            reporter.abort();
            let goodbye = report::say_goodbye(
                &self.counter,
                self.control_plane.as_ref(),
                &self.settings.pod,
            );
            if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
                tracing::warn!("the last report took too long");
            }
            Instant::now()
        };
        let ((), since) = tokio::join!(serving, stopping);
        self.drain_calls(since + drain).await;
    }

    /// Waits for calls whose clients have gone, and cuts off what remains.
    async fn drain_calls(&self, deadline: Instant) {
        let calls = &self.counter.calls;
        calls.close();
        if tokio::time::timeout_at(deadline, calls.wait())
            .await
            .is_ok()
        {
            return;
        }
        tracing::warn!(
            calls = calls.len(),
            "cutting off calls that did not end in time"
        );
        self.counter.cut.cancel();
        // What still hangs then is past help; the process ends.
        let _ = tokio::time::timeout(CUT_OFF, calls.wait()).await;
    }

    async fn leave(&self, writer: AuditWriter) -> Result<(), RunError> {
        self.counter.stop();
        let Counter { book, notifier, .. } = self.counter.as_ref();
        if let Ok(ledger) = book.ledger() {
            let deadline = Instant::now() + LAST_LINES;
            // What does not leave now leaves the next process.
            let emptied = outbox::empty(&ledger, &self.counter);
            let emptied = tokio::time::timeout_at(deadline, emptied).await;
            if !matches!(emptied, Ok(Ok(()))) {
                tracing::warn!(
                    "lines of changes stay in the ledger; the next process brings them out"
                );
            }
            // What they tell and is not put together by then is not told.
            let composed = notifier.compose(&self.counter);
            let _ = tokio::time::timeout_at(deadline, composed).await;
        }
        book.close().await;
        let (is_written, ()) = tokio::join!(writer.close(FLUSH), notifier.say_goodbye());
        if is_written {
            Ok(())
        } else {
            Err(RunError::AuditUnfinished)
        }
    }

    /// What answers clients: the gate, and MCP behind it. There is one path, so
    /// no router stands between them.
    fn door(&self) -> impl listener::Service + use<> {
        let counter = Arc::clone(&self.counter);
        let service = mcp::service(&counter);
        service_fn(move |request: Request<Incoming>| {
            let (counter, service) = (Arc::clone(&counter), service.clone());
            async move {
                let mcp = |request| async move { service.handle(request).await.map(Body::new) };
                Ok(gate::pass(&counter, request.map(Body::new), mcp).await)
            }
        })
    }

    fn admin(&self, listener: TcpListener) -> impl Future<Output = ()> + use<> {
        let router = admin::router(Admin {
            counter: Arc::clone(&self.counter),
            is_listening: Arc::clone(&self.is_listening),
        });
        // In a cluster the kubelet and scrapers come by the pod's address, which
        // is theirs to know, and network policies decide who else does.
        let at = listener.local_addr();
        if at.is_ok_and(|at| at.ip().is_loopback()) {
            return aside(listener, router.layer(middleware::from_fn(loopback::only)));
        }
        aside(listener, router)
    }

    fn follow(&self, background: &mut JoinSet<()>) {
        let knowledge = Arc::clone(&self.counter.knowledge);
        let control_plane = Arc::clone(&self.control_plane);
        let work = async move { control_plane.follow(knowledge).await };
        self.begin(background, "follow", work);
        let counter = Arc::clone(&self.counter);
        let changed = Arc::clone(&self.changed);
        let work = async move { counter.obey(|| changed.notify_one()).await };
        self.begin(background, "obey", work);
        if let Some(every) = self.settings.inspect_tokens {
            let counter = Arc::clone(&self.counter);
            let changed = Arc::clone(&self.changed);
            let work = async move {
                token_watch::keep_inspected(&counter, every, || changed.notify_one()).await;
            };
            self.begin(background, "inspect_tokens", work);
        }
        let counter = Arc::clone(&self.counter);
        let work = keeper::keep(counter, self.settings.settle, self.settings.exposure);
        self.begin(background, "ledger", work);
        let work = notify::keep(Arc::clone(&self.counter));
        self.begin(background, "notify", work);
        let counter = Arc::clone(&self.counter);
        let changed = Arc::clone(&self.changed);
        let work = async move {
            isolation::keep_proven(&counter, || changed.notify_one()).await;
        };
        self.begin(background, "isolation", work);
    }

    fn keep_reported(&self) -> impl Future<Output = ()> + use<> {
        let counter = Arc::clone(&self.counter);
        let control_plane = Arc::clone(&self.control_plane);
        let pod = self.settings.pod.clone();
        let is_listening = Arc::clone(&self.is_listening);
        let changed = Arc::clone(&self.changed);
        async move {
            let is_listening = || is_listening.load(Ordering::Relaxed);
            report::keep_reported(
                &counter,
                control_plane.as_ref(),
                &pod,
                is_listening,
                changed,
            )
            .await;
        }
    }

    fn listening(&self, now: bool) {
        self.is_listening.store(now, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Returns when there is a contract to obey, and keys and freezes are known.
    async fn ready_to_serve(&self) {
        self.counter.in_force().await;
        self.counter.knowledge.keys_and_freezes_known().await;
        // Reads are served without a ledger; a change that comes at once should
        // not be refused for a moment.
        let tried = self.counter.book.tried();
        if tokio::time::timeout(OPENED_WITHIN, tried).await.is_err() {
            tracing::warn!("serving before the ledger is open");
        }
    }
}

/// Serves a port that is not for clients, as long as the process lives.
fn aside(listener: TcpListener, router: Router) -> impl Future<Output = ()> + use<> {
    let connections = prometheus_client::metrics::gauge::Gauge::default();
    let never = CancellationToken::new();
    let service = TowerToHyperService::new(router);
    listener::serve(listener, service, connections, never, Duration::ZERO)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address)
        .await
        .map_err(|cause| RunError::Bind { address, cause })
}
