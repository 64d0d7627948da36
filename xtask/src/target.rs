//! Which cluster a command is about: the local one, or one that exists
//! already.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use tenantry_cluster::image::import_image;
use tenantry_cluster::progress::Progress;
use tenantry_cluster::tools::{Tool, Toolbox};
use tenantry_tests::kubectl::Kubectl;

use crate::images::Image;

/// A cluster, and the programs to speak to it with.
pub struct Target {
    kind: Kind,
    kubectl: PathBuf,
    helm: PathBuf,
}

enum Kind {
    Local {
        kubeconfig: PathBuf,
    },
    Existing {
        context: String,
        registry: Option<String>,
    },
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
        let registry = registry.map(|registry| registry.trim_end_matches('/').into());
        let kind = Kind::Existing {
            context: context.into(),
            registry,
        };
        let (kubectl, helm) = match (on_path("kubectl"), on_path("helm")) {
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

    /// How a person reaches the cluster from a shell, and gets rid of all of
    /// this again.
    pub fn commands(&self) -> [String; 2] {
        match &self.kind {
            Kind::Local { .. } => ["cargo xtask kubectl --".into(), "cargo xtask down".into()],
            Kind::Existing { context, .. } => [
                format!("kubectl --context {context}"),
                format!("kubectl --context {context} delete namespace acme tenantry-system"),
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
            Kind::Existing {
                registry: Some(registry),
                ..
            } => push(image, registry),
            Kind::Existing {
                context,
                registry: None,
            } => {
                load_by_context(image, context)?;
                Ok(image.reference.clone())
            }
        }
    }
}

/// kubectl and helm as the local cluster has them, built if need be.
fn built_programs() -> Result<(PathBuf, PathBuf)> {
    let toolbox = Toolbox::open()?;
    toolbox.ensure(&[Tool::Kubectl, Tool::Helm], &Progress::notes_only())?;
    Ok((toolbox.path(Tool::Kubectl), toolbox.path(Tool::Helm)))
}

/// Pushes an image with skopeo, which needs no daemon.
fn push(image: &Image, registry: &str) -> Result<String> {
    let name = image.reference.trim_start_matches("localhost/");
    let reference = format!("{registry}/{name}");
    let source = format!("docker-archive:{}", image.archive.display());
    let pushed = Command::new("skopeo")
        .args(["copy", &source, &format!("docker://{reference}")])
        .status()
        .context("run skopeo, which pushes images (Debian: apt-get install skopeo)")?;
    ensure!(
        pushed.success(),
        "`{reference}` could not be pushed; `skopeo login {registry}` may be missing"
    );
    Ok(reference)
}

/// Loads an image with the tool that made the cluster; its name is in the
/// context that the tool wrote.
fn load_by_context(image: &Image, context: &str) -> Result<()> {
    let archive = image.archive.to_string_lossy();
    let (program, arguments): (&str, Vec<&str>) = match context.split_once('-') {
        Some(("kind", cluster)) => (
            "kind",
            vec!["load", "image-archive", &archive, "--name", cluster],
        ),
        Some(("k3d", cluster)) => (
            "k3d",
            vec!["image", "import", &archive, "--cluster", cluster],
        ),
        _ if context == "minikube" => ("minikube", vec!["image", "load", &archive]),
        _ => bail!(
            "the context `{context}` is none of kind, k3d or minikube: say with --registry where \
             the cluster pulls its images from"
        ),
    };
    let loaded = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| {
            format!("run {program}, which made the cluster of the context `{context}`")
        })?;
    ensure!(
        loaded.success(),
        "{program} could not load `{}`",
        image.reference
    );
    Ok(())
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
