//! People decide what agents ask for, each with a certificate of their own, and
//! nobody else does. What is agreed to is made once, also when the server dies
//! right then; an agent that loops harms neither the cluster nor its neighbours.

#[path = "people/auditor.rs"]
mod auditor;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tenantry_cluster::cluster;
use tenantry_tests::evidence::show;
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::{Kubectl, condition, wait_for};
use tenantry_tests::namespace::{TestOrganisation, example_as};
use tenantry_tests::raw::RawCall;
use tenantry_tests::tool;
use tenantry_tests::vendor;

use crate::{example_key, unlimited};

const CLASS: &str = "marketing";

/// How often the server is killed just when people agree.
const KILLS: usize = 4;

/// Calls of the agent that loops.
const LOOPS: usize = 1_000;

/// Ended approvals that stay, and those that wait for one key.
const MOST_KEPT: usize = 200 + 5;

/// What the agents of an organisation may do: all that is small, and for the
/// rest they ask.
fn policy(namespace: &str) -> Value {
    json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "SafetyPolicy",
        "metadata": {"name": "ads-budget", "namespace": namespace},
        "spec": {
            "mode": "Enforce", "currency": "EUR",
            "match": {"connectors": ["meta"]},
            "budget": {"perChange": {"maxIncreasePercent": 500}},
            "approvals": [{
                "name": "large", "approverClass": CLASS, "when": {"dailyIncreaseOver": "5"},
            }],
        },
    })
}

/// An organisation whose agents may change something, and people around it.
struct Court<'k> {
    kubectl: &'k Kubectl,
    organisation: TestOrganisation<'k>,
}

impl<'k> Court<'k> {
    fn open(kubectl: &'k Kubectl, name: &str) -> Result<Self> {
        let example = unlimited()
            .replace("access: ReadOnly", "access: ReadWrite")
            .replace("scopes: [meta:read]", "scopes: [meta:read, meta:spend]");
        let organisation = TestOrganisation::onboard(kubectl, &example, name)?;
        kubectl.apply(&policy(name).to_string())?;
        kubectl.apply(&example_as(&rights(), name))?;
        wait_for("the policy to be in force", || {
            let tenant = kubectl.wait_for_ready(name)?;
            let accepted = condition(&tenant, "PolicyAccepted");
            let named = accepted["message"].as_str().unwrap_or_default();
            Ok(named.contains("ads-budget").then_some(()))
        })?;
        Ok(Self {
            kubectl,
            organisation,
        })
    }

    fn name(&self) -> &str {
        &self.organisation.name
    }

    fn user(&self, name: &str) -> String {
        format!("{name}@{}.example", self.name())
    }

