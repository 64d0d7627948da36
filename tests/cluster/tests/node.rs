//! The local cluster, for real: volumes, names, Services, and network policies that drop packets.
//! It has to be up (`cargo xtask up`); each test has namespaces of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tenantry_cluster::cluster::{Status, kubectl, status};
use tenantry_cluster::command::{run, succeeds};
use tenantry_cluster::network::{OUTSIDE_ADDRESS, Place};
use tenantry_cluster::tools::{Tool, Toolbox};
use tenantry_cluster::wait;

/// Policies take effect within 0.1 s and Services within 1 s; a machine under load takes longer.
const EFFECT_WITHIN: Duration = Duration::from_secs(30);

/// A namespace with a pod `web` that serves on port 8080, behind a Service of that name.
const WEB: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: NS, labels: {pod-security.kubernetes.io/enforce: restricted}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: state, namespace: NS}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: NS, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: web
    image: localhost/probe:local
    imagePullPolicy: Never
    args: [serve, '8080']
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: state, mountPath: /state}]
  volumes: [{name: state, persistentVolumeClaim: {claimName: state}}]
";

const ONLY_FROM_ITS_OWN_NAMESPACE: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: own-namespace, namespace: NS}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}
";

struct Web {
    toolbox: Toolbox,
    namespace: &'static str,
}

impl Web {
    fn start(namespace: &'static str) -> Self {
        assert_eq!(
            status(),
            Status::Running,
            "bring the cluster up first: cargo xtask up"
        );
        let web = Self {
            toolbox: Toolbox::open().unwrap(),
            namespace,
        };
        web.apply(WEB);
        web
    }

    fn apply(&self, manifest: &str) {
        let mut apply = kubectl(&self.toolbox);
        apply
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut apply = apply.spawn().unwrap();
        let text = manifest.replace("NS", self.namespace);
        apply
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        assert!(apply.wait().unwrap().success());
        let ready = ["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"];
        run(kubectl(&self.toolbox)
            .args(["-n", self.namespace])
            .args(ready))
        .unwrap();
    }

    /// Asks the pod's probe a question.
    fn ask(&self, question: &[&str]) -> Command {
        let mut ask = kubectl(&self.toolbox);
        ask.args(["-n", self.namespace, "exec", "web", "--", "/probe"])
            .args(question);
        ask
    }

    fn soon_reaches(&self, address: &str) -> bool {
        wait::until(EFFECT_WITHIN, || self.reaches(address).then_some(())).is_some()
    }

    fn reaches(&self, address: &str) -> bool {
        succeeds(&mut self.ask(&["dial", address]))
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let delete = ["delete", "namespace", self.namespace, "--wait=false"];
        let _ = run(kubectl(&self.toolbox).args(delete));
    }
}

#[test]
fn volume_outlives_its_pod() {
    let web = Web::start("cluster-volume");
    run(&mut web.ask(&["write", "/state/note", "kept"])).unwrap();
    run(kubectl(&web.toolbox).args(["-n", web.namespace, "delete", "pod", "web"])).unwrap();
    web.apply(WEB);
    assert_eq!(run(&mut web.ask(&["read", "/state/note"])).unwrap(), "kept");
}

#[test]
fn names_and_services_lead_to_pods() {
    let web = Web::start("cluster-names");
    assert!(
        run(&mut web.ask(&["lookup", "kubernetes.default"]))
            .unwrap()
            .contains("10.96.0.1")
    );
    assert!(
        run(&mut web.ask(&["lookup", "public.test"]))
            .unwrap()
            .contains("203.0.113.10")
    );
    assert!(!succeeds(&mut web.ask(&["lookup", "nobody.example"])));
    assert!(web.soon_reaches("web.cluster-names:80"));
    assert!(web.soon_reaches("kubernetes.default:443"));
}

#[test]
fn network_policy_drops_what_it_does_not_allow() {
    let inside = Web::start("cluster-policy-inside");
    let outside = Web::start("cluster-policy-outside");
    let address = "web.cluster-policy-inside:80";
    assert!(inside.soon_reaches(address) && outside.soon_reaches(address));
    inside.apply(ONLY_FROM_ITS_OWN_NAMESPACE);
    let dropped = wait::until(EFFECT_WITHIN, || (!outside.reaches(address)).then_some(()));
    assert!(dropped.is_some());
    assert!(inside.reaches(address));
}

#[test]
fn pods_reach_hosts_outside_the_cluster() {
    let web = Web::start("cluster-outside");
    let server = web.toolbox.path(Tool::Probe);
    let mut server = Place::Outside.command(server.to_str().unwrap());
    let _server = Killed(server.args(["serve", "8000"]).spawn().unwrap());
    let address = format!("{OUTSIDE_ADDRESS}:8000");
    assert!(web.soon_reaches(&address));
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
