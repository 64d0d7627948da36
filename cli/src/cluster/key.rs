//! Keys of AI clients: made here, shown once, kept nowhere.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::Patch;
use serde_json::json;
use tenantry_api::mcp_api_key::{McpApiKey, McpApiKeySpec};
use tenantry_core::key::ApiKey;
use tenantry_core::name::KeyId;

use super::kind::{Kind, Known};
use super::{Cluster, away, cell, failed, for_programs, tenant};
use crate::answer::{self, Answer, Unusable};
use crate::cli::key::{CreateKey, Length, ListKeys, RevokeKey, RotateKey};
use crate::columns::aligned;
use crate::tone;

/// Makes a key, and prints it: the one time that anybody sees it.
pub async fn create(
    cluster: &Cluster,
    asked: &CreateKey,
    now: Timestamp,
) -> Result<Answer, Unusable> {
    let key = new_key(&asked.name)?;
    let me = match (&asked.owner, asked.yaml) {
        (Some(_), true) => None,
        _ => Some(cluster.me().await?),
    };
    let expires_at = asked
        .expires
        .map(|after| now + SignedDuration::from_secs(after.0));
    let spec = McpApiKeySpec {
        owner: asked
            .owner
            .clone()
            .or_else(|| me.clone())
            .unwrap_or_default(),
        agent: asked.agent.clone(),
        // Who applies it from Git is not known here.
        issued_by: me.filter(|_| !asked.yaml),
        digest: key.digest().to_string(),
        scopes: asked.scopes.iter().map(ToString::to_string).collect(),
        accounts: (!asked.accounts.is_empty()).then(|| asked.accounts.clone()),
        not_before: None,
        expires_at: expires_at.map(Time),
        disabled: false,
    };
    let mut form = McpApiKey::new(&asked.name, spec);
    form.metadata.namespace = Some(cluster.namespace.clone());
    if asked.yaml {
        let text = answer::yaml(&form)?;
        let note = format!(
            "the key, shown this once and kept nowhere: {}",
            key.reveal()
        );
        return Ok(Answer::good(text).noting(note));
    }
    tenant::lives_here(cluster).await?;
    put(cluster, &form).await?;
    hand_over(cluster, &asked.name, &key).await?;
    Ok(Answer::good("").noting(good_now(&asked.name)))
}

/// Lists the keys.
pub async fn list(cluster: &Cluster, asked: &ListKeys, now: Timestamp) -> Result<Answer, Unusable> {
    let found = of(cluster).all().await?;
    if let Some(text) = for_programs(&found, asked.output) {
        return Ok(Answer::good(text?));
    }
    if found.is_empty() {
        let namespace = &cluster.namespace;
        return Ok(
            Answer::good("").noting(format!("there are no keys in the namespace `{namespace}`"))
        );
    }
    let head = ["NAME", "OWNER", "AGENT", "SCOPES", "ACCOUNTS", "STATE"].map(str::to_owned);
    let rows = found.iter().map(|key| {
        let spec = &key.spec;
        let accounts = spec
            .accounts
            .as_ref()
            .map_or_else(|| "all".into(), |some| some.len().to_string());
        [
            key.name_any(),
            cell(&spec.owner),
            spec.agent.as_deref().map(cell).unwrap_or_default(),
            spec.scopes.join(","),
            accounts,
            tone::state(&standing(key, now)),
        ]
    });
    let lines: Vec<_> = std::iter::once(head).chain(rows).collect();
    Ok(Answer::good(aligned(&lines)))
}

/// Revokes a key, for good.
pub async fn revoke(cluster: &Cluster, asked: &RevokeKey) -> Result<Answer, Unusable> {
    let key = get(cluster, &asked.name).await?.form;
    disable(cluster, &key).await?;
    let text = format!(
        "{}: revoked; servers refuse it within seconds\n",
        asked.name
    );
    Ok(Answer::good(text))
}

/// Makes another key that may do the same, and prints it.
pub async fn rotate(
    cluster: &Cluster,
    asked: &RotateKey,
    now: Timestamp,
) -> Result<Answer, Unusable> {
    // One that would not be copied may be what holds the old key back.
    let old = get(cluster, &asked.name).await?.whole()?;
    if old.spec.disabled {
        let name = &asked.name;
        return Err(Unusable::refused(format!(
            "`{name}` is revoked: make another key with `{}`",
            cluster.again("key create")
        )));
    }
    let new = asked
        .new_name
        .clone()
        .unwrap_or_else(|| next_name(&asked.name));
    let expires_at = expiry(&old, asked.expires, now)?;
    let key = new_key(&new)?;
    let spec = McpApiKeySpec {
        issued_by: Some(cluster.me().await?),
        digest: key.digest().to_string(),
        not_before: None,
        expires_at,
        ..old.spec.clone()
    };
    put(cluster, &McpApiKey::new(&new, spec)).await?;
    hand_over(cluster, &new, &key).await?;
    let (name, good) = (&asked.name, good_now(&new));
    if !asked.revoke {
        let note = format!(
            "{good}; `{name}` is as well, until `{}`",
            cluster.again(&format!("key revoke {name}"))
        );
        return Ok(Answer::good("").noting(note));
    }
    match disable(cluster, &old).await {
        Ok(()) => Ok(Answer::good("").noting(format!("{good}, and `{name}` is revoked"))),
        Err(error) => {
            let why = error.reasons.join("; ");
            let note = format!("{good}, BUT `{name}` COULD NOT BE REVOKED: {why}");
            Ok(Answer {
                is_good: false,
                ..Answer::good("").noting(note)
            })
        }
    }
}

