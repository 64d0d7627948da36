//! From nothing, or from what there is, to a cluster that runs pods.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use super::down::clear;
use super::{ClusterError, Status, answers, command, kubectl, node_error, status, system, turn};
use crate::command::run;
use crate::component::API_SERVICE_ADDRESS;
use crate::image::{build_image, import_image};
use crate::kubeconfig;
use crate::network::{self, CONTROL_PLANE_ADDRESS, Place};
use crate::node::Event;
use crate::packages;
use crate::pki::{self, Authority, write_private};
use crate::plan::{Plan, Programs, plan};
use crate::progress::Progress;
use crate::site::{self, HOST_PORT, NODE, STATE};
use crate::tools::{Tool, Toolbox};
use crate::wait;

/// packages, programs, images; certificates, network, three stages; images, node, storage and DNS.
const STEPS_ANEW: usize = 11;
/// packages, programs, images; images, node, storage and DNS.
const STEPS_AGAIN: usize = 6;

/// Longer than the stages of a plan may take together; the node reports earlier.
const EVENT_WITHIN: Duration = Duration::from_mins(5);

/// Brings the cluster up, or what runs up to date; `init` is the program that answers to the
/// hidden commands of `node`. Returns the kubeconfig for the machine itself.
pub fn up(init: &Path) -> Result<PathBuf, ClusterError> {
    let _turn = turn()?;
    let toolbox = Toolbox::open()?;
    let own_init = site::path("init");
    let plan = plan(&Programs::find(toolbox.clone(), own_init.clone()));
    let is_up = status() == Status::Running && is_of(&plan) && answers(&toolbox);
    let progress = Progress::new(if is_up { STEPS_AGAIN } else { STEPS_ANEW });
    let archives = prepare(&toolbox, &progress)?;
    if !is_up {
        if status() != Status::Absent {
            progress.note("clearing away an unfinished, broken or older cluster");
            clear()?;
        }
        // Found anew: packages may have just been installed.
        let plan = crate::plan::plan(&Programs::find(toolbox.clone(), own_init.clone()));
        start(&plan, init, &own_init, &toolbox, &progress)?;
    }
    finish(&toolbox, &archives, &progress)?;
    fs::write(site::complete(), "").map_err(system("write", site::complete()))?;
    Ok(site::kubeconfig())
}

/// What does not depend on a running cluster; returns the archives of its images.
fn prepare(toolbox: &Toolbox, progress: &Progress) -> Result<Vec<PathBuf>, ClusterError> {
    packages::ensure()?;
    progress.step("packages of the machine");
    toolbox.ensure(&Tool::of_a_cluster(), progress)?;
    progress.step("programs of the cluster");
    let build = |tool: Tool| {
        let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("images")
            .join(tool.binary())
            .join("Dockerfile");
        let tag = format!("localhost/{}:local", tool.binary());
        build_image(&dockerfile, &toolbox.home(tool).join("bin"), &tag)
    };
    let archives = [Tool::Pause, Tool::CoreDns, Tool::Probe].map(build);
    let archives = archives.into_iter().collect::<Result<_, _>>()?;
    progress.step("images of the cluster");
    Ok(archives)
}

fn start(
    plan: &Plan,
    init: &Path,
    own_init: &Path,
    toolbox: &Toolbox,
    progress: &Progress,
) -> Result<(), ClusterError> {
    // Before anything is made: the commonest reason to fail costs nothing.
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, HOST_PORT)).map_err(ClusterError::PortTaken)?;
    make_folders(toolbox)?;
    // A copy, as the original may be rebuilt while the node runs.
    fs::copy(init, own_init).map_err(system("copy", init))?;
    let plan_text = serde_json::to_vec_pretty(plan).map_err(io::Error::from);
    plan_text
        .and_then(|text| fs::write(site::plan(), text))
        .map_err(system("write", site::plan()))?;
    write_pki()?;
    progress.step("certificates");
    network::create().map_err(command("make the cluster's network"))?;
    progress.step("network of three hosts");
    let node = spawn(own_init, listener)?;
    follow(node, plan.stages.len(), progress)
}

fn make_folders(toolbox: &Toolbox) -> Result<(), ClusterError> {
    for folder in [
        site::pki(),
        site::logs(),
        site::path("volumes"),
        site::path("cni-bin"),
        site::path("tmp"),
    ] {
        fs::create_dir_all(&folder).map_err(system("create", &folder))?;
    }
    let mut created = OpenOptions::new()
        .create(true)
        .append(true)
        .open(site::created())
        .map_err(system("create", site::created()))?;
    for fixed in site::FIXED_FOLDERS {
        if !Path::new(fixed).exists() {
            // Noted first: an `up` that is killed in between leaves a note too many, not a folder.
            writeln!(created, "{fixed}").map_err(system("write", site::created()))?;
            fs::create_dir_all(fixed).map_err(system("create", fixed))?;
        }
    }
    let loopback = packages::find("loopback").unwrap_or_else(|| "/usr/lib/cni/loopback".into());
    let plugins = [
        (loopback, "loopback"),
        (toolbox.path(Tool::CiliumCni), "cilium-cni"),
    ];
    for (from, name) in plugins {
        let to = site::path("cni-bin").join(name);
        fs::copy(&from, to).map_err(system("copy", from))?;
    }
    Ok(())
}

