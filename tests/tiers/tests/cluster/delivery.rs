//! The audit stream arrives where clusters collect logs: a real log agent
//! delivers every line once, whole, with namespace and pod, across rotations.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tenantry_cluster::site;
use tenantry_core::audit::chain::PublicKey;
use tenantry_core::audit::verify::{Known, verify};
use tenantry_tests::delivery::{Delivered, Tail};
use tenantry_tests::evidence::show;
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::{Kubectl, wait_for};
use tenantry_tests::namespace::TestOrganisation;
use tenantry_tests::raw::RawCall;
use tokio::task::JoinSet;

use crate::{example_key, unlimited};

const NAMESPACE: &str = "delivery";

/// Calls of the burst, at the least.
const CALLS: usize = 4_000;

/// How often the kubelet has to begin another file meanwhile; it looks every
/// three seconds whether one is over 100 KiB.
const ROTATIONS: usize = 3;

/// Calls between two looks, and those in progress at a time.
const BATCH: usize = 400;
const AT_ONCE: usize = 8;

/// What is longer than 16 KiB, with what stands before it, runtimes cut.
const LONGEST: usize = 15 * 1024;

#[test]
fn log_agent_delivers_every_line_once_with_namespace_and_pod() {
    let kubectl = Kubectl::from_environment();
    let organisation = TestOrganisation::onboard(&kubectl, &unlimited(), NAMESPACE).unwrap();
    let forward = Forward::to(&kubectl, &organisation.name, "service/server", 8080).unwrap();
    let logs = log_folder(&kubectl).unwrap();

    let mut answered = Answered::default();
    let mut agent = Agent::from_environment().unwrap();
    let mut files = BTreeSet::new();
    while answered.calls.len() < CALLS || files.len() <= ROTATIONS {
        answered
            .add(burst(&forward.url("/mcp"), &organisation.accounts))
            .unwrap();
        files.extend(files_of(&logs).unwrap());
        agent.catch_up(&answered).unwrap();
    }
    let key = audit_key(&kubectl).unwrap();
    judge(&agent.delivered, &answered, files.len(), key);
}

fn judge(delivered: &[Delivered], answered: &Answered, files: usize, key: PublicKey) {
    let mut places = BTreeMap::new();
    let mut twice = 0;
    for line in delivered {
        assert_eq!(line.namespace(), NAMESPACE, "{line:?}");
        assert_eq!(line.pod(), "server-0", "{line:?}");
        assert_eq!(line.container(), "server", "{line:?}");
        assert!(line.is_whole(), "{line:?}");
        twice += usize::from(places.insert(line.place().unwrap(), line).is_some());
    }
    let last = places
        .keys()
        .next_back()
        .map_or(0, |(_, sequence)| *sequence);
    let missing = last - places.len() as u64;
    let longest = delivered.iter().map(|line| line.text().len()).max();
    let denied = delivered.iter().filter(|line| line.is_denial()).count();
    show(&format!(
        "audit lines: {} delivered, for {} calls over {files} log files, {denied} of refused or failed calls; \
         {missing} missing, {twice} twice, the longest {} bytes",
        places.len(),
        answered.calls.len(),
        longest.unwrap_or(0),
    ));
    assert_eq!((missing, twice), (0, 0));
    assert!(longest <= Some(LONGEST), "{longest:?} bytes");
    assert!(denied >= answered.refused, "refused calls have lines");
    assert!(answered.refused > 0 && answered.refused < answered.calls.len());

    // In their order, the lines of one process: the server did not restart.
    let known = Known {
        public_key: Some(key),
        head: None,
    };
    let proof = verify(places.values().map(|line| line.text().as_bytes()), known).unwrap();
    assert_eq!(proof.head.sequence, last);
    show(&format!(
        "the chain that was delivered verifies to the byte, signed to line {} of {last}",
        proof.signed_to
    ));
}

/// The log agent beside the tests, and what it has delivered of the server.
struct Agent {
    tail: Tail,
    delivered: Vec<Delivered>,
}

impl Agent {
    fn from_environment() -> Result<Self> {
        Ok(Self {
            tail: Tail::from_environment()?,
            delivered: Vec::new(),
        })
    }

