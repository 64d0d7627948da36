//! Changes to the head of a request: its line, Host, Origin, key, form, and
//! headers that contradict the body.

mod contradictions;
mod forms;
mod keys;
mod names;

use super::Hostile;
use super::raw::Raw;

/// Both bases, changed.
fn both(what: &str, found: &mut Vec<Hostile>, change: impl Fn(&mut Raw)) {
    for (era, mut raw) in [("modern", Raw::modern()), ("legacy", Raw::legacy())] {
        change(&mut raw);
        found.push(Hostile {
            what: format!("{era}: {what}"),
            bytes: raw.bytes(),
        });
    }
}

pub fn all() -> Vec<Hostile> {
    let mut found = Vec::new();
    names::hosts(&mut found);
    names::origins(&mut found);
    lines(&mut found);
    keys::keys(&mut found);
    forms::forms(&mut found);
    contradictions::contradictions(&mut found);
    broken(&mut found);
    found
}

fn lines(found: &mut Vec<Hostile>) {
    for method in [
        "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "post", "Post",
        "POSTX", "PROPFIND", "PRI", "X", "P OST",
    ] {
        both(&format!("method {method}"), found, |raw| {
            raw.method = method.into();
        });
        both(&format!("method {method} in a header"), found, |raw| {
            raw.method = method.into();
            raw.with("X-HTTP-Method-Override", "POST");
        });
    }
    for target in [
        "/",
        "/mcp/",
        "//mcp",
        "/mcp/x",
        "/MCP",
        "/%6dcp",
        "/mcp%00",
        "/mcp;x",
        "/./mcp",
        "/x/../mcp",
        "/mcp/..",
        "/mcp/.",
        "*",
        "",
        "mcp",
        "\\mcp",
        "/livez",
        "/readyz",
        "/metrics",
        "/activity",
        "/sse",
        "/messages",
        "/message",
        "/.well-known/oauth-protected-resource",
        "/admin",
        "/debug/pprof",
        "/../../etc/passwd",
        "/mcp\t",
        "/mcp /x",
        "localhost:8080",
        "http:///mcp",
        "http://localhost",
        "ftp://evil/mcp",
        "https://evil.example/mcp",
    ] {
        both(&format!("target `{target}`"), found, |raw| {
            raw.target = target.into();
        });
    }
    for version in [
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/3",
        "http/1.1",
        "HTTP/11",
        "HTTP/1.1 x",
        "HTTP",
        "",
        "ICY/1.1",
    ] {
        both(&format!("version `{version}`"), found, |raw| {
            raw.version = version.into();
        });
    }
}

/// Heads that are no HTTP.
fn broken(found: &mut Vec<Hostile>) {
    let good = String::from_utf8(Raw::legacy().bytes()).unwrap();
    let changes = [
        (
            "a folded header",
            good.replace("Accept:", "X-Folded: a\r\n b\r\nAccept:"),
        ),
        ("a space before the colon", good.replace("Host:", "Host :")),
        (
            "a header without colon",
            good.replace("Accept:", "nonsense\r\nAccept:"),
        ),
        (
            "a NUL in a header",
            good.replace("Accept:", "X-Nul: a\0b\r\nAccept:"),
        ),
        (
            "a carriage return in a header",
            good.replace("Accept:", "X-Cr: a\rb\r\nAccept:"),
        ),
        (
            "a header of 20 KiB",
            good.replace(
                "Accept:",
                &format!("X-Long: {}\r\nAccept:", "x".repeat(20_480)),
            ),
        ),
        (
            "300 headers",
            good.replace(
                "Accept:",
                &format!("{}Accept:", "X-Many: 1\r\n".repeat(300)),
            ),
        ),
        (
            "an empty header name",
            good.replace("Accept:", ": x\r\nAccept:"),
        ),
        ("a leading space", format!(" {good}")),
        (
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        ),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".into()),
        ("half a head", good[..60].into()),
        ("no head", String::new()),
        ("a body alone", Raw::legacy().text()),
        ("SSH", "SSH-2.0-OpenSSH_9.0\r\n".into()),
    ];
    for (what, text) in changes {
        found.push(Hostile {
            what: what.into(),
            bytes: text.into_bytes(),
        });
    }
}
