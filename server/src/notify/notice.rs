//! What happened, as it is put to people: what is known of the change, of the
//! question about it, and what somebody types who has something to do. Pure.

use jiff::Timestamp;
use tenantry_core::digest::Digest;
use tenantry_core::name::ConnectorName;
use tenantry_core::notification::Occasion;
use tenantry_ledger::approval::Approval;

use super::event::{Told, What, rule};
use super::message::Notice;
use crate::approvals::form;

/// Digits of an id that is made of a digest.
const DIGITS: usize = 32;

/// A credential that its vendor does not take any more.
pub struct Refused<'a> {
    /// Of which organisation.
    pub organization: &'a str,
    /// The UID of its object.
    pub tenant_uid: &'a str,
    /// Of which vendor.
    pub connector: &'a ConnectorName,
    /// Which one, without any part of it.
    pub token: Digest,
    /// What is known of it, with the remedy.
    pub message: &'a str,
    /// When it was found.
    pub at: Timestamp,
}

/// What happened to a change; `approval` is what people were asked of it, and
/// `namespace` where they are, if in a cluster.
pub fn of_change(told: &Told, approval: Option<&Approval>, namespace: Option<&str>) -> Notice {
    let name = approval.map(|approval| form::name(&approval.change, approval.asked_at));
    let vendor = [told.connector.as_deref(), told.account.as_deref()];
    let by = match &told.what {
        What::Agreed { by } => Some(by.join(", ")),
        _ => None,
    };
    let is_pending = told.occasion == Occasion::Pending;
    let until = approval.filter(|_| is_pending);
    let facts = [
        ("Organisation", Some(told.organization.clone())),
        (
            "Account",
            Some(vendor.into_iter().flatten().collect::<Vec<_>>().join(" ")),
        ),
        ("Tool", Some(told.tool.clone())),
        ("Asked by", told.requester.clone()),
        ("Agent", told.agent.clone()),
        ("Change", told.change.as_ref().map(ToString::to_string)),
        ("At", Some(told.at.to_string())),
        (
            "To be decided before",
            until.map(|approval| approval.expires_at.to_string()),
        ),
        ("Agreed", by),
        ("Why", told.why.clone()),
    ];
    let facts = facts
        .into_iter()
        .filter_map(|(what, fact)| Some((what, fact.filter(|fact| !fact.is_empty())?)));
    let asked = approval.filter(|_| told.rules.is_empty());
    let asked = asked.into_iter().flat_map(|approval| &approval.fired);
    Notice {
        id: told.id.clone(),
        occasion: told.occasion,
        title: format!("{}: {}", told.organization, told.what.words()),
        summary: Some(told.summary.clone()),
        facts: facts.collect(),
        rules: told.rules.iter().cloned().chain(asked.map(rule)).collect(),
        commands: namespace
            .map(|namespace| commands(told, name.as_deref(), namespace))
            .unwrap_or_default(),
        more: 0,
    }
}

/// What somebody types. Of what was denied outright nothing is kept to be looked
/// at.
fn commands(told: &Told, name: Option<&str>, namespace: &str) -> Vec<String> {
    let of = |words: &str| format!("kubectl mcp {words} -n {namespace}");
    match (&told.what, name) {
        (What::Asked, Some(name)) => {
            vec![of(&format!("show {name}")), of(&format!("approve {name}"))]
        }
        (What::Asked, None) => vec![of("approvals")],
        (What::Ended(_) | What::Agreed { .. }, Some(name)) => vec![of(&format!("show {name}"))],
        (What::Outcome(outcome), _) if outcome == "needs_human" => vec![of("approvals")],
        (What::Outcome(_) | What::Found(_), _) => {
            let change = told.change.iter();
            change
                .map(|change| of(&format!("activity --change {change}")))
                .collect()
        }
        (What::Ended(_) | What::Agreed { .. } | What::Denied, _) => vec![],
    }
}

