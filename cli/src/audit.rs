//! `tenantry audit`: the record of a server, proven away from it. Lines are read
//! one at a time, so that a log of any length needs no more memory than a line.

mod report;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use tenantry_core::audit::chain::{LARGEST_LINE, PublicKey};
use tenantry_core::audit::verify::{BrokenChain, Known, Proof, Verifier};

use crate::answer::{self, Answer, Unusable};
use crate::cli::audit::AuditVerify;
use report::Report;

/// What stands for stdin.
const STDIN: &str = "-";

/// A public key has 72 characters; a file that is larger is another one.
const LARGEST_KEY_FILE: u64 = 4096;

/// Verifies what was asked for.
pub fn verify(asked: &AuditVerify) -> Result<Answer, Unusable> {
    let known = Known {
        public_key: asked.public_key.as_deref().map(public_key).transpose()?,
        head: asked.head,
    };
    let outcome = if asked.file.as_os_str() == STDIN {
        verdict(io::stdin().lock(), known)
    } else {
        File::open(&asked.file).and_then(|file| verdict(BufReader::new(file), known))
    };
    let file = asked.file.display().to_string();
    let verdict =
        outcome.map_err(|error| Unusable::because(format!("reading `{file}`: {error}")))?;
    let is_good = verdict.is_ok();
    let report = Report::of(file, verdict, known);
    let text = if asked.json {
        answer::json(&report)
    } else {
        report.to_string()
    };
    Ok(Answer {
        is_good,
        ..Answer::good(text)
    })
}

/// The key itself, or what stands in a file of that name.
fn public_key(text: &str) -> Result<PublicKey, Unusable> {
    let of_text = |text: &str| text.trim().parse::<PublicKey>();
    if text.starts_with("ed25519:") {
        return of_text(text).map_err(|error| Unusable::because(format!("--public-key: {error}")));
    }
    let told = |reason: String| Unusable::because(format!("--public-key `{text}`: {reason}"));
    let read = |path: &Path| {
        let mut text = String::new();
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        File::open(path)?
            .take(LARGEST_KEY_FILE)
            .read_to_string(&mut text)?;
        Ok(text)
    };
    let content = read(Path::new(text)).map_err(|error| told(error.to_string()))?;
    of_text(&content).map_err(|error| told(error.to_string()))
}

/// Reads to the end, or to the first line that breaks the chain.
fn verdict(mut lines: impl BufRead, known: Known) -> io::Result<Result<Proof, BrokenChain>> {
    let mut verifier = Verifier::new(known);
    let mut line = Vec::new();
    loop {
        line.clear();
        // One byte more than the longest line and its end: what is longer is
        // no line of ours, and is not read any further.
        let most = LARGEST_LINE as u64 + 2;
        lines.by_ref().take(most).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(verifier.finish());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if let Err(broken) = verifier.read(&line) {
            return Ok(Err(broken));
        }
    }
}
