//! Changes to the head of a request: its line, Host, Origin, key, form, and
//! headers that contradict the body.

use super::raw::Raw;
use super::{Hostile, bearer};

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
    hosts(&mut found);
    origins(&mut found);
    lines(&mut found);
    keys(&mut found);
    forms(&mut found);
    contradictions(&mut found);
    broken(&mut found);
    found
}

/// CVE-2025-66414, CVE-2025-66416, CVE-2026-35568, CVE-2026-42559 and their
/// kin: a page that reaches the server under a name of its own.
fn hosts(found: &mut Vec<Hostile>) {
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

fn origins(found: &mut Vec<Hostile>) {
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

fn keys(found: &mut Vec<Hostile>) {
    let good = bearer();
    let (scheme, key) = good.split_once(' ').unwrap();
    let secret = &key[key.len() - 72..];
    let values = [
        String::new(),
        scheme.into(),
        key.into(),
        format!("{scheme}{key}"),
        format!("Basic {key}"),
        format!("Token {key}"),
        format!("ApiKey {key}"),
        format!("{scheme}:{key}"),
        format!("{scheme}\t{key}"),
        format!("{good}, {good}"),
        format!("{good},"),
        format!("{good};"),
        format!("{good} x"),
        format!("\"{good}\""),
        format!("{scheme} \"{key}\""),
        format!("{scheme} {}", key.to_uppercase()),
        format!("{scheme} {}", key.replace("tnt_", "TNT_")),
        format!("{scheme} {secret}"),
        format!("{scheme} tnt_{secret}"),
        format!("{scheme} tnt__{secret}"),
        format!("{scheme} tnt_other_{secret}"),
        format!("{scheme} tnt_Demo_{secret}"),
        format!("{scheme} tnt_demo._{secret}"),
        format!("{scheme} tnt_../demo_{secret}"),
        format!("{scheme} null"),
        format!("{scheme} undefined"),
        format!("{scheme} {}", "0".repeat(64)),
        format!("{scheme} {}", "a".repeat(10_000)),
    ];
    for value in values {
        both(&format!("Authorization `{value:.60}`"), found, |raw| {
            raw.replace("authorization", &value);
        });
    }
    for length in (1..key.len()).step_by(4) {
        both(&format!("a key of {length}"), found, |raw| {
            raw.replace("authorization", &format!("{scheme} {}", &key[..length]));
        });
    }
    for position in (9..key.len()).step_by(3) {
        let other = if &key[position..=position] == "0" {
            "1"
        } else {
            "0"
        };
        let changed = format!(
            "{scheme} {}{other}{}",
            &key[..position],
            &key[position + 1..]
        );
        both(&format!("a key changed at {position}"), found, |raw| {
            raw.replace("authorization", &changed);
        });
    }
    both("no key", found, |raw| raw.without("authorization"));
    both("two keys", found, |raw| raw.with("Authorization", &good));
    for header in [
        "X-Api-Key",
        "Proxy-Authorization",
        "Cookie",
        "X-Authorization",
        "X-Forwarded-Authorization",
        "Authentication",
    ] {
        both(&format!("the key in {header}"), found, |raw| {
            raw.without("authorization");
            raw.with(header, &good);
        });
    }
    for query in ["key", "api_key", "access_token", "token", "authorization"] {
        both(&format!("the key in the query as {query}"), found, |raw| {
            raw.without("authorization");
            raw.target = format!("/mcp?{query}={key}");
        });
    }
}

fn forms(found: &mut Vec<Hostile>) {
    for form in [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json5",
        "application/json-rpc",
        "application/ld+json",
        "application/ json",
        "application/json, text/plain",
        "*/*",
        "json",
        "application/xml",
    ] {
        both(&format!("Content-Type `{form}`"), found, |raw| {
            raw.replace("content-type", form);
        });
        both(&format!("application/json and `{form}`"), found, |raw| {
            raw.with("Content-Type", form);
        });
    }
    both("no Content-Type", found, |raw| raw.without("content-type"));
    for coding in ["gzip", "deflate", "br", "zstd", "identity", "x"] {
        both(&format!("Content-Encoding {coding}"), found, |raw| {
            raw.with("Content-Encoding", coding);
        });
    }
    for accept in [
        "",
        "text/html",
        "application/json",
        "text/event-stream",
        "*",
        "application/json;q=0, text/event-stream",
    ] {
        both(&format!("Accept `{accept}`"), found, |raw| {
            raw.replace("accept", accept);
        });
    }
    for upgrade in ["h2c", "websocket", "HTTP/2.0", "TLS/1.2"] {
        both(&format!("Upgrade {upgrade}"), found, |raw| {
            raw.replace("connection", "Upgrade, HTTP2-Settings");
            raw.with("Upgrade", upgrade);
            raw.with("HTTP2-Settings", "AAMAAABkAAQAAP__");
        });
    }
    for length in [
        "-1",
        "+1",
        "0x10",
        "1e3",
        "1 1",
        "1,1",
        "1, 2",
        "",
        "abc",
        "99999999999999999999",
        "18446744073709551615",
        "4096",
        "5",
        "0",
    ] {
        both(&format!("Content-Length `{length}`"), found, |raw| {
            raw.with("Content-Length", length);
        });
    }
    for coding in [
        "chunked",
        "Chunked",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, identity",
        "identity",
        "xchunked",
        "\u{b}chunked",
        "chunked;x=1",
    ] {
        for chunks in [
            "",
            "0\r\n\r\n",
            "5\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "ffffffffffffffffff\r\n",
            "5;x\nhello\r\n0\r\n\r\n",
        ] {
            both(
                &format!("Transfer-Encoding {coding} `{}`", chunks.escape_debug()),
                found,
                |raw| {
                    raw.with("Transfer-Encoding", coding);
                    let whole = format!("{:x}\r\n{}\r\n", raw.body.len(), raw.text());
                    raw.body = format!("{whole}{chunks}").into_bytes();
                },
            );
        }
        both(
            &format!("Transfer-Encoding {coding} and a length"),
            found,
            |raw| {
                let length = raw.body.len().to_string();
                raw.with("Content-Length", &length);
                raw.with("Transfer-Encoding", coding);
            },
        );
    }
}

/// A proxy decides by headers, we act by the body: they must not differ.
fn contradictions(found: &mut Vec<Hostile>) {
    for method in [
        "",
        "tools/list",
        "initialize",
        "Tools/Call",
        "tools/call ",
        "tools/call,tools/list",
        "tools/cal",
        "ping",
        "TOOLS/CALL",
        "=?base64?dG9vbHMvbGlzdA==?=",
    ] {
        // Spaces around a value are no part of it.
        if method.trim() != "tools/call" {
            both(&format!("Mcp-Method `{method}`"), found, |raw| {
                raw.replace("mcp-method", method);
            });
        }
        both(&format!("a second Mcp-Method `{method}`"), found, |raw| {
            raw.replace("mcp-method", "tools/call");
            raw.with("Mcp-Method", method);
        });
    }
    for name in [
        "",
        "meta_list_campaigns",
        "META_LIST_AD_ACCOUNTS",
        "meta_list_ad_account",
        "meta_list_ad_accountsx",
        "*",
        "meta_list_ad_accounts,x",
        "=?base64?bWV0YV9saXN0X2NhbXBhaWducw==?=",
        "=?base64?%%%?=",
        "meta_liſt_ad_accounts",
    ] {
        both(&format!("Mcp-Name `{name}`"), found, |raw| {
            raw.replace("mcp-name", name);
        });
        both(&format!("a second Mcp-Name `{name}`"), found, |raw| {
            raw.replace("mcp-name", "meta_list_ad_accounts");
            raw.with("Mcp-Name", name);
        });
    }
    for version in [
        "",
        "2099-01-01",
        "1999-01-01",
        "2026-07-29",
        "2026-7-28",
        "latest",
        "0",
        "x",
        "2026-07-28,2025-11-25",
        "２０２６-07-28",
    ] {
        both(&format!("MCP-Protocol-Version `{version}`"), found, |raw| {
            raw.replace("mcp-protocol-version", version);
        });
        both(
            &format!("a second MCP-Protocol-Version `{version}`"),
            found,
            |raw| raw.with("MCP-Protocol-Version", version),
        );
    }
    for (era, mut raw) in [("modern", Raw::modern()), ("modern too", Raw::modern())] {
        let version = if era == "modern" {
            "2025-11-25"
        } else {
            "2025-06-18"
        };
        raw.replace("mcp-protocol-version", version);
        found.push(Hostile {
            what: format!("a modern body under {version}"),
            bytes: raw.bytes(),
        });
    }
    let mut raw = Raw::legacy();
    raw.replace("mcp-protocol-version", "2026-07-28");
    found.push(Hostile {
        what: "a legacy body under 2026-07-28".into(),
        bytes: raw.bytes(),
    });
    for missing in ["mcp-method", "mcp-name", "mcp-protocol-version"] {
        let mut raw = Raw::modern();
        raw.without(missing);
        found.push(Hostile {
            what: format!("modern without {missing}"),
            bytes: raw.bytes(),
        });
    }
    for parameter in ["limit", "Limit", "account", "x"] {
        both(&format!("Mcp-Param-{parameter}"), found, |raw| {
            raw.with(&format!("Mcp-Param-{parameter}"), "2");
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
