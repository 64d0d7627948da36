//! What must never happen: foreign rows, wrong amounts, leaked tokens.

use serde_json::json;
use tenantry_connectors::call_error::CallError;
use tenantry_connectors::corridor::owned::Owned;
use tenantry_connectors::corridor::{Corridor, CorridorError};
use tenantry_connectors::token::{StaticToken, TokenError, TokenSource};
use tenantry_core::reason::Reason;
use tenantry_fakes::meta::{Fault, Faults, SANDBOX_TOKEN, TokenPlace};

use crate::bench::{self, Bench, FAST, args, at};

#[tokio::test]
async fn a_row_of_another_account_is_an_error_and_not_data() {
    let bench = Bench::start().await;
    bench.fake.set_faults(Faults {
        foreign_row: true,
        ..Faults::default()
    });
    let insights = json!({"account": "act_1001", "level": "campaign"});
    for (tool, asked) in [
        ("meta_list_campaigns", json!({"account": "act_1001"})),
        ("meta_get_insights", insights),
    ] {
        let error = bench.call(tool, asked).await.unwrap_err();
        assert_eq!(
            error,
            CallError::ForeignRow {
                asked: "act_1001".into()
            }
        );
    }
}

#[tokio::test]
async fn a_wrongly_declared_currency_shows_no_amount() {
    let bench = Bench::with(
        &[("act_1001", "EUR"), ("act_1002", "USD")],
        SANDBOX_TOKEN,
        FAST,
    )
    .await;
    let error = bench
        .call("meta_list_campaigns", json!({"account": "act_1002"}))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::SpecInvalid);
    assert_eq!(
        error.refusal().message,
        "account `act_1002` is kept in `TWD` at the vendor, but declared as `USD`"
    );
    assert_eq!(
        bench.fake.requests().len(),
        1,
        "the list itself was not asked for"
    );
}

#[tokio::test]
async fn the_currency_is_confirmed_once() {
    let bench = Bench::start().await;
    assert_eq!(bench.campaigns().await.unwrap().requests, 2);
    assert_eq!(bench.campaigns().await.unwrap().requests, 1);
}

#[tokio::test]
async fn without_a_token_nothing_reaches_the_vendor() {
    struct NoToken(TokenError);
    impl TokenSource for NoToken {
        fn token(&self) -> Result<secrecy::SecretString, TokenError> {
            Err(self.0.clone())
        }
    }
    let bench = Bench::start().await;
    let missing = TokenError::Missing {
        place: "/var/run/meta/token".into(),
    };
    let unusable =
        |token: &str| -> Box<dyn TokenSource> { Box::new(StaticToken::new(token.into())) };
    let sources = [
        Box::new(NoToken(missing)),
        unusable(""),
        unusable("EAA\r\nHost: x"),
        unusable("a b"),
    ];
    for source in sources {
        let corridor = bench.corridor_from(source.into());
        let error = bench
            .call_at(&corridor, "meta_list_ad_accounts", json!({}), at(10_000))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::SecretMissing);
    }
    assert_eq!(bench.fake.requests(), []);
}

#[tokio::test]
async fn with_a_proxy_the_vendor_is_reached_through_it_alone() {
    let bench = Bench::start().await;
    let corridor = bench.corridor_by_proxy("http://vendor.invalid");
    let answer = bench
        .call_at(&corridor, "meta_list_ad_accounts", json!({}), at(10_000))
        .await;
    assert!(answer.is_ok(), "{answer:?}");
    assert!(!bench.fake.requests().is_empty());
}

#[tokio::test]
async fn no_text_ever_holds_the_token() {
    let (log, _guard) = bench::capture_log();
    let bench = Bench::start().await;
    let faults = [
        Fault::TokenInMessage,
        Fault::Redirect,
        Fault::Reset,
        Fault::TokenExpired,
        Fault::NotJson,
    ];
    for fault in faults {
        bench.fake.set_faults(Faults {
            fail: Some(fault),
            ..Faults::default()
        });
        let error = bench.campaigns().await.unwrap_err();
        let texts = format!("{error} {error:?} {:?}", error.refusal());
        assert!(!texts.contains(SANDBOX_TOKEN), "{fault:?}: {texts}");
        assert!(!texts.contains("http://"), "{fault:?}: {texts}");
    }
    bench.fake.set_faults(Faults {
        served_version: Some("v25.0".into()),
        ..Faults::default()
    });
    let answer = bench.campaigns().await.unwrap();
    assert!(
        !format!("{answer:?}").contains(SANDBOX_TOKEN),
        "not even by a next page's URL"
    );
    let log = log.text();
    assert!(log.contains("v25.0"), "the log was captured: {log}");
    assert!(!log.contains(SANDBOX_TOKEN), "{log}");
    assert!(
        bench
            .fake
            .requests()
            .iter()
            .all(|request| request.token == TokenPlace::Header)
    );
}

