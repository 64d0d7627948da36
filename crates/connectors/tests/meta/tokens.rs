//! The token: the proof that goes with it, and what the vendor says of it.

use secrecy::SecretString;
use serde_json::json;
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::token::{TokenError, TokenFacts, TokenSource};
use tenantry_core::reason::Reason;
use tenantry_fakes::meta::{EXPIRED_TOKEN, Faults, REVOKED_TOKEN, SANDBOX_TOKEN};

use crate::bench::{Bench, at};

/// A token, and the secret of its app.
struct Pair(&'static str, Option<&'static str>);

impl TokenSource for Pair {
    fn token(&self) -> Result<SecretString, TokenError> {
        Ok(self.0.into())
    }

    fn app_secret(&self) -> Result<Option<SecretString>, TokenError> {
        Ok(self.1.map(SecretString::from))
    }
}

#[tokio::test]
async fn the_apps_secret_is_proven_where_it_is_known_and_never_sent() {
    let bench = Bench::start().await;
    bench.fake.set_faults(Faults {
        app_secret: Some("s3cret".into()),
        ..Faults::default()
    });
    let cases = [
        (Some("s3cret"), true),
        (Some("other"), false),
        (None, false),
    ];
    for (secret, is_good) in cases {
        bench.fake.forget_requests();
        let corridor = bench.corridor_from(std::sync::Arc::new(Pair(SANDBOX_TOKEN, secret)));
        let read = bench
            .call_at(&corridor, "meta_list_ad_accounts", json!({}), at(10_000))
            .await;
        assert_eq!(read.is_ok(), is_good, "{secret:?}: {read:?}");
        let sent = format!("{:?}", bench.fake.requests());
        assert_eq!(sent.contains("appsecret_proof"), secret.is_some());
        assert!(
            !sent.contains("s3cret") && !sent.contains("other"),
            "{sent}"
        );
    }
}

#[tokio::test]
async fn the_vendor_is_asked_when_a_token_ends_and_hears_it_in_the_body() {
    let bench = Bench::start().await;
    for (end, expected) in [(1_798_000_000, Some(1_798_000_000)), (0, None)] {
        bench.fake.set_faults(Faults {
            token_expires_at: end,
            ..Faults::default()
        });
        let facts = bench.corridor.inspect_token().await.unwrap().unwrap();
        assert_eq!(
            facts,
            TokenFacts {
                is_valid: true,
                expires_at: expected
            }
        );
    }
    let requests = bench.fake.requests();
    assert_eq!(
        (
            requests[0].wire_method.as_str(),
            requests[0].method.as_str()
        ),
        ("POST", "GET")
    );
    assert!(!format!("{requests:?}").contains(SANDBOX_TOKEN));
}

#[tokio::test]
async fn a_refused_token_is_remembered_until_one_is_taken() {
    for dead in [EXPIRED_TOKEN, REVOKED_TOKEN, "EAATenantryUnknown"] {
        let bench = Bench::with(&[("act_1001", "EUR")], dead, crate::bench::FAST).await;
        assert_eq!(bench.corridor.token_refused(), None);
        let error = bench.corridor.inspect_token().await.unwrap_err();
        assert_eq!(error.reason(), Reason::ReconnectRequired);
        let CallError::Unauthorized { vendor } = error else {
            unreachable!()
        };
        assert_eq!(bench.corridor.token_refused(), Some(vendor));
    }
    let bench = Bench::start().await;
    bench.fake.set_faults(Faults {
        fail: Some(tenantry_fakes::meta::Fault::SessionInvalid),
        fail_times: Some(1),
        ..Faults::default()
    });
    bench.campaigns().await.unwrap_err();
    assert!(bench.corridor.token_refused().is_some());
    bench.campaigns().await.unwrap();
    assert_eq!(bench.corridor.token_refused(), None);
}
