//! Lines of every kind, in full, held against the released OCSF schema.

use serde_json::{Map, Value, json};

use super::*;
use crate::access::ToolClass;
use crate::answer::Status;
use crate::audit::change_record::Deed;
use crate::audit::read::AuditLine;
use crate::audit::{Actor, Arguments, Object, Stage, Standing, blank_event};
use crate::name::AccountId;
use crate::reason::Reason;
use crate::trace::TraceContext;

#[path = "../../../testdata/ocsf/check.rs"]
mod ocsf;

fn chain() -> (Chain, Identity, Timestamp) {
    let identity = Identity {
        organization: Organization::parse("acme").unwrap(),
        tenant_uid: "uid".into(),
    };
    let time = "2026-06-01T12:00:00Z".parse().unwrap();
    (Chain::new("b".into(), &[7; 32]).unwrap(), identity, time)
}

fn read(line: &[u8]) -> Value {
    let end = line.iter().position(|byte| *byte == b'\n');
    assert_eq!(end, Some(line.len() - 1));
    ocsf::valid(line)
}

/// A read that was carried out.
fn done() -> AuditEvent {
    let arguments = json!({"account": "act_1001", "limit": 2});
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    AuditEvent {
        trace: TraceContext::parse(traceparent),
        source: Some("10.1.2.3".parse().unwrap()),
        actor: Some(Actor {
            key: "demo".into(),
            owner: "alice@acme.example".into(),
            agent: Some("reporter".into()),
        }),
        method: Some("tools/call".into()),
        tool: Some("meta_list_campaigns".into()),
        class: Some(ToolClass::Read),
        connector: Some("meta".into()),
        account: Some("act_1001".into()),
        arguments: Some(Arguments::Checked(arguments.as_object().unwrap().clone())),
        outcome: Status::Done,
        stage: Stage::Respond,
        vendor_requests: 1,
        duration_ms: 12,
        ..blank_event("b-1".into())
    }
}

/// One that named an object of somebody else.
fn refused() -> AuditEvent {
    AuditEvent {
        object: Some(Object {
            kind: "campaign".into(),
            id: "23".into(),
            standing: Standing::Foreign,
            account: Some(AccountId::parse("act_9").unwrap()),
        }),
        outcome: Status::Refused,
        reason: Some(Reason::AccountRefused),
        stage: Stage::Own,
        ..done()
    }
}

#[test]
fn each_line_names_the_digest_of_the_one_before() {
    let (mut chain, identity, time) = chain();
    let start = chain.start(&identity, "0.1.0", time);
    assert_eq!(
        read(&start),
        json!({
            "metadata": {
                "version": "1.8.0", "product": {"name": "Tenantry"}, "log_name": "tenantry.audit",
                "log_version": "v1", "event_code": "start", "tenant_uid": "uid", "sequence": 1,
            },
            "time": 1_780_315_200_000_i64, "category_uid": 6, "class_uid": 6002,
            "activity_id": 3, "type_uid": 600_203, "severity_id": 1,
            "app": {"name": "tenantry-server", "version": "0.1.0"},
            "unmapped": {
                "boot_id": "b", "previous": Digest::of(b""), "organization": "acme",
                "public_key": chain.public_key().to_string(),
            },
        })
    );
    let event = chain.event(&identity, &blank_event("c".into()), time);
    let before = Digest::of(&start[..start.len() - 1]);
    let read_event = read(&event);
    assert_eq!(read_event["unmapped"]["previous"], json!(before));
    assert_eq!(read_event["metadata"]["sequence"], 2);
    assert_eq!(chain.unsigned(), 2);
    let checkpoint = read(&chain.checkpoint(Kind::Checkpoint, &identity, 9, time));
    let own = &checkpoint["unmapped"];
    assert_eq!(
        own["previous"],
        json!(Digest::of(&event[..event.len() - 1]))
    );
    assert_eq!(own["suppressed_total"], 9);
    assert_eq!(own["signature"].as_str().unwrap().len(), 128);
    assert_eq!(
        (&checkpoint["type_uid"], &checkpoint["activity_name"]),
        (&json!(600_299), &json!("checkpoint"))
    );
    assert_eq!(chain.unsigned(), 0);
    let end = read(&chain.checkpoint(Kind::End, &identity, 9, time));
    assert_eq!(end["type_uid"], 600_204);
}

