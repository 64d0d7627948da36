//! Lists and watches one kind of object for ever. A loop of our own instead of
//! `kube::runtime::watcher`, because that one does not tell when a watch ends
//! without news, and such an end is exactly what proves that the knowledge is
//! fresh.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};

use tenantry_core::cause::chain;

/// How long things take, and how long to wait between them.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// One watch, in seconds; its end is a sign of life.
    pub watch_s: u32,
    /// Nothing on a watch for so long, and it is taken for dead.
    pub silence: Duration,
    /// A list, the beginning of a watch, or a patch.
    pub request: Duration,
    /// Between failures: short, because a revoked key waits for it,
    pub shortest_pause: Duration,
    /// and growing, because a thousand servers may fail at once.
    pub longest_pause: Duration,
}

impl Pace {
    /// DESIGN §6: watches of 30–45 s.
    pub const PRODUCTION: Self = Self {
        watch_s: 35,
        silence: Duration::from_secs(45),
        request: Duration::from_secs(10),
        shortest_pause: Duration::from_millis(250),
        longest_pause: Duration::from_secs(10),
    };
}

/// Objects a page of a list; keys of an organisation are tens, not thousands.
const PAGE: u32 = 500;

/// Why a watch ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The list failed.
    #[error("listing")]
    List(#[source] kube::Error),
    /// The watch failed.
    #[error("watching")]
    Watch(#[source] kube::Error),
    /// Nothing came for too long.
    #[error("the API server did not answer in time")]
    Silence,
    /// It ended too soon to say that nothing changed.
    #[error("the API server broke off")]
    Short,
    /// It must be listed anew.
    #[error("the API server no longer has the version that was read")]
    Outdated,
}

/// Somebody who is told about the objects of one kind. They come unread: one
/// that cannot be read must not hide the others.
pub trait Listener {
    /// What the objects are, for the log.
    const WHAT: &'static str;

    /// These are all.
    fn all(&self, objects: Vec<DynamicObject>);

    /// One is new or changed.
    fn put(&self, object: DynamicObject);

    /// One is gone.
    fn gone(&self, object: &DynamicObject);

    /// There was word from the API server.
    fn heard(&self, now: Instant);
}

/// Lists and watches for ever.
pub async fn follow<L: Listener>(
    api: &Api<DynamicObject>,
    fields: Option<&str>,
    listener: &L,
    pace: &Pace,
) {
    let mut pause = pace.shortest_pause;
    loop {
        let began = Instant::now();
        let error = match list(api, fields, listener, pace).await {
            Ok(version) => watch(api, fields, listener, version, pace).await,
            Err(error) => error,
        };
        if !matches!(error, WatchError::Outdated | WatchError::Short) {
            tracing::warn!(
                error = chain(&error),
                "lost sight of {}; trying again",
                L::WHAT
            );
        }
        // What went well for a while failed for a new reason: begin anew.
        if began.elapsed() > pace.longest_pause {
            pause = pace.shortest_pause;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(pace.longest_pause);
    }
}

/// Tells all objects; answers the version from which to watch.
async fn list<L: Listener>(
    api: &Api<DynamicObject>,
    fields: Option<&str>,
    listener: &L,
    pace: &Pace,
) -> Result<String, WatchError> {
    // What is told was true when the list began, not when its last page came.
    let asked = Instant::now();
    let pages = tokio::time::timeout(pace.request, all_pages(api, fields)).await;
    let (objects, version) = pages
        .map_err(|_| WatchError::Silence)?
        .map_err(WatchError::List)?;
    listener.all(objects);
    listener.heard(asked);
    Ok(version)
}

/// Every object, and the version at which they were read.
pub async fn all_pages(
    api: &Api<DynamicObject>,
    fields: Option<&str>,
) -> Result<(Vec<DynamicObject>, String), kube::Error> {
    let mut params = ListParams {
        field_selector: fields.map(str::to_owned),
        ..ListParams::default()
    }
    .limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = api.list(&params).await?;
        objects.extend(page.items);
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok((objects, page.metadata.resource_version.unwrap_or_default()));
        }
    }
}

/// Tells every change from `version` on, watch after watch, until one fails.
async fn watch<L: Listener>(
    api: &Api<DynamicObject>,
    fields: Option<&str>,
    listener: &L,
    mut version: String,
    pace: &Pace,
) -> WatchError {
    let mut params = WatchParams::default().timeout(pace.watch_s);
    params.field_selector = fields.map(str::to_owned);
    loop {
        let events = match tokio::time::timeout(pace.request, api.watch(&params, &version)).await {
            Ok(Ok(events)) => events,
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => return WatchError::Outdated,
            Ok(Err(error)) => return WatchError::Watch(error),
            Err(_) => return WatchError::Silence,
        };
        let began = Instant::now();
        let mut was_told = false;
        let mut events = events.boxed();
        loop {
            let event = match tokio::time::timeout(pace.silence, events.try_next()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return WatchError::Watch(error),
                Err(_) => return WatchError::Silence,
            };
            if let Err(error) = tell(event, listener, &mut version) {
                return error;
            }
            was_told = true;
            listener.heard(Instant::now());
        }
        // A watch that runs its time without a word says that nothing changed.
        // One that breaks off may have been about to say something: the client
        // keeps the half of an event to itself.
        if !was_told && began.elapsed() < Duration::from_secs(pace.watch_s.into()) / 2 {
            return WatchError::Short;
        }
        listener.heard(Instant::now());
    }
}

fn tell<L: Listener>(
    event: WatchEvent<DynamicObject>,
    listener: &L,
    version: &mut String,
) -> Result<(), WatchError> {
    let newer = |object: &DynamicObject| object.metadata.resource_version.clone();
    let seen = match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            let seen = newer(&object);
            listener.put(object);
            seen
        }
        WatchEvent::Deleted(object) => {
            listener.gone(&object);
            newer(&object)
        }
        WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version),
        WatchEvent::Error(status) if status.code == 410 => return Err(WatchError::Outdated),
        WatchEvent::Error(status) => return Err(WatchError::Watch(kube::Error::Api(status))),
    };
    if let Some(seen) = seen {
        *version = seen;
    }
    Ok(())
}
