//! Children that a tenant may or may not have: they come and go with what it
//! declares, with what its platform offers and with what the cluster serves.

use anyhow::ensure;
use serde_json::{Value, json};
use tenantry_tests::kubectl::{condition, wait_for};

use crate::plane::{Organisation, Plane};
use crate::unique::wait_for_another_second;

/// A kind that a cluster may serve or not.
pub const ROUTES: &str = include_str!("../../testdata/httproutes.yaml");
/// Another one.
pub const CILIUM: &str = include_str!("../../testdata/ciliumnetworkpolicies.yaml");

fn declare(acme: &Organisation, spec: &Value) {
    let tenant = format!("mcpt/{}", acme.name);
    let patch = json!({"spec": spec}).to_string();
    let words = [
        "patch",
        "-n",
        &acme.name,
        &tenant,
        "--type=merge",
        "-p",
        &patch,
    ];
    acme.kubectl.run(&words).unwrap();
}

fn wait_until_gone(acme: &Organisation, object: &str) {
    wait_for(&format!("{object} to go"), || {
        let words = [
            "get",
            "-n",
            &acme.name,
            object,
            "--ignore-not-found",
            "-o",
            "name",
        ];
        Ok(acme.kubectl.run(&words)?.is_empty().then_some(()))
    })
    .unwrap();
}

/// The message of Ready.
fn told(tenant: &Value) -> String {
    let message = condition(tenant, "Ready")["message"].clone();
    message.as_str().unwrap().to_owned()
}

#[test]
fn a_quota_that_is_not_offered_any_more_goes() {
    let plane = Plane::shared();
    let acme = plane.onboard("unbounded");
    acme.wait_for_reason("ServerStarting");
    // As an operator with other settings left it.
    let owner = acme.get("mcpserver/server").unwrap()["metadata"]["ownerReferences"].clone();
    let labels = json!({"tenantry.dev/managed-by": "tenantry-operator"});
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "tenantry", "namespace": acme.name, "labels": labels, "ownerReferences": owner},
        "spec": {"hard": {"pods": "4"}},
    });
    acme.kubectl.apply(&quota.to_string()).unwrap();
    wait_until_gone(&acme, "resourcequota/tenantry");
}

#[test]
fn a_platform_that_offers_something_is_taken_at_its_word() {
    let plane = Plane::offering();
    let elder = plane.onboard("elder");
    wait_for_another_second(&elder);
    let acme = plane.onboard("offered");
    acme.wait_for_reason("ServerStarting");
    bounds(&acme);
    superfluous_goes_and_foreign_stays(&acme);
    choices(&acme);
    by_ingress(&acme);
    by_route(&acme);
    hosts_change_hands(&elder, &acme);
    hosts_by_name(&acme);
}

fn bounds(acme: &Organisation) {
    let quota = acme.get("resourcequota/tenantry").unwrap();
    let hard = json!({"pods": "4", "persistentvolumeclaims": "2", "services": "2"});
    assert_eq!(quota["spec"]["hard"], hard);
    // What a stray container gets, as the API server has it.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stray", "namespace": acme.name},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "a", "image": "a",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    let stray = std::env::temp_dir().join(format!("tenantry-stray-{}.json", std::process::id()));
    std::fs::write(&stray, pod.to_string()).unwrap();
    let words = [
        "create",
        "--dry-run=server",
        "-o",
        "json",
        "-f",
        stray.to_str().unwrap(),
    ];
    let pod: Value = serde_json::from_str(&acme.kubectl.run(&words).unwrap()).unwrap();
    std::fs::remove_file(stray).unwrap();
    assert_eq!(
        pod["spec"]["containers"][0]["resources"],
        json!({"limits": {"memory": "256Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}})
    );
}

/// What is ours and not meant is removed; what only looks like it is not.
fn superfluous_goes_and_foreign_stays(acme: &Organisation) {
    let owner = acme.get("mcpserver/server").unwrap()["metadata"]["ownerReferences"].clone();
    let labels = json!({"tenantry.dev/managed-by": "tenantry-operator"});
    let budget = |labels: &Value, owner: &Value| {
        let budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "server", "namespace": acme.name, "labels": labels, "ownerReferences": owner},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}},
        });
        acme.kubectl.apply(&budget.to_string()).unwrap();
    };
    budget(&labels, &owner);
    wait_until_gone(acme, "poddisruptionbudget/server");
    budget(&labels, &json!([]));
    // Whatever wakes the operator up, it lets this one be.
    for access in ["Frozen", "ReadOnly"] {
        declare(acme, &json!({"access": access}));
        wait_for("the contract", || {
            let server = acme.get("mcpserver/server")?;
            Ok((server["spec"]["access"] == access).then_some(()))
        })
        .unwrap();
    }
    acme.get("poddisruptionbudget/server").unwrap();
    let gone = ["delete", "-n", &acme.name, "poddisruptionbudget/server"];
    acme.kubectl.run(&gone).unwrap();
}