fn write_pki() -> Result<(), ClusterError> {
    let dir = site::pki();
    let authority = Authority::new()?;
    authority.credential().write(&dir, "ca")?;
    let names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "127.0.0.1",
        API_SERVICE_ADDRESS,
        CONTROL_PLANE_ADDRESS,
    ];
    authority.serving(&names)?.write(&dir, "apiserver")?;
    pki::token_signer()?.write(&dir, "tokens")?;
    let node_user = format!("system:node:{NODE}");
    let identities: [(&str, &str, &[&str]); 6] = [
        ("admin", "admin", &["system:masters"]),
        ("controller-manager", "system:kube-controller-manager", &[]),
        ("scheduler", "system:kube-scheduler", &[]),
        ("kubelet", &node_user, &["system:nodes"]),
        ("kube-proxy", "system:kube-proxy", &[]),
        ("kubelet-client", "kube-apiserver", &["system:masters"]),
    ];
    let server = format!("https://{CONTROL_PLANE_ADDRESS}:6443");
    for (name, user, groups) in identities {
        kubeconfig::write(&dir, name, &server, &authority.client(user, groups)?)?;
    }
    let from_machine = format!("https://127.0.0.1:{HOST_PORT}");
    let text = kubeconfig::render(&dir, "admin", &from_machine);
    Ok(write_private(&site::kubeconfig(), &text)?)
}

/// Starts the node's pid 1 in its namespaces, with the listening socket as its standard input.
fn spawn(init: &Path, listener: TcpListener) -> Result<Child, ClusterError> {
    let path = site::logs().join("node.log");
    let log = fs::File::create(&path).map_err(system("create", &path))?;
    let mut node = Command::new("setsid");
    node.args([
        "nsenter",
        &format!("--net={}", Place::Node.file().display()),
        "--",
    ])
    .args([
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--mount-proc",
    ])
    .args(["--fork", "--kill-child=SIGKILL", "--"])
    .arg(init)
    .arg("node-init")
    // Programs that are killed leave what they had there.
    .env("TMPDIR", site::path("tmp"))
    .current_dir(STATE)
    .stdin(OwnedFd::from(listener))
    .stdout(log.try_clone().map_err(system("open", &path))?)
    .stderr(log);
    node.spawn().map_err(system("start", init))
}

/// Shows what the node tells until it has done all its stages.
fn follow(mut node: Child, stages: usize, progress: &Progress) -> Result<(), ClusterError> {
    let (mut done, mut read) = (0, 0);
    while done < stages {
        let next = wait::until(EVENT_WITHIN, || {
            // In this order: what a node says last, it says before it ends.
            let has_ended = !matches!(node.try_wait(), Ok(None));
            let event = event(read);
            (event.is_some() || has_ended).then_some(event)
        });
        read += 1;
        match next.flatten() {
            Some(Event::Done { stage }) => {
                done += 1;
                progress.step(&stage);
            }
            Some(Event::Ended { name, status }) => {
                progress.note(&format!("{name} ended ({status}) and is started again"));
            }
            Some(Event::Failed { reason, name }) => {
                return Err(node_error(
                    reason,
                    &name.unwrap_or_else(|| "node".to_owned()),
                ));
            }
            None => return Err(node_error("it ended without a word".to_owned(), "node")),
        }
    }
    Ok(())
}

/// The event of this number, if it has happened.
fn event(number: usize) -> Option<Event> {
    let text = fs::read_to_string(site::events()).ok()?;
    let whole = &text[..=text.rfind('\n')?];
    serde_json::from_str(whole.lines().nth(number)?).ok()
}

/// What the cluster itself needs in it: images, storage, DNS.
fn finish(
    toolbox: &Toolbox,
    archives: &[PathBuf],
    progress: &Progress,
) -> Result<(), ClusterError> {
    for archive in archives {
        import_image(archive)?;
    }
    progress.step("images imported");
    let kubectl = |args: &[&str]| run(kubectl(toolbox).args(args));
    let manifests = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests");
    kubectl(&["apply", "--filename", manifests]).map_err(command("apply storage and DNS"))?;
    kubectl(&[
        "wait",
        "--for=condition=Ready",
        "node/node0",
        "--timeout=120s",
    ])
    .map_err(command("wait for the node"))?;
    progress.step("node ready");
    kubectl(&[
        "rollout",
        "status",
        "deployment/coredns",
        "-n",
        "kube-system",
        "--timeout=120s",
    ])
    .map_err(command("wait for DNS"))?;
    progress.step("storage and DNS ready");
    Ok(())
}

/// Whether what runs was started with this plan: the same programs in the same versions.
fn is_of(plan: &Plan) -> bool {
    let running = fs::read(site::plan()).ok();
    let running = running.and_then(|text| serde_json::from_slice::<Plan>(&text).ok());
    running.is_some_and(|running| running == *plan)
}