#[tokio::test]
async fn arguments_that_exclude_each_other_are_refused_before_the_vendor() {
    let bench = Bench::start().await;
    let range = json!({"since": "2026-11-01", "until": "2026-11-07"});
    let asked =
        json!({"account": "act_1001", "level": "ad", "date_preset": "today", "time_range": range});
    let error = bench.call("meta_get_insights", asked).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ArgumentsInvalid);
    assert_eq!(bench.fake.requests(), []);
}

#[tokio::test]
async fn a_proof_of_another_account_or_corridor_opens_nothing() {
    let bench = Bench::start().await;
    let tool = bench.tool("meta_list_campaigns");
    let stranger = Bench::with(&[("act_2001", "USD")], SANDBOX_TOKEN, FAST).await;
    let asked = args(json!({"account": "act_1001"}));
    let foreign = args(json!({"account": "act_2001"}));
    let attempts = [
        (&asked, bench.corridor.own("act_1002")),
        (&foreign, stranger.corridor.own("act_2001")),
        (&asked, None),
    ];
    for (asked, proof) in attempts {
        let error = bench
            .corridor
            .read(tool, asked, proof.map(Owned::Account), at(10_000))
            .await
            .unwrap_err();
        assert_eq!(error, CallError::AccountNotOwned);
    }
    let tool = stranger.tool("meta_list_ad_accounts");
    let error = bench
        .corridor
        .read(tool, &args(json!({})), None, at(10_000))
        .await
        .unwrap_err();
    assert_eq!(
        error.reason(),
        Reason::ToolUnknown,
        "a tool of another connector"
    );
    assert_eq!(bench.fake.requests(), []);
}

#[tokio::test]
async fn doubtful_addresses_and_accounts_make_no_corridor() {
    let bench = Bench::start().await;
    for address in [
        "http://fake/v1",
        "ftp://fake",
        "http://u:p@fake",
        "http://fake/?x=1",
        "http://fake/#x",
    ] {
        let made = bench.try_corridor(&[("act_1001", "EUR")], address);
        assert!(
            matches!(made, Err(CorridorError::SandboxAddress { .. })),
            "{address}"
        );
    }
    for account in ["1001", "act_", "act_1-x"] {
        let made: Result<Corridor, _> = bench.try_corridor(&[(account, "EUR")], "http://fake");
        assert!(
            matches!(made, Err(CorridorError::AccountSpelling { .. })),
            "{account}"
        );
    }
    let twice = bench.try_corridor(&[("act_1", "EUR"), ("act_1", "EUR")], "http://fake");
    assert!(matches!(twice, Err(CorridorError::AccountTwice(_))));
}

#[tokio::test]
async fn a_narrowed_corridor_knows_its_own_accounts_only() {
    let bench = Bench::start().await;
    bench.confirm("act_1001").await;
    let narrowed = bench.corridor.narrowed(|id| id.as_str() == "act_1001");
    assert!(narrowed.own("act_1002").is_none());
    let listed = bench
        .call_at(&narrowed, "meta_list_ad_accounts", json!({}), at(10_000))
        .await;
    let listed = listed.unwrap().data["accounts"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], "act_1001");
    let tool = bench.tool("meta_list_campaigns");
    let wider = bench.corridor.own("act_1002");
    let refused = narrowed
        .read(
            tool,
            &args(json!({"account": "act_1002"})),
            wider.map(Owned::Account),
            at(10_000),
        )
        .await;
    assert_eq!(refused.unwrap_err(), CallError::AccountNotOwned);
    let asked = json!({"account": "act_1001"});
    let answer = bench
        .call_at(&narrowed, "meta_list_campaigns", asked, at(10_000))
        .await
        .unwrap();
    assert_eq!(answer.requests, 1, "the currency was confirmed before");
}
