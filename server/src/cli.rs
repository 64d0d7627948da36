//! The command line: every flag checked before anything starts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tenantry_api::label;
use tenantry_connectors::corridor::CorridorLimits;
use tracing::level_filters::LevelFilter;

use crate::report::Pod;
use crate::run::Settings;

/// Serves one organisation's business tools over MCP.
///
/// Runs in the organisation's namespace, as the operator sets it up. It obeys
/// the contract in `McpServer/server` and admits the keys in `McpApiKey`, both
/// watched; calls are answered on the MCP port under /mcp. One audit line a
/// call goes to stdout, logs go to stderr, both as JSON.
///
/// The MCP port opens when the contract is in force and the keys are known.
/// Until then, and whenever something is in the way, /readyz on the admin port
/// says what.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// Where MCP is spoken, as address:port
    #[arg(long, value_name = "ADDRESS", default_value_t = any(label::MCP_PORT), env = "TENANTRY_MCP_LISTEN")]
    pub mcp_listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are served, as address:port
    #[arg(long, value_name = "ADDRESS", default_value_t = any(label::ADMIN_PORT), env = "TENANTRY_ADMIN_LISTEN")]
    pub admin_listen: SocketAddr,

    /// Where the last audit lines are served under /activity, as address:port; loopback alone
    #[arg(long, value_name = "ADDRESS", default_value_t = loopback(label::ACTIVITY_PORT), env = "TENANTRY_ACTIVITY_LISTEN", value_parser = on_loopback)]
    pub activity_listen: SocketAddr,

    /// Folder of the connectors' Secrets: one folder a connector, with a file access_token
    #[arg(long, value_name = "DIR", default_value = label::CREDENTIALS_DIR, env = "TENANTRY_CREDENTIALS_DIR")]
    pub credentials_dir: PathBuf,

    /// Folder of connector files (*.yaml) to use instead of those of this release
    #[arg(long, value_name = "DIR", env = "TENANTRY_CONNECTORS_DIR")]
    pub connectors_dir: Option<PathBuf>,

    /// Namespace of the organisation
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", value_parser = not_empty)]
    pub namespace: String,

    /// Name of this pod; its report stands under it
    #[arg(long, value_name = "NAME", env = "POD_NAME", value_parser = not_empty)]
    pub pod_name: String,

    /// UID of this pod; tells its report from that of an earlier pod of the name
    #[arg(long, value_name = "UID", env = "POD_UID", value_parser = not_empty)]
    pub pod_uid: String,

    /// Seconds without word from the API server after which calls are refused
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(60..=3_600))]
    pub stale_after: u64,

    /// Seconds that calls in progress have to end after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=300))]
    pub drain: u64,

    /// Threads that answer requests
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub workers: u8,

    /// How much to log
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        env = "TENANTRY_LOG_LEVEL"
    )]
    pub log_level: LogLevel,
}

/// How much to log. There is no finer choice: the MCP library logs messages
/// whole at its finest level, and those hold arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What failed
    Error,
    /// And what is doubtful
    Warn,
    /// And what happened
    Info,
    /// And how
    Debug,
}

impl LogLevel {
    /// For our own modules.
    pub fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

impl Cli {
    /// What the server needs of it.
    pub fn settings(&self, boot_id: String) -> Settings {
        Settings {
            mcp_listen: self.mcp_listen,
            admin_listen: self.admin_listen,
            activity_listen: self.activity_listen,
            credentials_dir: self.credentials_dir.clone(),
            corridor_limits: CorridorLimits::PRODUCTION,
            // Meta's tokens live 60 days; a question an hour costs next to nothing.
            inspect_tokens: Some(Duration::from_hours(1)),
            stale_after: Duration::from_secs(self.stale_after),
            drain: Duration::from_secs(self.drain),
            pod: Pod {
                name: self.pod_name.clone(),
                uid: self.pod_uid.clone(),
            },
            boot_id,
        }
    }
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn on_loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "invalid socket address syntax")?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err("it must be a loopback address: what is told there is for nobody outside the pod".into())
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty; the pod's downward API should have set it".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    const POD: [&str; 7] = [
        "tenantry-server",
        "--namespace",
        "acme",
        "--pod-name",
        "server-0",
        "--pod-uid",
        "u",
    ];

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(POD).unwrap();
        assert_eq!(cli.mcp_listen.to_string(), "0.0.0.0:8080");
        assert_eq!(cli.admin_listen.to_string(), "0.0.0.0:9090");
    }

    #[test]
    fn a_wrong_flag_says_what_is_wrong() {
        for (flag, value, text) in [
            ("--mcp-listen", "8080", "invalid socket address"),
            (
                "--activity-listen",
                "0.0.0.0:9091",
                "must be a loopback address",
            ),
            ("--stale-after", "5", "5 is not in 60..=3600"),
            ("--workers", "0", "0 is not in 1..=64"),
            (
                "--log-level",
                "trace",
                "possible values: error, warn, info, debug",
            ),
            ("--pod-uid", " ", "it is empty"),
        ] {
            // The last pair is the UID, which one case gives itself.
            let pod = POD
                .into_iter()
                .take(if flag == "--pod-uid" { 5 } else { 7 });
            let error = Cli::try_parse_from(pod.chain([flag, value])).unwrap_err();
            assert!(error.to_string().contains(text), "{flag}: {error}");
        }
    }
}
