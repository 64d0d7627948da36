//! The door: what a request must be before MCP sees it. Cheap checks stand
//! first, and nobody's body is read before their key was found good.

pub mod bearer;
mod foreign;
pub mod headers;
pub mod loopback;
pub mod message;
pub mod origin;
pub mod rejection;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tenantry_api::label;
use tenantry_core::audit::{Actor, AuditEvent, Stage, blank_event};
use tenantry_core::reason::{Reason, Refusal};
use tenantry_core::trace::TraceContext;
use tokio::time::Instant;

use crate::audit::{AuditSlot, AuditStalled};
use crate::counter::Counter;
use crate::listener::Peer;
use crate::pipeline::record::Entry;
use crate::pipeline::{Authenticated, Stopped};
use crate::places::Place;
use message::Message;
use rejection::Rejection;

/// Of a request body. The largest tool takes a few KiB; 1 MiB leaves room for
/// what clients put into `_meta`, and times 512 connections is still bearable.
pub const BODY_LIMIT: usize = 1 << 20;

/// For a body to arrive. Agents send a few KiB; who takes longer holds a
/// connection for nothing.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// A tool call on its way through the MCP library to the handler.
#[derive(Clone)]
pub struct Ticket(Arc<Mutex<Option<Admitted>>>);

/// A tool call that came through the door.
pub struct Admitted {
    /// Its line.
    pub entry: Entry,
    /// Whether it is within the rates; if not it only needs its answer.
    pub charged: Result<Charged, Refusal>,
}

/// A call that is within the rates.
pub enum Charged {
    /// By what it has used of them.
    Rate,
    /// Because it only switches something off: its place in their queue, held
    /// until it was answered.
    Stop(Place),
}

impl Ticket {
    fn new(admitted: Admitted) -> Self {
        Self(Arc::new(Mutex::new(Some(admitted))))
    }

    /// The call; once, for whoever makes it.
    pub fn take(&self) -> Option<Admitted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Lets a request through to `mcp`, or answers it.
pub async fn pass<F>(
    counter: &Counter,
    request: Request,
    mcp: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let arrived = Instant::now();
    let call_id = counter.next_call_id();
    let caller = match authenticate(counter, &request, arrived, &call_id) {
        Ok(caller) => caller,
        Err(rejection) => {
            let line = AuditEvent {
                source: source(&request),
                ..event(&rejection, call_id, None, arrived)
            };
            return refuse_stranger(counter, &rejection, line);
        }
    };
    match read(counter, &caller, request).await {
        Ok((request, ticket)) => {
            let response = mcp(request).await;
            finish(counter, &caller, ticket, response).await
        }
        Err(rejection) => refuse_caller(counter, rejection, &caller).await,
    }
}

/// The first room of the pipeline: is this request for us, and from whom?
/// Decides by headers alone.
fn authenticate(
    counter: &Counter,
    request: &Request,
    arrived: Instant,
    call_id: &str,
) -> Result<Authenticated, Rejection> {
    if counter.is_stopping() {
        return Err(Rejection::unavailable(
            Reason::ServerStopping,
            "the server is shutting down",
        ));
    }
    let Some(in_force) = counter.standing().in_force else {
        return Err(Rejection::unavailable(
            Reason::ContractPending,
            "the server has no contract to serve under",
        ));
    };
    origin::check_host(
        request.uri(),
        request.headers(),
        &in_force.tenant.allowed_hosts,
    )?;
    origin::check_origin(request.headers(), &in_force.tenant.allowed_origins)?;
    check_form(request.method(), request.headers())?;
    headers::check(request.headers())?;
    let presented = bearer::presented(request.headers())?;
    let key = bearer::admit(&counter.knowledge, &presented, jiff::Timestamp::now())?;
    Ok(Authenticated {
        key,
        in_force,
        arrived,
        source: source(request),
        call_id: call_id.to_owned(),
    })
}

fn source(request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<Peer>();
    peer.map(|Peer(address)| *address)
}

fn check_form(method: &Method, headers: &HeaderMap) -> Result<(), Rejection> {
    if method != Method::POST {
        return Err(Rejection::method());
    }
    check_content_type(headers)
}

/// What is posted says that it is JSON.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Rejection> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type
        .and_then(|text| text.split(';').next())
        .unwrap_or_default()
        .trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let refusal = Refusal::new(
        Reason::RequestInvalid,
        "the content type is not application/json",
    );
    Err(Rejection::receive(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        refusal,
    ))
}

/// Reads the body, and opens the line if it is a tool call.
async fn read(
    counter: &Counter,
    caller: &Authenticated,
    request: Request,
) -> Result<(Request, Option<Ticket>), Rejection> {
    let limiter = &caller.in_force.limiter;
    let key = &caller.key.id;
    // After the key, so that a stranger learns of no path.
    if request.uri().path() != label::MCP_PATH {
        return Err(Rejection::path());
    }
    let (mut parts, body) = request.into_parts();
    let arriving = limiter.arrive(key).map_err(Rejection::busy)?;
    let body = collect(body).await?;
    drop(arriving);
    let message = Message::read(&body)?;
    headers::compare(&parts.headers, &message)?;
    let ticket = match message {
        Message::Other { .. } => {
            limiter.charge_message(key).map_err(Rejection::limited)?;
            None
        }
        Message::Task { method, trace, .. } => {
            limiter.charge_message(key).map_err(Rejection::limited)?;
            let slot = counter.audit.reserve().await.map_err(stalled)?;
            let mut entry = begin(counter, caller, slot, &method);
            entry.traced(trace);
            let charged = Ok(Charged::Rate);
            Some(Ticket::new(Admitted { entry, charged }))
        }
        Message::ToolCall { tool, trace } => {
            let mut admitted = admit(counter, caller, &tool).await?;
            let trace = trace.or_else(|| traced(&parts.headers));
            admitted.entry.traced(trace);
            Some(Ticket::new(admitted))
        }
    };
    parts.extensions.insert(caller.clone());
    if let Some(ticket) = ticket.clone() {
        parts.extensions.insert(ticket);
    }
    Ok((Request::from_parts(parts, Body::from(body)), ticket))
}

