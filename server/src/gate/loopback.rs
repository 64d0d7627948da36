//! For a port that listens on loopback: a browser on this machine, or behind a
//! port-forward, may be led there under a name of somebody else's.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::origin::{check_host, check_origin};

/// Lets requests pass that name this machine and come from no page.
pub async fn only(request: Request, next: Next) -> Response {
    let checked = check_host(request.uri(), request.headers(), &[])
        .and_then(|()| check_origin(request.headers(), &[]));
    match checked {
        Ok(()) => next.run(request).await,
        Err(rejection) => rejection.answer(""),
    }
}
