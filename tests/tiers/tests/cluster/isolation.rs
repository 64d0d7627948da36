//! Nobody reaches what is not theirs. Every denial stands beside a packet of
//! the same kind that does arrive, so that a dead target cannot pass for a
//! closed door.

use std::thread;

use anyhow::Result;
use serde_json::json;
use tenantry_tests::evidence::show;
use tenantry_tests::kubectl::{Kubectl, condition, wait_for};
use tenantry_tests::namespace::TestOrganisation;
use tenantry_tests::probe::{
    Probe, Reach, Reaches, address_of, reach_from_server, scan_from_server,
};

use crate::EXAMPLE;

/// Each pair of them is tried in both directions.
const TENANTS: usize = 10;

/// The ports of a server: MCP, and health with metrics.
const PORTS: [u16; 2] = [8080, 9090];

/// What a server needs.
const NEEDED: [&str; 4] = [
    "kubernetes.default.svc.cluster.local:443",
    "10.99.0.3:6443",
    "10.96.0.10:53",
    "fake-meta.tenantry-system.svc.cluster.local:8080",
];

/// The host of the API server answers there whether its port is open or not.
const CONTROL: &str = "10.99.0.3:6443";

/// Kubelet, the cloud's metadata, the network around the cluster, and other
/// ports of the API server's host; the pods of `Yard` come on top.
const FORBIDDEN: [&str; 6] = [
    "10.99.0.1:10250",
    "10.99.0.1:10255",
    "169.254.169.254:80",
    "10.99.0.2:443",
    "10.99.0.2:5432",
    "10.99.0.3:2379",
];

/// One of the organisations, where its server is.
struct Tenant<'k> {
    organisation: TestOrganisation<'k>,
    pod: String,
    service: String,
}

/// Pods that stand for what else there is in a cluster.
struct Yard<'k> {
    /// In a namespace that the chart's `gateways` let in.
    gateway: Probe<'k>,
    /// In a namespace that the chart's `scrapers` let in.
    scraper: Probe<'k>,
    /// In a namespace without any policy, on a node port.
    neighbour: Probe<'k>,
    /// Where the last one is.
    addresses: [String; 2],
}

#[test]
fn a_server_proves_its_own_walls() {
    let kubectl = Kubectl::from_environment();
    let ours = TestOrganisation::onboard(&kubectl, &EXAMPLE, "proven").unwrap();
    let canary = "tenantry-operator-canary.tenantry-system.svc:9091";
    // In the same namespace, but no pod of ours.
    let anybody = Probe::start(&kubectl, &ours.name, "anybody").unwrap();
    assert_eq!(
        anybody.reach(canary).unwrap(),
        Reach::Open,
        "the canary lets in whom no policy of ours keeps away"
    );
    assert_eq!(
        reach_from_server(&kubectl, &ours.name, canary).unwrap(),
        Reach::Dropped,
        "our server and the canary"
    );
    wait_for("the server's own proof", || {
        let tenant = kubectl.get(&["mcptenant/proven", "-n", &ours.name])?;
        let isolated = condition(&tenant, "Isolated");
        Ok((isolated["reason"] == "ProbeDropped" && isolated["status"] == "True").then_some(()))
    })
    .unwrap();
}

#[test]
fn ten_organisations_reach_neither_each_other_nor_the_node() {
    let kubectl = Kubectl::from_environment();
    let tenants = onboard(&kubectl).unwrap();
    let yard = Yard::open(&kubectl).unwrap();
    let forbidden: Vec<String> = FORBIDDEN
        .iter()
        .map(ToString::to_string)
        .chain(yard.addresses.clone())
        .collect();

    doors_are_there(&tenants, &yard, &forbidden);
    servers_reach_only_what_they_need(&kubectl, &tenants, &forbidden);
    default_deny_alone_drops_everything(&kubectl, &tenants, &forbidden);
    opened_pair_is_seen(&kubectl, &tenants);
}

