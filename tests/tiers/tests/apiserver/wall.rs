//! The policy that denies everything: there before the first pod, there after
//! the last one, and then gone. With the controllers of Kubernetes, so that pods
//! come and garbage goes as they do in a cluster.

use std::collections::BTreeMap;
use std::sync::mpsc;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{ApiResource, DynamicObject, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::json;
use tenantry_tests::kubectl::wait_for;
use tokio::runtime::Runtime;

use crate::plane::{Organisation, Plane};

/// What happened to an object: at which revision of the whole cluster, to which
/// kind and name, and whether it is there since.
type Moment = (u64, &'static str, String, bool);

const WATCHED: [(&str, &str, &str); 3] = [
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
    ("apps", "StatefulSet", "statefulsets"),
    ("", "Pod", "pods"),
];

/// Tells of everything that happens to the kinds above in `namespace`.
async fn follow(client: Client, namespace: &str, tell: mpsc::Sender<Moment>) {
    let streams = WATCHED.map(|(group, kind, plural)| {
        let gvk = GroupVersionKind::gvk(group, "v1", kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        async move {
            let params = WatchParams::default().timeout(290);
            let events = api.watch(&params, "0").await.unwrap().boxed();
            events
                .map_ok(move |event| (kind, event))
                .into_stream()
                .boxed()
        }
    });
    let mut events = futures::stream::select_all(futures::future::join_all(streams).await);
    while let Some(Ok((kind, event))) = events.next().await {
        let (object, is_there) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, true),
            WatchEvent::Deleted(object) => (object, false),
            _ => continue,
        };
        let revision = object.metadata.resource_version.unwrap().parse().unwrap();
        let name = object.metadata.name.unwrap();
        if tell.send((revision, kind, name, is_there)).is_err() {
            return;
        }
    }
}

#[test]
fn the_wall_stands_before_the_first_pod_and_until_after_the_last() {
    let plane = Plane::with_controllers();
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(plane.client());
    let kubectl = plane.kubectl();
    kubectl.run(&["create", "namespace", "walled"]).unwrap();
    let (tell, told) = mpsc::channel();
    let following = runtime.spawn(async move { follow(client, "walled", tell).await });

    let acme = plane.onboard("walled");
    let pod = ["pod/server-0", "-n", "walled"];
    wait_for("the pod", || Ok(kubectl.get(&pod).ok())).unwrap();
    // A pod that takes its time to end.
    hold(&acme, true);
    leave(&acme);
    wait_for("the pod to be asked to end", || {
        let stamp = kubectl.get(&pod)?["metadata"]["deletionTimestamp"].clone();
        Ok((!stamp.is_null()).then_some(()))
    })
    .unwrap();
    // Another wall goes meanwhile: so much time passes, and the operator looks.
    let other = plane.onboard("passing");
    other.wait_for_object("persistentvolumeclaim/ledger-server-0");
    destroy_the_record_of(&other);
    leave(&other);
    wait_for_fall(&other);
    acme.get("networkpolicy/tenantry-default-deny").unwrap();
    hold(&acme, false);
    wait_for_fall(&acme);
    // What is retained outlives the tenant; what is not goes with it.
    acme.get("persistentvolumeclaim/ledger-server-0").unwrap();
    wait_until_gone(&other, "persistentvolumeclaim/ledger-server-0");

    following.abort();
    let mut moments: Vec<_> = told.try_iter().collect();
    moments.sort_unstable_by_key(|moment| moment.0);
    let mut there: BTreeMap<(&str, String), bool> = BTreeMap::new();
    let mut guarded = 0;
    for (revision, kind, name, is_there) in moments {
        there.insert((kind, name), is_there);
        let stands = |kind, name: &str| there.get(&(kind, name.to_owned())) == Some(&true);
        let is_inhabited = stands("StatefulSet", "server") || stands("Pod", "server-0");
        let is_walled = stands("NetworkPolicy", "tenantry-default-deny");
        assert!(is_walled || !is_inhabited, "at {revision}: {there:?}");
        guarded += i32::from(is_inhabited);
    }
    assert!(
        guarded > 3,
        "{guarded} revisions with somebody behind the wall"
    );
    println!("revisions with a StatefulSet or a pod: {guarded}, each with the wall");
}

fn hold(acme: &Organisation, is_held: bool) {
    let finalizers = if is_held {
        json!(["tests.tenantry.dev/hold"])
    } else {
        json!(null)
    };
    let patch = json!({"metadata": {"finalizers": finalizers}}).to_string();
    let words = [
        "patch",
        "-n",
        &acme.name,
        "pod/server-0",
        "--type=merge",
        "-p",
        &patch,
    ];
    acme.kubectl.run(&words).unwrap();
}

fn leave(acme: &Organisation) {
    let tenant = format!("mcptenant/{}", acme.name);
    acme.kubectl
        .run(&["delete", "-n", &acme.name, &tenant])
        .unwrap();
}

/// A deletion policy that is changed later holds as well.
fn destroy_the_record_of(acme: &Organisation) {
    let tenant = format!("mcptenant/{}", acme.name);
    let patch = json!({"spec": {"deletionPolicy": "Delete"}}).to_string();
    let kind = "--type=merge";
    let words = ["patch", "-n", &acme.name, &tenant, kind, "-p", &patch];
    acme.kubectl.run(&words).unwrap();
    wait_for("the claim to have an owner", || {
        let claim = acme.get("persistentvolumeclaim/ledger-server-0")?;
        let owner = &claim["metadata"]["ownerReferences"][0];
        Ok((owner["kind"] == "StatefulSet").then_some(()))
    })
    .unwrap();
}

fn wait_for_fall(acme: &Organisation) {
    wait_until_gone(acme, "networkpolicy/tenantry-default-deny");
}

fn wait_until_gone(acme: &Organisation, object: &str) {
    wait_for(&format!("{object} to go"), || {
        let look = ["get", "-n", &acme.name, object];
        let words = [&look[..], &["--ignore-not-found", "-o", "name"]].concat();
        Ok(acme.kubectl.run(&words)?.is_empty().then_some(()))
    })
    .unwrap();
}
