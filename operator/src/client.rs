//! The way to the API server: one attempt is one request, every request ends,
//! and nothing is written by an operator that does not lead.

use std::time::Duration;

use http::{Method, Request};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::BoxError;
use tower::filter::FilterLayer;
use tower::timeout::TimeoutLayer;

use crate::leader::Fence;

/// How long the API server may take to begin an answer. It answers in
/// milliseconds; what takes longer is tried again by the next reconcile.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// For a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Silence in the middle of an answer. A quiet watch ends after 290 s by
/// itself, so what is silent for longer is dead.
const SILENT_AT_MOST: Duration = Duration::from_mins(5);

/// A write that was not sent.
#[derive(Debug, thiserror::Error)]
#[error("this operator does not lead, so it writes nothing")]
pub struct NotLeading;

/// A client of the API server that writes only while `fence` is open; without
/// one, for the election itself, always.
///
/// Nothing is tried again in here. The library's own retries would repeat a
/// write that the API server has carried out but not confirmed, up to 15 times
/// and for minutes; a reconcile that failed is tried again as a whole, from
/// what is there by then.
pub fn connect(
    mut config: Config,
    fence: Option<Fence>,
    answer_within: Duration,
) -> Result<Client, kube::Error> {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_WITHIN);
    config.write_timeout = Some(ANSWER_WITHIN);
    config.read_timeout = Some(SILENT_AT_MOST);
    // Otherwise the time a connection lay idle counts against its next answer.
    config.reset_reader_on_write = true;
    let while_open = move |request: Request<Body>| match &fence {
        Some(fence) if writes(request.method()) && !fence.is_open() => {
            Err(BoxError::from(NotLeading))
        }
        _ => Ok(request),
    };
    Ok(ClientBuilder::try_from(config)?
        .with_layer(&TimeoutLayer::new(answer_within))
        .with_layer(&FilterLayer::new(while_open))
        .build())
}

fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
