//! The program without a cluster: a folder of documents takes its place, from
//! the first call to a change, a mistake, a freeze and an orderly end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "all of this is tests, helpers as well"
)]

#[expect(dead_code, reason = "the server's own tests are told more")]
#[path = "server/receiver.rs"]
mod receiver;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tenantry_fakes::meta::{FakeMeta, Faults};

use receiver::{HUSH, Receiver, SECRET};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/acme");

/// The token that the example shows.
const TOKEN: &str = "sandbox-meta-token";

/// The freeze that stops everything.
const STOP: &str = "apiVersion: tenantry.dev/v1alpha1\nkind: McpFreeze\nmetadata: {name: stop, namespace: acme}\nspec: {access: Disabled}\n";

const PATIENCE: Duration = Duration::from_mins(1);

/// The running program, and what it said on stderr.
struct Program {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry-server"));
    command.arg("--dir").arg(dir).args([
        "--mcp-listen",
        "127.0.0.1:0",
        "--activity-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    command
}

impl Program {
    fn start(dir: &Path, fake: &FakeMeta, report: &Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut command = command(dir);
        command
            .arg(format!("--sandbox-base-url=meta={}", fake.url()))
            .arg("--report-file")
            .arg(report);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::watch(command.spawn().unwrap())
    }

    /// Keeps what it says on stderr.
    fn watch(mut child: Child) -> Self {
        let log = Arc::new(Mutex::new(vec![]));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    /// The first log line with that message.
    async fn line(&self, message: &str) -> Value {
        let find = || {
            let log = self.log.lock().unwrap();
            log.iter().find(|line| line["message"] == message).cloned()
        };
        until(message, || find().is_some()).await;
        find().unwrap()
    }

    async fn url(&self) -> String {
        let line = self.line("serving").await;
        format!("http://{}/mcp", line["address"].as_str().unwrap())
    }

    /// Ends it in order; what it put on record.
    fn end(mut self) -> Vec<Value> {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let mut audit = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut audit)
            .unwrap();
        assert!(self.child.wait().unwrap().success());
        audit
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Program {
    /// Of a test that fails, too.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let patience = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, patience).await.expect(what);
}

/// The key that the example shows.
fn shown_key() -> String {
    let text = fs::read_to_string(Path::new(EXAMPLE).join("acme.yaml")).unwrap();
    let mut words = text.split_whitespace();
    words
        .find(|word| word.starts_with("tnt_"))
        .unwrap()
        .to_owned()
}

async fn call(url: &str) -> Value {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"meta_list_ad_accounts"}}"#;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(url)
        .bearer_auth(shown_key())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(call);
    let text = request.send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    answer["result"]["structuredContent"].clone()
}

/// Calls until the reason of the answer is this one.
async fn call_until(url: &str, reason: &Value) -> Value {
    let patience = async {
        loop {
            let envelope = call(url).await;
            if envelope["reason"] == *reason {
                return envelope;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, patience)
        .await
        .expect("no such answer")
}

/// The report until it says so.
async fn reported(file: &PathBuf, says: impl Fn(&Value) -> bool) -> Value {
    let read = || {
        let text = fs::read(file).ok()?;
        serde_json::from_slice::<Value>(&text).ok()
    };
    until("the report", || read().is_some_and(|report| says(&report))).await;
    read().unwrap()
}

/// The example in a folder of its own, and a program that serves it.
struct Served {
    dir: TempDir,
    _reports: TempDir,
    document: PathBuf,
    text: String,
    report: PathBuf,
    program: Program,
    url: String,
    fake: FakeMeta,
}

impl Served {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fake = FakeMeta::start().await.unwrap();
        fake.grant(TOKEN, &["act_1001", "act_1002"]);
        let (dir, reports) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let document = dir.path().join("acme.yaml");
        let text = fs::read_to_string(Path::new(EXAMPLE).join("acme.yaml")).unwrap();
        fs::write(&document, &text).unwrap();
        let report = reports.path().join("report.json");
        let program = Program::start(dir.path(), &fake, &report);
        let url = program.url().await;
        Self {
            dir,
            _reports: reports,
            document,
            text,
            report,
            program,
            url,
            fake,
        }
    }

    fn write(&self, text: &str) {
        fs::write(&self.document, text).unwrap();
    }

    async fn accounts(&self) -> usize {
        let envelope = call(&self.url).await;
        assert_eq!(envelope["status"], "done", "{envelope}");
        envelope["data"]["accounts"].as_array().unwrap().len()
    }
}

/// Whether the report finds fault with that file.
fn names(report: &Value, file: &str) -> bool {
    let message = report["message"].as_str();
    message.is_some_and(|message| message.contains(file))
}

#[tokio::test]
async fn a_freeze_beside_the_example_stops_it_until_it_is_taken_away() {
    let served = Served::start().await;
    assert_eq!(served.accounts().await, 2);
    let said = reported(&served.report, |report| report["serving"] == true).await;
    assert_eq!(
        (&said["pod"], &said["access"]),
        (&json!("local"), &json!("ReadOnly"))
    );
    let freeze = served.dir.path().join("freeze.yaml");
    fs::write(&freeze, STOP).unwrap();
    let envelope = call_until(&served.url, &json!("Frozen")).await;
    assert!(envelope["message"].as_str().unwrap().contains("`stop`"));
    fs::remove_file(&freeze).unwrap();
    call_until(&served.url, &Value::Null).await;

    let log = serde_json::to_string(&*served.program.log.lock().unwrap()).unwrap();
    let lines = served.program.end();
    assert!(lines.iter().any(|line| line["status_code"] == "Frozen"));
    for text in [log, serde_json::to_string(&lines).unwrap()] {
        assert!(!text.contains(TOKEN), "a token was told");
    }
}

/// The Secret of a destination stands among the documents, like any other.
#[tokio::test]
async fn a_folder_tells_the_receiver_that_its_secret_names() {
    let receiver = Receiver::start(&[]).await;
    let served = Served::start().await;
    served.fake.set_faults(Faults {
        token_expires_at: 1,
        ..Faults::default()
    });
    let notifications = "  notifications: [{name: ads-team, secretName: slack}]\n  connectors:\n";
    let tenant = served.text.replacen("  connectors:\n", notifications, 1);
    let (url, token) = (&receiver.url, "sandbox-other-token");
    served.fake.grant(token, &["act_1001", "act_1002"]);
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: slack, namespace: acme}}\nstringData: {{url: \"{url}\", secret: {SECRET}}}\n"
    );
    fs::write(served.dir.path().join("slack.yaml"), secret).unwrap();
    // Another token is asked about at once.
    served.write(&tenant.replace(TOKEN, token));
    let is_told = |report: &Value| report["notifications"][0]["ready"] == true;
    reported(&served.report, is_told).await;
    let told = receiver.count(1).await.remove(0);
    let text = told.text();
    assert!(
        text.starts_with("acme: meta has to be connected again\n"),
        "{text}"
    );
    assert!(!text.contains("kubectl"), "there is no cluster: {text}");
    let log = serde_json::to_string(&*served.program.log.lock().unwrap()).unwrap();
    let report = fs::read_to_string(&served.report).unwrap();
    for text in [log, report] {
        assert!(
            !text.contains(HUSH) && !text.contains(&SECRET[6..]),
            "{text}"
        );
    }
    served.program.end();
}

#[tokio::test]
async fn a_mistake_in_the_folder_changes_nothing_and_is_said_with_its_place() {
    let served = Served::start().await;
    let mistake = served.text.replace("currency: TWD", "currency: Taiwan");
    served.write(&mistake);
    let wrong = |report: &Value| report["reason"] == "SpecInvalid";
    let message = reported(&served.report, wrong).await["message"].clone();
    let message = message.as_str().unwrap().to_owned();
    for part in [
        "acme.yaml`, line ",
        "McpTenant `acme`",
        "accounts[act_1002].currency",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(served.accounts().await, 2);
    let second = "    - {id: act_1002, currency: TWD, timeZone: Asia/Taipei}\n";
    served.write(&served.text.replace(second, ""));
    reported(&served.report, |report| report["serving"] == true).await;
    assert_eq!(served.accounts().await, 1);
    served.program.end();
}

#[tokio::test]
async fn a_contract_that_cannot_be_obeyed_is_not_taken_up_by_half() {
    let served = Served::start().await;
    assert_eq!(served.accounts().await, 2);
    let unknown = served.text.replace("  - name: meta\n", "  - name: metta\n");
    assert_ne!(unknown, served.text);
    served.write(&unknown);
    let wrong = |report: &Value| report["reason"] == "SpecInvalid";
    let said = reported(&served.report, wrong).await;
    let message = said["message"].as_str().unwrap();
    for part in ["acme.yaml`, line ", "no connector `metta`"] {
        assert!(message.contains(part), "{message}");
    }
    // The token of the contract that is still obeyed is still there.
    assert_eq!(served.accounts().await, 2);
    fs::write(served.dir.path().join("freeze.yaml"), STOP).unwrap();
    call_until(&served.url, &json!("Frozen")).await;
    served.program.end();
}

#[tokio::test]
async fn a_freeze_takes_hold_whatever_else_is_wrong() {
    let served = Served::start().await;
    assert_eq!(served.accounts().await, 2);
    served.write(&served.text.replace("currency: TWD", "currency: Taiwan"));
    let wrong = |report: &Value| report["reason"] == "SpecInvalid";
    reported(&served.report, wrong).await;
    let freeze = served.dir.path().join("freeze.yaml");
    fs::write(&freeze, STOP).unwrap();
    call_until(&served.url, &json!("Frozen")).await;
    // It is not lifted while somebody still has to mend the other document.
    fs::write(&freeze, "nothing that can be read").unwrap();
    reported(&served.report, |report| names(report, "freeze.yaml")).await;
    assert_eq!(call(&served.url).await["reason"], "Frozen");
    served.write(&served.text);
    fs::remove_file(&freeze).unwrap();
    call_until(&served.url, &Value::Null).await;
    served.program.end();
}

#[tokio::test]
async fn a_pipe_in_the_folder_keeps_nobody_waiting() {
    let served = Served::start().await;
    let pipe = served.dir.path().join("pipe.yaml");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    reported(&served.report, |report| names(report, "pipe.yaml")).await;
    assert_eq!(served.accounts().await, 2);
    // Nor does it keep a freeze from taking hold.
    fs::write(served.dir.path().join("freeze.yaml"), STOP).unwrap();
    call_until(&served.url, &json!("Frozen")).await;
    served.program.end();
}

#[tokio::test]
async fn a_key_that_is_revoked_in_the_folder_opens_nothing() {
    let served = Served::start().await;
    assert_eq!(served.accounts().await, 2);
    let owner = "  owner: demo@acme.example";
    let revoked = format!("{owner}\n  disabled: true");
    served.write(&served.text.replace(owner, &revoked));
    let client = reqwest::Client::new();
    let patience = async {
        while client
            .post(&served.url)
            .bearer_auth(shown_key())
            .header("content-type", "application/json")
            .body("{}")
            .send()
            .await
            .unwrap()
            .status()
            != 401
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, patience)
        .await
        .expect("the key still opens");
    served.program.end();
}

#[tokio::test]
async fn a_record_that_is_lost_at_the_end_is_no_success() {
    let served = Served::start().await;
    let mut full = command(served.dir.path());
    let full = full.stdout(fs::File::create("/dev/full").unwrap());
    let mut program = Program::watch(full.stderr(Stdio::piped()).spawn().unwrap());
    call(&program.url().await).await;
    let id = program.child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status();
    assert!(killed.unwrap().success());
    assert_eq!(program.child.wait().unwrap().code(), Some(1));
    served.program.end();
}

fn refused(dir: &Path) -> String {
    let Output { status, stderr, .. } = command(dir).output().unwrap();
    assert_eq!(status.code(), Some(1));
    String::from_utf8(stderr).unwrap()
}

#[test]
fn what_is_wrong_at_the_start_ends_the_program_with_its_place() {
    let dir = TempDir::new().unwrap();
    let told = refused(dir.path());
    assert!(
        told.contains("there is no McpTenant, and no file"),
        "{told}"
    );
    assert!(told.contains(dir.path().to_str().unwrap()), "{told}");
    assert!(refused(&dir.path().join("missing")).contains("missing"));
    let text = fs::read_to_string(Path::new(EXAMPLE).join("acme.yaml")).unwrap();
    let document = dir.path().join("acme.yaml");
    fs::write(&document, text.replace("connectors:", "conectors:")).unwrap();
    let told = refused(dir.path());
    assert!(
        told.contains("acme.yaml") && told.contains("conectors"),
        "{told}"
    );
    let report = dir.path().join("report.json");
    let told = command(dir.path())
        .arg("--report-file")
        .arg(report)
        .output();
    let told = String::from_utf8(told.unwrap().stderr).unwrap();
    assert!(
        told.contains("report.json` is in the folder of the documents"),
        "{told}"
    );
    // The file alone does as well.
    assert!(refused(&document).contains("conectors"));
    let odd = text.replace("  - name: meta\n", "  - name: metta\n");
    fs::write(&document, odd).unwrap();
    let told = refused(dir.path());
    assert!(told.contains("no connector `metta`"), "{told}");
    let odd = text.replace("id: act_1001,", "id: number-1001,");
    fs::write(&document, odd).unwrap();
    let told = refused(dir.path());
    assert!(
        told.contains("account `number-1001` is not an account"),
        "{told}"
    );
}
