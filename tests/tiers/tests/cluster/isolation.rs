//! Nobody reaches what is not theirs. Every denial stands beside a packet of
//! the same kind that does arrive, so that a dead target cannot pass for a
//! closed door.

use tenantry_tests::kubectl::Kubectl;
use tenantry_tests::namespace::TestOrganisation;
use tenantry_tests::probe::{Probe, Reach, reach_from_server};

use crate::EXAMPLE;

/// A namespace whose pods the chart's `gateways` let in.
const GATEWAY: &str = "gateway";

#[test]
fn organisations_cannot_reach_each_other() {
    let kubectl = Kubectl::from_environment();
    let ours = TestOrganisation::onboard(&kubectl, EXAMPLE, "isolated-a").unwrap();
    let theirs = TestOrganisation::onboard(&kubectl, EXAMPLE, "isolated-b").unwrap();
    let our_server = format!("server.{}.svc.cluster.local:8080", ours.name);
    let their_server = format!("server.{}.svc.cluster.local:8080", theirs.name);

    let gateway = gateway(&kubectl).unwrap();
    assert_eq!(
        gateway.reach(&our_server).unwrap(),
        Reach::Open,
        "the gateway reaches our server"
    );
    assert_eq!(
        gateway.reach(&their_server).unwrap(),
        Reach::Open,
        "the gateway reaches their server"
    );

    let their_pod = Probe::start(&kubectl, &theirs.name, "visitor").unwrap();
    assert_eq!(
        their_pod.reach(&our_server).unwrap(),
        Reach::Dropped,
        "their pod and our server"
    );

    let vendor = "fake-meta.tenantry-system.svc.cluster.local:8080";
    assert_eq!(
        reach_from_server(&kubectl, &ours.name, vendor).unwrap(),
        Reach::Open,
        "our server and its vendor"
    );
    assert_eq!(
        reach_from_server(&kubectl, &ours.name, &their_server).unwrap(),
        Reach::Dropped,
        "our server and theirs"
    );
    assert_eq!(
        reach_from_server(&kubectl, &ours.name, "169.254.169.254:80").unwrap(),
        Reach::Dropped,
        "our server and the node's metadata service"
    );
}

fn gateway(kubectl: &Kubectl) -> anyhow::Result<Probe<'_>> {
    let namespace = serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": GATEWAY, "labels": {"tenantry.dev/gateway": "true"}},
    });
    kubectl.apply(&namespace.to_string())?;
    Probe::start(kubectl, GATEWAY, "gateway")
}