    /// Somebody with a certificate, who may decide if they are in the group.
    fn person(&self, name: &str, decides: bool) -> Result<Person<'_>> {
        let group = format!("{}-marketing", self.name());
        let groups: &[&str] = if decides { &[&group] } else { &[] };
        let kubeconfig = cluster::kubeconfig_for(&self.user(name), groups)?;
        Ok(Person {
            court: self,
            user: self.user(name),
            kubeconfig,
        })
    }

    /// One of the cluster's own programs, with a token that is good for an hour.
    fn program(&self, namespace: &str, account: &str) -> Result<Person<'_>> {
        let token = ["create", "token", account, "-n", namespace];
        let token = self.kubectl.run(&token)?;
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let kubeconfig = cluster::kubeconfig_for(&user, &[])?;
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&kubeconfig)?)?;
        config["users"][0]["user"] = json!({"token": token.trim()});
        std::fs::write(&kubeconfig, config.to_string())?;
        Ok(Person {
            court: self,
            user,
            kubeconfig,
        })
    }

    fn forward(&self) -> Result<Forward> {
        Forward::to(self.kubectl, self.name(), "service/server", 8080)
    }

    /// What the agent is answered.
    fn call(&self, tool: &str, arguments: &Value) -> Result<Value> {
        let forward = self.forward()?;
        let call = RawCall::tool(&forward.url("/mcp"), example_key(), tool, arguments);
        Ok(call.send()?.envelope().clone())
    }

    /// One of the campaigns that the sandbox begins with.
    fn campaign(&self, number: usize) -> String {
        let account = self.organisation.accounts[0].trim_start_matches("act_");
        format!("1200{account}{number:03}")
    }

    fn set_budget(&self, object: &Value, amount: &str, key: &str) -> Result<Value> {
        self.call("meta_set_budget", &budget(object, amount, key))
    }

    /// Has the agent ask, and finds what people see of it.
    fn ask(&self, object: &Value, amount: &str, key: &str) -> Result<String> {
        let told = self.set_budget(object, amount, key)?;
        ensure!(told["status"] == "pending_approval", "{told}");
        wait_for("the approval", || {
            let mut all = self.approvals()?.into_iter();
            let mine = all.find(|one| one["spec"]["request"]["changeId"] == told["change_id"]);
            Ok(mine.and_then(|one| Some(one["metadata"]["name"].as_str()?.to_owned())))
        })
    }

    fn approvals(&self) -> Result<Vec<Value>> {
        let all = self.kubectl.get(&["mcpapprovals", "-n", self.name()])?;
        Ok(all["items"].as_array().cloned().unwrap_or_default())
    }

    fn approval(&self, name: &str) -> Result<Value> {
        let object = ["mcpapproval", name, "-n", self.name()];
        self.kubectl.get(&object)
    }

    fn stands(&self, name: &str, state: &str) -> Result<()> {
        wait_for(&format!("`{name}` to be {state}"), || {
            Ok((self.approval(name)?["status"]["state"] == state).then_some(()))
        })
    }

    /// The server's process, as the machine numbers it: the one whose token is of
    /// this namespace.
    fn process(&self) -> Result<Pid> {
        let namespace = "root/var/run/secrets/kubernetes.io/serviceaccount/namespace";
        for entry in std::fs::read_dir("/proc")? {
            let folder = entry?.path();
            let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            if read("comm").trim() == "tenantry-server" && read(namespace) == self.name() {
                let number = folder
                    .file_name()
                    .and_then(|name| name.to_str()?.parse().ok());
                return number
                    .and_then(Pid::from_raw)
                    .context("a process without number");
            }
        }
        bail!("no server of `{}` runs", self.name())
    }

    /// How often the server's container was started again, once it is ready.
    fn restarts(&self) -> Result<u64> {
        wait_for("the server's container to be ready", || {
            let pod = self.kubectl.get(&["pod", "server-0", "-n", self.name()])?;
            let container = &pod["status"]["containerStatuses"][0];
            let count = container["restartCount"].as_u64();
            Ok(count.filter(|_| container["ready"] == true))
        })
    }

    /// How often an object was given a budget.
    fn made(&self, object: &Value, cents: &str) -> Result<usize> {
        let effects = vendor::effects(self.kubectl, &self.organisation.accounts[0])?;
        let is_it = |effect: &&Value| {
            effect["object"] == *id(object) && effect["after"]["daily_budget"] == cents
        };
        Ok(effects.iter().filter(is_it).count())
    }
}

/// What stands in `examples/writes.yaml` about who decides.
fn rights() -> String {
    let documents = include_str!("../../../../examples/writes.yaml").split("\n---\n");
    let rights: Vec<_> = documents.filter(|one| one.contains("rbac.")).collect();
    rights.join("\n---\n")
}

fn id(object: &Value) -> &Value {
    object.get("campaign_id").unwrap_or(&object["ad_set_id"])
}

fn budget(object: &Value, amount: &str, key: &str) -> Value {
    let mut arguments = object.clone();
    arguments["daily_budget"] = json!({"amount": amount, "currency": "EUR"});
    arguments["idempotency_key"] = json!(key);
    arguments
}

/// Somebody, as the API server knows them.
struct Person<'c> {
    court: &'c Court<'c>,
    user: String,
    kubeconfig: PathBuf,
}

