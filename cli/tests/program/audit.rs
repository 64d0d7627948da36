//! `tenantry audit verify`: what it says of whole logs, and that no tampering
//! passes. Core's own tests tamper with every line; here it is the program that
//! is asked.

use std::fs;

use crate::program::{Ended, run, run_with_input};
use jiff::Timestamp;
use tenantry_core::audit::blank_event;
use tenantry_core::audit::chain::{Chain, Head, Identity, Kind, MOST_UNSIGNED, PublicKey};
use tenantry_core::digest::Digest;
use tenantry_core::name::Organization;

/// It shows what is printed.
const README: &str = include_str!("../../../README.md");

/// A line, with its end.
type Line = Vec<u8>;

/// The log of a process that took `count` events, signed as a server does.
fn log(seed: u8, count: usize, ends: bool) -> (Vec<Line>, PublicKey) {
    let identity = Identity {
        organization: Organization::parse("acme").unwrap(),
        tenant_uid: "uid".into(),
    };
    let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    let mut chain = Chain::new("boot".into(), &[seed; 32]).unwrap();
    let mut lines = vec![chain.start(&identity, "0", now)];
    for number in 0..count {
        lines.push(chain.event(&identity, &blank_event(format!("boot-{number}")), now));
        if chain.unsigned() >= MOST_UNSIGNED {
            lines.push(chain.checkpoint(Kind::Checkpoint, &identity, 0, now));
        }
    }
    if ends {
        lines.push(chain.checkpoint(Kind::End, &identity, 0, now));
    }
    (lines, chain.public_key())
}

fn verify(lines: &[Line], more: &[&str]) -> Ended {
    let arguments = [&["audit", "verify", "-"], more].concat();
    run_with_input(&arguments, &lines.concat())
}

fn digest(line: &[u8]) -> Digest {
    Digest::of(line.strip_suffix(b"\n").unwrap())
}

/// Lines with new numbers and digests, as somebody writes them who has
/// everything but the key.
fn rechained(lines: &[Line]) -> Vec<Line> {
    let mut head = Head::before_all();
    let mut written = Vec::new();
    for line in lines {
        let text = String::from_utf8(line.clone()).unwrap();
        let (start, rest) = text.split_once("\"sequence\":").unwrap();
        let (_, rest) = rest.split_once('}').unwrap();
        let (middle, rest) = rest.split_once("\"previous\":\"").unwrap();
        let (_, rest) = rest.split_once('"').unwrap();
        let (sequence, previous) = (head.sequence + 1, head.digest);
        let text =
            format!("{start}\"sequence\":{sequence}}}{middle}\"previous\":\"{previous}\"{rest}");
        head = Head {
            sequence,
            digest: digest(text.as_bytes()),
        };
        written.push(text.into_bytes());
    }
    written
}

fn edited(line: &Line) -> Line {
    let text = String::from_utf8(line.clone()).unwrap();
    text.replace("acme", "acne").into_bytes()
}

/// The log with `at` tampered with, in the ways that there are.
fn tampered(lines: &[Line], forged: &[Line], at: usize) -> Vec<(&'static str, Vec<Line>)> {
    let (before, rest) = (&lines[..at], &lines[at + 1..]);
    let with = |middle: &[Line], rest: &[Line]| [before, middle, rest].concat();
    let mine = lines[at].clone();
    vec![
        ("edit", with(&[edited(&mine)], rest)),
        ("delete", with(&[], rest)),
        ("insert", with(&[forged[at].clone(), mine.clone()], rest)),
        ("swap", with(&[rest[0].clone(), mine.clone()], &rest[1..])),
        ("truncate", with(&[], &[])),
        ("fork", rechained(&with(&[], &forged[at..]))),
        (
            "edit and chain anew",
            rechained(&with(&[edited(&mine)], rest)),
        ),
    ]
}

/// The line that is named, if one is.
fn named(ended: &Ended) -> Option<usize> {
    let rest = ended.out.strip_prefix("-:")?;
    rest.split_once(':')?.0.parse().ok()
}

#[test]
fn no_tampering_passes_and_the_line_is_named() {
    let (lines, key) = log(1, 1_000, true);
    let (forged, _) = log(2, 1_000, true);
    let key = key.to_string();
    let last = digest(lines.last().unwrap()).to_string();
    let known = ["--public-key", &key, "--head", &last];
    assert_eq!(verify(&lines, &known).code, 0);
    let mut count = 0;
    for at in (1..lines.len() - 1).step_by(11) {
        for (name, log) in tampered(&lines, &forged, at) {
            let ended = verify(&log, &known);
            assert_eq!(ended.code, 1, "{name} at {at}: {}", ended.out);
            // Until the next signature at the latest; what was cut off at the
            // end has no line.
            let is_near = match named(&ended) {
                Some(line) => (at + 1..=at + 2 + MOST_UNSIGNED as usize).contains(&line),
                None => name == "truncate",
            };
            assert!(is_near, "{name} at {at}: {}", ended.out);
            count += 1;
        }
    }
    assert!(count >= 600, "{count}");
}

