//! The project's own commands, `cargo xtask <command>`. One module a topic; the work itself is in
//! the crates they call.

mod cluster;
mod node;
mod tools;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tenantry's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Subcommand)]
enum Commands {
    /// Bring up a local Kubernetes (root; installs and builds what it needs)
    Up,
    /// Take the local Kubernetes down; nothing of it is left
    Down,
    /// Say whether the local Kubernetes runs, and what is left of it if not
    Status,
    /// Build the local Kubernetes' programs without starting anything
    Tools,
    /// Run kubectl against the local Kubernetes
    #[command(disable_help_flag = true)]
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run helm against the local Kubernetes
    #[command(disable_help_flag = true)]
    Helm {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Pid 1 of the local Kubernetes' node
    #[command(hide = true)]
    NodeInit,
    /// What pid 1 starts
    #[command(hide = true)]
    NodeRun { control_plane: String },
    /// Becomes a program that needs another /proc
    #[command(hide = true)]
    NodeAgent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        line: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Commands) -> Result<ExitCode> {
    match command {
        Commands::Up => up::up(),
        Commands::Down => cluster::down(),
        Commands::Status => Ok(cluster::status()),
        Commands::Tools => tools::build(),
        Commands::Kubectl { args } => tools::kubectl(&args),
        Commands::Helm { args } => tools::helm(&args),
        Commands::NodeInit => node::init(),
        Commands::NodeRun { control_plane } => node::run(&control_plane),
        Commands::NodeAgent { line } => node::agent(&line),
    }
}
