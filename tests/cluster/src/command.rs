//! Running a program to its end: what it said when it failed, and nothing else.
//! Programs that keep running belong to `component`.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Enough to see a cause, little enough to read.
const TAIL_LINES: usize = 20;

/// A program that could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not installed, or may not be run.
    #[error("cannot start `{program}`")]
    Start {
        /// The program's name.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It ran and said no.
    #[error("`{command}` failed ({status}):\n{output}")]
    Failed {
        /// The program with its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        output: String,
    },
}

/// Runs `command` to its end and returns its standard output.
pub fn run(command: &mut Command) -> Result<String, CommandError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CommandError::Start { program, source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(CommandError::Failed {
        command: line_of(command),
        status: output.status,
        output: tail(&String::from_utf8_lossy(&said)),
    })
}

/// Whether `command` runs and succeeds; for probes, where the reason is of no interest.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The last lines of a log file, or a sentence that says why there are none.
pub fn tail_of(log: &Path) -> String {
    match fs::read(log) {
        Ok(bytes) if bytes.is_empty() => format!("({} is empty)", log.display()),
        Ok(bytes) => tail(&String::from_utf8_lossy(&bytes)),
        Err(error) => format!("({} cannot be read: {error})", log.display()),
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What cargo tells a program that it runs of that program's package.
const OF_THE_PROGRAM: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];

/// Takes out of what a cargo is told what another cargo told this program. Build scripts that ask
/// whose package is built (that of `ring`, on which all TLS stands) are run again whenever the
/// answer is another one, and all that depends on them is built again.
pub fn as_from_a_shell(cargo: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let is_of_it = |name: &str| OF_THE_PROGRAM.iter().any(|begin| name.starts_with(begin));
        if name.to_str().is_some_and(is_of_it) {
            cargo.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_command_says_what_it_printed() {
        let error =
            run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("exit status: 3") && text.contains("out\nerr"),
            "{text}"
        );
    }

    #[test]
    fn missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start `no-such-program-here`");
    }

    #[test]
    fn tail_keeps_the_end() {
        let text = "early\n".repeat(50) + &"late\n".repeat(TAIL_LINES);
        assert_eq!(tail(&text), "late\n".repeat(TAIL_LINES).trim_end());
        assert_eq!(tail("one"), "one");
    }

    #[test]
    fn log_that_is_not_there_is_said() {
        assert!(tail_of(Path::new("/nowhere/at/all.log")).contains("cannot be read"));
    }
}
