//! In which form a body comes, how long it is and how it is coded.

use super::super::Hostile;
use super::both;

pub fn forms(found: &mut Vec<Hostile>) {
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
