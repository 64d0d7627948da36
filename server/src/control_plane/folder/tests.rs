//! What holds while a folder is wrong somewhere.

use tenantry_core::access::Access;
use tenantry_core::freeze::Freezes;
use tenantry_core::key::{KeyRecord, Scope};

use super::documents::tests::read;
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

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: tenantry.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: \"{name}\", namespace: acme}}\nspec: {{{spec}}}\n"
    )
}

fn freeze(name: &str, access: &str) -> String {
    document("McpFreeze", name, &format!("access: {access}"))
}

fn key(name: &str, digit: &str, rest: &str) -> String {
    let digest = digit.repeat(64);
    document(
        "McpApiKey",
        name,
        &format!("owner: a, digest: \"sha256:{digest}\", {rest}"),
    )
}

/// What holds after these texts in turn, the first of them without a flaw.
fn after(good: &[&str], flawed: &[&[&str]]) -> (Freezes, Vec<KeyRecord>) {
    let declared = read(good).unwrap();
    let mut last = Restraint {
        freezes: declared.freezes,
        keys: declared.keys,
    };
    for texts in flawed {
        last.tighten(&read(texts).err().unwrap());
    }
    (last.freezes_in_doubt(), last.keys)
}

/// What an organisation that may change everything may do then.
fn access(good: &[&str], flawed: &[&[&str]]) -> Access {
    after(good, flawed).0.access_of_all(Access::ReadWrite)
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

#[test]
fn a_stricter_access_of_the_organisation_takes_hold() {
    for (said, holds) in [
        ("ReadWrite", Access::Frozen),
        ("ReadOnly", Access::ReadOnly),
        ("Disabled", Access::Disabled),
    ] {
        let text = TENANT.replace("ReadWrite", said);
        assert_eq!(access(&[TENANT], &[&[&text, "nothing\n"]]), holds);
        // Whatever else is wrong with the document itself.
        let flawed = text.replace("EUR", "Euro");
        assert_eq!(access(&[TENANT], &[&[&flawed]]), holds);
        let flawed = text.replace("secretName", "secretname");
        assert_eq!(access(&[TENANT], &[&[&flawed]]), holds);
        // And it is not taken back by another edit.
        let edits: [&[&str]; 2] = [&[&text, "nothing\n"], &[TENANT, "nothing\n"]];
        assert_eq!(access(&[TENANT], &edits), holds);
    }
    let left_out = TENANT.replace("  access: ReadWrite\n", "");
    let flawed: &[&str] = &[&left_out, "nothing\n"];
    assert_eq!(access(&[TENANT], &[flawed]), Access::ReadOnly);
}

/// The one key that is left after the edit of a folder that is flawed with it.
fn key_after(good: &str, new: &[&str]) -> KeyRecord {
    let texts = [&[TENANT, "nothing\n"], new].concat();
    let (_, keys) = after(&[TENANT, good], &[&texts]);
    keys.into_iter().next().unwrap()
}

#[test]
fn a_key_keeps_to_the_narrower_of_what_was_and_is_said_of_it() {
    let wide = "scopes: [\"*:read\", \"meta:write\"]";
    let good = key("demo", "0", wide);
    let kept = key_after(&good, &[&good]);
    assert!(!kept.disabled && kept.scopes.len() == 2);
    assert!(key_after(&good, &[&key("demo", "1", wide)]).disabled);
    let narrow = key_after(&good, &[&key("demo", "0", "scopes: [\"meta:read\"]")]);
    assert_eq!(narrow.scopes, [Scope::parse("meta:read").unwrap()]);
    let wider = key_after(&key("demo", "0", "scopes: [\"meta:read\"]"), &[&good]);
    assert_eq!(wider.scopes, [Scope::parse("meta:read").unwrap()]);
    let none = key_after(&good, &[&key("demo", "0", "scopes: []")]);
    assert_eq!(none.scopes, []);

    let some = key("demo", "0", &format!("{wide}, accounts: [act_1, act_2]"));
    let one = key("demo", "0", &format!("{wide}, accounts: [act_2, act_3]"));
    let named = |key: KeyRecord| key.accounts.unwrap().len();
    assert_eq!(named(key_after(&some, &[&one])), 1);
    assert_eq!(named(key_after(&good, &[&some])), 2);
    assert_eq!(named(key_after(&some, &[&good])), 2);

    let until = |year: &str| {
        let time = format!("\"{year}-01-01T00:00:00Z\"");
        let rest = format!("{wide}, notBefore: {time}, expiresAt: {time}");
        key("demo", "0", &rest)
    };
    for (good, new, begin, end) in [
        (until("2030"), until("2031"), "2031", "2030"),
        (until("2031"), until("2030"), "2031", "2030"),
        (good.clone(), until("2030"), "2030", "2030"),
        (until("2030"), good.clone(), "2030", "2030"),
    ] {
        let key = key_after(&good, &[&new]);
        assert!(key.not_before.unwrap().to_string().starts_with(begin));
        assert!(key.expires_at.unwrap().to_string().starts_with(end));
    }
}

#[test]
fn a_digest_that_one_key_closes_is_closed_for_all_keys() {
    let scopes = "scopes: [\"meta:read\"]";
    let good = key("demo", "0", scopes);
    let twin = |rest: &str| key("twin", "0", &format!("{scopes}, {rest}"));
    let closed = twin("disabled: true");
    // Where its own document stands, and where it cannot be read.
    assert!(key_after(&good, &[&good, &closed]).disabled);
    assert!(key_after(&good, &[&closed]).disabled);
    let expired = key_after(
        &good,
        &[&twin("expiresAt: \"2020-01-01T00:00:00Z\""), &good],
    );
    assert!(expired.standing(jiff::Timestamp::now()).is_err());
    let other = key("twin", "1", "scopes: [], disabled: true");
    assert!(!key_after(&good, &[&good, &other]).disabled);
}
