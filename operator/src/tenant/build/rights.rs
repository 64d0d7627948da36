//! Who the server is to the cluster, and what it may do there.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use tenantry_api::label;

use super::metadata;
use crate::tenant::validate::ValidTenant;

/// The server's identity. Its token is mounted by the pod that means it, not
/// by every pod that happens to name the account.
pub fn service_account(tenant: &ValidTenant) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(tenant, label::SERVER_ACCOUNT),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Gives the server the rights of the ClusterRole of the same name, here alone.
pub fn role_binding(tenant: &ValidTenant) -> RoleBinding {
    let subject = Subject {
        kind: "ServiceAccount".into(),
        name: label::SERVER_ACCOUNT.into(),
        namespace: Some(tenant.namespace.clone()),
        api_group: None,
    };
    RoleBinding {
        metadata: metadata(tenant, label::SERVER_ACCOUNT),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name: label::SERVER_ACCOUNT.into(),
        },
        subjects: Some(vec![subject]),
    }
}
