//! A namespace for one test: onboarded like any other, told about when the
//! test fails, gone afterwards.

use anyhow::Result;

use crate::kubectl::Kubectl;

/// An organisation of a test's own. Dropping it prints what its namespace
/// looked like if the test is failing, then deletes the namespace.
pub struct TestOrganisation<'k> {
    kubectl: &'k Kubectl,
    /// The namespace, which is also the organisation's name.
    pub name: String,
}

impl<'k> TestOrganisation<'k> {
    /// Onboards an organisation as a user does: one file, one apply. The file
    /// is the example with another name.
    pub fn onboard(kubectl: &'k Kubectl, example: &str, name: &str) -> Result<Self> {
        let organisation = Self {
            kubectl,
            name: name.into(),
        };
        kubectl.apply(&example.replace("acme", name))?;
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

/// What a person would look at first when something in a namespace is wrong.
pub fn print_evidence(kubectl: &Kubectl, namespace: &str) {
    let looks: [&[&str]; 6] = [
        &[
            "get",
            "all,pvc,networkpolicies,mcptenants,mcpservers,mcpapikeys,mcpfreezes",
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
