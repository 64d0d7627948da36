//! A client that wants one change, and repeats its call with the same key until
//! the answer is final, of whichever server lives.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::documents::key;
use crate::plan::decimal;
use crate::replicas::Urls;

/// Between two calls of a client that waits.
const REPEATED: Duration = Duration::from_millis(50);

/// The rule that the race is about.
const CAP: &str = "budget.perWindow.maxDailyIncrease";

/// How a client's change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was made.
    Made,
    /// There was no room for it.
    OverCap,
    /// It had room and was not made.
    NotMade,
    /// People must find out.
    NeedsHuman,
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It asks.
    Asking,
    /// It was told that its change is under way, and has asked again since.
    Waiting,
    /// It has its answer.
    Ended,
}

/// All clients of a round.
pub type Standings = watch::Sender<Vec<Standing>>;

/// A client, and what it wants.
pub struct Client<'r> {
    /// Among the others.
    pub number: usize,
    /// What it changes.
    pub ad_set: &'r str,
    /// The budget that it wants.
    pub target_cents: u64,
    /// Whom it can ask.
    pub urls: Urls,
    /// Where all clients stand.
    pub standings: &'r Standings,
    /// By which it calls.
    pub http: &'r reqwest::Client,
}

impl Client<'_> {
    /// Asks until the answer is final.
    pub async fn ask(&self) -> Result<End> {
        for attempt in self.number.. {
            // What does not answer has died: the next one may live.
            if let Some(envelope) = self.call(&self.urls.of(attempt)).await? {
                if let Some(end) = end(&envelope)? {
                    self.stands(Standing::Ended);
                    return Ok(end);
                }
                self.stands(standing(&envelope));
            }
            tokio::time::sleep(REPEATED).await;
        }
        bail!("there are not so many attempts");
    }

    /// The envelope; nothing if the server died of it, or before.
    async fn call(&self, url: &str) -> Result<Option<Value>> {
        let amount = json!({"amount": decimal(self.target_cents), "currency": "EUR"});
        let own = format!("0d9f4f7e-5a0b-4c1e-9d43-6a6f8c{:06}", self.number);
        let arguments =
            json!({"ad_set_id": self.ad_set, "daily_budget": amount, "idempotency_key": own});
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "meta_set_budget", "arguments": arguments},
        });
        let request = self.http.post(url).bearer_auth(key().reveal());
        let request = request.header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream");
        let answered = async {
            let answer = request.body(call.to_string()).send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
        };
        let Ok((status, text)) = answered.await else {
            return Ok(None);
        };
        // The port of a server that died may be another listener's by now.
        if status == StatusCode::NOT_FOUND && text.is_empty() {
            return Ok(None);
        }
        let answer: Value = serde_json::from_str(&text)
            .with_context(|| format!("the answer is {status} `{text}`"))?;
        let envelope = answer["result"]["structuredContent"].clone();
        ensure!(envelope.is_object(), "the answer is {answer}");
        Ok(Some(envelope))
    }

    fn stands(&self, standing: Standing) {
        self.standings
            .send_modify(|all| all[self.number] = standing);
    }
}

/// How a change ended, if nothing follows. What failed or was refused for now
/// alone is no end: a repetition tries again.
fn end(envelope: &Value) -> Result<Option<End>> {
    let (status, reason) = (&envelope["status"], &envelope["reason"]);
    if reason == "PolicyDenied" {
        let rules: Vec<&Value> = envelope["rules"].as_array().into_iter().flatten().collect();
        let is_cap = rules.len() == 1 && rules[0]["rule"] == CAP;
        ensure!(is_cap, "refused by another rule: {envelope}");
        return Ok(Some(End::OverCap));
    }
    Ok(match status.as_str() {
        Some("done") => Some(End::Made),
        Some("needs_human") => Some(End::NeedsHuman),
        Some("failed") if envelope["replayed"] == true => Some(End::NotMade),
        Some("failed" | "refused" | "in_progress" | "settling") => None,
        _ => bail!("nobody asked for {envelope}"),
    })
}

fn standing(envelope: &Value) -> Standing {
    match envelope["status"].as_str() {
        Some("in_progress" | "settling") => Standing::Waiting,
        _ => Standing::Asking,
    }
}
