//! What would become of a call, and why it would be refused: as the server
//! decides it, to whoever may look into its pod.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};

use serde_json::{Value, json};
use tenantry_core::name::KeyId;
use tenantry_core::strict_json;

use super::activity::{self, more_to_spend, of, summary, table};
use super::{Cluster, Output, for_programs, forward};
use crate::answer::{Answer, Unusable};
use crate::cli::activity::Explain;
use crate::columns::aligned;
use crate::tone;

const PATH: &str = "/v1/explain";

/// What stands for stdin.
const STDIN: &str = "-";

/// Of a file with arguments: a server takes no larger body.
const LARGEST: u64 = 1 << 20;

/// Says it.
pub async fn explain(cluster: &Cluster, asked: &Explain) -> Result<Answer, Unusable> {
    // A 1 says what would become of the call, so nothing else may.
    let told = told(cluster, asked).await;
    told.map_err(|error| Unusable::all(error.reasons))
}

async fn told(cluster: &Cluster, asked: &Explain) -> Result<Answer, Unusable> {
    let instead = match asked.tool.as_str() {
        "describe_limits" => Some("activity --limits"),
        "get_change" => Some("activity --change ID"),
        _ => None,
    };
    if let Some(instead) = instead {
        let told = format!(
            "`{}` asks no vendor and changes nothing: `{}` says the same",
            asked.tool,
            cluster.again(instead)
        );
        return Err(Unusable::because(told));
    }
    let question = question(asked, io::stdin().lock())?;
    let pods = activity::pods(cluster, asked.pod.as_deref()).await?;
    let found = activity::first(&pods, async |pod| {
        forward::post(cluster, pod, PATH, &question).await
    });
    answered(&found.await?, asked.output)
}

/// What is asked, as the server takes it.
fn question(asked: &Explain, stdin: impl Read) -> Result<Value, Unusable> {
    if KeyId::parse(&asked.key).is_err() {
        // Not repeated: it may be a key.
        let told =
            "--key takes the name of an McpApiKey, 1 to 40 of a-z, 0-9 and `-`, not the key itself";
        return Err(Unusable::because(told));
    }
    let (place, text) = match (&asked.arguments, &asked.file) {
        (Some(text), _) => ("--arguments".to_owned(), Ok(text.clone())),
        (None, Some(path)) if path.as_os_str() == STDIN => ("stdin".to_owned(), read(stdin)),
        (None, Some(path)) => {
            let text = File::open(path).and_then(read);
            (format!("`{}`", path.display()), text)
        }
        (None, None) => return Ok(json!({"tool": asked.tool, "key": asked.key})),
    };
    let failed = |error: &dyn std::error::Error| Unusable::because(format!("{place}: {error}"));
    let text = text.map_err(|error| failed(&error))?;
    let arguments = strict_json::parse(text.as_bytes()).map_err(|error| failed(&error))?;
    if !arguments.is_object() {
        return Err(Unusable::because(format!("{place}: not an object")));
    }
    Ok(json!({"tool": asked.tool, "key": asked.key, "arguments": arguments}))
}

fn read(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("longer than {LARGEST} bytes")));
    }
    Ok(text)
}

fn answered(found: &Value, output: Output) -> Result<Answer, Unusable> {
    let text = match for_programs(found, output) {
        Some(text) => text?,
        None => page(found, output == Output::Wide),
    };
    let verdict = found["verdict"].as_str().unwrap_or_default();
    let answer = Answer {
        is_good: !["needs_approval", "denied", "in_progress", "refused"].contains(&verdict),
        is_known: ["permitted", "unchanged"].contains(&verdict),
        ..Answer::good(text)
    };
    let ignored = words(&found["ignored"], ", ");
    Ok(if ignored.is_empty() {
        answer
    } else {
        answer.noting(format!(
            "{ignored} was left out: a call that nobody makes has neither"
        ))
    })
}

/// The verdict, what it is about, and what the rules say.
fn page(found: &Value, is_wide: bool) -> String {
    let mut text = headline(found);
    text.push_str("\n\n");
    text.push_str(&aligned(&about(found, is_wide)));
    let rules = found["rules"].as_array().map_or(&[][..], Vec::as_slice);
    if !rules.is_empty() {
        let head = ["VERDICT", "MODE", "RULE", "SAYS"];
        text.push('\n');
        text.push_str(&table(head, rules.iter().map(|rule| row(rule, is_wide))));
    }
    text
}

