//! One watch through the proxy, event by event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::watch;

use super::{Body, Breaks, Call, Order, Shared, Watches, respond, with_body};
use crate::fault::WatchFault;
use crate::observer::Lines;

/// How late events are when they come late: longer than the operator takes to
/// answer one.
const LATE: Duration = Duration::from_millis(700);
/// How long a connection is silent before it breaks.
const SILENCE: Duration = Duration::from_secs(3);

impl Shared {
    pub(super) async fn watch(self: Arc<Self>, mut call: Call) -> Result<Response<Body>, Breaks> {
        let is_stale = self.stale_for(&call.target).is_some();
        let is_everywhere = self.narrow(&mut call.target);
        let upstream = if is_stale {
            None
        } else {
            let answer = Self::request(&self.upstream, &call)
                .send()
                .await
                .map_err(|_| Breaks)?;
            let status = answer.status();
            if !status.is_success() {
                let text = answer.bytes().await.map_err(|_| Breaks)?;
                return Ok(respond(status, text));
            }
            Some(answer)
        };
        let (sender, receiver) = mpsc::channel(64);
        let events = stream::unfold(receiver, async |mut receiver| {
            let next: Result<Bytes, Breaks> = receiver.recv().await?;
            Some((next.map(Frame::data), receiver))
        });
        let mut stream = Stream {
            orders: self.orders.subscribe(),
            plural: call.target.resource.clone(),
            filter: is_everywhere,
            sender,
            shared: self,
            held: HashMap::new(),
            last: HashMap::new(),
        };
        tokio::spawn(async move {
            stream.count(|watches| {
                watches.opened += 1;
                watches.open += 1;
            });
            let _ = match upstream {
                Some(answer) => stream.run(answer).await,
                None => stream.wait_and_run(&call).await,
            };
            stream.count(|watches| watches.open -= 1);
        });
        let body = StreamBody::new(events).boxed_unsync();
        Ok(with_body(StatusCode::OK, body))
    }
}

struct Stream {
    shared: Arc<Shared>,
    orders: watch::Receiver<Order>,
    plural: String,
    filter: bool,
    sender: Sender<Result<Bytes, Breaks>>,
    /// The latest late event of each object.
    held: HashMap<String, Bytes>,
    /// The event before of each object.
    last: HashMap<String, Bytes>,
}

/// The watch is over.
struct Over;

impl Stream {
    fn count(&self, change: impl FnOnce(&mut Watches)) {
        let mut state = self.shared.state();
        change(state.watches.entry(self.plural.clone()).or_default());
    }

    async fn wait_and_run(&mut self, call: &Call) -> Result<(), Over> {
        let mut stale = self.shared.stale.subscribe();
        tokio::select! {
            _ = stale.wait_for(Option::is_none) => {}
            () = self.sender.closed() => return Err(Over),
        }
        let answer = Shared::request(&self.shared.upstream, call).send().await;
        self.run(answer.map_err(|_| Over)?).await
    }

    async fn run(&mut self, mut answer: reqwest::Response) -> Result<(), Over> {
        let mut lines = Lines::default();
        loop {
            let chunk = tokio::select! {
                chunk = answer.chunk() => chunk,
                () = self.sender.closed() => return Err(Over),
                _ = self.orders.changed() => {
                    let order = *self.orders.borrow_and_update();
                    if order == Order::Gone {
                        self.send(gone()).await?;
                    }
                    return Err(Over);
                }
                () = tokio::time::sleep(LATE), if !self.held.is_empty() => {
                    self.release().await?;
                    continue;
                }
            };
            let Ok(Some(chunk)) = chunk else {
                return self.release().await;
            };
            for line in lines.push(&chunk) {
                let event: Value = serde_json::from_slice(&line).map_err(|_| Over)?;
                if !self.filter || self.shared.is_ours(&event["object"]) {
                    self.pass(&event, Bytes::from(line)).await?;
                }
            }
        }
    }

    async fn pass(&mut self, event: &Value, line: Bytes) -> Result<(), Over> {
        let metadata = &event["object"]["metadata"];
        let name = format!("{}/{}", metadata["namespace"], metadata["name"]);
        let before = self.last.insert(name.clone(), line.clone());
        match self.fault() {
            None => self.send(line).await,
            Some(WatchFault::Unobserved) => {
                self.held.insert(name, line);
                Ok(())
            }
            Some(WatchFault::Twice) => {
                self.send(line.clone()).await?;
                self.send(line).await
            }
            Some(WatchFault::Replay) => {
                if let Some(before) = before {
                    self.send(before).await?;
                }
                self.send(line).await
            }
            Some(WatchFault::Gone) => {
                self.send(gone()).await?;
                Err(Over)
            }
            Some(WatchFault::Torn) => {
                self.send(line.slice(..line.len() / 2)).await?;
                self.breaks().await
            }
            Some(WatchFault::Silent) => {
                tokio::time::sleep(SILENCE).await;
                self.breaks().await
            }
        }
    }

    /// What is planned for the next event of this watch.
    fn fault(&self) -> Option<WatchFault> {
        let mut state = self.shared.state();
        let (fault, plural) = state.watch_fault.as_ref()?;
        if *plural != self.plural {
            return None;
        }
        let fault = *fault;
        state.fired = true;
        // These hit one event, the others all of them.
        if matches!(
            fault,
            WatchFault::Gone | WatchFault::Torn | WatchFault::Silent
        ) {
            state.watch_fault = None;
        }
        Some(fault)
    }

    async fn release(&mut self) -> Result<(), Over> {
        for (_, line) in std::mem::take(&mut self.held) {
            self.send(line).await?;
        }
        Ok(())
    }

    async fn send(&self, line: Bytes) -> Result<(), Over> {
        self.sender.send(Ok(line)).await.map_err(|_| Over)
    }

    async fn breaks(&self) -> Result<(), Over> {
        let _ = self.sender.send(Err(Breaks)).await;
        Err(Over)
    }
}

fn gone() -> Bytes {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired",
        "code": 410, "message": "too old resource version, as planned",
    });
    Bytes::from(format!("{}\n", json!({"type": "ERROR", "object": status})))
}
