//! Telling policies what became of them: `Accepted`, and how many tenants they
//! bind; one status write each, and only when something changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use jiff::Timestamp;
use kube::api::{ApiResource, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::runtime::events::{Event, EventType};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource as _, ResourceExt as _};
use tenantry_api::condition::{ACCEPTED, Finding, Truth, conditions};
use tenantry_api::label;
use tenantry_api::safety_policy::{SafetyPolicy, SafetyPolicyStatus};
use tenantry_core::digest::Digest;
use tenantry_core::reason::Reason;

use super::judged::Judged;
use super::{Labelled, Policies};
use crate::context::Context;
use crate::telling::{fresh_recorder, publish, replacing, short};
use crate::tenant::chain;
use crate::tenant::seen::Tenant;

/// Changes that come together are told together: while a platform comes up, each
/// tenant changes how many are bound.
const GATHER: Duration = Duration::from_secs(1);
/// The wait after a status that could not be written.
const AGAIN: Duration = Duration::from_secs(5);
/// As much as the API server's own conditions hold; a policy with more flaws
/// tells the rest when these are mended.
const LONGEST_MESSAGE_BYTES: usize = 32_768;

/// Tells what there is to tell whenever there is news.
pub async fn keep_told(ctx: Arc<Context>, mut news: mpsc::Receiver<()>) {
    while news.next().await.is_some() {
        tokio::time::sleep(GATHER).await;
        while !tell(&ctx).await {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Whether all could be told.
async fn tell(ctx: &Context) -> bool {
    let policies = &ctx.policies;
    let homes = homes(&ctx.tenants.state());
    let mut all_told = true;
    for policy in policies.all().unwrap_or_default() {
        let after = status(&policy, policies.bound(&policy, &homes), Timestamp::now());
        if let Err(error) = write(&policy, &after, ctx).await {
            let (namespace, name) = (policy.namespace(), policy.name_any());
            let error = chain(&error);
            tracing::warn!(namespace, name, error, "the status could not be written");
            all_told = false;
        }
    }
    all_told
}

/// The namespaces that have a tenant.
fn homes(tenants: &[Arc<Tenant>]) -> BTreeSet<String> {
    let homes = tenants.iter().filter_map(|tenant| tenant.namespace());
    homes.collect()
}

impl Policies {
    /// How many of `homes` the policy binds.
    fn bound(&self, policy: &Judged, homes: &BTreeSet<String>) -> usize {
        let binds = |home: &&String| {
            let namespace = self.namespaces.get(&ObjectRef::<Labelled>::new(home));
            let labels = namespace.as_ref().map(|namespace| namespace.labels());
            labels.is_some_and(|labels| policy.binds(home, labels))
        };
        let reached = homes.iter().filter(|home| policy.reaches(home));
        reached.filter(binds).count()
    }
}

async fn write(
    policy: &Judged,
    after: &SafetyPolicyStatus,
    ctx: &Context,
) -> Result<(), kube::Error> {
    let uid = policy.uid().unwrap_or_default();
    let version = policy.resource_version().unwrap_or_default();
    // What was written comes back as news.
    if *after == policy.status || ctx.written.is_behind(&uid, &version) {
        return Ok(());
    }
    let resource = ApiResource::erase::<SafetyPolicy>(&());
    let namespace = policy.namespace().unwrap_or_default();
    // Dynamic: the answer may be a policy that cannot be read.
    let api: Api<DynamicObject> = Api::namespaced_with(ctx.client.clone(), &namespace, &resource);
    let params = PatchParams {
        field_manager: Some(label::OPERATOR.into()),
        ..PatchParams::default()
    };
    let mut patch = replacing(&policy.status, after);
    // Another policy of this name is judged by itself.
    patch["metadata"]["uid"] = uid.clone().into();
    let name = policy.name_any();
    let patch = Patch::Merge(patch);
    let written = match api.patch_status(&name, &params, &patch).await {
        // Gone or another one, as the watch will tell.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
            return Ok(());
        }
        written => written?,
    };
    ctx.written
        .wrote(&uid, &written.resource_version().unwrap_or_default());
    if let Some(event) = transition(&policy.status, after) {
        publish(&event, &policy.object_ref(&()), &fresh_recorder(ctx)).await;
    }
    Ok(())
}

/// The status of a policy that binds `tenants`. Pure.
fn status(policy: &Judged, tenants: usize, now: Timestamp) -> SafetyPolicyStatus {
    let before = &policy.status;
    let generation = policy.metadata.generation;
    let accepted = policy.verdict.as_ref().ok();
    let digest = accepted.map(|policy| {
        // Texts, numbers and lists always have a JSON form.
        Digest::of(&serde_json::to_vec(policy).unwrap_or_default()).to_string()
    });
    SafetyPolicyStatus {
        observed_generation: generation,
        conditions: conditions(&[finding(policy)], &before.conditions, generation, now),
        accepted_generation: if accepted.is_some() {
            generation
        } else {
            before.accepted_generation
        },
        digest: digest.or_else(|| before.digest.clone()),
        tenants: i32::try_from(tenants).ok(),
    }
}

fn finding(policy: &Judged) -> Finding {
    let Err(rejected) = &policy.verdict else {
        return Finding::new(ACCEPTED, true, Reason::AsDeclared, "in force as written");
    };
    let meanwhile = match policy.status.accepted_generation {
        Some(last) => {
            format!("generation {last}, the last that was accepted, stays in force where it was")
        }
        None => "it was never accepted, and until it is, writes that it would bind are denied"
            .to_owned(),
    };
    let told = &rejected.message;
    let told = &told[..told.floor_char_boundary(LONGEST_MESSAGE_BYTES - meanwhile.len() - 2)];
    Finding::new(
        ACCEPTED,
        false,
        rejected.reason,
        format!("{told}; {meanwhile}"),
    )
}

/// The Event of a policy that is accepted no more. Pure.
fn transition(before: &SafetyPolicyStatus, after: &SafetyPolicyStatus) -> Option<Event> {
    let find = |status: &SafetyPolicyStatus| {
        let mut conditions = status.conditions.iter();
        let found = conditions.find(|condition| condition.type_ == ACCEPTED);
        found.cloned()
    };
    let refused = |status: &str| status == Truth::False.as_str();
    let now = find(after).filter(|now| refused(&now.status))?;
    if find(before).is_some_and(|before| refused(&before.status)) {
        return None;
    }
    Some(Event {
        type_: EventType::Warning,
        reason: now.reason.clone(),
        note: Some(short(&now.message)),
        action: "Judge".into(),
        secondary: None,
    })
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectMeta;
    use kube::runtime::watcher;
    use serde_json::{Value, json};

    use super::*;
    use crate::policies::judged::tests::{HOME, judged};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn good() -> Value {
        json!({"mode": "Enforce"})
    }

    fn bad() -> Value {
        json!({"mode": "Enforce", "currency": "euro"})
    }

    /// The policy at its next generation, and with what was told of it.
    fn next(spec: &Value, generation: i64, status: SafetyPolicyStatus) -> Judged {
        let mut policy = judged(HOME, "ads", spec);
        policy.metadata.generation = Some(generation);
        policy.status = status;
        policy
    }

    #[test]
    fn a_policy_hears_what_became_of_it() {
        let first = status(&next(&good(), 1, SafetyPolicyStatus::default()), 2, at(1));
        let condition = &first.conditions[0];
        assert_eq!(
            (condition.status.as_str(), condition.reason.as_str()),
            ("True", "AsDeclared")
        );
        assert_eq!(
            (first.accepted_generation, first.tenants),
            (Some(1), Some(2))
        );
        let second = status(&next(&bad(), 2, first.clone()), 2, at(2));
        insta::assert_snapshot!(second.conditions[0].message, @"spec.currency: `euro` is not a currency code (three capital letters, ISO 4217); generation 1, the last that was accepted, stays in force where it was");
        assert_eq!(second.conditions[0].reason, "PolicyInvalid");
        assert_eq!(second.observed_generation, Some(2));
        assert_eq!(
            (second.accepted_generation, &second.digest),
            (Some(1), &first.digest)
        );
        let never = status(&next(&bad(), 1, SafetyPolicyStatus::default()), 0, at(1));
        insta::assert_snapshot!(never.conditions[0].message, @"spec.currency: `euro` is not a currency code (three capital letters, ISO 4217); it was never accepted, and until it is, writes that it would bind are denied");
        assert_eq!((never.accepted_generation, never.digest), (None, None));
    }

    #[test]
    fn saying_the_same_again_writes_nothing() {
        for spec in [good(), bad()] {
            let first = status(&next(&spec, 1, SafetyPolicyStatus::default()), 1, at(1));
            let second = status(&next(&spec, 1, first.clone()), 1, at(2));
            assert_eq!(first, second);
        }
    }

    #[test]
    fn an_event_tells_that_a_policy_is_accepted_no_more_and_once() {
        let none = SafetyPolicyStatus::default();
        let accepted = status(&next(&good(), 1, none.clone()), 1, at(1));
        let refused = status(&next(&bad(), 2, accepted.clone()), 1, at(2));
        let still = status(&next(&bad(), 3, refused.clone()), 1, at(3));
        assert!(transition(&none, &accepted).is_none());
        let event = transition(&accepted, &refused).unwrap();
        assert_eq!(
            (event.type_, event.reason.as_str()),
            (EventType::Warning, "PolicyInvalid")
        );
        assert!(transition(&refused, &still).is_none());
        assert!(transition(&still, &accepted).is_none());
        assert!(transition(&none, &refused).is_some());
    }

    #[test]
    fn a_long_message_has_an_end_and_still_says_what_is_in_force() {
        let mut policy = next(&bad(), 1, SafetyPolicyStatus::default());
        let rejected = policy.verdict.as_mut().unwrap_err();
        rejected.message = "ü".repeat(LONGEST_MESSAGE_BYTES);
        let message = finding(&policy).message;
        assert!(message.len() <= LONGEST_MESSAGE_BYTES);
        assert!(message.ends_with("writes that it would bind are denied"));
    }

    #[test]
    fn tenants_are_counted_by_the_labels_of_their_namespaces() {
        let (policies, mut writers) = Policies::new();
        for (name, tier) in [("acme", "gold"), ("globex", "silver"), ("empty", "gold")] {
            let metadata: ObjectMeta =
                serde_json::from_value(json!({"name": name, "labels": {"tier": tier}})).unwrap();
            let namespace = Labelled {
                metadata,
                ..Labelled::default()
            };
            writers
                .namespaces
                .apply_watcher_event(&watcher::Event::Apply(namespace));
        }
        let homes = ["acme", "globex", "unknown"].map(str::to_owned).into();
        let count = |policy: &Judged| policies.bound(policy, &homes);
        let selector =
            json!({"mode": "Enforce", "namespaceSelector": {"matchLabels": {"tier": "gold"}}});
        assert_eq!(count(&judged(HOME, "gold", &selector)), 1);
        assert_eq!(count(&judged(HOME, "all", &good())), 2);
        assert_eq!(count(&judged("globex", "own", &good())), 1);
        assert_eq!(count(&judged("empty", "own", &good())), 0);
    }
}