/// What somebody reads who reads one line.
fn headline(found: &Value) -> String {
    let verdict = of(&found["verdict"]);
    let stopped = || {
        let (room, reason) = (of(&found["room"]), of(&found["reason"]));
        format!("at {room} ({reason}): {}", of(&found["message"]))
    };
    match verdict.as_str() {
        "permitted" => format!("{}: the call would be made", tone::state("permitted")),
        "unchanged" => "unchanged: it is so already, so nothing would be sent".into(),
        "needs_approval" => {
            let waits = tone::waits("needs approval");
            format!("{waits}: {} must agree", who(&found["approval"]))
        }
        "denied" => format!("{} by {}", tone::state("denied"), denying(&found["rules"])),
        "in_progress" => format!(
            "{}: change {} is in the way",
            tone::waits("in progress"),
            of(&found["change_id"])
        ),
        "refused" => format!("{} {}", tone::state("refused"), stopped()),
        "failed" => format!("not known, it would fail {}", stopped()),
        _ => format!("{verdict} {}", stopped()),
    }
}

/// The rules that refuse it.
fn denying(rules: &Value) -> String {
    let rules = rules.as_array().into_iter().flatten();
    let denies = |rule: &&Value| rule["verdict"] == "deny" && rule["mode"] == "Enforce";
    let names: Vec<_> = rules.filter(denies).map(name).collect();
    names.join(", ")
}

/// A rule with its policy, or a policy of which none speaks.
fn name(rule: &Value) -> String {
    let policy = of(&rule["policy"]);
    match rule["rule"].as_str() {
        Some(_) => format!("{policy}/{}", of(&rule["rule"])),
        None => policy,
    }
}

/// How many of whom.
fn who(asks: &Value) -> String {
    let approvers = asks["approvers"].as_u64().unwrap_or_default();
    format!("{approvers} of {}", words(&asks["approver_classes"], "+"))
}

fn words(list: &Value, between: &str) -> String {
    let words = list.as_array().into_iter().flatten().map(of);
    words.collect::<Vec<_>>().join(between)
}

fn about(found: &Value, is_wide: bool) -> Vec<[String; 2]> {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| {
        if !text.is_empty() {
            lines.push([name.to_owned(), text]);
        }
    };
    line("Call", of(&found["tool"]));
    line("Key", key(&found["actor"]));
    if found["account"].is_string() {
        let (connector, account) = (of(&found["connector"]), of(&found["account"]));
        line("Account", format!("{connector} {account}"));
    }
    line("Object", whose(&found["object"]));
    line("What", summary(found));
    for item in found["items"].as_array().into_iter().flatten() {
        line("", summary(item));
    }
    line("More to spend", more_to_spend(found));
    line("Takes back", of(&found["undoes"]));
    line("Note", of(&found["note"]));
    // What a client is to do who waits for people is nothing to those people.
    if found["verdict"] != "needs_approval" {
        line("Remedy", of(&found["remedy"]));
        line("Not before", after(&found["retry_after_ms"]));
    }
    if is_wide {
        let requests = found["vendor_requests"].as_u64().unwrap_or_default();
        line("Asked", format!("{requests} requests to the vendor"));
    }
    lines
}

fn key(actor: &Value) -> String {
    let mut text = of(&actor["key"]);
    for (word, field) in [("of", "owner"), ("agent", "agent")] {
        let told = of(&actor[field]);
        if !told.is_empty() {
            let _ = write!(text, ", {word} {told}");
        }
    }
    text
}

/// An object, and whose it is where it is not the organisation's own.
fn whose(object: &Value) -> String {
    if !object.is_object() {
        return String::new();
    }
    let named = format!("{} {}", of(&object["kind"]), of(&object["id"]));
    match object["standing"].as_str() {
        Some("foreign") => format!(
            "{named}, which is of {} and not within reach of the key",
            of(&object["account"])
        ),
        Some("unknown") => format!("{named}, which the vendor does not know"),
        Some("claimed") => format!("{named}; whose it is, the vendor has not said"),
        _ => named,
    }
}

