//! The node's own view of the file system: folders of the machine that programs insist on are
//! covered by folders of the state, BPF objects get a file system of their own, and the node's
//! cgroups are made. Mounts end with the namespace; the cgroups are for `down`.

use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};

use super::{NodeError, system};
use crate::site::{self, CGROUP};

const CGROUPS: &str = "/sys/fs/cgroup";

/// The controllers that kubelet wants, on a machine with cgroup v2.
const CONTROLLERS: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];

pub(super) fn prepare() -> Result<(), NodeError> {
    // Kubelet wants to share mounts with the pods; the namespace itself stays private,
    // as `unshare` has cut it off from the machine's.
    mount_change(
        "/",
        MountPropagationFlags::SHARED | MountPropagationFlags::REC,
    )
    .map_err(|errno| system("share mounts of", "/")(errno.into()))?;
    for fixed in site::FIXED_FOLDERS {
        let over = site::over(fixed);
        fs::create_dir_all(&over).map_err(system("create", &over))?;
        mount_bind(&over, fixed).map_err(|errno| system("cover", fixed)(errno.into()))?;
    }
    mount("bpf", "/sys/fs/bpf", "bpf", MountFlags::empty(), None)
        .map_err(|errno| system("mount bpf on", "/sys/fs/bpf")(errno.into()))?;
    if Path::new(CGROUPS).join("cgroup.controllers").exists() {
        one_hierarchy()
    } else {
        hierarchies().map_err(system("make cgroups in", CGROUPS))
    }
}

/// cgroup v2: one tree, and controllers to be passed down in it.
fn one_hierarchy() -> Result<(), NodeError> {
    let ours = Path::new(CGROUPS).join(CGROUP);
    fs::create_dir_all(&ours).map_err(system("create", &ours))?;
    for controller in CONTROLLERS {
        // One at a time, as a machine may lack some; kubelet names the one it misses.
        let _ = fs::write(
            Path::new(CGROUPS).join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
        let _ = fs::write(
            ours.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
    Ok(())
}

/// cgroup v1: a tree for each controller. A new cpuset is empty, and nothing runs in an empty one.
fn hierarchies() -> io::Result<()> {
    for entry in fs::read_dir(CGROUPS)? {
        let parent = entry?.path();
        if !parent.is_dir() {
            continue;
        }
        let ours = parent.join(CGROUP);
        fs::create_dir_all(&ours)?;
        for setting in ["cpuset.cpus", "cpuset.mems"] {
            if ours.join(setting).exists() {
                fs::write(ours.join(setting), fs::read(parent.join(setting))?)?;
            }
        }
    }
    Ok(())
}
