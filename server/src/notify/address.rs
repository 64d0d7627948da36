//! Where a destination is and what is signed for it with: the keys `url` and
//! `secret` of its Secret, as the kubelet mounts it or as the process holds it.
//! Either may be the way in for whoever knows it (of a chat's webhook the URL is),
//! so neither has a text form, and no error repeats a part of one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use secrecy::{ExposeSecret as _, SecretString};
use tenantry_connectors::token::TokenError;
use tenantry_core::digest::Digest;
use tenantry_core::name::DestinationName;
use tenantry_core::reason::Reason;
use url::{Host, Url};

use super::signature::SigningKey;
use crate::credentials::SecretFile;
use crate::credentials::held::HeldSecrets;

/// The keys of the Secret.
const URL: &str = "url";
const SECRET: &str = "secret";

/// Where the Secrets of destinations are.
#[derive(Clone)]
pub enum Addresses {
    /// Below this folder, as the kubelet mounts them.
    Dir(PathBuf),
    /// In the process.
    Held(Arc<HeldSecrets>),
}

/// The Secret of one destination; it need not be there yet.
pub struct AddressSource {
    destination: DestinationName,
    kept: Kept,
}

enum Kept {
    Files(Box<Files>),
    Held(Arc<HeldSecrets>),
}

struct Files {
    url: SecretFile,
    secret: SecretFile,
}

/// Where a destination is, and how to sign for it.
pub struct Address {
    /// Where messages go.
    pub url: Url,
    /// What they are signed with.
    pub key: SigningKey,
    /// Tells this content of the Secret from another.
    pub digest: Digest,
}

/// Why a destination has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A key is not there.
    #[error(
        "there is no {place}; create the Secret that the secretName of the notification `{destination}` names, with the keys `{URL}` and `{SECRET}`"
    )]
    Missing {
        /// Of which destination.
        destination: DestinationName,
        /// Where it was looked for.
        place: String,
    },
    /// A key holds something else.
    #[error(
        "`{key}` in the Secret of the notification `{destination}` cannot be used: {problem}; {remedy}"
    )]
    Invalid {
        /// Of which destination.
        destination: DestinationName,
        /// Which key.
        key: &'static str,
        /// What is wrong with it, without any part of it.
        problem: String,
        /// What it has to be.
        remedy: &'static str,
    },
}

impl AddressError {
    /// The word.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing { .. } => Reason::SecretMissing,
            Self::Invalid { .. } => Reason::SecretInvalid,
        }
    }
}

impl Addresses {
    /// The Secret of `destination`.
    pub fn source(&self, destination: &DestinationName) -> AddressSource {
        let kept = match self {
            Self::Dir(dir) => {
                let file = |key| SecretFile::new(dir.join(destination.as_str()).join(key));
                Kept::Files(Box::new(Files {
                    url: file(URL),
                    secret: file(SECRET),
                }))
            }
            Self::Held(held) => Kept::Held(Arc::clone(held)),
        };
        AddressSource {
            destination: destination.clone(),
            kept,
        }
    }
}

impl AddressSource {
    /// What the Secret says, as it was within the last second: a changed one is
    /// taken up without a word.
    pub fn read_at(&self, now: Instant) -> Result<Address, AddressError> {
        let (url, secret) = match &self.kept {
            Kept::Files(files) => (files.url.read_at(now), files.secret.read_at(now)),
            Kept::Held(held) => (
                held.of_destination(&self.destination, URL),
                held.of_destination(&self.destination, SECRET),
            ),
        };
        let url = url.map_err(|error| self.unread(URL, error))?;
        let secret = secret.map_err(|error| self.unread(SECRET, error))?;
        self.address(&url, &secret)
    }

    fn address(&self, url: &SecretString, secret: &SecretString) -> Result<Address, AddressError> {
        let (url, secret) = (url.expose_secret(), secret.expose_secret());
        let read = read_url(url).map_err(|problem| self.invalid(URL, problem.into()))?;
        let key = SigningKey::parse(secret);
        let key = key.map_err(|error| self.invalid(SECRET, error.to_string()))?;
        // Neither holds a space, so no two pairs are one text.
        let digest = Digest::of(format!("{url} {secret}").as_bytes());
        Ok(Address {
            url: read,
            key,
            digest,
        })
    }

    fn unread(&self, key: &'static str, error: TokenError) -> AddressError {
        match error {
            TokenError::Missing { place } => AddressError::Missing {
                destination: self.destination.clone(),
                place,
            },
            TokenError::Unreadable { problem, .. } => self.invalid(key, problem),
        }
    }

