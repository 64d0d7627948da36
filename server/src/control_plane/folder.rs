//! The control plane without a cluster: a folder of the documents that
//! `kubectl apply` takes, or one file of them. It is looked at twice a second;
//! a folder that cannot be read changes nothing and is said aloud.

pub mod documents;

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tenantry_api::compile::OperatorView;
use tenantry_api::mcp_server::ReplicaReport;
use tenantry_core::freeze::{Freeze, Freezes};
use tenantry_core::key::KeyRecord;
use tenantry_core::name::{ConnectorName, KeyId};

use super::{ControlPlane, Live, LiveError, ReportError};
use crate::cause::chain;
use crate::credentials::held::HeldSecrets;
use crate::knowledge::{Knowledge, RawContract, Topic};
use documents::{Declared, Refused, Source, declared};

/// Between looks. What changed is taken up when two looks saw the same, so that
/// nobody is served by half a file.
const LOOK: Duration = Duration::from_millis(500);

/// An organisation's documents are a few KiB.
const LARGEST_FILE: u64 = 1 << 20;
const MOST_FILES: usize = 256;

/// Stands for the object that a cluster would keep the contract in.
const UID: &str = "folder";

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or the folder cannot be read.
    #[error("reading `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The documents are wrong.
    #[error("reading the documents: {}", .0.flaws)]
    Documents(Refused),
    /// A fake for a connector that there is not, while another one would go to
    /// the real vendor.
    #[error("--sandbox-base-url names the connector `{0}`, which the McpTenant does not have")]
    Sandbox(ConnectorName),
}

/// A folder of documents.
pub struct Folder {
    path: PathBuf,
    view: OperatorView,
    secrets: Arc<HeldSecrets>,
    report_file: Option<PathBuf>,
    contract: Mutex<Option<RawContract>>,
    /// What took hold last.
    last: Mutex<Restraint>,
}

/// What keeps callers from something.
#[derive(Default)]
struct Restraint {
    freezes: Freezes,
    keys: Vec<KeyRecord>,
}

impl Restraint {
    /// Lets what stops somebody take hold, beside all that did before.
    fn tighten(&mut self, refused: &Refused) {
        for freeze in refused.freezes.iter() {
            let is_alike =
                |known: &Freeze| known.scope == freeze.scope && known.access == freeze.access;
            if !self.freezes.iter().any(is_alike) {
                // Under a name of its own, and none that a document can have:
                // what holds already under that name may be stricter.
                let name = format!("{} ({})", freeze.name, self.freezes.iter().count());
                self.freezes.put(Freeze {
                    name,
                    ..freeze.clone()
                });
            }
        }
        for key in &mut self.keys {
            key.disabled |= refused.revoked.contains(&key.id);
        }
    }

    /// The freezes, and one more: what cannot be read may have been a freeze, so
    /// nothing may change.
    fn freezes_in_doubt(&self) -> impl Iterator<Item = Freeze> {
        let flaw = "the documents cannot be read".to_owned();
        let doubt = Freeze::unreadable("(documents)", None, flaw);
        self.freezes.iter().cloned().chain([doubt])
    }
}

impl Folder {
    /// Opens the folder, or the file, at `path`. What is wrong at the start is
    /// an error; what becomes wrong later is only told.
    pub fn open(
        path: PathBuf,
        view: OperatorView,
        report_file: Option<PathBuf>,
    ) -> Result<Self, FolderError> {
        let folder = Self {
            path,
            view,
            secrets: Arc::default(),
            report_file,
            contract: Mutex::default(),
            last: Mutex::default(),
        };
        let declared = folder.declared(&sources(&folder.path)?)?;
        let has = |name: &ConnectorName| {
            declared
                .tenant
                .connectors
                .iter()
                .any(|one| one.name == *name)
        };
        if let Some(name) = folder.view.sandbox_base_urls.keys().find(|name| !has(name)) {
            return Err(FolderError::Sandbox(name.clone()));
        }
        folder.secrets.hold(&declared.secrets);
        for document in &declared.ignored {
            tracing::info!(document, "a document says nothing here");
        }
        Ok(folder)
    }

