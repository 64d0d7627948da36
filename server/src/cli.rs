//! The command line: every flag checked before anything starts.

mod postgres;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::ArgPredicate;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum};
use tenantry_api::label;
use tenantry_connectors::corridor::{CorridorLimits, is_bare};
use tenantry_core::name::ConnectorName;
use tenantry_ledger::place::{LEAST_FREE_BYTES, Place, PostgresPlace, SqlitePlace};
use tracing::level_filters::LevelFilter;
use url::Url;

use crate::credentials::Credentials;
use crate::exposure;
use crate::notify::{self, address::Addresses};
use crate::report::Pod;
use crate::run::Settings;
use crate::settler::Pace;

/// Between looks at a change of which nobody knows what became: a fraction of
/// the quiet times of vendors, and few requests.
const SETTLE_EVERY: Duration = Duration::from_secs(10);

/// Serves one organisation's business tools over MCP.
///
/// Runs in the organisation's namespace, as the operator sets it up. It obeys
/// the contract in `McpServer/server` and admits the keys in `McpApiKey`, both
/// watched; calls are answered on the MCP port under /mcp. One audit line a
/// call goes to stdout, logs go to stderr, both as JSON.
///
/// With --dir it needs no cluster: the same documents in a folder take its
/// place, and changes to them are taken up within seconds. The ports are open
/// to this machine alone then, unless they are said.
///
/// The MCP port opens when the contract is in force and the keys are known.
/// Until then, and whenever something is in the way, /readyz on the admin port
/// says what.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// Serve the organisation in this folder, or file, instead of one in a cluster
    ///
    /// It holds what `kubectl apply` would take: one McpTenant, its McpApiKeys,
    /// McpFreezes, SafetyPolicies and Secrets, in *.yaml, *.yml or *.json. Other
    /// kinds say nothing here. Other files are a mistake, but for hidden ones and *.md.
    #[arg(long, value_name = "PATH", env = "TENANTRY_DIR")]
    pub dir: Option<PathBuf>,

    /// With --dir: reach a connector at this address instead of the vendor's, as meta=http://HOST:PORT
    #[arg(long, value_name = "CONNECTOR=URL", requires = "dir", value_parser = sandbox_base_url)]
    pub sandbox_base_url: Vec<(ConnectorName, String)>,

    /// With --dir: write the server's report to this file too, as JSON; outside the folder
    #[arg(long, value_name = "FILE", requires = "dir")]
    pub report_file: Option<PathBuf>,

    /// Where MCP is spoken, as address:port [default: 0.0.0.0:8080, with --dir 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "TENANTRY_MCP_LISTEN")]
    pub mcp_listen: Option<SocketAddr>,

    /// Where /livez, /readyz and /metrics are served [default: 0.0.0.0:9090, with --dir 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS", env = "TENANTRY_ADMIN_LISTEN")]
    pub admin_listen: Option<SocketAddr>,

    /// Where the last audit lines are served under /activity, as address:port; loopback alone
    #[arg(long, value_name = "ADDRESS", default_value_t = loopback(label::ACTIVITY_PORT), env = "TENANTRY_ACTIVITY_LISTEN", value_parser = on_loopback)]
    pub activity_listen: SocketAddr,

    /// Folder of the connectors' Secrets: one folder a connector, with a file access_token
    /// [default: /var/run/tenantry/credentials, with --dir the Secrets among the documents]
    #[arg(long, value_name = "DIR", env = "TENANTRY_CREDENTIALS_DIR")]
    pub credentials_dir: Option<PathBuf>,

    /// Folder of the Secrets of notifications: one folder a destination, with files url and secret
    /// [default: /var/run/tenantry/notifications, with --dir the Secrets among the documents]
    #[arg(long, value_name = "DIR", env = "TENANTRY_NOTIFICATIONS_DIR")]
    pub notifications_dir: Option<PathBuf>,

    /// Folder of the ledger, in which keys, reservations and what became of changes are kept
    ///
    /// It is on a disk of this machine and nobody else's. Without it no tool
    /// that changes something can be used. [default: /var/lib/tenantry, with
    /// --dir none]
    #[arg(long, value_name = "DIR", env = "TENANTRY_LEDGER_DIR")]
    pub ledger_dir: Option<PathBuf>,

    /// File that names a PostgreSQL database for the ledger instead of a folder
    ///
    /// JSON: host (or the folder of its socket), port, database, user,
    /// passwordFile, and rootsFile with the authorities of its certificate,
    /// which only a socket does without. The role is the organisation's alone.
    #[arg(long, value_name = "FILE", env = "TENANTRY_LEDGER_POSTGRES", conflicts_with = "ledger_dir", value_parser = postgres::place)]
    pub ledger_postgres: Option<PostgresPlace>,

    /// Folder of the journal, which has what is switched off while the ledger cannot be written to
    ///
    /// It is on a disk of this machine, which need not be the ledger's.
    /// [default: the folder of the ledger, with --ledger-postgres none]
    #[arg(long, value_name = "DIR", env = "TENANTRY_JOURNAL_DIR")]
    pub journal_dir: Option<PathBuf>,

    /// Folder of connector files (*.yaml) to use instead of those of this release
    #[arg(long, value_name = "DIR", env = "TENANTRY_CONNECTORS_DIR")]
    pub connectors_dir: Option<PathBuf>,

    /// Namespace of the organisation; with --dir the McpTenant says it
    // clap's own `conflicts_with` would lift the `requires = "dir"` of others.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", value_parser = not_empty, required_unless_present = "dir")]
    pub namespace: Option<String>,

    /// Name of this pod; its report stands under it
    #[arg(long, value_name = "NAME", env = "POD_NAME", value_parser = not_empty, required = false, required_unless_present = "dir", default_value_if("dir", ArgPredicate::IsPresent, "local"))]
    pub pod_name: String,

    /// UID of this pod; tells its report from that of an earlier pod of the name
    #[arg(long, value_name = "UID", env = "POD_UID", value_parser = not_empty, required = false, required_unless_present = "dir", default_value_if("dir", ArgPredicate::IsPresent, "local"))]
    pub pod_uid: String,

    /// Seconds without word from the API server, or sight of the folder, after which calls are refused
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
    /// The command line, unless its flags contradict each other.
    pub fn checked(self) -> Result<Self, clap::Error> {
        let conflict = |message: String| {
            let mut command = Self::command();
            Err(command.error(ErrorKind::ArgumentConflict, message))
        };
        if self.dir.is_some() && self.namespace.is_some() {
            return conflict(
                "with --dir the McpTenant says its namespace; leave out --namespace (POD_NAMESPACE)"
                    .into(),
            );
        }
        let mut seen = BTreeSet::new();
        for (connector, _) in &self.sandbox_base_url {
            // Whichever address were taken, the other was meant.
            if !seen.insert(connector) {
                return conflict(format!(
                    "--sandbox-base-url names the connector `{connector}` more than once; leave one address"
                ));
            }
        }
        Ok(self)
    }

    /// What the server needs of it. The credentials are those given unless a
    /// folder was named.
    pub fn settings(&self, credentials: Credentials, boot_id: String) -> Settings {
        let listen = |said: Option<SocketAddr>, port| said.unwrap_or_else(|| self.listen(port));
        let named = self.credentials_dir.clone().map(Credentials::Dir);
        let addresses = self.addresses(&credentials);
        Settings {
            mcp_listen: listen(self.mcp_listen, label::MCP_PORT),
            admin_listen: listen(self.admin_listen, label::ADMIN_PORT),
            activity_listen: self.activity_listen,
            credentials: named.unwrap_or(credentials),
            ledger: self.ledger(),
            journal: self.journal(),
            settle: Pace {
                every: SETTLE_EVERY,
                credit: Duration::ZERO,
            },
            exposure: exposure::Pace::PRODUCTION,
            notify: notify::Settings {
                addresses,
                namespace: self.namespace.clone(),
                pace: notify::pace::Pace::PRODUCTION,
            },
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

    /// The Secrets of destinations are beside those of connectors, unless a folder
    /// was named.
    fn addresses(&self, credentials: &Credentials) -> Addresses {
        match (&self.notifications_dir, credentials) {
            (Some(dir), _) => Addresses::Dir(dir.clone()),
            (None, Credentials::Held(held)) => Addresses::Held(Arc::clone(held)),
            (None, Credentials::Dir(_)) => Addresses::Dir(label::NOTIFICATIONS_DIR.into()),
        }
    }

    fn ledger(&self) -> Option<Place> {
        if let Some(place) = &self.ledger_postgres {
            return Some(Place::Postgres(place.clone()));
        }
        Some(Place::Sqlite(SqlitePlace {
            path: self.folder()?.join("ledger.db"),
            least_free_bytes: LEAST_FREE_BYTES,
        }))
    }

    fn journal(&self) -> Option<PathBuf> {
        let dir = self.journal_dir.clone().or_else(|| self.folder())?;
        Some(dir.join("ledger.journal"))
    }

    /// Of a ledger in a file. In a cluster the operator mounts a volume for it.
    fn folder(&self) -> Option<PathBuf> {
        let has_folder = self.ledger_postgres.is_none();
        let mounted = self.dir.is_none().then(|| label::LEDGER_DIR.into());
        let folder = self.ledger_dir.clone().or(mounted);
        folder.filter(|_| has_folder)
    }

    /// In a cluster, network policies decide who comes; elsewhere nobody does.
    fn listen(&self, port: u16) -> SocketAddr {
        let address = match self.dir {
            None => Ipv4Addr::UNSPECIFIED,
            Some(_) => Ipv4Addr::LOCALHOST,
        };
        SocketAddr::new(IpAddr::V4(address), port)
    }
}

fn sandbox_base_url(text: &str) -> Result<(ConnectorName, String), String> {
    let (connector, url) = text
        .split_once('=')
        .ok_or("it has the form CONNECTOR=URL, such as meta=http://127.0.0.1:8081")?;
    let connector = ConnectorName::parse(connector).map_err(|error| error.to_string())?;
    let parsed = Url::parse(url).map_err(|error| format!("`{url}` is no URL: {error}"))?;
    if !is_bare(&parsed) {
        // Without the URL: it may hold a password.
        return Err(
            "the URL is a bare http(s)://HOST[:PORT], without user, path, query and fragment"
                .into(),
        );
    }
    Ok((connector, url.to_owned()))
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
    use std::sync::Arc;

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

    /// The folder of the credentials; empty where they are held.
    fn dir(settings: &Settings) -> &str {
        match &settings.credentials {
            Credentials::Dir(dir) => dir.to_str().unwrap(),
            Credentials::Held(_) => "",
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(POD).unwrap();
        let settings = cli.settings(Credentials::Dir("/credentials".into()), "boot".into());
        assert_eq!(settings.mcp_listen.to_string(), "0.0.0.0:8080");
        assert_eq!(settings.admin_listen.to_string(), "0.0.0.0:9090");
        assert_eq!(dir(&settings), "/credentials");
    }

    #[test]
    fn with_a_folder_no_pod_is_needed_and_the_ports_are_this_machines() {
        let command = ["tenantry-server", "--dir", "examples/acme"];
        let cli = Cli::try_parse_from(command).unwrap();
        let settings = cli.settings(Credentials::Held(Arc::default()), "boot".into());
        assert_eq!(settings.mcp_listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.admin_listen.to_string(), "127.0.0.1:9090");
        assert_eq!(settings.pod.name, "local");
        assert_eq!(dir(&settings), "");
        let more = [
            "--mcp-listen",
            "0.0.0.0:1",
            "--credentials-dir",
            "/other",
            "--sandbox-base-url",
            "meta=http://127.0.0.1:8081",
        ];
        let cli = Cli::try_parse_from(command.into_iter().chain(more)).unwrap();
        let settings = cli.settings(Credentials::Held(Arc::default()), "boot".into());
        assert_eq!(settings.mcp_listen.to_string(), "0.0.0.0:1");
        assert_eq!(dir(&settings), "/other");
        assert_eq!(cli.sandbox_base_url[0].1, "http://127.0.0.1:8081");
    }

    /// The folder of the destinations' Secrets; empty where they are held.
    fn destinations(more: &[&str], credentials: Credentials) -> String {
        let cli = Cli::try_parse_from(POD.iter().chain(more)).unwrap();
        match cli.settings(credentials, "boot".into()).notify.addresses {
            Addresses::Dir(dir) => dir.to_str().unwrap().into(),
            Addresses::Held(_) => String::new(),
        }
    }

    #[test]
    fn the_secrets_of_destinations_are_beside_those_of_connectors_or_where_it_is_said() {
        let mounted = || Credentials::Dir("/credentials".into());
        let held = || Credentials::Held(Arc::default());
        assert_eq!(destinations(&[], mounted()), label::NOTIFICATIONS_DIR);
        assert_eq!(destinations(&[], held()), "");
        for credentials in [mounted(), held()] {
            let said = ["--notifications-dir", "/other"];
            assert_eq!(destinations(&said, credentials), "/other");
        }
    }

    #[test]
    fn neither_a_pod_nor_a_folder_is_refused_and_so_is_a_sandbox_in_a_cluster() {
        let error = Cli::try_parse_from(["tenantry-server"]).unwrap_err();
        assert!(error.to_string().contains("--namespace"), "{error}");
        let sandbox = ["--sandbox-base-url", "meta=http://127.0.0.1:1"];
        let error = Cli::try_parse_from(POD.into_iter().chain(sandbox)).unwrap_err();
        assert!(error.to_string().contains("--dir"), "{error}");
    }

    #[test]
    fn a_sandbox_is_one_bare_address_for_each_connector() {
        let flag = |text: &&str| format!("--sandbox-base-url={text}");
        let parse = |texts: &[&str]| {
            let command = ["tenantry-server", "--dir", "."].map(str::to_owned);
            let cli = Cli::try_parse_from(command.into_iter().chain(texts.iter().map(flag)));
            cli.and_then(Cli::checked)
        };
        for bad in [
            "meta",
            "Meta=http://h",
            "meta=ftp://h",
            "meta=nowhere",
            "meta=http://user@h",
            "meta=http://user:password@h",
            "meta=http://h/base",
            "meta=http://h?q",
            "meta=http://h#f",
        ] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        assert!(parse(&["meta=http://a", "google=http://b"]).is_ok());
        let error = parse(&["meta=http://a", "meta=http://b"]).unwrap_err();
        let told =
            "--sandbox-base-url names the connector `meta` more than once; leave one address";
        assert!(error.to_string().contains(told), "{error}");
    }

    #[test]
    fn the_journal_is_beside_the_ledger_or_where_it_is_said() {
        let journal = |more: &[&str]| {
            let command = ["tenantry-server", "--dir", "."];
            let command = command.iter().chain(more).copied();
            let cli = Cli::try_parse_from(command).unwrap();
            cli.journal().map(|path| path.display().to_string())
        };
        assert_eq!(journal(&[]), None);
        let told = |path: &str| Some(path.to_owned());
        let beside = ["--ledger-dir", "/l"];
        assert_eq!(journal(&beside), told("/l/ledger.journal"));
        let elsewhere = ["--ledger-dir", "/l", "--journal-dir", "/j"];
        assert_eq!(journal(&elsewhere), told("/j/ledger.journal"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("postgres.json");
        let place = r#"{"host": "/run/postgresql", "port": 5432, "database": "d", "user": "u"}"#;
        std::fs::write(&file, place).unwrap();
        let postgres = ["--ledger-postgres", file.to_str().unwrap()];
        assert_eq!(journal(&postgres), None);
        let with_journal = [postgres[0], postgres[1], "--journal-dir", "/j"];
        assert_eq!(journal(&with_journal), told("/j/ledger.journal"));
        let cli = Cli::try_parse_from(POD).unwrap();
        let mounted = cli.journal().unwrap();
        assert!(mounted.starts_with(label::LEDGER_DIR), "{mounted:?}");
    }

    #[test]
    fn what_a_folder_says_itself_is_not_said_beside_it() {
        let folder = ["tenantry-server", "--dir", "."];
        let cli = Cli::try_parse_from(folder.into_iter().chain(["--namespace", "acme"])).unwrap();
        let error = cli.checked().unwrap_err();
        assert!(
            error.to_string().contains("leave out --namespace"),
            "{error}"
        );
        // These name the replica in the report, with a folder as well.
        let named = ["--pod-name", "mine", "--pod-uid", "1"];
        let cli = Cli::try_parse_from(folder.into_iter().chain(named)).unwrap();
        assert_eq!(cli.checked().unwrap().pod_name, "mine");
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
