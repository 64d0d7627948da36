//! A namespace full of people who might decide on approvals.

use std::sync::Arc;

use serde_json::{Value, json};
use tenantry_tests::kubectl::{Kubectl, wait_for};

use crate::plane::{OPERATOR, Plane};

pub const OWNER: &str = "owner@approvals.example";
pub const ISSUER: &str = "issuer@approvals.example";
pub const FINANCE: &str = "finance@approvals.example";
pub const ADS: &str = "ads@approvals.example";
pub const BOTH: &str = "both@approvals.example";
pub const BYSTANDER: &str = "bystander@approvals.example";

/// A namespace in which everybody may change approvals, and some may decide.
pub struct Court {
    /// The API server.
    pub plane: Arc<Plane>,
    /// Where.
    pub name: String,
}

impl Court {
    /// Makes one.
    pub fn new(name: &str) -> Self {
        let court = Self {
            plane: Plane::shared(),
            name: name.into(),
        };
        let admin = court.plane.kubectl();
        admin.run(&["create", "namespace", name]).unwrap();
        // More than any role of ours gives: all that there is on what exists.
        let everything = json!({
            "apiGroups": ["tenantry.dev"], "resources": ["mcpapprovals", "mcpapprovals/status"], "verbs": ["*"],
        });
        for user in [OWNER, ISSUER, FINANCE, ADS, BOTH, BYSTANDER, OPERATOR] {
            court.give("everything", user, &everything);
        }
        court.give("everything", &court.server(), &everything);
        for (role, user, classes) in [
            ("finance", FINANCE, &["finance"][..]),
            ("ads", ADS, &["ads"]),
            ("both", BOTH, &["ads", "finance"]),
            // Who asks and who made the key might decide what others ask.
            ("owner", OWNER, &["ads", "finance"]),
            ("issuer", ISSUER, &["ads", "finance"]),
        ] {
            court.give(role, user, &deciding("approve", classes));
        }
        court
    }

    pub fn server(&self) -> String {
        format!("system:serviceaccount:{}:tenantry-server", self.name)
    }

    /// Gives `user` a right, under a role of that name.
    pub fn give(&self, role: &str, user: &str, right: &Value) {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": role, "namespace": self.name}, "rules": [right],
        });
        let name = &role["metadata"]["name"];
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {
                "name": format!("{}-{}", name.as_str().unwrap(), user.replace([':', '@'], ".")),
                "namespace": self.name,
            },
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        });
        let both = format!("{role}\n---\n{binding}");
        self.plane.kubectl().apply(&both).unwrap();
    }

    pub fn as_user(&self, user: &str) -> Kubectl {
        self.plane.kubectl_as(user)
    }

    /// An approval as the server writes it, for these classes.
    pub fn asked(&self, name: &str, classes: &[&str]) -> Value {
        json!({
            "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpApproval",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {"request": {
                "changeId": "0123456789abcdef0123456789abcdef",
                "tool": "meta_set_budget", "connector": "meta", "account": "act_1",
                "summary": "campaign 120, daily_budget 100.00 EUR to 9000.00 EUR",
                "arguments": "{}",
                "rules": [{"policy": "ads-budget", "rule": "approvals[large]", "message": "over 5000.00 EUR"}],
                "policyDigest": format!("sha256:{}", "0".repeat(64)),
                "approverClasses": classes, "approvers": 1,
                "requestedBy": {"owner": OWNER, "agent": "planner", "key": "demo", "issuedBy": ISSUER},
                "askedAt": "2026-06-01T00:00:00Z", "expiresAt": "2036-06-01T00:00:00Z",
            }},
        })
    }

    /// Has the server ask.
    pub fn ask(&self, name: &str, classes: &[&str]) {
        self.create(&self.asked(name, classes));
    }

    pub fn create(&self, approval: &Value) {
        let server = self.as_user(&self.server());
        // Rights that were just given may be a moment behind.
        wait_for("the server to be let ask", || {
            server.apply(&approval.to_string()).map(Some)
        })
        .unwrap();
    }

    /// What `user` hears who changes `name` with that JSON patch.
    pub fn patch(&self, user: &str, name: &str, patch: &Value) -> String {
        self.patch_below(user, name, patch, &[])
    }

    pub fn patch_below(&self, user: &str, name: &str, patch: &Value, more: &[&str]) -> String {
        let object = format!("mcpapproval/{name}");
        let patch = patch.to_string();
        let arguments = [
            "patch",
            &object,
            "-n",
            &self.name,
            "--type=json",
            "-p",
            &patch,
        ];
        let output = self.as_user(user).output(&[&arguments[..], more].concat());
        String::from_utf8(output.unwrap().stderr).unwrap()
    }

    /// What `user` hears who decides, in the name `by`.
    pub fn decide(&self, user: &str, name: &str, decision: &Value) -> String {
        let patch = json!([{"op": "add", "path": "/spec/decisions/-", "value": decision}]);
        self.patch(user, name, &patch)
    }

    /// The same, once the rights that were just given are there.
    pub fn is_let_decide(&self, user: &str, name: &str, decision: &Value) {
        wait_for("a decision to be admitted", || {
            let told = self.decide(user, name, decision);
            anyhow::ensure!(
                told.is_empty() || told.contains("cannot patch") || told.contains("may not decide"),
                "{told}"
            );
            Ok(told.is_empty().then_some(()))
        })
        .unwrap();
    }

    /// That `user` is refused in those words, once the rights that were just given
    /// are there; never are they let through.
    pub fn is_refused(&self, user: &str, name: &str, told: &str) {
        let mut is_admitted = false;
        wait_for("a decision to be refused", || {
            let heard = self.decide(user, name, &approve(user));
            is_admitted |= heard.is_empty();
            anyhow::ensure!(!is_admitted, "`{user}` decided");
            Ok(heard.contains(told).then_some(()))
        })
        .unwrap();
    }

    pub fn decisions(&self, name: &str) -> Value {
        let object = format!("mcpapproval/{name}");
        let approval = self.plane.kubectl().get(&["-n", &self.name, &object]);
        approval.unwrap()["spec"]["decisions"].clone()
    }
}

pub fn deciding(verb: &str, classes: &[&str]) -> Value {
    json!({
        "apiGroups": ["tenantry.dev"], "resources": ["mcpapprovals/decision"],
        "verbs": [verb], "resourceNames": classes,
    })
}

pub fn approve(by: &str) -> Value {
    json!({"by": by, "verdict": "Approve"})
}
