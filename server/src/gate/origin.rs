//! Whether a request means this server, and whether a page may send it: the
//! Host and Origin headers.

use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, header};
use tenantry_core::reason::{Reason, Refusal};

use super::rejection::Rejection;

/// Reached through a port-forward, which only the Kubernetes API grants.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The host must be one of ours; its port may be anything, because proxies and
/// port-forwards choose their own.
pub fn check_host(uri: &Uri, headers: &HeaderMap, allowed: &[String]) -> Result<(), Rejection> {
    let host = named_host(uri, headers).ok_or_else(|| {
        forbidden(
            Reason::HostRefused,
            "the request names no host, or more than one",
        )
    })?;
    let is_ours = LOOPBACK.contains(&host.as_str())
        || allowed.iter().any(|ours| ours.eq_ignore_ascii_case(&host));
    if is_ours {
        return Ok(());
    }
    Err(forbidden(
        Reason::HostRefused,
        "this server is not known by the name in the Host header",
    ))
}

/// An origin, where there is one, must be allowed to the letter.
pub fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Rejection> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return Ok(());
    };
    let is_allowed = allowed
        .iter()
        .any(|allowed| allowed.as_bytes() == origin.as_bytes());
    if is_allowed && origins.next().is_none() {
        return Ok(());
    }
    Err(forbidden(
        Reason::OriginRefused,
        "pages of that origin may not call this server",
    ))
}

fn named_host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let authority = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::try_from(host.as_bytes()).ok()?,
        (None, _) => uri.authority()?.clone(),
        (Some(_), Some(_)) => return None,
    };
    // By RFC 9112 §3.2.2 a target with a host outranks the header, so a proxy
    // may have looked at the one and we at the other.
    if uri.authority().is_some_and(|target| *target != authority) {
        return None;
    }
    if authority.as_str().contains('@') {
        return None;
    }
    // What stands behind the host is a port, or it is something to somebody.
    let port = authority.as_str().strip_prefix(authority.host())?;
    if !matches!(port, "" | ":") && authority.port_u16().is_none() {
        return None;
    }
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let host = host.strip_suffix('.').unwrap_or(host);
    Some(host.to_ascii_lowercase())
}

fn forbidden(reason: Reason, message: &str) -> Rejection {
    Rejection::receive(StatusCode::FORBIDDEN, Refusal::new(reason, message))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(name: &http::HeaderName, values: &[&'static str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_host_is_one_of_ours_whatever_its_port() {
        let allowed = ["server.acme.svc".to_owned()];
        let host = |values: &[&'static str]| {
            check_host(
                &Uri::from_static("/mcp"),
                &with(&header::HOST, values),
                &allowed,
            )
            .is_ok()
        };
        for good in [
            "server.acme.svc",
            "SERVER.acme.svc:8080",
            "server.acme.svc.:80",
            "localhost:9",
            "127.0.0.1",
            "[::1]:8",
        ] {
            assert!(host(&[good]), "{good}");
        }
        for bad in [
            "evil.example",
            "server.acme.svc.evil.example",
            "x@server.acme.svc",
            "",
            ":80",
            "localhost:x",
            "localhost:99999",
            "a b",
        ] {
            assert!(!host(&[bad]), "{bad}");
        }
        assert!(!host(&["localhost", "localhost"]));
        assert!(!host(&[]));
    }

    #[test]
    fn a_target_with_a_host_of_its_own_is_refused_unless_the_header_agrees() {
        let host = |target: &'static str, values: &[&'static str]| {
            let headers = with(&header::HOST, values);
            check_host(&Uri::from_static(target), &headers, &[]).is_ok()
        };
        assert!(host("http://localhost:8080/mcp", &["localhost:8080"]));
        assert!(host("http://localhost/mcp", &["LOCALHOST"]));
        assert!(host("http://localhost/mcp", &[]));
        assert!(!host("http://evil.example/mcp", &["localhost"]));
        assert!(!host("http://localhost/mcp", &["evil.example"]));
        assert!(!host("http://evil.example/mcp", &[]));
    }

    #[test]
    fn an_origin_is_absent_or_allowed_to_the_letter() {
        let allowed = ["https://app.example".to_owned()];
        let origin = |values: &[&'static str]| {
            check_origin(&with(&header::ORIGIN, values), &allowed).is_ok()
        };
        assert!(origin(&[]));
        assert!(origin(&["https://app.example"]));
        for bad in [
            "http://app.example",
            "https://app.example:443",
            "https://APP.example",
            "null",
            "",
        ] {
            assert!(!origin(&[bad]), "{bad}");
        }
        assert!(!origin(&["https://app.example", "https://app.example"]));
    }
}
