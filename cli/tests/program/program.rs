//! The built program, and how it ended.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// How the program ended.
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it said on stdout.
    pub out: String,
    /// What it said on stderr.
    pub error: String,
}

/// Runs it from the root of the source tree.
pub fn run(arguments: &[&str]) -> Ended {
    run_with_input(arguments, b"")
}

/// The same, with something to read on stdin.
pub fn run_with_input(arguments: &[&str], input: &[u8]) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have read enough and be gone.
    let _ = child.stdin.take().unwrap().write_all(input);
    of(child.wait_with_output().unwrap())
}

/// Runs a command to its end.
pub fn ended(command: &mut Command) -> Ended {
    of(command.output().unwrap())
}

fn of(output: Output) -> Ended {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, error) = (text(output.stdout), text(output.stderr));
    assert!(!error.contains("panicked"), "{error}");
    Ended {
        code: output.status.code().unwrap(),
        out,
        error,
    }
}

impl Ended {
    /// The same with `DIR` for that folder, which has another name every time.
    #[must_use]
    pub fn without(self, dir: &Path) -> Self {
        let dir = dir.display().to_string();
        Self {
            out: self.out.replace(&dir, "DIR"),
            error: self.error.replace(&dir, "DIR"),
            code: self.code,
        }
    }
}

/// For a snapshot.
impl fmt::Display for Ended {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, out, error } = self;
        write!(to, "{out}{error}exit {code}")
    }
}