/// The whole body, within its limits of size and time.
pub(crate) async fn collect(body: Body) -> Result<Bytes, Rejection> {
    let body = Limited::new(body, BODY_LIMIT);
    match tokio::time::timeout(BODY_WAIT, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Rejection::too_large(BODY_LIMIT)),
        Ok(Err(_)) => Err(Rejection::body("the body broke off")),
        Err(_) => {
            let refusal = Refusal::new(Reason::RequestInvalid, "the body took too long to arrive");
            Err(Rejection::receive(StatusCode::REQUEST_TIMEOUT, refusal))
        }
    }
}

/// The trace that a call belongs to, where its message does not say: clients
/// of earlier revisions send it in a header.
fn traced(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all("traceparent").iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    TraceContext::parse(value.to_str().ok()?)
}

/// Charges a call and opens its line. Beyond the rates lines are sampled: a
/// key must not fill the record by asking.
async fn admit(
    counter: &Counter,
    caller: &Authenticated,
    tool: &str,
) -> Result<Admitted, Rejection> {
    let limiter = &caller.in_force.limiter;
    let found = counter.workshop.catalog.find(tool);
    let charged = if found.is_some_and(|found| found.tool.only_stops()) {
        limiter.enter_stop(&caller.key.id).await.map(Charged::Stop)
    } else {
        limiter.charge_call(&caller.key.id).map(|()| Charged::Rate)
    };
    let slot = match charged {
        Ok(_) => counter.audit.reserve().await.map_err(stalled)?,
        Err(_) => counter.audit.sampled(&caller.key.id),
    };
    let mut entry = begin(counter, caller, slot, "tools/call");
    entry.tool(tool);
    Ok(Admitted { entry, charged })
}

fn begin(counter: &Counter, caller: &Authenticated, slot: AuditSlot, method: &str) -> Entry {
    Entry::begin(
        slot.of(caller.source),
        caller.call_id.clone(),
        &caller.key,
        method,
        caller.arrived,
        Arc::clone(&counter.metrics),
    )
}

fn stalled(_: AuditStalled) -> Rejection {
    Rejection::unavailable(Reason::AuditUnavailable, "the call cannot be put on record")
}

/// Sees to it that what the MCP library answered by itself is on record and
/// says what to do: headers or `_meta` were wrong, or there is no such method.
async fn finish(
    counter: &Counter,
    caller: &Authenticated,
    ticket: Option<Ticket>,
    response: Response,
) -> Response {
    let untaken = ticket.and_then(|ticket| ticket.take());
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if !is_error && untaken.is_none() {
        return response;
    }
    let message = "not a request of the MCP revision it names";
    let refusal = Refusal::new(Reason::RequestInvalid, message);
    let rejection = Rejection::receive(response.status(), refusal.clone());
    counter.metrics.request_refused(Reason::RequestInvalid);
    match untaken {
        Some(Admitted { entry, .. }) => {
            entry.finish(&Err(Stopped::refused(Stage::Receive, refusal)));
        }
        None => record(
            counter,
            caller,
            &rejection,
            counter.audit.reserve().await.ok(),
        ),
    }
    if is_error {
        foreign::in_our_words(response, &rejection, &caller.call_id).await
    } else {
        response
    }
}

fn refuse_stranger(counter: &Counter, rejection: &Rejection, line: AuditEvent) -> Response {
    counter.metrics.request_refused(rejection.refusal.reason);
    let mut response = rejection.answer(&line.call_id);
    counter.audit.sample(line);
    // Connections are few, and a stranger could keep one by asking again, or
    // for ever by asking ahead and not reading.
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// Refuses a request of a good key; who sends too many of those hears of that
/// instead.
async fn refuse_caller(
    counter: &Counter,
    rejection: Rejection,
    caller: &Authenticated,
) -> Response {
    let key = &caller.key.id;
    let (rejection, slot) = match rejection.charge(|| caller.in_force.limiter.charge_message(key)) {
        Ok(rejection) => (rejection, counter.audit.reserve().await.ok()),
        Err(limited) => (limited, Some(counter.audit.sampled(key))),
    };
    counter.metrics.request_refused(rejection.refusal.reason);
    record(counter, caller, &rejection, slot);
    rejection.answer(&caller.call_id)
}

/// Puts down the line of a request that became no call.
fn record(
    counter: &Counter,
    caller: &Authenticated,
    rejection: &Rejection,
    slot: Option<AuditSlot>,
) {
    let actor = Some(Actor::of(&caller.key));
    let line = event(rejection, caller.call_id.clone(), actor, caller.arrived);
    match slot {
        Some(slot) => slot.of(caller.source).put(line),
        None => counter.audit.count_only(),
    }
}

fn event(
    rejection: &Rejection,
    call_id: String,
    actor: Option<Actor>,
    arrived: Instant,
) -> AuditEvent {
    AuditEvent {
        actor,
        reason: Some(rejection.refusal.reason),
        stage: rejection.stage,
        duration_ms: u64::try_from(arrived.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..blank_event(call_id)
    }
}
