//! A cluster behind a proxy: the way to what a server tells on its loopback, which
//! is a WebSocket within the tunnel. That TLS goes through it as well is tried on
//! the real API server.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// What RFC 6455 adds to the key of a handshake.
const ACCEPTED: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const TOLD: &str = r#"{"items": []}"#;

/// The head of a request.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A frame of the server, for one of the two channels of a port.
fn send(stream: &mut TcpStream, channel: u8, bytes: &[u8]) {
    let length = u8::try_from(bytes.len() + 1).unwrap();
    assert!(length < 126, "a longer frame has another head");
    stream.write_all(&[0x82, length, channel]).unwrap();
    stream.write_all(bytes).unwrap();
}

/// What stands in the next frame of the client.
fn frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut start = [0; 2];
    stream.read_exact(&mut start).unwrap();
    let mut length = usize::from(start[1] & 0x7f);
    if length == 126 {
        let mut longer = [0; 2];
        stream.read_exact(&mut longer).unwrap();
        length = u16::from_be_bytes(longer).into();
    }
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).unwrap();
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    let masks = mask.iter().cycle();
    bytes
        .iter()
        .zip(masks)
        .map(|(byte, mask)| byte ^ mask)
        .collect()
}

/// A proxy, and what it leads to: an API server that forwards one question.
fn lead(mut stream: TcpStream) -> [String; 3] {
    let asked = head(&mut stream);
    stream
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .unwrap();
    let upgrade = head(&mut stream);
    let key = upgrade.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then_some(value)
    });
    let key = format!("{}{ACCEPTED}", key.unwrap());
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes()));
    let told = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
    );
    stream.write_all(told.as_bytes()).unwrap();
    let port = upgrade.split("ports=").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let port = port.parse::<u16>().unwrap().to_le_bytes();
    send(&mut stream, 0, &port);
    send(&mut stream, 1, &port);
    let mut question = Vec::new();
    while !question.ends_with(b"\r\n\r\n") {
        question.extend(&frame(&mut stream)[1..]);
    }
    let length = TOLD.len();
    let told = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{TOLD}");
    send(&mut stream, 0, told.as_bytes());
    // Until the program has read it and is gone.
    while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
    [asked, upgrade, String::from_utf8(question).unwrap()]
}

#[test]
fn a_port_forward_goes_through_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = thread::spawn(move || lead(listener.accept().unwrap().0));
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    let text = format!(
        r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "it",
        "contexts": [{{"name": "it", "context": {{"cluster": "it", "user": "it"}}}}],
        "users": [{{"name": "it", "user": {{}}}}],
        "clusters": [{{"name": "it", "cluster": {{
            "server": "http://api.example:8080", "proxy-url": "http://me:p%40ss@{address}"
        }}}}]}}"#
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(["activity", "--pod", "server-0", "-n", "acme", "-o", "json"])
        .args(["--kubeconfig".as_ref(), kubeconfig.as_os_str()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let [asked, upgrade, question] = proxy.join().unwrap();
    assert!(asked.starts_with("CONNECT api.example:8080 "), "{asked}");
    let secret = format!("Basic {}", STANDARD.encode("me:p@ss"));
    assert!(asked.contains(&secret), "{asked}");
    let place = "GET /api/v1/namespaces/acme/pods/server-0/portforward?";
    assert!(upgrade.starts_with(place), "{upgrade}");
    assert!(question.starts_with("GET /v1/changes?"), "{question}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        told,
        serde_json::from_str::<serde_json::Value>(TOLD).unwrap()
    );
}
