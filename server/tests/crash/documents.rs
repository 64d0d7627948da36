//! The documents of an organisation whose agents may change everything that its
//! policy lets them.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use tenantry_core::key::ApiKey;
use tenantry_core::name::KeyId;
use tenantry_ledger::place::PostgresPlace;

/// What the vendor knows the organisation by.
pub const TOKEN: &str = "sandbox-meta-token";

/// Calls at the same time.
const AT_ONCE: u32 = 64;

/// The key that every client has.
pub fn key() -> ApiKey {
    // INVARIANT: `demo` is a good id.
    ApiKey::new(KeyId::parse("demo").unwrap(), [0x5e; 32])
}

/// The file that says where a ledger in PostgreSQL is.
pub fn told(place: &PostgresPlace) -> Value {
    let PostgresPlace {
        host,
        port,
        database,
        user,
        ..
    } = place;
    json!({"host": host, "port": port, "database": database, "user": user})
}

/// Writes them into `dir`.
pub fn write(dir: &Path, organization: &str, policy: &Value) -> Result<()> {
    for (name, document) in declared(organization, policy) {
        let path = dir.join(format!("{name}.json"));
        std::fs::write(path, document.to_string())?;
    }
    Ok(())
}

fn declared(organization: &str, policy: &Value) -> [(&'static str, Value); 4] {
    let document = |version: &str, kind: &str, name: &str| {
        json!({
            "apiVersion": version, "kind": kind,
            "metadata": {"name": name, "namespace": "acme"},
        })
    };
    let ours = |kind: &str, name: &str, spec: Value| {
        let mut document = document("tenantry.dev/v1alpha1", kind, name);
        document["spec"] = spec;
        document
    };
    let mut secret = document("v1", "Secret", "meta-credentials");
    secret["stringData"] = json!({"access_token": TOKEN});
    // Whoever waits for the end asks often.
    let often = json!({"perMinute": 60_000, "burst": 10_000});
    let mut each = often.clone();
    each["concurrency"] = json!(AT_ONCE);
    let account = json!({"id": "act_1001", "currency": "EUR", "timeZone": "Europe/Berlin"});
    let tenant = json!({
        "organization": organization, "access": "ReadWrite",
        "connectors": [{
            "name": "meta", "credentials": {"secretName": "meta-credentials"}, "accounts": [account],
        }],
        "limits": {"perKey": each, "perTenant": often, "concurrency": AT_ONCE},
    });
    let key = json!({
        "owner": "demo@acme.example", "agent": "demo", "digest": key().digest().to_string(),
        "scopes": ["meta:read", "meta:write", "meta:spend"],
    });
    [
        ("tenant", ours("McpTenant", "acme", tenant)),
        ("key", ours("McpApiKey", "demo", key)),
        ("policy", ours("SafetyPolicy", "ads", policy.clone())),
        ("secret", secret),
    ]
}
