//! The API server as JSON over HTTP: what a test writes is what goes over the
//! wire, and any kind will do.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Certificate, Identity, Method, StatusCode};
use serde_json::{Value, json};

pub const APPLY: &str = "application/apply-patch+yaml";
pub const MERGE: &str = "application/merge-patch+json";
pub const JSON: &str = "application/json";

/// Any answer but that of a watch; the rest is room for busy machines.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// The API server, as one user.
#[derive(Clone)]
pub struct Api {
    pub http: reqwest::Client,
    pub server: String,
    user: Option<String>,
}

impl Api {
    /// As the user of a kubeconfig with files beside it.
    pub fn new(kubeconfig: &Path) -> Result<Self> {
        let config: Value = serde_json::from_slice(&std::fs::read(kubeconfig)?)?;
        let (cluster, user) = (
            &config["clusters"][0]["cluster"],
            &config["users"][0]["user"],
        );
        let read = |value: &Value| std::fs::read(value.as_str().unwrap_or_default());
        let authority = Certificate::from_pem(&read(&cluster["certificate-authority"])?)?;
        let mut identity = read(&user["client-certificate"])?;
        identity.extend(read(&user["client-key"])?);
        let http = reqwest::Client::builder()
            .tls_certs_only([authority])
            .identity(Identity::from_pem(&identity)?)
            // A watch is a connection of its own, and none waits for another.
            .http1_only()
            .build()?;
        let server = cluster["server"].as_str().context("no server")?.to_owned();
        Ok(Self {
            http,
            server,
            user: None,
        })
    }

    /// The same in the place of another user.
    pub fn acting_as(&self, user: String) -> Self {
        Self {
            user: Some(user),
            ..self.clone()
        }
    }

    /// Sends a request; the answer, whatever it says.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Value)> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.server))
            .header("content-type", content)
            .timeout(ANSWER_WITHIN)
            .body(body);
        if let Some(user) = &self.user {
            request = request.header("impersonate-user", user);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        // Some answers, such as that of `/version`, are no objects.
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// What stands at `path`, if anything.
    pub async fn find(&self, path: &str) -> Result<Option<Value>> {
        let (status, object) = self.send(Method::GET, path, JSON, vec![]).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(object)),
            status => bail!("GET {path}: {status} {}", object["message"]),
        }
    }

    /// What stands at `path`.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let found = self.find(path).await?;
        found.with_context(|| format!("nothing is at {path}"))
    }

    /// Applies `object` at `path` by force, under a name.
    pub async fn apply(&self, path: &str, object: &Value, manager: &str) -> Result<Value> {
        let path = format!("{path}?fieldManager={manager}&force=true");
        self.write(Method::PATCH, &path, APPLY, object).await
    }

    /// Merges `patch` into what stands at `path`, under a name.
    pub async fn merge(&self, path: &str, patch: &Value, manager: &str) -> Result<Value> {
        let path = format!("{path}?fieldManager={manager}");
        self.write(Method::PATCH, &path, MERGE, patch).await
    }

    /// Deletes what stands at `path` if it is still the same object.
    pub async fn delete(&self, path: &str, uid: &Value) -> Result<()> {
        let options = json!({"preconditions": {"uid": uid}, "propagationPolicy": "Background"});
        let body = options.to_string().into_bytes();
        let (status, answer) = self.send(Method::DELETE, path, JSON, body).await?;
        let gone = status == StatusCode::NOT_FOUND || status == StatusCode::CONFLICT;
        ensure!(status.is_success() || gone, "DELETE {path}: {answer}");
        Ok(())
    }

    async fn write(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: &Value,
    ) -> Result<Value> {
        let text = body.to_string().into_bytes();
        let (status, object) = self.send(method, path, content, text).await?;
        ensure!(
            status.is_success(),
            "{path}: {status} {}",
            object["message"]
        );
        Ok(object)
    }
}

/// A kind of namespaced objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// As objects name it: `apps/v1`, `StatefulSet`.
    pub api_version: String,
    pub name: String,
    /// As paths name it: `statefulsets`.
    pub plural: String,
}

impl Kind {
    fn base(&self) -> String {
        let root = if self.api_version.contains('/') {
            "apis"
        } else {
            "api"
        };
        format!("/{root}/{}", self.api_version)
    }

    /// All objects of the kind.
    pub fn everywhere(&self) -> String {
        format!("{}/{}", self.base(), self.plural)
    }

    /// One object.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        format!(
            "{}/namespaces/{namespace}/{}/{name}",
            self.base(),
            self.plural
        )
    }
}

/// Every namespaced kind that can be watched, in its preferred version.
pub async fn kinds(api: &Api) -> Result<Vec<Kind>> {
    let mut versions = vec!["v1".to_owned()];
    let groups = api.get("/apis").await?;
    let preferred = groups["groups"].as_array().into_iter().flatten();
    versions.extend(preferred.filter_map(|group| {
        let version = &group["preferredVersion"]["groupVersion"];
        version.as_str().map(str::to_owned)
    }));
    let mut kinds = vec![];
    for version in versions {
        let root = if version.contains('/') { "apis" } else { "api" };
        let list = api.get(&format!("/{root}/{version}")).await?;
        for resource in list["resources"].as_array().into_iter().flatten() {
            let verbs = resource["verbs"].as_array().into_iter().flatten();
            let is_watched = verbs.into_iter().any(|verb| verb == "watch");
            if resource["namespaced"] == true && is_watched {
                kinds.push(Kind {
                    api_version: version.clone(),
                    name: resource["kind"].as_str().unwrap_or_default().to_owned(),
                    plural: resource["name"].as_str().unwrap_or_default().to_owned(),
                });
            }
        }
    }
    Ok(kinds)
}
