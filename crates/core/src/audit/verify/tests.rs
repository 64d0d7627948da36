//! Every way to tamper with a log, at every line of a long one.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::audit::blank_event;
use crate::audit::chain::{Chain, Identity};
use crate::name::Organization;

/// Long enough that every distance from a signature occurs several times.
const LINES: usize = 1_000;

fn identity() -> Identity {
    Identity {
        organization: Organization::parse("acme").unwrap(),
        tenant_uid: "uid".into(),
    }
}

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn without_end(mut line: Vec<u8>) -> Vec<u8> {
    assert_eq!(line.pop(), Some(b'\n'));
    line
}

/// The lines of a process that took `count` events, signed as a server does.
fn log(seed: u8, count: usize, ends: bool) -> (Vec<Vec<u8>>, PublicKey) {
    let mut chain = Chain::new("boot".into(), &[seed; 32]).unwrap();
    let mut lines = vec![chain.start(&identity(), "0", now())];
    for number in 0..count {
        lines.push(chain.event(&identity(), &blank_event(format!("boot-{number}")), now()));
        if chain.unsigned() >= MOST_UNSIGNED {
            lines.push(chain.checkpoint(Kind::Checkpoint, &identity(), 0, now()));
        }
    }
    if ends {
        lines.push(chain.checkpoint(Kind::End, &identity(), 0, now()));
    }
    (
        lines.into_iter().map(without_end).collect(),
        chain.public_key(),
    )
}

fn slices(lines: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    lines.iter().map(Vec::as_slice)
}

fn head_of(lines: &[Vec<u8>]) -> Head {
    Head {
        sequence: lines.len() as u64,
        digest: Digest::of(lines.last().unwrap()),
    }
}

fn trusted(public_key: PublicKey) -> Known {
    Known {
        public_key: Some(public_key),
        head: None,
    }
}

/// What stands from a line on, made as it is read.
type Rest<'l> = Box<dyn Iterator<Item = Vec<u8>> + 'l>;

/// Lines with new numbers and digests, to follow `before`, as somebody writes
/// them who has everything but the key; signatures stay as they are.
fn rechained<'l>(before: &[Vec<u8>], lines: impl Iterator<Item = Vec<u8>> + 'l) -> Rest<'l> {
    let mut head = before
        .last()
        .map_or(Head::before_all(), |_| head_of(before));
    Box::new(lines.map(move |line| {
        let text = String::from_utf8(line).unwrap();
        let (start, rest) = text.split_once("\"sequence\":").unwrap();
        let (_, rest) = rest.split_once('}').unwrap();
        let (middle, rest) = rest.split_once("\"previous\":\"").unwrap();
        let (_, rest) = rest.split_once('"').unwrap();
        let (sequence, digest) = (head.sequence + 1, head.digest);
        let text =
            format!("{start}\"sequence\":{sequence}}}{middle}\"previous\":\"{digest}\"{rest}");
        head = Head {
            sequence,
            digest: Digest::of(text.as_bytes()),
        };
        text.into_bytes()
    }))
}

fn edited(line: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(line.to_vec()).unwrap();
    text.replace("acme", "acne").into_bytes()
}

#[test]
fn an_untouched_log_is_proven() {
    let (lines, key) = log(1, LINES, true);
    let proof = verify(slices(&lines), trusted(key)).unwrap();
    assert_eq!(
        proof.to_string(),
        format!(
            "process boot: complete, {0} lines, signed to {0}",
            lines.len()
        )
    );
    let proof = verify(slices(&lines), Known::default()).unwrap();
    assert!(!proof.is_trusted && !proof.is_complete);
}

#[test]
fn lines_behind_the_last_signature_are_a_consistent_prefix() {
    let (lines, key) = log(1, 150, false);
    let proof = verify(slices(&lines), trusted(key)).unwrap();
    assert_eq!(
        proof.to_string(),
        "process boot: consistent prefix to sequence 152, signed to 101"
    );
    let known = Known {
        head: Some(head_of(&lines).digest),
        ..trusted(key)
    };
    assert!(verify(slices(&lines), known).unwrap().is_complete);
}

/// One way to tamper: what stands from that line on afterwards, or nothing
/// where it does not apply.
type Tamper = for<'l> fn(&'l [Vec<u8>], usize) -> Option<Rest<'l>>;

const TAMPERS: [(&str, Tamper); 9] = [
    ("edit a byte", |lines, at| {
        let mut line = lines[at].clone();
        let middle = line.len() / 2;
        line[middle] ^= 1;
        Some(Box::new(
            [line].into_iter().chain(lines[at + 1..].iter().cloned()),
        ))
    }),
    ("edit a value", |lines, at| {
        let line = edited(&lines[at]);
        Some(Box::new(
            [line].into_iter().chain(lines[at + 1..].iter().cloned()),
        ))
    }),
    ("delete", |lines, at| {
        Some(Box::new(lines[at + 1..].iter().cloned()))
    }),
    ("repeat", |lines, at| {
        let twice = [lines[at].clone(), lines[at].clone()];
        Some(Box::new(
            twice.into_iter().chain(lines[at + 1..].iter().cloned()),
        ))
    }),
    ("insert another process's line", |lines, at| {
        static FOREIGN: LazyLock<Vec<u8>> = LazyLock::new(|| log(2, 3, false).0.swap_remove(2));
        let foreign = FOREIGN.clone();
        Some(Box::new(
            [foreign].into_iter().chain(lines[at..].iter().cloned()),
        ))
    }),
    ("swap", |lines, at| {
        let swapped = [lines.get(at + 1)?.clone(), lines[at].clone()];
        Some(Box::new(
            swapped.into_iter().chain(lines[at + 2..].iter().cloned()),
        ))
    }),
    ("truncate", |_, _| Some(Box::new(std::iter::empty()))),
    ("delete and chain anew", |lines, at| {
        Some(rechained(&lines[..at], lines[at + 1..].iter().cloned()))
    }),
    ("edit and chain anew", |lines, at| {
        let line = edited(&lines[at]);
        Some(rechained(
            &lines[..at],
            [line].into_iter().chain(lines[at + 1..].iter().cloned()),
        ))
    }),
];

