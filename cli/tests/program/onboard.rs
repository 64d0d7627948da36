//! A new organisation, written down.

use crate::program::{Ended, run};

const ACCOUNT: &str = "meta:act_1001:EUR:Europe/Berlin";

fn onboard(arguments: &[&str]) -> Ended {
    run(&[&["onboard"], arguments].concat())
}

/// What it writes is without findings, and what it suggests works.
fn is_sound(arguments: &[&str], has_policy: bool) {
    let ended = onboard(arguments);
    assert_eq!((ended.code, ended.error.as_str()), (0, ""), "{ended}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("acme.yaml");
    std::fs::write(&file, &ended.out).unwrap();
    let file = file.to_str().unwrap();
    let found = run(&["lint", file]);
    assert_eq!(found.code, 0, "{found}");
    let tried = run(&["policy", "test", "--policy", file]);
    assert_eq!(tried.code == 0, has_policy, "{tried}");
}

#[test]
fn an_organisation_that_reads_is_written_whole() {
    let more = ["--account", "meta:act_1002:TWD:Asia/Taipei"];
    let arguments = [&["acme", "--account", ACCOUNT], &more[..]].concat();
    insta::assert_snapshot!(onboard(&arguments));
    is_sound(&arguments, false);
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
    let arguments = [&["acme", "--account", ACCOUNT], &write[..], &more[..]].concat();
    insta::assert_snapshot!(onboard(&arguments));
    is_sound(&arguments, true);
}

/// Names that some readers of YAML take for truth values or numbers.
#[test]
fn a_name_is_a_text_to_every_reader() {
    for name in ["no", "y", "on", "007", "1e3", "360"] {
        let arguments = [name, "--account", ACCOUNT, "--operator-namespace", name];
        is_sound(&arguments, false);
        let ended = onboard(&arguments);
        let places = ended.out.lines().filter(|line| {
            let key = line.trim_start().trim_start_matches("- ");
            ["name:", "namespace:", "organization:"]
                .iter()
                .any(|place| key.starts_with(place))
        });
        let plain: Vec<_> = places
            .filter(|line| line.ends_with(&format!(" {name}")))
            .collect();
        assert!(plain.is_empty(), "{plain:?}");
    }
}

#[test]
fn what_would_be_no_organisation_is_refused_in_words() {
    let bad = |arguments: &[&str]| onboard(&[&["acme"], arguments].concat()).to_string();
    let told = [
        bad(&[]),
        bad(&["--account", "meta:act_1001"]),
        bad(&["--account", "meta:act_1001:eur:Europe/Berlin"]),
        bad(&["--account", "meta:act_1001:EUR:Europe/Berlin:x"]),
        bad(&["--account", ACCOUNT, "--account", ACCOUNT]),
        bad(&["--account", ACCOUNT, "--operator-namespace", "a\nb: c"]),
    ];
    insta::assert_snapshot!(told.join("\n---\n"));
}