impl Person<'_> {
    /// What is said to them who run kubectl in the organisation's namespace.
    fn kubectl(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let mut command = self.court.kubectl.command();
        command.args(["-n", self.court.name()]).args(arguments);
        let output = command.env("KUBECONFIG", &self.kubeconfig).output()?;
        let told = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8(told)?))
    }

    /// The same of the hand tool.
    fn tool(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let ended = tool::run(Some(&self.kubeconfig), self.court.name(), arguments)?;
        Ok((ended.code == Some(0), ended.told))
    }

    fn agree(&self) -> Value {
        json!({"by": self.user, "verdict": "Approve"})
    }

    /// All ways to make a change happen that somebody else asked for, each of
    /// which is refused in these words; what was said.
    fn tries(&self, name: &str, words: &str) -> Result<Vec<String>> {
        let mut decided = self.court.approval(name)?;
        let meta = &mut decided["metadata"];
        *meta = json!({"name": meta["name"], "namespace": meta["namespace"]});
        decided["spec"]["decisions"] = json!([self.agree()]);
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("decided.json");
        std::fs::write(&file, decided.to_string())?;
        let file = file.display().to_string();
        let added = json!([{"op": "add", "path": "/spec/decisions/-", "value": self.agree()}]);
        let merged = json!({"spec": {"decisions": [self.agree()]}}).to_string();
        let executing = r#"{"status": {"state": "Executing"}}"#;
        let all: [&[&str]; 5] = [
            &[
                "patch",
                "mcpapproval",
                name,
                "--type=json",
                "-p",
                &added.to_string(),
            ],
            &["patch", "mcpapproval", name, "--type=merge", "-p", &merged],
            &[
                "patch",
                "mcpapproval",
                name,
                "--type=merge",
                "--subresource=status",
                "-p",
                executing,
            ],
            &["replace", "-f", &file],
            &["apply", "--server-side", "--force-conflicts", "-f", &file],
        ];
        let mut told = Vec::new();
        for arguments in all {
            // Rights that were just given may be a moment behind.
            let mut was_let = false;
            let heard = wait_for(words, || {
                let (is_let, heard) = self.kubectl(arguments)?;
                was_let |= is_let;
                ensure!(!was_let, "`{}` was let {arguments:?}: {heard}", self.user);
                Ok(heard.contains(words).then_some(heard))
            });
            told.push(heard?);
        }
        Ok(told)
    }
}

