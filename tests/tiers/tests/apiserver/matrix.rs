//! Everything that anybody of ours may do, asked of the API server and kept as
//! a golden file: a change of a right is a change that a reviewer reads.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tenantry_tests::kubectl::Kubectl;

use crate::plane::{OPERATOR, Plane};

const VERBS: [&str; 8] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
];

/// Verbs that only some resources have, and resources that no discovery lists.
const SPECIAL: [(&str, &str, &[&str]); 9] = [
    ("rbac.authorization.k8s.io", "roles", &["bind", "escalate"]),
    (
        "rbac.authorization.k8s.io",
        "clusterroles",
        &["bind", "escalate"],
    ),
    ("", "users", &["impersonate"]),
    ("", "groups", &["impersonate"]),
    ("", "serviceaccounts", &["impersonate"]),
    ("authentication.k8s.io", "uids", &["impersonate"]),
    ("certificates.k8s.io", "signers", &["approve", "sign"]),
    (
        "tenantry.dev",
        "mcpapprovals/decision",
        &["approve", "automate"],
    ),
    ("tenantry.dev", "mcpapikeys", &["issuefor"]),
];

/// How many questions are on their way at a time: enough that the API server,
/// not the way to it, decides how long it takes.
const AT_A_TIME: usize = 32;

const HOME: &str = "matrix-a";
const NEIGHBOUR: &str = "matrix-b";

/// Where: all namespaces (or no namespace), or one. People are asked about the
/// first three: to them, those of the system are namespaces as B is one.
const SCOPES: [&str; 6] = [
    "",
    HOME,
    NEIGHBOUR,
    "tenantry-system",
    "default",
    "kube-system",
];
const SCOPES_OF_PEOPLE: usize = 3;
const PROGRAMS: [&str; 2] = ["operator", "server of A"];

/// A user without a role of ours.
const SOMEBODY: &str = "somebody";

/// Who, by the name that the golden file gives them.
fn identities() -> Vec<(&'static str, String, Vec<String>)> {
    let account = |namespace: &str| {
        vec![
            "system:authenticated".to_owned(),
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ]
    };
    let person = || vec!["system:authenticated".to_owned()];
    vec![
        ("operator", OPERATOR.into(), account("tenantry-system")),
        (
            "server of A",
            format!("system:serviceaccount:{HOME}:tenantry-server"),
            account(HOME),
        ),
        ("onboarder", "matrix-tenantry-onboarder".into(), person()),
        (
            "org-admin of A",
            "matrix-tenantry-org-admin".into(),
            person(),
        ),
        ("approver of A", "matrix-tenantry-approver".into(), person()),
        ("auditor of A", "matrix-tenantry-auditor".into(), person()),
        ("viewer of A", "matrix-tenantry-viewer".into(), person()),
        (SOMEBODY, "matrix-somebody".into(), person()),
        (
            "anonymous",
            "system:anonymous".into(),
            vec!["system:unauthenticated".to_owned()],
        ),
    ]
}

/// One question.
#[derive(Debug, Clone)]
struct Question {
    who: usize,
    scope: &'static str,
    group: String,
    resource: String,
    name: Option<String>,
    verb: String,
}

/// What there is to have rights on, by group and resource; whether it is in
/// namespaces.
fn resources(kubectl: &Kubectl) -> BTreeMap<(String, String), bool> {
    let raw = |path: &str| -> Value {
        serde_json::from_str(&kubectl.run(&["get", "--raw", path]).unwrap()).unwrap()
    };
    let groups = raw("/apis");
    let mut lists = vec![(String::new(), raw("/api/v1"))];
    for group in groups["groups"].as_array().unwrap() {
        for version in group["versions"].as_array().unwrap() {
            let path = format!("/apis/{}", version["groupVersion"].as_str().unwrap());
            lists.push((group["name"].as_str().unwrap().to_owned(), raw(&path)));
        }
    }
    let mut all = BTreeMap::new();
    for (group, list) in lists {
        for resource in list["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap().to_owned();
            all.insert((group.clone(), name), resource["namespaced"] == true);
        }
    }
    all
}

