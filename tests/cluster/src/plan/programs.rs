//! The node's programs as command lines. Pure, but for looking programs up.

use std::path::{Path, PathBuf};

use crate::component::{self, ApiServer, Component};
use crate::network::{CONTROL_PLANE_ADDRESS, NODE_ADDRESS, NODE_INTERFACE, POD_RANGE};
use crate::packages;
use crate::site::{self, NODE};
use crate::tools::{Tool, Toolbox};

/// Where everything is that the node runs.
pub struct Programs {
    toolbox: Toolbox,
    /// This program, which is also the node's pid 1.
    init: PathBuf,
    containerd: PathBuf,
    pub(super) clang: PathBuf,
    pub(super) llc: PathBuf,
    cgroup_v2: bool,
}

impl Programs {
    /// The programs of this machine; `init` answers to the hidden commands of `node`.
    pub fn find(toolbox: Toolbox, init: PathBuf) -> Self {
        let found = |name: &str| packages::find(name).unwrap_or_else(|| PathBuf::from(name));
        let cgroup_v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        Self {
            toolbox,
            init,
            containerd: found("containerd"),
            clang: found("clang-19"),
            llc: found("llc-19"),
            cgroup_v2,
        }
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        let file = PathBuf::from;
        Self {
            toolbox: Toolbox::open().unwrap(),
            init: file("/init"),
            containerd: file("/usr/bin/containerd"),
            clang: file("/usr/bin/clang-19"),
            llc: file("/usr/bin/llc-19"),
            cgroup_v2: false,
        }
    }

    /// A kubectl command line, as the administrator, inside the node.
    pub(super) fn kubectl(&self, args: &[&str]) -> Vec<String> {
        let kubeconfig = format!("--kubeconfig={}", pki("admin.kubeconfig"));
        let mut line = vec![self.tool(Tool::Kubectl).display().to_string(), kubeconfig];
        line.extend(args.iter().map(ToString::to_string));
        line
    }

    pub(super) fn cilium_status(&self) -> Vec<String> {
        let program = self.tool(Tool::CiliumDbg).display().to_string();
        vec![program, "status".to_owned(), "--brief".to_owned()]
    }

    pub(super) fn containerd(&self) -> Component {
        let config = format!("--config={}", site::path("containerd.toml").display());
        Component::new("containerd", self.containerd.clone(), &[config])
    }

    pub(super) fn etcd(&self) -> Component {
        let [client, peer] = [2379, 2380].map(|port| ([127, 0, 0, 1], port).into());
        component::etcd(self.tool(Tool::Etcd), &site::path("etcd"), client, peer)
    }

    pub(super) fn api_server(&self) -> Component {
        let certificate = format!("--kubelet-client-certificate={}", pki("kubelet-client.crt"));
        let key = format!("--kubelet-client-key={}", pki("kubelet-client.key"));
        let policy = format!("--audit-policy-file={}", site::path("audit.yaml").display());
        let audit = format!("--audit-log-path={}", site::audit_log().display());
        let server = ApiServer {
            pki: &site::pki(),
            etcd: ([127, 0, 0, 1], 2379).into(),
            listen: ([0, 0, 0, 0], 6443).into(),
            advertise: CONTROL_PLANE_ADDRESS,
            extra: &[
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
                &certificate,
                &key,
                &policy,
                &audit,
                "--audit-log-maxsize=1000",
                // By name there is no way to the kubelet: nothing resolves it.
                "--kubelet-preferred-address-types=InternalIP",
                // Calls of webhooks go to the pod itself, from the control plane's own address.
                "--enable-aggregator-routing=true",
            ],
        };
        component::api_server(self.tool(Tool::KubeApiserver), &server)
    }

    pub(super) fn controller_manager(&self) -> Component {
        let range = format!("--cluster-cidr={POD_RANGE}");
        let extra = ["--allocate-node-cidrs=true", range.as_str()];
        component::controller_manager(self.tool(Tool::KubeControllerManager), &site::pki(), &extra)
    }

    pub(super) fn scheduler(&self) -> Component {
        self.component(
            "kube-scheduler",
            Tool::KubeScheduler,
            &[
                &format!("--kubeconfig={}", pki("scheduler.kubeconfig")),
                "--leader-elect=false",
            ],
        )
    }

