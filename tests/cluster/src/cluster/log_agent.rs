//! A real log agent for the running cluster: rsyslog with mmkubernetes, inside the node, as
//! cluster logging would run it. It reads what the container runtime writes, asks the API server
//! whose pod a line is from, and writes JSON lines. It ends with the node.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{ClusterError, command, kubectl, node_error, system};
use crate::command::run;
use crate::network::{CONTROL_PLANE_ADDRESS, Place};
use crate::packages;
use crate::pki::write_private;
use crate::site;
use crate::tools::Toolbox;
use crate::wait;

const NAME: &str = "rsyslog";

/// Seen: 2 s.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Long enough for any run of tests.
const TOKEN_FOR: &str = "--duration=12h";

/// Starts the agent, unless it runs; returns the file that it writes.
pub fn start_log_agent(toolbox: &Toolbox) -> Result<PathBuf, ClusterError> {
    packages::ensure_log_agent()?;
    let folder = site::path("log-agent");
    let output = folder.join("lines.json");
    let config = folder.join("rsyslog.conf");
    if is_running(&config)? {
        return Ok(output);
    }
    fs::create_dir_all(folder.join("state")).map_err(system("create", &folder))?;
    let manifests = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/log-agent");
    run(kubectl(toolbox).args(["apply", "--filename", manifests]))
        .map_err(command("give the log agent its rights"))?;
    let token = run(kubectl(toolbox).args([
        "create",
        "token",
        "log-agent",
        "--namespace=kube-system",
        TOKEN_FOR,
    ]))
    .map_err(command("make the log agent's token"))?;
    write_private(&site::log_agent_token(), token.trim())?;
    fs::write(&config, configuration(&folder, &output)).map_err(system("write", &config))?;
    spawn(&folder, &config)?;
    let ready = || is_labelled(&output).then_some(());
    wait::until(READY_WITHIN, ready).ok_or_else(|| {
        node_error(
            "the log agent writes no line with a namespace".to_owned(),
            NAME,
        )
    })?;
    Ok(output)
}

fn spawn(folder: &Path, config: &Path) -> Result<(), ClusterError> {
    let log = site::logs().join(format!("{NAME}.log"));
    let file = File::create(&log).map_err(system("create", &log))?;
    let node = node_pid()?;
    let rsyslogd = packages::find("rsyslogd").unwrap_or_else(|| "/usr/sbin/rsyslogd".into());
    Command::new("setsid")
        .args([
            "nsenter", "--target", &node, "--mount", "--net", "--pid", "--",
        ])
        .arg(rsyslogd)
        .arg("-n")
        .arg("-f")
        .arg(config)
        .arg("-i")
        .arg(folder.join("pid"))
        .current_dir(site::STATE)
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(system("open", &log))?)
        .stderr(file)
        .spawn()
        .map(drop)
        .map_err(system("start", "rsyslogd"))
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
    fs::read_to_string(output).is_ok_and(|text| text.contains("\"namespace_id\""))
}

/// Lines are up to 16 KiB long, and rsyslog cuts at 8 by itself.
///
/// It looks by itself every second. Woken by inotify it closes a file that is put aside as soon
/// as its successor is there, and what the runtime still writes into it is lost: 9 lines in 430
/// rotations, none in 540 this way (rsyslog 8.2302). One second is less than the kubelet's three,
/// so that no file is put aside twice between two looks.
fn configuration(folder: &Path, output: &Path) -> String {
    format!(
        r#"global(workDirectory="{folder}/state" maxMessageSize="64k")
module(load="imfile" mode="polling" pollingInterval="1")
module(load="mmnormalize")
module(load="mmkubernetes"
  kubernetesurl="https://{CONTROL_PLANE_ADDRESS}:6443"
  tls.cacert="{authority}"
  tokenfile="{token}"
  annotation_match=["."])
template(name="line" type="list") {{
  property(name="$!all-json-plain")
  constant(value="\n")
}}
input(type="imfile" file="/var/log/containers/*.log" tag="kubernetes" addmetadata="on"
  reopenOnTruncate="on" ruleset="containers")
ruleset(name="containers") {{
  action(type="mmnormalize" rule=["rule=:%time:word% %stream:word% %flag:word% %log:rest%"])
  action(type="mmkubernetes")
  action(type="omfile" file="{output}" template="line" fileCreateMode="0600")
}}
"#,
        folder = folder.display(),
        authority = site::pki().join("ca.crt").display(),
        token = site::log_agent_token().display(),
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
    fn everything_stays_in_the_state_folder() {
        let folder = site::path("log-agent");
        let text = configuration(&folder, &folder.join("lines.json"));
        assert!(text.contains("workDirectory=\"/var/lib/tenantry-local/log-agent/state\""));
        assert!(text.contains("file=\"/var/lib/tenantry-local/log-agent/lines.json\""));
        assert!(text.contains("template(name=\"line\" type=\"list\") {\n"));
    }
}
