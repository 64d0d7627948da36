//! What is left of a cluster that is down: nothing, if all went well. Looks at the machine
//! itself, not at what `down` believes to have done.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use super::down::cgroups;
use super::{ClusterError, command};
use crate::command::run;
use crate::network::Place;
use crate::packages;
use crate::site::{CGROUP, HOST_PORT, STATE};

/// Names of BPF programs that Cilium loads.
const BPF_NAMES: [&str; 2] = ["name cil_", "name tail_"];

/// Names of interfaces that belong inside the cluster's namespaces.
const LINK_NAMES: [&str; 5] = ["node0", "outside0", "plane0", "lxc", "cilium_"];

/// Lists what is left, a line each; empty after a clean `down`.
pub fn leftovers() -> Result<Vec<String>, ClusterError> {
    let mut found = processes();
    found.extend(
        Place::ALL
            .iter()
            .filter(|place| place.file().exists())
            .map(|place| format!("network namespace {}", place.namespace())),
    );
    found.extend(
        cgroups()
            .iter()
            .map(|path| format!("cgroup {}", path.display())),
    );
    if Path::new(STATE).exists() {
        found.push(format!("folder {STATE}"));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    found.extend(lines_with(
        &mounts,
        &[STATE, Place::Node.namespace()],
        "mount",
    ));
    let links = run(Command::new("ip").args(["-brief", "link"]));
    let links = links.map_err(command("list interfaces"))?;
    let is_ours = |line: &&str| LINK_NAMES.iter().any(|name| line.starts_with(name));
    found.extend(
        links
            .lines()
            .filter(is_ours)
            .map(|line| format!("interface {line}")),
    );
    found.extend(bpf_programs()?);
    if TcpStream::connect((Ipv4Addr::LOCALHOST, HOST_PORT)).is_ok() {
        found.push(format!("listener on port {HOST_PORT}"));
    }
    Ok(found)
}

/// BPF programs of the pod network; none where nothing is there to list them.
pub(super) fn bpf_programs() -> Result<Vec<String>, ClusterError> {
    if packages::find("bpftool").is_none() {
        return Ok(Vec::new());
    }
    let programs = run(Command::new("bpftool").args(["prog", "show"]));
    Ok(lines_with(
        &programs.map_err(command("list BPF programs"))?,
        &BPF_NAMES,
        "BPF program",
    ))
}

/// Processes that are in the cluster's cgroups, or have its folder in their command line.
fn processes() -> Vec<String> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let line = read("cmdline").replace('\0', " ");
        let is_ours = line.contains(STATE) || read("cgroup").contains(&format!("/{CGROUP}"));
        is_ours.then(|| format!("process {} {line}", entry.file_name().display()))
    })
    .collect()
}

fn lines_with(text: &str, words: &[&str], kind: &str) -> Vec<String> {
    let has_one = |line: &&str| words.iter().any(|word| line.contains(word));
    text.lines()
        .filter(has_one)
        .map(|line| format!("{kind} {line}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_named_by_kind() {
        let text = "1: sched_cls  name cil_from_contai\n2: cgroup_skb  name sd_fw_egress\n";
        assert_eq!(
            lines_with(text, &BPF_NAMES, "BPF program"),
            ["BPF program 1: sched_cls  name cil_from_contai"]
        );
    }
}
