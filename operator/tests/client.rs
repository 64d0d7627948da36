//! What the client makes of an API server in trouble: one attempt, one
//! request, and an end to it. A real HTTP server misbehaves in each way.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Config};
use serde_json::json;
use tenantry_operator::client::connect;
use tenantry_operator::leader::Fence;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Long enough for a loopback answer on a busy machine, short enough to wait
/// for in a test.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// What the server does with a request that it has read whole, that is, which
/// it may have carried out.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Answers(&'static str),
    Resets,
    Hangs,
}

const FAULTS: [Fault; 6] = [
    Fault::Answers("429 Too Many Requests\r\nRetry-After: 1"),
    Fault::Answers("500 Internal Server Error"),
    Fault::Answers("503 Service Unavailable"),
    Fault::Answers("504 Gateway Timeout"),
    Fault::Resets,
    Fault::Hangs,
];

/// A server with one fault, and how many requests reached it.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, fault, Arc::clone(&count)));
            }
        });
        Self { url, requests }
    }

    fn client(&self, fence: Option<Fence>) -> Client {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let config = Config::new(self.url.parse().unwrap());
        connect(config, fence, ANSWER_WITHIN).unwrap()
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn answer(mut stream: TcpStream, fault: Fault, count: Arc<AtomicUsize>) {
    let mut read = vec![];
    while is_whole(&read).is_none_or(|whole| !whole) {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    }
    count.fetch_add(1, Ordering::SeqCst);
    match fault {
        Fault::Answers(head) => {
            let text = format!("HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\n{{}}");
            let _ = stream.write_all(text.as_bytes()).await;
        }
        // Unread bytes or not, nothing comes back.
        Fault::Resets => drop(stream),
        Fault::Hangs => std::future::pending().await,
    }
}

/// Whether a request is there with its body; nothing while its head is not.
fn is_whole(read: &[u8]) -> Option<bool> {
    let text = String::from_utf8_lossy(read);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().unwrap());
    Some(body.len() >= length)
}

async fn write(client: Client, method: &str) -> Result<(), kube::Error> {
    let api: Api<ServiceAccount> = Api::namespaced(client, "acme");
    let name = "tenantry-server";
    let document = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "acme"}});
    let object: ServiceAccount = serde_json::from_value(document.clone()).unwrap();
    match method {
        "POST" => api.create(&PostParams::default(), &object).await.map(drop),
        "PUT" => api
            .replace(name, &PostParams::default(), &object)
            .await
            .map(drop),
        "DELETE" => api
            .delete(name, &kube::api::DeleteParams::default())
            .await
            .map(drop),
        "GET" => api.get(name).await.map(drop),
        _ => {
            let params = PatchParams::apply("tenantry/1");
            api.patch(name, &params, &Patch::Apply(&document))
                .await
                .map(drop)
        }
    }
}

fn open() -> Fence {
    let fence = Fence::default();
    fence.open_until(Instant::now() + Duration::from_hours(1));
    fence
}

#[tokio::test]
async fn one_attempt_is_one_request_whatever_the_api_server_does() {
    for fault in FAULTS {
        for method in ["PATCH", "POST", "PUT", "DELETE", "GET"] {
            let server = Server::start(fault).await;
            let ended = write(server.client(Some(open())), method).await;
            assert!(ended.is_err(), "{fault:?} {method}");
            assert_eq!(server.requests(), 1, "{fault:?} {method}");
        }
    }
}

#[tokio::test]
async fn the_librarys_own_client_would_repeat_a_write_that_may_have_happened() {
    // The reason for ours; should this fail, the library has changed its mind.
    let server = Server::start(Fault::Answers("504 Gateway Timeout\r\nConnection: close")).await;
    let config = Config::new(server.url.parse().unwrap());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_from(config).unwrap();
    let repeated = tokio::spawn(write(client, "PATCH"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.requests() < 3 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    repeated.abort();
    assert!(server.requests() >= 3);
}

#[tokio::test]
async fn who_does_not_lead_reads_and_sends_no_write() {
    let closed = Fence::default();
    let expired = Fence::default();
    expired.open_until(Instant::now());
    for fence in [closed, expired] {
        let server = Server::start(Fault::Answers("200 OK")).await;
        for method in ["PATCH", "POST", "PUT", "DELETE"] {
            let error = write(server.client(Some(fence.clone())), method).await;
            let told = tenantry_operator::tenant::chain(&error.unwrap_err());
            assert!(
                told.ends_with("this operator does not lead, so it writes nothing"),
                "{told}"
            );
        }
        assert_eq!(server.requests(), 0);
        let _ = write(server.client(Some(fence)), "GET").await;
        assert_eq!(server.requests(), 1);
    }
}
