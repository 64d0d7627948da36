//! Secrets that must not be seen, and the search for them: values made for one
//! run, in every form in which a program might let them slip. Where to look is
//! for the tiers to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use aho_corasick::AhoCorasick;
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Shorter values, or their halves, would be found by chance.
const SHORTEST: usize = 24;

/// A value that belongs in no sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// What kind of secret it is.
    pub class: String,
    /// The secret.
    pub value: String,
}

impl Canary {
    /// A secret of some kind.
    pub fn new(class: &str, value: impl Into<String>) -> Self {
        Self {
            class: class.into(),
            value: value.into(),
        }
    }
}

/// A secret that was seen: never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Find {
    /// What kind of secret.
    pub class: String,
    /// Where.
    pub sink: String,
    /// In which form.
    pub form: &'static str,
}

/// Looks for canaries and keeps count of where it looked.
pub struct Scanner {
    automaton: AhoCorasick,
    /// Class and form of each pattern.
    patterns: Vec<(String, &'static str)>,
    sinks: BTreeMap<String, u64>,
    finds: BTreeSet<Find>,
}

impl Scanner {
    /// Looks for these.
    pub fn new(canaries: &[Canary]) -> Result<Self> {
        let mut patterns = Vec::new();
        let mut needles = Vec::new();
        for Canary { class, value } in canaries {
            ensure!(
                value.len() >= SHORTEST,
                "the canary of class `{class}` is too short to be told from chance"
            );
            for (form, needle) in forms(value) {
                patterns.push((class.clone(), form));
                needles.push(needle);
            }
        }
        Ok(Self {
            automaton: AhoCorasick::new(needles).context("compile the canaries")?,
            patterns,
            sinks: BTreeMap::new(),
            finds: BTreeSet::new(),
        })
    }

    /// Looks into what a sink holds.
    pub fn search(&mut self, sink: &str, held: &[u8]) {
        *self.sinks.entry(sink.into()).or_default() += held.len() as u64;
        self.look(sink, held);
        // Some writers of JSON escape slashes, which stand in base64 as well.
        let plain = without_escaped_slashes(held);
        if plain.len() < held.len() {
            self.look(sink, &plain);
        }
    }

    fn look(&mut self, sink: &str, held: &[u8]) {
        for found in self.automaton.find_overlapping_iter(held) {
            let (class, form) = &self.patterns[found.pattern().as_usize()];
            self.finds.insert(Find {
                class: class.clone(),
                sink: sink.into(),
                form,
            });
        }
    }

    /// Looks into a file; what is packed is unpacked.
    pub fn search_file(&mut self, sink: &str, file: &Path) -> Result<()> {
        let held = if file.extension().is_some_and(|extension| extension == "gz") {
            let unpacked = Command::new("gzip")
                .args(["--decompress", "--stdout"])
                .arg(file)
                .stderr(Stdio::null())
                .output();
            unpacked.context("run gzip")?.stdout
        } else {
            fs::read(file).with_context(|| format!("read {}", file.display()))?
        };
        self.search(sink, &held);
        Ok(())
    }

    /// What was seen.
    pub fn finds(&self) -> &BTreeSet<Find> {
        &self.finds
    }

    /// How many bytes were looked at in each sink.
    pub fn sinks(&self) -> &BTreeMap<String, u64> {
        &self.sinks
    }