    pub(super) fn kubelet(&self) -> Component {
        self.component(
            "kubelet",
            Tool::Kubelet,
            &[
                &format!("--config={}", site::path("kubelet.yaml").display()),
                &format!("--kubeconfig={}", pki("kubelet.kubeconfig")),
                &format!("--cert-dir={}", site::path("kubelet-pki").display()),
                &format!("--hostname-override={NODE}"),
                &format!("--node-ip={NODE_ADDRESS}"),
                "--root-dir=/var/lib/kubelet",
            ],
        )
    }

    pub(super) fn kube_proxy(&self) -> Component {
        let config = format!("--config={}", site::path("kube-proxy.yaml").display());
        self.component("kube-proxy", Tool::KubeProxy, &[&config])
    }

    pub(super) fn provisioner(&self) -> Component {
        let volumes = site::path("volumes").display().to_string();
        let kubeconfig = pki("admin.kubeconfig");
        self.component(
            "provisioner",
            Tool::Provisioner,
            &[&kubeconfig, &volumes, NODE],
        )
    }

    pub(super) fn cilium_operator(&self) -> Component {
        self.component(
            "cilium-operator",
            Tool::CiliumOperator,
            &[
                &format!("--k8s-kubeconfig-path={}", pki("admin.kubeconfig")),
                "--ipam=kubernetes",
                "--enable-ipv4=true",
                "--enable-ipv6=false",
                "--enable-k8s-endpoint-slice=true",
            ],
        )
    }

    pub(super) fn cilium_agent(&self) -> Component {
        let cgroups = if self.cgroup_v2 {
            "/sys/fs/cgroup"
        } else {
            "/sys/fs/cgroup/unified"
        };
        let agent = self.tool(Tool::CiliumAgent).display().to_string();
        let library = self.toolbox.home(Tool::CiliumAgent).display().to_string();
        let mut args: Vec<String> = [
            "--mount",
            "--",
            &self.init.display().to_string(),
            "node-agent",
            "--",
            &agent,
        ]
        .map(str::to_owned)
        .into();
        args.extend([
            format!("--k8s-kubeconfig-path={}", pki("admin.kubeconfig")),
            format!("--lib-dir={library}"),
            format!("--state-dir={}", site::path("cilium").display()),
            format!("--ipv4-native-routing-cidr={POD_RANGE}"),
            format!("--cgroup-root={cgroups}"),
            format!("--devices={NODE_INTERFACE}"),
            format!("--direct-routing-device={NODE_INTERFACE}"),
        ]);
        args.extend(CILIUM_AGENT_ARGS.map(str::to_owned));
        let llvm = site::path("llvm").display().to_string();
        Component::new("cilium-agent", "unshare".into(), &args)
            .with_env("PATH", &format!("{llvm}:{SYSTEM_PATH}"))
            .with_env("K8S_NODE_NAME", NODE)
    }

    fn component(&self, name: &str, tool: Tool, args: &[&str]) -> Component {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        Component::new(name, self.tool(tool), &args)
    }

    fn tool(&self, tool: Tool) -> PathBuf {
        self.toolbox.path(tool)
    }
}

/// Not the caller's: the same machine gives the same plan.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the agent is asked for on every machine.
const CILIUM_AGENT_ARGS: [&str; 16] = [
    "--ipam=kubernetes",
    "--enable-ipv4=true",
    "--enable-ipv6=false",
    "--enable-ipv4-masquerade=false",
    "--routing-mode=native",
    "--kube-proxy-replacement=false",
    "--enable-l7-proxy=false",
    "--enable-health-checking=false",
    "--enable-endpoint-health-checking=false",
    "--enable-hubble=false",
    "--enable-policy=default",
    "--bpf-root=/sys/fs/bpf",
    "--bpf-lb-sock=false",
    "--cni-exclusive=false",
    "--disable-envoy-version-check=true",
    // A policy that names the API server's or the node's address means it, as with other
    // enforcers; by default Cilium does not apply address ranges to nodes.
    "--policy-cidr-match-mode=nodes",
];

fn pki(name: &str) -> String {
    site::pki().join(name).display().to_string()
}
