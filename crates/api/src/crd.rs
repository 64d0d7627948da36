//! The definitions of our kinds, as the API server needs them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

use crate::mcp_api_key::McpApiKey;
use crate::mcp_approval::McpApproval;
use crate::mcp_freeze::McpFreeze;
use crate::mcp_server::McpServer;
use crate::mcp_tenant::McpTenant;
use crate::safety_policy::SafetyPolicy;

/// Every kind of `tenantry.dev`, each once. `crds/` is generated from these.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        McpTenant::crd(),
        SafetyPolicy::crd(),
        McpApiKey::crd(),
        McpApproval::crd(),
        McpFreeze::crd(),
        McpServer::crd(),
    ]
}