#[test]
fn a_change_waits_for_who_may_decide_and_is_made_once() {
    let kubectl = Kubectl::from_environment();
    let court = Court::open(&kubectl, "people").unwrap();
    let small = json!({"campaign_id": court.campaign(1)});
    let large = json!({"campaign_id": court.campaign(6)});
    let told = court
        .set_budget(&small, "55.00", "a-small-change-of-1")
        .unwrap();
    assert_eq!(told["status"], "done", "{told}");
    let told = court
        .set_budget(&large, "999.00", "a-huge-change-of-6")
        .unwrap();
    assert_eq!(told["reason"], "PolicyDenied", "{told}");
    let name = court.ask(&large, "175.00", "a-large-change-of-6").unwrap();

    give_everything(&court, &["mallory", "demo"]).unwrap();
    let strangers = strangers(&court).unwrap();
    let mut refusals = 0;
    for (stranger, words) in &strangers {
        let told = stranger.tries(&name, words).unwrap();
        show(&format!("{}: {}", stranger.user, told[0].trim()));
        refusals += told.len();
    }
    let approval = court.approval(&name).unwrap();
    assert_eq!(approval["spec"]["decisions"], json!([]), "{approval}");
    assert_eq!(approval["status"]["state"], "Pending", "{approval}");
    assert_eq!(court.made(&large, "17500").unwrap(), 0);

    // By kubectl alone, and the same again by the plugin.
    let bob = court.person("bob", true).unwrap();
    let (is_let, listed) = bob.tool(&["approvals"]).unwrap();
    assert!(is_let && listed.contains(&name), "{listed}");
    show(&format!("$ kubectl mcp approvals\n{listed}"));
    let decision = json!([{"op": "add", "path": "/spec/decisions/-", "value": bob.agree()}]);
    let patch = decision.to_string();
    let (is_let, told) = bob
        .kubectl(&["patch", "mcpapproval", &name, "--type=json", "-p", &patch])
        .unwrap();
    assert!(is_let, "{told}");
    let (is_let, told) = bob.tool(&["approve", &name, "--wait"]).unwrap();
    show(&format!("$ kubectl mcp approve {name} --wait\n{told}"));
    assert!(is_let && told.contains("Applied"), "{told}");
    let answer = court
        .set_budget(&large, "175.00", "a-large-change-of-6")
        .unwrap();
    assert_eq!(
        (&answer["status"], &answer["replayed"]),
        (&json!("done"), &json!(true))
    );
    assert_eq!(court.made(&large, "17500").unwrap(), 1);
    auditor::is_shown(&court, &bob);
    wait_for("the walls to be tried", || {
        let tenant = kubectl.get(&["mcptenant", "-n", court.name()])?;
        let isolated = condition(&tenant["items"][0], "Isolated");
        Ok((isolated["status"] == "True").then_some(()))
    })
    .unwrap();
    for (command, told) in [("status", "Ready         True"), ("check", "audit stream")] {
        let ended = tool::run(None, court.name(), &[command]).unwrap();
        show(&format!("$ kubectl mcp {command}\n{}", ended.told));
        assert!(
            ended.code == Some(0) && ended.told.contains(told),
            "{ended:?}"
        );
    }
    show(&format!(
        "{refusals} attempts of {} who may not decide: none let through; decided by kubectl, then \
         again by the plugin: made once",
        strangers.len()
    ));
}

/// Who may not decide, and whose words they hear: our policy's, or those of their
/// lack of rights.
fn strangers<'c>(court: &'c Court<'c>) -> Result<Vec<(Person<'c>, &'static str)>> {
    let (policy, rights) = ("ValidatingAdmissionPolicy 'tenantry-approvals'", "cannot");
    Ok(vec![
        (court.person("mallory", false)?, policy),
        // Who asks, and might decide what others ask.
        (court.person("demo", true)?, policy),
        (court.program(court.name(), "default")?, policy),
        (court.program(court.name(), "tenantry-server")?, rights),
        (
            court.program("tenantry-system", "tenantry-operator")?,
            rights,
        ),
    ])
}

/// More than any role of ours gives: all that there is on what exists.
fn give_everything(court: &Court<'_>, users: &[&str]) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    let meta = json!({"name": "everything", "namespace": court.name()});
    let users = users.iter().map(|user| court.user(user));
    let mut subjects: Vec<_> = users
        .map(|user| json!({"apiGroup": group, "kind": "User", "name": user}))
        .collect();
    subjects.push(json!({"kind": "ServiceAccount", "name": "default", "namespace": court.name()}));
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": meta,
        "rules": [{"apiGroups": ["tenantry.dev"], "verbs": ["*"],
                   "resources": ["mcpapprovals", "mcpapprovals/status"]}],
    });
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "everything"},
        "subjects": subjects,
    });
    court
        .kubectl
        .apply(&format!("{role}\n---\n{binding}"))
        .map(drop)
}