#[test]
fn a_whole_log_is_complete_and_says_so() {
    let (lines, key) = log(1, 3, true);
    let ended = verify(&lines, &["--public-key", &key.to_string()]);
    assert!(README.contains(&ended.out), "README.md lacks:\n{ended}");
    insta::assert_snapshot!(ended.to_string(), @r"
    -: complete
      process    boot
      key        ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c (known)
      lines      5, signed to 5
      head       sha256:5feabeb183c4d13477810d8cf01ebfc32b6264c57b32bea1be0213eecf2e60e3
    exit 0
    ");
}

#[test]
fn what_cannot_be_known_is_said() {
    let (lines, key) = log(1, 3, true);
    insta::assert_snapshot!(verify(&lines, &[]).to_string(), @r"
    -: consistent prefix to sequence 5
      process    boot
      key        ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c (not checked)
      lines      5, signed to 5
      head       sha256:5feabeb183c4d13477810d8cf01ebfc32b6264c57b32bea1be0213eecf2e60e3
      not known: whose signatures these are: no public key was given, and the one in the lines is their own word; compare it with McpServer status.replicas[].auditPublicKey, or give that with --public-key
    exit 0
    ");
    let cut = &lines[..3];
    insta::assert_snapshot!(verify(cut, &["--public-key", &key.to_string()]).to_string(), @r"
    -: consistent prefix to sequence 3
      process    boot
      key        ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c (known)
      lines      3, signed to 0
      head       sha256:c2ba6411a09187a606d114a58e72f2e3074291ee2580cc7d37a090e76a536a02
      not known: whether lines are missing at the end: there is no signed end, and no head was given; give the digest of the last line that was kept elsewhere with --head
      not known: whether lines 1 to 3 are true: no signature stands behind them yet
    exit 0
    ");
    let head = digest(&lines[2]).to_string();
    let known = ["--public-key", &key.to_string(), "--head", &head];
    insta::assert_snapshot!(verify(cut, &known).to_string(), @r"
    -: complete
      process    boot
      key        ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c (known)
      lines      3, signed to 0
      head       sha256:c2ba6411a09187a606d114a58e72f2e3074291ee2580cc7d37a090e76a536a02
    exit 0
    ");
}

#[test]
fn what_is_broken_is_named_with_what_it_may_mean() {
    let (mut lines, key) = log(1, 3, true);
    lines.remove(2);
    let ended = verify(&lines, &["--public-key", &key.to_string()]);
    assert!(README.contains(&ended.out), "README.md lacks:\n{ended}");
    insta::assert_snapshot!(ended.to_string(), @r"
    -:3: broken: line 3 does not follow the one before it
      the line before it was edited, or a line was deleted, inserted or swapped there; or another process begins, whose lines go into a file of their own
    exit 1
    ");
    let (_, other) = log(2, 0, true);
    let ended = verify(&lines, &["--public-key", &other.to_string(), "--json"]);
    insta::assert_snapshot!(ended.to_string(), @r#"
    {
      "file": "-",
      "isConsistent": false,
      "broken": {
        "line": 1,
        "reason": "the lines name the key `ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c`, not the known one",
        "meaning": "somebody else wrote the log, or the key is that of another process: each has one of its own"
      },
      "unknown": []
    }
    exit 1
    "#);
    let ended = verify(&[], &[]);
    insta::assert_snapshot!(ended.to_string(), @r"
    -: broken: there are no lines
      everything was cut off, or this is another file
      not known: whose signatures these are: no public key was given, and the one in the lines is their own word; compare it with McpServer status.replicas[].auditPublicKey, or give that with --public-key
    exit 1
    ");
}

#[test]
fn a_log_and_a_key_may_stand_in_files() {
    let (lines, key) = log(1, 3, true);
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    let (log, public_key) = (place("server.log"), place("server.pub"));
    fs::write(&log, lines.concat()).unwrap();
    fs::write(&public_key, format!("{key}\n")).unwrap();
    let ended = run(&[
        "audit",
        "verify",
        &log,
        "--public-key",
        &public_key,
        "--json",
    ]);
    assert_eq!(ended.code, 0, "{}", ended.error);
    assert!(ended.out.contains("\"isComplete\": true"), "{}", ended.out);
}

#[test]
fn what_cannot_be_used_ends_with_2() {
    for (arguments, told) in [
        (&["nowhere.log"][..], "reading `nowhere.log`: No such file"),
        (
            &["-", "--public-key", "ed25519:1"],
            "--public-key: a public key is",
        ),
        (
            &["-", "--public-key", "nowhere.pub"],
            "--public-key `nowhere.pub`: No such file",
        ),
        (&["-", "--head", "sha256:1"], "a digest is `sha256:`"),
        (&[], "FILE"),
    ] {
        let ended = run(&[&["audit", "verify"], arguments].concat());
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.out);
        assert!(ended.error.contains(told), "{arguments:?}: {}", ended.error);
    }
}

#[test]
fn a_line_without_an_end_is_not_read_for_ever() {
    let (mut lines, _) = log(1, 3, true);
    lines.insert(2, vec![b'a'; 8 << 20]);
    let ended = verify(&lines, &[]);
    assert_eq!((ended.code, named(&ended)), (1, Some(3)), "{}", ended.out);
}
