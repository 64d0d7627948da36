//! The last step of the cluster tier: no secret of the run stands where it does
//! not belong, in anything that the run left.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;
use tenantry_cluster::site::{self, CGROUP};
use tenantry_tests::canary::{Canary, Scanner};
use tenantry_tests::delivery;
use tenantry_tests::evidence::show;
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::{Kubectl, wait_for};
use tenantry_tests::namespace::TestOrganisation;
use tenantry_tests::probe::Probe;
use tenantry_tests::secrets::RunSecrets;
use tenantry_tests::vendor;

#[path = "canaries/calls.rs"]
mod calls;

const NAMESPACE: &str = "canaries";

/// What is hidden on purpose: the search has to find it in each of these.
const PLANTED: &str = "planted";
const PLANTED_IN: [&str; 6] = [
    "Events",
    "command lines",
    "log agent",
    "logs of pods",
    "objects",
    "requests to the API server",
];

/// Our kinds and everything that is made of them.
const KINDS: &str = "mcptenants,mcpservers,mcpapikeys,pods,statefulsets,controllerrevisions,\
    deployments,replicasets,services,configmaps,serviceaccounts,networkpolicies,roles,rolebindings,\
    persistentvolumeclaims,persistentvolumes,namespaces";

#[test]
fn no_secret_is_seen_anywhere() {
    let kubectl = Kubectl::from_environment();
    let secrets = RunSecrets::from_environment().unwrap();
    let example = include_str!("../../../examples/acme.yaml");
    let example = secrets.replace_in(example).unwrap();
    let organisation = TestOrganisation::onboard(&kubectl, &example, NAMESPACE).unwrap();
    let forward = Forward::to(&kubectl, &organisation.name, "service/server", 8080).unwrap();

    let url = forward.url("/mcp");
    let mut answers = calls::make(&url, &organisation.accounts[0], &secrets).unwrap();
    // A vendor that repeats the token it was called with.
    vendor::set_faults(&kubectl, &json!({"fail": "token_in_message"})).unwrap();
    answers.extend(calls::make(&url, &organisation.accounts[0], &secrets).unwrap());
    vendor::set_faults(&kubectl, &json!({})).unwrap();
    let planted = secrets.misplaced(PLANTED);
    plant(&kubectl, &planted).unwrap();
    let mut canaries = secrets.canaries().unwrap();
    canaries.push(Canary::new(PLANTED, planted));
    canaries.extend(calls::misplaced(&secrets));
    canaries.extend(of_the_cluster().unwrap());

    let mut scanner = Scanner::new(&canaries).unwrap();
    scanner.search("answers to hostile calls", &answers);
    search_cluster(&kubectl, &mut scanner).unwrap();
    search_node(&mut scanner).unwrap();
    show(&format!("canaries: {}", scanner.report()));

    let (planted, leaked): (Vec<_>, Vec<_>) = scanner
        .finds()
        .iter()
        .partition(|find| find.class == PLANTED);
    for sink in PLANTED_IN {
        let seen = planted.iter().any(|find| find.sink == sink);
        assert!(seen, "the search is blind in `{sink}`: {planted:?}");
    }
    assert!(leaked.is_empty(), "secrets were seen: {leaked:#?}");
    for (sink, bytes) in scanner.sinks() {
        assert!(*bytes > 0, "there was nothing to search in `{sink}`");
    }
}

/// Puts a value in the places where leaks would be, and waits until it has come
/// to those that take a while.
fn plant(kubectl: &Kubectl, value: &str) -> Result<()> {
    let encoded = value
        .bytes()
        .fold(String::new(), |text, byte| format!("{text}{byte:02X}"));
    kubectl.run(&[
        "annotate",
        "mcptenant",
        "--all",
        "-n",
        NAMESPACE,
        &format!("example.com/planted={encoded}"),
    ])?;
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "type": "Normal", "reason": "Planted",
        "metadata": {"name": "planted", "namespace": NAMESPACE},
        "involvedObject": {"kind": "Namespace", "name": NAMESPACE, "namespace": NAMESPACE},
        "message": format!("said {value}, \"quoted\""),
    });
    kubectl.apply(&event.to_string())?;
    Probe::start_as(kubectl, NAMESPACE, "planted", &json!({}), &["say", value])?;
    let agent = agent_file()?;
    wait_for("the log agent to deliver what was planted", || {
        Ok(fs::read_to_string(&agent)?.contains(value).then_some(()))
    })
}

