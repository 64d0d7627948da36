//! The local cluster as a whole: up, down, and what there is of it now. One a machine;
//! for root. Everything it is made of is in `site::STATE`, in three network namespaces and in
//! cgroups of one name, so that `down` clears away what any `up` left.

mod down;
mod leftovers;
mod log_agent;
mod up;

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

pub use down::down;
pub use leftovers::leftovers;
pub use log_agent::start_log_agent;
pub use up::up;

use crate::command::{CommandError, succeeds, tail_of};
use crate::image::ImageError;
use crate::kubeconfig;
use crate::network::Place;
use crate::packages::PackagesError;
use crate::pki::{Authority, PkiError};
use crate::site::{self, HOST_PORT};
use crate::tools::{Tool, Toolbox, ToolsError};

/// A cluster that does not come up or go down.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Namespaces and mounts are for root.
    #[error("the local cluster needs root (network, mount and PID namespaces): try `sudo`")]
    NotRoot,
    /// The machine lacks something.
    #[error("the machine is not prepared")]
    Packages(#[from] PackagesError),
    /// A program could not be built.
    #[error("the cluster's programs are not there")]
    Tools(#[from] ToolsError),
    /// An image could not be made or imported.
    #[error("the cluster's images are not there")]
    Image(#[from] ImageError),
    /// A certificate could not be made.
    #[error("the cluster's certificates are not there")]
    Pki(#[from] PkiError),
    /// A helper program failed.
    #[error("cannot {deed}")]
    Command {
        /// What was being done.
        deed: &'static str,
        /// What the program said.
        #[source]
        source: CommandError,
    },
    /// The system refused something.
    #[error("cannot {deed} {}", path.display())]
    System {
        /// What was being done.
        deed: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The port on the machine's loopback belongs to somebody else.
    #[error("port {} of 127.0.0.1 is taken", site::HOST_PORT)]
    PortTaken(#[source] io::Error),
    /// The node gave up, or ended without a word.
    #[error("the node did not come up: {reason}; the end of {}:\n{tail}", log.display())]
    Node {
        /// What the node said.
        reason: String,
        /// The log that says more.
        log: PathBuf,
        /// The end of that log.
        tail: String,
    },
    /// Processes of the cluster survive being killed.
    #[error("processes of the local cluster do not end; see `ip netns pids {}`", Place::Node.namespace())]
    Undying,
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing.
    Absent,
    /// Remains of an `up` that did not come to its end, or of a node that died.
    Broken,
    /// A node that came up and runs.
    Running,
}

/// Looks at what there is; for anybody, not for root alone.
pub fn status() -> Status {
    if !Path::new(site::STATE).exists() && Place::ALL.iter().all(|place| !place.file().exists()) {
        return Status::Absent;
    }
    // The node's pid 1 holds the listening socket: it is there as long as the node lives.
    let lives = TcpStream::connect((Ipv4Addr::LOCALHOST, site::HOST_PORT)).is_ok();
    if site::complete().exists() && lives {
        Status::Running
    } else {
        Status::Broken
    }
}

/// kubectl for the running cluster, from the machine itself.
pub fn kubectl(toolbox: &Toolbox) -> Command {
    with_kubeconfig(toolbox.path(Tool::Kubectl))
}

/// Helm for the running cluster, from the machine itself.
pub fn helm(toolbox: &Toolbox) -> Command {
    with_kubeconfig(toolbox.path(Tool::Helm))
}

/// The kubeconfig of somebody whom the running cluster knows by this name and these groups.
pub fn kubeconfig_for(user: &str, groups: &[&str]) -> Result<PathBuf, ClusterError> {
    let dir = site::pki();
    let key = dir.join("ca.key");
    let key = fs::read_to_string(&key).map_err(system("read", &key))?;
    let client = Authority::of(&key)?.client(user, groups)?;
    let name = user.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let server = format!("https://127.0.0.1:{HOST_PORT}");
    kubeconfig::write(&dir, &name, &server, &client)?;
    Ok(dir.join(format!("{name}.kubeconfig")))
}

/// Whether the API server answers on the machine's loopback.
pub fn answers(toolbox: &Toolbox) -> bool {
    succeeds(kubectl(toolbox).args(["get", "--raw", "/readyz"]))
}

fn with_kubeconfig(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command.env("KUBECONFIG", site::kubeconfig());
    command
}

/// One `up` or `down` at a time, whoever runs it. A folder that every machine has is locked,
/// so that no lock file is left behind.
fn turn() -> Result<File, ClusterError> {
    if !rustix::process::geteuid().is_root() {
        return Err(ClusterError::NotRoot);
    }
    let path = "/var/lib";
    let folder = File::open(path).map_err(system("open", path))?;
    flock(&folder, FlockOperation::LockExclusive)
        .map_err(|errno| system("lock", path)(errno.into()))?;
    Ok(folder)
}

/// What went wrong in the node, with the end of the log that says more.
fn node_error(reason: String, log: &str) -> ClusterError {
    let log = site::logs().join(format!("{log}.log"));
    ClusterError::Node {
        reason,
        tail: tail_of(&log),
        log,
    }
}

fn system<P: Into<PathBuf>>(deed: &'static str, path: P) -> impl FnOnce(io::Error) -> ClusterError {
    let path = path.into();
    move |source| ClusterError::System { deed, path, source }
}

fn command(deed: &'static str) -> impl Fn(CommandError) -> ClusterError {
    move |source| ClusterError::Command { deed, source }
}
