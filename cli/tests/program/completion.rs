//! Command lines that are completed, by shells and by kubectl.

use crate::program::run;

/// As kubectl calls it: by another name, which a link gives it.
#[test]
fn kubectl_is_told_what_completes_the_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("kubectl_complete-mcp");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tenantry"), &link).unwrap();
    let output = std::process::Command::new(link).args(["key", "c"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "create\n:4\n");
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
