//! What vendors say in headers about the use of their quotas.

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::plan::{QuotaRule, QuotaShape};

/// Figures above are of no use and may be nonsense.
const MOST_PERCENT: u32 = 1_000;

/// One quota, as the vendor last described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaObservation {
    /// Which quota, by the connector file's word for it.
    pub bucket: String,
    /// What it belongs to, where the vendor says so: an account or a business.
    pub scope: Option<String>,
    /// It is that account's of the request, not one of all requests.
    pub of_account: bool,
    /// How much of it is used, rounded up.
    pub used_percent: u32,
    /// How long the vendor asks to wait, if it does.
    pub wait_ms: Option<u64>,
}

/// Reads every quota header of an answer; what cannot be read is left out.
pub(crate) fn observe(rules: &[QuotaRule], headers: &HeaderMap) -> Vec<QuotaObservation> {
    rules
        .iter()
        .filter_map(|rule| {
            let text = headers.get(&rule.header)?.to_str().ok()?;
            Some(observations(rule, &serde_json::from_str(text).ok()?))
        })
        .flatten()
        .collect()
}

/// How long to stay away after a throttle: as long as the exhausted quotas
/// say, or any quota if none is plainly exhausted.
pub(crate) fn wait_ms(observations: &[QuotaObservation]) -> Option<u64> {
    let longest = |least_percent: u32| {
        let fitting = observations
            .iter()
            .filter(|one| one.used_percent >= least_percent);
        fitting.filter_map(|one| one.wait_ms).max()
    };
    longest(100).or_else(|| longest(0))
}

fn observations(rule: &QuotaRule, header: &Value) -> Vec<QuotaObservation> {
    let Some(object) = header.as_object() else {
        return Vec::new();
    };
    match rule.shape {
        QuotaShape::Object => vec![observation(rule, None, object)],
        QuotaShape::ObjectOfLists => object
            .iter()
            .filter_map(|(scope, list)| Some((scope, list.as_array()?)))
            .flat_map(|(scope, list)| list.iter().map(move |entry| (scope, entry)))
            .filter_map(|(scope, entry)| Some((scope, entry.as_object()?)))
            .map(|(scope, entry)| observation(rule, Some(scope.clone()), entry))
            .collect(),
    }
}

fn observation(
    rule: &QuotaRule,
    scope: Option<String>,
    figures: &Map<String, Value>,
) -> QuotaObservation {
    let used = rule
        .used_percent
        .iter()
        .filter_map(|field| figures.get(field).and_then(percent));
    let wait = rule.wait.as_ref().and_then(|(field, unit_ms)| {
        let count = figures.get(field)?.as_u64().filter(|&count| count > 0)?;
        Some(count.saturating_mul(*unit_ms))
    });
    QuotaObservation {
        bucket: rule.bucket.clone(),
        scope,
        of_account: rule.of_account,
        used_percent: used.max().unwrap_or(0),
        wait_ms: wait,
    }
}

/// A percentage such as `9.67`, rounded up.
fn percent(value: &Value) -> Option<u32> {
    let text = value.as_number()?.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let more = u32::from(fraction.bytes().any(|digit| digit != b'0'));
    Some(
        whole
            .parse::<u32>()
            .ok()?
            .saturating_add(more)
            .min(MOST_PERCENT),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(
        shape: QuotaShape,
        header: &'static str,
        used: &[&str],
        wait: &str,
        unit_ms: u64,
    ) -> QuotaRule {
        QuotaRule {
            bucket: "account".into(),
            header: http::HeaderName::from_static(header),
            shape,
            of_account: false,
            used_percent: used.iter().map(|&field| field.to_owned()).collect(),
            wait: Some((wait.to_owned(), unit_ms)),
        }
    }

    fn headers(name: &'static str, text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static(text),
        )])
    }

    #[test]
    fn the_account_header_counts_in_seconds() {
        let rules = [rule(
            QuotaShape::Object,
            "x-ad-account-usage",
            &["acc_id_util_pct"],
            "reset_time_duration",
            1_000,
        )];
        let text = r#"{"acc_id_util_pct":9.67,"reset_time_duration":100}"#;
        let seen = observe(&rules, &headers("x-ad-account-usage", text));
        let expected = QuotaObservation {
            bucket: "account".into(),
            scope: None,
            of_account: false,
            used_percent: 10,
            wait_ms: Some(100_000),
        };
        assert_eq!(seen, [expected]);
    }

    #[test]
    fn the_business_header_counts_in_minutes_for_each_business() {
        let rules = [rule(
            QuotaShape::ObjectOfLists,
            "x-business-use-case-usage",
            &["call_count", "total_time"],
            "estimated_time_to_regain_access",
            60_000,
        )];
        let text =
            r#"{"1001":[{"call_count":95,"total_time":100,"estimated_time_to_regain_access":3}]}"#;
        let seen = observe(&rules, &headers("x-business-use-case-usage", text));
        let expected = QuotaObservation {
            bucket: "account".into(),
            scope: Some("1001".into()),
            of_account: false,
            used_percent: 100,
            wait_ms: Some(180_000),
        };
        assert_eq!(seen, [expected]);
    }

    #[test]
    fn an_exhausted_quota_decides_the_wait() {
        let observation = |used_percent, wait_ms| QuotaObservation {
            bucket: "b".into(),
            scope: None,
            of_account: false,
            used_percent,
            wait_ms,
        };
        assert_eq!(
            wait_ms(&[observation(10, Some(300)), observation(100, Some(20))]),
            Some(20)
        );
        assert_eq!(
            wait_ms(&[observation(10, Some(300)), observation(100, None)]),
            Some(300)
        );
        assert_eq!(wait_ms(&[]), None);
    }

    #[test]
    fn nonsense_in_a_header_is_left_out() {
        let rules = [rule(
            QuotaShape::Object,
            "x-app-usage",
            &["call_count"],
            "wait",
            1,
        )];
        for text in ["", "[]", "{", "\"x\""] {
            assert_eq!(observe(&rules, &headers("x-app-usage", text)), [], "{text}");
        }
        let odd = r#"{"call_count":"many","wait":-1}"#;
        let seen = observe(&rules, &headers("x-app-usage", odd));
        assert_eq!(
            seen.first().map(|one| (one.used_percent, one.wait_ms)),
            Some((0, None))
        );
    }
}
