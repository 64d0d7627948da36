//! An API server that fails in every way that watches know: what was known
//! stays known meanwhile, and what changed meanwhile is known in the end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::{StreamExt as _, stream};
use http::StatusCode;
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::{Value, json};
use tenantry_core::name::KeyId;
use tenantry_server::control_plane::ControlPlane as _;
use tenantry_server::control_plane::kubernetes::{Kubernetes, Pace};
use tenantry_server::knowledge::Knowledge;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::world::{key, logs, until};

/// Fast enough for a test; what waits here waits for a condition.
const PACE: Pace = Pace {
    watch_s: 1,
    silence: Duration::from_millis(300),
    request: Duration::from_millis(300),
    shortest_pause: Duration::from_millis(5),
    longest_pause: Duration::from_millis(20),
};

/// How the API server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Nothing but 503.
    Away,
    /// Requests hang without an answer.
    Hanging,
    /// Watches end with 410 as an event, and as a status.
    GoneEvent,
    GoneStatus,
    /// Watches end in the middle of an event.
    HalfEvent,
    /// Watches say something that is no event.
    Nonsense,
    /// Watches open and say nothing.
    SilentWatch,
    /// The second page of a list fails; watches are gone.
    HalfList,
}

const FAULTS: [Fault; 8] = [
    Fault::Away,
    Fault::Hanging,
    Fault::GoneEvent,
    Fault::GoneStatus,
    Fault::HalfEvent,
    Fault::Nonsense,
    Fault::SilentWatch,
    Fault::HalfList,
];

#[derive(Clone)]
struct Store {
    version: u64,
    disabled: bool,
    fault: Fault,
}

type Shared = Arc<watch::Sender<Store>>;

#[derive(Deserialize)]
struct Asked {
    watch: Option<bool>,
    #[serde(rename = "continue")]
    page: Option<String>,
}

fn object(name: &str, store: &Store) -> Value {
    json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpApiKey",
        "metadata": {"name": name, "namespace": "acme", "resourceVersion": store.version.to_string()},
        "spec": {
            "owner": "alice", "digest": key("demo").digest().to_string(), "scopes": [],
            "disabled": store.disabled,
        },
    })
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "message": "no", "code": code})
}

fn failure(code: u16) -> Response {
    let status_code = StatusCode::from_u16(code).unwrap();
    (status_code, Json(status(code))).into_response()
}

/// The two keys come on two pages; of the other kinds there is nothing.
fn list(plural: &str, asked: &Asked, store: &Store) -> Response {
    let fails = store.fault == Fault::HalfList && asked.page.is_some();
    if fails {
        return failure(500);
    }
    let (items, next) = match (plural, asked.page.is_some()) {
        ("mcpapikeys", false) => (vec![object("demo", store)], "more"),
        ("mcpapikeys", true) => (vec![object("other", store)], ""),
        _ => (vec![], ""),
    };
    Json(json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "List", "items": items,
        "metadata": {"resourceVersion": store.version.to_string(), "continue": next},
    }))
    .into_response()
}

fn streaming(body: Body) -> Response {
    ([("content-type", "application/json")], body).into_response()
}

/// Tells a change once, then stays open until something new happens.
fn watching(plural: &str, shared: &Shared) -> Response {
    let store = shared.borrow().clone();
    let line =
        |type_: &str, object: &Value| format!("{}\n", json!({"type": type_, "object": object}));
    let half = line("MODIFIED", &object("demo", &store));
    match store.fault {
        Fault::GoneStatus | Fault::HalfList => return failure(410),
        Fault::GoneEvent => return streaming(Body::from(line("ERROR", &status(410)))),
        Fault::HalfEvent => return streaming(Body::from(half[..half.len() / 2].to_owned())),
        Fault::Nonsense => return streaming(Body::from("nonsense\n")),
        Fault::SilentWatch => {
            let never = stream::pending::<Result<Bytes, Infallible>>();
            return streaming(Body::from_stream(never));
        }
        Fault::None | Fault::Away | Fault::Hanging => {}
    }
    let is_key = plural == "mcpapikeys";
    let changes = stream::unfold(shared.subscribe(), move |mut store| async move {
        store.changed().await.ok()?;
        let present = store.borrow_and_update().clone();
        if present.fault != Fault::None {
            return None;
        }
        let event = json!({"type": "MODIFIED", "object": object("demo", &present)});
        let line = if is_key {
            format!("{event}\n")
        } else {
            String::new()
        };
        Some((Ok::<_, Infallible>(Bytes::from(line)), store))
    });
    streaming(Body::from_stream(changes.boxed()))
}

async fn answer(
    State(shared): State<Shared>,
    Path(plural): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let store = shared.borrow().clone();
    match store.fault {
        Fault::Away => failure(503),
        Fault::Hanging => std::future::pending().await,
        _ if asked.watch == Some(true) => watching(&plural, &shared),
        _ => list(&plural, &asked, &store),
    }
}

/// The API server, and what follows it.
async fn start() -> (Shared, Arc<Knowledge>) {
    logs();
    let shared: Shared = Arc::new(watch::Sender::new(Store {
        version: 1,
        disabled: false,
        fault: Fault::None,
    }));
    let path = "/apis/tenantry.dev/v1alpha1/namespaces/acme/{plural}";
    let router = Router::new()
        .route(path, get(answer))
        .with_state(Arc::clone(&shared));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    let plane = Kubernetes::with_client(&client, "acme", "server-0").with_pace(PACE);
    let knowledge = Arc::new(Knowledge::new());
    let told = Arc::clone(&knowledge);
    tokio::spawn(async move { plane.follow(told).await });
    until("the first word", || {
        knowledge.key_count() == Some(2) && knowledge.freezes_now().is_some()
    })
    .await;
    (shared, knowledge)
}

fn is_disabled(knowledge: &Knowledge, id: &str) -> bool {
    let id = KeyId::parse(id).unwrap();
    knowledge.key(&id).is_some_and(|key| key.disabled)
}

#[tokio::test]
async fn whatever_fails_nothing_is_forgotten_and_everything_is_learnt_in_the_end() {
    for fault in FAULTS {
        let (shared, knowledge) = start().await;
        shared.send_modify(|store| store.fault = fault);
        // Every key changes while nobody hears of it.
        shared.send_modify(|store| {
            store.version += 1;
            store.disabled = true;
        });
        let lists = [
            Fault::GoneEvent,
            Fault::GoneStatus,
            Fault::HalfEvent,
            Fault::Nonsense,
            Fault::SilentWatch,
        ];
        if lists.contains(&fault) {
            // What still lists is learnt without the watch.
            until("the change, by list", || is_disabled(&knowledge, "other")).await;
        } else {
            until("the silence", || {
                knowledge.age(Instant::now()) > 3 * PACE.longest_pause
            })
            .await;
            assert!(!is_disabled(&knowledge, "demo"), "{fault:?}");
        }
        assert_eq!(knowledge.key_count(), Some(2), "{fault:?}");
        shared.send_modify(|store| store.fault = Fault::None);
        until("the change, in the end", || {
            is_disabled(&knowledge, "demo") && is_disabled(&knowledge, "other")
        })
        .await;
        until("fresh knowledge", || {
            knowledge.age(Instant::now()) < PACE.silence
        })
        .await;
        assert_eq!(knowledge.key_count(), Some(2), "{fault:?}");
    }
}
