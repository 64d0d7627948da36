//! Judges the documents: whether they can be read, and then obeyed. It blocks
//! for as long as the disk, and for moments where there are many documents.

use std::path::PathBuf;
use std::sync::Arc;

use tenantry_api::compile::OperatorView;
use tenantry_api::document::files::{Source, sources};

use super::documents::{Declared, declared};
use super::{FolderError, contract};
use crate::in_force::Workshop;
use tenantry_core::cause::chain;

/// What documents are judged by.
pub(super) struct Judge {
    pub(super) path: PathBuf,
    pub(super) view: OperatorView,
    /// Tries whether a contract can be obeyed, before anything of it is.
    pub(super) trial: Workshop,
}

impl Judge {
    /// The files as they are now.
    pub(super) fn look(&self) -> Result<Vec<Source>, FolderError> {
        sources(&self.path).map_err(|cause| FolderError::Read {
            path: self.path.clone(),
            cause,
        })
    }

    pub(super) fn declared(&self, sources: &[Source]) -> Result<Declared, FolderError> {
        declared(sources, &self.view).map_err(|refused| FolderError::Documents {
            path: self.path.clone(),
            refused,
        })
    }

    /// What is declared, if it can be obeyed: who takes it up afterwards does
    /// so as a whole.
    pub(super) fn obeyable(&self, sources: &[Source]) -> Result<Declared, FolderError> {
        let declared = self.declared(sources)?;
        match self.trial.take_up(Arc::new(contract(&declared)), None) {
            Ok(_) => Ok(declared),
            Err(error) => Err(FolderError::Documents {
                path: self.path.clone(),
                refused: declared.refused(&chain(&error)),
            }),
        }
    }
}
