//! Somebody who is told what happens: a real HTTP server on loopback, which checks
//! each signature itself and answers as a test has it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use ring::hmac;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What every URL of a receiver holds, and nobody may ever tell.
pub const HUSH: &str = "T0HUSHB0HUSH";

/// What messages are signed with, and what they are signed with later.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const OTHER_SECRET: &str = "whsec_c2VjcmV0LW9mLWEtcm90YXRlZC1lbmRwb2ludA==";

/// For a message to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How one message is answered; without a word, with 200.
#[derive(Clone)]
pub enum Answer {
    /// With that status.
    Status(u16),
    /// With that status, and that the sender come again in so many seconds.
    Later(u16, u32),
    /// By leading the sender elsewhere.
    Redirect(String),
    /// With a body without end.
    Endless,
    /// Not at all.
    Never,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Received {
    pub id: String,
    pub timestamp: i64,
    pub at: Instant,
    /// With which of the secrets it is signed; with none of them, `None`.
    pub secret: Option<&'static str>,
    pub body: Value,
}

/// Who is told.
pub struct Receiver {
    pub url: String,
    heard: Arc<Heard>,
}

struct Heard {
    answers: Mutex<VecDeque<Answer>>,
    received: watch::Sender<Vec<Received>>,
}

impl Receiver {
    pub async fn start(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Heard {
            answers: Mutex::new(answers.iter().cloned().collect()),
            received: watch::Sender::default(),
        });
        let router = Router::new().fallback(hear).with_state(Arc::clone(&heard));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url: format!("http://{address}/services/{HUSH}"),
            heard,
        }
    }

    /// The Secret of a destination that leads here.
    pub fn as_destination(&self, name: &'static str) -> (&'static str, String, String) {
        (name, self.url.clone(), SECRET.into())
    }

    /// What was received by now.
    pub fn received(&self) -> Vec<Received> {
        self.heard.received.borrow().clone()
    }

    /// Waits until what was received fits; every message is signed.
    pub async fn until(&self, what: &str, fits: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let mut received = self.heard.received.subscribe();
        let wanted = |received: &Vec<Received>| fits(received);
        let found = tokio::time::timeout(PATIENCE, received.wait_for(wanted)).await;
        let found = found.expect(what).unwrap().clone();
        for one in &found {
            assert!(one.secret.is_some(), "not signed: {one:?}");
            assert!(!one.id.contains('.'), "{}", one.id);
        }
        found
    }

    /// Waits for that many messages.
    pub async fn count(&self, count: usize) -> Vec<Received> {
        let what = format!("{count} messages");
        self.until(&what, |received| received.len() >= count).await
    }
}

impl Received {
    /// What it says, without its blocks.
    pub fn text(&self) -> &str {
        self.body["text"].as_str().unwrap()
    }
}

async fn hear(State(heard): State<Arc<Heard>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let header = |name: &str| parts.headers[name].to_str().unwrap().to_owned();
    let received = Received {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp").parse().unwrap(),
        at: Instant::now(),
        secret: signed_with(&parts.headers, &body),
        body: serde_json::from_slice(&body).unwrap(),
    };
    assert_eq!(header("content-type"), "application/json");
    heard.received.send_modify(|all| all.push(received));
    let answer = heard.answers.lock().unwrap().pop_front();
    let status = |status| StatusCode::from_u16(status).unwrap();
    match answer {
        None => StatusCode::OK.into_response(),
        Some(Answer::Status(code)) => (status(code), HUSH).into_response(),
        Some(Answer::Later(code, seconds)) => {
            (status(code), [("retry-after", seconds.to_string())]).into_response()
        }
        Some(Answer::Redirect(url)) => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", url)]).into_response()
        }
        Some(Answer::Endless) => {
            let piece = Ok::<_, std::convert::Infallible>(vec![b'x'; 1 << 16]);
            let pieces = futures::stream::repeat_with(move || piece.clone());
            axum::body::Body::from_stream(pieces).into_response()
        }
        Some(Answer::Never) => std::future::pending().await,
    }
}

/// The secret that the signature is of, by the specification and none of our code.
fn signed_with(headers: &HeaderMap, body: &[u8]) -> Option<&'static str> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let signature = header("webhook-signature")?.strip_prefix("v1,")?;
    let signature = STANDARD.decode(signature).ok()?;
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let is_of = |secret: &str| {
        let bytes = STANDARD.decode(&secret["whsec_".len()..]).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        hmac::verify(&key, &signed, &signature).is_ok()
    };
    [SECRET, OTHER_SECRET]
        .into_iter()
        .find(|secret| is_of(secret))
}
