//! The request log and the endpoints under `/_oracle`. Tokens do not enter the
//! log, only where they stood.
//!
//! - `requests` GET, DELETE: what arrived; `effects` GET: what was changed.
//! - `faults` GET, PUT: switches; `orders` GET, POST, DELETE: single requests.
//! - `release` POST: late changes come about; `clock` GET, POST: time goes on.
//! - `accounts`, `tokens`, `readers` POST: accounts by currency, who sees them
//!   and who only sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::asked::Asked;
use super::clock;
use super::effects::Effect;
use super::faults::Faults;
use super::orders::Order;
use super::world::bare;

/// A log nobody forgets must not eat the machine.
const MOST_ENTRIES: usize = 10_000;

/// Where a request carried its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    /// Nowhere.
    Absent,
    /// In `Authorization: Bearer`, where it belongs.
    Header,
    /// In the URL or the form, where logs would find it.
    Parameter,
}

/// One request that arrived.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Logged {
    /// The method that counted: `?method=post` makes a GET a POST.
    pub method: String,
    /// The method on the wire.
    pub wire_method: String,
    /// The path, with its version.
    pub path: String,
    /// The parameters, without the token.
    pub parameters: Vec<(String, String)>,
    /// Where the token stood.
    pub token: TokenPlace,
    /// The status of the answer; 0 while there is none, or if it broke off.
    pub status: u16,
    /// Its `x-fb-request-id`.
    pub request_id: String,
}

/// The names of a request that Meta gives with every answer.
#[derive(Clone)]
pub(super) struct Trace {
    /// `x-fb-request-id`.
    pub request: String,
    /// `x-fb-trace-id`, in errors `fbtrace_id`.
    pub trace: String,
}

impl Trace {
    /// The same twenty-two letters in every run.
    fn numbered(number: usize) -> Self {
        Self {
            request: format!("AReq{number:018}"),
            trace: format!("ATrc{number:018}"),
        }
    }
}

#[derive(Default)]
pub(super) struct Oracle {
    entries: Vec<Logged>,
    arrived: usize,
    ever: usize,
}

impl Oracle {
    /// Logs a request; answers its number and its names.
    pub fn arrive(&mut self, asked: &Asked) -> (usize, Trace) {
        self.arrived += 1;
        self.ever += 1;
        let trace = Trace::numbered(self.ever);
        if self.entries.len() < MOST_ENTRIES {
            self.entries.push(asked.logged(&trace.request));
        }
        (self.arrived - 1, trace)
    }

    /// Forgets the log; names are not given twice all the same.
    pub fn forget(&mut self) {
        self.entries.clear();
        self.arrived = 0;
    }

    pub fn answered(&mut self, number: usize, status: u16) {
        if let Some(entry) = self.entries.get_mut(number) {
            entry.status = status;
        }
    }

    pub fn arrived(&self) -> usize {
        self.arrived
    }

    pub fn entries(&self) -> Vec<Logged> {
        self.entries.clone()
    }
}

pub(super) async fn read(State(shared): State<Arc<Shared>>) -> Json<Vec<Logged>> {
    Json(shared.lock().oracle.entries())
}

pub(super) async fn forget(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.forget_requests();
    StatusCode::NO_CONTENT
}

pub(super) async fn faults(State(shared): State<Arc<Shared>>) -> Json<Faults> {
    Json(shared.lock().faults.clone())
}

pub(super) async fn set_faults(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<StatusCode, BadRequest> {
    let faults: Faults = read_json(&body)?;
    shared.set_faults(faults);
    Ok(StatusCode::NO_CONTENT)
}

/// Adds tokens, each with the accounts that it sees; not by the command line,
/// where everybody could read them.
pub(super) async fn grant(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<StatusCode, BadRequest> {
    let tokens: BTreeMap<String, BTreeSet<String>> = read_json(&body)?;
    let mut inner = shared.lock();
    for (token, accounts) in tokens {
        inner.world.grant(token, accounts);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Adds tokens that may change nothing.
pub(super) async fn grant_reading(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<StatusCode, BadRequest> {
    let tokens: BTreeMap<String, BTreeSet<String>> = read_json(&body)?;
    let mut inner = shared.lock();
    for (token, accounts) in tokens {
        inner.world.grant_reading(token, accounts);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Opens accounts, each of a currency; who sees them is told with the tokens.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<StatusCode, BadRequest> {
    let accounts: BTreeMap<String, String> = read_json(&body)?;
    let mut inner = shared.lock();
    for (account, currency) in accounts {
        inner.world.open_in(bare(&account), &currency);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Everything that was ever changed.
pub(super) async fn effects(State(shared): State<Arc<Shared>>) -> Json<Vec<Effect>> {
    Json(shared.lock().world.effects.all())
}

/// What time it is here.
#[derive(Serialize)]
pub(super) struct Time {
    now: String,
}

/// By how much the clock is to go forwards.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forwards {
    advance_seconds: u32,
}

pub(super) async fn time(State(shared): State<Arc<Shared>>) -> Json<Time> {
    let now = clock::written(shared.lock().world.clock.now());
    Json(Time { now })
}

pub(super) async fn advance(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<StatusCode, BadRequest> {
    let forwards: Forwards = read_json(&body)?;
    shared.lock().world.clock.advance(forwards.advance_seconds);
    Ok(StatusCode::NO_CONTENT)
}

/// The orders that are still open.
pub(super) async fn orders(State(shared): State<Arc<Shared>>) -> Json<Vec<Order>> {
    Json(shared.lock().orders.open())
}

pub(super) async fn order(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<StatusCode, BadRequest> {
    let order: Order = read_json(&body)?;
    shared.lock().orders.add(order);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn forget_orders(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.lock().orders.forget();
    StatusCode::NO_CONTENT
}

/// How many changes came about late.
#[derive(Serialize)]
pub(super) struct Released {
    released: usize,
}

pub(super) async fn release(State(shared): State<Arc<Shared>>) -> Json<Released> {
    let released = shared.lock().release();
    Json(Released { released })
}

type BadRequest = (StatusCode, String);

/// Whatever the content type: `kubectl create --raw` sends none.
fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadRequest> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}
