//! Which Secrets of its namespace a server finds in its file system, and where.
//! Nothing here ever reads one. Pure.

use tenantry_api::label;
use tenantry_api::mcp_tenant::McpTenant;

/// A Secret that the server finds in its file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMount {
    /// Whose it is.
    pub holder: Holder,
    /// Which Secret.
    pub secret: String,
}

/// Whose a Secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The connector of that name; a vendor is called with it.
    Connector(String),
    /// The destination of that name; it says where it is.
    Destination(String),
}

impl SecretMount {
    /// Those of `tenant`.
    pub fn all_of(tenant: &McpTenant) -> Vec<Self> {
        let spec = &tenant.spec;
        let connectors = spec.connectors.iter().map(|connector| Self {
            holder: Holder::Connector(connector.name.clone()),
            secret: connector.credentials.secret_name.clone(),
        });
        let destinations = spec.notifications.iter().map(|destination| Self {
            holder: Holder::Destination(destination.name.clone()),
            secret: destination.secret_name.clone(),
        });
        connectors.chain(destinations).collect()
    }

    /// The name of its volume. Both fit into a DNS label.
    pub fn volume(&self) -> String {
        match &self.holder {
            Holder::Connector(name) => format!("credentials-{name}"),
            Holder::Destination(name) => format!("notifications-{name}"),
        }
    }

    /// Where the server looks for it.
    pub fn path(&self) -> String {
        match &self.holder {
            Holder::Connector(name) => format!("{}/{name}", label::CREDENTIALS_DIR),
            Holder::Destination(name) => format!("{}/{name}", label::NOTIFICATIONS_DIR),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tenant::example;

    #[test]
    fn each_holder_has_a_place_of_its_own_whatever_it_is_called() {
        let mut tenant = example::tenant();
        let told = json!([
            {"name": "meta", "secretName": "slack"},
            {"name": "x".repeat(40), "secretName": "slack"},
        ]);
        tenant.spec.notifications = serde_json::from_value(told).unwrap();
        let mounts = SecretMount::all_of(&tenant);
        let placed: Vec<_> = mounts
            .iter()
            .map(|mount| (mount.volume(), mount.path(), mount.secret.as_str()))
            .collect();
        let long = "x".repeat(40);
        let expected = [
            (
                "credentials-meta".to_owned(),
                "/var/run/tenantry/credentials/meta".to_owned(),
                "meta-credentials",
            ),
            (
                "notifications-meta".to_owned(),
                "/var/run/tenantry/notifications/meta".to_owned(),
                "slack",
            ),
            (
                format!("notifications-{long}"),
                format!("/var/run/tenantry/notifications/{long}"),
                "slack",
            ),
        ];
        assert_eq!(placed, expected);
        // As Kubernetes has it for names of volumes.
        assert!(placed.iter().all(|(volume, ..)| volume.len() <= 63));
    }
}