/// The controls: what is dropped elsewhere arrives from somewhere.
fn doors_are_there(tenants: &[Tenant<'_>], yard: &Yard<'_>, forbidden: &[String]) {
    let on = |port: u16| move |tenant: &Tenant<'_>| format!("{}:{port}", tenant.pod);
    let services = tenants
        .iter()
        .map(|tenant| format!("{}:8080", tenant.service));
    let mcp: Vec<String> = tenants.iter().map(on(8080)).chain(services).collect();
    let admin: Vec<String> = tenants.iter().map(on(9090)).collect();
    let open = |reaches: &Reaches| reaches.values().all(|reach| *reach == Reach::Open);
    let silent = |reaches: &Reaches| reaches.values().all(|reach| *reach == Reach::Dropped);

    let reaches = yard.gateway.scan(CONTROL, &mcp).unwrap();
    assert!(open(&reaches), "the gateway and MCP: {reaches:?}");
    let reaches = yard.gateway.scan(CONTROL, &admin).unwrap();
    assert!(silent(&reaches), "the gateway and metrics: {reaches:?}");
    let reaches = yard.scraper.scan(CONTROL, &admin).unwrap();
    assert!(open(&reaches), "the scraper and metrics: {reaches:?}");
    let reaches = yard.scraper.scan(CONTROL, &mcp).unwrap();
    assert!(silent(&reaches), "the scraper and MCP: {reaches:?}");
    let reaches = yard
        .neighbour
        .scan(CONTROL, &[mcp, admin].concat())
        .unwrap();
    assert!(silent(&reaches), "anybody and a server: {reaches:?}");
    // Refused is answered: the packet arrived.
    let reaches = yard.neighbour.scan(CONTROL, forbidden).unwrap();
    let arrived = reaches.values().all(|reach| *reach != Reach::Dropped);
    assert!(arrived, "who may send packets there: {reaches:?}");
    show(&format!(
        "controls: {} forbidden places answer who is not walled in; gateway and scraper reach all servers",
        forbidden.len()
    ));
}

fn servers_reach_only_what_they_need(
    kubectl: &Kubectl,
    tenants: &[Tenant<'_>],
    forbidden: &[String],
) {
    let needed = NEEDED.map(str::to_owned);
    let scan = |from: &Tenant<'_>| {
        let mut targets: Vec<String> = others(tenants, from).flat_map(doors).collect();
        targets.extend(forbidden.iter().chain(&needed).cloned());
        scan_from_server(kubectl, &from.organisation.name, CONTROL, &targets).unwrap()
    };
    let scans: Vec<Reaches> = at_once(tenants, scan);

    let (mut pairs, mut connections, mut places, mut useful) = (0, 0, 0, 0);
    for (from, reaches) in tenants.iter().zip(&scans) {
        let is = |target: &String, reach| reaches[target] == reach;
        for to in others(tenants, from) {
            let doors = doors(to);
            let dropped = doors.iter().filter(|door| is(door, Reach::Dropped)).count();
            connections += dropped;
            pairs += usize::from(dropped == doors.len());
        }
        places += forbidden
            .iter()
            .filter(|place| is(place, Reach::Dropped))
            .count();
        useful += needed.iter().filter(|place| is(place, Reach::Open)).count();
    }
    let all = TENANTS * (TENANTS - 1);
    let per_pair = 2 * PORTS.len();
    show(&format!(
        "pairs: {pairs} of {all} dropped ({connections} of {} connections: pod and Service, ports {PORTS:?})",
        all * per_pair
    ));
    show(&format!(
        "kubelet, node port, metadata, LAN, other pods: {places} of {} dropped; API server, DNS, vendor: {useful} of {} open",
        TENANTS * forbidden.len(),
        TENANTS * needed.len()
    ));
    assert_eq!(
        (pairs, connections, places, useful),
        (
            all,
            all * per_pair,
            TENANTS * forbidden.len(),
            TENANTS * needed.len()
        ),
        "{scans:#?}"
    );
}

/// A pod that carries our mark but is no server: only the wall behind the
/// server's own policy holds for it.
fn default_deny_alone_drops_everything(
    kubectl: &Kubectl,
    tenants: &[Tenant<'_>],
    forbidden: &[String],
) {
    let home = &tenants[0];
    let labels = json!({"tenantry.dev/managed-by": "tenantry-operator"});
    let namespace = home.organisation.name.as_str();
    let walled = Probe::start_as(kubectl, namespace, "walled", &labels, &["serve", "8080"]);
    let walled = walled.unwrap();
    // Names cannot be resolved from in there.
    let needed = ["10.96.0.1:443", "10.99.0.3:6443", "10.96.0.10:53"].map(str::to_owned);
    let mut targets: Vec<String> = tenants.iter().flat_map(doors).collect();
    targets.extend(forbidden.iter().chain(&needed).cloned());
    let reaches = walled.scan("127.0.0.1:8080", &targets).unwrap();
    let dropped = reaches.values().filter(|reach| **reach == Reach::Dropped);
    let dropped = dropped.count();
    show(&format!(
        "default-deny alone: {dropped} of {} dropped",
        targets.len()
    ));
    assert_eq!(dropped, targets.len(), "{reaches:#?}");
}

/// The test can fail: a hole between two is seen, and only that one.
fn opened_pair_is_seen(kubectl: &Kubectl, tenants: &[Tenant<'_>]) {
    let [from, to, other, ..] = tenants else {
        panic!("three organisations at least");
    };
    let policy = |namespace: &str, way: &str, rule: serde_json::Value| {
        let mut policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "hole", "namespace": namespace},
            "spec": {"podSelector": {}, "policyTypes": [way]},
        });
        policy["spec"][way.to_lowercase()] = json!([rule]);
        kubectl.apply(&policy.to_string()).unwrap();
    };
    let peer = |tenant: &Tenant<'_>| {
        let name = &tenant.organisation.name;
        json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}])
    };
    let names = [&from.organisation.name, &to.organisation.name];
    policy(names[0], "Egress", json!({"to": peer(to)}));
    policy(names[1], "Ingress", json!({"from": peer(from)}));
    let doors = [to, other].map(|tenant| format!("{}:8080", tenant.pod));
    let reaches = wait_for("the hole to be seen", || {
        let reaches = scan_from_server(kubectl, names[0], CONTROL, &doors)?;
        Ok((reaches[&doors[0]] == Reach::Open).then_some(reaches))
    })
    .unwrap();
    assert_eq!(reaches[&doors[1]], Reach::Dropped, "only the hole is open");
    show("a pair that was opened on purpose is seen open, its neighbour dropped");
    for name in names {
        kubectl
            .run(&["delete", "networkpolicy", "hole", "-n", name])
            .unwrap();
    }
}

