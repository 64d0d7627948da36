//! Trace context (W3C): the two ids that tie a call to the caller's own trace.
//! What else a caller sends of its trace (`tracestate`, `baggage`) is for its
//! own vendors' eyes; it is neither kept nor passed on.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::digest::{Hex, decode_hex};

/// `traceparent` in version 00 has this many characters; later versions may
/// append to it.
const LENGTH: usize = 55;

/// Longer ones have nothing more to say to us.
const LONGEST: usize = 256;

/// Where a call stands in its caller's trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceContext {
    /// The whole trace.
    pub trace_id: Id<16>,
    /// The caller's step in it.
    pub span_id: Id<8>,
}

/// An id of `N` bytes, not all zero; written in lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id<const N: usize>([u8; N]);

impl TraceContext {
    /// Reads a `traceparent`. One that is not exactly right counts as none, as
    /// the specification has it: a call does not fail for its trace.
    pub fn parse(traceparent: &str) -> Option<Self> {
        if traceparent.len() > LONGEST {
            return None;
        }
        let (known, rest) = traceparent.split_at_checked(LENGTH)?;
        let mut parts = known.split('-');
        let [version] = decode_hex(parts.next()?)?;
        let context = Self {
            trace_id: Id::parse(parts.next()?)?,
            span_id: Id::parse(parts.next()?)?,
        };
        let [_flags] = decode_hex(parts.next()?)?;
        let ends = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        (ends && parts.next().is_none()).then_some(context)
    }
}

impl<const N: usize> Id<N> {
    fn parse(hex: &str) -> Option<Self> {
        decode_hex(hex).filter(|id| *id != [0; N]).map(Self)
    }
}

impl<const N: usize> fmt::Display for Id<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(out)
    }
}

impl<const N: usize> Serialize for Id<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Id<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = String::deserialize(deserializer)?;
        Self::parse(&hex).ok_or_else(|| D::Error::custom("not an id of a trace"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_into_its_ids() {
        let context = TraceContext::parse(GOOD).unwrap();
        assert_eq!(
            serde_json::to_value(context).unwrap(),
            serde_json::json!({"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"})
        );
        let later = format!("01{}-more", &GOOD[2..]);
        assert_eq!(TraceContext::parse(&later), Some(context));
    }

    #[test]
    fn anything_else_counts_as_none() {
        for bad in [
            "",
            &GOOD.to_uppercase(),
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &format!("{GOOD} "),
            &format!("ff{}", &GOOD[2..]),
            &format!("01{}x", &GOOD[2..]),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace('-', "_"),
            &GOOD.replace("4bf9", "4bé"),
            &format!("01{}-{}", &GOOD[2..], "x".repeat(300)),
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }
}
