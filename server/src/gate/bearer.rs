//! Whose request it is: the API key in the Authorization header.

use std::sync::Arc;

use http::{HeaderMap, header};
use jiff::Timestamp;
use tenantry_core::digest::Digest;
use tenantry_core::key::{ApiKey, KeyRecord};
use tenantry_core::reason::Reason;

use super::rejection::Rejection;
use crate::knowledge::Knowledge;

/// The key that came with the request.
pub fn presented(headers: &HeaderMap) -> Result<ApiKey, Rejection> {
    let missing =
        || Rejection::unauthorized(Reason::KeyMissing, "no API key came with the request");
    let malformed = || {
        Rejection::unauthorized(
            Reason::KeyMalformed,
            "what came with the request is not an API key",
        )
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(malformed());
    }
    let text = value.to_str().map_err(|_| malformed())?;
    let (scheme, key) = text.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    ApiKey::parse(key.trim()).map_err(|_| malformed())
}

/// The record of that key, if it is good at `now`.
pub fn admit(
    knowledge: &Knowledge,
    key: &ApiKey,
    now: Timestamp,
) -> Result<Arc<KeyRecord>, Rejection> {
    // An id that nobody has is compared like any other, so that the time of
    // an answer does not tell which ids exist.
    let record = knowledge
        .key(key.id())
        .unwrap_or_else(|| Arc::new(nobody(key)));
    match record.admit(key, now) {
        Ok(()) => Ok(record),
        Err(reason) => Err(Rejection::unauthorized(reason, message(reason))),
    }
}

/// A record that no secret fits.
fn nobody(key: &ApiKey) -> KeyRecord {
    KeyRecord {
        id: key.id().clone(),
        owner: String::new(),
        agent: None,
        issued_by: None,
        // Of no bytes: a secret has 32.
        digest: Digest::of(b""),
        scopes: Vec::new(),
        accounts: None,
        not_before: None,
        expires_at: None,
        disabled: true,
    }
}

/// What is said of a key that is not good.
pub fn message(reason: Reason) -> &'static str {
    match reason {
        Reason::KeyRevoked => "the key was revoked",
        Reason::KeyExpired => "the key has expired",
        Reason::KeyNotYetValid => "the key is not valid yet",
        _ => "no key of this organisation has that id and secret",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tenantry_core::name::KeyId;

    use super::*;

    fn key() -> ApiKey {
        ApiKey::new(KeyId::parse("demo").unwrap(), [7; 32])
    }

    fn reason(values: &[&str]) -> Result<String, Reason> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                header::AUTHORIZATION,
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        presented(&headers)
            .map(|key| key.id().to_string())
            .map_err(|rejection| rejection.refusal.reason)
    }

    #[test]
    fn exactly_one_bearer_key_is_taken() {
        let good = format!("Bearer {}", key().reveal());
        assert_eq!(reason(&[&good]), Ok("demo".into()));
        assert_eq!(
            reason(&[&good.replace("Bearer", "bEARER")]),
            Ok("demo".into())
        );
        assert_eq!(reason(&[]), Err(Reason::KeyMissing));
        assert_eq!(reason(&["Basic dXNlcjpwYXNz"]), Err(Reason::KeyMissing));
        for bad in [
            "Bearer",
            "Bearer ",
            "Bearer x",
            "Bearer tnt_demo_0",
            "Bearer é",
        ] {
            assert_eq!(reason(&[bad]), Err(Reason::KeyMalformed), "{bad}");
        }
        assert_eq!(reason(&[&good, &good]), Err(Reason::KeyMalformed));
    }

    #[test]
    fn nobody_has_no_secret_at_all() {
        assert_eq!(
            nobody(&key()).admit(&key(), Timestamp::now()),
            Err(Reason::KeyUnknown)
        );
    }
}
