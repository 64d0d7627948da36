//! The server's StatefulSet: a Deployment would start the next pod while the
//! old one still holds the ledger.

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use tenantry_api::label;
use tenantry_api::mcp_tenant::DeletionPolicy;
use tenantry_api::mcp_tenant::ledger::Sqlite;

use super::{labels, metadata, pod, pod_labels};
use crate::settings::ServerImage;
use crate::tenant::validate::ValidTenant;

/// The name of the ledger's volume.
pub(super) const LEDGER: &str = "ledger";

/// The server.
pub fn stateful_set(tenant: &ValidTenant, image: &ServerImage) -> StatefulSet {
    let annotations = &tenant.server.pod_annotations;
    StatefulSet {
        metadata: metadata(tenant, label::SERVER),
        spec: Some(StatefulSetSpec {
            service_name: Some(label::SERVER.into()),
            replicas: Some(tenant.server.replicas),
            selector: LabelSelector {
                match_labels: Some(pod_labels()),
                ..LabelSelector::default()
            },
            // In order, a pod that cannot start would keep its own correction
            // from being rolled out.
            pod_management_policy: Some("Parallel".into()),
            revision_history_limit: Some(2),
            persistent_volume_claim_retention_policy: Some(retention(tenant.deletion_policy)),
            volume_claim_templates: Some(vec![claim(&tenant.volume)]),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(tenant)),
                    annotations: (!annotations.is_empty()).then(|| annotations.clone()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod::pod(tenant, image)),
            },
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn retention(policy: DeletionPolicy) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let when_deleted = match policy {
        DeletionPolicy::Retain => "Retain",
        DeletionPolicy::Delete => "Delete",
    };
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(when_deleted.into()),
        // Scaled to 0 is stopped, not gone.
        when_scaled: Some("Retain".into()),
    }
}

fn claim(volume: &Sqlite) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(LEDGER.into()),
            labels: Some(pod_labels()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(volume.storage.clone()))].into()),
                limits: None,
            }),
            storage_class_name: volume.storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