fn row(rule: &Value, is_wide: bool) -> [String; 4] {
    let mut says = of(&rule["message"]);
    let mut more = vec![of(&rule["headroom"])];
    if is_wide {
        let expires = after(&rule["expires_after_ms"]);
        more.push(expires.replacen("in", "people have", 1));
        more.push(after(&rule["retry_after_ms"]).replacen("in", "not any more in", 1));
    }
    more.retain(|text| !text.is_empty());
    if !more.is_empty() {
        let _ = write!(says, " ({})", more.join("; "));
    }
    let verdict = of(&rule["verdict"]);
    let verdict = match verdict.as_str() {
        "ask" => format!("ask {}", who(rule)),
        _ => verdict,
    };
    // What is in Shadow keeps nothing back.
    let verdict = match rule["mode"].as_str() {
        Some("Enforce") => tone::state(&verdict),
        _ => verdict,
    };
    [verdict, of(&rule["mode"]), name(rule), says]
}

/// A length of time from now on, in its largest unit.
fn after(ms: &Value) -> String {
    let Some(seconds) = ms.as_i64().map(|ms| (ms + 999) / 1_000) else {
        return String::new();
    };
    match seconds {
        ..120 => format!("in {seconds}s"),
        120..7_200 => format!("in {}m", seconds / 60),
        7_200..172_800 => format!("in {}h", seconds / 3_600),
        _ => format!("in {}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::Map;

    use super::*;
    use crate::cli::{Cli, Command};

    fn asked(words: &[&str]) -> Explain {
        let words = ["tenantry", "explain", "meta_pause"].iter().chain(words);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Explain(asked) => asked,
            other => unreachable!("{other:?}"),
        }
    }

    fn refused(words: &[&str], stdin: &str) -> String {
        let error = question(&asked(words), stdin.as_bytes()).unwrap_err();
        assert!(!error.is_refused);
        error.reasons.join("; ")
    }

    /// A change of which there is something to say everywhere.
    fn change(verdict: &str) -> Value {
        json!({
            "verdict": verdict, "tool": "meta_set_budget", "class": "spend", "connector": "meta",
            "account": "act_1", "vendor_requests": 4, "currency": "EUR",
            "object": {"kind": "ad_set", "id": "12", "standing": "owned", "account": "act_1"},
            "actor": {"key": "demo", "owner": "ann@acme.example", "agent": "plan\nner"},
            "summary": "ad set 12, daily_budget 30.50 EUR to 90.00 EUR\u{202e}",
            "delta": {"daily": {"amount": "59.50", "currency": "EUR"}},
            "rules": [
                {"policy": "ads", "rule": "budget.perWindow.maxDailyIncrease", "mode": "Enforce",
                 "verdict": "deny", "message": "this would add 59.50 EUR, and less is left",
                 "headroom": "0.50 EUR are used of 20.00 EUR", "retry_after_ms": 7_300_000},
                {"policy": "ads", "rule": "approvals.large", "mode": "Enforce", "verdict": "ask",
                 "message": "more than 5 EUR a day", "approver_classes": ["finance", "legal"],
                 "approvers": 2, "expires_after_ms": 3_600_000},
                {"policy": "tried-out", "rule": "rules.night", "mode": "Shadow", "verdict": "deny",
                 "message": "not at\u{1b}[31m night"},
                {"policy": "silent", "mode": "Enforce", "verdict": "allow",
                 "message": "none of its rules speaks"},
            ],
        })
    }

    fn with(mut found: Value, fields: Value) -> Value {
        if let (Some(found), Value::Object(fields)) = (found.as_object_mut(), fields) {
            found.extend::<Map<_, _>>(fields);
        }
        found
    }

    #[test]
    fn what_is_asked_is_the_tool_the_key_and_arguments_read_strictly() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("arguments.json");
        std::fs::write(&file, r#"{"ad_set_id": "12"}"#).unwrap();
        let file = file.to_str().unwrap();
        let expected = json!({
            "tool": "meta_pause", "key": "demo", "arguments": {"ad_set_id": "12"},
        });
        for words in [
            ["--arguments", r#"{"ad_set_id": "12"}"#],
            ["-f", file],
            ["-f", "-"],
        ] {
            let asked = asked(&[&["--key", "demo"], &words[..]].concat());
            let question = question(&asked, r#"{"ad_set_id": "12"}"#.as_bytes());
            assert_eq!(question.unwrap(), expected, "{words:?}");
        }
        let none = question(&asked(&["--key", "demo"]), io::empty()).unwrap();
        assert_eq!(none, json!({"tool": "meta_pause", "key": "demo"}));
    }

    #[test]
    fn what_is_no_question_is_not_asked_and_no_key_is_repeated() {
        let key = "tnt_demo_5e5e5e";
        let told = refused(&["--key", key], "");
        assert!(
            told.contains("not the key itself") && !told.contains(key),
            "{told}"
        );
        let with = |json| refused(&["--key", "demo", "--arguments", json], "");
        assert_eq!(with("[]"), "--arguments: not an object");
        assert!(with("{").starts_with("--arguments: not acceptable JSON: "));
        assert!(with(r#"{"a": 1, "a": 2}"#).starts_with("--arguments: not acceptable JSON: "));
        let file = |name, stdin: &str| refused(&["--key", "demo", "-f", name], stdin);
        assert!(file("/nowhere", "").starts_with("`/nowhere`: "));
        assert_eq!(
            file("-", &" ".repeat(1 << 21)),
            "stdin: longer than 1048576 bytes"
        );
        let both = [
            "tenantry",
            "explain",
            "t",
            "--key",
            "k",
            "-f",
            "x",
            "--arguments",
            "{}",
        ];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn each_verdict_is_told_first_and_ends_in_its_own_code() {
        let stopped = |room: &str, reason: &str| json!({"room": room, "reason": reason, "message": "why\u{202e}", "remedy": "do that"});
        let approval = json!({"approval": {"approver_classes": ["finance"], "approvers": 2}});
        let other = json!({"change_id": "0123456789abcdef0123456789abcdef"});
        let no_call = json!({"verdict": "refused", "tool": "x", "actor": {"key": "demo"}});
        let mut told = String::new();
        for found in [
            change("permitted"),
            change("unchanged"),
            with(change("needs_approval"), approval),
            with(change("denied"), stopped("decide", "PolicyDenied")),
            with(change("in_progress"), other),
            with(no_call, stopped("authorize", "ScopeMissing")),
            with(change("failed"), stopped("own", "VendorUnavailable")),
            with(change("of_a_later_release"), stopped("x", "y")),
        ] {
            let answer = answered(&found, Output::Table).unwrap();
            let line = answer.text.lines().next().unwrap();
            let code = match (answer.is_good, answer.is_known) {
                (false, _) => 1,
                (true, false) => 2,
                (true, true) => 0,
            };
            let _ = writeln!(told, "{code} {line}");
        }
        insta::assert_snapshot!(tone::plain(&told));
    }

    #[test]
    fn a_change_is_told_with_what_every_rule_says_of_it() {
        let found = with(
            change("denied"),
            json!({
                "room": "decide", "reason": "PolicyDenied", "message": "a policy refuses",
                "remedy": "read `rules`", "retry_after_ms": 7_300_000,
            }),
        );
        insta::assert_snapshot!("denied", tone::plain(&page(&found, false)));
        insta::assert_snapshot!("denied_wide", tone::plain(&page(&found, true)));
    }

    #[test]
    fn a_call_that_is_stopped_early_is_told_with_whose_the_object_is() {
        let found = json!({
            "verdict": "refused", "room": "own", "reason": "NotFound",
            "message": "no campaign `12` in the accounts of this key",
            "remedy": "check the id with the list tool of this connector",
            "tool": "meta_get_campaign", "connector": "meta", "class": "read",
            "actor": {"key": "demo", "owner": "ann"}, "vendor_requests": 1,
            "object": {"kind": "campaign", "id": "12", "standing": "foreign", "account": "act_2"},
        });
        insta::assert_snapshot!("foreign", tone::plain(&page(&found, false)));
        for standing in ["unknown", "claimed"] {
            let object = json!({"kind": "campaign", "id": "12", "standing": standing});
            assert!(whose(&object).contains("the vendor"), "{standing}");
        }
    }

    #[test]
    fn what_was_left_out_is_said_beside_the_answer() {
        let found = with(
            change("permitted"),
            json!({"ignored": ["idempotency_key", "dry_run"]}),
        );
        let answer = answered(&found, Output::Json).unwrap();
        let note = answer.note.unwrap();
        assert!(
            note.starts_with("idempotency_key, dry_run was left out"),
            "{note}"
        );
        let told: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(told, found);
    }
}
