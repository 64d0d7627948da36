//! Under which name a server is reached, and from where.

use super::super::Hostile;
use super::both;

/// CVE-2025-66414, CVE-2025-66416, CVE-2026-35568, CVE-2026-42559 and their
/// kin: a page that reaches the server under a name of its own.
pub fn hosts(found: &mut Vec<Hostile>) {
    let names = [
        "evil.example",
        "localhost.evil.example",
        "evil.example:8080",
        "127.0.0.2",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0",
        "0.0.0.0",
        "[::]",
        "[::2]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "169.254.169.254",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost, evil.example",
        "localhost evil.example",
        "localhost/evil",
        "localhost#x",
        "localhost?x",
        "localhost..",
        ".localhost",
        "localhost%00",
        "local host",
        "server.acme.svc.evil.example",
        "xserver.acme.svc",
        "server.acme.svc-evil",
        "server.acme.svc.cluster.local.evil",
        "server",
        "acme.svc",
        "svc",
        "",
        ":8080",
        "localhost:",
        "localhost:x",
        "localhost:99999999",
        "null",
        "*",
        "http://localhost",
        "//localhost",
        "lоcalhost",
        "localhost\\evil",
        "server_acme_svc",
        "kubernetes.default.svc",
    ];
    for name in names {
        // An empty port is allowed by RFC 3986, and means the default one.
        if name != "localhost:" {
            both(&format!("Host `{name}`"), found, |raw| {
                raw.replace("host", name);
            });
        }
        if !name.is_empty() && name.is_ascii() && !name.contains([' ', ',']) {
            both(&format!("target at `{name}`"), found, |raw| {
                raw.target = format!("http://{name}/mcp#{}", name.len()).replace('#', "?");
            });
        }
    }
    both("no Host", found, |raw| raw.without("host"));
    both("two hosts", found, |raw| raw.with("Host", "localhost"));
    both("two hosts, one evil", found, |raw| {
        raw.with("Host", "evil.example");
    });
}

pub fn origins(found: &mut Vec<Hostile>) {
    let origins = [
        "https://evil.example",
        "http://app.acme.example",
        "https://app.acme.example:443",
        "https://app.acme.example:444",
        "https://app.acme.example.",
        "https://app.acme.example/",
        "https://app.acme.example.evil.example",
        "https://APP.acme.example",
        "HTTPS://app.acme.example",
        "https://xapp.acme.example",
        "https://app.acme.example@evil.example",
        "https://evil.example#https://app.acme.example",
        "null",
        "",
        "*",
        "file://",
        "http://localhost",
        "http://127.0.0.1",
        "http://[::1]",
        "https://app.acme.example https://evil.example",
        "https://app.acme.example, https://evil.example",
        "chrome-extension://x",
        "data:",
        "app.acme.example",
        "//app.acme.example",
        "https://app.acme.example\\",
    ];
    for origin in origins {
        both(&format!("Origin `{origin}`"), found, |raw| {
            raw.with("Origin", origin);
        });
        both(&format!("a good Origin and `{origin}`"), found, |raw| {
            raw.with("Origin", "https://app.acme.example");
            raw.with("Origin", origin);
        });
    }
}
