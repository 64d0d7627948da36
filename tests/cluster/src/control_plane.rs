//! The lighter level: etcd and the API server (and the controllers, if wanted) on loopback ports,
//! in a temporary folder, ready in seconds, gone with the test. No root, no node, no pods.

mod folder;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::command::{succeeds, tail_of};
use crate::component::{self, API_SERVICE_ADDRESS, ApiServer};
use crate::keeper::Keeper;
use crate::kubeconfig;
use crate::pki::{self, Authority, PkiError};
use crate::progress::Progress;
use crate::tools::{Tool, Toolbox, ToolsError};
use crate::wait;
use folder::Folder;

/// Seen: 3 s on an idle machine; the rest is room for busy ones.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// Between choosing a free port and using it another process may take it.
const ATTEMPTS: usize = 3;

/// An address nobody has (TEST-NET-1): the API server refuses to publish a loopback address
/// behind its Service, and readers of those endpoints should find something.
const ADVERTISED: &str = "192.0.2.1";

/// Set to a folder, every API server keeps its audit log there: who did what by
/// which right, without what was said.
pub const AUDIT_DIR: &str = "TENANTRY_AUDIT_DIR";

/// Everybody but those who may do everything.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: [system:masters]
- level: None
  users: [system:apiserver, system:kube-controller-manager]
- level: Metadata
";

