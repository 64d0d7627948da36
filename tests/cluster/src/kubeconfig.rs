//! Kubeconfig files. They point at certificate files beside them, so that nothing
//! secret is copied; JSON, which every reader of kubeconfigs takes as YAML.

use std::path::Path;

use serde_json::json;

use crate::pki::{Credential, PkiError, write_private};

/// The one context of every kubeconfig written here.
pub const CONTEXT: &str = "tenantry";

/// Writes `<name>.crt`, `<name>.key` and `<name>.kubeconfig` into `dir`, which holds `ca.crt`.
pub fn write(dir: &Path, name: &str, server: &str, client: &Credential) -> Result<(), PkiError> {
    client.write(dir, name)?;
    write_private(
        &dir.join(format!("{name}.kubeconfig")),
        &render(dir, name, server),
    )
}

/// The text of a kubeconfig for the client certificate `name` in `dir`.
pub fn render(dir: &Path, name: &str, server: &str) -> String {
    let file = |name: String| dir.join(name).display().to_string();
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {
            "server": server,
            "certificate-authority": file("ca.crt".to_owned()),
        }}],
        "users": [{"name": CONTEXT, "user": {
            "client-certificate": file(format!("{name}.crt")),
            "client-key": file(format!("{name}.key")),
        }}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    });
    format!("{document:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeconfig_points_at_the_files_beside_it() {
        let text = render(Path::new("/state/pki"), "admin", "https://127.0.0.1:16443");
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            config["clusters"][0]["cluster"]["server"],
            "https://127.0.0.1:16443"
        );
        assert_eq!(
            config["clusters"][0]["cluster"]["certificate-authority"],
            "/state/pki/ca.crt"
        );
        assert_eq!(
            config["users"][0]["user"]["client-key"],
            "/state/pki/admin.key"
        );
        assert_eq!(config["current-context"], "tenantry");
    }
}
