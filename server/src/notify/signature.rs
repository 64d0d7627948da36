//! The signature of a message, as Standard Webhooks 1.0.0 has it: `v1,` and the
//! base64 of an HMAC-SHA256 over `<id>.<timestamp>.<body>`. Pure.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// Before the base64 of a secret, so that people and scanners know it for one.
const PREFIX: &str = "whsec_";

/// Bytes of a secret: 192 to 512 bits, as the specification has it.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What messages to one destination are signed with. It has no text form.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

/// The text is no secret to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// It does not begin as one.
    #[error("it does not begin with `{PREFIX}`")]
    Prefix,
    /// What follows cannot be read.
    #[error("what follows `{PREFIX}` is not base64")]
    Encoding,
    /// It is too short or too long.
    #[error("it is of {0} bytes, and has to be of 24 to 64")]
    Length(usize),
}

impl SigningKey {
    /// Reads a secret.
    pub fn parse(text: &str) -> Result<Self, SigningKeyError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SigningKeyError::Prefix)?;
        let bytes = STANDARD.decode(encoded);
        let bytes = bytes.map_err(|_| SigningKeyError::Encoding)?;
        if !BYTES.contains(&bytes.len()) {
            return Err(SigningKeyError::Length(bytes.len()));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The signature of `body` under that id, sent in that second since 1970.
    /// Neither holds a `.`, which parts them.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut signed = hmac::Context::with_key(&self.0);
        signed.update(format!("{id}.{timestamp}.").as_bytes());
        signed.update(body);
        format!("v1,{}", STANDARD.encode(signed.sign()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_the_one_that_the_specification_has() {
        let key = SigningKey::parse(SECRET).unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn whatever_is_signed_changes_the_signature() {
        let key = SigningKey::parse(SECRET).unwrap();
        let other = SigningKey::parse(&format!("whsec_{}", STANDARD.encode([7; 24]))).unwrap();
        let signed = key.sign("a", 1, b"b");
        assert_eq!(key.sign("a", 1, b"b"), signed);
        for changed in [
            key.sign("c", 1, b"b"),
            key.sign("a", 2, b"b"),
            key.sign("a", 1, b"c"),
            other.sign("a", 1, b"b"),
        ] {
            assert_ne!(changed, signed);
        }
    }

    #[test]
    fn what_is_no_secret_is_told_without_itself() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (text, error) in [
            (&SECRET[6..], SigningKeyError::Prefix),
            ("", SigningKeyError::Prefix),
            (
                "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                SigningKeyError::Prefix,
            ),
            ("whsec_hush, hush!", SigningKeyError::Encoding),
            ("whsec_", SigningKeyError::Length(0)),
            (&of(23), SigningKeyError::Length(23)),
            (&of(65), SigningKeyError::Length(65)),
        ] {
            let found = SigningKey::parse(text).err();
            assert_eq!(found, Some(error), "{text}");
            assert!(
                text.is_empty()
                    || !error
                        .to_string()
                        .contains(text.trim_start_matches("whsec_").get(..8).unwrap_or("none"))
            );
        }
        assert!(SigningKey::parse(&of(24)).is_ok() && SigningKey::parse(&of(64)).is_ok());
    }
}
