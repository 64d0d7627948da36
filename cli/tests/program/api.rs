//! An API server that has a few objects, says so in plain HTTP, and keeps what it
//! is asked to change. What a real one says is tried on a real one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Ended, ended};

/// One of them, in a namespace of its own.
pub struct Api {
    folder: TempDir,
    changes: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// One that has these objects, each under its plural.
    pub fn with(objects: &[(&str, Value)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let objects = objects
            .iter()
            .map(|(plural, one)| ((*plural).to_owned(), one.clone()));
        let objects: Vec<_> = objects.collect();
        let changes = Arc::default();
        let kept: Arc<Mutex<Vec<String>>> = Arc::clone(&changes);
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&stream.unwrap(), &objects, &kept);
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let api = Self { folder, changes };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": "acme"}}],
            "users": [{"name": "it", "user": {}}],
            "clusters": [{"name": "it", "cluster": {"server": format!("http://{address}")}}],
        });
        std::fs::write(api.kubeconfig(), config.to_string()).unwrap();
        api
    }

    /// A kubeconfig that leads to it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// What somebody hears who runs the program there.
    pub fn run(&self, words: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        ended(command.args(words).env("KUBECONFIG", self.kubeconfig()))
    }

    /// What it was asked to change, as far as it was.
    pub fn changes(&self) -> Vec<String> {
        std::mem::take(&mut *self.changes.lock().unwrap())
    }
}

/// The requests of one connection; the last of them ends it.
fn serve(stream: &TcpStream, objects: &[(String, Value)], changes: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or_default() == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            lines.push(line.to_lowercase());
        }
        let length = lines
            .iter()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.trim().parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut words = lines[0].split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let path = path.split('?').next().unwrap();
        if method != "get" && !path.ends_with("selfsubjectreviews") {
            changes.lock().unwrap().push(format!("{method} {path}"));
        }
        let answer = answer(path, &body, objects);
        let text = answer.to_string();
        let status = answer["code"].as_u64().unwrap_or(200);
        let head = format!(
            "HTTP/1.1 {status} It\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        let mut to = stream;
        to.write_all((head + &text).as_bytes()).unwrap();
    }
}

fn answer(path: &str, body: &[u8], objects: &[(String, Value)]) -> Value {
    if path.ends_with("selfsubjectreviews") {
        return json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
            "status": {"userInfo": {"username": "me@example.com"}},
        });
    }
    let mut ends = path.rsplit('/');
    let (last, before) = (ends.next().unwrap(), ends.next().unwrap());
    let is_it = |one: &&(String, Value)| one.0 == before && one.1["metadata"]["name"] == last;
    if let Some((_, one)) = objects.iter().find(is_it) {
        return one.clone();
    }
    if !last.starts_with("mcp") {
        return json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 404,
            "reason": "NotFound", "message": format!("{before} \"{last}\" not found"),
        });
    }
    if let Ok(mut made) = serde_json::from_slice::<Value>(body) {
        let (name, of_kind) = (&made["metadata"]["name"], |one: &&(String, Value)| {
            one.0 == last
        });
        let mut known = objects.iter().filter(of_kind);
        if known.any(|one| one.1["metadata"]["name"] == *name) {
            return json!({
                "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 409,
                "reason": "AlreadyExists", "message": format!("{last} {name} already exists"),
            });
        }
        // A later release has a word to add.
        made["spec"]["sinceLater"] = json!("a default");
        return made;
    }
    let items = objects.iter().filter(|(plural, _)| plural == last);
    let items: Vec<_> = items.map(|(_, one)| one.clone()).collect();
    json!({"apiVersion": "tenantry.dev/v1alpha1", "kind": "List", "metadata": {}, "items": items})
}
