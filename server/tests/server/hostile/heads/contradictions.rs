//! Headers that contradict the body, or each other.

use super::super::Hostile;
use super::super::raw::Raw;
use super::both;

/// A proxy decides by headers, we act by the body: they must not differ.
pub fn contradictions(found: &mut Vec<Hostile>) {
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
