//! What a tenant chose of what the platform decides: allowed by its list, or
//! told to whom to turn. Pure.

use tenantry_api::mcp_tenant::server::Server;

use crate::settings::allow::{Allow, Pattern};

/// What of `server` the platform does not allow, each with the remedy.
pub fn forbidden(server: &Server, allow: &Allow) -> Vec<String> {
    let mut told = vec![];
    let mut look = |field: &str, word: &str, list: &[Pattern], value: &str| {
        if !list.iter().any(|pattern| pattern.is_met_by(word)) {
            told.push(refusal(field, word, list, value));
        }
    };
    if let Some(image) = &server.image {
        look("spec.server.image", image, &allow.images, "allow.images");
    }
    if let Some(class) = &server.priority_class_name {
        let field = "spec.server.priorityClassName";
        look(
            field,
            class,
            &allow.priority_classes,
            "allow.priorityClasses",
        );
    }
    if let Some(class) = &server.runtime_class_name {
        let field = "spec.server.runtimeClassName";
        look(field, class, &allow.runtime_classes, "allow.runtimeClasses");
    }
    for key in server.pod_annotations.keys() {
        let field = "spec.server.podAnnotations";
        look(field, key, &allow.pod_annotations, "allow.podAnnotations");
    }
    told
}

fn refusal(field: &str, word: &str, list: &[Pattern], value: &str) -> String {
    let allowed: Vec<_> = list.iter().map(|pattern| format!("`{pattern}`")).collect();
    let allowed = if allowed.is_empty() {
        "nothing".to_owned()
    } else {
        allowed.join(", ")
    };
    format!(
        "{field}: the platform does not allow `{word}`; it allows {allowed}; ask the platform team to add it to {value} of the chart tenantry, or leave it out"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(fields: serde_json::Value) -> Server {
        serde_json::from_value(fields).unwrap()
    }

    fn allow() -> Allow {
        serde_json::from_value(json!({
            "images": ["registry.example/tenantry-server:*"], "priorityClasses": ["business"],
            "runtimeClasses": ["gvisor"], "podAnnotations": ["example.com/*", "team"],
        }))
        .unwrap()
    }

    #[test]
    fn what_is_on_the_list_is_allowed() {
        let chosen = server(json!({
            "image": "registry.example/tenantry-server:2", "priorityClassName": "business",
            "runtimeClassName": "gvisor", "podAnnotations": {"example.com/a": "1", "team": "2"},
        }));
        assert!(forbidden(&chosen, &allow()).is_empty());
        assert!(forbidden(&Server::default(), &Allow::default()).is_empty());
    }

    #[test]
    fn what_is_not_is_refused_with_whom_to_ask_for_what() {
        let chosen = server(json!({
            "image": "elsewhere/server:1", "priorityClassName": "system-node-critical",
            "runtimeClassName": "runc", "podAnnotations": {"other/a": "1"},
        }));
        let told = forbidden(&chosen, &allow());
        assert_eq!(told.len(), 4);
        assert_eq!(
            told[1],
            "spec.server.priorityClassName: the platform does not allow `system-node-critical`; it allows `business`; ask the platform team to add it to allow.priorityClasses of the chart tenantry, or leave it out"
        );
        let told = forbidden(&chosen, &Allow::default());
        assert!(
            told[0].contains("it allows nothing; ask the platform team to add it to allow.images")
        );
    }
}
