//! Giving up: a server that runs stops using what its tenant has lost to an
//! older one, and goes on with the rest of its last good contract.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Resource as _};
use tenantry_api::label;
use tenantry_api::mcp_server::McpServer;
use tenantry_core::tenant::ContractError;

use super::build::{contract_spec, read_contract};
use super::hold::mcp_server;
use super::unique::{Loss, without};
use crate::context::Context;

/// What keeps a server on what is not its own any more.
#[derive(Debug, thiserror::Error)]
pub enum ConcedeError {
    /// Its contract could not be read or written.
    #[error("taking what was lost out of the contract in force")]
    Contract(#[source] kube::Error),
    /// Its contract is of another release.
    #[error("reading the contract in force")]
    Form(#[source] ContractError),
}

/// Takes `losses` out of the contract that the server of `tenant` obeys. What
/// an edit merely reached for is not in there, and the contract stays as it is.
pub async fn concede(
    tenant: &ObjectReference,
    losses: &[Loss],
    ctx: &Context,
) -> Result<(), ConcedeError> {
    let found = mcp_server(&ctx.client, tenant).await;
    let Some(server) = found.map_err(ConcedeError::Contract)? else {
        return Ok(());
    };
    let contract = read_contract(&server.spec).map_err(ConcedeError::Form)?;
    let Some(left) = without(&contract, losses) else {
        return Ok(());
    };
    let drawn = McpServer {
        metadata: ObjectMeta {
            name: server.metadata.name,
            namespace: server.metadata.namespace,
            labels: server.metadata.labels,
            owner_references: server.metadata.owner_references,
            ..ObjectMeta::default()
        },
        spec: contract_spec(&left, &server.spec.version),
        status: None,
    };
    let uid = tenant.uid.as_deref().unwrap_or_default();
    let namespace = tenant.namespace.as_deref().unwrap_or_default();
    let api: Api<McpServer> = Api::namespaced(ctx.client.clone(), namespace);
    let ours = PatchParams::apply(&label::field_manager(uid)).force();
    let written = api.patch(label::SERVER, &ours, &Patch::Apply(&drawn)).await;
    written.map_err(ConcedeError::Contract)?;
    // Nobody else did this.
    let object = format!("{}/{}", McpServer::kind(&()), label::SERVER);
    ctx.memory.forget(uid, &object);
    tracing::warn!(
        namespace,
        "the server goes on without what its tenant has lost"
    );
    Ok(())
}
