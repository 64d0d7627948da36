//! A cluster behind a proxy, which is told where to and sees nothing of what is said.

use std::io::{Read as _, Write as _, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tenantry_tests::kubectl::wait_for;

use super::{Ended, ended, kubeconfig, program};
use crate::court::{Court, FINANCE};

/// A proxy that leads to one place, whatever it is asked for.
struct Proxy {
    address: SocketAddr,
    /// What each connection asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(place: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, place) = (listener.local_addr().unwrap(), place.to_owned());
        let asked = Arc::default();
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, place) = (stream.unwrap(), place.clone());
                let seen: Arc<Mutex<Vec<String>>> = Arc::clone(&seen);
                thread::spawn(move || {
                    seen.lock().unwrap().push(head(&mut stream));
                    tunnel(stream, &place);
                });
            }
        });
        Self { address, asked }
    }

    /// What the connections since the last look asked for.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn tunnel(mut stream: TcpStream, place: &str) {
    let mut there = TcpStream::connect(place).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut from, mut to) = (stream.try_clone().unwrap(), there.try_clone().unwrap());
    thread::spawn(move || {
        // Either side may be gone first.
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = copy(&mut there, &mut stream);
    let _ = stream.shutdown(Shutdown::Write);
}

/// A kubeconfig in which this stands of the cluster as well.
fn with(folder: &Path, config: &Value, fields: &Value) -> PathBuf {
    let mut config = config.clone();
    let cluster = config["clusters"][0]["cluster"].as_object_mut().unwrap();
    cluster.extend(fields.as_object().unwrap().clone());
    let path = folder.join("config");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[test]
fn a_cluster_behind_a_proxy_is_reached_as_kubectl_reaches_it() {
    let court = Court::new("court-tool-proxy");
    court.ask("one", &["finance"]);
    let config = std::fs::read_to_string(kubeconfig(&court, FINANCE)).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
    let place = server.strip_prefix("https://").unwrap();
    let (host, port) = place.split_once(':').unwrap();
    let proxy = Proxy::to(place);
    let folder = tempfile::tempdir().unwrap();
    let run = |fields: &Value, words: &[&str], set: &[(&str, &str)]| -> Ended {
        let mut command = program();
        command.args(words).args(["-n", &court.name]);
        command.env_remove("NO_PROXY").env_remove("no_proxy");
        command.envs(set.iter().copied());
        ended(command.env("KUBECONFIG", with(folder.path(), &config, fields)))
    };
    let list = ["approvals"];
    let by = |address: &str| json!({"proxy-url": format!("http://me:secret@{address}")});
    let here = by(&proxy.address.to_string());
    let listed = wait_for("the rights to be there", || {
        let listed = run(&here, &list, &[]);
        Ok((listed.code == Some(0)).then_some(listed))
    });
    assert!(listed.unwrap().out.contains("one   campaign 120"));
    let asked = proxy.asked();
    assert!(!asked.is_empty());
    for asked in asked {
        assert!(
            asked.starts_with(&format!("CONNECT {place} HTTP/1.1")),
            "{asked}"
        );
        assert!(asked.contains("Basic bWU6c2VjcmV0"), "{asked}");
    }
    // A pod, by a request that becomes a WebSocket where there is one.
    let pod = run(&here, &["activity", "--pod", "server-0"], &[]);
    assert_eq!(pod.code, Some(1), "{pod:?}");
    assert_eq!(proxy.asked().len(), 1);
    // By its name elsewhere, which only the proxy knows.
    let elsewhere =
        json!({"server": format!("https://api.invalid:{port}"), "tls-server-name": host});
    let address = format!("http://{}", proxy.address);
    let listed = run(&elsewhere, &list, &[("HTTPS_PROXY", &address)]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].starts_with(&format!("CONNECT api.invalid:{port} ")),
        "{asked:?}"
    );
    let directly = [("HTTPS_PROXY", address.as_str()), ("NO_PROXY", ".invalid")];
    let unknown = run(&elsewhere, &list, &directly);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    // This machine is reached by none that the environment names.
    let listed = run(&json!({}), &list, &[("HTTPS_PROXY", &address)]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let dead = run(&by("127.0.0.1:1"), &list, &[]);
    assert_eq!(dead.code, Some(2));
    assert!(dead.note.starts_with("error: the cluster: "), "{dead:?}");
    assert!(!dead.note.contains("secret"), "{dead:?}");
    let socks = json!({"proxy-url": format!("socks5://me:secret@{}", proxy.address)});
    let socks = run(&socks, &list, &[]);
    let told = "error: proxy-url of the kubeconfig names a SOCKS proxy, which is not supported: name an http proxy, or reach the cluster without one\n";
    assert_eq!((socks.code, socks.note.as_str()), (Some(2), told));
    assert_eq!(proxy.asked().len(), 0);
}