/// Every line of every call, whatever is known of it.
#[test]
fn every_call_is_an_event_as_the_schema_has_it() {
    let (mut chain, identity, time) = chain();
    let stages = [Stage::Receive, Stage::Check, Stage::Respond];
    let outcomes = [Status::Done, Status::Refused, Status::Failed];
    let classes = ToolClass::ALL.map(Some).into_iter().chain([None]);
    let deeds = [
        None,
        Some(Deed::Create),
        Some(Deed::Update),
        Some(Deed::Delete),
    ];
    let mut count = 0;
    for class in classes {
        for (outcome, deed) in outcomes.iter().flat_map(|it| deeds.map(|deed| (*it, deed))) {
            for stage in stages {
                for known in [done(), refused(), blank_event("c".into())] {
                    let event = AuditEvent {
                        class,
                        deed,
                        outcome,
                        stage,
                        ..known
                    };
                    read(&chain.event(&identity, &event, time));
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 6 * 12 * 3 * 3);
}

/// The form of a call that was carried out, to the byte: what it costs to write
/// and to keep is seen here.
#[test]
fn a_read_is_one_short_line() {
    let (mut chain, identity, time) = chain();
    let line = chain.event(&identity, &done(), time);
    read(&line);
    insta::assert_snapshot!(String::from_utf8(line).unwrap().trim_end());
}

#[test]
fn a_refusal_says_who_and_what_and_why() {
    let (mut chain, identity, time) = chain();
    insta::assert_json_snapshot!(read(&chain.event(&identity, &refused(), time)));
}

#[test]
fn a_stranger_is_nobody_from_somewhere() {
    let (mut chain, identity, time) = chain();
    let stranger = AuditEvent {
        reason: Some(Reason::KeyUnknown),
        stage: Stage::Authenticate,
        suppressed: 3,
        ..blank_event("c".into())
    };
    insta::assert_json_snapshot!(read(&chain.event(&identity, &stranger, time)));
}

#[test]
fn a_line_reads_back_as_what_was_written() {
    let (mut chain, identity, time) = chain();
    let line = read(&chain.event(&identity, &refused(), time));
    assert_eq!(
        AuditLine::of(&line).unwrap().facts(),
        json!({
            "kind": "event", "boot_id": "b", "sequence": 1, "previous": Digest::of(b""),
            "time": 1_780_315_200_000_i64, "organization": "acme", "tenant_uid": "uid",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
            "source": "10.1.2.3", "call_id": "b-1",
            "actor": {"key": "demo", "owner": "alice@acme.example", "agent": "reporter"},
            "method": "tools/call", "tool": "meta_list_campaigns", "class": "read",
            "connector": "meta", "account": "act_1001",
            "object": {"kind": "campaign", "id": "23", "standing": "foreign", "account": "act_9"},
            "arguments": {"checked": {"account": "act_1001", "limit": 2}},
            "outcome": "refused", "reason": "AccountRefused", "stage": "own",
            "vendor_requests": 1, "duration_ms": 12,
        })
    );
}

#[test]
fn no_event_makes_a_line_that_a_container_runtime_would_split() {
    let (mut chain, identity, time) = chain();
    let long = "\u{1}".repeat(100_000);
    let arguments: Map<String, Value> = (0..100)
        .map(|number| (format!("{number}{}", &long[..64]), json!(1)))
        .collect();
    let event = AuditEvent {
        actor: Some(Actor {
            key: "k".into(),
            owner: long.clone(),
            agent: Some(long.clone()),
        }),
        method: Some(long.clone()),
        tool: Some(long.clone()),
        connector: Some(long.clone()),
        account: Some(long.clone()),
        arguments: Some(Arguments::unchecked(&arguments)),
        ..blank_event("c".into())
    };
    let line = chain.event(&identity, &event, time);
    assert!(line.len() <= LARGEST_LINE, "{}", line.len());
    let line = read(&line);
    let facts = AuditLine::of(&line).unwrap().facts();
    assert_eq!(facts["truncated"], true);
    assert!(facts["actor"]["owner"].as_str().unwrap().ends_with('…'));
    assert!(facts["arguments"]["too_long"].is_number(), "{line}");
}

#[test]
fn a_public_key_reads_back_as_written() {
    let key = chain().0.public_key();
    assert_eq!(key.to_string().parse(), Ok(key));
    assert_eq!("ed25519:00".parse::<PublicKey>(), Err(PublicKeyError));
}