    /// The Secrets among the documents, as they are taken up.
    pub fn secrets(&self) -> Arc<HeldSecrets> {
        Arc::clone(&self.secrets)
    }

    fn declared(&self, sources: &[Source]) -> Result<Declared, FolderError> {
        declared(sources, &self.view).map_err(FolderError::Documents)
    }

    fn take_up(&self, sources: &[Source], knowledge: &Knowledge) {
        match self.declared(sources) {
            Ok(declared) => {
                let contract = self.raw_contract(&declared);
                // What tightens comes first.
                knowledge.tell_freezes(declared.freezes.iter().cloned());
                knowledge.tell_keys(declared.keys.iter().cloned());
                self.secrets.hold(&declared.secrets);
                *self.last() = Restraint {
                    freezes: declared.freezes,
                    keys: declared.keys,
                };
                knowledge.tell_contract(Some(contract));
                knowledge.tell_flaw(None);
            }
            Err(error) => {
                let told = chain(&error);
                tracing::error!(
                    error = told,
                    "the documents changed nothing, and stop changes"
                );
                if let FolderError::Documents(refused) = &error {
                    self.tighten(refused, knowledge);
                }
                knowledge.tell_flaw(Some(told));
            }
        }
    }

    fn tighten(&self, refused: &Refused, knowledge: &Knowledge) {
        let mut last = self.last();
        last.tighten(refused);
        knowledge.tell_freezes(last.freezes_in_doubt());
        knowledge.tell_keys(last.keys.iter().cloned());
    }

    fn last(&self) -> MutexGuard<'_, Restraint> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The contract as an object would hold it: its generation grows when it
    /// changes, and only then.
    fn raw_contract(&self, declared: &Declared) -> RawContract {
        let mut last = self.contract.lock().unwrap_or_else(PoisonError::into_inner);
        let contract = value(declared);
        if let Some(last) = last.as_ref().filter(|last| last.contract == contract) {
            return last.clone();
        }
        let before = last.as_ref().and_then(|last| last.generation).unwrap_or(0);
        let raw = RawContract {
            uid: UID.into(),
            generation: Some(before + 1),
            contract,
        };
        last.insert(raw).clone()
    }
}

impl ControlPlane for Folder {
    fn follow(&self, knowledge: Arc<Knowledge>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (mut seen, mut judged) = (None, None);
            let mut is_first = true;
            loop {
                match sources(&self.path) {
                    Ok(present) => {
                        let is_settled = is_first || seen.as_ref() == Some(&present);
                        is_first = false;
                        if is_settled && judged.as_ref() != Some(&present) {
                            self.take_up(&present, &knowledge);
                            judged = Some(present.clone());
                        }
                        seen = Some(present);
                        for topic in [Topic::Contract, Topic::Keys, Topic::Freezes] {
                            knowledge.heard(topic, Instant::now());
                        }
                    }
                    Err(error) => {
                        let told = chain(&error);
                        tracing::warn!(error = told, "lost sight of the documents");
                        knowledge.tell_flaw(Some(told));
                        judged = None;
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        })
    }

    fn read_live<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<Live, LiveError>> {
        Box::pin(async move {
            let read = sources(&self.path).and_then(|sources| self.declared(&sources));
            let declared = read.map_err(|error| LiveError {
                what: "the documents",
                cause: Box::new(error),
            })?;
            Ok(Live {
                contract: Some(RawContract {
                    uid: UID.into(),
                    generation: None,
                    contract: value(&declared),
                }),
                key: declared.keys.into_iter().find(|record| record.id == *key),
                freezes: declared.freezes,
            })
        })
    }

    fn report<'a>(&'a self, report: &'a ReplicaReport) -> BoxFuture<'a, Result<(), ReportError>> {
        Box::pin(async move {
            tracing::info!(
                serving = report.serving,
                access = report.access.map(tenantry_core::access::Access::as_str),
                reason = report.reason,
                message = report.message,
                "the server reports"
            );
            let Some(file) = &self.report_file else {
                return Ok(());
            };
            write_whole(file, report).map_err(|cause| ReportError {
                pod: report.pod.clone(),
                cause: Box::new(cause),
            })
        })
    }
}

fn value(declared: &Declared) -> serde_json::Value {
    // A struct of strings, numbers and vectors always has a JSON form.
    serde_json::to_value(&declared.tenant).unwrap_or_default()
}

fn write_whole(file: &Path, report: &ReplicaReport) -> io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    std::fs::write(&new, serde_json::to_vec_pretty(report)?)?;
    std::fs::rename(new, file)
}

