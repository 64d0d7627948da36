//! Configuration files of the node's programs. The odd settings are for machines without
//! much: no `CAP_SYS_RESOURCE`, no loadable modules, cgroup v1. Pure.

use super::{Programs, Text};
use crate::network::POD_RANGE;
use crate::site::{self, CGROUP, NODE, STATE};

pub(super) const PAUSE_IMAGE: &str = "localhost/pause:local";

/// Every change in full, but of what is secret or changes all the time; reads by their name.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources:
  - {group: coordination.k8s.io, resources: [leases]}
  - {group: cilium.io}
- level: None
  nonResourceURLs: ['/*']
- level: Metadata
  resources:
  - group: ''
    resources: [secrets, serviceaccounts/token, pods/exec, pods/proxy, services/proxy, nodes/proxy]
  - group: authentication.k8s.io
- level: RequestResponse
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
";

pub(super) fn files(programs: &Programs) -> Vec<Text> {
    vec![
        text("containerd.toml", containerd()),
        text("kubelet.yaml", kubelet()),
        text("kube-proxy.yaml", kube_proxy()),
        text("audit.yaml", AUDIT_POLICY.to_owned()),
        // Newer compilers warn of what this Cilium's sources contain, and it treats that as errors.
        program(
            "llvm/clang",
            &format!("exec {} -Wno-error -w \"$@\"", programs.clang.display()),
        ),
        program(
            "llvm/llc",
            &format!("exec {} \"$@\"", programs.llc.display()),
        ),
    ]
}

pub(super) fn cni_config() -> Text {
    Text {
        path: site::cni_config().join("05-cilium.conflist"),
        contents:
            r#"{"cniVersion": "0.3.1", "name": "cilium", "plugins": [{"type": "cilium-cni"}]}"#
                .to_owned(),
        executable: false,
    }
}

fn text(name: &str, contents: String) -> Text {
    Text {
        path: site::path(name),
        contents,
        executable: false,
    }
}

fn program(name: &str, line: &str) -> Text {
    Text {
        path: site::path(name),
        contents: format!("#!/bin/sh\n{line}\n"),
        executable: true,
    }
}

fn containerd() -> String {
    let cni = site::cni_config();
    format!(
        r#"version = 2
root = "{STATE}/containerd/root"
state = "{STATE}/containerd/state"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "{}"

[plugins."io.containerd.internal.v1.opt"]
path = "{STATE}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
max_container_log_line_size = 16384

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{STATE}/cni-bin"
conf_dir = "{}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#,
        site::containerd_socket().display(),
        cni.display(),
    )
}

fn kubelet() -> String {
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {pki}/ca.crt}}
authorization: {{mode: Webhook}}
cgroupDriver: cgroupfs
cgroupRoot: /{CGROUP}
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://{socket}
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: \"\"
volumePluginDir: {STATE}/kubelet-plugins
localStorageCapacityIsolation: false
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
syncFrequency: 5s
containerLogMaxSize: 100Ki
containerLogMaxFiles: 3
containerLogMonitorInterval: 3s
",
        pki = site::pki().display(),
        socket = site::containerd_socket().display(),
    )
}

fn kube_proxy() -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {{kubeconfig: {pki}/kube-proxy.kubeconfig}}
mode: nftables
clusterCIDR: {POD_RANGE}
hostnameOverride: {NODE}
conntrack: {{maxPerCore: 0}}
",
        pki = site::pki().display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stays_in_the_state_folder() {
        for file in files(&Programs::for_tests()) {
            assert!(file.path.starts_with(STATE), "{}", file.path.display());
        }
        assert!(cni_config().path.starts_with(STATE));
    }

    #[test]
    fn braces_are_written_once() {
        assert!(kubelet().contains("  anonymous: {enabled: false}\n"));
        assert!(kube_proxy().contains("conntrack: {maxPerCore: 0}\n"));
    }
}
