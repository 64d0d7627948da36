//! Who may call what: scopes, accounts, access and freezes.

use std::collections::BTreeSet;

use super::*;
use crate::access::Access;
use crate::digest::Digest;
use crate::freeze::FreezeScope;
use crate::name::{Currency, KeyId, Organization};
use crate::tenant::{CONTRACT_VERSION, ConnectorConfig, LedgerTerms, Limits, RateLimit, ToolRules};

fn account(id: &str, access: Access) -> AccountConfig {
    AccountConfig {
        id: AccountId::parse(id).unwrap(),
        currency: Currency::parse("EUR").unwrap(),
        time_zone: "Europe/Berlin".into(),
        access,
    }
}

fn tenant(access: Access) -> TenantConfig {
    let rate = RateLimit {
        per_minute: 60,
        burst: 10,
    };
    TenantConfig {
        version: CONTRACT_VERSION.into(),
        organization: Organization::parse("acme").unwrap(),
        tenant_uid: "uid".into(),
        access,
        connectors: vec![ConnectorConfig {
            name: ConnectorName::parse("meta").unwrap(),
            accounts: vec![
                account("act_1", Access::ReadWrite),
                account("act_2", Access::ReadOnly),
                account("act_3", Access::Disabled),
            ],
            sandbox_base_url: None,
        }],
        tools: ToolRules::default(),
        policies: vec![],
        missing_policies: BTreeSet::new(),
        limits: Limits {
            per_key: rate,
            per_key_concurrency: 1,
            per_tenant: rate,
            concurrency: 1,
        },
        redact: BTreeSet::new(),
        retain_days: None,
        proxy: None,
        notifications: vec![],
        guard_proven: false,
        canary: None,
        ledger: LedgerTerms::default(),
        allowed_hosts: vec![],
        allowed_origins: vec![],
    }
}

fn key(scopes: &[&str], accounts: Option<&[&str]>) -> KeyRecord {
    KeyRecord {
        id: KeyId::parse("demo").unwrap(),
        owner: "alice".into(),
        agent: None,
        issued_by: None,
        digest: Digest::of(b""),
        scopes: scopes
            .iter()
            .map(|text| Scope::parse(text).unwrap())
            .collect(),
        accounts: accounts.map(|ids| ids.iter().map(|id| AccountId::parse(id).unwrap()).collect()),
        not_before: None,
        expires_at: None,
        disabled: false,
    }
}

/// The reason of a refusal, or the account that was granted.
fn outcome(
    tenant: &TenantConfig,
    key: &KeyRecord,
    class: ToolClass,
    account: Option<&str>,
) -> Result<Option<String>, Reason> {
    let tool = ToolName::parse("meta_tool").unwrap();
    let connector = ConnectorName::parse("meta").unwrap();
    let request = Request {
        tool: &tool,
        connector: &connector,
        class,
        stops: false,
        account,
    };
    authorize(tenant, &Freezes::default(), key, &request)
        .map(|granted| granted.map(|account| account.id.to_string()))
        .map_err(|refusal| refusal.reason)
}

#[test]
fn a_scope_grants_its_class_and_nothing_more() {
    let tenant = tenant(Access::ReadWrite);
    let reader = key(&["meta:read"], None);
    assert_eq!(
        outcome(&tenant, &reader, ToolClass::Read, Some("act_1")),
        Ok(Some("act_1".into()))
    );
    assert_eq!(outcome(&tenant, &reader, ToolClass::Read, None), Ok(None));
    assert_eq!(
        outcome(&tenant, &reader, ToolClass::Spend, Some("act_1")),
        Err(Reason::ScopeMissing)
    );
    assert_eq!(
        outcome(&tenant, &key(&[], None), ToolClass::Read, None),
        Err(Reason::ScopeMissing)
    );
    assert_eq!(
        outcome(&tenant, &key(&["google:read"], None), ToolClass::Read, None),
        Err(Reason::ScopeMissing)
    );
}

#[test]
fn an_account_must_be_the_tenants_and_the_keys() {
    let tenant = tenant(Access::ReadWrite);
    let narrow = key(&["*:read"], Some(&["act_2", "act_9"]));
    assert_eq!(
        outcome(&tenant, &narrow, ToolClass::Read, Some("act_2")),
        Ok(Some("act_2".into()))
    );
    for foreign in ["act_1", "act_9", "act_3", "", "act_2 ", "ACT_2"] {
        assert_eq!(
            outcome(&tenant, &narrow, ToolClass::Read, Some(foreign)),
            Err(Reason::AccountRefused),
            "{foreign}"
        );
    }
    assert_eq!(
        outcome(
            &tenant,
            &key(&["*:read"], Some(&[])),
            ToolClass::Read,
            Some("act_1")
        ),
        Err(Reason::AccountRefused)
    );
}

