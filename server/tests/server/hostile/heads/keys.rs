//! Keys that are none, or stand elsewhere.

use super::super::{Hostile, bearer};
use super::both;

pub fn keys(found: &mut Vec<Hostile>) {
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
