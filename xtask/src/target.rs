//! Which cluster a command is about: the local one, or one that exists
//! already.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use tenantry_cluster::image::import_image;
use tenantry_cluster::packages;
use tenantry_cluster::tools::Tool;
use tenantry_tests::kubectl::Kubectl;

use crate::images::Image;
use crate::tools;

/// A cluster, and the programs to speak to it with.
pub struct Target {
    kind: Kind,
    kubectl: PathBuf,
    helm: PathBuf,
}

enum Kind {
    Local { kubeconfig: PathBuf },
    Existing { context: String, supply: Supply },
}

impl Target {
    /// The cluster of `cargo xtask up`.
    pub fn local(kubeconfig: &Path) -> Result<Self> {
        let kind = Kind::Local {
            kubeconfig: kubeconfig.into(),
        };
        let (kubectl, helm) = built_programs()?;
        Ok(Self {
            kind,
            kubectl,
            helm,
        })
    }

    /// A cluster that a kubeconfig context names. Its images come from
    /// `registry`, unless the context's name tells a tool that loads them.
    pub fn existing(context: &str, registry: Option<&str>) -> Result<Self> {
        let kind = Kind::Existing {
            context: context.into(),
            supply: Supply::of(context, registry)?,
        };
        let (kubectl, helm) = match (packages::find("kubectl"), packages::find("helm")) {
            (Some(kubectl), Some(helm)) => (kubectl, helm),
            _ => built_programs()?,
        };
        let target = Self {
            kind,
            kubectl,
            helm,
        };
        let answers = target
            .kubectl()
            .command()
            .args(["get", "--raw", "/readyz"])
            .stdout(Stdio::null())
            .status()?;
        ensure!(
            answers.success(),
            "the context `{context}` does not answer; `kubectl config get-contexts` lists what there is"
        );
        Ok(target)
    }

    /// kubectl for this cluster.
    pub fn kubectl(&self) -> Kubectl {
        match &self.kind {
            Kind::Local { kubeconfig } => Kubectl::with_kubeconfig(&self.kubectl, kubeconfig),
            Kind::Existing { context, .. } => Kubectl::with_context(&self.kubectl, context),
        }
    }

    /// The kubectl program itself.
    pub fn kubectl_program(&self) -> &Path {
        &self.kubectl
    }

    /// helm for this cluster.
    pub fn helm(&self) -> Command {
        let mut command = Command::new(&self.helm);
        match &self.kind {
            Kind::Local { kubeconfig } => command.env("KUBECONFIG", kubeconfig),
            Kind::Existing { context, .. } => command.args(["--kube-context", context]),
        };
        command
    }

    /// How a person says `words` to the plugin from a shell.
    pub fn plugin(&self, words: &str) -> String {
        match &self.kind {
            Kind::Local { .. } => format!("cargo xtask kubectl -- mcp {words}"),
            Kind::Existing { context, .. } => {
                format!(".tenantry/bin/kubectl-mcp {words} --context {context}")
            }
        }
    }

    /// How a person reaches the cluster from a shell, and gets rid of all of
    /// this again.
    pub fn commands(&self) -> [String; 2] {
        match &self.kind {
            Kind::Local { .. } => ["cargo xtask kubectl --".into(), "cargo xtask down".into()],
            Kind::Existing { context, .. } => [
                format!("kubectl --context {context}"),
                format!(
                    "helm --kube-context {context} --namespace tenantry-system uninstall tenantry \
                     && kubectl --context {context} delete namespace acme"
                ),
            ],
        }
    }

    /// Makes the cluster's nodes have an image; the reference to use for it.
    pub fn load(&self, image: &Image) -> Result<String> {
        match &self.kind {
            Kind::Local { .. } => {
                import_image(&image.archive)?;
                Ok(image.reference.clone())
            }
            Kind::Existing { supply, .. } => supply.bring(image),
        }
    }
}

/// kubectl and helm as the local cluster has them, built if need be.
fn built_programs() -> Result<(PathBuf, PathBuf)> {
    let toolbox = tools::with(&[Tool::Kubectl, Tool::Helm])?;
    Ok((toolbox.path(Tool::Kubectl), toolbox.path(Tool::Helm)))
}

/// How an existing cluster comes by images.
enum Supply {
    /// It pulls them from here.
    Registry(String),
    /// The tool that made the cluster loads them.
    Tool(&'static str, Vec<String>),
}

impl Supply {
    /// The registry that was named, or the tool that the context's name tells.
    fn of(context: &str, registry: Option<&str>) -> Result<Self> {
        if let Some(registry) = registry {
            return Ok(Self::Registry(registry.trim_end_matches('/').into()));
        }
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        match context.split_once('-') {
            Some(("kind", name)) => Ok(Self::Tool(
                "kind",
                words(&["load", "image-archive", "--name", name]),
            )),
            Some(("k3d", name)) => Ok(Self::Tool(
                "k3d",
                words(&["image", "import", "--cluster", name]),
            )),
            _ if context == "minikube" => Ok(Self::Tool("minikube", words(&["image", "load"]))),
            _ => bail!(
                "the context `{context}` is none of kind, k3d or minikube: say with --registry \
                 HOST/PATH where the cluster pulls its images from"
            ),
        }
    }

    /// Brings an image; the reference to use for it.
    fn bring(&self, image: &Image) -> Result<String> {
        let (mut command, reference) = match self {
            Self::Registry(registry) => {
                let name = image.reference.trim_start_matches("localhost/");
                let reference = format!("{registry}/{name}");
                // skopeo needs no daemon.
                let mut push = Command::new("skopeo");
                push.arg("copy")
                    .arg(format!("docker-archive:{}", image.archive.display()))
                    .arg(format!("docker://{reference}"));
                (push, reference)
            }
            Self::Tool(program, arguments) => {
                let mut load = Command::new(program);
                load.args(arguments).arg(&image.archive);
                (load, image.reference.clone())
            }
        };
        let program = command.get_program().to_string_lossy().into_owned();
        let brought = command
            .status()
            .with_context(|| format!("run {program}, which brings images to the cluster"))?;
        ensure!(
            brought.success(),
            "{program} could not bring `{reference}` to the cluster"
        );
        Ok(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_tells_how_its_cluster_comes_by_images() {
        let tool = |context| match Supply::of(context, None) {
            Ok(Supply::Tool(program, arguments)) => format!("{program} {}", arguments.join(" ")),
            Ok(Supply::Registry(registry)) => registry,
            Err(error) => error.to_string(),
        };
        assert_eq!(tool("kind-dev"), "kind load image-archive --name dev");
        assert_eq!(tool("k3d-a-b"), "k3d image import --cluster a-b");
        assert_eq!(tool("minikube"), "minikube image load");
        assert!(tool("production").contains("--registry"));
        let Ok(Supply::Registry(registry)) = Supply::of("kind-dev", Some("registry.test/team/"))
        else {
            panic!("a registry that is named is used");
        };
        assert_eq!(registry, "registry.test/team");
    }
}
