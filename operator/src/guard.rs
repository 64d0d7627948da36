//! The proof that the admission policies on the operator's own identity are in
//! force: it asks, as a dry run, for a pod that they must refuse. What they
//! refuse is proven; what they let through is told aloud, and no decision of
//! anybody is carried out.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use tenantry_api::label;
use tokio::sync::Mutex;

use crate::tenant::chain;

/// How long a proof counts without being made again.
const AGAIN_AFTER: Duration = Duration::from_mins(1);
/// How long it counts while it cannot be made again.
const KEPT_FOR: Duration = Duration::from_mins(5);

/// The policy that has to refuse.
const POLICY: &str = "tenantry-operator-pods";

/// Whether the policies are in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// They refused what they must refuse.
    Proven,
    /// They let it through.
    Open,
    /// It could not be tried.
    Unknown {
        /// Why.
        why: String,
    },
}

/// What is known of the policies.
#[derive(Debug, Default)]
pub struct Guard {
    last: Mutex<Option<Look>>,
}

#[derive(Debug, Clone)]
struct Look {
    standing: Standing,
    namespace: String,
    tried: Instant,
    answered: Option<Instant>,
}

impl Guard {
    /// How they stand, tried in `namespace`, where the operator was let in, if
    /// the last look is too old.
    pub async fn standing(&self, client: &Client, namespace: &str) -> Standing {
        let mut last = self.last.lock().await;
        if let Some(look) = last.as_ref()
            && look.tried.elapsed() < AGAIN_AFTER
        {
            return look.standing.clone();
        }
        let look = next(last.as_ref(), forge(client, namespace).await, namespace);
        say(last.as_ref(), &look);
        *last = Some(look.clone());
        look.standing
    }

    /// Looks again where it last looked; whether the answer is another one.
    pub async fn has_changed(&self, client: &Client) -> bool {
        let Some(before) = self.last.lock().await.clone() else {
            return false;
        };
        self.standing(client, &before.namespace).await != before.standing
    }

    /// Whether the last answer was good.
    pub fn is_proven(&self) -> bool {
        let last = self.last.try_lock();
        last.is_ok_and(|last| {
            last.as_ref()
                .is_some_and(|look| look.standing == Standing::Proven)
        })
    }
}

/// Looks again for as long as it is polled; `changed` is told of every change.
pub async fn keep_proven(guard: &Guard, client: &Client, mut changed: impl FnMut()) {
    loop {
        tokio::time::sleep(AGAIN_AFTER).await;
        if guard.has_changed(client).await {
            changed();
        }
    }
}

/// What is known after `answer`. Pure but for the clock of its caller.
fn next(before: Option<&Look>, answer: Standing, namespace: &str) -> Look {
    let now = Instant::now();
    let answered = before.and_then(|look| look.answered);
    let is_recent = answered.is_some_and(|answered| now.duration_since(answered) < KEPT_FOR);
    match (before, answer) {
        // The API server is away for a moment; the policies are not.
        (Some(before), Standing::Unknown { .. }) if is_recent => Look {
            tried: now,
            ..before.clone()
        },
        (_, standing) => Look {
            answered: match standing {
                Standing::Unknown { .. } => answered,
                Standing::Proven | Standing::Open => Some(now),
            },
            standing,
            namespace: namespace.to_owned(),
            tried: now,
        },
    }
}

fn say(before: Option<&Look>, now: &Look) {
    if before.is_some_and(|before| before.standing == now.standing) {
        return;
    }
    match &now.standing {
        Standing::Proven => {
            tracing::info!("the admission policies are in force: a forged pod was refused");
        }
        Standing::Open => tracing::error!(
            "THE ADMISSION POLICIES ARE NOT IN FORCE: a forged pod was let through; install the chart tenantry-api again"
        ),
        Standing::Unknown { why } => {
            tracing::warn!(
                why,
                "whether the admission policies are in force is not known"
            );
        }
    }
}

async fn forge(client: &Client, namespace: &str) -> Standing {
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let params = PostParams {
        dry_run: true,
        field_manager: Some(label::OPERATOR.into()),
    };
    judge(&api.create(&params, &forged()).await)
}

/// A pod that the operator must not be able to build: an image of nobody's
/// choice, with the ServiceAccount of somebody else.
fn forged() -> StatefulSet {
    let labels = json!({"tenantry.dev/forged": "true"});
    let set = json!({
        "metadata": {"name": label::SERVER},
        "spec": {
            "serviceName": label::SERVER,
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "forged",
                    "containers": [{"name": "forged", "image": "forged.invalid/forged"}],
                },
            },
        },
    });
    // A constant of the right form.
    serde_json::from_value(set).unwrap_or_default()
}

fn judge<K>(answer: &Result<K, kube::Error>) -> Standing {
    match answer {
        Ok(_) => Standing::Open,
        Err(kube::Error::Api(status)) if status.message.contains(&format!("'{POLICY}'")) => {
            Standing::Proven
        }
        // It exists: nobody refused before the API server looked.
        Err(kube::Error::Api(status)) if status.code == 409 => Standing::Open,
        Err(error) => Standing::Unknown { why: chain(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> Result<(), kube::Error> {
        let status =
            json!({"status": "Failure", "code": code, "reason": "Forbidden", "message": message});
        Err(kube::Error::Api(serde_json::from_value(status).unwrap()))
    }

    fn unknown() -> Standing {
        Standing::Unknown { why: "away".into() }
    }

    #[test]
    fn only_our_policys_own_refusal_is_a_proof() {
        let ours = "statefulsets.apps \"server\" is forbidden: ValidatingAdmissionPolicy 'tenantry-operator-pods' with binding 'tenantry-operator-pods' denied request: no";
        assert_eq!(judge(&refused(403, ours)), Standing::Proven);
        assert_eq!(judge(&refused(422, ours)), Standing::Proven);
        for (code, message) in [
            (
                403,
                "statefulsets.apps is forbidden: User \"a\" cannot create resource",
            ),
            (
                403,
                "ValidatingAdmissionPolicy 'somebodys' denied request: no",
            ),
            (500, "away"),
        ] {
            let standing = judge(&refused(code, message));
            assert!(matches!(standing, Standing::Unknown { .. }), "{message}");
        }
        assert_eq!(judge(&refused(409, "already exists")), Standing::Open);
        assert_eq!(judge(&Ok(())), Standing::Open);
    }

    #[test]
    fn what_is_forged_has_the_form_that_reaches_the_policies() {
        let forged = forged();
        assert_eq!(forged.metadata.name.as_deref(), Some("server"));
        let spec = forged.spec.unwrap();
        assert_eq!(
            spec.selector.match_labels,
            spec.template.metadata.unwrap().labels
        );
    }

    #[test]
    fn a_moment_without_an_answer_takes_no_proof_back() {
        let first = next(None, unknown(), "acme");
        assert_eq!(first.standing, unknown());
        let proven = next(Some(&first), Standing::Proven, "acme");
        let away = next(Some(&proven), unknown(), "acme");
        assert_eq!(away.standing, Standing::Proven);
        let long_ago = Look {
            answered: None,
            ..proven
        };
        assert_eq!(next(Some(&long_ago), unknown(), "acme").standing, unknown());
        assert_eq!(
            next(Some(&away), Standing::Open, "acme").standing,
            Standing::Open
        );
    }
}
