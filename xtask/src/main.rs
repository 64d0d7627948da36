//! The project's own commands, `cargo xtask <command>`. One module a topic; the work itself is in
//! the crates they call.

mod bench;
mod clients;
mod cluster;
mod crds;
mod dist;
mod grants;
mod images;
mod install;
mod node;
mod target;
mod test;
mod tools;
mod tour;
mod up;
mod workspace;

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
    /// Bring up Tenantry with a sample organisation, in a Kubernetes of its own or in yours
    ///
    /// Without options a local one-node Kubernetes is made first (Linux, root);
    /// what it needs is installed and built. A second run takes up what changed.
    Up {
        /// A kubeconfig context: install there instead of into a local Kubernetes
        #[arg(long, value_name = "NAME")]
        context: Option<String>,
        /// Where that cluster pulls images from, HOST/PATH; images are pushed there with skopeo.
        /// Not needed for kind, k3d and minikube
        #[arg(long, requires = "context", value_name = "HOST/PATH")]
        registry: Option<String>,
    },
    /// Run all tests, or the tiers named
    Test {
        /// The tiers to run, in this order
        tiers: Vec<test::Tier>,
    },
    /// Measure, side by side in one run
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
    /// Write crds/ from the types
    Crds {
        /// Only say what would change, and fail if anything would
        #[arg(long)]
        check: bool,
    },
    /// Build the hand tool for people: an archive for this platform, and Krew's manifest
    ///
    /// Both stand in `dist` where cargo builds. Archives of this version from other
    /// machines that were put there before are in the manifest as well. Nothing is
    /// uploaded.
    Dist {
        /// Where the archives will be found
        #[arg(long, value_name = "URL")]
        from: String,
    },
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
        Commands::Up { context, registry } => up::up(context.as_deref(), registry.as_deref()),
        Commands::Test { tiers } => test::run(&tiers),
        Commands::Bench { bench } => bench::run(&bench),
        Commands::Crds { check } => crds::run(check),
        Commands::Dist { from } => dist::run(&from),
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