/// A credential that has to be replaced. Whichever replica finds it, and after
/// however many starts: within a day it is the same event.
pub fn of_credential(refused: &Refused<'_>, namespace: Option<&str>) -> Notice {
    let Refused {
        organization,
        tenant_uid,
        connector,
        token,
        message,
        at,
    } = refused;
    let day = at.as_second().div_euclid(24 * 60 * 60);
    let event = Digest::of(format!("{tenant_uid} {connector} {token} {day}").as_bytes());
    let digits = event.to_string();
    let digits = digits.rsplit(':').next().unwrap_or_default();
    let facts = [
        ("Organisation", (*organization).to_owned()),
        ("Connector", connector.to_string()),
        ("At", at.to_string()),
    ];
    Notice {
        id: format!("msg_{}", digits.chars().take(DIGITS).collect::<String>()),
        occasion: Occasion::ReconnectNeeded,
        title: format!("{organization}: {connector} has to be connected again"),
        summary: Some((*message).to_owned()),
        facts: facts.into(),
        rules: vec![],
        commands: namespace
            .map(|namespace| format!("kubectl mcp status -n {namespace}"))
            .into_iter()
            .collect(),
        more: 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenantry_core::policy::decide::Terms;
    use tenantry_ledger::change::ChangeId;

    use super::*;

    const CHANGE: &str = "0123456789abcdef0123456789abcdef";

    fn told(what: What, occasion: Occasion) -> Told {
        Told {
            id: "msg_01_7".into(),
            place: ("01".into(), 7),
            occasion,
            what,
            change: Some(ChangeId::parse(CHANGE).unwrap()),
            at: "2026-06-01T12:00:00Z".parse().unwrap(),
            organization: "acme".into(),
            tool: "meta_set_budget".into(),
            connector: Some("meta".into()),
            account: Some("act_1001".into()),
            requester: Some("ann@acme.example".into()),
            agent: None,
            summary: "ad set 42, daily_budget 30.50 EUR to 40.00 EUR".into(),
            rules: vec![],
            why: None,
        }
    }

    fn approval() -> Approval {
        let terms = Terms {
            approver_classes: ["finance".to_owned()].into(),
            approvers: 1,
            expires_after_ms: 3_600_000,
        };
        let fired = json!([{
            "name": {"policy": "ads", "rule": "large"},
            "verdict": {"Ask": terms}, "message": "more than 5 EUR a day",
        }]);
        Approval {
            change: ChangeId::parse(CHANGE).unwrap(),
            asked_at: "2026-06-01T12:00:00Z".parse().unwrap(),
            expires_at: "2026-06-01T13:00:00Z".parse().unwrap(),
            terms,
            fired: serde_json::from_value(fired).unwrap(),
            arguments: serde_json::from_value(json!({"daily_budget": "hush"})).unwrap(),
            pinned: Digest::of(b"pinned"),
            policy_digest: Digest::of(b"policy"),
            shown: None,
            ended: None,
        }
    }

    #[test]
    fn a_question_says_until_when_why_and_how_to_answer() {
        let asked = told(What::Asked, Occasion::Pending);
        let notice = of_change(&asked, Some(&approval()), Some("acme"));
        let name = form::name(&approval().change, approval().asked_at);
        let fact = |what: &'static str, fact: &str| (what, fact.to_owned());
        let expected = Notice {
            id: "msg_01_7".into(),
            occasion: Occasion::Pending,
            title: "acme: a change waits for people".into(),
            summary: Some(asked.summary.clone()),
            facts: vec![
                fact("Organisation", "acme"),
                fact("Account", "meta act_1001"),
                fact("Tool", "meta_set_budget"),
                fact("Asked by", "ann@acme.example"),
                fact("Change", CHANGE),
                fact("At", "2026-06-01T12:00:00Z"),
                fact("To be decided before", "2026-06-01T13:00:00Z"),
            ],
            rules: vec!["ads/large: more than 5 EUR a day".into()],
            commands: vec![
                format!("kubectl mcp show {name} -n acme"),
                format!("kubectl mcp approve {name} -n acme"),
            ],
            more: 0,
        };
        assert_eq!(notice, expected);
        assert!(!notice.body().contains("hush"));
    }

    #[test]
    fn each_notice_has_what_to_do_next_where_there_is_something() {
        let name = form::name(&approval().change, approval().asked_at);
        let show = format!("kubectl mcp show {name} -n acme");
        let activity = format!("kubectl mcp activity --change {CHANGE} -n acme");
        let outcome = |word: &str| What::Outcome(word.into());
        for (what, occasion, is_known, commands) in [
            (
                What::Asked,
                Occasion::Pending,
                false,
                vec!["kubectl mcp approvals -n acme"],
            ),
            (
                What::Ended("denied".into()),
                Occasion::Decided,
                true,
                vec![show.as_str()],
            ),
            (
                What::Agreed {
                    by: vec!["bob".into()],
                },
                Occasion::Decided,
                true,
                vec![&show],
            ),
            (
                What::Agreed { by: vec![] },
                Occasion::Decided,
                false,
                vec![],
            ),
            (
                outcome("applied"),
                Occasion::Executed,
                false,
                vec![&activity],
            ),
            (
                outcome("needs_human"),
                Occasion::Executed,
                false,
                vec!["kubectl mcp approvals -n acme"],
            ),
            (What::Denied, Occasion::Denied, false, vec![]),
        ] {
            let told = told(what, occasion);
            let approval = Some(approval()).filter(|_| is_known);
            let notice = of_change(&told, approval.as_ref(), Some("acme"));
            assert_eq!(notice.commands, commands, "{:?}", told.what);
            // Without a cluster there is nothing to type.
            assert!(
                of_change(&told, approval.as_ref(), None)
                    .commands
                    .is_empty()
            );
        }
    }

    #[test]
    fn a_credential_is_the_same_event_for_a_day_whoever_finds_it() {
        let meta = ConnectorName::parse("meta").unwrap();
        let of = |token: &[u8], at: &str| {
            let refused = Refused {
                organization: "acme",
                tenant_uid: "0b7c",
                connector: &meta,
                token: Digest::of(token),
                message: "the vendor refuses the token; replace it in the Secret",
                at: at.parse().unwrap(),
            };
            of_credential(&refused, Some("acme"))
        };
        let first = of(b"hush", "2026-06-01T00:00:00Z");
        assert_eq!(first.title, "acme: meta has to be connected again");
        assert_eq!(first.commands, ["kubectl mcp status -n acme"]);
        assert_eq!(first.id.len(), "msg_".len() + DIGITS);
        assert_eq!(of(b"hush", "2026-06-01T23:59:59Z").id, first.id);
        assert_ne!(of(b"hush", "2026-06-02T00:00:00Z").id, first.id);
        assert_ne!(of(b"other", "2026-06-01T00:00:00Z").id, first.id);
        assert!(!first.body().contains("hush"));
    }
}
