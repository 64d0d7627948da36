//! By which proxy the API server is reached, as kubectl has it: what the kubeconfig
//! names, or else what the environment says, by the rules of Go's `httpproxy`. The
//! library that reads kubeconfigs holds NO_PROXY against the name of the proxy.

use std::net::IpAddr;

use hyper::Uri;
use kube::config::Kubeconfig;

use crate::answer::Unusable;

/// What a client needs to know of who is in between. An address may hold a
/// password, so none is repeated.
pub fn leading_to(
    server: &Uri,
    named: Option<&str>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<Uri>, Unusable> {
    let named = named.filter(|named| !named.is_empty());
    let (address, of) = match named {
        Some(named) => (named.to_owned(), "proxy-url of the kubeconfig"),
        None => match of_environment(server, env) {
            Some(address) => (address, "HTTPS_PROXY"),
            None => return Ok(None),
        },
    };
    let address = if address.contains("://") {
        address
    } else {
        format!("http://{address}")
    };
    let uri = address.parse::<Uri>().ok();
    let uri = uri.filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let uri = uri.ok_or_else(|| Unusable::because(format!("{of} is no address of a proxy")))?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(Some(uri)),
        Some(socks) if socks.starts_with("socks") => Err(Unusable::because(format!(
            "{of} names a SOCKS proxy, which is not supported: name an http proxy, or reach the cluster without one"
        ))),
        _ => Err(Unusable::because(format!(
            "{of} names a proxy that is neither http nor https"
        ))),
    }
}

/// What the kubeconfig names for the cluster of this context.
pub fn named(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let context = context.or(kubeconfig.current_context.as_deref())?;
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts.find(|one| one.name == context)?.context.as_ref()?;
    let mut clusters = kubeconfig.clusters.iter();
    let cluster = clusters.find(|one| one.name == context.cluster)?;
    cluster.cluster.as_ref()?.proxy_url.clone()
}

fn of_environment(server: &Uri, env: impl Fn(&str) -> Option<String>) -> Option<String> {
    let set = |names: [&str; 2]| {
        let mut set = names.into_iter().filter_map(&env);
        set.find(|value| !value.is_empty())
    };
    let is_plain = server.scheme_str() == Some("http");
    let proxy = set(if is_plain {
        ["HTTP_PROXY", "http_proxy"]
    } else {
        ["HTTPS_PROXY", "https_proxy"]
    })?;
    let port = server.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
    let host = server.host()?.trim_matches(['[', ']']).to_lowercase();
    let address = host.parse::<IpAddr>().ok();
    // This machine is reached by no proxy, whatever the environment says.
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return None;
    }
    let exceptions = set(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let mut exceptions = exceptions.split(',').map(str::trim);
    let is_one = exceptions.any(|exception| excepts(exception, &host, address, port));
    (!is_one).then_some(proxy)
}

/// Whether one word of NO_PROXY is about this host: `*`, a network, an address, a
/// name with those below it, or `.name` for those below alone; each of the last
/// three with a port or for all.
fn excepts(exception: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    let exception = exception.to_lowercase();
    if exception == "*" {
        return true;
    }
    if let Some((network, length)) = network(&exception) {
        return address.is_some_and(|address| is_within(address, network, length));
    }
    let (name, meant) = split_port(&exception);
    if name.is_empty() || meant.is_some_and(|meant| meant != port) {
        return false;
    }
    if let Ok(meant) = name.parse::<IpAddr>() {
        return address == Some(meant);
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.ends_with(&format!(".{name}")),
    }
}

fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = text.split_once('/')?;
    let (address, length) = (address.parse().ok()?, length.parse().ok()?);
    (length <= bits(address).1).then_some((address, length))
}

fn is_within(address: IpAddr, network: IpAddr, length: u32) -> bool {
    let ((one, width), (other, known)) = (bits(address), bits(network));
    width == known && (one ^ other).checked_shr(width - length).unwrap_or(0) == 0
}

/// An address as a number, and of how many bits.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

