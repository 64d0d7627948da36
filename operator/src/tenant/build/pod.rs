//! The server's pod, within the restricted Pod Security Standard.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
    ObjectFieldSelector, PodDNSConfig, PodDNSConfigOption, PodSecurityContext, PodSpec, Probe,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Toleration, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tenantry_api::label;
use tenantry_api::mcp_tenant::server::{Quantities, Resources, TaintEffect, TolerationOperator};

use super::stateful_set::LEDGER;
use crate::settings::ServerImage;
use crate::tenant::validate::{SecretMount, ValidTenant};

/// The user and group of the server; nobody's on any node.
const UID: i64 = 65532;
/// A server that was told to stop finishes the calls it has: the longest takes
/// 25 s.
const GRACE_SECONDS: i64 = 30;
/// Owner and group read, nobody else.
const SECRET_MODE: i32 = 0o440;

/// The pod of `tenant`'s server.
pub fn pod(tenant: &ValidTenant, image: &ServerImage) -> PodSpec {
    let server = &tenant.server;
    let tolerations = server.tolerations.iter().map(toleration).collect();
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
        volumes: Some(tenant.credentials.iter().map(secret_volume).collect()),
        node_selector: (!server.node_selector.is_empty()).then(|| server.node_selector.clone()),
        tolerations: (!server.tolerations.is_empty()).then_some(tolerations),
        ..PodSpec::default()
    }
}

fn container(tenant: &ValidTenant, image: &ServerImage) -> Container {
    let mut mounts = vec![VolumeMount {
        name: LEDGER.into(),
        mount_path: label::LEDGER_DIR.into(),
        ..VolumeMount::default()
    }];
    mounts.extend(tenant.credentials.iter().map(secret_mount));
    let env = [
        ("POD_NAME", "metadata.name"),
        ("POD_UID", "metadata.uid"),
        ("POD_NAMESPACE", "metadata.namespace"),
    ];
    Container {
        name: label::SERVER.into(),
        image: Some(image.image.clone()),
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
        name: volume_name(mount),
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
        name: volume_name(mount),
        mount_path: format!("{}/{}", label::CREDENTIALS_DIR, mount.connector),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn volume_name(mount: &SecretMount) -> String {
    format!("credentials-{}", mount.connector)
}

fn resources(wish: Option<&Resources>) -> ResourceRequirements {
    let small = || Resources {
        requests: Some(Quantities {
            cpu: Some("10m".into()),
            memory: Some("32Mi".into()),
        }),
        limits: Some(Quantities {
            cpu: None,
            memory: Some("256Mi".into()),
        }),
    };
    let Resources { requests, limits } = wish.cloned().unwrap_or_else(small);
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

fn toleration(form: &tenantry_api::mcp_tenant::server::Toleration) -> Toleration {
    let operator = match form.operator {
        TolerationOperator::Equal => "Equal",
        TolerationOperator::Exists => "Exists",
    };
    let effect = form.effect.map(|effect| match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    });
    Toleration {
        key: form.key.clone(),
        operator: Some(operator.into()),
        value: form.value.clone(),
        effect: effect.map(str::to_owned),
        toleration_seconds: None,
    }
}
