//! Questions as `McpApproval`s.

use std::time::Instant;

use futures::future::BoxFuture;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;
use tenantry_api::label;
use tenantry_api::mcp_approval::{ApprovalRequest, McpApproval, McpApprovalStatus};
use tenantry_api::mcp_server::McpServer;
use tenantry_core::cause::chain;

use super::Kubernetes;
use super::follow::Listener;
use crate::control_plane::{Approvals, AskError, LiveError, Question};
use crate::knowledge::Knowledge;

const WHAT: &str = "an approval";

/// The API server's word for it.
const NOT_FOUND: &str = "NotFound";

impl Approvals for Kubernetes {
    fn ask<'a>(
        &'a self,
        name: &'a str,
        request: &'a ApprovalRequest,
    ) -> BoxFuture<'a, Result<Question, AskError>> {
        Box::pin(async move {
            let failed = |error: LiveError| AskError::Failed(Box::new(error));
            let server = self.servers.get_opt(label::SERVER).await;
            let server = server.map_err(|error| AskError::Failed(Box::new(error)))?;
            let approval = json!({
                "apiVersion": McpApproval::api_version(&()),
                "kind": McpApproval::kind(&()),
                // It goes with the organisation's server.
                "metadata": {"name": name, "ownerReferences": server.and_then(|server| Some(json!([{
                    "apiVersion": McpServer::api_version(&()),
                    "kind": McpServer::kind(&()),
                    "name": label::SERVER,
                    "uid": server.metadata.uid?,
                }])))},
                "spec": {"request": request},
            });
            let approval = serde_json::from_value(approval);
            let approval: DynamicObject =
                approval.map_err(|error| AskError::Refused(Box::new(error)))?;
            let params = PostParams {
                field_manager: Some(label::SERVER_ACCOUNT.into()),
                ..PostParams::default()
            };
            match self.approvals.create(&params, &approval).await {
                Ok(created) => question(&created).ok_or_else(|| failed(unreadable())),
                // Asked before, and not put down: this process or another one died.
                Err(kube::Error::Api(status)) if status.is_already_exists() => {
                    let standing = self.look(name).await.map_err(failed)?;
                    standing.ok_or_else(|| failed(unreadable()))
                }
                // Forbidden is also a quota that is used up, which says so.
                Err(kube::Error::Api(status)) if is_quota(&status.message) => {
                    Err(AskError::Full(Box::new(kube::Error::Api(status))))
                }
                Err(kube::Error::Api(status)) if status.is_invalid() => {
                    Err(AskError::Refused(Box::new(kube::Error::Api(status))))
                }
                Err(error) => Err(AskError::Failed(Box::new(error))),
            }
        })
    }

    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Question>, LiveError>> {
        Box::pin(async move {
            match self.approvals.get(name).await {
                Ok(found) => question(&found).map(Some).ok_or_else(unreadable),
                // A proxy's 404 is no word of the API server.
                Err(kube::Error::Api(status)) if status.reason == NOT_FOUND => Ok(None),
                Err(error) => Err(failed(error)),
            }
        })
    }

    fn tell<'a>(
        &'a self,
        question: &'a Question,
        status: &'a McpApprovalStatus,
    ) -> BoxFuture<'a, Result<(), LiveError>> {
        Box::pin(async move {
            // A merge patch of a status does not compare the UID.
            let patch = serde_json::from_value(json!([
                {"op": "test", "path": "/metadata/uid", "value": question.uid},
                {"op": "add", "path": "/status", "value": status},
            ]));
            let patch = patch.map_err(|error| failed(kube::Error::SerdeError(error)))?;
            let params = PatchParams {
                field_manager: Some(label::SERVER_ACCOUNT.into()),
                ..PatchParams::default()
            };
            let patch = Patch::Json::<()>(patch);
            let patched = self.approvals.patch_status(&question.name, &params, &patch);
            match patched.await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                Err(error) => Err(failed(error)),
            }
        })
    }

    fn clear<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<(), LiveError>> {
        Box::pin(async move {
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: Some(question.uid.clone()),
                    ..Preconditions::default()
                }),
                ..DeleteParams::default()
            };
            match self.approvals.delete(&question.name, &params).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                Err(error) => Err(failed(error)),
            }
        })
    }
}

pub(super) struct QuestionListener<'k>(pub &'k Knowledge);

impl Listener for QuestionListener<'_> {
    const WHAT: &'static str = "the approvals";

    fn all(&self, objects: Vec<DynamicObject>) {
        self.0.tell_questions(objects.iter().filter_map(question));
    }

    fn put(&self, object: DynamicObject) {
        match question(&object) {
            Some(question) => self.0.tell_question(question),
            None => self.gone(&object),
        }
    }

    fn gone(&self, object: &DynamicObject) {
        self.0.forget_question(&object.name_any());
    }

    fn heard(&self, _: Instant) {}
}

/// What the object says; one that cannot be read is none, and so is denied.
fn question(object: &DynamicObject) -> Option<Question> {
    let approval = object.clone().try_parse::<McpApproval>();
    let approval = approval.map_err(|error| {
        tracing::warn!(
            approval = object.name_any(),
            error = chain(&error),
            "an McpApproval cannot be read"
        );
    });
    let McpApproval {
        metadata,
        spec,
        status,
    } = approval.ok()?;
    Some(Question {
        name: metadata.name?,
        uid: metadata.uid?,
        spec,
        status: status.unwrap_or_default(),
        created_at: metadata.creation_timestamp.map(|time| time.0),
        is_going: metadata.deletion_timestamp.is_some(),
    })
}

fn is_quota(message: &str) -> bool {
    message.contains("exceeded quota")
}

fn failed(error: kube::Error) -> LiveError {
    LiveError {
        what: WHAT,
        cause: Box::new(error),
    }
}

fn unreadable() -> LiveError {
    LiveError {
        what: WHAT,
        cause: "it is not there as it was written".into(),
    }
}
