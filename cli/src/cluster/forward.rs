//! What a server tells on its loopback, by a port-forward of one's own right: the
//! same stream that `kubectl port-forward` opens, for one question.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use serde_json::Value;
use tenantry_api::label::ACTIVITY_PORT;
use tenantry_core::cause::chain;
use tenantry_core::text;

use super::{Cluster, LIMIT, LONGEST_ERROR, failed, said};
use crate::answer::Unusable;

/// Of an answer: 500 changes are some hundred KiB.
const LARGEST: usize = 8 << 20;

/// What the server in that pod answers to `GET path`.
pub async fn get(cluster: &Cluster, pod: &str, path: &str) -> Result<Value, Unusable> {
    answer(cluster, pod, Request::get(path), Bytes::new()).await
}

/// What it answers to `POST path` with that body.
pub async fn post(
    cluster: &Cluster,
    pod: &str,
    path: &str,
    body: &Value,
) -> Result<Value, Unusable> {
    let request = Request::post(path).header(CONTENT_TYPE, "application/json");
    answer(cluster, pod, request, body.to_string().into()).await
}

async fn answer(
    cluster: &Cluster,
    pod: &str,
    request: Builder,
    body: Bytes,
) -> Result<Value, Unusable> {
    let answer = tokio::time::timeout(LIMIT, ask(cluster, pod, request, body)).await;
    answer.unwrap_or_else(|_| {
        let seconds = LIMIT.as_secs();
        let told = format!("the server in the pod `{pod}` did not answer within {seconds} s");
        Err(Unusable::because(told))
    })
}

async fn ask(
    cluster: &Cluster,
    pod: &str,
    request: Builder,
    body: Bytes,
) -> Result<Value, Unusable> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let forwarded = pods.portforward(pod, &[ACTIVITY_PORT]).await;
    let mut forwarded = forwarded.map_err(|error| not_forwarded(cluster, pod, &error))?;
    let broken = |error: &dyn std::error::Error| {
        let told = text::presentable(&chain(error), LONGEST_ERROR);
        Unusable::because(format!("the server in the pod `{pod}`: {told}"))
    };
    let Some(stream) = forwarded.take_stream(ACTIVITY_PORT) else {
        return Err(said("no stream came of the port-forward"));
    };
    let connected = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|error| broken(&error))?;
    // It ends with the stream.
    tokio::spawn(connection);
    let request = request
        .header(HOST, format!("localhost:{ACTIVITY_PORT}"))
        .body(Full::new(body));
    let request = request.map_err(|error| broken(&error))?;
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| broken(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| broken(error.as_ref()))?.to_bytes();
    let told = serde_json::from_slice::<Value>(&body);
    if status.is_success() {
        return told.map_err(|error| broken(&error));
    }
    let message = told.ok();
    let message = message.as_ref().and_then(|told| told["message"].as_str());
    let told = message.map(|message| text::presentable(message, LONGEST_ERROR));
    Err(match (status, told) {
        (StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, Some(told)) => Unusable::refused(told),
        // A server of an earlier release knows fewer paths, and says no more.
        (_, told) => {
            let told = told.unwrap_or_else(|| format!("it answers {status}"));
            Unusable::because(format!("the server in the pod `{pod}`: {told}"))
        }
    })
}

/// Why there is no way into the pod.
fn not_forwarded(cluster: &Cluster, pod: &str, error: &kube::Error) -> Unusable {
    let namespace = &cluster.namespace;
    let kube::Error::Api(status) = error else {
        return failed(error);
    };
    match status.code {
        403 => Unusable::refused(format!(
            "you may not look into the pod `{pod}` of `{namespace}`: that needs the verbs get and create on pods/portforward with that name, as the ClusterRole tenantry-auditor has them"
        )),
        404 if status.reason == "NotFound" => Unusable::refused(format!(
            "there is no pod `{pod}` in the namespace `{namespace}`"
        )),
        _ => failed(error),
    }
}