/// What is on the list is drawn; what is not is refused with whom to ask.
fn choices(acme: &Organisation) {
    declare(
        acme,
        &json!({"server": {"priorityClassName": "system-node-critical"}}),
    );
    let tenant = acme.wait_for_reason("NotAllowed");
    assert_eq!(condition(&tenant, "Stalled")["status"], "True");
    assert_eq!(
        told(&tenant),
        "spec.server.priorityClassName: the platform does not allow `system-node-critical`; it allows `business`; ask the platform team to add it to allow.priorityClasses of the chart tenantry, or leave it out"
    );
    let annotations = json!({"example.com/team": "ads"});
    declare(
        acme,
        &json!({"server": {"priorityClassName": "business", "image": "tenantry-server:next", "podAnnotations": annotations}}),
    );
    acme.wait_for_reason("ServerStarting");
    let pod = acme.get("statefulset/server").unwrap()["spec"]["template"].clone();
    assert_eq!(pod["spec"]["priorityClassName"], "business");
    assert_eq!(
        pod["spec"]["containers"][0]["image"],
        "tenantry-server:next"
    );
    assert_eq!(pod["metadata"]["annotations"], annotations);
    let none = json!({"priorityClassName": null, "image": null, "podAnnotations": null});
    declare(acme, &json!({"server": none}));
    wait_for("the platform's own image", || {
        let set = acme.get("statefulset/server")?;
        let template = &set["spec"]["template"];
        let image = &template["spec"]["containers"][0]["image"];
        Ok(
            (image != "tenantry-server:next" && template["metadata"]["annotations"].is_null())
                .then_some(()),
        )
    })
    .unwrap();
}

fn callers(acme: &Organisation) -> Value {
    let policy = acme.get("networkpolicy/tenantry-server").unwrap();
    policy["spec"]["ingress"].clone()
}

fn by_ingress(acme: &Organisation) {
    assert_eq!(callers(acme), Value::Null);
    declare(
        acme,
        &json!({"endpoint": {"host": "offered.example.com", "gateway": "nowhere"}}),
    );
    let tenant = acme.wait_for_reason("NotAllowed");
    assert!(
        told(&tenant).contains("it has `public`, `inside`; choose one"),
        "{tenant}"
    );
    declare(
        acme,
        &json!({"endpoint": {"gateway": "inside", "tls": {"secretName": "cert"}}}),
    );
    let ingress = acme.wait_for_object("ingress/server");
    let spec = &ingress["spec"];
    assert_eq!(spec["ingressClassName"], "nginx");
    assert_eq!(spec["rules"][0]["host"], "offered.example.com");
    assert_eq!(spec["rules"][0]["http"]["paths"][0]["path"], "/mcp");
    assert_eq!(
        spec["tls"],
        json!([{"hosts": ["offered.example.com"], "secretName": "cert"}])
    );
    assert_eq!(
        ingress["metadata"]["annotations"]["example.com/class"],
        "inside"
    );
    acme.pretend_to_serve(&json!({}));
    let tenant = acme.wait_for_reason("AsDeclared");
    assert_eq!(
        tenant["status"]["endpoint"],
        "http://offered.example.com/mcp"
    );
    assert_eq!(condition(&tenant, "Exposed")["status"], "True");
    let nginx = json!([{"podSelector": {"matchLabels": {"app": "nginx"}}}]);
    assert_eq!(callers(acme)[0]["from"], nginx);
    let hosts = acme.get("mcpserver/server").unwrap()["spec"]["allowedHosts"].clone();
    assert!(
        hosts
            .as_array()
            .unwrap()
            .contains(&json!("offered.example.com")),
        "{hosts}"
    );
}

