//! The command line.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use jiff::Timestamp;
use tenantry_api::mcp_freeze::FrozenAccess;
use tenantry_core::digest::Digest;
use tenantry_core::key::Scope;
use tenantry_core::name::is_dns_label;

use crate::cluster::Output;

/// Decides what waits, makes keys and freezes; tries policies, checks documents and proves audit logs.
///
/// As `kubectl mcp` it is a plugin of kubectl. Commands that work in a cluster
/// do so with the rights of whoever runs them; policy, lint, render and audit
/// read files and ask nothing of a network. Every command exits with 0 when all
/// is as it should be or what was asked for is done, 1 when it is not, and 2
/// when that could not be told.
#[derive(Debug, Parser)]
#[command(name = "tenantry", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the changes that wait for people
    Approvals(ListApprovals),
    /// Show all of one of them
    Show(ShowApproval),
    /// Say yes to a change, in your own name
    Approve(Decision),
    /// Say no to a change, which is final
    Deny(Decision),
    /// Say what became of a change that was sent and that nobody else can tell, in your own name
    Resolve(Resolve),
    /// Take back a change that you have asked for
    Withdraw(Withdraw),
    /// Stop an organisation, a connector or an account of it
    Freeze(Freeze),
    /// Lift a freeze
    Thaw(Thaw),
    /// Make, list, revoke and replace the keys of AI clients
    Key {
        /// What with them.
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Say what agents have called and changed, and what is left of the limits
    Activity(Activity),
    /// Say what an edit of policies would change: whom they bind, and what of the past would have been decided otherwise
    Plan(Plan),
    /// Say how an organisation is, and what needs somebody
    Status(Status),
    /// Look whether what keeps organisations apart is there and works
    Check(Check),
    /// Put together what somebody needs who helps from afar
    Report(Report),
    /// Decide what becomes of a ledger that is not the one that was expected
    Ledger {
        /// What with it.
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// Write the whole YAML of a new organisation, to be read, kept and applied
    Onboard(Onboard),
    /// Try safety policies before they are applied
    Policy {
        /// What with them.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Check documents as API server and operator would
    Lint(Lint),
    /// Print the contract that the operator makes of an McpTenant
    Render(Render),
    /// Prove the record of a server
    Audit {
        /// What with it.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Write what completes this command line in a shell
    #[command(after_help = COMPLETION)]
    Completion {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

const COMPLETION: &str = "\
Examples:
  source <(tenantry completion bash)
  tenantry completion zsh > \"${fpath[1]}/_tenantry\"
  tenantry completion fish > ~/.config/fish/completions/tenantry.fish

kubectl completes `kubectl mcp` by itself where this program is on the PATH as
kubectl_complete-mcp as well: ln -s tenantry /usr/local/bin/kubectl_complete-mcp";

/// The name under which kubectl calls a plugin.
const PLUGIN: &str = "kubectl-mcp";

/// The name under which it asks what completes the plugin's command line.
const COMPLETER: &str = "kubectl_complete-mcp";

/// What a person calls this program: a plugin of kubectl is called by kubectl.
pub fn program() -> &'static str {
    if is_called(PLUGIN) {
        "kubectl mcp"
    } else {
        "tenantry"
    }
}

/// Whether kubectl only asks what completes a command line.
pub fn is_completer() -> bool {
    is_called(COMPLETER)
}

fn is_called(name: &str) -> bool {
    let called = std::env::args_os().next().map(PathBuf::from);
    called.as_deref().and_then(Path::file_stem) == Some(OsStr::new(name))
}

/// Which cluster, and where in it.
#[derive(Debug, Args)]
pub struct Place {
    /// The namespace of the organisation [default: that of the context]
    #[arg(short, long, value_name = "NS")]
    pub namespace: Option<String>,

    /// The context of the kubeconfig [default: the present one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// The kubeconfig [default: what KUBECONFIG names, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Stand in for this user, as kubectl does; needs the verb impersonate
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,

    /// In this group; may be repeated
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    pub groups: Vec<String>,
}

impl Place {
    /// The flags that lead to this cluster and `namespace` once more.
    pub fn again(&self, namespace: &str) -> String {
        let kubeconfig = self.kubeconfig.as_ref();
        let kubeconfig = kubeconfig.map(|path| path.display().to_string());
        let mut text = format!("-n {}", word(namespace));
        for (flag, values) in [
            ("--context", self.context.as_slice()),
            ("--kubeconfig", kubeconfig.as_slice()),
            ("--as", self.user.as_slice()),
            ("--as-group", &self.groups),
        ] {
            for value in values {
                text = format!("{text} {flag} {}", word(value));
            }
        }
        text
    }
}

/// A text as a shell takes it for one word.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// `tenantry approvals`.
#[derive(Debug, Args)]
pub struct ListApprovals {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,

    /// Those that have ended as well
    #[arg(long)]
    pub all: bool,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `tenantry show`.
#[derive(Debug, Args)]
pub struct ShowApproval {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Which, as `tenantry approvals` names it
    #[arg(value_name = "NAME")]
    pub name: String,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `tenantry approve` and `tenantry deny`.
///
/// A decision is made in your own name and stays. Saying the same once more
/// changes nothing.
#[derive(Debug, Args)]
pub struct Decision {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Which, as `tenantry approvals` names it
    #[arg(value_name = "NAME")]
    pub name: String,

    /// For this class of approvers alone; may be repeated [default: all that are asked]
    #[arg(long = "class", value_name = "CLASS")]
    pub classes: Vec<String>,

    /// Why, for the record and for who asked
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,

    /// Wait for what becomes of it, 60 seconds or so many; exit with 1 if it is not what you said, with 2 if it is not known by then
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "60", value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub wait: Option<u64>,
}

/// `tenantry resolve`.
///
/// Look at the object at the vendor first: what you say frees the money of the
/// change, or counts it. Nothing is sent again.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("finding").required(true).args(["applied", "not_applied"])))]
pub struct Resolve {
    /// Which, for whom and why.
    #[command(flatten)]
    pub decision: Decision,

    /// The vendor made the change
    #[arg(long)]
    pub applied: bool,

    /// The vendor did not make it
    #[arg(long)]
    pub not_applied: bool,
}

/// `tenantry withdraw`.
#[derive(Debug, Args)]
pub struct Withdraw {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Which, as `tenantry approvals` names it
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `tenantry activity`.
///
/// The changes of the organisation, the newest first, by a port-forward to its
/// server: that takes the verbs get and create on pods/portforward with its name.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").args(["calls", "limits", "change"])))]
pub struct Activity {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// The last calls instead, refused ones and reads as well
    #[arg(long)]
    pub calls: bool,

    /// What binds changes of each account, and how much of it is left
    #[arg(long, conflicts_with_all = ["tool", "account", "object", "progress", "outcome", "key", "after"])]
    pub limits: bool,

    /// All that is known of this change
    #[arg(long, value_name = "ID", conflicts_with_all = ["tool", "account", "object", "progress", "outcome", "key", "after"])]
    pub change: Option<String>,

    /// Of this tool alone
    #[arg(long, value_name = "NAME")]
    pub tool: Option<String>,

    /// In this account alone
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,

    /// Changes of this object alone
    #[arg(long, value_name = "ID", conflicts_with = "calls")]
    pub object: Option<String>,

    /// Changes that have come so far: pending, executing, reserved, sending, unknown, needs_human, applied or not_applied
    #[arg(long, value_name = "WORD", conflicts_with = "calls")]
    pub progress: Option<String>,

    /// Calls that ended so: done, refused, failed, pending_approval and so on
    #[arg(long, value_name = "WORD", requires = "calls")]
    pub outcome: Option<String>,

    /// Calls with this API key
    #[arg(long, value_name = "NAME", requires = "calls")]
    pub key: Option<String>,

    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,

    /// Changes behind an earlier page, as it says
    #[arg(long, value_name = "PLACE", conflicts_with = "calls")]
    pub after: Option<String>,

    /// Ask this pod alone [default: those that report, or server-0]
    #[arg(long, value_name = "NAME")]
    pub pod: Option<String>,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `tenantry plan`.
///
/// Decides over the changes that the ledger has once more, by the policies in
/// force and by those with the edit, each on what had happened before it. What was
/// denied outright is not kept, so it is not among them. Exits with 1 if any of
/// them would have been decided otherwise.
#[derive(Debug, Args)]
pub struct Plan {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Files with the SafetyPolicies as they shall be
    #[arg(value_name = "FILE", required_unless_present = "without")]
    pub policy: Vec<PathBuf>,

    /// As if this policy in force were not there, by the name that refusals give it; may be repeated
    #[arg(long, value_name = "POLICY")]
    pub without: Vec<String>,

    /// The last so many changes
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,

    /// Ask this pod alone [default: those that report, or server-0]
    #[arg(long, value_name = "NAME")]
    pub pod: Option<String>,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `tenantry freeze`.
///
/// It holds as soon as the server has heard of it, and for as long as the
/// McpFreeze is there.
#[derive(Debug, Args)]
pub struct Freeze {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Why; clients that are refused read it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// What is still allowed
    #[arg(long, value_enum, default_value_t)]
    pub access: Access,

    /// This connector alone
    #[arg(long, value_name = "CONNECTOR")]
    pub connector: Option<String>,

    /// This account of it alone
    #[arg(long, value_name = "ID", requires = "connector")]
    pub account: Option<String>,

    /// The name of the McpFreeze [default: what it covers]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// What a freeze still allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Access {
    /// Reads, and switching off
    #[default]
    Frozen,
    /// Reads
    ReadOnly,
    /// Nothing
    Disabled,
}

impl Access {
    /// For a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::ReadOnly => "read-only",
            Self::Disabled => "disabled",
        }
    }
}

impl From<Access> for FrozenAccess {
    fn from(access: Access) -> Self {
        match access {
            Access::Frozen => Self::Frozen,
            Access::ReadOnly => Self::ReadOnly,
            Access::Disabled => Self::Disabled,
        }
    }
}

/// `tenantry thaw`.
#[derive(Debug, Args)]
pub struct Thaw {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// The name of the McpFreeze
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `tenantry status`.
///
/// Exits with 0 while the organisation is Ready, with 1 while it is not, and with
/// 2 while the operator has not said so of what stands in the McpTenant now.
#[derive(Debug, Args)]
pub struct Status {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `tenantry check`.
///
/// Definitions, admission policies and their bindings, the operator, and of the
/// organisation in the namespace its conditions and whether its audit lines are
/// written. Exits with 1 if something is wrong, and with 2 if nothing is and not
/// all of it could be told. It needs the right to list
/// customresourcedefinitions, validatingadmissionpolicies, their bindings, the
/// operator's deployments and the organisation's mcptenants, and to get pods/log.
#[derive(Debug, Args)]
pub struct Check {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Where the operator runs
    #[arg(long, value_name = "NS", default_value = "tenantry-system", value_parser = label)]
    pub operator_namespace: String,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `tenantry report`.
///
/// Prints YAML to stdout: what `check` says, and the objects, events and logs of
/// the organisation and the operator, as far as whoever asks may read them. No
/// Secret is read; digests of keys, arguments of calls, values of environment
/// variables and audit lines are left out.
#[derive(Debug, Args)]
pub struct Report {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Where the operator runs
    #[arg(long, value_name = "NS", default_value = "tenantry-system", value_parser = label)]
    pub operator_namespace: String,
}

/// What to do with a ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Accept the ledger that was found in the place of the one that was expected
    Accept(AcceptLedger),
}

/// `tenantry ledger accept`.
///
/// Without a word it says what was found, what was expected, and the word that
/// accepts it.
#[derive(Debug, Args)]
pub struct AcceptLedger {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// The word that names what was found and what was expected
    #[arg(value_name = "WORD")]
    pub word: Option<String>,
}

/// `tenantry onboard`.
///
/// Prints to stdout what one `kubectl apply` takes: the namespace, the way in for
/// the operator, the McpTenant, and with read-write a policy to begin with and who
/// agrees to what is large. No secret stands in it; `tenantry key create` makes the
/// keys of its clients.
#[derive(Debug, Args)]
#[command(after_help = ONBOARD)]
pub struct Onboard {
    /// The organisation, which is its namespace as well
    #[arg(value_name = "NAME", value_parser = label)]
    pub name: String,

    /// An account that its agents may touch; may be repeated
    #[arg(long = "account", value_name = "CONNECTOR:ID:CURRENCY:TIMEZONE", required = true, value_parser = Account::parse)]
    pub accounts: Vec<Account>,

    /// What its agents may do
    #[arg(long, value_enum, default_value_t)]
    pub access: OnboardAccess,

    /// The group that agrees to what is large; without it nobody may, until you grant it
    #[arg(long, value_name = "GROUP")]
    pub approvers: Option<String>,

    /// Where the operator runs
    #[arg(long, value_name = "NS", default_value = "tenantry-system", value_parser = label)]
    pub operator_namespace: String,
}

const ONBOARD: &str = "\
Examples:
  tenantry onboard acme --account meta:act_1001:EUR:Europe/Berlin > acme.yaml
  tenantry onboard acme --account meta:act_1001:EUR:Europe/Berlin \\
    --access read-write --approvers acme-marketing > acme.yaml";

/// A name that a namespace can have (RFC 1123).
fn label(text: &str) -> Result<String, String> {
    is_dns_label(text, 63)
        .then(|| text.to_owned())
        .ok_or_else(|| {
            "a name is 1 to 63 of a-z, 0-9 and `-`, and neither begins nor ends with `-`".to_owned()
        })
}

/// What the agents of a new organisation may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnboardAccess {
    /// Read
    #[default]
    ReadOnly,
    /// Change what a policy permits as well
    ReadWrite,
}

/// An account of a new organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Where.
    pub connector: String,
    /// As the vendor names it.
    pub id: String,
    /// ISO 4217.
    pub currency: String,
    /// As the IANA names it.
    pub time_zone: String,
}

impl Account {
    fn parse(text: &str) -> Result<Self, String> {
        let is_word = |word: &&str| {
            let is_fit = |c: char| c.is_ascii_alphanumeric() || "_-/+.".contains(c);
            !word.is_empty() && word.chars().all(is_fit)
        };
        let words: Vec<&str> = text.split(':').filter(is_word).collect();
        match words[..] {
            [connector, id, currency, time_zone] if text.matches(':').count() == 3 => Ok(Self {
                connector: connector.into(),
                id: id.into(),
                currency: currency.into(),
                time_zone: time_zone.into(),
            }),
            _ => Err(format!(
                "`{text}` is no account; write connector, id, currency and time zone, such as meta:act_1001:EUR:Europe/Berlin"
            )),
        }
    }
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it, the one time that anybody sees it
    Create(CreateKey),
    /// List them
    List(ListKeys),
    /// Revoke a key, for good
    Revoke(RevokeKey),
    /// Make another key that may do the same, and print it
    Rotate(RotateKey),
}

/// `tenantry key create`.
#[derive(Debug, Args)]
pub struct CreateKey {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Its name: 1 to 40 of a-z, 0-9 and `-`
    #[arg(value_name = "NAME")]
    pub name: String,

    /// What it may do, such as meta:read or *:write; may be repeated
    #[arg(long = "scope", value_name = "CONNECTOR:CLASS", required = true, value_parser = Scope::parse)]
    pub scopes: Vec<Scope>,

    /// An account that it may touch; may be repeated [default: all of the organisation]
    #[arg(long = "account", value_name = "ID")]
    pub accounts: Vec<String>,

    /// The program that uses it
    #[arg(long, value_name = "TEXT")]
    pub agent: Option<String>,

    /// Who answers for it [default: you]
    #[arg(long, value_name = "USER")]
    pub owner: Option<String>,

    /// For how long it is good, such as 90d or 12h [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = Length::parse)]
    pub expires: Option<Length>,

    /// Print the McpApiKey for Git and create nothing; the key goes to stderr
    #[arg(long)]
    pub yaml: bool,
}

/// `tenantry key list`.
#[derive(Debug, Args)]
pub struct ListKeys {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `tenantry key revoke`.
#[derive(Debug, Args)]
pub struct RevokeKey {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `tenantry key rotate`.
#[derive(Debug, Args)]
pub struct RotateKey {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// The key to be replaced
    #[arg(value_name = "NAME")]
    pub name: String,

    /// The name of the new one [default: the next number]
    #[arg(long, value_name = "NAME")]
    pub new_name: Option<String>,

    /// For how long the new one is good [default: for as long as the old one was]
    #[arg(long, value_name = "TIME", value_parser = Length::parse)]
    pub expires: Option<Length>,

    /// Revoke the old one at once
    #[arg(long)]
    pub revoke: bool,
}

/// A length of time of whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length(pub i64);

impl Length {
    /// Reads one number and one unit: s, m, h or d.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no length of time; write one number and one unit, such as 90d or 12h"
            )
        };
        let unit = text.chars().last().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let number = text.strip_suffix(unit).ok_or_else(wrong)?;
        let number: u32 = number.parse().map_err(|_| wrong())?;
        // Ten years: a longer one is a mistake.
        let length = i64::from(number) * seconds;
        if length == 0 || length > 3_650 * 86_400 {
            return Err(format!("`{text}` is not between 1s and 3650d"));
        }
        Ok(Self(length))
    }
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Decide over cases with SafetyPolicies, by the very code that the server decides with
    Test(PolicyTest),
}

/// `tenantry policy test`.
///
/// All policies given are taken to bind the organisation together, so that one
/// that denies denies; one with a namespaceSelector is the platform's. The
/// cases in their own spec.tests are tried as well, each against its policy
/// alone, as the operator does.
///
/// A case is one of spec.tests with more to say: who changes what, what the
/// vendor has now, and what was changed before.
#[derive(Debug, Args)]
#[command(after_help = CASES)]
pub struct PolicyTest {
    /// File or folder of SafetyPolicies; other kinds in it say nothing here
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub policy: Vec<PathBuf>,

    /// File or folder of cases
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub cases: Vec<PathBuf>,

    /// The time of cases that give none, such as 2026-06-01T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub time: Option<Timestamp>,

    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

/// `tenantry lint`.
///
/// McpTenants, McpApiKeys, McpFreezes and SafetyPolicies are held against the
/// schema and its CEL rules, against what the operator makes of them, and
/// against each other: what stands twice, what two tenants claim, keys that one
/// text opens, policies that are required and missing. Policies must pass the
/// cases that they carry along. Other kinds say nothing here.
#[derive(Debug, Args)]
#[command(after_help = LINT)]
pub struct Lint {
    /// Files, or folders of *.yaml, *.yml and *.json; all are checked together
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,

    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

const LINT: &str = "\
Examples:
  tenantry lint examples/acme.yaml examples/policy.yaml
  tenantry lint organisations/acme

One line a finding: PATH:LINE: KIND/NAME: what is wrong, and what to do.";

/// `tenantry render`.
///
/// Prints what McpServer/server would hold: the whole of what a server obeys,
/// with every default. The API server's UID is not known here, so a made-up one
/// stands there; and what an operator adds of its own (guardProven, canary, a
/// sandbox's addresses) is as if there were none.
#[derive(Debug, Args)]
#[command(after_help = RENDER)]
pub struct Render {
    /// File or folder with the McpTenant and the SafetyPolicies of its namespace; those of the platform are left out, and so is what is not of it
    #[arg(value_name = "FILE|DIR")]
    pub path: PathBuf,

    /// The McpTenant of this namespace, where there are several
    #[arg(long, value_name = "NS")]
    pub namespace: Option<String>,

    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

const RENDER: &str = "\
Examples:
  tenantry render examples/acme.yaml
  tenantry render organisations/ --namespace acme --json";

/// What to do with the record.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Say whether the audit lines of a server are as it wrote them
    Verify(AuditVerify),
}

/// `tenantry audit verify`.
///
/// The file holds the lines of one process from its start, as text and to the
/// byte. The first line that was edited, deleted, inserted, swapped or forked is
/// named; what cannot be known without a public key or a head is said.
#[derive(Debug, Args)]
#[command(after_help = AUDIT)]
pub struct AuditVerify {
    /// File of audit lines; - reads stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The process's key, or a file with it; McpServer status.replicas[].auditPublicKey has it
    #[arg(long, value_name = "FILE|KEY")]
    pub public_key: Option<String>,

    /// The digest of a line that the log is known to have come to, kept elsewhere
    #[arg(long, value_name = "DIGEST", value_parser = Digest::parse)]
    pub head: Option<Digest>,

    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

const AUDIT: &str = "\
Examples:
  kubectl -n acme logs server-0 | grep '\"log_name\":\"tenantry.audit\"' | tenantry audit verify -
  tenantry audit verify server-0.log --public-key ed25519:1f0c…
  tenantry audit verify server-0.log --public-key server-0.pub --head sha256:98c0…";

const CASES: &str = "\
Examples:
  tenantry policy test --policy examples/policy.yaml
  tenantry policy test --policy examples/policy.yaml --cases examples/cases.yaml

A file of cases:
  cases:
  - name: second-rise-of-the-day
    time: 2026-06-01T12:00:00Z
    change:
      tool: meta_set_budget
      account: act_1001
      object: '1001'
      daily: {before: '100', after: '150'}
    usage:
      changes:
      - {ago: 3h, daily: '4000'}              # what a window adds up
      - {ago: 2m, object: '1001'}             # the last change of the object
    expect:
      decision: Deny                          # Allow, Deny or RequireApproval
      rules: [budget.perObject.minInterval]

A change has one of daily, lifetime, financial {before, after}; or `do: activate`, `deactivate` or
`delete`; or create, copy, schedule, bid, state, records. What the vendor has now goes into `before`
where more than one amount matters: {id, status, daily, lifetime, startsAt, endsAt, children}.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_length_has_one_number_and_one_unit() {
        for (text, seconds) in [("1s", 1), ("90d", 7_776_000), ("12h", 43_200), ("5m", 300)] {
            assert_eq!(Length::parse(text), Ok(Length(seconds)));
        }
        for text in [
            "", "d", "90", "1.5h", "-1d", "0d", "4000d", "5 m", "1d2h", "5dd",
        ] {
            assert!(Length::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_place_is_named_as_a_shell_takes_it() {
        let place = |context: Option<&str>| Place {
            namespace: None,
            context: context.map(str::to_owned),
            kubeconfig: None,
            user: None,
            groups: Vec::new(),
        };
        assert_eq!(place(None).again("acme"), "-n acme");
        let plain = "arn:aws:eks:eu:1:cluster/one";
        assert_eq!(
            place(Some(plain)).again("acme"),
            format!("-n acme --context {plain}")
        );
        assert_eq!(
            place(Some("it's $HOME")).again("acme"),
            r"-n acme --context 'it'\''s $HOME'"
        );
        let elsewhere = Place {
            kubeconfig: Some("/tmp/a b".into()),
            ..place(None)
        };
        assert_eq!(elsewhere.again("acme"), "-n acme --kubeconfig '/tmp/a b'");
        let other = Place {
            user: Some("bob".into()),
            groups: vec!["a".into(), "b c".into()],
            ..place(None)
        };
        let told = "-n acme --as bob --as-group a --as-group 'b c'";
        assert_eq!(other.again("acme"), told);
    }
}
