//! Lists and watches one kind of object for ever. A loop of our own instead of
//! `kube::runtime::watcher`, because that one does not tell when a watch ends
//! without news, and such an end is exactly what proves that the knowledge is
//! fresh.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};

use super::REQUEST;
use crate::cause::chain;

/// How long one watch lasts (DESIGN §6: 30–45 s); its end is a sign of life.
const WATCH_SECONDS: u32 = 35;

/// How long to wait for anything on a watch before it is taken for dead.
const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// Between failures: short, because a revoked key waits for it, and growing,
/// because a thousand servers may fail at once.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

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
pub async fn follow<L: Listener>(api: &Api<DynamicObject>, fields: Option<&str>, listener: &L) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let began = Instant::now();
        let error = match list(api, fields, listener).await {
            Ok(version) => watch(api, fields, listener, version).await,
            Err(error) => error,
        };
        if !matches!(error, WatchError::Outdated) {
            tracing::warn!(
                error = chain(&error),
                "lost sight of {}; trying again",
                L::WHAT
            );
        }
        // What went well for a while failed for a new reason: begin anew.
        if began.elapsed() > LONGEST_PAUSE {
            pause = SHORTEST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Tells all objects; answers the version from which to watch.
async fn list<L: Listener>(
    api: &Api<DynamicObject>,
    fields: Option<&str>,
    listener: &L,
) -> Result<String, WatchError> {
    // What is told was true when the list began, not when its last page came.
    let asked = Instant::now();
    let pages = tokio::time::timeout(REQUEST, all_pages(api, fields)).await;
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
) -> WatchError {
    let mut params = WatchParams::default().timeout(WATCH_SECONDS);
    params.field_selector = fields.map(str::to_owned);
    loop {
        let events = match tokio::time::timeout(REQUEST, api.watch(&params, &version)).await {
            Ok(Ok(events)) => events,
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => return WatchError::Outdated,
            Ok(Err(error)) => return WatchError::Watch(error),
            Err(_) => return WatchError::Silence,
        };
        let began = Instant::now();
        listener.heard(began);
        let mut events = events.boxed();
        loop {
            let event = match tokio::time::timeout(WATCH_SILENCE, events.try_next()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return WatchError::Watch(error),
                Err(_) => return WatchError::Silence,
            };
            if let Err(error) = tell(event, listener, &mut version) {
                return error;
            }
            listener.heard(Instant::now());
        }
        // An API server that ends every watch at once is not to be hammered.
        if began.elapsed() < SHORTEST_PAUSE {
            tokio::time::sleep(SHORTEST_PAUSE).await;
        }
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