#[test]
fn what_is_agreed_to_is_made_once_though_the_server_dies() {
    let kubectl = Kubectl::from_environment();
    let court = Court::open(&kubectl, "killed").unwrap();
    let bob = court.person("bob", true).unwrap();
    let mut stood = BTreeMap::<String, usize>::new();
    for (kill, amount) in (0..KILLS).map(|kill| (kill, 130 + kill * 10)) {
        let object = json!({"campaign_id": court.campaign(6)});
        let key = format!("a-large-change-number-{kill}");
        let name = court.ask(&object, &format!("{amount}.00"), &key).unwrap();
        let (process, before) = (court.process().unwrap(), court.restarts().unwrap());
        let (is_let, told) = bob.tool(&["approve", &name]).unwrap();
        assert!(is_let, "{told}");
        kill_process(process, Signal::KILL).unwrap();
        let state = court.approval(&name).unwrap()["status"]["state"].clone();
        *stood.entry(state.to_string()).or_default() += 1;
        // Whoever repeats it decides nothing anew.
        let (_, told) = bob.tool(&["approve", &name]).unwrap();
        assert!(told.contains("had said yes before"), "{told}");
        court.stands(&name, "Applied").unwrap();
        let made = court.made(&object, &format!("{amount}00")).unwrap();
        assert_eq!(made, 1, "{name}");
        wait_for("the server to be there again", || {
            Ok((court.restarts()? > before).then_some(()))
        })
        .unwrap();
        kubectl.wait_for_ready(court.name()).unwrap();
    }
    show(&format!(
        "{KILLS} servers killed when people had agreed, while the approval was {stood:?}: each change made once"
    ));
}

#[test]
fn an_agent_that_loops_fills_nothing_and_its_key_can_be_revoked() {
    let kubectl = Kubectl::from_environment();
    let court = Court::open(&kubectl, "looping").unwrap();
    let objects = [
        json!({"campaign_id": court.campaign(1)}),
        json!({"campaign_id": court.campaign(6)}),
        json!({"ad_set_id": format!("{}2", court.campaign(4))}),
    ];
    let forward = court.forward().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = RawCall::client().unwrap();
    let mut came_to = BTreeMap::<String, usize>::new();
    for number in 0..LOOPS {
        let object = &objects[number % objects.len()];
        let amount = format!("{}.{:02}", 150 + number / 100, number % 100);
        let arguments = budget(object, &amount, &format!("a-loop-asks-{number:06}"));
        let call = RawCall::tool(
            &forward.url("/mcp"),
            example_key(),
            "meta_set_budget",
            &arguments,
        );
        let answer = runtime.block_on(call.exchange(&client)).unwrap();
        let told = answer.envelope();
        let status = told["status"].as_str().unwrap_or_default();
        *came_to.entry(status.to_owned()).or_default() += 1;
    }
    // What ended goes a moment later.
    let kept = wait_for("the ended approvals to go", || {
        let kept = court.approvals()?;
        Ok((kept.len() <= MOST_KEPT).then_some(kept))
    })
    .unwrap();
    let waits = |one: &&Value| one["status"]["state"] == "Pending";
    let waiting = kept.iter().filter(waits).count();
    show(&format!(
        "{LOOPS} asks of a loop came to {came_to:?}; {} approvals are kept, {waiting} wait",
        kept.len()
    ));
    assert_eq!(came_to.get("pending_approval"), Some(&LOOPS), "{came_to:?}");

    // What is small is let through all the same.
    let other = json!({"ad_set_id": format!("{}1", court.campaign(4))});
    let told = court
        .set_budget(&other, "20.50", "a-small-change-beside")
        .unwrap();
    assert_eq!(told["status"], "done", "{told}");

    // A key that is revoked while its change waits: nobody can agree any more.
    let mut waiting = court.approvals().unwrap();
    waiting.retain(|one| one["status"]["state"] == "Pending");
    let name = waiting[0]["metadata"]["name"].as_str().unwrap();
    let revoked = r#"{"spec":{"disabled":true}}"#;
    let key = ["mcpapikey", "demo", "-n", court.name()];
    kubectl
        .run(&[&["patch"], &key[..], &["--type=merge", "-p", revoked]].concat())
        .unwrap();
    let made = |court: &Court<'_>| vendor::effects(&kubectl, &court.organisation.accounts[0]);
    let before = made(&court).unwrap().len();
    let bob = court.person("bob", true).unwrap();
    let (_, told) = bob.tool(&["approve", name, "--wait"]).unwrap();
    court.stands(name, "Refused").unwrap();
    show(&format!(
        "approved after its key was revoked: {}",
        told.trim()
    ));
    assert_eq!(made(&court).unwrap().len(), before);
}