#[test]
fn the_strictest_access_decides() {
    let all = key(&["*:read", "*:spend"], None);
    let open = tenant(Access::ReadWrite);
    assert!(outcome(&open, &all, ToolClass::Spend, Some("act_1")).is_ok());
    assert_eq!(
        outcome(&open, &all, ToolClass::Spend, Some("act_2")),
        Err(Reason::AccessDenied)
    );
    assert!(
        outcome(
            &tenant(Access::ReadOnly),
            &all,
            ToolClass::Read,
            Some("act_1")
        )
        .is_ok()
    );
    assert_eq!(
        outcome(
            &tenant(Access::ReadOnly),
            &all,
            ToolClass::Spend,
            Some("act_1")
        ),
        Err(Reason::AccessDenied)
    );
    assert_eq!(
        outcome(&tenant(Access::Disabled), &all, ToolClass::Read, None),
        Err(Reason::AccessDenied)
    );
}

#[test]
fn a_foreign_account_and_a_missing_one_read_alike() {
    let tenant = tenant(Access::ReadWrite);
    let narrow = key(&["*:read"], Some(&["act_2"]));
    let tool = ToolName::parse("meta_tool").unwrap();
    let connector = ConnectorName::parse("meta").unwrap();
    let refuse = |account| {
        let request = Request {
            tool: &tool,
            connector: &connector,
            class: ToolClass::Read,
            stops: false,
            account: Some(account),
        };
        authorize(&tenant, &Freezes::default(), &narrow, &request).unwrap_err()
    };
    assert_eq!(refuse("act_1"), refuse("act_404"));
}

fn freeze(name: &str, scope: FreezeScope, access: Access) -> Freeze {
    Freeze {
        name: name.into(),
        scope,
        access,
        note: Some("token leaked".into()),
        flaw: None,
    }
}

/// Who refuses what: for every class, with and without an account, under
/// every freeze and every access of the tenant, the strictest word decides.
#[test]
fn the_strictest_of_tenant_account_and_freezes_decides() {
    let meta = ConnectorName::parse("meta").unwrap();
    let id = |text| AccountId::parse(text).unwrap();
    let words = [
        Access::ReadWrite,
        Access::Frozen,
        Access::ReadOnly,
        Access::Disabled,
    ];
    let scopes = [
        FreezeScope::All,
        FreezeScope::Connector(meta.clone()),
        FreezeScope::Account(meta.clone(), id("act_1")),
        FreezeScope::Account(meta.clone(), id("act_2")),
        FreezeScope::Connector(ConnectorName::parse("google").unwrap()),
    ];
    let everything = key(
        &[
            "*:read",
            "*:write",
            "*:spend",
            "*:financial",
            "*:destructive",
        ],
        None,
    );
    let tool = ToolName::parse("meta_tool").unwrap();
    let mut cases = vec![];
    for access in words {
        for scope in &scopes {
            for frozen in words.into_iter().skip(1) {
                for class in ToolClass::ALL {
                    cases.extend(
                        [None, Some("act_1")]
                            .map(|account| (access, scope, frozen, class, account)),
                    );
                }
            }
        }
    }
    for (access, scope, frozen, class, account) in cases {
        let freezes = Freezes::from_iter([freeze("stop", scope.clone(), frozen)]);
        let request = Request {
            tool: &tool,
            connector: &meta,
            class,
            stops: false,
            account,
        };
        let covered = scope.covers(&meta, account.map(id).as_ref());
        let expected = if !access.permits(class) {
            Some(Reason::AccessDenied)
        } else if covered && !frozen.permits(class) {
            Some(Reason::Frozen)
        } else {
            None
        };
        let tenant = tenant(access);
        let told = authorize(&tenant, &freezes, &everything, &request);
        assert_eq!(
            told.err().map(|refusal| refusal.reason),
            expected,
            "{access:?} {scope} {frozen:?} {class:?} {account:?}"
        );
    }
}

#[test]
fn a_refusal_names_the_freeze_and_who_lifts_it() {
    let meta = ConnectorName::parse("meta").unwrap();
    let tool = ToolName::parse("meta_tool").unwrap();
    let request = Request {
        tool: &tool,
        connector: &meta,
        class: ToolClass::Spend,
        stops: false,
        account: Some("act_1"),
    };
    let all = key(&["*:spend"], None);
    let account = FreezeScope::Account(meta.clone(), AccountId::parse("act_1").unwrap());
    let freezes = Freezes::from_iter([freeze("stop-1", account, Access::Frozen)]);
    let refusal = authorize(&tenant(Access::ReadWrite), &freezes, &all, &request).unwrap_err();
    assert_eq!(
        refusal.message,
        "the McpFreeze `stop-1` leaves meta/act_1 the access `Frozen`, which does not permit spend tools: token leaked"
    );
    assert_eq!(
        refusal.remedy,
        "ask the platform team; whoever may delete the McpFreeze `stop-1` in the organisation's namespace lifts it"
    );
    let unreadable = Freezes::from_iter([Freeze::unreadable("odd", None, "secret words".into())]);
    let refusal = authorize(&tenant(Access::ReadWrite), &unreadable, &all, &request).unwrap_err();
    assert_eq!(
        refusal.message,
        "the McpFreeze `odd` (it cannot be read, so it covers everything) leaves everything the access `Frozen`, which does not permit spend tools"
    );
    let stranger = key(&[], None);
    let refusal =
        authorize(&tenant(Access::ReadWrite), &unreadable, &stranger, &request).unwrap_err();
    assert_eq!(
        refusal.reason,
        Reason::ScopeMissing,
        "no word of the freeze"
    );
}