/// A control plane that did not start.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// Its programs could not be built.
    #[error("cannot get the control plane's programs")]
    Tools(#[from] ToolsError),
    /// Its certificates could not be made.
    #[error("cannot make the control plane's certificates")]
    Pki(#[from] PkiError),
    /// A folder, port or process was refused.
    #[error("cannot {deed}")]
    System {
        /// What was being done.
        deed: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program ended by itself.
    #[error("`{name}` ended early; the end of its log:\n{tail}")]
    Ended {
        /// Which program.
        name: String,
        /// The end of its log.
        tail: String,
    },
    /// The API server runs but does not become ready.
    #[error("kube-apiserver is not ready after {} s; the end of its log:\n{tail}", READY_WITHIN.as_secs())]
    NotReady {
        /// The end of its log.
        tail: String,
    },
}

/// A running control plane; dropping it stops it and removes its folder.
pub struct ControlPlane {
    // Before `folder`: the processes end first.
    keepers: Vec<Keeper>,
    authority: Authority,
    server: String,
    kubectl: PathBuf,
    /// How many kubeconfigs other users have been given.
    users: AtomicUsize,
    folder: Folder,
}

impl ControlPlane {
    /// etcd and the API server. Namespaces are not finalized and service accounts are not made.
    pub fn start() -> Result<Self, ControlPlaneError> {
        Self::launch(&["--disable-admission-plugins=ServiceAccount"], false)
    }

    /// The same with the controllers: garbage collection, namespaces, service accounts, roles that aggregate.
    pub fn start_with_controllers() -> Result<Self, ControlPlaneError> {
        Self::launch(&[], true)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("admin.kubeconfig")
    }

    /// A new kubeconfig of another user, with a certificate of its own: threads ask for the
    /// same user at once.
    pub fn kubeconfig_for(
        &self,
        user: &str,
        groups: &[&str],
    ) -> Result<PathBuf, ControlPlaneError> {
        let name = format!(
            "user-{}-{}",
            self.users.fetch_add(1, Ordering::Relaxed),
            user.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        );
        let client = self.authority.client(user, groups)?;
        kubeconfig::write(self.folder.path(), &name, &self.server, &client)?;
        Ok(self.folder.path().join(format!("{name}.kubeconfig")))
    }

    /// `https://127.0.0.1:<port>`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.env("KUBECONFIG", self.kubeconfig());
        command
    }

    fn launch(extra: &[&str], controllers: bool) -> Result<Self, ControlPlaneError> {
        let toolbox = Toolbox::open()?;
        let mut tools = vec![Tool::Etcd, Tool::KubeApiserver, Tool::Kubectl];
        tools.extend(controllers.then_some(Tool::KubeControllerManager));
        toolbox.ensure(&tools, &Progress::notes_only())?;
        let mut attempt = 1;
        loop {
            match Self::launch_once(&toolbox, extra, controllers) {
                Err(ControlPlaneError::Ended { tail, .. })
                    if attempt < ATTEMPTS && tail.contains("address already in use") =>
                {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn launch_once(
        toolbox: &Toolbox,
        extra: &[&str],
        controllers: bool,
    ) -> Result<Self, ControlPlaneError> {
        let folder = Folder::create().map_err(system("create a folder for the control plane"))?;
        let dir = folder.path().to_owned();
        let [client, peer, secure] = free_ports().map_err(system("find free ports"))?;
        let server = format!("https://{secure}");
        let authority = write_pki(&dir, &server)?;
        let auditing = audit(&dir).map_err(system("write the audit policy"))?;
        let auditing: Vec<_> = auditing.iter().map(String::as_str).collect();
        let api_server = ApiServer {
            pki: &dir,
            etcd: client,
            listen: secure,
            advertise: ADVERTISED,
            extra: &[&["--authorization-mode=RBAC"], extra, &auditing].concat(),
        };
        let components = [
            component::etcd(toolbox.path(Tool::Etcd), &dir.join("etcd"), client, peer),
            component::api_server(toolbox.path(Tool::KubeApiserver), &api_server),
        ];
        let start =
            |component| Keeper::start(component, &dir).map_err(system("start the control plane"));
        let keepers = components.iter().map(start).collect::<Result<_, _>>()?;
        let mut plane = Self {
            keepers,
            authority,
            server,
            kubectl: toolbox.path(Tool::Kubectl),
            users: AtomicUsize::new(0),
            folder,
        };
        plane.wait_until_ready()?;
        if controllers {
            let manager = toolbox.path(Tool::KubeControllerManager);
            let ports = [
                "--secure-port=0",
                "--controllers=*,-nodeipam,-node-route-controller,-service-lb-controller",
            ];
            plane.keepers.push(start(&component::controller_manager(
                manager, &dir, &ports,
            ))?);
            plane.wait_for_controllers()?;
        }
        Ok(plane)
    }

    fn wait_until_ready(&self) -> Result<(), ControlPlaneError> {
        self.wait_for(|| succeeds(self.kubectl().args(["get", "--raw", "/readyz"])))
    }

    /// The service account `default` is the last thing a new namespace waits for.
    fn wait_for_controllers(&self) -> Result<(), ControlPlaneError> {
        self.wait_for(|| {
            succeeds(
                self.kubectl()
                    .args(["get", "serviceaccount", "default", "-n", "default"]),
            )
        })
    }

    fn wait_for(&self, is_ready: impl Fn() -> bool) -> Result<(), ControlPlaneError> {
        let outcome = wait::until(READY_WITHIN, || {
            match self.keepers.iter().find(|keeper| keeper.has_ended()) {
                Some(ended) => Some(Err(ControlPlaneError::Ended {
                    name: ended.name.clone(),
                    tail: tail_of(&ended.log),
                })),
                None => is_ready().then_some(Ok(())),
            }
        });
        let log = self.folder.path().join("kube-apiserver.log");
        outcome.unwrap_or_else(|| {
            Err(ControlPlaneError::NotReady {
                tail: tail_of(&log),
            })
        })
    }
}

/// The API server's arguments for a log of its own, if one is asked for. It is
/// not in the folder of the control plane, which goes with it.
fn audit(dir: &Path) -> io::Result<Vec<String>> {
    let Some(logs) = std::env::var_os(AUDIT_DIR).map(PathBuf::from) else {
        return Ok(vec![]);
    };
    let policy = dir.join("audit-policy.yaml");
    fs::write(&policy, AUDIT_POLICY)?;
    let name = dir.file_name().unwrap_or_default();
    let log = logs.join(name).with_extension("log");
    Ok(vec![
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", log.display()),
    ])
}

fn write_pki(dir: &Path, server: &str) -> Result<Authority, ControlPlaneError> {
    let authority = Authority::new()?;
    authority.credential().write(dir, "ca")?;
    authority
        .serving(&["localhost", "127.0.0.1", API_SERVICE_ADDRESS])?
        .write(dir, "apiserver")?;
    pki::token_signer()?.write(dir, "tokens")?;
    let admin = authority.client("admin", &["system:masters"])?;
    kubeconfig::write(dir, "admin", server, &admin)?;
    let manager = authority.client("system:kube-controller-manager", &[])?;
    kubeconfig::write(dir, "controller-manager", server, &manager)?;
    Ok(authority)
}

/// Three loopback addresses with different free ports.
fn free_ports() -> io::Result<[SocketAddr; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = [bind()?, bind()?, bind()?];
    Ok([
        held[0].local_addr()?,
        held[1].local_addr()?,
        held[2].local_addr()?,
    ])
}

fn system(deed: &'static str) -> impl FnOnce(io::Error) -> ControlPlaneError + Copy {
    move |source| ControlPlaneError::System { deed, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let [a, b, c] = free_ports().unwrap();
        assert!(a != b && b != c && a != c);
    }

    #[test]
    fn certificates_of_both_identities_are_written() {
        let dir = tempfile::tempdir().unwrap();
        write_pki(dir.path(), "https://127.0.0.1:1").unwrap();
        for name in [
            "ca.crt",
            "apiserver.key",
            "tokens.crt",
            "admin.kubeconfig",
            "controller-manager.kubeconfig",
        ] {
            assert!(dir.path().join(name).exists(), "{name}");
        }
    }
}
