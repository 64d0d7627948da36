//! The proof that the admission policies are in force: it asks, as a dry run, for
//! a pod and for an approval that they must refuse. What they refuse is proven;
//! what they let through is told aloud, and no decision of anybody is carried
//! out.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use tenantry_api::label;
use tenantry_api::mcp_approval::{
    ApprovalQuestion, ApprovalRequest, ApprovalRule, McpApproval, McpApprovalSpec, Requester,
};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::tenant::chain;

/// How long an answer counts before somebody looks again.
const AGAIN_AFTER: Duration = Duration::from_mins(1);
/// How long a reconcile goes by it: a look that began in time has as long again,
/// and no reconcile waits for it.
const COUNTS_FOR: Duration = Duration::from_mins(2);
/// The same while there is no answer: all tenants wait for it.
const AGAIN_SOON: Duration = Duration::from_secs(10);
/// How long an answer counts while it cannot be had again.
const KEPT_FOR: Duration = Duration::from_mins(5);

/// Namespaces to try in one round: one that let the operator out must not keep it
/// from an answer. The next round goes on with the others.
const MOST_HOMES: usize = 8;

/// The policies that have to refuse: a pod, and an approval.
const PODS: &str = "tenantry-operator-pods";
const APPROVALS: &str = "tenantry-approvals";

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
    last: watch::Sender<Option<Look>>,
    /// Held by whoever looks: one is enough.
    looking: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Look {
    standing: Standing,
    tried: Instant,
    answered: Option<Answered>,
    /// How often one kind of answer has followed another.
    turns: u64,
}

#[derive(Debug, Clone)]
struct Answered {
    at: Instant,
    namespace: String,
}

impl Standing {
    fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }
}

impl Guard {
    /// How they stand, tried in `namespace`, where the operator was let in, if
    /// the last look is too old.
    pub async fn standing(&self, client: &Client, namespace: &str) -> Standing {
        if let Some(standing) = self.recent() {
            return standing;
        }
        let _looking = self.looking.lock().await;
        // Whoever looked meanwhile looked for us too.
        match self.recent() {
            Some(standing) => standing,
            None => self.keep(forge(client, namespace).await, namespace),
        }
    }

    /// Whether the last answer was good.
    pub fn is_proven(&self) -> bool {
        let last = self.last.borrow();
        last.as_ref()
            .is_some_and(|look| look.standing == Standing::Proven)
    }

    fn recent(&self) -> Option<Standing> {
        let last = self.last.borrow();
        let look = last.as_ref()?;
        let limit = if look.standing.is_known() {
            COUNTS_FOR
        } else {
            AGAIN_SOON
        };
        (look.tried.elapsed() < limit).then(|| look.standing.clone())
    }

    fn keep(&self, answer: Standing, namespace: &str) -> Standing {
        let before = self.last.borrow().clone();
        let look = next(before.as_ref(), answer, namespace, Instant::now());
        say(before.as_ref(), &look);
        let standing = look.standing.clone();
        self.last.send_replace(Some(look));
        standing
    }

    /// Looks again in one of `homes` after another, until there is an answer.
    /// Returns the one with which the round ended.
    async fn renew<F>(&self, homes: Vec<String>, try_in: impl Fn(String) -> F) -> Option<String>
    where
        F: Future<Output = Standing>,
    {
        let _looking = self.looking.lock().await;
        let mut answer = None;
        for home in homes {
            let standing = try_in(home.clone()).await;
            let is_known = standing.is_known();
            answer = Some((standing, home));
            if is_known {
                break;
            }
        }
        let (standing, home) = answer?;
        self.keep(standing, &home);
        Some(home)
    }

    /// Where there was an answer before.
    fn known_home(&self) -> Option<String> {
        let last = self.last.borrow();
        let answered = last.as_ref()?.answered.as_ref()?;
        Some(answered.namespace.clone())
    }

    fn pause(&self) -> Duration {
        let last = self.last.borrow();
        match last.as_ref() {
            Some(look) if !look.standing.is_known() => AGAIN_SOON,
            _ => AGAIN_AFTER,
        }
    }
}

/// Looks again for as long as it is polled, in one of `homes`; `changed` is told
/// whenever the answer is of another kind than before, whoever had it.
pub async fn keep_proven(
    guard: &Guard,
    client: &Client,
    homes: impl Fn() -> Vec<String>,
    changed: impl FnMut(),
) {
    let try_in = |home: String| async move { forge(client, &home).await };
    keep_answered(guard, try_in, homes, changed).await;
}

