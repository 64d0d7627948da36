//! The control plane without a cluster: a folder of the documents that
//! `kubectl apply` takes, or one file of them. It is looked at twice a second;
//! a folder that cannot be read changes nothing and is said aloud.

pub mod documents;
mod judge;
mod narrow;
mod report;
mod restraint;
mod sight;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tenantry_api::compile::OperatorView;
use tenantry_api::mcp_server::ReplicaReport;
use tenantry_connectors::corridor::CorridorLimits;
use tenantry_core::name::{ConnectorName, KeyId};

use super::{ControlPlane, Live, LiveError, ReportError};
use crate::catalog::Catalog;
use crate::credentials::Credentials;
use crate::credentials::held::HeldSecrets;
use crate::in_force::Workshop;
use crate::knowledge::{Knowledge, RawContract, Topic};
use documents::{Declared, Refused};
use judge::Judge;
use restraint::Restraint;
use sight::{Change, Sight};
use tenantry_core::cause::chain;

/// Between looks. What changed is taken up when two looks saw the same, so that
/// nobody is served by half a file.
const LOOK: Duration = Duration::from_millis(500);

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
    #[error("reading the documents in `{}`: {}", path.display(), refused.flaws)]
    Documents {
        /// Where they are.
        path: PathBuf,
        /// What is wrong.
        refused: Refused,
    },
    /// The report would stand among the documents, or in place of one.
    #[error("--report-file `{}` is in the folder of the documents, or one of them by way of a link; name a file elsewhere", .0.display())]
    ReportInside(PathBuf),
    /// A fake for a connector that there is not, while another one would go to
    /// the real vendor.
    #[error("--sandbox-base-url names the connector `{0}`, which the McpTenant does not have")]
    Sandbox(ConnectorName),
}

/// A folder of documents.
pub struct Folder {
    judge: Arc<Judge>,
    secrets: Arc<HeldSecrets>,
    report_file: Option<PathBuf>,
    contract: Mutex<Option<RawContract>>,
    /// What took hold last.
    last: Mutex<Restraint>,
}

impl Folder {
    /// Opens the folder, or the file, at `path`. What is wrong at the start is
    /// an error; what becomes wrong later is only told.
    pub fn open(
        path: PathBuf,
        view: OperatorView,
        catalog: Arc<Catalog>,
        report_file: Option<PathBuf>,
    ) -> Result<Self, FolderError> {
        if let Some(file) = &report_file {
            report::check_place(file, &path)?;
        }
        let secrets = Arc::<HeldSecrets>::default();
        let trial = Workshop {
            catalog,
            credentials: Credentials::Held(Arc::clone(&secrets)),
            corridor_limits: CorridorLimits::PRODUCTION,
            transport: None,
        };
        let judge = Judge { path, view, trial };
        let declared = judge.obeyable(&judge.look()?)?;
        let folder = Self {
            judge: Arc::new(judge),
            secrets,
            report_file,
            contract: Mutex::default(),
            last: Mutex::default(),
        };
        let mut faked = folder.judge.view.sandbox_base_urls.keys();
        if let Some(name) = faked.find(|name| declared.tenant.connector(name).is_none()) {
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

    /// Lets the judge work. A slow disk or many documents keep a thread of
    /// their own busy, and nobody who is being answered.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Judge) -> Result<T, FolderError> + Send + 'static,
    ) -> Result<T, FolderError> {
        let judge = Arc::clone(&self.judge);
        let done = tokio::task::spawn_blocking(move || work(&judge)).await;
        done.unwrap_or_else(|cause| {
            Err(FolderError::Read {
                path: self.judge.path.clone(),
                cause: io::Error::other(cause),
            })
        })
    }

    fn take_up(&self, judged: Result<Declared, FolderError>, knowledge: &Knowledge) {
        match judged {
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
                if let FolderError::Documents { refused, .. } = &error {
                    self.tighten(refused, knowledge);
                }
                knowledge.tell_flaw(Some(told));
            }
        }
    }

    fn tighten(&self, refused: &Refused, knowledge: &Knowledge) {
        let mut last = self.last();
        last.tighten(refused);
        knowledge.tell_freezes(last.freezes_in_doubt().iter().cloned());
        knowledge.tell_keys(last.keys.iter().cloned());
    }

    fn last(&self) -> MutexGuard<'_, Restraint> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The contract as an object would hold it: its generation grows when it
    /// changes, and only then.
    fn raw_contract(&self, declared: &Declared) -> RawContract {
        let mut last = self.contract.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = contract(declared);
        if let Some(last) = last.as_ref().filter(|last| last.contract == raw.contract) {
            return last.clone();
        }
        let before = last.as_ref().and_then(|last| last.generation).unwrap_or(0);
        let generation = Some(before + 1);
        last.insert(RawContract { generation, ..raw }).clone()
    }
}

impl ControlPlane for Folder {
    fn follow(&self, knowledge: Arc<Knowledge>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (mut seen, mut judged) = (None, None);
            let mut is_first = true;
            let mut sight = Sight::default();
            loop {
                match self.ask(Judge::look).await {
                    Ok(present) => {
                        let present = Arc::new(present);
                        if sight.got() == Change::Turned {
                            tracing::info!("the documents are in sight again");
                        }
                        let is_settled = is_first || seen.as_ref() == Some(&present);
                        is_first = false;
                        if is_settled && judged.as_ref() != Some(&present) {
                            let sources = Arc::clone(&present);
                            let verdict = self.ask(move |judge| judge.obeyable(&sources)).await;
                            self.take_up(verdict, &knowledge);
                            judged = Some(Arc::clone(&present));
                        }
                        seen = Some(present);
                        for topic in [Topic::Contract, Topic::Keys, Topic::Freezes] {
                            knowledge.heard(topic, Instant::now());
                        }
                    }
                    Err(error) => {
                        let told = chain(&error);
                        if sight.lost(&told) == Change::Turned {
                            tracing::warn!(error = told, "lost sight of the documents");
                            knowledge.tell_flaw(Some(told));
                        }
                        judged = None;
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        })
    }

    fn read_live<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<Live, LiveError>> {
        Box::pin(async move {
            let read = self.ask(|judge| judge.declared(&judge.look()?)).await;
            let declared = read.map_err(|error| LiveError {
                what: "the documents",
                cause: Box::new(error),
            })?;
            Ok(Live {
                contract: Some(contract(&declared)),
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
            let (file, written) = (file.clone(), report.clone());
            let work = move |judge: &Judge| Ok(report::write(&file, &judge.path, &written));
            let failed = |cause: Box<dyn std::error::Error + Send + Sync>| ReportError {
                pod: report.pod.clone(),
                cause,
            };
            let done = self.ask(work).await;
            done.map_err(|cause| failed(Box::new(cause)))?
                .map_err(|cause| failed(Box::new(cause)))
        })
    }
}

/// The contract as an object would hold it that was never written.
fn contract(declared: &Declared) -> RawContract {
    RawContract {
        uid: UID.into(),
        generation: None,
        // A struct of strings, numbers and vectors always has a JSON form.
        contract: serde_json::to_value(&declared.tenant).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
