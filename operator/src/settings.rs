//! The operator's settings: the platform's choices for all tenants, from one
//! strict file.

pub mod allow;
pub mod gateway;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tenantry_api::compile::OperatorView;
use tenantry_core::ledger_mark::LedgerMark;
use tenantry_core::name::ConnectorName;
use tenantry_core::policy::Policy;

use allow::{Allow, Quota};
use gateway::Gateway;

/// What the platform chose.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The image of every server.
    pub server: ServerImage,
    /// The operator itself, as others name it.
    pub operator: Identity,
    /// Who talks to servers, and to whom they talk.
    pub network: Network,
    /// What tenants may choose of what the platform decides.
    #[serde(default)]
    pub allow: Allow,
    /// How much a namespace may hold; left out, nobody counts.
    #[serde(default)]
    pub quota: Option<Quota>,
    /// Set only where all vendors are fakes.
    #[serde(default)]
    pub sandbox: Option<Sandbox>,
}

/// The image of every server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServerImage {
    /// Its reference.
    pub image: String,
    /// When nodes pull it: Always, IfNotPresent or Never.
    pub image_pull_policy: PullPolicy,
}

/// When nodes pull an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the words are Kubernetes' own")]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// The operator, as RoleBindings name it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its ServiceAccount.
    pub service_account: String,
}

/// Who talks to servers, and to whom they talk beside vendors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Network {
    /// Who may call them.
    pub gateways: Vec<Gateway>,
    /// Who may read their metrics.
    pub scrapers: Vec<Peer>,
    /// The cluster's DNS.
    pub dns: Peer,
    /// The operator's own canary, `host:port`, as servers look it up.
    #[serde(default)]
    pub canary: Option<String>,
}

/// Pods, by the labels of their namespace and their own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Peer {
    /// Labels of their namespace; left out, the tenant's own namespace.
    #[serde(default)]
    pub namespace_selector: Option<Selector>,
    /// Their labels; left out, all pods there.
    #[serde(default)]
    pub pod_selector: Option<Selector>,
}

/// Labels that must all be there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Selector {
    /// The labels; at least one.
    pub match_labels: BTreeMap<String, String>,
}

/// Fakes instead of vendors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Sandbox {
    /// Where each connector's fake is.
    pub base_urls: BTreeMap<ConnectorName, String>,
    /// The pods of the fakes.
    pub egress: Vec<SandboxPeer>,
}

/// The pods of a fake.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SandboxPeer {
    /// Labels of their namespace.
    pub namespace_selector: Selector,
    /// Their labels.
    pub pod_selector: Selector,
    /// The port of the pods.
    pub port: u16,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("cannot read the settings in `{}`", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no settings file.
    #[error("the settings do not have the form that this release reads")]
    Form(#[source] serde_saphyr::Error),
    /// It says something that cannot be meant.
    #[error("the settings cannot be meant: {0}")]
    Meaning(String),
}

impl Settings {
    /// Reads the settings file.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path).map_err(|source| SettingsError::File {
            path: path.to_owned(),
            source,
        })?;
        Self::read(&text)
    }

    /// Reads settings, strictly.
    pub fn read(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = serde_saphyr::from_str(text).map_err(SettingsError::Form)?;
        settings.check().map_err(SettingsError::Meaning)?;
        Ok(settings)
    }

    /// What `compile` has to know.
    pub fn view(
        &self,
        guard_proven: bool,
        policies: Vec<Policy>,
        ledger: Option<LedgerMark>,
    ) -> OperatorView {
        let urls = self
            .sandbox
            .as_ref()
            .map(|sandbox| sandbox.base_urls.clone());
        OperatorView {
            sandbox_base_urls: urls.unwrap_or_default(),
            guard_proven,
            canary: self.network.canary.clone(),
            policies,
            ledger,
        }
    }

    /// Whether the vendor behind `connector` is a fake.
    pub fn is_fake(&self, connector: &str) -> bool {
        let fakes = self
            .sandbox
            .iter()
            .flat_map(|sandbox| sandbox.base_urls.keys());
        fakes.into_iter().any(|fake| fake.as_str() == connector)
    }

    fn check(&self) -> Result<(), String> {
        let Network {
            gateways,
            scrapers,
            dns,
            canary: _,
        } = &self.network;
        gateway::check(gateways)?;
        let callers: Vec<_> = gateways.iter().map(Gateway::peer).collect();
        let peers = callers.iter().chain(scrapers).chain([dns]);
        let fakes = self.sandbox.iter().flat_map(|sandbox| &sandbox.egress);
        let selectors = peers
            .clone()
            .flat_map(|peer| [&peer.namespace_selector, &peer.pod_selector]);
        let all = selectors
            .flatten()
            .chain(fakes.flat_map(|fake| [&fake.namespace_selector, &fake.pod_selector]));
        // An empty selector is everybody; nobody means that by saying nothing.
        if all
            .into_iter()
            .any(|selector| selector.match_labels.is_empty())
        {
            return Err("a selector has no label".into());
        }
        let mut peers = peers;
        if peers.any(|peer| peer.namespace_selector.is_none() && peer.pod_selector.is_none()) {
            return Err("a peer has no selector".into());
        }
        let mut urls = self
            .sandbox
            .iter()
            .flat_map(|sandbox| sandbox.base_urls.values());
        match urls.find(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            Some(url) => Err(format!("`{url}` is no URL")),
            None => Ok(()),
        }
    }
}

