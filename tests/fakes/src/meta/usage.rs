//! How much has been used, and the headers that tell it with every answer.

use std::collections::BTreeMap;

use serde_json::json;

use super::faults::{Fault, Faults, Tier};
use super::wire::Told;

/// The score of an account with standard access. With development access it is
/// 60, which a sandbox would have used up in a minute: without a tier nothing
/// is enforced, and shares are told as of this.
const STANDARD_SCORE: u32 = 9_000;
/// The calls of an app. Meta: 200 an hour times its users, of which the sandbox's
/// has 500; an hour of the sandbox never ends.
const MOST_CALLS: u32 = 100_000;

/// Meta: a full score decays in 300 s, evenly.
const DECAY_SECONDS: u64 = 300;
/// How long a limit of a test's own blocks.
const OWN_BLOCK_SECONDS: i64 = 100;
const HOUR_SECONDS: i64 = 3600;

/// The limits of an app's access tier.
struct Limits {
    score: u32,
    block_seconds: i64,
    /// Calls of the use case `ads_management` in an account's hour, and so many
    /// more for each active ad.
    calls_per_hour: u32,
    calls_per_ad: u32,
}

/// Meta: Rate Limiting, by "Marketing API access tier".
const DEVELOPMENT: Limits = Limits {
    score: 60,
    block_seconds: 300,
    calls_per_hour: 300,
    calls_per_ad: 40,
};
const STANDARD: Limits = Limits {
    score: STANDARD_SCORE,
    block_seconds: 60,
    calls_per_hour: 100_000,
    calls_per_ad: 40,
};

/// The counters.
#[derive(Default)]
pub(super) struct Usage {
    calls: u32,
    scores: BTreeMap<String, Score>,
    hours: BTreeMap<String, (i64, u32)>,
}

/// The score of one account. A point is 300 parts, so that a full score of n
/// points loses n parts a second.
struct Score {
    parts: u64,
    at: i64,
    blocked_until: i64,
}

/// The counters after one request.
pub(super) struct Used {
    account: Option<String>,
    tier: &'static str,
    calls_percent: u32,
    score_percent: u32,
    /// How long the account is blocked still.
    block_seconds: i64,
    use_case_percent: u32,
    use_case_minutes: i64,
}

impl Usage {
    /// Counts one request of so many points to an account with so many active
    /// ads.
    pub fn count(
        &mut self,
        account: Option<&str>,
        points: u32,
        ads: u32,
        now: i64,
        faults: &Faults,
    ) -> Used {
        self.calls += 1;
        let most_calls = faults.most_app_calls.unwrap_or(MOST_CALLS).max(1);
        let calls_percent = self.calls.saturating_mul(100) / most_calls;
        let limits = faults.tier.map(Tier::limits);
        let mut used = Used {
            account: account.map(str::to_owned),
            tier: faults.tier.unwrap_or(Tier::Standard).word(),
            calls_percent,
            use_case_percent: calls_percent.min(100),
            ..Used::nothing()
        };
        let Some(account) = account else {
            return used;
        };
        let block = limits.map_or(OWN_BLOCK_SECONDS, |limits| limits.block_seconds);
        let most = faults.most_score.or(limits.map(|limits| limits.score));
        (used.score_percent, used.block_seconds) = self.score(account, points, most, block, now);
        if let Some(limits) = limits {
            let most = limits.calls_per_hour + limits.calls_per_ad.saturating_mul(ads);
            (used.use_case_percent, used.use_case_minutes) = self.hour(account, most, now);
        }
        used
    }