    /// Where it looked for how much, and what it saw; to be printed.
    pub fn report(&self) -> String {
        let classes: BTreeSet<_> = self.patterns.iter().map(|(class, _)| class).collect();
        let forms: BTreeSet<_> = self.patterns.iter().map(|(_, form)| form).collect();
        let bytes: u64 = self.sinks.values().sum();
        let mut text = format!(
            "{} classes of secrets in {} forms ({} patterns), {} sinks, {bytes} bytes: {} found\n",
            classes.len(),
            forms.len(),
            self.patterns.len(),
            self.sinks.len(),
            self.finds.len()
        );
        for (sink, bytes) in &self.sinks {
            let _ = writeln!(text, "  {bytes:>12} bytes  {sink}");
        }
        for find in &self.finds {
            let _ = writeln!(
                text,
                "  FOUND {} as {} in {}",
                find.class, find.form, find.sink
            );
        }
        text
    }
}

/// The forms of a value, those that differ: whole and cut in half, base64 at
/// each place that it can have in a longer text, hexadecimal, as a part of an
/// URL and of JSON, and of JSON inside JSON, as log agents write it.
fn forms(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = value.as_bytes();
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let hex: String = bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let json = in_json(value);
    let mut forms: Vec<(&'static str, Vec<u8>)> = vec![
        ("raw", bytes.to_vec()),
        ("first half", head.to_vec()),
        ("second half", tail.to_vec()),
        ("base64 at 0", base64_at(0, bytes).into()),
        ("base64 at 1", base64_at(1, bytes).into()),
        ("base64 at 2", base64_at(2, bytes).into()),
        ("base64url at 0", url_safe(&base64_at(0, bytes)).into()),
        ("base64url at 1", url_safe(&base64_at(1, bytes)).into()),
        ("base64url at 2", url_safe(&base64_at(2, bytes)).into()),
        ("HEX", hex.to_uppercase().into()),
        ("hex", hex.into()),
        ("URL", in_url(bytes).into()),
        ("JSON in JSON", in_json(&json).into()),
        ("JSON", json.into()),
    ];
    let mut seen = BTreeSet::new();
    forms.retain(|(_, form)| seen.insert(form.clone()));
    forms
}

/// The characters of a base64 text that are the value's alone when `before`
/// bytes stand before it and any after it.
fn base64_at(before: usize, value: &[u8]) -> String {
    let padded = [&vec![0; before], value].concat();
    let text = STANDARD_NO_PAD.encode(&padded);
    let first = (before * 8).div_ceil(6);
    let whole = padded.len() * 8 / 6;
    text[first..whole].to_owned()
}

fn without_escaped_slashes(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    for (place, byte) in text.iter().enumerate() {
        if *byte != b'\\' || text.get(place + 1) != Some(&b'/') {
            plain.push(*byte);
        }
    }
    plain
}

fn url_safe(base64: &str) -> String {
    base64.replace('+', "-").replace('/', "_")
}

fn in_url(value: &[u8]) -> String {
    value.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn in_json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of what JSON, URLs and both alphabets of base64 write differently.
    const SECRET: &str = "EAA|\"quoted\"/and+?????0123456789abcdef";

    fn found(text: &str) -> Vec<&'static str> {
        let mut scanner = Scanner::new(&[Canary::new("token", SECRET)]).unwrap();
        scanner.search("log", text.as_bytes());
        scanner.finds().iter().map(|find| find.form).collect()
    }

    #[test]
    fn every_form_is_found() {
        let base64 = |text: String| STANDARD_NO_PAD.encode(text);
        let twice = serde_json::Value::from(SECRET).to_string();
        let thrice = serde_json::Value::from(twice.clone()).to_string();
        let hex = SECRET
            .bytes()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        for (form, text) in [
            ("raw", format!("said {SECRET}.")),
            (
                "first half",
                format!("said {}…", &SECRET[..SECRET.len() - 9]),
            ),
            ("second half", format!("said …{}", &SECRET[9..])),
            ("base64 at 0", base64(format!("abc{SECRET}and more"))),
            ("base64 at 1", base64(format!("Bearer {SECRET}"))),
            ("base64 at 2", base64(format!("ab{SECRET}x"))),
            ("base64url at 1", url_safe(&base64(format!("a{SECRET}")))),
            ("hex", hex.clone()),
            ("HEX", hex.to_uppercase()),
            ("URL", format!("?token={}&x=y", in_url(SECRET.as_bytes()))),
            ("JSON", format!("{{\"token\":{twice}}}")),
            ("JSON in JSON", format!("{{\"log\":{thrice}}}")),
            ("JSON in JSON", thrice.replace('/', "\\/")),
        ] {
            assert!(found(&text).contains(&form), "{form}: {:?}", found(&text));
        }
    }

    #[test]
    fn what_is_no_secret_is_not_found() {
        assert!(found("EAA|\"quoted\" and 123456789abcde").is_empty());
        assert!(found("").is_empty());
    }

    #[test]
    fn a_find_does_not_repeat_the_secret() {
        let mut scanner = Scanner::new(&[Canary::new("token", SECRET)]).unwrap();
        scanner.search("log", SECRET.as_bytes());
        let report = scanner.report();
        assert!(report.contains("FOUND token as raw in log"), "{report}");
        assert!(!report.contains("0123456789abcdef"), "{report}");
    }

    #[test]
    fn a_short_secret_is_refused_as_it_would_be_found_by_chance() {
        assert!(Scanner::new(&[Canary::new("token", "short")]).is_err());
    }
}
