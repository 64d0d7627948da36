//! A witness beside the operator: every version of every object, in the order
//! in which the API server wrote them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::sync::watch;

use crate::api::{Api, Kind};

/// How long a test waits for anything. Seen: two seconds; the rest is room for
/// busy machines.
pub const PATIENCE: Duration = Duration::from_secs(75);

/// Other programs' notes, that come by themselves.
const NOISE: [&str; 3] = ["leases", "endpointslices", "endpoints"];

/// One version of an object, or its end.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When: all resource versions of one API server are of one clock.
    pub version: u64,
    pub what: Change,
    /// The kind, as paths name it.
    pub plural: String,
    pub name: String,
    pub object: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added,
    Modified,
    Deleted,
}

/// The kind (as paths name it) and the name.
pub type Key = (String, String);

type Journal = HashMap<String, Vec<Seen>>;

/// What was seen, by namespace.
#[derive(Clone)]
pub struct Observer {
    journal: Arc<Mutex<Journal>>,
    news: watch::Sender<()>,
}

impl Observer {
    /// Begins to watch `kinds`.
    pub async fn start(api: &Api, kinds: &[Kind]) -> Result<Self> {
        let observer = Self {
            journal: Arc::default(),
            news: watch::Sender::new(()),
        };
        for kind in kinds {
            if NOISE.contains(&kind.plural.as_str()) {
                continue;
            }
            let list = api.get(&format!("{}?limit=1", kind.everywhere())).await?;
            let from = version(&list);
            let (api, kind, observer) = (api.clone(), kind.clone(), observer.clone());
            tokio::spawn(async move {
                let ended = observer.follow(&api, &kind, from).await;
                eprintln!("the observer lost sight of {}: {ended:?}", kind.plural);
            });
        }
        Ok(observer)
    }

    async fn follow(&self, api: &Api, kind: &Kind, mut from: u64) -> Result<()> {
        loop {
            let path = format!(
                "{}{}?watch=1&allowWatchBookmarks=true&timeoutSeconds=3600&resourceVersion={from}",
                api.server,
                kind.everywhere()
            );
            let mut answer = api.http.get(path).send().await?.error_for_status()?;
            let mut lines = Lines::default();
            while let Some(chunk) = answer.chunk().await? {
                for line in lines.push(&chunk) {
                    let event: Value = serde_json::from_slice(&line)?;
                    from = version(&event["object"]).max(from);
                    self.note(kind, event)?;
                }
            }
        }
    }

    fn note(&self, kind: &Kind, mut event: Value) -> Result<()> {
        let what = match event["type"].as_str() {
            Some("ADDED") => Change::Added,
            Some("MODIFIED") => Change::Modified,
            Some("DELETED") => Change::Deleted,
            Some("BOOKMARK") => return Ok(()),
            _ => bail!("{event}"),
        };
        let object = event["object"].take();
        let text = |field: &str| {
            let text = object["metadata"][field].as_str();
            text.unwrap_or_default().to_owned()
        };
        let namespace = text("namespace");
        let seen = Seen {
            version: version(&object),
            what,
            plural: kind.plural.clone(),
            name: text("name"),
            object,
        };
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.entry(namespace).or_default().push(seen);
        self.news.send_replace(());
        Ok(())
    }

    /// Everything of a namespace, in order.
    pub fn story(&self, namespace: &str) -> Vec<Seen> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut story = journal.get(namespace).cloned().unwrap_or_default();
        story.sort_by_key(|seen| seen.version);
        story
    }

    /// What is in a namespace now.
    pub fn present(&self, namespace: &str) -> BTreeMap<Key, Value> {
        let mut present = BTreeMap::new();
        for seen in self.story(namespace) {
            let key = (seen.plural, seen.name);
            match seen.what {
                Change::Deleted => present.remove(&key),
                _ => present.insert(key, seen.object),
            };
        }
        present
    }

    /// One object as it is now; the cheap way.
    pub fn object(&self, namespace: &str, plural: &str, name: &str) -> Option<Value> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let all = journal.get(namespace)?.iter();
        let latest = all
            .filter(|seen| seen.plural == plural && seen.name == name)
            .max_by_key(|seen| seen.version)?;
        (latest.what != Change::Deleted).then(|| latest.object.clone())
    }

    /// Waits until `look` finds something; asks again with every change.
    pub async fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
        let mut news = self.news.subscribe();
        let looked = async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                // The sender is ours; and what does not change with an object
                // is looked at from time to time.
                let _ = tokio::time::timeout(Duration::from_millis(100), news.changed()).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looked).await;
        found.with_context(|| format!("{what} did not come within {PATIENCE:?}"))
    }

    /// Forgets a namespace.
    pub fn forget(&self, namespace: &str) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.remove(namespace);
    }
}

/// The resource version of an object or list.
pub fn version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Chunks into lines.
#[derive(Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// The lines that end with `chunk`, each with its end.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<Vec<u8>> {
        self.0.extend_from_slice(chunk);
        let mut lines = vec![];
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let rest = self.0.split_off(end + 1);
            lines.push(std::mem::replace(&mut self.0, rest));
        }
        lines
    }
}
