//! A new organisation, written down.

use crate::program::{Ended, run};

const ACCOUNT: &str = "meta:act_1001:EUR:Europe/Berlin";

/// With what is new every time told apart.
fn onboard(arguments: &[&str]) -> Ended {
    let first = ["onboard", "acme", "--owner", "alice@acme.example"];
    let mut ended = run(&[&first[..], arguments].concat());
    let digest = ended.out.lines().find(|line| line.contains("digest: "));
    if let Some(digest) = digest.map(str::to_owned) {
        ended.out = ended.out.replace(&digest, "  digest: DIGEST");
    }
    if let Some((note, _)) = ended.error.split_once("tnt_agent_") {
        ended.error = format!("{note}tnt_agent_KEY\n");
    }
    ended
}

/// What it writes is without findings, and has the key that is shown.
fn is_sound(arguments: &[&str]) {
    let first = ["onboard", "acme", "--owner", "alice@acme.example"];
    let ended = run(&[&first[..], arguments].concat());
    assert_eq!(ended.code, 0, "{ended}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("acme.yaml");
    std::fs::write(&file, &ended.out).unwrap();
    let found = run(&["lint", file.to_str().unwrap()]);
    assert_eq!(found.code, 0, "{found}");
    let key = ended.error.trim().rsplit(' ').next().unwrap();
    let key = tenantry_core::key::ApiKey::parse(key).unwrap();
    assert!(ended.out.contains(&key.digest().to_string()), "{ended}");
}

#[test]
fn an_organisation_that_reads_is_written_whole() {
    let arguments = [
        "--account",
        ACCOUNT,
        "--account",
        "meta:act_1002:TWD:Asia/Taipei",
    ];
    insta::assert_snapshot!(onboard(&arguments));
    is_sound(&arguments);
}

#[test]
fn an_organisation_that_changes_things_has_a_policy_and_who_agrees() {
    let write = [
        "--access",
        "read-write",
        "--approvers",
        "acme: \"marketing\"",
    ];
    let more = [
        "--account",
        "meta:act_1002:TWD:Asia/Taipei",
        "--operator-namespace",
        "platform",
    ];
    let arguments = [&["--account", ACCOUNT], &write[..], &more[..]].concat();
    insta::assert_snapshot!(onboard(&arguments));
    is_sound(&arguments);
}

#[test]
fn what_would_be_no_organisation_is_refused_in_words() {
    let bad = |arguments: &[&str]| onboard(arguments).to_string();
    let told = [
        bad(&[]),
        bad(&["--account", "meta:act_1001"]),
        bad(&["--account", "meta:act_1001:eur:Europe/Berlin"]),
        bad(&["--account", "meta:act_1001:EUR:Europe/Berlin:x"]),
        bad(&["--account", ACCOUNT, "--account", ACCOUNT]),
        bad(&["--account", ACCOUNT, "--key", "Agent"]),
        bad(&["--account", ACCOUNT, "--operator-namespace", "a\nb: c"]),
    ];
    insta::assert_snapshot!(told.join("\n---\n"));
}

#[test]
fn every_shell_is_completed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(&["completion", shell]);
        assert_eq!((ended.code, ended.error.as_str()), (0, ""), "{shell}");
        for word in ["approvals", "operator-namespace"] {
            assert!(ended.out.contains(word), "{shell}: no `{word}`");
        }
    }
}
