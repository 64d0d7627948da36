//! What leads to the API server: a kubeconfig or, in a pod that has none, the
//! account of the pod, as kubectl has it.

use std::io::ErrorKind;
use std::path::Path;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use tenantry_core::cause::chain;

use super::{LIMIT, proxy};
use crate::answer::Unusable;
use crate::cli::place::Place;

/// Where a pod has the token of its account.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The way to the cluster that is meant, as whoever is meant.
pub async fn of(place: &Place) -> Result<Config, Unusable> {
    let env = |name: &str| std::env::var(name).ok().filter(|set| !set.is_empty());
    let kubeconfig = match &place.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let is_named = place.kubeconfig.is_some() || place.context.is_some();
    let (mut config, named) =
        if !is_named && is_nothing(&kubeconfig) && is_pod(env, Path::new(TOKEN)) {
            (of_pod(env)?, None)
        } else {
            of_kubeconfig(kubeconfig, place).await?
        };
    if let Some(user) = &place.user {
        // Nothing stays of whom the kubeconfig would have stood in for.
        config.auth_info.impersonate = Some(user.clone());
        config.auth_info.impersonate_uid = None;
        config.auth_info.impersonate_groups = Some(place.groups.clone());
        config.auth_info.impersonate_user_extra = None;
    }
    config.proxy_url = proxy::leading_to(&config.cluster_url, named.as_deref(), env)?;
    // What was carried out and not answered must not be carried out again.
    config.default_retry = false;
    config.connect_timeout = Some(LIMIT);
    config.read_timeout = Some(LIMIT);
    Ok(config)
}

/// What the kubeconfig says, and which proxy it names.
async fn of_kubeconfig(
    kubeconfig: Result<Kubeconfig, KubeconfigError>,
    place: &Place,
) -> Result<(Config, Option<String>), Unusable> {
    let failed =
        |error: KubeconfigError| Unusable::because(format!("the kubeconfig: {}", chain(&error)));
    let kubeconfig = kubeconfig.map_err(failed)?;
    let named = proxy::named(&kubeconfig, place.context.as_deref());
    let options = KubeConfigOptions {
        context: place.context.clone(),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Ok((config.map_err(failed)?, named))
}

/// What the pod says in which this runs.
fn of_pod(env: impl Fn(&str) -> Option<String>) -> Result<Config, Unusable> {
    let config = Config::incluster();
    let mut config = config.map_err(|error| {
        Unusable::because(format!("the account of this pod: {}", chain(&error)))
    })?;
    if let Some(namespace) = env("POD_NAMESPACE") {
        config.default_namespace = namespace;
    }
    config
        .default_namespace
        .truncate(config.default_namespace.trim_end().len());
    Ok(config)
}

/// Whether there is no kubeconfig, or one that names no cluster. One that cannot
/// be read leads nowhere else.
fn is_nothing(kubeconfig: &Result<Kubeconfig, KubeconfigError>) -> bool {
    match kubeconfig {
        Ok(read) => read.clusters.is_empty() && read.current_context.is_none(),
        Err(KubeconfigError::ReadConfig(error, _)) => error.kind() == ErrorKind::NotFound,
        Err(error) => matches!(error, KubeconfigError::FindPath),
    }
}

/// Whether this runs in a pod whose account may speak with the API server.
fn is_pod(env: impl Fn(&str) -> Option<String>, token: &Path) -> bool {
    let is_told =
        env("KUBERNETES_SERVICE_HOST").is_some() && env("KUBERNETES_SERVICE_PORT").is_some();
    is_told && token.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_a_service_and_a_token() {
        let token = tempfile::NamedTempFile::new().unwrap();
        let all = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"];
        let is = |set: &[&str], token: &Path| {
            is_pod(|name| set.contains(&name).then(|| "1".to_owned()), token)
        };
        assert!(is(&all, token.path()));
        assert!(!is(&all[..1], token.path()) && !is(&all[1..], token.path()));
        assert!(!is(&all, Path::new("/nowhere")));
    }

    #[test]
    fn what_is_there_and_cannot_be_read_is_no_reason_to_be_somebody_else() {
        let read = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            Kubeconfig::read_from(file.path())
        };
        assert!(is_nothing(&Kubeconfig::read_from("/nowhere")));
        assert!(is_nothing(&Err(KubeconfigError::FindPath)));
        assert!(is_nothing(&read("{apiVersion: v1, kind: Config}")));
        for there in [
            "a: [",
            "{current-context: prod}",
            "{clusters: [{name: prod}]}",
        ] {
            assert!(!is_nothing(&read(there)), "{there}");
        }
    }
}