/// A host, and its port if it has one; an address of IPv6 has one behind brackets.
fn split_port(text: &str) -> (&str, Option<u16>) {
    let is_bare = text.parse::<IpAddr>().is_ok();
    let split = text.rsplit_once(':').filter(|_| !is_bare);
    let split = split.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = split.map_or((text, None), |(host, port)| (host, Some(port)));
    (host.trim_matches(['[', ']']), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "http://proxy.example:3128";

    fn by(server: &str, set: &[(&str, &str)]) -> Option<String> {
        let env = |name: &str| {
            let mut set = set.iter();
            let found = set.find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let server = server.parse().unwrap();
        let proxy = leading_to(&server, None, env).unwrap();
        proxy.map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_environment_is_read_as_kubectl_reads_it() {
        let told = Some(format!("{PROXY}/"));
        let (server, plain) = ("https://api.example:6443", "http://api.example");
        assert_eq!(by(server, &[]), None);
        assert_eq!(by(server, &[("HTTPS_PROXY", "")]), None);
        for (server, name) in [
            (server, "HTTPS_PROXY"),
            (server, "https_proxy"),
            (plain, "HTTP_PROXY"),
            (plain, "http_proxy"),
        ] {
            assert_eq!(by(server, &[(name, PROXY)]), told, "{name}");
        }
        assert_eq!(by(server, &[("HTTP_PROXY", PROXY)]), None);
        assert_eq!(by(plain, &[("HTTPS_PROXY", PROXY)]), None);
        assert_eq!(by(server, &[("HTTPS_PROXY", "proxy.example:3128")]), told);
        for here in [
            "https://127.0.0.1:6443",
            "https://localhost",
            "https://[::1]:6443",
        ] {
            assert_eq!(by(here, &[("HTTPS_PROXY", PROXY)]), None, "{here}");
        }
    }

    #[test]
    fn what_is_excepted_is_reached_directly() {
        for (server, exceptions, is_direct) in [
            ("https://api.example:6443", "*", true),
            ("https://api.example:6443", "other, example,", true),
            ("https://api.example:6443", "API.example:6443", true),
            ("https://api.example:6443", "api.example:443", false),
            ("https://api.example", "api.example:443", true),
            ("https://api.example:6443", ".api.example", false),
            ("https://api.example:6443", "*.example", true),
            ("https://api.example:6443", "pi.example", false),
            ("https://api.example:6443", "proxy.example", false),
            ("https://10.1.2.3:6443", "10.0.0.0/8", true),
            ("https://10.1.2.3:6443", "10.2.0.0/16", false),
            ("https://10.1.2.3:6443", "0.0.0.0/0", true),
            ("https://10.1.2.3:6443", "10.1.2.3:6443", true),
            ("https://10.1.2.3:6443", "10.1.2.3:443", false),
            ("https://[fd00::1]:6443", "fd00::/8", true),
            ("https://[fd00::1]:6443", "10.0.0.0/8,[fd00::1]:6443", true),
            ("https://[fd00::1]:6443", "fd00::2", false),
        ] {
            for name in ["NO_PROXY", "no_proxy"] {
                let found = by(server, &[("HTTPS_PROXY", PROXY), (name, exceptions)]);
                assert_eq!(found.is_none(), is_direct, "{server} {exceptions}");
            }
        }
    }

    #[test]
    fn the_kubeconfig_has_the_first_word_and_no_exceptions() {
        let server = "https://127.0.0.1:6443".parse().unwrap();
        let env = |_: &str| Some("*".to_owned());
        let proxy = leading_to(&server, Some(PROXY), env).unwrap();
        assert_eq!(proxy, Some(PROXY.parse().unwrap()));
        assert_eq!(leading_to(&server, Some(""), env).unwrap(), None);
        for (proxy, told) in [
            ("socks5://me:secret@127.0.0.1:1080", "SOCKS"),
            ("socks5h://me:secret@127.0.0.1:1080", "SOCKS"),
            ("ftp://me:secret@127.0.0.1", "neither http nor https"),
            ("http://me:secret@", "no address"),
            ("a b secret", "no address"),
        ] {
            let refused = leading_to(&server, Some(proxy), env).unwrap_err().reasons;
            assert!(refused[0].contains(told), "{refused:?}");
            assert!(!refused[0].contains("secret"), "{refused:?}");
        }
    }
}
