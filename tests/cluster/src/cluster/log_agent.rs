//! A real log agent for the running cluster: an OpenTelemetry Collector inside the node, as cluster
//! logging would run it. It reads what the container runtime writes, knows by the file's name whose
//! line it is, and writes JSON. It ends with the node.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{ClusterError, command, node_error, system};
use crate::network::Place;
use crate::site;
use crate::tools::{Tool, Toolbox};
use crate::wait;

const NAME: &str = "otelcol";

/// Seen: 2 s.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Starts the agent, unless it runs; returns the file that it writes.
pub fn start_log_agent(toolbox: &Toolbox) -> Result<PathBuf, ClusterError> {
    let folder = site::path("log-agent");
    let output = folder.join("lines.json");
    let config = folder.join("config.yaml");
    if is_running(&config)? {
        return Ok(output);
    }
    fs::create_dir_all(&folder).map_err(system("create", &folder))?;
    fs::write(&config, configuration(&output)).map_err(system("write", &config))?;
    spawn(&toolbox.path(Tool::Otelcol), &config)?;
    let ready = || is_labelled(&output).then_some(());
    wait::until(READY_WITHIN, ready).ok_or_else(|| {
        node_error(
            "the log agent writes no line with a namespace".to_owned(),
            NAME,
        )
    })?;
    Ok(output)
}

fn spawn(program: &Path, config: &Path) -> Result<(), ClusterError> {
    let log = site::logs().join(format!("{NAME}.log"));
    let file = File::create(&log).map_err(system("create", &log))?;
    let node = node_pid()?;
    Command::new("setsid")
        .args([
            "nsenter", "--target", &node, "--mount", "--net", "--pid", "--",
        ])
        .arg(program)
        .arg("--config")
        .arg(config)
        .current_dir(site::STATE)
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(system("open", &log))?)
        .stderr(file)
        .spawn()
        .map(drop)
        .map_err(system("start", NAME))
}

fn is_running(config: &Path) -> Result<bool, ClusterError> {
    let config = config.display().to_string();
    let has_it = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains(&config)
    };
    Ok(node_processes()?.iter().any(has_it))
}

fn node_processes() -> Result<Vec<i32>, ClusterError> {
    Place::Node
        .processes()
        .map_err(command("find the node's processes"))
}

/// The node's pid 1, as the machine numbers it.
fn node_pid() -> Result<String, ClusterError> {
    let is_first = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        is_first_of_a_namespace(&status)
    };
    let first = node_processes()?.into_iter().find(is_first);
    first
        .map(|pid| pid.to_string())
        .ok_or_else(|| node_error("it is not running".to_owned(), "node"))
}

/// Whether `/proc/PID/status` is of a process that is 1 in a namespace below the machine's.
fn is_first_of_a_namespace(status: &str) -> bool {
    let numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .map(|numbers| numbers.split_whitespace().collect::<Vec<_>>());
    matches!(numbers.as_deref(), Some([_, .., "1"]))
}

fn is_labelled(output: &Path) -> bool {
    fs::read_to_string(output).is_ok_and(|text| text.contains("k8s.namespace.name"))
}

/// The files that the kubelet put aside are followed as well: it renames one first and has the
/// runtime begin another afterwards, and what is written in between belongs to the old one. Packed
/// ones were read before.
fn configuration(output: &Path) -> String {
    format!(
        r"receivers:
  file_log:
    include: [/var/log/pods/*/*/*.log*]
    exclude: ['/var/log/pods/*/*/*.gz', '/var/log/pods/*/*/*.tmp']
    start_at: beginning
    include_file_path: true
    operators:
      - type: container
exporters:
  file:
    path: {output}
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    logs:
      receivers: [file_log]
      exporters: [file]
",
        output = output.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_process_of_the_node_is_told_from_others() {
        for (numbers, is_first) in [("NSpid:\t4711\t1", true), ("NSpid:\t4711\t17", false)] {
            let status = format!("Name:\tinit\n{numbers}\nThreads:\t1\n");
            assert_eq!(is_first_of_a_namespace(&status), is_first, "{numbers}");
        }
        assert!(!is_first_of_a_namespace("NSpid:\t1\n"), "the machine's own");
    }

    #[test]
    fn what_it_writes_stays_in_the_state_folder() {
        let text = configuration(&site::path("log-agent").join("lines.json"));
        assert!(text.contains("path: /var/lib/tenantry-local/log-agent/lines.json\n"));
    }
}
