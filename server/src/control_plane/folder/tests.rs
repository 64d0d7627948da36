//! What holds while a folder is wrong somewhere.

use tenantry_core::access::Access;
use tenantry_core::freeze::Freezes;

use super::documents::declared;
use super::files::Source;
use super::*;

const TENANT: &str = "apiVersion: tenantry.dev/v1alpha1
kind: McpTenant
metadata: {name: acme, namespace: acme}
spec:
  organization: acme
  access: ReadWrite
  connectors:
  - name: meta
    credentials: {secretName: meta-credentials}
    accounts:
    - {id: act_1, currency: EUR, timeZone: Europe/Berlin}
";

fn read(texts: &[&str]) -> Result<Declared, Refused> {
    let source = |(text, number): (&&str, u32)| Source {
        file: format!("{number}.yaml"),
        text: Ok((*text).to_owned()),
    };
    let sources: Vec<_> = texts.iter().zip(1..).map(source).collect();
    declared(&sources, &OperatorView::default())
}

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: tenantry.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: \"{name}\", namespace: acme}}\nspec: {{{spec}}}\n"
    )
}

fn freeze(name: &str, access: &str) -> String {
    document("McpFreeze", name, &format!("access: {access}"))
}

/// What holds after these texts in turn, the first of them without a flaw.
fn after(good: &[&str], flawed: &[&[&str]]) -> Freezes {
    let declared = read(good).unwrap();
    let mut last = Restraint {
        freezes: declared.freezes,
        keys: declared.keys,
    };
    for texts in flawed {
        last.tighten(&read(texts).err().unwrap());
    }
    last.freezes_in_doubt()
}

/// What an organisation that may change everything may do then.
fn access(good: &[&str], flawed: &[&[&str]]) -> Access {
    after(good, flawed).access_of_all(Access::ReadWrite)
}

#[test]
fn no_name_of_a_freeze_loosens_another() {
    let stop = freeze("(documents)", "Disabled");
    assert_eq!(access(&[TENANT], &[&[TENANT, &stop]]), Access::Disabled);
    let numbered = freeze("stop (1)", "Disabled");
    let stop = freeze("stop", "ReadOnly");
    let edits: [&[&str]; 2] = [&[TENANT, &numbered], &[TENANT, &stop, "nothing\n"]];
    assert_eq!(access(&[TENANT], &edits), Access::Disabled);
    let twin = freeze("stop (line 1 of 3.yaml)", "Disabled");
    let named_alike = [TENANT, &twin, &stop, &stop];
    assert_eq!(access(&[TENANT], &[&named_alike]), Access::Disabled);
    let before = [TENANT, &stop, &stop, &twin];
    assert_eq!(access(&[TENANT], &[&before]), Access::Disabled);
}
