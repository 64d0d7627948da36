//! Labels, names and the field manager that our objects share.

/// Marks every child of a tenant; the operator watches children by it.
pub const MANAGED_BY: &str = "tenantry.dev/managed-by";

/// The value of [`MANAGED_BY`].
pub const OPERATOR: &str = "tenantry-operator";

/// Names the organisation on its children.
pub const ORGANIZATION: &str = "tenantry.dev/organization";

/// Tells the parts of an organisation apart; the server's pods carry `server`.
pub const COMPONENT: &str = "tenantry.dev/component";

/// The fixed name of `McpServer`, StatefulSet and Service: a namespace is one
/// organisation and has one server.
pub const SERVER: &str = "server";

/// The server's ServiceAccount and RoleBinding, and the ClusterRole it binds.
pub const SERVER_ACCOUNT: &str = "tenantry-server";

/// The ClusterRole by which a namespace lets the operator work in it.
pub const TENANT_MANAGER_ROLE: &str = "tenantry-tenant-manager";

/// The name of what is asked for to be refused.
pub const FORGED: &str = "forged";

/// The port of the Service and of the pod on which MCP is spoken.
pub const MCP_PORT: u16 = 8080;

/// The port of the pod on which health and metrics are served.
pub const ADMIN_PORT: u16 = 9090;

/// The port of the pod, on loopback alone, on which its activity is told.
pub const ACTIVITY_PORT: u16 = 9091;

/// The path on which MCP is spoken.
pub const MCP_PATH: &str = "/mcp";

/// Where the Secret of a connector is mounted: one folder a connector.
pub const CREDENTIALS_DIR: &str = "/var/run/tenantry/credentials";

/// Where the Secret of a destination of notifications is mounted: one folder a
/// destination.
pub const NOTIFICATIONS_DIR: &str = "/var/run/tenantry/notifications";

/// Where the ledger's volume is mounted.
pub const LEDGER_DIR: &str = "/var/lib/tenantry";

/// The field manager for the children of the tenant with that UID. A second
/// tenant has another, so the API server itself refuses its fields.
pub fn field_manager(tenant_uid: &str) -> String {
    format!("tenantry/{tenant_uid}")
}
