//! The server's pod, within the restricted Pod Security Standard.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
    ObjectFieldSelector, PodDNSConfig, PodDNSConfigOption, PodSecurityContext, PodSpec, Probe,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tenantry_api::label;
use tenantry_api::mcp_tenant::server::{Quantities, Resources};

use super::scheduling;
use super::stateful_set::LEDGER;
use crate::settings::ServerImage;
use crate::tenant::validate::ValidTenant;
use crate::tenant::validate::secrets::SecretMount;

/// The user and group of the server; nobody's on any node.
const UID: i64 = 65532;
/// A server that was told to stop finishes the calls it has: the longest takes
/// 25 s.
const GRACE_SECONDS: i64 = 30;
/// Owner and group read, nobody else.
const SECRET_MODE: i32 = 0o440;

/// What a server asks for that does not say.
pub(super) const CPU_REQUEST: &str = "10m";
/// The same of memory.
pub(super) const MEMORY_REQUEST: &str = "32Mi";
/// And how much memory it may use.
pub(super) const MEMORY_LIMIT: &str = "256Mi";

/// The pod of `tenant`'s server.
pub fn pod(tenant: &ValidTenant, image: &ServerImage) -> PodSpec {
    let server = &tenant.server;
    let tolerations = server
        .tolerations
        .iter()
        .map(scheduling::toleration)
        .collect();
    PodSpec {
        service_account_name: Some(label::SERVER_ACCOUNT.into()),
        automount_service_account_token: Some(true),
        // A namespace's Services are not the server's business.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(UID),
            run_as_group: Some(UID),
            fs_group: Some(UID),
            // The ledger is large and ours alone: look at its root only.
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        // With the usual 5 every vendor's name is asked for four times in vain.
        dns_config: Some(PodDNSConfig {
            options: Some(vec![PodDNSConfigOption {
                name: Some("ndots".into()),
                value: Some("2".into()),
            }]),
            ..PodDNSConfig::default()
        }),
        containers: vec![container(tenant, image)],
        volumes: Some(tenant.secrets.iter().map(secret_volume).collect()),
        node_selector: (!server.node_selector.is_empty()).then(|| server.node_selector.clone()),
        tolerations: (!server.tolerations.is_empty()).then_some(tolerations),
        affinity: server.affinity.as_ref().and_then(scheduling::affinity),
        topology_spread_constraints: scheduling::spread(&server.topology_spread),
        priority_class_name: server.priority_class_name.clone(),
        runtime_class_name: server.runtime_class_name.clone(),
        ..PodSpec::default()
    }
}

fn container(tenant: &ValidTenant, image: &ServerImage) -> Container {
    let mut mounts = vec![VolumeMount {
        name: LEDGER.into(),
        mount_path: label::LEDGER_DIR.into(),
        ..VolumeMount::default()
    }];
    mounts.extend(tenant.secrets.iter().map(secret_mount));
    let env = [
        ("POD_NAME", "metadata.name"),
        ("POD_UID", "metadata.uid"),
        ("POD_NAMESPACE", "metadata.namespace"),
    ];
    Container {
        name: label::SERVER.into(),
        image: Some(tenant.server.image.as_ref().unwrap_or(&image.image).clone()),
        image_pull_policy: Some(image.image_pull_policy.as_str().into()),
        env: Some(env.map(|(name, path)| from_field(name, path)).into()),
        ports: Some(vec![
            port("mcp", label::MCP_PORT),
            port("admin", label::ADMIN_PORT),
        ]),
        // A minute for a slow node; a second between looks, for a fast start.
        startup_probe: Some(probe("/livez", 1, 60)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        resources: Some(resources(tenant.server.resources.as_ref())),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn from_field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: path.into(),
                api_version: None,
            }),
            ..EnvVarSource::default()
        }),
    }
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number.into(),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("admin".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// A Secret that is not there yet does not keep the server from starting: it
/// says what is missing.
fn secret_volume(mount: &SecretMount) -> Volume {
    Volume {
        name: mount.volume(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(mount.secret.clone()),
            optional: Some(true),
            default_mode: Some(SECRET_MODE),
            items: None,
        }),
        ..Volume::default()
    }
}

fn secret_mount(mount: &SecretMount) -> VolumeMount {
    VolumeMount {
        name: mount.volume(),
        mount_path: mount.path(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn resources(wish: Option<&Resources>) -> ResourceRequirements {
    let small = || Resources {
        requests: Some(Quantities {
            cpu: Some(CPU_REQUEST.into()),
            memory: Some(MEMORY_REQUEST.into()),
        }),
        limits: Some(Quantities {
            cpu: None,
            memory: Some(MEMORY_LIMIT.into()),
        }),
    };
    let Resources {
        requests,
        mut limits,
    } = wish.cloned().unwrap_or_else(small);
    // Whoever names no limit of memory gets what is asked for, or the usual:
    // the namespace's LimitRange would fill it in, and a limit below what is
    // asked for keeps the pod from being made.
    let memory = &mut limits.get_or_insert_default().memory;
    if memory.is_none() {
        let asked = requests
            .as_ref()
            .and_then(|requests| requests.memory.clone());
        *memory = Some(asked.unwrap_or_else(|| MEMORY_LIMIT.into()));
    }
    ResourceRequirements {
        requests: requests.map(quantities),
        limits: limits.map(quantities),
        claims: None,
    }
}

fn quantities(amounts: Quantities) -> BTreeMap<String, Quantity> {
    let Quantities { cpu, memory } = amounts;
    let named = [("cpu", cpu), ("memory", memory)];
    let set = named
        .into_iter()
        .filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount?))));
    set.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_always_has_a_limit_of_memory_that_it_fits_into() {
        let limit = |wish: serde_json::Value| {
            let wish: Resources = serde_json::from_value(wish).unwrap();
            resources(Some(&wish)).limits.unwrap()["memory"].0.clone()
        };
        assert_eq!(limit(json!({})), "256Mi");
        assert_eq!(limit(json!({"requests": {"cpu": "1"}})), "256Mi");
        assert_eq!(limit(json!({"requests": {"memory": "1Gi"}})), "1Gi");
        assert_eq!(
            limit(json!({"requests": {"memory": "1Gi"}, "limits": {"cpu": "1"}})),
            "1Gi"
        );
        assert_eq!(limit(json!({"limits": {"memory": "2Gi"}})), "2Gi");
    }
}
