//! Reading: what a decision about one tenant needs beside the tenant itself.

use kube::Api;
use kube::ResourceExt as _;
use kube::api::ListParams;
use tenantry_api::mcp_tenant::McpTenant;

use crate::api_server::ApiServer;
use crate::context::Context;
use crate::tenant::validate::{Claim, Found};

/// What could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The tenants of the namespace.
    #[error("reading the McpTenants of the namespace `{namespace}`")]
    Neighbours {
        /// Which namespace.
        namespace: String,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
    /// The API server's own endpoints.
    #[error("the EndpointSlice `default/kubernetes` is not known yet")]
    ApiServer,
}

/// Reads what is needed to judge `tenant`. Who else claims the namespace is
/// read live: the watch may not have told yet.
pub async fn fetch(tenant: &McpTenant, ctx: &Context) -> Result<Found, FetchError> {
    let namespace = tenant.namespace().unwrap_or_default();
    let api: Api<McpTenant> = Api::namespaced(ctx.client.clone(), &namespace);
    let list = api.list_metadata(&ListParams::default()).await;
    let tenants = list.map_err(|source| FetchError::Neighbours { namespace, source })?;
    let slices = ctx.api_server_slices.state();
    if slices.is_empty() {
        return Err(FetchError::ApiServer);
    }
    Ok(Found {
        claims: tenants
            .iter()
            .filter_map(|tenant| Claim::of(&tenant.metadata))
            .collect(),
        api_server: ApiServer::new(&ctx.api_service, slices.iter().map(AsRef::as_ref)),
        served: ctx.optionals.served(),
    })
}
