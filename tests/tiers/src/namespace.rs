//! A namespace for one test: onboarded like any other, told about when the
//! test fails, gone afterwards.

use anyhow::Result;

use crate::kubectl::Kubectl;
use crate::secrets::RunSecrets;
use crate::vendor;

/// The accounts of the example.
const EXAMPLE_ACCOUNTS: [&str; 2] = ["act_1001", "act_1002"];

/// An organisation of a test's own. Dropping it prints what its namespace
/// looked like if the test is failing, then deletes the namespace.
pub struct TestOrganisation<'k> {
    kubectl: &'k Kubectl,
    /// The namespace, which is also the organisation's name.
    pub name: String,
    /// Its accounts, like those of the example; no other organisation has them.
    pub accounts: [String; 2],
}

impl<'k> TestOrganisation<'k> {
    /// Onboards an organisation as a user does: one file, one apply. The file
    /// is the example with another name.
    pub fn onboard(kubectl: &'k Kubectl, example: &str, name: &str) -> Result<Self> {
        let organisation = Self {
            kubectl,
            name: name.into(),
            accounts: accounts_of(name),
        };
        let token = RunSecrets::from_environment()?.vendor_token();
        vendor::grant(kubectl, &token, &organisation.accounts)?;
        kubectl.apply(&example_as(example, name))?;
        kubectl.wait_for_ready(name)?;
        Ok(organisation)
    }
}

impl Drop for TestOrganisation<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_evidence(self.kubectl, &self.name);
        }
        let deleted = self
            .kubectl
            .run(&["delete", "namespace", &self.name, "--wait=false"]);
        if let Err(error) = deleted {
            eprintln!("cannot delete the namespace `{}`: {error:#}", self.name);
        }
    }
}

/// The example under another name, with accounts of its own: an account has one
/// tenant in a cluster.
pub fn example_as(example: &str, name: &str) -> String {
    let [one, other] = accounts_of(name);
    example
        .replace("acme", name)
        .replace(EXAMPLE_ACCOUNTS[0], &one)
        .replace(EXAMPLE_ACCOUNTS[1], &other)
}

/// Two numbers that follow from the name, an odd and an even one.
fn accounts_of(name: &str) -> [String; 2] {
    let hash = name.bytes().fold(0_u32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    let odd = u64::from(hash) * 2 + 1;
    [odd, odd + 1].map(|number| format!("act_7{number:010}"))
}

/// What a person would look at first when something in a namespace is wrong.
pub fn print_evidence(kubectl: &Kubectl, namespace: &str) {
    let looks: [&[&str]; 6] = [
        &[
            "get",
            "all,pvc,networkpolicies,mcptenants,mcpservers,mcpapikeys,mcpapprovals,mcpfreezes,safetypolicies",
            "-o",
            "wide",
        ],
        &["get", "mcptenants,mcpservers", "-o", "yaml"],
        &["describe", "pods"],
        &["get", "events", "--sort-by=.lastTimestamp"],
        &[
            "logs",
            "--selector=tenantry.dev/component=server",
            "--all-containers",
            "--tail=100",
        ],
        &[
            "logs",
            "--selector=app.kubernetes.io/name=tenantry",
            "--prefix",
            "--tail=100",
        ],
    ];
    for look in looks {
        let arguments = [look, &["-n", namespace]].concat();
        eprintln!("--- kubectl {}", arguments.join(" "));
        match kubectl.output(&arguments) {
            Ok(output) => {
                eprint!("{}", String::from_utf8_lossy(&output.stdout));
                eprint!("{}", String::from_utf8_lossy(&output.stderr));
            }
            Err(error) => eprintln!("{error:#}"),
        }
    }
}