/// The names that our roles are limited to: without the name the API server
/// answers no.
fn names(kubectl: &Kubectl) -> BTreeSet<(String, String, String)> {
    let mut named = BTreeSet::new();
    for kind in ["clusterroles", "roles"] {
        let list = kubectl.get(&[kind, "--all-namespaces"]).unwrap();
        let ours = list["items"].as_array().unwrap().iter().filter(|role| {
            let name = role["metadata"]["name"].as_str().unwrap();
            name.starts_with("tenantry")
        });
        for rule in ours.flat_map(|role| role["rules"].as_array().into_iter().flatten()) {
            let texts = |field: &str| -> Vec<String> {
                let list = rule[field].as_array().into_iter().flatten();
                list.map(|text| text.as_str().unwrap().to_owned()).collect()
            };
            for group in texts("apiGroups") {
                for resource in texts("resources") {
                    for name in texts("resourceNames") {
                        named.insert((group.clone(), resource.clone(), name));
                    }
                }
            }
        }
    }
    named
}

/// Group, resource, name, verbs, and whether it is in a namespace.
type Thing = (String, String, Option<String>, Vec<&'static str>, bool);

fn questions(kubectl: &Kubectl) -> Vec<Question> {
    let known = resources(kubectl);
    let mut things: Vec<Thing> = vec![];
    for ((group, resource), &is_namespaced) in &known {
        things.push((
            group.clone(),
            resource.clone(),
            None,
            VERBS.into(),
            is_namespaced,
        ));
    }
    for (group, resource, verbs) in SPECIAL {
        things.push((group.into(), resource.into(), None, verbs.into(), true));
    }
    for (group, resource, name) in names(kubectl) {
        let mut verbs: Vec<_> = VERBS.into();
        let special = SPECIAL
            .iter()
            .filter(|one| (one.0, one.1) == (&group, &resource));
        verbs.extend(special.flat_map(|one| one.2));
        things.push((group, resource, Some(name), verbs, true));
    }
    let mut all = vec![];
    for (who, (called, ..)) in identities().into_iter().enumerate() {
        let scopes = if PROGRAMS.contains(&called) {
            SCOPES.len()
        } else {
            SCOPES_OF_PEOPLE
        };
        for (group, resource, name, verbs, is_namespaced) in &things {
            for scope in SCOPES
                .into_iter()
                .take(if *is_namespaced { scopes } else { 1 })
            {
                all.extend(verbs.iter().map(|verb| Question {
                    who,
                    scope,
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                    verb: (*verb).to_owned(),
                }));
            }
        }
    }
    all
}

async fn is_allowed(client: &Client, question: &Question) -> bool {
    let (_, user, groups) = identities().swap_remove(question.who);
    let (resource, subresource) = question
        .resource
        .split_once('/')
        .map_or((question.resource.as_str(), None), |(resource, rest)| {
            (resource, Some(rest))
        });
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user),
            groups: Some(groups),
            resource_attributes: Some(ResourceAttributes {
                group: Some(question.group.clone()),
                resource: Some(resource.into()),
                subresource: subresource.map(str::to_owned),
                name: question.name.clone(),
                namespace: Some(question.scope.into()),
                verb: Some(question.verb.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await;
    answer.unwrap().status.unwrap().allowed
}

/// The grants, one line for each identity, place and thing. What somebody
/// without a role may do stands with them alone.
fn table(granted: &[Question]) -> String {
    let identities = identities();
    let place = |question: &Question| match question.scope {
        "" => 0,
        scope => SCOPES.iter().position(|known| *known == scope).unwrap(),
    };
    let thing = |question: &Question| {
        let mut thing = question.resource.clone();
        if !question.group.is_empty() {
            thing = format!("{}/{thing}", question.group);
        }
        match &question.name {
            Some(name) => format!("{thing} `{name}`"),
            None => thing,
        }
    };
    let mut rows: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for question in granted {
        // What holds everywhere, for every name or for everybody is said once.
        let is_person = identities[question.who].0 != "anonymous";
        let is_said = granted.iter().any(|wider| {
            (&wider.group, &wider.resource, &wider.verb)
                == (&question.group, &question.resource, &question.verb)
                && (wider.who == question.who || is_person && identities[wider.who].0 == SOMEBODY)
                && (wider.scope.is_empty() || wider.scope == question.scope)
                && (wider.name.is_none() || wider.name == question.name)
                && (wider.who, wider.scope, &wider.name)
                    != (question.who, question.scope, &question.name)
        });
        if !is_said {
            let row = (question.who, place(question), thing(question));
            rows.entry(row).or_default().push(&question.verb);
        }
    }
    let lines = rows.iter().map(|((who, place, thing), verbs)| {
        let place = [
            "everywhere",
            "A",
            "B",
            "tenantry-system",
            "default",
            "kube-system",
        ][*place];
        format!(
            "{:<15} {place:<15} {thing}: {}",
            identities[*who].0,
            verbs.join(" ")
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn bind_everybody(kubectl: &Kubectl) {
    for role in ["org-admin", "approver", "auditor", "viewer"] {
        let role = format!("tenantry-{role}");
        let user = format!("--user=matrix-{role}");
        let role = format!("--clusterrole={role}");
        kubectl
            .run(&[
                "create",
                "rolebinding",
                &user[7..],
                &role,
                &user,
                "-n",
                HOME,
            ])
            .unwrap();
    }
    let onboarder = [
        "--clusterrole=tenantry-onboarder",
        "--user=matrix-tenantry-onboarder",
    ];
    kubectl
        .run(&[&["create", "clusterrolebinding", "matrix"], &onboarder[..]].concat())
        .unwrap();
}

#[tokio::test]
async fn everybodys_rights_are_as_recorded() {
    let plane = Plane::shared();
    let kubectl = plane.kubectl();
    for name in [HOME, NEIGHBOUR] {
        plane.onboard(name).wait_for_reason("ServerStarting");
    }
    bind_everybody(&kubectl);
    let questions = questions(&kubectl);
    println!("{} questions", questions.len());
    let client = &plane.client().await;
    let asked = stream::iter(questions)
        .map(async |question| is_allowed(client, &question).await.then_some(question));
    let granted = asked.buffered(AT_A_TIME);
    let granted: Vec<_> = granted.filter_map(std::future::ready).collect().await;
    for question in &granted {
        assert!(!is_forbidden(question), "{question:?}");
    }
    insta::assert_snapshot!("rights", table(&granted));
}

/// What none of these identities may ever have.
fn is_forbidden(question: &Question) -> bool {
    let resource = question.resource.as_str();
    let is_our_own = question.scope == HOME || question.scope == NEIGHBOUR;
    let reads_secrets = resource == "secrets";
    let enters_pods = [
        "pods/exec",
        "pods/attach",
        "pods/proxy",
        "pods/ephemeralcontainers",
    ]
    .contains(&resource);
    // What a server tells on its loopback is for who reads everything, by the
    // names of its pods.
    let is_auditor = identities()[question.who].0 == "auditor of A";
    let may_forward = is_auditor && question.scope == HOME && question.name.is_some();
    let forwards = resource == "pods/portforward" && !may_forward;
    let becomes_another = resource == "serviceaccounts/token"
        || question.verb == "impersonate"
        || question.verb == "escalate";
    let changes_admission = question.group == "admissionregistration.k8s.io";
    // Whether one of its own is still there may be asked, by its name.
    let looks_by_name = question.verb == "get" && question.name.is_some();
    let touches_pods = resource == "pods" && !looks_by_name
        || [
            "deployments",
            "daemonsets",
            "jobs",
            "cronjobs",
            "replicasets",
        ]
        .contains(&resource);
    let builds_elsewhere = resource == "statefulsets"
        && ["create", "patch", "update"].contains(&question.verb.as_str())
        && !is_our_own;
    reads_secrets
        || enters_pods
        || forwards
        || becomes_another
        || changes_admission
        || touches_pods
        || builds_elsewhere
        || resource == "nodes/proxy"
        || question.verb == "deletecollection"
}

#[test]
fn a_wildcard_on_keys_is_the_right_to_issue_them() {
    // What the policy on keys relies on, and the golden file cannot show.
    let plane = Plane::shared();
    let kubectl = plane.kubectl();
    kubectl.run(&["create", "namespace", "wildcard"]).unwrap();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "all", "namespace": "wildcard"},
        "rules": [{"apiGroups": ["tenantry.dev"], "resources": ["mcpapikeys"], "verbs": ["*"]}],
    });
    kubectl.apply(&role.to_string()).unwrap();
    kubectl
        .run(&[
            "create",
            "rolebinding",
            "all",
            "--role=all",
            "--user=wild",
            "-n",
            "wildcard",
        ])
        .unwrap();
    let wild = plane.kubectl_as("wild");
    let can = |verb: &str, resource: &str| {
        let output = wild.output(&["auth", "can-i", verb, resource, "-n", "wildcard"]);
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(can("issuefor", "mcpapikeys"), "yes");
    // The decision on approvals is no part of it.
    assert_eq!(can("approve", "mcpapprovals"), "no");
}
