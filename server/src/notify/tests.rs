//! What waits where nobody takes it, and what leaves twice.

use serde_json::json;

use super::*;
use crate::credentials::held::HeldSecrets;

fn notifier() -> Notifier {
    let settings = Settings {
        addresses: Addresses::Held(Arc::new(HeldSecrets::default())),
        namespace: Some("acme".into()),
        pace: Pace::PRODUCTION,
    };
    Notifier::new(settings, Arc::default(), Arc::default())
}

/// Destinations of that name, each of what is said.
fn named(forms: &[(&str, &[Occasion])]) -> Vec<notification::Destination> {
    let forms = forms
        .iter()
        .map(|(name, occasions)| notification::Destination {
            name: DestinationName::parse(name).unwrap(),
            occasions: occasions.iter().copied().collect(),
        });
    forms.collect()
}

fn line(sequence: u64, event: &str) -> Outgoing {
    let line = json!({
        "metadata": {"sequence": sequence}, "time": 0, "actor": {},
        "api": {"operation": "meta_set_budget", "response": {"data": {"outcome": "applied"}}},
        "unmapped": {"ledger": "01", "organization": "acme", "event": event},
    });
    Outgoing {
        sequence,
        line: line.to_string(),
    }
}

fn waiting(notifier: &Notifier) -> Vec<u64> {
    let inbox = lock(&notifier.inbox);
    inbox.waiting.iter().map(|told| told.place.1).collect()
}

fn notice(id: usize) -> Notice {
    Notice {
        id: id.to_string(),
        occasion: Occasion::Executed,
        title: String::new(),
        summary: None,
        facts: vec![],
        rules: vec![],
        commands: vec![],
        more: 0,
    }
}

fn has(notifier: &Notifier, line: &str) {
    let text = notifier.metrics.text();
    let line = format!("tenantry_server_notifications_{line}");
    assert!(text.contains(&line), "{line} is not in {text}");
}

#[test]
fn a_line_that_leaves_twice_is_told_of_once() {
    let notifier = notifier();
    notifier.offer(&[line(1, "outcome")]);
    assert!(waiting(&notifier).is_empty(), "nobody hears of it");
    notifier.follow(&named(&[("ads", &[Occasion::Executed])]));
    let lines = [line(2, "outcome"), line(3, "asked"), line(4, "outcome")];
    notifier.offer(&lines);
    notifier.offer(&lines);
    notifier.offer(&[line(5, "intent"), line(6, "outcome")]);
    assert_eq!(
        waiting(&notifier),
        [2, 4, 6],
        "what nobody hears of is left"
    );
}

#[test]
fn what_there_is_no_room_for_is_counted_and_nobody_waits() {
    let notifier = notifier();
    notifier.follow(&named(&[
        ("ads", &[Occasion::Executed]),
        ("audit", &[Occasion::Denied]),
    ]));
    let last = u64::try_from(INBOX).unwrap() + 2;
    let lines: Vec<_> = (1..=last)
        .map(|sequence| line(sequence, "outcome"))
        .collect();
    notifier.offer(&lines);
    let waiting = waiting(&notifier);
    assert_eq!((waiting.len(), waiting[0]), (INBOX, 3));
    has(
        &notifier,
        r#"dropped_total{destination="ads",occasion="Executed"} 2"#,
    );
    for id in 0..queue::LONGEST + 7 {
        notifier.spread(notice(id));
    }
    has(
        &notifier,
        r#"dropped_total{destination="ads",occasion="Executed"} 9"#,
    );
    assert!(!notifier.metrics.text().contains(r#"destination="audit""#));
}

#[test]
fn a_destination_that_stays_keeps_what_waits_and_one_that_goes_drops_it() {
    let notifier = notifier();
    let both = named(&[
        ("ads", &[Occasion::Executed]),
        ("audit", &[Occasion::Executed]),
    ]);
    notifier.follow(&both);
    notifier.spread(notice(1));
    notifier.follow(&named(&[("ads", &[Occasion::Denied])]));
    has(
        &notifier,
        r#"dropped_total{destination="audit",occasion="Executed"} 1"#,
    );
    // What it hears of from now on is another matter.
    notifier.spread(notice(2));
    let rest = notifier.destinations()[0].rest(Instant::now());
    let ids: Vec<_> = rest.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["1"]);
}

#[test]
fn a_destination_without_a_secret_is_reported_with_what_to_do() {
    let notifier = notifier();
    notifier.follow(&named(&[("ads", &[Occasion::Executed])]));
    let told = "there is no `url` in the Secret of destination `ads` among the documents; create the Secret that the secretName of the notification `ads` names, with the keys `url` and `secret`";
    let expected = DestinationReport {
        name: "ads".into(),
        ready: false,
        reason: Some("SecretMissing".into()),
        message: Some(told.into()),
    };
    assert_eq!(notifier.reports(), [expected]);
}