/// Reads the rest and answers whether the log passes for a whole one.
fn passes(mut verifier: Verifier, rest: Rest<'_>) -> bool {
    for line in rest {
        if verifier.read(&line).is_err() {
            return false;
        }
    }
    verifier.finish().is_ok_and(|proof| proof.is_complete)
}

/// With a key known from elsewhere, no change to a log that has ended passes.
#[test]
fn every_tampering_at_every_line_is_found() {
    let (lines, key) = log(1, LINES, true);
    // What stands before the change is read once.
    let mut untouched = Verifier::new(trusted(key));
    let mut tampered = 0;
    for at in 0..lines.len() {
        for (name, tamper) in TAMPERS {
            let Some(rest) = tamper(&lines, at) else {
                continue;
            };
            assert!(!passes(untouched.clone(), rest), "{name} at line {at}");
            tampered += 1;
        }
        let rest = Box::new(lines[at..].iter().cloned());
        assert!(
            at % 100 != 0 || passes(untouched.clone(), rest),
            "untouched"
        );
        untouched.read(&lines[at]).unwrap();
    }
    println!("{tampered} tampered logs, all found");
    assert!(tampered >= 9_000, "{tampered}");
}

/// Whoever has no key writes a whole log of his own.
#[test]
fn a_log_signed_by_another_key_is_found() {
    let (_, key) = log(1, 1, true);
    let (forged, own) = log(2, LINES, true);
    assert_eq!(
        verify(slices(&forged), trusted(key)),
        Err(BrokenChain::ForeignKey { found: own })
    );
}

/// From one line on everything is forged, with the true key's name on top.
#[test]
fn a_fork_at_every_line_is_found() {
    let (lines, key) = log(1, LINES, true);
    let (forged, _) = log(2, LINES, true);
    let mut forks = 0;
    let mut untouched = Verifier::new(trusted(key));
    for at in 0..lines.len() {
        let fork = rechained(&lines[..at], forged[at..].iter().cloned());
        assert!(!passes(untouched.clone(), fork), "line {at}");
        forks += 1;
        untouched.read(&lines[at]).unwrap();
    }
    println!("{forks} forks, all found");
}

/// A process that was killed has no end; a head that was kept elsewhere tells.
#[test]
fn with_a_known_head_no_tail_is_missed_and_none_is_forged() {
    let (lines, key) = log(1, 250, false);
    let known = Known {
        head: Some(head_of(&lines).digest),
        ..trusted(key)
    };
    for length in 1..lines.len() {
        let error = verify(slices(&lines[..length]), known).unwrap_err();
        assert_eq!(
            error,
            BrokenChain::HeadMissing {
                head: head_of(&lines).digest
            }
        );
    }
    let mut forged = lines;
    let last = forged.pop().unwrap();
    forged.push(edited(&last));
    assert!(verify(slices(&forged), known).is_err());
}

#[test]
fn a_log_without_its_signatures_is_no_log() {
    let (lines, key) = log(1, LINES, true);
    let is_signed = |line: &&Vec<u8>| {
        let value: Value = serde_json::from_slice(line).unwrap();
        value["unmapped"]["signature"].is_string()
    };
    let bare = lines.iter().filter(|line| !is_signed(line)).cloned();
    let bare: Vec<Vec<u8>> = rechained(&[], bare).collect();
    assert_eq!(
        verify(slices(&bare), trusted(key)),
        Err(BrokenChain::Unsigned { line: 101 })
    );
}

#[test]
fn what_is_no_log_is_told() {
    let (lines, key) = log(1, 5, true);
    let known = trusted(key);
    assert_eq!(verify([], known), Err(BrokenChain::Empty));
    assert_eq!(
        verify(slices(&lines[1..]), known),
        Err(BrokenChain::NoStart)
    );
    assert_eq!(
        verify([b"{}".as_slice()], known),
        Err(BrokenChain::Unreadable { line: 1 })
    );
    let doubled = String::from_utf8(lines[0].clone()).unwrap();
    let doubled = doubled.replace(
        "\"boot_id\":\"boot\"",
        "\"boot_id\":\"boot\",\"boot_id\":\"boot\"",
    );
    assert_eq!(
        verify([doubled.as_bytes()], known),
        Err(BrokenChain::Unreadable { line: 1 })
    );
    let after = [lines.clone(), vec![json!({}).to_string().into_bytes()]].concat();
    let line = after.len() as u64;
    assert_eq!(
        verify(slices(&after), known),
        Err(BrokenChain::AfterEnd { line })
    );
}