    /// The share of the score before this request, and how long it blocks.
    fn score(
        &mut self,
        account: &str,
        points: u32,
        most: Option<u32>,
        block_seconds: i64,
        now: i64,
    ) -> (u32, i64) {
        let scale = u64::from(most.unwrap_or(STANDARD_SCORE).max(1));
        let full = scale * DECAY_SECONDS;
        let score = self.scores.entry(account.to_owned()).or_insert(Score {
            parts: 0,
            at: now,
            blocked_until: i64::MIN,
        });
        let passed = u64::try_from(now.saturating_sub(score.at)).unwrap_or_default();
        let before = score.parts.saturating_sub(passed.saturating_mul(scale));
        (score.parts, score.at) = (before, now);
        let is_full = most.is_some() && before >= full;
        if now >= score.blocked_until && is_full {
            score.blocked_until = now.saturating_add(block_seconds);
        }
        if now >= score.blocked_until {
            let cost = u64::from(points) * DECAY_SECONDS;
            score.parts = before.saturating_add(cost).min(full);
        }
        let percent = u32::try_from(before.saturating_mul(100) / full).unwrap_or(100);
        let left = score.blocked_until.saturating_sub(now).max(0);
        (percent.min(100), left)
    }

    /// The share of the account's hour, and the minutes until the next if it is
    /// used up.
    fn hour(&mut self, account: &str, most: u32, now: i64) -> (u32, i64) {
        let (since, calls) = self.hours.entry(account.to_owned()).or_insert((now, 0));
        if now.saturating_sub(*since) >= HOUR_SECONDS {
            (*since, *calls) = (now, 0);
        }
        *calls += 1;
        let left = HOUR_SECONDS - now.saturating_sub(*since);
        let minutes = if *calls > most { (left + 59) / 60 } else { 0 };
        (
            calls.saturating_mul(100).div_ceil(most.max(1)).min(100),
            minutes,
        )
    }
}

impl Used {
    /// Where no account is concerned.
    pub fn nothing() -> Self {
        Self {
            account: None,
            tier: Tier::Standard.word(),
            calls_percent: 0,
            score_percent: 0,
            block_seconds: 0,
            use_case_percent: 0,
            use_case_minutes: 0,
        }
    }

    /// The refusal if nothing is left.
    pub fn refusal(&self) -> Option<Told> {
        if self.block_seconds > 0 {
            return Some(Told::throttled());
        }
        (self.use_case_minutes > 0).then(|| Fault::UseCaseThrottled.tell((0, None)))
    }

    /// Meta's usage headers; there is no Retry-After among them.
    pub fn headers(&self, fault: Option<Fault>) -> Vec<(&'static str, String)> {
        let percent = self.calls_percent.min(100);
        let wait = match fault {
            Some(Fault::Throttled) => OWN_BLOCK_SECONDS,
            _ => self.block_seconds,
        };
        let account_percent = if wait > 0 { 100 } else { self.score_percent };
        let app_percent = if fault == Some(Fault::AppThrottled) {
            100
        } else {
            percent
        };
        let (use_case_percent, minutes) = match fault {
            Some(Fault::UseCaseThrottled) => (100, 7),
            _ => (self.use_case_percent, self.use_case_minutes),
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
            "reset_time_duration": wait,
            "ads_api_access_tier": self.tier,
        });
        let use_case = json!({account.trim_start_matches("act_"): [{
            "type": "ads_management",
            "call_count": use_case_percent,
            "total_cputime": percent,
            "total_time": percent,
            "estimated_time_to_regain_access": minutes,
            "ads_api_access_tier": self.tier,
        }]});
        let insights = json!({
            "app_id_util_pct": percent,
            "acc_id_util_pct": account_percent,
            "ads_api_access_tier": self.tier,
        });
        headers.push(("x-ad-account-usage", account_usage.to_string()));
        headers.push(("x-business-use-case-usage", use_case.to_string()));
        headers.push(("x-fb-ads-insights-throttle", insights.to_string()));
        headers
    }
}

impl Tier {
    fn limits(self) -> &'static Limits {
        match self {
            Self::Development => &DEVELOPMENT,
            Self::Standard => &STANDARD,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Development => "development_access",
            Self::Standard => "standard_access",
        }
    }
}