impl PullPolicy {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::example::SETTINGS;

    #[test]
    fn settings_without_a_sandbox_point_nothing_elsewhere() {
        let settings = Settings::read(SETTINGS).unwrap();
        assert_eq!(settings.sandbox, None);
        assert!(
            settings
                .view(false, vec![], None)
                .sandbox_base_urls
                .is_empty()
        );
    }

    #[test]
    fn unknown_fields_are_refused() {
        for extra in [
            "surprise: 1",
            "sandbox: {baseUrls: {}, egress: [], more: 1}",
        ] {
            let error = Settings::read(&format!("{SETTINGS}{extra}\n")).unwrap_err();
            assert!(matches!(error, SettingsError::Form(_)), "{extra}: {error}");
        }
    }

    #[test]
    fn a_selector_that_means_everybody_is_refused() {
        for peer in [
            "{}",
            "{podSelector: {matchLabels: {}}}",
            "{namespaceSelector: {matchLabels: {}}}",
        ] {
            let text = SETTINGS.replace("gateways: []", &format!("gateways: [{peer}]"));
            let error = Settings::read(&text).unwrap_err();
            assert!(
                matches!(error, SettingsError::Meaning(_)),
                "{peer}: {error}"
            );
        }
    }

    #[test]
    fn a_gateway_has_a_name_and_one_way() {
        let pods = "podSelector: {matchLabels: {app: gateway}}";
        let route = "httpRoute: {namespace: gateways, name: public}";
        let class = "ingress: {className: nginx}";
        let read = |gateways: &[String]| {
            let list = gateways.join(", ");
            Settings::read(&SETTINGS.replace("gateways: []", &format!("gateways: [{list}]")))
        };
        let named = |name: &str, way: &str| format!("{{name: {name}, {pods}, {way}}}");
        let open = format!("{{{pods}}}");
        let good = [open, named("a", route), named("b", class)];
        assert_eq!(read(&good).unwrap().network.gateways.len(), 3);
        for bad in [
            vec![format!("{{{pods}, {route}}}")],
            vec![format!("{{name: a, {pods}}}")],
            vec![named("a", &format!("{route}, {class}"))],
            vec![named("a", route), named("a", class)],
            vec![format!("{{name: a, {route}}}")],
        ] {
            assert!(
                matches!(read(&bad), Err(SettingsError::Meaning(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_sandbox_names_urls() {
        let sandbox =
            |url: &str| format!("{SETTINGS}sandbox: {{baseUrls: {{meta: '{url}'}}, egress: []}}\n");
        let settings = Settings::read(&sandbox("http://fake")).unwrap();
        assert_eq!(
            settings.view(false, vec![], None).sandbox_base_urls.len(),
            1
        );
        assert!(Settings::read(&sandbox("fake")).is_err());
    }
}
