//! A ledger that is not the one that was expected, and the word of somebody who
//! accepts it all the same.

use kube::ResourceExt as _;
use kube::api::Patch;
use serde_json::json;
use tenantry_api::mcp_server::{LedgerReport, LedgerState, McpServer};
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_core::ledger_mark::LedgerMark;

use super::kind::Kind;
use super::{Cluster, cell, tenant};
use crate::answer::{Answer, Unusable};
use crate::cli::ledger::AcceptLedger;

/// Accepts the ledger that was found, by the word that names it.
pub async fn accept(cluster: &Cluster, asked: &AcceptLedger) -> Result<Answer, Unusable> {
    let namespace = &cluster.namespace;
    let kind = Kind::<McpTenant>::here(cluster);
    let tenants = kind.listed().await?.unwrap_or_default();
    let found = mismatch(cluster).await?;
    let (Some(tenant), Some(found)) = (tenant::served(&tenants), found) else {
        return Err(Unusable::refused(format!(
            "no server in `{namespace}` that you may see has another ledger than the one that is expected, so there is nothing to accept"
        )));
    };
    let message = found.message.as_deref().map_or_else(String::new, cell);
    // It is written by the server of the organisation.
    let word = found.accept.as_ref();
    let Some(word) = word.filter(|word| LedgerMark::is_acceptance(word)) else {
        return Err(Unusable::refused(format!(
            "this one cannot be accepted: {message}"
        )));
    };
    if asked.word.as_ref() != Some(word) {
        let meant = asked.word.as_ref().map_or_else(String::new, |meant| {
            format!(
                "`{}` is of another ledger, or of another moment. ",
                cell(meant)
            )
        });
        return Err(Unusable::refused(format!(
            "{meant}{message}. Bring the right one back, or accept this one, after which every window of a policy is full for its length and earlier idempotency keys are expired: {}",
            cluster.again(&format!("ledger accept {word}"))
        )));
    }
    let accepted = Patch::Merge(json!({"spec": {"ledger": {"accept": word}}}));
    let name = tenant.name_any();
    kind.patch(&name, &accepted).await?;
    let status = cluster.again("status");
    let text = format!(
        "{name}: the ledger that was found is accepted; `{status}` says when changes go on\n"
    );
    let note = "where the McpTenant comes from Git, write spec.ledger.accept there as well";
    Ok(Answer::good(text).noting(note))
}

/// What a server says that has found another ledger.
async fn mismatch(cluster: &Cluster) -> Result<Option<LedgerReport>, Unusable> {
    let servers = Kind::<McpServer>::here(cluster).all().await?;
    let mut ledgers = tenant::replicas(servers).filter_map(|one| one.ledger);
    Ok(ledgers.find(|ledger| ledger.state == LedgerState::Mismatch))
}
