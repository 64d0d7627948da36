//! What there is of the children that a tenant may or may not have, and which
//! of their kinds this cluster serves.

use std::time::Duration;

use futures::channel::mpsc;
use futures::{SinkExt as _, Stream, StreamExt as _};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store, store::Writer};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Error, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tenantry_api::label;
use tokio::sync::watch;

use crate::tenant::chain;
use crate::tenant::optional::{Optional, Present, Served};
use crate::tenant::seen::Tenant;

/// Tenants that wait for their turn to be woken up; more wait in their stream.
const WAITING: usize = 64;

/// The wait after a failed watch. Some watches share it, and when the API server
/// restarts all of them fail: one that doubles, as is usual, would leave the
/// operator blind for more than a minute.
const SOON: Duration = Duration::from_millis(250);
/// The same for kinds that may not be served at all: that is asked for ever, and
/// whoever installs them waits so long.
const NOT_OFTEN: Duration = Duration::from_secs(10);

/// How long the first look at a kind may take before it counts as not served:
/// an API server that answers nothing should not keep everything else waiting.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// Always the same wait.
pub struct WatchAgain(Duration);

type Metadata = PartialObjectMeta<DynamicObject>;

/// The optional children of all tenants, as last heard.
pub struct Optionals {
    kinds: Vec<Followed>,
}

struct Followed {
    kind: Optional,
    store: Store<Metadata>,
    /// None before the first answer.
    served: watch::Receiver<Option<bool>>,
}

impl WatchAgain {
    /// After the usual wait.
    pub fn soon() -> Self {
        Self(SOON)
    }
}

impl Iterator for WatchAgain {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0)
    }
}

impl Backoff for WatchAgain {
    fn reset(&mut self) {}
}

impl Optional {
    fn watch_again(self) -> Duration {
        match self {
            Self::Budget | Self::Quota | Self::Ingress => SOON,
            Self::Route | Self::CiliumPolicy => NOT_OFTEN,
        }
    }
}

impl Optionals {
    /// Follows every optional kind. The receiver names the tenants to look at.
    pub fn follow(
        client: &Client,
        tenants: &Store<Tenant>,
    ) -> (Self, mpsc::Receiver<ObjectRef<Tenant>>) {
        let (wake, woken) = mpsc::channel(WAITING);
        let ours = format!("{}={}", label::MANAGED_BY, label::OPERATOR);
        let kinds = Optional::ALL.map(|kind| {
            let resource = kind.resource();
            let writer = Writer::<Metadata>::new(resource.clone());
            let store = writer.as_reader();
            let api: Api<Metadata> = Api::all_with(client.clone(), &resource);
            let events = watcher(api, watcher::Config::default().labels(&ours))
                .modify(|object| {
                    // Nobody asks for them, and they are most of the memory.
                    object.managed_fields_mut().clear();
                    object.annotations_mut().clear();
                })
                .backoff(WatchAgain(kind.watch_again()))
                .reflect(writer);
            let (tell, served) = watch::channel(None);
            tokio::spawn(heed(events, kind, tenants.clone(), tell, wake.clone()));
            Followed {
                kind,
                store,
                served,
            }
        });
        (
            Self {
                kinds: kinds.into(),
            },
            woken,
        )
    }

    /// Waits until it is known which kinds are served.
    pub async fn known(&self) {
        for kind in &self.kinds {
            let mut served = kind.served.clone();
            let answered = served.wait_for(Option::is_some);
            let _ = tokio::time::timeout(FIRST_LOOK, answered).await;
        }
    }

    /// Which kinds are served.
    pub fn served(&self) -> Served {
        let is_served = |kind| {
            let mut kinds = self.kinds.iter();
            kinds.any(|known| known.kind == kind && *known.served.borrow() == Some(true))
        };
        Served {
            routes: is_served(Optional::Route),
            cilium: is_served(Optional::CiliumPolicy),
        }
    }

    /// The optional children in `namespace`; of a kind that is not served just now,
    /// those that were there before.
    pub fn present(&self, namespace: &str) -> Vec<Present> {
        let found = self.kinds.iter().filter_map(|known| {
            let resource = known.kind.resource();
            let name = ObjectRef::new_with(known.kind.name(), resource).within(namespace);
            let object = known.store.get(&name)?;
            Some(Present {
                kind: known.kind,
                metadata: object.metadata.clone(),
            })
        });
        found.collect()
    }
}

/// Tells who has to be looked at after each event, until nobody listens.
async fn heed(
    events: impl Stream<Item = watcher::Result<Event<Metadata>>>,
    kind: Optional,
    tenants: Store<Tenant>,
    served: watch::Sender<Option<bool>>,
    mut wake: mpsc::Sender<ObjectRef<Tenant>>,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let touched = match event {
            Ok(Event::Apply(object) | Event::Delete(object) | Event::InitApply(object)) => {
                neighbours(&tenants, object.namespace().as_deref())
            }
            Ok(Event::Init) => vec![],
            Ok(Event::InitDone) => turned(&served, true, &tenants),
            Err(error) => {
                let told = chain(&error);
                if refusal(&error) == Some(404) {
                    tracing::debug!(?kind, error = told, "not served here");
                } else {
                    tracing::warn!(?kind, error = told, "cannot be watched");
                }
                match refusal(&error) {
                    Some(403 | 404) => turned(&served, false, &tenants),
                    _ => vec![],
                }
            }
        };
        for tenant in touched {
            if wake.send(tenant).await.is_err() {
                return;
            }
        }
    }
}

/// Keeps whether the kind is served; if that changed, everybody has to look.
fn turned(
    served: &watch::Sender<Option<bool>>,
    now: bool,
    tenants: &Store<Tenant>,
) -> Vec<ObjectRef<Tenant>> {
    let before = served.send_replace(Some(now));
    // Who looked before the first answer took it for not served.
    if before.unwrap_or(false) != now {
        return refs(&tenants.state());
    }
    vec![]
}

/// The code with which the API server refused, where it did.
fn refusal(error: &Error) -> Option<u16> {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

/// The tenants of a namespace.
pub fn neighbours(tenants: &Store<Tenant>, namespace: Option<&str>) -> Vec<ObjectRef<Tenant>> {
    refs(&tenants.state_filter(|tenant| tenant.namespace().as_deref() == namespace))
}

fn refs(tenants: &[std::sync::Arc<Tenant>]) -> Vec<ObjectRef<Tenant>> {
    tenants
        .iter()
        .map(|tenant| ObjectRef::from_obj(tenant.as_ref()))
        .collect()
}
