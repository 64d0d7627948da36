//! Where requests come in: what is switched and ordered has its say first, then
//! the truth.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use serde_json::json;

use super::asked::Asked;
use super::batch;
use super::connection::Breaker;
use super::faults::Fault;
use super::graph;
use super::oracle::Trace;
use super::orders::{Answers, Applies, Order};
use super::usage::Used;
use super::wire::Told;
use super::{Inner, Shared};

/// What comes of a request.
pub(super) enum Ending {
    /// An answer, and the fault that it shows.
    Answer(Told, Option<Fault>),
    Hang,
    Break,
}

pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked::read(&method, &uri, &headers, &body);
    let ((number, trace), latency_ms) = {
        let mut inner = shared.lock();
        (inner.oracle.arrive(&asked), inner.faults.latency_ms)
    };
    shared.wake();
    if latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
    }
    shared.while_held().await;
    let ended = shared.lock().end(&asked, number, &trace);
    match ended {
        Ended::Response(response) => *response,
        Ended::Hang => std::future::pending().await,
        Ended::Break => {
            breaker.pull();
            Response::default()
        }
    }
}

/// What is done with the connection.
enum Ended {
    Response(Box<Response>),
    Hang,
    Break,
}

impl Inner {
    fn end(&mut self, asked: &Asked, number: usize, trace: &Trace) -> Ended {
        let (used, ending) = if batch::is_one(asked) {
            batch::tell(self, asked, trace)
        } else {
            self.handle(asked, trace)
        };
        let (told, fault) = match ending {
            Ending::Answer(told, fault) => (told, fault),
            Ending::Hang => return Ended::Hang,
            Ending::Break => return Ended::Break,
        };
        self.oracle.answered(number, told.status());
        let served = self.faults.served_version.clone();
        let served = served.unwrap_or_else(|| asked.version());
        let mut response = told.into_response(&served, &used, fault, trace);
        if let Some(warning) = &self.faults.version_warning
            && let Ok(warning) = warning.parse()
        {
            let headers = response.headers_mut();
            headers.insert("x-ad-api-version-warning", warning);
        }
        Ended::Response(Box::new(response))
    }

    /// One request, or one part of a batch.
    pub(super) fn handle(&mut self, asked: &Asked, trace: &Trace) -> (Used, Ending) {
        let used = self.count(asked);
        if let Some(order) = self.orders.strike(asked) {
            return (used, self.obey(&order, asked, trace));
        }
        let fault = self.faults.strike(asked);
        let told = match (fault, used.refusal()) {
            (Some(fault), _) => fault.tell(self.faults.code),
            (None, Some(refusal)) => refusal,
            (None, None) => self.truth(asked, trace),
        };
        let told = told.saying(self.faults.message.as_ref());
        let told = if self.faults.errors_as_success {
            told.into_success()
        } else {
            told
        };
        (used, Ending::Answer(told, fault))
    }

    /// Everything that was to come about later does; says how much that was.
    pub(super) fn release(&mut self) -> usize {
        let late = std::mem::take(&mut self.late);
        for (asked, trace) in &late {
            self.truth(asked, trace);
        }
        late.len()
    }

    fn obey(&mut self, order: &Order, asked: &Asked, trace: &Trace) -> Ending {
        let mut told = Told::Json(json!({"success": true}));
        match order.applies {
            Applies::AtOnce => told = self.truth(asked, trace),
            Applies::WhenReleased => self.late.push((asked.clone(), trace.clone())),
            Applies::Never => {}
        }
        match order.answers {
            Answers::Success => Ending::Answer(told, None),
            Answers::Hang => Ending::Hang,
            Answers::Break => Ending::Break,
            Answers::Fault(fault) => {
                let told = fault.tell(order.code);
                let told = if order.as_success {
                    told.into_success()
                } else {
                    told
                };
                Ending::Answer(told, Some(fault))
            }
        }
    }

    fn truth(&mut self, asked: &Asked, trace: &Trace) -> Told {
        let is_stale = asked.method == "GET" && self.faults.stale_reads > 0;
        if is_stale {
            self.faults.stale_reads -= 1;
            self.world.swap_with_before();
        }
        let told = graph::tell(&mut self.world, &self.faults, asked, &trace.request);
        if is_stale {
            self.world.swap_with_before();
        }
        self.world.poll(asked.segments().get(1).unwrap_or(&""));
        told
    }

    /// What a request costs, before anything else happens to it.
    fn count(&mut self, asked: &Asked) -> Used {
        let account = asked.account().or_else(|| {
            let id = asked.segments().get(1).copied().unwrap_or_default();
            self.world.account_of(id)
        });
        let ads = account.as_deref();
        let ads = ads.map_or(0, |account| self.world.active_ads(account));
        let now = self.world.clock.now();
        self.usage
            .count(account.as_deref(), asked.points(), ads, now, &self.faults)
    }
}