async fn keep_answered<F>(
    guard: &Guard,
    try_in: impl Fn(String) -> F,
    homes: impl Fn() -> Vec<String>,
    mut changed: impl FnMut(),
) where
    F: Future<Output = Standing>,
{
    let mut seen = guard.last.subscribe();
    let mut told = 0;
    let mut ended_with = String::new();
    loop {
        if timeout(guard.pause(), seen.changed()).await.is_err() {
            let round = round(guard.known_home(), homes(), &ended_with);
            if let Some(home) = guard.renew(round, &try_in).await {
                ended_with = home;
            }
        }
        let turns = seen.borrow_and_update().as_ref().map(|look| look.turns);
        // Of the first answer nobody has heard another one.
        if let Some(turns) = turns
            && turns != told
        {
            told = turns;
            changed();
        }
    }
}

/// Where to look in one round: where there was an answer before, then where no
/// round has been for longest. Pure.
fn round(known: Option<String>, mut homes: Vec<String>, ended_with: &str) -> Vec<String> {
    homes.sort_unstable();
    homes.dedup();
    let next = homes.partition_point(|home| home.as_str() <= ended_with);
    homes.rotate_left(next);
    homes.retain(|home| Some(home) != known.as_ref());
    known.into_iter().chain(homes).take(MOST_HOMES).collect()
}

/// What is known at `now`, after `answer`. Pure.
fn next(before: Option<&Look>, answer: Standing, namespace: &str, now: Instant) -> Look {
    let answered = before.and_then(|look| look.answered.clone());
    let is_recent = answered
        .as_ref()
        .is_some_and(|answered| now.duration_since(answered.at) < KEPT_FOR);
    let (standing, answered) = match (before, answer) {
        // The API server is away for a moment; the policies are not.
        (Some(before), Standing::Unknown { .. }) if is_recent => {
            (before.standing.clone(), answered)
        }
        (_, unknown @ Standing::Unknown { .. }) => (unknown, answered),
        (_, standing) => {
            let namespace = namespace.to_owned();
            (standing, Some(Answered { at: now, namespace }))
        }
    };
    let turns = before.map_or(0, |before| {
        before.turns + u64::from(!is_same_kind(&before.standing, &standing))
    });
    Look {
        standing,
        tried: now,
        answered,
        turns,
    }
}