#[test]
fn a_disabled_account_is_left_out_where_a_tool_spans_accounts() {
    let meta = ConnectorName::parse("meta").unwrap();
    let (tenant, all) = (tenant(Access::ReadWrite), key(&["*:read"], None));
    let visible = |access| {
        let scope = FreezeScope::Account(meta.clone(), AccountId::parse("act_1").unwrap());
        let freezes = Freezes::from_iter([freeze("stop", scope, access)]);
        let ids =
            visible_accounts(&tenant, &freezes, &all, &meta).map(|account| account.id.to_string());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(visible(Access::ReadOnly), ["act_1", "act_2"]);
    assert_eq!(visible(Access::Disabled), ["act_2"]);
}

#[test]
fn without_a_required_policy_only_reads_go_on() {
    let mut tenant = tenant(Access::ReadWrite);
    tenant.missing_policies = ["ads".to_owned(), "crm".to_owned()].into();
    let all = key(
        &[
            "*:read",
            "*:write",
            "*:spend",
            "*:financial",
            "*:destructive",
        ],
        None,
    );
    for class in ToolClass::ALL {
        for account in [None, Some("act_1")] {
            let told = outcome(&tenant, &all, class, account).err();
            let expected = (class != ToolClass::Read).then_some(Reason::PolicyMissing);
            assert_eq!(told, expected, "{class:?} {account:?}");
        }
    }
    let stranger = outcome(&tenant, &key(&[], None), ToolClass::Spend, None);
    assert_eq!(stranger, Err(Reason::ScopeMissing), "no word of policies");
    tenant.access = Access::Frozen;
    let frozen = outcome(&tenant, &all, ToolClass::Spend, None);
    assert_eq!(frozen, Err(Reason::AccessDenied));
}

#[test]
fn a_refusal_names_the_missing_policies_and_where_to_look() {
    let mut tenant = tenant(Access::ReadWrite);
    tenant.missing_policies = ["ads".to_owned(), "crm".to_owned()].into();
    let request = Request {
        tool: &ToolName::parse("meta_tool").unwrap(),
        connector: &ConnectorName::parse("meta").unwrap(),
        class: ToolClass::Spend,
        stops: false,
        account: Some("act_1"),
    };
    let all = key(&["*:spend"], None);
    let refusal = authorize(&tenant, &Freezes::default(), &all, &request).unwrap_err();
    assert_eq!(
        refusal.message,
        "the organisation requires the SafetyPolicy `ads`, `crm`, which is missing or was never accepted, so `meta_tool` changes nothing"
    );
    assert_eq!(
        refusal.remedy,
        "ask the platform team; `kubectl get safetypolicies` tells what became of `ads`, `crm`"
    );
}

#[test]
fn what_only_stops_passes_freezes_and_missing_policies() {
    let writer = key(&["meta:write"], None);
    let stop = |tenant: &TenantConfig, freezes: &Freezes| {
        let request = Request {
            tool: &ToolName::parse("meta_pause").unwrap(),
            connector: &ConnectorName::parse("meta").unwrap(),
            class: ToolClass::Write,
            stops: true,
            account: Some("act_1"),
        };
        let granted = authorize(tenant, freezes, &writer, &request);
        granted.map(|_| ()).map_err(|refusal| refusal.reason)
    };
    let none = Freezes::default();
    let mut missing = tenant(Access::ReadWrite);
    missing.missing_policies.insert("ads".into());
    assert_eq!(stop(&missing, &none), Ok(()));
    assert_eq!(stop(&tenant(Access::Frozen), &none), Ok(()));
    let account = FreezeScope::Account(
        ConnectorName::parse("meta").unwrap(),
        AccountId::parse("act_1").unwrap(),
    );
    for (access, expected) in [
        (Access::Frozen, Ok(())),
        (Access::ReadOnly, Err(Reason::Frozen)),
    ] {
        let freezes = Freezes::from_iter([freeze("stop", account.clone(), access)]);
        assert_eq!(stop(&tenant(Access::ReadWrite), &freezes), expected);
    }
    for access in [Access::ReadOnly, Access::Disabled] {
        assert_eq!(stop(&tenant(access), &none), Err(Reason::AccessDenied));
    }
}
