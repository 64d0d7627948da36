//! The three hosts of the local cluster, each a network namespace, joined by one bridge:
//! the node (pods behind it), the control plane, and everything outside the cluster.
//! Nothing here has a link to the machine's own network.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::command::{CommandError, run};
use crate::wait;

/// The node's address.
pub const NODE_ADDRESS: &str = "10.99.0.1";
/// A host of the local network outside the cluster: an external database, a proxy.
pub const OUTSIDE_ADDRESS: &str = "10.99.0.2";
/// The control plane's address, where the API server listens on port 6443.
pub const CONTROL_PLANE_ADDRESS: &str = "10.99.0.3";
/// A host of the public internet (TEST-NET-3), on the same machine as the outside host.
pub const PUBLIC_ADDRESS: &str = "203.0.113.10";
/// Where clouds serve machine credentials.
pub const METADATA_ADDRESS: &str = "169.254.169.254";
/// The addresses of pods.
pub const POD_RANGE: &str = "10.244.0.0/16";
/// The node's interface: the bridge itself.
pub const NODE_INTERFACE: &str = "node0";

/// `ip` commands that make it all, in order.
const SETUP: &str = "\
netns add tenantry
netns add tenantry-control-plane
netns add tenantry-outside
-n tenantry link set lo up
-n tenantry-control-plane link set lo up
-n tenantry-outside link set lo up
-n tenantry link add node0 address 02:00:00:00:00:01 type bridge
-n tenantry addr add 10.99.0.1/24 dev node0
-n tenantry link set node0 up
-n tenantry route add default dev node0
-n tenantry link add outside0 type veth peer name eth0 netns tenantry-outside
-n tenantry link set outside0 master node0 up
-n tenantry-outside addr add 10.99.0.2/24 dev eth0
-n tenantry-outside addr add 203.0.113.10/32 dev eth0
-n tenantry-outside addr add 169.254.169.254/32 dev eth0
-n tenantry-outside link set eth0 up
-n tenantry-outside route add 10.244.0.0/16 via 10.99.0.1
-n tenantry link add plane0 type veth peer name eth0 netns tenantry-control-plane
-n tenantry link set plane0 master node0 up
-n tenantry-control-plane addr add 10.99.0.3/24 dev eth0
-n tenantry-control-plane link set eth0 up
-n tenantry-control-plane route add default via 10.99.0.1";

/// A killed process is gone at once, unless the machine is very busy.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// A host of the local cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Where pods run.
    Node,
    /// Where the API server runs.
    ControlPlane,
    /// Beyond the cluster: its local network, the internet, the metadata service.
    Outside,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 3] = [Self::Node, Self::ControlPlane, Self::Outside];

    /// The name of its network namespace.
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Node => "tenantry",
            Self::ControlPlane => "tenantry-control-plane",
            Self::Outside => "tenantry-outside",
        }
    }

    /// The file that stands for the namespace while it exists.
    pub fn file(self) -> PathBuf {
        PathBuf::from("/run/netns").join(self.namespace())
    }

    /// A command that runs `program` on that host; for root. `down` kills what is left of it.
    pub fn command(self, program: &str) -> Command {
        // Not `ip netns exec`: that mounts /sys anew and hides the cgroups.
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.file().display()))
            .arg("--")
            .arg(program);
        command
    }

    /// The processes on that host, but not those of pods.
    pub fn processes(self) -> Result<Vec<i32>, CommandError> {
        if !self.file().exists() {
            return Ok(Vec::new());
        }
        let listed = run(Command::new("ip").args(["netns", "pids", self.namespace()]))?;
        Ok(listed
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect())
    }

    fn links(self) -> Result<Vec<String>, CommandError> {
        let listed = run(Command::new("ip").args(["-n", self.namespace(), "-brief", "link"]))?;
        let name = |line: &str| line.split(['@', ' ']).next().unwrap_or_default().to_owned();
        Ok(listed
            .lines()
            .map(name)
            .filter(|link| link != "lo")
            .collect())
    }
}

/// Makes the three hosts; none may exist.
pub fn create() -> Result<(), CommandError> {
    SETUP
        .lines()
        .try_for_each(|line| run(Command::new("ip").args(line.split(' '))).map(drop))
}

/// Kills every process on the three hosts; with the node's pid 1, every pod ends as well.
/// Returns whether all are gone.
pub fn kill_processes() -> Result<bool, CommandError> {
    let mut failure = None;
    let gone = wait::until(GONE_WITHIN, || {
        let mut any = false;
        for place in Place::ALL {
            match place.processes() {
                Ok(pids) => {
                    any |= !pids.is_empty();
                    pids.into_iter().for_each(kill);
                }
                Err(error) => failure = Some(error),
            }
        }
        (!any || failure.is_some()).then_some(())
    });
    failure.map_or(Ok(gone.is_some()), Err)
}

/// Removes whatever there is of the three hosts; their processes are gone.
pub fn remove() -> Result<(), CommandError> {
    for place in Place::ALL.into_iter().filter(|place| place.file().exists()) {
        // Links first: a dying TCP socket keeps a namespace for minutes, and with it the
        // BPF programs on its links.
        for link in place.links()? {
            // The other end of a pair goes with the first.
            let _ = run(Command::new("ip").args(["-n", place.namespace(), "link", "del", &link]));
        }
        run(Command::new("ip").args(["netns", "del", place.namespace()]))?;
    }
    Ok(())
}

fn kill(pid: i32) {
    // It may have ended meanwhile; the caller looks again.
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setup_names_every_host_and_address() {
        for place in Place::ALL {
            assert!(SETUP.contains(&format!("netns add {}\n", place.namespace())));
        }
        for address in [
            NODE_ADDRESS,
            OUTSIDE_ADDRESS,
            CONTROL_PLANE_ADDRESS,
            PUBLIC_ADDRESS,
            METADATA_ADDRESS,
        ] {
            assert!(SETUP.contains(&format!("addr add {address}/")), "{address}");
        }
        assert!(SETUP.contains(&format!("route add {POD_RANGE} via")));
        assert!(SETUP.contains(&format!("link add {NODE_INTERFACE} ")));
    }
}
