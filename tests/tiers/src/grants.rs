//! Rights that nobody used: what roles grant, held against the API server's
//! audit log of the tests. Pure.

use std::collections::BTreeSet;
use std::fmt::{Display, Formatter, Result};

use serde_json::Value;

/// One right of one role, as small as RBAC can give it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// `ClusterRole/name` or `Role/name`.
    pub role: String,
    /// The verb.
    pub verb: String,
    /// `resource.group`, with `/subresource`.
    pub resource: String,
    /// The only name it is about; all names if there is none.
    pub name: Option<String>,
}

/// A use of a right, as the audit log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The role that the API server found the right in.
    role: String,
    verb: String,
    resource: String,
    name: Option<String>,
}

impl Display for Grant {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self {
            role,
            verb,
            resource,
            name,
        } = self;
        write!(f, "{role}: {verb} {resource}")?;
        name.as_ref().map_or(Ok(()), |name| write!(f, " `{name}`"))
    }
}

/// Everything that a Role or ClusterRole grants.
pub fn grants(role: &Value) -> BTreeSet<Grant> {
    let holder = format!(
        "{}/{}",
        text(&role["kind"]),
        text(&role["metadata"]["name"])
    );
    let mut all = BTreeSet::new();
    for rule in elements(&role["rules"]) {
        let names: Vec<_> = elements(&rule["resourceNames"])
            .map(|name| Some(text(name)))
            .collect();
        let names = if names.is_empty() { vec![None] } else { names };
        for group in elements(&rule["apiGroups"]) {
            for resource in elements(&rule["resources"]) {
                for verb in elements(&rule["verbs"]) {
                    all.extend(names.iter().map(|name| Grant {
                        role: holder.clone(),
                        verb: text(verb),
                        resource: qualified(&text(resource), &text(group)),
                        name: name.clone(),
                    }));
                }
            }
        }
    }
    all
}

/// The rights that a line of the audit log shows in use by one of `users`;
/// none for what others did, for what was refused, and for what a person or
/// test did by kubectl under such a name.
pub fn uses(line: &Value, is_user: impl Fn(&str) -> bool) -> Vec<Use> {
    let by = line["user"]["username"].as_str().unwrap_or_default();
    let agent = line["userAgent"].as_str().unwrap_or_default();
    let reason = &line["annotations"]["authorization.k8s.io/reason"];
    let Some(role) = reason.as_str().and_then(role_of) else {
        return vec![];
    };
    if !is_user(by) || agent.starts_with("kubectl/") {
        return vec![];
    }
    let object = &line["objectRef"];
    let resource = object["resource"].as_str().unwrap_or_default();
    let resource = object["subresource"].as_str().map_or_else(
        || resource.to_owned(),
        |subresource| format!("{resource}/{subresource}"),
    );
    let one = Use {
        role,
        verb: text(&line["verb"]),
        resource: qualified(&resource, object["apiGroup"].as_str().unwrap_or_default()),
        name: object["name"].as_str().map(str::to_owned),
    };
    let mut used = vec![one.clone()];
    // Server-side apply of what was not there asks for both rights and is
    // logged once.
    if one.verb == "patch" && line["responseStatus"]["code"] == 201 {
        used.push(Use {
            verb: "create".into(),
            ..one.clone()
        });
    }
    // Whoever binds a role is asked for `bind` on it, which is logged nowhere.
    if one.resource == "rolebindings.rbac.authorization.k8s.io" {
        used.push(Use {
            verb: "bind".into(),
            resource: "clusterroles.rbac.authorization.k8s.io".into(),
            ..one
        });
    }
    used
}

/// The grants that no use shows.
pub fn unused(grants: BTreeSet<Grant>, uses: &[Use]) -> BTreeSet<Grant> {
    let is_used = |grant: &Grant| uses.iter().any(|one| shows(one, grant));
    grants.into_iter().filter(|grant| !is_used(grant)).collect()
}

