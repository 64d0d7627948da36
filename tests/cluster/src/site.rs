//! Where the local cluster keeps its files. One cluster a machine: the names are fixed,
//! so that `down` finds what any `up` left, whoever ran it and wherever it stopped.

use std::path::{Path, PathBuf};

/// Everything of a running cluster; on a disk, as images are unpacked here.
pub const STATE: &str = "/var/lib/tenantry-local";

/// The name of the cluster's cgroups.
pub const CGROUP: &str = "tenantry-local";

/// The node's name.
pub const NODE: &str = "node0";

/// The port on the machine's loopback that leads to the API server.
pub const HOST_PORT: u16 = 16443;

/// The folder of images inside containerd that kubelet reads.
pub const IMAGE_NAMESPACE: &str = "k8s.io";

/// Folders with fixed names that programs of the node write to. Inside the node's
/// mount namespace a folder of `fixed()` lies over each.
pub const FIXED_FOLDERS: [&str; 8] = [
    "/etc/cni",
    "/run/cilium",
    "/run/containerd",
    "/run/netns",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
];

/// A path below the state folder.
pub fn path(name: &str) -> PathBuf {
    Path::new(STATE).join(name)
}

/// Certificates and kubeconfigs.
pub fn pki() -> PathBuf {
    path("pki")
}

/// Logs of the node's programs.
pub fn logs() -> PathBuf {
    path("log")
}

/// What lies over a fixed folder inside the node.
pub fn over(fixed: &str) -> PathBuf {
    path("fixed").join(fixed.trim_start_matches('/'))
}

/// What the node does from its start to readiness.
pub fn plan() -> PathBuf {
    path("plan.json")
}

/// What the node tells `up`.
pub fn events() -> PathBuf {
    path("events")
}

/// Folders of the machine that `up` created, for `down` to remove.
pub fn created() -> PathBuf {
    path("created")
}

/// There when `up` came to its end.
pub fn complete() -> PathBuf {
    path("complete")
}

/// containerd's socket.
pub fn containerd_socket() -> PathBuf {
    path("containerd.sock")
}

/// The configuration folder that containerd reads once the pod network is up.
pub fn cni_config() -> PathBuf {
    path("cni")
}

/// What the API server was asked and answered, a line of JSON each; Secrets and tokens by name only.
pub fn audit_log() -> PathBuf {
    logs().join("kube-audit.json")
}

/// The kubeconfig for the machine itself: API server by way of its loopback.
pub fn kubeconfig() -> PathBuf {
    pki().join("host.kubeconfig")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_name_fits_into_an_address() {
        // sun_path has 108 bytes.
        assert!(containerd_socket().as_os_str().len() < 100);
    }

    #[test]
    fn fixed_folders_have_a_place_each() {
        assert_eq!(over("/run/netns"), path("fixed/run/netns"));
    }
}
