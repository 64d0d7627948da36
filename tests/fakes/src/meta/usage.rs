//! How much has been used, and the headers that tell it with every answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::faults::{Fault, Faults};

/// The score of an account with standard access, and when it is forgotten. With
/// development access it is 60, which a sandbox would have used up in a minute.
const STANDARD_SCORE: u32 = 9_000;
/// The calls of an app; the real limit grows with its users.
const MOST_CALLS: u32 = 10_000;

const DECAY: Duration = Duration::from_mins(5);

/// The counters.
#[derive(Default)]
pub(super) struct Usage {
    calls: u32,
    scores: BTreeMap<String, (Instant, u32)>,
}

/// The counters after one request.
pub(super) struct Used {
    account: Option<String>,
    calls_percent: u32,
    score_percent: u32,
    /// The account has no score left.
    pub exhausted: bool,
}

impl Usage {
    /// Counts one read.
    pub fn count(&mut self, account: Option<&str>, faults: &Faults) -> Used {
        self.calls += 1;
        let most_score = faults.most_score;
        let most_calls = faults.most_app_calls.unwrap_or(MOST_CALLS).max(1);
        let most = most_score.unwrap_or(u32::MAX);
        let score = account.map_or(0, |account| self.score(account, most));
        let scale = most_score.unwrap_or(STANDARD_SCORE).max(1);
        Used {
            account: account.map(str::to_owned),
            calls_percent: self.calls.saturating_mul(100) / most_calls,
            score_percent: (score.saturating_mul(100) / scale).min(100),
            exhausted: score >= most,
        }
    }

    /// The score before this read, which costs 1 unless nothing is left.
    fn score(&mut self, account: &str, most: u32) -> u32 {
        let now = Instant::now();
        let (since, score) = self.scores.entry(account.to_owned()).or_insert((now, 0));
        if now.duration_since(*since) >= DECAY {
            (*since, *score) = (now, 0);
        }
        let before = *score;
        *score = before.saturating_add(1).min(most);
        before
    }
}

impl Used {
    /// Meta's usage headers; there is no Retry-After among them.
    pub fn headers(&self, fault: Option<Fault>) -> Vec<(&'static str, String)> {
        let percent = self.calls_percent.min(100);
        let throttled = self.exhausted || fault == Some(Fault::Throttled);
        let account_percent = if throttled { 100 } else { self.score_percent };
        let app_percent = if fault == Some(Fault::AppThrottled) {
            100
        } else {
            percent
        };
        let (use_case_percent, minutes) = match fault {
            Some(Fault::UseCaseThrottled) => (100, 7),
            _ => (percent, 0),
        };
        let mut headers = vec![(
            "x-app-usage",
            json!({"call_count": app_percent, "total_time": percent, "total_cputime": percent})
                .to_string(),
        )];
        let Some(account) = &self.account else {
            return headers;
        };
        let account_usage = json!({
            "acc_id_util_pct": account_percent,
            "reset_time_duration": if throttled { 100 } else { 0 },
            "ads_api_access_tier": "standard_access",
        });
        let use_case = json!({account.trim_start_matches("act_"): [{
            "type": "ads_management",
            "call_count": use_case_percent,
            "total_cputime": percent,
            "total_time": percent,
            "estimated_time_to_regain_access": minutes,
            "ads_api_access_tier": "standard_access",
        }]});
        let insights = json!({
            "app_id_util_pct": percent,
            "acc_id_util_pct": account_percent,
            "ads_api_access_tier": "standard_access",
        });
        headers.push(("x-ad-account-usage", account_usage.to_string()));
        headers.push(("x-business-use-case-usage", use_case.to_string()));
        headers.push(("x-fb-ads-insights-throttle", insights.to_string()));
        headers
    }
}