fn good_now(name: &str) -> String {
    format!("`{name}` is good now; the key on stdout is shown this once and kept nowhere")
}

/// Prints a key. One that nobody could read is good for nobody: it is revoked.
async fn hand_over(cluster: &Cluster, name: &str, key: &ApiKey) -> Result<(), Unusable> {
    let Err(error) = answer::tell(&(key.reveal() + "\n")) else {
        return Ok(());
    };
    let undone = match get(cluster, name).await {
        Ok(known) => disable(cluster, &known.form).await,
        Err(error) => Err(error),
    };
    Err(match undone {
        Ok(()) => Unusable::refused(format!(
            "the key could not be printed ({error}), so `{name}` was revoked"
        )),
        Err(_) => Unusable::because(format!(
            "the key could not be printed ({error}); revoke it: {}",
            cluster.again(&format!("key revoke {name}"))
        )),
    })
}

/// Until when the new key is good: for as long as the old one was, or as said.
fn expiry(old: &McpApiKey, said: Option<Length>, now: Timestamp) -> Result<Option<Time>, Unusable> {
    let Some(end) = &old.spec.expires_at else {
        return Ok(said.map(|said| Time(now + SignedDuration::from_secs(said.0))));
    };
    let began = old.spec.not_before.clone();
    let began = began.or_else(|| old.metadata.creation_timestamp.clone());
    let length = began.map(|began| end.0.duration_since(began.0));
    let length = said
        .map(|said| SignedDuration::from_secs(said.0))
        .or(length);
    let length = length.filter(|length| *length > SignedDuration::ZERO);
    let length = length.ok_or_else(|| {
        Unusable::refused("the old key does not say for how long it was good; say --expires")
    })?;
    Ok(Some(Time(now + length)))
}

/// A key of that name, with a secret that nobody else has.
fn new_key(name: &str) -> Result<ApiKey, Unusable> {
    let id = KeyId::parse(name)
        .map_err(|error| Unusable::because(format!("`{name}` is no name of a key: {error}")))?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| Unusable::because(format!("there is no randomness: {error}")))?;
    Ok(ApiKey::new(id, secret))
}

fn of(cluster: &Cluster) -> Kind<McpApiKey> {
    Kind::here(cluster)
}

async fn get(cluster: &Cluster, name: &str) -> Result<Known<McpApiKey>, Unusable> {
    of(cluster).known(name).await?.ok_or_else(|| {
        let namespace = &cluster.namespace;
        Unusable::refused(format!(
            "there is no key `{name}` in the namespace `{namespace}`; `{}` lists them",
            cluster.again("key list")
        ))
    })
}

async fn put(cluster: &Cluster, key: &McpApiKey) -> Result<(), Unusable> {
    match of(cluster).create(key).await {
        Ok(()) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let name = key.name_any();
            Err(Unusable::refused(format!(
                "there is a key `{name}` already; choose another name (of a rotation, --new-name)"
            )))
        }
        Err(error) => Err(failed(&error)),
    }
}

async fn disable(cluster: &Cluster, key: &McpApiKey) -> Result<(), Unusable> {
    let patch = Patch::Merge(json!({"metadata": {"uid": key.uid()}, "spec": {"disabled": true}}));
    of(cluster).patch(&key.name_any(), &patch).await
}

fn standing(key: &McpApiKey, now: Timestamp) -> String {
    let spec = &key.spec;
    if spec.disabled || key.metadata.deletion_timestamp.is_some() {
        return "revoked".into();
    }
    if let Some(from) = spec.not_before.as_ref().filter(|from| from.0 > now) {
        return format!("good {}", away(from, now));
    }
    match &spec.expires_at {
        Some(end) if end.0 <= now => format!("expired {}", away(end, now)),
        Some(end) => format!("good, expires {}", away(end, now)),
        None => "good".into(),
    }
}

/// `demo`, `demo-2`, `demo-3`.
fn next_name(name: &str) -> String {
    let parts = name.rsplit_once('-');
    let numbered = parts.and_then(|(stem, number)| Some((stem, number.parse::<u32>().ok()?)));
    match numbered {
        Some((stem, number)) => format!("{stem}-{}", number.saturating_add(1)),
        None => format!("{name}-2"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_name_counts_on() {
        for (name, next) in [
            ("demo", "demo-2"),
            ("demo-2", "demo-3"),
            ("a-b", "a-b-2"),
            ("a-9", "a-10"),
        ] {
            assert_eq!(next_name(name), next);
        }
    }
}