/// Secrets that the cluster made for itself.
fn of_the_cluster() -> Result<Vec<Canary>> {
    let mut canaries = vec![
        Canary::new("kubeconfig client key", key_line("admin.key")?),
        Canary::new("key that signs tokens", key_line("tokens.key")?),
        Canary::new("key of the authority", key_line("ca.key")?),
    ];
    for process in processes()? {
        let token = "root/var/run/secrets/kubernetes.io/serviceaccount/token";
        let program = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let (Ok(token), true) = (
            fs::read_to_string(process.join(token)),
            program.starts_with("tenantry"),
        ) else {
            continue;
        };
        let class = format!("ServiceAccount token of {}", program.trim());
        canaries.push(Canary::new(&class, signature(&token)));
    }
    let tokens = canaries
        .iter()
        .filter(|canary| canary.class.starts_with("ServiceAccount"));
    anyhow::ensure!(tokens.count() >= 2, "no tokens of operator and server");
    Ok(canaries)
}

/// The part of a token that makes it one; the rest may be told.
fn signature(token: &str) -> String {
    token.trim().rsplit('.').next().unwrap_or_default().into()
}

/// A line of a private key that is not the same in all of them.
fn key_line(file: &str) -> Result<String> {
    let text = fs::read_to_string(site::pki().join(file))?;
    let line = text.lines().nth(2).context("a key of one line")?;
    Ok(line.into())
}

fn search_cluster(kubectl: &Kubectl, scanner: &mut Scanner) -> Result<()> {
    for (sink, kinds) in [
        ("Events", "events.v1.,events.events.k8s.io"),
        ("objects", KINDS),
    ] {
        let objects = kubectl.run(&["get", kinds, "-A", "-o", "json"])?;
        scanner.search(sink, objects.as_bytes());
    }
    for (sink, namespace, target) in [
        (
            "metrics of the operator",
            "tenantry-system",
            "deployment/tenantry-operator",
        ),
        ("metrics of a server", NAMESPACE, "pod/server-0"),
    ] {
        let forward = Forward::to(kubectl, namespace, target, 9090)?;
        scanner.search(sink, &calls::get(&forward.url("/metrics"))?);
    }
    Ok(())
}

fn search_node(scanner: &mut Scanner) -> Result<()> {
    let agent = fs::read(agent_file()?)?;
    scanner.search("log agent", &agent);
    for line in agent.split(|byte| *byte == b'\n') {
        if contains(line, br#"\"log_name\":\"tenantry.audit\""#) {
            scanner.search("audit lines", line);
        }
    }
    for file in files_below(&site::over("/var/log/pods")) {
        // It may have been put aside or packed meanwhile: the agent has it.
        let _ = scanner.search_file("logs of pods", &file);
    }
    for file in files_below(&site::path("volumes")) {
        scanner.search_file("volumes of servers", &file)?;
    }
    let requests = site::audit_log();
    for file in files_below(&site::logs()) {
        let is_requests = file.file_stem() == requests.file_stem();
        let sink = if is_requests {
            "requests to the API server"
        } else {
            "logs of the node's programs"
        };
        scanner.search_file(sink, &file)?;
    }
    for process in processes()? {
        for (sink, file) in [("command lines", "cmdline"), ("environments", "environ")] {
            // It may have ended.
            scanner.search(sink, &fs::read(process.join(file)).unwrap_or_default());
        }
    }
    Ok(())
}

fn agent_file() -> Result<PathBuf> {
    let file = std::env::var_os(delivery::VARIABLE).context("no log agent runs")?;
    Ok(file.into())
}

/// The folders in /proc of what runs in pods.
fn processes() -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let folder = entry?.path();
        let groups = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        if groups.contains(&format!("/{CGROUP}/")) {
            folders.push(folder);
        }
    }
    Ok(folders)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => vec![],
        })
        .collect()
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}