    /// Waits for the lines of every call that was answered: what is removed
    /// before an agent looks is lost, whoever wrote it, so that no burst may
    /// outrun it.
    fn catch_up(&mut self, answered: &Answered) -> Result<()> {
        let came = wait_for("the line of every call", || {
            self.delivered.extend(self.tail.audit_lines(NAMESPACE)?);
            Ok(self.missing(answered).is_empty().then_some(()))
        });
        came.with_context(|| self.evidence(answered))
    }

    fn missing<'a>(&self, answered: &'a Answered) -> Vec<&'a str> {
        let seen: BTreeSet<&str> = self
            .delivered
            .iter()
            .filter_map(Delivered::call_id)
            .collect();
        let calls = answered.calls.iter().map(String::as_str);
        calls.filter(|call| !seen.contains(call)).collect()
    }

    /// What came, to tell a line that was not written from one that was lost.
    fn evidence(&self, answered: &Answered) -> String {
        let missing = self.missing(answered);
        let places: BTreeSet<u64> = self
            .delivered
            .iter()
            .filter_map(|line| Some(line.place().ok()?.1))
            .collect();
        let last = places.last().copied().unwrap_or_default();
        let gaps: Vec<u64> = (1..last).filter(|at| !places.contains(at)).collect();
        format!(
            "of {} calls {} have no line, {:?} among them; {} lines came, up to {last}, \
             {} before it did not, from {:?} to {:?}; {} audit lines came without a namespace",
            answered.calls.len(),
            missing.len(),
            missing.first(),
            places.len(),
            gaps.len(),
            gaps.first(),
            gaps.last(),
            self.tail.without_namespace,
        )
    }
}

/// The key that the server reports, which its lines are signed with.
fn audit_key(kubectl: &Kubectl) -> Result<PublicKey> {
    let server = kubectl.get(&["mcpserver", "server", "-n", NAMESPACE])?;
    let key = &server["status"]["replicas"][0]["auditPublicKey"];
    Ok(key.as_str().context("no key is reported")?.parse()?)
}

/// What the callers were told.
#[derive(Default)]
struct Answered {
    calls: BTreeSet<String>,
    refused: usize,
}

impl Answered {
    fn add(&mut self, answers: Result<Vec<Value>>) -> Result<()> {
        for answer in answers? {
            let call = answer["call_id"].as_str().context("an answer without id")?;
            self.calls.insert(call.to_owned());
            self.refused += usize::from(answer["status"] == "refused");
        }
        Ok(())
    }
}

/// Makes calls of all sorts; the envelopes of their answers.
fn burst(url: &str, accounts: &[String]) -> Result<Vec<Value>> {
    let strange: serde_json::Map<String, Value> = (0..32)
        .map(|number| (format!("{number}{}", "\u{1f4b0}".repeat(64)), Value::Null))
        .collect();
    let kinds = [
        json!({"account": accounts[0]}),
        json!({"account": accounts[1], "after": "A".repeat(512)}),
        json!({"account": "act_2001"}),
        Value::Object(strange),
    ];
    let calls: Vec<RawCall> = kinds
        .iter()
        .map(|arguments| RawCall::tool(url, example_key(), "meta_list_campaigns", arguments))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = RawCall::client()?;
    runtime.block_on(async {
        let mut callers = JoinSet::new();
        for caller in 0..AT_ONCE {
            let (client, calls) = (client.clone(), calls.clone());
            callers.spawn(async move {
                let mut answers = Vec::new();
                for number in 0..BATCH / AT_ONCE {
                    let call = &calls[(caller + number) % calls.len()];
                    let answer = call.exchange(&client).await?;
                    answers.push(answer.envelope().clone());
                }
                anyhow::Ok(answers)
            });
        }
        let mut answers = Vec::new();
        for caller in callers.join_all().await {
            answers.extend(caller?);
        }
        Ok(answers)
    })
}

/// Where the kubelet keeps the files of the server's log.
fn log_folder(kubectl: &Kubectl) -> Result<PathBuf> {
    let pod = kubectl.get(&["pod", "server-0", "-n", NAMESPACE])?;
    let uid = pod["metadata"]["uid"].as_str().context("a pod's UID")?;
    let folder = format!("{NAMESPACE}_server-0_{uid}/server");
    Ok(site::over("/var/log/pods").join(folder))
}

/// The files there are: the kubelet names what it puts aside by the time, and
/// packs and removes it later.
fn files_of(folder: &PathBuf) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.push(
            name.trim_end_matches(".gz")
                .trim_end_matches(".tmp")
                .to_owned(),
        );
    }
    Ok(names)
}
