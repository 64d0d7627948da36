//! The programs a cluster is made of, built from pinned Go modules and kept.
//! Each folder of `tools/` is one module: `go.mod` and `go.sum` are the pin, `build.json` the recipe.
//! A binary lives in `<cache>/<module>-<digest of the folder>/bin`: same pin, same binary, built once.

mod build;
mod go;
mod recipe;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub use recipe::{digest, hex};

use crate::command::CommandError;
use crate::progress::Progress;

/// A program that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ToolsError {
    /// Nowhere to keep what is built.
    #[error("neither XDG_CACHE_HOME nor HOME is set: no folder to keep built tools in")]
    NoCache,
    /// No usable Go, and none to be had.
    #[error(
        "building the cluster's tools needs Go {} or newer on the PATH \
         (or python3 with pip, to fetch it); see https://go.dev/dl",
        go::OLDEST
    )]
    NoGo,
    /// The module's recipe is not what this program reads.
    #[error("cannot read the recipe {}", path.display())]
    Recipe {
        /// Which file.
        path: PathBuf,
        /// Where it is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A file of the cache or of a module could not be read or written.
    #[error("cannot {deed} {}", path.display())]
    File {
        /// What was being done.
        deed: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The compiler said no.
    #[error("cannot build `{tool}`; the whole log is {}:\n{tail}", log.display())]
    Build {
        /// Which program.
        tool: &'static str,
        /// Its log.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
    /// A helper program failed.
    #[error("cannot prepare the tools")]
    Command(#[from] CommandError),
}

/// One program; `Ord` is the order of building, what the lighter level needs comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// The store of the API server.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// The command line.
    Kubectl,
    /// Deployments, namespaces, service accounts: everything that reconciles.
    KubeControllerManager,
    /// Pods to nodes.
    KubeScheduler,
    /// Pods on the node.
    Kubelet,
    /// Services.
    KubeProxy,
    /// Registers Cilium's resources.
    CiliumOperator,
    /// Pod network, and the enforcer of network policies.
    CiliumAgent,
    /// What the container runtime calls for each pod.
    CiliumCni,
    /// Asks the agent how it is.
    CiliumDbg,
    /// Cluster DNS.
    CoreDns,
    /// Holds a pod's namespaces.
    Pause,
    /// Volumes of the storage class `standard`.
    Provisioner,
    /// Tells tests what a pod can do.
    Probe,
    /// Charts.
    Helm,
    /// The log agent of the tests, which a cluster does without.
    Otelcol,
}

impl Tool {
    /// Every tool, in the order of building.
    pub const ALL: [Self; 17] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::Kubectl,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::CiliumOperator,
        Self::CiliumAgent,
        Self::CiliumCni,
        Self::CiliumDbg,
        Self::CoreDns,
        Self::Pause,
        Self::Provisioner,
        Self::Probe,
        Self::Helm,
        Self::Otelcol,
    ];

    /// What a cluster is made of, in the order of building.
    pub fn of_a_cluster() -> Vec<Self> {
        let needed = |tool: &Self| *tool != Self::Otelcol;
        Self::ALL.into_iter().filter(needed).collect()
    }

    /// The binary's file name.
    pub const fn binary(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::Kubectl => "kubectl",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::CiliumOperator => "cilium-operator",
            Self::CiliumAgent => "cilium-agent",
            Self::CiliumCni => "cilium-cni",
            Self::CiliumDbg => "cilium-dbg",
            Self::CoreDns => "coredns",
            Self::Pause => "pause",
            Self::Provisioner => "provisioner",
            Self::Probe => "probe",
            Self::Helm => "helm",
            Self::Otelcol => "otelcol",
        }
    }

    /// The folder of `tools/` that pins it.
    pub const fn module(self) -> &'static str {
        match self {
            Self::KubeApiserver
            | Self::Kubectl
            | Self::KubeControllerManager
            | Self::KubeScheduler
            | Self::Kubelet
            | Self::KubeProxy => "kubernetes",
            Self::CiliumOperator | Self::CiliumAgent | Self::CiliumCni | Self::CiliumDbg => {
                "cilium"
            }
            Self::Etcd
            | Self::CoreDns
            | Self::Pause
            | Self::Provisioner
            | Self::Probe
            | Self::Helm
            | Self::Otelcol => self.binary(),
        }
    }
}

/// Where the pinned modules and the built programs are.
#[derive(Clone, Debug)]
pub struct Toolbox {
    modules: PathBuf,
    cache: PathBuf,
    /// Module to the folder of its build.
    homes: BTreeMap<&'static str, PathBuf>,
}

impl Toolbox {
    /// The toolbox of this source tree, kept in the user's cache.
    pub fn open() -> Result<Self, ToolsError> {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
        let cache = cache_dir()?;
        let mut homes = BTreeMap::new();
        for module in Tool::ALL.map(Tool::module) {
            let digest = digest(&modules.join(module))?;
            homes.insert(module, cache.join(format!("{module}-{digest}")));
        }
        Ok(Self {
            modules,
            cache,
            homes,
        })
    }

    /// Where this program is, or will be once it is built.
    pub fn path(&self, tool: Tool) -> PathBuf {
        self.home(tool).join("bin").join(tool.binary())
    }

    /// The folder of a tool's module: programs in `bin`, and what they read beside it.
    pub fn home(&self, tool: Tool) -> &Path {
        // INVARIANT: `open` has an entry for the module of every tool.
        &self.homes[tool.module()]
    }

    /// Builds those of `tools` that are missing; returns how many were.
    pub fn ensure(&self, tools: &[Tool], progress: &Progress) -> Result<usize, ToolsError> {
        let is_missing = |tool: &Tool| !self.path(*tool).exists();
        let mut missing: Vec<Tool> = tools.iter().copied().filter(is_missing).collect();
        missing.sort_unstable();
        if missing.is_empty() {
            return Ok(0);
        }
        progress.note("building tools from source; the first time this takes about 20 minutes");
        let go = go::find(&self.cache)?;
        for &tool in &missing {
            let module = build::Module {
                source: self.modules.join(tool.module()),
                home: self.home(tool),
                go: &go,
            };
            module.build(tool, progress)?;
        }
        Ok(missing.len())
    }
}

/// The folder of everything this crate keeps between clusters.
pub fn cache_dir() -> Result<PathBuf, ToolsError> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("XDG_CACHE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("tenantry"))
        .ok_or(ToolsError::NoCache)
}

fn file_error(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ToolsError {
    let path = path.to_owned();
    move |source| ToolsError::File { deed, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_recipe() {
        let modules = Toolbox::open().unwrap().modules;
        for tool in Tool::ALL {
            let recipe = recipe::Recipe::read(&modules.join(tool.module())).unwrap();
            assert!(recipe.package_of(tool.binary()).is_some(), "{tool:?}");
        }
    }

    #[test]
    fn tools_are_listed_in_their_order() {
        assert!(Tool::ALL.is_sorted());
    }

    #[test]
    fn tool_lives_under_the_digest_of_its_module() {
        let toolbox = Toolbox::open().unwrap();
        let digest = digest(&toolbox.modules.join("etcd")).unwrap();
        let path = toolbox.path(Tool::Etcd);
        assert!(
            path.ends_with(format!("tenantry/etcd-{digest}/bin/etcd")),
            "{}",
            path.display()
        );
    }
}
