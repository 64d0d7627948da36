//! Connections: bounded in number, patient only so long, drained at the end.
//!
//! HTTP/1.1 alone, which every gateway speaks to its backends: it needs no
//! stream limits, no frame floods are possible, and a silent connection is
//! closed by the header timeout from its first byte on.

mod deadline;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use deadline::WriteDeadline;

/// What answers requests, each with something.
pub trait Service:
    hyper::service::Service<
        Request<Incoming>,
        Response = Response,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
}

impl<S> Service for S where
    S: hyper::service::Service<
            Request<Incoming>,
            Response = Response,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static
{
}

/// Where the connection of a request comes from, among its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Connections at the same time. Agents are few; a gateway pools. Each costs
/// about 20 KiB idle and at most a body (1 MiB) when its caller is known.
pub const MOST_CONNECTIONS: usize = 512;

/// For the head of a request to arrive, and for a connection to stay idle.
const HEAD_WAIT: Duration = Duration::from_secs(30);

/// For a client to take up what was written to it. Answers are some KiB; who
/// has room for none of it in so long is not reading.
const WRITE_WAIT: Duration = Duration::from_secs(30);

/// Of the head of a request; a key has 110 characters.
const HEAD_LIMIT: usize = 16 * 1024;

/// After a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `service` on `listener` until `stop`, then lets requests in progress
/// end for `drain` at most.
pub async fn serve(
    listener: TcpListener,
    service: impl Service,
    connections: Gauge,
    stop: CancellationToken,
    drain: Duration,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, peer, place) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => match accepted {
                Some(accepted) => accepted,
                None => continue,
            },
        };
        let connection = connection(stream, peer, service.clone());
        let connection = graceful.watch(connection);
        let connections = connections.clone();
        connections.inc();
        tokio::spawn(async move {
            // A connection that breaks is the client's affair; what it asked
            // for is on record.
            let _ = connection.await;
            connections.dec();
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were still open when the time to drain was over");
    }
}

/// The next connection, and its place. Beyond the bound connections wait in
/// the kernel's queue.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, from)) => {
            // Answers are single writes; waiting for more only delays them.
            let _ = stream.set_nodelay(true);
            Some((stream, Peer(from.ip().to_canonical()), place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn connection<S: Service>(
    stream: TcpStream,
    peer: Peer,
    service: S,
) -> http1::Connection<TokioIo<WriteDeadline<TcpStream>>, impl Service> {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        service.call(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(
            TokioIo::new(WriteDeadline::new(stream, WRITE_WAIT)),
            service,
        )
}
