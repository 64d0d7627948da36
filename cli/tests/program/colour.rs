//! States in colour, where somebody sees them.

use crate::program::run;

#[test]
fn states_are_in_colour_where_that_is_asked_for_and_never_for_programs() {
    let policy = ["policy", "test", "--policy", "examples/policy.yaml"];
    let plain = run(&policy);
    assert!(!plain.out.contains('\u{1b}'), "{plain}");
    let coloured = run(&[&policy[..], &["--color", "always"]].concat());
    insta::assert_snapshot!(coloured.out.replace('\u{1b}', "ESC"), @r"
        CASE                       EXPECTED  GOT    DECIDED BY
    ESC[32mokESC[0m  ads-budget/half-more       Allow     Allow  -
    ESC[32mokESC[0m  ads-budget/more-than-half  Deny      Deny   ads-budget:budget.perChange.maxIncreasePercent

    2 cases, all as expected
    ");
    assert_eq!(
        anstream::adapter::strip_str(&coloured.out).to_string(),
        plain.out
    );
    let json = run(&[&["--color=always"], &policy[..], &["--json"]].concat());
    assert!(json.code == 0 && !json.out.contains('\u{1b}'), "{json}");
    let mistaken = run(&["--color", "sometimes"]);
    assert_eq!(mistaken.code, 2);
    assert!(
        mistaken
            .error
            .contains("[possible values: auto, always, never]"),
        "{mistaken}"
    );
}

/// What a person sees who runs it in a terminal with this environment.
fn on_a_terminal(set: &str) -> String {
    let program = env!("CARGO_BIN_EXE_tenantry");
    let command = format!("{set} {program} policy test --policy examples/policy.yaml");
    let output = std::process::Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// util-linux has `script`, and so has every machine that CI runs on.
#[test]
fn a_terminal_shows_colours_unless_somebody_wants_none() {
    let seen = on_a_terminal("");
    assert!(seen.contains("\u{1b}[32mok\u{1b}[0m"), "{seen:?}");
    for unwanted in ["NO_COLOR=1", "TERM=dumb"] {
        let seen = on_a_terminal(unwanted);
        assert!(seen.contains("ok") && !seen.contains('\u{1b}'), "{seen:?}");
    }
}