    fn invalid(&self, key: &'static str, problem: String) -> AddressError {
        AddressError::Invalid {
            destination: self.destination.clone(),
            key,
            problem,
            remedy: match key {
                URL => "it is an https URL, such as a chat makes for an incoming webhook",
                _ => "it is `whsec_` and the base64 of 24 to 64 random bytes",
            },
        }
    }
}

/// An https URL, or what of this machine needs no TLS.
fn read_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is no URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it names a user");
    }
    if url.fragment().is_some() {
        return Err("it has a fragment, which is never sent");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("it is not https, and is not on this machine"),
        _ => Err("it is not https"),
    }
}

/// Whether `url` leads to this machine and no further.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use crate::credentials::held::Secrets;

    use super::*;

    const GOOD: &str = "https://hooks.example.com/services/T0/B0/hush";
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn ads() -> DestinationName {
        DestinationName::parse("ads").unwrap()
    }

    fn held(keys: &[(&str, &str)]) -> AddressSource {
        let keys = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
        let held = HeldSecrets::default();
        held.hold(&Secrets {
            destinations: [(ads(), keys.collect())].into(),
            ..Secrets::default()
        });
        Addresses::Held(Arc::new(held)).source(&ads())
    }

    fn told(keys: &[(&str, &str)]) -> (Reason, String) {
        let error = held(keys).read_at(Instant::now()).err().unwrap();
        (error.reason(), error.to_string())
    }

    #[test]
    fn an_address_is_an_https_url_or_one_of_this_machine() {
        for url in [
            GOOD,
            "https://10.0.0.1:8443/hook?x=1",
            "http://127.0.0.1:9999/hook",
            "http://[::1]:9999/",
            "http://localhost/hook\n",
        ] {
            let address = held(&[(URL, url), (SECRET, KEY)]).read_at(Instant::now());
            assert_eq!(address.unwrap().url.as_str(), url.trim_end());
        }
    }

    #[test]
    fn what_is_no_address_is_told_without_itself() {
        for (url, problem) in [
            ("hush", "it is no URL"),
            (
                "http://hooks.example.com/hush",
                "it is not https, and is not on this machine",
            ),
            (
                "http://localhost.example.com/hush",
                "it is not https, and is not on this machine",
            ),
            ("file:///etc/hush", "it is not https"),
            ("https://hush:hush@example.com/", "it names a user"),
            (
                "https://example.com/#hush",
                "it has a fragment, which is never sent",
            ),
            (
                "https://example.com/a hush",
                "it holds a character that cannot stand in a header",
            ),
        ] {
            let (reason, message) = told(&[(URL, url), (SECRET, KEY)]);
            assert_eq!(reason, Reason::SecretInvalid);
            assert_eq!(
                message,
                format!(
                    "`url` in the Secret of the notification `ads` cannot be used: {problem}; it is an https URL, such as a chat makes for an incoming webhook"
                )
            );
        }
        let (reason, message) = told(&[(URL, GOOD), (SECRET, "hush")]);
        assert_eq!(reason, Reason::SecretInvalid);
        assert_eq!(
            message,
            "`secret` in the Secret of the notification `ads` cannot be used: it does not begin with `whsec_`; it is `whsec_` and the base64 of 24 to 64 random bytes"
        );
    }

    #[test]
    fn what_is_not_there_is_named_with_what_to_do() {
        for keys in [
            &[][..],
            &[(URL, GOOD)],
            &[(SECRET, KEY)],
            &[(URL, "\n"), (SECRET, KEY)],
        ] {
            let (reason, message) = told(keys);
            assert_eq!(reason, Reason::SecretMissing);
            assert!(message.ends_with("create the Secret that the secretName of the notification `ads` names, with the keys `url` and `secret`"), "{message}");
            assert!(
                !message.contains("hush") && !message.contains("whsec_"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_changed_secret_is_taken_up_and_is_another_address() {
        let dir = tempfile::tempdir().unwrap();
        let source = Addresses::Dir(dir.path().to_owned()).source(&ads());
        let now = Instant::now();
        assert!(matches!(
            source.read_at(now),
            Err(AddressError::Missing { .. })
        ));
        let folder = dir.path().join("ads");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(SECRET), KEY).unwrap();
        fs::write(folder.join(URL), GOOD).unwrap();
        let later = now + Duration::from_secs(2);
        let first = source.read_at(later).ok().unwrap().digest;
        assert_eq!(source.read_at(later).ok().unwrap().digest, first);
        fs::write(folder.join(URL), format!("{GOOD}/other")).unwrap();
        let other = source.read_at(later + Duration::from_secs(2)).ok().unwrap();
        assert!(other.digest != first && other.url.as_str().ends_with("/other"));
    }
}