/// Why it is not known may be another thing with every look; nobody waits for
/// that.
fn is_same_kind(one: &Standing, other: &Standing) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn say(before: Option<&Look>, now: &Look) {
    if before.is_some_and(|before| is_same_kind(&before.standing, &now.standing)) {
        return;
    }
    match &now.standing {
        Standing::Proven => {
            tracing::info!(
                "the admission policies are in force: a forged pod and a forged approval were refused"
            );
        }
        Standing::Open => tracing::error!(
            "THE ADMISSION POLICIES ARE NOT IN FORCE: a forged pod or approval was let through; install the chart tenantry-api again"
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
    let params = PostParams {
        dry_run: true,
        field_manager: Some(label::OPERATOR.into()),
    };
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    match judge(PODS, &sets.create(&params, &forged()).await) {
        Standing::Proven => {}
        other => return other,
    }
    let approvals: Api<McpApproval> = Api::namespaced(client.clone(), namespace);
    judge(
        APPROVALS,
        &approvals.create(&params, &forged_approval()).await,
    )
}

/// An approval that nobody asked for, of a change that does not exist.
fn forged_approval() -> McpApproval {
    let request = ApprovalRequest {
        asks: ApprovalQuestion::Change,
        change_id: "0".repeat(32),
        tool: "forged".into(),
        connector: "forged".into(),
        account: "forged".into(),
        object: None,
        summary: "forged, to be refused".into(),
        settings: vec![],
        delta: None,
        arguments: "{}".into(),
        undoes: None,
        items: Vec::new(),
        rules: vec![ApprovalRule {
            policy: "forged".into(),
            rule: "forged".into(),
            message: String::new(),
        }],
        policy_digest: format!("sha256:{}", "0".repeat(64)),
        approver_classes: vec!["forged".into()],
        approvers: 1,
        requested_by: Requester {
            owner: "forged".into(),
            agent: None,
            key: "forged".into(),
            issued_by: None,
        },
        asked_at: Time(Timestamp::UNIX_EPOCH),
        expires_at: Time(Timestamp::UNIX_EPOCH),
    };
    let spec = McpApprovalSpec {
        request,
        decisions: vec![],
        withdrawn: false,
    };
    McpApproval::new(label::FORGED, spec)
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

fn judge<K>(policy: &str, answer: &Result<K, kube::Error>) -> Standing {
    match answer {
        Ok(_) => Standing::Open,
        Err(kube::Error::Api(status)) if status.message.contains(&format!("'{policy}'")) => {
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
        assert_eq!(judge(PODS, &refused(403, ours)), Standing::Proven);
        assert_eq!(judge(PODS, &refused(422, ours)), Standing::Proven);
        let of_another = judge(APPROVALS, &refused(403, ours));
        assert!(matches!(of_another, Standing::Unknown { .. }));
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
            let standing = judge(PODS, &refused(code, message));
            assert!(matches!(standing, Standing::Unknown { .. }), "{message}");
        }
        assert_eq!(judge(PODS, &refused(409, "already exists")), Standing::Open);
        assert_eq!(judge(PODS, &Ok(())), Standing::Open);
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
        let began = Instant::now();
        let next = |before, answer, after| next(before, answer, "acme", began + after);
        let first = next(None, unknown(), Duration::ZERO);
        assert_eq!(first.standing, unknown());
        let proven = next(Some(&first), Standing::Proven, Duration::ZERO);
        let away = next(Some(&proven), unknown(), KEPT_FOR / 2);
        assert_eq!(away.standing, Standing::Proven);
        assert_eq!(next(Some(&away), unknown(), KEPT_FOR).standing, unknown());
        let open = next(Some(&away), Standing::Open, KEPT_FOR / 2);
        assert_eq!(open.standing, Standing::Open);
    }

    #[test]
    fn every_home_has_its_turn() {
        let homes: Vec<_> = (0..20).map(|number| format!("home-{number:02}")).collect();
        let mut ended_with = String::new();
        let mut tried = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let round = round(Some("known".into()), homes.clone(), &ended_with);
            assert_eq!(round.len(), MOST_HOMES);
            assert_eq!(round[0], "known");
            ended_with.clone_from(round.last().unwrap());
            tried.extend(round);
        }
        assert_eq!(tried.len(), homes.len() + 1);
    }

    #[tokio::test]
    async fn who_lets_the_operator_out_keeps_nobody_from_an_answer() {
        let guard = Guard::default();
        let homes = ["let-out", "let-in", "other"].map(str::to_owned);
        let try_in = |home: String| {
            let answer = if home == "let-in" {
                Standing::Proven
            } else {
                unknown()
            };
            std::future::ready(answer)
        };
        let ended = guard.renew(homes.to_vec(), try_in).await;
        assert_eq!(ended.as_deref(), Some("let-in"));
        assert!(guard.is_proven());
        assert_eq!(guard.known_home().as_deref(), Some("let-in"));
        assert_eq!(guard.renew(vec![], try_in).await, None);
    }

    #[tokio::test]
    async fn a_look_under_way_hides_no_answer() {
        let guard = Guard::default();
        guard.keep(Standing::Proven, "acme");
        let _looking = guard.looking.lock().await;
        assert!(guard.is_proven());
        assert_eq!(guard.recent(), Some(Standing::Proven));
    }

    #[tokio::test]
    async fn what_a_reconcile_noticed_wakes_the_others() {
        let guard = Guard::default();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let nowhere = |_| std::future::ready(unknown());
        let changed = || tell.send(()).unwrap();
        let keeping = keep_answered(&guard, nowhere, Vec::new, changed);
        let noticing = async {
            guard.keep(Standing::Proven, "acme");
            tokio::task::yield_now().await;
            assert!(told.try_recv().is_err(), "the first answer is no change");
            guard.keep(Standing::Open, "acme");
            told.recv().await.unwrap();
            // There and back before anybody listens is still told.
            guard.keep(Standing::Proven, "acme");
            guard.keep(Standing::Open, "acme");
            told.recv().await.unwrap();
        };
        tokio::select! {
            () = noticing => {}
            () = keeping => {}
        }
    }
}