fn by_route(acme: &Organisation) {
    declare(acme, &json!({"endpoint": {"gateway": "public"}}));
    let tenant = acme.wait_for_reason("NotAllowed");
    assert!(
        told(&tenant).contains("whose listeners bring the certificate"),
        "{tenant}"
    );
    declare(acme, &json!({"endpoint": {"tls": null}}));
    let tenant = acme.wait_for_reason("GatewayApiMissing");
    assert_eq!(condition(&tenant, "Stalled")["status"], "True");
    assert_eq!(
        condition(&tenant, "ServerAvailable")["type"],
        "ServerAvailable"
    );
    wait_until_gone(acme, "ingress/server");

    acme.kubectl.apply(ROUTES).unwrap();
    let route = acme.wait_for_object("httproute/server");
    let parent = json!({
        "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "gateway-system", "name": "public",
    });
    assert_eq!(route["spec"]["parentRefs"], json!([parent]));
    assert_eq!(route["spec"]["hostnames"], json!(["offered.example.com"]));
    acme.pretend_to_serve(&json!({}));
    acme.wait_for_reason("RoutePending");
    for (status, reason) in [("False", "RouteRefused"), ("True", "AsDeclared")] {
        let accepted = json!({
            "type": "Accepted", "status": status, "reason": "Said", "message": "said by the gateway",
            "observedGeneration": route["metadata"]["generation"], "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let parents = json!([{"parentRef": parent, "controllerName": "test/gateway", "conditions": [accepted]}]);
        let patch = json!({"status": {"parents": parents}}).to_string();
        let words = [
            "patch",
            "-n",
            &acme.name,
            "httproute/server",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        acme.kubectl.run(&words).unwrap();
        let tenant = acme.wait_for_reason(reason);
        assert_eq!(condition(&tenant, "Exposed")["status"], status);
    }
    let tenant = acme.get(&format!("mcptenant/{}", acme.name)).unwrap();
    assert_eq!(
        tenant["status"]["endpoint"],
        "https://offered.example.com/mcp"
    );
    assert_eq!(
        callers(acme)[0]["from"][0]["podSelector"]["matchLabels"]["app"],
        "envoy"
    );
    no_second_way_in(acme);
}

/// Added by hand, it is taken away as anywhere.
fn no_second_way_in(acme: &Organisation) {
    let rules =
        json!({"spec": {"hostnames": ["offered.example.com", "more.example.com"]}}).to_string();
    let words = [
        "patch",
        "-n",
        &acme.name,
        "httproute/server",
        "--type=merge",
        "-p",
        &rules,
    ];
    acme.kubectl.run(&words).unwrap();
    wait_for("one host again", || {
        let hosts = acme.get("httproute/server")?["spec"]["hostnames"].clone();
        ensure!(hosts == json!(["offered.example.com"]), "{hosts}");
        Ok(Some(()))
    })
    .unwrap();
    declare(acme, &json!({"endpoint": null}));
    wait_until_gone(acme, "httproute/server");
    let endpoint = format!("http://server.{}.svc.cluster.local:8080/mcp", acme.name);
    wait_for("the endpoint in the cluster", || {
        let tenant = acme.get(&format!("mcptenant/{}", acme.name))?;
        Ok((tenant["status"]["endpoint"] == *endpoint).then_some(()))
    })
    .unwrap();
}

/// A way in goes with its host: to an older tenant, and when it is declared no
/// more, although all else waits.
fn hosts_change_hands(elder: &Organisation, acme: &Organisation) {
    let endpoint = json!({"endpoint": {"host": "moving.example.com", "gateway": "public"}});
    let wait_for_host = |is_there: bool| {
        wait_for("the contract's hosts", || {
            let contract = acme.get("mcpserver/server")?["spec"].clone();
            let hosts = contract["allowedHosts"].as_array().unwrap();
            Ok((hosts.contains(&json!("moving.example.com")) == is_there).then_some(()))
        })
        .unwrap();
    };
    declare(acme, &endpoint);
    acme.wait_for_object("httproute/server");
    wait_for_host(true);
    declare(elder, &endpoint);
    acme.wait_for_reason("HostTaken");
    wait_until_gone(acme, "httproute/server");
    wait_for_host(false);
    elder.wait_for_object("httproute/server");

    declare(elder, &json!({"endpoint": null}));
    acme.wait_for_object("httproute/server");
    declare(
        acme,
        &json!({"suspend": true, "endpoint": {"host": "moved.example.com"}}),
    );
    acme.wait_for_reason("Suspended");
    wait_until_gone(acme, "httproute/server");
    wait_for_host(false);
    declare(acme, &json!({"suspend": false, "endpoint": null}));
    acme.wait_for_reason("ContractPending");
}

fn hosts_by_name(acme: &Organisation) {
    let egress = json!([
        {"host": "collector.example.com", "port": 4318}, {"cidr": "10.1.2.0/24", "port": 5432},
    ]);
    declare(acme, &json!({"network": {"egress": egress}}));
    let tenant = acme.wait_for_reason("HostEgressUnavailable");
    assert!(
        told(&tenant).contains("`collector.example.com` stays closed"),
        "{tenant}"
    );
    let policy = acme.get("networkpolicy/tenantry-server").unwrap();
    let opened = policy["spec"]["egress"].to_string();
    assert!(
        opened.contains("10.1.2.0/24") && !opened.contains("4318"),
        "{opened}"
    );

    acme.kubectl.apply(CILIUM).unwrap();
    let policy = acme.wait_for_object("ciliumnetworkpolicy/tenantry-server");
    let opened = policy["spec"]["egress"].to_string();
    assert!(
        opened.contains(r#"{"toEntities":["kube-apiserver"]"#),
        "{opened}"
    );
    assert!(
        opened.contains(r#"{"toFQDNs":[{"matchName":"collector.example.com"}]"#),
        "{opened}"
    );
    acme.pretend_to_serve(&json!({}));
    acme.wait_for_reason("AsDeclared");
}
