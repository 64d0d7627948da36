//! The front door: a command line in, an answer and an exit code out. A library,
//! so that tests can build the program beside themselves.

mod answer;
mod audit;
mod cli;
mod cluster;
mod columns;
mod complete;
mod input;
mod lint;
mod onboard;
mod policy;
mod render;
mod tone;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::Shell;
use jiff::Timestamp;

use answer::{Answer, Unusable};
use cli::approvals::Resolve;
use cli::audit::AuditCommand;
use cli::key::KeyCommand;
use cli::ledger::LedgerCommand;
use cli::place::Place;
use cli::policy::PolicyCommand;
use cli::{Cli, Command};
use cluster::{
    Cluster, activity, approvals, check, decide, explain, freeze, key, ledger, plan, report, status,
};
use tenantry_api::mcp_approval::ApprovalVerdict;
use tone::Color;

/// As `grep` has it: 0 is as it should be, 1 is not, 2 could not be told.
const FOUND: u8 = 1;
const COULD_NOT_TELL: u8 = 2;

/// Does what the command line of this process says.
pub fn run() -> ExitCode {
    if cli::is_completer() {
        let words = std::env::args_os().skip(1);
        let words: Vec<_> = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let completed = complete::complete(Cli::command(), &words);
        return say(&Answer::good(completed), Color::Never);
    }
    let Cli {
        command,
        color,
        place,
    } = Cli::parse();
    match answer(&command, &place) {
        Ok(answer) => say(&answer, color),
        Err(Unusable {
            reasons,
            is_refused,
        }) => {
            for reason in reasons {
                note(&format!("error: {reason}"));
            }
            ExitCode::from(if is_refused { FOUND } else { COULD_NOT_TELL })
        }
    }
}

/// What a shell reads to complete the command line.
fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tenantry", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn note(text: &str) {
    // Nobody is left to tell that stderr is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn answer(command: &Command, place: &Place) -> Result<Answer, Unusable> {
    let now = Timestamp::now();
    match command {
        Command::Policy {
            command: PolicyCommand::Test(asked),
        } => policy::test(asked, now),
        Command::Lint(asked) => lint::lint(asked),
        Command::Render(asked) => render::render(asked),
        Command::Onboard(asked) => onboard::onboard(asked),
        Command::Completion { shell } => Ok(Answer::good(completion(*shell))),
        Command::Audit {
            command: AuditCommand::Verify(asked),
        } => audit::verify(asked),
        in_cluster => {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build();
            let runtime = runtime.map_err(|error| Unusable::because(error.to_string()))?;
            // Nobody was faster: this is the first thing that happens.
            let _ = rustls::crypto::ring::default_provider().install_default();
            runtime.block_on(in_a_cluster(in_cluster, place, now))
        }
    }
}

async fn in_a_cluster(
    command: &Command,
    place: &Place,
    now: Timestamp,
) -> Result<Answer, Unusable> {
    let cluster = &Cluster::reach(place).await?;
    match command {
        Command::Approvals(asked) => approvals::list(cluster, asked, now).await,
        Command::Show(asked) => approvals::show(cluster, asked, now).await,
        Command::Approve(asked) => {
            let verdict = ApprovalVerdict::Approve;
            decide::decide(cluster, asked, verdict).await
        }
        Command::Deny(asked) => {
            let verdict = ApprovalVerdict::Deny;
            decide::decide(cluster, asked, verdict).await
        }
        Command::Resolve(Resolve {
            decision, applied, ..
        }) => {
            let verdict = if *applied {
                ApprovalVerdict::Applied
            } else {
                ApprovalVerdict::NotApplied
            };
            decide::decide(cluster, decision, verdict).await
        }
        Command::Activity(asked) => activity::activity(cluster, asked).await,
        Command::Explain(asked) => explain::explain(cluster, asked).await,
        Command::Plan(asked) => plan::plan(cluster, asked, now).await,
        Command::Status(asked) => status::status(cluster, asked, now).await,
        Command::Check(asked) => check::check(cluster, asked, now).await,
        Command::Report(asked) => report::report(cluster, asked, now).await,
        Command::Ledger {
            command: LedgerCommand::Accept(asked),
        } => ledger::accept(cluster, asked).await,
        Command::Withdraw(asked) => decide::withdraw(cluster, asked).await,
        Command::Freeze(asked) => freeze::freeze(cluster, asked).await,
        Command::Thaw(asked) => freeze::thaw(cluster, asked).await,
        Command::Key { command } => match command {
            KeyCommand::Create(asked) => key::create(cluster, asked, now).await,
            KeyCommand::List(asked) => key::list(cluster, asked, now).await,
            KeyCommand::Revoke(asked) => key::revoke(cluster, asked).await,
            KeyCommand::Rotate(asked) => key::rotate(cluster, asked, now).await,
        },
        Command::Policy { .. }
        | Command::Lint(_)
        | Command::Render(_)
        | Command::Audit { .. }
        | Command::Onboard(_)
        | Command::Completion { .. } => {
            Err(Unusable::because("this command asks nothing of a cluster"))
        }
    }
}

/// Whoever closes the pipe early, as `head` does, has read enough.
fn say(answer: &Answer, color: Color) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let written = if color.is_wanted(out.is_terminal(), |name| std::env::var_os(name)) {
        out.write_all(answer.text.as_bytes())
    } else {
        out.write_all(tone::plain(&answer.text).as_bytes())
    };
    if let Some(text) = &answer.note {
        note(text);
    }
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            note(&format!("error: writing to stdout: {error}"));
            ExitCode::from(COULD_NOT_TELL)
        }
        _ if !answer.is_good => ExitCode::from(FOUND),
        _ if !answer.is_known => ExitCode::from(COULD_NOT_TELL),
        _ => ExitCode::SUCCESS,
    }
}