fn shows(one: &Use, grant: &Grant) -> bool {
    one.role == grant.role
        && one.verb == grant.verb
        && one.resource == grant.resource
        && (grant.name.is_none() || grant.name == one.name)
}

/// `RBAC: allowed by RoleBinding "a/b" of ClusterRole "c" to …`
fn role_of(reason: &str) -> Option<String> {
    let (_, rest) = reason.split_once(" of ")?;
    let mut words = rest.split('"');
    let kind = words.next()?.trim_end();
    Some(format!("{kind}/{}", words.next()?))
}

fn qualified(resource: &str, group: &str) -> String {
    let (resource, rest) = resource.split_at(resource.find('/').unwrap_or(resource.len()));
    match group {
        "" => format!("{resource}{rest}"),
        group => format!("{resource}.{group}{rest}"),
    }
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role() -> Value {
        json!({
            "kind": "ClusterRole",
            "metadata": {"name": "manager"},
            "rules": [
                {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["create"]},
                {"apiGroups": ["apps"], "resources": ["statefulsets"], "resourceNames": ["server"], "verbs": ["get", "patch"]},
            ],
        })
    }

    fn line(user: &str, agent: &str, code: u16) -> Value {
        json!({
            "verb": "patch",
            "user": {"username": user},
            "userAgent": agent,
            "objectRef": {"resource": "statefulsets", "apiGroup": "apps", "namespace": "a", "name": "server"},
            "responseStatus": {"code": code},
            "annotations": {
                "authorization.k8s.io/decision": "allow",
                "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"x/a\" of ClusterRole \"manager\" to ServiceAccount \"o/s\"",
            },
        })
    }

    fn left(lines: &[Value]) -> Vec<String> {
        let used: Vec<_> = lines
            .iter()
            .flat_map(|line| uses(line, |user| user == "us"))
            .collect();
        let left = unused(grants(&role()), &used);
        left.iter().map(ToString::to_string).collect()
    }

    const GET: &str = "ClusterRole/manager: get statefulsets.apps `server`";
    const PATCH: &str = "ClusterRole/manager: patch statefulsets.apps `server`";
    const CREATE: &str = "ClusterRole/manager: create statefulsets.apps";

    #[test]
    fn an_apply_that_creates_uses_two_rights_and_a_later_one_uses_one() {
        assert_eq!(left(&[]), [CREATE, GET, PATCH]);
        assert_eq!(left(&[line("us", "", 201)]), [GET]);
        assert_eq!(left(&[line("us", "", 200)]), [CREATE, GET]);
    }

    #[test]
    fn what_others_and_kubectl_do_is_no_use_of_ours() {
        assert_eq!(left(&[line("them", "", 201)]).len(), 3);
        assert_eq!(left(&[line("us", "kubectl/v1.35", 201)]).len(), 3);
    }

    #[test]
    fn a_right_is_used_under_its_name_and_in_its_role_alone() {
        let mut other = line("us", "", 200);
        other["objectRef"]["name"] = json!("other");
        assert_eq!(left(&[other]).len(), 3);
        let mut elsewhere = line("us", "", 200);
        elsewhere["annotations"]["authorization.k8s.io/reason"] = json!(
            "RBAC: allowed by ClusterRoleBinding \"x\" of ClusterRole \"larger\" to User \"us\""
        );
        assert_eq!(left(&[elsewhere]).len(), 3);
        let mut refused = line("us", "", 403);
        refused["annotations"]["authorization.k8s.io/reason"] = json!("");
        assert_eq!(left(&[refused]).len(), 3);
    }

    #[test]
    fn subresources_and_the_core_group_read_as_kubectl_writes_them() {
        assert_eq!(
            qualified("mcptenants/status", "tenantry.dev"),
            "mcptenants.tenantry.dev/status"
        );
        assert_eq!(qualified("services", ""), "services");
    }
}