fn others<'t, 'k>(
    tenants: &'t [Tenant<'k>],
    from: &Tenant<'k>,
) -> impl Iterator<Item = &'t Tenant<'k>> {
    let name = from.organisation.name.clone();
    tenants
        .iter()
        .filter(move |tenant| tenant.organisation.name != name)
}

/// Every way to a server.
fn doors(tenant: &Tenant<'_>) -> Vec<String> {
    let hosts = [&tenant.pod, &tenant.service];
    hosts
        .iter()
        .flat_map(|host| PORTS.map(|port| format!("{host}:{port}")))
        .collect()
}

/// Onboards all of them; they become ready side by side.
fn onboard(kubectl: &Kubectl) -> Result<Vec<Tenant<'_>>> {
    let names: Vec<String> = (0..TENANTS).map(|number| format!("t{number}")).collect();
    let ready = at_once(&names, |name| {
        let organisation = TestOrganisation::onboard(kubectl, &EXAMPLE, name)?;
        let service = kubectl.get(&["service", "server", "-n", name])?;
        Ok(Tenant {
            organisation,
            pod: address_of(kubectl, name, "server-0")?,
            service: service["spec"]["clusterIP"]
                .as_str()
                .unwrap_or_default()
                .into(),
        })
    });
    ready.into_iter().collect()
}

impl<'k> Yard<'k> {
    fn open(kubectl: &'k Kubectl) -> Result<Self> {
        for (name, labels) in [
            ("gateway", json!({"tenantry.dev/gateway": "true"})),
            ("scraper", json!({"tenantry.dev/scraper": "true"})),
            ("neighbour", json!({})),
        ] {
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": labels},
            });
            kubectl.apply(&namespace.to_string())?;
        }
        let app = json!({"app": "neighbour"});
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "neighbour", "namespace": "neighbour"},
            "spec": {"type": "NodePort", "selector": app, "ports": [{"port": 8080}]},
        });
        kubectl.apply(&service.to_string())?;
        let service = kubectl.get(&["service", "neighbour", "-n", "neighbour"])?;
        let node_port = &service["spec"]["ports"][0]["nodePort"];
        let serve = ["serve", "8080"];
        let neighbour = Probe::start_as(kubectl, "neighbour", "neighbour", &app, &serve)?;
        Ok(Self {
            gateway: Probe::start(kubectl, "gateway", "gateway")?,
            scraper: Probe::start(kubectl, "scraper", "scraper")?,
            addresses: [
                format!("{}:8080", neighbour.address()?),
                format!("10.99.0.1:{node_port}"),
            ],
            neighbour,
        })
    }
}

/// The same for each, side by side; results in order.
fn at_once<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = items
            .iter()
            .map(|item| scope.spawn(move || work(item)))
            .collect();
        let results = running.into_iter();
        results
            .map(|thread| thread.join().expect("its panic was printed"))
            .collect()
    })
}