/// The files at `path`, by name: itself, or the YAML and JSON files in it.
fn sources(path: &Path) -> Result<Vec<Source>, FolderError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| FolderError::Read { path, cause }
    };
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(failed(path))?;
        let entries = entries
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed(path))?;
        paths = entries.iter().map(std::fs::DirEntry::path).collect();
        paths.retain(|path| is_document(path));
        paths.sort();
    }
    if paths.len() > MOST_FILES {
        return Err(failed(path)(ErrorKind::FileTooLarge.into()));
    }
    let source = |path: &PathBuf| {
        Ok(Source {
            file: path.display().to_string(),
            text: text(path).map_err(failed(path))?,
        })
    };
    paths.iter().map(source).collect()
}

/// The text of a file of documents. A pipe or a device would keep the reader.
fn text(path: &Path) -> io::Result<String> {
    let kind = std::fs::metadata(path)?;
    if !kind.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    let mut text = String::new();
    File::open(path)?
        .take(LARGEST_FILE + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

fn is_document(path: &Path) -> bool {
    let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
    let kinds = ["yaml", "yml", "json"];
    path.extension()
        .is_some_and(|extension| kinds.iter().any(|kind| extension == *kind))
        && !path.file_name().is_some_and(hidden)
}

#[cfg(test)]
mod tests {
    use tenantry_core::access::Access;

    use super::*;

    fn freeze(name: &str, access: &str) -> Freeze {
        let spec = serde_json::json!({"access": access});
        tenantry_api::mcp_freeze::read(name, &spec)
    }

    fn refused(freezes: impl IntoIterator<Item = Freeze>) -> Refused {
        let declared = declared(&[], &OperatorView::default());
        Refused {
            freezes: freezes.into_iter().collect(),
            ..declared.err().unwrap()
        }
    }

    /// What holds after the folder was refused with each of these in turn.
    fn after(declared: &[Freeze], then: &[Freeze]) -> Access {
        let mut last = Restraint {
            freezes: declared.iter().cloned().collect(),
            keys: vec![],
        };
        let mut told = Freezes::default();
        for freeze in then {
            last.tighten(&refused([freeze.clone()]));
            told = last.freezes_in_doubt().collect();
        }
        told.access_of_all(Access::ReadWrite)
    }

    #[test]
    fn no_edit_of_a_flawed_folder_loosens_a_freeze() {
        let (disabled, read_only) = (freeze("stop", "Disabled"), freeze("stop", "ReadOnly"));
        let pair = |first: &Freeze, second: &Freeze| [first.clone(), second.clone()];
        for edits in [pair(&disabled, &read_only), pair(&read_only, &disabled)] {
            assert_eq!(after(&[], &edits), Access::Disabled);
            assert_eq!(after(&edits[..1], &edits[1..]), Access::Disabled);
        }
        let named_alike = freeze("documents", "Disabled");
        assert_eq!(after(&[], &[named_alike]), Access::Disabled);
    }

    #[test]
    fn the_same_edit_again_adds_nothing() {
        let mut last = Restraint::default();
        for _ in 0..3 {
            last.tighten(&refused([freeze("stop", "Disabled")]));
        }
        assert_eq!(last.freezes.iter().count(), 1);
    }
}
