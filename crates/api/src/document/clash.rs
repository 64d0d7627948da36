//! Documents that cannot stand beside each other.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_core::key::KeyRecord;

use super::flaw::Flaw;
use super::{Document, Head};

/// Documents that another one is, by kind, namespace and name.
pub fn doubled(documents: &[Document]) -> Vec<Flaw> {
    let mut seen = BTreeSet::new();
    let again = documents.iter().filter(|document| {
        let Head { kind, metadata, .. } = &document.head;
        !seen.insert((kind, &metadata.name, document.namespace()))
    });
    again
        .map(|document| document.flaw("the document stands twice"))
        .collect()
}

/// Keys that one text opens. Were one of them revoked, whoever holds the text
/// would come in by the other.
pub fn twins(keys: &[(&Document, KeyRecord)]) -> Vec<Flaw> {
    let mut first: BTreeMap<String, &Document> = BTreeMap::new();
    let mut flaws = Vec::new();
    for (document, key) in keys {
        match first.get(&key.digest.to_string()) {
            Some(twin) => flaws.push(document.flaw(format!(
                "spec.digest is that of {} in `{}`, line {}, as well; make a key of its own for each",
                twin.name(),
                twin.file,
                twin.line
            ))),
            None => {
                first.insert(key.digest.to_string(), document);
            }
        }
    }
    flaws
}
