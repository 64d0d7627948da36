//! What a path of the API server names.

use hyper::Method;

use crate::fault::Subject;

/// The parts of a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    pub base: String,
    pub namespace: Option<String>,
    pub resource: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
}

impl Target {
    pub fn parse(path: &str) -> Self {
        let parts: Vec<_> = path.split('/').skip(1).collect();
        let roots = if parts.first() == Some(&"api") { 2 } else { 3 };
        let (base, mut rest) = parts.split_at(roots.min(parts.len()));
        let mut namespace = None;
        if let ["namespaces", name, more @ ..] = rest
            && !more.is_empty()
        {
            namespace = Some((*name).to_owned());
            rest = more;
        }
        let part = |index: usize| rest.get(index).map(|part| (*part).to_owned());
        Self {
            base: base.join("/"),
            namespace,
            resource: part(0).unwrap_or_default(),
            name: part(1),
            subresource: part(2),
        }
    }

    pub fn path(&self) -> String {
        let mut parts = vec!["", &self.base];
        if let Some(namespace) = &self.namespace {
            parts.extend(["namespaces", namespace]);
        }
        let resource = Some(&self.resource).filter(|resource| !resource.is_empty());
        let rest = [resource, self.name.as_ref(), self.subresource.as_ref()];
        parts.extend(rest.into_iter().flatten().map(String::as_str));
        parts.join("/")
    }

    /// Whether it is a list or a watch of all namespaces.
    pub fn is_everywhere(&self) -> bool {
        self.namespace.is_none() && self.name.is_none() && self.resource != "namespaces"
    }

    /// What a write changes, if a plan may speak of it: who leads is decided
    /// outside of any plan.
    pub fn subject(&self, method: &Method, namespaces: &[String]) -> Option<Subject> {
        let namespace = self.namespace.as_ref()?;
        let place = namespaces.iter().position(|ours| ours == namespace)?;
        let resource = match &self.subresource {
            None => self.resource.clone(),
            Some(subresource) => format!("{}/{subresource}", self.resource),
        };
        // Each Event has a new name.
        let name = self.name.as_ref().filter(|_| self.resource != "events");
        let name = name.map(|name| name.replace(namespace, "the-namespace"));
        Some(Subject {
            verb: method.as_str().to_lowercase(),
            resource,
            place,
            name: name.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written_alike() {
        for path in [
            "/api/v1/namespaces",
            "/api/v1/namespaces/acme",
            "/api/v1/services",
            "/apis/apps/v1/namespaces/acme/statefulsets/server/status",
            "/apis/apps/v1",
        ] {
            assert_eq!(Target::parse(path).path(), path);
        }
        let status = Target::parse("/apis/g/v1/namespaces/acme/things/a/status");
        let subject = status.subject(&Method::PATCH, &["acme".to_owned()]);
        assert_eq!(
            subject,
            Some(Subject {
                verb: "patch".into(),
                resource: "things/status".into(),
                place: 0,
                name: "a".into(),
            })
        );
        assert!(Target::parse("/api/v1/services").is_everywhere());
        assert!(!Target::parse("/api/v1/namespaces/acme").is_everywhere());
    }
}
