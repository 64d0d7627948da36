//! What a vendor's answer means: its body, or the first row of the error table
//! that fits. Pure; no retry is decided here.

use serde_json::Value;
use tenantry_core::text;

use crate::call_error::{CallError, VendorText};
use crate::plan::{ApiPlan, Applied, BodyCondition, ErrorBodyPlan, ErrorClass, ErrorRule, Test};
use crate::pointer::Pointer;

/// Enough for a sentence of the vendor, too little for a page.
const LONGEST_MESSAGE: usize = 300;

/// An answer, as far as its meaning depends on it.
pub(crate) struct Reply<'r> {
    pub status: u16,
    pub body: &'r [u8],
    /// How long the quota headers ask to wait.
    pub wait_ms: Option<u64>,
    /// The token of the request, which no text may repeat.
    pub token: &'r str,
}

/// The body of a good answer; or what is wrong, and whether the request took
/// effect. What the table does not know may have.
pub(crate) fn judge(api: &ApiPlan, reply: &Reply<'_>) -> Result<Value, (CallError, Applied)> {
    let success = (200..300).contains(&reply.status);
    let body: Option<Value> = serde_json::from_slice(reply.body).ok();
    let fits = |rule: &&ErrorRule| rule_fits(rule, reply.status, success, body.as_ref());
    let unknown = |error| (error, Applied::Unknown);
    let (class, applied) = match api.errors.iter().find(fits) {
        Some(rule) => (rule.class, rule.applied),
        None if success => {
            let problem = "the body is not JSON".into();
            return body.ok_or_else(|| unknown(CallError::Malformed { problem }));
        }
        None => {
            let class = class_of_status(reply.status).map_err(unknown)?;
            (class, Applied::Unknown)
        }
    };
    let vendor = vendor_text(&api.error_body, body.as_ref(), reply.token);
    Err((call_error(class, vendor, reply), applied))
}

fn rule_fits(rule: &ErrorRule, status: u16, success: bool, body: Option<&Value>) -> bool {
    let status_fits = rule
        .status
        .as_ref()
        .is_none_or(|list| list.contains(&status));
    let body_fits =
        |condition: &BodyCondition| body.is_some_and(|body| condition_holds(condition, body));
    (rule.match_success || !success) && status_fits && rule.body.iter().all(body_fits)
}

fn condition_holds(condition: &BodyCondition, body: &Value) -> bool {
    let found = condition.pointer.find(body);
    match &condition.test {
        Test::Present => found.is_some_and(|value| !value.is_null()),
        Test::Begins(start) => {
            let text = found.and_then(Value::as_str);
            text.is_some_and(|text| text.starts_with(start))
        }
        Test::Codes(ranges) => found.and_then(Value::as_i64).is_some_and(|code| {
            ranges
                .iter()
                .any(|(low, high)| (low..=high).contains(&&code))
        }),
    }
}

/// What a status means when the table has no row for it.
fn class_of_status(status: u16) -> Result<ErrorClass, CallError> {
    match status {
        401 => Ok(ErrorClass::Unauthorized),
        404 => Ok(ErrorClass::NotFound),
        429 => Ok(ErrorClass::Throttled),
        400..=499 => Ok(ErrorClass::Rejected),
        500..=599 => Ok(ErrorClass::Unavailable),
        // Redirects are not followed: they could lead a token to another host.
        _ => Err(CallError::Malformed {
            problem: format!("unexpected status {status}"),
        }),
    }
}

fn call_error(class: ErrorClass, vendor: VendorText, reply: &Reply<'_>) -> CallError {
    match class {
        ErrorClass::Throttled => CallError::Throttled {
            vendor,
            retry_after_ms: reply.wait_ms,
        },
        ErrorClass::Unauthorized => CallError::Unauthorized { vendor },
        ErrorClass::Forbidden => CallError::Forbidden { vendor },
        ErrorClass::NotFound => CallError::NotFound { vendor },
        ErrorClass::TooLarge => CallError::TooLarge { vendor },
        ErrorClass::Rejected => CallError::Rejected { vendor },
        ErrorClass::Unavailable => CallError::Unavailable {
            cause: format!("status {}, {vendor}", reply.status),
        },
    }
}

fn vendor_text(plan: &ErrorBodyPlan, body: Option<&Value>, token: &str) -> VendorText {
    let at = |pointer: &Pointer| pointer.find(body?);
    let number = |pointer: &Pointer| at(pointer).and_then(Value::as_i64);
    let code = match (number(&plan.code), number(&plan.subcode)) {
        (Some(code), Some(subcode)) => format!("{code}/{subcode}"),
        (Some(code), None) => code.to_string(),
        (None, _) => String::new(),
    };
    let message = at(&plan.message)
        .and_then(Value::as_str)
        .unwrap_or_default();
    VendorText {
        code,
        message: presentable(message, token),
    }
}

/// Vendor words fit to be shown: no token, nothing invisible, not long.
fn presentable(message: &str, token: &str) -> String {
    let mut text = message.to_owned();
    if !token.is_empty() {
        text = text.replace(token, "[token]");
    }
    // A URL that the vendor quotes may carry the token in another spelling.
    if let Some(start) = text.find("access_token") {
        text.truncate(start);
        text.push_str("[cut]");
    }
    text::presentable(&text, LONGEST_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendor_words_lose_token_control_characters_and_length() {
        assert_eq!(
            presentable("bad token EAAB1 here", "EAAB1"),
            "bad token [token] here"
        );
        assert_eq!(
            presentable("see https://x/?access_token=EA%41B1", "EAAB1"),
            "see https://x/?[cut]"
        );
        assert_eq!(presentable("a\u{1b}[31m\nb", "t"), r"a\u{1b}[31m\u{a}b");
        let long = presentable(&"x".repeat(1_000), "t");
        assert_eq!(long.chars().count(), LONGEST_MESSAGE);
    }

    #[test]
    fn a_redirect_is_not_an_answer() {
        assert!(matches!(
            class_of_status(302),
            Err(CallError::Malformed { .. })
        ));
    }
}
