//! Whether the headers of a request may be trusted to say what its body says:
//! a proxy decides by the one, and we act on the other.

use http::{HeaderMap, HeaderName, StatusCode, header};
use tenantry_core::reason::{Reason, Refusal};

use super::message::Message;
use super::rejection::Rejection;

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// None of our tools has an argument that travels in a header.
const ARGUMENT_PREFIX: &str = "mcp-param-";

/// From this revision on the MCP library compares these headers itself, and
/// answers in the form that the revision asks for.
const FIRST_COMPARED: &str = "2026-07-28";

/// Headers that must not stand twice: the first reader and the next one may
/// take different ones.
const ONCE: [HeaderName; 5] = [
    METHOD,
    NAME,
    VERSION,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
];

/// Checks what needs no body.
pub fn check(headers: &HeaderMap) -> Result<(), Rejection> {
    for name in ONCE {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return Err(invalid(format!("the header {name} stands twice")));
        }
    }
    if headers
        .keys()
        .any(|name| name.as_str().starts_with(ARGUMENT_PREFIX))
    {
        return Err(invalid("no tool here takes arguments from headers"));
    }
    if headers.contains_key(header::UPGRADE) {
        return Err(invalid("there is no other protocol to upgrade to"));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        let refusal = Refusal::new(Reason::RequestInvalid, "the body is encoded")
            .with_remedy("send the body as it is, without Content-Encoding");
        return Err(Rejection::receive(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            refusal,
        ));
    }
    // Two ways to say where a body ends are how requests are smuggled, and a
    // JSON-RPC message has a known length.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        let refusal = Refusal::new(Reason::RequestInvalid, "the body has no stated length")
            .with_remedy("send Content-Length instead of Transfer-Encoding");
        return Err(Rejection::receive(StatusCode::LENGTH_REQUIRED, refusal));
    }
    Ok(())
}

/// Checks the headers against the message, in the revisions in which the MCP
/// library does not.
pub fn compare(headers: &HeaderMap, message: &Message) -> Result<(), Rejection> {
    let is_compared = headers
        .get(VERSION)
        .is_some_and(|version| version.as_bytes() >= FIRST_COMPARED.as_bytes());
    if is_compared {
        return Ok(());
    }
    let agrees = |name: HeaderName, said: Option<&str>| {
        let header = headers.get(&name);
        header.is_none_or(|header| said.is_some_and(|said| header.as_bytes() == said.as_bytes()))
    };
    if agrees(METHOD, message.method()) && agrees(NAME, message.name()) {
        return Ok(());
    }
    Err(invalid("Mcp-Method or Mcp-Name is not what the body says"))
}

fn invalid(message: impl Into<String>) -> Rejection {
    let refusal = Refusal::new(Reason::RequestInvalid, message);
    Rejection::receive(StatusCode::BAD_REQUEST, refusal)
}
