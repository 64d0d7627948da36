//! From whatever there is to nothing. Each step copes with finding nothing, so that `down` ends the
//! work of an `up`, or of a `down`, that was killed anywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::leftovers::bpf_programs;
use super::{ClusterError, command, system, turn};
use crate::command::run;
use crate::network;
use crate::site::{self, CGROUP, STATE};
use crate::wait;

/// The kernel empties cgroups a moment after their processes ended.
const CGROUPS_WITHIN: Duration = Duration::from_secs(20);

/// And it frees programs that call each other a moment after their interfaces went.
const BPF_WITHIN: Duration = Duration::from_secs(20);

/// Takes the cluster down: no process, mount, interface, namespace, cgroup or file is left.
pub fn down() -> Result<(), ClusterError> {
    let _turn = turn()?;
    clear()
}

/// The same, for a caller whose turn it is.
pub(super) fn clear() -> Result<(), ClusterError> {
    // With the node's pid 1 go its mounts, the pods and the BPF file system.
    if !network::kill_processes().map_err(command("end the cluster's processes"))? {
        return Err(ClusterError::Undying);
    }
    network::remove().map_err(command("remove the cluster's network"))?;
    remove_cgroups()?;
    let created = fs::read_to_string(site::created()).unwrap_or_default();
    // The folder may hold mounts if somebody made them by hand; those are not ours to empty.
    run(Command::new("rm").args(["-rf", "--one-file-system", STATE]))
        .map_err(command("remove the cluster's files"))?;
    created.lines().for_each(remove_if_empty);
    // What is still there after that is for `leftovers` to tell.
    wait::until(BPF_WITHIN, || {
        bpf_programs().map_or(Some(()), |left| left.is_empty().then_some(()))
    });
    Ok(())
}

/// The cluster's cgroups, in every hierarchy.
pub(super) fn cgroups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten();
    let below = hierarchies.map(|entry| entry.path().join(CGROUP));
    below
        .chain([root.join(CGROUP)])
        .filter(|path| path.exists())
        .collect()
}

fn remove_cgroups() -> Result<(), ClusterError> {
    let mut last = None;
    let gone = wait::until(CGROUPS_WITHIN, || {
        last = None;
        for path in cgroups() {
            if let Err(error) = remove_tree(&path) {
                last = Some(error);
            }
        }
        last.is_none().then_some(())
    });
    match (gone, last) {
        (None, Some(error)) => Err(error),
        _ => Ok(()),
    }
}

/// A cgroup is removed with `rmdir` after those in it; its files cannot be.
fn remove_tree(path: &Path) -> Result<(), ClusterError> {
    for entry in fs::read_dir(path).map_err(system("list", path))?.flatten() {
        if entry.path().is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path).map_err(system("remove", path))
}

/// Folders of the machine that `up` had to make, unless somebody uses them by now.
fn remove_if_empty(folder: &str) {
    // `ip netns add` mounts its folder on itself; that fails to go away while others use it.
    if folder == "/run/netns" && fs::read_dir(folder).is_ok_and(|mut list| list.next().is_none()) {
        let _ = run(Command::new("umount").arg(folder));
    }
    let _ = fs::remove_dir(folder);
}
