//! The front door: a command line in, an answer and an exit code out.

mod answer;
mod audit;
mod cli;
mod input;
mod lint;
mod policy;
mod render;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use jiff::Timestamp;

use answer::{Answer, Unusable};
use cli::{AuditCommand, Cli, Command, PolicyCommand};

/// As `grep` has it: 0 is as it should be, 1 is not, 2 could not be told.
const FOUND: u8 = 1;
const COULD_NOT_TELL: u8 = 2;

fn main() -> ExitCode {
    match answer(&Cli::parse().command) {
        Ok(answer) => say(&answer),
        Err(Unusable(reasons)) => {
            for reason in reasons {
                // Nobody is left to tell that stderr is closed.
                let _ = writeln!(std::io::stderr(), "error: {reason}");
            }
            ExitCode::from(COULD_NOT_TELL)
        }
    }
}

fn answer(command: &Command) -> Result<Answer, Unusable> {
    match command {
        Command::Policy {
            command: PolicyCommand::Test(asked),
        } => policy::test(asked, Timestamp::now()),
        Command::Lint(asked) => lint::lint(asked),
        Command::Render(asked) => render::render(asked),
        Command::Audit {
            command: AuditCommand::Verify(asked),
        } => audit::verify(asked),
    }
}

/// Whoever closes the pipe early, as `head` does, has read enough.
fn say(answer: &Answer) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(answer.text.as_bytes());
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "error: writing to stdout: {error}");
            ExitCode::from(COULD_NOT_TELL)
        }
        _ if answer.is_good => ExitCode::SUCCESS,
        _ => ExitCode::from(FOUND),
    }
}
